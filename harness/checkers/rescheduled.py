"""Whether lost work was started elsewhere in time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from harness.checkers import troubles
from harness.checkers.expected import Expected
from harness.checkers.judging import Point, conclude, doubted, missed, unknown
from harness.checkers.roles import who_was_lost
from harness.checkers.troubles import DECIDING
from harness.core.figures import at, given, lasted
from harness.core.traits import budget_among, budget_key
from harness.core.units import Duration
from harness.core.values import App, Budget, Loss, NodeState, Verdict, Who
from harness.history.absence import Absence
from harness.history.bands import Band, biting, fault_bands, not_surely
from harness.history.intervals import Interval, Span, app_of, common, neat, node_spans, span_at
from harness.history.recovery import CLOCKS, Displaced, displaced

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.core.values import Finding, Json
    from harness.history.events import History


UNSEEN = 2.0
"""Seconds for which a node was not seen after which nobody knows when work came there: a node tells what it runs once a second at least."""


@dataclass(frozen=True, slots=True)
class _Limit:
    """How long after a loss the work may take to run again, in seconds; infinite where nothing is promised.

    What took longer than `seconds` was too late, and what took `sure` at most was in time. In between nobody can say: another fault may have kept it,
    for which the mode promises nothing, or which took nothing away.
    """

    seconds: float
    sure: float
    own: float  # without other faults that came meanwhile
    named: str
    others: str = ""  # the faults that make the difference between the two, in words

    def __str__(self) -> str:
        if not math.isfinite(self.sure):
            return "no recovery is promised"
        more = ", other faults meanwhile allowed for" if self.sure > self.own else ""
        return f"{self.named} {given(self.sure)}{more}"

    def told(self, point: Point | None) -> dict[str, Json]:
        """Say of one loss what it was held against (seconds; none: nothing is promised), and what by itself it comes to."""
        verdict = Verdict.HELD if point is None else point.verdict
        return {"limit": neat(self.sure) if math.isfinite(self.sure) else None, "verdict": str(verdict)}


@dataclass(frozen=True, slots=True)
class Rescheduled:
    """Every instance of the app that a fault took away runs on another node within the limit, to stay, by node truth, counted from its loss.

    What ran for a moment and stopped again is not back (`harness.history.recovery.displaced` says from when on work counts as back).
    Each fault that takes an instance away counts by itself. Where what was lost may come back in place (a daemon that its supervisor starts again),
    so may the work: then running again on its own node is as good. The limit is `within`, or else the sum of what the mode needs after that fault, by
    what was lost and who was: `budgets` by `harness.core.traits.budget_key` (filled in by the plan, not by the scenario). What runs only after
    healing began shows nothing of what the cluster does under the fault: where the fault was not in force for as long as the limit, that is unknown.
    What did not come is unknown, too, where no recovery is promised, and where no node was left that the app's rule (of `apps`, filled in by the
    plan) allows. Says nothing of whether the new copy serves: that is `availability`.
    Where another fault bites, or is mended, while work is on its way back, what takes it back may be lost, or disturbed, anew: then it has what that
    fault allows from then on, if that is later. What took longer than that is unknown, not too late, where such a fault is one after which the mode
    promises nothing; where one that took nothing away was mended meanwhile, and the work was back in time from then on; and where no member had a
    majority for a while.
    """

    name: ClassVar[str] = "rescheduled"
    app: str
    within: Duration | None = None
    budgets: Mapping[str, Budget] = field(default_factory=dict)
    apps: tuple[App, ...] = ()
    expected: Expected = field(default_factory=Expected)

    def check(self, history: History) -> Finding:
        """Return held, broken (too late, or not back when the limit had run out), or unknown; details hold the split per loss."""
        lost = [each for each in displaced(history, self.expected.voters) if app_of(each.instance) == self.app]
        spans = node_spans(history)
        bands = fault_bands(history)
        absence = Absence.of(history, bands, spans, self.expected.voters)
        who = {each.key: self._who(history, each.band, _over(each)) for each in lost}
        limits = {each.key: self._limit(history, each, who[each.key], spans, bands, absence) for each in lost}
        judged = {
            each.key: (each, _judge(history, each, limits[each.key], self._no_home(each, limits[each.key], spans, absence)))
            for each in lost
        }
        judged = {key: (each, point or self._taken_before(history, each, limits[key], spans)) for key, (each, point) in judged.items()}
        over = {band.fault: not_surely(band, spans, history.end) for band in bands}
        judged = {key: (each, point and doubted(point, over[each.band.fault])) for key, (each, point) in judged.items()}
        instances: dict[str, Json] = {key: {**each.json(), **limits[key].told(point)} for key, (each, point) in judged.items()}
        details: dict[str, Json] = {"instances": instances, "budget": self._spelled(lost, who)}
        points = [point for _, point in judged.values() if point is not None]
        if not lost:
            points.append(unknown(f"no instance of {self.app} was displaced by a fault{_spared(bands)}"))
        return conclude(self.name, history, points, _held(history, lost, limits), details)

    def limit(self, band: Band, who: Who = Who.LEADER) -> float:
        """Seconds that recovery may take after a fault, by who was lost to it; infinite where nothing is promised."""
        if self.within is not None:
            return self.within
        budget = budget_among(self.budgets, band.name, band.traits, who)
        return math.inf if budget is None else budget.seconds

    def _who(self, history: History, band: Band, until: float) -> Who:
        """Return who was lost to a fault. Leadership must have been as it was for as long as the longest recovery takes, and `until` all was over."""
        longest = budget_among(self.budgets, band.name, band.traits)
        return who_was_lost(history, band, longest.seconds if longest else math.inf, self.expected.members, until)

    def _spelled(self, lost: Sequence[Displaced], who: Mapping[str, Who]) -> str:
        if self.within is not None:
            return f"within {given(self.within)}"
        found: dict[str, Budget] = {}
        for each in lost:
            band, whom = each.band, who[each.key]
            keys = (budget_key(band.name, band.traits, whom), budget_key(band.name, band.traits))
            if (budget := budget_among(self.budgets, band.name, band.traits, whom)) is not None:
                found[keys[0] if keys[0] in self.budgets else keys[1]] = budget
        if len(found) == 1:
            return next(iter(found.values())).spelled()
        return "; ".join(f"after {key}: {budget.spelled()}" for key, budget in found.items()) or "no budget was given"

    def _limit(
        self, history: History, one: Displaced, who: Who, spans: Mapping[str, Sequence[Span]], bands: Sequence[Band], absence: Absence
    ) -> _Limit:
        """Return how long after a loss it may take, other faults that come meanwhile allowed for."""
        own = self.limit(one.band, who)
        # What comes when the work is back disturbs nothing any more, nor does what is on nodes that are lost already.
        watched = _over(one) - one.at
        lost = one.band.away if one.band.traits.loses in {Loss.LINK, Loss.NODE} else frozenset[str]()
        others = [
            each
            for each in bands
            if each.fault != one.band.fault
            and not each.traits.idle
            and each.targets
            and not (each.hit and each.hit <= lost and (each.traits.loses is not Loss.LINK or each.traits.apart))
            and each.life(history.end).end > one.at
            and each.begins < _over(one)
        ]
        bitten = [(each, biting(each, spans).end - one.at, self.limit(each)) for each in others]
        mended = [(each, each.life(history.end).end - one.at) for each in others if each.healing is not None]
        took = {each.fault for each in others if _took(each, bands, history.end)}
        surely = [
            *((after, self._own(history, each, one)) for each, after, limit in bitten if each.fault in took and math.isfinite(limit)),
            *((after, own) for each, after in mended if each.fault in took),
        ]
        perhaps = [
            *((after, limit) for _, after, limit in bitten),
            *((after, own) for _, after in mended),
        ]
        sure = _allowed(own, watched, surely)
        # After a time without a majority a leader is elected anew, whoever was lost.
        stopped = [(Interval(each.start - one.at, each.end - one.at), max(own, self.limit(one.band))) for each in absence.doubtful]
        seconds = max(sure, _allowed(own, watched, perhaps, stopped))
        names = dict.fromkeys(each.name for each in others)
        return _Limit(seconds, sure, own, "budget" if self.within is None else "limit", " and ".join(names))

    def _own(self, history: History, other: Band, one: Displaced) -> float:
        """Return what another fault allows by itself, by who was lost to it while this loss lasted."""
        return self.limit(other, self._who(history, other, _over(one)))

    def _taken_before(self, history: History, one: Displaced, limit: _Limit, spans: Mapping[str, Sequence[Span]]) -> Point | None:
        """Doubt that work was back in time which a fault that was there before may have taken already; nothing where none may have.

        Beyond its own time that one had taken nothing: the work was still there.
        """
        for band in one.before:
            sooner = one.at - biting(band, spans).end
            if one.running is not None and 0.0 < sooner < self.limit(band) < one.running + sooner and math.isfinite(limit.sure):
                text = f"{one.key} {one.ran} {_when(one, history)} ({limit}), but {band.name} had hit {one.home} {lasted(sooner)} before"
                return unknown(f"{text}, and may have taken it", *one.entries)
        return None

    def _no_home(self, one: Displaced, limit: _Limit, spans: Mapping[str, Sequence[Span]], absence: Absence) -> str:
        """Say that nothing could take an instance when its time was up, or the fault was healed, by node truth; nothing where something could."""
        up = one.at + min(limit.seconds, one.watched)
        gone = absence.at(up)
        left = {
            node: span
            for node, pieces in spans.items()
            if node not in gone and (span := span_at(pieces, up)) and span.state is not NodeState.OFF
        }
        if not left:
            return ", but no node was left that could take it"
        if alone := common(absence.nobody, [Interval(one.band.begins, up)]):
            return f", but no member had a majority from {at(alone[0].start)} on, for {lasted(alone[0].length)}"
        rule = next((app.conflicts for app in self.apps if app.name == self.app), False)
        full = all(any(app_of(name) == self.app and name != one.instance for name in span.instances) for span in left.values())
        others = f", but every node that was left ran another instance of {self.app} already, and two on one are against its rule"
        return others if rule and full else ""


def _took(band: Band, bands: Sequence[Band], end: float) -> bool:
    """Whether a fault surely took a node away that no other one had."""
    had = {
        node
        for other in bands
        if other.fault != band.fault and other.traits.loses in {Loss.LINK, Loss.NODE} and band.in_force is not None
        if (held := other.held(end)) is not None and held.start < band.in_force < held.end
        for node in other.away
    }
    return band.in_force is not None and bool(band.away - had)


def _over(one: Displaced) -> float:
    """Return when a loss was over: the work was back, or nobody watched for it any more."""
    return one.at + (one.watched if one.running is None else min(one.watched, one.running))


def _allowed(own: float, watched: float, more: Sequence[tuple[float, float]], stopped: Sequence[tuple[Interval, float]] = ()) -> float:
    """Return how long after a loss work may take, each of the others that comes in that time allowed for: when it comes, and what it allows then.

    Where everything was `stopped` meanwhile it begins anew after that.
    """
    allowed = own
    for start, after, limit in sorted(
        [*((after, after, limit) for after, limit in more), *((time.start, time.end, limit) for time, limit in stopped)]
    ):
        if start < min(allowed, watched):
            allowed = max(allowed, after + limit)
    return allowed


def _seen_late(one: Displaced, history: History) -> bool:
    """Whether its home may have been lost long before that was seen: it ran again already, or we stood still since the fault was decided."""
    return one.early > CLOCKS or any(common([Interval(one.band.begins, one.at)], troubles.blind(history)))


def _when(one: Displaced, history: History) -> str:
    """Say how long after the loss it ran again; after the decision, where the loss was seen late."""
    running = one.running or 0.0
    if not _seen_late(one, history):
        return f"{lasted(running)} after {one.lost}"
    before = f", before it was seen that {one.lost}" if one.early > 0.0 else ""
    return f"at most {lasted(one.at + running - one.early - one.band.begins)} after {one.band.name} was decided{before}"


def _since_made(one: Displaced, limit: float, history: History) -> str:
    """Say that it would be too late if its home was lost before that was seen; nothing where it would be in time all the same.

    Not before the fault was made, which is told at once; and not before it was decided, where the loss was seen late.
    """
    if one.band.in_force is not None and one.at > one.band.in_force:
        return ""  # it ran on until then, and was lost when it stopped
    late = _seen_late(one, history)
    made = one.band.begins if late else one.band.injected
    ran = one.at + (one.running or 0.0) - one.early
    if made is None or ran - made <= limit:
        return ""
    if late:
        return f"{one.home} may have been lost since then, {lasted(one.at - made)} before that was seen, which would be too late"
    return f"{lasted(ran - made)} after {one.band.name} was made ({lasted(one.at - made)} before it was seen to be in force)"


def _held(history: History, lost: Sequence[Displaced], limits: Mapping[str, _Limit]) -> str:
    if not lost:
        return ""
    slowest = max(lost, key=lambda each: each.running or 0.0)
    text = f"{slowest.key} {slowest.ran} {_when(slowest, history)} ({limits[slowest.key]})"
    what = "losses" if any(each.again for each in lost) else "displaced instances"
    return text if len(lost) == 1 else f"{text}, the slowest of {len(lost)} {what}"


def _judge(history: History, one: Displaced, allowed: _Limit, no_home: str) -> Point | None:
    """Judge one loss; `no_home` says that nothing could take it, if so."""
    limit = allowed.seconds
    if one.band.in_force is None:
        return unknown(
            f"{one.key} stopped on {one.home} while {one.band.name} was made, which failed: nobody knows when it bit", *one.entries
        )
    if one.running is not None and one.running <= limit and _meanwhile(one, one.running):
        doubt = one.doubt or _since_made(one, allowed.sure, history)
        if one.running > allowed.sure:
            doubt = f"{allowed.others}, in force meanwhile, may account for {lasted(one.running - allowed.sure)} of that"
        in_time = f"{one.key} {one.ran} {_when(one, history)} ({allowed}), but {doubt}"
        return unknown(in_time, *one.entries) if doubt else None
    if one.perhaps is not None and one.perhaps <= limit and _meanwhile(one, one.perhaps):
        by_truth = "but by node truth alone it was back in time, on a node that another fault held, or was to hold"
        return unknown(f"{one.key} {_came(one, limit)} ({allowed}), {by_truth}", *one.entries)
    text = f"{one.key} {_came(one, limit)} ({allowed})"
    if not math.isfinite(limit):
        return unknown(text, *one.entries)
    if why := no_home or _too_soon(one, limit) or _unseen(one, limit):
        return unknown(f"{text}{why}", *one.entries)
    time = Interval(one.at, one.at + (one.watched if one.running is None else one.running))
    # Where the loss was noticed and nobody was ever told to start it elsewhere, only the decision can have been slow: nothing was started.
    idle = one.running is None and not one.stopped and one.placed is None and one.noticed is not None
    return missed(text, *one.entries, over=[time], by=time.length - limit, work=DECIDING if idle else math.inf)


def _meanwhile(one: Displaced, running: float) -> bool:
    """Whether that was while the fault was in force, or the fault was never mended."""
    return running < one.watched or not one.healed


def _came(one: Displaced, limit: float) -> str:
    if one.running is not None and one.running > limit:
        before = f"; before that {one.stopped}" if one.stopped else ""
        if one.absent is not None and one.running - one.absent > UNSEEN:
            return (
                f"was seen on {one.to} only {lasted(one.running)} after {one.lost}, which nobody saw from {lasted(one.absent)} on{before}"
            )
        return f"{one.ran} only {lasted(one.running)} after {one.lost}, {lasted(one.running - limit)} too late{before}"
    where = "did not run again" if one.band.traits.in_place else "ran nowhere else"
    if one.stopped:
        where = f"ran nowhere to stay ({one.stopped})"
    later = f" (on {one.to} after {lasted(one.running)})" if one.running is not None else ""
    return f"{where} in the {lasted(one.watched)} after {one.lost}{later}"


def _too_soon(one: Displaced, limit: float) -> str:
    """Say that the fault was over before the time was up; nothing where it was not."""
    if one.own >= limit:
        return ""
    if not one.healed:
        return ": the history ends before the time was up"
    if one.band.healing is not None and one.at + one.own < one.band.healing - CLOCKS:
        return ": another fault took it again before the time was up"
    return f": the fault was healed before the time was up, it would have to be in force for {given(limit)} at least"


def _unseen(one: Displaced, limit: float) -> str:
    """Say that it may have run in time all the same; nothing where it was seen that it did not."""
    if (one.running is None or one.stopped) and one.blind > 0.0:
        return f", but what the other nodes ran was not known for {lasted(one.blind)} of it"
    if one.running is not None and one.absent is not None and one.absent <= limit:
        if one.absent <= 0.0:
            return f": {one.to} was never seen without it after the loss"
        return f": {one.to} was last seen without it after {lasted(one.absent)}, which was in time"
    return ""


def _spared(bands: Sequence[Band]) -> str:
    """Say where a cut left everybody with a majority."""
    whole = [band.name for band in bands if band.in_force is not None and band.traits.loses is Loss.LINK and not band.lost]
    return f": {' and '.join(dict.fromkeys(whole))} cut off nobody from a majority" if whole else ""
