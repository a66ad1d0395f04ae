"""Time: monotonic, injected, bounded.

Nothing in the harness calls `time.time` or `time.sleep` for its logic: it is handed a `Clock`. Waits end at the event, not one interval after
it, and one that runs out says what it last saw. Every wait ends early where its run does (`harness.core.stops`).
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Protocol, TypeVar

from harness.core import stops
from harness.core.errors import Expired

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class Clock(Protocol):
    """Where time comes from."""

    def now(self) -> float:
        """Seconds on a clock that only goes forward and is the same in every process of this machine."""

    def wall(self) -> float:
        """Seconds since the epoch; for names and reports only, never for a difference."""

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait until `event` is set, or `seconds` have gone by.

        True if it was set. Raises what `harness.core.stops.go_on` raises, also in the middle.
        """


class SystemClock:
    """The machine's own clocks (CLOCK_MONOTONIC and CLOCK_REALTIME)."""

    def now(self) -> float:
        """Seconds of CLOCK_MONOTONIC."""
        return time.monotonic()

    def wall(self) -> float:
        """Seconds of CLOCK_REALTIME."""
        return time.time()

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait for the event; see `Clock.wait`."""
        return any(event.wait(each) for each in stops.slices(seconds, self))


class Deadline:
    """A point in time after which a piece of work has taken too long."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self.clock = clock
        self.seconds = seconds
        self._end = clock.now() + seconds

    def left(self) -> float:
        """Seconds left; never below zero."""
        return max(0.0, self._end - self.clock.now())

    @property
    def expired(self) -> bool:
        """Whether no time is left."""
        return self.left() <= 0.0


LONGEST_REST = 2.0
"""Seconds for which somebody who answers slowly is left alone at most."""

_NEVER = threading.Event()


def wait_until(
    condition: Callable[[], T | None],
    *,
    awaited: str,
    seconds: float,
    clock: Clock,
    every: float = 0.05,
    rest: float = 0.0,
    stop: threading.Event | None = None,
    saw: Callable[[], str] = lambda: "nothing yet",
) -> T:
    """Return the first truthy value of `condition`, asked every `every` seconds; no sleep after success.

    Whoever is asked is left alone for `rest` times as long as it took to answer, `LONGEST_REST` at most: asking must not be a slow machine's work.
    Only for what gives no event to wait on. Raises `Expired` after `seconds`, or when `stop` is set, with `saw()` taken at that moment.
    An exception out of `condition` is not caught: a condition says itself what it can bear. Ends with the run, as every wait on a clock.
    """
    deadline = Deadline(clock, seconds)
    while True:
        asked = clock.now()
        value = condition()
        if value:
            return value
        pause = max(every, min(rest * (clock.now() - asked), LONGEST_REST))
        if deadline.expired or (stop is not None and stop.is_set()):
            raise Expired(awaited, seconds, saw())
        clock.wait(stop or _NEVER, min(pause, deadline.left()))
