"""A node that is reached over SSH. What cannot be asked is `Unreachable`, within its time; what nobody waits for any more does not run on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from harness.core import pace, stops
from harness.core.clock import Clock, Deadline, SystemClock
from harness.core.errors import CommandFailed, HarnessError, Unreachable
from harness.core.figures import given
from harness.core.values import Result
from harness.host.talk import LONGEST_LINE
from harness.nodes import programs
from harness.nodes.programs import RUN_SECONDS
from harness.nodes.ssh.access import Access
from harness.nodes.ssh.losing import Lost, Refused

if TYPE_CHECKING:
    import docker

    from harness.nodes.ssh.commands import GuardedLink, RunningCommand
    from harness.nodes.ssh.wire import Wire

CONNECT_SECONDS = 15.0
"""How long making a connection may take. Measured: 0.05 s between machines, 0.8 s to one under software emulation."""
START_SECONDS = 10.0
"""How long a stream's command may take to be started, a new connection included."""
OFFSET_SECONDS = 30.0
"""For how long a measured clock offset is believed. Clocks drift by 50 µs a second at worst; a machine that was suspended is far off at once."""
SAMPLES = 3
"""How often a clock is asked for one offset; the quickest answer counts."""
SURE_SECONDS = 0.02
"""How long an answer may take to be taken at once: half of it is the error."""
DOCKER_SOCKET = "/run/docker.sock"
_TRIES = 2
_PROHIBITED = 1  # RFC 4254, 5.1
_CONNECT_FAILED = 2


def import_now() -> None:
    """Import what a connection is made with, once there are to be any: half of what any command and any reaper would take to start.

    Then, and not when one is made: who mends later must find what it needs, whatever is installed anew meanwhile.
    """
    from harness.nodes.ssh import commands, connection, dockerd  # noqa: F401, PLC0415 - see above


class SshNode:
    """One machine; see `harness.core.protocols.Node`, `Streaming`, `DockerAccess` and `OwnClock`. For any number of threads.

    Nothing is done before its first use. All share one connection, which is made again after it was lost; where sshd allows no more commands on
    it, another one is added.
    """

    def __init__(
        self,
        name: str,
        address: str,
        access: Access,
        *,
        clock: Clock | None = None,
        connect_seconds: float = CONNECT_SECONDS,
        network: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        """`network` is entered, in whatever thread, around the making of each connection: `Provider.network` of the machine's run."""
        self.access = access
        self._name = name
        self._address = address
        self._clock = clock or SystemClock()
        self._connect_seconds = connect_seconds
        self._network = network
        self._lock = threading.Lock()  # held while a connection is made: nobody can do anything without one
        self._lines: list[GuardedLink] = []
        self._relays = False  # whether Docker must be asked through its own client on the node
        self._offset_lock = threading.Lock()
        self._offset: tuple[GuardedLink, float, float] | None = None  # on which connection, when, how much

    def __repr__(self) -> str:
        return f"SshNode({self._name!r}, {self._address!r}, {self.access.where!r})"

    @property
    def name(self) -> str:
        """Its name in the cluster."""
        return self._name

    @property
    def address(self) -> str:
        """Its address on the cluster's network."""
        return self._address

    def close(self) -> None:
        """End all connections, and with them every command and stream. Twice is fine; whoever calls the node again makes a new one."""
        with self._lock:
            lines, self._lines = self._lines, []
        for line in lines:
            line.link.drop()

    def run(self, *argv: str, timeout: float | None = None, stdin: bytes = b"") -> Result:
        """Run a command as root on the node; see `harness.core.protocols.Node.run`."""
        seconds = pace.limit(RUN_SECONDS) if timeout is None else timeout
        asked, deadline = " ".join(argv), Deadline(self._clock, seconds)
        session = self._begin(argv, asked, deadline)
        try:
            session.go()
            if not session.exchange(stdin, deadline):
                raise Unreachable(self._name, asked, f"no end of it after {given(seconds)}; it was killed")
        except Lost as e:
            raise Unreachable(self._name, asked, f"{e}, while it ran") from e
        finally:
            # Over, or given up for whatever reason, also by an interrupt.
            if session.wire.closed:
                session.done()
            else:
                session.kill()
        status = session.status
        if status is None:
            raise Unreachable(self._name, asked, f"{session.why}, while it ran")
        return Result(argv, status, session.out, session.err)

    def put(self, source: Path, target: PurePosixPath) -> None:
        """Copy a file to the node; see `harness.core.protocols.Node.put`.

        Through a command and not SFTP: that would write as the user who logs in, and is not served everywhere.
        """
        programs.put(self, source, target)

    def get(self, source: PurePosixPath, target: Path) -> None:
        """Copy a file from the node; see `harness.core.protocols.Node.get`."""
        programs.get(self, source, target)

    def stream(self, *argv: str, stdin: bytes = b"") -> SshStream:
        """Start a command and read it line by line; see `harness.core.protocols.Streaming`."""
        asked, deadline = " ".join(argv), Deadline(self._clock, pace.limit(START_SECONDS))
        session = self._begin(argv, asked, deadline, quiet=True)
        try:
            session.go()
            if not session.feed(stdin, deadline):
                raise Unreachable(self._name, asked, f"it has not read its input after {given(pace.limit(START_SECONDS))}")
        except Lost as e:
            session.kill(0.0)
            raise Unreachable(self._name, asked, str(e)) from e
        except BaseException:
            session.kill(0.0)
            raise
        return SshStream(session)

    def docker(self, timeout: float) -> docker.DockerClient:
        """Return a client of the node's Docker daemon; see `harness.core.protocols.DockerAccess`.

        Its requests go through channels of the node's connection to `DOCKER_SOCKET`; where the user may not open that, through Docker's own
        relay (``docker system dial-stdio``), run as root. Closing it closes those channels only.
        """
        from harness.nodes.ssh import dockerd  # noqa: PLC0415 - see `import_now`

        return dockerd.client(self._to_docker, timeout)

    def offset(self) -> float:
        """Return the node's wall clock minus ours in seconds; see `harness.core.protocols.OwnClock`.

        Measured anew on each connection, and when the last figure is older than `OFFSET_SECONDS`. Raises `Unreachable`, or `CommandFailed`.
        """
        with self._offset_lock:
            line, _ = self._line("its clock", Deadline(self._clock, pace.limit(START_SECONDS)))
            line.give()
            if self._offset is not None and self._offset[0] is line and self._clock.now() - self._offset[1] < OFFSET_SECONDS:
                return self._offset[2]
            found = self._sample()
            for _ in range(SAMPLES - 1):
                if found[0] <= SURE_SECONDS:
                    break
                found = min(found, self._sample())
            self._offset = (line, self._clock.now(), found[1])
            return found[1]

    def _sample(self) -> tuple[float, float]:
        """Ask the node's clock once; return how long that took and the difference."""
        argv = ("date", "+%s.%N")
        deadline = Deadline(self._clock, pace.limit(START_SECONDS))
        session = self._begin(argv, " ".join(argv), deadline)
        try:
            wall, before = self._clock.wall(), self._clock.now()
            session.go()
            over = session.exchange(b"", deadline)
        except Lost as e:
            raise Unreachable(self._name, " ".join(argv), str(e)) from e
        finally:
            session.kill()
        if not over or session.first is None:
            raise Unreachable(self._name, " ".join(argv), f"no time of day in {given(pace.limit(START_SECONDS))}")
        try:
            theirs = float(session.out)
        except ValueError as e:
            raise CommandFailed(self._name, argv, session.status or 0, f"it printed {session.out[:80]!r}", "needs GNU date") from e
        took = session.first - before
        return took, theirs - (wall + took / 2)

    def _begin(self, argv: tuple[str, ...], asked: str, deadline: Deadline, *, quiet: bool = False) -> RunningCommand:
        """Bring a command to its start. What fails before that is tried once more, on a new connection. Raises `Unreachable` or `HarnessError`."""
        tried = 0
        while True:
            line, taken = self._line(asked, deadline)
            try:
                return line.start(argv, deadline, quiet=quiet)
            except Refused as e:
                # Most likely sshd's MaxSessions is smaller than ours: then this connection holds what it can, and the next one takes the rest.
                # One that holds nothing may be taken up by a killed command that cannot die: a new one tells.
                tried += not line.full(taken)
                line.give()
                if tried >= _TRIES:
                    raise Unreachable(self._name, asked, f"sshd opens no session: {e}; its MaxSessions must be 2 or more") from e
            except Lost as e:
                line.give()
                tried += 1
                if tried >= _TRIES or deadline.expired:
                    raise Unreachable(self._name, asked, f"{e}, in {given(deadline.seconds)}" if deadline.expired else str(e)) from e
            except HarnessError as e:
                line.give()
                raise e if isinstance(e, Unreachable) or stops.heard() else HarnessError(f"{self._name}: {e}") from e
            except BaseException:
                line.give()
                raise

    def _line(self, asked: str, deadline: Deadline) -> tuple[GuardedLink, int]:
        """Return a connection with a place taken on it, making one where there is none, and how many are taken there.

        Raises `Unreachable` or `HarnessError`.
        """
        if not stops.acquire(self._lock, deadline.left(), self._clock):
            raise Unreachable(self._name, asked, f"still no connection after {given(deadline.seconds)}")
        try:
            for line in [each for each in self._lines if not each.alive]:
                self._lines.remove(line)
                line.retire()
            for line in self._lines:
                if taken := line.take():
                    return line, taken
            line = self._connect(asked, deadline)
            self._lines.append(line)
            return line, line.take()
        finally:
            self._lock.release()

    def _connect(self, asked: str, deadline: Deadline) -> GuardedLink:
        from harness.nodes.ssh.commands import GuardedLink  # noqa: PLC0415 - see `import_now`
        from harness.nodes.ssh.connection import connect  # noqa: PLC0415 - same

        until = Deadline(self._clock, min(pace.limit(self._connect_seconds), deadline.left()))
        try:
            link = connect(self._name, self.access, until, self._clock, self._network)
        except Unreachable as e:
            raise Unreachable(self._name, asked, f"{e.asked}: {e.saw}") from e
        try:
            return GuardedLink(link, self._clock, sudo=self.access.user != "root", deadline=until)
        except (Lost, Refused) as e:
            link.drop()
            raise Unreachable(self._name, asked, f"connected to {self.access.where}, but {e}") from e
        except HarnessError as e:
            link.drop()
            raise e if stops.heard() else HarnessError(f"{self._name} ({self.access.where}): {e}") from e
        except BaseException:
            link.drop()
            raise

    def _to_docker(self, seconds: float) -> Wire:
        """Open a channel to the Docker daemon. Raises `Unreachable`."""
        deadline = Deadline(self._clock, seconds)
        if not self._relays:
            for tried in range(1, _TRIES + 1):
                line, _ = self._line("docker", deadline)
                line.give()
                try:
                    return line.link.unix(DOCKER_SOCKET, deadline)
                except Refused as e:
                    ours = self.access.user == "root" and e.code == _CONNECT_FAILED
                    if ours or e.code not in {_PROHIBITED, _CONNECT_FAILED}:
                        raise Unreachable(self._name, "docker", f"no connection to {DOCKER_SOCKET}: {e}") from e
                    self._relays = True
                    break
                except Lost as e:
                    if tried == _TRIES or deadline.expired:
                        raise Unreachable(self._name, "docker", str(e)) from e
        session = self._begin(("docker", "system", "dial-stdio"), "docker", deadline, quiet=True)
        try:
            session.go()
        except Lost as e:
            session.kill(0.0)
            raise Unreachable(self._name, "docker", str(e)) from e
        session.wire.at_end = lambda: session.kill(0.0)
        return session.wire


class SshStream:
    """A command that goes on running on a node; see `harness.core.protocols.Stream`."""

    def __init__(self, session: RunningCommand) -> None:
        self._session = session
        self._closed = threading.Event()
        session.wire.settimeout(None)  # it ends with the channel, which ends with the connection, which is watched

    def lines(self) -> Iterator[bytes]:
        """Yield its lines as they come. What a lost connection has cut off in the middle is no line."""
        rest = bytearray(self._session.out)
        try:
            while not self._closed.is_set():
                *whole, last = bytes(rest).split(b"\n")
                for line in whole:
                    yield line
                    if self._closed.is_set():
                        return
                rest = bytearray(last)
                piece = self._read()
                if not piece:
                    if last:
                        self._session.wire.settle()
                        if self._session.status is not None:
                            yield bytes(last)
                    break
                rest += piece
                if len(rest) > LONGEST_LINE and b"\n" not in piece:
                    break  # no line of anybody's: an end is never "no more to say"
        finally:
            if self._session.wire.closed:
                self._session.done()

    def close(self) -> None:
        """End it. Twice is fine."""
        self._closed.set()
        self._session.kill(0.0)

    def _read(self) -> bytes:
        with suppress(OSError, EOFError):
            return self._session.wire.recv(65536)
        return b""
