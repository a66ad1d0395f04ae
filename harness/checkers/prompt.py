"""How long calls to an app took to be answered well."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

from harness.checkers.either_way import either_way
from harness.checkers.expected import Expected
from harness.checkers.judging import Report, conclude, doubted, plural, unknown
from harness.checkers.outages import before_the_bite, judge_share, judged_time, under_way_in, unmade_of
from harness.checkers.slowness import SEEN_LATE, slowness
from harness.checkers.troubles import BUSY, WORTH_A_LINE, blind
from harness.checkers.usual import FEWEST, calm, usually
from harness.checkers.windows import Window, Windows
from harness.core.figures import quick
from harness.core.instances import app_of
from harness.core.units import Duration, Names
from harness.core.values import About, CallStream, Loss, Outcome
from harness.history.bands import fault_bands
from harness.history.calls import ops, untold
from harness.history.deeds import Wanted, deeds
from harness.history.intervals import Interval, common, neat, without

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from harness.core.values import Finding, Json
    from harness.history.calls import Op
    from harness.history.events import History

PART = 0.99
"""The part of all calls that counts: a 99th percentile, by the nearest rank."""

MOSTLY = 5.0
"""A load that is so many times what there was without a fault is the fault's own: others would have had to multiply theirs in the same moment."""


@dataclass(frozen=True, slots=True)
class Took:
    """How long the calls of some time took: of one in a hundred that was not answered well nobody knows more than that it was longer than all."""

    calls: int
    bad: int
    p99: float  # seconds; infinite where more than one in a hundred was not answered well

    @classmethod
    def of(cls, calls: Sequence[Op]) -> Took:
        """Return it of some calls."""
        times = sorted(op.latency if op.ok and op.latency is not None else math.inf for op in calls)
        rank = math.ceil(PART * len(times)) - 1
        return cls(len(times), sum(math.isinf(each) for each in times), times[rank] if times else math.nan)

    @property
    def words(self) -> str:
        """Say it."""
        bad = f", {self.bad} not well" if self.bad else ""
        return f"{'no good answer' if math.isinf(self.p99) else quick(self.p99)} ({plural(self.calls, 'call')}{bad})"

    def json(self) -> Json:
        """Return it as it stands in a verdict file."""
        return {"calls": self.calls, "bad": self.bad, "p99": round(self.p99, 6) if math.isfinite(self.p99) else None}


@dataclass(frozen=True, slots=True)
class Prompt:
    """Of the HTTP calls to an app, from the first fault's bite to the end of settling, 99 in a hundred were answered well within `p99`.

    One that was not answered well took longer than any. With `during` it is about the time of a fault alone, and with `outside` about what is left
    without one (`harness.checkers.windows`). What is told beside it is how long calls took before anything was broken, and after.

    What was too slow before anything was broken, or may have been (fewer than 20 calls), convicts nobody; nor does what was as slow before
    for as long. On a machine with too much to do nobody knows whose doing it was, but for what was well before a fault that takes nothing away,
    and was well again after it: then it was that fault's, which may be that load itself, unless there was too much to do without it, too. Calls that
    were under way while the harness stood still, and those to an instance that was not to run, do not count. Where so many answers are missing, or
    calls were not made, or were made before it is known that the fault had bitten, that they could turn it, it is unknown; as it is with fewer than
    20.
    """

    name: ClassVar[str] = "latency"
    about: ClassVar[About] = About(CallStream.APP)
    app: str
    p99: Duration
    expected: Expected = field(default_factory=Expected)
    during: Names = ()
    outside: Names = ()

    def check(self, history: History) -> Finding:
        """Return held, broken, or unknown; details hold how long calls took before, meanwhile and after."""
        return either_way(history, self._check, self.expected.voters)

    def _check(self, history: History) -> Finding:
        windows = Windows.of(history, self.during, self.outside, self.expected.numbers, judged_time(history))
        return conclude(self.name, history, *windows.judged(lambda window: self._judged(history, window), since_decided=False))

    def _judged(self, history: History, window: Window) -> Report:
        unseen = [*blind(history), *window.apart]
        wanted = Wanted.of(deeds(history))
        of: dict[str, list[Op]] = {}
        for op in ops(history, CallStream.APP):
            if app_of(op.call.key) == self.app and not op.ours:
                of.setdefault(op.call.key, []).append(op)
        due = {name: wanted.due(name, history.end) for name in of}  # None: all along
        every = [op for name, each in of.items() for op in each if op.begun < window.start or _was_to_run(due[name], op.begun)]
        missing = {each.op: each for each in untold(history, CallStream.APP) if each.key is None or app_of(each.key) == self.app}
        calls = [op for op in every if op.op not in missing and not under_way_in(op, unseen)]
        lines = sum(each.begun_in(window.pieces) for each in missing.values())
        usual = calm(history, self.app)
        before = Took.of(_within(calls, [Interval(usual.start, min(usual.end, window.start))]))
        last = max((band.life(history.end).end for band in fault_bands(history)), default=window.end)
        after = Took.of(_within(calls, [Interval(max(last, window.end), max(last, window.end, history.observed))]))
        during = _within(calls, window.pieces)
        took = Took.of(during)
        text = f"99 in 100 calls to {self.app} {window.when} were answered well within {took.words}"
        beside = [f"{each.words} {when}" for each, when in ((before, "before"), (after, "after")) if each.calls]
        told: dict[str, Json] = {"from": neat(window.start), "to": neat(window.end), "meanwhile": took.json()}
        told |= {"before": before.json(), "after": after.json()}
        text += f", {' and '.join(beside)}" if beside else ""
        if took.calls < FEWEST:
            return Report(
                [unknown(f"only {plural(took.calls, 'call')} to {self.app} {window.when}; {FEWEST} are needed to judge")], details=told
            )
        unmade = sum(
            unmade_of({name: of[name]}, part)
            for name, times in due.items()
            for part in without(window.pieces if times is None else common(window.pieces, times), unseen)
        )
        late = [self._as_promised(op) for op in during]
        points = judge_share(
            history,
            PART,
            text,
            (sum(op.ok for op in late), len(late), unmade, lines),
            window,
            bad=[op for op in late if not op.ok],
            early=[self._as_promised(op) for op in _within(calls, before_the_bite(history, window).pieces)],
            usual=usually(history, map(self._as_promised, calls), late, window.length, self.app),
            app=self.app,
            promised=quick(self.p99),
        )
        own = self._own_load(history, window, Interval(usual.start, history.observed), after)
        points = [doubted(replace(each, by=math.inf) if own else each, self._doubt(history, window, before, own=own)) for each in points]
        return Report(points, f"{text} (promised {quick(self.p99)})", told)

    def _as_promised(self, op: Op) -> Op:
        """Return a call as one that went badly where it took longer than was promised."""
        return replace(op, outcome=Outcome.FAIL) if op.ok and (op.latency or 0.0) > self.p99 else op

    def _own_load(self, history: History, window: Window, seen: Interval, after: Took) -> bool:
        """Whether a load would be the doing of what was there all that time: that takes nothing away, and all was well again once it was over.

        A machine that had too much to do without any fault, too, has somebody else's load: of no less nobody knows what it does to a cluster that is
        busy itself. Where it was next to nothing beside the other, that other is the fault's.
        """
        bands = fault_bands(history)
        lives = [each.life(history.end) for each in bands if each.in_force is not None and each.traits.loses is Loss.NOTHING]
        if without(window.pieces, lives) or after.calls < FEWEST or after.p99 > self.p99:
            return False
        broken = [Interval(life.start, life.end + SEEN_LATE) for life in (each.life(history.end) for each in bands)]
        others = slowness(history, without([seen], broken)).factor
        return others < WORTH_A_LINE or slowness(history, list(window.pieces)).factor >= MOSTLY * others

    def _doubt(self, history: History, window: Window, before: Took, *, own: bool) -> str:
        """Say why what was too slow may be no fault's doing; nothing where nothing says so."""
        if before.calls < FEWEST:
            return f"before anything was broken only {plural(before.calls, 'call')} were made, so nobody knows how it was"
        if before.p99 > self.p99:
            return "so it was before anything was broken"
        return BUSY if not own and slowness(history, list(window.pieces)).factor >= WORTH_A_LINE else ""


def _was_to_run(due: Sequence[Interval] | None, time: float) -> bool:
    return due is None or any(each.holds(time) for each in due)


def _within(calls: Iterable[Op], pieces: Sequence[Interval]) -> list[Op]:
    return [op for op in calls if any(each.start <= op.begun < each.end for each in pieces)]
