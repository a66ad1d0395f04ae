"""Runs that were: judged again, shown again, listed."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.flags import RESULTS
from harness.cli.tables import add, print_whole, styled, table_of, width_of
from harness.cli.telling import console, say
from harness.core.errors import BadInput, Problem, UnknownRun
from harness.core.figures import lasted
from harness.core.plain import as_path, command, in_line, json_text
from harness.core.protocols import with_distribution
from harness.runs.run import EXIT, cut_off, ended_early, environment_of, find, folders, length_of, plan_of, verdict_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rich.text import Text

    from harness.core.values import Json
    from harness.runs.run import Run

COLUMNS = ("run", "verdict", "scenario", "mode", "provider", "seed", "when", "seconds")
FEW = ("run", "verdict", "when", "took")
"""What a narrow terminal is shown: a run's name says most of the rest."""


@click.command("judge", short_help="Judge a saved run again, without a cluster.")
@click.argument("run", default="latest")
@RESULTS
@click.pass_context
def judge_command(ctx: click.Context, run: str, results: Path) -> None:
    """Judge a saved RUN again (an id, the start of one, a path, or latest), without a cluster. Rewrites its verdict.json.

    A run that is still in progress is refused: it is judged when it ends.
    """
    from harness.reports.verdict_table import findings, headline  # noqa: PLC0415 - same
    from harness.runs.judge import judge_folder  # noqa: PLC0415 - commands load only what they need: help and errors come at once

    folder = find(results, run)
    must_be_over(folder)
    judged = judge_folder(folder)
    console().print(headline(judged), findings(judged))
    ctx.exit(EXIT[judged.verdict])


@click.command("show", short_help="Show the report of a saved run again.")
@click.argument("run", default="latest")
@RESULTS
@click.option("--json", "as_json", is_flag=True, help="Print the plan and the verdict as JSON.")
@click.option("--evidence", metavar="CHECKER", help="Show what one checker found, and the lines of the history that it rests on.")
def show_command(run: str, results: Path, evidence: str | None, *, as_json: bool) -> None:
    """Show the report of a saved RUN again (an id, the start of one, a path, or latest), or how far one in progress has come.

    It is judged anew for that, and nothing is written; where that comes out otherwise than the verdict that is kept, it is said.
    """
    from harness.runs.writer import writer_of  # noqa: PLC0415 - commands load only what they need: help and errors come at once

    folder = find(results, run)
    writer = writer_of(folder)
    if writer is not None and not ended_early(folder):
        if evidence is not None:
            must_be_over(folder)
        _show_going(folder, writer.pid, as_json=as_json)
        return
    if as_json:
        body = {"run": folder.name, "plan": plan_of(folder), **verdict_of(folder)}
        say(json_text(body))
        return
    from harness.reports import verdict_table  # noqa: PLC0415 - same
    from harness.runs.judge import load  # noqa: PLC0415 - commands load only what they need: help and errors come at once
    from harness.undo.leaving import afterwards  # noqa: PLC0415 - same

    found = load(folder)
    if evidence is None:
        console().print(verdict_table.report(found))
        if cut_off(folder):
            say(afterwards(folder))
        _say_if_kept_otherwise(found)
        return
    every = found.found_by(evidence)
    if not every:
        raise BadInput([_no_finding(found, evidence)])
    for finding in every:
        console().print(*([] if finding is every[0] else [""]), verdict_table.evidence(found, finding), sep="\n")
    _say_if_kept_otherwise(found)


def _say_if_kept_otherwise(run: Run) -> None:
    """Say where the verdict that is kept of a run, which `list` and `--json` give, is not what comes of judging it now; as after an upgrade."""
    try:
        body = verdict_of(run.folder)
    except (BadInput, OSError) as error:  # nothing of it is shown here
        say(in_line(f"the verdict that is kept cannot be read: {error}"))
        return
    found = body.get("findings")
    kept = (
        [(str(each.get("checker")), str(each.get("verdict"))) for each in found if isinstance(each, dict)]
        if isinstance(found, list)
        else []
    )
    now = [(each.checker, str(each.verdict)) for each in run.findings]
    if not body or (body.get("verdict"), kept) == (run.verdict, now):
        return
    changed = [
        f"{name} was {was}, and is {new}" for (name, was), (other, new) in zip(kept, now, strict=False) if name == other and was != new
    ]
    version = run.environment.get("whalefall")
    by = f" by whalefall {version}" if version else ""
    words = f"kept as {body.get('verdict', 'nothing')}{by}, judged anew {run.verdict}: {', '.join(changed) or 'by other checkers'}"
    say(f"{in_line(words)}; `{command('whalefall', 'judge', as_path(run.folder))}` keeps that")


def _show_going(folder: Path, pid: int, *, as_json: bool) -> None:
    """Show how far a run is that still goes."""
    from harness.reports.so_far import so_far  # noqa: PLC0415 - same
    from harness.runs.judge import read  # noqa: PLC0415 - same

    if as_json:
        say(json_text({"run": folder.name, "plan": plan_of(folder), "running": pid}))
    else:
        console().print(so_far(read(folder), pid))


def named(results: Path, runs: Iterable[str]) -> list[Path]:
    """Return the folders of runs by their names, each once: `results/*` names the newest by its link as well.

    Raises `BadInput` with every name that is none.
    """
    found: dict[Path, Path] = {}
    problems: list[Problem] = []
    for run in runs:
        try:
            folder = find(results, run)
            found.setdefault(folder.resolve(), folder)
        except UnknownRun as error:
            problems.append(Problem(run, 0, 0, str(error), "a run that is kept"))
    if problems:
        raise BadInput(problems)
    return [*found.values()]


def must_be_over(folder: Path) -> None:
    """Raise `BadInput` for a run that still goes: judged now, it would be judged halfway."""
    from harness.runs.writer import writer_of  # noqa: PLC0415 - same

    writer = writer_of(folder)
    if writer is not None:
        hint = f"`{command('whalefall', 'show', as_path(folder))}` shows how far it is, and it is judged at its end"
        raise BadInput(
            [Problem(str(folder), 0, 0, f"a run that is still in progress: process {writer.pid} is writing it", "a run that is over", hint)]
        )


def _no_finding(run: Run, checker: str) -> Problem:
    """Say that a run has no finding of a checker: there is none of that name, or it was not promised in this run."""
    from harness.core.targets import nearest  # noqa: PLC0415 - same
    from harness.registry import known  # noqa: PLC0415 - commands load only what they need: help and errors come at once

    there = [each.checker for each in run.findings]
    what = (
        f"the checker {checker!r}, which judged nothing in this run" if checker in known().checkers else f"an unknown checker {checker!r}"
    )
    hint = nearest(checker, there)
    return Problem(
        "--evidence", 0, 0, what, f"one of {', '.join(dict.fromkeys(there)) or 'none'}", hint if hint.startswith("did you mean") else ""
    )


@click.command("list", short_help="List all runs and how each came out, the newest last.")
@RESULTS
def list_command(results: Path) -> None:
    """List all runs, the newest last: with the verdict, or whether it was stopped, failed, is still running, or was killed.

    "ending" means that its verdict is being made, or that its harness was killed and its cluster is being removed. On a terminal that is too narrow
    for all columns, what the plans say is left out.
    """
    from harness.host.processes import with_reapers  # noqa: PLC0415 - commands load only what they need: help and errors come at once
    from harness.runs.writer import writers  # noqa: PLC0415 - same

    every = folders(results)
    if not every:
        say(f"no runs in {in_line(results)} yet; `whalefall run FILE` makes one")
        return
    going, ending = writers(), with_reapers()
    wide, narrow = table_of(*COLUMNS), table_of(*FEW)
    narrow.collapse_padding = True
    problems: list[Problem] = []
    for folder in every:
        try:
            plan, verdict, environment = plan_of(folder), verdict_of(folder), environment_of(folder)
            length, early, cut = _length(verdict, folder), ended_early(folder), cut_off(folder)
        except (BadInput, OSError) as error:
            found = error.problems if isinstance(error, BadInput) else [Problem(str(folder), 0, 0, f"{error.strerror}", "a run")]
            problems += found
            for table, columns in ((wide, COLUMNS), (narrow, FEW)):
                add(table, folder.name, "cannot be read", *("?" * (len(columns) - 2)))
            continue
        here = folder.resolve()
        # Who writes it is asked before what lies there: no verdict was made of a run that still goes, nor is any of one that was killed.
        now = "running" if here in going else "ending" if here in ending and not verdict else "killed" if cut else ""
        said = early or now or verdict.get("verdict") or "not judged"
        cells: dict[str, str | Text] = {
            "run": folder.name,
            "verdict": styled(str(said)),
            **{key: str(plan.get(key, "?")) for key in ("scenario", "provider", "seed")},
            "mode": with_distribution(str(plan.get("mode", "?")), str(plan.get("distribution", ""))),
            "when": _when(environment.get("started"), "%Y-%m-%d %H:%M"),
            "seconds": "?" if length is None else lasted(length).removesuffix(" s"),
            "took": "?" if length is None else lasted(length),
        }
        add(wide, *(cells[column] for column in COLUMNS))
        cells["when"] = _when(environment.get("started"), "%m-%d %H:%M")
        add(narrow, *(cells[column] for column in FEW))
    print_whole(wide if width_of(wide) <= console().width else narrow)
    for problem in problems:
        say(in_line(problem), err=True)


def _length(verdict: Mapping[str, Json], folder: Path) -> float | None:
    """Return how long a run was by its verdict, as every report of it says; where it was not judged, the time of its last line."""
    said = verdict.get("seconds")
    return float(said) if isinstance(said, int | float) and not isinstance(said, bool) else length_of(folder)


def _when(started: Json, form: str) -> str:
    """Give a time of the environment file in a form of `strftime`: local time."""
    try:
        return datetime.fromisoformat(str(started)).astimezone().strftime(form)
    except (ValueError, OverflowError):
        return "?"
