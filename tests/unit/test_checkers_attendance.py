"""What was planned and never came is unknown, not held; so is what fell silent, and a word that cannot be."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from harness.checkers import Assumptions, Checks, Clean, Settled
from harness.checkers.expected import Asked, Expected
from harness.core.traits import daemon
from harness.core.values import Call, Loss, NodeState, Outcome, Phase, Stage, Traits, Verdict
from harness.history.events import Answered, ApiSeen, Checked, Event, FaultStage, Fingerprinted, History, Invoked, NodeSeen, Watching
from harness.testing.histories import Story, node_kill

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.core.values import Finding
    from harness.history.interfaces import Checker

NODES = ("n1", "n2", "n3")
PLANNED = Expected(
    nodes=NODES,
    workloads=(("http", "web"), ("register", "")),
    observers=tuple((name, NODES) for name in ("host", "docker", "placement", "membership")),
    faults=("node.kill",),
    checks=(Asked("service docker is_running", "after", NODES),),
    instances=("web@1", "web@2"),
    called=("web@1", "web@2"),
)
HELD, BROKEN, UNKNOWN = Verdict.HELD, Verdict.BROKEN, Verdict.UNKNOWN


def left_out(drop: Callable[[float, Event], bool]) -> History:
    """A good run without some of its lines."""
    kept = [(entry.time, entry.event) for entry in node_kill().history().entries if not drop(entry.time, entry.event)]
    return History.of_events(*numbered(kept))


def numbered(told: list[tuple[float, Event]]) -> list[tuple[float, Event]]:
    """Number the calls anew: those without an answer were never made, and not cut out."""
    answered = {event.op for _, event in told if isinstance(event, Answered)}
    new: dict[int, int] = {}
    found: list[tuple[float, Event]] = []
    for time, event in told:
        if isinstance(event, Invoked) and event.op in answered:
            new[event.op] = len(new) + 1
        if isinstance(event, Invoked | Answered):
            if event.op in new:
                found.append((time, dataclasses.replace(event, op=new[event.op])))
        else:
            found.append((time, event))
    return found


def judged(history: History, checker: Checker | None = None) -> Finding:
    """What a checker that knows the plan says; `assumptions` unless another is given."""
    return (checker or Assumptions(PLANNED)).check(history)


def calls_of(instance: str) -> set[int]:
    """Return the numbers of the calls to an instance."""
    return {event.op for _, event in node_kill().history().each(Invoked) if event.call.key == instance}


def test_a_run_in_which_all_that_was_planned_came_is_held() -> None:
    """Else nothing below would mean anything."""
    whole = node_kill().history()
    for checker in (Assumptions(PLANNED), Clean(PLANNED), Checks(PLANNED)):
        assert judged(whole, checker).verdict is HELD


@pytest.mark.parametrize("observer", ["host", "docker", "placement", "membership"])
@pytest.mark.parametrize("node", ["", "n2"])
def test_an_observer_that_never_spoke_is_missed(observer: str, node: str) -> None:
    """Of anybody, or of one node that it was to watch."""
    finding = judged(
        left_out(lambda _, event: isinstance(event, Watching) and event.observer == observer and (not node or event.node == node))
    )
    assert (finding.verdict, f"the {observer} observer" in finding.summary, "never spoke" in finding.summary) == (UNKNOWN, True, True)


def test_members_that_only_the_cluster_knows_need_only_be_spoken_of() -> None:
    """On hosts of other people the plan cannot say who votes."""
    theirs = Expected(NODES, observers=(("membership", ()),))
    history = left_out(lambda _, event: isinstance(event, Watching) and event.observer == "membership" and event.node != "n1")
    assert judged(history, Assumptions(theirs)).verdict is HELD
    nobody = left_out(lambda _, event: isinstance(event, Watching) and event.observer == "membership")
    assert judged(nobody, Assumptions(theirs)).verdict is UNKNOWN


def test_a_fault_that_was_planned_and_never_made_is_missed() -> None:
    """The first of two came, and was all there was."""
    two = Assumptions(Expected(NODES, faults=("node.kill", "net.partition")))
    finding = judged(node_kill().history(), two)
    assert (finding.verdict, finding.summary) == (UNKNOWN, "fault 2 (net.partition) was planned and never made")
    other = Assumptions(Expected(NODES, faults=("daemon.hang",)))
    assert judged(node_kill().history(), other).verdict is UNKNOWN


def test_a_fault_that_hit_nobody_is_unknown() -> None:
    """Its stages were walked through, with no target."""
    story = Story().phase(0, Phase.STEADY).node(0, "n1", "web@1").watched(59, "n1")
    for stage, time in ((Stage.DECIDED, 10.0), (Stage.IN_FORCE, 10.1), (Stage.HEALING, 20.0), (Stage.HEALED, 20.1)):
        story.tell(time, FaultStage(1, "net.partition", (), stage))
    finding = judged(story.done(60).history(), Assumptions())
    assert (finding.verdict, "net.partition hit nobody" in str(finding.details.get("points", finding.summary))) == (UNKNOWN, True)


def calm(*, hit: str = "") -> Story:
    """A run in which nothing happened: its one fault found nobody to hit; or was to hit somebody, and failed, and was not mended."""
    story = Story().phase(0.0, Phase.STEADY).phase(9.0, Phase.FAULTS).phase(13.6, Phase.SETTLING).watched(69.0, "n1 n2 n3")
    story.node(0.5, "n1", "web@1").node(0.5, "n2", "web@2").node(0.5, "n3").members(0.7, "n1 n2 n3", 2, "n1").writes(2.0, 68.0)
    for node in NODES:
        story.api(0.6, node, "n1 n2 n3", {"web@1": "n1", "web@2": "n2"}).checked(66.0, node, "service docker is_running", Outcome.OK)
        story.fingerprint(0.9, node, "before", {"nft_tables": []}).fingerprint(67.0, node, "after", {"nft_tables": []})
    story.gets(2.0, 68.0, "web@1", by="n1").gets(2.0, 68.0, "web@2", by="n2").whole(1.0, "before").whole(16.0, "after")
    detail = "no target for 'leader & follower': nothing is left"
    if hit:
        story.tell(13.6, FaultStage(1, "node.kill", (hit,), Stage.DECIDED))
    return story.tell(13.6, FaultStage(1, "node.kill", tuple(hit.split()), Stage.FAILED, {}, detail)).done(70.0)


def test_a_fault_that_found_nobody_is_the_reason_and_makes_none_of_what_came_after_it() -> None:
    """Nothing of it lasts, so that what was told after it is from after it: beside one that was begun on somebody, and of which that is not known."""
    history = calm().history()
    finding = judged(history)
    assert (finding.verdict, finding.summary) == (UNKNOWN, "node.kill hit nobody: no target for 'leader & follower': nothing is left")
    for checker in (Settled(PLANNED), Clean(PLANNED), Checks(PLANNED)):
        assert judged(history, checker).verdict is HELD
    for checker in (Settled(PLANNED), Clean(PLANNED)):
        assert judged(calm(hit="n2").history(), checker).verdict is UNKNOWN


def test_a_power_cut_that_the_node_does_not_know_of_is_unknown() -> None:
    """The switch says that n2 is off, from 10 s to 51 s; n2 goes on telling what it runs."""
    whole = node_kill().history()
    told = [
        (entry.time, entry.event)
        for entry in whole.entries
        if not (isinstance(entry.event, NodeSeen) and entry.event.node == "n2" and entry.event.state is NodeState.OFF)
    ]
    up = NodeSeen("n2", NodeState.UP)
    finding = judged(History.of_events(*told, *((float(second), up) for second in range(11, 53))))
    assert (finding.verdict, "n2 was up at 12.0 s by its own word, with node.kill in force on it" in finding.summary) == (UNKNOWN, True)


def test_a_last_word_that_was_on_its_way_contradicts_nothing() -> None:
    """It was read half a second after the machine was gone."""
    story = node_kill().node(10.2, "n2", "web@2").off(10.6, "n2")
    assert judged(story.history()).verdict is HELD


@pytest.mark.parametrize(("start", "end", "verdict"), [(20, 40, UNKNOWN), (20, 24, HELD)])
@pytest.mark.parametrize("whose", ["web@2", "register"])
def test_a_caller_that_made_no_call_for_a_while_is_unknown(start: float, end: float, verdict: Verdict, whose: str) -> None:
    """20 s of an outage without a call to the instance that is out, or without a write."""
    mute = (
        calls_of(whose)
        if whose != "register"
        else {event.op for _, event in node_kill().history().each(Invoked) if event.workload == whose}
    )
    begun = {event.op: entry.time for entry, event in node_kill().history().each(Invoked) if event.op in mute}
    gone = {op for op, time in begun.items() if start <= time < end}
    finding = judged(left_out(lambda _, event: isinstance(event, Invoked | Answered) and event.op in gone))
    assert finding.verdict is verdict
    assert verdict is HELD or "made no call" in finding.summary


@pytest.mark.parametrize("when", ["before", "after", "both"])
def test_a_node_without_both_fingerprints_is_unknown(when: str) -> None:
    """Also one of which nobody took any."""
    history = left_out(lambda _, event: isinstance(event, Fingerprinted) and event.node == "n3" and when in {event.when, "both"})
    for checker in (Clean(PLANNED), Clean()):
        finding = judged(history, checker)
        assert (finding.verdict, "n3 has no fingerprint from" in finding.summary) == (UNKNOWN, True)


def test_a_node_that_nobody_saw_and_nobody_fingerprinted_is_unknown() -> None:
    """The plan alone knows of n4."""
    finding = judged(node_kill().history(), Clean(Expected((*NODES, "n4"))))
    assert (finding.verdict, finding.summary) == (UNKNOWN, "n4 has no fingerprint from before the faults")


@pytest.mark.parametrize("when", ["before", "during", "after"])
def test_a_check_that_was_planned_and_never_asked_is_unknown(when: str) -> None:
    """The others held."""
    checker = Checks(Expected(checks=(Asked("service docker is_running", "after"), Asked("service fleet is_running", when))))
    finding = judged(node_kill().history(), checker)
    assert (finding.verdict, finding.summary) == (UNKNOWN, f"service fleet is_running ({when}) was planned and never asked")
    nothing = left_out(lambda _, event: isinstance(event, Checked))
    assert judged(nothing, Checks(PLANNED)).verdict is UNKNOWN


@pytest.mark.parametrize("node", ["n1", "n3"])
def test_a_check_that_was_not_asked_of_a_node_of_the_plan_is_unknown(node: str) -> None:
    """It was planned for all; the others held. Where the run finds out of whom, it is asked of as many as were planned."""
    history = left_out(lambda _, event: isinstance(event, Checked) and event.node == node)
    finding = judged(history, Checks(PLANNED))
    assert (finding.verdict, finding.summary) == (
        UNKNOWN,
        f"service docker is_running (after) was planned and never asked of {node}",
    )
    for fewest, verdict in ((1, HELD), (2, HELD), (3, UNKNOWN)):
        some = Checks(Expected(checks=(Asked("service docker is_running", "after", fewest=fewest),)))
        assert judged(history, some).verdict is verdict


def untold(instance: str) -> History:
    """A good run in which nobody ever says a word of an instance."""
    found: list[tuple[float, Event]] = []
    silenced = calls_of(instance)
    for entry in node_kill().history().entries:
        event = entry.event
        if (isinstance(event, Invoked | Answered) and event.op in silenced) or getattr(event, "instance", "") == instance:
            continue
        if isinstance(event, NodeSeen):
            event = dataclasses.replace(event, containers=tuple(each for each in event.containers if each.instance != instance))
        if isinstance(event, ApiSeen) and event.view is not None:
            kept = tuple(each for each in event.view.placements if each.instance != instance)
            event = dataclasses.replace(event, view=dataclasses.replace(event.view, placements=kept))
        found.append((entry.time, event))
    return History.of_events(*numbered(found))


@pytest.mark.parametrize("instance", ["web@1", "web@2"])
def test_an_instance_of_the_plan_that_is_in_nobodys_lines_is_missed(instance: str) -> None:
    """It was planned; no node ran it, no API named it, and nobody called it. One that can have no home is not."""
    finding = judged(untold(instance))
    assert (finding.verdict, f"{instance} ran nowhere when the first fault was decided" in finding.summary) == (UNKNOWN, True)
    spare = dataclasses.replace(PLANNED, homeless=(("web", 1),))
    assert judged(untold(instance), Assumptions(spare)).verdict is HELD
    settled = judged(untold(instance), Settled(PLANNED))
    assert (settled.verdict, "ran 1 of 2 instances of web" in settled.summary) == (UNKNOWN, True)
    assert judged(untold(instance), Settled(spare)).verdict is HELD


def test_an_instance_that_was_to_be_called_and_never_was_is_missed() -> None:
    """It ran all along."""
    silenced = calls_of("web@1")
    finding = judged(left_out(lambda _, event: isinstance(event, Invoked | Answered) and event.op in silenced))
    assert (finding.verdict, "web@1 ran, but never answered well" in finding.summary) == (UNKNOWN, True)
    nobody = dataclasses.replace(PLANNED, called=("web@2",))
    history = left_out(lambda _, event: isinstance(event, Invoked | Answered) and event.op in silenced)
    assert judged(history, Assumptions(nobody)).verdict is HELD


@pytest.mark.parametrize(("shift", "verdict"), [(-8.0, UNKNOWN), (8.0, UNKNOWN), (-0.3, HELD), (1.5, HELD)])
def test_a_docker_whose_clock_contradicts_what_was_seen_is_unknown(shift: float, verdict: Verdict) -> None:
    """n3 was seen without web@2 a second before it was seen with it; its daemon tells another time of the start."""
    whole = node_kill().history()
    told = [(entry.time, entry.event) for entry in whole.entries if entry.event.kind != "docker"]
    story = Story()
    for time, event in told:
        story.tell(time, event)
    story.docker(40.3, "n3", "start", "web@2", at=40.2 + shift)
    finding = judged(story.history(beats=False))
    assert (finding.verdict, verdict is HELD or "one of the two clocks is wrong" in finding.summary) == (verdict, True)


def test_a_harness_that_stood_still_is_the_one_reason_that_is_told() -> None:
    """And not a dozen observers that were silent with it; a moment of it is no reason."""
    whole = node_kill().history()
    # What had been answered meanwhile is heard of when it goes on.
    late = [(35.0, entry.event) for entry in whole.entries if 20 < entry.time < 20.05 and isinstance(entry.event, Answered)]
    still = [*((entry.time, entry.event) for entry in whole.entries if not 20 < entry.time < 35), *late]
    story = Story()
    for time, event in numbered(still):
        story.tell(time, event)
    finding = judged(story.stalled(20.0, 35.0, why="stopped").history(beats=False))
    assert (finding.verdict, finding.summary) == (UNKNOWN, "the harness itself stood still for 15.0 s from 20.0 s (stopped)")
    assert judged(node_kill().stalled(20.0, 21.0).history()).verdict is HELD


def test_the_outcome_of_a_call_says_nothing_of_its_silence() -> None:
    """Failing calls are calls."""
    story = node_kill().gets(20, 40, "web@3", Outcome.FAIL)
    assert "made no call to web@2" not in judged(story.history()).summary


ONCE: dict[str, Callable[[Story], Story]] = {
    "whole, after not whole": lambda story: story.whole(57, "after", "web@1 does not answer"),
    "not steady, then steady": lambda story: story.whole(0.9, "before", "n2 is off"),
    "a fingerprint from after": lambda story: story.fingerprint(66.9, "n2", "after", {"nft_tables": ["left"]}),
    "a fingerprint from before": lambda story: story.fingerprint(0.95, "n2", "before", {"nft_tables": ["left"]}),
}


@pytest.mark.parametrize("case", ONCE)
def test_what_a_run_tells_once_and_was_told_twice_is_unknown(case: str) -> None:
    """By the assumptions, and by whoever judges by it."""
    history = ONCE[case](node_kill()).history()
    findings = [checker.check(history) for checker in (Assumptions(), Settled() if "whole" in case or "steady" in case else Clean())]
    assert [finding.verdict for finding in findings] == [UNKNOWN, UNKNOWN], findings
    assert all("2 times" in finding.summary for finding in findings)


def test_a_check_that_was_answered_more_often_than_it_was_planned_is_unknown() -> None:
    """Once a node for each time that it stands in the plan; while a fault is in force it may be asked twice."""
    check = "service docker is_running"
    story = node_kill().checked(66.1, "n2", check, Outcome.OK).checked(20, "n1", check, Outcome.OK, when="during")
    story.checked(30, "n1", check, Outcome.OK, when="during")
    after, during = Asked(check, "after", NODES), Asked(check, "during", ("n1",))
    finding = Checks(Expected(checks=(after, during))).check(story.history())
    assert (finding.verdict, finding.summary) == (UNKNOWN, f"n2: {check} (after) was answered 2 times, and planned 1 times")
    assert Checks(Expected(checks=(after, after, during))).check(story.history()).verdict is HELD


@pytest.mark.parametrize(("second", "verdict"), [(True, HELD), (False, UNKNOWN)])
def test_a_check_that_was_never_asked_under_one_of_several_faults_is_unknown(*, second: bool, verdict: Verdict) -> None:
    """That it was under another is no answer."""
    check = "service docker is_running"
    story = Story().fault("net.partition", "n2", decided=10, in_force=10.1, healing=20, healed=20.1)
    story.fault("net.partition", "n2", decided=30, in_force=30.1, healing=40, healed=40.1, number=2).checked(
        11, "n1", check, Outcome.OK, when="during"
    )
    if second:
        story.checked(31, "n1", check, Outcome.OK, when="during")
    finding = Checks(Expected(checks=(Asked(check, "during", ("n1",)),))).check(story.done(50).history())
    assert (finding.verdict, second or f"{check} (during fault 2) was planned and never asked" in finding.summary) == (verdict, True)


OVERLAPPING: dict[str, tuple[tuple[float, ...], Verdict, str]] = {
    # the first fault is in force from 10 s to 60 s, the second from 20 s to 40 s
    "each by itself": ((12, 22), HELD, ""),
    "once, while both were in force": ((30,), HELD, ""),
    "before the second, and after it": ((12, 50), UNKNOWN, "(during fault 2) was planned and never asked"),
    "only before the second": ((12,), UNKNOWN, "(during fault 2) was planned and never asked"),
    "when the second was being mended": ((12, 40.05), UNKNOWN, "(during fault 2) was planned and never asked"),
    "before it was in force": ((12, 20), UNKNOWN, "(during fault 2) was planned and never asked"),
    "after both": ((70,), UNKNOWN, "(during fault 1) was planned and never asked"),
}


@pytest.mark.parametrize("case", OVERLAPPING)
def test_a_check_counts_for_the_faults_that_were_in_force_when_it_was_asked(case: str) -> None:
    """Not for one that was mended by then, nor for the last that came into force alone."""
    times, verdict, words = OVERLAPPING[case]
    check = "service docker is_running"
    story = Story().fault("net.partition", "n2", decided=10, in_force=10.1, healing=60, healed=60.1)
    story.fault("disk.slow", "n3", decided=20, in_force=20.1, healing=40, healed=40.1, number=2)
    for time in times:
        story.checked(time, "n1", check, Outcome.OK, when="during")
    finding = Checks(Expected(checks=(Asked(check, "during", ("n1",)),))).check(story.done(80).history())
    assert (finding.verdict, words in finding.summary) == (verdict, True), finding.summary


def test_what_one_node_answers_several_times_is_told_once_with_when_and_under_which_fault() -> None:
    """Two faults of one name are told apart by what they took."""
    check, story = "service docker is_running", Story()
    for number, (part, start) in enumerate((("docker", 10), ("etcd", 30)), 1):
        kind = daemon(part, in_place=False)
        story.fault(
            "process.kill", "n3", decided=start, in_force=start, healing=start + 9, healed=start + 9, number=number, traits=kind, lost="n3"
        )
        for later in (1, 2, 8):
            story.checked(start + later, "n3", check, Outcome.FAIL, when="during", saw="is_running: false")
    finding = Checks().check(story.done(50).history())
    assert finding.verdict is Verdict.BROKEN
    assert finding.summary.split("; ") == [
        f"n3: {check} (during): saw is_running: false, 3 times from {start}.0 s on, during process.kill {part} on n3"
        for start, part in ((11, "docker"), (31, "etcd"))
    ]
    assert len(finding.evidence) == 6


SPARED: dict[str, tuple[tuple[str, ...], Verdict, str]] = {
    # who answers, of n1, n2 and n3, while n2 is switched off by a fault; the others gave no answer
    "all that are left": (("n1", "n3"), HELD, "5 checks held; n2 could not be asked while a fault had switched it off"),
    "one that is left does not": (("n1",), UNKNOWN, "n3: service docker is_running (during): could not be asked: no answer, at 20.0 s"),
    "nobody": ((), UNKNOWN, "n1: service docker is_running (during): could not be asked"),
}


@pytest.mark.parametrize("case", SPARED)
def test_a_machine_that_a_fault_has_switched_off_need_not_say_what_is_so_meanwhile(case: str) -> None:
    """The others must."""
    answers, verdict, words = SPARED[case]
    check, story = "service docker is_running", node_kill()
    for node in NODES:
        good = node in answers
        story.checked(20, node, check, Outcome.OK if good else Outcome.UNKNOWN, when="during", saw="" if good else "no answer")
    finding = Checks(Expected(checks=(Asked(check, "during", NODES), Asked(check, "after", NODES)))).check(story.history())
    assert (finding.verdict is verdict, words in finding.summary) == (True, True), finding.summary


@pytest.mark.parametrize(("early", "verdict"), [(True, HELD), (False, UNKNOWN)])
def test_who_is_switched_off_later_must_have_been_asked_before(*, early: bool, verdict: Verdict) -> None:
    """n3 is there when the first fault bites, and switched off by the second 40 s later."""
    check, story = "service docker is_running", Story()
    story.fault("disk.slow", "n1", decided=10, in_force=10, healing=60, healed=60, traits=Traits(parts=("disk",)))
    story.fault("node.kill", "n3", decided=50, in_force=50, healing=55, healed=55, number=2, traits=Traits(Loss.NODE), lost="n3")
    for node in NODES:
        if node != "n3" or early:
            story.checked(10.5, node, check, Outcome.OK, when="during")
        story.checked(50.5, node, check, Outcome.UNKNOWN if node == "n3" else Outcome.OK, when="during")
    finding = Checks(Expected(checks=(Asked(check, "during", NODES, 3),))).check(story.done(70).history())
    assert finding.verdict is verdict, finding.summary
    assert early or f"{check} (during fault 1) was planned and never asked of n3" in finding.summary


@pytest.mark.parametrize(("time", "verdict"), [(20.5, BROKEN), (22.9, BROKEN), (23.1, UNKNOWN), (30.0, UNKNOWN)])
def test_an_answer_of_a_machine_that_was_just_seen_off_is_still_its_word(time: float, verdict: Verdict) -> None:
    """It may have been given before; one that comes later nobody can have given."""
    story = Story().phase(1, Phase.STEADY).node(0.5, "n3").off(20, "n3")
    story.checked(time, "n3", "service docker is_running", Outcome.FAIL, when="before", saw="is_running: false")
    finding = Checks().check(story.done(40).history())
    assert finding.verdict is verdict, finding.summary
    assert ("the node was off then by node truth" in finding.summary) is (verdict is UNKNOWN)


def test_good_answers_long_after_their_deadline_are_unknown() -> None:
    """No client of ours waits for so long, unless it stood still meanwhile."""
    told = Expected(deadlines=(("http", "web", 1.0), ("register", "", 2.0)))
    get = Call("get", "web@1")
    for took, verdict in ((2.9, HELD), (5.0, UNKNOWN)):
        finding = Assumptions(told).check(node_kill().call(45, "http", get, took=took, by="n1").history())
        assert (finding.verdict, verdict is HELD or "long after the 1 s that a call may take" in finding.summary) == (verdict, True)
    stopped = node_kill().call(45, "http", get, took=5.0, by="n1").stalled(46, 49)
    assert "long after" not in str(Assumptions(told).check(stopped.history()).details)
    slow = node_kill().write(45, "k", "v", took=5.0).read(69.5, "k", "v")
    assert "1 good answer of register" in Assumptions(told).check(slow.history()).summary


def test_instances_and_nodes_of_no_plan_are_unknown() -> None:
    """A scenario in Python may start some; a file cannot."""
    planned = Expected(NODES, instances=("web@1", "web@2"))
    story = node_kill().node(12, "n3", "web@9").node(39, "n3")
    assert "web@9 ran on n3 at 12.0 s, and is no instance of the plan" in Assumptions(planned).check(story.history()).summary
    python = Expected(NODES, instances=("web@1", "web@2"), more=True)
    assert "no instance of the plan" not in str(Assumptions(python).check(story.history()).details)
    for strange in (node_kill().no_api(30, "n9"), node_kill().no_member(30, "n9"), node_kill().watching(30, "docker", "n9")):
        assert "n9 is in the history, and is no node of the plan" in Assumptions(planned).check(strange.history()).summary


@pytest.mark.parametrize(("since", "until", "verdict"), [(5.0, 10.0, UNKNOWN), (5.0, 7.0, HELD), (9.7, 10.3, HELD)])
def test_an_instance_that_had_served_and_no_longer_did_when_the_fault_came_was_not_steady(
    since: float, until: float, verdict: Verdict
) -> None:
    """That it had answered once is not enough; a call that failed at the last moment is no outage, nor is one that was over."""
    story = Story()
    begun: set[int] = set()
    for entry in node_kill().history().entries:
        event = entry.event
        if isinstance(event, Invoked) and event.call.key == "web@1" and since <= entry.time < until:
            begun.add(event.op)
        bad = isinstance(event, Answered) and event.op in begun
        story.tell(entry.time, dataclasses.replace(event, outcome=Outcome.FAIL, by=None) if bad and isinstance(event, Answered) else event)
    finding = Assumptions().check(story.history(beats=False))
    assert (finding.verdict, verdict is HELD or "web@1 ran, but had given no good answer since" in finding.summary) == (verdict, True), (
        finding.summary
    )
