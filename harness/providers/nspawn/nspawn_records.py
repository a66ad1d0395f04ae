"""The provider's own records of a cluster: enough for another process to reach, heal and remove it.

``<state>/runs/<run-id>/cluster.json`` is written before anything is made, and ``nodes/<name>/machine.json`` whenever a machine was started.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness.core.errors import HarnessError, NoSuchRun, Unreadable
from harness.core.values import NodeSpec
from harness.host import private
from harness.host.processes import Process
from harness.providers import clusters


@dataclass(frozen=True, slots=True)
class NspawnCluster:
    """One cluster as it was asked for."""

    run_id: str
    layers: tuple[str, ...]  # of its nodes' image, the topmost first
    nodes: tuple[NodeSpec, ...]
    owner: Process  # the harness process that created it


def open_cluster(run_id: str, layers: Sequence[Path], specs: Sequence[NodeSpec]) -> None:
    """Note that a cluster is about to be made by this process. Raises `HarnessError` where that cannot be written down."""
    clusters.open_cluster(
        run_id, "nspawn", {"image": str(layers[-1]), "layers": [*map(str, layers)], "nodes": [asdict(spec) for spec in specs]}
    )


def read_cluster(run_id: str) -> NspawnCluster:
    """Read a cluster's record. Raises `NoSuchRun` where there is none, and `Unreadable`."""
    path = clusters.folder(run_id) / "cluster.json"
    try:
        body: dict[str, Any] = private.record(path)
        return NspawnCluster(
            run_id=body["run_id"],
            layers=tuple(body.get("layers", (body["image"],))),  # there was one before there were layers
            nodes=tuple(NodeSpec(**each) for each in body["nodes"]),
            owner=Process(**body["owner"]),
        )
    except FileNotFoundError as error:
        raise NoSuchRun(f"no cluster of {run_id} is there: {path} does not exist; it was destroyed, or never created") from error
    except (OSError, HarnessError, ValueError, KeyError, TypeError) as error:
        raise Unreadable(f"the record {path} cannot be read: {error}; `whalefall sweep` removes what is left of that run") from error


@dataclass(frozen=True, slots=True)
class MachineRecord:
    """The processes of one started machine, as the host sees them."""

    launcher: Process  # holds its mounts
    leader: Process  # its PID 1


def node_folder(run_id: str, name: str) -> Path:
    """Return the folder of one node's files."""
    return clusters.folder(run_id) / "nodes" / name


def write_machine(run_id: str, name: str, record: MachineRecord) -> None:
    """Note a started machine."""
    clusters.write(node_folder(run_id, name) / "machine.json", asdict(record))


def read_machine(run_id: str, name: str) -> MachineRecord | None:
    """Read what was last started for a node, or None."""
    return machine_in(node_folder(run_id, name))


def machine_in(folder: Path) -> MachineRecord | None:
    """Read the same from the folder of the node's files, for who asks for each command and need not ask the register where that is each time."""
    try:
        body: dict[str, Any] = private.record(folder / "machine.json")
        return MachineRecord(Process(**body["launcher"]), Process(**body["leader"]))
    except (OSError, HarnessError, ValueError, KeyError, TypeError):
        return None
