"""Who still writes a run's folder. While somebody does, there is no verdict of it, whatever lies there: judged now, it would be judged halfway."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from harness.host.processes import Process, parent, reapers

if TYPE_CHECKING:
    from pathlib import Path


def writers() -> dict[Path, Process]:
    """Return the folders of all runs of this machine that still go, each with its harness: the parent of its reaper, which has the history open.

    Where it may not be asked for its files (another user's), that it lives counts: better no verdict yet than half of one.
    """
    found = {}
    for reaper, _, folder in reapers():
        harness = Process.of(parent(reaper.pid) or 0)
        if harness is not None and _has_open(harness, folder / "history.jsonl"):
            found[folder] = harness
    return found


def writer_of(folder: Path) -> Process | None:
    """Return the harness of a run that still goes; None where it is over, or its harness is gone."""
    return writers().get(folder.resolve())


def _has_open(process: Process, file: Path) -> bool:
    """Whether a process has a file open. Of one that may not be asked: yes, unless it is the first of the machine, which takes over orphans."""
    try:
        wanted = file.stat()
        handles = list(os.scandir(f"/proc/{process.pid}/fd"))
    except PermissionError:
        return process.pid != 1
    except OSError:
        return False
    for each in handles:
        try:
            if os.path.samestat(wanted, each.stat()):
                return True
        except OSError:  # closed meanwhile, or nothing that has a file
            continue
    return False
