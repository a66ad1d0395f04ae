"""Every report keeps its promises, and one that does not is convicted: the bodies are in `harness.testing.report_contract`.

Whatever in `harness.reports` makes something of a run or of a plan has a row in `ROWS`; a new one without a row fails.
"""

from __future__ import annotations

import importlib
import inspect
import io
import itertools
import pkgutil
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from harness import registry, reports
from harness.core.plain import in_line, plain, sentence
from harness.history.events import Entry, Fingerprinted, NodeSeen
from harness.registry import fitness
from harness.reports import card_views, conclusions, prose, remaining, scorecard, ten_claims, terminal, tested, verdict_table
from harness.reports.board import Board
from harness.reports.console import Console
from harness.reports.junit import STARTED
from harness.reports.meanwhile import meanwhile
from harness.reports.narrative import Narrative
from harness.reports.run_figures import figures_of
from harness.reports.so_far import so_far
from harness.reports.terminal import LiveView, PlainView
from harness.runs import judge
from harness.runs.run import Run
from harness.testing import report_contract
from harness.testing.contracts import ContractBroken
from harness.testing.fake_clock import FakeClock
from harness.testing.report_contract import FORGED, REPORT, Shown, hostile, told
from tests.contract.convicting import missed

ROOT = Path(__file__).parents[2]
MADE_OF = {"Run", "Plan"}
"""What a report is made of."""


def _drawn(picture: Any, width: int = 100, *, encoding: str = "utf-8") -> str:
    out = io.BytesIO()
    with io.TextIOWrapper(out, encoding=encoding, errors="strict", write_through=True) as file:
        Console(file=file, width=width).print(picture)
        return out.getvalue().decode(encoding)


def _evidence(run: Run) -> str:
    out = io.StringIO()
    for finding in run.findings:
        Console(file=out, width=100).print(verdict_table.evidence(run, finding), soft_wrap=True)  # as `show --evidence` does
    return out.getvalue()


def _judged_by(run: Run) -> str:
    return "\n".join(in_line(f"{name} {verdict_table.judged_by(run, name)}") for name in run.recovery)


def _card(run: Run) -> str:
    card = scorecard.card_of([figures_of(run, judge.figures(run))])
    return _drawn(card_views.shown(card, conclusions.conclusions(card)), 200)


def _joined(pairs: list[tuple[str, object]]) -> str:
    return "\n".join(in_line(f"{name}={value}") for name, value in pairs)


class _Heard:
    """A recorder that tells its listeners what a run's history holds, at its own times."""

    def __init__(self, run: Run, clock: FakeClock) -> None:
        self.path, self.origin = Path("results/a-run/history.jsonl"), 0.0
        self._run, self._clock = run, clock

    def listen(self, listener: Callable[[Entry], None]) -> None:
        for entry in self._run.history.entries:
            self._clock.advance(max(0.0, entry.time - self._clock.now()))
            listener(entry)


def _plain(run: Run) -> str:
    out, clock = io.StringIO(), FakeClock()
    with PlainView(Console(file=out, width=100), clock, run.plan) as view:
        recorder: Any = _Heard(run, clock)
        view.listen(recorder)
    return out.getvalue()


def _chosen(run: Run) -> str:
    out, clock = io.StringIO(), FakeClock()
    with terminal.view(run.plan, Console(file=out, width=100), plain=True, clock=clock) as view:
        recorder: Any = _Heard(run, clock)
        view.listen(recorder)
    return out.getvalue()


def _read(run: Run) -> Narrative:
    reading = Narrative(keep=False)
    for entry in run.history.entries:
        reading.feed(entry)
    return reading


def _live(run: Run) -> str:
    out, clock = io.StringIO(), FakeClock()
    with LiveView(run.plan, Console(file=out, width=100, force_terminal=False), clock) as view:
        recorder: Any = _Heard(run, clock)
        view.listen(recorder)
    return out.getvalue()


def _board(run: Run) -> str:
    clock = FakeClock()
    board = Board(run.plan, clock.now)
    _Heard(run, clock).listen(board.hear)
    return _drawn(board)


ROWS: dict[str, Shown] = {
    # the function's name, with more where it is shown in several ways
    "verdict_table.asked": Shown(lambda run: str([verdict_table.asked(run.plan, step, "web@1", {"web"}) for step in verdict_table.SPLIT])),
    "verdict_table.report": Shown(lambda run: _drawn(verdict_table.report(run)), says=True),
    "verdict_table.report, narrow": Shown(lambda run: _drawn(verdict_table.report(run), 20)),
    "verdict_table.report, after its first line": Shown(lambda run: _drawn(verdict_table.report(run, opened=True))),
    "verdict_table.headline": Shown(lambda run: _drawn(verdict_table.headline(run)), says=True),
    "verdict_table.opening": Shown(lambda run: in_line(verdict_table.opening(run)), says=True),
    "verdict_table.findings": Shown(lambda run: _drawn(verdict_table.findings(run))),
    "verdict_table.recovery": Shown(lambda run: _drawn(verdict_table.recovery(run) or "")),
    "verdict_table.places": Shown(lambda run: _drawn(verdict_table.places(run))),
    "verdict_table.evidence": Shown(_evidence),
    "verdict_table.conviction": Shown(lambda run: in_line(getattr(verdict_table.conviction(run), "text", ""))),
    "verdict_table.machines": Shown(lambda run: _drawn(verdict_table.machines(run))),
    "verdict_table.about": Shown(lambda run: _drawn(verdict_table.about(run))),
    "verdict_table.slow": Shown(lambda run: _drawn("\n".join(verdict_table.slow(run)))),
    "verdict_table.shown_by": Shown(verdict_table.shown_by),
    "verdict_table.title": Shown(lambda run: verdict_table.title(run.plan)),
    "verdict_table.opened": Shown(lambda run: _drawn(verdict_table.opened(run.plan))),
    "verdict_table.came_out": Shown(lambda run: in_line(" ".join(verdict_table.came_out(run))), says=True),
    "verdict_table.judged_by": Shown(_judged_by),
    "verdict_table.called_apps": Shown(lambda run: in_line(", ".join(sorted(verdict_table.called_apps(run.plan))))),
    "run_figures.figures_of": Shown(_card),
    "ten_claims.markdown": Shown(lambda run: ten_claims.markdown([run])),
    "tested.text": Shown(lambda run: tested.text(run, opened=False), says=True),
    "tested.text, after its first line": Shown(tested.text),
    "tested.wrong": Shown(tested.wrong),
    "tested.could_not_tell": Shown(lambda run: str(tested.could_not_tell(run))),
    "verdict_table.acquitted": Shown(lambda run: str(verdict_table.acquitted(run))),
    "verdict_table.overloaded": Shown(lambda run: str(verdict_table.overloaded(run))),
    "tested.properties": Shown(lambda run: _joined(tested.properties(run))),
    "tested.planned_properties": Shown(
        lambda run: _joined(
            [pair for pair in tested.planned_properties(run.plan, "a.yaml") if pair[0] != STARTED]
        )  # of the test, not of the run
    ),
    "tested.again": Shown(lambda run: tested.again("a.yaml", run.plan)),
    "tested.begun": Shown(lambda run: in_line(tested.begun(run.plan, Path("results/a-run/history.jsonl")))),
    "so_far.so_far": Shown(lambda run: _drawn(so_far(run, 7))),
    "meanwhile.meanwhile": Shown(lambda run: "\n".join(sentence(meanwhile(run, finding)) for finding in run.findings)),
    "prose.describe": Shown(lambda run: _drawn(prose.describe(run.plan))),
    "remaining.at_most": Shown(lambda run: remaining.at_most(run.plan)),
    "remaining.seconds_left": Shown(lambda run: f"{remaining.seconds_left(run.plan, _read(run), run.history.end)}"),
    "terminal.view": Shown(_chosen),
    "terminal.PlainView": Shown(_plain),
    "terminal.LiveView": Shown(_live),
    "board.Board": Shown(_board),
}


@pytest.mark.parametrize("promise", REPORT.values(), ids=REPORT)
@pytest.mark.parametrize("name", registry.known().reports)
def test_report_with_a_name(name: str, promise: Callable[[Shown], None]) -> None:
    """Every one that is registered, without further registration; those for people say the verdict as `show` does."""
    promise(Shown.of(registry.known().reports[name](), says=name == "text"))


@pytest.mark.parametrize("promise", REPORT.values(), ids=REPORT)
@pytest.mark.parametrize("name", ROWS)
def test_report(name: str, promise: Callable[[Shown], None]) -> None:
    """Every report keeps this promise."""
    promise(ROWS[name])


@pytest.mark.parametrize("promise", REPORT.values(), ids=REPORT)
def test_the_report_of_the_how_to_keeps_the_contract(promise: Callable[[Shown], None]) -> None:
    """By the text of CONTRIBUTING, word for word."""
    section = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("## Add a report\n")[2].partition("\n## ")[0]
    (block,) = re.findall(r"^```python\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    given: dict[str, Any] = {"in_line": in_line}
    exec(f"from __future__ import annotations\n{block}", given)  # noqa: S102 - ours
    assert [*fitness.lacks("reports", "shortest", given["Shortest"])] == []
    promise(Shown.of(given["Shortest"]()))


def _makes_of(value: Any) -> bool:
    """Say whether a function takes a run or a plan, or several, or a class in what it is made of or in a method that others call."""
    own = (
        [each for name, each in vars(value).items() if inspect.isfunction(each) and not name.startswith("_")]
        if inspect.isclass(value)
        else []
    )
    given = itertools.chain.from_iterable(inspect.signature(each).parameters.values() for each in (value, *own))
    return any(MADE_OF.intersection(re.findall(r"\w+", str(each.annotation))) for each in given)


def _made(module: ModuleType) -> Iterator[str]:
    """Yield the names of what in a module of reports makes something of a run, or of a plan."""
    for name, value in vars(module).items():
        if not name.startswith("_") and callable(value) and getattr(value, "__module__", "") == module.__name__ and _makes_of(value):
            yield f"{module.__name__.rpartition('.')[2]}.{name}"


def test_every_report_is_under_contract() -> None:
    """One that is new has a row."""
    modules = [importlib.import_module(f"harness.reports.{found.name}") for found in pkgutil.iter_modules(reports.__path__)]
    assert {row.partition(",")[0] for row in ROWS} >= {*itertools.chain.from_iterable(map(_made, modules))}


def test_a_report_of_whatever_shape_is_seen() -> None:
    """A function, of one run or of several; a class that is made of one, and one that is handed it later."""
    code = (
        "def page(run: Run): ...\ndef pages(title: str, runs: list[Run]): ...\nclass Page:\n    def __init__(self, plan: Plan): ...\n"
        "class Book:\n    def show(self, run: Run): ...\n    def _look(self, run: Run): ...\n"
        "class Line:\n    def _look(self, run: Run): ...\ndef words(text: str): ...\ndef _own(run: Run): ..."
    )
    module = ModuleType("harness.reports.extra")
    exec(f"from __future__ import annotations\n{code}", module.__dict__)  # noqa: S102 - ours
    assert [*_made(module)] == ["extra.page", "extra.pages", "extra.Page", "extra.Book"]


# -- the contract itself: it is shown reports that it must convict


_serial = itertools.count(1)


def _well(run: Run) -> str:
    """Say the verdict as the house does, in one line."""
    return in_line(verdict_table.opening(run))


def _unfound(run: Run) -> str:
    if not run.findings:
        raise IndexError("no finding")
    return _well(run)


def _unforged(run: Run) -> str:
    if FORGED in run.plan.scenario:
        raise ValueError("no scenario of ours")
    return _well(run)


def _one(runs: Sequence[Run]) -> str:
    if not runs:
        return ""
    (run,) = runs
    return _well(run)


def _emptied(run: Run) -> str:
    said = _well(run)
    for finding in run.findings:
        details: Any = finding.details
        details["shown"] = True
    return said


def _forgotten(run: Run) -> str:
    said = _well(run)
    for entry in run.history.entries:
        if isinstance(entry.event, Fingerprinted):
            marks: Any = entry.event.marks
            marks["shown"] = True
    return said


HOWS: dict[str, tuple[Callable[[Run], Any] | Shown, str, str]] = {
    # what is wrong → how, which promise convicts it, and by what words
    "raises without a finding": (_unfound, "any_run_is_shown", "a run without a finding; saw: IndexError"),
    "raises at nothing": (lambda run: str(run.history.entries[0]), "any_run_is_shown", "an empty run; saw: IndexError"),
    "no text": (lambda run: run.plan, "any_run_is_shown", "text is shown of"),
    "raises at no run": (
        Shown(_well, several=lambda runs: _well(runs[0])),
        "any_number_of_runs_is_shown",
        "something is shown of no run; saw: IndexError",
    ),
    "raises at many": (
        Shown(_well, several=_one),
        "any_number_of_runs_is_shown",
        "something is shown of all runs at once; saw: ValueError",
    ),
    "as it came": (lambda run: run.plan.why, "nothing_in_it_is_obeyed", "obeyed by a terminal"),
    "on lines of its own": (lambda run: plain(run.plan.why), "nothing_in_it_is_obeyed", "made by what others wrote"),
    "raises at what others wrote": (_unforged, "nothing_in_it_is_obeyed", "with hostile text in it; saw: ValueError"),
    "checks as they came": (lambda run: "".join(map(str, run.plan.checks)), "nothing_in_it_is_obeyed", "obeyed by a terminal"),
    "steps as they came": (
        lambda run: "".join(getattr(step, "name", "") for step in run.plan.steps),
        "nothing_in_it_is_obeyed",
        "obeyed by a terminal",
    ),
    "by the clock": (lambda run: f"{_well(run)} {next(_serial)}", "the_same_run_is_shown_the_same", "once more"),
    "writes on findings": (_emptied, "no_run_is_changed", "is the same after it was shown"),
    "writes on the history": (_forgotten, "no_run_is_changed", "is the same after it was shown"),
    "says nothing": (lambda _: "a run", "the_verdict_is_told_as_it_is", "a good run is told to be HELD"),
    "says that all is well": (lambda run: f"HELD, or {_well(run)}", "the_verdict_is_told_as_it_is", "is not told to be HELD"),
    "says not why": (lambda run: _well(run).split()[0], "the_verdict_is_told_as_it_is", "because of availability"),
    "takes what failed for unknown": (lambda run: str(run.verdict).upper(), "the_verdict_is_told_as_it_is", "told to be"),
}


def _convict(how: str) -> ContractBroken:
    show, name, promised = HOWS[how]
    try:
        with pytest.raises(ContractBroken, match=promised) as raised:
            REPORT[name](show if isinstance(show, Shown) else Shown(show, says=True))
    finally:
        if how.startswith("writes on"):  # what they were shown is in everybody's hands
            told.cache_clear()
    return raised.value


@pytest.mark.parametrize("how", HOWS)
def test_a_report_that_misbehaves_is_convicted(how: str) -> None:
    """By the promise that it breaks, for what is wrong with it."""
    _convict(how)


def test_every_line_of_the_contract_convicts_somebody() -> None:
    """Not every function alone: one that asks for three things needs three doubles."""
    assert missed(report_contract, map(_convict, HOWS)) == []


@pytest.mark.parametrize("promise", REPORT.values(), ids=REPORT)
def test_a_report_that_behaves_is_acquitted(promise: Callable[[Shown], None]) -> None:
    """What convicts the others is what is wrong with them."""
    promise(Shown(_well, says=True, several=lambda runs: "\n".join(map(_well, runs))))


def test_every_promise_convicts_somebody() -> None:
    """A promise without a double that breaks it may be one that nothing breaks."""
    assert {name for _, name, _ in HOWS.values()} == {*REPORT}


def test_runs_that_others_wrote_are_hostile_all_over() -> None:
    """Each of them: in its plan, its history and its findings."""
    for run in hostile().values():
        assert FORGED in run.plan.scenario
        assert all(FORGED in finding.summary for finding in run.findings)
        assert all(FORGED in event.node for _, event in run.history.each(NodeSeen))
        assert FORGED in str(run.plan.promises)


def test_a_plan_is_hostile_wherever_a_reader_takes_it_so() -> None:
    """Also in what a step and a check say: what a fault is called, its parameters, what is mended, what is looked at."""
    for run in hostile().values():
        steps: Any = run.plan.steps
        named, killed, healed, _ = steps
        assert FORGED in named.name
        assert FORGED in killed.fault.process
        assert FORGED in healed.name
        (check,) = run.plan.checks
        assert FORGED in check.subject
        assert FORGED in check.name
