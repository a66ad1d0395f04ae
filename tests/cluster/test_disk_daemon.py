"""The slow disk for real: FUSE, loop device and ext4, in namespaces of their own that take everything with them."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.core.clock import SystemClock, wait_until
from harness.host import processes

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it mounts"),
    pytest.mark.skipif(not Path("/dev/fuse").exists(), reason="needs /dev/fuse: this kernel, or this container, has no FUSE"),
]

HERE = Path(__file__).parent


def left(folder: Path) -> str:
    """Return what is left of a session on this machine: loop devices, mounts, processes; empty when nothing is."""
    loops = subprocess.run(["losetup", "--list", "--noheadings", "--output", "NAME,BACK-FILE"], capture_output=True, text=True, check=True)
    found = [line for line in loops.stdout.splitlines() if str(folder) in line]
    found += [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(folder) in line]
    for pid in processes.pids():
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        if os.fsencode(folder) in command and processes.Process.of(pid) is not None:
            found.append(f"process {pid}")
    return "; ".join(found)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder for one session, of which nothing may be left."""
    yield tmp_path
    wait_until(lambda: not left(tmp_path), awaited="nothing to be left", seconds=10, clock=SystemClock(), saw=lambda: left(tmp_path))


def session(folder: Path, what: str) -> dict[str, Any]:
    """Run one session and return what it saw."""
    argv = ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc"]
    argv += [sys.executable, str(HERE / "disk_session.py"), str(folder), what]
    environ = {**os.environ, "PYTHONPATH": str(HERE.parents[1])}
    ended = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False, env=environ)
    assert ended.returncode == 0, ended.stderr
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


def test_latency_bites_every_flush(folder: Path) -> None:
    """Asked for 200 ms, each flush takes at least that, and a healed disk less than one of them would."""
    found = session(folder, "latency")
    assert found["asked"] == 0.2
    assert all(0.2 <= seconds < 5 for seconds in found["slow"])
    assert found["healed"] < 5


def test_a_heal_ends_a_stall(folder: Path) -> None:
    """A flush on a disk that takes ten minutes returns well when the disk is healed."""
    found = session(folder, "heal")
    assert found["errno"] == 0
    assert 0 <= found["seconds"] < 30


def test_a_killed_daemon_is_an_error_and_not_a_hang(folder: Path) -> None:
    """The flush that was stalled fails, and so does the next."""
    found = session(folder, "kill")
    assert found["status"] == -9
    assert found["errno"] == errno.EIO
    assert found["later"] in {errno.EIO, errno.EROFS}


def test_a_terminated_daemon_lets_go_at_once(folder: Path) -> None:
    """It wakes what it holds up, ends well with its disk still in use, and takes its socket along; its disk fails from then on."""
    found = session(folder, "terminate")
    assert found["status"] == 0
    assert found["errno"] in {0, errno.EIO}
    assert 0 <= found["seconds"] < 30
    assert found["later"] in {errno.EIO, errno.EROFS}
    assert found["socket"] is False
