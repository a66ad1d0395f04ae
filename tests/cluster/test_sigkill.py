"""Killing the harness at any moment leaves nothing behind."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from harness.clock import SystemClock, wait_until
from harness.providers.nspawn import NspawnProvider, cgroups, network

REPO = Path(__file__).resolve().parents[2]
MOMENTS = 20
SPREAD = 25.0
"""Seconds over which the moments are spread: a run with fast timers forms in about 4 s and breaks a node a few seconds later."""
SECONDS = 10.0
"""Within which everything must be gone."""

OPTIONS = ("--profile", "fast", "--seed", "7", "--plain")

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.xdist_group("sigkill")]


def _left(folder: Path, run_ids: list[str]) -> list[str]:
    """Say what is left of runs on this machine: namespaces, groups, processes, mounts, loop devices, files."""
    found: list[str] = []
    for run_id in run_ids:
        found += [f"namespace {each}" for each in network.namespaces(run_id)]
        found += [f"group {each}" for each in cgroups.left(run_id)]
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            command = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
            mounts = (entry / "mountinfo").read_text()
        except OSError:
            continue
        if str(folder).encode() in command or str(folder) in mounts:
            found.append(f"process {entry.name}: {command[:120]!r}")
    loops = subprocess.run(["losetup", "--list", "--noheadings", "--output", "NAME,BACK-FILE"], capture_output=True, text=True, check=True)
    found += [f"loop device {line}" for line in loops.stdout.splitlines() if str(folder) in line]
    state = folder / "state" / "runs"
    if state.is_dir():
        found += [f"folder {each}" for each in state.iterdir()]
    return found


def _run_ids(results: Path) -> list[str]:
    return [each.name for each in results.iterdir() if not each.is_symlink() and not each.name.startswith(".")] if results.is_dir() else []


def _killed_at(moment: float, scenario: str) -> int:
    """Start a run in a process of its own and kill it with SIGKILL after `moment` seconds. Raises `Expired` if anything is left 10 s later.

    Returns how many things of it were there just before: the same look that must find nothing afterwards.
    """
    folder = Path(tempfile.mkdtemp(prefix="wfk", dir="/tmp"))
    results = folder / "results"
    try:
        with subprocess.Popen(
            [sys.executable, "-m", "harness", "run", str(REPO / "scenarios" / scenario), *OPTIONS, "--results", str(results)],
            env={**os.environ, "WHALEFALL_STATE": str(folder / "state"), "PYTHONPATH": str(REPO)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            start_new_session=True,
        ) as child:
            try:
                threading.Event().wait(moment)  # the moment is the point of the test: nothing is awaited here
                there = len(_left(folder, _run_ids(results)))
            finally:
                child.send_signal(signal.SIGKILL)
        run_ids = _run_ids(results)
        left: list[str] = []

        def clean() -> bool:
            left[:] = _left(folder, run_ids)
            return not left

        wait_until(
            clean,
            awaited=f"nothing to be left of a harness killed after {moment:.2f} s",
            seconds=SECONDS,
            clock=SystemClock(),
            every=0.2,
            saw=lambda: "; ".join(left),
        )
        return there
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module", autouse=True)
def _image() -> None:
    """Have the node image built before the first moment is counted: a harness that waits for it has made nothing yet."""
    NspawnProvider().prepare(lambda _: None)


@pytest.mark.parametrize("part", range(4))
def test_a_killed_harness_leaves_nothing(part: int) -> None:
    """Twenty runs, killed at random moments between their start and their end, are all gone 10 s later."""
    rng = random.Random(f"sigkill-{part}")  # noqa: S311 - moments that can be repeated, not secrets
    moments = [rng.uniform(0.1, SPREAD) for _ in range(MOMENTS // 4)]
    scenarios = ["node-kill.yaml", "slow-disk-leader.yaml", "partition-minority.yaml", "daemon-hang.yaml"]
    there = [_killed_at(moment, scenarios[part]) for moment in moments]
    assert max(there) > 10, f"killed after {moments}, with {there} things there: too little to prove anything by their being gone"
