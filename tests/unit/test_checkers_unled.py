"""Load that loses leaders by itself: it convicts nobody of what came of that, and everybody of what it cannot have done."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.checkers import Availability, Bystanders, CameInTime, QuorumSurvived, Rescheduled, Scaled, Settled
from harness.checkers.expected import Expected
from harness.checkers.troubles import endurance
from harness.checkers.unled import Unled, overloaded, unled
from harness.core.values import Effect, Loss, Outcome, Phase, Traits, Verdict
from harness.history.intervals import Interval
from harness.testing.histories import Story

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.history.interfaces import Checker

HELD, BROKEN, UNKNOWN = Verdict.HELD, Verdict.BROKEN, Verdict.UNKNOWN
NODES = "n1 n2 n3 n4 n5"
TEN = 20.0  # processes on two cores: work takes ten times as long


def killed(who: str = "n4", *, off: bool = True) -> Story:
    """Five nodes; n1 leads; web@1 runs on n1, web@2 on n4; `who` is killed at 10 s and back at 72 s."""
    story = Story().phase(1, Phase.STEADY).node(0, "n1", "web@1").node(0, "n2").node(0, "n3").node(0, "n4", "web@2").node(0, "n5")
    story.members(0.5, NODES, 2, "n1").watched(99, NODES).endures(beats=NODES)
    for number, node in enumerate(who.split(), 1):
        story.fault("node.kill", node, decided=10, in_force=10, healing=70, healed=72, traits=Traits(Loss.NODE), lost=node, number=number)
        if off:
            story.off(10, node).no_member(10.5, node).node(72, node).member(73, node, 2, "n1")
    return story


def elects(story: Story, *, start: float, end: float, leader: str = "n1", members: str = "n1 n2 n3 n5") -> Story:
    """Have the members lose their leader at some time, and elect one again and again until some time."""
    term = 3
    while start < end - 0.5:
        story.members(start, members, term - 1, None).members(start + 0.4, members, term, leader)
        start, term = start + 1.0, term + 1
    return story


def judged(checker: Checker, story: Story) -> tuple[Verdict, str]:
    """What a checker says of a story that goes on to 100 s."""
    found = checker.check(story.done(100).history())
    return found.verdict, found.summary


# ---------------------------------------------------------------- when there is such a load, and who was lost in it


@pytest.mark.parametrize(
    ("pressed", "loaded"),
    [
        ([(20, 30, 20.0)], [Interval(20, 30)]),
        ([(0, 99, 10.0)], [Interval(0, 99)]),
        ([(0, 99, 9.9)], []),
        ([(20, 21, 30.0)], []),
        ([(20, 22, 30.0)], [Interval(20, 22)]),
        ([(20, 22, 30.0), (40, 50, 12.0)], [Interval(20, 22), Interval(40, 50)]),
        ([(20, 23, 12.0), (26, 29, 12.0)], []),
        ([(20, 23, 20.0), (26, 29, 20.0)], [Interval(20, 29)]),
    ],
    ids=["a burst", "all along", "a little less", "a moment", "two seconds of far more", "two bursts", "now and then", "with a rest"],
)
def test_so_much_to_do_is_what_it_is_for_six_seconds(pressed: list[tuple[float, float, float]], loaded: list[Interval]) -> None:
    """At the mean, with five times as long as alone for each second of the shortest timer; quiet time before takes nothing from it."""
    story = killed()
    for start, end, ready in pressed:
        story.pressed(start, end, ready)
    history = story.done(100).history()
    assert overloaded(history, endurance(history)) == loaded


@pytest.mark.parametrize(
    ("story", "lost"),
    [
        (lambda: killed().members(45, "n1 n2 n3 n5", 3, "n2"), [Unled(Interval(45, 45), by_load=True, parts=(Interval(45, 45),))]),
        (
            lambda: killed().members(45, "n1 n2 n3 n5", 2, None).members(60, "n1 n2 n3 n5", 3, "n2"),
            [Unled(Interval(45, 60), by_load=True, parts=(Interval(45, 50),))],
        ),
        (
            lambda: killed().members(51, "n1 n2 n3 n5", 2, None).members(52, "n1 n2 n3 n5", 3, "n2"),
            [Unled(Interval(51, 52), by_load=True, parts=(Interval(51, 51),))],
        ),
        (lambda: killed().members(39, "n1 n2 n3 n5", 3, "n2"), []),
        (lambda: killed().members(53, "n1 n2 n3 n5", 3, "n2"), []),
        (
            lambda: killed("n1").members(12, "n2 n3 n4 n5", 2, None).members(48, "n2 n3 n4 n5", 3, "n2"),
            [Unled(Interval(12, 48), by_load=False, parts=(Interval(40, 48),))],
        ),
        (lambda: killed("n1").members(12, "n2 n3 n4 n5", 3, "n2"), []),
        (lambda: killed("n2 n3 n4").members(12, "n1 n5", 2, None), []),
    ],
    ids=[
        "another was elected in it",
        "and only after it",
        "it was seen just after it",
        "before it",
        "long after it",
        "a fault had taken the leader, and none was elected",
        "a fault took the leader",
        "nobody had a majority",
    ],
)
def test_leadership_is_lost_by_load_where_that_was_there_and_no_fault_did_it(story: Callable[[], Story], lost: list[Unled]) -> None:
    """Ten times as much as it could was to do from 40 s to 50 s."""
    history = story().pressed(40, 50, TEN).done(100).history()
    assert [*unled(history, endurance(history))] == lost


def test_an_election_that_nothing_keeps_is_nobodys_doing_but_the_faults() -> None:
    """Three times the shortest timer it takes, however much there is to do; what it takes longer may be the load's doing."""
    for back, parts in ((12.5, []), (15.0, [Interval(13, 15)])):
        story = killed("n1").members(10, "n2 n3 n4 n5", 2, None).members(back, "n2 n3 n4 n5", 3, "n2").pressed(0, 60, TEN)
        history = story.done(100).history()
        assert [part for each in unled(history, endurance(history)) for part in each.parts] == parts


# ---------------------------------------------------------------- what also happens by itself


@pytest.mark.parametrize(
    ("story", "verdict"),
    [
        (lambda story: story.pressed(40, 50, TEN), UNKNOWN),
        (lambda story: story.pressed(43, 46, TEN), UNKNOWN),
        (lambda story: story.pressed(43, 44, TEN), BROKEN),
        (lambda story: story.pressed(20, 30, TEN), BROKEN),
        (lambda story: story.pressed(46, 60, TEN), BROKEN),
        (lambda story: story.pressed(0, 99, 9.0), BROKEN),
        (lambda story: story.pressed(44, 46, 40.0), UNKNOWN),
        (lambda story: story.pressed(30, 40, 40.0), BROKEN),
        (lambda story: story, BROKEN),
    ],
    ids=["in it", "shortly in it", "a moment", "long after it", "before it", "less all along", "far more", "far more long before", "none"],
)
def test_a_leader_that_was_lost_in_a_burst_of_load_convicts_nobody(story: Callable[[Story], Story], verdict: Verdict) -> None:
    """At 45 s, long after the fault: what was to do in the seconds before that counts, not what was at the mean since the fault bit."""
    told = story(killed().members(45, "n1 n2 n3 n5", 3, "n2"))
    found = judged(QuorumSurvived(leader="stays"), told)
    assert found[0] is verdict, found[1]


def test_a_leader_whom_the_fault_takes_has_lost_it_to_that_whatever_there_was_to_do() -> None:
    """A promise that leadership stays with who is killed is broken on any machine."""
    told = killed("n1").members(12, "n2 n3 n4 n5", 3, "n2").pressed(0, 99, 60.0)
    assert judged(QuorumSurvived(leader="stays"), told)[0] is BROKEN


BURST: dict[str, tuple[Callable[[Story], Story], Verdict]] = {
    "lost in it": (lambda story: elects(story.pressed(40, 46, TEN), start=41, end=44), UNKNOWN),
    "nobody lost leadership in it": (lambda story: story.pressed(40, 46, TEN), BROKEN),
    "lost without load": (lambda story: elects(story, start=41, end=44), BROKEN),
    "lost in it long before": (lambda story: elects(story.pressed(14, 20, TEN), start=15, end=18), BROKEN),
    "lost in it only later": (lambda story: elects(story.pressed(46, 54, TEN), start=47, end=50), BROKEN),
}


@pytest.mark.parametrize(("trouble", "verdict"), BURST.values(), ids=BURST)
def test_what_stops_where_no_fault_was_when_a_load_lost_the_leader_convicts_nobody(
    trouble: Callable[[Story], Story], verdict: Verdict
) -> None:
    """A cluster that cannot renew what its nodes hold takes their work from them; web@1 stopped on n1 at 45 s for six seconds."""
    found = judged(Bystanders("web"), trouble(killed()).node(45, "n1").node(51, "n1", "web@1"))
    assert found[0] is verdict, found[1]


@pytest.mark.parametrize(("trouble", "verdict"), BURST.values(), ids=BURST)
def test_what_is_gone_at_the_end_since_a_load_lost_the_leader_convicts_nobody(trouble: Callable[[Story], Story], verdict: Verdict) -> None:
    """It was whole at 13 s, and web@1 stopped at 45 s, for good."""
    story = Story().phase(1, Phase.STEADY).node(0, "n1", "web@1").node(0, "n2").node(0, "n3").node(0, "n5").node(45, "n1")
    story.members(0.5, "n1 n2 n3 n5", 2, "n1").watched(99, "n1 n2 n3 n5").endures().whole(1, "before").whole(13, "after")
    story.fault("net.delay", "n2", decided=5, in_force=5, healing=10, healed=11, traits=Traits(Loss.NOTHING))
    found = judged(Settled(), trouble(story))
    assert found[0] is verdict, found[1]


# ---------------------------------------------------------------- what a promise wants to happen, and happens by itself, too


SLOWED = Traits(parts=("disk",))


@pytest.mark.parametrize(
    ("trouble", "moved", "verdict"),
    [
        (lambda story: story, 46, HELD),
        (lambda story: story.pressed(40, 50, TEN), 46, UNKNOWN),
        (lambda story: story.pressed(20, 30, TEN), 46, HELD),
        (lambda story: story.pressed(0, 99, 8.0), 46, HELD),
        (lambda story: story.pressed(0, 99, TEN), 46, UNKNOWN),
        (lambda story: story.pressed(0, 99, TEN), 14, HELD),
        (lambda story: story.stalled(42, 46, "machine"), 46.5, UNKNOWN),
        (lambda story: story.stalled(42, 46, "n1"), 46, UNKNOWN),
        (lambda story: story.stalled(12, 16, "n1"), 46, HELD),
        (lambda story: story.stalled(48, 52, "n1"), 46, HELD),
        (lambda story: story.stalled(42, 42.8, "n1"), 46, HELD),
        (lambda story: story.stalled(42, 46, "harness"), 46.5, HELD),
        (lambda story: story.off(40, "n2").node(48, "n2"), 46, UNKNOWN),
        (lambda story: story.off(12, "n2").node(20, "n2"), 46, HELD),
    ],
    ids=[
        "none",
        "a burst of load",
        "a burst long before",
        "less load",
        "load all along",
        "load all along, and just after the bite",
        "the machine stood still",
        "the leader's node did",
        "long before",
        "after it",
        "for a moment",
        "the harness did",
        "a node was off by itself",
        "long before it was",
    ],
)
def test_leadership_that_machines_may_have_moved_by_themselves_is_no_evidence_that_a_fault_moves_it(
    trouble: Callable[[Story], Story], moved: float, verdict: Verdict
) -> None:
    """A slow disk of the leader may cost it that, and soon; what comes half a minute later, when machines ailed, may be that."""
    story = Story().phase(1, Phase.STEADY).node(0, "n1").node(0, "n2").node(0, "n3").members(0.5, "n1 n2 n3", 2, "n1")
    story.fault("disk.slow", "n1", decided=10, in_force=10, healing=70, healed=71, traits=SLOWED)
    story.watched(99, "n1 n2 n3").endures(beats="n1 n2 n3").members(moved, "n1 n2 n3", 3, "n3")
    found = judged(QuorumSurvived(leader="moves"), trouble(story))
    assert found[0] is verdict, found[1]


@pytest.mark.parametrize(
    ("traits", "verdict"),
    [
        (Traits(Loss.PROCESS, ("docker",), in_place=True), UNKNOWN),
        (Traits(), UNKNOWN),
        (SLOWED, HELD),
    ],
    ids=["another daemon there", "nothing", "its disk"],
)
def test_only_what_hits_the_member_has_moved_leadership_whatever_machines_did(traits: Traits, verdict: Verdict) -> None:
    """That a fault is on the leader's node does nothing to etcd there by itself."""
    story = Story().phase(1, Phase.STEADY).node(0, "n1").node(0, "n2").node(0, "n3").members(0.5, "n1 n2 n3", 2, "n1")
    story.fault("a.fault", "n1", decided=10, in_force=10, healing=70, healed=71, traits=traits)
    story.watched(99, "n1 n2 n3").endures(beats="n1 n2 n3").members(15, "n1 n2 n3", 3, "n3").stalled(12, 16, "n1")
    found = judged(QuorumSurvived(leader="moves"), story)
    assert found[0] is verdict, found[1]


def test_leadership_that_a_fault_takes_has_moved_by_that_whatever_machines_did() -> None:
    """The leader was killed."""
    story = killed("n1").members(12, "n2 n3 n4 n5", 3, "n2").pressed(0, 99, 60.0).stalled(11, 14, "n2")
    assert judged(QuorumSurvived(leader="moves"), story)[0] is HELD


@pytest.mark.parametrize(
    ("start", "end", "took", "verdict"),
    [(0, 0, 0.08, HELD), (10, 70, 0.08, UNKNOWN), (0, 70, 0.08, HELD), (10, 70, 1.0, HELD), (0, 10, 0.08, HELD)],
    ids=["no load", "a load meanwhile", "the same load before", "far slower than by the load", "a load before"],
)
def test_writes_that_a_load_may_have_made_slow_are_no_evidence_that_a_fault_does(
    start: float, end: float, took: float, verdict: Verdict
) -> None:
    """Eight times as long as before, on a machine on which work took ten times as long while the fault was there."""
    story = Story().phase(1, Phase.STEADY).node(0, "n1").node(0, "n2").node(0, "n3").members(0.5, "n1 n2 n3", 2, "n1")
    story.fault("disk.slow", "n1", decided=10, in_force=10, healing=70, healed=71, traits=SLOWED).watched(99, "n1 n2 n3").endures()
    story.writes(2, 10).writes(10.3, 69, took=took).writes(72, 98).pressed(start, end, TEN)
    found = judged(QuorumSurvived("slow"), story)
    assert found[0] is verdict, found[1]
    assert verdict is HELD or "which may have slowed them" in found[1]


@pytest.mark.parametrize("promised", ["stop", "slow"])
@pytest.mark.parametrize(
    ("who", "trouble", "verdict"),
    [
        ("n4", lambda story: story, HELD),
        ("n4", lambda story: story.pressed(8, 72, 40.0), UNKNOWN),
        ("n4", lambda story: story.pressed(8, 40, 40.0), HELD),
        ("n4", lambda story: story.pressed(8, 72, 12.0), HELD),
        ("n4", lambda story: story.off(9, "n2").node(75, "n2"), UNKNOWN),
        ("n2 n3 n4", lambda story: story.pressed(8, 72, 40.0), HELD),
    ],
    ids=[
        "no trouble",
        "a load beyond all timers",
        "for a part of it",
        "a load that lost nobody",
        "another machine was off by itself",
        "nobody had a majority",
    ],
)
def test_writes_that_ailing_machines_may_have_stopped_are_no_evidence_that_a_fault_does(
    promised: str, who: str, trouble: Callable[[Story], Story], verdict: Verdict
) -> None:
    """None was acknowledged for all of the fault; where a majority was left, something else may have kept it."""
    story = trouble(killed(who)).writes(2, 9.9).writes(10.1, 69.9, Outcome.UNKNOWN, took=2.0).writes(72, 98)
    found = judged(QuorumSurvived(promised), story)  # type: ignore[arg-type]  # as parametrized
    assert found[0] is verdict, found[1]


# ---------------------------------------------------------------- what waits for a leader


WAITS: dict[str, tuple[Callable[[], Story], Checker]] = {
    "lost work": (lambda: killed().node(62, "n3", "web@2"), Rescheduled("web", within=16)),
    "writes": (
        lambda: killed().writes(2, 22).writes(22, 55, Outcome.UNKNOWN, took=2.0).writes(55, 98),
        QuorumSurvived("go on"),
    ),
    "a gap of calls": (
        lambda: (
            killed()
            .node(62, "n3", "web@2")
            .gets(2, 98, "web@1")
            .gets(2, 10, "web@2")
            .gets(10, 62, "web@2", Outcome.FAIL)
            .gets(62, 98, "web@2")
        ),
        Availability("web", 0.1, 16.0),
    ),
    "an await": (
        lambda: (
            killed()
            .awaited(12, 58, "recovered", "web", Outcome.FAIL, missing=("web@2 runs nowhere",))
            .api(1, "n1", NODES, {"web@1": "n1", "web@2": "n4"})
        ),
        CameInTime(Expected(instances=("web@1", "web@2"))),
    ),
    "an app that was scaled": (
        lambda: (
            killed()
            .action(12, 12.5, "app.scale", effect=Effect({"web": 3}), was={"web": 2})
            .node(57, "n5", "web@3")
            .node(57, "n3", "web@2")
        ),
        Scaled("web", 3, 16.0),
    ),
}

LOADED: dict[str, tuple[Callable[[Story], Story], Verdict]] = {
    "lost in it all the time": (lambda story: elects(story.pressed(8, 60, 12.0), start=12, end=54), UNKNOWN),
    "not lost in it": (lambda story: story.pressed(8, 60, 12.0), BROKEN),
    "lost without load": (lambda story: elects(story, start=12, end=54), BROKEN),
    "lost in it only when it was too late": (lambda story: elects(story.pressed(40, 60, 12.0), start=41, end=54), BROKEN),
    "lost in it for a while long before": (lambda story: elects(story.pressed(8, 20, 12.0), start=12, end=18), BROKEN),
}


@pytest.mark.parametrize(("trouble", "verdict"), LOADED.values(), ids=LOADED)
@pytest.mark.parametrize(("story", "checker"), WAITS.values(), ids=WAITS)
def test_what_waits_for_a_leader_waits_for_the_load_in_which_it_is_lost(
    story: Callable[[], Story], checker: Checker, trouble: Callable[[Story], Story], verdict: Verdict
) -> None:
    """From when there is one to stay it has all of its time again; a load that costs nobody a leader excuses what work it makes slower alone."""
    found = judged(checker, trouble(story()))
    assert found[0] is verdict, found[1]
    assert (verdict is UNKNOWN) == ("leadership was lost, or not won, until" in found[1]), found[1]


@pytest.mark.parametrize(
    ("trouble", "verdict"),
    [
        (lambda story: elects(story.pressed(8, 60, 12.0), start=12, end=54), UNKNOWN),
        (lambda story: story.pressed(8, 60, 12.0), BROKEN),
        (lambda story: elects(story, start=12, end=54), BROKEN),
        (lambda story: elects(story.pressed(8, 16, 12.0), start=12, end=14), BROKEN),
    ],
    ids=["lost in it all the time", "not lost in it", "lost without load", "lost in it for a while"],
)
def test_a_share_is_forgiven_as_much_as_there_was_of_a_load_that_loses_leaders(trouble: Callable[[Story], Story], verdict: Verdict) -> None:
    """And of the recovery after it: half of all calls went wrong for 52 s of 88, and one in twenty may."""
    story = (
        killed().node(62, "n3", "web@2").gets(2, 98, "web@1").gets(2, 10, "web@2").gets(10, 62, "web@2", Outcome.FAIL).gets(62, 98, "web@2")
    )
    found = judged(Availability("web", 0.95, 90.0), trouble(story))
    assert found[0] is verdict, found[1]


@pytest.mark.parametrize(
    ("load", "until", "verdict"), [((18, 60), 50, UNKNOWN), (None, 50, BROKEN), ((18, 30), 50, BROKEN), ((40, 60), 50, BROKEN)]
)
@pytest.mark.parametrize("killed_one", ["n1", "n4"])
def test_members_that_elect_nobody_in_such_a_load_convict_nobody(
    killed_one: str, load: tuple[float, float] | None, until: float, verdict: Verdict
) -> None:
    """Ten seconds they may take, from when they could; what is longer without the load convicts, whoever was killed."""
    others = " ".join(each for each in NODES.split() if each != killed_one)
    story = killed(killed_one).members(17, others, 2, None).members(until, others, 9, "n2")
    if load is not None:
        story.pressed(*load, 12.0)
    found = judged(QuorumSurvived(leader="moves"), story)
    assert found[0] is verdict, found[1]


@pytest.mark.parametrize("leader", ["moves", "stays"])
def test_no_load_keeps_members_without_a_majority_from_electing(leader: str) -> None:
    """Three of five are off: nobody can lead, on any machine."""
    story = elects(killed("n2 n3 n4"), start=11, end=12, members="n1 n5").members(12, "n1 n5", 2, None).pressed(0, 99, 12.0)
    assert judged(QuorumSurvived(leader=leader), story)[0] is BROKEN  # type: ignore[arg-type]  # as parametrized
