"""On a host that systemd runs: a scope of our own for each run, delegated to us, in which all its control groups are made.

The tree of control groups is systemd's there. A scope with ``Delegate=yes`` is the part of it that systemd leaves to us; it sees to the controllers
above it by itself. A scope is there for as long as a process is in it: one that sleeps, until the run is removed.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

from harness.core import pace
from harness.core.clock import SystemClock, wait_until
from harness.core.errors import HarnessError
from harness.core.plain import command
from harness.host import marks, surroundings
from harness.host.processes import leave, run_here

SYSTEMD = Path("/run/systemd/system")
"""There if and only if PID 1 is systemd: see sd_booted(3)."""
SLICE = "system.slice"
SECONDS = 30.0
"""How long systemd may take to make a scope. By hand: 0.1 s."""

_PREFIX, _SUFFIX = "whalefall-", ".scope"
# Not in the scope's own group: a group that hands controllers down may hold no process.
_HOLD = 'mkdir -p "$1/holder" && echo 0 >"$1/holder/cgroup.procs" && exec sleep infinity'


def wanted() -> bool:
    """Whether systemd runs this host."""
    return SYSTEMD.is_dir()


def folder(root: Path, run_id: str) -> Path:
    """Return the control group of a run's scope."""
    return root / SLICE / f"{_PREFIX}{run_id}{_SUFFIX}"


def runs(root: Path) -> set[str]:
    """Return what all scopes that are called as ours name as their run."""
    found = (root / SLICE).glob(f"{_PREFIX}*{_SUFFIX}")
    return {each.name.removeprefix(_PREFIX).removesuffix(_SUFFIX) for each in found if each.is_dir()}


def take(root: Path, run_id: str) -> None:
    """Have systemd make a run's scope. Twice is fine. Raises `HarnessError`."""
    where = folder(root, run_id)
    if _held(where):
        return
    argv = ["systemd-run", "--scope", "--quiet", "--collect", f"--unit={where.name}", f"--slice={SLICE}", "--property=Delegate=yes"]
    argv += ["--", "sh", "-c", _HOLD, "sh", str(where)]
    with tempfile.TemporaryFile() as said:
        environ = {**os.environ, "PATH": surroundings.path(), **marks.environ(run_id)}
        child = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=said, stderr=said, env=environ, cwd="/", umask=0o022, start_new_session=True
        )

        def words() -> str:
            said.seek(0)
            return said.read().decode(errors="replace").strip() or "it said nothing"

        def there() -> bool:
            if child.poll() is not None:
                raise HarnessError(f"systemd gave us no scope {where.name} of our own (status {child.returncode}): {words()}")
            return _held(where)

        try:
            wait_until(
                there, awaited=f"systemd to make the scope {where.name}", seconds=pace.limit(SECONDS), clock=SystemClock(), saw=words
            )
        finally:
            leave(child)


def give_back(root: Path, run_id: str) -> None:
    """Have systemd end a run's scope, in which nothing is any more; without one nothing happens. Raises `HarnessError`.

    Its folder is systemd's to remove: one that we had removed was kept as running for good.
    """
    where = folder(root, run_id)
    if not where.is_dir():
        return
    argv = ["systemctl", "stop", where.name]
    try:
        done = run_here(argv, seconds=pace.limit(SECONDS), environ={"PATH": surroundings.path()})
    except (OSError, subprocess.TimeoutExpired) as error:
        raise HarnessError(f"systemd did not end the scope {where.name}: {error}") from error
    if done.returncode and where.is_dir():
        with suppress(OSError):
            where.rmdir()  # systemd knows nothing of it, or not any more
            return
        raise HarnessError(f"systemd did not end the scope {where.name} (status {done.returncode}): {done.stderr.strip()}")


def ended(where: Path) -> str:
    """Return the command that ends a scope."""
    return command("systemctl", "stop", where.name)


def _held(where: Path) -> bool:
    with suppress(OSError):
        return bool((where / "holder" / "cgroup.procs").read_text(encoding="ascii").strip())
    return False
