"""Whether lost work was back in time in a simulated run: the part of the truth that `rescheduled` is held against."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from harness.core.values import App, Loss, Outcome, Verdict
from tests.simulation.deeds import Span, anew, shut, upset
from tests.simulation.faults import Fault, without_majority
from tests.simulation.run import Run
from tests.simulation.truth import ANY, B, H, Truth, U, worst
from tests.simulation.world import Stay

SURE = 0.6
"""Seconds by which recovery must miss its limit to have missed it for certain."""
A_MOMENT = 0.15
"""Seconds by which a fault bites before the world of the simulation, which moves in steps, shows it."""
BREAK = 2.0
"""Seconds for which work may be gone again (a restart) and still was there to stay; 0.4 s around that nobody can tell."""
A_SAMPLE = 1.0
"""Seconds after which a change has been seen."""
SHORT = 5.5
"""Seconds that a copy must have run when the fault was over, to have been there to stay for certain."""


def rescheduled(run: Run, app: App) -> Truth:
    """Say of every instance that a fault took away whether it was back, elsewhere and to stay, in the time that the mode promises."""
    truths = []
    for fault in run.faults:
        if fault.failed:
            if any(
                fault.decided <= stay.end <= fault.healed and stay.node in fault.targets and stay.instance in run.names(app)
                for stay in run.stays
            ):
                truths.append(Truth.of(H, U, why=f"fault {fault.number}: nobody knows when it took what"))
            continue
        if fault.traits.loses is Loss.NOTHING:
            if any(each.meets(fault.decided, fault.healed) for each in anew(run.deeds, app.name, run.end)):
                truths.append(Truth(ANY, (f"fault {fault.number}: what stops on a node that it slows, an action takes",)))
            elif run.wishes.crashes or any(
                each.bites > fault.bites and each.bites < fault.healing for each in _on(run, fault, fault.targets)
            ):
                truths.append(Truth(ANY, (f"fault {fault.number}: what stops on a node that it slows, others take",)))
            continue
        if why := _taken_by_others(run, fault, app):
            truths.append(Truth(ANY, (f"fault {fault.number}: {why}",)))
            continue
        losses = (_loss(run, fault, instance) for instance in sorted({*app.names, *run.names(app)}))
        truths += [_beside_deeds(run, each, _judge(run, each)) for each in losses if each is not None]
    # Of an app that comes later it is not known that it was to run, where nobody knows whether it was deployed.
    vague = not app.instances and any(deed.effect.runs.get(app.name) and deed.outcome is Outcome.UNKNOWN for deed in run.deeds)
    return Truth(worst(truths).verdicts | {U}, worst(truths).why) if vague else worst(truths)


def _taken_by_others(run: Run, fault: Fault, app: App) -> str:
    """Say why nobody knows what a fault took of an app; nothing where that is known."""
    bites = (fault.decided - A_SAMPLE, fault.in_force + A_SAMPLE)
    if any(each.meets(*bites) for each in anew(run.deeds, app.name, run.end)):
        return "it hit what was just being stopped and started"
    stays = [stay for stay in run.stays if stay.instance in run.names(app) and stay.node in fault.lost]
    moving = {each.node for each in shut(run.deeds, run.end) if each.meets(*bites)}
    if any(stay.node in moving and bites[0] < stay.end < bites[1] for stay in stays):
        return "it hit what was just being moved away"
    together = _lost_together(run, fault)
    if any(stay.node in together and stay.start < fault.bites for stay in stays):
        return "what it hit several others may have taken together before"
    started = any(fault.bites - A_SAMPLE < stay.start <= fault.in_force + A_MOMENT for stay in stays)
    return "it bit while something was just being started there" if fault.traits.loses is Loss.LINK and started else ""


@dataclass(frozen=True, slots=True)
class _Loss:
    """An instance that a fault took from its home."""

    fault: Fault
    instance: str
    home: Stay
    certain: bool  # nothing else can have taken it


def _on(run: Run, fault: Fault, nodes: Iterable[str]) -> list[Fault]:
    """Return the other faults that touch any of these nodes."""
    return [each for each in run.faults if each is not fault and each.touched & {*nodes}]


def _lost_together(run: Run, fault: Fault) -> set[str]:
    """Return who is lost to a fault that several cuts before it had left without a majority together, and none of them alone."""
    cuts = [each for each in run.faults if each is not fault and each.drops and each.acts(fault.bites)]
    drops = {node: frozenset[str]().union(*(each.drops.get(node, ()) for each in cuts)) for node in run.cluster.nodes}
    together = without_majority(run.cluster.nodes, run.cluster.members, drops)
    return {*together} & {*fault.lost} - {node for each in cuts for node in each.lost}


def _disturbed(run: Run, app: str) -> list[Span]:
    """Return when actions disturbed an app, or may have."""
    return [*upset(run.deeds), *anew(run.deeds, app, run.end), *shut(run.deeds, run.end)]


def _alone(run: Run, fault: Fault, app: str) -> bool:
    """Whether no other fault, and no machine that is off by itself, is near a fault or the recovery from it."""
    others = [(each.decided, each.healed) for each in run.faults if each is not fault] + [(each.begins, each.ends) for each in run.outages]
    others += [(each.start, each.end) for each in _disturbed(run, app)]
    return not any(begins - 2 < fault.healed and ends + 20 > fault.decided for begins, ends in others)


def _holds(run: Run, node: str, time: float, *, but: Fault, slack: float = 0.0) -> bool:
    """Whether a node is lost to another fault, or off by itself, at a moment."""
    lost = [(each.decided, each.healed) for each in run.faults if each is not but and not each.traits.in_place and node in each.lost]
    lost += [(each.begins, each.ends) for each in run.outages if each.node == node]
    return any(begins - slack <= time <= ends + slack for begins, ends in lost)


def _loss(run: Run, fault: Fault, instance: str) -> _Loss | None:
    """Return the loss of an instance to a fault, if it took it: a cut takes what is inside of it, all else what it stops, or what then moves."""
    every = [stay for stay in run.stays if stay.instance == instance]
    home = next(
        (
            stay
            for stay in every
            if stay.start < fault.bites <= stay.end + A_MOMENT and stay.node in fault.lost and stay.node == run.home(instance, fault.bites)
        ),
        None,
    )
    if home is None:
        return None
    stopped = home.end < fault.healing - 0.05
    moved = any(fault.decided < stay.start < fault.healing and stay.node not in fault.lost for stay in every)
    if fault.traits.loses is not Loss.LINK and not stopped and not moved:
        return None
    by_another = any(fault.bites < each.bites < fault.healing for each in _on(run, fault, [home.node]))
    by_itself = run.wishes.crashes and fault.traits.loses is Loss.PROCESS
    return _Loss(fault, instance, home, certain=fault.traits.loses is not Loss.PROCESS or not (by_another or by_itself))


def _beside_deeds(run: Run, loss: _Loss, found: Truth) -> Truth:
    """Allow for what was done on purpose: work that was taken away, or asked for, while its fault went on, and what took work from its node."""
    fault, app = loss.fault, run.cluster.app(loss.instance)
    changes = [each for each in run.deeds if app.name in each.effect.runs and each.ended > fault.decided - 2 and each.begun < fault.healed]
    if any(int(loss.instance.partition("@")[2]) > min(each.effect.runs[app.name], each.was[app.name]) for each in changes):
        return Truth(ANY, found.why)
    near = [each for each in _disturbed(run, app.name) if each.meets(fault.decided - 20, fault.healed)]
    # It may have been on its way from its node, or to another, and what was put off by what was done has its time anew; others of its app may have
    # had all homes for a while.
    return found | {H, U} if near else found | {U} if changes else found


def _judge(run: Run, loss: _Loss) -> Truth:
    fault, name = loss.fault, f"{loss.instance} (fault {loss.fault.number})"
    if not loss.certain:
        return Truth(ANY, (f"{name}: another may have taken it",))
    back, near = _back(run, loss)
    over = back.start if back else fault.healing
    least, most = _limits(run, fault, over)
    near = near or _limits(run, fault, over, A_SAMPLE) != _limits(run, fault, over, -A_SAMPLE)
    alone = _alone(run, fault, run.cluster.app(loss.instance).name)
    found = _alone_verdicts(run, loss, back, least, most) if alone else _beside_verdicts(run, loss, back, least, most)
    if near:
        found = set(ANY)
    if not alone and _holds(run, loss.home.node, fault.bites, but=fault):
        found |= {H, U}  # on a node that another holds nothing is left to be taken
    never_gone = fault.traits.loses is Loss.PROCESS and loss.home.end >= (back.start if back else fault.healing)
    if run.wishes.crashes or never_gone:
        found |= {U}
    came = f"on {back.node} after {back.start - fault.bites:.2f} s" if back else "nowhere"
    why = f"{name}: from {loss.home.node}, {came}; limit {least:g} to {most:g} s, held {fault.held:.1f} s, alone {alone}"
    return Truth.of(*found, why=why)


def _limits(run: Run, fault: Fault, until: float, blur: float = A_SAMPLE) -> tuple[float, float]:
    """Return how long recovery from a fault may take at least and at most, by who was lost.

    That hangs on who led meanwhile, too: until it was over, or the time of whoever was lost was up. Of an election before it what is left counts.
    """
    cluster, allowed = run.cluster, run.cluster.allowed
    if not cluster.promises(fault.key):
        return math.inf, math.inf
    if run.leader(fault.bites) in fault.lost:
        return allowed.leader, allowed.leader
    own = allowed.follower if {*fault.lost} & {*cluster.members} else allowed.other
    end = min(until, fault.in_force + own) + blur
    changes = [time for time, _ in run.led if time > 0] + [moment.time for moment in run.quorum if not moment.led]
    if any(fault.decided - A_SAMPLE < time < end for time in changes):
        return own, allowed.leader
    before = max((time for time in changes if time < end), default=-math.inf)
    # Members' words are heard of a little later.
    return own, max(own, min(allowed.leader, before + 2 * A_SAMPLE + allowed.leader - fault.bites))


def _back(run: Run, loss: _Loss) -> tuple[Stay | None, bool]:
    """Return the copy that was there to stay, from when it counts, and whether one was so nearly there to stay that nobody can tell."""
    fault = loss.fault
    away = set() if fault.traits.in_place else {*fault.lost}
    every = [stay for stay in run.stays if stay.instance == loss.instance]
    old = [stay for stay in every if stay.start < fault.bites and stay.node in fault.lost]
    copies = [stay for stay in every if stay.node not in away and stay.end > fault.bites]
    copies = [stay for stay in copies if stay not in old or (fault.traits.in_place and stay.end >= fault.healing)]
    end, latest = _watched_until(run, loss, every, away)
    # A copy that came as the next fault took it may have been back, or not.
    near = any(end <= stay.start <= latest for stay in copies)
    for stay in sorted(copies, key=lambda each: each.start):
        if stay.start >= end:
            continue
        since = max(stay.start, fault.bites)
        gone = _missing(since, end, copies)
        if gone <= BREAK - 0.4:
            # Another fault may hold its home on, so that this one goes on for as long as that.
            longer = end == fault.healing and _missing(since, _mended(run, loss), copies) > BREAK - 0.4
            return Stay(stay.instance, stay.node, since, stay.end, stay.container), near or longer
        near = near or gone < BREAK + 0.4
    return None, near


def _mended(run: Run, loss: _Loss) -> float:
    """Return when healing began of the last of those faults that held the home of what was lost without a break."""
    end = loss.fault.healing
    for other in sorted(run.faults, key=lambda each: each.bites):
        if other is not loss.fault and loss.home.node in other.lost and other.traits.loses in {Loss.NODE, Loss.LINK} and other.bites <= end:
            end = max(end, other.healing)
    return end


def _watched_until(run: Run, loss: _Loss, every: list[Stay], away: set[str]) -> tuple[float, float]:
    """Return until when a copy must run to be there to stay: the heal, or the next fault that takes it again, which that one answers for.

    From its decision on it may, and when it is in force it does.
    """
    fault, end, latest = loss.fault, loss.fault.healing, loss.fault.healing
    for other in run.faults:
        if other is fault or other.bites <= fault.bites or other.decided >= end:
            continue
        hit = other.lost if other.traits.loses is Loss.LINK else other.targets
        takes = any(
            stay.node in hit
            and stay.start < other.bites <= stay.end + A_MOMENT
            and (stay.end < other.healed or other.traits.loses is Loss.LINK)
            and (stay.node not in away or (stay.node == loss.home.node and fault.traits.in_place))
            for stay in every
        )
        end, latest = (other.decided, other.in_force) if takes and other.decided < end else (end, latest)
    for each in run.outages:
        if fault.bites < each.begins < end and any(
            stay.node == each.node and each.node not in away and stay.start < each.begins <= stay.end + A_MOMENT for stay in every
        ):
            end = latest = each.begins
    return end, max(end, latest)


def _missing(since: float, until: float, copies: Iterable[Stay]) -> float:
    """Return for how many seconds of a time none of the copies ran."""
    position, gone = since, 0.0
    for stay in sorted(copies, key=lambda each: each.start):
        if stay.end > since and stay.start < until:
            gone += max(0.0, stay.start - position)
            position = max(position, stay.end)
    return gone + max(0.0, until - position)


def _no_home(run: Run, loss: _Loss, over: float) -> bool:
    """Whether the rule of the app left no node that is there, when the time was over, or the fault was healed."""
    fault = loss.fault
    then = min(over, fault.bites + fault.held)
    left = [
        node
        for node in run.cluster.nodes
        if not _holds(run, node, then, but=fault) and not (node in fault.lost and not fault.traits.in_place)
    ]
    beside = {
        node: [stay.instance for stay in run.stays if stay.node == node and stay.start <= then <= stay.end] for node in run.cluster.nodes
    }
    return not any(run.cluster.fits(loss.instance, beside[node]) for node in left)


def _last_without_majority(run: Run, loss: _Loss, most: float) -> tuple[float, float] | None:
    """Return until when, while the work was on its way, no member could be elected, and until when nobody led for that; None where some could."""
    fault = loss.fault
    until = min(fault.healing, fault.bites + most + 0.5)
    moments = [each for each in run.quorum if fault.decided <= each.time <= until]
    without = [each.time for each in moments if not each.electable]
    return (max(without), max(each.time for each in moments if not each.led)) if without else None


def _alone_verdicts(run: Run, loss: _Loss, back: Stay | None, least: float, most: float) -> set[Verdict]:
    """Say of a loss to the only fault there is what may be said of it."""
    fault = loss.fault
    took = math.inf if back is None else back.start
    if math.isinf(least):
        return {U} if back is None else {U, H}
    nobody, excused = _last_without_majority(run, loss, most), _no_home(run, loss, fault.bites + most)
    late = took >= fault.in_force + most + SURE if back else fault.held >= most + 1 + (fault.in_force - fault.bites)
    if took - fault.bites <= least - SURE:
        found = {H}
    elif late:
        found = {U} if excused else {U, B} if nobody is not None else {B}
        if nobody is not None and not excused and min(took, fault.healing) < nobody[1] + most + SURE:
            found = {U}
    elif back is None and fault.held < least - 1:
        found = {U}
    else:
        found = {H, B, U}
    if back and fault.healing - took < SHORT:
        found |= {U}
    if (nobody is not None or excused) and not late:
        found = found - {B} or {U}
    return found


def _beside_verdicts(run: Run, loss: _Loss, back: Stay | None, least: float, most: float) -> set[Verdict]:
    """Say it of a loss that others are near: what they may have delayed is unknown, and what no sum of all delays explains is broken."""
    fault = loss.fault
    took = math.inf if back is None else back.start
    shaky = back is not None and _holds(run, back.node, took, but=fault, slack=0.1)
    if math.isinf(least):
        return {U} if back is None else {U, H}
    nobody = _last_without_majority(run, loss, most)
    over = min(took, fault.healing)
    # What is on nodes alone that this one holds anyway delays nothing.
    held = {*fault.lost} if fault.traits.loses in {Loss.LINK, Loss.NODE} else set()
    others = [each for each in run.faults if each is not fault and not each.touched <= held]
    edges = [time for each in others for time in (each.in_force, each.healed)]
    edges += [time for each in run.outages for time in (each.begins, each.ends + 3)]
    edges += [time for each in _disturbed(run, run.cluster.app(loss.instance).name) for time in (each.start, each.end)]
    longest = run.cluster.allowed.leader
    # A machine is seen to be off before its switch says so.
    since = (fault.bites if fault.traits.loses is Loss.NODE else fault.in_force, fault.in_force)
    earliest, latest = (
        _lengthened(begun + most, [(time, longest) for time in times if fault.bites - longest - 2 < time < over], blur)
        for begun, times, blur in zip(
            since, [edges, edges] if nobody is None else [[*edges, each] for each in nobody], (-SURE, SURE), strict=True
        )
    )
    # Others may have had all homes for a while, and given it time anew.
    excused = all(_no_home(run, loss, each) for each in (fault.bites + most, latest))
    if took - fault.bites <= least - SURE:
        found = {H, U}
    elif excused:
        found = {U, H} if back else {U}
    elif over >= latest + SURE:
        found = {B, U}
    elif took <= _surely_in_time(run, loss, least) - SURE:
        found = {H, U}
    else:
        found = {H, B, U}
    if nobody is not None and over < earliest - SURE:
        found = found - {B} or {U}
    if over >= _last_in_time(run, loss, most, over) + SURE:
        found = found - {H} or {U}
    if shaky:
        found |= {U}
    return found


def _surely_in_time(run: Run, loss: _Loss, least: float) -> float:
    """Return until when work is back in time whatever is asked of others: those with a budget that took a node on its way allow for themselves."""
    fault = loss.fault
    limit = fault.bites + least
    for other in sorted(run.faults, key=lambda each: each.bites):
        takes = other is not fault and other.traits.loses is not Loss.NOTHING and not other.traits.in_place
        if takes and run.cluster.promises(other.key) and fault.bites < other.bites < limit and not {*other.lost} <= {*fault.lost}:
            limit = max(limit, other.bites + least)
    return limit


def _last_in_time(run: Run, loss: _Loss, most: float, over: float) -> float:
    """Return until when work can be in time, and not just perhaps: others that took a node meanwhile allow for themselves, and for their mending."""
    fault = loss.fault
    more = []
    for other in run.faults:
        took = other is not fault and not other.failed and bool(other.lost) and not other.traits.in_place
        if took and other.decided < over and other.healed > fault.bites:
            _, own = _limits(run, other, over)
            more += [(other.healed, most), (other.in_force, own if math.isfinite(own) else 0.0)]
    return _lengthened(fault.in_force + most, more, SURE)


def _lengthened(limit: float, more: Iterable[tuple[float, float]], blur: float) -> float:
    """Return a limit, lengthened by what comes before it is over (by so many seconds): from then on that has so many seconds of its own."""
    for time, seconds in sorted(more):
        if time < limit + blur:
            limit = max(limit, time + seconds)
    return limit
