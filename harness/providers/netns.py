"""Network namespaces by the files that hold them, for every provider whose nodes live in one: going in, and whose they are.

Ours say so: the alias of their loopback is a word of the run (`harness.host.marks`). A name alone is nobody's proof.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from harness.core import pace
from harness.core.errors import HarnessError
from harness.core.plain import as_path, command, in_line
from harness.host import marks, surroundings
from harness.host.processes import run_here

GATEWAY = "10.77.0.1"
"""Where the harness speaks from on a cluster's network. Faults cut nodes from each other, never from here."""
_KIND = "network namespace"
_SECONDS = 20.0
"""How long one look into a namespace may take. By hand: some milliseconds."""
_CLONE_NEWNET = 0x40000000
_MNT_DETACH = 2
_LIBC = ctypes.CDLL(None, use_errno=True)  # os.setns is there from Python 3.12 on


def word_of(run_id: str) -> str:
    """Return the run's word for its namespaces. No other than theirs: whatever runs on a node can read it there, and print it into the results."""
    return marks.proof(run_id, _KIND)


def marking(run_id: str) -> str:
    """Return what marks the namespace that it is given to (a line for ``ip -batch``) as one of a run's; nothing where there is no key."""
    word = word_of(run_id)
    return f"link set lo alias {word}" if word else "link set lo up"


def proven(path: Path, run_id: str) -> bool:
    """Whether a namespace is marked as one of this run's. False where it cannot be looked at: it is nobody's then."""
    if not _is_one(path):
        return False
    argv = ["ip", "-netns", path.name, "-json", "link", "show", "dev", "lo"]
    try:
        done = run_here(argv, seconds=pace.limit(_SECONDS), environ={"PATH": surroundings.path()})
        (loopback,) = json.loads(done.stdout)
        return marks.proves(loopback.get("ifalias"), run_id, _KIND)
    except (OSError, subprocess.TimeoutExpired, ValueError, AttributeError):
        return False


def unproven(path: Path) -> str:
    """Say that a namespace is called as ours, but is not proven to be; or what else has its name."""
    what, remove = (
        ("network namespace", command("ip", "netns", "delete", path.name))
        if _is_one(path)
        else ("file", command("rm", "-r", as_path(path)))
    )
    return in_line(
        f"{what} {path.name}: left alone, nothing but its name says that it is of a run; if it is not yours, `{remove}` removes it"
    )


def _is_one(path: Path) -> bool:
    """Whether a file holds a namespace, as the kernel says: opening anything else may wait for good."""
    try:
        return path.lstat().st_dev == Path("/proc/self/ns/net").stat().st_dev
    except OSError:
        return False


def remove(path: Path) -> None:
    """Remove a namespace. Twice is fine. What stands in it goes with it, once no process is inside. Raises `HarnessError`."""
    try:
        take_away(path)
    except FileNotFoundError:
        return
    except OSError as error:
        # A half-made one is a plain file that nothing is mounted on.
        with suppress(OSError):
            path.unlink()
        if path.exists():
            raise HarnessError(f"cannot remove the network namespace {path.name}: {error}") from error


def take_away(path: Path) -> None:
    """Unmount the file that holds a namespace, and remove it. Raises `OSError`, also where nothing is mounted on it."""
    _check(_LIBC.umount2(os.fsencode(path), _MNT_DETACH))
    path.unlink()


def _enter(handle: int) -> None:
    """Put the calling thread into a network namespace. Raises `OSError`."""
    _check(_LIBC.setns(handle, _CLONE_NEWNET))


def _check(status: int) -> None:
    """Raise the `OSError` that a call of libc's has left behind, if its status says that there is one."""
    if status:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


@contextmanager
def entered(path: Path, run_id: str) -> Iterator[None]:
    """Put the calling thread into a cluster's namespace: its new sockets, and those of threads that it starts, reach the nodes.

    May be entered twice. Raises `HarnessError` where the namespace is gone, or cannot be entered.
    """
    back = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            there = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise HarnessError(f"the network of {run_id} is not there: {error}; was the cluster destroyed?") from error
        try:
            _enter(there)
        except OSError as error:
            raise HarnessError(f"the network of {run_id} cannot be entered: {error}; it is half made, or this is not root") from error
        finally:
            os.close(there)
        try:
            yield
        finally:
            _enter(back)
    finally:
        os.close(back)
