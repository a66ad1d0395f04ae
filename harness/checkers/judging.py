"""How a checker comes from what it noticed to its finding; shared by all of them."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.checkers import seams, troubles
from harness.core.figures import at, given
from harness.core.values import Finding, Json, Phase, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.history.events import History
    from harness.history.intervals import Interval

SHOWN = 50
"""At most so many single cases stand in a finding's details, beside their full count: a verdict file is read by people."""

SPOKEN = 2
"""At most so many points stand in a summary; the rest is counted there and listed in the details."""


@dataclass(frozen=True, slots=True)
class Point:
    """One thing that speaks against *held*: a verdict, half a sentence, and where in the history it stands.

    What was *seen* convicts by itself. What *did not happen*, or happened too late, convicts only if somebody looked and the machines were let run
    `over` all that time: `conclude` asks, for every checker alike. `by` is by how many seconds it is beyond what was allowed, `work` how many seconds
    of it were work that slowness makes longer, and `spread` says that they lie anywhere in that time. `itself` is when something happened that
    happens without anybody's doing, too, where slowness is beyond all timers.
    """

    verdict: Verdict
    text: str
    evidence: tuple[int, ...] = ()
    over: tuple[Interval, ...] = ()
    by: float = math.inf
    work: float = math.inf
    spread: bool = False
    itself: Interval | None = None
    excuse: troubles.Excuse | None = None  # why it convicts nobody after all

    @property
    def said(self) -> str:
        """All that is to be said of it, with the sum behind an excuse."""
        if self.excuse is None:
            return self.text
        return f"{self.text}; but {self.excuse.text}{f' ({self.excuse.sum})' if self.excuse.sum else ''}"


@dataclass(frozen=True, slots=True)
class Report:
    """What was found of one promise under one fault."""

    points: list[Point]
    held: str = ""
    details: Json = None


def broken(text: str, *evidence: int) -> Point:
    """Make a point that convicts by what was seen, however slow anybody was: a write that is gone, two in one place."""
    return Point(Verdict.BROKEN, text, evidence)


def missed(
    text: str,
    *evidence: int,
    over: Sequence[Interval],
    by: float = math.inf,
    work: float = math.inf,
    spread: bool = False,
    itself: Interval | None = None,
) -> Point:
    """Make a point that convicts by what did not happen in time; unknown where that is the doing of whoever stood still, or of a slow machine.

    See `harness.checkers.troubles.why_not`. Infinite `by` is for what no lateness explains.
    """
    return Point(Verdict.BROKEN, text, evidence, tuple(over), by, work, spread, itself)


def unknown(text: str, *evidence: int) -> Point:
    """Make a point that forbids a judgement."""
    return Point(Verdict.UNKNOWN, text, evidence)


def doubted(point: Point, why: str) -> Point:
    """Return a point that convicts as one that forbids a judgement, for that reason; as it is where there is none."""
    return replace(point, verdict=Verdict.UNKNOWN, text=f"{point.text}; but {why}") if why and point.verdict is Verdict.BROKEN else point


def whole(history: History) -> bool:
    """Whether the run came to its end: a history that stops before was cut off, and what it does not show may still have happened."""
    return history.phase(Phase.DONE) is not None


def conclude(checker: str, history: History, points: Sequence[Point], held: str, details: Mapping[str, Json] | None = None) -> Finding:
    """Return the worst point as the finding, or *held* with the sentence `held` where there is none.

    A history that was cut off, or that is not whole, can convict, but cannot acquit. What was missed while we, or the
    machines, stood still is unknown; and where two runs are told in one, nothing of it convicts anybody.
    """
    why = _not_whole(history)
    weighed = [_weighed(point, history) for point in points]
    every = [*why, *weighed] if history.breach is not None else [*weighed, *why]
    more = dict(details or {})
    if not every:
        return Finding(checker, Verdict.HELD, held, more)
    verdict = Verdict.worst(point.verdict for point in every)
    worst = [point for point in every if point.verdict is verdict]
    summary = _summary(worst[:SPOKEN])
    if len(worst) > SPOKEN:
        summary += f"; and {len(worst) - SPOKEN} more"
    if len(every) > 1 or any(point.excuse and point.excuse.sum for point in every):
        more["points"] = [f"{point.verdict}: {point.said}" for point in every[:SHOWN]]
    evidence = tuple(dict.fromkeys(index for point in worst for index in point.evidence))[:SHOWN]
    return Finding(checker, verdict, summary, more, evidence)


def _summary(points: Sequence[Point]) -> str:
    """Put points into one line: what excuses several of them alike is said once, and without its sums."""
    said = []
    for why, alike in itertools.groupby(points, lambda point: point.excuse.text if point.excuse else ""):
        said.append("; ".join([*(point.text for point in alike), *([f"but {why}"] if why else [])]))
    return "; ".join(said)


def _not_whole(history: History) -> list[Point]:
    if history.breach is not None:
        return [unknown(f"{history.breach}; nothing from there on is evidence")]
    if not history.entries:
        return [unknown("the history is empty")]
    if not whole(history):
        return [unknown(f"the history ends at {at(history.end)}, before the end of the run", history.entries[-1].index)]
    if not history.closed:
        return [unknown(f"the history was never closed: what came after {at(history.end)} may be missing", history.entries[-1].index)]
    return []


def _weighed(point: Point, history: History) -> Point:
    """Return a point, or that it is unknown, with the reason, where its evidence does not stand alone."""
    if point.verdict is not Verdict.BROKEN:
        return point
    if why := seams.seam(history):
        return doubted(point, why)
    if not point.over:
        return point
    why_not = troubles.why_not(history, point.over, point.by, work=point.work, spread=point.spread, itself=point.itself)
    return point if why_not is None else replace(point, verdict=Verdict.UNKNOWN, excuse=why_not)


def too_short(seconds: float, length: float = 0.0) -> str:
    """Say for how long a fault would have to be in force for a question to have its answer; `length` is for how long it was."""
    if length >= seconds:
        return f"too short to tell, it would have to be in force for longer than {given(seconds)}"
    return f"too short to tell, it would have to be in force for {given(seconds)} at least"


def answers_missing(count: int) -> str:
    """Say of so many calls that what became of them is not told, though it must have been (`harness.history.calls.untold`)."""
    return f"the answers of {plural(count, 'call')} are missing, which may have been good"


def plural(count: int, noun: str) -> str:
    """Give ``1 call`` or ``3 calls``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
