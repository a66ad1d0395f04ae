"""What comes of a scenario file: a scenario, or word that it is not for a mode."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from harness.checkers import Assumptions, Checks, Clean
from harness.core.errors import Unsupported

if TYPE_CHECKING:
    from harness.core.protocols import Workload
    from harness.core.values import App
    from harness.history.interfaces import Checker
    from harness.scenario.models import ClusterPart
    from harness.steps import Check, Control, Step

ALWAYS: Final = (Assumptions.name, Checks.name, Clean.name)
"""Checkers that judge a run although no scenario promises them."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario file that was read, with everything in its final form but for what a plan decides."""

    name: str
    why: str
    file: str
    cluster: ClusterPart
    apps: tuple[App, ...]
    workloads: tuple[Workload, ...]
    steps: tuple[Step, ...]
    settle: float
    checks: tuple[Check, ...]
    promises: tuple[Checker, ...]
    control: Control | None
    because: str = ""
    """Why this differs from what the file says for its own mode; empty where it does not."""

    @property
    def node_names(self) -> tuple[str, ...]:
        """The nodes' names: n1 to nN."""
        return self.cluster.node_names

    @property
    def profile(self) -> str:
        """The profile of the mode's timers."""
        return self.cluster.profile


class NotForMode(Unsupported):
    """A scenario file says that it is not for a mode, and why."""

    def __init__(self, file: str, scenario: str, mode: str, because: str) -> None:
        super().__init__(f"{file}: not for {mode}: {because}")
        self.file = file
        self.scenario = scenario
        self.mode = mode
        self.because = because

    @property
    def reason(self) -> str:
        """The reason, without the file."""
        return f"not for {self.mode}: {self.because}"
