"""From a history to a verdict: run every checker of a plan, whatever one of them does.

A checker that crashes or takes too long has found nothing out: unknown. Needs no cluster, so that a saved run can be judged again.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from harness.core.errors import BadInput, NoSuchRun, Problem
from harness.core.figures import given
from harness.core.threads import CertainThread
from harness.core.values import Finding, Verdict
from harness.history.events import ApiSeen, History, NodeSeen
from harness.history.recovery import recovery
from harness.plan import Plan
from harness.plan.beside import Measured, measured
from harness.runs.run import Run, environment_of, plan_of, save_verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from harness.core.values import Json
    from harness.history.interfaces import Checker

SECONDS = 120.0
"""How long one checker may take. A ten-minute history is judged in a few seconds."""
SPOKEN = 5
"""Strangers that are named in a sentence."""
MOST_NAMES = 500
"""Nodes, and instances, that a history may tell of. Each is held against each other: of thousands, which no cluster has, that takes hours."""


def findings(plan: Plan, history: History) -> Sequence[Finding]:
    """Return what every checker of the plan says, in the plan's order. What only words of, or about, a node that is in no plan convict is unknown."""
    found = [_ask(checker, history) for checker in plan.promises]
    nodes = {node.name for node in plan.nodes}
    strangers = sorted({name for entry in history.entries for name in entry.event.nodes} - nodes) if nodes else []
    if not strangers or all(each.verdict is not Verdict.BROKEN for each in found):
        return found
    ours = History(
        (entry for entry in history.entries if entry.event.nodes.isdisjoint(strangers)),
        run=history.run,
        closed=history.closed,
        breach=history.breach,
    )
    why = (
        f"the history tells of {', '.join(strangers[:SPOKEN])}, which {'is no node' if len(strangers) == 1 else 'are no nodes'} of the plan"
    )
    return [
        replace(finding, verdict=Verdict.UNKNOWN, summary=f"{finding.summary}; but {why}")
        if finding.verdict is Verdict.BROKEN and _ask(checker, ours).verdict is not Verdict.BROKEN
        else finding
        for checker, finding in zip(plan.promises, found, strict=True)
    ]


def _ask(checker: Checker, history: History) -> Finding:
    found: list[Finding] = []

    def work() -> None:
        try:
            found.append(checker.check(history))
        except BaseException as error:  # noqa: BLE001 - a checker that crashes must not take the verdicts of the others with it
            found.append(Finding(checker.name, Verdict.UNKNOWN, f"the checker itself failed: {type(error).__name__}: {error}"))

    thread = CertainThread(target=work, name=f"checker-{checker.name}")
    thread.start()
    thread.join(SECONDS)
    return found[0] if found else Finding(checker.name, Verdict.UNKNOWN, f"the checker took longer than {given(SECONDS)}")


def load(folder: Path) -> Run:
    """Read a run as it lies on disk and judge it, without writing anything. Raises `NoSuchRun` or `BadInput`."""
    run = read(folder)
    try:
        split = recovery(run.history, run.plan.expected.voters)
    except Exception as error:  # noqa: BLE001 - figures beside the verdict must not take the verdict with them
        split = {"error": f"{type(error).__name__}: {error}"}
    return replace(run, findings=findings(run.plan, run.history), recovery=split)


def figures(run: Run) -> Measured:
    """Return what is measured of every run, whatever it promises: from its findings, and what they do not say by asking the same checkers now."""
    return measured(run.plan, run.findings, lambda asked: findings(replace(run.plan, promises=tuple(asked)), run.history))


def read(folder: Path) -> Run:
    """Read a run as it lies on disk, and do not judge it: it has no findings. Raises `NoSuchRun` or `BadInput`."""
    try:
        body = plan_of(folder)
        plan = Plan.from_json(body, file=str(folder / "plan.json"))
        history = History.load(folder / "history.jsonl", _run_of(body))
    except FileNotFoundError as error:
        raise NoSuchRun(f"{folder} is no run: {error.filename} is not there") from error
    _must_be_of_a_cluster(history, folder / "history.jsonl")
    return Run(folder.name, folder, plan, history, [], {}, environment_of(folder))


def _must_be_of_a_cluster(history: History, file: Path) -> None:
    """Raise `BadInput` where a history tells of more nodes or instances than anybody can judge."""
    nodes = {event.node for _, event in history.each(NodeSeen)} | {event.node for _, event in history.each(ApiSeen)}
    ran = {each.instance for _, event in history.each(NodeSeen) for each in event.containers}
    placed = {each.instance for _, event in history.each(ApiSeen) if event.view for each in event.view.placements}
    problems = [
        Problem(str(file), 0, 0, f"a history of {count} {what}", f"{MOST_NAMES} at most", "no run of this version has written it")
        for count, what in ((len(nodes), "nodes"), (len(ran | placed), "instances"))
        if count > MOST_NAMES
    ]
    if problems:
        raise BadInput(problems)


def _run_of(body: Mapping[str, Json]) -> str:
    """Return the id of the run that a plan was saved for; empty for a plan that does not say."""
    run = body.get("run")
    return run if isinstance(run, str) else ""


def judge_folder(folder: Path) -> Run:
    """Judge a run and write its ``verdict.json`` anew."""
    run = load(folder)
    save_verdict(run)
    return run
