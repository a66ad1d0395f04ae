"""How much of the service was there while things were broken."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

from harness.checkers.either_way import either_way
from harness.checkers.expected import Expected
from harness.checkers.judging import Report, conclude, doubted, plural, unknown
from harness.checkers.outages import (
    before_the_bite,
    early_gaps,
    gone_until,
    judge_gap,
    judge_share,
    judged_time,
    outages,
    under_way_in,
    unmade_of,
    worst_of,
)
from harness.checkers.troubles import blind, pace
from harness.checkers.usual import FEWEST, usually
from harness.checkers.windows import Window, Windows
from harness.core.figures import given
from harness.core.figures import share as figure
from harness.core.instances import app_of
from harness.core.units import Duration, Names, Share
from harness.core.values import About, CallStream, Outcome
from harness.history.calls import ops, untold
from harness.history.deeds import Wanted, deeds
from harness.history.intervals import BLIND_AFTER, Interval, common, neat, total, united
from harness.history.recovery import displaced

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.core.values import Finding, Json
    from harness.history.calls import Op
    from harness.history.events import History


@dataclass(frozen=True, slots=True)
class Availability:
    """Of the HTTP calls from the first fault's bite to the end of settling, at least `share` were good, and no instance was gone longer than `gap`.

    With `during` it is about the time of a fault alone, and with `outside` about what is left without one (`harness.checkers.windows`): no gap goes
    on beyond it then, and one that had not ended when a time was over in which none could be too long makes it unknown.
    As many bad calls of each instance as were usual before anything was broken break no share.

    A fault bites when it takes away the first of its targets, which may be before it is in force (`harness.history.bands.biting`). A call whose fate
    is unknown counts as not good; one that was under way while the harness stood still does not count, and one of which a line is missing may have
    been good. A gap is the time between two good answers of one instance, also where the first of them was before the bite; but where calls had ended
    badly just before any fault was decided it had begun without one, and convicts only if it is too long from the bite on. Whoever had been gone for
    a while then convicts nobody until it was back, and so does a gap that is no longer than one before anything was broken and what is allowed. What
    was over between the decision and the bite as far as it is known, or is a share only with the calls of that time, is unknown. Both count whoever
    kept calls from an answer, the run's own actions too: those that were done meanwhile are named. A gap that runs to the end of settling counts with
    the length that was seen (it is censored, not over). Where calls that were due by their own pace were never made, and could have turned the share,
    it is unknown.
    Only calls that were made convict: a gap in which nobody called is unknown, or one of calls that were all answered well and stand too far apart,
    and so is what became of an instance that was lost, or was to be called (`expected`, filled in by the plan), and that nobody called at all.
    """

    name: ClassVar[str] = "availability"
    about: ClassVar[About] = About(CallStream.APP)
    app: str
    share: Share
    gap: Duration
    expected: Expected = field(default_factory=Expected)
    during: Names = ()
    outside: Names = ()

    def check(self, history: History) -> Finding:
        """Return held, broken, or unknown with fewer than 20 calls; details hold the share, the counts and the longest gap per instance."""
        return either_way(history, self._check, self.expected.voters)

    def _check(self, history: History) -> Finding:
        every = [op for op in ops(history, CallStream.APP) if app_of(op.call.key) == self.app]
        windows = Windows.of(history, self.during, self.outside, self.expected.numbers, judged_time(history))
        return conclude(self.name, history, *windows.judged(lambda window: self._judged(history, every, window), since_decided=False))

    def _judged(self, history: History, every: Sequence[Op], window: Window) -> Report:
        """Judge the calls of one time."""
        # Of a call that was under way while we stood still, or while a fault was there that is left out, we cannot say how it would have ended.
        unseen = [*blind(history), *window.apart]
        # Where an action changed how many are to run, each is judged while it is to.
        wanted = Wanted.of(deeds(history))
        parts = {name: _due(wanted, name, window) for name in {op.call.key for op in every}}
        changed = {name for name in parts if wanted.due(name, window.end) is not None}
        every = [
            op
            for op in every
            if op.call.key not in changed or op.begun < window.start or any(each.holds(op.begun) for each in parts[op.call.key])
        ]
        # Those of which lines are missing may have been good ones.
        missing = {each.op: each for each in untold(history, CallStream.APP)}
        calls = [op for op in every if op.op not in missing]
        made = [op for op in calls if window.holds(op.begun)]
        during = [op for op in made if not under_way_in(op, unseen)]
        good = sum(op.ok for op in during)
        of = {name: [op for op in calls if op.call.key == name] for name in sorted({op.call.key for op in calls})}
        of = {name: found for name, found in of.items() if parts[name]}
        gaps = [gap for name in of for part in parts[name] for gap in outages(name, of[name], part, window)]
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
        worst = worst_of(history, gaps, of)
        if len(during) < FEWEST or worst is None:
            when = window.when if window.named else "while things were broken"
            few = f"only {plural(len(during), 'call')} to {self.app} {when}; {FEWEST} are needed to judge"
            paces = [pace([op.begun for op in found]) for found in of.values()]
            due = sum(1.0 / each for each in paces if each > 0.0)
            short = f": {window.short(FEWEST / due)}" if window.named and 0.0 < due * window.length < FEWEST else ""
            return Report([unknown(f"{few}{short}")], details=details)
        figures = f"{figure(good / len(during), self.share)} of {len(during)} calls to {self.app} {window.when} were answered well"
        if len(made) > len(during):
            stood = "somebody stood still" if not window.apart else "somebody stood still, or a fault was there that is left out"
            figures += f" (not counted: {plural(len(made) - len(during), 'call')} under way while {stood})"
        # An instance that was asked for only at the end may not have been called any more.
        number = wanted.most(self.app, self.expected.count().get(self.app, 0))
        more = {name for name in self.expected.calls(self.app, number) if total(_due(wanted, name, window)) > BLIND_AFTER}
        planned = more | {name for name in self.expected.called if app_of(name) == self.app and _due(wanted, name, window)}
        lost = {one.instance for one in displaced(history, self.expected.voters) if app_of(one.instance) == self.app}
        # Of an instance that was to be called, and never was, as many calls are missing as others had.
        edges = sorted({window.start, *(each.over(window.end) for each in wanted.changes.get(self.app, ())), window.end})
        steps = [Interval(early, late) for early, late in itertools.pairwise(edges) if window.start <= early and late <= window.end]
        begun = {name: [op for op in every if op.call.key == name] for name in of}
        unmade = sum(unmade_of({name: begun[name]}, piece) for name in of for part in parts[name] for piece in common(steps, [part])) + len(
            planned - set(of)
        ) * max(sum(window.holds(op.begun) for op in each) for each in of.values())
        lines = sum(each.begun_in(window.pieces) and (each.key is None or each.key in parts) for each in missing.values())
        early = before_the_bite(history, window)
        before = {name: united(_due(wanted, name, early)) for name in of}
        first = [op for name in of for op in of[name] for part in before[name] if part.start <= op.begun < part.end]
        shares = judge_share(
            history,
            self.share,
            figures,
            (good, len(during), unmade, lines),
            window,
            bad=[op for op in during if not op.ok],
            early=[op for op in first if not under_way_in(op, unseen)],
            usual=usually(history, calls, during, window.length, self.app),
            app=self.app,
        )
        points = [
            *(doubted(point, _but_for_the_gone(history, self.share, during, of)) for point in shares),
            *(
                point
                for name, pieces in before.items()
                for part in pieces
                for point in early_gaps(history, self.gap, name, of[name], replace(early, pieces=(part,)), parts[name])
            ),
            *(
                point
                for gap in sorted(longest, key=lambda gap: -gap.interval.length)
                for point in judge_gap(history, self.gap, gap, gaps, of, window)
            ),
            *(unknown(f"{name} was lost and never called, so how long it was gone is not known") for name in sorted(lost - set(of))),
            *(
                unknown(f"{name} was to be called and never was, so how long it was gone is not known")
                for name in sorted(planned - lost - set(of))
            ),
        ]
        return Report(points, f"{figures} (promised {figure(self.share)}); {worst.text} (allowed {given(self.gap)})", details)


def _but_for_the_gone(history: History, share: float, during: Sequence[Op], of: Mapping[str, Sequence[Op]]) -> str:
    """Say that a share is kept without the calls to who was gone before anything was broken, until each was back; nothing where it is not."""
    back = {name: until for name, calls in of.items() if (until := gone_until(history, calls)) > -math.inf}
    left = [op for op in during if op.ok or op.begun >= back.get(op.call.key, -math.inf)]
    if not back or sum(op.ok for op in left) < share * len(left):
        return ""
    whose = "their" if len(back) > 1 else "its"
    return f"{' and '.join(back)} had been gone before the first fault was decided, and without {whose} calls the share is kept"


def _due(wanted: Wanted, instance: str, window: Window) -> list[Interval]:
    """Return when an instance must run within some time: all of it, where no action changed that."""
    due = wanted.due(instance, window.end)
    return [*window.pieces] if due is None else common(window.pieces, due)
