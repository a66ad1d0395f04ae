"""An app's own stack file, taken as it stands: what `docker stack deploy` is given, and what follows from it. Pure: nothing of it is run.

A stack file is what people keep in their repositories; the JSON of `docker service inspect` is what swarm makes of it. It has one service, whose
tasks are the app's instances; the stack is called as the app is. What nodes are handed beside the file is a second one, which says whose the service
is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

import yaml

from harness import document
from harness.core.errors import BadInput, Problem
from harness.core.figures import given
from harness.core.instances import RUN_LABEL
from harness.core.naming import close, shown
from harness.core.values import HIDDEN, NUMBER, App, Definition
from harness.host import origins
from harness.modes.swarm.services import LACKED_LABEL

if TYPE_CHECKING:
    from harness.core.protocols import OwnApp
    from harness.core.values import Json
    from harness.document import Document, Place

TASK_LABEL: Final = "com.docker.swarm.task.name"
"""Label that swarm gives each container: ``web_web.1.<task id>``."""
ENDINGS: Final[Mapping[str, str]] = {".yml": "a stack file of Docker's", ".yaml": "a stack file of Docker's"}
"""How the names of stack files end."""
_WIDEST: Final = 1000
"""Columns of a line of what is kept of a stack file, where it has a place to be broken at."""
_NAME: Final = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9_-]{0,61}[a-zA-Z0-9])?")
_IMAGE: Final = re.compile(origins.CALLED)
_VARIABLE: Final = re.compile(r"(?<!\$)(?:\$\$)*(?P<whole>\$(?:\{?[A-Za-z_][A-Za-z0-9_]*|\{|(?!\$)))")
"""What Docker would fill in, or refuse: also a dollar sign that stands alone."""
_MERGE: Final = "<<"
"""A key under which YAML of before 2009 has keys of another mapping, which Docker's reader takes still."""
_VARIABLES_NAME: Final = re.compile(r"[A-Za-z0-9_.-]*")
_ENVIRONMENT: Final = "environment"
_NUMBER: Final = re.compile(r"[0-9]{0,5}")
_SHORT_PORT: Final = re.compile(r"(?:[0-9.]+:)?(?:[0-9-]*:)?[0-9-]+(?:/[a-z]+)?")
_PINNED: Final = re.compile(r"\s*node\.hostname\s*==\s*([A-Za-z0-9._-]+)\s*")
_VERSION: Final = re.compile(r"3(?:\.[0-9])?")
_PART: Final = re.compile(r"(?<![0-9])([0-9]{1,9}(?:\.[0-9]{1,9})?)(h|ms|m|us|ns|s)")
_UNITS: Final[Mapping[str, float]] = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
_DELAY: Final = "5s"
"""How long swarm waits before it starts a task anew where nothing else is said."""
_MOST_REPLICAS: Final = 100
_ANYWHERE: Final = ("node.platform.",)
"""Beginnings of constraints that all machines of a cluster meet alike."""

_SERVICE: Final = (
    "build cap_add cap_drop cgroup_parent cgroupns_mode command configs container_name credential_spec depends_on deploy devices dns dns_search "
    "domainname entrypoint env_file environment expose external_links extra_hosts healthcheck hostname image init ipc isolation labels links logging "
    "mac_address network_mode networks oom_score_adj pid ports privileged read_only restart secrets security_opt shm_size stdin_open "
    "stop_grace_period stop_signal sysctls tmpfs tty ulimits user userns_mode volumes working_dir"
)
_UPDATED: Final = "delay failure_action max_failure_ratio monitor order parallelism"
_KEYS: Final[Mapping[tuple[str, ...], str]] = {
    (): "configs name networks secrets services version volumes",
    ("",): _SERVICE,
    ("", "deploy"): "endpoint_mode labels mode placement replicas resources restart_policy rollback_config update_config",
    ("", "deploy", "placement"): "constraints max_replicas_per_node preferences",
    ("", "deploy", "resources"): "limits reservations",
    ("", "deploy", "restart_policy"): "condition delay max_attempts window",
    ("", "deploy", "rollback_config"): _UPDATED,
    ("", "deploy", "update_config"): _UPDATED,
    ("", "healthcheck"): "disable interval retries start_interval start_period test timeout",
}
"""Keys that `docker stack deploy` knows, of a file and of its service (the place without ``services`` and the name): it refuses all others.

By its schemas of versions 3.0 to 3.13, taken together: what only a later Docker knows is left for the node's own to say.
"""
_NAMING: Final = frozenset({"configs", "networks", "secrets", "services", "volumes"})
"""Keys of a file under which names stand: what is called `environment` there is none."""
_EXTENDED: Final = ((), ("",))
"""Where keys that begin with x- are anybody's own."""


def overlay(app: App, run_id: str, lacked: Sequence[str]) -> str:
    """Return the second file of a stack: whose the service and its networks are, and how many tasks it has where that is not what its file says."""
    own = app.native
    if own is None:
        raise ValueError(f"{app.name} has no stack file of its own")
    doc = document.parse(own.body, own.file)
    body: Any = doc.value
    service = own.called.removeprefix(f"{app.name}_")
    deploy: dict[str, Json] = {"labels": {RUN_LABEL: run_id, LACKED_LABEL: ",".join(lacked)}}
    if _replicas(body["services"][service]) != app.instances:
        deploy["replicas"] = app.instances
    declared = {"default": None, **(body.get("networks") or {})}
    made = [name for name, each in declared.items() if not (isinstance(each, dict) and each.get("external"))]
    networks = {name: {"labels": {RUN_LABEL: run_id}} for name in made}
    said: str = yaml.safe_dump({"version": str(body["version"]), "services": {service: {"deploy": deploy}}, "networks": networks})
    return said


def define(wanted: OwnApp, restart_delay: float, taken: Mapping[int, str]) -> App:
    """Return the app that a stack file makes; see `harness.core.protocols.Defining.define`.

    A task must not wait longer than `restart_delay` seconds before it is started anew: budgets go by that. `taken` are ports of the nodes, and what
    has them.
    """
    doc = document.parse(wanted.text, wanted.file) if wanted.text.strip() else None
    if doc is None:
        raise BadInput([Problem(wanted.file, 0, 0, "an empty file: it makes no container", "a stack file with one service")])
    reading = _Reading(wanted, doc, restart_delay, taken)
    app = reading.app()
    if reading.problems or app is None:
        raise BadInput(reading.problems)
    return app


def clashes(apps: Sequence[App]) -> Iterator[tuple[str, str, str]]:
    """Yield what keeps apps from running beside each other; see `harness.core.protocols.Defining.clashes`."""
    for app in apps:
        for other in apps:
            if app.native is not None and other.native is None and app.native.called == other.name:
                yield app.name, f"a service {other.name}, as that of the app {other.name} is called", "a service of its own for each app"


def _seconds(duration: str) -> float | None:
    """Return the seconds of a duration as Docker writes it, 1m30s; None for what is none."""
    parts = _PART.findall(duration)
    if not parts or "".join(f"{number}{unit}" for number, unit in parts) != duration:
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def _replicas(service: Any) -> int:
    deploy = service.get("deploy") if isinstance(service, dict) else None
    said = deploy.get("replicas") if isinstance(deploy, dict) else None
    return 1 if said is None else int(said)


class _Reading:
    """A stack file that is being read, and what is wrong with it."""

    def __init__(self, wanted: OwnApp, doc: Document, restart_delay: float, taken: Mapping[int, str]) -> None:
        self._wanted = wanted
        self._taken = taken
        self._delay = restart_delay
        self._doc = doc
        self.problems: list[Problem] = list(doc.problems)

    def app(self) -> App | None:
        body = self._doc.value
        services = body.get("services") if isinstance(body, dict) else None
        if not isinstance(body, dict) or not isinstance(services, dict) or not services:
            what = "no service: it makes no container" if isinstance(body, dict) else f"{shown(body)}: it makes no container"
            self._add(("services",), what, "a stack file with one service under `services`")
            return None
        if len(services) > 1:
            names = ", ".join(services)
            self._add(
                ("services", list(services)[1]), f"{len(services)} services: {names}", "one: an app is what is made of one image", key=True
            )
        name = next(iter(services))
        place: Place = ("services", name)
        service = services[name]
        if not isinstance(service, dict):
            self._add(place, shown(service), "a service: a mapping with an image")
            return None
        self._version(body)
        self._note_keys(body, service, place)
        self._note_variables((), body)
        called = f"{self._wanted.name}_{name}"
        if not _NAME.fullmatch(called):
            self._add(
                place,
                f"a service that swarm would call {called}",
                "letters, digits, _ and -, 63 at most with the app's name before it",
                key=True,
            )
        for key in ("secrets", "configs"):
            self._note_files(body, key)
        if not isinstance(body.get("networks") or {}, dict):
            self._add(("networks",), shown(body["networks"]), "a mapping")
        if "env_file" in service:
            self._add((*place, "env_file"), "env_file", "`environment`: no other file goes along with this one", key=True)
        self._note_folders(service, (*place, "volumes"))
        image = self._image(service, place)
        deploy = service.get("deploy") or {}
        if not isinstance(deploy, dict):
            self._add((*place, "deploy"), shown(deploy), "a mapping")
            deploy = {}
        instances = self._instances(deploy, (*place, "deploy"))
        self._note_delay(deploy, (*place, "deploy", "restart_policy"))
        pin, alone = self._placement(deploy, (*place, "deploy", "placement"))
        port, portless, inner, fixed = self._port(service, (*place, "ports"))
        if self._wanted.container:
            self._ask("a container's name", "none: swarm gives each task's container a name, by which it is followed")
        own = Definition(
            mode="swarm",
            file=self._wanted.file,
            text=hidden(self._wanted.text),
            called=called,
            container=f"{called}.{NUMBER}.*",
            label=TASK_LABEL,
            port=port,
            portless=portless,
            inner=inner,
            told=self._told(service, (*place, "environment")),
            body=self._wanted.text,
        )
        return App(self._wanted.name, instances, image, conflicts=alone or fixed, pin=pin, native=own)

    def _add(self, place: Place, found: str, expected: str, hint: str = "", *, key: bool = False) -> None:
        self.problems.append(self._doc.problem(place, found, expected, hint, key=key))

    def _ask(self, found: str, expected: str) -> None:
        self.problems.append(Problem("", 0, 0, found, expected))

    def _version(self, body: Mapping[str, Json]) -> None:
        said = body.get("version")
        if said is None:
            hint = "without it Docker 20.10 takes the file for one of version 1; later ones take it as well"
            self._add((), "no `version`", 'version: "3.8"', hint)
        elif not _VERSION.fullmatch(str(said)):
            self._add(("version",), f"version {shown(said)}", '3 to 3.9, in quotation marks: "3.8"')

    def _note_keys(self, body: Mapping[str, Json], service: Mapping[str, Json], place: Place) -> None:
        """Note what Docker would refuse only once it is handed the file: a key that is misspelt, or stands elsewhere."""
        for path, known in _KEYS.items():
            part: Any = body if not path else service
            for key in path[1:]:
                part = part.get(key) if isinstance(part, dict) else None
            valid = known.split()
            for key in part if isinstance(part, dict) else ():
                if key not in (*valid, _MERGE) and not (path in _EXTENDED and key.startswith("x-")):  # what is merged is told as that
                    where = (*place, *path[1:], key) if path else (key,)
                    what = f"an unknown key {key!r} of {path[-1] or 'a service' if path else 'a stack file'}"
                    self._add(where, what, "a key that `docker stack deploy` knows there", close(key, valid), key=True)

    def _note_variables(self, place: Place, value: Json) -> None:
        """Note what would be filled in from an environment: nobody has that where the file is submitted."""
        if isinstance(value, dict):
            if _MERGE in value:
                self._add(
                    (*place, _MERGE),
                    f"{_MERGE}, a mapping that Docker lays into this one",
                    "its keys themselves, each written out",
                    key=True,
                )
            for key, each in value.items():
                self._note_variables((*place, key), each)
        elif isinstance(value, list):
            for number, each in enumerate(value):
                self._note_variables((*place, number), each)
        elif isinstance(value, str) and (found := _VARIABLE.search(value)):
            hint = "where it is submitted nobody fills it in; a dollar sign itself is $$"
            # Of a value of an environment nothing is repeated.
            what = (
                "a dollar sign alone"
                if found["whole"] == "$"
                else "a variable"
                if _ENVIRONMENT in place
                else f"the variable {found['whole']}"
            )
            self.problems.append(self._doc.problem(place, what, "the value itself", hint, offset=found.start("whole")))

    def _note_files(self, body: Mapping[str, Json], key: str) -> None:
        listed = body.get(key)
        for name, each in listed.items() if isinstance(listed, dict) else ():
            if isinstance(each, dict) and "file" in each:
                what = f"{key.removesuffix('s')} {name} of a file"
                self._add((key, name, "file"), what, "`external: true`: no other file goes along with this one", key=True)

    def _note_folders(self, service: Mapping[str, Json], place: Place) -> None:
        """Note what of a container would be a folder beside the file, or the home of whoever submits it."""
        listed = service.get("volumes")
        for number, each in enumerate(listed if isinstance(listed, list) else ()):
            where, source = ((*place, number, "source"), each.get("source")) if isinstance(each, dict) else ((*place, number), each)
            if isinstance(source, str) and source.startswith((".", "~")):
                what = f"the folder {shown(source.partition(':')[0])} beside this file"
                self._add(where, what, "a path of the nodes from / on, or the name of a volume: no other file goes along with this one")

    def _image(self, service: Mapping[str, Json], place: Place) -> str:
        said = self._wanted.image or service.get("image")
        if said is None:
            built = "; `build` is nothing to a stack" if "build" in service else ""
            self._add(place, f"a service without an image{built}: it makes no container", "`image`", key=True)
            return ""
        if not isinstance(said, str) or not _IMAGE.fullmatch(said):
            self._add(
                (*place, "image"), f"the image {shown(origins.hidden(said) if isinstance(said, str) else said)}", "the name of an image"
            )
            return ""
        return said

    def _instances(self, deploy: Mapping[str, Json], place: Place) -> int:
        mode = deploy.get("mode", "replicated")
        if mode != "replicated":
            self._add((*place, "mode"), f"mode {shown(mode)}", "replicated: instances are numbered tasks, each of which has one home")
        said = deploy.get("replicas", 1)
        if type(said) is not int or not 1 <= said <= _MOST_REPLICAS:
            self._add((*place, "replicas"), f"replicas {shown(said)}", f"a whole number from 1 to {_MOST_REPLICAS}")
            return 1
        if self._wanted.instances not in {None, 0, said}:
            self._ask(
                f"{self._wanted.instances} instances, where {PurePosixPath(self._wanted.file).name} says replicas: {said}",
                f"{said}, or none: the file says it",
            )
        return 0 if self._wanted.instances == 0 else said

    def _note_delay(self, deploy: Mapping[str, Json], place: Place) -> None:
        policy = deploy.get("restart_policy") or {}
        if isinstance(policy, dict) and (policy.get("condition") == "none" or close("delay", [each for each in policy if each != "delay"])):
            return  # there is nothing to wait for; or its delay is misspelt, which is told
        said = policy.get("delay", _DELAY) if isinstance(policy, dict) else None
        seconds = _seconds(str(said))
        if seconds is None:
            self._add((*place, "delay"), shown(said if isinstance(policy, dict) else policy), "a restart_policy, its delay such as 5s")
        elif seconds > self._delay:
            hint = f"`timers: {{restart_delay: {said}}}` in the scenario gives budgets as much"
            told = (
                f"a delay of {said}"
                if isinstance(policy, dict) and "delay" in policy
                else f"no restart_policy with a delay, which is one of {said}"
            )
            self._add((*place, "delay"), told, f"{given(self._delay)} at most, by which budgets go", hint)

    def _placement(self, deploy: Mapping[str, Json], place: Place) -> tuple[str | None, bool]:
        """Return the only node that may run it, and whether no node may run two. What else says where it may run cannot be told beforehand."""
        placement = deploy.get("placement") or {}
        if not isinstance(placement, dict):
            self._add(place, shown(placement), "a mapping")
            return None, False
        most = placement.get("max_replicas_per_node")
        if most is not None and not (type(most) is int and most in {0, 1}):
            expected = "1, or none: how many instances have a home would hang on more than the number of nodes"
            self._add((*place, "max_replicas_per_node"), f"max_replicas_per_node {shown(most)}", expected)
        pins = set()
        constraints = placement.get("constraints") or []
        for number, each in enumerate(constraints if isinstance(constraints, list) else [constraints]):
            pinned = _PINNED.fullmatch(str(each))
            if pinned:
                pins.add(pinned[1])
            elif not str(each).strip().startswith(_ANYWHERE):
                expected = "node.hostname == NODE, or none: by any other it is not known beforehand which nodes may run it"
                self._add((*place, "constraints", number), f"the constraint {shown(each)}", expected)
        if len(pins) > 1:
            self._add((*place, "constraints"), f"constraints to {', '.join(sorted(pins))} at once", "one node")
        return next(iter(pins), None), most == 1

    def _port(self, service: Mapping[str, Json], place: Place) -> tuple[str, str, int, bool]:
        """Return a task's port of its node, or why none is known; the container's, where Docker chooses the node's; whether it keeps tasks apart.

        Two that are to have the same port of a node cannot run on one.
        """
        listed = service.get("ports") or []
        found: list[tuple[str, int]] = []
        why = "" if listed else "it publishes no port"
        for number, each in enumerate(listed if isinstance(listed, list) else [listed]):
            if isinstance(each, dict):
                host, target, protocol = each.get("published"), each.get("target"), each.get("protocol", "tcp")
                if not _NUMBER.fullmatch(str(host or "")) or type(target) is not int:
                    self._add((*place, number), f"published {shown(host)} of target {shown(target)}", "the numbers of two ports")
                    continue
                if each.get("mode") == "host" and protocol == "tcp":
                    found.append((str(host or ""), target))
                    continue
            elif not _SHORT_PORT.fullmatch(str(each)):
                self._add((*place, number), f"the port {shown(each)}", "such as 8000:80, or a mapping with target, published and mode")
            self._note_taken(each, (*place, number))
            why = "it publishes a port for all nodes alike (mode: host is a node's own), so any instance may answer there"
        fixed = any(host for host, _ in found)
        if self._wanted.port:
            if not _NUMBER.fullmatch(self._wanted.port):
                self._ask(f"the port {shown(self._wanted.port)}", "a port, such as 8000")
            return self._wanted.port, "", 0, fixed
        if len(found) == 1:
            return found[0][0], "", 0 if found[0][0] else found[0][1], fixed
        return "", "it publishes several ports of a node's own" if found else why, 0, fixed

    def _note_taken(self, port: Json, place: Place) -> None:
        """Note a port for all nodes alike that the nodes use themselves: Docker asks nobody, and takes it from them."""
        host = str(port.get("published") if isinstance(port, dict) else str(port).rpartition(":")[0].rpartition(":")[2])
        if (whose := self._taken.get(int(host) if _NUMBER.fullmatch(host) and host else 0)) is not None:
            self._add(place, f"port {host}, which is taken by {whose}", "a port that the nodes do not use themselves")

    def _told(self, service: Mapping[str, Json], place: Place) -> bool:
        given = service.get("environment")
        pairs = (
            [((*place, key), key, value) for key, value in given.items()]
            if isinstance(given, dict)
            else [((*place, number), *str(each).partition("=")[::2]) for number, each in enumerate(given)]
            if isinstance(given, list)
            else []
        )
        for where, key, value in pairs:
            if key == "WHALEFALL_INSTANCE":
                expected = f"{self._wanted.name}@{{{{.Task.Slot}}}}"
                if value != expected:
                    self._add(where, f"WHALEFALL_INSTANCE {shown(value)}", f"{expected!r}: so the scenario calls it")
                return True
        return False


def hidden(text: str) -> str:
    """Return a stack file with `HIDDEN` in place of the value of each variable of every environment in it, and without comments.

    Also what Docker itself would refuse is hidden: an environment of any shape, at any place. For text that has been read.
    """
    root = document.composed(text)
    return "" if root is None else str(yaml.serialize(_without_values(root, ()), allow_unicode=True, width=_WIDEST))


def _without_values(node: yaml.Node, place: tuple[str, ...]) -> yaml.Node:
    """Return a node without the values of the environments in it; `place` are the keys on the way to it."""
    if isinstance(node, yaml.MappingNode):
        names = len(place) == 1 and place[0] in _NAMING
        pairs = [
            (
                key,
                _hidden(value)
                if not names and str(key.value).lower() == _ENVIRONMENT
                else _without_values(value, (*place, str(key.value))),
            )
            for key, value in node.value
        ]
        return yaml.MappingNode(node.tag, pairs, flow_style=node.flow_style)
    if isinstance(node, yaml.SequenceNode):
        return yaml.SequenceNode(node.tag, [_without_values(each, (*place, "")) for each in node.value], flow_style=node.flow_style)
    return node


def _hidden(node: yaml.Node) -> yaml.Node:
    """Return an environment without its values."""
    if isinstance(node, yaml.MappingNode):
        return yaml.MappingNode(node.tag, [(key, _text_node(HIDDEN)) for key, _ in node.value], flow_style=node.flow_style)
    if isinstance(node, yaml.SequenceNode):
        return yaml.SequenceNode(node.tag, [_hidden(each) for each in node.value], flow_style=node.flow_style)
    name, equals, _ = str(node.value).partition("=")
    return _text_node(f"{name}={HIDDEN}") if equals else node if _VARIABLES_NAME.fullmatch(name) else _text_node(HIDDEN)


def _text_node(text: str) -> yaml.Node:
    return yaml.ScalarNode("tag:yaml.org,2002:str", text, style='"')
