"""Has a workload go on that makes its calls itself: begins it, hears what it says, keeps that, records what it tells of its calls, and ends it.

Two threads: one reads, so that the command never waits for us, and one tells. What comes within `harness.history.loads.SLOT` is told as one.
"""

from __future__ import annotations

import json
import queue
import threading
from collections import deque
from contextlib import suppress
from dataclasses import asdict
from typing import IO, TYPE_CHECKING, NamedTuple

from harness.core.errors import HarnessError, gist, in_words
from harness.core.threads import CertainThread, NoThread
from harness.core.units import counted
from harness.core.values import Call, Outcome
from harness.history.calls import invoked
from harness.history.events import Answered, Note
from harness.history.loads import COUNT, RUN, SLOT, Tally, tally
from harness.host import private
from harness.host.talk import LONGEST_LINE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.core.protocols import Cluster, Performance, Performing
    from harness.history.recorder import Recorder
    from harness.workloads.driver import Ops

FOLDER = "commands"
"""Where in a run's folder what such commands say is kept, as NAME.log."""
KEPT_BYTES = 1 << 20
"""Of the beginning of what one says, at most."""
LAST_BYTES = 1 << 16
"""Of the end of it, beside that."""
LINE_BYTES = 1 << 14
"""Of one line, at most; a longer one tells of no calls."""
WAITING = 1000
"""Lines that wait to be told, each cut to `LINE_BYTES`; of a command that says more in a moment the reader waits."""
END_SECONDS = 10.0
"""How long the threads may take to end once the command has: they wait for nothing but the disk."""
_UNSEEN = f"its end was not seen: it was killed, said a line of more than {LONGEST_LINE >> 20} MiB, or its node gives no answer"


class _Line(NamedTuple):
    """A line that a command said: its beginning, and how long all of it is."""

    begin: bytes
    length: int


class Performer:
    """Has one workload go on. `start` is called inside `cluster.network()`, at most once; its other methods are those of `Driver`."""

    def __init__(self, workload: Performing, cluster: Cluster, recorder: Recorder, ops: Ops, folder: Path) -> None:
        self._workload = workload
        self._name = str(getattr(workload, "called", ""))
        self._kind = str(getattr(workload, "name", ""))
        self._cluster = cluster
        self._recorder = recorder
        self._ops = ops
        self._kept = _Kept(folder / FOLDER / f"{self._name}.log", lambda text: recorder.record(Note(f"{self._name}: {text}")))
        self._begun: Performance | None = None
        self._stopping = threading.Event()
        self._said: queue.Queue[_Line | None] = queue.Queue(WAITING)
        self._threads: list[CertainThread] = []
        self._wrong = False  # whether a line that means to tell of calls and does not was told

    def start(self) -> None:
        """Begin it. That it cannot be begun is its end, and is recorded."""
        op = self._begin(RUN)
        try:
            self._begun = self._workload.begin(self._cluster)
        except HarnessError as error:
            self._end(op, Outcome.UNKNOWN, error=f"it could not be begun: {error}")
            return
        works = (
            CertainThread(target=self._read, args=(self._begun,), name=f"{self._name}-read"),
            CertainThread(target=self._tell, args=(self._begun, op), name=f"{self._name}-tell"),
        )
        try:
            for thread in works:
                thread.start()
                self._threads.append(thread)
        except NoThread as error:
            self.stop()
            self._end(op, Outcome.UNKNOWN, error=f"nobody could hear it: {error}")

    def refit(self) -> None:
        """Let it go on: what it calls is its own matter."""

    def stop(self, *, cut: bool = False) -> None:  # noqa: ARG002 - it is ended either way
        """End it, and wait until all that it said is recorded. Twice is fine."""
        self._stopping.set()
        if self._begun is None:
            return
        begun, self._begun = self._begun, None
        begun.close()
        for thread in self._threads:
            thread.wait(END_SECONDS)

    def finals(self, seconds: float = 0.0) -> None:
        """Ask nothing more: it has ended."""

    # -- threads

    def _read(self, begun: Performance) -> None:
        """Hear all that it says."""
        with suppress(Exception):  # whatever keeps us from it: that is its end
            for line in begun.lines():
                self._said.put(_Line(line[:LINE_BYTES], len(line)))
        self._said.put(None)

    def _tell(self, begun: Performance, run: int) -> None:
        """Keep lines, and record what they tell; then how it ended."""
        op = self._begin(COUNT)
        going = True
        while going:
            counts, going = self._together()
            if counts is not None:
                error = f"none of {counted(counts.failed, 'call')} went well" if counts.outcome is Outcome.FAIL else ""
                self._end(op, counts.outcome, value=json.dumps(asdict(counts)), error=error)
                op = self._begin(COUNT)
        self._kept.close()
        self._end(op, Outcome.UNKNOWN, error="it had ended")
        status = begun.status
        if self._stopping.is_set():
            self._end(run, Outcome.UNKNOWN, error="it was ended with the run")
        elif status is None:
            self._end(run, Outcome.UNKNOWN, error=_UNSEEN)
        else:
            outcome = Outcome.FAIL if status else Outcome.OK
            self._end(run, outcome, value=str(status), error=f"status {status}: {self._kept.last}" if status else "")

    def _together(self) -> tuple[Tally | None, bool]:
        """Wait for a line; return what it and all that come within `SLOT` after it tell of calls, and whether there may be more of them."""
        clock = self._cluster.clock
        counts: Tally | None = None
        line = self._said.get()
        end = clock.now() + SLOT
        while line is not None:
            found = self._heard(line)
            if found is not None:
                counts = found if counts is None else counts + found
            if (left := end - clock.now()) <= 0:
                break
            try:
                line = self._said.get(timeout=left)
            except queue.Empty:
                break
        return counts, line is not None

    def _heard(self, line: _Line) -> Tally | None:
        """Keep a line, and return what it tells of calls."""
        self._kept.add(*line)
        if line.length > LINE_BYTES:
            return None
        try:
            return tally(line.begin)
        except ValueError as error:
            if not self._wrong:
                self._wrong = True
                self._recorder.record(Note(f"{self._name}: a line that tells of no calls: {error}"))
            return None

    # -- events

    def _begin(self, function: str) -> int:
        op = self._ops.next()
        self._recorder.record(invoked(op, self._workload, Call(function, self._name)))
        return op

    def _end(self, op: int, outcome: Outcome, *, value: str | None = None, error: str = "") -> None:
        self._recorder.record(Answered(op, self._kind, outcome, value, error=error))


class _Kept:
    """What a command said, with a bound: its beginning as it comes, and its end when it is over."""

    def __init__(self, path: Path, tell: Callable[[str], object]) -> None:
        self._path: Path | None = path
        self._tell = tell
        self._file: IO[bytes] | None = None
        self._left = KEPT_BYTES
        self._end: deque[bytes] = deque()
        self._end_bytes = 0
        self._dropped = 0
        self._last = b""

    @property
    def last(self) -> str:
        """The last line, shortened."""
        return gist(self._last.decode(errors="replace")) or "(it said nothing)"

    def add(self, begin: bytes, length: int) -> None:
        """Keep a line, by its beginning. What cannot be written is told once, and nothing more of it is kept."""
        self._last = begin + (f"… ({length} bytes)".encode() if length > len(begin) else b"")
        said = self._last + b"\n"
        if self._left >= len(said):
            self._left -= len(said)
            self._write(said)
            return
        self._left = 0
        self._end.append(said)
        self._end_bytes += len(said)
        while self._end_bytes > LAST_BYTES:
            self._end_bytes -= len(gone := self._end.popleft())
            self._dropped += len(gone)

    def close(self) -> None:
        """Write the end."""
        if self._dropped:
            self._write(f"[{self._dropped} bytes were not kept]\n".encode())
        for said in self._end:
            self._write(said)
        if self._file is not None:
            with suppress(OSError):
                self._file.close()

    def _write(self, said: bytes) -> None:
        if self._path is None:
            return
        try:
            if self._file is None:
                private.folder(self._path.parent)
                self._file = private.opened(self._path, "wb")
            self._file.write(said)
            self._file.flush()
        except (OSError, HarnessError) as error:
            self._path = None
            self._tell(f"what it says is not kept: {in_words(error)}")
