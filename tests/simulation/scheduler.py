"""The scheduler of a simulated cluster: where each instance is to run, and the orders that make it so."""

from __future__ import annotations

from dataclasses import dataclass

from tests.simulation.cluster import FLEET, Pace
from tests.simulation.deeds import MOST
from tests.simulation.quorum import Quorum
from tests.simulation.world import World


@dataclass(frozen=True, slots=True)
class _Order:
    due: float
    what: str  # start, stop, crash
    node: str
    instance: str


class Scheduler:
    """Gives work of nodes that were not heard of for long enough a new home. While nobody leads it decides nothing."""

    def __init__(self, world: World, quorum: Quorum, *, crashes: bool) -> None:
        self._world = world
        self._quorum = quorum
        self._crashes = dict.fromkeys(world.cluster.instances, 4) if crashes else {}
        self.homes = dict(world.cluster.homes)
        self._scaled: dict[str, int] = {}  # how many of each app there are homes for
        self.unlisted: set[str] = set()  # nodes that the API no longer shows
        self.changes: list[tuple[float, dict[str, str | None]]] = [(0.0, dict(self.homes))]
        self._missed: dict[str, float] = {}  # from when a node was not heard of
        self._patience: dict[str, float] = {}
        self._orders: list[_Order] = []

    def step(self) -> None:
        """Notice who is gone or back, decide, and carry out what is due."""
        if self._quorum.leader is not None:
            self._scale()
            for node in self._world.machines:
                if self._heard(node):
                    self._missed.pop(node, None)
                    self._patience.pop(node, None)
                    self.unlisted.discard(node)
                    self._order(node)
                else:
                    self._miss(node)
            for instance, home in list(self.homes.items()):
                if home is None or home in self.unlisted or home in self._world.shut:
                    self._place(instance)
        for order in sorted(self._orders, key=lambda each: each.due):
            if order.due <= self._world.now:
                self._orders.remove(order)
                self._carry_out(order)

    def _scale(self) -> None:
        """Have as many instances of each app as were asked for: those with the highest numbers come, and go."""
        if self._world.wanted == self._scaled:
            return
        self._scaled = dict(self._world.wanted)
        names = [name for app in self._world.cluster.apps for name in app.numbered(MOST)[: self._scaled[app.name]]]
        if {*names} != {*self.homes}:
            self.homes = {name: self.homes.get(name) for name in names}
            self._note()

    def _note(self) -> None:
        self.changes.append((self._world.now, dict(self.homes)))

    def _heard(self, node: str) -> bool:
        """Whether a node's agent tells the control plane that it lives. In fleet it is no part of the member on its node."""
        machine = self._world.machines[node]
        awake = machine.on and self._world.now >= machine.booted
        return awake and self._quorum.connected(node) and (self._world.cluster.mode == FLEET or machine.has_docker)

    def _miss(self, node: str) -> None:
        world = self._world
        since = self._missed.setdefault(node, world.now)
        if node not in self._patience:
            allowed = world.cluster.allowed
            factor = {
                Pace.IN_TIME: world.rng.uniform(0.25, 0.62),
                Pace.LATE: world.rng.uniform(1.3, 1.9),
                Pace.NEVER: 99.0,
            }[world.cluster.habits.pace]
            self._patience[node] = factor * (allowed.follower if node in world.cluster.members else allowed.other)
        elected = self._quorum.led[-1][0]
        if world.now - max(since, elected) >= self._patience[node]:
            self.unlisted.add(node)

    def _place(self, instance: str) -> None:
        world = self._world
        free = [
            node
            for node, machine in world.machines.items()
            if node not in self.unlisted
            and node not in self._missed
            and node not in world.shut
            and machine.has_docker
            and world.cluster.fits(instance, (other for other, home in self.homes.items() if home == node))
        ]
        if free:
            self.homes[instance] = world.rng.choice(free)
            self._note()
        elif self.homes[instance] in world.shut:
            self.homes[instance] = None  # it stops there all the same
            self._note()

    def _order(self, node: str) -> None:
        """Have a node stop what is not to run there, and start what is."""
        machine, rng, now = self._world.machines[node], self._world.rng, self._world.now
        for instance in dict.fromkeys([*self.homes, *machine.containers]):
            home = self.homes.get(instance)
            if instance in machine.containers and home != node:
                self._add(now + rng.uniform(0.3, 1.2), "stop", node, instance)
            elif home == node and instance not in machine.containers and machine.has_docker:
                self._add(now + rng.uniform(0.4, 1.8), "start", node, instance)

    def _add(self, due: float, what: str, node: str, instance: str) -> None:
        if not any((each.what, each.node, each.instance) == (what, node, instance) for each in self._orders):
            self._orders.append(_Order(due, what, node, instance))

    def _carry_out(self, order: _Order) -> None:
        world, node, instance = self._world, order.node, order.instance
        machine = world.machines[node]
        wanted, there = self.homes.get(instance) == node, instance in machine.containers
        if order.what == "start" and wanted and not there and machine.has_docker and world.cluster.fits(instance, machine.containers):
            world.start(node, instance)
            if self._crashes.get(instance, 0) and world.rng.random() < 0.75:
                self._crashes[instance] -= 1
                self._add(world.now + world.rng.choice([0.2, 0.6, 2, 4, 7, 12]), "crash", node, instance)
        elif order.what == "crash" and there and machine.on:
            world.crash(node, instance)
        elif order.what == "stop" and there and not wanted and machine.has_docker:
            world.stop(node, instance)
