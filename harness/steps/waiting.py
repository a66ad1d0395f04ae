"""Steps in which nothing is done but waiting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from harness.core.figures import given
from harness.core.units import DURATION, Duration
from harness.steps.part import Part
from harness.steps.single import SingleStep
from harness.steps.step import kind_of_step

if TYPE_CHECKING:
    from harness.steps.step import UnderWay


class WaitPart(Part):
    """A step that breaks nothing."""

    wait: Duration = Field(description=DURATION)


@kind_of_step
@dataclass(frozen=True, slots=True)
class Wait(SingleStep):
    """Nothing is done, for so many seconds."""

    seconds: float

    key: ClassVar[str] = "wait"
    example: ClassVar[str] = "`wait: 5s`"
    part: ClassVar[type[Part]] = WaitPart
    holds: ClassVar[type] = float

    @property
    def longest(self) -> float:
        """All of it."""
        return self.seconds

    def words(self, nodes: Sequence[str]) -> list[str]:  # noqa: ARG002 - it hits nobody
        """Say how long."""
        return [f"wait {given(self.seconds)}"]

    def run(self, run: UnderWay) -> None:
        """Let the time pass."""
        run.pause(self.seconds)
