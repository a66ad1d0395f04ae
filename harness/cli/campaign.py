"""Runs for a scorecard: which are wanted, which are there already, and the rest done side by side.

Each is a `whalefall run` of its own, in a process of its own: it has its reaper, undoes what it broke, and is stopped as any other. What has been run
is what lies in the campaign's folder; nothing else is noted of it, so that no crash can make the two differ. When this process dies in any way the
kernel asks its runs to stop (SIGTERM), and each heals and removes its cluster.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.core import pace
from harness.core.clock import SystemClock
from harness.core.errors import BadInput, HarnessError, Problem
from harness.core.figures import lasted
from harness.core.plain import as_path, in_line
from harness.core.protocols import Sized
from harness.core.values import SEEDS
from harness.history.lines import typed
from harness.host import locks, surroundings, untrusted
from harness.reports.scorecard import Left
from harness.runs import run as kept
from harness.runs.writer import writer_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from types import FrameType

    from harness.core.values import Json
    from harness.host.processes import Process
    from harness.plan import Plan

FILE = "campaign.json"
"""What a campaign's folder has beside its runs: its seed, and the modes that scenarios are not for."""
LOGS = "logs"
"""Folder below it, with what each `whalefall run` said."""
FORMAT, VERSION = "whalefall-campaign", 1
MOST_BYTES = 1 << 20
"""Of that file, and of a scenario file."""
A_CORE = 2
"""Clusters a core, at most: they wait for timers most of the time. Four on two cores is what this project's own tests have run for long."""
TAIL_BYTES = 4096
"""Of the end of a run's log that is looked at for why there is no run."""


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """One run that is wanted."""

    plan: Plan
    number: int  # from 1

    @property
    def key(self) -> tuple[Json, ...]:
        """What tells it from all others of its campaign, as a saved plan has it."""
        plan = self.plan
        return (plan.file, plan.scenario, plan.mode, plan.provider, plan.profile, plan.seed)

    @property
    def log(self) -> str:
        """Name of its log below the campaign's folder."""
        return f"{LOGS}/{self.number:03}-{self.plan.mode[:20]}-s{self.plan.seed}.log"

    def __str__(self) -> str:
        """Name it."""
        return in_line(f"{self.plan.scenario}, {self.plan.mode}, seed {self.plan.seed}")


def key_of(files: Sequence[Path], *choices: Json) -> str:
    """Return the name of a campaign's folder: the same for the same files with the same content, and the same choices. Raises `BadInput`."""
    content = [[str(each), hashlib.sha256(untrusted.named(each, MOST_BYTES, "a scenario file")).hexdigest()] for each in files]
    body = json.dumps([content, *choices], sort_keys=True).encode(errors="backslashreplace")
    return f"scorecard-{hashlib.sha256(body).hexdigest()[:8]}"


def tasks_of(plans: Sequence[Plan], seed: int, repeats: int) -> list[PlannedRun]:
    """Return every run that is wanted: each plan with a seed, and those that follow it. First all plans once, then all a second time."""
    seeded = [replace(plan, seed=(seed + repeat) % SEEDS) for repeat in range(repeats) for plan in plans]
    return [PlannedRun(plan, number) for number, plan in enumerate(seeded, 1)]


# -- its folder


@dataclass(frozen=True, slots=True)
class CampaignNotes:
    """What a campaign's folder says of it beside its runs."""

    seed: int
    left: tuple[Left, ...] = ()


def noted(folder: Path) -> CampaignNotes | None:
    """Return what stands there; None where nothing does. Raises `BadInput` for what no campaign wrote."""
    try:
        body = untrusted.object_in(folder, FILE, MOST_BYTES)
    except FileNotFoundError:
        return None
    file, hint = str(folder / FILE), "it is damaged, or from another version"
    if (body.get("format"), body.get("version")) != (FORMAT, VERSION):
        raise BadInput([Problem(file, 0, 0, "another format", f"{FORMAT}, version {VERSION}", hint)])
    try:
        seed: int = typed(int, body.get("seed"))
        left: tuple[Left, ...] = typed(tuple[Left, ...], body.get("not_for"))
    except ValueError as error:
        raise BadInput([Problem(file, 0, 0, f"{error}", "what the harness wrote", hint)]) from error
    return CampaignNotes(seed, left)


def note(folder: Path, said: CampaignNotes) -> None:
    """Write it. Raises `HarnessError` where it cannot be written."""
    left: list[Json] = [{"scenario": each.scenario, "mode": each.mode, "because": each.because} for each in said.left]
    text = json.dumps({"format": FORMAT, "version": VERSION, "seed": said.seed, "not_for": left}, indent=2, ensure_ascii=False) + "\n"
    try:
        untrusted.write(folder, FILE, text.encode(errors="backslashreplace"))
    except OSError as error:
        raise HarnessError(f"cannot write to {folder}: {error}; nothing was begun; choose another folder with --results") from error


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold a campaign's folder, so that nobody else does its runs meanwhile. Raises `HarnessError` where somebody does."""
    try:
        if not folder.is_dir():
            untrusted.make(folder)
        handle = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, untrusted.FILE_MODE)
    except OSError as error:
        raise HarnessError(f"cannot write to {folder}: {error}; nothing was begun; choose another folder with --results") from error
    try:
        if not locks.taken(handle):
            raise HarnessError(f"another scorecard is doing these runs: {locks.held_by(folder / '.lock')}; wait for it, or stop it")
        yield
    finally:
        os.close(handle)


# -- what is there


@dataclass(frozen=True, slots=True)
class There:
    """What lies in a campaign's folder of one task."""

    done: Path | None = None  # the run that counts
    interrupted: tuple[Path, ...] = ()  # runs that were stopped or killed: they are done again
    going: Process | None = None  # the harness of a run of it that still goes


def look(folder: Path, tasks: Sequence[PlannedRun]) -> dict[int, There]:
    """Return what is there of each task, by its number. A run that failed by itself counts; one that was stopped, or killed, does not."""
    of = {task.key: task.number for task in tasks}
    found: dict[int, list[Path]] = {}
    for each in kept.folders(folder):
        try:
            plan = kept.plan_of(each)
        except (BadInput, OSError):
            continue  # it is none of ours; a card of all that lies there says what is wrong with it
        key = tuple(plan.get(part) for part in ("file", "scenario", "mode", "provider", "profile", "seed"))
        if key in of:
            found.setdefault(of[key], []).append(each)
    return {task.number: _there(found.get(task.number, [])) for task in tasks}


def _there(every: Sequence[Path]) -> There:
    done: list[Path] = []
    interrupted: list[Path] = []
    going = None
    for each in every:
        writer = writer_of(each)
        if writer is not None:
            going = writer
        elif _was_interrupted(each):
            interrupted.append(each)
        else:
            done.append(each)
    return There(done[-1] if done else None, tuple(interrupted), going)


def _was_interrupted(folder: Path) -> bool:
    """Whether a run was stopped, or its harness killed. One that cannot be read stays as it is, and counts as that."""
    try:
        early = kept.ended_early(folder)
        return early == "stopped" or (not early and not kept.verdict_of(folder))
    except (BadInput, OSError):
        return False


def why_not(folder: Path, task: PlannedRun) -> str:
    """Return the last line that the run of a task said, for one that left no run behind."""
    try:
        lines = untrusted.tail(folder, task.log, TAIL_BYTES).decode(errors="replace").split("\n")
    except (BadInput, OSError):
        return "it left no log"
    return next((in_line(line.strip()) for line in reversed(lines) if line.strip()), "it said nothing")


# -- how many at a time


def carried(plans: Sequence[Plan], providers: Mapping[str, Callable[[], object]]) -> tuple[int, str]:
    """Measure how many runs of these plans this machine carries at a time, one at least, and say why.

    By the nodes that still fit (of the largest plan), and by processors: `A_CORE` for each, as many times fewer as a loop takes longer here than
    where our limits were measured. Where nodes do not stand on this machine, or nobody knows how many it carries, it is one.
    """
    largest = max(len(plan.nodes) for plan in plans)
    words, counts = [], []
    for name in sorted({plan.provider for plan in plans}):
        provider = providers[name]()
        if not isinstance(provider, Sized):
            return 1, f"nobody knows how many nodes of {name} fit"
        nodes, limit = provider.room()
        words.append(f"{nodes} more nodes fit ({limit}), and a run takes {largest}")
        counts.append(nodes // largest)
    clock = SystemClock()
    with pace.measured(clock):
        seen = pace.look(clock).seen
    cores = len(os.sched_getaffinity(0)) or 1
    counts.append(int(A_CORE * cores / max(1.0, seen)))
    words.append(f"{cores} core{'' if cores == 1 else 's'}, on which work takes {seen:.1f} times as long as usual")
    return max(1, min(counts)), "; ".join(words)


def has_room(plan: Plan, providers: Mapping[str, Callable[[], object]]) -> bool:
    """Whether the nodes of one more run fit now."""
    provider = providers[plan.provider]()
    return not isinstance(provider, Sized) or provider.room()[0] >= len(plan.nodes)


# -- doing them


def argv_of(task: PlannedRun, folder: Path) -> list[str]:
    """Return the command that does one run, asked to stop by the kernel when this process is gone."""
    plan = task.plan
    chosen = {"--mode": plan.mode, "--provider": plan.provider, "--profile": plan.profile, "--seed": str(plan.seed)}
    words = [word for pair in chosen.items() for word in pair]
    setpriv = surroundings.which("setpriv")
    bound = [setpriv, "--pdeathsig", "TERM", "--"] if setpriv else []
    return [*bound, sys.executable, "-m", "harness", "run", as_path(plan.file), *words, "--results", as_path(folder), "--plain"]


@dataclass(slots=True)
class Crew:
    """The runs under way. For the main thread alone, which begins all of them: the kernel tells them when that ends."""

    folder: Path
    argv: Callable[[PlannedRun, Path], Sequence[str]]  # `argv_of`
    signal: int | None = None  # by which it was asked to stop
    _going: dict[int, tuple[PlannedRun, subprocess.Popen[bytes], float]] = field(default_factory=dict)  # by pidfd

    @contextlib.contextmanager
    def heard(self) -> Iterator[None]:
        """Hand SIGINT and SIGTERM on to every run for as long as the block lasts; a second one too. Each ends as `whalefall run` does."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._asked) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _asked(self, number: int, _frame: FrameType | None) -> None:
        self.signal = number
        for _, child, _ in [*self._going.values()]:
            self._tell(child, number)

    def _tell(self, child: subprocess.Popen[bytes], number: int) -> None:
        if child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                child.send_signal(number)

    def do(
        self,
        tasks: Sequence[PlannedRun],
        jobs: int,
        fits: Callable[[Plan], bool],
        say: Callable[[str], None],
        clock: SystemClock | None = None,
    ) -> None:
        """Do runs, so many at a time at most and as long as the nodes of one more fit; returns when all have ended, whatever came of them.

        Asked to stop it begins no more, and waits for those that end. Raises `HarnessError` where none can be begun.
        """
        now = (clock or SystemClock()).now
        left = list(tasks)
        try:
            while self._going or (left and self.signal is None):
                while left and self.signal is None and len(self._going) < jobs and (not self._going or fits(left[0].plan)):
                    task = left.pop(0)
                    self._begin(task, now())
                    say(f"begun: {task} ({len(tasks) - len(left)} of {len(tasks)})")
                for task, status, began in self._ended():
                    how = f"exit status {status}" if status >= 0 else f"ended by signal {-status}"
                    say(f"ended: {task}, {lasted(now() - began)}, {how}")
        except BaseException:
            # Nobody waits for them any more: they are to undo what they did.
            for _, child, _ in self._going.values():
                self._tell(child, signal.SIGTERM)
            raise

    def _begin(self, task: PlannedRun, at: float) -> None:
        try:
            log = untrusted.anew(self.folder, task.log)
        except OSError as error:
            raise HarnessError(f"cannot write to {error.filename}: {error.strerror}; the runs under way are asked to stop") from error
        try:
            child = subprocess.Popen(
                self.argv(task, self.folder),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **surroundings.for_python()},
                start_new_session=True,  # a Ctrl-C reaches it through us, once
            )
        except OSError as error:
            raise HarnessError(f"cannot start a run: {error}") from error
        finally:
            os.close(log)
        self._going[os.pidfd_open(child.pid)] = (task, child, at)
        if self.signal is not None:  # it came in the middle
            self._tell(child, self.signal)

    def _ended(self) -> list[tuple[PlannedRun, int, float]]:
        """Wait until any has ended, woken by the kernel, and return all that have."""
        if not self._going:
            return []
        waiting = select.poll()
        for handle in self._going:
            waiting.register(handle, select.POLLIN)
        found = []
        for handle, _ in waiting.poll():
            task, child, began = self._going.pop(handle)
            os.close(handle)
            found.append((task, child.wait(), began))
        return found
