"""The picture of the live view: what it shows of a run that goes on, whatever the terminal's size."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest

from harness.checkers.rescheduled import Rescheduled
from harness.core.figures import lasted
from harness.core.values import (
    App,
    Call,
    Container,
    Effect,
    Json,
    NodeState,
    Outcome,
    Phase,
    Stage,
)
from harness.history.events import (
    Acted,
    Answered,
    Awaited,
    DockerEvent,
    Event,
    FaultStage,
    History,
    Invoked,
    MemberSeen,
    NodeSeen,
    Note,
    PhaseBegan,
)
from harness.history.recovery import recovery as recovery_of
from harness.reports.board import Board
from harness.reports.console import Console
from harness.reports.timeline import Timeline
from tests.unit.reporting import Told, a_plan, containers, drawn, fault, fed_board, node_killed, shown


def test_the_live_view_shows_nodes_placements_fault_and_calls() -> None:
    """In the middle of a node kill: who is off, who leads, what the API still says, the time against the budget, the gap."""
    lines = drawn(fed_board(a_plan(), node_killed(), 30.0), 80, 30)
    squeezed = [" ".join(line.split()) for line in lines]
    assert squeezed[0] == "30.0 s faults"  # the title was printed above, once
    assert "n1 up leader, term 3 2 of 2 web@2" in squeezed
    assert "n2 off no answer 2 of 2 -" in squeezed
    assert "web@1 nowhere n2 (differs)" in squeezed
    assert "web@2 n1 n1" in squeezed
    assert "node.kill n2 in force ▓▓▓▓▓▓▓▓▓▓░░░░░░░░░░ 19.9 s of 38 s" in squeezed
    assert any(line.startswith("http web@1 10.0 52 ") and line.endswith("19.9 s, no answer now") for line in squeezed)
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("width", [40, 50, 60, 72])
def test_of_a_fault_its_name_and_its_figures_stay_on_a_narrow_terminal(width: int) -> None:
    """The bar goes first, then its stage: a name that is cut is another one's, and a bar without its figures says little."""
    lines = [" ".join(line.split()) for line in drawn(fed_board(a_plan(), node_killed(), 30.0), width, 30)]
    (told,) = [line for line in lines if line.startswith("node.kill")]
    assert told.startswith("node.kill n2 ")
    assert told.endswith("19.9 s of 38 s")
    assert ("\u2593" in told, "in force" in told) == (width > 60, width > 40)


def test_what_the_harness_reads_back_at_the_end_is_told_apart_from_the_users_calls() -> None:
    """Eighty reads a second are nobody's ten."""
    events: list[tuple[float, Event]] = [
        (0.0, PhaseBegan(Phase.STEADY)),
        (1.0, Invoked(1, "register", Call("read", "k"))),
        (1.1, Answered(1, "register", Outcome.OK)),
        (2.0, PhaseBegan(Phase.FINAL)),
    ]
    for number in range(2, 82):
        at = 2.0 + number / 100
        events += [(at, Invoked(number, "register", Call("read", "k"))), (at + 0.001, Answered(number, "register", Outcome.OK))]
    squeezed = [" ".join(line.split()) for line in drawn(fed_board(a_plan(), History.of_events(*events), 3.0), 80, 30)]
    assert any(line.startswith("register read ") and " 1 0 0 " in line for line in squeezed)
    assert any(line.startswith("reading back ") and " 80 0 0 " in line for line in squeezed)
    assert not any(line.startswith("reading back") for line in shown(Timeline(History.of_events(*events), ["n1"]), 100))


def test_a_fault_over_its_budget_says_so_in_words() -> None:
    """Never by colour alone."""
    events: list[tuple[float, Event]] = [
        (0, NodeSeen("n2", NodeState.UP, containers("web@1"))),
        (0, fault(Stage.DECIDED)),
        (1, fault(Stage.IN_FORCE)),
        (1.5, NodeSeen("n2", NodeState.OFF)),
    ]

    def said(*more: tuple[float, Event], now: float = 60.0) -> str:
        lines = drawn(fed_board(a_plan(), History.of_events(*events, *more), now), 100, 30)
        return next(" ".join(line.split()) for line in lines if line.startswith("node.kill"))

    assert said().endswith("59.0 s of 38 s, over")
    assert said(now=20.0).endswith("19.0 s of 38 s")
    # As soon as the work is back, nothing is over any more, however long the fault is held.
    back = (9.6, NodeSeen("n3", NodeState.UP, containers("web@1")))
    assert said(back).endswith("59.0 s; work back after 8.6 s")
    healed = (fault(Stage.HEALING), fault(Stage.HEALED))
    assert said(back, (40, healed[0]), (41, healed[1])).endswith("was in force for 39.0 s; work back after 8.6 s")


def test_what_is_missing_stands_against_what_was_promised() -> None:
    """And against what the mode needs only where nothing was."""
    events = [
        (0, NodeSeen("n2", NodeState.UP, containers("web@1"))),
        (0, fault(Stage.DECIDED)),
        (1, fault(Stage.IN_FORCE)),
        (1, NodeSeen("n2", NodeState.OFF)),
    ]
    for promises, said in (((Rescheduled("web", within=12.0),), "9.0 s of 12 s"), ((Rescheduled("db", within=12.0),), "9.0 s of 38 s")):
        lines = drawn(fed_board(replace(a_plan(), promises=promises), History.of_events(*events), 10.0), 100, 30)
        assert [line for line in lines if line.startswith("node.kill") and line.endswith(f" {said}")], lines


def test_nothing_is_over_where_nothing_was_taken_away() -> None:
    """A fault on an idle node, one that leaves its work running, and one after which the work starts again in place."""
    idle: list[tuple[float, Event]] = [(0.0, fault(Stage.DECIDED)), (1.0, fault(Stage.IN_FORCE))]
    hosting: list[tuple[float, Event]] = [(0.0, NodeSeen("n2", NodeState.UP, containers("web@1"))), *idle]
    docker: dict[str, Json] = {"process": "docker", "restart": True}
    killed = [(time, replace(event, name="process.kill", parameters=docker)) for time, event in idle if isinstance(event, FaultStage)]
    again: list[tuple[float, Event]] = [(2.0, NodeSeen("n2", NodeState.UP)), (5.0, NodeSeen("n2", NodeState.UP, containers("web@1")))]
    for events, words in (
        (idle, "59.0 s; no work is missing"),
        (hosting, "59.0 s; no work is missing"),
        ([*hosting[:1], *killed, *again], "59.0 s; work back after 4.0 s"),
    ):
        lines = drawn(fed_board(a_plan(), History.of_events(*events), 60.0), 100, 30)
        assert any(line.startswith(("node.kill", "process.kill")) and line.endswith(words) for line in lines), lines


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 24), (60, 20), (200, 50)])
@pytest.mark.parametrize("nodes", [3, 12, 50])
def test_the_live_view_fits_its_terminal(width: int, height: int, nodes: int) -> None:
    """A view that is taller than the screen flickers and scrolls."""
    quiet = [(4.0, NodeSeen(f"n{number}", NodeState.UP)) for number in range(4, nodes + 1)]
    history = History.of_events(*((entry.time, entry.event) for entry in node_killed().entries), *quiet)
    lines = drawn(fed_board(a_plan(nodes), history, 30.0), width, height)
    assert len(lines) <= height - 1  # the title above it stays
    assert max(map(len, lines)) <= width
    assert any(line.startswith("n2 ") for line in lines)


@pytest.mark.parametrize("faults", [1, 8])
def test_the_live_view_has_room_for_what_happened_last(faults: int) -> None:
    """Also on a terminal of 24 lines, and after many faults: blank lines go first, then what is over or in order."""
    over = [
        (float(number), FaultStage(number, "disk.slow", ("n1",), stage))
        for number in range(2, faults + 1)
        for stage in (Stage.DECIDED, Stage.IN_FORCE, Stage.HEALING, Stage.HEALED)
    ]
    events = [*over, *((entry.time + 10.0, entry.event) for entry in node_killed().entries)]
    lines = drawn(fed_board(a_plan(), History.of_events(*events), 40.0), 80, 24)
    moments = [line for line in lines[1:] if re.match(r" +\d+\.\d s  ", line)]
    assert len(moments) >= 2
    assert len(lines) <= 23
    assert any(line.startswith("node.kill ") for line in lines)
    assert any(line.startswith("http web@1 ") for line in lines)
    many = [line for line in lines if "earlier faults" in line]
    assert [" ".join(line.split()) for line in many] == (["7 earlier faults healed"] if faults == 8 else [])


@pytest.mark.parametrize(("height", "healed", "rows"), [(20, 0, 4), (22, 0, 5), (23, 3, 5), (26, 3, 5), (40, 3, 5)])
def test_what_happened_last_has_its_lines_before_what_is_over(height: int, healed: int, rows: int) -> None:
    """Four faults, three of them healed: each has a row of its own only where the last moments have all of theirs; blank lines come last."""
    over = [
        (float(number), FaultStage(number, "disk.slow", ("n1",), stage))
        for number in range(2, 5)
        for stage in (Stage.DECIDED, Stage.IN_FORCE, Stage.HEALING, Stage.HEALED)
    ]
    events = [*over, *((entry.time + 10.0, entry.event) for entry in node_killed().entries)]
    lines = drawn(fed_board(a_plan(), History.of_events(*events), 40.0), 80, height)
    last = next(number for number, line in enumerate(lines) if line.startswith("register write"))
    assert sum(line.startswith("disk.slow ") for line in lines) == healed
    assert len([line for line in lines[last:] if re.match(r" +\d+\.\d s  |          +\S", line)]) == rows
    assert len(lines) <= height - 1


def test_the_live_view_cuts_no_name_and_no_sentence() -> None:
    """Where there is no room for all names there is their number; moments are wrapped."""
    many = tuple(f"n{number}" for number in range(1, 25))
    events: list[tuple[float, Event]] = [
        (1, FaultStage(1, "net.partition", many, Stage.DECIDED)),
        (1, FaultStage(1, "net.partition", many, Stage.IN_FORCE)),
        (2, NodeSeen("n1", NodeState.UP, containers(*(f"web@{number}" for number in range(1, 11))))),
        (3, Note(f"a sentence that is {'much ' * 20}longer than a line")),
    ]
    text = " ".join(" ".join(drawn(fed_board(a_plan(), History.of_events(*events), 9.0), 80, 40)).split())
    assert "net.partition 24 nodes in force 8.0 s; no work is missing" in text
    assert "n1 up - - 10 instances" in text
    assert f"{'much ' * 20}longer than a line" in text
    assert "…" not in text


def test_the_live_view_shows_how_far_the_image_is() -> None:
    """While nothing runs yet, progress is what there is to see."""
    board = Board(a_plan(), lambda: 3.0)
    board.progress(Told("building the node image", done=40, total=100))
    assert any("building the node image" in line and "40 of 100" in line for line in drawn(board, 80, 24))


def test_ways_back_of_faults_that_overlap_are_all_told() -> None:
    """What the first took away stays in the picture, as it will be judged, when a second is made beside it."""
    events: list[tuple[float, Event]] = [
        (0.5, fault(Stage.DECIDED)),
        (1.0, fault(Stage.IN_FORCE)),
        (11.0, fault(Stage.DECIDED, target="n3", number=2)),
        (11.5, fault(Stage.IN_FORCE, target="n3", number=2)),
    ]
    for tick in range(60):
        time = tick / 2
        events += [
            (time, NodeSeen("n2", NodeState.UP, containers("web@1")) if time < 1.0 else NodeSeen("n2", NodeState.OFF)),
            (time, NodeSeen("n3", NodeState.UP, containers("web@2")) if time < 11.5 else NodeSeen("n3", NodeState.OFF)),
            (time, NodeSeen("n1", NodeState.UP, containers(*["web@1"][: time >= 6.0], *["web@2"][: time >= 20.0]))),
        ]
    history = History.of_events(*events)
    split = recovery_of(history)
    lines = [" ".join(line.split()) for line in drawn(fed_board(a_plan(), history, 29.5), 120, 40) if line.startswith("node.kill")]
    for instance, line in zip(("web@1", "web@2"), lines, strict=True):
        way = split[instance]
        assert isinstance(way, dict)
        assert isinstance(way["running"], float)
        assert line.endswith(f"work back after {lasted(way['running'])}")


SIZES = [(80, 24), (100, 40), (60, 20), (80, 14), (40, 10), (120, 24), (200, 50), (110, 30)]


def crowded(nodes: int, instances: int, faults: int, lanes: int) -> History:
    """Return a run with so many of each: of the nodes the last one is off, of the instances the last runs nowhere, of the calls one lane fails."""
    names = [f"n{number}" for number in range(1, nodes + 1)]
    events: list[tuple[float, Event]] = [(1.0, PhaseBegan(Phase.FAULTS))]
    running: dict[str, list[str]] = {name: [] for name in names[:-1]}
    for number in range(1, instances):
        running[names[number % (nodes - 1)]].append(f"web@{number}")
    events += [(1.5, NodeSeen(name, NodeState.UP, containers(*running.get(name, [f"web@{instances}"])))) for name in names]
    for number in range(1, faults):
        for place, stage in enumerate((Stage.DECIDED, Stage.IN_FORCE, Stage.HEALING, Stage.HEALED)):
            events.append((2.0 + number + place / 5, FaultStage(number, "disk.slow", ("n1",), stage)))
    for place, stage in enumerate((Stage.DECIDED, Stage.IN_FORCE)):
        events.append((200.0 + place, fault(stage, target=names[-1], number=faults)))
    events.append((201.5, NodeSeen(names[-1], NodeState.OFF)))
    for time in range(200, 211):
        events += [(time + 0.1, NodeSeen(name, NodeState.UP, containers(*running[name]))) for name in names[:-1]]
        for lane in range(lanes):
            key, good = f"web@{lane + 1}", lane + 1 < lanes
            events += [
                (time + 0.2, Invoked(time * 1000 + lane, "http", Call("get", key))),
                (time + 0.3, Answered(time * 1000 + lane, "http", Outcome.OK if good else Outcome.FAIL, by="n1")),
            ]
    return History.of_events(*events, (210.5, Note("the last word of all")))


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize(
    ("nodes", "instances", "faults", "lanes"),
    [(3, 2, 1, 2), (3, 2, 5, 3), (3, 2, 30, 3), (12, 20, 10, 5), (39, 100, 100, 30), (5, 3, 2, 9), (9, 9, 9, 9)],
)
def test_the_live_view_keeps_what_matters_whatever_the_numbers(
    width: int, height: int, nodes: int, instances: int, faults: int, lanes: int
) -> None:
    """It fits; the calls that fail, the last moment and the fault that is in force are seen, and what is folded is counted."""
    plan = replace(a_plan(nodes), apps=(App("web", instances),))
    lines = drawn(fed_board(plan, crowded(nodes, instances, faults, lanes), 211.0), width, height)
    squeezed = [" ".join(line.split()) for line in lines]
    assert len(lines) <= height - 1
    assert max(map(len, lines)) <= width
    assert lines[-1].endswith("the last word of all")
    assert any("10.8 s, no answ" in line for line in squeezed)
    if width < 80:
        return  # rows are there, but their words are cut
    assert any(line.startswith("calls ") for line in squeezed)
    if height >= 14:
        assert any(line.startswith("node.kill ") for line in squeezed)
        seen = sum(line.startswith("disk.slow ") for line in squeezed)
        folded = [int(found[1]) for line in squeezed if (found := re.match(r"(\d+) earlier faults? healed", line))]
        assert seen + sum(folded) == faults - 1
    if height >= 20:
        assert any(re.match(rf"n{nodes} off\b", line) for line in squeezed)
        counted_nodes = sum(re.match(r"n\d+ (up|off)\b", line) is not None for line in squeezed)
        more = [int(found[1]) for line in squeezed if (found := re.match(r"… (\d+) more, up", line))]
        assert counted_nodes + sum(more) == nodes
        assert any(f"web@{instances} nowhere" in line for line in squeezed)


def test_the_live_view_and_the_report_have_one_figure_for_one_recovery() -> None:
    """Both count from when the machine was off, which its switch says only later, until Docker says that it started: as it is judged."""
    story = node_kill_with_a_slow_switch()
    split = recovery_of(story)["web@1"]
    assert isinstance(split, dict)
    assert isinstance(split["running"], float)
    line = next(" ".join(line.split()) for line in drawn(fed_board(a_plan(), story, 30.0), 100, 30) if line.startswith("node.kill"))
    assert line.endswith(f"work back after {lasted(split['running'])}")
    earlier = next(" ".join(line.split()) for line in drawn(fed_board(a_plan(), story, 14.0), 100, 30) if line.startswith("node.kill"))
    assert earlier.endswith(" 8.0 s of 38 s")


def node_kill_with_a_slow_switch() -> History:
    """Return a run in which n2 is off at 6 s, its switch says so at 9 s, and web@1 runs on n3 for a moment at 12 s, and to stay from 16.2 s on."""
    events: list[tuple[float, Event]] = [(5.0, fault(Stage.DECIDED)), (9.0, fault(Stage.IN_FORCE))]
    for tick in range(4, 80):
        time = tick / 2
        there = 12.0 <= time < 13.0 or time >= 16.5
        events += [
            (time, NodeSeen("n2", NodeState.OFF) if time >= 6.0 else NodeSeen("n2", NodeState.UP, containers("web@1"))),
            (time, NodeSeen("n3", NodeState.UP, (Container(("3" if time < 14 else "4") * 64, "web@1"),) if there else ())),
            (time, NodeSeen("n1", NodeState.UP)),
        ]
    events.append((16.4, DockerEvent("n3", "start", "4" * 64, "web@1", at=16.2)))
    return History.of_events(*events)


def test_what_ran_for_a_moment_is_not_back_while_it_runs_either() -> None:
    """As it will be judged: what runs now and then is missing all the time."""
    line = next(
        " ".join(line.split())
        for line in drawn(fed_board(a_plan(), node_kill_with_a_slow_switch(), 16.0), 100, 30)
        if line.startswith("node.kill")
    )
    assert line.endswith(" 10.0 s of 38 s")


@pytest.mark.parametrize("last", [Stage.FAILED, Stage.HEALING, Stage.HEALED])
def test_a_fault_that_failed_is_never_shown_as_one_that_went_well(last: Stage) -> None:
    """Its line has the colour of the worst stage that it was at, and says why, also once it is mended."""
    stages = (Stage.DECIDED, Stage.IN_FORCE, Stage.FAILED, Stage.HEALING, Stage.HEALED)
    events = [(float(place), fault(stage, "undone by somebody" if stage is Stage.FAILED else "")) for place, stage in enumerate(stages)]
    board = fed_board(a_plan(), History.of_events(*events), float(stages.index(last)))
    console = Console(file=io.StringIO(), width=100, height=30, force_terminal=True, color_system="standard")
    with console.capture() as capture:
        console.print(board)
    (line,) = [line for line in capture.get().splitlines() if "node.kill" in line and "fault 1" not in line]
    assert "\x1b[1;31mFAILED" in line
    assert "\x1b[32m" not in line
    assert "undone by somebody" in line


def test_the_live_view_shows_what_is_awaited_and_done() -> None:
    """For how long already, of how long at most; and an app by as many instances as it is to have."""
    events: list[tuple[float, Event]] = [
        (0.5, PhaseBegan(Phase.STEADY)),
        (1.0, NodeSeen("n1", NodeState.UP, containers("web@1"))),
        (2.0, Acted(1, "app.scale", (), 20.0, may_fail=False, outcome=Outcome.OK, effect=Effect({"web": 4}))),
        (3.0, Awaited(1, "recovered", "web", 60.0, "broken")),
    ]
    lines = [" ".join(line.split()) for line in drawn(fed_board(a_plan(), History.of_events(*events), 33.0), 100, 40)]
    assert any(line.startswith("await 1: until web has recovered 30.0 s of 60 s ▓") for line in lines)
    assert any(line.startswith("web@4 nowhere") for line in lines)
    over = History.of_events(*events, (20.0, Awaited(1, "recovered", "web", 60.0, "broken", Outcome.OK)))
    assert not any("await 1" in line for line in drawn(fed_board(a_plan(), over, 33.0), 100, 40))


def test_the_live_view_forgets_what_need_not_run_any_more() -> None:
    """But not while it still runs."""
    events: list[tuple[float, Event]] = [
        (0.5, PhaseBegan(Phase.STEADY)),
        (1.0, NodeSeen("n1", NodeState.UP, containers("web@1"))),
        (1.0, NodeSeen("n2", NodeState.UP, containers("web@2"))),
        (2.0, Acted(1, "app.scale", (), 20.0, may_fail=False, outcome=Outcome.OK, effect=Effect({"web": 1}))),
    ]
    assert any("web@2" in line for line in drawn(fed_board(a_plan(), History.of_events(*events), 3.0), 100, 40))
    gone = History.of_events(*events, (4.0, NodeSeen("n2", NodeState.UP)))
    assert not any("web@2" in line.split()[:1] for line in drawn(fed_board(a_plan(), gone, 5.0), 100, 40))


def test_a_narrow_view_leaves_out_columns_and_cuts_no_name() -> None:
    """What runs where, and how many calls failed, is seen at 40 columns; half a name would be another one's."""
    names = [f"n{number}" for number in range(1, 4)]
    events: list[tuple[float, Event]] = [(1.5, NodeSeen(name, NodeState.UP, containers(f"web@{name[1:]}", "batch@1"))) for name in names]
    events += [(2.0, MemberSeen(name, 16, "n1")) for name in names]
    events += [(3.0, Invoked(1, "http", Call("get", "web@1"))), (3.1, Answered(1, "http", Outcome.FAIL))]
    lines = drawn(fed_board(replace(a_plan(3), apps=(App("web", 3),)), History.of_events(*events), 5.0), 40, 30)
    for name in names:
        assert any(line.startswith(name) and f"web@{name[1:]}" in line and "batch@1" in line for line in lines), lines
    assert any({"ok", "fail"} <= set(line.split()) for line in lines)
    assert "…" not in "".join(line for line in lines if line.startswith(("n1", "n2", "n3", "web", "calls")))


@pytest.mark.parametrize("height", [12, 40])
def test_before_anybody_was_asked_the_view_says_nothing_of_nodes(height: int) -> None:
    """Neither that they are down, nor that nothing runs on them: nobody knows."""
    plan = replace(a_plan(5), apps=(App("web", 50),))  # some of them share a row
    board = fed_board(plan, History.of_events((0.1, PhaseBegan(Phase.FORMING))), 9.0)
    text = " ".join(drawn(board, 100, height))
    assert "nowhere" not in text
    assert "not up" not in text
    assert "running" not in text
    assert ("not heard of yet" in text) is (height == 12)
