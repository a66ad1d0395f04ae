"""What is wrong with the hosts that a run would use and can be known before any of them is asked: a mistake in the file, with its place there."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import replace
from typing import TYPE_CHECKING

from harness.core.errors import BadInput, HarnessError, Problem
from harness.providers.inventory import blanks
from harness.providers.inventory.checking import access
from harness.providers.inventory.hosts import more_than_a_name
from harness.providers.inventory.shapes import begun
from harness.providers.inventory.variables import Value

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from harness.providers.inventory.hosts import Host

_NO_NAME = {socket.EAI_NONAME, socket.EAI_NODATA, socket.EAI_ADDRFAMILY}
"""What name services say where nobody is called so; all else is that they could not be asked."""
_ADDRESS = ("whalefall_address", "ansible_host", "ansible_ssh_host")
_KEYS = ("ansible_ssh_private_key_file", "ansible_private_key_file")
_WAYS = ("ansible_ssh_common_args",)


def settled(hosts: Sequence[Host], nodes: int, said: Mapping[str, Mapping[str, Value]], problems: list[Problem]) -> tuple[Host, ...]:
    """Return the hosts, the first `nodes` of them (those that a run would use) with their addresses filled in. What is wrong goes into `problems`.

    `said` has each host's variables, by whose places it is told. A name that could not be looked up, for no name service answers, stays without an
    address: that says nothing about the file.
    """
    problems += _declared_twice(hosts)
    for key, same in blanks.alike(hosts):
        found = f"one {key} for {', '.join(each.name for each in same)}, word for word"
        hint = f"say {blanks.HOST} or {blanks.ADDRESS} in it, or give each host a command of its own"
        problems.append(_at(same[1], said, key).problem(found, "one that tells which machine it is for", hint))
    chosen = [_resolved(each, said, problems) for each in hosts[:nodes]]
    for number, each in enumerate(chosen):
        problems += _in_the_way(hosts, chosen, number, said)
        problems += _unusable_keys(each, said)
    return (*chosen, *hosts[nodes:])


def _at(host: Host, said: Mapping[str, Mapping[str, Value]], *names: str) -> Value:
    """Return where the first of these variables stands, or else where the host is named."""
    variables = said.get(host.name, {})
    return next((variables[name] for name in names if name in variables), Value(None, host.file, host.line))


def _declared_twice(hosts: Sequence[Host]) -> Iterator[Problem]:
    """Yield a problem for each address on the cluster's network that two hosts of the file claim."""
    seen: dict[str, Host] = {}
    for each in hosts:
        if each.address and each.address in seen:
            found = f"whalefall_address {each.address} of {each.name}, which {seen[each.address].name} has, too"
            yield Problem(each.file, each.line, 1, found, "an address of its own for each host")
        seen.setdefault(each.address, each)


def _resolved(host: Host, said: Mapping[str, Mapping[str, Value]], problems: list[Problem]) -> Host:
    """Fill in the address on the cluster's network where the inventory leaves it to the host's own name."""
    if host.address or more_than_a_name(host.host):  # which is told already
        return host
    try:
        ((_, _, _, _, (address, *_)), *_) = socket.getaddrinfo(host.host, None, socket.AF_INET, socket.SOCK_STREAM)
    except (OSError, ValueError) as error:
        if not isinstance(error, OSError) or error.errno in _NO_NAME:
            hint = "or say the host's address on the cluster's network in whalefall_address"
            problems.append(
                _at(host, said, *_ADDRESS).problem(f"{begun(host.host)!r}, which is no name of an IPv4 address here", "one that is", hint)
            )
        return host
    return replace(host, address=str(address))


def _in_the_way(hosts: Sequence[Host], chosen: Sequence[Host], number: int, said: Mapping[str, Mapping[str, Value]]) -> Iterator[Problem]:
    """Yield what makes a host no node beside the others: faults on it would cut us off, or break us."""
    each = chosen[number]
    at = _at(each, said, *_ADDRESS)
    if each.address and (ipaddress.IPv4Address(each.address).is_loopback or _is_here(each.address)):
        hint = "the harness must not run on a host that it breaks"
        yield at.problem(f"{each.name}, whose address {each.address} is one of this machine's", "another machine", hint)
    same = [place for place in range(number) if each.address and chosen[place].address == each.address]
    if same and not (hosts[number].address and hosts[same[0]].address):  # two that say it themselves are told of already
        yield at.problem(
            f"the address {each.address} of {each.name}, which {chosen[same[0]].name} has, too", "an address of its own for each host"
        )
    for other in chosen:
        if other is not each and each.jump and _target(each.jump) in {other.name, other.host, other.address}:
            found = f"{each.name}, which is reached through {other.name}, and the run may break that"
            yield _at(each, said, *_WAYS).problem(found, "a way through none of the run's hosts", "go through another host")


def _unusable_keys(host: Host, said: Mapping[str, Mapping[str, Value]]) -> Iterator[Problem]:
    """Yield a problem for each private key that the file names and nobody here can use. Keys that ssh tries by itself are not the file's matter."""
    from harness.nodes.ssh import keys  # noqa: PLC0415 - see `harness.nodes.ssh.import_now`

    at = _at(host, said, *_KEYS)
    try:
        way = access(host)
    except BadInput as error:
        yield from error.problems
        return
    except HarnessError as error:
        yield at.problem(str(error), "")
        return
    for key in dict.fromkeys((way.key, *(each.key for each in way.bastions))):
        try:
            if key is not None:
                keys.ours(key)
        except HarnessError as error:
            yield at.problem(str(error), "")


def _is_here(address: str) -> bool:
    """Whether an address is this machine's own, in the network that the thread is in: then it can be bound to."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True


def _target(jump: str) -> str:
    """Return the host of the last jump."""
    return jump.rpartition(",")[2].rpartition("@")[2].partition(":")[0]
