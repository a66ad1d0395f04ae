"""Every checker keeps its promises, and a checker that does not is convicted: the bodies are in `harness.testing.checker_contract`.

A checker that is registered is put under `CHECKER` with its defaults, and with the parameters of its rows in `ROWS`; one without a row fails.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, ParamSpec, cast

import pytest

from harness import registry
from harness.checkers import (
    Assumptions,
    Availability,
    Bystanders,
    CameInTime,
    Checks,
    Clean,
    Conflicts,
    Durable,
    Elections,
    LoadServed,
    Manual,
    Probed,
    Prompt,
    QuorumSurvived,
    Rescheduled,
    Scaled,
    Settled,
    Single,
    Synced,
    Writes,
    troubles,
)
from harness.checkers.expected import Expected
from harness.core import parameters
from harness.core.syncs import DiskFigures, SyncTimes
from harness.core.values import Call, Effect, Endurance, Finding, Outcome, Patience, Phase, Verdict
from harness.history.events import Answered, Checked, Fingerprinted, History, NodeSeen, Note, Wholeness, parse
from harness.history.interfaces import Checker
from harness.testing import checker_contract, strange
from harness.testing.checker_contract import CHECKER, JUDGED, Judged
from harness.testing.contracts import ContractBroken
from harness.testing.histories import container, node_kill
from harness.testing.mutations import Mutation, between, change, of, timed
from tests.contract.convicting import missed

FOLDER = Path(__file__).parents[2] / "fixtures" / "histories"
P = ParamSpec("P")


def later(make: Callable[P, History]) -> Callable[P, Callable[[], History]]:
    """Have a history made once it is judged, and not when it is named: every worker reads this module, and few judge much of it."""
    once = cast("Callable[P, History]", functools.cache(make))
    return lambda *args, **named: functools.partial(once, *args, **named)


GOOD = functools.cache(lambda: node_kill().history())
"""The good run."""


@later
def _recorded(name: str) -> History:
    return History.load(FOLDER / f"{name}.jsonl")


@later
def _but(*mutations: Mutation) -> History:
    events = timed(GOOD())
    for mutation in mutations:
        events = mutation(events)
    return History.of_events(*events)


def _failing(event: Any) -> Any:
    return replace(event, outcome=Outcome.FAIL)


@later
def _scaled(ran: float) -> History:
    """Return the good run, with web scaled to three at 45 s, of which the third runs from some moment on."""
    story = node_kill().endures(recovery=16.5).action(45.0, 45.2, "app.scale", effect=Effect({"web": 3}), was={"web": 2})
    return story.node(ran, "n1", "web@1", "web@3").history()


@later
def _replayed(begun: float | None) -> History:
    """Return the good run, in which web@2 runs again at 42 s, with a playbook that was played again from some moment on, for 3 s."""
    story = node_kill().endures(recovery=16.5)
    if begun is not None:
        story.action(begun, begun + 3.0, "ansible.replay", effect=Effect(disturbs=True))
    return story.history()


@later
def _asked(during: Outcome) -> History:
    """Return the good run, with a question that is asked twice a second, and answered so while n2 is off."""
    story = node_kill().endures(recovery=16.5)
    for number in range(132):
        begun = 2.0 + number / 2
        story.call(begun, "probe", Call("ask", "queue"), during if 10.0 < begun < 53.0 else Outcome.OK, by="n1")
    return story.history()


@later
def _told(during: tuple[int, int], status: int | None = None) -> History:
    """Return the good run, with a command that tells once a second how its calls went: so while n2 is off, and well at all other times."""
    story = node_kill().endures(recovery=16.5)
    return story.load(2.0, 62.0, "load", lambda time: during if 10.0 < time < 53.0 else (10, 0), status=status).history()


@later
def _stored(last: str | None) -> History:
    """Return the good run, with one more app that keeps values: the first of them is read so at the end."""
    story = node_kill().endures(recovery=16.5)
    for number in range(120):
        story.call(2.0 + number / 2, "redis", Call("write", f"cache@1/{number}", f"v{number}"), by="n1")
    for number in range(120):
        value = last if number == 0 else f"v{number}"
        story.call(69.2 + number / 1000, "redis", Call("read", f"cache@1/{number}"), value=value, by="n1", took=0.0005)
    return story.history()


@later
def _measured(p99: float) -> History:
    """Return the good run, with a disk that was measured while n2 was off."""
    figures = SyncTimes(500, p99 / 2, p99, p99)
    return node_kill().endures(recovery=16.5).action(20.0, 23.0, "disk.measure", detail=DiskFigures(figures, figures).words("n1")).history()


@dataclass(frozen=True)
class Row:
    """What a checker is judged by, made when it is."""

    checker: Checker
    good: Callable[[], History]
    bad: Callable[[], History]
    otherwise: Verdict = Verdict.BROKEN

    def judged(self) -> Judged:
        """Make it."""
        return Judged(self.checker, self.good(), self.bad(), self.otherwise)


NAMED = Expected(named=(("loss", (1,)),))
DOUBLE = _but(
    change(
        between(45.0, 48.0, of(NodeSeen, node="n3")),
        lambda e: replace(cast("NodeSeen", e), containers=tuple(container(each, "n3") for each in ("web@1", "web@2"))),
    )
)
REFUSED = change(between(20.0, 40.0, of(Answered, workload="http")), _failing)
SERVED = change(of(Answered, workload="http"), lambda e: replace(cast("Answered", e), outcome=Outcome.OK))
GONE = change(between(30.0, 33.0, of(NodeSeen, node="n1")), lambda e: replace(cast("NodeSeen", e), containers=()))

ROWS: dict[str, Row] = {
    # what each must hold, and what it must not; `assumptions` convicts nobody: it says whether anybody can be judged
    "assumptions": Row(Assumptions(), GOOD, _recorded("harness-killed"), Verdict.UNKNOWN),
    "availability": Row(Availability("web", 0.5, 40.0), GOOD, _but(change(between(10.0, 69.0, of(Answered, workload="http")), _failing))),
    "availability, during a fault": Row(
        Availability("web", 0.1, 35.0, NAMED, ("loss",)), GOOD, _but(change(between(12.0, 52.0, of(Answered, workload="http")), _failing))
    ),
    "availability, a share": Row(
        Availability("web", 0.5, 60.0), GOOD, _but(change(between(12.0, 52.0, of(Answered, workload="http")), _failing))
    ),
    "availability, outside of a fault": Row(
        Availability("web", 0.9, 5.0, NAMED, (), ("loss",)),
        _but(REFUSED),
        _but(change(between(59.0, 69.0, of(Answered, workload="http")), _failing)),
    ),
    "awaited": Row(
        CameInTime(),
        node_kill().endures(recovery=16.5).awaited(12.0, 42.0, "recovered", "web").history,
        node_kill().endures(recovery=16.5).awaited(12.0, 36.0, "recovered", "web", Outcome.FAIL, missing=("web@2 runs nowhere",)).history,
    ),
    "manual": Row(Manual("web", 10.0), _replayed(39.0), _replayed(None)),
    "manual, too late": Row(Manual("web", 10.0), _replayed(39.0), _replayed(15.0)),
    "bystanders": Row(Bystanders(), GOOD, _but(GONE)),
    "bystanders, during a fault": Row(Bystanders(None, NAMED, ("loss",)), GOOD, _but(GONE)),
    "checks": Row(Checks(), GOOD, _but(change(of(Checked, node="n2"), _failing))),
    "clean": Row(
        Clean(),
        GOOD,
        _but(change(of(Fingerprinted, node="n3", when="after"), lambda e: replace(cast("Fingerprinted", e), marks={"nft_tables": ["x"]}))),
    ),
    "command": Row(LoadServed("load", 0.9, 5.0), _told((10, 0)), _told((0, 10))),
    "command, how it ends": Row(LoadServed("load", status=0), _told((10, 0), status=0), _told((10, 0), status=1)),
    "conflicts": Row(Conflicts(), _recorded("node-kill"), _recorded("conflicts-missing")),
    "conflicts, a double run": Row(Conflicts(), GOOD, DOUBLE),
    "conflicts, during a fault": Row(Conflicts(expected=NAMED, during=("loss",)), GOOD, DOUBLE),
    "elections": Row(Elections(1), _recorded("partition-heal"), _recorded("real-partition-minority")),
    "elections, how long": Row(Elections(longest=5.0), _recorded("partition-heal"), _recorded("partition-majority")),
    "elections, during a fault": Row(Elections(0, 5.0, expected=NAMED, during=("loss",)), GOOD, _recorded("partition-heal")),
    "probe": Row(Probed("queue", 0.9, 5.0), _asked(Outcome.OK), _asked(Outcome.FAIL)),
    "probe, a share": Row(Probed("queue", 0.9, 60.0), _asked(Outcome.OK), _asked(Outcome.FAIL)),
    "probe, during a fault": Row(Probed("queue", 0.9, 5.0, NAMED, ("loss",)), _asked(Outcome.OK), _asked(Outcome.FAIL)),
    "quorum": Row(QuorumSurvived("stop"), _recorded("partition-majority"), _recorded("acknowledged-without-quorum")),
    "quorum, going on": Row(QuorumSurvived("go on", "stays"), GOOD, _recorded("real-etcd-leader-kill")),
    "quorum, during a fault": Row(
        QuorumSurvived("stop", expected=NAMED, during=("loss",)), _recorded("partition-majority"), _recorded("acknowledged-without-quorum")
    ),
    "rescheduled": Row(Rescheduled("web", within=38.5), _recorded("node-kill"), _recorded("node-kill-too-late")),
    "rescheduled, never": Row(Rescheduled("web", within=38.5), GOOD, _recorded("pinned-unit")),
    "scaled": Row(Scaled("web", 3, 10.0), _scaled(50.0), _scaled(65.0)),
    "settled": Row(
        Settled(),
        GOOD,
        _but(
            change(of(Wholeness, when="after"), lambda e: replace(cast("Wholeness", e), whole=False, missing=("web@1",))),
            change(between(54.0, 70.0, of(NodeSeen)), lambda e: replace(cast("NodeSeen", e), containers=())),
        ),
    ),
    "single": Row(Single("web"), _recorded("node-kill"), _recorded("partition-heal")),
    "single, during a fault": Row(Single("web", 0.0, NAMED, ("loss",)), _recorded("node-kill"), _recorded("partition-heal")),
    "latency": Row(Prompt("web", 2.0, NAMED, during=("loss",)), _but(SERVED), GOOD),
    "fdatasync": Row(Synced(most=0.01), _measured(0.004), _measured(0.2)),
    "fdatasync, not slow enough": Row(Synced(least=0.1), _measured(0.2), _measured(0.004)),
    "durable": Row(Durable("cache"), _stored("v0"), _stored(None)),
    "writes": Row(Writes(), _recorded("node-kill"), _recorded("lost-write")),
}
"""By the checker's name, with more where one has several ways to judge."""


def _known() -> dict[str, Any]:
    return dict(registry.known().checkers)


def _every() -> dict[str, Checker]:
    """Return every checker with its defaults, where it has any, and with the parameters of its rows."""
    found: dict[str, Checker] = {}
    for name, cls in _known().items():
        try:
            found[f"{name}, as it comes"] = parameters.build(cls, {})
        except ValueError:
            continue  # it wants something to be chosen
    for row, judged in ROWS.items():
        if judged.checker not in found.values():
            found[row] = judged.checker
    return found


EVERY = _every()


@pytest.mark.parametrize("promise", CHECKER.values(), ids=CHECKER)
@pytest.mark.parametrize("name", EVERY)
def test_checker(name: str, promise: Callable[[Checker], None]) -> None:
    """Every checker keeps this promise."""
    promise(EVERY[name])


@pytest.mark.parametrize("promise", JUDGED.values(), ids=JUDGED)
@pytest.mark.parametrize("row", ROWS)
def test_judged(row: str, promise: Callable[[Judged], None]) -> None:
    """Every checker keeps this promise of what it must hold and what it must not."""
    promise(ROWS[row].judged())


def test_every_checker_is_under_contract() -> None:
    """One that is registered has a row, and each row is of the checker that it is called by."""
    assert {row.partition(",")[0] for row in ROWS} == {*_known()}, "give each a row in ROWS: a history to hold, and one that it must not"
    assert all(judged.checker.name == row.partition(",")[0] for row, judged in ROWS.items())


def test_strange_histories_are_told_alike_and_can_be_recorded() -> None:
    """A seed makes one history, and a file can hold whatever it tells; every kind of event is among them."""
    kinds = set()
    for seed in range(10):
        entries = strange.history(seed).entries
        assert entries == strange.history(seed).entries
        assert [parse(entry.body()) for entry in entries] == list(entries)
        kinds |= {type(entry.event) for entry in entries}
    assert kinds == {*strange.told_kinds()}


@pytest.mark.parametrize(
    "timer", [Patience("t", 0.0, 30.0), Patience("t", -1.0, 30.0), Patience("t", 1e-300, 1e300, most=1e9), Patience("t", 1e-9, 5.0)]
)
def test_a_timer_that_stands_nothing_is_no_advice(timer: Patience) -> None:
    """Found by the contract: what a history says of a timer may be no timer of any run, and no value of it would do."""
    assert "no timer of this mode is long enough (t)" in troubles.advice(Endurance((timer,), 1.0, 1.0), 10.0)
    assert troubles.advice(Endurance((Patience("t", 1.0, 5.0),), 1.0, 1.0), 10.0) == "t 100 s would do"


# -- the contracts themselves: each is shown a checker that it must convict


_serial = itertools.count(1)


@dataclass(frozen=True)
class _Double:
    """A checker that holds `GOOD` and breaks everything that has a failing call, but for what is wrong with it."""

    wrong: Callable[[_Double, History, Finding], Finding] | None = None
    memory: list[int] = field(default_factory=list)

    name: ClassVar[str] = "double"

    def check(self, history: History) -> Finding:
        done = history.phase(Phase.DONE) is not None and history.closed and history.breach is None
        failed = [entry.index for entry, event in history.each(Answered) if event.outcome is Outcome.FAIL and event.by]
        answered = any(True for _ in history.each(Answered))
        verdict = Verdict.BROKEN if failed else Verdict.HELD if done and answered else Verdict.UNKNOWN
        said = Finding(self.name, verdict, f"{len(failed)} calls failed", {"failed": len(failed)}, tuple(failed[:3]))
        return said if self.wrong is None else self.wrong(self, history, said)


def _counted(own: _Double, _: History, said: Finding) -> Finding:
    own.memory.append(1)
    return said


def _emptied(_: _Double, history: History, said: Finding) -> Finding:
    history.entries = history.entries[1:]
    return said


def _forgets_kinds(_: _Double, history: History, said: Finding) -> Finding:
    history._by_kind.pop(Answered, None)
    return said


def _marked(own: _Double, history: History, said: Finding) -> Finding:
    for _, event in history.each(Fingerprinted):
        cast("dict[str, Any]", event.marks)["looked at"] = True
    return said


def _by_remarks(_: _Double, history: History, said: Finding) -> Finding:
    notes = sum(1 for _ in history.each(Note))
    return replace(said, summary=f"{said.summary}, {notes} remarks")


def _when(condition: Callable[[History], bool], **changed: Any) -> Callable[[_Double, History, Finding], Finding]:
    return lambda _, history, said: replace(said, **changed) if condition(history) else said


def _always(_: History) -> bool:
    return True


def _full(history: History) -> bool:
    return len(history.entries) > 3000


def _raise(error: Exception) -> Any:
    raise error


HOWS: dict[str, tuple[Callable[[_Double, History, Finding], Any], str, str]] = {
    # what is wrong → how, which promise convicts it, and by what words
    "holds silence": (_when(lambda h: not h.entries, verdict=Verdict.HELD), "silence_is_unknown", "the verdict on an empty history"),
    "breaks silence": (_when(lambda h: len(h.entries) == 7, verdict=Verdict.BROKEN), "silence_is_unknown", "nobody saw anything"),
    "raises at nothing": (lambda _, h, said: h.entries[0] and said, "silence_is_unknown", "IndexError"),
    "raises": (lambda _, h, said: _raise(KeyError("n9")) if not _full(h) else said, "any_history_is_judged", "saw: KeyError"),
    "answers none": (lambda *_: None, "any_history_is_judged", "a Finding of the strange history 0; saw: NoneType"),
    "another's finding": (_when(_always, checker="triple"), "any_history_is_judged", "whose finding"),
    "no verdict": (_when(_always, verdict="held"), "any_history_is_judged", "a Verdict of"),
    "no words": (_when(_always, summary=" "), "any_history_is_judged", "a sentence of"),
    "details that are no JSON": (_when(_always, details={"nodes": {"n1"}}), "any_history_is_judged", "details of .* that JSON can hold"),
    "details that are no number": (
        _when(_always, details={"share": float("nan")}),
        "any_history_is_judged",
        "details of .* that JSON can hold",
    ),
    "evidence from elsewhere": (_when(_always, evidence=(99999,)), "any_history_is_judged", "evidence that stands in"),
    "raises at a beginning": (
        lambda _, h, said: _raise(ValueError("no end")) if 7 < len(h.entries) < 3000 else said,
        "any_beginning_is_judged",
        "no end",
    ),
    "moods": (lambda _, __, said: replace(said, summary=f"{next(_serial)}"), "the_same_is_judged_the_same", "asked again"),
    "by who asks": (lambda own, _, said: replace(said, summary=f"{id(own)}"), "the_same_is_judged_the_same", "by an equal checker"),
    "shortens the history": (_emptied, "nothing_is_changed", "a good run is the same after it was judged"),
    "forgets kinds": (_forgets_kinds, "nothing_is_changed", "a good run is the same after it was judged"),
    "changes an event": (_marked, "nothing_is_changed", "is the same after it was judged"),
    "remembers": (_counted, "nothing_is_changed", "the checker after it has judged"),
    "parameters of no file": (lambda _, __, said: said, "parameters_are_written_down_and_read_again", "written down and read again"),
    "acquits nobody": (_when(_full, verdict=Verdict.UNKNOWN), "the_good_is_held", "the verdict on the good history"),
    "convicts nobody": (_when(_always, verdict=Verdict.HELD), "the_bad_is_not", "the verdict on the bad history"),
    "no evidence": (_when(_always, evidence=()), "the_bad_is_not", "evidence of what is broken"),
    "holds a beginning": (_when(_always, verdict=Verdict.HELD), "a_beginning_is_unknown", "entries"),
    "breaks a beginning": (_when(lambda h: not h.phase(Phase.DONE), verdict=Verdict.BROKEN), "a_beginning_is_unknown", "entries"),
    "holds a beginning of the bad": (
        _when(lambda h: not h.phase(Phase.DONE), verdict=Verdict.HELD),
        "a_beginning_of_the_bad_is_not_held",
        "no acquittal",
    ),
    "holds what was never closed": (_when(lambda h: not h.closed, verdict=Verdict.HELD), "what_is_damaged_is_not_held", "never closed"),
    "holds what is damaged": (_when(lambda h: h.breach is not None, verdict=Verdict.HELD), "what_is_damaged_is_not_held", "with a breach"),
    "counts remarks": (_by_remarks, "a_remark_changes_nothing", "with a remark in it"),
    "counts from where a file begins": (
        _when(lambda h: h.entries[0].index == 1, summary="x"),
        "a_file_is_judged_as_it_was_told",
        "read from a file",
    ),
    "names the wrong lines": (
        _when(lambda h: h.entries[0].index == 1, evidence=(1,)),
        "a_file_is_judged_as_it_was_told",
        "the evidence in",
    ),
}
BAD = ROWS["availability"].bad


class _Plain:
    """A checker that is no dataclass."""

    name: ClassVar[str] = "double"

    def check(self, history: History) -> Finding:
        return Finding(self.name, Verdict.UNKNOWN, f"{len(history.entries)} entries")


@dataclass
class _Changed(_Plain):
    """A checker whose parameters anybody may change."""


@dataclass(frozen=True)
class _Halving(_Plain):
    """A checker that makes another parameter of the one that it is given."""

    share: float = 0.5

    def __post_init__(self) -> None:
        object.__setattr__(self, "share", self.share / 2)


WRITTEN: dict[str, tuple[Checker, str]] = {
    # what is wrong with how it is written down → the checker, and by what words it is convicted
    "no dataclass": (_Plain(), "a frozen dataclass; saw: _Plain"),
    "may be changed": (_Changed(), "a frozen dataclass; saw: _Changed"),
    "changes what it reads": (_Halving(), "the parameter share read again"),
}


def _convict(how: str) -> ContractBroken:
    wrong, name, promised = HOWS[how]
    double = _Double(wrong)
    with pytest.raises(ContractBroken, match=promised) as raised:
        CHECKER[name](double) if name in CHECKER else JUDGED[name](Judged(double, GOOD(), BAD()))
    return raised.value


def _written(how: str) -> ContractBroken:
    checker, promised = WRITTEN[how]
    with pytest.raises(ContractBroken, match=promised) as raised:
        CHECKER["parameters_are_written_down_and_read_again"](checker)
    return raised.value


@pytest.mark.parametrize("how", HOWS)
def test_a_checker_that_misbehaves_is_convicted(how: str) -> None:
    """By the promise that it breaks, for what is wrong with it."""
    _convict(how)


@pytest.mark.parametrize("how", WRITTEN)
def test_a_checker_that_no_plan_can_keep_is_convicted(how: str) -> None:
    """For what of it is another thing when it is read again."""
    _written(how)


def test_every_line_of_the_contract_convicts_somebody() -> None:
    """Not every function alone: one that asks for three things needs three doubles."""
    assert missed(checker_contract, [*map(_convict, HOWS), *map(_written, WRITTEN)]) == []


def test_a_double_that_behaves_is_acquitted() -> None:
    """What convicts the others is what is wrong with them; that functions stand in no file is."""
    for name, promise in CHECKER.items():
        if name != "parameters_are_written_down_and_read_again":
            promise(_Double())
    for judged in JUDGED.values():
        judged(Judged(_Double(), GOOD(), BAD()))


def test_every_promise_convicts_somebody() -> None:
    """A promise without a double that breaks it may be one that nothing breaks."""
    assert {name for _, name, _ in HOWS.values()} == {*CHECKER, *JUDGED}
