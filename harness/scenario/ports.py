"""The ports that an app takes on its nodes, and who else has them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from harness import registry

if TYPE_CHECKING:
    from harness.core.values import App
    from harness.document import Place
    from harness.steps.step import Reading


def taken() -> dict[int, str]:
    """Return the ports of a node on which daemons of any mode listen, each with whose it is.

    The same in every mode: a file that runs in one is not to fail in another by a number.
    """
    return {port: whose for mode in registry.usable().known.modes.values() for port, whose in mode.PORTS.items()}


def note_ports(reading: Reading, app: App, place: Place) -> bool:
    """Note at a place which of an app's ports somebody else has. Returns whether any is."""
    wrong = wrong_ports(app, reading.apps)
    for each in wrong:
        reading.add(place, *each)
    return bool(wrong)


def wrong_ports(app: App, others: Iterable[App]) -> list[tuple[str, str, str]]:
    """Return which of an app's ports somebody else has: what was found, what is expected, and a hint."""
    ports = app.ports
    if not ports:
        return []
    text = f"{_spelled(ports)} for {app.name}"
    wrong = [(text, "ports up to 65535", "")] if max(ports) > 65535 else []  # noqa: PLR2004 - the last port there is
    for port, whose in sorted(taken().items()):
        if port in ports:
            wrong.append((text, "ports that the node does not use itself", f"{port} is taken by {whose}"))
    for other in others:
        if other.name != app.name and not ports.isdisjoint(other.ports):
            own = " and ".join(each.name for each in (app, other) if each.native is not None)
            ways = f"give one of them another `host port`{f' ({own}: another port in its definition)' if own else ''}"
            hint = f"{other.name} has {_spelled(other.ports).partition(' ')[2]}; {ways}"
            wrong.append((text, "ports that no other app has", hint))
    return wrong


def _spelled(ports: frozenset[int]) -> str:
    """Name ports, from the first to the last of them."""
    return f"ports {min(ports)} to {max(ports)}" if len(ports) > 1 else f"port {min(ports)}"
