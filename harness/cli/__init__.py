"""The `whalefall` command.

Exit status: 0 held, 1 broken, 2 bad scenario or usage, 3 unknown, 4 the harness failed; 130 (143) when stopped by SIGINT (SIGTERM). A traceback
is shown only with ``WHALEFALL_DEBUG=1``.
"""

from __future__ import annotations

import click

from harness import __version__
from harness.cli.budgets import modes_command
from harness.cli.claiming import claims_command
from harness.cli.flags import Overrides
from harness.cli.kept import judge_command, list_command, show_command
from harness.cli.machines import doctor_command, image_group
from harness.cli.mending import heal_command, sweep_command
from harness.cli.planning import plan_command, schema_command
from harness.cli.preflight import preflight_command
from harness.cli.reporting import report_command
from harness.cli.running import run_command
from harness.cli.scoring import scorecard_command
from harness.cli.telling import HARNESS_FAILED, LOG_WIDTH, CommandGroup, worst

__all__ = ["HARNESS_FAILED", "Overrides", "main", "worst"]


@click.group(cls=CommandGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": LOG_WIDTH})
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
      130, 143  it was stopped, by Ctrl-C or by SIGTERM
    """  # noqa: D301 - click knows by a real backspace that these lines are to stay lines


for _command in (
    claims_command,
    doctor_command,
    heal_command,
    image_group,
    judge_command,
    list_command,
    modes_command,
    plan_command,
    preflight_command,
    report_command,
    run_command,
    schema_command,
    scorecard_command,
    show_command,
    sweep_command,
):
    main.add_command(_command)
