"""Marks: which processes are a run's helpers, and may be killed with it; and which only look like one."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest

from harness.core.clock import SystemClock, wait_until
from harness.host import marks, state
from harness.host.processes import Process, kill_all
from harness.nodes import namespaced
from harness.providers import clusters, netns
from harness.providers.nspawn import NspawnProvider, bridge, cgroups, machine
from harness.providers.vagrant import VagrantProvider, own_libvirt
from harness.undo import reaper

Child: TypeAlias = subprocess.Popen[bytes]
RUN, OTHER = "cut-1", "cut-10"


@pytest.fixture
def child() -> Iterator[Callable[..., Child]]:
    """Start processes that go on until they are killed, and collect them."""
    made: list[Child] = []

    def make(environ: dict[str, str]) -> Child:
        made.append(subprocess.Popen(["sleep", "600"], env={**os.environ, **environ}))
        shown = Path(f"/proc/{made[-1].pid}/environ")
        # The kernel shows it a moment after the program has been started.
        wait_until(lambda: b"PATH=" in shown.read_bytes(), awaited="its environment", seconds=20.0, clock=SystemClock(), every=0.001)
        return made[-1]

    yield make
    for each in made:
        each.kill()
        each.wait()


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Have two runs whose harnesses are dead, with nothing of theirs on this machine but what a test makes."""
    monkeypatch.setenv("WHALEFALL_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(bridge, "FOLDER", tmp_path / "netns")
    monkeypatch.setattr(own_libvirt, "FOLDER", tmp_path / "netns")
    monkeypatch.setattr(cgroups, "ROOT", tmp_path / "cgroup")
    monkeypatch.setattr(machine, "TRACES", tmp_path / "traces")
    for run_id in (RUN, OTHER):
        clusters.register(run_id, Process(os.getpid(), 1), "nspawn")


def process(child: Child) -> Process:
    """Return the process of a child that lives."""
    found = Process.of(child.pid)
    assert found is not None
    return found


def test_helpers_are_found_by_the_mark_of_their_run(child: Callable[..., Child]) -> None:
    """Also from another process than started them; an id that only begins alike is another run."""
    ours, others, nobody = child(marks.environ(RUN)), child(marks.environ(OTHER)), child({})
    assert marks.marked(RUN) == [process(ours)]
    assert marks.marked(OTHER) == [process(others)]
    assert nobody.pid not in {each.pid for run_id in (RUN, OTHER) for each in marks.marked(run_id)}
    assert marks.suspected() == []


def test_no_two_runs_and_no_two_registers_have_one_word() -> None:
    """The register's key goes with the last run, and the next one makes another."""
    words = {marks.proof(RUN), marks.proof(OTHER), marks.proof(RUN, "something else")}
    for run_id in (RUN, OTHER):
        assert marks.proof(run_id), "the other run needs the key"
        clusters.unregister(run_id)
    assert not state.REGISTRY.exists()
    assert marks.proof(RUN) == marks.mark(RUN) == ""
    assert not marks.proves("", RUN)
    assert marks.environ(RUN) == {}
    clusters.register(RUN, Process(os.getpid(), 1), "nspawn")
    assert len({*words, marks.proof(RUN)}) == 4


def test_helpers_that_are_of_no_use_any_more_are_told_from_the_others(child: Callable[..., Child]) -> None:
    """By who began them: one that is to outlive its harness was begun by nobody, and whose harness lives is waited for."""
    child(marks.environ(RUN))
    child(marks.environ_for_us(RUN))
    child({**marks.environ_for_us(OTHER), marks.BEGUN_BY: f"{os.getpid()}.1"})
    child({**marks.environ(RUN), marks.BEGUN_BY: "rubbish"})
    child({marks.VARIABLE: f"{RUN}.{'0' * 32}", marks.BEGUN_BY: f"{os.getpid()}.1"})
    left = child({**marks.environ_for_us(RUN), marks.BEGUN_BY: f"{os.getpid()}.1"})
    assert marks.orphans(RUN) == [process(left)]


def test_a_command_on_a_node_whose_harness_is_gone_is_ended_with_all_that_it_started(child: Callable[..., Child]) -> None:
    """What is no way into a node is left alone."""
    gone = {**marks.environ_for_us(RUN), marks.BEGUN_BY: f"{os.getpid()}.1"}
    other = child(gone)
    argv = ["nsenter", "-c", "sleep 600 & echo $!; wait", "sh", "--target", "77"]
    entered = subprocess.Popen(
        argv, executable="/bin/sh", env={**os.environ, **gone}, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    with entered:
        assert entered.stdout is not None
        started = Process.of(int(entered.stdout.readline()))
        assert started is not None
        assert namespaced.reap(RUN) == [77]
        assert started.wait(20.0)
    assert process(other).alive
    assert namespaced.reap(RUN) == []


def test_what_a_node_can_read_of_its_run_proves_nothing_else() -> None:
    """Whatever runs there sees its own loopback, and may print it into the results: a process with that word is nobody's helper."""
    told = netns.marking(RUN)
    assert netns.word_of(RUN)
    assert netns.word_of(RUN) in told
    assert marks.proof(RUN) not in told
    assert marks.run_of(f"{RUN}.{netns.word_of(RUN)}") == ""


def test_helpers_are_proven_also_when_their_runs_record_is_gone(child: Callable[..., Child]) -> None:
    """They end with their run, whoever removed its entry."""
    ours = process(child(marks.environ(RUN)))
    (state.REGISTRY / f"{RUN}.json").unlink()
    assert marks.runs() == {RUN}
    assert NspawnProvider().runs() == {RUN: False, OTHER: False}
    clusters.unregister(OTHER)
    assert marks.runs() == {RUN}, "the last entry is gone, and the key is still needed"
    assert f"{RUN}: removed" in reaper.sweep().said
    assert not ours.alive


ACCIDENTS: dict[str, Callable[[], dict[str, str]]] = {
    "a word": lambda: {marks.VARIABLE: "latest"},
    "nothing": lambda: {marks.VARIABLE: ""},
    "the id of a run that is registered": lambda: {marks.VARIABLE: RUN},
    "with an empty secret": lambda: {marks.VARIABLE: f"{RUN}."},
    "with another secret": lambda: {marks.VARIABLE: f"{RUN}.{'f' * 32}"},
    "with another run's secret": lambda: {marks.VARIABLE: marks.environ(OTHER)[marks.VARIABLE].replace(OTHER, RUN)},
    "of a run whose register is another one": lambda: {marks.VARIABLE: f"elsewhere-1.{'f' * 32}"},
    "a path": lambda: {marks.VARIABLE: "../../etc/passwd"},
    "no text": lambda: {marks.VARIABLE: os.fsdecode(b"\xff\xfe\x1b[2J")},
}


@pytest.mark.parametrize("accident", ACCIDENTS)
def test_a_mark_that_nobody_recorded_is_no_proof(child: Callable[..., Child], accident: str) -> None:
    """Whatever carries it is told and lives on: neither a sweep nor the removal of the very run that it names ends it."""
    theirs = process(child(ACCIDENTS[accident]()))
    assert marks.marked(RUN) == marks.marked(OTHER) == marks.marked("elsewhere-1") == []
    (told,) = marks.suspected()
    assert f"process {theirs.pid}: left alone, " in told
    assert told.isprintable()
    assert set(NspawnProvider().runs()) == {RUN, OTHER}
    swept = reaper.sweep()
    assert told in swept.said
    assert swept.failed == ()
    assert {f"{RUN}: removed", f"{OTHER}: removed"} <= {*swept.said}
    NspawnProvider().destroy(RUN)
    VagrantProvider().destroy(RUN)
    assert theirs.alive


def test_helpers_end_with_their_run_and_others_do_not(child: Callable[..., Child]) -> None:
    """By the same removal, side by side."""
    ours, others, theirs = process(child(marks.environ(RUN))), process(child(marks.environ(OTHER))), process(child({marks.VARIABLE: RUN}))
    NspawnProvider().destroy(RUN)
    assert [ours.alive, others.alive, theirs.alive] == [False, True, True]


def test_a_key_that_others_could_have_written_proves_nothing(child: Callable[..., Child]) -> None:
    """Who may write the key may have any process of root's killed."""
    ours = process(child(marks.environ(RUN)))
    (state.REGISTRY / marks.KEY).chmod(0o666)
    assert marks.marked(RUN) == []
    assert marks.environ(RUN) == {}
    assert len(marks.suspected()) == 1
    (state.REGISTRY / marks.KEY).chmod(0o600)
    assert marks.marked(RUN) == [ours]


@pytest.mark.parametrize("said", ["\udcff", "é", "", 5, None, [], {}])
def test_what_is_no_word_proves_nothing(said: object) -> None:
    """Whatever a ledger or a namespace says, also what cannot be encoded."""
    assert not marks.proves(said, RUN)


@pytest.mark.parametrize("by", ["9" * 5000 + ".1", "-1.-1", "x.y", "", "."])
def test_a_helper_that_says_nothing_of_who_began_it_is_found(child: Callable[..., Child], by: str) -> None:
    """What its environment says there may be anything."""
    helper = child({**marks.environ(RUN), marks.BEGUN_BY: by})
    assert process(helper) in marks.marked(RUN)


def test_what_is_no_runs_id_has_no_mark() -> None:
    """And is not looked for."""
    assert marks.environ("../cut-1") == {}
    assert marks.marked("../cut-1") == []
    assert marks.run_of("") == marks.run_of(".") == marks.run_of("../cut-1.") == ""


def test_many_with_one_mark_are_told_together(child: Callable[..., Child]) -> None:
    """A shell's variable is in all that it starts."""
    pids = sorted(child({marks.VARIABLE: "latest"}).pid for _ in range(7))
    (told,) = marks.suspected()
    assert told.startswith(f"processes {', '.join(map(str, pids[:5]))} and 2 more: left alone, ")


def test_another_variable_is_no_mark(child: Callable[..., Child]) -> None:
    """Neither one whose name ends alike, nor a value that reads like a mark."""
    mark = marks.environ(RUN)[marks.VARIABLE]
    child({f"MY_{marks.VARIABLE}": mark, "OTHER": f"{marks.VARIABLE}={mark}"})
    assert marks.marked(RUN) == []
    assert marks.suspected() == []


def test_a_helper_that_has_ended_is_not_found(child: Callable[..., Child]) -> None:
    """Collected or not."""
    ended = child(marks.environ(RUN))
    assert kill_all([process(ended)], 30.0)
    assert marks.marked(RUN) == []
    assert marks.suspected() == []


def test_another_users_process_is_no_helper(monkeypatch: pytest.MonkeyPatch, child: Callable[..., Child]) -> None:
    """Anybody may put a mark into the environment of a process of their own: it is neither killed nor told."""
    carried = marks.environ(RUN)
    ours = child(carried)
    monkeypatch.setattr(marks, "mark", lambda _: carried[marks.VARIABLE])
    somebody = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: somebody)
    assert ours.pid not in {each.pid for each in marks.marked(RUN)}
    assert marks.suspected() == []


def test_who_asks_is_left_out(monkeypatch: pytest.MonkeyPatch, child: Callable[..., Child]) -> None:
    """A helper that removes a run does not kill itself."""
    one, other = child(marks.environ(RUN)), process(child(marks.environ(RUN)))
    monkeypatch.setattr(os, "getpid", lambda: one.pid)
    assert marks.marked(RUN) == [other]
