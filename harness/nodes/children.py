"""Commands that this process starts on its own machine, each in a session of its own, so that all of it can be ended; heard whole, or by line."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import IO

from harness.host import processes
from harness.host.talk import LONGEST_LINE

GONE_SECONDS = 1.0
"""How long a killed command is waited for: one that waits for a stalled disk cannot die."""


def fed(body: bytes) -> IO[bytes]:
    """Return a file in memory that a command reads its input from: whatever its size and the reader's pace, nobody must stand by and feed."""
    file = os.fdopen(os.memfd_create("input", os.MFD_CLOEXEC), "w+b")
    try:
        file.write(body)
        file.seek(0)
    except BaseException:
        file.close()
        raise
    return file


def end(child: subprocess.Popen[bytes]) -> None:
    """Kill it and wait for its end, but not for ever: a process in a session of its own lives on, one that waits for a stalled disk cannot die."""
    _signal(child, signal.SIGKILL)
    processes.let_go(child, GONE_SECONDS)


def _signal(child: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Signal a child and its session. One whose end was collected is left alone: its number may be somebody else's by now."""
    if child.returncode is None:
        processes.signal_session(child.pid, number)


class ChildStream:
    """A command that goes on running, started with `start_new_session`; see `harness.core.protocols.Stream`.

    With `grace` it is asked to end first (SIGTERM), and has so many seconds to say its last words.
    """

    def __init__(self, child: subprocess.Popen[bytes], grace: float = 0.0) -> None:
        self._child = child
        self._grace = grace
        self._lock = threading.Lock()

    def lines(self) -> Iterator[bytes]:
        """Yield its lines as they come."""
        if self._child.stdout is not None:
            with suppress(ValueError, OSError):  # closed from another thread
                while 0 < len(line := self._child.stdout.readline(LONGEST_LINE + 1)) <= LONGEST_LINE:
                    yield line.rstrip(b"\n")

    def close(self) -> None:
        """End it. Twice is fine."""
        with self._lock:
            if self._grace and self._child.returncode is None:
                _signal(self._child, signal.SIGTERM)
                self._await_end()
            _signal(self._child, signal.SIGKILL)
            try:
                self._child.wait(GONE_SECONDS)
            except subprocess.TimeoutExpired:
                processes.leave(self._child)  # and its pipe, which whoever hears it may wait for
                return
            if self._child.stdout is not None and not self._child.stdout.closed:
                with suppress(RuntimeError, OSError):
                    self._child.stdout.close()

    def _await_end(self) -> None:
        """Wait until it has ended, and leave its end uncollected: until then nobody else's process has its number."""
        handle = os.pidfd_open(self._child.pid)
        try:
            ready = select.poll()
            ready.register(handle, select.POLLIN)
            ready.poll(self._grace * 1000)
        finally:
            os.close(handle)
