"""The timeline of one screen: its picture, on every width, and the moments below it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rich.console import Group

from harness.core.values import (
    Call,
    Finding,
    Json,
    NodeState,
    Outcome,
    Phase,
    Stage,
    Verdict,
)
from harness.history.absence import Voters
from harness.history.events import (
    Acted,
    Answered,
    Event,
    FaultStage,
    History,
    Invoked,
    MemberSeen,
    NodeSeen,
    Note,
    PhaseBegan,
)
from harness.history.leaders import leaders
from harness.reports.narrative import Narrative
from harness.reports.timeline import Timeline, call_lanes
from harness.reports.verdict_table import findings as findings_table
from harness.reports.verdict_table import recovery as recovery_table
from harness.testing.histories import Story
from tests.unit.reporting import NODES, a_plan, a_run, containers, drawn, fault, fed_board, node_killed, phases, shown

WIDE = """\
phase          │      │faults                                                 │settling         │
fault 1               D▓ node.kill n2 ▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓H░░░░░░
n1             web@2━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━
n2             web@1━━━off×××××××××××××××××××××××××××××××××××××××××××××××·····┊····················
n3             ·······┊······································web@1━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━
leader         n2─────┊  n1────────────────────────────────────────────────────────────────────────
API web@1             ┊≠≠≠≠≠≠≠≠≠≠≠≠≠≠≠≠≠≠≠≠≠≠≠≠≠≠≠≠≠≠≠≠≠≠≠≠≠≠                 ┊
http web@1     ███████▄xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx▄█████████████████████████████████
http web@2     █████████████████████████████████████████████████████████████████████████████████
register write ███████▄xx▄██████████████████████████████████████████████████████████████████████
               ───────┼──────────────┼─────────────┼──────────────┼──────────────┼──────────────┼──
seconds               10             20            30             40             50             60

               · node is up, nothing of ours runs   ━ container runs   × node is off
               ≠ API contradicts the nodes   █ all calls ok   ▄ some ok   x none ok
               ┊ start or end of a fault   ░ fault is made or mended   ▓ fault in force
               D fault decided   H healing begins

What happened (seconds of the run)
     5.0  phase: steady
    10.0  phase: faults
    10.0  fault 1 (node.kill on n2) is decided
    10.2  fault 1 (node.kill on n2) is in force, 0.15 s after it was decided
    10.5  n2 is off, and web@1 with it
    11.1  register write: no good answer since 10.1 s (unknown)
    11.1  http web@1: no good answer since 10.1 s (refused)
    11.2  nobody has led since 10.2 s
    12.0  n1 leads in term 3, after n2, 1.8 s later
    12.0  register write: a good answer again, after 1.9 s without one
    20.0  a sentence for the timeline
    36.5  web@1 runs on n3
    36.5  the API (asked at n1, n3) disagreed with the nodes about web@1 for 26.0 s: it said n2,
          the nodes said nowhere (for 24.5 s of that)
    37.2  http web@1: a good answer again from n3, after 27.1 s without one
    43.1  fault 1 (node.kill on n2) is being healed, after 33.0 s in force
    44.5  n2 is up
    48.1  fault 1 (node.kill on n2) is healed, 5.0 s after healing began
    48.2  phase: settling
    60.0  phase: final
    62.0  phase: done
"""


NARROW = """\
phase          |    |faults                                    |settling    |
fault 1             D% node.kill n2 %%%%%%%%%%%%%%%%%%%%%H~~~~~
n1             web@2===========================================================
n2             web@1=offXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX....:...............
n3             .....:.............................web@1========================
leader         n2---: n1-------------------------------------------------------
API web@1           :!!!!!!!!!!!!!!!!!!!!!!!!!!!!!             :
http web@1     #####*xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx*#########################
http web@2     ##############################################################
register write #####*x*######################################################
               -----+----------+-----------+----------+----------+----------+--
seconds             10         20          30         40         50         60
"""


def test_the_timeline_of_a_node_kill_is_this_picture() -> None:
    """A golden picture: node truth, leader, API against nodes, calls, fault band, and the exact times below."""
    assert "\n".join(shown(Timeline(node_killed(), NODES), 100)) + "\n" == WIDE


def test_where_there_are_no_members_there_is_no_lane_for_who_leads() -> None:
    """An empty one would say that nobody led."""
    history = node_killed()
    alone = History.of_events(*((entry.time, entry.event) for entry in history.entries if not isinstance(entry.event, MemberSeen)))
    lanes = [line.split(" ")[0] for line in shown(Timeline(alone, NODES, width=100), 100)]
    assert "leader" not in lanes
    assert "n3" in lanes


def test_the_same_picture_fits_80_columns_and_a_terminal_without_unicode() -> None:
    """Nothing is cut and no sign is lost where only ASCII can be shown."""
    lines = shown(Timeline(node_killed(), NODES), 80, "ascii")
    assert "\n".join(lines[:12]) + "\n" == NARROW
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("width", [20, 40, 60, 61, 79, 80, 81, 120, 250])
def test_no_line_is_wider_than_the_console_above_40_columns(width: int) -> None:
    """Whatever the width, lines fit: a wrapped picture cannot be read."""
    timeline = Timeline(node_killed(), NODES)
    assert max(len(line.plain) for line in timeline.lines(max(width, 40))) <= max(width, 40)


def test_two_containers_on_one_node_are_two_lines() -> None:
    """A broken HA rule must be seen, not overwritten."""
    events = phases(0, 1, 2, 3, 8, 9, 10)
    events += [(2, NodeSeen("n1", NodeState.UP, containers("web@1"))), (5, NodeSeen("n1", NodeState.UP, containers("web@1", "web@2")))]
    lines = shown(Timeline(History.of_events(*events), ["n1"]), 80)
    at = next(number for number, line in enumerate(lines) if line.startswith("n1"))
    assert "web@1━━━" in lines[at]
    assert "web@2━━━" in lines[at + 1]


def test_a_node_that_cannot_be_asked_is_not_shown_as_idle() -> None:
    """Unknown is drawn as unknown, in words where there is room."""
    events = phases(0, 1, 2, 3, 8, 9, 10)
    events += [
        (2, NodeSeen("n1", NodeState.UP)),
        (4, NodeSeen("n1", NodeState.UNREACHABLE, detail="timed out")),
        (9, NodeSeen("n1", NodeState.UP)),
    ]
    lines = shown(Timeline(History.of_events(*events), ["n1"]), 80)
    assert any(line.startswith("n1") and "unreachable??" in line for line in lines)
    assert any("n1 cannot be asked: timed out" in line for line in lines)


def test_of_many_nodes_the_quiet_ones_share_a_line() -> None:
    """Twelve nodes still fit one screen: those that were hit or changed are shown each."""
    names = [f"n{number}" for number in range(1, 13)]
    events = phases(0, 1, 2, 3, 8, 9, 10) + [(1.5, NodeSeen(name, NodeState.UP)) for name in names]
    events += [(3, fault(Stage.DECIDED, target="n11")), (5, NodeSeen("n11", NodeState.OFF))]
    lines = shown(Timeline(History.of_events(*events), names), 100)
    drawn = [line.split()[0] for line in lines if line.split() and line.split()[0] in {*names, "others"}]
    assert drawn == ["n11", "others"]


def test_a_long_list_of_moments_says_what_it_leaves_out() -> None:
    """Nothing is cut in silence."""
    events = phases(0, 1, 2, 3, 8, 9, 10) + [(4 + number / 100, Note(f"note {number}")) for number in range(200)]
    lines = shown(Timeline(History.of_events(*events), NODES), 80)
    text = " ".join(" ".join(lines).split())
    assert "note 0; 199 more notes like it until 6.0 s; history.jsonl has them all" in text
    assert len(lines) < 80


def test_among_many_notes_alike_one_of_another_kind_is_told() -> None:
    """Only what differs in figures alone is alike."""
    events = phases(0, 1, 2, 3, 8, 9, 10) + [(4 + number / 100, Note(f"register: {number} calls were skipped")) for number in range(50)]
    events.append((4.125, Note("fault 1: nobody can take over what it takes away: it is held for 30 s")))
    told = "\n".join(shown(Timeline(History.of_events(*events), NODES), 100))
    assert "fault 1: nobody can take over what it takes away: it is held for 30 s" in told
    assert "register: 0 calls were skipped; 49 more notes like it until 4.5 s" in told


@pytest.mark.parametrize(
    "events",
    [
        [],
        [(0.0, PhaseBegan(Phase.FORMING))],
        [(0.0, fault(Stage.HEALED))],
        [(3.0, fault(Stage.FAILED, "no such process"))],
        [(1.0, Answered(1, "http", Outcome.OK))],
    ],
)
def test_a_history_that_ends_anywhere_is_shown(events: list[tuple[float, Event]]) -> None:
    """A run that was killed has a picture too."""
    assert shown(Timeline(History.of_events(*events), NODES), 80)


@pytest.mark.parametrize(
    ("instances", "bad", "told"),
    [
        (2, ["web@1"], ["http web@1", "http web@2"]),
        (5, ["web@1", "front"], ["http web@1", "http web, rest"]),
        (9, ["queue"], ["http web"]),
        (9, ["web@1", "web@2", "web@3"], ["http web@1", "http web@2", "http web@3", "http web, rest"]),
        (9, ["web@1", "web@2", "web@3", "web@4"], ["http web"]),
    ],
)
def test_only_what_is_many_of_one_kind_is_told_as_one_lane(instances: int, bad: list[str], told: list[str]) -> None:
    """Instances of one app, and those that were well before the others: an outage of one probe is never half of another's."""
    others = ["probe front", "probe queue", "register read", "register write"]
    events: list[tuple[float, Event]] = [(1.0, PhaseBegan(Phase.FAULTS))]
    for number, lane in enumerate([*(f"http web@{each + 1}" for each in range(instances)), *others]):
        workload, key = lane.split(" ")
        call = Call(key, "") if workload == "register" else Call("get", key)
        events += [(2.0, Invoked(number, workload, call)), (3.0, Answered(number, workload, Outcome.FAIL if key in bad else Outcome.OK))]
    reading = Narrative()
    for entry in History.of_events(*events).entries:
        reading.feed(entry)
    assert [label for label, _ in call_lanes(reading)] == [*told, *others]
    assert sum(len(each) for _, each in call_lanes(reading)) == instances + len(others)


@pytest.mark.parametrize("width", [40, 60, 80, 100, 160])
def test_no_title_stands_over_the_marks_of_its_row_however_narrow_or_long(width: int) -> None:
    """What has no room is shortened: the moments tell all of it. Nor is a word of the legend broken."""
    events = phases(0, 1, 2, 3, 8, 9, 10)
    events += [(2.0 + number, fault(stage)) for number, stage in enumerate((Stage.DECIDED, Stage.IN_FORCE, Stage.HEALING, Stage.HEALED))]
    begun = Acted(1, "command", ("n1",), 5.0, may_fail=False, parameters={"run": "echo " + "x" * 200})
    events += [(7.0, begun), (7.5, replace(begun, outcome=Outcome.OK, seconds=0.5))]
    lines = shown(Timeline(History.of_events(*events), NODES), width)
    band, turn = (next(line for line in lines if line.startswith(row)) for row in ("fault 1", "action 1"))
    assert all(mark in band for mark in "D▓H░")
    assert "▒" in turn
    assert "command" in turn
    assert max(map(len, lines)) <= width
    legend = " ".join(" ".join(lines).split())
    assert "D fault decided" in legend
    assert "▒ a step waits, or acts" in legend


def test_a_fault_that_never_was_in_force_is_not_drawn_as_if_it_was() -> None:
    """No band, and the reason among the moments."""
    events = phases(0, 1, 2, 3, 8, 9, 10)
    events += [(4, fault(Stage.DECIDED)), (5, fault(Stage.FAILED, "did not bite")), (5, fault(Stage.HEALING)), (6, fault(Stage.HEALED))]
    lines = shown(Timeline(History.of_events(*events), NODES), 100)
    band = next(line for line in lines if line.startswith("fault 1"))
    assert "▓" not in band
    assert any("FAILED: did not bite" in line for line in lines)
    assert any("is being healed, though it was never in force" in line for line in lines)


def test_the_leader_is_marked_only_where_that_can_still_be_so() -> None:
    """Not on a node that is off or silent, and not where a majority is in a later term already; a minority proves nothing."""

    def leads(*events: Event) -> bool:
        reading = Narrative()
        for entry in History.of_events(*((float(number), event) for number, event in enumerate(events))).entries:
            reading.feed(entry)
        return reading.leads("n2")

    agreed = [MemberSeen(node, 2, "n2") for node in NODES]
    assert leads(*agreed)
    assert leads(*agreed, NodeSeen("n2", NodeState.UP), MemberSeen("n1", 3))
    assert not leads(*agreed, NodeSeen("n2", NodeState.OFF))
    assert not leads(*agreed, MemberSeen("n2", error="no answer"))
    assert not leads(*agreed, MemberSeen("n1", 3), MemberSeen("n3", 3))


def test_nothing_in_a_timeline_of_80_columns_is_cut() -> None:
    """Many quiet nodes, a fault on many, and a word longer than a line."""
    names = [f"n{number}" for number in range(1, 51)]
    hit = tuple(names[:24])
    path = "/" + "x" * 200
    events = phases(0, 1, 2, 3, 8, 9, 10)
    events += [(2.0, NodeSeen(name, NodeState.UP)) for name in names]
    stages = (Stage.DECIDED, Stage.IN_FORCE, Stage.HEALING, Stage.HEALED)
    events += [(3.0 + at, FaultStage(1, "net.partition", hit, stage)) for at, stage in enumerate(stages)]
    events.append((5.0, Note(f"see {path}")))
    lines = shown(Timeline(History.of_events(*events), names), 80)
    assert max(map(len, lines)) <= 80
    assert path in "".join("".join(lines).split())
    words = " ".join(lines).replace(",", " ").split()
    assert set(names) <= set(words)
    assert "net.partition 24 nodes" in lines[1]


def test_an_instance_of_two_digits_is_not_shown_as_another() -> None:
    """In a column where 10 has no room there is no 1."""
    events = phases(0, 0.5, 1, 2, 60, 90, 100)
    events += [(50, NodeSeen("n1", NodeState.UP, containers("web@10"))), (50.5, NodeSeen("n1", NodeState.UP))]
    line = next(line for line in shown(Timeline(History.of_events(*events), ["n1"]), 80) if line.startswith("n1"))
    assert "━" in line
    assert "1" not in line.removeprefix("n1")


def test_what_a_machine_ran_just_before_it_was_off_is_named() -> None:
    """Where its bar is too short for a name the machine's has it, and no half of it stands before that."""
    events = phases(0, 0.5, 1, 2, 60, 90, 100)
    events += [(5.0, NodeSeen("n1", NodeState.UP, containers("web@1"))), (5.1, NodeSeen("n1", NodeState.UP))]  # it left long before
    events += [(9.0, NodeSeen("n1", NodeState.UP, containers("web@2"))), (10.0, NodeSeen("n1", NodeState.OFF))]
    events += [(9.0, NodeSeen("n2", NodeState.UP)), (10.0, NodeSeen("n2", NodeState.OFF))]
    lines = {line.split()[0]: line for line in shown(Timeline(History.of_events(*events), ["n1", "n2"]), 80) if line.startswith("n")}
    assert "━off, and web@2×" in lines["n1"]
    assert "off×" in lines["n2"]


def test_of_a_long_run_every_fault_placement_and_leader_is_told() -> None:
    """Five faults over a quarter of an hour, beside nodes that come and go: what flaps is told once, with how often; what convicts always."""
    events = phases(0, 1, 2, 3, 900, 910, 911)
    expected = []
    for number in range(1, 6):
        at = number * 150.0
        for stage, later in ((Stage.DECIDED, 0.0), (Stage.IN_FORCE, 0.2), (Stage.HEALING, 60.0), (Stage.HEALED, 61.0)):
            events.append((at + later, fault(stage, number=number)))
        events += [(at + 10, NodeSeen("n3", NodeState.UP, containers(f"web@{number}"))), (at + 20, MemberSeen("n1", number + 1, "n1"))]
        expected += [f"fault {number} (node.kill on n2) is {word}" for word in ("decided", "in force", "being healed", "healed")]
        expected += [f"web@{number} runs on n3", f"n1 leads in term {number + 1}"]
    for tick in range(41):
        events += [(100.0 + tick, NodeSeen("n1", NodeState.UNREACHABLE)), (100.5 + tick, NodeSeen("n1", NodeState.UP))]
    history = History.of_events(*events)
    convicting = next(entry.index for entry in history.entries if entry.time == 120.0 and isinstance(entry.event, NodeSeen))
    lines = shown(Timeline(history, NODES, evidence={convicting}), 100)
    text = " ".join(" ".join(lines).split())
    for sentence in expected:
        assert sentence in text
    assert "n1 could not be asked 41 times until 140.5 s, for 0.50 s at the longest (from 140.0 s); history.jsonl has them all" in text
    assert any(line.split()[0] == "120.0" and "n1 cannot be asked" in line for line in lines if line.strip())
    assert len(lines) < 90


@pytest.mark.parametrize("width", [40, 60])
def test_rows_keep_their_names_on_a_narrow_terminal(width: int) -> None:
    """Checkers, instances, nodes: half a name would be another one's. No line is wider than the terminal."""
    split: dict[str, Json] = {"fault": 1, "from": "n2", "to": "n3", "noticed": 20.5, "placed": 21.0, "running": 26.35, "serving": 27.09}
    names = ["assumptions", "rescheduled", "availability", "conflicts"]
    run = a_run([Finding(name, Verdict.HELD, "so it is, and so it was") for name in names], recovery={"web@1": split, "web@12": split})
    back = recovery_table(run)
    assert back is not None
    lines = shown(Group(findings_table(run), back), width)
    assert max(map(len, lines)) <= width
    assert "…" not in "".join(lines)
    assert {*names, "web@1", "web@12"} <= {line.split()[0] for line in lines if line.strip()}
    board = drawn(fed_board(a_plan(), node_killed(), 30.0), width, 40)
    assert {"n1", "n2", "n3", "web@1", "web@2"} <= {line.split()[0] for line in board if line.strip()}


@pytest.mark.parametrize("noticed", [True, False], ids=["the followers say so", "they go straight over"])
def test_the_moments_tell_who_led_as_the_picture_and_the_verdict_do(*, noticed: bool) -> None:
    """The leader is lost at 10 s, whenever its followers notice; n3 leads from 20 s on, and comes back to nothing of its old lead."""
    story = Story().node(0, "n1").node(0, "n2", "web@1").node(0, "n3").members(0, "n1 n2 n3", 2, "n2").phase(1, Phase.STEADY)
    story.off(10, "n2").fault("node.kill", "n2", decided=9.9, in_force=10, healing=50, healed=51)
    if noticed:
        story.members(15, "n1 n3", 2, None)
    history = story.members(20, "n1 n3", 3, "n3").watched(69, "n1 n2 n3").done(70).history()
    timeline = Timeline(history, NODES)
    told = [(moment.time, moment.what) for moment in timeline.moments if "lead" in moment.what or "has led" in moment.what]
    assert told[0] == (0, "n2 leads in term 2")
    assert told[-1] == (20, "n3 leads in term 3, after n2, 10.0 s later")
    assert [what for _, what in told[1:-1]] == ["nobody has led since 10.0 s"]
    drawn = [(bar.start, bar.what) for bar in timeline.reading.spans["leader",]]
    judged = [(reign.start, reign.leader) for reign in leaders(history, Voters()) if reign.leader is not None]
    assert drawn == judged == [(0, "n2"), (20, "n3")]
