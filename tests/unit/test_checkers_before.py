"""What was so before anything was broken, which no fault had made: it convicts nobody, whoever asks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import pytest

from harness.checkers import Availability, Bystanders, Conflicts, LoadServed, Probed, QuorumSurvived, Rescheduled, Settled
from harness.checkers.expected import Expected
from harness.checkers.usual import stretches
from harness.core.traits import daemon
from harness.core.values import Call, Effect, Loss, Outcome, Phase, Traits, Verdict
from harness.history.bands import BESIDE
from harness.history.interfaces import Checker
from harness.history.intervals import Interval
from harness.history.loads import Tally
from harness.testing.histories import Story

HELD, BROKEN, UNKNOWN = Verdict.HELD, Verdict.BROKEN, Verdict.UNKNOWN
Often = Callable[[float], int]
"""How many of ten calls fail at a time."""
Failing = Callable[[float], bool]
"""Whether calls fail at a time."""


def begun() -> Story:
    """Return a cluster of which a fault takes nothing from 15 s to 70 s."""
    story = Story().phase(0.0, Phase.FORMING).phase(0.5, Phase.DEPLOYING).phase(1.0, Phase.STEADY).whole(3.0, "before")
    for node in ("n1", "n2", "n3"):
        story.node(0.5, node, f"web@{node[1]}")
    return story.fault("disk.slow", "n3", decided=15, in_force=15.1, healing=70, healed=71, traits=Traits(Loss.NOTHING, ("disk",)))


def called(often: Often) -> Story:
    """Call one instance ten times a second."""
    story = begun()
    for number in range(960):
        at = 2.0 + number / 10
        story.get(at, "web@1", Outcome.FAIL if number * 3 % 10 < often(at) else Outcome.OK, by="n1")
    return story


def asked(often: Often) -> Story:
    """Ask a question as often."""
    story = begun()
    for number in range(960):
        at = 2.0 + number / 10
        story.call(at, "probe", Call("ask", "q"), Outcome.FAIL if number * 3 % 10 < often(at) else Outcome.OK, by="n1")
    return story


def told(often: Often) -> Story:
    """Tell of as many calls, once a second."""
    lines = [(2.0 + second, 3.0 + second, Tally(10 - often(2.0 + second), often(2.0 + second))) for second in range(96)]
    return begun().told_by("load", 2.0, 98.5, lines)


@pytest.mark.parametrize(
    ("checker", "story"), [(Availability("web", 0.9, 30.0), called), (Probed("q", 0.9, 30.0), asked), (LoadServed("load", 0.9), told)]
)
@pytest.mark.parametrize(
    ("before", "since", "verdict"),
    [
        (0, 0, HELD),
        (0, 2, BROKEN),
        (5, 2, UNKNOWN),  # it fails by itself, and no more often than that
        (2, 2, UNKNOWN),
        (1, 5, BROKEN),  # far more often than before
        (5, 0, HELD),
    ],
)
def test_a_share_that_was_not_kept_before_anything_was_broken_is_broken_by_no_fault(
    checker: Checker, story: Callable[[Often], Story], before: int, since: int, verdict: Verdict
) -> None:
    """As many bad ones as were usual are not its doing."""
    history = story(lambda at: before if at < 15 else since).endures().phase(71.5, Phase.SETTLING).done(100).history()
    finding = checker.check(history)
    assert finding.verdict is verdict, finding.summary
    assert verdict is not UNKNOWN or "before the first fault was made" in finding.summary


@pytest.mark.parametrize(
    ("checker", "story"), [(Availability("web", 0.75, 30.0), called), (Probed("q", 0.75, 30.0), asked), (LoadServed("load", 0.75), told)]
)
@pytest.mark.parametrize(("before", "since", "verdict"), [(2, 4, BROKEN), (2, 2, HELD), (3, 4, UNKNOWN)])
def test_a_share_that_was_kept_before_anything_was_broken_is_broken_by_what_fails_since(
    checker: Checker, story: Callable[[Often], Story], before: int, since: int, verdict: Verdict
) -> None:
    """However much failed then, it was no more than what was promised allows."""
    finding = checker.check(story(lambda at: before if at < 15 else since).endures().phase(71.5, Phase.SETTLING).done(100).history())
    assert finding.verdict is verdict, finding.summary


def test_what_failed_before_the_cluster_was_whole_is_not_what_was_usual() -> None:
    """It was only about to be."""
    history = told(lambda at: 10 if at < 3 else 0 if at < 15 else 2).endures().phase(71.5, Phase.SETTLING).done(100).history()
    assert LoadServed("load", 0.9).check(history).verdict is BROKEN


def led(*moves: float, name: str = "disk.slow", kind: Traits | None = None) -> Story:
    """Let leadership move at these times, from n1 to n2 to n3 and on; the fault is on n2 from 60 s to 100 s."""
    story = Story().phase(1.0, Phase.STEADY).whole(3.0, "before").members(0.7, "n1 n2 n3", 2, "n1")
    traits = kind or Traits(Loss.NOTHING, ("disk",))
    story.fault(name, "n2", decided=60, in_force=60.1, healing=100, healed=101, traits=traits, lost="" if kind is None else "n2")
    for number, time in enumerate(moves):
        story.members(time, "n1 n2 n3" if kind is None or not 60 < time < 101 else "n1 n3", 3 + number, f"n{(number + 1) % 3 + 1}")
    return story.endures().phase(101.5, Phase.SETTLING).watched(139, "n1 n2 n3").done(140)


@pytest.mark.parametrize(
    ("story", "moved", "stayed"),
    [
        (led(70.0), HELD, BROKEN),
        (led(5.0, 13.0, 21.0, 29.0, 37.0, 45.0, 53.0, 61.0, 69.0, 77.0), UNKNOWN, UNKNOWN),
        (led(5.0, 30.0, 55.0, 80.0), UNKNOWN, UNKNOWN),
        (led(5.0, 70.0), HELD, BROKEN),  # long before, in more than as long a time
        (led(2.0, 70.0), HELD, BROKEN),  # before the cluster was whole
        (led(41.0, 62.0, name="node.kill", kind=Traits(Loss.NODE)), HELD, BROKEN),  # its leader was on the machine that is off
    ],
)
def test_leadership_that_moved_as_often_before_anything_was_broken_is_moved_by_no_fault(
    story: Story, moved: Verdict, stayed: Verdict
) -> None:
    """Neither is it held that the fault moves it, nor is it broken by that."""
    history = story.history()
    promises: tuple[tuple[Literal["moves", "stays"], Verdict], ...] = (("moves", moved), ("stays", stayed))
    for leader, verdict in promises:
        finding = QuorumSurvived(leader=leader).check(history)
        assert finding.verdict is verdict, finding.summary


@pytest.mark.parametrize("leader", ["moves", "stays"])
@pytest.mark.parametrize(
    ("times", "verdict"),
    [
        ([(5.0, 17.0), (35.0, 47.0), (65.0, 77.0)], UNKNOWN),
        ([(65.0, 77.0)], BROKEN),
        ([(5.0, 17.0), (62.0, 90.0)], BROKEN),  # far longer than before
        ([(5.0, 10.0), (65.0, 77.0)], BROKEN),  # it was no longer than an election takes
    ],
)
def test_nobody_led_by_no_faults_doing_for_as_long_as_before_anything_was_broken(
    leader: Literal["moves", "stays"], times: list[tuple[float, float]], verdict: Verdict
) -> None:
    """For longer than an election takes, again and again."""
    story = led()
    for early, late in times:
        story.members(early, "n1 n2 n3", 2, None).members(late, "n1 n2 n3", 2, "n1")
    finding = QuorumSurvived(leader=leader).check(story.history())
    assert finding.verdict is verdict, finding.summary


@pytest.mark.parametrize(("asked", "verdict"), [(True, UNKNOWN), (False, BROKEN)])
def test_that_nobody_could_ask_the_members_before_a_fault_does_not_show_that_nobody_led(verdict: Verdict, *, asked: bool) -> None:
    """As it shows nothing against the cluster since."""
    story = led()
    for node in ("n1", "n2", "n3"):
        if asked:
            story.member(30, node, 2, None)
        else:
            story.no_member(30, node)
    story.members(43, "n1 n2 n3", 2, "n1").members(65, "n1 n2 n3", 2, None).members(77, "n1 n2 n3", 2, "n1")
    finding = QuorumSurvived(leader="stays").check(story.history())
    assert finding.verdict is verdict, finding.summary


def written(failing: Callable[[float], bool], *, lost: str = "n1", until: float = 138.0) -> Story:
    """Write twice a second, at each member in turn that is not lost, under a fault that takes the etcd of some from 60 s to 100 s, or a disk."""
    story = Story().phase(1.0, Phase.STEADY).whole(3.0, "before").members(0.7, "n1 n2 n3", 2, "n3")
    kind = daemon("etcd", in_place=False) if lost else Traits(Loss.NOTHING, ("disk",))
    story.fault("process.kill", lost or "n3", decided=60, in_force=60.1, healing=100, healed=101, traits=kind, lost=lost)
    left = [node for node in ("n1", "n2", "n3") if node not in lost.split() or len(lost.split()) > 1]
    for number in range(round((until - 3.0) * 2)):
        at = 3.0 + number / 2
        story.write(at, f"k{number}", "v", Outcome.FAIL if failing(at) else Outcome.OK, by=left[number % len(left)])
    return story.endures().phase(101.5, Phase.SETTLING).watched(139, "n1 n2 n3").done(140)


@pytest.mark.parametrize(
    ("failing", "verdict"),
    [
        (lambda at: at % 30 >= 18, UNKNOWN),  # for 12 s again and again, all along
        (lambda at: at > 60 and at % 30 >= 18, BROKEN),
        (lambda at: 20 <= at < 32 or 75 <= at < 98, BROKEN),  # far longer than before
        (lambda at: 20 <= at < 25 or 75 <= at < 87, BROKEN),  # it was no longer than an election takes
        (lambda at: 20 <= at < 32, HELD),
    ],
)
def test_writes_that_paused_for_as_long_before_anything_was_broken_are_paused_by_no_fault(
    failing: Callable[[float], bool], verdict: Verdict
) -> None:
    """For longer than an election takes, whatever there was to elect."""
    finding = QuorumSurvived(writes="go on").check(written(failing).history())
    assert finding.verdict is verdict, finding.summary


@pytest.mark.parametrize(("since", "verdict"), [(60.0, HELD), (59.5, HELD), (58.5, UNKNOWN), (55.0, UNKNOWN)])
def test_writes_that_a_majority_refused_before_a_fault_were_stopped_by_no_fault(since: float, verdict: Verdict) -> None:
    """However shortly before; one that one member refused shows nothing of the others."""
    finding = QuorumSurvived(writes="stop").check(written(lambda at: since <= at < 101, lost="n1 n2").history())
    assert finding.verdict is verdict, finding.summary


@pytest.mark.parametrize(("since", "verdict"), [(59.5, HELD), (59.0, UNKNOWN)])
def test_one_write_that_the_only_member_refused_is_no_sign_that_writes_had_stopped(since: float, verdict: Verdict) -> None:
    """Two of them in a row are."""
    story = Story().phase(1.0, Phase.STEADY).whole(3.0, "before").member(0.7, "n1", 2, "n1")
    kind = daemon("etcd", in_place=False)
    story.fault("process.kill", "n1", decided=60, in_force=60.1, healing=100, healed=101, traits=kind, lost="n1")
    for number in range(270):
        at = 3.0 + number / 2
        story.write(at, f"k{number}", "v", Outcome.FAIL if since <= at < 101 else Outcome.OK, by="n1")
    finding = QuorumSurvived(writes="stop").check(story.endures().phase(101.5, Phase.SETTLING).watched(139, "n1").done(140).history())
    assert finding.verdict is verdict, finding.summary


@pytest.mark.parametrize(("writes", "lost"), [("go on", "n1"), ("stop", "n1 n2"), ("slow", "")])
@pytest.mark.parametrize(("since", "verdict"), [(60.0, BROKEN), (58.0, UNKNOWN), (50.0, UNKNOWN)])
def test_writes_that_had_stopped_before_a_fault_fail_to_go_on_and_to_return_by_no_fault(
    writes: Literal["go on", "stop", "slow"], lost: str, since: float, verdict: Verdict
) -> None:
    """They never come again, whatever was promised of them."""
    finding = QuorumSurvived(writes=writes).check(written(lambda at: at >= since, lost=lost).history())
    assert finding.verdict is verdict, finding.summary


@pytest.mark.parametrize(
    ("writes", "failing", "verdict"),
    [
        ("go on", lambda at: 59 <= at < 60 or 75 <= at < 98, BROKEN),
        ("go on", lambda at: 59 <= at < 98, UNKNOWN),
        ("go on", lambda at: 59 <= at < 83, UNKNOWN),
        ("slow", lambda at: 59 <= at < 60 or at >= 75, BROKEN),
        ("slow", lambda at: at >= 59, UNKNOWN),
    ],
)
def test_writes_that_were_back_when_a_fault_had_come_stop_anew_by_its_doing(
    writes: Literal["go on", "slow"], failing: Failing, verdict: Verdict
) -> None:
    """All members that are left had refused one just before it."""
    finding = QuorumSurvived(writes=writes).check(written(failing, lost="n1" if writes == "go on" else "").history())
    assert finding.verdict is verdict, finding.summary


@pytest.mark.parametrize(
    ("tried", "acknowledged", "verdict"),
    [(20, 20, HELD), (5, 5, HELD), (4, 4, UNKNOWN), (1, 1, UNKNOWN), (20, 1, HELD)],
)
def test_few_slow_writes_are_no_evidence_of_slowness(tried: int, acknowledged: int, verdict: Verdict) -> None:
    """As many are needed to hold it as to break it; what was refused meanwhile counts among them."""
    story = written(lambda at: False, lost="", until=60.0)
    for number in range(tried):
        story.write(63.0 + number, f"s{number}", "v", Outcome.OK if number < acknowledged else Outcome.FAIL, by="n1", took=0.2)
    finding = QuorumSurvived(writes="slow").check(story.write(105.0, "last", "v", by="n1").history())
    assert finding.verdict is verdict, finding.summary


PROMISES: dict[str, tuple[Callable[[float, float], Checker], Callable[[Story, Failing], Story]]] = {}
"""Whoever judges how long there was no good answer, by a share and a gap that are promised, and how such answers are told."""

NAMES = Expected(named=(("f1", (1,)), ("f2", (2,))))


def faulted(*, two: bool = False) -> Story:
    """Return a cluster of which a fault takes nothing from 60 s to 80 s; where there are `two`, another one before, from 30 s to 40 s."""
    story = Story().phase(0.5, Phase.DEPLOYING).phase(1.0, Phase.STEADY).whole(3.0, "before")
    for node in ("n1", "n2", "n3"):
        story.node(0.5, node, f"web@{node[1]}")
    kind = Traits(Loss.NOTHING, ("disk",))
    if two:
        story.fault("disk.slow", "n3", decided=30, in_force=30.1, healing=40, healed=41, traits=kind)
    story.fault("disk.slow", "n2", decided=60, in_force=60.1, healing=80, healed=81, traits=kind, number=2 if two else 1)
    return story.endures().phase(81.5, Phase.SETTLING).done(120)


def _called(story: Story, failing: Failing) -> Story:
    for number in range(464):
        at = 2.0 + number / 4
        story.get(at, "web@1", Outcome.FAIL if failing(at) else Outcome.OK, by="n1")
    return story


def _asked(story: Story, failing: Failing) -> Story:
    for number in range(464):
        at = 2.0 + number / 4
        story.call(at, "probe", Call("ask", "q"), Outcome.FAIL if failing(at) else Outcome.OK, by="n1")
    return story


def _told(story: Story, failing: Failing) -> Story:
    bad = [sum(failing(2.0 + second + tenth / 10) for tenth in range(10)) for second in range(116)]
    return story.told_by("load", 2.0, 118.5, [(2.0 + at, 3.0 + at, Tally(10 - count, count)) for at, count in enumerate(bad)])


PROMISES["availability"] = lambda share, gap: Availability("web", share, gap), _called
PROMISES["probe"] = lambda share, gap: Probed("q", share, gap), _asked
PROMISES["command"] = lambda share, gap: LoadServed("load", share, gap), _told


@pytest.mark.parametrize(
    ("one", "other", "verdict"),
    [
        (lambda _: False, lambda at: at % 4 < 2, UNKNOWN),
        (lambda at: 65 <= at < 80, lambda at: 20 <= at < 40, BROKEN),
        (lambda at: at % 4 < 2, lambda at: at % 4 < 2, UNKNOWN),
    ],
)
def test_what_one_instance_failed_before_anything_was_broken_excuses_no_other(one: Failing, other: Failing, verdict: Verdict) -> None:
    """That share of all calls is no better before than since."""
    story = _called(faulted(), one)
    for number in range(464):
        at = 2.05 + number / 4
        story.get(at, "web@2", Outcome.FAIL if other(at) else Outcome.OK, by="n2")
    finding = Availability("web", 0.9, 70.0).check(story.history())
    assert finding.verdict is verdict, finding.summary


DURING: dict[str, Checker] = {
    "availability": Availability("web", 0.9, 70.0, expected=NAMES, during=("f1",)),
    "probe": Probed("q", 0.9, 70.0, expected=NAMES, during=("f1",)),
    "command": LoadServed("load", 0.9, expected=NAMES, during=("f1",)),
}
"""A share that each of them promises of the time of one fault."""


@pytest.mark.parametrize("name", PROMISES)
@pytest.mark.parametrize(
    ("failing", "verdict"),
    [
        (lambda at: 10 <= at % 25 < 18, UNKNOWN),  # for eight seconds again and again, all along: twice before, and once since
        (lambda at: 60 <= at < 68, BROKEN),
        (lambda at: 10 <= at % 25 < 14 + 4 * (at >= 60), BROKEN),  # for half as long
    ],
)
def test_a_share_that_was_as_bad_in_as_long_a_time_before_anything_was_broken_is_broken_by_no_fault(
    name: str, failing: Failing, verdict: Verdict
) -> None:
    """The fault is there for 20 s, and before it there were 57 s: in the worst 20 of them as many calls failed, in all of them a smaller share."""
    finding = DURING[name].check(PROMISES[name][1](faulted(), failing).history())
    assert finding.verdict is verdict, finding.summary
    assert verdict is not UNKNOWN or "before the first fault was made" in finding.summary


@pytest.mark.parametrize("name", PROMISES)
@pytest.mark.parametrize(
    ("failing", "verdict"),
    [
        (lambda at: any(each <= at < each + 4 for each in (35, 65, 95)), UNKNOWN),  # once before, and twice since, in hardly more time
        (lambda at: any(each <= at < each + 4 for each in (65, 95)), BROKEN),
        (lambda at: 35 <= at < 39 or any(each <= at < each + 8 for each in (65, 95)), BROKEN),  # twice as long each time
        (lambda at: 15 <= at < 17 or 35 <= at < 37 or 65 <= at < 79, BROKEN),
    ],
)
def test_what_failed_once_more_than_in_a_shorter_time_before_is_broken_by_no_fault(name: str, failing: Failing, verdict: Verdict) -> None:
    """Chance has it in one time and not in the other; before the fault there were 57 s, and since then there are a little more."""
    finding = PROMISES[name][0](0.95, 70.0).check(PROMISES[name][1](faulted(), failing).history())
    assert finding.verdict is verdict, finding.summary


@pytest.mark.parametrize(("failing", "verdict"), [(2, UNKNOWN), (0, BROKEN)])
def test_a_share_is_asked_of_all_the_time_before_where_as_long_a_one_has_too_few_calls(failing: int, verdict: Verdict) -> None:
    """So many of every ten answers were no then, of 17 in 20 s, and two of every ten are in the time of the fault."""
    story, at = faulted(), 3.0
    while at < 110.0:
        number = round(at * 10)
        bad = number // 10 % 10 < (failing if at < 60 else 2)
        story.call(at, "probe", Call("ask", "q"), Outcome.FAIL if bad else Outcome.OK, by="n1")
        at += 1.2 if at < 57 else 0.9
    finding = Probed("q", 0.9, 70.0, expected=NAMES, during=("f1",)).check(story.history())
    assert finding.verdict is verdict, finding.summary


def test_so_many_stretches_are_looked_at_whatever_of_how_short_a_time() -> None:
    """A fault may be in force for a moment, and be found to be no more."""
    assert len(stretches(Interval(3.0, 600.0), 1e-6)) < 500
    assert stretches(Interval(0.0, 10.0), 0.0) == stretches(Interval(0.0, 10.0), 20.0) == [Interval(0.0, 10.0)]


@pytest.mark.parametrize("name", PROMISES)
@pytest.mark.parametrize(
    ("failing", "verdict"),
    [
        (lambda at: at % 12 >= 6, UNKNOWN),  # for six seconds again and again, all along
        (lambda at: at > 60 and at % 12 >= 6, BROKEN),
        (lambda at: 5 <= at < 25 or 65 <= at < 75, UNKNOWN),
        (lambda at: 5 <= at < 12 or 65 <= at < 90, BROKEN),  # far longer than before
        (lambda at: 5 <= at < 7 or 65 <= at < 75, BROKEN),  # no longer than is allowed
        (lambda at: 5 <= at < 7 or 50 <= at < 52 or 65 <= at < 85, BROKEN),  # twice, and long one after the other
        (lambda at: 5 <= at < 25, HELD),
    ],
)
def test_a_gap_that_was_as_long_before_anything_was_broken_is_made_by_no_fault(name: str, failing: Failing, verdict: Verdict) -> None:
    """Whoever asks; what is longer than that by more than is allowed is."""
    promise, told_as = PROMISES[name]
    finding = promise(0.01, 5.0).check(told_as(faulted(), failing).history())
    assert finding.verdict is verdict, finding.summary


@pytest.mark.parametrize("name", PROMISES)
@pytest.mark.parametrize(("share", "gap"), [(0.9, 70.0), (0.01, 5.0)])
def test_what_was_gone_for_a_while_before_anything_was_broken_is_no_faults_doing(name: str, share: float, gap: float) -> None:
    """Whoever asks. What went only then is."""
    promise, told_as = PROMISES[name]
    before, since = (
        promise(share, gap).check(told_as(faulted(), lambda at, first=first: first <= at < 110).history())  # type: ignore[misc]
        for first in (50.0, 60.5)
    )
    assert before.verdict is UNKNOWN, before.summary
    assert since.verdict is BROKEN, since.summary


@pytest.mark.parametrize(("back", "verdict"), [(110.0, UNKNOWN), (45.0, BROKEN)])
def test_who_was_gone_before_anything_was_broken_convicts_only_once_it_was_back(back: float, verdict: Verdict) -> None:
    """Whatever fault's time is judged: that another fault took it before convicts, and that it had been gone before both does not."""
    for share, gap in ((0.9, 70.0), (0.01, 5.0)):
        story = _called(faulted(two=True), lambda at: 20 <= at < back or 55 <= at < 110)
        finding = Availability("web", share, gap, NAMES, ("f2",)).check(story.history())
        assert finding.verdict is verdict, finding.summary


@pytest.mark.parametrize(("half_made", "verdict"), [(49.0, BROKEN), (None, UNKNOWN)])
def test_nothing_is_usual_that_came_after_a_fault_that_was_made_half(half_made: float | None, verdict: Verdict) -> None:
    """What fails from 50 s on may be its doing: then something had been broken."""
    for share, gap in ((0.9, 70.0), (0.01, 5.0)):
        story = _called(faulted(), lambda at: 50 <= at < 110)
        if half_made is not None:
            story.fault("net.partition", "n1", decided=half_made, failed=half_made + 2, number=3, traits=Traits(Loss.LINK))
        finding = Availability("web", share, gap).check(story.history())
        assert finding.verdict is verdict, finding.summary


def test_a_share_is_judged_without_those_who_were_gone_before_where_it_is_kept_by_the_others() -> None:
    """One of two was gone from 50 s on: with it half of the calls go badly. What the other lacks breaks it all the same."""
    for failing, verdict in ((lambda _: False, UNKNOWN), (lambda at: 70 <= at < 90, BROKEN)):
        story = _called(faulted(), failing)
        for number in range(464):
            at = 2.05 + number / 4
            story.get(at, "web@2", Outcome.FAIL if 50 <= at < 110 else Outcome.OK, by="n2")
        finding = Availability("web", 0.9, 70.0).check(story.history())
        assert finding.verdict is verdict, finding.summary


@pytest.mark.parametrize(
    ("tally", "verdict"), [(Tally(5, 100), UNKNOWN), (Tally(500, 0), BROKEN), (Tally(450, 50), BROKEN), (Tally(0, 0), UNKNOWN)]
)
def test_a_line_that_goes_on_from_long_before_a_fault_says_little_of_just_before(tally: Tally, verdict: Verdict) -> None:
    """Most of what failed in it may have failed by then."""
    lines = [(2.0 + second, 3.0 + second, Tally(10, 0)) for second in range(8)]
    lines += [(10.0, 65.0, tally), *((65.0 + second, 66.0 + second, Tally(0, 10)) for second in range(15))]
    lines += [(80.0 + second, 81.0 + second, Tally(10, 0)) for second in range(38)]
    finding = LoadServed("load", gap=5.0).check(faulted().told_by("load", 2.0, 118.5, lines).history())
    assert finding.verdict is verdict, finding.summary


def crashing(story: Story, instance: str, node: str, since: float, until: float) -> Story:
    """Let an instance stop every ten seconds, for three, and start again."""
    for number in range(round((until - since) / 10)):
        story.node(since + 10 * number, node).node(since + 10 * number + 3, node, instance)
    return story


@pytest.mark.parametrize(
    ("before", "elsewhere", "verdict"),
    [
        (False, False, BROKEN),
        (True, False, UNKNOWN),
        (True, True, BROKEN),  # it had not gone to another node by itself
    ],
)
def test_what_stopped_over_and_over_before_anything_was_broken_is_stopped_by_no_fault(
    verdict: Verdict, *, before: bool, elsewhere: bool
) -> None:
    """It stays on its node, which no fault hits."""
    story = Story().phase(1.0, Phase.STEADY).whole(3.0, "before").node(0.5, "n1", "web@1").node(0.5, "n2").node(0.5, "n3")
    story.fault("disk.slow", "n3", decided=60, in_force=60.1, healing=80, healed=81, traits=Traits(Loss.NOTHING, ("disk",)))
    if before:
        crashing(story, "web@1", "n1", 15, 55)
    if elsewhere:
        story.node(65, "n1").node(66, "n2", "web@1")
    else:
        crashing(story, "web@1", "n1", 65, 75)
    finding = Bystanders().check(story.endures().phase(81.5, Phase.SETTLING).watched(119, "n1 n2 n3").done(120).history())
    assert finding.verdict is verdict, finding.summary


@pytest.mark.parametrize(("stopped", "verdict"), [(10.0, UNKNOWN), (25.0, BROKEN)])
def test_what_stopped_in_any_time_in_which_nothing_was_done_is_stopped_by_no_fault(stopped: float, verdict: Verdict) -> None:
    """An action at 20 s leaves two such times, and the longer one is later; until 37.5 s what stops may be its doing."""
    story = Story().phase(1.0, Phase.STEADY).whole(3.0, "before").node(0.5, "n1", "web@1").node(0.5, "n2").node(0.5, "n3")
    story.fault("disk.slow", "n3", decided=60, in_force=60.1, healing=80, healed=81, traits=Traits(Loss.NOTHING, ("disk",)))
    story.action(20, 21, "app.restart", effect=Effect(renews=("web",)))
    story.node(stopped, "n1").node(stopped + 3, "n1", "web@1").node(65, "n1").node(68, "n1", "web@1")
    finding = Bystanders().check(story.endures().phase(81.5, Phase.SETTLING).watched(119, "n1 n2 n3").done(120).history())
    assert finding.verdict is verdict, finding.summary


@pytest.mark.parametrize(
    ("before", "comes", "since", "verdict"),
    [
        (False, 80, True, BROKEN),
        (True, 80, True, UNKNOWN),
        (True, 80, False, HELD),
        (True, 95, True, BROKEN),  # it came too late, however long it stayed
    ],
)
def test_work_that_stopped_over_and_over_before_anything_was_broken_is_not_kept_down_by_the_fault(
    comes: float, verdict: Verdict, *, before: bool, since: bool
) -> None:
    """Its node loses power at 60 s; where it was in time, that it does not stay is as likely its own doing."""
    story = Story().phase(1.0, Phase.STEADY).whole(3.0, "before").node(0.5, "n1", "web@1").node(0.5, "n2", "web@2").node(0.5, "n3")
    story.fault("node.kill", "n2", decided=60, in_force=60.05, healing=120, healed=121).off(60.04, "n2").node(121, "n2")
    if before:
        crashing(story, "web@2", "n2", 5, 55)
    story.node(comes, "n3", "web@2")
    if since:
        crashing(story, "web@2", "n3", comes + 7, 120)
    story.endures().phase(121.5, Phase.SETTLING).watched(149, "n1 n3").watched(60, "n2").watched(149, "n2", start=122)
    finding = Rescheduled("web", within=30).check(story.done(150).history())
    assert finding.verdict is verdict, finding.summary


@pytest.mark.parametrize(
    ("before", "gone", "verdict"),
    [
        (0, 74, BROKEN),
        (1, 2, UNKNOWN),
        (1, 74, BROKEN),  # then it came back
        (60, 74, UNKNOWN),
    ],
)
def test_one_stop_before_anything_was_broken_does_not_explain_that_a_bystander_never_comes_back(
    before: float, gone: float, verdict: Verdict
) -> None:
    """It may stop by itself, and be gone for as long as then and a recovery."""
    story = Story().phase(1.0, Phase.STEADY).whole(3.0, "before").node(0.5, "n1", "web@1").node(0.5, "n2").node(0.5, "n3")
    story.fault("disk.slow", "n3", decided=80, in_force=80.1, healing=120, healed=121, traits=Traits(Loss.NOTHING, ("disk",)))
    if before:
        story.node(10, "n1").node(10 + before, "n1", "web@1")
    story.node(85, "n1").node(85 + gone, "n1", "web@1")
    finding = Bystanders().check(story.endures().phase(121.5, Phase.SETTLING).watched(169, "n1 n2 n3").done(170).history())
    assert finding.verdict is verdict, finding.summary


@pytest.mark.parametrize(("restarted", "gone", "verdict"), [(False, 5, BROKEN), (True, 5, UNKNOWN), (True, 80, BROKEN)])
def test_one_stop_before_anything_was_broken_does_not_explain_that_lost_work_stays_away(
    gone: float, verdict: Verdict, *, restarted: bool
) -> None:
    """It was back in time, and stopped again, for no longer than before and its limit together, or for good."""
    story = Story().phase(1.0, Phase.STEADY).whole(3.0, "before").node(0.5, "n1", "web@1").node(0.5, "n2", "web@2").node(0.5, "n3")
    story.fault("node.kill", "n2", decided=60, in_force=60.05, healing=160, healed=161).off(60.04, "n2").node(161, "n2")
    if restarted:
        story.node(20, "n2").node(21, "n2", "web@2")
    story.node(70, "n3", "web@2").node(80, "n3").node(80 + gone, "n3", "web@2")
    if gone < 80:
        crashing(story, "web@2", "n3", 100, 160)
    story.endures().phase(161.5, Phase.SETTLING).watched(199, "n1 n3").watched(60, "n2").watched(199, "n2", start=162)
    finding = Rescheduled("web", within=30).check(story.done(200).history())
    assert finding.verdict is verdict, finding.summary


@pytest.mark.parametrize(
    ("late", "verdict"),
    [
        (lambda at: 60 <= at < 72, HELD),
        (lambda at: at % 30 < 12, UNKNOWN),  # slow for 12 s again and again, all along
        (lambda at: at < 3 or 60 <= at < 72, HELD),  # before the cluster was whole
        (lambda at: 20 <= at < 21.5 or 60 <= at < 72, HELD),  # a few of them
        (lambda at: 20 <= at < 23 or 60 <= at < 72, HELD),  # for no longer than an election may take
    ],
)
def test_writes_that_were_as_slow_for_a_while_before_anything_was_broken_are_slowed_by_no_fault(late: Failing, verdict: Verdict) -> None:
    """However fast they were just before it, and most of the time."""
    story = Story().phase(1.0, Phase.STEADY).whole(3.0, "before").members(0.7, "n1 n2 n3", 2, "n1")
    story.fault("disk.slow", "n3", decided=58.9, in_force=59, healing=72, healed=73, traits=Traits(Loss.NOTHING, ("disk",)))
    for number in range(180):
        at = 0.8 + number / 2
        story.write(at, f"k{number}", "v", by="n1", took=0.2 if late(at) else 0.01)
    finding = QuorumSurvived(writes="slow").check(story.endures().phase(73.5, Phase.SETTLING).watched(99, "n1 n2 n3").done(100).history())
    assert finding.verdict is verdict, finding.summary


@pytest.mark.parametrize("name", PROMISES)
def test_what_an_action_did_before_a_fault_is_not_what_is_usual(name: str) -> None:
    """A gap that the run made itself, by a restart, excuses none of a fault."""
    promise, told_as = PROMISES[name]
    story = told_as(faulted().action(19, 25, "app.restart", effect=Effect(renews=("web",))), lambda at: 20 <= at < 32 or 65 <= at < 75)
    finding = promise(0.01, 5.0).check(story.history())
    assert finding.verdict is BROKEN, finding.summary


@pytest.mark.parametrize("leader", ["moves", "stays"])
def test_leadership_that_an_action_moved_before_a_fault_had_not_moved_by_itself(leader: Literal["moves", "stays"]) -> None:
    """Its daemon was stopped on purpose."""
    story = led(41.0, 70.0).action(40, 42, "service.stop", "n1", effect=Effect(stops=("etcd",)))
    story.action(44, 45, "service.start", "n1", effect=Effect(starts=("etcd",)), number=2)
    finding = QuorumSurvived(leader=leader).check(story.history())
    assert finding.verdict is {"moves": HELD, "stays": BROKEN}[leader], finding.summary


@pytest.mark.parametrize(("before", "verdict"), [(0.2, UNKNOWN), (0.06, HELD)])
def test_writes_that_were_far_less_slow_before_anything_was_broken_are_slowed_by_the_fault(before: float, verdict: Verdict) -> None:
    """They took 0.01 s, for a while longer, and 0.5 s under the fault."""
    story = Story().phase(1.0, Phase.STEADY).whole(3.0, "before").members(0.7, "n1 n2 n3", 2, "n1")
    story.fault("disk.slow", "n3", decided=58.9, in_force=59, healing=72, healed=73, traits=Traits(Loss.NOTHING, ("disk",)))
    for number in range(180):
        at = 0.8 + number / 2
        story.write(at, f"k{number}", "v", by="n1", took=0.5 if 59 <= at < 72 else before if 10 <= at < 22 else 0.01)
    finding = QuorumSurvived(writes="slow").check(story.endures().phase(73.5, Phase.SETTLING).watched(99, "n1 n2 n3").done(100).history())
    assert finding.verdict is verdict, finding.summary


DEPLOYED = Effect(runs={"other": 1})


@pytest.mark.parametrize("name", PROMISES)
@pytest.mark.parametrize(("failing", "verdict"), [(lambda at: at % 12 >= 6, UNKNOWN), (lambda at: at > 60 and at % 12 >= 6, BROKEN)])
def test_what_was_so_long_after_an_action_is_usual_all_the_same(name: str, failing: Failing, verdict: Verdict) -> None:
    """Another app was deployed 55 s before the fault: what goes on since then, over and over, is neither's doing."""
    promise, told_as = PROMISES[name]
    for share, gap in ((0.9, 70.0), (0.01, 5.0)):
        story = told_as(faulted().action(4, 5, "app.deploy", effect=DEPLOYED, was={"other": 0}), failing)
        finding = promise(share, gap).check(story.history())
        assert finding.verdict is verdict, finding.summary


@pytest.mark.parametrize("name", PROMISES)
@pytest.mark.parametrize(("until", "verdict"), [(40.0, BROKEN), (56.0, UNKNOWN)])
def test_a_gap_that_an_action_made_is_usual_only_in_what_lasts_beyond_a_recovery(name: str, until: float, verdict: Verdict) -> None:
    """It begins with a command of the user's own at 19 s; a recovery takes 16.5 s."""
    promise, told_as = PROMISES[name]
    story = told_as(faulted().action(18, 19, "command", effect=Effect(disturbs=True)), lambda at: 20 <= at < until or 65 <= at < 85)
    finding = promise(0.01, 5.0).check(story.history())
    assert finding.verdict is verdict, finding.summary


def test_leadership_that_moves_by_itself_long_after_an_action_is_moved_by_no_fault() -> None:
    """As without any."""
    story = led(*range(5, 130, 8)).action(4, 5, "app.deploy", effect=DEPLOYED, was={"other": 0})
    for leader in ("moves", "stays"):
        finding = QuorumSurvived(leader=leader).check(story.history())
        assert finding.verdict is UNKNOWN, finding.summary


def test_what_was_so_while_an_app_was_not_to_run_is_not_usual() -> None:
    """It was removed for half a minute, and asked for again: that nobody answered then excuses no gap."""
    story = faulted().action(10, 11, "app.remove", effect=Effect(runs={"web": 0}), was={"web": 3})
    story.action(40, 41, "app.deploy", effect=Effect(runs={"web": 3}), was={"web": 0}, number=2)
    finding = Availability("web", 0.01, 5.0).check(_called(story, lambda at: 10 <= at < 41 or 65 <= at < 85).history())
    assert finding.verdict is BROKEN, finding.summary


def test_a_gap_is_told_by_the_outage_that_counts() -> None:
    """The longest one had begun before the fault, and is left out."""
    finding = Availability("web", 0.01, 5.0).check(_called(faulted(), lambda at: 56 <= at < 75 or 85 <= at < 100).history())
    assert finding.verdict is BROKEN
    assert "for 15.2 s from 84.8 s" in finding.summary


@pytest.mark.parametrize(("other", "verdict"), [("", HELD), ("db@1", HELD), ("web@1", UNKNOWN)])
def test_a_double_run_of_another_app_before_anything_was_broken_takes_nothing_from_this_ones(other: str, verdict: Verdict) -> None:
    """Only one of its own shows that it comes by itself."""
    story = Story().phase(1.0, Phase.STEADY).whole(3.0, "before").node(0.5, "n1", "web@1").node(0.5, "n2", "db@1").node(0.5, "n3")
    if other:
        story.node(20, "n3", other).node(22, "n3")
    story.fault("net.partition", "n1", decided=60, in_force=60.1, healing=100, healed=101, traits=Traits(Loss.LINK), lost="n1")
    story.node(80, "n3", "web@1").node(102, "n3").endures().phase(102.5, Phase.SETTLING).watched(139, "n1 n2 n3")
    finding = Conflicts(expect_double_run=True).check(story.done(140).history())
    assert finding.verdict is verdict, finding.summary


LASTING: dict[str, Callable[[Story], Story]] = {
    "scaled down": lambda story: story.action(4, 5, "app.scale", effect=Effect(runs={"other": 1}), was={"other": 3}),
    "removed": lambda story: story.action(4, 5, "app.remove", effect=Effect(runs={"other": 0}), was={"other": 3}),
    "drained": lambda story: story.action(4, 5, "node.drain", "n3", effect=Effect(moves=True)),
    "stopped": lambda story: story.action(4, 5, "service.stop", "n3", effect=Effect(stops=("docker",))),
    "in doubt": lambda story: story.action(4, 5, "app.restart", effect=Effect(renews=("other",)), outcome=Outcome.UNKNOWN),
}
"""Actions that something is left of for the rest of a run."""


@pytest.mark.parametrize("lasting", LASTING)
def test_what_is_so_long_after_an_action_is_usual_whatever_of_that_action_lasts(lasting: str) -> None:
    """What goes on by itself since then is neither its doing nor the fault's: leadership moves every 8 s, calls fail for 6 s of every 12."""
    for leader in ("moves", "stays"):
        finding = QuorumSurvived(leader=leader).check(LASTING[lasting](led(*range(5, 130, 8))).history())
        assert finding.verdict is UNKNOWN, finding.summary
    for promise, told_as in PROMISES.values():
        for share, gap in ((0.9, 70.0), (0.01, 5.0)):
            finding = promise(share, gap).check(LASTING[lasting](told_as(faulted(), lambda at: at % 12 >= 6)).history())
            assert finding.verdict is UNKNOWN, finding.summary


@pytest.mark.parametrize(("again", "verdict"), [(40.0, BROKEN), (90.0, UNKNOWN)])
def test_what_an_action_took_away_is_usual_where_it_was_so_until_the_fault(again: float, verdict: Verdict) -> None:
    """A daemon was stopped at 4 s: calls failed while it was, or from long after that on, until the fault and beyond."""
    stopped, started = Effect(stops=("docker",)), Effect(starts=("docker",))
    story = _called(faulted(), lambda at: 25 <= at < 38 or 65 <= at < 82)
    story.action(4, 5, "service.stop", "n3", effect=stopped).action(again, again + 1, "service.start", "n3", effect=started, number=2)
    finding = Availability("web", 0.01, 5.0).check(story.history())
    assert finding.verdict is verdict, finding.summary


@pytest.mark.parametrize(
    ("effect", "leads", "serves"),
    [
        (Effect(runs={"other": 1}), UNKNOWN, UNKNOWN),
        (Effect(renews=("other",), alters=("other",)), UNKNOWN, UNKNOWN),
        (Effect(renews=("web",)), UNKNOWN, BROKEN),
        (Effect(disturbs=True), BROKEN, BROKEN),
    ],
)
def test_an_action_takes_nothing_away_from_what_was_usual_of_what_it_cannot_touch(effect: Effect, leads: Verdict, serves: Verdict) -> None:
    """It is done twice, and leaves no more than a second between its recoveries in which nothing was done."""

    def done(story: Story) -> Story:
        story.action(4, 21, "acme.done", effect=effect, was={"other": 0})
        return story.action(39, 42, "acme.done", effect=effect, was={"other": 1}, number=2)

    finding = QuorumSurvived(leader="stays").check(done(led(*range(5, 130, 8))).history())
    assert finding.verdict is leads, finding.summary
    finding = Availability("web", 0.01, 5.0).check(done(_called(faulted(), lambda at: at % 12 >= 6)).history())
    assert finding.verdict is serves, finding.summary


@pytest.mark.parametrize(("elected", "moved", "stayed"), [((9.0, 17.0, 25.0, 33.0, 41.0, 49.0), UNKNOWN, UNKNOWN), ((), HELD, BROKEN)])
def test_leadership_that_is_lost_by_itself_is_moved_by_no_fault_whoever_won_it_again(
    elected: tuple[float, ...], moved: Verdict, stayed: Verdict
) -> None:
    """The same member was elected over and over before the fault; under it another is."""
    story = Story().phase(1.0, Phase.STEADY).whole(3.0, "before").members(0.7, "n1 n2 n3", 2, "n1")
    story.fault("disk.slow", "n2", decided=60, in_force=60.1, healing=100, healed=101, traits=Traits(Loss.NOTHING, ("disk",)))
    for number, time in enumerate(elected):
        story.members(time, "n1 n2 n3", 3 + number, "n1")
    story.members(70, "n1 n2 n3", 20, "n3").endures().phase(101.5, Phase.SETTLING).watched(139, "n1 n2 n3").done(140)
    promises: tuple[tuple[Literal["moves", "stays"], Verdict], ...] = (("moves", moved), ("stays", stayed))
    for leader, verdict in promises:
        finding = QuorumSurvived(leader=leader).check(story.history())
        assert finding.verdict is verdict, finding.summary


@pytest.mark.parametrize(
    ("moves", "moved", "stayed"),
    [
        ((12.0, 25.0, 38.0, 65.0), UNKNOWN, UNKNOWN),
        ((12.0, 65.0), HELD, BROKEN),  # once, and long ago
    ],
)
def test_leadership_that_moved_again_and_again_before_is_moved_by_no_fault_however_short_that_is(
    moves: tuple[float, ...], moved: Verdict, stayed: Verdict
) -> None:
    """The fault is there for 9 s, and in the 9 s before it leadership had not moved."""
    story = Story().phase(1.0, Phase.STEADY).whole(3.0, "before").members(0.7, "n1 n2 n3", 2, "n1")
    story.fault("disk.slow", "n2", decided=60, in_force=60.1, healing=69.1, healed=70, traits=Traits(Loss.NOTHING, ("disk",)))
    for number, time in enumerate(moves):
        story.members(time, "n1 n2 n3", 3 + number, f"n{(number + 1) % 3 + 1}")
    history = story.endures().phase(71, Phase.SETTLING).watched(99, "n1 n2 n3").done(100).history()
    promises: tuple[tuple[Literal["moves", "stays"], Verdict], ...] = (("moves", moved), ("stays", stayed))
    for leader, verdict in promises:
        finding = QuorumSurvived(leader=leader).check(history)
        assert finding.verdict is verdict, finding.summary


@pytest.mark.parametrize(
    ("before", "down", "verdict"),
    [
        (False, 118.0, BROKEN),
        (True, 118.0, UNKNOWN),
        (True, 90.0, BROKEN),  # gone for far longer than it was then
    ],
)
def test_what_stopped_over_and_over_before_anything_was_broken_is_down_at_the_end_by_no_fault(
    down: float, verdict: Verdict, *, before: bool
) -> None:
    """The run ends at 120 s, while it is down for a moment."""
    story = Story().phase(1.0, Phase.STEADY).whole(3.0, "before").node(0.5, "n1", "web@1").node(0.5, "n2").node(0.5, "n3")
    story.fault("disk.slow", "n3", decided=60, in_force=60.1, healing=70, healed=71, traits=Traits(Loss.NOTHING, ("disk",)))
    if before:
        crashing(story, "web@1", "n1", 15, 55)
    story.endures().phase(71.5, Phase.SETTLING).whole(80, "after").node(down, "n1").watched(119, "n1 n2 n3")
    finding = Settled().check(story.done(120).history())
    assert finding.verdict is verdict, finding.summary


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (Traits(Loss.NOTHING, ("disk",)), "disk.slow"),
        (daemon("etcd", in_place=True), "process.kill"),
        (daemon("etcd", in_place=False), "process.kill"),
    ],
    ids=str,
)
@pytest.mark.parametrize(
    ("before", "gone", "verdict"),
    [
        (False, 8, BROKEN),
        (True, 8, UNKNOWN),
        (True, 30, BROKEN),  # gone for far longer than it was then
    ],
)
def test_what_stops_where_a_fault_leaves_it_as_it_did_before_anything_was_broken_is_not_lost_to_it(
    kind: Traits, name: str, gone: float, verdict: Verdict, *, before: bool
) -> None:
    """It is gone for longer than its limit, as it was then, on a node that goes on as if nothing were."""
    story = Story().phase(1.0, Phase.STEADY).whole(3.0, "before").node(0.5, "n1", "web@1").node(0.5, "n2").node(0.5, "n3", "web@2")
    story.fault(
        name, "n3", decided=60, in_force=60.1, healing=120, healed=121, traits=kind, lost="n3" if kind.loses is Loss.PROCESS else ""
    )
    if before:
        for at in (10, 30):
            story.node(at, "n3").node(at + 8, "n3", "web@2")
    story.node(70, "n3").node(70 + gone, "n3", "web@2").endures().phase(121.5, Phase.SETTLING).watched(149, "n1 n2 n3")
    finding = Rescheduled("web", within=5).check(story.done(150).history())
    assert finding.verdict is verdict, finding.summary


@pytest.mark.parametrize(
    ("part", "stops", "verdict"),
    [
        *(("docker", at, BROKEN) for at in (0.05, 0.4)),
        *((part, 4.0, BROKEN) for part in ("fleetd", "mesos-agent")),
        ("docker", 10.0, UNKNOWN),
        *((part, 0.4, UNKNOWN) for part in sorted(BESIDE)),
    ],
)
@pytest.mark.parametrize("to", ["n2", "n3"])
def test_what_stops_at_once_when_a_fault_takes_a_daemon_is_lost_to_it_whatever_had_stopped_before(
    part: str, stops: float, to: str, verdict: Verdict
) -> None:
    """It had stopped once by itself, for three seconds, and is back two seconds too late. No container runs by what starts none."""
    story = Story().phase(1.0, Phase.STEADY).whole(3.0, "before").node(0.5, "n1", "web@1").node(0.5, "n2").node(0.5, "n3", "web@2")
    kind = daemon(part, in_place=False)
    story.fault("process.kill", "n3", decided=60, in_force=60.1, healing=120, healed=121, traits=kind, lost="n3")
    story.node(15, "n3").node(18, "n3", "web@2").node(60.1 + stops, "n3").node(67.1 + stops, to, "web@2")
    finding = Rescheduled("web", within=5).check(story.endures().phase(121.5, Phase.SETTLING).watched(149, "n1 n2 n3").done(150).history())
    assert finding.verdict is verdict, finding.summary


@pytest.mark.parametrize(("before", "verdict"), [(False, BROKEN), (True, UNKNOWN)])
def test_writes_that_paused_for_as_long_before_anything_was_broken_are_kept_from_returning_by_no_fault(
    verdict: Verdict, *, before: bool
) -> None:
    """They had been acknowledged under it, and are not from its heal to the end."""
    story = written(lambda at: (before and 20 <= at < 50) or at >= 95, lost="")
    finding = QuorumSurvived(writes="slow").check(story.history())
    assert (finding.verdict is BROKEN and "after process.kill was healed" in finding.summary) is (verdict is BROKEN), finding.summary


@pytest.mark.parametrize(("often", "verdict"), [(4, UNKNOWN), (1, HELD)])
def test_writes_that_were_as_slow_now_and_then_before_anything_was_broken_are_slowed_by_no_fault(often: int, verdict: Verdict) -> None:
    """So many of every ten, for two seconds at most, where under the fault all of them are."""
    story = Story().phase(1.0, Phase.STEADY).whole(3.0, "before").members(0.7, "n1 n2 n3", 2, "n1")
    story.fault("disk.slow", "n3", decided=58.9, in_force=59, healing=72, healed=73, traits=Traits(Loss.NOTHING, ("disk",)))
    for number in range(180):
        at = 0.8 + number / 2
        story.write(at, f"k{number}", "v", by="n1", took=0.2 if 59 <= at < 72 or number % 10 < often else 0.01)
    finding = QuorumSurvived(writes="slow").check(story.endures().phase(73.5, Phase.SETTLING).watched(99, "n1 n2 n3").done(100).history())
    assert finding.verdict is verdict, finding.summary


@pytest.mark.parametrize("writes", ["stop", "slow"])
@pytest.mark.parametrize(
    ("before", "lost", "verdict"),
    [
        (30.0, "", UNKNOWN),  # for 22 s, and for 40 s under the fault
        (33.0, "", HELD),
        (10.0, "n1 n2", HELD),  # nobody is left who could acknowledge one
    ],
)
def test_writes_that_had_paused_for_as_long_before_anything_was_broken_are_stopped_by_no_fault(
    writes: Literal["stop", "slow"], before: float, lost: str, verdict: Verdict
) -> None:
    """They had been acknowledged again until it came."""
    finding = QuorumSurvived(writes=writes).check(written(lambda at: before <= at < 52 or 60 <= at < 101, lost=lost).history())
    assert finding.verdict is verdict, finding.summary
