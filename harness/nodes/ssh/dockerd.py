"""The docker SDK over a channel: what urllib3 needs of a socket, and nothing more, so that its time-outs and its streams work as over a real one."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import docker
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool
from urllib3.connection import HTTPConnection

from harness.core.errors import Unreachable
from harness.nodes import sdk
from harness.nodes.ssh.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Mapping

    from requests import PreparedRequest

_BASE = "http+docker://node"

Open = Callable[[float], Wire]
"""Opens a channel to the daemon within so many seconds. Raises `Unreachable`."""


def client(opened: Open, timeout: float) -> docker.DockerClient:
    """Return a client whose requests go through such channels, each wait in it bounded by `timeout` seconds. Raises `Unreachable` at once."""
    adapter = _Adapter(opened, timeout)
    # An address that the SDK accepts, and that nobody is asked at: it is replaced at once.
    made = sdk.client("http://127.0.0.1:1", timeout)
    made.api.timeout = timeout  # type: ignore[assignment] # the SDK hands it to requests, which takes parts of a second
    made.api.base_url = _BASE
    made.api.mount(_BASE, adapter)
    return made


class _Socket:
    """A channel as `http.client` uses a socket."""

    def __init__(self, wire: Wire, forget: Callable[[_Socket], None]) -> None:
        self.wire = wire
        self._forget = forget
        self._lock = threading.Lock()
        self._users = 1  # itself, and each file made of it, as with a real one

    def settimeout(self, seconds: float | None) -> None:
        """Bound each wait from now on."""
        self.wire.settimeout(seconds)

    def sendall(self, data: bytes) -> None:
        """Send all of it. Raises `OSError`."""
        rest = memoryview(data).cast("B")
        while rest:
            try:
                sent = self.wire.send(bytes(rest))
            except EOFError as e:
                raise ConnectionError("the connection to the node was lost") from e
            if not sent:
                raise ConnectionError("the channel to the daemon was closed")
            rest = rest[sent:]

    def recv_into(self, room: memoryview) -> int:
        """Read what there is. Raises `TimeoutError`, or `OSError`."""
        try:
            data = self.wire.recv(len(room))
        except EOFError as e:
            raise ConnectionError("the connection to the node was lost") from e
        room[: len(data)] = data
        return len(data)

    def makefile(self, _mode: str, *_args: Any, **_more: Any) -> io.BufferedReader:
        """Return a file to read from; the channel stays open until both are closed."""
        with self._lock:
            self._users += 1
        return io.BufferedReader(_Raw(self))

    @property
    def idle(self) -> bool:
        """Whether another request can be sent: the other side has neither closed it nor said anything."""
        return not (self.wire.closed or self.wire.eof_received or self.wire.recv_ready())

    def close(self) -> None:
        """Close it, once nobody reads from it any more."""
        with self._lock:
            self._users -= 1
            last = self._users == 0
        if last:
            self.end()

    def end(self) -> None:
        """Close it, whoever still reads. Twice is fine."""
        self._forget(self)
        self.wire.drop()


class _Raw(io.RawIOBase):
    """The reading side of a channel."""

    def __init__(self, sock: _Socket) -> None:
        super().__init__()
        self._sock = sock

    def readable(self) -> bool:
        """Whether it can be read: yes."""
        return True

    def readinto(self, room: Any) -> int:
        """Read what there is."""
        return self._sock.recv_into(memoryview(room).cast("B"))

    def close(self) -> None:
        """Let go of the channel."""
        if not self.closed:
            super().close()
            self._sock.close()


class _Connection(HTTPConnection):
    """A connection that is a channel."""

    def __init__(self, *args: Any, opened: Callable[[float], _Socket], seconds: float, **more: Any) -> None:
        super().__init__(*args, **more)
        self._opened = opened
        self._seconds = seconds

    def connect(self) -> None:
        """Open the channel. Raises `ConnectionError`."""
        seconds = self.timeout if isinstance(self.timeout, int | float) else self._seconds
        try:
            sock = self._opened(seconds)
        except Unreachable as e:
            raise ConnectionError(e.saw) from e
        sock.settimeout(seconds)
        self.sock: Any = sock

    @property
    def is_connected(self) -> bool:
        """Whether it can be used again."""
        return isinstance(self.sock, _Socket) and self.sock.idle


class _Pool(HTTPConnectionPool):
    """All connections of one client."""

    def __init__(self, opened: Callable[[float], _Socket], seconds: float) -> None:
        super().__init__("node", timeout=seconds, maxsize=10)
        self._opened = opened
        self._seconds = seconds

    def _new_conn(self) -> _Connection:
        return _Connection("node", timeout=self.timeout.connect_timeout, opened=self._opened, seconds=self._seconds)


class _Adapter(HTTPAdapter):
    """What requests asks for connections."""

    def __init__(self, opened: Open, seconds: float) -> None:
        self._opened = opened
        self._lock = threading.Lock()
        self._live: set[_Socket] = set()
        # Opened here, so that a daemon that is not there is found out at once; the first request takes it.
        self._ready: _Socket | None = self._wrapped(opened(seconds))
        self._pool = _Pool(self._open, seconds)
        super().__init__()

    def get_connection_with_tls_context(self, *_args: Any, **_more: Any) -> HTTPConnectionPool:
        """Return the one pool there is."""
        return self._pool

    def request_url(self, request: PreparedRequest, proxies: Mapping[str, str] | None) -> str:  # noqa: ARG002 - requests' own signature
        """Return the path: the daemon's socket has no host."""
        return request.path_url

    def close(self) -> None:
        """Close all channels, also those that somebody still reads. Twice is fine."""
        super().close()
        self._pool.close()
        with self._lock:
            live = list(self._live)
        for sock in live:
            with suppress(OSError):
                sock.end()

    def _open(self, seconds: float) -> _Socket:
        with self._lock:
            ready, self._ready = self._ready, None
        if ready is not None and ready.idle:
            return ready
        return self._wrapped(self._opened(seconds))

    def _wrapped(self, wire: Wire) -> _Socket:
        sock = _Socket(wire, self._gone)
        with self._lock:
            self._live.add(sock)
        return sock

    def _gone(self, sock: _Socket) -> None:
        with self._lock:
            self._live.discard(sock)
