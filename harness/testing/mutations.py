"""Ways to change a recorded history, for tests that ask whether a verdict can be fooled.

A `Mutation` changes what is told, and is written anew as a recorder would have: by one who knows the format, or by a world in which it was so. A
`Cut` changes the lines of the file as they stand.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

from harness.history.events import Answered, Event, History, Invoked

if TYPE_CHECKING:
    from harness.core.values import Call

Timed: TypeAlias = tuple[float, Event]
Where: TypeAlias = Callable[[float, Event], bool]
Mutation: TypeAlias = Callable[[Sequence[Timed]], list[Timed]]
Cut: TypeAlias = Callable[[list[bytes]], list[bytes]]


def timed(history: History) -> list[Timed]:
    """Return a history's events with their times."""
    return [(entry.time, entry.event) for entry in history.entries]


def of(kind: type[Event], **fields: object) -> Where:
    """Match events of a kind whose fields have these values."""
    return lambda _, event: isinstance(event, kind) and all(getattr(event, name) == value for name, value in fields.items())


def between(start: float, end: float, where: Where = lambda _, __: True) -> Where:
    """Match what happened from `start` until just before `end`."""
    return lambda time, event: start <= time < end and where(time, event)


def either(*wheres: Where) -> Where:
    """Match what any of these matches."""
    return lambda time, event: any(where(time, event) for where in wheres)


def drop(where: Where) -> Mutation:
    """Leave events out."""
    return lambda events: [(time, event) for time, event in events if not where(time, event)]


def change(where: Where, to: Callable[[Event], Event]) -> Mutation:
    """Tell something else in place of events."""
    return lambda events: [(time, to(event) if where(time, event) else event) for time, event in events]


def add(*more: Timed) -> Mutation:
    """Tell more, each at its time, after what was told at that time."""
    return lambda events: sorted([*events, *more], key=lambda each: each[0])


def move(where: Where, seconds: float) -> Mutation:
    """Tell events so many seconds later, or earlier."""
    return lambda events: sorted(
        ((max(0.0, time + seconds) if where(time, event) else time, event) for time, event in events), key=lambda each: each[0]
    )


def both(*mutations: Mutation) -> Mutation:
    """Make several changes, one after the other."""

    def change_all(events: Sequence[Timed]) -> list[Timed]:
        found = list(events)
        for mutation in mutations:
            found = mutation(found)
        return found

    return change_all


def numbered(mutation: Mutation) -> Mutation:
    """Make a change, and number the calls anew without gaps: those that are gone were never made."""

    def change_all(events: Sequence[Timed]) -> list[Timed]:
        found = mutation(events)
        numbers = {op: number for number, op in enumerate((event.op for _, event in found if isinstance(event, Invoked)), 1)}
        return [
            (time, dataclasses.replace(event, op=numbers[event.op])) if isinstance(event, Invoked | Answered) else (time, event)
            for time, event in found
        ]

    return change_all


def called(history: Sequence[Timed], where: Callable[[Call], bool], start: float, end: float) -> set[int]:
    """Return the numbers of the calls that were begun in a time and that are such."""
    return {event.op for time, event in history if isinstance(event, Invoked) and start <= time < end and where(event.call)}
