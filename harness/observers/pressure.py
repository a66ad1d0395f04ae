"""How much more there is to do on this machine than it can: from the kernel's own figures, as far as it has them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from harness.history.events import Pressure

if TYPE_CHECKING:
    from harness.core.clock import Clock

EVERY_SECONDS = 1.0
WORTH_A_WORD = {"cpu": 0.25, "io": 0.25, "memory": 0.1, "steal": 0.05}
"""From which shares of waiting on a second is worth a word, also where no more processes want to run than there are cores.

Processes are counted at moments, and what comes and goes between two of them is in nobody's count: what somebody waited for is in the kernel's.
"""
_MICRO = 1_000_000
_STEAL_FIELD = 8  # of the first line of /proc/stat, its name counted
_LEAST_FIELDS = 9


class Gauge:
    """Looks at the machine as often as it is asked to, and sums up each second. For one thread."""

    def __init__(self, clock: Clock, proc: Path = Path("/proc"), cores: int | None = None) -> None:
        self._clock = clock
        self._proc = proc
        self._cores = cores or len(os.sched_getaffinity(0)) or 1
        self._since = clock.now()
        self._ready: list[int] = []
        self._last = self._totals()

    def look(self) -> Pressure | None:
        """Take one sample. Returns the last second in figures when it is over and worth a word."""
        ready = _ready(self._read("loadavg"))
        if ready is not None:
            self._ready.append(ready)
        seconds = self._clock.now() - self._since
        if seconds < EVERY_SECONDS:
            return None
        now = self._totals()
        waited = {name: max(0.0, min(1.0, (now[name] - self._last[name]) / seconds)) for name in ("cpu", "io", "memory")}
        ticks = now["ticks"] - self._last["ticks"]
        steal = (now["stolen"] - self._last["stolen"]) / ticks if ticks > 0 else 0.0
        mean = sum(self._ready) / len(self._ready) if self._ready else 0.0
        self._since, self._last, self._ready = self._since + seconds, now, []
        shares = {**waited, "steal": max(0.0, steal)}
        if mean <= self._cores and all(share < WORTH_A_WORD[name] for name, share in shares.items()):
            return None
        return Pressure(round(seconds, 3), self._cores, round(mean, 2), **{name: round(share, 3) for name, share in shares.items()})

    def _totals(self) -> dict[str, float]:
        """Return what only ever grows: seconds waited for each thing, and the machine's ticks; 0 for what this kernel does not tell."""
        found = {name: _waited(self._read(f"pressure/{name}")) for name in ("cpu", "io", "memory")}
        fields = self._read("stat").partition("\n")[0].split()
        ticks = [int(each) for each in fields[1:_LEAST_FIELDS] if each.isdecimal()] if len(fields) >= _LEAST_FIELDS else []
        return {**found, "ticks": float(sum(ticks)), "stolen": float(fields[_STEAL_FIELD]) if ticks else 0.0}

    def _read(self, name: str) -> str:
        try:
            return (self._proc / name).read_text(encoding="ascii", errors="replace")
        except OSError:
            return ""  # a kernel without it: then nothing is known of it


def _ready(loadavg: str) -> int | None:
    """Return how many processes run or could run at this moment, without the one that asks."""
    fields = loadavg.split()
    running = fields[3].partition("/")[0] if len(fields) > len(("1", "5", "15")) else ""
    return max(0, int(running) - 1) if running.isdecimal() else None


def _waited(pressure: str) -> float:
    """Return the seconds for which somebody has waited since the machine started."""
    some = next((line for line in pressure.splitlines() if line.startswith("some ")), "")
    total = some.rpartition("total=")[2]
    return int(total) / _MICRO if total.isdecimal() else 0.0
