"""The apps of a file: their names, their pins, and ports that nobody else has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from harness.core.naming import close
from harness.core.values import App
from harness.host import contexts
from harness.scenario import models

if TYPE_CHECKING:
    from harness.core.values import Json
    from harness.document import Place
    from harness.scenario.parsing import Draft

_TAKEN_PORTS: Final[Mapping[int, str]] = {2379: "etcd", 2380: "etcd", 49153: "fleet", 2377: "swarm", 7946: "swarm"}
"""Ports of a node that some mode's own daemons listen on. The same in every mode: a file that runs in one is not to fail in another by a number."""


def read_apps(reading: Draft, body: dict[str, Json]) -> None:
    """Read all apps into the reading."""
    places: dict[str, Place] = {}
    for item, place in reading.listed(body, "apps"):
        read = reading.part(models.AppPart, item, place)
        if read is None:
            reading.apps_read = False
            continue
        app = App(read.name, read.instances, read.image, read.port, read.conflicts, read.pin)
        if app.name in places:
            line = reading.doc.values[places[app.name]].line
            reading.add(
                (*place, "name"), f"a second app named {app.name!r}", "a name of its own for each app", f"the first is in line {line}"
            )
            continue
        places[app.name] = place
        _ports(reading, app, place)
        _image(reading, app, place)
        if app.pin is not None and reading.names and app.pin not in reading.names:
            reading.add((*place, "pin"), f"a pin to {app.pin!r}", f"a node's name, {reading.node_range}", close(app.pin, reading.names))
        reading.apps.append(app)


def _ports(reading: Draft, app: App, place: Place) -> None:
    ports = range(app.port + 1, app.port + app.instances + 1)
    text = f"ports {ports.start} to {ports.stop - 1} for {app.name}"
    if ports.stop > 65536:  # noqa: PLR2004 - the number of ports there are
        reading.add((*place, "port"), text, "ports up to 65535")
    for taken, whose in _TAKEN_PORTS.items():
        if taken in ports:
            reading.add((*place, "port"), text, "ports that the node does not use itself", f"{taken} is taken by {whose}")
    for other in reading.apps:
        theirs = range(other.port + 1, other.port + other.instances + 1)
        if ports.start < theirs.stop and theirs.start < ports.stop:
            hint = f"{other.name} has {theirs.start} to {theirs.stop - 1}; give one of them another `port`"
            reading.add((*place, "port"), text, "ports that no other app has", hint)


def _image(reading: Draft, app: App, place: Place) -> None:
    """Note what keeps the nodes from building the image: they do that from a folder of ours, minutes later."""
    if reading.cluster is None or not contexts.builds_here(reading.known.providers.get(reading.cluster.provider)):
        return
    if (context := contexts.context_of(app.image)) is not None:
        reading.problems += [each for each in contexts.problems(context) if each not in reading.problems]
    elif near := contexts.meant(app.image):
        reading.add((*place, "image"), f"an image {app.image!r}", contexts.one_of_these(), near)
