"""Steps that break something."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, Self

from pydantic import Field, TypeAdapter

from harness.core import parameters, targets
from harness.core.aim import ImpossibleTarget, TakenAlready
from harness.core.naming import close, one_of, shown
from harness.core.protocols import Choosy, Local, Quorum
from harness.core.units import ABOVE, DURATION, Duration
from harness.history.lines import typed
from harness.steps.expectations import parameters_words, programs
from harness.steps.held import LEADER_MOVED, LINGER_SECONDS, RECOVERED, Hold
from harness.steps.misfit import Misfit, no_quorum, target_misfits
from harness.steps.named_app import note_apps
from harness.steps.part import Part, beside_with, keys, meant, model_schema
from harness.steps.step import NoFurther, Step, flat, kind_of_step
from harness.steps.targeting import cuts_nothing, note, note_not_here, read_target

if TYPE_CHECKING:
    from harness.core.protocols import Fault
    from harness.core.values import Json
    from harness.document import Place
    from harness.registry import Known
    from harness.steps.step import Reading, UnderWay


ALL: Final = "all"
"""In place of the name of a fault that goes on: everything that goes on, the newest first."""
NAME = r"^[a-z]([a-z0-9-]{0,30}[a-z0-9])?$"
NAMED = "a name of lower-case letters, digits and dashes, 32 at most, a letter first, and not all"
HOLD = "how long: a duration, or {until: recovered, at most: 60s}; or `as: NAME` alone, for one that stays in force until it is healed"


class BreakPart(Part):
    """A step that is a fault."""

    fault: str = Field(description="the name of a fault")
    on: str = Field(description="a target expression, such as leader, hosting(web) & any, or !(!n1 & !n2) for n1 and n2")
    given: Any = Field(default_factory=dict, alias="with", description="the fault's parameters")
    hold: Any = Field(None, description=HOLD)
    name: str = Field("", alias="as", pattern=NAME, description=NAMED)


class HoldPart(Part):
    """How long a fault is held, where that is not a duration."""

    until: Literal["recovered", "leader-moved"] = Field(description="recovered or leader-moved")
    at_most: Duration = Field(alias="at most", gt=0, description=ABOVE)


@kind_of_step
@dataclass(frozen=True, slots=True)
class Break(Step):
    """Something is broken: the fault, whom it hits (a target expression), and for how long.

    Without a hold it goes on, by its name, until a step heals it or the last step is over. With one its name is for whoever speaks of it: a later
    target (`same as`), a promise (`during`).
    """

    fault: Fault
    targets: str
    hold: Hold | None
    name: str = ""

    key: ClassVar[str] = "fault"
    example: ClassVar[str] = "a mapping with fault, on and hold"

    @property
    def until(self) -> str:
        """What its hold waits for; empty where it waits for nothing."""
        return self.hold.until if self.hold else ""

    @classmethod
    def read(cls, reading: Reading, item: Mapping[str, Json], place: Place) -> Self | None:
        """Read the fault with its parameters, its target and its hold; see `Step.read`."""
        name = item["fault"]
        known = reading.known.faults.get(name) if isinstance(name, str) else None
        under = {} if known is None else beside_with(BreakPart, known, item)
        part = reading.part(BreakPart, dict(item), place, under={**dict.fromkeys(keys(HoldPart), "hold"), **under})
        expression = read_target(reading, item.get("on"), (*place, "on"), known or Local)
        hold = _hold(reading, item["hold"], (*place, "hold")) if "hold" in item else None
        if item.get("as") == ALL:
            reading.add((*place, "as"), f"the name {ALL!r}", NAMED, "`heal: all` heals everything in force")
        astray = meant(BreakPart, item, [name for name in ("on", "hold", "as") if name not in item])
        if "hold" not in item and "as" not in item and astray.isdisjoint(("hold", "as")):
            reading.add(place, "'hold' is missing", HOLD)
        fault, sound = None, True
        if known is not None:
            fault = None
            if not under and "with" not in astray:
                fault = reading.built(known, item.get("with"), (*place, "with"), str(name), place, beside=keys(BreakPart))
            sound = note_apps(reading, known, fault, item.get("with"), (*place, "with"))
            sound = note_not_here(reading, fault, str(item.get("on")), place) and sound
        elif isinstance(name, str):
            reading.add(
                (*place, "fault"), f"an unknown fault {name!r}", one_of("fault", reading.known.faults), close(name, reading.known.faults)
            )
        if fault is not None and expression is not None and (slip := cuts_nothing(fault, expression, reading.names)) is not None:
            note(reading, (*place, "with", "shape"), [slip])
        if part is None or fault is None or not sound or expression is None:
            return None
        if hold is None and ("hold" in item or "as" not in item):
            return None
        step = cls(fault, part.on, hold, part.name)
        reading.misfits(step.misfits(place, reading.mode) if reading.mode else [])
        return step

    @classmethod
    def schemas(cls, known: Known, target: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return one for each fault, with its parameters; see `Step.schemas`."""
        return [_schema(name, known.faults[name], target) for name in sorted(known.faults)]

    @classmethod
    def from_json(cls, body: Mapping[str, Any], among: Known) -> Self:
        """Read it back; see `Step.from_json`."""
        name = typed(str, body.get("as", ""))
        hold = typed(Hold, body["hold"]) if "hold" in body or not name else None
        if hold is not None and hold.until not in {"", RECOVERED, LEADER_MOVED}:
            raise ValueError(f"a hold until {hold.until!r}")
        targets.parse(typed(str, body["on"]))
        return cls(parameters.build(among.faults[body["fault"]], body["with"]), body["on"], hold, name)

    def to_json(self) -> dict[str, Json]:
        """Return all of it."""
        held: dict[str, Json] = {} if self.hold is None else {"hold": {"seconds": self.hold.seconds, "until": self.hold.until}}
        named: dict[str, Json] = {"as": self.name} if self.name else {}
        return {"fault": self.fault.name, "with": parameters.read(self.fault), "on": self.targets, **held, **named}

    @property
    def longest(self) -> float:
        """How long it is held, and on for a while where that ends when something is seen. One that goes on keeps nothing waiting."""
        return 0.0 if self.hold is None else self.hold.seconds + (LINGER_SECONDS if self.hold.until else 0.0)

    def words(self, nodes: Sequence[str]) -> list[str]:
        """Say what is broken, of whom, and until when."""
        named = f"{self.fault.name} {parameters_words(self.fault)}".rstrip()
        whom = targets.in_words(targets.parse(self.targets), nodes=nodes)
        until = "which stays in force" if self.hold is None else f"{self.hold}, then mend it"
        return [f"{named} on {whom}, {until}{f', named {self.name}' if self.name else ''}", *programs(self.fault)]

    def run(self, run: UnderWay) -> None:
        """Break it, hold it and mend it. Where there is nobody to hit the run cannot be judged, and nothing more is broken."""
        try:
            if self.hold is None:
                run.start(self.fault, self.targets, self.name)
            else:
                run.break_(self.fault, self.targets, self.hold, self.name)
        except TakenAlready as error:
            raise NoFurther(f"{self.fault.name} was refused") from error
        except ImpossibleTarget as error:
            raise NoFurther(f"{self.fault.name} hit nobody") from error

    def misfits(self, place: Place, mode: Any) -> list[Misfit]:
        """Return what the fault, its target and its hold ask for."""
        found = target_misfits(self.targets, (*place, "on"), mode)
        if self.until == LEADER_MOVED and not isinstance(mode, Quorum):
            found.append(no_quorum((*place, "hold", "until"), "`until: leader-moved`", mode))
        if isinstance(self.fault, Choosy) and (lack := self.fault.misfit(mode)):
            parameter, asked, expected = lack
            found.append(Misfit((*place, "with", parameter), asked, expected))
        return found

    def slowed(self, seconds: float) -> Self:
        """Return it with a hold that waits so much longer, if it waits for something: a hold for a given time is what the scenario wants to see."""
        if self.hold is None or not self.hold.until:
            return self
        return dataclasses.replace(self, hold=Hold(self.hold.seconds + seconds, self.hold.until))


def breaks(steps: Sequence[Step]) -> tuple[Break, ...]:
    """Return every fault that steps make, in order: the first is fault 1."""
    return tuple(step for step, _ in flat(steps) if isinstance(step, Break))


def warm_up(steps: Sequence[Step]) -> float:
    """Seconds before the first fault in `steps`, at most."""
    total = 0.0
    for step in steps:
        if breaks((step,)):
            break
        total += step.longest
    return total


def _hold(reading: Reading, value: Json, place: Place) -> Hold | None:
    if isinstance(value, dict) and value.keys().isdisjoint((*keys(HoldPart), *meant(HoldPart, value))):
        reading.add(place, shown(value), HOLD)
        return None
    if isinstance(value, dict):
        part = reading.part(HoldPart, value, place)
        if part is None:
            return None
        if part.until == RECOVERED and reading.apps_read and not (reading.apps or reading.unread):
            reading.add((*place, "until"), "`until: recovered` with no app", "an app whose recovery can be seen")
        hold, place = Hold(part.at_most, part.until), (*place, "at most")
    else:
        seconds = reading.checked(_duration(), value, place, DURATION)
        if seconds is None:
            return None
        hold = Hold(seconds)
    if hold.seconds <= 0:
        reading.add(place, "a hold of no time", "a duration above 0")
        return None
    return hold


def _schema(name: str, cls: Any, target: Mapping[str, Any]) -> dict[str, Any]:
    schema = parameters.schema(cls)
    return {
        "type": "object",
        "description": schema.get("description", ""),
        "properties": {
            "fault": {"const": name},
            "on": target,
            "with": schema,
            "hold": {"anyOf": [{"type": "number", "exclusiveMinimum": 0}, *_duration().json_schema()["anyOf"][1:], model_schema(HoldPart)]},
            "as": {"type": "string", "pattern": NAME, "description": NAMED},
        },
        "required": ["fault", "on", *(["with"] if schema.get("required") else [])],
        "anyOf": [{"required": ["hold"]}, {"required": ["as"]}],
        "additionalProperties": False,
    }


@functools.cache
def _duration() -> TypeAdapter[float]:
    return TypeAdapter(Duration)
