"""An app's instances as fleet units. Pure.

The unit is the one that people wrote for Docker under fleet: it clears away what a crash may have left (``-`` before a command: never mind if
it fails), gives Docker all the time it wants, and lets fleet restart nothing on the spot.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NamedTuple

from harness.core.errors import HarnessError
from harness.core.instances import APP_LABEL, INSTANCE_LABEL, number_of
from harness.core.values import ALWAYS, HIDDEN, MOST_INSTANCES, ON_FAILURE
from harness.host import origins
from harness.modes.fleet import docker_run

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from harness.core.values import App, ContainerLimits, Health

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}")
_IMAGE = re.compile(origins.CALLED)
_SUFFIX = ".service"
_DOCKER = "/usr/bin/docker"
LONGEST_LINE = 2048
"""Bytes of a line that fleet's reader of units takes at most (go-systemd's ``SYSTEMD_LINE_MAX``)."""


@dataclass(frozen=True, slots=True)
class Option:
    """One line of a unit file."""

    section: str
    name: str
    value: str


@dataclass(frozen=True, slots=True)
class UnitFile:
    """A unit as fleet is given it."""

    name: str  # e.g. web@1.service
    options: tuple[Option, ...]

    def shown(self) -> str:
        """Give the unit as a unit file for others to read: see `hidden`."""
        return hidden(self.text())

    def text(self) -> str:
        """Give the unit as a unit file."""
        lines: list[str] = []
        section = ""
        for option in self.options:
            if option.section != section:
                section = option.section
                lines += ["", f"[{section}]"] if lines else [f"[{section}]"]
            lines.append(f"{option.name}={option.value}")
        return "\n".join(lines) + "\n"


_ENV: Final = re.compile(r"--env=|-[A-Za-z]*e=?")
"""The beginning of a word that gives a container a variable in itself."""
_GLUED: Final = re.compile(r"(?:\\\n\S+)*")
"""What stands at the beginning of the next line where a word ends at the end of one: another word to systemd, and hardly to whoever wrote it."""
_BARE: Final = re.compile(r"[^\s\"'\\]+")
_SECRET: Final = frozenset({"setcredential", "setcredentialencrypted", "standardinputtext", "standardinputdata"})
"""Settings, in lower case, whose value is what a service is told and nobody else."""


class _Cut(NamedTuple):
    """From where to where a text is replaced, and by what."""

    start: int
    end: int
    instead: str


def hidden(text: str) -> str:
    """Return a unit file with `HIDDEN` in place of the value of each variable that it puts into an environment: its own, and its containers'.

    So it does with credentials, and with what a service reads from its input. Words are those that systemd reads. What cannot be split into words is
    hidden whole, and so is every comment. Too much may be hidden of what looks like a variable and is none, and never too little.
    """
    lines = text.split("\n")
    cuts = [*_of_comments(lines)]
    # Readers differ on whether a line goes on behind a comment or an empty line, and where blanks stand behind its backslash, as with the ends of
    # lines of Windows: fleet takes those away, and then systemd goes on. A value is hidden by any reading.
    trimmed = [*map(_with_backslash_last, lines)]
    for goes_on in (False, True):
        for read in (lines,) if trimmed == lines else (lines, trimmed):
            for name, value, start in _settings(read, goes_on=goes_on):
                cuts += [_Cut(start + each.start, start + each.end, each.instead) for each in _of_setting(name, value)]
    kept: list[str] = []
    place = 0
    for cut in sorted(cuts):
        if cut.start >= place:
            kept += [text[place : cut.start], cut.instead]
        elif cut.end > place:
            kept.append(HIDDEN)
        place = max(place, cut.end)
    return "".join(kept) + text[place:]


def _is_comment(line: str) -> bool:
    return line.lstrip()[:1] in {"#", ";"}


def _with_backslash_last(line: str) -> str:
    """Return a line, as long as it was, whose backslash at the end has no blanks behind it."""
    bare = line.rstrip()
    return f"{bare[:-1]}{line[len(bare) :]}\\" if bare.endswith("\\") else line


def _of_comments(lines: Sequence[str]) -> Iterator[_Cut]:
    """Yield what is hidden of comments: all that stands behind their mark, and the lines that were meant to go on with one."""
    place = 0
    continued = False
    for line in lines:
        comment = _is_comment(line)
        if (comment or continued) and (said := line.strip()[comment:].strip()):
            begin = line.index(said, line.index(line.strip()) + comment)
            yield _Cut(place + begin, place + begin + len(said), HIDDEN)
        continued = (comment or continued) and (line.rstrip().endswith("\\") or not line.strip())
        place += len(line) + 1


def _settings(lines: Sequence[str], *, goes_on: bool) -> Iterator[tuple[str, str, int]]:
    """Yield each setting's name, its value as it stands there, and where that begins; with comments and empty lines within as blanks."""
    place = number = 0
    while number < len(lines):
        begin, parts = place, [lines[number]]
        comment = _is_comment(lines[number])
        continued = lines[number].endswith("\\") and not comment
        number, place = number + 1, place + len(lines[number]) + 1
        while continued and number < len(lines):
            line = lines[number]
            between = not line.strip() or _is_comment(line)
            if between and not goes_on:
                break
            parts.append(" " * len(line) if between else line)
            continued = between or line.endswith("\\")
            number, place = number + 1, place + len(line) + 1
        name, equals, value = "\n".join(parts).partition("=")
        if equals and not comment:
            yield name.strip(), value, begin + len(name) + 1


def _of_setting(name: str, value: str) -> Iterable[_Cut]:
    """Return what is hidden of the value of a setting; of one with a name of several words, which is a piece of something else, all."""
    if len(name.split()) > 1:
        return [_Cut(0, len(value), HIDDEN)]
    kind = name.lower()  # systemd takes no other spelling, and whoever wrote it had something to hide all the same
    if kind in _SECRET:
        return [_Cut(0, len(value), HIDDEN)]
    return _of_words(value) if kind in {"environment", "unsetenvironment"} else _of_command(value) if kind.startswith("exec") else ()


def _of_words(value: str) -> Iterator[_Cut]:
    """Yield what is hidden of the value of an ``Environment=``: each word behind its first ``=``, and one that has none, which is no variable."""
    try:
        found = [*docker_run.words(value)]
    except ValueError:
        yield _Cut(0, len(value), HIDDEN)
        return
    for word in found:
        yield from _of_word(value, word, 0) if "=" in word.text else (_Cut(word.start, word.end, HIDDEN),)


def _of_command(value: str) -> Iterator[_Cut]:
    """Yield what is hidden of a command: every variable of a container, and of words that nobody knows all that stands behind a ``=``."""
    try:
        found = docker_run.command(value)
    except ValueError:
        yield _Cut(0, len(value), HIDDEN)
        return
    options = docker_run.read(found.given).options if found.docker in {"run", "create"} else {}
    variables = {word.start: word.text for word in options.get("--env", ())}
    known = {word.start for said in options.values() for word in said}
    for word in found.words:
        if (variable := variables.get(word.start)) is not None:
            yield from _of_word(value, word, len(word.text) - len(variable))
        elif option := _ENV.match(word.text):
            yield from _of_word(value, word, option.end())
        elif word.start not in known and (not word.text.startswith("-") or not _BARE.fullmatch(word.text)):
            yield from _of_word(value, word, 0)


def _of_word(value: str, word: docker_run.Piece, name: int) -> Iterator[_Cut]:
    """Yield what is hidden of a word in which a variable's name begins at some character: all behind its ``=``."""
    equals = word.text.find("=", name)
    if equals < 0:
        return
    kept = word.text[: equals + 1]
    quote = value[word.start] if value[word.start] in "\"'" else "" if _BARE.fullmatch(kept) else '"'
    for special, spelled in (("\\", "\\\\"), ("\n", "\\n"), (quote, f"\\{quote}")) if quote else ():
        kept = kept.replace(special, spelled)
    yield _Cut(word.start, _GLUED.match(value, word.end).end(), f"{quote}{kept}{HIDDEN}{quote}")  # type: ignore[union-attr] # it may be empty


def unit_name(instance: str, app: App | None = None) -> str:
    """Return the unit of an instance: ``web@1`` is ``web@1.service``, where the app has no definition of its own that calls it otherwise."""
    number = number_of(instance)
    return app.native.name(number) if app is not None and app.native and number is not None else instance + _SUFFIX


def instance_name(unit: str, apps: Iterable[App] = ()) -> str:
    """Return the instance of a unit: the other way round. A unit of another kind keeps its name."""
    for app in apps:
        if app.native is not None and (number := app.native.number(unit)) is not None:
            return f"{app.name}@{number}"
    return unit.removesuffix(_SUFFIX)


def render(app: App) -> tuple[UnitFile, ...]:
    """Return the units of an app, one an instance.

    They are rendered one by one and not left to ``%i``, because the host port is a sum. Raises `HarnessError` for names that a unit file would
    not carry unchanged, and for what has no room in a line.
    """
    check_image(app.image)
    for what, value in (("app name", app.name), ("pin", app.pin)):
        if value is not None and not _NAME.fullmatch(value):
            raise HarnessError(
                f"app {app.name!r}: the {what} {value!r} cannot stand in a unit file; use letters, digits, '_', '.' and '-', at most 63"
            )
    return tuple(_render(app, instance) for instance in app.names)


def refused(app: App) -> Iterator[tuple[str, str, str, str]]:
    """Yield what fleet cannot give an app, however many instances it is scaled to; see `harness.core.protocols.Selective.refused`."""
    given = {  # characters in the command that makes the container
        "environment": sum(len(name) + (len(value) if _OBEYED.match(name) else 0) for name, value in app.environment),
        "command": sum(map(len, app.command)),
        "volumes": sum(len(str(each)) for each in app.volumes),
        "health": len(app.health.shell(app.inner)) if app.health else 0,
        "labels": sum(len(name) + len(value) for name, value in app.labels),
    }
    if app.health and app.health.words:
        hint = "give it as one line of text; an image without a shell can have HEALTHCHECK CMD [...] of its own, and `health` without a command"
        yield "health", "a command that is a list of words, with the fleet mode", "a line for a shell: docker run takes no other", hint
        app = replace(app, health=None)
    options = _options(app, f"{app.name}@{MOST_INSTANCES}")
    variable = _longest(each for each in options if each.name == _VARIABLE)
    if variable > LONGEST_LINE:
        yield "environment", _line_of(variable), _ROOM, _SHORTER
    rest = _longest(each for each in options if each.name != _VARIABLE)
    # Labels alone have room (`harness.scenario.labels`).
    if (app.environment or app.command or app.health or app.volumes) and rest > LONGEST_LINE:
        yield max(given, key=lambda key: given[key]), _line_of(rest), _ROOM, _SHORTER


def check_image(image: str) -> None:
    """Raise `HarnessError` unless an image's name can stand in a unit file."""
    if not _IMAGE.fullmatch(image):
        raise HarnessError(
            f"image {origins.hidden(image)!r} is no image name; expected letters, digits and ./:@_- only, starting with a letter or digit"
        )


def _quoted(text: str) -> str:
    """Return one word of a command as systemd reads it back: quoted, with nothing in it that systemd would expand."""
    return _assigned(text).replace("$", "$$")


def _assigned(text: str) -> str:
    """Return one word of an ``Environment=`` as systemd reads it back: as `_quoted`, but a dollar sign is nothing there."""
    for special, spelled in (("\\", "\\\\"), ('"', '\\"'), ("%", "%%"), ("\n", "\\n"), ("\t", "\\t")):
        text = text.replace(special, spelled)
    return f'"{text}"'


_VARIABLE: Final = "Environment"
"""The setting that has a variable of an app, where its command has the name alone."""
_ROOM: Final = f"{LONGEST_LINE} at most, as fleet reads it"
_SHORTER: Final = "give it fewer or shorter variables, words, labels or volumes (a quotation mark, '\\\\', '%' and '$' count twice)"


def _line_of(longest: int) -> str:
    return f"a unit with a line of {longest} bytes"


def _longest(options: Iterable[Option]) -> int:
    """Return the bytes of the longest of these lines of a unit; 0 of none."""
    return max((len(f"{each.name}={each.value}".encode()) for each in options), default=0)


def _render(app: App, instance: str) -> UnitFile:
    options = _options(app, instance)
    if (longest := _longest(options)) > LONGEST_LINE:
        raise HarnessError(f"app {app.name!r}: {_line_of(longest)}, and fleet takes {LONGEST_LINE} at most; {_SHORTER}")
    return UnitFile(unit_name(instance), options)


def _healthy(health: Health, port: int) -> str:
    """Return the options by which Docker finds out whether a container works, for those that are given. Raises `HarnessError` for a list of words."""
    if health.words:
        raise HarnessError(f"docker run takes a line for a shell as a health check, and not the words {shlex.join(health.words)}")
    line = health.shell(port)
    given = {"interval": health.every, "timeout": health.timeout, "start-period": health.start_period}
    said = f" --health-cmd {_quoted(line)}" if line else ""
    said += "".join(f" --health-{name} {round(seconds * 1000)}ms" for name, seconds in given.items() if seconds)
    return said + (f" --health-retries {health.retries}" if health.retries else "")


def _limited(limits: ContainerLimits) -> str:
    """Return the options by which Docker limits a container."""
    said = f" --pids-limit {limits.pids}" if limits.pids else ""
    said += f" --cpus {limits.cpu}" if limits.cpu else ""
    said += f" --memory {limits.memory}m --memory-swap {limits.memory}m" if limits.memory else ""
    return said + (f" --blkio-weight {limits.io}" if limits.io else "")


_OBEYED: Final = re.compile(
    r"LD_|GLIBC_|GO(?:DEBUG|GC|MAXPROCS|MEMLIMIT|TRACEBACK)$|(?:HOME|PATH)$"
    r"|DOCKER_(?:API|CERT|CLI|CONFIG|CONTENT|CONTEXT|CUSTOM|DEFAULT|HOST|TLS)"
)
"""Variables that Docker's client would take for its own, or whatever loads it, or its runtime.

By HOME and PATH it finds what it may pull images with; it is a Go program, which a GOMEMLIMIT that is none keeps from starting.
"""


def _options(app: App, instance: str) -> tuple[Option, ...]:
    container = instance.replace("@", "-")
    given = {name: f"{name}={value}" for name, value in app.environment}
    handed = {name: told for name, told in given.items() if not _OBEYED.match(name)}
    variables = "".join(f" -e {name if name in handed else _quoted(told)}" for name, told in given.items())
    labels = "".join(f" --label {_quoted(f'{name}={value}')}" for name, value in app.labels)
    kept = "".join(f" --volume {_quoted(str(each))}" for each in app.volumes)
    healthy = _healthy(app.health, app.inner) if app.health else ""
    limited = _limited(app.limits) if app.limits else ""
    words = "".join(f" {_quoted(word)}" for word in app.command)
    ports = f"{app.port_of(instance)}:{app.inner}"
    run = (
        f"{_DOCKER} run --name {container} --label {APP_LABEL}={app.name} --label {INSTANCE_LABEL}={instance}{labels}"
        f" -e WHALEFALL_INSTANCE={instance} -e WHALEFALL_HOST=%H{variables} --publish {ports}{kept}{healthy}{limited} {app.image}{words}"
    )
    options = [
        Option("Unit", "Description", f"whalefall app {instance}"),
        Option("Unit", "After", "docker.service"),
        Option("Unit", "Requires", "docker.service"),
        # All users of the machine read the words of a command in lists of processes; what `docker run` has in its environment is in none.
        *(Option("Service", _VARIABLE, _assigned(told)) for told in handed.values()),
        Option("Service", "TimeoutStartSec", "0"),
        Option("Service", "ExecStartPre", f"-{_DOCKER} kill {container}"),
        Option("Service", "ExecStartPre", f"-{_DOCKER} rm -f {container}"),
        Option("Service", "ExecStart", run),
        Option("Service", "ExecStop", f"-{_DOCKER} stop -t 2 {container}"),
    ]
    if app.restart in {ON_FAILURE, ALWAYS}:
        # However often it ends: systemd gives up one that was started five times in ten seconds.
        options += [
            Option("Service", "Restart", app.restart),
            Option("Service", "RestartSec", "1"),
            Option("Service", "StartLimitInterval", "0"),
        ]
    if app.conflicts:
        options.append(Option("X-Fleet", "Conflicts", f"{app.name}@*{_SUFFIX}"))
    if app.pin is not None:
        options.append(Option("X-Fleet", "MachineMetadata", f"name={app.pin}"))
    return tuple(options)
