"""How long a durable write takes on a disk, as it was measured: in words and back, and what that means for whoever waits for such writes. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from harness.core.figures import exact, given, quick
from harness.core.values import Verdict

if TYPE_CHECKING:
    from harness.core.values import Committed, Json

FEWEST = 100
"""Writes of which one in a hundred is a write: of fewer there is no 99th percentile, and the longest stands for it."""
MEASURE = "disk.measure"
"""The action that measures a disk: no other action's words say anything of one."""
BEATS = 10
"""Heartbeats in an election timeout, as etcd's tuning guide has it."""


@dataclass(frozen=True, slots=True)
class SyncTimes:
    """How long writes of one kind took until the disk had them. In seconds."""

    writes: int
    mean: float
    p99: float
    longest: float

    @property
    def told(self) -> str:
        """The 99th percentile, and of what, in words that `read` reads."""
        return f"{exact(self.p99)} ({self.writes} writes, longest {quick(self.longest)})"

    def json(self) -> dict[str, Json]:
        """Return all of it."""
        return {"count": self.writes, "mean": self.mean, "p99": self.p99, "longest": self.longest}


@dataclass(frozen=True, slots=True)
class DiskFigures:
    """What was measured of one disk: small writes at the end of a file, each followed by an fdatasync, and durable writes anywhere in one."""

    appended: SyncTimes
    scattered: SyncTimes

    def words(self, node: str) -> str:
        """Say it of a node, in words that `read` reads."""
        return f"{node}: p99 of fdatasync {self.appended.told}, of random writes {self.scattered.told}"


_TIME: Final = r"([0-9.e+-]{1,20}) (ms|s)"
_WRITES: Final = rf"{_TIME} \(([0-9]{{1,9}}) writes, longest {_TIME}\)"
_WORDS: Final = re.compile(rf"(?:^|; )([^\s:;]{{1,63}}): p99 of fdatasync {_WRITES}, of random writes {_WRITES}")


def read(text: str) -> dict[str, tuple[float, int]]:
    """Return what `DiskFigures.words` say of each node: the 99th percentile of fdatasync in seconds, and of how many writes."""
    return {found[1]: (_seconds(found[2], found[3]), int(found[4])) for found in _WORDS.finditer(text)}


def _seconds(number: str, unit: str) -> float:
    try:
        return round(float(number) / (1000.0 if unit == "ms" else 1.0), 12)  # 10.049 ms are 0.010049 s, and no less
    except ValueError:
        return 0.0


def foretold(asked: Committed, times: SyncTimes) -> tuple[Verdict, str]:
    """Say whether a disk carries a log of that kind, and what is to be expected where not.

    Held where upstream's own figure is kept and no write was longer than followers wait; unknown where too few writes were made to tell.
    """
    late_beats = times.p99 >= asked.heartbeat and not asked.speaks_on
    if times.longest >= asked.election:
        took = f"a write took {quick(times.longest)}"
        if asked.speaks_on:
            return (
                Verdict.BROKEN,
                f"members are to be expected to drop out: {took}, and a leader gives up who needs {given(asked.election)}",
            )
        return Verdict.BROKEN, (
            f"elections are to be expected: {took}, and whoever hears nothing of its leader for {given(asked.election)} elects another"
        )
    if asked.most and times.p99 >= asked.most:
        late = f"; heartbeats, one each {given(asked.heartbeat)}, come late by that" if late_beats else ""
        return Verdict.BROKEN, f"slower than {asked.store} asks for: a p99 of {quick(times.p99)}, and not below {quick(asked.most)}{late}"
    if times.writes < FEWEST:
        return Verdict.UNKNOWN, f"only {times.writes} writes were made in that time, too few for a 99th percentile: measure for longer"
    if late_beats:
        return Verdict.BROKEN, f"heartbeats, one each {given(asked.heartbeat)}, come late: a p99 of {quick(times.p99)}"
    below = [f"below {quick(asked.most)}"] if asked.most else []
    below += [] if asked.speaks_on else [f"below a heartbeat ({given(asked.heartbeat)})"]
    below += [f"no write took {given(asked.election)}"] if asked.speaks_on else []
    return Verdict.HELD, f"no election is to be expected: a p99 of {quick(times.p99)} is {', and '.join(below)}"


def longer(asked: Committed, times: SyncTimes) -> dict[str, float]:
    """Return the timers that would stand such a disk, by their names; empty where those in force do, or none can be set."""
    beat = max(asked.heartbeat, times.p99)
    election = max(asked.election, BEATS * beat, 2 * times.longest)
    if not asked.timers or (beat <= asked.heartbeat and election <= asked.election):
        return {}
    names = dict(zip(asked.timers, (beat, election), strict=True))
    return {name: round(seconds + 0.005, 2) for name, seconds in names.items()}
