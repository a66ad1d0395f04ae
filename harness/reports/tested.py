"""A run as a test shows it: what is wrong with it in a line, the report below, how to do it again, and what a JUnit file keeps."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from harness.core.clock import SystemClock
from harness.core.plain import as_path, command, in_line
from harness.core.values import Verdict
from harness.reports.junit import FILE, STARTED

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from harness.core.values import Json
    from harness.plan import Plan
    from harness.runs.run import Run

WIDTH = 100
"""Columns of a report, where the terminal does not say how many it has."""

RECOVERY, RUNNING = "recovery.", ".running"
"""How the properties of a recovery's times begin, and how that of its end does end."""


BEFORE = "could not tell"
"""The property that names a run of the same test before it, of which nothing could be said: this machine had too much to do."""


def again(what: str, plan: Plan) -> str:
    """Return the command that does the same again, as a shell takes it, from the folder that pytest was started in."""
    return f"again: pytest {command(as_path(what))} {_choices(plan)}"


def _choices(plan: Plan) -> str:
    """Give the options with which the same plan is made again, whatever was chosen how."""
    inventory = os.environ.get("WHALEFALL_INVENTORY", "") if plan.provider == "inventory" else ""
    chosen = {"mode": plan.mode, "provider": plan.provider, "profile": plan.profile, "seed": plan.seed}
    named = [word for name, value in chosen.items() for word in (f"--wf-{name}", value)]
    return command(*named, *(["--wf-inventory", inventory] if inventory else []))


def begun(plan: Plan, history: Path) -> str:
    """Say of a run that has just begun which it is, where it is written, and how long it takes at most where its plan knows that."""
    from harness.reports.remaining import at_most  # noqa: PLC0415 - pytest loads this module in every run: it costs nothing until it is used

    most = f"; {at_most(plan)}" if plan.steps else ""
    return f"{plan.scenario}: run {history.parent.name}{most}; log {as_path(history)}"


def recorded(folder: Path | None) -> str:
    """Say where what was recorded of a run that ended early is, and what shows it, each in a line of its own; nothing of a run that has no folder."""
    return "" if folder is None else f"\nkept in {in_line(folder)}\nevidence: {command('whalefall', 'show', as_path(folder))}"


def wrong(run: Run) -> str:
    """Return what is wrong with a run, in a line that begins with its verdict and the cause; nothing for one that came out as it should."""
    from harness.reports.verdict_table import conviction, opening  # noqa: PLC0415 - pytest loads this module in every run: it costs nothing until it is used

    convicted = conviction(run)
    if convicted is not None:
        return "" if convicted.right else in_line(f"{str(run.verdict).upper()} {convicted.text}")
    return "" if run.verdict is Verdict.HELD else in_line(opening(run))


def could_not_tell(run: Run) -> bool:
    """Whether nothing can be said of a run that should have come out otherwise, and this machine had too much to do in it.

    Enough is said of a control that the checker which was to convict it acquitted, in a run that was one: whatever another checker does not know.
    """
    from harness.reports.verdict_table import acquitted, overloaded  # noqa: PLC0415 - same

    return run.verdict is Verdict.UNKNOWN and not acquitted(run) and overloaded(run) and bool(wrong(run))


def text(run: Run, *, opened: bool = True) -> str:
    """Return the findings, the recovery, the timeline and the run's folder as text; with the verdict, where that was not said before."""
    from harness.reports.console import MOST, text_of  # noqa: PLC0415 - same
    from harness.reports.verdict_table import report  # noqa: PLC0415 - same

    width = shutil.get_terminal_size((WIDTH, 24)).columns
    return text_of(report(run, opened=opened), min(max(width, 80), MOST))


def planned_properties(plan: Plan, file: str) -> list[tuple[str, object]]:
    """Return what a JUnit file should keep of a run that begins now. The file makes it one of ours; see `harness.reports.junit`."""
    return [
        ("scenario", plan.scenario),
        ("mode", plan.orchestrator),
        ("provider", plan.provider),
        ("seed", plan.seed),
        (FILE, in_line(file)),
        (STARTED, SystemClock().wall()),
    ]


def properties(run: Run) -> list[tuple[str, object]]:
    """Return what a JUnit file should keep of a run: verdict, run id, and each recovery time in seconds."""
    found: list[tuple[str, object]] = [("verdict", str(run.verdict)), ("run", run.run_id)]
    for instance, split in run.recovery.items():
        if isinstance(split, dict):
            found += [(f"{RECOVERY}{instance}.{step}", each) for step, each in split.items() if _is_time(step, each)]
    return found


def _is_time(step: str, value: Json) -> bool:
    from harness.reports.verdict_table import SPLIT  # noqa: PLC0415 - same

    return step in SPLIT and isinstance(value, int | float)


def recovered(properties: Iterable[tuple[str, object]]) -> str:
    """Say of a run's properties how long each lost instance took to run again; nothing where none was lost."""
    from harness.core.figures import lasted  # noqa: PLC0415 - same

    back = [
        f"{name.removeprefix(RECOVERY).removesuffix(RUNNING)} ran again after {lasted(value)}"
        for name, value in properties
        if name.startswith(RECOVERY) and name.endswith(RUNNING) and isinstance(value, int | float)
    ]
    return ", ".join(back)
