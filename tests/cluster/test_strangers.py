"""What is only called as ours outlives a sweep, and what is a dead run's does not, whatever is left of its records."""

from __future__ import annotations

import contextlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.core.clock import SystemClock, wait_until
from harness.host import state
from harness.providers.nspawn import NspawnProvider, bridge, cgroups
from harness.providers.vagrant import own_libvirt
from tests.cluster.running import environ

# Not beside tests of inventories: a sweep is this machine's, so that either would sweep what the other has left dead for its own.
pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("inventory")]

LAB, DEAD = "lab-of-somebodys", "died-7f3a"

_DIES = """
import os, sys
from harness.core.values import NodeSpec
from harness.providers.nspawn import NspawnProvider
NspawnProvider().create(sys.argv[1], [NodeSpec("n1", "10.77.0.11", faultable_disk=True)])
os._exit(0)
"""


@pytest.fixture
def short() -> Iterator[Path]:
    """Lend a folder with a short name: a node's sockets lie in it."""
    with tempfile.TemporaryDirectory(prefix="wfs", dir="/tmp") as folder:
        yield Path(folder)


def _run(*argv: str) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=True, timeout=120).stdout


@pytest.fixture
def theirs() -> Iterator[list[str]]:
    """Make a stranger's namespaces and groups, with a process in them; return the words by which a sweep tells them."""
    names = [f"wf-{LAB}", f"wf-{LAB}.n1", f"wfv-{LAB}"]
    groups = [top / "whalefall" / LAB for top in cgroups.hierarchies()]
    try:
        for name in names:
            _run("ip", "netns", "add", name)
        for group in groups:
            (group / "n1").mkdir(parents=True)
        yield [*(f"network namespace {each}" for each in names), *(f"control group {each}" for each in groups)]
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False, timeout=60)
        for group in groups:
            for each in (group / "n1", group):
                with contextlib.suppress(FileNotFoundError):
                    each.rmdir()


def _sweep(folder: Path) -> str:
    with subprocess.Popen(
        [sys.executable, "-m", "harness", "sweep"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environ(WHALEFALL_STATE=str(folder), PYTHONFAULTHANDLER="1"),
    ) as child:
        try:
            said, complained = child.communicate(timeout=120)
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGABRT)  # it then says where it is
            said, complained = child.communicate()
    assert child.returncode == 0, said + complained
    return " ".join(said.split())


def test_what_is_only_called_as_ours_outlives_a_sweep(short: Path, theirs: list[str]) -> None:
    """Namespaces, groups, who runs in them, and folders: each is told, and is there afterwards. Nothing is made under their name."""
    backup = short / "runs" / "backup"
    backup.mkdir(parents=True)
    (backup / "precious").touch()
    group = cgroups.hierarchies()[0] / "whalefall" / LAB
    with subprocess.Popen(["ip", "netns", "exec", f"wf-{LAB}", "sleep", "600"]) as child:
        try:
            (group / "n1" / "cgroup.procs").write_text(str(child.pid))
            said = _sweep(short)
            assert child.poll() is None
        finally:
            child.kill()
            child.wait()
    for each in (*theirs, str(backup)):
        assert f"{each}: left alone" in said
    assert bridge.named(LAB) == [f"wf-{LAB}", f"wf-{LAB}.n1"]
    assert own_libvirt.path_of(LAB).exists()
    assert group.is_dir()
    assert (backup / "precious").exists()
    for command in re.findall(r"`([^`]*)` removes it", said):  # each is told with what removes it
        if LAB in command or str(short) in command:
            subprocess.run(["sh", "-c", command], check=True, timeout=60)
    assert not bridge.named(LAB)
    assert not cgroups.named(LAB)
    assert not own_libvirt.path_of(LAB).exists()
    assert not backup.exists()


def test_a_run_under_a_name_that_somebody_has_does_not_begin(short: Path, theirs: list[str]) -> None:
    """Nothing of theirs is taken for its own, and nothing of it is left."""
    assert theirs
    done = subprocess.run(
        [sys.executable, "-c", _DIES, LAB],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=environ(WHALEFALL_STATE=str(short)),
    )
    assert f"somebody has what {LAB} would make" in done.stderr
    assert bridge.named(LAB) == [f"wf-{LAB}", f"wf-{LAB}.n1"]
    assert not (state.REGISTRY / f"{LAB}.json").exists()


@pytest.mark.parametrize("lost", ["nothing", "its entry", "its folder", "entry and folder"])
def test_a_dead_runs_own_are_swept_whatever_is_left_of_its_records(short: Path, theirs: list[str], lost: str) -> None:
    """Machines, namespaces, groups, disks: by the word of the run where no record tells; nothing of the stranger's beside it."""
    NspawnProvider().prepare(lambda _: None)
    done = subprocess.run(
        [sys.executable, "-c", _DIES, DEAD],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=environ(WHALEFALL_STATE=str(short)),
    )
    try:
        assert done.returncode == 0, done.stderr
        assert len(bridge.named(DEAD)) == 2
        assert len(cgroups.processes(DEAD)) >= 2, "each machine's own, however far it has come"
        if "entry" in lost:
            (state.REGISTRY / f"{DEAD}.json").unlink()
        if "folder" in lost:
            shutil.rmtree(short / "runs")
        told = _sweep(short)
    finally:
        if lost == "nothing":
            NspawnProvider().destroy(DEAD)
    assert f"{DEAD}: removed" in told
    assert not bridge.named(DEAD)
    assert not cgroups.named(DEAD)
    wait_until(
        lambda: str(short) not in _run("losetup", "--list", "--output", "BACK-FILE"),
        awaited="no loop device to be left",
        seconds=20.0,
        clock=SystemClock(),
    )
    assert not (short / "runs" / DEAD).exists()
    assert all(f"{each}: left alone" in told for each in theirs)
    assert bridge.named(LAB) == [f"wf-{LAB}", f"wf-{LAB}.n1"]
