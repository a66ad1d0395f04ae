"""No fault at all, for the control that must come out unknown: a run in which nothing was ever broken proves nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from harness.core.protocols import Cluster, Here, Node
from harness.core.values import Rung, Traits, Unavailable
from harness.faults.common import AtTheHost


@dataclass(frozen=True, slots=True)
class Nothing(AtTheHost):
    """Does nothing, and says so: it is never in force."""

    name: ClassVar[str] = "none"
    traits: ClassVar[Traits] = Traits(blinds=(), idle=True)

    @classmethod
    def rung(cls, here: Here) -> Rung:  # noqa: ARG003 - it takes nothing of this machine
        """Need nothing."""
        return Rung(can=True, how="does nothing, for controls")

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
