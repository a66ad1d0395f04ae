"""A command of whoever wrote the scenario, done on nodes, or on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from harness.core import pace, parameters
from harness.core.errors import CommandFailed, HalfDone, HarnessError
from harness.core.protocols import Cluster, Node
from harness.core.values import Effect
from harness.nodes import users_command
from harness.nodes.together import together
from harness.nodes.users_command import LINE, Secret

LONGEST = 7200.0
"""Seconds: as long as a run may take. A step says how long its own may, and cuts it off then."""


@dataclass(frozen=True, slots=True)
class RunCommand:
    """A command of your own is run on all targets at once, as root, by `sh -c`. It is done where it ends with status 0, and its words are kept.

    `on: here` is this machine: there it is run as whoever runs the harness, in the cluster's network.

    With another status it may have been done in part. The command and the last of its words stand in the run's results, and are shown: of a variable
    of the harness's own environment that `secret` names, which the command has as well, only the name does. What it does to the cluster nobody else
    can know. `disturbs: false` says that it does nothing that others promise: without that it is allowed for, and refused on hosts that are not ours.
    """

    run: Annotated[str, Field(description=LINE)]
    disturbs: bool = True
    secret: Secret = ""

    name: ClassVar[str] = "command"
    aims: ClassVar[bool] = True
    takes: ClassVar[tuple[str, ...]] = ()
    longest: ClassVar[float] = 60.0

    def __post_init__(self) -> None:
        """Raise `ValueError` for what is no command."""
        if parameters.fits(self) and (why := users_command.no_command(self.run)):
            raise ValueError(why)

    @property
    def effect(self) -> Effect:
        """Whatever it does."""
        return Effect(disturbs=self.disturbs)

    def lack(self) -> str:
        """Say that its secret is not there; see `harness.core.protocols.Needing`."""
        return users_command.lack(self.secret)

    def not_here(self) -> tuple[str, str, str] | None:
        """Need nothing that only a node has; see `harness.core.protocols.Local`."""
        return None

    def act(self, cluster: Cluster, targets: Sequence[Node]) -> str:  # noqa: ARG002 - it needs no more than the nodes
        """Run it, and return what it said on each. Raises `HalfDone` where it ends with another status, `Unreachable` where nobody knows."""
        if why := self.lack():
            raise HarnessError(why)

        def one(node: Node) -> str:
            status, said = users_command.ran(node, self.run, pace.limit(LONGEST), secret=self.secret)
            if status:
                raise HalfDone(str(CommandFailed(node.name, ("sh", "-c", self.run), status, said)))
            return f"{node.name}: {said or '(nothing)'}"

        return "; ".join(together(targets, one, "the command"))
