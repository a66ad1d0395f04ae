"""The kernel's side of a slow disk: noted before anybody uses the disk, and broken off when nobody is left to answer.

A FUSE file system whose daemon is dead answers with errors, unless somebody holds its end open and never reads: then whoever uses it waits for good,
and with it every ``losetup`` of this machine. The kernel's own file ``/sys/fs/fuse/connections/N/abort`` ends that.
"""

from __future__ import annotations

import json
import re
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from harness.core import pace
from harness.core.errors import HarnessError
from harness.core.figures import given
from harness.host import private
from harness.host.processes import as_text, run_bounded

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

SOURCE = "whalefall-disk"
"""What our file systems are called in the list of mounts."""
NAME = "wf-disk-"
"""How the name of a daemon begins, before the number of its connection. The kernel keeps 15 letters: device numbers are shorter."""
SUFFIX = ".connection"
"""What the note's name ends in, beside the control socket."""
SECONDS = 10.0
"""How long the kernel's list of connections may take: it waits for nobody's file system."""

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_ESCAPE = re.compile(r"\\([0-7]{3})")
# In a mount namespace of its own: the list need not be mounted on this machine, and nothing is mounted here that was not.
_LIST = """\
cd /sys/fs/fuse/connections || exit
mountpoint -q . || { mount -t fusectl fusectl . && cd /sys/fs/fuse/connections; } || exit
for number; do [ ! -e "$number/abort" ] || echo 1 >"$number/abort"; done
for each in *; do [ ! -r "$each/waiting" ] || echo "$each $(cat "$each/waiting")"; done
"""


class Noted(NamedTuple):
    """A connection as its daemon noted it down."""

    boot: str
    number: int  # the minor device number of the mount, which is the connection's name


def note(path: Path, mountpoint: Path) -> None:
    """Write down which connection serves `mountpoint` in this mount namespace, and take it into this process's name.

    Raises `OSError`, also where nothing of ours is mounted there.
    """
    for number, where, source in _mounts(Path("/proc/self/mountinfo")):
        if where == str(mountpoint) and source == SOURCE:
            fresh = path.with_suffix(".new")
            with private.opened(fresh, "w") as file:
                json.dump({"boot": _boot(), "number": number}, file)
            fresh.replace(path)
            Path("/proc/self/comm").write_text(f"{NAME}{number}", encoding="ascii")
            return
    raise FileNotFoundError(f"nothing of ours is mounted at {mountpoint}")


def read(path: Path) -> Noted | None:
    """Return what was noted since this machine's start, or None."""
    with suppress(OSError, HarnessError, ValueError, KeyError, TypeError, RecursionError):
        body: dict[str, Any] = private.record(path)
        if body["boot"] == _boot():
            return Noted(body["boot"], int(body["number"]))
    return None


def open_ones(notes: Iterable[tuple[Path, Path]]) -> dict[Path, int]:
    """Return which of these notes (each with its mount point) stand for a connection that is still there, with its number.

    A number is given again when its file system is gone. So one counts as ours if it is mounted at our mount point, in whatever mount namespace,
    or if it is mounted nowhere and somebody waits for it: then nobody can ever answer. Raises `HarnessError` where the kernel does not tell.
    """
    noted = {path: (found.number, str(mountpoint)) for path, mountpoint in notes if (found := read(path))}
    if not noted:
        return {}
    waiting = _kernel()
    if not any(number in waiting for number, _ in noted.values()):
        return {}
    mounted = _mounted_anywhere()  # after the kernel's list: what has just come to be mounted is in here
    return {
        path: number
        for path, (number, mountpoint) in noted.items()
        if number in waiting and ((mountpoint, SOURCE) in mounted.get(number, ()) or (number not in mounted and waiting[number] > 0))
    }


def served_by(pids: Iterable[int]) -> set[int]:
    """Return the connections that these daemons of ours say by their names that they serve: also where every note is lost with the run's folder.

    Nothing else would tell then: who removes a folder that something is mounted on removes the mount as well, in every namespace. What runs in a
    node, in a process namespace of its own, is no daemon of ours, whatever it calls itself.
    """
    found: set[int] = set()
    here = _processes_of("self")
    for pid in pids:
        with suppress(OSError, ValueError):  # it has ended, or is no daemon
            if _processes_of(pid) != here:
                continue
            said = Path(f"/proc/{pid}/comm").read_text(encoding="ascii").strip()
            if said.startswith(NAME):
                found.add(int(said.removeprefix(NAME)))
    return found


def abort(notes: Iterable[tuple[Path, Path]], said: Collection[int] = (), folder: Path = Path("/")) -> None:
    """Break off those of these connections that are still there, and those of which daemons of ours have `said` that they serve them.

    But for one that is mounted elsewhere than below the run's `folder`, or not as ours: its number was given again. Whoever waits for them gets an
    error. Raises `HarnessError`.
    """
    numbers = {*open_ones(notes).values()}
    mounted = _mounted_anywhere() if said else {}
    for number in said:
        every = mounted.get(number)
        if not every or any(source == SOURCE and Path(where).is_relative_to(folder) for where, source in every):
            numbers.add(number)
    if numbers:
        _kernel(*numbers)


def _processes_of(pid: int | str) -> str:
    """Return the namespace of processes that one is in. Raises `OSError` where it has ended."""
    return str(Path(f"/proc/{pid}/ns/pid").readlink())


def _kernel(*ended: int) -> dict[int, int]:
    """Break off connections, and return all that there are, with how many requests wait for an answer."""
    argv = ["unshare", "--mount", "--propagation", "private", "sh", "-c", _LIST, "sh", *map(str, ended)]
    try:
        done = as_text(run_bounded(argv, seconds=pace.limit(SECONDS)))
    except subprocess.TimeoutExpired as error:
        raise HarnessError(
            f"the kernel's list of FUSE connections was not there after {given(pace.limit(SECONDS))}: does a mount hang on this machine?"
        ) from error
    if done.returncode:
        raise HarnessError(f"the kernel's list of FUSE connections cannot be read: {done.stderr.strip() or f'status {done.returncode}'}")
    # One that goes while it is looked at is a number without what waits on it: it is gone.
    pairs = (line.partition(" ") for line in done.stdout.splitlines())
    return {int(number): int(waiting) for number, _, waiting in pairs if waiting}


def _mounted_anywhere() -> dict[int, set[tuple[str, str]]]:
    """Return where each file system without a device is mounted, and as what, in any mount namespace of this machine."""
    found: dict[int, set[tuple[str, str]]] = {}
    seen: set[str] = set()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            space = str((process / "ns" / "mnt").readlink())
            if space not in seen:
                for number, where, source in _mounts(process / "mountinfo"):
                    found.setdefault(number, set()).add((where, source))
                seen.add(space)  # only now: a process that ended meanwhile has told nothing
    return found


def _mounts(table: Path) -> list[tuple[int, str, str]]:
    """Return number, place and source of every mount without a device (major number 0)."""
    found = []
    for line in table.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        fields = line.split(" ")
        major, minor = fields[2].split(":")
        if major == "0":
            found.append((int(minor), _plain(fields[4]), _plain(fields[fields.index("-") + 2])))
    return found


def _plain(word: str) -> str:
    return _ESCAPE.sub(lambda found: chr(int(found[1], 8)), word)


def _boot() -> str:
    return _BOOT_ID.read_text(encoding="ascii").strip()
