"""SSH servers for tests: real ones, on machines that have one, and one on loopback that misbehaves.

The latter does as broken machines do: it never answers, hangs up, refuses keys, opens nothing, or goes silent. It runs commands with this machine's
own shell, as sshd does: in a session of their own, their pipes closed when the channel is. It serves whoever has the one key it is told of.
"""

from __future__ import annotations

import enum
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Self

import paramiko
from paramiko.common import (
    AUTH_FAILED,
    AUTH_SUCCESSFUL,
    OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED,
    OPEN_FAILED_CONNECT_FAILED,
    OPEN_SUCCEEDED,
)

from harness.core.errors import CommandFailed
from harness.nodes.ssh.access import Access
from harness.nodes.ssh.keys import HOST_KEY, make_host_key, parse

if TYPE_CHECKING:
    from harness.core.protocols import Node

_STREAMLOCAL = "direct-streamlocal@openssh.com"
_STOP_SECONDS = 5.0

HOME = "/root"
"""Where root lives on a node."""


def let_in(node: Node, folder: Path, user_key: Path) -> Access:
    """Make a machine reachable over SSH, over the way in that it has already: a host key of its own, our key for root, and its sshd running.

    `folder` takes the host key; `user_key` is a private key with its public one beside it. Returns how the machine is reached.
    """
    line = make_host_key(folder)
    node.put(folder / HOST_KEY, PurePosixPath("/etc/ssh", HOST_KEY))
    node.put(user_key.with_name(f"{user_key.name}.pub"), PurePosixPath(f"{HOME}/.ssh/authorized_keys"))
    start = ("systemctl", "enable", "--now", "ssh.service")
    done = node.run(*start)
    if not done.ok:
        raise CommandFailed(node.name, start, done.exit, done.err.decode(errors="replace"))
    return Access(node.address, key=user_key, host_keys=(line,))


class SshTrouble(enum.Enum):
    """What a server does instead of serving."""

    MUTE = "takes the connection and says nothing"
    RUBBISH = "greets in no language that is SSH"
    CLOSE = "takes the connection and closes it"
    REFUSE = "refuses every key"
    NO_SESSIONS = "lets in, and opens no session"
    NO_SHELL = "lets in, opens a session, and runs nothing"
    DEAF = "lets in, and never answers anything after that"


class SshServer:
    """One SSH server. `trouble` is looked at for each connection and may be replaced at any time; `commands` holds what it was asked to run.

    Use it as a context manager: it is listening inside the block, and nothing of it is left after. `line` is its host key, to be pinned.
    """

    def __init__(
        self,
        folder: Path,
        user_line: str,
        *,
        shell: str = "/bin/sh",
        environ: dict[str, str] | None = None,
        most: int = 10,
        unix: Path | None = None,
    ) -> None:
        """Make a host key in `folder`.

        `user_line` is the public key that is let in, `most` how many sessions there may be at once, `unix` what a channel to any socket leads to.
        """
        self.line = make_host_key(folder)
        self.trouble: SshTrouble | None = None
        self.commands: list[str] = []
        self.connections = 0
        self.key = paramiko.PKey.from_path(folder / HOST_KEY)
        self.user_key = parse(user_line)
        self.shell = shell
        self.environ = environ
        self.most = most
        self.unix = unix
        self.tells_ends = threading.Event()
        """While this is not set, the output of a command that is over ends, and its exit status does not come."""
        self.tells_ends.set()
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []
        self._children: list[subprocess.Popen[bytes]] = []
        self._transports: list[paramiko.Transport] = []
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        """Listen."""
        self.spawn(self._accept)
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.hang_up()
        for child in self._children:
            # A hung-up session's command goes on, as with sshd, but not for longer than the server. Once collected, its pid may be another's.
            if child.poll() is None:
                with suppress(ProcessLookupError):
                    os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        for thread in [*self._threads]:
            thread.join(_STOP_SECONDS)

    def hang_up(self) -> None:
        """Close all connections, as a reboot does."""
        for transport in [*self._transports]:
            transport.packetizer.complete_handshake()  # ends paramiko's timer
            transport.close()
        for sock in [*self._sockets]:
            sock.close()
        for transport in [*self._transports]:
            transport.join(_STOP_SECONDS)
        self._transports.clear()
        self._sockets.clear()

    def start(self, command: bytes) -> subprocess.Popen[bytes]:
        """Start a command in a session of its own; it is ended at the end."""
        child = subprocess.Popen(
            [self.shell, "-c", command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.environ,
            start_new_session=True,
        )
        self._children.append(child)
        return child

    def spawn(self, target: Callable[[], None]) -> None:
        """Start a thread that is joined at the end."""
        thread = threading.Thread(target=target, name="sshd", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._over.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._sockets.append(sock)
            if self.trouble is SshTrouble.CLOSE:
                sock.close()
            elif self.trouble is SshTrouble.RUBBISH:
                sock.sendall(b"220 mail.example ESMTP\r\n" * 120)
                sock.close()
            elif self.trouble is not SshTrouble.MUTE:
                self._serve(sock)

    def _serve(self, sock: socket.socket) -> None:
        transport = paramiko.Transport(sock)
        transport.add_server_key(self.key)
        self._transports.append(transport)
        with suppress(paramiko.SSHException, EOFError, OSError):
            # The event keeps it from waiting here for a client that may never speak.
            transport.start_server(event=threading.Event(), server=_Server(self, transport))


class _Server(paramiko.ServerInterface):
    """One connection."""

    def __init__(self, whole: SshServer, transport: paramiko.Transport) -> None:
        self._whole = whole
        self._transport = transport
        self._open: set[int] = set()

    def get_allowed_auths(self, _username: str) -> str:
        """Take keys only."""
        return "publickey"

    def check_auth_publickey(self, _username: str, key: paramiko.PKey) -> int:
        """Let in the one key."""
        good = self._whole.trouble is not SshTrouble.REFUSE and key.asbytes() == self._whole.user_key.asbytes()
        return AUTH_SUCCESSFUL if good else AUTH_FAILED

    def check_channel_request(self, kind: str, number: int) -> int:
        """Open sessions, and channels to the one socket."""
        if self._whole.trouble is SshTrouble.DEAF:
            self._whole._over.wait()  # noqa: SLF001 - the same module; its reader hangs, as a stopped sshd does
        if kind == _STREAMLOCAL:
            return self._to_unix(number)
        if kind != "session" or self._whole.trouble is SshTrouble.NO_SESSIONS:
            return OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED
        if len(self._open) >= self._whole.most:
            return OPEN_FAILED_CONNECT_FAILED
        self._open.add(number)
        return OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        """Run a command."""
        if self._whole.trouble is SshTrouble.NO_SHELL:
            return False
        self._whole.commands.append(command.decode(errors="replace"))
        child = self._whole.start(command)
        self._whole.spawn(lambda: self._run(channel, child))
        return True

    def _run(self, channel: paramiko.Channel, child: subprocess.Popen[bytes]) -> None:
        def into() -> None:
            with suppress(OSError):
                while data := channel.recv(32768):
                    _write(child.stdin, data)
            with suppress(OSError):
                child.stdin and child.stdin.close()

        def out(pipe: Any, send: Callable[[bytes], Any]) -> None:
            with suppress(OSError, EOFError), pipe:
                while data := pipe.read1(32768):
                    send(data)

        pumps = [
            threading.Thread(target=out, args=each, daemon=True)
            for each in ((child.stdout, channel.sendall), (child.stderr, channel.sendall_stderr))
        ]
        self._whole.spawn(into)
        for pump in pumps:
            pump.start()
        for pump in pumps:
            pump.join()
        status = child.wait()
        with suppress(OSError, EOFError, paramiko.SSHException):
            if not self._whole.tells_ends.is_set():
                channel.shutdown_write()
                self._whole.tells_ends.wait(_STOP_SECONDS)
            if status >= 0:
                channel.send_exit_status(status)
            channel.close()
        self._open.discard(channel.get_id())

    def _to_unix(self, number: int) -> int:
        if self._whole.unix is None:
            return OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED
        there = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            there.connect(str(self._whole.unix))
        except OSError:
            there.close()
            return OPEN_FAILED_CONNECT_FAILED
        self._whole.spawn(lambda: self._relay(there, number))
        return OPEN_SUCCEEDED

    def _relay(self, there: socket.socket, number: int) -> None:
        channel = self._transport.accept(_STOP_SECONDS)
        while channel is not None and channel.get_id() != number:
            channel = self._transport.accept(_STOP_SECONDS)
        if channel is None:
            there.close()
            return
        wire = channel

        def back() -> None:
            with suppress(OSError, EOFError):
                while data := there.recv(32768):
                    wire.sendall(data)
            with suppress(OSError, EOFError):  # whoever asked may be gone as a whole
                wire.close()

        self._whole.spawn(back)
        with suppress(OSError, EOFError), there:
            while data := wire.recv(32768):
                there.sendall(data)
            there.shutdown(socket.SHUT_RDWR)


def _write(pipe: Any, data: bytes) -> None:
    pipe.write(data)
    pipe.flush()
