"""How slow this machine is beside those that our limits were measured on, and the one place where limits are lengthened by it.

A limit (how long a boot, a command, a connection may take before it counts as failed) says when waiting has become pointless; on a machine that is
three times slower that is three times later. What a scenario says in seconds is no limit of ours, and is never lengthened here.

The pace is found out once a run begins, and again when its machines are made and formed: by a short loop of known length on the run's own clock,
and by the boot that was just seen. The quickest of many loops measures the machine, and their mean what else it is busy with, too: limits follow
the mean, since who waits waits for both, and what is told keeps the two apart. Within a run it only grows. One process, one machine, one pace: it
stands in this module, and `measured` puts it back.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.core.figures import lasted, quick

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.core.clock import Clock

LOOPS = 60_000
LOOP_SECONDS = 0.0041
"""How long `LOOPS` took by themselves on the machine of 2 cores where our limits were measured (Python 3.11)."""
LOOK_SECONDS = 0.4
"""How long to measure at most: a busy machine is busy with several things in turn, and one loop in that time is undisturbed."""
PIECES = 25
"""How often the loop is run at most: a tenth of a second on an idle machine."""
SLOWEST = 4.0
"""No limit is lengthened by more than this: what takes longer had better be told than waited for."""
PATIENCE = (2.0, 3.0)
"""How many times longer an observer waits for an answer of slow machines: at least, and at most. Checkers bear three times the usual silence."""
WORTH_TELLING = 1.25
"""From here on a pace is told: below it machines differ from one minute to the next."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How many times longer everything takes, 1 or more, how that was seen, and how much of it is the machine's own."""

    factor: float = 1.0
    why: str = "not measured"
    own: float | None = None  # how many times slower the machine is by itself, whatever else it does; None: not told apart
    seen: float = 1.0  # what was measured: `factor` where that is no more than `SLOWEST`
    machines: bool = False  # whether the nodes are slow beside this machine, too: emulated, or said to be

    @property
    def slow(self) -> bool:
        """Whether it is worth telling."""
        return self.factor >= WORTH_TELLING

    def __str__(self) -> str:
        """Say it in words."""
        most = ", the most that is allowed" if self.seen > SLOWEST else ""
        limits = f"our own limits are {self.factor:.1f} times longer{most}"
        than = "on the machines that our limits were measured on"
        if self.own is None:
            return f"everything takes {self.seen:.1f} times as long on this machine as {than} ({self.why}): {limits}"
        if self.own < WORTH_TELLING:
            return f"this machine is busy, and everything takes {self.seen:.1f} times as long as {than} ({self.why}): {limits}"
        busy = f", and busy, so that everything takes {self.seen:.1f} times as long" if self.seen >= WORTH_TELLING * self.own else ""
        return f"this machine is {self.own:.1f} times slower than those that our limits were measured on{busy} ({self.why}): {limits}"


USUAL = Pace()
_paces: list[Pace] = [USUAL]


def current() -> Pace:
    """Return the pace of now."""
    return _paces[-1]


def limit(seconds: float) -> float:
    """Return a limit of ours at the pace of now."""
    return seconds * current().factor


def answer(seconds: float) -> float:
    """Return how long an observer waits for one answer: no longer on machines as fast as machines are, or it would itself be silent too long."""
    least, most = PATIENCE
    return seconds * min(max(current().factor, least), most) if current().machines else seconds


def slow_machines() -> None:
    """Take note that the nodes of this run are slower than machines are."""
    if len(_paces) > 1:
        _paces[-1] = replace(current(), machines=True)


@contextmanager
def measured(clock: Clock) -> Iterator[Pace]:
    """Have limits follow this machine's pace for as long as the block lasts. Takes a tenth of a second, up to `LOOK_SECONDS` on a busy machine."""
    _paces.append(USUAL)
    try:
        yield look(clock)
    finally:
        _paces.pop()


def look(clock: Clock) -> Pace:
    """Measure again, and return the pace of now."""
    started = last = clock.now()
    took: list[float] = []
    while len(took) < PIECES and last - started < LOOK_SECONDS:
        _loop()
        now = clock.now()
        took.append(now - last)
        last = now
    best, mean = min(took), sum(took) / len(took)
    why = f"a loop of {quick(LOOP_SECONDS)} took {quick(best)} at best, {quick(mean)} at the mean"
    return _slower(mean / LOOP_SECONDS, why, max(1.0, best / LOOP_SECONDS))


def saw(what: str, took: float, usual: float) -> Pace:
    """Take note of how long something took that takes `usual` seconds where our limits were measured. Returns the pace of now."""
    return _slower(took / usual, f"{what} took {lasted(took)} in place of {lasted(usual)}")


def _slower(factor: float, why: str, own: float | None = None) -> Pace:
    if len(_paces) > 1 and factor > current().seen:
        _paces[-1] = replace(current(), factor=min(factor, SLOWEST), why=why, own=own, seen=factor)
    return current()


def _loop() -> int:
    total = 0
    for each in range(LOOPS):
        total = (total * 31 + each) & 0xFFFFFFFF
    return total
