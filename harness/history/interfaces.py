"""What those promise who write a history, those who judge one, and those who tell of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Protocol, TypeVar

from harness.core.values import About

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.core.protocols import Cluster
    from harness.core.values import Finding
    from harness.history.events import History
    from harness.history.recorder import Recorder


R_contra = TypeVar("R_contra", contravariant=True)


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


class RunReport(Protocol[R_contra]):
    """Makes text of judged runs (`harness.runs.run.Run`, which stands above this module): of their plans, histories and findings alone.

    It is made without arguments. The first sentence of what its class says of itself tells people what it is.
    """

    name: ClassVar[str]

    def text(self, runs: Sequence[R_contra]) -> str:
        """Return what is to be read of these runs, of which there may be none: always the same of the same runs, and nothing in it is obeyed."""


def about_of(checker: object) -> About:
    """Return what a checker, or its class, says that it is about; nothing in particular where it says nothing."""
    said = getattr(checker, "about", None)
    return said if isinstance(said, About) else About()
