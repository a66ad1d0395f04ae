"""Every implementation keeps the promises of its protocol: the bodies are in `harness.testing`, the implementations are listed here.

A real provider is one line in `PROVIDERS_UNDER_TEST`; it brings its nodes, its capabilities and all faults with it.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import pytest

from harness import registry
from harness.core import parameters
from harness.core.errors import Unreachable
from harness.core.protocols import Cluster, Disks, Fault, Laddered, Links, Node, Pausing, Power, Provider, Slower
from harness.core.values import Latency, NodeSpec, Rung, Traits
from harness.faults import FAULTS
from harness.faults.hang import Hang
from harness.faults.own_fault import OwnFault
from harness.faults.partition import Partition
from harness.faults.power import NodeKill
from harness.faults.process import Kill
from harness.faults.slow_disk import Slow
from harness.nodes.ssh import SshNode
from harness.nodes.ssh.keys import USER_KEY, make_user_key
from harness.nodes.this_machine import LocalMachine
from harness.providers import PROVIDERS
from harness.testing import contracts, fault_contract, memory_shell, node_contract, provider_contract
from harness.testing.bare import BareMode
from harness.testing.fake_clock import FakeClock
from harness.testing.memory_node import MemoryNode
from harness.testing.memory_provider import MemoryProvider, MemoryWorld
from harness.testing.sshd import let_in
from tests.usual import OWN

PROVIDERS_UNDER_TEST: dict[str, Callable[[], Callable[[], Provider]]] = {
    # name → a function that returns a way to get the same provider again and again, as if from several processes
    "memory": lambda: _shared(MemoryWorld()),
    "nspawn": lambda: PROVIDERS["nspawn"],
    "vagrant": lambda: PROVIDERS["vagrant"],
}
REAL = {"nspawn", "vagrant"}
"""Those that stand up machines: slow, and not for every machine."""
VIRTUAL = {"vagrant"}
"""Those of them whose machines take minutes: only where they are asked for."""

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
    (parameters.build(OwnFault, OWN), ("n1", "n3"), False),
]
ON_NODES: list[tuple[Fault, tuple[str, ...], bool]] = [
    # those that need a real node's systemd; the unit tests run their scripts against a stand-in
    (Hang("docker"), ("n1",), False),
    (Hang("both"), ("n1", "n2"), False),
    (Kill("victim", restart=True), ("n2",), False),
    (Kill("victim", restart=False), ("n2",), False),
]


def _as_they_come() -> list[tuple[Fault, tuple[str, ...], bool]]:
    """Return a case on one node and one on two for every fault of which nothing is said above: made with its defaults. An idle one has none."""
    told = {fault.name for fault, _, _ in (*CASES, *ON_NODES)}
    made: list[Fault] = [parameters.build(kind, {}) for name, kind in FAULTS.items() if name not in told]
    return [(fault, names, False) for fault in made if not fault.traits.idle for names in (("n2",), ("n1", "n3"))]


CASES += _as_they_come()
_SHAPES_IN_MEMORY = {"halves", "majority_minority"}
_most = {repr(case[0]): case for case in CASES if not isinstance(case[0], Partition) or case[0].shape not in _SHAPES_IN_MEMORY}
ON_MACHINES = [*_most.values()]
"""Of each fault the case of most targets: on machines each takes half a minute. Whom each shape silences there, `test_faults_bite` measures."""

_serial = itertools.count(1)


def _shared(store: MemoryWorld) -> Callable[[], Provider]:
    return lambda: MemoryProvider(store)


def _run_id() -> str:
    return f"contract-{os.getpid()}-{next(_serial)}"


@dataclass(frozen=True)
class Stage:
    """One implementation with a cluster of three, shared by all tests that leave it as they found it."""

    make: provider_contract.Maker
    cluster: Cluster


def _params(names: list[str]) -> list[object]:
    # One worker for each real provider: its cluster is shared.
    def marks(name: str) -> list[pytest.MarkDecorator]:
        real = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.xdist_group(f"contract-{name}")] if name in REAL else []
        return [*real, pytest.mark.vagrant] if name in VIRTUAL else real

    return [pytest.param(name, marks=marks(name)) for name in names]


@pytest.fixture(scope="module", params=_params([*PROVIDERS_UNDER_TEST]))
def stage(
    request: pytest.FixtureRequest, lend: Callable[..., AbstractContextManager[Cluster]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stage]:
    """Lend a cluster of three of each provider."""
    make = provider_contract.Maker(PROVIDERS_UNDER_TEST[request.param](), _run_id)
    specs = [NodeSpec(spec.name, spec.address, faultable_disk=True) for spec in make.specs(3)]
    with lend(make.provider(), "contract", specs, MODE) as cluster:
        for node in cluster.nodes:
            if isinstance(node, MemoryNode):
                node.programs["sh"] = memory_shell.shell(node, tmp_path_factory.mktemp(node.name))
            else:
                _install_victim(node)
        yield Stage(make, cluster)


def _install_victim(node: Node) -> None:
    unit = "[Service]\nExecStart=/bin/sleep infinity\nRestart=always\nRestartSec=100ms\n\n[Install]\nWantedBy=multi-user.target\n"
    # Docker from every boot on, as the modes have it: some nodes start it only when it is asked for.
    docker = "systemctl --no-reload add-wants multi-user.target docker.service && systemctl start docker.service"
    script = f'cat >"/etc/systemd/system/$1" && {docker} && systemctl daemon-reload && systemctl enable --now "$1"'
    result = node.run("/bin/sh", "-c", script, "sh", UNIT, timeout=180.0, stdin=unit.encode())
    assert result.ok, result.err


def _reaches(stage: Stage) -> provider_contract.Reaches:
    """Measure with what the nodes themselves see: memory by its own rules, machines by a datagram that arrives or does not."""
    provider = stage.cluster.provider
    if isinstance(provider, MemoryProvider):
        return provider.reaches
    # Under software emulation a sender alone takes a second to be started.
    slow = isinstance(provider, Slower) and provider.allowance() is not None
    return partial(_arrives, seconds=4.0 if slow else 0.4)


_RECEIVE = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("", int(sys.argv[2]))); s.settimeout(float(sys.argv[3]))
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
_KNOCK = "import socket, sys; socket.create_connection((sys.argv[1], 22), 2.0)"
_ports = itertools.count(20000)


def _arrives(source: Node, target: Node, seconds: float) -> bool:
    from harness.core.protocols import Streaming  # noqa: PLC0415 - only for real nodes

    assert isinstance(target, Streaming)
    port = str(next(_ports))
    script = 'python3 -c "$0" "$1" "$2" "$3" && echo arrived || echo lost'
    try:
        receiver = target.stream("/bin/sh", "-c", script, _RECEIVE, source.address, port, str(seconds))
    except Unreachable:
        return source.run("python3", "-c", _KNOCK, target.address).ok  # a frozen machine cannot be asked: does it take a connection?
    try:
        lines = receiver.lines()
        assert next(lines) == b"ready"
        source.run("python3", "-c", _SEND, source.address, target.address, port)
        return next(lines) == b"arrived"
    finally:
        receiver.close()


@pytest.mark.parametrize("promise", node_contract.NODE.values(), ids=node_contract.NODE)
def test_node(stage: Stage, promise: Callable[[Node], None]) -> None:
    """Every node keeps this promise."""
    promise(stage.cluster.nodes[0])


@pytest.mark.parametrize("promise", node_contract.REAL_NODE.values(), ids=node_contract.REAL_NODE)
@pytest.mark.parametrize("stage", _params(sorted(REAL)), indirect=True, scope="module")
def test_real_node(stage: Stage, promise: Callable[[Node], None]) -> None:
    """Every real node keeps this promise."""
    promise(stage.cluster.nodes[0])


@pytest.mark.parametrize("stage", _params(sorted(REAL)), indirect=True, scope="module")
def test_a_death(stage: Stage) -> None:
    """Every real node's death is noticed and outlived."""
    power, node = stage.cluster.can(Power), stage.cluster.nodes[2]
    node_contract.a_death_is_noticed_and_outlived(node, lambda: power.off(node), lambda: power.on(node))


@pytest.fixture(scope="module")
def over_ssh(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshNode]:
    """Lend the first machine as a node over SSH."""
    folder, machine = tmp_path_factory.mktemp("ssh"), stage.cluster.nodes[0]
    make_user_key(folder)
    node = SshNode(machine.name, machine.address, let_in(machine, folder / "host", folder / USER_KEY), network=stage.cluster.network)
    yield node
    node.close()


HERE = {**node_contract.NODE, **{name: node_contract.REAL_NODE[name] for name in node_contract.REAL_NODE if "stream" in name}}


@pytest.mark.parametrize("promise", HERE.values(), ids=HERE)
def test_this_machine_is_a_node_for_commands(promise: Callable[[Node], None]) -> None:
    """Where a scenario's commands are run on it."""
    promise(LocalMachine("run-1"))


NODE_OVER_SSH = {**node_contract.NODE, **node_contract.REAL_NODE}


@pytest.mark.parametrize("promise", NODE_OVER_SSH.values(), ids=NODE_OVER_SSH)
@pytest.mark.parametrize("stage", _params(["nspawn"]), indirect=True, scope="module")
def test_node_over_ssh(over_ssh: SshNode, promise: Callable[[Node], None]) -> None:
    """A node over SSH keeps every promise of a real node, against a real sshd."""
    promise(over_ssh)


@pytest.mark.parametrize("stage", _params(["nspawn"]), indirect=True, scope="module")
def test_a_death_over_ssh(stage: Stage, over_ssh: SshNode) -> None:
    """A link that falls silent is noticed as a death is, and made again after the reboot."""
    power, machine = stage.cluster.can(Power), stage.cluster.nodes[0]

    def on() -> None:
        power.on(machine)  # back when it answers by its own way in, which may be before its sshd is
        assert machine.run("systemctl", "start", "ssh.service").ok

    node_contract.a_death_is_noticed_and_outlived(over_ssh, lambda: power.off(machine), on)


@pytest.mark.parametrize("promise", provider_contract.PROVIDER.values(), ids=provider_contract.PROVIDER)
def test_provider(stage: Stage, promise: Callable[[provider_contract.Maker], None]) -> None:
    """Every provider keeps this promise."""
    promise(stage.make)


def test_power(stage: Stage) -> None:
    """A provider with `Power` keeps its promises."""
    provider_contract.power_goes_and_comes_back(stage.cluster.can(Power), stage.cluster.nodes[1])


def test_pausing(stage: Stage) -> None:
    """A provider with `Pausing` keeps its promises."""
    provider_contract.pausing_freezes_and_lets_go(stage.cluster.can(Pausing), stage.cluster.nodes, _reaches(stage))


def test_links(stage: Stage) -> None:
    """A provider with `Links` keeps its promises."""
    provider_contract.links_are_cut_one_way_and_restored(stage.cluster.can(Links), stage.cluster.nodes, _reaches(stage))


def test_disks(stage: Stage) -> None:
    """A provider with `Disks` keeps its promises."""
    provider_contract.disks_are_slowed_and_mended(stage.cluster.can(Disks), stage.cluster.nodes)
    provider_contract.a_disk_is_slow_until_it_is_mended(stage.cluster.can(Disks), stage.cluster.can(Power), stage.cluster.nodes[1])


@pytest.mark.parametrize("stage", _params(["memory", *sorted(VIRTUAL)]), indirect=True, scope="module")
def test_snapshots(stage: Stage, tmp_path: Path) -> None:
    """A provider with `Snapshots` keeps its promises."""
    provider_contract.machines_go_back_to_what_was_kept(stage.cluster.can(provider_contract.Snapshotting), stage.cluster.run_id, tmp_path)


def test_every_provider_is_under_contract() -> None:
    """One that is registered is tried here. Hosts of somebody else's are not made at will: theirs are in tests/cluster/test_inventory.py."""
    assert {*registry.known().providers} - {*PROVIDERS_UNDER_TEST} == {"inventory"}, "give each a line in PROVIDERS_UNDER_TEST"


def _case_id(case: tuple[Fault, tuple[str, ...], bool]) -> str:
    return f"{case[0]!r} on {','.join(case[1])}"


@pytest.mark.parametrize("promise", fault_contract.FAULT.values(), ids=fault_contract.FAULT)
@pytest.mark.parametrize("case", CASES, ids=_case_id)
@pytest.mark.parametrize("stage", _params(sorted({*PROVIDERS_UNDER_TEST} - REAL)), indirect=True, scope="module")
def test_fault(stage: Stage, case: tuple[Fault, tuple[str, ...], bool], promise: Callable[[fault_contract.Case], None]) -> None:
    """Every fault keeps this promise on every provider that makes no machines."""
    promise(_case(stage, case))


@pytest.mark.parametrize("promise", fault_contract.FAULT_ON_MACHINES.values(), ids=fault_contract.FAULT_ON_MACHINES)
@pytest.mark.parametrize("case", ON_MACHINES, ids=_case_id)
@pytest.mark.parametrize("stage", _params(sorted(REAL)), indirect=True, scope="module")
def test_fault_on_machines(stage: Stage, case: tuple[Fault, tuple[str, ...], bool], promise: Callable[[fault_contract.Case], None]) -> None:
    """Every fault keeps this promise on every provider of machines."""
    promise(_case(stage, case))


@pytest.mark.parametrize("promise", fault_contract.FAULT_ON_MACHINES.values(), ids=fault_contract.FAULT_ON_MACHINES)
@pytest.mark.parametrize("case", ON_NODES, ids=_case_id)
@pytest.mark.parametrize("stage", _params(sorted(REAL)), indirect=True, scope="module")
def test_fault_of_a_daemon(stage: Stage, case: tuple[Fault, tuple[str, ...], bool], promise: Callable[[fault_contract.Case], None]) -> None:
    """Every fault that needs systemd keeps this promise on every provider of real nodes; for its script alone see the unit tests."""
    promise(_case(stage, case))


def _case(stage: Stage, case: tuple[Fault, tuple[str, ...], bool]) -> fault_contract.Case:
    fault, names, spreads = case
    return fault_contract.Case(fault, stage.cluster, [stage.cluster.node(name) for name in names], spreads)


def test_every_fault_is_under_contract() -> None:
    """Those of which nothing is said here are made with their defaults. The one that does nothing is never in force, so it has no case."""
    idle = {name for name, kind in FAULTS.items() if isinstance(kind.traits, Traits) and kind.traits.idle}
    assert {fault.name for fault, _, _ in (*CASES, *ON_NODES)} | idle == {*FAULTS}
    assert len(idle) == 1


@pytest.mark.parametrize("promise", fault_contract.LADDERED.values(), ids=fault_contract.LADDERED)
@pytest.mark.parametrize("name", FAULTS)
def test_rungs(name: str, promise: Callable[[type[Laddered]], None]) -> None:
    """Every fault says on what it stands on a machine, whatever that has."""
    kind = FAULTS[name]
    assert isinstance(kind, Laddered)
    promise(kind)


# -- the contracts themselves: each is shown an implementation that it must convict


def test_a_node_that_answers_rubbish_is_convicted() -> None:
    """The node contract sees output that is not the command's."""
    node = MemoryNode("n1", "10.77.0.11", rubbish=b"???")
    with pytest.raises(contracts.ContractBroken, match="what printf got"):
        node_contract.arguments_arrive_as_they_are(node)


def test_a_node_that_answers_after_the_deadline_is_convicted() -> None:
    """The node contract sees an answer that should have been none, and a process that was left."""
    node = MemoryNode("n1", "10.77.0.11", processes=[f"sleep 97.{os.getpid()}"])
    with pytest.raises(contracts.ContractBroken, match="a search for what timed out"):
        node_contract.a_timeout_is_unreachable_and_leaves_nothing(node)


@dataclass(frozen=True)
class _Sticky:
    """A fault that cannot be healed, or is in force on everybody, or never."""

    how: str
    name = "sticky"
    traits = Traits(leaves=("disk",))

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


class _Silent(_Sticky):
    """One that says nothing of what it leaves."""

    traits = Traits()


def test_a_fault_that_leaves_more_than_it_says_is_convicted() -> None:
    """The fault contract holds what is on a node against the traits."""
    provider = MemoryProvider()
    nodes = provider.create("r1", [NodeSpec("n1", "10.77.0.11", faultable_disk=True)])
    case = fault_contract.Case(_Silent("well"), Cluster("r1", nodes, provider, MODE, FakeClock(moves_itself=True)), nodes)  # type: ignore[arg-type]
    with pytest.raises(contracts.ContractBroken, match="added disk latency 'fsync \\+1 s', and 'disk' is not among `leaves`"):
        fault_contract.inject_breaks_the_targets_and_heal_mends_them(case)
    fault_contract.inject_breaks_the_targets_and_heal_mends_them(fault_contract.Case(_Sticky("well"), case.cluster, nodes))  # type: ignore[arg-type]


RUNGS: dict[str, tuple[object, str]] = {
    "raises": (lambda _: 1 / 0, "a machine that has all; saw: ZeroDivisionError"),
    "no rung": (lambda _: (True, "by hand"), "a Rung of a machine"),
    "no word": (lambda _: Rung(can=True, how=" "), "in one printable line"),
    "two lines": (lambda _: Rung(can=True, how="one\ntwo"), "in one printable line"),
    "no truth": (lambda _: Rung("yes", "by hand"), "True, False or None"),  # type: ignore[arg-type]
    "moods": (lambda _: Rung(can=True, how=f"{next(_serial)}"), "asked again"),
    "never": (lambda _: Rung(None, "by nobody"), "on a machine that has all"),
    "needs one": (lambda here: Rung(can=True, how=here.which("nft").strip()), "that has nothing; saw: AttributeError"),
}


@pytest.mark.parametrize("how", RUNGS)
def test_a_rung_that_tells_doctor_nothing_is_convicted(how: str) -> None:
    """By one of the two promises, for what is wrong with it."""
    said, promised = RUNGS[how]
    kind: type[Laddered] = type("Rungs", (), {"rung": staticmethod(said)})  # type: ignore[arg-type]

    def both() -> None:
        for promise in fault_contract.LADDERED.values():
            promise(kind)

    with pytest.raises(contracts.ContractBroken, match=promised):
        both()


@pytest.mark.parametrize(
    ("how", "promised"),
    [("stays", "in force nowhere after heal"), ("spreads", "nobody else"), ("tame", "on n1 after inject")],
)
def test_a_fault_that_stays_spreads_or_does_not_bite_is_convicted(how: str, promised: str) -> None:
    """The fault contract sees each of the three ways to be no good."""
    provider = MemoryProvider()
    nodes = provider.create("r1", [NodeSpec(f"n{n}", f"10.77.0.1{n}", faultable_disk=True) for n in (1, 2, 3)])
    cluster = Cluster("r1", nodes, provider, MODE, FakeClock(moves_itself=True))
    case = fault_contract.Case(_Sticky(how), cluster, nodes[:1])  # type: ignore[arg-type]
    with pytest.raises(contracts.ContractBroken, match=promised):
        fault_contract.inject_breaks_the_targets_and_heal_mends_them(case)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_fault_that_cannot_be_healed_after_half_an_inject_is_convicted(error: type[BaseException]) -> None:
    """The interrupts really come in between, and what they leave is seen."""
    provider = MemoryProvider()
    nodes = provider.create("r1", [NodeSpec(f"n{n}", f"10.77.0.1{n}", faultable_disk=True) for n in (1, 2, 3)])
    cluster = Cluster("r1", nodes, provider, MODE, FakeClock(moves_itself=True))
    case = fault_contract.Case(_Sticky("stays"), cluster, nodes[:2])  # type: ignore[arg-type]
    with pytest.raises(contracts.ContractBroken, match="interrupted after its call 1"):
        fault_contract.heal_after_half_an_inject(case, error)


def _idle(fault: Fault) -> Fault:
    """Return the same fault with a remedy that does nothing."""
    kind = type("Idle", (type(fault),), {"remedy": lambda *_: ("true",)})
    idle: Fault = kind(**asdict(fault))  # type: ignore[call-overload]  # every fault is a dataclass
    return idle


def _convicted(case: fault_contract.Case, promised: str) -> None:
    """See both contracts of remedies convict a fault, and mend the cluster all the same."""
    before = case.look()
    with pytest.raises(contracts.ContractBroken, match=promised):
        fault_contract.a_remedy_alone_mends_the_nodes(case)
    with pytest.raises(contracts.ContractBroken, match="after the remedies of an inject that was interrupted"):
        fault_contract.a_remedy_mends_after_half_an_inject(case)
    case.whole(before, "after the contract")


def test_a_remedy_that_does_nothing_is_convicted(stage: Stage) -> None:
    """The fault contract sees that a cut is still there."""
    _convicted(_case(stage, (_idle(Partition("isolate")), ("n1",), True)), "in force nowhere after the remedies, without heal")


@pytest.mark.parametrize("case", ON_NODES, ids=_case_id)
@pytest.mark.parametrize("stage", _params(sorted(REAL)), indirect=True, scope="module")
def test_a_remedy_of_a_daemon_that_does_nothing_is_convicted(stage: Stage, case: tuple[Fault, tuple[str, ...], bool]) -> None:
    """The fault contract sees that a daemon still hangs, or is still dead."""
    fault, names, spreads = case
    _convicted(_case(stage, (_idle(fault), names, spreads)), "in force nowhere after the remedies, without heal")


class _Forgetful(Partition):
    """A partition that forgets one of the nodes that it touches."""

    def touched(self, cluster: Cluster, targets: Sequence[Node]) -> Sequence[Node]:
        return Partition.touched(self, cluster, targets)[1:]


def test_a_fault_that_forgets_whom_it_touches_is_convicted(stage: Stage) -> None:
    """The fault contract sees what is left on a node without a remedy."""
    _convicted(_case(stage, (_Forgetful("isolate"), ("n1",), True)), "nodes without a remedy hold nothing of the fault")
