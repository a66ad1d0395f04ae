"""The slow disk without its mount: delays, control socket, client, and the file system's operations called by hand."""

from __future__ import annotations

import errno
import json
import os
import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from harness.core.clock import SystemClock
from harness.core.errors import HarnessError, Unreachable
from harness.core.values import Latency
from harness.disk import client, control
from harness.disk.daemon import IMAGE, SlowFile
from harness.disk.delays import Delays, Operation

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LONG = 1000.0
PATIENCE = 20.0


@contextmanager
def serving(path: Path, delays: Delays) -> Iterator[None]:
    """Serve a control socket in a thread."""
    server = control.listen(path)
    thread = threading.Thread(target=control.serve, args=(server, delays))
    thread.start()
    try:
        yield
    finally:
        # Closing alone would not wake the thread that accepts.
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join(PATIENCE)


@contextmanager
def saying(path: Path, answer: bytes | None) -> Iterator[None]:
    """Serve a broken daemon: it says `answer` to its first caller and hangs up, or never says anything."""
    server = control.listen(path)
    done = threading.Event()

    def talk() -> None:
        caller, _ = server.accept()
        with caller:
            caller.recv(65536)
            if answer is None:
                done.wait(PATIENCE)
            else:
                caller.sendall(answer)

    thread = threading.Thread(target=talk)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(PATIENCE)
        server.close()


@pytest.fixture
def delays() -> Delays:
    """Delays on the real clock."""
    return Delays(SystemClock())


def sleeper(delays: Delays, operation: Operation) -> threading.Thread:
    """Return a thread that is held by an operation."""
    thread = threading.Thread(target=delays.hold, args=(operation,), daemon=True)
    thread.start()
    tries = 0
    while delays.counts[operation] == 0 and tries < 10**7:
        tries += 1
    return thread


class TickingClock(SystemClock):
    """A clock that stands at a given time, and moves on by one second each time that it is read."""

    def __init__(self) -> None:
        self.reads = 0

    def now(self) -> float:
        """Count the reads."""
        self.reads += 1
        return float(self.reads)


def test_an_unslowed_disk_does_not_even_look_at_the_clock() -> None:
    """The idle cost is a lock and a count."""
    clock = TickingClock()
    Delays(clock).hold(Operation.FSYNC)
    assert clock.reads == 0


def test_only_the_named_operation_is_held() -> None:
    """A latency on fsync leaves reads and writes alone."""
    delays = Delays(TickingClock())
    delays.change(Latency(fsync=LONG))
    delays.hold(Operation.READ)
    delays.hold(Operation.WRITE)
    assert delays.counts == {Operation.FSYNC: 0, Operation.READ: 1, Operation.WRITE: 1}


def test_a_latency_that_has_passed_already_holds_nothing_up() -> None:
    """Time is measured from the call, whatever woke the thread in between."""
    delays = Delays(TickingClock())
    delays.change(Latency(fsync=0.5))
    delays.hold(Operation.FSYNC)


@pytest.mark.parametrize("operation", list(Operation))
def test_a_heal_wakes_what_sleeps(delays: Delays, operation: Operation) -> None:
    """A heal must not wait for a stall to end."""
    delays.change(Latency(fsync=LONG, write=LONG, read=LONG))
    thread = sleeper(delays, operation)
    assert thread.is_alive()
    delays.change(Latency())
    thread.join(PATIENCE)
    assert not thread.is_alive()


def test_another_latency_does_not_let_a_sleeping_operation_go(delays: Delays) -> None:
    """A stall that is made longer stays a stall."""
    delays.change(Latency(fsync=LONG))
    thread = sleeper(delays, Operation.FSYNC)
    delays.change(Latency(fsync=2 * LONG))
    thread.join(0.05)
    assert thread.is_alive()
    delays.change(Latency())
    thread.join(PATIENCE)


def test_client_and_daemon_agree(tmp_path: Path, delays: Delays) -> None:
    """What is set is what is got, and what holds."""
    path = tmp_path / "disk.sock"
    with serving(path, delays):
        assert client.get_latency(path) == Latency()
        client.set_latency(path, Latency(fsync=2.0, read=0.25))
        assert client.get_latency(path) == Latency(fsync=2.0, read=0.25) == delays.latency
        client.set_latency(path, Latency())
        delays.hold(Operation.WRITE)
        assert client.get_operations(path) == {"fsync": 0, "write": 1, "read": 0}


def test_a_socket_lies_as_deep_as_it_likes_and_is_for_root_alone(tmp_path: Path, delays: Delays) -> None:
    """A Unix socket's address holds 107 bytes; a run's folder may be longer than that."""
    folder = tmp_path / ("d" * 120)
    folder.mkdir()
    path = folder / "disk.sock"
    path.touch()  # left by a dead daemon
    with serving(path, delays):
        assert client.get_latency(path) == Latency()
        assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"no json\n",
        b"\xff\xfe\n",
        b"[]\n",
        b"{}\n",
        b'{"get": true, "set": {}}\n',
        b'{"set": 2}\n',
        b'{"set": {"fsync": -1}}\n',
        b'{"set": {"fsync": "2s"}}\n',
        b'{"set": {"fsync": true}}\n',
        b'{"set": {"fsync": NaN}}\n',
        b'{"set": {"fsync": 1e9}}\n',
        b'{"set": {"flush": 1}}\n',
        b"[" * 60000 + b"\n",
    ],
)
def test_a_bad_line_is_answered_with_an_error_and_changes_nothing(line: bytes, delays: Delays) -> None:
    """The daemon outlives whatever it is told."""
    delays.change(Latency(fsync=0.125))
    assert list(control.answer(line, delays)) == ["error"]
    assert delays.latency == Latency(fsync=0.125)


def test_what_is_left_out_is_zero(delays: Delays) -> None:
    """A set replaces all of what was."""
    delays.change(Latency(write=1.0))
    assert control.answer(b'{"set": {"fsync": 2}}', delays)["latency"] == {"fsync": 2.0, "write": 0.0, "read": 0.0}


def test_a_dead_daemon_could_not_be_asked(tmp_path: Path) -> None:
    """No socket, or one that nobody serves, is Unreachable with the node's name, never a zero latency."""
    path = tmp_path / "n2" / "disk.sock"
    path.parent.mkdir()
    with pytest.raises(Unreachable, match=r"n2: no answer .* the disk's daemon is dead"):
        client.get_latency(path)
    control.listen(path).close()
    with pytest.raises(Unreachable, match="n7: no answer"):
        client.set_latency(path, Latency(), node="n7")


def test_a_silent_daemon_could_not_be_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A question has an end."""
    monkeypatch.setattr(client, "SECONDS", 0.02)
    with saying(tmp_path / "disk.sock", None), pytest.raises(Unreachable, match="silence"):
        client.get_latency(tmp_path / "disk.sock")


def test_half_an_answer_is_no_answer(tmp_path: Path) -> None:
    """A daemon that is killed while it answers has said nothing."""
    with saying(tmp_path / "disk.sock", b'{"latency": {"fsync": 0'), pytest.raises(Unreachable, match="in the middle"):
        client.get_latency(tmp_path / "disk.sock")


@pytest.mark.parametrize(
    "answer", [b"what?\n", b"[]\n", b'{"error": "no"}\n', b"{}\n", b'{"latency": {"fsync": "x", "write": 0, "read": 0}}\n']
)
def test_a_strange_answer_is_an_error(tmp_path: Path, answer: bytes) -> None:
    """Neither a latency nor a silence."""
    with saying(tmp_path / "disk.sock", answer), pytest.raises(HarnessError) as caught:
        client.get_latency(tmp_path / "disk.sock")
    assert not isinstance(caught.value, Unreachable)


def test_the_file_system_passes_everything_through(tmp_path: Path, delays: Delays) -> None:
    """What is written is in the backing file, what is read comes from there, and each is counted."""
    image = tmp_path / IMAGE
    image.write_bytes(b"\0" * 8192)
    handle = os.open(image, os.O_RDWR)
    try:
        disk = SlowFile(handle, delays, lambda: None)
        assert disk.write(f"/{IMAGE}", b"whale", 4096, 0) == 5
        assert disk.fsync(f"/{IMAGE}", 1, 0) == 0
        assert disk.read(f"/{IMAGE}", 5, 4096, 0) == b"whale" == image.read_bytes()[4096:4101]
        disk.truncate(f"/{IMAGE}", 16384)
        assert disk.getattr(f"/{IMAGE}")["st_size"] == 16384 == image.stat().st_size
        assert disk.readdir("/", 0) == [".", "..", IMAGE]
        assert disk.statfs("/")["f_bsize"] > 0
    finally:
        os.close(handle)
    assert json.loads(json.dumps(delays.counts)) == {"fsync": 1, "write": 1, "read": 1}


def test_there_is_only_one_file(delays: Delays) -> None:
    """Any other name is not there."""
    disk = SlowFile(-1, delays, lambda: None)
    for ask in (lambda: disk.getattr("/other"), lambda: disk.open("/other", 0), lambda: disk.truncate("/other", 0)):
        with pytest.raises(OSError, match="other") as caught:
            ask()
        assert caught.value.errno == errno.ENOENT
