"""Whether lost work stays down until somebody acts, and comes back by that."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from harness.checkers.either_way import either_way
from harness.checkers.expected import Expected
from harness.checkers.judging import Point, broken, conclude, doubted, missed, unknown, whole
from harness.checkers.troubles import watched
from harness.checkers.unreached import ended_by_a_wait
from harness.checkers.usual import stopped_by_itself
from harness.core.figures import at, given, lasted
from harness.core.instances import app_of
from harness.core.syncs import MEASURE
from harness.core.units import ABOVE, Duration
from harness.core.values import About, Outcome
from harness.history.deeds import Wanted, deeds
from harness.history.intervals import Interval, common, neat, never_seen, node_spans, stays, united
from harness.history.losses import AT_ONCE
from harness.history.recovery import displaced

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.core.values import Finding, Json
    from harness.history.deeds import Deed
    from harness.history.events import History
    from harness.history.intervals import Span, Stay
    from harness.history.losses import Displaced

STAYS = 2.0
"""Seconds for which it must run to count: what crashes over and over runs now and then."""


@dataclass(frozen=True, slots=True)
class Manual:
    """What a fault takes of an app stays down until an action is done that may bring it back, and runs again `within` some time of the end of that.

    That is what a system promises that has no failure detector, as static Ansible: nothing comes back by itself, and all of it does when somebody has
    the playbook played again. By node truth, on whatever node. Broken where it ran again before anybody had begun anything, where nobody did anything
    at all, and where it did not run in time once it was done. Unknown where it stops so by itself (`harness.checkers.usual`), where no fault took
    anything of the app, where what it took ran on out of reach, where it is not known whether the action was done, or which of several was to bring
    it back, where all that was done was to stop something or to send work away, where the fault was mended meanwhile and it came back there, where an
    action took it away for good before it was back, where one that was planned is not told of, or was still to come, and where a node could not be
    asked that may have run it meanwhile.
    """

    name: ClassVar[str] = "manual"
    about: ClassVar[About] = About(by_hand=True)
    whole: ClassVar[str] = "it is about the time from a loss to what somebody does about it, whatever goes on meanwhile"
    app: str
    within: Annotated[Duration, Field(gt=0, description=ABOVE)]
    expected: Expected = field(default_factory=Expected)  # filled in by the plan

    def check(self, history: History) -> Finding:
        """Return held with how long each loss lasted, broken, or unknown; details have each loss."""
        return either_way(history, self._check, self.expected.voters)

    def _check(self, history: History) -> Finding:
        spans, end = node_spans(history), history.observed
        every = [each for each in deeds(history) if _brings(each, self.app)]
        lost = [each for each in displaced(history, self.expected.voters) if app_of(each.instance) == self.app]
        points: list[Point] = []
        held: list[str] = []
        details: dict[str, Json] = {}
        for one in lost:
            came, said = self._judge(history, one, every, spans, end)
            if isinstance(said, Point):
                said = doubted(said, self._as_before(history, one, end if came is None else came))
            details[one.key] = {"lost": neat(one.at), "ran again": None if came is None else neat(came)}
            if isinstance(said, Point):
                points.append(said)
            else:
                held.append(said)
        if not lost:
            points.append(unknown(f"no instance of {self.app} was displaced by a fault"))
        return conclude(self.name, history, points, f"{'; '.join(held)} ({given(self.within)} allowed)", {"losses": details})

    def _judge(
        self, history: History, one: Displaced, every: Sequence[Deed], spans: Mapping[str, Sequence[Span]], end: float
    ) -> tuple[float | None, Point | str]:
        """Return when an instance ran again, and what is wrong with that, or how it went."""
        since = one.at + one.ran_on
        runs = [each for each in stays(spans) if each.instance == one.instance and each.end > since]
        on = next((each for each in runs if each.start <= since and each.end > since + AT_ONCE), None)
        if on is not None:
            return None, unknown(f"{one.key} ran on on {on.node} after {one.home} was lost", *one.entries)
        acts = [each for each in every if each.over(end) > since]
        maybe = [each for each in acts if each.outcome is not Outcome.FAIL]
        begun = min((each.begun for each in maybe), default=end)
        back = next((each for each in runs if each.start > since and each.sure and _stayed(each, runs, end)), None)
        came = None if back is None else back.start
        if back is not None and back.start < begun:
            again = f"{one.instance} ran again on {back.node} {lasted(back.start - since)} after {one.counted_from_its_end.lost}"
            early = broken(f"{again}, and nobody had done anything by then", back.entry, *one.entries)
            return came, doubted(early, _unheard_of(history, self.expected))
        if silent := _silent(spans, Interval(since, begun)) | {*never_seen(history)}:
            return came, unknown(f"what {' and '.join(sorted(silent))} ran while {one.instance} was lost is not known", *one.entries)
        until = end if came is None else came
        if (needed := _needed(history, one.instance, since)) < until:
            return came, unknown(
                f"{one.key} was not back by {at(needed)}, and by an action it was to run no more from then on", *one.entries
            )
        # What was begun before the loss may have been done before it, and what was begun only once it ran brought nothing back.
        done = [each for each in maybe if each.outcome is Outcome.OK and since <= each.begun <= until]
        done = [each for each in done if not each.effect.only_takes] or done
        if not done:
            return came, _undone(history, one, acts, came, Interval(since, end), self.expected)
        said = self._by(history, one, done, maybe, came, since, end)
        silent = _silent(spans, Interval(done[0].begun, done[-1].over(end) + self.within))
        unseen = f"what {' and '.join(sorted(silent))} ran meanwhile is not known" if silent else ""
        return came, _unless_mended(one, back, done[0], said) if isinstance(said, str) else doubted(said, unseen)

    def _as_before(self, history: History, one: Displaced, until: float) -> str:
        """Say that it had stopped before anything was broken, too, and was gone for no longer now; nothing where it was not so."""
        late = one.counted_from_its_end
        before = stopped_by_itself(history, one.instance) if late.may_be_its_own(self.expected.voters.daemon) else None
        if before is None or not before.explains(until - late.at, self.within):
            return ""
        return f"it had stopped on {before.node} at {at(before.at)}, before anything was broken, too: it may do so by itself"

    def _by(
        self, history: History, one: Displaced, done: Sequence[Deed], maybe: Sequence[Deed], came: float | None, since: float, end: float
    ) -> Point | str:
        """Say how an instance came back, or did not, by what was done. Which of several actions was to bring it back nobody knows."""
        until = end if came is None else came
        first, last = done[0], done[-1]
        if came is not None and came <= first.over(end) + self.within:
            brought = next((each for each in done if not each.effect.only_takes), None)
            by = first if brought is None else brought
            down = f"{one.instance} was down for {lasted(by.begun - since)} until {by.name} was begun"
            text = f"{down}, and ran again {lasted(came - by.begun)} after that"
            if brought is None:
                return unknown(f"{text}; but all that did was stop something, or send it away", *one.entries, *by.entries)
            vain = next((each for each in maybe if since <= each.begun and self._too_late(each, by, came, end)), None)
            if vain is None:
                return text
            why = f"whether {vain.name} at {at(vain.begun)} was done, and brought it back too late, is not known"
            return unknown(f"{text}; but {why}", *one.entries, *by.entries, *vain.entries)
        over = Interval(last.over(end), last.over(end) + self.within)
        down = f"{one.instance} was down for {lasted(last.begun - since)} until {last.name} was begun"
        text = f"{down}, and did not run within {given(self.within)} of its end at {at(over.start)}"
        evidence = (*one.entries, *last.entries)
        late = f"; it ran {lasted(came - over.start)} after that" if came is not None else ""
        if until <= over.end and last is not first:
            earlier = f"{one.instance} did not run within {given(self.within)} of the end of {first.name} at {at(first.over(end))}"
            return unknown(
                f"{earlier}, and which action was to bring it back is not known: {last.name} was begun at {at(last.begun)}", *evidence
            )
        if end < over.end:
            return unknown(f"{text}; but the run was over before the time was up", *evidence)
        point = missed(f"{text}{late}", *evidence, over=watched(history, over), by=until - over.end)
        doubtful = next((each for each in maybe if each.outcome is Outcome.UNKNOWN and since <= each.begun <= until), None)
        return doubted(point, "" if doubtful is None else f"whether {doubtful.name} at {at(doubtful.begun)} was done is not known")

    def _too_late(self, doubtful: Deed, by: Deed, came: float, end: float) -> bool:
        """Whether an action in doubt, before the one that is credited with it, may have brought back too late what came at a moment.

        What was done again was done in vain before: so it mostly is where a host was still out of reach.
        """
        before = doubtful.outcome is Outcome.UNKNOWN and doubtful.begun < by.begun and doubtful.name != by.name
        return before and not doubtful.effect.only_takes and came > doubtful.over(end) + self.within


def _brings(deed: Deed, app: str) -> bool:
    """Whether an action may bring back what a fault took of an app."""
    effect = deed.effect
    # Whoever measures a disk upsets who needs it, and starts nothing.
    return deed.name != MEASURE and (effect.upsets or effect.opens or app in effect.renews or effect.runs.get(app, 0) > 0)


def _needed(history: History, instance: str, since: float) -> float:
    """Return until when an instance that was lost must run: until an action takes it away for good, if one does."""
    due = Wanted.of(deeds(history)).due(instance, history.end)
    last = math.inf if due is None else max((each.end for each in due), default=since)
    return last if last < history.end else math.inf


def _stayed(stay: Stay, runs: Sequence[Stay], end: float) -> bool:
    """Whether an instance ran long enough from a moment on to count, on the same node; also where the run was over before."""
    here = united(each.interval for each in runs if each.node == stay.node and each.end > stay.start)
    return bool(here) and (here[0].end >= stay.start + STAYS or here[0].end >= end)


def _silent(spans: Mapping[str, Sequence[Span]], over: Interval) -> set[str]:
    """Return the nodes of which it was not known for some of a time what they ran."""
    return {
        node
        for node, pieces in spans.items()
        if any(hole.length > STAYS and common([over], [hole]) for hole in united(span.interval for span in pieces if not span.sure))
    }


def _unless_mended(one: Displaced, back: Stay | None, first: Deed, said: str) -> Point | str:
    """Doubt that an action brought back what its own machine, or daemon, may have: it was mended meanwhile, and starts what it is told to keep."""
    healing, healed = one.band.healing, one.band.healed
    if back is None or back.node != one.home or healing is None or back.start < healing or (healed is not None and first.begun >= healed):
        return said
    return unknown(f"{said}; but {one.band.name} was mended from {at(healing)} on, which may have brought it back there", *one.entries)


def _undone(history: History, one: Displaced, acts: Sequence[Deed], came: float | None, over: Interval, expected: Expected) -> Point:
    """Say that nothing was surely done for an instance that a fault took."""
    doubtful = next((each for each in acts if each.outcome is not Outcome.FAIL), None)
    if doubtful is not None or came is not None:
        names = " and ".join(dict.fromkeys(each.name for each in acts))
        return unknown(f"whether {names} was done after {one.key} was lost is not known", *one.entries)
    tried = f"and {acts[0].name} was not done" if acts else "and nobody did anything about it"
    text = f"{one.instance} was lost with {one.home} and ran nowhere from then on, {tried}"
    return doubted(missed(text, *one.entries, over=watched(history, over)), _unheard_of(history, expected, later=True))


def _unheard_of(history: History, expected: Expected, *, later: bool = False) -> str:
    """Say that an action must have been done of which nobody tells, or with `later` may still have come; nothing where that is not so."""
    told = {each.number for each in deeds(history)}
    planned = () if expected.more else expected.actions
    if not later and (not whole(history) or ended_by_a_wait(history)):
        planned = planned[: max(told, default=0)]
    if missing := next((f"action {number} ({name})" for number, name in enumerate(planned, 1) if number not in told), ""):
        return f"{missing} was planned, and nobody tells of it"
    return f"the history ends at {at(history.end)}, and somebody may have acted after that" if later and not whole(history) else ""
