"""Who and what must be heard of in a run, by its plan: so that what never came is missed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from harness.core.instances import app_of
from harness.core.values import CallStream
from harness.history.absence import Voters
from harness.history.bands import MEMBER
from harness.history.calls import stream_named

MOST = 1000
"""No app has more instances, whatever a history says."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A check that is to be asked at a moment, e.g. ``service docker is_running`` of all nodes ``after``.

    `nodes` are those of whom, where the plan knows it; of others, which the run finds out, at least `fewest` are asked.
    """

    check: str  # in words
    when: str
    nodes: tuple[str, ...] = ()
    fewest: int = 1


@dataclass(frozen=True, slots=True)
class Expected:
    """What a plan says that a run is made of.

    `instances` are the names of all instances of its apps, and `called` those that a workload calls. A workload is its name and the app that it
    calls, e.g. ``("http", "web")``; the app is empty for one that calls none. `homeless` has each app of which some instances can have no home from
    the start, and how many. An observer is its name and the nodes that it must speak of: none where it is for the cluster to say which those are.
    `faults` are the names of those that are planned, in order, and `member` is the daemon by which a node is a member of the quorum
    (`harness.history.bands.MEMBER` where it is empty). `more` says that others may be started in the middle; and `deadlines` how long a call of
    each workload may take at most, in seconds, each with the workload's name and the app that it calls. `awaits` is how many times steps wait until
    something is so, and `actions` are the names of those that are planned, in order. `rooms` says for how many instances of an app its rule leaves
    homes, if it has one. `capped` has each app of which workloads call so many instances at most, however many there are. `named` has each name that
    faults have (`as`), with their numbers: several, where they are in a repeat. `later` are the apps that have no instances before an action deploys
    them. `streams` says of workloads what their calls are of, where their names do not.
    """

    nodes: tuple[str, ...] = ()
    workloads: tuple[tuple[str, str], ...] = ()
    homeless: tuple[tuple[str, int], ...] = ()
    observers: tuple[tuple[str, tuple[str, ...]], ...] = ()
    faults: tuple[str, ...] = ()
    checks: tuple[Asked, ...] = ()
    instances: tuple[str, ...] = ()
    called: tuple[str, ...] = ()
    member: str = ""
    more: bool = False
    deadlines: tuple[tuple[str, str, float], ...] = ()
    awaits: int = 0
    actions: tuple[str, ...] = ()
    rooms: tuple[tuple[str, int], ...] = ()
    capped: tuple[tuple[str, int], ...] = ()
    named: tuple[tuple[str, tuple[int, ...]], ...] = ()
    later: tuple[str, ...] = ()
    streams: tuple[tuple[str, CallStream], ...] = ()

    @property
    def members(self) -> frozenset[str]:
        """The nodes whose membership must be heard of; none where it is for the cluster to say which those are."""
        return frozenset(node for observer, nodes in self.observers if observer == "membership" for node in nodes)

    @property
    def voters(self) -> Voters:
        """Who makes up the quorum."""
        return Voters(self.members, self.member or MEMBER)

    @property
    def writes(self) -> bool:
        """Whether anybody is to write to the quorum."""
        return any(self._stream(name) is CallStream.QUORUM for name, _ in self.workloads)

    @property
    def numbers(self) -> dict[str, tuple[int, ...]]:
        """The numbers of the faults that have a name, by that."""
        return dict(self.named)

    def count(self) -> dict[str, int]:
        """How many instances each app has by the plan."""
        return {**dict.fromkeys(self.later, 0), **Counter(app_of(name) for name in self.instances)}

    def calls(self, app: str, number: int) -> tuple[str, ...]:
        """Name the instances of an app that workloads call where so many are to run: each, unless they are `capped`, or call fewer by the plan."""
        called = Counter(app_of(name) for name in self.called)[app]
        callers = {each for name, each in self.workloads if self._stream(name) is CallStream.APP}
        every = called == self.count().get(app, 0) if called else app in self.later and app in callers
        most = dict(self.capped).get(app, number if every else called)
        return tuple(f"{app}@{each}" for each in range(1, min(number, most, MOST) + 1))

    def _stream(self, workload: str) -> CallStream | None:
        """Return what the calls of a workload are of."""
        return dict(self.streams).get(workload, stream_named(workload))

    def homes(self, app: str, number: int) -> int:
        """How many of so many instances of an app can have a home."""
        if number == self.count().get(app, 0):
            return number - dict(self.homeless).get(app, 0)
        return min(number, dict(self.rooms).get(app, number))
