"""The verdict in words: the headline, what each checker found, how the work came back, and the whole report of a run."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich import box
from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from harness.plain import in_line, sentence
from harness.reports.reading import natural
from harness.reports.timeline import Timeline
from harness.values import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import RenderableType

    from harness.plan import Plan
    from harness.run import Run
    from harness.values import Json

STYLES = {Verdict.HELD: "bold green", Verdict.BROKEN: "bold red", Verdict.UNKNOWN: "bold yellow"}

STEPS = ("noticed", "placed", "running", "serving")
"""How lost work comes back, in order; see `harness.checkers.recovery`."""


@dataclass(frozen=True, slots=True)
class Conviction:
    """Whether a control came out as it should, and the sentence that says so."""

    right: bool
    text: str


def conviction(run: Run) -> Conviction | None:
    """Hold a run of a control against what the control asks for; None for a run of any other scenario."""
    control = run.plan.control
    if control is None:
        return None
    wanted = f"{control.because} must come out {control.verdict}" + (f" and say {control.match!r}" if control.match else "")
    finding = run.finding(control.because)
    if finding is None:
        wrong = f"NOT convicted: {wanted}, but it gave no finding"
    elif finding.verdict is not control.verdict:
        wrong = f"NOT convicted: {wanted}, but it came out {finding.verdict}"
    elif control.match not in finding.summary:
        wrong = f"NOT convicted for the right reason: {wanted}, but it said: {finding.summary}"
    elif run.verdict is not control.verdict:
        wrong = f"NOT as it should be: {wanted}, and it did, but the whole run came out {run.verdict}"
    else:
        how = f"convicted by {control.because}" if control.verdict is Verdict.BROKEN else f"{control.verdict} because of {control.because}"
        return Conviction(right=True, text=f"control as it should be: {how}")
    return Conviction(right=False, text=f"control {wrong}")


def title(plan: Plan) -> str:
    """Name a plan in one line: scenario, mode, provider, seed, and the profile of timers."""
    return in_line(f"{plan.scenario}, {plan.mode} on {plan.provider}, seed {plan.seed}, {plan.profile} timers")


def machines(run: Run) -> str:
    """Say in a line what the nodes were: driver, kernel, whose hosts they are, and whether they had served another run. Empty if nothing is known."""
    known = run.environment
    kernels = known.get("kernels")
    names = sorted({str(each) for each in kernels.values()}) if isinstance(kernels, dict) else []
    hosts = known.get("hosts")
    said = [
        *([str(known["driver"])] if "driver" in known else []),
        *([f"kernel {', '.join(names)}"] if names else []),
        *(
            [", ".join(f"{node} is {host}" for node, host in sorted(hosts.items(), key=lambda each: natural(each[0])))]
            if isinstance(hosts, dict)
            else []
        ),
        *([f"set back to how they were formed for {known['made_for']}"] if "made_for" in known else []),
    ]
    return f"nodes: {'; '.join(said)}" if said else ""


def headline(run: Run) -> Text:
    """Return the verdict and what it is about, in a few lines."""
    text = Text.assemble((str(run.verdict).upper(), STYLES[run.verdict]), f"  {title(run.plan)}, {run.history.end:.0f} s")
    for line in (
        machines(run),
        run.plan.because and f"differs by mode: {run.plan.because}",
        run.plan.slower and f"lengthened: {run.plan.slower.what} {run.plan.slower.seconds:g} s",
        run.plan.stretched and f"stretched: {run.plan.stretched}",
        str(run.environment.get("pace", "")),
    ):
        if line:
            text.append(f"\n{sentence(line)}", "dim")
    for line in slow(run):
        text.append(f"\n{sentence(line)}", "yellow")
    found = conviction(run)
    if found is not None:
        text.append("\n")
        text.append(sentence(found.text), "green" if found.right else "bold red")
    return text


def slow(run: Run) -> list[str]:
    """Return a line for each who stood still during the run, ourselves among them, and one for a machine with more to do than it could."""
    first = run.finding("assumptions")
    said = first.details.get("troubles") if first is not None else None
    return [str(line) for line in said] if isinstance(said, list) else []


def findings(run: Run) -> Table:
    """Return a table of what every checker found. Summaries are wrapped, never cut."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, expand=False, padding=(0, 1))
    table.add_column("checker", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    table.add_column("what it found", overflow="fold", ratio=1)
    for finding in run.findings:
        table.add_row(in_line(finding.checker), Text(str(finding.verdict), style=STYLES[finding.verdict]), Text(sentence(finding.summary)))
    if not run.findings:
        table.add_row("-", Text("unknown", style=STYLES[Verdict.UNKNOWN]), Text("no checker gave a finding"))
    return table


def recovery(run: Run) -> RenderableType | None:
    """Return how the work that faults took away came back, or None where none was taken away."""
    rows = {name: split for name, split in run.recovery.items() if isinstance(split, dict)}
    if not rows:
        return None
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("instance", overflow="fold")
    table.add_column("moved", overflow="fold")
    for step in STEPS:
        table.add_column(step, justify="right", no_wrap=True)
    table.add_column("budget", justify="right", no_wrap=True)
    table.add_column("", overflow="fold")
    sums: dict[str, str] = {}
    for name in sorted(rows, key=natural):
        split = rows[name]
        fault = _fault_name(run, split.get("fault"))
        budget = run.plan.budget_after(split.get("fault"), fault)
        seconds = budget.seconds if budget else math.inf
        if budget:
            sums[fault] = budget.spelled()
        table.add_row(
            in_line(name),
            in_line(f"{split.get('from') or '?'} to {split.get('to') or 'nowhere'}"),
            *(_seconds(split.get(step)) for step in STEPS),
            f"{seconds:.1f} s" if math.isfinite(seconds) else "none",
            _against(split, seconds),
        )
    notes = [Padding(Text(in_line(f"budget after {fault}: {words}"), style="dim"), (0, 0, 0, 1)) for fault, words in sums.items()]
    heading = Text("Recovery (seconds after each one was lost; running by the nodes themselves)", style="bold")
    return Group(heading, table, *notes)


def _fault_name(run: Run, number: Json) -> str:
    breaks = run.plan.breaks
    if isinstance(number, int) and 1 <= number <= len(breaks):
        return breaks[number - 1].fault.name
    return ""


def _seconds(value: Json) -> str:
    return f"{value:.2f}" if isinstance(value, int | float) else "never"


def _against(split: Mapping[str, Json], budget: float) -> Text:
    """Say how a recovery stands against its budget. One that never came is as long as it was watched, not longer."""
    running, watched = split.get("running"), split.get("watched")
    if not isinstance(running, int | float):
        seen = f" in {watched:.1f} s" if isinstance(watched, int | float) else ""
        return Text(f"not back{seen}", style="bold red")
    if not math.isfinite(budget):
        return Text("none promised", style="dim")
    return Text("within", style="green") if running <= budget else Text("over budget", style="bold red")


def report(run: Run) -> Group:
    """Return the whole report of a run: verdict, findings, recovery, timeline, the verdict once more, and where everything lies.

    A report is longer than many a screen: the end is what is left on it.
    """
    parts: list[RenderableType] = [headline(run), findings(run)]
    back = recovery(run)
    if back is not None:
        parts += [back, ""]
    parts += [
        Timeline(run.history, [node.name for node in run.plan.nodes]),
        "",
        headline(run),
        Text(in_line(f"kept in {run.folder}"), style="dim", overflow="fold"),
    ]
    return Group(*parts)
