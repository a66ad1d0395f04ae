"""Whether this machine has the memory and the disk that nodes on it need."""

from __future__ import annotations

import errno
import math
import os
import shutil
from contextlib import suppress
from pathlib import Path

from harness.core.clock import SystemClock
from harness.host import state

MOUNTS = Path("/proc/self/mountinfo")
FULL_BYTES = 4 << 20
"""A disk with less room than that is full: what is written next is larger."""
_DEAD = {errno.EIO, errno.EROFS, errno.ESTALE, errno.ENOTCONN, errno.ENODEV, errno.ENXIO, errno.ESHUTDOWN}
LOOK_SECONDS = 0.5
"""Between two readings of all mounts, which take a fifth of a millisecond: many threads ask ten times a second."""
_looked: dict[str, tuple[float, frozenset[str]]] = {}
"""When the mounts were last read for a file system, and what they said: that stands until they are read again."""
_GIVEN_UP = frozenset({"ro", "emergency_ro", "shutdown"})
"""Words of mountinfo by which a kernel says that a file system takes nothing any more, mostly after an error of its disk."""


def short_of_memory(who: str, need: int, each: int = 0) -> list[str]:
    """Return a line if fewer than `need` MB of memory are free; `who` are those that need it, in words, and `each` is what one of them takes."""
    free = free_memory()
    return [f"{free} MB of memory are free; {who} need about {need} MB{_fit(free, each)}"] if free < need else []


def free_memory() -> int:
    """Return the MB of memory that programs can have now."""
    return next(
        int(line.split()[1]) // 1024
        for line in Path("/proc/meminfo").read_text(encoding="utf-8", errors="replace").splitlines()
        if line.startswith("MemAvailable")
    )


def _fit(free: int, each: int) -> str:
    return f": {free // each} would fit" if each else ""


def free_bytes(folder: Path) -> int:
    """Return the free bytes of the file system that a folder lies, or would lie, on; as far as this user may look."""
    while not os.access(folder, os.F_OK):
        folder = folder.parent
    return shutil.disk_usage(folder).free


def ailing(folder: Path) -> str:
    """Say that the disk that nodes stand on has failed, or has no room; empty where neither is so, or it cannot be asked. Quick."""
    return _failed(folder) or full(folder)


def _failed(folder: Path) -> str:
    try:
        found = folder.stat()
        os.close(os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
    except OSError as error:
        why = os.strerror(error.errno) if error.errno in _DEAD else ""
    else:
        why = ", ".join(sorted(_given_up(f"{os.major(found.st_dev)}:{os.minor(found.st_dev)}")))
    if not why:
        return ""
    return (
        f"the disk of this machine that nodes stand on has failed, or takes nothing any more ({why} for {folder}; dmesg says more): what nodes do "
        "then says nothing of the cluster; mend it, or let WHALEFALL_STATE name a folder on another disk"
    )


def _given_up(device: str) -> frozenset[str]:
    """Return the words by which the kernel says that a file system (``major:minor``) takes nothing any more (proc(5), mountinfo)."""
    now = SystemClock().now()
    then, said = _looked.get(device, (-math.inf, frozenset()))
    if now - then >= LOOK_SECONDS:
        said = _said(device)
        _looked[device] = (now, said)
    return said


def _said(device: str) -> frozenset[str]:
    with suppress(OSError, IndexError):
        for line in MOUNTS.read_text(encoding="utf-8", errors="replace").splitlines():
            words = line.split()
            if words[2] == device:
                return _GIVEN_UP & {*words[-1].split(",")}  # those of the file system: a mount of it may be for reading alone
    return frozenset()


def full(folder: Path) -> str:
    """Say that the disk that nodes stand on has no room; empty where it has, or cannot be asked. Quick."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return ""
    room = found.f_bfree * found.f_frsize  # all that root may have
    if not found.f_blocks or (room >= FULL_BYTES and (found.f_ffree or not found.f_files)):
        return ""
    what = f"{room >> 20} MB are free" if room < FULL_BYTES else "no file can be made"
    return (
        f"the disk of this machine that nodes stand on is full ({what} for {folder}): what they write is lost, and what they do then says nothing "
        "of the cluster; make room, or let WHALEFALL_STATE name a folder on a bigger disk"
    )


def short_of_disk(who: str, need: int, each: int = 0) -> list[str]:
    """Return a line if fewer than `need` MB of disk are free where runs are, or will be, kept."""
    folder = state.runs()
    room = free_bytes(folder) >> 20
    return [f"{room} MB of disk are free for {folder}; {who} need about {need} MB{_fit(room, each)}"] if room < need else []
