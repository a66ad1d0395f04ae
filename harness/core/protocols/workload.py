"""What a workload promises, and one that makes its calls itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from random import Random

    from harness.core.protocols.mode import Cluster
    from harness.core.values import Call, Reply


class Client(Protocol):
    """One connection of a workload."""

    def invoke(self, call: Call) -> Reply:
        """Make the call within its deadline. Never raises for what the cluster does: every trouble is a fail or an unknown."""

    def close(self) -> None:
        """Let go of sockets. Twice is fine."""


class Workload(Protocol):
    """Calls made at a steady rate while things break.

    Its class may say what its calls are of (`stream`, a `harness.core.values.CallStream`), and which capabilities a mode must offer for it (`takes`,
    by their names).
    """

    name: ClassVar[str]

    @property
    def rate(self) -> float:
        """Calls a second, whatever the answers take."""

    def calls(self, rng: Random) -> Iterator[Call]:
        """Yield calls without end."""

    def connect(self, cluster: Cluster) -> Client:
        """Return a client for one thread. Called inside `cluster.network()`."""

    def final(self, cluster: Cluster) -> Sequence[Call]:
        """Calls to make once at the end, when everything is mended (e.g. read all keys back)."""


class Performance(Protocol):
    """What goes on of a workload that makes its calls itself."""

    def lines(self) -> Iterator[bytes]:
        """Yield what it says, as it comes. Ends with it."""

    @property
    def status(self) -> int | None:
        """What it ended with, by its own doing; None where nobody saw that."""

    def close(self) -> None:
        """End it. Twice is fine."""


@runtime_checkable
class Performing(Protocol):
    """A workload that makes its calls itself, and says how they went. It is begun once, and goes on until it is ended."""

    def begin(self, cluster: Cluster) -> Performance:
        """Begin it. Raises `HarnessError`."""
