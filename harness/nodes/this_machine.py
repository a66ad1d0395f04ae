"""This machine, as a place where commands of a scenario are run: ``here`` in a target expression.

They are run as whoever runs the harness, which mostly is root; in the cluster's network, where it has one of its own; in the folder ``/``; and with
nothing in their environment but what every node has, and what tells them whom they are about (`RUN`, `NODES`, `ADDRESSES`). A command's session
is ended by its deadline and with the harness: a shell that carries the run's mark waits for the command, so that `reap` finds it.
"""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING

from harness.core import pace, stops
from harness.core.errors import HarnessError, Unreachable, unstarted
from harness.core.figures import given
from harness.core.values import HERE, Result
from harness.host import marks, surroundings
from harness.host.processes import PROC, signal_session
from harness.host.talk import TOO_MUCH, SaidTooMuch, heard
from harness.nodes import children, programs
from harness.nodes.namespaced import ENVIRON
from harness.nodes.programs import RUN_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path, PurePosixPath

    from harness.core.protocols import Cluster, Node

RUN, NODES, ADDRESSES = "WHALEFALL_RUN", "WHALEFALL_NODES", "WHALEFALL_ADDRESSES"
"""Variables of a command here: the id of the run that its cluster was made for, the names of the nodes, and their addresses in the same order."""
GRACE_SECONDS = 3.0
"""How long a command that goes on has to say its last words when it is asked to end."""
_WORD = "whalefall-here"
"""What the shell that waits for a command is called, by which `reap` tells it from other helpers."""

# The run's mark stays with this shell, which waits: no command needs it, or should print it. Asked to end, it goes on waiting for the command, which
# is asked as well.
_WAITS = surroundings.SHORTAGE_AS_OTHERS + 'unset "$1" "$2"; shift 2; trap : INT TERM HUP; "$@"; '
_WITH_ITS_STATUS = 'exit "$?"'
# For what goes on: whatever it left in the background ends with it, also where it ends because nobody hears it any more, with nobody there to see.
_WITH_ITS_GROUP = "kill -KILL 0"


class LocalMachine:
    """See the module, `harness.core.protocols.Node` and `Streaming`. `network` is what a thread enters so that its sockets reach the nodes."""

    name = HERE
    address = "127.0.0.1"

    def __init__(
        self, run_id: str, nodes: Sequence[Node] = (), network: Callable[[], AbstractContextManager[object]] = nullcontext
    ) -> None:
        self._run_id = run_id
        self._told = {
            RUN: run_id,
            NODES: " ".join(node.name for node in nodes),
            ADDRESSES: " ".join(node.address for node in nodes),
        }
        self._network = network

    def __repr__(self) -> str:
        return f"LocalMachine({self._run_id!r})"

    def run(self, *argv: str, timeout: float | None = None, stdin: bytes = b"") -> Result:
        """Run a command here; see `harness.core.protocols.Node.run`."""
        stops.go_on()
        seconds = pace.limit(RUN_SECONDS) if timeout is None else timeout
        asked = " ".join(argv)
        child = self._started(argv, stdin, _WITH_ITS_STATUS, stderr=subprocess.PIPE)
        try:
            out, err = heard(child, seconds)
        except subprocess.TimeoutExpired:
            children.end(child)
            raise Unreachable(HERE, asked, f"no end of it after {given(seconds)}; it was killed") from None
        except SaidTooMuch:
            children.end(child)
            raise Unreachable(HERE, asked, f"{TOO_MUCH}; it was killed") from None
        except BaseException:
            children.end(child)
            raise
        return Result(argv, child.returncode if child.returncode >= 0 else 128 - child.returncode, out, err)

    def put(self, source: Path, target: PurePosixPath) -> None:
        """Copy a file; see `harness.core.protocols.Node.put`."""
        programs.put(self, source, target)

    def get(self, source: PurePosixPath, target: Path) -> None:
        """Copy a file; see `harness.core.protocols.Node.get`."""
        programs.get(self, source, target)

    def stream(self, *argv: str, stdin: bytes = b"") -> children.ChildStream:
        """Start a command and read it line by line; see `harness.core.protocols.Streaming`. It is asked to end before it is ended.

        Its process group ends with it, also where it ends by itself.
        """
        return children.ChildStream(self._started(argv, stdin, _WITH_ITS_GROUP, stderr=subprocess.DEVNULL), GRACE_SECONDS)

    def _started(self, argv: Sequence[str], stdin: bytes, then: str, *, stderr: int) -> subprocess.Popen[bytes]:
        whole = ["/bin/sh", "-c", _WAITS + then, _WORD, marks.VARIABLE, marks.BEGUN_BY, *argv]
        try:
            # A child stands in the network that the thread is in which starts it.
            with self._network(), children.fed(stdin) as fed:
                return subprocess.Popen(
                    [each.encode(errors="surrogateescape") for each in whole],
                    stdin=fed,
                    stdout=subprocess.PIPE,
                    stderr=stderr,
                    cwd="/",
                    env={**ENVIRON, "HOME": os.environ.get("HOME", "/"), **self._told, **marks.environ_for_us(self._run_id)},
                    start_new_session=True,
                )
        except OSError as error:
            raise HarnessError(f"{argv[0]!r} cannot be started on this machine: {unstarted(error)}") from error


def node_of(cluster: Cluster, name: str) -> Node:
    """Return the node of that name, or this machine for `HERE`. Raises `HarnessError` with the names there are.

    A cluster without nodes is gone: what is run here then is run in this machine's own network.
    """
    if name != HERE:
        return cluster.node(name)
    return LocalMachine(cluster.run_id, cluster.nodes, cluster.network if cluster.nodes else nullcontext)


def reap(run_id: str) -> int:
    """End what harnesses that are gone had begun here for a run, and what still runs; return how many commands that were.

    A command is ended with its session. What it left behind in a session of its own, or when it had ended by itself, is not found.
    """
    ended = 0
    for process in marks.orphans(run_id):
        with suppress(OSError, IndexError):  # it has ended, or is none of these
            words = (PROC / str(process.pid) / "cmdline").read_bytes().split(b"\0")
            if words[3] == _WORD.encode() and os.getpgid(process.pid) == process.pid and process.alive:
                signal_session(process.pid, signal.SIGKILL)
                ended += 1
    return ended
