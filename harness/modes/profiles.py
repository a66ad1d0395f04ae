"""How a mode's timers come about: a profile of that mode, with single timers replaced, or those of a cluster that was found. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from harness.core.errors import BadInput, Problem
from harness.core.figures import given
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


def in_force(profile: T, seen: Mapping[str, Mapping[str, float]]) -> tuple[T, list[str]]:
    """Return the timers that nodes were seen to go by, each by node in seconds, and remarks on what is not as one would think.

    Where nodes differ the longest counts: a budget is what recovery may take at most. What no node tells is taken from the profile.
    """
    remarks = []
    for timer, by_node in seen.items():
        if len(set(by_node.values())) > 1:
            each = ", ".join(f"{node} {given(seconds)}" for node, seconds in by_node.items())
            remarks.append(f"{timer} is not the same everywhere ({each}); the longest counts")
    missing = [each.name for each in dataclasses.fields(profile) if not seen.get(each.name)]
    if missing:
        remarks.append(f"{', '.join(missing)} could not be read on any node; the profile's own {'is' if len(missing) == 1 else 'are'} used")
    return dataclasses.replace(profile, **{timer: max(by_node.values()) for timer, by_node in seen.items() if by_node}), remarks


def _unknown(place: str, found: str, name: str, known: list[str]) -> Problem:
    return Problem(place, 0, 0, found, f"one of {', '.join(known)}", close(name, known))
