"""The history: its file, its order, what a damaged one does, and the waits on it."""

from __future__ import annotations

import dataclasses
import enum
import math
import os
import threading
import types
import typing
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.core import traits
from harness.core.clock import SystemClock
from harness.core.errors import BadInput, HarnessError
from harness.core.values import (
    Call,
    Container,
    Effect,
    Endurance,
    Json,
    Loss,
    NodeState,
    Outcome,
    Patience,
    Phase,
    Placement,
    Stage,
    Traits,
    View,
)
from harness.history.calls import ops
from harness.history.chain import Chain
from harness.history.events import (
    KINDS,
    LONGEST_LINE,
    Acted,
    Answered,
    ApiSeen,
    Awaited,
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
    Stalled,
    Watching,
    Wholeness,
    parse,
)
from harness.history.recorder import Recorder
from harness.testing.histories import Story, chained, node_kill

if TYPE_CHECKING:
    from pathlib import Path

PARTITION: dict[str, Json] = {"shape": "isolate", "ports": [1, None], "deep": {"x": True}}
EVENTS: list[Event] = [
    PhaseBegan(Phase.SETTLING),
    FaultStage(1, "node.kill", ("n1", "n2"), Stage.DECIDED),
    FaultStage(2, "net.partition", ("n1",), Stage.FAILED, PARTITION, 'nft: ‘no’ "quotes"\n'),
    FaultStage(
        3, "net.partition", ("n1", "n2"), Stage.IN_FORCE, PARTITION, traits=traits.to_history(Traits(Loss.LINK, apart=True), ("n3",))
    ),
    NodeSeen("n1", NodeState.UP, (Container("a" * 64, "web@1"), Container("b" * 64, ""))),
    NodeSeen("n2", NodeState.OFF),
    NodeSeen("n3", NodeState.UNREACHABLE, detail="timed out"),
    DockerEvent("n1", "start", "a" * 64, "web@1", 12.5),
    ApiSeen("n1", View(("n1", "n2"), (Placement("web@1", "n3", "active", running=True), Placement("web@2", None, "", running=False)))),
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
    Stalled("machine", 12.5, 15.0),
    Stalled("n3", 12.5, 15.0),
    Pressure(1.0, 2, 5.4, steal=0.1, cpu=0.9),
    Awaited(2, "recovered", "web", 60.0, "broken", Outcome.FAIL, 60.0, ("1 of 2 instances of web run",), ()),
    Acted(
        1,
        "app.scale",
        (),
        60.0,
        may_fail=True,
        outcome=Outcome.OK,
        seconds=0.5,
        parameters={"app": "web", "instances": 3},
        detail="2 before",
        effect=Effect({"web": 3}, ("etcd",), ("docker",), moves=True, opens=True),
        was={"web": 2},
    ),
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


def _words(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    each = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    return [word for part in each for word in _words(part)]


@pytest.mark.parametrize("event", [*EVENTS, *ENVELOPE], ids=lambda event: event.kind)
def test_an_event_tells_of_every_node_that_it_names(event: Event) -> None:
    """Whoever says it: so that what only words of a stranger, or about one, tell can be left out, wherever its name stands."""
    assert event.nodes == {word for word in _words(dataclasses.asdict(event)) if word in {"n1", "n2", "n3"}}


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


FIELDS: dict[object, st.SearchStrategy[Any]] = {
    str: st.text(st.characters(exclude_categories=())),
    int: st.integers(-(2**70), 2**70),
    float: st.floats(),
    bool: st.booleans(),
}
"""What a field may be made to hold: also half characters, numbers that are none, and those that no field holds."""
JSON = st.recursive(
    st.none() | st.booleans() | FIELDS[int] | FIELDS[float] | FIELDS[str],
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS[str], inner, max_size=3),
    max_leaves=6,
)


def anything(hint: Any) -> st.SearchStrategy[Any]:
    """Values of a field's type, as whatever fills it in may give them."""
    origin = typing.get_origin(hint)
    if origin in {typing.Union, types.UnionType}:
        return st.none() | anything(typing.get_args(hint)[0])
    if origin is tuple:
        return st.lists(anything(typing.get_args(hint)[0]), max_size=3).map(tuple)
    if origin is Mapping:
        return st.dictionaries(FIELDS[str], JSON, max_size=4)
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return st.sampled_from(list(hint))
    if dataclasses.is_dataclass(hint):
        return made_up(hint)
    return FIELDS[hint]


def made_up(cls: Any) -> st.SearchStrategy[Any]:
    """Instances of a dataclass with anything in its fields."""
    hints = typing.get_type_hints(cls, localns={"Json": Any, "Mapping": Mapping})
    return st.builds(cls, **{each.name: anything(hints[each.name]) for each in dataclasses.fields(cls)})


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"opened", "closed"}))
@given(data=st.data())
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_was_recorded_can_be_read(kind: str, tmp_path: Path, data: st.DataObject) -> None:
    """Of every kind, whatever stands in its fields: it is refused in one sentence, or the whole history reads back as the listeners heard it."""
    event = data.draw(made_up(KINDS[kind]))
    path = tmp_path / "history.jsonl"
    heard: list[Entry] = []
    with Recorder(path, SystemClock()) as recorder:
        recorder.listen(heard.append)
        recorder.record(Note("before"))
        try:
            recorder.record(event)
        except HarnessError as error:
            assert str(error).startswith(f"cannot record what no history can hold ({kind} event): ")  # noqa: PT017 - either is right
        recorder.record(Note("after"))
    history = History.load(path)
    assert (history.breach, history.closed) == (None, True)
    assert [entry.event for entry in history.entries] == [entry.event for entry in heard]
    assert (history.entries[0].event, history.entries[-1].event) == (Note("before"), Note("after"))


DEEP: Json = [[]]
for _ in range(300):
    DEEP = [DEEP]
UNREADABLE: dict[str, Event] = {
    "a parameter that is infinite": FaultStage(1, "acme.pause", ("n1",), Stage.DECIDED, {"seconds": math.inf}),
    "a parameter that is no number": FaultStage(1, "acme.pause", ("n1",), Stage.DECIDED, {"deep": [{"seconds": math.nan}]}),
    "a mark that no field holds": Fingerprinted("n1", "before", {"files": 10**30}),
    "a mark that is no JSON": Fingerprinted("n1", "before", {"files": {1, 2}}),  # type: ignore[dict-item]  # what a plug-in may do
    "marks inside marks": Fingerprinted("n1", "before", {"files": DEEP}),
    "marks without end": Fingerprinted("n1", "before", {"files": "x" * LONGEST_LINE}),
    "a time that is none": DockerEvent("n1", "start", "a" * 64, "web@1", math.nan),
    "a term that is text": MemberSeen("n1", "3", "n2"),  # type: ignore[arg-type]  # what an API may say
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_what_no_history_can_hold_is_refused_and_loses_no_other_line(case: str, tmp_path: Path) -> None:
    """The caller hears of it, no listener does, and what was told before and after it stands."""
    path = tmp_path / "history.jsonl"
    heard: list[Entry] = []
    with Recorder(path, SystemClock()) as recorder:
        recorder.listen(heard.append)
        recorder.record(Note("before"))
        with pytest.raises(HarnessError, match="cannot record what no history can hold"):
            recorder.record(UNREADABLE[case])
        recorder.record(Note("after"))
    assert [entry.event for entry in heard] == [Note("before"), Note("after")]
    assert [entry.event for entry in History.load(path).entries] == [Note("before"), Note("after")]


def test_half_a_character_that_somebody_sent_loses_no_answer(tmp_path: Path) -> None:
    """An app may answer with anything: the rest of it is told, to the listeners as in the file."""
    path = tmp_path / "history.jsonl"
    with Recorder(path, SystemClock()) as recorder:
        told = recorder.record(Answered(1, "http", Outcome.OK, value="half: \ud83d, a path: \udcff"))
    assert told.event == Answered(1, "http", Outcome.OK, value="half: \ufffd, a path: \udcff")
    assert [entry.event for entry in History.load(path).entries] == [told.event]


def test_a_history_that_grows_too_large_to_be_read_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a full disk is: whoever walks the run ends it, and what was written before can be read."""
    monkeypatch.setattr("harness.history.recorder.MOST_BYTES", 1000)
    path = tmp_path / "history.jsonl"
    with Recorder(path, SystemClock()) as recorder:
        while recorder.failure is None:
            recorder.record(Note("x" * 50))
    assert "which nobody would read" in str(recorder.failure)
    assert 800 < path.stat().st_size <= 1000
    assert {entry.event for entry in History.load(path).entries} == {Note("x" * 50)}


@pytest.mark.parametrize("room", [0, 10])
def test_the_rest_of_a_line_that_was_written_short_is_tried_once(room: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write may be short once for no lasting reason: then the line is whole. If the rest is short, too, that is a failure."""
    path = tmp_path / "history.jsonl"
    write, short = os.write, [5]
    with Recorder(path, SystemClock()) as recorder:
        recorder.record(Note("before"))

        def shortly(file: int, body: bytes) -> int:
            return write(file, body[: short.pop()] if short else body[: room or None])

        monkeypatch.setattr(os, "write", shortly)
        recorder.record(Note("short"))
        monkeypatch.undo()
        failed = recorder.failure
        recorder.record(Note("after"))
    texts = [event.text for _, event in History.load(path).each(Note)]
    assert (failed is None, texts) == ((False, ["before"]) if room else (True, ["before", "short", "after"]))


def test_the_calls_of_a_history_are_worked_out_once_and_are_its_own() -> None:
    """Every checker asks for them; another history of the same calls, cut shorter, has its own."""
    story = Story().get(1.0, "web@1").get(2.0, "web@1").write(3.0, "k", "v")
    whole = story.history()
    shorter = History(whole.entries[:2])
    assert ops(whole) is ops(whole)
    assert [len(ops(each)) for each in (whole, shorter, whole)] == [3, 1, 3]
    assert [len(ops(whole, name)) for name in ("http", "register", "nobody")] == [2, 1, 0]


def test_what_is_changed_of_one_good_run_is_changed_of_no_other() -> None:
    """It is told once: whatever in it can be changed is each story's own."""
    first, second = (node_kill().history() for _ in range(2))
    for _, event in first.each(Fingerprinted):
        typing.cast("dict[str, Any]", event.marks)["looked at"] = True
    assert all("looked at" not in event.marks for history in (second, node_kill().history()) for _, event in history.each(Fingerprinted))
    changeable = {type(entry.event) for entry in first.entries if _holds_what_can_be_changed(entry.event)}
    assert changeable == {Fingerprinted, FaultStage}
    own = {id(entry.event) for entry in first.entries if type(entry.event) in changeable}
    assert own.isdisjoint(id(entry.event) for entry in second.entries)


def _holds_what_can_be_changed(value: Any) -> bool:
    if dataclasses.is_dataclass(value):
        return any(_holds_what_can_be_changed(getattr(value, each.name)) for each in dataclasses.fields(value))
    return any(map(_holds_what_can_be_changed, value)) if isinstance(value, tuple) else isinstance(value, dict | list | set)
