"""The one reading of a history that all who show it share: which moments it tells."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from harness.checkers.availability import Availability
from harness.checkers.settled import Settled
from harness.core.figures import lasted
from harness.core.naming import natural
from harness.core.values import (
    Call,
    Container,
    Json,
    Loss,
    NodeState,
    Outcome,
    Phase,
    Placement,
    Traits,
    View,
)
from harness.history.events import (
    Acted,
    Answered,
    ApiSeen,
    Checked,
    Event,
    History,
    Invoked,
    MemberSeen,
    NodeSeen,
    Note,
    Wholeness,
)
from harness.history.reigns import members_of, reigns
from harness.reports.narrative import Narrative
from harness.reports.timeline import Timeline
from harness.testing.histories import Story, node_kill
from tests.unit.mutants import FOLDER
from tests.unit.reporting import NODES, a_plan, containers, drawn, fed_board, moments, node_killed, phases, shown


def test_an_instance_that_never_answers_again_is_told_at_the_end() -> None:
    """A gap without an end must not go missing."""
    events: list[tuple[float, Event]] = []
    for second in range(10):
        outcome = Outcome.OK if second < 3 else Outcome.FAIL
        events += [
            (float(second), Invoked(second, "http", Call("get", "web@1"))),
            (second + 0.1, Answered(second, "http", outcome, error="refused")),
        ]
    assert moments(History.of_events(*events))[-1] == "http web@1 still gives no good answer, 7.0 s after the last"


def test_a_disagreement_over_a_time_in_which_no_api_could_be_asked_is_told_once() -> None:
    """With how long nobody could be asked; and of one that was last heard of long before the end nobody says that it still goes on."""
    story = Story().phase(0.0, Phase.STEADY).node(0.5, "n1", "web@1").node(0.5, "n2").api(1, "n2", "n1 n2", {"web@1": "n1"})
    story.api(10, "n2", "n1 n2", {"web@1": "n2"}).no_api(20, "n2").api(24, "n2", "n1 n2", {"web@1": "n2"})
    again = [each for each in moments(story.api(30, "n2", "n1 n2", {"web@1": "n1"}).history()) if "disagreed" in each]
    assert again == [
        (
            "the API (asked at n2) disagreed with the nodes about web@1 for 20.0 s: it said n2, the nodes said n1; "
            "no API could be asked for 4.0 s of it"
        )
    ]
    story = Story().phase(0.0, Phase.STEADY).node(0.5, "n1", "web@1").api(10, "n1", "n1", {}).no_api(20, "n1").done(40)
    assert [each for each in moments(story.history()) if "disagreed" in each] == [
        (
            "the API (asked at n1) disagreed with the nodes about web@1 for 30.0 s: it said nowhere, the nodes said n1; "
            "no API could be asked for 20.0 s of it"
        )
    ]


def test_one_failed_call_is_not_a_moment() -> None:
    """Gaps below a second are noise between samples."""
    events: list[tuple[float, Event]] = []
    for tick in range(10):
        events += [
            (tick / 10, Invoked(tick, "http", Call("get", "web@1"))),
            (tick / 10 + 0.01, Answered(tick, "http", Outcome.FAIL if tick == 5 else Outcome.OK)),
        ]
    assert moments(History.of_events(*events)) == []


def test_an_api_that_names_an_unreachable_node_is_not_called_wrong() -> None:
    """Could not ask is never no: what nobody could see refutes nothing."""
    said = View(("n1",), (Placement("web@1", "n1", "active", running=True),))
    hidden = [(0.0, NodeSeen("n1", NodeState.UNREACHABLE)), (0.0, ApiSeen("n2", said)), (9.0, Note("end"))]
    off = [(0.0, NodeSeen("n1", NodeState.OFF)), (0.0, ApiSeen("n2", said)), (9.0, Note("end"))]
    assert not any("disagreed" in what for what in moments(History.of_events(*hidden)))
    assert any("disagreed with the nodes about web@1 for 9.0 s, and still does" in what for what in moments(History.of_events(*off)))


def test_a_cut_off_leader_in_its_old_term_does_not_lead() -> None:
    """Leaders are judged by term."""
    reading = Narrative(members=("n1", "n2", "n3"))
    before = [(0, MemberSeen(node, 2, "n1")) for node in ("n1", "n2", "n3")]
    history = History.of_events(*before, *((1, MemberSeen(node, 3, "n2")) for node in ("n2", "n3")), (2, MemberSeen("n1", 2, "n1")))
    told = [moment.what for entry in history.entries for moment in reading.feed(entry)]
    assert (reading.leader, reading.term) == ("n2", 3)
    assert told == ["n1 leads in term 2", "n2 leads in term 3, after n1"]


def test_nobody_leads_whom_no_majority_follows() -> None:
    """As it is judged: that nobody leads is told once it lasts, and who leads then with how long that was."""
    events = [
        *((0, MemberSeen(node, 2, "n1")) for node in ("n1", "n2", "n3")),
        (5, MemberSeen("n1", 2, None)),
        (5.01, MemberSeen("n2", 2, None)),
        (5.02, MemberSeen("n2", 3, "n2")),
        (5.03, MemberSeen("n1", 3, "n2")),
        (8, NodeSeen("n1", NodeState.OFF)),
        (8.1, MemberSeen("n3", 2, "n1", error="no answer")),
        (9.5, MemberSeen("n3", 4, "n3")),
        (9.6, MemberSeen("n2", 4, "n3")),
        (20, NodeSeen("n2", NodeState.OFF)),
        (21, MemberSeen("n3", 4, "n3")),
        (22, MemberSeen("n2", 4, "n3")),
    ]
    reading = Narrative(members=("n1", "n2", "n3"))
    found = [moment for entry in History.of_events(*events).entries for moment in reading.feed(entry)]
    assert [moment.what for moment in found if "lead" in moment.what or "has led" in moment.what] == [
        "n1 leads in term 2",
        "n2 leads in term 3, after n1",
        "nobody has led since 8.0 s",
        "n3 leads in term 4, after n2, 1.6 s later",
        "nobody has led since 20.0 s",
        "n3 leads again, after 2.0 s",
    ]


def test_the_picture_names_the_leader_that_the_checker_judges() -> None:
    """Whatever the members say, and whichever of them is cut off, off, or was never heard: one fold for both."""
    for recorded in sorted(FOLDER.glob("*.jsonl")):
        history = History.load(recorded)
        reading = Narrative(members=members_of(history))
        for entry in history.entries:
            reading.feed(entry)
        reading.close(history.end)
        drawn = [(bar.start, bar.end, bar.what) for bar in reading.spans.get(("leader",), []) if bar.end > bar.start]
        judged = [(reign.start, reign.end, reign.leader) for reign in reigns(history) if reign.leader and reign.end > reign.start]
        assert _joined(drawn) == _joined(judged), recorded.name


def _joined(pieces: Iterable[tuple[float, float, str]]) -> list[tuple[float, float, str]]:
    """Join what touches: a new term is no other leader."""
    found: list[tuple[float, float, str]] = []
    for start, end, who in pieces:
        if found and found[-1][1:] == (start, who):
            found[-1] = (found[-1][0], end, who)
        else:
            found.append((start, end, who))
    return found


def test_only_checks_that_do_not_hold_are_moments() -> None:
    """What is as expected needs no line."""
    history = History.of_events(
        (0, Checked("service docker is_running", "n1", "before", Outcome.OK)),
        (1, Checked("service docker is_running", "n2", "after", Outcome.FAIL, "False")),
        (2, Checked("service docker is_running", "n3", "after", Outcome.UNKNOWN, "no answer")),
    )
    assert moments(history) == [
        "check after the faults, service docker is_running on n2: does not hold (False)",
        "check after the faults, service docker is_running on n3: could not be asked (no answer)",
    ]


def test_how_a_wait_for_a_whole_cluster_ended_is_told_once() -> None:
    """Also what was before the picture begins; a note that says the same as well is left out, any other is not."""
    missing = ("n3's API gives no answer", "web@1 is not served")
    events = phases(0, 1, 5, 6, 7, 98, 99)
    events += [
        (4.9, Wholeness("before", whole=True, seconds=2.14)),
        (97.0, Wholeness("after", whole=False, seconds=90.0, missing=missing)),
        (97.0, Note(f"not whole again after 90 s: {'; '.join(missing)}")),
        (97.1, Note("not because of that")),
    ]
    history = History.of_events(*events)
    told = [what for what in moments(history) if not what.startswith("phase: ")]
    assert told == [
        "the cluster is whole, after 2.1 s",
        "the cluster is not whole after 90.0 s: n3's API gives no answer; web@1 is not served",
        "not because of that",
    ]
    lines = shown(Timeline(history, NODES), 80)
    assert "     4.9  the cluster is whole, after 2.1 s" in lines
    assert "the cluster is not whole after 90.0 s: n3's API gives no answer; web@1 is not served" in " ".join(" ".join(lines).split())


@pytest.mark.parametrize("whole", [True, False])
def test_the_wait_for_a_whole_cluster_after_the_last_heal_has_one_figure(*, whole: bool) -> None:
    """That of the checker which judges it, whatever was waited for in between."""
    story = Story().node(0, "n1").phase(1, Phase.STEADY).whole(2, "before")
    story.fault("node.kill", "n1", decided=10, in_force=10, healing=20, healed=21.02)
    story.fault("disk.slow", "n1", decided=11, in_force=11, healing=22, healed=22.04, number=2)
    history = story.whole(31, "after", *([] if whole else ["n2 is off"]), seconds=8.93).done(40).history()
    finding = Settled().check(history)
    (told,) = (line for line in moments(history) if "whole again" in line)
    figure = f"{lasted(31 - 22.04)} after the last heal"
    assert told == (f"the cluster is whole again, {figure}" if whole else f"the cluster is not whole again {figure}: n2 is off")
    assert figure in finding.summary


def test_who_never_answered_before_does_not_answer_again() -> None:
    """As an instance that had no home: its first good answer comes so long after the first call."""
    story = Story().gets(10, 20, "web@3", Outcome.FAIL).gets(20, 25, "web@3").gets(25, 30, "web@3", Outcome.FAIL).gets(30, 31, "web@3")
    told = [line for line in moments(story.done(40).history()) if "good answer" in line and "no good" not in line]
    assert told == ["http web@3: the first good answer, after 10.0 s of calls", "http web@3: a good answer again, after 5.1 s without one"]


def test_a_lane_is_called_since_its_first_call_and_not_since_its_first_answer() -> None:
    """Each call fails after a second; told is the time in which there were calls, in the figures of whoever counts them."""
    story = Story()
    for second in range(10, 20):
        story.call(second, "http", Call("get", "web@3"), Outcome.FAIL, took=1.0)
    told = [line for line in moments(story.gets(20, 22, "web@3").done(40).history()) if "good answer" in line]
    assert told == [
        "http web@3: no good answer yet, though it has been called since 10.0 s (fail)",
        "http web@3: the first good answer, after 10.0 s of calls",
    ]


CALLED: dict[str, tuple[str, Traits, dict[str, Json], str]] = {
    "a daemon": ("process.kill", Traits(Loss.PROCESS, ("docker",)), {"process": "dockerd"}, "process.kill docker"),
    "two daemons": ("daemon.hang", Traits(Loss.PROCESS, ("docker", "containerd")), {"daemon": "both"}, "daemon.hang docker and containerd"),
    "a cut": ("net.partition", Traits(Loss.LINK), {"shape": "isolate"}, "net.partition isolate"),
    "a machine": ("node.kill", Traits(Loss.NODE), {}, "node.kill"),
    "a disk": ("disk.slow", Traits(parts=("disk",)), {"fsync": 2.0}, "disk.slow"),
}


@pytest.mark.parametrize("case", CALLED)
def test_a_fault_is_called_by_what_it_takes_wherever_it_is_told(case: str) -> None:
    """Two faults of one name on one node are two: in the moments, the timeline and the live view."""
    name, traits, parameters, called = CALLED[case]
    story = Story().node(0, "n1").node(0, "n2").node(0, "n3").members(0, "n1 n2 n3", 2, "n1").phase(1, Phase.FAULTS)
    story.fault(name, "n2", decided=10, in_force=10.5, healing=30, healed=31, traits=traits, lost="n2", parameters=parameters)
    history = story.done(60).history()
    assert f"fault 1 ({called} on n2) is healed, 1.0 s after healing began" in moments(history)
    assert any(f" {called} n2 " in line for line in shown(Timeline(history, NODES), 140))
    assert any(line.startswith(f"{called}  ") for line in drawn(fed_board(a_plan(), history, 20.0), 140, 40))


def test_names_are_ordered_as_people_do() -> None:
    """n2 comes before n10."""
    assert sorted(["n10", "n2", "web@10", "web@9", "n1"], key=natural) == ["n1", "n2", "n10", "web@9", "web@10"]


def test_an_outage_is_one_figure() -> None:
    """What the moments say and what availability judged is the same, to the digit shown, wherever between two good answers the fault bit."""
    history = node_kill().history()
    gaps: Any = Availability("web", 0.1, 60.0).check(history).details["gaps"]
    told = next(what for what in moments(history) if what.startswith("http web@2: a good answer again"))
    assert lasted(gaps["web@2"]["length"]) == told.partition(", after ")[2].removesuffix(" without one")


def test_a_container_that_nobody_could_ask_for_is_no_new_placement() -> None:
    """The same one, seen again, was there all along; another one is told, also where nobody saw the first one go."""
    running, another = containers("web@1"), (Container("f" * 64, "web@1"),)
    events: list[tuple[float, Event]] = [
        (1.0, NodeSeen("n1", NodeState.UP, running)),
        (2.0, NodeSeen("n1", NodeState.UNREACHABLE)),
        (3.0, NodeSeen("n1", NodeState.UP, running)),
        (4.0, NodeSeen("n1", NodeState.UP, another)),
        (5.0, NodeSeen("n1", NodeState.UNREACHABLE)),
        (6.0, NodeSeen("n1", NodeState.UP)),
    ]
    told = [what for what in moments(History.of_events(*events)) if "web@1" in what]
    assert told == ["web@1 runs on n1", "web@1 runs on n1 in a new container", "web@1 no longer runs on n1"]
    lines = shown(Timeline(History.of_events(*phases(0, 0.5, 1, 3, 8, 9, 10), *events), ["n1"]), 80)
    assert sum("web@1" in line for line in lines if not line.startswith("  ")) == 1


def test_a_reading_without_a_timeline_keeps_no_answers() -> None:
    """A ten-minute run must not grow the harness."""
    reading = Narrative(keep=False)
    for entry in node_killed().entries:
        reading.feed(entry)
    assert not reading.spans
    assert all(not calls.answers for calls in reading.calls.values())


@pytest.mark.parametrize(
    ("lost", "said"),
    [
        ("n3", "fault 1 (net.partition on n1, n2) is in force, 0.50 s after it was decided, and cuts off n3"),
        ("", "fault 1 (net.partition on n1, n2) is in force, 0.50 s after it was decided, and cuts off nobody"),
        ("n1 n2", "fault 1 (net.partition on n1, n2) is in force, 0.50 s after it was decided"),
    ],
)
def test_who_is_cut_off_is_told_where_it_is_not_who_was_aimed_at(lost: str, said: str) -> None:
    """The targets may be the majority, or a bridge that sees everybody."""
    story = Story().fault("net.partition", "n1 n2", decided=5, in_force=5.5, traits=Traits(Loss.LINK), lost=lost)
    reading = Narrative()
    moments = [moment.what for entry in story.history().entries for moment in reading.feed(entry)]
    assert said in moments


def test_a_long_command_is_told_by_its_beginning_where_it_is_one_moment_of_many() -> None:
    """The plan and the results have all of it."""
    begun = Acted(1, "command", ("n1",), 60.0, may_fail=False, parameters={"run": "rotate-keys\n" + "x" * 4000, "secret": "y" * 100})
    told = moments(History.of_events((1.0, begun), (2.0, replace(begun, outcome=Outcome.OK, seconds=1.0))))
    named = f"action 1 (command run=rotate-keys … secret={'y' * 78} … on n1)"
    assert told == [f"{named} begins", f"{named} is done, after 1.0 s"]
