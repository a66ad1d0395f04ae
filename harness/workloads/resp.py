"""Redis as a client sees it: SET, GET and MGET over its protocol (RESP 2), on one connection to one server.

Every request has a bound on the whole of it, and nothing is tried again. What went wrong is one of two kinds, because a checker must know whether
an unanswered write may be there: `NotDone` (no connection, so that nothing was sent, or Redis refused it: `_REFUSALS`) or `InDoubt`.
"""

from __future__ import annotations

import select
import weakref
from typing import TYPE_CHECKING, Final, TypeAlias

from harness import tcp
from harness.core import stops
from harness.core.errors import InDoubt, NotDone, gist
from harness.core.figures import given

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    from harness.core.clock import Deadline

LARGEST: Final = 1024 * 1024
"""Bytes of an answer at most: what is read back was written here, and is short."""
_END: Final = b"\r\n"
_REFUSALS: Final = frozenset(
    "BUSY CLUSTERDOWN DENIED LOADING MASTERDOWN MISCONF MOVED NOAUTH NOPERM NOREPLICAS OOM READONLY WRONGTYPE".split()  # noqa: SIM905
)
"""What Redis says before it does anything. Any other error may be of somebody before it, such as a proxy that waited in vain (-ERR, and others)."""

Said: TypeAlias = "bytes | int | None | list[Said] | _Refusal"


class _Refusal(str):
    """What Redis says of a command that it did not carry out."""

    __slots__ = ()


class _NoRedis(ValueError):
    """An answer of another shape than Redis's."""


class RedisConnection:
    """Values by key at one address. For one thread.

    The connection is kept while all goes well, and dropped after any trouble: a late answer is never taken for that to another question.
    """

    def __init__(self, address: str, port: int) -> None:
        self._where = f"Redis at {address}:{port}"
        self._address = address
        self._port = port
        self._link: _Link | None = None

    def connect(self, deadline: Deadline) -> None:
        """Make a connection, where there is none that stands. Raises `NotDone`: nothing was sent."""
        stops.go_on()
        if self._link is None or not self._link.usable():
            self.close()
            self._link = _Link(tcp.connected(self._address, self._port, deadline, self._where))

    def put(self, key: str, value: str, deadline: Deadline) -> None:
        """Write a key. When this returns Redis has acknowledged it. Raises `NotDone` or `InDoubt`."""
        if (said := self._asked(deadline, "SET", key, value)) != b"OK":
            raise self._strange(said)

    def get(self, key: str, deadline: Deadline) -> str | None:
        """Read a key; None where there is none. Raises `NotDone` or `InDoubt`."""
        return self._text(self._asked(deadline, "GET", key))

    def many(self, keys: Sequence[str], deadline: Deadline) -> list[str | None]:
        """Read some keys, one at least, at one moment, in their order. Raises `NotDone` or `InDoubt`."""
        said = self._asked(deadline, "MGET", *keys)
        if not isinstance(said, list) or len(said) != len(keys):
            raise self._strange(said)
        return [self._text(each) for each in said]

    def close(self) -> None:
        """Let go of the connection. Twice is fine."""
        if self._link is not None:
            self._link.close()
            self._link = None

    def _asked(self, deadline: Deadline, *words: str) -> Said:
        """Make one request on the connection that stands. Raises `NotDone` or `InDoubt`."""
        if self._link is None:
            raise NotDone(f"{self._where}: no connection")
        try:
            said = self._link.ask(words, deadline)
        except (OSError, _NoRedis) as e:
            self.close()
            why = tcp.words(e, deadline.seconds) if isinstance(e, OSError) else str(e)
            raise InDoubt(f"{self._where}: {why}") from e
        except BaseException:
            self.close()
            raise
        if isinstance(said, _Refusal):
            raise (NotDone if said.partition(" ")[0] in _REFUSALS else InDoubt)(f"{self._where}: {gist(said)}")
        return said

    def _text(self, said: Said) -> str | None:
        if said is None:
            return None
        if not isinstance(said, bytes):
            raise self._strange(said)
        return said.decode(errors="replace")

    def _strange(self, said: Said) -> InDoubt:
        self.close()
        return InDoubt(f"{self._where}: an answer to something else: {gist(repr(said))}")


class _Link:
    """One connection."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._read = bytearray()
        self._budget = LARGEST
        weakref.finalize(self, link.close)  # a thread that has ended closes nothing

    def usable(self) -> bool:
        """Whether the other side has not ended it nor said anything that nobody asked for."""
        ready = select.poll()
        ready.register(self._link, select.POLLIN)
        return not self._read and not ready.poll(0)

    def ask(self, words: Sequence[str], deadline: Deadline) -> Said:
        """Make one request. Raises `OSError` or `_NoRedis`."""
        asked = [each.encode() for each in words]
        body = b"".join(b"$%d\r\n%b\r\n" % (len(each), each) for each in asked)
        self._budget = LARGEST
        tcp.send(self._link, b"*%d\r\n%b" % (len(asked), body), deadline)
        return self._answer(deadline, most=len(asked))

    def close(self) -> None:
        """Let go of it."""
        self._link.close()

    def _answer(self, deadline: Deadline, most: int) -> Said:
        """Read one answer; a list of `most` parts at most, which are no lists themselves."""
        kind, rest = self._line(deadline)
        match kind:
            case b"+":
                return rest
            case b"-":
                return _Refusal(rest.decode(errors="replace"))
            case b":":
                return _number(rest, -(1 << 63))
            case b"$":
                length = _number(rest, -1)
                if length < 0:
                    return None
                body = self._exactly(length + len(_END), deadline)
                if not body.endswith(_END):
                    raise _NoRedis("an answer of another shape than Redis's")
                return body[: -len(_END)]
            case b"*" if most and (parts := _number(rest, -1)) <= most:
                return None if parts < 0 else [self._answer(deadline, most=0) for _ in range(parts)]
            case _:
                raise _NoRedis("an answer of another shape than Redis's")

    def _line(self, deadline: Deadline) -> tuple[bytes, bytes]:
        while (end := self._read.find(_END)) < 0:
            self._more(deadline)
        line = bytes(self._read[:end])
        del self._read[: end + len(_END)]
        return line[:1], line[1:]

    def _exactly(self, count: int, deadline: Deadline) -> bytes:
        if count > LARGEST:
            raise _NoRedis(f"an answer of {given(count)} bytes")
        while len(self._read) < count:
            self._more(deadline)
        found = bytes(self._read[:count])
        del self._read[:count]
        return found

    def _more(self, deadline: Deadline) -> None:
        piece = tcp.some(self._link, deadline)
        if not piece:
            raise ConnectionError("it closed the connection")
        self._budget -= len(piece)
        if self._budget < 0:
            raise _NoRedis(f"an answer of more than {LARGEST} bytes")
        self._read += piece


def _number(said: bytes, least: int) -> int:
    """Read a whole number. Raises `_NoRedis`."""
    digits = said.removeprefix(b"-")
    if not (0 < len(digits) < 20 and digits.isdigit()) or (found := int(said)) < least:  # noqa: PLR2004 - as many as 64 bits have
        raise _NoRedis("an answer of another shape than Redis's")
    return found
