"""From a history to a verdict: run every checker of a plan, whatever one of them does.

A checker that crashes or takes too long has found nothing out: unknown. Needs no cluster, so that a saved run can be judged again.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from harness.checkers.recovery import recovery
from harness.errors import NoSuchRun
from harness.history import History
from harness.plan import Plan
from harness.run import Run, environment_of, plan_of, save_verdict
from harness.values import Finding, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from harness.protocols import Checker
    from harness.values import Json

SECONDS = 120.0
"""How long one checker may take. A ten-minute history is judged in a few seconds."""


def findings(plan: Plan, history: History) -> Sequence[Finding]:
    """Return what every checker of the plan says, in the plan's order."""
    return [_ask(checker, history) for checker in plan.promises]


def _ask(checker: Checker, history: History) -> Finding:
    found: list[Finding] = []

    def work() -> None:
        try:
            found.append(checker.check(history))
        except BaseException as error:  # noqa: BLE001 - a checker that crashes must not take the verdicts of the others with it
            found.append(Finding(checker.name, Verdict.UNKNOWN, f"the checker itself failed: {type(error).__name__}: {error}"))

    thread = threading.Thread(target=work, name=f"checker-{checker.name}", daemon=True)
    thread.start()
    thread.join(SECONDS)
    return found[0] if found else Finding(checker.name, Verdict.UNKNOWN, f"the checker took longer than {SECONDS:g} s")


def load(folder: Path) -> Run:
    """Read a run as it lies on disk and judge it, without writing anything. Raises `NoSuchRun` or `BadInput`."""
    try:
        body = plan_of(folder)
        plan = Plan.from_json(body, file=str(folder / "plan.json"))
        history = History.load(folder / "history.jsonl", _run_of(body))
    except FileNotFoundError as error:
        raise NoSuchRun(f"{folder} is no run: {error.filename} is not there") from error
    environment = environment_of(folder)
    found = findings(plan, history)
    try:
        split = recovery(history)
    except Exception as error:  # noqa: BLE001 - figures beside the verdict must not take the verdict with them
        split = {"error": f"{type(error).__name__}: {error}"}
    return Run(folder.name, folder, plan, history, found, split, environment)


def _run_of(body: Mapping[str, Json]) -> str:
    """Return the id of the run that a plan was saved for; empty for a plan that does not say."""
    run = body.get("run")
    return run if isinstance(run, str) else ""


def judge_folder(folder: Path) -> Run:
    """Judge a run and write its ``verdict.json`` anew."""
    run = load(folder)
    save_verdict(run)
    return run
