"""A libvirt, asked with `virsh`: argument lists, every question bounded, every refusal an error that says what to do."""

from __future__ import annotations

import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from harness.core import pace
from harness.core.errors import CommandFailed, HarnessError, brief
from harness.core.figures import given
from harness.host import marks
from harness.host.processes import run_here

SECONDS = 60.0
"""How long one question may take. `destroy` takes 2 s when a machine does not end at once; the rest is for a machine under load."""
SLOW_SECONDS = 240.0
"""The same for what copies memory or disks: a snapshot of a 512 MB machine took 1.3 s, going back to it 3.1 s, on 4 idle cores."""

ON = frozenset({"running", "paused", "idle", "in shutdown", "pmsuspended", "blocked"})
"""States of a machine that is on: a frozen one is."""


@dataclass(frozen=True, slots=True)
class Virsh:
    """One libvirt, for one run."""

    uri: str
    run_id: str

    def ask(self, *argv: str, seconds: float = SECONDS) -> str:
        """Return what a virsh command says. Raises `CommandFailed` where it refuses, and `HarnessError` where it does not answer in time."""
        whole = ["virsh", "--quiet", "--connect", self.uri, *argv]
        seconds = pace.limit(seconds)
        try:
            done = run_here(whole, seconds=seconds, environ={**marks.environ(self.run_id), "LC_ALL": "C.UTF-8"})
        except subprocess.TimeoutExpired as error:
            raise HarnessError(f"libvirt ({self.uri}): no answer to {brief(argv)!r} after {given(seconds)}; is its daemon hung?") from error
        except OSError as error:
            raise HarnessError(f"cannot run virsh: {error}; install the package libvirt-clients") from error
        if done.returncode:
            raise CommandFailed(f"libvirt ({self.uri})", argv, done.returncode, done.stderr)
        return done.stdout

    def lines(self, *argv: str) -> list[str]:
        """Return what a command lists: its lines, without the empty ones."""
        return [line.strip() for line in self.ask(*argv).splitlines() if line.strip()]

    def create_network(self, xml: str) -> None:
        """Make a network that is there until it is destroyed, or its libvirt ends. Raises `HarnessError`."""
        with tempfile.NamedTemporaryFile("w", suffix=".xml", encoding="utf-8") as file:
            file.write(xml)
            file.flush()
            self.ask("net-create", file.name)

    def upload(self, pool: str, volume: str, source: Path) -> None:
        """Copy a file into a new volume. Raises `HarnessError`."""
        self.ask("vol-create-as", pool, volume, str(source.stat().st_size), "--format", "raw")
        self.ask("vol-upload", volume, str(source), "--pool", pool, seconds=SLOW_SECONDS)

    def state(self, domain: str) -> str:
        """Return a machine's state in libvirt's words, e.g. ``running``, ``shut off``. Raises `HarnessError` where there is no such machine."""
        return self.ask("domstate", domain).strip()

    def why(self, domain: str) -> str:
        """Return a machine's state and the reason for it, e.g. ``paused (I/O error)``. Raises `HarnessError` where there is no such machine."""
        return self.ask("domstate", domain, "--reason").strip()

    def domains(self, prefix: str) -> list[str]:
        """Return the machines whose names begin so, whatever their state."""
        return [each for each in self.lines("list", "--all", "--name") if each.startswith(prefix)]

    def networks(self, prefix: str) -> list[str]:
        """Return the networks whose names begin so, whatever their state."""
        return [each for each in self.lines("net-list", "--all", "--name") if each.startswith(prefix)]

    def volumes(self, pool: str, prefix: str) -> list[str]:
        """Return a pool's volumes whose names begin so."""
        self.ask("pool-refresh", pool)
        names = [line.split()[0] for line in self.lines("vol-list", pool)]
        return [each for each in names if each.startswith(prefix)]

    def iops(self, domain: str, disk: str) -> int:
        """Return the limit on a running machine's operations a second on a disk; 0: none."""
        for line in self.lines("blkdeviotune", domain, disk, "--live"):
            name, _, value = line.partition(":")
            if name.strip() == "total_iops_sec":
                return int(value)
        raise HarnessError(f"libvirt ({self.uri}): blkdeviotune of {domain} {disk} names no total_iops_sec; expected libvirt 1.0 or later")
