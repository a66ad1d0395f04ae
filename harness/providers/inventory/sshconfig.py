"""Takes hosts from an OpenSSH config. Our own variables may stand in it, once it says ``IgnoreUnknown whalefall_*``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.nodes.ssh.config import SshConfig
from harness.providers.inventory.hosts import Host, other_names
from harness.providers.inventory.variables import SHARED, Value, unknown_of_ours, with_ours

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from harness.core.errors import Problem


def parse(text: str, path: Path, wanted: Sequence[str], problems: list[Problem]) -> tuple[list[Host], dict[str, list[Value]]]:
    """Return the wanted hosts, or every concrete one, and each cap that stands there. What is wrong goes into `problems`."""
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
        return [], {}
    found = [_host(name, places[name], config, path, problems) for name in wanted or places]
    unread: list[Problem] = []  # of hosts that nobody asked for
    problems += other_names(
        found, (_host(name, line, config, path, unread) for name, line in places.items() if wanted and name not in wanted)
    )
    return found, {key: [keywords[key]] for key in SHARED if key in keywords}


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
