"""Mends and removes by hand what dead runs left, with `heal` and `sweep`."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.flags import RESULTS
from harness.cli.telling import BAD_INPUT, HARNESS_FAILED, say
from harness.core import pace
from harness.core.clock import SystemClock
from harness.core.errors import HarnessError
from harness.core.plain import below, in_line
from harness.runs.run import cluster_of, find, inside

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def _half_way(command: str) -> Iterator[None]:
    """Say of one that is interrupted, by Ctrl-C or by SIGTERM, that it can be run again."""
    try:
        yield
    except KeyboardInterrupt:
        say(f"stopped half-way: run `whalefall {command}` again to do the rest", err=True)
        raise


@click.command("heal", short_help="Mend what a dead run left broken.")
@click.argument("run", required=False)
@RESULTS
@click.pass_context
def heal_command(ctx: click.Context, run: str | None, results: Path) -> None:
    """Mend what the ledger of RUN (an id, the start of one, a path, or latest) shows as broken; without RUN, of every run.

    Meant for when the harness has died, and its reaper with it. Whatever cannot be mended, and every ledger that cannot be read, is named; the rest
    is mended all the same, and the command ends with an error. What a run that goes on has broken is left alone, which is no error, unless it is RUN.
    """
    from harness.registry import usable  # noqa: PLC0415 - commands load only what they need: help and errors come at once
    from harness.undo.leaving import still_done  # noqa: PLC0415 - same
    from harness.undo.ledger import read  # noqa: PLC0415 - same
    from harness.undo.minders import minder  # noqa: PLC0415 - same
    from harness.undo.reaper import heal  # noqa: PLC0415 - same

    folder = find(results, run) if run is not None else None  # of a name that is empty, as of a variable that nobody set, no run is meant
    with pace.measured(SystemClock()), _half_way("heal"):
        said = heal(folder.name, folder.parent, say) if folder else heal(None, results, say)
    if len(said) == len(usable().problems):  # plug-ins that cannot be used are told first
        say("nothing is broken")
    looked_at = [folder] if folder else inside(results)  # as `heal` does: also those whose plan is gone
    for each in looked_at:
        if _stands(each) and (still := still_done(each)):  # faults are mended, and actions are nobody's to undo
            say(in_line(f"{each.name}: {still}"))
    written = [read(folder / "ledger.jsonl") for folder in looked_at]
    minders = [minder(line) for each in written for line in each.lines]
    if any(each.bad for each in written) or any(each is None or each.halted for each in minders):
        ctx.exit(HARNESS_FAILED)
    if minders and folder:
        ctx.exit(BAD_INPUT)  # what was asked for cannot be done now


def _stands(folder: Path) -> bool:
    """Whether a run's cluster is there. What stands in a folder of results may be no run's, and of no name that one has."""
    from harness.host import state  # noqa: PLC0415 - commands load only what they need: help and errors come at once

    try:
        return state.run_folder(cluster_of(folder)).exists()
    except (HarnessError, OSError):
        return False


@click.command("sweep", short_help="Remove everything that dead runs left on this machine.")
@click.option("--kept", is_flag=True, help="Also remove clusters that were to be kept.")
@click.option("--forget", metavar="RUN", help="Forget a run whose hosts, of an inventory, are gone for good or were cleaned up by hand.")
@click.pass_context
def sweep_command(ctx: click.Context, *, kept: bool, forget: str | None) -> None:
    """Remove everything that dead runs left: machines, mounts, loop devices, namespaces; on hosts of an inventory faults, apps and claims.

    Runs that are under way are left alone. Whatever cannot be removed is named, with the reason; the command then ends with an error, and the next
    sweep tries again. With --forget nothing is swept: by your word that nothing of RUN is on its hosts, its record is removed and its ledger closed.
    Of a run that this machine has no record of, RUN is its folder of results.
    """
    from harness.registry import usable  # noqa: PLC0415 - commands load only what they need: help and errors come at once

    if forget is not None and kept:
        raise click.UsageError("--forget and --kept exclude each other: with --forget nothing is swept")
    if forget is not None:
        from harness.undo.reaper import forget as forgotten  # noqa: PLC0415 - same

        for each in forgotten(forget):
            say(below(each))
        return
    from harness.undo.reaper import sweep  # noqa: PLC0415 - same

    with pace.measured(SystemClock()), _half_way("sweep"):
        swept = sweep(kept=kept, say=lambda text: say(below(text)))
    if len(swept.said) == len(usable().problems):  # as above
        say("nothing is left of any run")
    if swept.failed:
        ctx.exit(HARNESS_FAILED)
