"""What a fault promises, and what only some faults say besides; a part of that some actions say as well."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.core.protocols.mode import Cluster, Mode
    from harness.core.protocols.node import Node
    from harness.core.values import Rung, Traits, Unavailable


class Fault(Protocol):
    """Something broken that must be mended. Implementations are frozen dataclasses; their fields are the fault's parameters."""

    name: ClassVar[str]

    @property
    def traits(self) -> Traits:
        """What kind of fault it is, by its parameters: nobody needs to know it by its name."""

    def inject(self, cluster: Cluster, targets: Sequence[Node]) -> str | None:
        """Break the targets. May raise half-way: what `heal` then undoes. Returns what is worth keeping of what was said, or nothing."""

    def heal(self, cluster: Cluster, targets: Sequence[Node]) -> str | None:
        """Mend the targets. Idempotent; also after half an inject, without one, and from another process. Returns what `inject` returns."""

    def in_force(self, cluster: Cluster, target: Node) -> bool:
        """Whether the target is broken now. Asks the node or the kernel, never our own memory. Raises `Unreachable`."""

    def available(self, cluster: Cluster, target: Node) -> Unavailable | None:
        """Say why this fault cannot be made on this target, or None. That somebody offers what it `takes` has been seen before."""

    def touched(self, cluster: Cluster, targets: Sequence[Node]) -> Sequence[Node]:
        """Return the nodes on which `inject` leaves something: the targets, or more.

        None is a word as well: that nothing is left on any node, so that none of them could mend anything by itself.
        """

    def remedy(self, cluster: Cluster, target: Node) -> Sequence[str]:
        """Return the command (no shell) by which a touched node undoes by itself all that `inject` does there, with nobody to ask.

        Idempotent, as `heal`; needs nothing but what is on the node. Decided before `inject`. Asked of nodes that are touched, and never empty there.
        """


@runtime_checkable
class Cutting(Protocol):
    """A fault of links: who is lost to it hangs on what is cut, not on who its targets are."""

    def lost(self, cluster: Cluster, targets: Sequence[Node]) -> Sequence[str]:
        """Return the names of the nodes that will not reach a majority of the control plane. Asked just before `inject`."""


@runtime_checkable
class Awaiting(Protocol):
    """A fault of something that must be there first: a node that was mended a moment ago may still be starting it."""

    def awaits(self, cluster: Cluster, target: Node) -> str:
        """Say what is not there yet to be broken on a node that is on; empty where all is. Raises `Unreachable`."""


@runtime_checkable
class Careful(Protocol):
    """A fault whose `heal` also undoes what somebody else did: it must not be made where there is something of that."""

    def look_before(self, cluster: Cluster, targets: Sequence[Node]) -> None:
        """Look whether it may be made there, before anything is noted or done. Raises `HarnessError` where not: then nothing is healed either."""


@runtime_checkable
class Lasting(Protocol):
    """A fault that is not mended in a moment."""

    @property
    def heal_within(self) -> float:
        """Seconds that mending it may take at most, by us or by a node alone."""


@runtime_checkable
class Varied(Protocol):
    """A fault whose traits hang on its parameters: it says itself which kinds of it there are."""

    @classmethod
    def variants(cls, mode: Mode) -> Sequence[Fault]:
        """Return one of each kind that can be made in a mode, in the order in which they are told."""


@runtime_checkable
class Choosy(Protocol):
    """A fault, or an action, that a mode may lack something for, which is known before there is a cluster."""

    def misfit(self, mode: Mode) -> tuple[str, str, str] | None:
        """Return which parameter asks for what the mode lacks, what it asks for, and what was expected; None where the mode has it."""


@runtime_checkable
class Needing(Protocol):
    """A fault, or an action, that needs something of the process that the harness is, which no file and no node has."""

    def lack(self) -> str:
        """Say what of it is not there, before anything is made; empty where nothing is."""


@runtime_checkable
class Local(Protocol):
    """A fault, or an action, that can be done to the machine of the harness as well, which is no node: where a target expression is ``here``."""

    def not_here(self) -> tuple[str, str, str] | None:
        """Return which parameter asks for what that machine lacks, what it asks for, and what was expected; None where it can be done there."""


class Here(Protocol):
    """This machine, as far as a fault asks on what it can stand."""

    def which(self, tool: str) -> str | None:
        """Return where a program is, as a run would find it."""

    def exists(self, path: str) -> bool:
        """Whether there is such a file."""

    def library(self, name: str) -> str | None:
        """Return the file name of a shared library."""


@runtime_checkable
class Laddered(Protocol):
    """A fault that says on which rung of its ladder it stands on this machine: `whalefall doctor` asks it."""

    @classmethod
    def rung(cls, here: Here) -> Rung:
        """Say whether it can be made here, and how, with nothing but looks at this machine. Never raises."""
