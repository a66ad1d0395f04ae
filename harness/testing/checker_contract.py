"""What every checker must do, as plain functions that any test runner can call; see `harness.testing.contracts` for how they are used.

`CHECKER` needs nothing but a checker. `JUDGED` needs two histories beside it: one that it must acquit, and one that it must not::

    @pytest.mark.parametrize("promise", CHECKER.values(), ids=CHECKER)
    def test_checker(promise):
        promise(ServesAgain("web", least=20, within=10.0))

    @pytest.mark.parametrize("promise", JUDGED.values(), ids=JUDGED)
    def test_judged(promise):
        promise(Judged(ServesAgain("web", least=20, within=10.0), good, bad))
"""

from __future__ import annotations

import copy
import functools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, is_dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from harness.core import parameters
from harness.core.errors import in_words
from harness.core.values import Finding, Verdict
from harness.history.chain import Breach
from harness.history.events import Entry, FaultStage, Fingerprinted, History, Note
from harness.testing import strange
from harness.testing.contracts import ContractBroken, require, same
from harness.testing.histories import chained, node_kill
from harness.testing.mutations import add, timed

if TYPE_CHECKING:
    from harness.history.interfaces import Checker

SEEDS = 25
"""Strange histories that a checker is shown."""
BEGINNINGS = 10
"""Beginnings of a good history that a checker is shown."""
REMARK = Note("a remark that says nothing")


@dataclass(frozen=True)
class Judged:
    """A checker with a history that it must hold and one that it must not: `otherwise` is what it must say of that."""

    checker: Checker
    good: History
    bad: History
    otherwise: Verdict = Verdict.BROKEN


def ask(checker: Checker, history: History, what: str) -> Finding:
    """Return what a checker says of a history, which is a finding as it should be. Raises `ContractBroken`."""
    try:
        finding = checker.check(history)
    except Exception as e:
        raise ContractBroken(f"promised: a finding of {what}; saw: {type(e).__name__}: {in_words(e)}") from e
    require(isinstance(finding, Finding), f"a Finding of {what}", type(finding).__name__)
    same(finding.checker, checker.name, f"whose finding of {what} it is")
    require(isinstance(finding.verdict, Verdict), f"a Verdict of {what}", repr(finding.verdict))
    require(isinstance(finding.summary, str) and bool(finding.summary.strip()), f"a sentence of {what}", repr(finding.summary))
    try:
        json.dumps(dict(finding.details), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as e:
        raise ContractBroken(f"promised: details of {what} that JSON can hold; saw: {in_words(e)} in {finding.details!r:.200}") from e
    there = {entry.index for entry in history.entries}
    missing = [index for index in finding.evidence if index not in there]
    require(not missing, f"evidence that stands in {what}", f"the indices {missing}")
    return finding


def silence_is_unknown(checker: Checker) -> None:
    """Where nobody saw anything, nothing is held and nothing is broken."""
    for what, history in strange.silent():
        same(ask(checker, history, what).verdict, Verdict.UNKNOWN, f"the verdict on {what}")


def any_history_is_judged(checker: Checker) -> None:
    """Whatever was recorded, in whatever order: a finding with a sentence, details that JSON can hold, and evidence that is there."""
    for seed in range(SEEDS):
        ask(checker, _strange(seed), f"the strange history {seed}")


def any_beginning_is_judged(checker: Checker) -> None:
    """A harness may be killed at any moment, and what is left is judged."""
    for what, history in _good_beginnings():
        ask(checker, history, what)


def the_same_is_judged_the_same(checker: Checker) -> None:
    """A history judged again, by the same checker or by an equal one: one finding. No clock, no chance, no memory."""
    again: Checker = replace(cast("Any", checker)) if is_dataclass(checker) else checker
    for what, history in (("a good run", _good_run()), ("a strange history", strange.history(SEEDS))):
        first = ask(checker, history, what)
        same(ask(checker, history, what), first, f"the finding of {what}, asked again")
        same(ask(again, History(history.entries), what), first, f"the finding of {what}, by an equal checker")


def nothing_is_changed(checker: Checker) -> None:
    """Neither the history nor the checker: others judge the same history after it."""
    before = copy.deepcopy(checker)
    for what, history in (("a good run", node_kill().history()), ("a strange history", strange.history(SEEDS + 1))):
        told = _told(history)
        ask(checker, history, what)
        require(_told(history) == told, f"{what} is the same after it was judged", "another one")
    if is_dataclass(checker):
        same(checker, before, "the checker after it has judged")


def parameters_are_written_down_and_read_again(checker: Checker) -> None:
    """A plan keeps them as JSON, and `judge` makes an equal checker of that."""
    own = cast("Any", checker)
    require(is_dataclass(checker) and own.__dataclass_params__.frozen, "a frozen dataclass", type(checker).__name__)
    try:
        again = parameters.build(type(checker), parameters.read(checker))
    except Exception as e:
        raise ContractBroken(f"promised: parameters that can be written down and read again; saw: {in_words(e)}") from e
    for name in parameters.names(type(checker)):
        same(getattr(again, name), getattr(own, name), f"the parameter {name} read again")


CHECKER: Mapping[str, Callable[[Checker], None]] = {
    each.__name__: each
    for each in (
        silence_is_unknown,
        any_history_is_judged,
        any_beginning_is_judged,
        the_same_is_judged_the_same,
        nothing_is_changed,
        parameters_are_written_down_and_read_again,
    )
}
"""What every checker must do."""


def the_good_is_held(judged: Judged) -> None:
    """What kept the promise is acquitted."""
    same(_verdict(judged.checker, judged.good, "the good history"), Verdict.HELD, "the verdict on the good history")


def the_bad_is_not(judged: Judged) -> None:
    """What broke it is convicted, by evidence that stands in the history."""
    finding = ask(judged.checker, judged.bad, "the bad history")
    same(finding.verdict, judged.otherwise, f"the verdict on the bad history ({finding.summary})")
    if finding.verdict is Verdict.BROKEN:
        require(bool(finding.evidence), "evidence of what is broken", f"none for {finding.summary!r}")


def a_beginning_is_unknown(judged: Judged) -> None:
    """A good run that was cut off at any moment is not held, for what it does not show may still have happened; nor is it broken by that."""
    for what, history in _beginnings(judged.good):
        same(_verdict(judged.checker, history, what), Verdict.UNKNOWN, f"the verdict on {what}")


def a_beginning_of_the_bad_is_not_held(judged: Judged) -> None:
    """What was cut off acquits nobody."""
    for what, history in _beginnings(judged.bad):
        require(_verdict(judged.checker, history, what) is not Verdict.HELD, f"no acquittal by {what}", "held")


def what_is_damaged_is_not_held(judged: Judged) -> None:
    """A file that was never closed, or that is not the one that was written, acquits nobody; what still stands of a good one convicts nobody."""
    good = judged.good
    for what, history in (
        ("a history that was never closed", History(good.entries, run=good.run, closed=False)),
        (
            "a history with a breach",
            History(good.entries, run=good.run, closed=False, breach=Breach(7, 6, 3.0, "it was changed")),
        ),
    ):
        same(_verdict(judged.checker, history, what), Verdict.UNKNOWN, f"the verdict on {what}")


def a_remark_changes_nothing(judged: Judged) -> None:
    """A note is for the timeline: neither evidence for anything nor against it."""
    for what, history in (("the good history", judged.good), ("the bad history", judged.bad)):
        finding = ask(judged.checker, history, what)
        noted = ask(judged.checker, _noted(history), f"{what} with a remark")
        same((noted.verdict, noted.summary), (finding.verdict, finding.summary), f"what is said of {what} with a remark in it")


def a_file_is_judged_as_it_was_told(judged: Judged) -> None:
    """What a recorder wrote is judged as what it was told: the same verdict and sentence, and the same evidence one line further down."""
    for what, history in (("the good history", judged.good), ("the bad history", judged.bad)):
        told = ask(judged.checker, history, what)
        read = ask(judged.checker, _read(history), f"{what}, read from a file")
        same((read.verdict, read.summary), (told.verdict, told.summary), f"what is said of {what}, read from a file")
        first = history.entries[0].index
        same(read.evidence, tuple(index - first + 1 for index in told.evidence), f"the evidence in {what}, read from a file")


JUDGED: Mapping[str, Callable[[Judged], None]] = {
    each.__name__: each
    for each in (
        the_good_is_held,
        the_bad_is_not,
        a_beginning_is_unknown,
        a_beginning_of_the_bad_is_not_held,
        what_is_damaged_is_not_held,
        a_remark_changes_nothing,
        a_file_is_judged_as_it_was_told,
    )
}
"""What every checker must do with a history that it must hold and one that it must not."""


@functools.lru_cache(maxsize=SEEDS)
def _strange(seed: int) -> History:
    """Return a strange history that every checker is shown: what one has worked out of it is there for the next."""
    return strange.history(seed)


@functools.cache
def _entries() -> Sequence[Entry]:
    return node_kill().history().entries


def _good_run() -> History:
    """Return a good run that nobody else has in hand."""
    return History(_entries())


def _told(history: History) -> tuple[list[Entry], list[bytes], list[int]]:
    """Return a history's entries, the lines of those that hold what can be changed, and the indices of what it finds by kind."""
    lines = [entry.body() for entry in history.entries if isinstance(entry.event, Fingerprinted | FaultStage)]
    kinds = {type(entry.event) for entry in history.entries}
    return list(history.entries), lines, sorted(entry.index for kind in kinds for entry, _ in history.each(kind))


@functools.lru_cache(maxsize=4)  # the same good run is often many checkers'
def _noted(history: History) -> History:
    """Return a history with remarks in it."""
    events = add(*((round(history.end * part / 4, 6), REMARK) for part in range(4)))(timed(history))
    return History(History.of_events(*events).entries, run=history.run, closed=history.closed)


@functools.lru_cache(maxsize=4)  # same
def _read(history: History) -> History:
    """Return a history as it is read from the file that a recorder would have written of it."""
    return History.read(chained(timed(history), history.run, closed=history.closed))


def _verdict(checker: Checker, history: History, what: str) -> Verdict:
    return ask(checker, history, what).verdict


@functools.cache
def _good_beginnings() -> list[tuple[str, History]]:
    return _beginnings(_good_run())


@functools.lru_cache(maxsize=4)  # same
def _beginnings(history: History) -> list[tuple[str, History]]:
    """Return beginnings of a history, each with what it is: from nothing to all but the end of the run."""
    ended = history.length
    lengths = [sum(entry.time < ended * part / BEGINNINGS for entry in history.entries) for part in range(BEGINNINGS + 1)]
    whole = sum(entry.time < ended for entry in history.entries)
    return [
        (f"the first {length} of {len(history.entries)} entries", History(history.entries[:length], run=history.run))
        for length in sorted({*lengths, whole})
    ]
