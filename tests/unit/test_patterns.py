"""No regular expression over somebody else's text looks at a place of it more than once, whatever stands there.

Each pattern of the package is given lines of its own letters, used as the package uses it, and what that costs is counted in the processor's time of
this thread alone: a pattern that tries each place once takes some microseconds for such a line, one that comes back to each place a hundred times as
much, and one that does so twice does not end at all.
"""

from __future__ import annotations

import ast
import importlib
import itertools
import pkgutil
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest

import harness
from harness import document
from harness.core.errors import BadInput

SHORT = 250
LONG = 4000
SECONDS = 0.002
"""Of the processor, for a line of `LONG` characters. One pass takes some 0.00005, a pass from each place 0.01 and more."""
TRIES = 5
PAIRS = 200
"""Of its letters that a pattern is given long lines of, drawn anew in each run: there are a thousand of some. All are tried in short ones."""
SEARCHING = frozenset({"search", "finditer", "findall", "sub", "split"})
METHODS = ("fullmatch", "match", "search")
CALLED = re.compile(rf"\bre\s*\.\s*(?:{'|'.join([*sorted(SEARCHING), *METHODS])})\b")
FLAGS = ("ASCII", "DOTALL", "IGNORECASE", "MULTILINE")


@dataclass(frozen=True)
class Use:
    """A pattern, and how the package looks for it: anywhere in a text, or from its beginning."""

    where: str
    pattern: re.Pattern[Any]
    method: str


def uses() -> Iterator[Use]:
    """Yield every pattern of the package that is written out, once for each way in which its module uses it."""
    for found in pkgutil.walk_packages(harness.__path__, "harness."):
        if found.name.startswith("harness.testing") or found.name.endswith("__main__"):
            continue
        module = importlib.import_module(found.name)
        source = Path(str(module.__file__)).read_text(encoding="utf-8")
        for name, value in vars(module).items():
            if isinstance(value, re.Pattern) and re.search(rf"^{name}\b[^\n=]*= re\.compile", source, re.MULTILINE):
                methods = set(re.findall(rf"\b{name}\.(\w+)", source))
                yield Use(f"{found.name}.{name}", value, "search" if methods & SEARCHING else "fullmatch")
            for key, each in value.items() if isinstance(value, dict) else ():
                if isinstance(each, re.Pattern):
                    yield Use(f"{found.name}.{name}[{key!r}]", each, "match")
        if not CALLED.search(source):  # reading a module as a tree is most of what this takes
            continue
        for node in ast.walk(ast.parse(source)):
            if (
                (called := _called_of_re(node)) in {*SEARCHING, *METHODS}
                and isinstance(node, ast.Call)
                and isinstance(node.args[0], ast.Constant)
            ):
                said = ast.unparse(node)
                flags = sum(int(getattr(re, each)) for each in FLAGS if f"re.{each}" in said)
                pattern = re.compile(ast.literal_eval(node.args[0]), flags)
                yield Use(f"{found.name}:{node.lineno}", pattern, "search" if called in SEARCHING else called)


def _called_of_re(node: ast.AST) -> str:
    """Return the function of `re` that is called with something; empty for anything else."""
    called = node.func if isinstance(node, ast.Call) and node.args else None
    return called.attr if isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name) and called.value.id == "re" else ""


def lines(pattern: re.Pattern[Any], length: int, rng: Random | None = None) -> Iterator[Any]:
    """Yield lines of the pattern's own letters, one or two of them over and over, with an end that it does not fit; with `rng` only of some pairs."""
    said = pattern.pattern if isinstance(pattern.pattern, str) else pattern.pattern.decode("latin-1")
    letters = sorted({each for each in said if each.isprintable()} | set(" a1:-."))
    pairs = [*map("".join, itertools.permutations(letters, 2))]
    for unit in (*letters, *(rng.sample(pairs, min(PAIRS, len(pairs))) if rng else pairs)):
        line = (unit * length)[:length] + "\x01"
        yield line if isinstance(pattern.pattern, str) else line.encode("latin-1")


def cost(use: Use, line: Any) -> float:
    """Return the seconds of the processor that looking through a line takes; the least of some tries, as the rest is not the pattern's."""
    look = getattr(use.pattern, use.method)
    least = SECONDS * 1000
    for _ in range(TRIES):
        began = time.thread_time()
        look(line)
        least = min(least, time.thread_time() - began)
        if least < SECONDS:
            break
    return least


def test_a_pattern_tries_no_place_of_a_text_twice(rng: Random) -> None:
    """Where a short line takes its time already a long one would not end, so that one is asked first."""
    slow = {}
    for use in uses():
        for length, some in ((SHORT, None), (LONG, rng)):
            if line := next((line[:2] for line in lines(use.pattern, length, some) if cost(use, line) >= SECONDS), None):
                slow[use.where] = f"{use.pattern.pattern!r} takes too long for {length} characters of {line!r}"
                break
    assert not slow


@pytest.mark.parametrize(("pattern", "comes_back"), [(r"(?:^|(?<=-))[ ]*(?:- *)*x", True), ("-+x", True), ("(?<![ -])[ -]*+x", False)])
def test_what_such_a_pattern_costs_is_seen(pattern: str, *, comes_back: bool) -> None:
    """The control: the measure tells one that comes back from one that does not."""
    use = Use("control", re.compile(pattern), "search")
    assert any(cost(use, line) >= SECONDS for length in (SHORT, LONG) for line in lines(use.pattern, length)) == comes_back


@pytest.mark.parametrize(
    "text",
    [
        "a: x" + " -" * 16_000 + "\n b: c\n",
        "a: x " + "-" * 60_000 + " b: c\n",
        "a: x" + " " * 60_000 + "b: c: d\n",
        "a: x" + " : -" * 16_000 + " b: c\n",
        "a: x\n" + "- " * 30_000 + "\n b: c\n",
    ],
    ids=["dashes and spaces", "dashes", "spaces", "colons", "items"],
)
def test_a_slip_in_a_long_line_of_yaml_is_told_at_once(text: str) -> None:
    """However many of the signs that belong in front of a key it has."""
    with pytest.raises(BadInput):
        document.parse(text, "x.yaml")


@pytest.mark.parametrize(
    ("line", "column"),
    [
        ("\u00a0a: b", 1),
        ("  \u00a0a: b", 3),
        ("a:\u00a0b: c", 3),
        ("a: \u2003b: c", 4),
        ("-\u00a0a: b", 2),
        ("- - \u200ba: b", 5),
        ("a: b -\u00a0c: d", 7),
        ("a: b -  - \u00a0c: d", 11),
    ],
)
def test_what_looks_like_a_space_is_found_where_a_space_belongs(line: str, column: int) -> None:
    """At the beginning of a line and behind the sign of a key or an item."""
    with pytest.raises(BadInput) as said:
        document.parse(f"x: [\n{line}\n", "x.yaml")
    (problem,) = said.value.problems
    assert (problem.line, problem.column) == (2, column)
    assert "looks like a space" in problem.found


def test_a_character_like_a_space_inside_of_text_is_not_what_is_wrong() -> None:
    """Nobody asked for a space there."""
    with pytest.raises(BadInput) as said:
        document.parse("a: b\u00a0c: d\n", "x.yaml")
    assert "looks like a space" not in said.value.problems[0].found
