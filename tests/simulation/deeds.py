"""What is done in a simulated run on purpose: its actions, and when each really changes something, beside what the harness says of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from random import Random

from harness.core.traits import daemon
from harness.core.values import Effect, Outcome
from tests.simulation.cluster import Cluster
from tests.simulation.faults import POWER, Fault, Outage

MOST = 7
"""Instances that an app is scaled to, at most."""


@dataclass(frozen=True, slots=True)
class Change:
    """What an action really changes, at a moment."""

    time: float
    what: str  # down, up (the daemon of a node), shut, open (a node), crash (what runs on a node), scale (an app), renew (an instance)
    of: str  # a node, an app, or an instance
    number: int = 0  # of instances


@dataclass(frozen=True, slots=True)
class Deed:
    """One action. `changes` is the truth, all else is what the harness says of it."""

    name: str
    targets: tuple[str, ...]
    begun: float
    ended: float
    effect: Effect
    changes: tuple[Change, ...]
    outcome: Outcome = Outcome.OK
    number: int = 0
    was: dict[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        """Tell it in one line, for whoever looks into a seed."""
        whom, does = (
            " ".join(self.targets),
            ", ".join(f"{each.what} {each.of} {each.number or ''} at {each.time:.2f}" for each in self.changes),
        )
        return f"action {self.number}: {self.name} {whom} {dict(self.effect.runs) or ''} {self.begun:.2f} to {self.ended:.2f}, {self.outcome}: {does}"


@dataclass(frozen=True, slots=True)
class Span:
    """A time in which something was so by an action, or may have been."""

    node: str  # empty where it is about no node
    start: float
    end: float

    def meets(self, start: float, end: float) -> bool:
        """Whether it shares a moment with a time."""
        return self.start <= end and start <= self.end


def down(deeds: Sequence[Deed], end: float) -> list[Span]:
    """Return when which node's daemon was stopped by an action, or may have been."""
    return list(_lasting(deeds, end, lambda each: bool(each.effect.stops), lambda each: bool(each.effect.starts)))


def shut(deeds: Sequence[Deed], end: float) -> list[Span]:
    """Return when which node was to have no work by an action, or may have been."""
    return list(_lasting(deeds, end, lambda each: each.effect.moves, lambda each: each.effect.opens))


def _lasting(deeds: Sequence[Deed], end: float, begins: Callable[[Deed], bool], ends: Callable[[Deed], bool]) -> Iterator[Span]:
    since: dict[str, float] = {}
    for each in deeds:
        for node in each.targets:
            if begins(each) and each.outcome is not Outcome.FAIL:
                since.setdefault(node, each.begun)
            if ends(each) and each.outcome is Outcome.OK and node in since:
                yield Span(node, since.pop(node), each.ended)
    yield from (Span(node, begun, end) for node, begun in since.items())


def upset(deeds: Sequence[Deed]) -> list[Span]:
    """Return when actions disturbed the cluster, or may have: while they were done. What a stopped daemon keeps from the cluster is `down`."""
    return [Span(" ".join(each.targets), each.begun, each.ended) for each in deeds if each.effect.upsets]


def anew(deeds: Sequence[Deed], app: str, end: float) -> list[Span]:
    """Return when the instances of an app were stopped and started by an action, or may have been; of one in doubt nobody knows until when."""
    return [
        Span("", each.begun, end if each.outcome is Outcome.UNKNOWN else each.ended)
        for each in deeds
        if app in each.effect.renews and each.outcome is not Outcome.FAIL
    ]


class _Drawer:
    """Draws actions one after the other."""

    def __init__(self, rng: Random, cluster: Cluster, faults: Sequence[Fault], outages: Sequence[Outage]) -> None:
        self._rng = rng
        self._cluster = cluster
        self._runs = {app.name: app.instances for app in cluster.apps}
        # On a machine that is off nothing can be done, and a daemon that a fault killed is not stopped by hand.
        hit = {node for each in faults if each.kind.takes & {POWER, "docker", "etcd"} for node in each.targets}
        self._steady = [node for node in cluster.nodes if node not in hit and node not in {each.node for each in outages}]

    def draw(self, time: float) -> list[Deed]:
        """Draw an action, and perhaps the one that undoes it."""
        kinds = [
            self._scaled,
            self._drained,
            self._command,
            self._rolled,
            self._renewed,
            self._removed,
            *([self._stopped, self._restarted] if self._steady else []),
        ]
        return list(self._rng.choice(kinds)(time))

    def _scaled(self, time: float) -> Iterator[Deed]:
        app = self._rng.choice(self._cluster.apps)
        for _ in range(self._rng.choice([1, 1, 2])):
            number = self._rng.choice(
                [each for each in range(1, MOST + 1) if each != self._runs[app.name] and abs(each - self._runs[app.name]) < 3]
            )
            deed = self._deed("app.scale", (), time, Effect(runs={app.name: number}), "scale", app.name, number)
            yield replace(deed, was={app.name: self._runs[app.name]})
            if deed.outcome is not Outcome.FAIL:
                self._runs[app.name] = number
            time = deed.ended + self._rng.uniform(0.5, 20)

    def _removed(self, time: float) -> Iterator[Deed]:
        """An app is taken away, and mostly comes back, with as many instances as it had or others."""
        app = self._rng.choice(self._cluster.apps)
        numbers = [0, self._rng.randint(1, app.instances + 1)] if self._rng.random() < 0.8 else [0]
        for number in numbers:
            deed = self.appears(app.name, number, time, {app.name: self._runs[app.name]})
            yield deed
            if deed.outcome is not Outcome.FAIL:
                self._runs[app.name] = number
            time = deed.ended + self._rng.uniform(0.5, 20)

    def appears(self, name: str, number: int, time: float, was: dict[str, int]) -> Deed:
        """Return what deploys an app, or, where that is none, removes it."""
        action = "app.deploy" if number else "app.remove"
        return replace(self._deed(action, (), time, Effect(runs={name: number}), "scale", name, number), was=was)

    def _drained(self, time: float) -> Iterator[Deed]:
        nodes = tuple(sorted(self._rng.sample(self._cluster.nodes, self._rng.choice([1, 1, 1, min(2, len(self._cluster.nodes))]))))
        yield (first := self._on(nodes, "node.drain", time, Effect(moves=True), "shut"))
        if self._rng.random() < 0.8:
            yield self._on(nodes, "node.undrain", first.ended + self._rng.uniform(1, 25), Effect(opens=True), "open")

    def _stopped(self, time: float) -> Iterator[Deed]:
        node, parts = (self._rng.choice(self._steady),), self._parts
        yield (first := self._on(node, "service.stop", time, Effect(stops=parts), "down"))
        if self._rng.random() < 0.8:
            yield self._on(node, "service.start", first.ended + self._rng.uniform(1, 20), Effect(starts=parts), "up")

    def _restarted(self, time: float) -> Iterator[Deed]:
        node, parts = (self._rng.choice(self._steady),), self._parts
        deed = self._on(node, "service.restart", time, Effect(stops=parts, starts=parts), "down")
        # One that was cut off, or failed half-way, leaves it stopped.
        back = tuple(Change(deed.ended, "up", each) for each in node) if deed.outcome is Outcome.OK else ()
        yield replace(deed, changes=(*deed.changes, *back))

    def _command(self, time: float) -> Iterator[Deed]:
        disturbs = self._rng.random() < 0.6
        crashes = "crash" if disturbs and self._rng.random() < 0.5 else ""
        yield self._on((self._rng.choice(self._cluster.nodes),), "command", time, Effect(disturbs=disturbs), crashes)

    def _rolled(self, time: float) -> Iterator[Deed]:
        """One that is done to no node: what runs on each is stopped in turn, and starts there again."""
        deed = self._deed("acme.rollout", (), time, Effect(disturbs=True), "crash", "")
        turns = (
            [Change(time + 0.2 + 2.0 * number, "crash", node) for number, node in enumerate(self._cluster.nodes)] if deed.changes else []
        )
        yield replace(deed, changes=tuple(turns), ended=max(deed.ended, *(each.time + 0.3 for each in turns), 0.0))

    def _renewed(self, time: float) -> Iterator[Deed]:
        """Each instance of an app stops in turn, and starts again, where its node can do that; one that is in doubt may come to the end, or not."""
        app = self._rng.choice(self._cluster.apps)
        deed = self._deed("app.restart", (), time, Effect(renews=(app.name,)), "renew", "")
        names = app.names[: self._rng.randint(1, app.instances)] if deed.outcome is Outcome.UNKNOWN else app.names
        turns = [Change(time + 0.2 + 2.5 * number, "renew", name) for number, name in enumerate(names)] if deed.changes else []
        yield replace(deed, changes=tuple(turns), ended=max(deed.ended, *(each.time + 2.3 for each in turns), 0.0))

    @property
    def _parts(self) -> tuple[str, ...]:
        return daemon(self._cluster.daemon, in_place=False).parts

    def _on(self, nodes: tuple[str, ...], name: str, time: float, effect: Effect, what: str) -> Deed:
        deed = self._deed(name, nodes, time, effect, what, "")
        return replace(deed, changes=tuple(replace(each, of=node) for node in nodes for each in deed.changes))

    def _deed(self, name: str, nodes: tuple[str, ...], time: float, effect: Effect, what: str, of: str, number: int = 0) -> Deed:
        """Make one that was done; now and then it was not, or nobody can tell."""
        bites, ended = time + self._rng.uniform(0.05, 0.4), time + self._rng.uniform(0.5, 1.5)
        outcome = self._rng.choice([Outcome.OK] * 8 + [Outcome.FAIL, Outcome.UNKNOWN])
        done = what and (outcome is Outcome.OK or (outcome is Outcome.UNKNOWN and self._rng.random() < 0.6))
        return Deed(name, nodes, time, ended, effect, (Change(bites, what, of, number),) if done else (), outcome)


def deploys(rng: Random, cluster: Cluster, faults: Sequence[Fault], name: str) -> tuple[Deed, ...]:
    """Draw how an app comes of which nothing runs: before, under or after the faults; now and then it goes again."""
    drawer, last = _Drawer(rng, cluster, faults, ()), max((each.healed for each in faults), default=20.0)
    found: list[Deed] = []
    time = rng.choice([rng.uniform(2.5, 6), rng.uniform(9, max(10.0, last)), rng.uniform(last, last + 3)])
    was = {app.name: app.instances for app in cluster.apps}
    found.append(drawer.appears(name, rng.randint(1, max(1, len(cluster.nodes) - 1)), time, was))
    if found[0].outcome is Outcome.OK and rng.random() < 0.2:
        found.append(drawer.appears(name, 0, found[0].ended + rng.uniform(3, 20), {**was, **found[0].effect.runs}))
    return tuple(replace(each, number=number) for number, each in enumerate(found, 1))


def draw(rng: Random, cluster: Cluster, faults: Sequence[Fault], outages: Sequence[Outage]) -> tuple[Deed, ...]:
    """Draw one or two actions with what undoes them, before, under and after the faults, each begun when the one before it was over."""
    drawer, last = _Drawer(rng, cluster, faults, outages), max((each.healed for each in faults), default=20.0)
    found: list[Deed] = []
    for _ in range(rng.choice([1, 1, 2])):
        begins = rng.choice([rng.uniform(2.5, 9), rng.uniform(9, max(10.0, last)), rng.uniform(9, max(10.0, last))])
        begins = max([begins, *(each.ended + 0.3 for each in found)])
        found += drawer.draw(begins)
    return tuple(replace(each, number=number) for number, each in enumerate(found, 1))
