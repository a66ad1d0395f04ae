"""One process of this machine at a time, for what all runs share: the folder of the register, its key, and the tree of control groups.

The lock is on the register's folder itself, so that none is wanting where the disk that it lies on has room for no file more: what was made can be
removed all the same. The folder goes with the last run and comes with the next, so whoever waits may hold one that has gone meanwhile.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from harness.core import pace
from harness.core.clock import SystemClock
from harness.core.errors import HarnessError
from harness.host import locks, private, state

ALONE_SECONDS = 30.0
"""How long other runs may keep us out: each does so for some milliseconds."""


@contextmanager
def alone() -> Iterator[None]:
    """Keep all other runs of this machine from changing what they share meanwhile.

    Raises `HarnessError` where they do not let us in, and `harness.host.locks.HeldUp` soon where whoever keeps us out is stopped.

    The register's folder is there meanwhile, and removed afterwards if nothing is in it. Only root can open it: a lock on one that everybody may
    read could be held by anybody, for good.
    """
    (handle,) = locks.awaited(
        lambda: _taken(state.REGISTRY),
        state.REGISTRY,
        what="other runs of this machine to have changed what all share",
        seconds=pace.limit(ALONE_SECONDS),
        clock=SystemClock(),
        every=0.01,
    )
    try:
        yield
    finally:
        with suppress(OSError):
            state.REGISTRY.rmdir()  # only when it is empty; while we hold it: who waits for it sees that it is not the one any more
        os.close(handle)


def _taken(folder: Path) -> tuple[int] | None:
    """Take the lock of a folder that may be removed by whoever had it before; None where somebody has it now."""
    try:
        handle = os.open(private.folder(folder), os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:  # the folder was removed meanwhile
        return None
    except OSError as error:
        raise HarnessError(f"cannot take the lock {folder}: {error.strerror}") from error
    try:
        if locks.taken(handle) and os.path.samestat(os.fstat(handle), folder.stat()):
            return (handle,)
    except FileNotFoundError:
        pass
    except BaseException:
        os.close(handle)
        raise
    os.close(handle)
    return None
