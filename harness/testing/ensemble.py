"""A member of ZooKeeper on loopback that answers four-letter words and keeps values, and misbehaves as broken machines do."""

from __future__ import annotations

import contextlib
import socket
import struct
from typing import TYPE_CHECKING

from harness.testing.servers import Response, Server, ServerTrouble

if TYPE_CHECKING:
    from collections.abc import Iterator

_CREATE, _DELETE, _GET, _SET, _CHILDREN, _MANY = 1, 2, 4, 5, 8, 22
_NO_NODE, _EXISTS, _NOT_EMPTY = -101, -110, -111
_STAT = bytes(68)


class ZooKeeperServer(Server):
    """A member of an ensemble of its own, over nodes that may be shared with other members.

    `trouble` makes everything go wrong, `late` only what is asked within a session; `refusal` is an error with which each such request is answered.
    `mode` and `epoch` are what it says of itself.
    """

    def __init__(self, address: str = "127.0.0.1", port: int = 0, nodes: dict[str, bytes] | None = None) -> None:
        super().__init__(lambda _: Response(404), address, port)
        self.nodes: dict[str, bytes] = {} if nodes is None else nodes
        self.trouble: ServerTrouble | None = None
        self.late: ServerTrouble | None = None
        self.refusal = 0
        self.mode = "leader"
        self.epoch = 2
        self.writes = 0

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, EOFError), connection:
            if self.trouble is not None:
                connection.recv(4)
                self._make(self.trouble, connection)
                return
            begin = _exactly(connection, 4)
            if begin.isalpha():
                connection.sendall(self._word())
                return
            _exactly(connection, *struct.unpack(">i", begin))
            connection.sendall(_buffer(struct.pack(">iiq", 0, 10_000, 7) + _buffer(bytes(16)) + b"\0"))
            while not self._over.is_set():
                body = _exactly(connection, *struct.unpack(">i", _exactly(connection, 4)))
                if (wrong := self.trouble or self.late) is not None:
                    self._make(wrong, connection)
                    return
                number, kind = struct.unpack(">ii", body[:8])
                error, answer = (self.refusal, b"") if self.refusal else self._answer(kind, body[8:])
                connection.sendall(_buffer(struct.pack(">iqi", number, self.epoch << 32, error) + answer))

    def _word(self) -> bytes:
        if self.mode == "looking":
            return b"This ZooKeeper instance is not currently serving requests\n"
        return f"Zookeeper version: 3.8.0\nZxid: {self.epoch << 32 | 5:#x}\nMode: {self.mode}\nNode count: {len(self.nodes)}\n".encode()

    def _answer(self, kind: int, body: bytes) -> tuple[int, bytes]:
        if kind == _MANY:
            return 0, b"".join(self._many(body)) + struct.pack(">ibi", -1, 1, -1)
        path, rest = _taken(body)
        name = path.decode()
        if kind == _CREATE:
            above = name.rpartition("/")[0]
            error = _EXISTS if name in self.nodes else _NO_NODE if above and above not in self.nodes else 0
        else:
            error = 0 if name in self.nodes else _NO_NODE
        if kind == _DELETE and not error:
            error = _NOT_EMPTY if any(each.startswith(f"{name}/") for each in self.nodes) else 0
        if error:
            return error, b""
        return 0, self._done(kind, name, rest)

    def _done(self, kind: int, name: str, rest: bytes) -> bytes:
        if kind == _DELETE:
            del self.nodes[name]
            return b""
        if kind in {_CREATE, _SET}:
            self.nodes[name], self.writes = _taken(rest)[0], self.writes + 1
            return _buffer(name.encode()) if kind == _CREATE else _STAT
        if kind == _GET:
            return _buffer(self.nodes[name]) + _STAT
        children = [each.rpartition("/")[2] for each in self.nodes if each.rpartition("/")[0] == name]
        return struct.pack(">i", len(children)) + b"".join(_buffer(each.encode()) for each in children)

    def _many(self, body: bytes) -> Iterator[bytes]:
        while struct.unpack(">i", body[:4])[0] == _GET:
            path, rest = _taken(body[9:])
            body = rest[1:]
            found = self.nodes.get(path.decode())
            yield (
                struct.pack(">ibii", -1, 0, _NO_NODE, _NO_NODE)
                if found is None
                else struct.pack(">ibi", _GET, 0, 0) + _buffer(found) + _STAT
            )


def _exactly(connection: socket.socket, count: int) -> bytes:
    found = b""
    while len(found) < count:
        piece = connection.recv(count - len(found))
        if not piece:
            raise EOFError
        found += piece
    return found


def _buffer(raw: bytes) -> bytes:
    return struct.pack(">i", len(raw)) + raw


def _taken(body: bytes) -> tuple[bytes, bytes]:
    """Return the first buffer of a body, and what comes after it."""
    length = 4 + struct.unpack(">i", body[:4])[0]
    return body[4:length], body[length:]
