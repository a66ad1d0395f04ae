"""How long a run may still take: its plan's limits for all that is not done yet. One figure for the live view, for plain lines and for pytest."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from harness.core.figures import about
from harness.core.values import AFTER, BEFORE, Phase, Stage
from harness.history.awaits import LEADER, STEADY
from harness.plan import briefing
from harness.steps import ALL, LEADER_MOVED, Await, Break, Do, Heal, Repeat, breaks, flat, longest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.plan import Plan
    from harness.reports.narrative import Narrative
    from harness.steps import Step

BESIDES = "plus making and mending"
"""What no limit of a plan holds: it is not cut short."""
SOON_WHOLE = 10.0
"""Seconds after which a cluster mostly is whole again."""
SOON_DONE = 1.0
"""Seconds after which an action mostly is done."""
PLANNED_WITH = 3.0
"""Less than so many seconds is no time that anybody plans with."""


def at_most(plan: Plan, reading: Narrative | None = None, now: float = 0.0) -> str:
    """Say how long a run still takes, by its plan: if all goes well, and at most. How long it takes until the cluster stands nobody knows."""
    if reading is None or Phase.STEADY not in reading.phases:
        return f"{about(plan.limit)} at most once the cluster stands, {BESIDES}"
    if reading.phase is Phase.DONE:
        return "all was asked; the cluster is removed and the run is judged"
    most, soon = seconds_left(plan, reading, now), seconds_left(_hopeful(plan), reading, now, asked=False)
    if PLANNED_WITH <= soon < most:
        said = f"some {about(soon)} more, {about(most)} at most"
    elif soon < PLANNED_WITH <= most:
        said = f"done in a moment if all goes well, in {about(most)} at most"
    else:
        said = f"{about(most)} more at most"
    return f"{said}, {BESIDES}"


def seconds_left(plan: Plan, reading: Narrative, now: float, *, asked: bool = True) -> float:
    """Return the seconds that are left at most: of the step that goes on what is left of its limit, and all of those that are to come.

    What ended before its limit counts no longer: a hold that saw what it was for, a cluster that was whole early, a phase that is over. Making and
    mending faults is not in it; nor, where that is not `asked` for, what is asked around the steps, which mostly takes no time.
    """
    phase = reading.phase
    if phase is None or Phase.STEADY not in reading.phases:
        return plan.limit
    passed = max(0.0, now - reading.phases[phase])
    sound = _sound(reading)
    settle = plan.settle if sound else 0.0
    reading_back, finals = (plan.reading_back, plan.finals) if asked else (0.0, 0.0)
    to_come = settle + reading_back + finals
    match phase:
        case Phase.STEADY:
            begin = max(0.0, (plan.asking(BEFORE) if asked else 0.0) + plan.warm_up - passed)
            to_come += begin + (longest(_from_first(plan.steps), 0.0) if sound else 0.0)
        case Phase.FAULTS:
            to_come += _steps(plan.steps, reading, now)
        case Phase.SETTLING:
            since, awaited = (reading.waited[AFTER][0], 0.0) if AFTER in reading.waited else (reading.phases[phase], settle)
            to_come = max(0.0, awaited + reading_back - (now - since)) + finals
        case _:
            to_come = max(0.0, finals - passed) if phase is Phase.FINAL else 0.0
    return to_come


def _hopeful(plan: Plan) -> Plan:
    """Return a plan in which all goes well: a hold ends when what it waits for may be there by the mode's timers, and the cluster is whole soon."""
    steps = tuple(_sooner(step, plan) for step in plan.steps)
    return dataclasses.replace(plan, steps=steps, settle=min(plan.settle, SOON_WHOLE))


def _sooner(step: Step, plan: Plan) -> Step:
    if isinstance(step, Repeat):
        return dataclasses.replace(step, steps=tuple(_sooner(each, plan) for each in step.steps))
    if isinstance(step, Await):
        back = max((each.seconds for each in plan.budgets.values() if each.terms), default=step.at_most)
        seconds = {LEADER: plan.election, STEADY: SOON_WHOLE}.get(step.goal, back)
        return dataclasses.replace(step, at_most=min(step.at_most, seconds))
    if isinstance(step, Do):
        return dataclasses.replace(step, at_most=min(step.at_most, SOON_DONE))
    if not isinstance(step, Break) or step.hold is None or not step.hold.until:
        return step
    budget = next((each for each in briefing.budgets_of(step.fault, plan.budgets) if each.terms), None)
    seconds = plan.election if step.hold.until == LEADER_MOVED else budget.seconds if budget is not None else step.hold.seconds
    return dataclasses.replace(step, hold=dataclasses.replace(step.hold, seconds=min(step.hold.seconds, seconds)))


def _sound(reading: Narrative) -> bool:
    """Whether the cluster became steady, as far as anything was heard of that: what was not sound before is not broken, nor waited for."""
    return BEFORE not in reading.waited or reading.waited[BEFORE][1]


def _from_first(steps: Sequence[Step]) -> Sequence[Step]:
    """Return what is done from the first step on that makes a fault, or has one in it."""
    first = next((number for number, step in enumerate(steps) if breaks([step])), len(steps))
    return [step for step, _ in flat(steps[first:])]


def _steps(steps: Sequence[Step], reading: Narrative, now: float) -> float:
    """Return what is left of the steps while they are walked: they are taken one after the other, also where faults overlap."""
    if not _sound(reading):
        return 0.0
    done = [step for step, _ in flat(steps)]
    if not reading.faults:
        coming = _from_first(steps)
        return _after(done, len(done) - len(coming), reading, reading.phases[Phase.FAULTS], now)
    places = [place for place, step in enumerate(done) if isinstance(step, Break)]
    number = max(reading.faults)
    life = reading.faults[number]
    if number > len(places) or (life.failed and not life.targets):
        return 0.0  # a scenario in Python; or there was nobody to hit, and no further step is taken
    step, after = done[places[number - 1]], places[number - 1] + 1
    goes_on = isinstance(step, Break) and step.hold is None
    if life.over or (goes_on and Stage.IN_FORCE in life.stages):
        return _after(done, after, reading, life.stages[Stage.IN_FORCE if goes_on and not life.failed else life.stage], now)
    hold = longest([step], 0.0)
    if life.stage is Stage.HEALING:
        hold = 0.0
    elif Stage.IN_FORCE in life.stages:
        hold = max(0.0, hold - (now - life.stages[Stage.IN_FORCE]))
    return hold + longest(done[after:], 0.0)


def _after(done: Sequence[Step], first: int, reading: Narrative, since: float, now: float) -> float:
    """Return what is left of the steps from one on (`first`), when that before it was over at `since`.

    Waits do not show in a history; a heal does, for what it mended is healed, and so do steps that await or do something. `done` are all steps.
    """
    waits = 0.0
    names = [each.name for each in done if isinstance(each, Break)]
    for place, step in enumerate(done[first:], first):
        to_come = longest(done[place:], 0.0)
        if isinstance(step, Heal):
            whom = [life for life in reading.faults.values() if (name := names[life.number - 1]) and step.name in {ALL, name}]
            if not all(life.over for life in whom):
                return max(0.0, waits - (now - since)) + to_come
            mended = max((life.stages[life.stage] for life in whom), default=since)
            since, waits = (mended, 0.0) if mended >= since else (since, waits)
        elif isinstance(step, Break):
            return max(0.0, waits - (now - since)) + to_come
        elif isinstance(step, Await | Do):
            told = reading.awaits if isinstance(step, Await) else reading.actions
            turn = told.get(sum(isinstance(each, type(step)) for each in done[: place + 1]))
            if turn is None:
                return max(0.0, waits - (now - since)) + to_come
            if turn.ended is None:
                return max(0.0, to_come - min(step.longest, now - turn.begun))
            since, waits = turn.ended, 0.0
        else:
            waits += step.longest
    return max(0.0, waits - (now - since))
