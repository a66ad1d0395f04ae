"""Whether anything of the run's faults was left on a node."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from harness.checkers.expected import Expected
from harness.checkers.judging import Point, broken, conclude, doubted, plural, unknown
from harness.checkers.order import out_of_place, repeated
from harness.core.figures import at
from harness.core.traits import DISK
from harness.core.values import Outcome
from harness.history import differing
from harness.history.bands import fault_bands
from harness.history.deeds import deeds
from harness.history.events import Fingerprinted, NodeSeen

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.core.values import Finding, Json
    from harness.history.events import History

OURS = "whalefall"
"""What the names of all that a fault makes on a node begin with; of what stands in a folder, the name of that or of the file."""
STOPPED = "stopped"
"""The aspect of a fingerprint that names stopped processes."""

WIDEST = 160
"""A mark longer than so many characters is cut short in a summary; the history has it whole."""


@dataclass(frozen=True, slots=True)
class Clean:
    """Every node's fingerprint after the faults equals the one before them.

    A node of the plan (`expected`, filled in by it) or of the history without one is unknown, and so is one of which nothing was looked at, or
    something once only, or of which one was taken at another time than it says. What
    belongs into a fingerprint is for whoever takes it; here any difference is something that the run left behind, or took away. So is one that an
    action of the run may have made there, which nobody undoes, but where the thing shows by itself that it is a fault's.
    """

    name: ClassVar[str] = "clean"
    expected: Expected = field(default_factory=Expected)

    def check(self, history: History) -> Finding:
        """Return held, broken with what was left and where, or unknown for a node without both fingerprints."""
        taken: dict[str, dict[str, tuple[int, Fingerprinted]]] = {"before": {}, "after": {}}
        for entry, event in history.each(Fingerprinted):
            if event.when == "after" or event.node not in taken["before"]:
                taken.setdefault(event.when, {})[event.node] = (entry.index, event)
        doubts = _doubts(history)
        before, after = taken["before"], taken["after"]
        points: list[Point] = []
        left: dict[str, Json] = {}
        # Also a node of which nobody took any: it was planned, or seen.
        known = {*self.expected.nodes, *(event.node for _, event in history.each(NodeSeen))} if before or after else ()
        for node in sorted({*before, *after, *known}):
            if node not in before or before[node][1].error or not before[node][1].marks:
                points.append(unknown(_missing(node, "before", before)))
            elif node not in after or after[node][1].error or not after[node][1].marks:
                points.append(unknown(_missing(node, "after", after)))
            elif why := doubts[node, "before"] or doubts[node, "after"]:
                points.append(unknown(f"a fingerprint of {node} {why}", before[node][0], after[node][0]))
            elif differences := _differences(before[node][1].marks, after[node][1].marks):
                own = _of_faults(history, node, differing.changes(before[node][1].marks, after[node][1].marks))
                point = broken(f"{node}: {', '.join(differences.values())}", before[node][0], after[node][0])
                points.append(doubted(point, "" if own else _by_action(history, node)))
                left[node] = {**differences}
            elif once := differing.one_sided(before[node][1].marks, after[node][1].marks):
                told = ", ".join(f"{aspect} only {when}" for aspect, when in once.items())
                points.append(
                    unknown(f"{node}: looked at {told} the faults, so nobody knows what became of it", before[node][0], after[node][0])
                )
        if not before and not after:
            points.append(unknown("no node's fingerprint was taken"))
        return conclude(self.name, history, points, f"nothing was left on {plural(len(after), 'node')}", {"left": left})


def _by_action(history: History, node: str) -> str:
    """Say which action may have changed anything on a node; nothing where none may: what only moves work, or starts it anew, makes nothing else."""
    for each in deeds(history):
        effect = each.effect
        there = node in each.nodes if each.nodes else effect.disturbs
        work = bool(effect.runs or effect.renews or effect.moves or effect.opens or effect.alters)
        if there and each.outcome is not Outcome.FAIL and (effect.disturbs or effect.stops or effect.starts or not work):
            return f"action {each.name} was done from {at(each.begun)} on, which may have done that"
    return ""


def _of_faults(history: History, node: str, changes: Mapping[str, differing.Change]) -> bool:
    """Whether something on a node shows by itself that it is a fault's: by its name, as a slow disk, or as a process that a fault there stopped."""
    stopped = {name for band in fault_bands(history) if node in band.targets for name in band.traits.stops}
    return any(
        aspect == DISK or any(OURS in str(each) or (aspect == STOPPED and each in stopped) for each in change.more)
        for aspect, change in changes.items()
    )


def _doubts(history: History) -> dict[tuple[str, str], str]:
    """Say of each node's fingerprint of a moment why it may be none of then; empty where it is."""
    misplaced = out_of_place(history)
    doubts = {(event.node, event.when): misplaced(entry, event.when) for entry, event in history.each(Fingerprinted)}
    for (node, when), entries in repeated(history).items():
        if node:
            doubts[node, when] = f"from {when} the faults was taken {len(entries)} times, and one run takes it once"
    return doubts


def _missing(node: str, when: str, taken: Mapping[str, tuple[int, Fingerprinted]]) -> str:
    why = f": {taken[node][1].error or 'nothing was looked at'}" if node in taken else ""
    return f"{node} has no fingerprint from {when} the faults{why}"


def _differences(before: Mapping[str, Json], after: Mapping[str, Json]) -> dict[str, str]:
    """Each aspect that differs, with a text that says how."""
    return {
        aspect: _how(differing.ASPECTS.get(aspect, aspect), before[aspect], after[aspect], change)
        for aspect, change in differing.changes(before, after).items()
    }


def _how(thing: str, old: Json, new: Json, change: differing.Change) -> str:
    if not isinstance(old, list) or not isinstance(new, list):
        return f"{thing} was {_shown(old)}, is {_shown(new)}"
    sides = ((change.more, "was", "were", "left"), (change.less, "is", "are", "gone"))
    return " and ".join(
        f"{_cut(' and '.join(f'{thing} {_shown(each)}' for each in these))} {many if these[1:] else one} {what}"
        for these, one, many, what in sides
        if these
    )


def _shown(value: Json) -> str:
    """Give a mark as it reads: text as it stands, anything else as JSON."""
    return _cut(value if value and isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True, default=str))


def _cut(text: str) -> str:
    return text if len(text) <= WIDEST else f"{text[: WIDEST - 1]}…"
