"""The promises of a file, with what they are judged by: workloads, which are named as promises are, and how a control must come out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness.core import targets
from harness.core.naming import article, close, one_of, shown
from harness.core.values import Verdict
from harness.history.calls import PROBE
from harness.scenario import fits, models
from harness.scenario.scenario_file import ALWAYS
from harness.steps import Control, actions
from harness.steps.named_app import note_apps

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
    built = reading.built(classes[name], given, inner, name, place)
    note_apps(reading, classes[name], built, given, inner)
    reading.misfits(fits.name_misfits(name, place, reading.mode) if reading.mode else [])
    return built


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
    judging = [*(each.name for each in promises if each), *ALWAYS, "awaited", "settled"]
    if part.because not in judging and all(promises):
        found = f"because of {part.because!r}"
        reading.add(("control", "because"), found, "a checker that judges this scenario", targets.nearest(part.because, judging))
    return Control(Verdict(part.verdict), part.because, part.match)


def note_wanted(reading: Draft, workloads: Sequence[Any], promises: Sequence[Any]) -> None:
    """Say which promise has nothing to be judged by: no calls of the kind that it looks at."""
    if not all(workloads):
        return
    for number, promise in enumerate(promises):
        for found, expected in wanting(workloads, promise):
            reading.add(("promises", number), found, expected)


def note_scaled(reading: Draft, steps: Sequence[Any], promises: Sequence[Any]) -> None:
    """Say which promise of an app that is scaled goes by a number that no step asks for."""
    asked = {(app, number) for each in actions(steps) for app, number in each.action.effect.runs.items()}
    for number, promise in enumerate(promises):
        if promise is not None and promise.name == "scaled" and (promise.app, promise.to) not in asked:
            found = f"a promise of {promise.to} instances of {promise.app} that no step asks for"
            there = ", ".join(f"{count} of {app}" for app, count in sorted(asked))
            hint = f"what steps ask for is {there}" if there else "no step asks for any: `do: app.scale`"
            reading.add(("promises", number), found, "a number that a step scales the app to", hint)


def wanting(workloads: Sequence[Any], promise: Any) -> list[tuple[str, str]]:
    """Return what a promise has nothing to be judged by, as what was found and what was expected."""
    if promise is None:
        return []
    said = []
    writes = promise.name == "writes" or (promise.name == "quorum" and getattr(promise, "writes", ""))
    if writes and all(each.name != "register" for each in workloads):
        said.append((f"a promise of {promise.name} with nothing that writes", "the workload register"))
    called = {each.app for each in workloads if each.name == "http"}
    if promise.name == "availability" and promise.app not in called:
        said.append((f"a promise of availability of {promise.app} that nobody calls", f"the workload http with `app: {promise.app}`"))
    asked = {each.called for each in workloads if each.name == PROBE}
    if promise.name == PROBE and promise.called not in asked:
        there = f"the name of a probe: {', '.join(sorted(asked))}" if asked else "a probe of that name, under `probes`"
        said.append((f"a promise of the probe {promise.called!r}, which nobody asks", there))
    return said
