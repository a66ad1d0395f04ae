"""The promise that what no fault hit stays where it is: what convicts, and what must not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from harness.checkers import Bystanders
from harness.checkers.expected import Expected
from harness.core.traits import daemon
from harness.core.values import Container, Effect, Loss, NodeState, Outcome, Patience, Phase, Traits, Verdict
from harness.history.events import Event, History, NodeSeen
from harness.testing.histories import Story, container

NODE, LINK = Traits(Loss.NODE), Traits(Loss.LINK)
ETCD, DOCKER = daemon("etcd", in_place=False), daemon("docker", in_place=False)


def _lost(kind: Traits = NODE) -> Story:
    """Tell of n2, lost at 20 s and back at 60 s, with web@2; web@1 and db@1 run on n1, n3 takes web@2 at 40 s."""
    story = Story().phase(1, Phase.STEADY).node(0, "n1", "web@1", "db@1").node(0, "n2", "web@2").node(0, "n3")
    story.watched(99, "n1 n2 n3").fault("some.fault", "n2", decided=20, in_force=20.2, healing=60, healed=61, traits=kind, lost="n2")
    story = story.off(20.1, "n2").node(61, "n2") if kind is NODE else story
    return story.node(40, "n3", "web@2")


def _told(story: Story, app: str | None = None) -> tuple[Verdict, str]:
    finding = Bystanders(app).check(story.done(100).history())
    return finding.verdict, finding.summary


@pytest.mark.parametrize(
    ("story", "app", "verdict", "words"),
    [
        (_lost(), None, Verdict.HELD, "2 instances on nodes that no fault hit stayed there"),
        (_lost(), "web", Verdict.HELD, "1 instance of web on nodes"),
        (
            _lost().node(30, "n1", "db@1").node(33, "n3", "web@1"),
            None,
            Verdict.BROKEN,
            "web@1 stopped on n1, which no fault hit, at 30.0 s, and ran on",
        ),
        (_lost().node(30, "n1", "db@1").node(33, "n1", "web@1", "db@1"), None, Verdict.BROKEN, "at 30.0 s, for 3.0 s"),
        (_lost().node(70, "n1", "db@1"), None, Verdict.BROKEN, "at 70.0 s, and ran nowhere after that"),
        (_lost().node(30, "n1", "db@1"), "db", Verdict.HELD, "1 instance of db"),
        (_lost().node(30, "n1", "db@1").node(30.05, "n1", "web@1", "db@1"), None, Verdict.HELD, ""),
        (_lost().node(5, "n1", "db@1").node(8, "n1", "web@1", "db@1"), None, Verdict.HELD, ""),
        (_lost().node(99.5, "n1"), None, Verdict.HELD, ""),
        (_lost().node(50, "n3"), None, Verdict.HELD, ""),
        (_lost(LINK).node(50, "n2"), None, Verdict.HELD, ""),
        (_lost(), "cache", Verdict.UNKNOWN, "no instance of cache ran on a node that no fault hit"),
        (_lost().off(30, "n1"), None, Verdict.UNKNOWN, "but n1 was off"),
        (_lost().unreachable(30, "n1").node(35, "n1", "web@1", "db@1"), None, Verdict.HELD, ""),
        (Story().phase(1, Phase.STEADY).node(0, "n1", "web@1").watched(99, "n1"), None, Verdict.UNKNOWN, "no fault was ever in force"),
    ],
    ids=[
        "all stay",
        "of one app",
        "moves",
        "restarts",
        "stops after the heal",
        "another app's",
        "for a moment",
        "before the fault",
        "at the end",
        "what came there since",
        "what was cut off",
        "no such app",
        "off by itself",
        "could not ask",
        "no fault",
    ],
)
def test_what_no_fault_hit_stays(story: Story, app: str | None, verdict: Verdict, words: str) -> None:
    """By node truth, from the fault's decision on."""
    found = _told(story, app)
    assert found[0] is verdict, found[1]
    assert words in found[1]


@pytest.mark.parametrize(
    ("trouble", "verdict"),
    [
        (lambda story: story, Verdict.BROKEN),
        (lambda story: story.stalled(22, 29.5, "machine"), Verdict.UNKNOWN),
        (lambda story: story.stalled(22, 29.5, "n1"), Verdict.UNKNOWN),
        (lambda story: story.stalled(22, 29.5), Verdict.UNKNOWN),
        (lambda story: story.off(31, "n1"), Verdict.UNKNOWN),
        (lambda story: story.off(24, "n3"), Verdict.UNKNOWN),
        (lambda story: story.stalled(70, 78, "machine"), Verdict.BROKEN),
        (lambda story: story.stalled(34, 40, "machine"), Verdict.BROKEN),
        (lambda story: story.off(36, "n3"), Verdict.BROKEN),
        (lambda story: story.pressed(20, 27, 100.0), Verdict.UNKNOWN),
        (lambda story: story.pressed(33, 40, 100.0), Verdict.BROKEN),
    ],
    ids=[
        "none",
        "the machine",
        "its node",
        "the harness",
        "it goes off",
        "another is off",
        "long after",
        "soon after",
        "off soon after",
        "a load",
        "a load after that",
    ],
)
def test_what_moves_by_itself_convicts_no_cluster(trouble: Callable[[Story], Story], verdict: Verdict) -> None:
    """Machines that stand still for longer than the timers stand, or are off by nobody's fault, make any cluster move its work."""
    story = _lost().endures(Patience("agent_ttl", 2.5), recovery=16.5).node(30, "n1", "db@1").node(33, "n1", "web@1", "db@1")
    found = _told(trouble(story))
    assert found[0] is verdict, found[1]


@pytest.mark.parametrize(("to", "verdict"), [("n1", Verdict.UNKNOWN), ("n3", Verdict.BROKEN)])
def test_what_had_stopped_by_itself_and_come_back_had_not_moved(to: str, verdict: Verdict) -> None:
    """It crashed before anything was broken, too, and ran on where it was: that no cluster moved it then excuses none that does."""
    story = _lost().endures(recovery=16.5).whole(1.0, "before").node(5, "n1", "db@1").node(7, "n1", "web@1", "db@1").node(90, "n1", "db@1")
    found = _told(story.node(93, "n1", "web@1", "db@1") if to == "n1" else story.node(93, "n3", "web@1", "web@2"))
    assert found[0] is verdict, found[1]


@pytest.mark.parametrize(("ready", "verdict"), [(12.0, Verdict.UNKNOWN), (8.0, Verdict.BROKEN)])
def test_what_moves_on_a_machine_on_which_leaders_are_lost_by_its_load_convicts_no_cluster(ready: float, verdict: Verdict) -> None:
    """Timers that no stall was too long for need not have stood the load; leadership that the fault moved is no sign of it."""
    story = _lost().members(0.5, "n1 n2 n3", 2, "n2").members(24, "n1 n3", 3, "n3").endures(Patience("a timeout", 1.0), recovery=16.5)
    found = _told(story.pressed(0, 99, ready).node(30, "n1", "db@1").node(33, "n1", "web@1", "db@1"))
    assert found[0] is verdict, found[1]


@pytest.mark.parametrize(("off", "verdict"), [(70.5, Verdict.UNKNOWN), (78, Verdict.HELD)])
def test_a_machine_that_went_off_by_itself_as_a_fault_hit_it_shows_nothing_of_what_ran_there(off: float, verdict: Verdict) -> None:
    """Its power may have gone before that was seen, and before a cut at 70 s made it no bystander any more."""
    story = _lost().fault("a.cut", "n1", decided=70, in_force=70.2, healing=85, healed=86, traits=LINK, lost="n1", number=2).off(off, "n1")
    found = _told(story.node(95, "n1"))
    assert found[0] is verdict, found[1]


def test_what_came_there_counts_from_the_next_fault_on() -> None:
    """It is a bystander of that one."""
    for until, verdict in ((80, Verdict.BROKEN), (68, Verdict.HELD)):
        story = _lost().fault("some.fault", "n2", decided=70, in_force=70.2, healing=85, healed=86, traits=NODE, lost="n2", number=2)
        assert _told(story.off(70.1, "n2").node(86, "n2").node(until, "n3"))[0] is verdict


@pytest.mark.parametrize(
    ("stops", "hit", "verdict"),
    [(30, "n1", Verdict.BROKEN), (30, "n2", Verdict.BROKEN), (72, "n1", Verdict.HELD), (72, "n2", Verdict.BROKEN)],
    ids=["before it was hit", "before another was hit", "when it was hit", "when another was hit"],
)
def test_what_a_later_fault_hits_is_a_bystander_of_those_before(stops: float, hit: str, verdict: Verdict) -> None:
    """And of none from then on."""
    story = _lost().node(stops, "n1", "db@1").node(stops + 5, "n1", "web@1", "db@1")
    story.fault("some.fault", hit, decided=70, in_force=70.2, healing=85, healed=86, traits=Traits(Loss.NOTHING), number=2)
    found = _told(story)
    assert found[0] is verdict, found[1]


@pytest.mark.parametrize(
    ("second", "stops", "verdict"),
    [(80, 85, Verdict.BROKEN), (80, 45, Verdict.HELD), (70, 85, Verdict.HELD)],
    ids=["under the later one", "just after it was hit", "the later one came too soon"],
)
def test_what_a_fault_hit_long_before_is_a_bystander_of_later_ones(second: float, stops: float, verdict: Verdict) -> None:
    """From when it was healed, and had its time to recover: n1 was hit at 30 s, healed at 40 s, and has 16.5 s; 30 s more in the last case."""
    story = _lost().endures(recovery=16.5 if second == 80 else 46.5)
    story.fault("some.fault", "n1", decided=30, in_force=30.2, healing=39, healed=40, traits=Traits(Loss.NOTHING), number=2)
    story.fault("some.fault", "n2", decided=second, in_force=second + 0.2, healing=90, healed=91, traits=Traits(Loss.NOTHING), number=3)
    found = _told(story.node(stops, "n1", "db@1").node(stops + 5, "n1", "web@1", "db@1"))
    assert found[0] is verdict, found[1]


@pytest.mark.parametrize(
    ("effect", "targets", "verdict"),
    [
        (Effect(moves=True), "n1", Verdict.UNKNOWN),
        (Effect(stops=("docker",)), "n1", Verdict.UNKNOWN),
        (Effect(disturbs=True), "n3", Verdict.UNKNOWN),
        (Effect(renews=("web",)), "", Verdict.UNKNOWN),
        (Effect(renews=("db",)), "", Verdict.BROKEN),
        (Effect(moves=True), "n3", Verdict.BROKEN),
        (Effect({"web": 1}), "", Verdict.BROKEN),
        (Effect({"web": 3}), "", Verdict.BROKEN),
    ],
    ids=[
        "drained",
        "stopped",
        "disturbed",
        "started anew",
        "another app started anew",
        "another node drained",
        "fewer, but not that one",
        "more",
    ],
)
def test_what_an_action_took_is_not_the_clusters_doing(effect: Effect, targets: str, verdict: Verdict) -> None:
    """And what it did not take is."""
    begun = 29.0 if effect.disturbs or effect.renews else 22.0
    story = _lost().action(begun, begun + 0.5, "some.action", targets, effect=effect, was={"web": 2}).node(30, "n1", "db@1")
    assert _told(story)[0] is verdict
    assert _told(_lost().action(begun, begun + 0.5, "some.action", targets, effect=effect, was={"web": 2}))[0] is Verdict.HELD


@pytest.mark.parametrize(
    ("back", "again", "verdict"),
    [("n3", None, Verdict.HELD), ("n1", None, Verdict.HELD), ("n3", 80, Verdict.BROKEN)],
    ids=["elsewhere", "there, a moment after it was asked for", "elsewhere, where it does not stay"],
)
def test_what_was_taken_away_and_asked_for_again_may_come_to_another_node(back: str, again: float | None, verdict: Verdict) -> None:
    """And takes its time for that; from the next fault on its place is there."""
    story = _lost().node(0.5, "n1", "web@1", "web@3", "db@1").node(23, "n1", "web@1", "db@1")
    story.action(22, 22.5, "app.scale", effect=Effect({"web": 2}), was={"web": 3})
    story.action(30, 30.5, "app.scale", effect=Effect({"web": 3}), was={"web": 2}, number=2)
    story.node(33, back, *(("web@1", "web@3", "db@1") if back == "n1" else ("web@3",)))
    story.node(40, "n3", "web@2", *(("web@3",) if back == "n3" else ()))
    story.fault("some.fault", "n2", decided=70, in_force=70.2, healing=85, healed=86, traits=NODE, lost="n2", number=2)
    story.off(70.1, "n2").node(86, "n2")
    if again is not None:
        story.node(again, "n3", "web@2")
    assert _told(story)[0] is verdict


@pytest.mark.parametrize(("stopped", "verdict"), [("n3", Verdict.UNKNOWN), ("", Verdict.BROKEN)])
def test_what_stops_where_an_action_and_a_fault_leave_no_majority_convicts_no_cluster(stopped: str, verdict: Verdict) -> None:
    """One of three members is lost, and another was stopped long before: neither alone takes the majority."""
    story = _lost().members(0.5, "n1 n2 n3", 2, "n1")
    if stopped:
        story.action(5, 6, "service.stop", stopped, effect=Effect(stops=("etcd",)))
    found = _told(story.node(35, "n1", "db@1").node(60, "n1", "web@1", "db@1"))
    assert found[0] is verdict, found[1]


@pytest.mark.parametrize(
    ("kind", "second", "stops", "verdict"),
    [
        (NODE, "n3", 35, Verdict.UNKNOWN),
        (NODE, "n3", 55, Verdict.UNKNOWN),  # a recovery after it
        (NODE, "n3", 70, Verdict.BROKEN),
        (NODE, "", 35, Verdict.BROKEN),
        (ETCD, "n3", 35, Verdict.UNKNOWN),
        (replace(ETCD, in_place=True), "n3", 35, Verdict.BROKEN),
        (DOCKER, "n3", 35, Verdict.BROKEN),
        (Traits(Loss.NOTHING), "n3", 35, Verdict.BROKEN),
    ],
)
@pytest.mark.parametrize("at_once", [False, True])
def test_what_stops_where_faults_together_leave_no_majority_convicts_no_cluster(
    kind: Traits, second: str, stops: float, verdict: Verdict, *, at_once: bool
) -> None:
    """Of three members n2 is lost from 20 s to 40 s, and another from 25 s on, or by the same fault at once: n1 is hit by none of them."""
    story = Story().phase(1, Phase.STEADY).node(0, "n1", "web@1").node(0, "n2").node(0, "n3").endures(recovery=16.5)
    story.watched(99, "n1 n2 n3").members(0.5, "n1 n2 n3", 2, "n1")
    faults = [("n2 " + second, 20.0)] if at_once else [("n2", 20.0), (second, 25.0)]
    for number, (nodes, start) in enumerate(faults, 1):
        if nodes:
            story.fault(
                "a.fault", nodes, decided=start, in_force=start + 0.2, healing=39, healed=40, traits=kind, lost=nodes, number=number
            )
    found = _told(story.node(stops, "n1").node(stops + 5, "n1", "web@1"))
    assert (found[0], "may have had no majority" in found[1]) == (verdict, verdict is Verdict.UNKNOWN), found[1]


@pytest.mark.parametrize(
    ("shape", "hit", "lost", "where", "stops", "verdict"),
    [
        ("bridge", "n2", "", "n1", 35, Verdict.UNKNOWN),
        ("bridge", "n2", "", "n3", 55, Verdict.UNKNOWN),  # a recovery after it
        ("bridge", "n2", "", "n3", 70, Verdict.BROKEN),
        ("bridge", "n1", "", "n4", 35, Verdict.UNKNOWN),
        ("ring", "n2", "", "n4", 35, Verdict.UNKNOWN),
        # who sees all that are not lost has not been hit
        ("isolate", "n2", "n2", "n3", 35, Verdict.BROKEN),
        ("one_way", "n2", "n2", "n3", 35, Verdict.BROKEN),
        ("halves", "n2", "n2", "n4", 35, Verdict.BROKEN),
    ],
)
def test_what_stops_where_a_cut_kept_it_from_others_with_a_majority_convicts_no_cluster(
    shape: str, hit: str, lost: str, where: str, stops: float, verdict: Verdict
) -> None:
    """At the rim of a bridge, or a ring, nobody is without a majority, and whoever leads may miss a node that is no target."""
    nodes = ["n1", "n2", "n3", "n4"]
    story = Story().phase(1, Phase.STEADY).endures(recovery=16.5).watched(99, " ".join(nodes))
    for node in nodes:
        story.node(0, node, *(["web@1"] if node == where else []))
    story.fault(
        *("net.partition", hit), decided=20, in_force=20.2, healing=39, healed=40, traits=LINK, lost=lost, parameters={"shape": shape}
    )
    found = _told(story.node(stops, where).node(stops + 5, where, "web@1"))
    assert (found[0], "kept" in found[1]) == (verdict, verdict is Verdict.UNKNOWN), found[1]


@pytest.mark.parametrize(("elsewhere", "verdict"), [(35, Verdict.UNKNOWN), (70, Verdict.BROKEN), (None, Verdict.BROKEN)])
@pytest.mark.parametrize("together", [False, True])
def test_what_was_given_up_in_a_cut_may_stop_long_after_it(elsewhere: float | None, verdict: Verdict, *, together: bool) -> None:
    """It runs twice from then on, until its node and who leads hear of each other again."""
    story = Story().phase(1, Phase.STEADY).endures(recovery=16.5).watched(99, "n1 n2 n3").members(0.5, "n1 n2 n3", 2, "n2")
    story.node(0, "n1", "web@1").node(0, "n2").node(0, "n3")
    faults = (
        [("a.fault", "n2", NODE, {}), ("a.fault", "n3", NODE, {})] if together else [("net.partition", "n3", LINK, {"shape": "bridge"})]
    )
    for number, (name, hit, kind, parameters) in enumerate(faults, 1):
        story.fault(
            name,
            hit,
            decided=20,
            in_force=20.2,
            healing=39,
            healed=40,
            traits=kind,
            lost=hit if kind is NODE else "",
            parameters=parameters,
            number=number,
        )
    if elsewhere is not None:
        story.node(elsewhere, "n2", "web@1")
    found = _told(story.node(90, "n1"))
    assert found[0] is verdict, found[1]


def test_what_was_to_stop_may() -> None:
    """An app that has fewer instances by an action; one that was not done changes nothing."""
    for outcome, verdict in ((Outcome.OK, Verdict.HELD), (Outcome.FAIL, Verdict.BROKEN)):
        story = _lost().node(0.5, "n3", "web@3").action(25, 25.5, "app.scale", effect=Effect({"web": 2}), was={"web": 3}, outcome=outcome)
        assert _told(story.node(26, "n3"))[0] is verdict


@pytest.mark.parametrize(
    ("daemon", "stopped", "member", "verdict"),
    [
        ("docker", "n3 n4 n5", "", Verdict.BROKEN),
        ("docker", "n3 n4", "", Verdict.BROKEN),
        ("fleetd", "n3 n4", "", Verdict.BROKEN),
        ("etcd", "n3", "", Verdict.BROKEN),
        ("etcd", "n3 n4", "", Verdict.UNKNOWN),
        ("docker", "n3 n4", "docker", Verdict.UNKNOWN),
        ("etcd", "n3 n4", "docker", Verdict.BROKEN),
    ],
)
def test_only_the_members_own_daemon_takes_a_majority_from_what_runs_elsewhere(
    daemon: str, stopped: str, member: str, verdict: Verdict
) -> None:
    """Five members, of which a fault takes one: with two more stopped by an action none has a majority, and what was decided is not any more."""
    story = Story().phase(1, Phase.STEADY).node(0, "n1", "web@1").node(0, "n2", "web@2").node(0, "n3").node(0, "n4").node(0, "n5")
    story.watched(99, "n1 n2 n3 n4 n5").members(0.5, "n1 n2 n3 n4 n5", 2, "n1")
    story.fault("some.fault", "n2", decided=20, in_force=20.2, healing=60, healed=61, traits=NODE, lost="n2").off(20.1, "n2").node(61, "n2")
    story.action(5, 6, "service.stop", stopped, effect=Effect(stops=(daemon,))).node(40, "n1").node(46, "n1", "web@1")
    found = Bystanders("web", Expected(member=member)).check(story.done(100).history())
    assert found.verdict is verdict, found.summary


@pytest.mark.parametrize(
    ("before", "then", "verdict"),
    [
        (29.5, 30.5, Verdict.UNKNOWN),
        (69.5, 70.5, Verdict.UNKNOWN),
        (29.98, 30.02, Verdict.HELD),
        (9.5, 10.5, Verdict.HELD),
        (98.5, 99.5, Verdict.HELD),
    ],
    ids=["under the fault", "after the heal", "at once", "before the fault", "after settling"],
)
def test_what_is_seen_in_another_container_was_started_anew(before: float, then: float, verdict: Verdict) -> None:
    """Nobody saw web@1 gone from one look at n1 to the next, but it is not what ran there."""
    old, new = container("web@1", "n1"), Container("f" * 64, "web@1")
    told: list[tuple[float, Event]] = [(time, NodeSeen("n1", NodeState.UP, (each,))) for time, each in ((before, old), (then, new))]
    for entry in _lost().done(100).history().entries:
        if not isinstance(entry.event, NodeSeen) or entry.event.node != "n1":
            told.append((entry.time, entry.event))
        elif not before <= entry.time <= then:
            told.append((entry.time, NodeSeen("n1", NodeState.UP, (old if entry.time < before else new,))))
    found = Bystanders("web").check(History.of_events(*sorted(told, key=lambda each: each[0])))
    assert found.verdict is verdict, found.summary
