"""From ``FILE[:GROUP]`` to an `Inventory`: finds out what kind of file it is, chooses the hosts, and tells every problem at once."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from harness import document
from harness.core.errors import BadInput, HarnessError, Problem
from harness.host import untrusted
from harness.nodes.ssh.access import home
from harness.nodes.ssh.config import is_one as is_ssh_config
from harness.providers.inventory import sshconfig
from harness.providers.inventory.hosts import Host, Inventory, other_names
from harness.providers.inventory.loading import Loaded, loaded
from harness.providers.inventory.variables import AT_ONCE, SHARED, SLOWER, Value, at_once, host, is_theirs, slower

if TYPE_CHECKING:
    from collections.abc import Iterator

VARIABLE = "WHALEFALL_INVENTORY"
"""Environment variable that names the inventory; ``--inventory`` sets it."""
GROUP = "whalefall"
"""The group that is taken where none is named and the file has it."""
ALL, UNGROUPED = "all", "ungrouped"
"""Ansible's own groups."""

_YAML = (".yml", ".yaml")
_ENDINGS = (*_YAML, ".json", ".ini")
"""What names a file as an inventory, whatever is in it: a YAML text may have a line that looks like one of an SSH config."""
_OURS = re.compile(rb"(?:^|[\s{,])[\"']?(whale_?fall[-_]?\w+)[\"']?\s*[:=]", re.MULTILINE | re.IGNORECASE)


def load(given: str) -> Inventory:
    """Read an inventory: a file, or ``FILE:GROUP`` (for an OpenSSH config ``FILE:HOST,HOST``). Raises `BadInput` with every problem."""
    path, part = _split(given)
    body = _body(path)
    text = untrusted.text(body, str(path))
    problems: list[Problem] = []
    if path.suffix not in _ENDINGS and is_ssh_config(text):
        names = [name for name in re.split(r"[,\s]+", part) if name]
        hosts, shared = sshconfig.parse(text, path, names, problems)
    else:
        hosts, shared = _ansible(path, body, part, problems)
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
    name, colon, part = given.rpartition(":")
    try:
        whole = home(given)
        if not colon or untrusted.there(whole) or "/" in part:
            return whole.absolute(), ""
        return home(name).absolute(), part
    except HarnessError as error:
        raise BadInput([Problem("--inventory", 0, 0, str(error), "FILE or FILE:GROUP")]) from error


def _body(path: Path) -> bytes:
    expected = "an Ansible inventory or an OpenSSH config"
    if os.path.isdir(path):  # noqa: PTH112 - of a name that may be none
        raise BadInput([Problem(str(path), 0, 0, "a folder", "one file", "name the file in it that lists the hosts")])
    body = untrusted.named(path, document.BIGGEST, expected)
    if body.startswith(b"#!") and os.access(path, os.X_OK):
        hint = "write down what it says now: ansible-inventory --list --yaml --output hosts.yaml"
        raise BadInput([Problem(str(path), 1, 1, "a program that makes an inventory", "a file that lists the hosts", hint)])
    return body


def _ansible(path: Path, body: bytes, part: str, problems: list[Problem]) -> tuple[list[Host], dict[str, list[Value]]]:
    if not body.strip():
        return [], {}
    try:
        found = loaded(path, body)
    except BadInput as error:
        problems += error.problems
        return [], {}
    problems += _for_nobody(path, found)
    name = part or (GROUP if GROUP in found.groups else ALL)
    if name not in found.groups:
        known = ", ".join(sorted(set(found.groups) - {ALL, UNGROUPED})) or "none"
        problems.append(Problem(str(path), 0, 0, f"no group {name!r}", "a group of this file", f"it has {known}"))
        return [], {}
    hosts: list[Host] = []
    shared: dict[str, list[Value]] = {}
    for each in found.groups[name].hosts:
        variables = found.hosts[each]
        hosts.append(host(each, found.places[each], variables, problems))
        for key in SHARED:
            if key in variables:
                shared.setdefault(key, []).append(variables[key])
    chosen, unread = set(found.groups[name].hosts), list[Problem]()  # of hosts that nobody asked for
    others = (host(each, found.places[each], variables, unread) for each, variables in found.hosts.items() if each not in chosen)
    problems += other_names(hosts, others)
    return hosts, shared


def _for_nobody(path: Path, found: Loaded) -> Iterator[Problem]:
    """Refuse variables of ours that no host inherits: whoever wrote them meant somebody."""
    near = ", ".join(sorted(name for name, group in found.groups.items() if group.hosts and name not in {ALL, UNGROUPED})) or "none"
    for name, group in found.groups.items():
        for key, at in group.variables.items() if not group.hosts else ():
            if not is_theirs(key):
                yield at.problem(f"{key} for the group {name}, in which no host is", "a group with hosts", f"there is {near}")
    for file, body in found.beside.items():
        folder, name = file.split("/")[0], file.split("/")[1]
        named = {name, *(name.removesuffix(end) for end in _ENDINGS)}
        known = set(found.hosts) if folder == "host_vars" else {each for each, group in found.groups.items() if group.hosts}
        match = _OURS.search(body)
        if match and not named & known:
            line = body.count(b"\n", 0, match.start(1)) + 1
            what = f"{match[1].decode()} for {name}, which is no {'host' if folder == 'host_vars' else 'group with hosts'}"
            yield Problem(
                str(path.parent / file), line, 1, what, "a name of this inventory", f"there is {', '.join(sorted(known)) or 'none'}"
            )


def _twice(hosts: list[Host]) -> Iterator[Problem]:
    """Yield a problem for each address on the cluster's network that two hosts claim."""
    seen: dict[str, Host] = {}
    for each in hosts:
        if each.address and each.address in seen:
            found = f"whalefall_address {each.address} of {each.name}, which {seen[each.address].name} has, too"
            yield Problem(each.file, each.line, 1, found, "an address of its own for each host")
        seen.setdefault(each.address, each)
