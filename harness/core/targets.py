"""Target expressions: who is to be hit, as it is written. Whom one hits when the fault fires, `harness.core.aim` finds out. Pure.

An expression is a list of words joined by ``&`` (and), with ``!`` (not) and parentheses::

    n2                    a node by name
    all                   every node
    leader                the node that leads the quorum
    leading(marathon)     the node whose daemon of that name leads those of all nodes
    hosting(web)          every node that runs an instance of web, by node truth
    web@1                 the node that runs this instance, by node truth
    controller            the node through which this run's orders to the orchestrator go
    hit                   every node that a fault which goes on has hit
    same as cut           every node that the fault named cut has hit, whether or not it goes on
    any                   one node                           (a chooser)
    any 2                 as many nodes                      (a chooser)
    follower              one member that does not lead      (a chooser)
    minority              (N-1)//2 of the N nodes: as many as a quorum can lose  (a chooser)
    majority              N//2+1 of the N nodes                                  (a chooser)
    here                  the machine that the harness runs on: alone, and for commands only

Choosers choose last, with the run's random numbers, from what the rest of the expression leaves: ``hosting(web) & any`` is one node of those
that run web. With several choosers the smallest count holds. ``!`` can stand before a set only: "not one node" is not a set. There is no word for
or: ``!(!n1 & !n2)`` is n1 and n2.
"""

from __future__ import annotations

import difflib
import itertools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from harness.core.instances import app_of
from harness.core.values import HERE

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

LEADER: Final = "leader"
CONTROLLER: Final = "controller"
HIT: Final = "hit"
SAME: Final = "same as"
SETS: Final = (LEADER, CONTROLLER, "all", HIT)
CHOOSERS: Final = ("any", "follower", "minority", "majority")
HOSTING: Final = "hosting"
LEADING: Final = "leading"

LONGEST = 300
"""Characters of an expression at most."""

DEEPEST = 20
"""Parentheses and ``!`` inside each other at most."""

_TOKEN = re.compile(r"\s*(?:(?P<word>[A-Za-z0-9][A-Za-z0-9_.@-]*)|(?P<mark>[&!()]))")


_TERM = (
    "a node's name, leader, follower, controller, hosting(APP), leading(PROCESS), APP@N, hit, same as NAME, any, any N, all, minority, majority, "
    "! or ("
)
_MOST_ANY = 50
"""Nodes that `any` may ask for: as many as a cluster has at most."""


class BadTarget(ValueError):
    """A target expression that cannot be read. `position` counts characters of it from 0."""

    def __init__(self, position: int, found: str, expected: str, hint: str = "") -> None:
        super().__init__(f"at character {position + 1}: found {found}, expected {expected}" + (f"; {hint}" if hint else ""))
        self.position = position
        self.found = found
        self.expected = expected
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Name:
    """A word that stands for a set: a node's name, ``leader``, ``hit`` or ``all``."""

    word: str
    position: int

    def __str__(self) -> str:
        """Give it as it is written."""
        return self.word

    @property
    def fact(self) -> str:
        """What it hangs on in a run; empty where nothing of a run changes it."""
        return self.word if self.word in {LEADER, CONTROLLER, HIT} else ""

    def holds(self, truth: Truth) -> bool:
        """Whether a node is in the set, by what is true of that node."""
        return truth(self)

    def told(self, affirmed: bool) -> str:
        """Tell it as the end of "a node that …"."""
        if self.word == "all":
            return "is in the cluster" if affirmed else "is not in the cluster"
        if self.word == HIT:
            return "is hit by a fault in force" if affirmed else "is hit by no fault in force"
        if self.word == CONTROLLER:
            return "takes this run's orders" if affirmed else "does not take this run's orders"
        if self.word == "leader":
            return "leads" if affirmed else "does not lead"
        return f"is {self.word}" if affirmed else f"is not {self.word}"


@dataclass(frozen=True, slots=True)
class Hosting:
    """Every node that runs an instance of an app."""

    app: str
    position: int  # of the app's name

    def __str__(self) -> str:
        """Give it as it is written."""
        return f"{HOSTING}({self.app})"

    @property
    def fact(self) -> str:
        """What it hangs on in a run."""
        return self.app

    def holds(self, truth: Truth) -> bool:
        """Whether a node is in the set, by what is true of that node."""
        return truth(self)

    def told(self, affirmed: bool) -> str:
        """Tell it as the end of "a node that …"."""
        return f"runs {self.app}" if affirmed else f"does not run {self.app}"


@dataclass(frozen=True, slots=True)
class Leading:
    """The node whose daemon leads the others of its kind."""

    process: str
    position: int  # of the daemon's name

    def __str__(self) -> str:
        """Give it as it is written."""
        return f"{LEADING}({self.process})"

    @property
    def fact(self) -> str:
        """What it hangs on in a run."""
        return str(self)

    def holds(self, truth: Truth) -> bool:
        """Whether a node is in the set, by what is true of that node."""
        return truth(self)

    def told(self, affirmed: bool) -> str:
        """Tell it as the end of "a node that …"."""
        return f"has the leading {self.process}" if affirmed else f"does not have the leading {self.process}"


@dataclass(frozen=True, slots=True)
class HostOf:
    """Every node that runs one instance: one node, but for double runs."""

    instance: str
    position: int

    def __str__(self) -> str:
        """Give it as it is written."""
        return self.instance

    @property
    def app(self) -> str:
        """The name of its app."""
        return app_of(self.instance)

    @property
    def fact(self) -> str:
        """What it hangs on in a run."""
        return self.instance

    def holds(self, truth: Truth) -> bool:
        """Whether a node is in the set, by what is true of that node."""
        return truth(self)

    def told(self, affirmed: bool) -> str:
        """Tell it as the end of "a node that …"."""
        return f"runs {self.instance}" if affirmed else f"does not run {self.instance}"


@dataclass(frozen=True, slots=True)
class Same:
    """Every node that an earlier fault has hit, by that fault's name."""

    name: str
    position: int  # of the name

    def __str__(self) -> str:
        """Give it as it is written."""
        return f"{SAME} {self.name}"

    @property
    def fact(self) -> str:
        """What it hangs on in a run."""
        return str(self)

    def holds(self, truth: Truth) -> bool:
        """Whether a node is in the set, by what is true of that node."""
        return truth(self)

    def told(self, affirmed: bool) -> str:
        """Tell it as the end of "a node that …"."""
        return f"was hit by {self.name}" if affirmed else f"was not hit by {self.name}"


@dataclass(frozen=True, slots=True)
class Choice:
    """A chooser."""

    word: str  # one of CHOOSERS
    position: int
    number: int = 0  # of nodes, where the word stands for a number that is given

    def __str__(self) -> str:
        """Give it as it is written."""
        return f"{self.word} {self.number}" if self.number else self.word

    def count(self, nodes: int) -> int:
        """Return how many of so many nodes it takes."""
        return self.number or count(self.word, nodes)


@dataclass(frozen=True, slots=True)
class Not:
    """Every node that is not in a set."""

    inner: Part

    def __str__(self) -> str:
        """Give it as it is written."""
        return f"!({self.inner})" if isinstance(self.inner, Both) else f"!{self.inner}"

    def holds(self, truth: Truth) -> bool:
        """Whether a node is in the set, by what is true of that node."""
        return not self.inner.holds(truth)

    def told(self, affirmed: bool) -> str:
        """Tell it as the end of "a node that …"."""
        return self.inner.told(not affirmed)


@dataclass(frozen=True, slots=True)
class Both:
    """What all of the parts have in common."""

    parts: tuple[Part, ...]

    def __str__(self) -> str:
        """Give it as it is written."""
        return " & ".join(f"({part})" if isinstance(part, Both) else str(part) for part in self.parts)

    def holds(self, truth: Truth) -> bool:
        """Whether a node is in the set, by what is true of that node."""
        return all(part.holds(truth) for part in self.parts)

    def told(self, affirmed: bool) -> str:
        """Tell it as the end of "a node that …"."""
        return (" and " if affirmed else " or ").join(part.told(affirmed) for part in self.parts)


Atom: TypeAlias = Name | Hosting | Leading | HostOf | Same
"""A set that is made of no others."""

Part: TypeAlias = Atom | Not | Both
"""What says who can be hit: a set."""

Truth: TypeAlias = "Callable[[Atom], bool]"
"""Whether one atom is true of the node that is looked at."""


@dataclass(frozen=True, slots=True)
class Expression:
    """A target expression that was read: sets that say who can be hit, and choosers that take some of them."""

    sets: tuple[Part, ...]
    choices: tuple[Choice, ...]

    def __str__(self) -> str:
        """Give text that reads back as an equal expression, but for the positions in it."""
        return " & ".join(str(part) for part in (*self.sets, *self.choices))

    def atoms(self) -> Iterator[Atom]:
        """Every word in the sets, in order."""
        return itertools.chain.from_iterable(_atoms(part) for part in self.sets)

    @property
    def follower(self) -> bool:
        """Whether only members that do not lead are chosen."""
        return any(choice.word == "follower" for choice in self.choices)

    @property
    def needs_leader(self) -> bool:
        """Whether it can only be resolved while it is known who leads."""
        return self.follower or any(atom.word == "leader" for atom in self.atoms() if isinstance(atom, Name))

    @property
    def needs_controller(self) -> bool:
        """Whether it can only be resolved while it is known through whom orders go."""
        return any(atom.fact == CONTROLLER for atom in self.atoms())

    @property
    def of_faults(self) -> bool:
        """Whether it goes by who was hit by other faults."""
        return any(isinstance(atom, Same) or atom.fact == HIT for atom in self.atoms())

    @property
    def hangs(self) -> bool:
        """Whether it hangs on what happens in a run who can be hit."""
        return self.needs_leader or any(atom.fact for atom in self.atoms())

    def wanted(self, nodes: int) -> int | None:
        """Return how many of so many nodes the choosers take; None without one: all that is left."""
        return min((choice.count(nodes) for choice in self.choices), default=None)


def parse(text: str) -> Expression:
    """Read an expression. Raises `BadTarget` with the position of what is wrong."""
    if len(text) > LONGEST:
        raise BadTarget(LONGEST, f"{len(text)} characters", f"an expression of {LONGEST} at most")
    return _Parser(text).expression()


def is_here(text: str) -> bool:
    """Whether an expression is the machine that the harness runs on."""
    return text.strip() == HERE


def names(expression: Expression) -> tuple[Name, ...]:
    """Return the names of nodes in it, with their positions."""
    return tuple(atom for atom in expression.atoms() if isinstance(atom, Name) and atom.word not in SETS)


def apps(expression: Expression) -> tuple[Hosting | HostOf, ...]:
    """Return the mentions of apps, and of single instances, in it, with their positions."""
    return tuple(atom for atom in expression.atoms() if isinstance(atom, Hosting | HostOf))


def leading(expression: Expression) -> tuple[Leading, ...]:
    """Return the mentions of daemons that lead in it, with their positions."""
    return tuple(atom for atom in expression.atoms() if isinstance(atom, Leading))


def earlier(expression: Expression) -> tuple[Same, ...]:
    """Return the mentions of other faults in it, with their positions."""
    return tuple(atom for atom in expression.atoms() if isinstance(atom, Same))


def count(choice: str, nodes: int) -> int:
    """Return how many of so many nodes a chooser takes. A minority of one or two nodes is none: no node of them can be lost."""
    return {"any": 1, "follower": 1, "minority": (nodes - 1) // 2, "majority": nodes // 2 + 1}[choice]


def in_words(expression: Expression, *, nodes: Sequence[str]) -> str:
    """Say who would be hit, and how many of them, e.g. ``1 node that runs web (of 3)``."""
    total = len(nodes)
    wanted = expression.wanted(total)
    told = [part.told(affirmed=True) for part in expression.sets if str(part) != "all"]
    if expression.follower:
        told.append("is a member and does not lead")
    conditions = " and ".join(told)
    if not conditions:
        return f"all {total} nodes" if wanted is None else f"{wanted} of the {total} nodes"
    alone = {
        LEADER: "the leader",
        CONTROLLER: "the node that takes this run's orders",
        HERE: "this machine",
        **{node: node for node in nodes},
    }
    if str(expression) in alone:
        return alone[str(expression)]
    if wanted is None:
        return f"every node that {conditions} (of {total})"
    return f"1 node that {conditions} (of {total})" if wanted == 1 else f"{wanted} nodes, each of which {conditions} (of {total})"


def likeliest(word: str, valid: Iterable[str]) -> str:
    """Return the valid name that a word with a slip of the pen in it most likely stands for; empty where none is near.

    Capitals are no difference, and two letters that are swapped are a small one, also where there are no others.
    """
    written = word[:64]
    names = sorted(valid)
    if exact := difflib.get_close_matches(written, names, n=1, cutoff=0.6):
        return exact[0]
    folded = {each.casefold(): each for each in names}
    near = difflib.get_close_matches(written.casefold(), folded, n=1, cutoff=0.6)
    swapped = [each for each in folded if sorted(each) == sorted(written.casefold())]
    return next((folded[each] for each in (*near, *swapped)), "")


def nearest(word: str, valid: Collection[str]) -> str:
    """Return a hint with the nearest valid name, or with all of them where none is near."""
    if near := likeliest(word, valid):
        return f"did you mean {near!r}?"
    return f"there is {', '.join(sorted(valid))}" if valid else ""


def _atoms(part: Part) -> Iterator[Atom]:
    match part:
        case Not(inner=inner):
            yield from _atoms(inner)
        case Both(parts=parts):
            for each in parts:
                yield from _atoms(each)
        case _:
            yield part


EITHER: Final = "for the nodes of one set and of the other write !(!n1 & !n2)"
"""There is no word for it."""
_SPELLED: Final = {
    "and": "write & for and",
    "or": EITHER,
    "not": "write ! for not, as in !leader",
    **dict.fromkeys(("of", "one"), "write SET & any for one of a set, and SET & any 2 for two"),
}
"""What people write in words, and how it is written."""


class _Parser:
    """Recursive descent over a short text; see the module's docstring for the language."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.depth = 0

    def expression(self) -> Expression:
        parts = _flat(self.joined())
        if (token := self.peek()) is not None:
            hint = _SPELLED.get(token[1].lower(), f"join two sets with &; {EITHER}") if token[1] not in "&!()" else ""
            raise BadTarget(token[0], repr(token[1]), "`&` or the end", hint)
        sets = tuple(part for part in parts if not isinstance(part, Choice))
        return Expression(sets, tuple(part for part in parts if isinstance(part, Choice)))

    def joined(self) -> list[Part | Choice | _Group]:
        parts = [self.term()]
        while (token := self.peek()) is not None and token[1] == "&":
            self.take()
            parts.append(self.term())
        return parts

    def term(self) -> Part | Choice | _Group:
        token = self.take()
        if token is None:
            raise BadTarget(len(self.text), "the end" if self.text.strip() else "nothing", _TERM)
        position, word = token
        if word in "!(":
            return self.nested(self.negated if word == "!" else self.group, position)
        if word in "&)":
            raise BadTarget(position, repr(word), _TERM)
        if word == HOSTING:
            return Hosting(*self.named(position, HOSTING, "APP", "one app"))
        if word == LEADING:
            return Leading(*self.named(position, LEADING, "PROCESS", "one daemon"))
        if (following := self.peek()) is not None and following[1] == "(":
            expected = "hosting(APP) or leading(PROCESS) as the only words with parentheses"
            raise BadTarget(position, f"{word}(…)", expected, nearest(word, [HOSTING, LEADING]))
        if word.lower() in {"not", "one"} and following is not None and following[1] not in {"&", ")"}:
            raise BadTarget(position, repr(word), _TERM, _SPELLED[word.lower()])
        if word in CHOOSERS:
            return self.chooser(word, position)
        if following is not None and f"{word} {following[1]}" == SAME:
            return self.same(position)
        return HostOf(word, position) if "@" in word else Name(word, position)

    def chooser(self, word: str, position: int) -> Choice:
        following = self.peek()
        if word != "any" or following is None or not following[1].isdecimal():
            return Choice(word, position)
        self.take()
        number = int(following[1][:3])
        if not 1 <= number <= _MOST_ANY:
            raise BadTarget(following[0], following[1][:24], f"any with a number of nodes from 1 to {_MOST_ANY}")
        return Choice(word, position, number)

    def same(self, position: int) -> Same:
        self.take()
        name = self.take()
        if name is None or name[1] in "&!()":
            raise BadTarget(position, repr(self.text[position : position + 24]), "same as NAME, with the name (`as`) of an earlier fault")
        return Same(name[1], name[0])

    def negated(self, position: int) -> Not:
        parts: list[Part] = []
        for part in _flat([self.term()]):
            if isinstance(part, Choice):
                raise BadTarget(
                    position,
                    f"! before {part.word}",
                    "! before a set: a name, leader, all, hit, hosting(APP), leading(PROCESS)",
                    _instead(part.word),
                )
            parts.append(part)
        return Not(parts[0] if len(parts) == 1 else Both(tuple(parts)))

    def group(self, position: int) -> _Group:
        parts = self.joined()
        token = self.take()
        if token is None or token[1] != ")":
            at, found = (len(self.text), "the end") if token is None else (token[0], repr(token[1]))
            raise BadTarget(at, found, f"`&`, or `)` for the `(` at character {position + 1}")
        return _Group(parts)

    def named(self, position: int, word: str, what: str, whose: str) -> tuple[str, int]:
        """Read what stands in the parentheses after a word, and where."""
        opening, app, closing = self.take(), self.take(), self.take()
        if opening is None or opening[1] != "(" or app is None or app[1] in "&!()" or closing is None or closing[1] != ")":
            found, name = self.text[position : position + 24], opening[1] if opening is not None else ""
            meant = f"did you mean '{word}({name[:40]})'?" if name not in {"", *"&!()"} and (app is None or app[1] not in "()") else ""
            raise BadTarget(position, repr(found), f"{word}({what}) with the name of {whose}", meant)
        return app[1], app[0]

    def nested(self, inner: Callable[[int], Not | _Group], position: int) -> Not | _Group:
        self.depth += 1
        if self.depth > DEEPEST:
            raise BadTarget(position, f"more than {DEEPEST} ! and ( inside each other", "a simpler expression")
        part = inner(position)
        self.depth -= 1
        return part

    def peek(self) -> tuple[int, str] | None:
        """Return position and text of the next token, or None at the end."""
        before = self.at
        token = self.take()
        self.at = before
        return token

    def take(self) -> tuple[int, str] | None:
        """Like `peek`, and step over it."""
        rest = self.text[self.at :]
        if not rest.strip():
            self.at = len(self.text)
            return None
        match = _TOKEN.match(self.text, self.at)
        if match is None:
            position = len(self.text) - len(rest.lstrip())
            hint = f"write & for and, ! for not; {EITHER}" if self.text[position] in "|,+~-" else ""
            raise BadTarget(position, repr(self.text[position]), "a word, &, !, ( or )", hint)
        self.at = match.end()
        group = str(match.lastgroup)
        return match.start(group), match[group]


@dataclass(frozen=True, slots=True)
class _Group:
    """What stood in parentheses; only between parsing and flattening."""

    parts: list[Part | Choice | _Group]


def _instead(word: str) -> str:
    return "write !leader for every node that does not lead" if word == "follower" else "choosers choose from what the rest leaves"


def _flat(parts: Sequence[Part | Choice | _Group]) -> list[Part | Choice]:
    """Lift the parts of groups: ``&`` does not care for parentheses."""
    found: list[Part | Choice] = []
    for part in parts:
        found.extend(_flat(part.parts) if isinstance(part, _Group) else [part])
    return found
