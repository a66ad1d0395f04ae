"""Steps that mend what goes on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from harness.steps.breaking import ALL
from harness.steps.part import Part
from harness.steps.single import SingleStep
from harness.steps.step import kind_of_step

if TYPE_CHECKING:
    from harness.steps.step import UnderWay


class HealPart(Part):
    """A step that mends a fault that goes on."""

    heal: str = Field(description="the name of a fault in force (its `as`), or all")


@kind_of_step
@dataclass(frozen=True, slots=True)
class Heal(SingleStep):
    """What goes on by a name is mended, or all that goes on, the newest first.

    Whether anything goes on by that name then is for the whole list of steps to say (`harness.steps.course`).
    """

    name: str

    key: ClassVar[str] = "heal"
    example: ClassVar[str] = "`heal: NAME`"
    part: ClassVar[type[Part]] = HealPart
    holds: ClassVar[type] = str

    @property
    def longest(self) -> float:
        """Nothing: mending is not counted."""
        return 0.0

    def words(self, nodes: Sequence[str]) -> list[str]:  # noqa: ARG002 - whom it hit is known when it is mended
        """Say what is mended."""
        return ["mend all that is in force" if self.name == ALL else f"mend the one named {self.name}"]

    def run(self, run: UnderWay) -> None:
        """Mend it."""
        run.heal(self.name)
