"""What is left open in power commands, `{host}` and `{address}`, and what is filled in nowhere. Pure.

Such a command is first tried when something is to be broken, or is broken already: so what can be known of it is told before.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.providers.inventory.slips import Slip, near

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness.providers.inventory.hosts import Host

HOST, ADDRESS = "{host}", "{address}"
OFF, ON, STATUS = "whalefall_power_off", "whalefall_power_on", "whalefall_power_status"
POWER = (OFF, ON, STATUS)
_OPEN = re.compile(r"(?<!\{)\{\s*([A-Za-z_][\w.-]{0,40})\s*\}(?!\})")
_MEANT = {
    HOST: {"host", "hostname", "name", "node", "inventory_hostname"},
    ADDRESS: {"address", "addr", "ip", "ipv4", "ansible_host", "whalefall_address"},
}
"""What people write for either."""


def filled(argv: Sequence[str], host: Host) -> tuple[str, ...]:
    """Return a command with a host's name and address in it."""
    return tuple(word.replace(HOST, host.name).replace(ADDRESS, host.address) for word in argv)


def slips(key: str, text: str) -> Iterator[Slip]:
    """Yield a slip for each word in braces that is filled in nowhere. Near to one that is it stops a run; any other may be the command's own."""
    for found in dict.fromkeys(each for each in _OPEN.finditer(text) if each[0] not in {HOST, ADDRESS}):
        word = found[1].lower()
        meant = next((each for each, names in _MEANT.items() if word in names or near(word, each.strip("{}"))), "")
        hint = f"did you mean {meant}?" if meant else "it is handed to the program as it is"
        yield Slip(f"{found[0]} in {key}", f"{HOST} or {ADDRESS}: nothing else is filled in", hint, stops=bool(meant))


def alike(hosts: Sequence[Host]) -> Iterator[tuple[str, list[Host]]]:
    """Yield each variable whose command is word for word the same for several hosts, with those: it would switch one machine for all of them."""
    for key, of in ((OFF, [each.switch.off for each in hosts]), (ON, [each.switch.on for each in hosts])):
        told = {argv for argv in of if argv and not _OPEN.search(" ".join(argv))}
        for argv in sorted(told):
            same = [each for each, its in zip(hosts, of, strict=True) if its == argv]
            if len(same) > 1:
                yield key, same
