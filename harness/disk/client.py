"""Ask a node's slow disk, or tell it, over its control socket."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING

from harness.core import pace
from harness.core.errors import HarnessError, Unreachable
from harness.core.figures import given
from harness.core.values import Latency
from harness.disk.control import short_address

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from harness.core.values import Json

SECONDS = 5.0
"""How long an answer is waited for. The daemon answers from memory; a stalled disk does not hold it up."""


def set_latency(path: Path, latency: Latency, *, node: str = "") -> None:
    """Add `latency` to every operation of the disk whose control socket is at `path`, in place of any given before.

    In force when it returns, also for operations that were sleeping. `node` is the name that errors give; by default that of the socket's
    folder. Raises `Unreachable` where no daemon answers, and `HarnessError` where it refuses.
    """
    asked: dict[str, Json] = {"set": {"fsync": latency.fsync, "write": latency.write, "read": latency.read}}
    _ask(path, asked, node or path.parent.name)


def get_latency(path: Path, *, node: str = "") -> Latency:
    """Return what is added now. Raises as `set_latency`."""
    answer = _ask(path, {"get": True}, node or path.parent.name)
    return Latency(**{name: float(seconds) for name, seconds in _numbers(answer, "latency", path).items()})


def get_operations(path: Path, *, node: str = "") -> Mapping[str, int]:
    """Return how many operations of each kind (fsync, write, read) the disk has begun since its start. Raises as `set_latency`."""
    answer = _ask(path, {"get": True}, node or path.parent.name)
    return {name: int(count) for name, count in _numbers(answer, "operations", path).items()}


def _ask(path: Path, asked: Mapping[str, Json], node: str) -> Mapping[str, Json]:
    what = f"a question to its disk at {path}"
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller, short_address(path) as address:
            caller.settimeout(pace.limit(SECONDS))
            caller.connect(address)
            caller.sendall(json.dumps(asked).encode() + b"\n")
            with caller.makefile("rb") as lines:
                line = lines.readline()
    except TimeoutError as e:
        raise Unreachable(node, what, f"silence for {given(pace.limit(SECONDS))}") from e
    except OSError as e:
        raise Unreachable(node, what, f"{e.strerror or e}: the node has no faultable disk, or the disk's daemon is dead") from e
    if not line.endswith(b"\n"):
        raise Unreachable(node, what, "the daemon ended in the middle of its answer")
    try:
        answer = json.loads(line)
    except ValueError as e:
        raise HarnessError(f"{node}: its disk at {path} answered {line[:200]!r}; expected a line of JSON") from e
    if not isinstance(answer, dict) or "error" in answer:
        raise HarnessError(
            f"{node}: its disk at {path} refused {json.dumps(asked)}: {answer.get('error') if isinstance(answer, dict) else answer}"
        )
    return answer


def _numbers(answer: Mapping[str, Json], part: str, path: Path) -> Mapping[str, float]:
    found = answer.get(part)
    if isinstance(found, dict) and all(name in found for name in ("fsync", "write", "read")):
        numbers = {name: value for name, value in found.items() if isinstance(value, int | float)}
        if len(numbers) == len(found):
            return numbers
    raise HarnessError(
        f"the disk at {path} answered {part} {found!r}; expected numbers for fsync, write and read; is it of another version?"
    )
