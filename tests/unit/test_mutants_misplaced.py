"""Mutants: words of nobody and of another time, silence taken for a word, faults whose end nobody knows, two runs in one."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pytest

from harness.core.values import NodeState, Outcome, Stage
from harness.history.events import (
    Answered,
    ApiSeen,
    Checked,
    DockerEvent,
    FaultStage,
    Fingerprinted,
    Invoked,
    MemberSeen,
    NodeSeen,
    Stalled,
    Wholeness,
)
from harness.testing.histories import chained
from harness.testing.mutations import (
    Mutation,
    Timed,
    add,
    between,
    both,
    called,
    change,
    drop,
    either,
    move,
    numbered,
    of,
)
from tests.unit.mutants import (
    BROKEN,
    HELD,
    RUN,
    UNKNOWN,
    EventMutant,
    judge,
    told,
)
from tests.unit.retelling import (
    edit,
    fault,
    ran,
    shows,
    uncalled,
)


def _undone(events: Sequence[Timed]) -> list[Timed]:
    """The first fault is found to be no longer in force just before healing begins, as far as can be asked."""
    when, healing = next((time, event) for time, event in events if isinstance(event, FaultStage) and event.stage is Stage.HEALING)
    return add((when - 0.001, dataclasses.replace(healing, stage=Stage.FAILED, detail="no longer in force: something else undid it")))(
        events
    )


def _follows_since_just_after_the_cut(events: Sequence[Timed]) -> list[Timed]:
    """The last word of n1 is from 2 s after it was cut off: that it follows a leader that the others elected since."""
    cut = next(time for time, event in events if isinstance(event, FaultStage) and event.stage is Stage.IN_FORCE)
    silent = drop(between(cut, cut + 60.0, of(MemberSeen, node="n1")))(events)
    return add((cut + 2.0, MemberSeen("n1", 3, "n3")))(silent)


def _write_of(events: Sequence[Timed], key: str) -> int:
    """The number of the call that wrote a key."""
    (number,) = called(events, lambda call: call.function == "write" and call.key == key, 0, 999)
    return number


def ended_as(shift: int) -> Mutation:
    """From 60 s on tell of calls whose numbers are so much higher, and in the end of reads that find nothing of what was written."""

    def change_all(events: Sequence[Timed]) -> list[Timed]:
        late = {event.op for time, event in events if time >= 60.0 and isinstance(event, Invoked)}
        found: list[Timed] = []
        for time, event in events:
            told_so = event
            if isinstance(event, Answered) and event.workload == "register" and time > 69.0:
                told_so = dataclasses.replace(event, value=None)
            if isinstance(told_so, Invoked | Answered) and told_so.op in late:
                told_so = dataclasses.replace(told_so, op=told_so.op + shift)
            found.append((time, told_so))
        return found

    return change_all


def cut_in_a_call(missing: type[Invoked | Answered]) -> Mutation:
    """From 60 s on tell of a run that knows nothing of the beginning; of the call that is under way then only its answer, or only how it began."""

    def change_all(events: Sequence[Timed]) -> list[Timed]:
        changed = ended_as(0)(events)
        number = next(event.op for time, event in changed if time >= 60.0 and isinstance(event, Invoked))
        return [(time, event) for time, event in changed if not (isinstance(event, missing) and event.op == number)]

    return change_all


def answered_again() -> Mutation:
    """From 60 s on tell of a run that knows nothing of the beginning, whose first answer is to a call that was answered before."""

    def change_all(events: Sequence[Timed]) -> list[Timed]:
        changed = ended_as(0)(events)
        early = next(event for time, event in changed if time >= 50.0 and isinstance(event, Answered))
        return add((60.0, early))(changed)

    return change_all


EVENTS = [
    # silence that was taken for a word
    EventMutant(
        "a survivor off for 5 s, and silent since",
        "good",
        change(between(20, 25, of(NodeSeen, node="n1")), lambda _: NodeSeen("n1", NodeState.OFF)),
        UNKNOWN,
        "quorum",
        "but n1 could not be asked",
    ),
    EventMutant(
        "a survivor's member gives no answer",
        "good",
        add((15.0, MemberSeen("n3", error="timed out")), (60.0, MemberSeen("n3", 2, "n1"))),
        UNKNOWN,
        "quorum",
        "but n3 could not be asked",
    ),
    EventMutant(
        "a survivor's member never knew of a term",
        "good",
        edit(of(MemberSeen, node="n3"), term=0),
        UNKNOWN,
        "quorum",
        "but n3 could not be",
    ),
    EventMutant(
        "two follow one leader in two terms, by what they say",
        "good",
        both(edit(of(MemberSeen, node="n3"), term=3), add((57.0, MemberSeen("n1", 3, "n1")), (57.0, MemberSeen("n2", 3, "n1")))),
        UNKNOWN,
        "quorum",
        "had not heard of it yet",
    ),
    EventMutant(
        "a survivor follows nobody", "good", add((15.0, MemberSeen("n3", 2, None)), (56.0, MemberSeen("n3", 2, "n1"))), BROKEN, "quorum"
    ),
    EventMutant("a stall longer than any time", "good", add((30.0, Stalled("n1", 29.0, 1e308))), HELD, "quorum"),
    EventMutant(
        "a survivor died by itself, and with it the majority",
        "good",
        change(between(20, 45, of(NodeSeen, node="n1")), lambda _: NodeSeen("n1", NodeState.OFF)),
        UNKNOWN,
        "quorum",
        "n1 was off for 25.0 s from",
    ),
    EventMutant("a healthy instance never called", "good", numbered(uncalled(0, 70, key="web@1")), UNKNOWN, "availability", "never was"),
    EventMutant(
        "not whole, and the one that is missing could not be asked",
        "good",
        both(
            edit(of(Wholeness, when="after"), whole=False, missing=("n2 is unreachable", "n3's API does not list n2", "no leader")),
            edit(between(56, 71, of(NodeSeen, node="n2")), state=NodeState.UNREACHABLE),
        ),
        UNKNOWN,
        "settled",
        "n2 could not be asked for",
    ),
    EventMutant(
        "a member that knows of no term at the end",
        "good",
        add((55.0, MemberSeen("n2", 0, None))),
        UNKNOWN,
        "quorum",
        "n2 was in term 2 once and knew of no term",
    ),
    EventMutant(
        "a value that nobody wrote, after a time in which nobody called",
        "good",
        numbered(uncalled(20, 35, "write")),
        UNKNOWN,
        "writes",
        "found a value that nobody wrote",
    ),
    EventMutant(
        "said to be whole, and an API had last given no answer",
        "good",
        drop(between(53, 71, of(ApiSeen, node="n2"))),
        UNKNOWN,
        "settled",
        "n2's API had last given no answer",
    ),
    EventMutant(
        "said to be whole, and a member had last given no answer",
        "good",
        drop(between(53, 71, of(MemberSeen, node="n2"))),
        UNKNOWN,
        "settled",
        "n2's member had last given no answer",
    ),
    EventMutant(
        "said to be whole, and a member followed nobody",
        "good",
        add((55.0, MemberSeen("n2", 2, None))),
        UNKNOWN,
        "settled",
        "the members followed n1 and nobody",
    ),
    EventMutant(
        "a value that nobody wrote, before anybody called",
        "good",
        numbered(uncalled(0, 6, "write")),
        UNKNOWN,
        "writes",
        "but no write is told of for 5.0 s from 1.0 s",
    ),
    # a word from another time, or from nobody
    EventMutant(
        "a check that said no, asked at another time",
        "good",
        both(edit(of(Checked, node="n1"), outcome=Outcome.FAIL), move(of(Checked, node="n1"), -60.0)),
        UNKNOWN,
        "checks",
        "the last fault was over at 53.0 s",
    ),
    EventMutant(
        "a check under the fault that said no, asked when it was being healed",
        "good",
        add((52.0, Checked("port 1 is closed", "n1", "during", Outcome.FAIL, "open"))),
        UNKNOWN,
        "checks",
        "when there was none in force",
    ),
    EventMutant(
        "a check under the fault that said no",
        "good",
        add((50.9, Checked("port 1 is closed", "n1", "during", Outcome.FAIL, "open"))),
        BROKEN,
        "checks",
        "n1: port 1 is closed (during): saw open",
    ),
    EventMutant(
        "a check that said no, of a machine that was off",
        "good",
        add((30.0, Checked("port 1 is closed", "n2", "during", Outcome.FAIL, "open"))),
        UNKNOWN,
        "checks",
        "but the node was off then by node truth",
    ),
    EventMutant(
        "left behind, by a fingerprint from before the heal",
        "good",
        both(edit(of(Fingerprinted, when="after"), marks={"nft_tables": ["whalefall_1"]}), move(of(Fingerprinted, when="after"), -20.0)),
        UNKNOWN,
        "clean",
        "the last fault was over at 53.0 s",
    ),
    EventMutant(
        "not whole, by a word from before the heal",
        "good",
        both(edit(of(Wholeness, when="after"), whole=False, missing=("n2 is off",)), move(of(Wholeness, when="after"), -8.0)),
        UNKNOWN,
        "settled",
        "the last fault was over at 53.0 s",
    ),
    EventMutant(
        "a member answers that is off", "good", add((30.0, MemberSeen("n2", 2, "n1"))), UNKNOWN, "assumptions", "its member answered"
    ),
    EventMutant(
        "the API answers where it is off",
        "good",
        add(shows(30.0, "n2", {"web@1": "n1", "web@2": "n2"})),
        UNKNOWN,
        "assumptions",
        "its API answered",
    ),
    EventMutant(
        "a write acknowledged by one that is off",
        "good",
        edit(between(30, 31, of(Answered, workload="register")), by="n2"),
        UNKNOWN,
        "assumptions",
        "yet it answered a call",
    ),
    EventMutant(
        "a fingerprint of one that is off",
        "good",
        add((30.0, Fingerprinted("n2", "later", {"nft_tables": []}))),
        UNKNOWN,
        "assumptions",
        "a fingerprint was taken",
    ),
    EventMutant(
        "a write refused and acknowledged",
        "good",
        lambda events: add((30.001, Answered(_write_of(events, "k300"), "register", Outcome.FAIL)))(events),
        UNKNOWN,
        "assumptions",
        "answered twice",
    ),
    EventMutant(
        "the cut-off follows the others' leader since just after the cut",
        "partition-heal",
        _follows_since_just_after_the_cut,
        UNKNOWN,
        "assumptions",
        "yet n1 followed n3 in term 3",
    ),
    # a fault that nobody knows the end of
    EventMutant("nobody told when healing began", "good", drop(of(FaultStage, stage=Stage.HEALING)), UNKNOWN, "assumptions", "a line is"),
    EventMutant("nobody told that it was decided", "good", drop(of(FaultStage, stage=Stage.DECIDED)), UNKNOWN, "assumptions", "a line is"),
    EventMutant(
        "a fault that was never planned",
        "good",
        add(
            fault(54.0, Stage.DECIDED, number=2, name="net.partition"),
            fault(54.1, Stage.IN_FORCE, number=2, name="net.partition"),
            fault(54.9, Stage.HEALING, number=2, name="net.partition"),
            fault(55.0, Stage.HEALED, number=2, name="net.partition"),
        ),
        UNKNOWN,
        "assumptions",
        "fault 2 (net.partition) was never planned",
    ),
    EventMutant(
        "acknowledged under a cut that may have been over",
        "acknowledged-without-quorum",
        _undone,
        UNKNOWN,
        "quorum",
        "may have been over long before it was mended",
    ),
    EventMutant(
        "back nowhere, by nodes that say themselves that the power was off",
        "pinned-unit",
        _undone,
        BROKEN,
        "rescheduled",
        "ran nowhere else",
    ),
    EventMutant(
        "back just before the heal, and gone just after it",
        "good",
        both(ran(40, 47.9, "n3"), ran(51.3, 71, "n3"), drop(either(of(DockerEvent), of(Wholeness, when="after")))),
        UNKNOWN,
        "rescheduled",
        "when the fault was over, and had stopped",
    ),
    # two runs in one, of which one is broken
    EventMutant(
        "a node of another run",
        "good",
        add(*((20.0 + second, NodeSeen("n9", NodeState.UP)) for second in range(49))),
        UNKNOWN,
        "assumptions",
        "n9 was seen by node truth, and is no node of the plan",
    ),
    EventMutant(
        "a broken run after a held one",
        "good",
        lambda events: [*events, *((time + 70.0, event) for time, event in told("conflicts-missing"))],
        UNKNOWN,
        "conflicts",
        "that is not one run",
    ),
    EventMutant(
        "a held run after a broken one",
        "lost-write",
        lambda events: [*events, *((time + 200.0, event) for time, event in told("good"))],
        UNKNOWN,
        "assumptions",
        "that is not one run",
    ),
    EventMutant("the end of a run that knows nothing of the beginning", "good", ended_as(0), BROKEN, "writes", "acknowledged writes lost"),
    EventMutant("the end of another run, numbered as the beginning is", "good", ended_as(-200), UNKNOWN, "availability", "was begun at"),
    EventMutant("the end of another run, whose calls are far more", "good", ended_as(500), UNKNOWN, "writes", "were never begun"),
    EventMutant(
        "the end of another run, cut in the middle of a call", "good", cut_in_a_call(Invoked), UNKNOWN, "writes", "nobody had begun it"
    ),
    EventMutant("the end of a run, whose answer to one call is not told", "good", cut_in_a_call(Answered), BROKEN, "writes", "writes lost"),
    EventMutant("the end of another run, that answers the same call", "good", answered_again(), UNKNOWN, "writes", "was answered at"),
    EventMutant("a few calls that nobody tells of", "good", ended_as(90), BROKEN, "writes", "acknowledged writes lost"),
]


@pytest.mark.parametrize("mutant", EVENTS, ids=lambda mutant: f"{mutant.base}: {mutant.name}")
def test_what_is_told_is_what_is_judged(mutant: EventMutant) -> None:
    """The verdict, the checker that gives it, and the reason."""
    changed = mutant.mutation(told(mutant.base))
    assert list(changed) != list(told(mutant.base))
    judge(mutant.base, chained(changed, RUN), mutant.outcome, mutant.by, mutant.words)
