"""Scorecards: scenarios in several modes, several times each, side by side; run now, or made of runs that were kept."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.flags import RESULTS, Overrides, SeedType
from harness.cli.telling import BAD_INPUT, HARNESS_FAILED, console, output_problems, say, worst, write_output
from harness.core.errors import BadInput, HarnessError, Problem, UnknownRun
from harness.core.plain import in_line, json_text
from harness.core.protocols import with_distribution
from harness.core.units import counted
from harness.core.values import SEEDS, Verdict
from harness.host import untrusted
from harness.runs.run import EXIT, ended_early, find, folders, inside, plan_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from harness.cli.campaign import Crew, PlannedRun, There
    from harness.plan import Plan
    from harness.reports.run_figures import RunFigures
    from harness.reports.scorecard import Card, Conclusion, Left

FORMATS = ("terminal", "markdown", "json")
SUFFIXES = {".md": "markdown", ".json": "json", ".txt": "terminal", "": "terminal"}
"""What the end of a file's name says of its format."""
MOST_REPEATS = 1000
WIDTH = 100
"""Columns of what is written to a file as a terminal would show it."""


@click.command("scorecard", short_help="Put scenarios, modes and repeats side by side; from kept runs, too.")
@click.argument("what", metavar="FILE...|RUN...", type=click.Path(path_type=Path), nargs=-1)
@click.option(
    "--from",
    "from_kept",
    is_flag=True,
    help="Run nothing: RUN... are runs that were kept, or folders of them.  [default: all of --results]",
)
@click.option("--mode", metavar="NAME,...", help="Modes, with a comma between them.  [default: all that there are]")
@click.option(
    "--repeats",
    type=click.IntRange(1, MOST_REPEATS),
    default=1,
    show_default=True,
    help="Runs of each scenario in each mode; each has a seed of its own.",
)
@click.option("--jobs", type=click.IntRange(1), help="Runs at a time.  [default: as many as this machine carries, measured]")
@click.option("--provider", metavar="NAME", help="Where nodes come from, in place of what the scenarios say.")
@click.option("--profile", metavar="NAME", help="Timers, in place of what the scenarios say.")
@click.option("--seed", type=SeedType(), help="Of the first repeat; each further one has the next.  [default: random, and kept]")
@click.option(
    "--format", "form", type=click.Choice(FORMATS), help="How the card is given.  [default: by the name of --output, or terminal]"
)
@click.option(
    "--output", metavar="FILE", type=click.Path(path_type=Path), help="File that the card is written to, in place of standard output."
)
@RESULTS
@click.pass_context
def scorecard_command(
    ctx: click.Context,
    what: tuple[Path, ...],
    mode: str | None,
    repeats: int,
    jobs: int | None,
    provider: str | None,
    profile: str | None,
    seed: int | None,
    form: str | None,
    output: Path | None,
    results: Path,
    *,
    from_kept: bool,
) -> None:
    """Run scenarios in several modes, several times each, and put what came out side by side.

    A folder stands for the scenario files in it. The runs are kept in a folder of their own below --results, which is named at once. The same command
    goes on where it ended, also after Ctrl-C or a crash: runs that are there are not done again, those that were stopped or killed are.

    The card has for each mode: how its runs came out; noticed, placed, running and serving in seconds after the loss, and how many never were; the
    longest gap; violations of the rule; double runs; what the API told otherwise than the nodes; the budget. It ends with what these runs show.

    \b
    Exit status: 0 all runs came out as they must, a control convicted; 1 one was broken, 3 unknown; 4 one has no verdict; 2 bad input.
    """  # noqa: D301 - click knows by a real backspace that these lines are to stay lines
    problems = [*output_problems(output), *_unknown_ending(form, output)]
    if from_kept:
        given = {"--mode": mode, "--jobs": jobs, "--provider": provider, "--profile": profile, "--seed": seed}
        if useless := [name for name, value in given.items() if value is not None] + ["--repeats"] * (repeats != 1):
            raise click.UsageError(f"--from runs nothing, so {' and '.join(useless)} cannot be given with it")
        runs, left, unread = _kept(what, results, problems)
        order: list[str] = []
    else:
        if not what:
            raise click.UsageError("nothing to run: give scenario files, or --from for runs that were kept")
        runs, left, order = _run(ctx, what, _modes(mode), Overrides(None, provider, seed, profile), results, repeats, jobs, problems)
        unread = []
    from harness.reports.conclusions import conclusions  # noqa: PLC0415 - commands load only what they need: help and errors come at once
    from harness.reports.scorecard import card_of  # noqa: PLC0415 - same

    card = card_of(runs, left, unread, order)
    _give(card, conclusions(card), form, output)
    for problem in unread:
        say(in_line(problem), err=True)
    ctx.exit(worst([*map(_status, card.runs), *([HARNESS_FAILED] if unread else [])]))


def _unknown_ending(form: str | None, output: Path | None) -> list[Problem]:
    """Say now, and not after what may take hours, that the name of --output says no format, and nothing else does."""
    if form is not None or output is None or output.suffix.lower() in SUFFIXES:
        return []
    expected = f"a name that ends with {', '.join(filter(None, SUFFIXES))}, or --format beside it"
    return [Problem("--output", 0, 0, f"the ending {output.suffix[:80]!r}, which says no format", expected)]


def _status(run: RunFigures) -> int:
    """Return the exit status that a run adds: of a control whether it came out as it must."""
    if run.right:
        return EXIT[Verdict.HELD]
    if not run.judged:
        return HARNESS_FAILED
    if run.right is False:
        return EXIT[Verdict.BROKEN]
    return EXIT[Verdict(run.word)]


# -- runs that were kept


def _kept(what: Sequence[Path], results: Path, problems: list[Problem]) -> tuple[list[RunFigures], list[Left], list[str]]:
    """Return the figures of kept runs, what scenarios are not for, and what cannot be read. Raises `BadInput` with all that is wrong.

    A folder of runs stands for those in it, and for those that scorecards have in folders of their own in it.
    """
    found: list[Path] = []
    left: list[Left] = []
    strange: list[str] = []
    for each in what or (results,):
        try:
            a_run = (each / "plan.json").is_file()
            of_cards, reasons, wrong = ([], [], []) if a_run else _of_cards(each)
            made = [*([] if a_run else folders(each)), *of_cards]
            found += made or [find(results, str(each))]
            left += [*(_reasons(each) if made else []), *reasons]
            strange += wrong
        except UnknownRun as error:
            expected = "a run, or a folder of runs"
            problems.append(Problem(str(each), 0, 0, "a folder without runs" if each.is_dir() else str(error), expected))
        except BadInput as error:
            problems += error.problems
        except OSError as error:
            problems.append(Problem(str(each), 0, 0, f"what cannot be read ({error.strerror})", "a run, or a folder of runs"))
    if problems:
        raise BadInput(problems)
    runs, unread = _read({folder.resolve(): folder for folder in found}.values())
    return runs, list(dict.fromkeys(left)), [*unread, *strange]


def _of_cards(results: Path) -> tuple[list[Path], list[Left], list[str]]:
    """Return what scorecards have run in folders of their own in a folder of runs, what scenarios are not for, and what cannot be read of that."""
    from harness.cli import campaign  # noqa: PLC0415 - commands load only what they need: help and errors come at once

    runs: list[Path] = []
    left: list[Left] = []
    wrong: list[str] = []
    for card in inside(results):
        try:
            if untrusted.there(card / campaign.FILE):
                runs += folders(card)
                left += _reasons(card)
        except BadInput as error:
            wrong += map(str, error.problems)
    return runs, left, wrong


def _reasons(folder: Path) -> tuple[Left, ...]:
    """Return for which modes the scenarios of a scorecard's folder are not; nothing of another one. Raises `BadInput`."""
    from harness.cli import campaign  # noqa: PLC0415 - commands load only what they need: help and errors come at once

    said = campaign.noted(folder)
    return () if said is None else said.left


def _read(every: Iterable[Path]) -> tuple[list[RunFigures], list[str]]:
    """Judge runs as `show` does, one after the other, and keep their figures alone. Of what cannot be read it is said what is wrong."""
    runs: list[RunFigures] = []
    unread: list[str] = []
    for folder in every:
        one, wrong = _figures(folder)
        runs += [one] if one is not None else []
        unread += wrong if one is None else []
        for problem in wrong if one is not None else ():
            say(in_line(problem), err=True)
    return runs, unread


def _figures(folder: Path) -> tuple[RunFigures | None, list[str]]:
    """Return one run's figures, and what is wrong with it: where even its plan cannot be read it has none."""
    from harness.reports.run_figures import figures_of  # noqa: PLC0415 - commands load only what they need: help and errors come at once
    from harness.runs import judge  # noqa: PLC0415 - same
    from harness.runs.writer import writer_of  # noqa: PLC0415 - same

    try:
        if writer_of(folder) is not None and not ended_early(folder):
            return _word(folder, "running"), []
        run = judge.load(folder)
        ended = run.history.stopped or run.history.failure
        return figures_of(run, None if ended else judge.figures(run)), []
    except (HarnessError, OSError) as error:
        wrong = [str(each) for each in error.problems] if isinstance(error, BadInput) else [f"{folder}: {error}"]
        try:
            return _word(folder, "cannot be read", "; ".join(wrong)), wrong
        except (HarnessError, OSError):
            return None, wrong


def _word(folder: Path, word: str, cause: str = "") -> RunFigures:
    """Return a run of which nothing is known but its plan. Raises `BadInput` or `OSError` where that is not, either."""
    from harness.reports.run_figures import RunFigures  # noqa: PLC0415 - commands load only what they need: help and errors come at once

    plan = plan_of(folder)
    scenario, mode, provider, profile = (str(plan.get(key, "?")) for key in ("scenario", "mode", "provider", "profile"))
    mode = with_distribution(mode, str(plan.get("distribution", "")))
    seed = plan.get("seed")
    return RunFigures(folder.name, scenario, mode, provider, profile, seed if isinstance(seed, int) else None, word, cause=cause)


# -- runs that are done now


def _modes(given: str | None) -> list[str]:
    from harness.registry import known  # noqa: PLC0415 - commands load only what they need: help and errors come at once

    if given is None:
        return sorted(known().modes)
    return list(dict.fromkeys(each.strip() for each in given.split(",")))


def _run(
    ctx: click.Context,
    what: Sequence[Path],
    modes: Sequence[str],
    overrides: Overrides,
    results: Path,
    repeats: int,
    jobs: int | None,
    problems: list[Problem],
) -> tuple[list[RunFigures], list[Left], list[str]]:
    """Do what of these runs is not there yet, and return the figures of all. Ends the command where it was asked to stop."""
    from harness.cli import campaign  # noqa: PLC0415 - commands load only what they need: help and errors come at once
    from harness.registry import known  # noqa: PLC0415 - same

    first = secrets.randbelow(SEEDS) if overrides.seed is None else overrides.seed
    plans, left = _planned(what, modes, overrides, first, problems)
    if not plans:
        for each in left:
            say(in_line(f"{each.scenario} is not for {each.mode}: {each.because}"), err=True)
        ctx.exit(BAD_INPUT)
    files = sorted({Path(plan.file) for plan in plans})
    key = campaign.key_of(files, [*modes], overrides.provider, overrides.profile, overrides.seed, os.environ.get("WHALEFALL_INVENTORY"))
    folder = results / key
    with campaign.alone(folder):
        said = campaign.noted(folder)
        seed = first if said is None else said.seed
        campaign.note(folder, campaign.CampaignNotes(seed, tuple(left)))
        tasks = campaign.tasks_of(plans, seed, repeats)
        crew = campaign.Crew(folder, campaign.argv_of)
        with crew.heard():
            there = _awaited(folder, tasks, crew)
            wanted = [task for task in tasks if there[task.number].done is None]
            again = sum(bool(there[task.number].interrupted) for task in wanted)
            more = f", {again} interrupted and done again" if again else ""
            say(in_line(f"{folder}: {counted(len(tasks), 'run')}, {len(tasks) - len(wanted)} done already{more}"), err=True)
            if wanted and crew.signal is None:
                count, why = (jobs, "as asked") if jobs else campaign.carried([task.plan for task in wanted], known().providers)
                say(in_line(f"{count} at a time: {why}"), err=True)
                crew.do(wanted, count, lambda plan: jobs is not None or campaign.has_room(plan, known().providers), _progress)
        if crew.signal is not None:
            say("stopped: each run mended what it had broken, or its log says what is left; the same command goes on from here", err=True)
            ctx.exit(128 + crew.signal)
        return _done(folder, tasks), left, list(dict.fromkeys(plan.scenario for plan in plans))


def _planned(
    what: Sequence[Path], modes: Sequence[str], overrides: Overrides, seed: int, problems: list[Problem]
) -> tuple[list[Plan], list[Left]]:
    """Plan all files for all modes. Raises one `BadInput` with every problem of every file in every mode, each once."""
    from harness.cli.planning import plans  # noqa: PLC0415 - commands load only what they need: help and errors come at once
    from harness.reports.scorecard import Left  # noqa: PLC0415 - same

    made: list[Plan] = []
    left: list[Left] = []
    for mode in modes:
        try:
            found, not_for = plans(what, Overrides(mode, overrides.provider, seed, overrides.profile))
        except BadInput as error:
            problems += [each for each in error.problems if each not in problems]
        else:
            made += found
            left += [Left(each.scenario, each.mode, each.because) for each in not_for]
    if problems:
        raise BadInput(problems)
    order = list(dict.fromkeys(plan.file for plan in made))
    return sorted(made, key=lambda plan: order.index(plan.file)), left


def _progress(text: str) -> None:
    """Say how far it is, beside the card, which may be for a program."""
    say(text, err=True)


def _awaited(folder: Path, tasks: Sequence[PlannedRun], crew: Crew) -> dict[int, There]:
    """Look at what is there, once runs that still go have ended: those of a scorecard that was killed are being stopped, and undo what they did."""
    from harness.cli import campaign  # noqa: PLC0415 - commands load only what they need: help and errors come at once

    while True:
        there = campaign.look(folder, tasks)
        going = next((each.going for each in there.values() if each.going is not None), None)
        if going is None or crew.signal is not None:
            return there
        _progress(f"waiting for process {going.pid}, whose run of an earlier scorecard has not ended")
        while crew.signal is None and not going.wait(1.0):
            pass


def _done(folder: Path, tasks: Sequence[PlannedRun]) -> list[RunFigures]:
    """Return the figures of every task; of one that left no run why."""
    from harness.cli import campaign  # noqa: PLC0415 - commands load only what they need: help and errors come at once
    from harness.reports.run_figures import RunFigures  # noqa: PLC0415 - same

    found: list[RunFigures] = []
    for number, there in campaign.look(folder, tasks).items():
        task = tasks[number - 1]
        last = there.done or next(iter(reversed(there.interrupted)), None)
        one, wrong = _figures(last) if last is not None else (None, [campaign.why_not(folder, task)])
        plan = task.plan
        found.append(
            one
            or RunFigures("", plan.scenario, plan.orchestrator, plan.provider, plan.profile, plan.seed, "not run", cause="; ".join(wrong))
        )
    return found


# -- giving it


def _give(card: Card, said: Sequence[Conclusion], form: str | None, output: Path | None) -> None:
    from harness.reports.card_views import markdown, shown  # noqa: PLC0415 - commands load only what they need: help and errors come at once
    from harness.reports.console import text_of  # noqa: PLC0415 - same
    from harness.reports.scorecard import json_of  # noqa: PLC0415 - same

    form = form or ("terminal" if output is None else SUFFIXES[output.suffix.lower()])
    as_text: dict[str, Callable[[], str]] = {
        "markdown": lambda: markdown(card, said),
        "json": lambda: json_text(json_of(card, said)) + "\n",
    }
    if output is None:
        if form == "terminal":
            console().print(shown(card, said))
        else:
            say(as_text[form]().rstrip("\n"))
        return
    if form == "terminal":
        as_text[form] = lambda: text_of(shown(card, said), WIDTH) + "\n"
    write_output(output, as_text[form]())
