"""From ``FILE[:GROUP]`` to an `Inventory`: finds out what kind of file it is, chooses the hosts, and tells every problem at once."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from harness import document, untrusted
from harness.errors import BadInput, Problem
from harness.nodes.ssh.access import home
from harness.nodes.ssh.config import is_one as is_ssh_config
from harness.providers.inventory import ini, sshconfig, tree
from harness.providers.inventory.groups import ALL, Groups
from harness.providers.inventory.hosts import Host, Inventory
from harness.providers.inventory.variables import AT_ONCE, SHARED, SLOWER, Value, at_once, host, slower

if TYPE_CHECKING:
    from collections.abc import Iterator

VARIABLE = "WHALEFALL_INVENTORY"
"""Environment variable that names the inventory; ``--inventory`` sets it."""
GROUP = "whalefall"
"""The group that is taken where none is named and the file has it."""

_YAML = (".yml", ".yaml")
_ENDINGS = (*_YAML, ".json", ".ini")
"""What names a file as an inventory, whatever is in it: a YAML text may have a line that looks like one of an SSH config."""
_BESIDE = re.compile(r"^\s*[\"']?((?:ansible_(?:host|port|user|connection|ssh_\w+)|whalefall_\w+))[\"']?\s*[:=]", re.MULTILINE)


def load(given: str) -> Inventory:
    """Read an inventory: a file, or ``FILE:GROUP`` (for an OpenSSH config ``FILE:HOST,HOST``). Raises `BadInput` with every problem."""
    path, part = _split(given)
    text = _text(path)
    problems: list[Problem] = []
    if path.suffix not in _ENDINGS and is_ssh_config(text):
        names = [name for name in re.split(r"[,\s]+", part) if name]
        hosts, shared = sshconfig.parse(text, path, names, problems)
    else:
        hosts, shared = _ansible(path, text, part, problems)
    cap = at_once(shared.get(AT_ONCE, ()), problems)
    slack = slower(shared.get(SLOWER, ()), problems)
    if not hosts and not problems:
        problems.append(Problem(str(path), 0, 0, "no hosts", "at least one host", "name a group that has some: FILE:GROUP"))
    problems += _twice(hosts)
    if problems:
        raise BadInput(sorted(dict.fromkeys(problems), key=lambda each: (each.file, each.line, each.column)))
    return Inventory(str(path), tuple(hosts), cap, slack)


def _split(given: str) -> tuple[Path, str]:
    """Tell the file from the group. A file whose own name has a colon in it is taken whole, if it is there."""
    if not given.strip():
        raise BadInput([Problem("--inventory", 0, 0, "nothing", "FILE or FILE:GROUP", f"or set {VARIABLE}")])
    whole = home(given)
    name, colon, part = given.rpartition(":")
    if not colon or whole.exists() or "/" in part:
        return whole.absolute(), ""
    return home(name).absolute(), part


def _text(path: Path) -> str:
    expected = "an Ansible inventory or an OpenSSH config"
    if path.is_dir():
        raise BadInput([Problem(str(path), 0, 0, "a folder", "one file", "name the file in it that lists the hosts")])
    body = untrusted.named(path, document.BIGGEST, expected)
    if body.startswith(b"#!") and os.access(path, os.X_OK):
        hint = "write down what it says now: ansible-inventory --list --yaml --output hosts.yaml"
        raise BadInput([Problem(str(path), 1, 1, "a program that makes an inventory", "a file that lists the hosts", hint)])
    return untrusted.text(body, str(path))


def _ansible(path: Path, text: str, part: str, problems: list[Problem]) -> tuple[list[Host], dict[str, list[Value]]]:
    if not text.strip():
        return [], {}
    groups = tree.parse(_document(text, path), problems) if path.suffix in _YAML else ini.parse(text, str(path), problems)
    problems += groups.problems()
    if problems:
        return [], {}
    name = part or (GROUP if GROUP in groups.groups else ALL)
    if not groups.group_is_there(name):
        known = ", ".join(sorted(each for each in groups.groups if groups.group_is_there(each))) or "none"
        problems.append(Problem(str(path), 0, 0, f"no group {name!r}", "a group of this file", f"it has {known}"))
        return [], {}
    chosen = groups.chosen(name)
    problems += _beside(path, groups, chosen)
    hosts: list[Host] = []
    shared: dict[str, list[Value]] = {}
    for each in chosen:
        variables = groups.variables(each)
        hosts.append(host(each, groups.places[each], variables, problems))
        for key in SHARED:
            if key in variables:
                shared.setdefault(key, []).append(variables[key])
    return hosts, shared


def _document(text: str, path: Path) -> document.Document:
    """Read YAML. The reader speaks of scenarios, which is what it is mostly given."""
    try:
        return document.parse(text, str(path))
    except BadInput as error:
        told = [
            Problem(
                each.file,
                each.line,
                each.column,
                each.found,
                re.sub(r"a scenario\b|one scenario\b", "one inventory", each.expected),
                each.hint,
            )
            for each in error.problems
        ]
        raise BadInput(told) from error


def _beside(path: Path, groups: Groups, chosen: list[str]) -> Iterator[Problem]:
    """Refuse what Ansible would read from the folders beside the inventory and we do not, if it says how to reach a host, or speaks to us."""
    inside = {name for name in groups.groups if set(groups.chosen(name)) & set(chosen)} | {ALL}
    for folder, names in (("group_vars", inside), ("host_vars", set(chosen))):
        for name in sorted(names):
            whole = path.parent / folder / name
            for file in [whole, *(whole.with_name(whole.name + end) for end in (*_YAML, ".json")), *sorted(whole.glob("*"))]:
                try:
                    text = file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""
                except OSError:
                    continue
                for match in _BESIDE.finditer(text):
                    line = text.count("\n", 0, match.start(1)) + 1
                    hint = f"move it to {path.name}: files beside the inventory are not read"
                    yield Problem(str(file), line, 1, f"{match[1]} in {folder}", "it in the inventory itself", hint)


def _twice(hosts: list[Host]) -> Iterator[Problem]:
    """Yield a problem for each address on the cluster's network that two hosts claim."""
    seen: dict[str, Host] = {}
    for each in hosts:
        if each.address and each.address in seen:
            found = f"whalefall_address {each.address} of {each.name}, which {seen[each.address].name} has, too"
            yield Problem(each.file, each.line, 1, found, "an address of its own for each host")
        seen.setdefault(each.address, each)
