"""Mutants of a run of which something is promised of the time of a fault, or of the rest: what lies in it convicts, and nothing else does."""

from __future__ import annotations

import dataclasses
from typing import Any, cast

import pytest

from harness.core.values import Outcome, Stage
from harness.history.events import FaultStage, MemberSeen, Watching
from harness.testing.histories import chained
from harness.testing.mutations import Mutation, add, between, both, change, drop, numbered, of
from tests.unit.mutants import BROKEN, HELD, RUN, UNKNOWN, EventMutant, judge, told
from tests.unit.retelling import AGAIN, WEB1, WEB2, answers, ran, uncalled, unread

LATE = answers(12.0, 52.0, "get", Outcome.FAIL)
AGAIN_LED = tuple((30.0 + number / 100, MemberSeen(node, 3, "n1")) for number, node in enumerate(("n1", "n3")))


def _unled(start: float, end: float) -> Mutation:
    """Members follow nobody for a while, and then the same one in the same term."""
    lost = [(start, MemberSeen(node, 2, None)) for node in ("n1", "n3")]
    return add(*lost, *((end, MemberSeen(node, 2, "n1")) for node in ("n1", "n3")))


def _renumbered(event: Any) -> FaultStage:
    """The fault has another number than the plan gave it."""
    return dataclasses.replace(cast("FaultStage", event), fault=2)


EVENTS = [
    EventMutant("no good call in it", "named", LATE, BROKEN, "availability", "35 s were allowed"),
    EventMutant(
        "no good call in it, of which not all were told",
        "named",
        both(LATE, numbered(uncalled(25.0, 40.0, "get"))),
        UNKNOWN,
        "availability",
        "calls were made in",
    ),
    EventMutant("no good call from its middle on", "named", answers(42.0, 53.5, "get", Outcome.FAIL), HELD, "availability"),
    EventMutant(
        "no good call after it", "named", answers(58.0, 66.0, "get", Outcome.FAIL), BROKEN, "availability", "while loss was not there"
    ),
    EventMutant("no good call before it", "named", answers(2.0, 9.0, "get", Outcome.FAIL), HELD, "availability"),
    EventMutant("one instance on two nodes in it", "named", ran(44, 48, "n1", WEB1, WEB2), BROKEN, "single", "while loss was in force"),
    EventMutant("one instance on two nodes after it", "named", ran(57, 61, "n1", WEB1, WEB2), HELD, "single"),
    EventMutant("two instances on a node in it", "named", ran(44, 48, "n3", WEB2, AGAIN), BROKEN, "conflicts", "while loss was in force"),
    EventMutant("two instances on a node after it", "named", ran(57, 61, "n3", WEB2, AGAIN), HELD, "conflicts"),
    EventMutant("one that no fault hit stops in it", "named", ran(30, 33, "n1"), BROKEN, "bystanders", "while loss was in force"),
    EventMutant("one that no fault hit stops after it", "named", ran(57, 60, "n1"), HELD, "bystanders"),
    EventMutant(
        "writes refused in it",
        "named",
        numbered(both(answers(20, 40, "write", Outcome.FAIL), unread(20, 40))),
        BROKEN,
        "quorum",
        "loss: no write was acknowledged",
    ),
    EventMutant("writes refused after it", "named", numbered(both(answers(54, 65, "write", Outcome.FAIL), unread(54, 65))), HELD, "quorum"),
    EventMutant("two leaders in a term after it", "named", add((60.0, MemberSeen("n3", 2, "n3"))), BROKEN, "quorum", "in term 2"),
    EventMutant("the same leader in a new term in it", "named", add(*AGAIN_LED), BROKEN, "elections", "n1 in term 3 at 30.0 s"),
    EventMutant(
        "a new term by one's word alone in it", "named", add((30.0, MemberSeen("n3", 3, "n1"))), UNKNOWN, "elections", "no majority"
    ),
    EventMutant(
        "a new term after it", "named", add(*((60.0, MemberSeen(node, 3, "n1")) for node in ("n1", "n2", "n3"))), HELD, "elections"
    ),
    EventMutant("nobody led in it", "named", _unled(30.0, 37.5), BROKEN, "elections", "nobody led for 7.0 s from 30.0 s"),
    EventMutant("nobody led in it for a while", "named", _unled(30.0, 33.5), HELD, "elections"),
    EventMutant("nobody led after it", "named", _unled(57.5, 65.0), HELD, "elections"),
    EventMutant(
        "members that were not heard in it",
        "named",
        drop(between(20.0, 40.0, lambda _, each: isinstance(each, Watching) and each.observer == "membership")),
        UNKNOWN,
        "elections",
        "perhaps for",
    ),
    EventMutant(
        "one that never came into force",
        "named",
        drop(of(FaultStage, stage=Stage.IN_FORCE)),
        UNKNOWN,
        "single",
        "loss (node.kill on n2) never came into force",
    ),
    EventMutant("another one's number", "named", change(of(FaultStage), _renumbered), UNKNOWN, "single", "loss (fault 1) was never made"),
]


@pytest.mark.parametrize("mutant", EVENTS, ids=lambda mutant: f"{mutant.base}: {mutant.name}")
def test_what_is_told_is_what_is_judged(mutant: EventMutant) -> None:
    """The verdict, the checker that gives it, and the reason."""
    changed = mutant.mutation(told(mutant.base))
    assert list(changed) != list(told(mutant.base))
    judge(mutant.base, chained(changed, RUN), mutant.outcome, mutant.by, mutant.words)
