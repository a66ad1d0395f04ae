"""The faults of a simulated run: of what kind, on whom, and when each really bites and lets go, beside what the harness says of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random

from harness.core.topology import APART, SHAPES
from harness.core.traits import EVERYBODY, WITH_DOCKER, daemon
from harness.core.values import Json, Loss, Traits
from tests.simulation.cluster import FLEET, Cluster, Wishes

POWER, DISK = "power", "disk"

PATTERNS = ("one", "overlap", "close", "row", "three")
"""How the faults of a run stand to each other."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of fault by its name in scenario files, with what is known of it."""

    name: str
    traits: Traits
    parameters: Mapping[str, Json] = field(default_factory=dict)

    @property
    def takes(self) -> frozenset[str]:
        """What of a node only one fault can take at a time."""
        return frozenset({POWER}) if self.traits.loses is Loss.NODE else frozenset(self.traits.parts)


KILL = Kind("node.kill", Traits(Loss.NODE, blinds=EVERYBODY, takes=("Power",)))
SLOW = Kind("disk.slow", Traits(parts=(DISK,), blinds=WITH_DOCKER, takes=("Disks",), leaves=("disk",)))
HANG = Kind("daemon.hang", Traits(Loss.PROCESS, ("docker",), blinds=WITH_DOCKER, leaves=("stopped",), stops=("dockerd",)))


def cut(shape: str) -> Kind:
    """Return a partition of a shape."""
    return Kind(
        "net.partition", Traits(Loss.LINK, apart=shape in APART, takes=("Links",), leaves=("nft_tables",)), parameters={"shape": shape}
    )


def killed(process: str, *, in_place: bool) -> Kind:
    """Return the kill of a daemon, which its supervisor starts again (`in_place`) or not."""
    return Kind(
        "process.kill", daemon(process, in_place=in_place, takes=("Services",)), parameters={"process": process, "restart": in_place}
    )


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault's life. `bites` and `lets_go` are the truth, all other times are when the harness says so."""

    number: int
    kind: Kind
    targets: tuple[str, ...]
    lost: tuple[str, ...]  # who has no way to a majority by this fault alone
    drops: Mapping[str, frozenset[str]]  # node → whose packets it drops
    decided: float
    bites: float
    injected: float
    in_force: float
    healing: float
    lets_go: float
    healed: float
    failed: bool = False  # it never was in force for the harness: what stands under `in_force` is when it gave up

    @property
    def traits(self) -> Traits:
        """What kind of fault it is."""
        return self.kind.traits

    @property
    def key(self) -> str:
        """The key of its budget."""
        return f"{self.kind.name} {' and '.join(self.traits.parts)}" if self.traits.loses is Loss.PROCESS else self.kind.name

    @property
    def held(self) -> float:
        """For how many seconds it was in force."""
        return self.healing - self.in_force

    @property
    def touched(self) -> frozenset[str]:
        """Whom it hits, and who is lost to it."""
        return frozenset({*self.targets, *self.lost})

    def acts(self, now: float) -> bool:
        """Whether it really bites at a moment."""
        return self.bites <= now < self.lets_go

    def __str__(self) -> str:
        """Tell it in one line, for whoever looks into a seed."""
        what = f"fault {self.number}: {self.key} {dict(self.kind.parameters) or ''} on {', '.join(self.targets)}"
        times = f"decided {self.decided:.2f}, bites {self.bites:.2f}, in force {self.in_force:.2f}{' FAILED' if self.failed else ''}"
        over = f"healing {self.healing:.2f}, lets go {self.lets_go:.2f}, healed {self.healed:.2f}"
        return f"{what}, lost {', '.join(self.lost) or 'nobody'}: {times}, {over}"


@dataclass(frozen=True, slots=True)
class Outage:
    """A machine that is off by itself, by no fault of ours."""

    node: str
    begins: float
    ends: float


def without_majority(nodes: Sequence[str], members: Sequence[str], drops: Mapping[str, frozenset[str]]) -> tuple[str, ...]:
    """Return who cannot reach a majority of the members both ways: of those that are none, who reaches no member that can."""

    def reach(one: str, other: str) -> bool:
        return one == other or (other not in drops.get(one, ()) and one not in drops.get(other, ()))

    quorate = [one for one in members if 2 * sum(reach(one, other) for other in members) > len(members)]
    return tuple(
        sorted(node for node in nodes if node not in quorate and (node in members or not any(reach(node, each) for each in quorate)))
    )


class _Planner:
    """Draws faults one after the other, such that what one needs of a node no other has at that time."""

    def __init__(self, rng: Random, cluster: Cluster) -> None:
        self._rng = rng
        self._cluster = cluster
        self._used: list[tuple[str, str, float, float]] = []  # node, what of it, from, to

    def draw(self, number: int, decided: float, hold: float) -> Fault | None:
        """Draw a fault that is decided at a time and held so long; None where none was found that can be."""
        for _ in range(40):
            kind, targets = self._kind(), self._targets()
            made = self._drops(kind, targets)
            if made is None or self._taken(kind, targets, decided, decided + hold):
                continue
            fault = self._timed(number, kind, targets, made, decided, hold)
            self._used += [(node, part, decided, fault.healed) for node in targets for part in kind.takes]
            return fault
        return None

    def outage(self, after: float, until: float) -> Outage | None:
        """Draw a machine that is off by itself, and that no fault hits, for longer than it takes to say so, within a time.

        None where there is none, or no time.
        """
        free = [node for node in self._cluster.nodes if not any(node == used for used, *_ in self._used)]
        begins = after + self._rng.uniform(0.5, 15.0)
        if not free or begins + 6 > until:
            return None
        lasts = self._rng.choice([self._rng.uniform(6, 9), self._rng.uniform(15, 30)])
        return Outage(self._rng.choice(free), begins, min(until, begins + lasts))

    def _kind(self) -> Kind:
        rng = self._rng
        fleet = [killed("etcd", in_place=False), killed("etcd", in_place=True), killed("docker", in_place=True)]
        swarm = [killed("docker", in_place=False), killed("docker", in_place=True), HANG]
        shape = rng.choice(["isolate", "isolate", "halves", "majority_minority", "one_way", "bridge", "ring"])
        return rng.choice([KILL, cut(shape), cut(shape), SLOW, *(fleet if self._cluster.mode == FLEET else swarm)])

    def _targets(self) -> tuple[str, ...]:
        rng, nodes = self._rng, self._cluster.nodes
        size = 1 if rng.random() < 0.75 else rng.randint(1, len(nodes))
        chosen = set(rng.sample(nodes, size))
        if rng.random() < 0.5:  # it shall take some work away
            homes = sorted(home for home in self._cluster.homes.values() if home is not None)
            chosen = {rng.choice(homes), *(chosen if size > 1 else ())}
        return tuple(sorted(chosen))

    def _drops(self, kind: Kind, targets: tuple[str, ...]) -> Mapping[str, frozenset[str]] | None:
        """Return who drops whose packets; None where a cut of this shape cannot be made, or its members would fight without an end."""
        if kind.traits.loses is not Loss.LINK:
            return {}
        shape = str(kind.parameters["shape"])
        if shape in {"bridge", "ring"} and len(self._cluster.nodes) > 3:
            return None
        try:
            return SHAPES[shape](self._cluster.nodes, targets)
        except ValueError:
            return None

    def _taken(self, kind: Kind, targets: tuple[str, ...], begins: float, ends: float) -> bool:
        """Whether another fault has what this one needs of a node, or the machine itself: on one that is off nothing can be done."""
        for node, part, since, until in self._used:
            near = since - 1 < ends + 8 and begins - 1 < until + 8
            alike = part in kind.takes or (kind.traits.loses is not Loss.LINK and POWER in {part, *kind.takes})
            if node in targets and near and alike:
                return True
        return False

    def _timed(
        self, number: int, kind: Kind, targets: tuple[str, ...], drops: Mapping[str, frozenset[str]], decided: float, hold: float
    ) -> Fault:
        rng, slow = self._rng, self._rng.random() < 0.25
        power = kind is KILL
        bites = decided + rng.uniform(0.05, 0.3)
        injected = bites + rng.uniform(0.02, 2.5 if slow and power else 0.3)
        in_force = injected + rng.uniform(0.02, 1.0 if slow else 0.2)
        healing = max(decided + hold, in_force + 1)
        lets_go = healing + (rng.uniform(0.6, 3) if power else rng.uniform(0.02, 0.4))
        healed = lets_go + rng.uniform(0.05, 1.0)
        lost: tuple[str, ...] = targets if kind.traits.loses is not Loss.NOTHING else ()
        if drops or kind.traits.loses is Loss.LINK:
            lost = without_majority(self._cluster.nodes, self._cluster.members, drops)
        return Fault(number, kind, targets, lost, drops, decided, bites, injected, in_force, healing, lets_go, healed)


def draw(rng: Random, cluster: Cluster, wishes: Wishes) -> tuple[tuple[Fault, ...], tuple[Outage, ...]]:
    """Draw the faults of a run, in order, and the machines that are off by themselves."""
    planner = _Planner(rng, cluster)
    pattern = wishes.pattern or rng.choice(["one"] * 4 + ["overlap"] * 2 + ["close", "row", "three"])
    start = rng.uniform(10, 11)
    hold = rng.choice([rng.uniform(3, 10), rng.uniform(18, 30), rng.uniform(25, 45)])
    if pattern == "close":  # the second bites while what the first took is on its way back
        hold = rng.uniform(30, 45)
    found = [planner.draw(1, start, hold)]
    if pattern in {"overlap", "close", "three"}:
        after = rng.uniform(4, 13) if pattern == "close" else rng.uniform(0.8, hold)
        found.append(planner.draw(2, start + after, rng.choice([rng.uniform(3, 12), rng.uniform(15, 35)])))
    if pattern == "row":
        after = found[0].healed + rng.choice([rng.uniform(0.1, 2), rng.uniform(0.2, 12)]) if found[0] else start
        found.append(planner.draw(2, after, rng.uniform(8, 35)))
    if pattern == "three":
        found.append(planner.draw(3, start + rng.uniform(1, hold + 5), rng.uniform(4, 25)))
    faults = sorted((each for each in found if each), key=lambda each: each.decided)
    if wishes.half_made and len(faults) > 1:
        number = rng.randrange(len(faults))
        faults[number] = _half_made(rng, faults[number])
    numbered = tuple(replace(each, number=number) for number, each in enumerate(faults, 1))
    over = max((each.healed for each in numbered), default=start)
    outage = planner.outage(start, over) if len(cluster.nodes) > 1 and rng.random() < 0.06 else None
    return numbered, (outage,) if outage else ()


def _half_made(rng: Random, fault: Fault) -> Fault:
    """Return a fault that was given up some time after it had bitten, and was mended then."""
    gave_up = fault.injected + rng.uniform(0.5, 10)
    healing = gave_up + rng.uniform(0.05, 0.4)
    lets_go = healing + (fault.lets_go - fault.healing)
    return replace(fault, in_force=gave_up, healing=healing, lets_go=lets_go, healed=lets_go + (fault.healed - fault.lets_go), failed=True)
