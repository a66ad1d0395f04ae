"""Which nodes could take work when, as far as faults, node truth and the run's own actions tell. Pure."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from harness.core.instances import app_of
from harness.core.values import NodeState
from harness.history.deeds import closed, deeds
from harness.history.intervals import Interval, span_at, united

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.core.values import App
    from harness.history.absence import Absence
    from harness.history.events import History
    from harness.history.intervals import Span


@dataclass(frozen=True, slots=True)
class Homes:
    """The nodes of a history as homes: one is none while a fault may have taken it, while it is off, and while an action lets it have no work."""

    spans: Mapping[str, Sequence[Span]]
    absence: Absence
    shut: Mapping[str, Sequence[Interval]]  # when which node was to have no work, by an action

    @classmethod
    def of(cls, history: History, spans: Mapping[str, Sequence[Span]], absence: Absence) -> Self:
        """Gather them; `spans` as from `node_spans`."""
        return cls(spans, absence, closed(deeds(history), history.end))

    def left(self, time: float) -> dict[str, Span]:
        """Return the nodes that are homes at a moment, each with what was known of it then."""
        gone = self.absence.no_homes(time)
        shut = {node for node, pieces in self.shut.items() if any(each.holds(time) for each in pieces)}
        return {
            node: span
            for node, pieces in self.spans.items()
            if node not in gone and node not in shut and (span := span_at(pieces, time)) and span.state is not NodeState.OFF
        }

    def free(self, instance: str, app: App | None, time: float) -> set[str]:
        """Return those that the rule of its app lets take an instance at a moment."""
        left = self.left(time)
        if app is None or not app.conflicts:
            return {*left}
        taken = {node for node, span in left.items() if any(app_of(name) == app.name and name != instance for name in span.instances)}
        return {*left} - taken

    def full(self, instance: str, app: App | None, within: Interval) -> list[Interval]:
        """Return when none of them could take an instance."""
        steps = itertools.pairwise(sorted({within.start, within.end, *(each for each in self._edges if within.start < each < within.end)}))
        return united(Interval(early, late) for early, late in steps if not self.free(instance, app, (early + late) / 2.0))

    @property
    def _edges(self) -> list[float]:
        """The moments at which it may change who is one, or what runs there."""
        times = [span.interval for pieces in self.spans.values() for span in pieces]
        times += [each for pieces in (*self.shut.values(), *self.absence.homeless.values()) for each in pieces]
        return [time for each in times for time in (each.start, each.end)]
