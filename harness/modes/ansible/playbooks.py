"""An app's own playbook, taken as it stands: which of its tasks makes the app's containers, and what follows from that. Pure: nothing of it is run.

What Ansible does on the machine that plays it (lookups, whatever else a template calls, a task that names this machine by one) has that machine's
rights, and no reading could tell all of it: plans say so. What plainly says that it is for this machine is refused, since it is none of the nodes.

A playbook says where it is played (`hosts`) and what is done there. The inventory is the run's, with a group an app, called as the app is: a play is
for ``all``, for nodes by their names, or for such groups. Containers are followed by their names, or by a label that says which instance each is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import yaml

from harness import document
from harness.core.errors import BadInput, Problem
from harness.core.instances import INSTANCE_LABEL
from harness.core.naming import close, shown
from harness.core.values import HIDDEN, NUMBER, App, Definition
from harness.host import origins

if TYPE_CHECKING:
    from harness.core.protocols import OwnApp
    from harness.core.values import Json
    from harness.document import Document, Place

ENDINGS: Final[Mapping[str, str]] = {".yml": "a playbook of Ansible's", ".yaml": "a playbook of Ansible's"}
"""How the names of playbooks end."""
WRITTEN: Final = "%i"
"""How a scenario writes the number of an instance in what a definition calls things."""
_MODULE: Final = "community.docker.docker_container"
_MODULES: Final = frozenset({_MODULE, "docker_container"})
_TASKS: Final = ("pre_tasks", "tasks", "post_tasks", "handlers", "block", "rescue", "always")
_ELSEWHERE: Final = frozenset(
    {
        "import_playbook",
        "roles",
        "vars_files",
        "import_tasks",
        "include_tasks",
        "import_role",
        "include_role",
        "include_vars",
        "vars_prompt",
    }
)
"""What is in other files than the playbook, or must be typed by somebody."""
_HERE: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.%-]{0,127}")
_IMAGE: Final = re.compile(origins.CALLED)
_PORT: Final = re.compile(r"[0-9]{0,5}%?[0-9]{0,5}")
_PUBLISHED: Final = re.compile(r"(?:0\.0\.0\.0:)?(?P<host>[0-9]{1,5}):(?P<inner>[0-9]{1,5})(?:/tcp)?")
_FILLED_IN: Final = "{{"
_SECRET: Final = re.compile(r"(?i)pass|secret|token|(?<![a-z])key$|credential")
_VARIABLES: Final = frozenset({"env", "environment", "vars"})
_WIDEST: Final = 1000
"""Columns of a line of what is kept of a playbook, where it has a place to be broken at."""


@dataclass(frozen=True, slots=True)
class _Task:
    """A task that makes containers."""

    place: Place  # of the module's arguments
    hosts: str  # for which its play is
    arguments: Mapping[str, Json]

    def said(self, *keys: str) -> Json:
        """Return the first argument of these names that is there."""
        return next((self.arguments[key] for key in keys if key in self.arguments), None)


def define(wanted: OwnApp) -> App:
    """Return the app that a playbook makes; see `harness.core.protocols.Defining.define`."""
    numbered = {name: getattr(wanted, name).replace(WRITTEN, NUMBER) for name in ("container", "port")}
    wanted = replace(wanted, **numbered)
    if not wanted.text.strip():
        raise BadInput([Problem(wanted.file, 0, 0, "an empty file: it makes no container", "a playbook: a list of plays")])
    reading = _Reading(wanted, document.parse(wanted.text, wanted.file))
    app = reading.app()
    if reading.problems or app is None:
        raise BadInput(reading.problems)
    return app


def clashes(apps: Sequence[App]) -> Iterator[tuple[str, str, str]]:
    """Yield what keeps apps from running beside each other; see `harness.core.protocols.Defining.clashes`."""
    seen: dict[tuple[str, str], str] = {}
    for app in apps:
        if app.native is not None:
            other = seen.setdefault((app.native.label, app.native.container), app.name)
            if other != app.name:
                yield app.name, f"containers called {app.native.container}, as those of {other}", "names of its own for each app"


class _Reading:
    """A playbook that is being read, and what is wrong with it."""

    def __init__(self, wanted: OwnApp, doc: Document) -> None:
        self._wanted = wanted
        self._doc = doc
        self.problems: list[Problem] = list(doc.problems)
        self._makers = 0  # tasks that make containers
        self._alike: list[Problem] = []  # modules that may have been meant for the one that makes them

    def app(self) -> App | None:
        plays = self._doc.value
        if not isinstance(plays, list) or not plays:
            self._add((), shown(plays), "a playbook: a list of plays, each with hosts and tasks")
            return None
        tasks: list[_Task] = []
        for number, play in enumerate(plays):
            tasks += self._play(play, (number,))
        self._makers = len(tasks)
        if not tasks:
            self.problems += self._alike
        task = self._one(tasks)
        container, label = self._container(task)
        image = self._image(task)
        port, portless = self._port(task)
        if self.problems:
            return None
        several = NUMBER in container
        own = Definition(
            mode="ansible",
            file=self._wanted.file,
            text=hidden(self._wanted.text),
            called=self._wanted.name,
            container=container,
            label=label,
            port=port,
            portless=portless,
            told="WHALEFALL_INSTANCE" in str(task.said("env") if task else ""),
            most=100 if several else 1,
            here=True,
            body=self._wanted.text,
        )
        many = self._wanted.instances
        if many is not None and many > own.most:
            self.problems.append(
                Problem("", 0, 0, f"{many} instances, whose containers are all called {container}", f"1, or a name with {WRITTEN} in it")
            )
            return None
        return App(self._wanted.name, 1 if many is None else many, image, native=own)

    def _add(self, place: Place, found: str, expected: str, hint: str = "", *, key: bool = False) -> None:
        self.problems.append(self._doc.problem(place, found, expected, hint, key=key))

    def _ask(self, found: str, expected: str) -> None:
        self.problems.append(Problem("", 0, 0, found, expected))

    def _play(self, play: Json, place: Place) -> Iterator[_Task]:
        if not isinstance(play, dict):
            self._add(place, shown(play), "a play: a mapping with hosts and tasks")
            return
        self._note_elsewhere(play, place)
        hosts = play.get("hosts")
        if "hosts" not in play:
            if "import_playbook" not in play:
                self._add(
                    place, "a play without hosts", f"hosts: all, names of nodes, or {self._wanted.name}, the group of this app", key=True
                )
        elif {*re.split(r"[:,\s]+", ",".join(map(str, hosts)) if isinstance(hosts, list) else str(hosts))} & _HERE or _is_local(play):
            self._add((*place, "hosts"), "a play on this machine", "plays on nodes: this machine is none of the cluster's")
        yield from self._tasks(play, place, str(hosts))

    def _tasks(self, part: Mapping[str, Json], place: Place, hosts: str) -> Iterator[_Task]:
        """Yield the tasks of a play, or of a block, that make containers."""
        for key in _TASKS:
            listed = part.get(key)
            if key in part and not isinstance(listed, list) and listed is not None:
                self._add((*place, key), shown(listed), "a list of tasks")
            for number, task in enumerate(listed if isinstance(listed, list) else ()):
                at = (*place, key, number)
                if not isinstance(task, dict):
                    self._add(at, shown(task), "a task: a mapping with a module")
                    continue
                self._note_elsewhere(task, at)
                if str(task.get("delegate_to", "")) in _HERE or "local_action" in task or _is_local(task):
                    self._add(at, "a task on this machine", "tasks on nodes: this machine is none of the cluster's", key=True)
                self._note_alike(task, at)
                for module in _MODULES & {*task}:
                    arguments = task[module]
                    if isinstance(arguments, dict):
                        if arguments.get("state") not in {"absent", "stopped"}:
                            yield _Task((*at, module), hosts, arguments)
                    else:
                        self._add((*at, module), shown(arguments), "a mapping with name and image")
                yield from self._tasks(task, at, hosts)

    def _note_alike(self, task: Mapping[str, Json], place: Place) -> None:
        """Keep in mind a module that may be the one that makes containers, with a slip in its name."""
        for key in {*task} - _MODULES:
            if near := close(key, _MODULES):
                expected = f"{_MODULE}, which makes what is to be followed"
                self._alike.append(self._doc.problem((*place, key), f"the module {key}", expected, near, key=True))

    def _note_elsewhere(self, part: Mapping[str, Json], place: Place) -> None:
        for key in part:
            if key.rpartition(".")[2] in _ELSEWHERE:
                self._add((*place, key), key, "all of it in this file: no other goes along with it, and nobody can be asked", key=True)

    def _one(self, tasks: Sequence[_Task]) -> _Task | None:
        """Return the task that makes the app's containers; None where it cannot be told, which matters only if something is asked of it."""
        called = [each for each in tasks if self._wanted.container and str(each.said("name")) == self._wanted.container]
        own = [each for each in tasks if each.hosts == self._wanted.name]
        return next((some[0] for some in (called, own, tasks) if len(some) == 1), None)

    def _container(self, task: _Task | None) -> tuple[str, str]:
        """Return how the containers are called, and the label that says so, where it is one."""
        asked = self._wanted.container
        if asked:
            if not _NAME.fullmatch(asked) or asked.count(NUMBER) > 1:
                self._ask(
                    f"the container {shown(asked)}",
                    f"its name, with {WRITTEN} for the number of an instance, such as {self._wanted.name}-{WRITTEN}",
                )
            return asked, ""
        expected = f"`native: {{file: …, container: {self._wanted.name}-{WRITTEN}}}`, or a label {INSTANCE_LABEL}: {self._wanted.name}@NUMBER on each"
        if task is None:
            several = f"several tasks make containers, none of which is for {self._wanted.name} alone"
            self._ask(f"a container's name: {several if self._makers else f'no task of {_MODULE} makes one'}", expected)
            return "", ""
        labels = task.said("labels")
        if isinstance(labels, dict) and INSTANCE_LABEL in labels:
            return f"{self._wanted.name}@{NUMBER}", INSTANCE_LABEL
        name = task.said("name")
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            self._ask(f"a container's name: {shown(name)} is known on its host alone", expected)
            return "", ""
        return name, ""

    def _image(self, task: _Task | None) -> str:
        said = self._wanted.image or (task.said("image") if task else None)
        if not isinstance(said, str) or _FILLED_IN in said:
            self._ask(
                f"the image of {self._wanted.name}: {shown(said) if said else 'none'}",
                "`native: {file: …, image: NAME}`, which the nodes then have",
            )
            return ""
        if not _IMAGE.fullmatch(said):
            place = (*task.place, "image") if task and not self._wanted.image else ()
            self._add(place, f"the image {shown(origins.hidden(said))}", "the name of an image")
            return ""
        return said

    def _port(self, task: _Task | None) -> tuple[str, str]:
        """Return the port of its host on which an instance answers, or why none is known."""
        if self._wanted.port:
            if not _PORT.fullmatch(self._wanted.port):
                self._ask(f"the port {shown(self._wanted.port)}", f"a port, such as 8000, or 80{WRITTEN} with the number of the instance")
            return self._wanted.port, ""
        listed = task.said("published_ports", "ports") if task else None
        each = listed if isinstance(listed, list) else [listed] if listed else []
        found = [_PUBLISHED.fullmatch(str(one)) for one in each]
        known = [one["host"] for one in found if one is not None]
        if len(known) == 1 and len(each) == 1:
            return known[0], ""
        why = "it publishes several ports" if len(each) > 1 else "its port is known on its host alone" if each else "it publishes no port"
        return "", why


def _is_local(part: Mapping[str, Json]) -> bool:
    """Whether a play, a block or a task says that it is done without a connection."""
    given = part.get("vars")
    said = (part.get("connection"), given.get("ansible_connection") if isinstance(given, dict) else None)
    return any(str(each).rpartition(".")[2] == "local" for each in said)


def hidden(text: str) -> str:
    """Return a playbook with `HIDDEN` in place of every value that may be a secret, and without comments. For text that has been read.

    That is each variable of an environment, or of `vars`, and whatever stands under a key that speaks of a secret.
    """
    root = document.composed(text)
    return "" if root is None else str(yaml.serialize(_without(root, secret=False), allow_unicode=True, width=_WIDEST))


def secrets(text: str) -> tuple[str, ...]:
    """Return the values that `hidden` hides, which must not stand in anything that is kept or shown."""
    root = document.composed(text)
    return () if root is None else tuple(dict.fromkeys(_values(root, secret=False)))


def _values(node: yaml.Node, *, secret: bool) -> Iterator[str]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _values(value, secret=secret or _hides(key))
    elif isinstance(node, yaml.SequenceNode):
        for each in node.value:
            yield from _values(each, secret=secret)
    elif secret and node.value:
        yield str(node.value)


def _without(node: yaml.Node, *, secret: bool) -> yaml.Node:
    if isinstance(node, yaml.MappingNode):
        pairs = [(key, _without(value, secret=secret or _hides(key))) for key, value in node.value]
        return yaml.MappingNode(node.tag, pairs, flow_style=node.flow_style)
    if isinstance(node, yaml.SequenceNode):
        return yaml.SequenceNode(node.tag, [_without(each, secret=secret) for each in node.value], flow_style=node.flow_style)
    return yaml.ScalarNode("tag:yaml.org,2002:str", HIDDEN, style='"') if secret else node


def _hides(key: Any) -> bool:
    name = str(key.value)
    return name in _VARIABLES or _SECRET.search(name) is not None
