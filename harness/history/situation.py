"""What is known of a cluster right now, gathered from the history as it grows.

Only for steering a run (who hosts what, has it recovered, is it whole again). Verdicts are never taken from here: checkers read the history.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from harness.core.values import NodeState, Outcome
from harness.history.events import Answered, ApiSeen, Entry, Invoked, MemberSeen, NodeSeen

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from harness.core.values import App, Container, View

FRESH = 1.5
"""Seconds for which the last good answer of a service speaks for now."""


class Situation:
    """A listener of a `harness.history.events.Recorder`. Each method is quick and may be called under the recorder's lock."""

    def __init__(
        self, nodes: Sequence[str], apps: Sequence[App], members: Sequence[str], *, called: Collection[str], register: bool
    ) -> None:
        self._nodes = tuple(nodes)
        self._apps = tuple(apps)
        self._members = tuple(members)
        self._called = frozenset(called)  # instances that an http workload calls: of an app, these may be the first ones only
        self._register = register
        self._seen: dict[str, NodeSeen] = {}
        self._known: dict[str, tuple[Container, ...]] = {}  # node → what ran there when it could be asked last
        self._began: dict[tuple[str, str], float] = {}  # node and instance → when its container there was first seen
        self._views: dict[str, View | None] = {}
        self._terms: dict[str, MemberSeen] = {}
        self._keys: dict[int, str] = {}  # http calls under way: op → instance
        self._served: dict[str, tuple[float, str | None]] = {}  # instance → when and by whom it last answered well
        self._last_write: tuple[float, Outcome] | None = None
        self._writes: set[int] = set()

    def hear(self, entry: Entry) -> None:
        """Take in one entry."""
        event = entry.event
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
        elif isinstance(event, Invoked):
            if event.workload == "http":
                self._keys[event.op] = event.call.key
            elif event.call.function == "write":
                self._writes.add(event.op)
        elif isinstance(event, Answered):
            self._answered(entry.time, event)

    def _answered(self, time: float, event: Answered) -> None:
        if event.op in self._keys:
            instance = self._keys.pop(event.op)
            if event.outcome is Outcome.OK:
                self._served[instance] = (time, event.by)
        elif event.op in self._writes:
            self._writes.discard(event.op)
            self._last_write = (time, event.outcome)

    def hosts(self, instance: str) -> frozenset[str]:
        """Nodes on which an instance runs, by node truth."""
        return frozenset(node for node, seen in self._seen.items() if any(container.instance == instance for container in seen.containers))

    def hosting(self) -> Mapping[str, frozenset[str]]:
        """App → nodes that run an instance of it, by node truth."""
        return {app.name: frozenset().union(*(self.hosts(instance) for instance in app.names)) for app in self._apps}

    def nowhere(self, app: str) -> bool:
        """Whether surely no node runs an instance of an app: node truth speaks of every node, and of none that could not be asked."""
        known = all(node in self._seen and self._seen[node].state is not NodeState.UNREACHABLE for node in self._nodes)
        return known and not self.hosting().get(app)

    def instances_on(self, nodes: Sequence[str]) -> tuple[str, ...]:
        """Instances that run on any of these nodes, by node truth."""
        return tuple(name for app in self._apps for name in app.names if self.hosts(name) & set(nodes))

    def leader(self) -> str | None:
        """The leader that a majority of the members follows in the highest term that has one, or None."""
        votes = Counter((seen.term, seen.leader) for seen in self._terms.values() if seen.leader and not seen.error)
        agreed = [(term, leader) for (term, leader), count in votes.items() if count > len(self._members) // 2]
        return max(agreed, default=(0, None))[1]

    def recovered(self, instances: Sequence[str], away: Collection[str], now: float, *, since: float = float("inf")) -> bool:
        """Whether every instance runs on a node that is not away and, where it is called, answered well from there lately.

        On a node in `away` it has recovered only in a container that was first seen after `since`: where the work may come back in place. While its
        old copy goes on running (a node that is cut off), callers may well stay with that one: then running elsewhere is enough.
        """
        for instance in instances:
            hosts = self.hosts(instance)
            back = {node for node in hosts if node not in away or self._began[node, instance] > since}
            if not back:
                return False
            if instance in self._called and hosts == back:
                time, by = self._served.get(instance, (float("-inf"), None))
                if by not in back or now - time > FRESH:
                    return False
        return True

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

    def missing(self, now: float) -> list[str]:
        """Say what keeps the cluster from being whole; empty when it is: all up and listed, all work running once and serving, one leader."""
        said = [
            f"{node} is {self._seen[node].state if node in self._seen else 'not seen yet'}"
            for node in self._nodes
            if node not in self._seen or self._seen[node].state is not NodeState.UP
        ]
        said += [f"{node}'s API {self._api(node)}" for node in self._nodes if self._api(node)]
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
                    if name in self._called and hosts and now - self._served.get(name, (float("-inf"), None))[0] > FRESH
                ]
        if self._members:
            followed = {(seen.term, seen.leader) for node in self._members if (seen := self._terms.get(node)) and not seen.error}
            asked = [node for node in self._members if node in self._terms and not self._terms[node].error]
            if len(asked) < len(self._members):
                said.append(f"only {len(asked)} of {len(self._members)} members answer")
            elif len(followed) != 1 or None in {leader for _, leader in followed}:
                said.append("the members do not agree on one leader")
        if self._register and (self._last_write is None or self._last_write[1] is not Outcome.OK or now - self._last_write[0] > FRESH):
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
