"""What the provider makes of libvirt's answers, against a libvirt in memory: power, pause, disks, kept states, removal, and what is refused."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from harness.core import pace
from harness.core.errors import CommandFailed, HarnessError, NoSuchRun, Unreachable, Unreadable, Unsupported
from harness.core.protocols import Disks, Disposable, Links, Node, Outliving, Pausing, Power, Preparing, Slower, Snapshots
from harness.core.values import Latency, NodeSpec, Result
from harness.host import box, state
from harness.host.processes import Process
from harness.nodes.ssh import Access
from harness.nodes.ssh.keys import make_host_key
from harness.providers import PROVIDERS, clusters, vagrant
from harness.providers.vagrant import VagrantProvider, VmNode, hypervisor, own_libvirt, vagrant_preflight, vagrant_records
from harness.providers.vagrant.vagrant_records import VmCluster
from harness.providers.vagrant.virsh import Virsh
from harness.testing import provider_contract
from harness.testing.fake_clock import FakeClock
from harness.testing.memory_node import MemoryNode

RUN = "cut-1"
SPECS = (NodeSpec("n1", "10.77.0.11"), NodeSpec("n2", "10.77.0.12"))
RECORD = VmCluster(RUN, "/cache/boxes/a", SPECS, "qemu:///system?socket=/run/a", private=True, pool="whalefall", driver="qemu")


@dataclass
class Libvirt:
    """A libvirt in memory. `refuses` names commands that fail; `asked` is all that was asked."""

    states: dict[str, str] = field(default_factory=dict)
    limits: dict[str, int] = field(default_factory=dict)
    snapshots: dict[str, set[str]] = field(default_factory=dict)
    networks: set[str] = field(default_factory=set)
    volumes: set[str] = field(default_factory=set)
    refuses: set[str] = field(default_factory=set)
    asked: list[tuple[str, ...]] = field(default_factory=list)

    def ask(self, virsh: Virsh, *argv: str) -> str:
        """Answer as `virsh` does."""
        self.asked.append(argv)
        command, *rest = argv
        if command in self.refuses:
            raise CommandFailed(virsh.uri, argv, 1, "error: refused")
        return str(getattr(self, f"_{command.replace('-', '_')}")(*rest))

    def _known(self, domain: str) -> str:
        if domain not in self.states:
            raise CommandFailed("libvirt", ("domstate", domain), 1, f"error: failed to get domain '{domain}'")
        return domain

    def _domstate(self, domain: str, *more: str) -> str:
        return self.states[self._known(domain)] + (" (booted)" if more else "")

    def _destroy(self, domain: str) -> str:
        if self.states[self._known(domain)] == "shut off":
            raise CommandFailed("libvirt", ("destroy", domain), 1, "error: domain is not running")
        self.states[domain] = "shut off"
        self.limits.pop(domain, None)
        return ""

    def _start(self, domain: str) -> str:
        self.states[self._known(domain)] = "running"
        return ""

    def _suspend(self, domain: str) -> str:
        self.states[self._known(domain)] = "paused"
        return ""

    _resume = _start

    def _blkdeviotune(self, domain: str, disk: str, *more: str) -> str:
        assert (disk, more[0]) == ("vdb", "--live")
        if self.states[self._known(domain)] == "shut off":
            raise CommandFailed("libvirt", ("blkdeviotune", domain), 1, "error: domain is not running")
        if len(more) > 1:
            self.limits[domain] = int(more[2])
            return ""
        return f"total_bytes_sec: 0\ntotal_iops_sec : {self.limits.get(domain, 0)}\n"

    def _snapshot_list(self, domain: str, *_: str) -> str:
        return "\n".join(sorted(self.snapshots.get(self._known(domain), set())))

    def _snapshot_create_as(self, domain: str, name: str) -> str:
        assert name not in self.snapshots.setdefault(domain, set())
        self.snapshots[domain].add(name)
        return ""

    def _snapshot_delete(self, domain: str, name: str) -> str:
        self.snapshots[domain].remove(name)
        return ""

    def _snapshot_revert(self, domain: str, name: str, *_: str) -> str:
        assert name in self.snapshots[domain]
        self.limits.pop(domain, None)
        return self._start(domain)

    def _list(self, *_: str) -> str:
        return "\n".join(self.states) + "\n\n"

    def _undefine(self, domain: str, *_: str) -> str:
        del self.states[self._known(domain)]
        return ""

    def _net_list(self, *_: str) -> str:
        return "\n".join(self.networks) + "\n"

    def _net_dumpxml(self, name: str) -> str:
        return f"<network><name>{name}</name><ip address='10.77.0.1' netmask='255.255.255.0'/></network>"

    def _net_destroy(self, name: str) -> str:
        self.networks.remove(name)
        return ""

    def _net_undefine(self, name: str) -> str:
        raise CommandFailed("libvirt", ("net-undefine", name), 1, "error: network not found")

    def _pool_refresh(self, pool: str) -> str:
        return ""

    def _pool_info(self, pool: str) -> str:
        return ""

    def _version(self) -> str:
        return "9.0.0"

    def _vol_list(self, pool: str) -> str:
        return "\n".join(f" {each}   /pool/{each}" for each in self.volumes)

    def _vol_delete(self, volume: str, *_: str) -> str:
        self.volumes.remove(volume)
        return ""


@pytest.fixture
def libvirt(monkeypatch: pytest.MonkeyPatch) -> Libvirt:
    """Put a libvirt with the two machines of the run, both running, in place of all others."""
    here = Libvirt({"wf-cut-1-n1": "running", "wf-cut-1-n2": "running"})

    def ask(virsh: Virsh, *argv: str, seconds: float = 60.0) -> str:
        return here.ask(virsh, *argv)

    monkeypatch.setattr(Virsh, "ask", ask)
    return here


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Keep all state in a folder of the test's own, and return the run's, which is noted and has its host keys."""
    monkeypatch.setenv("WHALEFALL_STATE", str(tmp_path))
    for name in (vagrant_preflight.URI_VARIABLE, vagrant_preflight.POOL_VARIABLE, "WHALEFALL_DRIVER", "WHALEFALL_VM_MEMORY"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "netns").mkdir()
    monkeypatch.setattr(own_libvirt, "FOLDER", tmp_path / "netns")
    monkeypatch.setattr(own_libvirt, "_insiders", lambda: iter(()))
    monkeypatch.setattr(vagrant, "marked", lambda run_id: [])
    monkeypatch.setattr(hypervisor, "driver", lambda: "qemu")
    vagrant_records.open_cluster(RECORD)
    for each in vagrant_records.machines(RUN, SPECS):
        make_host_key(each.folder)
    return state.run_folder(RUN)


class Guests:
    """What the machines answer over SSH: `run` and clocks, replaced."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ran: list[tuple[str, ...]] = []
        self.behind: dict[str, float] = {}
        self.silent: set[str] = set()

        def run(node: VmNode, *argv: str, timeout: float = 30.0, stdin: bytes = b"") -> Result:
            if node.name in self.silent:
                raise Unreachable(node.name, " ".join(argv), "no route")
            self.ran.append((node.name, *argv))
            if argv[:1] == ("python3",):
                self.behind[node.name] -= float(argv[-1])
            return Result(argv, 0, b"", b"")

        monkeypatch.setattr(VmNode, "run", run)
        monkeypatch.setattr(VmNode, "offset", lambda node: -self.behind.get(node.name, 0.0))


@pytest.fixture
def guests(monkeypatch: pytest.MonkeyPatch) -> Guests:
    """Replace the machines."""
    return Guests(monkeypatch)


@pytest.fixture
def provider(libvirt: Libvirt, guests: Guests) -> VagrantProvider:
    """Return the provider, on a clock that moves itself."""
    return VagrantProvider(FakeClock(moves_itself=True))


@pytest.fixture
def node(provider: VagrantProvider) -> Node:
    """Return the first machine."""
    return provider.adopt(RUN)[0]


def test_it_is_registered_and_can_do_what_it_says() -> None:
    """Every capability is found by its protocol."""
    assert PROVIDERS["vagrant"] is VagrantProvider
    for each in (Power, Pausing, Links, Disks, Snapshots, Outliving, Slower, Preparing, Disposable):
        assert isinstance(VagrantProvider(), each)
    assert VagrantProvider().patience() == 30.0


def test_machines_are_reached_over_the_management_network(provider: VagrantProvider, folder: Path) -> None:
    """With the run's own key, and nobody who cannot show the key that was made for that machine."""
    first, second = provider.adopt(RUN)
    assert isinstance(first, VmNode)
    assert isinstance(second, VmNode)
    assert (first.name, first.address, first.access.host, first.access.user) == ("n1", "10.77.0.11", "192.168.77.11", "root")
    assert first.access.key == folder / "keys" / "id_ed25519"
    assert first.access.host_keys != second.access.host_keys
    assert first.access.jump is None


@pytest.mark.parametrize(
    ("uri", "jump"),
    [
        ("qemu:///system", None),
        ("qemu:///system?socket=/run/a", None),
        ("qemu+tcp://big/system", None),
        ("qemu+ssh://big/system", "big"),
        ("qemu+ssh://root@big.example/system", "root@big.example"),
    ],
)
def test_a_libvirt_over_ssh_is_a_bastion_too(uri: str, jump: str | None) -> None:
    """Its machines' management network is behind it."""
    assert vagrant._jump(uri) == jump


@pytest.mark.parametrize("odd", [lambda path: path.write_bytes(b"\xff\xfe"), Path.mkdir, os.mkfifo], ids=["no text", "a folder", "a pipe"])
def test_a_machine_whose_host_key_cannot_be_read_is_said(folder: Path, odd: Callable[[Path], object]) -> None:
    """With what removes the rest."""
    path = folder / "nodes" / "n2" / "ssh_host_ed25519_key.pub"
    path.unlink()
    odd(path)
    with pytest.raises(Unreadable, match=r"the host key of n2 cannot be read: .*`whalefall sweep` removes that run"):
        VagrantProvider().adopt(RUN)


def test_a_machine_without_its_host_key_was_only_half_made(folder: Path) -> None:
    """Nobody is talked to without a key to know them by."""
    (folder / "nodes" / "n2" / "ssh_host_ed25519_key.pub").unlink()
    with pytest.raises(Unreadable, match=r"n2 has no host key: .*half made"):
        VagrantProvider().adopt(RUN)


def test_an_unknown_run_has_no_nodes_and_no_network() -> None:
    """It was destroyed, or never created; the error comes at the call or on entering."""
    with pytest.raises(NoSuchRun):
        VagrantProvider().adopt("never-1")
    with pytest.raises(NoSuchRun), VagrantProvider().network("never-1"):
        pass
    with pytest.raises(HarnessError, match="the network of cut-1 is not there"), VagrantProvider().network(RUN):
        pass


def test_a_provider_breaks_only_its_own_nodes(provider: VagrantProvider) -> None:
    """A node of another provider is refused before anything is asked."""
    stranger = MemoryNode("n1", "10.77.0.11")
    asks: list[Callable[[Node], object]] = [provider.off, provider.on, provider.is_on, provider.pause, provider.mend, provider.latency]
    for ask in asks:
        with pytest.raises(HarnessError, match="n1 is no virtual machine of ours"):
            ask(stranger)


# -- power and pause


def test_power_goes_and_comes_back(provider: VagrantProvider, node: Node, libvirt: Libvirt) -> None:
    """Each may be said twice; a machine that is on is not started again."""
    for _ in range(2):
        provider.off(node)
        assert not provider.is_on(node)
    for _ in range(2):
        provider.on(node)
        assert provider.is_on(node)
    assert [each[0] for each in libvirt.asked if each[0] != "domstate"] == ["destroy", "start"]


def test_a_frozen_machine_is_on_and_can_lose_its_power(provider: VagrantProvider, node: Node) -> None:
    """Power and pause are two things."""
    provider.pause(node)
    assert provider.is_paused(node)
    assert provider.is_on(node)
    provider.off(node)
    assert not provider.is_on(node)
    assert not provider.is_paused(node)


def test_a_machine_that_went_off_by_itself_is_off(provider: VagrantProvider, node: Node, libvirt: Libvirt) -> None:
    """Between the question and the cut; one that refuses to go off is an error."""
    libvirt.refuses.add("destroy")
    with pytest.raises(CommandFailed):
        provider.off(node)
    libvirt.refuses.clear()
    states = iter(["running", "shut off"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(libvirt, "_domstate", lambda domain: next(states))
        libvirt.states["wf-cut-1-n1"] = "shut off"
        provider.off(node)


def test_a_libvirt_that_does_not_answer_is_not_off(provider: VagrantProvider, node: Node, libvirt: Libvirt) -> None:
    """Could not ask is never no."""
    libvirt.refuses.add("domstate")
    asks: list[Callable[[Node], object]] = [provider.is_on, provider.is_paused, provider.latency]
    for ask in asks:
        with pytest.raises(CommandFailed):
            ask(node)


def test_a_resumed_machine_has_the_right_time(provider: VagrantProvider, node: Node, guests: Guests) -> None:
    """Its clock stood still; one that was not paused is left alone, and so is one that is about right."""
    provider.resume(node)
    assert guests.ran == []
    provider.pause(node)
    guests.behind["n1"] = 19.5
    provider.resume(node)
    assert abs(guests.behind["n1"]) < 0.001
    ran = len(guests.ran)
    provider.pause(node)
    guests.behind["n1"] = 0.05
    provider.resume(node)
    assert guests.ran[ran:] == [("n1", "true")]


def test_a_machine_that_never_answers_is_told_with_its_console(provider: VagrantProvider, node: Node, guests: Guests, folder: Path) -> None:
    """After its time, with what was last seen."""
    (folder / "console").mkdir()
    (folder / "console" / "n1.log").write_text("Kernel panic - not syncing\n")
    guests.silent.add("n1")
    provider.off(node)
    with pytest.raises(HarnessError, match=r"waited 160 s for n1 to answer; last seen: no route; n1's console ends: Kernel panic"):
        provider.on(node)


# -- disks


def test_a_disk_is_slowed_by_a_limit_and_mended(provider: VagrantProvider, node: Node, libvirt: Libvirt) -> None:
    """The last word counts; another process reads it back."""
    provider.slow(node, Latency(fsync=0.1))
    provider.slow(node, Latency(fsync=0.25))
    assert libvirt.limits == {"wf-cut-1-n1": 12}
    assert VagrantProvider().latency(node) == Latency(fsync=0.25)
    assert provider.latency(provider.adopt(RUN)[1]) == Latency()
    for _ in range(2):
        provider.mend(node)
        assert provider.latency(node) == Latency()


def test_a_disk_is_slow_until_it_is_mended_whatever_becomes_of_the_power(provider: VagrantProvider, node: Node, libvirt: Libvirt) -> None:
    """Its limit ends with its qemu, and is set anew; one that was mended meanwhile comes back without."""
    provider_contract.a_disk_is_slow_until_it_is_mended(provider, provider, node)
    provider.slow(node, Latency(fsync=1.0))
    provider.reboot(node)
    assert libvirt.limits == {"wf-cut-1-n1": 3}


def test_a_limit_without_its_note_is_still_a_slow_disk(provider: VagrantProvider, node: Node, folder: Path) -> None:
    """The kernel's word counts, not our memory: about how slow is said."""
    provider.slow(node, Latency(fsync=0.5))
    (folder / "nodes" / "n1" / "throttle.json").write_text("{")
    assert provider.latency(node) == Latency(fsync=0.5)


@pytest.mark.parametrize(("fsync", "iops"), [(0.1, 30), (0.25, 12), (1.0, 3), (3.0, 1), (60.0, 1), (0.0, 3000)])
def test_an_fsync_is_three_writes(fsync: float, iops: int) -> None:
    """Measured: 100, 250 and 1000 ms asked, 99.4, 250.0 and 1002.6 ms median. Below one a second there is no limit."""
    assert vagrant.iops(Latency(fsync=fsync)) == iops


def test_only_an_fsync_can_be_slowed(provider: VagrantProvider, node: Node) -> None:
    """A limit slows all operations alike."""
    assert provider.why_not(node, Latency(fsync=1.0)) is None
    for latency in (Latency(read=1.0), Latency(fsync=1.0, write=1.0)):
        why = provider.why_not(node, latency)
        assert why is not None
        assert "only fsync" in why.reason


# -- kept states


def test_a_state_is_kept_and_gone_back_to(provider: VagrantProvider, libvirt: Libvirt, guests: Guests) -> None:
    """Of all machines; kept anew under the same name; a machine that is off is on afterwards, with the right time."""
    for _ in range(2):
        provider.save(RUN, "clean")
    assert libvirt.snapshots == {"wf-cut-1-n1": {"clean"}, "wf-cut-1-n2": {"clean"}}
    first, second = provider.adopt(RUN)
    provider.slow(first, Latency(fsync=1.0))
    provider.off(second)
    guests.behind.update(n1=12.0, n2=22.0)
    provider.revert(RUN, "clean")
    assert provider.is_on(second)
    assert provider.latency(first) == Latency()
    assert all(abs(each) < 0.001 for each in guests.behind.values())


def test_a_state_that_was_not_kept_of_all_is_none(provider: VagrantProvider, libvirt: Libvirt) -> None:
    """The machines that have it stay as they are."""
    libvirt.snapshots["wf-cut-1-n1"] = {"clean"}
    with pytest.raises(NoSuchRun, match=r"no state 'clean' was kept of n2; `save` comes first"):
        provider.revert(RUN, "clean")
    assert not [each for each in libvirt.asked if each[0] == "snapshot-revert"]


def test_links_are_restored_on_nodes_that_are_on(provider: VagrantProvider, guests: Guests) -> None:
    """One that is off is left out, and none at all is fine."""
    first, second = provider.adopt(RUN)
    provider.off(second)
    provider.restore([first, second], "cut_1")
    assert {each[0] for each in guests.ran} == {"n1"}
    provider.restore([], "cut_1")


# -- removal


def test_destroy_asks_nobody_and_may_be_said_twice(provider: VagrantProvider, libvirt: Libvirt, folder: Path) -> None:
    """A libvirt of our own ends with the run: hung or not, it is not asked."""
    libvirt.refuses.update({"domstate", "list", "destroy"})
    for _ in range(2):
        provider.destroy(RUN)
    assert libvirt.asked == []
    assert not folder.exists()
    assert provider.runs() == {}
    assert provider.leftovers(RUN) == []


def test_what_does_not_die_is_told_and_its_records_stay(provider: VagrantProvider, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """So that `whalefall sweep` tries again."""
    monkeypatch.setattr(own_libvirt, "processes", lambda run_id: {Process(1 << 30, 1)})
    with pytest.raises(HarnessError, match=r"waited 60 s for all of cut-1 to be gone; last seen: process 1073741824"):
        provider.destroy(RUN)
    assert (folder / "cluster.json").exists()
    assert provider.runs() == {RUN: True}


@pytest.fixture
def elsewhere(libvirt: Libvirt) -> Libvirt:
    """Make the run one of a libvirt that somebody else runs, beside things of others."""
    vagrant_records.open_cluster(replace(RECORD, uri="qemu+ssh://big/system", private=False, pool="default"))
    libvirt.states.update({"wf-cut-10-n1": "running", "somebody": "running"})
    libvirt.networks.update({"wf-cut-1-net", "wf-cut-1-mgmt", "wf-cut-10-net", "default"})
    libvirt.volumes.update({"wf-cut-1-n1.img", "wf-cut-1-n1-seed.qcow2", "wf-cut-10-n1.img", "whalefall_vagrant_box_image_1.1_box.img"})
    return libvirt


def test_elsewhere_a_run_is_removed_by_name(provider: VagrantProvider, elsewhere: Libvirt) -> None:
    """Whatever state its machines are in; nothing of anybody else, and not the box, which the next run uses."""
    elsewhere.states.update({"wf-cut-1-n1": "shut off", "wf-cut-1-n2": "paused"})
    assert len(provider.leftovers(RUN)) == 6
    provider.destroy(RUN)
    assert set(elsewhere.states) == {"wf-cut-10-n1", "somebody"}
    assert elsewhere.networks == {"wf-cut-10-net", "default"}
    assert elsewhere.volumes == {"wf-cut-10-n1.img", "whalefall_vagrant_box_image_1.1_box.img"}
    provider.destroy(RUN)


def test_elsewhere_the_records_stay_until_all_is_gone(provider: VagrantProvider, elsewhere: Libvirt, folder: Path) -> None:
    """A libvirt that does not answer has not said that nothing is left."""
    elsewhere.refuses.add("list")
    with pytest.raises(CommandFailed):
        provider.destroy(RUN)
    assert (folder / "cluster.json").exists()
    with pytest.raises(CommandFailed):
        provider.leftovers(RUN)
    elsewhere.refuses.clear()
    provider.destroy(RUN)
    assert not folder.exists()


def test_elsewhere_the_records_stay_where_they_cannot_be_read(provider: VagrantProvider, elsewhere: Libvirt, folder: Path) -> None:
    """Machines may be there, of which nobody can tell. A run that had a libvirtd of its own has none there, and is removed."""
    elsewhere.states.update({"wf-cut-1-n1": "running"})
    (folder / "cluster.json").chmod(0o666)
    with pytest.raises(Unreadable, match=rf"machines of it may be in another libvirt: look there, then `rm -r {folder}`"):
        provider.destroy(RUN)
    assert (folder.exists(), clusters.registered()) == (True, {RUN})
    own_libvirt.home(folder).mkdir()
    provider.destroy(RUN)
    assert (folder.exists(), clusters.registered()) == (False, set())


def test_elsewhere_what_is_only_called_as_a_runs_stays(
    provider: VagrantProvider, elsewhere: Libvirt, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    """Beside a run that is recorded: of another whose id goes on from its own, or somebody's. Without a record all of it."""
    theirs = {"wf-cut-1-2-n1", "wf-cut-1-lab", "wf-cut-10-n1", "somebody"}
    elsewhere.states.update(dict.fromkeys(theirs | {"wf-cut-1-n1"}, "running"))
    elsewhere.networks.update({"wf-cut-1-2-net", "wf-cut-1-lab"})
    elsewhere.volumes.update({"wf-cut-1-2-n1.img", "wf-cut-1-lab.img", "wf-cut-1-n10.img"})
    provider.destroy(RUN)
    assert set(elsewhere.states) == theirs
    assert {"wf-cut-1-2-net", "wf-cut-1-lab"} <= elsewhere.networks
    assert {"wf-cut-1-2-n1.img", "wf-cut-1-lab.img", "wf-cut-1-n10.img"} <= elsewhere.volumes
    assert not folder.exists()
    monkeypatch.setenv(vagrant_preflight.URI_VARIABLE, "qemu+ssh://big/system")
    elsewhere.states["wf-cut-1-n1"] = "running"
    provider.destroy(RUN)
    assert set(elsewhere.states) == theirs | {"wf-cut-1-n1"}
    assert len(vagrant._taken(RUN, "qemu+ssh://big/system", "default")) == 8


def test_runs_are_wanted_while_their_harness_lives_or_when_they_are_kept(provider: VagrantProvider, tmp_path: Path) -> None:
    """What is only called as ours makes no run; another provider's runs are not ours."""
    clusters.open_cluster("nspawn-1", "nspawn", {})
    (own_libvirt.FOLDER / "wfv-named-1").touch()
    for run_id in ("dead-1", "kept-1"):
        vagrant_records.open_cluster(replace(RECORD, run_id=run_id))
        for path in (state.run_folder(run_id) / "cluster.json", state.REGISTRY / f"{run_id}.json"):
            body = json.loads(path.read_text())
            path.write_text(json.dumps({**body, "owner": {"pid": os.getpid(), "started": 1}}))
    provider.keep("kept-1")
    assert provider.runs() == {RUN: True, "dead-1": False, "kept-1": True}
    assert [each.split()[1] for each in provider.strangers()] == ["wfv-named-1:"]
    assert provider.is_kept("kept-1")
    assert not provider.is_kept(RUN)


# -- create, prepare and what is refused


def test_a_create_that_fails_leaves_nothing(provider: VagrantProvider, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Whatever it was, also an interrupt; the error is the first one."""
    monkeypatch.setattr(vagrant_preflight, "problems", lambda specs, memory: [])
    monkeypatch.setattr(box, "ensure", lambda progress, layer: box.Box(Path("/cache/boxes/a"), "0" * 16, 1, 0.0, current=True))
    for error in (HarnessError("no room"), KeyboardInterrupt()):

        def start(run_id: str, folder: Path, error: BaseException = error) -> str:
            raise error

        monkeypatch.setattr(own_libvirt, "start", start)
        with pytest.raises(type(error)):
            provider.create("new-1", SPECS)
        assert "new-1" not in provider.runs()
        assert not state.run_folder("new-1").exists()


def test_every_problem_is_told_at_once_and_nothing_is_made(
    provider: VagrantProvider, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With the package to install for each."""
    monkeypatch.setattr(own_libvirt, "which", lambda name: name not in {"vagrant", "libvirtd", "qemu-img"})
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("WHALEFALL_VM_MEMORY", "999999999")
    asks: list[Callable[[], object]] = [lambda: provider.create("new-1", SPECS), lambda: provider.prepare(lambda _: None)]
    for ask in asks:
        with pytest.raises(Unsupported) as caught:
            ask()
        for said in (
            "vagrant is missing: install the package vagrant, or run ./setup --vms",
            "qemu-img is missing: install the package qemu-utils",
            "libvirtd is missing: install the package libvirt-daemon-system",
            "not root",
            "of memory are free",
        ):
            assert said in str(caught.value)
    assert "new-1" not in provider.runs()


def test_a_vagrant_without_its_provider_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where neither its folders nor Vagrant itself know of it."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "vagrant").write_text("#!/bin/sh\necho 'No plugins installed.'\n")
    (tmp_path / "bin" / "vagrant").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(own_libvirt, "which", lambda name: True)
    monkeypatch.setattr(vagrant_preflight, "PLUGINS", (tmp_path / "gems",))
    assert any(
        "vagrant has no libvirt provider: install the package vagrant-libvirt" in each for each in vagrant_preflight.problems((), 256)
    )
    (tmp_path / "gems" / "vagrant-libvirt-0.11.2").mkdir(parents=True)
    assert not any("libvirt provider" in each for each in vagrant_preflight.problems((), 256))


def test_elsewhere_an_address_that_is_taken_is_told(libvirt: Libvirt, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also a pool and a libvirt that do not answer."""
    monkeypatch.setattr(own_libvirt, "which", lambda name: True)
    monkeypatch.setenv(vagrant_preflight.URI_VARIABLE, "qemu+ssh://big/system")
    assert vagrant_preflight.problems(SPECS, 640) == []
    libvirt.networks.add("theirs")
    assert "the network theirs of qemu+ssh://big/system has 10.77.0.1 already" in vagrant_preflight.problems(SPECS, 640)[0]
    libvirt.networks.clear()
    libvirt.refuses.add("pool-info")
    assert "set WHALEFALL_LIBVIRT_POOL" in vagrant_preflight.problems(SPECS, 640)[0]
    libvirt.refuses.add("version")
    assert "WHALEFALL_LIBVIRT_URI=qemu+ssh://big/system cannot be used" in vagrant_preflight.problems(SPECS, 640)[0]


@pytest.mark.parametrize(("driver", "slower"), [("qemu", True), ("kvm", False)])
def test_machines_are_slower_under_software_emulation_only(monkeypatch: pytest.MonkeyPatch, driver: str, slower: bool) -> None:
    """Whether it was found out or said."""
    monkeypatch.setattr(hypervisor, "driver", lambda: driver)
    assert (VagrantProvider().allowance() is not None) is slower
    monkeypatch.setenv("WHALEFALL_DRIVER", "kvm")
    assert VagrantProvider().allowance() is None
    monkeypatch.setenv("WHALEFALL_DRIVER", "xen")
    with pytest.raises(HarnessError, match="WHALEFALL_DRIVER is 'xen'; expected kvm or qemu"):
        VagrantProvider().allowance()


def test_what_emulated_machines_are_allowed_goes_by_the_boot_that_was_just_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The allowance and the stall both; where KVM runs, machines do not stand still."""
    monkeypatch.setattr(hypervisor, "driver", lambda: "qemu")
    provider = VagrantProvider()
    before = provider.allowance()
    assert before is not None
    assert (before.seconds, provider.stall()) == (vagrant.SLOWNESS.seconds, vagrant.STALL_SECONDS)
    with pace.measured(FakeClock(moves_itself=True)):
        pace.saw("making 3 machines", 72.0, 24.0)
        after = provider.allowance()
        assert after is not None
        assert (after.seconds, provider.stall()) == (3 * before.seconds, 3 * vagrant.STALL_SECONDS)
        assert "making 3 machines took 72.0 s in place of 24.0 s" in after.source
        monkeypatch.setattr(hypervisor, "driver", lambda: "kvm")
        assert (provider.allowance(), provider.stall()) == (None, 0.0)


def test_elsewhere_the_driver_is_what_is_offered_there(libvirt: Libvirt, monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine's own is asked only for a libvirt of this machine."""
    monkeypatch.setattr(Libvirt, "_domcapabilities", lambda libvirt, *argv: "<domainCapabilities/>", raising=False)
    monkeypatch.setenv(vagrant_preflight.URI_VARIABLE, "qemu+ssh://big/system")
    assert vagrant._driver() == "kvm"
    libvirt.refuses.add("domcapabilities")
    assert vagrant._driver() == "qemu"
    libvirt.refuses.clear()
    monkeypatch.setenv(vagrant_preflight.URI_VARIABLE, "qemu:///system?socket=/run/a")
    assert vagrant._driver() == "qemu"


def test_elsewhere_a_cluster_that_this_machine_does_not_reach_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """One error with every address; a machine that refuses the port was reached."""

    def connect(address: tuple[str, int], timeout: float) -> AbstractContextManager[None]:
        if address[0] == "10.77.0.11":
            raise ConnectionRefusedError
        raise TimeoutError("timed out")

    monkeypatch.setattr(socket, "create_connection", connect)
    nodes = [VmNode(RUN, spec.name, spec.address, Access("192.168.77.11"), nullcontext) for spec in SPECS]
    vagrant._must_reach(nodes[:1])
    with pytest.raises(HarnessError, match=r"does not reach them .*: n2 at 10\.77\.0\.12 \(timed out\); .*ip route add 10\.77\.0\.0/24"):
        vagrant._must_reach(nodes)
