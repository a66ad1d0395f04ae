"""The provider's own records of a cluster: enough for another process to reach, mend and remove it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness.core.errors import HarnessError, NoSuchRun, Unreadable
from harness.core.values import NodeSpec
from harness.host import private
from harness.providers import clusters

NAME = "vagrant"
"""The provider's name, in the register and in plans."""
MANAGEMENT = "192.168.77"
"""First three numbers of the management network (/24), where no fault is made. Its other end is .1; node K has .(10 + K)."""
POOL = "whalefall"
"""The storage pool of a libvirt of our own."""


@dataclass(frozen=True, slots=True)
class VmCluster:
    """One cluster as it was asked for."""

    run_id: str
    image: str  # the box's folder
    nodes: tuple[NodeSpec, ...]
    uri: str  # of its libvirt
    private: bool  # whether that libvirt is our own and ends with the run
    pool: str
    driver: str  # kvm or qemu


@dataclass(frozen=True, slots=True)
class VirtualMachine:
    """One virtual machine: what its name, cards and files are called. All of it follows from the run, the node's name and its place."""

    name: str
    domain: str
    address: str  # on the cluster's network (eth1)
    management: str  # on the management network (eth0)
    mac: str
    management_mac: str
    seed: str  # name of the volume that tells it who it is
    folder: Path  # its files on this machine

    @property
    def console(self) -> Path:
        """What its serial console says, where that can be kept in a file."""
        return self.folder.parent.parent / "console" / f"{self.name}.log"


def prefix(run_id: str) -> str:
    """Return how everything of a run is called in its libvirt."""
    return f"wf-{run_id}-"


def network(run_id: str) -> str:
    """Return the name of the cluster's network in its libvirt."""
    return f"{prefix(run_id)}net"


def management(run_id: str) -> str:
    """Return the name of the management network in its libvirt."""
    return f"{prefix(run_id)}mgmt"


def machines(run_id: str, nodes: Sequence[NodeSpec]) -> list[VirtualMachine]:
    """Return the machines of a cluster, in order."""
    return [
        VirtualMachine(
            name=spec.name,
            domain=f"{prefix(run_id)}{spec.name}",
            address=spec.address,
            management=f"{MANAGEMENT}.{10 + number}",
            mac=_mac(run_id, spec.name, "cluster"),
            management_mac=_mac(run_id, spec.name, "management"),
            seed=f"{prefix(run_id)}{spec.name}-seed.qcow2",
            folder=clusters.folder(run_id) / "nodes" / spec.name,
        )
        for number, spec in enumerate(nodes, start=1)
    ]


def machine(run_id: str, name: str) -> VirtualMachine:
    """Return one machine of a recorded cluster. Raises as `read_cluster`."""
    for each in machines(run_id, read_cluster(run_id).nodes):
        if each.name == name:
            return each
    raise NoSuchRun(f"{run_id} has no node {name}")


def _mac(run_id: str, name: str, card: str) -> str:
    """Return an address of a network card from qemu's own range, another one for each run, node and card."""
    digest = hashlib.md5(f"{run_id}/{name}/{card}".encode(), usedforsecurity=False).hexdigest()
    return f"52:54:00:{digest[:2]}:{digest[2:4]}:{digest[4:6]}"


def open_cluster(record: VmCluster) -> None:
    """Note that a cluster is about to be made by this process. Raises `HarnessError` where that cannot be written down."""
    body = asdict(record)
    del body["run_id"]
    clusters.open_cluster(record.run_id, NAME, body)


def read_cluster(run_id: str) -> VmCluster:
    """Read a cluster's record. Raises `NoSuchRun` where there is none, and `Unreadable`."""
    path = clusters.folder(run_id) / "cluster.json"
    try:
        body: dict[str, Any] = private.record(path)
        if body["provider"] != NAME:
            raise NoSuchRun(f"{run_id} is a cluster of the {body['provider']} provider, not of {NAME}")
        return VmCluster(
            run_id=body["run_id"],
            image=body["image"],
            nodes=tuple(NodeSpec(**each) for each in body["nodes"]),
            uri=body["uri"],
            private=body["private"],
            pool=body["pool"],
            driver=body["driver"],
        )
    except FileNotFoundError as error:
        raise NoSuchRun(f"no cluster of {run_id} is there: {path} does not exist; it was destroyed, or never created") from error
    except NoSuchRun:
        raise
    except (OSError, HarnessError, ValueError, KeyError, TypeError) as error:
        raise Unreadable(f"the record {path} cannot be read: {error!r}; `whalefall sweep` removes what is left of that run") from error
