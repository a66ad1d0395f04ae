"""What an action promises, and what only some actions say besides."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.core.protocols.mode import Cluster
    from harness.core.protocols.node import Node
    from harness.core.values import App, Effect


class Action(Protocol):
    """Something done that nobody undoes. Implementations are frozen dataclasses; their fields are the action's parameters."""

    name: ClassVar[str]
    aims: ClassVar[bool]  # whether it is done to nodes, which a step names by a target expression
    takes: ClassVar[tuple[str, ...]]  # capabilities that provider or mode must offer, by their names here, e.g. ``Scaling``

    @property
    def longest(self) -> float:
        """Seconds that it may take at most, where a step says nothing else."""

    @property
    def effect(self) -> Effect:
        """What it does to a cluster, by its parameters: nobody needs to know it by its name.

        One that is done to no node, and upsets the cluster wherever it is felt, says that it ``disturbs``; one that upsets only an app ``renews`` it.
        """

    def act(self, cluster: Cluster, targets: Sequence[Node]) -> str:
        """Do it, and return when it is done by the word of whoever it is done to; what came of it, in a few words, or nothing.

        Raises `Unreachable`, `InDoubt` or `Expired` where nobody can tell whether it was done, and any other `HarnessError` where it was not. To do
        it again where it was done already is fine.
        """


@runtime_checkable
class NamingNodes(Protocol):
    """An action that says nodes by their names in its parameters, beside those that it is done to."""

    def nodes_named(self) -> Mapping[tuple[str, ...], str]:
        """Return the names, each with the keys of the parameters under which it stands."""


@runtime_checkable
class Altering(Protocol):
    """An action after which an app is another one than it was: whoever starts an instance of it later goes by that."""

    def altered(self, app: App) -> App:
        """Return an app as it is once this was done; one that it is not about stays as it is."""
