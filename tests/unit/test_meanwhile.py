"""What else was so while something went wrong: other faults, and that nobody led."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from harness.checkers.availability import Availability
from harness.checkers.rescheduled import Rescheduled
from harness.core.values import Finding, Outcome, Phase, Traits, Verdict
from harness.history.events import History
from harness.reports.meanwhile import meanwhile
from harness.reports.timeline import Timeline
from harness.reports.verdict_table import evidence, report
from harness.runs.run import Run
from harness.testing.histories import Story
from tests.unit.reporting import a_run, shown

SLOW = "disk.slow on n1 was in force from 5.1 s on, for 54.9 s"
NOBODY = "no leader that a majority follows was heard of for 25.0 s of that, from 15.0 s on"


def story(*, slow: bool = False, alone: bool = False, back: float | None = None, busy: bool = False) -> History:
    """web@1 is lost with n2 at 10 s, perhaps while another disk is slow, while nobody leads, and on a machine that is overloaded."""
    made = Story().node(0, "n1").node(0, "n2", "web@1").node(0, "n3").members(0, "n1 n2 n3", 2, "n1")
    if slow:
        made.fault("disk.slow", "n1", traits=Traits(parts=("memory",)), decided=5, in_force=5.1, healing=60, healed=61)
    if alone:
        made.members(15, "n1 n3", 2, None).members(40, "n1 n3", 3, "n3")
    made.off(10, "n2").fault("node.kill", "n2", decided=9.9, in_force=10, healing=50, healed=51, number=2)
    made.gets(0, 9.9, "web@1").gets(9.9, back or 62, "web@1", Outcome.FAIL)
    if back is not None:
        made.node(back, "n3", "web@1").gets(back, 62, "web@1")
    if busy:
        made.pressed(0, 70, 30.0)
    return made.watched(69, "n1 n2 n3").done(70).history()


def found(history: History, *checkers: Rescheduled | Availability) -> tuple[Run, list[Finding]]:
    """Return a run of that history, and what these say of it."""
    findings = [each.check(history) for each in checkers]
    return replace(a_run(findings), history=history), findings


@pytest.mark.parametrize(("slow", "alone"), [(True, True), (True, False), (False, True), (False, False)])
def test_what_went_wrong_is_told_with_the_other_faults_and_with_the_time_without_a_leader(*, slow: bool, alone: bool) -> None:
    """Below the first line, and beside the evidence; by itself there is nothing to say, and the fault that it is about is none of the others."""
    checkers = Rescheduled("web", within=20), Availability("web", 0.1, 20)
    run, findings = found(story(slow=slow, alone=alone), *checkers)
    expected = "; ".join([*([SLOW] if slow else []), *([NOBODY] if alone else [])])
    for finding in findings:
        assert finding.verdict is not Verdict.HELD
        said = meanwhile(run, finding)
        if finding.checker == "availability" and slow:  # which is about no fault of its own
            said = said.replace("; node.kill on n2 was in force from 10.0 s on, for 40.0 s", "")
        assert said == expected
    lines = shown(report(run), 200)
    places = [place for place, line in enumerate(lines) if line == f"meanwhile: {expected}"]
    assert len(places) == (2 if expected else 0)
    assert all(lines[place - 2].startswith("BROKEN") for place in places)
    assert any("meanwhile: " in line for line in shown(evidence(run, findings[0]), 200)) is bool(expected)


@pytest.mark.parametrize("back", [12.0, 45.0])
def test_what_was_so_at_another_time_is_no_reason(back: float) -> None:
    """Of what was kept nothing is said, nor of what came only when the work was back."""
    history = Story().node(0, "n1").node(0, "n2", "web@1").node(0, "n3").members(0, "n1 n2 n3", 2, "n1")
    history.off(10, "n2").fault("node.kill", "n2", decided=9.9, in_force=10, healing=50, healed=51)
    history.node(back, "n3", "web@1").fault("disk.slow", "n1", decided=46, in_force=46.1, healing=60, healed=61, number=2)
    history.members(47, "n1 n3", 2, None).watched(69, "n1 n2 n3").done(70)
    run, (finding,) = found(history.history(), Rescheduled("web", within=20))
    assert (finding.verdict, meanwhile(run, finding)) == (Verdict.HELD if back < 20 else Verdict.BROKEN, "")


def test_what_cannot_be_said_is_told_with_it_as_well() -> None:
    """What would convict by itself, and does not on a machine that is too slow, is still what the first line tells."""
    run, (finding,) = found(story(slow=True, alone=True, back=35, busy=True), Rescheduled("web", within=20))
    assert (finding.verdict, meanwhile(run, finding).startswith(SLOW)) == (Verdict.UNKNOWN, True), finding.summary
    assert "20.0 s of that, from 15.0 s on" in meanwhile(run, finding)


def test_a_leader_whose_member_is_surely_not_there_leads_nobody() -> None:
    """Its followers notice after 5 s: until then they name it, in their last words. As the checker counts it, so do the head and the timeline."""
    made = Story().node(0, "n1").node(0, "n2", "web@1").node(0, "n3").members(0, "n1 n2 n3", 2, "n2")
    made.phase(1, Phase.STEADY).off(10, "n2").fault("node.kill", "n2", decided=9.9, in_force=10, healing=50, healed=51)
    history = made.members(15, "n1 n3", 2, None).members(20, "n1 n3", 3, "n3").watched(69, "n1 n2 n3").done(70).history()
    run, (finding,) = found(history, Rescheduled("web", within=20))
    assert finding.verdict is Verdict.BROKEN
    said = meanwhile(run, finding)
    assert said == "no leader that a majority follows was heard of for 10.0 s of that, from 10.0 s on"
    (row,) = (line for line in shown(Timeline(history, ["n1", "n2", "n3"]), 140) if line.startswith("leader"))
    assert re.fullmatch(r"leader  n2─{10,16}┊? {15,20}n3─{60,}", row)
