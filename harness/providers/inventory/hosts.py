"""Hosts of an inventory as plain values. Nothing here does I/O."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.core.errors import Problem
from harness.core.units import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


@dataclass(frozen=True, slots=True)
class Switch:
    """How one host's power is switched: commands run on the harness's machine, each split into words and run without a shell."""

    off: tuple[str, ...] = ()
    on: tuple[str, ...] = ()
    status: tuple[str, ...] = ()
    sysrq: bool = False  # the host's own kernel may be told to power off or to reset at once


@dataclass(frozen=True, slots=True)
class Host:
    """One host as an inventory describes it."""

    name: str  # as the inventory calls it
    host: str  # name or address that SSH connects to
    port: int = 22
    user: str = ""  # empty: whoever SSH would log in as
    key: str = ""  # file of a private key; empty: those that SSH would try
    jump: str = ""  # [user@]host[:port] to go through; empty: straight
    host_key: str = ""  # ``ssh-ed25519 AAAA…``; empty: known_hosts tells
    address: str = ""  # IPv4 on the cluster's network; empty: what `host` resolves to
    protected: bool = False  # never to be broken
    switch: Switch = field(default_factory=Switch)
    config: str = ""  # the OpenSSH config that it comes from, which then says how to connect
    file: str = ""  # where it is described
    line: int = 0


@dataclass(frozen=True, slots=True)
class Inventory:
    """The hosts that were chosen from a file, in its order: n1 is the first."""

    file: str
    hosts: tuple[Host, ...]
    at_once: int | None = None  # how many may be broken at the same time; None: a minority
    slower: float = 0.0  # seconds that everything may take longer than on machines of today
    doubts: tuple[str, ...] = ()  # what may be a slip of the pen, and keeps no run from beginning; each with its place

    def allowed(self, nodes: int) -> int:
        """Return how many of so many nodes may be broken at the same time: what the file says, or a minority, at least 1."""
        return self.at_once if self.at_once is not None else max(1, (nodes - 1) // 2)


def more_than_a_name(text: str) -> str:
    """Say what to do with that in a host's name, or in its address, which is no part of it; nothing where all of it is."""
    user, at, rest = text.rpartition("@")
    if at:
        return f"write {rest} there, and the user as ansible_user={user}"
    scheme, mark, rest = text.partition("://")
    if mark:
        return f"write {rest} there, without {scheme}://"
    with_port = re.fullmatch(r"([^:\[\]]+|\[[^\]]*\]):([0-9]{1,5})", text)
    return f"write {with_port[1]} there, and the port as ansible_port={with_port[2]}" if with_port else ""


def too_few(file: str, hosts: Sequence[Host], nodes: int) -> Problem | None:
    """Return a problem where a plan has more nodes than a file has hosts."""
    if nodes <= len(hosts):
        return None
    found = f"{counted(len(hosts), 'host')} ({', '.join(host.name for host in hosts)})"
    hint = "add hosts, choose another group (FILE:GROUP), or plan fewer nodes"
    return Problem(file, 0, 0, found, f"{nodes}: the plan needs {nodes} nodes", hint)


def other_names(chosen: Iterable[Host], others: Iterable[Host]) -> Iterator[Problem]:
    """Yield a problem for each chosen host that is, under another name, a protected one which was not chosen: its protection would be lost."""
    spared = {(each.host, each.port, each.jump): each for each in others if each.protected}
    for each in chosen:
        same = spared.get((each.host, each.port, each.jump))
        if same is not None and same.name != each.name and not each.protected:
            found = f"{each.name}, which is the same machine as {same.name} ({same.host}), and that one is protected"
            yield Problem(each.file, each.line, 1, found, "machines that may be broken", f"protect {each.name} as well, or leave it out")
