"""Reads the YAML form of an Ansible inventory: groups with ``hosts``, ``vars`` and ``children``. Pure, but for reading the file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from harness.providers.inventory.groups import ALL, Groups, expanded
from harness.providers.inventory.variables import Value

if TYPE_CHECKING:
    from harness.document import Document, Place
    from harness.errors import Problem
    from harness.values import Json

_PARTS = ("hosts", "vars", "children")


def parse(document: Document, problems: list[Problem]) -> Groups:
    """Read all of it. What is wrong goes into `problems`, each with its place."""
    problems += document.problems
    reader = _Reader(document, problems)
    top = reader.mapping(document.value, (), "groups by name")
    for name in top:
        reader.group(str(name), (name,))
    return reader.groups


class _Reader:
    def __init__(self, document: Document, problems: list[Problem]) -> None:
        self.document = document
        self.problems = problems
        self.groups = Groups(document.file)

    def mapping(self, value: Json, place: Place, expected: str) -> Mapping[str, Json]:
        """Return a mapping; nothing counts as an empty one."""
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            self.problems.append(self.document.problem(place, repr(value)[:60], expected))
            return {}
        return value

    def at(self, value: Json, place: Place) -> Value:
        mark = self.document.keys.get(place) or self.document.values[self.document.nearest(place)]
        return Value(value, self.document.file, mark.line, mark.column)

    def variables(self, value: Json, place: Place) -> dict[str, Value]:
        found = self.mapping(value, place, "variables by name")
        return {str(name): self.at(each, (*place, name)) for name, each in found.items()}

    def group(self, name: str, place: Place) -> None:
        """Read one group and everything below it. The document is no deeper than `harness.document.DEEPEST`."""
        body = self.mapping(self.get(place), place, f"a group with {', '.join(_PARTS)}")
        group = self.groups.group(name)
        group.defined = True
        for key in body:
            if key not in _PARTS:
                self.problems.append(self.document.problem((*place, key), f"{key!r} in the group {name}", ", ".join(_PARTS), key=True))
        group.variables.update(self.variables(body.get("vars"), (*place, "vars")))
        hosts = self.mapping(body.get("hosts"), (*place, "hosts"), "hosts by name, each with a colon after it")
        for pattern, variables in hosts.items():
            where = (*place, "hosts", pattern)
            try:
                names = expanded(str(pattern))
            except ValueError as error:
                self.problems.append(self.document.problem(where, f"the host {str(pattern)!r}: {error}", "a host's name", key=True))
                continue
            own = self.variables(variables, where)
            for each in names:
                self.groups.add(name, each, own, self.at(None, where))
        children = self.mapping(body.get("children"), (*place, "children"), "groups by name, each with a colon after it")
        for child in children:
            where = (*place, "children", child)
            if name != ALL:
                group.children.setdefault(str(child), self.at(None, where))
            self.group(str(child), where)

    def get(self, place: Place) -> Json:
        value: Json = self.document.value
        for key in place:
            value = value[key] if isinstance(value, Mapping) and isinstance(key, str) else None
        return value
