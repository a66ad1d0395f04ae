"""Whether the quorum kept its word: one leader a term, writes as promised, leadership where it was expected."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, ClassVar, Literal

from harness.checkers.calls import Op, ops
from harness.checkers.intervals import Band, Interval, Reign, Span, biting, fault_bands, node_spans, reign_at, reigns
from harness.checkers.judging import SHOWN, Point, broken, conclude, neat, plural, unknown, whole
from harness.history import History, MemberSeen, Watching
from harness.values import Finding, Json, Phase

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

REGISTER = "register"
"""Name of the workload whose writes are judged."""

ELECTION = 10.0
"""Seconds allowed for an election, and the longest time without an acknowledged write after it, where no plan says otherwise.

Ten election timeouts of etcd at its default of 1 s: several split votes in a row fit into it.
"""

GRACE = 1.0
"""Seconds after a fault has bitten before a write must not be acknowledged any more: a call may have been on its way."""

SLOWER = 5.0
"""How many times longer the median acknowledged write must take for writes to count as slow."""

ENOUGH = 5
"""Acknowledged writes that are needed before a fault for their median to mean anything."""


@dataclass(frozen=True, slots=True)
class Quorum:
    """Never two leaders in one term; and, where asked, what happens to writes and to leadership while a fault is in force.

    `writes`: "go on" (after `election` seconds for an election, an acknowledged write at least every so many seconds), "stop" (none that was
    begun later than 1 s after the fault has bitten is acknowledged before healing; after it they return), "slow" (median latency five times that
    of before, or none acknowledged; after healing they return). `leader`: "moves" or "stays", from what it was when the fault was decided. Each is
    judged for every fault, from when it had taken the last of its targets away, which may be before it is in force
    (`harness.checkers.intervals.biting`): a majority may follow nobody, and writes may pause, for `election` seconds from then. Only whom it follows
    counts from the first of them on. `election` is how long the mode's members may take to elect; the plan fills it in, not the scenario.
    """

    name: ClassVar[str] = "quorum"
    writes: Literal["", "go on", "stop", "slow"] = ""
    leader: Literal["", "moves", "stays"] = ""
    election: float = ELECTION

    def check(self, history: History) -> Finding:
        """Return held, broken, or unknown where the membership was never seen or nothing was tried; details hold terms, leaders and writes."""
        bands = [band for band in fault_bands(history) if band.in_force is not None]
        every = reigns(history)
        spans = node_spans(history)
        said: list[str] = ["never two leaders in one term"]
        details: dict[str, Json] = {"leaders": [_reign_json(reign) for reign in every[:SHOWN]]}
        points = _two_leaders(history)
        if not any(reign.leader for reign in every):
            points.append(unknown("no majority of the members was ever seen to follow a leader"))
        if (self.writes or self.leader) and not bands:
            points.append(unknown("no fault was ever in force"))
        for band in bands:
            if self.writes:
                report = _writes(self, history, band, spans)
                points += report.points
                said.append(report.held)
                details[f"writes_fault_{band.fault}"] = report.details
            if self.leader:
                report = _leadership(self, history, band, every, spans)
                points += report.points
                said.append(report.held)
        return conclude(self.name, history, points, "; ".join(said), details)


@dataclass(frozen=True, slots=True)
class _Report:
    """What was found of one promise under one fault."""

    points: list[Point]
    held: str = ""
    details: Json = None


def _two_leaders(history: History) -> list[Point]:
    claims: dict[int, dict[str, int]] = {}
    for entry, event in history.each(MemberSeen):
        if not event.error and event.leader == event.node:
            claims.setdefault(event.term, {}).setdefault(event.node, entry.index)
    return [
        broken(f"{' and '.join(sorted(nodes))} each called themselves leader in term {term}", *nodes.values())
        for term, nodes in claims.items()
        if len(nodes) > 1
    ]


def _writes(promised: Quorum, history: History, band: Band, spans: Mapping[str, Sequence[Span]]) -> _Report:
    final = history.phase(Phase.FINAL)
    end = history.end if final is None else final
    writes = [op for op in ops(history, REGISTER) if op.call.function == "write" and op.begun <= end]
    in_force = band.held(history.end)
    if in_force is None or not writes:
        return _Report([unknown("no write was ever tried")])
    held = Interval(biting(band, spans).end, in_force.end)
    if promised.writes == "go on":
        return _go_on(history, band, held, writes, promised.election)
    report = _stop(band, held, writes) if promised.writes == "stop" else _slow(band, held, writes)
    report.points.extend(_return(history, band, writes))
    return report


def _go_on(history: History, band: Band, held: Interval, writes: Sequence[Op], election: float) -> _Report:
    # A fault that is short-lived of itself (a killed process comes back) is watched long enough to tell all the same.
    watched = max(held.end, held.start + 2 * election)
    end = min(watched, max(op.begun for op in writes))
    acked = sorted(op.ended for op in writes if op.ok and op.ended is not None and held.start <= op.ended <= end)
    count = plural(len(acked), "write")
    details: dict[str, Json] = {"acknowledged": len(acked), "from": neat(held.start), "to": neat(max(end, held.start))}
    after = held.start + election
    marks = [after, *(time for time in acked if time > after), max(after, end)]
    gap, since = max((late - early, early) for early, late in itertools.pairwise(marks))
    details["longest_gap_after_election"] = neat(gap)
    if gap > election:
        text = f"no write was acknowledged for {gap:.1f} s from {since:.1f} s while {_fault(band)} (at most {election:g} s)"
        return _Report([broken(text, *band.entries)], details=details)
    if not acked and (watched > end or not whole(history)):
        return _Report(
            [unknown(f"no write was acknowledged in the {max(0.0, end - held.start):.1f} s while {_fault(band)}: too short to tell")]
        )
    if not acked:
        text = f"no write was acknowledged in the {end - held.start:.1f} s from {held.start:.1f} s while {_fault(band)}"
        return _Report([broken(text, *band.entries)], details=details)
    return _Report(
        [], f"{count} acknowledged while {_fault(band)}, never more than {max(gap, 0.0):.1f} s apart after the election", details
    )


def _stop(band: Band, held: Interval, writes: Sequence[Op]) -> _Report:
    tried = [op for op in writes if held.start + GRACE < op.begun < held.end]
    wrong = [op for op in tried if op.ok and op.ended is not None and op.ended < held.end]
    details: dict[str, Json] = {
        "tried": len(tried),
        "acknowledged": len(wrong),
        "which": [{"op": op.op, "key": op.call.key, "begun": neat(op.begun), "acknowledged": neat(op.ended)} for op in wrong[:SHOWN]],
    }
    if wrong:
        first = wrong[0]
        text = (
            f"{plural(len(wrong), 'write')} of {len(tried)} begun while {_fault(band)} acknowledged, "
            f"the first ({first.call.key}) {first.begun - held.start:.1f} s after it had bitten"
        )
        return _Report([broken(text, *(op.entry for op in wrong[:SHOWN]))], details=details)
    if not tried:
        return _Report([unknown(f"no write was tried later than {GRACE:g} s after {band.name} had bitten")], details=details)
    return _Report([], f"none of {plural(len(tried), 'write')} begun while {_fault(band)} was acknowledged, and writes returned", details)


def _slow(band: Band, held: Interval, writes: Sequence[Op]) -> _Report:
    before = [op.latency for op in writes if op.ok and op.latency is not None and op.ended is not None and op.ended < band.begins]
    tried = [op for op in writes if held.start <= op.begun < held.end]
    during = [op.latency for op in tried if op.ok and op.latency is not None]
    usual, then = (median(before) if before else None), (median(during) if during else None)
    details: dict[str, Json] = {
        "median_before": neat(usual),
        "median_in_force": neat(then),
        "tried": len(tried),
        "acknowledged": len(during),
    }
    if not tried:
        return _Report([unknown(f"no write was tried while {_fault(band)}")], details=details)
    if then is None:
        return _Report(
            [], f"none of {plural(len(tried), 'write')} begun while {_fault(band)} was acknowledged, and writes returned", details
        )
    if usual is None or len(before) < ENOUGH:
        return _Report(
            [unknown(f"only {plural(len(before), 'write')} acknowledged before {band.name}: nothing to compare with")], details=details
        )
    times = f"{then * 1000:.0f} ms at the median while {_fault(band)}, {usual * 1000:.0f} ms before"
    if then < SLOWER * usual:
        return _Report([broken(f"writes were not slow: {times}", *band.entries)], details=details)
    return _Report([], f"writes were slow ({times}), and returned", details)


def _return(history: History, band: Band, writes: Sequence[Op]) -> list[Point]:
    """After healing, writes must be acknowledged again."""
    if band.healed is None:
        return [unknown(f"{band.name} was never healed, so whether writes return is not known")]
    later = [op for op in writes if op.begun >= band.healed]
    if any(op.ok for op in later):
        return []
    if not later or not whole(history):
        return [unknown(f"no write was acknowledged after {band.name} was healed, and too few were tried ({len(later)})")]
    return [broken(f"none of {plural(len(later), 'write')} was acknowledged after {band.name} was healed", *band.entries)]


def _leadership(promised: Quorum, history: History, band: Band, every: Sequence[Reign], spans: Mapping[str, Sequence[Span]]) -> _Report:
    held = band.held(history.end)
    old = reign_at(every, band.begins)
    if held is None or old is None or old.leader is None:
        return _Report([unknown(f"who led when {band.name} was decided is not known")])
    bite = biting(band, spans)
    bitten = Interval(bite.start, held.end)
    where = f"{band.name} bit {', '.join(band.targets) or 'nobody'}"
    during = [reign for reign in every if reign.end > band.begins and reign.start <= bitten.end and reign.end >= bitten.start]
    new = next((reign for reign in during if reign.leader not in {None, old.leader}), None)
    # Members may be recorded only when something changes: the observer's own word that it goes on asking counts as well.
    heard = any(bitten.holds(entry.time) and not event.error for entry, event in history.each(MemberSeen)) or any(
        bitten.holds(entry.time) and event.alive and event.observer == "membership" for entry, event in history.each(Watching)
    )
    if new is not None:
        moved = f"leadership moved from {old.leader} to {new.leader} {new.start - bitten.start:.1f} s after {band.name} began to bite"
        return _Report([], moved) if promised.leader == "moves" else _Report([broken(moved, new.entry)])
    if not heard:
        return _Report([unknown(f"no member answered while {where}")])
    silent = bitten.end - max(during[-1].start, bite.end) if during and during[-1].leader is None else 0.0
    if silent > promised.election:
        text = f"no majority followed a leader in the last {silent:.1f} s while {where}; {old.leader} led before"
        return _Report([broken(text, during[-1].entry)])
    stayed = f"leadership stayed with {old.leader} for all the {bitten.length:.1f} s while {where}"
    return _Report([], stayed) if promised.leader == "stays" else _Report([broken(stayed, *band.entries)])


def _fault(band: Band) -> str:
    return f"{band.name} was in force on {', '.join(band.targets) or 'nobody'}"


def _reign_json(reign: Reign) -> Json:
    return {"from": neat(reign.start), "to": neat(reign.end), "term": reign.term, "leader": reign.leader}
