"""What the parts of the harness promise each other.

Small enough to hold in the head. What not everyone can do is a protocol of its own, found with `isinstance`. Every protocol has a double in
`harness.testing` that really misbehaves, and one contract test that runs over every implementation.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar, runtime_checkable

from harness.core.clock import Clock, SystemClock
from harness.core.errors import HarnessError, Unsupported

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path, PurePosixPath
    from random import Random

    import docker

    from harness.core.topology import Grudge
    from harness.core.values import (
        App,
        Budget,
        Call,
        Committed,
        Effect,
        Endurance,
        Json,
        Latency,
        NodeSpec,
        Reply,
        Result,
        Rung,
        TaskNames,
        Term,
        Traits,
        Unavailable,
        View,
        Who,
    )


C = TypeVar("C")


@dataclass(frozen=True, slots=True)
class Capability:
    """What not every mode, or not every provider, can do: what a fault or an action takes, by the name of its protocol."""

    protocol: type[Any]
    of_mode: bool  # else it is a provider's


CAPABILITIES: dict[str, Capability] = {}
"""Every capability by its name: those of this module, and those that plug-ins brought."""


def of_modes(protocol: type[C]) -> type[C]:
    """Make a protocol that is `runtime_checkable` a capability of modes. Raises `ValueError` where another one has its name."""
    return _known(protocol, of_mode=True)


def of_providers(protocol: type[C]) -> type[C]:
    """Make it one of providers; see `of_modes`."""
    return _known(protocol, of_mode=False)


def _known(protocol: type[C], *, of_mode: bool) -> type[C]:
    name = protocol.__name__
    if not getattr(protocol, "_is_runtime_protocol", False):
        raise ValueError(f"{name} is no protocol that can be asked for; expected @runtime_checkable above it")
    other = CAPABILITIES.get(name)
    if other is not None and (other.protocol.__module__, other.protocol.__qualname__) != (protocol.__module__, protocol.__qualname__):
        raise ValueError(f"{other.protocol.__module__} has a capability named {name} already")
    CAPABILITIES[name] = Capability(protocol, of_mode)
    return protocol


class Node(Protocol):
    """One machine, spoken to over the management path, which no fault may cut."""

    @property
    def name(self) -> str:
        """Its name in the cluster, e.g. ``n1``."""

    @property
    def address(self) -> str:
        """Its IPv4 address on the cluster's network."""

    def run(self, *argv: str, timeout: float = 30.0, stdin: bytes = b"") -> Result:
        """Run a command as root, without a shell. Any exit status is a `Result`; no answer within `timeout` seconds raises `Unreachable`.

        So does a command that says more than 64 MiB: what is cut off would be taken for the whole. Where `timeout` is not given it is 30 s, and
        longer on a slow machine (`harness.core.pace`).
        """

    def put(self, source: Path, target: PurePosixPath) -> None:
        """Copy an ordinary file from here to the node, mode bits kept, folders made.

        Raises `Unreachable`, `CommandFailed` if the node refuses, or `BadInput` for what is no ordinary file here, or is too large.
        """

    def get(self, source: PurePosixPath, target: Path) -> None:
        """Copy a file of 64 MiB at most from the node to here, in place of what is there, also of a link.

        Raises `Unreachable`, or `CommandFailed` if it is not there.
        """


class Stream(Protocol):
    """A command that goes on running on a node, read line by line."""

    def lines(self) -> Iterator[bytes]:
        """Yield lines as they come, without the newline. Ends when the command ends or the node dies: an end is never "no more to say"."""

    def close(self) -> None:
        """End the command and any iteration over `lines`, also from another thread. Twice is fine."""


@runtime_checkable
class Streaming(Protocol):
    """A node that can run a command whose output is read as it comes."""

    def stream(self, *argv: str, stdin: bytes = b"") -> Stream:
        """Start the command. Raises `Unreachable`."""


@runtime_checkable
class DockerAccess(Protocol):
    """A node whose Docker daemon can be asked with the docker SDK over the management path."""

    def docker(self, timeout: float) -> docker.DockerClient:
        """Return a new client (the caller closes it), each of its calls bounded by `timeout` seconds. Raises `Unreachable`."""


@runtime_checkable
class OwnClock(Protocol):
    """A node whose wall clock is not this machine's."""

    def offset(self) -> float:
        """Return the node's wall clock minus ours, in seconds, measured when the connection was made and again when it may have changed."""


class Provider(Protocol):
    """Where nodes come from."""

    name: ClassVar[str]

    def create(self, run_id: str, specs: Sequence[NodeSpec]) -> Sequence[Node]:
        """Create the nodes together: a cluster boots in parallel. On any error all of them are destroyed before it is raised."""

    def adopt(self, run_id: str) -> Sequence[Node]:
        """Return the nodes of a run that another process created, from the provider's own records.

        Raises `NoSuchRun` where it has none of such a run, and any other `HarnessError` where they cannot be read: then nobody can tell.
        """

    def destroy(self, run_id: str) -> None:
        """Remove all that was made for a run. Twice is fine; works from another process, after half a `create`, and without records."""

    def network(self, run_id: str) -> AbstractContextManager[None]:
        """Inside it, this thread's new sockets reach the nodes; threads started inside inherit it. From a place that no fault breaks."""


@of_providers
@runtime_checkable
class Retaining(Provider, Protocol):
    """A provider that knows its runs, also those whose harness is dead, and which of them are to be kept."""

    def runs(self) -> Mapping[str, bool]:
        """Return every run that has, or holds, anything of this provider's, and whether it is still wanted (its harness lives, or it is kept)."""

    def keep(self, run_id: str, *, over: bool = False) -> None:
        """Note that a cluster, with what is deployed on it, is to outlive its run; and, later, that the run is over: whoever made it may live on."""

    def is_kept(self, run_id: str) -> bool:
        """Whether that was noted."""


@of_providers
@runtime_checkable
class Disposable(Retaining, Protocol):
    """A provider whose `destroy` ends the nodes themselves: nothing on them needs mending first, and nothing may be left on this machine."""

    def leftovers(self, run_id: str) -> list[str]:
        """Say what a run still has on this machine; empty when it is clean."""


@of_providers
@runtime_checkable
class Reaping(Protocol):
    """A provider on whose nodes a command may run on when the harness that began it is killed."""

    def reap(self, run_id: str) -> tuple[str, ...]:
        """End what harnesses that are gone had begun on a run's nodes and what still runs there. Returns the names of those nodes, sorted.

        What a harness that lives has begun goes on, also on the same nodes.
        """


@of_providers
@runtime_checkable
class Discerning(Protocol):
    """A provider that tells what its runs have made from what is only called so."""

    def strangers(self) -> list[str]:
        """Say of each thing on this machine that is called as one of ours, but is not proven to be, that it is left alone; a sentence each."""


@of_providers
@runtime_checkable
class Preparing(Protocol):
    """A provider that has something to make ready, once, before it can create nodes quickly."""

    def prepare(self, progress: Callable[[str], None], specs: Sequence[NodeSpec] = ()) -> Mapping[str, Json]:
        """Make it ready for nodes like these, saying in words what is done. Returns facts for the run's environment.

        Raises `Unsupported` where this machine cannot have them, before anything is touched.
        """


@of_providers
@runtime_checkable
class Furnishing(Protocol):
    """A provider whose nodes can carry what their mode needs beside what all nodes have."""

    def furnish(self, layer: Path | None) -> None:
        """Make nodes with this on them from now on (`Mode.LAYER`); nodes that nobody furnished have what all have. Called before `prepare`."""


@of_providers
@runtime_checkable
class Narrating(Protocol):
    """A provider that tells how the making of its nodes goes, and keeps what machines said that did not come up."""

    def narrate(self, progress: Callable[[str], None], folder: Path) -> None:
        """From now on tell whom it waits for in short lines, and put consoles as NAME.log into `folder`, which is made where there is one to keep."""


@of_providers
@runtime_checkable
class Consoles(Protocol):
    """A provider whose machines have consoles that can be kept."""

    def keep_consoles(self, run_id: str, folder: Path) -> None:
        """Put what the machines of a run said last into `folder` as NAME.log; it is made where there is anything to keep."""


@of_providers
@runtime_checkable
class Outliving(Protocol):
    """A provider whose nodes go on living when this machine, or the way to them, is lost: a timer on the node then undoes what we broke."""

    def patience(self) -> float:
        """Seconds without a word from us after which a node mends itself."""


@of_providers
@runtime_checkable
class Housed(Protocol):
    """A provider whose nodes stand on this machine, and so fall with what ails it."""

    def ailment(self, run_id: str) -> str:
        """Say what of this machine keeps a run's nodes from working, as a full disk; empty where nothing does. Asked ten times a second."""


@of_providers
@runtime_checkable
class Sized(Protocol):
    """A provider whose nodes stand on this machine, and that knows how many it carries."""

    def room(self) -> tuple[int, str]:
        """Return how many more nodes fit now, beside all that runs already, and in words what there is least of."""


@of_providers
@runtime_checkable
class Slower(Protocol):
    """A provider whose nodes may be slower than real machines, e.g. under software emulation."""

    def allowance(self) -> Term | None:
        """Return what budgets and bounds are lengthened by, with its reason; None where nodes are as fast as machines are. Asked after `prepare`."""

    def stall(self) -> float:
        """Return for how many seconds a node may stand still with nothing the matter; 0 where it does not by itself. Asked after `create`."""


@of_providers
@runtime_checkable
class Running(Protocol):
    """A provider of hosts that somebody else runs, with a cluster on them already: it is found, not formed."""

    def spared(self, run_id: str) -> frozenset[str]:
        """Return the names of the nodes that must never be broken."""

    def at_once(self, run_id: str) -> int:
        """Return how many nodes may be broken at the same time."""


@of_providers
@runtime_checkable
class Snapshots(Protocol):
    """A provider that can keep the state of its machines, memory and disks, and go back to it."""

    def save(self, run_id: str, name: str) -> None:
        """Keep the state of all nodes under a name, in place of one kept under it before."""

    def revert(self, run_id: str, name: str) -> None:
        """Go back to a kept state. Returns when every node answers `run` and has the right time. Raises `NoSuchRun` where none was kept."""


@of_providers
@runtime_checkable
class Power(Protocol):
    """A provider that can cut a node's power. Off is a crash: nothing on the node is told."""

    def off(self, node: Node) -> None:
        """Cut the power. Returns when nothing of the machine runs any more. Twice is fine."""

    def on(self, node: Node) -> None:
        """Start the machine. Returns when it answers `run`. On a running machine it does nothing."""

    def reboot(self, node: Node) -> None:
        """Reset the machine: off without a word, and on again. Returns when it answers `run`. One that was off is on afterwards."""

    def is_on(self, node: Node) -> bool:
        """Whether the machine runs, asked of the machine's host (a frozen machine runs)."""


@of_providers
@runtime_checkable
class Pausing(Protocol):
    """A provider that can freeze a whole node, as a hypervisor pauses a VM."""

    def pause(self, node: Node) -> None:
        """Freeze everything on the node, and drop its packets. Twice is fine."""

    def resume(self, node: Node) -> None:
        """Undo `pause`. Without one it does nothing."""

    def is_paused(self, node: Node) -> bool:
        """Whether it is frozen, asked of the machine's host."""


@of_providers
@runtime_checkable
class Links(Protocol):
    """A provider that can cut the links between nodes. `tag` names one cut; each has a table of its own, and no other rule is touched."""

    def cut(self, nodes: Sequence[Node], grudge: Grudge, tag: str) -> None:
        """Make every node of the grudge drop what comes from the addresses that it holds against. In parallel; twice is fine."""

    def restore(self, nodes: Sequence[Node], tag: str) -> None:
        """Undo one cut on these nodes. Without one it does nothing."""

    def is_cut(self, node: Node, tag: str) -> bool:
        """Whether the node's kernel has this cut's rules, or those of one whose tag goes on from `tag` after an underscore. Raises `Unreachable`."""


@of_providers
@runtime_checkable
class Disks(Protocol):
    """A provider that can slow one node's /data disk. What slows it lasts until `mend`: a machine that had no power comes back with it."""

    def slow(self, node: Node, latency: Latency) -> None:
        """Add `latency` to every operation of the node's disk, in place of any given before."""

    def mend(self, node: Node) -> None:
        """Undo `slow`. Without one it does nothing."""

    def latency(self, node: Node) -> Latency:
        """Return what is added now, asked of the disk itself; of a machine that is off, what will be added once it is on."""

    def why_not(self, node: Node, latency: Latency) -> Unavailable | None:
        """Say why this node's disk cannot be slowed so, or None."""


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


@of_modes
@runtime_checkable
class Numbering(Protocol):
    """A mode whose orchestrator does not number the instances of an app: it gives each an id of its own, which no other ever has."""

    def instance(self, cluster: Cluster, told: str) -> str:
        """Return what an instance is called in a run, ``web@1``, that a node or a container calls by its id; any other text as it stands.

        An id that was never heard of is asked for, quickly, and stays as it stands where nobody answers. Called inside `cluster.network()`.
        """


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


class Fault(Protocol):
    """Something broken that must be mended. Implementations are frozen dataclasses; their fields are the fault's parameters."""

    name: ClassVar[str]

    @property
    def traits(self) -> Traits:
        """What kind of fault it is, by its parameters: nobody needs to know it by its name."""

    def inject(self, cluster: Cluster, targets: Sequence[Node]) -> str | None:
        """Break the targets. May raise half-way: what `heal` then undoes. Returns what is worth keeping of what was said, or nothing."""

    def heal(self, cluster: Cluster, targets: Sequence[Node]) -> str | None:
        """Mend the targets. Idempotent; also after half an inject, without one, and from another process. Returns what `inject` returns."""

    def in_force(self, cluster: Cluster, target: Node) -> bool:
        """Whether the target is broken now. Asks the node or the kernel, never our own memory. Raises `Unreachable`."""

    def available(self, cluster: Cluster, target: Node) -> Unavailable | None:
        """Say why this fault cannot be made on this target, or None. That somebody offers what it `takes` has been seen before."""

    def touched(self, cluster: Cluster, targets: Sequence[Node]) -> Sequence[Node]:
        """Return the nodes on which `inject` leaves something: the targets, or more.

        None is a word as well: that nothing is left on any node, so that none of them could mend anything by itself.
        """

    def remedy(self, cluster: Cluster, target: Node) -> Sequence[str]:
        """Return the command (no shell) by which a touched node undoes by itself all that `inject` does there, with nobody to ask.

        Idempotent, as `heal`; needs nothing but what is on the node. Decided before `inject`. Asked of nodes that are touched, and never empty there.
        """


@runtime_checkable
class Cutting(Protocol):
    """A fault of links: who is lost to it hangs on what is cut, not on who its targets are."""

    def lost(self, cluster: Cluster, targets: Sequence[Node]) -> Sequence[str]:
        """Return the names of the nodes that will not reach a majority of the control plane. Asked just before `inject`."""


@runtime_checkable
class Awaiting(Protocol):
    """A fault of something that must be there first: a node that was mended a moment ago may still be starting it."""

    def awaits(self, cluster: Cluster, target: Node) -> str:
        """Say what is not there yet to be broken on a node that is on; empty where all is. Raises `Unreachable`."""


@runtime_checkable
class Careful(Protocol):
    """A fault whose `heal` also undoes what somebody else did: it must not be made where there is something of that."""

    def look_before(self, cluster: Cluster, targets: Sequence[Node]) -> None:
        """Look whether it may be made there, before anything is noted or done. Raises `HarnessError` where not: then nothing is healed either."""


@runtime_checkable
class Lasting(Protocol):
    """A fault that is not mended in a moment."""

    @property
    def heal_within(self) -> float:
        """Seconds that mending it may take at most, by us or by a node alone."""


@runtime_checkable
class Varied(Protocol):
    """A fault whose traits hang on its parameters: it says itself which kinds of it there are."""

    @classmethod
    def variants(cls, mode: Mode) -> Sequence[Fault]:
        """Return one of each kind that can be made in a mode, in the order in which they are told."""


@runtime_checkable
class Choosy(Protocol):
    """A fault, or an action, that a mode may lack something for, which is known before there is a cluster."""

    def misfit(self, mode: Mode) -> tuple[str, str, str] | None:
        """Return which parameter asks for what the mode lacks, what it asks for, and what was expected; None where the mode has it."""


@runtime_checkable
class Needing(Protocol):
    """A fault, or an action, that needs something of the process that the harness is, which no file and no node has."""

    def lack(self) -> str:
        """Say what of it is not there, before anything is made; empty where nothing is."""


@runtime_checkable
class Local(Protocol):
    """A fault, or an action, that can be done to the machine of the harness as well, which is no node: where a target expression is ``here``."""

    def not_here(self) -> tuple[str, str, str] | None:
        """Return which parameter asks for what that machine lacks, what it asks for, and what was expected; None where it can be done there."""


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


class Here(Protocol):
    """This machine, as far as a fault asks on what it can stand."""

    def which(self, tool: str) -> str | None:
        """Return where a program is, as a run would find it."""

    def exists(self, path: str) -> bool:
        """Whether there is such a file."""

    def library(self, name: str) -> str | None:
        """Return the file name of a shared library."""


@runtime_checkable
class Laddered(Protocol):
    """A fault that says on which rung of its ladder it stands on this machine: `whalefall doctor` asks it."""

    @classmethod
    def rung(cls, here: Here) -> Rung:
        """Say whether it can be made here, and how, with nothing but looks at this machine. Never raises."""


class Client(Protocol):
    """One connection of a workload."""

    def invoke(self, call: Call) -> Reply:
        """Make the call within its deadline. Never raises for what the cluster does: every trouble is a fail or an unknown."""

    def close(self) -> None:
        """Let go of sockets. Twice is fine."""


class Workload(Protocol):
    """Calls made at a steady rate while things break.

    Its class may say what its calls are of (`stream`, a `harness.core.values.CallStream`), and which capabilities a mode must offer for it (`takes`,
    by their names).
    """

    name: ClassVar[str]

    @property
    def rate(self) -> float:
        """Calls a second, whatever the answers take."""

    def calls(self, rng: Random) -> Iterator[Call]:
        """Yield calls without end."""

    def connect(self, cluster: Cluster) -> Client:
        """Return a client for one thread. Called inside `cluster.network()`."""

    def final(self, cluster: Cluster) -> Sequence[Call]:
        """Calls to make once at the end, when everything is mended (e.g. read all keys back)."""


class Performance(Protocol):
    """What goes on of a workload that makes its calls itself."""

    def lines(self) -> Iterator[bytes]:
        """Yield what it says, as it comes. Ends with it."""

    @property
    def status(self) -> int | None:
        """What it ended with, by its own doing; None where nobody saw that."""

    def close(self) -> None:
        """End it. Twice is fine."""


@runtime_checkable
class Performing(Protocol):
    """A workload that makes its calls itself, and says how they went. It is begun once, and goes on until it is ended."""

    def begin(self, cluster: Cluster) -> Performance:
        """Begin it. Raises `HarnessError`."""


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


@of_providers
@runtime_checkable
class Limited(Protocol):
    """A provider whose nodes do not all allow every fault, and every action that is done to nodes."""

    def refusal(self, run_id: str, node: str, what: Fault | Action) -> Unavailable | None:
        """Say why a fault may not, or cannot, be made on a node (by its name), or an action be done to it, or None. Asks no host."""


@of_providers
@runtime_checkable
class Claiming(Retaining, Protocol):
    """A provider whose nodes outlive a run, and that holds them for it: what a dead run left there is mended, taken away and let go later."""

    def note_results(self, run_id: str, folder: Path) -> None:
        """Note in which folder a run's ledger and plan are, before anything is deployed or broken. Raises `HarnessError`."""

    def results(self, run_id: str) -> Path | None:
        """Return that folder; None where it was never noted, so that nothing can have been deployed or broken."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a rehearsal found: nodes that were looked at and not touched."""

    nodes: Sequence[Node]  # in the order of the specs
    lines: Sequence[str]  # what was found, for people
    spared: frozenset[str]  # see `harness.core.protocols.Running`
    at_once: int
    why_not: Callable[[str, Fault | Action], Unavailable | None]  # (node's name, fault or action); see `Limited.refusal`


@of_providers
@runtime_checkable
class Rehearsing(Protocol):
    """A provider that can look at the nodes of a run before there is one."""

    def rehearse(self, specs: Sequence[NodeSpec]) -> Seen:
        """Check everything that `create` checks, and change nothing. Raises what `create` raises."""
