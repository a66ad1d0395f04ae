"""What faults share: who can be asked, one script on all targets, and a name for what was done that another process can work out again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from harness.core import pace
from harness.core.errors import CommandFailed, HarnessError, Unsupported
from harness.core.protocols import CAPABILITIES, Cluster, Cutting, Fault, Node, Power
from harness.core.values import HERE, Loss, Unavailable
from harness.nodes.together import together

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = ["AtTheHost", "command", "digest", "lacking", "live", "lost", "remedies", "shell", "shell_everywhere", "together", "unavailable"]

SECONDS = 20.0
"""How long one of our short scripts may take on a node. They take tens of milliseconds; the rest is for a machine under load."""


class AtTheHost:
    """What a fault says of remedies whose work is done at the nodes' host, or not at all: that nothing is left on a node that it could undo.

    It is mended from this machine, by the harness or, when that is dead, by the reaper.
    """

    __slots__ = ()

    def touched(self, cluster: Cluster, targets: Sequence[Node]) -> Sequence[Node]:  # noqa: ARG002 - the same everywhere
        """Return nobody: nothing is left on a node."""
        return ()

    def remedy(self, cluster: Cluster, target: Node) -> Sequence[str]:  # noqa: ARG002 - the same everywhere
        """Return nothing: a node can do nothing about it."""
        return ()


def lacking(cluster: Cluster, capability: type[Any]) -> Unavailable | None:
    """Say that neither provider nor mode has a capability, or None where one has."""
    try:
        cluster.can(capability)
    except Unsupported as e:
        return Unavailable(str(e), f"a provider with {capability.__name__}")
    return None


def unavailable(fault: Fault, cluster: Cluster, target: Node) -> Unavailable | None:
    """Say why a fault cannot be made on a target, or None: first what it takes and nobody offers, then what it says itself."""
    for name in fault.traits.takes:
        if lack := lacking(cluster, CAPABILITIES[name].protocol):
            return lack
    return fault.available(cluster, target)


def remedies(fault: Fault, cluster: Cluster, targets: Sequence[Node]) -> dict[str, Sequence[str]]:
    """Return what undoes a fault on each node that it touches: name → command.

    Raises `HarnessError` where it touches one and has no remedy for it: that one would stay broken if we were gone.
    """
    found = {node.name: fault.remedy(cluster, node) for node in fault.touched(cluster, targets)}
    if without := sorted(name for name, remedy in found.items() if not remedy):
        raise HarnessError(
            f"{fault.name} leaves something on {', '.join(without)} and says of no remedy there: a node that lost us would stay broken; "
            "`remedy` must return a command for each node that `touched` returns"
        )
    return found


def live(cluster: Cluster, nodes: Sequence[Node]) -> list[Node]:
    """Return those of `nodes` that are on; all of them where the provider cannot tell. This machine always is.

    What a fault leaves in a node's memory (processes, rules, /run) is gone when the node is off, so there is nothing to ask or to mend. A node
    that is on and gives no answer stays in: it may well be broken, and nobody knows.
    """
    provider = cluster.provider
    return [node for node in nodes if node.name == HERE or provider.is_on(node)] if isinstance(provider, Power) else list(nodes)


def lost(fault: Fault, cluster: Cluster, targets: Sequence[Node]) -> tuple[str, ...]:
    """Return the names of the nodes that are lost to a fault of these targets while it is in force, or that lose a daemon; sorted."""
    if isinstance(fault, Cutting):
        return tuple(sorted(fault.lost(cluster, targets)))
    return tuple(sorted(node.name for node in targets)) if fault.traits.loses in {Loss.NODE, Loss.PROCESS} else ()


def command(script: str, *args: str) -> tuple[str, ...]:
    """Return the command that runs a POSIX sh script. `args` become ``$1`` …: never put a value into the script's text."""
    return "/bin/sh", "-c", script, "whalefall", *args


def shell(node: Node, script: str, *args: str, more: float = 0.0) -> str:
    """Run a script (see `command`) on a node and return what it printed, stripped. It may take so many seconds `more` than others.

    Raises `Unreachable`, or `CommandFailed` for any status but 0.
    """
    result = node.run(*command(script, *args), timeout=pace.limit(SECONDS) + more)
    if not result.ok:
        raise CommandFailed(node.name, ("sh", "-c", "…", *args), result.exit, result.err.decode(errors="replace"))
    return result.text.strip()


def shell_everywhere(nodes: Sequence[Node], script: str, *args: str, doing: str) -> list[str]:
    """Run `shell` on all nodes at once. Raises one `FaultFailed` that names every node that failed."""
    return together(nodes, lambda node: shell(node, script, *args), doing)


def digest(*parts: object, length: int = 12) -> str:
    """Return lower-case hex digits that stand for `parts` (JSON values): the same in every process, so that heal needs no memory of inject."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()[:length]


def identity(fault: Fault) -> list[object]:
    """Return a fault's name and parameters as JSON values, for `digest`."""
    body: DataclassInstance = fault  # type: ignore[assignment]  # the protocol says that every fault is a dataclass
    return [fault.name, asdict(body)]
