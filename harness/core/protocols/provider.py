"""What a provider promises: where nodes come from."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from harness.core.protocols.node import Node
    from harness.core.values import NodeSpec


class Provider(Protocol):
    """Where nodes come from."""

    name: ClassVar[str]

    def create(self, run_id: str, specs: Sequence[NodeSpec]) -> Sequence[Node]:
        """Create the nodes together: a cluster boots in parallel. On any error all of them are destroyed before it is raised."""

    def adopt(self, run_id: str) -> Sequence[Node]:
        """Return the nodes of a run that another process created, from the provider's own records.

        Raises `NoSuchRun` where it has none of such a run, and any other `HarnessError` where they cannot be read: then nobody can tell.
        """

    def destroy(self, run_id: str) -> None:
        """Remove all that was made for a run. Twice is fine; works from another process, after half a `create`, and without records."""

    def network(self, run_id: str) -> AbstractContextManager[None]:
        """Inside it, this thread's new sockets reach the nodes; threads started inside inherit it. From a place that no fault breaks."""
