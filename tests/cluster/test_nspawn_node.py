"""The way into a real node: it answers when it can, says that it cannot when it cannot, and never takes silence for an answer."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path, PurePosixPath

import pytest

from harness.core.clock import SystemClock, wait_until
from harness.core.errors import CommandFailed, HarnessError, Unreachable
from harness.core.protocols import Cluster, Disks, Pausing, Power
from harness.core.values import Latency, Result
from harness.host import marks
from harness.host.marks import marked
from harness.nodes import namespaced
from harness.nodes.namespaced import NspawnNode
from harness.providers.nspawn import cgroups, machine

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("bare-nspawn-node")]

SECONDS = 10.0
"""How long a signal may take to arrive, and what it ends to be gone."""


def node_of(machines: Cluster, name: str) -> NspawnNode:
    """Return a node as what it is."""
    node = machines.node(name)
    assert isinstance(node, NspawnNode)
    return node


def running(node: NspawnNode, pattern: str) -> list[int]:
    """Return the pids of what runs on the node with a command line like this."""
    return [int(each) for each in node.run("pgrep", "-f", pattern).text.split()]


def wait_for(machines: Cluster, condition: Callable[[], object], what: str) -> None:
    """Wait for something that gives no event."""
    wait_until(lambda: bool(condition()), awaited=what, seconds=SECONDS, clock=machines.clock, every=0.02)


@contextmanager
def switched_off(machines: Cluster, name: str) -> Iterator[NspawnNode]:
    """Lend a node without power, and leave it as the next test needs it: on, with its docker ready."""
    power, node = machines.can(Power), node_of(machines, name)
    power.off(node)
    try:
        yield node
    finally:
        power.on(node)
        assert node.run("systemctl", "start", "docker.service", timeout=60.0).ok


@contextmanager
def frozen(machines: Cluster, name: str) -> Iterator[NspawnNode]:
    """Lend a node that is frozen, and thaw it."""
    pausing, node = machines.can(Pausing), node_of(machines, name)
    pausing.pause(node)
    try:
        yield node
    finally:
        pausing.resume(node)


# -- commands


@pytest.mark.parametrize(
    ("script", "status"),
    [
        ("exit 0", 0),
        ("exit 1", 1),
        ("exit 255", 255),
        ("whalefall-none", 127),
        ("/etc/hosts", 126),
        ("kill -9 $$", 137),
        ("kill -15 $$", 143),
    ],
)
def test_every_exit_status_is_a_result(machines: Cluster, script: str, status: int) -> None:
    """Also that of a command that was killed on a node that lives: the node has answered."""
    result = node_of(machines, "n1").run("/bin/sh", "-c", script)
    assert (result.exit, result.argv) == (status, ("/bin/sh", "-c", script))


def test_a_command_is_on_its_node(machines: Cluster) -> None:
    """In its file system, its network and its process table, as root."""
    for node in machines.nodes:
        said = node.run("/bin/sh", "-c", "cat /proc/sys/kernel/hostname; id -u; ip -4 -o addr show eth0; cat /proc/1/comm").text
        assert said.split()[:2] == [node.name, "0"]
        assert f"inet {node.address}/24" in said
        assert said.split()[-1] == "systemd"


def test_a_timeout_kills_what_was_started_on_the_node(machines: Cluster) -> None:
    """The command and what it has in the background; nothing of it goes on behind our back."""
    node = node_of(machines, "n1")
    with pytest.raises(Unreachable, match=r"n1: no answer to .* after 0\.3 s; it was killed"):
        node.run("/bin/sh", "-c", "sleep 97.5 & sleep 97.5", timeout=0.3)
    assert running(node, "^sleep 97[.]5") == []


def test_an_interrupt_kills_what_was_started_on_the_node(machines: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever presses Ctrl-C leaves nothing running."""
    node = node_of(machines, "n1")

    def interrupted(child: subprocess.Popen[bytes], seconds: float | None) -> tuple[bytes, bytes]:
        assert child.poll() is None
        assert seconds
        raise KeyboardInterrupt

    monkeypatch.setattr(namespaced, "heard", interrupted)
    with pytest.raises(KeyboardInterrupt):
        node.run("sleep", "97.625")
    monkeypatch.undo()
    assert running(node, "^sleep 97[.]625") == []


def test_a_timeout_does_not_wait_for_a_session_of_its_own(machines: Cluster) -> None:
    """What left the command's session holds its pipes open; we are back while it still runs."""
    node = node_of(machines, "n1")
    try:
        with pytest.raises(Unreachable):
            node.run("/bin/sh", "-c", "setsid sleep 97.75 & sleep 97.75", timeout=0.3)
        assert len(running(node, "^sleep 97[.]75")) == 1
    finally:
        for pid in running(node, "^sleep 97[.]75"):
            node.run("kill", "-KILL", str(pid))


def test_a_timeout_does_not_wait_for_a_stalled_disk(machines: Cluster) -> None:
    """Nobody can kill what waits for a disk; we are back while it still waits, and it ends once the disk is mended."""
    node, disks = node_of(machines, "n1"), machines.can(Disks)
    disks.slow(node, Latency(fsync=600.0))
    try:
        with pytest.raises(Unreachable):
            node.run("dd", "if=/dev/zero", "of=/data/stalled", "bs=512", "count=1", "conv=fsync", timeout=0.5)
        assert running(node, "^dd if=/dev/zero of=/data/stalled")
    finally:
        disks.mend(node)
    wait_for(machines, lambda: not running(node, "^dd if=/dev/zero of=/data/stalled"), "dd to end")
    node.run("rm", "-f", "/data/stalled")


def test_what_runs_on_a_node_is_found_by_its_run(machines: Cluster) -> None:
    """A harness that died has left it: the mark says whose it is, on what entered the node for it. The command itself has no proof to give away."""
    assert marks.VARIABLE not in node_of(machines, "n1").run("env").text
    node = node_of(machines, "n1")
    stream = node.stream("/bin/sh", "-c", "echo up; exec sleep 97.875")
    try:
        assert next(stream.lines()) == b"up"

        def seen() -> bool:
            found = [Path(f"/proc/{each.pid}/cmdline").read_bytes() for each in marks.marked(machines.run_id)]
            return any(each.startswith(b"nsenter\0") and b"sleep 97.875" in each for each in found)

        assert wait_until(seen, awaited="the command to be found by its mark", seconds=10.0, clock=SystemClock())
    finally:
        stream.close()


# -- power


def test_a_power_cut_waits_for_no_stalled_disk_which_is_stalled_again_when_the_machine_is_on(machines: Cluster) -> None:
    """What it had not written is lost with it. What slows the disk goes on until it is mended, on a machine that is off as well."""
    node, disks, power = node_of(machines, "n2"), machines.can(Disks), machines.can(Power)
    stalled = Latency(fsync=600.0)
    assert node.run("sh", "-c", "head -c 1000000 /dev/zero >/data/dirty").ok
    disks.slow(node, stalled)
    try:
        power.off(node)
        assert disks.latency(node) == stalled
        power.on(node)
        assert disks.latency(node) == stalled
        power.off(node)
        disks.mend(node)
        assert disks.latency(node) == Latency()
        power.on(node)
        assert disks.latency(node) == Latency()
    finally:
        disks.mend(node)
        power.on(node)
        assert node.run("systemctl", "start", "docker.service", timeout=60.0).ok


def asked_of(node: NspawnNode, count: int, pool: ThreadPoolExecutor) -> list[Future[Result]]:
    """Start commands on a node that end only with it, each of another kind."""
    scripts = ["exec sleep 98.25", "sleep 98.25", "sleep 98.25 || echo no", "trap '' TERM; sleep 98.25; exit 0", "sleep 98.25 | cat"]
    return [pool.submit(node.run, "/bin/sh", "-c", scripts[number % len(scripts)], timeout=60.0) for number in range(count)]


def test_a_command_on_a_node_that_goes_off_has_no_result(machines: Cluster) -> None:
    """Its end is the node's: whatever it was about to say, it is no answer."""
    node, count = node_of(machines, "n3"), 10
    with ThreadPoolExecutor(count) as pool:
        asked = asked_of(node, count, pool)
        wait_for(machines, lambda: len(running(node, "^sleep 98[.]25")) == count, "all commands to run")
        with switched_off(machines, "n3"):
            for each in asked:
                error = each.exception(SECONDS)
                assert isinstance(error, Unreachable), each
                assert error.node == "n3"


def test_a_node_that_is_off_refuses_everything(machines: Cluster, tmp_path: Path) -> None:
    """No command, no stream, no client, no file in or out: each says that there is no answer, and no file is made here."""
    source = tmp_path / "source"
    source.touch()
    with switched_off(machines, "n3") as node:
        asks: list[Callable[[], object]] = [
            lambda: node.run("true"),
            lambda: node.stream("true"),
            lambda: node.docker(1.0),
            lambda: node.put(source, PurePosixPath("/data/a")),
            lambda: node.get(PurePosixPath("/etc/hostname"), tmp_path / "back"),
        ]
        for ask in asks:
            with pytest.raises(Unreachable, match=r"n3: no answer to .*: the machine is off"):
                ask()
    assert not (tmp_path / "back").exists()


def test_a_power_cut_keeps_the_disk_and_begins_anew(machines: Cluster) -> None:
    """Synced files on /data are there, /run is empty, and it is another boot of the same machine."""
    node = node_of(machines, "n3")
    boot, machine = (node.run("cat", path).text for path in ("/proc/sys/kernel/random/boot_id", "/etc/machine-id"))
    assert node.run("/bin/sh", "-c", "echo kept >/data/kept && echo lost >/run/lost && sync /data/kept").ok
    with switched_off(machines, "n3"):
        pass
    assert node.run("cat", "/data/kept").text == "kept\n"
    assert node.run("test", "-e", "/run/lost").exit == 1
    assert node.run("cat", "/etc/machine-id").text == machine
    assert node.run("cat", "/proc/sys/kernel/random/boot_id").text not in {boot, ""}
    node.run("rm", "/data/kept")


_LISTEN = """
import socket
s = socket.create_server(("", 7778))
print("ready", flush=True)
held = []
while True:
    held.append(s.accept())
"""
_NEW = """
import socket, sys
try: socket.create_connection((sys.argv[1], 7778), 0.4).close()
except TimeoutError: print("silence")
except OSError as e: print(e)
else: print("connected")
"""
_OLD = """
import os, socket, sys
s = socket.create_connection((sys.argv[1], 7778), 2.0)
print("connected", flush=True)
while not os.path.exists("/run/look"): pass
s.settimeout(0.1)
try: print("closed" if s.recv(1) == b"" else "heard", flush=True)
except TimeoutError: print("silence", flush=True)
except OSError as e: print(e, flush=True)
"""


@pytest.mark.parametrize("how", [switched_off, frozen])
def test_a_dead_node_is_silent_to_the_others(machines: Cluster, how: Callable[[Cluster, str], AbstractContextManager[NspawnNode]]) -> None:
    """New connections to it are not refused but time out, and open ones are not closed: a machine without power says no goodbye."""
    other, node = node_of(machines, "n1"), node_of(machines, "n3")
    listening = node.stream("python3", "-c", _LISTEN)
    watching = None
    try:
        assert next(listening.lines()) == b"ready"
        assert other.run("python3", "-c", _NEW, node.address).text == "connected\n"
        watching = other.stream("python3", "-c", _OLD, node.address)
        lines = watching.lines()
        assert next(lines) == b"connected"
        with how(machines, "n3"):
            assert other.run("touch", "/run/look").ok
            assert next(lines) == b"silence"
            assert other.run("python3", "-c", _NEW, node.address).text == "silence\n"
    finally:
        other.run("rm", "-f", "/run/look")
        for stream in (listening, watching):
            if stream is not None:
                stream.close()


def test_a_start_that_is_given_up_leaves_nobody_on_its_disk(machines: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second machine on the same disk would destroy it, and the first would be known to nobody if it came up after all."""
    power = machines.can(Power)
    with switched_off(machines, "n2") as node:
        with monkeypatch.context() as hasty:
            for seconds in (0.0, 0.05, 0.2):
                hasty.setattr(machine, "BOOT_SECONDS", seconds)
                with pytest.raises(HarnessError, match="no machine after"):
                    power.on(node)
                assert not cgroups.processes(machines.run_id, "n2") | cgroups.processes(machines.run_id, "n2.host")
        assert not power.is_on(node)


_SWITCH_ON = """
import sys
from harness.providers.nspawn import NspawnProvider
provider = NspawnProvider()
provider.on(next(node for node in provider.adopt(sys.argv[1]) if node.name == sys.argv[2]))
"""
BEGUN: dict[str, Callable[[str], object]] = {
    "before it is in a group": lambda run_id: any("boot.sh" in _words(each.pid) for each in marked(run_id) if _is_of(each.pid, "n2")),
    "when what serves it has started": lambda run_id: cgroups.processes(run_id, "n2.host"),
    "when the machine itself has started": lambda run_id: cgroups.processes(run_id, "n2"),
}
"""How far somebody had come who was to power a machine on, and was killed."""


def _words(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _is_of(pid: int, name: str) -> bool:
    try:
        return f"WF_NAME={name}\0".encode() in Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("moment", BEGUN)
def test_a_start_whose_starter_was_killed_is_begun_anew(machines: Cluster, moment: str, number: signal.Signals) -> None:
    """As a heal is, by hand, by the reaper or by the harness: what it had begun is in no record, and holds the machine's disk."""
    power = machines.can(Power)
    with switched_off(machines, "n2") as node:
        argv = [sys.executable, "-c", _SWITCH_ON, machines.run_id, "n2"]
        with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as child:
            wait_until(lambda: bool(BEGUN[moment](machines.run_id)), awaited=moment, seconds=60.0, clock=machines.clock, every=0.001)
            child.send_signal(number)
        power.on(node)
        assert power.is_on(node)
        name = machine.machine_name(machines.run_id, "n2")
        started = [each for each in marked(machines.run_id) if f"--machine={name}" in _words(each.pid)]
        assert len(started) == 1


def test_two_that_power_a_machine_on_at_once_start_one(machines: Cluster) -> None:
    """A heal by hand beside the reaper: the second finds that it is done."""
    power = machines.can(Power)
    with switched_off(machines, "n2") as node:
        argv = [sys.executable, "-c", _SWITCH_ON, machines.run_id, "n2"]
        children = [subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) for _ in range(2)]
        told = [child.communicate()[1] for child in children]
        assert [child.returncode for child in children] == [0, 0], told
        assert power.is_on(node)


def test_a_frozen_node_still_answers(machines: Cluster) -> None:
    """The way in is not through what is frozen; what was there before the freeze does nothing, and goes on afterwards."""
    node = node_of(machines, "n3")
    assert node.run("systemctl", "is-active", "docker.service").ok
    with frozen(machines, "n3"):
        assert node.run("cat", "/proc/sys/kernel/hostname").text == "n3\n"
        with pytest.raises(Unreachable):
            node.run("systemctl", "is-active", "docker.service", timeout=0.5)  # systemd itself is frozen
    assert node.run("systemctl", "is-active", "docker.service").ok


# -- streams


def test_a_stream_gives_lines_as_they_come(machines: Cluster) -> None:
    """Not only at its end; it is fed its input, and ends with the command."""
    stream = node_of(machines, "n1").stream(
        "/bin/sh", "-c", "cat; echo two; until [ -e /run/go ]; do :; done; printf three", stdin=b"one\n"
    )
    try:
        lines = stream.lines()
        assert [next(lines), next(lines)] == [b"one", b"two"]
        assert node_of(machines, "n1").run("touch", "/run/go").ok
        assert list(lines) == [b"three"]
    finally:
        stream.close()
        node_of(machines, "n1").run("rm", "-f", "/run/go")


def test_a_stream_is_closed_from_another_thread(machines: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever reads comes to the end, and what ran on the node is gone; twice is fine, and the second time no pid is touched."""
    node = node_of(machines, "n1")
    stream = node.stream("/bin/sh", "-c", "echo up; sleep 99.5 & sleep 99.5")
    lines = stream.lines()
    assert next(lines) == b"up"
    with ThreadPoolExecutor(1) as pool:
        rest = pool.submit(list[bytes], lines)
        stream.close()
        assert rest.result(SECONDS) == []
    wait_for(machines, lambda: not running(node, "^sleep 99[.]5"), "what it started to end")
    monkeypatch.setattr(os, "killpg", lambda pid, number: pytest.fail("a pid that was collected may be somebody else's"))
    stream.close()


def test_a_stream_ends_when_its_node_dies(machines: Cluster) -> None:
    """Whoever reads is not left waiting for a machine that is gone."""
    node = node_of(machines, "n3")
    stream = node.stream("/bin/sh", "-c", "echo up; sleep 99.75 & exec sleep 99.75")
    lines = stream.lines()
    assert next(lines) == b"up"
    with ThreadPoolExecutor(1) as pool:
        rest = pool.submit(list[bytes], lines)
        with switched_off(machines, "n3"):
            assert rest.result(SECONDS) == []
    stream.close()


# -- docker and files


def test_docker_answers_for_its_own_node(machines: Cluster) -> None:
    """Over the management path: also where the node's packets are dropped. After a power cut a new client is needed."""
    node = node_of(machines, "n3")
    for _ in range(2):
        client = node.docker(10.0)
        try:
            assert client.info()["Name"] == "n3"
        finally:
            client.close()
        with switched_off(machines, "n3"), pytest.raises(Unreachable):
            node.docker(10.0)


@pytest.mark.parametrize("body", [b"", b"#!/bin/sh\n\x00\xff", bytes(range(256)) * 8192], ids=["empty", "binary", "2 MiB"])
def test_files_go_in_and_come_out_unchanged(machines: Cluster, tmp_path: Path, body: bytes) -> None:
    """Folders are made, mode bits are kept, and nothing half-written stays beside it."""
    node, there = node_of(machines, "n1"), PurePosixPath("/run/whalefall-files/a folder/it's a file")
    source = tmp_path / "source"
    source.write_bytes(body)
    source.chmod(0o4751)
    try:
        node.put(source, there)
        node.get(there, tmp_path / "back")
        assert (tmp_path / "back").read_bytes() == body
        assert node.run("stat", "-c", "%a", str(there)).text == "4751\n"
        assert node.run("ls", "-A", str(there.parent)).text == "it's a file\n"
    finally:
        node.run("rm", "-r", "/run/whalefall-files")


def test_a_file_that_the_node_refuses_is_a_failed_command(machines: Cluster, tmp_path: Path) -> None:
    """It has answered: with a status, and with what it said. No file is made here."""
    node, source = node_of(machines, "n1"), tmp_path / "source"
    source.touch()
    with pytest.raises(CommandFailed, match=r"n1: 'put .* exited with status"):
        node.put(source, PurePosixPath("/proc/whalefall/a"))
    for missing in ("/run/whalefall-none", "/etc"):
        with pytest.raises(CommandFailed, match=r"n1: 'get .* exited with status 1: cat: "):
            node.get(PurePosixPath(missing), tmp_path / "back")
    assert not (tmp_path / "back").exists()
