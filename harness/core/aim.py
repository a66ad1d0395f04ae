"""Whom a target expression hits: when the fault fires, and, as far as it can be known, before. Pure."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from harness.core.errors import FaultFailed
from harness.core.targets import CONTROLLER, HIT, LEADER, Atom, Expression, Hosting, HostOf, Leading, Not, Part, Same, earlier, leading

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from random import Random

_NOTHING: Final[Mapping[str, Collection[str]]] = {}
_NONE: Final[Mapping[str, str]] = {}


_MOST_FACTS = 12
"""Distinct facts (leader, hosting of each app) up to which `most` looks at every combination."""


class ImpossibleTarget(FaultFailed):
    """There was nobody to hit when the fault fired. Says what each part of the expression was."""


class TakenAlready(ImpossibleTarget):
    """What a fault would take of a node another fault that goes on has already. Says what, of whom, and both numbers."""


def resolve(
    expression: Expression,
    *,
    nodes: Sequence[str],
    leader: str | None,
    members: Collection[str],
    hosting: Mapping[str, Collection[str]],
    rng: Random,
    spared: Collection[str] = (),
    hit: Collection[str] = (),
    by: Mapping[str, Collection[str]] = _NOTHING,
    controller: str | None = None,
    first: Mapping[str, str] = _NONE,
) -> tuple[str, ...]:
    """Return the names of the nodes to hit, sorted; never none.

    `leader` is None while it is not known who leads; `members` are the quorum's members; `hosting` tells for each app, and for each instance, which
    nodes run it now; `hit` are those of all faults that go on, and `by` tells for the name of each fault that had one which nodes it hit;
    `controller` is None while no node takes orders; `first` tells for each daemon that leads others of its kind on which node.
    Nobody in `spared` is ever hit: choosers choose among the others, and where all of a set would be hit that holds one, nobody is.
    The same arguments with an equal `rng` give the same nodes. Raises `ImpossibleTarget`.
    """
    facts = _Facts(frozenset(nodes), leader, frozenset(members), hosting, frozenset(hit), by, controller, first)
    if unheard := [atom.name for atom in earlier(expression) if atom.name not in by]:
        raise ImpossibleTarget(f"no target for {str(expression)!r}: no fault named {', '.join(unheard)} has hit anybody yet")
    if leader is None and expression.needs_leader:
        remedy = "`await: leader` as a step before this waits until somebody does"
        raise ImpossibleTarget(f"no target for {str(expression)!r}: it is not known who leads now; {remedy}")
    if unknown := [each.process for each in leading(expression) if each.process not in first]:
        raise ImpossibleTarget(f"no target for {str(expression)!r}: it is not known which {' and '.join(unknown)} leads now")
    if controller is None and expression.needs_controller:
        raise ImpossibleTarget(f"no target for {str(expression)!r}: the orchestrator's API gives no answer at any node that takes orders")
    left = facts.nodes
    for part in expression.sets:
        left &= facts.of(part)
    if expression.follower:
        left &= facts.members - {leader or ""}
    wanted = expression.wanted(len(nodes))
    protected = left & frozenset(spared)
    if protected and (wanted is None or len(left - protected) < wanted):
        raise ImpossibleTarget(_spared_words(expression, left, protected, wanted))
    left -= protected
    if not left or wanted == 0 or (wanted is not None and wanted > len(left)):
        raise ImpossibleTarget(_why_not(expression, facts, left, wanted))
    chosen = left if wanted is None else rng.sample(sorted(left), wanted)
    return tuple(sorted(chosen))


def fixed(expression: Expression, nodes: Sequence[str]) -> tuple[str, ...]:
    """Return the nodes that an expression holds whatever happens in a run, sorted; none where that, or a chooser, decides."""
    if expression.choices or any(atom.fact for atom in expression.atoms()):
        return ()
    facts = _Facts(frozenset(nodes), None, frozenset(), {}, frozenset(), {}, None, {})
    return tuple(sorted(facts.nodes.intersection(*(facts.of(part) for part in expression.sets))))


def most(expression: Expression, *, nodes: Sequence[str], instances: Mapping[str, int]) -> int:
    """Return how many nodes the sets of an expression leave at most, whoever leads and wherever the apps run. 0: it can never hit anybody.

    `instances` tells how many there are of each app; it may tell also that one of them is not there ("web@3": 0), how many nodes are `HIT` at most,
    and how many by whom ("same as cut"). An upper bound: it may be larger than what can really happen, never smaller.
    """
    facts = tuple(sorted({atom.fact for atom in expression.atoms() if atom.fact}))
    if len(facts) > _MOST_FACTS:
        return len(nodes)
    led = {each.fact for each in leading(expression)}
    possible = 0
    without = dict.fromkeys(facts, 0)  # nodes that could be hit even if this fact is not true of them
    for node in nodes:
        fits = [truth for truth in _truths(facts) if _could_hit(expression, node, truth)]
        possible += bool(fits)
        for fact in facts:
            without[fact] += any(not truth[fact] for truth in fits)
    for fact in facts:
        if not without[fact]:
            possible = min(possible, 1 if fact in {LEADER, CONTROLLER, *led} else instances.get(fact, 1 if "@" in fact else len(nodes)))
    return possible


@dataclass(frozen=True, slots=True)
class _Facts:
    """What is true at the moment of resolving."""

    nodes: frozenset[str]
    leader: str | None
    members: frozenset[str]
    hosting: Mapping[str, Collection[str]]
    hit: frozenset[str]
    by: Mapping[str, Collection[str]]
    controller: str | None
    first: Mapping[str, str]

    def of(self, part: Part) -> frozenset[str]:
        """Return the nodes that a set holds."""
        return frozenset(node for node in self.nodes if part.holds(lambda atom, node=node: self.true(atom, node)))  # type: ignore[misc]

    def true(self, atom: Atom, node: str) -> bool:
        """Whether an atom is true of a node."""
        if isinstance(atom, Same):
            return node in self.by.get(atom.name, ())
        if isinstance(atom, Leading):
            return node == self.first.get(atom.process)
        if isinstance(atom, Hosting | HostOf):
            return node in self.hosting.get(atom.fact, ())
        facts = {"all": True, LEADER: node == self.leader, CONTROLLER: node == self.controller, HIT: node in self.hit}
        return facts.get(atom.word, atom.word == node)


def _why_not(expression: Expression, facts: _Facts, left: frozenset[str], wanted: int | None) -> str:
    """Say what each part was, so that it is seen which one left nothing."""
    total = len(facts.nodes)
    told = [_told(part, facts.of(part)) for part in expression.sets]
    for choice in expression.choices:
        who = f" of {_listed(facts.members - {facts.leader or ''})}" if choice.word == "follower" else ""
        told.append(f"{choice.word} takes {choice.count(total)}{who}")
    short = f"only {_listed(left)} is left and {wanted} are needed" if left and wanted else "nothing is left to choose from"
    return f"no target for {str(expression)!r}: {short}; of {_listed(facts.nodes)}, {'; '.join(told)}"


def _told(part: Part, held: Collection[str]) -> str:
    """Say who was in a set, e.g. ``no node runs web``."""
    if held:
        return f"{part} was {_listed(held)}"
    return f"every node {part.told(affirmed=False)}" if isinstance(part, Not) else f"no node {part.told(affirmed=True)}"


def _spared_words(expression: Expression, left: Collection[str], protected: Collection[str], wanted: int | None) -> str:
    """Say which protected nodes stand in the way."""
    who = f"{_listed(protected)} {'is' if len(protected) == 1 else 'are'} protected"
    if wanted is None:
        return (
            f"no target for {str(expression)!r}: {who} and must not be broken; the expression says {_listed(left)}; leave the protected out"
        )
    others = _listed(set(left) - set(protected))
    return (
        f"no target for {str(expression)!r}: {who} and must not be broken; of {_listed(left)} that leaves {others}, and {wanted} are needed"
    )


def _listed(some: Collection[str]) -> str:
    return ", ".join(sorted(some)) if some else "no node"


def _truths(facts: Sequence[str]) -> Iterator[Mapping[str, bool]]:
    """Yield every combination of what may be true of one node."""
    for truth in itertools.product((False, True), repeat=len(facts)):
        yield dict(zip(facts, truth, strict=True))


def _could_hit(expression: Expression, node: str, facts: Mapping[str, bool]) -> bool:
    """Whether the sets hold a node of which these facts are true."""

    def true(atom: Atom) -> bool:
        return facts[atom.fact] if atom.fact else str(atom) in {"all", node}

    return not (expression.follower and facts.get(LEADER)) and all(part.holds(true) for part in expression.sets)
