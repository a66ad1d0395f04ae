"""The history: its file, its order, what a damaged one does, and the waits on it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from harness.core.clock import SystemClock
from harness.core.errors import BadInput
from harness.core.values import Call, Container, Endurance, Json, NodeState, Outcome, Patience, Phase, Placement, Stage, View
from harness.history.chain import Chain
from harness.history.events import (
    KINDS,
    Answered,
    ApiSeen,
    Checked,
    Closed,
    DockerEvent,
    Endures,
    Entry,
    Event,
    FaultStage,
    Fingerprinted,
    History,
    Invoked,
    MemberSeen,
    NodeSeen,
    Note,
    Opened,
    PhaseBegan,
    Pressure,
    Recorder,
    Stalled,
    Watching,
    Wholeness,
    parse,
)
from harness.testing.histories import chained

if TYPE_CHECKING:
    from pathlib import Path

PARTITION: dict[str, Json] = {"shape": "isolate", "ports": [1, None], "deep": {"x": True}}
EVENTS: list[Event] = [
    PhaseBegan(Phase.SETTLING),
    FaultStage(1, "node.kill", ("n1", "n2"), Stage.DECIDED),
    FaultStage(2, "net.partition", ("n1",), Stage.FAILED, PARTITION, 'nft: ‘no’ "quotes"\n'),
    NodeSeen("n1", NodeState.UP, (Container("a" * 64, "web@1"), Container("b" * 64, ""))),
    NodeSeen("n2", NodeState.OFF),
    NodeSeen("n3", NodeState.UNREACHABLE, detail="timed out"),
    DockerEvent("n1", "start", "a" * 64, "web@1", 12.5),
    ApiSeen("n1", View(("n1", "n2"), (Placement("web@1", "n1", "active", running=True), Placement("web@2", None, "", running=False)))),
    ApiSeen("n1", None, "503"),
    MemberSeen("n1", 3, "n2"),
    MemberSeen("n1", error="timed out"),
    Watching("docker", "n1", alive=True),
    Watching("docker", "n1", alive=False, detail="EOF"),
    Invoked(1, "http", Call("get", "web@1")),
    Invoked(2, "register", Call("write", "k", "v")),
    Answered(1, "http", Outcome.OK, by="n2"),
    Answered(2, "register", Outcome.UNKNOWN, error="deadline"),
    Checked("service docker is_running", "n1", "after", Outcome.FAIL, "False"),
    Fingerprinted("n1", "before", {"nft_tables": ["x"], "disk": {"fsync": 0.5}, "none": None}),
    Fingerprinted("n1", "after", {}, "no answer"),
    Wholeness("before", whole=True, seconds=2.5),
    Wholeness("after", whole=False, seconds=90.0, missing=("n3 is off", "writes are not acknowledged")),
    Endures(Endurance((Patience("agent_ttl", 5.0, 5.0, 30.0), Patience("a fixed one", 1.0)), 16.5, 3.0), ("n1", "n2")),
    Stalled("harness", 12.5, 15.0, "stopped"),
    Pressure(1.0, 2, 5.4, steal=0.1, cpu=0.9),
    Note("line one\nline two\u2028 and a control character \x00"),
    Note("a path that is not UTF-8: \udcff"),
]
ENVELOPE: list[Event] = [Opened("node-kill-fleet-s7"), Closed(812)]


class Ticking:
    """A clock that goes on by a millisecond at every look, and waits for nothing."""

    def __init__(self) -> None:
        self.looks = 0

    def now(self) -> float:
        """Seconds: a thousandth for every look."""
        self.looks += 1
        return 100 + self.looks / 1000

    def wall(self) -> float:
        """No time in particular."""
        return 0.0

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Return at once."""
        return event.is_set()


def test_every_kind_of_event_has_an_example_here() -> None:
    """A new kind must be added to the round trip."""
    assert {type(event) for event in (*EVENTS, *ENVELOPE)} == set(KINDS.values())


@pytest.mark.parametrize("event", [*EVENTS, *ENVELOPE], ids=lambda event: event.kind)
def test_an_event_comes_back_from_its_line_as_it_was(event: Event) -> None:
    """One line of text, no newline within, equal when read."""
    body = Entry(7, 1.25, event).body()
    line = Chain().link(body)
    assert (body.count(b"\n"), line.count(b"\n")) == (0, 1)
    assert parse(body) == parse(line) == Entry(7, 1.25, event)


def test_a_history_comes_back_from_its_file(tmp_path: Path) -> None:
    """What was recorded is what is loaded, index by index."""
    path = tmp_path / "history.jsonl"
    with Recorder(path, Ticking()) as recorder:
        recorded = [recorder.record(event) for event in EVENTS]
    loaded = History.load(path)
    assert [(entry.index, entry.event) for entry in loaded.entries] == [(entry.index, entry.event) for entry in recorded]
    assert [entry.time for entry in loaded.entries] == pytest.approx([entry.time for entry in recorded], abs=1e-6)
    assert loaded.end == pytest.approx(recorded[-1].time, abs=1e-6)


def test_a_line_is_on_disk_as_soon_as_it_was_recorded(tmp_path: Path) -> None:
    """A run that was killed still has its history."""
    path = tmp_path / "history.jsonl"
    with Recorder(path, Ticking()) as recorder:
        recorder.record(Note("one"))
        assert [entry.event for entry in History.load(path).entries] == [Note("one")]


def test_a_torn_last_line_is_left_out(tmp_path: Path) -> None:
    """Wherever the writer was killed in it."""
    path = tmp_path / "history.jsonl"
    first, second = chained([(0.0, Note("hällo"))], closed=False), chained([(0.0, Note("hällo")), (1.0, Note("hällo"))], closed=False)
    for length in range(len(first), len(second)):
        path.write_bytes(second[:length])
        assert (len(History.load(path).entries), History.load(path).breach) == (1, None)
    path.write_bytes(second)
    assert len(History.load(path).entries) == 2


@pytest.mark.parametrize(
    "bad",
    [
        b"not json\n",
        b"[]\n",
        b"\xff\xfe\n",
        b"\n",
        b'{"i":1,"t":1.0,"kind":"no such kind"}\n',
        b'{"i":1,"t":1.0}\n',
        b'{"i":1,"t":1.0,"kind":"note"}\n',
        b'{"i":1,"t":1.0,"kind":"note","text":"x","more":1}\n',
        b'{"i":1,"t":1.0,"kind":"phase","phase":"lunch"}\n',
        b'{"i":1,"t":1.0,"kind":"api","node":"n1","view":[]}\n',
    ],
)
def test_a_damaged_line_in_the_middle_is_an_error_with_its_place(tmp_path: Path, bad: bytes) -> None:
    """File and line number; nothing is skipped in silence."""
    path = tmp_path / "history.jsonl"
    path.write_bytes(chained([]) + bad + chained([]))
    with pytest.raises(BadInput) as caught:
        History.load(path)
    (problem,) = caught.value.problems
    assert (problem.file, problem.line) == (str(path), 3)


def test_an_empty_file_is_an_empty_history(tmp_path: Path) -> None:
    """Its end is 0, and no phase began."""
    path = tmp_path / "history.jsonl"
    path.touch()
    history = History.load(path)
    assert (len(history.entries), history.end, history.phase(Phase.DONE)) == (0, 0.0, None)


def test_many_threads_keep_index_and_time_in_order(tmp_path: Path) -> None:
    """A later index never has an earlier time, and each thread's own events stay in its order."""
    path = tmp_path / "history.jsonl"
    heard: list[Entry] = []
    with Recorder(path, SystemClock()) as recorder:
        recorder.listen(heard.append)

        def work(name: int) -> None:
            for number in range(200):
                recorder.record(Note(f"{name} {number}"))

        threads = [threading.Thread(target=work, args=(name,)) for name in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    entries = History.load(path).entries
    assert [entry.index for entry in entries] == list(range(1, 1601))
    times = [entry.time for entry in entries]
    assert times == sorted(times)
    assert [entry.event for entry in heard] == [entry.event for entry in entries]
    for name in range(8):
        own = [entry.event.text for entry in entries if isinstance(entry.event, Note) and entry.event.text.startswith(f"{name} ")]
        assert own == [f"{name} {number}" for number in range(200)]


def test_a_listener_that_was_ended_hears_no_more(tmp_path: Path) -> None:
    """Ending it twice is fine."""
    heard: list[Entry] = []
    with Recorder(tmp_path / "history.jsonl", Ticking()) as recorder:
        end = recorder.listen(heard.append)
        recorder.record(Note("heard"))
        end()
        end()
        recorder.record(Note("not heard"))
    assert [entry.event for entry in heard] == [Note("heard")]


def test_what_comes_after_the_close_is_dropped(tmp_path: Path) -> None:
    """A late thread brings nothing down, and closing twice is fine."""
    path = tmp_path / "history.jsonl"
    recorder = Recorder(path, Ticking())
    recorder.record(Note("in time"))
    recorder.close()
    recorder.close()
    recorder.record(Note("late"))
    assert [entry.event for entry in History.load(path).entries] == [Note("in time")]


def test_wait_for_ends_at_the_event(tmp_path: Path) -> None:
    """Another thread's event fulfils the condition."""
    seen = threading.Event()
    with Recorder(tmp_path / "history.jsonl", SystemClock()) as recorder:
        recorder.listen(lambda entry: seen.set() if entry.event == Note("now") else None)
        thread = threading.Thread(target=recorder.record, args=(Note("now"),))
        thread.start()
        assert recorder.wait_for(seen.is_set, 30.0)
        thread.join()


def test_wait_for_gives_up_when_the_time_is_over(tmp_path: Path) -> None:
    """False, and a condition that is true already needs no time at all."""
    with Recorder(tmp_path / "history.jsonl", Ticking()) as recorder:
        assert not recorder.wait_for(lambda: False, 0.0)
        assert recorder.wait_for(lambda: True, 0.0)


def test_entries_are_found_by_kind_and_phases_by_name() -> None:
    """`each` keeps the order; `phase` tells the first time."""
    history = History.of_events((3.0, Note("c")), (1.0, Note("a")), (2.0, PhaseBegan(Phase.STEADY)), (4.0, PhaseBegan(Phase.STEADY)))
    assert [(entry.index, event.text) for entry, event in history.each(Note)] == [(0, "a"), (2, "c")]
    assert history.phase(Phase.STEADY) == 2.0
    assert list(history.each(Watching)) == []
