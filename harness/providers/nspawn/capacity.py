"""How many nodes this machine carries: what the kernel gives out only so much of, what is in use now, and what a node takes.

A machine that has not enough makes nodes that die while starting, each with another word. So it is said before anything is touched, with the
command that lifts the limit.
"""

from __future__ import annotations

import os
import re
import shlex
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from harness.host import surroundings
from harness.providers.nspawn import bridge, cgroups, enclosure

PROC = Path("/proc")
DEV = Path("/dev")
BLOCK = Path("/sys/block")

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
LOOPS_PER_NODE = 1
"""Loop devices: its disk."""
NAMESPACES_PER_NODE = {"mnt": 8, "net": 4, "pid": 4, "uts": 4, "ipc": 4, "cgroup": 4}
"""Namespaces by kind: measured one of each, three of mounts, and one more of each for a container."""
MEMORY_PER_NODE = 150
"""MB of memory: 60 measured for systemd, dockerd, etcd and fleetd, and some for apps."""
OWN_THREADS, OWN_THREADS_PER_NODE = surroundings.THREADS_ALONE, surroundings.THREADS_PER_NODE
"""Threads and helpers of the harness and its reaper, and for every node."""
OWN_MEMORY, OWN_MEMORY_PER_NODE = 250, 10
"""MB of the same."""

_MIB = 1 << 20
_LOOP = re.compile(r"loop\d+")


@dataclass(frozen=True, slots=True)
class Limit:
    """One thing that the kernel gives out only so much of."""

    what: str  # in words
    setting: str  # its name
    total: int
    used: int
    per_node: int
    once: int = 0  # what is needed beside that, however many nodes there are
    lift: str = "sysctl -w {setting}={value}"  # the command that lifts it
    unit: str = ""  # of all these numbers, where they are not plain
    scale: int = 1  # by which they are multiplied in the command

    @property
    def fits(self) -> int:
        """How many more nodes it is enough for."""
        return max(0, self.total - self.used - self.once) // self.per_node

    def lifted(self, nodes: int) -> str:
        """Return the command that makes it enough for so many more nodes and a quarter for whatever else starts, rounded up."""
        need = self.used + self.once + self.per_node * nodes * 5 // 4
        return self.lift.format(setting=self.setting, value=(1 << (need - 1).bit_length()) * self.scale)

    def __str__(self) -> str:
        """Give it in words."""
        total, used, each = (f"{number}{self.unit}" for number in (self.total, self.used, self.per_node))
        return f"{self.setting} is {total}, {used} in use, {each} a node: {self.fits} would fit"


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
    return sorted([*found, *_namespaces(), *_loops(), *_enclosed()], key=lambda limit: limit.fits)


def problems(nodes: int) -> list[str]:
    """Return a line for every limit that so many more nodes would meet: how many would fit, and the command that lifts it."""
    return [
        f"{nodes} nodes need {limit.once + limit.per_node * nodes}{limit.unit} {limit.what}; {limit}; {limit.lifted(nodes)}"
        for limit in (limits() if nodes else [])
        if limit.fits < nodes
    ]


class Suffered(NamedTuple):
    """What the groups that a run's nodes are in have suffered until now; None where the kernel does not tell."""

    killed: int | None  # processes, for want of memory
    refused: int | None  # processes and threads, since a group had as many as it may

    def since(self, before: Suffered) -> str:
        """Say what of it is new; empty where nothing is."""
        said = []
        if (killed := (self.killed or 0) - (before.killed or 0)) > 0:
            said.append(
                f"the kernel killed {killed} process{'' if killed == 1 else 'es'} beside our nodes, or in them, for want of memory: what they do "
                "then says nothing of the cluster; free some memory, or lift the limit of the control group that this was started in"
            )
        if (refused := (self.refused or 0) - (before.refused or 0)) > 0:
            said.append(
                f"the kernel refused {refused} process{'' if refused == 1 else 'es'} or threads to our nodes, or beside them, since their control "
                "group has as many as it may: what they do then says nothing of the cluster; lift its limit (pids.max)"
            )
        return "; ".join(said)


def suffered(run_id: str) -> Suffered:
    """Return what the groups that a run's nodes are in have suffered until now."""
    where = cgroups.ROOT, PROC, cgroups.top(cgroups.ROOT, run_id)
    return Suffered(enclosure.killed(*where), enclosure.refused(*where))


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


def _namespaces() -> Iterator[Limit]:
    """Yield how many namespaces of each kind a user may make (namespaces(7): each has a limit of its own)."""
    there: dict[str, set[int]] = {kind: set() for kind in NAMESPACES_PER_NODE}
    totals = {kind: total for kind in there if (total := _number(f"sys/user/max_{kind}_namespaces")) is not None}
    for process in _processes() if totals else ():
        for kind in totals:
            with suppress(OSError):  # it has ended
                there[kind].add((process / "ns" / kind).stat().st_ino)
    if "net" in totals:
        with suppress(OSError):  # those that are held by a name and not by a process
            there["net"] |= {each.stat().st_ino for each in bridge.FOLDER.iterdir()}
    for kind, total in totals.items():
        words = {"mnt": "mount", "cgroup": "control group", "net": "network"}
        yield Limit(
            f"{words.get(kind, kind)} namespaces",
            f"user.max_{kind}_namespaces",
            total,
            len(there[kind]),
            NAMESPACES_PER_NODE[kind],
            once=1 if kind == "net" else 0,  # the cluster's own
        )


def _loops() -> Iterator[Limit]:
    """Yield how many loop devices can be opened, where a new one gets no file in /dev by itself, as in a container.

    The kernel makes as many as are asked for: its module's ``max_loop`` is only how many there are from the start (seen: 23 with 8).
    """
    if _file_system_of(str(DEV)) in {None, "devtmpfs"}:
        return
    there = []
    with suppress(OSError):
        there = [each.name for each in DEV.iterdir() if _LOOP.fullmatch(each.name) and stat.S_ISBLK(each.stat().st_mode)]
    used = sum((BLOCK / name / "loop" / "backing_file").exists() for name in there)
    lift = "for n in $(seq 0 {value}); do [ -b /dev/loop$n ] || mknod -m 660 /dev/loop$n b 7 $n; done"
    yield Limit("loop devices", "the number of /dev/loop*", len(there), used, LOOPS_PER_NODE, lift=lift)


def _file_system_of(place: str) -> str | None:
    """Return the type of what is mounted last at a place (proc(5), mountinfo); None where nothing is, or that is not known."""
    found = None
    with suppress(OSError):
        for line in (PROC / "self" / "mountinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            left, _, right = line.partition(" - ")
            words = left.split()
            if len(words) > 4 and words[4] == place and right:  # noqa: PLR2004 - the fifth is where
                found = right.split()[0]
    return found


def _enclosed() -> Iterator[Limit]:
    """Yield the limits of the control groups that we stand in, and our nodes with us."""
    for bound in enclosure.processes(cgroups.ROOT, PROC):
        per_node = THREADS_PER_NODE if bound.nodes else OWN_THREADS_PER_NODE
        yield Limit("processes", str(bound.file), bound.total, bound.used, per_node, once=OWN_THREADS, lift=_written(bound.file))
    for bound in enclosure.memory(cgroups.ROOT, PROC):
        yield Limit(
            "of memory",
            str(bound.file),
            bound.total // _MIB,
            bound.used // _MIB,
            MEMORY_PER_NODE if bound.nodes else OWN_MEMORY_PER_NODE,
            once=OWN_MEMORY,
            lift=_written(bound.file),
            unit=" MB",
            scale=_MIB,
        )


def _written(file: Path) -> str:
    """Return the command that writes a control group's limit, for `Limit.lift`."""
    return "echo {value} >" + shlex.quote(str(file)).replace("{", "{{").replace("}", "}}")
