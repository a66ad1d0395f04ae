"""An app's own JSON, taken as it stands: what is given to Marathon's ``/v2/apps``, and what follows from it. Pure.

One app with a Docker container. Its instances are told apart by the ids that Marathon gives them, so nothing of ours has to stand in it.
"""

from __future__ import annotations

import json
import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from harness import document
from harness.core.errors import BadInput, Problem, clipped
from harness.core.naming import close, shown
from harness.core.values import ANY, HIDDEN, ID, MOST_INSTANCES, App, Definition
from harness.host import origins, untrusted
from harness.modes.mesos import configured
from harness.modes.mesos.marathon_apps import mappings, path, services

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from harness.core.protocols import OwnApp
    from harness.core.values import Json
    from harness.document import Document, Place

ENDINGS: Final[Mapping[str, str]] = {".json": "an app of Marathon's"}
"""How the names of such files end."""
_ID: Final = re.compile(r"/?(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?)(?:/[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?)*")
_IMAGE: Final = re.compile(origins.CALLED)
_NODE: Final = re.compile(r"[A-Za-z0-9.-]+")
_WANTED: Final = "an object with id and container, as Marathon's /v2/apps takes it"
_APP: Final = (
    "acceptedResourceRoles args backoffFactor backoffSeconds check cmd constraints container cpus dependencies disk env executor "
    "executorResources fetch gpus healthChecks id instances ipAddress killSelection labels maxLaunchDelaySeconds mem networks networkBandwidth "
    "portDefinitions ports readinessChecks requirePorts residency resourceLimits role secrets storeUrls taskKillGracePeriodSeconds "
    "taskStats tasksHealthy tasksRunning tasksStaged tasksUnhealthy tty unreachableStrategy upgradeStrategy uris user version versionInfo"
)
"""Keys of an app that Marathon knows; it refuses all others."""


def define(wanted: OwnApp, taken: Mapping[int, str]) -> App:
    """Return the app that a definition makes; see `harness.core.protocols.Defining.define`. `taken` are ports of the nodes, and what has them."""
    if not wanted.text.strip():
        raise BadInput([Problem(wanted.file, 0, 0, "an empty file: it makes no container", _WANTED)])
    # All that is JSON is YAML, which is read with its lines, but for the tabs between its values.
    doc = document.parse(wanted.text.replace("\t", " "), wanted.file)
    try:
        body: Any = untrusted.loads(wanted.text.encode())
    except ValueError as error:
        raise BadInput([*doc.problems, Problem(wanted.file, 0, 0, f"what is no JSON: {error}", _WANTED)]) from error
    reading = _Reading(wanted, doc, taken)
    app = reading.app(body)
    if reading.problems or app is None:
        raise BadInput(reading.problems)
    return app


def clashes(apps: Sequence[App]) -> Iterator[tuple[str, str, str]]:
    """Yield what keeps apps from running beside each other; see `harness.core.protocols.Defining.clashes`."""
    for number, app in enumerate(apps):
        for other in apps[:number]:
            if (app.native or other.native) and path(app) == path(other):
                yield app.name, f"the id {path(app)}, which {other.name} has as well", "an id of its own for each app"
            if (app.native or other.native) and (both := services(app) & services(other)):
                found = f"servicePort {min(both)}, which {other.name} has as well: HAProxy could send its callers to one of them alone"
                yield app.name, found, "a port of its own for each app"


class _Reading:
    """A definition that is being read, and what is wrong with it."""

    def __init__(self, wanted: OwnApp, doc: Document, taken: Mapping[int, str]) -> None:
        self._taken = taken
        self._wanted = wanted
        self._doc = doc
        self.problems: list[Problem] = list(doc.problems)

    def app(self, body: Any) -> App | None:
        if not isinstance(body, dict):
            self._add((), shown(body), _WANTED)
            return None
        for key in body:
            if key not in _APP.split():
                self._add((key,), f"an unknown key {key!r} of an app", "a key that Marathon knows", close(key, _APP.split()), key=True)
        called = self._id(body)
        container = body.get("container")
        if not isinstance(container, dict) or not isinstance(container.get("docker"), dict):
            self._add(("container",), "no Docker container: nothing could be followed", "`container` with `docker` and its `image`")
            container = {"docker": {"image": "none"}}
        image = self._image(container["docker"])
        instances = self._instances(body)
        conflicts, pin = self._constraints(body)
        self._note_patience(body)
        self._note_ports(container)
        inner, portless = self._port(container)
        own = Definition(
            mode="mesos",
            file=self._wanted.file,
            text=hidden(body),
            called=called,
            container=f"{called.strip('/').replace('/', '_')}.{ANY}{ID}{ANY}.{ANY}.{ANY}",
            label="$MESOS_TASK_ID",
            portless=portless,
            inner=inner,
            most=MOST_INSTANCES,
            body=self._wanted.text,
        )
        return App(self._wanted.name, instances, image, conflicts=conflicts, pin=pin, native=own)

    def _add(self, place: Place, found: str, expected: str, hint: str = "", *, key: bool = False) -> None:
        self.problems.append(self._doc.problem(place, found, expected, hint, key=key))

    def _id(self, body: Mapping[str, Any]) -> str:
        said = body.get("id")
        if not isinstance(said, str) or not _ID.fullmatch(said):
            self._add(
                ("id",), f"the id {shown(said)}" if "id" in body else "no id", "a path such as /frontend: small letters, digits, dots and -"
            )
            return "/none"
        return f"/{said.strip('/')}"

    def _image(self, docker: Mapping[str, Any]) -> str:
        said = self._wanted.image or docker.get("image")
        if not isinstance(said, str) or not _IMAGE.fullmatch(said):
            found = f"the image {shown(origins.hidden(said) if isinstance(said, str) else said)}" if "image" in docker else "no image"
            self._add(("container", "docker", "image"), f"{found}: it makes no container", "the name of an image")
            return ""
        if self._wanted.image and docker.get("image") != said:
            expected = f"{shown(docker.get('image'))}, or none: the file says it"
            self.problems.append(Problem("", 0, 0, f"the image {shown(said)}, where the definition has another one", expected))
        return said

    def _instances(self, body: Mapping[str, Any]) -> int:
        said = body.get("instances", 1)
        if type(said) is not int or not 0 <= said <= MOST_INSTANCES:
            self._add(("instances",), f"instances {shown(said)}", f"a whole number from 0 to {MOST_INSTANCES}")
            return 1
        if self._wanted.instances not in {None, 0, said}:
            name = PurePosixPath(self._wanted.file).name
            found = f"{self._wanted.instances} instances of {name}, which says instances: {said}"
            self.problems.append(Problem("", 0, 0, found, f"{said}, or none: the file says it"))
        return 0 if self._wanted.instances == 0 else said

    def _constraints(self, body: Mapping[str, Any]) -> tuple[bool, str | None]:
        """Return whether no node may run two, and the only one that may run any. What else says where it may run cannot be told beforehand."""
        listed = body.get("constraints") or []
        unique, pins = False, set()
        for number, each in enumerate(listed if isinstance(listed, list) else [listed]):
            words = [str(word) for word in each] if isinstance(each, list) else []
            match words:
                case ["hostname" | "@hostname", "UNIQUE"] | ["hostname" | "@hostname", "MAX_PER", "1"]:
                    unique = True
                case ["hostname" | "@hostname", "CLUSTER" | "IS" | "LIKE", node] if _NODE.fullmatch(node):
                    pins.add(node)
                case _:
                    expected = (
                        '["hostname", "UNIQUE"] or ["hostname", "CLUSTER", NODE]: by others nobody knows beforehand which nodes may run it'
                    )
                    told = clipped(json.dumps(each, ensure_ascii=False)) if isinstance(each, list) else shown(each)
                    self._add(("constraints", number), f"the constraint {told}", expected)
        if len(pins) > 1:
            self._add(("constraints",), f"constraints to {', '.join(sorted(pins))} at once", "one node")
        return unique, next(iter(pins), None)

    def _note_patience(self, body: Mapping[str, Any]) -> None:
        """Note how long it leaves an unreachable instance to come back: budgets know of none."""
        said = body.get("unreachableStrategy")
        if said is None or (isinstance(said, dict) and not said.get("inactiveAfterSeconds")):
            return
        hint = "Marathon looks whether that time is over when it reconciles, which is every ten minutes"
        self._add(("unreachableStrategy",), f"unreachableStrategy {shown(said)}", "inactiveAfterSeconds 0, by which budgets go", hint)

    def _note_ports(self, container: Mapping[str, Any]) -> None:
        """Note ports that no instance is ever given, and that HAProxy cannot have."""
        at, mapped = mappings(container)
        for number, each in enumerate(mapped):
            host, service = (each.get(key) or 0 for key in ("hostPort", "servicePort")) if isinstance(each, dict) else (0, 0)
            if host and (type(host) is not int or host not in configured.PORTS):
                expected = (
                    f"0, for one that Mesos chooses, or one of those that agents offer, {configured.PORTS[0]} to {configured.PORTS[-1]}"
                )
                self._add((*at, number, "hostPort"), f"hostPort {shown(host)}, which no agent ever offers", expected)
            if type(service) is int and service in self._taken:
                expected = "a port that the nodes do not use themselves, on which HAProxy is to listen"
                self._add((*at, number, "servicePort"), f"servicePort {service}, which is taken by {self._taken[service]}", expected)

    def _port(self, container: Mapping[str, Any]) -> tuple[int, str]:
        """Return the container's own port behind the first that Mesos gives an instance of its host's, or why there is none."""
        at, mapped = mappings(container)
        first = mapped[0] if mapped else None
        if first is None:
            return 0, "it maps no port"
        inner = first.get("containerPort") if isinstance(first, dict) else None
        if type(inner) is not int or not 0 <= inner <= 65535:  # noqa: PLR2004 - ports
            self._add((*at, 0), f"the mapping {shown(first)}", "containerPort with the number of a port")
            return 0, ""
        return inner or 1, ""  # 0: the same as the host's, whichever that is


def hidden(body: Any) -> str:
    """Return a definition with `HIDDEN` in place of the value of each variable of an environment in it, also of one that Docker is told by itself."""
    return json.dumps(_without_values(body, ""), indent=2, ensure_ascii=False)


def _without_values(value: Json, key: str) -> Json:
    if key.lower() in {"env", "secrets"}:
        return dict.fromkeys(value, HIDDEN) if isinstance(value, dict) else HIDDEN
    if isinstance(value, dict):
        variable = str(value.get("key")).lower() in {"env", "e"}  # of `parameters`, which are options of `docker run`
        return {name: HIDDEN if variable and name == "value" else _without_values(each, name) for name, each in value.items()}
    return [_without_values(each, "") for each in value] if isinstance(value, list) else value
