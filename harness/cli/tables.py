"""Tables of the command: how they look, and how verdicts look in them."""

from __future__ import annotations

from rich import box
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from harness.cli.telling import console
from harness.core.plain import in_line
from harness.reports.console import Console


def table_of(*columns: str) -> Table:
    """Return an empty table with these columns; numbers stand to the right."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    for column in columns:
        table.add_column(column, no_wrap=True, justify="right" if column in {"seed", "seconds", "took", "MB"} else "left")
    return table


def print_whole(table: Table) -> None:
    """Print a table as wide as it needs to be: ids and paths are for copying, so rather a wide line than a cut one."""
    Console(width=max(console().width, width_of(table))).print(table)


def width_of(table: Table) -> int:
    """Return how many columns a table needs, with nothing in it cut or broken."""
    return Measurement.get(Console(width=1000), console().options.update(width=1000), table).maximum


def add(table: Table, *cells: object) -> None:
    """Add a row: each cell as it reads, on one line, or a text in its colour."""
    table.add_row(*(each if isinstance(each, Text) else in_line(each) for each in cells))


def styled(verdict: str) -> Text:
    """Return a verdict, or what stands in its place, in its colour."""
    styles = {
        "held": "bold green",
        "broken": "bold red",
        "unknown": "bold yellow",
        "failed": "bold red",
        "stopped": "bold yellow",
        "running": "bold cyan",
    }
    return Text(in_line(verdict), style=styles.get(verdict, "dim"))
