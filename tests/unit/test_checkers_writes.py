"""Writes: every acknowledged one must be there at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.checkers import Writes
from harness.testing.histories import Story
from harness.values import Outcome, Phase, Verdict

if TYPE_CHECKING:
    from harness.values import Finding


def judged(story: Story) -> Finding:
    """What the checker says."""
    return Writes().check(story.history())


def test_writes_that_are_read_back_are_held() -> None:
    """Also one that failed and is not there, and one whose fate is unknown and is."""
    story = Story().write(1, "a", "1").write(2, "b", "2", Outcome.FAIL).write(3, "c", "3", Outcome.UNKNOWN).done(10)
    finding = judged(story.read(9.1, "a", "1").read(9.2, "b", None).read(9.3, "c", "3"))
    assert (finding.verdict, finding.summary) == (Verdict.HELD, "1 acknowledged write of 1 read back at the end")


def test_a_lost_write_is_broken_and_listed() -> None:
    """With its op, its key, and when it was acknowledged."""
    finding = judged(Story().write(1, "a", "1").write(2, "b", "2").done(10).read(9.1, "a", "1").read(9.2, "b", None))
    assert finding.verdict is Verdict.BROKEN
    assert finding.summary == "1 acknowledged write lost, the first b (op 2, acknowledged at 2.0 s): expected '2', the last read saw absent"
    assert finding.details["lost"] == [{"op": 2, "key": "b", "value": "2", "acknowledged": 2.01, "read": 9.2, "saw": None, "by": None}]
    assert len(finding.evidence) == 2


def test_a_write_with_another_value_is_lost() -> None:
    """Something is there, but not what was acknowledged."""
    assert judged(Story().write(1, "a", "1").done(10).read(9.1, "a", "x")).verdict is Verdict.BROKEN


def test_a_second_write_of_unknown_fate_may_have_won() -> None:
    """Either value is good then."""
    story = Story().write(1, "a", "1").write(2, "a", "2", Outcome.UNKNOWN).done(10)
    assert judged(story.read(9.1, "a", "2")).verdict is Verdict.HELD


def test_a_read_that_misses_an_acknowledged_write_is_broken() -> None:
    """Stale by more than nothing, although the write is there at the end."""
    finding = judged(Story().write(1, "a", "1").read(2, "a", None).done(10).read(9.1, "a", "1"))
    assert finding.verdict is Verdict.BROKEN
    assert "saw nothing where a write had been acknowledged" in finding.summary


def test_a_read_that_began_before_the_acknowledgement_may_miss_it() -> None:
    """Concurrent calls have no order; a read without an answer shows nothing."""
    story = Story().write(1, "a", "1", took=0.5).read(1.2, "a", None, took=1.0).read(3, "a", None, Outcome.UNKNOWN)
    assert judged(story.done(10).read(9.1, "a", "1")).verdict is Verdict.HELD


def test_a_last_read_that_failed_is_unknown() -> None:
    """Could not read is not lost; a second try that works is enough."""
    story = Story().write(1, "a", "1").done(10).read(9.1, "a", None, Outcome.UNKNOWN)
    assert judged(story).verdict is Verdict.UNKNOWN
    assert judged(story.read(9.2, "a", "1")).verdict is Verdict.HELD


def test_a_key_that_nobody_read_back_is_unknown() -> None:
    """The last reads are incomplete, or never began."""
    assert judged(Story().write(1, "a", "1").done(10)).verdict is Verdict.UNKNOWN
    cut_off = Story().phase(0, Phase.STEADY).write(1, "a", "1").read(2, "a", "1")
    assert judged(cut_off).verdict is Verdict.UNKNOWN


def test_a_run_without_an_acknowledged_write_is_unknown() -> None:
    """All of none were read back."""
    assert judged(Story().write(1, "a", "1", Outcome.FAIL).write(2, "b", "1", None).done(10)).verdict is Verdict.UNKNOWN
