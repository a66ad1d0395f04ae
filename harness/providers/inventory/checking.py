"""Looks at every host that a run would use and says at once all that stands in the way. Changes nothing anywhere."""

from __future__ import annotations

import getpass
import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from harness.core import stops
from harness.core.clock import SystemClock
from harness.core.errors import BadInput, HarnessError, Problem, Unreachable
from harness.nodes.ssh import Access, SshNode, access_from_ssh_config
from harness.nodes.ssh.access import home
from harness.providers.inventory import claims
from harness.providers.inventory.hosts import Host, Inventory

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
    if len(names) > len(inventory.hosts):
        told = ", ".join(host.name for host in inventory.hosts)
        found = f"{len(inventory.hosts)} host(s) ({told})"
        hint = "add hosts, choose another group (FILE:GROUP), or plan fewer nodes"
        raise BadInput([Problem(inventory.file, 0, 0, found, f"{len(names)}: the plan needs {len(names)} nodes", hint)])
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
        user=host.user or getpass.getuser(),
        key=home(host.key) if host.key else None,
        host_keys=pinned,
        jump=host.jump or None,
    )


def check(hosts: dict[str, Host], run_id: str) -> list[LookedAt]:
    """Connect to all hosts at once and look at each. Raises one `HarnessError` with every problem of every host."""
    resolved = {name: _resolved(host) for name, host in hosts.items()}
    problems = {name: _beforehand(name, resolved) for name in hosts}
    nodes: list[InventoryNode] = []
    today = datetime.fromtimestamp(SystemClock().wall(), tz=UTC).date()

    def one(name: str) -> LookedAt | None:
        host = resolved[name]
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
    told = [f"  {name} {_who(resolved[name])}: {each}" for name in hosts for each in problems[name]]
    if told:
        for node in nodes:
            node.close()
        count = sum(bool(each) for each in problems.values())
        raise HarnessError(
            f"{count} of {len(hosts)} host{'' if len(hosts) == 1 else 's'} cannot be used; nothing was changed on any:\n" + "\n".join(told)
        )
    return [each for each in found if each is not None]


def _resolved(host: Host) -> Host:
    """Fill in the address on the cluster's network where the inventory leaves it to the host's own name."""
    if host.address:
        return host
    try:
        ((_, _, _, _, (address, *_)), *_) = socket.getaddrinfo(host.host, None, socket.AF_INET, socket.SOCK_STREAM)
    except (OSError, ValueError):
        return host
    return replace(host, address=str(address))


def _beforehand(name: str, hosts: dict[str, Host]) -> list[str]:
    """Say what is wrong with a host before it is asked: faults on it would cut us off, or break us."""
    host = hosts[name]
    found = []
    if not host.address:
        found.append(
            f"{host.host!r} is no name of an IPv4 address here; say the host's address on the cluster's network in whalefall_address"
        )
    elif ipaddress.IPv4Address(host.address).is_loopback or _is_here(host.address):
        found.append(f"its address {host.address} is one of this machine's: the harness must not run on a host that it breaks")
    for other, each in hosts.items():
        if other != name and host.address and each.address == host.address:
            found.append(f"its address {host.address} is also that of {other} {each.name}")
        if other != name and host.jump and _target(host.jump) in {each.name, each.host, each.address}:
            found.append(f"it is reached through {other} {each.name}, which the run may break; go through another host")
    return found


def _is_here(address: str) -> bool:
    """Whether an address is this machine's own, in the network that the thread is in: then it can be bound to."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True


def _target(jump: str) -> str:
    """Return the host of the last jump."""
    return jump.rpartition(",")[2].rpartition("@")[2].partition(":")[0]


def _who(host: Host) -> str:
    return host.name if host.name == host.host else f"{host.name} ({host.host})"
