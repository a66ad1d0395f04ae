"""Cut links with nftables on the nodes themselves: `harness.core.protocols.Links` for every provider whose nodes have `nft`.

Each cut is one table, ``inet whalefall_<tag>``, that drops what comes from a set of addresses as it arrives: before connection tracking, before
NAT, whether it is for the node or for one of its containers. A receiver that drops is enough to cut one direction. Packets are dropped, never
refused: the other side learns nothing. No other table is read or touched.

Nodes have IPv4 addresses only (`NodeSpec.address`; the providers make no IPv6 address), so no IPv6 rule is made.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from harness.core import pace
from harness.core.errors import CommandFailed, HarnessError, Unreachable
from harness.core.protocols import Node
from harness.core.topology import Grudge
from harness.host import untrusted
from harness.nodes.together import together

PREFIX = "whalefall_"
"""How the name of every table of ours begins."""
SILENCE = f"{PREFIX}silence"
"""The table of a node that is paused; no tag of a cut may be ``silence``."""
SECONDS = 10.0
"""How long one `nft` may take. It takes some 10 ms; the rest is for a machine under load."""
_RAW = -300
"""Hook priority of the kernel's own raw tables: conntrack (-200) never sees what is dropped here."""
_TAG = re.compile(r"(?!silence\Z)[a-z0-9_]{1,120}")


class NftLinks(ABC):
    """`harness.core.protocols.Links` for a provider whose nodes have `nft` and that knows which of them are on."""

    @abstractmethod
    def is_on(self, node: Node) -> bool:
        """Whether the node has power; see `harness.core.protocols.Power.is_on`."""

    def cut(self, nodes: Sequence[Node], grudge: Grudge, tag: str) -> None:
        """Cut links with nftables on the nodes; see `harness.core.protocols.Links.cut`."""
        cut(nodes, grudge, tag)

    def restore(self, nodes: Sequence[Node], tag: str) -> None:
        """Undo one cut; see `harness.core.protocols.Links.restore`. A node that is off comes back without it."""
        restore([node for node in nodes if self.is_on(node)], tag)

    def is_cut(self, node: Node, tag: str) -> bool:
        """Whether the node's kernel has the cut; see `harness.core.protocols.Links.is_cut`."""
        return is_cut(node, tag)


def cut(nodes: Sequence[Node], grudge: Grudge, tag: str) -> None:
    """Make every node of the grudge drop what comes from those that it holds against; see `harness.core.protocols.Links.cut`.

    `nodes` must hold everybody whom the grudge names. Each node changes from nothing to all of its rules in one step. Raises `FaultFailed`.
    """
    table = _table(tag)
    address = {node.name: node.address for node in nodes}
    unknown = sorted(({*grudge} | {name for against in grudge.values() for name in against}) - {*address})
    if unknown:
        raise HarnessError(f"the cut {tag} names {', '.join(unknown)}; the nodes are {', '.join(sorted(address))}")
    droppers = [node for node in nodes if grudge.get(node.name)]

    def work(node: Node) -> None:
        sources = sorted(address[name] for name in grudge[node.name])
        _nft(node, _dropping(table, sources))

    together(droppers, work, f"cutting links ({table})")


def restore(nodes: Sequence[Node], tag: str) -> None:
    """Undo one cut on these nodes; see `harness.core.protocols.Links.restore`.

    A node that is off cannot be asked: leave it out. Raises `FaultFailed`.
    """
    table = _table(tag)
    together(nodes, lambda node: _nft(node, _without(table)), f"restoring links ({table})")


def is_cut(node: Node, tag: str) -> bool:
    """Whether the node's kernel has rules of this cut, or of one whose tag goes on from it after an underscore. Raises `Unreachable`."""
    table = _table(tag)
    return any(each == table or each.startswith(f"{table}_") for each in dropping_tables(node))


def silence(node: Node) -> None:
    """Drop all that the node sends and gets, but for its own loopback. Twice is fine. Raises `Unreachable` or `CommandFailed`."""
    rules = (
        f"chain arriving {{ type filter hook prerouting priority {_RAW}; policy accept; iifname != lo drop; }}\n"
        f"chain leaving {{ type filter hook output priority {_RAW}; policy accept; oifname != lo drop; }}\n"
    )
    _nft(node, f"{_without(SILENCE)}table inet {SILENCE} {{\n{rules}}}\n")


def unsilence(node: Node) -> None:
    """Undo `silence`. Without one it does nothing. Raises `Unreachable` or `CommandFailed`."""
    _nft(node, _without(SILENCE))


def dropping_tables(node: Node) -> frozenset[str]:
    """Return the names of our tables on the node that hold at least one rule that drops. Raises `Unreachable` or `CommandFailed`."""
    out = _ask(node, ("nft", "--json", "list", "ruleset", "inet"))
    try:
        listed: Any = untrusted.loads(out.encode(errors=untrusted.ENCODING_ERRORS))
        entries = [entry["rule"] for entry in listed["nftables"] if "rule" in entry]
        return frozenset(
            rule["table"] for rule in entries if rule["table"].startswith(PREFIX) and any("drop" in each for each in rule["expr"])
        )
    except (ValueError, KeyError, TypeError, AttributeError) as e:
        # Could not ask: rules that cannot be read are not "no rules".
        raise Unreachable(node.name, "nft --json list ruleset inet", f"an answer that is no list of rules: {out[:200]!r}") from e


def _table(tag: str) -> str:
    if not _TAG.fullmatch(tag):
        raise HarnessError(f"{tag!r} is no tag of a cut; expected 1 to 120 of a-z, 0-9 and _, and not 'silence'")
    return f"{PREFIX}{tag}"


def _without(table: str) -> str:
    """Take a table away whether or not it is there: nft 1.0 knows no delete that bears an absent one."""
    return f"add table inet {table}\ndelete table inet {table}\n"


def _dropping(table: str, sources: Sequence[str]) -> str:
    return (
        f"{_without(table)}table inet {table} {{\n"
        f"set from {{ type ipv4_addr; elements = {{ {', '.join(sources)} }} }}\n"
        f"chain arriving {{ type filter hook prerouting priority {_RAW}; policy accept; ip saddr @from drop; }}\n"
        f"}}\n"
    )


def _nft(node: Node, script: str) -> None:
    """Apply a whole script in one transaction: the kernel takes all of it or nothing."""
    _ask(node, ("nft", "--file", "-"), script.encode())


def _ask(node: Node, argv: tuple[str, ...], stdin: bytes = b"") -> str:
    result = node.run(*argv, timeout=pace.limit(SECONDS), stdin=stdin)
    if not result.ok:
        hint = "install nftables on the node" if result.exit == 127 else "the kernel may lack nf_tables, or the node CAP_NET_ADMIN"  # noqa: PLR2004 - the shell's own "not found"
        raise CommandFailed(node.name, argv, result.exit, result.err.decode(errors="replace"), hint)
    return result.text
