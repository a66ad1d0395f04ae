"""What is asked of every run beside what its plan promises, so that runs of all scenarios have the same figures. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.checkers import Availability, Conflicts
from harness.plan import briefing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from harness.core.values import Finding
    from harness.history.interfaces import Checker
    from harness.plan import Plan

ENDLESS = 1e9
"""Seconds of a gap that nothing exceeds: what is only measured convicts nobody."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What checkers say of a whole run that are asked for their figures: their details count, and where nothing was promised no verdict."""

    copies: Finding  # what ran where beside each other, and where the API told otherwise
    ruled: bool  # whether there is a rule against two on one node at all: without one nothing of `copies` violates it
    gaps: tuple[Finding, ...]  # for each app that is called, when its instances gave no good answer


def measured(plan: Plan, found: Sequence[Finding], ask: Callable[[Sequence[Checker]], Sequence[Finding]]) -> Measured:
    """Return the figures of a run: what its promises `found` about all of it, and of the rest what checkers say whom `ask` asks now."""
    copies: Checker = Conflicts()
    called = [app.name for app in plan.apps if any(briefing.calls(each, app.name) for each in plan.workloads)]
    wanted: list[Checker] = [copies, *(Availability(app, 0.0, ENDLESS) for app in called)]
    there = [_standing(each, plan.promises, found) for each in wanted]
    missing = [each for each, known in zip(wanted, there, strict=True) if known is None]
    filled = briefing.fill(missing, plan.budgets, plan.expected, plan.election, plan.slower, plan.apps)
    asked = iter(ask(filled) if filled else ())
    first, *rest = [next(asked) if known is None else known for known in there]
    ruled = any(app.conflicts for app in plan.apps) or any(isinstance(each, Conflicts) for each in plan.promises)
    return Measured(first, ruled, tuple(rest))


def _standing(wanted: Checker, promises: Sequence[Checker], found: Sequence[Finding]) -> Finding | None:
    """Return what a promise found that is about the same, and about all of a run; None where none is."""
    for promise, finding in zip(promises, found, strict=False):
        if not isinstance(promise, Conflicts | Availability) or type(promise) is not type(wanted):
            continue
        if not promise.during and not promise.outside and promise.app == getattr(wanted, "app", None):
            return finding
    return None
