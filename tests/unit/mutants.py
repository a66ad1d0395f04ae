"""What mutants of recorded histories are made of: the histories, what is promised of each, how each comes out, and how a mutant is judged."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.checkers import (
    Assumptions,
    Availability,
    Bystanders,
    CameInTime,
    Checks,
    Clean,
    Conflicts,
    Elections,
    Probed,
    QuorumSurvived,
    Rescheduled,
    Scaled,
    Settled,
    Single,
    Writes,
)
from harness.checkers.expected import Asked, Expected
from harness.core.values import Call, Effect, Finding, Verdict
from harness.history.events import (
    Answered,
    History,
    Invoked,
)
from harness.history.interfaces import Checker
from harness.testing.histories import chained, node_kill
from harness.testing.mutations import (
    Cut,
    Mutation,
    Timed,
    drop,
    numbered,
    timed,
)

FOLDER = Path(__file__).parents[2] / "fixtures" / "histories"
HELD, BROKEN, UNKNOWN = Verdict.HELD, Verdict.BROKEN, Verdict.UNKNOWN
RUN = "node-kill-fleet-s7"

NODES = ("n1", "n2", "n3")
EXPECTED = Expected(
    NODES,
    (("http", "web"), ("register", "")),
    observers=(("host", NODES), ("docker", NODES), ("placement", NODES), ("membership", ())),
)
PLANNED = dataclasses.replace(
    EXPECTED,
    faults=("node.kill",),
    checks=(Asked("service docker is_running", "after", NODES),),
    instances=("web@1", "web@2"),
    called=("web@1", "web@2"),
    deadlines=(("http", "web", 1.0), ("register", "", 2.0)),
)
ACTED = dataclasses.replace(PLANNED, actions=("app.scale",), awaits=1)
ASKED = dataclasses.replace(
    PLANNED, workloads=(*PLANNED.workloads, ("probe", "queue")), deadlines=(*PLANNED.deadlines, ("probe", "queue", 1.0))
)
NAMED = dataclasses.replace(PLANNED, named=(("loss", (1,)),))
ALWAYS: tuple[Checker, ...] = (Assumptions(EXPECTED), Conflicts(), Writes(), Clean(EXPECTED))
MOVED = Rescheduled("web", within=38.5)
SERVED = Availability("web", 0.5, 40.0)

PROMISES: dict[str, tuple[Checker, ...]] = {
    "good": (
        *(Assumptions(PLANNED), Conflicts(), Writes(), Clean(PLANNED), Checks(PLANNED)),
        *(MOVED, dataclasses.replace(SERVED, expected=PLANNED), QuorumSurvived("go on", "stays"), Settled(PLANNED)),
    ),
    "acted": (*(Assumptions(ACTED), Conflicts(), MOVED, Settled(ACTED)), *(Scaled("web", 3, 5.0), CameInTime(ACTED))),
    "named": (
        *(Assumptions(NAMED), Availability("web", 0.1, 35.0, NAMED, ("loss",)), Availability("web", 0.9, 5.0, NAMED, (), ("loss",))),
        *(Single("web", 0.0, NAMED, ("loss",)), Bystanders(None, NAMED, ("loss",)), Conflicts(expected=NAMED, during=("loss",))),
        *(QuorumSurvived("go on", "stays", expected=NAMED, during=("loss",)), Elections(0, 5.0, expected=NAMED, during=("loss",))),
    ),
    "asked": (Assumptions(ASKED), Conflicts(), Probed("queue", 0.9, 5.0, ASKED)),
    "node-kill": (*ALWAYS, MOVED, SERVED, QuorumSurvived("go on", "stays")),
    "partition-heal": (*ALWAYS, MOVED, SERVED, QuorumSurvived("go on", "moves")),
    "real-partition-minority": (*ALWAYS, MOVED, SERVED, QuorumSurvived("go on", "moves")),
    "real-etcd-leader-kill": (*ALWAYS, SERVED, Checks(), QuorumSurvived("go on", "moves")),
    "node-kill-too-late": (*ALWAYS, MOVED),
    "pinned-unit": (*ALWAYS, MOVED),
    "lost-write": ALWAYS,
    "conflicts-missing": ALWAYS,
    "acknowledged-without-quorum": (*ALWAYS, QuorumSurvived("stop")),
}
"""What is promised of each base. The first eight are held, the others broken."""

TRUTH = {
    "good": HELD,
    "acted": HELD,
    "asked": HELD,
    "named": HELD,
    "node-kill": HELD,
    "partition-heal": HELD,
    "real-partition-minority": HELD,
    "real-etcd-leader-kill": HELD,
    "node-kill-too-late": BROKEN,
    "pinned-unit": BROKEN,
    "lost-write": BROKEN,
    "conflicts-missing": BROKEN,
    "acknowledged-without-quorum": BROKEN,
}


@functools.cache
def told(base: str) -> tuple[Timed, ...]:
    """The events of a base. "good" is `node_kill`: n2 loses power at 10 s, web@2 runs on n3 at 40.2 s, all is whole at 58 s, and it ends at 70 s.

    "acted" is the same with an await of web from 12 s to 42 s, and with web scaled to three at 58.5 s, of which the third
    runs on n2 from 59.5 s on, and is called. "asked" is the same as the first with a probe that says yes twice a
    second, and "named" with promises of the time of its fault, which is called loss, and of the rest.
    """
    if base not in {"good", "acted", "asked", "named"}:
        return tuple(timed(History.load(FOLDER / f"{base}.jsonl")))
    story = node_kill()
    if base == "acted":
        story.endures(recovery=16.5).awaited(12.0, 42.0, "recovered", "web")
        story.action(58.5, 58.7, "app.scale", effect=Effect({"web": 3}), was={"web": 2}).node(59.5, "n2", "web@3").gets(
            62.6,
            69.0,
            "web@3",
            by="n2",  # from when a mutant has it run, too: what does not run answers nobody
        )
    for number in range(132 if base == "asked" else 0):
        story.call(2.0 + number / 2, "probe", Call("ask", "queue"), by="n1")
    # One HTTP call of four is enough, and quicker.
    return tuple(
        numbered(drop(lambda _, each: isinstance(each, Invoked | Answered) and each.workload == "http" and each.op % 4 > 0))(
            timed(story.history())
        )
    )


@functools.cache
def written(base: str) -> bytes:
    """The file of a base."""
    return chained(told(base), RUN)


def findings(base: str, history: History) -> list[Finding]:
    """What all checkers of a base say."""
    return [checker.check(history) for checker in PROMISES[base]]


def verdict(found: Sequence[Finding]) -> Verdict:
    """The verdict of a run."""
    return Verdict.worst(each.verdict for each in found)


def reasons(finding: Finding) -> str:
    """All that a finding gives as a reason."""
    points = finding.details.get("points")
    return " | ".join([finding.summary, *map(str, points if isinstance(points, list) else [])])


def judge(base: str, content: bytes, outcome: Verdict, by: str, words: str) -> None:
    """Judge a file, and ask for the verdict, for who must give it, and for the reason."""
    found = findings(base, History.read(content, run=RUN))
    everything = "\n".join(f"{each.checker} {each.verdict}: {reasons(each)}" for each in found)
    assert verdict(found) is outcome, everything
    said = [reasons(each) for each in found if each.verdict is outcome and by in {"", each.checker}]
    assert any(words in each for each in said), everything


BREAKS, ENDS = "the history breaks at line", "before the end of the run"
"""How trouble with the history itself is told."""


@dataclass(frozen=True)
class LineMutant:
    """A change of a file's lines. None as the outcome: it is no history at all, which is bad input."""

    name: str
    base: str
    cut: Cut
    outcome: Verdict | None
    by: str = ""
    words: str = ""


@dataclass(frozen=True)
class EventMutant:
    """A change of what a history tells."""

    name: str
    base: str
    mutation: Mutation
    outcome: Verdict
    by: str
    words: str = ""
