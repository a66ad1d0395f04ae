"""One process of this machine at a time, for what all runs share: the folder of the register, its key, and the tree of control groups.

The lock lies in the register's folder. Both go with the last run and come with the next, so whoever waits may hold one that has gone meanwhile.
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

    The register's folder is there meanwhile, and removed afterwards if nothing is in it. By a file that only root can open: a lock on a folder
    that everybody may read could be held by anybody, for good.
    """
    lock = state.REGISTRY / "lock"
    (handle,) = locks.awaited(
        lambda: _taken(lock),
        lock,
        what="other runs of this machine to have changed what all share",
        seconds=pace.limit(ALONE_SECONDS),
        clock=SystemClock(),
        every=0.01,
    )
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)  # while we hold it: who waits for it sees that it is not the one any more
        os.close(handle)
        with suppress(OSError):
            state.REGISTRY.rmdir()  # only when it is empty


def _taken(lock: Path) -> tuple[int] | None:
    """Take a lock that may be removed by whoever had it before; None where somebody has it now."""
    try:
        private.folder(lock.parent)
        handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, private.FILE_MODE)
    except FileNotFoundError:  # the folder was removed meanwhile
        return None
    except OSError as error:
        raise HarnessError(f"cannot take the lock {lock}: {error.strerror}") from error
    try:
        if locks.taken(handle) and os.path.samestat(os.fstat(handle), lock.stat()):
            return (handle,)
    except FileNotFoundError:
        pass
    except BaseException:
        os.close(handle)
        raise
    os.close(handle)
    return None
