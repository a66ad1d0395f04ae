"""The `Recorder`, which writes what every thread of a run saw into one file, in one order.

Index and time are taken under one lock: a later index never has an earlier time. Times are seconds since the recorder was opened.
"""

from __future__ import annotations

import errno
import os
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from harness.core.errors import HarnessError
from harness.history.chain import Chain
from harness.history.events import KINDS, LONGEST_LINE, MOST_BYTES, Closed, Entry, Event, Opened
from harness.history.lines import from_line, without_halves
from harness.host import locks

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.core.clock import Clock

ROOM = 64
"""Bytes of a line that are left for its digest and its end."""


def _readable(entry: Entry) -> tuple[Entry, bytes]:
    """Return an entry with its line, which can be read back. Raises `HarnessError` where it never could."""
    try:
        try:
            body = entry.body()
            from_line(body, KINDS)
        except ValueError:
            # Text that somebody else sent may hold half a character: then the rest of it is told.
            body = without_halves(entry.body())
            index, time, event = from_line(body, KINDS)
            entry = Entry(index, time, event)
        if len(body) > LONGEST_LINE - ROOM:
            raise ValueError(f"a line of {len(body)} bytes, more than {LONGEST_LINE - ROOM}")
    except (TypeError, ValueError, RecursionError) as error:
        raise HarnessError(f"cannot record what no history can hold ({entry.event.kind} event): {error}") from error
    return entry, body


class Recorder:
    """Where every thread of a run puts what it saw.

    `record` may be called from any thread. Listeners are called in the order of the entries, under the recorder's lock: they must be quick, and
    must not record. The file is written without a buffer of ours, so a line is with the kernel when `record` returns. The lines that open and close
    the history are told to nobody. `run` is the id of the run that it is the history of.
    """

    def __init__(self, path: Path, clock: Clock, run: str = "") -> None:
        self.path = path
        self.clock = clock
        self._lock = threading.RLock()
        self._waiters: list[threading.Event] = []
        self._next = 0
        self._bytes = 0
        self._chain = Chain()
        self._listeners: list[Callable[[Entry], None]] = []
        self.failure: OSError | None = None  # why nothing is written any more (a full disk); whoever walks the run must `look`
        self._file: int | None = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        with suppress(OSError):  # where files have no locks: it tells only who is no fork of ours, see `harness.runs.writer`
            locks.taken(self._file)
        self.origin = clock.now()  # the run's zero on the clock
        self.wall_origin = clock.wall()
        self._write(Entry(0, 0.0, Opened(run)).body())

    def __enter__(self) -> Self:
        """Return the recorder; it is closed on the way out."""
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def now(self) -> float:
        """Seconds since the history was opened."""
        return self.clock.now() - self.origin

    def record(self, event: Event) -> Entry:
        """Write one event and tell the listeners.

        After `close`, or once the file could not be written (`failure` says why), it is dropped: no thread is brought down by it. Half a character in
        a text that somebody else sent becomes U+FFFD. Raises `HarnessError` for what no history can hold, such as a number that is none: with it,
        nothing of the run could be read again.
        """
        with self._lock:
            entry = Entry(self._next, self.now(), event)
            if self._file is None:
                return entry
            entry, body = _readable(entry)
            if not self._write(body):
                return entry
            for listener in self._listeners:
                listener(entry)
            for waiter in self._waiters:
                waiter.set()
            return entry

    def _write(self, body: bytes) -> bool:
        """Write the next line; False where nothing is written any more."""
        if self._file is None:
            return False
        line = self._chain.link(body)
        try:
            if self._bytes + len(line) > MOST_BYTES:
                raise OSError(errno.EFBIG, f"a history of more than {MOST_BYTES >> 20} MB, which nobody would read")
            self._bytes += len(line)
            written = os.write(self._file, line)
            if written < len(line):  # a disk that is full, or a limit, in the middle of a line: the rest gets the reason
                written += os.write(self._file, line[written:])
            if written < len(line):
                raise OSError(errno.ENOSPC, f"only {written} bytes of {len(line)} were written")
        except OSError as error:
            self.failure = error
            self._close_file()
            return False
        self._next += 1
        return True

    def look(self) -> OSError | None:
        """Return why nothing is written any more; None where all is well. Also that the file was removed: whatever is written then is lost. Quick.

        Without the lock, so that whoever looks just while another writes sees it, too.
        """
        file = self._file
        if self.failure is None and file is not None:
            with suppress(OSError):
                # A file that is still ours afterwards was not closed, and its number not somebody else's, while it was asked.
                if os.fstat(file).st_nlink == 0 and self._file == file:
                    self.failure = FileNotFoundError(errno.ENOENT, "it was removed while the run went on", str(self.path))
        return self.failure

    def listen(self, listener: Callable[[Entry], None]) -> Callable[[], None]:
        """Call `listener` with every entry from now on. Returns what ends it."""
        with self._lock:
            self._listeners.append(listener)

        def unlisten() -> None:
            with self._lock:
                if listener in self._listeners:
                    self._listeners.remove(listener)

        return unlisten

    def wait_for(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Wait until `condition` is true, asked after every entry; False after `seconds`.

        Called under the recorder's lock: it must be quick and look only at what listeners gathered.
        """
        end = self.clock.now() + seconds
        woken = threading.Event()
        with self._lock:
            self._waiters.append(woken)
        try:
            while True:
                woken.clear()
                with self._lock:
                    if condition():
                        return True
                left = end - self.clock.now()
                if left <= 0:
                    return False
                # Bounded, so that a condition that depends on time is asked too.
                self.clock.wait(woken, min(left, 0.25))
        finally:
            with self._lock:
                self._waiters.remove(woken)

    def close(self) -> None:
        """Close the history with its last line, and write no more. Twice is fine. What goes wrong is in `failure`."""
        with self._lock:
            if self._write(Entry(self._next, self.now(), Closed(self._next)).body()) and self._file is not None:
                try:
                    os.fsync(self._file)
                except OSError as error:
                    self.failure = error
                self._close_file()

    def _close_file(self) -> None:
        """Close the file. It is nobody's before its number may be another's: `look` asks without the lock."""
        file, self._file = self._file, None
        if file is not None:
            os.close(file)
