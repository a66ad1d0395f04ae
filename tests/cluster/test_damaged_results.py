"""What becomes of a real run whose results folder fills up, is removed, or holds a ledger that nobody can read."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.core.clock import SystemClock, wait_until
from harness.host import state
from harness.providers.nspawn import NspawnProvider
from harness.undo import ledger
from tests.cluster.running import FAST, environ, run_argv

SECONDS = 90.0
FULL = 'mount -t tmpfs -o size=512k none "$1" && shift && exec "$@"'
"""Gives a command a folder on a small disk of its own; in a mount namespace of its own, so that the disk goes with it."""

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("damaged")]


@contextmanager
def _running(tmp_path: Path, *, disk: bool = False) -> Iterator[tuple[subprocess.Popen[str], Path, Path]]:
    """Start a run that kills a node; give the process, its results folder as it sees it, and the run's folder once its ledger is there."""
    results = tmp_path / "results"
    results.mkdir()
    run = run_argv("node-kill.yaml", results, *FAST)
    around = ["unshare", "--mount", "--propagation", "private", "sh", "-c", FULL, "sh", str(results)] if disk else []
    with subprocess.Popen(
        [*around, *run],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environ(),
        start_new_session=True,
    ) as child:
        seen = Path(f"/proc/{child.pid}/root{results}")
        try:
            _await(lambda: any(seen.glob("*/ledger.jsonl")), "the ledger to be there")
            (folder,) = [each for each in seen.iterdir() if not each.is_symlink()]
            yield child, seen, folder
        finally:
            child.kill()


def _await(condition: Callable[[], bool], awaited: str) -> None:
    wait_until(condition, awaited=awaited, seconds=SECONDS, clock=SystemClock(), every=0.02)


def _await_phase(child: subprocess.Popen[str], folder: Path, name: str) -> None:
    def there() -> bool:
        if child.poll() is not None:
            raise AssertionError(f"the run ended before it was {name}: {child.communicate()[0]}")
        file = folder / "history.jsonl"
        return file.exists() and f'"{name}"' in file.read_text()

    _await(there, f"the cluster to be {name}")


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        while True:
            file.write(b"\0" * 4096)


def _gone(run_id: str) -> bool:
    return not NspawnProvider().leftovers(run_id) and not state.run_folder(run_id).exists()


def test_a_disk_that_fills_up_before_a_fault_keeps_it_from_being_made(tmp_path: Path) -> None:
    """Nobody could mend it after us. The run fails with the disk's word, and the cluster is gone."""
    with _running(tmp_path, disk=True) as (child, seen, folder):
        run_id = folder.name
        _await_phase(child, folder, "steady")
        with pytest.raises(OSError, match="No space left"):
            _fill(seen / "filler")
        said, _ = child.communicate(timeout=SECONDS)
        assert child.returncode == 4, said
        assert "No space left on device" in said
        assert "bug" not in said
        assert "is in force" not in said
    _await(lambda: _gone(run_id), "the cluster to be gone")


def test_a_bad_line_in_the_ledger_of_a_killed_run_keeps_nothing_from_being_removed(tmp_path: Path) -> None:
    """The reaper skips it, says so, and removes the cluster all the same."""
    with _running(tmp_path) as (child, _, there):
        folder = tmp_path / "results" / there.name  # by a path that outlives the process
        with (folder / "ledger.jsonl").open("ab") as file:
            file.write(b'{"state": "open", "number": "many"}\n')
        _await(lambda: bool(ledger.unsettled(folder / "ledger.jsonl")), "a fault to be made")
        child.send_signal(signal.SIGKILL)
    _await(lambda: _gone(folder.name), "the cluster to be gone")
    _await(lambda: "the cluster was removed" in (folder / "reaper.log").read_text(), "the reaper to have said so")
    log = (folder / "reaper.log").read_text()
    assert "ledger.jsonl:1 is no line of a ledger" in log
    assert "Traceback" not in log
    assert "went with it" in log


def test_results_that_are_removed_while_a_run_goes_on_are_told_as_that(tmp_path: Path) -> None:
    """Never as a bug of ours; the cluster is gone all the same."""
    with _running(tmp_path) as (child, seen, folder):
        run_id = folder.name
        _await_phase(child, folder, "steady")
        shutil.rmtree(seen)
        said, _ = child.communicate(timeout=SECONDS)
        assert child.returncode == 4, said
        assert "bug" not in said
        assert "removed" in said
        assert "is in force" not in said, "the run ends before anything is broken"
    _await(lambda: _gone(run_id), "the cluster to be gone")
