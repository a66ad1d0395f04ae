"""The control groups that nodes and the harness stand in, and what of theirs is limited: a container's, a CI job's, a service's.

Where version 1 has a controller, nodes stay in the caller's group of it: they enter groups of their own in other hierarchies only. With version 2
alone they are moved to groups below the top (`harness.providers.nspawn.cgroups`), and what limits the caller's group limits the harness alone. Every
group counts from the one that is entered up to the top that this machine, or this container, can see.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_ENDLESS = 1 << 60
"""Bytes from which version 1 means that there is no limit."""


@dataclass(frozen=True, slots=True)
class Bound:
    """One limit of one control group."""

    file: Path  # that lifts it when it is written
    total: int  # processes, or bytes
    used: int
    nodes: bool  # whether nodes are in it; else only the harness is


def processes(root: Path, proc: Path) -> list[Bound]:
    """Return the limits on processes and threads, of the control groups under `root`, that hold for what we start."""
    return [
        Bound(group / "pids.max", total, _number(group / "pids.current") or 0, nodes)
        for group, nodes in _groups(root, proc, "pids")
        if (total := _number(group / "pids.max")) is not None
    ]


def memory(root: Path, proc: Path) -> list[Bound]:
    """Return the limits on memory, in bytes. What the kernel can take back at once, as files that were only read, is not in use."""
    found = []
    for group, nodes in _groups(root, proc, "memory"):
        for limit, usage, idle in (
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
            ("memory.max", "memory.current", "inactive_file"),
            ("memory.high", "memory.current", "inactive_file"),
        ):
            total = _number(group / limit)
            if total is not None and total < _ENDLESS:
                used = (_number(group / usage) or 0) - _word(group / "memory.stat", idle)
                found.append(Bound(group / limit, total, max(0, used), nodes))
    return found


def killed(root: Path, proc: Path, run: Path) -> int | None:
    """Return how many processes the kernel has killed for want of memory in the group that nodes are in; None where it does not tell.

    `run` is the folder of the run's own groups, which with version 2 alone have a memory of their own.
    """
    if (root / "memory").is_dir():
        group = next(_up(root / "memory", _own(proc, "memory")))
        return _word(group / "memory.oom_control", "oom_kill") if (group / "memory.oom_control").is_file() else None
    return _word(run / "memory.events", "oom_kill") if (run / "memory.events").is_file() else None


def refused(root: Path, proc: Path, run: Path) -> int | None:
    """Return how often the kernel has refused a process or a thread to the groups that nodes and the harness are in, since one had as many as it may.

    None where it does not tell. `run` as in `killed`. What a group of a node's own was refused, as a container's with a limit, is not counted.
    """
    groups = {group for group, _ in _groups(root, proc, "pids")}
    if not (root / "pids").is_dir() and run.is_relative_to(root):
        groups |= {*_up(root, str(run.relative_to(root)))}
    found = [_word(events, "max") for group in groups if (events := _local(group)) is not None]
    return sum(found) if found else None


def _local(group: Path) -> Path | None:
    """Return where a group's own refusals are counted; newer kernels count in the other file what those below it were refused, too."""
    return next((each for name in ("pids.events.local", "pids.events") if (each := group / name).is_file()), None)


def _groups(root: Path, proc: Path, controller: str) -> Iterator[tuple[Path, bool]]:
    """Yield every group that has a say in what this controller gives us, and whether nodes are in it."""
    if (root / controller).is_dir():
        for group in _up(root / controller, _own(proc, controller)):
            yield group, True
        return
    if (root / "cgroup.controllers").is_file():
        for group in _up(root, _own(proc, "")):
            yield group, group == root


def _own(proc: Path, controller: str) -> str:
    """Return the path of this process's group (proc(5): ``number:controllers:path``), empty where that is not known."""
    with suppress(OSError):
        for line in (proc / "self" / "cgroup").read_text(encoding="utf-8", errors="surrogateescape").splitlines():
            _, _, rest = line.partition(":")
            names, _, path = rest.partition(":")
            if controller in names.split(","):
                return path.strip("/")
    return ""


def _up(top: Path, path: str) -> Iterator[Path]:
    """Yield a group and all above it. Where only a part of the tree is to be seen, as in a container, that part's top is what there is."""
    parts = Path(path).parts
    group = top.joinpath(*parts)
    if ".." in parts or not group.is_dir():
        group = top
    while group != top:
        yield group
        group = group.parent
    yield top


def _number(file: Path) -> int | None:
    """Return the number in a file; None where there is none, as where it says ``max``."""
    with suppress(OSError, ValueError):
        return int(file.read_text(encoding="ascii"))
    return None


def _word(file: Path, name: str) -> int:
    with suppress(OSError, ValueError):
        for line in file.read_text(encoding="ascii", errors="replace").splitlines():
            key, _, value = line.partition(" ")
            if key == name:
                return int(value)
    return 0
