"""Figures as people read them: one form for each kind of time, and no sentence that makes its own."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from harness.core.figures import about, at, given, lasted, quick, share
from harness.core.values import Budget, Term

HARNESS = Path(__file__).parents[2] / "harness"

SECONDS = re.compile(r" m?s\b")
"""What stands right behind a time in a sentence. A unit without a space (`5s`) is for programs."""
TEMPLATE = re.compile(r"\{\w*(?::[^{}]*)?\} m?s\b|%(?:\(\w+\))?[-+ #0-9]*(?:\.\d+)?[dfgs] m?s\b")
ROUNDED = re.compile(r"[-+ #0-9,_]*(?:\.\d+)?[eEfFgG]")
FIGURES = (ast.BinOp, ast.Call, ast.Constant, ast.FormattedValue, ast.JoinedStr)
"""What of a module may say a figure."""
OTHER = re.compile(r" ?(?:[KMG]i?B\b|times\b|processes\b|ticks\b|more that were due\b|of a core\b|a second\b)")
"""Units of figures that are no times."""


@functools.cache
def nodes() -> Mapping[str, list[ast.AST]]:
    """Return what each of our modules is made of, as far as it may hold a figure: texts, sums and calls."""
    return {
        str(path.relative_to(HARNESS)): [
            node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, FIGURES)
        ]
        for path in sorted(HARNESS.rglob("*.py"))
    }


def homemade(nodes: list[ast.AST]) -> Iterator[str]:
    """Yield the line and the figure of each place where a sentence puts a time into words by itself."""
    for node in nodes:
        if isinstance(node, ast.JoinedStr):
            said = "".join(str(part.value) for part in node.values if isinstance(part, ast.Constant))
            for part, behind in zip(node.values, [*node.values[1:], None], strict=True):
                text = str(behind.value) if isinstance(behind, ast.Constant) else ""
                spec = part.format_spec if isinstance(part, ast.FormattedValue) else None
                rounded = isinstance(spec, ast.JoinedStr) and ROUNDED.fullmatch(
                    "".join(str(getattr(each, "value", "")) for each in spec.values)
                )
                if isinstance(part, ast.FormattedValue) and (SECONDS.match(text) or (rounded and " " in said and not OTHER.match(text))):
                    yield f"{part.lineno}: {ast.unparse(part.value)}{text[:12]!r}"
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add) and isinstance(node.right, ast.Constant):
            if SECONDS.match(str(node.right.value)):
                yield f"{node.lineno}: {ast.unparse(node)}"
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and TEMPLATE.search(node.value):
            yield f"{node.lineno}: {node.value[:40]!r}"


SHARES_OF_A_LOAD = {"checkers/troubles.py", "checkers/slowness.py"}
"""Where a share is one of a machine's time that somebody waited: in whole percent, and compared with nothing that was promised."""


def test_every_share_that_a_sentence_says_is_put_into_words_in_one_place() -> None:
    """Or what was missed by a little reads as what was promised."""
    made = {
        path
        for path, every in nodes().items()
        for node in every
        if (isinstance(node, ast.FormattedValue) and node.format_spec and ast.unparse(node.format_spec).rstrip("'\"").endswith("%"))
        or (isinstance(node, ast.Constant) and re.search(r"\{\w*:[^{}]*%\}", str(node.value)))
    }
    assert made <= {"core/figures.py", *SHARES_OF_A_LOAD}


def test_a_duration_that_is_said_is_not_spelled_as_one_that_is_written() -> None:
    """One limit has one figure, in seconds, in the plan, in the live view, in findings and in tables, however the file wrote it."""
    written = {
        path
        for path, every in nodes().items()
        for node in every
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"spelled", "units.spelled"}
    }
    # What may be pasted into a file: a unit that was meant, and what is expected in place of what stands there.
    assert written <= {"core/units.py", "steps/awaiting.py", "conductor/spelling.py", "modes/swarm/stacks.py"}


def test_every_time_that_a_sentence_says_is_put_into_words_in_one_place() -> None:
    """Or one outage has two figures. A new sentence takes the form that fits from `harness.core.figures`."""
    assert [f"{path}:{place}" for path, every in nodes().items() if not path.endswith("/figures.py") for place in homemade(every)] == []


@pytest.mark.parametrize(
    "source",
    [
        "f'{gap:.1f} s'",
        "f'no answer for {gap} s, or more'",
        "f'{least * 1000:.0f} ms at the median'",
        "f'{going:.1f} of {lasted(budget)}'",
        "'{} s'.format(gap)",
        "'waited %.1f s' % gap",
        "str(gap) + ' s'",
    ],
)
def test_a_sentence_that_makes_its_own_figure_is_found(source: str) -> None:
    """However it does."""
    assert list(homemade([*ast.walk(ast.parse(source))]))


@pytest.mark.parametrize(
    "source",
    ["f'for {lasted(gap)}'", "f'{size / 1e6:.0f} MB'", "f'--on-active={patience:.3f}s'", "f'{share:.1%} of calls'", "f'{noun}s'", "'5 s'"],
)
def test_what_is_no_time_or_is_for_programs_is_not(source: str) -> None:
    """Bytes, shares, arguments of programs, and what is written out."""
    assert not list(homemade([*ast.walk(ast.parse(source))]))


@pytest.mark.parametrize(
    ("said", "figure"),
    [
        (lasted(7.678), "7.7 s"),
        (lasted(0.154), "0.15 s"),
        (lasted(0.97), "1.0 s"),
        (lasted(936.24), "936.2 s"),
        (at(124.603), "124.6 s"),
        (at(0.04), "0.0 s"),
        (given(30.0), "30 s"),
        (given(16.25), "16.25 s"),
        (given(0.125), "0.125 s"),
        (given(5.0 * 1.2345), "6.17 s"),
        (given(float("inf")), "inf s"),
        (about(44.2), "45 s"),
        (about(125.0), "125 s"),
        (about(-1.0), "0 s"),
        (quick(0.0123), "12.3 ms"),
        (quick(0.2), "200 ms"),
        (quick(1.26), "1.3 s"),
        (share(0.99), "99%"),
        (share(1.0), "100%"),
        (share(0.5, 0.9), "50.0%"),
        (share(0.9995), "99.95%"),
        (share(0.9896, 0.99), "98.96%"),
        (share(0.6666666, 0.5), "66.7%"),
        (share(0.9996, 0.9995), "99.96%"),
        (share(1.0, 0.9995), "100.0%"),
    ],
)
def test_each_kind_of_figure_has_one_form(said: str, figure: str) -> None:
    """What was measured, when it was, what was chosen, what is ahead, what takes milliseconds, and a share."""
    assert said == figure


def test_the_terms_of_a_budget_have_the_form_of_its_sum() -> None:
    """The table, the view and the sum say the same figure."""
    budget = Budget((Term("agent_ttl", 30.0, ""), Term("etcd sync", 0.125, ""), Term("pass", 1 / 3, "")))
    assert budget.spelled() == "agent_ttl 30 + etcd sync 0.125 + pass 0.333 = 30.46 s"
