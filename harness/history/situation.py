"""What is known of a cluster right now, gathered from the history as it grows.

Only for steering a run (who hosts what, has it recovered, is it whole again). Verdicts are never taken from here: checkers read the history.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.core.values import CallStream, Loss, NodeState, Outcome, Stage
from harness.history.bands import Life
from harness.history.calls import stream_of
from harness.history.events import Answered, ApiSeen, Entry, FaultStage, Invoked, MemberSeen, NodeSeen
from harness.history.reigns import Leadership

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from harness.core.values import App, Container, Traits, View

FRESH = 1.5
"""Seconds for which the last good answer of a service speaks for now, once somebody has asked again; more where a call may take more."""

WRITES = ""
"""Under which key the writes to the quorum stand among those who are asked."""


@dataclass(slots=True)
class Asking:
    """How somebody who is called by a workload has answered until now."""

    good: float = -math.inf  # when the last good answer came
    by: str | None = None  # who gave it
    asked: float = -math.inf  # when the latest call was begun that was answered well
    refused: float = -math.inf  # when the latest call was begun that ended badly
    since: float | None = None  # when the first call since the last good answer was begun
    patience: float = FRESH  # seconds that a call of it may take and be answered well all the same

    @property
    def bad(self) -> bool:
        """Whether the latest call of which the end is known ended badly: that is an answer, and nothing to wait for.

        The latest is the one that was begun last: what an old one comes to is old.
        """
        return self.refused > self.asked

    def speaks(self, now: float, pace: float, after: float = -math.inf) -> bool:
        """Whether the last good answer speaks for now: one from `after` some moment, and no call since ended badly, or waits for too long.

        `pace` is by how many seconds calls may stand apart: who is asked seldom cannot answer often. So nobody is silent who was not asked.
        """
        return self.good >= after and now - self.good <= self.patience + pace and not self.bad and not self.mute(now)

    def mute(self, now: float) -> bool:
        """Whether the caller waits for a good answer, for longer than an old one would speak, and than one may take."""
        return self.since is not None and now - self.since > self.patience


def _key(event: Invoked) -> str | None:
    """Return who is asked by a call, among those who are; None where nobody goes by it."""
    stream = stream_of(event)
    if stream is CallStream.APP:
        return event.call.key
    return WRITES if stream is CallStream.QUORUM and event.call.function == "write" else None


class Situation:
    """A listener of a `harness.history.recorder.Recorder`. Each method is quick and may be called under the recorder's lock.

    `called` are the instances that workloads call, which of an app may be the first ones only, and by how many seconds two calls of each stand
    apart at most; `writes` is the same for the writes to the quorum, None where there is none. `deadlines` says how many seconds a call
    of each may take (of a write: `WRITES`): who is slow, and answers well in time, is not silent. `viewed` says whether there is an API to tell what
    is where. `daemon` is by what a node is a member (`harness.core.protocols.Quorum.member`); where it is empty any daemon that is lost may be that.
    """

    def __init__(
        self,
        nodes: Sequence[str],
        apps: Sequence[App],
        members: Sequence[str],
        *,
        called: Mapping[str, float],
        writes: float | None,
        deadlines: Mapping[str, float] | None = None,
        viewed: bool = True,
        daemon: str = "",
    ) -> None:
        self._nodes = tuple(nodes)
        self._apps = tuple(apps)
        self._members = tuple(members)
        self._called = dict(called)
        self._writes = writes
        self._viewed = viewed
        self._daemon = daemon
        self._patience = {name: max(FRESH, seconds) for name, seconds in (deadlines or {}).items()}
        self._seen: dict[str, NodeSeen] = {}
        self._known: dict[str, tuple[Container, ...]] = {}  # node → what ran there when it could be asked last
        self._began: dict[tuple[str, str], float] = {}  # node and instance → when its container there was first seen
        self._views: dict[str, View | None] = {}
        self._terms: dict[str, MemberSeen] = {}
        self._keys: dict[int, tuple[str, float]] = {}  # calls under way: op → instance, or `WRITES`, and since when
        self._asked: dict[str, Asking] = {}  # by instance, or `WRITES`
        self._heard: dict[str, float] = {}  # member → when it spoke last
        self.refusals = 0  # calls that ended badly though what they called runs; of old ones see `Asking.bad`
        self._leadership = Leadership(members)
        self._lives: dict[int, Life] = {}
        self._lost: dict[
            int, tuple[float, Loss, frozenset[str]]
        ] = {}  # fault in force that may silence members → since when, and what is lost where

    def rescaled(self, apps: Sequence[App], called: Mapping[str, float], deadlines: Mapping[str, float]) -> None:
        """Go by other numbers of instances from now on: the apps, and who is called; see the class."""
        self._apps = tuple(apps)
        self._called = dict(called)
        self._patience = {name: max(FRESH, seconds) for name, seconds in deadlines.items()}

    def hear(self, entry: Entry) -> None:
        """Take in one entry."""
        event = entry.event
        self._leadership.hear(event)
        if isinstance(event, NodeSeen):
            self._seen[event.node] = event
            if event.state is not NodeState.UNREACHABLE:  # which says nothing of what goes on running
                known = self._known.get(event.node, ())
                self._began |= {(event.node, each.instance): entry.time for each in event.containers if each not in known}
                self._known[event.node] = event.containers
        elif isinstance(event, ApiSeen):
            self._views[event.node] = event.view
        elif isinstance(event, MemberSeen):
            self._terms[event.node] = event
            self._heard[event.node] = entry.time
        elif isinstance(event, Invoked):
            key = _key(event)
            if key is not None:
                self._keys[event.op] = (key, entry.time)
                asking = self._asked.setdefault(key, self._never(key))
                asking.since = entry.time if asking.since is None else asking.since
        elif isinstance(event, Answered):
            self._answered(entry.time, event)
        elif isinstance(event, FaultStage):
            self._staged(entry, event)

    def _never(self, key: str) -> Asking:
        """How somebody has answered who was never asked."""
        return Asking(patience=self._patience.get(key, FRESH))

    def _answered(self, time: float, event: Answered) -> None:
        if event.op not in self._keys:
            return
        key, begun = self._keys.pop(event.op)
        asking = self._asked[key]
        if event.outcome is Outcome.OK:
            latest = max(begun, asking.asked)
            self._asked[key] = dataclasses.replace(self._never(key), good=time, by=event.by, asked=latest, refused=asking.refused)
            return
        if event.ours:
            # It never asked anybody: then whoever is called is waited for since the next call that did.
            waits = [since for name, since in self._keys.values() if name == key]
            asking.since = min([*waits, *([asking.refused] if asking.bad else [])], default=None) if asking.since == begun else asking.since
            return
        asking.refused = max(begun, asking.refused)
        if asking.bad and (key == WRITES or self.hosts(key)):
            self.refusals += 1

    def _staged(self, entry: Entry, event: FaultStage) -> None:
        life = self._lives.setdefault(event.fault, Life(event.fault))
        life.hear(entry.index, entry.time, event)
        band = life.band()
        if life.stage is Stage.IN_FORCE and band.in_force is not None and not self._takes_no_member(band.traits):
            self._lost[event.fault] = (band.in_force, band.traits.loses, band.away)
        elif event.stage in {Stage.HEALING, Stage.HEALED, Stage.FAILED}:
            self._lost.pop(event.fault, None)

    def _takes_no_member(self, traits: Traits) -> bool:
        """Whether a fault takes daemons alone, none of which is a member."""
        return traits.loses is Loss.PROCESS and bool(traits.parts) and self._daemon not in {"", *traits.parts}

    def gone(self, node: str) -> bool:
        """Whether a machine is off by its own truth, or a fault that takes machines away is in force on it, which truth may tell later."""
        off = node in self._seen and self._seen[node].state is NodeState.OFF
        return off or any(loses is Loss.NODE and node in lost for _, loses, lost in self._lost.values())

    def _voiceless(self, node: str) -> bool:
        """Whether a member has no voice in who leads: it is gone or cut off, or has lost its daemon and not spoken since."""
        others = ((since, loses) for since, loses, lost in self._lost.values() if node in lost)
        return self.gone(node) or any(loses is Loss.LINK or self._heard.get(node, -math.inf) <= since for since, loses in others)

    def hosts(self, instance: str) -> frozenset[str]:
        """Nodes on which an instance runs, by node truth."""
        return frozenset(node for node, seen in self._seen.items() if any(container.instance == instance for container in seen.containers))

    def hosting(self) -> Mapping[str, frozenset[str]]:
        """App → nodes that run an instance of it, by node truth; without machines that are gone."""
        hosts = {app.name: {node for name in app.names for node in self.hosts(name)} for app in self._apps}
        return {app: frozenset(node for node in nodes if not self.gone(node)) for app, nodes in hosts.items()}

    def running(self) -> Mapping[str, frozenset[str]]:
        """Instance → nodes that run it, by node truth."""
        return {name: self.hosts(name) for app in self._apps for name in app.names}

    def nowhere(self, app: str) -> bool:
        """Whether surely no node runs an instance of an app: node truth speaks of every node, and of none that could not be asked."""
        known = all(node in self._seen and self._seen[node].state is not NodeState.UNREACHABLE for node in self._nodes)
        return known and not any(self.hosts(name) for each in self._apps if each.name == app for name in each.names)

    def instances_on(self, nodes: Sequence[str]) -> tuple[str, ...]:
        """Instances that run on any of these nodes, by node truth."""
        return tuple(name for app in self._apps for name in app.names if self.hosts(name) & set(nodes))

    def leader(self) -> str | None:
        """The leader that a majority of the members follows in the highest term that has one, or None.

        Who is gone, or cut off, follows nobody and leads nobody, whatever the others have not noticed yet; and nobody leads from a member that gives
        no answer since a fault took something from it.
        """
        _, leader = self._leadership.agreed(but=[node for node in self._terms if self._voiceless(node)])
        return None if not leader or self._voiceless(leader) or self._robbed(leader) else leader

    def controller(self, orders: Sequence[str]) -> str | None:
        """Return the first of those that take orders whose API gave an answer when it was last asked, and that is not gone; None where none did."""
        return next((node for node in orders if self._views.get(node) is not None and not self.gone(node)), None)

    def _robbed(self, node: str) -> bool:
        """Whether a member gives no answer while something of its machine is lost to a fault."""
        said = self._terms.get(node)
        return said is not None and bool(said.error) and any(node in lost for _, _, lost in self._lost.values())

    def recovered(self, instances: Sequence[str], away: Collection[str], now: float, *, since: float = float("inf")) -> bool:
        """Whether every instance runs on a node that is not away and, where it is called, answered well from there lately, since it runs there.

        On a node in `away` it has recovered only in a container that was first seen after `since`: where the work may come back in place. While its
        old copy goes on running (a node that is cut off), callers may well stay with that one: then running elsewhere is enough.
        """
        for instance in instances:
            hosts = self.hosts(instance)
            back = {node for node in hosts if node not in away or self._began[node, instance] > since}
            if not back:
                return False
            if instance in self._called and hosts == back:
                asking = self._asked.get(instance, self._never(instance))
                if asking.by not in back or not asking.speaks(now, self._called[instance], self._began[asking.by, instance]):
                    return False
        return True

    def lacking(self, app: App, away: Collection[str], now: float) -> tuple[list[str], list[str]]:
        """Say what keeps an app from having recovered, and what of that is not known for want of a call; nothing of either where it has.

        It has where as many instances as can have a home run on nodes that are not away, and those that are called answer well from there. While an
        old copy runs on a node that is away, callers may well stay with that one: then running elsewhere is enough.
        """
        left = {node for node in self._nodes if node not in away and not self.gone(node)} & ({app.pin} if app.pin else {*self._nodes})
        able = (min(app.instances, len(left)) if app.conflicts else app.instances) if left else 0
        back = {name: hosts & left for name in app.names if (hosts := self.hosts(name)) & left}
        missing = [] if left else [f"no node is left that may run {app.name}"]
        if len(back) < able:
            missing.append(f"{len(back)} of {able} instances of {app.name} run{' on nodes that are left' if away else ''}")
        unasked = []
        for name, hosts in back.items():
            if name not in self._called or self.hosts(name) != hosts:
                continue
            asking = self._asked.get(name, self._never(name))
            if asking.by in hosts and asking.speaks(now, self._called[name], self._began[asking.by, name]):
                continue
            if self._refused(name, now) or asking.by not in {None, *hosts}:
                missing.append(f"{name} does not answer")
            else:
                unasked.append(f"{name} was not called")
        return missing, unasked

    def awaited(self, instances: Sequence[str], lost: Collection[str]) -> tuple[str, ...]:
        """Return those of the instances that run on lost nodes alone, and for which a node is left that their app's rule allows, as things stand.

        A pin is no rule here: that a pinned one comes back nowhere is for the run to show.
        """
        found: list[str] = []
        for app in self._apps:
            left = {node for node in self._nodes if node not in lost and node in self._seen and self._seen[node].state is not NodeState.OFF}
            taken = {node for name in app.names for node in self.hosts(name)} if app.conflicts else set()
            if left - taken:
                found += [name for name in app.names if name in instances and not self.hosts(name) & left]
        return tuple(found)

    def unasked(self, now: float, since: float = -math.inf) -> list[str]:
        """Say of whom it is not known whether they serve, for want of a call: nobody asked them since some moment, or for long."""
        every = {name: pace for name, pace in self._called.items() if self.hosts(name)}
        every |= {} if self._writes is None else {WRITES: self._writes}
        asked = {name: self._asked.get(name, self._never(name)) for name in every}
        silent = [name for name, pace in every.items() if not asked[name].speaks(now, pace, since) and not self._refused(name, now)]
        return [f"{name} was not called" if name else "nobody wrote" for name in silent]

    def _refused(self, name: str, now: float) -> bool:
        """Whether it was asked, and what it answered is bad, or does not come in time."""
        asking = self._asked.get(name, self._never(name))
        return asking.bad or asking.mute(now)

    def missing(self, now: float) -> list[str]:
        """Say what keeps the cluster from being whole; empty when it is: all up and listed, all work running once and serving, one leader.

        Who was not asked whether it serves is told by `unasked`.
        """
        said = [
            f"{node} is {self._seen[node].state if node in self._seen else 'not seen yet'}"
            for node in self._nodes
            if node not in self._seen or self._seen[node].state is not NodeState.UP
        ]
        said += [f"{node}'s API {self._api(node)}" for node in self._nodes if self._viewed and self._api(node)]
        for app in self._apps:
            able = app.homes(len(self._nodes))
            running = {name: self.hosts(name) for name in app.names}
            said += [f"{name} runs on {', '.join(sorted(hosts))}" for name, hosts in running.items() if len(hosts) > 1]
            count = sum(1 for hosts in running.values() if hosts)
            if count < able:
                said.append(f"{count} of {able} instances of {app.name} run")
            else:
                said += [
                    f"{name} does not answer"
                    for name, hosts in running.items()
                    if name in self._called and hosts and self._refused(name, now)
                ]
        if self._members:
            followed = {(seen.term, seen.leader) for node in self._members if (seen := self._terms.get(node)) and not seen.error}
            asked = [node for node in self._members if node in self._terms and not self._terms[node].error]
            if len(asked) < len(self._members):
                said.append(f"only {len(asked)} of {len(self._members)} members answer")
            elif len(followed) != 1 or None in {leader for _, leader in followed}:
                said.append("the members do not agree on one leader")
        if self._writes is not None and self._refused(WRITES, now):
            said.append("writes are not acknowledged")
        return said

    def _api(self, node: str) -> str:
        """Say what is wrong with one node's API, or nothing."""
        view = self._views.get(node)
        if view is None:
            return "gives no answer"
        absent = sorted(set(self._nodes) - set(view.nodes))
        if absent:
            return f"does not list {', '.join(absent)}"
        for placement in view.placements:
            if placement.running and placement.node and placement.node not in self.hosts(placement.instance):
                return f"says that {placement.instance} runs on {placement.node}, where it does not"
        return ""
