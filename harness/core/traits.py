"""What kind of fault a fault is (`harness.core.values.Traits`): those of daemons, as they stand in a history, and the key of a budget. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.core.values import Loss, Traits

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.core.values import Json

EVERYBODY = ("docker", "host", "membership", "placement")
"""All observers: nobody can ask a machine that is off."""
ORCHESTRATOR = ("membership", "placement")
"""The observers that ask the orchestrator on a node, which may be stuck there under any fault of it."""
WITH_DOCKER = ("docker", *ORCHESTRATOR)
"""Those, and the one that listens to Docker."""
RUNTIME = frozenset({"docker", "containerd"})
"""The daemons whose silence is Docker's."""

_SAME = {"dockerd": "docker", "fleet": "fleetd"}


def daemon(name: str, *, in_place: bool) -> Traits:
    """Return the traits of a fault that takes away one daemon, by any of the names that a mode knows it by."""
    part = _SAME.get(name, name)
    return Traits(Loss.PROCESS, (part,), in_place=in_place, blinds=WITH_DOCKER if part in RUNTIME else ORCHESTRATOR)


def told(of: Traits, nodes: Sequence[str]) -> dict[str, Json]:
    """Give traits, and who is lost, as they stand in a history."""
    return {"loses": str(of.loses), "parts": [*of.parts], "in_place": of.in_place, "blinds": [*of.blinds], "lost": [*nodes]}


def heard(body: Mapping[str, Json]) -> tuple[Traits, tuple[str, ...]] | None:
    """Return traits, and who was lost, as a history has them; None where it does not say, or says what no run of ours would."""
    try:
        loses = Loss(str(body["loses"]))
    except (KeyError, ValueError):
        return None
    read = Traits(loses, _names(body.get("parts")), in_place=body.get("in_place") is True, blinds=_names(body.get("blinds")))
    return read, _names(body.get("lost"))


def by_name(name: str, parameters: Mapping[str, Json]) -> Traits:
    """Return the traits of a fault in a history from before they were recorded."""
    family = name.partition(".")[0]
    if family == "node":
        return Traits(Loss.NODE, blinds=EVERYBODY)
    if family == "net":
        return Traits(Loss.LINK)
    if family == "process":
        return daemon(str(parameters.get("process", "etcd")), in_place=parameters.get("restart", True) is True)
    if family == "daemon":
        return daemon(str(parameters.get("daemon", "docker")), in_place=False) if parameters.get("daemon") != "both" else BOTH
    if family == "disk":
        return Traits(parts=("disk",), blinds=WITH_DOCKER)
    return Traits(blinds=() if family == "none" else ORCHESTRATOR)


BOTH = Traits(Loss.PROCESS, ("docker", "containerd"), blinds=WITH_DOCKER)
"""What the whole container runtime is lost with."""


def budget_key(name: str, of: Traits) -> str:
    """Return under which name a fault's budget stands in a plan: its own, and for a daemon which one, e.g. ``process.kill docker``."""
    return f"{name} {' and '.join(of.parts)}" if of.loses is Loss.PROCESS else name


def _names(value: Json) -> tuple[str, ...]:
    return tuple(each for each in value if isinstance(each, str)) if isinstance(value, list | tuple) else ()
