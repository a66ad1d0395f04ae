"""How much of the service was there while things were broken."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from statistics import median
from typing import TYPE_CHECKING, ClassVar

from harness.checkers.either_way import either_way
from harness.checkers.expected import Expected
from harness.checkers.judging import Point, answers_missing, conclude, missed, plural, unknown, whole
from harness.checkers.troubles import asked_through, blind, until_late, watched
from harness.core.figures import at, given, lasted
from harness.core.units import Duration, Share
from harness.core.values import Outcome
from harness.history.bands import biting, fault_bands
from harness.history.calls import Op, Untold, ops, served, untold
from harness.history.deeds import Wanted, deeds
from harness.history.intervals import BLIND_AFTER, Interval, app_of, common, neat, node_spans, total
from harness.history.recovery import AT_ONCE, displaced

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.core.values import Finding, Json
    from harness.history.events import History

FEWEST = 20
"""Below so many calls a share says nothing: one call more or less is 5 %."""

NAMED = 3
"""So many actions at most are named where each may be why."""

SLOWED = 1.5
"""A call that comes only after so many of its caller's usual paces has others before it that were due and not made."""


@dataclass(frozen=True, slots=True)
class Availability:
    """Of the HTTP calls from the first fault's bite to the end of settling, at least `share` were good, and no instance was gone longer than `gap`.

    A fault bites when it takes away the first of its targets, which may be before it is in force (`harness.history.bands.biting`). A call whose
    fate is unknown counts as not good; one that was under way while the harness stood still does not count, and one of which a line is missing may
    have been good. A gap is the time between two good answers of one instance, also where the first of them was before the bite; but where calls had
    ended badly before any fault was decided it had begun without one, and convicts only if it is too long from the bite on. Both count whoever kept
    calls from an answer, the run's own actions too: those that were done meanwhile are named. A gap that runs to the end of settling counts with the
    length that was seen (it is censored, not over). Where calls that were due by their own pace were never made, and could have turned the share, it
    is unknown.
    Only calls that were made convict: a gap in which nobody called is unknown, or one of calls that were all answered well and stand too far apart,
    and so is what became of an instance that was lost, or was to be called (`expected`, filled in by the plan), and that nobody called at all.
    """

    name: ClassVar[str] = "availability"
    app: str
    share: Share
    gap: Duration
    expected: Expected = field(default_factory=Expected)

    def check(self, history: History) -> Finding:
        """Return held, broken, or unknown with fewer than 20 calls; details hold the share, the counts and the longest gap per instance."""
        return either_way(history, self._check)

    def _check(self, history: History) -> Finding:
        every = [op for op in ops(history, "http") if app_of(op.call.key) == self.app]
        window = _window(history)
        if window is None:
            return conclude(self.name, history, [unknown("no fault was ever in force, so there is no time to judge")], "")
        # Of a call that was under way while we stood still, we cannot say how it would have ended.
        unseen = blind(history)
        # Where an action changed how many are to run, each is judged while it is to.
        wanted = Wanted.of(deeds(history))
        parts = {name: _due(wanted, name, window) for name in {op.call.key for op in every}}
        if self.app in wanted.changes:
            every = [op for op in every if op.begun < window.start or any(each.holds(op.begun) for each in parts[op.call.key])]
        # Those of which lines are missing may have been good ones.
        missing = {each.op: each for each in untold(history, "http")}
        calls = [op for op in every if op.op not in missing]
        made = [op for op in calls if window.holds(op.begun)]
        during = [op for op in made if not _spans(op, unseen)]
        good = sum(op.ok for op in during)
        of = {name: [op for op in calls if op.call.key == name] for name in sorted({op.call.key for op in calls})}
        of = {name: found for name, found in of.items() if parts[name]}
        gaps = [gap for name in of for part in parts[name] for gap in _gaps(name, of[name], part, window)]
        longest = [max((gap for gap in gaps if gap.instance == name), key=lambda gap: gap.interval.length) for name in of]
        details: dict[str, Json] = {
            "from": neat(window.start),
            "to": neat(window.end),
            "calls": len(during),
            "uncounted": len(made) - len(during),
            "ok": good,
            "fail": sum(op.outcome is Outcome.FAIL for op in during),
            "unknown": sum(op.outcome is Outcome.UNKNOWN for op in during),
            "share": round(good / len(during), 4) if during else None,
            "gaps": {gap.instance: gap.json() for gap in longest},
        }
        worst = _worst(history, gaps, of)
        if len(during) < FEWEST or worst is None:
            few = f"only {plural(len(during), 'call')} to {self.app} while things were broken; {FEWEST} are needed to judge"
            return conclude(self.name, history, [unknown(few)], "", details)
        figures = (
            f"{good / len(during):.1%} of {len(during)} calls to {self.app} from {at(window.start)} to {at(window.end)} were answered well"
        )
        if len(made) > len(during):
            figures += f" (not counted: {plural(len(made) - len(during), 'call')} under way while somebody stood still)"
        # An instance that was asked for only at the end may not have been called any more.
        number = wanted.most(self.app, self.expected.count().get(self.app, 0))
        more = {name for name in self.expected.calls(self.app, number) if total(_due(wanted, name, window)) > BLIND_AFTER}
        planned = more | {name for name in self.expected.called if app_of(name) == self.app and _due(wanted, name, window)}
        lost = {one.instance for one in displaced(history, self.expected.voters) if app_of(one.instance) == self.app}
        # Of an instance that was to be called, and never was, as many calls are missing as others had.
        edges = sorted({window.start, *(each.over(window.end) for each in wanted.changes.get(self.app, ())), window.end})
        steps = [Interval(early, late) for early, late in itertools.pairwise(edges) if window.start <= early and late <= window.end]
        begun = {name: [op for op in every if op.call.key == name] for name in of}
        unmade = sum(_unmade({name: begun[name]}, piece) for name in of for part in parts[name] for piece in common(steps, [part])) + len(
            planned - set(of)
        ) * max(sum(window.holds(op.begun) for op in each) for each in of.values())
        lines = sum(window.holds(each.interval.start) and (each.key is None or each.key in parts) for each in missing.values())
        points = [
            *self._judge_share(history, figures, (good, len(during), unmade, lines), window),
            *(
                point
                for gap in sorted(longest, key=lambda gap: -gap.interval.length)
                for point in self._judge_gap(history, gap, gaps, of, window)
            ),
            *(unknown(f"{name} was lost and never called, so how long it was gone is not known") for name in sorted(lost - set(of))),
            *(
                unknown(f"{name} was to be called and never was, so how long it was gone is not known")
                for name in sorted(planned - lost - set(of))
            ),
        ]
        return conclude(
            self.name, history, points, f"{figures} (promised {self.share:.1%}); {worst.text} (allowed {given(self.gap)})", details
        )

    def _judge_share(self, history: History, figures: str, counts: tuple[int, int, float, int], window: Interval) -> list[Point]:
        """Judge the share: by the calls that were told of, and only where those that were due and are missing could not have turned it."""
        good, made, unmade, missing = counts
        text = f"{figures}, {self.share:.1%} were promised{_done_in(history, window)}"
        # A share can still rise in what a history that was cut off does not show; a gap that was too long stays so.
        more = unmade + missing
        if good + more < self.share * (made + more) and whole(history):
            late = (self.share * made - good) / made * window.length
            return [missed(text, over=watched(history, window), by=late, spread=True)]
        if more and good < self.share * (made + more):
            why = f"some {unmade:.0f} more that were due were never made"
            return [unknown(f"{text}; but {answers_missing(missing) if missing else why}")]
        return []

    def _judge_gap(
        self, history: History, gap: _Gap, gaps: Sequence[_Gap], of: Mapping[str, Sequence[Op]], window: Interval
    ) -> list[Point]:
        """Judge one instance, whose longest gap this is, by the longest part of any of its gaps in which it was called all along."""
        if gap.interval.length <= self.gap:
            return []
        called = [
            each
            for found in gaps
            if found.instance == gap.instance and found.interval.length > self.gap
            for each in [_called_all_along(history, found, of)]
            if _witnessed(of[gap.instance], each.interval, self.gap)
        ]
        sure = max(called, key=lambda each: each.interval.length, default=None)
        if sure is not None and sure.interval.length > self.gap:
            text = f"{sure.text}, {given(self.gap)} were allowed{_done_in(history, sure.within or sure.interval)}"
            # From the decision on it is the fault's: what takes a node away may be seconds slow to say so, and so may node truth.
            decided = min((band.begins for band in fault_bands(history) if band.in_force is not None), default=window.start)
            begun = window.start if served(of[gap.instance], decided).refused else sure.interval.start
            parts = [Interval(max(each.interval.start, begun), max(each.interval.end, begun)) for each in called]
            longest = max(parts, key=lambda each: each.length)
            during = longest.length
            if during <= self.gap:
                why = f"it had begun before the fault bit (at {at(begun)}), and {lasted(during)} of it at most are the fault's"
                return [unknown(f"{text}; but {why}", sure.entry)]
            return [missed(text, sure.entry, over=until_late(history, [longest], self.gap), by=during - self.gap)]
        at_most = sure.interval.length if sure is not None else 0.0
        if missing := sum(bool(common([each.interval], [gap.interval])) for each in _untold(history, gap.instance)):
            return [unknown(f"{gap.text}, {given(self.gap)} were allowed; but {answers_missing(missing)}", gap.entry)]
        few = f"calls were made in {lasted(at_most)} of that at most: too few to tell"
        return [unknown(f"{gap.text}, {given(self.gap)} were allowed; but {few}", gap.entry)]


def _done_in(history: History, gap: Interval) -> str:
    """Say what actions were done in a gap, or in all of what is judged, or just before it, that may have made it; nothing where none was."""
    around = Interval(gap.start - AT_ONCE, gap.end)
    done = [each for each in deeds(history) if each.effect.upsets and each.begun <= around.end and around.start <= each.over(history.end)]
    named = [f"{each.name}{' on ' * bool(each.targets)}{' '.join(each.targets)} was done from {at(each.begun)} on" for each in done]
    more = [f"{plural(len(named) - NAMED, 'action')} more"] if len(named) > NAMED else []
    return f" ({', and '.join([*named[:NAMED], *more])})" if named else ""


def _called_all_along(history: History, gap: _Gap, of: Mapping[str, Sequence[Op]]) -> _Gap:
    """Return the longest part of a gap in which the instance was called all along: what we did not ask is no silence of its."""
    missing = [each.interval for each in _untold(history, gap.instance)]
    part = asked_through(history, gap.interval, [op.begun for op in of[gap.instance]], missing)
    return replace(gap, interval=part, within=gap.interval, censored=gap.censored and part.end == gap.interval.end)


def _untold(history: History, instance: str) -> list[Untold]:
    """Return the calls of which lines are missing, and which may have been of an instance."""
    return [each for each in untold(history, "http") if each.key in {None, instance}]


def _worst(history: History, gaps: Sequence[_Gap], of: Mapping[str, Sequence[Op]]) -> _Gap | None:
    """Return the longest gap of all, each as `_called_all_along`; None where there is none."""
    worst: _Gap | None = None
    for gap in sorted(gaps, key=lambda gap: -gap.interval.length):
        if worst is not None and gap.interval.length <= worst.interval.length:
            break
        called = _called_all_along(history, gap, of)
        worst = called if worst is None or called.interval.length > worst.interval.length else worst
    return worst


def _witnessed(calls: Sequence[Op], within: Interval, allowed: float) -> bool:
    """Whether any call in a gap was not answered well, or only after longer than is allowed: good ones may merely stand far apart."""
    meanwhile = (op for op in calls if op.begun < within.end and (op.ended is None or op.ended > within.start))
    return any(not op.ok or (op.latency or 0.0) > allowed for op in meanwhile)


def _spans(op: Op, unseen: Sequence[Interval]) -> bool:
    """Whether a call was under way at any moment of some time."""
    ended = op.begun if op.ended is None else op.ended
    return any(op.begun <= each.end and each.start <= ended for each in unseen)


def _due(wanted: Wanted, instance: str, window: Interval) -> list[Interval]:
    """Return when an instance must run within some time: all of it, where no action changed that."""
    due = wanted.due(instance, window.end)
    return [window] if due is None else common([window], due)


def _unmade(of: Mapping[str, Sequence[Op]], window: Interval) -> float:
    """Return how many calls were due in a window, by each instance's own pace, and were never made."""
    count = 0.0
    for calls in of.values():
        asked = [op.begun for op in calls]
        paces = [late - early for early, late in itertools.pairwise(asked) if late > early]
        if not paces:
            continue
        pace = median(paces)
        before = max((time for time in asked if time <= window.start), default=window.start)
        after = min((time for time in asked if time >= window.end), default=window.end)
        steps = [
            part.length / pace
            for early, late in itertools.pairwise([before, *(time for time in asked if window.start < time < window.end), after])
            for part in common([Interval(early, late)], [window])
        ]
        # What was only made a little later, and then in a hurry, was made.
        count += max(0.0, sum(step - 1 for step in steps if step > SLOWED) - sum(1 - step for step in steps if step < 1 / SLOWED))
    return count


@dataclass(frozen=True, slots=True)
class _Gap:
    """A time without a good answer of one instance."""

    instance: str
    interval: Interval
    censored: bool  # it ran to the end of what was watched
    entry: int
    undue: bool = False  # it was not to run any more then
    within: Interval | None = None  # the whole of it, where `interval` is the part in which calls were made all along

    @property
    def text(self) -> str:
        """The gap in words: of one outage the whole, as everybody else tells it, and what of it was seen."""
        whole = self.within or self.interval
        end = ", until it was to run no more" if self.undue else " and was not back by the end"
        to_the_end = end if self.censored else ""
        seen = f", called all along for {lasted(self.interval.length)} of it"
        part = seen if lasted(whole.length) != lasted(self.interval.length) else ""
        return f"{self.instance} gave no good answer for {lasted(whole.length)} from {at(whole.start)}{to_the_end}{part}"

    def json(self) -> Json:
        """Give the gap as it stands in a verdict file."""
        return {
            "from": neat(self.interval.start),
            "to": neat(self.interval.end),
            "length": neat(self.interval.length),
            "censored": self.censored,
        }


def _window(history: History) -> Interval | None:
    """From when the first fault bit to the end of settling; None where none was in force."""
    spans = node_spans(history)
    begun = [biting(band, spans).start for band in fault_bands(history) if band.in_force is not None]
    if not begun:
        return None
    return Interval(min(begun), max(min(begun), history.observed))


def _gaps(instance: str, calls: Sequence[Op], part: Interval, window: Interval) -> list[_Gap]:
    """Return every stretch of an instance between two good answers in a part of a window, and to the part's end.

    From the last good answer before the window on, where the part begins with it; where none was good before, it was gone from then on: what it was
    before is not the fault's. Nor does what it was before count where the part begins later: it was not to run then.
    """
    good = sorted((op.ended, op.entry) for op in calls if op.ok and op.ended is not None and part.holds(op.ended))
    before = [(op.ended, op.entry) for op in calls if op.ok and op.ended is not None and op.ended < part.start <= window.start]
    marks = [max(before, default=(part.start, calls[0].entry)), *good]
    gaps = [_Gap(instance, Interval(early, late), censored=False, entry=entry) for (early, entry), (late, _) in itertools.pairwise(marks)]
    gaps.append(_Gap(instance, Interval(marks[-1][0], part.end), censored=True, entry=marks[-1][1], undue=part.end < window.end))
    return gaps
