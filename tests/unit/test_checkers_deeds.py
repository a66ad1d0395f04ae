"""What actions mean to those who judge: what must run is taken from the history, and what an action upsets is not held against the cluster."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from harness.actions.systemd import ServiceRestart
from harness.checkers import Assumptions, Availability, Bystanders, CameInTime, QuorumSurvived, Rescheduled, Scaled, Settled
from harness.checkers.attendance import silent_callers
from harness.checkers.expected import Expected
from harness.core.instances import number_of
from harness.core.values import Effect, Finding, Loss, NodeState, Outcome, Phase, Traits, Verdict
from harness.history.deeds import Wanted, closed, deeds, down, lasting, renewed, upset
from harness.history.events import Acted, Awaited, History, NodeSeen
from harness.history.intervals import Interval
from harness.history.recovery import displaced
from harness.testing.histories import Story, node_kill

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.history.interfaces import Checker

NODES = "n1 n2 n3 n4"
NODE = Traits(Loss.NODE)
THREE = Expected(nodes=("n1", "n2", "n3", "n4"), instances=("web@1", "web@2"), called=("web@1", "web@2"), actions=("app.scale",))


def _scaled(number: int, was: int = 2, *, begun: float = 15.0, ended: float | None = 15.2, outcome: Outcome = Outcome.OK) -> Story:
    """Tell of four nodes with web@1 and web@2, and of an action that scales web at 15 s; to be gone on with."""
    story = Story().phase(0.5, Phase.DEPLOYING).phase(1, Phase.STEADY).phase(9, Phase.FAULTS)
    story.node(0, "n1", "web@1").node(0, "n2", "web@2").node(0, "n3").node(0, "n4")
    story.watched(79, "n1 n2 n3").watched(19.9, "n4").watched(79, "n4", start=42).members(0.5, "n1 n2 n3", 2, "n1")
    return story.action(begun, ended, "app.scale", effect=Effect({"web": number}), was={"web": was}, outcome=outcome)


# ---------------------------------------------------------------- the fold


def test_an_instance_is_due_from_the_end_of_what_asks_for_it_to_the_beginning_of_what_takes_it_away() -> None:
    """In between nobody can tell; what was there before is due from the start."""
    story = _scaled(4).action(30, 31, "app.scale", effect=Effect({"web": 1}), was={"web": 4}, number=2).done(80)
    wanted = Wanted.of(deeds(story.history()))
    assert wanted.due("web@1", 80.0) == [Interval(-math.inf, 80.0)]
    assert wanted.due("web@2", 80.0) == [Interval(-math.inf, 30.0)]
    assert wanted.due("web@3", 80.0) == [Interval(15.2, 30.0)]
    assert wanted.due("web@5", 80.0) == []
    assert wanted.due("db@1", 80.0) is None
    assert [wanted.least("web", time, 2) for time in (10, 15.1, 20, 30.5, 40)] == [2, 2, 4, 1, 1]
    assert (wanted.most("web", 2), wanted.most("db", 1)) == (4, 1)


def test_what_was_not_done_changes_nothing_and_what_may_have_been_is_in_doubt() -> None:
    """From its beginning on, until another one has succeeded."""
    failed = Wanted.of(deeds(_scaled(4, outcome=Outcome.FAIL).done(80).history()))
    assert (failed.due("web@2", 80.0), failed.due("web@3", 80.0)) == (None, [])
    for doubtful in (_scaled(4, outcome=Outcome.UNKNOWN), _scaled(4, ended=None)):
        wanted = Wanted.of(deeds(doubtful.done(80).history()))
        assert wanted.due("web@3", 80.0) == []
        assert (wanted.least("web", 40.0, 2), wanted.most("web", 2)) == (2, 4)


def test_an_app_that_was_removed_is_due_again_when_it_was_deployed() -> None:
    """And nobody misses it meanwhile; in doubt it need not be there, and may."""
    story = _scaled(0).action(30, 31, "app.deploy", effect=Effect({"web": 1}), was={"web": 0}, number=2).done(80)
    wanted = Wanted.of(deeds(story.history()))
    assert wanted.due("web@1", 80.0) == [Interval(-math.inf, 15.0), Interval(31.0, 80.0)]
    assert wanted.due("web@2", 80.0) == [Interval(-math.inf, 15.0)]
    assert [wanted.least("web", time, 2) for time in (10, 20, 30.5, 40)] == [2, 0, 0, 1]
    assert lasting(deeds(_scaled(0).done(80).history()), 80.0) == ["web was removed"]
    doubtful = deeds(_scaled(0, outcome=Outcome.UNKNOWN).done(80).history())
    assert Wanted.of(doubtful).due("web@1", 80.0) == [Interval(-math.inf, 15.0)]
    assert lasting(doubtful, 80.0) == ["web may have been removed"]


@pytest.mark.parametrize(
    ("outcome", "verdict"), [(Outcome.OK, Verdict.HELD), (Outcome.FAIL, Verdict.BROKEN), (Outcome.UNKNOWN, Verdict.UNKNOWN)]
)
def test_an_app_that_was_removed_is_missed_only_where_that_was_not_done(outcome: Outcome, verdict: Verdict) -> None:
    """Its instances are no longer there at the end, nor are they bystanders that did not stay."""
    story = Story().phase(1, Phase.STEADY).node(0, "n1", "web@1").node(0, "n2", "web@2", "db@1").node(0, "n3").watched(79, "n1 n2 n3")
    story.fault("node.kill", "n3", decided=10, in_force=10.1, healing=20, healed=21, traits=NODE, lost="n3").off(10.05, "n3").node(21, "n3")
    story.members(0.5, "n1 n2 n3", 2, "n1").endures(recovery=16.5)
    story.action(22, 22.5, "app.remove", effect=Effect({"web": 0}), was={"web": 2, "db": 1}, outcome=outcome, may_fail=True)
    story.node(23, "n1").node(23, "n2", "db@1").whole(1.0, "before").whole(21.5, "after")
    history = story.done(80).history()
    assert Settled().check(history).verdict is verdict
    assert Bystanders().check(history).verdict is verdict
    assert Bystanders("db").check(history).verdict is Verdict.HELD


@pytest.mark.parametrize(("outcome", "verdict"), [(Outcome.OK, Verdict.UNKNOWN), (Outcome.FAIL, Verdict.HELD)])
def test_an_app_of_which_none_is_to_run_cannot_be_said_to_have_recovered(outcome: Outcome, verdict: Verdict) -> None:
    """As nothing was missed that could have come."""
    story = _scaled(0, outcome=outcome).awaited(20.0, 24.0, "recovered", "web")
    finding = CameInTime(THREE).check(story.done(80).history())
    assert finding.verdict is verdict, finding.summary
    assert ("none of web was to run" in finding.summary) is (verdict is Verdict.UNKNOWN)


def test_a_daemon_is_down_until_it_is_started_with_success() -> None:
    """And on that node; a stop that surely was not done stops nothing."""
    story = Story().node(0, "n1").action(10, 11, "service.stop", "n1 n2", effect=Effect(stops=("etcd",)))
    story.action(20, 21, "service.start", "n1", effect=Effect(starts=("etcd",)), number=2)
    story.action(30, 31, "service.start", "n2", effect=Effect(starts=("etcd",)), outcome=Outcome.UNKNOWN, number=3)
    story.action(40, 41, "service.stop", "n3", effect=Effect(stops=("etcd",)), outcome=Outcome.FAIL, number=4)
    every = deeds(story.done(80).history())
    assert down(every, 80.0) == {("n1", "etcd"): [Interval(10, 21)], ("n2", "etcd"): [Interval(10, 80)]}
    assert upset(every, 80.0) == [Interval(10, 80)]


def test_a_node_is_closed_to_work_until_it_is_opened() -> None:
    """An app that is scaled upsets nobody."""
    story = Story().node(0, "n1").action(10, 11, "node.drain", "n1", effect=Effect(moves=True))
    story.action(20, 21, "node.undrain", "n1", effect=Effect(opens=True), number=2)
    story.action(30, 31, "app.scale", effect=Effect({"web": 3}), number=3)
    every = deeds(story.done(80).history())
    assert closed(every, 80.0) == {"n1": [Interval(10, 21)]}
    assert upset(every, 80.0) == [Interval(10, 11)]


def test_an_app_is_started_anew_for_as_long_as_that_is_done_and_in_doubt_until_it_surely_was() -> None:
    """Nothing else is upset by it."""
    story = Story().node(0, "n1").action(10, 12, "app.restart", effect=Effect(renews=("web",)))
    story.action(20, 22, "app.restart", effect=Effect(renews=("web",)), outcome=Outcome.FAIL, number=2)
    story.action(30, 32, "app.restart", effect=Effect(renews=("web",)), outcome=Outcome.UNKNOWN, number=3)
    story.action(40, 42, "app.restart", effect=Effect(renews=("web",)), number=4)
    story.action(50, None, "app.restart", effect=Effect(renews=("db",)), number=5)
    every = deeds(story.done(80).history())
    assert renewed(every, 80.0) == {"web": [Interval(10, 12), Interval(30, 42)], "db": [Interval(50, 80)]}
    assert upset(every, 80.0) == []
    assert upset(every, 80.0, "web") == [Interval(10, 12), Interval(30, 42)]
    assert lasting(every, 80.0) == ["db may still be stopped and started anew"]
    for outcome, said in ((Outcome.OK, ["web was given another image or environment"]), (Outcome.FAIL, [])):
        story = Story().node(0, "n1").action(10, 12, "app.update", effect=Effect(renews=("web",), alters=("web",)), outcome=outcome)
        assert lasting(deeds(story.done(80).history()), 80.0) == said


@pytest.mark.parametrize(
    ("first", "then", "until"),
    [
        ((Effect(moves=True), Outcome.UNKNOWN), None, 80),
        ((Effect(moves=True), Outcome.FAIL), None, None),
        ((Effect(moves=True), Outcome.OK), (Effect(opens=True), Outcome.UNKNOWN), 80),
        ((Effect(moves=True), Outcome.OK), (Effect(opens=True), Outcome.FAIL), 80),
        ((Effect(moves=True, opens=True), Outcome.OK), None, 11),
        ((Effect(moves=True, opens=True), Outcome.UNKNOWN), None, 80),
        ((Effect(stops=("etcd",)), Outcome.UNKNOWN), None, 80),
        ((Effect(stops=("etcd",)), Outcome.OK), (Effect(starts=("etcd",)), Outcome.FAIL), 80),
    ],
    ids=[
        "a drain in doubt",
        "no drain",
        "an undrain in doubt",
        "no undrain",
        "emptied and let in again",
        "perhaps let in again",
        "a stop in doubt",
        "no start",
    ],
)
def test_what_an_action_took_is_taken_until_another_surely_gave_it_back(
    first: tuple[Effect, Outcome], then: tuple[Effect, Outcome] | None, until: float | None
) -> None:
    """What may have been done counts where it takes, and not where it gives."""
    story = Story().node(0, "n1").action(10, 11, "first.action", "n1", effect=first[0], outcome=first[1])
    if then is not None:
        story.action(20, 21, "second.action", "n1", effect=then[0], outcome=then[1], number=2)
    every = deeds(story.done(80).history())
    taken = closed(every, 80.0).get("n1", []) + down(every, 80.0).get(("n1", "etcd"), [])
    assert taken == ([] if until is None else [Interval(10, until)])


@pytest.mark.parametrize(
    ("name", "number"), [("web@7", 7), ("web@", None), ("web", None), ("web@x", None), ("web@" + "9" * 5000, None), ("web@²", None)]
)
def test_a_name_that_is_no_instance_of_ours_has_no_number(name: str, number: int | None) -> None:
    """Whatever a history says."""
    assert number_of(name) == number


# ---------------------------------------------------------------- assumptions


def _assumed(story: Story, expected: Expected = THREE) -> Finding:
    story.fault("node.kill", "n4", decided=20, in_force=20.1, healing=40, healed=41, traits=NODE, lost="n4").off(20.05, "n4").node(41, "n4")
    return Assumptions(expected).check(story.done(80).history())


def test_an_action_that_was_done_is_no_reason_not_to_judge() -> None:
    """Nor are the instances that came of it, or that the workload did not call before."""
    finding = _assumed(_scaled(3).node(16, "n3", "web@3"))
    assert finding.verdict is Verdict.HELD, finding.summary


def _half(*, begun: bool = True, **changed: Any) -> Story:
    """Tell of web, scaled to three, and of the end as of another action than the beginning, or of no beginning."""
    story, end = (
        _scaled(3, ended=None),
        Acted(1, "app.scale", (), 60.0, may_fail=False, outcome=Outcome.OK, effect=Effect({"web": 3}), was={"web": 2}),
    )
    if not begun:
        story = Story().phase(0.5, Phase.DEPLOYING).phase(1, Phase.STEADY).phase(9, Phase.FAULTS)
        story.node(0, "n1", "web@1").node(0, "n2", "web@2").node(0, "n3").node(0, "n4")
        story.watched(79, "n1 n2 n3").watched(19.9, "n4").watched(79, "n4", start=42).members(0.5, "n1 n2 n3", 2, "n1")
    return story.tell(15.2, dataclasses.replace(end, **changed))


def test_an_action_that_found_nobody_is_told_once() -> None:
    """It was never begun; and it may fail."""
    story = Story().phase(1, Phase.STEADY).phase(9, Phase.FAULTS).node(0, "n1", "web@1").node(0, "n2", "web@2").node(0, "n3").node(0, "n4")
    story.members(0.5, "n1 n2 n3", 2, "n1").watched(79, "n1 n2 n3").watched(19.9, "n4").watched(79, "n4", start=42)
    story.tell(15, Acted(1, "app.scale", (), 60.0, may_fail=True, outcome=Outcome.FAIL, detail="nobody hosts it"))
    assert _assumed(story).verdict is Verdict.HELD


@pytest.mark.parametrize(
    ("story", "words"),
    [
        (_scaled(3, outcome=Outcome.FAIL), "action 1 (app.scale) was not done"),
        (_scaled(3, outcome=Outcome.UNKNOWN), "action 1 (app.scale) may or may not have been done"),
        (_scaled(3, ended=None), "action 1 (app.scale) was begun, and never seen to end"),
        (_scaled(3).action(50, 51, "node.drain", "n1", number=2), "action 2 (node.drain) was never planned"),
        (_scaled(3).action(50, 51, "app.scale"), "action 1 (app.scale) was told 4 times"),
        (_half(begun=False), "action 1 (app.scale) was told 1 times"),
        (_half(targets=("n1",)), "action 1 (app.scale) ended as another one than it began"),
        (_half(name="node.drain"), "action 1 (app.scale) ended as another one than it began"),
        (_half(effect=Effect({"web": 9})), "action 1 (app.scale) ended as another one than it began"),
        (_half(was={"web": 9}), "action 1 (app.scale) ended as another one than it began"),
        (_scaled(3).node(16, "n3", "web@4"), "web@4 ran on n3 at 16.0 s, and is no instance of the plan"),
    ],
    ids=[
        "failed",
        "in doubt",
        "no end",
        "not planned",
        "twice",
        "no beginning",
        *("other targets", "another name", "another effect", "another number before"),
        "more than was asked for",
    ],
)
def test_what_is_wrong_with_an_action_forbids_a_judgement(story: Story, words: str) -> None:
    """What it was to change is not known then."""
    finding = _assumed(story)
    assert finding.verdict is Verdict.UNKNOWN
    assert words in f"{finding.summary} {finding.details}"


def test_an_action_that_may_fail_is_no_reason_not_to_judge() -> None:
    """The scenario says that it is fine."""
    story = Story().phase(1, Phase.STEADY).phase(9, Phase.FAULTS).node(0, "n1", "web@1").node(0, "n2", "web@2").node(0, "n3").node(0, "n4")
    story.members(0.5, "n1 n2 n3", 2, "n1")
    story.watched(79, "n1 n2 n3").watched(19.9, "n4").watched(79, "n4", start=42)
    story.action(15, 16, "app.scale", effect=Effect({"web": 3}), was={"web": 2}, outcome=Outcome.FAIL, may_fail=True)
    assert _assumed(story).verdict is Verdict.HELD


def test_an_action_that_was_planned_and_never_begun_is_missed() -> None:
    """As a fault is."""
    story = Story().phase(1, Phase.STEADY).node(0, "n1", "web@1").node(0, "n2", "web@2").node(0, "n3").node(0, "n4").watched(79, NODES)
    assert "action 1 (app.scale) was planned and never begun" in _assumed(story).summary


def test_an_instance_that_was_asked_for_before_the_first_fault_must_run_then() -> None:
    """What must be steady is what was to run then: more, or fewer, than the plan began with."""
    assert "web@3 ran nowhere when the first fault was decided" in _assumed(_scaled(3).gets(16, 19, "web@3", Outcome.FAIL)).summary
    fewer = _scaled(1, begun=5.0, ended=5.1).node(6, "n2")
    assert _assumed(fewer).verdict is Verdict.HELD


def test_who_is_called_no_longer_is_not_silent() -> None:
    """Calls end when an instance need not run any more, and begin when it must."""
    story = _scaled(1, begun=30, ended=30.2).gets(2, 79, "web@1", by="n1").gets(2, 30, "web@2", by="n2").done(80)
    assert silent_callers(story.history()) == []
    quiet = _scaled(3, begun=30, ended=30.2).gets(2, 79, "web@1", by="n1").gets(2, 30, "web@2", by="n2").done(80)
    assert [point.verdict for point in silent_callers(quiet.history())] == [Verdict.UNKNOWN]


@pytest.mark.parametrize(
    ("expected", "calls", "silent"),
    [
        (THREE, None, "no call to web@3 for 63.8 s from 15.2 s"),
        (THREE, (15.3, 79), ""),
        (THREE, (30, 79), "no call to web@3 for 14.8 s from 15.2 s"),
        (THREE, (70, 73), "no call to web@3 for 54.8 s from 15.2 s"),
        (Expected(instances=THREE.instances, called=("web@1",)), None, ""),
        (Expected(instances=THREE.instances, called=THREE.called, capped=(("web", 2),)), None, ""),
        (Expected(instances=THREE.instances, called=THREE.called, capped=(("web", 3),)), None, "no call to web@3 for 63.8 s from 15.2 s"),
        (Expected(instances=THREE.instances), None, ""),
    ],
    ids=["never", "all along", "late", "a few calls", "fewer are called", "no more are called", "so many are called", "it is not called"],
)
def test_an_instance_that_an_action_asked_for_is_called_from_then_on(
    expected: Expected, calls: tuple[float, float] | None, silent: str
) -> None:
    """As the others of its app are: who calls each of them, calls that as well."""
    story = _scaled(3).gets(2, 79, "web@1", by="n1").gets(2, 79, "web@2", by="n2").node(16, "n3", "web@3")
    story.fault("node.kill", "n4", decided=10, in_force=10, healing=60, healed=61, traits=NODE, lost="n4").off(10, "n4").node(61, "n4")
    if calls is not None:
        story.gets(*calls, "web@3", by="n3")
    history = story.phase(79, Phase.FINAL).done(80).history()
    assert [point.text for point in silent_callers(history, expected)] == ([f"the http workload made {silent}"] if silent else [])
    finding = Availability("web", 0.5, 40.0, expected=expected).check(history)
    assert (finding.verdict is Verdict.HELD) == (not silent or calls == (30, 79)), finding.summary
    assert calls is not None or not silent or "web@3 was to be called and never was" in finding.summary


def test_an_instance_that_was_asked_for_at_the_very_end_need_not_have_been_called() -> None:
    """Nor one that was asked for and taken away again before its turn."""
    for story in (
        _scaled(3, begun=75, ended=76),
        _scaled(3).action(17, 18, "app.scale", effect=Effect({"web": 2}), was={"web": 3}, number=2),
    ):
        story.gets(2, 79, "web@1", by="n1").gets(2, 79, "web@2", by="n2")
        story.fault("node.kill", "n4", decided=10, in_force=10, healing=60, healed=61, traits=NODE, lost="n4").off(10, "n4").node(61, "n4")
        history = story.phase(79, Phase.FINAL).done(80).history()
        assert silent_callers(history, THREE) == []
        assert Availability("web", 0.5, 40.0, expected=THREE).check(history).verdict is Verdict.HELD


def test_who_was_stopped_by_an_action_may_be_silent() -> None:
    """Of all others it is told that nobody explains it."""
    for effect, verdict in ((Effect(stops=("docker",)), Verdict.HELD), (Effect(), Verdict.UNKNOWN)):
        story = Story().phase(1, Phase.STEADY).phase(9, Phase.FAULTS).node(0, "n1").node(0, "n2").node(0, "n3").node(0, "n4")
        story.watched(79, "n1 n2").watched(19.9, "n4").watched(79, "n4", start=42)
        for second in range(80):
            for observer in ("host", "membership", "placement", *(("docker",) if not 15 < second < 60 else ())):
                story.watching(float(second), observer, "n3")
        story.action(14, 15, "service.stop", "n3", effect=effect)
        story.action(58, 59, "service.start", "n3", effect=Effect(starts=effect.stops), number=2)
        assert _assumed(story, Expected()).verdict is verdict


@pytest.mark.parametrize(
    ("effect", "targets", "verdict"),
    [
        (Effect(disturbs=True), "", Verdict.HELD),
        (Effect(disturbs=True), "n3", Verdict.HELD),
        (Effect(disturbs=True), "n1", Verdict.UNKNOWN),
        (Effect(), "", Verdict.UNKNOWN),
        (Effect({"web": 2}), "", Verdict.UNKNOWN),
    ],
    ids=["anywhere", "there", "elsewhere", "nothing", "scaled"],
)
def test_what_is_done_to_no_node_may_be_felt_on_any(effect: Effect, targets: str, verdict: Verdict) -> None:
    """A roll-out of an app: while it goes on Docker may not be asked on whatever node it has come to."""
    story = Story().phase(1, Phase.STEADY).phase(9, Phase.FAULTS).node(0, "n1").node(0, "n2").node(0, "n3").node(0, "n4")
    story.watched(79, "n1 n2").watched(19.9, "n4").watched(79, "n4", start=42)
    for second in range(80):
        for observer in ("host", "membership", "placement", *(("docker",) if not 15 < second < 58 else ())):
            story.watching(float(second), observer, "n3")
    story.action(14, 59, "acme.rollout", targets, effect=effect)
    assert _assumed(story, Expected()).verdict is verdict


# ---------------------------------------------------------------- settled


@pytest.mark.parametrize(("runs", "verdict"), [(("web@2", "web@3"), Verdict.HELD), (("web@2",), Verdict.UNKNOWN)])
def test_whole_is_what_was_asked_for_by_then(runs: tuple[str, ...], verdict: Verdict) -> None:
    """As many as an action asked for must run where all is said to be whole."""
    story = _scaled(3).whole(1.0, "before").whole(60.0, "after").node(16, "n2", *runs)
    story.fault("node.kill", "n4", decided=20, in_force=20.1, healing=40, healed=41, traits=NODE, lost="n4").off(20.05, "n4").node(41, "n4")
    assert Settled(THREE).check(story.done(80).history()).verdict is verdict


def test_what_was_taken_away_on_purpose_is_not_lost_at_the_end() -> None:
    """Where it stopped by itself it is."""
    for asked, verdict in ((True, Verdict.HELD), (False, Verdict.BROKEN)):
        story = Story().phase(1, Phase.STEADY).node(0, "n1", "web@1").node(0, "n2", "web@2").node(0, "n3").watched(79, "n1 n2 n3")
        story.fault("node.kill", "n3", decided=10, in_force=10.1, healing=20, healed=21, traits=NODE, lost="n3").off(10.05, "n3").node(
            21, "n3"
        )
        story.members(0.5, "n1 n2 n3", 2, "n1").endures(recovery=16.5)
        if asked:
            story.action(22, 22.5, "app.scale", effect=Effect({"web": 1}), was={"web": 2})
        story.whole(1.0, "before").whole(21.5 if not asked else 25.0, "after").node(23.0, "n2")
        assert Settled().check(story.done(80).history()).verdict is verdict


# ---------------------------------------------------------------- rescheduled


def _lost(*, back: float | None) -> Story:
    """Tell of web@2, lost with n2 at 20 s for 50 s, and back on n3 when it is said."""
    story = Story().phase(1, Phase.STEADY).node(0, "n1", "web@1").node(0, "n2", "web@2").node(0, "n3").node(0, "n4").watched(99, NODES)
    story.fault("node.kill", "n2", decided=20, in_force=20, healing=90, healed=91, traits=NODE, lost="n2").off(20, "n2").node(91, "n2")
    return story if back is None else story.node(back, "n3", "web@2")


def test_what_need_not_run_is_not_lost() -> None:
    """What was taken away before, or while it was on its way back, is not missed; what is still to run is."""
    before = _lost(back=None).action(10, 10.5, "app.scale", effect=Effect({"web": 1}), was={"web": 2}).done(100)
    assert displaced(before.history()) == ()
    assert Rescheduled("web", within=30).check(before.history()).verdict is Verdict.UNKNOWN
    meanwhile = _lost(back=None).action(30, 30.5, "app.scale", effect=Effect({"web": 1}), was={"web": 2}).done(100)
    (one,) = displaced(meanwhile.history())
    assert one.watched == 10.0
    assert Rescheduled("web", within=30).check(meanwhile.history()).verdict is Verdict.UNKNOWN
    assert Rescheduled("web", within=30).check(_lost(back=None).done(100).history()).verdict is Verdict.BROKEN


@pytest.mark.parametrize(
    ("name", "targets", "effect"),
    [
        ("app.update", "", Effect(renews=("web",), alters=("web",))),
        ("app.scale", "", Effect({"web": 1})),
        ("node.drain", "n2", Effect(moves=True)),
        ("service.restart", "n2", Effect(stops=("docker",), starts=("docker",))),
    ],
)
@pytest.mark.parametrize("outcome", [Outcome.OK, Outcome.FAIL])
def test_what_an_action_stopped_is_not_lost_to_a_fault_that_takes_nothing_away(
    name: str, targets: str, effect: Effect, outcome: Outcome
) -> None:
    """Of one that surely was done, and where and while it was: what stops later, elsewhere, or though it was not done, was lost."""
    story = Story().phase(1, Phase.STEADY).node(0, "n1", "web@1").node(0, "n2", "web@2").node(0, "n3").watched(99, NODES)
    story.fault("disk.slow", "n1 n2", decided=20, in_force=20, healing=90, healed=91, traits=Traits(Loss.NOTHING))
    story.action(30, 38, name, targets, effect=effect, was={"web": 2} if effect.runs else None, outcome=outcome)
    story.node(32, "n2").node(37, "n2", "web@2").node(60, "n1").node(70, "n1", "web@1")
    lost = {one.instance: one.at for one in displaced(story.done(100).history())}
    assert lost == ({"web@1": 60.0} if outcome is Outcome.OK else {"web@1": 60.0, "web@2": 32.0})


@pytest.mark.parametrize("when", [12, 45])
def test_what_stopped_before_or_after_an_action_was_lost(when: int) -> None:
    """The action has a time of its own."""
    story = Story().phase(1, Phase.STEADY).node(0, "n1").node(0, "n2", "web@2").node(0, "n3").watched(99, NODES)
    story.fault("disk.slow", "n2", decided=10, in_force=10, healing=90, healed=91, traits=Traits(Loss.NOTHING))
    story.action(30, 38, "app.restart", effect=Effect(renews=("web",))).node(when, "n2").node(when + 5, "n2", "web@2")
    assert [one.at for one in displaced(story.done(100).history())] == [when]


def test_an_instance_that_came_by_an_action_can_be_lost() -> None:
    """As any other, from then on."""
    story = _lost(back=60).node(16, "n2", "web@2", "web@3").node(30, "n4", "web@3")
    story.action(15, 15.5, "app.scale", effect=Effect({"web": 3}), was={"web": 2})
    assert {one.instance: one.running for one in displaced(story.done(100).history())} == {"web@2": 40.0, "web@3": 10.0}


@pytest.mark.parametrize(("back", "verdict"), [(49, Verdict.HELD), (70, Verdict.UNKNOWN), (78, Verdict.BROKEN)])
def test_a_recovery_that_an_action_upsets_may_have_its_time_from_then_on(back: float, verdict: Verdict) -> None:
    """Thirty seconds from when it was done, and not one more; but nobody knows whether it was the action that took the time."""
    story = _lost(back=back).action(40, 43, "service.restart", "n1", effect=Effect(starts=("fleetd",)))
    assert Rescheduled("web", within=30).check(story.done(100).history()).verdict is verdict


@pytest.mark.parametrize(
    ("back", "begun", "ended", "app", "verdict", "words"),
    [
        (25, 22, 24, "web", Verdict.UNKNOWN, "app.restart from 22.0 s on may have brought it back"),
        (25, 18, 24, "web", Verdict.UNKNOWN, "app.restart from 18.0 s on may have brought it back"),
        (25, 10, 12, "web", Verdict.HELD, ""),
        (25, 30, 32, "web", Verdict.HELD, ""),
        (25, 22, 24, "db", Verdict.HELD, ""),
        (55, 40, 52, "web", Verdict.UNKNOWN, "what was done meanwhile may account for"),
        (None, 40, None, "web", Verdict.UNKNOWN, "an action from 40.0 s on was still under way when the time was up"),
        (None, 40, None, "db", Verdict.BROKEN, ""),
        (55, 40, 42, "web", Verdict.UNKNOWN, "what was done meanwhile may account for"),
        (55, 40, None, "web", Verdict.UNKNOWN, "what was done meanwhile may account for"),
        (55, 40, 52, "db", Verdict.BROKEN, ""),
        (55, 10, 12, "web", Verdict.BROKEN, ""),
        (78, 40, 42, "web", Verdict.BROKEN, ""),
        (None, 60, 62, "web", Verdict.BROKEN, ""),
    ],
)
def test_what_starts_an_app_anew_shows_nothing_of_a_recovery_meanwhile(
    back: float | None, begun: float, ended: float | None, app: str, verdict: Verdict, words: str
) -> None:
    """Neither that it was in time, nor that it was late; of other apps, and of what was lost when it was over, it says nothing."""
    story = _lost(back=back).action(begun, ended, "app.restart", effect=Effect(renews=(app,)))
    finding = Rescheduled("web", within=30).check(story.done(100).history())
    assert finding.verdict is verdict, finding.summary
    assert words in finding.summary


@pytest.mark.parametrize(("app", "verdict"), [("web", Verdict.UNKNOWN), ("db", Verdict.BROKEN)])
@pytest.mark.parametrize("back", ["n2", "n4", None])
def test_what_an_action_starts_anew_is_not_taken_by_a_fault_that_leaves_its_node(app: str, verdict: Verdict, back: str | None) -> None:
    """It stopped while a disk was slow, by the action's hand; where it comes back says nothing of the fault."""
    story = Story().phase(1, Phase.STEADY).node(0, "n1", "web@1").node(0, "n2", "web@2").node(0, "n3").node(0, "n4").watched(99, NODES)
    story.fault("disk.slow", "n2", decided=20, in_force=20.2, healing=90, healed=91, traits=Traits(Loss.NOTHING, ("disk",)))
    story.action(30, 36, "app.restart", effect=Effect(renews=(app,))).node(31, "n2")
    if back is not None:
        story.node(35 if app == "web" else 75, back, "web@2")
    finding = Rescheduled("web", within=30).check(story.done(100).history())
    assert finding.verdict is verdict, finding.summary


@pytest.mark.parametrize(
    ("effect", "ended", "verdict"),
    [
        (Effect(renews=("web",)), None, Verdict.UNKNOWN),
        (Effect(renews=("web",)), 18.0, Verdict.BROKEN),
        (Effect(renews=("db",)), None, Verdict.BROKEN),
    ],
    ids=["in doubt", "over", "another app"],
)
def test_what_is_lost_at_the_end_may_still_be_started_anew_only_by_an_action_in_doubt(
    effect: Effect, ended: float | None, verdict: Verdict
) -> None:
    """An orchestrator goes on by itself with what nobody waited for."""
    story = Story().phase(1, Phase.STEADY).node(0, "n1", "web@1").node(0, "n2", "web@2").node(0, "n3").watched(79, "n1 n2 n3")
    story.fault("node.kill", "n3", decided=10, in_force=10.1, healing=20, healed=21, traits=NODE, lost="n3").off(10.05, "n3").node(21, "n3")
    story.members(0.5, "n1 n2 n3", 2, "n1").endures(recovery=16.5).action(15, ended, "app.restart", effect=effect, may_fail=True)
    story.whole(1.0, "before").whole(25.0, "after").node(30.0, "n2")
    assert Settled().check(story.done(80).history()).verdict is verdict


def test_a_cluster_that_lacks_more_than_what_was_started_anew_is_not_excused_by_that() -> None:
    """Each of what is missing must be about it."""
    for more, verdict in (
        ((), Verdict.UNKNOWN),
        (("writes are not acknowledged",), Verdict.BROKEN),
        (("db@1 runs nowhere",), Verdict.BROKEN),
    ):
        story = _acted((30.0, "", RENEWED)).whole(1.0, "before").whole(45.0, "after", "1 of 2 instances of web run", *more, seconds=30.0)
        assert Settled().check(story.done(80).history()).verdict is verdict, more


def test_a_daemon_that_is_still_stopped_convicts_nobody() -> None:
    """Nobody knows what it would have done."""
    story = _lost(back=None).action(25, 26, "service.stop", "n1", effect=Effect(stops=("etcd",)))
    finding = Rescheduled("web", within=30).check(story.done(100).history())
    assert finding.verdict is Verdict.UNKNOWN
    assert "had stopped something that it needs, which was still stopped when the time was up" in finding.summary


@pytest.mark.parametrize(
    ("daemon", "stopped", "members", "verdict"),
    [
        ("etcd", "n1", "n1 n2 n3 n4", Verdict.UNKNOWN),
        ("fleetd", "n1", "n1 n2 n3 n4", Verdict.BROKEN),
        ("etcd", "n1", "n5", Verdict.BROKEN),
        ("fleetd", "n1 n3 n4", "n5 n6 n7 n8 n9 n10 n11 n12", Verdict.UNKNOWN),
        ("fleetd", "n1 n3", "n5 n6 n7", Verdict.BROKEN),
    ],
    ids=["no majority is left", "a daemon that is no member's", "all else is left", "no home is left", "one home is left"],
)
def test_a_daemon_that_is_stopped_excuses_nobody_where_enough_is_left(daemon: str, stopped: str, members: str, verdict: Verdict) -> None:
    """A majority of the members, and a node that could take what was lost."""
    story = _lost(back=None).action(25, 26, "service.stop", stopped, effect=Effect(stops=(daemon,)))
    story.members(0.5, members, 2, members.rsplit(maxsplit=1)[-1])
    finding = Rescheduled("web", within=30).check(story.done(100).history())
    assert finding.verdict is verdict, finding.summary


@pytest.mark.parametrize(
    ("emptied", "opened", "back", "verdict"),
    [
        ("n1 n3 n4", 45, 55, Verdict.UNKNOWN),
        ("n1 n3 n4", 30, 55, Verdict.UNKNOWN),
        ("n1 n3 n4", 30, 65, Verdict.BROKEN),
        ("n1 n3 n4", 45, None, Verdict.BROKEN),
        ("n1 n3 n4", 52, 60, Verdict.UNKNOWN),
        ("n1 n3", 45, 55, Verdict.BROKEN),
    ],
    ids=[
        "until shortly before",
        "until a while before",
        "and late from then on",
        "and nowhere from then on",
        "until after it",
        "one was left",
    ],
)
def test_where_no_node_could_take_it_until_an_action_let_one_it_has_its_time_from_then_on(
    emptied: str, opened: float, back: float | None, verdict: Verdict
) -> None:
    """Thirty seconds from the loss at 20 s are up at 50 s; all homes had been emptied, and had work again some time before that."""
    story = _lost(back=back).action(5, 6, "node.drain", emptied, effect=Effect(moves=True))
    story.action(opened - 1, opened, "node.undrain", emptied, effect=Effect(opens=True), number=2)
    finding = Rescheduled("web", within=30).check(story.done(100).history())
    assert finding.verdict is verdict, finding.summary


def _two_lost() -> Story:
    """Tell of web@1 on n4 and web@2 on n5, both of which are lost at 20 s, of five nodes."""
    story = Story().phase(1, Phase.STEADY).node(0, "n1").node(0, "n2").node(0, "n3").node(0, "n4", "web@1").node(0, "n5", "web@2")
    story.watched(99, "n1 n2 n3 n4 n5").off(20, "n4").off(20, "n5").node(91, "n4").node(91, "n5")
    return story.fault("node.kill", "n4 n5", decided=20, in_force=20, healing=90, healed=91, traits=NODE, lost="n4 n5")


IN_DOUBT: dict[str, tuple[Callable[[], Story], Checker]] = {
    "lost work": (lambda: _two_lost().node(35, "n3", "web@1"), Rescheduled("web", within=30)),
    "calls": (
        lambda: _lost(back=21).gets(2, 99, "web@1").gets(2, 30, "web@2").gets(30, 70, "web@2", Outcome.FAIL).gets(70, 99, "web@2"),
        Availability("web", 0.5, 20.0),
    ),
    "a bystander": (lambda: _lost(back=21).node(0.5, "n4", "web@3").node(25, "n4"), Bystanders("web")),
    "a cluster that is whole": (
        lambda: _lost(back=21).whole(2, "before").whole(92, "after").node(95, "n3"),
        Settled(),
    ),
}


@pytest.mark.parametrize(
    ("outcome", "verdict"), [(Outcome.OK, Verdict.HELD), (Outcome.UNKNOWN, Verdict.UNKNOWN), (Outcome.FAIL, Verdict.BROKEN)]
)
@pytest.mark.parametrize(("story", "checker"), IN_DOUBT.values(), ids=IN_DOUBT)
def test_what_is_held_only_if_an_action_in_doubt_was_done_is_unknown(
    story: Callable[[], Story], checker: Checker, outcome: Outcome, verdict: Verdict
) -> None:
    """Web was scaled to one instance, perhaps, and the others do what they may not do if it was not."""
    told = story().action(10, 11, "app.scale", effect=Effect(runs={"web": 1}), was={"web": 3}, outcome=outcome, may_fail=True, number=7)
    finding = checker.check(told.done(100).history())
    assert finding.verdict is verdict, finding.summary
    assert verdict is not Verdict.UNKNOWN or "whether app.scale at 10.0 s was done is not known" in finding.summary


@pytest.mark.parametrize(
    ("runs", "outcome", "missing", "verdict"),
    [
        (1, Outcome.UNKNOWN, ("web@2 runs nowhere",), Verdict.UNKNOWN),
        (1, Outcome.UNKNOWN, ("1 of 2 instances of web run",), Verdict.UNKNOWN),
        (1, Outcome.UNKNOWN, ("1 of 2 instances of web run on nodes that are left", "web@2 does not answer"), Verdict.UNKNOWN),
        (1, Outcome.UNKNOWN, ("0 of 2 instances of web run",), Verdict.BROKEN),
        (1, Outcome.UNKNOWN, ("web@1 does not answer",), Verdict.BROKEN),
        (1, Outcome.UNKNOWN, ("1 of 2 instances of db run",), Verdict.BROKEN),
        (1, Outcome.UNKNOWN, ("web@2 runs nowhere", "n3 is off"), Verdict.BROKEN),
        (1, Outcome.FAIL, ("web@2 runs nowhere",), Verdict.BROKEN),
        (2, Outcome.UNKNOWN, ("web@2 runs nowhere",), Verdict.BROKEN),
        (3, Outcome.UNKNOWN, ("web@3 runs nowhere",), Verdict.UNKNOWN),
        (3, Outcome.UNKNOWN, ("web@2 runs nowhere",), Verdict.BROKEN),
        (3, Outcome.OK, ("web@3 runs nowhere",), Verdict.BROKEN),
    ],
    ids=[
        "an instance",
        "their number",
        "both",
        "fewer than either",
        "one that must run either way",
        "another app",
        "something else as well",
        "it was not done",
        "as many as before",
        "one more",
        "not that one",
        "it was done",
    ],
)
@pytest.mark.parametrize("asked", ["settled", "recovered", "steady"])
def test_what_the_run_waited_for_in_vain_that_an_action_in_doubt_may_have_taken_away_convicts_nobody(
    asked: str, runs: int, outcome: Outcome, missing: tuple[str, ...], verdict: Verdict
) -> None:
    """Who waits goes by what was surely asked for: a cluster that did what it was told lacks that, and rightly."""
    story = (
        Story().phase(1, Phase.STEADY).node(0, "n1", "web@1").node(0, "n2", "web@2").node(0, "n3").node(32, "n2").watched(99, "n1 n2 n3")
    )
    story.fault("net.delay", "n3", decided=10, in_force=10, healing=20, healed=21, traits=Traits(Loss.NOTHING)).members(
        0.5, "n1 n2 n3", 2, "n1"
    )
    story.action(30, 31, "app.scale", effect=Effect({"web": runs}), was={"web": 2}, outcome=outcome, may_fail=True).whole(2, "before")
    if asked == "settled":
        story.whole(60, "after", *missing, seconds=29)
    else:
        story.awaited(31, 60, asked, "web" if asked == "recovered" else "", Outcome.FAIL, missing=missing)
    finding = (Settled() if asked == "settled" else CameInTime()).check(story.done(100).history())
    assert finding.verdict is verdict, finding.summary
    assert verdict is Verdict.BROKEN or "whether app.scale at 30.0 s was done is not known" in finding.summary


@pytest.mark.parametrize(
    ("outcome", "verdict"), [(Outcome.OK, Verdict.HELD), (Outcome.UNKNOWN, Verdict.UNKNOWN), (Outcome.FAIL, Verdict.UNKNOWN)]
)
def test_what_came_only_if_an_action_in_doubt_was_done_is_unknown(outcome: Outcome, verdict: Verdict) -> None:
    """Web had recovered, with one instance that ran: as many as were to run, perhaps."""
    story = _lost(back=None).action(12, 13, "app.scale", effect=Effect({"web": 1}), was={"web": 2}, outcome=outcome, may_fail=True)
    story.awaited(22, 30, "recovered", "web")
    finding = CameInTime(Expected(instances=THREE.instances)).check(story.done(100).history())
    assert finding.verdict is verdict, finding.summary


@pytest.mark.parametrize(
    ("back", "on", "placed", "verdict"),
    [
        (55, "n4", "", Verdict.UNKNOWN),
        (55, "n3", "", Verdict.BROKEN),
        (None, "", "n4", Verdict.UNKNOWN),
        (None, "", "n3", Verdict.BROKEN),
        (None, "", "", Verdict.BROKEN),
    ],
    ids=["it came there", "it came elsewhere", "it was placed there", "it was placed elsewhere", "nobody placed it"],
)
def test_a_node_that_was_chosen_though_an_action_had_stopped_its_daemon_convicts_nobody(
    back: float | None, on: str, placed: str, verdict: Verdict
) -> None:
    """Who places work need not know of Docker: an idle node is taken, and its daemon was stopped by the run itself."""
    story = _lost(back=None).action(5, 6, "service.stop", "n4", effect=Effect(stops=("docker",))).members(0.5, "n1 n2 n3 n4 n5", 2, "n1")
    story.api(1, "n1", NODES, {"web@1": "n1", "web@2": "n2"})
    if placed:
        story.api(30, "n1", "n1 n3 n4", {"web@1": "n1", "web@2": placed})
    if back is not None:
        story.node(back, on, "web@2")
    finding = Rescheduled("web", within=30).check(story.done(100).history())
    assert finding.verdict is verdict, finding.summary


@pytest.mark.parametrize(
    ("started", "placed", "back", "verdict"),
    [
        (None, 30, 60, Verdict.UNKNOWN),
        (None, 55, 60, Verdict.BROKEN),
        (28, 30, 60, Verdict.BROKEN),
        (32, 30, 70, Verdict.UNKNOWN),
        (28, None, 60, Verdict.UNKNOWN),
        (18, None, 60, Verdict.BROKEN),
    ],
    ids=[
        "it was stopped then",
        "it was chosen only when the time was up",
        "it was there again when it was chosen",
        "and only afterwards",
        "nobody saw when it was chosen",
        "it was there before the loss",
    ],
)
def test_a_daemon_that_was_there_when_its_node_was_chosen_in_time_excuses_nobody(
    started: float | None, placed: float | None, back: float, verdict: Verdict
) -> None:
    """n4 had no Docker by an action, for a while or for good, and web@2 came to it, late; thirty seconds were up at 50 s."""
    story = _lost(back=None).action(5, 6, "service.stop", "n4", effect=Effect(stops=("docker",))).members(0.5, "n1 n2 n3 n4 n5", 2, "n1")
    if started is not None:
        story.action(started - 1, started, "service.start", "n4", effect=Effect(starts=("docker",)), number=2)
    story.api(1, "n1", NODES, {"web@1": "n1", "web@2": "n2"})
    if placed is not None:
        story.api(placed, "n1", "n1 n3 n4", {"web@1": "n1", "web@2": "n4"})
    finding = Rescheduled("web", within=30).check(story.node(back, "n4", "web@2").done(100).history())
    assert finding.verdict is verdict, finding.summary


@pytest.mark.parametrize(("placed", "verdict"), [("n4", Verdict.UNKNOWN), ("n3", Verdict.BROKEN)])
def test_an_await_in_vain_is_excused_where_the_node_that_was_chosen_had_its_daemon_stopped(placed: str, verdict: Verdict) -> None:
    """By an action of the run's own, and enough others were left."""
    story = _acted((5.0, "n4", STOPPED)).api(1, "n1", NODES, {"web@1": "n1", "web@2": "n2"})
    story.api(20, "n1", NODES, {"web@1": "n1", "web@2": "n2", "web@3": placed})
    story.awaited(15.3, 45.0, "recovered", "web", Outcome.FAIL, otherwise="broken", missing=("web@3 runs nowhere",))
    finding = CameInTime().check(story.done(80).history())
    assert finding.verdict is verdict, finding.summary


@pytest.mark.parametrize(("back", "verdict"), [(54, Verdict.UNKNOWN), (58, Verdict.BROKEN)])
def test_a_stop_is_allowed_for_from_when_it_was_done_however_long_the_daemon_stays_down(back: float, verdict: Verdict) -> None:
    """Thirty seconds from 26 s on; that it is down to the end where enough is left allows for nothing more."""
    story = _lost(back=back).action(25, 26, "service.stop", "n1", effect=Effect(stops=("fleetd",))).members(0.5, "n5 n6 n7", 2, "n5")
    finding = Rescheduled("web", within=30).check(story.done(100).history())
    assert finding.verdict is verdict, finding.summary


def test_an_action_that_goes_on_when_the_time_is_up_is_named_so() -> None:
    """Nobody knows what it keeps from coming; nothing need have been stopped by it."""
    story = _lost(back=None).action(5, 95, "own.command", "n1", effect=Effect(disturbs=True))
    finding = Rescheduled("web", within=30).check(story.done(100).history())
    assert finding.verdict is Verdict.UNKNOWN
    assert "but an action from 5.0 s on was still under way when the time was up" in finding.summary


@pytest.mark.parametrize(
    ("kind", "action", "verdict"),
    [
        (Traits(Loss.NOTHING), None, Verdict.BROKEN),
        (Traits(Loss.NOTHING), (40, "n2", Effect(moves=True)), Verdict.UNKNOWN),
        (Traits(Loss.NOTHING), (40, "n2", Effect(stops=("docker",))), Verdict.UNKNOWN),
        (Traits(Loss.NOTHING), (44, "n2", Effect(starts=("docker",))), Verdict.UNKNOWN),
        (Traits(Loss.NOTHING), (30, "n2", Effect(starts=("docker",))), Verdict.BROKEN),
        (Traits(Loss.NOTHING), (40, "n4", Effect(moves=True)), Verdict.UNKNOWN),
        (Traits(Loss.NOTHING), (30, "n4", Effect(stops=("docker",))), Verdict.BROKEN),
        (Traits(Loss.NOTHING), (80, "n2", Effect(moves=True)), Verdict.BROKEN),
        (NODE, (19, "n2", Effect(moves=True)), Verdict.BROKEN),
    ],
    ids=[
        "none",
        "drained",
        "stopped",
        "restarted",
        "long before",
        "another node",
        "another node long before",
        "after it",
        "the node was lost",
    ],
)
def test_work_that_an_action_may_have_taken_convicts_nobody(
    kind: Traits, action: tuple[float, str, Effect] | None, verdict: Verdict
) -> None:
    """Under a fault that left its node there; of a node that was lost the fault took it, whatever was done to that before."""
    story = Story().phase(1, Phase.STEADY).node(0, "n1", "web@1").node(0, "n2", "web@2").node(0, "n3").node(0, "n4").watched(99, NODES)
    story.fault("net.delay", "n2", decided=20, in_force=20, healing=90, healed=91, traits=kind, lost="n2" if kind is NODE else "")
    story = story.off(20, "n2") if kind is NODE else story.node(45, "n2")
    if action is not None:
        story.action(action[0], action[0] + 1, "some.action", action[1], effect=action[2])
    assert Rescheduled("web", within=30).check(story.done(100).history()).verdict is verdict


@pytest.mark.parametrize(
    ("action", "back", "stops", "verdict"),
    [
        (None, 40, 55, Verdict.BROKEN),
        ((54, "n3", Effect(moves=True)), 40, 55, Verdict.UNKNOWN),
        ((54, "n3", Effect(stops=("docker",), starts=("docker",))), 40, 55, Verdict.UNKNOWN),
        ((54, "n3", Effect(disturbs=True)), 40, 55, Verdict.UNKNOWN),
        ((54, "", Effect(disturbs=True)), 40, 55, Verdict.UNKNOWN),
        ((54, "n1", Effect(moves=True)), 40, 55, Verdict.UNKNOWN),
        ((53, "n1", Effect(stops=("fleetd",))), 40, 55, Verdict.UNKNOWN),
        ((53, "n1", Effect(disturbs=True)), 40, 55, Verdict.UNKNOWN),
        ((46, "n1", Effect(stops=("fleetd",))), 40, 55, Verdict.BROKEN),
        ((46, "n3", Effect(disturbs=True)), 40, 55, Verdict.BROKEN),
        ((57, "n3", Effect(moves=True)), 40, 55, Verdict.BROKEN),
        ((67, "n3", Effect(moves=True)), 60, 68, Verdict.BROKEN),
    ],
    ids=[
        "none",
        "drained",
        "its daemon restarted",
        "a command",
        "a command for all",
        "another node drained",
        "a daemon stopped elsewhere",
        "a command elsewhere",
        "stopped elsewhere long before",
        "long before",
        "after it",
        "it was late",
    ],
)
def test_work_that_was_back_in_time_until_an_action_took_it_convicts_nobody(
    action: tuple[float, str, Effect] | None, back: float, stops: float, verdict: Verdict
) -> None:
    """It came back from the fault, and went with what the run itself did, wherever that was; what was late before that was late."""
    story = _lost(back=back).node(stops, "n3").node(stops + 4, "n4", "web@2")
    if action is not None:
        story.action(action[0], action[0] + 1, "some.action", action[1], effect=action[2])
    finding = Rescheduled("web", within=25).check(story.done(100).history())
    assert finding.verdict is verdict, finding.summary
    told = action is not None and f"an action from {action[0]:.1f} s on may have taken it" in finding.summary
    assert told == (verdict is Verdict.UNKNOWN), finding.summary


@pytest.mark.parametrize(
    ("begun", "verdict"), [(None, Verdict.BROKEN), (58, Verdict.UNKNOWN), (70, Verdict.UNKNOWN), (101, Verdict.BROKEN)]
)
def test_work_that_an_action_took_long_after_a_daemon_was_lost_convicts_nobody(begun: float | None, verdict: Verdict) -> None:
    """It ran on where the daemon died, until the run's own action came, and is counted from the bite since it moved then."""
    story = Story().phase(1, Phase.STEADY).node(0, "n1", "web@1").node(0, "n2", "web@2").node(0, "n3").node(0, "n4").watched(139, NODES)
    story.fault("a.kill", "n2", decided=20, in_force=20, healing=130, healed=131, traits=Traits(Loss.PROCESS, ("fleetd",)), lost="n2")
    story.node(60, "n2").node(100, "n3", "web@2")
    if begun is not None:
        story.action(begun, begun + 1, "service.stop", "n2", effect=Effect(stops=("docker",)))
        story.action(begun + 3, begun + 4, "service.start", "n2", effect=Effect(starts=("docker",)), number=2)
    finding = Rescheduled("web", within=30).check(story.done(140).history())
    assert finding.verdict is verdict, finding.summary


@pytest.mark.parametrize(
    ("action", "verdict"),
    [
        (None, Verdict.HELD),
        ((16, "n2", Effect(moves=True)), Verdict.UNKNOWN),
        ((16, "n2", Effect(stops=("docker",))), Verdict.UNKNOWN),
        ((16, "n2", Effect(disturbs=True)), Verdict.HELD),
        ((16, "", Effect(disturbs=True)), Verdict.HELD),
        ((16, "n2", Effect(stops=("docker",), starts=("docker",))), Verdict.HELD),
        ((16, "n4", Effect(moves=True)), Verdict.HELD),
        ((25, "n2", Effect(disturbs=True)), Verdict.HELD),
    ],
    ids=["none", "drained", "stopped", "disturbed", "done to no node", "restarted", "another node", "after it"],
)
def test_work_that_an_action_had_moved_already_shows_nothing_of_a_fault(action: tuple[float, str, Effect] | None, verdict: Verdict) -> None:
    """It was on its way from the node when that was lost: what brought it back was not what is promised after a loss.

    What was over by then had taken nothing: it was seen to run on.
    """
    story = _lost(back=22)
    if action is not None:
        story.action(action[0], action[0] + 1, "some.action", action[1], effect=action[2])
    finding = Rescheduled("web", within=25).check(story.done(100).history())
    assert finding.verdict is verdict, finding.summary
    assert ("an action on n2 from 16.0 s on may have taken it" in finding.summary) == (verdict is Verdict.UNKNOWN), finding.summary


@pytest.mark.parametrize(
    ("action", "back", "placed", "verdict"),
    [
        (None, 25, None, Verdict.HELD),
        ((22, 22.5, "n2", Effect(moves=True)), 25, None, Verdict.UNKNOWN),
        ((22, 22.5, "n2", Effect(moves=True)), 38, None, Verdict.UNKNOWN),
        ((22, 22.5, "n2", Effect(moves=True)), 25, 21, Verdict.HELD),
        ((22, 22.5, "n4", Effect(moves=True)), 38, None, Verdict.HELD),
        ((22, 26, "n1", Effect(disturbs=True)), 25, None, Verdict.UNKNOWN),
        ((22, 26, "", Effect(disturbs=True)), 25, None, Verdict.UNKNOWN),
        ((22, 23, "n3", Effect(stops=("docker",), starts=("docker",))), 25, None, Verdict.HELD),
        ((22, 23, "n1", Effect(starts=("fleetd",))), 25, None, Verdict.HELD),
        ((22, 23, "n3", Effect(opens=True)), 25, None, Verdict.UNKNOWN),
        ((22, 23, "n3", Effect(opens=True)), 38, None, Verdict.HELD),
        ((22, 23, "n4", Effect(opens=True)), 25, None, Verdict.HELD),
        ((22, 23, "n4", Effect(moves=True)), 25, None, Verdict.HELD),
        ((15, 80, "n1", Effect(disturbs=True)), 25, None, Verdict.UNKNOWN),
        ((22, 26, "n1", Effect(disturbs=True)), 38, None, Verdict.HELD),
        ((22, 26, "n1", Effect(disturbs=True)), 25, 21, Verdict.HELD),
        ((26, 27, "n1", Effect(disturbs=True)), 25, None, Verdict.HELD),
        ((18, 19, "n1", Effect(disturbs=True)), 23, None, Verdict.HELD),
        ((22, 22.5, "", Effect(runs={"web": 3})), 25, None, Verdict.HELD),
        ((22, 22.5, "n2", Effect(moves=True)), 60, None, Verdict.BROKEN),
    ],
    ids=[
        "none",
        "its node was drained",
        "long after that",
        "the cluster had placed it before",
        "another node was drained, long before",
        "in a command",
        "in a command for all",
        "a daemon was restarted there just before",
        "and elsewhere",
        "its new home was let work in again just before",
        "and long before",
        "another node was",
        "another node was drained just before",
        "in a command that was there before the loss",
        "long after a command",
        "the cluster had placed it before the command",
        "before a command",
        "the command was over before the loss",
        "its app was scaled",
        "it was late all the same",
    ],
)
@pytest.mark.parametrize("loses", [Loss.NODE, Loss.LINK])
def test_work_that_an_action_may_have_brought_back_shows_nothing_of_a_fault(
    loses: Loss, action: tuple[float, float, str, Effect] | None, back: float, placed: float | None, verdict: Verdict
) -> None:
    """What the run itself does between the loss and the way back may be what brought it back, and not what is promised after a loss."""
    story = _taken_by(Traits(loses, apart=loses is Loss.LINK)).node(back, "n3", "web@2")
    if placed is not None:
        story.api(placed, "n1", "n1 n3 n4", {"web@1": "n1", "web@2": "n3"})
    if action is not None:
        story.action(action[0], action[1], "some.action", action[2], effect=action[3], was={"web": 2} if action[3].runs else {})
    finding = Rescheduled("web", within=25).check(story.done(100).history())
    assert finding.verdict is verdict, finding.summary
    told = action is not None and f"from {action[0]:.1f} s on may have brought it back" in finding.summary
    assert told == (verdict is Verdict.UNKNOWN), finding.summary


@pytest.mark.parametrize(("back", "verdict"), [(25, Verdict.UNKNOWN), (38, Verdict.HELD)])
def test_work_of_a_node_that_lost_a_daemon_may_have_been_brought_back_by_an_action(back: float, verdict: Verdict) -> None:
    """As that of one that was lost: by what is done on another node when it runs again."""
    story = _taken_by(Traits(Loss.PROCESS, ("fleetd",))).node(20.5, "n2").node(back, "n3", "web@2")
    story.action(22, 26, "some.action", "n1", effect=Effect(disturbs=True))
    finding = Rescheduled("web", within=25).check(story.done(100).history())
    assert finding.verdict is verdict, finding.summary


@pytest.mark.parametrize(
    ("begun", "starts", "node", "back", "verdict"),
    [
        (28, ("docker",), "n2", "n2", Verdict.UNKNOWN),  # its supervisor may never have started it
        (31, ("docker",), "n2", "n2", Verdict.HELD),  # the work was back before
        (28, ("etcd",), "n2", "n2", Verdict.HELD),  # another daemon than the fault took
        (28, ("docker",), "n4", "n2", Verdict.HELD),  # on another node
        (28, ("docker",), "n2", "n3", Verdict.HELD),  # the work is elsewhere
    ],
)
def test_a_daemon_that_the_run_itself_started_again_brought_its_nodes_work_back(
    begun: float, starts: tuple[str, ...], node: str, back: str, verdict: Verdict
) -> None:
    """And not whoever was to: of a fault that takes a daemon which comes back in place."""
    story = _taken_by(Traits(Loss.PROCESS, ("docker",), in_place=True)).node(20.5, "n2").node(30, back, "web@2")
    story.action(begun, begun + 1, "service.start", node, effect=Effect(starts=starts))
    finding = Rescheduled("web", within=25).check(story.done(100).history())
    assert finding.verdict is verdict, finding.summary


def _taken_by(kind: Traits) -> Story:
    """Tell of web@2 on n2, from which a fault takes something at 20 s for 70 s; to be gone on with."""
    story = Story().phase(1, Phase.STEADY).node(0, "n1", "web@1").node(0, "n2", "web@2").node(0, "n3").node(0, "n4").watched(99, NODES)
    story.fault("a.fault", "n2", decided=20, in_force=20, healing=90, healed=91, traits=kind, lost="n2")
    if kind.loses is Loss.NODE:
        story.off(20, "n2").node(91, "n2")
    return story.api(1, "n1", NODES, {"web@1": "n1", "web@2": "n2"})


def test_a_node_that_was_emptied_is_no_home() -> None:
    """Where no other is left, nothing could take what was lost."""
    for emptied, verdict in (("n3 n4", Verdict.UNKNOWN), ("n3", Verdict.BROKEN)):
        story = _lost(back=None).action(10, 10.5, "node.drain", f"n1 {emptied}", effect=Effect(moves=True))
        assert Rescheduled("web", within=30).check(story.done(100).history()).verdict is verdict


# ---------------------------------------------------------------- what was waited for

STOPPED = Effect(stops=("docker",))
STARTED = Effect(starts=("docker",))
EMPTIED = Effect(moves=True)
RENEWED = Effect(renews=("web",))


def _acted(*done: tuple[float, str, Effect]) -> Story:
    """Tell of four nodes that run two instances of web, of the mode's longest recovery, and of actions."""
    story = _scaled(3).endures(recovery=16.5)
    for number, (when, node, effect) in enumerate(done, 2):
        story.action(when, when + 1, "some.action", node, effect=effect, number=number)
    return story


@pytest.mark.parametrize(
    ("done", "verdict", "words"),
    [
        ([], Verdict.BROKEN, ""),
        ([(20.0, "n4", STOPPED)], Verdict.BROKEN, ""),
        ([(20.0, "n2", STOPPED)], Verdict.UNKNOWN, "an action had stopped docker on n2 then"),
        ([(20.0, "n1 n3 n4", STOPPED)], Verdict.UNKNOWN, "an action had stopped docker on n1 then"),
        ([(16.0, "n4", STOPPED), (17.0, "n4", STARTED)], Verdict.BROKEN, ""),
        ([(30.0, "n4", STARTED)], Verdict.UNKNOWN, "an action that disturbs the cluster went on until 31.0 s"),
        ([(30.0, "", RENEWED)], Verdict.UNKNOWN, "from 30.0 s to 31.0 s an action stopped and started web anew"),
        ([(30.0, "", Effect(renews=("db",)))], Verdict.BROKEN, ""),
        ([(16.0, "", RENEWED)], Verdict.BROKEN, ""),
        ([(62.0, "", RENEWED)], Verdict.BROKEN, ""),
        ([(62.0, "n4", STOPPED)], Verdict.BROKEN, ""),
        ([(62.0, "n2", EMPTIED)], Verdict.BROKEN, ""),
        ([(20.0, "n4", EMPTIED)], Verdict.BROKEN, ""),
        ([(20.0, "n2", EMPTIED)], Verdict.UNKNOWN, "an action kept work off n2 then"),
        ([(20.0, "n1 n3 n4", EMPTIED)], Verdict.UNKNOWN, "an action kept work off n1 and n3 and n4 then"),
        ([(20.0, "n2", EMPTIED), (22.0, "n2", Effect(opens=True))], Verdict.BROKEN, ""),
        (
            [(15.0, "n2", EMPTIED), (32.0, "n2", Effect(opens=True))],
            Verdict.UNKNOWN,
            "an action kept work off n2 then, or until shortly before",
        ),
    ],
    ids=[
        "none",
        "stopped on a spare node",
        "stopped on its only home",
        "stopped on too many",
        "started again",
        "just disturbed",
        "just started anew",
        "another app started anew",
        "started anew long before",
        "started anew later",
        "later",
        "emptied later",
        "a spare node",
        "its only home",
        "no room",
        "opened again",
        "opened just now",
    ],
)
@pytest.mark.parametrize("asked", ["settled", "awaited", "scaled"])
def test_what_the_runs_own_actions_took_away_convicts_no_cluster(
    asked: str, done: list[tuple[float, str, Effect]], verdict: Verdict, words: str
) -> None:
    """Nor does it acquit one: without the action, or when it was over long before, what did not come is broken as ever."""
    story = _acted(*done)
    finding = {
        "settled": lambda: Settled().check(
            story.whole(1.0, "before").whole(45.0, "after", "web@3 runs nowhere", seconds=30.0).done(80).history()
        ),
        "awaited": lambda: CameInTime().check(
            story.awaited(15.3, 45.0, "recovered", "web", Outcome.FAIL, otherwise="broken", missing=("web@3 runs nowhere",))
            .done(80)
            .history()
        ),
        "scaled": lambda: Scaled("web", 3, 30.0).check(story.done(80).history()),
    }[asked]()
    if asked == "settled" and done == [(20.0, "n4", STOPPED)]:  # a cluster is whole where each node is as it was
        verdict, words = Verdict.UNKNOWN, "an action had stopped docker on n4 then"
    assert finding.verdict is verdict, finding.summary
    assert words in finding.summary


def test_nodes_that_are_fewer_than_instances_are_too_few_wherever_these_ran() -> None:
    """Both of two had run on n2, the only node that was left work, and one without the other may be all that it is let run."""
    story = _acted((20.0, "n1 n3 n4", EMPTIED)).node(2, "n2", "web@1", "web@2").node(3, "n2", "web@2")
    assert Scaled("web", 3, 30.0).check(story.done(80).history()).verdict is Verdict.UNKNOWN


@pytest.mark.parametrize(
    ("stopped", "goal", "verdict"),
    [
        ("n4", "leader", Verdict.BROKEN),
        ("n3 n4", "leader", Verdict.UNKNOWN),
        ("n4", "steady", Verdict.UNKNOWN),
    ],
    ids=["a majority is left", "no majority is left", "all were to be as before"],
)
def test_an_await_in_vain_is_excused_by_what_it_takes_and_by_nothing_else(stopped: str, goal: str, verdict: Verdict) -> None:
    """Of four members some that run nothing were stopped by an action long before."""
    story = _acted((5.0, stopped, Effect(stops=("etcd",)))).members(0.5, NODES, 2, "n1").members(14, "n1 n2", 2, None)
    story.awaited(15.3, 45.0, goal, "", Outcome.FAIL, otherwise="broken", missing=("nobody leads",))
    finding = CameInTime().check(story.done(80).history())
    assert finding.verdict is verdict, finding.summary


@pytest.mark.parametrize(
    ("stopped", "killed", "healed", "off", "verdict"),
    [
        ("n4", "n3", 60, "", Verdict.UNKNOWN),
        ("n4", "n3", 30, "", Verdict.BROKEN),
        ("n4", "n4", 60, "", Verdict.BROKEN),
        ("", "n3", 60, "", Verdict.BROKEN),
        ("n4", "", 60, "n3", Verdict.UNKNOWN),
    ],
    ids=["another is lost to a fault", "it was mended", "the same is lost to a fault", "nobody was stopped", "another is off"],
)
def test_a_member_that_an_action_stopped_excuses_that_nobody_leads_only_where_no_majority_of_the_others_is_there(
    stopped: str, killed: str, healed: float, off: str, verdict: Verdict
) -> None:
    """Of four members one was stopped by an action; two are no majority."""
    story = _acted(*([(5.0, stopped, Effect(stops=("etcd",)))] if stopped else [])).members(0.5, NODES, 2, "n1")
    if killed:
        story.fault("node.kill", killed, decided=6, in_force=6.1, healing=healed - 1, healed=healed, traits=NODE, lost=killed)
        story.off(6.05, killed).node(healed, killed)
    if off:
        story.off(6.05, off)
    story.members(14, "n1 n2", 2, None).awaited(15.3, 45.0, "leader", "", Outcome.FAIL, otherwise="broken", missing=("nobody leads",))
    finding = CameInTime().check(story.done(80).history())
    assert finding.verdict is verdict, finding.summary
    assert ("an action had stopped etcd on n4 then" in finding.summary) is (verdict is Verdict.UNKNOWN), finding.summary


@pytest.mark.parametrize(("healed", "verdict"), [(60, Verdict.BROKEN), (8, Verdict.UNKNOWN)], ids=["it is off by a fault", "it was mended"])
def test_a_node_that_gives_no_answer_is_excused_by_a_fault_that_is_there_and_by_none_before(healed: float, verdict: Verdict) -> None:
    """n4 could not be asked when an await came to its end in vain."""
    story = _acted().awaited(15.3, 45.0, "recovered", "web", Outcome.FAIL, otherwise="broken", missing=("web@3 runs nowhere",))
    story.fault("node.kill", "n4", decided=4, in_force=5, healing=healed - 1, healed=healed, traits=NODE, lost="n4").unreachable(40, "n4")
    finding = CameInTime().check(story.done(80).history())
    assert finding.verdict is verdict, finding.summary


@pytest.mark.parametrize("ended", [("leader", "", "broken"), ("recovered", "db", "broken"), ("recovered", "web", "unknown")])
def test_an_await_that_ends_as_another_than_it_began_is_none(ended: tuple[str, str, str]) -> None:
    """By its goal, its app, or what it means if that does not come."""
    goal, app, otherwise = ended
    story = _acted().awaited(15.3, None, "recovered", "web").tell(45.0, Awaited(1, goal, app, 60.0, otherwise, Outcome.OK, 29.7))
    finding = CameInTime().check(story.done(80).history())
    assert (finding.verdict, "ended as another one than it began" in finding.summary) == (Verdict.UNKNOWN, True)


def test_a_node_of_which_nobody_knows_what_it_ran_may_have_run_what_was_asked_for() -> None:
    """Somebody speaks of n9, and node truth never said a word of it."""
    assert Scaled("web", 3, 30.0).check(_acted().done(80).history()).verdict is Verdict.BROKEN
    finding = Scaled("web", 3, 30.0).check(_acted().watching(5, "docker", "n9").done(80).history())
    assert (finding.verdict, "what n9 ran was not known" in finding.summary) == (Verdict.UNKNOWN, True)


@pytest.mark.parametrize(("stalled", "verdict"), [(20, Verdict.UNKNOWN), (38, Verdict.BROKEN)])
def test_what_machines_did_when_an_await_was_too_late_already_excuses_nothing(stalled: float, verdict: Verdict) -> None:
    """It was to come within 16.5 s of 15.3 s."""
    story = _acted().awaited(15.3, 45.0, "recovered", "web", Outcome.FAIL, otherwise="broken", missing=("web@3 runs nowhere",))
    finding = CameInTime().check(story.stalled(stalled, stalled + 4, "machine").done(80).history())
    assert finding.verdict is verdict, finding.summary


_ALL = ("docker", "fleetd", "etcd", "mesos-agent", "zookeeper", "marathon")


@pytest.mark.parametrize(
    ("seen", "again"),
    [
        (lambda story: story, {}),
        (lambda story: story.node(30, "n2", "web@1", "web@2"), {"docker": 30.0}),
        (
            lambda story: story.api(29, "n1", "n1 n2", {"web@2": "n2"}).node(30, "n2", "web@1", "web@2"),
            {"docker": 30.0, "fleetd": 30.0, "mesos-agent": 30.0},
        ),
        (lambda story: story.api(15, "n1", "n1 n2", {"web@2": "n2"}).node(30, "n2", "web@1", "web@2"), {"docker": 30.0}),
        (lambda story: story.api(29, "n1", "n1 n2", {"web@2": "n1"}).node(30, "n2", "web@1", "web@2"), {"docker": 30.0}),
        (lambda story: story.node(30, "n2"), {}),
        (lambda story: story.node(23, "n2", "web@1", "web@2"), {}),
        (lambda story: story.member(30, "n2", 2, "n1"), {"etcd": 30.0, "zookeeper": 30.0}),
        (lambda story: story.member(30, "n2", 2, None).no_member(31, "n2").member(23, "n2", 2, "n1"), {}),
        (lambda story: story.off(22, "n2").node(40, "n2"), dict.fromkeys(_ALL, 22.0)),
        (lambda story: story.action(50, 51, "service.start", "n2", effect=Effect(starts=_ALL), number=2), dict.fromkeys(_ALL, 51.0)),
        (
            lambda story: story.node(30, "n2", "web@1", "web@2").action(50, 51, "service.stop", "n2", effect=STOPPED, number=2),
            {"docker": 30.0},
        ),
    ],
    ids=[
        "nothing",
        "a new container",
        "one that the orchestrator gave to it",
        "one that it had given to it before",
        "one that it gave to another",
        "one less",
        "one that may be older",
        "a member",
        "it follows nobody",
        "off",
        "an action",
        "stopped anew",
    ],
)
def test_a_daemon_that_an_action_stopped_is_stopped_until_it_is_seen_to_run_again(
    seen: Callable[[Story], Story], again: dict[str, float]
) -> None:
    """By whatever started it: each by what it alone does, or by the machine, which was off meanwhile."""
    story = Story().node(0, "n1").node(0, "n2", "web@1").action(20, 21, "service.stop", "n2", effect=Effect(stops=_ALL))
    every = deeds(seen(story).done(80).history())
    assert {part: pieces[0] for (_, part), pieces in down(every, 80.0).items()} == {
        part: Interval(20.0, again.get(part, 80.0)) for part in _ALL
    }
    assert ("docker was stopped on n2" in lasting(every, 80.0)) is (down(every, 80.0)["n2", "docker"][-1].end == 80.0)


def test_what_actions_did_and_nothing_undid_is_told() -> None:
    """What was undone by another one is not; what may have been done is told so."""
    story = _scaled(3).action(20, 21, "service.stop", "n1 n2", effect=STOPPED, number=2)
    story.action(22, 23, "service.start", "n1", effect=STARTED, number=3).action(24, 25, "node.drain", "n3 n4", effect=EMPTIED, number=4)
    story.action(26, 27, "node.undrain", "n3", effect=Effect(opens=True), number=5).action(28, 29, "words.say", "n1", number=6)
    story.action(30, None, "words.shout", number=7).action(31, 32, "words.spell", outcome=Outcome.FAIL, number=8)
    every = deeds(story.done(80).history())
    assert lasting(every, 80.0) == [
        "docker was stopped on n2",
        "n4 was emptied, and is to have no work",
        "web was scaled to 3 from 2",
        "words.say was done on n1",
        "words.shout was done, or may have been",
    ]
    half = Story().node(0, "n1").action(20, 21, "service.stop", "n1", effect=STOPPED, outcome=Outcome.UNKNOWN)
    half.action(24, None, "node.drain", "n2", effect=EMPTIED, number=2)
    assert lasting(deeds(half.done(80).history()), 80.0) == [
        "docker may have been stopped on n1",
        "n2 may have been emptied, and is to have no work",
    ]
    assert lasting(deeds(_scaled(3).action(20, 21, "app.scale", effect=Effect({"web": 2}), was={"web": 3}, number=2).history()), 80.0) == []


# ---------------------------------------------------------------- quorum


def _written(*, upset_by: bool, gap: float) -> Story:
    """Tell of writes under the loss of n4, which is no member, that pause at 30 s, when a daemon of n1 may be restarted."""
    story = Story().phase(1, Phase.STEADY)
    for node in NODES.split():
        story.node(0, node)
    story.members(0.5, "n1 n2 n3", 2, "n1").watched(79, NODES)
    story.fault("node.kill", "n4", decided=10, in_force=10, healing=70, healed=70, traits=NODE, lost="n4").off(10, "n4").node(70, "n4")
    if upset_by:
        story.action(29.5, 30, "service.restart", "n1", effect=Effect(starts=("etcd",)))
    story.members(31, "n1 n2 n3", 3, "n2")
    return story.writes(2, 29.5).writes(29.5, 29.5 + gap, Outcome.FAIL).writes(29.5 + gap, 78).done(80)


@pytest.mark.parametrize(
    ("upset_by", "gap", "verdict"),
    [(True, 9.0, Verdict.HELD), (True, 21.0, Verdict.BROKEN), (False, 9.0, Verdict.HELD), (False, 10.6, Verdict.BROKEN)],
)
def test_a_pause_for_an_action_is_not_held_against_a_fault(upset_by: bool, gap: float, verdict: Verdict) -> None:
    """For one election, and after that no longer than for one more."""
    assert QuorumSurvived(writes="go on", election=10).check(_written(upset_by=upset_by, gap=gap).history()).verdict is verdict


@pytest.mark.parametrize(("upset_by", "verdict"), [(True, Verdict.UNKNOWN), (False, Verdict.BROKEN)])
def test_leadership_that_an_action_may_have_moved_convicts_no_fault(upset_by: bool, verdict: Verdict) -> None:
    """It was to stay."""
    assert QuorumSurvived(leader="stays", election=10).check(_written(upset_by=upset_by, gap=2.0).history()).verdict is verdict


# ---------------------------------------------------------------- availability


def _called(*, new: float | None, until: float = 70.0) -> Story:
    """Tell of calls to web@1 and web@2 under the loss of n4, and of calls to web@3, asked for at 15 s, that are good from `new` on."""
    story = _scaled(3).gets(2, until, "web@1", by="n1").gets(2, until, "web@2", by="n2").node(16, "n3", "web@3")
    story.fault("node.kill", "n4", decided=10, in_force=10, healing=60, healed=61, traits=NODE, lost="n4").off(10, "n4").node(61, "n4")
    story.gets(15.3, until if new is None else new, "web@3", Outcome.FAIL)
    return (story if new is None else story.gets(new, until, "web@3", by="n3")).phase(69.5, Phase.SETTLING).done(71)


@pytest.mark.parametrize(("new", "verdict"), [(18.0, Verdict.HELD), (30.0, Verdict.BROKEN), (None, Verdict.BROKEN)])
def test_an_instance_is_gone_from_when_it_was_asked_for(new: float | None, verdict: Verdict) -> None:
    """Not from the fault on, when there was none of it yet."""
    assert Availability("web", 0.5, 10.0).check(_called(new=new).history()).verdict is verdict


def test_an_instance_that_need_not_run_any_more_is_not_gone() -> None:
    """Calls to it after that do not count, either."""
    story = (
        _scaled(1, begun=30, ended=30.2).gets(2, 70, "web@1", by="n1").gets(2, 30, "web@2", by="n2").gets(30.3, 69, "web@2", Outcome.FAIL)
    )
    story.fault("node.kill", "n4", decided=10, in_force=10, healing=60, healed=61, traits=NODE, lost="n4").off(10, "n4").node(61, "n4")
    finding = Availability("web", 0.99, 5.0).check(story.node(31, "n2").done(71).history())
    assert finding.verdict is Verdict.HELD, finding.summary


@pytest.mark.parametrize(("back", "verdict", "gap"), [(43, Verdict.HELD, 2.8), (55, Verdict.BROKEN, 14.8)])
def test_an_instance_that_is_to_run_again_is_gone_from_when_it_was_asked_for(back: float, verdict: Verdict, gap: float) -> None:
    """Not from when it was scaled away, though it was called all along, and none of that was answered well."""
    story = _scaled(1, begun=20, ended=20.2).action(40, 40.2, "app.scale", effect=Effect({"web": 2}), was={"web": 1}, number=2)
    story.gets(2, 70, "web@1", by="n1").gets(2, 20, "web@2", by="n2").gets(20.3, back, "web@2", Outcome.FAIL).gets(
        back, 70, "web@2", by="n2"
    )
    story.fault("node.kill", "n4", decided=10, in_force=10, healing=60, healed=61, traits=NODE, lost="n4").off(10, "n4").node(61, "n4")
    finding = Availability("web", 0.5, 10.0).check(story.node(21, "n2").node(back, "n2", "web@2").done(71).history())
    assert (finding.verdict, f"web@2 gave no good answer for {gap} s from 40.2 s" in finding.summary) == (verdict, True), finding.summary


def test_an_instance_that_was_gone_until_it_was_to_run_no_more_is_told_so() -> None:
    """It need not be back then."""
    story = _scaled(1, begun=50, ended=50.2).gets(2, 70, "web@1", by="n1").gets(2, 20, "web@2", by="n2").gets(20, 70, "web@2", Outcome.FAIL)
    story.fault("node.kill", "n2", decided=20, in_force=20, healing=60, healed=61, traits=NODE, lost="n2").off(20, "n2").node(61, "n2")
    finding = Availability("web", 0.5, 10.0).check(story.done(71).history())
    assert "web@2 gave no good answer for 30.1 s from 19.9 s, until it was to run no more, 10 s were allowed" in finding.summary


# ---------------------------------------------------------------- scaled


def _more(*, at: float | None, then: float | None = None) -> Story:
    """Tell of web, scaled to 3 at 15 s, whose third runs from one moment on until another."""
    story = _scaled(3)
    if at is not None:
        story.node(at, "n3", "web@3")
    return (story if then is None else story.node(then, "n3")).done(80)


@pytest.mark.parametrize(
    ("story", "verdict", "words"),
    [
        (_more(at=20), Verdict.HELD, "3 instances of web ran 5.0 s after that was asked for (10 s allowed)"),
        (_more(at=26), Verdict.BROKEN, "2 did at most, and all 11.0 s after that"),
        (_more(at=None), Verdict.BROKEN, "did not all run within 10 s: 2 did at most"),
        (_more(at=20, then=21), Verdict.BROKEN, "did not all run within 10 s"),
        (_scaled(4).done(80), Verdict.UNKNOWN, "web was never scaled to 3 instances"),
        (_scaled(3, outcome=Outcome.FAIL).done(80), Verdict.UNKNOWN, "that was not done"),
        (_scaled(3, outcome=Outcome.UNKNOWN).done(80), Verdict.UNKNOWN, "whether that was taken is not known"),
        (
            _scaled(3).action(17, 18, "app.scale", effect=Effect({"web": 2}), number=2).done(80),
            Verdict.UNKNOWN,
            "something else was asked for",
        ),
        (_scaled(3).done(20), Verdict.UNKNOWN, "the run was over before the time was up"),
        (_scaled(3).unreachable(16, "n4").done(80), Verdict.UNKNOWN, "what n4 ran was not known"),
        (_scaled(3).unreachable(16, "n3").node(17.6, "n3").done(80), Verdict.BROKEN, "did not all run"),
        (_scaled(3).stalled(15.5, 24.5).done(80), Verdict.UNKNOWN, ""),
        (_scaled(1).node(20, "n2").done(80), Verdict.UNKNOWN, "never scaled to 3"),
    ],
    ids=[
        "in time",
        "late",
        "never",
        "not to stay",
        "another number",
        "refused",
        "in doubt",
        "changed",
        "over",
        "unseen",
        "unseen for too short to have stayed",
        "stalled",
        "fewer",
    ],
)
def test_as_many_run_as_were_asked_for(story: Story, verdict: Verdict, words: str) -> None:
    """In time, to stay, by node truth; what cannot be told is unknown."""
    finding = Scaled("web", 3, 10.0).check(story.history())
    assert finding.verdict is verdict, finding.summary
    assert words in finding.summary


@pytest.mark.parametrize(("was", "verdict"), [(1, Verdict.UNKNOWN), (2, Verdict.HELD), (3, Verdict.HELD)])
def test_what_ran_already_shows_nothing_of_an_action_that_asked_for_more(was: int, verdict: Verdict) -> None:
    """Where it asked for as many as there were, or for fewer, so many are to run."""
    finding = Scaled("web", 2, 10.0).check(_scaled(2, was).done(80).history())
    assert (finding.verdict, "as many ran already" in finding.summary) == (verdict, verdict is Verdict.UNKNOWN), finding.summary


@pytest.mark.parametrize(
    ("last", "first", "docker", "verdict"),
    [
        (24.5, 25.9, None, Verdict.UNKNOWN),
        (24.9, 25.3, None, Verdict.UNKNOWN),
        (24.9, 25.3, 24.95, Verdict.UNKNOWN),
        (24.9, 25.3, 25.2, Verdict.BROKEN),
        (25.1, 25.6, None, Verdict.BROKEN),
        (25.0, 25.9, None, Verdict.BROKEN),
    ],
    ids=["a second apart", "less", "by Docker in time", "by Docker too late", "seen without it when it was up", "just then"],
)
def test_an_instance_that_may_have_run_when_the_time_was_up_convicts_nobody(
    last: float, first: float, docker: float | None, verdict: Verdict
) -> None:
    """A node is looked at once a second: ten seconds were up at 25 s, and n3 was seen without web@3 at one time, and then with it."""
    story = _more(at=None).node(first, "n3", "web@3")
    if docker is not None:
        story.docker(first, "n3", "start", "web@3", at=docker)
    told = [
        (entry.time, entry.event)
        for entry in story.history().entries
        if not (isinstance(entry.event, NodeSeen) and entry.event.node == "n3" and last - 0.9 < entry.time < first)
    ]
    told.append((last, NodeSeen("n3", NodeState.UP, ())))
    finding = Scaled("web", 3, 10.0).check(History.of_events(*sorted(told, key=lambda each: each[0])))
    assert finding.verdict is verdict, finding.summary


@pytest.mark.parametrize(("first", "verdict"), [(25.7, Verdict.UNKNOWN), (26.7, Verdict.BROKEN)])
def test_one_too_many_that_may_have_stopped_when_the_time_was_up_convicts_nobody(first: float, verdict: Verdict) -> None:
    """As one that may have run."""
    finding = Scaled("web", 1, 10.4).check(_scaled(1).node(first, "n2").done(80).history())
    assert finding.verdict is verdict, finding.summary


@pytest.mark.parametrize("begun", [14.0, 14.037, 14.37, 14.629])
def test_a_time_that_was_up_was_up_whatever_its_last_digits(begun: float) -> None:
    """Of some beginnings the time until ten seconds later is a little less than ten seconds."""
    finding = Scaled("web", 3, 10.0).check(_scaled(3, begun=begun).done(80).history())
    assert finding.verdict is Verdict.BROKEN, finding.summary


@pytest.mark.parametrize(("stops", "verdict"), [(20.0, Verdict.HELD), (40.0, Verdict.BROKEN)])
def test_where_fewer_were_asked_for_no_more_may_run(stops: float, verdict: Verdict) -> None:
    """What is to stop must stop in time."""
    assert Scaled("web", 1, 10.0).check(_scaled(1).node(stops, "n2").done(80).history()).verdict is verdict


def test_a_good_run_with_an_action_is_held_by_all() -> None:
    """The other side of all of that."""
    story = node_kill().action(45.0, 45.2, "app.scale", effect=Effect({"web": 3}), was={"web": 2}).node(46.0, "n1", "web@1", "web@3")
    for checker in (Assumptions(), Rescheduled("web", within=40), QuorumSurvived("go on"), Scaled("web", 3, 10.0)):
        finding = checker.check(story.history())
        assert finding.verdict is Verdict.HELD, finding


@pytest.mark.parametrize("outcome", [Outcome.OK, Outcome.UNKNOWN])
def test_a_restart_that_may_have_been_cut_off_may_have_left_its_daemon_stopped(outcome: Outcome) -> None:
    """Between the stop and the start; one that is known to be done has not."""
    story = Story().action(10, 14, "service.restart", "n3", effect=ServiceRestart("etcd").effect, outcome=outcome).done(60)
    every = deeds(story.history())
    assert [*down(every, 60)] == [("n3", "etcd")]
    assert down(every, 60)["n3", "etcd"] == [Interval(10, 14 if outcome is Outcome.OK else 60)]
    assert lasting(every, 60) == ([] if outcome is Outcome.OK else ["etcd may have been stopped on n3"])
