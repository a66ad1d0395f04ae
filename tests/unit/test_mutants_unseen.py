"""Mutants of what a history tells in which evidence is missing, late or contradicts itself: the answer is *unknown*, with the reason."""

from __future__ import annotations

import pytest

from harness.core.values import NodeState, Outcome, Phase, Stage
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
    PhaseBegan,
    Watching,
    Wholeness,
)
from harness.testing.histories import chained, container
from harness.testing.mutations import (
    add,
    between,
    both,
    change,
    drop,
    move,
    numbered,
    of,
)
from tests.unit.mutants import (
    BROKEN,
    ENDS,
    HELD,
    RUN,
    UNKNOWN,
    EventMutant,
    judge,
    told,
)
from tests.unit.retelling import (
    CALLS,
    EVERYTHING,
    answered_by,
    answers,
    docker_off,
    edit,
    fault,
    ran,
    repeated,
    shows,
    silent,
    unanswered,
    uncalled,
    unread,
    untold,
    up,
)

EVENTS = [
    EventMutant(
        "an instance that an action asked for, and that nobody called",
        "acted",
        numbered(uncalled(0, 70, key="web@3")),
        UNKNOWN,
        "assumptions",
        "the http workload made no call to web@3",
    ),
    # nobody was there
    EventMutant("all silent for 15 s", "good", drop(between(20, 35, EVERYTHING)), UNKNOWN, "assumptions"),
    EventMutant("all silent while it comes back", "good", drop(between(36, 50, EVERYTHING)), UNKNOWN, "assumptions"),
    EventMutant("all silent before the fault", "good", drop(between(2, 9, EVERYTHING)), UNKNOWN, "assumptions"),
    EventMutant("all silent after the heal", "good", drop(between(54, 65, EVERYTHING)), UNKNOWN, "assumptions"),
    EventMutant("the new home unseen", "good", drop(silent(20, 60, "host", node="n3")), UNKNOWN, "assumptions", "n3"),
    EventMutant("a survivor unseen", "good", drop(silent(20, 70, "host", node="n1")), UNKNOWN, "assumptions", "n1"),
    EventMutant(
        "a survivor unseen, and said to be watched", "good", drop(between(20, 60, of(NodeSeen, node="n3"))), UNKNOWN, "assumptions"
    ),
    EventMutant("a node never seen", "good", drop(of(NodeSeen, node="n3")), UNKNOWN, "assumptions", "n3"),
    EventMutant("a node of which nobody spoke", "good", drop(lambda _, e: getattr(e, "node", "") == "n3"), UNKNOWN, "assumptions", "n3"),
    EventMutant(
        "a survivor could not be asked",
        "good",
        edit(between(20, 30, of(NodeSeen, node="n3")), state=NodeState.UNREACHABLE),
        UNKNOWN,
        "assumptions",
        "n3",
    ),
    EventMutant("no node ever seen", "good", drop(of(NodeSeen)), UNKNOWN, "assumptions"),
    EventMutant("no observer ever spoke", "good", drop(of(Watching)), UNKNOWN, "assumptions", "no observer"),
    EventMutant("Docker silent on a survivor", "good", drop(silent(20, 40, "docker", node="n1")), UNKNOWN, "assumptions", "docker"),
    EventMutant("the API silent on a survivor", "good", drop(silent(20, 40, "placement", node="n1")), UNKNOWN, "assumptions", "placement"),
    EventMutant("a member silent", "good", drop(silent(20, 40, "membership", node="n3")), UNKNOWN, "assumptions", "membership"),
    EventMutant(
        "blind on a survivor",
        "good",
        edit(between(20, 40, of(Watching, observer="host", node="n1")), alive=False),
        UNKNOWN,
        "assumptions",
        "host",
    ),
    EventMutant("no member ever seen", "good", drop(of(MemberSeen)), UNKNOWN, "quorum"),
    # nobody called
    EventMutant("nobody asked a probe for 8 s", "asked", numbered(uncalled(20, 28, "ask")), UNKNOWN, "probe", "too few"),
    EventMutant("nobody asked a probe from the fault on", "asked", numbered(uncalled(10, 69, "ask")), UNKNOWN, "probe"),
    EventMutant("nobody asked a probe before the fault", "asked", numbered(uncalled(0, 10, "ask")), UNKNOWN, "probe", "no answer before"),
    EventMutant("no answer of a probe for a while", "asked", unanswered("ask", 12, 60), UNKNOWN, "probe", "answers of"),
    EventMutant("no call at all", "good", drop(CALLS), UNKNOWN, "availability"),
    EventMutant("nobody called after the fault", "good", numbered(uncalled(10, 69, "get")), UNKNOWN, "availability"),
    EventMutant("the lost instance never called", "good", numbered(uncalled(0, 70, key="web@2")), UNKNOWN, ""),
    EventMutant("the lost instance not called while it was lost", "good", numbered(uncalled(9.9, 69, key="web@2")), UNKNOWN, ""),
    EventMutant("nobody wrote while it was in force", "good", uncalled(10, 51, "write"), UNKNOWN, "quorum"),
    EventMutant("nobody wrote, and nobody read that", "good", numbered(both(uncalled(10, 51, "write"), unread(10, 51))), UNKNOWN, "quorum"),
    EventMutant("nobody read back", "good", drop(between(69, 70, CALLS)), UNKNOWN, "writes", "not read back"),
    EventMutant("the last reads all failed", "good", answers(69, 70, "read", Outcome.FAIL), UNKNOWN, "writes", "not read back"),
    EventMutant(
        "one key not read back", "good", numbered(uncalled(69, 70, key="k300")), UNKNOWN, "writes", "1 acknowledged write not read back"
    ),
    EventMutant("no call before the fault", "good", numbered(uncalled(0, 10, "get")), UNKNOWN, "assumptions", "http"),
    EventMutant("five calls in all", "good", drop(lambda _, e: isinstance(e, Invoked | Answered) and e.op > 5), UNKNOWN, "assumptions"),
    EventMutant("writes without an answer", "good", unanswered("write", 20, 25), UNKNOWN, "assumptions", "10 calls without an answer"),
    EventMutant("no write has an answer", "good", unanswered("write", 10, 51), UNKNOWN, "quorum", "no write"),
    EventMutant("an acknowledgement left out", "lost-write", unanswered("write", 8, 9), UNKNOWN, "assumptions", "without an answer"),
    EventMutant("some calls missing", "good", uncalled(20, 20.9, "get"), UNKNOWN, "assumptions", "calls are numbered without gaps"),
    EventMutant("no call has an answer for a while", "good", unanswered("get", 12, 60), UNKNOWN, "availability", "answers of"),
    EventMutant("no call is told of for a while", "good", uncalled(12, 60, "get"), UNKNOWN, "availability", "answers of"),
    EventMutant("writes missing", "good", uncalled(20, 20.9, "write"), UNKNOWN, "writes", "that must have been made are missing"),
    # nobody asked
    EventMutant("nothing was checked", "good", drop(of(Checked)), UNKNOWN, "checks", "nothing was checked"),
    EventMutant("a check could not be asked", "good", edit(of(Checked, node="n1"), outcome=Outcome.UNKNOWN), UNKNOWN, "checks"),
    EventMutant("a check said no", "good", edit(of(Checked, node="n1"), outcome=Outcome.FAIL), BROKEN, "checks", "n1"),
    EventMutant("no fingerprint after", "good", drop(of(Fingerprinted, node="n2", when="after")), UNKNOWN, "clean", "n2"),
    EventMutant("no fingerprint before", "good", drop(of(Fingerprinted, node="n2", when="before")), UNKNOWN, "clean", "n2"),
    EventMutant(
        "a fingerprint refused",
        "good",
        edit(of(Fingerprinted, node="n1", when="after"), marks={}, error="no answer"),
        UNKNOWN,
        "clean",
        "n1",
    ),
    EventMutant(
        "something left behind",
        "good",
        edit(of(Fingerprinted, node="n1", when="after"), marks={"nft_tables": ["whalefall_1"]}),
        BROKEN,
        "clean",
        "whalefall_1",
    ),
    EventMutant(
        "not whole for want of a call alone",
        "good",
        edit(of(Wholeness, when="after"), whole=False, missing=("web@1 was not called",), unasked=("web@1 was not called",)),
        UNKNOWN,
        "settled",
        "what nobody asked is not known",
    ),
    EventMutant("never seen whole after", "good", drop(of(Wholeness, when="after")), UNKNOWN, "settled"),
    EventMutant("never seen whole before", "good", drop(of(Wholeness, when="before")), UNKNOWN, "settled"),
    EventMutant(
        "not whole before",
        "good",
        edit(of(Wholeness, when="before"), whole=False, missing=("no leader",)),
        UNKNOWN,
        "assumptions",
        "never steady",
    ),
    EventMutant(
        "not whole after",
        "good",
        both(
            edit(of(Wholeness, when="after"), whole=False, missing=("n2 is not listed",)),
            drop(between(54.5, 60.0, of(ApiSeen))),
        ),
        BROKEN,
        "settled",
        "n2 is not listed",
    ),
    EventMutant(
        "not whole after, by nobody else's word",
        "good",
        edit(of(Wholeness, when="after"), whole=False, missing=("n2 is not listed",)),
        UNKNOWN,
        "settled",
        "members, APIs and writes missed nothing",
    ),
    EventMutant("no fingerprint of a node at all", "good", drop(of(Fingerprinted, node="n2")), UNKNOWN, "clean", "n2"),
    EventMutant("no fingerprint at all", "good", drop(of(Fingerprinted)), UNKNOWN, "clean"),
    EventMutant("the host observer never spoke", "good", drop(of(Watching, observer="host")), UNKNOWN, "assumptions", "host"),
    EventMutant("the API observer never spoke", "good", drop(of(Watching, observer="placement")), UNKNOWN, "assumptions", "placement"),
    EventMutant("the docker observer never spoke", "good", drop(of(Watching, observer="docker")), UNKNOWN, "assumptions", "docker"),
    EventMutant("the members' observer never spoke", "good", drop(of(Watching, observer="membership")), UNKNOWN, "assumptions", "member"),
    EventMutant("nobody called for 20 s of the outage", "good", numbered(uncalled(15, 35, "get")), UNKNOWN, "assumptions", "made no call"),
    EventMutant("the lost not called for 20 s", "good", numbered(uncalled(15, 35, key="web@2")), UNKNOWN, "assumptions", "to web@2"),
    EventMutant("an instance in nobody's lines", "good", untold("web@2"), UNKNOWN, "assumptions", "web@2 ran nowhere when the first fault"),
    EventMutant("a check asked of one node", "good", drop(lambda _, e: isinstance(e, Checked) and e.node != "n1"), UNKNOWN, "checks", "n3"),
    EventMutant(
        "said to be whole while one ran nowhere", "good", ran(56, 60, "n3"), UNKNOWN, "settled", "when by node truth there ran 1 of 2"
    ),
    EventMutant(
        "said to be whole while a node was off",
        "good",
        change(between(53, 60, of(NodeSeen, node="n2")), lambda _: NodeSeen("n2", NodeState.OFF)),
        UNKNOWN,
        "settled",
        "when n2 was off by node truth",
    ),
    # told at another time than it says
    EventMutant(
        "fingerprints from before, taken after", "good", move(of(Fingerprinted, when="before"), 66.0), UNKNOWN, "assumptions", "from before"
    ),
    EventMutant(
        "fingerprints from after, taken before the heal",
        "good",
        move(of(Fingerprinted, when="after"), -20.0),
        UNKNOWN,
        "assumptions",
        "the last fault was over at 53.0 s",
    ),
    EventMutant("checks from after, asked before the fault", "good", move(of(Checked), -60.0), UNKNOWN, "assumptions", "from after"),
    EventMutant("checks from during, asked after", "good", edit(of(Checked), when="during"), UNKNOWN, "assumptions", "when there was none"),
    EventMutant(
        "whole before, told after the fault", "good", move(of(Wholeness, when="before"), 56.0), UNKNOWN, "assumptions", "from before"
    ),
    EventMutant("whole after, told before the heal", "good", move(of(Wholeness, when="after"), -8.0), UNKNOWN, "assumptions", "from after"),
    # the word that somebody watches, and nothing seen
    EventMutant("no API ever seen", "good", drop(of(ApiSeen)), UNKNOWN, "assumptions", "the placement observer watched n1 and never told"),
    EventMutant("no API of one node ever seen", "good", drop(of(ApiSeen, node="n2")), UNKNOWN, "assumptions", "observer watched n2"),
    EventMutant(
        "one member never seen", "good", drop(of(MemberSeen, node="n3")), UNKNOWN, "assumptions", "the membership observer watched n3"
    ),
    EventMutant("fingerprints of nothing", "good", edit(of(Fingerprinted), marks={}), UNKNOWN, "clean", "nothing was looked at"),
    EventMutant("a node unseen since it is back", "good", drop(between(59, 71, of(NodeSeen, node="n2"))), UNKNOWN, "assumptions", "n2"),
    # machines that nobody took away
    EventMutant(
        "nobody's target is off for 4 s",
        "good",
        change(between(44, 48, of(NodeSeen, node="n3")), lambda _: NodeSeen("n3", NodeState.OFF)),
        UNKNOWN,
        "assumptions",
        "and no fault explains it",
    ),
    EventMutant(
        "a node off that an etcd fault does not explain",
        "real-etcd-leader-kill",
        change(between(30, 32, of(NodeSeen, node="n2")), lambda _: NodeSeen("n2", NodeState.OFF)),
        UNKNOWN,
        "assumptions",
        "n2 was off for",
    ),
    # faults that did nothing, and clocks
    EventMutant(
        "the cut-off follows the others' new leader",
        "partition-heal",
        both(drop(between(9, 60, of(MemberSeen, node="n1"))), add(*((12.0 + second, MemberSeen("n1", 3, "n3")) for second in range(48)))),
        UNKNOWN,
        "assumptions",
        "yet n1 followed n3 in term 3",
    ),
    EventMutant(
        "the cut-off knows what was placed elsewhere since",
        "partition-heal",
        add(shows(45.0, "n1", {"web@1": "n3", "web@2": "n2"})),
        UNKNOWN,
        "assumptions",
        "yet the API at n1 showed web@1 on n3",
    ),
    EventMutant("answered well by a machine that is off", "good", answered_by(12, 40, "web@2", "n2"), UNKNOWN, "assumptions", "n2 was off"),
    EventMutant(
        "answered well by a node that ran nothing", "good", answered_by(12, 40, "web@1", "n3"), UNKNOWN, "assumptions", "did not run"
    ),
    EventMutant(
        "node truth and Docker of n3 5 s late",
        "good",
        both(ran(40, 45.2, "n3"), docker_off(5.0)),
        UNKNOWN,
        "assumptions",
        "did not run it by node truth",
    ),
    EventMutant(
        "node truth and Docker of n3 5 s early",
        "good",
        both(move(between(40, 60, of(NodeSeen, node="n3")), -5.0), docker_off(-5.0)),
        UNKNOWN,
        "assumptions",
        "told at a wrong time",
    ),
    EventMutant(
        "in time by Docker's word alone",
        "good",
        both(drop(between(45.5, 50, of(NodeSeen, node="n3"))), ran(40, 45.5, "n3"), docker_off(6.2)),
        UNKNOWN,
        "rescheduled",
        "which was in time",
    ),
    # the fault
    EventMutant("hit nobody", "good", edit(of(FaultStage), targets=()), UNKNOWN, "assumptions", "hit nobody"),
    EventMutant(
        "found nobody to hit",
        "good",
        both(drop(of(FaultStage)), add((10.0, FaultStage(1, "node.kill", (), Stage.FAILED, {}, "no target for 'leader & follower'")))),
        UNKNOWN,
        "assumptions",
        "node.kill hit nobody: no target for 'leader & follower'",
    ),
    EventMutant("planned, and never came", "good", drop(of(FaultStage)), UNKNOWN, "assumptions", "planned and never made"),
    EventMutant("another one than was planned", "good", edit(of(FaultStage), name="node.reboot"), UNKNOWN, "assumptions", "never made"),
    EventMutant(
        "power cut, and the node is up",
        "good",
        both(
            drop(of(NodeSeen, node="n2", state=NodeState.OFF)),
            add(*((10.0 + number, up("n2", container("web@2", "n2"))) for number in range(43))),
        ),
        UNKNOWN,
        "assumptions",
        "n2",
    ),
    EventMutant("power cut, and the node is seen up once", "good", add((30.0, up("n2"))), UNKNOWN, "assumptions", "n2 was up"),
    EventMutant("no fault at all", "good", drop(of(FaultStage)), UNKNOWN, "assumptions", "no fault was made"),
    EventMutant("never in force", "good", drop(of(FaultStage, stage=Stage.IN_FORCE)), UNKNOWN, "assumptions", "never in force"),
    EventMutant("never healed", "good", drop(of(FaultStage, stage=Stage.HEALED)), UNKNOWN, "assumptions", "never seen to be healed"),
    EventMutant(
        "failed before it was in force",
        "good",
        both(drop(of(FaultStage, stage=Stage.IN_FORCE)), add(fault(10.05, Stage.FAILED, "no such unit"))),
        UNKNOWN,
        "assumptions",
        "no such unit",
    ),
    EventMutant(
        "undone by something else",
        "good",
        add(fault(30.0, Stage.FAILED, "no longer in force on n2")),
        UNKNOWN,
        "assumptions",
        "no longer in force",
    ),
    EventMutant(
        "in force on one of two",
        "good",
        edit(of(FaultStage, stage=Stage.DECIDED), targets=("n2", "n3")),
        UNKNOWN,
        "assumptions",
        "never in force",
    ),
    EventMutant("the fault that does nothing", "good", edit(of(FaultStage), name="none"), UNKNOWN, "assumptions", "none"),
    EventMutant("decided twice", "good", add(fault(20.0, Stage.DECIDED)), UNKNOWN, "assumptions", "not one run"),
    EventMutant(
        "in force before it was decided", "good", move(of(FaultStage, stage=Stage.IN_FORCE), -0.06), UNKNOWN, "assumptions", "not one run"
    ),
    EventMutant(
        "the same number, another fault",
        "good",
        add(fault(20.0, Stage.DECIDED, name="disk.slow", targets="n3")),
        UNKNOWN,
        "assumptions",
        "not one run",
    ),
    EventMutant(
        "a second fault that failed",
        "good",
        add(fault(52.0, Stage.DECIDED, number=2), fault(52.1, Stage.FAILED, "no answer", number=2)),
        UNKNOWN,
        "assumptions",
        "no answer",
    ),
    # one run
    EventMutant("every event twice", "good", repeated(EVERYTHING), UNKNOWN, "assumptions", "not one run"),
    EventMutant(
        "two runs, one after the other",
        "good",
        lambda events: [*events, *((time + 70.0, event) for time, event in events)],
        UNKNOWN,
        "assumptions",
        "not one run",
    ),
    EventMutant("every call twice", "good", repeated(CALLS), UNKNOWN, "assumptions", "twice"),
    EventMutant(
        "answers without calls", "good", drop(between(20, 30, of(Invoked, workload="http"))), UNKNOWN, "assumptions", "nobody had begun"
    ),
    EventMutant("never done", "good", drop(of(PhaseBegan, phase=Phase.DONE)), UNKNOWN, "assumptions", ENDS),
    EventMutant("done in the middle", "good", move(of(PhaseBegan, phase=Phase.DONE), -30.0), UNKNOWN, "assumptions", "not one run"),
    EventMutant("no phases at all", "good", drop(of(PhaseBegan)), UNKNOWN, "assumptions", ENDS),
    EventMutant(
        "steady before it was formed", "good", move(of(PhaseBegan, phase=Phase.FORMING), 1.5), UNKNOWN, "assumptions", "not one run"
    ),
    # clocks
    EventMutant("Docker's clock 12 s behind", "node-kill-too-late", docker_off(-12.0), BROKEN, "rescheduled", "too late"),
    EventMutant("Docker's clock 60 s ahead", "good", docker_off(60.0), UNKNOWN, "assumptions", "one of the two clocks is wrong"),
    EventMutant("Docker's clock 37 s behind", "good", docker_off(-37.0), UNKNOWN, "assumptions", "one of the two clocks is wrong"),
    EventMutant("Docker's clock half a second ahead", "good", docker_off(0.5), HELD, "assumptions"),
    EventMutant("no word from Docker", "good", drop(of(DockerEvent)), HELD, "rescheduled", "web@2 ran on n3 30.2 s"),
    EventMutant("node truth of n3 10 s late", "good", move(between(40, 70, of(NodeSeen, node="n3")), 10.0), UNKNOWN, "assumptions", "n3"),
]


@pytest.mark.parametrize("mutant", EVENTS, ids=lambda mutant: f"{mutant.base}: {mutant.name}")
def test_what_is_told_is_what_is_judged(mutant: EventMutant) -> None:
    """The verdict, the checker that gives it, and the reason."""
    changed = mutant.mutation(told(mutant.base))
    assert list(changed) != list(told(mutant.base))
    judge(mutant.base, chained(changed, RUN), mutant.outcome, mutant.by, mutant.words)
