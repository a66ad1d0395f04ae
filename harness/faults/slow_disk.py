"""Faults of a node's data disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from harness.core import parameters
from harness.core.protocols import Cluster, Disks, Fault, Here, Mode, Node
from harness.core.traits import DISK, WITH_DOCKER
from harness.core.units import Duration
from harness.core.values import Latency, Rung, Traits, Unavailable
from harness.faults.common import AtTheHost, together


@dataclass(frozen=True, slots=True)
class Slow(AtTheHost):
    """Every operation on /data takes so much longer. At least one of the three must be above 0.

    The disk is slowed by the node's host, out of the node's own reach.
    """

    fsync: Duration = 0.0
    write: Duration = 0.0
    read: Duration = 0.0

    name: ClassVar[str] = "disk.slow"
    traits: ClassVar[Traits] = Traits(parts=(DISK,), blinds=WITH_DOCKER, takes=("Disks",), leaves=("disk",))

    def __post_init__(self) -> None:
        """Raise `ValueError` where none of them is."""
        if parameters.fits(self) and not self.asked.any:
            raise ValueError("a slow disk needs a duration above 0 for at least one of fsync, write and read")

    @property
    def asked(self) -> Latency:
        """The latency to be added."""
        return Latency(self.fsync, self.write, self.read)

    @classmethod
    def rung(cls, here: Here) -> Rung:
        """Stand on a file system of ours below the node's disk, or on the throttle of the node's group."""
        fuse = here.library("fuse3") or here.library("fuse")
        there = {"/dev/fuse": here.exists("/dev/fuse"), "fusermount3": here.which("fusermount3"), "libfuse": fuse}
        lacks = [what for what, found in there.items() if not found]
        if not lacks:
            return Rung(can=True, how="a FUSE file system under the node's loop device: delay per fsync, write and read")
        missing = f"without {' and '.join(lacks)} (apt-get install fuse3)"
        if here.exists("/sys/fs/cgroup/cgroup.controllers"):
            return Rung(None, f"io.max of the node's group, fsync only: {missing}")
        if here.exists("/sys/fs/cgroup/blkio/cgroup.procs"):
            return Rung(None, f"blkio throttle of the node's group, fsync only: {missing}")
        return Rung(None, f"cannot be made: {missing}, and no blkio or io controller")

    @classmethod
    def variants(cls, mode: Mode) -> Sequence[Fault]:  # noqa: ARG003 - the same in all
        """Return one: which of the three operations are slow says nothing of what is lost."""
        return (cls(fsync=1.0),)

    def inject(self, cluster: Cluster, targets: Sequence[Node]) -> None:
        """Slow the disks of all targets at once."""
        disks = cluster.can(Disks)
        together(targets, lambda node: disks.slow(node, self.asked), "slowing the disk")

    def heal(self, cluster: Cluster, targets: Sequence[Node]) -> None:
        """Give all targets their own speed back."""
        together(targets, cluster.can(Disks).mend, "mending the disk")

    def in_force(self, cluster: Cluster, target: Node) -> bool:
        """Whether the disk itself says that it adds what was asked."""
        return cluster.can(Disks).latency(target) == self.asked

    def available(self, cluster: Cluster, target: Node) -> Unavailable | None:
        """Need a disk that can be slowed so."""
        return cluster.can(Disks).why_not(target, self.asked)
