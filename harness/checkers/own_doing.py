"""What a run's own actions keep from being so: no cluster is convicted of that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.checkers.troubles import endurance
from harness.core.figures import at
from harness.history.deeds import closed, deeds, down, upset
from harness.history.intervals import Interval, app_of, common, node_spans

if TYPE_CHECKING:
    from harness.history.events import History


def own_doing(history: History, time: Interval) -> str:
    """Say which action may be why something did not come in some time; nothing where none may be.

    One that stopped a daemon which was still stopped in the end; one that disturbed the cluster so late that no more than the mode's longest recovery
    was left; and one that keeps work from nodes, where the others are fewer than an app's instances, or where an instance never ran on another.
    """
    every = deeds(history)
    for (node, part), pieces in down(every, history.end).items():
        if any(each.start < time.end <= each.end for each in pieces):
            return f"by an action {part} was stopped on {node} then"
    due = time.end - endurance(history).recovery
    late = [each for each in common(upset(every, history.end), [time]) if each.end > due]
    if late:
        return f"something was done until {at(late[-1].end)} that disturbs a cluster"
    shut = {node for node, pieces in closed(every, history.end).items() if any(each.start < time.end and each.end > due for each in pieces)}
    return (
        f"by an action {' and '.join(sorted(shut))} had no work then, or until shortly before" if shut and _too_small(history, shut) else ""
    )


def _too_small(history: History, shut: set[str]) -> bool:
    """Whether the other nodes may be too few, or may not be allowed to run some instance."""
    spans = node_spans(history)
    homes: dict[str, set[str]] = {}
    for node, pieces in spans.items():
        for name in {name for span in pieces for name in span.instances}:
            homes.setdefault(name, set()).add(node)
    apps = [app_of(name) for name in homes]
    left = len(set(spans) - shut)
    return any(apps.count(app) > left for app in apps) or any(nodes <= shut for nodes in homes.values())
