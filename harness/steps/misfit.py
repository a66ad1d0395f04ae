"""What a step, or a check, asks for and its mode lacks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.core import targets
from harness.core.protocols import Electing, Ordered, Quorum, Selective, Viewing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.core.values import App
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
    known = mode.elected() if isinstance(mode, Electing) else ()
    for each in targets.leading(expression):
        if each.process not in known:
            expected = (
                f"a daemon that leads others of its kind: {', '.join(known)}"
                if known
                else "a mode with daemons that elect a leader of their own"
            )
            found.append(Misfit(place, f"{str(each)!r}, with the {mode.name} mode", expected))
    return found


def no_quorum(place: Place, what: str, mode: Any) -> Misfit:
    """Return that something asks for a leader where there is none."""
    return Misfit(place, f"{what}, with the {mode.name} mode", "a mode with a quorum and a leader")


def refused_of(app: App, mode: Any) -> Sequence[tuple[str, str, str, str]]:
    """Return what a mode cannot give an app: the key of a scenario file, what was found, what is expected, and a hint; nothing of no mode (None)."""
    return mode.refused(app) if isinstance(mode, Selective) and app.native is None else ()
