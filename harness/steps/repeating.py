"""Steps that are done several times over."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import Field

from harness.core.naming import shown
from harness.history.lines import typed
from harness.steps.part import Part, model_schema
from harness.steps.step import STEPS, Step, kind_of_step, read_step, step_from_json

if TYPE_CHECKING:
    from harness.core.values import Json
    from harness.document import Place
    from harness.registry import Known
    from harness.steps.misfit import Misfit
    from harness.steps.step import Reading, UnderWay

MOST_TIMES = 100
TIMES = f"a whole number from 2 to {MOST_TIMES}"
STEPS_OF_IT = "a list of steps, none of them a repeat"


class RepeatPart(Part):
    """Steps that are done several times over."""

    repeat: Any = Field(description="how often: {times: N}")
    steps: Any = Field(description=STEPS_OF_IT)


class TimesPart(Part):
    """How often steps are done."""

    times: int = Field(ge=2, le=MOST_TIMES, description=TIMES)


@kind_of_step
@dataclass(frozen=True, slots=True)
class Repeat(Step):
    """Steps are done one after the other, and that several times over.

    Each round is by itself: its faults have numbers of their own, targets are resolved anew, and what they leave open is drawn for that round.
    """

    times: int
    steps: tuple[Step, ...]

    key: ClassVar[str] = "repeat"
    example: ClassVar[str] = "a mapping with repeat and steps"

    @classmethod
    def read(cls, reading: Reading, item: Mapping[str, Json], place: Place) -> Self | None:
        """Read how often, and what; see `Step.read`."""
        part = reading.part(RepeatPart, dict(item), place)
        times = reading.part(TimesPart, item["repeat"], (*place, "repeat"), beside=("steps",))
        inner = item.get("steps")
        if not isinstance(inner, list) or not inner:
            if "steps" in item:
                reading.add((*place, "steps"), shown(inner), STEPS_OF_IT)
            return None
        steps = [_inner(reading, each, (*place, "steps", number)) for number, each in enumerate(inner)]
        found = tuple(each for each in steps if each is not None)
        return None if part is None or times is None or len(found) < len(steps) else cls(times.times, found)

    @classmethod
    def schemas(cls, known: Known, target: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the one that there is, with all other kinds in it; see `Step.schemas`."""
        found = model_schema(RepeatPart)
        others = [schema for kind in STEPS.values() if kind is not cls for schema in kind.schemas(known, target)]
        found["properties"]["repeat"] = model_schema(TimesPart)
        found["properties"]["steps"] = {"type": "array", "minItems": 1, "items": {"oneOf": others}, "description": STEPS_OF_IT}
        return [found]

    @classmethod
    def from_json(cls, body: Mapping[str, Any], among: Known) -> Self:
        """Read it back; see `Step.from_json`."""
        times = typed(int, body["repeat"])
        steps = tuple(step_from_json(each, among) for each in typed(tuple[Mapping[str, Any], ...], body["steps"]))
        if not 1 <= times <= MOST_TIMES or any(isinstance(each, cls) for each in steps):
            raise ValueError(f"steps {times} times, or a repeat inside of one")
        return cls(times, steps)

    def to_json(self) -> dict[str, Json]:
        """Return all of it."""
        return {"repeat": self.times, "steps": [each.to_json() for each in self.steps]}

    @property
    def longest(self) -> float:
        """As often as long as its steps take together."""
        return self.times * sum(each.longest for each in self.steps)

    def words(self, nodes: Sequence[str]) -> list[str]:
        """Say how often, and then each step in lines of its own."""
        told = [f"{self.times} times over:"]
        for letter, step in zip(_letters(), self.steps, strict=False):
            first, *rest = step.words(nodes)
            told += [f"  {letter}. {first}", *(f"     {each}" for each in rest)]
        return told

    def run(self, run: UnderWay) -> None:
        """Do them round by round."""
        for number in range(1, self.times + 1):
            with run.round(number, self.times):
                for step in self.steps:
                    step.run(run)

    def flat(self, place: Place) -> Iterator[tuple[Step, Place]]:
        """Yield the steps of each round, one after the other; a step has one place in the file, and comes as often as it is done."""
        for _ in range(self.times):
            for number, step in enumerate(self.steps):
                yield from step.flat((*place, "steps", number))

    def misfits(self, place: Place, mode: Any) -> list[Misfit]:
        """Return what its steps ask for."""
        return [each for number, step in enumerate(self.steps) for each in step.misfits((*place, "steps", number), mode)]

    def slowed(self, seconds: float) -> Self:
        """Return it with steps that wait so much longer."""
        return dataclasses.replace(self, steps=tuple(each.slowed(seconds) for each in self.steps))


def _inner(reading: Reading, item: Json, place: Place) -> Step | None:
    if isinstance(item, dict) and Repeat.key in item:
        reading.add(place, "a repeat inside of a repeat", "a step that is none", "write its steps out, or repeat one after the other")
        return None
    return read_step(reading, item, place)


def _letters() -> Iterator[str]:
    """Yield names for the steps of a round: the letters, and then those with a number."""
    for number in range(MOST_TIMES):
        for letter in "abcdefghijklmnopqrstuvwxyz":
            yield f"{letter}{number + 1}" if number else letter
