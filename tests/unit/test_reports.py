"""What people are shown: the reading of a history, the timeline, the verdict, and both views of a run that goes on."""

from __future__ import annotations

import io
import re
import shlex
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from rich.console import Group

from harness.checkers.assumptions import Assumptions
from harness.checkers.availability import Availability
from harness.checkers.rescheduled import Rescheduled
from harness.core.figures import about, lasted
from harness.core.values import (
    App,
    Budget,
    Call,
    Container,
    Finding,
    Json,
    Loss,
    NodeSpec,
    NodeState,
    Outcome,
    Phase,
    Placement,
    Stage,
    Term,
    Traits,
    Verdict,
    View,
)
from harness.faults.common import AtTheHost
from harness.history.events import (
    STOPPED_EARLY,
    Answered,
    ApiSeen,
    Checked,
    DockerEvent,
    Event,
    FaultStage,
    History,
    Invoked,
    MemberSeen,
    NodeSeen,
    Note,
    PhaseBegan,
    Recorder,
    Wholeness,
)
from harness.history.recovery import recovery as recovery_of
from harness.plan import Plan
from harness.reports import tested
from harness.reports.board import Board
from harness.reports.console import Console
from harness.reports.narrative import Narrative, natural
from harness.reports.remaining import at_most, left
from harness.reports.terminal import LiveView, PlainView, view
from harness.reports.timeline import Timeline
from harness.reports.verdict_table import conviction, evidence, report, shown_by
from harness.reports.verdict_table import findings as findings_table
from harness.reports.verdict_table import recovery as recovery_table
from harness.runs.run import Run
from harness.steps import Break, Control, Heal, Hold, Wait
from harness.testing.histories import Story, node_kill
from harness.workloads.http import Http

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import RenderableType

    from harness.core.protocols import Cluster, Node
    from harness.core.values import Unavailable

NODES = ("n1", "n2", "n3")


@dataclass(frozen=True, slots=True)
class Kill(AtTheHost):
    """A fault that is only named."""

    name: ClassVar[str] = "node.kill"
    traits: ClassVar[Traits] = Traits(Loss.NODE)

    def inject(self, cluster: Cluster, targets: Sequence[Node]) -> None:
        """Do nothing."""

    def heal(self, cluster: Cluster, targets: Sequence[Node]) -> None:
        """Do nothing."""

    def in_force(self, cluster: Cluster, target: Node) -> bool:
        """Whether it is in force: never."""
        return False

    def available(self, cluster: Cluster, target: Node) -> Unavailable | None:
        """Say that it can be made."""
        return None


@dataclass
class Told:
    """Progress, as the conductor tells it."""

    text: str
    part: str = "prepare"
    done: int | None = None
    total: int | None = None


class FrozenClock:
    """A clock that stands where it is put."""

    def __init__(self, time: float = 0.0) -> None:
        self.time = time

    def now(self) -> float:
        """Return the time that was set."""
        return self.time

    def wall(self) -> float:
        """Return the same."""
        return self.time

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Let the time pass at once."""
        self.time += seconds
        return event.is_set()


def a_plan(nodes: int = 3, control: Control | None = None) -> Plan:
    """Return the plan of a node kill, with a budget of 38 s."""
    return Plan(
        scenario="node-kill",
        why="A machine dies.",
        file="scenarios/node-kill.yaml",
        mode="fleet",
        provider="nspawn",
        seed=7,
        profile="default",
        timers={},
        nodes=tuple(NodeSpec(f"n{number}", f"10.77.0.{10 + number}") for number in range(1, nodes + 1)),
        apps=(App("web", 2),),
        workloads=(),
        steps=(Wait(5.0), Break(Kill(), "any", Hold(30.0))),
        settle=90.0,
        checks=(),
        promises=(),
        control=control,
        budgets={"node.kill": Budget((Term("agent_ttl", 30.0, "fleet"), Term("start", 8.0, "measured")))},
    )


def containers(*instances: str) -> tuple[Container, ...]:
    """Return running containers of these instances."""
    return tuple(Container(instance.encode().hex().ljust(64, "0"), instance) for instance in instances)


def fault(stage: Stage, detail: str = "", name: str = "node.kill", target: str = "n2", number: int = 1) -> FaultStage:
    """Return one stage of the fault."""
    return FaultStage(number, name, (target,), stage, {}, detail)


def phases(*times: float) -> list[tuple[float, Event]]:
    """Return the phases of a run, at these times, in order."""
    return [(time, PhaseBegan(phase)) for time, phase in zip(times, Phase, strict=True)]


def node_killed() -> History:
    """Return a run in which n2 dies at 10 s, its work runs on n3 at 36.5 s, and the API is wrong about it for a while."""
    events = phases(0.0, 3.2, 5.0, 10.0, 48.2, 60.0, 62.0)
    events += [
        (10.0, fault(Stage.DECIDED)),
        (10.1, fault(Stage.INJECTED)),
        (10.15, fault(Stage.IN_FORCE)),
        (43.1, fault(Stage.HEALING)),
        (48.1, fault(Stage.HEALED)),
        (20.0, Note("a sentence for the timeline")),
    ]
    for tick in range(6, 124):
        time = tick / 2
        dead = 10.2 <= time < 44.5
        events += [
            (time, NodeSeen("n1", NodeState.UP, containers("web@2") if time > 4 else ())),
            (time, NodeSeen("n2", NodeState.OFF) if dead else NodeSeen("n2", NodeState.UP, containers("web@1") if 4 < time < 12 else ())),
            (time, NodeSeen("n3", NodeState.UP, containers("web@1") if time >= 36.5 else ())),
        ]
        leader, term = ("n2", 2) if time < 11.5 else (None, 3) if time < 12 else ("n1", 3)
        home = "n2" if time < 34.8 else "n3"
        listed = NODES if time < 34 or time > 47 else ("n1", "n3")
        seen = View(listed, (Placement("web@1", home, "active", running=True), Placement("web@2", "n1", "active", running=True)))
        for node in NODES:
            silent = node == "n2" and dead
            events += [
                (time, MemberSeen(node, error="no answer") if silent else MemberSeen(node, term, leader)),
                (time, ApiSeen(node, None, "no answer") if silent else ApiSeen(node, seen)),
            ]
    for tick in range(50, 600):
        time, op = tick / 10, tick * 3
        bad = 10.1 < time < 37.2
        events += [
            (time, Invoked(op, "http", Call("get", "web@1"))),
            (time + 0.04, Answered(op, "http", Outcome.FAIL, error="refused") if bad else Answered(op, "http", Outcome.OK, by="n3")),
            (time, Invoked(op + 1, "http", Call("get", "web@2"))),
            (time + 0.04, Answered(op + 1, "http", Outcome.OK, by="n1")),
            (time, Invoked(op + 2, "register", Call("write", "k", "1"))),
            (time + 0.03, Answered(op + 2, "register", Outcome.UNKNOWN if 10.1 < time < 12 else Outcome.OK)),
        ]
    return History.of_events(*events)


def shown(what: RenderableType, width: int, encoding: str = "utf-8") -> list[str]:
    """Return what a console of that width, without colours, shows, as lines without blanks at their ends."""
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding)
    Console(file=file, width=width).print(what)
    file.flush()
    return [line.rstrip() for line in raw.getvalue().decode(encoding).splitlines()]


def moments(history: History) -> list[str]:
    """Return what a reading of a history tells, to its end."""
    reading = Narrative()
    found = [moment for entry in history.entries for moment in reading.feed(entry)]
    return [moment.what for moment in (*found, *reading.close(history.end))]


WIDE = """\
phase          │      │faults                                                 │settling         │
fault 1               D▓ node.kill n2 ▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓H░░░░░░
n1             web@2━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━
n2             web@1━━━off×××××××××××××××××××××××××××××××××××××××××××××××·····┊····················
n3             ·······┊······································web@1━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━
leader         n2─────── n1────────────────────────────────────────────────────────────────────────
API web@1             ┊≠≠≠≠≠≠≠≠≠≠≠≠≠≠≠≠≠≠≠≠≠≠≠≠≠≠≠≠≠≠≠≠≠≠≠≠≠≠                 ┊
http web@1     ███████▄xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx▄█████████████████████████████████
http web@2     █████████████████████████████████████████████████████████████████████████████████
register write ███████▄xx▄██████████████████████████████████████████████████████████████████████
               ───────┼──────────────┼─────────────┼──────────────┼──────────────┼──────────────┼──
seconds               10             20            30             40             50             60

               · node is up, nothing of ours runs   ━ container runs   × node is off
               ≠ API says otherwise than the nodes   █ all calls ok   ▄ some ok   x none ok
               ┊ edge of a fault   ░ fault is made or mended   ▓ fault in force   D fault decided
               H healing begins

What happened (seconds of the run)
     5.0  phase: steady
    10.0  phase: faults
    10.0  fault 1 (node.kill on n2) is decided
    10.2  fault 1 (node.kill on n2) is in force, 0.15 s after it was decided
    10.5  n2 is off, and web@1 with it
    11.1  register write: no good answer since 10.1 s (unknown)
    11.1  http web@1: no good answer since 10.1 s (refused)
    11.5  no member that can be asked follows a leader
    12.0  n1 leads in term 3
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
leader         n2-----n1-------------------------------------------------------
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


def test_a_fault_that_never_was_in_force_is_not_drawn_as_if_it_was() -> None:
    """No band, and the reason among the moments."""
    events = phases(0, 1, 2, 3, 8, 9, 10)
    events += [(4, fault(Stage.DECIDED)), (5, fault(Stage.FAILED, "did not bite")), (5, fault(Stage.HEALING)), (6, fault(Stage.HEALED))]
    lines = shown(Timeline(History.of_events(*events), NODES), 100)
    band = next(line for line in lines if line.startswith("fault 1"))
    assert "▓" not in band
    assert any("FAILED: did not bite" in line for line in lines)
    assert any("is being healed, though it was never in force" in line for line in lines)


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
    reading = Narrative()
    history = History.of_events((0, MemberSeen("n1", 2, "n1")), (1, MemberSeen("n2", 3, "n2")), (2, MemberSeen("n1", 2, "n1")))
    told = [moment.what for entry in history.entries for moment in reading.feed(entry)]
    assert (reading.leader, reading.term) == ("n2", 3)
    assert told == ["n1 leads in term 2", "n2 leads in term 3, after n1"]


def test_a_leader_that_denies_it_in_its_own_term_does_not_lead() -> None:
    """A follower that has not noticed yet must not hide a time without a leader; one in an earlier term may well be behind."""
    events = [(0, MemberSeen("n1", 2, "n1")), (0, MemberSeen("n2", 2, "n1")), (5, MemberSeen("n1", 2, None))]
    reading = Narrative()
    told = [moment.what for entry in History.of_events(*events).entries for moment in reading.feed(entry)]
    assert reading.leader is None
    assert told == ["n1 leads in term 2", "no member that can be asked follows a leader"]
    behind = Narrative()
    for entry in History.of_events((0, MemberSeen("n2", 2, "n1")), (1, MemberSeen("n1", 1, None))).entries:
        list(behind.feed(entry))
    assert behind.leader == "n1"


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


def test_names_are_ordered_as_people_do() -> None:
    """n2 comes before n10."""
    assert sorted(["n10", "n2", "web@10", "web@9", "n1"], key=natural) == ["n1", "n2", "n10", "web@9", "web@10"]


# -- the verdict


def a_run(findings: Sequence[Finding], control: Control | None = None, recovery: Mapping[str, Json] | None = None) -> Run:
    """Return a run with these findings."""
    return Run("a-run", Path("results/a-run"), a_plan(control=control), node_killed(), findings, recovery or {})


def test_the_report_says_the_verdict_in_words_and_cuts_no_summary() -> None:
    """At 80 columns a long sentence is wrapped, whole."""
    long = "web@1 and web@2 both ran on n3 for 12.4 s, from 40.1 s on, by node truth, while the API showed web@2 nowhere at all"
    lines = shown(report(a_run([Finding("assumptions", Verdict.HELD, "it can be judged"), Finding("conflicts", Verdict.BROKEN, long)])), 80)
    first = lines.index("node-kill, fleet on nspawn, seed 7, default timers, 62.0 s")
    assert " ".join(lines[:first]) == f"BROKEN  conflicts: {long}"
    assert long in " ".join(" ".join(lines).split())
    assert max(map(len, lines)) <= 80
    assert lines[first + 1 : first + 3] == ["kept in results/a-run", "evidence: whalefall show a-run"]
    assert lines[-3 - first :] == lines[: first + 3]  # the top of a long report has left the screen


@pytest.mark.parametrize("width", [40, 80, 100])
@pytest.mark.parametrize("verdict", list(Verdict))
def test_places_and_commands_are_never_wrapped(width: int, verdict: Verdict) -> None:
    """With a real id, in a folder by its whole path: each is one line, at the top and at the end."""
    run_id = "node-kill-leader-fleet-s411144-1128-193012-7a0c"
    folder = Path("/var/lib/build agents/whale/workspace/nightly-failover/results") / run_id
    run = replace(a_run([Finding("conflicts", verdict, "so", evidence=(4,))]), run_id=run_id, folder=folder)
    lines = shown(report(run), width)
    assert lines.count(f"kept in {folder}") == 2
    assert lines.count(f"evidence: {shown_by(run)}") == 2
    assert shlex.split(shown_by(run))[:3] == ["whalefall", "show", str(folder)]


def test_a_run_that_held_says_what_held_first() -> None:
    """It has no cause."""
    lines = shown(report(a_run([Finding("assumptions", Verdict.HELD, "it can be judged")])), 80)
    assert lines[0] == "HELD  node-kill, fleet on nspawn, seed 7, default timers, 62.0 s"
    assert lines[1] == "kept in results/a-run"


def test_a_run_that_failed_says_its_reason_first_and_not_nine_unknowns() -> None:
    """What was found out before stays; what nobody can tell is one row."""
    ended = History.of_events((0.0, PhaseBegan(Phase.FORMING)), (9.0, Note("ended early: waited 45 s for n1; last seen: off")))
    unknown = [Finding(f"c{number}", Verdict.UNKNOWN, "the history ends") for number in range(9)]
    lines = shown(report(replace(a_run([Finding("conflicts", Verdict.BROKEN, "two on n3"), *unknown]), history=ended)), 100)
    assert lines[0] == "FAILED  the harness could not do its work: waited 45 s for n1; last seen: off"
    assert sum("the history ends" in line for line in lines) == 0
    assert any(line.startswith(" conflicts ") for line in lines)
    assert any("9 checkers cannot tell: the run did not come to its end" in line for line in lines)


@pytest.mark.parametrize(
    "noted", [STOPPED_EARLY, "ended early: Stopped: the run was stopped", "ended early: KeyboardInterrupt: ", f"{STOPPED_EARLY}: Timeout"]
)
def test_a_run_that_was_stopped_says_so_and_did_not_fail(noted: str) -> None:
    """Somebody wanted it to end: that is no trouble of the harness's, and the name of no class tells anybody anything."""
    ended = History.of_events((0.0, PhaseBegan(Phase.FORMING)), (9.0, Note(noted)))
    lines = shown(report(replace(a_run([Finding("quorum", Verdict.UNKNOWN, "the history ends")]), history=ended)), 100)
    assert lines[0].startswith("STOPPED  it was asked to end")
    told = "\n".join(lines[: lines.index("evidence: whalefall show a-run")])
    assert not any(word in told for word in ("FAILED", "Stopped:", "KeyboardInterrupt", "harness could not"))
    assert any("1 checkers cannot tell: the run did not come to its end" in line for line in lines)


def test_a_held_finding_has_no_lines_and_says_why() -> None:
    """Nothing is missing: only what speaks against a promise is kept with it."""
    for verdict, words in (
        (Verdict.HELD, "no lines are kept for a promise that was kept"),
        (Verdict.UNKNOWN, "what would have decided it"),
    ):
        finding = Finding("writes", verdict, "so")
        lines = shown(evidence(a_run([finding]), finding), 200)
        assert words in lines[1]
        assert "stands on what is not there" not in lines[1]


def test_the_command_that_shows_the_evidence_can_be_pasted() -> None:
    """The checker that convicts, and the run by its path where it does not lie in the usual folder."""
    convicted = a_run([Finding("writes", Verdict.BROKEN, "k1 is gone", evidence=(4, 7))])
    assert shown_by(convicted) == "whalefall show a-run --evidence writes"
    assert shown_by(replace(convicted, folder=Path("else where/a-run"))) == "whalefall show 'else where/a-run' --evidence writes"
    lines = shown(evidence(convicted, convicted.findings[0]), 1000)
    assert lines[0] == "BROKEN  writes: k1 is gone"
    assert [line.split()[0] for line in lines[1:]] == ["4", "7"]
    assert all(" s  " in line and '": ' in line for line in lines[1:])


def test_the_recovery_split_stands_against_the_budget() -> None:
    """Within, over, and not back at all are different words; what never came is as long as it was watched."""
    split: dict[str, Json] = {
        "fault": 1,
        "from": "n2",
        "to": "n3",
        "noticed": 20.5,
        "placed": 21.0,
        "running": 26.35,
        "serving": 27.09,
        "watched": 33,
    }
    recovery: dict[str, Json] = {
        "web@1": split,
        "web@2": {**split, "running": 44.0, "serving": 44.74},
        "web@3": {**split, "to": None, "placed": None, "running": None, "serving": None, "watched": 32.95},
    }
    judged: dict[str, Json] = {
        "web@1": {"limit": 38.0, "verdict": "held"},
        "web@2": {"limit": 38.0, "verdict": "broken"},
        "web@3": {"limit": 38.0, "verdict": "unknown"},
    }

    def rows(verdict: Verdict, details: Mapping[str, Json]) -> tuple[dict[str, str], list[str]]:
        lines = shown(report(a_run([Finding("rescheduled", verdict, "y", details)], recovery=recovery)), 120)
        return {line.split()[0]: line for line in lines if line.startswith(" web@")}, lines

    found, lines = rows(Verdict.BROKEN, {"instances": judged})
    assert found["web@1"].split() == ["web@1", "n2", "to", "n3", "20.5", "21.0", "26.4", "27.1", "38", "within"]
    assert found["web@2"].endswith("too late")
    assert found["web@3"].split()[3:8] == ["nowhere", "20.5", "never", "never", "-"]  # nobody called
    assert found["web@3"].endswith("38   not back in 33.0 s, cannot be said")
    assert any("allowed after node.kill: agent_ttl 30 + start 8 = 38 s" in line for line in lines)
    assert rows(Verdict.UNKNOWN, {"instances": judged})[0]["web@2"].endswith("cannot be said")
    assert rows(Verdict.HELD, {"instances": {}})[0]["web@1"].endswith("-   not promised")


@pytest.mark.parametrize(("serving", "told"), [(11.9, True), (12.0, False), (11.96, False), (12.4, False), (None, False)])
def test_work_that_served_before_it_was_seen_to_run_is_explained(serving: float | None, told: bool) -> None:
    """Both figures are right, and the order of the columns says otherwise; where they are shown as the same there is nothing to explain."""
    split: dict[str, Json] = {"fault": 1, "from": "n2", "to": "n3", "noticed": 1.0, "placed": 2.0, "running": 12.0, "serving": serving}
    run = a_run([], recovery={"web@2": split, "web@10": split, "web@3": {**split, "serving": 13.0}})
    text = " ".join(" ".join(shown(report(run), 120)).split())
    assert ("web@2, web@10 served before running: nodes are looked at now and then" in text) is told


@pytest.mark.parametrize(("called", "word"), [((), "-"), (("db",), "-"), (("web",), "never"), (("db", "web"), "never")])
def test_where_nobody_calls_work_is_not_said_to_serve_never(called: tuple[str, ...], word: str) -> None:
    """Only of an app that is called is it known."""
    split: dict[str, Json] = {"fault": 1, "from": "n2", "to": "n3", "noticed": 1.0, "placed": 2.0, "running": 12.0, "serving": None}
    run = a_run([], recovery={"web@2": split})
    run = replace(run, plan=replace(run.plan, workloads=tuple(Http(app) for app in called)))
    (row,) = [line for line in shown(report(run), 120) if line.startswith(" web@2")]
    assert row.split()[7] == word
    assert f"serving {word};" in " ".join(" ".join(shown(report(run), 60)).split())


def test_what_the_promise_allows_is_what_the_table_says() -> None:
    """Its own limit and not the budget: no row says within beside a broken rescheduled, whatever the mode's timers would have allowed."""
    story = node_kill()
    for within, verdict, word in ((35.0, Verdict.HELD, "within"), (20.0, Verdict.BROKEN, "too late")):
        history = story.history()
        finding = Rescheduled("web", within=within).check(history)
        run = replace(a_run([finding], recovery=recovery_of(history)), history=history)
        assert finding.verdict is verdict
        row = next(line for line in shown(report(run), 100) if line.startswith(" web@2"))
        assert row.endswith(f" {within:g}   {word}")


@pytest.mark.parametrize("width", [80, 100])
def test_no_cell_of_the_recovery_table_is_cut(width: int) -> None:
    """Long names of a second fault, nothing back, and large figures: wrapped at 80 columns, whole."""
    never: dict[str, Json] = {"fault": 1, "from": "n2", "to": None, "noticed": 120.25, "running": None, "watched": 133.5}
    judged: dict[str, Json] = {"limit": 38.0, "verdict": "broken"}
    found = [
        Finding("settled", Verdict.BROKEN, "y"),
        Finding("rescheduled", Verdict.BROKEN, "y", {"instances": {"web@1": judged, "web@10 (fault 2)": judged}}),
    ]
    lines = shown(report(a_run(found, recovery={"web@1": never, "web@10 (fault 2)": never})), width)
    start = next(number for number, line in enumerate(lines) if line.startswith("Recovery"))
    table = " ".join(" ".join(lines[start:]).split())
    assert "…" not in table
    assert max(map(len, lines)) <= width
    words = set(table.split())
    assert {"web@10", "(fault", "2)", "nowhere", "noticed", "120.2", "serving", "never", "38", "133.5"} <= words
    assert any(line.startswith(" settled") for line in lines)


RIGHT = Finding("conflicts", Verdict.BROKEN, "two instances ran on n3")


@pytest.mark.parametrize(
    ("findings", "right", "words"),
    [
        ([RIGHT], True, "convicted by conflicts"),
        ([], False, "gave no finding"),
        ([replace(RIGHT, verdict=Verdict.HELD)], False, "NOT convicted"),
        ([replace(RIGHT, summary="something else")], False, "NOT convicted for the right reason"),
    ],
)
def test_a_control_is_convicted_for_the_right_reason_or_not_at_all(findings: list[Finding], *, right: bool, words: str) -> None:
    """The words say which it is."""
    found = conviction(a_run(findings, Control(Verdict.BROKEN, "conflicts", "two instances")))
    assert found is not None
    assert found.right is right
    assert words in found.text


def test_a_control_that_is_broken_for_another_reason_too_is_not_as_it_should_be() -> None:
    """A control that must be unknown, and came out broken, is wrong even if its checker said unknown."""
    findings = [Finding("assumptions", Verdict.UNKNOWN, "no fault was in force"), Finding("quorum", Verdict.BROKEN, "two leaders")]
    found = conviction(a_run(findings, Control(Verdict.UNKNOWN, "assumptions")))
    assert found is not None
    assert not found.right


def test_a_scenario_that_is_no_control_has_nothing_to_be_convicted_of() -> None:
    """No control, no sentence."""
    assert conviction(a_run([RIGHT])) is None


# -- while it runs


def fed_board(plan: Plan, history: History, until: float) -> Board:
    """Return a board that has heard a history up to a time."""
    board = Board(plan, lambda: until)
    for entry in history.entries:
        if entry.time <= until:
            board.hear(entry)
    return board


def drawn(board: Board, width: int, height: int) -> list[str]:
    """Return the board's picture on a terminal of that size."""
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None)
    with console.capture() as capture:
        console.print(board)
    return [line.rstrip() for line in capture.get().splitlines()]


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


def plain_console() -> tuple[Console, io.StringIO]:
    """Return a console that is no terminal, and what it writes into."""
    file = io.StringIO()
    return Console(file=file, width=40), file


def test_plain_lines_are_whole_and_timed_by_the_run(tmp_path: Path) -> None:
    """One line an event that matters, never wrapped, each with the run's time."""
    console, file = plain_console()
    clock = FrozenClock(100.0)
    with PlainView(console, clock, a_plan()) as shown_view, Recorder(tmp_path / "history.jsonl", clock) as recorder:
        shown_view.listen(recorder)
        shown_view.progress(Told("building the node image, which takes a while on a machine like this"))
        shown_view.progress(Told("building the node image, which takes a while on a machine like this"))
        clock.time = 112.5
        recorder.record(fault(Stage.DECIDED))
        recorder.record(NodeSeen("n2", NodeState.OFF))
        recorder.record(NodeSeen("n2", NodeState.OFF))
        shown_view.say("stopping")
    assert file.getvalue().splitlines() == [
        f"     0.0 s  run {tmp_path.name}; 5 min 30 s at most once the cluster stands, plus making and mending; log {tmp_path / 'history.jsonl'}",
        "     0.0 s  building the node image, which takes a while on a machine like this",
        "    12.5 s  fault 1 (node.kill on n2) is decided",
        "    12.5 s  n2 is off",
        "    12.5 s  stopping",
    ]


def test_while_it_runs_it_says_which_run_it_is_where_it_is_written_and_when_it_is_over(tmp_path: Path) -> None:
    """By the plan, with the limits of all that is asked around its steps: so long once the cluster stands, and then what is left of it."""
    assert at_most(a_plan(), Narrative(), 0.0).startswith(about(a_plan().limit))
    board = Board(a_plan(), lambda: 30.0)
    board.begin(tmp_path / "a-run" / "history.jsonl")
    path = tmp_path / "a-run" / "history.jsonl"
    assert (
        drawn(board, 300, 30)[1] == f"          5 min 30 s at most once the cluster stands, plus making and mending  run a-run  log {path}"
    )
    assert drawn(board, len(str(path)) + 4, 30)[1:3] == [
        "          5 min 30 s at most once the cluster stands, plus making and mending",
        f"log {path}",
    ]
    for narrow in (40, len(str(path)) - 5):  # where it has no room it goes on in the next line: what is cut cannot be pasted
        assert str(path) in "".join(line.strip() for line in drawn(board, narrow, 30))
    reading = Narrative()
    for entry in History.of_events((10.0, PhaseBegan(Phase.STEADY))).entries:
        reading.feed(entry)
    assert at_most(a_plan(), reading, 10.0) == "4 min 25 s more at most, plus making and mending"
    assert at_most(a_plan(), reading, 12.5) == "4 min 23 s more at most, plus making and mending"
    console, file = plain_console()
    with PlainView(console, FrozenClock(), a_plan()) as lines, Recorder(tmp_path / "history.jsonl", FrozenClock()) as recorder:
        lines.listen(recorder)
        recorder.record(PhaseBegan(Phase.STEADY))
    assert file.getvalue().splitlines()[1:] == ["     0.0 s  phase: steady", "     0.0 s  4 min 25 s more at most, plus making and mending"]


def reading_of(*events: tuple[float, Event]) -> Narrative:
    """Return the reading of these events."""
    reading = Narrative(keep=False)
    for entry in History.of_events(*events).entries:
        reading.feed(entry)
    return reading


def two_kills() -> Plan:
    """Return the plan of two kills with a wait between them: 5 s, at most 33 s of the first, 7 s, 20 s, at most 90 s of settling."""
    steps = (Wait(5.0), Break(Kill(), "any", Hold(30.0, "recovered")), Wait(7.0), Break(Kill(), "any", Hold(20.0)))
    return replace(a_plan(), steps=steps)


BACK = 20.0  # fingerprints
READ = 120.0  # the last reads


@pytest.mark.parametrize(
    ("events", "now", "left_then"),
    [
        pytest.param([], 9.0, 45.0 + 20.0 + 155.0 + BACK + READ, id="it does not stand yet"),
        pytest.param([(10.0, Phase.STEADY)], 10.0, 155.0 + BACK + READ, id="it stands"),
        pytest.param([(10.0, Phase.STEADY)], 14.0, 151.0 + BACK + READ, id="it waits"),
        pytest.param([(10.0, Phase.STEADY)], 99.0, 150.0 + BACK + READ, id="a wait is no longer than it is, however late the next word"),
        pytest.param([(10.0, Phase.STEADY), (15.0, Phase.FAULTS)], 16.0, 150.0 + BACK + READ, id="the first fault is not made yet"),
        pytest.param([(15.0, Stage.DECIDED), (16.0, Stage.IN_FORCE)], 26.0, 140.0 + BACK + READ, id="a fault is held"),
        pytest.param([(16.0, Stage.IN_FORCE)], 300.0, 117.0 + BACK + READ, id="a hold is no longer than it is"),
        pytest.param([(16.0, Stage.IN_FORCE), (20.0, Stage.HEALING)], 25.0, 117.0 + BACK + READ, id="a hold that ended early is over"),
        pytest.param([(16.0, Stage.IN_FORCE), (20.0, Stage.HEALING), (26.0, Stage.HEALED)], 28.0, 115.0 + BACK + READ, id="the next wait"),
        pytest.param([(15.0, Stage.FAILED), (16.0, Stage.HEALING), (17.0, Stage.HEALED)], 17.0, 117.0 + BACK + READ, id="it failed"),
        pytest.param([(16.0, Stage.HEALED), (30.0, 2)], 30.0, 110.0 + BACK + READ, id="the last fault"),
        pytest.param([(40.0, Phase.SETTLING)], 50.0, 80.0 + BACK + READ, id="it settles"),
        pytest.param([(40.0, Phase.SETTLING), (45.0, True)], 50.0, BACK - 5.0 + READ, id="it is whole again early"),
        pytest.param([(40.0, Phase.SETTLING), (130.0, False)], 130.0, BACK + READ, id="it never was whole again"),
        pytest.param([(50.0, Phase.FINAL)], 51.0, READ - 1.0, id="the last reads"),
        pytest.param([(50.0, Phase.FINAL), (52.0, Phase.DONE)], 52.0, 0.0, id="all is over"),
    ],
)
def test_what_is_left_is_what_is_still_to_do(events: list[tuple[float, Any]], now: float, left_then: float) -> None:
    """Of the step that goes on what is left of its limit, and all that is to come: nothing of what is over, however early that was."""

    def told(what: Any) -> Event:
        if isinstance(what, bool):
            return Wholeness("after", what, 1.0, () if what else ("n2 is off",))
        if isinstance(what, int):
            return fault(Stage.INJECTED, number=what)
        return PhaseBegan(what) if isinstance(what, Phase) else fault(what)

    begun = [(1.0, Phase.FORMING)]
    if events and events[0][0] > 10.0:
        begun += [(10.0, Phase.STEADY), (15.0, Phase.FAULTS)]
    reading = reading_of(*((time, told(what)) for time, what in (*begun, *(each for each in events if each not in begun))))
    assert left(two_kills(), reading, now) == pytest.approx(left_then)


def overlapping() -> Plan:
    """Return the plan of a fault that goes on beside another: 5 s, it begins, 10 s, 20 s of the other, 7 s, it is healed, 8 s."""
    steps = (Wait(5.0), Break(Kill(), "n2", None, "one"), Wait(10.0), Break(Kill(), "n3", Hold(20.0)), Wait(7.0), Heal("one"), Wait(8.0))
    return replace(a_plan(), steps=steps)


@pytest.mark.parametrize(
    ("events", "now", "steps_left"),
    [
        ([(15.0, 1, Stage.DECIDED)], 15.0, 45.0),
        ([(15.0, 1, Stage.DECIDED), (16.0, 1, Stage.IN_FORCE)], 18.0, 43.0),
        ([(15.0, 1, Stage.DECIDED), (16.0, 1, Stage.IN_FORCE)], 99.0, 35.0),
        ([(16.0, 1, Stage.IN_FORCE), (26.0, 2, Stage.DECIDED)], 27.0, 35.0),
        ([(16.0, 1, Stage.IN_FORCE), (26.0, 2, Stage.IN_FORCE)], 30.0, 31.0),
        ([(16.0, 1, Stage.IN_FORCE), (26.0, 2, Stage.IN_FORCE), (46.0, 2, Stage.HEALED)], 48.0, 13.0),
        ([(16.0, 1, Stage.IN_FORCE), (46.0, 2, Stage.HEALED), (53.0, 1, Stage.HEALING)], 54.0, 8.0),
        ([(16.0, 1, Stage.IN_FORCE), (46.0, 2, Stage.HEALED), (54.0, 1, Stage.HEALED)], 56.0, 6.0),
        ([(15.0, 1, Stage.FAILED), (15.5, 1, Stage.HEALED)], 16.5, 44.0),
    ],
)
def test_what_is_left_counts_faults_that_overlap(events: list[tuple[float, int, Stage]], now: float, steps_left: float) -> None:
    """A fault that goes on is no step that is waited for; a heal shows where the run is."""
    begun: list[tuple[float, Event]] = [(10.0, PhaseBegan(Phase.STEADY)), (15.0, PhaseBegan(Phase.FAULTS))]
    told = [(time, fault(stage, number=number)) for time, number, stage in events]
    assert left(overlapping(), reading_of(*begun, *told), now) == pytest.approx(steps_left + 90.0 + BACK + READ)


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


def test_what_is_left_never_grows_and_ends_at_nothing() -> None:
    """Through a whole run, by every entry of it: making and mending stand still, nothing else does."""
    reading, before = Narrative(keep=False), float("inf")
    for entry in node_killed().entries:
        reading.feed(entry)
        now = left(a_plan(), reading, entry.time)
        assert now <= before, entry
        before = now
    assert before == 0.0
    assert at_most(a_plan(), reading, 62.0) == "all was asked; the cluster is removed and the run is judged"


@pytest.mark.parametrize("beside", [Wholeness("before", whole=False, seconds=45.0, missing=("n2 is off",)), None])
def test_where_no_step_will_be_taken_none_is_waited_for(beside: Wholeness | None) -> None:
    """A cluster that was not sound before is not broken; and where a fault hits nobody, nothing more is broken."""
    events: list[tuple[float, Event]] = [(10.0, PhaseBegan(Phase.STEADY)), (15.0, PhaseBegan(Phase.FAULTS))]
    if beside is None:
        events += [(15.0, FaultStage(1, "node.kill", (), Stage.FAILED, {}, "nobody leads"))]
        assert left(two_kills(), reading_of(*events), 15.0) == 90.0 + BACK + READ
    else:
        assert left(two_kills(), reading_of((9.0, beside), *events), 15.0) == BACK + READ


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
    assert any("10.7 s, no answ" in line for line in squeezed)
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


def test_an_outage_is_one_figure() -> None:
    """What the moments say and what availability judged is the same, to the digit shown, wherever between two good answers the fault bit."""
    history = node_kill().history()
    gaps: Any = Availability("web", 0.1, 60.0).check(history).details["gaps"]
    told = next(what for what in moments(history) if what.startswith("http web@2: a good answer again"))
    assert lasted(gaps["web@2"]["length"]) == told.partition(", after ")[2].removesuffix(" without one")


def test_a_run_has_one_length() -> None:
    """What happens after its last phase is tear-down: no part of it in any place."""
    story = node_kill()
    story.tell(91.5, Note("removing the cluster"))
    history = story.history()
    lines = shown(report(replace(a_run([Finding("x", Verdict.HELD, "y")]), history=history)), 100)
    assert lines[0].endswith("default timers, 70.0 s")
    assert history.length == 70.0
    assert "watched for all of 70.0 s" in Assumptions().check(history).summary


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


def test_the_view_is_plain_where_no_picture_can_be_redrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """No terminal, CI, a dumb terminal, or --plain."""
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    terminal = Console(file=io.StringIO(), force_terminal=True)
    assert isinstance(view(a_plan(), terminal, plain=False), LiveView)
    assert isinstance(view(a_plan(), terminal, plain=True), PlainView)
    assert isinstance(view(a_plan(), plain_console()[0], plain=False), PlainView)
    monkeypatch.setenv("CI", "true")
    assert isinstance(view(a_plan(), terminal, plain=False), PlainView)
    monkeypatch.delenv("CI")
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(view(a_plan(), Console(file=io.StringIO(), force_terminal=True), plain=False), PlainView)


def test_the_live_view_starts_and_stops_with_a_recorder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It listens, draws, and gives the terminal back."""
    monkeypatch.setenv("TERM", "xterm-256color")
    file = io.StringIO()
    clock = FrozenClock()
    console = Console(file=file, force_terminal=True, width=80, height=24)
    with LiveView(a_plan(), console, clock) as shown_view, Recorder(tmp_path / "history.jsonl", clock) as recorder:
        shown_view.listen(recorder)
        shown_view.progress(Told("creating 3 nodes"))
        for entry in node_killed().entries[:50]:
            recorder.record(entry.event)
        shown_view.say("stopping")
    assert "instance  nodes say  API says" in re.sub(r"\x1b\[[0-9;]*m", "", file.getvalue())
    assert file.getvalue().rstrip().endswith("\x1b[2K") or "\x1b[?25h" in file.getvalue()


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


def test_a_failure_in_pytest_is_no_narrower_than_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its tables are read later, in logs: a narrow terminal, or none that says, narrows nothing. A wide one widens them."""
    run = a_run([Finding("rescheduled", Verdict.BROKEN, "web@1 ran nowhere else in the 50.0 s after n1 was lost " * 3)])
    said = {}
    for columns in ("40", "80", "120"):
        monkeypatch.setenv("COLUMNS", columns)
        said[columns] = tested.text(run)
    assert said["40"] == said["80"] != said["120"]
    assert 60 < max(len(line) for line in said["40"].splitlines()) <= 80
