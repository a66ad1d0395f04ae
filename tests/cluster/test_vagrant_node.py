"""Real virtual machines: one that is made, broken, mended and removed in every full run; a cluster of three only where it is asked for."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from harness.core.clock import SystemClock, wait_until
from harness.core.errors import HarnessError, Unreachable, Unsupported
from harness.core.protocols import Cluster, Node
from harness.core.values import Latency, NodeSpec
from harness.host import state
from harness.providers.netns import GATEWAY
from harness.providers.vagrant import VagrantProvider, VmNode, layout, lifecycle, own_libvirt, vagrant_records
from harness.testing.bare import BareMode

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("vagrant")]

SPECS = [NodeSpec(f"n{number}", f"10.77.0.{10 + number}", faultable_disk=True) for number in (1, 2, 3)]


def _run_id() -> str:
    return f"vm-{os.getpid()}-{uuid.uuid4().hex[:6]}"


def _must_be_gone(run_id: str) -> None:
    """See that a run has left nothing on this machine: no process, namespace, folder, file or entry."""
    provider = VagrantProvider()
    assert provider.leftovers(run_id) == []
    assert run_id not in provider.runs()
    assert not state.run_folder(run_id).exists()
    assert not (state.REGISTRY / f"{run_id}.json").exists()


@pytest.fixture
def ready() -> VagrantProvider:
    """Return the provider, ready to make a machine. Skips where there can be none, but not in CI: there these tests must run."""
    provider = VagrantProvider()
    try:
        assert provider.prepare(lambda _: None)
    except Unsupported as e:
        if "CI" in os.environ:
            raise
        pytest.skip(str(e))
    return provider


@pytest.mark.vm
def test_a_machine_lives_is_broken_mended_and_leaves_nothing(ready: VagrantProvider) -> None:
    """Made, asked, its docker reached; frozen and resumed with the right time; off and on with what was synced; slowed and mended; removed."""
    provider, run_id = ready, _run_id()
    (node,) = provider.create(run_id, SPECS[:1])
    try:
        assert isinstance(node, VmNode)
        said = node.run("/bin/sh", "-c", "cat /proc/sys/kernel/hostname; id -u; ip -4 -o addr show eth1; findmnt -no FSTYPE /data").text
        assert said.split()[:2] == ["n1", "0"]
        assert f"inet {node.address}/24" in said
        assert said.split()[-1] == "ext4"
        assert run_id in provider.runs()

        assert node.run("systemctl", "start", "docker.service", timeout=180.0).ok
        client = node.docker(60.0)
        try:
            assert client.info()["Name"] == "n1"
        finally:
            client.close()

        provider.pause(node)
        assert provider.is_paused(node)
        with pytest.raises(Unreachable):
            node.run("true", timeout=2.0)
        provider.resume(node)
        assert node.run("true").ok
        assert abs(node.offset_now()) < 1.0

        provider.slow(node, Latency(fsync=0.25))
        assert provider.latency(node) == Latency(fsync=0.25)
        provider.mend(node)

        boot = node.run("cat", "/proc/sys/kernel/random/boot_id").text
        assert node.run("/bin/sh", "-c", "echo kept >/data/kept && echo lost >/run/lost && sync /data/kept").ok
        provider.off(node)
        with pytest.raises(Unreachable):
            node.run("true", timeout=5.0)
        provider.on(VagrantProvider().adopt(run_id)[0])  # as from another process
        assert node.run("cat", "/data/kept").text == "kept\n"
        assert node.run("test", "-e", "/run/lost").exit == 1
        assert node.run("cat", "/proc/sys/kernel/random/boot_id").text not in {boot, ""}
    finally:
        VagrantProvider().destroy(run_id)
    _must_be_gone(run_id)


ROOM_MB, LEFT_MB = 1100, 4
"""What a small disk has: enough by what is asked for before a machine is made; and what is left when it starts, of which a boot writes more."""


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Have runs on a small disk of their own, in a folder with a short name: libvirt's sockets lie in it."""
    disk = Path(tempfile.mkdtemp(prefix="wfd", dir="/tmp"))
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={ROOM_MB}m", "whalefall-test", str(disk)], check=True)
    try:
        monkeypatch.setenv("WHALEFALL_STATE", str(disk))
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)
        disk.rmdir()


@pytest.mark.vm
def test_a_disk_that_fills_up_while_a_machine_boots(ready: VagrantProvider, small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its qemu is stopped, and would be waited for until the end of its time: the error comes before that, and names the disk."""
    run_id, up = _run_id(), lifecycle.up

    def filled(record: vagrant_records.VmCluster, settings: Path, machines: Sequence[vagrant_records.VirtualMachine], **more: Any) -> None:
        with (small / "ballast").open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(small).free - (LEFT_MB << 20))
        up(record, settings, machines, **more)

    monkeypatch.setattr(lifecycle, "up", filled)
    with pytest.raises(HarnessError, match="the disk is full; make room, or set WHALEFALL_STATE to a folder on a bigger disk") as caught:
        ready.create(run_id, SPECS[:1])
    assert "had not ended after" not in str(caught.value)
    _must_be_gone(run_id)
    (small / "ballast").unlink()
    assert shutil.disk_usage(small).used < 1 << 20


_CREATE = """
import sys
from harness.providers.vagrant import VagrantProvider
from harness.core.values import NodeSpec
VagrantProvider().create(sys.argv[1], [NodeSpec("n1", "10.77.0.11")])
"""


@pytest.mark.vagrant
@pytest.mark.parametrize("stage", ["libvirtd", "machine"])
def test_a_harness_that_is_killed_while_it_creates_leaves_nothing_after_destroy(stage: str, tmp_path: Path) -> None:
    """By another process, which has only the run's id: what the reaper does. With Vagrant still at work, and a machine half booted or none."""
    run_id = _run_id()
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(each for each in sys.path if each)}
    with (tmp_path / "log").open("wb") as log:
        child = subprocess.Popen([sys.executable, "-c", _CREATE, run_id], stdout=log, stderr=log, env=environ, start_new_session=True)
    try:

        def so_far() -> bool:
            assert child.poll() is None, (tmp_path / "log").read_text()
            names = {Path(f"/proc/{each.pid}/comm").read_text().strip() for each in own_libvirt.processes(run_id) if each.alive}
            return any(each.startswith("qemu-system" if stage == "machine" else "libvirtd") for each in names)

        wait_until(so_far, awaited=f"a {stage}", seconds=180.0, clock=SystemClock(), every=0.05)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    provider = VagrantProvider()
    assert provider.runs()[run_id] is False  # nobody wants it any more
    provider.destroy(run_id)
    _must_be_gone(run_id)


@pytest.mark.vagrant
def test_a_machine_that_never_boots_is_one_error_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is told with the end of its console. Here: a kernel that is given no disk that it can mount."""
    run_id, settings_of = _run_id(), layout.settings_of
    (tmp_path / "initrd").write_text("no initrd\n")

    def spoiled(*argv: object, **more: object) -> dict[str, object]:
        body = dict(settings_of(*argv, **more))  # type: ignore[arg-type]
        return {**body, "initrd": str(tmp_path / "initrd")}

    monkeypatch.setattr(layout, "settings_of", spoiled)
    monkeypatch.setattr(lifecycle, "BOOT_SECONDS", 60.0)
    with pytest.raises(HarnessError, match=r"vagrant up of 1 machines had not ended after 60 s; .*n1's console ends: .*") as caught:
        VagrantProvider().create(run_id, SPECS[:1])
    assert "Kernel panic" in str(caught.value)
    _must_be_gone(run_id)


@pytest.fixture(scope="module")
def three(lend: Callable[..., AbstractContextManager[Cluster]]) -> Iterator[tuple[str, Sequence[Node]]]:
    """Lend a cluster of three, and its run's id."""
    with lend(VagrantProvider(), "vm", SPECS, BareMode()) as cluster:
        yield cluster.run_id, cluster.nodes
    _must_be_gone(cluster.run_id)


@pytest.mark.vagrant
def test_all_go_back_to_a_kept_state_together(three: tuple[str, Sequence[Node]]) -> None:
    """Memory and disks, a machine that is off meanwhile too; every clock is right afterwards."""
    run_id, nodes = three
    provider = VagrantProvider()
    for node in nodes:
        assert node.run("/bin/sh", "-c", "echo 1 >/run/state; echo 1 >/data/state; sync").ok
    provider.save(run_id, "clean")
    for node in nodes:
        assert node.run("/bin/sh", "-c", "echo 2 >/run/state; echo 2 >/data/state; sync").ok
    provider.off(nodes[2])
    provider.revert(run_id, "clean")
    for node in nodes:
        assert isinstance(node, VmNode)
        assert node.run("cat", "/run/state", "/data/state").text == "1\n1\n"
        assert abs(node.offset_now()) < 1.0


@pytest.mark.vagrant
def test_the_harness_speaks_from_its_own_address(three: tuple[str, Sequence[Node]]) -> None:
    """Inside the cluster's network a socket reaches a node's own address, and comes from the gateway."""
    run_id, nodes = three
    with VagrantProvider().network(run_id), socket.create_connection((nodes[1].address, 22), timeout=20.0) as connected:
        assert connected.getsockname()[0] == GATEWAY


@pytest.mark.vagrant
def test_a_second_cluster_has_the_same_addresses(three: tuple[str, Sequence[Node]]) -> None:
    """Side by side, and its end is not the first one's."""
    provider, run_id = VagrantProvider(), _run_id()
    try:
        (node,) = provider.create(run_id, SPECS[:1])
        assert node.address == three[1][0].address
        boots = {each.run("cat", "/proc/sys/kernel/random/boot_id").text for each in (node, three[1][0])}
        assert len(boots) == 2
    finally:
        provider.destroy(run_id)
    _must_be_gone(run_id)
    assert three[1][0].run("true").ok
