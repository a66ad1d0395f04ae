"""Reads hosts from an OpenSSH config. Our own variables may stand in it, once it says ``IgnoreUnknown whalefall_*``."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import paramiko

from harness.providers.inventory.hosts import Host
from harness.providers.inventory.variables import SHARED, Value, unknown_of_ours, with_ours

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.errors import Problem

_HOST = re.compile(r"\s*host(?:\s+|\s*=\s*)(.+)", re.IGNORECASE)
_KEYWORD = re.compile(r"\s*(\w+)(?:\s+|\s*=\s*)(.*)")
_INCLUDE = re.compile(r"\s*include\b", re.IGNORECASE)


def is_one(text: str) -> bool:
    """Whether text is an OpenSSH config: one with a Host in it."""
    return any(_HOST.fullmatch(line) for line in text.splitlines())


def parse(text: str, path: Path, wanted: Sequence[str], problems: list[Problem]) -> tuple[list[Host], dict[str, list[Value]]]:
    """Return the wanted hosts, or every concrete one, and each cap that stands there. What is wrong goes into `problems`."""
    file = str(path)
    places, keywords = _named(text, file, problems)
    problems += [problem for key, at in keywords.items() if (problem := unknown_of_ours(key, at)) is not None]
    for name in wanted:
        if name not in places:
            near = f"there is {', '.join(places)}" if places else "it names no host"
            problems.append(Value(None, file, 0, 0).problem(f"no Host {name}", "a Host of that name", near))
    if problems:
        return [], {}
    try:
        config = paramiko.SSHConfig.from_text(text)
        found = [_host(name, places[name], config.lookup(name), path, keywords, problems) for name in wanted or places]
    except Exception as error:  # noqa: BLE001 - paramiko raises several kinds, also KeyError, for what it does not know
        said = f"an OpenSSH config that cannot be read ({error})"
        problems.append(Value(None, file, 0, 0).problem(said, "Host blocks; no Match but by host"))
        return [], {}
    return found, {key: [keywords[key]] for key in SHARED if key in keywords}


def _named(text: str, file: str, problems: list[Problem]) -> tuple[dict[str, Value], dict[str, Value]]:
    """Return where each concrete host, and each keyword of ours, stands first."""
    places: dict[str, Value] = {}
    keywords: dict[str, Value] = {}
    for number, line in enumerate(text.splitlines(), 1):
        at = Value(None, file, number)
        if _INCLUDE.match(line):
            problems.append(at.problem("an Include", "a file that is whole", "name the included file itself"))
        if match := _HOST.fullmatch(line):
            for name in _words(match[1], at, problems):
                if not set(name) & set("*?!"):
                    places.setdefault(name, at)
        elif (match := _KEYWORD.fullmatch(line)) and match[1].lower().startswith("whalefall_"):
            keywords.setdefault(match[1].lower(), Value(match[2], file, number))
    return places, keywords


def _host(name: str, at: Value, told: paramiko.SSHConfigDict, path: Path, keywords: dict[str, Value], problems: list[Problem]) -> Host:
    mine = {key: Value(_unquoted(str(value)), at.file, keywords[key].line) for key, value in told.items() if key in keywords}
    found = Host(
        name=name,
        host=str(told.get("hostname", name)),
        port=int(told.get("port", 22)),
        user=str(told.get("user", "")),
        jump=str(told.get("proxyjump", "")),
        config=str(path),
        file=at.file,
        line=at.line,
    )
    return with_ours(found, mine, problems)


def _words(text: str, at: Value, problems: list[Problem]) -> list[str]:
    try:
        return shlex.split(text, comments=True)
    except ValueError:
        problems.append(at.problem("a quote that is not closed", "quotes in pairs"))
        return []


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text
