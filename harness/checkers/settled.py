"""Whether the cluster was whole again after the faults."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from harness.checkers.intervals import Interval, fault_bands
from harness.checkers.judging import Point, conclude, missed, neat, unknown
from harness.checkers.troubles import endurance
from harness.history import Wholeness

if TYPE_CHECKING:
    from harness.history import Entry, History
    from harness.values import Finding, Json


@dataclass(frozen=True, slots=True)
class Settled:
    """After the last heal the cluster was whole again in the time that the scenario gives it to settle.

    Whole is what the harness waits for: all nodes up and listed, all work running once and serving, one leader, writes acknowledged. A run that
    did not wait, or that was not whole before the first fault either, is unknown.
    """

    name: ClassVar[str] = "settled"

    def check(self, history: History) -> Finding:
        """Return held with the seconds since the last heal, broken with what was missing, or unknown."""
        waits = {event.when: (entry, event) for entry, event in history.each(Wholeness)}
        before, after = waits.get("before"), waits.get("after")
        points: list[Point] = []
        details: dict[str, Json] = {}
        held = ""
        if before is not None and not before[1].whole:
            points.append(unknown("the cluster was not whole before the first fault either", before[0].index))
        elif after is None:
            points.append(unknown("whether the cluster was whole again after the last heal was never seen"))
        else:
            entry, event = after
            since = _since_heal(history, entry)
            details = {"waited": neat(event.seconds), "since_heal": neat(since), "missing": list(event.missing)}
            seconds, what = (event.seconds, "waiting for it") if since is None else (since, "the last heal")
            held = f"whole again {seconds:.1f} s after {what}"
            if not event.whole:
                missing = "; ".join(event.missing) or "what was missing is not known"
                points.append(
                    missed(
                        f"not whole again {seconds:.1f} s after {what}: {missing}",
                        entry.index,
                        over=[Interval(max(0.0, entry.time - seconds), entry.time)],
                        by=max(0.0, seconds - endurance(history).recovery),
                    )
                )
        return conclude(self.name, history, points, held, details)


def _since_heal(history: History, entry: Entry) -> float | None:
    """Seconds from the last heal to an entry; None where nothing was healed before it."""
    heals = [band.healed for band in fault_bands(history) if band.healed is not None and band.healed <= entry.time]
    return entry.time - max(heals) if heals else None
