"""Mutants of a history's file, its lines changed as they stand: the chain must miss it, whatever is told."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from harness.core.errors import BadInput
from harness.core.values import Phase
from harness.history.events import (
    History,
    Note,
    PhaseBegan,
)
from harness.testing.histories import chained
from harness.testing.mutations import (
    Cut,
)
from tests.unit.mutants import (
    BREAKS,
    BROKEN,
    ENDS,
    RUN,
    UNKNOWN,
    LineMutant,
    judge,
    written,
)


def at(fraction: float) -> Callable[[list[bytes]], int]:
    """The line at that part of a file; never the first or the last."""
    return lambda lines: min(max(1, int(len(lines) * fraction)), len(lines) - 2)


def cut_out(fraction: float, count: int = 1) -> Cut:
    """Leave so many lines out."""
    return lambda lines: [*lines[: at(fraction)(lines)], *lines[at(fraction)(lines) + count :]]


def swapped(one: float, two: float) -> Cut:
    """Let two lines change places."""

    def swap(lines: list[bytes]) -> list[bytes]:
        a, b = at(one)(lines), at(two)(lines)
        b = b + 1 if a == b else b
        found = list(lines)
        found[a], found[b] = found[b], found[a]
        return found

    return swap


def replaced(old: bytes, new: bytes, count: int = 1) -> Cut:
    """Put other bytes in the place of some, in the first lines that have them."""

    def replace(lines: list[bytes]) -> list[bytes]:
        content = b"".join(lines)
        assert old in content
        return content.replace(old, new, count).splitlines(keepends=True)

    return replace


def without(*texts: bytes) -> Cut:
    """Leave out every line that has all of these."""

    def leave_out(lines: list[bytes]) -> list[bytes]:
        kept = [line for line in lines if not all(text in line for text in texts)]
        assert len(kept) < len(lines)
        return kept

    return leave_out


def until(fraction: float) -> Cut:
    """Cut off everything after."""
    return lambda lines: lines[: at(fraction)(lines)]


def inserted(fraction: float, *more: bytes) -> Cut:
    """Put lines in between."""
    return lambda lines: [*lines[: at(fraction)(lines)], *more, *lines[at(fraction)(lines) :]]


OTHER = chained([(0.1, Note("of another run")), (0.2, PhaseBegan(Phase.DONE))], "another-run").splitlines(keepends=True)

LINES = [
    LineMutant("one line cut out", "good", cut_out(0.5), UNKNOWN, "assumptions", "one line before it is missing"),
    LineMutant("twenty lines cut out", "good", cut_out(0.5, 20), UNKNOWN, "assumptions", "20 lines before it are missing"),
    LineMutant("the second line cut out", "good", cut_out(0.0), UNKNOWN, "assumptions", "breaks at line 2 (index 1, after 0.0 s)"),
    LineMutant("the first line cut off", "good", lambda lines: lines[1:], UNKNOWN, "assumptions", "breaks at line 1"),
    LineMutant("the first half cut off", "good", lambda lines: lines[len(lines) // 2 :], UNKNOWN, "assumptions", "breaks at line 1"),
    LineMutant("a line doubled", "good", lambda x: [*x[:99], x[98], *x[99:]], UNKNOWN, "assumptions", "line 100 (index 99"),
    LineMutant("all lines doubled in place", "good", lambda x: [y for y in x for _ in "ab"], UNKNOWN, "", "another history begins here"),
    LineMutant("the file twice", "good", lambda lines: lines * 2, UNKNOWN, "", f"another history begins here, of the run {RUN}"),
    LineMutant("neighbours swapped", "good", swapped(0.5, 0.5), UNKNOWN, "assumptions", BREAKS),
    LineMutant("distant lines swapped", "good", swapped(0.2, 0.8), UNKNOWN, "assumptions", BREAKS),
    LineMutant("in reverse", "good", lambda lines: lines[::-1], UNKNOWN, "assumptions", "breaks at line 1"),
    LineMutant("shuffled", "good", lambda x: random.Random(7).sample(x, len(x)), UNKNOWN, "", BREAKS),  # noqa: S311 - a fixed order
    LineMutant("another run glued on", "good", lambda lines: [*lines, *OTHER], UNKNOWN, "", "another history begins here"),
    LineMutant("another run glued before", "good", lambda lines: [*OTHER, *lines], UNKNOWN, "", "not of the run"),
    LineMutant("another run glued in", "good", inserted(0.5, *OTHER), UNKNOWN, "", "another history begins here"),
    LineMutant("a line of another run", "good", inserted(0.5, OTHER[1]), UNKNOWN, "", "its index is 1, which was there before"),
    LineMutant("another run in its place", "good", lambda _: OTHER, UNKNOWN, "", "it is the history of the run another-run"),
    LineMutant("a failure edited into a success", "good", replaced(b'"outcome":"fail"', b'"outcome":"ok"'), UNKNOWN, "", "does not fit"),
    LineMutant("a node's name edited", "good", replaced(b'"node":"n3"', b'"node":"n1"', 9), UNKNOWN, "", "does not fit"),
    LineMutant("a time edited", "good", replaced(b'"t":40.25', b'"t":40.24'), UNKNOWN, "", "does not fit"),
    LineMutant("a digest edited", "good", replaced(b'"h":"', b'"h":"0', 500), UNKNOWN, "", BREAKS),
    LineMutant("the run edited", "good", replaced(RUN.encode(), b"node-kill-fleet-s8"), UNKNOWN, "", "not of the run"),
    LineMutant("the count edited", "good", replaced(b'"lines":', b'"lines":1'), UNKNOWN, "", "lines stand before it"),
    LineMutant("lines end with CRLF", "good", lambda x: [y[:-1] + b"\r\n" for y in x], UNKNOWN, "", "it ends with CRLF"),
    LineMutant("no digests", "good", lambda x: [y[:-25] + b"}\n" for y in x], UNKNOWN, "", "it has no digest"),
    LineMutant("JSON written anew", "good", lambda x: [y.replace(b'","', b'", "') for y in x], UNKNOWN, "", BREAKS),
    LineMutant("the last line cut off", "good", lambda lines: lines[:-1], UNKNOWN, "", "the history was never closed"),
    LineMutant("the last end of line cut off", "good", lambda x: [*x[:-1], x[-1][:-1]], UNKNOWN, "", "the history was never closed"),
    LineMutant("cut off in the middle", "good", until(0.5), UNKNOWN, "", ENDS),
    LineMutant("cut off in a line", "good", lambda lines: [*lines[:500], lines[500][:33]], UNKNOWN, "", ENDS),
    LineMutant("only the first line", "good", lambda lines: lines[:1], UNKNOWN, "", "the history is empty"),
    LineMutant("nothing at all", "good", lambda _: [], UNKNOWN, "", "the history is empty"),
    LineMutant("only the first and the last line", "good", lambda x: [x[0], x[-1]], UNKNOWN, "", BREAKS),
    LineMutant("something after the end", "good", lambda x: [*x, x[-1]], UNKNOWN, "", "something stands after the end"),
    LineMutant("a byte order mark", "good", lambda lines: [b"\xef\xbb\xbf" + lines[0], *lines[1:]], None),
    LineMutant("an empty line", "good", inserted(0.5, b"\n"), None),
    LineMutant("rubbish in between", "good", inserted(0.5, b"rubbish\n"), None),
    LineMutant("two lines in one", "good", lambda x: [*x[:99], x[99][:-1] + x[100], *x[101:]], None),
    LineMutant("a line torn in the middle", "good", lambda x: [*x[:99], x[99][:30] + b"\n", *x[100:]], None),
    LineMutant("a key twice", "good", replaced(b'"kind":"member"', b'"kind":"member","term":9'), None),
    LineMutant("a term that is text", "good", replaced(b'"term":2', b'"term":"2"'), None),
    LineMutant("an index that is a fraction", "good", replaced(b'{"i":9,', b'{"i":9.0,'), None),
    LineMutant("Docker's time is no number", "good", replaced(b'"at":40.2', b'"at":NaN'), None),
    LineMutant("two on one node cut out", "conflicts-missing", without(b'"node":"n1"', b"web@1", b"web@3"), UNKNOWN, "conflicts", BREAKS),
    LineMutant("the lost key's last read cut out", "lost-write", without(b'"key":"k83"', b'"read"'), UNKNOWN, "writes", BREAKS),
    LineMutant("the lost key's write cut out", "lost-write", without(b'"key":"k83"', b'"write"'), UNKNOWN, "writes", BREAKS),
    LineMutant("a late start edited", "node-kill-too-late", replaced(b'"at":', b'"at":1'), BROKEN, "rescheduled", "only 42.3 s after n2 was lost"),
    LineMutant("every line of a fault cut out", "pinned-unit", without(b'"kind":"fault"'), UNKNOWN, "", BREAKS),
    LineMutant("the stray write cut out", "acknowledged-without-quorum", without(b'"stray"'), UNKNOWN, "quorum", BREAKS),
    LineMutant("broken before the break", "conflicts-missing", cut_out(0.9), BROKEN, "conflicts", "web@1 and web@3"),
    LineMutant("broken before it was cut off", "conflicts-missing", until(0.9), BROKEN, "conflicts", "web@1 and web@3"),
    LineMutant("broken, and never closed", "lost-write", lambda lines: lines[:-1], BROKEN, "writes", "1 acknowledged write lost"),
    LineMutant("broken after the break", "lost-write", cut_out(0.5), UNKNOWN, "writes", BREAKS),
    LineMutant("a real run, one line cut out", "real-partition-minority", cut_out(0.7), UNKNOWN, "assumptions", BREAKS),
    LineMutant("a real run, killed", "real-etcd-leader-kill", until(0.8), UNKNOWN, "assumptions", ENDS),
]  # fmt: skip


@pytest.mark.parametrize("mutant", LINES, ids=lambda mutant: f"{mutant.base}: {mutant.name}")
def test_a_file_that_was_changed_is_missed(mutant: LineMutant) -> None:
    """The verdict, the checker that gives it, and the reason."""
    content = b"".join(mutant.cut(written(mutant.base).splitlines(keepends=True)))
    assert content != written(mutant.base)
    if mutant.outcome is None:
        with pytest.raises(BadInput):
            History.read(content, run=RUN)
        return
    judge(mutant.base, content, mutant.outcome, mutant.by, mutant.words)
