"""Faults that overlap, judged: what another fault disturbs is not held against the first, and nothing more is let go.

Beside each history that is acquitted for the sake of another fault stands one that is convicted all the same.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.checkers.disturbance import Electorate, disturbance
from harness.checkers.quorum import QuorumSurvived
from harness.checkers.rescheduled import Rescheduled
from harness.core.values import Effect, Loss, Outcome, Phase, Traits, Verdict
from harness.history.absence import Absence
from harness.history.bands import fault_bands
from harness.history.intervals import Interval, node_spans
from harness.testing.histories import Story

HELD, BROKEN, UNKNOWN = Verdict.HELD, Verdict.BROKEN, Verdict.UNKNOWN
LINK, DISK = Traits(Loss.LINK), Traits(parts=("disk",))
NODES = "n1 n2 n3 n4 n5"
END = 100.0
NOBODY = Electorate(frozenset(), "etcd", Absence())


def _five() -> Story:
    story = Story().phase(1, Phase.STEADY)
    for node in NODES.split():
        story.node(0, node)
    return story.members(0.5, NODES, 2, "n3").watched(END - 1, NODES)


def _cut(
    story: Story, node: str, start: float, healing: float | None, healed: float | None = None, *, number: int, bites: float | None = None
) -> Story:
    over = healing if healed is None else healed
    parameters = {"shape": "isolate"}
    return story.fault(
        "net.partition",
        node,
        decided=start,
        in_force=start if bites is None else bites,
        healing=healing,
        healed=over,
        number=number,
        traits=LINK,
        lost=node,
        parameters=parameters,
    )


def _slow_disk(story: Story, node: str, start: float, healing: float, *, number: int) -> Story:
    return story.fault("disk.slow", node, decided=start, in_force=start, healing=healing, healed=healing, number=number, traits=DISK)


def _judge(story: Story, **promised: str) -> tuple[Verdict, str]:
    finding = QuorumSurvived(**promised, election=10).check(story.done(END).history())  # type: ignore[arg-type]  # each of the literals is meant
    return finding.verdict, finding.summary


# ---------------------------------------------------------------- nobody leads


def _silent(back: float) -> Story:
    """Tell of a cut of n1 from 10 s on, and of nobody who leads from 19.2 s until `back`."""
    story = _cut(_five(), "n1", 10, 70, number=1)
    return story.members(19.2, "n3 n4 n5", 3, None).members(back, "n3 n4 n5", 4, "n3")


@pytest.mark.parametrize(
    ("back", "verdict"),
    [
        pytest.param(29.9, HELD, id="an election from the last bite"),
        pytest.param(31.0, BROKEN, id="longer than that"),
    ],
)
def test_an_election_that_another_bite_begins_anew_has_its_time_from_there(back: float, verdict: Verdict) -> None:
    """Another fault is decided at 19 s and bites at 20 s, when nobody leads."""
    story = _silent(back).fault(
        "net.partition",
        "n2",
        decided=19,
        in_force=20,
        healing=60,
        healed=60,
        number=2,
        traits=LINK,
        lost="n2",
        parameters={"shape": "isolate"},
    )
    assert _judge(story, leader="stays")[0] is verdict


def test_without_another_fault_the_same_silence_convicts() -> None:
    """The first fault alone has one election, and not two."""
    assert _judge(_silent(29.9), leader="stays")[0] is BROKEN


def test_faults_that_bite_together_do_not_excuse_each_other() -> None:
    """A silence that is longer than one election after both is held against them."""
    story = _cut(_cut(_five(), "n1", 10, 70, number=1), "n2", 12, 60, number=2)
    story.members(10.5, "n3 n4 n5", 3, None).members(29, "n3 n4 n5", 4, "n4")
    assert _judge(story, leader="moves")[0] is BROKEN


# ---------------------------------------------------------------- leadership stays


@pytest.mark.parametrize(
    ("moved", "verdict", "words"),
    [
        pytest.param(45.0, UNKNOWN, "another fault was healed from 40.0 s on, which may have moved it", id="just after another's heal"),
        pytest.param(35.0, BROKEN, "leadership moved from n3 to n4", id="before the heal"),
        pytest.param(55.0, BROKEN, "leadership moved from n3 to n4", id="long after the heal"),
    ],
)
def test_leadership_that_another_faults_heal_may_have_moved_is_nobodys_fault(moved: float, verdict: Verdict, words: str) -> None:
    """What a heal moves no fault moved; what moves before, or later than an election after it, did move under the fault that goes on."""
    story = _cut(_slow_disk(_five(), "n5", 10, 70, number=1), "n1", 20, 40, number=2)
    found, said = _judge(story.members(moved, "n2 n3 n4 n5", 3, "n4"), leader="stays")
    assert found is verdict
    assert words in said


def test_leadership_that_moved_under_two_faults_that_bit_together_is_held_against_them() -> None:
    """Each could point at the other."""
    story = _cut(_slow_disk(_five(), "n5", 10, 70, number=1), "n1", 11, 60, number=2)
    assert _judge(story.members(14, "n2 n3 n4 n5", 3, "n4"), leader="stays")[0] is BROKEN


def _never_in_force(
    story: Story, node: str = "n1", *, decided: float = 38, failed: float | None = None, healed: float | None = None
) -> Story:
    return story.fault("node.kill", node, decided=decided, failed=failed, healing=failed, healed=healed, number=1, traits=Traits(Loss.NODE))


NEIGHBOURS: dict[str, tuple[Callable[[Story], Story], Verdict, str]] = {
    "it was healed just before": (lambda story: _cut(story, "n1", 10, 39.4, number=1), UNKNOWN, "another fault was healed from 39.4 s on"),
    "it was healed an election before": (lambda story: _cut(story, "n1", 10, 30, number=1), BROKEN, "leadership moved from n3 to n4"),
    "it failed half-way": (
        lambda story: _never_in_force(story, failed=44, healed=46),
        UNKNOWN,
        "another fault (node.kill) that never was in force may have been there for some time from 38.0 s on",
    ),
    "it failed half-way, an election before": (
        lambda story: _never_in_force(story, decided=20, failed=24, healed=26),
        BROKEN,
        "leadership moved from n3 to n4",
    ),
    "it was never heard of again": (_never_in_force, UNKNOWN, "that never was in force"),
    "it hit nobody": (lambda story: _never_in_force(story, "", failed=38), BROKEN, "leadership moved from n3 to n4"),
    "it was undone meanwhile": (
        lambda story: story.fault(
            "net.partition", "n1", decided=20, in_force=20, failed=60, healing=60, healed=60, number=1, traits=LINK, lost="n1"
        ),
        UNKNOWN,
        "another fault (net.partition) bit at 20.0 s, and may have been over at any time since",
    ),
    "its healing was not told": (
        lambda story: _cut(story, "n1", 10, None, 39.4, number=1),
        UNKNOWN,
        "another fault was healed from 39.4 s on",
    ),
    "it came when the leader was lost already": (
        lambda story: _never_in_force(story, decided=41.5, failed=44, healed=46).members(41, NODES, 2, None),
        BROKEN,
        "leadership moved from n3 to n4",
    ),
    "it bit, and was decided when nobody led, so that it has no leader who was to stay": (
        lambda story: _cut(story, "n1", 40.8, 80, bites=41.5, number=1).members(40.5, NODES, 2, None).members(41, NODES, 2, "n3"),
        UNKNOWN,
        "another fault (net.partition) bit at 41.5 s, which may have moved it",
    ),
    "it bit, and was over before another led": (
        lambda story: _cut(story, "n1", 40.5, 41.5, number=1).members(41, "n2 n3 n4 n5", 2, None),
        UNKNOWN,
        "another fault (net.partition) bit at 40.5 s, which may have moved it",
    ),
    "it bit, and has the same promise": (lambda story: _cut(story, "n1", 41, 80, number=1), BROKEN, "leadership moved from n3 to n4"),
    "it came later": (lambda story: _never_in_force(story, decided=50, failed=54, healed=56), BROKEN, "leadership moved from n3 to n4"),
}


@pytest.mark.parametrize("case", NEIGHBOURS)
def test_leadership_that_a_neighbour_may_have_moved_convicts_nobody(case: str) -> None:
    """A slow disk from 40 s on, under which leadership moves at 42 s; another fault is near."""
    tell, verdict, words = NEIGHBOURS[case]
    story = _slow_disk(tell(_five()), "n5", 40, 70, number=2).members(42, "n2 n3 n4 n5", 3, "n4").member(99, "n1", 3, "n4")
    found, said = _judge(story, leader="stays")
    assert (found, words in said) == (verdict, True), said


def test_a_second_move_that_no_neighbour_made_convicts() -> None:
    """The first may be the heal's; the second comes 20 s after it."""

    def story() -> Story:
        return _slow_disk(_cut(_five(), "n1", 10, 39.4, number=1), "n5", 40, 70, number=2).members(42, NODES, 3, "n4")

    assert _judge(story(), leader="stays")[0] is UNKNOWN
    found, said = _judge(story().members(62, NODES, 4, "n2"), leader="stays")
    assert found is BROKEN
    assert "leadership moved from n4 to n2 22.0 s after disk.slow began to bite" in said


# ---------------------------------------------------------------- leadership moves


def _moving(second: str, *, first: float = 10, at: float = 35, moved: float = 37) -> Story:
    """Tell of a cut of the follower n1 from `first` on, of another cut from `at` on, and of leadership that moves from n3 to n4."""
    story = _cut(_cut(_five(), "n1", first, 70, number=1), second, at, 80, number=2)
    others = " ".join(node for node in NODES.split() if node not in {"n1", second})
    return story.members(moved, others, 3, "n4").members(85, "n1 n2 n3 n5", 3, "n4")


def test_leadership_that_another_fault_moved_is_no_evidence_that_it_moves_for_this_one() -> None:
    """Whose leader was lost to it, and led until then, did move it; who took a follower long before has shown nothing."""
    found, said = _judge(_moving("n3"), leader="moves")
    assert (found, "another fault (net.partition) bit at 35.0 s, which may have moved it" in said) == (UNKNOWN, True), said
    assert said.count("which may have moved it") == 1
    alone = _cut(_five(), "n3", 35, 80, number=1).members(37, "n1 n2 n4 n5", 3, "n4")
    assert _judge(alone, leader="moves")[0] is HELD


def test_leadership_that_another_fault_moved_before_it_was_seen_in_force_is_no_evidence_either() -> None:
    """It was decided at 34 s and made at once; that it is in force was seen when the leader had been lost already."""
    story = _cut(_cut(_five(), "n1", 10, 70, number=1), "n3", 34, 80, bites=36, number=2).members(35, "n2 n4 n5", 2, None)
    found, said = _judge(story.members(37, "n2 n4 n5", 3, "n4").members(85, "n1 n2 n3 n5", 3, "n4"), leader="moves")
    assert (found, "another fault (net.partition) bit at 36.0 s, which may have moved it" in said) == (UNKNOWN, True), said


def test_leadership_that_moves_when_no_other_fault_is_near_did_move() -> None:
    """The other one bit 20 s before it, or after it."""
    story = _cut(_slow_disk(_five(), "n5", 10, 14, number=1), "n1", 35, 80, number=2).members(12, "n1 n2 n3 n4 n5", 3, "n4")
    assert _judge(story.members(37, "n2 n3 n4 n5", 4, "n2"), leader="moves")[0] is HELD


@pytest.mark.parametrize(
    ("takes", "lost", "verdict"),
    [
        pytest.param(Traits(Loss.PROCESS, ("etcd",)), 42, HELD, id="the member itself"),
        pytest.param(Traits(Loss.PROCESS, ("docker",)), 42, UNKNOWN, id="a daemon that is no member"),
        pytest.param(LINK, 42, HELD, id="its links"),
        pytest.param(LINK, 40.5, UNKNOWN, id="its links, when it led no more"),
    ],
)
def test_a_fault_that_takes_the_leader_moves_leadership_whatever_was_healed_before(takes: Traits, lost: float, verdict: Verdict) -> None:
    """Another was healed at 39.4 s; this one, decided at 40 s, bites the leader at 41 s."""
    story = _cut(_five(), "n1", 10, 39.4, number=1).members(12, NODES, 3, "n2").members(30, NODES, 4, "n3")
    story.fault("their.own", "n3", decided=40, in_force=41, healing=70, healed=70, number=2, traits=takes, lost="n3")
    found, said = _judge(story.members(lost, NODES, 4, None).members(43, NODES, 5, "n4"), leader="moves")
    doubted = "which may have moved it" in said or "nobody knows whether their.own had bitten before 41.0 s" in said
    assert (found, doubted) == (verdict, verdict is UNKNOWN), said


def test_leadership_that_stayed_is_held_against_a_fault_only_with_an_election_s_time_of_its_own() -> None:
    """Another fault that never was in force may have kept the members from electing for most of it."""
    assert _judge(_cut(_five(), "n1", 10, 30, number=2), leader="moves")[0] is BROKEN
    found, said = _judge(_never_in_force(_cut(_five(), "n1", 10, 30, number=2), "n5", decided=12, failed=22, healed=25), leader="moves")
    assert (found, "other faults leave 5.0 s of that for an election at most" in said) == (UNKNOWN, True), said


# ---------------------------------------------------------------- slow writes


def _slowed(second: float) -> Story:
    """Tell of writes of 10 ms, of 100 ms from 10 s on (a slow disk), and of `second` seconds from 30 s to 50 s (another one)."""
    story = _slow_disk(_slow_disk(_five(), "n1", 10, 70, number=1), "n2", 30, 50, number=2)
    story.writes(2, 10).writes(10, 30, took=0.1).writes(30, 50, took=second)
    return story.writes(50, 70, took=0.1).writes(70, 98)


@pytest.mark.parametrize(
    ("second", "verdict"),
    [pytest.param(0.15, HELD, id="slow by what was before both"), pytest.param(0.01, BROKEN, id="as quick as before both")],
)
def test_what_was_usual_is_from_before_the_first_of_faults_that_overlap(second: float, verdict: Verdict) -> None:
    """Under the first fault writes were slow already: measured by that, the second would not slow them at all."""
    assert _judge(_slowed(second), writes="slow")[0] is verdict


@pytest.mark.parametrize("meanwhile", ["another fault", "a command", "a roll-out"])
@pytest.mark.parametrize(
    ("alone", "verdict"), [pytest.param(0.01, UNKNOWN, id="quick without it"), pytest.param(0.1, HELD, id="slow without it, too")]
)
def test_writes_that_were_slow_only_while_something_else_was_there_are_not_slow_by_a_fault(
    meanwhile: str, alone: float, verdict: Verdict
) -> None:
    """A slow disk from 10 s to 70 s, and something else in the middle, for more than half of that: half of the writes are slow either way."""
    story = _slow_disk(_five(), "n1", 10, 70, number=1)
    if meanwhile == "another fault":
        _slow_disk(story, "n2", 20, 55, number=2)
    else:
        target = "n2" if meanwhile == "a command" else ""
        story.action(20, 55, "command", target, effect=Effect(disturbs=True))
    story.writes(2, 10).writes(10, 20, took=alone).writes(20, 55, took=0.2).writes(55, 70, took=alone).writes(70, 98)
    found, said = _judge(story, writes="slow")
    assert (found, "something else was there, too (without it" in said) == (verdict, verdict is UNKNOWN), said


def test_usual_is_what_was_when_no_fault_was_there_nor_had_been_for_an_election() -> None:
    """The third overlaps with the second, the second with the first; the fourth comes an election after them, and the fifth in one after that."""
    story = _five()
    for number, (start, end) in enumerate([(10, 30), (25, 45), (40, 60), (75, 80), (88, 90)], 1):
        _slow_disk(story, f"n{number}", start, end, number=number)
    history = story.done(END).history()
    bands, spans = fault_bands(history), node_spans(history)
    usual = [disturbance(history, band, bands, spans, 10, NOBODY).alone(Interval(0, band.begins)) for band in bands]
    assert usual == [[Interval(0, 10)]] * 3 + [[Interval(0, 10), Interval(70, 75)]] * 2


def _in_a_row(quick: float) -> Story:
    """Tell of two slow disks, the one 5 s after the other, under which writes take 400 ms; before them, and between, they take `quick` seconds."""
    story = _slow_disk(_slow_disk(_five(), "n1", 10, 55, number=1), "n2", 60, 80, number=2)
    return story.writes(2, 10, took=quick).writes(10, 55, took=0.4).writes(55, 60, took=quick).writes(60, 80, took=0.4).writes(80, 98)


@pytest.mark.parametrize(
    ("quick", "verdict"), [pytest.param(0.01, HELD, id="slow"), pytest.param(0.3, BROKEN, id="as slow as before both")]
)
def test_what_was_so_under_a_fault_that_is_over_is_not_what_was_usual(quick: float, verdict: Verdict) -> None:
    """Most writes before the second were slowed by the first."""
    assert _judge(_in_a_row(quick), writes="slow")[0] is verdict


def test_slow_writes_are_unknown_where_there_was_no_time_without_a_fault_before() -> None:
    """The first is there from the beginning, and after it no election's time is left."""
    story = _slow_disk(_slow_disk(_five(), "n1", 1, 52, number=1), "n2", 60, 80, number=2)
    found, said = _judge(story.writes(2, 60, took=0.01).writes(60, 80, took=0.01).writes(80, 98), writes="slow")
    assert found is UNKNOWN
    assert "0 writes acknowledged before disk.slow, when no other fault was there: nothing to compare with" in said


# ---------------------------------------------------------------- writes return


@pytest.mark.parametrize(
    ("healed", "verdict"), [pytest.param(None, UNKNOWN, id="another goes on"), pytest.param(60.0, BROKEN, id="all are over")]
)
def test_writes_that_do_not_return_are_held_against_a_fault_only_when_all_are_over(healed: float | None, verdict: Verdict) -> None:
    """One that overlapped with it and was never mended may keep them away."""
    story = _cut(_cut(_five(), "n1", 10, 50, number=1), "n2", 20, healed, number=2)
    story.whole(99, "after").writes(2, 10).writes(10, 98, Outcome.FAIL)
    assert _judge(story, writes="stop")[0] is verdict


STOPPED: dict[str, tuple[float, float, Verdict, str]] = {
    # from when the second fault is in force, and until when; the first one, of which writes stop until 52 s, is healed at 40 s
    "in a moment after it": (40.6, 48, UNKNOWN, "another fault was healed from 40.0 s on"),
    "long after it, too": (40.6, 55, HELD, ""),
}


def test_writes_that_stop_while_a_fault_that_failed_may_be_there_are_no_evidence() -> None:
    """It never was in force, and was mended 6 s after that; the other one is in force meanwhile."""
    story = _never_in_force(_cut(_five(), "n2", 40, 48, number=2), decided=39, failed=41, healed=47)
    found, said = _judge(story.writes(2, 39).writes(39, 49, Outcome.FAIL).writes(49, 98), writes="stop")
    assert (found, "that never was in force may have been there for some time from 39.0 s on" in said) == (UNKNOWN, True), said


def test_writes_that_stop_just_after_another_bite_are_evidence() -> None:
    """The other is in force, and is judged by the same promise; what a heal had to do with it was over at 40 s."""
    story = _cut(_cut(_cut(_five(), "n1", 10, 30, number=1), "n3", 39.5, 80, number=2), "n2", 39, 49.4, number=3)
    found, said = _judge(story.writes(2, 10).writes(10, 82, Outcome.FAIL).writes(82, 98), writes="stop")
    assert found is HELD, said


@pytest.mark.parametrize("case", STOPPED)
@pytest.mark.parametrize("promised", ["stop", "slow"])
def test_writes_that_another_s_heal_may_keep_away_are_no_evidence(case: str, promised: str) -> None:
    """Nobody answers until 56 s: in the first ten seconds after a heal that shows nothing of a fault which came just after it."""
    begun, healed, verdict, words = STOPPED[case]
    story = _cut(_cut(_five(), "n1", 10, 40, number=1), "n2", begun, healed, number=2)
    found, said = _judge(story.writes(2, 10).writes(10, 56, Outcome.FAIL).writes(56, 98), writes=promised)
    assert (found, words in said) == (verdict, True), said


@pytest.mark.parametrize(
    ("later", "verdict"), [pytest.param(None, BROKEN, id="alone"), pytest.param(53.0, UNKNOWN, id="another came at once")]
)
def test_writes_that_another_fault_keeps_away_after_the_heal_are_not_held_against_the_first(later: float | None, verdict: Verdict) -> None:
    """One that came 3 s after the heal and was never mended."""
    story = _cut(_five(), "n1", 10, 50, number=1)
    if later is not None:
        _cut(story, "n2", later, None, number=2)
    story.whole(99, "after").writes(2, 10).writes(10, 98, Outcome.FAIL)
    assert _judge(story, writes="stop")[0] is verdict


@pytest.mark.parametrize(("last", "verdict"), [(58.0, UNKNOWN), (75.0, BROKEN)])
def test_writes_have_an_election_to_return_after_a_heal(last: float, verdict: Verdict) -> None:
    """Where no write was tried for as long as that, none was missed."""
    story = _cut(_five(), "n1", 10, 50, number=1).writes(2, 10).writes(10, last, Outcome.FAIL)
    assert _judge(story, writes="stop")[0] is verdict


# ---------------------------------------------------------------- writes go on


def _paused(begun: float, over: float, *faults: tuple[float, float]) -> Story:
    """Tell of cuts, each of a node of its own, and of writes that pause from `begun` to `over`."""
    story = _five()
    for number, (start, end) in enumerate(faults, 1):
        _cut(story, f"n{number}", start, end, number=number)
    return story.writes(2, begun).writes(begun, over, Outcome.FAIL).writes(over, 98)


@pytest.mark.parametrize(
    ("over", "verdict"), [pytest.param(40.6, HELD, id="until then"), pytest.param(52.5, BROKEN, id="and for one more after it")]
)
def test_writes_may_pause_for_an_election_from_another_bite(over: float, verdict: Verdict) -> None:
    """From 29.5 s on; the other one bites at 30 s."""
    assert _judge(_paused(29.5, over, (10, 80), (30, 78)), writes="go on")[0] is verdict


def test_without_another_fault_the_same_pause_convicts() -> None:
    """Ten seconds, and not one more."""
    assert _judge(_paused(29.5, 40.6, (10, 80)), writes="go on")[0] is BROKEN


@pytest.mark.parametrize(("over", "verdict"), [pytest.param(40.6, HELD, id="until then"), pytest.param(64.0, BROKEN, id="for longer")])
def test_writes_may_pause_while_a_fault_that_never_was_in_force_may_be_there(over: float, verdict: Verdict) -> None:
    """It was decided when they began to pause, could not be made, and was mended 12 s later: nobody knows what of it was there."""
    story = _never_in_force(_cut(_five(), "n2", 10, 80, number=2), decided=29.5, failed=40, healed=41.5)
    assert _judge(story.writes(2, 29.5).writes(29.5, over, Outcome.FAIL).writes(over, 98), writes="go on")[0] is verdict


def test_a_fault_that_others_disturb_all_along_has_shown_nothing_by_its_length() -> None:
    """That no pause was too long says nothing where each was allowed for: it takes writes that were acknowledged until the end.

    The first alone, with no write for 24 s, is convicted.
    """
    overlapping = ((10.0, 34.0), (15.0, 33.0))
    assert _judge(_paused(10, 10, *overlapping), writes="go on")[0] is HELD
    found, said = _judge(_paused(10, 34, *overlapping), writes="go on")
    assert found is UNKNOWN
    assert "other faults leave 18.0 s of it at most, and more than 20 s is needed" in said
    assert _judge(_paused(10, 34, overlapping[0]), writes="go on")[0] is BROKEN


# ---------------------------------------------------------------- by itself


@pytest.mark.parametrize(("mended", "verdict"), [(40, UNKNOWN), (80, BROKEN)])
def test_who_may_be_back_may_follow_a_leader(mended: float, verdict: Verdict) -> None:
    """Nobody is known to lead from 45 s on, when n1 and n2 give no answer, and two of five name nobody. n2 is lost; n1 is too, or was until 40 s."""
    story = _cut(_cut(_five(), "n1", 20, mended, number=1), "n2", 10, 78, number=2)
    story.members(45, "n3", 2, None).members(45, "n4 n5", 2, "n3").no_member(45, "n1").no_member(45, "n2")
    assert _judge(story, leader="stays")[0] is verdict


@pytest.mark.parametrize(("off", "verdict"), [(True, BROKEN), (False, UNKNOWN)])
def test_a_machine_that_went_off_before_the_switch_said_so_has_no_voice_from_then_on(*, off: bool, verdict: Verdict) -> None:
    """n1 had followed n3 when power was cut, and n2 says nothing; without n1 no majority can follow anybody, with it one might."""
    story = _five().members(20, "n3 n4", 2, None).no_member(20, "n2")
    story.fault("node.kill", "n1", decided=18, in_force=40, healing=48, healed=49, traits=Traits(Loss.NODE), lost="n1")
    found, said = _judge(story.off(19, "n1").node(49, "n1") if off else story, leader="stays")
    assert found is verdict, said


def test_the_quiet_between_bites_and_heals_begins_where_each_is_over() -> None:
    """A bite of no length parts what is before it from what is after it."""
    history = _cut(_cut(_five(), "n1", 10, 70, number=1), "n2", 20, 40, 42, number=2).done(END).history()
    bands, spans = fault_bands(history), node_spans(history)
    first, second = (disturbance(history, band, bands, spans, 10, NOBODY) for band in bands)
    assert first.quiet(Interval(10, 60)) == [Interval(10, 20), Interval(20, 40), Interval(42, 60)]
    assert second.quiet(Interval(20, 40)) == [Interval(20, 40)]
    parts = (Interval(12, 18), Interval(20, 40), Interval(30, 50))
    assert [first.lost(part) for part in parts] == [{"n1"}, {"n1", "n2"}, {"n1"}]


DONE: dict[str, tuple[Callable[[Story], Story], Verdict]] = {
    "nothing": (lambda story: story, BROKEN),
    "a daemon that is no member's stopped": (lambda story: _stop(story, "docker", "n4 n5"), BROKEN),
    "a member stopped, and a majority left": (lambda story: _stop(story, "etcd", "n5"), BROKEN),
    "members stopped, and no majority left": (lambda story: _stop(story, "etcd", "n4 n5"), UNKNOWN),
    "members started again long before": (
        lambda story: _stop(story, "etcd", "n4 n5").action(8, 9, "service.start", "n4 n5", effect=Effect(starts=("etcd",)), number=2),
        BROKEN,
    ),
    "a command all along": (lambda story: story.action(12, 65, "command", "n5", effect=Effect(disturbs=True)), UNKNOWN),
    "a command that was never seen to end": (lambda story: story.action(12, None, "command", "n5", effect=Effect(disturbs=True)), UNKNOWN),
    "a short command in the middle": (lambda story: story.action(30, 31, "command", "n5", effect=Effect(disturbs=True)), BROKEN),
    "short commands one after the other": (
        lambda story: (
            story.action(25, 26, "command", "n5", effect=Effect(disturbs=True))
            .action(34, 35, "command", "n5", effect=Effect(disturbs=True), number=2)
            .action(43, 44, "command", "n5", effect=Effect(disturbs=True), number=3)
        ),
        UNKNOWN,
    ),
    "a command that disturbs nobody": (lambda story: story.action(12, 65, "command", "n5"), BROKEN),
}


def _stop(story: Story, daemon: str, nodes: str) -> Story:
    return story.action(5, 6, "service.stop", nodes, effect=Effect(stops=(daemon,)))


@pytest.mark.parametrize("promised", [{"writes": "go on"}, {"leader": "stays"}], ids=["writes", "leader"])
@pytest.mark.parametrize(("done", "verdict"), DONE.values(), ids=DONE)
def test_what_an_action_disturbs_for_long_excuses_and_acquits_of_nothing(
    done: Callable[[Story], Story], verdict: Verdict, promised: dict[str, str]
) -> None:
    """A follower is cut off, and for 32 s of that, ten allowed, no write is acknowledged and nobody leads."""
    story = done(_cut(_five(), "n1", 10, 70, number=1)).members(20, "n2 n3 n4 n5", 2, None).members(52, "n2 n3 n4 n5", 3, "n3")
    story.writes(2, 20).writes(20, 51, Outcome.UNKNOWN, took=1.0).writes(52, 97)
    found = _judge(story, **promised)
    assert found[0] is verdict, found[1]
    assert ("something was done from" in found[1]) == (verdict is UNKNOWN)


def _lost_work(*, back: float, second: str = "", start: float = 50, end: float = 70, kind: Traits = LINK, failed: bool = False) -> Verdict:
    """Judge the loss of n2 from 10 s to 80 s, whose work runs on n5 from `back` on; the budget is 20 s. A second fault may hold a node meanwhile."""
    story = _five().node(0, "n2", "web@2").off(10, "n2").node(back, "n5", "web@2")
    story.fault("node.kill", "n2", decided=10, in_force=10, healing=80, healed=80.1, number=1, traits=Traits(Loss.NODE), lost="n2")
    if second:
        story.fault(
            "their.own",
            second,
            decided=start,
            in_force=None if failed else start,
            failed=start + 1 if failed else None,
            healing=end,
            healed=end,
            number=2,
            traits=kind,
            lost=second,
        )
    return Rescheduled("web", within=20).check(story.node(80, "n2").done(END).history()).verdict


def test_work_that_ran_on_by_node_truth_convicts_nobody_for_a_fault_that_held_its_node() -> None:
    """An overlapping fault that takes its new home's daemon, or was never in force, did not take the work; what came too late is too late."""
    etcd = Traits(Loss.PROCESS, parts=("etcd",))
    assert _lost_work(back=15) is HELD
    assert _lost_work(back=15, second="n5", kind=etcd) is not BROKEN
    assert _lost_work(back=15, second="n5", failed=True, start=20, end=79) is not BROKEN
    assert _lost_work(back=60) is BROKEN
    assert _lost_work(back=60, second="n5", kind=etcd, start=70, end=75) is BROKEN


def test_work_that_no_majority_was_left_to_place_convicts_nobody() -> None:
    """Two of three members are away, each by a fault of its own: nothing could be placed."""
    story = Story().phase(1, Phase.STEADY).members(0.5, "n1 n2 n3", 2, "n3").watched(END - 1, "n1 n2 n3")
    for node in ("n1", "n2", "n3"):
        story.node(0, node, *(["web@2"] if node == "n2" else []))
    story.off(10, "n2").fault(
        "node.kill", "n2", decided=10, in_force=10, healing=80, healed=80.1, number=1, traits=Traits(Loss.NODE), lost="n2"
    )
    alone = Rescheduled("web", within=20).check(story.node(80, "n2").node(80, "n3", "web@2").done(END).history())
    assert alone.verdict is BROKEN
    story.fault(
        "etcd", "n1", decided=12, in_force=12, healing=78, healed=78.1, number=2, traits=Traits(Loss.PROCESS, parts=("etcd",)), lost="n1"
    )
    assert Rescheduled("web", within=20).check(story.history()).verdict is UNKNOWN
