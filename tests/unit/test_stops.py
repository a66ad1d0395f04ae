"""Whatever works or waits for a run ends when the run does, and mending does not."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.core import stops
from harness.core.clock import SystemClock, wait_until
from harness.core.errors import HarnessError, Unreachable
from harness.core.threads import CertainThread
from harness.history.recorder import Recorder
from harness.host import building
from harness.nodes.ssh.connection import _knock
from harness.nodes.together import together
from harness.testing.fake_clock import FakeClock
from harness.testing.memory_node import MemoryNode
from harness.web import Site

LONG = 20.0
"""Seconds that everything here would take if it did not hear: a test without the mend fails, and does not hang."""


def after(questions: int) -> stops.Ear:
    """Return an ear that hears it from so many questions on."""
    asked: list[int] = []

    def ear() -> HarnessError | None:
        asked.append(1)
        return stops.Stopped("the run was stopped") if len(asked) > questions else None

    return ear


@pytest.fixture
def silent() -> Iterator[tuple[str, int]]:
    """Lend the address of a server that takes connections and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()


def _hung() -> MemoryNode:
    return MemoryNode("n1", "10.77.0.11", hanging={"sleep"})


def _recorder(folder: Path) -> Recorder:
    return Recorder(folder / "history.jsonl", SystemClock())


def _locked() -> threading.Lock:
    lock = threading.Lock()
    lock.acquire()
    return lock


def _connected() -> None:
    """Knock at a server whose queue is full: the kernel swallows what comes then."""
    with socket.socket() as server, socket.socket() as first, socket.socket() as second, socket.socket() as last:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for each in (first, second):
            each.settimeout(0.0)
            each.connect_ex(server.getsockname())
        _knock(last, server.getsockname(), LONG, SystemClock())


WAITS: dict[str, Callable[[Path, tuple[str, int]], object]] = {
    "a wait on the clock": lambda _, __: SystemClock().wait(threading.Event(), LONG),
    "a wait on a clock moved by hand": lambda _, __: FakeClock().wait(threading.Event(), LONG),
    "a wait for a condition": lambda _, __: wait_until(lambda: False, awaited="it", seconds=LONG, clock=SystemClock()),
    "a wait for an entry": lambda folder, _: _recorder(folder).wait_for(lambda: False, LONG),
    "a wait for a lock": lambda _, __: stops.acquire(_locked(), LONG, SystemClock()),
    "a command on a node": lambda _, __: _hung().run("sleep", "3600", timeout=LONG),
    "commands on nodes": lambda _, __: together([_hung(), _hung()], lambda node: node.run("sleep", "3600", timeout=LONG), "sleeping"),
    "a thread that cannot be ended": lambda _, __: stops.beside(lambda: threading.Event().wait(LONG), "deaf"),
    "an HTTP server": lambda _, at: Site(*at).exchange("GET", "/", seconds=LONG),
    "a connection that is not made": lambda _, __: _connected(),
    "a build's command": lambda folder, _: building.BuildCommands(folder / "log", lambda _: None).run(["sleep", str(LONG)]),
}
"""What is waited for, by name. Each takes `LONG` seconds if it hears nothing."""


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_whatever_is_waited_for_ends_when_the_run_does(
    wait: Callable[[Path, tuple[str, int]], object], tmp_path: Path, silent: tuple[str, int]
) -> None:
    """It raises what ends the run, and not what it would have come to."""
    with stops.listening(after(2)), pytest.raises(stops.Stopped, match="the run was stopped"):
        wait(tmp_path, silent)


def test_nothing_new_is_begun_once_the_run_ends() -> None:
    """Whoever was left behind can do no harm: neither commands nor waits nor threads begin."""
    node = MemoryNode("n1", "10.77.0.11")
    begun: list[int] = []
    with stops.listening(after(0)):
        for act in (
            lambda: node.run("true"),
            lambda: SystemClock().wait(threading.Event(), 0.0),
            lambda: stops.spread([1, 2], begun.append, "work"),
            lambda: Site("127.0.0.1", 1).exchange("GET", "/", seconds=1.0),
        ):
            with pytest.raises(stops.Stopped):
                act()
    assert (node.calls, begun) == ([], [])


def test_mending_hears_nothing() -> None:
    """In this thread, and in those that it begins: what was begun there is finished."""
    node = MemoryNode("n1", "10.77.0.11")
    with stops.listening(after(0)):
        with stops.deaf():
            assert node.run("true").ok
            assert [each.result().ok for each in stops.spread([node], lambda each: each.run("true"), "mend")] == [True]
            assert together([node], lambda each: each.run("true").ok, "mending") == [True]
        with pytest.raises(stops.Stopped):
            node.run("true")


def test_threads_that_were_begun_otherwise_hear_nothing() -> None:
    """Observers, callers and timers go on while the run is being mended."""
    node = MemoryNode("n1", "10.77.0.11")
    seen: list[bool] = []
    with stops.listening(after(0)):
        thread = threading.Thread(target=lambda: seen.append(node.run("true").ok))
        thread.start()
        thread.join()
    assert seen == [True]


INTERRUPTED = """
import os, signal, threading, time
from types import SimpleNamespace
from harness.nodes.together import together

signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever began the tests in the background has it ignored
broken = []

def inject(node):
    os.kill(os.getpid(), signal.SIGINT)  # while whoever asked waits for all of us
    threading.Event().wait(0.5)  # as a command on a node takes its time
    broken.append(node.name)

nodes = [SimpleNamespace(name=name) for name in ("n1", "n2", "n3")[:{count}]]
try:
    together(nodes, inject, "breaking")
except KeyboardInterrupt:
    there = sorted(broken)
    threading.Event().wait(1.0)
    print(there == sorted(broken) and there)
"""


@pytest.mark.parametrize("count", [1, 3])
def test_an_interrupt_lets_nothing_go_on_in_the_background(count: int) -> None:
    """A real Ctrl-C in the middle of an inject: what is mended after it must not be broken by what was left behind."""
    done = subprocess.run([sys.executable, "-c", INTERRUPTED.format(count=count)], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.strip() == str(["n1", "n2", "n3"][:count]), done.stderr


def test_an_interrupt_ends_the_threads_that_work_for_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in the thread that waits: the others do not go on behind its back, and it does not wait for what they wait for."""
    seen: list[BaseException] = []

    def work(_: int) -> None:
        try:
            SystemClock().wait(threading.Event(), LONG)
        except HarnessError as error:
            seen.append(error)
            raise

    waited: list[int] = []
    wait = CertainThread.wait

    def interrupted(self: CertainThread, seconds: float) -> bool:
        waited.append(1)
        if len(waited) == 1:
            raise KeyboardInterrupt
        return wait(self, seconds)

    monkeypatch.setattr(CertainThread, "wait", interrupted)
    with stops.listening(lambda: None), pytest.raises(KeyboardInterrupt):
        stops.spread([1, 2], work, "work")
    assert [str(each) for each in seen] == ["work was interrupted"] * 2


def test_what_must_not_be_left_behind_is_waited_for() -> None:
    """A thread that breaks something ends before it is mended, though it hears nothing."""
    release = threading.Event()
    done: list[int] = []

    def work(_: int) -> None:
        release.wait(LONG)
        done.append(1)

    threading.Timer(2 * stops.GRACE_SECONDS, release.set).start()
    with stops.listening(after(1)), pytest.raises(stops.Stopped):
        stops.spread([1], work, "work", leave=False)
    assert done == [1]


def test_results_come_in_the_order_of_the_items_and_errors_where_they_belong() -> None:
    """Whoever asks for a result gets it, or what was raised."""

    def work(number: int) -> int:
        if number == 2:
            raise Unreachable("n2", "it", "nothing")
        return number * 10

    first, second, third = stops.spread([1, 2, 3], work, "work", most=2)
    assert (first.result(), third.result()) == (10, 30)
    with pytest.raises(Unreachable):
        second.result()
    assert stops.spread([], work, "work") == []
