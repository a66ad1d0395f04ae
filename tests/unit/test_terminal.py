"""The two views of a run that goes on: live, and plain lines where nothing can be redrawn."""

from __future__ import annotations

import io
import re
import threading
from pathlib import Path

import pytest
from rich.console import ConsoleDimensions

from harness.core.figures import about
from harness.core.values import (
    NodeState,
    Phase,
    Stage,
)
from harness.history.events import (
    History,
    NodeSeen,
    PhaseBegan,
)
from harness.history.recorder import Recorder
from harness.reports.board import Board
from harness.reports.console import Console
from harness.reports.narrative import Narrative
from harness.reports.remaining import at_most
from harness.reports.terminal import LiveView, PlainView, view
from tests.unit.reporting import Told, a_plan, drawn, fault, node_killed


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
        f"     0.0 s  run {tmp_path.name}; 330 s at most once the cluster stands, plus making and mending; log {tmp_path / 'history.jsonl'}",
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
    assert drawn(board, 300, 30)[1] == f"          330 s at most once the cluster stands, plus making and mending  run a-run  log {path}"
    assert drawn(board, len(str(path)) + 4, 30)[1:3] == [
        "          330 s at most once the cluster stands, plus making and mending",
        f"log {path}",
    ]
    for narrow in (40, len(str(path)) - 5):  # where it has no room it goes on in the next line: what is cut cannot be pasted
        assert str(path) in "".join(line.strip() for line in drawn(board, narrow, 30))
    reading = Narrative()
    for entry in History.of_events((10.0, PhaseBegan(Phase.STEADY))).entries:
        reading.feed(entry)
    assert at_most(a_plan(), reading, 10.0) == "some 45 s more, 265 s at most, plus making and mending"
    assert at_most(a_plan(), reading, 12.5) == "some 43 s more, 263 s at most, plus making and mending"
    console, file = plain_console()
    with PlainView(console, FrozenClock(), a_plan()) as lines, Recorder(tmp_path / "history.jsonl", FrozenClock()) as recorder:
        lines.listen(recorder)
        recorder.record(PhaseBegan(Phase.STEADY))
    assert file.getvalue().splitlines()[1:] == [
        "     0.0 s  phase: steady",
        "     0.0 s  some 45 s more, 265 s at most, plus making and mending",
    ]


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


def test_the_live_view_is_drawn_anew_below_its_title_where_the_window_has_another_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once for each change: a terminal has broken the old lines, and nobody knows where the picture begins. An unchanged one is left in its place."""
    monkeypatch.setenv("TERM", "xterm-256color")
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=200, height=50)
    shown_view = LiveView(a_plan(), console, FrozenClock())
    pictures = []
    for width, height in ((200, 50), (100, 50), (100, 50), (100, 40), (120, 40)):
        console.size = ConsoleDimensions(width, height)
        begun = len(file.getvalue())
        with shown_view._live._lock:  # the thread that refreshes waits
            shown_view._live.console.set_live(shown_view._live)
            shown_view._live.console.push_render_hook(shown_view._live)
            shown_view._live.refresh()
            shown_view._live.console.pop_render_hook()
            shown_view._live.console.clear_live()
        pictures.append(file.getvalue()[begun:])
    emptied = "\x1b[H\x1b[2J"
    assert [each.count(emptied) for each in pictures] == [0, 1, 0, 1, 1]
    for each in pictures:
        if emptied in each:
            after = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", each.partition(emptied)[2])
            assert after.startswith("whalefall  node-kill, ")


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
