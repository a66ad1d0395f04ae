"""What people see of a run: the live view, and the report at its end. All of it is read from the history and the findings, never from the cluster."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from harness.core.errors import NO_MORE, unstarted

if TYPE_CHECKING:
    from pathlib import Path

_ELSEWHERE = "choose another folder with --results (WHALEFALL_CACHE and WHALEFALL_STATE move the others)"

REMEDIES = {
    errno.EACCES: f"run it as a user who may do that (sudo), or {_ELSEWHERE}",
    errno.EPERM: f"run it as a user who may do that (sudo), or {_ELSEWHERE}",
    errno.EROFS: _ELSEWHERE,
    errno.ENOSPC: f"make room (`whalefall image prune` removes old images), or {_ELSEWHERE}",
    errno.EDQUOT: f"make room, or {_ELSEWHERE}",
    errno.ENOTDIR: f"a part of the path is a file; {_ELSEWHERE}",
    errno.ENAMETOOLONG: "choose a shorter path or name",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENFILE: "this machine has no more open files to give: end other programs, or raise fs.file-max",
    errno.EFBIG: "raise the limit on the size of files (ulimit -f)",
    errno.ENOENT: f"was it removed while it was in use? Run it again, or {_ELSEWHERE}",
    errno.ESTALE: f"the disk that it lies on went away; {_ELSEWHERE}",
    errno.EIO: f"the disk that it lies on is failing (dmesg says more); {_ELSEWHERE}",
    errno.ENOTCONN: f"the file system that it lies on has ended; {_ELSEWHERE}",
    errno.EBUSY: "something else uses it; end that, and run it again",
    errno.EAGAIN: NO_MORE,
    errno.ENOMEM: "this machine is out of memory: end other programs, or use fewer nodes",
}
"""What to do about an error of the environment, by its number. Any other number is ours to mend."""

_VERBS = {errno.ENOENT: "find", errno.ENAMETOOLONG: "use"}
"""What could not be done, where the number says so: a name that is too long was perhaps only looked for. All else is about writing, or reading."""


def trouble(error: BaseException, place: Path | str | None = None) -> str:
    """Return the environment's error in a line: what could not be done to which path, why, and what to do. Empty for any other error.

    `place` is named where the error does not know its path: writing to an open file that its disk has no room for.
    """
    if isinstance(error, RuntimeError) and str(error) == "can't start new thread":  # a library's: Python has no other word for it
        return f"cannot start a thread: {NO_MORE}"
    if isinstance(error, MemoryError):
        return f"there is no memory left for it: {REMEDIES[errno.ENOMEM]}, or raise its limit (ulimit -v)"
    if not isinstance(error, OSError) or error.errno not in REMEDIES:
        return ""
    if error.filename is None and error.errno in {errno.EAGAIN, errno.ENOMEM}:  # of a fork
        return f"cannot start a process: {unstarted(error)}"
    path = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else str(place or "a file")
    unreadable = error.errno in {errno.EACCES, errno.EPERM} and os.access(path, os.F_OK) and not os.access(path, os.R_OK)
    verb = _VERBS.get(error.errno, "read" if unreadable else "write")
    return f"cannot {verb} {path}: {os.strerror(error.errno)}; {REMEDIES[error.errno]}"
