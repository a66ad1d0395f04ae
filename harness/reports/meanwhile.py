"""What else was so while something went wrong: a finding says what, and the fault that it is about; another fault, or no leader, may be why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.core.figures import at, lasted
from harness.core.values import Verdict
from harness.history.bands import fault_bands
from harness.history.intervals import Interval, common, total, united
from harness.history.leaders import leaders
from harness.history.recovery import displaced

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from harness.core.values import Finding, Json
    from harness.runs.run import Run

LEADERLESS = 2.0
"""Seconds. To have no leader for less is what an election takes, and is no reason for anything."""


def meanwhile(run: Run, finding: Finding) -> str:
    """Say which other faults were in force while something was missing, and for how long nobody was heard to lead; empty where there is nothing."""
    if finding.verdict is Verdict.HELD:
        return ""
    times = [*_times(run, finding)]
    own = {fault for fault, _ in times}
    over = united(time for _, time in times)
    said = [*_others(run, own, over)]
    alone = common([Interval(each.start, each.end) for each in leaders(run.history, run.plan.expected.voters) if each.leader is None], over)
    if total(alone) >= LEADERLESS:
        said.append(f"no leader that a majority follows was heard of for {lasted(total(alone))} of that, from {at(alone[0].start)} on")
    return "; ".join(said)


def _times(run: Run, finding: Finding) -> Iterator[tuple[int, Interval]]:
    """Yield what a finding that was not kept is about: a fault (0: any), and when something was missing."""
    instances = finding.details.get("instances")
    rows = instances if isinstance(instances, dict) else {}
    for one in displaced(run.history, run.plan.expected.voters) if rows else ():
        split = rows.get(one.key)
        if isinstance(split, dict) and "fault" in split and split.get("verdict") != Verdict.HELD:
            yield one.band.fault, Interval(one.at, one.at + (one.watched if one.running is None else one.running))
    windows = finding.details.get("windows")
    parts = [each for each in windows if isinstance(each, dict)] if isinstance(windows, list) else []
    rows_of_gaps = [row for each in (finding.details, *parts) for row in _rows(each.get("gaps"))]
    gaps = [row for row in rows_of_gaps if all(isinstance(row.get(key), int | float) for key in ("from", "to"))]
    for row in sorted(gaps, key=_length)[-1:]:
        yield 0, Interval(float(str(row["from"])), float(str(row["to"])))


def _rows(details: Json) -> list[Mapping[str, Json]]:
    return [row for row in details.values() if isinstance(row, dict)] if isinstance(details, dict) else []


def _length(row: Mapping[str, Json]) -> float:
    return float(str(row["to"])) - float(str(row["from"]))


def _others(run: Run, own: Collection[int], over: list[Interval]) -> Iterator[str]:
    """Say of each fault that a finding is not about, and that was in force then, since when and for how long."""
    bands = [band for band in fault_bands(run.history) if band.in_force is not None and not band.traits.idle]
    if own == {0} and len(bands) == 1:
        return
    for band in bands:
        there = band.held(run.history.end)
        if there is not None and band.fault not in own and common([there], over):
            yield f"{band.called} on {', '.join(band.targets)} was in force from {at(there.start)} on, for {lasted(there.length)}"
