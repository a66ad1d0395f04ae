"""Mutants in which those answer, lead, watch or run who cannot, a thing that is told once is told twice, and an outage is older than its fault."""

from __future__ import annotations

import pytest

from harness.core.values import Outcome, Stage
from harness.history.events import Answered, DockerEvent, FaultStage, Fingerprinted, MemberSeen, Watching, Wholeness
from harness.testing.histories import chained, container
from harness.testing.mutations import Mutation, add, between, both, move, of
from tests.unit.mutants import BROKEN, HELD, RUN, UNKNOWN, EventMutant, judge, told
from tests.unit.retelling import answered_by, answers, edit, ran

REGISTER = of(Answered, workload="register", outcome=Outcome.OK)


def followed(leader: str) -> Mutation:
    """Both survivors follow this one from 14 s on, in a term of its own, until all follow n1 again."""
    begun = [(14.0, MemberSeen(node, 3, leader)) for node in ("n1", "n3")]
    return add(*begun, *((54.5, MemberSeen(node, 4, "n1")) for node in ("n1", "n2", "n3")))


def half_made(time: float) -> Mutation:
    """A cut of n1 is decided, cannot be made, and is mended after a second."""
    stages = (Stage.DECIDED, Stage.FAILED, Stage.HEALING, Stage.HEALED)
    return add(*((time + at / 3, FaultStage(2, "net.partition", ("n1",), stage)) for at, stage in enumerate(stages)))


def refused(start: float, end: float) -> Mutation:
    """All calls to web@2 of a time fail."""
    return answers(start, end, "get", Outcome.FAIL, "web@2")


def later(seconds: float, *, to: float = 60.0) -> Mutation:
    """All good answers over HTTP of the 15 s from 45 s on come so much later."""
    return move(between(45, to, of(Answered, workload="http", outcome=Outcome.OK)), seconds)


EVENTS = [
    # acknowledged by who cannot
    EventMutant("all written by the lost node", "good", edit(between(15, 45, REGISTER), by="n2"), UNKNOWN, "assumptions", "n2"),
    EventMutant("one write by the lost node", "good", edit(between(20, 20.4, REGISTER), by="n2"), UNKNOWN, "assumptions", "n2"),
    EventMutant("written by a stranger", "good", edit(between(15, 45, REGISTER), by="n9"), UNKNOWN, "assumptions", "n9"),
    EventMutant("written by a stranger before the fault", "good", edit(between(3, 4, REGISTER), by="n9"), UNKNOWN, "assumptions", "n9"),
    EventMutant("written by nobody", "good", edit(between(15, 45, REGISTER), by=None), UNKNOWN, "assumptions", "by a member"),
    EventMutant("read back by a stranger", "good", edit(between(69, 71, REGISTER), by="n9"), UNKNOWN, "assumptions", "n9"),
    EventMutant("written by another survivor", "good", edit(between(15, 45, REGISTER), by="n3"), HELD, "quorum"),
    EventMutant("a stray write, by a stranger", "acknowledged-without-quorum", edit(REGISTER, by="n9"), UNKNOWN, "quorum", "n9 at 25.6 s"),
    EventMutant(
        "a real run, written by who lost etcd", "real-etcd-leader-kill", edit(between(20, 34, REGISTER), by="n2"), UNKNOWN, "quorum", "n2"
    ),
    EventMutant("a real run, written by a survivor", "real-etcd-leader-kill", edit(between(20, 34, REGISTER), by="n1"), HELD, "quorum"),
    EventMutant(
        "a real run, written by who is cut off",
        "real-partition-minority",
        edit(between(22, 38, REGISTER), by="n1"),
        UNKNOWN,
        "quorum",
        "n1",
    ),
    EventMutant("a real run, written by the majority", "real-partition-minority", edit(between(22, 38, REGISTER), by="n2"), HELD, "quorum"),
    # answered well by who does not run it
    EventMutant("served by nobody", "good", answered_by(15, 35, "web@2", ""), UNKNOWN, "assumptions", "by nobody"),
    EventMutant("served by a stranger", "good", answered_by(15, 35, "web@2", "n9"), UNKNOWN, "assumptions", "n9"),
    EventMutant("one answer by a stranger", "good", answered_by(50, 50.5, "web@2", "n9"), UNKNOWN, "assumptions", "n9"),
    EventMutant("served by its own node", "good", answered_by(40.3, 40.5, "web@2", "n3"), HELD, "availability"),
    # led by who cannot
    EventMutant("led by nobody in the plan", "good", followed("n9"), UNKNOWN, "quorum", "n9"),
    EventMutant("led by a machine that is off", "good", followed("n2"), UNKNOWN, "quorum", "n2"),
    EventMutant("led by a survivor, who says so", "good", followed("n3"), BROKEN, "quorum", "n3"),
    EventMutant(
        "led by a survivor, after a cut that could not be made", "good", both(half_made(12), followed("n3")), UNKNOWN, "quorum", "may have"
    ),
    EventMutant(
        "led by a survivor, before a cut that could not be made", "good", both(half_made(20), followed("n3")), BROKEN, "quorum", "n3"
    ),
    EventMutant("led by itself, as before", "good", add((30.0, MemberSeen("n1", 2, "n1"))), HELD, "quorum"),
    # an outage that is older than the fault
    EventMutant(
        "web@2 gone since 3 s, for 37 s of the fault",
        "good",
        refused(3, 47),
        UNKNOWN,
        "availability",
        "had been gone before the first fault",
    ),
    EventMutant(
        "web@2 gone since 3 s, for 43 s of the fault",
        "good",
        refused(3, 53),
        UNKNOWN,
        "availability",
        "had been gone before the first fault",
    ),
    EventMutant("web@2 gone since the fault, for 37 s", "good", refused(10, 47), HELD, "availability"),
    # answers that come later than anybody waits
    EventMutant("answers 4 s late", "good", later(4.0), UNKNOWN, "assumptions", "came long after the 1 s that a call may take"),
    EventMutant("one answer 4 s late", "good", later(4.0, to=45.3), UNKNOWN, "assumptions", "came long after"),
    EventMutant("answers half a second late", "good", later(0.5), HELD, "assumptions"),
    # told twice, and differently
    EventMutant("not whole, then whole", "good", add((57.0, Wholeness("after", whole=False, seconds=3.0))), UNKNOWN, "settled", "times"),
    EventMutant("whole twice before", "good", add((1.2, Wholeness("before", whole=True, seconds=0.6))), UNKNOWN, "", "times"),
    EventMutant(
        "a second fingerprint, clean",
        "good",
        both(
            edit(of(Fingerprinted, node="n2", when="after"), marks={"nft_tables": ["left"]}),
            add((67.5, Fingerprinted("n2", "after", {"nft_tables": []}))),
        ),
        UNKNOWN,
        "clean",
        "was taken 2 times",
    ),
    EventMutant(
        "two fingerprints from before that differ",
        "good",
        add((0.95, Fingerprinted("n2", "before", {"nft_tables": ["x"]}))),
        UNKNOWN,
        "clean",
        "was taken 2 times",
    ),
    # watched, and ran, where nothing can be
    *(
        EventMutant(
            f"the {observer} observer watches a machine that is off",
            "good",
            add((30.0, Watching(observer, "n2", alive=True))),
            verdict,
            by,
            words,
        )
        for observer, verdict, by, words in (
            ("docker", UNKNOWN, "assumptions", "n2 was off by node truth at 30.0 s"),
            ("membership", UNKNOWN, "assumptions", "n2 was off by node truth at 30.0 s"),
            ("placement", UNKNOWN, "assumptions", "n2 was off by node truth at 30.0 s"),
            ("host", HELD, "assumptions", ""),
        )
    ),
    EventMutant(
        "Docker of a machine that is off tells of a start",
        "good",
        add((30.0, DockerEvent("n2", "start", "e" * 64, "web@2", 30.0))),
        UNKNOWN,
        "assumptions",
        "its Docker told of a container",
    ),
    EventMutant(
        "an instance of no plan",
        "good",
        ran(60, 64, "n2", container("web@9", "n2")),
        UNKNOWN,
        "assumptions",
        "web@9 ran on n2",
    ),
]


@pytest.mark.parametrize("mutant", EVENTS, ids=lambda mutant: f"{mutant.base}: {mutant.name}")
def test_who_cannot_have_said_it_proves_nothing(mutant: EventMutant) -> None:
    """The verdict, the checker that gives it, and the reason; beside those who can."""
    changed = mutant.mutation(told(mutant.base))
    assert list(changed) != list(told(mutant.base))
    judge(mutant.base, chained(changed, RUN), mutant.outcome, mutant.by, mutant.words)
