"""What a step, or a check, asks for and its mode lacks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.core import targets
from harness.core.protocols import Ordered, Quorum, Viewing

if TYPE_CHECKING:
    from harness.document import Place


@dataclass(frozen=True, slots=True)
class Misfit:
    """Something that a scenario asks for and its mode lacks."""

    place: Place
    found: str
    expected: str


def target_misfits(text: str, place: Place, mode: Any) -> list[Misfit]:
    """Return what a target expression asks for."""
    expression = targets.parse(text)
    found = [no_quorum(place, f"{text!r}", mode)] if not isinstance(mode, Quorum) and expression.needs_leader else []
    if not (isinstance(mode, Ordered) and isinstance(mode, Viewing)) and expression.needs_controller:
        found.append(
            Misfit(place, f"{text!r}, with the {mode.name} mode", "a mode whose orders go through one node, and that says where it answers")
        )
    return found


def no_quorum(place: Place, what: str, mode: Any) -> Misfit:
    """Return that something asks for a leader where there is none."""
    return Misfit(place, f"{what}, with the {mode.name} mode", "a mode with a quorum and a leader")
