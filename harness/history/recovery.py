"""How the work that a fault took away came back: noticed, placed, running, serving."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.core.instances import number_of
from harness.core.values import CallStream, Loss
from harness.history.absence import Absence, Voters
from harness.history.bands import Band, bites, covers, fault_bands, had_before
from harness.history.calls import ops
from harness.history.deeds import Wanted, deeds, taken
from harness.history.events import ApiSeen, History
from harness.history.intervals import Interval, Span, Stay, common, never_seen, node_spans, stays, without
from harness.history.losses import AT_ONCE, Displaced
from harness.history.returns import BREAK, came_back, visits_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.core.values import Json


def recovery(history: History, voters: Voters | None = None) -> dict[str, Json]:
    """Return, for each time that a fault took an instance away, what ``verdict.json`` says of its recovery, by `Displaced.key`.

    Keys of each: ``fault`` (its number), ``from``, ``to``, then ``noticed``, ``placed``, ``running``, ``serving`` in seconds from the loss (null
    where it never came to that: censored at ``watched`` seconds, not recovered after them); and, where there is anything to say, ``by``, who else
    answered well from the loss on until it served, ``absent``, how long after the loss its new home was last seen without it, if that was long before
    ``running``, and ``early``, how long it ran there already when the loss was seen. With either of these ``running`` was not measured. ``ran_on``
    is how long it ran on where it was though its daemon was lost: it is judged from then on. ``stayed`` is true of what ran on where it was, cut off,
    and nowhere else.
    """
    return {each.key: each.json() for each in displaced(history, voters)}


def displaced(history: History, voters: Voters | None = None) -> tuple[Displaced, ...]:
    """Return every loss of an instance to a fault, with its way back: by name, then in the order of the faults.

    Taken away means: it ran on a node that the fault hit (`harness.history.bands.Band.hit`) when the fault was decided or came into force, and
    no newer copy ran where no fault was; and then, before healing began, it stopped there or, where something is lost for good, started on a node
    that was not hit; or its node was cut off. It was lost when the fault bit; where the fault leaves the node there, and the work stopped more than
    `AT_ONCE` after that, when it stopped. Where what was lost may come back in place, so may the work: then its next start counts on whatever node
    it is. A fault that never came into force takes only what is seen to stop. What comes back only after a later fault took it away again belongs to
    that one; a second fault on a node that is lost already takes nothing away a second time, and what comes back then came back after both.
    One that never had a number is not lost: nobody knows under which name it came back.
    What an action says need not run is not lost; nor is what an action stopped, while there was no fault but one that takes nothing away by itself.

    Back is what is there to stay: the time that counts is the first start from which on the instance ran, on nodes that this fault left alone, until
    healing began (or the next loss, or the history's end), gone for `BREAK` at most all in all. So a move to another node is fine, and of what
    crashes again and again only the last start counts; where others stopped before it, it must have run for a while
    (`harness.history.returns.LASTS`), or else it is in doubt. So is what had run for less when healing began, and stopped soon after that to run
    nowhere. A copy need not start after its node was *seen* to be lost, nor be seen without a break: one that ran on when the loss was seen is back,
    too. What ran there since before the fault was decided, on a node that another fault held then, is in doubt. What starts on a node that another
    fault holds is not back before that lets go of it, and is told as `perhaps`. A node that is lost to another fault only later takes nothing from
    what runs there on, by node truth.
    """
    return history.once((displaced, voters), lambda: _displaced(history, voters))


def _displaced(history: History, voters: Voters | None) -> tuple[Displaced, ...]:
    spans = node_spans(history)
    visits: dict[str, list[Stay]] = {}
    for stay in stays(spans):
        visits.setdefault(stay.instance, []).append(stay)
    bands = sorted(fault_bands(history), key=lambda band: band.begins)
    absence = Absence.of(history, voters)
    every = deeds(history)
    wanted = Wanted.of(every)
    found: list[Displaced] = []
    for instance, visited in sorted(visits.items()):
        if number_of(instance) is None:
            continue
        due = wanted.due(instance, history.end)
        own = {node: taken(every, instance, node, history.end) for node in spans}
        losses = [loss for band in bands if (loss := _loss(visited, band, bands, absence, spans, own, history.end))]
        losses = [loss for loss in losses if due is None or any(each.holds(loss.band.begins) for each in due)]
        for number, loss in enumerate(losses):
            band, home = loss.band, loss.home
            # What comes back only after a later fault took it away again belongs to that one.
            until = losses[number + 1].until if number + 1 < len(losses) else math.inf
            needed = math.inf if due is None else max(each.end for each in due if each.start <= band.begins)
            # From `needed` on it need not run.
            there = [each for each in bands if covers(each, band, history.end)]
            # Several cuts together may have left it without a majority, and none of them alone: from when the last that it took for that was there.
            lost = min((each.start for each in absence.when(home.node) if each.start < band.begins <= each.end), default=math.inf)
            before = [each for each in there if home.node in each.away]
            before = before or [each for each in there if each.traits.loses is Loss.LINK and lost <= each.begins]
            one = Displaced(
                instance,
                band,
                home.node,
                entries=(home.entry, *band.entries),
                again=number > 0,
                before=tuple(before),
                at=loss.at,
                since_bite=loss.since_bite,
                ran_on=loss.ran_on,
            )
            over = _over(band, home.node, bands, history.end)
            way = _way_back(history, one, visited, spans, absence, min(until, needed), over)
            found.append(replace(way, undue=needed < min(until, over[0])))
    return tuple(found)


def _over(band: Band, node: str, bands: Sequence[Band], end: float) -> tuple[float, bool]:
    """Return until when a node is lost, to this fault or, without a break, to others that take it as well, and whether healing ended that."""
    held = band.held(end)
    last, over = band, end if held is None else held.end
    for each in bands:
        more = each.held(end)
        if more is not None and node in each.away and each.traits.loses in {Loss.NODE, Loss.LINK} and more.start <= over < more.end:
            last, over = each, more.end
    return over, last.healing is not None or last.healed is not None


@dataclass(frozen=True, slots=True)
class _Loss:
    """An instance that a fault took away: from where, and when."""

    band: Band
    home: Stay
    at: float
    ran_on: float = 0.0
    since_bite: float = 0.0  # seconds from the fault's bite to `at`, where it was lost only when it stopped

    @property
    def until(self) -> float:
        """Until when what came back after an earlier loss counts for that: to the decision, or, where it came after that, to this loss."""
        return self.band.begins if self.home.start < self.band.begins else max(self.home.start, min(self.at, self.home.end))


def _loss(
    visited: Sequence[Stay],
    band: Band,
    bands: Sequence[Band],
    absence: Absence,
    spans: Mapping[str, Sequence[Span]],
    own: Mapping[str, Sequence[Interval]],
    end: float,
) -> _Loss | None:
    """Return what a fault took of an instance, or None where it took nothing. `own` is when actions of the run took it from each node.

    Who is cut off, or off, already has nothing left to be taken. What stops, or starts elsewhere, counts for the last fault on its node that takes
    anything: one that went on there before, and left it running, did not take it.
    """
    in_force = band.begins if band.in_force is None else max(band.in_force, band.begins)
    life = band.life(end)
    visits = visits_of(visited)
    here = [
        stay
        for stay in visits
        if stay.node in band.hit - had_before(band, bands, end) and stay.start <= in_force and stay.end >= life.start
    ]
    hit = max(here, key=lambda stay: stay.start, default=None)
    if hit is None:
        return None
    # A copy left over from an earlier fault is not the instance's home: that is the newest one where no fault is.
    held = absence.no_homes(in_force) | band.hit
    if any(hit.start <= stay.start <= life.start and stay.end > in_force for stay in visits if stay.node not in held):
        return None
    zero = bites(band, spans.get(hit.node, ()))
    if band.traits.loses is Loss.LINK and band.in_force is not None:
        return _Loss(band, hit, zero)
    over = _answerable(band, hit.node, bands, end)
    since = Interval(max(life.start, hit.start), max(life.start, hit.start, over))
    holes = without([since], [stay.interval for stay in visited if stay.node == hit.node])
    if band.traits.loses is Loss.NOTHING:
        holes = [each for each in holes if not any(part.holds(each.start) for part in own.get(hit.node, ()))]
    goes = band.traits.loses is not Loss.NOTHING and not band.traits.in_place  # for good: its work may be moved before it is seen to stop
    moved = (
        goes
        and band.in_force is not None
        and any(life.start < stay.start < over and stay.node not in band.hit | absence.no_homes(stay.start) for stay in visits)
    )
    if not holes and not moved:
        return None
    soon = band.traits.loses is Loss.PROCESS and bool(holes) and holes[0].start <= zero + AT_ONCE
    at_once = moved or band.traits.loses is Loss.NODE or soon
    if band.in_force is not None and at_once:
        ran_on = (holes[0].start if holes else over) - zero
        return _Loss(
            band, hit, zero, max(0.0, ran_on) if band.traits.loses is Loss.PROCESS else 0.0
        )  # a machine that is off runs nothing on
    stopped = holes[0].start
    had_moved = any(stay.node not in held and life.start < stay.start <= stopped < stay.end for stay in visits)
    return None if had_moved else _Loss(band, hit, stopped, since_bite=max(0.0, stopped - zero))


def _answerable(band: Band, node: str, bands: Sequence[Band], end: float) -> float:
    """Return until when what stops on a node, or moves away from it, is a fault's doing: until it is mended, or another takes something there.

    What the heal itself stops or moves was not taken away by it; but of a machine the fault itself says that it is gone, however late that is seen.
    """
    life = band.life(end)
    if band.traits.loses is Loss.NODE:
        return life.end
    in_force = band.begins if band.in_force is None else max(band.in_force, band.begins)
    over = life.end if band.healing is None else min(max(band.healing, in_force), life.end)
    later = [each for each in bands if _before(band, each) and node in each.hit]
    takes = [each for each in later if each.traits.loses is not Loss.NOTHING or band.traits.loses is Loss.NOTHING]
    return min([over, *(max(each.begins, life.start) for each in takes)])


def _before(one: Band, other: Band) -> bool:
    """Whether a fault was decided before another one."""
    return (one.begins, one.fault) < (other.begins, other.fault)


def _way_back(
    history: History,
    one: Displaced,
    visited: Sequence[Stay],
    spans: Mapping[str, Sequence[Span]],
    absence: Absence,
    until: float,
    over: tuple[float, bool],
) -> Displaced:
    """Return the loss with what is known of its way back; what happens from `until` on belongs to the next loss. `over`: see `_over`."""
    band = one.band
    zero = one.at
    held = band.held(history.end)
    own = Interval(zero, zero if held is None else max(zero, min(held.end, until)))
    held = Interval(zero, zero if held is None else max(held.end, over[0]))
    watched = Interval(zero, max(zero, min(held.end, until)))
    came = came_back(band, visited, absence, watched, until, history.end)
    new = came.stay
    to, running, absent = (None, None, None) if new is None else (new.node, *came.started(history))
    cut = frozenset[str]().union(
        *(each.away for each in fault_bands(history) if each.traits.loses is Loss.LINK and common([each.life(history.end)], [watched]))
    )
    by_truth = came_back(band, [stay for stay in visited if stay.node not in cut or stay.start > zero], None, watched, until, history.end)
    first, before = by_truth.started(history) if by_truth.stay != came.stay else (None, None)
    noticed, placed = _api_times(history, one, absence, until)
    one = replace(one, watched=watched.length)
    serving, by = _served(history, one, new, visited, zero if running is None else min(running, zero), until)
    # Who came back in a shorter time, and was gone when it was over, was not there to stay.
    blind = [
        [hole for hole in without([held], [span.interval for span in pieces if span.sure]) if hole.length > BREAK or hole.end == held.end]
        for node, pieces in spans.items()
        if node not in band.away
    ]
    if set(never_seen(history)) - set(band.away):
        blind.append([held])
    return replace(
        one,
        to=to,
        noticed=_since(zero, noticed),
        placed=_since(zero, placed),
        running=_since(zero, running),
        early=0.0 if running is None else max(0.0, zero - running),
        absent=_since(zero, absent),
        serving=_since(zero, serving),
        by=by,
        stayed=new is None
        and watched.length > 0.0
        and not without([watched], [stay.interval for stay in visited if stay.node == one.home]),
        watched=watched.length,
        own=own.length,
        stopped=came.stopped,
        doubt=came.doubt,
        spells=came.spells,
        perhaps=_since(zero, first if before is None else before),
        healed=over[1],
        blind=tuple(Interval(piece.start - zero, piece.end - zero) for pieces in blind for piece in pieces),
        entries=(*one.entries, new.entry) if new else one.entries,
    )


def _since(zero: float, time: float | None) -> float | None:
    return None if time is None else max(0.0, time - zero)


def _api_times(history: History, one: Displaced, absence: Absence, until: float) -> tuple[float | None, float | None]:
    """When a survivor's API first no longer showed the instance's old home, and when it first showed a new one."""
    noticed = placed = None
    for entry, event in history.each(ApiSeen):
        if entry.time >= until:
            break
        if entry.time < one.band.begins or event.view is None or event.node in one.band.away:
            continue
        if event.node in absence.at(entry.time):
            continue  # it is no survivor of another fault
        homes = {placement.node for placement in event.view.placements if placement.instance == one.instance}
        # Its old home is a new one only once the API had given it up.
        old = {one.home} if noticed is None else set()
        if noticed is None and (one.home not in event.view.nodes or one.home not in homes):
            noticed = entry.time
        # A machine that the API no longer lists, by whatever name, is no home: fleet goes on naming one that is gone by its id.
        if placed is None and (homes & set(event.view.nodes)) - one.band.away - old:
            placed = entry.time
        if noticed is not None and placed is not None:
            break
    return noticed, placed


def _served(
    history: History, one: Displaced, new: Stay | None, visited: Sequence[Stay], after: float, until: float
) -> tuple[float | None, tuple[str, ...]]:
    """Return when the new copy gave its first good answer, and who else gave some from the loss on, and before that.

    Not what a copy before it on that node answered, the one that was lost itself, maybe.
    """
    good = [
        op for op in ops(history, CallStream.APP) if op.ok and op.call.key == one.instance and op.ended is not None and op.ended < until
    ]
    first = None
    if new is not None:
        old = max((stay.end for stay in visited if stay.node == new.node and stay.end < new.start), default=after)
        first = min((op.ended or 0.0 for op in good if op.by == new.node and (op.ended or 0.0) >= max(after, old)), default=None)
    last = min(until, one.at + one.watched) if first is None else first
    others = {op.by for op in good if op.by and one.at <= op.begun and (op.ended or 0.0) < last and (new is None or op.by != new.node)}
    return first, tuple(sorted(others))
