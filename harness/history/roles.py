"""Who of a cluster was lost to a fault: the one that led, members that did not, or nobody that is a member. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.core.values import Who
from harness.history.events import MemberSeen
from harness.history.intervals import reigns

if TYPE_CHECKING:
    from harness.history.events import History
    from harness.history.intervals import Band


def who_was_lost(history: History, band: Band, before: float) -> Who:
    """Return who was lost to a fault, by what the members said.

    Wherever it cannot be told that leadership had nothing to do with it, it was the leader, for whose loss a cluster needs longest: where nobody said
    who leads, and where that changed while the fault was there, or in the so many seconds `before` it.
    """
    held = band.held(history.end) or band.life(history.end)
    every = [reign for reign in reigns(history) if reign.start <= held.end]
    # Before all of them have spoken nobody can be known to lead.
    known = next((number for number, reign in enumerate(every) if reign.leader is not None), len(every))
    said = [reign for reign in every[known:] if reign.end >= band.begins - before]
    led = {(reign.term, reign.leader) for reign in said}
    if len(led) != 1 or said[0].start > band.begins:
        return Who.LEADER
    ((_, leader),) = led
    if leader is None or leader in band.lost:
        return Who.LEADER
    members = {event.node for _, event in history.each(MemberSeen)}
    return Who.FOLLOWER if members & {*band.lost} else Who.OTHER
