"""Who and what must be heard of in a run, by its plan: so that what never came is missed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Expected:
    """What a plan says that a run is made of.

    A workload is its name and the app that it calls, e.g. ``("http", "web")``; the app is empty for one that calls none. `homeless` has each app of
    which some instances can have no home from the start, and how many. An observer is its name and the nodes that it must speak of: none where it
    is for the cluster to say which those are. A check is its words and a moment at which it is to be asked, e.g. ``("service docker is_running",
    "after")``. `faults` are the names of those that are planned, in order.
    """

    nodes: tuple[str, ...] = ()
    workloads: tuple[tuple[str, str], ...] = ()
    homeless: tuple[tuple[str, int], ...] = ()
    observers: tuple[tuple[str, tuple[str, ...]], ...] = ()
    faults: tuple[str, ...] = ()
    checks: tuple[tuple[str, str], ...] = ()
