"""`vagrant up`: the one call of Vagrant that a run makes. All that it says goes to a file; an error holds the useful end of it and what to do.

Vagrant takes 2 s to start, so everything after that (power, pause, disks, snapshots, removal) asks libvirt itself.
"""

from __future__ import annotations

import functools
import os
import re
import signal
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from harness.core import pace, stops
from harness.core.clock import Clock, Deadline, SystemClock
from harness.core.errors import HarnessError
from harness.core.figures import given
from harness.host.processes import leave
from harness.providers import clusters
from harness.providers.vagrant import layout, own_libvirt
from harness.providers.vagrant.vagrant_records import VirtualMachine, VmCluster
from harness.providers.vagrant.virsh import Virsh

BOOT_SECONDS = 160.0
"""How long one machine may take from power to its first answer: 38 s measured under software emulation on 4 cores, times 4 for slower machines."""
MORE_SECONDS = 60.0
"""How much longer for each machine that boots beside it: 3 took 45 s where one took 38; the rest is for hosts with fewer cores than machines."""

LOOK_SECONDS = 1.0
"""How often it is looked who is up, while Vagrant waits for it."""
TROUBLE_LOOKS = 5
"""After so many of these looks it is also looked whether a machine has stopped. That starts one virsh a machine."""

_FULL = ("the disk is full", "make room, or set WHALEFALL_STATE to a folder on a bigger disk")
_CAUSES = (
    (r"(?i)no space left on device|disk quota exceeded", *_FULL),
    (
        r"(?i)cannot set up guest memory|cannot allocate memory",
        "the memory is not enough",
        "stop something, or set WHALEFALL_VM_MEMORY to fewer megabytes",
    ),
    (
        r"(?i)the box '([^']*)' could not be found|box .* not .*found",
        "the box cannot be found",
        "`whalefall image build --box` builds it",
    ),
    (
        r"(?i)image is not in qcow2 format|could not open backing file|could not read qcow2|invalid backing|unsupported qcow2",
        "the box's disk is none, or is damaged",
        "remove it with `whalefall image prune` and build it again with `whalefall image build --box`",
    ),
    (r"(?i)could not access KVM kernel module|failed to initialize kvm", "KVM cannot be used", "set WHALEFALL_DRIVER=qemu"),
    (
        r"(?i)provider 'libvirt' could not be found|unknown provider|libvirt' is not installed",
        "vagrant has no libvirt provider",
        "install vagrant-libvirt",
    ),
    (r"(?i)timed out while waiting for the machine to boot|waiting for domain to get an ip", "a machine never answered", ""),
)
_WORD = 60  # characters of a console's last line that are told while it boots
_NOISE = re.compile(r"^(==> \S+:\s*)?(-- |Progress|from /|\s*$)")
_PLACE = re.compile(r"^\S+\.rb:\d+:in `[^']*': ")
"""Where in Vagrant's own code something was raised, before what was raised. What follows it (``from /…``) is noise."""


def up_seconds(count: int) -> float:
    """Return how long `vagrant up` of so many machines may take."""
    return pace.limit(BOOT_SECONDS + MORE_SECONDS * (count - 1))


def log(folder: Path) -> Path:
    """Return the file with all that Vagrant said."""
    return folder / "vagrant.log"


def up(
    record: VmCluster,
    settings: Path,
    machines: Sequence[VirtualMachine],
    clock: Clock | None = None,
    *,
    tell: Callable[[str], None] = lambda _: None,
    up: Callable[[VirtualMachine], bool] = lambda _: False,
) -> None:
    """Create and boot all machines, in parallel. Raises one `HarnessError` with the cause where it is a known one, and what to do.

    Every `LOOK_SECONDS` it is told which of them are `up`, and whom is waited for. When all are, Vagrant is ended: it would only ask them the same
    over SSH, with a new connection each time, which takes emulated machines as long as half their boot.

    What was made on an error stays: the caller removes it.
    """
    folder = clusters.folder(record.run_id)
    argv = ["vagrant", "up", "--parallel", "--provider=libvirt", "--no-tty", "--no-color", "--no-destroy-on-error"]
    if record.private:
        argv = own_libvirt.within(record.run_id, argv)
    seconds = up_seconds(len(machines))
    deadline = Deadline(clock or SystemClock(), seconds)
    with log(folder).open("ab") as file:
        try:
            child = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                env=layout.vagrant_environ(record.run_id, settings),
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            raise HarnessError(f"cannot run vagrant: {error}; install the package vagrant, or run ./setup --vms") from error
        try:
            status = _ended(child, record, machines, deadline, functools.partial(_look, machines, up, tell))
        finally:
            _end(child)
    if status is None:
        raise HarnessError(f"vagrant up of {len(machines)} machines had not ended after {given(seconds)}; {explained(folder, machines)}")
    if status:
        _must_go_on(record, machines)  # Vagrant itself gives a stopped machine up, and knows no reason
        raise HarnessError(f"vagrant up exited with status {status}: {explained(folder, machines)}")


def _ended(
    child: subprocess.Popen[bytes], record: VmCluster, machines: Sequence[VirtualMachine], deadline: Deadline, look: Callable[[], bool]
) -> int | None:
    """Wait for Vagrant's end, or until `look` says that it is no longer needed. Returns its status, 0 for the latter, None where time ran out.

    Raises `HarnessError` as soon as a machine has stopped.
    """
    looks = 0
    while deadline.left() > 0:
        for seconds in stops.slices(min(LOOK_SECONDS, deadline.left()), deadline.clock):
            with suppress(subprocess.TimeoutExpired):
                return child.wait(seconds)
        looks += 1
        if looks % TROUBLE_LOOKS == 0:
            _must_go_on(record, machines)
        if look():
            return 0
    return None


def _look(machines: Sequence[VirtualMachine], up: Callable[[VirtualMachine], bool], tell: Callable[[str], None]) -> bool:
    """Tell who is up, and return whether all are."""
    there = [machine.name for machine in machines if up(machine)]
    tell(going(machines, there))
    return len(there) == len(machines)


def going(machines: Sequence[VirtualMachine], there: Sequence[str]) -> str:
    """Say which machines are up, by name, and of each that is waited for how far it is by its console."""
    waited = []
    for machine in machines:
        if machine.name in there:
            continue
        said = _lines(machine.console)
        waited.append(f"{machine.name} ({said[-1][:_WORD]!r})" if said else f"{machine.name} (has not said anything)")
    return f"up: {', '.join(there) or 'none'}" + (f"; waiting for {', '.join(waited)}" if waited else "")


def _must_go_on(record: VmCluster, machines: Sequence[VirtualMachine]) -> None:
    """Raise `HarnessError` where a machine has stopped for a reason that the host knows."""
    stopped = [text for machine in machines if (text := trouble(Virsh(record.uri, record.run_id), machine))]
    if stopped:
        raise HarnessError("; ".join(stopped))


def trouble(virsh: Virsh, machine: VirtualMachine) -> str:
    """Say that a machine stands still since its disk takes nothing any more, and what to do. Empty where that is not so, or cannot be asked.

    qemu stops a machine whose write finds no room on the host: the guest itself never learns of it, and would be waited for in vain.
    """
    try:
        why = virsh.why(machine.domain)
    except HarnessError:
        return ""
    return f"{machine.name} stands still: libvirt says {why}; {'; '.join(_FULL)}" if "I/O error" in why else ""


def _end(child: subprocess.Popen[bytes]) -> None:
    """Kill Vagrant and all that it started, if it still runs, and collect it."""
    if child.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):
            child.wait(5.0)
        leave(child)  # one that even SIGKILL has not ended by now


def explained(folder: Path, machines: Sequence[VirtualMachine]) -> str:
    """Return the cause of a failed boot where it is a known one, what to do, the last words of Vagrant and those of each machine's console."""
    said = _lines(log(folder))
    text = "\n".join(said)
    parts = []
    for pattern, cause, remedy in _CAUSES:
        if re.search(pattern, text):
            parts.append(f"{cause}; {remedy}" if remedy else cause)
            break
    useful = [_PLACE.sub("", line) for line in said if not _NOISE.match(line)]
    parts.append("vagrant's last words: " + (" | ".join(useful[-8:]) or "(nothing)"))
    parts += [consoles for consoles in (console(machine) for machine in machines) if consoles]
    return "; ".join(parts)


def console(machine: VirtualMachine) -> str:
    """Return the last words of a machine's serial console; empty where none was kept."""
    lines = _lines(machine.console)
    return f"{machine.name}'s console ends: {' | '.join(lines[-4:])}" if lines else ""


def _lines(path: Path) -> list[str]:
    """Return a log's lines; what a progress bar overwrote is left out, and so are the terminal's own codes."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\x1bc", "", text)
    lines = [line.rstrip("\r").rpartition("\r")[2].strip() for line in text.split("\n")]
    return [line for line in lines if line]
