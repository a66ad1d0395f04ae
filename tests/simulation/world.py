"""The machines of a simulated cluster: what of each is there, what runs on it, and who reaches whom."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from random import Random

from harness.core.values import Container, Loss, NodeState
from harness.history.events import DockerEvent, Event, NodeSeen
from tests.simulation.cluster import FLEET, Cluster
from tests.simulation.deeds import Deed
from tests.simulation.faults import Fault, Outage


class Daemon(enum.Enum):
    """How a daemon is."""

    RUNS = enum.auto()
    HANGS = enum.auto()
    DEAD = enum.auto()


@dataclass(slots=True)
class Running:
    """A container that runs."""

    id: str
    since: float
    serves: float  # from when it answers


@dataclass(frozen=True, slots=True)
class Stay:
    """One container's life on a node: the truth that node truth is held against."""

    instance: str
    node: str
    start: float
    end: float
    container: str


@dataclass(slots=True)
class Machine:
    """One machine."""

    on: bool = True
    booted: float = 0.0  # from when its daemons answer
    went_off: float = 0.0
    visible: float = 0.0  # from when its process table can be read again
    confessed_after: float = 0.0  # how long it takes until anybody says that it is off
    daemons: dict[str, Daemon] = field(default_factory=lambda: {"docker": Daemon.RUNS, "etcd": Daemon.RUNS})
    containers: dict[str, Running] = field(default_factory=dict)
    kept: dict[str, str | None] = field(default_factory=dict)  # instance → the container that is started again, if it is the same

    @property
    def has_docker(self) -> bool:
        """Whether containers can be started and stopped on it."""
        return self.on and self.daemons["docker"] is Daemon.RUNS


class World:
    """All machines at one moment (`now`), and all that was told of them until then (`told`)."""

    def __init__(
        self, rng: Random, cluster: Cluster, faults: Sequence[Fault], outages: Sequence[Outage], deeds: Sequence[Deed] = ()
    ) -> None:
        self.rng = rng
        self.cluster = cluster
        self.faults = faults
        self.now = 0.5
        self.told: list[tuple[float, Event]] = []
        self.over: list[Stay] = []
        self.machines = {node: Machine(confessed_after=rng.choice([0.05, 0.3, 2.0, 3.5])) for node in cluster.nodes}
        self._daemon = cluster.daemon
        self._outages = outages
        self._changes = sorted((each for deed in deeds for each in deed.changes), key=lambda each: each.time)
        self._down: set[str] = set()  # nodes whose daemon an action stopped
        self.shut: set[str] = set()  # nodes that are to have no work, by an action
        self.wanted = {app.name: app.instances for app in cluster.apps}
        self._drops: dict[str, set[str]] = {}
        self._restarted: dict[tuple[str, int], float] = {}  # when a daemon is back that its supervisor starts
        for instance, home in cluster.homes.items():
            if home is not None:
                self.machines[home].containers[instance] = Running(self.new_id(), self.now, self.now)

    @property
    def acting(self) -> list[Fault]:
        """The faults that bite now."""
        return [fault for fault in self.faults if fault.acts(self.now)]

    def tell(self, time: float, event: Event) -> None:
        """Record an event."""
        self.told.append((time, event))

    def soon(self) -> float:
        """Return a moment within this step."""
        return self.now + self.rng.random() * 0.09

    def new_id(self) -> str:
        """Return the id of a new container."""
        return f"{self.rng.getrandbits(256):064x}"

    @property
    def undivided(self) -> bool:
        """Whether no links are cut."""
        return not self._drops

    def hears(self, node: str, other: str) -> bool:
        """Whether what one sends arrives at a node."""
        return not self._drops or node == other or other not in self._drops.get(node, ())

    def reaches(self, one: str, other: str) -> bool:
        """Whether packets pass both ways."""
        return self.hears(one, other) and self.hears(other, one)

    def is_member(self, node: str) -> bool:
        """Whether a node's member of the quorum is there."""
        machine = self.machines[node]
        return machine.on and self.now >= machine.booted and machine.daemons[self._daemon] is Daemon.RUNS

    def tell_node(self, node: str, time: float) -> None:
        """Say what runs on a node, if it is on."""
        machine = self.machines[node]
        if machine.on:
            running = tuple(Container(each.id, instance) for instance, each in sorted(machine.containers.items()))
            self.tell(time, NodeSeen(node, NodeState.UP, running))

    def step(self, now: float) -> None:
        """Let all that breaks, and comes back, do so until now."""
        self.now = now
        self._change()
        acting = self.acting
        self._drops = {}
        for fault in acting:
            for node, others in fault.drops.items():
                self._drops.setdefault(node, set()).update(others)
        for node in self.machines:
            self._power(node, acting)
            self._daemons(node, acting)

    def _change(self) -> None:
        """Let what actions change be so."""
        while self._changes and self._changes[0].time <= self.now:
            each = self._changes.pop(0)
            if each.what == "scale":
                self.wanted[each.of] = each.number
            elif each.what == "crash":
                for instance in list(self.machines[each.of].containers):
                    self.crash(each.of, instance)
            elif each.what == "renew":
                for node, machine in self.machines.items():
                    if each.of in machine.containers and machine.has_docker:
                        self.stop(node, each.of)
            elif each.what in {"down", "up"}:
                (self._down.add if each.what == "down" else self._down.discard)(each.of)
            else:
                (self.shut.add if each.what == "shut" else self.shut.discard)(each.of)

    def start(self, node: str, instance: str) -> None:
        """Start an instance's container."""
        machine = self.machines[node]
        container = machine.kept.pop(instance, None) or self.new_id()
        machine.containers[instance] = Running(container, self.now, self.now + self.rng.uniform(0.2, 0.9))
        self.tell(self.now + 0.02 + self.rng.random() * 0.03, DockerEvent(node, "start", container, instance, self.now + 0.01))
        self.tell_node(node, self.now + 0.03 + self.rng.random() * 0.05)

    def stop(self, node: str, instance: str) -> None:
        """Stop an instance's container, as Docker does when it is asked to."""
        container = self._gone(node, instance)
        self.tell(self.now + 0.02 + self.rng.random() * 0.03, DockerEvent(node, "die", container, instance, self.now + 0.01))
        self.tell_node(node, self.now + 0.03 + self.rng.random() * 0.05)

    def crash(self, node: str, instance: str) -> None:
        """Let a container stop by itself; what starts there again may be the same one."""
        container = self._gone(node, instance)
        self.machines[node].kept[instance] = container if self.rng.random() < 0.5 else None
        self.tell_node(node, self.now + self.rng.random() * 0.04)

    def stays(self, end: float) -> tuple[Stay, ...]:
        """Return where everything ran until the end, in order."""
        still = (
            Stay(instance, node, each.since, end, each.id)
            for node, machine in self.machines.items()
            for instance, each in machine.containers.items()
        )
        return tuple(sorted([*self.over, *still], key=lambda stay: stay.start))

    def _gone(self, node: str, instance: str) -> str:
        each = self.machines[node].containers.pop(instance)
        self.over.append(Stay(instance, node, each.since, self.now, each.id))
        return each.id

    def _power(self, node: str, acting: Iterable[Fault]) -> None:
        machine = self.machines[node]
        off = any(fault.traits.loses is Loss.NODE and node in fault.targets for fault in acting)
        off = off or any(each.node == node and each.begins <= self.now < each.ends for each in self._outages)
        if off and machine.on:
            machine.on, machine.went_off = False, self.now
            for instance in list(machine.containers):
                self._gone(node, instance)
        elif not off and not machine.on:
            machine.on, machine.visible = True, self.now + 0.05
            machine.booted = self.now + self.rng.uniform(0.3, self.cluster.habits.boot)
            machine.daemons = dict.fromkeys(machine.daemons, Daemon.RUNS)

    def _daemons(self, node: str, acting: Iterable[Fault]) -> None:
        machine = self.machines[node]
        if not machine.on:
            return
        hit = [fault for fault in acting if fault.traits.loses is Loss.PROCESS and node in fault.targets]
        if not hit and node not in self._down:  # nothing keeps any from running
            machine.daemons = dict.fromkeys(machine.daemons, Daemon.RUNS)
            return
        for name, before in machine.daemons.items():
            by_hand = Daemon.DEAD if node in self._down and name == self._daemon else Daemon.RUNS
            machine.daemons[name] = next((self._state(node, fault) for fault in hit if name in fault.traits.parts), by_hand)
            died = machine.daemons[name] is Daemon.DEAD and before is not Daemon.DEAD
            survive = died and name == "docker" and self.cluster.mode == FLEET and self.rng.random() < 0.3
            if died and name == "docker" and not survive:
                for instance in list(machine.containers):
                    self.crash(node, instance)

    def _state(self, node: str, fault: Fault) -> Daemon:
        if fault.traits.stops:
            return Daemon.HANGS
        if not fault.traits.in_place:
            return Daemon.DEAD
        back = self._restarted.setdefault((node, fault.number), fault.bites + self.rng.uniform(1.0, 4.0))
        return Daemon.RUNS if self.now >= back else Daemon.DEAD
