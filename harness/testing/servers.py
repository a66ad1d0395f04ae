"""HTTP servers on loopback that misbehave as broken machines do: they hang, reset, tear their answers, or talk rubbish.

A double that only ever answers well would test nothing: each kind of trouble here is one that a client of the harness must tell from the others.
"""

from __future__ import annotations

import base64
import contextlib
import enum
import itertools
import json
import os
import socket
import struct
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable

_LONGEST_STOP = 5.0
_TRICKLE_SECONDS = 0.02
_MUCH = b" " * (1 << 18)
_ADDRESSES = itertools.count(1)


class ServerTrouble(enum.Enum):
    """What a server does instead of answering."""

    HANG = "takes the request and never answers"
    RESET = "takes the request and resets the connection"
    CLOSE = "takes the request and closes the connection"
    TORN = "promises more bytes than it sends, then closes the connection"
    STALL = "sends half of its answer and then nothing, the connection open"
    TRICKLE = "sends its answer byte by byte, without end"
    RUBBISH = "answers in no language that is HTTP"
    NUMBER = "says of a piece of its answer that it is less than nothing long"
    FLOOD = "says the same, and then sends without end"


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asked."""

    method: str
    path: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Response:
    """A whole HTTP answer."""

    status: int = 200
    body: bytes = b"{}"
    more: str = ""  # further lines of its head, each with its end


Behaviour = Response | ServerTrouble


class Server:
    """One HTTP server. `behave` is asked anew for each request and may be replaced at any time; `requests` holds all that came.

    Use it as a context manager: it is listening inside the block, and nothing of it is left after.
    """

    def __init__(self, behave: Callable[[Request], Behaviour], address: str = "127.0.0.1", port: int = 0) -> None:
        self.behave = behave
        self.requests: list[Request] = []
        self.connections = 0
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []
        self._open: list[socket.socket] = []
        self._lock = threading.Lock()
        self._listener = socket.create_server((address, port), backlog=64)
        self.address = address
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        """Listen."""
        self._spawn(self._accept)
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening and drop every connection, as the end of a process does. Twice is fine."""
        self._over.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            sockets, self._open = self._open, []
        for each in sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(_LONGEST_STOP)

    def _spawn(self, target: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._over.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self.connections += 1
                self._open.append(connection)
            self._spawn(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection, connection.makefile("rb") as reader:
            while not self._over.is_set():
                request = _read(reader)
                if request is None:
                    return
                self.requests.append(request)
                behaviour = self.behave(request)
                if isinstance(behaviour, ServerTrouble):
                    self._make(behaviour, connection)
                    return
                connection.sendall(_head(behaviour.status, len(behaviour.body), behaviour.more) + behaviour.body)

    def _make(self, trouble: ServerTrouble, connection: socket.socket) -> None:
        if trouble is ServerTrouble.RUBBISH:
            connection.sendall(b"\x15\x03\x01 I am no web server\r\n\r\n")
        elif trouble is ServerTrouble.NUMBER:
            connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n{}\r\n0\r\n\r\n")
        elif trouble is ServerTrouble.FLOOD:
            connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n")
            while not self._over.is_set():
                connection.sendall(_MUCH)
        elif trouble in {ServerTrouble.TORN, ServerTrouble.STALL}:
            connection.sendall(self._begun(1000) + b'{"half": ')
        elif trouble is ServerTrouble.RESET:
            # With a linger time of zero a close is a reset.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if trouble in {ServerTrouble.HANG, ServerTrouble.STALL}:
            self._over.wait()
        if trouble is ServerTrouble.TRICKLE:
            connection.sendall(self._begun(1_000_000))
            while not self._over.wait(_TRICKLE_SECONDS):
                connection.sendall(b" ")

    def _begun(self, length: int) -> bytes:
        """Return how an answer begins that promises so many bytes."""
        return _head(200, length)


class RedisServer(Server):
    """A Redis: SET, GET and MGET over RESP 2, over a store that may be shared with others. `trouble` makes each request go wrong: by those bytes."""

    def __init__(self, address: str = "127.0.0.1", port: int = 0, store: dict[bytes, bytes] | None = None) -> None:
        super().__init__(lambda _: Response(), address, port)
        self.store: dict[bytes, bytes] = {} if store is None else store
        self.trouble: bytes | ServerTrouble | None = None

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection, connection.makefile("rb") as reader:
            while not self._over.is_set():
                words = _words(reader)
                if not words:
                    return
                if isinstance(self.trouble, ServerTrouble):
                    self._make(self.trouble, connection)
                    return
                connection.sendall(self.trouble or self._done(words))

    def _done(self, words: list[bytes]) -> bytes:
        command, *rest = words
        if command == b"SET":
            self.store[rest[0]] = rest[1]
            return b"+OK\r\n"
        told = [b"$-1\r\n" if (value := self.store.get(key)) is None else b"$%d\r\n%b\r\n" % (len(value), value) for key in rest]
        return told[0] if command == b"GET" else b"*%d\r\n%b" % (len(told), b"".join(told))

    def _begun(self, length: int) -> bytes:
        return b"$%d\r\n" % length


class EtcdServer(Server):
    """A member of an etcd of its own: the JSON gateway of etcd 3.4, over a store that may be shared with other members.

    `trouble` makes every request go wrong (with an `Response` for a status that is no 200); a write is stored all the same if `commits` is set, as
    a real one may be. `term`, `member_id` and `leader_id` are what it says of itself, `members` who it says there are.
    """

    def __init__(self, address: str = "127.0.0.1", port: int = 0, store: dict[str, str] | None = None) -> None:
        super().__init__(self._etcd, address, port)
        self.store: dict[str, str] = {} if store is None else store
        self.trouble: Behaviour | None = None
        self.commits = False
        self.term = 2
        self.member_id = 1
        self.leader_id = 1
        self.members: dict[int, str] = {1: "n1"}

    def _etcd(self, request: Request) -> Behaviour:
        asked = json.loads(request.body or b"{}")
        path = request.path.removeprefix("/v3/")
        if path == "kv/put" and (self.trouble is None or self.commits):
            self.store[_text(asked["key"])] = _text(asked["value"])
        if self.trouble is not None:
            return self.trouble
        # As the gateway has it: 64-bit numbers are strings, and what is zero or empty is left out.
        header = {"cluster_id": "7", "member_id": str(self.member_id), "revision": "9", "raft_term": str(self.term)}
        body: dict[str, Any] = {"header": header}
        if path == "kv/range":
            body |= self._range(asked)
        elif path == "/debug/vars":
            leads = self.leader_id == self.member_id
            raft = {"id": f"{self.member_id:x}", "term": self.term, "lead": f"{self.leader_id:x}", "commit": 40, "applied": 40}
            return Response(200, _expvar({"raft.status": {**raft, "raftState": "StateLeader" if leads else "StateFollower"}}))
        elif path == "cluster/member/list":
            body["members"] = [{"ID": str(number)} | ({"name": name} if name else {}) for number, name in self.members.items()]
        elif path == "kv/deleterange":
            for each in self._within(asked):
                del self.store[each]
        elif path != "kv/put":
            return Response(404, b"404 page not found\n")
        return Response(200, json.dumps(body).encode())

    def _range(self, asked: dict[str, str]) -> dict[str, Any]:
        found = self._within(asked)
        if not found:
            return {}
        return {"kvs": [{"key": _b64(key), "value": _b64(self.store[key])} for key in found], "count": str(len(found))}

    def _within(self, asked: dict[str, str]) -> list[str]:
        first = _text(asked["key"])
        end = _text(asked["range_end"]) if "range_end" in asked else first + "\0"
        return sorted(key for key in self.store if first <= key < end)


def loopback() -> str:
    """Return a loopback address that nothing else on this machine is likely to use: a port of one's choice is free there."""
    return f"127.{64 + os.getpid() % 128}.{os.getpid() // 128 % 250}.{next(_ADDRESSES) % 250 + 1}"


def closed_port(address: str = "127.0.0.1") -> int:
    """Return a port on which nothing listens: a connection is refused."""
    with socket.create_server((address, 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def _read(reader: Any) -> Request | None:
    """Read one request; None at the end of the connection."""
    first = reader.readline().split()
    if len(first) < 2:  # noqa: PLR2004 - method and path
        return None
    length = 0
    while (line := reader.readline().strip()) != b"":
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    return Request(first[0].decode(), first[1].decode(), reader.read(length))


def _words(reader: Any) -> list[bytes]:
    """Read one command of Redis's; nothing at the end of the connection."""
    count = reader.readline().strip()
    return [reader.read(int(reader.readline().strip()[1:]) + 2)[:-2] for _ in range(int(count[1:] or b"0"))]


def _head(status: int, length: int, more: str = "") -> bytes:
    return f"HTTP/1.1 {status} Whatever\r\nContent-Type: application/json\r\n{more}Content-Length: {length}\r\n\r\n".encode()


def _b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _expvar(told: dict[str, Any]) -> bytes:
    """Give variables as Go's expvar does, a line each, among those that every program has."""
    every = {"cmdline": ["/usr/bin/etcd"], "memstats": {"Alloc": 1, "BySize": [{"Size": 8, "Mallocs": 3}]}, **told}
    return ("{\n" + ",\n".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in every.items()) + "\n}\n").encode()


def _text(encoded: str) -> str:
    return base64.b64decode(encoded).decode(errors="surrogateescape")
