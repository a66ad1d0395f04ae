"""What is held, or broken, only if an action was done, or was not, of which nobody knows whether it was: that is unknown."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

from harness.checkers.belied import belied
from harness.core.figures import at
from harness.core.values import Finding, Outcome, Verdict
from harness.history.deeds import deeds
from harness.history.events import Acted, History

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from harness.history.absence import Voters
    from harness.history.deeds import Deed


MOST = 3
"""So many actions in doubt are tried in every way; of more all of them are, and each against all others."""


def either_way(history: History, check: Callable[[History], Finding], voters: Voters | None = None) -> Finding:
    """Return what is found, but for what is so only if an action in doubt was done, which asked for other instances, or only if not: that is unknown.

    What need not run by an action that was not done, after all, must run; what must run if it was not done need not if it was; and what nobody
    knows to have been asked for must run if it was. In doubt is one, too, that was done by its own word alone (`harness.checkers.belied`). Of several
    any may have been done, whatever became of the others.
    """
    finding = check(history)
    alone = belied(history, voters)
    every = sorted((each for each in deeds(history) if each.effect.runs), key=lambda each: each.begun)
    doubt = [each for each in every if each.outcome is Outcome.UNKNOWN or each.number in alone]
    if finding.verdict is Verdict.UNKNOWN or not doubt:
        return finding
    for done in _ways(doubt):
        other = check(_ended(history, {each.number: Outcome.OK if each in done else Outcome.FAIL for each in doubt}))
        if other.verdict is finding.verdict:
            continue
        if finding.verdict is Verdict.BROKEN:
            return replace(finding, verdict=Verdict.UNKNOWN, summary=f"{finding.summary}; but {_unless(doubt, done)}")
        entries = (index for each in doubt for index in each.entries)
        return Finding(
            other.checker, Verdict.UNKNOWN, f"{other.summary}; but {_none_of_it(doubt, done)}", other.details, (*other.evidence, *entries)
        )
    return finding


def _ways(doubt: Sequence[Deed]) -> Iterator[Sequence[Deed]]:
    """Yield which of some actions may have been done: none, all, and some."""
    yield ()
    yield doubt
    if len(doubt) <= MOST:
        for number in range(1, len(doubt)):
            yield from itertools.combinations(doubt, number)
        return
    for each in doubt:
        yield (each,)
        yield [other for other in doubt if other is not each]


def _unless(doubt: Sequence[Deed], done: Sequence[Deed]) -> str:
    """Say that something is so only if these actions were not done, and the others were."""
    if len(doubt) == 1:
        return f"whether {_called(doubt)} was done is not known, and that is so only if it was{' not' if done else ''}"
    return f"whether {_called(doubt)} were done is not known, and that is not so if {_so_far(doubt, done)}"


def _none_of_it(doubt: Sequence[Deed], done: Sequence[Deed]) -> str:
    """Say that something is not so, after all, if these actions were not done, or the others were."""
    if len(doubt) == 1:
        return f"whether {_called(doubt)} was done is not known, and if it was{' not' if done else ''} that is none of it"
    return f"whether {_called(doubt)} were done is not known, and that is so if {_so_far(doubt, done)}"


def _called(some: Sequence[Deed]) -> str:
    return " and ".join(f"{each.name} at {at(each.begun)}" for each in some)


def _so_far(doubt: Sequence[Deed], done: Sequence[Deed]) -> str:
    """Say which of some actions were done."""
    if not done or len(done) == len(doubt):
        return f"{'all' if done else 'none'} of them {'were' if doubt[1:] and done else 'was'}"
    return f"{_called(done)} {'were' if done[1:] else 'was'}, and not the rest"


def _ended(history: History, outcomes: Mapping[int, Outcome]) -> History:
    """Return the same history with these actions ended otherwise."""
    entries = [
        replace(entry, event=replace(event, outcome=outcomes[event.number]))
        if isinstance(event := entry.event, Acted) and event.number in outcomes and event.outcome is not None
        else entry
        for entry in history.entries
    ]
    return History(entries, run=history.run, closed=history.closed, breach=history.breach)
