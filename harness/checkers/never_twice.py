"""Whether an app, or each instance of it, ever ran twice, wherever that was."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

from harness.checkers.expected import Expected
from harness.checkers.judging import SHOWN, Point, Report, broken, conclude, missed, unknown
from harness.checkers.overlaps import RESOLUTION, Overlap, double_runs, not_seen, shown, twice
from harness.checkers.troubles import until_late
from harness.checkers.windows import Window, Windows, within
from harness.core.figures import at, given, lasted
from harness.core.instances import app_of, number_of
from harness.core.units import Duration, Names
from harness.history.intervals import Interval, common, neat, never_seen, node_spans, united, without

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from harness.core.values import Finding, Json
    from harness.history.events import History


@dataclass(frozen=True, slots=True)
class Single:
    """No instance of the app ever ran in two containers at once, on one node or on two, by node truth; or for `longest` at most.

    For what must not run twice: a database on shared storage, a scheduler, a migration. With `longest` so long is fine, each time; how long each was
    is told in any case. `conflicts` promises less: that is about one node. What is shorter than node truth can tell (0.1 s) convicts nobody. Unknown
    where a node could not be asked while it may have been so, where one look alone showed it (`harness.checkers.overlaps`), and where no instance
    ever ran. With `during` it is about the time of a fault alone, and with `outside` about what is left without one (`harness.checkers.windows`);
    what of a double run lies in that time counts. Where that is no longer than `longest`, and there was one to its end, it is unknown.
    """

    name: ClassVar[str] = "single"
    app: str
    longest: Duration = 0.0
    expected: Expected = field(default_factory=Expected)  # filled in by the plan
    during: Names = ()
    outside: Names = ()

    def check(self, history: History) -> Finding:
        """Return held, broken with each time that was too long, or unknown; details hold all of them with their lengths in seconds."""
        spans = node_spans(history)
        dark = not_seen(history, spans)
        doubles = [part for each in double_runs(history, spans) if app_of(each.names[0]) == self.app for part in _parts(each, dark)]
        same = [replace(each, names=(each.names[1], each.names[0])) for each in twice(spans, dark) if app_of(each.names[1]) == self.app]
        ran = [
            span.interval
            for pieces in spans.values()
            for span in pieces
            if any(app_of(instance) == self.app for instance in span.instances)
        ]
        windows = Windows.of(history, self.during, self.outside, self.expected.numbers, Interval(0.0, history.end))
        points, held, details = windows.judged(
            lambda window: self._within(history, window, within(window, [*doubles, *same]), seen=window.saw(ran))
        )
        if silent := sorted(never_seen(history)):
            points.append(unknown(f"what {' and '.join(silent)} ran was never seen"))
        every = {instance for pieces in spans.values() for span in pieces for instance in span.instances}
        if nameless := sorted(each for each in every if app_of(each) == self.app and number_of(each) is None):
            points.append(unknown(f"which instance {' and '.join(nameless[:SHOWN])} was nobody ever said"))
        return conclude(self.name, history, points, held, {**details, "resolution": RESOLUTION})

    def _within(self, history: History, window: Window, doubles: Sequence[Overlap], *, seen: bool) -> Report:
        """Judge what ran twice in one time; `seen` says whether any instance was seen to run in it."""
        found = sorted(doubles, key=lambda each: (-each.interval.length, each.names))
        points = [point for names, parts in _of(found).items() for point in self._judged(history, names, parts, window)]
        if not seen:
            points.append(unknown(f"no node was {'' if window.named else 'ever '}seen to run {self.app}{window.after_it}"))
        sure = [each for each in found if each.sure]
        held = f"no instance of {self.app} {'' if window.named else 'ever '}ran twice at once{window.after_it}"
        if sure:
            fine = given(max(self.longest, RESOLUTION))
            what = _what(sure[0].names, sure[0].interval)
            held = f"no instance of {self.app} ran twice at once for longer than {fine}{window.after_it}; {what}"
        return Report(points, held, {"double_runs": [_json(each) for each in found[:SHOWN]]})

    def _broken(self, history: History, text: str, one: Overlap) -> Point:
        """Convict: of one that may not run twice at all by what was seen; of what may for a while by its length, which slowness makes longer."""
        if not self.longest:
            return broken(text, one.entry)
        over = until_late(history, [one.interval], self.longest)
        return missed(text, one.entry, over=over, by=one.interval.length - self.longest)

    def _judged(self, history: History, names: tuple[str, ...], parts: Sequence[Overlap], window: Window) -> Iterator[Point]:
        """Judge each time of one instance in two places: what is sure of it convicts, and what may be more of it is unknown."""
        allowed = f"{f', {window.named}' if window.named else ''}{f' (allowed {given(self.longest)})' if self.longest else ''}"
        for whole in united(each.interval for each in parts):
            here = [each for each in parts if common([each.interval], [whole])]
            sure = [each for each in here if each.sure]
            seen = [each for each in sure if shown(history, each, _needs(names)).length >= RESOLUTION]
            long = max(seen, key=lambda each: each.interval.length, default=None)
            if long is not None and self._too_long(long.interval):
                yield self._broken(history, f"{_what(names, long.interval)} from {at(long.interval.start)}{allowed}", long)
            elif self._too_long(whole):
                once = any(self._too_long(each.interval) for each in sure)
                why = "no second look showed it" if once else "not every node could be asked then"
                yield unknown(f"perhaps {_what(names, whole)} from {at(whole.start)}{allowed}: {why}", *(each.entry for each in here))
            elif window.cuts(whole) and window.longest <= max(self.longest, RESOLUTION):
                text = f"{_what(names, whole)} from {at(whole.start)}{allowed}, and longer than that"
                yield unknown(f"{text}: {window.short(max(self.longest, RESOLUTION))}", *(each.entry for each in here))

    def _too_long(self, time: Interval) -> bool:
        return time.length >= RESOLUTION and time.length > self.longest


def _of(found: Sequence[Overlap]) -> Mapping[tuple[str, ...], Sequence[Overlap]]:
    """Put them together by what they are of."""
    return {names: [each for each in found if each.names == names] for names in dict.fromkeys(each.names for each in found)}


def _parts(one: Overlap, dark: Mapping[str, Sequence[Interval]]) -> Iterator[Overlap]:
    """Yield what is sure of a double run, and what is not, as while we stood still: what was seen last may have been over by then."""
    _, *nodes = one.names
    unseen = [each for node in nodes for each in dark.get(node, ())]
    for sure, pieces in ((one.sure, without([one.interval], unseen)), (False, common([one.interval], unseen))):
        yield from (replace(one, interval=piece, sure=sure) for piece in pieces)


def _needs(names: tuple[str, ...]) -> dict[str, Counter[str]]:
    """Return what each node must be seen to run for an instance on two of them, or twice on one."""
    instance, *nodes = names
    return {node: Counter([instance] if nodes[1:] else [instance, instance]) for node in nodes}


def _what(names: tuple[str, ...], time: Interval) -> str:
    instance, *nodes = names
    where = f"on {' and '.join(nodes)} at once" if nodes[1:] else f"in two containers on {nodes[0]} at once"
    return f"{instance} ran {where} for {lasted(time.length)}"


def _json(one: Overlap) -> Json:
    instance, *nodes = one.names
    span: dict[str, Json] = {"from": neat(one.interval.start), "to": neat(one.interval.end), "length": neat(one.interval.length)}
    return {"instance": instance, "nodes": [*nodes], "sure": one.sure, **span}
