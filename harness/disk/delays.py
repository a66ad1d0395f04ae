"""How long each operation of a disk is held back. Pure but for its lock and the clock."""

from __future__ import annotations

import enum
import threading
from typing import TYPE_CHECKING

from harness.core.values import Latency

if TYPE_CHECKING:
    from harness.core.clock import Clock


class Operation(enum.StrEnum):
    """What can be slowed. The names are the fields of `Latency`."""

    FSYNC = "fsync"
    WRITE = "write"
    READ = "read"


class Delays:
    """The latency that is added now, shared by all threads of a disk."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        # A plain lock: the re-entrant one would be asked for by threads that Python did not start.
        self._changed = threading.Condition(threading.Lock())
        self._latency = Latency()
        self._counts = dict.fromkeys(Operation, 0)

    @property
    def latency(self) -> Latency:
        """What is added now."""
        with self._changed:
            return self._latency

    @property
    def counts(self) -> dict[Operation, int]:
        """How many operations of each kind began, since the start."""
        with self._changed:
            return dict(self._counts)

    def change(self, latency: Latency) -> None:
        """Put `latency` in place of what was, also for the operations that sleep now: each ends as if it had been so from its beginning."""
        with self._changed:
            self._latency = latency
            self._changed.notify_all()

    def hold(self, operation: Operation) -> None:
        """Return when as much time has passed since the call as this kind of operation takes longer now."""
        with self._changed:
            self._counts[operation] += 1
            if not self._latency.any:
                return
            began = self._clock.now()
            while (left := began + getattr(self._latency, operation) - self._clock.now()) > 0:
                self._changed.wait(left)
