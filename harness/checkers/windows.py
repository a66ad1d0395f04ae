"""The time that a promise is about: all that its checker judges, or only while some faults were in force, or only while none of them was there."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from harness.checkers.judging import Point, Report, doubted, unknown
from harness.core.figures import at, given
from harness.history.bands import biting, fault_bands, not_surely
from harness.history.intervals import Interval, common, neat, node_spans, total, united, without

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from harness.checkers.overlaps import Overlap
    from harness.core.values import Json
    from harness.history.bands import Band
    from harness.history.events import History

SPOKEN = 3
"""Stretches of a time that are told one by one; of more only the first and the last moment, and how many they are."""


@dataclass(frozen=True, slots=True)
class Window:
    """A time that a promise is judged on, in one piece or several, in order; none of them is empty.

    `named` says whose time it is, and is empty where it is all that the checker judges. `apart` is when a fault was there that it leaves out, and
    `doubt` says why nothing that was so in it shows anything.
    """

    pieces: tuple[Interval, ...]
    named: str = ""
    doubt: str = ""
    apart: tuple[Interval, ...] = ()
    whose: str = ""  # the fault's name, where it is one's
    decided: float | None = None  # when that fault was decided, where its time begins with its bite: it may have bitten since

    @classmethod
    def of(cls, whole: Interval) -> Window:
        """Return all of a time."""
        return cls((whole,))

    @property
    def start(self) -> float:
        """When it begins."""
        return self.pieces[0].start

    @property
    def end(self) -> float:
        """When it ends."""
        return self.pieces[-1].end

    @property
    def length(self) -> float:
        """Its seconds, without what lies between its pieces."""
        return total(self.pieces)

    @property
    def longest(self) -> float:
        """The seconds of its longest piece."""
        return max(each.length for each in self.pieces)

    def holds(self, time: float) -> bool:
        """Whether a moment lies in it."""
        return any(each.holds(time) for each in self.pieces)

    def saw(self, times: Sequence[Interval]) -> bool:
        """Whether anything that was so at some times was so in it."""
        return bool(common(times, self.pieces) if self.named else times)

    def cuts(self, time: Interval) -> bool:
        """Whether something that it was so in may have gone on beyond it: it was so until one of its pieces was over."""
        return bool(self.named) and any(each.end == time.end for each in self.pieces)

    @property
    def when(self) -> str:
        """From when to when it goes, in words; with whose time it is, where it is not all."""
        told = [f"from {at(each.start)} to {at(each.end)}" for each in self.pieces]
        times = " and ".join(told) if len(told) <= SPOKEN else f"{len(told)} times from {at(self.start)} to {at(self.end)}"
        return f"{self.named} ({times})" if self.named else times

    @property
    def after_it(self) -> str:
        """Say the same as the end of a sentence; nothing where it is all."""
        return f" {self.when}" if self.named else ""

    def short(self, seconds: float) -> str:
        """Say for how long it would have to last for a question to have its answer."""
        what = f"{self.whose} would have to be in force" if self.whose else "it would have to last"
        return f"too short to tell, {what} for longer than {given(seconds)}"

    def told(self) -> dict[str, Json]:
        """Return it as it stands in a verdict file; nothing where it is all."""
        if not self.named:
            return {}
        return {"window": self.named, "pieces": [{"from": neat(each.start), "to": neat(each.end)} for each in self.pieces]}


@dataclass(frozen=True, slots=True)
class Windows:
    """The times that a promise is judged on, each by itself, and what is not known of them; `whole` is all that its checker judges."""

    each: tuple[Window, ...]
    points: tuple[Point, ...] = ()
    whole: Interval = field(default=Interval(0.0, 0.0), kw_only=True)

    @classmethod
    def of(
        cls, history: History, during: Sequence[str], outside: Sequence[str], numbers: Mapping[str, Sequence[int]], whole: Interval | None
    ) -> Windows:
        """Return the time of each fault that a promise is to be kept `during`, or else the `whole`; of either only what is `outside` of others.

        Where it is judged from the first fault on, and none was ever in force, there is no `whole`, and no time to judge: that is unknown.

        `numbers` are those of the faults by their names: under a name in a repeat each round has one, and its time is judged by itself. A fault's
        time is from when it bit (`harness.history.bands.biting`) until healing began, as for all that is promised of faults. Outside of one is
        what is surely so: before it was decided, and after nothing of it was left. What is about a fault that never was in force is unknown; of one
        that may have been over at any time, nothing convicts and nothing acquits.
        """
        if whole is None:
            return cls((), (never_in_force(then=", so there is no time to judge"),))
        if not during and not outside:
            return cls((Window.of(whole),), whole=whole)
        points = never_made(history, (*during, *outside), numbers)
        if not all_there(history, outside, numbers):
            return cls((), tuple(points), whole=whole)
        apart = tuple(united(band.life(history.end) for _, band in _named(history, outside, numbers)))
        words = " and ".join(outside)
        if not during:
            left = without([whole], apart)
            if not left:
                points.append(unknown(f"no time is left in which {words} was not there"))
            return cls((Window(tuple(left), f"while {words} was not there", apart=apart),) if left else (), tuple(points), whole=whole)
        found: list[Window] = []
        spans = node_spans(history)
        for name, band in _named(history, during, numbers):
            held = band.held(history.end)
            if held is None:
                continue
            begins = biting(band, spans).start
            pieces = without(common([Interval(begins, max(begins, held.end))], [whole]), apart)
            said = f"while {name} was in force{f' and {words} was not' if outside else ''}"
            if pieces:
                decided = band.begins if pieces[0].start == begins else None
                doubt = not_surely(band, spans, history.end)
                found.append(Window(tuple(pieces), said, doubt, apart, name, decided))
            else:
                points.append(unknown(f"no time is left {said}", *band.entries))
        return cls(tuple(found), tuple(points), whole=whole)

    def judged(self, judge: Callable[[Window], Report], *, since_decided: bool = True) -> tuple[list[Point], str, dict[str, Json]]:
        """Judge each of these times, and return all points, the sentence for what held, and the details, in order.

        What was found in a time of which it is not known whether it was the fault's convicts nobody, and acquits nobody. So does, with
        `since_decided`, what would convict if its time had begun with the decision of the fault.
        """
        points, held, details = list(self.points), [], []
        for window in self.each:
            report = judge(window)
            points += [doubted(point, window.doubt) for point in report.points]
            points += _before_the_bite(window, report, judge) if since_decided else []
            if window.doubt and not report.points:
                points.append(unknown(f"{report.held}; but {window.doubt}"))
            held.append(report.held)
            details.append({**window.told(), **(report.details if isinstance(report.details, dict) else {})})
        several: dict[str, Json] = {"windows": [*details]}
        return points, "; ".join(held), details[0] if len(details) == 1 else several if details else {}


def _before_the_bite(window: Window, report: Report, judge: Callable[[Window], Report]) -> list[Point]:
    """Doubt what held since a fault had bitten, by what speaks against it since the fault was decided: it may have bitten then."""
    if window.decided is None or window.decided >= window.start or report.points:
        return []
    since = replace(window, pieces=(Interval(window.decided, window.pieces[0].end), *window.pieces[1:]), decided=None)
    why = f"nobody knows whether {window.whose} had bitten before {at(window.start)}"
    return [doubted(each, why) for each in judge(since).points]


def within(window: Window, found: Iterable[Overlap]) -> list[Overlap]:
    """Return what of these lies in a time; where that is all that is judged, they are as they were."""
    if not window.named:
        return list(found)
    parts = [(each, piece) for each in found for piece in common([each.interval], window.pieces)]
    return [replace(each, interval=piece, whole=each.whole or each.interval) for each, piece in parts]


def never_in_force(but: Sequence[str] = (), then: str = "") -> Point:
    """Say that no fault was ever in force (`but` perhaps those of these names), and what follows from it (`then`, the rest of the sentence)."""
    others = f" but {' and '.join(but)}" if but else ""
    return unknown(f"no fault{others} was ever in force{then}")


def never_made(history: History, names: Iterable[str], numbers: Mapping[str, Sequence[int]]) -> list[Point]:
    """Doubt what is said of faults of these names that never came into force, or of which nobody knows which they are."""
    bands = {band.fault: band for band in fault_bands(history)}
    points = []
    for name in names:
        if not numbers.get(name):
            points.append(unknown(f"which fault is called {name} is not known"))
        for number in numbers.get(name, ()):
            band = bands.get(number)
            if band is None:
                points.append(unknown(f"{name} (fault {number}) was never made"))
            elif band.in_force is None:
                points.append(unknown(f"{name} ({band.called} on {band.where}) never came into force", *band.entries))
    return points


def all_there(history: History, names: Iterable[str], numbers: Mapping[str, Sequence[int]]) -> bool:
    """Whether a history tells of all faults of these names: else nobody knows what there was without them."""
    bands = {band.fault for band in fault_bands(history)}
    return all(numbers.get(name) and bands.issuperset(numbers[name]) for name in names)


def _named(history: History, names: Iterable[str], numbers: Mapping[str, Sequence[int]]) -> Iterator[tuple[str, Band]]:
    """Yield the faults of these names that were decided, in the order of the names."""
    bands = {band.fault: band for band in fault_bands(history)}
    for name in names:
        yield from ((name, bands[number]) for number in numbers.get(name, ()) if number in bands)
