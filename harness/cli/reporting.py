"""Reports by name, ours and those of plug-ins, of runs that were kept."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.flags import RESULTS
from harness.cli.kept import must_be_over, named
from harness.cli.tables import add, print_whole, table_of
from harness.cli.telling import output_problems, say, write_output
from harness.core.errors import BadInput, HarnessError, NoSuchRun, Problem, in_words
from harness.core.figures import given
from harness.core.naming import close
from harness.core.plain import in_line, plain, sentence
from harness.core.threads import CertainThread

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.history.interfaces import RunReport
    from harness.runs.run import Run

REPORT_SECONDS = 600.0
"""How long a report may take. Ours take a second or so for each run."""


@click.command("report", short_help="Write a report of kept runs by its name, also a plug-in's; or list the reports.")
@click.argument("name", metavar="[NAME]", required=False)
@click.argument("runs", metavar="[RUN]...", nargs=-1)
@click.option(
    "--output", metavar="FILE", type=click.Path(path_type=Path), help="File that the report is written to, in place of standard output."
)
@RESULTS
def report_command(name: str | None, runs: tuple[str, ...], output: Path | None, results: Path) -> None:
    """Write the report NAME of each RUN (an id, the start of one, a path, or latest); of the latest, where none is given.

    The runs are judged anew for that. Without a NAME it is said which reports there are, ours and those that plug-ins add.
    """
    from harness.registry import known  # noqa: PLC0415 - commands load only what they need: help and errors come at once

    every = known().reports
    if name is None:
        _list(every)
        return
    problems = output_problems(output)
    if name not in every:
        problems.append(Problem("NAME", 0, 0, f"an unknown report {name!r}", f"one of {', '.join(every)}", close(name, every)))
    if problems:
        raise BadInput(problems)
    text = _text(every[name], _loaded(results, runs or ("latest",)))
    if output is None:
        say(text.rstrip("\n"))
    else:
        write_output(output, plain(text).rstrip("\n") + "\n")


def _list(every: Mapping[str, Any]) -> None:
    """Say which reports there are, what each is, and whose."""
    table = table_of("report", "what it is", "of")
    for name, cls in every.items():
        add(table, name, sentence(inspect.getdoc(cls) or "").partition(". ")[0].rstrip("."), _source(name) or "whalefall")
    print_whole(table)


def _source(name: str) -> str | None:
    from harness.registry import installed  # noqa: PLC0415 - commands load only what they need: help and errors come at once

    return installed().source("reports", name)


def _loaded(results: Path, names: Sequence[str]) -> list[Run]:
    """Return these runs, judged. Raises `BadInput` with all that is wrong with any of them, or with their names."""
    from harness.runs.judge import load  # noqa: PLC0415 - commands load only what they need: help and errors come at once

    found: list[Run] = []
    problems: list[Problem] = []
    for folder in named(results, names):
        try:
            must_be_over(folder)
            found.append(load(folder))
        except BadInput as error:
            problems += error.problems
        except NoSuchRun as error:
            problems.append(Problem(str(folder), 0, 0, str(error), "a run that is kept whole"))
    if problems:
        raise BadInput(problems)
    return found


def _text(report: type[RunReport[Run]], runs: Sequence[Run]) -> str:
    """Return what a report makes of runs. Raises `HarnessError` where it fails, in whatever way: its code may be somebody else's."""
    made: list[str] = []
    failed: list[str] = []

    def work() -> None:
        try:
            text: object = report().text(runs)
            if isinstance(text, str):
                made.append(text)
            else:
                failed.append(f"it gave no text, but {text!r:.60}")
        except BaseException as error:  # noqa: BLE001 - whatever its code does, it is told
            failed.append(in_words(error))

    thread = CertainThread(target=work, name=f"report-{report.name}")
    thread.start()
    thread.wait(REPORT_SECONDS)
    if made:
        return made[0]
    why = failed[0] if failed else f"it was not done after {given(REPORT_SECONDS)}"
    source = _source(report.name)
    raise HarnessError(in_line(f"the report {report.name}{f' of {source}' if source else ''} failed: {why}; nothing was written"))
