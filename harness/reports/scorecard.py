"""Runs side by side: for each scenario a row for each mode, over all of its repeats; as JSON, and back to words elsewhere. Pure.

Every run counts somewhere: one that did not come to its end, or that nobody can judge, is counted by its word and never left out.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from harness.core.figures import DIGITS
from harness.core.naming import natural
from harness.core.values import Verdict
from harness.reports.run_figures import Budgeted, Came, Cases, RunFigures
from harness.reports.verdict_table import SPLIT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from harness.core.values import Json

FORMAT = "whalefall-scorecard"
VERSION = 1
"""Of the JSON (docs/scorecard.md): one higher whenever a key changes its meaning, or goes; a new key changes nothing."""
WORDS = (*map(str, Verdict), "stopped", "failed", "killed", "running", "not judged", "not run", "cannot be read")
"""What becomes of runs, in the order in which it is told."""


@dataclass(frozen=True, slots=True)
class Spread:
    """One figure over the runs that have it, in seconds; the others are counted by why they have none."""

    measured: int = 0
    least: float | None = None
    middle: float | None = None
    most: float | None = None
    never: int = 0  # it never came to that while it was watched; of a gap: it had not ended
    unknown: int = 0
    at_most: int = 0  # of those measured: nobody looked when it came, so it is the latest possible

    @classmethod
    def over(cls, values: Sequence[float], *, never: int = 0, unknown: int = 0, at_most: int = 0) -> Spread:
        """Sum up what was measured."""
        if not values:
            return cls(never=never, unknown=unknown)
        return cls(len(values), min(values), median(values), max(values), never, unknown, at_most)


@dataclass(frozen=True, slots=True)
class ModeRow:
    """All runs of one scenario in one mode: with one provider and one profile of timers."""

    mode: str
    provider: str
    profile: str
    runs: tuple[RunFigures, ...]
    because: str = ""  # why the scenario is not for the mode; then there are no runs

    @property
    def judged(self) -> list[RunFigures]:
        """The runs that have a verdict, whose figures count."""
        return [each for each in self.runs if each.judged]

    @property
    def words(self) -> dict[str, int]:
        """How many runs came out how."""
        counted = Counter(each.word for each in self.runs)
        return {word: counted[word] for word in sorted(counted, key=lambda each: WORDS.index(each) if each in WORDS else len(WORDS))}

    def step(self, step: str) -> Spread:
        """Return one step of the recoveries over the runs in which anything was lost."""
        found = [each.steps[step] for each in self.judged if step in each.steps]
        measured = [each for each in found if each.came is Came.MEASURED and each.seconds is not None]
        return Spread.over(
            [each.seconds for each in measured if each.seconds is not None],
            never=sum(each.came is Came.NEVER for each in found),
            unknown=sum(each.came is Came.UNKNOWN for each in found),
            at_most=sum(each.at_most for each in measured),
        )

    @property
    def gap(self) -> Spread:
        """The longest time without a good answer of any instance, of each run; those that had not ended count with what was seen of them."""
        lengths = [each.gap for each in self.judged if each.gap is not None]
        return Spread.over(lengths, never=sum(each.gap_open for each in self.judged), unknown=len(self.judged) - len(lengths))

    def longest(self, what: str) -> Spread:
        """Return the longest case of each run (`RunFigures.violations`, `double_run`, `disagreements`); zero where there was none."""
        cases = self.cases(what)
        lengths = [each.longest or 0.0 for each in cases if each.count is not None]
        return Spread.over(lengths, unknown=len(cases) - len(lengths))

    def cases(self, what: str) -> list[Cases]:
        """Return the same as each judged run has it."""
        found: list[Cases] = [getattr(each, what) for each in self.judged if what != "violations" or each.ruled]
        return found

    @property
    def budgets(self) -> dict[Budgeted, int]:
        """How many runs kept within what their recoveries were allowed, and how many did not."""
        counted = Counter(each.budget for each in self.judged)
        return {kept: counted[kept] for kept in Budgeted if counted[kept]}

    @property
    def allowed(self) -> tuple[float, ...]:
        """The least and the most that any recovery was allowed, in seconds; nothing where nothing was promised."""
        every = [limit for each in self.judged for limit in each.allowed]
        return (min(every), max(every)) if every else ()

    @property
    def overloaded(self) -> list[RunFigures]:
        """The runs whose machine stood still, or had too much to do."""
        return [each for each in self.runs if each.overloaded]


@dataclass(frozen=True, slots=True)
class Table:
    """All rows of one scenario."""

    scenario: str
    rows: tuple[ModeRow, ...]
    control: bool = False  # whether it is a control, which must be convicted


@dataclass(frozen=True, slots=True)
class Card:
    """All tables, in the order of their scenarios, and what is wrong with what was to be read."""

    tables: tuple[Table, ...]
    unread: tuple[str, ...] = ()  # folders of runs of which not even the plan can be read, and why

    @property
    def runs(self) -> list[RunFigures]:
        """All runs."""
        return [run for table in self.tables for row in table.rows for run in row.runs]


@dataclass(frozen=True, slots=True)
class Left:
    """A scenario that is not for a mode, and why."""

    scenario: str
    mode: str
    because: str


@dataclass(frozen=True, slots=True)
class Conclusion:
    """A sentence, and the ids of the runs that it rests on."""

    text: str
    runs: tuple[str, ...] = ()


def card_of(runs: Iterable[RunFigures], left: Iterable[Left] = (), unread: Sequence[str] = (), order: Sequence[str] = ()) -> Card:
    """Put runs side by side; scenarios stand in this `order`, others behind them by name."""
    tables: dict[str, dict[tuple[str, str, str], list[RunFigures]]] = {}
    reasons: dict[str, dict[str, str]] = {}
    for run in runs:
        tables.setdefault(run.scenario, {}).setdefault((run.mode, run.provider, run.profile), []).append(run)
    for each in left:
        tables.setdefault(each.scenario, {})
        reasons.setdefault(each.scenario, {})[each.mode] = each.because
    places = {name: number for number, name in enumerate(dict.fromkeys(order))}
    names = sorted(tables, key=lambda each: (places.get(each, len(places)), natural(each)))
    return Card(tuple(_table(name, tables[name], reasons.get(name, {})) for name in names), tuple(unread))


def _table(scenario: str, rows: Mapping[tuple[str, str, str], Sequence[RunFigures]], reasons: Mapping[str, str]) -> Table:
    made = [ModeRow(*key, tuple(sorted(found, key=_in_order))) for key, found in rows.items()]
    made += [ModeRow(mode, "", "", (), because) for mode, because in reasons.items() if not any(key[0] == mode for key in rows)]
    made.sort(key=lambda each: (natural(each.mode), each.provider, each.profile))
    return Table(scenario, tuple(made), any(run.right is not None for found in rows.values() for run in found))


def _in_order(run: RunFigures) -> tuple[int, str]:
    return (-1 if run.seed is None else run.seed, run.run)


def json_of(card: Card, conclusions: Sequence[Conclusion]) -> dict[str, Json]:
    """Return a card as JSON, as docs/scorecard.md has it."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "scenarios": [
            {"scenario": table.scenario, "control": table.control, "modes": [_row_json(row) for row in table.rows]} for table in card.tables
        ],
        "conclusions": [{"text": each.text, "runs": [*each.runs]} for each in conclusions],
        "unread": [*card.unread],
    }


def _row_json(row: ModeRow) -> Json:
    if row.because:
        return {"mode": row.mode, "not_for": row.because}
    return {
        "mode": row.mode,
        "provider": row.provider,
        "profile": row.profile,
        "verdicts": dict(row.words),
        "recovery": {step: _spread_json(row.step(step)) for step in SPLIT},
        "longest_gap": _spread_json(row.gap, never="open"),
        "violations": _cases_json(row, "violations"),
        "double_run": _cases_json(row, "double_run"),
        "disagreements": _cases_json(row, "disagreements"),
        "budget": {"allowed": [*map(_neat, row.allowed)], "runs": {str(kept): count for kept, count in row.budgets.items()}},
        "runs": [_run_json(each) for each in row.runs],
    }


def _spread_json(spread: Spread, never: str = "never") -> dict[str, Json]:
    return {
        "measured": spread.measured,
        "min": _neat(spread.least),
        "median": _neat(spread.middle),
        "max": _neat(spread.most),
        never: spread.never,
        "unknown": spread.unknown,
        "at_most": spread.at_most,
    }


def _cases_json(row: ModeRow, what: str) -> Json:
    cases = row.cases(what)
    known = [each.count for each in cases if each.count is not None]
    longest = row.longest(what)
    return {
        "runs": sum(count > 0 for count in known),
        "times": sum(known),
        "unknown": len(cases) - len(known),
        "min": _neat(longest.least),
        "median": _neat(longest.middle),
        "max": _neat(longest.most),
    }


def _run_json(run: RunFigures) -> Json:
    body = dataclasses.asdict(run)
    for key in ("scenario", "mode", "provider", "profile"):
        del body[key]
    body["verdict"] = body.pop("word")
    body["as_it_must"] = body.pop("right")
    rounded: Json = _rounded(body)
    return rounded


def _rounded(value: Json) -> Json:
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(each) for each in value]
    return _neat(value) if isinstance(value, float) else value


def _neat(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, DIGITS)
