"""Hosts that somebody else runs, with a cluster on them already: found by an Ansible inventory or an OpenSSH config, checked, claimed, let go.

Nothing is changed on any host before all of them have passed every check. What the provider itself leaves on a host while a run lasts is one file,
the claim; letting go removes it and nothing else. docs/inventory.md is for those who run hosts and for those who write inventories.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, ClassVar

from harness.core import stops
from harness.core.errors import BadInput, HarnessError, NoSuchRun, Problem, Unreachable, Unsupported
from harness.core.protocols import Action, Fault, Node, Power, Seen
from harness.core.values import Json, NodeSpec, Term, Unavailable
from harness.host import surroundings
from harness.nodes.links import NftLinks
from harness.nodes.ssh import import_now
from harness.nodes.together import together
from harness.providers import clusters
from harness.providers.inventory import checking, claims, inventory_records, switches
from harness.providers.inventory.checking import InventoryNode
from harness.providers.inventory.formats import VARIABLE, load
from harness.providers.inventory.hosts import Host, Inventory

PATIENCE_SECONDS = 30.0
"""Without a word from us for so long a host mends itself: longer than a management link takes to come back, shorter than anybody's patience."""


class InventoryProvider(NftLinks):
    """Nodes as hosts of an inventory.

    See `harness.core.protocols.Provider`, `Running`, `Outliving`, `Slower`, `Power` and `Links`, and `harness.providers.limits`. The inventory is the
    one that ``WHALEFALL_INVENTORY`` names (`FILE` or `FILE:GROUP`); once created, a run needs only its record.

    A cut drops only what comes from the other nodes' addresses. The harness speaks from none of them (`checking` refuses a host that is this machine,
    and a way through a node), so it is not cut off, also where a host has one address for all.
    """

    name: ClassVar[str] = "inventory"

    def __init__(self) -> None:
        import_now()

    # -- Provider

    def prepare(self, progress: Callable[[str], None], specs: Sequence[NodeSpec] = ()) -> Mapping[str, Json]:
        """Read the inventory and ask its hosts who they are; see `harness.core.protocols.Preparing.prepare`.

        A host that gives no answer is told of as such: whether it is needed is known, and said, only when a run is created.
        """
        _must_carry(len(specs))
        inventory = _inventory(len(specs))
        for doubt in inventory.doubts:
            progress(f"there may be a slip: {doubt}")
        progress(f"asking {len(inventory.hosts)} hosts of {inventory.file}")
        names = [f"n{number}" for number, _ in enumerate(inventory.hosts, 1)]
        hosts = checking.chosen(inventory, names)
        asked = stops.spread(names, lambda name: _system(name, hosts[name]), "ask", most=checking.MOST)
        told = [each.result() for each in asked]
        return {
            "driver": "ssh",
            "inventory": inventory.file,
            "hosts": {name: host.name for name, host in hosts.items()},
            "systems": dict(zip(names, told, strict=True)),  # the kernels are asked of all nodes alike
        }

    def allowance(self) -> Term | None:
        """Return what the inventory says of slow hosts (``whalefall_slower``); see `harness.core.protocols.Slower.allowance`."""
        seconds = _inventory().slower
        return Term("slow hosts", seconds, "whalefall_slower in the inventory") if seconds else None

    def stall(self) -> float:
        """Return 0: the cluster on these hosts has the timers of whoever runs it."""
        return 0.0

    def create(self, run_id: str, specs: Sequence[NodeSpec]) -> Sequence[Node]:
        """Check all hosts, then claim them; see `harness.core.protocols.Provider.create`. The first host of the inventory is the first node.

        The specs' addresses and disks are not looked at: a host has its own. Raises `HarnessError` with everything that is wrong with any host.
        """
        inventory = _inventory(len(specs))
        checked = checking.check(checking.chosen(inventory, [spec.name for spec in specs]), run_id, inventory.doubts)
        record = inventory_records.Record(
            run_id,
            {each.node.name: each.node.host for each in checked},
            inventory.allowed(len(specs)),
            {each.node.name: tuple(sorted(each.look.limits.faults)) for each in checked if each.look.limits.faults is not None},
        )
        inventory_records.open_record(self.name, record)
        nodes = [each.node for each in checked]
        try:
            together(nodes, lambda node: claims.take(node, run_id), "claiming hosts")
        except BaseException:
            with stops.deaf():
                self.destroy(run_id)
            raise
        return nodes

    def adopt(self, run_id: str) -> Sequence[Node]:
        """Return the nodes of a run from its record; see `harness.core.protocols.Provider.adopt`."""
        return _nodes(run_id)

    def destroy(self, run_id: str) -> None:
        """Let the hosts of a run go: its claims are removed, then its record. The hosts go on as they are.

        See `harness.core.protocols.Provider.destroy`.
        Raises `HarnessError` naming each host whose claim could not be removed; the record stays, so that `whalefall sweep` tries again.
        """
        try:
            nodes = _nodes(run_id)
        except NoSuchRun:
            inventory_records.forget(run_id)
            return
        try:
            together(nodes, lambda node: claims.release(node, run_id), "letting hosts go")
        except HarnessError as error:
            hint = f"`whalefall sweep` tries again, or remove {claims.CLAIM} there and {clusters.folder(run_id)} here by hand"
            raise HarnessError(f"{error}\n{hint}") from error
        finally:
            for node in nodes:
                node.close()
        inventory_records.forget(run_id)

    def network(self, run_id: str) -> AbstractContextManager[None]:  # noqa: ARG002 - the hosts are reached as any host is
        """Do nothing: this machine's own network reaches the hosts."""
        return nullcontext()

    def runs(self) -> dict[str, bool]:
        """Return every run that claims hosts by a record on this machine, and whether its harness still lives or it is to be kept."""
        return {each: clusters.is_wanted(each) for each in sorted(clusters.registered()) if clusters.provider_of(each) == self.name}

    # -- Claiming

    def keep(self, run_id: str, *, over: bool = False) -> None:
        """Note that a run's apps and claims are to stay; see `harness.core.protocols.Claiming`."""
        clusters.keep(run_id, over=over)

    def is_kept(self, run_id: str) -> bool:
        """Whether they are to stay."""
        return clusters.is_kept(run_id)

    def note_results(self, run_id: str, folder: Path) -> None:
        """Note where a run's ledger and plan are, on disk when this returns; see `harness.core.protocols.Claiming`."""
        inventory_records.note_results(run_id, folder)

    def results(self, run_id: str) -> Path | None:
        """Return where they are; None where nothing was deployed or broken yet."""
        return inventory_records.results(run_id)

    # -- Running

    def spared(self, run_id: str) -> frozenset[str]:
        """Return the nodes whose hosts the inventory protects."""
        return frozenset(name for name, host in inventory_records.read(run_id).hosts.items() if host.protected)

    def at_once(self, run_id: str) -> int:
        """Return how many nodes may be broken at the same time: ``whalefall_at_once``, or else a minority, at least 1."""
        return inventory_records.read(run_id).at_once

    # -- Limited

    def refusal(self, run_id: str, node: str, what: Fault | Action) -> Unavailable | None:
        """Say why a fault may not, or cannot, be made on a node, or an action be done to it, by its host's own mark and by the inventory."""
        record = inventory_records.read(run_id)
        return _why_not(record.hosts[node], record.only.get(node), what)

    # -- Outliving

    def patience(self) -> float:
        """Return how long a host waits for a word from us before it mends itself, in seconds."""
        return PATIENCE_SECONDS

    # -- Rehearsing

    def rehearse(self, specs: Sequence[NodeSpec]) -> Seen:
        """Connect to every host that a run of these nodes would use, and check it; see `harness.core.protocols.Rehearsing`. Claims nothing."""
        _must_carry(len(specs))
        inventory = _inventory(len(specs))
        names = [spec.name for spec in specs]
        checked = checking.check(checking.chosen(inventory, names), "rehearsal", inventory.doubts)
        lines = [f"{inventory.file} gives {len(inventory.hosts)} hosts, all of which passed every check" if len(inventory.hosts) == len(names) else
                 f"{inventory.file} gives {len(inventory.hosts)} hosts; the first {len(names)} would be used, and passed every check"]  # fmt: skip
        lines += [f"there may be a slip: {doubt}" for doubt in inventory.doubts]
        for each in checked:
            host, node = each.node.host, each.node
            only = each.look.limits.faults
            parts = [
                f"{node.name} is {host.name}, {node.address} on {each.look.devices.get(node.address, 'no device')}",
                each.look.os,
                f"kernel {each.look.kernel}",
                *(["protected: never broken"] if host.protected else []),
                *([f"allows only {', '.join(sorted(only))}"] if only is not None else []),
                *([f"until {each.look.limits.until}"] if each.look.limits.until else []),
            ]
            lines.append(", ".join(part for part in parts if part))
        limits = {each.node.name: each.look.limits.faults for each in checked}
        return Seen(
            nodes=tuple(each.node for each in checked),
            lines=tuple(lines),
            spared=frozenset(each.node.name for each in checked if each.node.host.protected),
            at_once=inventory.allowed(len(specs)),
            why_not=lambda name, what: _why_not(next(each.node.host for each in checked if each.node.name == name), limits[name], what),
        )

    # -- Power

    def off(self, node: Node) -> None:
        """Cut the power with the inventory's commands, or by the kernel's SysRq; see `harness.core.protocols.Power.off`."""
        switches.off(node, _host_of(node))

    def on(self, node: Node) -> None:
        """Give the power back; see `harness.core.protocols.Power.on`. Servers take minutes: it waits for ten."""
        switches.on(node, _host_of(node))

    def reboot(self, node: Node) -> None:
        """Reset the host; see `harness.core.protocols.Power.reboot`."""
        switches.reboot(node, _host_of(node))

    def is_on(self, node: Node) -> bool:
        """Whether the host has power, by its status command. Without one it counts as on: nobody could know better.

        Raises `Unreachable` where the command gives no clear answer.
        """
        return switches.is_on(_host_of(node))


def _nodes(run_id: str) -> list[InventoryNode]:
    return [checking.node_of(run_id, name, host) for name, host in inventory_records.read(run_id).hosts.items()]


def _must_carry(nodes: int) -> None:
    """Raise `Unsupported` where what this process was started with is too little for so many hosts: it would end in the middle of a fault."""
    if found := surroundings.too_few(nodes):
        raise Unsupported("nothing can be broken from here:\n  " + "\n  ".join(found))


def _inventory(nodes: int = 0) -> Inventory:
    given = os.environ.get(VARIABLE, "")
    if not given:
        raise BadInput([Problem("--inventory", 0, 0, "no inventory", "FILE or FILE:GROUP", f"or set {VARIABLE}")])
    return load(given, nodes)


def _system(name: str, host: Host) -> str:
    """Return what a host says that it is, or why it says nothing."""
    try:
        node = checking.node_of("prepare", name, host)
        try:
            return node.run("/bin/sh", "-c", '. /etc/os-release; echo "$PRETTY_NAME"', timeout=claims.SECONDS).text.strip()
        finally:
            node.close()
    except Unreachable as error:
        return f"(gives no answer: {error.saw})"
    except HarnessError as error:
        return f"(cannot be asked: {error})"


def _host_of(node: Node) -> Host:
    if not isinstance(node, InventoryNode):
        raise HarnessError(f"{node.name} is no host of an inventory; each provider breaks only its own nodes")
    return node.host


def _why_not(host: Host, only: Sequence[str] | frozenset[str] | None, what: Fault | Action) -> Unavailable | None:
    if only is not None and what.name not in only:
        allowed = ", ".join(sorted(only)) or "nothing"
        return Unavailable(f"{claims.ALLOWED} on {host.name} allows only {allowed}", f"{what.name} among its `faults:`")
    needs: Any = getattr(what, "traits", what)  # of a fault its traits say what it takes, of an action it itself
    return switches.why_not(host) if Power.__name__ in needs.takes else None
