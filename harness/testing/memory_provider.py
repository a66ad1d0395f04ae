"""A provider whose nodes are memory: it can do all that the nspawn provider can, at once, and fail on demand."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

from harness.core.errors import HarnessError, NoSuchRun
from harness.core.protocols import Node
from harness.core.topology import Grudge
from harness.core.values import Latency, NodeSpec, Unavailable
from harness.nodes.together import together
from harness.testing.memory_node import MemoryNode

_STATE = ("on", "paused", "files", "processes", "cuts", "latency")
"""What a node in memory is, as far as a machine's memory and disk hold it."""


@dataclass
class MemoryWorld:
    """What exists, as a machine's own state would: hand one store to two providers, and they are two processes on one machine."""

    runs: dict[str, dict[str, MemoryNode]] = field(default_factory=dict)
    faultable: set[tuple[str, str]] = field(default_factory=set)  # run id, node
    created: list[str] = field(default_factory=list)  # run ids, also of those that are gone or failed
    kept: dict[tuple[str, str], dict[str, dict[str, Any]]] = field(default_factory=dict)  # run id, name → node → what `save` keeps of it


@dataclass
class MemoryProvider:
    """Nodes in memory; see `harness.core.protocols.Provider`, `Power`, `Pausing`, `Links`, `Disks` and `Snapshots`.

    `dead_on_arrival` names nodes that never boot; `stuck` names capabilities' methods (``off``, ``restore`` …) that raise `HarnessError`.
    """

    name: ClassVar[str] = "memory"

    store: MemoryWorld = field(default_factory=MemoryWorld)
    dead_on_arrival: set[str] = field(default_factory=set)
    stuck: set[str] = field(default_factory=set)

    # -- Provider

    def create(self, run_id: str, specs: Sequence[NodeSpec]) -> Sequence[Node]:
        """Make all nodes, or none; see `harness.core.protocols.Provider.create`."""
        if run_id in self.store.runs:
            raise HarnessError(f"{run_id} was created already; destroy it first")
        self.store.created.append(run_id)
        self.store.runs[run_id] = {spec.name: MemoryNode(spec.name, spec.address) for spec in specs}
        self.store.faultable |= {(run_id, spec.name) for spec in specs if spec.faultable_disk}
        dead = sorted(self.dead_on_arrival & {*self.store.runs[run_id]})
        if dead:
            self.destroy(run_id)
            raise HarnessError(f"{', '.join(dead)} did not boot")
        return self.adopt(run_id)

    def adopt(self, run_id: str) -> Sequence[Node]:
        """Return the nodes of a run; see `harness.core.protocols.Provider.adopt`."""
        if run_id not in self.store.runs:
            raise NoSuchRun(f"memory has no run {run_id!r}; it has {', '.join(self.store.runs) or 'none'}")
        return list(self.store.runs[run_id].values())

    def destroy(self, run_id: str) -> None:
        """Forget a run; see `harness.core.protocols.Provider.destroy`. Whoever still holds one of its nodes finds it off."""
        for node in self.store.runs.pop(run_id, {}).values():
            node.lose_power()
            self.store.faultable.discard((run_id, node.name))
        for key in [key for key in self.store.kept if key[0] == run_id]:
            del self.store.kept[key]

    def network(self, run_id: str) -> AbstractContextManager[None]:
        """Do nothing: there are no sockets here. Raises `HarnessError` for a run that is not there."""

        @contextmanager
        def inside() -> Iterator[None]:
            if run_id not in self.store.runs:
                raise HarnessError(f"the network of {run_id} is not there; was the cluster destroyed?")
            yield

        return inside()

    def reaches(self, source: Node, target: Node) -> bool:
        """Whether a packet from one node arrives at the other: both are on, none is frozen, and the target does not drop it."""
        a, b = self._of(source), self._of(target)
        return a.on and b.on and not a.paused and not b.paused and not any(a.address in dropped for dropped in b.cuts.values())

    # -- Power

    def off(self, node: Node) -> None:
        """Cut the power; see `harness.core.protocols.Power.off`."""
        self._may("off", node)
        self._of(node).lose_power()

    def on(self, node: Node) -> None:
        """Start the machine; see `harness.core.protocols.Power.on`."""
        self._may("on", node)
        self._of(node).on = True

    def reboot(self, node: Node) -> None:
        """Reset the machine; see `harness.core.protocols.Power.reboot`."""
        self.off(node)
        self.on(node)

    def is_on(self, node: Node) -> bool:
        """Whether the machine runs."""
        self._may("is_on", node)
        return self._of(node).on

    # -- Pausing

    def pause(self, node: Node) -> None:
        """Freeze the node; see `harness.core.protocols.Pausing.pause`."""
        self._may("pause", node)
        self._of(node).paused = True

    def resume(self, node: Node) -> None:
        """Undo `pause`."""
        self._may("resume", node)
        self._of(node).paused = False

    def is_paused(self, node: Node) -> bool:
        """Whether it is frozen."""
        return self._of(node).paused

    # -- Links

    def cut(self, nodes: Sequence[Node], grudge: Grudge, tag: str) -> None:
        """Cut links; see `harness.core.protocols.Links.cut`."""
        address = {node.name: node.address for node in nodes}
        unknown = sorted(({*grudge} | {name for against in grudge.values() for name in against}) - {*address})
        if unknown:
            raise HarnessError(f"the cut {tag} names {', '.join(unknown)}; the nodes are {', '.join(sorted(address))}")

        def work(node: Node) -> None:
            self._may("cut", node)
            self._asked(node, "cut").cuts[tag] = frozenset(address[name] for name in grudge[node.name])

        together([node for node in nodes if grudge.get(node.name)], work, "cutting links")

    def restore(self, nodes: Sequence[Node], tag: str) -> None:
        """Undo one cut; see `harness.core.protocols.Links.restore`."""

        def work(node: Node) -> None:
            self._may("restore", node)
            self._of(node).cuts.pop(tag, None)

        together(nodes, work, "restoring links")

    def is_cut(self, node: Node, tag: str) -> bool:
        """Whether the node has this cut, or one whose tag goes on from it after an underscore; see `harness.core.protocols.Links.is_cut`."""
        self._may("is_cut", node)
        return any(each == tag or each.startswith(f"{tag}_") for each in self._asked(node, "is_cut").cuts)

    # -- Disks

    def slow(self, node: Node, latency: Latency) -> None:
        """Slow the node's disk; see `harness.core.protocols.Disks.slow`."""
        self._may("slow", node)
        self._asked(node, "slow").latency = latency

    def mend(self, node: Node) -> None:
        """Undo `slow`."""
        self._may("mend", node)
        self._of(node).latency = Latency()

    def latency(self, node: Node) -> Latency:
        """Return what is added now."""
        return self._of(node).latency

    def why_not(self, node: Node, latency: Latency) -> Unavailable | None:  # noqa: ARG002 - any latency will do
        """Say that the node was made without a faultable disk, or None."""
        if any(name == node.name and self._of(node) is self.store.runs[run_id][name] for run_id, name in self.store.faultable):
            return None
        return Unavailable(f"{node.name} was not planned with a faultable disk", "a plan with a disk.* fault")

    # -- Snapshots

    def save(self, run_id: str, name: str) -> None:
        """Keep what all nodes are; see `harness.core.protocols.Snapshots.save`."""
        self.adopt(run_id)
        self.store.kept[run_id, name] = {
            node.name: {each: copy.copy(getattr(node, each)) for each in _STATE} for node in self.store.runs[run_id].values()
        }

    def revert(self, run_id: str, name: str) -> None:
        """Go back to what was kept; see `harness.core.protocols.Snapshots.revert`."""
        if (run_id, name) not in self.store.kept:
            raise NoSuchRun(f"{run_id}: no state {name!r} was kept; `save` comes first")
        for node in self.store.runs[run_id].values():
            self._may("revert", node)
            for each, value in self.store.kept[run_id, name][node.name].items():
                setattr(node, each, copy.copy(value))

    def _may(self, what: str, node: Node) -> None:
        if what in self.stuck:
            raise HarnessError(f"{node.name}: {what} is stuck")

    def _of(self, node: Node) -> MemoryNode:
        if not isinstance(node, MemoryNode):
            raise HarnessError(f"{node.name} is no memory node; each provider breaks only its own nodes")
        return node

    def _asked(self, node: Node, what: str) -> MemoryNode:
        """Return a node that has to answer for this: one that is off, or too slow, raises `Unreachable`."""
        memory = self._of(node)
        memory.run("true", timeout=10.0)
        if not memory.on:
            raise HarnessError(f"{node.name}: {what} on a machine that is off")
        return memory
