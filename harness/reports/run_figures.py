"""One run as a row of figures for a scorecard: from its findings and its recoveries, as its report has them; nothing is worked out anew.

A figure is None where nobody can tell, and zero only where a checker says so: what could not be asked is never "no".
"""

from __future__ import annotations

import enum
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from harness.core.values import Verdict
from harness.reports.verdict_table import SPLIT, asked, called_apps, came_out, conviction, judged_by, slow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.core.values import Finding, Json
    from harness.plan import Plan
    from harness.plan.beside import Measured
    from harness.runs.run import Run

LISTED = 50
"""Cases that a finding lists at most (`harness.checkers.judging.SHOWN`): as many as that may be more."""


class Came(enum.StrEnum):
    """How far the work that a run's faults took came, for one step of its way back."""

    MEASURED = "measured"  # all of it, and the slowest counts
    NEVER = "never"  # not all of it, for as long as it was watched
    UNKNOWN = "unknown"  # nobody can tell
    NOT_ASKED = "not asked"  # nobody calls it, or there is no API to ask
    NOTHING_LOST = "nothing lost"


class Budgeted(enum.StrEnum):
    """How a run's recoveries stand against what they were allowed."""

    WITHIN = "within"
    EXCEEDED = "exceeded"
    UNKNOWN = "unknown"
    NO_LIMIT = "no limit"  # nothing was promised of them, or the mode promises no recovery
    NOTHING_LOST = "nothing lost"


@dataclass(frozen=True, slots=True)
class StepFigure:
    """One step of a run's recoveries: the seconds of the slowest, from its loss."""

    came: Came
    seconds: float | None = None
    at_most: bool = False  # nobody looked when it came: it is the latest possible


@dataclass(frozen=True, slots=True)
class Cases:
    """How often something was so in a run, and for how many seconds the longest time; `count` None where nobody can tell."""

    count: int | None = None
    longest: float | None = None
    more: bool = False  # there may be more than were listed


@dataclass(frozen=True, slots=True)
class RunFigures:
    """One run in figures. One that did not come to its end, or cannot be read, has none but its word."""

    run: str
    scenario: str
    mode: str
    provider: str
    profile: str
    seed: int | None
    word: str  # held, broken, unknown; stopped, failed, killed; running, not judged, not run, cannot be read
    right: bool | None = None  # of a control: whether it came out as it must
    cause: str = ""  # why it did not hold, in a line
    seconds: float | None = None
    design: str = ""  # the same for runs that do and promise the same with the same timers
    lost: int = 0  # instances that faults took away
    stayed: int = 0  # of these, those that ran on where they were, cut off, and nowhere else
    steps: Mapping[str, StepFigure] = field(default_factory=dict)
    budget: Budgeted = Budgeted.NO_LIMIT
    allowed: tuple[float, ...] = ()  # seconds, each limit that a recovery was held against
    gap: float | None = None
    gap_open: bool = False  # it had not ended when the run did
    violations: Cases = field(default_factory=Cases)
    ruled: bool = True  # whether there is a rule that could be violated
    double_run: Cases = field(default_factory=Cases)
    disagreements: Cases = field(default_factory=Cases)
    overloaded: tuple[str, ...] = ()  # who stood still, and that the machine had too much to do, a sentence each

    @property
    def judged(self) -> bool:
        """Whether it has a verdict."""
        return self.word in {*map(str, Verdict)}


def figures_of(run: Run, beside: Measured | None) -> RunFigures:
    """Return a run in figures; `beside` is what was measured of it (`harness.runs.judge.figures`), and nothing of one that ended early needs it."""
    word, _, cause = came_out(run)
    plan, found = run.plan, conviction(run)
    named = RunFigures(
        run.run_id,
        plan.scenario,
        plan.orchestrator,
        plan.provider,
        plan.profile,
        plan.seed,
        word.lower(),
        right=None if found is None else found.right,
        cause=cause if found is None or not found.right else "",
        seconds=run.history.length,
        design=_design(plan),
    )
    if not named.judged or beside is None:
        return replace(named, overloaded=tuple(slow(run)))
    rows = {name: split for name, split in run.recovery.items() if isinstance(split, dict)}
    moved = {name: split for name, split in rows.items() if not split.get("stayed")}
    told = "error" not in run.recovery  # the recoveries could be folded at all
    gap, gap_open = _longest_gap(beside.gaps)
    copies = beside.copies
    limits = {limit for name in rows if (limit := _number(judged_by(run, name)[1].get("limit"))) is not None}
    return replace(
        named,
        lost=len(rows),
        stayed=len(rows) - len(moved),
        steps={step: _step(run, step, moved) if told else StepFigure(Came.UNKNOWN) for step in SPLIT},
        budget=_budget(run, rows) if told else Budgeted.UNKNOWN,
        allowed=tuple(sorted(limits)),
        gap=gap,
        gap_open=gap_open,
        violations=_violations(copies) if beside.ruled else Cases(),
        ruled=beside.ruled,
        double_run=_cases(copies, "double_runs"),
        disagreements=_cases(copies, "disagreements"),
        overloaded=tuple(slow(run)),
    )


def _design(plan: Plan) -> str:
    """Return a short name for what a plan does and promises, and with which timers; whom it hits is left to its seed."""
    body = {key: value for key, value in plan.to_json().items() if key not in {"file", "why", "seed"}}
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode(errors="backslashreplace")).hexdigest()[:12]


def _step(run: Run, step: str, moved: Mapping[str, Mapping[str, Json]]) -> StepFigure:
    """Return how long the slowest of the recoveries took to come so far."""
    if not moved:
        return StepFigure(Came.NOTHING_LOST)
    called = called_apps(run.plan)
    seen = {name: split for name, split in moved.items() if asked(run.plan, step, name, called)}
    if not seen:
        return StepFigure(Came.NOT_ASKED)
    times = {name: _number(split.get(step)) for name, split in seen.items()}
    missing = [name for name, time in times.items() if time is None]
    vague = [name for name in seen if step == "running" and "early" in seen[name]]
    if any(not _in_doubt(run, name) for name in missing):
        return StepFigure(Came.NEVER)
    if missing or vague:
        return StepFigure(Came.UNKNOWN)
    slowest = max((time, name) for name, time in times.items() if time is not None)
    return StepFigure(Came.MEASURED, slowest[0], at_most=step == "running" and "absent" in seen[slowest[1]])


def _in_doubt(run: Run, name: str) -> bool:
    """Whether the one who judged a recovery could not tell."""
    finding, judged = judged_by(run, name)
    return finding is not None and judged.get("verdict") not in {str(Verdict.HELD), str(Verdict.BROKEN)}


def _budget(run: Run, rows: Mapping[str, Mapping[str, Json]]) -> Budgeted:
    """Return how the recoveries stand against their limits: the worst of them, as it was judged."""
    stands = {_kept(*judged_by(run, name)) for name in rows}
    return next(
        (each for each in (Budgeted.EXCEEDED, Budgeted.UNKNOWN, Budgeted.WITHIN, Budgeted.NO_LIMIT) if each in stands),
        Budgeted.NOTHING_LOST,
    )


def _kept(finding: Finding | None, judged: Mapping[str, Json]) -> Budgeted:
    if finding is None:
        return Budgeted.NO_LIMIT
    verdict = judged.get("verdict")
    if verdict == Verdict.HELD:
        return Budgeted.NO_LIMIT if judged.get("limit") is None else Budgeted.WITHIN
    # By itself it convicts; whether it may was decided with all that was known.
    return Budgeted.EXCEEDED if verdict == Verdict.BROKEN and finding.verdict is Verdict.BROKEN else Budgeted.UNKNOWN


def _longest_gap(findings: Sequence[Finding]) -> tuple[float | None, bool]:
    """Return the seconds of the longest time without a good answer of any instance, and whether it had not ended; None where none was measured."""
    found = [
        (length, bool(gap.get("censored")))
        for finding in findings
        for gap in _gaps(finding)
        if (length := _number(gap.get("length"))) is not None
    ]
    return max(found, default=(None, False), key=lambda each: each[0] or 0.0)


def _gaps(finding: Finding) -> Iterator[Mapping[str, Json]]:
    gaps = finding.details.get("gaps")
    yield from (each for each in (gaps.values() if isinstance(gaps, Mapping) else ()) if isinstance(each, Mapping))


def _violations(copies: Finding) -> Cases:
    """Return how often a node ran two of one app, or one twice, by its own truth or else by the API's word, where that convicted."""
    if copies.verdict is not Verdict.BROKEN:
        return Cases(0, 0.0) if copies.verdict is Verdict.HELD else Cases()
    least = _number(copies.details.get("resolution")) or 0.0
    seen = [each for part in ("overlaps", "twice_on_a_node") for each in _lengths(copies, part) if each >= least]
    every = seen or _lengths(copies, "api_overlaps")
    return Cases(max(1, len(every)), max(every, default=None), more=len(every) >= LISTED)


def _cases(copies: Finding, part: str) -> Cases:
    """Return how often something was seen; that it was not is only known where the checker could tell."""
    lengths = _lengths(copies, part)
    if not lengths and copies.verdict is Verdict.UNKNOWN:
        return Cases()
    return Cases(len(lengths), max(lengths, default=0.0), more=len(lengths) >= LISTED)


def _lengths(finding: Finding, part: str) -> list[float]:
    """Return the seconds of each case of which it is sure."""
    listed = finding.details.get(part)
    every = listed if isinstance(listed, list | tuple) else ()
    sure = [each for each in every if isinstance(each, Mapping) and each.get("sure") is not False]
    return [length for each in sure if (length := _number(each.get("length"))) is not None]


def _number(value: Json) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
