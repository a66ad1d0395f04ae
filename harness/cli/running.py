"""Runs: each scenario's, one after the other, shown while it lasts and judged; or only rehearsed."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.text import Text

from harness.cli.flags import RESULTS, Overrides, choices
from harness.cli.planning import plans, tell_left_out
from harness.cli.stopping import Stop
from harness.cli.tables import add, styled, table_of
from harness.cli.telling import BAD_INPUT, HARNESS_FAILED, console, say, tell, worst
from harness.core.errors import HarnessError
from harness.core.plain import as_path, command, in_line
from harness.core.values import Verdict
from harness.reports.tested import recorded
from harness.runs.run import EXIT
from harness.undo.leaving import kept, left, on_hosts_of_others, still_broken, still_held

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness.conductor.standing import Standing
    from harness.history.recorder import Recorder
    from harness.plan import Plan
    from harness.scenario import NotForMode

INVENTORY = "WHALEFALL_INVENTORY"
"""Environment variable that names an inventory; a child of ours finds it there, too."""
PROVIDER = "inventory"
"""The provider whose hosts stand in one."""


@click.command("run")
@click.argument("files", metavar="FILE...", type=click.Path(path_type=Path), nargs=-1, required=True)
@choices
@RESULTS
@click.option("--keep", is_flag=True, help="Leave the cluster standing; `whalefall sweep --kept` removes it.")
@click.option(
    "--reuse",
    is_flag=True,
    help="Make a cluster once, and reset its machines before each further run that needs the same one (virtual machines only).",
)
@click.option("--logs", is_flag=True, help="Keep the nodes' logs whatever the verdict; by default only if it is not held.")
@click.option("--plain", is_flag=True, help="Print plain lines, even on a terminal.")
@click.option(
    "--dry-run", is_flag=True, help="Check everything, including the hosts of an inventory, and say what a run would do; change nothing."
)
@click.option(
    "--inventory",
    metavar="FILE[:GROUP]",
    expose_value=False,
    callback=lambda ctx, _, value: use_inventory(ctx, value),
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
        raise click.UsageError("--keep and --reuse exclude each other: a cluster that is reset is not kept as a run left it")
    made, left_out = plans(files, Overrides(mode, provider, seed, profile))
    tell_left_out(ctx, made, left_out)
    if made and INVENTORY in ctx.meta and not any(plan.provider == PROVIDER for plan in made):
        used = ", ".join(sorted({plan.provider for plan in made}))
        raise click.UsageError(f"--inventory names hosts for --provider {PROVIDER}, and nodes would come from {used}")
    if dry_run:
        ctx.exit(_rehearse(made))
    stop = Stop(keep=keep)
    statuses = []
    with stop.caught(), _standing(made, reuse=reuse) as standing:
        for plan in made:
            statuses.append(_run(plan, results, stop, keep=keep, standing=standing, logs=logs, plain=plain))
            if stop.signal is not None:
                if rest := made[len(statuses) :]:
                    say(f"not begun: {', '.join(in_line(each.scenario) for each in rest)}", err=True)
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
    from harness.conductor.standing import Standing  # noqa: PLC0415 - same
    from harness.core.protocols import Snapshots  # noqa: PLC0415 - commands load only what they need: help and errors come at once
    from harness.registry import known  # noqa: PLC0415 - same

    for name in sorted({plan.provider for plan in made}):
        if not isinstance(known().providers[name](), Snapshots):
            say(f"--reuse changes nothing for {name}: its machines cannot be reset, so each run has a cluster of its own", err=True)

    standing = Standing()
    try:
        yield standing
    finally:
        standing.close()


def use_inventory(ctx: click.Context, given: str | None) -> None:
    """Let the provider `inventory` find the inventory where it looks for it, for as long as the command lasts."""
    if given is None:
        return
    ctx.meta[INVENTORY] = given
    before = os.environ.get(INVENTORY)
    os.environ[INVENTORY] = given
    ctx.call_on_close(lambda: os.environ.pop(INVENTORY, None) if before is None else os.environ.update({INVENTORY: before}))


def _rehearse(made: Sequence[Plan]) -> int:
    """Say of each plan what its run would do, or why it would not begin. Returns the worst exit status."""
    from harness.conductor.rehearsal import rehearse  # noqa: PLC0415 - commands load only what they need: help and errors come at once

    statuses = []
    for number, plan in enumerate(made):
        try:
            say(("\n" if number else "") + rehearse(plan))
            statuses.append(0)
        except HarnessError as error:
            statuses.append(tell(error))
    return worst(statuses)


def _run(plan: Plan, results: Path, stop: Stop, *, keep: bool, standing: Standing | None, logs: bool, plain: bool) -> int:
    """Do one run, show it, and return its exit status. What goes wrong is told here: the next file is run all the same."""
    from harness.conductor import Options, Stopped, conduct  # noqa: PLC0415 - commands load only what they need: help and errors come at once
    from harness.reports.terminal import view  # noqa: PLC0415 - same
    from harness.reports.verdict_table import opened, report  # noqa: PLC0415 - same

    out = console()
    out.print(opened(plan), soft_wrap=True)
    folder: list[Path] = []
    stop.theirs = on_hosts_of_others(plan)
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
        say(f"stopped: {left(folder[-1], plan, keep=keep) if folder else 'nothing was begun'}", err=True)
        if folder:
            say(_where(folder[-1]), err=True)
        return HARNESS_FAILED
    except Exception as error:  # noqa: BLE001 - told with its kind; the next scenario is run all the same
        status = tell(error, folder[-1] if folder else None)
        if folder and (broken := still_broken(folder[-1])):
            say(broken, err=True)
        if folder and stop.theirs and not keep and (held := still_held(folder[-1])):
            say(held, err=True)
        if folder:
            say(_where(folder[-1]), err=True)
        return status
    finally:
        stop.view = stop.options = None
    out.print()
    out.print(report(run))
    out.print(Text(f"again: {_again(plan)}", style="dim"), soft_wrap=True)
    if keep:
        out.print(Text(kept(plan, run.folder)), soft_wrap=True)
    return EXIT[run.verdict]


def _where(folder: Path) -> str:
    """Say where what was recorded of a run that ended early is."""
    return recorded(folder).lstrip() if folder.is_dir() else f"nothing of it is kept: {in_line(folder)} was removed"


def _again(plan: Plan) -> str:
    """Return the command that does the same run again, as a shell takes it, from the folder that this one was started in."""
    chosen = {"mode": plan.mode, "provider": plan.provider, "profile": plan.profile, "seed": str(plan.seed)}
    if plan.provider == PROVIDER:
        chosen["inventory"] = os.environ.get(INVENTORY, "")
    options = [word for name, value in chosen.items() for word in (f"--{name}", value)]
    return command("whalefall", "run", as_path(plan.file), *options)


def _print_summary(made: Sequence[Plan], statuses: Sequence[int], left_out: Sequence[NotForMode]) -> None:
    words = {EXIT[verdict]: str(verdict) for verdict in Verdict} | {HARNESS_FAILED: "failed", BAD_INPUT: "bad input"}
    table = table_of("scenario", "came out")
    for plan, status in zip(made, statuses, strict=True):
        add(table, plan.scenario, styled(words[status]))
    for each in left_out:
        add(table, each.scenario, styled(f"not for {each.mode}"))
    console().print("", table)
