"""Who and what must be heard of in a run, by its plan: so that what never came is missed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from harness.history.absence import MEMBER, Voters
from harness.history.intervals import app_of


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
    (`harness.history.absence.MEMBER` where it is empty). `more` says that others may be started in the middle; and `deadlines` how long a call of
    each workload may take at most, in seconds, each with the workload's name and the app that it calls.
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

    @property
    def members(self) -> frozenset[str]:
        """The nodes whose membership must be heard of; none where it is for the cluster to say which those are."""
        return frozenset(node for observer, nodes in self.observers if observer == "membership" for node in nodes)

    @property
    def voters(self) -> Voters:
        """Who makes up the quorum."""
        return Voters(self.members, self.member or MEMBER)

    def homes(self) -> dict[str, int]:
        """How many instances of each app can have a home from the start."""
        spare = dict(self.homeless)
        count = Counter(app_of(name) for name in self.instances)
        return {app: number - spare.get(app, 0) for app, number in count.items()}
