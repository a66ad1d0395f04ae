"""What kind of fault a fault of a history was (`harness.core.values.Traits`), also where the history is from before that was recorded. Pure."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from harness.core.topology import APART
from harness.core.traits import DISK, EVERYBODY, ORCHESTRATOR, WITH_DOCKER, daemon, from_history
from harness.core.values import Loss, Traits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.core.values import Json


def kind(name: str, parameters: Mapping[str, Json], body: Mapping[str, Json]) -> tuple[Traits, tuple[str, ...] | None]:
    """Return a fault's traits, and who was lost to it, by what a history says of it (`body`); None where it does not say who.

    What is not said there goes by what its name and its parameters meant before it was said.
    """
    said = from_history(body)
    if said is None:
        return _by_name(name, parameters), None
    read, lost = said
    if "apart" not in body and read.loses is Loss.LINK:
        read = dataclasses.replace(read, apart=_apart(parameters))
    if "idle" not in body:
        read = dataclasses.replace(read, idle=_by_name(name, parameters).idle)
    return read, lost


def _by_name(name: str, parameters: Mapping[str, Json]) -> Traits:
    """Return the traits of a fault by its family: there were five, and one that did nothing."""
    family = name.partition(".")[0]
    if family == "node":
        return Traits(Loss.NODE, blinds=EVERYBODY)
    if family == "net":
        return Traits(Loss.LINK, apart=_apart(parameters))
    if family == "process":
        return daemon(str(parameters.get("process", "etcd")), in_place=parameters.get("restart", True) is True)
    if family == "daemon":
        both = Traits(Loss.PROCESS, ("docker", "containerd"), blinds=WITH_DOCKER)
        return both if parameters.get("daemon") == "both" else daemon(str(parameters.get("daemon", "docker")), in_place=False)
    if family == "disk":
        return Traits(parts=(DISK,), blinds=WITH_DOCKER)
    return Traits(blinds=(), idle=True) if family == "none" else Traits(blinds=ORCHESTRATOR)


def _apart(parameters: Mapping[str, Json]) -> bool:
    """Whether a cut left nothing between those that were lost and the others; one that does not say its shape is from before there were several."""
    return str(parameters.get("shape", "isolate")) in APART
