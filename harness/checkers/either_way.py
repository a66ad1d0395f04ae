"""What is held, or broken, only if an action was done, or was not, of which nobody knows whether it was: that is unknown."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from harness.checkers.belied import belied
from harness.core.figures import at
from harness.core.values import Finding, Outcome, Verdict
from harness.history.deeds import deeds
from harness.history.events import Acted, History

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from harness.history.absence import Voters


def either_way(history: History, check: Callable[[History], Finding], voters: Voters | None = None) -> Finding:
    """Return what is found, but for what is so only if an action in doubt was done, which asked for other instances, or only if not: that is unknown.

    What need not run by an action that was not done, after all, must run; what must run if it was not done need not if it was; and what nobody
    knows to have been asked for must run if it was. In doubt is one, too, that was done by its own word alone (`harness.checkers.belied`).
    """
    finding = check(history)
    alone = belied(history, voters)
    every = [each for each in deeds(history) if each.effect.runs]
    doubt = {each.number: each for each in every if each.outcome is Outcome.UNKNOWN or each.number in alone}
    if finding.verdict is Verdict.UNKNOWN or not doubt:
        return finding
    first = min(doubt.values(), key=lambda each: each.begun)
    doubtful = f"whether {first.name} at {at(first.begun)} was done is not known, and"
    for outcome in (Outcome.FAIL, Outcome.OK):
        other = check(_ended(history, doubt, outcome))
        if other.verdict is finding.verdict:
            continue
        if finding.verdict is Verdict.BROKEN:
            only = "only if it was not" if outcome is Outcome.OK else "only if it was"
            return replace(finding, verdict=Verdict.UNKNOWN, summary=f"{finding.summary}; but {doubtful} that is so {only}")
        why = "if it was that is none of it" if outcome is Outcome.FAIL else "if it was not that is none of it"
        return Finding(
            other.checker, Verdict.UNKNOWN, f"{other.summary}; but {doubtful} {why}", other.details, (*other.evidence, *first.entries)
        )
    return finding


def _ended(history: History, numbers: Collection[int], outcome: Outcome) -> History:
    """Return the same history with these actions ended otherwise."""
    entries = [
        replace(entry, event=replace(event, outcome=outcome))
        if isinstance(event := entry.event, Acted) and event.number in numbers and event.outcome is not None
        else entry
        for entry in history.entries
    ]
    return History(entries, run=history.run, closed=history.closed, breach=history.breach)
