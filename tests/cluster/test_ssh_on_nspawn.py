"""Nodes over SSH, against a real sshd on real machines: they answer as any node does, and say so when they cannot be asked."""

from __future__ import annotations

import gzip
import hashlib
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any, cast

import pytest

from harness.core.clock import SystemClock, wait_until
from harness.core.errors import CommandFailed, HarnessError, Unreachable
from harness.core.protocols import Cluster, Node, Power, Provider
from harness.core.values import NodeState
from harness.history.events import Entry, NodeSeen
from harness.history.recorder import Recorder
from harness.host import app_images, archives, contexts
from harness.nodes import docker_images
from harness.nodes.links import silence, unsilence
from harness.nodes.ssh import Access, SshNode
from harness.nodes.ssh import remote as ssh_node
from harness.nodes.ssh.keys import make_user_key
from harness.nodes.ssh.wire import DEAD_SECONDS
from harness.nodes.testinfra_backend import host
from harness.observers.node_truth import SILENT_SECONDS, HostObserver
from harness.testing.sshd import let_in
from harness.undo.fingerprint import fingerprint
from tests.unit.archiving import config, layer, manifest, packed

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("bare-ssh-on-nspawn")]

SECONDS = 10.0
"""How long a signal may take to arrive, and what it ends to be gone."""
CLOCK = SystemClock()


@pytest.fixture(scope="module")
def accesses(machines: Cluster, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Access]:
    """Make the machines reachable over SSH, and say how."""
    folder = tmp_path_factory.mktemp("ssh")
    make_user_key(folder)
    return {node.name: let_in(node, folder / node.name, folder / "id_ed25519") for node in machines.nodes}


@pytest.fixture
def over_ssh(machines: Cluster, accesses: dict[str, Access]) -> Iterator[Callable[..., SshNode]]:
    """Lend nodes over SSH, each with a connection of its own."""
    made: list[SshNode] = []

    def make(name: str, **changes: Any) -> SshNode:
        access = replace(accesses[name], **changes)
        made.append(SshNode(name, machines.node(name).address, access, network=machines.network))
        return made[-1]

    yield make
    for node in made:
        node.close()


def within(what: str, condition: Callable[[], object], seconds: float = SECONDS) -> None:
    """Wait for something that gives no event."""
    wait_until(lambda: bool(condition()), awaited=what, seconds=seconds, clock=CLOCK, every=0.02)


def pids(node: Node, pattern: str) -> list[str]:
    """Return the pids of what runs on a node with a command line like this."""
    return node.run("pgrep", "-f", pattern).text.split()


@contextmanager
def off(machines: Cluster, name: str) -> Iterator[None]:
    """Switch a machine off, and on again, as the next test needs it."""
    power, node = machines.can(Power), machines.node(name)
    power.off(node)
    try:
        yield
    finally:
        power.on(node)
        for unit in ("ssh.service", "docker.service"):
            assert node.run("systemctl", "start", unit, timeout=60.0).ok


@contextmanager
def cut(machines: Cluster, name: str) -> Iterator[None]:
    """Drop all packets of a machine, both ways: nobody says goodbye."""
    node = machines.node(name)
    silence(node)
    try:
        yield
    finally:
        unsilence(node)


@contextmanager
def stopped(machines: Cluster, name: str, pattern: str) -> Iterator[None]:
    """Stop processes of a machine, and let them go on."""
    node = machines.node(name)
    found = pids(node, pattern)
    assert found
    try:
        node.run("kill", "-STOP", *found)  # a session's own process may have gone since: the others are stopped all the same
        assert set(found) & set(pids(node, pattern))
        yield
    finally:
        node.run("kill", "-CONT", *found)


# -- what it runs, and where


def test_a_command_is_on_its_node_as_root_in_a_plain_environment(over_ssh: Callable[..., SshNode]) -> None:
    """As on any other way in: nothing of the login is left but a few words."""
    said = over_ssh("n2").run("/bin/sh", "-c", "uname -n; id -u; pwd; echo $PATH $HOME $LANG").text.split("\n")
    assert said[:4] == ["n2", "0", "/", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin /root C.UTF-8"]


def test_more_commands_at_once_than_sshd_allows_on_a_connection(over_ssh: Callable[..., SshNode]) -> None:
    """MaxSessions is 10: further ones get a connection of their own, and all are answered."""
    node, count = over_ssh("n1"), 14
    with ThreadPoolExecutor(count) as pool:
        asked = [pool.submit(node.run, "/bin/sh", "-c", f"sleep 0.5; echo {number}") for number in range(count)]
        assert [each.result(30.0).text for each in asked] == [f"{number}\n" for number in range(count)]


def test_a_timeout_ends_what_has_an_input_too(over_ssh: Callable[..., SshNode]) -> None:
    """The command and what it has in the background are gone when we are back."""
    node = over_ssh("n1")
    with pytest.raises(Unreachable, match=r"n1: no answer to .* after 0\.5 s; it was killed"):
        node.run("/bin/sh", "-c", "sleep 96.5 & cat >/dev/null; sleep 96.5", timeout=0.5, stdin=b"x" * 100_000)
    assert pids(node, "^sleep 96[.]5") == []


def test_a_harness_that_is_gone_leaves_no_command_behind(machines: Cluster, over_ssh: Callable[..., SshNode]) -> None:
    """Its connection ends, and the guard on the node ends what was started through it."""
    node = over_ssh("n1")
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(node.run, "sleep", "96.75", timeout=60.0)
        within("the command to run", lambda: pids(machines.node("n1"), "^sleep 96[.]75"))
        node.close()
        assert isinstance(asked.exception(SECONDS), Unreachable)
    within("the command to be gone", lambda: not pids(machines.node("n1"), "^sleep 96[.]75"))


# -- a node that goes away


def test_a_run_and_a_stream_end_when_the_node_dies(machines: Cluster, over_ssh: Callable[..., SshNode]) -> None:
    """Neither is an answer, both end within the time in which silence is noticed, and after the reboot the same node answers again."""
    node = over_ssh("n3")
    stream = node.stream("/bin/sh", "-c", "echo up; printf half; exec sleep 95.5")
    lines = stream.lines()
    assert next(lines) == b"up"
    boot = node.run("cat", "/proc/sys/kernel/random/boot_id").text
    with ThreadPoolExecutor(2) as pool:
        asked = pool.submit(node.run, "sleep", "95.75", timeout=60.0)
        rest = pool.submit(list[bytes], lines)
        within("the command to run", lambda: pids(machines.node("n3"), "^sleep 95[.]75"))
        with off(machines, "n3"):
            began = CLOCK.now()
            error = asked.exception(DEAD_SECONDS + 5.0)
            assert isinstance(error, Unreachable)
            assert "nothing was heard for" in error.saw
            assert rest.result(SECONDS) == []  # half a line is no line
            assert CLOCK.now() - began < DEAD_SECONDS + 3.0
            with pytest.raises(Unreachable, match=r"n3: no answer to true: SSH to root@10\.77\.0\.13: "):
                node.run("true", timeout=1.0)
    stream.close()
    assert node.run("cat", "/proc/sys/kernel/random/boot_id", timeout=SECONDS).text not in {boot, ""}


def test_a_node_that_was_rebooted_while_nobody_asked_answers_at_once(machines: Cluster, over_ssh: Callable[..., SshNode]) -> None:
    """The old connection is found dead when it is used, and the same call makes a new one."""
    node = over_ssh("n3")
    assert node.run("true").ok
    with off(machines, "n3"):
        pass
    began = CLOCK.now()
    assert node.run("true", timeout=SECONDS).ok
    assert CLOCK.now() - began < 5.0


def test_a_link_that_is_cut_is_noticed_idle_and_made_again(machines: Cluster, over_ssh: Callable[..., SshNode]) -> None:
    """20 s without a packet: asked in the middle there is no answer, in time; afterwards there is; what ran before is gone from the node."""
    node = over_ssh("n2")
    stream = node.stream("/bin/sh", "-c", "echo up; while sleep 0.5; do echo on; done")
    lines = stream.lines()
    assert next(lines) == b"up"
    over = threading.Event()

    def read() -> None:
        for _ in lines:
            pass
        over.set()

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    with cut(machines, "n2"):
        began = CLOCK.now()
        with pytest.raises(Unreachable, match="no answer to true"):
            node.run("true", timeout=1.0)
        assert CLOCK.now() - began < 2.5
        assert over.wait(DEAD_SECONDS + 3.0)
        CLOCK.wait(threading.Event(), 20.0 - (CLOCK.now() - began))
    began = CLOCK.now()
    assert node.run("true", timeout=SECONDS).ok
    assert CLOCK.now() - began < 4.0
    reader.join(SECONDS)
    stream.close()


def test_a_hung_sshd_is_no_answer_in_time(machines: Cluster, over_ssh: Callable[..., SshNode]) -> None:
    """Its kernel still takes what is sent. Every call ends at its own deadline, also a big one, and the session goes on when sshd does."""
    node = over_ssh("n2")
    assert node.run("true").ok
    with stopped(machines, "n2", "^sshd"):
        for stdin in (b"", b"x" * 8_000_000):
            began = CLOCK.now()
            with pytest.raises(Unreachable):
                node.run("cat", timeout=1.5, stdin=stdin)
            assert CLOCK.now() - began < 3.5
    assert node.run("true").ok


def test_what_ran_while_sshd_hung_is_ended_when_it_goes_on(machines: Cluster, over_ssh: Callable[..., SshNode]) -> None:
    """A command whose time was up could not be killed then; it is as soon as anybody listens again."""
    node = over_ssh("n2")
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(node.run, "sleep", "94.5", timeout=2.0)
        within("the command to run", lambda: pids(machines.node("n2"), "^sleep 94[.]5"))
        with stopped(machines, "n2", "^sshd"):
            assert isinstance(asked.exception(SECONDS), Unreachable)
            assert pids(machines.node("n2"), "^sleep 94[.]5")
    within("the command to be gone", lambda: not pids(machines.node("n2"), "^sleep 94[.]5"))


def test_sshd_being_restarted_ends_nothing_for_good(machines: Cluster, over_ssh: Callable[..., SshNode]) -> None:
    """The sessions are killed; the next call is answered."""
    node = over_ssh("n2")
    assert node.run("true").ok
    machines.node("n2").run("pkill", "-KILL", "sshd")
    assert machines.node("n2").run("systemctl", "restart", "ssh.service").ok
    assert node.run("true", timeout=SECONDS).ok


def test_another_host_key_is_never_spoken_to(over_ssh: Callable[..., SshNode], accesses: dict[str, Access]) -> None:
    """It is an error that names both keys; none of our keys was shown."""
    node = over_ssh("n1", host_keys=accesses["n2"].host_keys)
    with pytest.raises(
        HarnessError, match=r"n1: root@10\.77\.0\.11 shows the key ssh-ed25519 SHA256:.*; expected ssh-ed25519 SHA256:"
    ) as caught:
        node.run("true")
    assert not isinstance(caught.value, Unreachable)


def test_a_bastion_is_passed_through(
    over_ssh: Callable[..., SshNode], accesses: dict[str, Access], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As with ProxyJump: the bastion's own key is looked up where ssh does."""
    known = tmp_path / "known_hosts"
    known.write_text(f"{accesses['n1'].host} {accesses['n1'].host_keys[0]}\n")
    monkeypatch.setattr("harness.nodes.ssh.keys.KNOWN_HOSTS", (known,))
    node = over_ssh("n2", jump=f"root@{accesses['n1'].host}")
    assert node.run("uname", "-n").text == "n2\n"
    assert node.run("/bin/sh", "-c", "echo $SSH_CONNECTION").text.split()[0] == accesses["n1"].host
    body = bytes(range(256)) * 4096
    assert node.run("cat", stdin=body).out == body


# -- files, docker, clock, and what stands on a node


def test_a_file_that_is_cut_off_does_not_take_its_place(
    over_ssh: Callable[..., SshNode], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What arrives in half looks to the node like the whole; the old file stays."""
    node, there = over_ssh("n1"), PurePosixPath("/run/whalefall-ssh-file")
    source = tmp_path / "source"
    source.write_bytes(b"old")
    try:
        node.put(source, there)
        source.write_bytes(b"new and longer")
        run = node.run
        monkeypatch.setattr(node, "run", lambda *argv, timeout, stdin: run(*argv, timeout=timeout, stdin=stdin[:5]))
        with pytest.raises(CommandFailed, match="put"):
            node.put(source, there)
        assert run("cat", str(there)).out == b"old"
    finally:
        run("rm", "-f", str(there), f"{there}.new")


@pytest.mark.parametrize("relayed", [False, True])
def test_docker_answers_through_a_channel(machines: Cluster, over_ssh: Callable[..., SshNode], relayed: bool) -> None:
    """To its socket, or through its own relay; a hung daemon is noticed in time; closing the client leaves the connection alone."""
    node = over_ssh("n3")
    node._relays = relayed
    client = node.docker(10.0)
    try:
        assert client.info()["Name"] == "n3"
        assert client.containers.list() == []
        with client.api.get(
            f"{client.api.base_url}/v1.41/events", params={"since": "0", "until": str(CLOCK.wall() + 0.5)}, stream=True, timeout=(1.0, 3.0)
        ) as answer:
            assert answer.status_code == 200
            list(answer.iter_lines())
        with stopped(machines, "n3", "^/usr/sbin/dockerd"):
            hung = node.docker(1.0)
            began = CLOCK.now()
            with pytest.raises(OSError, match="timed out"):
                hung.info()
            assert CLOCK.now() - began < 2.5
            hung.close()
    finally:
        client.close()
    assert node.run("true").ok
    assert pids(node, "^docker system dial-stdio") == [] or relayed
    within("no relay to be left", lambda: not pids(machines.node("n3"), "^docker system dial-stdio"))


def test_docker_that_is_not_there_is_said_at_once(machines: Cluster, over_ssh: Callable[..., SshNode]) -> None:
    """As for every way in: `Unreachable`, from `docker` itself."""
    node, plain = over_ssh("n3"), machines.node("n3")
    assert plain.run("systemctl", "stop", "docker.socket", "docker.service", timeout=60.0).ok
    try:
        with pytest.raises(Unreachable, match=r"n3: no answer to docker: no connection to /run/docker\.sock"):
            node.docker(5.0)
    finally:
        assert plain.run("systemctl", "start", "docker.socket", "docker.service", timeout=60.0).ok


def test_an_image_is_loaded_whole_over_ssh_and_by_the_machines_own_way(
    machines: Cluster, over_ssh: Callable[..., SshNode], tmp_path: Path
) -> None:
    """Of several layers, one of them packed and one of them there twice."""
    noise = hashlib.shake_256(b"noise").digest(30 << 20)
    one, two = layer("one", noise), layer("two", bytes(1 << 20))
    members = [("config.json", config([one, two, one])), ("one.tar", one), ("two.tar", gzip.compress(two))]
    path = tmp_path / "app.tar"
    path.write_bytes(packed([*members, ("manifest.json", manifest(["one.tar", "two.tar", "one.tar"]))]))
    made = tmp_path / "made.tar"
    image_id = archives.rewrite(path, made, "whalefall/several:1", archives.look(path).id).id
    for node in (over_ssh("n1"), machines.node("n2")):
        docker_images.load(node, made, "whalefall/several:1", image_id, CLOCK)
        found = node.run("docker", "image", "inspect", "--format", "{{.Id}} {{len .RootFS.Layers}}", "whalefall/several:1")
        assert found.text.split() == [f"sha256:{image_id}", "3"]
        assert node.run("docker", "image", "rm", "whalefall/several:1").ok


def test_an_image_is_built_of_a_folder_over_ssh_and_by_the_machines_own_way(
    machines: Cluster, over_ssh: Callable[..., SshNode], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compiled here, once, and built from the same archive on each node, without a registry. A node that has it builds nothing."""
    monkeypatch.setenv("WHALEFALL_CACHE", str(tmp_path / "cache"))
    shutil.copytree(contexts.folder() / "web", tmp_path / "own")
    (tmp_path / "own" / "Dockerfile").write_text(
        'FROM scratch AS one\nCOPY . /all/\nFROM scratch\nCOPY --from=one /all/web /web\nCMD ["/web"]\n'
    )
    asked = app_images.wanted("./own", str(tmp_path / "s.yaml"))
    assert asked is not None
    kept = app_images.ensure(asked, lambda _: None)
    for node in (over_ssh("n1"), machines.node("n2")):
        ids = []
        for _ in range(2):
            docker_images.build(node, kept.path, kept.name, CLOCK)
            ids.append(node.run("docker", "image", "inspect", "--format", "{{.Id}} {{.Config.Cmd}}", kept.name).text)
        assert ids[0].endswith(" [/web]\n")
        assert ids[0] == ids[1]
        assert node.run("docker", "run", "--detach", "--rm", "--network", "none", "--name", "own", kept.name).ok
        assert node.run("docker", "top", "own").ok
        assert node.run("docker", "kill", "own").ok
        assert node.run("docker", "wait", "own").ok or not node.run("docker", "container", "inspect", "own").ok
        assert node.run("docker", "image", "rm", kept.name).ok
        assert node.run("docker", "image", "prune", "--force").ok


def test_the_clock_of_a_container_is_ours(over_ssh: Callable[..., SshNode], monkeypatch: pytest.MonkeyPatch) -> None:
    """Measured once for each connection while it is fresh; the error is half of what the answer takes."""
    node = over_ssh("n1")
    assert abs(node.offset()) < 0.25
    asked: list[object] = []
    sample = node._sample

    def sampled() -> tuple[float, float]:
        asked.append(1)
        return sample()

    monkeypatch.setattr(node, "_sample", sampled)
    node.offset()
    assert not asked
    node.close()
    node.offset()
    assert asked
    monkeypatch.setattr(ssh_node, "OFFSET_SECONDS", 0.0)
    asked.clear()
    node.offset()
    assert asked


def test_testinfra_works_over_it(over_ssh: Callable[..., SshNode]) -> None:
    """The backend takes any node."""
    there: Any = host(over_ssh("n1"))
    assert there.service("ssh").is_running
    assert not there.service("etcd").is_running
    assert there.file("/etc/hostname").content_string == "n1\n"


def test_the_fingerprint_is_the_same_as_by_the_other_way_in(machines: Cluster, over_ssh: Callable[..., SshNode]) -> None:
    """Being there over SSH leaves nothing that a fault could have left."""
    assert fingerprint(over_ssh("n1")) == fingerprint(machines.node("n1"))


def test_a_lost_management_link_is_could_not_ask(machines: Cluster, over_ssh: Callable[..., SshNode], tmp_path: Path) -> None:
    """Node truth says unreachable when the link is cut, never that nothing runs, and is back soon after."""
    node = over_ssh("n2")
    recorder = Recorder(tmp_path / "history.jsonl", CLOCK)
    observer = HostObserver()
    seen: list[NodeSeen] = []

    def heard(entry: Entry) -> None:
        if isinstance(entry.event, NodeSeen):
            seen.append(entry.event)

    recorder.listen(heard)
    # A provider without power over its machines, as of hosts that somebody else runs: nothing but the link tells.
    observer.start(replace(machines, nodes=[node], provider=cast("Provider", object())), recorder)
    try:
        within("the node to be seen", lambda: seen and seen[-1].state is NodeState.UP)
        with cut(machines, "n2"):
            within("it to be out of reach", lambda: seen[-1].state is NodeState.UNREACHABLE, SILENT_SECONDS + 3.0)
            CLOCK.wait(threading.Event(), 6.0)
        within("the node to be seen again", lambda: seen[-1].state is NodeState.UP, DEAD_SECONDS + 5.0)
        assert {event.state for event in seen} == {NodeState.UP, NodeState.UNREACHABLE}
    finally:
        observer.stop()
        recorder.close()
