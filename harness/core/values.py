"""The words of the harness as plain frozen values. Nothing here does I/O.

Times are seconds on the run's own clock (0 when its history was opened) unless a name says otherwise.
"""

from __future__ import annotations

import enum
import re
import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

from harness.core.figures import given
from harness.core.instances import number_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Json: TypeAlias = "None | bool | int | float | str | list[Json] | dict[str, Json]"
"""What JSON can hold. `Mapping`s of it are frozen by convention: nobody writes to one that was handed over."""


SEEDS = 1_000_000
"""A seed that nobody chose is below it: six digits can be read out and typed."""


class Verdict(enum.StrEnum):
    """Whether a promise was kept. The worst of several counts: broken before unknown before held."""

    HELD = "held"
    UNKNOWN = "unknown"
    BROKEN = "broken"

    @staticmethod
    def worst(verdicts: Iterable[Verdict]) -> Verdict:
        """Return the worst of `verdicts`; of none at all, unknown: silence is not a pass."""
        order = [Verdict.HELD, Verdict.UNKNOWN, Verdict.BROKEN]
        return max(verdicts, key=order.index, default=Verdict.UNKNOWN)


class Outcome(enum.StrEnum):
    """How a call ended: it was done, it was not done, or nobody can tell."""

    OK = "ok"
    FAIL = "fail"
    UNKNOWN = "unknown"


BEFORE, DURING, AFTER = "before", "during", "after"
"""When something is asked: before the faults, while one is in force, and after all of them."""


class Stage(enum.StrEnum):
    """A fault's life. Every fault that was decided ends as healed or as failed."""

    DECIDED = "decided"  # targets chosen; the ledger line is on disk
    INJECTED = "injected"  # inject() returned
    IN_FORCE = "in_force"  # the node or the kernel says so, on every target
    HEALING = "healing"
    HEALED = "healed"  # the node or the kernel says that nothing is left of it
    FAILED = "failed"


class Loss(enum.StrEnum):
    """What the rest of a cluster loses to a fault while it is in force."""

    NODE = "node"  # the machine, and all on it
    PROCESS = "process"  # a daemon: its machine is there, and what it carried may live on
    LINK = "link"  # packets: whoever cannot reach a majority any more is lost
    NOTHING = "nothing"  # everybody is there, if slower


class Who(enum.StrEnum):
    """Who of a cluster is lost, as far as recovery from it hangs on that."""

    LEADER = "leader"  # the one that leads the control plane is among them
    FOLLOWER = "follower"  # members of the control plane, and not its leader
    OTHER = "other"  # nobody that is a member


@dataclass(frozen=True, slots=True)
class Traits:
    """What kind of fault a fault is, so that nobody must know it by its name."""

    loses: Loss = Loss.NOTHING
    parts: tuple[str, ...] = ()  # what of the node it is about: names of daemons, ``disk``, ``memory``; empty for all of it, and for links
    in_place: bool = False  # what it takes may come back where it was while it is in force: then no node is lost
    blinds: tuple[str, ...] = ("membership", "placement")  # observers that it may keep from asking whom it hits
    apart: bool = False  # of a fault of links: those that are lost to it see nothing at all of the others
    idle: bool = False  # it does nothing, and is never in force, whatever anybody says
    takes: tuple[str, ...] = ()  # capabilities that provider or mode must offer, by their names in `harness.core.protocols`, e.g. ``Power``
    leaves: tuple[str, ...] = ()  # what may be found of it on a node: aspects of a fingerprint, e.g. ``nft_tables``
    stops: tuple[str, ...] = ()  # the names of the processes that it stops


@dataclass(frozen=True, slots=True)
class Effect:
    """What an action does to a cluster, so that nobody must know it by its name."""

    runs: Mapping[str, int] = field(default_factory=dict)  # app → how many instances of it are to run once it is done; 0: it is removed
    stops: tuple[str, ...] = ()  # daemons that it stops on its targets, as `Traits.parts` names them
    starts: tuple[str, ...] = ()  # daemons that run on its targets once it is done
    moves: bool = False  # work that runs on its targets goes elsewhere, and none comes there
    opens: bool = False  # work may come to its targets again
    renews: tuple[str, ...] = ()  # apps whose instances it stops, and starts anew, perhaps elsewhere: nothing else is upset by that
    alters: tuple[str, ...] = ()  # apps that are made of something else from then on, and stay so
    disturbs: bool = (
        False  # while it is done it may keep the cluster from what others promise, and nobody knows how: anywhere, where it has no targets
    )

    @property
    def upsets(self) -> bool:
        """Whether what others promise of the cluster may be late, or fail for a moment, because of it."""
        return bool(self.stops or self.starts or self.moves or self.disturbs)

    @property
    def only_takes(self) -> bool:
        """Whether it stops daemons, or sends work away from its targets, and does nothing else: that brings nothing back that was lost before."""
        return bool(self.stops or self.moves) and self == Effect(stops=self.stops, moves=self.moves)

    @property
    def of_targets(self) -> bool:
        """Whether what it says is said of its targets: who has none can have no such effect."""
        return bool(self.stops or self.starts or self.moves or self.opens)


class CallStream(enum.StrEnum):
    """What the calls of a workload are of, by the word that histories have for it, so that nobody must know a workload by its name."""

    APP = "http"  # an app (the workload's parameter `app`): a call's key is an instance, and a good answer is by the node on which that one runs
    QUORUM = (
        "register"  # the mode's quorum: a call is a ``write`` or a ``read`` of a key, and a good answer is by the member that was asked
    )
    STORE = (
        "redis"  # an app that keeps values (`app`): a ``write`` or a ``read`` of a key, INSTANCE/NUMBER, and a good answer is by its node
    )
    PROBE = "probe"  # a question of the user's, by the name that it has there (the parameter `called`)
    COMMAND = "command"  # what a command of the user's tells of its own calls, by such a name; see `harness.history.loads`

    @property
    def own(self) -> bool:
        """Whether it is of something that the user named: how often is the user's to choose, and only a promise about it judges anything by it."""
        return self in {CallStream.PROBE, CallStream.COMMAND}

    @property
    def parameter(self) -> str:
        """The parameter that says of whom a workload's calls are, and of whom a promise's must be; empty: of nobody by name."""
        return "called" if self.own else "app" if self in {CallStream.APP, CallStream.STORE} else ""


@dataclass(frozen=True, slots=True)
class About:
    """What a promise is about, so that nobody must know a checker by its name."""

    calls: CallStream | None = (
        None  # the calls that it is judged by: of whom its parameter `CallStream.parameter` names, where there is one
    )
    asked: str = ""  # the parameter that must be given for it to go by those calls; empty: it always does
    scale: bool = False  # that so many instances (its parameter `to`) of an app (`app`) run in time (`within`) once a step asks for so many
    returns: bool = False  # that what a fault takes of an app (`app`) runs again in time: `within`, or else the mode's budget
    by_hand: bool = False  # that what a fault takes of an app (`app`) comes back by an action of the run, and not before


@dataclass(frozen=True, slots=True)
class TaskNames:
    """How containers are told apart that have no label of ours for each instance.

    By a label that each has of its own, a variable of its environment (``$MESOS_TASK_ID``), or its name. A number that is none, but an id that the
    orchestrator gives each instance, becomes one by `harness.core.protocols.Numbering`.

    The groups ``app`` and ``number`` of `pattern`, which the whole text must match, are the app and the number of the instance. Where `of` is not
    empty, all of them are of that app: then there is no group ``app``, and without a group ``number`` there is one instance.
    """

    label: str  # ``com.docker.swarm.task.name``: letters, digits, dots, dashes, slashes and _; after a $: a variable; empty: the container's name
    pattern: str  # a regular expression, as Python has them
    of: str = ""  # an app


@dataclass(frozen=True, slots=True)
class Rung:
    """On what a fault stands on this machine."""

    can: bool | None  # whether it can be made; None: partly, or nobody knows before a node is asked
    how: str  # in words, one line


class Phase(enum.StrEnum):
    """The parts of a run, in order."""

    FORMING = "forming"
    DEPLOYING = "deploying"
    STEADY = "steady"  # before the first fault
    FAULTS = "faults"  # from the first step that breaks anything to the last heal; actions and waits before it are in steady
    SETTLING = "settling"  # all is mended; the cluster is given time to find its feet
    FINAL = "final"  # last reads
    DONE = "done"


class NodeState(enum.StrEnum):
    """What is known of a node over the management path."""

    UP = "up"
    OFF = "off"  # the provider says that the machine does not run: nothing runs on it
    UNREACHABLE = "unreachable"  # could not ask: nothing is known


@dataclass(frozen=True, slots=True)
class Result:
    """What a command on a node answered, whatever its exit status (0–255; killed by signal N: 128 + N)."""

    argv: tuple[str, ...]
    exit: int
    out: bytes
    err: bytes

    @property
    def ok(self) -> bool:
        """Whether the exit status is 0."""
        return self.exit == 0

    @property
    def text(self) -> str:
        """Standard output as text, undecodable bytes replaced."""
        return self.out.decode(errors="replace")


HERE: Final = "here"
"""The machine that the harness runs on, where a node's name could stand. It is no node: only what says that it can be done there is."""


@dataclass(frozen=True, slots=True)
class NodeSpec:
    """One machine to be created."""

    name: str
    address: str  # IPv4 on the cluster's network
    faultable_disk: bool = False  # its /data can be slowed per operation
    disk_mb: int = 4096  # size of /data in MiB; a sparse file where the provider can


MOST_INSTANCES = 100
"""Instances of an app at most, as a scenario file and an action may ask for."""

NO_PROGRAM = frozenset({126, 127})
"""Statuses of a shell that finds no such program, or cannot run it (POSIX)."""


LISTENS: Final = 80
"""On which port a container answers HTTP, where nobody says another one."""

HIDDEN: Final = "***"
"""Stands in results and messages, which others read, in place of the value of a variable of an app's environment."""

NUMBER, ANY, ID = "%", "*", "#"
"""In what a definition calls things: the number of an instance, from 1, a part that nobody can know before, and an id that each instance is given."""


@dataclass(frozen=True, slots=True)
class Definition:
    """An app's own definition, in the words of its mode, as it stands in a file of its user's; and what follows from it.

    `NUMBER` stands for an instance's number in all that has it.
    """

    mode: str  # the mode that it is for
    file: str  # as messages name it
    text: str  # all of it, with ``***`` for each value of an environment: what is kept of it
    called: str  # what the orchestrator calls an instance, or all of them: ``web@%.service``, ``web_web``
    container: str  # how its containers are called (`label` empty), or what each has in that label: ``web-%``, ``web_web.%.*``
    label: str = ""
    port: str = ""  # of its node, on which an instance answers: ``8000``, ``80%``; empty where none is known
    portless: str = ""  # why none is known
    inner: int = 0  # the container's own port behind it, where the orchestrator chooses the node's; 0: it does not
    told: bool = False  # whether it tells its containers who they are, in WHALEFALL_INSTANCE
    most: int = MOST_INSTANCES  # instances that it can have
    here: bool = False  # whether what it says may be done on the harness's machine, too, with all its rights
    body: str = field(default="", repr=False, compare=False)  # all of it, word for word; of one that was read back from a plan, nothing

    def name(self, number: int) -> str:
        """Return what the orchestrator calls an instance."""
        return self.called.replace(NUMBER, str(number))

    @property
    def each(self) -> bool:
        """Whether each instance answers on a port of its own, whichever node it runs on."""
        return NUMBER in self.port

    def number(self, called: str) -> int | None:
        """Return the number of the instance that the orchestrator calls so; None for what is none of its instances."""
        found = re.fullmatch(_pattern(self.called), called)
        return int(found.groupdict().get("number") or 1) if found else None


def _pattern(template: str) -> str:
    """Return the regular expression of all that a definition calls so."""
    parts = {NUMBER: "(?P<number>[1-9][0-9]{0,3})", ID: "(?P<number>[0-9a-f-]{36})", ANY: "[^.]*"}
    pattern = re.escape(template)
    for mark, stands_for in parts.items():
        pattern = pattern.replace(re.escape(mark), stands_for)
    return pattern


@dataclass(frozen=True, slots=True)
class Volume:
    """What an app's containers have of what their node keeps."""

    source: str  # a volume of Docker's by its name, or the path of a folder of the node
    target: str  # where it is in a container
    read_only: bool = False

    @property
    def of_node(self) -> bool:
        """Whether it is a folder of the node."""
        return self.source.startswith("/")

    def __str__(self) -> str:
        """Give it as Docker's own short form has it."""
        return f"{self.source}:{self.target}" + ":ro" * self.read_only


NEVER, ON_FAILURE, ALWAYS = "no", "on-failure", "always"
RESTARTS: Final = (NEVER, ON_FAILURE, ALWAYS)
"""When a container that ended is started again: never, where it ended with another status than 0, whenever it ended."""


@dataclass(frozen=True, slots=True)
class Health:
    """How Docker finds out whether what is in a container works. What is empty, or 0, is as the image says, or else as Docker has it by itself.

    There is at most one of `line`, `words` and `http`.
    """

    line: str = ""  # for the container's own shell; 0 is healthy
    words: tuple[str, ...] = ()  # of a command that is run without a shell
    http: str = ""  # the path of what answers well on the container's port
    every: float = 0.0  # seconds
    timeout: float = 0.0  # seconds
    retries: int = 0  # bad answers in a row, after which it is unhealthy
    start_period: float = 0.0  # seconds in which a bad answer does not count

    def shell(self, port: int) -> str:
        """Return the line for the container's shell, if there is one, of a container that listens on this port."""
        if not self.http:
            return self.line
        where = shlex.quote(f"http://127.0.0.1:{port}{self.http}")
        return f"curl -fsS -o /dev/null {where} || wget -q -O /dev/null {where} || exit 1"


@dataclass(frozen=True, slots=True)
class ContainerLimits:
    """What a container may take of its node at most. What is 0 is not limited."""

    pids: int = 0  # processes and threads
    cpu: float = 0.0  # processors
    memory: int = 0  # MiB, with no swap beside it; swarm alone cannot say that
    io: int = 0  # weight among those who want the same disk, from 10 to 1000; who has none has 500

    @property
    def given(self) -> dict[str, float]:
        """Return those that are given, by their names."""
        each = {"pids": self.pids, "cpu": self.cpu, "memory": self.memory, "io": self.io}
        return {name: value for name, value in each.items() if value}


@dataclass(frozen=True, slots=True)
class App:
    """The containers whose fate is followed: `instances` copies named ``name@1`` … ``name@N``.

    Instance K answers HTTP on port ``port + K`` of whatever node it runs on, where the mode or its own definition do not say otherwise.
    """

    name: str
    instances: int
    image: str = "web"
    port: int = 8000  # of nodes; a scenario file calls it `host port`
    conflicts: bool = True  # never two instances on one node
    pin: str | None = None  # name of the only node that may run it
    environment: tuple[tuple[str, str], ...] = field(
        default=(), repr=False
    )  # variables that its containers have beside those that all have, each with its value; whatever shows an app shows none
    labels: tuple[tuple[str, str], ...] = ()  # of its containers, beside those by which they are followed; by name
    inner: int = LISTENS  # its containers' own port, on which they answer; a scenario file calls it `port`
    health: Health | None = None
    volumes: tuple[Volume, ...] = ()
    restart: str = ""  # when a container that ended is started again where it was, one of `RESTARTS`; empty: as the mode has it by itself
    command: tuple[str, ...] = ()  # words that its containers are started with, in place of the image's own CMD; none: that
    limits: ContainerLimits | None = None  # of each of its containers
    native: Definition | None = (
        None  # where its user wrote it in the mode's own words; then all that stands above but the name follows from it
    )

    @property
    def names(self) -> tuple[str, ...]:
        """The instances' names, in order."""
        return tuple(f"{self.name}@{number}" for number in range(1, self.instances + 1))

    def numbered(self, instances: int) -> tuple[str, ...]:
        """Return the names of so many instances, and of no fewer than it has."""
        return tuple(f"{self.name}@{number}" for number in range(1, max(self.instances, instances) + 1))

    def homes(self, nodes: int) -> int:
        """How many of its instances can have a home on so many nodes, by its own rules."""
        return min(self.instances, 1 if self.pin else nodes) if self.conflicts else self.instances

    def port_of(self, instance: str) -> int | None:
        """Host port of one instance, given by name; None where nobody knows any."""
        number = number_of(instance)
        if number is None:
            return None
        if self.native is None:
            return self.port + number
        return int(self.native.port.replace(NUMBER, str(number))) if self.native.port else None

    @property
    def ports(self) -> frozenset[int]:
        """The host ports of all of its instances, as far as they are known."""
        return frozenset(port for name in self.names if (port := self.port_of(name)) is not None)

    @property
    def called(self) -> TaskNames | None:
        """How its containers are told apart where it has a definition of its own."""
        return TaskNames(self.native.label, _pattern(self.native.container), self.name) if self.native else None


@dataclass(frozen=True, slots=True)
class Container:
    """One running container as a node's own process table shows it."""

    id: str  # 64 hex digits
    instance: str  # e.g. web@1; empty for a container that is not ours


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the orchestrator's API says an instance is. `node` is None while it has no home."""

    instance: str
    node: str | None
    state: str  # the orchestrator's own word: active, launched, failed …
    running: bool  # whether the API claims that it runs there now


@dataclass(frozen=True, slots=True)
class View:
    """What the orchestrator's API says, asked at one node."""

    nodes: tuple[str, ...]  # the machines that it lists, by our names, sorted
    placements: tuple[Placement, ...]  # sorted by instance, then node


@dataclass(frozen=True, slots=True)
class Term:
    """One line of a budget: what takes how long at most, and where that figure comes from."""

    what: str
    seconds: float
    source: str


@dataclass(frozen=True, slots=True)
class Budget:
    """How long recovery may take by the mode's own timers. No terms at all: no recovery is promised (infinite)."""

    terms: tuple[Term, ...]

    @property
    def seconds(self) -> float:
        """The sum of the terms, or infinity where nothing is promised."""
        return sum(term.seconds for term in self.terms) if self.terms else float("inf")

    def spelled(self) -> str:
        """Give the sum in words, e.g. ``agent_ttl 30 + etcd sync 0.5 = 30.5 s``."""
        if not self.terms:
            return "no recovery is promised"
        return " + ".join(f"{term.what} {given(term.seconds).removesuffix(' s')}" for term in self.terms) + f" = {given(self.seconds)}"


@dataclass(frozen=True, slots=True)
class Patience:
    """A timer that runs out by itself when whoever should reset it is not let run. All in seconds."""

    name: str  # as a scenario's `timers:` calls it, if one can set it
    seconds: float  # how long a stall it stands
    value: float = 0.0  # what it is set to; 0: nobody can set it
    default: float = 0.0  # how long a stall it stands in the profile named default
    most: float = 3600.0  # the longest that it can be set to


@dataclass(frozen=True, slots=True)
class Endurance:
    """What a cluster's timers stand: a machine that stalls for longer may by itself cause what a fault causes."""

    timers: tuple[Patience, ...]
    recovery: float  # seconds in which the cluster is back after the longest of what a stall may set off
    work: float  # seconds of a recovery that are work and no timers: on a machine with more to do than it can, those take longer

    @property
    def shortest(self) -> Patience:
        """The timer that runs out first."""
        return min(self.timers, key=lambda each: each.seconds)


@dataclass(frozen=True, slots=True)
class Committed:
    """A log that members agree by, each of which waits for its disk; and what upstream asks of that. All in seconds."""

    store: str  # what keeps it, e.g. ``etcd 3.4``
    most: float  # what upstream says that a durable write may take; 0: it says nothing
    source: str  # where it says so, and of what, or that it says nothing
    heartbeat: float  # how often a leader speaks
    election: float  # after how long without a word another one is elected, at the earliest
    timers: tuple[str, str] | tuple[()] = ()  # what these two are called under a scenario's `timers`; nothing where nobody can set them
    speaks_on: bool = False  # whether a leader speaks, and is heard, whatever its disk does; it gives up who takes `election` for a write


@dataclass(frozen=True, slots=True)
class Unavailable:
    """Why a fault cannot be made here, and what would have to be there."""

    reason: str
    needs: str

    def of(self, fault: str, node: str) -> str:
        """Say which fault cannot be made on which node, why, and what it needs."""
        return f"{fault} cannot be made on {node}: {self.reason}; it needs {self.needs}"


@dataclass(frozen=True, slots=True)
class Call:
    """One thing that a workload asks: `function` on `key`, with a value where one is written."""

    function: str  # get, read, write
    key: str
    value: str | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """How a call ended, and who answered (a node's name) where that is known.

    A trouble that is `ours` is the harness's or its machine's, e.g. no file descriptor was left: it says nothing of whom was called.
    """

    outcome: Outcome
    value: str | None = None
    by: str | None = None
    error: str = ""
    ours: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """What one checker says: a verdict, one sentence for the engineer, and the figures behind it."""

    checker: str
    verdict: Verdict
    summary: str
    details: Mapping[str, Json] = field(default_factory=dict)
    evidence: tuple[int, ...] = ()  # indices into the history


@dataclass(frozen=True, slots=True)
class Latency:
    """Delay added to each operation of a disk, in seconds."""

    fsync: float = 0.0
    write: float = 0.0
    read: float = 0.0

    @property
    def any(self) -> bool:
        """Whether anything is slowed at all."""
        return max(self.fsync, self.write, self.read) > 0.0
