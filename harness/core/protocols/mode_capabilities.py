"""What only some modes can do, a protocol each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Protocol, runtime_checkable

from harness.core.errors import Unsupported
from harness.core.protocols.capabilities import of_modes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from harness.core.protocols.mode import Cluster, Mode
    from harness.core.protocols.node import Node
    from harness.core.values import App, Committed, Endurance, View


@of_modes
@runtime_checkable
class Viewing(Protocol):
    """A mode with an API that tells what is where. One without is judged by node truth alone."""

    def view(self, cluster: Cluster, node: Node) -> View:
        """Ask the orchestrator's API at this node. Raises `Unreachable` where it gives no good answer. Called inside `cluster.network()`."""


@of_modes
@runtime_checkable
class Quorum(Protocol):
    """A mode that stands on a quorum of members."""

    @classmethod
    def member(cls) -> str:
        """Return by which daemon a node is a member, as `harness.core.traits.daemon` calls it: a member whose daemon is lost agrees to nothing."""

    def members(self, cluster: Cluster) -> tuple[str, ...]:
        """Names of the nodes that are members, sorted."""

    def asking(self, cluster: Cluster, node: Node) -> AbstractContextManager[Callable[[], tuple[int, str | None]]]:
        """Inside it, the function that is given returns a member's own (term, name of the leader it follows), or raises `Unreachable`.

        Entered and asked inside `cluster.network()`, by one thread; leaving it lets go of whatever it takes to ask again and again.
        """

    def election(self) -> float:
        """Return how long the members may take to have a leader again after losing theirs, in seconds, split votes included."""


@of_modes
@runtime_checkable
class Committing(Protocol):
    """A mode that stands on a log which its members write to their disks before they agree."""

    def commits(self) -> Committed:
        """Return what keeps that log, what it asks of a disk, and the timers in force that a slow one runs out."""


@of_modes
@runtime_checkable
class Enduring(Protocol):
    """A mode that knows how long a stall of its machines its timers stand."""

    def endurance(self) -> Endurance:
        """Return the timers in force that a stall may run out, and how long the cluster takes to be back from what that sets off."""


@of_modes
@runtime_checkable
class Unhurried(Protocol):
    """A mode that can wait longer for slow machines, where it waits at all; its timers stay what they are."""

    def unhurried(self, seconds: float) -> None:
        """Allow forming and deploying so many seconds more."""


@of_modes
@runtime_checkable
class Stretching(Protocol):
    """A mode whose timers can be stretched before it is formed, where machines are slower than the timers were made for."""

    def withstand(self, seconds: float) -> None:
        """Stretch its timers such that a machine that stands still for so long is not taken for dead. None of them gets shorter."""


@of_modes
@runtime_checkable
class Services(Protocol):
    """A mode whose daemons run as systemd units."""

    def processes(self) -> Sequence[str]:
        """Return the names of its daemons, each once, in the order in which people are told them."""

    def unit(self, process: str) -> str | None:
        """Return the systemd unit behind a process, by one of those names or by another that people know it by; None where there is none."""


@of_modes
@runtime_checkable
class Scaling(Protocol):
    """A mode that can change how many instances of an app run."""

    shrinks: ClassVar[bool]  # whether there may be fewer: then it is the last instances that stop

    def scale(self, cluster: Cluster, app: App, instances: int) -> None:
        """Have so many instances of an app that was deployed; `app` says how many there were. Returns when the orchestrator has taken it.

        Not before they run, which may take long, or never come. Raises `Expired` where nobody took it in time.
        """


@of_modes
@runtime_checkable
class Restarting(Protocol):
    """A mode that can have an app started anew."""

    def restart(self, cluster: Cluster, app: App) -> None:
        """Have all instances of an app that was deployed stopped and started, one after the other; one without a home has nothing to be stopped.

        Returns when all that can have a home run again, by the orchestrator's word. Raises `Expired` where they did not in time, `HalfDone` where
        some were begun with, and any other `HarnessError` where nothing was touched.
        """


@of_modes
@runtime_checkable
class Updating(Protocol):
    """A mode that can give an app another image, and another environment, while it runs."""

    def update(self, cluster: Cluster, app: App) -> None:
        """Have all instances of an app that was deployed made as `app` says from now on, one after the other; its image is on the nodes first.

        An instance that is so already may be left as it is. Returns when all of them run again, by the orchestrator's word. Raises `Expired` where
        they did not in time, `HalfDone` where some were begun with, and any other `HarnessError` where nothing was touched.
        """


@of_modes
@runtime_checkable
class Removing(Protocol):
    """A mode that can take an app away in the middle of a run, and have it again."""

    def remove(self, cluster: Cluster, app: App) -> None:
        """Forget an app and stop what runs of it. Returns when the orchestrator shows none of it any more; it may still stop then. Twice is fine.

        Raises `Expired` where nobody took it in time, `HalfDone` where a part was.
        """

    def launch(self, cluster: Cluster, app: App) -> None:
        """Have an app that was removed, or that was deployed without instances, with as many as `app` says. Where it is there it may stay so.

        Returns when the orchestrator has taken it: not before they run, which may take long, or never come. Raises as `remove`.
        """


@dataclass(frozen=True, slots=True)
class OwnApp:
    """An app that has a definition of its own: what is in its file, and what a scenario says beside it."""

    name: str
    file: str  # as messages name it
    text: str = field(repr=False)  # values of an environment may be in it
    instances: int | None = None  # None where it does not say
    container: str = ""  # what the containers are called, as the definition would say it; empty where it does not say, as below
    image: str = ""
    port: str = ""
    builds: bool = False  # whether nodes have no images but those that they build themselves, and reach no registry


@of_modes
@runtime_checkable
class Defining(Protocol):
    """A mode that takes an app's own definition, in its own words, as it stands in a file: `Mode.deploy` then submits that, and nothing of ours.

    All other capabilities are there for such an app as for any, but for `Updating`: what its containers are made of stands in its file.
    """

    ENDINGS: ClassVar[Mapping[str, str]]  # how names of such files end, ``.service``, each with what such a file is

    def define(self, wanted: OwnApp) -> App:
        """Return the app, with all that follows from its definition. Runs nothing, reads nothing else, and asks nobody.

        Raises `BadInput` with everything that keeps it from being followed. What only the scenario can say is a problem of no file: its `found` says
        what is missing.
        """

    def clashes(self, apps: Sequence[App]) -> Sequence[tuple[str, str, str]]:
        """Return what keeps apps from running beside each other, by their definitions: the name of one, what was found, and what was expected."""


@of_modes
@runtime_checkable
class Selective(Protocol):
    """A mode that cannot give every app all that a scenario may ask for it."""

    def refused(self, app: App) -> Sequence[tuple[str, str, str, str]]:
        """Return what it cannot give an app: the key in a scenario file, what was found there, what is expected, and a hint. Asks nobody."""


@of_modes
@runtime_checkable
class Ordered(Protocol):
    """A mode whose orders go through one node at a time."""

    def orders(self, cluster: Cluster) -> tuple[str, ...]:
        """Return the names of the nodes that take orders, in the order in which they are tried: the first that answers takes them. Asks nobody."""


@of_modes
@runtime_checkable
class Electing(Protocol):
    """A mode of whose daemons some elect a leader among themselves, beside the quorum that they stand on."""

    @classmethod
    def elected(cls) -> Sequence[str]:
        """Return their names, as `Services.processes` has them."""

    def first(self, cluster: Cluster, process: str) -> str | None:
        """Return the name of the node whose daemon of that name leads now, by its own word; None where none says so. Inside `cluster.network()`."""


@of_modes
@runtime_checkable
class Distributed(Protocol):
    """A mode that may run something else in the place of upstream's own daemons: wherever people read which mode it is, they read that, too."""

    @property
    def distribution(self) -> str:
        """What it runs, in a word or two: ``stand-in``; empty where that is upstream's own."""


@of_modes
@runtime_checkable
class Packaged(Protocol):
    """A mode whose daemons, or some of them, can come from images of somebody's choice, as upstream's own do."""

    PACKAGED: ClassVar[Sequence[str]]
    """What comes from an image each, by the words that a scenario has for them."""

    def use_images(self, images: Mapping[str, str]) -> None:
        """Run what is in these images, one for each word of `PACKAGED`, as the scenario names them. Called before anything is formed."""

    def ready_for_images(self, cluster: Cluster) -> None:
        """Have each node's Docker take images, which are loaded before `form`. Raises as `Mode.form`. Inside `cluster.network()`."""


@of_modes
@runtime_checkable
class Replaying(Protocol):
    """A mode in which nothing comes back by itself: somebody has the whole of it done again, perhaps by a changed inventory."""

    def replay(self, cluster: Cluster, limit: str, tags: str, move: Mapping[str, str]) -> str:
        """Bring about on the hosts what is to run there. Returns how that went on each of them, in words.

        `limit` is a pattern of hosts and groups, empty for all; `tags` are those of what is to be done, with commas between them, empty for all of
        it. With `move` the work of the host ``from`` is assigned to the host ``to`` before that: a node's name, or ``lost`` for those that cannot be
        reached, and ``any`` for whichever may have it. Raises `HalfDone` where it was done on some hosts and failed on others, which are named, with
        the reason, `Expired` where it was not over in time, and any other `HarnessError` where nothing was done.
        """


@of_modes
@runtime_checkable
class Draining(Protocol):
    """A mode that can take all work from a node, and keep it away."""

    def drain(self, cluster: Cluster, node: Node) -> None:
        """Let no work run on the node. Returns when the orchestrator has taken it, not before the last has moved. Twice is fine."""

    def undrain(self, cluster: Cluster, node: Node) -> None:
        """Undo `drain`; without one it does nothing. Work that has moved stays where it is."""


@of_modes
@runtime_checkable
class Ports(Protocol):
    """A mode that decides itself on which port of its node an instance answers; elsewhere `App.port_of` says it."""

    def port(self, cluster: Cluster, app: App, instance: str, node: Node) -> int | None:
        """Return the port to try for an instance on a node; None where it is known not to be there. Quick: asks nobody."""


class Store(Protocol):
    """A way to the values that a mode's quorum keeps, through one member. For one thread."""

    def put(self, key: str, value: str) -> None:
        """Write a key. When this returns a majority has it. Raises `NotDone` or `InDoubt`."""

    def get(self, key: str) -> str | None:
        """Read a key, as fresh as the mode promises; None where there is none. Raises `NotDone` or `InDoubt`."""

    def prefix(self, prefix: str) -> Mapping[str, str]:
        """Read all keys that start so, in one request. Raises `NotDone` or `InDoubt`."""

    def close(self) -> None:
        """Let go of the connection. Twice is fine."""


@of_modes
@runtime_checkable
class Registers(Protocol):
    """A mode whose quorum keeps small values for its users."""

    def store(self, cluster: Cluster, node: Node, timeout: float) -> Store:
        """Return a way to the values through this member, each request bounded by `timeout` seconds. Touches nothing yet."""


@of_modes
@runtime_checkable
class Adopting(Protocol):
    """A mode that can take over a cluster that runs already, and leave it as it was."""

    @property
    def remarks(self) -> Sequence[str]:
        """What `adopt` could not find out, in sentences: of what then stands there as if it had been read."""

    def adopt(self, cluster: Cluster) -> None:
        """Find the control plane on the nodes in place of `form`. Raises `HarnessError` with what was found and is missing; changes nothing."""

    def withdraw(self, cluster: Cluster, app: App) -> None:
        """Remove an app and all that `deploy` made of it. Twice is fine; works from another process and where nothing was deployed."""


@of_modes
@runtime_checkable
class LogFiles(Protocol):
    """A mode that knows what to keep of a node when something went wrong."""

    def logs(self, node: Node) -> Mapping[str, bytes]:
        """Return file names and contents. Raises `Unreachable`. Secrets never stand in them."""


@of_modes
@runtime_checkable
class Outspoken(Protocol):
    """A mode that works by a program on this machine, whose words are kept beside every run."""

    def said(self, cluster: Cluster) -> Mapping[str, bytes]:
        """Return file names and contents; nothing where nothing was said. Asks nobody. Secrets never stand in them."""


def told_as(mode: Mode) -> str:
    """Return what people are told that a mode is: its name, and what it runs where that is not upstream's own; see `Distributed`."""
    return with_distribution(mode.name, mode.distribution if isinstance(mode, Distributed) else "")


def with_distribution(mode: str, distribution: str) -> str:
    """Return the same by the mode's name and what it runs."""
    return f"{mode} ({distribution})" if distribution else mode


def of_images(mode: Mode, images: Mapping[str, str]) -> Mode:
    """Return a mode that was just made, with its daemons from these images, if any. Raises `Unsupported` where they cannot be."""
    if images:
        if not isinstance(mode, Packaged):
            raise Unsupported(f"the {mode.name} mode has no daemon that could come from an image")
        mode.use_images(images)
    return mode


def watchers(mode: Mode | type[Mode]) -> tuple[str, ...]:
    """Return the names of the observers that watch a cluster of a mode, by what its class can do, beside our own heartbeat."""
    cls = mode if isinstance(mode, type) else type(mode)
    asked = {"placement": Viewing, "membership": Quorum}
    return ("host", "docker", *(name for name, capability in asked.items() if issubclass(cls, capability)))
