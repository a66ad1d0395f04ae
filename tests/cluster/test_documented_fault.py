"""CONTRIBUTING's fault, word for word, on real machines: by their own way in, over SSH, and with the dead-man timer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, ClassVar, cast

import pytest

from harness.core.clock import wait_until
from harness.core.protocols import Cluster, Fault, Provider
from harness.nodes.ssh import SshNode
from harness.nodes.ssh.keys import USER_KEY, make_user_key
from harness.testing import fault_contract
from harness.testing.sshd import let_in
from harness.undo.deadman import DeadMan, unit
from tests import documented
from tests.cluster.knocking import OTHER_PORT, PORT, connections, knock

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("bare-machines")]

PATIENCE = 4.0
BOUND = 6.0
"""Seconds that a node may take beyond its patience to be mended: a remedy takes less than one, this machine may be busy."""


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return the fault's class."""
    return documented.fault(tmp_path_factory.mktemp("documented"))


class Elsewhere:
    """A provider of machines that are reached over SSH alone, and outlive us: it holds no switch and no disk of theirs."""

    name: ClassVar[str] = "elsewhere"

    def __init__(self, machines: Cluster) -> None:
        self._machines = machines

    def network(self, run_id: str) -> AbstractContextManager[None]:
        """Return the machines' own."""
        assert run_id == self._machines.run_id
        return self._machines.network()

    def patience(self) -> float:
        """Return little: a test does not want to wait."""
        return PATIENCE


@pytest.fixture(scope="module")
def over_ssh(machines: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Lend the machines as nodes over SSH."""
    folder = tmp_path_factory.mktemp("ssh")
    make_user_key(folder)
    nodes = [
        SshNode(node.name, node.address, let_in(node, folder / f"host-{node.name}", folder / USER_KEY), network=machines.network)
        for node in machines.nodes
    ]
    yield replace(machines, nodes=nodes, provider=cast("Provider", Elsewhere(machines)))
    for node in nodes:
        node.close()


def case(cluster: Cluster, fault: Fault, *names: str) -> fault_contract.Case:
    """Return a case of the fault's contract."""
    return fault_contract.Case(fault, cluster, [cluster.node(name) for name in names])


@pytest.mark.parametrize("promise", fault_contract.FAULT_ON_MACHINES.values(), ids=fault_contract.FAULT_ON_MACHINES)
def test_it_keeps_every_promise_of_a_fault(machines: Cluster, port: Any, promise: Callable[[fault_contract.Case], None]) -> None:
    """On real machines of this host."""
    promise(case(machines, port(PORT), "n1", "n3"))


@pytest.mark.parametrize("promise", fault_contract.FAULT_ON_MACHINES.values(), ids=fault_contract.FAULT_ON_MACHINES)
def test_it_keeps_every_promise_over_ssh(over_ssh: Cluster, port: Any, promise: Callable[[fault_contract.Case], None]) -> None:
    """On machines that are known by nothing but their sshd."""
    promise(case(over_ssh, port(PORT), "n2"))


def test_it_cuts_its_port_in_both_directions_and_no_other(listening: Cluster, port: Any) -> None:
    """To the target and from it; the other port, the other nodes, and what the target says to itself go on."""
    n1 = listening.node("n1")
    port(PORT).inject(listening, [n1])
    try:
        said = connections(listening.nodes)
        assert said == {pair: "silence" if "n1" in pair else "connected" for pair in said}
        assert {*connections(listening.nodes, OTHER_PORT).values()} == {"connected"}
        assert knock(n1, n1) == "connected"
    finally:
        port(PORT).heal(listening, [n1])
    assert {*connections(listening.nodes).values()} == {"connected"}


def test_a_node_that_hears_of_us_no_more_restores_its_port(over_ssh: Cluster, port: Any) -> None:
    """Over SSH, by the timer alone; what was not touched has no timer."""
    fault, target, numbered = port(PORT), over_ssh.node("n3"), over_ssh.of(1)
    whole = case(numbered, fault, "n3")
    before = whole.look()
    said: list[str] = []
    dead_man = DeadMan(over_ssh, PATIENCE, said.append)
    assert dead_man.arm(1, fault, [target]) == ("n3",)
    fault.inject(numbered, [target])
    assert fault.in_force(numbered, target)
    there = [node.name for node in over_ssh.nodes if node.run("test", "-e", f"/run/systemd/transient/{unit(over_ssh.run_id, 1)}.timer").ok]
    assert there == ["n3"]
    dead_man.let_go(1)
    wait_until(
        lambda: not fault.in_force(numbered, target), awaited="the remedy", seconds=PATIENCE + BOUND, clock=over_ssh.clock, every=0.1
    )
    wait_until(lambda: whole.look() == before, awaited="nothing to be left", seconds=BOUND, clock=over_ssh.clock, every=0.1)


def test_a_timer_that_is_renewed_keeps_the_port_cut_and_is_gone_after_the_heal(over_ssh: Cluster, port: Any) -> None:
    """The conductor's own order: arm, inject, hold for longer than the patience, heal, disarm."""
    fault, targets, numbered = port(PORT), [over_ssh.node("n1"), over_ssh.node("n2")], over_ssh.of(2)
    whole = case(numbered, fault, "n1", "n2")
    before = whole.look()
    dead_man = DeadMan(over_ssh, PATIENCE, list[str]().append)
    dead_man.arm(2, fault, targets)
    try:
        fault.inject(numbered, targets)
        since = over_ssh.clock.now()
        wait_until(
            lambda: over_ssh.clock.now() - since > 2 * PATIENCE or whole.in_force() != ["n1", "n2"],
            awaited="twice the patience",
            seconds=3 * PATIENCE,
            clock=over_ssh.clock,
            every=0.2,
        )
        assert whole.in_force() == ["n1", "n2"]
        assert dead_man.lost(2) == []
    finally:
        fault.heal(numbered, targets)
        dead_man.disarm(2, fault, targets)
    assert whole.look() == before
