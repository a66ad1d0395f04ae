"""An app's own unit file, taken as it stands: read as fleetctl reads it, and what follows from it. Pure: nothing of it is run.

A template (``web@.service``) has as many instances as a scenario says; any other unit is one. What makes the container is its one `docker run`, or a
`docker create` before a `docker start`; by what that calls the container, or by a label, the container is followed.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from harness.core.errors import BadInput, HarnessError, Problem
from harness.core.naming import shown
from harness.core.values import MOST_INSTANCES, NUMBER, App, Definition
from harness.host import origins
from harness.modes.fleet import docker_run, unit_files
from harness.modes.fleet.docker_run import Command, DockerRun, Piece

if TYPE_CHECKING:
    from harness.core.protocols import OwnApp

_UNIT: Final = re.compile(r"(?P<prefix>[A-Za-z0-9:_.\\-]{1,128})(?P<at>@(?P<instance>[A-Za-z0-9:_.\\-]{0,64}))?\.service")
_ENDS: Final = (
    "the line before goes on only where nothing stands behind its backslash: no blank, and no carriage return, as Windows ends lines"
)
_CONTAINER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.%-]{0,127}")
_LABEL: Final = re.compile(r"[A-Za-z0-9._/-]{1,128}")
_SAID: Final = re.compile(r"[A-Za-z0-9_.@/:%-]{1,200}")
_PORT: Final = re.compile(r"[0-9]{0,5}%?[0-9]{0,5}")
_SPECIFIER: Final = re.compile(r"%(.)|\$\{?[A-Za-z_][A-Za-z0-9_]*\}?|%$", re.DOTALL)
_FEW: Final = (2, 3, 10)
"""Numbers of instances by which it is told whether a pattern is about all others of them."""
_X: Final = "X-Fleet"


@dataclass(frozen=True, slots=True)
class Written:
    """One option of a unit file, and where its value begins."""

    option: unit_files.Option
    line: int
    column: int

    def at(self, offset: int) -> tuple[int, int]:
        """Return the line and the column of a place in the value."""
        before = self.option.value[:offset]
        lines = before.count("\n")
        return (self.line + lines, len(before) - before.rfind("\n")) if lines else (self.line, self.column + offset)


class Unknown(ValueError):
    """A text hangs on something that only the machine knows on which the unit runs."""


@dataclass(frozen=True, slots=True)
class UnitName:
    """The name of a unit file, and what systemd puts in its place."""

    prefix: str
    instance: str | None  # None for a unit that has none

    @property
    def template(self) -> bool:
        """Whether it is one of which there are instances."""
        return self.instance == ""

    @property
    def called(self) -> str:
        """What fleet calls the unit, with `NUMBER` for the number of an instance."""
        return self.prefix + ("" if self.instance is None else f"@{self.instance or NUMBER}") + ".service"

    def expanded(self, text: str) -> str:
        """Return a text with all that systemd expands in it. Raises `Unknown` where that is known on its machine alone."""
        instance = (self.instance or NUMBER) if self.instance is not None else ""
        whole = self.called.removesuffix(".service")
        known = {"i": instance, "I": instance, "p": self.prefix, "P": self.prefix, "n": self.called, "N": whole, "%": "%%"}

        def one(found: re.Match[str]) -> str:
            if found[1] not in known:
                raise Unknown(found[0])
            return known[found[1]]

        return _SPECIFIER.sub(one, text)


def options(text: str, file: str) -> list[Written]:
    """Read a unit file as fleetctl reads it, every option with its value as it stands. Raises `BadInput` with all that is none."""
    found: list[Written] = []
    problems: list[Problem] = []
    section = ""
    lines = text.split("\n")
    number = 0
    while number < len(lines):
        line, number = lines[number], number + 1
        if "\r" in line.rstrip():
            problems.append(
                Problem(file, number, line.index("\r") + 1, "a carriage return", "none within a line: systemd ends the line there")
            )
        if len(line.encode()) > unit_files.LONGEST_LINE:
            problems.append(
                Problem(file, number, 1, f"a line of {len(line.encode())} bytes", f"{unit_files.LONGEST_LINE} at most, as fleet reads it")
            )
        bare = line.strip()
        if not bare or bare[0] in "#;":
            continue
        if bare.startswith("["):
            section = bare[1:-1] if bare.endswith("]") else ""
            if not section:
                problems.append(
                    Problem(file, number, line.index("[") + 1, "a [ without an end", "the name of a section, such as [Service]")
                )
            continue
        name, equals, rest = line.partition("=")
        if not equals or not section:
            # Without its text, which is anybody's where this is another file than was meant.
            said = ("a line that is no setting", "NAME=VALUE") if not equals else ("a setting", "a section above it, such as [Unit]")
            before = lines[number - 2] if number > 1 else ""
            hint = _ENDS if before != before.rstrip() and before.rstrip().endswith("\\") else ""
            problems.append(Problem(file, number, len(line) - len(line.lstrip()) + 1, *said, hint))
            continue
        first = number
        value = rest
        while value.endswith("\\") and number < len(lines) and lines[number].strip():
            value += "\n" + lines[number]
            number += 1
        kept = value.strip()
        column = len(name) + 2 + len(rest) - len(rest.lstrip())
        found.append(Written(unit_files.Option(section, name.strip(), kept), first, column))
    if problems:
        raise BadInput(problems)
    return found


def render(app: App) -> tuple[unit_files.UnitFile, ...]:
    """Return the units of an app that has a unit file of its own, one an instance: each of them is that file as it stands."""
    own = app.native
    if own is None:
        raise ValueError(f"{app.name} has no unit file of its own")
    told = tuple(each.option for each in options(own.body, own.file))
    return tuple(unit_files.UnitFile(own.name(number), told) for number in range(1, app.instances + 1))


def files(app: App) -> tuple[unit_files.UnitFile, ...]:
    """Return the units of any app, one an instance. Raises as `harness.modes.fleet.unit_files.render`."""
    return unit_files.render(app) if app.native is None else render(app)


def define(wanted: OwnApp) -> App:
    """Return the app that a unit file makes; see `harness.core.protocols.Defining.define`."""
    reading = _Reading(wanted)
    app = reading.app()
    if reading.problems or app is None:
        raise BadInput(reading.problems)
    return app


def clashes(apps: Sequence[App]) -> Iterator[tuple[str, str, str]]:
    """Yield what keeps apps from running beside each other; see `harness.core.protocols.Defining.clashes`."""
    for number, app in enumerate(apps):
        for other in apps[:number]:
            if app.native is None and other.native is None:
                continue
            mine, theirs = _called(app), _called(other)
            for what, one, two in zip(("units", "containers"), mine, theirs, strict=True):
                if one == two:
                    said = f"{what} of {app.name} that are called {one.replace(NUMBER, '%i')}, as those of {other.name}"
                    yield app.name, said, f"{what} of its own for each app"
        for pattern in _conflicts(app):
            for other in apps:
                if other is not app and any(fnmatch.fnmatchcase(unit, pattern) for unit in _units(other)):
                    expected = "a rule about its own units alone: how many homes it has would hang on where the other runs"
                    yield app.name, f"Conflicts={pattern} in the unit of {app.name}, which is about {other.name}", expected


def _called(app: App) -> tuple[str, str]:
    """Return what the units and the containers of an app are called."""
    if app.native is None:
        return f"{app.name}@{NUMBER}.service", f"{app.name}-{NUMBER}"
    return app.native.called, app.native.container if not app.native.label else f"{app.native.label}={app.native.container}"


def _units(app: App) -> Iterator[str]:
    """Yield what some of an app's units are called."""
    for number in (1, *_FEW):
        yield _called(app)[0].replace(NUMBER, str(number))


def _conflicts(app: App) -> Iterator[str]:
    """Yield the patterns of units beside which fleet runs none of an app with a unit file of its own."""
    own = app.native
    name = _name_of(own.file) if own is not None else None
    if own is not None and name is not None:
        for each in options(own.body, own.file):
            yield from _patterns(each, name)


def _patterns(written: Written, name: UnitName) -> Iterator[str]:
    """Yield the patterns of units beside which fleet runs none of this one."""
    option = written.option
    if (option.section, option.name) in {(_X, "Conflicts"), (_X, "X-Conflicts")}:
        for pattern in option.value.split():
            try:
                yield name.expanded(pattern).replace("%%", "%")
            except Unknown:
                yield pattern


def _name_of(file: str) -> UnitName | None:
    found = _UNIT.fullmatch(PurePosixPath(file).name)
    return UnitName(found["prefix"], found["instance"] if found["at"] else None) if found else None


class _Reading:
    """A unit file that is being read, and what is wrong with it."""

    def __init__(self, wanted: OwnApp) -> None:
        self._wanted = wanted
        self._file = wanted.file
        self.problems: list[Problem] = []
        self._name = UnitName("", None)
        self._unread = False  # whether a command could not be read: then nothing is known to be missing

    def app(self) -> App | None:
        name = _name_of(self._file)
        if name is None:
            found = f"the name {shown(PurePosixPath(self._file).name)}"
            self.problems.append(Problem(self._file, 0, 0, found, "the name of a unit, such as web@.service or web.service"))
            return None
        self._name = name
        instances = self._instances()
        try:
            written = options(self._wanted.text, self._file)
        except BadInput as error:
            self.problems += error.problems
            return None
        commands = self._commands(written)
        maker = self._maker(written, commands)
        run = docker_run.read(maker[1].given) if maker else DockerRun()
        where = maker[0] if maker else None
        self._note_pulls(commands)
        label, container = self._followed(run, where, made=maker is not None)
        image = self._image(run, where, made=maker is not None)
        port, portless = self._port(run)
        own = Definition(
            mode="fleet",
            file=self._file,
            text=unit_files.hidden(self._wanted.text),
            called=name.called,
            container=container,
            label=label,
            port=port,
            portless=portless,
            told=self._told(run, where),
            most=MOST_INSTANCES if name.template else 1,
            body=self._wanted.text,
        )
        many = 1 if instances is None else instances
        return App(self._wanted.name, many, image, conflicts=self._own_rule(written), pin=self._pin(written), native=own)

    # -- what a scenario says

    def _instances(self) -> int | None:
        given = self._wanted.instances
        if self._name.template:
            if given is None:
                self._ask(
                    f"no `instances` of {PurePosixPath(self._file).name}", f"how many of this template are to run: 0 to {MOST_INSTANCES}"
                )
            return given
        if given not in {None, 0, 1}:
            what = f"{given} instances of {PurePosixPath(self._file).name}, which is one unit"
            self._ask(what, f"1, or a template: {self._name.prefix}@.service")
        return 0 if given == 0 else 1

    def _ask(self, found: str, expected: str) -> None:
        self.problems.append(Problem("", 0, 0, found, expected))

    def _add(self, written: Written, word: Piece | None, found: str, expected: str, hint: str = "") -> None:
        self.problems.append(Problem(self._file, *written.at(word.start if word else 0), found, expected, hint))

    # -- what makes the container

    def _commands(self, written: Sequence[Written]) -> list[tuple[Written, Command]]:
        found = []
        for each in written:
            if each.option.section == "Service" and each.option.name in {"ExecStartPre", "ExecStart"} and each.option.value:
                try:
                    found.append((each, docker_run.command(each.option.value)))
                except ValueError as error:
                    self._add(each, None, str(error), "one more at the end of the text")
                    self._unread = True
            elif (each.option.section, each.option.name) == ("Service", "Environment"):
                try:
                    list(docker_run.words(each.option.value))
                except ValueError as error:
                    self._add(each, None, str(error), "one more at the end of the text")
            elif (each.option.section, each.option.name, each.option.value) == ("Service", "Type", "oneshot"):
                self._add(each, None, "Type=oneshot", "a service that runs for as long as its container does")
        return found

    def _maker(self, written: Sequence[Written], commands: Sequence[tuple[Written, Command]]) -> tuple[Written, Command] | None:
        """Return the one command that makes the container; None where the scenario has to say what follows from it, or there is none."""
        makers = [
            each for each in commands if each[1].docker == "create" or (each[0].option.name == "ExecStart" and each[1].docker == "run")
        ]
        if len(makers) == 1:
            return makers[0]
        if len(makers) > 1:
            for each, made in makers[1:]:
                self._add(each, made.words[0], "a second container", "one container a unit: an app is what is made of one image")
            return None
        starts = [each for each in commands if each[0].option.name == "ExecStart"]
        if self._unread or (self._wanted.container and self._wanted.image and starts):
            return None
        lines = [each for each in written if each.option.section == "Service"]
        expected = "an ExecStart with one `docker run` that stays in the foreground"
        if not starts:
            self.problems.append(
                Problem(self._file, lines[0].line if lines else 0, 1 if lines else 0, "no ExecStart: it makes no container", expected)
            )
        else:
            each, made = starts[0]
            what = f"{shown(made.words[0].text)} in ExecStart" if made.words else "an empty ExecStart"
            hint = "where a script makes the container, say in the scenario what it calls it: `native: {file: …, container: NAME, image: IMAGE}`"
            self._add(each, None, f"{what}: what it makes cannot be told", expected, hint)
        return None

    def _note_pulls(self, commands: Sequence[tuple[Written, Command]]) -> None:
        for each, command in commands if self._wanted.builds else ():
            if command.docker == "pull" and not command.may_fail:
                hint = "nodes reach no registry, and have the image already"
                self._add(each, command.words[0], "a `docker pull` that must succeed", "none, or one that may fail: a dash before it", hint)

    # -- what is told of it

    def _expanded(self, text: str) -> str | None:
        try:
            return self._name.expanded(text)
        except Unknown:
            return None

    def _followed(self, run: DockerRun, where: Written | None, *, made: bool) -> tuple[str, str]:
        """Return the label, or nothing, and what stands in it, or in the container's name, by which containers are told apart."""
        if self._wanted.container:
            own = self._wanted.container.replace("%i", NUMBER)
            if not _CONTAINER.fullmatch(own) or own.count(NUMBER) > 1 or self._unnumbered(own):
                self._ask(f"the container {shown(self._wanted.container)}", f"the name of a container{self._sign}")
            return "", own
        if not made or where is None:
            return "", ""
        if run.said("--detach"):
            hint = "systemd takes a unit for ended when its command ends"
            self._add(
                where, run.said("--detach")[0], "a container in the background (-d)", "a `docker run` that stays in the foreground", hint
            )
        for word in run.said("--label"):
            key, _, value = word.text.partition("=")
            told = self._expanded(value) or ""
            if told.count(NUMBER) == 1 and _LABEL.fullmatch(key) and _SAID.fullmatch(told):
                return key, told
        return "", self._container(run, where)

    def _container(self, run: DockerRun, where: Written) -> str:
        """Return what containers are called."""
        names = run.said("--name")
        if not names:
            say = f"or say it in the scenario: `native: {{file: …, container: {self._name.prefix}{'-%i' if self._name.template else ''}}}`"
            self._add(where, None, "a container without a name", f"a --name{self._sign}", say)
            return ""
        name = names[-1]
        said = self._expanded(name.text) or ""
        if not _CONTAINER.fullmatch(said) or said.count(NUMBER) > 1:
            what = f"the container's name {shown(name.text)}, which cannot be followed"
            self._add(where, name, what, f"a name that is known beforehand{self._sign}")
        elif self._unnumbered(said):
            what = f"the name {shown(name.text)} for the container of every instance: they cannot be told apart"
            self._add(where, name, what, f"a --name{self._sign}", "or a --label with %i in it")
        return said

    @property
    def _sign(self) -> str:
        """What a name must have that tells instances apart."""
        return f", with %i in it: {self._name.prefix}-%i" if self._name.template else ""

    def _unnumbered(self, said: str) -> bool:
        """Whether the instances of a template cannot be told apart by something."""
        return self._name.template and NUMBER not in said

    def _image(self, run: DockerRun, where: Written | None, *, made: bool) -> str:
        if self._wanted.image:
            return self._wanted.image
        if not made or where is None:
            return ""
        if run.image is None or not run.image.text:  # a backslash at the end of the line leaves an empty word
            self._add(where, None, "a `docker run` without an image", "the name of an image")
            return ""
        said = self._expanded(run.image.text) or ""
        try:
            unit_files.check_image(said)
        except HarnessError:
            hint = "or say it in the scenario: `native: {file: …, image: IMAGE}`"
            self._add(
                where, run.image, f"the image {shown(origins.hidden(run.image.text))}", "the name of an image, known beforehand", hint
            )
        return said

    def _port(self, run: DockerRun) -> tuple[str, str]:
        """Return the port of its node on which an instance answers, or why none is known."""
        if self._wanted.port:
            own = self._wanted.port.replace("%i", NUMBER)
            if not _PORT.fullmatch(own) or not own.strip(NUMBER):
                self._ask(f"the port {shown(self._wanted.port)}", "a port, with %i for the number of an instance: 8000, or 80%i")
            return own, ""
        texts = [word.text for word in run.said("--publish")]
        ports = {port for text in texts if (port := docker_run.published(self._expanded(text) or "")) is not None}
        if len(ports) == 1:
            return ports.pop(), ""
        if not texts:
            return "", "its `docker run` publishes no port"
        many = "more than one port" if ports else "no certain port of TCP for others"
        return "", f"its `docker run` publishes {many}: {', '.join(texts)}"

    def _told(self, run: DockerRun, where: Written | None) -> bool:
        for word in run.said("--env"):
            name, equals, value = word.text.partition("=")
            if name == "WHALEFALL_INSTANCE" and equals and where is not None:
                expected = f"{self._wanted.name}@{'%i' if self._name.template else 1}"
                if self._expanded(value) != expected.replace("%i", NUMBER):
                    self._add(where, word, f"WHALEFALL_INSTANCE={value}", f"{expected}, as the scenario calls it")
                return True
        return False

    # -- where it may run

    def _own_rule(self, written: Sequence[Written]) -> bool:
        """Whether fleet never runs two of its instances on one machine."""
        for each in written:
            for pattern in _patterns(each, self._name):
                others = [self._name.called.replace(NUMBER, str(number)) for number in _FEW] if self._name.template else []
                matched = [fnmatch.fnmatchcase(other, pattern.replace(NUMBER, "1")) for other in others]
                if matched and all(matched):
                    return True
                if any(matched):
                    expected = f"all of them ({self._name.prefix}@*.service), or none"
                    self._add(each, None, f"Conflicts={pattern}, which is about some of its own instances", expected)
        return False

    def _pin(self, written: Sequence[Written]) -> str | None:
        """Return the only node that may run it. What else says where it may run cannot be told beforehand."""
        asked: dict[str, set[str]] = {}
        for each in written:
            option = each.option
            if option.section != _X:
                continue
            bare = option.name.removeprefix("X-").removeprefix("Condition")
            if bare == "MachineMetadata":
                for pair in re.findall(r'"([^"]*)"|(\S+)', option.value):
                    key, _, value = (pair[0] or pair[1]).partition("=")
                    asked.setdefault(key, set()).add(value)
                if set(asked) != {"name"} or len(asked["name"]) > 1:
                    self._add(
                        each, None, f"{option.name}={option.value}", "name=NODE: by that alone it is known beforehand which node that is"
                    )
            elif bare in {"MachineID", "BootID", "MachineBootID"}:
                self._add(each, None, f"{option.name}={option.value}", "MachineMetadata=name=NODE: a machine's id is not known beforehand")
            elif bare == "MachineOf":
                self._add(
                    each, None, f"{option.name}={option.value}: it runs only where that unit does", "a unit that has a home of its own"
                )
            elif bare == "Global" and option.value.lower() not in {"false", "0", "no", "off", "n", "f"}:
                self._add(
                    each, None, f"{option.name}={option.value}: one on every machine", "a unit with instances, each of which has one home"
                )
        return next(iter(asked.get("name", ())), None)


ENDINGS: Final[Mapping[str, str]] = {".service": "a unit file of fleet's"}
"""How the names of unit files end."""
