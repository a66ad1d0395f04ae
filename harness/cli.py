"""The `whalefall` command.

Exit status: 0 held, 1 broken, 2 bad scenario or usage, 3 unknown, 4 the harness failed; 130 (143) when stopped by SIGINT (SIGTERM). A traceback
is shown only with ``WHALEFALL_DEBUG=1``.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shlex
import signal
import sys
import tempfile
import threading
import traceback
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from harness import __version__
from harness.errors import BadInput, HarnessError, Problem
from harness.run import EXIT, cluster_of, find, folders
from harness.values import Verdict

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence
    from types import FrameType

    from harness.conductor import Options
    from harness.history import Recorder
    from harness.plan import Plan
    from harness.reports.terminal import View
    from harness.scenario import NotForMode
    from harness.standing import Standing
    from harness.values import Json

BAD_INPUT = 2
HARNESS_FAILED = 4
WORST_FIRST = (BAD_INPUT, HARNESS_FAILED, EXIT[Verdict.BROKEN], EXIT[Verdict.UNKNOWN], EXIT[Verdict.HELD])
"""Of several runs the worst counts, in this order."""

LOG_WIDTH = 100
"""Columns where there is no terminal that has a width."""

SEEDS = 1_000_000

_INVENTORY = "inventory"
"""The provider of hosts that somebody else runs."""
INVENTORY = "WHALEFALL_INVENTORY"
"""Environment variable that names an inventory; a child of ours finds it there, too."""

_RESULTS = click.option(
    "--results",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("results"),
    envvar="WHALEFALL_RESULTS",
    show_default=True,
    help="Folder that runs are kept in.",
)


def worst(statuses: Iterable[int]) -> int:
    """Return the worst of some exit statuses of runs; of none, that of a harness that failed."""
    return min(statuses, key=WORST_FIRST.index, default=HARNESS_FAILED)


class Commands(click.Group):
    """The group of all commands: turns every error into one clear message and the exit status that belongs to it."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except (click.exceptions.Exit, click.Abort, click.ClickException, BrokenPipeError):
            raise
        except BadInput as error:
            ctx.exit(tell(error))
        except KeyboardInterrupt:
            click.echo("stopped", err=True)
            ctx.exit(128 + signal.SIGINT)
        except Exception as error:  # noqa: BLE001 - the last place where an error can still become a message
            ctx.exit(tell(error))


def tell(error: Exception, folder: Path | None = None) -> int:
    """Print what went wrong, in words, and return the exit status. `folder` is the run's, if there is one, for the details of a crash."""
    if os.environ.get("WHALEFALL_DEBUG") == "1":
        traceback.print_exception(error)
    if isinstance(error, BadInput):
        for problem in error.problems:
            click.echo(str(problem), err=True)
        count = len(error.problems)
        click.echo(f"{count} problem{'' if count == 1 else 's'}; nothing was done", err=True)
        return BAD_INPUT
    if isinstance(error, HarnessError):
        click.echo(f"whalefall failed: {error}", err=True)
        return HARNESS_FAILED
    if isinstance(error, OSError):
        from harness.reports import trouble  # noqa: PLC0415 - commands load only what they need: help and errors come at once

        of_environment = trouble(error, folder)
        if of_environment:
            click.echo(f"whalefall failed: {of_environment}", err=True)
            return HARNESS_FAILED
    place = _crash_file(error, folder)
    click.echo(
        f"whalefall failed in a way it should not: {type(error).__name__}: {error}; please report this as a bug, with {place}", err=True
    )
    return HARNESS_FAILED


def _crash_file(error: Exception, folder: Path | None) -> str:
    """Write the details of a crash and say where they are."""
    text = "".join([f"whalefall {__version__}, Python {sys.version}\n\n", *traceback.format_exception(error)])
    try:
        if folder is not None and folder.is_dir():
            path = folder / "crash.txt"
            path.write_text(text, encoding="utf-8")
            return str(path)
        with tempfile.NamedTemporaryFile("w", prefix="whalefall-crash-", suffix=".txt", delete=False, encoding="utf-8") as file:
            file.write(text)
            return file.name
    except OSError as failure:
        return f"what WHALEFALL_DEBUG=1 shows (the details could not be written: {failure})"


def console() -> Console:
    """Return the console of this moment's standard output, as wide as a log where it has no width of its own."""
    plain = Console(highlight=False)
    if plain.is_terminal or os.environ.get("COLUMNS"):
        return plain
    return Console(highlight=False, width=LOG_WIDTH)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": LOG_WIDTH})
@click.version_option(__version__, prog_name="whalefall")
def main() -> None:
    """Break real clusters on purpose, and say whether they kept their promises.

    Start with `whalefall doctor`, then `whalefall run scenarios/node-kill.yaml`.

    \b
    Exit status:
      0  held: every promise was kept
      1  broken: one was not
      2  bad scenario or usage
      3  unknown: the run cannot be judged
      4  the harness failed
    """  # noqa: D301 - click knows by a real backspace that these lines are to stay lines


# -- plan and run


def _choices(command: Any) -> Any:
    """Add the options that `plan` and `run` share."""
    for option in reversed(
        [
            click.option("--mode", metavar="NAME", help="How the cluster is orchestrated, in place of what the scenario says."),
            click.option("--provider", metavar="NAME", help="Where nodes come from, in place of what the scenario says."),
            click.option("--seed", type=click.IntRange(min=0), help="For every choice that is left to chance.  [default: random, printed]"),
            click.option("--profile", type=click.Choice(["default", "fast"]), help="Timers, in place of what the scenario says."),
        ]
    ):
        command = option(command)
    return command


@dataclass(frozen=True, slots=True)
class Overrides:
    """What the command line says in place of the scenario file."""

    mode: str | None
    provider: str | None
    seed: int | None
    profile: str | None


def plans(files: Sequence[Path], overrides: Overrides) -> tuple[list[Plan], list[NotForMode]]:
    """Load and plan all files; those that say that they are not for their mode come apart. Raises one `BadInput` with every problem of every file."""
    from harness.scenario import NotForMode  # noqa: PLC0415 - commands load only what they need: help and errors come at once

    seed = secrets.randbelow(SEEDS) if overrides.seed is None else overrides.seed
    made: list[Plan] = []
    left_out: list[NotForMode] = []
    paths, problems = _expanded(files)
    for path in paths:
        try:
            made.append(_plan(path, overrides, seed))
        except NotForMode as error:
            left_out.append(error)
        except BadInput as error:
            problems += [problem for problem in error.problems if problem not in problems]
    if problems:
        raise BadInput(problems)
    return made, left_out


def _tell_left_out(ctx: click.Context, made: Sequence[Plan], left_out: Sequence[NotForMode]) -> None:
    """Say which files are not for their mode, and why. Where no other is left, that is bad usage: what was asked for cannot be done."""
    for each in left_out:
        click.echo(str(each), err=True)
    if left_out and not made:
        ctx.exit(BAD_INPUT)


def _expanded(files: Sequence[Path]) -> tuple[list[Path], list[Problem]]:
    """Return every file, for a folder the scenario files in it, and a problem for each folder that has none."""
    paths: list[Path] = []
    problems: list[Problem] = []
    for path in files:
        found = _inside(path)
        if found is None:
            paths.append(path)
        elif found:
            paths += found
        else:
            problems.append(Problem(str(path), 0, 0, "a folder without scenario files", "files named *.yaml in it"))
    return paths, problems


def _inside(path: Path) -> list[Path] | None:
    """Return the scenario files in a folder; None for what is none, or cannot be looked at: whoever reads it as a file says why."""
    try:
        return sorted(path.glob("*.yaml")) if path.is_dir() else None
    except OSError:
        return None


def _plan(path: Path, overrides: Overrides, seed: int) -> Plan:
    """Load one file and plan it, the command line's words in place of the file's."""
    from harness.parameters import known  # noqa: PLC0415 - commands load only what they need: help and errors come at once
    from harness.plan import plan  # noqa: PLC0415 - same
    from harness.scenario import load  # noqa: PLC0415 - same

    among = known()
    _must_be("--mode", overrides.mode, among.modes)
    _must_be("--provider", overrides.provider, among.providers)
    scenario = load(path, mode=overrides.mode, provider=overrides.provider, profile=overrides.profile)
    mode = among.modes[scenario.cluster.mode].from_timers(scenario.profile, scenario.cluster.timers)
    return plan(scenario, mode=mode, provider=scenario.cluster.provider, seed=seed)


def _must_be(option: str, given: str | None, valid: Collection[str]) -> None:
    """Raise a usage error for a name that an option cannot take."""
    if given is not None and given not in valid:
        raise click.BadParameter(f"{given!r}; expected one of: {', '.join(sorted(valid))}", param_hint=option)


@main.command("plan")
@click.argument("files", metavar="FILE...", type=click.Path(path_type=Path), nargs=-1, required=True)
@_choices
def plan_command(files: tuple[Path, ...], mode: str | None, provider: str | None, seed: int | None, profile: str | None) -> None:
    """Print what a run of FILE would do, and to whom. Touches nothing, needs no root."""
    from harness.plan import describe  # noqa: PLC0415 - commands load only what they need: help and errors come at once

    made, left_out = plans(files, Overrides(mode, provider, seed, profile))
    _tell_left_out(click.get_current_context(), made, left_out)
    for number, plan in enumerate(made):
        click.echo(("\n" if number else "") + describe(plan))


@main.command("run")
@click.argument("files", metavar="FILE...", type=click.Path(path_type=Path), nargs=-1, required=True)
@_choices
@_RESULTS
@click.option("--keep", is_flag=True, help="Leave the cluster standing; `whalefall sweep --kept` removes it.")
@click.option(
    "--reuse",
    is_flag=True,
    help="Make a cluster once, and set its machines back before each further run that needs the same (virtual machines only).",
)
@click.option("--logs", is_flag=True, help="Keep the nodes' logs whatever the verdict; without it only for one that is not held.")
@click.option("--plain", is_flag=True, help="Plain lines also on a terminal.")
@click.option(
    "--dry-run", is_flag=True, help="Check everything, also the hosts of an inventory, and say what a run would do; change nothing."
)
@click.option(
    "--inventory",
    metavar="FILE[:GROUP]",
    expose_value=False,
    callback=lambda ctx, _, value: _use_inventory(ctx, value),
    help=f"Hosts for the provider `inventory`: an Ansible inventory, or an OpenSSH config (FILE:HOST,HOST).  [default: ${INVENTORY}]",
)
@click.pass_context
def run_command(
    ctx: click.Context,
    files: tuple[Path, ...],
    mode: str | None,
    provider: str | None,
    seed: int | None,
    profile: str | None,
    results: Path,
    *,
    keep: bool,
    reuse: bool,
    logs: bool,
    plain: bool,
    dry_run: bool,
) -> None:
    """Run scenarios: build the cluster, break it, mend it, judge it.

    All files are read first: if any is bad, none is run. Several are run one after the other, and the worst counts. A folder stands for the
    scenario files in it. Ctrl-C heals, removes the cluster and ends; a second one does so without waiting for the step that is under way.
    """
    if keep and reuse:
        raise click.UsageError("--keep and --reuse exclude each other: a cluster that is set back is not kept as a run left it")
    made, left_out = plans(files, Overrides(mode, provider, seed, profile))
    _tell_left_out(ctx, made, left_out)
    if dry_run:
        ctx.exit(_rehearse(made))
    stop = Stop(keep=keep)
    statuses = []
    with stop.caught(), _standing(made, reuse=reuse) as standing:
        for plan in made:
            statuses.append(_run(plan, results, stop, keep=keep, standing=standing, logs=logs, plain=plain))
            if stop.signal is not None:
                ctx.exit(128 + stop.signal)
    if len(made) + len(left_out) > 1:
        _print_summary(made, statuses, left_out)
    ctx.exit(worst(statuses))


@contextlib.contextmanager
def _standing(made: Sequence[Plan], *, reuse: bool) -> Iterator[Standing | None]:
    """Give a place where a run leaves its cluster for the next one, if clusters are to be used again. Says so where they cannot be."""
    if not reuse:
        yield None
        return
    from harness.protocols import Snapshots  # noqa: PLC0415 - commands load only what they need: help and errors come at once
    from harness.providers import PROVIDERS  # noqa: PLC0415 - same
    from harness.standing import Standing  # noqa: PLC0415 - same

    for name in sorted({plan.provider for plan in made}):
        if not isinstance(PROVIDERS[name](), Snapshots):
            click.echo(
                f"--reuse changes nothing for {name}: its machines cannot be set back, so each run has a cluster of its own", err=True
            )

    standing = Standing()
    try:
        yield standing
    finally:
        standing.close()


def _use_inventory(ctx: click.Context, given: str | None) -> None:
    """Let the provider `inventory` find the inventory where it looks for it, for as long as the command lasts."""
    if given is None:
        return
    before = os.environ.get(INVENTORY)
    os.environ[INVENTORY] = given
    ctx.call_on_close(lambda: os.environ.pop(INVENTORY, None) if before is None else os.environ.update({INVENTORY: before}))


def _rehearse(made: Sequence[Plan]) -> int:
    """Say of each plan what its run would do, or why it would not begin. Returns the worst exit status."""
    from harness.rehearsal import rehearse  # noqa: PLC0415 - commands load only what they need: help and errors come at once

    statuses = []
    for number, plan in enumerate(made):
        try:
            click.echo(("\n" if number else "") + rehearse(plan))
            statuses.append(0)
        except HarnessError as error:
            statuses.append(tell(error))
    return worst(statuses)


@dataclass(slots=True)
class Stop:
    """A wish to end early, by signal. The first sets `event`, which the conductor looks at; the second raises `KeyboardInterrupt`.

    So does the first while the cluster is only being made: nothing is broken yet, and a step such as building the image takes long.
    """

    keep: bool = False  # whether the cluster is to stay
    event: threading.Event = field(default_factory=threading.Event)
    signal: int | None = None
    view: View | None = None
    options: Options | None = None  # of the run under way

    @contextlib.contextmanager
    def caught(self) -> Iterator[None]:
        """Listen to SIGINT and SIGTERM for as long as the block lasts. Only in the main thread can a program do so."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._asked) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _asked(self, number: int, _frame: FrameType | None) -> None:
        if self.event.is_set():
            if self.signal == signal.SIGINT:
                self._interrupt()
            return
        self.signal = number
        self.event.set()
        if self.view is not None:
            what = "healing what is broken" + ("" if self.keep else " and removing the cluster")
            self.view.say(f"stopping: {what} (Ctrl-C again: without waiting for this step)")
        if self.options is not None and self.options.busy:
            self._interrupt()

    def _interrupt(self) -> None:
        """Interrupt what the main thread does. Once only: the clean-up that follows must not be torn down as well."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        raise KeyboardInterrupt


def _run(plan: Plan, results: Path, stop: Stop, *, keep: bool, standing: Standing | None, logs: bool, plain: bool) -> int:
    """Do one run, show it, and return its exit status. What goes wrong is told here: the next file is run all the same."""
    from harness.conductor import Options, Stopped, conduct  # noqa: PLC0415 - commands load only what they need: help and errors come at once
    from harness.reports.terminal import view  # noqa: PLC0415 - same
    from harness.reports.verdict_table import report, title  # noqa: PLC0415 - same

    out = console()
    out.print(Text.assemble(("whalefall  ", "bold"), title(plan)), soft_wrap=True)
    folder: list[Path] = []
    try:
        with view(plan, out, plain=plain) as shown:
            stop.view = shown

            def listen(recorder: Recorder) -> None:
                folder.append(recorder.path.parent)
                shown.listen(recorder)

            stop.options = Options(
                results=results, keep=keep, logs=logs, standing=standing, listener=shown.progress, listen=listen, stop=stop.event
            )
            run = conduct(plan, stop.options)
    except (Stopped, KeyboardInterrupt):
        click.echo(f"stopped: {_left(folder[-1], plan, keep=keep) if folder else 'nothing was begun'}", err=True)
        return HARNESS_FAILED
    except Exception as error:  # noqa: BLE001 - told with its kind; the next scenario is run all the same
        status = tell(error, folder[-1] if folder else None)
        if folder and (broken := _broken(folder[-1])):
            click.echo(broken, err=True)
        if folder and plan.provider == _INVENTORY and not keep and (held := _held(folder[-1])):
            click.echo(held, err=True)
        return status
    finally:
        stop.view = stop.options = None
    out.print()
    out.print(report(run))
    again = f"again: whalefall run {plan.file} --mode {plan.mode} --provider {plan.provider} --profile {plan.profile} --seed {plan.seed}"
    if plan.provider == _INVENTORY:
        again += f" --inventory {shlex.quote(os.environ.get(INVENTORY, ''))}"
    out.print(Text(again, style="dim"), soft_wrap=True)
    if keep:
        out.print(Text(_kept(plan)), soft_wrap=True)
    return EXIT[run.verdict]


def _kept(plan: Plan) -> str:
    """Say what was kept, and how to be rid of it."""
    if plan.provider == _INVENTORY:
        return "the apps and the claims on the hosts were kept; `whalefall sweep --kept` removes them"
    return "the cluster was kept; `whalefall sweep --kept` removes it"


def _held(folder: Path) -> str:
    """Say that a run has not let its hosts go; nothing where it has."""
    from harness import state  # noqa: PLC0415 - commands load only what they need: help and errors come at once

    if not state.run_folder(folder.name).exists():
        return ""
    return f"its hosts are NOT let go, {folder / 'reaper.log'} says why; `whalefall sweep` tries again"


def _left(folder: Path, plan: Plan, *, keep: bool) -> str:
    """Say what a run that was stopped left, by its ledger and the provider's records."""
    from harness import state  # noqa: PLC0415 - commands load only what they need: help and errors come at once

    broken = _broken(folder)
    said = broken or "what was broken is mended"
    between = "; " if broken else ", and "
    if keep:
        return f"{said}{between}{_kept(plan)}"
    if plan.provider == _INVENTORY:
        return f"{said}; {held}" if (held := _held(folder)) else f"{said}{between}the hosts were let go"
    if state.run_folder(cluster_of(folder)).exists():
        return f"{said}; the cluster is NOT gone; `whalefall sweep` removes it"
    return f"{said}{between}the cluster is gone"


def _broken(folder: Path) -> str:
    """Say which faults of a run its ledger does not show as mended, and how to mend them; nothing where there are none."""
    from harness.ledger import unsettled  # noqa: PLC0415 - commands load only what they need: help and errors come at once

    again = shlex.join(["whalefall", "heal", folder.name, *([] if folder.parent == Path("results") else ["--results", str(folder.parent)])])
    try:
        lines = unsettled(folder / "ledger.jsonl")
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        return f"whether anything is still broken is not known, the ledger cannot be read ({error}); `{again}` looks again"
    names = ", ".join(f"{line.name} on {' '.join(line.targets)}" for line in reversed(lines))
    return f"NOT known to be mended: {names}; `{again}` mends it" if lines else ""


def _print_summary(made: Sequence[Plan], statuses: Sequence[int], left_out: Sequence[NotForMode]) -> None:
    words = {EXIT[verdict]: str(verdict) for verdict in Verdict} | {HARNESS_FAILED: "failed", BAD_INPUT: "bad input"}
    table = _table("scenario", "came out")
    for plan, status in zip(made, statuses, strict=True):
        table.add_row(plan.scenario, _styled(words[status]))
    for each in left_out:
        table.add_row(each.scenario, _styled(f"not for {each.mode}"))
    console().print("", table)


# -- runs that were


@main.command("judge", short_help="Judge a saved run again, with no cluster.")
@click.argument("run", default="latest")
@_RESULTS
@click.pass_context
def judge_command(ctx: click.Context, run: str, results: Path) -> None:
    """Judge a saved RUN again (an id, the start of one, or latest), with no cluster. Rewrites its verdict.json."""
    from harness.judge import judge_folder  # noqa: PLC0415 - commands load only what they need: help and errors come at once
    from harness.reports.verdict_table import findings, headline  # noqa: PLC0415 - same

    judged = judge_folder(find(results, run))
    console().print(headline(judged), findings(judged))
    ctx.exit(EXIT[judged.verdict])


@main.command("show", short_help="Show the report of a saved run again.")
@click.argument("run", default="latest")
@_RESULTS
@click.option("--json", "as_json", is_flag=True, help="Print the plan and the verdict as JSON.")
def show_command(run: str, results: Path, *, as_json: bool) -> None:
    """Show the report of a saved RUN again (an id, the start of one, or latest)."""
    folder = find(results, run)
    if as_json:
        body = {"run": folder.name, "plan": _read(folder / "plan.json"), **_read(folder / "verdict.json")}
        click.echo(json.dumps(body, indent=2, ensure_ascii=False))
        return
    from harness.judge import load  # noqa: PLC0415 - commands load only what they need: help and errors come at once
    from harness.reports.verdict_table import report  # noqa: PLC0415 - same

    console().print(report(load(folder)))


@main.command("list")
@_RESULTS
def list_command(results: Path) -> None:
    """List all runs, the newest last."""
    every = folders(results)
    if not every:
        click.echo(f"no runs in {results} yet; `whalefall run FILE` makes one")
        return
    table = _table("run", "verdict", "scenario", "mode", "provider", "seed", "when", "seconds")
    for folder in every:
        plan, verdict, environment = (_read(folder / name) for name in ("plan.json", "verdict.json", "environment.json"))
        table.add_row(
            folder.name,
            _styled(str(verdict.get("verdict", "not judged"))),
            *(str(plan.get(key, "?")) for key in ("scenario", "mode", "provider", "seed")),
            _when(environment.get("started")),
            _length(folder / "history.jsonl"),
        )
    _print_whole(table)


def _read(path: Path) -> dict[str, Json]:
    """Return a JSON object from a file; an empty one where there is none: a run that was killed lacks some."""
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return body if isinstance(body, dict) else {}


def _when(started: Json) -> str:
    """Give a time of the environment file as people here write it: local time, to the minute."""
    try:
        return datetime.fromisoformat(str(started)).astimezone().strftime("%Y-%m-%d %H:%M")
    except ValueError:
        return "?"


def _length(history: Path) -> str:
    """Return the time of the last whole line, read from the file's end: a long history is not read for a list."""
    try:
        with history.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 65536))
            lines = file.read().split(b"\n")
        return f"{json.loads(lines[-2])['t']:.0f}"
    except (OSError, ValueError, IndexError, KeyError, TypeError):
        return "?"


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    for column in columns:
        table.add_column(column, no_wrap=True, justify="right" if column in {"seed", "seconds", "MB"} else "left")
    return table


def _print_whole(table: Table) -> None:
    """Print a table as wide as it needs to be: ids and paths are for copying, so rather a wide line than a cut one."""
    shown = console()
    wide = Console(
        highlight=False, width=max(shown.width, Measurement.get(Console(width=1000), shown.options.update(width=1000), table).maximum)
    )
    wide.print(table)


def _styled(verdict: str) -> Text:
    styles = {"held": "bold green", "broken": "bold red", "unknown": "bold yellow", "failed": "bold red"}
    return Text(verdict, style=styles.get(verdict, "dim"))


# -- mending


@main.command("heal", short_help="Mend what a dead run left broken.")
@click.argument("run", required=False)
@_RESULTS
@click.pass_context
def heal_command(ctx: click.Context, run: str | None, results: Path) -> None:
    """Mend what the ledger of RUN (or of every run) shows as broken. For after a harness that died; the reaper mostly comes first."""
    from harness.ledger import unsettled  # noqa: PLC0415 - commands load only what they need: help and errors come at once
    from harness.reaper import heal  # noqa: PLC0415 - same

    run_id = find(results, run).name if run else None
    said = heal(run_id, results)
    click.echo("\n".join(said) or "nothing is broken")
    looked_at = [find(results, run_id)] if run_id else folders(results)
    if any(unsettled(folder / "ledger.jsonl") for folder in looked_at if (folder / "ledger.jsonl").is_file()):
        ctx.exit(HARNESS_FAILED)


@main.command("sweep", short_help="Remove everything that dead runs left on this machine.")
@click.option("--kept", is_flag=True, help="Also remove clusters that were to be kept.")
@click.pass_context
def sweep_command(ctx: click.Context, *, kept: bool) -> None:
    """Remove everything that dead runs left: machines, mounts, loop devices, namespaces; on hosts of an inventory faults, apps and claims.

    Runs that go on are left alone. Ends with an error where something could not be removed: it says why, and the next sweep tries again.
    """
    from harness.reaper import sweep  # noqa: PLC0415 - commands load only what they need: help and errors come at once

    swept = sweep(kept=kept, say=click.echo)
    if not swept.said:
        click.echo("nothing is left of any run")
    if swept.failed:
        ctx.exit(HARNESS_FAILED)


# -- this machine


@main.command("doctor", short_help="What this machine has and lacks for real nodes.")
@click.pass_context
def doctor_command(ctx: click.Context) -> None:
    """Say what this machine has and lacks for the embedded default, and how each fault would be made here."""
    from harness import doctor  # noqa: PLC0415 - commands load only what they need: help and errors come at once

    found = doctor.checks()
    console().print(doctor.table(found))
    ctx.exit(0 if doctor.ready(found) else 1)


@main.command("modes", short_help="Each mode's timers, and how long it may take to recover.")
def modes_command() -> None:
    """Say for each mode which timers its profiles have, and how long they allow recovery from each fault to take, with the sum spelled out."""
    from harness.parameters import known  # noqa: PLC0415 - commands load only what they need: help and errors come at once

    among = known()
    out = console()
    for number, name in enumerate(sorted(among.modes)):
        if number:
            out.print()
        _print_mode(out, among.modes[name], sorted(among.faults))


def _print_mode(out: Console, mode: Any, faults: Sequence[str]) -> None:
    """Print one mode: a table of its timers, a column a profile, and below it the budgets, those of faults that are alike together."""
    from harness.protocols import Quorum  # noqa: PLC0415 - commands load only what they need: help and errors come at once
    from harness.units import spelled  # noqa: PLC0415 - same

    profiles = {profile: mode.from_timers(profile, {}) for profile in mode.TIMERS}
    out.print(Text(mode.name, style="bold"))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("timer", no_wrap=True)
    for profile in profiles:
        table.add_column(profile, no_wrap=True, justify="right")
    for timer in dict.fromkeys(timer for timers in mode.TIMERS.values() for timer in timers):
        table.add_row(timer, *(spelled(timers[timer]) if timer in timers else "" for timers in mode.TIMERS.values()))
    elections = [f"{spelled(made.election())}" if isinstance(made, Quorum) else "" for made in profiles.values()]
    if any(elections):
        table.add_section()
        table.add_row("an election, at most", *elections)
    out.print(table)
    alike: dict[tuple[str, ...], list[str]] = {}
    for fault in faults:
        sums = tuple(made.budget(fault).spelled() for made in profiles.values())
        alike.setdefault(sums, []).append(fault)
    for sums, names in alike.items():
        if len(set(sums)) == 1:
            out.print(Padding(f"after {', '.join(names)}: {sums[0]}", (0, 0, 0, 1), expand=False))
            continue
        out.print(Padding(f"after {', '.join(names)}", (0, 0, 0, 1), expand=False))
        grid = Table.grid(padding=(0, 1))
        grid.add_column(no_wrap=True, style="dim")
        grid.add_column(overflow="fold")
        for profile, words in zip(profiles, sums, strict=True):
            grid.add_row(profile, words)
        out.print(Padding(grid, (0, 0, 0, 3), expand=False))


@main.group("image")
def image_group() -> None:
    """Node images, and boxes for virtual machines: build, list, prune."""


@image_group.command("build")
@click.option("--box", "a_box", is_flag=True, help="Also the box, for virtual machines: the same with a kernel of its own.")
def image_build(*, a_box: bool) -> None:
    """Build the node image, if it is not in the cache. Takes about a minute; the box half a minute more."""
    from harness import image  # noqa: PLC0415 - commands load only what they need: help and errors come at once

    found = image.ensure(click.echo)
    click.echo(f"image {found.key}: {found.size / 1e6:.0f} MB in {found.path}")
    if a_box:
        from harness import box as boxes  # noqa: PLC0415 - same

        made = boxes.ensure(click.echo)
        click.echo(f"box {made.key}: {made.size / 1e6:.0f} MB in {made.path}")


@image_group.command("list")
def image_list() -> None:
    """List the node images and boxes in the cache."""
    from harness import box as boxes  # noqa: PLC0415 - commands load only what they need: help and errors come at once
    from harness import image  # noqa: PLC0415 - same

    every: list[tuple[str, image.Image | boxes.Box]] = [
        *(("image", each) for each in image.images()),
        *(("box", each) for each in boxes.boxes()),
    ]
    if not every:
        click.echo("no image is built yet; `whalefall image build` builds it, and the first run does so too")
        return
    table = _table("key", "kind", "MB", "built", "is", "path")
    for kind, each in every:
        built = datetime.fromtimestamp(each.built).astimezone().strftime("%Y-%m-%d %H:%M")
        table.add_row(each.key, kind, f"{each.size / 1e6:.0f}", built, "current" if each.current else "old", str(each.path))
    _print_whole(table)


@image_group.command("prune")
@click.option("--all", "everything", is_flag=True, help="Also the current ones, if nobody uses them.")
def image_prune(*, everything: bool) -> None:
    """Remove node images and boxes that nobody uses, the current ones left out."""
    from harness import box as boxes  # noqa: PLC0415 - commands load only what they need: help and errors come at once
    from harness import image  # noqa: PLC0415 - same

    gone: list[image.Image | boxes.Box] = [*image.prune(keep_current=not everything), *boxes.prune(keep_current=not everything)]
    for each in gone:
        click.echo(f"removed {each.key} ({each.size / 1e6:.0f} MB)")
    if not gone:
        click.echo("nothing to remove")


@main.command("schema")
def schema_command() -> None:
    """Print the JSON Schema of scenario files, for editors."""
    from harness.scenario import json_schema  # noqa: PLC0415 - commands load only what they need: help and errors come at once

    click.echo(json.dumps(json_schema(), indent=2, ensure_ascii=False))
