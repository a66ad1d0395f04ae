"""How the work that a fault took away came back: noticed, placed, running, serving."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.core.figures import lasted
from harness.core.values import Loss, NodeState
from harness.history.absence import Absence, Voters
from harness.history.bands import Band, bites, covers, fault_bands, had_before
from harness.history.calls import ops
from harness.history.deeds import Wanted, deeds
from harness.history.events import ApiSeen, DockerEvent, History, NodeSeen
from harness.history.intervals import Interval, Span, Stay, common, neat, never_seen, node_spans, stays, total, united, without

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.core.values import Json

CLOCKS = 0.5
"""Seconds by which Docker may tell of a start later than node truth, or a clock put it there: a node looks for new containers at least so often."""

MISSED = 2.0
"""Seconds between two samples of a node from which on some are missing: there is one a second at least."""

BREAK = 2.0
"""Seconds for which work that is back may be gone, all in all, until healing begins: one container that is started anew in its place."""

AT_ONCE = 5.0
"""Seconds from the bite of a fault that takes a daemon in which what stops was taken by that at once. A slow disk takes nothing so."""

STEADY = 5.0
"""Seconds for which a copy must have run for it to stay, where others stopped before it: what crashes over and over runs now and then."""


@dataclass(frozen=True, slots=True)
class Spell:
    """A time, on the run's clock, for which an instance that had come back ran without a stop that counts."""

    start: float
    end: float
    node: str  # where it ran last
    gone: float  # seconds for which it ran nowhere from then on, until healing began


@dataclass(frozen=True, slots=True)
class Displaced:
    """One instance that a fault took away. Times are seconds from the moment when its node was lost; None where it never came to that.

    Lost means that the fault was in force, or before that, that the machine was off by node truth (`harness.history.bands.bites`). No time is
    below zero: an event's own clock may put it just before a loss that it can only have followed.
    """

    instance: str
    band: Band
    home: str  # the node that it ran on
    to: str | None = None  # the node that it ran on next
    noticed: float | None = None  # the API of a survivor no longer shows the node, or the instance on it
    placed: float | None = None  # the API of a survivor shows another home
    running: float | None = (
        None  # there to stay, by node truth; Docker's own time of the start where it is known, and where it fits what was seen
    )
    early: float = 0.0  # seconds before `at` at which it ran again already: then its node was lost some time before that was seen
    absent: float | None = None  # when its new home was last seen without it; None where its start is known to better than that
    serving: float | None = None  # first good answer from the new home
    at: float = 0.0  # when its node was lost, on the run's clock
    watched: float = (
        0.0  # seconds from the loss until healing began, of all faults that held its home without a break, or until the history ends
    )
    own: float = 0.0  # of these, seconds in which this fault was in force itself
    stopped: str = ""  # of the first copy that did not stay: where and how long it ran, in words
    doubt: str = ""  # why what runs again may not be there to stay, in words
    perhaps: float | None = (
        None  # from when on it may have run to stay, where what other faults hold were home as well: by node truth alone
    )
    healed: bool = False  # whether healing began
    undue: bool = False  # whether from the end of `watched` on it need not run any more, by an action
    blind: tuple[
        Interval, ...
    ] = ()  # when, since the loss and while in force, some survivor's truth was not known for long enough to come back unseen
    entries: tuple[int, ...] = ()
    again: bool = False  # whether an earlier fault had taken the same instance away before
    spells: tuple[
        Spell, ...
    ] = ()  # from each of its new starts on, as long as it ran until healing began, gone for `BREAK` at most all in all
    ran_on: float = 0.0  # seconds after `at` for which it was seen to run on where it was, though what it hangs on was lost
    since_bite: float = (
        0.0  # seconds from the fault's bite to `at`, where this is a loss counted from when it stopped (`counted_from_its_end`)
    )
    before: tuple[Band, ...] = ()  # faults that were in force on its home when this one came, and had taken nothing by then that was seen
    by: tuple[str, ...] = ()  # who else answered well between the loss and the first good answer from the new home
    stayed: bool = False  # whether it ran on where it was all that time, out of reach, and nowhere else

    @property
    def key(self) -> str:
        """Its name in reports: the instance, and from its second loss on the number of the fault as well, e.g. ``web@1 (fault 2)``."""
        return f"{self.instance} (fault {self.band.fault})" if self.again else self.instance

    @property
    def lost(self) -> str:
        """What happened to its home, in words."""
        kind = self.band.traits
        if kind.loses is Loss.LINK:
            return f"{self.home} was cut off"
        if kind.loses is Loss.PROCESS:
            daemons = f"{' and '.join(kind.parts)} was lost"
            stopped = f"it stopped on {self.home} ({lasted(self.since_bite)} after {daemons} there)"
            return stopped if self.since_bite > 0.0 else f"{daemons} on {self.home}"
        return f"{self.home} was lost" if kind.loses is Loss.NODE else f"{self.band.name} hit {self.home}"

    @property
    def counted_from_its_end(self) -> Displaced:
        """The same loss, all of its times counted from when the work was seen to stop on its node: it may have run on long after the bite."""
        late = self.ran_on

        def less(time: float | None) -> float | None:
            return None if time is None else max(0.0, time - late)

        return replace(
            self,
            at=self.at + late,
            since_bite=self.since_bite + late,
            ran_on=0.0,
            early=0.0,
            noticed=less(self.noticed),
            placed=less(self.placed),
            running=less(self.running),
            absent=None if self.absent is None else self.absent - late,
            serving=less(self.serving),
            perhaps=less(self.perhaps),
            watched=max(0.0, self.watched - late),
            own=max(0.0, self.own - late),
            blind=tuple(Interval(each.start - late, each.end - late) for each in self.blind if each.end > late),
        )

    @property
    def unseen(self) -> bool:
        """Whether nobody saw when it came: its new home was not looked at for a while before it ran there."""
        return self.running is not None and self.absent is not None and self.running - self.absent > MISSED

    @property
    def ran(self) -> str:
        """Where it ran again, in words."""
        return f"ran again on {self.to}" if self.to == self.home else f"ran on {self.to}"

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
            **({"by": [*self.by]} if self.by else {}),
            **({"stayed": True} if self.stayed else {}),
            **({"absent": neat(self.absent)} if self.unseen else {}),
            **({"early": neat(self.early)} if self.early > CLOCKS else {}),
            "watched": neat(self.watched),
        }


def recovery(history: History, voters: Voters | None = None) -> dict[str, Json]:
    """Return, for each time that a fault took an instance away, what ``verdict.json`` says of its recovery, by `Displaced.key`.

    Keys of each: ``fault`` (its number), ``from``, ``to``, then ``noticed``, ``placed``, ``running``, ``serving`` in seconds from the loss (null
    where it never came to that: censored at ``watched`` seconds, not recovered after them); and, where there is anything to say, ``by``, who else
    answered well from the loss on until it served, ``absent``, how long after the loss its new home was last seen without it, if that was long before
    ``running``, and ``early``, how long it ran there already when the loss was seen. With either of these ``running`` was not measured. ``stayed`` is
    true of what ran on where it was, cut off, and nowhere else.
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
    What an action says need not run is not lost.

    Back is what is there to stay: the time that counts is the first start from which on the instance ran, on nodes that this fault left alone, until
    healing began (or the next loss, or the history's end), gone for `BREAK` at most all in all. So a move to another node is fine, and of what
    crashes again and again only the last start counts; where others stopped before it, it must have run for `STEADY`, or else it is in doubt.
    So is what had run for less when healing began, and stopped soon after that to run nowhere. A copy need not start after its node was *seen* to be
    lost, nor be seen without a break: one that ran on when the loss was seen is back, too. What ran there since before the fault was decided, on a
    node that another fault held then, is in doubt. What starts on a node that another fault holds is not back before that lets go of it, and is told
    as `perhaps`. A node that is lost to another fault only later takes nothing from what runs there on, by node truth.
    """
    return history.once((displaced, voters), lambda: _displaced(history, voters))


def _displaced(history: History, voters: Voters | None) -> tuple[Displaced, ...]:
    spans = node_spans(history)
    visits: dict[str, list[Stay]] = {}
    for stay in stays(spans):
        visits.setdefault(stay.instance, []).append(stay)
    bands = sorted(fault_bands(history), key=lambda band: band.begins)
    absence = Absence.of(history, bands, spans, voters)
    wanted = Wanted.of(deeds(history))
    found: list[Displaced] = []
    for instance, visited in sorted(visits.items()):
        due = wanted.due(instance, history.end)
        losses = [loss for band in bands if (loss := _loss(visited, band, bands, absence, spans, history.end))]
        losses = [loss for loss in losses if due is None or any(each.holds(loss.band.begins) for each in due)]
        for number, loss in enumerate(losses):
            band, home = loss.band, loss.home
            # What comes back only after a later fault took it away again belongs to that one.
            until = losses[number + 1].until if number + 1 < len(losses) else math.inf
            needed = math.inf if due is None else max(each.end for each in due if each.start <= band.begins)
            # From `needed` on it need not run.
            before = [each for each in bands if home.node in each.away and covers(each, band, history.end)]
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
    visited: Sequence[Stay], band: Band, bands: Sequence[Band], absence: Absence, spans: Mapping[str, Sequence[Span]], end: float
) -> _Loss | None:
    """Return what a fault took of an instance, or None where it took nothing.

    Who is cut off, or off, already has nothing left to be taken. What stops, or starts elsewhere, counts for the last fault on its node that takes
    anything: one that went on there before, and left it running, did not take it.
    """
    in_force = band.begins if band.in_force is None else max(band.in_force, band.begins)
    life = band.life(end)
    visits = _visits(visited)
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


def _visits(visited: Sequence[Stay]) -> list[Stay]:
    """Return the stays, each from its start to its end: one that only became sure, or unsure, of the same container goes on."""
    found: list[Stay] = []
    last: dict[tuple[str, str, float], int] = {}  # node, container and end so far → its place
    for stay in visited:
        place = last.pop((stay.node, stay.container, stay.start), None)
        if place is None:
            place = len(found)
            found.append(stay)
        else:
            found[place] = replace(found[place], end=stay.end)
        last[stay.node, stay.container, stay.end] = place
    return found


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
    back = _back(band, visited, absence, watched, until, history.end)
    new = back.stay
    to, running, absent = (None, None, None) if new is None else (new.node, *back.started(history))
    cut = frozenset[str]().union(
        *(each.away for each in fault_bands(history) if each.traits.loses is Loss.LINK and common([each.life(history.end)], [watched]))
    )
    by_truth = _back(band, [stay for stay in visited if stay.node not in cut or stay.start > zero], None, watched, until, history.end)
    first, before = by_truth.started(history) if by_truth.stay != back.stay else (None, None)
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
        stopped=back.stopped,
        doubt=back.doubt,
        spells=back.spells,
        perhaps=_since(zero, first if before is None else before),
        healed=over[1],
        blind=tuple(Interval(piece.start - zero, piece.end - zero) for pieces in blind for piece in pieces),
        entries=(*one.entries, new.entry) if new else one.entries,
    )


@dataclass(frozen=True, slots=True)
class _Back:
    """With which copy an instance was back to stay; with none, where there is no `stay`."""

    stay: Stay | None
    doubt: str = ""  # why it may not have been there to stay
    stopped: str = ""  # of the first copy that did not stay: where and how long it ran
    spells: tuple[Spell, ...] = ()
    all_along: bool = False  # it was there before, where another fault held it

    def started(self, history: History) -> tuple[float | None, float | None]:
        """Return when it began, and when its node was last seen without it, where that is all that is known."""
        if self.stay is None:
            return None, None
        return (self.stay.start, None) if self.all_along else _started(history, self.stay)


def _back(band: Band, visited: Sequence[Stay], absence: Absence | None, watched: Interval, until: float, end: float) -> _Back:
    """Return with which copy an instance was back after a fault, `until` the next loss. All counts but what other faults held (`absence`).

    Without it all that started counts, by node truth alone: on its own node as well, if that was not cut off.
    """
    zero = watched.start
    away = frozenset[str]() if band.traits.loses is not Loss.LINK and absence is None else band.away
    free = absence or Absence()
    left = [stay for stay in _visits(visited) if stay.node not in away and stay.end > zero and stay.start < until]
    came = sorted((each for stay in left if band.begins < stay.start and (each := _free(stay, free))), key=lambda stay: stay.start)
    runs = [piece for stay in visited if stay.node not in away for piece in _outside(stay, free, zero)]
    new, doubt = _to_stay(came, runs, watched, visited, min(until, end))
    if absence is None or new is None or (new.start >= watched.end and band.healing is not None):
        # Not seen to come: but it may have been there all along, where another fault held it.
        freed = [_freed(stay, free) for stay in left if stay.start <= band.begins and stay.node not in band.hit]
        there, _ = _to_stay([stay for stay in freed if stay.start < watched.end], runs, watched, visited, min(until, end))
        if there is not None:
            return _Back(there, f"it had run there since before {band.name} was decided", all_along=True)
    stopped = _ran(came[0], visited, zero) if came and came[0] is not new and came[0].start < watched.end else ""
    return _Back(new, doubt, stopped, _spells(came, runs, watched))


def _spells(came: Sequence[Stay], runs: Sequence[Stay], within: Interval) -> tuple[Spell, ...]:
    """Return, from each of these starts on, how long the instance ran, gone for `BREAK` at most all in all, and where it ran last."""
    holes = without([within], [stay.interval for stay in runs])
    found = []
    for start in (max(stay.start, within.start) for stay in came if stay.start < within.end):
        after = [hole for hole in holes if hole.start >= start]
        end = next((hole.start for number, hole in enumerate(after) if total(after[: number + 1]) > BREAK), within.end)
        last = max((stay for stay in runs if stay.start < end), key=lambda stay: min(stay.end, end))
        found.append(Spell(start, end, last.node, total(hole for hole in after if hole.start >= end)))
    return tuple(found)


def _free(stay: Stay, absence: Absence) -> Stay | None:
    """Return a stay from when its node was lost to no fault, where it began while it was: such a node is no home. None if that never came."""
    held = next((each for each in absence.no_home(stay.node) if each.holds(stay.start)), None)
    if held is None:
        return stay
    return replace(stay, start=held.end) if held.end < stay.end else None


def _freed(stay: Stay, absence: Absence) -> Stay:
    """Return a stay from when no fault held its node any more."""
    gone = [each.end for each in absence.no_home(stay.node) if each.start < stay.end and each.end > stay.start]
    return replace(stay, start=max(gone, default=stay.start))


def _outside(stay: Stay, absence: Absence, zero: float) -> list[Stay]:
    """Return what of a stay counts for what was lost at some time (`zero`): nothing of it while a fault holds its node that did so when it began.

    Nor while one does that did so when the instance was lost. A fault that takes the node later leaves alone what still runs by node truth.
    """
    gone = [each for each in absence.no_home(stay.node) if each.start <= zero or each.holds(stay.start)]
    if not gone:
        return [stay]
    return [replace(stay, start=piece.start, end=piece.end) for piece in without([stay.interval], gone)]


def _to_stay(
    came: Sequence[Stay], left: Sequence[Stay], within: Interval, visited: Sequence[Stay], until: float
) -> tuple[Stay | None, str]:
    """Return the first of these starts that was there to stay, and why it may not have been.

    `left` is where the instance ran at all while the fault was in force, on nodes that it left alone, and `visited` where it ran on any node, also
    after that. What happens from `until` on tells nothing of it.
    """
    runs = [stay.interval for stay in left]
    after = Interval(within.end, max(within.end, min(within.end + STEADY, until)))
    ended = without([after], [stay.interval for stay in visited])
    seen = max((min(stay.end, within.end) for stay in left if stay.sure and stay.start < within.end), default=within.start)
    for stay in came:
        if stay.start >= within.end:
            return stay, ""  # only after the fault: that tells nothing of it, nor does how long it ran
        since = max(stay.start, within.start)
        gone = without([Interval(since, within.end)], runs)
        if total(gone) > BREAK:
            continue
        if gone and gone[-1].end == within.end:
            if gone[-1].start - since < STEADY and until <= within.end:
                continue  # while the fault goes on it is not back yet
            return stay, f"it had stopped again {lasted(gone[-1].length)} before the fault was over"
        if within.end - seen > BREAK:
            return stay, f"whether it ran on was not known for the last {lasted(within.end - seen)} of the fault"
        doubt = ""
        if within.end - since < STEADY and (stay is not came[0] or total(ended) > BREAK):
            then = "had stopped before" if stay is not came[0] else f"had stopped {lasted(ended[0].start - within.end)} after that"
            doubt = f"it had run for only {lasted(within.end - since)} when the fault was over, and {then}"
        return stay, doubt
    return None, ""


def _ran(stay: Stay, visited: Sequence[Stay], zero: float) -> str:
    """Say where and how long an instance ran that did not stay."""
    on = united(each.interval for each in visited if each.node == stay.node)
    end = next((each.end for each in on if each.start <= stay.start <= each.end), stay.end)
    return f"it ran on {stay.node} {lasted(max(0.0, stay.start - zero))} after the loss, for {lasted(end - max(stay.start, zero))}, and stopped"


def _since(zero: float, time: float | None) -> float | None:
    return None if time is None else max(0.0, time - zero)


def _started(history: History, stay: Stay) -> tuple[float, float | None]:
    """When a stay began, and when the node was last seen without it, where that is all that is known.

    Docker's own time of the container's start counts where it lies between the last sample without it and the first that showed it. A little after
    that Docker told of it only afterwards, and it began when it was first seen. Elsewhere one of the two clocks is wrong, and the samples count. So
    they do where some are missing: what Docker alone says makes nothing come in time. Of a node that was never seen before nobody knows since when
    it ran.
    """
    if next((entry.time for entry, _ in history.each(NodeSeen) if entry.index == stay.entry), stay.start) < stay.start:
        return stay.start, None  # it ran before that on a node that did not count, and its own start is not the question
    absent = max(
        (
            entry.time
            for entry, event in history.each(NodeSeen)
            if event.node == stay.node and event.state is not NodeState.UNREACHABLE and entry.index < stay.entry
        ),
        default=0.0,
    )
    starts = (
        event.at
        for _, event in history.each(DockerEvent)
        if event.action == "start" and event.node == stay.node and event.container == stay.container
    )
    at = next(starts, None)
    if at is not None and absent <= at <= stay.start + CLOCKS and stay.start - absent <= MISSED:
        return min(at, stay.start), None
    return stay.start, absent


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
    good = [op for op in ops(history, "http") if op.ok and op.call.key == one.instance and op.ended is not None and op.ended < until]
    first = None
    if new is not None:
        old = max((stay.end for stay in visited if stay.node == new.node and stay.end < new.start), default=after)
        first = min((op.ended or 0.0 for op in good if op.by == new.node and (op.ended or 0.0) >= max(after, old)), default=None)
    last = min(until, one.at + one.watched) if first is None else first
    others = {op.by for op in good if op.by and one.at <= op.begun and (op.ended or 0.0) < last and (new is None or op.by != new.node)}
    return first, tuple(sorted(others))
