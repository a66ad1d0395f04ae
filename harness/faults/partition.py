"""Faults of the network between nodes. The management path is never cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from harness.core.errors import FaultFailed
from harness.core.protocols import Cluster, Here, Links, Node, Quorum
from harness.core.topology import APART, SHAPES, Grudge, cut_off
from harness.core.values import Loss, Rung, Traits, Unavailable
from harness.faults.common import command, digest, identity, live
from harness.nodes.links import PREFIX

# $1 is a table of `harness.nodes.links`: it goes, and so does each whose name goes on from it after an underscore. Nobody else's is touched.
# Added before it is deleted, as there: a heal that was quicker is no error.
REMEDY = r"""
set -eu
tables=$(nft list tables inet)
for table in $tables; do
    case $table in
    "$1" | "$1"_*) nft "add table inet $table; delete table inet $table" ;;
    esac
done
"""
"""The script that takes all of a partition's rules away."""


@dataclass(frozen=True, slots=True)
class Partition:
    """Links between nodes drop everything; `shape` says which: isolate, halves, majority_minority, one_way, bridge, ring.

    A cut has two ends: a node at either end is in force, whether or not it was a target. Nodes that are off when the fault is injected get no
    rules, and a node that loses its power may forget those it had.
    """

    shape: Literal["isolate", "halves", "majority_minority", "one_way", "bridge", "ring"] = "halves"

    name: ClassVar[str] = "net.partition"

    @property
    def traits(self) -> Traits:
        """Whoever cannot reach a majority is lost, and in some shapes sees nobody but others that are."""
        return Traits(Loss.LINK, apart=self.shape in APART, takes=("Links",), leaves=("nft_tables",))

    @classmethod
    def rung(cls, here: Here) -> Rung:
        """Stand on nftables; without its program here nobody knows whether the nodes have one."""
        return Rung(True if here.which("nft") else None, "nftables drops in the node's own namespace, in a table of our own")

    def inject(self, cluster: Cluster, targets: Sequence[Node]) -> None:
        """Cut the links, on all nodes at once and each in one step. Raises `FaultFailed` where this shape cuts nothing for these targets."""
        hit = ", ".join(node.name for node in targets)
        try:
            whole = _grudge(self.shape, cluster, targets)
        except ValueError as e:
            raise FaultFailed(f"{self.shape} of {hit}: {e}") from e
        if not whole:
            raise FaultFailed(f"{self.shape} of {hit} cuts nothing in a cluster of {len(cluster.nodes)} nodes; choose other targets")
        up = {node.name for node in live(cluster, cluster.nodes)}
        grudge = {name: against for name, against in whole.items() if name in up}
        cluster.can(Links).cut(cluster.nodes, grudge, self.tag(cluster, targets))

    def heal(self, cluster: Cluster, targets: Sequence[Node]) -> None:
        """Restore the links on every node of the cluster that is on: the rules of some shapes are not on the targets."""
        cluster.can(Links).restore(live(cluster, cluster.nodes), self.tag(cluster, targets))

    def in_force(self, cluster: Cluster, target: Node) -> bool:
        """Whether the kernels that should drop for this target have rules of this fault: its own kernel, or else (one-way) those of others."""
        holders = self._holders(cluster, target)
        where = [node for node in cluster.nodes if node.name in holders]
        links, kind = cluster.can(Links), self.kind(cluster)
        return any(links.is_cut(node, kind) for node in live(cluster, where))

    def available(self, cluster: Cluster, target: Node) -> Unavailable | None:
        """Need somebody to be cut from."""
        if not self._holders(cluster, target):
            return Unavailable(f"{self.shape} cuts nothing in a cluster of {len(cluster.nodes)}", "more nodes")
        return None

    def remedy(self, cluster: Cluster, target: Node) -> Sequence[str]:  # noqa: ARG002 - the same for every node
        """Return what deletes this fault's own tables, made as `harness.nodes.links` makes them."""
        return command(REMEDY, f"{PREFIX}{self.kind(cluster)}")

    def touched(self, cluster: Cluster, targets: Sequence[Node]) -> Sequence[Node]:
        """Return the nodes that get rules: of some shapes also others than the targets."""
        try:
            grudge = _grudge(self.shape, cluster, targets)
        except ValueError:
            return ()  # inject refuses these targets before it does anything
        return [node for node in cluster.nodes if grudge.get(node.name)]

    def lost(self, cluster: Cluster, targets: Sequence[Node]) -> Sequence[str]:
        """Return whom the cut leaves without a majority. One whose machine is off already is not lost to it; nor is anybody where nothing is cut."""
        try:
            grudge = _grudge(self.shape, cluster, targets)
        except ValueError:
            return ()  # inject refuses these targets before it does anything
        mode = cluster.mode
        members = mode.members(cluster) if isinstance(mode, Quorum) else [node.name for node in cluster.nodes]
        return sorted(cut_off([node.name for node in live(cluster, cluster.nodes)], members, grudge)) if grudge else ()

    def kind(self, cluster: Cluster) -> str:
        """Return the part of the tag that is known without the targets: run, number of the fault, and shape."""
        return digest(cluster.run_id, cluster.fault, identity(self))

    def tag(self, cluster: Cluster, targets: Sequence[Node]) -> str:
        """Return the cut's tag: the same in every process that knows run, fault and targets."""
        return f"{self.kind(cluster)}_{digest(sorted(node.name for node in targets), length=8)}"

    def _holders(self, cluster: Cluster, target: Node) -> set[str]:
        """Return who must have rules if this node is a target, whoever the others are: itself, or those who drop what it sends."""
        # One target alone may be no minority, but which side's kernels drop does not hang on the numbers.
        shape = "halves" if self.shape == "majority_minority" else self.shape
        grudge = _grudge(shape, cluster, [target])
        return {target.name} if target.name in grudge else set(grudge)


def _grudge(shape: str, cluster: Cluster, targets: Sequence[Node]) -> Grudge:
    return SHAPES[shape]([node.name for node in cluster.nodes], [node.name for node in targets])
