"""Checkers against simulated runs, whose truth is known by construction: never held where it is broken, never broken where it is kept.

The same seeds every time, and some that nobody has tried before; a failure says how to see its seed again.
``python -m tests.simulation --count 5000`` tries as many as you like.
"""

from __future__ import annotations

import ast
import functools
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import ClassVar

import pytest

from harness.checkers import (
    CHECKERS,
    Bystanders,
    CameInTime,
    Conflicts,
    Elections,
    QuorumSurvived,
    Rescheduled,
    Scaled,
    Settled,
    Single,
    Writes,
)
from harness.core.values import SEEDS, Finding, Verdict
from harness.history.events import History
from harness.history.interfaces import Checker
from tests.simulation.cluster import Wishes
from tests.simulation.judging import UNASKED, Change, answers, disagreements, questions, told, verdict
from tests.simulation.noise import NOISES, Noise
from tests.simulation.run import Run, simulate
from tests.simulation.truth import B, H, U
from tests.simulation.violations import BROKEN, DOUBTFUL, Violation, never_scaled

HERE = Path(__file__).parent

KNOWN = {"harness.core.values", "harness.core.traits", "harness.core.topology", "harness.history.events"}
"""What the simulation, and the truth, know of the harness: its words, who is on which side of a cut, and how events are told."""

FIRST_IN_CI = 500_000
"""The first seed of those that stand for the new ones where the environment has ``CI`` set."""
BLOCK = 10
"""Seeds that one test tries: workers share them."""


simulated = functools.lru_cache(maxsize=60)(simulate)
"""The same runs serve many tests."""


def tried(seeds: Sequence[int], wishes: Wishes | None = None) -> str:
    """Try seeds, and return what was wrong."""
    runs = (simulate(seed, wishes) for seed in seeds)
    return "\n\n".join(told(run, wrong) for run in runs if (wrong := disagreements(run)))


@pytest.mark.parametrize("first", range(0, 80, BLOCK))
def test_checkers_tell_the_truth(first: int) -> None:
    """Seeds that are always the same."""
    assert not (wrong := tried(range(first, first + BLOCK))), wrong


@pytest.mark.parametrize("block", range(4))
def test_checkers_tell_the_truth_of_runs_never_seen(block: int) -> None:
    """Seeds that are new every time: with six digits, to be typed. Where a change is let in or not, luck has no say: there they are the same."""
    fresh = [secrets.randbelow(SEEDS) for _ in range(BLOCK)]
    always = range(FIRST_IN_CI + block * BLOCK, FIRST_IN_CI + (block + 1) * BLOCK)
    assert not (wrong := tried(always if os.environ.get("CI") else fresh)), wrong


@pytest.mark.parametrize(
    "wishes",
    [
        Wishes("overlap", half_made=True),
        Wishes("three"),
        Wishes("three", half_made=True),
        Wishes("one", crashes=True),
        Wishes("one", deeds=True),
        Wishes("overlap", deeds=True),
        Wishes("one", later=True),
    ],
    ids=str,
)
def test_checkers_tell_the_truth_of_what_is_rare(wishes: Wishes) -> None:
    """Three faults at once, one that fails half-way, work that crashes by itself, what is done on purpose, and an app that comes only then."""
    assert not (wrong := tried(range(200, 200 + BLOCK // 2), wishes)), wrong


@pytest.mark.parametrize(
    ("seed", "wishes"),
    [
        pytest.param(612450, Wishes(), id="work ran again before a machine was seen to be off"),
        pytest.param(20864043, Wishes(later=True), id="twice for less time than lies between two looks, under a fault"),
        pytest.param(13134071, Wishes("row"), id="an election set off before a fault, and won under it"),
        pytest.param(14006036, Wishes(deeds=True), id="a leader lost before its machine was seen to be off"),
        pytest.param(13133010, Wishes("close"), id="no home for a while, and one when that was allowed for"),
        pytest.param(14022034, Wishes(deeds=True), id="no majority by an action and a fault together"),
        pytest.param(30006007, Wishes("overlap"), id="not heard between two terms that follow each other"),
        pytest.param(30013019, Wishes("three", later=True), id="cut off by two cuts together, and then by a third"),
        pytest.param(30012044, Wishes("row", deeds=True), id="moved by an action when a fault hits its node"),
    ],
)
def test_checkers_tell_the_truth_of_what_is_near_an_edge(seed: int, wishes: Wishes) -> None:
    """Where one of the two was once wrong: the checker, or what stands here as the truth."""
    assert not (wrong := tried((seed,), wishes)), wrong


def runs(seed: int, wishes: Wishes | None = None) -> Iterator[Run]:
    """Yield runs with a fault, from a seed on, of which all can be judged: no machine was off by itself."""
    while True:
        if (run := simulated(seed, wishes)).faults and not run.outages:
            yield run
        seed += 1


@pytest.mark.parametrize("violation", BROKEN, ids=lambda each: each.__name__)
def test_what_is_put_in_is_convicted(violation: Violation) -> None:
    """By the checker that it belongs to, whatever else goes on."""
    for run, history in _changed(violation, 2):
        every = answers(run, history, of={BROKEN[violation]})
        assert verdict(every) is B, told(run, every)


@pytest.mark.parametrize("violation", DOUBTFUL, ids=lambda each: each.__name__)
def test_what_cannot_be_is_never_held(violation: Violation) -> None:
    """Of all that is held of a run, something is not when the run tells of it as well."""
    for run, history in _changed(violation, 2):
        held = {each.question.name for each in answers(run) if each.finding.verdict is H}
        every = [each for each in answers(run, history) if each.question.name in held]
        assert verdict(every) is not H, told(run, every)


@pytest.mark.parametrize("noise", NOISES, ids=lambda each: each.__name__)
def test_noise_turns_no_verdict_round(noise: Noise) -> None:
    """What was kept is not broken for it, and no run is held for it that was broken."""
    for run, history in _changed(noise, 3):
        every = answers(run, history)
        judged = next(each.finding.verdict for each in every if each.finding.checker == "assumptions") is H
        wrong = [each for each in every if each.wrong == "wrong broken" or (each.wrong == "wrong held" and judged)]
        assert not wrong, f"{noise.__name__}: {told(run, wrong)}"


def _changed(change: Noise | Violation, number: int) -> list[tuple[Run, History]]:
    """Return the first runs that a change has a place in, with the histories that it makes of them."""
    found: list[tuple[Run, History]] = []
    for run in runs(300, Wishes("one", deeds=True) if change is never_scaled else None):
        made = change(run, Random(run.seed))  # noqa: S311 - choices that can be repeated, not secrets
        if made is not None:
            found.append((run, run.history(tuple(made))))
        if len(found) == number:
            break
    return found


@dataclass(frozen=True)
class _Says:
    """A checker that says something else than it ought to."""

    of: Checker
    instead: Callable[[Finding], Verdict]
    name: ClassVar[str] = "says"

    def check(self, history: History) -> Finding:
        """Return its finding, with another verdict."""
        found = self.of.check(history)
        return replace(found, verdict=self.instead(found))


def _always(verdict: Verdict, of: type[Checker]) -> Change:
    return lambda each: _Says(each, lambda _: verdict) if isinstance(each, of) else each


def _longest(each: Checker) -> Checker:
    """Give all the time that the loss of a leader has."""
    if not isinstance(each, Rescheduled):
        return each
    return replace(each, budgets=dict.fromkeys(each.budgets, max(each.budgets.values(), key=lambda budget: budget.seconds)))


def _slack(seconds: float) -> Change:
    return lambda each: replace(each, within=seconds) if isinstance(each, Rescheduled) else each


def _election(seconds: float) -> Change:
    return lambda each: replace(each, election=seconds) if isinstance(each, QuorumSurvived) else each


WRONG: dict[str, Change] = {
    "what is late is in time": _slack(60.0),
    "what is in time is late": _slack(3.0),
    "whoever is lost, the leader was": _longest,
    "an election may take a minute": _election(60.0),
    "an election may take no time": _election(0.5),
    "unknown is held": lambda each: _Says(each, lambda found: H if found.verdict is U else found.verdict),
    "broken is unknown": lambda each: _Says(each, lambda found: U if found.verdict is B else found.verdict),
    "held is unknown": lambda each: _Says(each, lambda found: U if found.verdict is H else found.verdict),
    "writes are lost": _always(B, Writes),
    "never whole again": _always(B, Settled),
    "two on a node": _always(B, Conflicts),
    "whoever stays moved": _always(B, Bystanders),
    "once is twice": _always(B, Single),
    "what came did not": _always(B, CameInTime),
    "whoever elected did so too often": _always(B, Elections),
    "nobody ever elected too often": _always(H, Elections),
    "as many as were asked for never ran": _always(B, Scaled),
    "as many as were asked for always ran": _always(H, Scaled),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_checker_is_found(wrong: str) -> None:
    """Seeds convict checkers that are wrong: the truth that they are held against is no copy of what they say."""
    wishes = Wishes("one", deeds="asked for" in wrong)  # what is asked for by actions
    assert any(disagreements(simulated(seed, wishes), WRONG[wrong]) for seed in range(150))


def test_every_checker_is_held_against_simulated_runs() -> None:
    """One that is registered is asked about some run, or a reason stands in `UNASKED`."""
    asked: set[str] = set()
    seed = 1000
    while not asked >= {*CHECKERS} - {*UNASKED} and seed < 1020:
        asked |= {each.checker.name for each in questions(simulated(seed, Wishes("one", deeds=True)))}
        seed += 1
    assert asked | {*UNASKED} == {*CHECKERS}, "ask each in judging.py, or say in UNASKED why not"
    assert asked.isdisjoint(UNASKED)


@pytest.mark.parametrize(
    "module",
    [
        "cluster",
        "faults",
        "deeds",
        "waiting",
        "world",
        "quorum",
        "scheduler",
        "witnesses",
        "run",
        "truth",
        "recovery",
        "staying",
        "electing",
        "outcomes",
    ],
)
def test_the_truth_is_worked_out_without_what_is_tried(module: str) -> None:
    """Nothing that reads a history, or judges one, has a part in it."""
    tree = ast.parse((HERE / f"{module}.py").read_text(encoding="utf-8"))
    imported = {each.module or "" for each in ast.walk(tree) if isinstance(each, ast.ImportFrom)}
    imported |= {name.name for each in ast.walk(tree) if isinstance(each, ast.Import) for name in each.names}
    assert {name for name in imported if name.startswith("harness")} <= KNOWN
    ours = {name.removeprefix("tests.simulation.") for name in imported if name.startswith("tests.")}
    assert ours.isdisjoint({"judging", "plan"})
