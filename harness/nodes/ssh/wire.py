"""paramiko's connection and channels, made such that nothing waits without an end: the small part of this package that knows their insides.

What paramiko lacks: a peer that says nothing is noticed (its own keepalive asks for no answer); a full socket blocks nobody but one thread of our
own (every sender would wait, holding the lock that all need); starting a command waits for no answer (its own wait has no bound); channels to a
Unix socket on the other side; each refusal reaches the one who asked.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar, cast

from paramiko import Channel, Message, SSHException, Transport
from paramiko.common import MSG_CHANNEL_OPEN, MSG_CHANNEL_REQUEST, MSG_CHANNEL_WINDOW_ADJUST, MSG_GLOBAL_REQUEST
from paramiko.packet import Packetizer

from harness.core.clock import Clock, Deadline
from harness.core.figures import given
from harness.core.threads import CertainThread
from harness.nodes.ssh.losing import Lost, Refused

if TYPE_CHECKING:
    import socket

    from paramiko.transport import ChannelMap

PING_SECONDS = 5.0
"""After how long without a word from the other side it is asked for one."""
DEAD_SECONDS = 12.0
"""After how long without a word the connection is given up: two questions went unanswered. It is noticed within 0.1 s of that."""

# Whoever sets up logging sees what paramiko says; without that it says nothing, where it would print its errors for want of a handler.
logging.getLogger("paramiko").addHandler(logging.NullHandler())


class Bell(threading.Event):
    """Rings when anything came in on a channel. A buffer that was emptied does not silence it: others may be full."""

    def clear(self) -> None:
        """Leave it ringing: see `hush`."""

    def hush(self) -> None:
        """Silence it, before looking at what has come."""
        super().clear()


class Wire(Channel):
    """One channel. Reading and writing never wait unless a time-out was set."""

    bell: Bell | None = None
    at_end: Callable[[], None] | None = None  # what `drop` does first, once

    def attach(self, transport: Link, window: int, packet: int) -> None:
        """Belong to a connection. Called under its lock."""
        self._set_transport(transport)
        self._set_window(window, packet)
        self.settimeout(0.0)

    def start(self, line: bytes) -> None:
        """Ask for a command to be run, without waiting for the word that it is: a refusal closes the channel."""
        request = _message(MSG_CHANNEL_REQUEST)
        request.add_int(self.remote_chanid)
        request.add_string("exec")
        request.add_byte(_ANSWER)
        request.add_string(line)
        cast("Link", self.transport).send(request)

    def ring(self, bell: Bell) -> None:
        """Ring a bell whenever something comes in or can be sent again, and at the end."""
        self.bell = bell
        self.in_buffer.set_event(bell)
        self.in_stderr_buffer.set_event(bell)

    def _window_adjust(self, m: Message) -> None:
        super()._window_adjust(m)  # type: ignore[misc] # paramiko's own, which its stubs leave out
        if self.bell is not None:
            self.bell.set()

    def push(self, data: memoryview) -> int:
        """Send as much as the other side takes now, and return how much that was. Raises `Lost`."""
        sent = 0
        while sent < len(data) and not self.closed:
            try:
                count = self.send(bytes(data[sent : sent + PIECE]))
            except TimeoutError:  # no window
                break
            except (OSError, EOFError, SSHException) as e:
                if self.closed and not isinstance(e, EOFError):
                    break
                raise Lost(str(e) or "the connection ended") from e
            if not count:
                break
            sent += count
        return sent

    def finish(self) -> None:
        """Say that no more is sent. Raises `Lost`."""
        try:
            self.shutdown_write()
        except (OSError, EOFError, SSHException) as e:
            raise Lost(str(e) or "the connection ended") from e

    def pull(self) -> tuple[bytes, bytes]:
        """Return what has come on its output and its error output. Raises `Lost`."""
        out = err = b""
        try:
            if self.recv_ready():
                out = self.recv(MOST)
            if self.recv_stderr_ready():
                err = self.recv_stderr(MOST)
        except (OSError, EOFError, SSHException) as e:
            raise Lost(str(e) or "the connection ended") from e
        return out, err

    def settle(self) -> None:
        """Wait until its exit status is there or never will be: the end of its output comes first. It ends with the connection, which is watched."""
        self.status_event.wait()

    def drop(self) -> None:
        """Close it, whatever state it is in. Twice is fine."""
        at_end, self.at_end = self.at_end, None
        if at_end is not None:
            at_end()
        with suppress(OSError, EOFError, SSHException):
            self.close()

    if TYPE_CHECKING:  # paramiko's own, which its stubs leave out

        def _set_transport(self, transport: Transport) -> None: ...
        def _set_window(self, window_size: int, max_packet_size: int) -> None: ...


PIECE = 32 * 1024
"""Bytes in one packet at most, as OpenSSH sends them."""
MOST = 1024 * 1024


class _Packets(Packetizer):
    """Packets over a socket, with an ear for silence. What the socket does not take at once is written by a thread of its own."""

    def __init__(self, sock: socket.socket, clock: Clock) -> None:
        super().__init__(sock)
        self._clock = clock
        self._heard = clock.now()
        self._asked = self._heard
        self._sock = sock
        self._out: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._left = 0  # how many pieces were left to the writer, and how many it has written: each is counted by one thread at a time
        self._written = 0
        self._broken = threading.Event()
        self.ping: Callable[[], None] | None = None  # set once the connection is up: before that every step has a bound of its own
        self.why = ""
        CertainThread(target=self._write, name="ssh-write").start()

    def write_all(self, out: Any) -> None:
        """Write, or leave it to the writer: what is not yet sent is bounded by the channels' windows. Raises `EOFError` once the connection is gone.

        Called under the packetizer's own lock.
        """
        if self._broken.is_set():
            raise EOFError
        rest = bytes(out)
        if self._left == self._written:  # else it would overtake what the writer has
            with suppress(TimeoutError):  # after a tenth of a second, paramiko's own time-out; what follows does not wait at all
                try:
                    rest = rest[self._sock.send(rest) :]
                except TimeoutError:
                    raise
                except OSError as e:
                    self.why = self.why or e.strerror or str(e)
                    self.close()
                    raise EOFError from e
        if rest:
            self._left += 1
            self._out.put(rest)

    def _write(self) -> None:
        try:
            while (out := self._out.get()) is not None:
                super().write_all(out)
                self._written += 1
        except Exception as e:  # noqa: BLE001 - whatever it is, the connection is of no use any more, and its reader says so
            self.why = self.why or str(e) or "it was closed while something was sent"
        finally:
            self._broken.set()
            super().close()

    def close(self) -> None:
        """Close the socket and end the writer."""
        self._broken.set()
        super().close()
        self._out.put(None)

    def read_message(self) -> tuple[int, Message]:
        """Read a packet: a sign of life."""
        read = super().read_message()
        self._heard = self._clock.now()
        return read

    def _check_keepalive(self) -> None:
        """Look at the silence. paramiko's reader calls this ten times a second while nothing comes. Raises `EOFError` when it has lasted too long."""
        if self.ping is None:
            return
        now = self._clock.now()
        if now - self._heard > DEAD_SECONDS:
            self.why = f"nothing was heard for {given(DEAD_SECONDS)}"
            raise EOFError(self.why)
        if now - max(self._heard, self._asked) > PING_SECONDS:
            self._asked = now
            self.ping()


class Link(Transport):
    """One connection, not yet checked nor authenticated: see `harness.nodes.ssh.connection`."""

    _channel_handler_table: ClassVar[dict[int, Any]] = {
        **cast("Any", Transport)._channel_handler_table,  # noqa: SLF001 - its handlers are functions of Channel, whatever the channel's class
        MSG_CHANNEL_WINDOW_ADJUST: Wire._window_adjust,  # noqa: SLF001 - same
    }

    def __init__(self, sock: socket.socket | Channel, clock: Clock) -> None:
        self._refusals: dict[int, Refused] = {}
        self._late: dict[int, Wire] = {}  # channels that nobody waits for any more, to be closed should they open after all
        self._clock = clock
        self.packets: _Packets | None = None

        def packets(sock: socket.socket) -> _Packets:
            self.packets = _Packets(sock, clock)
            return self.packets

        super().__init__(sock, packetizer_class=cast("type[Packetizer]", packets))

    @property
    def why(self) -> str:
        """Why it is gone, in words."""
        return (self.packets.why if self.packets else "") or "the connection was lost"

    def watch(self) -> None:
        """Ask for signs of life from now on, and give the connection up when there is none."""
        if self.packets is not None:
            self.packets.ping = self._ping

    def _ping(self) -> None:
        # In the middle of new keys nothing else may be said; that the other side then says nothing is noticed all the same.
        if self.clear_to_send.is_set():
            question = _message(MSG_GLOBAL_REQUEST)
            question.add_string("keepalive@openssh.com")
            question.add_byte(_ANSWER)
            self.packetizer.send_message(question)

    def send(self, message: Message) -> None:
        """Send a message. Raises `Lost`."""
        try:
            self._send_user_message(message)
        except (EOFError, OSError, SSHException) as e:
            raise Lost(self.why) from e

    def session(self, deadline: Deadline) -> Wire:
        """Open a channel for a command. Raises `Lost` or `Refused`."""
        return self._open("session", deadline)

    def unix(self, path: str, deadline: Deadline) -> Wire:
        """Open a channel to a Unix socket on the other side (OpenSSH's own extension, PROTOCOL 2.4). Raises `Lost` or `Refused`."""
        target = Message()
        target.add_string(path)
        target.add_string("")
        target.add_int(0)
        return self._open("direct-streamlocal@openssh.com", deadline, target.asbytes())

    def tcp(self, host: str, port: int, deadline: Deadline) -> Wire:
        """Open a channel to an address as seen from the other side. Raises `Lost` or `Refused`."""
        target = Message()
        target.add_string(host)
        target.add_int(port)
        target.add_string("127.0.0.1")
        target.add_int(0)
        return self._open("direct-tcpip", deadline, target.asbytes())

    def _open(self, kind: str, deadline: Deadline, target: bytes = b"") -> Wire:
        """Do as `Transport.open_channel`, with a target of our own, our own channels and our own waiting."""
        if not self.is_active():
            raise Lost(self.why)
        event = threading.Event()
        with self.lock:
            number = self._next_channel()
            wire = Wire(number)
            self._channels.put(number, wire)
            self.channel_events[number] = event
            self.channels_seen[number] = True
            wire.attach(self, self.default_window_size, self.default_max_packet_size)
        request = _message(MSG_CHANNEL_OPEN)
        request.add_string(kind)
        request.add_int(number)
        request.add_int(self.default_window_size)
        request.add_int(self.default_max_packet_size)
        request.add_bytes(target)
        self.send(request)
        try:
            came = self._clock.wait(event, deadline.left())
        except BaseException:
            self._late[number] = wire
            raise
        if not came:
            self._late[number] = wire
            if not event.is_set():
                raise Lost("it gives no answer")
            self._late.pop(number, None)
        if (refusal := self._refusals.pop(number, None)) is not None:
            raise refusal
        if not self.is_active():
            raise Lost(self.why)
        return wire

    def _parse_channel_open_success(self, m: Message) -> None:
        number = m.get_int()
        m.rewind()
        super()._parse_channel_open_success(m)  # type: ignore[misc] # paramiko's own, which its stubs leave out
        if (late := self._late.pop(number, None)) is not None:
            late.drop()

    def _parse_channel_open_failure(self, m: Message) -> None:
        number, code, words = m.get_int(), m.get_int(), m.get_text()
        self._refusals[number] = Refused(code, words)
        m.rewind()
        super()._parse_channel_open_failure(m)  # type: ignore[misc] # paramiko's own, which its stubs leave out

    def drop(self) -> None:
        """Close it, at once. Twice is fine."""
        # paramiko's timer for the handshake is a thread that would keep the process.
        self.packetizer.complete_handshake()
        with suppress(OSError, EOFError, SSHException):
            self.close()
        self.packetizer.close()
        self.sock.close()

    if TYPE_CHECKING:
        _channels: ChannelMap

        def _next_channel(self) -> int: ...
        def _send_user_message(self, data: Message) -> None: ...


_ANSWER = b"\x01"
"""The boolean that asks for an answer."""


def _message(kind: int) -> Message:
    message = Message()
    message.add_byte(bytes([kind]))
    return message
