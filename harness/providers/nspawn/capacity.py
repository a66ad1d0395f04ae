"""How many nodes this machine carries: what the kernel gives out only so much of, what is in use now, and what a node takes.

A machine that has not enough makes nodes that die while starting, each with another word. So it is said before anything is touched, with the
command that lifts the limit.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")

INOTIFY_PER_NODE = 4
"""Instances: measured 3 for systemd, its journal and D-Bus, and one of the agent that tells what runs."""
WATCHES_PER_NODE = 40
"""Watches: measured 16 to 19, and one for each container's group."""
THREADS_PER_NODE = 120
"""Processes and threads: measured 77 with fleet, etcd, dockerd and a container."""
FILES_PER_NODE = 400
"""Open files: measured 260."""
ROOT_KEYS_PER_NODE = 20
"""Keys of root: measured 14. Each service and each container has a ring of its own."""
USER_KEYS_PER_NODE = 2
"""Keys of the user that D-Bus runs as, the same number on every node: measured 1."""
PTYS_PER_NODE = 2
"""Terminals: none by itself; one for a container that asks for it."""


@dataclass(frozen=True, slots=True)
class Limit:
    """One thing that the kernel gives out only so much of."""

    what: str  # in words
    setting: str  # the name by which sysctl lifts it
    total: int
    used: int
    per_node: int

    @property
    def fits(self) -> int:
        """How many more nodes it is enough for."""
        return max(0, self.total - self.used) // self.per_node

    def lifted(self, nodes: int) -> str:
        """Return the command that makes it enough for so many more nodes and a quarter for whatever else starts, rounded up."""
        need = self.used + self.per_node * nodes * 5 // 4
        return f"sysctl -w {self.setting}={1 << (need - 1).bit_length()}"

    def __str__(self) -> str:
        """Give it in words."""
        return f"{self.setting} is {self.total}, {self.used} in use, {self.per_node} a node: {self.fits} would fit"


def limits() -> list[Limit]:
    """Return every limit of this machine that nodes meet, the tightest first. What this kernel does not tell of is left out."""
    instances, watches = _inotify()
    keys = _keys()
    threads = _number("sys/kernel/pid_max"), _number("sys/kernel/threads-max")
    lower = min((each for each in threads if each is not None), default=None)
    setting = "kernel.threads-max" if lower is not None and lower == threads[1] != threads[0] else "kernel.pid_max"
    asked = [
        ("inotify instances", "fs.inotify.max_user_instances", _number("sys/fs/inotify/max_user_instances"), instances, INOTIFY_PER_NODE),
        ("inotify watches", "fs.inotify.max_user_watches", _number("sys/fs/inotify/max_user_watches"), watches, WATCHES_PER_NODE),
        ("processes", setting, lower, _threads(), THREADS_PER_NODE),
        ("open files", "fs.file-max", _number("sys/fs/file-max"), _number("sys/fs/file-nr"), FILES_PER_NODE),
        ("keys of root", "kernel.keys.root_maxkeys", _number("sys/kernel/keys/root_maxkeys"), keys.get(0, 0), ROOT_KEYS_PER_NODE),
        (
            "keys of a user",
            "kernel.keys.maxkeys",
            _number("sys/kernel/keys/maxkeys"),
            max((used for user, used in keys.items() if user), default=0),
            USER_KEYS_PER_NODE,
        ),
        ("terminals", "kernel.pty.max", _number("sys/kernel/pty/max"), _number("sys/kernel/pty/nr"), PTYS_PER_NODE),
    ]
    found = [Limit(what, name, total, used or 0, per_node) for what, name, total, used, per_node in asked if total is not None]
    return sorted(found, key=lambda limit: limit.fits)


def problems(nodes: int) -> list[str]:
    """Return a line for every limit that so many more nodes would meet: how many would fit, and the command that lifts it."""
    return [
        f"{nodes} nodes need {limit.per_node * nodes} {limit.what}; {limit}; {limit.lifted(nodes)}"
        for limit in (limits() if nodes else [])
        if limit.fits < nodes
    ]


def _number(path: str) -> int | None:
    """Return the first number in a file of the kernel's; None where there is none."""
    try:
        return int((PROC / path).read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return None


def _inotify() -> tuple[int, int]:
    """Count root's inotify instances and watches: nodes' roots are this machine's."""
    instances = watches = 0
    for process in _processes():
        with suppress(OSError):  # it has ended
            if process.stat().st_uid != 0:
                continue
            for handle in (process / "fd").iterdir():
                with suppress(OSError):
                    if handle.readlink().name != "anon_inode:inotify":
                        continue
                    instances += 1
                    watches += (process / "fdinfo" / handle.name).read_text(encoding="ascii", errors="replace").count("inotify wd:")
    return instances, watches


def _processes() -> Iterator[Path]:
    with suppress(OSError):
        for each in os.scandir(PROC):
            if each.name.isdigit():
                yield Path(each.path)


def _threads() -> int:
    """Return how many threads there are: the fourth word of loadavg is running/all."""
    try:
        return int((PROC / "loadavg").read_text(encoding="ascii").split()[3].partition("/")[2])
    except (OSError, ValueError, IndexError):
        return 0


def _keys() -> dict[int, int]:
    """Return how many keys count against each user's limit (proc(5), key-users: ``UID: usage nkeys/nikeys qnkeys/maxkeys qnbytes/maxbytes``)."""
    found = {}
    with suppress(OSError, ValueError, IndexError):
        for line in (PROC / "key-users").read_text(encoding="ascii").splitlines():
            user, _, rest = line.partition(":")
            found[int(user)] = int(rest.split()[2].partition("/")[0])
    return found
