"""What a scenario's `checks:` ask of a node, by testinfra: does this service run, is that port listened on.

The properties that can be named are `harness.scenario.PROPERTIES`. Nothing here raises for what a node does: a node that cannot be asked, or a
question that cannot be answered, is unknown.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from harness.errors import CommandFailed, HarnessError
from harness.nodes import testinfra_backend
from harness.values import Outcome

if TYPE_CHECKING:
    from harness.plan import Check
    from harness.protocols import Node
    from harness.values import Json

ABSENT = "absent"
"""What is seen of a property of a file, process or container that is not there; "absent" is then never an expected value by accident."""

_COMM = 15
"""Longest process name that the kernel keeps; the rest of a longer one is cut off."""

_ZOMBIE = "<defunct>"
"""What ps puts after the name of a process that has ended, where testinfra reads the next column."""

_NO_SUCH = ("No such object", "No such container")
"""What docker says, with exit status 1, of a container that is not there; for a daemon that is not there it has other words."""


class _Absent:
    def __repr__(self) -> str:
        return ABSENT


_ABSENT = _Absent()


def ask(node: Node, check: Check) -> tuple[Outcome, str]:
    """Return whether everything that the check expects is so on this node, and what was seen.

    Fail as soon as one property is known to be otherwise, even where another could not be asked; unknown where none is otherwise but one could
    not be asked. Takes up to some ten commands, each given `testinfra_backend.SECONDS`.
    """
    host = testinfra_backend.host(node)
    outcomes: list[Outcome] = []
    saw: list[str] = []
    for name, expected in check.expect.items():
        try:
            seen = _look(host, check.subject, check.name, name, expected)
        except HarnessError as error:
            outcomes.append(Outcome.UNKNOWN)
            saw.append(f"{name} could not be asked: {error}")
        except Exception as error:  # noqa: BLE001 - testinfra raises what it likes where it cannot answer; none of it is a "no"
            outcomes.append(Outcome.UNKNOWN)
            saw.append(f"{name} could not be asked: {type(error).__name__}: {error}")
        else:
            same = type(seen) is type(expected) and seen == expected
            outcomes.append(Outcome.OK if same else Outcome.FAIL)
            saw.append(f"{name}: {_shown(name, seen)}")
    worst = next((each for each in (Outcome.FAIL, Outcome.UNKNOWN) if each in outcomes), Outcome.OK)
    return worst, "; ".join(saw)


def _look(host: Any, subject: str, thing: str, name: str, expected: Json) -> Any:
    """Return the value of one property as the node has it now, or `_ABSENT`."""
    if subject == "process":
        return _process(host, thing, name)
    if subject == "container":
        return _container(host, thing, name)
    if subject == "file":
        return _file(host, thing, name, expected)
    return getattr(getattr(host, subject)(thing), name)


def _process(host: Any, thing: str, name: str) -> Any:
    """Look at all processes of a name. Zombies are not counted: nothing of them runs."""
    found = [each for each in host.process.filter(comm=thing[:_COMM]) if each.pcpu != _ZOMBIE]
    if name == "count":
        return len(found)
    if name == "is_running":
        return bool(found)
    values = sorted({str(getattr(each, name)) for each in found})
    return ", ".join(values) if values else _ABSENT


def _file(host: Any, path: str, name: str, expected: Json) -> Any:
    file = host.file(path)
    try:
        if name == "contains":
            return expected if file.contains(str(expected)) else f"no line that matches {expected!r}"
        return getattr(file, name)
    except (CommandFailed, RuntimeError):
        if file.exists:
            raise
        return _ABSENT


def _container(host: Any, thing: str, name: str) -> Any:
    """Ask the node's Docker daemon; whether a container really runs is the observers' business, who need no daemon for it."""
    try:
        value = getattr(host.docker(thing), "id" if name == "exists" else name)
    except CommandFailed as error:
        if not any(words in error.err for words in _NO_SUCH):
            raise
        return _ABSENT if name == "name" else False
    return True if name == "exists" else value


def _shown(name: str, value: Any) -> str:
    """Give a value as a scenario file would have it."""
    if name == "mode" and isinstance(value, int):
        return f"0o{value:o}"
    text = ABSENT if value is _ABSENT else json.dumps(value, default=repr, ensure_ascii=False)
    return text if len(text) <= 200 else f"{text[:197]}..."  # noqa: PLR2004 - a line of a report
