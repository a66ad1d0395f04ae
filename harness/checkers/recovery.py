"""How the work that a fault took away came back: noticed, placed, running, serving."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.checkers.calls import ops
from harness.checkers.intervals import Band, Interval, Span, Stay, common, fault_bands, node_spans, stays, total, without
from harness.checkers.judging import neat
from harness.history import ApiSeen, DockerEvent, History

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from harness.values import Json

CUTTING = "net.partition"
"""The fault that takes an instance away by cutting its node off: the copy there goes on running, and a new home is needed all the same."""


@dataclass(frozen=True, slots=True)
class Displaced:
    """One instance that a fault took away. Times are seconds from the moment when the fault was in force; None where it never came to that.

    A time just below zero is possible: an event's own time counts, and a fault bites a little before the kernel confirms it.
    """

    instance: str
    band: Band
    home: str  # the node that it ran on
    to: str | None = None  # the node that it ran on next
    noticed: float | None = None  # the API of a survivor no longer shows the node, or the instance on it
    placed: float | None = None  # the API of a survivor shows another home
    running: float | None = None  # by node truth; Docker's own time of the start where it is known
    serving: float | None = None  # first good answer from the new home
    watched: float = 0.0  # seconds from in force until healing began, or until the history ends
    healed: bool = False  # whether healing began
    blind: float = 0.0  # seconds, while in force, in which some survivor's truth was not known
    entries: tuple[int, ...] = ()

    @property
    def lost(self) -> str:
        """What happened to its home, in words."""
        return f"{self.home} was cut off" if self.band.name == CUTTING else f"{self.home} was lost"

    def json(self) -> dict[str, Json]:
        """Give the split as it stands in a verdict file."""
        return {
            "fault": self.band.fault,
            "from": self.home,
            "to": self.to,
            "noticed": neat(self.noticed),
            "placed": neat(self.placed),
            "running": neat(self.running),
            "serving": neat(self.serving),
            "watched": neat(self.watched),
        }


def recovery(history: History) -> dict[str, Json]:
    """Return, for each instance that a fault took away, what ``verdict.json`` says of its recovery.

    Keys: ``fault`` (its number), ``from``, ``to``, then ``noticed``, ``placed``, ``running``, ``serving`` in seconds from in force (null where it
    never came to that: censored at ``watched`` seconds, not recovered after them).
    """
    return {each.instance: each.json() for each in displaced(history)}


def displaced(history: History) -> tuple[Displaced, ...]:
    """Return every instance that a fault took away, with its way back, sorted by name; each only for the first fault that did.

    Taken away means: it ran on a target when the fault was decided or came into force, and then it stopped there while the fault lasted, or
    started on a node that was no target, or its node was cut off. Faults that never came into force take nothing.
    """
    spans = node_spans(history)
    visits: dict[str, list[Stay]] = {}
    for stay in stays(spans):
        visits.setdefault(stay.instance, []).append(stay)
    found: dict[str, Displaced] = {}
    for band in fault_bands(history):
        if band.in_force is None:
            continue
        for instance, visited in sorted(visits.items()):
            home = None if instance in found else _home(visited, band, history.end)
            if home is not None:
                found[instance] = Displaced(instance, band, home.node, entries=(home.entry, *band.entries))
    return tuple(_way_back(history, found[name], visits[name], spans) for name in sorted(found))


def _home(visited: Sequence[Stay], band: Band, end: float) -> Stay | None:
    """Return where an instance ran when the band took it away, or None if it did not."""
    in_force = band.begins if band.in_force is None else max(band.in_force, band.begins)
    life = band.life(end)
    here = [stay for stay in visited if stay.node in band.targets]
    hit = next((stay for stay in here if stay.start <= in_force and stay.end >= life.start), None)
    if hit is None:
        return None
    since = Interval(max(life.start, hit.start), life.end)
    stopped = bool(without([since], [stay.interval for stay in here if stay.node == hit.node]))
    moved = any(life.start < stay.start <= life.end for stay in visited if stay.node not in band.targets)
    return hit if stopped or moved or band.name == CUTTING else None


def _way_back(history: History, one: Displaced, visited: Sequence[Stay], spans: Mapping[str, Sequence[Span]]) -> Displaced:
    band = one.band
    zero = band.begins if band.in_force is None else band.in_force
    held = band.held(history.end) or Interval(zero, zero)
    new = next((stay for stay in visited if stay.node not in band.targets and stay.end > zero and stay.start > band.begins), None)
    to, running = (None, None) if new is None else (new.node, _started(history, new))
    noticed, placed = _api_times(history, one)
    serving = None if to is None or running is None else _served(history, one.instance, to, min(running, zero))
    blind = [
        common([held], without([held], [span.interval for span in pieces if span.sure]))
        for node, pieces in spans.items()
        if node not in band.targets
    ]
    return Displaced(
        instance=one.instance,
        band=band,
        home=one.home,
        to=to,
        noticed=_since(zero, noticed),
        placed=_since(zero, placed),
        running=_since(zero, running),
        serving=_since(zero, serving),
        watched=held.length,
        healed=band.healing is not None or band.healed is not None,
        blind=total(piece for pieces in blind for piece in pieces),
        entries=(*one.entries, new.entry) if new else one.entries,
    )


def _since(zero: float, time: float | None) -> float | None:
    return None if time is None else time - zero


def _started(history: History, stay: Stay) -> float:
    """When a stay began: Docker's own time of the container's start, else the first sample that showed it."""
    starts = (
        event.at
        for _, event in history.each(DockerEvent)
        if event.action == "start" and event.node == stay.node and event.container == stay.container
    )
    return next(starts, stay.start)


def _api_times(history: History, one: Displaced) -> tuple[float | None, float | None]:
    """When a survivor's API first no longer showed the instance's old home, and when it first showed a new one."""
    noticed = placed = None
    for entry, event in history.each(ApiSeen):
        if entry.time < one.band.begins or event.view is None or event.node in one.band.targets:
            continue
        homes = {placement.node for placement in event.view.placements if placement.instance == one.instance}
        if noticed is None and (one.home not in event.view.nodes or one.home not in homes):
            noticed = entry.time
        if placed is None and homes - {None} - set(one.band.targets):
            placed = entry.time
        if noticed is not None and placed is not None:
            break
    return noticed, placed


def _served(history: History, instance: str, node: str, after: float) -> float | None:
    answers: Iterable[float | None] = (
        op.ended
        for op in ops(history, "http")
        if op.ok and op.by == node and op.call.key == instance and op.ended is not None and op.ended >= after
    )
    return min((time for time in answers if time is not None), default=None)
