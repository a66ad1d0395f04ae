"""Whether disks were as fast, or as slow, as a scenario supposes, by what its own steps measured of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from harness.checkers.expected import Expected
from harness.checkers.judging import Report, broken, conclude, doubted, missed, unknown
from harness.checkers.troubles import not_let_run
from harness.checkers.windows import Window, Windows
from harness.core.figures import at, exact, given, quick
from harness.core.syncs import MEASURE, read
from harness.core.units import Duration, Names
from harness.core.values import Outcome
from harness.history.deeds import deeds
from harness.history.intervals import Interval, neat

if TYPE_CHECKING:
    from harness.checkers.judging import Point
    from harness.core.values import Finding, Json
    from harness.history.events import History


@dataclass(frozen=True, slots=True)
class Synced:
    """Each time that a step measured a disk (`do: disk.measure`), the 99th percentile of fdatasync was `most` at most, and `least` at least.

    Of fewer than a hundred writes it is the longest. What took too long on machines that stood still, or had too much to do, is unknown: whoever
    waits for a processor has written late as well. What was too quick convicts: nothing makes a disk faster. Where nothing was measured it is
    unknown.

    With `during` only what was measured while a fault was in force counts, from its begin to its end, and with `outside` only what was without one.
    """

    name: ClassVar[str] = "fdatasync"
    most: Duration | None = None
    least: Duration | None = None
    expected: Expected = field(default_factory=Expected)  # filled in by the plan
    during: Names = ()
    outside: Names = ()

    def __post_init__(self) -> None:
        """Raise `ValueError` where nothing is promised, or nothing could keep it."""
        if self.most is None and self.least is None:
            raise ValueError("found neither most nor least, expected one of them, or both: how long a write takes at most, and at least")
        if isinstance(self.most, float) and isinstance(self.least, float) and self.most < self.least:
            raise ValueError(f"found least {given(self.least)} above most {given(self.most)}, expected it to be below")

    def check(self, history: History) -> Finding:
        """Return held, broken, or unknown; details hold each measurement."""
        whole = Interval(0.0, max(history.end, 0.0))
        windows = Windows.of(history, self.during, self.outside, self.expected.numbers, whole)
        return conclude(self.name, history, *windows.judged(lambda window: self._judged(history, window), since_decided=False))

    def _judged(self, history: History, window: Window) -> Report:
        points: list[Point] = []
        told: list[Json] = []
        said: list[str] = []
        for deed in deeds(history):
            over = Interval(deed.begun, deed.over(history.end))
            inside = any(each.start <= over.start and over.end <= each.end for each in window.pieces)
            measured = deed.name == MEASURE and deed.outcome is Outcome.OK
            for node, (p99, writes) in read(deed.detail).items() if measured and inside else ():
                text = f"the p99 of fdatasync on {node} was {exact(p99)} ({writes} writes) at {at(over.start)}"
                told.append({"node": node, "at": neat(over.start), "p99": p99, "count": writes})
                said.append(text)
                if self.most is not None and p99 > self.most:
                    slower = missed(f"{text}, and {quick(self.most)} were promised at most", *deed.entries, over=[over])
                    points.append(doubted(slower, not_let_run(history, over)))
                if self.least is not None and p99 < self.least:
                    points.append(broken(f"{text}, and {quick(self.least)} were promised at least", *deed.entries))
        if not told:
            return Report([unknown(f"no disk was measured{f' {window.when}' if window.named else ''}")])
        bounds = [f"{quick(bound)} at {word}" for bound, word in ((self.most, "most"), (self.least, "least")) if bound is not None]
        return Report(points, f"{'; '.join(said)} (promised {', '.join(bounds)})", {"measured": told})
