"""The guide's claims beside what kept runs have shown of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.flags import RESULTS
from harness.cli.kept import named
from harness.cli.telling import say
from harness.core.errors import BadInput, HarnessError
from harness.core.plain import in_line
from harness.runs.run import folders, plan_of, verdict_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness.runs.run import Run


@click.command("claims", short_help="The guide's claims, and what kept runs have shown of each.")
@click.argument("runs", metavar="[RUN]...", nargs=-1)
@RESULTS
def claims_command(runs: Sequence[str], results: Path) -> None:
    """Print the guide's ten claims as Markdown, each with the verdict of every RUN about it and what was measured.

    RUN is an id, the start of one, a path, or latest. Without one all runs that are kept and judged are taken.
    """
    from harness.reports.ten_claims import markdown  # noqa: PLC0415 - commands load only what they need: help and errors come at once

    say(markdown(_judged(named(results, runs) or folders(results))).rstrip())


def _judged(kept: Sequence[Path]) -> Iterator[Run]:
    """Yield the runs in these folders that are about a claim, judged anew. One without a verdict is left out; what cannot be read is said."""
    from harness.reports.ten_claims import CLAIMS  # noqa: PLC0415 - commands load only what they need: help and errors come at once
    from harness.runs.judge import load  # noqa: PLC0415 - same

    for folder in kept:
        try:
            scenario = str(plan_of(folder).get("scenario"))
            if any(claim.about(scenario) for claim in CLAIMS) and verdict_of(folder):
                yield load(folder)
        except (HarnessError, OSError) as error:
            why = "; ".join(map(str, error.problems)) if isinstance(error, BadInput) else error
            say(in_line(f"{folder.name} cannot be read: {why}"), err=True)
