"""What a node promises, and what only some nodes can do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path, PurePosixPath

    import docker

    from harness.core.values import Result


class Node(Protocol):
    """One machine, spoken to over the management path, which no fault may cut."""

    @property
    def name(self) -> str:
        """Its name in the cluster, e.g. ``n1``."""

    @property
    def address(self) -> str:
        """Its IPv4 address on the cluster's network."""

    def run(self, *argv: str, timeout: float = 30.0, stdin: bytes = b"") -> Result:
        """Run a command as root, without a shell. Any exit status is a `Result`; no answer within `timeout` seconds raises `Unreachable`.

        So does a command that says more than 64 MiB: what is cut off would be taken for the whole. Where `timeout` is not given it is 30 s, and
        longer on a slow machine (`harness.core.pace`).
        """

    def put(self, source: Path, target: PurePosixPath) -> None:
        """Copy an ordinary file from here to the node, mode bits kept, folders made.

        Raises `Unreachable`, `CommandFailed` if the node refuses, or `BadInput` for what is no ordinary file here, or is too large.
        """

    def get(self, source: PurePosixPath, target: Path) -> None:
        """Copy a file of 64 MiB at most from the node to here, in place of what is there, also of a link.

        Raises `Unreachable`, or `CommandFailed` if it is not there.
        """


class Stream(Protocol):
    """A command that goes on running on a node, read line by line."""

    def lines(self) -> Iterator[bytes]:
        """Yield lines as they come, without the newline. Ends when the command ends or the node dies: an end is never "no more to say"."""

    def close(self) -> None:
        """End the command and any iteration over `lines`, also from another thread. Twice is fine."""


@runtime_checkable
class Streaming(Protocol):
    """A node that can run a command whose output is read as it comes."""

    def stream(self, *argv: str, stdin: bytes = b"") -> Stream:
        """Start the command. Raises `Unreachable`."""


@runtime_checkable
class DockerAccess(Protocol):
    """A node whose Docker daemon can be asked with the docker SDK over the management path."""

    def docker(self, timeout: float) -> docker.DockerClient:
        """Return a new client (the caller closes it), each of its calls bounded by `timeout` seconds. Raises `Unreachable`."""


@runtime_checkable
class OwnClock(Protocol):
    """A node whose wall clock is not this machine's."""

    def offset(self) -> float:
        """Return the node's wall clock minus ours, in seconds, measured when the connection was made and again when it may have changed."""
