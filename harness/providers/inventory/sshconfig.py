"""Takes hosts from an OpenSSH config. Our own variables may stand in it, once it says ``IgnoreUnknown whalefall_*``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.nodes.ssh.config import SshConfig
from harness.providers.inventory.hosts import Host, other_names
from harness.providers.inventory.variables import SHARED, Value, perhaps_open, unknown_of_ours, with_ours

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from harness.core.errors import Problem
    from harness.nodes.ssh.config import Said

_NAMES = {"hostname": "ansible_host", "identityfile": "ansible_ssh_private_key_file", "proxyjump": "ansible_ssh_common_args"}


def parse(
    text: str, path: Path, wanted: Sequence[str], problems: list[Problem], doubts: list[Problem]
) -> tuple[list[Host], dict[str, list[Value]], dict[str, dict[str, Value]]]:
    """Return the wanted hosts, or every concrete one, each cap that stands there, and where what is said of each host stands.

    What is wrong goes into `problems`, what may be a slip into `doubts`. The places are found by the names of an inventory's variables.
    """
    file = str(path)
    config = SshConfig()
    config.read(text, file, problems)
    places = config.names()
    keywords = {key: Value(word.text, file, word.line) for key, word in config.keywords().items()}
    problems += [problem for key, at in keywords.items() if (problem := unknown_of_ours(key, at)) is not None]
    for name in wanted:
        if name not in places:
            near = f"there is {', '.join(places)}" if places else "it names no host"
            problems.append(Value(None, file, 0, 0).problem(f"no Host {name}", "a Host of that name", near))
    if problems:
        return [], {}, {}
    found = [_host(name, places[name], config, path, problems) for name in wanted or places]
    unread: list[Problem] = []  # of hosts that nobody asked for
    problems += other_names(
        found, (_host(name, line, config, path, unread) for name, line in places.items() if wanted and name not in wanted)
    )
    said = {each.name: _said(config.of(each.name), file) for each in found}
    doubts += [problem for variables in said.values() for key, at in variables.items() for problem in perhaps_open(key, at)]
    return found, {key: [keywords[key]] for key in SHARED if key in keywords}, said


def _said(said: Said, file: str) -> dict[str, Value]:
    """Return where what a config says of a host stands, under the names that an inventory has for it."""
    ours = {key: Value(word.text, word.file, word.line) for key, word in said.ours.items()}
    return ours | {name: Value(None, file, said.places[keyword]) for keyword, name in _NAMES.items() if keyword in said.places}


def _host(name: str, line: int, config: SshConfig, path: Path, problems: list[Problem]) -> Host:
    said = config.of(name)
    found = Host(
        name=name,
        host=said.host,
        port=said.port or 22,
        user=said.user,
        jump=said.jump,
        config=str(path),
        file=str(path),
        line=line,
    )
    return with_ours(found, {key: Value(word.text, word.file, word.line) for key, word in said.ours.items()}, problems)
