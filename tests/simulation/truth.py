"""What each checker may say of a simulated run: worked out from what was true in it, and by none of the code that is tried with it.

Every answer is a set of verdicts. Where the truth is clear it has one member. It has more where a limit is nearer than what anybody can see (a
sample a second, a fault that takes a moment to be seen), and where faults overlap such that one may answer for what another did.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from harness.core.values import App, Loss, Outcome, Verdict
from tests.simulation.deeds import down, upset
from tests.simulation.faults import Fault
from tests.simulation.run import Run
from tests.simulation.world import Stay

H, B, U = Verdict.HELD, Verdict.BROKEN, Verdict.UNKNOWN
ANY = frozenset({H, B, U})

BLUR = 0.5
"""Seconds by which something must miss a limit to have missed it for certain."""
LOOKED = 1.1
"""Seconds after which a node was looked at again for certain."""
SEEN = 0.3
"""Seconds for which two must be in one place for certain, to be seen there."""


@dataclass(frozen=True, slots=True)
class Truth:
    """The verdicts that are right, and the figures that say why."""

    verdicts: frozenset[Verdict]
    why: tuple[str, ...] = ()

    @staticmethod
    def of(*verdicts: Verdict, why: str = "") -> Truth:
        """Make one."""
        return Truth(frozenset(verdicts), (why,) if why else ())

    def __or__(self, more: Iterable[Verdict]) -> Truth:
        """Allow more."""
        return Truth(self.verdicts | frozenset(more), self.why)


def worst(truths: Sequence[Truth]) -> Truth:
    """Return what a finding may be that is the worst of several; of none at all, unknown."""
    every = {H} if truths else {U}
    for truth in truths:
        every = {Verdict.worst((one, other)) for one in every for other in truth.verdicts}
    return Truth(frozenset(every), tuple(why for truth in truths for why in truth.why))


def beside_others(run: Run, fault: Fault) -> bool:
    """Whether another fault, or a machine that is off by itself, is near enough to disturb what one does to the quorum."""
    election = run.cluster.election
    others = [(each.decided, each.healed) for each in run.faults if each is not fault]
    others += [(each.begins, each.ends + 3) for each in run.outages]
    others += [(each.start, each.end) for each in upset(run.deeds)]
    return any(begins < fault.healing and ends + election > fault.decided for begins, ends in others)


def assumptions(run: Run) -> Truth:
    """A run can be judged in which every fault was made, and no machine was off by itself."""
    if any(fault.failed for fault in run.faults) or run.outages:
        return Truth.of(U, why="half-made, or a machine off by itself")
    first = min(fault.decided for fault in run.faults)
    if any(deed.begun < first and (deed.effect.upsets or deed.effect.runs or deed.effect.renews) for deed in run.deeds):
        return Truth.of(H, U, why="what was done may not have been over when the first fault was decided")
    return Truth.of(H)


def _may_lack_a_majority(run: Run, fault: Fault) -> bool:
    """Whether members whose daemon may still be stopped by an action, and those that are lost, leave no majority."""
    stopped = {each.node for each in down(run.deeds, run.end) if each.meets(fault.bites, fault.healing)}
    return bool(stopped) and 2 * len({*run.cluster.members} - stopped - {*fault.lost}) <= len(run.cluster.members)


def goes_on(run: Run) -> Truth:
    """Writes go on under each fault, but for an election."""
    return worst([_goes_on(run, fault) for fault in run.faults if not fault.failed])


def _goes_on(run: Run, fault: Fault) -> Truth:
    election, beside = run.cluster.election, beside_others(run, fault)
    others = [each for each in run.faults if each is not fault]
    disturbed = [(each.decided, each.in_force + election) for each in others] + [(each.healing, each.healed + election) for each in others]
    disturbed += [(each.begins, each.ends + 3 + election) for each in run.outages]
    disturbed += [(each.start, each.end + election) for each in upset(run.deeds)]
    at_most = _longest_pause(run, fault, [(fault.bites, fault.healing)])
    surely = _longest_pause(run, fault, _without((min(fault.in_force + election, fault.healing), fault.healing), disturbed))
    if surely > election + BLUR:
        found = {B, U} if beside else {B}
    elif at_most <= election - BLUR:
        found = {H} if fault.held > 2 * election + 1 and not beside else {H, U}
    else:
        found = {H, U, B}
    if fault.held <= election:
        found = found - {B} or {U}
    if _may_lack_a_majority(run, fault):
        found |= {U}
    return Truth.of(
        *found, why=f"fault {fault.number}: pause {surely:.2f} to {at_most:.2f} s, held {fault.held:.2f} s, beside others {beside}"
    )


def _longest_pause(run: Run, fault: Fault, times: Iterable[tuple[float, float]]) -> float:
    done = sorted(each.ended for each in run.writes if each.outcome is Outcome.OK and each.begun >= fault.bites)
    pauses = [
        late - early
        for since, until in times
        for early, late in itertools.pairwise([since, *(time for time in done if since < time < until), until])
    ]
    return max(pauses, default=0.0)


def _without(time: tuple[float, float], holes: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    left = [time]
    for since, until in holes:
        cut = [piece for early, late in left for piece in ((early, min(late, since)), (max(early, until), late))]
        left = [(early, late) for early, late in cut if early < late]
    return left


def stop(run: Run) -> Truth:
    """No write that began under a fault is acknowledged, and they come back after it."""
    return worst([_stop(run, fault) for fault in run.faults if not fault.failed])


def _stop(run: Run, fault: Fault) -> Truth:
    done = [each for each in run.writes if each.outcome is Outcome.OK]
    wrong = [each for each in done if each.begun > fault.in_force + 1.02 and each.ended < fault.healing - 0.01]
    late = [each for each in done if fault.bites < each.begun < fault.in_force + 1.1 and each.ended > fault.bites + 1.9]
    edges = [each for each in done if each.begun > fault.in_force + 1.02 and abs(each.ended - fault.healing) <= 0.01]
    edges += [each for each in done if abs(each.begun - fault.in_force - 1.0) <= 0.02 and each.ended < fault.healing]
    if wrong:
        found = {B}
    elif late or edges:
        found = {H, B, U}
    else:
        found = {H} if fault.held > 3 else {H, U}
    if not any(each.begun > fault.healed + 0.1 for each in done):
        found |= {U, B}
    if beside_others(run, fault) or _may_lack_a_majority(run, fault):
        found |= {U}
    return Truth.of(*found, why=f"fault {fault.number}: {len(wrong)} acknowledged, {len(late)} of them perhaps begun before")


def slow(run: Run) -> Truth:
    """Writes take five times as long under the one fault of a run, or none is acknowledged. Only what is clear is asked for."""
    fault = run.faults[0]
    before = [each.ended - each.begun for each in run.writes if each.outcome is Outcome.OK and each.ended < fault.decided]
    during = [each for each in run.writes if fault.in_force <= each.begun < fault.healing]
    took = [min(each.ended, fault.healing) - each.begun for each in during if each.outcome is Outcome.OK]
    if len(before) < 6 or len(during) < 5:
        return Truth(ANY)
    usual = median(before)
    fast, long = sum(each < 4 * usual for each in took), sum(each > 6 * usual for each in took)
    if fast > 0.65 * len(during):
        return Truth.of(B, why=f"{fast} of {len(during)} as fast as before")
    if not took or long > 0.6 * len(during):
        return Truth.of(H, why=f"{long} of {len(during)} slow")
    return Truth(ANY)


def leadership(run: Run, promise: str) -> Truth:
    """Leadership `moves` or `stays` under each fault."""
    return worst([_leadership(run, fault, promise) for fault in run.faults if not fault.failed])


def _leadership(run: Run, fault: Fault, promise: str) -> Truth:
    election, beside = run.cluster.election, beside_others(run, fault)
    before = run.leader(fault.decided)
    moves = [time for time, leader in run.led if fault.decided < time < fault.healing + 0.1 and leader != before]
    clear = bool(moves) and fault.bites <= min(moves) < fault.healing - 2.5
    nobody = _leaderless(run, fault)
    held = fault.healing - (fault.bites if fault.traits.loses is Loss.NODE else fault.in_force)
    found = (_moves if promise == "moves" else _stays)(clear=clear, moved=bool(moves), nobody=nobody, held=held, election=election)
    if beside:
        found |= {U}
        if promise == "moves" and not moves:
            found = found - {H}
    if _may_lack_a_majority(run, fault):
        found |= {U}
    if any(fault.decided - 2 <= time <= fault.decided + 0.2 for time, _ in run.led if time > 0):
        found = set(ANY)  # an election of before was just over, or was not
    if nobody > 1 or len(run.cluster.nodes) in {2, 4}:
        found |= {U}  # half of the members is no majority, and who follows whom then is not clear
    why = f"fault {fault.number}: {before} led, moves at {[round(time, 1) for time in moves]}, nobody for {nobody:.1f} s, held {held:.1f} s"
    return Truth.of(*found, why=f"{why}, beside others {beside}")


def _moves(*, clear: bool, moved: bool, nobody: float, held: float, election: float) -> set[Verdict]:
    if clear and nobody < election - 2:
        return {H}
    if moved or abs(nobody - election) <= 2.5:
        return {H, B, U}
    if nobody > election:
        return {B}
    if nobody > 1:
        return {U, B} if held > election else {U}
    if held > election + 1:
        return {B}
    return {U} if held < election - 1 else {U, B}


def _stays(*, clear: bool, moved: bool, nobody: float, held: float, election: float) -> set[Verdict]:
    if clear:
        return {B}
    if moved or abs(nobody - election) <= 2.5:
        return {H, B, U}
    if nobody > election:
        return {B}
    return {H} if held > election + 1 else {H, U}


def _leaderless(run: Run, fault: Fault) -> float:
    """Return for how long at a time nobody led under a fault; what another does, just when it bites or heals, is not counted."""
    others = [each for each in run.faults if each is not fault]
    done = [each for each in upset(run.deeds) if each.end - each.start <= run.cluster.election]
    longest, since = 0.0, None
    for moment in run.quorum:
        if not fault.bites <= moment.time < fault.healing:
            continue
        other = any(
            abs(moment.time - each.bites) < 0.06
            or each.healing <= moment.time <= each.healed
            or each.decided <= moment.time <= each.in_force
            for each in others
        )
        if moment.led or other or any(each.meets(moment.time, moment.time) for each in done):
            since = None
        else:
            since = moment.time if since is None else since
            longest = max(longest, moment.time - since)
    return longest


def together(stays: Sequence[Stay]) -> Iterator[tuple[Stay, Stay, float]]:
    """Yield every two stays that share time, with the seconds that they do."""
    for one, other in itertools.combinations(stays, 2):
        shared = min(one.end, other.end) - max(one.start, other.start)
        if shared > 0:
            yield one, other, shared


def conflicts(run: Run, apps: Sequence[App]) -> Truth:
    """Never two instances of an app that has a rule against it run on one node; unknown where none ever ran."""
    if not any(run.names(app) for app in apps):
        return Truth.of(U)
    bad = [
        (one, other, shared)
        for one, other, shared in together(run.stays)
        if one.node == other.node
        and one.instance != other.instance
        and run.cluster.app(one.instance) == run.cluster.app(other.instance) in apps
    ]
    why = "; ".join(f"{one.instance} and {other.instance} on {one.node} for {shared:.2f} s" for one, other, shared in bad)
    if any(shared >= LOOKED for *_, shared in bad):
        return Truth.of(B, why=why)
    # Of what was so between two looks nobody knows for how long, but by Docker's own times.
    if any(shared >= SEEN for *_, shared in bad):
        return Truth.of(B, U, why=why)
    return Truth.of(H, B, U, why=why) if any(shared > 0.001 for *_, shared in bad) else Truth.of(H)


def double_run(run: Run, apps: Sequence[App]) -> Truth:
    """An instance is seen on two nodes at once, from the first fault on; and the rule is kept."""
    kept = conflicts(run, apps)
    if B in kept.verdicts or kept.verdicts == {U}:
        return kept
    since = min((fault.in_force for fault in run.faults if not fault.failed), default=run.end)
    shared = [
        min(one.end, other.end) - max(one.start, other.start, since)
        for one, other, _ in together(run.stays)
        if one.instance == other.instance and one.node != other.node
    ]
    longest = max(shared, default=0.0)
    found = {H} if longest > SEEN + 0.05 else {H, U} if longest > 0 or run.outages else {U}  # who goes off by itself may say so late
    return Truth.of(*found, why=f"twice at once for {longest:.2f} s")


@dataclass(frozen=True, slots=True)
class Service:
    """How much of an app's service there was from the first bite on: the share of good calls, and the longest time without a good answer."""

    share: float
    gap: float
    judged: frozenset[Verdict]  # what may be said where more was promised: unknown, too, where another fault bit before, and failed


def service(run: Run, app: App) -> Service | None:
    """Return how an app served; None where that is not clear.

    No fault was ever in force, an instance gave no answer before, or was taken away, or asked for, on purpose.
    """
    if any(deed.effect.runs.get(app.name, app.instances) != app.instances for deed in run.deeds):
        return None
    since = min((fault.bites for fault in run.faults if not fault.failed), default=None)
    if since is None:
        return None
    gaps = []
    for instance in run.cluster.called:
        if instance in app.names:
            good = [each.ended for each in run.gets if each.instance == instance and each.ok]
            usual = [time for time in good if time < since]
            if not usual:
                return None
            times = [usual[-1], *(time for time in good if since <= time <= run.settled), run.settled]
            gaps.append(max(late - early for early, late in itertools.pairwise(times)))
    made = [each.ok for each in run.gets if each.instance in app.names and since <= each.begun <= run.settled]
    before = any(fault.failed and fault.bites < since for fault in run.faults)
    return Service(sum(made) / len(made), max(gaps), frozenset({B, U} if before else {B}))
