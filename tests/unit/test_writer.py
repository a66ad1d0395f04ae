"""Who still writes a run: its harness, whoever else lives or does not."""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness.core.clock import SystemClock
from harness.history.recorder import Recorder
from harness.host import processes
from harness.runs import writer

HISTORY = "history.jsonl"


def test_a_run_goes_on_as_long_as_its_harness_does_reaper_or_not(tmp_path: Path) -> None:
    """A reaper that somebody killed is started anew only later, and a run begins before it has one."""
    with Recorder(tmp_path / HISTORY, SystemClock(), "a-run"):
        found = writer.writer_of(tmp_path)
        assert found is not None
        assert found.pid == os.getpid()
    assert writer.writer_of(tmp_path) is None


def test_a_run_goes_on_as_long_as_any_process_writes_it(tmp_path: Path) -> None:
    """One that takes no lock, as where files have none."""
    with (tmp_path / HISTORY).open("ab") as file, subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=file) as child:
        file.close()
        found = writer.writer_of(tmp_path)
        assert found is not None
        assert found.pid == child.pid
        child.communicate()
    assert writer.writer_of(tmp_path) is None


def test_who_reads_a_run_does_not_write_it(tmp_path: Path) -> None:
    """As whoever judges it does."""
    (tmp_path / HISTORY).touch()
    with (tmp_path / HISTORY).open("rb"):
        assert writer.writer_of(tmp_path) is None


def test_who_took_the_lock_of_a_run_to_read_it_does_not_write_it(tmp_path: Path) -> None:
    """Whoever may read a history can take its lock: a backup, or somebody who wants that it is never judged."""
    (tmp_path / HISTORY).touch()
    with (tmp_path / HISTORY).open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert writer.writer_of(tmp_path) is None


def test_another_users_process_is_no_harness_whatever_it_has_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where they may write there, too."""
    (tmp_path / HISTORY).touch()
    with (tmp_path / HISTORY).open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        found = writer.writer_of(tmp_path)
        assert found is not None
        assert found.pid == os.getpid()
        monkeypatch.setattr(processes, "is_trusted", lambda pid: pid != os.getpid())
        assert writer.writer_of(tmp_path) is None


def test_a_fork_of_the_harness_is_not_the_harness(tmp_path: Path) -> None:
    """It has the history open as its parent had it, and may live on for good."""
    wait = "input()"
    with Recorder(tmp_path / HISTORY, SystemClock(), "a-run") as recorder:
        (handle,) = [int(each.name) for each in Path("/proc/self/fd").iterdir() if each.resolve() == recorder.path.resolve()]
        with subprocess.Popen([sys.executable, "-c", wait], stdin=subprocess.PIPE, pass_fds=[handle]) as child:
            recorder.close()
            assert Path(f"/proc/{child.pid}/fd/{handle}").readlink() == recorder.path.resolve()
            assert writer.writer_of(tmp_path) is None
            child.communicate(b"\n")


def test_whoever_looks_who_writes_a_run_asks_no_file_that_others_have_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may lie where nobody answers, for good."""
    asked: list[str] = []
    original = os.stat

    def noted(path: object, *more: object, **named: object) -> os.stat_result:
        asked.append(str(path))
        return original(path, *more, **named)  # type: ignore[arg-type]

    with Recorder(tmp_path / HISTORY, SystemClock(), "a-run"):
        monkeypatch.setattr(os, "stat", noted)
        found = writer.writers()
        monkeypatch.undo()
    assert tmp_path.resolve() in found
    assert asked != []
    assert [each for each in asked if re.match(r"/proc/\w+/fd/", each)] == []


def test_of_a_harness_that_may_not_be_asked_it_counts_that_it_lives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless it is the first of the machine, which takes over the orphans of those that were killed."""
    reaper = processes.Process.of(os.getpid())
    assert reaper is not None
    original = os.listdir

    def refused(path: Path) -> list[str]:
        if re.fullmatch(r"/proc/\d+/fd", str(path)):
            raise PermissionError(str(path))
        return original(path)

    monkeypatch.setattr(processes, "reapers", lambda: iter([(reaper, "a-run", tmp_path)]))
    monkeypatch.setattr(processes, "parent", lambda _: os.getpid())
    monkeypatch.setattr(os, "listdir", refused)
    found = writer.writer_of(tmp_path)
    assert found is not None
    assert found.pid == os.getpid()
    monkeypatch.setattr(processes, "parent", lambda _: 1)
    assert writer.writer_of(tmp_path) is None
