"""What every node must do, as plain functions that any test runner can call; see `harness.testing.contracts` for how they are used."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import cast

from harness.core.clock import SystemClock, wait_until
from harness.core.errors import BadInput, CommandFailed, Expired, HarnessError, Unreachable
from harness.core.figures import given
from harness.core.protocols import DockerAccess, Node, Streaming
from harness.core.stops import Stopped, deaf, listening
from harness.testing.contracts import ContractBroken, raising, require, same

ENDING_SECONDS = 10.0
"""How long a stream that was closed may take to end, with all that it ran; how long a Docker daemon may take to answer."""
DYING_SECONDS = 20.0
"""How long the death of a node may go unnoticed: a machine without power says no goodbye."""
HEARD_AFTER = 2
"""Questions after which the end of a run is heard in a contract."""
STOPPED_SECONDS = 20.0
"""How long a command may take that must be ended before."""
HUNG_SECONDS = 0.3
"""How long a command that never ends is waited for."""


def exit_statuses_are_results(node: Node) -> None:
    """Any exit status is an answer, never an exception."""
    same(node.run("true").exit, 0, "the status of true")
    same(node.run("false").exit, 1, "the status of false")
    same(node.run("/bin/sh", "-c", "exit 42").exit, 42, "the status of exit 42")


def an_unknown_command_is_status_127(node: Node) -> None:
    """A command that is not there is an answer, too."""
    same(node.run("whalefall-no-such-command").exit, 127, "the status of a command that is not there")


def a_signal_is_128_and_its_number(node: Node) -> None:
    """A command that dies of a signal has a status that says so."""
    same(node.run("/bin/sh", "-c", "kill -9 $$").exit, 137, "the status of a command killed by SIGKILL")


def arguments_arrive_as_they_are(node: Node) -> None:
    """No argument passes through a shell."""
    args = ("; rm -rf /nowhere", "a b", "line 1\nline 2", "", "$HOME `id` $(id)", "'\"\\", "*", "größer", "-n")
    out = node.run("printf", "%s\\0", *args).out
    same(out, b"".join(each.encode() + b"\0" for each in args), "what printf got")


def stdin_arrives_whole_and_binary_comes_back(node: Node) -> None:
    """Bytes go in and come out unchanged, also more than a pipe holds."""
    body = bytes(range(256)) * 1024
    result = node.run("cat", stdin=body)
    require(result.out == body, "cat gives back 256 KiB of every byte", f"{len(result.out)} bytes, status {result.exit}")


def stderr_is_kept_apart(node: Node) -> None:
    """What goes to stderr is not in the output."""
    result = node.run("/bin/sh", "-c", "cat >&2", stdin=b"trouble")
    same((result.out, result.err), (b"", b"trouble"), "output and stderr")


def without_stdin_there_is_an_end_of_file(node: Node) -> None:
    """A command that reads gets nothing, rather than waiting for ever."""
    same(node.run("cat", timeout=10.0).out, b"", "what cat read")


def a_timeout_is_unreachable_and_leaves_nothing(node: Node) -> None:
    """A command that takes too long is "no answer", and does not go on behind our back."""
    mine = f"97.{os.getpid()}"  # whoever else tries this on the same machine sleeps for another while
    with raising(Unreachable, "a command slower than its timeout"):
        node.run("sleep", mine, timeout=HUNG_SECONDS)
    same(node.run("pgrep", "-f", f"^sleep {mine.replace('.', '[.]')}$").exit, 1, "the status of a search for what timed out")


def a_command_ends_with_its_run(node: Node) -> None:
    """Whoever listens to what ends a run is not kept by a command that goes on, and the command does not go on; one that is deaf is not cut short."""
    asked: list[int] = []

    def ear() -> HarnessError | None:
        asked.append(1)
        return Stopped("the run was stopped") if len(asked) > HEARD_AFTER else None

    with listening(ear):
        with raising(Stopped, "a command of a run that is stopped"):
            node.run("sleep", "98.375", timeout=STOPPED_SECONDS)
        with raising(Stopped, "the next command of it"):
            node.run("true")
        with deaf():
            same(node.run("pgrep", "-f", "^sleep 98[.]375").exit, 1, "the status of a search for what was stopped")


def files_make_the_round_trip(node: Node) -> None:
    """A file put and got is the same, folders are made, and its mode bits are kept."""
    there = PurePosixPath("/run/whalefall-contract/new folder/a file")
    body = b"#!/bin/sh\n\x00\xff\n"
    with tempfile.TemporaryDirectory() as folder:
        source, back = Path(folder, "source"), Path(folder, "back")
        source.write_bytes(body)
        try:
            for mode in (0o750, 0o644):  # the second overwrites the first
                source.chmod(mode)
                node.put(source, there)
                same(node.run("stat", "-c", "%a", str(there)).text.strip(), f"{mode:o}", "the mode on the node")
            node.get(there, back)
            same(back.read_bytes(), body, "the file got")
        finally:
            node.run("rm", "-rf", str(there.parent.parent), str(there))


def only_an_ordinary_file_is_copied(node: Node) -> None:
    """A pipe that nobody writes to hangs nobody, a device without an end fills no memory, and no file is written through a link."""
    there = PurePosixPath("/run/whalefall-contract/odd")
    with tempfile.TemporaryDirectory() as folder:
        pipe, precious, link = Path(folder, "pipe"), Path(folder, "precious"), Path(folder, "link")
        os.mkfifo(pipe)
        precious.write_bytes(b"mine")
        link.symlink_to(precious)
        for source in (pipe, Path("/dev/zero"), Path(folder), Path(folder, "missing")):
            with raising(BadInput, f"a put of {source}"):
                node.put(source, there)
        try:
            node.put(link, there)
            link.unlink()
            link.symlink_to(precious)
            precious.write_bytes(b"not to be touched")
            node.get(there, link)
        finally:
            node.run("rm", "-rf", str(there.parent))
        same((precious.read_bytes(), link.read_bytes()), (b"not to be touched", b"mine"), "what the link named, and the file got")


def a_missing_file_is_a_failed_command(node: Node) -> None:
    """A file that is not there is the node's refusal, not silence."""
    with tempfile.TemporaryDirectory() as folder, raising(CommandFailed, "get of a missing file"):
        node.get(PurePosixPath("/run/whalefall-contract/missing"), Path(folder, "missing"))


NODE: Mapping[str, Callable[[Node], None]] = {
    each.__name__: each
    for each in (
        exit_statuses_are_results,
        an_unknown_command_is_status_127,
        a_signal_is_128_and_its_number,
        arguments_arrive_as_they_are,
        stdin_arrives_whole_and_binary_comes_back,
        stderr_is_kept_apart,
        without_stdin_there_is_an_end_of_file,
        a_timeout_is_unreachable_and_leaves_nothing,
        a_command_ends_with_its_run,
        files_make_the_round_trip,
        only_an_ordinary_file_is_copied,
        a_missing_file_is_a_failed_command,
    )
}
"""What every node must do."""


def a_stream_gives_lines_as_they_come(node: Node) -> None:
    """Not only at its end; it is fed its input, and ends with the command, its last line without a newline included."""
    go = "/run/whalefall-contract-go"
    stream = _streaming(node).stream(
        "/bin/sh", "-c", f"cat; echo two; until [ -e {go} ]; do sleep 0.05; done; printf three", stdin=b"one\n"
    )
    try:
        lines = stream.lines()
        same([next(lines), next(lines)], [b"one", b"two"], "the first lines, while the command runs")
        node.run("touch", go)
        same(list(lines), [b"three"], "what was left")
    finally:
        stream.close()
        node.run("rm", "-f", go)


def a_stream_is_closed_by_another_thread(node: Node) -> None:
    """Whoever reads comes to the end, the command, what it has in the background and in groups of their own are gone, and closing twice is fine."""
    stream = _streaming(node).stream("/bin/sh", "-c", "echo up; sleep 97.375 & timeout 99 sleep 97.375")
    lines = stream.lines()
    same(next(lines), b"up", "the first line")
    rest = _read_on(lines)
    stream.close()
    stream.close()
    require(rest.wait(ENDING_SECONDS), "a closed stream ends", f"it goes on after {given(ENDING_SECONDS)}")

    def gone() -> bool:
        return node.run("pgrep", "-f", "^sleep 97[.]375").exit == 1

    try:
        wait_until(gone, awaited="what the stream ran to be gone", seconds=ENDING_SECONDS, clock=SystemClock())
    except Expired as e:
        raise ContractBroken(f"promised: nothing goes on when a stream is closed; saw: {e}") from e


def docker_is_asked_over_the_management_path(node: Node) -> None:
    """A client answers for its own node, as often as it is asked; closing one leaves the others and the node alone."""
    require(isinstance(node, DockerAccess), "the node gives access to its Docker daemon", type(node).__name__)
    first, second = (cast("DockerAccess", node).docker(ENDING_SECONDS) for _ in range(2))
    try:
        same([client.info()["Name"] for client in (first, second, first)], [node.name] * 3, "whose daemon answers")
        first.close()
        same(second.info()["Name"], node.name, "whose daemon answers after the other client was closed")
    finally:
        first.close()
        second.close()
    same(node.run("true").exit, 0, "the status of true after all clients were closed")


REAL_NODE: Mapping[str, Callable[[Node], None]] = {
    each.__name__: each
    for each in (a_stream_gives_lines_as_they_come, a_stream_is_closed_by_another_thread, docker_is_asked_over_the_management_path)
}
"""What every node with `Streaming` and `DockerAccess` must do, beyond `NODE`: real machines."""


def a_death_is_noticed_and_outlived(node: Node, off: Callable[[], None], on: Callable[[], None]) -> None:
    """A stream ends when its node dies, a command has no answer then, and the same object answers again when the node is back."""
    stream = _streaming(node).stream("/bin/sh", "-c", "echo up; exec sleep 97.25")
    lines = stream.lines()
    same(next(lines), b"up", "the first line")
    rest = _read_on(lines)
    try:
        off()
        require(rest.wait(DYING_SECONDS), "a stream ends when its node dies", f"it goes on after {given(DYING_SECONDS)}")
        with raising(Unreachable, "a command on a node that is off"):
            node.run("true", timeout=HUNG_SECONDS)
    finally:
        stream.close()
        on()
    same(node.run("true").exit, 0, "the status of true after the node came back")


def _streaming(node: Node) -> Streaming:
    require(isinstance(node, Streaming), "the node can run a command whose output is read as it comes", type(node).__name__)
    return cast("Streaming", node)


def _read_on(lines: Iterator[bytes]) -> threading.Event:
    """Read to the end in another thread; the event is set there."""
    over = threading.Event()

    def read() -> None:
        for _ in lines:
            pass
        over.set()

    threading.Thread(target=read, daemon=True).start()
    return over
