"""The words of a command in a unit file, and what a `docker run` among them says of its container. Pure: nothing is run."""

from __future__ import annotations

import re
import sys
import unicodedata
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_SWITCHES: Final = frozenset(
    {
        *(
            "--detach",
            "--disable-content-trust",
            "--help",
            "--init",
            "--interactive",
            "--no-healthcheck",
            "--oom-kill-disable",
            "--privileged",
        ),
        *("--publish-all", "--quiet", "--read-only", "--rm", "--sig-proxy", "--tty"),
    }
)
"""Options of `docker run` and `docker create` that take no value of their own (Docker 20.10, and --quiet of later ones)."""
_SHORT_SWITCHES: Final = "ditPq"
_SHORT: Final = {"d": "--detach", "e": "--env", "l": "--label", "p": "--publish"}
"""Short options that are asked for here, by their long names. All that are not switches take a value."""
_PREFIXES: Final = "-@+!:"
"""What may stand before a command in a unit file."""
_ESCAPES: Final = {"s": " ", "n": "\n", "t": "\t", "\n": " ", "a": "\a", "b": "\b", "f": "\f", "r": "\r", "v": "\v"}
_ESCAPED: Final = re.compile(
    r"\\(?:x(?P<x>[0-9A-Fa-f]{2})|(?P<o>[0-7]{3})|u(?P<u>[0-9A-Fa-f]{4})|U(?P<U>[0-9A-Fa-f]{8})|(?P<one>.))", re.DOTALL
)
_BLANKS: Final = re.compile(r"(?:\s|\\\n)*")
_PIECE: Final = re.compile(r"""(?P<plain>(?:[^\s\\"']|\\[^\n])+)|"(?P<double>(?:[^"\\]|\\.)*)"|'(?P<single>(?:[^'\\]|\\.)*)'""", re.DOTALL)
"""A part of a word: plain, or in quotation marks of either kind."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One word of a command as systemd reads it, and from where to where it stands in the text of the command, quotes included."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Command:
    """A command of a unit file."""

    words: tuple[Piece, ...]
    may_fail: bool  # a dash stands before it

    @property
    def docker(self) -> str:
        """What it has Docker do: ``run``, ``create``, ``start``, ``pull``; empty for a command that is none of Docker's."""
        if not self.words or self.words[0].text.rpartition("/")[2] != "docker":
            return ""
        said = [word.text for word in self.words[1:3]]
        return said[1] if said[:1] == ["container"] and len(said) > 1 else said[0] if said else ""

    @property
    def given(self) -> tuple[Piece, ...]:
        """The words after that."""
        return self.words[3 if self.words[1].text == "container" else 2 :]


@dataclass(slots=True)
class DockerRun:
    """What a `docker run`, or a `docker create`, says of its container."""

    image: Piece | None = None
    options: dict[str, list[Piece]] = field(
        default_factory=dict
    )  # by their long names; a switch has an empty list of words where it is off

    def said(self, option: str) -> list[Piece]:
        """Return the values that an option was given, in order."""
        return self.options.get(option, [])


def command(text: str) -> Command:
    """Read the value of an ``Exec…=`` line. Raises `ValueError` where a quotation mark is not closed."""
    found = tuple(words(text))
    if not found:
        return Command((), may_fail=False)
    first = found[0].text
    bare = first.lstrip(_PREFIXES)
    marks = first[: len(first) - len(bare)]
    head = (Piece(bare, found[0].start + len(marks), found[0].end),) if bare else ()
    return Command((*head, *found[1:]), "-" in marks)


def words(text: str) -> Iterator[Piece]:
    """Yield words as systemd splits them: at blanks that are not quoted; a backslash before the end of a line is a blank.

    Raises `ValueError` where a quotation mark is not closed.
    """
    place = 0
    while (begin := _BLANKS.match(text, place)) and (start := begin.end()) < len(text):
        said, place = "", start
        while (piece := _PIECE.match(text, place)) is not None and piece.end() > place:
            quoted = piece["double"] if piece["double"] is not None else piece["single"]
            said += _ESCAPED.sub(_unescaped, quoted if quoted is not None else piece["plain"])
            place = piece.end()
        if place < len(text) and text[place] in "\"'":
            raise ValueError(f"a quotation mark {text[place]} that is not closed")
        place = max(place, start + 1)  # a backslash at the very end
        yield Piece(said, start, place)


def _unescaped(found: re.Match[str]) -> str:
    """Return the character that an escape stands for (systemd.syntax(7)); what stands for none stays as it is."""
    if found["one"] is not None:
        return _ESCAPES.get(found["one"], found["one"])
    digits = next(filter(None, found.groups()))
    number = int(digits, 8 if found["o"] else 16)
    said = chr(number) if 0 < number <= sys.maxunicode else ""
    return said if said and unicodedata.category(said) != "Cs" else found[0]


def read(given: Sequence[Piece]) -> DockerRun:
    """Read the words after ``docker run``: its options, and the image, which is the first word that is none."""
    found = DockerRun()
    rest = iter(given)
    for word in rest:
        text = word.text
        if text == "--":
            found.image = next(rest, None)
            break
        if not text.startswith("-") or text == "-":
            found.image = word
            break
        if text.startswith("--"):
            name, equals, value = text.partition("=")
            if name in _SWITCHES:
                if value not in {"false", "0"}:
                    found.options.setdefault(name, []).append(word)
            elif equals:
                found.options.setdefault(name, []).append(Piece(value, word.start, word.end))
            elif (own := next(rest, None)) is not None:
                found.options.setdefault(name, []).append(own)
            continue
        _short(found, word, rest)
    return found


def _short(found: DockerRun, word: Piece, rest: Iterator[Piece]) -> None:
    """Read a word of short options: switches, and perhaps one at the end that takes a value, which may follow it at once."""
    for number, each in enumerate(word.text[1:], 2):
        name = _SHORT.get(each, f"-{each}")
        if each in _SHORT_SWITCHES:
            found.options.setdefault(name, []).append(word)
            continue
        glued = word.text[number:].removeprefix("=")
        own = Piece(glued, word.start, word.end) if glued else next(rest, None)
        if own is not None:
            found.options.setdefault(name, []).append(own)
        return


_PUBLISHED = re.compile(r"(?:(?P<ip>[0-9.]+|\[[0-9a-fA-F:]*\]):)?(?P<host>[0-9%]*):(?P<inner>[0-9]+)(?:/(?P<protocol>[a-z]+))?")
_EVERYWHERE: Final = frozenset({None, "0.0.0.0", "[::]"})  # noqa: S104 - read, and not listened on


def published(text: str) -> str | None:
    """Return the port of its node that a value of ``--publish`` makes others reach over TCP; None where it tells none of a certain number."""
    found = _PUBLISHED.fullmatch(text)
    if found is None or found["ip"] not in _EVERYWHERE or found["protocol"] not in {None, "tcp"}:
        return None
    return found["host"] or None
