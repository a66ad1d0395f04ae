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
    from collections.abc import Mapping, Sequence

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
    from harness.core.figures import given  # noqa: PLC0415 - same
    from harness.core.protocols import Quorum, told_as  # noqa: PLC0415 - commands load only what they need: help and errors come at once

    profiles = {profile: mode.from_timers(profile, {}) for profile in mode.TIMERS}
    out.print(Text(in_line(told_as(profiles["default"])), style="bold"))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("timer", no_wrap=True)
    for profile in profiles:
        table.add_column(in_line(profile), no_wrap=True, justify="right")
    for timer in dict.fromkeys(timer for timers in mode.TIMERS.values() for timer in timers):
        table.add_row(in_line(timer), *(given(timers[timer]) if timer in timers else "" for timers in mode.TIMERS.values()))
    elections = [f"{given(made.election())}" if isinstance(made, Quorum) else "" for made in profiles.values()]
    if any(elections):
        table.add_section()
        table.add_row("an election, at most", *elections)
    if table.row_count:
        out.print(table)
    alike: dict[tuple[str, ...], list[str]] = {}
    for loss, sums in _sums(list(profiles.values())).items():
        alike.setdefault(sums, []).append(loss)
    for sums, faults in alike.items():
        names = in_line(", ".join(each.replace(" of no member", " of a node that is no member") for each in faults))
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


def _sums(profiles: Sequence[Any]) -> Mapping[str, tuple[str, ...]]:
    """Return the budgets of a mode, a profile each, by what is lost and to which fault; by who is lost as well where that makes a difference."""
    from harness.core.traits import budget_key  # noqa: PLC0415 - commands load only what they need: help and errors come at once
    from harness.core.values import Loss, Who  # noqa: PLC0415 - same
    from harness.registry import kinds  # noqa: PLC0415 - same

    found: dict[str, tuple[str, ...]] = {}
    for name, kind in kinds(profiles[0]):
        asked = {who: tuple(made.budget(kind, who).spelled() for made in profiles) for who in Who}
        if kind.loses is Loss.NOTHING or len(set(asked.values())) == 1:
            found[budget_key(name, kind)] = asked[Who.LEADER]
        else:
            found |= {budget_key(name, kind, who): sums for who, sums in asked.items()}
    return found
