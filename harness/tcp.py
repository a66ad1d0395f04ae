"""A TCP connection of which all reads of one exchange end at one point in time: for servers that speak no HTTP (for those see `harness.web`)."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from harness.core.errors import NotDone
from harness.core.figures import given

if TYPE_CHECKING:
    from harness.core.clock import Deadline

_PIECE: Final = 65536
_LEAST: Final = 0.001  # a timeout of 0 makes a socket not wait at all


def connected(address: str, port: int, deadline: Deadline, where: str) -> socket.socket:
    """Connect. Raises `NotDone`, which says `where`: nothing was sent."""
    try:
        link = socket.create_connection((address, port), max(deadline.left(), _LEAST))
    except OSError as e:
        raise NotDone(f"{where}: no connection: {words(e, deadline.seconds)}") from e
    with suppress(OSError):
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return link


def send(link: socket.socket, body: bytes, deadline: Deadline) -> None:
    """Send all of it. Raises `OSError`, also when the time is over."""
    link.settimeout(max(deadline.left(), _LEAST))
    link.sendall(body)


def some(link: socket.socket, deadline: Deadline, most: int = _PIECE) -> bytes:
    """Read some bytes; none at the end. Raises `OSError`, also when the time is over."""
    left = deadline.left()
    if left <= 0.0:
        raise TimeoutError("timed out")
    link.settimeout(left)
    return link.recv(most)


def exactly(link: socket.socket, count: int, deadline: Deadline) -> bytes:
    """Read so many bytes. Raises `OSError`, also when the time is over, or the other side ends before."""
    found = bytearray()
    while len(found) < count:
        piece = some(link, deadline, min(_PIECE, count - len(found)))
        if not piece:
            raise ConnectionError("it closed the connection")
        found += piece
    return bytes(found)


def words(error: OSError, seconds: float) -> str:
    """Say what went wrong, in words that do not change from one try to the next."""
    return f"no whole answer within {given(seconds)}" if isinstance(error, TimeoutError) else error.strerror or str(error)
