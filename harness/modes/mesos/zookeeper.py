"""ZooKeeper as a client sees it: what a member says of itself in a four-letter word, and values by key, through one member.

Every request has a bound on the whole of it, and nothing is tried again. What went wrong is one of two kinds, because a checker must know whether
an unanswered write may be there: `NotDone` (no session, so that nothing was sent, or ZooKeeper says that it did not do it) or `InDoubt`.
"""

from __future__ import annotations

import dataclasses
import itertools
import select
import struct
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import quote, unquote

from harness import tcp
from harness.core import stops
from harness.core.clock import Clock, Deadline, SystemClock
from harness.core.errors import InDoubt, NotDone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

CLIENT_PORT: Final = 2181
LARGEST: Final = 4 * 1024 * 1024
"""Bytes of an answer at most; ZooKeeper itself takes packets of 1 MiB (jute.maxbuffer)."""
SESSION_SECONDS: Final = 10.0
"""How long a session of ours outlives its last request; a connection that was idle for a third of it is made anew."""

LOOKING: Final = "looking"
_MODES: Final = {each: each for each in ("leader", "follower", "observer", "standalone")}

_IN_NONE: Final = "This ZooKeeper instance is not currently serving requests"
_WORD_BYTES: Final = 65536
_AT_ONCE: Final = 200
"""Keys that are read in one request."""
_CREATE, _DELETE, _GET, _SET, _CHILDREN, _MANY = 1, 2, 4, 5, 8, 22
_NO_NODE, _EXISTS, _NOT_EMPTY = -101, -110, -111
_ANY_VERSION: Final = struct.pack(">i", -1)
_REFUSED: Final = range(-199, -99)
"""Errors by which ZooKeeper says that it has not done what was asked (KeeperException.Code: those below -100 are of the API)."""
_EXPIRED: Final = frozenset({-112, -118})
"""Of those, what it says of a session that has ended, or moved: of what was asked within it nothing follows."""
_NAMES: Final = {-102: "not authorized", _NO_NODE: "no such node", -112: "the session has expired", -118: "the session has moved"}
_ANYBODY: Final = struct.pack(">ii", 1, 31)
_HEADER: Final = struct.Struct(">iqi")
_PART: Final = struct.Struct(">ibi")
"""What stands before each of many requests in one: its kind, whether it was the last, an error."""
_STAT_BYTES: Final = 68

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Saying:
    """What a member says of itself, by ``srvr``."""

    mode: str  # leader, follower, standalone, observer; `LOOKING` of one that is in no quorum
    epoch: int  # of the last change that it has applied: each leader has one of its own

    @property
    def leads(self) -> bool:
        """Whether it says that it leads; one that is alone does."""
        return self.mode in {"leader", "standalone"}


def saying(address: str, timeout: float, port: int = CLIENT_PORT, clock: Clock | None = None) -> Saying:
    """Ask a member for ``srvr``, which every ZooKeeper answers. Raises `NotDone` or `InDoubt`."""
    said = four_letters("srvr", address, timeout, port, clock)
    if said.startswith(_IN_NONE):
        return Saying(LOOKING, 0)
    told = {name: value for name, _, value in (line.partition(": ") for line in said.splitlines())}
    try:
        found = Saying(_MODES[told["Mode"].strip()], int(told["Zxid"], 16) >> 32)
    except (KeyError, ValueError) as e:
        raise InDoubt(f"ZooKeeper at {address}, srvr: expected its mode and its last change, saw {said[:120]!r}") from e
    return dataclasses.replace(found, epoch=max(found.epoch, 1)) if found.mode == "standalone" else found


def four_letters(word: str, address: str, timeout: float, port: int = CLIENT_PORT, clock: Clock | None = None) -> str:
    """Say a four-letter word to a member, and return all that it answers. Raises `NotDone` or `InDoubt`."""
    stops.go_on()
    deadline = Deadline(clock or SystemClock(), timeout)
    where = f"ZooKeeper at {address}, {word}"
    with tcp.connected(address, port, deadline, where) as link:
        said = bytearray()
        try:
            link.sendall(word.encode())
            while piece := tcp.some(link, deadline):
                said += piece
                if len(said) > _WORD_BYTES:
                    raise InDoubt(f"{where}: an answer of more than {_WORD_BYTES} bytes")
        except OSError as e:
            raise InDoubt(f"{where}: {tcp.words(e, timeout)}") from e
    return said.decode(errors="replace")


class Znodes:
    """Values by key, through one member; see `harness.core.protocols.Store`. `timeout` bounds each call as a whole, in seconds. For one thread.

    A key is one node below `base`. ZooKeeper answers reads from the memory of the member that is asked, which may be behind, and its own ``sync`` is
    answered by a leader that may not know yet that it leads no more (ZOOKEEPER-2136). So before every read a write of our own must have gone through
    the same session: what was acknowledged before is then there.
    """

    def __init__(self, address: str, base: str, timeout: float, port: int = CLIENT_PORT, clock: Clock | None = None) -> None:
        self._where = f"ZooKeeper at {address}"
        self._address = address
        self._port = port
        self._folders = list(itertools.accumulate(f"/{quote(each, safe='')}" for each in base.strip("/").split("/")))
        self._timeout = timeout
        self._clock = clock or SystemClock()
        self._session: _Session | None = None

    def put(self, key: str, value: str) -> None:
        """Write a key. When this returns a majority has it. Raises `NotDone` or `InDoubt`."""
        deadline = Deadline(self._clock, self._timeout)
        session = self._open(deadline)
        path, data = _text(self._path(key)), _buffer(value.encode())
        made = self._asked(session, _CREATE, path + data + _open_to_all(), deadline, bears=(_EXISTS, _NO_NODE))
        if made.error == _NO_NODE:
            self._barrier(session, deadline)
            made = self._asked(session, _CREATE, path + data + _open_to_all(), deadline, bears=(_EXISTS,))
        if made.error == _EXISTS:
            self._asked(session, _SET, path + data + struct.pack(">i", -1), deadline)

    def get(self, key: str) -> str | None:
        """Read a key; None where there was none at some moment of the call. Raises `NotDone` or `InDoubt`."""
        deadline = Deadline(self._clock, self._timeout)
        session = self._open(deadline)
        self._barrier(session, deadline)
        found = self._asked(session, _GET, _text(self._path(key)) + b"\0", deadline, bears=(_NO_NODE,))
        return None if found.error else self._read(lambda: found.buffer().decode(errors="replace"))

    def prefix(self, prefix: str) -> Mapping[str, str]:
        """Read all keys that start so, after a write of our own: every write that was acknowledged before is in it. Raises `NotDone` or `InDoubt`."""
        deadline = Deadline(self._clock, self._timeout)
        session = self._open(deadline)
        self._barrier(session, deadline)
        listed = self._asked(session, _CHILDREN, _text(self._folders[-1]) + b"\0", deadline)
        keys = self._read(lambda: [key for each in listed.texts() if (key := unquote(each)).startswith(prefix)])
        found: dict[str, str] = {}
        for begin in range(0, len(keys), _AT_ONCE):
            some = sorted(keys)[begin : begin + _AT_ONCE]
            asked = b"".join(_PART.pack(_GET, 0, -1) + _text(self._path(each)) + b"\0" for each in some)
            answer = self._asked(session, _MANY, asked + _PART.pack(-1, 1, -1), deadline)
            values = self._read(lambda answer=answer: list(answer.many()))  # type: ignore[misc]  # a default binds it
            found |= {key: value.decode(errors="replace") for key, value in zip(some, values, strict=False) if value is not None}
        return found

    def clear(self) -> None:
        """Remove all keys, and the folders that are empty then; that nothing is there is fine. Raises `NotDone` or `InDoubt`."""
        deadline = Deadline(self._clock, self._timeout)
        session = self._open(deadline)
        while (listed := self._asked(session, _CHILDREN, _text(self._folders[-1]) + b"\0", deadline, bears=(_NO_NODE,))).error == 0:
            keys = self._read(lambda listed=listed: list(listed.texts()))  # type: ignore[misc]  # a default binds it
            for each in keys:
                self._asked(session, _DELETE, _text(f"{self._folders[-1]}/{each}") + _ANY_VERSION, deadline, bears=(_NO_NODE,))
            if not keys:
                break
        for folder in reversed(self._folders):
            if self._asked(session, _DELETE, _text(folder) + _ANY_VERSION, deadline, bears=(_NO_NODE, _NOT_EMPTY)).error == _NOT_EMPTY:
                return

    def close(self) -> None:
        """Let go of the connection; the session ends by itself. Twice is fine."""
        if self._session is not None:
            self._session.close()
            self._session = None

    def _path(self, key: str) -> str:
        return f"{self._folders[-1]}/{quote(key, safe='')}"

    def _barrier(self, session: _Session, deadline: Deadline) -> None:
        """Write something nobody needs, which a majority must take; the folder itself where it is not there."""
        base = _text(self._folders[-1]) + _buffer(b"")
        if not self._asked(session, _SET, base + struct.pack(">i", -1), deadline, bears=(_NO_NODE,)).error:
            return
        for each in self._folders:
            self._asked(session, _CREATE, _text(each) + _buffer(b"") + _open_to_all(), deadline, bears=(_EXISTS,))
        # Whoever made it meanwhile may not be seen here yet: this one is written here.
        self._asked(session, _SET, base + struct.pack(">i", -1), deadline)

    def _open(self, deadline: Deadline) -> _Session:
        """Return a session that stands. Raises `NotDone`: without one nothing is sent."""
        stops.go_on()
        if self._session is None or not self._session.usable():
            self.close()
            self._session = _Session(self._address, self._port, deadline, self._where)
        return self._session

    def _asked(self, session: _Session, kind: int, body: bytes, deadline: Deadline, bears: Sequence[int] = ()) -> _Reply:
        """Make one request. Raises `NotDone` or `InDoubt`, but for errors that the caller `bears`."""
        try:
            answer = session.ask(kind, body, deadline)
        except BaseException:
            self.close()
            raise
        if answer.error and answer.error not in bears:
            certain = answer.error in _REFUSED and answer.error not in _EXPIRED
            if not certain:
                self.close()
            said = _NAMES.get(answer.error, f"error {answer.error}")
            raise (NotDone if certain else InDoubt)(f"{self._where}: {said}")
        return answer

    def _read(self, read: Callable[[], T]) -> T:
        """Read an answer. Raises `InDoubt` for one of another shape than ZooKeeper's."""
        try:
            return read()
        except (struct.error, IndexError, ValueError) as e:
            self.close()
            raise InDoubt(f"{self._where}: an answer of another shape than ZooKeeper's") from e


class _Session:
    """A session with one member, on one connection. Raises `NotDone` where none is to be had."""

    def __init__(self, address: str, port: int, deadline: Deadline, where: str) -> None:
        self._clock = deadline.clock
        self._where = where
        self._xids = itertools.count(1)
        self._link = tcp.connected(address, port, deadline, where)
        weakref.finalize(self, self._link.close)  # a thread that has ended closes nothing
        asked = struct.pack(">iqiq", 0, 0, round(SESSION_SECONDS * 1000), 0) + _buffer(bytes(16)) + b"\0"
        try:
            self._send(asked, deadline)
            _, timeout, number = struct.unpack(">iiq", self._packet(deadline)[:16])
        except (OSError, struct.error, InDoubt) as e:
            self._link.close()
            why = tcp.words(e, deadline.seconds) if isinstance(e, OSError) else "an answer of another shape than ZooKeeper's"
            raise NotDone(f"{where}: no session: {why}") from e
        except BaseException:
            self._link.close()
            raise
        if timeout <= 0 or not number:
            self._link.close()
            raise NotDone(f"{where}: no session: it was refused")
        self._idle = timeout / 1000.0 / 3.0
        self._spoke = self._clock.now()

    def usable(self) -> bool:
        """Whether it stands, as far as is known here."""
        ready = select.poll()
        ready.register(self._link, select.POLLIN)
        return self._clock.now() - self._spoke < self._idle and not ready.poll(0)

    def ask(self, kind: int, body: bytes, deadline: Deadline) -> _Reply:
        """Make one request. Raises `InDoubt` where it has no good answer."""
        number = next(self._xids)
        try:
            self._send(struct.pack(">ii", number, kind) + body, deadline)
            answer = self._packet(deadline)
            told, _, error = _HEADER.unpack_from(answer)
        except OSError as e:
            raise InDoubt(f"{self._where}: {tcp.words(e, deadline.seconds)}") from e
        except struct.error as e:
            raise InDoubt(f"{self._where}: an answer of another shape than ZooKeeper's") from e
        if told != number:
            raise InDoubt(f"{self._where}: an answer to something else")
        self._spoke = self._clock.now()
        return _Reply(error, answer, _HEADER.size)

    def close(self) -> None:
        """Let go of the connection."""
        self._link.close()

    def _send(self, body: bytes, deadline: Deadline) -> None:
        tcp.send(self._link, _buffer(body), deadline)

    def _packet(self, deadline: Deadline) -> bytes:
        (length,) = struct.unpack(">i", tcp.exactly(self._link, 4, deadline))
        if not 0 <= length <= LARGEST:
            raise InDoubt(f"{self._where}: an answer of {length} bytes")
        return tcp.exactly(self._link, length, deadline)


@dataclass(slots=True)
class _Reply:
    """An answer that is read from its beginning. Raises `struct.error`, `IndexError` or `ValueError` where it ends too soon."""

    error: int
    body: bytes
    at: int

    def number(self) -> int:
        (found,) = struct.unpack_from(">i", self.body, self.at)
        self.at += 4
        return int(found)

    def buffer(self) -> bytes:
        length = self.number()
        if length > len(self.body) - self.at:
            raise ValueError("too short")
        begin, self.at = self.at, self.at + max(length, 0)
        return self.body[begin : self.at]

    def texts(self) -> Iterator[str]:
        for _ in range(self.number()):
            yield self.buffer().decode()

    def many(self) -> Iterator[bytes | None]:
        """Yield what is told of each of many keys: its value, or None."""
        while True:
            kind = self.number()
            done, self.at = self.body[self.at] != 0, self.at + 1
            self.number()
            if done:
                return
            if kind == _GET:
                value = self.buffer()
                self.at += _STAT_BYTES
                yield value
            else:
                self.number()
                yield None


def _buffer(raw: bytes) -> bytes:
    return struct.pack(">i", len(raw)) + raw


def _text(text: str) -> bytes:
    return _buffer(text.encode())


def _open_to_all() -> bytes:
    """Return what ends a request to create: everybody may do everything with it, and it is an ordinary node."""
    return _ANYBODY + _text("world") + _text("anyone") + struct.pack(">i", 0)
