"""Processes of this machine, told apart for good: a pid alone is used again, a pid with its start time is not."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core import pace, stops
from harness.core.clock import Deadline, SystemClock
from harness.core.errors import HarnessError, brief
from harness.core.figures import given
from harness.host import surroundings
from harness.host.talk import heard

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from harness.core.clock import Clock

PROC = Path("/proc")
_STOPPED = {"T": "is stopped (state T)", "t": "is stopped by a debugger (state t)"}
_OVER = frozenset({b"Z", b"X"})
"""States of a process that has ended."""
_LOOKS = 5
"""How often a session that is killed is looked through for what was begun meanwhile."""
_PF_EXITING = 0x4  # include/linux/sched.h; field 9 of /proc/PID/stat
MOST_HANDLES = 200_000
"""Open files of this machine that are looked at, at most: that takes some seconds."""
KILLED_SECONDS = 1.0
"""How long a command of this machine that was killed may take to end. What waits for a disk cannot be killed."""
TOOL_SECONDS = 60.0
"""How long a tool of this machine may take that usually needs some milliseconds (`ip`, `mkfs.ext4`, `qemu-img create`)."""
REAPER = "harness.undo.reaper"
"""The module that a run's reaper is started as, before the run's id and its ledger."""


def run_here(
    argv: Sequence[str], *, seconds: float | None = None, environ: Mapping[str, str] | None = None, told: str = "", umask: int = -1
) -> subprocess.CompletedProcess[str]:
    """Run a command of this machine to its end; return its status and what it said, as text. `told` is what it reads.

    `environ` comes on top of `surroundings.for_tools`. Raises `subprocess.TimeoutExpired` after `seconds` (None: whenever it ends), and `OSError`.
    """
    env = {**surroundings.for_tools(), **(environ or {})}
    return as_text(run_bounded(argv, seconds=seconds, told=told.encode(), env=env, umask=umask))


def run_bounded(
    argv: Sequence[str], *, seconds: float | None, told: bytes = b"", stderr: int = subprocess.PIPE, **how: Any
) -> subprocess.CompletedProcess[bytes]:
    """Run a command of this machine to its end, as `subprocess.run`, but with an end: one that cannot be killed is left to itself.

    What waits for a disk that does not answer ends when that does. `told` is what it reads; `how` is for `subprocess.Popen`. Raises
    `subprocess.TimeoutExpired` after `seconds` (None: whenever it ends) and `KILLED_SECONDS`, and `OSError`, also where it says more than anybody
    keeps (`harness.host.talk`).
    """
    child = subprocess.Popen(argv, stdin=subprocess.PIPE if told else subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr, **how)
    try:
        with stops.deaf():
            out, err = heard(child, seconds, told)
    except BaseException:
        child.kill()
        let_go(child, pace.limit(KILLED_SECONDS))
        raise
    return subprocess.CompletedProcess(argv, child.returncode, out, err)


def as_text(done: subprocess.CompletedProcess[bytes]) -> subprocess.CompletedProcess[str]:
    r"""Return what a command said as text: what is no UTF-8 is replaced, and every end of a line is ``\\n``."""
    out, err = ((said or b"").decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n") for said in (done.stdout, done.stderr))
    return subprocess.CompletedProcess(done.args, done.returncode, out, err)


def run_tool(
    argv: Sequence[str], *, environ: Mapping[str, str] | None = None, told: str = "", umask: int = -1
) -> subprocess.CompletedProcess[str]:
    """Run a tool of this machine that answers at once, as `run_here`.

    Raises `HarnessError` where it has not ended after `TOOL_SECONDS` (times `harness.core.pace`), and `OSError`.
    """
    seconds = pace.limit(TOOL_SECONDS)
    try:
        return run_here(argv, seconds=seconds, environ=environ, told=told, umask=umask)
    except subprocess.TimeoutExpired as error:
        raise HarnessError(f"{brief(argv)} did not end within {given(seconds)}; does something hang on this machine?") from error


def start_time(pid: int) -> int | None:
    """Return a process's start in clock ticks since boot (field 22 of /proc/PID/stat), or None if it is gone or a zombie."""
    fields = _fields(pid)
    return None if not fields or fields[0] in _OVER else int(fields[19])


def _fields(pid: int) -> list[bytes]:
    """Return what the kernel tells of a process from its state on (field 3 of /proc/PID/stat); nothing where it is gone."""
    try:
        stat = (PROC / str(pid) / "stat").read_bytes()
    except OSError:
        return []
    # The name in field 2 may hold anything, also spaces and brackets: the fields that follow start after its last bracket.
    return stat[stat.rindex(b")") + 2 :].split()


def parent(pid: int) -> int | None:
    """Return the pid of a process's parent (field 4 of /proc/PID/stat), or None if it is gone."""
    fields = _fields(pid)
    return int(fields[1]) if fields else None


@dataclass(frozen=True, slots=True)
class Process:
    """One process, for as long as the machine is up."""

    pid: int
    started: int

    @classmethod
    def of(cls, pid: int) -> Process | None:
        """Return the process that has this pid now, or None."""
        started = start_time(pid)
        return None if started is None else cls(pid, started)

    @property
    def alive(self) -> bool:
        """Whether it still runs (a zombie does not)."""
        return start_time(self.pid) == self.started

    @property
    def ending(self) -> bool:
        """Whether it is gone, or on its way out (PF_EXITING): killed, but not yet a zombie."""
        fields = _fields(self.pid)
        return not fields or not self.alive or bool(int(fields[6]) & _PF_EXITING)

    @property
    def halted(self) -> str:
        """Say that it was stopped (SIGSTOP, Ctrl-Z), and what to do; empty where it goes on by itself, or is gone."""
        fields = _fields(self.pid)
        why = _STOPPED.get(fields[0].decode(), "") if fields and self.alive else ""
        return f"{why}: `kill -CONT {self.pid}` lets it go on, `kill -KILL {self.pid}` ends it" if why else ""

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send it a signal, never to a later process of the same pid. Nothing happens if it is gone."""
        with suppress(ProcessLookupError):
            handle = os.pidfd_open(self.pid)
            try:
                if self.alive:
                    signal.pidfd_send_signal(handle, number)
            finally:
                os.close(handle)

    def wait(self, seconds: float) -> bool:
        """Wait until it has ended, woken by the kernel. False after `seconds`."""
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return True
        try:
            if not self.alive:
                return True
            poll = select.poll()
            poll.register(handle, select.POLLIN)
            return bool(poll.poll(max(0, int(seconds * 1000))))
        finally:
            os.close(handle)


def pids() -> Iterator[int]:
    """Yield every pid there is."""
    for name in os.listdir(PROC):  # noqa: PTH208 - names, of hundreds
        if name.isdigit():
            yield int(name)


def handles() -> Iterator[tuple[int, str]]:
    """Yield every open file that we may ask about, `MOST_HANDLES` at most: its process, and its number there. No file is asked for anything."""
    left = MOST_HANDLES
    for pid in pids():
        with suppress(OSError):  # it has ended, or is somebody else's
            for number in os.listdir(f"{PROC}/{pid}/fd"):  # noqa: PTH208 - names
                if left == 0:
                    return
                left -= 1
                yield pid, number


def is_trusted(pid: int) -> bool:
    """Whether a process is root's or this user's: anybody else may call theirs, and what they have open, as they like. Raises `OSError`."""
    return os.stat(f"{PROC}/{pid}").st_uid in {0, os.geteuid()}  # noqa: PTH116 - of hundreds


def is_to_write(said: bytes) -> bool:
    """Whether a file is open to write, by what the kernel tells of it (`told`)."""
    flags = re.search(rb"^flags:\s*([0-7]+)$", said, re.MULTILINE)
    return flags is not None and int(flags[1], 8) & os.O_ACCMODE != os.O_RDONLY


def told(pid: int, number: str) -> bytes:
    """Return what the kernel tells of an open file, which it knows by itself: the file's own system, which may not answer, is not asked."""
    return (PROC / str(pid) / "fdinfo" / number).read_bytes()


def with_reapers() -> set[Path]:
    """Return the folders of all runs of this machine that go on, or are being undone: each has a reaper."""
    return {folder for _, _, folder in reapers()}


def watched() -> set[str]:
    """Return the ids of all runs that have a reaper."""
    return {run_id for _, run_id, _ in reapers()}


def reapers() -> Iterator[tuple[Process, str, Path]]:
    """Yield every reaper of root's or of this user's, with its run and that one's folder. Anybody else may call a process of theirs so."""
    for pid in pids():
        with suppress(OSError):
            if not is_trusted(pid):
                continue
            words = (PROC / str(pid) / "cmdline").read_bytes().split(b"\0")
            if words[1:3] == [b"-m", REAPER.encode()] and len(words) > 4:  # noqa: PLR2004 - Python, -m, its name, the run's id, the ledger
                process = Process.of(pid)
                if process is not None:
                    yield process, os.fsdecode(words[3]), Path(os.fsdecode(words[4])).parent


def kill_all(processes: Iterable[Process], seconds: float, clock: Clock | None = None) -> bool:
    """Kill processes and wait until all have ended, for `seconds` in all, however many they are. False if one did not end."""
    every = list(processes)
    for process in every:
        process.kill()
    patience = Deadline(clock or SystemClock(), seconds)
    return all([process.wait(patience.left()) for process in every])  # noqa: C419 - look at each, also after one that hangs


def signal_session(leader: int, number: signal.Signals) -> None:
    """Send a signal to all processes of a session, in whatever group: `timeout`, and a shell with job control, make groups of their own.

    `leader` must not have been collected yet: its number may be somebody else's by then. Where they are killed, so are those that begin meanwhile.
    """
    with suppress(OSError):  # first, since no process of a group escapes that
        os.killpg(leader, number)
    with suppress(OSError):  # nobody can look where no more files can be opened, and whoever ends a command goes on to wait for it
        for _ in range(_LOOKS if number == signal.SIGKILL else 1):
            if not _signal_beside(leader, number):
                return


def _signal_beside(leader: int, number: signal.Signals) -> bool:
    """Send a signal to those of a session that are not in its leader's group, each as soon as it is found; whether there were any."""
    found = False
    for pid in pids():
        if _is_beside(pid, leader):
            found = True
            with suppress(OSError):
                os.kill(pid, number)
    return found


def _is_beside(pid: int, leader: int) -> bool:
    """Whether a process is in a session, but not in the group of the session's leader, and has not ended (fields 5, 6 and 9 of /proc/PID/stat)."""
    fields = _fields(pid)
    return bool(fields) and int(fields[3]) == leader != int(fields[2]) and fields[0] not in _OVER and not int(fields[6]) & _PF_EXITING


_left: set[int] = set()
"""Children that were left to themselves. Until its end is collected, a pid is no other process's."""
_collecting = threading.Lock()


def let_go(child: subprocess.Popen[Any], seconds: float) -> None:
    """Wait so long for the end of a child that was killed, then leave it: one that waits for a disk that does not answer cannot die. Its pipes close.

    For whoever alone reads from them: a pipe that another thread waits for cannot be closed.
    """
    with suppress(subprocess.TimeoutExpired):
        child.wait(seconds)
    for pipe in (child.stdin, child.stdout, child.stderr):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()
    leave(child)


def leave(child: subprocess.Popen[Any]) -> None:
    """Leave a child that still runs to itself: what holds a machine outlives us where the machine is kept, and others may end it, as the reaper does.

    Its `Popen` is of no use afterwards.
    """
    with _collecting:
        if child.poll() is None:
            _left.add(child.pid)
            child.returncode = 0  # or it would warn when it is dropped, as of a child that was forgotten; the real end is for `collect`


def collect() -> None:
    """Collect the children that were left to themselves and have ended, whoever ended them; without that they are zombies for as long as we live."""
    with _collecting:
        for pid in [*_left]:
            try:
                ended, _ = os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:  # we are a fork of who started it
                ended = pid
            if ended:
                _left.discard(pid)
