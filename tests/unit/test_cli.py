"""The `whalefall` command: what it says, and the exit status that it ends with."""

from __future__ import annotations

import dataclasses
import errno
import functools
import json
import os
import re
import signal
import subprocess
import sys
import threading
import types
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from click.testing import CliRunner, Result

import harness.conductor.standing  # beside the double of its package it cannot be found any more
import harness.host
from harness import cli, registry
from harness.cli import kept as reading
from harness.cli.stopping import Stop
from harness.core.clock import SystemClock
from harness.core.errors import BadInput, HarnessError, Problem
from harness.core.values import App, Budget, Finding, Loss, NodeSpec, Phase, Term, Traits, Verdict, Who
from harness.history.events import STOPPED_EARLY, History, Note, PhaseBegan, Recorder
from harness.host import image
from harness.host.processes import REAPER
from harness.plan import Plan
from harness.runs.run import Run, save_verdict
from harness.undo import leaving
from harness.undo.ledger import OpenFaults

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Stopped(HarnessError):
    """The conductor's own word for a run that was asked to stop."""


@dataclass
class Conductor:
    """A module that stands in for `harness.conductor`: each run comes out as the next of `outcomes`."""

    outcomes: list[Verdict | BaseException | Callable[[Any], Verdict]]
    given: list[Any] = field(default_factory=list)

    def module(self) -> types.ModuleType:
        """Return it as a module."""
        made = types.ModuleType("harness.conductor")
        made.__dict__.update(Options=functools.partial(types.SimpleNamespace, busy=False), Stopped=Stopped, conduct=self.conduct)
        return made

    def conduct(self, plan: Plan, options: Any) -> Run:
        """Do a run that comes out as told, its history written as a real one's is."""
        self.given.append(options)
        folder = options.results / f"run-{len(self.given)}"
        folder.mkdir(parents=True)
        (folder / "plan.json").write_text(
            json.dumps({"scenario": plan.scenario, "mode": plan.mode, "provider": "nspawn", "seed": plan.seed})
        )
        (folder / "environment.json").write_text(json.dumps({"started": "2026-11-24T09:00:00+00:00"}))
        with Recorder(folder / "history.jsonl", SystemClock()) as recorder:
            options.listen(recorder)
            recorder.record(PhaseBegan(Phase.FORMING))
            outcome = self.outcomes.pop(0)
            if isinstance(outcome, BaseException):
                raise outcome
            verdict = outcome if isinstance(outcome, Verdict) else outcome(options)
            recorder.record(PhaseBegan(Phase.DONE))
        run = Run(folder.name, folder, plan, History.load(folder / "history.jsonl"), [Finding("conflicts", verdict, "as it was told")])
        save_verdict(run)
        return run


def a_plan(seed: int = 7) -> Plan:
    """Return a plan without steps."""
    return Plan(
        scenario="node-kill",
        why="",
        file="scenarios/node-kill.yaml",
        mode="fleet",
        provider="nspawn",
        seed=seed,
        profile="default",
        timers={},
        nodes=(NodeSpec("n1", "10.77.0.11"),),
        apps=(App("web", 1),),
        workloads=(),
        steps=(),
        settle=1.0,
        checks=(),
        promises=(),
        control=None,
    )


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Call the command in an empty folder."""
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WHALEFALL_DEBUG", raising=False)
    monkeypatch.delenv("WHALEFALL_RESULTS", raising=False)
    runner = CliRunner()

    def invoke(*args: str) -> Result:
        return runner.invoke(cli.main, args)

    return invoke


def conducted(monkeypatch: pytest.MonkeyPatch, *outcomes: Any) -> Conductor:
    """Put a conductor in place whose runs come out so, and plan every file without reading it."""
    conductor = Conductor(list(outcomes))
    monkeypatch.setitem(sys.modules, "harness.conductor", conductor.module())
    monkeypatch.setattr("harness.plan.plan_of", lambda path, *, seed, **_: a_plan(seed))
    return conductor


def test_help_names_every_command_and_exit_status(call: Callable[..., Result]) -> None:
    """One screen to start from."""
    result = call("--help")
    assert result.exit_code == 0
    for command in ("doctor", "image", "plan", "run", "judge", "list", "show", "heal", "sweep", "modes", "schema"):
        assert f"\n  {command} " in result.output
    assert "3  unknown" in result.output


def test_clusters_are_used_again_only_where_that_is_asked_for(call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    """One place for all runs of the command; machines that cannot be set back are told, and a cluster is not both kept and used again."""
    conductor = conducted(monkeypatch, Verdict.HELD, Verdict.HELD, Verdict.HELD)
    result = call("run", "--reuse", "one.yaml", "two.yaml")
    assert result.exit_code == 0
    assert conductor.given[0].standing is conductor.given[1].standing is not None
    assert "--reuse changes nothing for nspawn: its machines cannot be set back" in result.output
    assert "--reuse" not in call("run", "one.yaml").output
    assert conductor.given[2].standing is None
    both = call("run", "--reuse", "--keep", "one.yaml")
    assert (both.exit_code, "--keep and --reuse exclude each other" in both.output, len(conductor.given)) == (2, True, 3)


@pytest.mark.parametrize(("verdict", "status"), [(Verdict.HELD, 0), (Verdict.BROKEN, 1), (Verdict.UNKNOWN, 3)])
def test_a_run_ends_with_the_status_of_its_verdict(
    call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, verdict: Verdict, status: int
) -> None:
    """The verdict, in words and as a status, and how to do the same again."""
    conducted(monkeypatch, verdict)
    result = call("run", "a.yaml", "--seed", "42")
    assert result.exit_code == status
    assert str(verdict).upper() in result.output
    assert "again: whalefall run scenarios/node-kill.yaml " in result.output
    assert "--seed 42" in result.output


@pytest.mark.parametrize(
    ("statuses", "worst"),
    [([0], 0), ([0, 3], 3), ([3, 1], 1), ([1, 4, 0], 4), ([0, 0], 0), ([4, 3], 4), ([], 4)],
)
def test_the_worst_of_several_runs_counts(statuses: list[int], worst: int) -> None:
    """A failed harness before broken, broken before unknown, unknown before held."""
    assert cli.worst(statuses) == worst


def test_several_files_are_all_run_and_summed_up(call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure of the harness in one does not keep the next from being run."""
    conductor = conducted(monkeypatch, Verdict.BROKEN, HarnessError("n2: no answer to true: timed out"), Verdict.HELD)
    result = call("run", "a.yaml", "b.yaml", "c.yaml")
    assert result.exit_code == 4
    assert len(conductor.given) == 3
    assert "whalefall failed: n2: no answer to true: timed out" in result.output
    assert [line.split()[-1] for line in result.output.splitlines() if line.startswith(" node-kill")] == ["broken", "failed", "held"]


def test_all_problems_of_all_files_are_told_and_nothing_is_run(call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    """Two bad files beside a good one: exit 2, every problem, no run."""
    conductor = conducted(monkeypatch, Verdict.HELD)

    def plan(path: Path, *, seed: int, **_: str | None) -> Plan:
        if path.name == "good.yaml":
            return a_plan(seed)
        raise BadInput(
            [Problem(str(path), 3, 5, "'nod'", "a key of a scenario", "did you mean 'nodes'?"), Problem(str(path), 9, 1, "x", "y")]
        )

    monkeypatch.setattr("harness.plan.plan_of", plan)
    result = call("run", "bad.yaml", "good.yaml", "worse.yaml")
    assert result.exit_code == 2
    assert "bad.yaml:3:5: found 'nod'; expected a key of a scenario; did you mean 'nodes'?" in result.output.replace(
        ": 'nod'", ": found 'nod'"
    )
    assert "worse.yaml:9:1" in result.output
    assert "4 problems; nothing was done" in result.output
    assert not conductor.given
    assert not Path("results").exists()


def test_a_folder_stands_for_its_scenarios(call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    """In order of their names; one without any is bad input."""
    Path("some").mkdir()
    assert call("run", "some").exit_code == 2
    seen: list[str] = []
    conducted(monkeypatch, Verdict.HELD, Verdict.HELD)

    def plan(path: Path, *, seed: int, **_: str | None) -> Plan:
        seen.append(path.name)
        return a_plan(seed)

    monkeypatch.setattr("harness.plan.plan_of", plan)
    for name in ("b.yaml", "a.yaml", "notes.txt"):
        Path("some", name).touch()
    assert call("run", "some").exit_code == 0
    assert seen == ["a.yaml", "b.yaml"]


@pytest.mark.parametrize("args", [["run"], ["run", "a.yaml", "--seed", "-1"], ["run", "a.yaml", "--profile", "slow"], ["dance"], ["plan"]])
def test_bad_usage_ends_with_2(call: Callable[..., Result], args: list[str]) -> None:
    """As for a bad scenario."""
    assert call(*args).exit_code == 2


def test_a_seed_is_made_up_once_for_all_files_and_printed(call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    """What was left to chance can be repeated."""
    conducted(monkeypatch, Verdict.HELD, Verdict.HELD)
    monkeypatch.setattr("secrets.randbelow", lambda end: 4711)
    assert call("run", "a.yaml", "b.yaml").output.count("seed 4711") >= 2


def test_a_bug_is_one_line_and_a_file_with_the_details(call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    """No traceback on the screen, all of it beside the run."""
    conducted(monkeypatch, ZeroDivisionError("division by zero"))
    result = call("run", "a.yaml")
    assert result.exit_code == 4
    assert "Traceback" not in result.output
    assert "ZeroDivisionError: division by zero; please report this as a bug, with results/run-1/crash.txt" in result.output
    assert "Traceback" in Path("results/run-1/crash.txt").read_text()


def test_the_traceback_is_shown_where_it_is_asked_for(call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    """For those who work on the harness."""
    conducted(monkeypatch, ZeroDivisionError())
    monkeypatch.setenv("WHALEFALL_DEBUG", "1")
    assert "Traceback" in call("run", "a.yaml").output


def test_a_failure_says_its_cause_first_and_then_where_its_run_is(call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    """And the command that shows what was recorded until then."""
    conducted(monkeypatch, HarnessError("n2: no answer"))
    lines = call("run", "a.yaml", "--results", "else where").output.splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("whalefall failed"))
    assert lines[first] == "whalefall failed: n2: no answer"
    assert lines[-2:] == ["kept in else where/run-1", "evidence: whalefall show 'else where/run-1'"]


def test_a_bug_without_a_run_leaves_a_file_too(call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In the folder for temporary files."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(reading, "find", lambda results, run: 1 / 0)
    result = call("show")
    assert result.exit_code == 4
    (crash,) = tmp_path.glob("whalefall-crash-*.txt")
    assert str(crash) in result.output


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_the_run_and_no_other_is_begun(
    call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, number: signal.Signals, status: int
) -> None:
    """The conductor is asked to stop; it heals and tears down, and that is said."""

    def stopped(options: Any) -> Verdict:
        os.kill(os.getpid(), number)
        if not options.stop.wait(10):
            raise HarnessError("nobody asked to stop")
        raise Stopped("the run was stopped")

    before = signal.getsignal(number)
    conductor = conducted(monkeypatch, stopped, Verdict.HELD)
    result = call("run", "a.yaml", "b.yaml")
    assert result.exit_code == status
    assert "stopping: healing what is broken and removing the cluster" in result.output
    assert (
        "stopped: what was broken is mended, and the cluster is gone\n"
        "kept in results/run-1\nevidence: whalefall show results/run-1\nnot begun: node-kill\n"
    ) in result.output
    assert len(conductor.given) == 1
    assert signal.getsignal(number) is before


@pytest.mark.parametrize(
    ("first", "second", "hurries"),
    [
        (signal.SIGINT, signal.SIGINT, True),
        (signal.SIGTERM, signal.SIGINT, True),
        (signal.SIGINT, signal.SIGTERM, True),
        (signal.SIGTERM, signal.SIGTERM, False),
    ],
)
def test_a_second_signal_hurries_where_somebody_is_at_the_keyboard(first: signal.Signals, second: signal.Signals, hurries: bool) -> None:
    """As the first one's answer promises of Ctrl-C. A supervisor that asks twice gets the clean-up that it asked for."""
    stop = Stop()
    interrupted = False
    with stop.caught():
        os.kill(os.getpid(), first)
        assert stop.event.wait(10)
        try:
            os.kill(os.getpid(), second)
            stop.event.wait(10)
        except KeyboardInterrupt:
            interrupted = True
    assert (interrupted, stop.signal) == (hurries, first)


IN_THE_MIDDLE = """
import os, signal, threading
from harness.cli.stopping import Stop

lock = threading.Lock()

class View:
    def say(self, text):
        with lock:
            print(text, flush=True)

stop = Stop()
stop.view = View()
with stop.caught():
    with lock, stop.event._cond:
        os.kill(os.getpid(), signal.SIGTERM)
        print("on with it", flush=True)
    stop.event.wait()
"""


def test_a_signal_in_the_middle_of_what_the_view_does_is_heard() -> None:
    """The handler runs in the middle of whatever the main thread does, which may hold the view's lock or the event's: it waits for neither."""
    done = subprocess.run([sys.executable, "-c", IN_THE_MIDDLE], capture_output=True, text=True, timeout=60, check=True)
    told = "stopping: healing what is broken and removing the cluster (Ctrl-C again: without waiting for this step)"
    assert done.stdout.splitlines() == ["on with it", told]


@dataclass(frozen=True)
class Opened:
    """A line of the ledger that was not closed."""

    name: str = "daemon.hang"
    targets: tuple[str, ...] = ("n1", "n2")


def test_what_a_stop_left_broken_is_named_with_what_mends_it(
    call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Only a settled ledger says that what was broken is mended, and only the records say that the cluster is gone."""
    monkeypatch.setenv("WHALEFALL_STATE", str(tmp_path / "state"))
    monkeypatch.setattr("harness.undo.ledger.read", lambda path: OpenFaults((Opened(),), ()))  # type: ignore[arg-type]  # what is read of it
    (tmp_path / "state/runs/run-1").mkdir(parents=True)
    conducted(monkeypatch, Stopped("the run was stopped"))
    output = call("run", "a.yaml", "--results", "else where").output
    assert "is mended" not in output
    assert (
        "stopped: NOT known to be mended: daemon.hang on n1 n2; `whalefall heal run-1 --results 'else where'` mends it; "
        "the cluster is NOT gone; `whalefall sweep` removes it\n"
    ) in output


def test_a_stop_of_a_kept_run_says_how_to_remove_its_cluster(call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    """And never that it is removed."""

    def stopped(options: Any) -> Verdict:
        os.kill(os.getpid(), signal.SIGINT)
        options.stop.wait(10)
        raise Stopped("the run was stopped")

    conducted(monkeypatch, stopped)
    output = call("run", "a.yaml", "--keep").output
    assert "stopping: healing what is broken (Ctrl-C again" in output
    assert "stopped: what was broken is mended, and the cluster was kept; `whalefall sweep --kept` removes it\n" in output


def test_a_ledger_that_cannot_be_read_proves_nothing_mended(call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    """Could not ask is never no."""

    def torn(options: Any) -> Verdict:
        Path("results/run-1/ledger.jsonl").write_text("not JSON\n")
        raise HarnessError("n2: no answer")

    conducted(monkeypatch, torn)
    output = call("run", "a.yaml").output
    assert "whalefall failed: n2: no answer\nwhether anything is still broken is not known" in output
    assert "`whalefall heal run-1` looks again" in output


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "cannot write results/run-1: No space left on device; make room"),
        (OSError(errno.EROFS, "Read-only", "a/b"), "cannot write a/b: Read-only file system; choose another folder with --results"),
        (PermissionError(errno.EACCES, "denied", "a/b"), "cannot write a/b: Permission denied; run it as a user who may do that"),
        (NotADirectoryError(errno.ENOTDIR, "no", b"a/b"), "cannot write a/b: Not a directory; a part of the path is a file"),
        (OSError(errno.EMFILE, "many", "a/b"), "cannot write a/b: Too many open files; raise the limit of open files (ulimit -n)"),
    ],
)
def test_an_error_of_the_environment_is_one_line_and_no_bug(
    call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, error: OSError, words: str
) -> None:
    """A path, a reason and what to do; nothing to report, no details beside the run."""
    conducted(monkeypatch, error)
    result = call("run", "a.yaml")
    assert result.exit_code == 4
    assert f"whalefall failed: {words}" in result.output
    assert "should not" not in result.output
    assert not Path("results/run-1/crash.txt").exists()


def test_any_other_error_of_the_system_is_still_a_bug(call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    """What we asked of the system the wrong way is not the user's fault."""
    conducted(monkeypatch, OSError(errno.EINVAL, "wrong", "a/b"))
    assert "please report this as a bug" in call("run", "a.yaml").output


@dataclass
class Images:
    """A module that stands in for `harness.host.image`: `outcome` is what a build comes to."""

    outcome: BaseException | None = None
    kept: list[bool] = field(default_factory=list)

    def put(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Put it in place."""
        made = types.ModuleType("harness.host.image")
        made.__dict__.update(ensure=self.ensure, prune=self.prune)
        monkeypatch.setitem(sys.modules, "harness.host.image", made)
        monkeypatch.setattr(harness.host, "image", made, raising=False)
        boxes = types.ModuleType("harness.host.box")
        boxes.__dict__.update(ensure=self.box, prune=lambda *, keep_current: [])
        monkeypatch.setitem(sys.modules, "harness.host.box", boxes)
        monkeypatch.setattr(harness.host, "box", boxes, raising=False)

    def box(self, progress: Callable[[str], None]) -> types.SimpleNamespace:
        """Build the box."""
        progress("installing a kernel")
        return types.SimpleNamespace(key="def", size=1_400_000_000, path=Path("/cache/def"))

    def ensure(self, progress: Callable[[str], None]) -> types.SimpleNamespace:
        """Build it, or not."""
        progress("building web")
        if self.outcome is not None:
            raise self.outcome
        return types.SimpleNamespace(key="abc", size=600_000_000, path=Path("/cache/abc/root"))

    def prune(self, *, keep_current: bool) -> list[types.SimpleNamespace]:
        """Remove the current one, if that was asked for."""
        self.kept.append(keep_current)
        return [] if keep_current else [types.SimpleNamespace(key="abc", size=600_000_000)]


def test_an_image_is_built_and_pruned(call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    """What is done is told as it is done, and what came of it."""
    images = Images()
    images.put(monkeypatch)
    assert call("image", "build").output == "building web\nimage abc: 600 MB in /cache/abc/root\n"
    lines = call("image", "build", "--box").output.splitlines()
    assert lines[2:] == ["installing a kernel", "box def: 1400 MB in /cache/def"]
    assert call("image", "prune").output == "nothing to remove\n"
    assert call("image", "prune", "--all").output == "removed abc (600 MB)\n"
    assert images.kept == [True, False]


@pytest.mark.parametrize(
    ("outcome", "status", "words"),
    [
        (KeyboardInterrupt(), 130, "stopped"),
        (HarnessError("the disk is full"), 4, "whalefall failed: the disk is full"),
        (OSError(errno.EROFS, "", "/c"), 4, "whalefall failed: cannot write /c: Read-only file system"),
    ],
)
def test_a_build_that_does_not_end_well_is_a_line(
    call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, outcome: BaseException, status: int, words: str
) -> None:
    """Ctrl-C and a failure: never a traceback."""
    Images(outcome).put(monkeypatch)
    result = call("image", "build")
    assert result.exit_code == status
    assert result.output.splitlines()[1].startswith(words)
    assert len(result.output.splitlines()) == 2


@pytest.mark.parametrize("number", [errno.EROFS, errno.ENOSPC, errno.EACCES, errno.ENOTDIR])
def test_a_cache_that_cannot_be_written_is_one_line(
    call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, number: int
) -> None:
    """The real `harness.host.image`, on a disk that refuses: the folder, the reason, and WHALEFALL_CACHE."""

    def refuse(path: Path, *_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setenv("WHALEFALL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(image, "_check_machine", lambda: "go")
    monkeypatch.setattr(Path, "mkdir", refuse)
    result = call("image", "build")
    assert result.exit_code == 4
    assert result.output.startswith(f"whalefall failed: cannot write the image cache at {tmp_path}/cache: {os.strerror(number)}; ")
    assert "set WHALEFALL_CACHE" in result.output


def test_a_second_interrupt_does_not_wait_for_the_step(call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes as KeyboardInterrupt, once; the clean-up is not torn down by a third."""
    cleaned: list[bool] = []

    def stubborn(options: Any) -> Verdict:
        os.kill(os.getpid(), signal.SIGINT)
        options.stop.wait(10)
        try:
            os.kill(os.getpid(), signal.SIGINT)
            options.stop.wait(10)
        finally:
            os.kill(os.getpid(), signal.SIGINT)
            cleaned.append(True)
        return Verdict.HELD

    conducted(monkeypatch, stubborn)
    assert call("run", "a.yaml").exit_code == 130
    assert cleaned == [True]


def test_one_interrupt_is_enough_while_the_cluster_is_being_made(call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is broken yet, and building an image takes long; the clean-up is not torn down by a second one."""
    cleaned: list[bool] = []

    def building(options: Any) -> Verdict:
        options.busy = True
        try:
            os.kill(os.getpid(), signal.SIGINT)
            threading.Event().wait(10)
        finally:
            os.kill(os.getpid(), signal.SIGINT)
            cleaned.append(True)
        return Verdict.HELD

    conducted(monkeypatch, building)
    assert call("run", "a.yaml").exit_code == 130
    assert cleaned == [True]


def test_a_stop_that_comes_too_late_changes_no_verdict_but_the_status(call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    """The run was judged: its report is shown, and the status says that somebody interrupted."""

    def late(options: Any) -> Verdict:
        os.kill(os.getpid(), signal.SIGINT)
        options.stop.wait(10)
        return Verdict.HELD

    conducted(monkeypatch, late)
    result = call("run", "a.yaml")
    assert result.exit_code == 130
    assert "HELD" in result.output


def test_options_reach_the_conductor(call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    """--keep and --results."""
    conductor = conducted(monkeypatch, Verdict.HELD)
    result = call("run", "a.yaml", "--keep", "--results", "elsewhere")
    assert conductor.given[0].keep is True
    assert conductor.given[0].results == Path("elsewhere")
    assert "the cluster was kept; `whalefall sweep --kept` removes it" in result.output


def test_list_shows_runs_also_those_that_were_killed(call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    """What a killed run lacks is a question mark."""
    monkeypatch.setenv("COLUMNS", "100")
    assert "no runs in results yet" in call("list").output
    conducted(monkeypatch, Verdict.BROKEN)
    call("run", "a.yaml", "--seed", "42")
    killed = Path("results/killed")
    killed.mkdir()
    (killed / "plan.json").write_text("{}")
    rows = {line.split()[0]: line.split() for line in call("list").output.splitlines() if line.split()[:1] in (["run-1"], ["killed"])}
    assert rows["run-1"][1:6] == ["broken", "node-kill", "fleet", "nspawn", "42"]
    assert re.fullmatch(r"[0-9]+\.[0-9]{2}", rows["run-1"][8])  # however long this machine took
    assert rows["killed"][1:] == ["not", "judged", "?", "?", "?", "?", "?", "?"]


class SetClock(SystemClock):
    """A clock that shows what it was set to."""

    time = 0.0

    def now(self) -> float:
        """Return the time that was set."""
        return self.time


@pytest.mark.parametrize(
    ("noted", "said"),
    [(STOPPED_EARLY, "stopped"), ("ended early: waited 45 s for n1", "failed"), ("ended early: Stopped: the run was stopped", "stopped")],
)
@pytest.mark.parametrize("judged", [False, True], ids=["not judged", "judged since"])
def test_list_tells_apart_why_a_run_has_no_verdict(call: Callable[..., Result], noted: str, said: str, *, judged: bool) -> None:
    """Stopped by somebody is no failure; that a judge says unknown of what is there of either changes nothing."""
    folder = Path("results/a-run")
    folder.mkdir(parents=True)
    (folder / "plan.json").write_text(json.dumps({"scenario": "x", "mode": "fleet", "provider": "nspawn", "seed": 1}))
    clock = SetClock()
    with Recorder(folder / "history.jsonl", clock, "a-run") as recorder:
        recorder.record(PhaseBegan(Phase.FORMING))
        clock.time += 12.0
        recorder.record(Note(noted))
        clock.time += 30.0
    if judged:
        save_verdict(
            Run("a-run", folder, a_plan(), History.load(folder / "history.jsonl"), [Finding("quorum", Verdict.UNKNOWN, "it ends")])
        )
    (row,) = (line.split() for line in call("list").output.splitlines() if line.split()[:1] == ["a-run"])
    assert row[1] == said
    assert row[-1] == "12.0"


def test_list_says_that_a_run_goes_on(call: Callable[..., Result], tmp_path: Path) -> None:
    """As long as its reaper is there; then nobody can say what became of it."""
    folder = Path("results/a-run")
    folder.mkdir(parents=True)
    (folder / "plan.json").write_text(json.dumps({"scenario": "x", "mode": "fleet", "provider": "nspawn", "seed": 1}))
    ledger = (tmp_path / folder / "ledger.jsonl").resolve()
    (tmp_path / "harness" / "undo").mkdir(parents=True)
    (tmp_path / "harness" / "__init__.py").touch()
    (tmp_path / "harness" / "undo" / "__init__.py").touch()
    (tmp_path / "harness" / "undo" / "reaper.py").write_text("import sys\nprint('there', flush=True)\nsys.stdin.read()\n")

    def row() -> list[str]:
        (found,) = (line.split() for line in call("list").output.splitlines() if line.split()[:1] == ["a-run"])
        return found

    argv = [sys.executable, "-m", REAPER, "a-run", str(ledger), "nspawn"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"there\n"
        assert row()[1] == "running"
        child.communicate()
    assert row()[1:3] == ["not", "judged"]


@pytest.mark.parametrize(
    ("checker", "words"),
    [
        ("quorun", ["an unknown checker 'quorun'", "expected one of quorum", "did you mean 'quorum'?"]),
        ("writes", ["the checker 'writes', which judged nothing in this run", "expected one of quorum"]),
    ],
)
def test_evidence_of_a_checker_that_found_nothing_is_bad_usage(
    call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, checker: str, words: list[str]
) -> None:
    """A slip of the pen and a promise that was not made are told apart."""
    conducted(monkeypatch, Verdict.HELD)
    call("run", "a.yaml")
    judging(monkeypatch, Verdict.HELD)
    result = call("show", "--evidence", checker)
    assert result.exit_code == 2
    assert all(word in result.output for word in words)
    assert "no lines are kept for a promise that was kept" in call("show", "--evidence", "quorum").output


@pytest.mark.parametrize("columns", ["40", "80", "100"])
def test_what_is_for_pasting_is_whole_however_narrow_the_console_is(
    call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, columns: str
) -> None:
    """By run, judge and show alike."""
    monkeypatch.setenv("COLUMNS", columns)
    conducted(monkeypatch, Verdict.HELD)
    results = tmp_path / "a-folder-of-results" / "that-has-a-long-name-as-those-of-build-machines-have-and-then-some"
    outputs = [call("run", "a.yaml", "--results", str(results)).output]
    judging(monkeypatch, Verdict.HELD)
    outputs += [call(command, "--results", str(results)).output for command in ("judge", "show")]
    for output in outputs:
        assert f"kept in {results}/run-1" in output.splitlines()
        assert f"evidence: whalefall show {results}/run-1" in output.splitlines()


def test_list_gives_a_runs_length_as_its_verdict_does(call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    """One run is one length everywhere, whatever came after its end in the history."""
    monkeypatch.setenv("COLUMNS", "100")
    conducted(monkeypatch, Verdict.HELD)
    call("run", "a.yaml")
    file = Path("results/run-1/verdict.json")
    file.write_text(json.dumps({**json.loads(file.read_text()), "seconds": 936.2}))
    (row,) = (line.split() for line in call("list").output.splitlines() if line.split()[:1] == ["run-1"])
    assert row[8] == "936.2"


def test_show_as_json_is_the_plan_and_the_verdict(call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    """For programs."""
    conducted(monkeypatch, Verdict.HELD)
    call("run", "a.yaml")
    body = json.loads(call("show", "--json").output)
    assert (body["run"], body["verdict"], body["plan"]["scenario"], len(body["findings"])) == ("run-1", "held", "node-kill", 1)


def judging(monkeypatch: pytest.MonkeyPatch, verdict: Verdict) -> None:
    """Put a judge in place that says so of every folder."""
    made = types.ModuleType("harness.runs.judge")

    def load(folder: Path) -> Run:
        return Run(folder.name, folder, a_plan(), History([]), [Finding("quorum", verdict, "judged anew")])

    made.__dict__.update(load=load, judge_folder=load)
    monkeypatch.setitem(sys.modules, "harness.runs.judge", made)


@pytest.mark.parametrize(("verdict", "status"), [(Verdict.HELD, 0), (Verdict.BROKEN, 1), (Verdict.UNKNOWN, 3)])
def test_judge_ends_with_the_new_verdict(
    call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, verdict: Verdict, status: int
) -> None:
    """By the start of an id; show says the same and ends with 0."""
    conducted(monkeypatch, Verdict.HELD)
    call("run", "a.yaml")
    judging(monkeypatch, verdict)
    result = call("judge", "run")
    assert result.exit_code == status
    assert "judged anew" in result.output
    shown = call("show", "run-1")
    assert shown.exit_code == 0
    assert "judged anew" in shown.output


def test_a_run_that_is_not_there_is_named(call: Callable[..., Result]) -> None:
    """And what there is."""
    for command in ("show", "judge", "heal"):
        result = call(command, "nothing")
        assert (result.exit_code, result.output) == (2, "no run 'nothing' in results; the newest there are: none yet\n")
        result = call(command, "no/folder")
        assert (result.exit_code, result.output) == (
            2,
            "no run in 'no/folder': there is no plan.json; give the folder of a run, or its id\n",
        )


def test_a_run_is_named_by_its_path_wherever_it_lies(call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    """As the report prints it: relative, absolute, from inside, through `latest`; by every command that takes a run."""
    conducted(monkeypatch, Verdict.HELD)
    call("run", "a.yaml", "--results", "else where")
    judging(monkeypatch, Verdict.BROKEN)
    here = Path("else where/run-1")
    (here.parent / "latest").symlink_to("run-1")
    healed = types.ModuleType("harness.undo.reaper")
    healed.__dict__["heal"] = lambda run_id, results: [f"{run_id} in {results}"]
    monkeypatch.setitem(sys.modules, "harness.undo.reaper", healed)
    for path in (str(here), f"./{here}", str(here.absolute()), f"{here}/", "else where/latest"):
        assert "judged anew" in call("show", path).output
        assert call("judge", path).exit_code == 1
        assert call("heal", path).output.startswith("run-1 in ")
    monkeypatch.chdir(here)
    assert "judged anew" in call("show", ".").output
    taking = {name for name, command in cli.main.commands.items() if any(each.name == "run" for each in command.params)}
    assert taking == {"show", "judge", "heal"}


@pytest.mark.parametrize(
    "file",
    ["it's $HOME; a & b.yaml", "-rf.yaml", "plain.yaml", "a\nb.yaml", "\x1b[2J it's \\x.yaml", "caf\udce9 \u202e.yaml", "!x `y`.yaml"],
)
def test_what_does_a_run_again_can_be_pasted(call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, file: str) -> None:
    """A shell makes the same words of it: the same file, seed and choices, from the same folder."""
    conductor = conducted(monkeypatch, Verdict.HELD, Verdict.HELD)
    plans: list[Path] = []

    def plan(path: Path, *, seed: int, **_: str | None) -> Plan:
        plans.append(path)
        return dataclasses.replace(a_plan(seed), file=str(path))

    monkeypatch.setattr("harness.plan.plan_of", plan)
    monkeypatch.setenv("WHALEFALL_INVENTORY", "hosts of mine.ini:a b")
    result = call("run", "--seed", "42", "--", file)
    line = next(line.removeprefix("again: ") for line in result.output.splitlines() if line.startswith("again: "))
    said = subprocess.run(["bash", "-c", f"printf '%s\\0' {line}"], capture_output=True, check=True).stdout
    words = [os.fsdecode(each) for each in said.split(b"\0")[:-1]]
    assert words[:2] == ["whalefall", "run"]
    assert call(*words[1:]).exit_code == 0
    assert plans[0].resolve() == plans[1].resolve()
    assert "--seed 42" in line
    assert len(conductor.given) == 2


def test_an_unknown_name_on_the_command_line_hides_no_problem_of_the_files(call: Callable[..., Result]) -> None:
    """Mode, provider, profile; and what is wrong with each file, all at once."""
    Path("bad.yaml").write_text("scenario: sample\nwhy: so\nsteps: [{fault: node.kil, on: any, hold: 1s}]\npromises: [conflict]\n")
    for command in ("plan", "run"):
        result = call(command, "bad.yaml", "--mode", "fleit", "--provider", "nspwn", "--profile", "slow")
        assert result.exit_code == 2
        for words in (
            "--mode: an unknown mode 'fleit'; expected one of fleet, swarm; did you mean 'fleet'?",
            "--provider: an unknown provider 'nspwn'; expected one of inventory, nspawn, vagrant; did you mean 'nspawn'?",
            "--profile: an unknown profile 'slow'; expected one of default, fast",
            "bad.yaml:3:17: an unknown fault 'node.kil'",
            "bad.yaml:4:12: an unknown promise 'conflict'",
            "5 problems; nothing was done",
        ):
            assert words in result.output


def test_an_unknown_name_far_from_any_is_told_the_valid_ones_once(call: Callable[..., Result]) -> None:
    """Mode, provider, profile: what was expected says it."""
    Path("some.yaml").write_text("scenario: some\nwhy: so\nsteps: [{wait: 1s}]\npromises: [conflicts]\n")
    for option, valid in (("mode", "fleet, swarm"), ("provider", "inventory, nspawn, vagrant"), ("profile", "default, fast")):
        result = call("plan", "some.yaml", f"--{option}", "qqqq")
        assert f"--{option}: an unknown {option} 'qqqq'; expected one of {valid}\n" in result.output
        assert result.exit_code == 2


@pytest.mark.parametrize("seed", ["x", "-1", "1.5", "", str(2**63), "9" * 5000, "٣"])
def test_a_seed_that_is_none_is_told_as_what_was_found_and_expected(call: Callable[..., Result], seed: str) -> None:
    """Whatever it is, in one line that is not long."""
    result = call("plan", "some.yaml", "--seed", seed)
    assert result.exit_code == 2
    assert f"found {seed!r}"[:40] in result.output
    assert f"expected a whole number from 0 to {2**63 - 1}" in result.output
    assert len(result.output) < 400


@pytest.mark.parametrize(("columns", "shown"), [(60, False), (80, False), (100, True)])
def test_list_is_narrow_on_a_narrow_terminal(
    call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, columns: int, *, shown: bool
) -> None:
    """Name, verdict, when and length, a run a line; the rest where there is room."""
    conducted(monkeypatch, Verdict.BROKEN)
    call("run", "a.yaml", "--seed", "42")
    folder = Path("results/run-1").rename("results/partition-majority-fleet-s923456-1128-205544-8fd7")
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = call("list").output.splitlines()
    (row,) = [line for line in lines if folder.name in line]
    assert row.split()[1] == "broken"
    assert re.fullmatch(r"\d+\.\d+" if shown else "s", row.split()[-1])
    assert ("nspawn" in row) is shown
    assert shown or max(len(line.rstrip()) for line in lines) <= 80


def test_schema_is_json(call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    """For editors."""
    made = types.ModuleType("harness.scenario")
    made.__dict__["json_schema"] = lambda: {"type": "object"}
    monkeypatch.setitem(sys.modules, "harness.scenario", made)
    assert json.loads(call("schema").output) == {"type": "object"}


NOT_FOR_BARE = """\
scenario: sample
why: to see what is left out
steps: [{fault: none, on: any, hold: 1s}]
promises: [conflicts]
but:
  bare: {because: there is nothing there that could move, skip: true}
"""


class Bare:
    """A mode with one timer that orchestrates nothing."""

    name = "bare"
    TIMERS: ClassVar[Mapping[str, Mapping[str, float]]] = {"default": {"beat": 5.0, "rest": 90.0}, "fast": {"beat": 0.5}}

    def __init__(self, timers: Mapping[str, float]) -> None:
        self.timers = timers

    @classmethod
    def from_timers(cls, profile: str, overrides: Mapping[str, float]) -> Bare:
        """Return the mode with a profile's timers."""
        return cls({**cls.TIMERS[profile], **overrides})

    def budget(self, lost: Traits, who: Who) -> Budget:
        """Promise recovery from a dead node only."""
        return Budget(
            (Term("three beats", 3 * self.timers["beat"], "a test"), Term("start", 2.0, "a test")) if lost.loses is Loss.NODE else ()
        )


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a mode named bare beside the real ones."""
    real = registry.known()
    among = registry.Known(real.faults, real.workloads, real.checkers, {**real.modes, "bare": Bare}, real.providers)
    monkeypatch.setattr(registry, "known", lambda: among)


@pytest.mark.usefixtures("bare")
def test_a_file_that_is_not_for_the_mode_is_one_line_and_bad_usage(call: Callable[..., Result]) -> None:
    """What was asked for cannot be done, and the file says why."""
    Path("one.yaml").write_text(NOT_FOR_BARE, encoding="utf-8")
    for command in ("run", "plan"):
        result = call(command, "one.yaml", "--mode", "bare")
        assert (result.exit_code, result.output) == (2, "one.yaml: not for bare: there is nothing there that could move\n")


@pytest.mark.usefixtures("bare")
def test_files_that_are_not_for_the_mode_keep_no_other_from_being_run(call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    """They are named before and in the sum; the verdicts of the others decide."""
    conductor = Conductor([Verdict.BROKEN])
    monkeypatch.setitem(sys.modules, "harness.conductor", conductor.module())
    Path("files").mkdir()
    Path("files/one.yaml").write_text(NOT_FOR_BARE, encoding="utf-8")
    Path("files/two.yaml").write_text(NOT_FOR_BARE.partition("but:")[0].replace("sample", "other"), encoding="utf-8")
    result = call("run", "files", "--mode", "bare", "--plain")
    assert result.exit_code == 1
    assert "files/one.yaml: not for bare: there is nothing there that could move\n" in result.output
    assert [line.split() for line in result.output.splitlines()[-3:-1]] == [["other", "broken"], ["sample", "not", "for", "bare"]]
    assert len(conductor.given) == 1
    result = call("plan", "files", "--mode", "bare")
    assert (result.exit_code, result.output.count("takes     ")) == (0, 1)


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize("columns", [100, 80])
def test_modes_are_told_with_timers_and_budgets(call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    """Each profile's timers side by side, and the sum of every budget; what is alike is said once."""
    monkeypatch.setenv("COLUMNS", str(columns))
    result = call("modes")
    assert result.exit_code == 0
    words = " ".join(result.output.split())
    for line in (
        "timer default fast",
        "beat 5s 500ms",
        "rest 90s",
        "after node.kill",
        "default three beats 15 + start 2 = 17 s",
        "fast three beats 1.5 + start 2 = 3.5 s",
        "after daemon.hang docker, daemon.hang containerd, disk.slow, net.partition, none: no recovery is promised",
        "an election, at most 10s 10s",
    ):
        assert line in words
    assert max(len(line) for line in result.output.splitlines()) <= columns


def test_of_hosts_that_somebody_else_runs_nobody_says_that_they_are_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are let go, or kept, or NOT let go, with what to do."""
    monkeypatch.setenv("WHALEFALL_STATE", str(tmp_path))
    folder = tmp_path / "results" / "run-1"
    folder.mkdir(parents=True)
    (folder / "ledger.jsonl").touch()
    theirs = dataclasses.replace(a_plan(), provider="inventory")
    assert leaving.left(folder, theirs, keep=False) == "what was broken is mended, and the hosts were let go"
    assert "the apps and the claims on the hosts were kept; `whalefall sweep --kept`" in leaving.left(folder, theirs, keep=True)
    (tmp_path / "runs" / "run-1").mkdir(parents=True)
    assert "its hosts are NOT let go" in leaving.left(folder, theirs, keep=False)
    assert "the cluster is NOT gone; `whalefall sweep` removes it" in leaving.left(folder, a_plan(), keep=False)


def test_sweep_and_heal_say_what_they_did(call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    """Or that there was nothing to do. What could not be removed is an error."""
    made = types.ModuleType("harness.undo.reaper")

    def sweep(*, kept: bool, say: Callable[[str], None]) -> types.SimpleNamespace:
        if kept:
            say("run-1: removed")
            say("run-2: its hosts are NOT let go")
            return types.SimpleNamespace(said=["run-1: removed", "run-2: its hosts are NOT let go"], failed=("run-2",))
        return types.SimpleNamespace(said=[], failed=())

    made.__dict__.update(heal=lambda run_id, results: [f"{run_id}: node.kill on n2 was healed"] if run_id else [], sweep=sweep)
    monkeypatch.setitem(sys.modules, "harness.undo.reaper", made)
    assert call("sweep").output == "nothing is left of any run\n"
    result = call("sweep", "--kept")
    assert (result.output, result.exit_code) == ("run-1: removed\nrun-2: its hosts are NOT let go\n", cli.HARNESS_FAILED)
    assert call("heal").output == "nothing is broken\n"
    conducted(monkeypatch, Verdict.HELD)
    call("run", "a.yaml")
    assert call("heal", "latest").output == "run-1: node.kill on n2 was healed\n"
