"""A question of the user's own, asked all along: whether something is so, by a command, an answer over HTTP, or a value in a range."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, TypeAlias

from pydantic import Field

from harness.core import parameters
from harness.core.errors import HarnessError, gist, is_ours
from harness.core.units import Duration
from harness.core.values import HERE, Call, CallStream, Outcome, Reply
from harness.nodes import users_command
from harness.nodes.this_machine import node_of
from harness.nodes.users_command import LINE, Line
from harness.web import NoAnswer, NotSent, Site

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from random import Random

    from harness.core.protocols import Cluster, Node

NAMED = "a name of lower-case letters, digits and dashes, 32 at most, a letter first"
_YES, _NO = 0, 1
_OK = 200
_LONGEST_PATH = 500

Called: TypeAlias = Annotated[str, Field(alias="name", pattern=r"^[a-z]([a-z0-9-]{0,30}[a-z0-9])?$", description=NAMED)]
_WHERE = "the name of a node, such as n1; or here, for a command on this machine"
_On: TypeAlias = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,254}$", description=_WHERE)]
_Command: TypeAlias = Annotated[Line | None, Field(description=f"what ends with 0 where it is so and with 1 where not: {LINE}")]
_Between: TypeAlias = Annotated[
    tuple[float, float] | None, Field(description="two numbers: the least and the most that `command` may print")
]
_Port: TypeAlias = Annotated[int | None, Field(ge=1, le=65535, description="a port of the node, from 1 to 65535")]
_Path: TypeAlias = Annotated[str | None, Field(pattern=rf"^/[!-~]{{0,{_LONGEST_PATH - 1}}}$", description="the path of a URL, from / on")]
_Status: TypeAlias = Annotated[int | None, Field(ge=100, le=599, description="a status of HTTP, such as 200")]
_Every: TypeAlias = Annotated[Duration, Field(ge=0.1, description="how often: a duration of 100ms or more")]
_Within: TypeAlias = Annotated[Duration, Field(alias="within", gt=0, description="how long an answer may take: a duration above 0")]


@dataclass(frozen=True, slots=True)
class Probe:
    """A question of your own is asked on one node, or of it, every so often: before, while and after things are broken.

    `command` is run there as root by `sh -c`: 0 is yes, 1 is no, and by any other status, or none in time, nobody knows. With `between` it prints a
    number, and yes is one in that range. Or `port`: yes is an answer to GET `path` (/) with that `status` (200), and no is any other, or none.
    `on: here` runs the command on this machine, as whoever runs the harness, in the cluster's network.
    """

    called: Called
    on: _On
    command: _Command = None
    between: _Between = None
    port: _Port = None
    path: _Path = None  # None: /
    status: _Status = None  # None: 200
    every: _Every = 1.0
    deadline: _Within = 1.0

    name: ClassVar[str] = "probe"
    stream: ClassVar[CallStream] = CallStream.PROBE

    def __post_init__(self) -> None:
        """Raise `ValueError` for what is no question, or two."""
        if not parameters.fits(self):
            return
        if (self.command is None) is (self.port is None):
            raise ValueError("found no question, or two; expected either command or port")
        if self.port is not None and self.on == HERE:
            raise ValueError("found a port of this machine; expected the node whose port it is, or a command here that asks for it")
        if self.port is None and (self.path is not None or self.status is not None):
            raise ValueError("path and status are for what a port answers, and there is none")
        if self.between is not None and self.command is None:
            raise ValueError("between is for the number that a command prints, and there is none")
        if self.between is not None and not self.between[0] <= self.between[1]:
            raise ValueError(f"found between {[*self.between]}, expected the smaller one first")

    @property
    def rate(self) -> float:
        """Questions a second."""
        return 1.0 / self.every

    def calls(self, rng: Random) -> Iterator[Call]:  # noqa: ARG002 - nothing is left to chance here
        """Yield the question, for ever."""
        return itertools.repeat(Call("ask", self.called))

    def connect(self, cluster: Cluster) -> ProbeClient:
        """Return a client for one thread. Raises `HarnessError` if the cluster has no such node."""
        return ProbeClient(self, node_of(cluster, self.on))

    def final(self, cluster: Cluster) -> Sequence[Call]:  # noqa: ARG002 - the protocol's
        """Nothing is left to ask."""
        return ()


class ProbeClient:
    """Asks; a connection on which all went well is kept."""

    def __init__(self, probe: Probe, node: Node) -> None:
        self._probe = probe
        self._node = node
        self._site: Site | None = None

    def invoke(self, call: Call) -> Reply:  # noqa: ARG002 - there is one question
        """Ask once: ok is yes, failed is no, unknown is that nobody knows."""
        return self._served() if self._probe.command is None else self._told(self._probe.command)

    def close(self) -> None:
        """Let go of the connection. Twice is fine."""
        if self._site is not None:
            self._site.close()
            self._site = None

    def _told(self, command: str) -> Reply:
        try:
            status, said = users_command.ran(self._node, command, self._probe.deadline)
        except HarnessError as error:
            return Reply(Outcome.UNKNOWN, by=self._node.name, error=str(error))
        name = self._node.name
        if self._probe.between is not None and status == _YES:
            return self._measured(said, *self._probe.between)
        if status == _YES:
            return Reply(Outcome.OK, value=said or None, by=name)
        if status == _NO and self._probe.between is None:
            return Reply(Outcome.FAIL, value=said or None, by=name, error=said or "no: status 1")
        return Reply(Outcome.UNKNOWN, by=name, error=f"status {status}: {said or '(it said nothing)'}")

    def _measured(self, said: str, least: float, most: float) -> Reply:
        name = self._node.name
        try:
            number = float(said)
        except ValueError:
            return Reply(Outcome.UNKNOWN, by=name, error=f"no number: {gist(said) or '(it said nothing)'}")
        if least <= number <= most:
            return Reply(Outcome.OK, value=said, by=name)
        if number < least or number > most:
            return Reply(Outcome.FAIL, value=said, by=name, error=f"{said}, which is not between {[least, most]}")
        return Reply(Outcome.UNKNOWN, by=name, error=f"no number: {said}")  # NaN is on neither side

    def _served(self) -> Reply:
        probe, name = self._probe, self._node.name
        site, self._site = self._site or Site(self._node.address, probe.port or 0), None
        try:
            answer = site.exchange("GET", probe.path or "/", seconds=probe.deadline, most=None)
        except (NotSent, NoAnswer) as trouble:
            site.close()
            return Reply(Outcome.UNKNOWN if is_ours(trouble) else Outcome.FAIL, by=name, error=trouble.words)
        if answer.status != (probe.status or _OK):
            site.close()
            return Reply(Outcome.FAIL, by=name, error=f"status {answer.status}")
        self._site = site
        return Reply(Outcome.OK, by=name)
