"""Whether lost work was started elsewhere in time."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, Self

from harness.checkers import troubles
from harness.checkers.allowance import Allowance, allowance, over
from harness.checkers.effects import went_on
from harness.checkers.either_way import either_way
from harness.checkers.expected import Expected
from harness.checkers.homes import Homes
from harness.checkers.judging import Point, conclude, doubted, missed, unknown
from harness.checkers.roles import Roles
from harness.checkers.takers import (
    acted,
    brought_by_action,
    chosen_in_vain,
    gone_by_itself,
    moved_by_action,
    off_by_itself,
    taken_by_action,
)
from harness.checkers.troubles import DECIDING
from harness.checkers.usual import stopped_by_itself
from harness.core.figures import at, given, lasted
from harness.core.instances import app_of
from harness.core.traits import budget_among, budget_keys, for_work
from harness.core.units import Duration
from harness.core.values import About, App, Budget, Loss, Verdict, Who
from harness.history.absence import Absence, Voters
from harness.history.bands import Band, biting, fault_bands, not_surely, perhaps_since
from harness.history.deeds import Wanted, deeds, down, renewed, upset
from harness.history.intervals import Interval, Span, Stay, common, node_spans, stays, total, without
from harness.history.losses import AT_ONCE, CLOCKS, Displaced
from harness.history.recovery import displaced
from harness.history.returns import BREAK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.core.values import Finding, Json
    from harness.history.events import History


@dataclass(frozen=True, slots=True)
class _Known:
    """What a history tells of its faults and nodes, worked out once."""

    history: History
    bands: Sequence[Band]
    spans: Mapping[str, Sequence[Span]]
    absence: Absence
    roles: Roles
    homes: Homes
    voters: Voters

    @classmethod
    def of(cls, history: History, expected: Expected) -> Self:
        bands, spans = fault_bands(history), node_spans(history)
        absence, roles = Absence.of(history, expected.voters), Roles.of(history, expected.members, spans)
        return cls(history, bands, spans, absence, roles, Homes.of(history, spans, absence), expected.voters)


@dataclass(frozen=True, slots=True)
class Rescheduled:
    """Every instance of the app that a fault took away runs on another node within the limit, to stay, by node truth, counted from its loss.

    What ran for a moment and stopped again is not back (`harness.history.recovery.displaced` says from when on work counts as back). What was back in
    time, ran for longer than its whole limit, and was gone for a while only then is unknown: that may be its own end, and not the fault's.
    Each fault that takes an instance away counts by itself. Where what was lost may come back in place (a daemon that its supervisor starts again),
    so may the work: then running again on its own node is as good. The limit is `within`, or else the sum of what the mode needs after that fault, by
    what was lost and who was: `budgets` by `harness.core.traits.budget_key` (filled in by the plan, not by the scenario). After a fault that takes
    nothing away no mode promises that work moves: that budget is another leader's, and counts only for what other faults took. What runs only after
    healing began shows nothing of what the cluster does under the fault: where the fault was not in force for as long as the limit, that is unknown.
    What did not come is unknown, too, where no recovery is promised, and where no node was left, or none that the app's rule
    against two on one node (of `apps`, filled in by the plan) allows; not where the app is pinned to the node that is lost: that is the promise's own
    mistake, of which a plan warns. Says nothing of whether the new copy serves: that is `availability`.
    Where another fault bites, or is mended, while work is on its way back, what takes it back may be lost, or disturbed, anew: then it has what that
    fault allows from then on, if that is later. What took longer than that is unknown, not too late, where such a fault is one after which the mode
    promises nothing; where one that took nothing away was mended meanwhile, and the work was back in time from then on; and where no member had a
    majority for a while. So it is unknown, too, where it was in time from the end of an action on that disturbs the cluster; and where an action may
    have taken the work from a node that the fault left there, or on which it was back in time. What an action had moved, or stopped, about when the
    fault took its node, or may have brought back, is unknown where it was back in time: that shows nothing of the fault.
    """

    name: ClassVar[str] = "rescheduled"
    about: ClassVar[About] = About(returns=True)
    whole: ClassVar[str] = "each loss has a time of its own, from when it was lost, whatever goes on meanwhile: `within` says how long"
    app: str
    within: Duration | None = None
    budgets: Mapping[str, Budget] = field(default_factory=dict)
    apps: tuple[App, ...] = ()
    expected: Expected = field(default_factory=Expected)

    def check(self, history: History) -> Finding:
        """Return held, broken (too late, or not back when the limit had run out), or unknown; details hold the split per loss."""
        return either_way(history, self._check, self.expected.voters)

    def _check(self, history: History) -> Finding:
        lost = [each for each in displaced(history, self.expected.voters) if app_of(each.instance) == self.app]
        known = _Known.of(history, self.expected)
        limits = {each.key: self._allowed(known, each) for each in lost}
        judged = {each.key: (each, self._judged(known, each, limits[each.key])) for each in lost}
        instances: dict[str, Json] = {
            key: {**each.json(), **limits[key].told(Verdict.HELD if point is None else point.verdict)}
            for key, (each, point) in judged.items()
        }
        details: dict[str, Json] = {"instances": instances, "budget": self._spelled(lost, known.roles)}
        points = [point for _, point in judged.values() if point is not None]
        points += self._unaccounted(known, lost)
        if not lost:
            points.append(unknown(f"no instance of {self.app} was displaced by a fault{_spared(known.bands)}"))
        return conclude(self.name, history, points, _held(history, lost, limits), details)

    @property
    def _app(self) -> App | None:
        return next((app for app in self.apps if app.name == self.app), None)

    def limit(self, band: Band, who: Who = Who.LEADER) -> float:
        """Seconds that recovery may take after a fault, by who was lost to it; infinite where nothing is promised."""
        return math.inf if band.traits.loses is Loss.NOTHING and self.within is None else self._meanwhile(band, who)

    def _meanwhile(self, band: Band, who: Who) -> float:
        """Seconds that recovery from another fault may take longer for the sake of one: of one that takes nothing away, those of an election."""
        if self.within is not None:
            return self.within
        budget = budget_among(self.budgets, band.name, band.traits, who)
        return math.inf if budget is None else budget.seconds

    def _spelled(self, lost: Sequence[Displaced], roles: Roles) -> str:
        if self.within is not None:
            return f"within {given(self.within)}"
        found: dict[str, Budget] = {}
        for each in lost:
            band, whom = each.band, roles.surely(each.band)
            keys = budget_keys(band.name, band.traits, whom)
            if (budget := budget_among(self.budgets, band.name, band.traits, whom)) is not None:
                found[next((key for key in keys if key in self.budgets), keys[-1])] = for_work(budget, band.traits)
        if len(found) == 1:
            return next(iter(found.values())).spelled()
        return "; ".join(f"after {key}: {budget.spelled()}" for key, budget in found.items()) or "no budget was given"

    def _allowed(self, known: _Known, one: Displaced) -> Allowance:
        history, named = known.history, "budget" if self.within is None else "limit"
        every = deeds(history)
        done = upset(every, history.end, self.app)
        anything = [Interval(each.begun, each.over(history.end)) for each in every if each.effect.disturbs]
        full = known.homes.full(one.instance, self._app, Interval(one.at, over(one)))

        def limit(band: Band, who: Who) -> float:
            return self.limit(band, who) if band.fault == one.band.fault else self._meanwhile(band, who)

        return allowance(one, limit, known.roles, known.bands, known.spans, known.absence, history.end, named, done, full, anything)

    def _judged(self, known: _Known, one: Displaced, limit: Allowance) -> Point | None:
        """Judge one loss. Where the work ran on when the fault had bitten, it must be late from its end on as well."""
        point = self._counted(known, one, limit)
        if point is None or point.verdict is not Verdict.BROKEN or one.ran_on <= 0.0:
            return point
        late = one.counted_from_its_end
        again = self._counted(known, late, self._allowed(known, late))
        if again is None:
            gone = f"was gone for {lasted(late.running)}" if late.running else "was never gone"
            return unknown(f"{point.text}, but it ran on there until {lasted(one.ran_on)} after that, and {gone}", *point.evidence)
        return replace(again, text=point.text) if again.verdict is Verdict.BROKEN and one.ran_on <= AT_ONCE else again

    def _counted(self, known: _Known, one: Displaced, limit: Allowance) -> Point | None:
        """Judge one loss by its times as they stand."""
        point = _judge(known.history, one, limit, self._no_home(known, one, limit), self._pinned(one))
        point = point or self._taken_before(known, one, limit)
        if point is None:
            history = known.history
            why = moved_by_action(history, one) or brought_by_action(history, one) or off_by_itself(history, one)
            in_time = f"{one.key} {one.ran} {_when(one, history)} ({limit})"
            return unknown(f"{in_time}, but {why}", *one.entries) if why else None
        for why in (
            self._kept_down(known, one, limit),
            taken_by_action(known.history, one, limit.seconds),
            gone_by_itself(known.history, one, limit.seconds),
            _by_itself(one, limit) or _as_before(known, one, limit),
            not_surely(one.band, known.spans, known.history.end),
            went_on(known.history, one.band, known.spans, self.expected).get(one.home, ""),
        ):
            point = doubted(point, why)
        return point

    def _unaccounted(self, known: _Known, lost: Sequence[Displaced]) -> list[Point]:
        """Doubt that all is told where an instance was away for longer than a fault allows, with that in force, and none is seen to have taken it.

        It had stopped just before, or was withdrawn just after, for the sake of a copy that the fault took: nobody knows.
        """
        history, bands, roles = known.history, known.bands, known.roles
        ran: dict[str, list[Stay]] = {}
        for stay in stays(known.spans):
            if app_of(stay.instance) == self.app:
                ran.setdefault(stay.instance, []).append(stay)
        wanted = Wanted.of(deeds(history))
        told = {name: [Interval(one.at, one.at + one.watched) for one in lost if one.instance == name] for name in ran}
        points = []
        for name, pieces in sorted(ran.items()):
            due = wanted.due(name, history.end)
            since = Interval(min(each.start for each in pieces), history.end)
            away = without([since] if due is None else common([since], due), [each.interval for each in pieces])
            for band, gone in itertools.product(bands, away):
                last = max((each for each in pieces if each.start <= gone.start), key=lambda each: each.end)
                if acted(history, last.node, name, Interval(gone.start - AT_ONCE, gone.start)) is not None:
                    continue
                held = band.held(history.end)
                if held is None or band.traits.loses is Loss.NOTHING or common([gone], told[name]):
                    continue
                if sum(each.length for each in common([gone], [held])) > self.limit(band, roles.surely(band)):
                    text = f"{name} was seen nowhere for {lasted(gone.length)} from {at(gone.start)}, and no fault is seen to have taken it"
                    points.append(unknown(f"{text}: {band.name} was in force on {band.where} meanwhile", *band.entries))
                    break
        return points

    def _taken_before(self, known: _Known, one: Displaced, limit: Allowance) -> Point | None:
        """Doubt that work was back in time which a fault that was there before may have taken already; nothing where none may have.

        Beyond its own time that one had taken nothing: the work was still there. Where cuts took its node, it runs on there whatever they took.
        """
        for band in one.before:
            sooner, due = one.at - biting(band, known.spans).end, self._meanwhile(band, Who.LEADER)
            may_have = sooner > 0.0 and (sooner < due or band.traits.loses is Loss.LINK)
            if one.running is not None and may_have and due < one.running + sooner and math.isfinite(limit.sure):
                text = (
                    f"{one.key} {one.ran} {_when(one, known.history)} ({limit}), but {band.name} had hit {one.home} {lasted(sooner)} before"
                )
                return unknown(f"{text}, and may have taken it", *one.entries)
        return None

    def _pinned(self, one: Displaced) -> str:
        """Say that the app itself lets no other node take it: whoever promises that it runs elsewhere promises what cannot be."""
        pin = self._app.pin if self._app else None
        return f": {self.app} is pinned to {pin}" if pin is not None and one.home == pin and one.running is None else ""

    def _no_home(self, known: _Known, one: Displaced, limit: Allowance) -> str:
        """Say that nothing could take an instance when its time was up, or the fault was healed, by node truth; nothing where something could."""
        up = one.at + min(limit.seconds, one.watched)
        if not known.homes.left(up):
            return ", but no node was left that could take it"
        # One that was over before is allowed for.
        if alone := [each for each in common(known.absence.nobody, [Interval(one.band.begins, up)]) if each.end == up]:
            return f", but no member had a majority from {at(alone[0].start)} on, for {lasted(alone[0].length)}"
        others = f", but every node that was left ran another instance of {self.app} already, and two on one are against its rule"
        return "" if known.homes.free(one.instance, self._app, up) else others

    def _kept_down(self, known: _Known, one: Displaced, limit: Allowance) -> str:
        """Say what actions did that went on, or kept down what recovery takes, when the time was up; nothing where they left enough of it."""
        history, members = known.history, known.roles.members
        up = one.at + min(limit.seconds, one.watched)
        every = deeds(history)
        going = [each.begun for each in every if each.effect.upsets and each.begun < up <= each.over(history.end)]
        going += [each.start for each in renewed(every, history.end).get(self.app, ()) if each.start < up <= each.end]
        if going:
            return f"an action from {at(min(going))} on was still under way when the time was up"
        if chosen := chosen_in_vain(history, one, up):
            return chosen
        daemons = down(every, history.end).items()
        stopped = {place: each.start for place, pieces in daemons for each in pieces if each.start < up <= each.end}
        voteless = {node for node, part in stopped if part == self.expected.voters.daemon}
        majority = not voteless or len(members - known.absence.at(up) - voteless) > len(members) / 2
        if not stopped or (majority and known.homes.free(one.instance, self._app, up) - {node for node, _ in stopped}):
            return ""
        return f"an action from {at(min(stopped.values()))} on had stopped something that it needs, which was still stopped when the time was up"


def _seen_late(one: Displaced, history: History) -> bool:
    """Whether its home may have been lost long before that was seen: it ran again already, or we stood still since the fault was decided."""
    return one.early > CLOCKS or any(common([Interval(one.band.begins, one.at)], troubles.blind(history)))


def _when(one: Displaced, history: History) -> str:
    """Say how long after the loss it ran again; after the decision, where the loss was seen late."""
    running = one.running or 0.0
    if not _seen_late(one, history):
        return f"{lasted(running)} after {one.lost}"
    before = f", before it was seen that {one.lost}" if one.early > 0.0 else ""
    after = one.at + running - one.early - one.band.begins
    when = f"at most {lasted(after)} after" if after > 0.0 else "already when"
    return f"{when} {one.band.name} was decided{before}"


def _since_made(one: Displaced, limit: float, history: History) -> str:
    """Say that it would be too late if its home was lost before that was seen, as it may have been (`perhaps_since`); else nothing."""
    if one.band.in_force is not None and one.at > one.band.in_force:
        return ""  # it ran on until then, and was lost when it stopped
    late = _seen_late(one, history)
    made = one.band.begins if late else min(one.at, perhaps_since(history, one.band, one.home, one.instance))
    ran = one.at + (one.running or 0.0) - one.early
    if ran - made <= limit:
        return ""
    if late:
        return f"{one.home} may have been lost since then, {lasted(one.at - made)} before that was seen, which would be too late"
    since = f"{one.band.name} was decided" if made <= one.band.begins else f"{one.home} was last surely there"
    return f"{lasted(ran - made)} after {since} ({lasted(one.at - made)} before it was seen to be in force)"


def _held(history: History, lost: Sequence[Displaced], limits: Mapping[str, Allowance]) -> str:
    if not lost:
        return ""
    slowest = max(lost, key=lambda each: each.running or 0.0)
    text = f"{slowest.key} {slowest.ran} {_when(slowest, history)} ({limits[slowest.key]})"
    what = "losses" if any(each.again for each in lost) else "displaced instances"
    return text if len(lost) == 1 else f"{text}, the slowest of {len(lost)} {what}"


def _judge(history: History, one: Displaced, allowed: Allowance, no_home: str, pinned: str) -> Point | None:
    """Judge one loss; `no_home` says that nothing could take it, and `pinned` that nothing else may, if so."""
    limit = allowed.seconds
    if one.band.in_force is None:
        return unknown(
            f"{one.key} stopped on {one.home} while {one.band.name} was made, which failed: nobody knows when it bit", *one.entries
        )
    if one.running is not None and one.running <= limit and _meanwhile(one, one.running):
        doubt = one.doubt or _since_made(one, allowed.sure, history)
        if one.running > allowed.sure:
            doubt = f"{allowed.why} may account for {lasted(one.running - allowed.sure)} of that"
        in_time = f"{one.key} {one.ran} {_when(one, history)} ({allowed}), but {doubt}"
        return unknown(in_time, *one.entries) if doubt else None
    if one.perhaps is not None and one.perhaps <= limit and _meanwhile(one, one.perhaps):
        by_truth = "but by node truth alone it was back in time, on a node that this fault or another one held, or was to hold"
        return unknown(f"{one.key} {_came(one, limit)} ({allowed.at_most}), {by_truth}", *one.entries)
    text = f"{one.key} {_came(one, limit)} ({allowed.at_most}){pinned}"
    if not math.isfinite(limit):
        return unknown(text, *one.entries)
    if why := no_home or _never_gone(one) or _too_soon(one, limit) or _unseen(one, allowed):
        return unknown(f"{text}{why}", *one.entries)
    time = Interval(one.at, one.at + (one.watched if one.running is None else one.running))
    # Where the loss was noticed and nobody was ever told to start it elsewhere, only the decision can have been slow: nothing was started.
    idle = one.running is None and not one.stopped and one.placed is None and one.noticed is not None
    # What was so after its time was up has kept nothing.
    due = Interval(time.start, min(time.end, time.start + limit))
    return missed(text, *one.entries, over=[due], by=time.length - limit, work=DECIDING if idle else math.inf)


def _meanwhile(one: Displaced, running: float) -> bool:
    """Whether that was while the fault was in force, or the fault was never mended."""
    return running < one.watched or not one.healed


def _came(one: Displaced, limit: float) -> str:
    if one.running is not None and one.running > limit:
        before = f"; before that {one.stopped}" if one.stopped else ""
        if one.unseen and one.absent is not None:
            return (
                f"was seen on {one.to} only {lasted(one.running)} after {one.lost}, which nobody saw from {lasted(one.absent)} on{before}"
            )
        return f"{one.ran} only {lasted(one.running)} after {one.lost}, {lasted(one.running - limit)} too late{before}"
    where = "did not run again" if one.band.traits.in_place else "ran nowhere else"
    if one.stopped:
        where = f"ran nowhere to stay ({one.stopped})"
    later = f" (on {one.to} after {lasted(one.running)})" if one.running is not None else ""
    return f"{where} in the {lasted(one.watched)} after {one.lost}{later}"


def _never_gone(one: Displaced) -> str:
    """Say that it ran on where it was for as long as the fault was in force; nothing where it did not."""
    ran = one.running is None and one.ran_on > 0.0 and one.ran_on >= one.own
    return f", but it ran on there until {lasted(one.ran_on)} after that, and was never gone" if ran else ""


def _by_itself(one: Displaced, allowed: Allowance) -> str:
    """Say that it was back in time, and gone again for a while only after it had run for longer than its whole limit; nothing where it was not so.

    What crashes then is the app's own end as likely as the fault's. What is gone for longer than the limit by then was not there to stay.
    """
    for spell in one.spells:
        start, ran = spell.start - one.at, spell.end - spell.start
        if start <= allowed.seconds and ran > allowed.own >= spell.gone > 0.0:
            back = f"it had been back in time before, after {lasted(start)}, and had run for {lasted(ran)}"
            return f"{back}: that it was gone for {lasted(spell.gone)} then may be its own doing"
    return ""


def _as_before(known: _Known, one: Displaced, allowed: Allowance) -> str:
    """Say that it was back in time, and stopped again as it had before anything was broken; nothing where it was not so.

    Nor where it was gone at a time for longer than it had been then, and may take to come back, together: something keeps it down.
    """
    back = next((each for each in one.spells if each.start - one.at <= allowed.seconds), None)
    itself = one.may_be_its_own(known.voters.daemon)
    before = stopped_by_itself(known.history, one.instance) if back is not None or itself else None
    if before is None:
        return ""
    since = one.at if back is None else back.end
    away = frozenset[str]() if itself else one.band.away
    ran = [stay.interval for stay in stays(known.spans) if stay.instance == one.instance and stay.node not in away]
    gone = max((each.length for each in without([Interval(since, one.at + one.watched)], ran)), default=0.0)
    if not before.explains(gone, allowed.own):
        return ""
    where = f"on {before.node} at {at(before.at)}, before anything was broken"
    if back is None:
        return f"it had stopped {where}, too, for {lasted(before.gone)}: it may do so by itself"
    return f"it had been back in time before, after {lasted(back.start - one.at)}, and had stopped {where}, too: it may do so by itself"


def _too_soon(one: Displaced, limit: float) -> str:
    """Say that the fault was over before the time was up; nothing where it was not."""
    if one.own >= limit:
        return ""
    if one.undue:
        return ": by an action it was to run no more before the time was up"
    if not one.healed:
        return ": the history ends before the time was up"
    if one.band.undone:
        return ": the fault was in force no more before the time was up"
    if one.band.healing is not None and one.at + one.own < one.band.healing - CLOCKS:
        return ": another fault took it again before the time was up"
    return f": the fault was healed before the time was up, it would have to be in force for {given(limit + one.since_bite + one.ran_on)} at least"


def _unseen(one: Displaced, allowed: Allowance) -> str:
    """Say that it may have run in time all the same; nothing where it was seen that it did not."""
    limit = allowed.seconds
    if one.running is not None and one.absent is not None and one.absent <= limit:
        if one.absent <= 0.0:
            return f": {one.to} was never seen without it after the loss"
        return f": {one.to} was last seen without it after {lasted(one.absent)}, which was in time"

    def may_have_stayed(unseen: Interval) -> bool:
        """Gone for longer before it came where it was seen, or to the end, it was not there to stay; but it may have run for long, and gone then."""
        if unseen.end > (one.watched if one.running is None else one.running) - BREAK:
            return True
        if one.running is None or one.stopped:
            return unseen.length > limit
        return unseen.length > allowed.own >= one.running - unseen.end  # as `_by_itself` of what was seen

    unknown_in_time = total(each for each in one.blind if each.start <= limit and may_have_stayed(each))
    return f", but what the other nodes ran was not known for {lasted(unknown_in_time)} of it" if unknown_in_time > 0.0 else ""


def _spared(bands: Sequence[Band]) -> str:
    """Say where a cut left everybody with a majority."""
    whole = [band.name for band in bands if band.in_force is not None and band.traits.loses is Loss.LINK and not band.lost]
    return f": {' and '.join(dict.fromkeys(whole))} cut off nobody from a majority" if whole else ""
