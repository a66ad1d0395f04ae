"""What a provider of hosts that somebody else runs can say beyond `harness.protocols.Running`: what each host allows, and what a run would find."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from harness.protocols import Node
    from harness.values import NodeSpec, Unavailable


@runtime_checkable
class Limited(Protocol):
    """A provider whose nodes do not all allow every fault."""

    def why_not(self, run_id: str, node: str, fault: str) -> Unavailable | None:
        """Say why a fault (by its name) may not, or cannot, be made on a node (by its name), or None. Asks no host."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a rehearsal found: nodes that were looked at and not touched."""

    nodes: Sequence[Node]  # in the order of the specs
    lines: Sequence[str]  # what was found, for people
    spared: frozenset[str]  # see `harness.protocols.Running`
    at_once: int
    why_not: Callable[[str, str], Unavailable | None]  # (node, fault); see `Limited`


@runtime_checkable
class Rehearsing(Protocol):
    """A provider that can look at the nodes of a run before there is one."""

    def rehearse(self, specs: Sequence[NodeSpec]) -> Seen:
        """Check everything that `create` checks, and change nothing. Raises what `create` raises."""
