"""Locks on files that processes of this machine share: waited for with an end, and told whose they are.

The kernel lets go of a lock when its holder dies. But one that is stopped (SIGSTOP, Ctrl-Z) neither lets go nor dies. So whoever is kept waiting says
at once who that is and what lets it go on, and does not wait for what will not come by itself.
"""

from __future__ import annotations

import fcntl
import os
import re
import signal
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from harness.core.clock import wait_until
from harness.core.errors import HarnessError, brief
from harness.core.plain import in_line
from harness.host import private, processes
from harness.host.processes import PROC, Process

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from harness.core.clock import Clock

T = TypeVar("T")

LOOK_SECONDS = 0.25
"""Between two looks at who has a lock: most are let go of within milliseconds, and a look goes through all open files of this machine."""
STOPPED_SECONDS = 1.0
"""How long whoever has a lock may be seen stopped before nobody waits any more: somebody may be looking into it for a moment."""


class HeldUp(HarnessError):
    """A lock is held by a process that is stopped: nobody lets go of it until somebody lets that one go on, or ends it."""


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that has a lock."""

    process: Process
    command: str
    halted: str  # as `harness.host.processes.Process.halted` says it
    since: str  # when it took the lock, in words; empty where that is not known

    def __str__(self) -> str:
        """Say who it is, and what to do where it is stopped."""
        text = f"process {self.process.pid} ({self.command}) has it{self.since}"
        return f"{text} and {self.halted}" if self.halted else text


def taken(handle: int, *, shared: bool = False) -> bool:
    """Take the lock of an open file, if nobody has it, and note when. One that is `shared` may be had by others who share it."""
    try:
        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    with suppress(OSError):  # only for those who wait
        os.utime(handle)
    return True


def awaited(take: Callable[[], T | None], path: Path, *, what: str, seconds: float, clock: Clock, every: float) -> T:
    """Return what `take` returns once it takes the lock of the file `path`. Raises `Expired` after `seconds`, which says who has it.

    Raises `HeldUp` soon where that one is stopped. A reaper that somebody stopped is let go on: what it is there for would never be done.
    """
    looked = clock.now()
    stopped: float | None = None

    def tried() -> T | None:
        nonlocal looked, stopped
        value = take()
        now = clock.now()
        if value or now - looked < LOOK_SECONDS:
            return value
        looked = now
        still = [each for each in holders(path) if each.halted]
        _wake([each.process for each in still])
        stopped = (now if stopped is None else stopped) if still else None
        if stopped is not None and now - stopped >= STOPPED_SECONDS:
            raise HeldUp(f"not waited on for {what}, which takes the lock {path}: {still[0]}")
        return take()  # the look may have taken all the time that was left

    return wait_until(tried, awaited=what, seconds=seconds, clock=clock, every=every, saw=lambda: held_by(path))


@contextmanager
def held(path: Path, *, what: str, seconds: float, clock: Clock, shared: bool = False) -> Iterator[None]:
    """Hold the lock of a folder, or of a file, which is made where it is missing and stays; `shared` as `taken` has it.

    Raises as `awaited`, and `OSError`, also for a link.
    """
    kind = os.O_RDONLY | os.O_DIRECTORY if path.is_dir() else os.O_RDWR | os.O_CREAT
    handle = os.open(path, kind | os.O_NOFOLLOW | os.O_CLOEXEC, private.FILE_MODE)
    try:
        awaited(lambda: taken(handle, shared=shared), path, what=what, seconds=seconds, clock=clock, every=0.05)
        yield
    finally:
        os.close(handle)


def held_by(path: Path) -> str:
    """Say who has the lock of a file."""
    found = holders(path)
    who = "; ".join(map(str, found)) or "nobody that can be seen from here has it: it is another user's, or in another container"
    return f"the lock {path}: {who}"


def holders(path: Path) -> list[Holder]:
    """Return the processes that have the lock of a file: as the kernel tells it with each open file, since forks share one.

    No other file than this one is asked for: one that somebody else has open may lie where nobody answers, for good.
    """
    try:
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return []
    try:
        since, wanted = os.fstat(handle).st_mtime, _named(handle)
    finally:
        os.close(handle)
    found: dict[int, list[Holder]] = {}
    for pid, number in processes.handles():
        if pid not in found:
            with suppress(OSError):  # it has ended, or closed it
                locked = re.findall(rb"^lock:.* (\S+) \d+ \S+$", processes.told(pid, number), re.MULTILINE)
                if wanted in locked:
                    found[pid] = _holder(pid, since)
    return [each for those in found.values() for each in those]


def taker(path: Path) -> Process | None:
    """Return the process that took the lock of a file and has it open to write, by the kernel's list of locks, without a look at all open files.

    Forks share a lock and keep it: where who took it is gone, or has closed the file, nobody is told. Nor is another user, nor one who only reads:
    whoever may read a file can take its lock.
    """
    with suppress(OSError):
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            wanted = _named(handle)
        finally:
            os.close(handle)
        found = re.search(rb"^\d+: FLOCK +\S+ +WRITE (\d+) " + re.escape(wanted) + rb" ", (PROC / "locks").read_bytes(), re.MULTILINE)
        pid = int(found[1]) if found else 0
        has_it = re.compile(rb"^lock:.* WRITE %d %b " % (pid, re.escape(wanted)), re.MULTILINE)
        if pid and processes.is_trusted(pid):
            for number in os.listdir(PROC / str(pid) / "fd"):  # noqa: PTH208 - names
                with suppress(OSError):  # that one was closed meanwhile, and may be any other
                    told = processes.told(pid, number)
                    if has_it.search(told) and processes.is_to_write(told):
                        return Process.of(pid)
    return None


def _named(handle: int) -> bytes:
    """Return what the kernel calls an open file where it tells of locks: device and inode as it has them itself.

    A file's status may have others: of a part of btrfs, and of an overlay.
    """
    status = os.fstat(handle)
    said = dict(re.findall(rb"^(\w+):\s*(\S+)$", processes.told(os.getpid(), str(handle)), re.MULTILINE))
    device = f"{os.major(status.st_dev)}:{os.minor(status.st_dev)}"
    for line in (PROC / "self" / "mountinfo").read_bytes().splitlines():
        mount, _, device_there, *_ = line.split(maxsplit=3)
        if mount == said.get(b"mnt_id"):
            device = device_there.decode()
    major, minor = map(int, device.split(":"))
    return f"{major:02x}:{minor:02x}:{int(said.get(b'ino', status.st_ino))}".encode()


def _holder(pid: int, since: float) -> list[Holder]:
    process = Process.of(pid)
    if process is None:
        return []
    words = (PROC / str(pid) / "cmdline").read_bytes().rstrip(b"\0").split(b"\0")
    said = ""
    with suppress(ValueError, OverflowError, OSError):
        said = f" since {datetime.fromtimestamp(since, tz=UTC).astimezone().isoformat(sep=' ', timespec='seconds')}"
    return [Holder(process, in_line(brief([os.fsdecode(each) for each in words])), process.halted, said)]


def _wake(stopped: list[Process]) -> None:
    """Let those of them go on that are reapers."""
    if stopped:
        for each, _, _ in processes.reapers():
            if each in stopped:
                with suppress(OSError):
                    each.kill(signal.SIGCONT)
