"""What a mode promises, and the cluster that is orchestrated by it, which all parts are handed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, Protocol, runtime_checkable

from harness.core.clock import SystemClock
from harness.core.errors import HarnessError, Unsupported
from harness.core.protocols.capabilities import of_modes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from harness.core.clock import Clock
    from harness.core.protocols.capabilities import C
    from harness.core.protocols.node import Node
    from harness.core.protocols.provider import Provider
    from harness.core.values import App, Budget, TaskNames, Traits, Who


class Mode(Protocol):
    """A way to orchestrate containers.

    What there is to be known of it without a cluster its class says. Nobody else knows a mode by its name, and a new one is one new folder in
    `harness.modes`.
    """

    name: ClassVar[str]
    TIMERS: ClassVar[Mapping[str, Mapping[str, float]]]  # by profile (one is ``default``) and name, in seconds; all profiles have the same
    PORTS: ClassVar[Mapping[int, str]]  # ports of a node on which daemons of the mode listen, each with whose it is
    LAYER: ClassVar[Path | None]  # folder of what its nodes have beside all others (see ``fixtures/layer``); None where that is nothing
    TASKS: ClassVar[TaskNames | None]  # how containers are told apart that it gives the same labels; None where each has its own

    @classmethod
    def from_timers(cls, profile: str, overrides: Mapping[str, float]) -> Mode:
        """Return the mode with a profile's timers, single ones replaced (seconds). Raises `BadInput` with everything that cannot be."""

    @property
    def timers(self) -> Mapping[str, float]:
        """The timers in use, by name, in seconds: after `Stretching.withstand` and `Adopting.adopt` other ones than it was made with."""

    def form(self, cluster: Cluster) -> None:
        """Make a working cluster of created nodes. Returns when every node is listed and every container runtime answers."""

    def deploy(self, cluster: Cluster, app: App) -> None:
        """Start an app. Returns when every instance that can have a home answers to be running.

        Of an app without instances nothing is started: it is to come later (`Removing.launch`), and only its image is brought to the nodes.
        """

    def budget(self, lost: Traits, who: Who) -> Budget:
        """How long recovery may take, from the mode's own timers: it goes by what is lost and who is lost, not by the fault's name.

        Until lost work runs elsewhere; where nothing is lost, until another leads.
        """


@of_modes
@runtime_checkable
class Numbering(Protocol):
    """A mode whose orchestrator does not number the instances of an app: it gives each an id of its own, which no other ever has."""

    def instance(self, cluster: Cluster, told: str) -> str:
        """Return what an instance is called in a run, ``web@1``, that a node or a container calls by its id; any other text as it stands.

        Empty for one of an app that is none of the run's, on a cluster of somebody else. An id that was never heard of is asked for, quickly,
        and stays as it stands where nobody answers. Called inside `cluster.network()`.
        """


@dataclass(repr=False)
class Cluster:
    """What a fault, a workload or an observer is handed. Holds no state of the cluster itself: that is asked of the nodes."""

    run_id: str
    nodes: Sequence[Node]
    provider: Provider
    mode: Mode
    clock: Clock = field(default_factory=SystemClock)
    apps: Sequence[App] = ()
    slack: float = 0.0  # seconds that its machines may be slower than machines are; 0: they are as fast
    fault: int = 0  # number of the fault that this is handed to: with the run's id its identity on a node; 0: handed to none
    images: Mapping[str, str] = field(default_factory=dict)  # what a scenario calls an image that was loaded into nodes → what they call it

    def __repr__(self) -> str:
        """Name it in a line: it stands in the messages of assertions, each of its parts would be a page."""
        return f"<Cluster {self.run_id}: {', '.join(node.name for node in self.nodes)}, {self.mode.name} on {self.provider.name}>"

    def of(self, fault: int) -> Cluster:
        """Return the cluster as it is handed to a fault of this number."""
        return replace(self, fault=fault)

    def on_nodes(self, app: App) -> App:
        """Return an app as a mode is handed it: with its image as nodes call it."""
        return replace(app, image=self.images[app.image]) if app.image in self.images else app

    def node(self, name: str) -> Node:
        """Return the node of that name. Raises `HarnessError` with the names there are."""
        for node in self.nodes:
            if node.name == name:
                return node
        names = ", ".join(node.name for node in self.nodes)
        raise HarnessError(f"no node is named {name!r}; the cluster has {names}")

    def app(self, name: str) -> App:
        """Return the app of that name as it is to run now. Raises `HarnessError` with the names there are."""
        for app in self.apps:
            if app.name == name:
                return app
        raise HarnessError(f"no app is named {name!r}; there is {', '.join(each.name for each in self.apps) or 'none'}")

    @property
    def tasks(self) -> tuple[TaskNames, ...]:
        """How containers are told apart that have no label of ours for each instance: as the mode does, and as their own definitions say."""
        found = [self.mode.TASKS, *(app.called for app in self.apps)]
        return tuple(each for each in found if each is not None)

    def instance(self, told: str) -> str:
        """Return what an instance is called in this run, by what a node or a container calls it; see `Numbering`. Called inside `network()`."""
        return self.mode.instance(self, told) if isinstance(self.mode, Numbering) else told

    def app_there(self, name: str) -> App:
        """Return the same of an app that is there. Raises `HarnessError` also for one that was removed, or is yet to come."""
        app = self.app(name)
        if not app.instances:
            raise HarnessError(f"none of {name} is to run now; app.deploy brings it")
        return app

    def network(self) -> AbstractContextManager[None]:
        """Inside it, this thread's new sockets reach the nodes; threads started inside inherit it."""
        return self.provider.network(self.run_id)

    def can(self, capability: type[C]) -> C:
        """Return the provider, or else the mode, as something with this capability. Raises `Unsupported`."""
        for part in (self.provider, self.mode):
            if isinstance(part, capability):
                return part
        raise Unsupported(f"neither the {self.provider.name} provider nor the {self.mode.name} mode offers {capability.__name__}")
