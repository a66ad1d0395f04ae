"""Faults: what they ask of provider and mode, what they say when it is not there, and their scripts, run by a real shell on real processes.

That every fault keeps the fault contract is in tests/contract.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pytest
from pydantic import TypeAdapter, ValidationError

from harness.core.clock import SystemClock, wait_until
from harness.core.errors import CommandFailed, FaultFailed, HarnessError, Unreachable
from harness.core.protocols import Cluster, Fault, Node
from harness.core.values import Latency, NodeSpec, Result, Unavailable
from harness.faults import FAULTS, hang, process
from harness.faults.common import shell, unavailable
from harness.faults.hang import Hang
from harness.faults.nothing import Nothing
from harness.faults.partition import Partition
from harness.faults.power import NodeKill
from harness.faults.process import Kill
from harness.faults.slow_disk import Slow
from harness.nodes import links
from harness.nodes.together import together
from harness.testing.bare import BareMode
from harness.testing.fake_clock import FakeClock
from harness.testing.memory_node import MemoryNode
from harness.testing.memory_provider import MemoryProvider
from tests.usual import USUAL


def memory(count: int = 3, *, faultable: bool = True) -> tuple[Cluster, MemoryProvider, list[MemoryNode]]:
    """Return a cluster in memory."""
    provider = MemoryProvider()
    provider.create("r1", [NodeSpec(f"n{n}", f"10.77.0.{10 + n}", faultable_disk=faultable) for n in range(1, count + 1)])
    nodes = [*provider.store.runs["r1"].values()]
    return Cluster("r1", nodes, provider, BareMode({"etcd": "etcd.service"}), FakeClock(moves_itself=True)), provider, nodes


# -- what all have in common


@pytest.mark.parametrize(("name", "kind"), FAULTS.items(), ids=[*FAULTS])
def test_every_fault_is_a_frozen_dataclass_named_as_in_its_table(name: str, kind: type[Fault]) -> None:
    """Names agree, and equal parameters make equal faults: heal in another process needs that."""
    body = USUAL.get(name, {})
    adapter: TypeAdapter[Fault] = TypeAdapter(kind)
    one, other = adapter.validate_python(body), adapter.validate_python(body)
    assert one.name == name
    assert one == other
    assert hash(one) == hash(other)


def test_together_waits_for_all_and_names_every_node_that_failed() -> None:
    """One that fails does not keep the others from being done, and the error has each name with its own reason."""
    _, _, nodes = memory(4)
    nodes[0].on = nodes[2].on = False
    with pytest.raises(FaultFailed, match=r"(?s)poking failed on 2 of 4 nodes:.*n1: .*off.*n3: .*off") as caught:
        together(nodes, lambda node: node.run("true"), "poking")
    assert isinstance(caught.value.__cause__, Unreachable)
    assert [len(node.calls) for node in nodes] == [1, 1, 1, 1]


def test_a_node_is_named_once_whatever_its_error_begins_with() -> None:
    """Most errors of ours begin with its name."""
    _, _, nodes = memory()

    def fail(node: Node) -> None:
        raise CommandFailed(node.name, ["true"], 3, "no luck") if node.name != "n2" else HarnessError("n22: no luck")

    with pytest.raises(FaultFailed) as caught:
        together(nodes, fail, "poking")
    failed = "'true' exited with status 3: no luck"
    assert str(caught.value).splitlines()[1:] == [f"  n1: {failed}", "  n2: n22: no luck", f"  n3: {failed}"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_together_does_not_hide_an_interrupt_or_a_bug(error: type[BaseException]) -> None:
    """What is no trouble of a node comes out as it is, even beside one that is."""
    _, _, nodes = memory()
    nodes[0].on = False
    nodes[1].raises[1] = error("mine")
    with pytest.raises(error, match="mine"):
        together(nodes, lambda node: node.run("true"), "poking")
    assert len(nodes[2].calls) == 1


def test_together_gives_results_in_the_order_of_the_nodes() -> None:
    """Answers are not in the order in which they came."""
    _, _, nodes = memory()
    assert together(nodes, lambda node: node.name, "asking") == ["n1", "n2", "n3"]
    assert together([], lambda node: node.name, "asking") == []


@dataclass
class _Poor:
    """A provider without any capability."""

    name = "poor"


@pytest.mark.parametrize("fault", [NodeKill(), Partition(), Slow(fsync=1.0)])
def test_what_the_provider_cannot_do_is_unavailable_and_says_what_is_needed(fault: Fault) -> None:
    """A missing capability is a reason, not an error."""
    _, _, nodes = memory()
    cluster = Cluster("r1", nodes, _Poor(), BareMode())  # type: ignore[arg-type]
    why = unavailable(fault, cluster, nodes[0])
    assert isinstance(why, Unavailable)
    assert "poor" in why.reason
    assert why.needs.startswith("a provider with ")


# -- power, disk, nothing


def test_a_node_kill_that_fails_on_one_node_says_which() -> None:
    """Half a kill is an error, and heal undoes the other half."""
    cluster, provider, nodes = memory()
    provider.stuck = {"off"}
    with pytest.raises(FaultFailed, match=r"(?s)cutting the power failed on 2 of 2.*n1.*n2"):
        NodeKill().inject(cluster, nodes[:2])


def test_a_slow_disk_must_slow_something() -> None:
    """A fault without effect is refused, in code and in YAML."""
    with pytest.raises(ValueError, match="above 0 for at least one of fsync, write and read"):
        Slow()
    with pytest.raises(ValidationError, match="above 0 for at least one"):
        TypeAdapter(Slow).validate_python({"write": "0s"})
    assert TypeAdapter(Slow).validate_python({"fsync": "500ms"}).asked == Latency(fsync=0.5)


def test_a_disk_that_was_not_planned_for_it_cannot_be_slowed() -> None:
    """The provider's own reason is handed on."""
    cluster, _, nodes = memory(faultable=False)
    why = Slow(fsync=1.0).available(cluster, nodes[0])
    assert why is not None
    assert "n1" in why.reason


def test_a_disk_slowed_by_another_amount_is_not_in_force() -> None:
    """In force means as asked."""
    cluster, provider, nodes = memory()
    provider.slow(nodes[0], Latency(fsync=0.5))
    assert not Slow(fsync=1.0).in_force(cluster, nodes[0])
    assert Slow(fsync=0.5).in_force(cluster, nodes[0])


def test_nothing_is_never_in_force() -> None:
    """The control's fault does nothing and owns up to it."""
    cluster, _, nodes = memory()
    Nothing().inject(cluster, nodes)
    assert not Nothing().in_force(cluster, nodes[0])
    assert Nothing().available(cluster, nodes[0]) is None
    Nothing().heal(cluster, nodes)
    assert [node.calls for node in nodes] == [[], [], []]


# -- network


def test_two_partitions_of_one_shape_are_healed_apart() -> None:
    """The cut's tag stands for the targets, too, so healing one leaves the other."""
    cluster, provider, nodes = memory(5)
    fault = Partition("isolate")
    fault.inject(cluster, [nodes[0]])
    fault.inject(cluster, [nodes[1]])
    fault.heal(cluster, [nodes[0]])
    assert provider.reaches(nodes[0], nodes[2])
    assert not provider.reaches(nodes[1], nodes[2])
    fault.heal(cluster, [nodes[1]])
    assert provider.reaches(nodes[1], nodes[2])


def test_a_tag_does_not_hang_on_the_order_of_targets_but_on_all_else() -> None:
    """Run, shape and targets each make another tag, which nft takes as part of a name."""
    cluster, _, nodes = memory()
    tag = Partition("isolate").tag(cluster, nodes[:2])
    assert tag == Partition("isolate").tag(cluster, nodes[1::-1])
    others = [
        Partition("halves").tag(cluster, nodes[:2]),
        Partition("isolate").tag(cluster, nodes[:1]),
        Partition("isolate").tag(Cluster("r2", nodes, cluster.provider, cluster.mode), nodes[:2]),
    ]
    assert len({tag, *others}) == 4
    assert all(links._table(each) for each in [tag, *others])


def test_a_one_way_cut_is_seen_on_those_who_drop() -> None:
    """The target has no rule; it is in force all the same, and only as long as the others have theirs."""
    cluster, provider, nodes = memory()
    fault = Partition("one_way")
    fault.inject(cluster, nodes[:1])
    assert nodes[0].cuts == {}
    assert fault.in_force(cluster, nodes[0])
    assert provider.reaches(nodes[1], nodes[0])
    assert not provider.reaches(nodes[0], nodes[1])
    for node in nodes[1:]:
        node.cuts.clear()
    assert not fault.in_force(cluster, nodes[0])


def test_rules_that_somebody_else_took_away_are_not_in_force() -> None:
    """The kernel is asked, not our memory."""
    cluster, _, nodes = memory()
    Partition("isolate").inject(cluster, nodes[:1])
    nodes[0].cuts.clear()
    assert not Partition("isolate").in_force(cluster, nodes[0])


def test_a_node_that_does_not_answer_is_not_said_to_be_whole() -> None:
    """An answer that did not come is never "no"."""
    cluster, _, nodes = memory()
    Partition("isolate").inject(cluster, nodes[:1])
    nodes[0].delay = 60.0
    with pytest.raises(Unreachable):
        Partition("isolate").in_force(cluster, nodes[0])


def test_a_node_that_is_off_is_left_out_of_a_partition() -> None:
    """It has no kernel to ask or to tell; those that are on are cut and restored."""
    cluster, provider, nodes = memory()
    provider.off(nodes[2])
    fault = Partition("isolate")
    fault.inject(cluster, nodes[:1])
    assert fault.in_force(cluster, nodes[0])
    fault.heal(cluster, nodes[:1])
    assert provider.reaches(nodes[0], nodes[1])


@pytest.mark.parametrize(("shape", "hit"), [("halves", 3), ("ring", 1), ("majority_minority", 3)])
def test_a_partition_that_would_cut_nothing_is_refused(shape: str, hit: int) -> None:
    """A fault without effect would let a promise pass."""
    cluster, _, nodes = memory()
    with pytest.raises(FaultFailed, match=shape):
        TypeAdapter(Partition).validate_python({"shape": shape}).inject(cluster, nodes[:hit])


def test_a_partition_of_one_node_is_unavailable() -> None:
    """There is nobody to be cut from."""
    cluster, _, nodes = memory(1)
    why = Partition().available(cluster, nodes[0])
    assert why is not None
    assert "cuts nothing" in why.reason


class _NftNode(MemoryNode):
    """Keeps what nft is told, and answers with a list of rules."""

    told: list[str]

    def __init__(self, name: str, address: str, *tables: str, drops: bool = True) -> None:
        super().__init__(name, address)
        self.told = []
        expr = '[{"drop": null}]' if drops else '[{"accept": null}]'
        rules = ", ".join(f'{{"rule": {{"table": "{each}", "expr": {expr}}}}}' for each in tables)
        self.programs["nft"] = lambda argv, stdin: self._answer(argv, stdin, f'{{"nftables": [{{"metainfo": {{}}}}, {rules or "{}"}]}}')

    def _answer(self, argv: tuple[str, ...], stdin: bytes, listed: str) -> Result:
        if "--file" in argv:
            self.told.append(stdin.decode())
        return Result(argv, 0, listed.encode(), b"")


def test_nft_is_told_everything_in_one_transaction_and_nothing_of_other_tables() -> None:
    """One script a node: our table taken away if it is there, and made anew."""
    nodes = [_NftNode("n1", "10.77.0.11"), _NftNode("n2", "10.77.0.12"), _NftNode("n3", "10.77.0.13")]
    links.cut(nodes, {"n1": frozenset({"n2", "n3"}), "n2": frozenset()}, "t_1")
    assert [len(node.told) for node in nodes] == [1, 0, 0]
    script = nodes[0].told[0]
    assert script.startswith("add table inet whalefall_t_1\ndelete table inet whalefall_t_1\ntable inet whalefall_t_1 {")
    assert "10.77.0.12, 10.77.0.13" in script
    assert "flush" not in script
    links.restore(nodes, "t_1")
    assert nodes[1].told == ["add table inet whalefall_t_1\ndelete table inet whalefall_t_1\n"]


@pytest.mark.parametrize("tag", ["", "silence", "a b", "a;b", "A", "a-b", "x" * 121, "a\n"])
def test_a_tag_that_is_none_never_reaches_nft(tag: str) -> None:
    """Tags become part of a script: only harmless ones do."""
    node = _NftNode("n1", "10.77.0.11")
    for call in (lambda: links.cut([node], {}, tag), lambda: links.restore([node], tag), lambda: links.is_cut(node, tag)):
        with pytest.raises(HarnessError, match="no tag of a cut"):
            call()
    assert node.told == []


def test_a_table_without_a_drop_is_no_cut() -> None:
    """The rules are looked for, not the table's name; another's table is none of ours."""
    assert links.is_cut(_NftNode("n1", "10.77.0.11", "whalefall_a_b"), "a")
    assert not links.is_cut(_NftNode("n1", "10.77.0.11", "whalefall_ab"), "a")
    assert not links.is_cut(_NftNode("n1", "10.77.0.11", "whalefall_a", drops=False), "a")
    assert not links.is_cut(_NftNode("n1", "10.77.0.11", "docker_whalefall_a"), "a")


SHAPES = [
    b"null",
    b"5",
    b"{}",
    b'{"nftables": 5}',
    b'{"nftables": [5]}',
    b'{"nftables": [{"rule": 5}]}',
    b'{"nftables": [{"rule": {"table": 5}}]}',
]


@pytest.mark.parametrize(
    "said", [b"Segmentation fault", b"[" * 100_000, *SHAPES], ids=["words", "lists without end", *map(bytes.decode, SHAPES)]
)
def test_rules_that_cannot_be_read_are_no_answer(said: bytes) -> None:
    """Rubbish is "could not ask"."""
    node = _NftNode("n1", "10.77.0.11")
    node.rubbish = said
    with pytest.raises(Unreachable, match="no list of rules"):
        links.is_cut(node, "a")


def test_a_missing_nft_says_what_to_install() -> None:
    """The error names node, command and remedy."""
    with pytest.raises(HarnessError, match=r"n1: 'nft .*status 127.*install nftables"):
        links.silence(MemoryNode("n1", "10.77.0.11"))


# -- scripts, run by a real shell against a stand-in for systemctl


SYSTEMCTL = r"""#!/bin/sh
# A stand-in: units are folders with MainPID and ActiveState; STATE holds them, and every call is noted.
echo "$*" >>"$STATE/calls"
for unit in "$@"; do :; done
here=$STATE/$unit
up() { sleep 600 >/dev/null 2>&1 & echo $! >"$here/MainPID"; echo $! >>"$STATE/pids"; echo active >"$here/ActiveState"; }
case $1 in
show)
    [ -d "$here" ] || { case $2 in *MainPID) echo 0 ;; *LoadState) echo not-found ;; *) echo inactive ;; esac; exit 0; }
    cat "$here/${2#--property=}" ;;
kill)
    kill -KILL "$(cat "$here/MainPID")"
    if grep -q Restart=no "$STATE/run/systemd/system/$unit.d/whalefall.conf" 2>/dev/null
    then echo 0 >"$here/MainPID"; echo failed >"$here/ActiveState"
    else up
    fi ;;
stop) for each in "$@"; do [ ! -d "$STATE/$each" ] || echo inactive >"$STATE/$each/ActiveState"; done ;;
start)
    case $unit in
    *.service) [ "$(cat "$here/MainPID")" -gt 0 ] || up ;;
    # As systemd does: a socket whose service runs is refused.
    *) [ "$(cat "$STATE/etcd.service/MainPID")" -eq 0 ] || exit 1; echo active >"$here/ActiveState" ;;
    esac ;;
up) up ;;
esac
"""


class ShellNode:
    """Runs commands on this machine, with the stand-in first on the PATH."""

    name, address = "n1", "10.77.0.11"

    def __init__(self, state: Path) -> None:
        self.state = state

    def run(self, *argv: str, timeout: float = 30.0, stdin: bytes = b"") -> Result:
        """Run it here."""
        env = {"PATH": f"{self.state / 'bin'}:{os.environ['PATH']}", "STATE": str(self.state)}
        done = subprocess.run(argv, input=stdin, capture_output=True, timeout=timeout, env=env, check=False)
        return Result(argv, done.returncode, done.stdout, done.stderr)

    def put(self, source: Path, target: PurePosixPath) -> None:
        """Not needed."""
        raise NotImplementedError

    def get(self, source: PurePosixPath, target: Path) -> None:
        """Not needed."""
        raise NotImplementedError

    def pid(self, unit: str) -> int:
        """Return the unit's main process."""
        return int((self.state / unit / "MainPID").read_text())

    def state_of(self, pid: int) -> str:
        """Return a process's state letter, or nothing if it is gone."""
        with suppress(OSError):
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return ""

    def calls(self) -> list[str]:
        """Return what systemctl was asked, first words only."""
        return [line.split()[0] for line in (self.state / "calls").read_text().splitlines()]

    def left(self) -> list[str]:
        """Return what lies in the stand-in's /run, folders that were there before left out."""
        run = self.state / "run"
        return sorted(str(each.relative_to(run)) for each in run.rglob("*") if each not in (run / "systemd", run / "systemd/system"))


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ShellNode]:
    """Lend a stand-in with three units: etcd, docker and containerd, each one real process."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    (tmp_path / "bin/systemctl").write_text(SYSTEMCTL)
    (tmp_path / "bin/systemctl").chmod(0o755)
    node = ShellNode(tmp_path)
    for unit in ("etcd.service", "docker.service", "containerd.service"):
        (tmp_path / unit).mkdir()
        (tmp_path / unit / "LoadState").write_text("loaded\n")
        assert node.run("systemctl", "up", unit).ok
    monkeypatch.setattr(process, "RUN", str(tmp_path / "run"))
    yield node
    for pid in (tmp_path / "pids").read_text().split():
        with suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
    shutil.rmtree(tmp_path)


def soon(condition: Callable[[], bool]) -> bool:
    """Wait for what the kernel does a moment after a signal was sent; raises `Expired`."""
    return wait_until(condition, awaited="a signal to arrive", seconds=10.0, clock=SystemClock(), every=0.002)


def cluster_of(node: Node) -> Cluster:
    """Return a cluster of one such node, from a provider that knows nothing."""
    mode = BareMode({"etcd": "etcd.service", "gone": "gone.service", "odd": "a b.service; rm"})
    return Cluster("r1", [node], _Poor(), mode, FakeClock(moves_itself=True))  # type: ignore[arg-type]


def test_a_script_gets_its_arguments_unchanged(machine: ShellNode) -> None:
    """Values are arguments, never text of the script."""
    assert shell(machine, 'printf "%s|" "$@"', "a b", "; exit 9", "", "$(id)") == "a b|; exit 9||$(id)|"


def test_a_script_that_fails_names_node_and_reason(machine: ShellNode) -> None:
    """A script that the harness depends on must not fail in silence."""
    with pytest.raises(HarnessError, match=r"n1: .*status 7: no luck"):
        shell(machine, "echo no luck >&2; exit 7")


@pytest.mark.parametrize(
    ("which", "stopped"),
    [("docker", ["docker.service"]), ("containerd", ["containerd.service"]), ("both", ["containerd.service", "docker.service"])],
)
def test_a_hang_stops_the_daemons_asked_for_and_no_other(machine: ShellNode, which: str, stopped: list[str]) -> None:
    """In force from inject to heal, on exactly these processes; without an inject heal does nothing."""
    fault, cluster = TypeAdapter(Hang).validate_python({"daemon": which}), cluster_of(machine)
    assert fault.available(cluster, machine) is None
    fault.heal(cluster, [machine])
    assert not fault.in_force(cluster, machine)
    fault.inject(cluster, [machine])
    assert soon(lambda: fault.in_force(cluster, machine))
    states = {unit: machine.state_of(machine.pid(unit)) for unit in ("etcd.service", "docker.service", "containerd.service")}
    assert sorted(unit for unit, state in states.items() if state == "T") == stopped
    for _ in range(2):
        fault.heal(cluster, [machine])
        assert soon(lambda: not fault.in_force(cluster, machine))
    assert "T" not in {machine.state_of(machine.pid(unit)) for unit in states}


def test_a_hang_of_both_is_in_force_only_when_both_hang(machine: ShellNode) -> None:
    """Half of it is not it."""
    cluster = cluster_of(machine)
    Hang("docker").inject(cluster, [machine])
    assert not Hang("both").in_force(cluster, machine)
    Hang("both").heal(cluster, [machine])
    assert soon(lambda: not Hang("docker").in_force(cluster, machine))


def test_a_daemon_that_does_not_run_cannot_hang(machine: ShellNode) -> None:
    """The error says so, and names the unit."""
    (machine.state / "docker.service/MainPID").write_text("0\n")
    with pytest.raises(FaultFailed, match=r"docker\.service has no main process"):
        Hang().inject(cluster_of(machine), [machine])


@pytest.mark.parametrize("fault", [Hang(), Hang("both"), Kill("etcd"), Kill("etcd", restart=False)], ids=repr)
def test_a_fault_of_a_daemon_awaits_its_main_process(machine: ShellNode, fault: Hang | Kill) -> None:
    """By the name of the unit that has none yet."""
    cluster = cluster_of(machine)
    assert fault.awaits(cluster, machine) == ""
    for unit in ("etcd.service", "docker.service", "containerd.service"):
        (machine.state / unit / "MainPID").write_text("0\n")
    expected = "etcd.service" if isinstance(fault, Kill) else " and ".join(each.partition("=")[0] for each in hang.UNITS[fault.daemon])
    assert fault.awaits(cluster, machine) == expected


def test_a_node_without_docker_is_unavailable(machine: ShellNode, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason names the unit that is not there."""
    monkeypatch.setitem(hang.UNITS, "docker", ("nodocker.service=nodocker",))
    why = Hang().available(cluster_of(machine), machine)
    assert why is not None
    assert "n1 has no nodocker.service" in why.reason


def test_a_killed_process_that_may_restart_is_another_process(machine: ShellNode) -> None:
    """SIGKILL, the system's own restart, and a marker until heal; heal leaves the new process alone."""
    fault, cluster = Kill("etcd"), cluster_of(machine)
    assert fault.available(cluster, machine) is None
    first = machine.pid("etcd.service")
    assert soon(lambda: not fault.in_force(cluster, machine))
    fault.inject(cluster, [machine])
    assert soon(lambda: fault.in_force(cluster, machine))
    second = machine.pid("etcd.service")
    assert second != first
    assert soon(lambda: machine.state_of(first) in {"", "Z"})
    for _ in range(2):
        fault.heal(cluster, [machine])
        assert soon(lambda: not fault.in_force(cluster, machine))
        assert machine.left() == []
    assert machine.pid("etcd.service") == second


def test_a_killed_process_that_may_not_restart_stays_down_until_heal(machine: ShellNode) -> None:
    """A drop-in of our own holds it down, and goes with the heal, which starts it."""
    fault, cluster = Kill("etcd", restart=False), cluster_of(machine)
    fault.inject(cluster, [machine])
    assert machine.pid("etcd.service") == 0
    assert soon(lambda: fault.in_force(cluster, machine))
    assert "systemd/system/etcd.service.d/whalefall.conf" in machine.left()
    for _ in range(2):
        fault.heal(cluster, [machine])
        assert soon(lambda: not fault.in_force(cluster, machine))
        assert machine.left() == []
    assert machine.pid("etcd.service") > 0


def test_heal_without_a_kill_touches_nothing(machine: ShellNode) -> None:
    """Not even a daemon-reload; a unit that somebody stopped stays stopped."""
    (machine.state / "etcd.service/MainPID").write_text("0\n")
    (machine.state / "calls").write_text("")
    Kill("etcd", restart=False).heal(cluster_of(machine), [machine])
    assert machine.calls() == []


@pytest.mark.parametrize("half", ["marker", "dropin"])
def test_heal_after_half_a_kill(machine: ShellNode, half: str) -> None:
    """Marker without drop-in, or drop-in without marker: either is mended."""
    fault, cluster = Kill("etcd", restart=False), cluster_of(machine)
    fault.inject(cluster, [machine])
    run = machine.state / "run"
    if half == "marker":
        shutil.rmtree(run / "systemd/system/etcd.service.d")
    else:
        shutil.rmtree(run / "whalefall")
    fault.heal(cluster, [machine])
    assert machine.left() == []
    assert machine.pid("etcd.service") > 0


def test_somebody_elses_drop_in_is_left_alone(machine: ShellNode) -> None:
    """We remove only what we made."""
    folder = machine.state / "run/systemd/system/etcd.service.d"
    folder.mkdir()
    (folder / "theirs.conf").write_text("[Service]\n")
    fault, cluster = Kill("etcd", restart=False), cluster_of(machine)
    fault.inject(cluster, [machine])
    fault.heal(cluster, [machine])
    assert machine.left() == ["systemd/system/etcd.service.d", "systemd/system/etcd.service.d/theirs.conf"]


def test_a_process_that_does_not_come_back_is_said_so(machine: ShellNode) -> None:
    """Heal waits, gives up with what it last saw, and leaves its marker, so that it can be tried again."""
    fault, cluster = Kill("etcd", restart=False), cluster_of(machine)
    fault.inject(cluster, [machine])
    systemctl = machine.state / "bin/systemctl"
    systemctl.write_text(SYSTEMCTL.replace("start)\n", "start) exit 0 ;;\nnever)\n", 1))
    with pytest.raises(FaultFailed, match=r"(?s)starting etcd failed.*waited 30 s .*its unit is failed"):
        fault.heal(cluster, [machine])
    assert soon(lambda: fault.in_force(cluster, machine))
    systemctl.write_text(SYSTEMCTL)
    fault.heal(cluster, [machine])
    assert soon(lambda: not fault.in_force(cluster, machine))


@pytest.mark.parametrize("call", [lambda f, c, n: f.inject(c, [n]), lambda f, c, n: f.heal(c, [n]), lambda f, c, n: f.in_force(c, n)])
def test_an_unknown_process_names_those_there_are(machine: ShellNode, call: Callable[[Fault, Cluster, Node], object]) -> None:
    """The error says what the mode has instead."""
    with pytest.raises(HarnessError, match=r"the bare mode has no process 'etdc'; it has etcd"):
        call(Kill("etdc"), cluster_of(machine), machine)


def test_what_cannot_be_killed_here_is_unavailable(machine: ShellNode) -> None:
    """No such process in the mode, or no such unit on the node."""
    cluster = cluster_of(machine)
    unknown, absent = Kill("etdc").available(cluster, machine), Kill("gone").available(cluster, machine)
    assert unknown is not None
    assert "it has etcd" in unknown.reason
    assert absent is not None
    assert "n1 has no gone.service" in absent.reason


def test_a_unit_that_is_no_name_of_a_service_reaches_no_shell(machine: ShellNode) -> None:
    """A unit becomes part of a path on the node: only names of services do."""
    (machine.state / "calls").write_text("")
    with pytest.raises(HarnessError, match=r"expected the name of a \.service"):
        Kill("odd").inject(cluster_of(machine), [machine])
    assert machine.calls() == []


def test_a_process_that_does_not_run_cannot_be_killed(machine: ShellNode) -> None:
    """The error says so, and nothing is left."""
    (machine.state / "etcd.service/MainPID").write_text("0\n")
    with pytest.raises(FaultFailed, match=r"etcd\.service has no main process"):
        Kill("etcd", restart=False).inject(cluster_of(machine), [machine])
    assert machine.left() == []


@pytest.fixture
def woken(machine: ShellNode) -> ShellNode:
    """Lend a stand-in whose etcd is started by a socket and a timer that are active, and by a path unit that is not."""
    for unit, state in (("etcd.socket", "active"), ("etcd.timer", "active"), ("etcd.path", "inactive")):
        (machine.state / unit).mkdir()
        (machine.state / unit / "ActiveState").write_text(f"{state}\n")
    (machine.state / "etcd.service" / "TriggeredBy").write_text("etcd.socket etcd.timer etcd.path\n")
    return machine


def _active(node: ShellNode) -> dict[str, str]:
    return {unit: (node.state / unit / "ActiveState").read_text().strip() for unit in ("etcd.socket", "etcd.timer", "etcd.path")}


def test_what_would_start_a_killed_process_again_is_held_down_and_put_back(woken: ShellNode) -> None:
    """All that is active of it, by systemd's own word; what was not active stays so. Heal is another process's."""
    fault, cluster = Kill("etcd", restart=False), cluster_of(woken)
    before = _active(woken)
    fault.inject(cluster, [woken])
    assert set(_active(woken).values()) == {"inactive"}
    assert "AssertPathExists=!" in (woken.state / "run/systemd/system/etcd.service.d/whalefall.conf").read_text()
    assert soon(lambda: fault.in_force(cluster, woken))
    Kill("etcd", restart=False).heal(cluster_of(woken), [woken])
    assert _active(woken) == before
    assert woken.left() == []
    assert woken.pid("etcd.service") > 0


def test_what_would_start_a_killed_process_again_is_put_back_by_the_remedy_alone(woken: ShellNode) -> None:
    """A node that mends itself puts back the same."""
    fault, cluster = Kill("etcd", restart=False), cluster_of(woken)
    before = _active(woken)
    fault.inject(cluster, [woken])
    assert woken.run(*fault.remedy(cluster, woken)).ok
    assert _active(woken) == before
    assert woken.left() == []


@pytest.mark.parametrize("broken", ["kill", "stop"])
def test_what_would_start_a_killed_process_again_is_put_back_after_half_an_inject(woken: ShellNode, broken: str) -> None:
    """Whether the kill or what follows it failed."""
    fault, cluster = Kill("etcd", restart=False), cluster_of(woken)
    before = _active(woken)
    program = woken.state / "bin" / "systemctl"
    whole = program.read_text()
    program.write_text(whole.replace("case $1 in\n", f"case $1 in\n{broken}) exit 1 ;;\n", 1))
    with pytest.raises(HarnessError):
        fault.inject(cluster, [woken])
    program.write_text(whole)
    fault.heal(cluster, [woken])
    assert _active(woken) == before
    assert woken.left() == []
    assert woken.pid("etcd.service") > 0


def test_a_process_that_may_come_back_keeps_what_starts_it(woken: ShellNode) -> None:
    """With `restart` nothing is held down."""
    before = _active(woken)
    fault, cluster = Kill("etcd"), cluster_of(woken)
    fault.inject(cluster, [woken])
    assert _active(woken) == before
    fault.heal(cluster, [woken])
    assert _active(woken) == before


def test_a_killed_process_that_somebody_started_again_is_no_longer_in_force(machine: ShellNode) -> None:
    """The kernel is asked whether there is a process, whatever the unit's state is called."""
    fault, cluster = Kill("etcd", restart=False), cluster_of(machine)
    fault.inject(cluster, [machine])
    assert soon(lambda: fault.in_force(cluster, machine))
    assert machine.run("systemctl", "up", "etcd.service").ok
    (machine.state / "etcd.service" / "ActiveState").write_text("activating\n")
    assert not fault.in_force(cluster, machine)
    fault.heal(cluster, [machine])
