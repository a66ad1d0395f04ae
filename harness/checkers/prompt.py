"""How long calls to an app took to be answered well."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from harness.checkers.expected import Expected
from harness.checkers.judging import Report, answers_missing, broken, conclude, doubted, plural, unknown
from harness.checkers.outages import judged_time, under_way_in, unmade_of
from harness.checkers.slowness import slowness
from harness.checkers.troubles import BUSY, WORTH_A_LINE, blind
from harness.checkers.usual import FEWEST, calm
from harness.checkers.windows import Window, Windows
from harness.core.figures import quick
from harness.core.units import Duration, Names
from harness.core.values import About, CallStream
from harness.history.bands import fault_bands
from harness.history.calls import ops, untold
from harness.history.intervals import Interval, app_of, neat

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from harness.core.values import Finding, Json
    from harness.history.calls import Op
    from harness.history.events import History

PART = 0.99
"""The part of all calls that counts: a 99th percentile, by the nearest rank."""


@dataclass(frozen=True, slots=True)
class Took:
    """How long the calls of some time took: of one in a hundred that was not answered well nobody knows more than that it was longer than all."""

    calls: int
    bad: int
    p99: float  # seconds; infinite where more than one in a hundred was not answered well

    @classmethod
    def of(cls, calls: Sequence[Op], more: int = 0) -> Took:
        """Return it of some calls, and of so many `more` that were not answered well."""
        times = sorted([op.latency if op.ok and op.latency is not None else math.inf for op in calls] + [math.inf] * more)
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

    What was too slow before anything was broken, or may have been (fewer than 20 calls), convicts nobody. On a machine with too much to do nobody
    knows whose doing it was, but for what was well before a fault, and was well again after it: then it was that fault's, which may be that load
    itself. Calls that were under way while the harness stood still do not count, and where the answers of so many are missing, or so many that
    were due were never made, that they could turn it, it is unknown; so it is with fewer than 20.
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
        windows = Windows.of(history, self.during, self.outside, self.expected.numbers, judged_time(history))
        return conclude(self.name, history, *windows.judged(lambda window: self._judged(history, window), since_decided=False))

    def _judged(self, history: History, window: Window) -> Report:
        unseen = [*blind(history), *window.apart]
        every = [op for op in ops(history, CallStream.APP) if app_of(op.call.key) == self.app and not op.ours]
        missing = {each.op: each for each in untold(history, CallStream.APP) if each.key is None or app_of(each.key) == self.app}
        calls = [op for op in every if op.op not in missing and not under_way_in(op, unseen)]
        lines = sum(window.holds(each.interval.start) for each in missing.values())
        usual = calm(history, self.app)
        before = _within(calls, [Interval(usual.start, min(usual.end, window.start))])
        last = max((band.life(history.end).end for band in fault_bands(history)), default=window.end)
        after = _within(calls, [Interval(max(last, window.end), max(last, window.end, history.observed))])
        took = Took.of(_within(calls, window.pieces))
        text = f"99 in 100 calls to {self.app} {window.when} were answered well within {took.words}"
        beside = [f"{Took.of(each).words} {when}" for each, when in ((before, "before"), (after, "after")) if each]
        told: dict[str, Json] = {"from": neat(window.start), "to": neat(window.end), "meanwhile": took.json()}
        told |= {"before": Took.of(before).json(), "after": Took.of(after).json()}
        text += f", {' and '.join(beside)}" if beside else ""
        if took.calls < FEWEST:
            return Report(
                [unknown(f"only {plural(took.calls, 'call')} to {self.app} {window.when}; {FEWEST} are needed to judge")], details=told
            )
        if took.p99 <= self.p99:
            of = {name: [op for op in every if op.call.key == name] for name in {op.call.key for op in every}}
            unmade = math.ceil(sum(unmade_of(of, piece) for piece in window.pieces))
            doubt = Took.of(_within(calls, window.pieces), lines + unmade).p99 > self.p99
            why = answers_missing(lines) if lines else f"{plural(unmade, 'call')} that were due then were never made"
            points = [unknown(f"{text}; but {why}")] if doubt else []
            return Report(points, f"{text} (promised {quick(self.p99)})", told)
        slow = [op for op in _within(calls, window.pieces) if not op.ok or (op.latency or 0.0) > self.p99]
        point = broken(f"{text}; {quick(self.p99)} were promised", *(op.entry for op in slow))
        return Report([doubted(point, self._doubt(history, window, before, after))], details=told)

    def _doubt(self, history: History, window: Window, before: Sequence[Op], after: Sequence[Op]) -> str:
        """Say why what was too slow may be no fault's doing; nothing where nothing says so."""
        if len(before) < FEWEST:
            return f"before anything was broken only {plural(len(before), 'call')} were made, so nobody knows how it was"
        if Took.of(before).p99 > self.p99:
            return "so it was before anything was broken"
        well = len(after) >= FEWEST and Took.of(after).p99 <= self.p99
        busy = slowness(history, list(window.pieces)).factor >= WORTH_A_LINE
        return BUSY if busy and not well else ""


def _within(calls: Iterable[Op], pieces: Sequence[Interval]) -> list[Op]:
    return [op for op in calls if any(each.start <= op.begun < each.end for each in pieces)]
