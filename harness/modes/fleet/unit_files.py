"""An app's instances as fleet units. Pure.

The unit is the one that people wrote for Docker under fleet: it clears away what a crash may have left (``-`` before a command: never mind if
it fails), gives Docker all the time it wants, and lets fleet restart nothing on the spot.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from harness.core.errors import HarnessError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.core.values import App

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}")
_IMAGE = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_./:@-]{0,254}")
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


HIDDEN: Final = "***"
"""What is told in place of the value of a variable of an environment."""
# After `-e`, `--env` or a short option among switches: a variable's name, and its value as far as a shell, or systemd, would read it.
_VARIABLE = re.compile(
    r"""(?<![\w-])(?P<option>-[A-Za-z]*e|--env)(?P<between>=|(?:[ \t]|\\\n)*)(?P<quote>["']?)(?P<name>[A-Za-z_][A-Za-z0-9_]*)="""
)
_PLAIN = re.compile(r"""(?:\\[^\n]|"(?:\\.|[^"\\\n])*"|'[^'\n]*'|[^\s"'\\])*""")
_QUOTED = {'"': re.compile(r"""(?:\\.|[^"\\])*""", re.DOTALL), "'": re.compile(r"""(?:\\.|[^'\\])*""", re.DOTALL)}
_ENVIRONMENT = re.compile(r"^[ \t]*Environment[ \t]*=(?P<value>(?:[^\n]*\\\n)*[^\n]*)", re.MULTILINE)
_ASSIGNED = re.compile(r"""(?P<quote>["']?)(?<![A-Za-z0-9_])(?P<name>[A-Za-z_][A-Za-z0-9_]*)=""")


def hidden(text: str) -> str:
    """Return a unit file with `HIDDEN` in place of the value of each variable that it puts into an environment: its own, and its containers'.

    Too much may be hidden where quotation marks stand inside others, and never too little of a value that stands behind its variable's name.
    """
    text = _ENVIRONMENT.sub(
        lambda found: found[0][: found.start("value") - found.start()] + _without_values(found["value"], _ASSIGNED), text
    )
    return _without_values(text, _VARIABLE)


def _without_values(text: str, variable: re.Pattern[str]) -> str:
    kept: list[str] = []
    place = 0
    while (found := variable.search(text, place)) is not None:
        value = (_QUOTED[found["quote"]] if found["quote"] else _PLAIN).match(text, found.end())
        kept += [text[place : found.end()], HIDDEN]
        place = value.end() if value else found.end()
    return "".join(kept) + text[place:]


def unit_name(instance: str, app: App | None = None) -> str:
    """Return the unit of an instance: ``web@1`` is ``web@1.service``, where the app has no definition of its own that calls it otherwise."""
    own = app.native if app is not None else None
    return own.name(int(instance.rpartition("@")[2])) if own else instance + _SUFFIX


def instance_name(unit: str, apps: Iterable[App] = ()) -> str:
    """Return the instance of a unit: the other way round. A unit of another kind keeps its name."""
    for app in apps:
        if app.native is not None and (number := app.native.number(unit)) is not None:
            return f"{app.name}@{number}"
    return unit.removesuffix(_SUFFIX)


def render(app: App) -> tuple[UnitFile, ...]:
    """Return the units of an app, one an instance.

    They are rendered one by one and not left to ``%i``, because the host port is a sum. Raises `HarnessError` for names that a unit file would
    not carry unchanged, and for an environment that has no room in a line.
    """
    check_image(app.image)
    for what, value in (("app name", app.name), ("pin", app.pin)):
        if value is not None and not _NAME.fullmatch(value):
            raise HarnessError(
                f"app {app.name!r}: the {what} {value!r} cannot stand in a unit file; use letters, digits, '_', '.' and '-', at most 63"
            )
    return tuple(_render(app, instance) for instance in app.names)


def check_image(image: str) -> None:
    """Raise `HarnessError` unless an image's name can stand in a unit file."""
    if not _IMAGE.fullmatch(image):
        raise HarnessError(f"image {image!r} is no image name; expected letters, digits and ./:@_- only, starting with a letter or digit")


def _quoted(text: str) -> str:
    """Return one word of a command as systemd reads it back: quoted, with nothing in it that systemd would expand."""
    for special, spelled in (("\\", "\\\\"), ('"', '\\"'), ("%", "%%"), ("$", "$$")):
        text = text.replace(special, spelled)
    return f'"{text}"'


def _render(app: App, instance: str) -> UnitFile:
    container = instance.replace("@", "-")
    variables = "".join(f" -e {_quoted(f'{name}={value}')}" for name, value in app.environment)
    labels = "".join(f" --label {_quoted(f'{name}={value}')}" for name, value in app.labels)
    run = (
        f"{_DOCKER} run --name {container} --label whalefall.app={app.name} --label whalefall.instance={instance}{labels}"
        f" -e WHALEFALL_INSTANCE={instance} -e WHALEFALL_HOST=%H{variables} --publish {app.port_of(instance)}:80 {app.image}"
    )
    options = [
        Option("Unit", "Description", f"whalefall app {instance}"),
        Option("Unit", "After", "docker.service"),
        Option("Unit", "Requires", "docker.service"),
        Option("Service", "TimeoutStartSec", "0"),
        Option("Service", "ExecStartPre", f"-{_DOCKER} kill {container}"),
        Option("Service", "ExecStartPre", f"-{_DOCKER} rm -f {container}"),
        Option("Service", "ExecStart", run),
        Option("Service", "ExecStop", f"-{_DOCKER} stop -t 2 {container}"),
    ]
    if app.conflicts:
        options.append(Option("X-Fleet", "Conflicts", f"{app.name}@*{_SUFFIX}"))
    if app.pin is not None:
        options.append(Option("X-Fleet", "MachineMetadata", f"name={app.pin}"))
    longest = max(len(f"{each.name}={each.value}".encode()) for each in options)
    if longest > LONGEST_LINE:
        raise HarnessError(
            f"app {app.name!r}: its unit would have a line of {longest} bytes, and fleet takes {LONGEST_LINE} at most; "
            "give it fewer or shorter variables, or labels (a quotation mark, '\\\\', '%' and '$' count twice)"
        )
    return UnitFile(unit_name(instance), tuple(options))
