"""Who led when, by all that is known: whom a majority followed, and who of those was not there to lead."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from harness.core.values import CallStream, Loss
from harness.history.absence import Absence, Away, words_since
from harness.history.bands import fault_bands
from harness.history.calls import ops
from harness.history.events import MemberSeen
from harness.history.intervals import Interval, common, without
from harness.history.reigns import Reign, reigns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.history.absence import Voters
    from harness.history.bands import Band
    from harness.history.events import History


def leaders(history: History, voters: Voters) -> list[Reign]:
    """Return who led when, by all that a history says of it: see `led_by`."""
    bands = fault_bands(history)
    gone = (*Absence.of(history, voters).unable, *silenced(history, bands, voters.daemon))
    return led_by(reigns(history, voters.members), gone)


def silenced(history: History, bands: Sequence[Band], member: str) -> list[Away]:
    """Return when members were away that come back by themselves: from the bite until they follow somebody, where they were asked meanwhile in vain.

    One that was started again, and knows of no leader, leads nobody, whoever goes on naming it. One that acknowledges writes is back, whether it can
    be asked of its membership or not.
    """
    found = []
    acknowledged = [op for op in ops(history, CallStream.QUORUM) if op.ok and op.call.function == "write" and op.ended is not None]
    for band in bands:
        held = band.held(history.end)
        if held is None or not band.traits.in_place or (band.traits.loses is Loss.PROCESS and member not in band.traits.parts):
            continue
        for node in band.lost:
            words = [(entry.time, event) for entry, event in history.each(MemberSeen) if event.node == node and entry.time > band.begins]
            then = [(time, bool(event.error)) for time, event in words if time <= held.start]  # it may be gone before that is seen
            vain = next((time for time, silent in [*then[-1:], *words_since(history, node, held.start)[:1]] if silent), None)
            if vain is not None:
                back = next((time for time, event in words if time > vain and event.leader is not None), history.end)
                back = min([back, *(op.ended or back for op in acknowledged if op.by == node and op.begun > held.start)])
                found.append(Away(node, Interval(held.start, max(held.start, back)), "gave no answer", cut=False))
    return found


def led_by(every: Sequence[Reign], gone: Sequence[Away]) -> list[Reign]:
    """Return who led when, and nobody while the leader's member was surely not there: its followers take a while to notice.

    One that is cut off lives on, and leads those that it still reaches.
    """
    found: list[Reign] = []
    for reign in every:
        away = [each.interval for each in gone if each.node == reign.leader and not each.cut]
        whole_reign = [Interval(reign.start, reign.end)]
        led = [(each, reign.term, reign.leader) for each in without(whole_reign, away)]
        for part, term, leader in sorted([*led, *((each, 0, None) for each in common(whole_reign, away))], key=lambda each: each[0]):
            last = found[-1] if found else None
            if last is not None and (last.term, last.leader) == (term, leader):
                found[-1] = replace(last, end=part.end)
            else:
                found.append(Reign(part.start, part.end, term, leader, reign.entry))
    return found
