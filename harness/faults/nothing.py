"""No fault at all, for the control that must come out unknown: a run in which nothing was ever broken proves nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from harness.core.protocols import Cluster, Node
from harness.core.values import Traits, Unavailable


@dataclass(frozen=True, slots=True)
class Nothing:
    """Does nothing, and says so: it is never in force."""

    name: ClassVar[str] = "none"
    traits: ClassVar[Traits] = Traits(blinds=())

    def inject(self, cluster: Cluster, targets: Sequence[Node]) -> None:
        """Break nothing."""

    def heal(self, cluster: Cluster, targets: Sequence[Node]) -> None:
        """Mend nothing."""

    def in_force(self, cluster: Cluster, target: Node) -> bool:  # noqa: ARG002 - no question is asked
        """Return False."""
        return False

    def available(self, cluster: Cluster, target: Node) -> Unavailable | None:  # noqa: ARG002 - nothing is needed
        """Return None: nothing can be done everywhere."""
        return None

    def remedy(self, cluster: Cluster, target: Node) -> Sequence[str]:  # noqa: ARG002 - nothing is to be undone
        """Return nothing."""
        return ()

    def touched(self, cluster: Cluster, targets: Sequence[Node]) -> Sequence[Node]:  # noqa: ARG002 - nothing is touched
        """Return nobody."""
        return ()
