"""What a scenario in Python asks for by name, told at once where nothing has that name: a scenario file is told as much before its run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness import registry
from harness.core import targets
from harness.core.errors import BadInput, HarnessError, Problem

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from harness.history.interfaces import Checker


def must_be_promises(promises: Sequence[Checker], apps: Collection[str]) -> None:
    """Raise `HarnessError` for what is no promise of a scenario file, `BadInput` for one of an app that is not there."""
    among = registry.known().checkers
    for each in promises:
        if among.get(str(getattr(each, "name", ""))) is not type(each):
            valid = ", ".join(sorted(kind.__name__ for kind in among.values()))
            raise HarnessError(f"found {each!r} as a promise; expected an instance of one of {valid}")
    must_know_apps("promise", promises, apps)


def must_know_apps(what: str, asked: Sequence[Any], apps: Collection[str]) -> None:
    """Raise `BadInput` with every promise, or every workload, that names an app which is not there."""
    unknown = [(each.name, each.app) for each in asked if isinstance(getattr(each, "app", None), str) and each.app not in apps]
    problems = [_unknown(f"the {what} {name}", f"an unknown app {app!r}", app, apps, "the name of an app") for name, app in unknown]
    if problems:
        raise BadInput(problems)


def must_be_target(expression: str, nodes: Collection[str], apps: Collection[str]) -> None:
    """Raise `BadInput` with all that can never be right in a target expression, whatever becomes of the cluster."""
    where = f"the target {expression!r}"
    try:
        parsed = targets.parse(expression)
    except targets.BadTarget as bad:
        raise BadInput([Problem(where, 0, 0, f"{bad.found} at character {bad.position + 1}", bad.expected, bad.hint)]) from None
    words = [each.word for each in targets.names(parsed) if each.word not in nodes]
    problems = [
        *(_unknown(where, f"an unknown app {app!r}", app, apps, "the name of an app") for app in _apps(parsed) if app not in apps),
        *(_unknown(where, f"an unknown node {word!r}", word, nodes, "the name of a node") for word in words),
    ]
    if problems:
        raise BadInput(problems)


def _apps(expression: targets.Expression) -> list[str]:
    return list(dict.fromkeys(each.app for each in targets.apps(expression)))


def _unknown(where: str, found: str, name: str, valid: Collection[str], expected: str) -> Problem:
    return Problem(where, 0, 0, found, expected, targets.nearest(name, valid) or "there is none")
