"""Rescheduled: what it convicts, what it acquits, what it cannot tell; and the split that recovery is."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness import registry
from harness.checkers import Rescheduled
from harness.core.protocols import Services
from harness.core.traits import daemon, known_as
from harness.core.values import App, Budget, Effect, Finding, Loss, Stage, Term, Traits, Verdict
from harness.history.bands import BESIDE
from harness.history.deeds import STARTING
from harness.history.events import FaultStage
from harness.history.recovery import recovery
from harness.testing.histories import Story, node_kill


def kill(*, healing: float = 60.0, healed: float = 62.0) -> Story:
    """Two nodes; n1 with web@1 loses power at 10 s. Nothing is told of what comes of it."""
    story = Story().node(0, "n1", "web@1").node(0, "n2")
    return story.fault("node.kill", "n1", decided=10, in_force=10.1, healing=healing, healed=healed).off(10.05, "n1")


def judged(story: Story, within: float = 30.0) -> Finding:
    """What the checker says, with a limit."""
    return Rescheduled("web", within=within).check(story.history())


def test_work_that_runs_elsewhere_in_time_is_held() -> None:
    """The summary names instance, node, seconds and limit."""
    finding = judged(kill().node(32.5, "n2", "web@1").done(80))
    assert finding.verdict is Verdict.HELD
    assert finding.summary == "web@1 ran on n2 22.4 s after n1 was lost (limit 30 s)"


def test_work_that_runs_elsewhere_too_late_is_broken_by_how_much() -> None:
    """Late is broken, and it says how late."""
    finding = judged(kill().node(50.1, "n2", "web@1").done(80))
    assert finding.verdict is Verdict.BROKEN
    assert "40.0 s after n1 was lost, 10.0 s too late" in finding.summary
    assert finding.evidence


def test_work_that_never_runs_elsewhere_is_broken() -> None:
    """The hold was longer than the limit and nothing came."""
    finding = judged(kill().done(80))
    assert finding.verdict is Verdict.BROKEN
    assert "web@1 ran nowhere else in the 50.0 s" in finding.summary
    (split,) = recovery(kill().done(80).history()).values()
    assert finding.details["instances"] == {"web@1": {**split, "limit": 30.0, "verdict": "broken"}}  # type: ignore[dict-item]  # a mapping


@pytest.mark.parametrize(("up", "verdict"), [(15.0, Verdict.UNKNOWN), (62.0, Verdict.BROKEN)])
def test_what_runs_on_a_machine_that_the_fault_holds_runs_by_node_truth(up: float, verdict: Verdict) -> None:
    """Somebody switched it on again, or the heal did: only the one tells of the time in which it was held."""
    finding = judged(kill().node(up, "n1", "web@1").done(80))
    assert (finding.verdict, "by node truth alone it was back" in finding.summary) == (verdict, verdict is Verdict.UNKNOWN)


@pytest.mark.parametrize(
    ("start", "end", "shows", "back", "verdict"),
    [
        (20, 39.5, "", 40, Verdict.UNKNOWN),
        (20, 60, "", 40, Verdict.UNKNOWN),
        (20, 60, "web@2", 40, Verdict.UNKNOWN),
        (20, 36, "", 40, Verdict.BROKEN),
        (20, 37, "", 40, Verdict.UNKNOWN),
        (20, 37, "", 53, Verdict.UNKNOWN),
        (20, 37, "", 54, Verdict.BROKEN),
        (20, 37, "", None, Verdict.UNKNOWN),
        (28, 39.5, "", 40, Verdict.BROKEN),
        (12, 19, "", 40, Verdict.BROKEN),
    ],
    ids=[
        "until it runs",
        "beyond that",
        "and runs there then",
        "it would not have stayed",
        "for longer than its limit",
        "and it would have been gone for as long",
        "and it would have been gone for longer",
        "and it never came",
        "the time was up",
        "long before",
    ],
)
def test_work_that_was_late_where_it_was_seen_may_have_been_back_where_nobody_looked(
    start: float, end: float, shows: str, back: float | None, verdict: Verdict
) -> None:
    """n4 is lost at 10 s, and has 16.5 s; its work is seen on n3 from some time on, and n5 could not be asked for a while.

    What ran for longer than its limit, and was gone for less, may have gone by itself, whether that was seen or not.
    """
    story = Story().node(0, "n3").node(0, "n4", "web@2").node(0, "n5").watched(99, "n3 n4 n5")
    story.fault("node.kill", "n4", decided=9.8, in_force=10, healing=90, healed=91).off(9.9, "n4")
    story.unreachable(start, "n5").node(end, "n5", *shows.split())
    if back is not None:
        story.node(back, "n3", "web@2")
    found = Rescheduled("web", within=16.5).check(story.done(100).history())
    assert found.verdict is verdict, found.summary


EXCUSES: dict[str, tuple[Callable[[Story], Story], Verdict]] = {
    "nothing": (lambda story: story, Verdict.BROKEN),
    "its new home unseen, and then without it": (lambda story: story.unreachable(45, "n3").node(55, "n3"), Verdict.BROKEN),
    "its new home unseen until it runs": (lambda story: story.unreachable(45, "n3"), Verdict.UNKNOWN),
    "another home unseen until it runs": (lambda story: story.unreachable(45, "n5").node(59, "n5"), Verdict.UNKNOWN),
    "another home unseen, and nowhere after that": (lambda story: story.unreachable(45, "n5").node(55, "n5"), Verdict.BROKEN),
    "another home unseen while it ran on": (lambda story: story.unreachable(15, "n5").node(38, "n5"), Verdict.BROKEN),
    "a command": (lambda story: story.action(45, 54, "command", "n1", effect=Effect(disturbs=True)), Verdict.UNKNOWN),
    "a command while it ran on": (lambda story: story.action(20, 34, "command", "n1", effect=Effect(disturbs=True)), Verdict.BROKEN),
    "the machine stood still": (lambda story: story.stalled(45, 49, "machine"), Verdict.UNKNOWN),
    "the machine stood still while it ran on": (lambda story: story.stalled(12, 18, "machine"), Verdict.BROKEN),
    "another fault mended": (
        lambda story: story.fault("net.partition", "n2", decided=44, in_force=45, healing=49, healed=50, number=2),
        Verdict.UNKNOWN,
    ),
    "another fault mended while it ran on": (
        lambda story: story.fault("net.partition", "n2", decided=14, in_force=15, healing=19, healed=20, number=2),
        Verdict.BROKEN,
    ),
    "all homes emptied": (
        lambda story: story.action(41, 42, "node.drain", "n1 n2 n3 n5", effect=Effect(moves=True)).action(
            53, 54, "node.undrain", "n1 n2 n3 n5", effect=Effect(opens=True), number=2
        ),
        Verdict.UNKNOWN,
    ),
}


@pytest.mark.parametrize(("excuse", "verdict"), EXCUSES.values(), ids=EXCUSES)
def test_what_excuses_late_work_is_asked_of_the_time_since_it_stopped(excuse: Callable[[Story], Story], verdict: Verdict) -> None:
    """It ran on for 30 s where its daemon was killed, and was gone for 18 s of 16.5 then."""
    story = (
        Story()
        .node(0, "n1", "web@1")
        .node(0, "n2")
        .node(0, "n3")
        .node(0, "n4", "web@2")
        .node(0, "n5")
        .members(0.5, "n1 n2 n3 n4 n5", 2, "n1")
    )
    story.fault("process.kill", "n4", decided=9.8, in_force=10, healing=90, healed=91, traits=daemon("fleetd", in_place=False), lost="n4")
    excuse(story.node(40, "n4")).node(58, "n3", "web@2").watched(99, "n1 n2 n3 n4 n5")
    found = Rescheduled("web", within=16.5).check(story.done(100).history())
    assert found.verdict is verdict, found.summary
    assert verdict is Verdict.UNKNOWN or "18.0 s after it stopped on n4 (30.0 s after fleetd was lost there)" in found.summary, (
        found.summary
    )


@pytest.mark.parametrize(("off", "verdict"), [(9.5, Verdict.UNKNOWN), (30.0, Verdict.HELD), (None, Verdict.HELD)])
def test_work_of_a_machine_that_was_off_by_itself_shows_nothing_of_a_cut(off: float | None, verdict: Verdict) -> None:
    """It came back in time on another node, from the one or from the other; what went off later had nothing left to be taken."""
    story = Story().node(0, "n3").node(0, "n4", "web@2").node(0, "n5").watched(99, "n3 n4 n5").node(20, "n3", "web@2")
    cut = Traits(Loss.LINK, apart=True)
    story.fault(
        "net.partition", "n4", decided=9.8, in_force=10, healing=60, healed=61, traits=cut, lost="n4", parameters={"shape": "isolate"}
    )
    if off is not None:
        story.off(off, "n4").node(70, "n4")
    found = Rescheduled("web", within=16.5).check(story.done(100).history())
    assert found.verdict is verdict, found.summary


def test_work_that_ran_on_and_came_back_nowhere_is_told_from_when_it_stopped() -> None:
    """Not as lost at the bite; and the fault would have to have gone on from then."""
    for healing, words in (
        (90, "ran nowhere else in the 50.0 s after it stopped on n4 (30.0 s after"),
        (50, "in force for 46.5 s at least"),
    ):
        story = Story().node(0, "n3").node(0, "n4", "web@2").node(0, "n5").watched(99, "n3 n4 n5").node(40, "n4")
        story.fault(
            "a.kill",
            "n4",
            decided=9.8,
            in_force=10,
            healing=healing,
            healed=healing + 1,
            traits=daemon("fleetd", in_place=False),
            lost="n4",
        )
        assert words in Rescheduled("web", within=16.5).check(story.done(100).history()).summary


@pytest.mark.parametrize(("pin", "words"), [("n1", True), ("n2", False), (None, False)])
def test_an_app_that_is_pinned_to_what_was_lost_says_so(pin: str | None, *, words: bool) -> None:
    """It breaks the promise all the same: that was made of it."""
    finding = Rescheduled("web", within=30, apps=(App("web", 1, pin=pin),)).check(kill().done(80).history())
    assert (finding.verdict, "(limit 30 s): web is pinned to n1" in finding.summary) == (Verdict.BROKEN, words)


def test_coming_home_after_the_heal_is_not_rescheduling() -> None:
    """A pinned unit that returns with its node was still down for the whole hold."""
    finding = judged(kill().node(62, "n1", "web@1").done(80))
    assert finding.verdict is Verdict.BROKEN


def test_a_fault_healed_before_the_time_was_up_cannot_be_judged() -> None:
    """Ten seconds of hold tell nothing of a limit of thirty, also if it runs elsewhere long after the heal."""
    for story in (kill(healing=20, healed=22), kill(healing=20, healed=22).node(70, "n2", "web@1")):
        finding = judged(story.done(80))
        assert finding.verdict is Verdict.UNKNOWN
        assert "the fault was healed before the time was up" in finding.summary


def test_recovery_before_an_early_heal_is_held() -> None:
    """A hold that ends at recovery is the usual one."""
    assert judged(kill(healing=25, healed=27).node(24, "n2", "web@1").done(80)).verdict is Verdict.HELD


def test_nothing_displaced_is_unknown() -> None:
    """A fault that took nothing away has not tried the promise, nor has one of another app."""
    idle = (
        Story().node(0, "n1").node(0, "n2", "web@1").fault("node.kill", "n1", decided=10, in_force=10, healing=60, healed=60).off(10, "n1")
    )
    assert judged(idle.done(80)).verdict is Verdict.UNKNOWN
    finding = Rescheduled("other", within=30).check(kill().done(80).history())
    assert (finding.verdict, finding.summary) == (Verdict.UNKNOWN, "no instance of other was displaced by a fault")


def test_a_fault_that_leaves_the_instance_alone_displaces_nothing() -> None:
    """A slow disk under a container that goes on running took nothing away."""
    story = Story().node(0, "n1", "web@1").node(0, "n2").fault("disk.slow", "n1", decided=10, in_force=10, healing=60, healed=60)
    assert judged(story.done(80)).verdict is Verdict.UNKNOWN


@pytest.mark.parametrize(
    ("back", "within", "verdict", "words"),
    [
        (45, None, Verdict.HELD, "(no recovery is promised)"),
        (None, None, Verdict.UNKNOWN, "(no recovery is promised)"),
        (45, 10, Verdict.BROKEN, "only 15.0 s after it stopped on n1 (20.0 s after disk.slow hit that), 5.0 s too late (limit 10 s)"),
    ],
)
def test_a_budget_of_who_leads_is_none_of_work(back: float | None, within: float | None, verdict: Verdict, words: str) -> None:
    """A slow disk takes nothing away: what stops under it is promised nothing by the time that an election takes."""
    kind = Traits(Loss.NOTHING, ("disk",))
    story = Story().node(0, "n1", "web@1").node(0, "n2").node(30, "n1")
    story.fault("disk.slow", "n1", decided=10, in_force=10, healing=60, healed=60, traits=kind)
    if back is not None:
        story.node(back, "n2", "web@1")
    budgets = {"disk.slow": Budget((Term("election", 6.0, "here"),))}
    finding = Rescheduled("web", within=within, budgets=budgets).check(story.done(80).history())
    assert (finding.verdict, words in finding.summary) == (verdict, True), finding.summary
    assert finding.details["budget"] == (f"within {within} s" if within else "no recovery is promised")


def test_blind_node_truth_is_unknown_not_broken() -> None:
    """It may have run on the node that nobody could ask."""
    finding = judged(kill().unreachable(20, "n2").done(80))
    assert finding.verdict is Verdict.UNKNOWN
    assert "not known" in finding.summary


def test_a_history_that_ends_before_the_time_was_up_is_unknown() -> None:
    """The harness was killed: nothing is known of what came."""
    story = Story().node(0, "n1", "web@1").node(0, "n2").fault("node.kill", "n1", decided=10, in_force=10.1).off(10.05, "n1").node(20, "n2")
    assert judged(story).verdict is Verdict.UNKNOWN


def test_a_partition_displaces_although_the_old_copy_runs_on() -> None:
    """The isolated node keeps its copy; the new home is what counts, by the same measure."""
    story = Story().node(0, "n1", "web@1").node(0, "n2").fault("net.partition", "n1", decided=10, in_force=10.1, healing=60, healed=60.1)
    finding = judged(story.node(35.1, "n2", "web@1").node(62, "n1").done(80))
    assert finding.summary == "web@1 ran on n2 25.0 s after n1 was cut off (limit 30 s)"
    alone = Story().node(0, "n1", "web@1").node(0, "n2").fault("net.partition", "n1", decided=10, in_force=10.1, healing=60, healed=60.1)
    assert judged(alone.done(80)).verdict is Verdict.BROKEN


THREE = ("n1", "n2", "n3")


def cut(shape: str, targets: str, *, nodes: str = "n1 n2 n3", healing: float = 60.0) -> Story:
    """A partition of this shape from 10 s on; web@1 runs on n1, web@2 on n2, web@3 on n3, and on any further node nothing."""
    story = Story().members(0, nodes, 2, "n1")
    for node in nodes.split():
        story.node(0, node, *([f"web@{node[1:]}"] if node in THREE else []))
    return story.fault("net.partition", targets, decided=10, in_force=10, healing=healing, healed=healing, parameters={"shape": shape})


CUTS: dict[str, tuple[Story, Verdict, str]] = {
    "the targets are the majority: the other one is lost": (
        cut("halves", "n1 n2").node(30, "n1", "web@1", "web@3"),
        Verdict.HELD,
        "web@3 ran on n1 20.0 s after n3 was cut off (limit 30 s)",
    ),
    "the targets are the majority, and the other one's work does not come": (
        cut("halves", "n1 n2"),
        Verdict.BROKEN,
        "web@3 ran nowhere else in the 50.0 s after n3 was cut off (limit 30 s)",
    ),
    "the targets are the majority, and the other one's work comes too late": (
        cut("halves", "n1 n2").node(45, "n2", "web@2", "web@3"),
        Verdict.BROKEN,
        "web@3 ran on n2 only 35.0 s after n3 was cut off, 5.0 s too late",
    ),
    "the bridge sees everybody, and everybody it": (
        cut("bridge", "n2"),
        Verdict.UNKNOWN,
        "no instance of web was displaced by a fault: net.partition cut off nobody from a majority",
    ),
    "a ring leaves everybody a majority": (
        cut("ring", "n1", nodes="n1 n2 n3 n4 n5"),
        Verdict.UNKNOWN,
        "no instance of web was displaced by a fault: net.partition cut off nobody from a majority",
    ),
    "one that nobody hears is lost": (
        cut("one_way", "n1"),
        Verdict.BROKEN,
        "web@1 ran nowhere else in the 50.0 s after n1 was cut off",
    ),
    "one that nobody hears is lost, and its work comes": (
        cut("one_way", "n1").node(20, "n3", "web@3", "web@1"),
        Verdict.HELD,
        "web@1 ran on n3 10.0 s after n1 was cut off",
    ),
    "even sides: nobody is left": (
        cut("halves", "n1 n2", nodes="n1 n2 n3 n4"),
        Verdict.UNKNOWN,
        (
            "web@1 ran nowhere else in the 50.0 s after n1 was cut off (limit 30 s; 80 s with 50.0 s in which no member may have had a majority "
            "allowed for), but no node was left that could take it"
        ),
    ),
    "a copy on a node that is lost as well is no new home": (
        cut("isolate", "n1 n2").node(20, "n2", "web@2", "web@1"),
        Verdict.UNKNOWN,
        (
            "web@1 ran nowhere else in the 50.0 s after n1 was cut off (limit 30 s; 80 s with 50.0 s in which no member may have had a majority "
            "allowed for), but no node was left that could take it"
        ),
    ),
}


@pytest.mark.parametrize("case", CUTS)
def test_lost_to_a_cut_is_who_was_cut_off_and_not_who_was_aimed_at(case: str) -> None:
    """What convicts beside what is acquitted and what cannot be told."""
    story, verdict, text = CUTS[case]
    finding = judged(story.done(80))
    assert (finding.verdict, text in finding.summary) == (verdict, True), finding.summary


def dead_docker(*, in_place: bool = True, healing: float = 60.0) -> Story:
    """Docker is killed on n1, where web@1 runs, at 10 s; what comes of it is not told."""
    story = Story().node(0, "n1", "web@1").node(0, "n2")
    kind = daemon("docker", in_place=in_place)
    return story.fault("process.kill", "n1", decided=10, in_force=10, healing=healing, healed=healing, traits=kind, lost="n1")


DAEMONS: dict[str, tuple[Story, Verdict, str]] = {
    "back in place in time": (
        dead_docker().node(13, "n1").node(15, "n1", "web@1"),
        Verdict.HELD,
        "web@1 ran again on n1 5.0 s after docker was lost on n1 (limit 30 s)",
    ),
    "back in place too late": (
        dead_docker().node(13, "n1").node(45, "n1", "web@1"),
        Verdict.BROKEN,
        "web@1 ran again on n1 only 35.0 s after docker was lost on n1, 5.0 s too late (limit 30 s)",
    ),
    "elsewhere is as good": (
        dead_docker().node(13, "n1").node(25, "n2", "web@1"),
        Verdict.HELD,
        "web@1 ran on n2 15.0 s after docker was lost on n1",
    ),
    "not back at all": (
        dead_docker().node(13, "n1"),
        Verdict.BROKEN,
        "web@1 did not run again in the 50.0 s after docker was lost on n1 (limit 30 s)",
    ),
    "not back, and healed too soon": (
        dead_docker(healing=20).node(13, "n1"),
        Verdict.UNKNOWN,
        "the fault was healed before the time was up, it would have to be in force for 33 s at least",
    ),
    "it never stopped": (dead_docker(), Verdict.UNKNOWN, "no instance of web was displaced by a fault"),
    "kept dead, the same node is no home": (
        dead_docker(in_place=False).node(13, "n1"),
        Verdict.BROKEN,
        "web@1 ran nowhere else in the 50.0 s after docker was lost on n1",
    ),
    "kept dead, and it runs there by node truth": (
        dead_docker(in_place=False).node(13, "n1").node(15, "n1", "web@1"),
        Verdict.UNKNOWN,
        (
            "web@1 ran nowhere else in the 50.0 s after docker was lost on n1 (limit 30 s), but by node truth alone it was back in time, on a node "
            "that this fault or another one held"
        ),
    ),
    "kept dead, and it runs there too late": (
        dead_docker(in_place=False).node(13, "n1").node(45, "n1", "web@1"),
        Verdict.BROKEN,
        "web@1 ran nowhere else in the 50.0 s after docker was lost on n1",
    ),
    "it ran on for a while, and was gone for no longer than is allowed": (
        dead_docker().node(14, "n1").node(43, "n2", "web@1"),
        Verdict.UNKNOWN,
        (
            "web@1 ran on n2 only 33.0 s after docker was lost on n1, 3.0 s too late (limit 30 s), but it ran on there until 4.0 s after that, and "
            "was gone for 29.0 s"
        ),
    ),
    "it ran on for a while, and was gone for longer": (
        dead_docker().node(14, "n1").node(46, "n2", "web@1"),
        Verdict.BROKEN,
        "web@1 ran on n2 only 36.0 s after docker was lost on n1, 6.0 s too late",
    ),
    "kept dead, elsewhere in time": (
        dead_docker(in_place=False).node(25, "n2", "web@1"),
        Verdict.HELD,
        "web@1 ran on n2 15.0 s after docker was lost on n1",
    ),
}


@pytest.mark.parametrize("case", DAEMONS)
def test_what_may_come_back_in_place_need_not_run_elsewhere(case: str) -> None:
    """A daemon that its supervisor starts again has lost no node: what counts is that the work is back, wherever."""
    story, verdict, text = DAEMONS[case]
    finding = judged(story.done(80))
    assert (finding.verdict, text in finding.summary) == (verdict, True), finding.summary


def test_work_that_is_back_in_place_is_given_up_and_placed_first() -> None:
    """The API goes on showing the old home until it notices: that is no new one."""
    story = dead_docker().node(13, "n1").node(15, "n1", "web@1")
    story.api(11, "n2", "n1 n2", {"web@1": "n1"}).api(14, "n2", "n1 n2", {"web@1": None}).api(14.5, "n2", "n1 n2", {"web@1": "n1"})
    split = recovery(story.done(80).history())["web@1"]
    assert isinstance(split, dict)
    assert [split[step] for step in ("from", "to", "noticed", "placed", "running")] == ["n1", "n1", 4, 4.5, 5]


def test_what_runs_only_after_the_heal_shows_nothing_of_what_the_fault_did() -> None:
    """In time by the clock, but the machine was on its way back; the split tells of it all the same."""
    story = kill(healing=20, healed=22).node(24, "n2", "web@1")
    finding = judged(story.done(80))
    assert finding.verdict is Verdict.UNKNOWN
    assert finding.summary == (
        "web@1 ran nowhere else in the 9.9 s after n1 was lost (on n2 after 13.9 s) (limit 30 s): the fault was healed before the time was up, "
        "it would have to be in force for 30 s at least"
    )
    in_time = kill(healing=25, healed=27).node(24, "n2", "web@1")
    assert judged(in_time.done(80)).verdict is Verdict.HELD


AROUND_THE_HEAL: dict[str, tuple[float, bool]] = {"while it is held": (59.0, True), "by the heal": (60.5, False), "after it": (63.0, False)}


@pytest.mark.parametrize("case", AROUND_THE_HEAL)
def test_what_the_heal_stops_was_not_taken_away_by_the_fault(case: str) -> None:
    """Docker is kept dead, its container runs on; a started dockerd stops it."""
    stops, counts = AROUND_THE_HEAL[case]
    story = Story().node(0, "n1", "web@1").node(0, "n2").node(stops, "n1")
    kind = daemon("docker", in_place=False)
    story.fault("process.kill", "n1", decided=10, in_force=10, healing=60, healed=62, traits=kind, lost="n1")
    assert bool(recovery(story.done(80).history())) is counts


def test_where_no_home_is_left_a_longer_hold_would_tell_no_more() -> None:
    """That nobody could take it is the reason, not that the fault was short."""
    story = Story().node(0, "n1", "web@1").node(0, "n2", "web@2").node(0, "n3", "web@3")
    story.fault("node.kill", "n1", decided=10, in_force=10.1, healing=20, healed=22).off(10.05, "n1")
    finding = Rescheduled("web", within=30, apps=(App("web", 3),)).check(story.done(80).history())
    assert finding.verdict is Verdict.UNKNOWN
    assert "against its rule" in finding.summary
    assert "would have to be" not in finding.summary


def full(*, conflicts: bool = True) -> tuple[Story, Rescheduled]:
    """Three nodes with one instance each, of which n1 is lost."""
    story = Story().node(0, "n1", "web@1").node(0, "n2", "web@2").node(0, "n3", "web@3")
    story.fault("node.kill", "n1", decided=10, in_force=10.1, healing=60, healed=62).off(10.05, "n1")
    return story, Rescheduled("web", within=30, apps=(App("web", 3, conflicts=conflicts),))


def test_an_instance_that_no_node_that_is_left_may_run_is_no_breach() -> None:
    """Nothing promises it a home; where the rule leaves one, or there is no rule, it does."""
    story, checker = full()
    finding = checker.check(story.done(80).history())
    assert finding.verdict is Verdict.UNKNOWN
    assert "but every node that was left ran another instance of web already, and two on one are against its rule" in finding.summary
    story, checker = full(conflicts=False)
    assert checker.check(story.done(80).history()).verdict is Verdict.BROKEN
    story, checker = full()
    assert checker.check(story.node(0, "n4").done(80).history()).verdict is Verdict.BROKEN
    story, checker = full()
    assert checker.check(story.off(0, "n4").done(80).history()).verdict is Verdict.UNKNOWN
    story, checker = full()
    assert checker.check(story.node(0, "n4").node(30, "n4", "web@1").done(80).history()).verdict is Verdict.HELD


def test_where_two_are_lost_and_there_is_room_for_one_the_other_is_no_breach() -> None:
    """One of them takes the only home in time; while nobody had taken it when the time was up, both could have."""
    for back, verdict in ((30, Verdict.UNKNOWN), (45, Verdict.BROKEN)):
        story = Story().node(0, "n1", "web@1").node(0, "n2", "web@2").node(0, "n3", "web@3").node(0, "n4", "web@4").node(0, "n5")
        story.fault("node.kill", "n1 n2", decided=10, in_force=10.1, healing=60, healed=62).off(10.05, "n1").off(10.05, "n2")
        finding = Rescheduled("web", within=30, apps=(App("web", 4),)).check(story.node(back, "n5", "web@1").done(80).history())
        assert (finding.verdict, "web@2 ran nowhere else" in finding.summary) == (verdict, True), finding.summary


def test_where_no_recovery_is_promised_none_that_stays_away_is_a_breach() -> None:
    """However long it was watched."""
    finding = Rescheduled("web", budgets={"node.kill": Budget(())}).check(kill().done(80).history())
    assert finding.summary == "web@1 ran nowhere else in the 50.0 s after n1 was lost (no recovery is promised)"
    assert finding.verdict is Verdict.UNKNOWN


def test_the_budget_of_a_daemon_is_its_own() -> None:
    """By what was lost, and only in older plans by the fault's name alone."""
    short, long = Budget((Term("docker", 3.0, "a test"),)), Budget((Term("etcd", 25.0, "a test"),))
    history = dead_docker().node(10.5, "n1").node(15, "n1", "web@1").done(80).history()
    for budgets, verdict in (
        ({"process.kill docker": short, "process.kill etcd": long}, Verdict.BROKEN),
        ({"process.kill docker": long, "process.kill etcd": short}, Verdict.HELD),
        ({"process.kill": long}, Verdict.HELD),
    ):
        assert Rescheduled("web", budgets=budgets).check(history).verdict is verdict, budgets


def loop(start: float, end: float, *, on: float, off: float) -> Story:
    """The power cut of `kill`; web@1 runs on n2 for `on` seconds, is gone for `off`, and again, from `start` to `end`."""
    story = kill()
    time = start
    while time < end:
        story.node(time, "n2", "web@1").node(min(time + on, end), "n2")
        time += on + off
    return story


STAYS: dict[str, tuple[Story, Verdict, str]] = {
    "for 50 ms": (
        kill().node(20, "n2", "web@1").node(20.05, "n2"),
        Verdict.BROKEN,
        "web@1 ran nowhere to stay (it ran on n2 9.9 s after the loss, for 0.05 s, and stopped) in the 50.0 s after n1 was lost (limit 30 s)",
    ),
    "for 2 s": (kill().node(20, "n2", "web@1").node(22, "n2"), Verdict.BROKEN, "for 2.0 s, and stopped) in the 50.0 s after n1 was lost"),
    "for a while, and again too late": (
        kill().node(20, "n2", "web@1").node(25, "n2").node(50, "n2", "web@1"),
        Verdict.BROKEN,
        "ran on n2 only 40.0 s after n1 was lost, 10.0 s too late; before that it ran on n2 9.9 s after the loss, for 5.0 s, and stopped",
    ),
    "for a while, and again in time": (
        kill().node(20, "n2", "web@1").node(25, "n2").node(39, "n2", "web@1"),
        Verdict.HELD,
        "ran on n2 28.9 s",
    ),
    "for a moment, the fault too short to tell": (
        kill(healing=30, healed=32).node(20, "n2", "web@1").node(22, "n2"),
        Verdict.UNKNOWN,
        "it would have to be in force for 30 s at least",
    ),
    "again and again": (
        loop(20, 70, on=3, off=1),
        Verdict.BROKEN,
        "too late; before that it ran on n2 9.9 s after the loss, for 3.0 s, and stopped",
    ),
    "again and again, and up just before an early heal": (
        kill(healing=32, healed=34).node(15, "n2", "web@1").node(16, "n2").node(31, "n2", "web@1"),
        Verdict.UNKNOWN,
        "web@1 ran on n2 20.9 s after n1 was lost (limit 30 s), but it had run for only 1.0 s when the fault was over, and had stopped before",
    ),
    "again and again, and up for 4 s before an early heal": (
        kill(healing=32, healed=34).node(15, "n2", "web@1").node(16, "n2").node(28, "n2", "web@1"),
        Verdict.UNKNOWN,
        "it had run for only 4.0 s when the fault was over, and had stopped before",
    ),
    "started anew once in its place": (
        kill().node(20, "n2", "web@1").node(45, "n2").node(46.5, "n2", "web@1"),
        Verdict.HELD,
        "ran on n2 9.9 s",
    ),
    "moved on to another": (
        kill().node(0, "n3").node(20, "n2", "web@1").node(45, "n2").node(45.5, "n3", "web@1"),
        Verdict.HELD,
        "ran on n2 9.9 s",
    ),
    "stopped just before the heal": (
        kill().node(20, "n2", "web@1").node(59, "n2"),
        Verdict.UNKNOWN,
        "ran on n2 9.9 s after n1 was lost (limit 30 s), but it had stopped again 1.0 s before the fault was over",
    ),
    "for a moment, and stopped just before the heal": (
        kill(healing=42, healed=44).node(37, "n2", "web@1").node(41, "n2").node(42.6, "n2", "web@1"),
        Verdict.UNKNOWN,
        "ran on n2 26.9 s after n1 was lost (limit 30 s), but it had stopped again 1.0 s before the fault was over",
    ),
    "for a moment, too late, and stopped just before the heal": (
        kill().node(55, "n2", "web@1").node(59, "n2").node(60.6, "n2", "web@1"),
        Verdict.BROKEN,
        "ran on n2 only 45.0 s after n1 was lost, 15.0 s too late",
    ),
    "stopped by the heal": (kill().node(20, "n2", "web@1").node(60.5, "n2"), Verdict.HELD, "ran on n2 9.9 s"),
    "then nobody could ask": (
        kill().node(20, "n2", "web@1").unreachable(25, "n2"),
        Verdict.UNKNOWN,
        "but whether it ran on was not known for the last 35.0 s of the fault",
    ),
    "for a moment, then perhaps where nobody could ask": (
        kill().node(0, "n3").node(20, "n2", "web@1").node(22, "n2").unreachable(25, "n3").node(50, "n2", "web@1"),
        Verdict.UNKNOWN,
        "but what the other nodes ran was not known for",
    ),
}


@pytest.mark.parametrize("case", STAYS)
def test_back_is_what_is_there_to_stay(case: str) -> None:
    """What ran for a moment and stopped is not; one start anew in place and a move are no stop; what crashes on and on counts from its last start."""
    story, verdict, text = STAYS[case]
    finding = judged(story.done(80))
    assert (finding.verdict, text in finding.summary) == (verdict, True), finding.summary


OWN_ENDS: dict[str, tuple[Story, Verdict, str]] = {
    "after longer than its whole limit, back in place": (
        kill(healing=100, healed=102).node(20, "n2", "web@1").node(60, "n2").node(63, "n2", "web@1"),
        Verdict.UNKNOWN,
        "but it had been back in time before, after 9.9 s, and had run for 40.0 s: that it was gone for 3.0 s then may be its own doing",
    ),
    "after longer than its whole limit, back elsewhere": (
        kill(healing=100, healed=102).node(0, "n3").node(20, "n2", "web@1").node(60, "n2").node(63, "n3", "web@1"),
        Verdict.UNKNOWN,
        "may be its own doing",
    ),
    "after longer than its whole limit, and not back when healing began": (
        kill(healing=70, healed=72).node(20, "n2", "web@1").node(60, "n2"),
        Verdict.UNKNOWN,
        "gone for 10.0 s then",
    ),
    "after longer than its whole limit, for longer than that": (
        kill(healing=130, healed=132).node(20, "n2", "web@1").node(60, "n2").node(95, "n2", "web@1"),
        Verdict.BROKEN,
        "55.0 s too late",
    ),
    "within its limit": (
        kill(healing=100, healed=102).node(20, "n2", "web@1").node(45, "n2").node(48, "n2", "web@1"),
        Verdict.BROKEN,
        "8.0 s too late",
    ),
    "over and over, within its limit": (loop(20, 60, on=12, off=3), Verdict.BROKEN, "too late"),
    "for longer than its limit, but only when that was over": (
        kill(healing=130, healed=132).node(50, "n2", "web@1").node(90, "n2").node(93, "n2", "web@1"),
        Verdict.BROKEN,
        "53.0 s too late",
    ),
}


@pytest.mark.parametrize("case", OWN_ENDS)
def test_what_stops_after_longer_than_its_whole_limit_may_be_its_own_end(case: str) -> None:
    """Work that was back in time and stayed for so long shows nothing of the fault when it crashes; what crashes before that, or stays away, does."""
    story, verdict, text = OWN_ENDS[case]
    finding = judged(story.done(140))
    assert (finding.verdict, text in finding.summary) == (verdict, True), finding.summary


@pytest.mark.parametrize(
    ("dark", "seen", "verdict"),
    [
        (20, 61, Verdict.UNKNOWN),
        (39, 59, Verdict.UNKNOWN),
        (39, 50, Verdict.BROKEN),
        (20, 55, Verdict.UNKNOWN),
        (20, 30, Verdict.BROKEN),
        (41, 50, Verdict.BROKEN),
        (59.5, 61, Verdict.BROKEN),
        (20, 21, Verdict.BROKEN),
    ],
    ids=[
        "from then on",
        "nearly to the heal",
        "and not there after that",
        "for longer than its limit",
        "in time",
        "after it was up",
        "at the heal",
        "for a moment",
    ],
)
def test_where_nobody_could_ask_work_may_have_been_back_that_would_have_stayed(dark: float, seen: float, verdict: Verdict) -> None:
    """What came when the time was up came too late; and what was gone again when the node was seen, long before the heal, was not there to stay."""
    finding = judged(kill().node(0, "n3").unreachable(dark, "n3").node(seen, "n3").done(80))
    assert (finding.verdict, "was not known for" in finding.summary) == (verdict, verdict is Verdict.UNKNOWN), finding.summary


@pytest.mark.parametrize("back", [False, True], ids=["never back", "back late"])
@pytest.mark.parametrize(
    ("trouble", "verdict"),
    [
        (lambda story: story, Verdict.BROKEN),
        (lambda story: story.stalled(25, 33, "machine"), Verdict.UNKNOWN),
        (lambda story: story.stalled(44, 52, "machine"), Verdict.BROKEN),
        (lambda story: story.off(25, "n3").node(33, "n3"), Verdict.UNKNOWN),
        (lambda story: story.off(44, "n3").node(52, "n3"), Verdict.BROKEN),
    ],
    ids=["none", "stood still in time", "stood still later", "one off in time", "one off later"],
)
def test_what_was_so_only_when_the_time_was_up_excuses_nothing(trouble: Callable[[Story], Story], verdict: Verdict, *, back: bool) -> None:
    """Work that is late is late whoever stands still, or goes off by itself, after that."""
    story = trouble(kill().node(0, "n3").endures())
    finding = judged((story.node(55, "n2", "web@1") if back else story).done(80))
    assert finding.verdict is verdict, finding.summary


@pytest.mark.parametrize(
    ("home", "back", "verdict"),
    [
        ("n3", 20.0, Verdict.UNKNOWN),
        ("n2", 20.0, Verdict.BROKEN),  # it stopped where nothing happened
        ("n3", 36.0, Verdict.BROKEN),  # too late already
    ],
)
def test_work_that_was_back_in_time_until_its_machine_went_off_by_itself_is_not_too_late(home: str, back: float, verdict: Verdict) -> None:
    """Its limit ends at 30 s; it ran for less than that on n3, or on n2, until n3 went off by nobody's fault at 40 s."""
    story = kill(healing=80, healed=82).node(0, "n3").node(back, home, "web@1").off(40, "n3").node(60, "n4", "web@1")
    if home == "n2":
        story.node(40, "n2")
    finding = judged(story.node(0, "n4").done(100), within=25.0)
    assert finding.verdict is verdict, finding.summary


def test_a_fault_that_was_over_by_itself_is_no_other_fault() -> None:
    """It is said to be over, and not that another one took the work again."""
    story = Story().node(0, "n1", "web@1").node(0, "n2")
    story.fault("node.kill", "n1", decided=10, in_force=10.1, healing=60, healed=62, failed=15, detail="n1 is up")
    story.off(10.05, "n1").node(14, "n1").node(17, "n1", "web@1")
    finding = judged(story.done(80))
    assert finding.verdict is Verdict.UNKNOWN
    assert "the fault was in force no more before the time was up" in finding.summary


AGENTS = {"fleetd", "mesos-agent"}


@pytest.mark.parametrize("part", sorted({*BESIDE, *AGENTS}))
def test_a_node_that_loses_a_daemon_which_starts_no_work_there_is_a_home_as_before(part: str) -> None:
    """What runs there is back, and has no more time for sure than without that; where the agent is lost it is neither."""
    found = []
    for to, back in (("n2", 45), ("n3", 65)):
        story = Story().node(0, "n1", "web@1").node(0, "n2").node(0, "n3")
        story.fault("node.kill", "n1", decided=10, in_force=10.1, healing=150, healed=151).off(10.1, "n1").node(151, "n1")
        traits = daemon(part, in_place=False)
        story.fault("process.kill", "n2", decided=30, in_force=30.2, healing=140, healed=141, number=2, traits=traits, lost="n2")
        found.append(judged(story.node(back, to, "web@1").done(180), within=40).verdict)
    assert found == ([Verdict.UNKNOWN, Verdict.HELD] if part in AGENTS else [Verdict.HELD, Verdict.UNKNOWN])


@pytest.mark.parametrize("name", sorted(registry.known().modes))
def test_of_every_daemon_of_a_mode_it_is_known_whether_work_starts_by_it(name: str) -> None:
    """Its node is a home without it, or it is none."""
    mode = registry.known().modes[name].from_timers("default", {})
    there = {known_as(each) for each in mode.processes()} if isinstance(mode, Services) else set()
    assert there <= {*BESIDE, *STARTING, *AGENTS}


@pytest.mark.parametrize(
    ("runs_on", "cut", "verdict"),
    [(True, False, Verdict.UNKNOWN), (False, False, Verdict.BROKEN), (True, True, Verdict.BROKEN)],
    ids=["runs on", "stopped before", "runs on where nobody reaches it"],
)
def test_a_copy_that_ran_on_all_along_where_another_fault_took_a_daemon_convicts_nobody(runs_on: bool, cut: bool, verdict: Verdict) -> None:
    """A second copy was lost with its machine, and the first one never stopped; one behind a cut is of no use to anybody."""
    story = Story().node(0, "n1", "web@1").node(0, "n2").node(0, "n3").node(0, "n4")
    traits = Traits(Loss.LINK, apart=True) if cut else daemon("fleetd", in_place=False)
    story.fault("first.fault", "n1", decided=10, in_force=10, healing=120, healed=121, traits=traits, lost="n1")
    story.node(25, "n2", "web@1")
    if not runs_on:
        story.node(40, "n1")
    story.fault("node.kill", "n2", decided=50, in_force=50, healing=120, healed=122, number=2).off(50, "n2")
    finding = judged(story.node(100, "n3", "web@1").done(140))
    assert finding.verdict is verdict, finding.summary


def two_at_once(second: str, begins: float, *, runs: float, first_heals: float = 60.0) -> Story:
    """A cut of n1 from 10 s on, and while it is in force a second fault on n1, till 60 s; web@1 runs on n2 from `runs` on."""
    story = Story().node(0, "n1", "web@1").node(0, "n2").node(0, "n3")
    story.fault("net.partition", "n1", decided=10, in_force=10, healing=first_heals, healed=first_heals)
    story.fault(second, "n1", decided=begins, in_force=begins, healing=60, healed=61, number=2)
    if second == "node.kill":
        story.off(begins, "n1")
    return story.node(runs, "n2", "web@1").done(80)


AT_ONCE: dict[str, tuple[Story, Verdict, str]] = {
    "cut and cut, back in time": (two_at_once("net.partition", 20, runs=35), Verdict.HELD, "web@1 ran on n2 25.0 s after n1 was cut off"),
    "cut and killed, back in time": (two_at_once("node.kill", 20, runs=35), Verdict.HELD, "web@1 ran on n2 25.0 s after n1 was cut off"),
    "cut and killed, too late for the first": (
        two_at_once("node.kill", 20, runs=45),
        Verdict.BROKEN,
        "web@1 ran on n2 only 35.0 s after n1 was cut off, 5.0 s too late",
    ),
    "the first healed too soon, back after the second in time": (
        two_at_once("net.partition", 25, runs=50, first_heals=30),
        Verdict.UNKNOWN,
        "would have to be in force for 30 s at least",
    ),
    "one after the other": (
        two_at_once("net.partition", 30.3, runs=38, first_heals=30),
        Verdict.UNKNOWN,
        "web@1 ran nowhere else in the 20.0 s after n1 was cut off",
    ),
}


@pytest.mark.parametrize("case", AT_ONCE)
def test_a_second_fault_on_a_node_that_is_lost_ends_no_wait(case: str) -> None:
    """It takes nothing away that was not gone; what comes back meanwhile came back after both."""
    story, verdict, text = AT_ONCE[case]
    finding = judged(story)
    assert (finding.verdict, text in finding.summary) == (verdict, True), finding.summary


def test_an_instance_is_no_other_one_to_itself() -> None:
    """It ran on the only node that was left, and stopped again: its own copy there is against no rule."""
    for name, verdict in (("web@1", Verdict.BROKEN), ("web@2", Verdict.UNKNOWN)):
        story = kill().node(35, "n2", name).node(42, "n2").done(80)
        finding = Rescheduled("web", within=30, apps=(App("web", 2),)).check(story.history())
        assert finding.verdict is verdict, finding.summary


def twice() -> Story:
    """Power is lost twice: n1 with web@1, and once that is mended n2, to which it had gone. What comes of the second loss is not told."""
    story = kill(healing=40, healed=42).node(30, "n2", "web@1").node(42, "n1")
    return story.fault("node.kill", "n2", decided=50, in_force=50, healing=90, healed=92, number=2).off(50, "n2")


def test_every_loss_is_judged_by_itself() -> None:
    """Back in time both times is held; the names in the split say which loss it was."""
    story = twice().node(70, "n1", "web@1").done(99)
    finding = judged(story)
    assert (finding.verdict, finding.summary) == (
        Verdict.HELD,
        "web@1 (fault 2) ran on n1 20.0 s after n2 was lost (limit 30 s), the slowest of 2 losses",
    )
    unasked = {"noticed": None, "placed": None, "serving": None}
    assert recovery(story.history()) == {
        "web@1": {"fault": 1, "from": "n1", "to": "n2", "running": pytest.approx(19.95), "watched": pytest.approx(29.95), **unasked},
        "web@1 (fault 2)": {"fault": 2, "from": "n2", "to": "n1", "running": 20.0, "watched": 40.0, **unasked},
    }


def test_a_second_loss_that_does_not_come_back_convicts() -> None:
    """That the first one did is no excuse."""
    finding = judged(twice().done(99))
    assert (finding.verdict, finding.summary) == (
        Verdict.BROKEN,
        "web@1 (fault 2) ran nowhere else in the 40.0 s after n2 was lost (limit 30 s)",
    )
    late = judged(twice().node(85, "n1", "web@1").done(99))
    assert (late.verdict, "web@1 (fault 2) ran on n1 only 35.0 s after n2 was lost" in late.summary) == (Verdict.BROKEN, True)


def test_a_second_fault_may_come_while_the_first_is_in_force() -> None:
    """It hits the node where the instance now runs; the third node is home to it after that, and the first fault's copy counts for nothing."""
    for copies in ((), ("web@1",)):
        story = Story().node(0, "n1", "web@1").node(0, "n2").node(0, "n3").node(20, "n2", "web@1").node(10, "n1", *copies)
        story.fault("net.partition", "n1", decided=10, in_force=10, healing=80, healed=80)
        story.fault("node.kill", "n2", decided=30, in_force=30, healing=80, healed=80, number=2).off(30, "n2")
        story.api(40, "n1", "n1", {"web@1": "n1"}).api(45, "n3", "n3", {"web@1": "n3"})
        split = recovery(story.node(46, "n3", "web@1").done(99).history())
        assert [
            (key, each["from"], each["to"], each["placed"], each["running"]) for key, each in split.items() if isinstance(each, dict)
        ] == [
            ("web@1", "n1", "n2", None, 10.0),
            ("web@1 (fault 2)", "n2", "n3", 15.0, 16.0),
        ]
        assert judged(story).verdict is Verdict.HELD


def test_a_copy_that_an_earlier_fault_left_behind_is_not_lost() -> None:
    """A second fault hits the node that was cut off, while its old copy still runs: the instance itself runs elsewhere all along."""
    story = Story().node(0, "n1", "web@1").node(0, "n2").node(25, "n2", "web@1").node(51, "n1")
    story.fault("net.partition", "n1", decided=10, in_force=10, healing=45, healed=45)
    story.fault("net.partition", "n1", decided=50, in_force=50, healing=90, healed=90, number=2)
    assert list(recovery(story.done(99).history())) == ["web@1"]
    assert judged(story).verdict is Verdict.HELD


def test_what_comes_back_after_the_next_loss_did_not_come_back_after_the_first() -> None:
    """The first loss ended with its node's return, too soon to judge it; only the second one moved the work."""
    story = kill(healing=20, healed=22).node(23, "n1", "web@1")
    story.fault("node.kill", "n1", decided=50, in_force=50, healing=90, healed=92, number=2).off(50, "n1").node(70, "n2", "web@1")
    finding = judged(story.done(99), within=70)
    assert finding.verdict is Verdict.UNKNOWN
    assert "web@1 ran nowhere else in the 9.9 s after n1 was lost (limit 70 s): the fault was healed" in finding.summary
    split = recovery(story.history())["web@1 (fault 2)"]
    assert isinstance(split, dict)
    assert (split["to"], split["running"]) == ("n2", 20.0)


def test_every_fault_has_a_budget_of_its_own() -> None:
    """The mode needs longer after one kind than after another; what has none has no other's."""
    story = kill(healing=40, healed=42).node(30, "n2", "web@1").node(42, "n1")
    story.fault("net.partition", "n2", decided=50, in_force=50, healing=90, healed=92, number=2).node(70, "n1", "web@1").done(99)
    short, long = Budget((Term("agent_ttl", 15.0, "fleet"),)), Budget((Term("agent_ttl", 25.0, "fleet"),))
    for budgets, verdict in (
        ({"node.kill": long, "net.partition": long}, Verdict.HELD),
        ({"node.kill": short, "net.partition": long}, Verdict.BROKEN),
        ({"node.kill": long, "net.partition": short}, Verdict.BROKEN),
        ({"node.kill": long}, Verdict.HELD),
        ({"node.kill": long, "net.partition": short}, Verdict.BROKEN),
    ):
        finding = Rescheduled("web", budgets=budgets).check(story.history())
        assert finding.verdict is verdict, budgets
    assert finding.details["budget"] == "after node.kill: agent_ttl 25 = 25 s; after net.partition: agent_ttl 15 = 15 s"


def test_the_split_is_noticed_placed_running_serving() -> None:
    """Each is measured from the loss: noticed and placed by a survivor's API, running by Docker's own time, serving by the first good answer."""
    split = recovery(node_kill().history())
    assert split == {
        "web@2": {
            "fault": 1,
            "from": "n2",
            "to": "n3",
            "noticed": pytest.approx(27.96),
            "placed": pytest.approx(28.96),
            "running": pytest.approx(30.16),
            "serving": pytest.approx(30.47),
            "watched": pytest.approx(40.96),
        }
    }


def test_the_api_of_a_target_notices_nothing() -> None:
    """What the cut-off side believes is not what the cluster noticed."""
    story = Story().node(0, "n1", "web@1").node(0, "n2").fault("net.partition", "n1", decided=10, in_force=10, healing=60, healed=60)
    story.api(12, "n1", "n1", {"web@1": None}).api(20, "n2", "n2", {"web@1": None}).api(21, "n2", "n2", {"web@1": "n2"})
    split = recovery(story.node(22, "n2", "web@1").done(80).history())["web@1"]
    assert isinstance(split, dict)
    assert (split["noticed"], split["placed"], split["running"]) == (10, 11, 12)


def test_the_limit_is_within_or_else_the_budget() -> None:
    """A scenario's own limit wins; without any, nothing is promised and nothing is known."""
    budget = Budget((Term("agent_ttl", 20.0, "fleet"), Term("engine pass", 2.0, "fleet")))
    story = kill().node(40.1, "n2", "web@1").done(80)
    by_budget = Rescheduled("web", budgets={"node.kill": budget}).check(story.history())
    assert by_budget.verdict is Verdict.BROKEN
    assert by_budget.details["budget"] == "agent_ttl 20 + engine pass 2 = 22 s"
    assert Rescheduled("web", within=40, budgets={"node.kill": budget}).check(story.history()).verdict is Verdict.HELD
    assert Rescheduled("web", budgets={"node.kill": Budget(())}).check(kill().done(80).history()).verdict is Verdict.UNKNOWN


@pytest.mark.parametrize(
    ("effect", "targets", "back", "verdict"),
    [
        (Effect(disturbs=True), "", 60, Verdict.UNKNOWN),
        (Effect(disturbs=True), "n1", 60, Verdict.UNKNOWN),
        (Effect(disturbs=True), "", 70, Verdict.BROKEN),
        (Effect(starts=("docker",)), "n1", 60, Verdict.BROKEN),
        (Effect(), "", 60, Verdict.BROKEN),
    ],
    ids=["a command", "on a node", "and far too late", "a daemon was restarted", "what disturbs nothing"],
)
def test_what_may_have_done_anything_may_have_taken_the_leader(effect: Effect, targets: str, back: float, verdict: Verdict) -> None:
    """A follower was lost at 20 s, which takes ten seconds, and forty after a leader; until 25 s something was done."""
    story = Story().node(0, "n1").node(0, "n2", "web@1").node(0, "n3").watched(99, "n1 n2 n3")
    story.members(0.5, "n1 n2 n3", 2, "n1").fault("node.kill", "n2", decided=20, in_force=20, healing=90, healed=91, lost="n2")
    story.off(20, "n2").no_member(20.5, "n2").action(24, 25, "some.action", targets, effect=effect).node(back, "n3", "web@1")
    budgets = {
        "node.kill": Budget((Term("a leader", 40.0, "a test"),)),
        "node.kill of a follower": Budget((Term("a follower", 10.0, "a test"),)),
    }
    finding = Rescheduled("web", budgets=budgets).check(story.done(100).history())
    assert finding.verdict is verdict, finding.summary


def test_of_several_instances_the_slowest_is_named() -> None:
    """All must be there in time."""
    story = Story().node(0, "n1", "web@1", "db@1", "web@2").node(0, "n2").node(0, "n3")
    story.fault("node.kill", "n1", decided=10, in_force=10, healing=60, healed=62).off(10, "n1").node(30, "n2", "web@1")
    both = story.node(35, "n3", "web@2").done(80)
    assert judged(both).summary == "web@2 ran on n3 25.0 s after n1 was lost (limit 30 s), the slowest of 2 displaced instances"
    assert judged(both, within=22).verdict is Verdict.BROKEN


def slow_switch(*, off: float = 10.5, running: float) -> Story:
    """A power switch that says only after 30 s that it is done; the machine was off at `off`, and the work ran on n2 at `running`."""
    story = Story().node(0, "n1", "web@1").node(0, "n2").fault("node.kill", "n1", decided=10, in_force=40, healing=90, healed=95)
    return story.off(off, "n1").node(running, "n2", "web@1").done(99)


def test_a_loss_counts_from_when_the_machine_was_off_not_from_when_the_switch_said_so() -> None:
    """Convicts what was too late by it, acquits what was in time; no time is below zero, however late the fault was in force."""
    finding = judged(slow_switch(running=35.5))
    assert (finding.verdict, finding.summary) == (Verdict.HELD, "web@1 ran on n2 25.0 s after n1 was lost (limit 30 s)")
    finding = judged(slow_switch(running=45.5))
    assert (finding.verdict, "35.0 s after n1 was lost, 5.0 s too late" in finding.summary) == (Verdict.BROKEN, True)
    split = recovery(slow_switch(running=35.5).history())["web@1"]
    assert isinstance(split, dict)
    assert (split["running"], split["watched"]) == (25.0, 79.5)


def test_a_time_is_never_below_zero() -> None:
    """Docker's own clock may put a start just before the loss that it followed."""
    story = kill().docker(10.3, "n2", "start", "web@1", at=10.01).node(10.3, "n2", "web@1").done(80)
    split = recovery(story.history())["web@1"]
    assert isinstance(split, dict)
    assert split["running"] == 0.0


def test_a_machine_that_was_off_before_the_fault_was_decided_is_not_lost_to_it() -> None:
    """Then the fault counts from when it was in force, as for one that nobody saw go off, and as for the other targets."""
    story = Story().node(0, "n1", "web@1").node(0, "n2").node(0, "n3").off(5, "n3")
    story.fault("node.kill", "n1 n3", decided=10, in_force=12, healing=60, healed=61).unreachable(11, "n1")
    split = recovery(story.node(32, "n2", "web@1").done(80).history())["web@1"]
    assert isinstance(split, dict)
    assert split["running"] == 20.0


MADE: dict[str, tuple[float, float, Verdict]] = {
    # when it was decided, when the work ran again, and what that is
    "in time from either": (10.0, 38.0, Verdict.HELD),
    "in time only from when it was seen to be in force": (10.0, 48.0, Verdict.UNKNOWN),
    "too late from either": (10.0, 55.0, Verdict.BROKEN),
    "decided when it was seen to be": (19.8, 48.0, Verdict.HELD),
}


@pytest.mark.parametrize("case", MADE)
def test_a_fault_may_bite_from_when_it_was_decided_though_it_was_made_and_seen_to_be_in_force_only_later(case: str) -> None:
    """Cut off 10 s after it was decided, or at once, within 30 s: only what is so by both is known."""
    decided, running, verdict = MADE[case]
    story = Story().node(0, "n1", "web@1").node(0, "n2").node(running, "n2", "web@1")
    story.fault("net.partition", "n1", decided=decided, in_force=19.9, healing=60, healed=62)
    story.tell(19.85, FaultStage(1, "net.partition", ("n1",), Stage.INJECTED))
    finding = judged(story.done(80))
    assert (finding.verdict, verdict is not Verdict.UNKNOWN or "after net.partition was decided (9.9 s before" in finding.summary) == (
        verdict,
        True,
    )


@pytest.mark.parametrize(("up", "verdict"), [(19.0, Verdict.HELD), (12.0, Verdict.UNKNOWN), (10.0, Verdict.UNKNOWN)])
def test_a_machine_that_was_up_by_its_own_word_had_not_been_lost_by_then(up: float, verdict: Verdict) -> None:
    """Decided at 10 s, off at 20 s, and back elsewhere at 46 s, within 30 s: in time only if it was lost long after the decision."""
    story = Story().node(0, "n2").off(20, "n1")
    for second in range(int(up) + 1):
        story.node(second, "n1", "web@1")
    for second in range(80):
        story.node(second, "n2", *["web@1"] * (second >= 46))
    story.fault("node.kill", "n1", decided=10, in_force=20.1, healing=70, healed=72)
    finding = Rescheduled("web", within=30).check(story.done(80).history(beats=False))
    assert finding.verdict is verdict, finding.summary
    assert verdict is Verdict.HELD or "before it was seen to be in force" in finding.summary


@pytest.mark.parametrize(
    ("stopped", "off", "verdict"), [(19.5, True, Verdict.HELD), (12.0, True, Verdict.UNKNOWN), (19.5, False, Verdict.UNKNOWN)]
)
def test_work_may_have_been_lost_as_soon_as_a_machine_that_was_up_did_not_run_it(stopped: float, verdict: Verdict, *, off: bool) -> None:
    """The same; where the machine is lost without going off, its own word says nothing of when."""
    story = Story().node(0, "n2")
    for tenth in range(0, 200 if off else 700, 5):
        story.node(tenth / 10, "n1", *["web@1"] * (tenth / 10 < stopped))
    if off:
        story.off(20, "n1")
    for second in range(80):
        story.node(second, "n2", *["web@1"] * (second >= 46))
    story.fault("command", "n1", decided=10, in_force=20.1, healing=70, healed=72, traits=Traits(Loss.NODE), lost="n1")
    finding = Rescheduled("web", within=30).check(story.done(80).history(beats=False))
    assert finding.verdict is verdict, finding.summary


def seen_late(*, off: float = 30.0, stop: float = 0.0) -> Story:
    """n1 with web@1 is switched off at once when that is decided, at 10 s; that it is off is seen, and told to be in force, only at `off`."""
    story = Story().node(0, "n1", "web@1").node(0, "n2").node(0, "n3")
    story.fault("node.kill", "n1", decided=10, in_force=off + 0.1, healing=off + 50, healed=off + 52).off(off, "n1")
    return story.stalled(10.1, 10.1 + stop) if stop else story


RAN_ALREADY: dict[str, tuple[Story, float, Verdict, str]] = {
    # what happened, the limit, and what that is, in which words
    "a start before the loss was seen": (
        seen_late().node(25, "n2", "web@1"),
        30,
        Verdict.HELD,
        "ran on n2 at most 15.0 s after node.kill was decided, before it was seen that n1 was lost",
    ),
    "a start before the loss was seen, and not known for a moment before that": (
        seen_late().node(25, "n2", "web@1").unreachable(28, "n2").node(28.5, "n2", "web@1"),
        30,
        Verdict.HELD,
        "at most 15.0 s after node.kill was decided",
    ),
    "a start before the loss was seen, and not known when that was seen": (
        seen_late().node(25, "n2", "web@1").unreachable(29.9, "n2").node(30.5, "n2", "web@1"),
        30,
        Verdict.HELD,
        "at most 15.0 s after node.kill was decided",
    ),
    "known again only after the loss was seen": (
        seen_late().unreachable(12, "n2").node(30.5, "n2", "web@1"),
        30,
        Verdict.HELD,
        "ran on n2 0.50 s after n1 was lost",
    ),
    "a start that is too late if the loss was when it was decided": (
        seen_late().node(25, "n2", "web@1"),
        10,
        Verdict.UNKNOWN,
        "n1 may have been lost since then, 20.0 s before that was seen, which would be too late",
    ),
    "a start after a stop of ours, in time": (
        seen_late(stop=19).node(32, "n2", "web@1"),
        30,
        Verdict.HELD,
        "ran on n2 at most 22.0 s after node.kill was decided (limit 30 s)",
    ),
    "a start after a stop of ours, perhaps too late": (
        seen_late(stop=19).node(32, "n2", "web@1"),
        20,
        Verdict.UNKNOWN,
        "at most 22.0 s after node.kill was decided (limit 20 s), but n1 may have been lost since then",
    ),
    "a start before the loss was seen, that did not stay": (
        seen_late().node(25, "n2", "web@1").node(33, "n2"),
        30,
        Verdict.BROKEN,
        "ran nowhere to stay",
    ),
    "a start that was over before the loss was seen": (
        seen_late().node(25, "n2", "web@1").unreachable(26, "n2").node(27, "n2"),
        30,
        Verdict.BROKEN,
        "ran nowhere else",
    ),
    "nothing at all": (seen_late(), 30, Verdict.BROKEN, "ran nowhere else in the 50.0 s"),
    "too late from whenever it was lost": (seen_late().node(75, "n2", "web@1"), 30, Verdict.BROKEN, "15.0 s too late"),
}


@pytest.mark.parametrize("case", RAN_ALREADY)
def test_what_ran_already_when_its_loss_was_seen_did_not_run_nowhere(case: str) -> None:
    """Convicts what did not come or did not stay, acquits what was in time from the decision on, and tells what may have been too late from then."""
    story, limit, verdict, words = RAN_ALREADY[case]
    finding = judged(story.done(90), within=limit)
    assert (finding.verdict, words in finding.summary) == (verdict, True), finding.summary


def test_the_split_of_what_ran_already_says_where() -> None:
    """Its way is in the table: to where, and at once."""
    story, *_ = RAN_ALREADY["a start before the loss was seen, and not known when that was seen"]
    split = recovery(story.done(90).history())["web@1"]
    assert isinstance(split, dict)
    assert (split["from"], split["to"], split["running"]) == ("n1", "n2", 0.0)


def test_a_copy_elsewhere_is_one_also_where_nobody_could_ask_for_a_moment() -> None:
    """Then the fault took nothing away: convicts nothing, with and without the moment."""
    for unsure in (False, True):
        story = kill().node(5, "n2", "web@1")
        if unsure:
            story.unreachable(10.08, "n2").node(10.3, "n2", "web@1")
        finding = judged(story.done(80))
        assert (finding.verdict, finding.summary) == (Verdict.UNKNOWN, "no instance of web was displaced by a fault")


@pytest.mark.parametrize("stays", [True, False], ids=["it runs on", "it stops"])
def test_what_another_fault_held_and_let_go_ran_somewhere(*, stays: bool) -> None:
    """A copy on a node that was cut off until just after this fault: it did not come by this fault, but nor did the work run nowhere."""
    story = Story().node(0, "n1", "web@1").node(0, "n2").node(0, "n3").node(30, "n2", "web@1")
    story.fault("net.partition", "n1", decided=10, in_force=10, healing=60.2, healed=60.5)
    story.fault("node.kill", "n2", decided=60, in_force=60.1, healing=110, healed=112, number=2).off(60.1, "n2").node(113, "n2")
    if not stays:
        story.node(64, "n1")
    finding = judged(story.done(120))
    said = "web@1 (fault 2) ran on n1 0.40 s after n2 was lost (limit 30 s), but it had run there"
    never = "web@1 (fault 2) ran nowhere else in the 49.9 s after n2 was lost"
    assert (finding.verdict, (said if stays else never) in finding.summary) == (
        Verdict.UNKNOWN if stays else Verdict.BROKEN,
        True,
    ), finding.summary


@pytest.mark.parametrize(
    ("first", "last", "verdict"),
    [(None, None, Verdict.UNKNOWN), (20, 20, Verdict.UNKNOWN), (45, 45, Verdict.UNKNOWN), (20, 45, Verdict.BROKEN)],
    ids=["never", "in time", "too late, for the first time", "all along"],
)
def test_of_a_node_that_was_never_seen_before_nobody_knows_since_when_it_ran_there(
    first: float | None, last: float | None, verdict: Verdict
) -> None:
    """Its first word, after the limit, shows the work: that is not too late. Where it was seen without it from before that on, it is."""
    story = kill()
    if first is not None and last is not None:
        story.node(first, "n3").unreachable(last + 0.1, "n3")
    finding = judged(story.node(50, "n3", "web@1").done(80))
    assert finding.verdict is verdict, finding.summary


@pytest.mark.parametrize(("looked", "verdict"), [(28.9, Verdict.HELD), (15.0, Verdict.UNKNOWN)])
def test_dockers_word_alone_makes_nothing_come_in_time(looked: float, verdict: Verdict) -> None:
    """By it the work ran 20 s after the loss. It was seen to run only too late, by somebody who had not looked for long, or just had."""
    story = kill().node(looked, "n2").docker(30.2, "n2", "start", "web@1", at=30.05)
    for second in range(31 if looked > 20 else 51, 80):
        story.node(second - 0.2, "n2", "web@1")
    finding = Rescheduled("web", within=20.5).check(story.done(80).history(beats=False))
    assert finding.verdict is verdict, finding.summary
    assert verdict is Verdict.HELD or "n2 was last seen without it after 4.9 s" in finding.summary
