"""Runs that take turns: beside each other, and one that no other runs beside."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from harness.core.clock import Clock, SystemClock, wait_until
from harness.host import locks, turns
from harness.testing.fake_clock import FakeClock


def _free(path: Path, *, shared: bool = False) -> bool:
    """Whether a lock could be had now."""
    handle = os.open(path, os.O_RDONLY)
    try:
        return locks.taken(handle, shared=shared)
    finally:
        os.close(handle)


def test_many_run_beside_each_other_and_one_by_itself(tmp_path: Path) -> None:
    """Nobody begins beside the one, and nothing is locked once all are done."""
    results = tmp_path / "results"
    with turns.beside(results, SystemClock()), turns.beside(results, SystemClock()):
        assert _free(results, shared=True)
        assert not _free(results)
        assert _free(results / turns.DOOR)
    with turns.by_itself(results, SystemClock()):
        assert not _free(results / turns.DOOR)
        assert not _free(results, shared=True)
    assert _free(results)
    assert _free(results / turns.DOOR)


def test_one_that_is_to_be_by_itself_waits_for_those_that_run_and_goes_before_those_that_come(tmp_path: Path) -> None:
    """Else it would wait for ever where there is always one more."""
    order: list[str] = []
    begun = threading.Event()

    def run(turn: Callable[[Path, Clock], AbstractContextManager[None]], name: str) -> None:
        begun.set()
        with turn(tmp_path, SystemClock()):
            order.append(name)

    alone = threading.Thread(target=run, args=(turns.by_itself, "by itself"))
    later = threading.Thread(target=run, args=(turns.beside, "later"))
    with turns.beside(tmp_path, SystemClock()):
        alone.start()
        wait_until(lambda: not _free(tmp_path / turns.DOOR), awaited="it to wait", seconds=20, clock=SystemClock())
        begun.clear()
        later.start()
        assert begun.wait(20)
        order.append("first")
    alone.join(20)
    later.join(20)
    assert order == ["first", "by itself", "later"]


@pytest.mark.parametrize("turn", [turns.beside, turns.by_itself])
def test_whoever_is_kept_waiting_for_too_long_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, turn: Callable[[Path, Clock], AbstractContextManager[None]]
) -> None:
    """It is a courtesy."""
    monkeypatch.setattr(turns, "SECONDS", 3.0)  # each look at who has the lock goes through all processes
    clock = FakeClock(moves_itself=True)
    with turns.by_itself(tmp_path, SystemClock()), turn(tmp_path, clock):
        assert clock.now() >= 2 * turns.SECONDS


@pytest.mark.parametrize("made", ["a link", "a FIFO", "no folder"])
def test_a_folder_that_cannot_be_locked_keeps_nobody(tmp_path: Path, made: str) -> None:
    """Nor is a link of somebody else's followed."""
    results, secret = tmp_path / "results", tmp_path / "secret"
    if made == "no folder":
        results.write_text("a file")
    else:
        results.mkdir()
        (results / turns.DOOR).symlink_to(secret) if made == "a link" else os.mkfifo(results / turns.DOOR)
    with turns.beside(results, SystemClock()):
        pass
    with turns.by_itself(results, SystemClock()):
        assert not secret.exists()
