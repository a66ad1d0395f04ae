"""Whether an app that was scaled ran as often as it was asked to, in time."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from harness.checkers.belied import belied
from harness.checkers.expected import Expected
from harness.checkers.judging import Point, conclude, doubted, missed, plural, unknown
from harness.checkers.own_doing import own_doing
from harness.checkers.troubles import watched
from harness.core.figures import at, given, lasted
from harness.core.instances import app_of
from harness.core.units import ABOVE, Duration
from harness.core.values import About, NodeState, Outcome
from harness.history.deeds import Wanted, deeds
from harness.history.events import NodeSeen
from harness.history.intervals import Interval, Span, common, neat, never_seen, node_spans, stays, united
from harness.history.returns import started

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.core.values import Finding, Json
    from harness.history.deeds import Deed
    from harness.history.events import History

STAYS = 2.0
"""Seconds for which as many must run to count: what crashes over and over runs now and then."""


@dataclass(frozen=True, slots=True)
class Scaled:
    """Each time that the app was scaled to so many instances (`to`), at least so many of them ran `within` some time of being asked for, to stay.

    Instances are counted by their names, by node truth, whatever node they run on, from the beginning of the action on; they ran where they did for
    2 s. Where there were more before, no more than that may run. Unknown where no action asked for it, where it is not known whether it was done,
    where another one asked for something else, or took away what that needs, before the time was up, and where a node could not be asked that may
    have run one. So it is where there were only so few for a while: what was to go ran on, or ran again, in place of what a fault had taken.
    """

    name: ClassVar[str] = "scaled"
    about: ClassVar[About] = About(scale=True)
    whole: ClassVar[str] = "its time is counted from the action that asks for it: `within` says how long"
    app: str
    to: Annotated[int, Field(ge=1, description="a whole number above 0")]
    within: Annotated[Duration, Field(gt=0, description=ABOVE)]
    expected: Expected = field(default_factory=Expected)  # filled in by the plan

    def check(self, history: History) -> Finding:
        """Return held with how long it took, broken, or unknown; details have each time that it was asked for."""
        spans = node_spans(history)
        end = history.observed
        every = deeds(history)
        asked = [each for each in every if each.effect.runs.get(self.app) == self.to]
        points: list[Point] = []
        held: list[str] = []
        details: dict[str, Json] = {}
        for each in asked:
            came, point = self._judge(history, each, every, spans, end)
            details[str(each.number)] = {"asked": neat(each.begun), "came": neat(came)}
            if point is not None:
                points.append(point)
            elif came is not None:
                held.append(f"{plural(self.to, 'instance')} of {self.app} ran {lasted(came)} after that was asked for")
        if not asked:
            points.append(unknown(f"{self.app} was never scaled to {plural(self.to, 'instance')}"))
        return conclude(self.name, history, points, f"{'; '.join(held)} ({given(self.within)} allowed)", {"actions": details})

    def _judge(
        self, history: History, one: Deed, every: Sequence[Deed], spans: Mapping[str, Sequence[Span]], end: float
    ) -> tuple[float | None, Point | None]:
        """Return after how many seconds as many ran, and what is wrong with that."""
        what = f"{plural(self.to, 'instance')} of {self.app}"
        if one.outcome is Outcome.FAIL:
            return None, unknown(f"{what} were asked for at {at(one.begun)}, and that was not done", *one.entries)
        over = Interval(one.begun, max(one.begun, min(one.begun + self.within, end)))
        came = _ran_since(spans, self.app, self.to, one.begun, end, fewer=one.was.get(self.app, 0) > self.to)
        if came is not None and came - one.begun <= self.within:
            before = [each for each in Wanted.of(every).changes.get(self.app, ()) if each.begun < one.begun]
            surely = one.was.get(self.app, self.to) < self.to and all(each.outcome is Outcome.OK for each in before)
            already = surely and came == one.begun
            why = "as many ran already when that was asked for, which shows nothing of it" if already else ""
            why = why or belied(history, self.expected.voters).get(one.number, "") or self._again(one, every, spans, came, end)
            ran = f"{what} ran {lasted(came - one.begun)} after that was asked for"
            return came - one.begun, unknown(f"{ran}; but {why}", *one.entries) if why else None
        text = f"{what} were asked for at {at(one.begun)} and did not all run within {given(self.within)}"
        later = f", and all {lasted(came - one.begun)} after that" if came is not None else ""
        text += f": {_most(spans, self.app, over)} did at most{later}"
        other = next((each for each in Wanted.of(every).changes.get(self.app, ()) if one.begun < each.begun < over.end), None)
        silent = sorted(
            {
                node
                for node, pieces in spans.items()
                if any(hole.length > STAYS and common([over], [hole]) for hole in united(span.interval for span in pieces if not span.sure))
            }
            | {*never_seen(history)}
        )
        after = None if came is None else came - one.begun
        why = ""
        if one.outcome is not Outcome.OK:
            why = "whether that was taken is not known"
        elif other is not None:
            why = f"something else was asked for at {at(other.begun)}"
        elif end < one.begun + self.within:
            why = "the run was over before the time was up"
        elif silent or not spans:
            why = f"what {', '.join(silent) or 'any node'} ran was not known for some of that"
        elif came is not None and (node := _perhaps_sooner(history, spans, self.app, came, over.end)):
            why = f"{node} was last seen as it was before within that time, and it may have been so a moment later"
        if why:
            return after, unknown(f"{text}; but {why}", *one.entries)
        late = (end if came is None else came) - over.end
        return after, doubted(missed(text, *one.entries, over=watched(history, over), by=late), own_doing(history, over, apps=(self.app,)))

    def _again(self, one: Deed, every: Sequence[Deed], spans: Mapping[str, Sequence[Span]], came: float, end: float) -> str:
        """Say that more ran again than were asked for, before anything else was; nothing where none did, or where there were no more before."""
        if one.was.get(self.app, 0) <= self.to:
            return ""
        other = min((each.begun for each in Wanted.of(every).changes.get(self.app, ()) if each.begun > one.begun), default=end)
        edges = [edge for edge in _edges(spans) if came <= edge < other]
        for edge, late in itertools.pairwise([*edges, max(came, other)]):
            if _running(spans, self.app, edge) > self.to and late - edge >= STAYS:
                return f"{_running(spans, self.app, edge)} did from {at(edge)} on"
        return ""


def _perhaps_sooner(history: History, spans: Mapping[str, Sequence[Span]], app: str, came: float, up: float) -> str:
    """Name a node on which what was seen at last may have been so when the time was up; nothing where nobody looked then, or it was not."""
    here = [each for each in stays(spans) if app_of(each.instance) == app]
    began = [
        (each.node, running if absent is None else absent)
        for each in here
        if each.start == came
        for running, absent in [started(history, each)]
    ]
    words = [(entry.time, event.node) for entry, event in history.each(NodeSeen) if event.state is not NodeState.UNREACHABLE]
    began += [
        (each.node, max((time for time, node in words if node == each.node and time < came), default=came))
        for each in here
        if each.end == came
    ]
    return began[0][0] if began and all(since < up for _, since in began) else ""


def _edges(spans: Mapping[str, Sequence[Span]]) -> list[float]:
    return sorted({span.start for pieces in spans.values() for span in pieces})


def _running(spans: Mapping[str, Sequence[Span]], app: str, time: float) -> int:
    """Return how many instances of an app surely run at a moment."""
    here = (
        span for pieces in spans.values() for span in pieces if span.start <= time < span.end and span.sure and span.state is NodeState.UP
    )
    return len({name for span in here for name in span.instances if app_of(name) == app})


def _ran_since(spans: Mapping[str, Sequence[Span]], app: str, number: int, after: float, end: float, *, fewer: bool) -> float | None:
    """Return from when on so many instances ran for `STAYS`: no fewer, and no more where there were to be `fewer`. None where they never did."""
    since: float | None = None
    for edge in [after, *(edge for edge in _edges(spans) if after < edge < end), end]:
        if since is not None and edge - since >= STAYS:
            return since
        count = _running(spans, app, edge)
        right = count == number if fewer else count >= number
        since = (edge if since is None else since) if right else None
    return None


def _most(spans: Mapping[str, Sequence[Span]], app: str, over: Interval) -> int:
    return max(_running(spans, app, edge) for edge in [over.start, *(each for each in _edges(spans) if over.holds(each))])
