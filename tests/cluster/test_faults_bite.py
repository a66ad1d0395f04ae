"""Every fault bites its target and nobody else, measured from outside the harness's own questions, and leaves nothing behind."""

from __future__ import annotations

import dataclasses
import itertools
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from harness.core.clock import wait_until
from harness.core.errors import Unreachable
from harness.core.protocols import Cluster, Fault, Node
from harness.core.topology import SHAPES
from harness.faults.common import unavailable
from harness.faults.hang import Hang
from harness.faults.nothing import Nothing
from harness.faults.partition import Partition
from harness.faults.power import NodeKill
from harness.faults.process import Kill
from harness.faults.slow_disk import Slow
from harness.testing.bare import BareMode
from harness.undo.fingerprint import differences, fingerprint
from tests.cluster.knocking import connections, knock

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("bare-faults-bite")]

SECONDS = 5.0
"""How long a fault may take to be in force, or gone."""


@contextmanager
def broken(machines: Cluster, fault: Fault, *names: str) -> Iterator[list[Node]]:
    """Break nodes for as long as the block lasts; fails if it does not come into force, does not go, or leaves anything behind."""
    targets = [machines.node(name) for name in names]
    for node in targets:
        assert unavailable(fault, machines, node) is None
    before = {node.name: fingerprint(node, machines.provider) for node in machines.nodes}
    try:
        fault.inject(machines, targets)
        wait_until(
            lambda: all(fault.in_force(machines, node) for node in targets),
            awaited="force",
            seconds=SECONDS,
            clock=machines.clock,
            every=0.01,
        )
        yield targets
    finally:
        fault.heal(machines, targets)
    wait_until(
        lambda: not any(fault.in_force(machines, node) for node in machines.nodes), awaited="mending", seconds=SECONDS, clock=machines.clock
    )
    left = {node.name: differences(before[node.name], fingerprint(node, machines.provider)) for node in machines.nodes}
    assert left == {node.name: [] for node in machines.nodes}


def main_pid(node: Node, unit: str) -> int:
    """Return a unit's main process."""
    return int(node.run("systemctl", "show", "--property=MainPID", "--value", unit).text)


def answers(node: Node) -> bool:
    """Whether the node runs a command."""
    try:
        return node.run("true", timeout=5.0).ok
    except Unreachable:
        return False


# -- network

PARTITIONS = [
    (Partition("isolate"), ("n2",)),
    (Partition("halves"), ("n1", "n3")),
    (Partition("majority_minority"), ("n3",)),
    (Partition("one_way"), ("n1",)),
    (Partition("bridge"), ("n2",)),
]


@pytest.mark.parametrize(("fault", "names"), PARTITIONS, ids=lambda value: getattr(value, "shape", None))
def test_a_partition_silences_exactly_the_links_of_its_shape(listening: Cluster, fault: Partition, names: tuple[str, ...]) -> None:
    """A connection needs both directions; those that are cut time out and are not refused; all others, and the harness's own, work."""
    every = [node.name for node in listening.nodes]
    grudge = SHAPES[fault.shape](every, list(names))
    cut = {(a, b) for b, against in grudge.items() for a in against}
    expected = {(a, b): "silence" if {(a, b), (b, a)} & cut else "connected" for a, b in itertools.permutations(every, 2)}
    with broken(listening, fault, *names):
        assert connections(listening.nodes) == expected
        with listening.network():
            for node in listening.nodes:
                socket.create_connection((node.address, 7777), 2.0).close()
        assert all(answers(node) for node in listening.nodes)
    assert set(connections(listening.nodes).values()) == {"connected"}


# -- disk

_FDATASYNC = """
import os, sys, time
f = os.open("/data/whalefall-probe", os.O_CREAT | os.O_WRONLY)
took = []
for _ in range(3):
    os.pwrite(f, b"x" * 512, 0)
    t = time.monotonic(); os.fdatasync(f); took.append(time.monotonic() - t)
os.unlink("/data/whalefall-probe")
print(min(took))
"""


def fdatasync(node: Node) -> float:
    """Return seconds that the quickest of three fdatasync took on the node's data disk."""
    return float(node.run("python3", "-c", _FDATASYNC).text)


def test_a_slow_disk_is_slow_on_its_target_only(machines: Cluster) -> None:
    """An fsync takes at least what was asked there, and less than that elsewhere and afterwards."""
    with broken(machines, Slow(fsync=0.5), "n2"):
        took = {node.name: fdatasync(node) for node in machines.nodes}
        assert [name for name, seconds in took.items() if seconds >= 0.5] == ["n2"], took
    assert fdatasync(machines.node("n2")) < 0.5


# -- daemons and processes


def docker_answers(node: Node) -> bool:
    """Whether the Docker API answers within two seconds."""
    return node.run("timeout", "2", "docker", "version", timeout=10.0).ok


def containerd_answers(node: Node) -> bool:
    """Whether containerd's API answers within two seconds."""
    return node.run("timeout", "2", "ctr", "version", timeout=10.0).ok


@pytest.mark.parametrize(("which", "hung"), [("docker", {"docker"}), ("containerd", {"containerd"}), ("both", {"docker", "containerd"})])
def test_a_hung_daemon_answers_nothing_on_its_target_only(machines: Cluster, which: str, hung: set[str]) -> None:
    """Its API gives no answer there, its main process is the same one afterwards, and everybody else's daemon is well."""
    fault = {"docker": Hang("docker"), "containerd": Hang("containerd"), "both": Hang("both")}[which]
    pids = {unit: main_pid(machines.node("n1"), f"{unit}.service") for unit in ("docker", "containerd")}
    with broken(machines, fault, "n1"):
        assert not containerd_answers(machines.node("n1")) or "containerd" not in hung
        assert not docker_answers(machines.node("n1")) or "docker" not in hung
        assert containerd_answers(machines.node("n1")) or "containerd" in hung
        for name in ("n2", "n3"):
            assert docker_answers(machines.node(name))
            assert containerd_answers(machines.node(name))
    assert docker_answers(machines.node("n1"))
    assert {unit: main_pid(machines.node("n1"), f"{unit}.service") for unit in pids} == pids


@pytest.mark.parametrize("restart", [True, False])
def test_a_killed_process_dies_on_its_target_only(machines: Cluster, restart: bool) -> None:
    """There it is another one, or none; elsewhere it is the same; afterwards it is there."""
    unit = "whalefall-victim.service"
    before = {node.name: main_pid(node, unit) for node in machines.nodes}
    with broken(machines, Kill("victim", restart=restart), "n3"):
        if restart:
            wait_until(lambda: main_pid(machines.node("n3"), unit), awaited="systemd's restart", seconds=SECONDS, clock=machines.clock)
        during = {node.name: main_pid(node, unit) for node in machines.nodes}
        assert [name for name in during if during[name] != before[name]] == ["n3"]
        assert bool(during["n3"]) == restart
    assert main_pid(machines.node("n3"), unit) > 0


_WOKEN = """
cd /etc/systemd/system
printf '[Service]\\nExecStart=/bin/sleep infinity\\nRestart=always\\nRestartSec=100ms\\nRestartForceExitStatus=SIGKILL\\n' >woken.service
printf '[Socket]\\nListenStream=/run/woken.sock\\n' >woken.socket
printf '[Path]\\nPathExists=/run/woken\\n' >woken.path
printf '[Timer]\\nOnActiveSec=200ms\\nOnUnitInactiveSec=200ms\\nAccuracySec=10ms\\n' >woken.timer
printf '[Unit]\\nRequires=woken.service\\nAfter=woken.service\\n[Service]\\nType=oneshot\\nExecStart=/bin/true\\n' >needs-woken.service
systemctl daemon-reload
systemctl start woken.socket woken.path woken.timer
systemctl start woken.service
"""
_WAKINGS = {
    "a connection to its socket": "python3 -c \"import socket; socket.socket(socket.AF_UNIX).connect('/run/woken.sock')\"",
    "its path": "touch /run/woken",
    "its timer": "sleep 1",
    "an operator": "systemctl start woken.service",
    "a restart": "systemctl restart woken.service",
    "another unit that needs it": "systemctl start needs-woken.service",
    "a reload of all units": "systemctl daemon-reload; sleep 0.5",
}
"""Everything that would start it again, by name."""


def test_nothing_starts_a_process_again_that_is_to_stay_dead(machines: Cluster) -> None:
    """Sockets, paths, timers, restart policies, other units and operators try in vain; after the heal all of them are as they were."""
    node = machines.node("n3")
    own = dataclasses.replace(machines, mode=BareMode({"woken": "woken.service"}))
    show = ("systemctl", "show", "--property=InvocationID", "--value", "woken.service")
    units = ("systemctl", "is-active", "woken.socket", "woken.path", "woken.timer", "woken.service")
    assert node.run("/bin/sh", "-ec", _WOKEN).ok
    before, was = node.run(*show).text, node.run(*units).text
    with broken(own, Kill("woken", restart=False), "n3"):
        for name, script in _WAKINGS.items():
            node.run("/bin/sh", "-c", script)
            assert main_pid(node, "woken.service") == 0, name
        assert node.run(*show).text == before
        assert Kill("woken", restart=False).in_force(own, node)
    assert main_pid(node, "woken.service") > 0
    assert node.run(*units).text == was == "active\n" * 4
    remove = "systemctl stop woken.timer woken.path woken.socket woken.service && rm -f /etc/systemd/system/*woken.* /run/woken*"
    assert node.run("/bin/sh", "-c", f"{remove} && systemctl daemon-reload").ok


def test_a_dead_dockerd_is_not_woken_by_whoever_asks_it(machines: Cluster) -> None:
    """Its socket is known to systemd, and to no list of ours: `docker` finds nobody, and dockerd stays dead until the heal."""
    node = machines.node("n2")
    own = dataclasses.replace(machines, mode=BareMode({"docker": "docker.service"}))
    with broken(own, Kill("docker", restart=False), "n2"):
        assert not node.run("docker", "ps", timeout=20.0).ok
        with pytest.raises(Unreachable):
            node.docker(1.0)  # type: ignore[attr-defined]  # a node of this host has it
        assert main_pid(node, "docker.service") == 0
    assert node.run("systemctl", "is-active", "docker.socket").text == "active\n"
    _wait_for_docker(machines, "n2")


# -- power


def test_a_killed_node_answers_nobody(listening: Cluster) -> None:
    """It gives no answer to us or to the others, who go on; afterwards it has booted anew and answers."""
    boot = listening.node("n3").run("cat", "/proc/1/stat").out.split()[21]
    with broken(listening, NodeKill(), "n3"):
        assert {node.name: answers(node) for node in listening.nodes} == {"n1": True, "n2": True, "n3": False}
        said = knock(listening.node("n1"), listening.node("n3"))
        assert "connected" not in said
        assert knock(listening.node("n1"), listening.node("n2")) == "connected"
    assert listening.node("n3").run("cat", "/proc/1/stat").out.split()[21] != boot
    _wait_for_docker(listening, "n3")


def _wait_for_docker(machines: Cluster, name: str) -> None:
    """A node that was off starts its services in its own time; the next test needs them."""
    wait_until(lambda: docker_answers(machines.node(name)), awaited=f"docker on {name}", seconds=60.0, clock=machines.clock, every=0.2)


def test_nothing_does_nothing(machines: Cluster) -> None:
    """The fault of the control changes no node, and is never in force."""
    before = [fingerprint(node, machines.provider) for node in machines.nodes]
    Nothing().inject(machines, machines.nodes)
    assert not any(Nothing().in_force(machines, node) for node in machines.nodes)
    Nothing().heal(machines, machines.nodes)
    assert [fingerprint(node, machines.provider) for node in machines.nodes] == before


def test_the_fingerprint_sees_what_a_fault_could_leave(machines: Cluster) -> None:
    """The look itself is tested on a real node: a table, a stopped process, a mount, a drop-in, a marker and a timer are each found."""
    node = machines.node("n1")
    before = fingerprint(node, machines.provider)
    make = """
        nft add table inet whalefall_left
        setsid sleep 1000 >/dev/null 2>&1 &
        until [ "$(cat /proc/$!/comm)" = sleep ]; do :; done  # stopped any earlier it would hold our pipes
        kill -STOP $!; mkdir -p /run/whalefall; echo $! >/run/whalefall/left
        mkdir -p /mnt/left; mount -t tmpfs left /mnt/left
        mkdir -p /run/systemd/system/left.service.d; touch /run/systemd/system/left.service.d/whalefall.conf
        systemd-run --quiet --unit=left --on-active=1h true
    """
    mend = """
        nft delete table inet whalefall_left; kill -KILL $(cat /run/whalefall/left); rm -r /run/whalefall; umount /mnt/left; rmdir /mnt/left
        rm -r /run/systemd/system/left.service.d; systemctl stop left.timer; systemctl daemon-reload
    """
    try:
        done = node.run("/bin/sh", "-ec", make)
        assert done.ok, done.err
        assert differences(before, fingerprint(node, machines.provider)) == [
            "runtime drop-in '/run/systemd/system/left.service.d/whalefall.conf' is there and was not before",
            "file of a fault in /run/whalefall '/run/whalefall/left' is there and was not before",
            "mount '/mnt/left' is there and was not before",
            "nftables table 'whalefall_left' is there and was not before",
            "stopped process 'sleep' is there and was not before",
            "transient timer 'left.timer' is there and was not before",
        ]
    finally:
        node.run("/bin/sh", "-c", mend)
    wait_until(
        lambda: not differences(before, fingerprint(node, machines.provider)), awaited="a clean node", seconds=SECONDS, clock=machines.clock
    )
