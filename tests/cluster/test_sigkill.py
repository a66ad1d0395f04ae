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
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness.core.clock import SystemClock, wait_until
from harness.disk import fuse_connection
from harness.providers.nspawn import NspawnProvider, bridge, cgroups, machine
from tests.cluster.running import FAST, environ, run_argv

MOMENTS = 3
"""In each of four scenarios, other ones in each run of the tests."""
SPREAD = 25.0
"""Seconds over which the moments are spread, from the first machine on: a run with fast timers forms in about 4 s, and soon breaks a node."""
SECONDS = 10.0
"""Within which everything must be gone."""
ACTING = Path(__file__).parent / "acting_session.py"
AT_ONCE = 3
"""Harnesses with a node of its own each, which are killed beside each other."""

pytestmark = [pytest.mark.cluster, pytest.mark.slow]


def _left(folder: Path, run_ids: list[str]) -> list[str]:
    """Say what is left of runs on this machine: namespaces, groups, processes, mounts, loop devices, files."""
    found: list[str] = []
    for run_id in run_ids:
        found += [f"namespace {each}" for each in bridge.named(run_id)]
        found += [f"group {each}" for each in cgroups.named(run_id)]
        names = {machine.machine_name(run_id, f"n{number}") for number in range(1, 10)}
        found += [f"trace {each}" for each in machine.TRACES.glob("*/*") if each.name in names]
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
    loops = subprocess.run(
        ["losetup", "--list", "--noheadings", "--output", "NAME,BACK-FILE"], capture_output=True, text=True, check=True, timeout=20
    )
    found += [f"loop device {line}" for line in loops.stdout.splitlines() if str(folder) in line]
    found += [f"connection {number}" for number in fuse_connection.open_ones(_notes(folder)).values()]
    state = folder / "state" / "runs"
    if state.is_dir():
        found += [f"folder {each}" for each in state.iterdir()]
    return found


def _notes(folder: Path) -> list[tuple[Path, Path]]:
    return [(each / "disk.connection", each / "fuse") for each in folder.glob("state/runs/*/nodes/*")]


def _run_ids(results: Path) -> list[str]:
    return [each.name for each in results.iterdir() if not each.is_symlink() and not each.name.startswith(".")] if results.is_dir() else []


def _killed_at(moment: float, scenario: str) -> int:
    """Kill a run `moment` seconds after its first machine was there; see `_killed`."""

    def until(folder: Path) -> None:
        _booting(folder, "when the first machine is there and others boot")
        threading.Event().wait(moment)  # the moment is the point of the test

    return _killed(until, _running(scenario), f"{moment:.2f} s after its first machine was there")


def _running(scenario: str) -> Callable[[Path], list[str]]:
    """Return what gives the command that runs a scenario, by the folder that it is to be run in."""
    return lambda folder: run_argv(scenario, folder / "results", *FAST)


def _killed(until: Callable[[Path], object], argv: Callable[[Path], list[str]], when: str) -> int:
    """Start a run in a process of its own and kill it with SIGKILL when `until`, which is given the run's folder, returns.

    Raises `Expired` if anything is left 10 s later. Returns how many things of it were there just before: the same look that must find nothing
    afterwards.
    """
    folder = Path(tempfile.mkdtemp(prefix="wfk", dir="/tmp"))
    results = folder / "results"
    try:
        with subprocess.Popen(
            argv(folder),
            env=environ(WHALEFALL_STATE=str(folder / "state")),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            start_new_session=True,
        ) as child:
            try:
                until(folder)
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
            awaited=f"nothing to be left of a harness killed {when}",
            seconds=SECONDS,
            clock=SystemClock(),
            every=1.0,  # a look reads what every process of this machine has mounted
            saw=lambda: "; ".join(left),
        )
        return there
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module", autouse=True)
def _image() -> None:
    """Have the node image built before the first moment is counted: a harness that waits for it has made nothing yet."""
    NspawnProvider().prepare(lambda _: None)


@pytest.mark.parametrize("scenario", ["node-kill.yaml", "slow-disk-leader.yaml", "partition-minority.yaml", "daemon-hang.yaml"])
def test_a_killed_harness_leaves_nothing(scenario: str) -> None:
    """Runs that are killed at random moments between their first machine and their end are all gone 10 s later."""
    moments = [random.uniform(0.0, SPREAD) for _ in range(MOMENTS)]  # noqa: S311 - moments that the tests' seed repeats, not secrets
    there = [_killed_at(moment, scenario) for moment in moments]
    assert max(there) > 10, f"killed after {moments}, with {there} things there: too little to prove anything by their being gone"


BOOTING = {
    "while the first machine is laid out": "runs/*/nodes/*/disk/disk.img",
    "when its launcher has just started": "runs/*/nodes/*/console.log",
    "when its disk has just been mounted": "runs/*/nodes/*/disk.sock",
    "when the first machine is there and others boot": "runs/*/nodes/*/machine.json",
}


def _booting(folder: Path, when: str) -> None:
    """Wait for one of these moments of a run in this folder."""
    wait_until(
        lambda: any((folder / "state").glob(BOOTING[when])), awaited=f"a moment {when}", seconds=60.0, clock=SystemClock(), every=0.002
    )


@pytest.mark.parametrize("when", BOOTING)
def test_a_harness_killed_while_machines_boot_leaves_nothing(when: str) -> None:
    """Neither of ours nor of third parties: nspawn leaves folders of machines that it did not see end."""
    there = _killed(lambda folder: _booting(folder, when), _running("slow-disk-leader.yaml"), when)
    assert there > 0


ACTED = {
    "fleet": (
        "app.scale, with: {app: web, instances: 2}",
        "app.restart, with: {app: web}",
        "app.update, with: {app: web, environment: {MODE: new}}",
        "app.remove, with: {app: web}",
        "app.deploy, with: {app: api, instances: 2}",
        "service.stop, with: {service: docker}, on: n1",
    ),
    "swarm": ("node.drain, on: n1",),
}
"""What is done in which mode, to one node."""
SCENARIO = """\
scenario: killed
why: the harness is killed in the middle of an action
cluster: {mode: %s, nodes: 1, profile: fast}
apps: [{name: web, instances: 1, conflicts: false}, {name: api, instances: 0, host port: 8100, conflicts: false}]
steps: [{do: %s}, {fault: node.kill, on: n1, hold: 1s}]
promises: [conflicts]
"""


def test_a_harness_killed_in_the_middle_of_an_action_leaves_nothing() -> None:
    """When the orchestrator has taken the first change, or a node is at it: what is half done goes with the nodes, and these go."""

    def killed(mode: str, action: str) -> int:
        def acting(folder: Path) -> list[str]:
            scenario = folder / "killed.yaml"
            scenario.write_text(SCENARIO % (mode, action))
            return [sys.executable, str(ACTING), str(scenario), str(folder / "results"), str(folder / "middle")]

        def in_the_middle(folder: Path) -> None:
            wait_until((folder / "middle").exists, awaited=f"the middle of {action}", seconds=60.0, clock=SystemClock(), every=0.01)

        return _killed(in_the_middle, acting, f"in the middle of {action}")

    with ThreadPoolExecutor(AT_ONCE) as pool:
        doing = {action: pool.submit(killed, mode, action) for mode, every in ACTED.items() for action in every}
    there = {action: each.result() for action, each in doing.items()}
    assert min(there.values()) > 0, there
