"""A run that is only rehearsed: the plan in words, and what its provider finds when it looks and changes nothing.

What a target expression will hit is known only when a fault fires, so a rehearsal says who could be hit, and by which rule nobody else can.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness import registry
from harness.conductor.permission import done_to, must_be_at_hand, reach, refusals, too_lasting, unmarked, untouchable
from harness.core import targets
from harness.core.errors import HarnessError
from harness.core.plain import in_line
from harness.core.protocols import Adopting, Cluster, Rehearsing, Running, Seen, of_images, told_as
from harness.reports.prose import describe
from harness.steps import faults_made, most

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness.core.protocols import Fault, Mode, Provider
    from harness.plan import Plan

RUN_ID = "rehearsal"
"""Stands where a run's id would."""


def rehearse(plan: Plan) -> str:
    """Say what a run of this plan would do, and to whom. Changes nothing; connects only to nodes that are there before any run.

    Raises `HarnessError` with everything that would keep the run from beginning: hosts that cannot be used, faults that cannot be made on them.
    """
    must_be_at_hand(plan)
    provider: Provider = registry.known().providers[plan.provider]()
    told = describe(plan)
    if not isinstance(provider, Rehearsing):
        return f"{told}\n\n  rehearsed: {len(plan.nodes)} nodes would be made by {plan.provider}; nothing was done"
    seen = provider.rehearse(plan.nodes)
    mode: Mode = of_images(registry.known().modes[plan.mode].from_timers(plan.profile, plan.timers), plan.images)
    lines = list(seen.lines)
    if isinstance(provider, Running):
        if not isinstance(mode, Adopting):
            raise HarnessError(f"the {mode.name} mode can only form clusters, and the hosts of {provider.name} have one that runs already")
        cluster = Cluster(RUN_ID, seen.nodes, provider, mode, apps=plan.apps)
        with cluster.network():
            mode.adopt(cluster)
        plan = plan.timed(mode)
        lines.append(f"{told_as(mode)} runs on them")
        lines += [f"budget after {name}, by the timers found there: {budget.spelled()}" for name, budget in plan.budgets.items()]
        lines += mode.remarks
    steps, refused = _steps(plan, seen)
    names = [node.name for node in seen.nodes]
    for action, on in done_to(plan):
        lasting = too_lasting(provider, action)
        refused += (
            [lasting] if lasting else [*untouchable(action, on, names, seen.spared), *unmarked(action, names, seen.spared, seen.why_not)]
        )
    refused = [*dict.fromkeys(refused)]
    lines += [f"at most {seen.at_once} may be broken at the same time", *steps]
    found = "\n".join(f"    {in_line(line)}" for line in lines)  # what hosts answered stands in them
    if refused:
        raise HarnessError(f"the run would not begin: {in_line('; '.join(refused))}\nwhat was found:\n{found}")
    return f"{told}\n\n  rehearsed: nothing was changed\n{found}"


def _steps(plan: Plan, seen: Seen) -> tuple[list[str], list[str]]:
    """Say for each step who could be hit, and what stands in its way."""
    told: list[str] = []
    refused: list[str] = []
    names = [node.name for node in seen.nodes]
    counts = {app.name: most(app, plan.steps) for app in plan.apps}
    for made in faults_made(plan.steps):
        step = made.step
        found = reach(step.targets, names, counts, seen.spared, seen.at_once)
        could = ", ".join(found.could) or "nobody"
        whom = f"{found.most} at most of {could}, decided when it fires"
        told.append(
            f"fault {made.number}: {step.fault.name} on {step.targets!r}: {'this machine' if targets.is_here(step.targets) else whom}"
        )
        refused += [*refusals(made, names, counts, seen.spared, seen.at_once), *_refusals(step.fault, found.could, seen)]
    return told, refused


def _refusals(fault: Fault, could: Sequence[str], seen: Seen) -> Iterator[str]:
    for name in could:
        why = seen.why_not(name, fault)
        if why is not None:
            yield why.of(fault.name, name)
