"""Availability: the share of good calls, and the longest gap of any instance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.checkers import Availability
from harness.core.values import Call, Effect, Outcome, Verdict
from harness.history.events import Answered, History, Invoked
from harness.testing.histories import Story
from tests.unit.reporting import moments

if TYPE_CHECKING:
    from harness.core.values import Finding


def broken_from_ten() -> Story:
    """A fault from 10 s to 40 s; settled at 59 s."""
    return Story().fault("node.kill", "n1", decided=10, in_force=10, healing=40, healed=42).done(60)


def judged(story: Story, share: float = 0.5, gap: float = 30.0) -> Finding:
    """What the checker says of ``web``."""
    return Availability("web", share, gap).check(story.history())


def test_enough_calls_and_a_short_gap_are_held() -> None:
    """Ten seconds of failures in forty-nine."""
    story = broken_from_ten().gets(0, 20, "web@1").gets(20, 30, "web@1", Outcome.FAIL).gets(30, 59, "web@1")
    finding = judged(story)
    assert finding.verdict is Verdict.HELD
    assert finding.summary == (
        "79.6% of 490 calls to web from 10.0 s to 59.0 s were answered well (promised 50%); "
        "web@1 gave no good answer for 10.1 s from 19.9 s (allowed 30 s)"
    )


def test_too_small_a_share_is_broken() -> None:
    """The same calls, and more was promised."""
    story = broken_from_ten().gets(0, 20, "web@1").gets(20, 30, "web@1", Outcome.FAIL).gets(30, 59, "web@1")
    assert judged(story, share=0.8).verdict is Verdict.BROKEN


@pytest.mark.parametrize(("whole", "verdict"), [(True, Verdict.BROKEN), (False, Verdict.UNKNOWN)])
def test_a_share_that_could_still_have_risen_convicts_nobody(*, whole: bool, verdict: Verdict) -> None:
    """A run that was cut off shows only the calls until then."""
    story = Story().fault("node.kill", "n1", decided=10, in_force=10).gets(0, 20, "web@1").gets(20, 50, "web@1", Outcome.FAIL)
    finding = judged(story.done(51) if whole else story, share=0.5, gap=60)
    assert finding.verdict is verdict, finding.summary


def test_calls_of_unknown_fate_are_not_available() -> None:
    """A call that ran into its deadline served nobody."""
    story = broken_from_ten().gets(0, 20, "web@1").gets(20, 50, "web@1", Outcome.UNKNOWN).gets(50, 59, "web@1")
    finding = judged(story, share=0.5, gap=60)
    assert finding.verdict is Verdict.BROKEN
    assert finding.details["unknown"] == 300


@pytest.mark.parametrize(("ours", "verdict"), [(True, Verdict.UNKNOWN), (False, Verdict.BROKEN)])
@pytest.mark.parametrize("outcome", [Outcome.FAIL, Outcome.UNKNOWN])
def test_calls_that_this_machine_could_not_make_say_nothing(outcome: Outcome, ours: bool, verdict: Verdict) -> None:
    """Neither of the share nor of a gap."""
    story = broken_from_ten().gets(0, 20, "web@1").gets(20, 50, "web@1", outcome, ours=ours).gets(50, 59, "web@1")
    assert judged(story, share=0.6, gap=60).verdict is verdict
    assert judged(story, share=0.1, gap=25).verdict is verdict


@pytest.mark.parametrize(
    ("begun", "effect", "named"),
    [
        (17, Effect(moves=True), True),
        (30, Effect(moves=True), True),
        (30, Effect(renews=("web",)), True),
        (30, Effect(renews=("db",)), False),
        (5, Effect(moves=True), False),
        (17, Effect(runs={"db": 2}), False),
    ],
    ids=["just before it", "in it", "of the app", "of another app", "long before", "of no consequence"],
)
def test_a_gap_counts_whoever_made_it_and_names_our_own_actions(begun: float, effect: Effect, *, named: bool) -> None:
    """Who calls does not care; but who reads the verdict does."""
    story = broken_from_ten().gets(0, 20, "web@1").gets(20, 55, "web@1", Outcome.FAIL).gets(55, 59, "web@1")
    finding = judged(story.action(begun, begun + 1, "node.drain", "n2 n3", effect=effect), share=0.1)
    assert finding.verdict is Verdict.BROKEN
    assert (f"30 s were allowed (action node.drain on n2 n3 was done from {begun:.1f} s on)" in finding.summary) is named, finding.summary


@pytest.mark.parametrize(("times", "more"), [(1, ""), (3, ""), (5, ", and 2 actions more")])
def test_a_share_counts_whoever_took_of_it_and_names_our_own_actions(times: int, more: str) -> None:
    """The first of them, where there were many."""
    story = broken_from_ten().gets(0, 20, "web@1").gets(20, 55, "web@1", Outcome.FAIL).gets(55, 59, "web@1")
    for number in range(1, times + 1):
        story.action(18 + number, 18.5 + number, "node.drain", "n2", effect=Effect(moves=True), number=number)
    finding = judged(story, share=0.9, gap=60)
    assert finding.verdict is Verdict.BROKEN
    named = ", and ".join(f"action node.drain on n2 was done from {19 + number:.1f} s on" for number in range(min(times, 3)))
    assert f"90% were promised ({named}{more})" in finding.summary


@pytest.mark.parametrize(
    ("untold", "share", "gap", "verdict"),
    [
        ((20, 50), 0.6, 60, Verdict.UNKNOWN),  # 190 of 490 were good; with them all are
        ((20, 50), 0.1, 25, Verdict.UNKNOWN),
        ((34, 36), 0.6, 60, Verdict.BROKEN),  # with them it is 210 of 490
        ((34, 36), 0.4, 60, Verdict.UNKNOWN),
        ((34, 34.2), 0.1, 25, Verdict.UNKNOWN),  # one good answer then would have been enough
        ((34, 34.2), 0.1, 12, Verdict.BROKEN),  # and here it would not
    ],
)
def test_calls_of_which_lines_are_missing_may_have_been_good(
    untold: tuple[float, float], share: float, gap: float, verdict: Verdict
) -> None:
    """Each call has an end in a run that came to its own: of web@1 all failed for 30 s, but for some of which no end is told."""
    since, until = untold
    story = broken_from_ten().gets(0, 20, "web@1").gets(20, since, "web@1", Outcome.FAIL).gets(since, until, "web@1", None)
    finding = judged(story.gets(until, 50, "web@1", Outcome.FAIL).gets(50, 59, "web@1"), share=share, gap=gap)
    assert finding.verdict is verdict, finding.summary
    assert verdict is Verdict.BROKEN or f"the answers of {(until - since) * 10:.0f} calls are missing" in finding.summary


@pytest.mark.parametrize(("untold", "verdict"), [((34, 34.2), Verdict.UNKNOWN), ((10, 10.2), Verdict.BROKEN)])
def test_calls_of_which_no_line_is_told_may_have_been_good(untold: tuple[float, float], verdict: Verdict) -> None:
    """Nobody says of whom they were: any that was made in a gap may have ended it."""
    story = broken_from_ten().gets(0, 20, "web@1").gets(20, 50, "web@1", Outcome.FAIL).gets(50, 59, "web@1")
    told = [(entry.time, entry.event) for entry in story.history().entries]
    lost = {event.op for time, event in told if isinstance(event, Invoked) and untold[0] <= time < untold[1]}
    kept = [each for each in told if not (isinstance(each[1], Invoked | Answered) and each[1].op in lost)]
    finding = Availability("web", 0.1, 25.0).check(History.of_events(*kept))
    assert (len(lost), finding.verdict) == (2, verdict), finding.summary


def test_calls_to_others_of_which_lines_are_missing_excuse_nothing() -> None:
    """web@2 may have answered then, and web@1 may not."""
    story = broken_from_ten().gets(0, 20, "web@1").gets(20, 50, "web@1", Outcome.FAIL).gets(50, 59, "web@1")
    story.gets(0, 20, "web@2").gets(20, 50, "web@2", None).gets(50, 59, "web@2")
    assert judged(story, share=0.1, gap=25).verdict is Verdict.BROKEN


def test_too_long_a_gap_of_one_instance_is_broken() -> None:
    """However well the other instances serve."""
    story = broken_from_ten().gets(0, 59, "web@1").gets(0, 15, "web@2").gets(15, 50, "web@2", Outcome.FAIL).gets(50, 59, "web@2")
    finding = judged(story)
    assert finding.verdict is Verdict.BROKEN
    assert finding.summary == "web@2 gave no good answer for 35.1 s from 14.9 s, 30 s were allowed"


@pytest.mark.parametrize(
    ("ours", "longest"),
    [(True, "web@1 gave no good answer for 5.1 s from 11.9 s"), (False, "web@2 gave no good answer for 15.1 s from 24.9 s")],
)
def test_the_longest_gap_is_one_in_which_somebody_called(ours: bool, longest: str) -> None:
    """The same silence, once of our own, in which nobody called, and once of an instance that did not answer; calls that do not count are told."""
    story = broken_from_ten().gets(0, 12, "web@1").gets(12, 17, "web@1", Outcome.FAIL).gets(17, 59, "web@1").gets(0, 25, "web@2")
    if ours:
        story = broken_from_ten().gets(0, 12, "web@1").gets(12, 17, "web@1", Outcome.FAIL).gets(17, 25, "web@1").gets(40, 59, "web@1")
        story.gets(0, 25, "web@2").gets(40, 59, "web@2").call(24.95, "http", Call("get", "web@2"), Outcome.FAIL, took=15.1)
        story.stalled(25.0, 40.0)
    else:
        story.gets(25, 40, "web@2", Outcome.FAIL).gets(40, 59, "web@2")
    finding = judged(story)
    assert finding.verdict is Verdict.HELD
    assert longest in finding.summary
    assert ("(not counted: 3 calls under way while somebody stood still)" in finding.summary) is ours
    assert finding.details["uncounted"] == (3 if ours else 0)


def test_a_gap_that_runs_to_the_end_counts() -> None:
    """Censored: it is at least that long."""
    finding = judged(broken_from_ten().gets(0, 59, "web@1").gets(0, 15, "web@2").gets(15, 59, "web@2", Outcome.FAIL))
    assert finding.verdict is Verdict.BROKEN
    assert "was not back by the end" in finding.summary
    gaps = finding.details["gaps"]
    assert isinstance(gaps, dict)
    assert gaps["web@2"] == {
        "from": pytest.approx(14.91),
        "to": 59,
        "length": pytest.approx(44.09),
        "censored": True,
    }


@pytest.mark.parametrize(("last", "gone"), [(Outcome.OK, False), (Outcome.FAIL, True)])
def test_who_answered_every_call_was_not_gone_at_the_end(last: Outcome, *, gone: bool) -> None:
    """The longest gap runs to the end either way; with every call answered well it is a pause between two calls, and nobody had to come back."""
    story = broken_from_ten().gets(0, 58.7, "web@1").call(58.75, "http", Call("get", "web@1"), last, took=0.01)
    finding = judged(story, share=0.9)
    assert finding.verdict is Verdict.HELD
    assert ("was not back by the end" in finding.summary) is gone
    assert isinstance(gaps := finding.details["gaps"], dict)
    assert isinstance(gap := gaps["web@1"], dict)
    assert gap["censored"] is gone


def test_an_instance_that_never_answered_after_the_fault_is_gone_from_its_last_good_answer() -> None:
    """A gap lies between two good answers, wherever in it the fault bites; where none was good before, it begins when the fault bites."""
    finding = judged(broken_from_ten().gets(0, 59, "web@1").gets(0, 9, "web@2").gets(9, 59, "web@2", Outcome.FAIL))
    assert "for 50.1 s from 8.9 s" in finding.summary
    never = judged(broken_from_ten().gets(0, 59, "web@1").gets(0, 59, "web@2", Outcome.FAIL))
    assert "for 49.0 s from 10.0 s" in never.summary


def test_calls_outside_the_time_do_not_count() -> None:
    """Failures before the fault and after settling are not the fault's."""
    story = broken_from_ten().gets(0, 10, "web@1", Outcome.FAIL).gets(10, 59, "web@1").gets(59.1, 60, "web@1", Outcome.FAIL)
    assert judged(story, share=1.0).verdict is Verdict.HELD


def slow_switch() -> Story:
    """A power switch that says only at 40 s that it is done: n1 was off at 10.5 s, its power came back at 47 s; settled at 59 s."""
    story = Story().node(0, "n1").fault("node.kill", "n1", decided=10, in_force=40, healing=45, healed=47)
    return story.off(10.5, "n1").node(47, "n1").done(60)


def test_an_outage_that_is_over_before_the_switch_says_so_convicts() -> None:
    """From in force on every call was good: 28 s without an answer would not be seen, neither as a gap nor in the share."""
    story = slow_switch().gets(0, 10.5, "web@1").gets(10.5, 38.5, "web@1", Outcome.FAIL).gets(38.5, 59, "web@1")
    gap = judged(story, share=0.4, gap=20)
    assert (gap.verdict, gap.summary) == (Verdict.BROKEN, "web@1 gave no good answer for 28.1 s from 10.4 s, 20 s were allowed")
    share = judged(story, share=0.5, gap=30)
    assert (share.verdict, share.summary) == (
        Verdict.BROKEN,
        "42.3% of 485 calls to web from 10.5 s to 59.0 s were answered well, 50% were promised",
    )
    assert (share.details["from"], share.details["to"]) == (10.5, 59)


def test_good_calls_from_before_the_switch_says_so_acquit() -> None:
    """From in force on only 42 % were good: the half minute for which the app served without its machine is part of what was promised."""
    story = slow_switch().gets(0, 10.5, "web@1").gets(10.5, 13, "web@1", Outcome.FAIL).gets(13, 45, "web@1")
    finding = judged(story.gets(45, 56, "web@1", Outcome.FAIL).gets(56, 59, "web@1"))
    assert (finding.verdict, "72.2% of 485 calls" in finding.summary) == (Verdict.HELD, True)


def test_the_time_begins_with_the_first_machine_that_goes_off() -> None:
    """Of two with switches of their own; what one switch takes longer is no less of an outage."""
    story = Story().node(0, "n1").node(0, "n2").fault("node.kill", "n1 n2", decided=10, in_force=40, healing=45, healed=47)
    finding = judged(story.off(20, "n1").off(12, "n2").gets(0, 59, "web@1").done(60))
    assert (finding.verdict, finding.details["from"]) == (Verdict.HELD, 12)


def seldom(*bad: int) -> Story:
    """One call of web@2 in two seconds, each a good one but those named by their number from the fault on; web@1 is called all along."""
    story = broken_from_ten().gets(0, 59, "web@1")
    for number in range(29):
        story.get(1 + 2 * number, "web@2", Outcome.FAIL if number - 5 in bad else Outcome.OK)
    return story


def stalled() -> Story:
    """All calls of three seconds are answered well together, at their end."""
    story = broken_from_ten().gets(0, 20, "web@1").gets(23.1, 59, "web@1")
    for number in range(30):
        story.call(20 + number / 10, "http", Call("get", "web@1"), took=3.05 - number / 10)
    return story


GAPS: dict[str, tuple[Story, float, Verdict, str]] = {
    "the harness slept": (
        broken_from_ten().gets(0, 15, "web@1").gets(35, 59, "web@1"),
        10,
        Verdict.UNKNOWN,
        "web@1 gave no good answer for 20.1 s from 14.9 s, 10 s were allowed; but calls were made in 0.00 s of that at most: too few",
    ),
    "the harness slept in the middle of a short gap": (
        broken_from_ten().gets(0, 15, "web@1").gets(15, 16, "web@1", Outcome.FAIL).gets(35, 59, "web@1"),
        10,
        Verdict.UNKNOWN,
        "web@1 gave no good answer for 20.1 s from 14.9 s, 10 s were allowed; but calls were made in 1.0 s of that at most: too few to tell",
    ),
    "the harness slept in the middle of a long gap": (
        broken_from_ten().gets(0, 15, "web@1").gets(15, 28, "web@1", Outcome.FAIL).gets(35, 59, "web@1"),
        10,
        Verdict.BROKEN,
        "web@1 gave no good answer for 20.1 s from 14.9 s, called all along for 13.0 s of it, 10 s were allowed",
    ),
    "calls too far apart for the question": (
        seldom(),
        0.5,
        Verdict.UNKNOWN,
        " s, 0.5 s were allowed; but calls were made in 0.00 s of that at most: too few to tell",
    ),
    "calls far apart, one of them bad": (
        seldom(3),
        0.5,
        Verdict.UNKNOWN,
        "web@2 gave no good answer for 4.0 s from 15.0 s, 0.5 s were allowed; but what was not answered well lies within 0.01 s",
    ),
    "calls far apart, two of them bad": (
        seldom(3, 4),
        0.5,
        Verdict.BROKEN,
        "web@2 gave no good answer for 6.0 s from 15.0 s, 0.5 s were allowed",
    ),
    "calls far apart, two of them bad, not too far": (
        seldom(3, 4),
        2.5,
        Verdict.UNKNOWN,
        "web@2 gave no good answer for 6.0 s from 15.0 s, 2.5 s were allowed; but what was not answered well lies within 2.0 s",
    ),
    "longer than allowed, and the fault bit in the middle of it": (
        broken_from_ten().gets(0, 9, "web@1").gets(9, 20, "web@1", Outcome.FAIL).gets(20, 59, "web@1"),
        9.5,
        Verdict.BROKEN,
        "web@1 gave no good answer for 11.1 s from 8.9 s, 9.5 s were allowed",
    ),
    "longer than allowed only with what was before the fault": (
        broken_from_ten().gets(0, 9, "web@1").gets(9, 20, "web@1", Outcome.FAIL).gets(20, 59, "web@1"),
        11,
        Verdict.UNKNOWN,
        "it had begun before the fault bit (at 10.0 s), and 10.0 s of it at most are the fault's",
    ),
    "as long as allowed, and the fault bit in the middle of it": (
        broken_from_ten().gets(0, 9, "web@1").gets(9, 20, "web@1", Outcome.FAIL).gets(20, 59, "web@1"),
        11.5,
        Verdict.HELD,
        "web@1 gave no good answer for 11.1 s from 8.9 s (allowed 11.5 s)",
    ),
    "good answers that took too long": (
        stalled(),
        2,
        Verdict.BROKEN,
        "web@1 gave no good answer for 3.1 s from 19.9 s, 2 s were allowed",
    ),
}


@pytest.mark.parametrize("case", GAPS)
def test_a_gap_counts_from_calls_that_were_made(case: str) -> None:
    """What nobody asked is no evidence against the service, and none for it either."""
    story, gap, verdict, text = GAPS[case]
    finding = judged(story, gap=gap)
    assert (finding.verdict, text in finding.summary) == (verdict, True), finding.summary


@pytest.mark.parametrize("name", ["node.kill", "process.kill", "net.partition"])
@pytest.mark.parametrize(
    ("gone", "verdict", "text"),
    [
        (10.9, Verdict.BROKEN, "web@1 gave no good answer for 6.2 s from 10.8 s, 3.9 s were allowed"),
        (10.1, Verdict.UNKNOWN, "it had begun before the fault bit (at 13.4 s), and 3.6 s of it at most are the fault's"),
    ],
)
def test_an_outage_that_begins_after_the_decision_is_the_faults(name: str, gone: float, verdict: Verdict, text: str) -> None:
    """A fault that is decided at 10.6 s and in force at 13.4 s, with nobody who saw when it bit; beside it an outage that was there before."""
    story = Story().fault(name, "n1", decided=10.6, in_force=13.4, healing=40, healed=42).done(60)
    story.gets(0, gone, "web@1").gets(gone, 17, "web@1", Outcome.FAIL).gets(17, 59, "web@1")
    finding = judged(story, gap=3.9)
    assert (finding.verdict, text in finding.summary) == (verdict, True), finding.summary


@pytest.mark.parametrize(
    ("since", "until", "failed", "gap", "verdict"),
    [
        (10.9, 16.5, False, 3.9, Verdict.UNKNOWN),
        (10.9, 16.5, False, 6, Verdict.HELD),
        (9.9, 16.5, False, 3.9, Verdict.UNKNOWN),
        (5, 9.9, False, 3.9, Verdict.HELD),
        (5, 13, False, 3.9, Verdict.HELD),  # of this it is 2.4 s at most
        (5, 9.9, True, 3.9, Verdict.HELD),  # of the other alone
        (5, 12, True, 3.9, Verdict.UNKNOWN),
        (3, 12, True, 3.9, Verdict.HELD),
    ],
)
def test_an_outage_that_was_over_before_a_fault_is_known_to_have_bitten_acquits_nobody(
    since: float, until: float, gap: float, verdict: Verdict, *, failed: bool
) -> None:
    """It was decided at 10.6 s and is in force at 17 s; another failed half-way, from 4.6 s to 9 s, or was not there."""
    story = Story().fault("net.partition", "n1", decided=10.6, in_force=17, healing=40, healed=42).done(60)
    if failed:
        story.fault("node.kill", "n2", decided=4.6, failed=9, healed=9.5, number=2)
    story.gets(0, since, "web@1").gets(since, until, "web@1", Outcome.FAIL).gets(until, 59, "web@1")
    finding = judged(story, gap=gap)
    assert finding.verdict is verdict, finding.summary
    assert verdict is Verdict.HELD or "nobody knows whether the fault had bitten by then" in finding.summary


@pytest.mark.parametrize(
    ("bad", "share", "verdict", "text"),
    [
        ((11, 15), 0.95, Verdict.UNKNOWN, "91.7% of 480 were from 11.0 s on, and nobody knows whether the fault had bitten before 17.0 s"),
        ((11, 15), 0.9, Verdict.HELD, "100.0% of 420 calls"),
        ((18, 22), 0.915, Verdict.UNKNOWN, "were answered well, 91.5% were promised; but 91.7% of 484 were from 10.6 s on"),
        ((18, 22), 0.93, Verdict.BROKEN, "93% were promised"),
        ((18, 22), 0.9, Verdict.HELD, "90.5% of 420 calls"),
    ],
)
def test_calls_of_the_time_in_which_a_fault_may_have_bitten_can_turn_the_share(
    bad: tuple[float, float], share: float, verdict: Verdict, text: str
) -> None:
    """It was decided at 10.6 s and is in force at 17 s: it bit anywhere in between."""
    story = Story().fault("net.partition", "n1", decided=10.6, in_force=17, healing=40, healed=42).done(60)
    since, until = bad
    story.gets(0, since, "web@1").gets(since, until, "web@1", Outcome.FAIL).gets(until, 59, "web@1")
    finding = judged(story, share=share, gap=30)
    assert (finding.verdict, text in finding.summary) == (verdict, True), finding.summary


def thinned(every: int) -> Story:
    """A call in 0.1 s; from 20 s to 40 s all fail, and only one in so many was made."""
    story = broken_from_ten().gets(0, 20, "web@1").gets(40, 59, "web@1")
    for number in range(0, 200, every):
        story.get(20 + number / 10, "web@1", Outcome.FAIL)
    return story


SHARES: dict[str, tuple[int, float, Verdict, str]] = {
    "all were made": (1, 0.59, Verdict.HELD, "59.2% of 490 calls"),
    "all were made, and more was promised": (
        1,
        0.6,
        Verdict.BROKEN,
        "59.2% of 490 calls to web from 10.0 s to 59.0 s were answered well, 60% were promised",
    ),
    "most were not made, it makes no difference": (9, 0.55, Verdict.HELD, "92.7% of 313 calls"),
    "most were not made, it makes a difference": (9, 0.7, Verdict.UNKNOWN, "but some 177 more that were due were never made"),
    "most were not made, too few all the same": (
        9,
        0.97,
        Verdict.BROKEN,
        "92.7% of 313 calls to web from 10.0 s to 59.0 s were answered well, 97% were promised",
    ),
    "every other was not made, it makes a difference": (2, 0.7, Verdict.UNKNOWN, "but some 100 more that were due were never made"),
}


@pytest.mark.parametrize("case", SHARES)
def test_calls_that_were_due_and_never_made_count_where_they_could_turn_the_share(case: str) -> None:
    """Also those of a caller that was never silent for long."""
    every, share, verdict, text = SHARES[case]
    finding = judged(thinned(every), share=share)
    assert (finding.verdict, text in finding.summary) == (verdict, True), finding.summary


def test_few_calls_are_unknown() -> None:
    """Nineteen calls say nothing, nor do those to another app."""
    finding = judged(broken_from_ten().gets(20, 21.9, "web@1").gets(0, 59, "db@1"))
    assert (finding.verdict, finding.details["calls"]) == (Verdict.UNKNOWN, 19)


def test_a_run_without_a_fault_in_force_is_unknown() -> None:
    """There is no time to judge."""
    assert judged(Story().gets(0, 59, "web@1").done(60)).verdict is Verdict.UNKNOWN


def test_calls_that_were_made_late_and_in_a_hurry_were_made() -> None:
    """None for 2 s, then twenty at once: none is missing, so that the share convicts."""
    story = broken_from_ten().gets(0, 20, "web@1")
    for number in range(20):
        story.get(22 + number / 100, "web@1", Outcome.FAIL)
    finding = judged(story.gets(22.2, 32.2, "web@1", Outcome.FAIL).gets(32.2, 59, "web@1"), share=0.76)
    assert (finding.verdict, "75.4% of 488 calls" in finding.summary) == (Verdict.BROKEN, True), finding.summary


def test_a_gap_of_which_only_a_part_was_called_is_not_said_to_last_to_the_end() -> None:
    """Nobody called from 45 s on; where somebody did, it does."""
    for until, lasts in ((45.0, False), (59.0, True)):
        finding = judged(broken_from_ten().gets(0, 20, "web@1").gets(20, until, "web@1", Outcome.FAIL), share=0.1, gap=10)
        assert (finding.verdict, "was not back by the end" in finding.summary) == (Verdict.BROKEN, lasts), finding.summary


@pytest.mark.parametrize("cut", [None, (28.0, 35.0), (16.0, 33.0)], ids=["nothing", "our own stall late in it", "most of it"])
def test_one_outage_has_one_figure_whoever_tells_it(cut: tuple[float, float] | None) -> None:
    """The live view, the moments and the checker, whatever of it we slept through: what was seen of it is told beside."""
    start, end = cut or (36.0, 36.0)
    story = broken_from_ten().gets(0, 15, "web@1").gets(15, min(start, 36), "web@1", Outcome.FAIL).gets(end, 36, "web@1", Outcome.FAIL)
    if cut:
        story.stalled(*cut)
    finding = judged(story.gets(36, 59, "web@1"), share=0.1, gap=40)
    assert any("http web@1: a good answer again, after 21.1 s without one" in line for line in moments(story.history()))
    assert (finding.verdict, "web@1 gave no good answer for 21.1 s from 14.9 s" in finding.summary) == (Verdict.HELD, True), finding.summary
    assert ("called all along for" in finding.summary) is (cut is not None)
