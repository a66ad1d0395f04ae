"""Files of a machine of this host, looked at from outside it: by its own root, and through no link.

Behind ``/proc/PID/root`` a link of the machine's leads to the file of that name on this host: to its Docker daemon, where the machine asks for it.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import PurePosixPath


def socket_of(pid: int, path: PurePosixPath) -> int:
    """Return a handle on a socket of the machine whose PID 1 this is: to connect to, by its name in ``/proc/self/fd``, and for the caller to close.

    Raises `OSError`, also for a link on the way.
    """
    handle = _opened(pid, path)
    if stat.S_ISSOCK(os.fstat(handle).st_mode):
        return handle
    os.close(handle)
    raise OSError(errno.ENOTSOCK, f"its {path} is no socket, or a link; no link of a node's is followed from here")


def has_socket(pid: int, path: PurePosixPath) -> bool:
    """Whether there is such a socket."""
    try:
        os.close(socket_of(pid, path))
    except OSError:
        return False
    return True


def _opened(pid: int, path: PurePosixPath) -> int:
    here = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_CLOEXEC | os.O_DIRECTORY)
    *folders, name = path.relative_to("/").parts
    try:
        for each in folders:
            below = os.open(each, os.O_PATH | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_DIRECTORY, dir_fd=here)
            os.close(here)
            here = below
        return os.open(name, os.O_PATH | os.O_CLOEXEC | os.O_NOFOLLOW, dir_fd=here)
    finally:
        os.close(here)
