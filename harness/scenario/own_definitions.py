"""Apps that have a definition of their own, in the mode's words: its file, what the mode makes of it, and what only the scenario can say."""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from harness.core.errors import BadInput
from harness.core.naming import shown
from harness.core.protocols import Defining, OwnApp
from harness.core.targets import likeliest
from harness.core.values import ID
from harness.history.calls import stream
from harness.host import contexts, untrusted
from harness.scenario import models
from harness.steps.part import keys

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.core.values import App, Json
    from harness.document import Place
    from harness.scenario.parsing import Draft

BIGGEST: Final = 64 * 1024
"""Bytes of a definition at most: it is kept with each run."""
_WHAT: Final = "a file with the app's own definition"
_NAMED: Final = re.compile(models.OWN_FILE)
_ITS_OWN: Final = ("command", "conflicts", "environment", "health", "host port", "labels", "pin", "restart", "volumes")
"""Keys of other apps that the definition itself answers."""
_ANSWERED: Final = (*_ITS_OWN, "image", "port")
"""The same, with those that may be needed all the same: then they stand inside of `native`."""


def read_own(reading: Draft, item: dict[str, Json], place: Place) -> App | None:
    """Read an item of `apps` with `native`. Returns None where something is wrong, or the mode is not known."""
    part = reading.part(models.OwnAppPart, _beside(reading, item, place), place)
    given: Json = {"file": item["native"]} if isinstance(item["native"], str) else item["native"]
    inside = (*place, "native")
    if not isinstance(given, dict):
        reading.add(inside, shown(given), "the path of a file, or a mapping with " + ", ".join(keys(models.NativePart)))
        return None
    native = reading.part(models.NativePart, given, inside)
    where = inside if isinstance(item["native"], str) else (*inside, "file")
    file = native.file if native is not None else given.get("file")
    if reading.mode is None or not isinstance(file, str) or not _NAMED.fullmatch(file) or not _fits(reading, file, where):
        return None
    # Whatever is wrong beside it: what is wrong with the file is told as well.
    body = _body(reading, file, where)
    if body is None or native is None or part is None:
        return None
    builds = reading.cluster is not None and contexts.builds_here(reading.known.providers.get(reading.cluster.provider))
    wanted = OwnApp(part.name, *body, part.instances, native.container, native.image, str(native.port), builds)
    try:
        app: App = reading.mode.define(wanted)
    except BadInput as error:
        reading.problems += [each for each in error.problems if each.file]
        for each in error.problems:
            if not each.file:
                reading.add(_said_at(item, given, place, each.found) or where, each.found, each.expected, each.hint)
        return None
    return app


def _beside(reading: Draft, item: dict[str, Json], place: Place) -> Json:
    """Return an item without the keys that a definition answers, each of which is told."""
    for name in item:
        if name in _ANSWERED:
            inside = "" if name in _ITS_OWN else f"or else, where it does not, `native: {{file: …, {name}: …}}`"
            reading.add((*place, name), f"{name} beside native", "no such key: the definition says it", inside, key=True)
    return {name: value for name, value in item.items() if name not in _ANSWERED}


def _said_at(item: dict[str, Json], given: dict[str, Json], place: Place, found: str) -> Place | None:
    """Return where the scenario says what the mode found wrong with it; None where the definition's name is all that it says of that."""
    if "instances" in item and "instances" in found:
        return (*place, "instances")
    return next(((*place, "native", key) for key in given if found.startswith((f"the {key} ", f"a {key}'s "))), None)


def note_clashes(reading: Draft, places: Mapping[str, Place]) -> None:
    """Say which apps cannot run beside each other, by their definitions."""
    if isinstance(reading.mode, Defining):
        for name, found, expected in reading.mode.clashes(reading.apps):
            reading.add((*places[name], "native"), found, expected)


def note_calls(reading: Draft, workloads: Sequence[Any]) -> None:
    """Say which workloads call an app of which no port is known, or whose instances nobody could tell apart by their answers."""
    for number, each in enumerate(workloads):
        called = each.app if (of := stream(each)) is not None and of.parameter == "app" else None
        app = next((app for app in reading.apps if app.name == called), None)
        if app is not None and (wrong := uncallable(each.name, app, max(app.instances, reading.scaled.get(app.name, 0)))):
            reading.add(("workloads", number), *wrong)


def uncallable(workload: str, app: App, instances: int) -> tuple[str, str] | None:
    """Say why a workload's calls to an app with a definition of its own could not be made, or not be told apart; None where they can."""
    own = app.native
    if own is None:
        return None
    if not own.port and not own.inner:
        return (
            f"{workload} of {app.name}, of which no port is known: {own.portless}",
            "`native: {file: …, port: PORT}`, or a definition that says it",
        )
    if (
        not own.told and not own.each and ID not in own.container and instances > 1
    ):  # an id that leads to a port is told by the orchestrator
        found = f"{workload} of {app.name}, whose instances answer on one port and do not say which they are"
        return found, "a port of its own for each, or WHALEFALL_INSTANCE in what its containers have in their environment"
    return None


def other_mode(app: App, mode: str) -> tuple[str, str] | None:
    """Say that an app's definition is another mode's; None where it is not."""
    if app.native is None or app.native.mode == mode:
        return None
    return (
        f"the app {app.name}, whose definition {app.native.file} is for {app.native.mode}, with the {mode} mode",
        f"one for {mode}, under `but: {mode}:`",
    )


def _body(reading: Draft, name: str, place: Place) -> tuple[str, str] | None:
    """Return a definition's file, as messages name it, and its text. What cannot be read is a problem of the line that names it."""
    folder = Path(reading.doc.file).parent
    path = folder / name
    file = os.path.normpath(path)
    if untrusted.leads_out(folder, name):
        hint = "name the file itself; a link is followed within the scenario's folder alone"
        reading.add(place, f"{shown(name)}: a link that leads elsewhere", _WHAT, hint)
        return None
    try:
        body = untrusted.named(path, BIGGEST, _WHAT)
    except BadInput as error:
        for each in error.problems:
            reading.add(
                place, f"{shown(name)}: {each.found}", each.expected, each.hint or ("" if untrusted.there(path) else _neighbour(path, name))
            )
        return None
    try:
        return file, untrusted.text(body, file)
    except BadInput as error:
        reading.problems += error.problems
        return None


def _neighbour(path: Path, name: str) -> str:
    """Return a hint with a file beside that whose name is like it, as the scenario would name that."""
    try:
        near = likeliest(path.name, [each.name for each in sorted(path.parent.iterdir())[:200] if each.name != path.name])
    except OSError:
        return f"there is no folder {path.parent}" if not untrusted.there(path.parent) else ""
    return f"did you mean {str(PurePosixPath(name).parent / near)!r}?" if near else ""


def _fits(reading: Draft, name: str, place: Place) -> bool:
    """Say whether a file is the mode's, by the end of its name; what is wrong with another one is noted."""
    mode: Any = reading.mode
    of: str = mode.name
    end = PurePosixPath(name).suffix
    if not isinstance(mode, Defining):
        reading.add(place, f"native, with the {mode.name} mode", "a mode that offers Defining", "`image` instead is for every mode")
        return False
    if end in mode.ENDINGS:
        return True
    others = sorted(reading.known.modes.items())
    whose = {other: cls.ENDINGS[end] for other, cls in others if end in getattr(cls, "ENDINGS", {})}
    kinds: dict[str, list[str]] = {}
    for ending, what in mode.ENDINGS.items():
        kinds.setdefault(what, []).append(ending)
    expected = ", ".join(f"{what} ({' or '.join(endings)})" for what, endings in kinds.items())
    what = f", {' or '.join(whose.values())}," if whose else ""
    found = f"{shown(name)}{what} with the {of} mode"
    hint = ""
    if whose:
        own = f"`but: {{{of}: {{because: …, apps: [{{name: …, native: …{next(iter(mode.ENDINGS))}}}]}}}}`"
        hint = f"it is for the {' or '.join(whose)} mode; give {of} a definition of its own: {own}"
    reading.add(place, found, expected, hint)
    return False
