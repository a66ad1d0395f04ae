"""What the newest faults of a run that goes on took away, and what of it is back: as it will be judged, from the same moment on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.core.values import NodeState, Stage
from harness.history.bands import Life
from harness.history.events import Acted, DockerEvent, Entry, FaultStage, History, NodeSeen, Note
from harness.history.losses import Displaced
from harness.history.recovery import displaced

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.history.absence import Voters

EVERY = 1.0
"""Seconds after which it is looked at anew though nothing changed: that work has stayed, too, is a matter of time."""
QUICK = 1000
"""Entries that can be looked at each `EVERY` seconds; of more it is done as many times less often."""


class WaysBack:
    """The part of a history that tells how the work which the newest faults took away comes back. Not safe for threads: the caller has the lock.

    Kept is what was seen of nodes and containers since it was decided, or since the first of those that it overlaps with was: all are looked at.
    """

    def __init__(self) -> None:
        self._fault: int | None = None  # the first of those that are looked at
        self._lives: dict[int, Life] = {}
        self._before: dict[str, Entry] = {}  # node → what was known of it before the fault
        self._seen: dict[str, NodeSeen] = {}
        self._entries: list[Entry] = []
        self._changed = False
        self._looked = 0.0  # on the run's clock
        self._known: dict[int, Sequence[Displaced]] = {}

    def feed(self, entry: Entry) -> None:
        """Take in the next entry."""
        event = entry.event
        if isinstance(event, NodeSeen):
            self._node(entry, event)
        elif isinstance(event, FaultStage):
            going = [life for life in self._lives.values() if Stage.DECIDED in life.stages and Stage.HEALED not in life.stages]
            if event.fault != self._fault and not going:
                self._fault, self._entries = event.fault, sorted(self._before.values(), key=lambda each: each.index)
            self._lives.setdefault(event.fault, Life(event.fault)).hear(entry.index, entry.time, event)
            self._changed = True
        if self._fault is not None and isinstance(event, NodeSeen | DockerEvent | FaultStage | Acted):
            self._entries.append(entry)

    def _node(self, entry: Entry, event: NodeSeen) -> None:
        before = self._seen.get(event.node)
        if before is None or (before.state, before.containers) != (event.state, event.containers):
            self._changed = True
        self._seen[event.node] = event
        if event.state is not NodeState.UNREACHABLE:
            self._before[event.node] = entry

    def due(self, now: float) -> Sequence[Entry] | None:
        """Return what must be looked at anew, for `look`; None where what is known is new enough."""
        every = EVERY * max(1.0, len(self._entries) / QUICK)
        if self._fault is None or not (self._changed or now - self._looked >= every):
            return None
        self._changed, self._looked = False, now
        return tuple(self._entries)

    def know(self, found: Mapping[int, Sequence[Displaced]]) -> None:
        """Take note of what `look` found."""
        self._known.update(found)

    def of(self, fault: int) -> Sequence[Displaced]:
        """Return the ways back of what a fault took away, as far as they are known."""
        return self._known.get(fault, ())


def look(entries: Sequence[Entry], now: float, voters: Voters) -> dict[int, Sequence[Displaced]]:
    """Return, for each fault in such a part of a history, what it took away by now, by who votes. Takes some milliseconds: not for a listener."""
    last = entries[-1]
    history = History([*entries, Entry(last.index + 1, max(now, last.time), Note("so far"))])  # a history ends with its last line
    faults = {event.fault for _, event in history.each(FaultStage)}
    found = displaced(history, voters)
    return {number: [each for each in found if each.band.fault == number] for number in faults}
