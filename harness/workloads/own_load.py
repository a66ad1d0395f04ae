"""A command of the user's own that makes calls itself, as a load generator does, and says how they went."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, NoReturn, TypeAlias

from pydantic import Field

from harness.core.errors import HarnessError
from harness.core.values import HERE, Call, CallStream
from harness.history.loads import RUN
from harness.nodes import users_command
from harness.nodes.this_machine import node_of
from harness.nodes.users_command import LINE, Line, Secret
from harness.workloads.probe import Called

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from random import Random

    from harness.core.protocols import Cluster

_Run: TypeAlias = Annotated[Line, Field(description=f"what goes on during the whole run: {LINE}")]
_On: TypeAlias = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,254}$", description="here, this machine, or the name of a node, such as n1")
]


@dataclass(frozen=True, slots=True)
class OwnLoad:
    """A command of your own, as a load generator, goes on during the whole run: on this machine (`here`), or on a node, as root, by `sh -c`.

    It is begun before the cluster must be steady, never again, and ended after settling (on this machine by SIGTERM, 3 s before SIGKILL). A line that
    is a JSON object with `ok`, `failed` or both tells how many calls went well, and how many did not, since the line before. The first MiB and
    the last 64 KiB of what it says are kept.
    """

    called: Called
    run: _Run
    on: _On = HERE
    secret: Secret = ""

    name: ClassVar[str] = "command"
    stream: ClassVar[CallStream] = CallStream.COMMAND

    @property
    def rate(self) -> float:
        """None that anybody here would make."""
        return 0.0

    def lack(self) -> str:
        """Say that its secret is not there; see `harness.core.protocols.Needing`."""
        return users_command.lack(self.secret)

    def begin(self, cluster: Cluster) -> users_command.Begun:
        """Begin it; see `harness.core.protocols.Performing`. Raises `HarnessError` if the cluster has no such node."""
        return users_command.begun(node_of(cluster, self.on), self.run, secret=self.secret)

    def calls(self, rng: Random) -> Iterator[Call]:  # noqa: ARG002 - the protocol's
        """Yield the one thing that is asked of it: to run."""
        yield Call(RUN, self.called)

    def connect(self, cluster: Cluster) -> NoReturn:
        """Raise `HarnessError`: it makes its calls itself."""
        raise HarnessError(f"{self.called} makes its calls itself, on {self.on} of {cluster.run_id}")

    def final(self, cluster: Cluster) -> Sequence[Call]:  # noqa: ARG002 - the protocol's
        """Nothing is left to ask."""
        return ()
