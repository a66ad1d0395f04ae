"""How a mode's timers come about: a profile of that mode, with single timers replaced. Pure: nothing here asks anybody."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from harness.core.errors import BadInput, Problem
from harness.core.naming import close

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")


def chosen(profiles: Mapping[str, T], profile: str, overrides: Mapping[str, float], refused: Callable[[T], Sequence[Problem]]) -> T:
    """Return a profile's timers with single ones replaced. `profiles` holds one named ``default`` at least; `refused` says what nobody would take.

    Raises `BadInput` with every problem at once: an unknown profile (the other timers are then judged as those of ``default``), timers that there
    are not, and all that `refused` says of the outcome.
    """
    problems = []
    base = profiles.get(profile)
    if base is None:
        problems.append(_unknown("profile", repr(profile), profile, list(profiles)))
        base = profiles["default"]
    names = [each.name for each in dataclasses.fields(base)]
    problems.extend(_unknown("timers", f"a timer named {name!r}", name, names) for name in overrides if name not in names)
    made = dataclasses.replace(base, **{name: float(value) for name, value in overrides.items() if name in names})
    problems.extend(refused(made))
    if problems:
        raise BadInput(problems)
    return made


def _unknown(place: str, found: str, name: str, known: list[str]) -> Problem:
    return Problem(place, 0, 0, found, f"one of {', '.join(known)}", close(name, known))
