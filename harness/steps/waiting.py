"""Steps in which nothing is done but waiting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import Field

from harness.core.units import DURATION, Duration, spelled
from harness.history.lines import typed
from harness.steps.part import Part, model_schema
from harness.steps.step import Step, kind_of_step

if TYPE_CHECKING:
    from harness.core.values import Json
    from harness.document import Place
    from harness.registry import Known
    from harness.steps.step import Reading, UnderWay


class WaitPart(Part):
    """A step that breaks nothing."""

    wait: Duration = Field(description=DURATION)


@kind_of_step
@dataclass(frozen=True, slots=True)
class Wait(Step):
    """Nothing is done, for so many seconds."""

    seconds: float

    key: ClassVar[str] = "wait"
    example: ClassVar[str] = "`wait: 5s`"

    @classmethod
    def read(cls, reading: Reading, item: Mapping[str, Json], place: Place) -> Self | None:
        """Read how long; see `Step.read`."""
        part = reading.part(WaitPart, dict(item), place)
        return cls(part.wait) if part else None

    @classmethod
    def schemas(cls, known: Known, target: Mapping[str, Any]) -> list[dict[str, Any]]:  # noqa: ARG003 - it names nothing
        """Return the one that there is; see `Step.schemas`."""
        return [model_schema(WaitPart)]

    @classmethod
    def from_json(cls, body: Mapping[str, Any], among: Known) -> Self:  # noqa: ARG003 - it names nothing
        """Read how long; see `Step.from_json`."""
        return cls(typed(float, body["wait"]))

    def to_json(self) -> dict[str, Json]:
        """Return how long."""
        return {"wait": self.seconds}

    @property
    def longest(self) -> float:
        """All of it."""
        return self.seconds

    def words(self, nodes: Sequence[str]) -> list[str]:  # noqa: ARG002 - it hits nobody
        """Say how long."""
        return [f"wait {spelled(self.seconds)}"]

    def run(self, run: UnderWay) -> None:
        """Let the time pass."""
        run.pause(self.seconds)
