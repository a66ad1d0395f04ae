"""The chain of a history: what was cut, doubled, swapped, glued, edited or lost is missed, and nothing from there on is evidence."""

from __future__ import annotations

import resource
import threading
from pathlib import Path

import pytest

from harness.checkers import Conflicts
from harness.core.clock import SystemClock
from harness.core.errors import BadInput
from harness.core.values import Verdict
from harness.history.chain import Chain
from harness.history.events import Closed, Entry, Event, History, Note, Opened
from harness.history.recorder import Recorder
from harness.testing.histories import Story, chained, node_kill

RUN = "node-kill-fleet-s7"
WHOLE = chained([(0.5, Note("zero")), (1.5, Note("one")), (2.5, Note("two, “quoted”")), (2.5, Note("three"))], RUN)
OTHER = chained([(0.1, Note("of another run"))], "another-run")


def lines(content: bytes) -> list[bytes]:
    """Split into lines, each with its end."""
    return content.splitlines(keepends=True)


def edited(number: int, old: bytes, new: bytes) -> bytes:
    """Change a line, given from 1, and leave its digest."""
    found = lines(WHOLE)
    assert old in found[number - 1]
    found[number - 1] = found[number - 1].replace(old, new)
    return b"".join(found)


def anew(*entries: Entry) -> bytes:
    """Write entries as they are given, with digests that fit: by one who knows the format."""
    chain = Chain()
    return b"".join(chain.link(entry.body()) for entry in entries)


def at(time: float) -> bytes:
    """A history in which the second note has that time."""
    note = Note("x")
    return anew(Entry(0, 0.0, Opened("")), Entry(1, 1.5, note), Entry(2, time, note), Entry(3, 9.0, note), Entry(4, 9.0, Closed(4)))


FIRST, *MIDDLE, LAST = lines(WHOLE)

BREACHES: dict[str, tuple[bytes, int, str]] = {
    "a line cut out": (b"".join([FIRST, *MIDDLE[:1], *MIDDLE[2:], LAST]), 3, "its index is 3: one line before it is missing"),
    "two lines cut out": (b"".join([FIRST, *MIDDLE[:1], *MIDDLE[3:], LAST]), 3, "its index is 4: 2 lines before it are missing"),
    "the first line cut off": (b"".join([*MIDDLE, LAST]), 1, "its index is 1: one line before it is missing"),
    "a line doubled": (b"".join([FIRST, *MIDDLE[:2], *MIDDLE[1:], LAST]), 4, "its index is 2, which was there before"),
    "all lines doubled": (b"".join(line * 2 for line in lines(WHOLE)), 2, "another history begins here"),
    "the whole file doubled": (WHOLE * 2, 7, f"another history begins here, of the run {RUN}"),
    "two lines swapped": (b"".join([FIRST, MIDDLE[1], MIDDLE[0], *MIDDLE[2:], LAST]), 2, "its index is 2: one line before it is missing"),
    "another run glued on": (WHOLE + OTHER, 7, "another history begins here, of the run another-run"),
    "another run glued in": (b"".join([FIRST, *MIDDLE[:2], OTHER, *MIDDLE[2:], LAST]), 4, "another history begins here"),
    "a line of another run in its place": (b"".join([FIRST, lines(OTHER)[1], *MIDDLE[1:], LAST]), 2, "its digest does not fit"),
    "a word edited": (edited(3, b"one", b"two"), 3, "its digest does not fit"),
    "a time edited": (edited(3, b"1.5", b"1.6"), 3, "its digest does not fit"),
    "a digest edited": (b"".join([FIRST, *MIDDLE[:1], MIDDLE[1][:-7] + b"zzzz" + MIDDLE[1][-3:], *MIDDLE[2:], LAST]), 3, "its digest does not fit"),
    "spaces added": (edited(2, b'"text":', b'"text": '), 2, "its digest does not fit"),
    "something after the end": (WHOLE + anew(Entry(6, 3.0, Note("late"))), 7, "something stands after the end of the history"),
    "another file's line end": (WHOLE.replace(b"\n", b"\r\n"), 1, "it ends with CRLF"),
    "one line's end": (edited(3, b"\n", b"\r\n"), 3, "it ends with CRLF"),
    "a line without a digest": (b"".join([FIRST, Entry(1, 0.5, Note("zero")).body(), b"\n", *MIDDLE[1:], LAST]), 2, "it has no digest"),
    "an older format": (
        b"".join(Entry(number, float(number), Note("x")).body() + b"\n" for number in range(4)),
        1,
        "it has no digest: it was written by hand, by another program, or by an older version",
    ),
    "no opening, written anew": (anew(Entry(0, 0.0, Note("x")), Entry(1, 1.0, Closed(1))), 1, "the history does not begin here"),
    "a gap, written anew": (anew(Entry(0, 0.0, Opened("")), Entry(2, 1.0, Note("x"))), 2, "one line before it is missing"),
    "a wrong count, written anew": (anew(Entry(0, 0.0, Opened("")), Entry(1, 1.0, Closed(812))), 2, "812 lines stand before it, and there are 1"),
    "a time that is no number": (at(float("nan")), 3, "its time is nan, which is no time of a run"),
    "a time without an end": (at(float("inf")), 3, "its time is inf, which is no time of a run"),
    "a time before all time": (at(float("-inf")), 3, "its time is -inf, which is no time of a run"),
    "a time in a million years": (at(3e13), 3, "its time is 30000000000000.0, which is no time of a run"),
    "a negative time": (at(-2.0), 3, "time goes back"),
    "a time that goes back": (at(1.4), 3, "its time is 100 ms before that of the line before it (1.5 s): time goes back"),
}  # fmt: skip


@pytest.mark.parametrize("name", BREACHES)
def test_where_a_history_is_not_whole_it_breaks(name: str) -> None:
    """The line and the reason are told, and what stands before is all that is left."""
    content, number, why = BREACHES[name]
    history = History.read(content)
    assert history.breach is not None
    assert (history.breach.line, why in history.breach.why) == (number, True), str(history.breach)
    assert not history.closed
    assert [entry.index for entry in history.entries] == list(range(1, len(history.entries) + 1))
    assert len(history.entries) == max(0, min(number - 2, 4))


def test_a_whole_history_is_whole() -> None:
    """Opened, chained, closed; the lines that open and close it are no evidence."""
    history = History.read(WHOLE, run=RUN)
    assert (history.breach, history.closed, history.run) == (None, True, RUN)
    assert [entry.index for entry in history.entries] == [1, 2, 3, 4]
    assert History.read(at(1.5)).breach is None
    assert History.read(anew(Entry(0, -0.0, Opened("")), Entry(1, -0.0, Closed(1)))).breach is None


def test_a_history_of_another_run_is_none_of_this_one() -> None:
    """Nothing in it is evidence, and both runs are named."""
    history = History.read(WHOLE, run="node-kill-fleet-s8")
    assert str(history.breach) == (
        f"the history breaks at line 1 (index 0, after 0.0 s): it is the history of the run {RUN}, not of the run node-kill-fleet-s8"
    )
    assert not history.entries


@pytest.mark.parametrize("kept", range(len(lines(WHOLE))))
def test_a_history_that_was_cut_off_is_not_closed(kept: int) -> None:
    """Wherever it ends: at the end of a line, in the middle of one, or without the last end of line."""
    whole_lines = b"".join(lines(WHOLE)[:kept])
    nearly = whole_lines + lines(WHOLE)[kept].rstrip(b"\n")
    for content in (whole_lines, nearly, nearly[:-5]):
        history = History.read(content)
        assert (history.breach, history.closed, len(history.entries)) == (None, False, max(0, kept - 1))


@pytest.mark.parametrize(
    "bad",
    [
        b'{"i":1,"i":1,"t":0.5,"kind":"note","text":"x"}\n',
        b'{"i":1,"t":0.5,"kind":"note","text":"x","text":"y"}\n',
        b'{"i":true,"t":0.5,"kind":"note","text":"x"}\n',
        b'{"i":1.0,"t":0.5,"kind":"note","text":"x"}\n',
        b'{"i":1,"t":"0.5","kind":"note","text":"x"}\n',
        b'{"i":1,"t":null,"kind":"note","text":"x"}\n',
        b'{"i":1,"t":1' + b"0" * 400 + b',"kind":"note","text":"x"}\n',
        b'{"i":1,"t":0.5,"kind":["note"],"text":"x"}\n',
        b'{"i":1,"t":0.5,"kind":"note","text":5}\n',
        b'{"i":1,"t":0.5,"kind":"node","node":"n1","state":"up","containers":{"id":"a"}}\n',
        b'{"i":1,"t":0.5,"kind":"node","node":"n1","state":"up","containers":[{"id":"a"}]}\n',
        b'{"i":1,"t":0.5,"kind":"node","node":"n1","state":["up"]}\n',
        b'{"i":1,"t":0.5,"kind":"member","node":"n1","term":"2","leader":"n1"}\n',
        b'{"i":1,"t":0.5,"kind":"member","node":"n1","term":true,"leader":"n1"}\n',
        b'{"i":1,"t":0.5,"kind":"watching","observer":"host","node":"n1","alive":1}\n',
        b'{"i":1,"t":0.5,"kind":"docker","node":"n1","action":"start","container":"a","instance":"","at":"1"}\n',
        b'{"i":1,"t":0.5,"kind":"fingerprint","node":"n1","when":"before","marks":[]}\n',
        b'{"i":1,"t":0.5,"kind":"invoked","op":1,"workload":"http","call":null}\n',
        b'{"i":1,"t":0.5,"kind":"note","text":' + b"[" * 100_000 + b"]" * 100_000 + b"}\n",
    ],
    ids=lambda bad: bad[:70].decode(),
)
def test_a_value_of_another_type_is_no_event(bad: bytes) -> None:
    """Nothing is guessed: the line is named, and no checker meets what it does not expect."""
    with pytest.raises(BadInput) as caught:
        History.read(FIRST + bad)
    assert [problem.line for problem in caught.value.problems] == [2]


def test_a_byte_order_mark_is_no_part_of_a_history() -> None:
    """Another program wrote the file anew."""
    with pytest.raises(BadInput):
        History.read(b"\xef\xbb\xbf" + WHOLE)


def test_what_a_recorder_writes_is_whole(tmp_path: Path) -> None:
    """Also when many threads write, and only once it was closed."""
    path = tmp_path / "history.jsonl"
    with Recorder(path, SystemClock(), RUN) as recorder:

        def work() -> None:
            for number in range(100):
                recorder.record(Note(str(number)))

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        before = History.load(path, RUN)
        assert (before.breach, before.closed, len(before.entries)) == (None, False, 400)
    after = History.load(path, RUN)
    assert (after.breach, after.closed, after.run, len(after.entries)) == (None, True, RUN, 400)


def test_the_lines_that_open_and_close_are_told_to_nobody(tmp_path: Path) -> None:
    """Listeners hear what happened in the run."""
    heard: list[Event] = []
    with Recorder(tmp_path / "history.jsonl", SystemClock(), RUN) as recorder:
        recorder.listen(lambda entry: heard.append(entry.event))
        recorder.record(Note("one"))
    assert heard == [Note("one")]


def test_a_line_that_was_written_short_is_not_taken_for_written(tmp_path: Path) -> None:
    """A limit in the middle of a line: the recorder says why, the file stays readable, and it is not closed."""
    path = tmp_path / "history.jsonl"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Recorder(path, SystemClock(), RUN) as recorder:
        recorder.record(Note("in time"))
        resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 40, hard))
        try:
            recorder.record(Note("a line that does not fit any more"))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert isinstance(recorder.failure, OSError)
        recorder.record(Note("later"))
    history = History.load(path, RUN)
    assert [entry.event for entry in history.entries] == [Note("in time")]
    assert (history.breach, history.closed) == (None, False)


def test_before_the_break_evidence_convicts_and_nothing_acquits() -> None:
    """Two instances on one node stay proven by whole lines; the same break after a good beginning is unknown."""
    guilty = Story().node(1.0, "n1", "web@1").node(5.0, "n1", "web@1", "web@2").node(8.0, "n1", "web@1").done(20.0)
    for story, verdict in ((guilty, Verdict.BROKEN), (node_kill(), Verdict.UNKNOWN)):
        content = chained((entry.time, entry.event) for entry in story.history().entries)
        kept = lines(content)
        del kept[-5]
        history = History.read(b"".join(kept))
        finding = Conflicts().check(history)
        assert finding.verdict is verdict
        points = finding.details.get("points", [finding.summary])
        assert any("the history breaks at line" in str(point) for point in points)  # type: ignore[union-attr]
