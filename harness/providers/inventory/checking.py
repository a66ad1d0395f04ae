"""Looks at every host that a run would use and says at once all that stands in the way. Changes nothing anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from harness.core import stops
from harness.core.clock import SystemClock
from harness.core.errors import BadInput, HarnessError, Unreachable
from harness.host import surroundings
from harness.nodes.ssh import Access, SshNode, access_from_ssh_config
from harness.nodes.ssh.access import home
from harness.providers.inventory import claims
from harness.providers.inventory.hosts import Host, Inventory, too_few
from harness.providers.inventory.shapes import begun

MOST = 32
"""Hosts that are asked at the same time."""


class InventoryNode(SshNode):
    """A host of somebody else's, as a node of a run."""

    def __init__(self, run_id: str, name: str, host: Host, access: Access) -> None:
        super().__init__(name, host.address, access)
        self.run_id = run_id
        self.host = host


@dataclass(frozen=True, slots=True)
class LookedAt:
    """One host that was looked at."""

    node: InventoryNode
    look: claims.Look


def chosen(inventory: Inventory, names: Sequence[str]) -> dict[str, Host]:
    """Return the hosts that these nodes are, in the inventory's order. Raises `BadInput` where there are too few."""
    problem = too_few(inventory.file, inventory.hosts, len(names))
    if problem is not None:
        raise BadInput([problem])
    return dict(zip(names, inventory.hosts, strict=False))


def node_of(run_id: str, name: str, host: Host) -> InventoryNode:
    """Return a host as a node. Connects to nobody. Raises `HarnessError` where its SSH config cannot be followed."""
    return InventoryNode(run_id, name, host, access(host))


def access(host: Host) -> Access:
    """Return how a host is reached: by its OpenSSH config, or else by what the inventory says and nothing beside it."""
    pinned = (host.host_key,) if host.host_key else ()
    if host.config:
        found = access_from_ssh_config(host.name, Path(host.config))
        return replace(found, host_keys=pinned or found.host_keys)
    return Access(
        host=host.host,
        port=host.port,
        user=host.user or surroundings.login(),
        key=home(host.key) if host.key else None,
        host_keys=pinned,
        jump=host.jump or None,
    )


def check(hosts: dict[str, Host], run_id: str, doubts: Sequence[str] = ()) -> list[LookedAt]:
    """Connect to all hosts at once and look at each. Raises one `HarnessError` with every problem of every host, and the file's doubts below them.

    What can be known without asking a host was told before (`harness.providers.inventory.beforehand`).
    """
    problems: dict[str, list[str]] = {
        name: [] if host.address else [f"no name service says now which address {begun(host.host)!r} has; say it in whalefall_address"]
        for name, host in hosts.items()
    }
    nodes: list[InventoryNode] = []
    today = datetime.fromtimestamp(SystemClock().wall(), tz=UTC).date()

    def one(name: str) -> LookedAt | None:
        host = hosts[name]
        try:
            node = node_of(run_id, name, host)
        except HarnessError as error:
            problems[name].append(str(error).removeprefix(f"{name}: "))
            return None
        nodes.append(node)
        try:
            found = claims.look(node, run_id, today)
        except Unreachable as error:
            problems[name].append(f"gives no answer: {error.saw}")  # what was asked is a script that helps nobody
            return None
        except HarnessError as error:
            problems[name].append(str(error).removeprefix(f"{name}: "))
            return None
        problems[name] += found.problems
        if host.address and host.address not in found.devices:
            own = ", ".join(f"{each} ({device})" for each, device in found.devices.items() if device != "lo") or "none"
            problems[name].append(f"it does not have the address {host.address}; it has {own}; say which in whalefall_address")
        return LookedAt(node, found)

    found = [each.result() for each in stops.spread(list(hosts), one, "check", most=MOST)]
    told = [f"  {_who(name, hosts[name])}: {each}" for name in hosts for each in problems[name]]
    if told:
        for node in nodes:
            node.close()
        count = sum(bool(each) for each in problems.values())
        raise HarnessError(
            f"{count} of {len(hosts)} host{'' if len(hosts) == 1 else 's'} cannot be used; nothing was changed on any:\n"
            + "\n".join([*told, *(["and there may be slips in the inventory:"] if doubts else []), *(f"  {each}" for each in doubts)])
        )
    return [each for each in found if each is not None]


def _who(name: str, host: Host) -> str:
    """Return who a node is, each name once."""
    called = name if name == host.name else f"{name} {host.name}"
    return called if host.name == host.host else f"{called} ({host.host})"
