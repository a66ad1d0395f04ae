"""YAML text as plain values, with the place of each in the file.

Only what a settings file needs: one document of mappings, lists and scalars. Anchors, aliases, tags, several documents, and files that are too
large, too deep or no text are refused before anything is built of them. No input raises anything but `BadInput`.
"""

from __future__ import annotations

import difflib
import math
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import yaml

from harness.core.errors import BadInput, Problem
from harness.host import untrusted

if TYPE_CHECKING:
    from pathlib import Path

    from harness.core.values import Json

BIGGEST = 256 * 1024
"""Bytes of a file at most. The largest sensible scenario has some five thousand."""

MOST = 20_000
"""Values in a file at most."""

DEEPEST = 32
"""Mappings and lists inside each other at most. A scenario needs five."""

_LONGEST_NUMBER = 40
"""Characters of a number at most."""

# The same answers from both; the one in C is several times faster and not on every machine.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_TAG = "tag:yaml.org,2002:"
_DECIMAL = re.compile(r"[-+]?(?:0|[1-9][0-9]*)?(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_MODE = re.compile("0[0-7]{3,4}")
MODE = "three or four octal digits with a 0 in front and no quotes, such as 0644"
"""What is expected as a file's mode."""
_ODD = "no 0 in front, no 0x, 0b or _: readers of YAML differ on what those are"
_BOOLS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}

Place: TypeAlias = tuple["str | int", ...]
"""Where a value is: the keys and list positions on the way to it from the top."""


class Mark(NamedTuple):
    """A place in the text, from 1; line 0 is the whole file."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Document:
    """A file's values and where each of them, and each key, stands."""

    file: str
    value: Json
    values: Mapping[Place, Mark]
    keys: Mapping[Place, Mark]
    inside: Mapping[Place, int]  # for text on one line: columns from its mark to its first character
    words: Mapping[Place, str] = field(
        default_factory=dict
    )  # what is read as true, false or a number and is written otherwise, as it stands there
    problems: tuple[Problem, ...] = field(default=())  # what is wrong although the rest can be read: duplicate keys, tags

    def nearest(self, place: Place) -> Place:
        """Return the place itself, or the nearest one above it that is in the file."""
        while place and place not in self.values:
            place = place[:-1]
        return place

    def problem(self, place: Place, found: str, expected: str, hint: str = "", *, key: bool = False, offset: int | None = None) -> Problem:
        """Return a problem with the value (or the key) at a place; `offset` counts characters into a text."""
        near = self.nearest(place)
        mark = self.keys.get(near, self.values[near]) if key else self.values[near]
        if offset is not None and near in self.inside:
            mark = Mark(mark.line, mark.column + self.inside[near] + offset)
        if near == place and not key and found.lower() in {"true", "false"} and (word := self.words.get(place)):
            found, hint = f"{word}, which YAML reads as {found.lower()}", hint or "in quotes it is text"
        return Problem(self.file, mark.line, mark.column, found, expected, hint)

    def overlaid(self, moves: Mapping[Place, Place], without: Iterable[Place] = ()) -> Document:
        """Return a document in which what stands at each source (the mapping's value) replaces what stands at its target, and `without` is gone.

        Every mark stays where it is in the file, so that problems of the new document point to the text that they come from. Places of both
        kinds must be keys of mappings.
        """
        value = self.value
        tables: list[dict[Place, Any]] = [dict(self.values), dict(self.keys), dict(self.inside), dict(self.words)]
        for gone in (*without, *moves):
            value = _without(value, gone)
            for table in tables:
                for place in [each for each in table if each[: len(gone)] == gone]:
                    del table[place]
        for target, source in moves.items():
            value = _with(value, target, _at(self.value, source))
            for table, old in zip(tables, (self.values, self.keys, self.inside, self.words), strict=True):
                table.update({(*target, *place[len(source) :]): mark for place, mark in old.items() if place[: len(source)] == source})
        values, keys, inside, words = tables
        return Document(self.file, value, values, keys, inside, words, self.problems)


def read(path: Path) -> Document:
    """Read a file. Raises `BadInput`."""
    return parse(_text(path), str(path))


def parse(text: str, file: str) -> Document:
    """Read text that came from `file`. Raises `BadInput` where nothing can be made of it."""
    if len(text.encode(errors="replace")) > BIGGEST:
        raise BadInput([Problem(file, 0, 0, "a file that is too large", f"{BIGGEST // 1024} KiB at most", "it was not read")])
    untrusted.must_be_text(text, file)
    try:
        problem = _hostile(text, file)
        root = None if problem else yaml.compose(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise BadInput([_syntax(error, text, file)]) from error
    if problem:
        raise BadInput([problem])
    if root is None:
        raise BadInput([Problem(file, 0, 0, "an empty file", "a scenario", "start from one of those in scenarios/")])
    walk = _Walk(file)
    value = walk.value(root, ())
    return Document(file, value, walk.values, walk.keys, walk.inside, walk.words, tuple(walk.problems))


def composed(text: str) -> yaml.Node | None:
    """Return the nodes of a text that `parse` has read, each with where it begins and ends: for whoever changes the text itself."""
    return yaml.compose(text, Loader=_Loader)


def _at(value: Json, place: Place) -> Json:
    """Return the value at a place of mappings; None where there is none."""
    for step in place:
        value = value.get(str(step)) if isinstance(value, dict) else None
    return value


def _with(value: Json, place: Place, new: Json) -> Json:
    """Return a mapping with another value at a place, made on the way where there is none. What is no mapping has no places, and stays."""
    if not place:
        return new
    if not isinstance(value, dict):
        return value
    return {**value, str(place[0]): _with(value.get(str(place[0]), {}), place[1:], new)}


def _without(value: Json, place: Place) -> Json:
    """Return a mapping without the value at a place."""
    if not isinstance(value, dict) or place[0] not in value:
        return value
    if len(place) == 1:
        return {key: each for key, each in value.items() if key != place[0]}
    return {**value, str(place[0]): _without(value[str(place[0])], place[1:])}


def _text(path: Path) -> str:
    """Return a file's text without ever reading more of it than allowed. Raises `BadInput`."""
    try:
        return untrusted.text(untrusted.named(path, BIGGEST, "a scenario file"), str(path))
    except BadInput as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise BadInput([replace(each, hint=_neighbours(path)) for each in error.problems]) from error
        raise


def _neighbours(path: Path) -> str:
    try:
        there = {each.stem: each.name for each in path.parent.iterdir() if each.suffix in {".yaml", ".yml"} and each.name != path.name}
    except OSError:
        return ""
    # Without the ending, which all of them share and which would make any two names look alike.
    close = difflib.get_close_matches(path.stem, list(there)[:200], 1)
    return f"did you mean {str(path.parent / there[close[0]])!r}?" if close else ""


def _hostile(text: str, file: str) -> Problem | None:
    """Look through the events, which are made one by one, for what must not be built."""
    documents = values = depth = 0
    events: Iterator[Any] = yaml.parse(text, Loader=_Loader)  # some of their attributes are missing in its type hints
    for event in events:
        mark = Mark(event.start_mark.line + 1, event.start_mark.column + 1)
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                return Problem(
                    file, *mark, "a second document", "one scenario a file", "remove the --- or put what follows into a file of its own"
                )
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            what = f"the alias *{event.anchor}" if isinstance(event, yaml.AliasEvent) else f"the anchor &{event.anchor}"
            return Problem(file, *mark, what, "plain values", "anchors and aliases are not allowed here: write the value out")
        if isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent):
            values += 1
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > DEEPEST:
            return _too_deep(file, mark)
        if values > MOST:
            return Problem(file, *mark, f"more than {MOST} values", f"{MOST} at most")
    return None


def _too_deep(file: str, mark: Mark) -> Problem:
    return Problem(file, *mark, f"more than {DEEPEST} mappings and lists inside each other", f"{DEEPEST} at most")


def _syntax(error: yaml.YAMLError, text: str, file: str) -> Problem:
    """Tell what the YAML library found wrong."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if isinstance(error, yaml.reader.ReaderError):
        before = text[: error.position]
        where = Mark(before.count("\n") + 1, error.position - before.rfind("\n"))
        return Problem(file, *where, f"text that is not YAML ({error.reason})", "YAML")
    if mark is None:
        return Problem(file, 0, 0, f"text that is not YAML ({' '.join(str(error).split())})", "YAML")
    lines = text.split("\n")
    # At the end of the text the library may point at a line that is not there.
    where = Mark(mark.line + 1, mark.column + 1) if mark.line < len(lines) else Mark(len(lines), len(lines[-1]) + 1)
    line = lines[where.line - 1]
    indentation = line[: len(line) - len(line.lstrip())]
    if "\t" in indentation or line[mark.column : mark.column + 1] == "\t":
        return Problem(file, where.line, line.index("\t") + 1, "a tab", "spaces: YAML does not allow tabs there")
    if (odd := _odd_space(lines[: where.line])) is not None:
        number, column, character = odd
        what = f"{unicodedata.name(character, 'a character').lower()} (U+{ord(character):04X}), which looks like a space and is none"
        return Problem(file, number, column, what, "a space, as the space bar makes it", f"the line is {lines[number - 1].strip()[:80]!r}")
    said = [getattr(error, "context", None), getattr(error, "problem", None)]
    if any("nesting depth" in (each or "") for each in said):
        # From PyYAML 6.0.4 on the library itself refuses a thousand; it looks ahead, and so comes to that before we come to our own limit.
        return _too_deep(file, where)
    if (glued := _glued(lines, where, said[1] or "")) is not None:
        hint = f"the line is {lines[glued.line - 1].strip()[:80]!r}"
        told = Problem(file, *glued, "a colon with no space after it", "a space after the colon of a key", hint)
    elif "mapping values are not allowed" in (said[1] or "") and ": " in line[: mark.column]:
        what = f"a second ': ' in {line.strip()[:80]!r}"
        told = Problem(file, *where, what, "one key and its value in a line", "text with a ': ' in it stands in quotes")
    else:
        told = Problem(
            file,
            *where,
            f"text that is not YAML ({', '.join(each for each in said if each)})",
            "YAML",
            f"the line is {line.strip()[:80]!r}",
        )
    return _begun(error, lines, where, file) or told


_NO_SPACE = re.compile(r"(?<![ -])(?:(?:^|(?<=:))[ -]*+|[ ]*+-[ -]*+)([^\S \t\r\n]|[\u200b\u2060\ufeff])")
"""At the beginning of a line, or after the sign of a key or an item: what looks like the space that belongs there.

A run of spaces and dashes is looked at from its beginning alone, and once: a line may have any number of them.
"""
_NEAR = 3
"""Lines above the one in which the library noticed something wrong in which its cause is looked for."""


def _odd_space(lines: Sequence[str]) -> tuple[int, int, str] | None:
    """Return line, column and character of what stands for a space near the end of these lines; the nearest one."""
    for number in range(len(lines), max(0, len(lines) - _NEAR), -1):
        if found := _NO_SPACE.search(lines[number - 1]):
            return number, found.start(1) + 1, found[1]
    return None


_KEY = re.compile(r"(?P<before>[ ]*(?:- +)*)[A-Za-z_][\w ]*:(?:\s|$|(?P<rest>[^\s:/]))")
"""The beginning of a line that has a key."""


def _glued(lines: Sequence[str], where: Mark, said: str) -> Mark | None:
    """Return where the space after a key's colon is missing, where that is what the library said; in the nearest line above that begins with a key.

    What stands behind such a colon is text to YAML, with all lines below, up to `where` it notices that something is wrong. What stands further to
    the right than that line is no key beside those in it.
    """
    if "could not find expected ':'" not in said and "mapping values are not allowed" not in said:
        return None
    line = lines[where.line - 1]
    most = len(line) - len(line.lstrip(" "))
    for number in range(where.line, 0, -1):
        found = _KEY.match(lines[number - 1])
        if found is not None and found["rest"] and len(found["before"]) <= most:
            return Mark(number, found.start("rest"))
        if found is not None and found["rest"] is None and number < where.line:
            return None
    return None


_OPENED = {
    "while parsing a flow mapping": ("a { of a mapping", "a , between its keys, and a } at its end"),
    "while parsing a flow sequence": ("a [ of a list", "a , between its items, and a ] at its end"),
    "while scanning a quoted scalar": ("a quotation mark", "one more at the end of the text"),
}
"""What was begun, by the library's words for what it was doing, and what is missing."""


def _begun(error: yaml.YAMLError, lines: Sequence[str], where: Mark, file: str) -> Problem | None:
    """Tell what was begun and never came to its end, where it begins: `where` it was noticed is any number of lines further on."""
    doing, opened = str(getattr(error, "context", "")), getattr(error, "context_mark", None)
    if opened is None or opened.line >= len(lines):
        return None
    if doing == "while parsing a block collection":
        expected = f"{opened.column} spaces and '- ', or {opened.column + 2} for a key of an item"
        hint = f"the line is {lines[where.line - 1].strip()[:80]!r}; its list begins in line {opened.line + 1}"
        return Problem(file, *where, "a line that does not stand under the others", expected, hint)
    if doing not in _OPENED:
        return None
    what, lacks = _OPENED[doing]
    further = f"; it is still open in line {where.line}" if where.line != opened.line + 1 else ""
    hint = f"the line is {lines[opened.line].strip()[:80]!r}{further}"
    return Problem(file, opened.line + 1, opened.column + 1, f"{what} that is not closed", lacks, hint)


class _Walk:
    """Turns nodes into values, and notes where each is. The depth was checked before."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.values: dict[Place, Mark] = {}
        self.keys: dict[Place, Mark] = {}
        self.inside: dict[Place, int] = {}
        self.words: dict[Place, str] = {}
        self.problems: list[Problem] = []

    def value(self, node: yaml.Node, place: Place) -> Json:
        self.values[place] = _start(node)
        if isinstance(node, yaml.MappingNode):
            self._plain(node, "map")
            return self._mapping(node, place)
        if isinstance(node, yaml.SequenceNode):
            self._plain(node, "seq")
            return [self.value(each, (*place, number)) for number, each in enumerate(node.value)]
        if not isinstance(node, yaml.ScalarNode):  # there is no other kind
            return None
        if node.start_mark.line == node.end_mark.line and node.style not in {"|", ">"}:
            quote = 1 if node.style else 0
            if node.end_mark.column - node.start_mark.column == len(node.value) + 2 * quote:
                self.inside[place] = quote
        found = self._scalar(node, octal=place[-1:] == ("mode",) and place[-2:-1] != ("environment",))
        if isinstance(found, bool | int | float) and str(node.value).lower() != str(found).lower():
            self.words[place] = str(node.value)
        return found

    def _mapping(self, node: yaml.MappingNode, place: Place) -> Json:
        found: dict[str, Json] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self._add(key, "a mapping or list as a key", "a word as a key")
                continue
            # As it is written: YAML 1.1 would make true of the key `on`.
            name = str(key.value)
            if name in found:
                first = self.keys[*place, name]
                self._add(key, f"the key {name[:64]!r} a second time", "each key once", f"it is in line {first.line} already")
                continue
            self.keys[*place, name] = _start(key)
            found[name] = self.value(value, (*place, name))
        return found

    def _scalar(self, node: yaml.ScalarNode, *, octal: bool) -> Json:
        text = str(node.value)
        kind = node.tag.removeprefix(_TAG)
        if kind == "null":
            return None
        if kind == "bool" and text.lower() in _BOOLS:
            return _BOOLS[text.lower()]
        if kind in {"int", "float"} and ":" not in text:
            if octal and kind == "int":
                return self._mode(node, text)
            return self._number(node, text, kind)
        if kind not in {"str", "int", "float", "timestamp", "merge", "value"}:
            self._plain(node, "str")
        return text

    def _mode(self, node: yaml.ScalarNode, text: str) -> Json:
        """Return a file's mode, which is octal to everybody; nothing else is. Without the 0 in front it would be another number."""
        if not _MODE.fullmatch(text):
            self._add(node, f"the mode {text[:24]}", MODE)
            return 0
        return int(text, 8)

    def _number(self, node: yaml.ScalarNode, text: str, kind: str) -> Json:
        if not _DECIMAL.fullmatch(text) and len(text) <= _LONGEST_NUMBER:
            self._add(node, f"the number {text}{_read_as(text, kind)}", "a number as people write it, in decimal", _ODD)
            return 0
        digits = text.lower()
        try:
            if len(text) > _LONGEST_NUMBER:
                raise ValueError(text)
            number = int(digits) if kind == "int" else float(digits.replace(".inf", "inf").replace(".nan", "nan"))
        except ValueError:
            self._add(node, f"the number {text[:24]}… of {len(text)} characters" if len(text) > _LONGEST_NUMBER else text, "a number")
            return 0
        if not math.isfinite(number):
            self._add(node, text, "a finite number")
            return 0
        return number

    def _plain(self, node: yaml.Node, kind: str) -> None:
        if node.tag != _TAG + kind:
            hint = "put quotes around text that begins with !" if node.tag.startswith("!") else ""
            self._add(node, f"the tag {node.tag[:64]}", "plain values without tags", hint)

    def _add(self, node: yaml.Node, found: str, expected: str, hint: str = "") -> None:
        self.problems.append(Problem(self.file, *_start(node), found, expected, hint))


def _read_as(text: str, kind: str) -> str:
    """Say what YAML 1.1 makes of a number that is not written in decimal, where that is another one than meets the eye."""
    bare = text.lstrip("+-").replace("_", "")
    if kind == "int" and bare.isdigit() and bare.startswith("0"):
        return f", which YAML reads as octal: {int(bare, 8)}" if not set(bare) & set("89") else ""
    return ""


def _start(node: yaml.Node) -> Mark:
    return Mark(node.start_mark.line + 1, node.start_mark.column + 1)
