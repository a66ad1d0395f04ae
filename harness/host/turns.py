"""Runs that share a folder of results: many beside each other, or one that no other runs beside. For what only an idle machine can tell.

Whoever is to be by itself waits until those that run now have ended, and nobody begins meanwhile. It is a courtesy, and nobody's verdict hangs on it:
who is kept waiting for too long, or by a process that is stopped, goes on all the same, and so does everybody where the folder cannot be locked.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

from harness.core.errors import Expired
from harness.host import locks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from harness.core.clock import Clock

DOOR = ".turns"
"""The file in the folder that is locked by whoever waits for its turn. The folder's own lock is that of those who run."""
SECONDS = 600.0
"""How long somebody waits for those that run now: a run takes some minutes at most."""
_TURN = "a turn"


@contextmanager
def beside(folder: Path, clock: Clock) -> Iterator[None]:
    """Run beside others that do so, once nobody is or is to be by itself."""
    folder = folder.resolve()
    with ExitStack() as room:
        with _courteously(), ExitStack() as door:
            _enter(door, folder, clock)
            room.enter_context(locks.held(folder, what=_TURN, seconds=SECONDS, clock=clock, shared=True))
        yield


@contextmanager
def by_itself(folder: Path, clock: Clock) -> Iterator[None]:
    """Run while none of those is `beside` it that have the same folder."""
    folder = folder.resolve()
    with ExitStack() as both:
        with _courteously():
            _enter(both, folder, clock)
            both.enter_context(locks.held(folder, what=_TURN, seconds=SECONDS, clock=clock))
        yield


def _enter(door: ExitStack, folder: Path, clock: Clock) -> None:
    """Take the door's lock, after one that waits as long as it may, and then runs."""
    folder.mkdir(parents=True, exist_ok=True)
    door.enter_context(locks.held(folder / DOOR, what=_TURN, seconds=2 * SECONDS, clock=clock))


def _courteously() -> suppress:
    """Go on where a lock cannot be had."""
    return suppress(Expired, locks.HeldUp, OSError)
