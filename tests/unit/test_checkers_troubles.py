"""Absence of evidence is no evidence: what nobody called, asked or looked for, and what a slow machine did by itself, convicts nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from harness.checkers import Availability, Conflicts, QuorumSurvived, Rescheduled, Settled, troubles
from harness.checkers.slowness import slowness
from harness.core.values import Call, Endurance, Loss, Outcome, Patience, Traits, Verdict
from harness.history.events import MACHINE, Endures, History, Pressure, Stalled
from harness.history.intervals import Interval
from harness.testing.histories import Story

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.core.values import Finding
    from harness.history.interfaces import Checker

HELD, BROKEN, UNKNOWN = Verdict.HELD, Verdict.BROKEN, Verdict.UNKNOWN


def killed(*, back: float | None = 40.0, healing: float = 50.0) -> Story:
    """n1 of three loses power at 10 s; its web@1 runs on n2 from `back` on, or nowhere else; whole again at 55 s, all ends at 70 s."""
    story = Story().node(0, "n1", "web@1").node(0, "n2").node(0, "n3").off(10.0, "n1")
    story.fault("node.kill", "n1", decided=9.9, in_force=10.0, healing=healing, healed=healing + 2).node(healing + 2, "n1")
    if back is not None:
        story.node(back, "n2", "web@1")
    return story.done(70)


def outage(start: float, end: float) -> Story:
    """The same, and web@1 gives no good answer from `start` to `end`, called all along."""
    return killed().gets(1, start, "web@1").gets(start, end, "web@1", Outcome.FAIL).gets(end, 68, "web@1")


def available(story: Story, gap: float = 10.0, share: float = 0.1) -> Finding:
    """What availability says."""
    return Availability("web", share, gap).check(story.history())


def moved(story: Story, within: float) -> Finding:
    """What rescheduled says."""
    return Rescheduled("web", within=within).check(story.history())


# -- gaps count from calls that were made


def test_a_gap_in_which_nobody_called_convicts_nobody() -> None:
    """The callers were silent from 20 s to 40 s: what was there meanwhile is not known."""
    finding = available(killed().gets(1, 20, "web@1").gets(40, 68, "web@1"))
    assert finding.verdict is UNKNOWN
    assert "too few to tell" in finding.summary


def test_a_gap_with_calls_convicts() -> None:
    """The same gap, called all along."""
    assert available(outage(20, 40)).verdict is BROKEN


def test_a_gap_is_judged_by_the_part_in_which_calls_were_made() -> None:
    """12 s of failures and 10 s of silence: the 12 s alone are too long, or are not."""
    story = killed().gets(1, 20, "web@1").gets(20, 32, "web@1", Outcome.FAIL).gets(42, 68, "web@1")
    said = "web@1 gave no good answer for 22.1 s from 19.9 s, called all along for 12.0 s of it"
    assert (available(story).verdict, said in available(story).summary) == (BROKEN, True), available(story).summary
    assert available(story, gap=15).verdict is UNKNOWN
    assert available(story, gap=25).verdict is HELD


def test_a_share_that_calls_never_made_could_turn_is_unknown() -> None:
    """Half of the calls failed; what the missing half would have been is anybody's guess: neither convicts nor acquits."""
    story = killed().gets(1, 10, "web@1").gets(10, 20, "web@1", Outcome.FAIL).gets(55, 68, "web@1")
    assert available(story, share=0.7, gap=60).verdict is UNKNOWN
    assert available(story, share=0.2, gap=60).verdict is HELD
    assert available(story, share=0.95, gap=60).verdict is BROKEN


def test_a_lost_instance_that_nobody_called_is_unknown() -> None:
    """web@2 is called and well; of the lost web@1 nothing is known."""
    finding = available(killed().node(0, "n3", "web@2").gets(1, 68, "web@2"))
    assert (finding.verdict, "web@1 was lost and never called" in finding.summary) == (UNKNOWN, True)


@pytest.mark.parametrize(("tried", "verdict"), [(True, BROKEN), (False, UNKNOWN)])
def test_writes_that_nobody_tried_did_not_stop(*, tried: bool, verdict: Verdict) -> None:
    """From 20 s to 45 s no write was acknowledged: because none was, or because none was tried."""
    story = killed().members(0, "n1 n2 n3", 2, "n2").writes(1, 20).writes(45, 68)
    if tried:
        story.writes(20, 45, Outcome.FAIL)
    assert QuorumSurvived("go on").check(story.history()).verdict is verdict


# -- our own stalls


def test_a_stall_of_the_harness_convicts_nobody() -> None:
    """Stopped from 20 s to 35 s, it calls nobody and sees nothing; what it then finds may have been so for long."""
    story = killed(back=35.1).gets(1, 20, "web@1").gets(35, 68, "web@1").stalled(20, 35, why="stopped")
    assert available(story).verdict is UNKNOWN
    finding = moved(story, within=20)
    assert finding.verdict is UNKNOWN
    assert "the harness itself stood still for 15.0 s from 20.0 s (stopped)" in finding.summary


def test_calls_under_way_while_the_harness_stood_still_do_not_count() -> None:
    """They ran into their deadline because nobody read the answer."""
    story = killed().gets(1, 20, "web@1")
    for number in range(100):
        story.call(19.9 + number / 1000, "http", Call("get", "web@1"), Outcome.FAIL, took=5.2)
    finding = available(story.gets(25, 68, "web@1").stalled(20, 25), share=0.85)
    assert (finding.verdict, finding.details["fail"]) == (HELD, 0)


def test_a_stall_elsewhere_takes_no_evidence_away() -> None:
    """It was over before, and a gap of 20 s with calls all along stands alone."""
    assert available(outage(20, 40).stalled(12, 15).endures(beats="n1 n2 n3")).verdict is BROKEN
    assert moved(killed(back=45).stalled(2, 8).endures(beats="n1 n2 n3"), within=20).verdict is BROKEN


def test_a_gap_that_is_long_enough_without_the_stall_convicts() -> None:
    """25 s of failures with a second of blindness in the middle: each half is too long by itself."""
    assert available(outage(15, 40).stalled(27, 28).endures(beats="n1")).verdict is BROKEN
    assert available(outage(15, 40).stalled(27, 28).endures(beats="n1"), gap=20).verdict is UNKNOWN


def test_silence_of_everybody_at_once_is_a_stall_of_our_own() -> None:
    """Nothing at all was recorded for 9 s, though a dozen observers promise a word a second."""
    story = outage(20, 40).watched(69, "n1 n2 n3")
    whole = story.history()
    cut = History(entry for entry in whole.entries if not 25 < entry.time < 34)
    assert [(stall.why, round(stall.seconds)) for stall in troubles.stalls(cut)] == [("nothing at all was recorded", 9)]
    assert troubles.stalls(whole) == ()
    assert Availability("web", 0.1, 10).check(cut).verdict is UNKNOWN


def test_settling_that_we_did_not_look_at_convicts_nobody() -> None:
    """It was not whole when the time ran out, and for half of that time we stood still."""
    story = killed().whole(1, "before").whole(69, "after", "n1 is off", seconds=17)
    assert Settled().check(story.history()).verdict is BROKEN
    assert Settled().check(story.stalled(55, 64).history()).verdict is UNKNOWN
    long = killed(healing=20.0).whole(1, "before").whole(69, "after", "n1 is off", seconds=47).stalled(55, 64).endures(beats="n1 n2 n3")
    assert Settled().check(long.history()).verdict is BROKEN


def test_two_on_one_node_seen_for_a_moment_before_a_stall_are_unknown() -> None:
    """A handover of 0.05 s is none that counts; how long it lasted while nobody looked is not known."""
    story = killed().node(20.0, "n2", "web@2").node(30.0, "n2", "web@1", "web@2").node(33.0, "n2", "web@1")
    assert Conflicts().check(story.stalled(30.05, 33.0).history(beats=False)).verdict is UNKNOWN
    story = killed().node(20.0, "n2", "web@2").node(30.0, "n2", "web@1", "web@2").node(33.0, "n2", "web@1")
    assert Conflicts().check(story.history()).verdict is BROKEN


def test_two_on_one_node_that_were_seen_convict_however_slow_the_machine() -> None:
    """Nobody's slowness makes two of one."""
    story = killed().node(20.0, "n2", "web@2").node(30.0, "n2", "web@1", "web@2").node(33.0, "n2", "web@1")
    assert Conflicts().check(story.endures().stalled(26, 29.9, "n3").pressed(0, 60, 20).history()).verdict is BROKEN


def test_what_the_api_said_last_is_not_what_it_says_for_ever() -> None:
    """It showed two on n2 for a second, then nobody asked any more; or was asked and went on saying so."""
    story = killed().api(20.0, "n3", "n1 n2 n3", {"web@1": "n2", "web@2": "n2"})
    for second in range(22):
        story.watching(second, "placement", "n3")
    finding = Conflicts().check(story.history())
    assert finding.verdict is HELD
    for second in range(22, 69):
        story.watching(second, "placement", "n3")
    assert Conflicts().check(story.history()).verdict is BROKEN


def test_a_moment_of_our_own_takes_no_evidence_away() -> None:
    """It ran nowhere else for 40 s, 20 were allowed, and for 0.7 s of that we stood still; of 20.5 s that is enough not to know."""
    still = killed(back=None).stalled(30.0, 30.7).endures(beats="n1 n2 n3")
    assert (moved(still, within=20).verdict, moved(still, within=39.5).verdict) == (BROKEN, UNKNOWN)
    late = killed(back=30.5).stalled(20.0, 20.7).endures(beats="n1 n2 n3")
    assert (moved(late, within=18).verdict, moved(late, within=20).verdict) == (BROKEN, UNKNOWN)


def test_members_that_could_not_be_asked_may_follow_a_leader() -> None:
    """Two of three gave no answer for the rest of the time in force: that is no word against a leader. Two that follow nobody are."""
    story = killed(healing=45).members(0, "n1 n2 n3", 2, "n2").watched(69, "n1 n2 n3")
    finding = QuorumSurvived(leader="stays").check(story.no_member(20, "n2").no_member(20, "n3").history())
    assert (finding.verdict, "but n2, n3 could not be asked" in finding.summary) == (UNKNOWN, True)
    nobody = killed(healing=45).members(0, "n1 n2 n3", 2, "n2").watched(69, "n1 n2 n3").members(20, "n2 n3", 3, None)
    assert QuorumSurvived(leader="stays").check(nobody.history()).verdict is BROKEN


# -- machines that were not let run


def test_a_node_that_stalled_for_longer_than_the_timers_stand_explains_what_follows() -> None:
    """n3 stood still for 3 s; an election timeout is 1 s. The pause of 12 s that follows may be its doing."""
    story = killed().members(0, "n1 n2 n3", 2, "n2").writes(1, 30).writes(30, 45, Outcome.FAIL).writes(45, 68).endures(beats="n1 n2 n3")
    assert QuorumSurvived("go on").check(story.history()).verdict is BROKEN
    finding = QuorumSurvived("go on").check(story.stalled(28, 31, "n3").history())
    assert finding.verdict is UNKNOWN
    assert "n3 stood still for 3.0 s from 28.0 s, beyond the 1 s that etcd_election_timeout of 1 s stands" in finding.summary
    assert finding.summary.endswith("too slow for these timers; etcd_election_timeout 6 s and agent_ttl 6 s would do")


LATE: dict[str, tuple[Callable[[], Story], Checker, float]] = {
    "a gap": (lambda: outage(20, 45), Availability("web", 0.1, 10.0), 38),
    "writes": (
        lambda: killed().members(0, "n1 n2 n3", 2, "n2").writes(1, 20).writes(20, 49, Outcome.FAIL).writes(49, 68),
        QuorumSurvived("go on"),
        40,
    ),
    "nobody leads": (
        lambda: killed().members(0, "n1 n2 n3", 2, "n2").members(20, "n2 n3", 2, None).watched(69, "n1 n2 n3"),
        QuorumSurvived(leader="stays"),
        40,
    ),
}


@pytest.mark.parametrize("trouble", ["stalled", "off"])
@pytest.mark.parametrize(("story", "checker", "after"), LATE.values(), ids=LATE)
def test_what_machines_did_when_it_was_too_late_already_excuses_nothing(
    story: Callable[[], Story], checker: Checker, after: float, trouble: str
) -> None:
    """Ten seconds were allowed from 20 s on; what stood still, or went off, at 22 s may be why, and what did so later is not."""

    def judged_with(start: float) -> Verdict:
        told = story().node(0, "n5").endures(beats="n1 n2 n3")
        told = told.stalled(start, start + 3, "n3") if trouble == "stalled" else told.off(start, "n5").node(start + 5, "n5")
        return checker.check(told.history()).verdict

    assert (judged_with(22), judged_with(after)) == (UNKNOWN, BROKEN)


@pytest.mark.parametrize("leader", ["moves", "stays"])
def test_leadership_that_a_stall_may_have_moved_convicts_nobody(leader: str) -> None:
    """It went to n3 after n2 had stood still; before that, it had stayed where it was promised to move."""
    story = killed().members(0, "n1 n2 n3", 2, "n2").endures(beats="n1 n2 n3").watched(69, "n1 n2 n3")
    if leader == "stays":
        story.members(32, "n2 n3", 3, "n3")
    assert QuorumSurvived(leader=leader).check(story.history()).verdict is BROKEN  # type: ignore[arg-type]  # as parametrized
    assert QuorumSurvived(leader=leader).check(story.stalled(28, 31, "n2").history()).verdict is UNKNOWN  # type: ignore[arg-type]  # same


def test_a_stall_that_the_timers_stand_is_no_excuse() -> None:
    """0.8 s of an election timeout of 1 s; 3 s where it is 10 s."""
    story = outage(20, 40).endures(beats="n2")
    assert available(story.stalled(19, 19.8, "n2")).verdict is BROKEN
    calm = outage(20, 40).endures(Patience("etcd_election_timeout", 10.0, 10.0), beats="n2").stalled(19, 22, "n2")
    assert available(calm).verdict is BROKEN


def test_a_stall_long_before_is_no_excuse() -> None:
    """What it may have set off was over: recovery takes 16.5 s by the timers, and the outage began 17 s later."""
    story = killed().gets(1, 45, "web@1").gets(45, 60, "web@1", Outcome.FAIL).gets(60, 68, "web@1").endures(beats="n2")
    assert available(story.stalled(25, 27, "n2")).verdict is BROKEN
    assert available(story.stalled(26, 29, "n2")).verdict is UNKNOWN


def test_a_node_that_a_fault_stopped_was_not_stalled() -> None:
    """n1 was killed, and boots: its own lateness is the fault's, and no reason not to judge."""
    assert available(outage(20, 40).endures(beats="n1 n2").stalled(11, 14, "n1").stalled(53, 56, "n1")).verdict is BROKEN
    assert available(outage(20, 40).endures(beats="n1 n2").stalled(11, 14, "n2")).verdict is UNKNOWN


def test_a_cut_is_no_reason_for_a_node_to_be_late() -> None:
    """A partition leaves a machine's own time alone: where it was late, the host was."""
    story = Story().node(0, "n1", "web@1").fault("net.partition", "n1", decided=10, in_force=10, healing=50, healed=51).done(70)
    story.gets(1, 20, "web@1").gets(20, 40, "web@1", Outcome.FAIL).gets(40, 68, "web@1").endures(beats="n1")
    assert available(story).verdict is BROKEN
    assert available(story.stalled(18, 21, "n1")).verdict is UNKNOWN


def test_a_machine_that_was_suspended_is_told_though_its_clock_stood_still_too() -> None:
    """An hour in a moment."""
    story = outage(20, 40).endures(beats="n2")
    history = story.tell(25.0, Stalled(MACHINE, 25.0, 3600.0, "suspended")).history()
    assert Availability("web", 0.1, 10).check(history).verdict is UNKNOWN
    assert "the whole machine stood still for 3600.0 s from 25.0 s (suspended)" in troubles.told(history)[0]


def test_work_that_is_late_by_less_than_the_machine_was_slow_is_unknown() -> None:
    """Three seconds of a recovery are work: with five processes on two cores they take 7.5 s. 4 s too late are within that, 8 s are not."""
    late = killed(back=34.0).pressed(5, 60, 5.0).endures()
    finding = moved(late, within=20)
    assert finding.verdict is UNKNOWN
    assert finding.summary.endswith(f"; but {troubles.BUSY}")
    assert "5.0 processes wanted 2 cores then, so work took 2.5 times as long, which may account for 4.5 s" in str(finding.details)
    assert moved(late, within=16).verdict is BROKEN
    assert moved(killed(back=34.0).pressed(5, 60, 2.0).endures(), within=20).verdict is BROKEN


def test_time_that_the_machines_own_host_took_makes_work_longer_too() -> None:
    """Half of the time was stolen."""
    assert moved(killed(back=32.0).pressed(5, 60, 2.0, steal=0.5).endures(), within=20).verdict is UNKNOWN
    assert moved(killed(back=32.0).pressed(5, 60, 2.0).endures(), within=20).verdict is BROKEN


def test_a_slow_machine_acquits_nobody_of_never() -> None:
    """It ran nowhere else in 40 s, 20 were allowed: two and a half times slower work does not explain that."""
    story = killed(back=None).pressed(0, 70, 5.0).endures()
    assert moved(story, within=20).verdict is BROKEN


@pytest.mark.parametrize(
    ("start", "back", "verdict"),
    [(37, 45.0, UNKNOWN), (39, 45.0, UNKNOWN), (39, 55.0, BROKEN), (41, 45.0, BROKEN), (20, 45.0, UNKNOWN)],
    ids=["as it began", "in the middle of it", "and far too late", "when it was too late", "all along"],
)
def test_work_under_way_when_the_time_was_up_went_on_at_the_pace_of_what_came_then(start: int, back: float, verdict: Verdict) -> None:
    """Thirty seconds are up at 40 s, three of them work; from some time on twenty processes want two cores."""
    story = waiting(killed(back=back, healing=60.0).endures(), start=start, end=62, ready=20.0)
    finding = moved(story, within=30)
    assert (finding.verdict, "too busy" in finding.summary) == (verdict, verdict is UNKNOWN), finding.summary


@pytest.mark.parametrize(
    ("targets", "stalled", "verdict"),
    [("n1 n2", False, BROKEN), ("n1", False, UNKNOWN), ("n1 n2", True, UNKNOWN)],
    ids=["nobody has a majority", "two of three have one", "a machine stood still meanwhile"],
)
def test_no_load_keeps_writes_from_a_quorum_that_cannot_be(targets: str, verdict: Verdict, *, stalled: bool) -> None:
    """No write for forty seconds, with thirty processes on two cores: how fast they are makes no difference to three who are each alone."""
    story = Story().members(0, "n1 n2 n3", 2, "n1").watched(99, "n1 n2 n3").endures(beats="n1 n2 n3").pressed(0, 100, 30.0)
    story.fault(
        "net.partition",
        targets,
        decided=10,
        in_force=10,
        healing=60,
        healed=60,
        parameters={"shape": "isolate"},
        traits=Traits(Loss.LINK, apart=True),
        lost="n1 n2 n3" if " " in targets else targets,
    )
    story.writes(0, 10).writes(10, 61, Outcome.FAIL).writes(61, 98)
    if stalled:
        story.stalled(15, 25, "n3")
    finding = QuorumSurvived(writes="go on").check(story.done(100).history())
    assert finding.verdict is verdict, finding.summary


def test_work_that_nobody_was_told_to_start_was_not_slow() -> None:
    """Four seconds too late on a machine that is three times slower: excused once it was placed, not while the API had no home for it."""
    story = killed(back=None, healing=34).pressed(0, 70, 6.0).endures().api(1.0, "n2", "n1 n2 n3", {"web@1": "n1"})
    story.api(19.0, "n2", "n2 n3", {"web@1": "5d5a5194b54e5ec6"}).api(20.0, "n2", "n2 n3", {"web@1": None})
    assert moved(story, within=20).verdict is BROKEN
    assert moved(story.api(28.0, "n2", "n2 n3", {"web@1": "n2"}), within=20).verdict is UNKNOWN


# -- clocks


@pytest.mark.parametrize("at", [25.0, 60.0])
def test_dockers_own_clock_moves_nothing_into_time_that_was_seen_too_late(at: float) -> None:
    """n2 was seen without it at 39 s, and with it at 40 s: whatever its daemon says of the start."""
    story = killed(back=40.0).docker(40.1, "n2", "start", "web@1", at=at)
    assert moved(story, within=20).verdict is BROKEN
    assert moved(story, within=31).verdict is HELD


def test_dockers_own_time_counts_where_it_fits_what_was_seen() -> None:
    """39.6 s lies between the two samples."""
    story = killed(back=40.0).docker(40.1, "n2", "start", "web@1", at=39.6)
    assert (moved(story, within=29.8).verdict, moved(story, within=29.5).verdict) == (HELD, BROKEN)


@pytest.mark.parametrize(
    ("at", "within", "verdict"),
    [(40.3, 30.1, HELD), (40.3, 29.9, BROKEN), (38.8, 28.9, BROKEN), (38.8, 29.05, UNKNOWN), (38.8, 29.9, UNKNOWN), (38.8, 30.1, HELD)],
)
def test_dockers_own_time_moves_nothing_out_of_what_was_seen(at: float, within: float, verdict: Verdict) -> None:
    """It tells of a start a little after it ran; or, by a wrong clock, before it was last seen not to. Seen without it at 39 s, with it at 40 s."""
    assert moved(killed(back=40.0).docker(40.5, "n2", "start", "web@1", at=at), within=within).verdict is verdict


def test_a_start_that_may_have_been_in_time_convicts_nobody() -> None:
    """Last seen without it at 38 s, with it at 40 s; 29 s were allowed."""
    story = killed(back=40.0)
    told = [(entry.time, entry.event) for entry in story.history().entries if not 38.5 < entry.time < 39.9]
    assert Rescheduled("web", within=29).check(History.of_events(*told)).verdict is UNKNOWN
    assert Rescheduled("web", within=27).check(History.of_events(*told)).verdict is BROKEN


# -- what is said of it


def test_advice_names_a_profile_or_timers_or_a_quieter_machine() -> None:
    """Twice what was seen, to have room."""
    ttl, election = Patience("agent_ttl", 5.0, 5.0, 30.0), Patience("etcd_election_timeout", 1.0, 1.0, 1.0, 50.0)
    fixed = Patience("raft's election timeout", 10.0, default=10.0)
    heartbeat = Patience("dispatcher_heartbeat", 5.0, 3.0, 9.0)
    able = Endurance((ttl, election), 16.5, 3.0)
    assert troubles.advice(able, 0.8) == "etcd_election_timeout 2 s would do"
    assert troubles.advice(Endurance((ttl,), 16.5, 3.0), 6.0) == "profile default would do"
    assert troubles.advice(Endurance((fixed, heartbeat), 80.0, 3.0), 4.0) == "profile default would do"
    assert troubles.advice(Endurance((heartbeat,), 80.0, 3.0), 6.0) == "dispatcher_heartbeat 8 s would do"
    assert "run it on a machine with less load" in troubles.advice(Endurance((fixed, heartbeat), 80.0, 3.0), 6.0)
    assert "run it on a machine with less load" in troubles.advice(able, 40.0)


def test_the_report_has_a_line_for_each_who_stood_still_and_for_the_machine() -> None:
    """The worst of each, and how often; nothing where all went well."""
    assert troubles.told(killed().history()) == []
    story = killed().endures(beats="n2").stalled(20, 21).stalled(30, 35, why="stopped").stalled(40, 43, "n2").pressed(0, 60, 6.0, steal=0.2)
    said = troubles.told(story.history())
    assert said[0] == "the harness itself stood still for 5.0 s from 30.0 s (stopped), and once for less"
    assert said[1].startswith("n2 stood still for 3.0 s from 40.0 s: beyond the 1 s that etcd_election_timeout of 1 s stands")
    assert said[2] == "this machine was overloaded for 60.0 s: up to 6.0 processes on 2 cores, up to 20% taken by its own host"


@pytest.mark.parametrize(
    ("story", "much"),
    [
        (killed, False),
        (lambda: killed().endures(beats="n2").stalled(20, 20.4, "n2"), False),
        (lambda: killed().endures(beats="n2").stalled(20, 24), False),
        (lambda: killed().endures(beats="n2").stalled(20, 23, "n2"), True),
        (lambda: killed().endures().pressed(0, 60, 6.0), True),
    ],
    ids=["nothing", "a node for a moment", "the harness alone", "a node for longer than its timers stand", "overloaded"],
)
def test_what_stood_still_for_a_moment_had_not_too_much_to_do(story: Callable[[], Story], *, much: bool) -> None:
    """It is told all the same: only what may be why nothing could be said is worth another run."""
    assert troubles.too_much(story().history()) is much


def test_a_caller_is_silent_by_its_own_pace() -> None:
    """A call every 4 s is no silence of 4 s; ten a second, and then none for 4 s, is."""
    slow, quick = (
        [float(number) for number in range(0, 60, 4)],
        [number / 10 for number in range(200)] + [24 + number / 10 for number in range(200)],
    )
    assert troubles.unasked(slow, Interval(10, 40)) == []
    assert troubles.unasked(quick, Interval(10, 40)) == [Interval(19.9, 24.0)]
    assert troubles.unasked([], Interval(10, 40)) == [Interval(10, 40)]


# -- every kind of slowness counts, and none for more than it explains


def led(*, back: int = 30) -> Story:
    """n2 of three loses power from 10 s to 51 s, and n1 leads; all are watched and write twice a second. Leadership goes to n3 at `back`."""
    story = Story().node(0, "n1").node(0, "n2").node(0, "n3").members(0, "n1 n2 n3", 2, "n1").endures(beats="n1 n2 n3").off(10.1, "n2")
    story.fault("node.kill", "n2", decided=10, in_force=10.1, healing=51, healed=53).no_member(10.5, "n2").node(53, "n2")
    if back:
        story.members(back, "n1 n3", 3, "n3")
    return story.watched(69, "n1 n2 n3").done(70)


def waiting(story: Story, *, start: float = 0, end: float = 70, ready: float = 1.0, **shares: float) -> Story:
    """Have a story's machine wait for something all along."""
    for second in range(round(end - start)):
        story.tell(start + second + 1.0, Pressure(1.0, 2, ready, **shares))
    return story


@pytest.mark.parametrize("shares", [{"io": 0.95}, {"memory": 0.95}, {"cpu": 0.95}, {"steal": 0.8}, {"ready": 8.0}])
def test_lateness_that_any_recorded_slowness_explains_is_unknown(shares: dict[str, float]) -> None:
    """1.9 s too late: the three seconds of work of it took that much longer. 13 s too late is more than 0.95 of waiting for a processor explains."""
    assert moved(killed(back=41.9).endures(), within=30).verdict is BROKEN
    finding = moved(waiting(killed(back=41.9).endures(), **shares), within=30)
    assert (finding.verdict, "so work took" in str(finding.details)) == (UNKNOWN, True)
    assert moved(waiting(killed(back=41.9).endures(), cpu=0.95), within=19).verdict is BROKEN


def test_what_excuses_several_things_is_told_once_and_its_sums_are_in_the_details() -> None:
    """The first line of a verdict is for people: what was missing, and why that is nobody's fault."""
    finding = Availability("web", 0.9, 2.0).check(waiting(outage(20, 40).endures(recovery=30.0, work=30.0), ready=40.0).history())
    assert finding.verdict is UNKNOWN
    assert (finding.summary.count("were promised"), finding.summary.count("were allowed"), finding.summary.count(troubles.BUSY)) == (
        1,
        1,
        1,
    )
    assert finding.summary.endswith(troubles.BUSY)
    assert "wanted 2 cores" not in finding.summary
    points: Any = finding.details["points"]
    assert all("40.0 processes wanted 2 cores then" in each for each in points)


@pytest.mark.parametrize(
    ("shares", "said"),
    [
        ({"io": 0.9, "ready": 3.0}, "waited for disks for 90% of that time, so work took 10.0 times as long"),
        ({"memory": 0.5, "io": 0.2}, "waited for memory for 50% of that time, so work took 2.0 times as long"),
        ({"cpu": 0.9, "ready": 2.0}, "waited for a processor for 90% of that time, so work took 1.9 times as long"),
        ({"steal": 0.8, "cpu": 0.9}, "the machine's own host took 80% of that time, so work took 9.5 times as long"),
        ({"cpu": 0.9, "ready": 8.0}, "8.0 processes wanted 2 cores then, so work took 4.0 times as long"),
    ],
)
def test_slowness_says_what_was_waited_for_most(shares: dict[str, float], said: str) -> None:
    """And how many times longer work took by it."""
    assert slowness(waiting(killed(), **shares).history(), [Interval(5, 60)]).text.endswith(said)


@pytest.mark.parametrize(
    ("shares", "verdict"),
    [
        ({}, BROKEN),
        ({"ready": 50.0}, UNKNOWN),
        ({"io": 0.95}, UNKNOWN),
        ({"memory": 0.95}, UNKNOWN),
        ({"ready": 8.0, "cpu": 0.99, "io": 0.3}, BROKEN),
        ({"ready": 12.0}, UNKNOWN),
    ],
)
def test_an_election_that_comes_by_itself_on_so_slow_a_machine_convicts_nobody(shares: dict[str, float], verdict: Verdict) -> None:
    """Leadership moved at 30 s, and the timers stand an election timeout of 1 s: with 12 processes on 2 cores, not with 8."""
    finding = QuorumSurvived(leader="stays").check(waiting(led(), **shares).history())
    assert finding.verdict is verdict, finding.summary
    told = ("etcd_election_timeout of 1 s stands", "leaders are lost by that alone")
    assert verdict is BROKEN or any(each in finding.summary for each in told), finding.summary


def test_timers_that_stand_a_slow_machine_leave_no_excuse() -> None:
    """Ten seconds until an election: fifty processes on two cores are no reason for one."""
    story = waiting(led().endures(Patience("raft's election timeout", 10.0, default=10.0), beats="n1 n2 n3"), ready=50.0)
    able = [entry.event for entry in story.history().entries if isinstance(entry.event, Endures)]
    told = [(entry.time, entry.event) for entry in story.history().entries if entry.event is not able[0]]
    assert QuorumSurvived(leader="stays").check(History.of_events(*told)).verdict is BROKEN


@pytest.mark.parametrize(("ready", "verdict"), [(1.0, BROKEN), (8.0, BROKEN), (50.0, UNKNOWN)])
def test_leadership_that_had_no_time_to_move_convicts_nobody(ready: float, verdict: Verdict) -> None:
    """It stayed for 41 s where it should have moved in 10: enough at four times slower, not at twenty-five."""
    assert QuorumSurvived(leader="moves").check(waiting(led(back=0), ready=ready).history()).verdict is verdict


@pytest.mark.parametrize(("ready", "verdict"), [(1.0, BROKEN), (3.0, BROKEN), (50.0, UNKNOWN)])
def test_writes_that_had_no_time_to_return_convict_nobody(ready: float, verdict: Verdict) -> None:
    """None was acknowledged in the 15 s after the heal: 10 are allowed."""
    story = waiting(led(back=0).writes(1, 10).writes(12, 68, Outcome.FAIL), ready=ready)
    assert QuorumSurvived("stop").check(story.history()).verdict is verdict


@pytest.mark.parametrize(("end", "verdict"), [(0, BROKEN), (10, UNKNOWN)])
def test_writes_are_compared_with_what_was_usual_on_the_machine_by_itself(end: int, verdict: Verdict) -> None:
    """Twice as long as before is not five times; but before, 12 processes wanted 2 cores, and now none does."""
    story = waiting(led(back=0).writes(1, 10, took=0.1).writes(11, 51, took=0.2).writes(54, 68, took=0.1), end=end, ready=12.0)
    finding = QuorumSurvived("slow").check(story.history())
    assert (finding.verdict, "writes were not slow" in finding.summary) == (verdict, True)


def nowhere(*, healing: float = 55.2) -> Story:
    """The work of n1, lost at 10 s, is noticed and placed nowhere until healing begins."""
    story = killed(back=None, healing=healing).endures(beats="n1 n2 n3").api(1.0, "n2", "n1 n2 n3", {"web@1": "n1"})
    return story.api(15.0, "n2", "n2 n3", {"web@1": None})


@pytest.mark.parametrize(
    ("ready", "healing", "verdict"),
    [(1.0, 30.0, BROKEN), (19.0, 55.2, BROKEN), (50.0, 30.0, UNKNOWN), (50.0, 55.2, BROKEN)],
)
def test_work_that_was_placed_nowhere_convicts_where_the_margin_is_large(ready: float, healing: float, verdict: Verdict) -> None:
    """16.5 s are allowed; of placing, a second is work: 25 s on a machine that is 25 times slower. And a stall of ours of 0.6 s excuses 0.6 s."""
    assert moved(waiting(nowhere(healing=healing), ready=ready), within=16.5).verdict is verdict
    assert moved(waiting(nowhere(healing=healing).stalled(20.0, 20.6), ready=ready), within=16.5).verdict is verdict


@pytest.mark.parametrize(
    ("parts", "moves"),
    [(("disk",), {"io"}), (("memory",), {"io", "memory"}), (("docker",), set()), ((), set())],
    ids=["a disk", "memory", "a daemon", "a whole node"],
)
@pytest.mark.parametrize("waits", ["io", "memory", "steal"])
def test_a_faults_own_effect_is_no_trouble_of_the_machine(parts: tuple[str, ...], moves: set[str], waits: str) -> None:
    """Leadership moved, and was to stay. What the fault makes wait is told of nobody while it is there, and of the machine before and after.

    Processors are shared with everybody, whatever a fault is about.
    """
    traits = Traits(Loss.NOTHING, parts)
    story = Story().node(0, "n1").node(0, "n2").node(0, "n3").members(0, "n1 n2 n3", 2, "n1").members(30, "n1 n2 n3", 3, "n3")
    story.endures(beats="n1 n2 n3").fault("any.fault", "n2", decided=10, in_force=10.1, healing=51, healed=53, traits=traits)
    history = waiting(story.watched(69, "n1 n2 n3").done(70), start=12, end=50, **{waits: 0.95}).history()
    own = waits in moves
    assert QuorumSurvived(leader="stays").check(history).verdict is (BROKEN if own else UNKNOWN)
    assert any("this machine was overloaded" in line for line in troubles.told(history)) is not own
    later = waiting(story, start=60, end=69, **{waits: 0.95}).history()
    (line,) = (line for line in troubles.told(later) if "this machine was overloaded" in line)
    assert line.startswith(f"this machine was overloaded for {'9.0' if own else '47.0'} s: ")


# -- a stall of our own is taken off, for whoever missed something


@pytest.mark.parametrize(("length", "verdict"), [(0.6, BROKEN), (33.0, UNKNOWN)])
@pytest.mark.parametrize("what", ["moves", "return", "leaderless", "settled"])
def test_our_own_stall_excuses_as_much_as_it_lasted(what: str, length: float, verdict: Verdict) -> None:
    """Each is missed for longer than is allowed by far: 0.6 s less is still too long; nearly all of it less is not."""
    story = led(back=0)
    since, until = 14.0, 14.0 + length
    if what == "leaderless":
        story.members(12, "n1 n3", 3, None)
    if what == "return":
        story.writes(1, 10).writes(12, 68, Outcome.FAIL)
        since, until = 53.2, min(53.2 + length, 67.0)
    if what == "settled":
        story = killed(healing=20.0).whole(1, "before").whole(69, "after", "n1 is off", seconds=47).endures(beats="n1 n2 n3")
        since, until = 24.0, 24.0 + length
    promised: dict[str, Checker] = {"moves": QuorumSurvived(leader="moves"), "return": QuorumSurvived("stop"), "settled": Settled()}
    assert promised.get(what, QuorumSurvived(leader="stays")).check(story.stalled(since, until).history()).verdict is verdict


def test_our_own_stall_does_not_unsee_what_was_seen() -> None:
    """Leadership elsewhere, and work that is gone at the end: neither is the doing of whoever looked away for a while."""
    assert QuorumSurvived(leader="stays").check(led().stalled(14, 14.6).history()).verdict is BROKEN
    story = Story().node(0, "n1", "web@1").node(0, "n2").whole(1, "before").whole(20, "after").node(25, "n1").endures(beats="n1 n2")
    story.fault("node.kill", "n2", decided=3, in_force=4, healing=8, healed=9).off(4, "n2").node(9, "n2").done(70)
    assert Settled().check(story.stalled(30, 33).history()).verdict is BROKEN


def test_work_that_ran_and_stopped_or_that_nobody_missed_was_not_merely_decided_late() -> None:
    """Only where nothing was started by those who noticed the loss is a large margin no work: else all of it may have been slow."""
    slow = {"ready": 50.0}
    stopped = nowhere().node(20, "n2", "web@1").node(20.05, "n2")
    unmissed = killed(back=None, healing=55.2).endures(beats="n1 n2 n3")
    for story, verdict in ((nowhere(), BROKEN), (stopped, UNKNOWN), (unmissed, UNKNOWN)):
        finding = moved(waiting(story, **slow), within=16.5)
        assert finding.verdict is verdict, finding.summary


@pytest.mark.parametrize(("shares", "verdict"), [({}, BROKEN), ({"io": 0.95}, UNKNOWN)])
def test_a_share_that_is_too_small_by_what_slowness_explains_convicts_nobody(shares: dict[str, float], verdict: Verdict) -> None:
    """A few calls too many failed: half a second of a slow machine's minute."""
    finding = available(waiting(outage(20, 40).endures(), **shares), gap=60, share=0.665)
    assert finding.verdict is verdict, finding.summary


@pytest.mark.parametrize(("start", "told"), [(60.0, False), (80.0, True)])
def test_a_machine_that_was_taken_away_may_be_late_once_more_while_it_boots(start: float, *, told: bool) -> None:
    """And not half a minute after its heal."""
    story = Story().node(0, "n1").node(0, "n2").endures(beats="n1 n2").off(10, "n1").node(52, "n1")
    story.fault("node.kill", "n1", decided=9.9, in_force=10.0, healing=50, healed=52).stalled(start, start + 4.0, "n1")
    assert bool(troubles.beyond(story.done(99).history())) is told
