"""A node that is a systemd-nspawn machine of this host: commands enter its namespaces, files go the same way.

The way in does not use the node's network, its sshd or its cgroup, so no fault cuts it, and a frozen node still answers.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from harness.core import pace, stops
from harness.core.errors import HarnessError, Unreachable, unstarted
from harness.core.figures import given
from harness.core.values import Result
from harness.host import marks, surroundings
from harness.host.processes import PROC, Process, signal_session
from harness.host.talk import TOO_MUCH, SaidTooMuch, heard
from harness.nodes import children, peeking, programs
from harness.nodes.programs import RUN_SECONDS

if TYPE_CHECKING:
    import docker

_GRACE_SECONDS = 0.05  # measured: a dying machine's PID 1 outlives the command that died with it by 5 ms at most
_MISSING = "it comes with util-linux"
_DOCKER = PurePosixPath("/run/docker.sock")
ENVIRON = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8"}

# Says on a pipe that the namespaces were entered, then becomes the command. Without that word an exit status is nsenter's, not the command's.
# By path, since a shell's own redirections know only descriptors 0 to 9. The run's proof stays with nsenter: no command needs it, or should print it.
_ENTER = 'echo in >"/proc/self/fd/$0"; ' + surroundings.SHORTAGE_AS_OTHERS + 'unset "$1" "$2"; shift 2; exec "$@"'


class NspawnNode:
    """One machine; see `harness.core.protocols.Node`, `Streaming` and `DockerAccess`."""

    def __init__(self, run_id: str, name: str, address: str, leader: Callable[[], Process | None]) -> None:
        self.run_id = run_id
        self._name = name
        self._address = address
        self._leader = leader  # asked anew at each call: a machine that was off and on again has another PID 1

    def __repr__(self) -> str:
        return f"NspawnNode({self._name!r}, {self._address!r})"

    @property
    def name(self) -> str:
        """Its name in the cluster."""
        return self._name

    @property
    def address(self) -> str:
        """Its address on the cluster's network."""
        return self._address

    def _machine(self, asked: str) -> Process:
        leader = self._leader()
        if leader is None or not leader.alive:
            raise Unreachable(self._name, asked, "the machine is off")
        return leader

    def _argv(self, leader: Process, told: int, argv: tuple[str, ...]) -> list[bytes]:
        namespaces = ["--mount", "--uts", "--ipc", "--net", "--pid"]
        whole = [
            "nsenter",
            "--target",
            str(leader.pid),
            *namespaces,
            "--wdns=/",
            "/bin/sh",
            "-c",
            _ENTER,
            str(told),
            marks.VARIABLE,
            marks.BEGUN_BY,
            *argv,
        ]
        return [each.encode(errors="surrogateescape") for each in whole]  # nodes speak UTF-8, whatever our own locale is

    def run(self, *argv: str, timeout: float | None = None, stdin: bytes = b"") -> Result:
        """Run a command as root on the node; see `harness.core.protocols.Node.run`."""
        stops.go_on()
        seconds = pace.limit(RUN_SECONDS) if timeout is None else timeout
        asked = " ".join(argv)
        leader = self._machine(asked)
        reader, writer = os.pipe()
        try:
            with children.fed(stdin) as fed:
                child = subprocess.Popen(
                    self._argv(leader, writer, argv),
                    stdin=fed,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    env={**ENVIRON, **marks.environ_for_us(self.run_id)},
                    pass_fds=(writer,),
                    start_new_session=True,
                )
        except OSError as error:
            os.close(reader)
            raise HarnessError(f"{self._name}: cannot start {argv[0]!r} through nsenter: {unstarted(error, _MISSING)}") from error
        finally:
            os.close(writer)
        try:
            try:
                out, err = heard(child, seconds)
            except subprocess.TimeoutExpired:
                children.end(child)
                raise Unreachable(self._name, asked, f"no end of it after {given(seconds)}; it was killed") from None
            except SaidTooMuch:
                children.end(child)
                raise Unreachable(self._name, asked, f"{TOO_MUCH}; it was killed") from None
            except BaseException:
                children.end(child)
                raise
            entered = os.read(reader, 8) != b""
        finally:
            os.close(reader)
        if not entered:
            raise Unreachable(self._name, asked, err.decode(errors="replace").strip() or "the machine went off")
        if child.returncode == -signal.SIGKILL and (leader.ending or leader.wait(_GRACE_SECONDS)):
            raise Unreachable(self._name, asked, "the machine went off while it ran")
        status = child.returncode if child.returncode >= 0 else 128 - child.returncode
        return Result(argv, status, out, err)

    def put(self, source: Path, target: PurePosixPath) -> None:
        """Copy a file to the node; see `harness.core.protocols.Node.put`."""
        programs.put(self, source, target)

    def get(self, source: PurePosixPath, target: Path) -> None:
        """Copy a file from the node; see `harness.core.protocols.Node.get`."""
        programs.get(self, source, target)

    def stream(self, *argv: str, stdin: bytes = b"") -> children.ChildStream:
        """Start a command and read it line by line; see `harness.core.protocols.Streaming`."""
        leader = self._machine(" ".join(argv))
        try:
            with open(os.devnull, "ab") as null, children.fed(stdin) as fed:  # noqa: PTH123 - a device, not a path of ours
                child = subprocess.Popen(
                    self._argv(leader, null.fileno(), argv),
                    stdin=fed,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    env={**ENVIRON, **marks.environ_for_us(self.run_id)},
                    pass_fds=(null.fileno(),),
                    start_new_session=True,
                )
        except OSError as error:
            raise HarnessError(f"{self._name}: cannot start nsenter: {unstarted(error, _MISSING)}") from error
        return children.ChildStream(child)

    def docker(self, timeout: float) -> docker.DockerClient:
        """Return a client of the node's Docker daemon; see `harness.core.protocols.DockerAccess`."""
        from harness.nodes import sdk  # noqa: PLC0415 - a quarter of what a reaper takes to start, which never needs it

        leader = self._machine("docker")
        try:
            # The socket as seen through the machine's own root: the management path, not its network.
            handle = peeking.socket_of(leader.pid, _DOCKER)
        except OSError as error:
            raise Unreachable(self._name, "docker", f"no connection to its socket: {error.strerror}") from error
        try:
            path = f"/proc/self/fd/{handle}"
            # Tried here first: where nobody listens, the SDK would leave its half-made socket open.
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as knock:
                knock.settimeout(timeout)
                knock.connect(path)
            return sdk.client(f"unix://{path}", timeout, holds=handle)
        except BaseException as error:
            os.close(handle)
            if isinstance(error, OSError):
                raise Unreachable(self._name, "docker", f"no connection to its socket: {error}") from error
            raise


def reap(run_id: str) -> list[int]:
    """End the commands that harnesses which are gone had begun on a run's nodes; return of each whose machine it was in: the pid of its PID 1."""
    entered = []
    for process in marks.orphans(run_id):
        with suppress(OSError, ValueError, IndexError):  # it has ended, or is none of these
            words = (PROC / str(process.pid) / "cmdline").read_bytes().split(b"\0")
            leader = int(words[words.index(b"--target") + 1])
            if words[0] == b"nsenter" and os.getpgid(process.pid) == process.pid and process.alive:
                signal_session(process.pid, signal.SIGKILL)
                entered.append(leader)
    return entered
