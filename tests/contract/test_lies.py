"""Every line of the contracts of machines convicts somebody: a double that lies once, in any of its answers, is found out by each of them."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from harness.core.errors import HarnessError
from harness.core.protocols import Cluster, Disks, Node
from harness.core.values import Latency, NodeSpec, Traits
from harness.faults.partition import Partition
from harness.faults.slow_disk import Slow
from harness.testing import fault_contract, memory_shell, node_contract, provider_contract
from harness.testing.bare import BareMode
from harness.testing.contracts import ContractBroken
from harness.testing.fake_clock import FakeClock
from harness.testing.memory_node import MemoryNode
from harness.testing.memory_provider import MemoryProvider, MemoryWorld
from tests.contract.convicting import missed
from tests.contract.lying import Liar, Tape, convictions
from tests.contract.test_contracts import RUNGS

ON_MACHINES: tuple[Callable[..., Any], ...] = (
    *node_contract.REAL_NODE.values(),
    node_contract.a_death_is_noticed_and_outlived,
    node_contract._streaming,
)
"""Promises of what only a real machine has: streams, and Docker. There they are asked of `tests/contract/test_contracts.py`."""


def _of_node(promise: Callable[[Any], None]) -> Callable[[Tape], None]:
    return lambda tape: promise(Liar(MemoryNode("n1", "10.77.0.11"), tape))


def test_every_line_of_the_contract_of_nodes_convicts_somebody() -> None:
    """But for what only a machine has: streams, and Docker."""
    found = itertools.chain.from_iterable(convictions(_of_node(promise)) for promise in node_contract.NODE.values())
    real = {
        number for each in ON_MACHINES for lines, first in [inspect.getsourcelines(each)] for number in range(first, first + len(lines))
    }
    assert [each for each in missed(node_contract, found, "raising") if int(each.split()[1].rstrip(":")) not in real] == []


def test_every_line_of_the_contract_of_providers_convicts_somebody(tmp_path: Path) -> None:
    """Of what one can do, too."""
    serial = itertools.count()

    def made(promise: Callable[[provider_contract.Maker], None]) -> Callable[[Tape], None]:
        def ask(tape: Tape) -> None:
            store = MemoryWorld()
            promise(provider_contract.Maker(lambda: Liar(MemoryProvider(store), tape), lambda: f"r{next(serial)}"))  # type: ignore[arg-type,return-value]

        return ask

    def can(promise: Callable[..., None]) -> Callable[[Tape], None]:
        def ask(tape: Tape) -> None:
            provider = MemoryProvider()
            specs = [replace(each, faultable_disk=True) for each in provider_contract.Maker(MemoryProvider, str).specs(3)]
            nodes = [Liar(node, tape) for node in provider.create("r1", specs)]
            promise(Liar(provider, tape), nodes, lambda one, other: tape.call("reaches", provider.reaches, one._of, other._of))

        return ask

    every = [
        *map(made, provider_contract.PROVIDER.values()),
        can(lambda provider, nodes, _: provider_contract.power_goes_and_comes_back(provider, nodes[0])),
        can(provider_contract.pausing_freezes_and_lets_go),
        can(provider_contract.links_are_cut_one_way_and_restored),
        can(lambda provider, nodes, _: provider_contract.disks_are_slowed_and_mended(provider, nodes)),
        can(lambda provider, nodes, _: provider_contract.a_disk_is_slow_until_it_is_mended(provider, provider, nodes[0])),
        can(lambda provider, *_: provider_contract.machines_go_back_to_what_was_kept(provider, "r1", tmp_path)),
    ]
    found = itertools.chain.from_iterable(map(convictions, every))
    assert missed(provider_contract, found, "raising") == []


class _Spreading(Slow):
    """One that hits everybody."""

    def inject(self, cluster: Cluster, targets: Sequence[Node]) -> None:
        for node in cluster.nodes:
            cluster.can(Disks).slow(node, Latency(1.0))

    def heal(self, cluster: Cluster, targets: Sequence[Node]) -> None:
        for node in cluster.nodes:
            cluster.can(Disks).mend(node)


class _Silent(Slow):
    """One that says nothing of what it leaves."""

    traits = Traits()


class _Forgetful(Partition):
    """One that forgets a node that it touches."""

    def touched(self, cluster: Cluster, targets: Sequence[Node]) -> Sequence[Node]:
        return Partition.touched(self, cluster, targets)[1:]


class _Helpless(Partition):
    """One whose remedy ends badly."""

    def remedy(self, cluster: Cluster, target: Node) -> Sequence[str]:
        return ("false",)


class _Undecided(Partition):
    """One that cannot say its remedy."""

    def remedy(self, cluster: Cluster, target: Node) -> Sequence[str]:
        raise HarnessError(f"{target.name} of {cluster.run_id} has none")


class _Nameless(Partition):
    """One whose cuts nobody could tell from each other: a second one on the same nodes has the name of the first."""

    def kind(self, cluster: Cluster) -> str:
        return Partition.kind(self, cluster.of(0))


class _Hiding(Slow):
    """One that hides what interrupts it."""

    def inject(self, cluster: Cluster, targets: Sequence[Node]) -> None:
        try:
            Slow.inject(self, cluster, targets)
        except BaseException as error:
            raise HarnessError("something was wrong") from error


def test_every_line_of_the_contract_of_faults_convicts_somebody(tmp_path: Path) -> None:
    """By a cluster that lies, by faults that are no good, and by rungs that tell nothing."""
    serial = itertools.count()

    def asked(fault: Any, promise: Callable[[fault_contract.Case], None]) -> Callable[[Tape], None]:
        def ask(tape: Tape) -> None:
            provider = MemoryProvider()
            nodes = provider.create("r1", [NodeSpec(f"n{number}", f"10.77.0.1{number}", faultable_disk=True) for number in (1, 2, 3)])
            for node in nodes if isinstance(fault, Partition) else ():
                node.programs["sh"] = memory_shell.shell(node, tmp_path / str(next(serial)))  # type: ignore[attr-defined,arg-type]
            lying: Any = [Liar(node, tape) for node in nodes]
            whole: Any = Liar(provider, tape)
            cluster = Cluster("r1", lying, whole, BareMode(), FakeClock(moves_itself=True))
            promise(fault_contract.Case(fault, cluster, lying[:1], spreads=isinstance(fault, Partition)))

        return ask

    def convicted(ask: Callable[[], None]) -> Iterator[ContractBroken]:
        try:
            ask()
        except ContractBroken as broken:
            yield broken

    def rungs(kind: Any) -> None:
        for promise in fault_contract.LADDERED.values():
            promise(kind)

    promises = fault_contract.FAULT.values()
    # Those that interrupt an injection at each of its calls need no lies beside that.
    at_once = [promise for promise in promises if promise.__name__ in fault_contract.FAULT and "half" not in promise.__name__]
    found = [each for promise in at_once for each in convictions(asked(Slow(fsync=1.0), promise))]
    bad = [
        *(each(fsync=1.0) for each in (_Spreading, _Silent, _Hiding)),
        *(each("isolate") for each in (_Forgetful, _Helpless, _Undecided, _Nameless)),
    ]
    for fault, promise in itertools.product(bad, promises):
        found += convicted(partial(asked(fault, promise), Tape(0, "")))
    for said, _ in RUNGS.values():
        kind: Any = type("Rungs", (), {"rung": staticmethod(said)})  # type: ignore[arg-type]
        found += convicted(partial(rungs, kind))
    assert missed(fault_contract, found, "raising") == []
