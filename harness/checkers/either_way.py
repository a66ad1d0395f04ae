"""What is held only if an action was done of which nobody knows whether it was: that is unknown."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from harness.core.figures import at
from harness.core.values import Finding, Outcome, Verdict
from harness.history.deeds import deeds
from harness.history.events import Acted, History

if TYPE_CHECKING:
    from collections.abc import Callable, Collection


def either_way(history: History, check: Callable[[History], Finding]) -> Finding:
    """Return what is found, but for what is held only since an action in doubt may have asked for other instances: that is unknown.

    What need not run by an action that was not done, after all, must run.
    """
    finding = check(history)
    doubt = {each.number: each for each in deeds(history) if each.outcome is Outcome.UNKNOWN and each.effect.runs}
    if finding.verdict is not Verdict.HELD or not doubt:
        return finding
    other = check(_undone(history, doubt))
    if other.verdict is Verdict.HELD:
        return finding
    first = min(doubt.values(), key=lambda each: each.begun)
    why = f"{other.summary}; but whether {first.name} at {at(first.begun)} was done is not known, and if it was that is none of it"
    return Finding(other.checker, Verdict.UNKNOWN, why, other.details, (*other.evidence, *first.entries))


def _undone(history: History, numbers: Collection[int]) -> History:
    """Return the same history with these actions not done."""
    entries = [
        replace(entry, event=replace(event, outcome=Outcome.FAIL))
        if isinstance(event := entry.event, Acted) and event.number in numbers and event.outcome is not None
        else entry
        for entry in history.entries
    ]
    return History(entries, run=history.run, closed=history.closed, breach=history.breach)
