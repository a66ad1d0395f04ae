"""Who still writes a run's folder. While somebody does, there is no verdict of it, whatever lies there: judged now, it would be judged halfway."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

from harness.host import locks, processes
from harness.host.processes import PROC, Process

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

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
            if not mine.setdefault(pid, processes.is_trusted(pid)):
                continue
            path = (PROC / str(pid) / "fd" / number).readlink()
            process = Process.of(pid) if path.name == HISTORY and _writes(pid, processes.told(pid, number)) else None
        except OSError:  # it has ended, or closed it
            continue
        if process is not None:
            found[path.parent] = process
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
    return asked and any(_is_history(process.pid, number) for number in numbers)


def _is_history(pid: int, number: str) -> bool:
    """Whether an open file is a history, open to write."""
    try:
        return (PROC / str(pid) / "fd" / number).readlink().name == HISTORY and _writes(pid, processes.told(pid, number))
    except OSError:  # it was closed
        return False


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
