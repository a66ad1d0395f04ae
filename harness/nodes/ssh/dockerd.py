"""The Docker SDK over channels: each of its connections is one end of a socket pair, and a small relay copies between the other end and a channel."""

from __future__ import annotations

import selectors
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import docker
from paramiko import SSHException
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool
from urllib3.connection import HTTPConnection

from harness.core.errors import Unreachable
from harness.core.threads import CertainThread, NoThread
from harness.nodes import sdk
from harness.nodes.ssh.losing import Lost
from harness.nodes.ssh.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Mapping

    from requests import PreparedRequest

_BASE = "http+docker://node"
_PIECE = 65536  # bytes

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


class _Relay:
    """Copies both ways between a channel and a socket until either ends, and then ends both."""

    def __init__(self, wire: Wire) -> None:
        """Begin. Raises `OSError`, or `NoThread`."""
        self._wire = wire
        self._near, self.far = socket.socketpair()
        thread = CertainThread(target=self._copy, name="docker-relay")
        try:
            thread.start()
        except NoThread:
            self.end()
            self._near.close()
            raise

    @property
    def going(self) -> bool:
        """Whether the channel is open: the daemon may close it between two requests."""
        return not (self._wire.closed or self._wire.eof_received)

    def end(self) -> None:
        """End it, whoever still reads from it. Twice is fine."""
        self._wire.drop()
        with suppress(OSError):
            self._near.shutdown(socket.SHUT_RDWR)

    def _copy(self) -> None:
        near, wire = self._near, self._wire
        try:
            wire.settimeout(None)  # to send: the daemon answers a request once it has read it, so nothing is kept waiting by that
            with selectors.DefaultSelector() as ready:
                ready.register(near, selectors.EVENT_READ)
                ready.register(wire, selectors.EVENT_READ)
                while True:
                    for key, _ in ready.select():
                        if key.fileobj is near:
                            asked = near.recv(_PIECE)
                            if not asked:
                                return
                            wire.sendall(asked)
                        else:
                            answered, _ = wire.pull()  # what Docker's own relay complains of makes the channel ready, too
                            near.sendall(answered)
                    if not (self.going or wire.recv_ready()):
                        return
        except (OSError, EOFError, SSHException, Lost):
            pass  # one side is gone; what was cut off in the middle is the reader's to notice
        finally:
            self.end()
            near.close()


class _Connection(HTTPConnection):
    """A connection whose socket is a relay's."""

    def __init__(self, *args: Any, opened: Callable[[float], socket.socket], seconds: float, **more: Any) -> None:
        super().__init__(*args, **more)
        self._opened = opened
        self._seconds = seconds

    def _new_conn(self) -> socket.socket:
        """Open a channel. Raises `ConnectionError`."""
        seconds = self.timeout if isinstance(self.timeout, int | float) else self._seconds
        try:
            sock = self._opened(seconds)
        except Unreachable as e:
            raise ConnectionError(e.saw) from e
        sock.settimeout(seconds)
        return sock


class _Pool(HTTPConnectionPool):
    """All connections of one client."""

    def __init__(self, opened: Callable[[float], socket.socket], seconds: float) -> None:
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
        self._relays: list[_Relay] = []
        # Opened here, so that a daemon that is not there is found out at once; the first request takes it.
        self._first: _Relay | None = self._relayed(opened(seconds))
        self._pool = _Pool(self._open, seconds)
        super().__init__()

    def get_connection_with_tls_context(self, *_args: Any, **_more: Any) -> HTTPConnectionPool:
        """Return the one pool there is."""
        return self._pool

    def request_url(self, request: PreparedRequest, proxies: Mapping[str, str] | None) -> str:  # noqa: ARG002 - requests' own signature
        """Return the path: the daemon's socket has no host."""
        return request.path_url

    def close(self) -> None:
        """End all relays, also those that somebody still reads from. Twice is fine."""
        super().close()
        self._pool.close()
        with self._lock:
            relays, self._relays = self._relays, []
            first, self._first = self._first, None
        for relay in relays:
            relay.end()
        if first is not None:
            first.far.close()

    def _open(self, seconds: float) -> socket.socket:
        with self._lock:
            first, self._first = self._first, None
        relay = first if first is not None and first.going else self._relayed(self._opened(seconds))
        return relay.far

    def _relayed(self, wire: Wire) -> _Relay:
        try:
            relay = _Relay(wire)
        except BaseException:
            wire.drop()
            raise
        with self._lock:
            self._relays = [each for each in self._relays if each.going] + [relay]
        return relay
