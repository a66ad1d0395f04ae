"""Who watches a simulated cluster and who calls it: what a run's history would say of it, each word at its own time."""

from __future__ import annotations

from dataclasses import dataclass

from harness.core.values import Call, NodeState, Outcome, Placement, View
from harness.history.events import Answered, ApiSeen, Invoked, MemberSeen, NodeSeen, Watching
from tests.simulation.cluster import SWARM
from tests.simulation.faults import DISK
from tests.simulation.quorum import Quorum
from tests.simulation.scheduler import Scheduler
from tests.simulation.world import World

NO_ANSWER = "no answer"


class Observers:
    """The four observers of each node: node truth, Docker's events, the orchestrator's API, and the members of the quorum."""

    def __init__(self, world: World, quorum: Quorum, scheduler: Scheduler) -> None:
        self._world = world
        self._quorum = quorum
        self._scheduler = scheduler
        self._ask = {"host": self._host, "docker": self._docker, "placement": self._placement, "membership": self._membership}
        self._due = {(name, node): 0.6 + world.rng.random() * 0.5 for name in ("host", "docker", "placement") for node in world.machines}
        self._due |= {("membership", node): 0.6 + world.rng.random() * 0.5 for node in quorum.members}
        self._said: dict[tuple[str, str], object] = {}
        self._views: dict[str, View] = {}  # the last good one of each node

    def step(self) -> None:
        """Let each whose time has come ask its node."""
        world = self._world
        for (name, node), due in list(self._due.items()):
            if world.now < due:
                continue
            self._due[name, node] = world.now + world.rng.uniform(0.7, 0.95)
            machine, time = world.machines[node], world.soon()
            if not machine.on:
                self._ask_one_that_is_off(name, node, time)
            elif name != "host" and world.now < machine.booted:
                self._due[name, node] = world.now + 0.3
                world.tell(time, Watching(name, node, alive=False, detail="booting"))
            else:
                self._ask[name](node, time)

    def _ask_one_that_is_off(self, name: str, node: str, time: float) -> None:
        world, machine = self._world, self._world.machines[node]
        if world.now - machine.went_off < machine.confessed_after:
            self._due[name, node] = world.now + 0.1
        elif name == "host":
            world.tell(time, NodeSeen(node, NodeState.OFF, detail="the machine is off"))
            world.tell(time + 0.001, Watching(name, node, alive=True, detail="the machine is off"))
        else:
            self._due[name, node] = world.now + 2
            self._refused(name, node, time, NO_ANSWER)

    def _refused(self, name: str, node: str, time: float, why: str) -> None:
        if name == "membership":
            self._say(time, MemberSeen(node, error=why), "an error")
        elif name == "placement":
            self._say(time, ApiSeen(node, None, why), "an error")
        self._world.tell(time + 0.0005, Watching(name, node, alive=False, detail=why))

    def _say(self, time: float, event: MemberSeen | ApiSeen, word: object) -> None:
        """Record what was answered, where it is another word than the last."""
        if self._said.get((event.kind, event.node)) != word:
            self._said[event.kind, event.node] = word
            self._world.tell(time, event)

    def _host(self, node: str, time: float) -> None:
        if self._world.now >= self._world.machines[node].visible:
            self._world.tell_node(node, time)
            self._world.tell(time + 0.001, Watching("host", node, alive=True))

    def _docker(self, node: str, time: float) -> None:
        answers = self._world.machines[node].has_docker
        self._world.tell(time, Watching("docker", node, alive=answers, detail="" if answers else NO_ANSWER))

    def _membership(self, node: str, time: float) -> None:
        if not self._world.is_member(node):
            self._refused("membership", node, time, "refused")
            return
        term, leader = self._quorum.term[node], self._quorum.follows[node]
        self._say(time, MemberSeen(node, term, leader), (term, leader))
        self._world.tell(time + 0.0005, Watching("membership", node, alive=True))

    def _placement(self, node: str, time: float) -> None:
        view = self._view(node)
        if view is None:
            self._refused("placement", node, time, "503")
            return
        self._say(time, ApiSeen(node, view), view)
        self._world.tell(time + 0.0005, Watching("placement", node, alive=True))

    def _view(self, node: str) -> View | None:
        """Return what the API says at a node: what is so, or what it last knew, or nothing."""
        world, scheduler = self._world, self._scheduler
        if world.cluster.mode == SWARM and not world.machines[node].has_docker:
            return None
        if not self._quorum.connected(node):
            return self._views.get(node) if world.cluster.habits.stale else None
        placements = []
        for instance, home in sorted(scheduler.homes.items()):
            listed = home if home not in scheduler.unlisted else None
            runs = listed is not None and instance in world.machines[listed].containers
            placements.append(Placement(instance, listed, "active" if runs else "inactive", running=runs))
        self._views[node] = View(tuple(each for each in world.machines if each not in scheduler.unlisted), tuple(placements))
        return self._views[node]


@dataclass(frozen=True, slots=True)
class Get:
    """A call of an instance over HTTP."""

    begun: float
    ended: float
    instance: str
    ok: bool


@dataclass(frozen=True, slots=True)
class Write:
    """A write of a key of its own."""

    begun: float
    ended: float
    key: str
    outcome: Outcome
    member: str


class Callers:
    """The workloads: a call of each instance every 0.4 s, and writes and reads of what the quorum keeps."""

    def __init__(self, world: World, quorum: Quorum) -> None:
        self._world = world
        self._quorum = quorum
        self.gets: list[Get] = []
        self.writes: list[Write] = []
        self.kept: dict[str, str] = {}  # what the quorum keeps
        self._ops = 0
        self._next_get = {instance: 2.0 + world.rng.random() * 0.2 for instance in world.cluster.called}
        self._next_write, self._next_read = 2.0, 2.3

    def step(self, end: float | None) -> None:
        """Make the calls that are due; no write that could still be under way at the end."""
        now = self._world.now
        for app in self._world.cluster.apps:  # who calls each instance calls each that is asked for later as well
            if set(app.names) <= self._next_get.keys():
                for number in range(app.instances, self._world.wanted[app.name]):
                    self._next_get.setdefault(f"{app.name}@{number + 1}", now + 0.1)
        for instance, due in self._next_get.items():
            if now >= due:
                self._next_get[instance] += 0.4
                self._get(instance)
        if now >= self._next_write and (end is None or now < end - 2.1):
            self._next_write += 0.4
            self._write()
        if now >= self._next_read and self.kept:
            self._next_read += 1.1
            self._read(self._world.rng.choice(list(self.kept)))

    def read_all(self, time: float) -> float:
        """Read every key that was ever written, one after the other, and return when that was done."""
        for write in self.writes:
            time += 0.003
            by = self._world.rng.choice(self._quorum.members)
            self._call(
                time, time + 0.002, "register", Call("read", write.key), Answered(0, "register", Outcome.OK, self.kept.get(write.key), by)
            )
        return time

    def _call(self, begun: float, ended: float, workload: str, call: Call, answer: Answered) -> None:
        self._ops += 1
        self._world.tell(begun, Invoked(self._ops, workload, call))
        self._world.tell(ended, Answered(self._ops, workload, answer.outcome, answer.value, answer.by, answer.error))

    def _get(self, instance: str) -> None:
        world, begun = self._world, self._world.soon()
        there = [
            (each.since, node)
            for node, machine in world.machines.items()
            if (each := machine.containers.get(instance)) is not None and each.serves <= world.now
        ]
        if there:
            ended, answer = begun + world.rng.uniform(0.002, 0.01), Answered(0, "http", Outcome.OK, by=max(there)[1])
        else:
            ended, answer = begun + world.rng.choice([0.01, 0.5, 0.9]), Answered(0, "http", Outcome.FAIL, error="refused")
        self._call(begun, ended, "http", Call("get", instance), answer)
        self.gets.append(Get(begun, ended, instance, bool(there)))

    def _reaches_the_leader(self, member: str) -> bool:
        leader = self._quorum.leader
        follows = leader is not None and self._quorum.follows[member] == leader
        return follows and leader is not None and self._world.is_member(member) and self._world.reaches(member, leader)

    def _write(self) -> None:
        world, rng, begun = self._world, self._world.rng, self._world.soon()
        number = len(self.writes) + 1
        member = self._quorum.members[number % len(self._quorum.members)]
        key, value = f"k{number}", f"vk{number}"
        if self._reaches_the_leader(member):
            hit = {self._quorum.leader, member}
            slow = any(DISK in fault.traits.parts and hit & {*fault.targets} for fault in world.acting) and rng.random() < 0.8
            ended = begun + (rng.uniform(0.3, 0.8) if slow else rng.uniform(0.005, 0.03))
            answer = Answered(0, "register", Outcome.OK, by=member)
            self.kept[key] = value
        elif not world.is_member(member):
            refused = rng.random() < 0.5
            ended = begun + (0.01 if refused else 1.9)
            answer = Answered(0, "register", Outcome.FAIL if refused else Outcome.UNKNOWN, error="refused")
        else:
            ended, answer = begun + 2.0, Answered(0, "register", Outcome.UNKNOWN, error="timeout")
        self._call(begun, ended, "register", Call("write", key, value), answer)
        self.writes.append(Write(begun, ended, key, answer.outcome, member))

    def _read(self, key: str) -> None:
        begun, member = self._world.soon(), self._world.rng.choice(self._quorum.members)
        written = next(write.ended for write in self.writes if write.key == key)
        if self._reaches_the_leader(member) and written < begun:
            ended, answer = begun + 0.01, Answered(0, "register", Outcome.OK, self.kept[key], member)
        else:
            ended, answer = begun + 0.5, Answered(0, "register", Outcome.UNKNOWN, error="timeout")
        self._call(begun, ended, "register", Call("read", key), answer)
