"""The steps of a run: waits, and faults with how long they are held; the checks that are asked around them, and how a control must come out. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from harness.core import parameters, targets
from harness.core.units import spelled
from harness.core.values import Json, Verdict
from harness.history.lines import typed

if TYPE_CHECKING:
    from harness.core.protocols import Fault
    from harness.registry import Known

RECOVERED = "recovered"
LEADER_MOVED = "leader-moved"

BEFORE = "before"
DURING = "during"
AFTER = "after"

STAYS_SECONDS = 2.0
"""How long what a fault is held for must be seen until `LINGER_SECONDS` begin: what crashes over and over runs now and then."""
LINGER_SECONDS = 3.0
"""How long a fault is held on after what it was held for was seen: what goes wrong often goes wrong just after. For as long before its end a hold
has its last look: whether the fault is still in force, and what the scenario wants to know of it then."""


@dataclass(frozen=True, slots=True)
class Hold:
    """How long a fault is kept in force, in seconds.

    With `until` empty, for the whole time. With `RECOVERED` or `LEADER_MOVED`, until that is seen, and `seconds` at most.
    """

    seconds: float
    until: str = ""

    def __str__(self) -> str:
        """Give the hold in words."""
        if not self.until:
            return f"for {spelled(self.seconds)}"
        what = {RECOVERED: "the work has recovered", LEADER_MOVED: "leadership has moved"}[self.until]
        return f"until {what}, {spelled(self.seconds)} at most"


@dataclass(frozen=True, slots=True)
class Wait:
    """A step in which nothing is done, for so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Break:
    """A step that breaks something: the fault, whom it hits (a target expression), and for how long."""

    fault: Fault
    targets: str
    hold: Hold


Step: TypeAlias = Wait | Break


@dataclass(frozen=True, slots=True)
class Check:
    """Properties of one thing, expected on every node that `on` resolves to, at the moments in `when`."""

    subject: str  # service, process, socket, file, container, image, network, volume
    name: str  # e.g. docker
    expect: Mapping[str, Json]  # property → expected value
    on: str  # target expression
    when: tuple[str, ...]  # of BEFORE, DURING, AFTER

    def __str__(self) -> str:
        """Give the check in words, e.g. ``service docker is_running``."""
        wanted = ", ".join(name if value is True else f"{name}: {worded(value)}" for name, value in self.expect.items())
        return f"{self.subject} {self.name} {wanted}"


@dataclass(frozen=True, slots=True)
class Control:
    """How a control must come out: the verdict, the checker that must give it, and words its summary must hold."""

    verdict: Verdict
    because: str
    match: str = ""


def warm_up(steps: Sequence[Step]) -> float:
    """Seconds of waiting before the first fault in `steps`."""
    total = 0.0
    for step in steps:
        if isinstance(step, Break):
            break
        total += step.seconds
    return total


def longest(steps: Sequence[Step], settle: float) -> float:
    """Seconds that steps and settling take at most. A hold that ends when something is seen goes on for `LINGER_SECONDS` then."""
    holds = [step.hold for step in steps if isinstance(step, Break)]
    waits = sum(step.seconds for step in steps if isinstance(step, Wait))
    return settle + waits + sum(hold.seconds + (LINGER_SECONDS if hold.until else 0.0) for hold in holds)


def step_to_json(step: Step) -> dict[str, Json]:
    """Return a step as JSON; `step_from_json` makes an equal one of it."""
    if isinstance(step, Wait):
        return {"wait": step.seconds}
    hold: dict[str, Json] = {"seconds": step.hold.seconds, "until": step.hold.until}
    return {"fault": step.fault.name, "with": parameters.read(step.fault), "on": step.targets, "hold": hold}


def step_from_json(body: Mapping[str, Any], among: Known) -> Step:
    """Read a step back. Raises `KeyError`, `TypeError` or `ValueError` for what no step wrote."""
    if "wait" in body:
        return Wait(typed(float, body["wait"]))
    hold = typed(Hold, body["hold"])
    if hold.until not in {"", RECOVERED, LEADER_MOVED}:
        raise ValueError(f"a hold until {hold.until!r}")
    targets.parse(typed(str, body["on"]))
    return Break(parameters.build(among.faults[body["fault"]], body["with"]), body["on"], hold)


def worded(value: Json) -> str:
    """Give a value of a parameter or of a check's property in words, e.g. ``true`` and ``0.5``."""
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)
