"""Settled: whether the cluster was whole again after the last heal."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from harness.checkers import CameInTime, Settled
from harness.checkers.expected import Expected
from harness.core.values import Effect, Finding, Loss, Outcome, Traits, Verdict
from harness.history.events import Answered, ApiSeen, History, Invoked, MemberSeen, Wholeness
from harness.history.interfaces import Checker
from harness.testing.histories import Story, node_kill


def mended() -> Story:
    """A fault of n1 that was healed at 40 s, and one of n2 that was healed at 60 s."""
    story = Story().node(0, "n1").node(0, "n2").whole(2, "before")
    story.fault("node.kill", "n1", decided=10, in_force=10, healing=39, healed=40)
    return story.fault("node.kill", "n2", decided=45, in_force=45, healing=59, healed=60, number=2)


def judged(story: Story, end: float = 99) -> Finding:
    """What the checker says of a run that came to its end."""
    return Settled().check(story.done(end).history())


def test_whole_again_is_held() -> None:
    """The seconds count from the last heal of all."""
    finding = judged(mended().whole(63.2, "after"))
    assert (finding.verdict, finding.summary) == (Verdict.HELD, "whole again 3.2 s after the last heal")


def test_not_whole_again_is_broken_and_says_what_was_missing() -> None:
    """The same run, but for what it waited for."""
    finding = judged(mended().whole(90, "after", "n2 is not listed", "web@1 does not answer"))
    assert (finding.verdict, finding.summary) == (
        Verdict.BROKEN,
        "not whole again 30.0 s after the last heal: n2 is not listed; web@1 does not answer",
    )
    assert len(finding.evidence) == 1


HOMES = {"web@1": "n1", "web@2": "n3"}


@pytest.mark.parametrize(
    ("tell", "verdict"),
    [
        (lambda story: story, Verdict.UNKNOWN),
        (lambda story: story.node(64, "n3"), Verdict.BROKEN),
        (lambda story: story.off(64, "n2"), Verdict.BROKEN),
        (lambda story: story.node(64, "n2", "web@2"), Verdict.BROKEN),
        (lambda story: story.get(64, "web@1", Outcome.FAIL), Verdict.BROKEN),
        (lambda story: story.write(64, "k", "v", Outcome.FAIL), Verdict.BROKEN),
        (lambda story: story.api(64, "n2", "n1 n3", HOMES), Verdict.BROKEN),
        (lambda story: story.api(64, "n2", "n1 n2 n3", {"web@1": "n1", "web@2": None}), Verdict.BROKEN),
        (lambda story: story.no_api(64, "n2"), Verdict.BROKEN),
        (lambda story: story.members(64, "n1 n2 n3", 3, None), Verdict.BROKEN),
        (lambda story: story.no_member(64, "n3"), Verdict.BROKEN),
        (lambda story: story.fault("some.fault", "n3", decided=60, in_force=60.2, healing=65, healed=65.5, number=2), Verdict.BROKEN),
    ],
    ids=[
        "all tell otherwise",
        "one ran nowhere",
        "a node was off",
        "one ran twice",
        "one did not answer",
        "a write was refused",
        "a node was not listed",
        "one had no home",
        "an API gave no answer",
        "nobody led",
        "a member gave no answer",
        "a fault was there",
    ],
)
@pytest.mark.parametrize("checker", [Settled(), CameInTime()])
def test_that_a_cluster_was_not_whole_is_believed_unless_all_others_tell_otherwise(
    checker: Checker, tell: Callable[[Story], Story], verdict: Verdict
) -> None:
    """By nodes, callers, APIs, members and writes it was, for four seconds and more."""
    story = tell(node_kill()).awaited(59, 66, "steady", outcome=Outcome.FAIL, missing=("something",)).endures(recovery=5)
    told = [(entry.time, entry.event) for entry in story.history().entries]
    told = [each for each in told if not (isinstance(each[1], Wholeness) and each[1].when == "after")]
    told.append((66.0, Wholeness("after", whole=False, seconds=12.9, missing=("something",))))
    finding = checker.check(History.of_events(*told))
    assert (finding.verdict, "members, APIs and writes missed nothing" in finding.summary) == (verdict, verdict is Verdict.UNKNOWN), finding


@pytest.mark.parametrize("gone", ["register", "members", "APIs", "http", "web@2"])
@pytest.mark.parametrize("checker", [Settled(), CameInTime()])
def test_a_witness_that_was_never_planned_is_not_missed(checker: Checker, gone: str) -> None:
    """All others tell otherwise; where a plan has it, its silence leaves the word that the cluster was not whole as it is."""
    story = node_kill().awaited(59, 66, "steady", outcome=Outcome.FAIL, missing=("something",)).endures(recovery=5)
    kinds = {"members": (MemberSeen,), "APIs": (ApiSeen,)}.get(gone, (Invoked, Answered))
    calls = {event.op for _, event in story.history().each(Invoked) if gone in {event.workload, event.call.key}}
    told = [(entry.time, entry.event) for entry in story.history().entries]
    told = [each for each in told if not (isinstance(each[1], Wholeness) and each[1].when == "after")]
    told = [each for each in told if not isinstance(each[1], kinds) or getattr(each[1], "op", 0) not in calls | {0}]
    told = [each for each in told if gone != "members" or getattr(each[1], "observer", "") != "membership"]
    numbers = {event.op: number for number, event in enumerate((each for _, each in told if isinstance(each, Invoked)), 1)}  # without gaps
    told = [(at, dataclasses.replace(it, op=numbers[it.op]) if isinstance(it, Invoked | Answered) else it) for at, it in told]
    history = History.of_events(*told, (66.0, Wholeness("after", whole=False, seconds=12.9, missing=("something",))))
    assert checker.check(history).verdict is Verdict.UNKNOWN
    nodes = ("n1", "n2", "n3")
    called = ("web@1", "web@2")
    planned = Expected(
        workloads=(("register", ""), ("http", "web")), called=called, observers=(("placement", nodes), ("membership", nodes))
    )
    believed = dataclasses.replace(checker, expected=planned).check(history)  # type: ignore[type-var]
    assert believed.verdict is Verdict.BROKEN, believed.summary


def test_what_nobody_asked_is_not_held_against_the_cluster() -> None:
    """Where a call of ours is all that was missing, nobody knows; what was missing beside it convicts."""
    unasked = ("web@1 was not called", "nobody wrote")
    finding = judged(mended().whole(90, "after", unasked=unasked))
    assert finding.verdict is Verdict.UNKNOWN
    assert finding.summary == (
        "not whole again 30.0 s after the last heal: web@1 was not called; nobody wrote: what nobody asked is not known"
    )
    finding = judged(mended().whole(90, "after", "web@2 does not answer", unasked=unasked))
    assert (finding.verdict, finding.summary) == (Verdict.BROKEN, "not whole again 30.0 s after the last heal: web@2 does not answer")


def test_a_machine_that_gives_no_answer_is_not_held_against_the_cluster() -> None:
    """It came back, fell silent on the way that no fault cuts, and stayed so: the others cannot list it, and nobody knows why."""
    lists = "n3's API does not list n1"
    missing = ("n1 is unreachable", "n1's API gives no answer", lists)
    finding = judged(mended().node(61, "n1").unreachable(70, "n1").whole(219, "after", *missing), end=230)
    assert finding.verdict is Verdict.UNKNOWN
    assert "n1 could not be asked for 149.0 s of that" in finding.summary
    back = judged(mended().node(61, "n1").unreachable(70, "n1").node(75, "n1").node(219, "n1").whole(219, "after", lists), end=230)
    assert back.verdict is Verdict.BROKEN
    late = judged(mended().unreachable(61, "n1").node(95, "n1").whole(100, "after", lists), end=110)
    assert late.verdict is Verdict.UNKNOWN  # five seconds in which it answered are too few


def test_a_run_that_did_not_look_is_unknown() -> None:
    """An older history, or a harness that was killed."""
    assert judged(mended()).verdict is Verdict.UNKNOWN
    good = node_kill().history()
    assert Settled().check(good).verdict is Verdict.HELD
    assert Settled().check(History(good.entries[:-1])).verdict is Verdict.UNKNOWN


def test_a_cluster_that_was_not_whole_before_is_unknown() -> None:
    """What was never whole cannot be whole again; nothing was broken then, and nobody waited."""
    assert judged(Story().node(0, "n1").whole(5, "before", "no leader")).verdict is Verdict.UNKNOWN
    assert judged(mended().whole(5, "before", "no leader").whole(90, "after", "no leader")).verdict is Verdict.UNKNOWN


def test_whole_without_a_heal_counts_from_the_waiting() -> None:
    """A fault that does nothing has nothing to mend."""
    assert judged(Story().whole(2, "before").whole(20, "after", seconds=4)).summary == "whole 4.0 s after all was done"


def steady() -> Story:
    """Three nodes and two instances; n1 loses power at 10 s, web@1 moves to n3, and all is whole at 60 s."""
    story = Story().node(0, "n1", "web@1").node(0, "n2", "web@2").node(0, "n3").whole(2, "before")
    story.fault("node.kill", "n1", decided=10, in_force=10, healing=50, healed=53)
    return story.off(10, "n1").node(30, "n3", "web@1").node(53, "n1").whole(60, "after")


def test_an_instance_that_is_gone_after_all_was_whole_is_broken() -> None:
    """Whole was true, and is not any more."""
    assert judged(steady()).verdict is Verdict.HELD
    finding = judged(steady().node(70, "n3"))
    assert (finding.verdict, finding.summary) == (
        Verdict.BROKEN,
        "web@1 ran nowhere at the end, after the cluster had been whole at 60.0 s",
    )
    assert finding.evidence


def test_an_instance_that_only_moves_after_all_was_whole_is_held() -> None:
    """It runs at the end, wherever that is; so does one that was started again."""
    assert judged(steady().node(70, "n3").node(70.5, "n1", "web@1")).verdict is Verdict.HELD
    assert judged(steady().node(70, "n3").node(72, "n3", "web@1")).verdict is Verdict.HELD


def test_an_instance_that_nobody_could_look_for_at_the_end_is_unknown() -> None:
    """A node that gives no answer may run it."""
    finding = judged(steady().node(70, "n3").unreachable(71, "n2"))
    assert (finding.verdict, finding.summary) == (
        Verdict.UNKNOWN,
        "whether web@1 ran at the end is not known: n2 could not be asked",
    )


@pytest.mark.parametrize(("healed", "verdict"), [(58.0, Verdict.BROKEN), (53.0, Verdict.UNKNOWN)])
def test_a_node_that_is_off_after_all_was_whole_convicts_where_a_fault_had_taken_it(healed: float, verdict: Verdict) -> None:
    """Nothing ran on it that is missing now. One that nobody's fault takes away goes off by somebody else's doing."""
    story = Story().node(0, "n1").node(0, "n2").whole(2, "before").off(10.1, "n1").node(healed - 1, "n1").whole(60, "after").off(70, "n1")
    story.fault("node.kill", "n1", decided=10, in_force=10, healing=50, healed=healed, traits=Traits(Loss.NODE), lost="n1")
    finding = judged(story)
    assert (finding.verdict, "n1 was off at the end, after the cluster had been whole at 60.0 s" in finding.summary) == (verdict, True)
    assert verdict is Verdict.BROKEN or "no fault explains it: what is missing may be due to that" in finding.summary


@pytest.mark.parametrize(("ready", "verdict"), [(12.0, Verdict.UNKNOWN), (8.0, Verdict.BROKEN)])
def test_what_goes_on_a_machine_on_which_leaders_are_lost_by_its_load_convicts_no_cluster(ready: float, verdict: Verdict) -> None:
    """Once all had been whole."""
    assert judged(steady().node(70, "n3").pressed(0, 99, ready)).verdict is verdict


def test_what_was_scaled_away_is_not_among_those_that_are_missed() -> None:
    """web@2 was taken away by an action, and web@1 is gone."""
    story = steady().action(62, 63, "app.scale", effect=Effect(runs={"web": 1}), was={"web": 2}).node(64, "n2").node(70, "n3")
    finding = judged(story)
    assert (finding.verdict, finding.summary.startswith("web@1 ran nowhere at the end")) == (Verdict.BROKEN, True), finding.summary


def test_what_only_an_action_in_doubt_had_asked_for_is_not_known_to_be_missed() -> None:
    """web@3 was there when all was whole, and is not at the end."""
    story = steady().action(5, 6, "app.scale", effect=Effect(runs={"web": 3}), was={"web": 2}, outcome=Outcome.UNKNOWN, may_fail=True)
    finding = judged(story.node(55, "n1", "web@3").node(70, "n1"))
    assert finding.verdict is Verdict.UNKNOWN
    assert "web@3 ran nowhere at the end, and whether it was to is not known" in finding.summary


def test_whole_against_node_truth_is_broken() -> None:
    """It was said to be whole while one of two instances, which had run before the fault, ran nowhere, then and at the end."""
    story = Story().node(0, "n1", "web@1").node(0, "n2", "web@2").whole(2, "before").off(10.1, "n1").node(53, "n1").whole(60, "after")
    finding = judged(story.fault("node.kill", "n1", decided=10, in_force=10, healing=50, healed=53))
    assert (finding.verdict, "web@1 ran nowhere at the end" in finding.summary) == (Verdict.BROKEN, True)


def test_with_fewer_homes_than_instances_another_one_may_run() -> None:
    """Three of four ran before, and three run at the end, if not the same."""
    story = Story().node(0, "n1", "web@1").node(0, "n2", "web@2").node(0, "n3", "web@3").whole(2, "before")
    story.fault("node.kill", "n1", decided=10, in_force=10, healing=50, healed=53).off(10, "n1").node(53, "n1", "web@4")
    assert judged(story.whole(60, "after")).verdict is Verdict.HELD


def test_a_machine_that_fell_silent_just_before_the_end_of_the_wait_is_not_held_against_the_cluster() -> None:
    """However long it was asked before that; where it spoke once more, it is."""
    lists = "n2's API does not list n1"
    silent = judged(mended().node(61, "n1").unreachable(85, "n1").whole(90, "after", lists))
    assert (silent.verdict, "n1 could not be asked for 5.0 s of that" in silent.summary) == (Verdict.UNKNOWN, True), silent.summary
    assert judged(mended().node(61, "n1").unreachable(85, "n1").node(88, "n1").whole(90, "after", lists)).verdict is Verdict.BROKEN


def test_what_changed_just_when_all_was_whole_may_have_been_heard_of_later() -> None:
    """A node that was up a moment before, and is up again; one that was not for all of that moment was not whole."""
    assert judged(steady().unreachable(59.9, "n1").node(60.2, "n1")).verdict is Verdict.HELD
    finding = judged(steady().unreachable(57.0, "n1").node(60.2, "n1"))
    assert (finding.verdict, "when n1 was unreachable by node truth" in finding.summary) == (Verdict.UNKNOWN, True), finding.summary
