"""A clock that is moved by hand."""

from __future__ import annotations

import threading
import time

from harness.core import stops
from harness.core.errors import Expired, HarnessError
from harness.core.figures import at, given

PATIENCE = 30.0
"""Real seconds after which a wait that nobody ends is an error: a test must fail, not hang."""
_SLICE = 0.002
"""Real seconds between two looks at the event: the clock cannot be woken by it, since it belongs to somebody else."""


class FakeClock:
    """See `harness.core.clock.Clock`. Time stands still until `advance` moves it, which wakes every wait that is then due.

    With `moves_itself` a wait moves time on by what it was to wait, and returns at once: for code that waits in a single thread.
    """

    def __init__(self, start: float = 0.0, *, wall: float = 1_000_000_000.0, moves_itself: bool = False) -> None:
        self.moves_itself = moves_itself
        self._now = start
        self._epoch = wall - start
        self._due: list[float] = []
        self._changed = threading.Condition()

    def now(self) -> float:
        """Seconds as they were last set."""
        with self._changed:
            return self._now

    def wall(self) -> float:
        """Seconds since the epoch: a made-up one that moves with `now`."""
        return self._epoch + self.now()

    def advance(self, seconds: float) -> None:
        """Move time forward. Raises `ValueError` for a step back: no clock of ours goes there."""
        if seconds < 0:
            raise ValueError(f"a monotonic clock cannot be moved by {given(seconds)}")
        with self._changed:
            self._now += seconds
            self._changed.notify_all()

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait for the event, or for time to be moved so far; see `harness.core.clock.Clock.wait`."""
        stops.go_on()
        if self.moves_itself:
            if not event.is_set():
                self.advance(max(0.0, seconds))
            return event.is_set()
        patience = time.monotonic() + PATIENCE
        with self._changed:
            due = self._now + max(0.0, seconds)
            self._due.append(due)
            self._changed.notify_all()
            try:
                while self._now < due and not event.is_set():
                    stops.go_on()
                    if time.monotonic() > patience:
                        raise HarnessError(
                            f"the fake clock stands at {at(self._now)} and nobody moved it to {at(due)} in {given(PATIENCE)}"
                        )
                    self._changed.wait(_SLICE)
            finally:
                self._due.remove(due)
        return event.is_set()

    def await_waiters(self, count: int) -> None:
        """Return as soon as at least so many threads are in `wait`, so that a test moves time when all is set. Raises `Expired`."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._due) >= count, PATIENCE):
                raise Expired(f"{count} threads to wait on the fake clock", PATIENCE, f"{len(self._due)} of them")

    def next_due(self) -> float | None:
        """Return the earliest time that a thread waits for, or None when none waits."""
        with self._changed:
            return min(self._due, default=None)
