"""Slowness is no fault: a machine with more to do than it can, and a harness that stands still, convict no cluster."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness.core.clock import SystemClock, wait_until
from harness.core.values import Stage, Verdict
from harness.history.events import HARNESS, FaultStage, History, Stalled
from harness.runs.judge import judge_folder
from harness.runs.run import Run
from tests.cluster.running import FAST, environ, run_argv

SEEDS = (1, 2, 3, 4, 5, 6)
SIDE_BY_SIDE = 6
"""Runs at a time: with the loops that is far more than two cores can do."""
LOOPS = 3
LONGEST = 170.0
"""Seconds after which a busy loop ends by itself, whatever became of whoever started it."""
LOOP = f"import time; end = time.monotonic() + {LONGEST}\nwhile time.monotonic() < end: pass"
RUN_SECONDS = 160.0
STILL_SECONDS = 15.0

pytestmark = [pytest.mark.cluster, pytest.mark.slow]


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return a folder for results and state. Not pytest's own: its paths are too long for machines."""
    with tempfile.TemporaryDirectory(prefix="wf-slow-") as made:
        yield Path(made)


@pytest.fixture
def noise() -> Iterator[None]:
    """Keep every core busy with something else, for as long as the test lasts."""
    loops = [subprocess.Popen([sys.executable, "-c", LOOP]) for _ in range(LOOPS)]
    yield
    for loop in loops:
        loop.kill()
        loop.wait()


def start(folder: Path, seed: int, *options: str) -> subprocess.Popen[str]:
    """Start a run of node-kill with fast timers, with results and state of its own."""
    return subprocess.Popen(
        run_argv("node-kill.yaml", folder / f"seed-{seed}", *FAST, *options, seed=seed),
        env=environ(WHALEFALL_STATE=str(folder / "state")),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def ended(folder: Path, seed: int, child: subprocess.Popen[str]) -> tuple[int, str, Run]:
    """Wait for a run's end; return its exit status, what it said, and the run as judged."""
    said, _ = child.communicate(timeout=RUN_SECONDS)
    return child.returncode, said, judge_folder((folder / f"seed-{seed}" / "latest").resolve())


def why(runs: Sequence[tuple[int, str, Run]]) -> list[str]:
    """Say of each run how it came out, and because of what."""
    found = []
    for status, _, run in runs:
        worst = [f"{each.checker}: {each.summary}" for each in run.findings if each.verdict is not Verdict.HELD]
        found.append(f"seed {run.plan.seed}: exit {status}, {run.verdict}: {'; '.join(worst)}")
    return found


@pytest.mark.noise
def test_a_busy_machine_breaks_no_promise(folder: Path, noise: None) -> None:
    """Six losses of a node with fast timers, beside three busy loops: the work comes back in time, or nobody can tell."""

    def one(seed: int) -> tuple[int, str, Run]:
        return ended(folder, seed, start(folder, seed))

    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        runs = list(pool.map(one, SEEDS))
    assert [
        each for each, (status, _, run) in zip(why(runs), runs, strict=True) if status not in {0, 3} or run.verdict is Verdict.BROKEN
    ] == []


def test_a_harness_that_stood_still_accuses_nobody_and_says_so(folder: Path) -> None:
    """Stopped for 15 s just when the fault was in force: while the work came back nobody looked, and nobody called."""
    child = start(folder, 7)
    clock = SystemClock()

    def in_force() -> bool:
        file = folder / "seed-7" / "latest" / "history.jsonl"
        seen = History.load(file).each(FaultStage) if file.exists() else ()
        return any(event.stage is Stage.IN_FORCE for _, event in seen)

    wait_until(in_force, awaited="the fault to be in force", seconds=90.0, clock=clock, every=0.1)
    child.send_signal(signal.SIGSTOP)
    try:
        still = clock.now() + STILL_SECONDS
        wait_until(lambda: clock.now() >= still, awaited="the end of the stop", seconds=2 * STILL_SECONDS, clock=clock, every=1.0)
    finally:
        child.send_signal(signal.SIGCONT)
    status, said, run = ended(folder, 7, child)
    assert run.verdict is not Verdict.BROKEN, why([(status, said, run)])
    assert status in {0, 3}
    stalls = [event for _, event in run.history.each(Stalled) if event.who == HARNESS and event.seconds > STILL_SECONDS - 1.0]
    assert len(stalls) == 1
    assert f"the harness itself stood still for {stalls[0].seconds:.1f} s" in " ".join(said.split())
