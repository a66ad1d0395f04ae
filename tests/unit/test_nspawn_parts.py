"""Parts of the nspawn provider that need no machine: names of networks, figures of disks, and whose a run is."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

import pytest

from harness.core import pace, stops
from harness.core.errors import CommandFailed, HarnessError, NoSuchRun, Unreachable, Unsupported
from harness.core.values import Latency, NodeSpec, Result
from harness.host import marks, state
from harness.host.processes import Process
from harness.host.talk import heard
from harness.nodes import children, namespaced, peeking, programs
from harness.nodes.namespaced import ENVIRON, NspawnNode
from harness.nodes.ssh.access import Access
from harness.nodes.ssh.remote import SshNode
from harness.providers import clusters, netns, nspawn
from harness.providers.nspawn import NspawnProvider, bridge, capacity, cgroups, machine, nspawn_records
from harness.testing.fake_clock import FakeClock
from harness.testing.memory_node import MemoryNode

RUN = "cut-1"
SPECS = (NodeSpec("n1", "10.77.0.11", faultable_disk=True), NodeSpec("n2", "10.77.0.12"))


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Keep all state, namespaces and groups in a folder of the test's own."""
    monkeypatch.setenv("WHALEFALL_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(bridge, "FOLDER", tmp_path / "netns")
    monkeypatch.setattr(cgroups, "ROOT", tmp_path / "cgroup")
    monkeypatch.setattr(machine, "TRACES", tmp_path / "nspawn-traces")
    for name in ("unified", "systemd", "freezer", "blkio"):
        (tmp_path / "cgroup" / name).mkdir(parents=True)
        (tmp_path / "cgroup" / name / "cgroup.procs").touch()
    (tmp_path / "netns").mkdir()
    return tmp_path


# -- names of networks


def test_a_cluster_and_each_node_have_a_namespace_of_their_own() -> None:
    """Told apart from those of anybody else on this machine, and from those of every other run."""
    assert bridge.name_of(RUN) == "wf-cut-1"
    assert bridge.name_of(RUN, "n1") == "wf-cut-1.n1"
    assert bridge.path_of(RUN, "n1") == bridge.FOLDER / "wf-cut-1.n1"


def test_namespaces_are_those_of_the_run_only() -> None:
    """Neither those of one whose id goes on from this one's, nor anybody else's."""
    nspawn_records.open_cluster(RUN, [Path("/image")], [*SPECS, NodeSpec("n10", "10.77.0.20")])
    for name in ("wf-cut-1", "wf-cut-1.n1", "wf-cut-1.n10", "wf-cut-1.mine", "wf-cut-10", "wf-cut-10.n1", "wf-cut-1-2", "cut-1", "docker"):
        (bridge.FOLDER / name).touch()
    assert bridge.namespaces(RUN) == ["wf-cut-1", "wf-cut-1.n1", "wf-cut-1.n10"]
    assert bridge.namespaces("cut") == []
    assert bridge.runs() == {"cut-1"}
    said = bridge.strangers()
    assert [each.split()[1] for each in said] == ["wf-cut-1-2:", "wf-cut-1.mine:", "wf-cut-10:", "wf-cut-10.n1:"]
    assert "left alone" in said[0]
    assert f"`rm -r {bridge.FOLDER}/wf-cut-1-2` removes it" in said[0], "a file that holds no namespace"


def test_a_machine_that_never_had_a_namespace_has_none() -> None:
    """The folder is made with the first one."""
    bridge.FOLDER.rmdir()
    assert bridge.namespaces(RUN) == []
    assert bridge.runs() == set()
    bridge.destroy(RUN)


def test_a_node_without_a_namespace_has_nothing_to_unplug_or_to_forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster that is half gone can still be switched off."""
    monkeypatch.setattr(bridge, "_ip", lambda *argv, **more: pytest.fail(f"ran ip {argv}"))
    bridge.unplug(RUN, "n1")
    bridge.forget(RUN, "n1")


def test_a_dead_machines_links_are_forgotten_but_for_its_cable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next machine of the node is plugged in by that very link; all others were only in the dead one's memory."""
    shown = json.dumps([{"ifname": each} for each in ("lo", "eth0", "docker0", "veth12ab")])
    asked: list[tuple[str, ...]] = []

    def ip(_run_id: str, *argv: str, stdin: str = "") -> str:
        asked.append(argv)
        return shown if argv[-1] == "show" else stdin

    monkeypatch.setattr(bridge, "_ip", ip)
    (bridge.FOLDER / "wf-cut-1.n1").touch()
    bridge.forget(RUN, "n1")
    assert [each[-1] for each in asked if "delete" in each] == ["docker0", "veth12ab"]
    assert ("netns", "exec", "wf-cut-1.n1", "nft", "flush", "ruleset") in asked


def test_a_network_that_is_gone_cannot_be_entered() -> None:
    """The caller stays where it was."""
    here = Path("/proc/thread-self/ns/net").stat().st_ino
    with pytest.raises(HarnessError, match=r"the network of cut-1 is not there: .*; was the cluster destroyed\?"), bridge.inside(RUN):
        pytest.fail("went in")
    assert Path("/proc/thread-self/ns/net").stat().st_ino == here


def test_a_network_that_cannot_be_entered_leaves_no_descriptor_open() -> None:
    """The way back is closed again."""
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - the number of names is all that is asked
    for _ in range(3):
        with pytest.raises(HarnessError), bridge.inside(RUN):
            pytest.fail("went in")
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208 - same


def test_a_namespace_that_is_half_made_is_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a plain file that nothing is mounted on."""

    def refuse(path: Path) -> None:
        raise OSError(errno.EINVAL, "not mounted")

    monkeypatch.setattr(netns, "take_away", refuse)
    nspawn_records.open_cluster(RUN, [Path("/image")], SPECS)
    for name in (bridge.name_of(RUN), bridge.name_of(RUN, "n1"), "wf-other"):
        (bridge.FOLDER / name).touch()
    bridge.destroy(RUN)
    assert [each.name for each in bridge.FOLDER.iterdir()] == ["wf-other"]


def test_a_namespace_that_cannot_be_removed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """By name; one that somebody else removed meanwhile is fine."""

    def refuse(path: Path) -> None:
        raise (FileNotFoundError if path.name.endswith("n1") else OSError)(errno.EBUSY, "busy")

    monkeypatch.setattr(netns, "take_away", refuse)
    nspawn_records.open_cluster(RUN, [Path("/image")], SPECS)
    (bridge.FOLDER / bridge.name_of(RUN, "n1")).touch()
    bridge.destroy(RUN)
    (bridge.FOLDER / bridge.name_of(RUN, "n2")).mkdir()  # stands for what unlink cannot remove
    with pytest.raises(HarnessError, match=r"cannot remove the network namespace wf-cut-1\.n2: .*busy"):
        bridge.destroy(RUN)


# -- disks


@pytest.mark.parametrize(
    ("latency", "iops"),
    [
        (Latency(fsync=0.75), 4),  # an fsync is about three writes; measured: 772 ms at 4 a second
        (Latency(fsync=0.25), 12),
        (Latency(write=0.5), 6),
        (Latency(fsync=0.25, write=0.5), 6),  # the slower one
        (Latency(fsync=3.0), 1),
        (Latency(fsync=60.0), 1),  # the kernel knows no limit below
        (Latency(fsync=0.000_001), 3000),
        (Latency(), 3000),
    ],
)
def test_operations_a_second_are_reckoned_from_an_fsync(latency: Latency, iops: int) -> None:
    """Never zero, which would lift the limit."""
    assert nspawn._iops(latency) == iops


@pytest.mark.parametrize(
    ("number", "device"), [(0x703, "7:3"), (0x7FF, "7:255"), (0x100700, "7:256"), (0x100703, "7:259"), (0x1030A, "259:10")]
)
def test_a_device_is_told_by_both_of_its_numbers(number: int, device: str) -> None:
    """A minor above 255 has its upper bits elsewhere; the wrong number would slow somebody else's disk."""
    stat = {"stat": lambda argv, stdin: Result(argv, 0, f"{number}\n".encode(), b"")}
    assert number == os.makedev(*map(int, device.split(":")))
    assert nspawn._device_of(MemoryNode("n1", "10.77.0.11", programs={**stat})) == device


@pytest.mark.parametrize(
    ("fuse", "name", "latency", "reason"),
    [
        (True, "n1", Latency(read=1.0), None),
        (True, "n2", Latency(fsync=1.0), "n2 was not planned with a faultable disk"),
        (False, "n1", Latency(fsync=1.0), None),
        (False, "n2", Latency(fsync=1.0), None),
        (False, "n1", Latency(fsync=1.0, read=1.0), "without FUSE only fsync can be slowed (by a limit on operations)"),
        (False, "n1", Latency(write=1.0), "without FUSE only fsync can be slowed (by a limit on operations)"),
    ],
)
def test_a_disk_that_cannot_be_slowed_says_why(
    monkeypatch: pytest.MonkeyPatch, fuse: bool, name: str, latency: Latency, reason: str | None
) -> None:
    """By what this machine can do and by how the node was planned."""
    monkeypatch.setattr(machine, "fuse_works", lambda: fuse)
    nspawn_records.open_cluster(RUN, [Path("/image")], SPECS)
    node = next(each for each in NspawnProvider().adopt(RUN) if each.name == name)
    why = NspawnProvider().why_not(node, latency)
    assert (why and why.reason) == reason
    if reason:
        with pytest.raises(Unsupported, match=re.escape(reason)):  # and nothing else is done in its place
            NspawnProvider().slow(node, latency)


def test_a_machine_that_is_off_has_no_slow_disk_and_needs_no_mending() -> None:
    """All of it is made anew at power-on."""
    nspawn_records.open_cluster(RUN, [Path("/image")], SPECS)
    node, _ = NspawnProvider().adopt(RUN)
    assert NspawnProvider().latency(node) == Latency()
    NspawnProvider().mend(node)


# -- nodes and runs


def test_nodes_are_adopted_from_records_alone() -> None:
    """Names and addresses in order; one that was never started is off, and says so."""
    nspawn_records.open_cluster(RUN, [Path("/image")], SPECS)
    nodes = NspawnProvider().adopt(RUN)
    assert [(node.name, node.address) for node in nodes] == [("n1", "10.77.0.11"), ("n2", "10.77.0.12")]
    for node in nodes:
        assert isinstance(node, NspawnNode)
        assert not NspawnProvider().is_on(node)
        with pytest.raises(Unreachable, match=f"{node.name}: no answer to true: the machine is off"):
            node.run("true")
        with pytest.raises(Unreachable, match=f"{node.name}: no answer to tail: the machine is off"):
            node.stream("tail")
        with pytest.raises(Unreachable, match=f"{node.name}: no answer to docker: the machine is off"):
            node.docker(1.0)


def test_a_node_whose_pid_is_used_again_is_off() -> None:
    """The process of that pid is somebody else's, and nothing is run there."""
    me = Process.of(os.getpid())
    assert me is not None
    node = NspawnNode(RUN, "n1", "10.77.0.11", lambda: Process(me.pid, me.started - 1))
    with pytest.raises(Unreachable, match="the machine is off"):
        node.run("true")


def test_an_unknown_run_has_no_nodes() -> None:
    """It was destroyed, or never created."""
    with pytest.raises(NoSuchRun):
        NspawnProvider().adopt(RUN)


def test_a_provider_breaks_only_its_own_nodes() -> None:
    """A node of another provider is refused before anything is done."""
    stranger = MemoryNode("n1", "10.77.0.11")
    with pytest.raises(HarnessError, match="n1 is no nspawn node; each provider breaks only its own nodes"):
        NspawnProvider().off(stranger)
    with pytest.raises(HarnessError, match="n1 is no nspawn node"):
        NspawnProvider().is_on(stranger)


def test_a_run_is_wanted_while_its_harness_lives_or_when_it_is_kept() -> None:
    """What anybody left behind is found by record and by what proves it, and is not wanted without a record. A name proves nothing."""
    provider = NspawnProvider()
    nspawn_records.open_cluster("alive-1", [Path("/image")], SPECS)
    for run_id in ("dead-1", "kept-1"):
        nspawn_records.open_cluster(run_id, [Path("/image")], SPECS)
        for path in (state.run_folder(run_id) / "cluster.json", state.REGISTRY / f"{run_id}.json"):
            path.write_text(path.read_text().replace('"started": ', '"started": 9'))
    provider.keep("kept-1")
    (bridge.FOLDER / "wf-named-1.n2").touch()
    cgroups.make("grouped-1", "n1")
    (state.runs() / "torn-1").mkdir()
    (state.runs() / "torn-1" / "cluster.json").write_text("{")
    assert provider.runs() == {"alive-1": True, "dead-1": False, "grouped-1": False, "kept-1": True}
    assert [each.split()[1] for each in provider.strangers()] == ["wf-named-1.n2:"]
    assert [each.split(":")[0] for each in clusters.strangers()] == [str(state.runs() / "torn-1")]
    assert provider.is_kept("kept-1")
    assert not provider.is_kept("dead-1")


def test_leftovers_are_told_in_words() -> None:
    """A run that has nothing is clean, also beside one that has."""
    nspawn_records.open_cluster(RUN, [Path("/image")], SPECS)
    (bridge.FOLDER / "wf-cut-1.n1").touch()
    cgroups.make(RUN, "n1")
    said = NspawnProvider().leftovers(RUN)
    assert said[0] == "network namespace wf-cut-1.n1"
    assert [each.rpartition("/")[0].rpartition("/")[2] for each in said[1:]] == ["whalefall"] * 4
    assert all(each.startswith("control group ") for each in said[1:])
    assert NspawnProvider().leftovers("cut-10") == []


def test_a_run_that_the_kernel_still_has_a_disk_of_keeps_its_notes(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are all by which the next sweep finds the disk; they go once it has."""
    nspawn_records.open_cluster(RUN, [Path("/image")], SPECS)
    note = state.run_folder(RUN) / "nodes" / "n1" / "disk.fuse"
    note.parent.mkdir(parents=True)
    note.touch()
    with monkeypatch.context() as patch:
        patch.setattr(nspawn, "_disks", lambda _: ["FUSE connection 40 of n1's disk"])
        patch.setattr(nspawn, "wait_until", _once)
        with pytest.raises(HarnessError, match="FUSE connection 40 of n1's disk"):
            NspawnProvider().destroy(RUN)
    assert note.exists()
    assert RUN in NspawnProvider().runs()
    NspawnProvider().destroy(RUN)
    assert not note.exists()


def _once(condition: Callable[[], object], *, saw: Callable[[], str], **_: object) -> None:
    """Look once instead of again and again."""
    if not condition():
        raise HarnessError(saw())


def test_a_run_of_another_state_folder_is_known_by_the_machines_register(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Two people on one machine: whose folder it is not must still see that it lives, and where its folder is."""
    nspawn_records.open_cluster("alive-1", [Path("/image")], SPECS)
    where = state.run_folder("alive-1")
    monkeypatch.setenv("WHALEFALL_STATE", str(tmp_path / "elsewhere"))
    assert NspawnProvider().runs()["alive-1"] is True
    assert clusters.folder("alive-1") == where


def test_what_another_provider_made_is_not_ours() -> None:
    """By the machine's register, or else by the run's own record: `whalefall sweep` asks every provider, and each removes only its own."""
    for run_id in ("registered-1", "recorded-1"):
        clusters.open_cluster(run_id, "vagrant", {"image": "/box", "nodes": []})
    (state.REGISTRY / "recorded-1.json").unlink()
    assert [clusters.provider_of(each) for each in ("registered-1", "recorded-1", "nowhere-1")] == ["vagrant", "vagrant", None]
    assert NspawnProvider().runs() == {}


def test_no_two_machines_have_one_name() -> None:
    """Ids that begin alike for longer than a name can be are told apart; so are nodes. A name is a host name of at most 64 letters."""
    start = "a-scenario-with-a-name-that-goes-on-and-on-for-long"
    runs = [*(f"{start}-{number:04}" for number in range(200)), "a", "a-n1", "z" * 63]
    names = [machine.machine_name(run_id, node) for run_id in runs for node in ("n1", "n2", "n50")]
    assert len({*names}) == len(names)
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9-]{0,62}[a-z0-9]", each) for each in names)


def test_a_folder_of_nspawns_that_is_in_use_stays(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Machines of others keep theirs there; an empty one is removed."""
    monkeypatch.setattr(machine, "TRACES", tmp_path / "nspawn")
    (tmp_path / "nspawn" / "propagate" / "theirs").mkdir(parents=True)
    (tmp_path / "nspawn" / "locks").mkdir()
    machine.remove_traces()
    assert (tmp_path / "nspawn" / "propagate" / "theirs").is_dir()
    (tmp_path / "nspawn" / "propagate" / "theirs").rmdir()
    machine.remove_traces()
    assert not (tmp_path / "nspawn").exists()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (capacity.Suffered(2, 0), "the kernel killed 2 processes beside our nodes, or in them, for want of memory"),
        (capacity.Suffered(0, 1), "the kernel refused 1 process or threads to our nodes, or beside them"),
        (capacity.Suffered(1, 3), "the kernel killed 1 process beside our nodes, .*; the kernel refused 3 processes or threads"),
    ],
)
def test_want_of_memory_and_of_processes_and_a_full_disk_ail_the_nodes(
    monkeypatch: pytest.MonkeyPatch, more: capacity.Suffered, said: str
) -> None:
    """Counted from when there were nodes; where the kernel does not tell, only the disk is asked."""
    provider = NspawnProvider()
    before = capacity.Suffered(7, 5)
    now = [capacity.Suffered(9, 9)]
    monkeypatch.setattr(nspawn, "ailing", lambda folder: f"{folder.name} is full")
    monkeypatch.setattr(capacity, "suffered", lambda _: now[0])
    assert provider.ailment("ail-1") == "ail-1 is full", "there were no nodes yet"
    provider._before = before
    now[0] = before
    assert provider.ailment("ail-1") == "ail-1 is full"
    now[0] = capacity.Suffered(7 + (more.killed or 0), 5 + (more.refused or 0))
    assert re.match(said, provider.ailment("ail-1"))
    now[0] = capacity.Suffered(None, None)
    assert provider.ailment("ail-1") == "ail-1 is full"


class Slowly(FakeClock):
    """A clock on which every loop takes three times as long."""

    def now(self) -> float:
        """Move on."""
        self.advance(3.0 * pace.LOOP_SECONDS)
        return super().now()


@pytest.mark.parametrize("kind", ["nspawn", "SSH"])
def test_a_file_has_more_time_on_a_slow_machine_and_with_every_mib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Whatever kind of node it goes to, or comes from."""
    given: list[float] = []

    def run(node: NspawnNode | SshNode, *argv: str, timeout: float, stdin: bytes = b"") -> Result:
        given.append(timeout)
        return Result(argv, 0, stdin, b"")

    node = NspawnNode(RUN, "n1", "10.77.0.11", lambda: None) if kind == "nspawn" else SshNode("n1", "10.77.0.11", Access("10.77.0.11"))
    monkeypatch.setattr(type(node), "run", run)
    (tmp_path / "source").write_bytes(b"x" * (3 << 20))
    with pace.measured(Slowly(moves_itself=True)):
        node.put(tmp_path / "source", PurePosixPath("/there"))
        node.get(PurePosixPath("/there"), tmp_path / "back")
    assert given == pytest.approx([3 * programs.TRANSFER_SECONDS + 3, 3 * programs.TRANSFER_SECONDS], rel=0.1)


@pytest.mark.parametrize("arrived", [b"x" * 999, b"x" * 1001, b""], ids=["less", "more", "nothing"])
def test_a_file_that_did_not_arrive_whole_takes_nobodys_place(tmp_path: Path, arrived: bytes) -> None:
    """The end of what was lost in the middle looks like the end of the file."""
    there = tmp_path / "there"
    there.write_text("as it was")
    (tmp_path / "source").write_bytes(b"x" * 1000)

    class Lossy(MemoryNode):
        def run(self, *argv: str, timeout: float = 30.0, stdin: bytes = b"") -> Result:
            done = subprocess.run(argv, input=arrived if stdin else b"", capture_output=True, check=False, timeout=timeout)
            return Result(argv, done.returncode, done.stdout, done.stderr)

    with pytest.raises(CommandFailed, match="put"):
        programs.put(Lossy("n1", "10.77.0.11"), tmp_path / "source", PurePosixPath(there))
    assert there.read_text() == "as it was"


@pytest.mark.parametrize("listens", [True, False])
@pytest.mark.parametrize("size", [0, 1000, 1_000_000])
def test_input_of_any_size_reaches_a_command_however_late_it_reads(size: int, *, listens: bool) -> None:
    """Also while a wish to stop is listened for, ten times a second: a pipe holds 64 KiB, and the rest must not be lost meanwhile."""
    late = ["/bin/sh", "-c", "sleep 0.4; wc -c"]  # four looks later
    with stops.listening(lambda: None) if listens else contextlib.nullcontext():
        with children.fed(b"x" * size) as fed:
            child = subprocess.Popen(late, stdin=fed, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        out, _ = heard(child, 30.0)
    assert int(out) == size


def test_no_command_on_a_node_has_the_runs_proof() -> None:
    """It would print it into the results, and what it starts would count as ours. What enters the node keeps it: by it the command is found."""
    argv = NspawnNode("run-1", "n1", "10.77.0.11", lambda: None)._argv(Process(os.getpid(), 1), 1, ("env",))
    words = [os.fsdecode(each) for each in argv]
    assert words[0] == "nsenter"
    entered = words[words.index("/bin/sh") :]
    done = subprocess.run(
        entered, env={**ENVIRON, marks.VARIABLE: "run-1.proof", marks.BEGUN_BY: "1.2"}, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("in\n")
    assert "PATH=/usr" in done.stdout
    assert "proof" not in done.stdout
    assert "WHALEFALL" not in done.stdout


def test_the_docker_of_a_node_is_its_own_whatever_links_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind a process's root an absolute link would lead to the host's file of that name: to its Docker daemon, which would be told what to do."""
    run, elsewhere = tmp_path / "n" / "run", tmp_path / "else"
    run.mkdir(parents=True)
    elsewhere.mkdir()
    monkeypatch.setattr(namespaced, "_DOCKER", PurePosixPath(run / "docker.sock"))
    node = NspawnNode("run-1", "n1", "10.77.0.11", lambda: Process.of(os.getpid()))
    with _listening(elsewhere / "docker.sock") as hosts:
        (run / "docker.sock").symlink_to(elsewhere / "docker.sock")
        with pytest.raises(Unreachable, match=r"no connection to its socket: .* no socket, or a link"):
            node.docker(1.0)
        shutil.rmtree(run)
        run.symlink_to(elsewhere)
        with pytest.raises(Unreachable, match="n1: no answer to docker: no connection to its socket"):
            node.docker(1.0)
        with pytest.raises(BlockingIOError):
            hosts.accept()
    run.unlink()
    run.mkdir()
    with _listening(run / "docker.sock") as own:
        before = {*Path("/proc/self/fd").iterdir()}
        client = node.docker(1.0)
        assert len({*Path("/proc/self/fd").iterdir()} - before) == 1
        own.accept()[0].close()
        client.close()
        client.close()
        assert {*Path("/proc/self/fd").iterdir()} <= before


@contextlib.contextmanager
def _listening(path: Path) -> Iterator[socket.socket]:
    """Listen at a path."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen()
        listener.settimeout(0.0)
        yield listener


def test_no_link_of_a_machine_says_that_its_systemd_takes_commands(tmp_path: Path) -> None:
    """It may lead to this host's."""
    (tmp_path / "link").symlink_to("/run/systemd/private")
    (tmp_path / "file").touch()
    assert [peeking.has_socket(os.getpid(), PurePosixPath(tmp_path / name)) for name in ("link", "file", "none")] == [False] * 3


def test_of_a_console_without_an_end_the_end_is_told(tmp_path: Path) -> None:
    """What runs on a machine may write there as much as it likes, and in one line."""
    (tmp_path / "console.log").write_bytes(b"first\n" + b"x" * 3_000_000 + b"\nlast words\n")
    assert machine._tail(tmp_path).startswith("its console ends: xxx")
    assert machine._tail(tmp_path).endswith("xxx | last words")
    assert len(machine._tail(tmp_path)) < 5000
    assert machine._tail(tmp_path / "none") == "its console ends: (nothing)"
