"""The kernel gives no further thread or process: said before a run, told as what it is, and no hindrance to mending."""

from __future__ import annotations

import ast
import errno
import os
import resource
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.cli import telling
from harness.core import stops
from harness.core.clock import SystemClock
from harness.core.errors import NO_MORE, HarnessError
from harness.core.threads import CertainThread, NoThread
from harness.core.values import NodeSpec, Outcome, Reply
from harness.history.events import Note
from harness.history.recorder import Recorder
from harness.host import surroundings
from harness.host.processes import Process
from harness.nodes.namespaced import NspawnNode
from harness.nodes.together import together
from harness.providers.inventory import InventoryProvider
from harness.providers.nspawn import nspawn_preflight
from harness.providers.vagrant import vagrant_preflight
from harness.reports import trouble
from harness.testing.memory_node import MemoryNode
from harness.undo.reaper import Reaper
from harness.workloads.driver import Driver, Ops
from tests.unit.test_workloads import Calls, cluster_of, eventually, seeded

ROOT = Path(__file__).parents[2]


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Return what lets the kernel give only so many further threads."""
    start, left = threading.Thread.start, [0]

    def scarce(thread: threading.Thread) -> None:
        if left[0] <= 0:
            raise RuntimeError("can't start new thread")
        left[0] -= 1
        start(thread)

    def give(count: int) -> None:
        left[0] = count
        monkeypatch.setattr(threading.Thread, "start", scarce)

    return give


@pytest.fixture
def _no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the kernel give no further process."""

    def refused(*_args: object, **_more: object) -> None:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(subprocess, "Popen", refused)


@pytest.mark.parametrize("given", [0, 1, 2, 3])
def test_what_is_done_on_many_nodes_is_done_by_the_threads_that_there_are(threads: Callable[[int], None], given: int) -> None:
    """By the calling one where there is none: what is broken must be mended all the same."""
    nodes = [MemoryNode(f"n{number}", f"10.77.0.1{number}") for number in range(1, 5)]
    threads(given)
    with stops.deaf():
        assert together(nodes, lambda node: node.name, "mending") == ["n1", "n2", "n3", "n4"]


def test_without_a_thread_a_run_still_hears_that_it_is_over(threads: Callable[[int], None]) -> None:
    """The calling thread does the work, and ends as another would."""
    threads(0)
    done: list[int] = []

    def work(number: int) -> None:
        stops.go_on()
        done.append(number)

    with stops.listening(lambda: stops.Stopped("stop") if len(done) == 2 else None), pytest.raises(stops.Stopped):
        stops.spread(range(5), work, "work")
    assert done == [0, 1]


def test_a_thread_that_cannot_be_started_is_an_error_in_words_and_is_over(threads: Callable[[int], None]) -> None:
    """Who waits for it waits for nothing."""
    threads(0)
    thread = CertainThread(target=lambda: None, name="watch-n1")
    with pytest.raises(NoThread, match=r"no thread can be started for watch-n1: this user, .*\(ulimit -u, or pids\.max"):
        thread.start()
    assert thread.over
    assert thread.wait(3600.0)


def test_every_thread_of_the_harness_says_so() -> None:
    """Those of programs that are processes of their own do not need it."""
    own = {"observers/agent.py", "disk/daemon.py", "disk/control.py", "core/threads.py"}
    found = []
    for path in sorted((ROOT / "harness").rglob("*.py")):
        name = str(path.relative_to(ROOT / "harness"))
        if name in own or name.startswith("testing/"):
            continue
        text = path.read_text(encoding="utf-8")
        calls = (each.func for each in ast.walk(ast.parse(text)) if isinstance(each, ast.Call)) if "Thread" in text else ()
        found += [f"{name}:{each.lineno}" for each in calls if isinstance(each, ast.Attribute) and ast.unparse(each) == "threading.Thread"]
    assert found == []


def test_calls_are_made_by_the_threads_that_there_are(threads: Callable[[int], None], tmp_path: Path) -> None:
    """That there are no more is in the history."""
    with Recorder(tmp_path / "history.jsonl", SystemClock()) as recorder:
        heard: list[str] = []
        go = threading.Event()

        def slow(_call: object) -> Reply:
            go.wait(20.0)
            return Reply(Outcome.OK)

        recorder.listen(lambda entry: heard.append(entry.event.text) if isinstance(entry.event, Note) else None)
        workload = Calls(rate=200.0, behave=slow)
        driver = Driver(workload, cluster_of(["127.0.0.1"]), recorder, seeded(1), Ops())
        threads(2)  # the one that keeps the rate, and one that calls
        driver.start()
        eventually(lambda: bool(heard), "a note")
        go.set()
        for _ in range(3):
            workload.seen.get(timeout=20.0)
        driver.stop()
    assert heard[0].startswith("calls: calls are made by 1 threads at most: no thread can be started for calls-2: this user")


def _bounded(monkeypatch: pytest.MonkeyPatch, most: int, used: int) -> None:
    """Have a user who may have so many processes, and has some."""
    ask = resource.getrlimit
    monkeypatch.setattr(resource, "getrlimit", lambda which: (most, most) if which == resource.RLIMIT_NPROC else ask(which))
    monkeypatch.setattr(surroundings, "_boundless", lambda: False)
    monkeypatch.setattr(surroundings, "_threads_of", lambda _user: used)


def _of_the_inventory(nodes: int) -> str:
    provider = InventoryProvider()
    specs = [spec_of(number) for number in range(1, nodes + 1)]
    said = []
    for ask in (lambda: provider.prepare(lambda _: None, specs), lambda: provider.rehearse(specs)):
        with pytest.raises(HarnessError) as caught:
            ask()
        said.append(str(caught.value))
    assert len(set(said)) == 1
    return said[0]


PREFLIGHTS: dict[str, Callable[[int], str]] = {
    "nspawn": lambda nodes: "\n".join(nspawn_preflight.problems([spec_of(number) for number in range(1, nodes + 1)])),
    "vagrant": lambda nodes: "\n".join(vagrant_preflight.problems([spec_of(number) for number in range(1, nodes + 1)], 512)),
    "inventory": _of_the_inventory,
}


def spec_of(number: int) -> NodeSpec:
    """Return a node."""
    return NodeSpec(f"n{number}", f"10.77.0.1{number}")


@pytest.mark.parametrize("provider", PREFLIGHTS)
def test_too_few_processes_are_said_before_anything_is_touched(monkeypatch: pytest.MonkeyPatch, provider: str) -> None:
    """Whatever the nodes are, with the command that lifts the limit."""
    _bounded(monkeypatch, 200, 150)
    said = "this user may have 200 processes and threads, 150 in use; 3 nodes need 108 more: ulimit -u 258"
    assert said in PREFLIGHTS[provider](3)
    _bounded(monkeypatch, 258, 150)
    assert surroundings.too_few(3) == []


def test_the_machines_own_root_has_no_such_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel asks for it of every other user, and of root in a container that maps its users."""
    _, hard = resource.getrlimit(resource.RLIMIT_NPROC)
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (1, hard))
    told = any("processes and threads" in each for each in surroundings.too_few(3))
    words = Path("/proc/self/uid_map").read_text(encoding="ascii").split()
    assert told is not (os.getuid() == 0 and words[:2] == ["0", "0"])


def test_threads_of_a_user_are_counted() -> None:
    """All of its processes."""
    before = surroundings._threads_of(os.getuid())
    go = threading.Event()
    more = [threading.Thread(target=go.wait) for _ in range(40)]
    for each in more:
        each.start()
    try:
        assert surroundings._threads_of(os.getuid()) > before + 20
    finally:
        go.set()


@pytest.mark.usefixtures("_no_process")
def test_a_process_that_cannot_be_started_is_told_with_what_lifts_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And not as a program that is missing, nor as a file."""
    me = Process.of(os.getpid())
    node = NspawnNode("run-1", "n1", "10.77.0.11", lambda: me)
    with pytest.raises(HarnessError) as ran:
        node.run("true")
    with pytest.raises(HarnessError) as streamed:
        node.stream("true")
    with pytest.raises(HarnessError) as reaped:
        Reaper("run-1", tmp_path / "ledger.jsonl", "nspawn").start()
    for each in (ran, streamed, reaped):
        assert f"Resource temporarily unavailable; {NO_MORE}" in str(each.value)
        assert "util-linux" not in str(each.value)
    assert trouble(BlockingIOError(errno.EAGAIN, "x")) == f"cannot start a process: x; {NO_MORE}"


@pytest.mark.parametrize("error", [RuntimeError("can't start new thread"), BlockingIOError(errno.EAGAIN, "no")], ids=repr)
def test_what_others_could_not_start_is_no_bug(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    """A library's thread or process."""
    assert telling.tell(error) == telling.HARNESS_FAILED
    said = capsys.readouterr().err
    assert NO_MORE in said
    assert "bug" not in said


def test_memory_that_is_short_is_no_bug(capsys: pytest.CaptureFixture[str]) -> None:
    """Python has no other word for it, whatever asked for it."""
    assert telling.tell(MemoryError()) == telling.HARNESS_FAILED
    said = capsys.readouterr().err
    assert "no memory left" in said
    assert "bug" not in said
