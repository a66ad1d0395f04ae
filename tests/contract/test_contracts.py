"""Every implementation keeps the promises of its protocol: the bodies are in `harness.testing.contracts`, the implementations are listed here.

A real provider is one line in `PROVIDERS_UNDER_TEST`; it brings its nodes, its capabilities and all faults with it.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from harness.cluster import Cluster
from harness.errors import Unsupported
from harness.faults import FAULTS
from harness.faults.daemon import Hang
from harness.faults.disk import Slow
from harness.faults.network import Partition
from harness.faults.power import NodeKill
from harness.faults.process import Kill
from harness.nodes.memory import MemoryNode
from harness.protocols import Disks, Fault, Links, Node, Pausing, Power, Provider
from harness.providers import PROVIDERS
from harness.providers.memory import MemoryProvider, Store
from harness.testing import contracts
from harness.testing.bare import BareMode
from harness.testing.clock import FakeClock
from harness.values import Latency, NodeSpec

PROVIDERS_UNDER_TEST: dict[str, Callable[[], Callable[[], Provider]]] = {
    # name → a function that returns a way to get the same provider again and again, as if from several processes
    "memory": lambda: _shared(Store()),
    "nspawn": lambda: PROVIDERS["nspawn"],
}
REAL = {"nspawn"}
"""Those that stand up machines: slow, and not for every machine."""

UNIT = "whalefall-victim.service"
"""A service of our own on real nodes, so that killing it hurts nobody."""
MODE = BareMode({"victim": UNIT})

CASES: list[tuple[Fault, tuple[str, ...], bool]] = [
    # fault, targets, whether it is in force on others as well
    (NodeKill(), ("n1",), False),
    (NodeKill(), ("n1", "n3"), False),
    (Partition("isolate"), ("n1",), True),
    (Partition("halves"), ("n2", "n3"), True),
    (Partition("majority_minority"), ("n3",), True),
    (Partition("one_way"), ("n2",), True),
    (Partition("bridge"), ("n1",), True),
    (Slow(fsync=0.25), ("n2",), False),
    (Slow(fsync=0.25), ("n1", "n2"), False),
]
ON_NODES: list[tuple[Fault, tuple[str, ...], bool]] = [
    # those that need a real node's systemd; the unit tests run their scripts against a stand-in
    (Hang("docker"), ("n1",), False),
    (Hang("both"), ("n1", "n2"), False),
    (Kill("victim", restart=True), ("n2",), False),
    (Kill("victim", restart=False), ("n2",), False),
]

_serial = itertools.count(1)


def _shared(store: Store) -> Callable[[], Provider]:
    return lambda: MemoryProvider(store)


def _run_id() -> str:
    return f"contract-{os.getpid()}-{next(_serial)}"


@dataclass(frozen=True)
class Stage:
    """One implementation with a cluster of three, shared by all tests that leave it as they found it."""

    make: contracts.Maker
    cluster: Cluster


def _params(names: list[str]) -> list[object]:
    # One worker for each real provider: its cluster is shared.
    return [
        pytest.param(
            name, marks=[pytest.mark.cluster, pytest.mark.slow, pytest.mark.xdist_group(f"contract-{name}")] if name in REAL else []
        )
        for name in names
    ]


@pytest.fixture(scope="module", params=_params([*PROVIDERS_UNDER_TEST]))
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    """Lend a cluster of three of each provider."""
    make = contracts.Maker(PROVIDERS_UNDER_TEST[request.param](), _run_id)
    provider, run_id = make.provider(), _run_id()
    specs = [NodeSpec(spec.name, spec.address, faultable_disk=True) for spec in make.specs(3)]
    try:
        nodes = provider.create(run_id, specs)
    except Unsupported as e:
        pytest.skip(str(e))
    try:
        if request.param in REAL:
            for node in nodes:
                _install_victim(node)
        yield Stage(make, Cluster(run_id, nodes, provider, MODE))
    finally:
        provider.destroy(run_id)


def _install_victim(node: Node) -> None:
    unit = "[Service]\nExecStart=/bin/sleep infinity\nRestart=always\nRestartSec=100ms\n\n[Install]\nWantedBy=multi-user.target\n"
    script = 'cat >"/etc/systemd/system/$1" && systemctl daemon-reload && systemctl enable --now "$1"'
    result = node.run("/bin/sh", "-c", script, "sh", UNIT, stdin=unit.encode())
    assert result.ok, result.err


def _reaches(stage: Stage) -> contracts.Reaches:
    """Measure with what the nodes themselves see: memory by its own rules, machines by a datagram that arrives or does not."""
    provider = stage.cluster.provider
    return provider.reaches if isinstance(provider, MemoryProvider) else _arrives


_RECEIVE = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("", int(sys.argv[2]))); s.settimeout(0.4)
print("ready", flush=True)
try:
    while s.recvfrom(64)[1][0] != sys.argv[1]: pass
except TimeoutError: sys.exit(1)
"""
_SEND = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind((sys.argv[1], 0))
s.sendto(b"knock", (sys.argv[2], int(sys.argv[3])))
"""
_ports = itertools.count(20000)


def _arrives(source: Node, target: Node) -> bool:
    from harness.protocols import Streaming  # noqa: PLC0415 - only for real nodes

    assert isinstance(target, Streaming)
    port = str(next(_ports))
    receiver = target.stream("/bin/sh", "-c", 'python3 -c "$0" "$1" "$2" && echo arrived || echo lost', _RECEIVE, source.address, port)
    try:
        lines = receiver.lines()
        assert next(lines) == b"ready"
        source.run("python3", "-c", _SEND, source.address, target.address, port)
        return next(lines) == b"arrived"
    finally:
        receiver.close()


@pytest.mark.parametrize("promise", contracts.NODE.values(), ids=contracts.NODE)
def test_node(stage: Stage, promise: Callable[[Node], None]) -> None:
    """Every node keeps this promise."""
    promise(stage.cluster.nodes[0])


@pytest.mark.parametrize("promise", contracts.PROVIDER.values(), ids=contracts.PROVIDER)
def test_provider(stage: Stage, promise: Callable[[contracts.Maker], None]) -> None:
    """Every provider keeps this promise."""
    promise(stage.make)


def test_power(stage: Stage) -> None:
    """A provider with `Power` keeps its promises."""
    contracts.power_goes_and_comes_back(stage.cluster.can(Power), stage.cluster.nodes[1])


def test_pausing(stage: Stage) -> None:
    """A provider with `Pausing` keeps its promises."""
    contracts.pausing_freezes_and_lets_go(stage.cluster.can(Pausing), stage.cluster.nodes, _reaches(stage))


def test_links(stage: Stage) -> None:
    """A provider with `Links` keeps its promises."""
    contracts.links_are_cut_one_way_and_restored(stage.cluster.can(Links), stage.cluster.nodes, _reaches(stage))


def test_disks(stage: Stage) -> None:
    """A provider with `Disks` keeps its promises."""
    contracts.disks_are_slowed_and_mended(stage.cluster.can(Disks), stage.cluster.nodes)


def _case_id(case: tuple[Fault, tuple[str, ...], bool]) -> str:
    return f"{case[0]!r} on {','.join(case[1])}"


@pytest.mark.parametrize("promise", contracts.FAULT.values(), ids=contracts.FAULT)
@pytest.mark.parametrize("case", CASES, ids=_case_id)
def test_fault(stage: Stage, case: tuple[Fault, tuple[str, ...], bool], promise: Callable[[contracts.Case], None]) -> None:
    """Every fault keeps this promise on every provider."""
    promise(_case(stage, case))


@pytest.mark.parametrize("promise", contracts.FAULT.values(), ids=contracts.FAULT)
@pytest.mark.parametrize("case", ON_NODES, ids=_case_id)
@pytest.mark.parametrize("stage", _params(sorted(REAL)), indirect=True, scope="module")
def test_fault_of_a_daemon(stage: Stage, case: tuple[Fault, tuple[str, ...], bool], promise: Callable[[contracts.Case], None]) -> None:
    """Every fault that needs systemd keeps this promise on every provider of real nodes; for its script alone see the unit tests."""
    promise(_case(stage, case))


def _case(stage: Stage, case: tuple[Fault, tuple[str, ...], bool]) -> contracts.Case:
    fault, names, spreads = case
    return contracts.Case(fault, stage.cluster, [stage.cluster.node(name) for name in names], spreads)


def test_every_fault_is_under_contract() -> None:
    """A fault that is added without a case here is noticed. The one that does nothing is never in force, so it has none."""
    assert {fault.name for fault, _, _ in (*CASES, *ON_NODES)} | {"none"} == {*FAULTS}


# -- the contracts themselves: each is shown an implementation that it must convict


def test_a_node_that_answers_rubbish_is_convicted() -> None:
    """The node contract sees output that is not the command's."""
    node = MemoryNode("n1", "10.77.0.11", rubbish=b"???")
    with pytest.raises(contracts.ContractBroken, match="what printf got"):
        contracts.arguments_arrive_as_they_are(node)


def test_a_node_that_answers_after_the_deadline_is_convicted() -> None:
    """The node contract sees an answer that should have been none, and a process that was left."""
    node = MemoryNode("n1", "10.77.0.11", processes=["sleep 97.125"])
    with pytest.raises(contracts.ContractBroken, match="a search for what timed out"):
        contracts.a_timeout_is_unreachable_and_leaves_nothing(node)


@dataclass(frozen=True)
class _Sticky:
    """A fault that cannot be healed, or is in force on everybody, or never."""

    how: str
    name = "sticky"

    def inject(self, cluster: Cluster, targets: list[Node]) -> None:
        for node in cluster.nodes if self.how == "spreads" else targets if self.how != "tame" else []:
            cluster.can(Disks).slow(node, Latency(1.0))

    def heal(self, cluster: Cluster, targets: list[Node]) -> None:
        if self.how != "stays":
            for node in cluster.nodes:
                cluster.can(Disks).mend(node)

    def in_force(self, cluster: Cluster, target: Node) -> bool:
        return cluster.can(Disks).latency(target).any

    def available(self, cluster: Cluster, target: Node) -> None:
        return None


@pytest.mark.parametrize(
    ("how", "promised"),
    [("stays", "in force nowhere after heal"), ("spreads", "nobody else"), ("tame", "on n1 after inject")],
)
def test_a_fault_that_stays_spreads_or_does_not_bite_is_convicted(how: str, promised: str) -> None:
    """The fault contract sees each of the three ways to be no good."""
    provider = MemoryProvider()
    nodes = provider.create("r1", [NodeSpec(f"n{n}", f"10.77.0.1{n}", faultable_disk=True) for n in (1, 2, 3)])
    cluster = Cluster("r1", nodes, provider, MODE, FakeClock(moves_itself=True))
    case = contracts.Case(_Sticky(how), cluster, nodes[:1])  # type: ignore[arg-type]
    with pytest.raises(contracts.ContractBroken, match=promised):
        contracts.inject_breaks_the_targets_and_heal_mends_them(case)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_fault_that_cannot_be_healed_after_half_an_inject_is_convicted(error: type[BaseException]) -> None:
    """The interrupts really come in between, and what they leave is seen."""
    provider = MemoryProvider()
    nodes = provider.create("r1", [NodeSpec(f"n{n}", f"10.77.0.1{n}", faultable_disk=True) for n in (1, 2, 3)])
    cluster = Cluster("r1", nodes, provider, MODE, FakeClock(moves_itself=True))
    case = contracts.Case(_Sticky("stays"), cluster, nodes[:2])  # type: ignore[arg-type]
    with pytest.raises(contracts.ContractBroken, match="interrupted after its call 1"):
        contracts.heal_after_half_an_inject(case, error)
