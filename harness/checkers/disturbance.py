"""What other faults do to the time in which one is in force: each is judged by itself, and what the others disturb is not held against it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.history.intervals import Interval, biting, united

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.history.events import History
    from harness.history.intervals import Band, Span


@dataclass(frozen=True, slots=True)
class Disturbance:
    """What the faults that overlap with one do to it; nothing, where none does."""

    bites: tuple[Interval, ...]  # when each of them bites
    heals: tuple[Interval, ...]  # when each of them is healed
    calm: float  # until when neither it nor any that it hangs together with had been decided
    lost: frozenset[str]  # who is lost to it, or to any of them
    unhealed: bool  # whether one of them never was healed

    def allowed(self, election: float) -> list[Interval]:
        """Return the time in which an election of so many seconds may be under way for the sake of others."""
        return united(Interval(each.start, each.end + election) for each in (*self.bites, *self.heals))

    def quiet(self, part: Interval) -> list[Interval]:
        """Return the stretches of a time in which the others do nothing: each from the end of a bite, or a heal, to the beginning of the next."""
        found, at = [], part.start
        for each in sorted((*self.bites, *self.heals)):
            if each.start >= part.end:
                break
            if each.start > at:
                found.append(Interval(at, each.start))
            at = max(at, each.end)
        return [*found, Interval(at, part.end)] if at < part.end else found


def disturbance(history: History, band: Band, bands: Sequence[Band], spans: Mapping[str, Sequence[Span]]) -> Disturbance:
    """Say what the faults that overlap with one do to it. What bites, and what is healed, may set off an election each."""
    life = band.life(history.end)
    together = [each for each in bands if each.fault != band.fault and _overlap(each.life(history.end), life)]
    bites = tuple(biting(each, spans) for each in together)
    heals = tuple(Interval(each.healing, each.life(history.end).end) for each in together if each.healing is not None)
    lost = frozenset(band.lost).union(*(each.lost for each in together))
    return Disturbance(bites, heals, _calm(band, bands, history.end), lost, any(each.healed is None for each in together))


def _calm(band: Band, bands: Sequence[Band], end: float) -> float:
    """Return when the first of those was decided that a fault hangs together with: those that it overlaps with, those that these do, and so on."""
    chain, left = [band], [each for each in bands if each.fault != band.fault]
    for one in chain:
        near = [each for each in left if _overlap(each.life(end), one.life(end))]
        chain += near
        left = [each for each in left if each not in near]
    return min(each.begins for each in chain)


def _overlap(one: Interval, other: Interval) -> bool:
    return one.start < other.end and other.start < one.end
