"""Slow disks whose daemon is dead: whoever is killed, and whoever dies last, nobody on this machine waits for them."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.core.clock import SystemClock, wait_until
from harness.core.values import NodeSpec
from harness.disk import fuse_connection
from harness.host.marks import marked
from harness.host.processes import Process, kill_all, leave
from harness.providers import clusters
from harness.providers.nspawn import NspawnProvider, cgroups, nspawn_records

REPO = Path(__file__).resolve().parents[2]
SECONDS = 20.0
_PIDFD_GETFD = 438  # of the kernel, on all of its architectures; Python has no name for it

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it mounts"),
    pytest.mark.skipif(not Path("/dev/fuse").exists(), reason="needs /dev/fuse: this kernel, or this container, has no FUSE"),
]

# The daemon and what lies on its disk in one mount namespace, as it must not be: the last of it writes to itself while it ends.
_ONE_NAMESPACE = """\
mkfifo ready
"$1" -m harness.disk disk fuse disk.sock --ready-fd 3 3>ready &
echo $! >daemon
[ "$(timeout 30 head -c 1 ready)" = r ]
mount -o loop,noatime fuse/disk.img data
head -c 4000000 /dev/zero >data/dirty
echo >mounted
exec sleep 100
"""


@pytest.fixture
def orphan(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """Lend the note and the mount point of a connection that nobody can answer, with somebody who waits for it."""
    for name in ("disk", "fuse", "data"):
        (tmp_path / name).mkdir()
    image = tmp_path / "disk" / "disk.img"
    with image.open("wb") as file:
        file.truncate(64 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
    child = subprocess.Popen(
        ["unshare", "--mount", "--propagation", "private", "sh", "-euc", _ONE_NAMESPACE, "sh", sys.executable],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPO)},
    )
    noted = (tmp_path / "disk.connection", tmp_path / "fuse")
    try:
        wait_until((tmp_path / "mounted").exists, awaited="a disk in use", seconds=60, clock=SystemClock())
        daemon = Process.of(int((tmp_path / "daemon").read_text()))
        assert daemon is not None
        child.kill()
        child.wait()
        daemon.kill(signal.SIGKILL)
        yield noted
    finally:
        child.kill()
        fuse_connection.abort([noted])  # nobody else on this machine may hang for it
        leave(child)


def test_a_connection_that_nobody_can_answer_is_known_and_broken_off(orphan: tuple[Path, Path]) -> None:
    """By its note, without any process and without any mount."""
    note, mountpoint = orphan
    wait_until(lambda: fuse_connection.open_ones([orphan]), awaited="a daemon that waits for itself", seconds=SECONDS, clock=SystemClock())
    tables = [each for each in Path("/proc").glob("[0-9]*/mountinfo") if _has(each, str(mountpoint))]
    assert tables == [], "it is mounted nowhere"
    fuse_connection.abort([orphan])
    wait_until(lambda: not fuse_connection.open_ones([orphan]), awaited="nothing to be left of it", seconds=SECONDS, clock=SystemClock())
    assert fuse_connection.read(note) is not None


def test_a_run_whose_folder_is_lost_is_removed_though_nobody_answers_for_its_disk() -> None:
    """Somebody holds the kernel's end of the disk open and never reads, and the notes of it are gone: all its processes wait for good."""
    provider = NspawnProvider()
    run_id = f"lost-{os.getpid()}"
    held = -1
    try:
        (node,) = provider.create(run_id, [NodeSpec("n1", "10.77.0.1", faultable_disk=True, disk_mb=256)])
        (daemon,) = [each for each in marked(run_id) if _has(Path(f"/proc/{each.pid}/cmdline"), "harness.disk\0")]
        held = _copied(daemon, "/dev/fuse")
        daemon.kill(signal.SIGSTOP)
        writers = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do dd if=/dev/zero of=/data/dirty$i bs=4k count=1 conv=fsync & done >/dev/null 2>&1"
        assert node.run("sh", "-c", writers).ok
        shutil.rmtree(clusters.folder(run_id), ignore_errors=True)
    finally:
        provider.destroy(run_id)
        if held >= 0:
            os.close(held)
    assert provider.leftovers(run_id) == []


def _copied(process: Process, path: str) -> int:
    """Return a copy of our own of a process's open file."""
    (number,) = [int(each.name) for each in Path(f"/proc/{process.pid}/fd").iterdir() if str(each.readlink()) == path]
    handle = os.pidfd_open(process.pid)
    try:
        copy = int(ctypes.CDLL(None, use_errno=True).syscall(_PIDFD_GETFD, handle, number, 0))
    finally:
        os.close(handle)
    assert copy >= 0, os.strerror(ctypes.get_errno())
    return copy


def _has(table: Path, text: str) -> bool:
    try:
        return text in table.read_text()
    except OSError:
        return False


def test_a_daemon_that_dies_last_waits_for_nobody() -> None:
    """All of a machine is killed, its disk's daemon last, with a disk that is not written back: no request waits, and nothing is left."""
    provider = NspawnProvider()
    run_id = f"orphan-{os.getpid()}"
    name = "n1"
    try:
        (node,) = provider.create(run_id, [NodeSpec(name, "10.77.0.1", faultable_disk=True, disk_mb=256)])
        assert node.run("sh", "-c", "head -c 8000000 /dev/zero >/data/dirty").ok
        record = nspawn_records.read_machine(run_id, name)
        assert record is not None
        everyone = cgroups.processes(run_id) | set(marked(run_id))
        daemons = {each for each in everyone if _has(Path(f"/proc/{each.pid}/cmdline"), "harness.disk\0")}
        assert len(daemons) == 1
        assert kill_all([record.launcher], SECONDS)  # first: it must not unmount anything
        assert kill_all([record.leader, *(everyone - daemons)], SECONDS)
        noted = (nspawn_records.node_folder(run_id, name) / "disk.connection", nspawn_records.node_folder(run_id, name) / "fuse")
        assert fuse_connection.open_ones([noted])
        assert kill_all(daemons, SECONDS), "the daemon waits for itself"
        assert fuse_connection.open_ones([noted]) == {}
    finally:
        provider.destroy(run_id)
    assert provider.leftovers(run_id) == []
