"""What those promise who write a history, and those who judge one."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Protocol

from harness.core.values import About

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
    """Judges a history. Looks at nothing else.

    Its class may say what it is `about` (`harness.core.values.About`), and which capabilities a mode must offer for it (`takes`, by their names).
    """

    name: ClassVar[str]

    def check(self, history: History) -> Finding:
        """Return held, broken or unknown, with the reason."""


def about_of(checker: object) -> About:
    """Return what a checker, or its class, says that it is about; nothing in particular where it says nothing."""
    said = getattr(checker, "about", None)
    return said if isinstance(said, About) else About()
