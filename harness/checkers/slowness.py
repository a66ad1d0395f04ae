"""How much longer work took on the harness's machine, since there was more of it than it could do. All from the history."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.core.traits import moved
from harness.history.bands import fault_bands
from harness.history.events import Pressure
from harness.history.intervals import Interval, common, total

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.history.events import History

MOST_WAITED = 0.95
"""Work is taken to be at most twenty times as long for what it waits: a share of waiting that is nearly all of the time says no more than that."""

MOST_READY = 1e6
"""Processes that wanted to run, above which a figure was counted by nobody."""

SEEN_LATE = 2.5
"""Seconds by which what a load set off may be seen after it: whoever says so is asked about once a second, and answers late then."""


@dataclass(frozen=True, slots=True)
class Slowness:
    """How much longer work took, at the mean over some time, since there was more of it than the machine could do."""

    factor: float  # 1: as long as alone
    why: str  # what was too much, as the first part of a sentence

    @property
    def text(self) -> str:
        """Say it in a sentence's part."""
        return f"{self.why}, so work took {self.factor:.1f} times as long"


USUAL = Slowness(1.0, "nothing was recorded of this machine")


_WAITED = {
    "ready": "{mean:.1f} processes wanted {cores} cores then",
    "cpu": "somebody waited for a processor for {mean:.0%} of that time",
    "io": "somebody waited for disks for {mean:.0%} of that time",
    "memory": "somebody waited for memory for {mean:.0%} of that time",
    "steal": "the machine's own host took {mean:.0%} of that time",
}
"""What work waits for, by the fields of `Pressure`, in words. The first counts where several do alike."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One recorded pressure, when it was, and how many times longer work took for each of `_WAITED`."""

    at: Interval
    event: Pressure
    factors: Mapping[str, float]

    @property
    def factor(self) -> float:
        """How many times longer work took: what was waited for most counts, and time that the machine's own host took comes on top."""
        return max(1.0, *(factor for name, factor in self.factors.items() if name != "steal")) * self.factors["steal"]


def slowness(history: History, over: Sequence[Interval]) -> Slowness:
    """Return how slow the harness's machine was over some time, at the mean; where nothing was recorded it was as fast as it is."""
    parts = [(part, each) for each in samples(history) if (part := total(common(over, [each.at]))) > 0.0]
    return _slowness(parts, total(over))


def worst(history: History, over: Sequence[Interval]) -> Slowness:
    """Return how slow it was in the worst sample of some time, or of just before, which may have set off what was seen at its very start."""
    time = [Interval(each.start - SEEN_LATE, each.end) for each in over]
    peak = max((each for each in samples(history) if common(time, [each.at])), key=lambda each: each.factor, default=None)
    return USUAL if peak is None else _slowness([(1.0, peak)], 1.0)


def _slowness(parts: Sequence[tuple[float, Sample]], length: float) -> Slowness:
    """Return the mean over samples, each with the seconds that it counts for, of so many seconds in all."""
    covered = sum(part for part, _ in parts)
    if covered <= 0.0:
        return USUAL
    most = max(_WAITED, key=lambda name: sum(part * each.factors[name] for part, each in parts))
    mean = sum(part * float(getattr(each.event, most)) for part, each in parts) / covered
    heavy = sum(part * each.factor for part, each in parts)
    length = max(length, covered)
    return Slowness((heavy + length - covered) / length, _WAITED[most].format(mean=mean, cores=max(1, parts[-1][1].event.cores)))


def done_at(history: History, begun: float, work: float) -> float:
    """Return when so many seconds of work were done that began at some time, by how slow the machine was from then on."""
    now, left = begun, work
    for each in sorted(samples(history), key=lambda each: each.at):
        if each.at.end <= now:
            continue
        free = max(0.0, each.at.start - now)
        if left <= free:
            break
        now, left = now + free, left - free
        if left * each.factor <= each.at.end - now:
            return now + left * each.factor
        now, left = each.at.end, left - (each.at.end - now) / each.factor
    return now + left


def samples(history: History) -> tuple[Sample, ...]:
    """Return what was recorded of the machine.

    Who waits for a disk or for memory for a share of the time has only the rest of it. That somebody waits for a processor says of all others only
    that there is one too many: how many there are, `ready` says. What a fault moves by itself (`harness.core.traits.moved`) is told of nobody.
    """
    return history.once(samples, lambda: tuple(_samples(history)))


def _samples(history: History) -> list[Sample]:
    faults = [(band.life(history.end), own) for band in fault_bands(history) if (own := moved(band.traits))]
    found = []
    for entry, seen in history.each(Pressure):
        at = Interval(entry.time - seen.seconds, entry.time)
        nothing: dict[str, Any] = {name: 0.0 for life, own in faults if common([life], [at]) for name in own}
        event = dataclasses.replace(seen, **nothing)
        factors = {
            "ready": min(event.ready, MOST_READY) / max(1, event.cores),
            "cpu": 1.0 + max(0.0, event.cpu),
            "io": 1.0 / _left(event.io),
            "memory": 1.0 / _left(event.memory),
            "steal": 1.0 / _left(event.steal),
        }
        found.append(Sample(at, event, factors))
    return found


def _left(waited: float) -> float:
    """Return the share of the time that is left to work, where so much of it is waited."""
    return 1.0 - min(max(waited, 0.0), MOST_WAITED)
