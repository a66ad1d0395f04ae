"""Modes: each one's timers, and the sums of what recovery may take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from rich import box
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from harness.cli.telling import console
from harness.core.plain import in_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.core.values import Traits
    from harness.reports.console import Console


@click.command("modes", short_help="Each mode's timers, and how long it may take to recover.")
def modes_command() -> None:
    """Say for each mode which timers its profiles have, and how long they allow recovery from each fault to take, with the sum spelled out."""
    from harness.registry import known  # noqa: PLC0415 - commands load only what they need: help and errors come at once

    among = known()
    out = console()
    for number, name in enumerate(sorted(among.modes)):
        if number:
            out.print()
        _print_mode(out, among.modes[name])


def _print_mode(out: Console, mode: Any) -> None:
    """Print one mode: a table of its timers, a column a profile, and below it the budgets, those of faults that are alike together."""
    from harness.core.protocols import Quorum  # noqa: PLC0415 - commands load only what they need: help and errors come at once
    from harness.core.units import spelled  # noqa: PLC0415 - same

    profiles = {profile: mode.from_timers(profile, {}) for profile in mode.TIMERS}
    out.print(Text(in_line(mode.name), style="bold"))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("timer", no_wrap=True)
    for profile in profiles:
        table.add_column(in_line(profile), no_wrap=True, justify="right")
    for timer in dict.fromkeys(timer for timers in mode.TIMERS.values() for timer in timers):
        table.add_row(in_line(timer), *(spelled(timers[timer]) if timer in timers else "" for timers in mode.TIMERS.values()))
    elections = [f"{spelled(made.election())}" if isinstance(made, Quorum) else "" for made in profiles.values()]
    if any(elections):
        table.add_section()
        table.add_row("an election, at most", *elections)
    out.print(table)
    alike: dict[tuple[str, ...], list[str]] = {}
    for fault, lost in _losses(next(iter(profiles.values()))).items():
        sums = tuple(made.budget(lost).spelled() for made in profiles.values())
        alike.setdefault(sums, []).append(fault)
    for sums, faults in alike.items():
        names = in_line(", ".join(faults))
        if len(set(sums)) == 1:
            out.print(Padding(f"after {names}: {in_line(sums[0])}", (0, 0, 0, 1), expand=False))
            continue
        out.print(Padding(f"after {names}", (0, 0, 0, 1), expand=False))
        grid = Table.grid(padding=(0, 1))
        grid.add_column(no_wrap=True, style="dim")
        grid.add_column(overflow="fold")
        for profile, words in zip(profiles, sums, strict=True):
            grid.add_row(in_line(profile), in_line(words))
        out.print(Padding(grid, (0, 0, 0, 3), expand=False))


def _losses(mode: Any) -> Mapping[str, Traits]:
    """Return what can be lost in a mode, by the faults that take it: those of daemons, each for every daemon that the mode has."""
    from harness.core import traits  # noqa: PLC0415 - commands load only what they need: help and errors come at once
    from harness.core.protocols import Services  # noqa: PLC0415 - same
    from harness.core.values import Traits  # noqa: PLC0415 - same
    from harness.faults.process import USUAL  # noqa: PLC0415 - same
    from harness.registry import known  # noqa: PLC0415 - same

    # Faults whose traits hang on their parameters are those of daemons.
    found = {name: lost for name, cls in sorted(known().faults.items()) if isinstance(lost := getattr(cls, "traits", None), Traits)}
    for name in USUAL if isinstance(mode, Services) else ():
        if mode.unit(name):
            lost = traits.daemon(name, in_place=False)
            found[traits.budget_key("process.kill", lost)] = lost
    for name in sorted(traits.RUNTIME):
        lost = traits.daemon(name, in_place=False)
        found[traits.budget_key("daemon.hang", lost)] = lost
    return found
