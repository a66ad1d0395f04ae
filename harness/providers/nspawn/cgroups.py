"""A cgroup of its own for every node, in every hierarchy that matters, on hybrid v1 hosts and on pure v2 ones.

Without it all nodes share one payload group, and systemd on one node cannot empty its units' groups. Groups are
``whalefall/<run>/<node>`` for the machine and ``whalefall/<run>/<node>.host`` for what serves it from outside (mounts, its slow disk): freezing
the machine must not freeze its disk. An empty group beside them is called by the run's word (`harness.host.marks`): by it they are told from
somebody's own of that name, also where no record is left. Where systemd runs a host that has the unified hierarchy alone, the run's folder is a
scope of our own.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from harness.core.errors import HarnessError
from harness.core.plain import as_path, command, in_line
from harness.host import marks, state
from harness.host.alone import alone
from harness.host.processes import Process
from harness.providers import clusters
from harness.providers.nspawn import controllers, scope

ROOT = Path("/sys/fs/cgroup")
V1 = ("unified", "systemd", "freezer", "blkio")
"""Hierarchies of a hybrid host that a node enters: units (two), pause, and disk throttling."""

PROOF = "proof-"
"""How the name of the group begins that is called by a run's word."""
_KIND = "control group"
MODE = 0o755
"""Of a group's folder, as the kernel's own: whoever may write there can make groups that keep ours from being removed."""


def pure_v2() -> bool:
    """Whether this host has only the unified hierarchy."""
    return (ROOT / "cgroup.controllers").is_file()


def hierarchies() -> list[Path]:
    """Return the mount points of the hierarchies that a node enters."""
    if pure_v2():
        return [ROOT]
    return [ROOT / name for name in V1 if (ROOT / name / "cgroup.procs").is_file()]


def top(hierarchy: Path, run_id: str) -> Path:
    """Return the folder of all groups of a run: in a scope of our own where systemd runs the host and has no other hierarchy."""
    return scope.folder(ROOT, run_id) if _delegated() else hierarchy / "whalefall" / run_id


def groups(run_id: str, name: str) -> list[Path]:
    """Return one group's folder in every hierarchy."""
    return [top(each, run_id) / name for each in hierarchies()]


def make(run_id: str, name: str) -> list[Path]:
    """Create a group in every hierarchy. Twice is fine."""
    made = groups(run_id, name)
    word = marks.proof(run_id, _KIND)
    with alone():
        if _delegated():
            scope.take(ROOT, run_id)
        for group in [*(groups(run_id, f"{PROOF}{word}") if word else ()), *made]:
            try:
                _make(group)
            except OSError as error:
                raise HarnessError(f"cannot make the control group {group}: {error}; is {ROOT} writable here?") from error
        # A node's own systemd needs the controllers handed down to it.
        if _delegated():
            controllers.hand_down([top(ROOT, run_id)])
        elif pure_v2():
            controllers.note_root(ROOT)
            controllers.hand_down([ROOT, ROOT / "whalefall", top(ROOT, run_id)])
    return made


def _make(group: Path) -> None:
    """Make a group and what is missing above it, in which nobody else may make one, whatever the umask. Twice is fine."""
    missing = [each for each in (group, *group.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(exist_ok=True)
        each.chmod(MODE)


def _delegated() -> bool:
    return pure_v2() and scope.wanted()


def processes(run_id: str, name: str | None = None) -> set[Process]:
    """Return every process in a node's groups, or in all groups of a run. Only of groups that are proven to be its own."""
    found: set[Process] = set()
    for all_of_it in left(run_id):
        for folder, _, files in os.walk(all_of_it / name if name else all_of_it):
            if "cgroup.procs" not in files:
                continue
            with suppress(OSError):
                for pid in (Path(folder) / "cgroup.procs").read_text(encoding="utf-8", errors="replace").split():
                    process = Process.of(int(pid))
                    if process is not None:
                        found.add(process)
    return found


def remove(run_id: str) -> None:
    """Remove a run's groups, and put the root's controllers back after the last run.

    Groups that still hold a process stay, without an error: the caller kills first and looks again.
    """
    for hierarchy in hierarchies():
        with alone():
            all_of_it = top(hierarchy, run_id)
            if all_of_it.exists() and not _is_ours(all_of_it, run_id):
                continue
            for folder, _, _ in os.walk(all_of_it, topdown=False):
                if Path(folder) != all_of_it and Path(folder) != _proof(all_of_it, run_id):
                    with suppress(OSError):
                        Path(folder).rmdir()
            if _folders(all_of_it) == {_proof(all_of_it, run_id).name}:  # last, or nobody would know whose the rest is
                with suppress(OSError):
                    _proof(all_of_it, run_id).rmdir()
            if _delegated():
                if not _folders(all_of_it):
                    scope.give_back(ROOT, run_id)
                continue
            # Before the run's own folder goes: whoever is killed in between leaves something that `sweep` finds.
            # By the tree, not by the host: one tree may be seen as alone in one mount namespace, and beside v1 in another.
            if (hierarchy / "cgroup.controllers").is_file() and not _folders(all_of_it) and _runs_in(all_of_it.parent) <= {run_id}:
                controllers.put_back(hierarchy, [all_of_it, all_of_it.parent])
            with suppress(OSError):
                all_of_it.rmdir()
            with suppress(OSError):
                all_of_it.parent.rmdir()  # only when no other run is there


def left(run_id: str) -> list[Path]:
    """Return the run's groups that are still there."""
    return [each for each in named(run_id) if _is_ours(each, run_id)]


def named(run_id: str) -> list[Path]:
    """Return all groups that are called as a run's, whoever made them."""
    return [each for each in (top(hierarchy, run_id) for hierarchy in hierarchies()) if each.exists()]


def _is_ours(group: Path, run_id: str) -> bool:
    """Whether a group that is called as a run's is its own: by its record, before which nothing was called so, or else by its word."""
    return clusters.recorded(run_id) or (bool(marks.proof(run_id, _KIND)) and _proof(group, run_id).is_dir())


def _proof(group: Path, run_id: str) -> Path:
    return group / f"{PROOF}{marks.proof(run_id, _KIND)}"


def _runs_in(parent: Path) -> set[str]:
    """Return the ids of the runs that have a group of their own in there."""
    return {each for each in _folders(parent) if state.is_run_id(each) and _is_ours(parent / each, each)}


def runs() -> set[str]:
    """Return the ids of all runs that have groups on this machine."""
    return {each for each in _named_runs() if left(each)}


def strangers() -> list[str]:
    """Say which groups are called as ours but are not proven to be, a sentence each."""
    found = [each for run_id in sorted(_named_runs()) for each in named(run_id) if not _is_ours(each, run_id)]
    return [
        in_line(
            f"control group {as_path(each)}: left alone, nothing but its name says that it is of a run; if it is not yours, end what runs in it, and "
            f"`{scope.ended(each) if _delegated() else command('find', as_path(each), '-depth', '-type', 'd', '-delete')}` removes it"
        )
        for each in found
    ]


def _named_runs() -> set[str]:
    names = scope.runs(ROOT) if _delegated() else set().union(*(_folders(hierarchy / "whalefall") for hierarchy in hierarchies()))
    return {each for each in names if state.is_run_id(each)}


def _folders(group: Path) -> set[str]:
    with suppress(OSError):
        return {each.name for each in group.iterdir() if each.is_dir()}
    return set()


def freeze(run_id: str, name: str, *, frozen: bool) -> None:
    """Freeze or thaw all processes of a node."""
    if pure_v2():
        file, word = top(ROOT, run_id) / name / "cgroup.freeze", "1" if frozen else "0"
    else:
        file, word = ROOT / "freezer" / "whalefall" / run_id / name / "freezer.state", "FROZEN" if frozen else "THAWED"
    try:
        file.write_text(word)
    except FileNotFoundError as error:
        if frozen:
            raise HarnessError(f"{name}: cannot be frozen: {file} is not there; does the node exist?") from error


def frozen(run_id: str, name: str) -> bool:
    """Whether a node is frozen, as the kernel says."""
    if pure_v2():
        file, words = top(ROOT, run_id) / name / "cgroup.freeze", {"1"}
    else:
        file, words = ROOT / "freezer" / "whalefall" / run_id / name / "freezer.state", {"FROZEN", "FREEZING"}
    try:
        return any(line.strip() in words for line in file.read_text(encoding="utf-8", errors="replace").splitlines())
    except FileNotFoundError:
        return False  # no group, so no machine in it
    except OSError as error:
        raise HarnessError(f"{name}: the kernel does not say whether it is frozen: {error}") from error


def _throttles(run_id: str, name: str) -> tuple[Path, ...]:
    if pure_v2():
        return (top(ROOT, run_id) / name / "io.max",)
    group = ROOT / "blkio" / "whalefall" / run_id / name
    return (group / "blkio.throttle.write_iops_device", group / "blkio.throttle.read_iops_device")


def throttle(run_id: str, name: str, device: str, iops: int | None) -> None:
    """Limit a node's operations a second on a block device (``major:minor``); None lifts the limit."""
    for file in _throttles(run_id, name):
        if pure_v2():
            word = "max" if iops is None else str(iops)
            text = f"{device} riops={word} wiops={word}"
        else:
            text = f"{device} {iops or 0}"  # 0 lifts a v1 throttle
        try:
            file.write_text(text)
        except OSError as error:
            raise HarnessError(f"{name}: the kernel refused {text!r} in {file}: {error}") from error


def throttled(run_id: str, name: str, device: str) -> int | None:
    """Return the limit on a node's writes a second to a device, as the kernel has it, or None."""
    try:
        lines = _throttles(run_id, name)[0].read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    for line in lines:
        words = line.split()
        if words and words[0] == device:
            if not pure_v2():
                return int(words[1])
            limits = dict(word.split("=") for word in words[1:])
            return None if limits.get("wiops", "max") == "max" else int(limits["wiops"])
    return None
