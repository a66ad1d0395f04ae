"""Faults of a node's data disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from harness.core.protocols import Cluster, Disks, Node
from harness.core.traits import WITH_DOCKER
from harness.core.units import Duration
from harness.core.values import Latency, Traits, Unavailable
from harness.faults.common import lacking, together


@dataclass(frozen=True, slots=True)
class Slow:
    """Every operation on /data takes so much longer. At least one of the three must be above 0, or `ValueError` is raised."""

    fsync: Duration = 0.0
    write: Duration = 0.0
    read: Duration = 0.0

    name: ClassVar[str] = "disk.slow"
    traits: ClassVar[Traits] = Traits(parts=("disk",), blinds=WITH_DOCKER)

    def __post_init__(self) -> None:
        if not self.asked.any:
            raise ValueError("a slow disk needs a duration above 0 for at least one of fsync, write and read")

    @property
    def asked(self) -> Latency:
        """The latency to be added."""
        return Latency(self.fsync, self.write, self.read)

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
        return lacking(cluster, Disks) or cluster.can(Disks).why_not(target, self.asked)

    def remedy(self, cluster: Cluster, target: Node) -> Sequence[str]:  # noqa: ARG002 - the same everywhere
        """Return nothing: the disk is slowed by the node's host, out of the node's own reach."""
        return ()

    def touched(self, cluster: Cluster, targets: Sequence[Node]) -> Sequence[Node]:  # noqa: ARG002 - the same everywhere
        """Return nobody: nothing is left on a node."""
        return ()
