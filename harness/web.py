"""One HTTP server, asked with a bound on everything: connecting, the head and the body of its answer, all together.

`urllib3` bounds each read for itself, so a server that sends a byte now and then is waited for without end; here all reads of one exchange end
at one point in time. Two kinds of trouble are told apart, because a write must know: nothing was sent, or nobody can tell what became of it.
"""

from __future__ import annotations

import http.client
import socket
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from urllib3 import HTTPConnectionPool, Timeout
from urllib3.connection import HTTPConnection
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, ReadTimeoutError

from harness.core import stops
from harness.core.clock import Clock, Deadline, SystemClock
from harness.core.errors import HarnessError
from harness.core.figures import given

if TYPE_CHECKING:
    from collections.abc import Mapping

LARGEST = 64 * 1024 * 1024
"""Bytes of an answer's body that are read at most."""

_PIECE = 1024 * 1024
"""Bytes of it that are read at a time."""

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


class _Bound:
    """When the exchange under way must be over. Shared by a site and its connection."""

    deadline: Deadline | None = None


class _Socket(socket.socket):
    """A socket whose reads all end when its bound does."""

    bound: _Bound

    def recv_into(self, *args: Any, **more: Any) -> int:
        """Read, within what is left. Raises `TimeoutError`."""
        if self.bound.deadline is not None:
            left = self.bound.deadline.left()
            if left <= 0.0:
                raise TimeoutError("timed out")
            if stops.listens():
                for seconds in stops.slices(left, self.bound.deadline.clock):
                    self.settimeout(max(seconds, 0.001))
                    with suppress(TimeoutError):
                        return super().recv_into(*args, **more)
                raise TimeoutError("timed out")
            self.settimeout(left)
        return super().recv_into(*args, **more)


class _Connection(HTTPConnection):
    """A connection with such a socket."""

    def __init__(self, *args: Any, bound: _Bound, **more: Any) -> None:
        super().__init__(*args, **more)
        self._bound = bound

    def connect(self) -> None:
        """Connect, and bound all reads from then on."""
        super().connect()
        plain: socket.socket = self.sock
        timeout = plain.gettimeout()
        bounded = _Socket(plain.family, plain.type, plain.proto, fileno=plain.detach())
        bounded.settimeout(timeout)
        bounded.bound = self._bound
        self.sock = bounded


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class Site:
    """A server at an address. Its connection is kept while all goes well, and dropped after any trouble. For one thread."""

    def __init__(self, address: str, port: int, clock: Clock | None = None) -> None:
        self.address = address
        self.port = port
        self._clock = clock or SystemClock()
        self._bound = _Bound()
        self._pool = _Pool(address, port, maxsize=1, retries=False, bound=self._bound)

    def exchange(
        self, method: str, path: str, *, seconds: float, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Ask, and return whatever is answered within `seconds` in all. Raises `NotSent` or `NoAnswer`, never anything else for what the server does.

        Redirects are not followed.
        """
        stops.go_on()
        self._bound.deadline = Deadline(self._clock, seconds)
        try:
            response = self._pool.urlopen(
                method,
                path,
                body=body,
                headers=headers,
                retries=False,
                redirect=False,
                timeout=Timeout(total=max(seconds, 0.001)),
                preload_content=False,
            )
            content = bytearray()
            # As it was sent: nobody was asked to compress it, and what a few bytes unpack to has no bound. A torn one is found out at its end.
            while piece := response.read(_PIECE, decode_content=False):
                content += piece
                if len(content) > LARGEST:
                    raise NoAnswer(self._where(method, path), f"the answer is longer than {LARGEST} bytes")
            response.release_conn()
            return Answer(response.status, bytes(content))
        except (ConnectTimeoutError, NewConnectionError) as e:
            raise NotSent(self._where(method, path), _words(e, seconds)) from e
        except (HTTPError, OSError, http.client.HTTPException, *BY_WHAT_WAS_SENT) as e:
            self.close()
            raise NoAnswer(self._where(method, path), _words(e, seconds)) from e
        except NoAnswer:
            self.close()
            raise

    def close(self) -> None:
        """Drop the connection; the next exchange makes a new one. Twice is fine."""
        self._pool.close()
        self._pool = _Pool(self.address, self.port, maxsize=1, retries=False, bound=self._bound)

    def _where(self, method: str, path: str) -> str:
        return f"{method} http://{self.address}:{self.port}{path}"


def _words(error: Exception, seconds: float) -> str:
    """Say what went wrong in words that do not change from one try to the next (library texts hold object addresses)."""
    if isinstance(error, NewConnectionError):
        cause = error.__cause__
        return f"no connection: {cause.strerror or cause}" if isinstance(cause, OSError) else "no connection"
    if isinstance(error, ConnectTimeoutError):
        return f"no connection within {given(seconds)}"
    if isinstance(error, ReadTimeoutError | TimeoutError):
        return f"no whole answer within {given(seconds)}"
    causes: list[BaseException] = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) is not None and cause not in causes:
        causes.append(cause)
    if any(isinstance(each, TimeoutError) for each in causes):
        return f"no whole answer within {given(seconds)}"
    deepest = causes[-1]
    if isinstance(deepest, OSError) and deepest.strerror:
        return deepest.strerror
    return f"{type(deepest).__name__}: {deepest}"[:200]
