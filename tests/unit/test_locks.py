"""Locks that processes share: whoever is kept waiting hears by whom, waits with an end, and not for one that is stopped."""

from __future__ import annotations

import ast
import errno
import fcntl
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.core import stops
from harness.core.clock import SystemClock, wait_until
from harness.core.errors import HarnessError
from harness.faults.power import NodeKill
from harness.host import alone, locks, processes, shelves, state
from harness.testing.fake_clock import FakeClock
from harness.undo import ledger

ROOT = Path(__file__).parents[2]
HOLD = "import fcntl, os, sys; fcntl.flock(int(sys.argv[1]), fcntl.LOCK_EX); print(flush=True); sys.stdin.read()"
STOPPED = "T"


@contextmanager
def _held(path: Path, *, stopped: bool, name: str = "") -> Iterator[int]:
    """Have another process that has the lock of a file, and give its number."""
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR | os.O_CREAT, 0o600)
    argv = [sys.executable, "-c", HOLD, str(handle), *([name] if name else [])]
    with subprocess.Popen(argv, pass_fds=[handle], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        os.close(handle)
        try:
            assert child.stdout is not None
            child.stdout.readline()
            if stopped:
                child.send_signal(signal.SIGSTOP)
                wait_until(lambda: _state(child.pid) == STOPPED, awaited="it to be stopped", seconds=20, clock=SystemClock())
            yield child.pid
        finally:
            child.kill()


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(") ")[2][:1]


def _alone(_folder: Path) -> None:
    with alone.alone():
        pass


def _cache(folder: Path) -> None:
    with shelves.locked(folder, "images", lambda _: None, SystemClock()):
        pass


def _layer(folder: Path) -> None:
    kept: Any = SimpleNamespace(current=True)
    shelf: shelves.Shelf[shelves.Kept] = shelves.Shelf(folder, "node image", lambda: ["0" * 16], lambda *_: kept, lambda _: ())
    with shelf.standing("0" * 16, lambda _: None, SystemClock()):
        pass


def _ledger(folder: Path) -> None:
    ledger.Ledger(folder / "ledger.jsonl", "run-1", "nspawn", "fleet", FakeClock()).open(1, NodeKill(), ("n1",))


ALL: dict[str, tuple[Callable[[Path], None], str, str]] = {
    "what all runs share": (_alone, "harness.host.alone.ALONE_SECONDS", ""),
    "a folder of the cache": (_cache, "harness.host.shelves.BUILD_SECONDS", ".lock"),
    "a layer in it": (_layer, "harness.host.shelves.BUILD_SECONDS", f".lock-{'0' * 16}"),
    "a ledger": (_ledger, "harness.undo.ledger.LOCK_SECONDS", "ledger.jsonl"),
}
"""Every lock of the package: how it is taken, how long it is waited for, and the file's name (the first is on the folder itself)."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the file of each lock lies."""
    made = tmp_path / "place"
    made.mkdir(mode=0o700)
    monkeypatch.setattr(state, "REGISTRY", made)
    return made


@pytest.mark.parametrize("lock", ALL)
def test_whoever_holds_a_lock_and_is_stopped_is_named_and_not_waited_for(lock: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its number, its command, since when, and the command that lets it go on. Once it goes on and ends, the lock can be had."""
    take, limit, name = ALL[lock]
    monkeypatch.setattr(limit, 3600.0)
    with _held(folder / name, stopped=True) as pid:
        with pytest.raises(HarnessError, match="not waited on for") as caught:
            take(folder)
        said = str(caught.value)
        assert _state(pid) == STOPPED
    assert re.search(rf"process {pid} \(.*-c .*\) has it since \d{{4}}-\d\d-\d\d .* and is stopped \(state T\)", said)
    assert f"`kill -CONT {pid}` lets it go on, `kill -KILL {pid}` ends it" in said
    assert str(folder / name) in said
    take(folder)


@pytest.mark.parametrize("lock", ALL)
def test_whoever_holds_a_lock_for_too_long_is_named(lock: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that goes on is waited for, but not for good."""
    take, limit, name = ALL[lock]
    monkeypatch.setattr(limit, 0.3)
    with _held(folder / name, stopped=False) as pid, pytest.raises(HarnessError, match=rf"waited .*process {pid} \(.*\) has it") as caught:
        take(folder)
    assert "stopped" not in str(caught.value)


@pytest.mark.parametrize("lock", ALL)
def test_a_stop_ends_the_wait_for_a_lock(lock: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has it, and however long it may be waited for."""
    take, limit, name = ALL[lock]
    monkeypatch.setattr(limit, 3600.0)
    asked = stops.listening(lambda: stops.Stopped("stop"))
    with _held(folder / name, stopped=False), asked, pytest.raises(stops.Stopped):
        take(folder)


def test_a_mended_fault_waits_for_its_line_although_the_run_is_to_stop(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else it would be mended once more."""
    monkeypatch.setattr("harness.undo.ledger.LOCK_SECONDS", 0.1)
    path = folder / "ledger.jsonl"
    written = ledger.Ledger(path, "run-1", "nspawn", "fleet", FakeClock())
    written.open(1, NodeKill(), ("n1",))
    with stops.listening(lambda: stops.Stopped("stop")):
        with _held(path, stopped=False) as pid, pytest.raises(HarnessError, match=rf"fault 1 is mended, but .*process {pid} "):
            written.close(1)
        written.close(1)
    assert ledger.all_settled(path)


def test_a_build_that_waits_says_at_once_for_whom(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may take many minutes."""
    monkeypatch.setattr("harness.host.shelves.BUILD_SECONDS", 0.1)
    said: list[str] = []
    with (
        _held(folder / ".lock", stopped=False) as pid,
        pytest.raises(HarnessError),
        shelves.locked(folder, "images", said.append, SystemClock()),
    ):
        pass
    assert f"process {pid} (" in said[0]


def test_a_lock_that_a_fork_of_its_holder_still_has_is_the_forks(folder: Path) -> None:
    """The kernel notes who took it; what keeps it is whoever still has that file open."""
    path = folder / "lock"
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    assert locks.taken(handle)
    with subprocess.Popen([sys.executable, "-c", "input()"], pass_fds=[handle], stdin=subprocess.PIPE) as child:
        os.close(handle)
        assert [each.process.pid for each in locks.holders(path)] == [child.pid]
    assert locks.holders(path) == []


def test_who_only_has_the_file_open_holds_nothing(folder: Path) -> None:
    """As whoever waits does."""
    with (folder / "lock").open("w") as file:
        assert locks.holders(folder / "lock") == []
        assert "nobody that can be seen from here has it" in locks.held_by(folder / "lock")
        assert locks.taken(file.fileno())
        assert [each.process.pid for each in locks.holders(folder / "lock")] == [os.getpid()]


def test_whoever_waits_for_a_lock_asks_no_file_that_others_have_open(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may lie where nobody answers, for good: what the kernel tells by itself is enough."""
    asked: list[str] = []
    original = os.stat

    def noted(path: object, *more: object, **named: object) -> os.stat_result:
        asked.append(str(path))
        return original(path, *more, **named)  # type: ignore[arg-type]

    with _held(folder / "lock", stopped=False) as pid:
        monkeypatch.setattr(os, "stat", noted)
        assert [each.process.pid for each in locks.holders(folder / "lock")] == [pid]
        monkeypatch.undo()
    assert [each for each in asked if re.match(r"/proc/\w+/fd/", each)] == []


def test_the_look_at_who_has_a_lock_has_an_end(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many files are open on this machine."""
    monkeypatch.setattr(processes, "MOST_HANDLES", 3)
    assert len(list(processes.handles())) == 3
    with _held(folder / "lock", stopped=False):
        assert len(locks.holders(folder / "lock")) <= 1


def test_a_lock_that_was_let_go_of_while_it_was_looked_who_has_it_is_taken(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Although the look took longer than the wait may take."""
    clock = FakeClock()
    free: list[bool] = []

    def slow(_path: Path) -> list[locks.Holder]:
        clock.advance(60.0)
        free.append(True)
        return []

    monkeypatch.setattr(locks, "holders", slow)
    monkeypatch.setattr(locks, "LOOK_SECONDS", 0.0)
    had = locks.awaited(lambda: bool(free), folder / "lock", what="its turn", seconds=5.0, clock=clock, every=0.1)
    assert had


def test_a_reaper_that_was_stopped_with_a_lock_is_let_go_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it is there for would never be done. Nobody else is: neither a reaper that has no lock, nor who has one and is no reaper."""
    with _held(folder, stopped=True) as pid, _held(folder / "other", stopped=True) as other:
        process, idle = processes.Process.of(pid), processes.Process.of(other)
        assert process is not None
        assert idle is not None
        monkeypatch.setattr(processes, "reapers", lambda: iter([(process, "run-1", folder), (idle, "run-2", folder)]))
        monkeypatch.setattr(alone, "ALONE_SECONDS", 2 * locks.LOOK_SECONDS)
        with pytest.raises(HarnessError, match=rf"process {pid} "), alone.alone():
            pass
        assert _state(pid) != STOPPED
        assert _state(other) == STOPPED


@pytest.mark.parametrize("for_good", [True, False])
def test_who_is_stopped_for_a_moment_now_and_then_is_waited_for(folder: Path, monkeypatch: pytest.MonkeyPatch, *, for_good: bool) -> None:
    """Somebody may be looking into it: only who stays stopped is given up, however long it was stopped in all."""
    process = processes.Process.of(os.getpid())
    assert process is not None
    looks: list[str] = []

    def seen(_: Path) -> list[locks.Holder]:
        looks.append("is stopped" if for_good or len(looks) % 3 else "")
        return [locks.Holder(process, "a run", looks[-1], "")]

    monkeypatch.setattr(locks, "holders", seen)

    def take() -> bool:
        return len(looks) > 20

    def wait() -> bool:
        clock = FakeClock(moves_itself=True)
        return locks.awaited(take, folder / "lock", what="its turn", seconds=3600.0, clock=clock, every=0.1)

    if for_good:
        with pytest.raises(locks.HeldUp, match="is stopped"):
            wait()
    else:
        assert wait()


def test_since_when_a_lock_is_held_is_when_it_was_taken(folder: Path) -> None:
    """Not when its file was made, which may be years ago."""
    with (folder / "lock").open("w") as file:
        os.utime(folder / "lock", (86400, 86400))
        assert locks.taken(file.fileno())
        (holder,) = locks.holders(folder / "lock")
    assert not holder.since.startswith(" since 1970-")


def test_a_setup_says_who_keeps_it_waiting_and_does_not_wait_for_one_that_is_stopped(tmp_path: Path) -> None:
    """It has a lock of its own, in another language."""
    script = tmp_path / "setup"
    script.write_bytes((ROOT / "setup").read_bytes())
    with _held(script, stopped=True) as pid:
        done = subprocess.run(["sh", script], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 1
    assert re.search(rf"process {pid} \(.*, state T\); kill -CONT lets it go on", done.stderr)


@pytest.mark.parametrize("there", [True, False])
def test_what_all_runs_share_can_be_had_where_no_file_can_be_made(folder: Path, monkeypatch: pytest.MonkeyPatch, there: bool) -> None:
    """A full disk under the register keeps nobody from removing what was made. Without a register nothing was."""
    if not there:
        folder.rmdir()

    def full(_path: object, flags: int, *more: object, **named: object) -> int:
        if flags & os.O_CREAT:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return opened(_path, flags, *more, **named)  # type: ignore[arg-type]

    opened = os.open
    monkeypatch.setattr(os, "open", full)
    with alone.alone():
        pass
    assert not folder.exists()


def test_every_lock_on_a_file_is_waited_for_with_an_end() -> None:
    """One module takes them all; one in a shell says for how long."""
    found = []
    for path in sorted((ROOT / "harness").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        nodes = ast.walk(ast.parse(text)) if path.name != "locks.py" and re.search("flock|lockf", text) else ()
        found += [f"{path}:{each.lineno}" for each in nodes if isinstance(each, ast.Attribute) and each.attr in {"flock", "lockf"}]
    for path in [ROOT / "setup", *sorted((ROOT / "harness").rglob("*.sh")), ROOT / ".ci" / "run"]:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            found += [f"{path}:{number}" for _ in re.findall(r"\bflock (?!-n |-w |>|\S*null)", line.partition("# ")[0])]
    assert found == []


def test_who_took_a_lock_is_told_by_whatever_path_and_by_nobody_once_it_is_let_go(tmp_path: Path) -> None:
    """Without a look at what all processes have open."""
    path, other = tmp_path / "a", tmp_path / "b"
    path.touch()
    os.link(path, other)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        found = [locks.taker(each) for each in (path, other)]
    assert [each and each.pid for each in found] == [os.getpid(), os.getpid()]
    assert locks.taker(path) is None
    assert locks.taker(tmp_path / "nothing") is None


def test_who_took_a_lock_is_found_whatever_else_that_one_closes_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is gone when it is looked at is another one."""
    path = tmp_path / "lock"
    original = os.listdir

    def listed(where: Path) -> list[str]:
        return ["99999", *original(where)]

    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        monkeypatch.setattr(os, "listdir", listed)
        found = locks.taker(path)
        monkeypatch.undo()
    assert found is not None
    assert found.pid == os.getpid()
