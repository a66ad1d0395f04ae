"""What those promise who write a history, and those who judge one."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Protocol

if TYPE_CHECKING:
    from harness.core.protocols import Cluster
    from harness.core.values import Finding
    from harness.history.events import History
    from harness.history.recorder import Recorder


class Observer(Protocol):
    """Samples what the nodes or the orchestrator say."""

    name: ClassVar[str]

    def start(self, cluster: Cluster, recorder: Recorder) -> None:
        """Begin to watch, in threads of its own. Called inside `cluster.network()`."""

    def stop(self) -> None:
        """Stop and join all threads within a few seconds. Twice is fine."""


class Checker(Protocol):
    """Judges a history. Looks at nothing else."""

    name: ClassVar[str]

    def check(self, history: History) -> Finding:
        """Return held, broken or unknown, with the reason."""
