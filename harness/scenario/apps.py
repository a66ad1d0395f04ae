"""The apps of a file: their names, their pins, and ports that nobody else has."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from harness.core.naming import close, range_of
from harness.core.values import App
from harness.scenario import models
from harness.scenario.containers import note_refused, read_command, read_environment, read_health, read_limits, read_restart
from harness.scenario.labels import note_labels
from harness.scenario.own_definitions import note_clashes, read_own
from harness.scenario.ports import note_ports
from harness.scenario.volumes import read_volumes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from harness.core.values import Json
    from harness.document import Place
    from harness.scenario.parsing import Draft


def read_apps(reading: Draft, body: dict[str, Json]) -> None:
    """Read all apps into the reading."""
    places: dict[str, Place] = {}
    named: dict[str, Place] = {}  # also those of which something else cannot be read
    for item, place in reading.listed(body, "apps"):
        app = read_own(reading, item, place) if isinstance(item, dict) and "native" in item else _app(reading, item, place)
        name = item.get("name") if isinstance(item, dict) else None
        if isinstance(name, str) and name in named:
            reading.add((*place, "name"), *a_second(name), f"the first is in line {reading.doc.values[named[name]].line}")
            continue
        if isinstance(name, str) and _NAMED.fullmatch(name):
            named[name] = place
            if app is None:
                reading.unread.append(name)
        elif app is None:
            reading.apps_read = False
        if app is None:
            continue
        places[app.name] = place
        # What a definition says itself is told where the file names that.
        note_ports(reading, app, (*place, "native", "port") if app.native else (*place, "host port"))
        reading.image(app, (*place, "native", "image") if app.native else (*place, "image"))
        for key, *said in reading.unlike(app):
            reading.add((*place, key), *said)
        note_labels(reading, dict(app.labels), (*place, "labels"))
        note_refused(reading, app, place)
        if wrong := to_nowhere(app, reading.names):
            reading.add((*place, "native" if app.native else "pin"), *wrong)
        reading.apps.append(app)
    note_clashes(reading, places)


def _app(reading: Draft, item: Json, place: Place) -> App | None:
    read = reading.part(models.AppPart, item, place, instead=("native",))
    if read is None:
        _note_rest(reading, item, place)
        return None
    return App(
        read.name,
        read.instances,
        read.image,
        read.host_port,
        read.conflicts,
        read.pin,
        inner=read.port,
        labels=tuple(sorted(read.labels.items())),
        **_one_by_one(reading, item, place),
    )


_NAMED: Final = re.compile(models.APP)
_READ: Final[Mapping[str, tuple[type, Callable[[Draft, Any, Place], Any]]]] = {
    "environment": (dict, read_environment),
    "command": (object, read_command),
    "volumes": (list, read_volumes),
    "restart": (object, read_restart),
    "health": (object, read_health),
    "limits": (object, read_limits),
}
"""Keys of an app that are read each by itself, with what a value must be for that: what is none is told with the item."""


def _one_by_one(reading: Draft, item: Json, place: Place) -> dict[str, Any]:
    """Read the keys of an app that are read each by itself, whatever is wrong beside them."""
    given = item if isinstance(item, dict) else {}
    return {
        key: read(reading, given[key], (*place, key))
        for key, (kind, read) in _READ.items()
        if key in given and isinstance(given[key], kind)
    }


def _note_rest(reading: Draft, item: Json, place: Place) -> None:
    """Note what else is wrong with an app that could not be read: its image, pin and labels, and what is read each by itself."""
    if not isinstance(item, dict):
        return
    _one_by_one(reading, item, place)
    told = {(each.line, each.column) for each in reading.problems}
    text: dict[str, Any] = {
        key: value
        for key, value in item.items()
        if key in ("image", "pin") and isinstance(value, str) and tuple(reading.doc.values[*place, key]) not in told
    }
    app = App("app", 1, **text)
    if "image" in text:
        reading.image(app, (*place, "image"))
    if wrong := to_nowhere(app, reading.names):
        reading.add((*place, "pin"), *wrong)
    labels = item.get("labels")
    if isinstance(labels, dict):
        note_labels(reading, {name: value for name, value in labels.items() if isinstance(value, str)}, (*place, "labels"))


def a_second(name: str) -> tuple[str, str]:
    """Say what is wrong with an app of a name that another one has: what was found, and what is expected."""
    return f"a second app named {name!r}", "a name of its own for each app"


def to_nowhere(app: App, names: Sequence[str]) -> tuple[str, str, str] | None:
    """Say that an app is pinned to a node that is not among these, with a hint; None where it is, or they are not known."""
    if app.pin is None or not names or app.pin in names:
        return None
    return f"a pin to {app.pin!r}", f"a node's name, {range_of(names)}", close(app.pin, names)
