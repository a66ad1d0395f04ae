"""One machine: laid out on disk, started, cut off from its power.

Power-off is SIGKILL to the machine's PID 1 as the host sees it. SIGKILL to systemd-nspawn itself would leave the machine running.
"""

from __future__ import annotations

import errno
import hashlib
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

from harness.core import pace, stops
from harness.core.clock import Deadline, SystemClock, wait_until
from harness.core.errors import HarnessError
from harness.core.figures import given
from harness.core.values import NodeSpec
from harness.host import building, locks, marks, private, shelves, surroundings, untrusted
from harness.host.processes import PROC, Process, collect, kill_all, leave, run_tool
from harness.nodes import peeking
from harness.providers.nspawn import bridge, cgroups
from harness.providers.nspawn.nspawn_records import MachineRecord, node_folder, read_cluster, read_machine, write_machine

BOOT_SECONDS = 60.0
"""How long a machine may take to its first answer. By hand: 0.6 s alone, a few seconds when twelve start at once on two cores."""
STEP_SECONDS = 20.0
"""How long one step of that (the slow disk's start, a mount) may take before it is told as what failed. By hand: 0.3 s."""
OFF_SECONDS = 20.0
"""How long a killed machine may take to let go of its disk: a slowed disk is mended first, so this is write-back only."""

_BOOT = Path(__file__).with_name("boot.sh")
_READY = re.compile(rb"^X_NSPAWN_LEADER_PID=(\d+)$", re.MULTILINE)


TRACES = Path("/run/systemd/nspawn")
"""Where nspawn keeps a folder and a lock for each machine; those of ours lie on a disk of their own mount namespace (``boot.sh``)."""


def machine_name(run_id: str, name: str) -> str:
    """Return what nspawn calls a machine: another name for each run and node, and a host name of at most 64 letters.

    A run's id may be longer than that leaves room for, so its hash stands beside its beginning.
    """
    return f"{run_id[:20].rstrip('-')}-{hashlib.sha256(run_id.encode()).hexdigest()[:16]}-{name}"


def remove_traces() -> None:
    """Remove the empty folder that our disks were mounted on, when no machine of anybody's needs it."""
    for each in (TRACES / "propagate", TRACES / "locks", TRACES):
        with suppress(OSError):  # it is not empty, or not there
            each.rmdir()


@contextmanager
def disk_errors(run_id: str, name: str) -> Iterator[None]:
    """Turn what this machine's disk refuses into an error of the node whose files lie there."""
    try:
        yield
    except OSError as error:
        hint = "; is its disk full?" if error.errno in {errno.ENOSPC, errno.EDQUOT} else ""
        raise HarnessError(f"{name}: its files in {node_folder(run_id, name)} cannot be made: {error.strerror}{hint}") from error


def lay_out(run_id: str, spec: NodeSpec, everyone: Sequence[NodeSpec]) -> None:
    """Make a node's folder: its disk image with an empty ext4, and what makes the machine itself (name, id, hosts)."""
    folder = node_folder(run_id, spec.name)
    private.folder(folder.parent)
    private.folder(folder)
    for name in ("work", "disk", "root", "data", "fuse"):
        private.folder(folder / name)
    hosts = ["127.0.0.1 localhost", *(f"{each.address} {each.name}" for each in everyone)]
    machine_id = hashlib.md5(f"{run_id}/{spec.name}".encode(), usedforsecurity=False).hexdigest()
    for name, lines in {"machine-id": [machine_id], "hostname": [spec.name], "hosts": hosts}.items():
        path = folder / "upper" / "etc" / name
        building.folder_for(path, folder)  # for the node's own users, whatever our umask is: the node's folder is closed to this machine's
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        path.chmod(0o644)
    image = folder / "disk" / "disk.img"
    with private.opened(image, "wb") as file:
        file.truncate(spec.disk_mb << 20)
    # No reserve, and nothing zeroed in the background: the disk is idle when nobody uses it.
    argv = ["mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard", str(image)]
    done = run_tool(argv, environ=marks.environ(run_id))
    if done.returncode:
        raise HarnessError(f"{spec.name}: mkfs.ext4 failed with status {done.returncode}: {done.stderr.strip()}; is the disk full?")


def start(run_id: str, spec: NodeSpec) -> MachineRecord:
    """Power a machine on and return when its PID 1 is there. Raises `HarnessError` with the end of its console."""
    folder = node_folder(run_id, spec.name)
    lower = shelves.lowerdir(Path(each) for each in read_cluster(run_id).layers)
    notify = folder / "notify"
    notify.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    with listening as listener, private.opened(folder / "console.log", "ab") as console:
        listener.bind(_short(notify))
        notify.chmod(private.FILE_MODE)
        environ = {
            "PATH": surroundings.path(),
            **surroundings.for_python(),
            **marks.environ(run_id),
            "NOTIFY_SOCKET": str(notify),
            "WF_DIR": str(folder),
            "WF_LOWER": lower,
            "WF_NETNS": str(bridge.path_of(run_id, spec.name)),
            "WF_NAME": spec.name,
            "WF_MACHINE": machine_name(run_id, spec.name),
            "WF_GROUPS": " ".join(str(each) for each in cgroups.make(run_id, spec.name)),
            "WF_HOST_GROUPS": " ".join(str(each) for each in cgroups.make(run_id, f"{spec.name}.host")),
            "WF_FAULTABLE": "1" if spec.faultable_disk and fuse_works() else "0",
            "WF_PYTHON": sys.executable,
            "WF_SECONDS": f"{pace.limit(STEP_SECONDS):.0f}",
        }
        child = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "sh", str(_BOOT)],
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=console,
            env=environ,
            cwd="/",
            umask=0o022,  # it makes folders of this machine's, where they are missing
            start_new_session=True,  # a Ctrl-C at the terminal is for the harness, not for the machines
        )
        try:
            launcher = Process.of(child.pid)
            leader = _leader(listener, child, spec.name, folder)
        except HarnessError:
            if stops.heard() is None:  # else the whole cluster is removed at once
                end_start(run_id, spec.name)
            raise
        finally:
            leave(child)
    notify.unlink(missing_ok=True)
    if launcher is None:
        raise HarnessError(f"{spec.name}: the machine was gone as soon as it had started; its console: {_tail(folder)}")
    record = MachineRecord(launcher, leader)
    write_machine(run_id, spec.name, record)
    return record


@contextmanager
def switching(run_id: str, name: str) -> Iterator[None]:
    """Be the only one that powers a machine on: a heal by hand, the reaper and the harness may want to at one moment."""
    longest = pace.limit(BOOT_SECONDS + 2 * OFF_SECONDS)
    what = f"its turn to power {name} on"
    with locks.held(node_folder(run_id, name) / "switching", what=what, seconds=longest, clock=SystemClock()):
        yield


def end_start(run_id: str, name: str) -> None:
    """End a start that came to nothing, also of somebody who was killed in the middle of it.

    Two machines on one disk would destroy it, and one that came up after all would be known to nobody. For whoever knows that no machine of that name
    is to run.
    """
    end = Deadline(SystemClock(), pace.limit(OFF_SECONDS))
    while left := _started(run_id, name):
        if end.expired:
            raise HarnessError(
                f"{name}: {', '.join(f'process {each.pid}' for each in left)} of an earlier start of it cannot be ended; "
                "`whalefall sweep` removes the cluster"
            )
        kill_all(left, end.left())  # again: one may just have begun another
    collect()


def _started(run_id: str, name: str) -> set[Process]:
    """Return all processes of a machine: in its groups, and those that start it, which enter them a moment later."""
    word = f"WF_DIR={node_folder(run_id, name)}".encode()
    found = cgroups.processes(run_id, name) | cgroups.processes(run_id, f"{name}.host")
    for each in marks.marked(run_id):
        with suppress(OSError):  # it has ended
            if word in (PROC / str(each.pid) / "environ").read_bytes().split(b"\0"):
                found.add(each)
    return found


def _short(path: Path) -> str:
    """Return a name for a socket path that fits into the kernel's 108 bytes."""
    if len(str(path)) >= 108:  # noqa: PLR2004 - sun_path's size
        raise HarnessError(f"{path} is too long for a socket; set WHALEFALL_STATE to a shorter folder")
    return str(path)


def _leader(listener: socket.socket, child: subprocess.Popen[bytes], name: str, folder: Path) -> Process:
    """Wait until nspawn names the machine's PID 1, woken by its message."""
    clock = SystemClock()
    end = clock.now() + pace.limit(BOOT_SECONDS)
    listener.settimeout(0.25)
    while clock.now() < end:
        stops.go_on()
        try:
            message = listener.recv(4096)
        except TimeoutError:
            if child.poll() is not None:
                raise HarnessError(f"{name}: the machine ended with status {child.returncode} while starting; {_tail(folder)}") from None
            continue
        found = _READY.search(message)
        if found:
            leader = Process.of(int(found[1]))
            if leader is not None:
                return leader
    raise HarnessError(f"{name}: no machine after {given(pace.limit(BOOT_SECONDS))}; {_tail(folder)}")


_TOLD_BYTES = 4096
"""Of the end of a console, at most, in a message: what runs on a machine may write there without an end."""


def _tail(folder: Path) -> str:
    try:
        lines = untrusted.tail(folder, "console.log", _TOLD_BYTES).decode(errors="replace").strip().splitlines()
    except (OSError, HarnessError):
        lines = []
    return "its console ends: " + (" | ".join(lines[-5:]) or "(nothing)")


def booted(record: MachineRecord, run_id: str, name: str) -> None:
    """Wait until the machine's systemd takes commands. Raises `Expired`, or `HarnessError` with the end of its console if it died."""
    folder = node_folder(run_id, name)

    def there() -> bool:
        if not record.leader.alive:
            raise HarnessError(f"{name}: the machine died while it was starting; {_tail(folder)}")
        return peeking.has_socket(record.leader.pid, PurePosixPath("/run/systemd/private"))

    wait_until(there, awaited=f"{name}'s systemd to take commands", seconds=pace.limit(BOOT_SECONDS), clock=SystemClock(), every=0.01)


def cut_power(run_id: str, name: str, killed: Callable[[], object] = lambda: None) -> None:
    """Kill a machine as a power cut does, and wait until nothing of it is left but its disk; `killed` is called between. Twice is fine.

    Raises what `stops.go_on` raises while it waits: the machine is off by then.
    """
    record = read_machine(run_id, name)
    if record is None:
        return
    record.leader.kill()
    killed()
    if not any(record.launcher.wait(each) for each in stops.slices(pace.limit(OFF_SECONDS), SystemClock())):
        raise HarnessError(
            f"{name}: {given(pace.limit(OFF_SECONDS))} after its PID 1 was killed something still holds its disk; `whalefall sweep` removes it"
        )
    collect()


def fuse_works() -> bool:
    """Whether this machine can serve a disk from user space."""
    return Path("/dev/fuse").exists() and surroundings.which("fusermount3") is not None
