"""The slow disk's file system: one file, passed through, each operation held back as `Delays` says."""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

# Named before mfusepy looks for libfuse: its own search takes the older one, and runs a compiler where there is only the newer.
with suppress(OSError):
    ctypes.CDLL("libfuse3.so.3")
    os.environ.setdefault("FUSE_LIBRARY_PATH", "libfuse3.so.3")

import mfusepy

from harness.core.clock import SystemClock
from harness.core.values import Latency
from harness.disk import control, fuse_connection
from harness.disk.delays import Delays, Operation

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

IMAGE = "disk.img"
"""Name of the one file."""

END_SECONDS = 2.0
"""How long the file system may take to end after a SIGTERM before it is left to the kernel."""

_MNT_DETACH = 2
_PR_SET_IO_FLUSHER = 57


class SlowFile(mfusepy.Operations):
    """A folder with one file in it, which is the open file `backing`."""

    use_ns = True

    def __init__(self, backing: int, delays: Delays, ready: Callable[[], None]) -> None:
        self._backing = backing
        self._delays = delays
        self._ready = ready

    def init(self, _path: str) -> None:
        """Tell that the kernel has mounted us."""
        self._ready()

    def getattr(self, path: str, _fh: int | None = None) -> dict[str, int]:
        """Return a folder for the root and the backing file's own figures for the file."""
        if path == "/":
            return {"st_mode": 0o040700, "st_nlink": 2}
        _check(path)
        stat = os.fstat(self._backing)
        names = ("st_mode", "st_nlink", "st_size", "st_blocks", "st_blksize")
        times = {f"st_{each}time": getattr(stat, f"st_{each}time_ns") for each in "amc"}
        return {name: getattr(stat, name) for name in names} | times

    def readdir(self, _path: str, _fh: int) -> list[str]:
        """Return the one name."""
        return [".", "..", IMAGE]

    def open(self, path: str, _flags: int) -> int:
        """Open the file. All who do share one open file, so O_DIRECT and the like end here."""
        _check(path)
        return 0

    def read(self, _path: str, size: int, offset: int, _fh: int) -> bytes:
        """Read, after the latency of a read."""
        self._delays.hold(Operation.READ)
        return os.pread(self._backing, size, offset)

    def write(self, _path: str, data: bytes, offset: int, _fh: int) -> int:
        """Write, after the latency of a write."""
        self._delays.hold(Operation.WRITE)
        return os.pwrite(self._backing, data, offset)

    def fsync(self, _path: str, _datasync: int, _fh: int) -> int:
        """Flush to the disk below, after the latency of an fsync: a loop device's flush ends here."""
        self._delays.hold(Operation.FSYNC)
        os.fdatasync(self._backing)
        return 0

    def flush(self, _path: str, _fh: int) -> int:
        """Do nothing: closing a file promises nothing about the disk."""
        return 0

    def release(self, _path: str, _fh: int) -> int:
        """Do nothing: the open file is shared."""
        return 0

    def truncate(self, path: str, length: int, _fh: int | None = None) -> int:
        """Set the file's length."""
        _check(path)
        os.ftruncate(self._backing, length)
        return 0

    def statfs(self, _path: str) -> dict[str, int]:
        """Return the figures of the file system below."""
        found = os.fstatvfs(self._backing)
        return {name: getattr(found, name) for name in ("f_bsize", "f_frsize", "f_blocks", "f_bfree", "f_bavail", "f_namemax")}


def run(backing: Path, mountpoint: Path, socket: Path, ready_fd: int | None = None) -> int:
    """Serve until unmounted, or until SIGTERM or SIGINT, which unmount. Return an exit status; what went wrong is said on stderr.

    When it is mounted, noted down beside the socket (`harness.disk.fuse_connection`) and the control socket answers, one byte is written to
    `ready_fd` (and it is closed). On a signal, sleeping operations are woken first; if the file is still in use after that, its users get I/O errors
    from then on. Never hangs, unless it is the last process of the mount namespace in which something lies on its file (``boot.sh`` says why).
    """
    # libfuse changes the working directory.
    mountpoint, socket = mountpoint.resolve(), socket.absolute()
    try:
        image = os.open(backing / IMAGE, os.O_RDWR | os.O_CLOEXEC)
    except OSError as e:
        return _complain(f"cannot open {backing / IMAGE}: {e.strerror}; it must be there before the disk is")
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        return _complain("cannot open /dev/fuse; load the kernel's fuse module, and run as root")
    delays = Delays(SystemClock())
    try:
        server = control.listen(socket)
    except OSError as e:
        return _complain(f"cannot listen at {socket}: {e.strerror}")
    threading.Thread(target=control.serve, args=(server, delays), daemon=True).start()
    _never_wait_for_ourselves()

    # A pipe, not an Event: a signal handler runs in the middle of whatever the main thread does, also of an Event's own lock.
    ended, end = os.pipe()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os.write(end, b"s") and None)
    failures: list[str] = []
    noted = socket.with_suffix(fuse_connection.SUFFIX)

    def mount() -> None:
        try:
            mfusepy.FUSE(SlowFile(image, delays, lambda: _ready(noted, mountpoint, ready_fd)), str(mountpoint), **_options())
        except RuntimeError as e:
            failures.append(f"cannot mount at {mountpoint} (libfuse says {e})")
        finally:
            noted.unlink(missing_ok=True)
            os.write(end, b"e")

    # Not in the main thread: Python runs its signal handlers there, and only between its own instructions.
    fuse = threading.Thread(target=mount, daemon=True)
    fuse.start()
    os.read(ended, 1)
    delays.change(Latency())
    if fuse.is_alive():
        unmount(mountpoint)
        fuse.join(END_SECONDS)
    socket.unlink(missing_ok=True)
    for failure in failures:
        _complain(failure)
    sys.stderr.flush()
    # Threads of libfuse may still wait for a kernel that waits for the file's users. Our end breaks that.
    os._exit(1 if failures else 0)


def unmount(mountpoint: Path) -> None:
    """Unmount, or take the mount out of sight where it is in use; without one nothing happens."""
    libc = ctypes.CDLL(None, use_errno=True)
    target = os.fsencode(mountpoint)
    if libc.umount2(target, 0) != 0 and ctypes.get_errno() == errno.EBUSY:
        libc.umount2(target, _MNT_DETACH)


def _options() -> dict[str, Any]:
    # direct_io: every operation of the loop device comes here, once and at its own time, instead of to the kernel's page cache of this file.
    options: dict[str, Any] = {"foreground": True, "fsname": fuse_connection.SOURCE, "direct_io": True}
    version = (mfusepy.fuse_version_major, mfusepy.fuse_version_minor)
    if version[0] == 2:  # noqa: PLR2004 - libfuse's major version
        options["big_writes"] = True  # the default from libfuse 3 on
    if version >= (3, 12):
        # Each thread keeps a buffer of 1 MB. More than 12 requests the kernel does not send at a time (its default max_background).
        options |= {"max_threads": 16, "max_idle_threads": 2}
    return options


def _ready(noted: Path, mountpoint: Path, ready_fd: int | None) -> None:
    """Note down our connection, then say that we are there: the first that the kernel asks of us, before anybody uses the file."""
    word = b"r"
    try:
        fuse_connection.note(noted, mountpoint)
    except OSError as e:
        _complain(f"cannot note down its connection in {noted}: {e.strerror or e}")
        word = b""  # whoever waits sees the end of the pipe
    if ready_fd is not None:
        with suppress(OSError):
            os.write(ready_fd, word)
            os.close(ready_fd)


def _never_wait_for_ourselves() -> None:
    """Tell the kernel that memory is freed by way of us, so that it never makes us wait for memory that is freed by way of us.

    Needs Linux 5.6; without it the risk is small, and there is nothing better to do.
    """
    ctypes.CDLL(None).prctl(_PR_SET_IO_FLUSHER, 1, 0, 0, 0)


def _check(path: str) -> None:
    if path != f"/{IMAGE}":
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)


def _complain(text: str) -> int:
    sys.stderr.write(f"harness.disk: {text}\n")
    return 1
