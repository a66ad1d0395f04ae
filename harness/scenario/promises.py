"""The promises of a file, with what they are judged by: workloads, which are named as promises are, and how a control must come out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

from harness.checkers import CameInTime, Settled
from harness.core import parameters
from harness.core.naming import article, close, one_of, shown
from harness.core.protocols import Performing
from harness.core.units import NAMES
from harness.core.values import CallStream, Verdict
from harness.history.calls import stream
from harness.history.interfaces import about_of
from harness.scenario import fits, models
from harness.scenario.scenario_file import ALWAYS
from harness.steps import Control, actions, names_given
from harness.steps.named_app import named_apps, note_apps

if TYPE_CHECKING:
    from harness.core.values import Json
    from harness.document import Place
    from harness.scenario.parsing import Draft


def read_named(reading: Draft, item: Json, place: Place, classes: Mapping[str, Any], what: str) -> Any:
    """Read a name, or a name with parameters, as an instance of its class."""
    name, given = (
        (item, {}) if isinstance(item, str) else next(iter(item.items())) if isinstance(item, dict) and len(item) == 1 else ("", {})
    )
    if not name:
        reading.add(place, shown(item), f"{article(what)}: a name, or one name with its parameters")
        return None
    inner = place if isinstance(item, str) else (*place, name)
    if name not in classes:
        reading.add(inner, f"an unknown {what} {name!r}", one_of(what, classes), close(name, classes), key=True)
        return None
    if what == "promise":
        given = _without_windows(reading, given, inner, name, classes)
    built = reading.built(classes[name], given, inner, name, place)
    note_apps(reading, classes[name], built, given, inner)
    reading.misfits(fits.taken_misfits(classes[name], place, reading.mode) if reading.mode else [])
    for key, *said in unpaced(built) if what == "workload" and built is not None else ():
        reading.add((*inner, key) if isinstance(given, dict) and key in given else inner, *said)
    return built


def unpaced(workload: Any) -> list[tuple[str, str, str]]:
    """Return by which of its figures calls could not be made: the parameter, what was found, and what was expected.

    Ours are of types that have no such values; a plug-in's may be of any.
    """
    asked = {} if isinstance(workload, Performing) else {"rate": getattr(workload, "rate", None)}
    asked |= {"deadline": workload.deadline} if hasattr(workload, "deadline") else {}
    return [
        (key, f"the {key} {f'{value:g}' if isinstance(value, float) else shown(value)} of {workload.name}", "a number above 0")
        for key, value in asked.items()
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < math.inf
    ]


WINDOWS: Final = ("during", "outside")
"""Parameters of a promise that say on which time it is judged: names of faults."""


def _without_windows(reading: Draft, given: Json, place: Place, name: str, classes: Mapping[str, Any]) -> Json:
    """Return what a promise is given, without the time that it cannot be judged on, which is told with the reason."""
    valid = parameters.names(classes[name])
    asked = [key for key in WINDOWS if isinstance(given, dict) and key in given and key not in valid]
    for key in asked:
        able = ", ".join(sorted(each for each, cls in classes.items() if key in parameters.names(cls)))
        usual = f"`{WINDOWS[0]}: NAME` can be said of it" if WINDOWS[0] in valid else f"{name} is about the whole run"
        why = getattr(classes[name], "whole", usual)
        reading.add((*place, key), f"{key} of {name}", f"a promise that can be about a part of a run: {able}", why, key=True)
    return {key: value for key, value in given.items() if key not in asked} if isinstance(given, dict) else given


def note_windows(reading: Draft, items: Sequence[Json], promises: Sequence[Any]) -> None:
    """Say which promise is about the time of a fault that no step makes, or of none; `items` are a file's steps as they stand there."""
    there = names_given(items)
    for number, promise in enumerate(outlines(reading, promises)):
        place: Place = ("promises", number, *([promise.name] if promise is not None else []))
        for key, value in windows_of(promise).items():
            if not value and (*place, key) in reading.doc.values:
                reading.add((*place, key), "an empty list", NAMES)
            for at, name in enumerate(value):
                listed = (*place, key, at)
                where = listed if listed in reading.doc.values else (*place, key)
                for said in wrong_window(promise, key, name, there):
                    reading.add(where, *said)


def outlines(reading: Draft, promises: Sequence[Any]) -> list[Any]:
    """Return promises; in place of one that could not be made (None) what can be read of it, so that what else is wrong with it is told at once."""
    body = reading.doc.value
    items = body.get("promises") if isinstance(body, dict) else None
    return [
        _outline(item, reading.known.checkers) if promise is None else promise
        for promise, item in zip(promises, items if isinstance(items, list) else [], strict=False)
    ]


def _outline(item: Json, classes: Mapping[str, Any]) -> Any:
    """Return the parameters of a promise that are of text, and the faults whose time it is about; None where not even its name is one."""
    name, given = next(iter(item.items())) if isinstance(item, dict) and len(item) == 1 else ("", None)
    if name not in classes or not isinstance(given, dict):
        return None
    fields = parameters.fields(classes[name])
    found: dict[str, Any] = {
        fields[key]: value for key, value in given.items() if key in fields and key not in WINDOWS and isinstance(value, str)
    }
    for key in WINDOWS:
        value = given.get(key)
        several = value if isinstance(value, list) else [value]
        names = tuple(each for each in several if isinstance(each, str) and each)
        if key in fields and (names or not several):  # what is no name at all is told where the promise is read
            found[key] = names
    return SimpleNamespace(name=name, about=about_of(classes[name]), **found)


def windows_of(promise: Any) -> dict[str, tuple[str, ...]]:
    """Return the names of the faults that a promise is about the time of, by the parameter."""
    return {key: getattr(promise, key) for key in WINDOWS if hasattr(promise, key)}


def wrong_window(promise: Any, key: str, name: str, there: Sequence[str]) -> list[tuple[str, str, str]]:
    """Return what is wrong with a promise's time by the name of a fault, where `there` are those that there are: found, expected, a hint."""
    said = []
    if name not in there:
        among = f"there is {', '.join(there)}" if there else "no fault has one: `as: NAME` beside its hold, or in place of it"
        said.append((f"{key}: {name}, which no fault is called", "the name of a fault (its `as`)", close(name, there) or among))
    elif key == WINDOWS[1] and name in getattr(promise, WINDOWS[0], ()):
        said.append((f"{name} in during and in outside", "each fault in one of them", ""))
    return said


def read_control(reading: Draft, body: dict[str, Json], promises: Sequence[Any]) -> Control | None:
    """Read how a control must come out, which one of those that judge the scenario must bring about."""
    value = body.get("control")
    if value is None:
        if "control" in body:
            reading.add(("control",), "nothing", "how the control must come out: verdict, because, match")
        return None
    part = reading.part(models.ControlPart, value, ("control",))
    if part is None:
        return None
    judging = [*(each.name for each in promises if each), *ALWAYS, CameInTime.name, Settled.name]
    if part.because not in judging and all(promises):
        found = f"the checker {part.because!r}"
        near = "" if part.because in reading.known.checkers else close(part.because, judging)
        hint = near or f"there is {', '.join(sorted(set(judging)))}"
        reading.add(("control", "because"), found, "a checker that judges this scenario", hint)
    return Control(Verdict(part.verdict), part.because, part.match)


def note_wanted(reading: Draft, workloads: Sequence[Any], promises: Sequence[Any]) -> None:
    """Say which promise has nothing to be judged by: no calls of the kind that it looks at."""
    if not all(workloads):
        return
    for number, promise in enumerate(outlines(reading, promises)):
        for found, expected in wanting(workloads, promise, reading.known.workloads):
            reading.add(("promises", number), found, expected)


def note_scaled(reading: Draft, steps: Sequence[Any], promises: Sequence[Any]) -> None:
    """Say which promise of an app that is scaled goes by a number that no step asks for."""
    asked = {(app, number) for each in actions(steps) for app, number in each.action.effect.runs.items()}
    for number, promise in enumerate(promises):
        if promise is not None and about_of(promise).scale and (promise.app, promise.to) not in asked:
            found = f"a promise of {promise.to} instances of {promise.app} that no step asks for"
            there = ", ".join(f"{count} of {app}" for app, count in sorted(asked))
            hint = f"what steps ask for is {there}" if there else "no step asks for any: `do: app.scale`"
            reading.add(("promises", number), found, "a number that a step scales the app to", hint)


def wanting(workloads: Sequence[Any], promise: Any, among: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what a promise has nothing to be judged by, as what was found and what was expected; `among` are the workloads that there are."""
    said = about_of(promise)
    of = said.calls
    if of is None or (said.asked and not getattr(promise, said.asked, None)):
        return []
    there = [each for each in workloads if stream(each) is of]
    able = f"the workload {' or '.join(name for name, cls in among.items() if stream(cls) is of)}"
    if not of.parameter:
        return [] if there else [(f"a promise of {promise.name} with nothing that writes", able)]
    whom, asked = getattr(promise, of.parameter, ""), {getattr(each, of.parameter, "") for each in there}
    if whom in {"", *asked}:
        return []
    if of.parameter == "app":
        if whom not in named_apps(promise):  # it stands for any app
            return []
        return [(f"a promise of {promise.name} of {whom} that nobody calls", f"{able} with `app: {whom}`")]
    what, where = ("which nobody asks", "probes") if of is CallStream.PROBE else ("which nobody runs", "workloads")
    names = f"the name of a {of}: {', '.join(sorted(asked))}" if asked else f"a {of} of that name, under `{where}`"
    return [(f"a promise of the {of} {whom!r}, {what}", names)]
