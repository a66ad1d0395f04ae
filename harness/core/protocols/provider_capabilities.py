"""What only some providers can do, a protocol each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from harness.core.protocols.capabilities import of_providers
from harness.core.protocols.provider import Provider

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from harness.core.protocols.action import Action
    from harness.core.protocols.fault import Fault
    from harness.core.protocols.node import Node
    from harness.core.topology import Grudge
    from harness.core.values import Json, Latency, NodeSpec, Term, Unavailable


@of_providers
@runtime_checkable
class Retaining(Provider, Protocol):
    """A provider that knows its runs, also those whose harness is dead, and which of them are to be kept."""

    def runs(self) -> Mapping[str, bool]:
        """Return every run that has, or holds, anything of this provider's, and whether it is still wanted (its harness lives, or it is kept)."""

    def keep(self, run_id: str, *, over: bool = False) -> None:
        """Note that a cluster, with what is deployed on it, is to outlive its run; and, later, that the run is over: whoever made it may live on."""

    def is_kept(self, run_id: str) -> bool:
        """Whether that was noted."""


@of_providers
@runtime_checkable
class Disposable(Retaining, Protocol):
    """A provider whose `destroy` ends the nodes themselves: nothing on them needs mending first, and nothing may be left on this machine."""

    def leftovers(self, run_id: str) -> list[str]:
        """Say what a run still has on this machine; empty when it is clean."""


@of_providers
@runtime_checkable
class Reaping(Protocol):
    """A provider on whose nodes a command may run on when the harness that began it is killed."""

    def reap(self, run_id: str) -> tuple[str, ...]:
        """End what harnesses that are gone had begun on a run's nodes and what still runs there. Returns the names of those nodes, sorted.

        What a harness that lives has begun goes on, also on the same nodes.
        """


@of_providers
@runtime_checkable
class Discerning(Protocol):
    """A provider that tells what its runs have made from what is only called so."""

    def strangers(self) -> list[str]:
        """Say of each thing on this machine that is called as one of ours, but is not proven to be, that it is left alone; a sentence each."""


@of_providers
@runtime_checkable
class Preparing(Protocol):
    """A provider that has something to make ready, once, before it can create nodes quickly."""

    def prepare(self, progress: Callable[[str], None], specs: Sequence[NodeSpec] = ()) -> Mapping[str, Json]:
        """Make it ready for nodes like these, saying in words what is done. Returns facts for the run's environment.

        Raises `Unsupported` where this machine cannot have them, before anything is touched.
        """


@of_providers
@runtime_checkable
class Furnishing(Protocol):
    """A provider whose nodes can carry what their mode needs beside what all nodes have."""

    def furnish(self, layer: Path | None) -> None:
        """Make nodes with this on them from now on (`Mode.LAYER`); nodes that nobody furnished have what all have. Called before `prepare`."""


@of_providers
@runtime_checkable
class Narrating(Protocol):
    """A provider that tells how the making of its nodes goes, and keeps what machines said that did not come up."""

    def narrate(self, progress: Callable[[str], None], folder: Path) -> None:
        """From now on tell whom it waits for in short lines, and put consoles as NAME.log into `folder`, which is made where there is one to keep."""


@of_providers
@runtime_checkable
class Consoles(Protocol):
    """A provider whose machines have consoles that can be kept."""

    def keep_consoles(self, run_id: str, folder: Path) -> None:
        """Put what the machines of a run said last into `folder` as NAME.log; it is made where there is anything to keep."""


@of_providers
@runtime_checkable
class Outliving(Protocol):
    """A provider whose nodes go on living when this machine, or the way to them, is lost: a timer on the node then undoes what we broke."""

    def patience(self) -> float:
        """Seconds without a word from us after which a node mends itself."""


@of_providers
@runtime_checkable
class Housed(Protocol):
    """A provider whose nodes stand on this machine, and so fall with what ails it."""

    def ailment(self, run_id: str) -> str:
        """Say what of this machine keeps a run's nodes from working, as a full disk; empty where nothing does. Asked ten times a second."""


@of_providers
@runtime_checkable
class Sized(Protocol):
    """A provider whose nodes stand on this machine, and that knows how many it carries."""

    def room(self) -> tuple[int, str]:
        """Return how many more nodes fit now, beside all that runs already, and in words what there is least of."""


@of_providers
@runtime_checkable
class Slower(Protocol):
    """A provider whose nodes may be slower than real machines, e.g. under software emulation."""

    def allowance(self) -> Term | None:
        """Return what budgets and bounds are lengthened by, with its reason; None where nodes are as fast as machines are. Asked after `prepare`."""

    def stall(self) -> float:
        """Return for how many seconds a node may stand still with nothing the matter; 0 where it does not by itself. Asked after `create`."""


@of_providers
@runtime_checkable
class Running(Protocol):
    """A provider of hosts that somebody else runs, with a cluster on them already: it is found, not formed."""

    def spared(self, run_id: str) -> frozenset[str]:
        """Return the names of the nodes that must never be broken."""

    def at_once(self, run_id: str) -> int:
        """Return how many nodes may be broken at the same time."""


@of_providers
@runtime_checkable
class Snapshots(Protocol):
    """A provider that can keep the state of its machines, memory and disks, and go back to it."""

    def save(self, run_id: str, name: str) -> None:
        """Keep the state of all nodes under a name, in place of one kept under it before."""

    def revert(self, run_id: str, name: str) -> None:
        """Go back to a kept state. Returns when every node answers `run` and has the right time. Raises `NoSuchRun` where none was kept."""


@of_providers
@runtime_checkable
class Power(Protocol):
    """A provider that can cut a node's power. Off is a crash: nothing on the node is told."""

    def off(self, node: Node) -> None:
        """Cut the power. Returns when nothing of the machine runs any more. Twice is fine."""

    def on(self, node: Node) -> None:
        """Start the machine. Returns when it answers `run`. On a running machine it does nothing."""

    def reboot(self, node: Node) -> None:
        """Reset the machine: off without a word, and on again. Returns when it answers `run`. One that was off is on afterwards."""

    def is_on(self, node: Node) -> bool:
        """Whether the machine runs, asked of the machine's host (a frozen machine runs)."""


@of_providers
@runtime_checkable
class Pausing(Protocol):
    """A provider that can freeze a whole node, as a hypervisor pauses a VM."""

    def pause(self, node: Node) -> None:
        """Freeze everything on the node, and drop its packets. Twice is fine."""

    def resume(self, node: Node) -> None:
        """Undo `pause`. Without one it does nothing."""

    def is_paused(self, node: Node) -> bool:
        """Whether it is frozen, asked of the machine's host."""


@of_providers
@runtime_checkable
class Links(Protocol):
    """A provider that can cut the links between nodes. `tag` names one cut; each has a table of its own, and no other rule is touched."""

    def cut(self, nodes: Sequence[Node], grudge: Grudge, tag: str) -> None:
        """Make every node of the grudge drop what comes from the addresses that it holds against. In parallel; twice is fine."""

    def restore(self, nodes: Sequence[Node], tag: str) -> None:
        """Undo one cut on these nodes. Without one it does nothing."""

    def is_cut(self, node: Node, tag: str) -> bool:
        """Whether the node's kernel has this cut's rules, or those of one whose tag goes on from `tag` after an underscore. Raises `Unreachable`."""


@of_providers
@runtime_checkable
class Disks(Protocol):
    """A provider that can slow one node's /data disk. What slows it lasts until `mend`: a machine that had no power comes back with it."""

    def slow(self, node: Node, latency: Latency) -> None:
        """Add `latency` to every operation of the node's disk, in place of any given before."""

    def mend(self, node: Node) -> None:
        """Undo `slow`. Without one it does nothing."""

    def latency(self, node: Node) -> Latency:
        """Return what is added now, asked of the disk itself; of a machine that is off, what will be added once it is on."""

    def why_not(self, node: Node, latency: Latency) -> Unavailable | None:
        """Say why this node's disk cannot be slowed so, or None."""


@of_providers
@runtime_checkable
class Limited(Protocol):
    """A provider whose nodes do not all allow every fault, and every action that is done to nodes."""

    def refusal(self, run_id: str, node: str, what: Fault | Action) -> Unavailable | None:
        """Say why a fault may not, or cannot, be made on a node (by its name), or an action be done to it, or None. Asks no host."""


@of_providers
@runtime_checkable
class Claiming(Retaining, Protocol):
    """A provider whose nodes outlive a run, and that holds them for it: what a dead run left there is mended, taken away and let go later."""

    def note_results(self, run_id: str, folder: Path) -> None:
        """Note in which folder a run's ledger and plan are, before anything is deployed or broken. Raises `HarnessError`."""

    def results(self, run_id: str) -> Path | None:
        """Return that folder; None where it was never noted, so that nothing can have been deployed or broken."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a rehearsal found: nodes that were looked at and not touched."""

    nodes: Sequence[Node]  # in the order of the specs
    lines: Sequence[str]  # what was found, for people
    spared: frozenset[str]  # see `harness.core.protocols.Running`
    at_once: int
    why_not: Callable[[str, Fault | Action], Unavailable | None]  # (node's name, fault or action); see `Limited.refusal`


@of_providers
@runtime_checkable
class Rehearsing(Protocol):
    """A provider that can look at the nodes of a run before there is one."""

    def rehearse(self, specs: Sequence[NodeSpec]) -> Seen:
        """Check everything that `create` checks, and change nothing. Raises what `create` raises."""
