"""A scorecard as people read it: tables for a terminal, or a paragraph a row where they have no room, and Markdown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich import box
from rich.console import Group
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from harness.core.figures import given, lasted
from harness.core.plain import as_markdown, in_line, sentence
from harness.reports.conclusions import called
from harness.reports.console import Hanging, Whole
from harness.reports.run_figures import Budgeted, Came
from harness.reports.scorecard import Table as Rows
from harness.reports.verdict_table import SPLIT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

    from harness.reports.scorecard import Card, Conclusion, ModeRow, Spread

COLUMNS = ("mode", "runs", *SPLIT, "longest gap", "rule broken", "ran twice", "API against nodes", "budget")
LEGEND = (
    "Seconds, as min · median · max over the runs; noticed to serving are after the loss, of the slowest instance of each run. "
    "never: not while it was watched; ?: nobody can tell; ≤: nobody looked when it came; -: nothing to measure; "
    "*: on a machine that stood still or had too much to do."
)
_NOTHING = "-"


def cells(row: ModeRow, name: str) -> list[str]:
    """Return a row in words, as `COLUMNS`."""
    copies = [_cases(row, what) for what in ("double_run", "disagreements")]
    return [name, _runs(row), *(_step(row, step) for step in SPLIT), _gap(row), _violations(row), *copies, _budget(row)]


def _runs(row: ModeRow) -> str:
    said = ", ".join(f"{count} {word}" for word, count in row.words.items())
    judged = [run for run in row.runs if run.right is not None]
    if judged:
        right = sum(bool(run.right) for run in judged)
        said += ", as it must" if right == len(row.runs) else f", {right} as it must"
    return f"{said} ({len(row.overloaded)}*)" if row.overloaded else said


def _step(row: ModeRow, step: str) -> str:
    asked = any(run.steps[step].came not in {Came.NOT_ASKED, Came.NOTHING_LOST} for run in row.judged if step in run.steps)
    return spread(row.step(step)) if asked else _NOTHING


def spread(figures: Spread, never: str = "never", unknown: str = "?") -> str:
    """Return figures over runs in words: what differs as ``min · median · max``, and how many have none."""
    parts = []
    if figures.least is not None and figures.middle is not None and figures.most is not None:
        shown = [_short(each) for each in (figures.least, figures.middle, figures.most)]
        said = shown[0] if len(set(shown)) == 1 else " · ".join(shown)
        parts.append(f"≤ {said}" if figures.at_most else said)
    parts += [f"{figures.never} {never}"] if figures.never else []
    parts += [f"{figures.unknown} {unknown}"] if figures.unknown else []
    return ", ".join(parts) or _NOTHING


def _short(seconds: float) -> str:
    return "0" if seconds == 0.0 else lasted(seconds).removesuffix(" s")


def _gap(row: ModeRow) -> str:
    figures = row.gap
    return spread(figures, never="still open") if figures.measured else _NOTHING


def _violations(row: ModeRow) -> str:
    cases = row.cases("violations")
    if not cases:
        return "no rule" if row.judged else _NOTHING
    return _cases(row, "violations")


def _cases(row: ModeRow, what: str) -> str:
    cases = row.cases(what)
    known = [each for each in cases if each.count is not None]
    count = sum(each.count or 0 for each in known)
    unknown = f"{len(cases) - len(known)} ?" if len(known) < len(cases) else ""
    if not count:
        return ", ".join(each for each in ("none" if known else "", unknown) if each) or _NOTHING
    more = "+" if any(each.more for each in known) else ""
    return f"{spread(row.longest(what))} ({count}{more} time{'' if count == 1 and not more else 's'})"


def _budget(row: ModeRow) -> str:
    said = ", ".join(f"{count} {kept}" for kept, count in row.budgets.items() if kept not in {Budgeted.NO_LIMIT, Budgeted.NOTHING_LOST})
    if not said:
        return "none promised" if any(run.lost for run in row.judged) else _NOTHING
    limits = [given(each).removesuffix(" s") for each in row.allowed]
    return f"{'–'.join(dict.fromkeys(limits))}: {said}" if limits else said


def _named(table: Rows) -> Iterator[tuple[ModeRow, str]]:
    among = {(row.provider, row.profile) for row in table.rows if row.runs}
    for row in table.rows:
        yield row, called(row, among)


# -- a terminal


def shown(card: Card, said: Sequence[Conclusion]) -> Group:
    """Return a card for a terminal."""
    parts: list[RenderableType] = []
    for table in card.tables:
        parts += [Text(in_line(table.scenario) + (" (control)" if table.control else ""), style="bold"), _Rows(table)]
    parts += [Whole(Text(LEGEND, style="dim")), ""]
    parts += [Whole(Text(f"cannot be read: {in_line(each)}", style="yellow")) for each in card.unread]
    if said:
        parts.append(Text("What this shows", style="bold"))
        parts += [Whole(_conclusion(each)) for each in said]
    return Group(*parts)


def _conclusion(each: Conclusion) -> Text:
    text = Text(f"* {sentence(each.text)}")
    if each.runs:
        text.append(f": {in_line(', '.join(each.runs))}", "dim")
    return text


@dataclass(frozen=True, slots=True)
class _Rows:
    """One scenario's table; where it has no room, a paragraph a mode. A mode that it is not for is a line below."""

    table: Rows

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the one or the other."""
        rows = [(row, cells(row, name)) for row, name in _named(self.table)]
        made = self._made([found for row, found in rows if not row.because])
        if made.row_count and Measurement.get(console, options.update(width=1000), made).maximum <= options.max_width:
            yield made
        else:
            for row, found in rows:
                if not row.because:
                    rest = "; ".join(f"{column} {cell}" for column, cell in zip(COLUMNS[1:], found[1:], strict=True) if cell != _NOTHING)
                    yield Padding(Hanging(Text.assemble((in_line(found[0]), "bold"), f"  {in_line(rest)}")), (0, 0, 0, 1))
        for row, found in rows:
            if row.because:
                text = Text.assemble((in_line(found[0]), "bold"), f"  not for this mode: {sentence(row.because)}", style="dim")
                yield Padding(Hanging(text), (0, 0, 0, 1))
        yield ""

    def _made(self, rows: Sequence[Sequence[str]]) -> Table:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
        for column in COLUMNS:
            table.add_column(column, no_wrap=True)
        for row in rows:
            table.add_row(*(Text(in_line(cell)) for cell in row))
        return table


# -- Markdown


def markdown(card: Card, said: Sequence[Conclusion]) -> str:
    """Return a card as Markdown, in which what others wrote is text and nothing else."""
    lines: list[str] = []
    for table in card.tables:
        lines += [f"### {as_markdown(table.scenario)}{' (control)' if table.control else ''}", ""]
        lines += ["| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
        for row, name in _named(table):
            found = [name, f"not for this mode: {row.because}", *([""] * (len(COLUMNS) - 2))] if row.because else cells(row, name)
            lines.append("| " + " | ".join(map(as_markdown, found)) + " |")
        lines.append("")
    lines += [as_markdown(LEGEND), ""]
    lines += [f"* cannot be read: {as_markdown(each)}" for each in card.unread]
    lines += ["", "#### What this shows", "", *(_item(each) for each in said)] if said else []
    return "\n".join(lines).rstrip() + "\n"


def _item(each: Conclusion) -> str:
    return f"* {as_markdown(each.text)}" + (f": {', '.join(map(as_markdown, each.runs))}" if each.runs else "")
