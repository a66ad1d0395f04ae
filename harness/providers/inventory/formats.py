"""From ``FILE[:GROUP]`` to an `Inventory`: finds out what kind of file it is, chooses the hosts, and tells every problem at once."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness import document
from harness.core.errors import BadInput, HarnessError, Problem
from harness.core.naming import close
from harness.host import untrusted
from harness.nodes.ssh.access import home
from harness.nodes.ssh.config import is_one as is_ssh_config
from harness.providers.inventory import beforehand, sshconfig
from harness.providers.inventory.hosts import Host, Inventory, other_names, too_few
from harness.providers.inventory.loading import Loaded, loaded
from harness.providers.inventory.slips import is_theirs, near, slip
from harness.providers.inventory.variables import AT_ONCE, SHARED, SLOWER, Value, at_once, host, perhaps_open, slower

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

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


def load(given: str, nodes: int = 0) -> Inventory:
    """Read an inventory: a file, or ``FILE:GROUP`` (for an OpenSSH config ``FILE:HOST,HOST``). Raises `BadInput` with every problem.

    The first `nodes` hosts are those that a run would use: with what can be known of them without asking one (`beforehand`), all at once.
    """
    path, part = _split(given)
    body = _body(path)
    text = untrusted.text(body, str(path))
    problems: list[Problem] = []
    doubts: list[Problem] = []
    said: Mapping[str, Mapping[str, Value]] = {}
    nobody = "write a Host without a wildcard into it for each"
    if path.suffix not in _ENDINGS and is_ssh_config(text):
        names = [name for name in re.split(r"[,\s]+", part) if name]
        hosts, shared, said = sshconfig.parse(text, path, names, problems, doubts)
    else:
        found = _ansible_loaded(path, body, problems)
        said = found.hosts
        hosts, shared = _ansible(path, found, part, problems, doubts)
        there = _peopled(found)
        nobody = f"name a group that has some, as FILE:GROUP: {there}" if there else "write one a line: db1 ansible_host=192.0.2.1"
        if path.suffix in (*_YAML, ".json"):
            nobody = nobody if there else "write them below all: hosts:"
    cap = at_once(shared.get(AT_ONCE, ()), problems)
    slack = slower(shared.get(SLOWER, ()), problems)
    if not hosts and not problems:
        problems.append(Problem(str(path), 0, 0, "no hosts" if body.strip() else "an empty file", "at least one host", nobody))
    if hosts and (few := too_few(str(path), hosts, nodes)) is not None:
        problems.append(few)
    settled = beforehand.settled(hosts, nodes, said, problems)
    if problems:
        problems += [replace(each, found=f"perhaps a slip: {each.found}") for each in doubts]  # whoever mends the file mends these, too
        raise BadInput(sorted(dict.fromkeys(problems), key=lambda each: (each.file, each.line, each.column)))
    return Inventory(str(path), settled, cap, slack, tuple(dict.fromkeys(map(str, doubts))))


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


def _ansible_loaded(path: Path, body: bytes, problems: list[Problem]) -> Loaded:
    """Return what Ansible makes of a file; nothing where it is empty, or refused: then what is wrong is in `problems`."""
    try:
        return loaded(path, body) if body.strip() else Loaded({}, {}, {}, {})
    except BadInput as error:
        problems += error.problems
        return Loaded({}, {}, {}, {})


def _peopled(found: Loaded) -> str:
    """Return the names of the groups in which there are hosts, in words; empty where there is none."""
    return ", ".join(sorted(name for name, group in found.groups.items() if group.hosts and name not in {ALL, UNGROUPED}))


def _ansible(
    path: Path, found: Loaded, part: str, problems: list[Problem], doubts: list[Problem]
) -> tuple[list[Host], dict[str, list[Value]]]:
    if not found.groups:
        return [], {}
    problems += _for_nobody(path, found)
    name = part or (GROUP if GROUP in found.groups else ALL)
    known = sorted(set(found.groups) - {ALL, UNGROUPED})
    if name not in found.groups:
        hint = f"it has {', '.join(known) or 'none'}"
        problems.append(
            Problem(str(path), 0, 0, f"no group {name!r}", "a group of this file", "; ".join(filter(None, (close(name, known), hint))))
        )
        return [], {}
    if not part and name == ALL:
        problems += _meant(path, found, known)
    hosts: list[Host] = []
    shared: dict[str, list[Value]] = {}
    for each in found.groups[name].hosts:
        variables = found.hosts[each]
        hosts.append(host(each, found.places[each], variables, problems))
        for key, at in variables.items():
            told = slip(key, at.value, variables)
            if told is not None:
                (problems if told.stops else doubts).append(at.problem(told.found, told.expected, told.hint))
            doubts += perhaps_open(key, at)
        for key in SHARED:
            if key in variables:
                shared.setdefault(key, []).append(variables[key])
    chosen, unread = set(found.groups[name].hosts), list[Problem]()  # of hosts that nobody asked for
    others = (host(each, found.places[each], variables, unread) for each, variables in found.hosts.items() if each not in chosen)
    problems += other_names(hosts, others)
    return hosts, shared


def _meant(path: Path, found: Loaded, known: Sequence[str]) -> Iterator[Problem]:
    """Refuse a group that is named almost as the one that is taken by itself: without it all hosts would be taken."""
    for name in known:
        if near(re.sub("[^a-z0-9]", "", name.lower()), GROUP):
            hint = f"name it so, or say which are meant: {path.name}:{name} or {path.name}:{ALL}"
            yield found.groups[name].place.problem(f"a group {name}, and none called {GROUP}", f"the group {GROUP}", hint)


def _for_nobody(path: Path, found: Loaded) -> Iterator[Problem]:
    """Refuse variables of ours that no host inherits: whoever wrote them meant somebody."""
    there = _peopled(found) or "none"
    for name, group in found.groups.items():
        for key, at in group.variables.items() if not group.hosts else ():
            if not is_theirs(key):
                yield at.problem(f"{key} for the group {name}, in which no host is", "a group with hosts", f"there is {there}")
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
