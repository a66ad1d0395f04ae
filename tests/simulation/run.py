"""A simulated run: a cluster, its faults, what was true of it at every moment, and the history that a real run of it would have left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

from harness.core.traits import to_history
from harness.core.values import App, Endurance, Outcome, Patience, Phase, Stage
from harness.history.events import Checked, Endures, Event, FaultStage, Fingerprinted, History, PhaseBegan, Wholeness
from tests.simulation import cluster as clusters
from tests.simulation import faults as breaking
from tests.simulation.cluster import CHECK, Cluster, Wishes
from tests.simulation.faults import Fault, Outage
from tests.simulation.quorum import Quorum
from tests.simulation.scheduler import Scheduler
from tests.simulation.witnesses import Callers, Get, Observers, Write
from tests.simulation.world import Stay, World

STEP = 0.1
"""Seconds that pass between two looks at the world."""
WHOLE_FOR = 3.5
"""Seconds for which all must be as it should be, until the cluster counts as whole again."""
PATIENCE = 40.0
"""Seconds for which that is waited for, from the last heal."""

Timed = tuple[float, Event]


@dataclass(frozen=True, slots=True)
class Moment:
    """What the quorum was like at a moment."""

    time: float
    led: bool  # somebody leads, with a majority
    electable: bool  # somebody could be elected


@dataclass(frozen=True, slots=True)
class Run:
    """All that is true of a run, and all that was told of it. Times are seconds on its clock."""

    seed: int
    wishes: Wishes
    cluster: Cluster
    faults: tuple[Fault, ...]
    outages: tuple[Outage, ...]
    told: tuple[Timed, ...]
    stays: tuple[Stay, ...]
    homes: tuple[tuple[float, Mapping[str, str | None]], ...]  # from when each instance was to run where
    led: tuple[tuple[float, str], ...]  # from when who led
    quorum: tuple[Moment, ...]
    gets: tuple[Get, ...]
    writes: tuple[Write, ...]
    kept: Mapping[str, str]
    whole: float | None  # when all was whole again
    settled: float  # when the last reads began
    end: float

    def history(self, told: tuple[Timed, ...] | None = None) -> History:
        """Return the history of what was told, or of something else."""
        return History.of_events(*(self.told if told is None else told))

    def home(self, instance: str, time: float) -> str | None:
        """Return where an instance was to run at a moment."""
        return next(homes[instance] for since, homes in reversed(self.homes) if since <= time)

    def leader(self, time: float) -> str:
        """Return who led last at a moment."""
        return next(leader for since, leader in reversed(self.led) if since <= time)

    def __str__(self) -> str:
        """Tell what is true of it, a line each, for whoever looks into a seed."""
        one = self.cluster
        lines = [
            f"seed {self.seed} {self.wishes}: {one.mode}, nodes {', '.join(one.nodes)}, members {', '.join(one.members)}",
            f"  {one.habits}; whole again {self.whole}, settled {self.settled:.2f}",
            *(f"  {app.name}: {app.instances}, {'never two on a node' if app.conflicts else 'no rule'}" for app in one.apps),
            *(f"  {fault}" for fault in self.faults),
            *(f"  {each.node} off by itself from {each.begins:.2f} to {each.ends:.2f}" for each in self.outages),
            *(f"  {stay.instance} on {stay.node} {stay.start:.2f} to {stay.end:.2f} ({stay.container[:6]})" for stay in self.stays),
            f"  led: {', '.join(f'{leader} from {time:.1f}' for time, leader in self.led)}",
        ]
        return "\n".join(lines)


def simulate(seed: int, wishes: Wishes | None = None) -> Run:
    """Run the cluster of a seed from its start to the last reads."""
    return _Simulation(seed, wishes or Wishes()).run()


class _Simulation:
    """A run that goes on."""

    def __init__(self, seed: int, wishes: Wishes) -> None:
        rng = Random(seed)  # noqa: S311 - choices that can be repeated, not secrets
        self._seed, self._wishes, self._rng = seed, wishes, rng
        self._cluster = clusters.draw(rng)
        self._faults, self._outages = breaking.draw(rng, self._cluster, wishes)
        self._world = World(rng, self._cluster, self._faults, self._outages)
        self._quorum = Quorum(self._world)
        self._scheduler = Scheduler(self._world, self._quorum, crashes=wishes.crashes)
        self._observers = Observers(self._world, self._quorum, self._scheduler)
        self._callers = Callers(self._world, self._quorum)
        self._moments: list[Moment] = []
        self._settling: float | None = None
        self._fine_since: float | None = None
        self._whole: float | None = None
        self._final: float | None = None  # when the last reads begin
        self._looked_after = False

    def run(self) -> Run:
        """Go through all of it."""
        self._begin()
        now = self._world.now
        while self._final is None or now < self._final:
            now = round(now + STEP, 3)
            self._world.step(now)
            self._quorum.step()
            self._moments.append(Moment(now, self._quorum.leader is not None, bool(self._quorum.quorate)))
            self._scheduler.step()
            self._observers.step()
            self._callers.step(self._final)
            self._settle(now)
        settled = max(now, *(time for time, _ in self._world.told)) + 0.01
        self._world.tell(settled, PhaseBegan(Phase.FINAL))
        end = self._callers.read_all(settled + 0.01) + 0.2
        self._world.tell(end, PhaseBegan(Phase.DONE))
        self._tell_faults()
        return Run(
            self._seed,
            self._wishes,
            self._cluster,
            self._faults,
            self._outages,
            tuple(sorted(self._world.told, key=lambda each: each[0])),
            self._world.stays(end),
            tuple(self._scheduler.changes),
            tuple(self._quorum.led),
            tuple(self._moments),
            tuple(self._callers.gets),
            tuple(self._callers.writes),
            self._callers.kept,
            self._whole,
            settled,
            end,
        )

    def _begin(self) -> None:
        tell, allowed = self._world.tell, self._cluster.allowed
        for time, phase in ((0.0, Phase.FORMING), (0.4, Phase.DEPLOYING), (1.0, Phase.STEADY), (9.0, Phase.FAULTS)):
            tell(time, PhaseBegan(phase))
        timers = (Patience("etcd_election_timeout", 1.0, 1.0, 1.0, 50.0), Patience("agent_ttl", 5.0, 5.0, 30.0))
        tell(0.05, Endures(Endurance(timers, allowed.leader, 3.0)))
        tell(0.99, Wholeness("before", whole=True, seconds=0.5))
        for node in self._cluster.nodes:
            tell(0.9, Fingerprinted(node, "before", {"nft_tables": []}))
            tell(9.1, Checked(CHECK, node, "before", Outcome.OK))

    def _look_after(self) -> None:
        """Ask each node what it looks like, when all is over."""
        for node in self._cluster.nodes:
            self._world.tell(self._world.soon(), Checked(CHECK, node, "after", Outcome.OK))
            self._world.tell(self._world.soon(), Fingerprinted(node, "after", {"nft_tables": []}))

    def _tell_faults(self) -> None:
        for fault in self._faults:
            kind = to_history(fault.traits, fault.lost)
            stages = (
                (Stage.DECIDED, fault.decided),
                (Stage.INJECTED, fault.injected),
                (Stage.FAILED if fault.failed else Stage.IN_FORCE, fault.in_force),
                (Stage.HEALING, fault.healing),
                (Stage.HEALED, fault.healed),
            )
            for stage, time in stages:
                told = FaultStage(fault.number, fault.kind.name, fault.targets, stage, fault.kind.parameters, "", kind)
                self._world.tell(time, told)

    def _settle(self, now: float) -> None:
        """Wait until all is whole again after the last heal, and then a little longer."""
        healed = max((fault.healed for fault in self._faults), default=20.0)
        if self._final is None and now > healed + 0.3:
            if self._settling is None:
                self._settling = now
                self._world.tell(now, PhaseBegan(Phase.SETTLING))
            self._fine_since = (self._fine_since or now) if self._is_whole() else None
            if self._fine_since is not None and now - self._fine_since > WHOLE_FOR:
                self._whole = now
                self._world.tell(self._world.soon(), Wholeness("after", whole=True, seconds=now - self._settling))
                self._final = round(now + self._rng.uniform(3, 5), 1)
            elif now - healed > PATIENCE:
                self._world.tell(self._world.soon(), Wholeness("after", whole=False, seconds=now - self._settling, missing=("something",)))
                self._final = now + 3
        if self._final is not None and now >= self._final - 1.5 and not self._looked_after:
            self._looked_after = True
            self._look_after()

    def _is_whole(self) -> bool:
        """Whether all machines are up and listed, all members follow one leader, and all work runs where it should, once, and serves."""
        world, quorum, scheduler = self._world, self._quorum, self._scheduler
        machines = world.machines.values()
        if quorum.leader is None or scheduler.unlisted or any(quorum.follows[member] != quorum.leader for member in quorum.members):
            return False
        if not all(machine.has_docker and world.now >= machine.booted + 0.5 for machine in machines):
            return False
        if not all(world.is_member(member) for member in quorum.members):
            return False
        return all(self._in_place(app) for app in self._cluster.apps)

    def _in_place(self, app: App) -> bool:
        """Whether as many instances of an app have a home as can, and each runs there, and nowhere else, and serves."""
        homes, machines = self._scheduler.homes, self._world.machines
        if sum(homes[name] is not None for name in app.names) < app.homes(len(machines)):
            return False
        for name in app.names:
            there = [node for node, machine in machines.items() if name in machine.containers]
            wanted = homes[name]
            if there != ([] if wanted is None else [wanted]):
                return False
            if wanted is not None and machines[wanted].containers[name].serves >= self._world.now - 0.3:
                return False
        return True
