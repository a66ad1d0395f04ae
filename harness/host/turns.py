"""Runs that share a folder of results: many beside each other, or one that no other runs beside. For what only an idle machine can tell.

Whoever is to be by itself waits until those that run now have ended, and nobody begins meanwhile. It is a courtesy, and nobody's verdict hangs on it:
who is kept waiting for too long, or by a process that is stopped, goes on all the same, and so does everybody where the folder cannot be locked.
"""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from harness.core.errors import Expired
from harness.host import locks, private

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from harness.core.clock import Clock

DOOR = ".turns"
"""The file in the folder that is locked by whoever waits for its turn. The folder's own lock is that of those who run."""
SECONDS = 600.0
"""How long somebody waits for those that run now: a run takes some minutes at most."""
_EVERY_SECONDS = 0.2


@contextmanager
def beside(folder: Path, clock: Clock) -> Iterator[None]:
    """Run beside others that do so, once nobody is or is to be by itself."""
    with _opened(folder) as (door, room):
        if _waited(door, folder / DOOR, clock, 2 * SECONDS):  # for one that waits as long as it may, and then runs
            _waited(room, folder, clock, SECONDS, shared=True)
            _let_go(door)
        yield


@contextmanager
def by_itself(folder: Path, clock: Clock) -> Iterator[None]:
    """Run while none of those is `beside` it that have the same folder."""
    with _opened(folder) as (door, room):
        if _waited(door, folder / DOOR, clock, 2 * SECONDS):
            _waited(room, folder, clock, SECONDS)
        yield


@contextmanager
def _opened(folder: Path) -> Iterator[tuple[int, int]]:
    """Give a handle of the door and one of the folder, -1 for what cannot be opened. Both are closed at the end, which lets go of their locks."""
    handles = [-1, -1]
    try:
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            handles[0] = os.open(folder / DOOR, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, private.FILE_MODE)
            handles[1] = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        yield handles[0], handles[1]
    finally:
        for handle in handles:
            if handle >= 0:
                os.close(handle)


def _waited(handle: int, path: Path, clock: Clock, seconds: float, *, shared: bool = False) -> bool:
    """Wait for a lock, and say whether it was to be had."""
    with suppress(Expired, locks.HeldUp, OSError):
        return handle >= 0 and locks.awaited(
            lambda: locks.taken(handle, shared=shared), path, what="a turn", seconds=seconds, clock=clock, every=_EVERY_SECONDS
        )
    return False


def _let_go(handle: int) -> None:
    with suppress(OSError):
        locks.released(handle)
