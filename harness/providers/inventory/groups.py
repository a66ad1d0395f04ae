"""Groups of hosts with variables, as Ansible means them, and the names that a range stands for. Pure."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.providers.inventory.variables import Value

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness.errors import Problem

ALL = "all"
UNGROUPED = "ungrouped"
MOST_HOSTS = 1000
"""Hosts that one pattern may stand for."""

_RANGE = re.compile(r"\[([0-9]+|[A-Za-z]):([0-9]+|[A-Za-z])(?::([0-9]+))?\]")
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


@dataclass(slots=True)
class Group:
    """One group as a file describes it, put together from all places that name it."""

    name: str
    hosts: dict[str, None] = field(default_factory=dict)  # in the file's order
    variables: dict[str, Value] = field(default_factory=dict)
    children: dict[str, Value] = field(default_factory=dict)  # where each is named as one
    defined: bool = False  # has a section of its own


@dataclass(slots=True)
class Groups:
    """All groups and hosts of a file."""

    file: str
    groups: dict[str, Group] = field(default_factory=dict)
    hosts: dict[str, dict[str, Value]] = field(default_factory=dict)  # each host's own variables
    places: dict[str, Value] = field(default_factory=dict)  # where each host is named first

    def group(self, name: str) -> Group:
        """Return a group, made if it is not there yet."""
        return self.groups.setdefault(name, Group(name))

    def add(self, group: str, host: str, variables: dict[str, Value], at: Value) -> None:
        """Put a host into a group; its variables join those that it has."""
        self.group(group).hosts.setdefault(host)
        self.hosts.setdefault(host, {}).update(variables)
        self.places.setdefault(host, at)

    def problems(self) -> Iterator[Problem]:
        """Yield what is wrong between groups: children that are no groups, groups inside themselves."""
        for group in self.groups.values():
            for child, at in group.children.items():
                if not self.group_is_there(child):
                    yield at.problem(f"a child group {child!r}, which is nowhere defined", "a group of this file")
                elif group.name in self._below(child):
                    yield at.problem(f"a child group {child!r} that holds {group.name!r} itself", "groups that are not inside themselves")

    def group_is_there(self, name: str) -> bool:
        """Whether any place of the file defines a group, or it is Ansible's own."""
        return name in {ALL, UNGROUPED} or (name in self.groups and self.groups[name].defined)

    def chosen(self, name: str) -> list[str]:
        """Return the hosts of a group and of all groups below it, in the order in which the file names them."""
        if name == ALL:
            return list(self.hosts)
        inside = {host for each in self._below(name) for host in self.groups[each].hosts}
        return [host for host in self.hosts if host in inside]

    def variables(self, host: str) -> dict[str, Value]:
        """Return a host's variables: its own before those of its groups, a child's before its parent's, the later name's before the earlier's."""
        mine = [name for name in self.groups if name != ALL and host in self.chosen(name)]
        found: dict[str, Value] = dict(self.groups[ALL].variables) if ALL in self.groups else {}
        for name in sorted(mine, key=lambda each: (self._depth(each), each)):
            found.update(self.groups[name].variables)
        return {**found, **self.hosts[host]}

    def _below(self, name: str) -> set[str]:
        """Return a group and everything inside it, each once: also where groups hold each other."""
        found: set[str] = set()
        waiting = [name]
        while waiting:
            each = waiting.pop()
            if each not in found and each in self.groups:
                found.add(each)
                waiting += self.groups[each].children
        return found

    def _depth(self, name: str) -> int:
        """Return how far below the top a group is, at most as many as there are groups."""
        depth, level, seen = 0, {name}, {name}
        while True:
            level = {each.name for each in self.groups.values() if each.name != ALL and level & {*each.children}} - seen
            if not level:
                return depth
            seen |= level
            depth += 1


def expanded(pattern: str) -> Sequence[str]:
    """Return the host names that a pattern stands for: ``n[1:3]`` is n1, n2, n3. Raises `ValueError` that says what is wrong."""
    parts: list[list[str]] = []
    at = 0
    for match in _RANGE.finditer(pattern):
        parts += [[pattern[at : match.start()]], _counted(match)]
        at = match.end()
    parts.append([pattern[at:]])
    total = 1
    for part in parts:
        total *= len(part)
    if total > MOST_HOSTS:
        raise ValueError(f"{total} hosts in one pattern, {MOST_HOSTS} at most")
    names = ["".join(each) for each in itertools.product(*parts)]
    for name in names:
        if not _PLAIN.fullmatch(name):
            raise ValueError("no host name; letters, digits, '.', '-' and '_', and ranges such as [1:3] or [a:c]")
    return names


def _counted(match: re.Match[str]) -> list[str]:
    first, last, step = match[1], match[2], int(match[3] or 1)
    if step < 1:
        raise ValueError("a range with a step of 0")
    if first.isdigit() and last.isdigit():
        width = len(first) if first.startswith("0") and len(first) > 1 else 0
        if int(last) - int(first) > MOST_HOSTS * step:
            raise ValueError(f"a range of more than {MOST_HOSTS} hosts")
        found = [str(number).zfill(width) for number in range(int(first), int(last) + 1, step)]
    elif first.isdigit() or last.isdigit():
        raise ValueError(f"a range from {first} to {last}: two numbers, or two letters")
    else:
        found = [chr(number) for number in range(ord(first), ord(last) + 1, step)]
    if not found:
        raise ValueError(f"a range from {first} to {last}, in which nothing is")
    return found
