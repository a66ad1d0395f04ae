"""The steps of a file: waits, and faults with their targets and holds."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from harness.core import parameters
from harness.core.units import DURATION, Duration
from harness.scenario import fits, models
from harness.scenario.problems import close, one_of, shown
from harness.scenario.targeting import note_shape, read_target
from harness.steps import RECOVERED, Break, Hold, Step, Wait

if TYPE_CHECKING:
    from harness.core.values import Json
    from harness.document import Place
    from harness.scenario.parsing import Draft


def read_step(reading: Draft, item: Json, place: Place) -> Step | None:
    """Read an item of `steps`."""
    if isinstance(item, dict) and "wait" in item and "fault" not in item:
        wait = reading.part(models.WaitPart, item, place)
        return Wait(wait.wait) if wait else None
    if not isinstance(item, dict) or "fault" not in item:
        keys = list(item) if isinstance(item, dict) else []
        hint = next((near for key in keys if (near := close(key, ("wait", "fault")))), "")
        reading.add(place, shown(item), "a step: `wait: 5s`, or a mapping with fault, on and hold", hint)
        return None
    name = item["fault"]
    known = reading.known.faults.get(name) if isinstance(name, str) else None
    part = reading.part(models.BreakPart, item, place, under={} if known is None else dict.fromkeys(parameters.names(known), "with"))
    expression = read_target(reading, item.get("on"), (*place, "on"))
    hold = _hold(reading, item["hold"], (*place, "hold")) if "hold" in item else None
    fault = None
    if isinstance(name, str):
        if name in reading.known.faults:
            fault = reading.built(reading.known.faults[name], item.get("with"), (*place, "with"), name, place)
        else:
            reading.add(
                (*place, "fault"), f"an unknown fault {name!r}", one_of("fault", reading.known.faults), close(name, reading.known.faults)
            )
    if fault is not None and expression is not None:
        note_shape(reading, fault, expression, place)
    if part is None or fault is None or hold is None or expression is None:
        return None
    step = Break(fault, part.on, hold)
    reading.misfits(fits.step_misfits(step, place, reading.mode) if reading.mode else [])
    return step


def _hold(reading: Draft, value: Json, place: Place) -> Hold | None:
    if isinstance(value, dict):
        part = reading.part(models.HoldPart, value, place)
        if part is None:
            return None
        if part.until == RECOVERED and reading.apps_read and not reading.apps:
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


@functools.cache
def _duration() -> TypeAdapter[float]:
    return TypeAdapter(Duration)
