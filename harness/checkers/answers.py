"""Whether the properties that a scenario names held when they were asked."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from harness.checkers.expected import Expected
from harness.checkers.judging import SHOWN, Point, broken, conclude, doubted, plural, unknown
from harness.checkers.order import out_of_place
from harness.core.figures import at
from harness.core.values import DURING, NodeState, Outcome
from harness.history.absence import IN_FLIGHT
from harness.history.bands import fault_bands, machines_taken, not_surely
from harness.history.events import Checked
from harness.history.intervals import neat, node_spans, span_at

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.checkers.expected import Asked
    from harness.core.values import Finding, Json, Verdict
    from harness.history.bands import Band
    from harness.history.events import Entry, History
    from harness.history.intervals import Interval, Span


@dataclass(frozen=True, slots=True)
class Checks:
    """Every property that was asked of a node was as the scenario expects it. A node that could not be asked has said nothing.

    Nor has one that was off, or an answer from another time than it says: of what is expected while a fault is in force, from a time when none was.
    But a machine that a fault in force has taken need not say what is expected while it is: the others must, and at least one.
    Nor has anybody said what was planned (`expected`, filled in by the plan) and never asked, of anybody or of a node that the plan names; what is
    expected while a fault is in force, under each fault by itself: from when it was in force until it was mended, whatever others were meanwhile.
    """

    name: ClassVar[str] = "checks"
    expected: Expected = field(default_factory=Expected)

    def check(self, history: History) -> Finding:
        """Return held, broken where a node said no, or unknown where one could not be asked or nothing was asked."""
        spans = node_spans(history)
        misplaced = out_of_place(history)
        bands = fault_bands(history)
        over = [(held, why) for band in bands if (held := band.held(history.end)) and (why := not_surely(band, spans, history.end))]
        taken = machines_taken(bands, history.end)  # nobody can ask them then
        points: list[Point] = []
        cases: list[Json] = []
        spared: set[str] = set()
        alike: dict[tuple[Verdict, str, str], list[Entry]] = {}
        count = 0
        for entry, event in history.each(Checked):
            if _spared(entry, event, taken):
                spared.add(event.node)
                continue
            count += 1
            perhaps = next((why for held, why in over if event.when == DURING and held.holds(entry.time)), "")
            point = _judged(entry, event, span_at(spans.get(event.node, ()), entry.time), misplaced(entry, event.when), perhaps)
            if point is None:
                continue
            under = ", ".join(
                f"{band.called} on {band.where}" for band in bands if event.when == DURING and _in_force(band, entry, history)
            )
            alike.setdefault((point.verdict, point.text, under), []).append(entry)
            cases.append(
                {
                    "check": event.check,
                    "node": event.node,
                    "when": event.when,
                    "at": neat(entry.time),
                    "outcome": str(event.outcome),
                    "saw": event.saw,
                }
            )
        points += [_told(*key, entries) for key, entries in alike.items()]
        points += _never_asked(history, self.expected.checks, bands, taken)
        if not count:
            points.append(unknown("nothing was checked"))
        text = f"{plural(count, 'check')} held"
        if spared:
            text += (
                f"; {' and '.join(sorted(spared))} could not be asked while a fault had switched {'it' if len(spared) == 1 else 'them'} off"
            )
        return conclude(self.name, history, points, text, {"checked": count, "failed": cases[:SHOWN]})


def _in_force(band: Band, entry: Entry, history: History) -> bool:
    held = band.held(history.end)
    return held is not None and held.holds(entry.time)


def _told(verdict: Verdict, text: str, under: str, entries: Sequence[Entry]) -> Point:
    """Tell once what a node answered several times under the same faults, with when, and what they were."""
    times = f"at {at(entries[0].time)}" if len(entries) == 1 else f"{len(entries)} times from {at(entries[0].time)} on"
    return Point(verdict, f"{text}, {times}{f', during {under}' if under else ''}", tuple(entry.index for entry in entries))


def _spared(entry: Entry, event: Checked, taken: Mapping[str, Sequence[Interval]]) -> bool:
    """Whether a machine was asked while a fault had taken it, and gave no answer."""
    asked = event.when == DURING and event.outcome is Outcome.UNKNOWN
    return asked and any(held.holds(entry.time) for held in taken.get(event.node, ()))


def _judged(entry: Entry, event: Checked, span: Span | None, misplaced: str, perhaps: str) -> Point | None:
    """Judge one answer of a node whose truth was `span` then; None for a good one.

    `misplaced` says why it cannot be from when it says, `perhaps` why the fault that it was asked under may have been over.
    """
    text = f"{event.node or 'no node'}: {event.check} ({event.when}): "
    off = span is not None and span.state is NodeState.OFF
    if event.outcome is Outcome.UNKNOWN:
        why = "the node was off, it ought not to have been asked" if off else f"could not be asked: {event.saw or 'no reason given'}"
        return unknown(f"{text}{why}", entry.index)
    if misplaced:
        return unknown(f"{text}its answer {misplaced}", entry.index)
    if event.outcome is Outcome.OK:
        return None
    late = off and span is not None and span.start + IN_FLIGHT < entry.time
    why = "the node was off then by node truth" if late else perhaps
    return doubted(broken(f"{text}saw {event.saw or 'nothing'}", entry.index), why)


def _never_asked(history: History, planned: Sequence[Asked], bands: Sequence[Band], taken: Mapping[str, Sequence[Interval]]) -> list[Point]:
    """Miss every check that was planned and never asked, of anybody or of those of whom it was to be asked; if during faults, under each of them."""
    asked: dict[tuple[str, str, int], set[str]] = {}
    held = {band.fault: over for band in bands if (over := band.held(history.end)) is not None}
    for entry, event in history.each(Checked):
        for fault in () if _spared(entry, event, taken) else _under(entry, event, held):
            asked.setdefault((event.check, event.when, fault), set()).add(event.node)
    points = _asked_again(history, planned)
    several = len(held) > 1
    asking = [(check, fault) for check in planned for fault in ((list(held) or [0]) if check.when == DURING else [0])]
    for check, fault in asking:
        of = asked.get((check.check, check.when, fault), set())
        under = f"{check.when} fault {fault}" if fault and several else check.when
        what = f"{check.check} ({under}) was planned and never asked"
        # It is asked as soon as the fault is in force: who was there then must have been.
        gone = {node for node, pieces in taken.items() if fault and any(each.holds(held[fault].start) for each in pieces)}
        if not of:
            away = (
                f" of anybody but {', '.join(check.nodes)}, which a fault had switched off"
                if {*check.nodes} & gone == {*check.nodes}
                else ""
            )
            points.append(unknown(f"{what}{away if check.nodes else ''}"))
        elif "" in of:
            continue  # it was for nobody, which is a point of its own
        elif absent := [node for node in check.nodes if node not in of | gone]:
            points.append(unknown(f"{what} of {', '.join(absent)}"))
        elif len(of | gone) < check.fewest:
            points.append(unknown(f"{check.check} ({under}) was planned for {check.fewest} nodes and asked of {len(of)}"))
    return points


def _asked_again(history: History, planned: Sequence[Asked]) -> list[Point]:
    """Find nodes that answered a check of before or after the faults more often than it was planned for: each is asked once then."""
    times = Counter((each.check, each.when) for each in planned if each.when != DURING)
    told: dict[tuple[str, str, str], list[int]] = {}
    for entry, event in history.each(Checked):
        told.setdefault((event.check, event.when, event.node), []).append(entry.index)
    return [
        unknown(
            f"{node or 'no node'}: {check} ({when}) was answered {len(entries)} times, and planned {times[check, when]} times", *entries
        )
        for (check, when, node), entries in told.items()
        if 0 < times[check, when] < len(entries)
    ]


def _under(entry: Entry, event: Checked, held: Mapping[int, Interval]) -> list[int]:
    """Return the numbers of the faults under which something was asked: all that were in force then; 0 for what was asked at another time."""
    return [fault for fault, over in held.items() if over.holds(entry.time)] if event.when == DURING and held else [0]
