"""Processes told apart for good, found by their mark, and ended."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest

from harness.core.clock import SystemClock, wait_until
from harness.core.errors import HarnessError
from harness.host import processes
from harness.host.processes import Process, as_text, collect, kill_all, leave, pids, run_bounded, run_tool, start_time
from harness.nodes import children
from harness.testing.fake_clock import FakeClock

Child: TypeAlias = "subprocess.Popen[bytes]"


@pytest.fixture
def child() -> Iterator[Callable[..., Child]]:
    """Start processes that go on until they are killed, and collect them."""
    made: list[Child] = []

    def make() -> Child:
        made.append(subprocess.Popen(["sleep", "600"]))
        return made[-1]

    yield make
    for each in made:
        each.kill()
        each.wait()


def process(child: Child) -> Process:
    """Return the process of a child that lives."""
    found = Process.of(child.pid)
    assert found is not None
    return found


def zombie(child: Child) -> None:
    """Kill a child and wait until it has ended, without collecting it."""
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)


# -- one process


def test_a_process_that_runs_is_alive(child: Callable[..., Child]) -> None:
    """So is the one that asks; both have started in this boot."""
    for each in (Process.of(os.getpid()), Process.of(child().pid)):
        assert each is not None
        assert each.alive
        assert each.started > 0


def test_a_zombie_is_no_process(child: Callable[..., Child]) -> None:
    """It has a pid, and does nothing any more."""
    dead = child()
    before = process(dead)
    zombie(dead)
    assert Process.of(dead.pid) is None
    assert not before.alive
    assert before.wait(0.0)


def test_a_process_that_is_gone_is_not_alive(child: Callable[..., Child]) -> None:
    """Waiting for it ends at once, and killing it does nothing."""
    dead = child()
    before = process(dead)
    dead.kill()
    dead.wait()
    assert Process.of(dead.pid) is None
    assert not before.alive
    assert before.wait(0.0)
    before.kill()


def test_a_later_process_of_the_same_pid_is_another(child: Callable[..., Child]) -> None:
    """It does not make the first one live, and no signal meant for that one reaches it."""
    now = child()
    earlier = Process(now.pid, process(now).started - 1)
    assert not earlier.alive
    assert earlier.wait(0.0)
    earlier.kill()
    assert process(now).alive
    now.send_signal(signal.SIGTERM)  # the first signal that it gets
    assert now.wait() == -signal.SIGTERM


def test_a_signal_arrives(child: Callable[..., Child]) -> None:
    """SIGKILL where no other is named."""
    one, other = child(), child()
    process(one).kill()
    process(other).kill(signal.SIGTERM)
    assert one.wait() == -signal.SIGKILL
    assert other.wait() == -signal.SIGTERM


def test_waiting_ends_with_the_process_or_with_patience(child: Callable[..., Child]) -> None:
    """One that runs on is waited for in vain; one that was killed is not."""
    one = child()
    same = process(one)
    assert not same.wait(0.0)
    same.kill()
    assert same.wait(30.0)


# -- what /proc says


def stat(proc: Path, text: str) -> None:
    """Let process 7 have this line in /proc/7/stat."""
    (proc / "7").mkdir(exist_ok=True)
    (proc / "7" / "stat").write_text(text)


@pytest.mark.parametrize("name", ["sh", "a b", "tmux: server", ") R 1 1", "((", "a\nb", "Z) Z"])
def test_a_name_may_hold_anything(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    """Spaces, brackets, and what looks like the fields that follow."""
    monkeypatch.setattr(processes, "PROC", tmp_path)
    rest = " ".join(str(number) for number in range(4, 53))  # field number → its own number
    stat(tmp_path, f"7 ({name}) S {rest}\n")
    assert start_time(7) == 22
    for state in "ZX":
        stat(tmp_path, f"7 ({name}) {state} {rest}\n")
        assert start_time(7) is None


@pytest.mark.parametrize(("flags", "state", "ending"), [(0x400040, "S", False), (0x400044, "S", True), (0, "Z", True), (0x4, "R", True)])
def test_a_process_on_its_way_out_is_ending_before_it_is_a_zombie(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, flags: int, state: str, *, ending: bool
) -> None:
    """As the kernel flags it: what was killed and still lets go of its memory answers nobody any more."""
    monkeypatch.setattr(processes, "PROC", tmp_path)
    numbers = {**{number: number for number in range(4, 53)}, 9: flags}
    stat(tmp_path, f"7 (sh) {state} {' '.join(map(str, numbers.values()))}\n")
    assert Process(7, 22).ending is ending
    assert Process(7, 21).ending, "that one is gone"


def test_pids_are_the_numbers_in_proc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """And nothing else that lies there."""
    monkeypatch.setattr(processes, "PROC", tmp_path)
    for name in ("1", "4242", "self", "net", "1a"):
        (tmp_path / name).mkdir()
    assert sorted(pids()) == [1, 4242]


# -- left to themselves


def test_a_child_that_was_left_to_itself_is_collected_when_it_has_ended(child: Callable[..., Child]) -> None:
    """Whoever ended it; while it runs it is left alone, and nobody is warned of it when it is dropped."""
    left = child()
    pid, same = left.pid, process(left)
    leave(left)
    assert left.returncode is not None  # what its destructor looks at
    collect()
    assert same.alive
    same.kill()
    assert same.wait(30.0)
    collect()
    with pytest.raises(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    collect()


def test_a_child_that_has_ended_is_not_left(child: Callable[..., Child]) -> None:
    """Its status is as it was."""
    dead = child()
    zombie(dead)
    leave(dead)
    collect()
    assert dead.returncode == -signal.SIGKILL


# -- all at once


class Stubborn(Process):
    """A process that no signal ends."""

    __slots__ = ()

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Do nothing."""

    def wait(self, seconds: float) -> bool:
        """Say that it has not ended."""
        return False


def test_all_are_killed_and_waited_for(child: Callable[..., Child]) -> None:
    """When it returns True none of them runs; those that were gone before do not matter."""
    every = [process(child()) for _ in range(3)]
    every[0].kill()
    assert kill_all(iter(every), 30.0)
    assert [each.alive for each in every] == [False, False, False]
    assert kill_all([], 0.0)


def test_one_that_does_not_end_is_told_and_the_others_end_all_the_same(child: Callable[..., Child]) -> None:
    """Whichever place it has."""
    hung, first, last = child(), process(child()), process(child())
    stubborn = Stubborn(hung.pid, process(hung).started)
    assert not kill_all([first, stubborn, last], 0.1)
    assert last.wait(30.0)
    assert (first.alive, stubborn.alive, last.alive) == (False, True, False)


def test_many_that_do_not_end_are_waited_for_no_longer_than_one() -> None:
    """All of a machine may wait for its disk at once: the time is for all of them."""
    clock = FakeClock(moves_itself=True)
    waited: list[float] = []

    class Waits(Stubborn):
        __slots__ = ()

        def wait(self, seconds: float) -> bool:
            clock.advance(seconds)
            waited.append(seconds)
            return super().wait(seconds)

    assert not kill_all([Waits(os.getpid(), 0) for _ in range(30)], 5.0, clock)
    assert waited == [5.0, *[0.0] * 29], "each is looked at, and only the first is waited for"


# -- commands that end


def test_a_command_whose_end_nobody_can_bring_about_is_left_to_itself() -> None:
    """It is killed, and what it left holds its output open for longer: that is not waited for."""
    with pytest.raises(subprocess.TimeoutExpired) as caught:
        run_bounded(["sh", "-c", "sleep 600 & echo $!; wait"], seconds=1.0)
    left = Process.of(int(caught.value.output))
    assert left is not None, "it holds the output still"
    left.kill()


def test_what_a_command_reads_and_says_comes_through() -> None:
    """Bytes, and as text whatever it is."""
    done = run_bounded(["sh", "-c", "cat; printf 'a\\377\\r\\n' >&2; exit 3"], seconds=30.0, told=b"x" * 200_000)
    assert (done.returncode, len(done.stdout), done.stderr) == (3, 200_000, b"a\xff\r\n")
    assert as_text(done).stderr == "a\N{REPLACEMENT CHARACTER}\n"
    assert run_bounded(["cat"], seconds=30.0).stdout == b"", "with nothing to read it ends"


def test_a_tool_that_hangs_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With how long it was waited for."""
    monkeypatch.setattr("harness.host.processes.TOOL_SECONDS", 0.2)
    with pytest.raises(HarnessError, match=r"^sleep 30 did not end within 0.2 s; does something hang on this machine\?$"):
        run_tool(["sleep", "30"])


def test_a_session_is_ended_in_all_its_groups() -> None:
    """`timeout` makes one of its own. What has left the session is left alone."""
    script = "setsid sleep 60 & echo $!; timeout 60 sh -c 'echo $$; exec sleep 60'"
    with subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, start_new_session=True) as child:
        assert child.stdout is not None
        away, beside = (Process.of(int(child.stdout.readline())) for _ in range(2))
        assert away is not None
        assert beside is not None
        try:
            wait_until(lambda: os.getsid(away.pid) == away.pid, awaited="it to leave", seconds=20, clock=SystemClock())
            processes.signal_session(child.pid, signal.SIGKILL)
            assert beside.wait(20)
            assert away.alive
        finally:
            away.kill()


def test_a_group_is_ended_also_where_nobody_can_look_for_others_of_its_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no more files can be opened, whoever ends a command must still come to wait for its end."""

    def too_many(_: object) -> list[str]:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with subprocess.Popen(["sleep", "60"], start_new_session=True) as child:
        with monkeypatch.context() as patched:
            patched.setattr("harness.host.processes.os.listdir", too_many)
            processes.signal_session(child.pid, signal.SIGKILL)
        assert child.wait(20) == -signal.SIGKILL


# -- reapers


def test_only_a_reaper_of_roots_or_of_ours_attends_a_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Anybody may give a process of theirs such a command line: their run does not go on for that."""
    argv = ["python3", "-m", processes.REAPER, "run-1", str(tmp_path / "run-1" / "ledger.jsonl"), "nspawn"]
    lines = "\0".join(argv).encode() + b"\0"
    ours = Process.of(os.getpid())
    assert ours is not None
    proc = tmp_path / "proc"
    for pid, owner in ((ours.pid, os.geteuid()), (os.getppid(), os.geteuid() + 1)):
        (proc / str(pid)).mkdir(parents=True)
        (proc / str(pid) / "cmdline").write_bytes(lines.replace(b"run-1", f"run-{owner}".encode()))
        (proc / str(pid) / "stat").write_bytes(Path(f"/proc/{pid}/stat").read_bytes())
    monkeypatch.setattr(processes, "PROC", proc)
    assert processes.with_reapers() == {tmp_path / f"run-{os.geteuid()}", tmp_path / f"run-{os.geteuid() + 1}"}
    real = os.stat
    monkeypatch.setattr(
        os,
        "stat",
        lambda path, **_: os.stat_result(
            (*real(path)[:4], os.geteuid() + 1 if str(path) == f"{proc}/{os.getppid()}" else os.geteuid(), *real(path)[5:])
        ),
    )
    assert processes.with_reapers() == {tmp_path / f"run-{os.geteuid()}"}


def test_a_process_that_was_stopped_is_told_with_what_lets_it_go_on(child: Callable[..., Child]) -> None:
    """And nothing of one that goes on, or is gone."""
    process = Process.of(child().pid)
    assert process is not None
    assert process.halted == ""
    process.kill(signal.SIGSTOP)
    wait_until(lambda: process.halted, awaited="it to be stopped", seconds=20, clock=SystemClock())
    assert process.halted == f"is stopped (state T): `kill -CONT {process.pid}` lets it go on, `kill -KILL {process.pid}` ends it"
    process.kill(signal.SIGCONT)
    wait_until(lambda: not process.halted, awaited="it to go on", seconds=20, clock=SystemClock())
    process.kill()
    assert process.wait(20)
    assert process.halted == ""


class Undying(subprocess.Popen[bytes]):
    """A child that is killed and does not end, as one that waits for a disk that does not answer."""

    waited: float | None = None

    def wait(self, timeout: float | None = None) -> int:
        """Wait in vain; without a limit that would be for ever."""
        assert timeout is not None, "nobody bounds this"
        self.waited = timeout
        raise subprocess.TimeoutExpired(self.args, timeout)

    def poll(self) -> int | None:
        """Say that it runs."""
        return None


@pytest.mark.parametrize(
    "end",
    [
        children.end,
        lambda child: children.ChildStream(child).close(),
        lambda child: children.ChildStream(child, 0.05).close(),
        lambda child: processes.let_go(child, 0.05),
    ],
    ids=["a command", "a stream", "a stream that is asked first", "a tool"],
)
def test_a_child_that_cannot_die_is_waited_for_with_an_end(end: Callable[[Undying], object]) -> None:
    """Else nothing is mended after it, and no stop is heard."""
    child = Undying(["sleep", "60"], start_new_session=True, stdout=subprocess.PIPE)
    try:
        end(child)
        assert child.waited is not None
        assert child.waited <= children.GONE_SECONDS
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(child.pid, 0)
        collect()
        if child.stdout is not None:
            child.stdout.close()
