"""Steps that mend what goes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import Field

from harness.history.lines import typed
from harness.steps.breaking import ALL
from harness.steps.part import Part, model_schema
from harness.steps.step import Step, kind_of_step

if TYPE_CHECKING:
    from harness.core.values import Json
    from harness.document import Place
    from harness.registry import Known
    from harness.steps.step import Reading, UnderWay


class HealPart(Part):
    """A step that mends a fault that goes on."""

    heal: str = Field(description="the name of a fault that goes on (its `as`), or all")


@kind_of_step
@dataclass(frozen=True, slots=True)
class Heal(Step):
    """What goes on by a name is mended, or all that goes on, the newest first."""

    name: str

    key: ClassVar[str] = "heal"
    example: ClassVar[str] = "`heal: NAME`"

    @classmethod
    def read(cls, reading: Reading, item: Mapping[str, Json], place: Place) -> Self | None:
        """Read the name; see `Step.read`. Whether anything goes on by it then is for the whole list to say (`harness.steps.course`)."""
        part = reading.part(HealPart, dict(item), place)
        return cls(part.heal) if part else None

    @classmethod
    def schemas(cls, known: Known, target: Mapping[str, Any]) -> list[dict[str, Any]]:  # noqa: ARG003 - names are the file's own
        """Return the one that there is; see `Step.schemas`."""
        return [model_schema(HealPart)]

    @classmethod
    def from_json(cls, body: Mapping[str, Any], among: Known) -> Self:  # noqa: ARG003 - names are the plan's own
        """Read the name; see `Step.from_json`."""
        return cls(typed(str, body["heal"]))

    def to_json(self) -> dict[str, Json]:
        """Return the name."""
        return {"heal": self.name}

    @property
    def longest(self) -> float:
        """Nothing: mending is not counted."""
        return 0.0

    def words(self, nodes: Sequence[str]) -> list[str]:  # noqa: ARG002 - whom it hit is known when it is mended
        """Say what is mended."""
        return ["mend all that goes on" if self.name == ALL else f"mend {self.name}"]

    def run(self, run: UnderWay) -> None:
        """Mend it."""
        run.heal(self.name)
