"""What an engineer concludes from runs side by side, each sentence with the runs that it rests on. Pure.

Only what the runs show: of one run it is said that it was one, and modes are set against each other only where every run of the one differs from
every run of the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.core.figures import given, lasted
from harness.core.units import counted
from harness.core.values import Verdict
from harness.reports.run_figures import Budgeted, Came, RunFigures
from harness.reports.scorecard import Conclusion

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness.reports.scorecard import Card, ModeRow, Spread, Table

RUNNING = "running"
"""The step of a recovery by which modes are set against each other: that work runs again, by the nodes themselves."""


def conclusions(card: Card) -> list[Conclusion]:
    """Return what the runs of a card show, scenario by scenario."""
    found = [each for table in card.tables for each in _of_table(table)]
    found += [each for each in [_overloaded(card)] if each is not None]
    if card.unread:
        found.append(
            Conclusion(f"{counted(len(card.unread), 'folder')} cannot be read, and count{'s' * (len(card.unread) == 1)} for nothing")
        )
    return found


def _of_table(table: Table) -> Iterator[Conclusion]:
    several = {(row.provider, row.profile) for row in table.rows if row.runs}
    for row in table.rows:
        name = called(row, several)
        if row.because:
            yield Conclusion(f"{table.scenario} is not for {name}: {row.because}")
            continue
        yield from _verdicts(table, row, name)
        yield from _recoveries(table, row, name)
        yield from _copies(table, row, name)
        if len({run.design for run in row.judged}) > 1:
            text = (
                f"the runs of {table.scenario} in {name} are not of one plan: what they do, or promise, differs, and their figures with it"
            )
            yield Conclusion(text, _ids(row.judged))
    yield from _compared(table, several)


def called(row: ModeRow, among: set[tuple[str, str]]) -> str:
    """Name a row: its mode, and its timers or its provider where rows of the same table differ in that."""
    profile = f" with {row.profile} timers" if row.profile and len({each for _, each in among}) > 1 else ""
    provider = f" on {row.provider}" if row.provider and len({each for each, _ in among}) > 1 else ""
    return f"{row.mode}{profile}{provider}"


# -- what became of the runs


def _verdicts(table: Table, row: ModeRow, name: str) -> Iterator[Conclusion]:
    every = row.runs
    right = [run for run in every if (run.right if table.control else run.word == Verdict.HELD)]
    if right:
        said = (
            f"the control {table.scenario} came out as it must in {name},"
            if table.control
            else f"{name} kept every promise of {table.scenario}"
        )
        back = _back(row)
        also = f"; lost work ran again {spread_in_words(row.step(RUNNING))} after the loss" if back and _ids(back) == _ids(right) else ""
        yield Conclusion(f"{said} in {_of(right, every)}{also}", _ids(right))
    for run in every:
        if not run.judged:
            why = f": {run.cause}" if run.cause else ""
            yield Conclusion(f"a run of {table.scenario} in {name} has no verdict ({run.word}){why}", (run.run,) if run.run else ())
        elif table.control and not run.right:
            yield Conclusion(f"the control {table.scenario} did not come out as it must in {name}: {run.cause or run.word}", (run.run,))
        elif not table.control and run.word == Verdict.BROKEN:
            yield Conclusion(f"{name} broke a promise of {table.scenario}: {run.cause}", (run.run,))
        elif not table.control and run.word == Verdict.UNKNOWN:
            yield Conclusion(f"whether {name} kept the promises of {table.scenario} cannot be said of a run: {run.cause}", (run.run,))


# -- how work came back


def _back(row: ModeRow) -> list[RunFigures]:
    """Return the runs in which all that was lost ran again."""
    return [run for run in row.judged if run.lost > run.stayed and _came(run) is Came.MEASURED]


def _recoveries(table: Table, row: ModeRow, name: str) -> Iterator[Conclusion]:
    lost = [run for run in row.judged if run.lost > run.stayed]
    back = _back(row)
    told = [run for run in row.runs if (run.right if table.control else run.word == Verdict.HELD)]
    if back and _ids(back) != _ids(told):
        how = spread_in_words(row.step(RUNNING))
        yield Conclusion(
            f"in {name} the work that {table.scenario} took away ran again in {_of(back, lost)}, {how} after the loss", _ids(back)
        )
    never = [run for run in lost if _came(run) is Came.NEVER]
    if never:
        text = f"in {name} some work that {table.scenario} took away did not run again while it was watched, in {_of(never, lost)}"
        yield Conclusion(text, _ids(never))
    unknown = [run for run in lost if _came(run) is Came.UNKNOWN]
    if unknown:
        text = f"when the work that {table.scenario} took away ran again in {name} is not known, in {_of(unknown, lost)}"
        yield Conclusion(text, _ids(unknown))
    over = [run for run in row.judged if run.budget is Budgeted.EXCEEDED]
    if over:
        allowed = f" ({' to '.join(dict.fromkeys(map(given, row.allowed)))} allowed)" if row.allowed else ""
        yield Conclusion(f"{name} exceeded its budget in {table.scenario} {_times(len(over))}{allowed}", _ids(over))


def _came(run: RunFigures) -> Came:
    step = run.steps.get(RUNNING)
    return Came.UNKNOWN if step is None else step.came


def spread_in_words(spread: Spread) -> str:
    """Say from when to when something was: ``12.1–19.3 s``, or ``17.0 s`` where that reads the same."""
    if spread.least is None or spread.most is None:
        return "never"
    least, most = lasted(spread.least), lasted(spread.most)
    return most if least == most else f"{least.removesuffix(' s')}–{most}"


# -- what ran twice, and what the API told otherwise


def _copies(table: Table, row: ModeRow, name: str) -> Iterator[Conclusion]:
    for what, text in (
        ("violations", "a node ran two instances of one app at once in {scenario} in {name}, for up to {longest}"),
        ("double_run", "an instance ran in two places at once in {scenario} in {name}, for up to {longest}"),
        (
            "disagreements",
            "the API of {name} contradicted the nodes in {scenario} for longer than any loss took to be noticed, for up to {longest}",
        ),
    ):
        seen = [run for run in row.judged if getattr(run, what).count and (what != "disagreements" or _lasting(run))]
        if seen:
            longest = lasted(max(getattr(run, what).longest or 0.0 for run in seen))
            yield Conclusion(f"{text.format(name=name, scenario=table.scenario, longest=longest)}, in {_of(seen, row.judged)}", _ids(seen))


def _lasting(run: RunFigures) -> bool:
    """Whether the API contradicted the nodes for longer than it took to notice a loss: until then it cannot but do so."""
    noticed = run.steps.get("noticed")
    return (run.disagreements.longest or 0.0) > ((noticed.seconds if noticed is not None else None) or 0.0)


# -- modes against each other


def _compared(table: Table, several: set[tuple[str, str]]) -> Iterator[Conclusion]:
    """Say of two modes which was back sooner, where it was in each of its runs, and all of them came back with the same profile and provider."""
    whole = [row for row in table.rows if _all_back(row)]
    for number, one in enumerate(whole):
        for other in whole[number + 1 :]:
            if one.mode == other.mode or (one.provider, one.profile) != (other.provider, other.profile):
                continue
            sooner, later = sorted((one, other), key=lambda row: row.step(RUNNING).least or 0.0)
            fast, slow = sooner.step(RUNNING), later.step(RUNNING)
            if (fast.most or 0.0) < (slow.least or 0.0) and spread_in_words(fast) != spread_in_words(slow):
                text = (
                    f"in every run of {table.scenario} lost work ran again sooner in {called(sooner, several)} "
                    f"({spread_in_words(fast)}, {counted(len(sooner.runs), 'run')}) than in {called(later, several)} "
                    f"({spread_in_words(slow)}, {counted(len(later.runs), 'run')})"
                    f"{', on a machine with too much to do' if sooner.overloaded or later.overloaded else ''}"
                )
                yield Conclusion(text, _ids([*sooner.judged, *later.judged]))


def _all_back(row: ModeRow) -> bool:
    lost = [run for run in row.runs if run.lost > run.stayed]
    sure = all(_came(run) is Came.MEASURED and run.word != Verdict.UNKNOWN for run in lost)
    return bool(lost) and len(lost) == len(row.runs) and sure


# -- the machine


def _overloaded(card: Card) -> Conclusion | None:
    found = [run for run in card.runs if run.overloaded]
    if not found:
        return None
    count = f"{len(found)} of {counted(len(card.runs), 'run')}"
    text = f"the machine stood still or had too much to do in {count}, marked *: their times are no measure of the cluster's own"
    return Conclusion(text, _ids(found))


# -- words


def _ids(runs: Sequence[RunFigures]) -> tuple[str, ...]:
    return tuple(run.run for run in runs if run.run)


def _of(some: Sequence[RunFigures], every: Sequence[RunFigures]) -> str:
    if len(some) == len(every):
        return {1: "its one run", 2: "both runs"}.get(len(every), f"all {len(every)} runs")
    return f"{len(some)} of {len(every)} runs"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
