"""Steps that wait until something is so."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field

from harness.core.figures import given
from harness.core.naming import close, shown
from harness.core.protocols import Quorum
from harness.core.units import Duration, spelled
from harness.core.values import Outcome
from harness.history.awaits import BROKEN, ELSES, GO_ON, GOALS, LEADER, RECOVERED, STEADY, UNKNOWN, had_come, in_vain
from harness.history.lines import typed
from harness.steps.held import STAYS_SECONDS
from harness.steps.misfit import Misfit, no_quorum
from harness.steps.named_app import note_app
from harness.steps.part import Part, model_schema
from harness.steps.step import NoFurther, Step, flat, kind_of_step

if TYPE_CHECKING:
    from harness.core.values import Json
    from harness.document import Place
    from harness.registry import Known
    from harness.steps.step import Reading, UnderWay

WHAT = f"what is awaited: {LEADER}, {STEADY}, or {{{RECOVERED}: APP}}"
AT_MOST = f"a duration such as 5s or 2m, above {spelled(STAYS_SECONDS)}: for so long it must have been so"
ELSE = f"what it means if it does not come: {BROKEN}, {UNKNOWN}, or {GO_ON}"
_MEANS = {
    BROKEN: "else the promise is broken",
    UNKNOWN: "else the run cannot be judged",
    GO_ON: "and go on in any case",
}


class AwaitPart(Part):
    """A step that waits until something is so."""

    goal: Any = Field(alias="await", description=WHAT)
    at_most: Duration = Field(alias="at most", gt=STAYS_SECONDS, description=AT_MOST)
    otherwise: Literal["broken", "unknown", "go on"] = Field("unknown", alias="else", description=ELSE)


@kind_of_step
@dataclass(frozen=True, slots=True)
class Await(Step):
    """Nothing is done until something is so, and has been for a moment; where it does not come in time, `otherwise` says what that means.

    It means that a promise is broken, or that the run cannot be judged: then no further step is taken. Or nothing: the run goes on.
    """

    goal: str  # one of `harness.history.awaits.GOALS`
    app: str  # the app that it is about; empty where it is about none
    at_most: float  # seconds
    otherwise: str = UNKNOWN  # one of `harness.history.awaits.ELSES`

    key: ClassVar[str] = "await"
    example: ClassVar[str] = "a mapping with await and at most"

    @classmethod
    def read(cls, reading: Reading, item: Mapping[str, Json], place: Place) -> Self | None:
        """Read what is awaited, for how long, and what else; see `Step.read`."""
        part = reading.part(AwaitPart, dict(item), place)
        goal = _goal(reading, item["await"], (*place, "await"))
        if part is None or goal is None:
            return None
        step = cls(*goal, part.at_most, part.otherwise)
        reading.misfits(step.misfits(place, reading.mode) if reading.mode else [])
        return step

    @classmethod
    def schemas(cls, known: Known, target: Mapping[str, Any]) -> list[dict[str, Any]]:  # noqa: ARG003 - it names only apps, which are the file's own
        """Return the one that there is; see `Step.schemas`."""
        found = model_schema(AwaitPart)
        app = {"type": "object", "properties": {RECOVERED: {"type": "string"}}, "required": [RECOVERED], "additionalProperties": False}
        found["properties"]["await"] = {"oneOf": [{"enum": [LEADER, STEADY]}, app], "description": WHAT}
        return [found]

    @classmethod
    def from_json(cls, body: Mapping[str, Any], among: Known) -> Self:  # noqa: ARG003 - same
        """Read it back; see `Step.from_json`."""
        goal, otherwise = typed(Mapping[str, str], body["await"]), typed(str, body["else"])
        ((what, app),) = goal.items()
        if what not in GOALS or (what == RECOVERED) is not bool(app) or otherwise not in ELSES:
            raise ValueError(f"an await of {what!r} of {app!r}, else {otherwise!r}")
        return cls(what, app, typed(float, body["at most"]), otherwise)

    def to_json(self) -> dict[str, Json]:
        """Return all of it."""
        return {"await": {self.goal: self.app}, "at most": self.at_most, "else": self.otherwise}

    @property
    def longest(self) -> float:
        """All of the time that it may take."""
        return self.at_most

    def words(self, nodes: Sequence[str]) -> list[str]:  # noqa: ARG002 - it hits nobody
        """Say what is awaited, for how long, and what else."""
        return [f"wait until {had_come(self.goal, self.app)}, {given(self.at_most)} at most, {_MEANS[self.otherwise]}"]

    def run(self, run: UnderWay) -> None:
        """Wait. Raises `NoFurther` where it does not come and that means anything."""
        outcome = run.await_(self.goal, self.app, at_most=self.at_most, otherwise=self.otherwise)
        if outcome is not Outcome.OK and self.otherwise != GO_ON:
            raise NoFurther(in_vain(self.goal, self.app))

    def misfits(self, place: Place, mode: Any) -> list[Misfit]:
        """Return that nobody leads, where a leader is awaited."""
        if self.goal == LEADER and not isinstance(mode, Quorum):
            return [no_quorum((*place, "await"), "`await: leader`", mode)]
        return []

    def slowed(self, seconds: float) -> Self:
        """Return it with so much more time."""
        return dataclasses.replace(self, at_most=self.at_most + seconds)


def awaits(steps: Sequence[Step]) -> tuple[Await, ...]:
    """Return every wait for something that steps make, in order: the first is number 1."""
    return tuple(step for step, _ in flat(steps) if isinstance(step, Await))


def _goal(reading: Reading, value: Json, place: Place) -> tuple[str, str] | None:
    """Return what is awaited, and of which app, or note what is wrong with it."""
    if value in (LEADER, STEADY):
        return str(value), ""
    if isinstance(value, dict) and list(value) == [RECOVERED]:
        app = value[RECOVERED]
        if not isinstance(app, str):
            reading.add((*place, RECOVERED), shown(app), "the name of an app")
        elif note_app(reading, app, (*place, RECOVERED)):
            return RECOVERED, app
        return None
    word = value if isinstance(value, str) else next(iter(value)) if isinstance(value, dict) and value else ""
    hint = f"`await: {{{RECOVERED}: APP}}`" if word == RECOVERED else close(str(word), GOALS)
    reading.add(place, shown(value), WHAT, hint)
    return None
