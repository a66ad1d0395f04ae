"""The shape of an inventory in YAML or JSON: where it is another one than Ansible's. Pure.

Ansible names the classes of its own values there, and no line; so where it refuses a file, or passes over something in it, its shape is looked at
here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import yaml

from harness.core.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"
_SECTIONS = ("hosts", "vars", "children")
_SHOWN = 40
_MOST = 50
"""Problems that are told at most."""


def misshapen(text: str, file: str) -> list[Problem]:
    """Return what of a text has another shape than Ansible wants, in order; nothing where it is no mapping or list in YAML or JSON."""
    try:
        root = yaml.compose(text, Loader=_Loader)
        found = sorted(_top(root, file), key=lambda each: (each.line, each.column))
    except (yaml.YAMLError, ValueError, RecursionError):
        return []
    return found[:_MOST]


def _top(root: Any, file: str) -> Iterator[Problem]:
    if isinstance(root, yaml.SequenceNode):
        hint = "write them below all: hosts:, each with a colon behind it"
        yield _problem(file, root, f"{_kind(root)} of hosts or groups", "a mapping, of groups", hint)
    elif isinstance(root, yaml.MappingNode) and not any(_name(key) == "plugin" for key, _ in root.value):  # that is another kind of file
        yield from _groups(root, file, set())


def _groups(node: Any, file: str, seen: set[int]) -> Iterator[Problem]:
    """Look at a mapping of groups; one that an alias has put into itself is looked at once."""
    if id(node) in seen:
        return
    seen.add(id(node))
    for key, value in node.value:
        name = _name(key)
        if name == "_meta" and not isinstance(value, yaml.ScalarNode):
            hint = "that is what a program prints for Ansible: write the file with ansible-inventory --list --yaml --output hosts.yaml"
            yield _problem(file, key, "_meta", "groups with hosts, vars and children", hint)
        elif isinstance(value, yaml.MappingNode):
            yield from _group(name, value, file, seen)
        elif not _is_nothing(value) and not _is_merge(key):
            yield _problem(file, value, f"{_kind(value)} as the group {name}", "a mapping with hosts, vars and children")


def _group(name: str, node: Any, file: str, seen: set[int]) -> Iterator[Problem]:
    for key, value in node.value:
        part = _name(key)
        if _is_nothing(value) or _is_merge(key):
            continue
        if part not in _SECTIONS:
            hint = f"a host stands below hosts: of {name}, a group below children:"
            yield _problem(file, key, f"{part} in the group {name}", "hosts, vars and children", hint)
        elif isinstance(value, yaml.MappingNode):
            yield from _groups(value, file, seen) if part == "children" else _hosts(value, file) if part == "hosts" else ()
        elif not _is_text(value):
            plain = {"hosts": "n1:", "vars": "NAME: VALUE", "children": "db:"}[part]
            inline = {"hosts": '{"n1": {}}', "vars": '{"NAME": "VALUE"}', "children": '{"db": {}}'}[part]
            write = (
                f"write {inline}, in braces"
                if getattr(value, "flow_style", False)
                else f"write {plain} in a line each, without the hyphens"
            )
            yield _problem(file, value, f"{_kind(value)} as {part} of the group {name}", "a mapping", write)


def _hosts(node: Any, file: str) -> Iterator[Problem]:
    for key, value in node.value:
        name = _name(key)
        if not _is_text(key) and not _is_merge(key):
            yield _problem(file, key, f"the host {name}, which is {_kind(key)} in YAML", "text", f'put it in quotes: "{name}":')
        if not isinstance(value, yaml.MappingNode) and not _is_nothing(value) and not _is_merge(key):
            hint = f"say its address as ansible_host: {begun(str(value.value))}" if isinstance(value, yaml.ScalarNode) else ""
            yield _problem(file, value, f"{_kind(value)} as the host {name}", "nothing, or its variables as a mapping", hint)


def _problem(file: str, node: Any, found: str, expected: str, hint: str = "") -> Problem:
    return Problem(file, node.start_mark.line + 1, node.start_mark.column + 1, found, expected, hint)


def _name(key: Any) -> str:
    return str(key.value)[:_SHOWN] if isinstance(key, yaml.ScalarNode) else _kind(key)


def begun(text: str) -> str:
    """Return what is told of a text: where it assigns anything, only its first word. Variables that stand in one text may be passwords."""
    if "=" not in text:
        return text[:_SHOWN]
    first, *_ = re.split(r"[=\s]", text, maxsplit=1)
    return f"{first[:_SHOWN]} …"


def _kind(node: Any) -> str:
    """Name what a value is."""
    if isinstance(node, yaml.SequenceNode):
        return "a list"
    if isinstance(node, yaml.MappingNode):
        return "a mapping"
    tag = node.tag.removeprefix(_TAG)
    return {"str": f"the text {begun(str(node.value))!r}", "bool": "true or false", "null": "nothing", "timestamp": "a date"}.get(
        tag, "a number"
    )


def _is_nothing(node: Any) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == f"{_TAG}null"


def _is_text(node: Any) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == f"{_TAG}str"


def _is_merge(key: Any) -> bool:
    return bool(key.tag == f"{_TAG}merge")
