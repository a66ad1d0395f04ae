"""Whether the properties that a scenario names held when they were asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from harness.checkers.expected import Expected
from harness.checkers.intervals import node_spans, span_at
from harness.checkers.judging import SHOWN, Point, broken, conclude, neat, plural, unknown
from harness.history import Checked
from harness.values import NodeState, Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.checkers.expected import Asked
    from harness.history import History
    from harness.values import Finding, Json


@dataclass(frozen=True, slots=True)
class Checks:
    """Every property that was asked of a node was as the scenario expects it. A node that could not be asked has said nothing.

    Nor has anybody said what was planned (`expected`, filled in by the plan) and never asked, of anybody or of a node that the plan names.
    """

    name: ClassVar[str] = "checks"
    expected: Expected = field(default_factory=Expected)

    def check(self, history: History) -> Finding:
        """Return held, broken where a node said no, or unknown where one could not be asked or nothing was asked."""
        spans = node_spans(history)
        points: list[Point] = []
        cases: list[Json] = []
        count = 0
        for entry, event in history.each(Checked):
            count += 1
            if event.outcome is Outcome.OK:
                continue
            text = f"{event.node or 'no node'}: {event.check} ({event.when}): "
            if event.outcome is Outcome.FAIL:
                points.append(broken(f"{text}saw {event.saw or 'nothing'}", entry.index))
            else:
                span = span_at(spans.get(event.node, ()), entry.time)
                off = span is not None and span.state is NodeState.OFF
                why = (
                    "the node was off, it ought not to have been asked" if off else f"could not be asked: {event.saw or 'no reason given'}"
                )
                points.append(unknown(f"{text}{why}", entry.index))
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
        points += _never_asked(history, self.expected.checks)
        if not count:
            points.append(unknown("nothing was checked"))
        return conclude(self.name, history, points, f"{plural(count, 'check')} held", {"checked": count, "failed": cases[:SHOWN]})


def _never_asked(history: History, planned: Sequence[Asked]) -> list[Point]:
    """Miss every check that was planned and never asked, of anybody or of those of whom it was to be asked."""
    asked: dict[tuple[str, str], set[str]] = {}
    for _, event in history.each(Checked):
        asked.setdefault((event.check, event.when), set()).add(event.node)
    points = []
    for each in planned:
        of = asked.get((each.check, each.when), set())
        what = f"{each.check} ({each.when}) was planned and never asked"
        if not of:
            points.append(unknown(what))
        elif "" in of:
            continue  # it was for nobody, which is a point of its own
        elif absent := [node for node in each.nodes if node not in of]:
            points.append(unknown(f"{what} of {', '.join(absent)}"))
        elif len(of) < each.fewest:
            points.append(unknown(f"{each.check} ({each.when}) was planned for {each.fewest} nodes and asked of {len(of)}"))
    return points
