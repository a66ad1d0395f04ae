"""Who still writes a run's folder. While somebody does, there is no verdict of it, whatever lies there: judged now, it would be judged halfway."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from harness.host import locks, processes
from harness.host.processes import PROC, Process

if TYPE_CHECKING:
    from collections.abc import Iterator

HISTORY: Final = "history.jsonl"


def writers() -> dict[Path, Process]:
    """Return the folders of all runs of this machine that still go, each with its harness: who has the history open to write, reaper or not.

    Where it may not be asked for its files (another user's), that the parent of the run's reaper lives counts: better no verdict yet than half of
    one.
    """
    found = dict(_unasked())
    mine: dict[int, bool] = {}
    for count, (pid, number) in enumerate(processes.handles(), 1):
        if count == processes.MOST_HANDLES:  # could not look is not nobody: whoever has a reaper may still write
            found = {**dict(_with_reapers()), **found}
        try:
            if pid not in mine:
                mine[pid] = processes.is_trusted(pid)
            written = _written(pid, number) if mine[pid] else None
            process = Process.of(pid) if written is not None else None
        except OSError:  # it has ended, or closed it
            continue
        if written is not None and process is not None:
            found[written.parent] = process
    return found


def writer_of(folder: Path) -> Process | None:
    """Return the harness of a run that still goes; None where it is over, or its harness is gone.

    The kernel names who has the lock of its history, by whatever path; where it names nobody, all open files are looked at.
    """
    return locks.taker(folder / HISTORY) or writers().get(folder.resolve())


def writes_any(process: Process) -> bool:
    """Whether a process is the harness of some run: it has a history open to write. No where it may not be asked."""
    try:
        numbers = os.listdir(PROC / str(process.pid) / "fd")  # noqa: PTH208 - names
        asked = processes.is_trusted(process.pid) and process.alive
    except OSError:  # it has ended, or is somebody else's
        return False
    for number in numbers if asked else ():
        with suppress(OSError):  # that one was closed
            if _written(process.pid, number) is not None:
                return True
    return False


def _written(pid: int, number: str) -> Path | None:
    """Return the history that an open file is, where it is open to write; None of every other. Raises `OSError`."""
    path = os.readlink(f"{PROC}/{pid}/fd/{number}")  # noqa: PTH115 - a machine has thousands of open files, and few are histories
    return Path(path) if path.endswith(f"/{HISTORY}") and _writes(pid, processes.told(pid, number)) else None


def _with_reapers() -> Iterator[tuple[Path, Process]]:
    """Yield the folders of runs with a reaper whose parent lives, unless that is the first of the machine, which takes over orphans."""
    for reaper, _, folder in processes.reapers():
        harness = Process.of(processes.parent(reaper.pid) or 0)
        if harness is not None and harness.pid != 1:
            yield folder, harness


def _unasked() -> Iterator[tuple[Path, Process]]:
    """Yield those of them whose parent may not be asked for its files."""
    for folder, harness in _with_reapers():
        try:
            os.listdir(PROC / str(harness.pid) / "fd")  # noqa: PTH208 - whether that is allowed
        except PermissionError:
            yield folder, harness
        except OSError:  # it has ended
            continue


def _writes(pid: int, told: bytes) -> bool:
    """Whether a process has a file open to write, by what the kernel tells of it, and took its lock: a fork of who did is not the harness."""
    taken = re.search(rb"^lock:.* WRITE (\d+) ", told, re.MULTILINE)
    return processes.is_to_write(told) and (taken is None or int(taken[1]) == pid)
