"""What every report must do, as plain functions that any test runner can call; see `harness.testing.contracts` for how they are used.

A report is whatever makes text of a judged run, for people or for another program; one that has a name (`harness.history.interfaces.RunReport`)
makes it of any number of them::

    @pytest.mark.parametrize("promise", REPORT.values(), ids=REPORT)
    def test_report(promise):
        promise(Shown.of(MyPage()))

`told` yields the runs: good, bad, unknown, cut off, failed, stopped, empty and strange ones. `poisoned` is what others may have written into one.
"""

from __future__ import annotations

import copy
import dataclasses
import enum
import functools
import itertools
import json
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import registry
from harness.checkers import Availability, Conflicts
from harness.core.errors import BadInput, in_words
from harness.core.protocols import Quorum, Registers, Services
from harness.core.values import CallStream, Outcome, Phase, Verdict
from harness.faults.power import NodeKill
from harness.faults.process import Kill
from harness.history.events import ENDED_EARLY, STOPPED_EARLY, Answered, Event, History, Invoked, NodeSeen, Note, Watching
from harness.history.recovery import recovery
from harness.host import untrusted
from harness.plan import Plan, plan
from harness.runs import judge
from harness.runs.run import Run
from harness.scenario import loads
from harness.steps import Control
from harness.testing import strange
from harness.testing.contracts import ContractBroken, require, same
from harness.testing.histories import node_kill
from harness.testing.mutations import between, change, of, timed

if TYPE_CHECKING:
    from harness.core.protocols import Mode
    from harness.history.interfaces import RunReport

FORGED = "HELD-forged"
"""What a line begins with that hostile text has made."""
HOSTILE = f"\x1b]0;owned\x07\x1b[2J\x9b2J\x7f\x08\r\u202egnp\u2066\u200b\u2028\x85[/][red]x[bold]</td><script>&\n{FORGED}"
"""Sequences, C1 controls, DEL, directions, zero width, separators, markup of all sorts, and a second line."""
ACTING = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp", "Cn"})
"""Unicode's categories of what a terminal obeys, or shows as nothing."""
KEPT = frozenset({"checker", "checks", "folder", "steps"})
"""Fields that were looked at by a reader, or are chosen by whoever runs it. What a reader takes of a plan's steps and checks is in `OTHERS`."""
STRANGE = 3
"""Strange histories of which a report is made."""
CUT = 30.0
"""Second of the run, in the middle of its fault, at which one is cut off."""
SHOWN_OF = 10
"""One call of so many is shown."""
ENVIRONMENT: Mapping[str, Any] = {
    "driver": "a driver",
    "kernels": {"n1": "6.1", "n2": "6.6"},
    "hosts": {"n1": "db1", "n2": "db2"},
    "made_for": "another-run",
    "started": "2026-01-01T00:00:00+00:00",
    "pace": "a slow machine",
}
SCENARIO = f"""\
scenario: a-contract
why: to see how it is shown
apps: [{{name: web, instances: 2}}]
workloads: [{{http: {{app: web}}}}, register]
steps: [{{fault: {NodeKill.name}, on: n2, hold: 30s}}]
promises: [conflicts, writes, {{rescheduled: {{app: web, within: 40s}}}}, {{availability: {{app: web, share: 50%, gap: 60s}}}}]
"""


OTHERS = f"""\
scenario: of-others
why: to see what they may have said
apps: [{{name: web, instances: 2}}]
checks: [{{service: docker, is_running: true, on: all, when: [after]}}]
steps:
  - {{fault: {NodeKill.name}, on: n2, as: first}}
  - {{fault: {Kill.name}, with: {{process: docker}}, on: n1, hold: 5s}}
  - heal: first
  - wait: 5s
promises: [conflicts]
"""
"""Steps and checks of which texts are hostile in such plans as others write."""


@dataclass(frozen=True)
class Shown:
    """A report. `show` makes text of a run; `says`: the run's verdict is in it, in the words that `whalefall show` has for it.

    `several` makes text of any number of them, where it can.
    """

    show: Callable[[Run], str]
    says: bool = False
    several: Callable[[Sequence[Run]], str] | None = None

    @classmethod
    def of(cls, report: RunReport[Run], *, says: bool = False) -> Shown:
        """Return one that has a name."""
        return cls(lambda run: report.text([run]), says, report.text)


@functools.cache
def told() -> Mapping[str, Run]:
    """Return runs of every sort, by what they are."""
    made, whole = planned(_with_quorum()), node_kill().history()
    late = change(
        between(10.0, 69.0, of(Answered, workload=CallStream.APP.value)), lambda event: replace(_answered(event), outcome=Outcome.FAIL)
    )
    good, bad = _run(made, whole), _run(made, History.of_events(*late(timed(whole))))
    cut = _run(made, History([entry for entry in whole.entries if entry.time < CUT], closed=False))
    runs = {
        "a good run": good,
        "a broken run": bad,
        "a run that was cut off": cut,
        "a run that failed": replace(cut, history=_noted(cut.history, f"{ENDED_EARLY}OSError: no room")),
        "a run that was stopped": replace(cut, history=_noted(cut.history, STOPPED_EARLY)),
        "an empty run": _run(made, History([])),
        "a run without a finding": replace(good, findings=()),
        "a run whose recovery could not be told": replace(good, recovery={"error": "KeyError: 'n9'"}),
        "a run with odd recoveries": replace(bad, recovery={"web@1": {}, "web@2": {"running": "soon", "from": None, "fault": 99}}),
        "a run of which much is known": replace(good, environment=ENVIRONMENT),
        "a control that convicts": replace(bad, plan=replace(made, control=Control(Verdict.BROKEN, Availability.name))),
        "a control that does not": replace(good, plan=replace(made, control=Control(Verdict.BROKEN, Conflicts.name, "two instances"))),
        "a control of nobody": replace(cut, plan=replace(made, control=Control(Verdict.UNKNOWN, "nobody"))),
        "a run without nodes, steps and apps": replace(good, plan=replace(made, nodes=(), steps=(), apps=(), workloads=(), budgets={})),
    }
    runs.update({f"the strange run {seed}": _run(made, strange.history(seed)) for seed in range(STRANGE)})
    return runs


def planned(mode: Mode, profile: str = "default") -> Plan:
    """Return a plan in a mode: a node that is killed, with both workloads, and promises of every sort, as far as the mode can have them."""
    text = (
        SCENARIO if isinstance(mode, Quorum) and isinstance(mode, Registers) else SCENARIO.replace(", register", "").replace(" writes,", "")
    )
    return replace(plan(loads(text), mode=mode, provider="nspawn", seed=7), profile=profile)


def _with_quorum() -> Mode:
    """Return a mode of which a scenario can ask everything that stands in ours."""
    able = [mode for mode in registry.known().modes.values() if all(issubclass(mode, each) for each in (Quorum, Registers, Services))]
    made: Mode = able[0].from_timers("default", {})
    return made


@functools.cache
def hostile() -> Mapping[str, Run]:
    """Return some of these runs as others would write them: every text that is not ours is hostile."""
    return {what: poisoned(run) for what, run in told().items() if not what.startswith("the strange")}


def poisoned(value: Any) -> Any:
    """Return a value with hostile text at the end of every text in it. What is in `KEPT` stays."""
    if isinstance(value, str) and not isinstance(value, enum.Enum):
        return value + HOSTILE
    if isinstance(value, History):
        return History((replace(entry, event=poisoned(entry.event)) for entry in value.entries), run=value.run, closed=value.closed)
    if isinstance(value, Mapping):
        return {poisoned(key): poisoned(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(poisoned(each) for each in value)
    if isinstance(value, Plan):
        others = _of_others()
        value = replace(value, steps=others.steps, checks=others.checks)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [each.name for each in dataclasses.fields(value) if each.init and each.name not in KEPT]
        return replace(value, **{name: poisoned(getattr(value, name)) for name in names})
    return value


@functools.cache
def _of_others() -> Plan:
    """Return a plan as it may be read from a file that others wrote: each text of its steps and checks is hostile, if a plan is read with it so."""
    made = plan(loads(OTHERS), mode=_with_quorum(), provider="nspawn", seed=7)
    body: Any = untrusted.loads(json.dumps(made.to_json()).encode())
    for holder, key in [*_texts(body["steps"]), *_texts(body["checks"])]:
        text = holder[key]
        holder[key] = text + HOSTILE
        try:
            Plan.from_json(body)
        except BadInput:
            holder[key] = text
    return Plan.from_json(body)


def _texts(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield where the texts of a JSON value stand: what holds each, and its key or place there."""
    places = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in [*places]:
        if isinstance(each, str):
            yield value, key
        yield from _texts(each)


def any_run_is_shown(report: Shown) -> None:
    """However it ended and whatever is known of it: text, and nothing is raised."""
    for what, run in told().items():
        _show(report, run, what)


def any_number_of_runs_is_shown(report: Shown) -> None:
    """Of all sorts at once, or none at all: text, and nothing is raised. Only of reports that can."""
    if report.several is not None:
        _text(partial(report.several, ()), "no run")
        _text(partial(report.several, [*told().values()]), "all runs at once")


def nothing_in_it_is_obeyed(report: Shown) -> None:
    """Whatever others wrote: no terminal acts on it, and no line of ours can be forged by it."""
    for what, run in hostile().items():
        text = _show(report, run, f"{what}, with hostile text in it")
        acting = sorted({char for char in text if unicodedata.category(char) in ACTING and char not in "\n\t"})
        require(not acting, f"nothing in {what} is obeyed by a terminal", f"{acting}")
        forged = _forged(text)
        require(not forged, f"no line of {what} is made by what others wrote", f"{forged[:1]}")


def the_same_run_is_shown_the_same(report: Shown) -> None:
    """No clock, no chance."""
    for what, run in _few():
        same(_show(report, run, what), _show(report, replace(run), what), f"what is shown of {what}, once more")


def no_run_is_changed(report: Shown) -> None:
    """Others show the same run after it."""
    for what, run in _few():
        before = copy.deepcopy((run.plan, run.findings, run.recovery, run.environment)), [entry.body() for entry in run.history.entries]
        _show(report, run, what)
        after = (run.plan, run.findings, run.recovery, run.environment), [entry.body() for entry in run.history.entries]
        require(before == after, f"{what} is the same after it was shown", "another one")


def the_verdict_is_told_as_it_is(report: Shown) -> None:
    """By its word, with who found it; that word is HELD of no other run. Only of reports that say the verdict."""
    if not report.says:
        return
    for what, run in told().items():
        text = _show(report, run, what)
        word = _word(run)
        require(word in text, f"{what} is told to be {word}", repr(text[:200]))
        require(word == "HELD" or "HELD" not in text, f"{what} is not told to be HELD", repr(text[:200]))
        why = next((each for each in run.findings if each.verdict is run.verdict), None)
        if word in {"BROKEN", "UNKNOWN"} and why is not None:
            require(why.checker in text, f"{what} is told to be {word} because of {why.checker}", repr(text[:200]))


REPORT: Mapping[str, Callable[[Shown], None]] = {
    each.__name__: each
    for each in (
        any_run_is_shown,
        any_number_of_runs_is_shown,
        nothing_in_it_is_obeyed,
        the_same_run_is_shown_the_same,
        no_run_is_changed,
        the_verdict_is_told_as_it_is,
    )
}
"""What every report must do."""


def _word(run: Run) -> str:
    """Return the word for what became of a run: that it ended early, and why, comes before its verdict."""
    history = run.history
    if history.stopped or history.failure:
        return "STOPPED" if history.stopped else "FAILED"
    cut_off = not history.closed and history.breach is None and history.phase(Phase.DONE) is None
    return "KILLED" if cut_off and run.verdict is not Verdict.BROKEN else str(run.verdict).upper()


def _show(report: Shown, run: Run, what: str) -> str:
    return _text(partial(report.show, run), what)


def _text(shown: Callable[[], str], what: str) -> str:
    try:
        text = shown()
    except Exception as e:
        raise ContractBroken(f"promised: something is shown of {what}; saw: {type(e).__name__}: {in_words(e)}") from e
    require(isinstance(text, str), f"text is shown of {what}", type(text).__name__)
    return text


def _forged(text: str) -> list[str]:
    """Return the lines that begin with what hostile text has made of a line of its own.

    A line of ours may be broken before that word: then the one before ends as an end of line is spelled.
    """
    lines = text.splitlines()
    return [
        line
        for before, line in itertools.pairwise(["", *lines])
        if line.lstrip().startswith(FORGED) and not line.startswith("    ") and not before.rstrip().endswith("\\n")
    ]


def _few() -> Iterator[tuple[str, Run]]:
    """Yield a few of the runs: one in which much is shown, and a strange one."""
    for what, run in told().items():
        if what in {"a broken run", "a control that does not", "the strange run 0"}:
            yield what, run


def _run(made: Plan, history: History) -> Run:
    found = judge.findings(made, history)
    named = {index for each in found for index in each.evidence}
    # All of it is judged; of what is said again and again a part is shown, which is read ten times as fast.
    seen: dict[str, Event] = {}
    kept = []
    for entry in history.entries:
        event = entry.event
        again = isinstance(event, Watching) or (isinstance(event, NodeSeen) and seen.get(event.node) == event)
        if isinstance(event, NodeSeen):
            seen[event.node] = event
        if entry.index in named or not (again or (isinstance(event, Invoked | Answered) and event.op % SHOWN_OF)):
            kept.append(entry)
    shown = History(kept, run=history.run, closed=history.closed)
    return Run("a-run", Path("results/a-run"), made, shown, found, recovery(history))


def _noted(history: History, text: str) -> History:
    return History.of_events(*timed(history), (history.end, Note(text)))


def _answered(event: Any) -> Answered:
    answered: Answered = event
    return answered
