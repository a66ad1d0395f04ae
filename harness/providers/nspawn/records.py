"""The provider's own records of a cluster: enough for another process to reach, heal and remove it.

``<state>/runs/<run-id>/cluster.json`` is written before anything is made, and ``nodes/<name>/machine.json`` whenever a machine was started.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from harness import state
from harness.errors import HarnessError, NoSuchRun
from harness.processes import Process
from harness.values import NodeSpec


@dataclass(frozen=True, slots=True)
class ClusterRecord:
    """One cluster as it was asked for."""

    run_id: str
    image: str
    nodes: tuple[NodeSpec, ...]
    owner: Process  # the harness process that created it


def _write(path: Path, body: object) -> None:
    """Write a file so that a reader finds the old one or the new one, never half of it."""
    fresh = path.with_suffix(".new")
    with fresh.open("w", encoding="utf-8") as file:
        json.dump(body, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def _entry(run_id: str) -> Path:
    state.run_folder(run_id)  # refuses an id that is none of ours
    return state.REGISTRY / f"{run_id}.json"


def register(run_id: str, owner: Process) -> None:
    """Tell everybody on this machine that a cluster is about to be made, by whom, and where its folder will be."""
    state.REGISTRY.mkdir(parents=True, exist_ok=True)
    _write(_entry(run_id), {"folder": str(state.run_folder(run_id)), "owner": asdict(owner)})


def unregister(run_id: str) -> None:
    """Undo `register`, when all of the cluster is gone. Twice is fine."""
    _entry(run_id).unlink(missing_ok=True)
    with suppress(OSError):
        state.REGISTRY.rmdir()  # only when it is empty


def registered() -> set[str]:
    """Return the ids of all registered clusters."""
    with suppress(OSError):
        return {each.stem for each in state.REGISTRY.glob("*.json")}
    return set()


def owner(run_id: str) -> Process | None:
    """Return the process that created a cluster, by the machine's register or else by the cluster's own record; None where neither tells."""
    try:
        return Process(**json.loads(_entry(run_id).read_text(encoding="utf-8"))["owner"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    try:
        return read_cluster(run_id).owner
    except NoSuchRun:
        return None


def folder(run_id: str) -> Path:
    """Return a cluster's folder: where the register says, or else where this process would put it."""
    try:
        return Path(json.loads(_entry(run_id).read_text(encoding="utf-8"))["folder"])
    except (OSError, ValueError, KeyError, TypeError):
        return state.run_folder(run_id)


def open_cluster(run_id: str, image: Path, specs: Sequence[NodeSpec]) -> None:
    """Note that a cluster is about to be made by this process. Raises `HarnessError` where that cannot be written down."""
    mine = Process.of(os.getpid())
    if mine is None:
        raise HarnessError("this process is not in /proc: nodes need a mounted /proc")
    record = {
        "run_id": run_id,
        "provider": "nspawn",
        "image": str(image),
        "nodes": [asdict(spec) for spec in specs],
        "owner": asdict(mine),
    }
    try:
        register(run_id, mine)
        where = state.run_folder(run_id)
        where.mkdir(parents=True, exist_ok=True)
        _write(where / "cluster.json", record)
    except OSError as error:
        unregister(run_id)
        raise HarnessError(f"cannot note down the cluster {run_id}: {error}; is the disk full, or WHALEFALL_STATE not writable?") from error


def read_cluster(run_id: str) -> ClusterRecord:
    """Read a cluster's record. Raises `NoSuchRun`."""
    path = folder(run_id) / "cluster.json"
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
        return ClusterRecord(
            run_id=body["run_id"],
            image=body["image"],
            nodes=tuple(NodeSpec(**each) for each in body["nodes"]),
            owner=Process(**body["owner"]),
        )
    except FileNotFoundError as error:
        raise NoSuchRun(f"no cluster of {run_id} is there: {path} does not exist; it was destroyed, or never created") from error
    except (ValueError, KeyError, TypeError) as error:
        raise NoSuchRun(f"the record {path} cannot be read: {error}; `whalefall sweep` removes what is left of that run") from error


@dataclass(frozen=True, slots=True)
class MachineRecord:
    """The processes of one started machine, as the host sees them."""

    launcher: Process  # holds its mounts
    leader: Process  # its PID 1


def node_folder(run_id: str, name: str) -> Path:
    """Return the folder of one node's files."""
    return folder(run_id) / "nodes" / name


def write_machine(run_id: str, name: str, record: MachineRecord) -> None:
    """Note a started machine."""
    _write(node_folder(run_id, name) / "machine.json", asdict(record))


def read_machine(run_id: str, name: str) -> MachineRecord | None:
    """Read what was last started for a node, or None."""
    try:
        body = json.loads((node_folder(run_id, name) / "machine.json").read_text(encoding="utf-8"))
        return MachineRecord(Process(**body["launcher"]), Process(**body["leader"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
