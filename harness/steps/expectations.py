"""What a scenario wants to be so: the checks that are asked around its steps, and how a control must come out. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.core import parameters
from harness.core.naming import quoted, worded
from harness.core.values import Json, Verdict


@dataclass(frozen=True, slots=True)
class Check:
    """Properties of one thing, expected on every node that `on` resolves to, at the moments in `when`."""

    subject: str  # service, process, socket, file, container, image, network, volume
    name: str  # e.g. docker
    expect: Mapping[str, Json]  # property → expected value
    on: str  # target expression
    when: tuple[str, ...]  # of BEFORE, DURING, AFTER

    def __str__(self) -> str:
        """Give the check in words, e.g. ``service docker is_running``."""
        wanted = ", ".join(
            name if value is True else f"{name}: {octal(value) if name == 'mode' and isinstance(value, int) else worded(value)}"
            for name, value in self.expect.items()
        )
        return f"{self.subject} {self.name} {wanted}"


@dataclass(frozen=True, slots=True)
class Control:
    """How a control must come out: the verdict, the checker that must give it, and words its summary must hold."""

    verdict: Verdict
    because: str
    match: str = ""


def octal(mode: int) -> str:
    """Give a file's mode as a scenario file does, e.g. ``0644``."""
    return f"0{mode:03o}"


def parameters_words(instance: Any) -> str:
    """Give the parameters of a fault, a workload or a checker, but for those that were left unset. Of a program only its name: see `programs`."""
    return " ".join(
        f"{name}={'(below)' if _lines(value) else quoted(value) if isinstance(value, str) else worded(value)}"
        for name, value in _given(instance).items()
    )


def programs(instance: Any) -> list[str]:
    """Give those parameters that are text of several lines, each under its name, in its own lines: in one line nobody can read a program."""
    return [
        line
        for name, value in _given(instance).items()
        if (lines := _lines(value))
        for line in (f"{name}:", *(f"  {each}" for each in lines))
    ]


def _lines(value: Json) -> list[str]:
    """Return the lines of a text that has several; none of any other value."""
    lines = value.strip("\n").split("\n") if isinstance(value, str) else []
    return lines if len(lines) > 1 else []


def _given(instance: Any) -> dict[str, Json]:
    """Return the parameters that were not left unset."""
    usual = {
        each.name: each.default if each.default_factory is dataclasses.MISSING else each.default_factory()
        for each in dataclasses.fields(instance)
    }
    found = {**parameters.read(instance), **parameters.spelled(instance)}
    held = {name: (getattr(instance, field), usual[field]) for name, field in parameters.fields(type(instance)).items()}
    return {name: value for name, value in found.items() if held[name][0] or held[name][0] != held[name][1]}
