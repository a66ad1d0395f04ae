"""Who is lost when, by all faults together: faults overlap, and what one of them leaves another may take."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from harness.core.topology import SHAPES, cut_off
from harness.core.values import Loss
from harness.history.events import ApiSeen, NodeSeen
from harness.history.intervals import Claim, Interval, asked, fault_bands, members_of, united

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.core.values import View
    from harness.history.events import History
    from harness.history.intervals import Band


@dataclass(frozen=True, slots=True)
class Absence:
    """When each node is lost to some fault (`harness.history.intervals.Band.away`), from the decision until nothing of that is left.

    Lost as well is whom several faults leave without a majority together that none of them would leave so alone: two cuts, or a cut and a machine
    that is off.
    """

    pieces: Mapping[str, Sequence[Interval]]

    @classmethod
    def of(cls, history: History, bands: Sequence[Band]) -> Self:
        """Work it out from the faults of a history."""
        pieces: dict[str, list[Interval]] = {}
        for band in bands:
            for node in band.away:
                pieces.setdefault(node, []).append(band.life(history.end))
        for node, more in _together(history, bands).items():
            pieces.setdefault(node, []).extend(more)
        return cls(pieces)

    def at(self, time: float) -> frozenset[str]:
        """Return who is lost at a moment, both ends of each loss included."""
        return frozenset(node for node, pieces in self.pieces.items() if any(each.holds(time) for each in pieces))

    def from_(self, time: float) -> frozenset[str]:
        """Return who is lost from a moment on: a loss that ends just then is over."""
        return frozenset(node for node, pieces in self.pieces.items() if any(each.start <= time < each.end for each in pieces))

    def when(self, node: str) -> list[Interval]:
        """Return when a node is lost, joined and sorted."""
        return united(self.pieces.get(node, ()))

    @property
    def edges(self) -> list[float]:
        """The moments at which who is lost may change."""
        return [edge for pieces in self.pieces.values() for each in pieces for edge in (each.start, each.end)]


def _together(history: History, bands: Sequence[Band]) -> dict[str, list[Interval]]:
    """Return whom faults leave without a majority together, and when: only while a cut of a known shape and another fault are in force at once."""
    lives = [(band, band.life(history.end)) for band in bands if band.in_force is not None]
    found: dict[str, list[Interval]] = {}
    nodes = sorted({event.node for _, event in history.each(NodeSeen)}, key=lambda node: (len(node), node))
    members = members_of(history) or set(nodes)
    edges = sorted({edge for _, life in lives for edge in (life.start, life.end)})
    for early, late in itertools.pairwise(edges):
        now = [band for band, life in lives if life.start <= early and late <= life.end]
        cuts = [drops for band in now if (drops := _drops(band, nodes))]
        if len(now) < 2 or not cuts:  # noqa: PLR2004 - what one fault does alone is told by the fault
            continue
        off = {node for band in now if band.traits.loses is Loss.NODE for node in band.away}
        grudge = {node: frozenset[str]().union(*(drops.get(node, ()) for drops in cuts)) for node in nodes}
        for node in cut_off([node for node in nodes if node not in off], sorted(members), grudge):
            found.setdefault(node, []).append(Interval(early, late))
    return found


def _drops(band: Band, nodes: Sequence[str]) -> Mapping[str, frozenset[str]]:
    """Return whose packets each node drops under a cut; of a cut of no known shape, and of all else, nobody's."""
    shape = SHAPES.get(str(band.parameters.get("shape", "")))
    if band.traits.loses is not Loss.LINK or shape is None or not set(band.targets) <= set(nodes):
        return {}
    try:
        return shape(nodes, band.targets)
    except ValueError:  # a cut that could not be made
        return {}


def merged_views(history: History, bands: Sequence[Band] | None = None) -> tuple[Claim, ...]:
    """Return the API's word as the cluster's survivors tell it: at every moment the newest view of a node that was lost to no fault.

    Where all nodes are lost, all are listened to. Stretches in which none of them had an answer are left out; a machine that is off has none.
    """
    absence = Absence.of(history, fault_bands(history) if bands is None else bands)
    everybody = {event.node for _, event in history.each(ApiSeen)}
    # The moments at which the API's word can change: an answer came, or who is listened to changed.
    moments: list[tuple[float, int, int, ApiSeen | None]] = [(time, 1, index, event) for index, time, event in asked(history)]
    moments += [(edge, 0, -1, None) for edge in absence.edges]
    moments.sort(key=lambda each: each[:3])
    latest: dict[str, tuple[float, int, View]] = {}
    claims: list[Claim] = []
    witnesses = everybody
    for at, (time, _, index, event) in enumerate(moments):
        if event is None:
            witnesses = (everybody - absence.from_(time)) or everybody
        elif event.view is None:
            latest.pop(event.node, None)
        else:
            latest[event.node] = (time, index, event.view)
        until = moments[at + 1][0] if at + 1 < len(moments) else history.end
        told = [(*latest[node], node) for node in witnesses if node in latest]
        if told and until > time:
            _, entry, view, node = max(told, key=lambda each: each[:2])
            last = claims[-1] if claims else None
            if last is not None and last.end == time and last.view == view:
                claims[-1] = Claim(last.start, until, last.asked, view, last.entry)
            else:
                claims.append(Claim(time, until, node, view, entry))
    return tuple(claims)
