"""What `scaled`, `awaited` and `settled` may say of a simulated run: what came of what its steps did, and waited for."""

from __future__ import annotations

from harness.core.values import App, Loss, Outcome, Verdict
from tests.simulation.deeds import Deed, anew, down, shut, upset
from tests.simulation.run import Run
from tests.simulation.truth import ANY, BLUR, B, H, Truth, U, worst
from tests.simulation.waiting import Wait

STAYS = 2.0
"""Seconds for which as many must run to count."""
CROSSED = 1.3
"""Seconds within which what was told of a moment may have been so before, or after it."""


def own_doing(run: Run, since: float, until: float, app: str = "") -> frozenset[Verdict]:
    """Return what may be said of what did not come in a time: a run's own actions may be why."""
    longest = run.cluster.allowed.leader
    stopped = {each.node for each in down(run.deeds, run.end) if each.start < until - 0.01 and each.end >= until}
    if stopped:
        left = [member for member in run.cluster.members if member not in stopped]
        return frozenset({U, B} if 2 * len(left) > len(run.cluster.members) else {U})
    late = [each for each in (*upset(run.deeds), *anew(run.deeds, app, run.end)) if each.meets(since, until)]
    if any(each.end > until - longest + BLUR for each in late):
        return frozenset({U})
    closed = [each for each in shut(run.deeds, run.end) if each.start < until and each.end > until - longest - BLUR]
    near = any(each.end > until - longest - BLUR for each in late)
    return frozenset({U, B}) if closed or near else frozenset({B})


def settled(run: Run) -> Truth:
    """Whole again is what was; what crashes by itself may do so at any time, and what an action took away may keep it from that."""
    if run.wishes.crashes:
        return Truth(ANY)
    if run.whole:
        # How many are to run hangs on whether an action was done of which nobody knows that.
        vague = any(deed.effect.runs and deed.outcome is Outcome.UNKNOWN for deed in run.deeds)
        return Truth.of(H, U) if vague else Truth.of(H)
    healed = max(fault.healed for fault in run.faults)
    return Truth(own_doing(run, healed, run.gave_up))


LED = 2.5
"""Seconds for which somebody must have led that others may deny that nobody did."""
LOOK = 1.5
"""Seconds within which a node is looked at again, late ones allowed for: what came may be seen only then."""


def awaited(run: Run) -> Truth:
    """Say whether what was awaited came, each time."""
    return worst([_came(run, each) for each in run.waits])


def _came(run: Run, each: Wait) -> Truth:
    # What came may be so only if an action in doubt was done.
    doubt = any(deed.effect.runs and deed.outcome is Outcome.UNKNOWN and deed.begun <= each.ended for deed in run.deeds)
    if each.outcome is Outcome.OK and doubt:
        return Truth.of(H, U, why=f"{each}, beside an action in doubt")
    if each.outcome is Outcome.OK:
        edges = [time for fault in run.faults for time in (fault.bites, fault.lets_go)] + [
            change.time for deed in run.deeds for change in deed.changes
        ]
        edges += [time for out in run.outages for time in (out.begins, out.ends)] + [time for time, _ in run.led]
        near = any(each.ended - 2 * CROSSED < time < each.ended + CROSSED for time in edges)
        # Of what was taken away for good nothing can come.
        near = near or any(deed.effect.runs.get(each.app) == 0 and deed.begun < each.ended for deed in run.deeds)
        return Truth.of(H, U, why=str(each)) if near or run.wishes.crashes else Truth.of(H, why=str(each))
    if each.otherwise == "go on":
        return Truth.of(H, why=str(each))
    if each.otherwise == "unknown":
        return Truth.of(U, why=str(each))
    found = own_doing(run, each.begun, each.ended, each.app) | ({U} if doubt else frozenset())
    # One who led was heard of just too late.
    lately = [moment.led for moment in run.quorum if each.ended - LED <= moment.time <= each.ended]
    return Truth(found | {U} if each.goal == "leader" and lately and all(lately) else found, (str(each),))


def scaled(run: Run, app: App, number: int, within: float) -> Truth:
    """Say whether as many instances of an app ran in time, each time that so many were asked for."""
    return worst([_scaled(run, each, app, number, within) for each in run.deeds if each.effect.runs.get(app.name) == number])


def _scaled(run: Run, deed: Deed, app: App, number: int, within: float) -> Truth:
    if deed.outcome is Outcome.FAIL:
        return Truth.of(U, why=f"{deed}")
    end = deed.begun + within
    came, nearly = (_ran_since(run, app, number, deed, stays) for stays in (STAYS + BLUR, STAYS - BLUR))
    why = f"{deed}: {number} ran from {came} on"
    if came != nearly:
        found = set(ANY)  # for nearly as long as counts
    elif came is not None and came <= end - BLUR:
        found = {H} if came <= end - LOOK else {H, U}
    elif came is not None and came <= end + BLUR:
        found = {H, U, B}
    elif _unlike(run, deed, app, end) or deed.outcome is Outcome.UNKNOWN or end > run.settled:
        found = {U}
    else:
        found = set(own_doing(run, deed.begun, end, app.name))
    # As many as ran already show nothing of what was asked for.
    if came == deed.begun and deed.was[app.name] < number:
        found |= {U}
    # Who goes off says so late: what ran there still seems to.
    off = [fault.bites for fault in run.faults if fault.traits.loses is Loss.NODE] + [each.begins for each in run.outages]
    if any(deed.begun - 5 < time < end + 5 for time in off):
        found |= ANY
    return Truth.of(*found, why=why)


def _unlike(run: Run, deed: Deed, app: App, end: float) -> bool:
    """Whether something else was asked for before the time was up."""
    return any(app.name in each.effect.runs and deed.begun < each.begun < end and each.outcome is not Outcome.FAIL for each in run.deeds)


def _ran_since(run: Run, app: App, number: int, deed: Deed, stays_for: float) -> float | None:
    """Return from when on so many instances ran for so many seconds; no more where there were more before."""
    stays = [stay for stay in run.stays if run.cluster.app(stay.instance) == app]
    fewer = deed.was[app.name] > number
    since: float | None = None
    for edge in [
        deed.begun,
        *sorted({time for stay in stays for time in (stay.start, stay.end) if deed.begun < time < run.settled}),
        run.settled,
    ]:
        if since is not None and edge - since >= stays_for:
            return since
        count = len({stay.instance for stay in stays if stay.start <= edge < stay.end})
        right = count == number if fewer else count >= number
        since = (edge if since is None else since) if right else None
    return None
