"""A Dockerfile as the builder on the nodes reads it: its instructions and their words, each with its place.

That builder is the classic one of Docker 20.10: no here-documents, and of the flags of COPY only those that need no BuildKit.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

INSTRUCTIONS = (
    *("ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "MAINTAINER", "ONBUILD", "RUN", "SHELL"),
    *("STOPSIGNAL", "USER", "VOLUME", "WORKDIR"),
)
"""All that there are."""

_ESCAPE = re.compile(r"#\s*escape\s*=\s*([\\`])\s*", re.IGNORECASE)
_DIRECTIVE = re.compile(r"#\s*[a-z]+\s*=.*", re.IGNORECASE)


SHOWN = 100
"""Characters, and words, of an instruction that a sentence shows."""


def shortened(text: str, most: int = SHOWN) -> str:
    """Return a text's beginning, which is all of it in a file that somebody wrote."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


@dataclass(frozen=True, slots=True)
class Token:
    """A word of an instruction."""

    text: str
    line: int  # from 1
    column: int  # from 1


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction; what it is given may go on over several lines."""

    name: Token  # as it is written
    words: tuple[Token, ...]  # what follows its flags
    flags: tuple[Token, ...] = ()  # "--from=build"; "--" ends them
    listed: tuple[str, ...] | None = None  # what it is given as a JSON list of texts; None where it is not given so

    @property
    def kind(self) -> str:
        """Its name in capitals."""
        return self.name.text.upper()

    @property
    def text(self) -> str:
        """The instruction in one line, its beginning where it is long."""
        return shortened(" ".join(each.text for each in (self.name, *self.flags, *self.words)[:SHOWN]))

    @property
    def operands(self) -> tuple[str, ...]:
        """The words, or those of the list that it is given."""
        return self.listed if self.listed is not None else tuple(each.text for each in self.words)

    def place(self, number: int) -> Token:
        """Return where one of the operands stands."""
        if not self.words:
            return self.name
        return self.words[number] if self.listed is None else self.words[min(number, len(self.words) - 1)]


def instructions(text: str) -> list[Instruction]:
    """Return the instructions of a Dockerfile, in order. Comments and empty lines are left out, also within one."""
    escape = "\\"
    for line in text.splitlines():
        if found := _ESCAPE.fullmatch(line.strip()):
            escape = found[1]
        if not _DIRECTIVE.fullmatch(line.strip()):
            break
    return [_instruction(words) for words in _joined(text, escape)]


def _joined(text: str, escape: str) -> Iterator[list[Token]]:
    """Yield the words of each instruction, whatever lines they stand in."""
    words: list[Token] = []
    for number, line in enumerate(text.split("\n"), 1):
        bare = line.strip()
        if not bare or bare.startswith("#"):
            continue
        goes_on = bare.endswith(escape)
        read = line.rstrip()[:-1] if goes_on else line
        words += [Token(each[0], number, each.start() + 1) for each in re.finditer(r"\S+", read)]
        if not goes_on and words:
            yield words
            words = []
    if words:
        yield words


def _instruction(words: list[Token]) -> Instruction:
    name, rest = words[0], words[1:]
    count = 0
    while count < len(rest) and rest[count].text.startswith("--") and rest[count].text != "--":
        count += 1
    given = tuple(rest[count + 1 :] if [each.text for each in rest[count : count + 1]] == ["--"] else rest[count:])
    return Instruction(name, given, tuple(rest[:count]), _listed(" ".join(each.text for each in given)))


def _listed(text: str) -> tuple[str, ...] | None:
    """Return the texts of a JSON list; None for anything else, which Docker takes as plain words."""
    if not text.startswith("["):
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    # Half a character, or a zero, is in no name and no word of a command: Docker refuses it as well.
    plain = isinstance(found, list) and all(isinstance(each, str) and "\0" not in each and _whole(each) for each in found)
    return tuple(found) if plain else None


def unlisted(words: tuple[Token, ...]) -> tuple[Token, str]:
    """Say of words that begin with a bracket why they are no list to Docker, and where that begins."""
    text = " ".join(each.text for each in words)
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        at = text.find("]", error.pos) if error.msg.startswith("Illegal trailing comma") else error.pos  # newer Pythons tell of the comma
        rest = text[at:]
        if error.msg.startswith("Expecting ',' delimiter"):
            why = "a comma is missing before it" if rest else "the list has no ] at its end"
        elif error.msg.startswith(("Extra data", "Unterminated string", "Invalid \\escape")):
            why = {"E": "nothing may stand behind the ]", "U": "this quote is not closed", "I": "a \\ is written as \\\\"}[error.msg[0]]
        elif rest.startswith("]"):
            why = "a comma stands before the ]"
        else:
            why = "the list has no ] at its end" if not rest else 'each word in it stands in double quotes, " and "'
        return _at(words, at), why
    except (ValueError, RecursionError):
        pass
    return words[0], 'each word in it stands in double quotes, " and "'


def _at(words: tuple[Token, ...], place: int) -> Token:
    """Return the word that is there in all of them, with a blank between each two."""
    for each in words:
        if place <= len(each.text):
            return Token(each.text[place:] or each.text, each.line, each.column + min(place, len(each.text)))
        place -= len(each.text) + 1
    return words[-1]


def _whole(text: str) -> bool:
    """Whether a text can be written down."""
    return not any("\ud800" <= each <= "\udfff" for each in text)
