"""One HTTP server, asked with a bound on everything: connecting, the head and the body of its answer, all together.

Clients bound each read for itself, so a server that sends a byte now and then is waited for without end; here all reads of one exchange end at one
point in time. Two kinds of trouble are told apart, because a write must know: nothing was sent, or nobody can tell what became of it.

Made of `http.client` alone: some fifty questions a second are asked in a run, and with urllib3 each took three times as much of a processor.
"""

from __future__ import annotations

import http.client
import re
import select
import socket
import threading
import weakref
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.core import stops
from harness.core.clock import Clock, Deadline, SystemClock
from harness.core.errors import HarnessError
from harness.core.figures import given

if TYPE_CHECKING:
    from collections.abc import Mapping

LARGEST = 64 * 1024 * 1024
"""Bytes of an answer's body that are read at most. They are taken as they were sent: what a few packed ones unpack to has no bound."""

_PIECE = 1024 * 1024
"""Bytes of it that are read at a time."""

_LENGTH = re.compile(rb"[0-9]{1,18}")
_SIZE = re.compile(rb"[0-9A-Fa-f]{1,15}")
_LONGEST_LINE = 65536
"""Bytes of the line that says how long a piece of an answer is, at most."""

BY_WHAT_WAS_SENT = (ValueError, ArithmeticError, LookupError, EOFError)
"""What http.client and urllib3 let out beside errors of their own when a server sends numbers or texts that are none."""


class WebTrouble(HarnessError):
    """A server gave no answer. `words` say why, without where; the same trouble has the same words each time."""

    def __init__(self, where: str, words: str) -> None:
        super().__init__(f"{where}: {words}")
        self.where = where
        self.words = words


class NotSent(WebTrouble):
    """No connection could be made: the server has not seen the request."""


class NoAnswer(WebTrouble):
    """A connection was there, but no whole answer came: the server may or may not have done what was asked."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered, whatever its status."""

    status: int
    body: bytes
    location: str = ""  # where it sends whoever asked, as it says that


class _Socket(socket.socket):
    """A socket whose reads all end when the exchange under way must be over."""

    deadline: Deadline

    def recv_into(self, *args: Any, **more: Any) -> int:
        """Read, within what is left. Raises `TimeoutError`."""
        left = self.deadline.left()
        if left <= 0.0:
            raise TimeoutError("timed out")
        if stops.listens():
            for seconds in stops.slices(left, self.deadline.clock):
                self.settimeout(max(seconds, 0.001))
                with suppress(TimeoutError):
                    return super().recv_into(*args, **more)
            raise TimeoutError("timed out")
        self.settimeout(left)
        return super().recv_into(*args, **more)


class _Response(http.client.HTTPResponse):
    """An answer whose lengths are numbers: `http.client` itself takes whatever Python's `int` does, and a length below zero for no bound at all."""

    def begin(self) -> None:
        """Read the head. Raises `http.client.HTTPException` for a length that is none."""
        super().begin()
        for said in self.headers.get_all("content-length", []):
            if not _LENGTH.fullmatch(said.strip().encode("latin-1", "replace")):
                raise _NoLength(said)

    def _read_next_chunk_size(self) -> int:
        line = self.fp.readline(_LONGEST_LINE)
        if not line.endswith(b"\n"):
            raise http.client.IncompleteRead(b"")
        said = line.partition(b";")[0].strip()
        if not _SIZE.fullmatch(said):
            raise _NoLength(said.decode("latin-1"))
        return int(said, 16)


class _NoLength(http.client.HTTPException):
    """What stands where a length should."""

    def __init__(self, said: str) -> None:
        super().__init__(f"{said[:24]!r} is no length")


class _Connection(http.client.HTTPConnection):
    """A connection with such a socket, and such answers."""

    sock: _Socket | None
    response_class = _Response

    def open(self, deadline: Deadline) -> None:
        """Connect. Raises `OSError`."""
        plain = socket.create_connection((self.host, self.port), max(deadline.left(), 0.001))
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = _Socket(plain.family, plain.type, plain.proto, fileno=plain.detach())

    def usable(self) -> bool:
        """Whether it is open, and the other side has not ended it nor said anything that nobody asked for."""
        if self.sock is None:
            return False
        ready = select.poll()  # not `select`, which knows no descriptor above 1023
        ready.register(self.sock, select.POLLIN)
        return not ready.poll(0)


class Site:
    """A server at an address. Its connection is kept while all goes well, and dropped after any trouble. For one thread."""

    def __init__(self, address: str, port: int, clock: Clock | None = None) -> None:
        self.address = address
        self.port = port
        self._clock = clock or SystemClock()
        self._connection = _Connection(address, port)
        weakref.finalize(self, self._connection.close)  # a thread that has ended closes nothing

    def exchange(
        self,
        method: str,
        path: str,
        *,
        seconds: float,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        most: int | None = LARGEST,
    ) -> Answer:
        """Ask, and return whatever is answered within `seconds` in all. Raises `NotSent` or `NoAnswer`, never anything else for what the server does.

        The answer's body has `most` bytes at most; with None only the status is wanted, and a body of any length is read and dropped. Redirects are
        not followed.
        """
        stops.go_on()
        deadline = Deadline(self._clock, seconds)
        try:
            connection = self._connected(deadline)
        except OSError as e:
            raise NotSent(self._where(method, path), _unconnected(e, seconds)) from e
        try:
            connection.deadline = deadline
            connection.settimeout(max(deadline.left(), 0.001))
            self._connection.request(method, path, body, headers or {})
            with self._connection.getresponse() as response:
                content = bytearray()
                while piece := response.read1(_PIECE):  # one that is bounded, whatever length the server said
                    if most is None:
                        continue
                    content += piece
                    if len(content) > most:
                        raise NoAnswer(self._where(method, path), f"the answer is longer than {most} bytes")
                if response.length:
                    raise http.client.IncompleteRead(bytes(content), response.length)
                return Answer(response.status, bytes(content), response.headers.get("Location", ""))
        except (OSError, http.client.HTTPException, *BY_WHAT_WAS_SENT) as e:
            self.close()
            raise NoAnswer(self._where(method, path), _words(e, seconds)) from e
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Drop the connection; the next exchange makes a new one. Twice is fine."""
        self._connection.close()

    def _connected(self, deadline: Deadline) -> _Socket:
        """Return the socket of a connection, made anew where the kept one has ended. Raises `OSError`."""
        if not self._connection.usable():
            self._connection.close()
            self._connection.open(deadline)
        found = self._connection.sock
        if found is None:
            raise ConnectionError("no connection")
        return found

    def _where(self, method: str, path: str) -> str:
        return f"{method} http://{self.address}:{self.port}{path}"


class Connections(threading.local):
    """This thread's kept connections.

    A socket belongs to the network that its thread was in when it was opened, and clusters use the same addresses. So connections are never
    handed to another thread, and are dropped as soon as the thread speaks to another cluster.
    """

    def __init__(self) -> None:
        self.scope = ""
        self.sites: dict[tuple[str, int], Site] = {}

    def site(self, scope: str, address: str, port: int) -> Site:
        """Return the connection to one node of the cluster `scope`."""
        if scope != self.scope:
            for each in self.sites.values():
                each.close()
            self.scope, self.sites = scope, {}
        if (address, port) not in self.sites:
            self.sites[address, port] = Site(address, port)
        return self.sites[address, port]


def _unconnected(error: OSError, seconds: float) -> str:
    """Say why there is no connection, in words that do not change from one try to the next."""
    if isinstance(error, TimeoutError):
        return f"no connection within {given(seconds)}"
    return f"no connection: {error.strerror or error}"


def _words(error: Exception, seconds: float) -> str:
    """Say what went wrong with an answer, in such words."""
    if isinstance(error, TimeoutError):
        return f"no whole answer within {given(seconds)}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"{type(error).__name__}: {error}"[:200]
