"""A simulated run: a cluster, its faults, what was true of it at every moment, and the history that a real run of it would have left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from random import Random

from harness.core.traits import to_history
from harness.core.values import App, Endurance, Outcome, Patience, Phase, Stage
from harness.history.events import Acted, Awaited, Checked, Endures, Event, FaultStage, Fingerprinted, History, PhaseBegan, Wholeness
from tests.simulation import cluster as clusters
from tests.simulation import deeds as doing
from tests.simulation import faults as breaking
from tests.simulation import waiting
from tests.simulation.cluster import CHECK, Cluster, Wishes
from tests.simulation.deeds import Deed
from tests.simulation.faults import Fault, Outage
from tests.simulation.quorum import Quorum
from tests.simulation.scheduler import Scheduler
from tests.simulation.waiting import Wait
from tests.simulation.witnesses import Callers, Get, Observers, Write
from tests.simulation.world import Stay, World

STEP = 0.1
"""Seconds that pass between two looks at the world."""
WHOLE_FOR = 3.5
"""Seconds for which all must be as it should be, until the cluster counts as whole again."""
STAYS_FOR = 2.2
"""Seconds for which what is awaited must have been so, until it counts as come; a cluster that is whole must have been so for `WHOLE_FOR`."""
PATIENCE = 40.0
"""Seconds for which that is waited for, from the last heal."""

DOES = 0.25
"""The share of seeds in which something is done on purpose, beside the faults."""

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
    deeds: tuple[Deed, ...]
    waits: tuple[Wait, ...]
    told: tuple[Timed, ...]
    stays: tuple[Stay, ...]
    homes: tuple[tuple[float, Mapping[str, str | None]], ...]  # from when each instance was to run where
    led: tuple[tuple[float, str], ...]  # from when who led
    quorum: tuple[Moment, ...]
    gets: tuple[Get, ...]
    writes: tuple[Write, ...]
    kept: Mapping[str, str]
    whole: float | None  # when all was whole again
    gave_up: float  # when nobody waited for that any longer
    settled: float  # when the last reads began
    end: float

    def history(self, told: tuple[Timed, ...] | None = None) -> History:
        """Return the history of what was told, or of something else."""
        return History.of_events(*(self.told if told is None else told))

    def home(self, instance: str, time: float) -> str | None:
        """Return where an instance was to run at a moment."""
        return next(homes.get(instance) for since, homes in reversed(self.homes) if since <= time)

    def names(self, app: App) -> set[str]:
        """Return the names of all instances of an app that ever ran."""
        return {stay.instance for stay in self.stays if self.cluster.app(stay.instance) == app}

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
            *(f"  {each}" for each in (*self.deeds, *self.waits)),
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
        # Choices of their own: what else a seed draws stays as it is.
        more = Random(f"{seed} deeds")  # noqa: S311 - as above
        does = more.random() < DOES or wishes.deeds
        self._deeds = doing.draw(more, self._cluster, self._faults, self._outages) if does else ()
        self._waits = list(waiting.draw(more, self._cluster, self._faults))
        if wishes.later:
            late = Random(f"{seed} later")  # noqa: S311 - as above
            self._cluster = clusters.with_one_later(late, self._cluster)
            self._deeds = doing.deploys(late, self._cluster, self._faults, clusters.LATER)
        self._world = World(rng, self._cluster, self._faults, self._outages, self._deeds)
        self._quorum = Quorum(self._world)
        self._scheduler = Scheduler(self._world, self._quorum, crashes=wishes.crashes)
        self._observers = Observers(self._world, self._quorum, self._scheduler)
        self._callers = Callers(self._world, self._quorum)
        self._moments: list[Moment] = []
        self._settling: float | None = None
        self._fine_since: float | None = None
        self._come_since: float | None = None
        self._whole: float | None = None
        self._gave_up = 0.0
        self._final: float | None = None  # when the last reads begin
        self._looked_after = False
        self._waited: list[Wait] = []

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
            self._wait(now)
            self._settle(now)
        settled = max(now, *(time for time, _ in self._world.told)) + 0.01
        self._world.tell(settled, PhaseBegan(Phase.FINAL))
        end = self._callers.read_all(settled + 0.01) + 0.2
        self._world.tell(end, PhaseBegan(Phase.DONE))
        self._tell_faults()
        self._tell_deeds()
        return Run(
            self._seed,
            self._wishes,
            self._cluster,
            self._faults,
            self._outages,
            self._deeds,
            tuple(self._waited),
            tuple(sorted(self._world.told, key=lambda each: each[0])),
            self._world.stays(end),
            tuple(self._scheduler.changes),
            tuple(self._quorum.led),
            tuple(self._moments),
            tuple(self._callers.gets),
            tuple(self._callers.writes),
            self._callers.kept,
            self._whole,
            self._gave_up,
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

    def _tell_deeds(self) -> None:
        for each in self._deeds:
            begins = Acted(each.number, each.name, each.targets, 60.0, may_fail=True, effect=each.effect, was=each.was)
            self._world.tell(each.begun, begins)
            self._world.tell(each.ended, replace(begins, outcome=each.outcome, seconds=each.ended - each.begun))

    def _wait(self, now: float) -> None:
        """Begin the wait that is due, and end it where it is over."""
        if not self._waits or now < self._waits[0].begun:
            return
        each = self._waits[0]
        tell = Awaited(each.number, each.goal, each.app, each.at_most, each.otherwise)
        if now - each.begun < STEP / 2:
            self._world.tell(now, tell)
        self._come_since = (self._come_since or now) if self._has_come(each) else None
        stays = WHOLE_FOR if each.goal == "steady" else STAYS_FOR
        over = each.over(now, came=self._come_since is not None and now - self._come_since > stays)
        if over is not None:
            self._waits.pop(0)
            self._come_since = None
            self._waited.append(over)
            missing = () if over.outcome is Outcome.OK else ("something",)
            self._world.tell(now + 0.001, replace(tell, outcome=over.outcome, seconds=now - each.begun, missing=missing))

    def _has_come(self, each: Wait) -> bool:
        if each.goal == "leader":
            follows = [*self._quorum.follows.values()]
            # It is heard of by and by.
            known = self._world.now - self._quorum.led[-1][0] > 1.2
            return known and self._quorum.leader is not None and 2 * follows.count(self._quorum.leader) > len(follows)
        going = [fault for fault in self._faults if fault.decided <= self._world.now <= fault.healed]
        if each.goal == "steady":
            return not going and self._is_whole()
        away = {node for fault in going if not fault.traits.in_place for node in fault.lost}
        left = [machine for node, machine in self._world.machines.items() if machine.on and node not in away]
        (app,) = (app for app in self._cluster.apps if app.name == each.app)
        back = {name for machine in left for name in machine.containers if self._cluster.app(name) == app}
        able = replace(app, instances=self._world.wanted[app.name]).homes(len(left)) if left else 1
        return len(back) >= able

    def _settle(self, now: float) -> None:
        """Wait until all is whole again after the last heal, and then a little longer."""
        healed = max([fault.healed for fault in self._faults] or [20.0])
        healed = max([healed, *(deed.ended for deed in self._deeds), *(each.ended for each in self._waited)])
        if self._final is None and not self._waits and now > healed + 0.3:
            if self._settling is None:
                self._settling = now
                self._world.tell(now, PhaseBegan(Phase.SETTLING))
            self._fine_since = (self._fine_since or now) if self._is_whole() else None
            if self._fine_since is not None and now - self._fine_since > WHOLE_FOR:
                self._whole = now
                self._world.tell(self._world.soon(), Wholeness("after", whole=True, seconds=now - self._settling))
                self._final = round(now + self._rng.uniform(3, 5), 1)
            elif now - healed > PATIENCE:
                self._gave_up = now
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
        names = [name for name in homes if self._cluster.app(name) == app]
        wanted = replace(app, instances=self._world.wanted[app.name])
        if sum(homes[name] is not None for name in names) < wanted.homes(len(machines)):
            return False
        if any(self._cluster.app(name) == app and name not in names for each in machines.values() for name in each.containers):
            return False
        for name in names:
            there = [node for node, machine in machines.items() if name in machine.containers]
            home = homes[name]
            if there != ([] if home is None else [home]):
                return False
            if home is not None and machines[home].containers[name].serves >= self._world.now - 0.3:
                return False
        return True
