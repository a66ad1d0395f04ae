"""The action of whoever is woken up where nothing comes back by itself."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Final

from pydantic import Field

from harness.core import parameters
from harness.core.protocols import Cluster, Node, Replaying
from harness.core.values import Effect

LONGEST = 300.0
"""Seconds: a play takes some, and a host that is lost as many as a connection that never comes."""
_FROM, _TO = "from", "to"
_LOST, _ANY = "lost", "any"
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_PATTERN: Final = re.compile(r"[A-Za-z0-9_.:,!&*\[\]-]{0,200}")
_TAGS = re.compile(r"(?:[A-Za-z0-9_.][A-Za-z0-9_.-]{0,99}(?:,|$)){0,20}(?<!,)")


@dataclass(frozen=True, slots=True)
class Replay:
    """The playbook is played again, as by an engineer who was woken up: what is missing is started, and what is there stays as it is.

    `limit` is a pattern of hosts and groups, as Ansible's --limit (a group is called as its app is), `tags` those of the tasks. With `move` the
    inventory is changed first: the work `from` a host, or from those that are ``lost`` by their sshd, is assigned `to` another host, or to ``any``.
    A host that fails or cannot be reached makes it fail, and is named.
    """

    limit: Annotated[str, Field(description="a pattern of hosts and groups, such as n1,web or all:!n3")] = ""
    tags: Annotated[str, Field(description="tags with commas between them, such as containers,firewall")] = ""
    move: Annotated[Mapping[str, str], Field(description="a mapping with from: a node or lost, and to: a node or any")] = field(
        default_factory=dict
    )

    name: ClassVar[str] = "ansible.replay"
    aims: ClassVar[bool] = False
    takes: ClassVar[tuple[str, ...]] = ("Replaying",)
    longest: ClassVar[float] = LONGEST

    def __post_init__(self) -> None:
        """Raise `ValueError` with all that keeps it from being played."""
        if not parameters.fits(self):
            return
        wrong = []
        if not _PATTERN.fullmatch(self.limit):
            wrong.append(f"found limit {self.limit[:80]!r}, expected names of hosts and groups, with : , ! & * between them")
        if not _TAGS.fullmatch(self.tags):
            wrong.append(f"found tags {self.tags[:80]!r}, expected letters, digits, '_', '.' and '-', with a comma between two tags")
        wrong += [f"found move: {each!r}, expected {_FROM} and {_TO}" for each in self.move if each not in {_FROM, _TO}]
        wrong += [f"found {key} {each[:80]!r}, expected the name of a node" for key, each in self.move.items() if not _HOST.fullmatch(each)]
        if len({*self.move.values()}) < len(self.move):
            wrong.append(f"found move from {self.move.get(_FROM)!r} to the same, expected another node")
        if wrong:
            raise ValueError("; ".join(wrong))

    def nodes_named(self) -> Mapping[tuple[str, ...], str]:
        """Return from and to which node work is moved, where the words for such are not used; see `harness.core.protocols.NamingNodes`."""
        return {("move", key): name for key, name in self.move.items() if (key, name) not in {(_FROM, _LOST), (_TO, _ANY)}}

    @property
    def effect(self) -> Effect:
        """Whatever is not as the playbook says may be stopped and started, on any host."""
        return Effect(disturbs=True)

    def act(self, cluster: Cluster, targets: Sequence[Node]) -> str:  # noqa: ARG002 - it is done to no node
        """Have it played. Raises `HalfDone` where it failed on some hosts, and any other `HarnessError` where nothing was done."""
        return cluster.can(Replaying).replay(cluster, self.limit, self.tags, self.move)
