"""What a run's steps came to: what was not done, what was planned and never came, and what was never planned."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.checkers.belied import belied
from harness.checkers.judging import Point, unknown
from harness.core.values import Outcome
from harness.history.awaits import GO_ON
from harness.history.deeds import deeds
from harness.history.events import Acted, Awaited, Wholeness

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.checkers.expected import Expected
    from harness.history.absence import Voters
    from harness.history.bands import Band
    from harness.history.events import History

FOLLOWS = "follows"
"""Key in a finding's details: the checker whose finding says why it is so, where all of it only follows from that."""


def ended_by_a_wait(history: History) -> bool:
    """Whether something was awaited in vain and no further step was taken: what was planned after that never came because of it."""
    return any(event.outcome in {Outcome.FAIL, Outcome.UNKNOWN} and event.otherwise != GO_ON for _, event in history.each(Awaited))


def undone(history: History, voters: Voters | None = None) -> list[Point]:
    """Find actions that were not done, or may not have been, also by node truth alone, and such as were not told from beginning to end."""
    points = []
    told: dict[int, list[tuple[object, ...]]] = {}
    for _, event in history.each(Acted):
        what_of_it = (event.name, event.targets, event.at_most, event.may_fail, event.effect, event.was, event.parameters)
        told.setdefault(event.number, []).append(what_of_it)
    alone = belied(history, voters)
    otherwise = {number for number, words in told.items() if any(each != words[0] for each in words)}
    for each in deeds(history):
        what, why = f"action {each.number} ({each.name})", f": {each.detail}" if each.detail else ""
        if each.ended is None:
            points.append(unknown(f"{what} was begun, and never seen to end", *each.entries))
        elif len(each.entries) != 2 and not (len(each.entries) == 1 and each.outcome is Outcome.FAIL and not each.targets):  # noqa: PLR2004
            # A beginning and an end; what had nobody to be done to was never begun.
            points.append(unknown(f"{what} was told {len(each.entries)} times, and one action has a beginning and an end", *each.entries))
        elif each.number in otherwise:
            points.append(unknown(f"{what} ended as another one than it began", *each.entries))
        elif each.outcome is not Outcome.OK and not each.may_fail:
            came = "was not done" if each.outcome is Outcome.FAIL else "may or may not have been done"
            points.append(unknown(f"{what} {came}{why}", *each.entries))
        elif each.number in alone and not each.may_fail:
            points.append(unknown(f"{what} was done by its own word, but {alone[each.number]}", *each.entries))
    return points


def unreached(history: History, bands: Sequence[Band], expected: Expected) -> list[Point]:
    """Miss every fault and every action that was planned and never came, and any fault at all.

    A run that was never steady takes no step, and says so; a scenario in Python does what it does.
    """
    if _never_steady(history):
        return []
    points = [] if bands else [unknown("no fault was made, so no promise was put to the test")]
    made = {band.fault: band.name for band in bands}
    points += [
        unknown(f"fault {number} ({name}) was planned and never made")
        for number, name in enumerate(expected.faults, 1)
        if made.get(number) != name
    ]
    done = {each.number: each.name for each in deeds(history)}
    points += [
        unknown(f"action {number} ({name}) was planned and never begun")
        for number, name in enumerate(() if expected.more else expected.actions, 1)
        if done.get(number) != name
    ]
    return points


def unplanned(history: History, bands: Sequence[Band], expected: Expected) -> list[Point]:
    """Find faults and actions that nobody planned."""
    if _never_steady(history):
        return []
    points = [
        unknown(f"fault {band.fault} ({band.name}) was never planned", *band.entries)
        for band in bands
        if expected.faults and not 1 <= band.fault <= len(expected.faults)
    ]
    if expected.nodes and not expected.more:
        points += [
            unknown(f"action {each.number} ({each.name}) was never planned", *each.entries)
            for each in deeds(history)
            if not 1 <= each.number <= len(expected.actions)
        ]
    return points


def _never_steady(history: History) -> bool:
    return any(event.when == "before" and not event.whole for _, event in history.each(Wholeness))
