"""What a simulated cluster is made of, and how it behaves by itself: all of it drawn from a seed."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from random import Random

from harness.core.values import App

FLEET, SWARM = "fleet", "swarm"

CHECK = "service docker is_running"
"""The property that every run asks each node for, before and after."""


class Pace(enum.StrEnum):
    """How fast lost work is placed anew, held against the mode's budget."""

    IN_TIME = "in time"
    LATE = "late"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Wishes:
    """What is asked of a seed beyond chance: nothing, where it is left out."""

    pattern: str = ""  # one, overlap, close, row, three: how the faults stand to each other
    half_made: bool = False  # one of several faults fails half-way
    crashes: bool = False  # what was just started may stop again by itself
    deeds: bool = False  # something is done on purpose, beside the faults
    later: bool = False  # an app is there of which nothing runs at first, and that is deployed in the middle


@dataclass(frozen=True, slots=True)
class Habits:
    """How a cluster behaves where its mode leaves that open."""

    pace: Pace
    stale: bool  # a node that is cut off tells the last view that it had, not an error
    steps_down: bool  # a leader that has lost its majority leads no longer, 1.5 s later
    loyal: float  # seconds without a word from its leader after which a member follows nobody
    electing: float  # how long an election takes at most, as a share of what it may
    boot: float  # seconds until the daemons of a machine that was switched on answer, at most
    prevote: bool  # a member that is cut off does not count up its term


@dataclass(frozen=True, slots=True)
class Budgets:
    """Seconds that recovery may take, by who was lost; of one whose disk is slow apart. None: nothing is promised."""

    leader: float
    follower: float
    other: float
    disk: float | None


BUDGETS = {FLEET: Budgets(16.5, 16.5, 14.5, 5.0), SWARM: Budgets(40.0, 17.0, 14.5, None)}
PROMISED = {
    FLEET: ("net.partition", "node.kill", "process.kill etcd", "process.kill fleetd"),
    SWARM: ("net.partition", "node.kill", "process.kill docker", "daemon.hang docker"),
}
"""After which faults each mode promises recovery, by the key of their budgets."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """Who is there, what is to run, and where it runs at first (None: it has no home)."""

    mode: str
    nodes: tuple[str, ...]
    members: tuple[str, ...]
    apps: tuple[App, ...]
    homes: Mapping[str, str | None]
    habits: Habits

    @property
    def daemon(self) -> str:
        """The daemon by which a node is a member of the quorum."""
        return "etcd" if self.mode == FLEET else "docker"

    @property
    def election(self) -> float:
        """Seconds that an election may take."""
        return 10.0 if self.mode == FLEET else 12.0

    @property
    def instances(self) -> tuple[str, ...]:
        """The names of all instances of all apps."""
        return tuple(name for app in self.apps for name in app.names)

    @property
    def called(self) -> tuple[str, ...]:
        """The instances that the workloads call: of each app as many as can have a home."""
        return tuple(name for app in self.apps for name in app.names[: app.homes(len(self.nodes))])

    @property
    def allowed(self) -> Budgets:
        """The seconds that recovery may take."""
        return BUDGETS[self.mode]

    def promises(self, key: str) -> bool:
        """Whether work that a fault took away must come back, by the key of its budget."""
        return key in PROMISED[self.mode]

    def app(self, instance: str) -> App:
        """Return the app that an instance is of."""
        return next(app for app in self.apps if app.name == instance.partition("@")[0])

    def fits(self, instance: str, beside: Iterable[str]) -> bool:
        """Whether the rule of an instance's app lets it run beside others on one node."""
        app = self.app(instance)
        return not app.conflicts or not any(other != instance and self.app(other) == app for other in beside)


LATER = "api"
"""What an app is called that comes later."""


def with_one_later(rng: Random, cluster: Cluster) -> Cluster:
    """Return a cluster with an app more, of which nothing runs at first."""
    return replace(cluster, apps=(*cluster.apps, App(LATER, 0, port=9100, conflicts=rng.random() < 0.7)))


def draw(rng: Random) -> Cluster:
    """Draw a cluster: mostly of three nodes, sometimes with workers beside its members, a second app, or more instances than have a home."""
    mode = rng.choice([FLEET, FLEET, SWARM])
    size = rng.choice([3, 3, 3, 3, 4, 5, 5, 7]) if rng.random() < 0.95 else rng.choice([1, 2])
    nodes = tuple(f"n{number}" for number in range(1, size + 1))
    managers = mode == SWARM and size > 3 and rng.random() < 0.5
    habits = Habits(
        rng.choice([Pace.IN_TIME, Pace.IN_TIME, Pace.LATE, Pace.NEVER]),
        stale=rng.random() < 0.5,
        steps_down=rng.random() < 0.5,
        loyal=rng.choice([1.5, 1.5, 12.0]),
        electing=rng.choice([0.7, 0.7, 0.7, 0.7, 1.8]),
        boot=rng.choice([2.0, 2.0, 2.0, 9.0]),
        prevote=rng.random() < 0.6,
    )
    apps = _apps(rng, size)
    return Cluster(mode, nodes, nodes[:3] if managers else nodes, apps, _homes(rng, nodes, apps), habits)


def _apps(rng: Random, size: int) -> tuple[App, ...]:
    rule = rng.random() < 0.7
    crowded = rule and size > 1 and rng.random() < 0.1
    room = size if not rule or rng.random() < 0.15 else size - 1
    number = size + 1 if crowded else rng.randint(1, max(1, min(3, room)))
    web = App("web", number, conflicts=rule)
    if rng.random() < 0.7:
        return (web,)
    return (web, App("db", rng.randint(1, max(1, min(2, size - 1))), port=9000, conflicts=rng.random() < 0.7))


def _homes(rng: Random, nodes: tuple[str, ...], apps: tuple[App, ...]) -> dict[str, str | None]:
    """Spread each app over the nodes, one after the other; what its rule leaves no node for has no home."""
    homes: dict[str, str | None] = {}
    for app in apps:
        order = rng.sample(nodes, len(nodes))
        for number, name in enumerate(app.names):
            homes[name] = None if app.conflicts and number >= len(nodes) else order[number % len(nodes)]
    return homes
