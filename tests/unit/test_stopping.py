"""A run asked to end early, by signal: what is done then, and what is said of what is left."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

from harness.cli import main
from harness.cli.stopping import Stop
from harness.cli.telling import CommandGroup
from harness.core.errors import HarnessError
from harness.core.values import Effect, Verdict
from harness.testing.histories import Story
from harness.undo import leaving
from harness.undo.ledger import OpenFaults

if TYPE_CHECKING:
    from collections.abc import Callable
from tests.unit.commanding import Stopped, a_plan, conducted


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


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_any_command_only_when_what_it_began_is_ended(number: signal.Signals, status: int) -> None:
    """A time limit of a CI job ends a measurement, or the reading of an inventory, as Ctrl-C does: no process runs on, and no file stays."""
    group = CommandGroup("whalefall")
    ended: list[str] = []

    @group.command("long")
    def long() -> None:
        try:
            signal.raise_signal(number)
        finally:
            child = subprocess.Popen(["sleep", "60"])  # as the clean-up starts some: it must hear what it is sent
            child.terminate()
            assert child.wait(20.0) == -signal.SIGTERM
            ended.append("what it began")

    before = signal.getsignal(number)
    result = CliRunner().invoke(group, ["long"])
    assert (result.exit_code, result.output, ended) == (status, "stopped\n", ["what it began"])
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
from harness.cli.telling import CommandGroup

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
    """And never that it is removed; nor that one was kept which was not made, or is not there any more."""
    monkeypatch.setenv("WHALEFALL_STATE", str(Path("state").resolve()))

    def stopped(options: Any) -> Verdict:
        os.kill(os.getpid(), signal.SIGINT)
        options.stop.wait(10)
        raise Stopped("the run was stopped")

    conducted(monkeypatch, stopped, stopped)
    output = call("run", "a.yaml", "--keep").output
    assert "stopping: healing what is broken (Ctrl-C again" in output
    assert "stopped: what was broken is mended, and the cluster is gone\n" in output
    Path("state/runs/run-2").mkdir(parents=True)
    output = call("run", "a.yaml", "--keep").output
    assert "stopped: what was broken is mended, and the cluster was kept; `whalefall sweep --kept` removes it\n" in output


def test_a_stop_says_of_hosts_that_somebody_else_runs_that_they_are_let_go() -> None:
    """Nobody removes them."""
    told: list[str] = []
    stop = Stop(theirs=True, view=SimpleNamespace(say=told.append))
    with stop.caught():
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.event.wait(10)
    assert told == ["stopping: healing what is broken and letting the hosts go (Ctrl-C again: without waiting for this step)"]


@pytest.mark.parametrize(
    ("provider", "what"), [("inventory", "letting the hosts go"), ("nspawn", "removing the cluster"), ("vagrant", "removing the cluster")]
)
def test_what_a_stop_does_is_told_by_whose_nodes_the_run_under_way_has(
    call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, provider: str, what: str
) -> None:
    """The first Ctrl-C says so, in the middle of the run."""

    def stopped(options: Any) -> Verdict:
        os.kill(os.getpid(), signal.SIGINT)
        if not options.stop.wait(10):
            raise HarnessError("nobody asked to stop")
        raise Stopped("the run was stopped")

    conducted(monkeypatch, stopped)
    monkeypatch.setattr("harness.plan.plan_of", lambda path, *, seed, **_: dataclasses.replace(a_plan(seed), provider=provider))
    assert f"stopping: healing what is broken and {what}" in call("run", "a.yaml").output


def test_a_ledger_that_cannot_be_read_proves_nothing_mended(call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    """Could not ask is never no."""

    def torn(options: Any) -> Verdict:
        Path("results/run-1/ledger.jsonl").write_text("not JSON\n")
        raise HarnessError("n2: no answer")

    conducted(monkeypatch, torn)
    output = call("run", "a.yaml").output
    assert "whalefall failed: n2: no answer\nwhether anything is still broken is not known" in output
    assert "`whalefall heal run-1` looks again" in output


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


def test_of_a_cluster_that_is_kept_it_is_told_what_actions_did_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Faults are mended, and nobody undoes an action: also when the run was stopped, or its harness is gone and only `heal` is there to tell."""
    monkeypatch.setenv("WHALEFALL_STATE", str(tmp_path))
    folder = tmp_path / "results" / "run-1"
    folder.mkdir(parents=True)
    (folder / "ledger.jsonl").touch()
    assert leaving.kept(a_plan(), folder) == "the cluster was kept; `whalefall sweep --kept` removes it"
    story = Story().node(0, "n1").action(10, None, "node.drain", "n1", effect=Effect(moves=True))
    story.save(folder / "history.jsonl")
    told = "its actions are not undone: n1 may have been emptied, and is to have no work"
    assert leaving.kept(a_plan(), folder).endswith(told)
    assert leaving.left(folder, a_plan(), keep=False) == "what was broken is mended, and the cluster is gone"
    (tmp_path / "runs" / "run-1").mkdir(parents=True)
    assert leaving.left(folder, a_plan(), keep=True).endswith(told)
    healed = CliRunner().invoke(main, ["heal", "--results", str(tmp_path / "results")])
    assert f"run-1: {told}" in healed.output
    (folder / "history.jsonl").write_text("no history\n", encoding="utf-8")
    assert leaving.kept(a_plan(), folder).endswith("what its actions did is not known: its history cannot be read")


def test_of_hosts_that_somebody_else_runs_nobody_says_that_they_are_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are let go, or kept, or NOT let go, with what to do."""
    monkeypatch.setenv("WHALEFALL_STATE", str(tmp_path))
    folder = tmp_path / "results" / "run-1"
    folder.mkdir(parents=True)
    (folder / "ledger.jsonl").touch()
    theirs = dataclasses.replace(a_plan(), provider="inventory")
    assert leaving.left(folder, theirs, keep=False) == "what was broken is mended, and the hosts were let go"
    # One that was stopped while it was made is not kept, whatever was asked for.
    assert leaving.left(folder, theirs, keep=True) == "what was broken is mended, and the hosts were let go"
    assert leaving.left(folder, a_plan(), keep=True) == "what was broken is mended, and the cluster is gone"
    (tmp_path / "runs" / "run-1").mkdir(parents=True)
    assert "the apps and the claims on the hosts were kept; `whalefall sweep --kept`" in leaving.left(folder, theirs, keep=True)
    assert "its hosts are NOT let go" in leaving.left(folder, theirs, keep=False)
    assert "the cluster is NOT gone; `whalefall sweep` removes it" in leaving.left(folder, a_plan(), keep=False)
