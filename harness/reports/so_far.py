"""A run that still goes, as far as it is written: what happened, and no word of how it will come out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group
from rich.text import Text

from harness.core.figures import lasted
from harness.core.plain import in_line
from harness.history.events import PhaseBegan
from harness.reports.console import Hanging
from harness.reports.timeline import Timeline
from harness.reports.verdict_table import title

if TYPE_CHECKING:
    from harness.runs.run import Run


def so_far(run: Run, pid: int) -> Group:
    """Return what a run has come to, which process does it, and where it is kept; `run` has no findings yet."""
    phases = [event.phase for _, event in run.history.each(PhaseBegan)]
    now = f"{phases[-1]}, " if phases else ""
    head = Hanging(
        Text.assemble(("RUNNING", "bold cyan"), f"  {now}{lasted(run.history.length)} so far, not judged yet: {title(run.plan)}")
    )
    places = Text(f"process {pid} writes it, to {in_line(run.folder)}", style="dim", no_wrap=True, overflow="ignore")
    return Group(head, "", Timeline(run.history, [node.name for node in run.plan.nodes], voters=run.plan.expected.voters), "", head, places)
