"""Writes: every acknowledged one must be there at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.checkers import Writes
from harness.core.values import Outcome, Phase, Verdict
from harness.testing.histories import Story

if TYPE_CHECKING:
    from harness.core.values import Finding


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


@pytest.mark.parametrize(("acknowledged", "verdict"), [(9.19, Verdict.BROKEN), (9.35, Verdict.UNKNOWN)])
def test_a_last_read_that_began_before_the_acknowledgement_proves_no_loss(acknowledged: float, verdict: Verdict) -> None:
    """A call that takes longer than its driver waits is recorded all the same: whoever read before it was over may find nothing."""
    story = Story().write(1, "a", "1").write(8.9, "b", "2", took=acknowledged - 8.9).done(10).read(9.1, "a", "1").read(9.2, "b", None)
    assert judged(story).verdict is verdict


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


@pytest.mark.parametrize(("read", "verdict"), [(0.5, Verdict.HELD), (3, Verdict.BROKEN)])
def test_a_key_that_is_written_twice_is_there_from_its_first_acknowledgement_on(read: float, verdict: Verdict) -> None:
    """Whoever finds nothing after that has missed it."""
    story = Story().write(1, "a", "1").write(5, "a", "1").read(read, "a", None).done(10)
    assert judged(story.read(9.1, "a", "1")).verdict is verdict


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


def test_a_refused_write_that_is_there_is_broken() -> None:
    """Refused means: not done, and never will be. At the end or in between, read alone or beside others."""
    for begun in (9.1, 5.0):
        story = Story().write(1, "a", "1").write(2, "b", "2", Outcome.FAIL).read(begun, "b", "2").done(10).read(9.2, "a", "1")
        finding = judged(story)
        assert finding.verdict is Verdict.BROKEN
        assert finding.summary == (
            f"1 read found a value whose write was refused, the first: b was read as '2' at {begun:.1f} s (op 2, refused at 2.0 s)"
        )
        assert len(finding.evidence) == 2


def test_a_write_that_was_refused_once_and_done_once_may_be_there() -> None:
    """The same value was written again, and nobody refused that one; or nobody knows what became of it."""
    for outcome in (Outcome.OK, Outcome.UNKNOWN, None):
        story = Story().write(1, "a", "1").write(2, "b", "2", Outcome.FAIL).write(3, "b", "2", outcome).done(10)
        assert judged(story.read(9.1, "a", "1").read(9.2, "b", "2")).verdict is Verdict.HELD


def test_a_value_that_nobody_wrote_is_broken() -> None:
    """Of a key that was written, of one whose write is in doubt, and of one that nobody ever wrote."""
    for key in ("a", "b", "c"):
        story = Story().write(1, "a", "1").write(2, "b", "2", None).read(5, key, "7").done(10).read(9.2, "a", "1")
        finding = judged(story)
        assert (finding.verdict, finding.summary) == (
            Verdict.BROKEN,
            f"1 read found a value that nobody wrote, the first: {key} was read as '7' at 5.0 s",
        )


@pytest.mark.parametrize(
    ("still", "verdict"),
    [(None, Verdict.UNKNOWN), ((19.8, 34.8), Verdict.BROKEN), ((2.0, 12.0), Verdict.UNKNOWN), ((19.8, 27.0), Verdict.UNKNOWN)],
    ids=["never", "all that time", "before", "half of it"],
)
def test_a_value_that_nobody_wrote_convicts_only_where_all_writes_are_told_of(still: tuple[float, float] | None, verdict: Verdict) -> None:
    """For fifteen seconds no write is told of: as if their lines were cut out, unless the harness stood still all that time and made none."""
    story = Story().writes(1, 20).writes(35, 50).read(51, "strange", "7").done(53)
    if still:
        story.stalled(*still)
    for tenths in (*range(10, 200, 5), *range(350, 500, 5)):
        story.read(52.1 + tenths / 10000, f"k{tenths}", f"v{tenths}")
    assert judged(story).verdict is verdict


def busy(key: str, *reads: tuple[float, float]) -> Story:
    """Ten calls of the register a second, two of three of them writes, to 20 s and from 22 s on; at 40 s a read of `key` finds what nobody wrote.

    Meanwhile there are these `reads`: when each was begun, and how long it took.
    """
    story, tenths = Story().phase(0.5, Phase.STEADY).write(0.6, "k1", "v1"), (*range(10, 200), *range(220, 520))
    for tenth in tenths:
        story = story.write(tenth / 10, f"k{tenth}", f"v{tenth}") if tenth % 3 else story.read(tenth / 10, "k1", "v1")
    for begun, took in reads:
        story.read(begun, "k1", "v1", took=took)
    story.read(40.05, key, "strange").done(53)
    for tenth in (1, *(each for each in tenths if each % 3)):
        story.read(52.1 + tenth / 10000, f"k{tenth}", f"v{tenth}")
    return story


@pytest.mark.parametrize(
    ("key", "reads", "verdict"),
    [
        ("k9999", [], Verdict.UNKNOWN),
        ("k100", [], Verdict.BROKEN),
        ("k9999", [(20 + each / 10, 0.01) for each in range(20)], Verdict.BROKEN),
        ("k9999", [(20 + each / 3, 0.01) for each in range(6)], Verdict.UNKNOWN),
        ("k9999", [(20.01, 1.9)], Verdict.BROKEN),
        ("k9999", [(20.01, 0.5)], Verdict.UNKNOWN),
    ],
    ids=[
        "nobody called",
        "of a key that was written",
        "reads in a row, as many as were due",
        "only as many reads as ever",
        "a call that kept its caller waiting",
        "for a part of it",
    ],
)
def test_a_pause_of_writes_that_comes_of_itself_excuses_no_value_that_nobody_wrote(
    key: str, reads: list[tuple[float, float]], verdict: Verdict
) -> None:
    """What is read or written is left to chance, and callers wait for a lost node: where lines were cut out, calls that were due are missing."""
    finding = judged(busy(key, *reads))
    assert finding.verdict is verdict, finding.summary


def test_a_value_of_a_key_that_was_written_may_be_anybodys_where_keys_are_written_twice() -> None:
    """Two workloads may write the same keys: then what nobody is told to have written may have been written in a pause."""
    assert judged(busy("k100").write(30.05, "k200", "v200").write(30.06, "k200", "v200")).verdict is Verdict.UNKNOWN


def test_a_value_that_is_read_before_it_is_written_is_broken() -> None:
    """Its write was begun only after the read had its answer."""
    story = Story().write(1, "a", "1").read(2, "b", "2", took=0.5).write(3, "b", "2").done(10)
    finding = judged(story.read(9.1, "a", "1").read(9.2, "b", "2"))
    assert finding.verdict is Verdict.BROKEN
    assert finding.summary == "1 read found a value before it was written, the first: b was read as '2' at 2.5 s (op 3, begun at 3.0 s)"


def test_a_value_that_is_read_while_it_is_written_is_held() -> None:
    """Calls that overlap have no order; a read that was not answered shows nothing."""
    story = Story().write(1, "a", "1").read(2, "b", "2", took=1.5).write(3, "b", "2", took=5.0).read(4, "c", "9", Outcome.FAIL).done(10)
    assert judged(story.read(9.1, "a", "1").read(9.2, "b", "2")).verdict is Verdict.HELD


DOUBTFUL: dict[str, tuple[Story, Verdict, str]] = {
    "read as there, then as absent to the end": (
        Story().read(3, "b", "2").read(5, "b", None).done(10).read(9.5, "b", None),
        Verdict.BROKEN,
        "2 reads saw nothing where a value had been read before, the first of b at 5.0 s, read as '2' at 3.0 s",
    ),
    "read as there, then once as absent": (
        Story().read(3, "b", "2").read(5, "b", None).done(10).read(9.5, "b", "2"),
        Verdict.BROKEN,
        "1 read saw nothing where a value had been read before",
    ),
    "read as there at last": (
        Story().read(3, "b", None).read(5, "b", "2").done(10).read(9.5, "b", "2"),
        Verdict.HELD,
        "read back at the end",
    ),
    "never read as there": (Story().read(3, "b", None).done(10).read(9.5, "b", None), Verdict.HELD, "read back at the end"),
    "read as absent by a read that began before": (
        Story().read(3, "b", None, took=2.0).read(3.5, "b", "2").done(10).read(9.5, "b", "2"),
        Verdict.HELD,
        "read back at the end",
    ),
    "then not to be read": (
        Story().read(3, "b", "2").read(5, "b", None, Outcome.UNKNOWN).done(10).read(9.5, "b", None, Outcome.FAIL),
        Verdict.HELD,
        "read back at the end",
    ),
}


@pytest.mark.parametrize("case", DOUBTFUL)
def test_a_write_in_doubt_that_was_there_stays(case: str) -> None:
    """Nobody knows whether it was done until somebody reads it; from then on it is."""
    story, verdict, text = DOUBTFUL[case]
    finding = judged(story.write(1, "a", "1").write(2, "b", "2", Outcome.UNKNOWN).read(9.6, "a", "1"))
    assert (finding.verdict, text in finding.summary) == (verdict, True), finding.summary


LATE: dict[str, tuple[Story, Verdict, str]] = {
    "absent, and acknowledged later": (
        Story().write(8.9, "a", "1", took=0.5).done(10).read(9.2, "a", None),
        Verdict.UNKNOWN,
        "1 acknowledged write not read back: the last read had begun before it was acknowledged, for a first",
    ),
    "there, and acknowledged later": (Story().write(8.9, "a", "1", took=0.5).done(10).read(9.2, "a", "1"), Verdict.HELD, "read back"),
    "absent, and acknowledged before": (
        Story().write(8.9, "a", "1", took=0.1).done(10).read(9.2, "a", None),
        Verdict.BROKEN,
        "1 acknowledged write lost",
    ),
    "read again, and there": (
        Story().write(8.9, "a", "1", took=0.5).done(10).read(9.2, "a", None).read(9.5, "a", "1"),
        Verdict.HELD,
        "read back",
    ),
    "there before, absent at last, and then acknowledged": (
        Story().write(1, "a", "1", took=8.5).read(3, "a", "1").done(10).read(9.2, "a", None),
        Verdict.BROKEN,
        "saw nothing where a value had been read before",
    ),
}


@pytest.mark.parametrize("case", LATE)
def test_a_write_that_is_acknowledged_only_after_its_last_read_had_begun_is_not_lost(case: str) -> None:
    """The two have no order; a write that was over before, and one that had been seen, are lost."""
    story, verdict, text = LATE[case]
    finding = judged(story)
    assert (finding.verdict, text in finding.summary) == (verdict, True), finding.summary


@pytest.mark.parametrize(
    ("outcome", "found", "verdict"),
    [(None, None, Verdict.UNKNOWN), (None, "v", Verdict.HELD), (Outcome.UNKNOWN, None, Verdict.HELD), (Outcome.FAIL, None, Verdict.HELD)],
    ids=["absent", "there", "in doubt", "refused"],
)
def test_a_write_whose_answer_is_missing_may_have_been_acknowledged(outcome: Outcome | None, found: str | None, verdict: Verdict) -> None:
    """Each call has an end: without a line of it nobody knows whether what is not there was promised to be."""
    story = Story().write(1, "a", "x").write(2, "b", "v", outcome).done(10).read(9.1, "a", "x").read(9.2, "b", found)
    assert Writes().check(story.history()).verdict is verdict
