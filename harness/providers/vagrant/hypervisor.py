"""Whether KVM runs a kernel on this machine, found out by starting one.

That ``/dev/kvm`` is there says little: inside some virtual machines it is, and a kernel that is started on it stands still for ever, right after its
first lines. So one is started, with no disk, which must get as far as its panic for want of one. The answer is kept until the machine boots again.
"""

from __future__ import annotations

import hashlib
import json
import os
import selectors
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.core import pace
from harness.core.clock import Deadline, SystemClock
from harness.core.errors import HarnessError, Unsupported
from harness.core.figures import lasted
from harness.host import box, private, state, surroundings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.core.clock import Clock

QEMU = "qemu-system-x86_64"
DEVICE = Path("/dev/kvm")
BOOT = Path("/boot")
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

PROBE_SECONDS = 20.0
"""Longest that a kernel may take from start to panic. On hardware it is about a second."""

SILENT_SECONDS = 4.0
"""How long a kernel may say nothing before it counts as standing still. Started as it is here, a running one says hundreds of lines a second."""

PANIC = b"Kernel panic"
"""What a kernel without a disk ends with. All before it ran."""

_CONSOLE = "console=ttyS0 earlyprintk=serial,ttyS0 ignore_loglevel panic=-1"
_KEPT = 65536


@dataclass(frozen=True, slots=True)
class Accelerator:
    """What machines run on here."""

    name: str  # kvm, or qemu for software emulation; libvirt calls them so
    reason: str  # in words


def driver() -> str:
    """Return ``kvm`` or ``qemu``, as libvirt calls them; what `accelerator` says of the kernel that machines here will have."""
    return accelerator(kernel()).name


def kernel() -> Path | None:
    """Return the kernel to try: that of the newest box, of any box, or this machine's own. None where there is none that can be read."""
    candidates = box.boxes()
    here = sorted(BOOT.glob("vmlinuz*"), reverse=True) if BOOT.is_dir() else []
    return next((each for each in (*(each.kernel for each in candidates), *here) if os.access(each, os.R_OK)), None)


def accelerator(tried: Path | None, clock: Clock | None = None) -> Accelerator:
    """Return what machines run on here, and why. Takes up to `PROBE_SECONDS` the first time, and none as long as kernel, qemu and boot are the same.

    Raises `Unsupported` where there is no qemu. Where there is no kernel to try, the answer is ``qemu``, which always runs.
    """
    qemu = surroundings.which(QEMU)
    if qemu is None:
        raise Unsupported(f"virtual machines need {QEMU}, which is not on PATH; apt-get install qemu-system-x86, or run ./setup --vms")
    if not DEVICE.exists():
        return Accelerator("qemu", f"there is no {DEVICE}")
    if not os.access(DEVICE, os.R_OK | os.W_OK):
        return Accelerator("qemu", f"{DEVICE} is there, but not for this user; join its group (kvm), or run it with sudo")
    if tried is None:
        return Accelerator("qemu", f"{DEVICE} is there, and no kernel to try it with; `whalefall image build --box` builds one")
    kept = _kept(tried, qemu)
    found = _read(kept)
    if found is None:
        found = _probe(tried, qemu, clock or SystemClock())
        _write(kept, found)
    return found


def _kept(tried: Path, qemu: str) -> Path:
    """Return the file for the answer: another one for another kernel, qemu, boot of this machine, or user."""
    digest = hashlib.sha256(f"{os.geteuid()} {BOOT_ID.read_text(encoding='ascii') if BOOT_ID.exists() else ''}".encode())
    for each in (tried, Path(qemu)):
        about = each.stat()
        digest.update(f"\0{each.resolve()} {about.st_size} {about.st_mtime_ns}".encode())
    return state.cache() / "hypervisor" / f"{digest.hexdigest()[:16]}.json"


def _read(kept: Path) -> Accelerator | None:
    try:
        body = private.record(kept)
        return Accelerator(str(body["name"]), str(body["reason"]))
    except (OSError, HarnessError, ValueError, KeyError):
        return None


def _write(kept: Path, found: Accelerator) -> None:
    """Keep the answer, if the cache can be written to: without it the next ask takes a few seconds again, and that is all."""
    beside = kept.with_suffix(f".{os.getpid()}")
    try:
        state.close_cache("hypervisor")
        with private.opened(beside, "w") as file:
            json.dump({"name": found.name, "reason": found.reason}, file)
        beside.rename(kept)
    except (OSError, HarnessError):
        return


def _probe(tried: Path, qemu: str, clock: Clock) -> Accelerator:
    """Start the kernel on KVM and see how far it gets."""
    argv = [
        *("setpriv", "--pdeathsig", "KILL", "--"),
        *(qemu, "-accel", "kvm", "-cpu", "host", "-m", "256", "-smp", "1", "-no-user-config", "-nodefaults", "-no-reboot"),
        *("-display", "none", "-serial", "stdio", "-kernel", str(tried), "-append", _CONSOLE),
    ]
    started = clock.now()
    said, ended = _listen(argv, clock)
    seconds = clock.now() - started
    if PANIC in said:
        return Accelerator("kvm", f"{tried} ran on {DEVICE} ({lasted(seconds)} to its panic for want of a disk)")
    last = _last(said)
    if ended:
        return Accelerator("qemu", f"{DEVICE} is there, but qemu ended before {tried} had run: {last}")
    return Accelerator("qemu", f"{DEVICE} is there, but {tried} does not run on it: after {lasted(seconds)} its last words were {last!r}")


def _listen(argv: Sequence[str], clock: Clock) -> tuple[bytes, bool]:
    """Return what a program says until it panics, ends, falls silent or runs out of time, and whether it ended. It is gone then."""
    said = b""
    deadline = Deadline(clock, pace.limit(PROBE_SECONDS))
    with (
        subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process,
        selectors.DefaultSelector() as selector,
    ):
        try:
            if process.stdout is None:
                return said, True
            selector.register(process.stdout, selectors.EVENT_READ)
            while PANIC not in said:
                if not selector.select(min(pace.limit(SILENT_SECONDS), deadline.left())) or deadline.expired:
                    return said, False
                more = os.read(process.stdout.fileno(), 4096)
                if not more:
                    return said, True
                said = (said + more)[-_KEPT:]
            return said, False
        finally:
            process.kill()


def _last(said: bytes) -> str:
    """Return the last line that says anything, without the terminal's control sequences."""
    text = "".join(each if each.isprintable() else "\n" for each in said.decode(errors="replace"))
    return next((line.strip() for line in reversed(text.split("\n")) if line.strip()), "nothing at all")
