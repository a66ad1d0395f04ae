"""What the plan of a simulated run would tell its checkers: who and what must be heard of, and the mode's budgets."""

from __future__ import annotations

from collections.abc import Iterable

from harness.checkers.expected import Asked, Expected
from harness.core.values import Budget, Term
from harness.history.interfaces import Checker
from harness.plan.briefing import fill
from tests.simulation.cluster import CHECK, PROMISED, Cluster
from tests.simulation.run import Run
from tests.simulation.windows import called


def briefed(run: Run, checkers: Iterable[Checker]) -> tuple[Checker, ...]:
    """Return checkers with all that a plan fills in."""
    return fill(list(checkers), _budgets(run.cluster), _expected(run), run.cluster.election, None, run.cluster.apps)


def _budgets(cluster: Cluster) -> dict[str, Budget]:
    allowed = cluster.allowed
    found = {} if allowed.disk is None else {"disk.slow": _seconds(allowed.disk)}
    for key in PROMISED[cluster.mode]:
        found |= {
            key: _seconds(allowed.leader),
            f"{key} of the leader": _seconds(allowed.leader),
            f"{key} of a follower": _seconds(allowed.follower),
            f"{key} of no member": _seconds(allowed.other),
        }
    return found


def _seconds(figure: float) -> Budget:
    return Budget((Term("all of it", figure, "the simulation"),))


def _expected(run: Run) -> Expected:
    cluster = run.cluster
    short = ((app.name, app.instances - app.homes(len(cluster.nodes))) for app in cluster.apps)
    return Expected(
        cluster.nodes,
        (*(("http", app.name) for app in cluster.apps), ("register", "")),
        homeless=tuple((name, number) for name, number in short if number),
        observers=(*((name, cluster.nodes) for name in ("host", "docker", "placement")), ("membership", cluster.members)),
        faults=tuple(fault.kind.name for fault in run.faults),
        checks=tuple(Asked(CHECK, when, cluster.nodes, len(cluster.nodes)) for when in ("before", "after")),
        instances=cluster.instances,
        called=cluster.called,
        member=cluster.daemon,
        awaits=len(run.waits),
        actions=tuple(each.name for each in run.deeds),
        rooms=tuple((app.name, len(cluster.nodes)) for app in cluster.apps if app.conflicts),
        named=tuple((called(fault), (fault.number,)) for fault in run.faults),
        later=tuple(app.name for app in cluster.apps if not app.instances),
        deadlines=(*(("http", app.name, 1.0) for app in cluster.apps), ("register", "", 2.0)),
    )
