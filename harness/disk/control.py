"""The disk's control socket: a line of JSON in, a line of JSON out, as often as the caller likes.

``{"get": true}`` and ``{"set": {"fsync": 2.0, "write": 0, "read": 0}}`` (seconds; what is left out is 0) are both answered with what holds now:
``{"latency": {"fsync": 2.0, "write": 0.0, "read": 0.0}, "operations": {"fsync": 17, "write": 40, "read": 3}}``.
Anything else is answered with ``{"error": "…"}`` and changes nothing.
"""

from __future__ import annotations

import json
import math
import os
import socket
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, cast

from harness.core.figures import given
from harness.core.values import Json, Latency
from harness.disk.delays import Operation

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from harness.disk.delays import Delays

LONGEST = 3600.0
"""Longest latency taken, in seconds. A longer one is a mistake in the unit."""

_LONGEST_LINE = 65536


@contextmanager
def short_address(path: Path) -> Iterator[str]:
    """Lend an address of a Unix socket that is short whatever the path is: a socket's address holds 107 bytes, a run's folder may be deeper."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def listen(path: Path) -> socket.socket:
    """Return a socket that listens at `path`, for root alone. One that a dead daemon left there is replaced."""
    path.unlink(missing_ok=True)
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        with short_address(path) as address:
            server.bind(address)
    finally:
        os.umask(mask)
    server.listen()
    return server


def serve(server: socket.socket, delays: Delays) -> None:
    """Answer until the socket is closed; one thread a caller."""
    while True:
        try:
            caller, _ = server.accept()
        except OSError:
            return
        threading.Thread(target=_converse, args=(caller, delays), daemon=True).start()


def answer(line: bytes, delays: Delays) -> dict[str, Json]:
    """Do what one line asks and return the answer."""
    try:
        asked = json.loads(line)
        if not isinstance(asked, dict) or set(asked) not in ({"get"}, {"set"}):
            raise ValueError('expected {"get": true} or {"set": {"fsync": seconds, "write": seconds, "read": seconds}}')
        if "set" in asked:
            delays.change(_latency(asked["set"]))
    except (ValueError, RecursionError) as e:
        return {"error": str(e)}
    now = delays.latency
    return {
        "latency": {each.value: float(getattr(now, each)) for each in Operation},
        "operations": {each.value: count for each, count in delays.counts.items()},
    }


def _latency(asked: Json) -> Latency:
    if not isinstance(asked, dict) or not set(asked) <= {each.value for each in Operation}:
        raise ValueError(f"set: found {json.dumps(asked)[:200]}; expected an object with fsync, write and read, each optional")
    for name, value in asked.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or not 0 <= value <= LONGEST:
            raise ValueError(f"set: {name} is {json.dumps(value)[:200]}; expected from 0 to {given(LONGEST)}")
    return Latency(**{name: float(cast("float", value)) for name, value in asked.items()})


def _converse(caller: socket.socket, delays: Delays) -> None:
    # A caller that goes away in the middle is no concern of the disk's.
    with caller, suppress(OSError), caller.makefile("rb") as lines:
        while line := lines.readline(_LONGEST_LINE):
            caller.sendall(json.dumps(answer(line, delays)).encode() + b"\n")
