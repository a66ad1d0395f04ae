"""Quorum: leaders by term, writes that go on, stop or slow down, leadership that moves or stays."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest

from harness.checkers import QuorumSurvived
from harness.checkers.expected import Expected
from harness.checkers.terms import broken_terms
from harness.core.traits import daemon
from harness.core.values import Call, Effect, Loss, Outcome, Phase, Stage, Traits, Verdict
from harness.history.events import FaultStage, History, MemberSeen, PhaseBegan, Watching
from harness.testing.histories import Story, node_kill

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.core.values import Finding


def cut(*, healing: float = 60.0) -> Story:
    """Three members that follow n1 in term 2; a partition around n1 from 10 s to 60 s; the run ends at 100 s."""
    story = Story().members(0, "n1 n2 n3", 2, "n1").fault("net.partition", "n1", decided=10, in_force=10, healing=healing, healed=healing)
    return story.watched(99, "n1 n2 n3").done(100)


def slow() -> Story:
    """The same with a slow disk of n1 in place of the partition: nobody is lost to it, and n1 may lead on."""
    story = Story().members(0, "n1 n2 n3", 2, "n1").fault("disk.slow", "n1", decided=10, in_force=10, healing=60, healed=60)
    return story.watched(99, "n1 n2 n3").done(100)


def judged(story: Story, checker: QuorumSurvived) -> Finding:
    """What the checker says."""
    return checker.check(story.history())


def test_one_leader_a_term_is_held() -> None:
    """A new leader in a new term, while the old one still believes in its own."""
    story = cut().members(13, "n2 n3", 3, "n2").member(15, "n1", 2, "n1").members(61, "n1 n2 n3", 3, "n2")
    assert judged(story, QuorumSurvived()).verdict is Verdict.HELD


def test_two_leaders_in_one_term_are_broken() -> None:
    """Both called themselves leader of term 3."""
    story = cut().member(13, "n2", 3, "n2").member(14, "n3", 3, "n3")
    finding = judged(story, QuorumSurvived())
    assert (finding.verdict, finding.summary) == (Verdict.BROKEN, "n2 and n3 each called themselves leader in term 3")
    assert len(finding.evidence) == 2


def test_two_followers_that_name_two_leaders_of_one_term_are_broken() -> None:
    """Neither of the two ever said a word; who follows them has."""
    story = Story().members(0, "n1 n2 n3 n4 n5", 2, "n1").member(13, "n2", 3, "n4").member(14, "n3", 3, "n5").done(30)
    finding = judged(story, QuorumSurvived())
    assert (finding.verdict, finding.summary) == (Verdict.BROKEN, "two leaders in term 3: n2 named n4, n3 named n5")
    assert len(finding.evidence) == 2


def test_followers_of_one_leader_a_term_are_held() -> None:
    """One follows nobody yet, one is a term behind, one does not answer, one knows of no term at all."""
    story = cut().member(13, "n2", 3, None).member(13.2, "n2", 3, "n2").member(13.4, "n3", 3, "n2").no_member(13.5, "n1")
    assert judged(story.member(14, "n4", 0, "n4"), QuorumSurvived()).verdict is Verdict.HELD


def test_a_term_that_goes_back_is_broken() -> None:
    """Also of a node that was off, and came back with its disk: its term is on it."""
    story = cut().members(13, "n2 n3", 4, "n2").off(20, "n3").no_member(20, "n3").node(30, "n3").member(31, "n3", 3, None)
    finding = judged(story.members(61, "n1 n2 n3", 4, "n2"), QuorumSurvived())
    text = "n3 was in term 3 at 31.0 s, after term 4 at 13.0 s: it forgot what it had voted for, and can vote again"
    assert (finding.verdict, finding.summary) == (Verdict.BROKEN, text)
    assert len(finding.evidence) == 2


def test_a_term_that_only_rises_is_held() -> None:
    """Whatever others are at, whether it answers in between or not, and where it begins with no term at all."""
    story = cut().members(13, "n2 n3", 4, "n2").no_member(20, "n3").member(31, "n3", 0, None).member(32, "n3", 4, "n2")
    assert judged(story.members(61, "n1 n2 n3", 4, "n2"), QuorumSurvived()).verdict is Verdict.HELD


def test_a_membership_that_was_never_seen_is_unknown() -> None:
    """Nobody asked, or nobody answered."""
    assert judged(Story().no_member(1, "n1").done(10), QuorumSurvived()).verdict is Verdict.UNKNOWN
    assert judged(Story().done(10), QuorumSurvived()).verdict is Verdict.UNKNOWN


def test_writes_that_go_on_are_held() -> None:
    """An election's pause is allowed."""
    finding = judged(cut().writes(0, 10.5).writes(18, 98), QuorumSurvived(writes="go on"))
    assert finding.verdict is Verdict.HELD
    assert "85 writes acknowledged while net.partition was in force on n1, never more than 8.0 s apart" in finding.summary
    longer = judged(cut().writes(0, 10).writes(27, 98), QuorumSurvived(writes="go on"))
    said = "never more than 17.0 s apart (from the bite on 10 s are for an election, and 10 s more for the next write)"
    assert (longer.verdict, said in longer.summary) == (Verdict.HELD, True), longer.summary


def test_writes_that_pause_for_longer_than_ten_seconds_do_not_go_on() -> None:
    """Eleven seconds in the middle of the fault."""
    story = cut().writes(0, 30).writes(30, 42, Outcome.FAIL).writes(42, 98)
    finding = judged(story, QuorumSurvived(writes="go on"))
    assert finding.verdict is Verdict.BROKEN
    assert "no write was acknowledged for 12.5 s from 29.5 s" in finding.summary


def test_a_mode_that_elects_slowly_may_pause_for_longer() -> None:
    """The plan says how long; the same history is broken where ten seconds are enough."""
    story = cut().writes(0, 10).writes(10, 32, Outcome.FAIL).writes(32, 98)
    assert judged(story, QuorumSurvived(writes="go on")).verdict is Verdict.BROKEN
    assert judged(story, QuorumSurvived(writes="go on", election=25.0)).verdict is Verdict.HELD
    silent = judged(cut().writes(0, 10).writes(10, 40, Outcome.FAIL).writes(40, 98), QuorumSurvived(writes="go on", election=14.0))
    assert silent.verdict is Verdict.BROKEN
    said = "for 30.0 s from 10.0 s while net.partition was in force on n1 (at most 28.0 s: until 24.0 s for an election, and 14 s more for"
    assert said in silent.summary
    lost = cut(healing=30).members(12, "n1 n2", 3, None)
    assert judged(lost, QuorumSurvived(leader="moves", election=25.0)).summary.startswith("no other than n1 led in the 20.0 s")


@pytest.mark.parametrize("promised", ["go on", "stop", "slow"])
@pytest.mark.parametrize(
    ("untold", "verdict"), [(0, Verdict.BROKEN), (14, Verdict.UNKNOWN), (30, Verdict.UNKNOWN)], ids=["all told", "some not", "most not"]
)
def test_writes_of_which_lines_are_missing_may_have_been_good(
    promised: Literal["go on", "stop", "slow"], untold: int, verdict: Verdict
) -> None:
    """Writes paused for 16 s, or did not return for 38 s, or were quick for 20 s: but for some, of which no end is told."""
    since, until = {"go on": (31, 47), "stop": (60, 98), "slow": (40, 60)}[promised]
    before, then = {"go on": (Outcome.OK, Outcome.FAIL), "stop": (Outcome.FAIL, Outcome.FAIL), "slow": (Outcome.FAIL, Outcome.OK)}[promised]
    early, late = since + 1, min(since + 1 + untold, until)
    story = cut().writes(0, 10).writes(10, since, before).writes(since, early, then)
    finding = judged(story.writes(early, late, None).writes(late, until, then).writes(until, 98), QuorumSurvived(promised))
    assert finding.verdict is verdict, finding.summary
    assert verdict is Verdict.BROKEN or "are missing, which may have been good" in finding.summary


@pytest.mark.parametrize(("ours", "verdict"), [(True, Verdict.UNKNOWN), (False, Verdict.BROKEN)])
def test_writes_that_this_machine_could_not_make_have_not_stopped(verdict: Verdict, *, ours: bool) -> None:
    """They were never asked for."""
    story = cut().writes(0, 12).writes(45, 98)
    for tenth in range(240, 900):
        story.call(tenth / 20, "register", Call("write", f"x{tenth}", "x"), Outcome.FAIL, ours=ours)
    assert judged(story, QuorumSurvived(writes="go on")).verdict is verdict


def test_writes_that_never_come_back_do_not_go_on() -> None:
    """Unknown answers are no acknowledgement."""
    story = cut().writes(0, 10).writes(10, 98, Outcome.UNKNOWN)
    assert judged(story, QuorumSurvived(writes="go on")).verdict is Verdict.BROKEN


WINDOWS: dict[str, tuple[Story, QuorumSurvived, Verdict, str]] = {
    # go on: from the bite at 10 s until healing begins, and not a moment longer
    "go on, nothing in a short hold, all well after the heal": (
        cut(healing=14).writes(0, 10).writes(14, 98),
        QuorumSurvived("go on"),
        Verdict.UNKNOWN,
        (
            "no write was acknowledged in the 4.0 s while net.partition was in force on n1, none in the last 4.0 s: too short to tell, it would have "
            "to be in force for 20 s at least"
        ),
    ),
    "go on, acknowledged only after the heal": (
        cut(healing=14).writes(0, 10).write(13, "across", "v", took=2).writes(15, 98),
        QuorumSurvived("go on"),
        Verdict.UNKNOWN,
        "no write was acknowledged in the 4.0 s",
    ),
    "go on, begun before the bite": (
        cut(healing=14).writes(0, 9.5).write(9.9, "across", "v", took=0.2).writes(15, 98),
        QuorumSurvived("go on"),
        Verdict.UNKNOWN,
        "no write was acknowledged in the 4.0 s",
    ),
    "go on, all well until a short hold ends": (
        cut(healing=14).writes(0, 98),
        QuorumSurvived("go on"),
        Verdict.HELD,
        "8 writes acknowledged while net.partition was in force on n1, never more than 0.50 s apart",
    ),
    "go on, stopped before a short hold ends": (
        cut(healing=24).writes(0, 12).writes(12, 24, Outcome.FAIL).writes(24, 98),
        QuorumSurvived("go on"),
        Verdict.UNKNOWN,
        "4 writes acknowledged in the 14.0 s while net.partition was in force on n1, none in the last 12.5 s: too short to tell",
    ),
    "go on, back after an election in a short hold": (
        cut(healing=24).writes(0, 10).writes(10, 15, Outcome.FAIL).writes(15, 98),
        QuorumSurvived("go on"),
        Verdict.HELD,
        "18 writes acknowledged while net.partition was in force on n1, never more than 5.0 s apart",
    ),
    "go on, a pause at the end of a short hold, as there was one before": (
        cut(healing=24).writes(0, 12).writes(12, 17, Outcome.FAIL).writes(17, 20).writes(20, 24, Outcome.FAIL).writes(24, 98),
        QuorumSurvived("go on"),
        Verdict.HELD,
        "10 writes acknowledged while net.partition was in force on n1, never more than 5.5 s apart",
    ),
    "go on, a longer pause at the end of a short hold than before": (
        cut(healing=24).writes(0, 12).writes(12, 14, Outcome.FAIL).writes(14, 20).writes(20, 24, Outcome.FAIL).writes(24, 98),
        QuorumSurvived("go on"),
        Verdict.UNKNOWN,
        "16 writes acknowledged in the 14.0 s while net.partition was in force on n1, none in the last 4.5 s: too short to tell",
    ),
    "go on, a moment of silence at the end of a hold, longer than any before": (
        cut(healing=29.9).writes(0, 28.4).writes(28.4, 29.9, Outcome.FAIL).writes(30, 98),
        QuorumSurvived("go on"),
        Verdict.HELD,
        "37 writes acknowledged while net.partition was in force on n1, never more than 1.9 s apart",
    ),
    "go on, nothing in a hold that is long enough": (
        cut(healing=30.1).writes(0, 10).writes(10, 30.5, Outcome.FAIL).writes(30.5, 98),
        QuorumSurvived("go on"),
        Verdict.BROKEN,
        "no write was acknowledged for 20.1 s from 10.0 s while net.partition was in force on n1 (at most 20.0 s: until 20.0 s for an election",
    ),
    "go on, nothing in a hold of just two elections": (
        cut(healing=30).writes(0, 10).writes(10, 30, Outcome.FAIL).writes(30, 98),
        QuorumSurvived("go on"),
        Verdict.UNKNOWN,
        "none in the last 20.0 s: too short to tell, it would have to be in force for longer than 20 s",
    ),
    "go on, one at the begin of a hold of just two elections": (
        cut(healing=30).writes(0, 10).write(10, "one", "v", took=0.005).writes(10.1, 30, Outcome.FAIL).writes(30, 98),
        QuorumSurvived("go on"),
        Verdict.UNKNOWN,
        "1 write acknowledged in the 20.0 s while net.partition was in force on n1, none in the last 20.0 s",
    ),
    "go on, two in a short hold": (
        cut(healing=22)
        .writes(0, 10)
        .write(10, "one", "v")
        .writes(10.1, 16, Outcome.FAIL)
        .write(16.1, "two", "v")
        .writes(16.2, 22, Outcome.FAIL),
        QuorumSurvived("go on"),
        Verdict.UNKNOWN,
        "2 writes acknowledged in the 12.0 s while net.partition was in force on n1, only 1 since a pause of 6.1 s: too short to tell",
    ),
    "go on, one in a moment": (
        cut(healing=11).writes(0, 10).write(10, "one", "v").writes(11, 98),
        QuorumSurvived("go on"),
        Verdict.UNKNOWN,
        "1 write acknowledged in the 1.0 s while net.partition was in force on n1, and 5 are needed: too short to tell",
    ),
    "go on, several since a pause in a short hold": (
        cut(healing=22).writes(0, 10).writes(10, 19, Outcome.FAIL).writes(19.4, 22).writes(22, 98),
        QuorumSurvived("go on"),
        Verdict.HELD,
        "5 writes acknowledged while net.partition was in force on n1, never more than 9.4 s apart",
    ),
    "go on, shorter pauses after the longest one in a short hold": (
        cut(healing=26).writes(0, 10).writes(10, 16, Outcome.FAIL).writes(16, 22).writes(22, 24.5, Outcome.FAIL).writes(24.5, 98),
        QuorumSurvived("go on"),
        Verdict.HELD,
        "15 writes acknowledged while net.partition was in force on n1, never more than 6.0 s apart",
    ),
    "go on, pauses that come again and again in a short hold, as calls to a dead member do": (
        cut(healing=50).writes(0, 10).writes(10, 16, Outcome.FAIL).writes(16, 48).write(49.6, "last", "v").writes(50, 98),
        QuorumSurvived("go on", election=60.0),
        Verdict.HELD,
        "65 writes acknowledged while net.partition was in force on n1, never more than 6.0 s apart",
    ),
    "go on, the longest of many short pauses comes last": (
        cut(healing=50).writes(0, 32).writes(34, 42).writes(44.5, 48).write(49.9, "last", "v", took=0.01).writes(50, 98),
        QuorumSurvived("go on", election=60.0),
        Verdict.HELD,
        "68 writes acknowledged while net.partition was in force on n1, never more than 3.0 s apart",
    ),
    "go on, the longest of many pauses is no moment any more": (
        cut(healing=50).writes(0, 32).writes(34, 42).writes(46.5, 48).write(49.9, "last", "v", took=0.01).writes(50, 98),
        QuorumSurvived("go on", election=60.0),
        Verdict.UNKNOWN,
        "only 4 since a pause of 5.0 s: too short to tell",
    ),
    "go on, nothing in a hold that just is not": (
        cut(healing=29.9).writes(0, 10).writes(10, 30, Outcome.FAIL).writes(30, 98),
        QuorumSurvived("go on"),
        Verdict.UNKNOWN,
        "it would have to be in force for 20 s at least",
    ),
    "go on, nobody wrote": (
        cut().writes(0, 30).writes(47, 98),
        QuorumSurvived("go on"),
        Verdict.UNKNOWN,
        "no write was acknowledged for 17.5 s from 29.5 s while net.partition was in force on n1 (at most 10 s); but writes were tried for 0.01 s",
    ),
    # stop: later than 1 s after the bite, until healing begins
    "stop, acknowledged just before the heal": (
        cut(healing=20).writes(0, 10).writes(11.5, 19.5, Outcome.FAIL).write(19.9, "late", "v").writes(21, 98),
        QuorumSurvived("stop"),
        Verdict.BROKEN,
        "1 write of 17 begun later than 1 s after net.partition had bitten n1 acknowledged before it was healed, the first (late) 9.9 s after it",
    ),
    "stop, acknowledged just after the heal": (
        cut(healing=20).writes(0, 10).writes(11.5, 19.5, Outcome.FAIL).write(19.9, "late", "v", took=0.2).writes(21, 98),
        QuorumSurvived("stop"),
        Verdict.HELD,
        "none of 17 writes begun later than 1 s after net.partition had bitten n1 was acknowledged",
    ),
    "stop, no time for an answer": (
        cut(healing=11.5).writes(0, 10).write(11.4, "late", "v", took=0.2).writes(12, 98),
        QuorumSurvived("stop"),
        Verdict.UNKNOWN,
        "had time for an answer before it was healed: too short to tell, it would have to be in force for 2 s at least",
    ),
    "stop, on its way, and answered at once": (
        cut(healing=50).writes(0, 10).write(10.8, "across", "v", took=0.5).writes(12, 50, Outcome.FAIL).writes(51, 98),
        QuorumSurvived("stop"),
        Verdict.HELD,
        "begun later than 1 s after net.partition had bitten n1 was acknowledged, and writes returned",
    ),
    "stop, begun just after the bite, and answered long after it": (
        cut(healing=50).writes(0, 10).write(10.8, "across", "v", took=20).writes(12, 50, Outcome.FAIL).writes(51, 98),
        QuorumSurvived("stop"),
        Verdict.BROKEN,
        "1 write begun within 1 s after net.partition had bitten n1 acknowledged later than 2 s after that, the first (across) 20.8 s after it",
    ),
    "stop, begun before the bite, and answered long after it": (
        cut(healing=50).writes(0, 9.5).write(9.8, "across", "v", took=20).writes(12, 50, Outcome.FAIL).writes(51, 98),
        QuorumSurvived("stop"),
        Verdict.UNKNOWN,
        "the first (across) 19.8 s after it had bitten: it may have been agreed on before",
    ),
    "stop, begun just after the bite, and answered by the heal": (
        cut(healing=50).writes(0, 10).write(10.8, "across", "v", took=40).writes(12, 50, Outcome.FAIL).writes(51, 98),
        QuorumSurvived("stop"),
        Verdict.HELD,
        "was acknowledged, and writes returned",
    ),
    # stop and slow: asked of whom, and was it so before?
    "stop, asked once of who was lost": (
        cut(healing=13).writes(0, 10).write(11.5, "a", "1", Outcome.FAIL, by="n1").writes(14, 98),
        QuorumSurvived("stop"),
        Verdict.UNKNOWN,
        "nobody but n1 was asked, which was lost",
    ),
    "stop, asked once of who was not": (
        cut(healing=13).writes(0, 10).write(11.5, "a", "1", Outcome.FAIL, by="n2").writes(14, 98),
        QuorumSurvived("stop"),
        Verdict.UNKNOWN,
        "nobody but n2 was asked, once",
    ),
    "stop, asked of a majority": (
        cut(healing=13)
        .writes(0, 10)
        .write(11.5, "a", "1", Outcome.FAIL, by="n1")
        .write(11.6, "b", "1", Outcome.FAIL, by="n2")
        .writes(14, 98),
        QuorumSurvived("stop"),
        Verdict.HELD,
        "none of 2 writes",
    ),
    "stop, asked twice of who was not lost": (
        cut(healing=13)
        .writes(0, 10)
        .write(11.5, "a", "1", Outcome.FAIL, by="n2")
        .write(11.6, "b", "1", Outcome.FAIL, by="n2")
        .writes(14, 98),
        QuorumSurvived("stop"),
        Verdict.HELD,
        "none of 2 writes",
    ),
    "stop, stopped before": (
        cut().writes(0, 7).writes(7, 60, Outcome.FAIL).writes(61, 98),
        QuorumSurvived("stop"),
        Verdict.UNKNOWN,
        "no write was acknowledged from 6.5 s to 10.0 s, when no fault was there yet",
    ),
    "stop, never acknowledged before": (
        cut().writes(0, 60, Outcome.FAIL).writes(61, 98),
        QuorumSurvived("stop"),
        Verdict.UNKNOWN,
        "no write was acknowledged before 10.0 s",
    ),
    "slow, stopped before": (
        cut().writes(0, 7).writes(7, 60, Outcome.FAIL).writes(61, 98),
        QuorumSurvived("slow"),
        Verdict.UNKNOWN,
        "no write was acknowledged from 6.5 s to 10.0 s, when no fault was there yet",
    ),
    "slow, slow before": (
        cut().writes(0, 7).writes(7, 60, took=0.5).writes(61, 98),
        QuorumSurvived("slow"),
        Verdict.UNKNOWN,
        "they took 500 ms at the median just before it, too",
    ),
    "slow, slow since": (
        cut().writes(0, 10).writes(10, 60, took=0.5).writes(61, 98),
        QuorumSurvived("slow"),
        Verdict.HELD,
        "writes were slow (500 ms",
    ),
    "slow, a few that were not": (
        cut(healing=12).writes(0, 12).writes(13, 98),
        QuorumSurvived("slow"),
        Verdict.UNKNOWN,
        "that were 4 writes, and 5 are needed",
    ),
    "slow, enough that were not": (
        cut(healing=13).writes(0, 13).writes(14, 98),
        QuorumSurvived("slow"),
        Verdict.BROKEN,
        "writes were not slow",
    ),
    # slow: what healing made quick is not measured by it
    "slow, under way when healing began": (
        cut(healing=10.6).writes(0, 10).writes(10, 10.5, took=0.7).write(10.1, "p", "1", took=0.7).writes(11, 98),
        QuorumSurvived("slow"),
        Verdict.HELD,
        "none of 2 writes begun while net.partition was in force on n1 was acknowledged",
    ),
    "slow, no time to show it": (
        cut(healing=10.03).writes(0, 10).writes(10, 10.5, took=0.7).writes(11, 98),
        QuorumSurvived("slow"),
        Verdict.UNKNOWN,
        "1 write of 1 still under way when healing began: too short to tell, it would have to be in force for 0.1 s at least",
    ),
    "slow, most of them refused": (
        cut(healing=10.5).writes(0, 10).writes(10, 10.4, Outcome.FAIL).write(10.48, "p", "1", took=1.0).writes(12, 98),
        QuorumSurvived("slow"),
        Verdict.UNKNOWN,
        "1 write of 2 still under way when healing began: too short to tell",
    ),
    "slow, no time for a write": (
        cut(healing=10.3).writes(0, 10).writes(10.4, 98),
        QuorumSurvived("slow"),
        Verdict.UNKNOWN,
        "no write was tried while net.partition was in force on n1: too short to tell, it would have to be in force for 1 s at least",
    ),
    "slow, quick until the heal": (
        cut(healing=20).writes(0, 20).writes(20, 98, took=0.5),
        QuorumSurvived("slow"),
        Verdict.BROKEN,
        "writes were not slow: 10 ms at the median while net.partition was in force on n1, 10 ms before",
    ),
    # leadership: an election must have the time to happen
    "moves, not in a short hold": (
        cut(healing=18),
        QuorumSurvived(leader="moves"),
        Verdict.UNKNOWN,
        "leadership stayed with n1 for all the 8.0 s while net.partition bit n1: too short to tell, it would have to be in force for 10 s at least",
    ),
    "moves, in the moment of the heal": (
        cut(healing=18).members(18, "n2 n3", 3, "n2"),
        QuorumSurvived(leader="moves"),
        Verdict.UNKNOWN,
        "leadership stayed with n1",
    ),
    "moves, in a short hold": (
        cut(healing=13).members(12, "n2 n3", 3, "n2"),
        QuorumSurvived(leader="moves"),
        Verdict.HELD,
        "leadership moved from n1 to n2 2.0 s after",
    ),
    "moves, nobody leads yet": (
        cut(healing=25).members(18, "n1 n2 n3", 3, None),
        QuorumSurvived(leader="moves"),
        Verdict.UNKNOWN,
        "no majority followed a leader in the last 7.0 s while net.partition bit n1: too short to tell, it would have to be in force for 18 s",
    ),
    "moves, not in a long hold": (
        cut(healing=20),
        QuorumSurvived(leader="moves"),
        Verdict.BROKEN,
        "leadership stayed with n1 for all the 10.0 s",
    ),
    "stays, in a short hold": (
        cut(healing=18),
        QuorumSurvived(leader="stays"),
        Verdict.UNKNOWN,
        "it would have to be in force for 10 s at least",
    ),
    "stays, lost in a short hold": (
        cut(healing=18).members(12, "n2 n3", 3, "n2"),
        QuorumSurvived(leader="stays"),
        Verdict.BROKEN,
        "leadership moved from n1 to n2 2.0 s after",
    ),
    "stays, in a hold that is long enough": (
        cut(healing=20),
        QuorumSurvived(leader="stays"),
        Verdict.HELD,
        "leadership stayed with n1 for all the 10.0 s",
    ),
}


@pytest.mark.parametrize("case", WINDOWS)
def test_what_is_promised_while_in_force_is_judged_on_exactly_that_time(case: str) -> None:
    """What convicts beside what is acquitted, and beside what was too short to tell; the figure that is told is the one that was judged."""
    story, checker, verdict, text = WINDOWS[case]
    finding = judged(story, checker)
    assert (finding.verdict, text in finding.summary) == (verdict, True), finding.summary


def test_who_was_cut_off_is_told_beside_who_was_aimed_at() -> None:
    """The targets are the majority's side, and go on."""
    for lost, said in (("n3", "net.partition was in force on n1, n2 (n3 cut off)"), ("n1 n2", "net.partition was in force on n1, n2,")):
        told = Story().members(0, "n1 n2 n3", 2, "n1").watched(99, "n1 n2 n3").writes(0, 98)
        told.fault("net.partition", "n1 n2", decided=10, in_force=10, healing=60, healed=60, traits=Traits(Loss.LINK), lost=lost)
        assert said in judged(told.done(100), QuorumSurvived("go on")).summary


def test_writes_that_stop_and_return_are_held() -> None:
    """One that was on its way, and one that is answered after healing began, are no breach."""
    story = cut().writes(0, 10).write(10.5, "late", "v").writes(12, 59, Outcome.UNKNOWN).write(59.5, "across", "v", took=2).writes(62, 98)
    finding = judged(story, QuorumSurvived(writes="stop"))
    assert finding.verdict is Verdict.HELD
    assert finding.summary.endswith(
        "none of 95 writes begun later than 1 s after net.partition had bitten n1 was acknowledged, and writes returned"
    )


def test_a_write_acknowledged_without_a_quorum_is_broken_and_listed() -> None:
    """One is enough."""
    story = cut().writes(0, 10).writes(12, 40, Outcome.UNKNOWN).write(40, "wrong", "v").writes(41, 60, Outcome.FAIL).writes(62, 98)
    finding = judged(story, QuorumSurvived(writes="stop"))
    assert finding.verdict is Verdict.BROKEN
    assert (
        "1 write of 95 begun later than 1 s after net.partition had bitten n1 acknowledged before it was healed, the first (wrong) 30.0 s after"
        in finding.summary
    )
    details = finding.details["writes_fault_1"]
    assert isinstance(details, dict)
    assert details["which"] == [{"op": 77, "key": "wrong", "begun": 40, "acknowledged": 40.01}]


def test_writes_that_stop_and_do_not_return_are_broken() -> None:
    """Healing must bring them back."""
    story = cut().writes(0, 10).writes(12, 98, Outcome.FAIL)
    finding = judged(story, QuorumSurvived(writes="stop"))
    assert (finding.verdict, "was acknowledged after net.partition was healed" in finding.summary) == (Verdict.BROKEN, True)


@pytest.mark.parametrize(("ended", "verdict"), [(True, Verdict.BROKEN), (False, Verdict.UNKNOWN)], ids=["whole", "cut off"])
def test_writes_that_had_not_returned_when_a_run_was_cut_off_convict_nobody(*, ended: bool, verdict: Verdict) -> None:
    """They might have."""
    whole = cut().writes(0, 10).writes(12, 98, Outcome.FAIL).history()
    kept = [each for each in whole.entries if ended or not (isinstance(each.event, PhaseBegan) and each.event.phase is Phase.DONE)]
    finding = QuorumSurvived(writes="stop").check(History(tuple(kept)))
    assert (finding.verdict, "was acknowledged after net.partition was healed" in finding.summary) == (verdict, True), finding.summary


def test_writes_that_nobody_tried_are_unknown() -> None:
    """None acknowledged of none tried shows nothing."""
    assert judged(cut().writes(0, 10).writes(62, 98), QuorumSurvived(writes="stop")).verdict is Verdict.UNKNOWN
    assert judged(cut(), QuorumSurvived(writes="go on")).verdict is Verdict.UNKNOWN


@pytest.mark.parametrize(
    ("took", "verdict"),
    [(0.01, Verdict.BROKEN), (0.04, Verdict.BROKEN), (0.06, Verdict.HELD), (0.5, Verdict.HELD)],
)
def test_writes_are_slow_from_five_times_the_usual(took: float, verdict: Verdict) -> None:
    """10 ms at the median before; five times that is slow."""
    story = cut().writes(0, 10).writes(10, 60, took=took).writes(61, 98)
    assert judged(story, QuorumSurvived(writes="slow")).verdict is verdict


def test_writes_that_crawl_to_a_stop_are_slow_too() -> None:
    """None acknowledged is as slow as it gets; they must return all the same."""
    story = cut().writes(0, 10).writes(10, 60, Outcome.UNKNOWN).writes(61, 98)
    assert judged(story, QuorumSurvived(writes="slow")).verdict is Verdict.HELD
    assert judged(cut().writes(0, 10).writes(10, 98, Outcome.UNKNOWN), QuorumSurvived(writes="slow")).verdict is Verdict.BROKEN


@pytest.mark.parametrize("outcome", [Outcome.FAIL, Outcome.UNKNOWN])
def test_writes_that_were_refused_are_slow_though_the_last_was_under_way_when_healing_began(outcome: Outcome) -> None:
    """None of a hundred was acknowledged; what became of the last says nothing, and no longer time in force would."""
    story = cut().writes(0, 10).writes(10, 59.9, outcome).write(59.95, "k", "v", took=0.2).writes(61, 98)
    finding = judged(story, QuorumSurvived(writes="slow"))
    assert (finding.verdict, "none of 101 writes begun" in finding.summary) == (Verdict.HELD, True), finding.summary


def test_slow_without_a_usual_is_unknown() -> None:
    """Too few writes before the fault to compare with."""
    assert judged(cut().writes(9, 10).writes(10, 98, took=0.5), QuorumSurvived(writes="slow")).verdict is Verdict.UNKNOWN


def _leader_killed(*, off: bool) -> Story:
    """The leader n1 is lost at 10 s, by its power or by its etcd, and says no more; its followers notice at 15 s, and elect n2 at 16 s."""
    story = Story().node(0, "n1").node(0, "n2").node(0, "n3").members(0.1, "n1 n2 n3", 2, "n1")
    kind = Traits(Loss.NODE) if off else daemon("etcd", in_place=False)
    story.fault("their.own", "n1", decided=10, in_force=10, healing=60, healed=61, traits=kind, lost="n1").no_member(10.5, "n1")
    if off:
        story.off(10, "n1").node(60, "n1")
    story.members(15, "n2 n3", 2, None).members(16, "n2 n3", 3, "n2").member(62, "n1", 3, "n2")
    return story.watched(99, "n1 n2 n3").done(100)


@pytest.mark.parametrize("off", [True, False])
def test_who_is_dead_leads_nobody_though_its_followers_have_not_noticed(*, off: bool) -> None:
    """Nobody leads from the loss on; that they followed it for longer is their word."""
    finding = judged(_leader_killed(off=off), QuorumSurvived(leader="moves"))
    assert (finding.verdict, "leadership moved from n1 to n2 6.0 s after" in finding.summary) == (Verdict.HELD, True), finding.summary
    assert "nobody led for 6.0 s from 10.0 s" in finding.summary
    assert finding.details["leaders"] == [
        {"from": 0.1, "to": 10.0, "term": 2, "leader": "n1"},
        {"from": 10.0, "to": 16.0, "term": 0, "leader": None},
        {"from": 16.0, "to": 100.0, "term": 3, "leader": "n2"},
    ]


def _leader_restarted(*, asked: bool, again: float) -> Story:
    """The leader n1's etcd is killed at 10 s, and its supervisor starts it again: it answers from `again` on. n2 is elected at 16 s."""
    story = Story().members(0.1, "n1 n2 n3", 2, "n1")
    kind = daemon("etcd", in_place=True)
    story.fault("their.own", "n1", decided=10, in_force=10, healing=60, healed=61, traits=kind, lost="n1")
    if asked:
        story.no_member(10.5, "n1")
    story.member(again, "n1", 2, "n1").members(15, "n2 n3", 2, None).members(16, "n2 n3", 3, "n2").member(17, "n1", 3, "n2")
    return story.watched(99, "n1 n2 n3").done(100)


@pytest.mark.parametrize(
    ("asked", "again", "words"),
    [
        pytest.param(True, 14.0, "nobody led for 4.0 s from 10.0 s", id="until it answers again"),
        pytest.param(True, 16.5, "nobody led for 6.0 s from 10.0 s", id="until another is elected"),
        pytest.param(False, 14.0, "", id="never asked in vain"),
    ],
)
def test_a_leader_that_comes_back_by_itself_leads_nobody_until_it_answers(*, asked: bool, again: float, words: str) -> None:
    """Its own silence shows that it was away; where nobody asked it meanwhile its followers' word is all there is."""
    finding = judged(_leader_restarted(asked=asked, again=again), QuorumSurvived(leader="moves"))
    assert (finding.verdict, words in finding.summary) == (Verdict.HELD, True), finding.summary
    assert asked or "nobody led for 1.0 s from 15.0 s" in finding.summary


@pytest.mark.parametrize("kind", [daemon("etcd", in_place=False), Traits(Loss.LINK, apart=True), Traits(Loss.NODE)])
@pytest.mark.parametrize(("noticed", "verdict"), [(12.0, Verdict.HELD), (25.0, Verdict.UNKNOWN)])
def test_leadership_that_moves_after_nobody_led_for_longer_than_an_election_is_not_held(
    noticed: float, verdict: Verdict, kind: Traits
) -> None:
    """The followers of one that was dead, or cut off, went on naming it: that is no leader, and no silence that was seen either."""
    story = Story().members(0.1, "n1 n2 n3", 2, "n1").no_member(10.5, "n1")
    story.fault("their.own", "n1", decided=10, in_force=10, healing=60, healed=61, traits=kind, lost="n1")
    story.members(noticed, "n2 n3", 3, "n2").member(62, "n1", 3, "n2").watched(99, "n1 n2 n3").done(100)
    finding = judged(story, QuorumSurvived(leader="moves"))
    assert finding.verdict is verdict, finding.summary
    assert (
        verdict is Verdict.HELD
        or "nobody led for 15.0 s from 10.0 s while their.own bit n1, though n1 was still followed" in finding.summary
    )


@pytest.mark.parametrize(("back", "verdict"), [(16.0, Verdict.HELD), (24.0, Verdict.UNKNOWN)])
@pytest.mark.parametrize("leader", ["moves", "stays"])
def test_leadership_that_comes_back_to_one_who_could_not_lead_for_longer_than_an_election_is_not_held(
    leader: Literal["moves", "stays"], back: float, verdict: Verdict
) -> None:
    """Its daemon was killed and came back in its place, elected again; its followers went on naming it all along. That it moved is not so either."""
    story = Story().members(0.1, "n1 n2 n3", 2, "n1").no_member(10.5, "n1")
    kind = daemon("etcd", in_place=True)
    story.fault("their.own", "n1", decided=10, in_force=10, healing=60, healed=61, traits=kind, lost="n1")
    story.members(back, "n1 n2 n3", 3, "n1").watched(99, "n1 n2 n3").done(100)
    finding = judged(story, QuorumSurvived(leader=leader))
    assert finding.verdict is (verdict if leader == "stays" else Verdict.BROKEN), finding.summary
    assert f"nobody led for {back - 10:.1f} s from 10.0 s" in finding.summary
    assert leader == "moves" or ("though n1 was still followed: it could not lead" in finding.summary) is (verdict is Verdict.UNKNOWN)


@pytest.mark.parametrize("refused", [9.9, 10.5], ids=["before it was seen to bite", "after that"])
@pytest.mark.parametrize(("knows", "verdict"), [("n1", Verdict.HELD), (None, Verdict.UNKNOWN)], ids=["leads at once", "knows of no leader"])
def test_a_leader_that_was_killed_and_knows_of_no_leader_leads_nobody(refused: float, knows: str | None, verdict: Verdict) -> None:
    """Back after 3 s it says what it knows, while its followers name it until 22 s; it is elected again at 24 s."""
    story = Story().members(0.1, "n1 n2 n3", 2, "n1").no_member(refused, "n1").member(13, "n1", 2, knows)
    kind = daemon("etcd", in_place=True)
    story.fault("their.own", "n1", decided=9.5, in_force=10, healing=60, healed=61, traits=kind, lost="n1")
    story.members(22, "n2 n3", 2, None).members(24, "n1 n2 n3", 3, "n1").watched(99, "n1 n2 n3").done(100)
    finding = judged(story, QuorumSurvived(leader="stays"))
    assert finding.verdict is verdict, finding.summary
    assert ("nobody led for 14.0 s from 10.0 s" in finding.summary) is (knows is None)


@pytest.mark.parametrize(("by", "words"), [("n1", ""), ("n2", "nobody led for 49.0 s from 10.0 s")], ids=["itself", "another"])
def test_a_leader_that_acknowledges_writes_is_back_whether_it_can_be_asked_or_not(by: str, words: str) -> None:
    """Its membership gives no answer for all the fault; it acknowledges writes by its own name, or others do, and nobody knows who leads them."""
    story = Story().members(0.1, "n1 n2 n3", 2, "n1").no_member(10.5, "n1").member(59, "n1", 2, "n1").writes(2, 97, by=by)
    kind = daemon("etcd", in_place=True)
    story.fault("their.own", "n1", decided=10, in_force=10, healing=60, healed=61, traits=kind, lost="n1")
    finding = judged(story.watched(99, "n1 n2 n3").done(100), QuorumSurvived(leader="stays"))
    assert (finding.verdict is Verdict.UNKNOWN) is bool(words), finding.summary
    assert words in finding.summary
    assert words or "nobody led" not in finding.summary


@pytest.mark.parametrize(
    ("last", "again", "said"),
    [
        (
            10,
            40,
            "for 30.0 s from 10.0 s while net.partition was in force on n1 (at most 20.0 s: until 20.0 s for an election, and 10 s more",
        ),
        (
            15,
            40,
            "for 25.5 s from 14.5 s while net.partition was in force on n1 (at most 15.5 s: until 20.0 s for an election, and 10 s more",
        ),
        (25, 40, "for 15.5 s from 24.5 s while net.partition was in force on n1 (at most 10 s)"),
    ],
    ids=["from the bite on", "during the election", "after it"],
)
def test_a_figure_that_convicts_is_the_one_that_its_limit_is_for(last: int, again: int, said: str) -> None:
    """An election has the first ten seconds from the bite at 10 s, and ten more convict: both figures are with them, or both without."""
    finding = judged(cut().writes(2, last).writes(last, again, Outcome.FAIL).writes(again, 98), QuorumSurvived(writes="go on"))
    assert finding.verdict is Verdict.BROKEN
    assert said in finding.summary


def test_a_pause_of_writes_that_goes_on_where_it_is_not_judged_is_told_as_well() -> None:
    """Another fault bites at 35 s: none from 10 s to 50 s."""
    story = cut().fault("net.partition", "n2", decided=34.9, in_force=35, healing=55, healed=56, number=2)
    finding = judged(story.writes(2, 10).writes(10, 50, Outcome.FAIL).writes(50, 98), QuorumSurvived(writes="go on"))
    assert finding.verdict is Verdict.BROKEN
    assert "for 24.9 s from 10.0 s while" in finding.summary
    assert "for the next write); with the time beside it that is not judged the pause was 40.0 s, from 10.0 s" in finding.summary


def test_leadership_that_stayed_is_shown_by_the_words_of_its_followers() -> None:
    """Beside the life of the fault: without them nobody sees who led."""
    story = slow()
    finding = judged(story, QuorumSurvived(leader="moves"))
    assert finding.verdict is Verdict.BROKEN
    said = {
        (event.node, event.leader)
        for entry in story.history().entries
        if entry.index in finding.evidence and isinstance(event := entry.event, MemberSeen)
    }
    assert said == {("n1", "n1"), ("n2", "n1"), ("n3", "n1")}


def test_leadership_that_moves() -> None:
    """From n1 to n2, seen by a majority, while in force."""
    story = cut().members(13.5, "n2 n3", 3, "n2")
    moves = judged(story, QuorumSurvived(leader="moves"))
    assert moves.verdict is Verdict.HELD
    assert "leadership moved from n1 to n2 3.5 s after net.partition began to bite" in moves.summary
    assert judged(story, QuorumSurvived(leader="stays")).verdict is Verdict.BROKEN


ETCD = daemon("etcd", in_place=False)
BEFOREHAND: dict[str, tuple[Callable[[Story], Story], str]] = {
    "nothing": (lambda story: story, ""),
    "an action stopped it": (
        lambda story: story.action(9, 9.4, "service.stop", "n1", effect=Effect(stops=("etcd",))),
        "etcd on n1 was stopped, or may have been, from 9.0 s on",
    ),
    "an action in doubt may have stopped it": (
        lambda story: story.action(9, 9.4, "service.stop", "n1", effect=Effect(stops=("etcd",)), outcome=Outcome.UNKNOWN),
        "etcd on n1 was stopped",
    ),
    "an action stopped it, and another started it": (
        lambda story: story.action(4, 4.4, "service.stop", "n1", effect=Effect(stops=("etcd",))).action(
            5, 6, "service.start", "n1", effect=Effect(starts=("etcd",)), number=2
        ),
        "",
    ),
    "an action stopped another's": (
        lambda story: story.action(4, 4.4, "service.stop", "n3", effect=Effect(stops=("etcd",))),
        "",
    ),
    "another fault killed it": (
        lambda story: story.fault("process.kill", "n1", decided=9, in_force=9.2, healing=61, healed=62, traits=ETCD, lost="n1", number=1),
        "n1 was lost to process.kill, or may have been, from 9.0 s on",
    ),
    "another fault may have killed it, and failed": (
        lambda story: story.fault("process.kill", "n1", decided=9, failed=9.5, traits=ETCD, lost="n1", number=1),
        "n1 was lost to process.kill",
    ),
    "another fault killed it, and it was back": (
        lambda story: story.fault("process.kill", "n1", decided=3, in_force=3.2, healing=4, healed=5, traits=ETCD, lost="n1", number=1),
        "",
    ),
    "another fault killed it in place, and it leads again": (
        lambda story: story.fault(
            "process.kill", "n1", decided=3, in_force=3.2, healing=61, healed=62, traits=replace(ETCD, in_place=True), lost="n1", number=1
        ).member(5, "n1", 2, "n1"),
        "",
    ),
    "another fault killed Docker there": (
        lambda story: story.fault(
            "process.kill",
            "n1",
            decided=3,
            in_force=3.2,
            healing=61,
            healed=62,
            traits=daemon("docker", in_place=False),
            lost="n1",
            number=1,
        ),
        "",
    ),
    "it gave no answer": (lambda story: story.no_member(9.4, "n1"), "n1 gave no answer any more at 9.4 s"),
}


@pytest.mark.parametrize("case", BEFOREHAND)
def test_a_leader_that_may_have_been_gone_before_shows_nothing_of_the_fault_that_takes_its_machine(case: str) -> None:
    """Its followers name it until they notice, at 14 s: n1 loses power at 10.5 s."""
    before, words = BEFOREHAND[case]
    story = before(
        Story().members(0, "n1 n2 n3", 2, "n1").members(14, "n2 n3", 3, "n2").node(0, "n1").off(10.5, "n1").no_member(10.6, "n1")
    )
    story.fault("node.kill", "n1", decided=10, in_force=11, healing=60, healed=61, number=2).node(62, "n1").member(64, "n1", 3, "n2")
    finding = QuorumSurvived(leader="moves").check(story.watched(99, "n1 n2 n3").done(100).history())
    points = finding.details.get("points", [])
    told = [finding.summary, *map(str, points if isinstance(points, list) else [])]
    doubts = [each for each in told if "after node.kill began to bite; but" in each]
    assert any(words in each for each in doubts) if words else not doubts, told


def test_leadership_that_stays() -> None:
    """The slow disk was not slow enough."""
    story = slow()
    moves = judged(story, QuorumSurvived(leader="moves"))
    assert moves.verdict is Verdict.BROKEN
    assert "leadership stayed with n1 for all the 50.0 s" in moves.summary
    assert judged(story, QuorumSurvived(leader="stays")).verdict is Verdict.HELD


def test_leadership_that_moves_before_all_is_in_force_counts() -> None:
    """The election may be over before the last target confirms."""
    story = Story().node(0, "n1").off(11, "n1").members(0, "n1 n2 n3", 2, "n1")
    story.fault("node.kill", "n1", decided=10, in_force=14, healing=60, healed=60)
    assert judged(story.members(13, "n2 n3", 3, "n3").done(100), QuorumSurvived(leader="moves")).verdict is Verdict.HELD


SINCE: dict[str, tuple[Callable[[Story], Story], Verdict, Verdict]] = {
    "lost before it had bitten": (lambda story: story.members(12, "n1 n2 n3", 3, "n2"), Verdict.UNKNOWN, Verdict.UNKNOWN),
    "lost, and back, before it had bitten": (
        lambda story: story.members(12, "n1 n2 n3", 3, "n2").members(20, "n1 n2 n3", 4, "n1"),
        Verdict.UNKNOWN,
        Verdict.UNKNOWN,
    ),
    "lost when it had bitten": (lambda story: story.members(36, "n1 n2 n3", 3, "n2"), Verdict.HELD, Verdict.BROKEN),
    "lost when it had been made": (
        lambda story: story.tell(30, FaultStage(1, "command", ("n3",), Stage.INJECTED)).members(32, "n1 n2 n3", 3, "n2"),
        Verdict.HELD,
        Verdict.BROKEN,
    ),
    "lost before, and when it had bitten": (
        lambda story: story.members(12, "n1 n2 n3", 3, "n2").members(40, "n1 n2 n3", 4, "n1"),
        Verdict.HELD,
        Verdict.BROKEN,
    ),
}


@pytest.mark.parametrize("case", SINCE)
def test_leadership_that_was_lost_before_a_fault_is_known_to_have_bitten_shows_nothing_of_it(case: str) -> None:
    """It takes 25 s to be made: in that time it may have bitten, or not."""
    then, moves, stays = SINCE[case]
    story = Story().members(0, "n1 n2 n3", 2, "n1")
    story.fault("command", "n3", decided=10, in_force=35, healing=60, healed=61, traits=Traits(Loss.NOTHING, ()))
    history = then(story).watched(99, "n1 n2 n3").done(100).history()
    assert QuorumSurvived(leader="moves").check(history).verdict is moves
    assert QuorumSurvived(leader="stays").check(history).verdict is stays


def test_leadership_that_moves_only_after_the_heal_does_not_count() -> None:
    """While in force means while in force."""
    assert judged(cut().members(61, "n2 n3", 3, "n2"), QuorumSurvived(leader="moves")).verdict is Verdict.BROKEN


def slow_switch(target: str) -> Story:
    """Three members that follow n1 in term 2; a power switch that says only at 40 s that it is done: its machine was off at 10.5 s, until 48 s."""
    story = Story().members(0, "n1 n2 n3", 2, "n1").node(0, target).off(10.5, target).watched(99, "n1 n2 n3")
    return story.fault("node.kill", target, decided=10, in_force=40, healing=48, healed=50).done(100)


@pytest.mark.parametrize(("back", "verdict"), [(19, Verdict.HELD), (41, Verdict.BROKEN)])
def test_writes_that_pause_before_the_switch_says_so_convict(back: float, verdict: Verdict) -> None:
    """Counted from in force on both would go on; but for one nothing was acknowledged for half a minute with the machine off."""
    finding = judged(slow_switch("n3").writes(0, 10).writes(10, back, Outcome.FAIL).writes(back, 98), QuorumSurvived(writes="go on"))
    assert (finding.verdict, "from 10.5 s while node.kill" in finding.summary) == (verdict, verdict is Verdict.BROKEN)


@pytest.mark.parametrize(("until", "verdict"), [(34, Verdict.HELD), (39, Verdict.BROKEN)])
def test_writes_that_go_on_before_the_switch_says_so_have_not_stopped(until: float, verdict: Verdict) -> None:
    """A majority is lost with the second machine, at 35 s: until then writes may go on, and not later, though the switch says so only at 40 s."""
    story = Story().members(0, "n1 n2 n3", 2, "n1").node(0, "n2").node(0, "n3").off(10.5, "n2").off(35, "n3").watched(99, "n1 n2 n3")
    story.fault("node.kill", "n2 n3", decided=10, in_force=40, healing=48, healed=50).done(100)
    story.writes(0, until).writes(until, 51, Outcome.FAIL).writes(52, 98)
    finding = judged(story, QuorumSurvived(writes="stop"))
    assert (finding.verdict, "after it had bitten" in finding.summary) == (verdict, verdict is Verdict.BROKEN)


def test_leadership_that_moves_and_is_lost_before_the_switch_says_so_counts() -> None:
    """From in force on nobody led, for less than an election: it would seem to have stayed with a machine that was off."""
    story = slow_switch("n1").members(13, "n2 n3", 3, "n2").members(38, "n2 n3", 3, None)
    moves, stays = judged(story, QuorumSurvived(leader="moves")), judged(story, QuorumSurvived(leader="stays"))
    assert (moves.verdict, stays.verdict) == (Verdict.HELD, Verdict.BROKEN)
    assert stays.summary == "leadership moved from n1 to n2 2.5 s after node.kill began to bite"


@pytest.mark.parametrize(("lost", "verdict"), [(34, Verdict.UNKNOWN), (36, Verdict.BROKEN)])
def test_a_machine_of_another_that_is_seen_to_be_off_late_has_not_moved_leadership_before(lost: float, verdict: Verdict) -> None:
    """Only whose own machine goes off may have lost leadership to that sooner than it was seen: n3 is off at 35 s, and n1 leads."""
    story = Story().members(0, "n1 n2 n3", 2, "n1").node(0, "n3").off(35, "n3").watched(99, "n1 n2 n3")
    story.fault("node.kill", "n3", decided=10, in_force=40, healing=60, healed=62).members(lost, "n1 n2", 2, None)
    finding = judged(story.members(38, "n1 n2", 3, "n2").done(100), QuorumSurvived(leader="stays"))
    doubted = "nobody knows whether node.kill had bitten before 35.0 s" in finding.summary
    assert (finding.verdict, doubted) == (verdict, verdict is Verdict.UNKNOWN), finding.summary


@pytest.mark.parametrize(
    ("since", "verdict", "text"),
    [
        (12, Verdict.BROKEN, "no majority followed a leader in the last 36.0 s while node.kill bit n3; n1 led before"),
        (39, Verdict.HELD, "no other than n1 led in the 37.5 s while node.kill bit n3; nobody led for 9.0 s from 39.0 s"),
    ],
)
def test_leadership_that_is_lost_long_before_the_switch_says_so_convicts(since: float, verdict: Verdict, text: str) -> None:
    """Counted from in force both would be lost for 8 s: one is no longer than an election, and the other was over half a minute."""
    finding = judged(slow_switch("n3").members(since, "n1 n2", 2, None), QuorumSurvived(leader="stays"))
    assert (finding.verdict, text in finding.summary) == (verdict, True)


@pytest.mark.parametrize(("healing", "verdict"), [(44, Verdict.HELD), (46, Verdict.BROKEN)])
def test_an_election_has_its_time_from_the_last_machine_that_goes_off(healing: float, verdict: Verdict) -> None:
    """Off at 10.5 s and at 35 s, without a leader from 33 s on: 9 s after 35 s are allowed, and 11 s are not, though only 6 s were in force."""
    story = Story().members(0, "n1 n2 n3 n4 n5", 2, "n1").node(0, "n4").node(0, "n5").off(10.5, "n4").off(35, "n5")
    story.fault("node.kill", "n4 n5", decided=10, in_force=40, healing=healing, healed=healing)
    story.members(33, "n2 n3", 2, None).watched(99, "n1 n2 n3").done(100)
    finding = judged(story, QuorumSurvived(leader="stays"))
    assert (finding.verdict, "in the last 11.0 s" in finding.summary) == (verdict, verdict is Verdict.BROKEN)


def test_leadership_that_moves_and_comes_back_between_two_machines_that_go_off_counts() -> None:
    """The fault acts from the first of them on, whatever led again when the second was off."""
    story = Story().members(0, "n1 n2 n3 n4 n5", 2, "n1").node(0, "n4").node(0, "n5").off(10.5, "n4").off(35, "n5")
    story.fault("node.kill", "n4 n5", decided=10, in_force=40, healing=60, healed=62)
    story.members(13, "n1 n2 n3 n5", 3, "n2").members(30, "n1 n2 n3", 4, "n1").watched(99, "n1 n2 n3").done(100)
    moves, stays = judged(story, QuorumSurvived(leader="moves")), judged(story, QuorumSurvived(leader="stays"))
    assert (moves.verdict, stays.verdict) == (Verdict.HELD, Verdict.BROKEN)


LEADERLESS: dict[str, tuple[Story, str, Verdict, str]] = {
    "back with the old one after far too long": (
        slow().members(15, "n1 n2 n3", 2, None).members(45, "n1 n2 n3", 3, "n1"),
        "stays",
        Verdict.BROKEN,
        "no majority followed a leader from 15.0 s for 30.0 s while disk.slow bit n1; n1 led before",
    ),
    "back with the old one in time": (
        slow().members(15, "n1 n2 n3", 2, None).members(24, "n1 n2 n3", 3, "n1"),
        "stays",
        Verdict.HELD,
        "no other than n1 led in the 50.0 s while disk.slow bit n1; nobody led for 9.0 s from 15.0 s",
    ),
    "in time, and often": (
        slow().members(15, "n2 n3", 2, None).members(20, "n2 n3", 2, "n1").members(30, "n2 n3", 2, None).members(39, "n2 n3", 2, "n1"),
        "stays",
        Verdict.HELD,
        "nobody led for 9.0 s from 30.0 s, the longest of 2 times",
    ),
    "moved for a moment, then nobody": (
        cut().members(11, "n2 n3", 3, "n3").members(11.2, "n1 n2 n3", 3, None).members(52, "n2 n3", 4, "n3"),
        "moves",
        Verdict.BROKEN,
        "no majority followed a leader from 11.2 s for 40.8 s",
    ),
    "moved for a moment, then nobody to the end": (
        cut().members(11, "n2 n3", 3, "n3").members(11.2, "n1 n2 n3", 3, None),
        "moves",
        Verdict.BROKEN,
        "no majority followed a leader in the last 48.8 s",
    ),
    "moved, after an election": (
        cut().members(11, "n2 n3", 2, None).members(19, "n2 n3", 3, "n3"),
        "moves",
        Verdict.HELD,
        "leadership moved from n1 to n3 9.0 s after net.partition began to bite; nobody led for 8.0 s from 11.0 s",
    ),
    "moved at last": (
        cut().members(11, "n2 n3", 2, None).members(29, "n2 n3", 3, "n3"),
        "moves",
        Verdict.BROKEN,
        "no majority followed a leader from 11.0 s for 18.0 s",
    ),
    "nobody could be asked": (
        slow().no_member(15, "n1").no_member(15, "n2").no_member(15, "n3").members(45, "n2 n3", 2, "n1"),
        "stays",
        Verdict.UNKNOWN,
        "no majority followed a leader from 15.0 s for 30.0 s while disk.slow bit n1; n1 led before; but n1, n2, n3 could not be asked",
    ),
    "nobody could be asked, and just before the end followed none": (
        slow().no_member(15, "n2").no_member(15, "n3").members(44, "n2 n3", 2, None).members(45, "n2 n3", 2, "n1"),
        "stays",
        Verdict.UNKNOWN,
        "but n2, n3 could not be asked",
    ),
    "nobody could be asked, and long before the end followed none": (
        slow().no_member(15, "n2").no_member(15, "n3").members(30, "n2 n3", 2, None).members(45, "n2 n3", 2, "n1"),
        "stays",
        Verdict.BROKEN,
        "no majority followed a leader from 15.0 s for 30.0 s",
    ),
}


@pytest.mark.parametrize("case", LEADERLESS)
def test_nobody_leads_for_longer_than_an_election_at_no_time(case: str) -> None:
    """Whoever led before and after; what is shorter is said, and where nobody could be asked it is not known."""
    story, promise, verdict, text = LEADERLESS[case]
    finding = judged(story, QuorumSurvived(leader="moves" if promise == "moves" else "stays"))
    assert (finding.verdict, text in finding.summary) == (verdict, True), finding.summary


FOUR: dict[str, tuple[str, str, float, Verdict, str]] = {
    # the members that are planned; those that answer; from when on all that do follow one again
    "planned, and all were heard": (
        "n1 n2 n3 n4",
        "n1 n2 n3 n4",
        41,
        Verdict.BROKEN,
        "no majority followed a leader from 11.0 s for 30.0 s",
    ),
    "for less than an election": ("n1 n2 n3 n4", "n1 n2 n3 n4", 20, Verdict.HELD, "nobody led for 9.0 s from 11.0 s"),
    "one was never heard": ("n1 n2 n3 n4", "n1 n2 n3", 41, Verdict.UNKNOWN, "but n4 of the 4 members never answered"),
    "nobody planned them": ("", "n1 n2 n3 n4", 41, Verdict.UNKNOWN, "but only 4 members were ever heard"),
}


@pytest.mark.parametrize("leader", ["moves", "stays"])
@pytest.mark.parametrize("case", FOUR)
def test_an_even_number_of_members_can_be_without_a_leader(case: str, leader: Literal["moves", "stays"]) -> None:
    """Four members that agree on nobody are led by nobody: that convicts as with three or five, where the plan has them and each was heard."""
    planned, heard, back, verdict, text = FOUR[case]
    expected = Expected(observers=(("membership", tuple(planned.split())),))
    story = Story().members(0, heard, 2, "n1").watched(99, "n1 n2 n3 n4")
    story.fault("disk.slow", "n1", decided=10, in_force=10, healing=60, healed=60)
    story.members(11, heard, 2, None).members(back, heard, 3, "n1" if leader == "stays" else "n3").done(100)
    finding = judged(story, QuorumSurvived(leader=leader, expected=expected))
    assert (finding.verdict, text in finding.summary) == (verdict, True), finding.summary


def test_leadership_that_is_lost_neither_moves_nor_stays() -> None:
    """A majority that follows nobody is no leader."""
    story = cut().members(12, "n1 n2", 3, None)
    for promise in ("moves", "stays"):
        finding = judged(story, QuorumSurvived(leader=promise))
        assert finding.verdict is Verdict.BROKEN
        assert "no majority followed a leader in the last 48.0 s" in finding.summary


def test_a_member_that_fails_to_answer_once_moves_no_leadership() -> None:
    """A moment without a majority at the end of the hold is not the end of a reign."""
    assert judged(slow().no_member(58, "n1").no_member(58, "n2"), QuorumSurvived(leader="stays")).verdict is Verdict.HELD


def test_leadership_without_a_witness_is_unknown() -> None:
    """Nobody answered while in force, or nobody led before."""
    mute = Story().members(0, "n1 n2 n3", 2, "n1").fault("net.partition", "n1", decided=10, in_force=10, healing=60, healed=60).done(100)
    assert judged(mute, QuorumSurvived(leader="moves")).verdict is Verdict.UNKNOWN
    late = Story().members(20, "n1 n2 n3", 2, "n1").fault("net.partition", "n1", decided=10, in_force=10, healing=60, healed=60).done(100)
    assert judged(late, QuorumSurvived(leader="moves")).verdict is Verdict.UNKNOWN


def test_promises_about_a_fault_need_one() -> None:
    """Without a fault in force there was nothing to withstand."""
    story = Story().members(0, "n1 n2 n3", 2, "n1").done(10)
    assert judged(story, QuorumSurvived(writes="go on")).verdict is Verdict.UNKNOWN
    assert judged(story, QuorumSurvived()).verdict is Verdict.HELD


@pytest.mark.parametrize(("decided", "verdict"), [(1.0, Verdict.UNKNOWN), (9.9, Verdict.HELD)])
def test_an_election_counts_from_when_a_fault_was_decided_since_that_may_have_been_its_bite(decided: float, verdict: Verdict) -> None:
    """No write was acknowledged from 2 s to 25 s: too long, if it bit at once, however long it took until it was made."""
    story = Story().members(0, "n1 n2 n3", 2, "n1").watched(99, "n1 n2 n3").writes(0, 2).writes(2, 25, Outcome.UNKNOWN).writes(25, 99)
    story.fault("net.partition", "n3", decided=decided, in_force=10, healing=60, healed=60)
    finding = judged(story.tell(9.95, FaultStage(1, "net.partition", ("n3",), Stage.INJECTED)).done(100), QuorumSurvived("go on"))
    assert (finding.verdict, verdict is Verdict.HELD or "counted from when net.partition was decided" in finding.summary) == (verdict, True)


@pytest.mark.parametrize(
    ("up", "silent", "off", "verdict"),
    [
        (9.0, 99.0, True, Verdict.HELD),
        (2.0, 99.0, True, Verdict.UNKNOWN),
        (9.0, 2.0, True, Verdict.UNKNOWN),  # its member was gone before
        (9.0, 99.0, False, Verdict.UNKNOWN),  # it is lost in another way
    ],
)
def test_an_election_counts_from_when_a_machine_was_last_up_by_its_own_word(
    up: float, silent: float, verdict: Verdict, *, off: bool
) -> None:
    """The same, where what was decided at 1 s is a power switch that took until 10 s, and the machine spoke until some moment."""
    story = Story().members(0, "n1 n2 n3", 2, "n1").watched(99, "n1 n2 n3").writes(0, 2).writes(2, 25, Outcome.UNKNOWN).writes(25, 99)
    for second in range(int(up) + 1):
        story.node(second, "n3")
    story.fault("node.kill", "n3", decided=1.0, in_force=10, healing=60, healed=60).node(60, "n3")
    story.no_member(silent, "n3")
    if off:
        story.off(9.9, "n3")
    finding = QuorumSurvived("go on").check(story.done(100).history(beats=False))
    assert finding.verdict is verdict, finding.summary


def test_a_member_that_forgot_is_told_once() -> None:
    """However often it speaks of the old term since, and beside another that forgot, too."""
    story = Story().members(1, "n1 n2 n3", 5, "n1").members(10, "n2 n3", 3, "n1").members(20, "n2", 3, "n1").members(30, "n2", 4, "n1")
    points = broken_terms(story.done(40).history())
    assert [point.text.split(" ", 1)[0] for point in points] == ["n2", "n3"]


def _unheard(history: History, node: str, since: float) -> History:
    """Return a history in which nobody listened to a member from some time on."""
    told = [
        (entry.time, entry.event)
        for entry in history.entries
        if not (
            entry.time >= since
            and getattr(entry.event, "node", "") == node
            and (isinstance(entry.event, MemberSeen) or (isinstance(entry.event, Watching) and entry.event.observer == "membership"))
        )
    ]
    return History(History.of_events(*told).entries, run=history.run, closed=history.closed)


@pytest.mark.parametrize("since", [1.5, 9.0])
@pytest.mark.parametrize(("node", "verdict"), [("n1", Verdict.HELD), ("n2", Verdict.UNKNOWN), ("n3", Verdict.UNKNOWN)])
def test_a_majority_that_stands_on_words_that_nobody_heard_again_convicts_nobody(node: str, verdict: Verdict, since: float) -> None:
    """The leader was cut off, and led on by its own word and by what one said long ago; where the two others are heard, it moved."""
    history = History.load(Path(__file__).parents[2] / "fixtures" / "histories" / "partition-heal.jsonl")
    for leader in ("moves", "stays"):
        found = QuorumSurvived("go on", leader).check(_unheard(history, node, since))
        expected = Verdict.BROKEN if leader == "stays" and verdict is Verdict.HELD else verdict
        assert (found.verdict, leader) == (expected, leader), found.summary


@pytest.mark.parametrize("node", ["", "n2"])
def test_a_majority_of_those_who_were_heard_all_along_decides(node: str) -> None:
    """That one was not listened to, which was killed anyway, is no excuse: the two others followed one leader all the time."""
    history = _unheard(node_kill().history(), node, 1.5) if node else node_kill().history()
    assert QuorumSurvived("go on", "stays").check(history).verdict is Verdict.HELD
    assert QuorumSurvived("go on", "moves").check(history).verdict is Verdict.BROKEN
