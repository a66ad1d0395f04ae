"""What commands say is heard with a bound, wherever they run: who talks without an end fills no memory, and keeps nobody beyond his time."""

from __future__ import annotations

import os
import subprocess

import pytest

from harness.core import stops
from harness.core.errors import HarnessError, Unreachable
from harness.host import talk
from harness.host.processes import Process, run_bounded
from harness.nodes import children
from harness.nodes.children import ChildStream
from harness.nodes.namespaced import NspawnNode

PATIENCE = 30.0
FEW = 100_000


@pytest.fixture(autouse=True)
def _little(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep less, so that it is said at once."""
    monkeypatch.setattr(talk, "MOST_SAID", FEW)
    for module in (talk, children):
        monkeypatch.setattr(module, "LONGEST_LINE", 1000)


@pytest.mark.parametrize("script", ["exec yes", "exec yes >&2", f"head -c {FEW} /dev/zero; echo x >&2; sleep 60"])
def test_a_command_that_says_too_much_is_broken_off(script: str) -> None:
    """On either way, and on both together."""
    with pytest.raises(talk.SaidTooMuch, match="it said more than"):
        run_bounded(["sh", "-c", script], seconds=PATIENCE)


def test_what_is_kept_is_kept_whole() -> None:
    """Up to the last byte."""
    done = run_bounded(["sh", "-c", f"head -c {FEW - 1} /dev/zero; echo >&2"], seconds=PATIENCE)
    assert (len(done.stdout), done.stderr) == (FEW - 1, b"\n")


def test_the_time_of_a_command_that_talks_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it has said by then is told with the error."""
    monkeypatch.setattr(talk, "MOST_SAID", 1 << 40)
    with pytest.raises(subprocess.TimeoutExpired) as caught:
        run_bounded(["sh", "-c", "while :; do echo x; done"], seconds=0.2)
    assert caught.value.output.startswith(b"x\nx\n")
    assert caught.value.timeout == 0.2


def test_a_stop_is_heard_while_a_command_talks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not only where nothing comes for a while."""
    monkeypatch.setattr(talk, "MOST_SAID", 1 << 40)
    asked: list[None] = []

    def ear() -> HarnessError | None:
        asked.append(None)
        return stops.Stopped("enough") if len(asked) > 5 else None

    with stops.listening(ear), pytest.raises(stops.Stopped):
        entered("while :; do echo x; done").run("it", timeout=PATIENCE)


def test_a_command_on_a_node_that_says_too_much_gives_no_answer() -> None:
    """What was cut off would be taken for the whole. It is killed."""
    with pytest.raises(Unreachable, match=r"n1: no answer to it: it said more than .* which nobody keeps; it was killed"):
        entered("exec yes").run("it", timeout=PATIENCE)


def test_a_line_without_an_end_ends_a_stream() -> None:
    """An end is never "no more to say"."""
    child = subprocess.Popen(
        ["sh", "-c", "echo a; head -c 998 /dev/zero; echo; exec cat /dev/zero"], stdout=subprocess.PIPE, start_new_session=True
    )
    stream = ChildStream(child)
    assert list(stream.lines()) == [b"a", b"\0" * 998]
    stream.close()


def entered(script: str) -> NspawnNode:
    """Return a node whose commands are this script here, as if its namespaces had been entered."""

    class Here(NspawnNode):
        def _argv(self, leader: Process, told: int, argv: tuple[str, ...]) -> list[bytes]:
            return [b"sh", b"-c", f"echo in >/proc/self/fd/{told}; {script}".encode()]

    return Here("run-1", "n1", "10.77.0.11", lambda: Process.of(os.getpid()))
