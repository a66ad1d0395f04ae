"""What a scenario in Python asks for and can never get is told at once, as a scenario file is told: before anything is made."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from harness import registry
from harness.actions import ACTIONS
from harness.actions.scaling import Scale
from harness.actions.systemd import ServiceStop
from harness.checkers import Availability, Checks, Conflicts, QuorumSurvived, Rescheduled, Scaled, Writes
from harness.conductor import spelling
from harness.core import parameters
from harness.core.errors import BadInput, HarnessError, Unsupported
from harness.core.values import App, Definition, Effect
from harness.faults.hang import Hang
from harness.faults.partition import Partition
from harness.faults.power import NodeKill
from harness.faults.process import Kill
from harness.faults.slow_disk import Slow
from harness.history.awaits import LEADER
from harness.host import files
from harness.scenario import loads
from harness.steps import LEADER_MOVED, RECOVERED, Break, Hold
from harness.steps.step import step_from_json
from harness.steps.targeting import Around
from harness.testing.bare import BareMode
from harness.workloads.http import Http
from harness.workloads.probe import Probe
from harness.workloads.register import Register
from tests.unit.sessions import Led, Scripted, in_memory, scripted

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.conductor import Session
    from harness.core.protocols import Cluster, Node

APPS = ["web"]
NODES = ("n1", "n2", "n3")
AROUND = Around(NODES, [App("web", 2)])
BOTH: list[Any] = [Http("web"), Register()]


def told(ask: Any, *args: Any) -> str:
    """What is said of it; nothing where it is fine."""
    try:
        ask(*args)
    except BadInput as error:
        return str(error)
    return ""


STRANGE: list[Any] = ["3", "", ["web"], {"a": 1}, None, True, -1, math.nan, 10**400, b"x", object()]
"""Values that a scenario in Python may give in place of what is expected."""


USUAL: dict[str, Any] = {
    "app": "web",
    "instances": 2,
    "to": 2,
    "within": 9.0,
    "service": "etcd",
    "run": "true",
    "share": 0.5,
    "gap": 9.0,
    "p99": 9.0,
}
USUAL |= {"breaking": "true", "mending": "true", "asking": "true", "called": "queue", "on": "n1", "command": "true"}
"""Good values of parameters that have no default."""


@pytest.mark.parametrize("kind", ["faults", "actions", "workloads", "checkers"])
def test_a_value_of_another_type_is_refused_in_words_whatever_a_class_asks_of_it(kind: str) -> None:
    """Not where the instance is made, by an error of Python's own that says nothing; and nobody looks again at what does not fit."""
    known: dict[str, Any] = dict(getattr(registry.known(), kind))
    for cls in known.values():
        usual = {name: value for name, value in USUAL.items() if name in parameters.fields(cls).values()}
        for name in parameters.fields(cls).values():
            for value in STRANGE:
                try:
                    made = cls(**{**usual, name: value})
                except ValueError:
                    continue
                if kind == "checkers":
                    told(spelling.must_be_promises, [made], APPS, BOTH)
                elif kind == "workloads":
                    told(spelling.must_be_workloads, [made], APPS)
                elif kind == "actions":
                    told(spelling.must_be_action, made, "n1" if made.aims else "", None, AROUND)
                else:
                    told(spelling.must_be_break, made, "n1", Hold(5), AROUND)


ASKED: dict[str, Callable[[Session, Any, Any], object]] = {
    "whom to break": lambda session, fault, value: session.break_(fault, value, Hold(1)),
    "what to break with": lambda session, _, value: session.break_(value, "n1", Hold(1)),
    "a hold": lambda session, fault, value: session.break_(fault, "n1", value),
    "how long it is held": lambda session, fault, value: session.break_(fault, "n1", Hold(value)),
    "until when it is held": lambda session, fault, value: session.break_(fault, "n1", Hold(1, value)),
    "a fault's name": lambda session, fault, value: session.start(fault, "n1", value),
    "what is mended": lambda session, _, value: session.heal(value),
    "what is awaited": lambda session, _, value: session.await_(value, at_most=5),
    "the app that is awaited": lambda session, _, value: session.await_(LEADER, value, at_most=5),
    "how long it is awaited": lambda session, _, value: session.await_(LEADER, at_most=value),
    "what else that means": lambda session, _, value: session.await_(LEADER, at_most=5, otherwise=value),
    "what is done": lambda session, _, value: session.act(value),
    "to whom it is done": lambda session, _, value: session.act(Nothing(), value),
    "how long that may take": lambda session, _, value: session.act(Nothing(), at_most=value),
    "whether that may fail": lambda session, _, value: session.act(Nothing(), may_fail=value),
    "how long to wait": lambda session, _, value: session.pause(value),
    "a promise": lambda session, _, value: session.promise(value),
}
"""What a scenario in Python hands to a session."""


@dataclass(frozen=True, slots=True)
class Nothing:
    """An action that does nothing."""

    name: ClassVar[str] = "test.nothing"
    aims: ClassVar[bool] = False
    takes: ClassVar[tuple[str, ...]] = ()
    longest: ClassVar[float] = 5.0
    effect: ClassVar[Effect] = Effect()

    def act(self, cluster: Any, targets: Any) -> str:
        """Do nothing."""
        return ""


@pytest.mark.parametrize("case", ASKED)
def test_what_no_saved_plan_could_hold_is_refused_before_anything_is_done(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In words, also what is false and so looks as if nothing were given: or else the run could be neither shown nor judged."""
    fault = scripted(monkeypatch)
    monkeypatch.setitem(ACTIONS, Nothing.name, Nothing)
    for number, value in enumerate([*STRANGE, 0, False, (), 0.0]):
        (folder := tmp_path / str(number)).mkdir()
        with in_memory(folder, None, App("web", 2)) as session:
            with contextlib.suppress(BadInput):
                ASKED[case](session, fault(), value)
            for step in session._done:
                assert step_from_json(json.loads(json.dumps(step.to_json())), registry.known()) == step, value


def test_nothing_is_done_or_promised_after_the_end_of_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would stand in no history, and in nobody's verdict: a fixture of a test's own ends after the run was judged."""
    fault = scripted(monkeypatch)()
    with in_memory(tmp_path, None, App("web", 2)) as session:
        session.start(fault, "n1", "one")
        session.end()
        for ask in (
            lambda: session.break_(fault, "n1", Hold(1)),
            lambda: session.start(fault, "n1", "two"),
            lambda: session.act(Scale("web", 3)),
            lambda: session.await_(LEADER, at_most=5),
            lambda: session.pause(1),
            lambda: session.promise(Conflicts()),
        ):
            with pytest.raises(BadInput, match="something to be done after its end"):
                ask()
        session.heal()
    assert (fault.calls.count("inject"), len(session._done)) == (1, 1)


PROMISES: dict[str, tuple[Any, str]] = {
    "a misspelt choice": (QuorumSurvived("goes on"), "the promise quorum: writes 'goes on'; expected one of go on, stop, slow"),  # type: ignore[arg-type]  # as tests may
    "a share above 1": (Availability("web", 50, 30), "the promise availability: share 50; expected a share from 0 to 1"),
    "less than no time": (Rescheduled("web", within=-3), "the promise rescheduled: within -3; expected a duration of 0 or more"),
    "a list in place of an app that is called": (
        Availability(STRANGE[2], 0.5, 30.0),
        "the promise availability: app a list of 1; expected the name of an app",
    ),
    "no number": (Availability("web", 0.5, math.nan), "the promise availability: gap nan"),
    "an endless time": (Rescheduled("web", within=math.inf), "the promise rescheduled: within inf"),
    "units": (Rescheduled("web", within="5s"), "within '5s'; expected 5.0: units are for files"),  # type: ignore[arg-type]  # same
    "an app that is not there": (Conflicts(app="wbe"), "an unknown app 'wbe'; expected the name of an app"),
    "text in place of a choice": (Conflicts(expect_double_run="yes"), "expect_double_run 'yes'; expected true or false"),  # type: ignore[arg-type]  # same
    "good ones": (QuorumSurvived("go on", "moves"), ""),
    "one without parameters": (Checks(), ""),
}


@pytest.mark.parametrize("case", PROMISES)
def test_a_promise_with_a_value_that_no_file_could_give_is_told_at_once(case: str) -> None:
    """As the file would be, with what was expected; and all at once."""
    promise, words = PROMISES[case]
    said = told(spelling.must_be_promises, [promise], APPS, BOTH)
    assert (words in said, bool(said)) == (True, bool(words)), said
    if words:
        both = told(spelling.must_be_promises, [promise, Rescheduled("wbe")], APPS, BOTH)
        assert (words in both, "an unknown app 'wbe'" in both) == (True, True), both


@pytest.mark.parametrize(
    ("promise", "workloads", "words"),
    [
        (Availability("web", 0.5, 30), [Register()], "a promise of availability of web that nobody calls"),
        (Availability("web", 0.5, 30), BOTH, ""),
        (QuorumSurvived("go on"), [Http("web")], "a promise of quorum with nothing that writes"),
        (QuorumSurvived(leader="moves"), [Http("web")], ""),
        (Writes(), [Http("web")], "a promise of writes with nothing that writes"),
    ],
)
def test_a_promise_that_nothing_makes_calls_for_is_told_at_once(promise: Any, workloads: list[Any], words: str) -> None:
    """It could never be held."""
    said = told(spelling.must_be_promises, [promise], APPS, workloads)
    assert (words in said, bool(said)) == (True, bool(words)), said


@dataclass(frozen=True, slots=True)
class Paused:
    """A fault of a plug-in, whose parameter is any number."""

    seconds: float
    name: ClassVar[str] = "acme.pause"


BREAKS: dict[str, tuple[Any, Any, str]] = {
    "a misspelt end": (
        NodeKill(),
        Hold(20, "recoverd"),
        "until 'recoverd'; expected one of recovered, leader-moved, or no until; did you mean 'recovered'?",
    ),
    "no number": (NodeKill(), Hold(math.nan), "the hold: nan seconds; expected a number of seconds above 0"),
    "an endless time": (NodeKill(), Hold(math.inf), "the hold: inf seconds"),
    "less than no time": (NodeKill(), Hold(-1), "the hold: -1 seconds"),
    "no time": (NodeKill(), Hold(0), "the hold: 0 seconds"),
    "units": (NodeKill(), Hold("5s"), "the hold: '5s' seconds"),  # type: ignore[arg-type]  # as tests may
    "a bare number": (NodeKill(), 5, "the hold: 5; expected a Hold, e.g. Hold(5)"),
    "a misspelt parameter": (Partition("isolated"), Hold(5), "the fault net.partition: shape 'isolated'; expected one of"),  # type: ignore[arg-type]  # same
    "a misspelt daemon": (Hang("dockr"), Hold(5), "the fault daemon.hang: daemon 'dockr'; expected one of"),  # type: ignore[arg-type]  # same
    "an endless parameter": (Paused(math.inf), Hold(5), "the fault acme.pause: seconds inf; expected a number that is finite"),
    "a parameter that is no number": (Paused(math.nan), Hold(5), "the fault acme.pause: seconds nan"),
    "until recovered": (NodeKill(), Hold(20, RECOVERED), ""),
    "until leadership moved": (Partition("isolate"), Hold(20.5, LEADER_MOVED), ""),
}


@pytest.mark.parametrize("case", BREAKS)
def test_a_fault_or_a_hold_with_a_value_that_no_file_could_give_is_told_before_anything_is_broken(case: str, tmp_path: Path) -> None:
    """Nothing of it is in the history."""
    fault, hold, words = BREAKS[case]
    said = told(spelling.must_be_break, fault, "n1", hold, AROUND)
    assert (words in said, bool(said)) == (True, bool(words)), said
    if words:
        with in_memory(tmp_path) as session, pytest.raises(BadInput):
            session.break_(fault, "n1", hold)
        assert b'"fault"' not in (tmp_path / "history.jsonl").read_bytes()


@pytest.mark.parametrize(
    ("workload", "words"),
    [
        (Http("web", rate=0), "the workload http: rate 0; expected a rate above 0"),
        (Http("web", rate=math.nan), "the workload http: rate nan"),
        (Register(rate=-1), "the workload register: rate -1"),
        (Http("wbe"), "an unknown app 'wbe'"),
        (Http("web"), ""),
    ],
    ids=str,
)
def test_a_workload_with_a_value_that_no_file_could_give_is_told_at_once(workload: Any, words: str) -> None:
    """Before a cluster is made."""
    said = told(spelling.must_be_workloads, [workload], APPS)
    assert (words in said, bool(said)) == (True, bool(words)), said


@pytest.mark.parametrize(
    ("nodes", "apps", "words"),
    [
        (0, [App("web", 2)], "nodes 0; expected a whole number from 1 to"),
        ("3", [App("web", 2)], "nodes '3'; expected a whole number from 1 to"),
        (3, [App("web", -1)], "the app web: instances -1; expected a whole number from 0 to 100; 0: it comes only with app.deploy"),
        (3, [App("web", 0)], ""),
        (3, [App("Web!", 2)], "the app Web!: name 'Web!'; expected a name of lower-case letters"),
        (3, [App("web", 2, port=70000)], "the app web: host port 70000; expected a port of the nodes from 1024"),
        (3, ["web"], "the apps: 'web'; expected an App"),
        (3, [App("web", 2, pin="n2")], ""),
    ],
)
def test_nodes_and_apps_that_no_file_could_ask_for_are_told_at_once(nodes: Any, apps: list[Any], words: str) -> None:
    """Before a cluster is made."""
    said = told(spelling.must_be_cluster, nodes, apps)
    assert (words in said, bool(said)) == (True, bool(words)), said


FILE = """\
scenario: s
why: w
cluster: {{nodes: 3}}
apps: [{{name: web, instances: 2}}]
promises: [conflicts]
steps: [{{fault: net.partition, with: {{shape: {shape}}}, on: {whom}, hold: 5s}}]
"""
WHOM: dict[str, tuple[str, str, str]] = {
    "an instance that there is not": ("web@9", "isolate", "the target 'web@9'; expected an instance of web"),
    "an app that there is not": ("hosting(wbe)", "isolate", "hosting(wbe); expected the name of an app; did you mean 'web'?"),
    "a node that there is not": ("m2", "isolate", "the target 'm2'; expected a node's name, n1 to n3, or one of the words"),
    "two that there are not": ("m2 & web@9", "isolate", "the target 'web@9'"),
    "a misspelt word": ("leadr", "isolate", "did you mean 'leader'?"),
    "more than there are": ("any 9", "isolate", "the target 'any 9'; expected 9 nodes to choose from; there can never be more than 3"),
    "more than can be": ("any 2 & leader", "isolate", "expected 2 nodes to choose from; there can never be more than 1"),
    "nobody": ("n1 & n2", "isolate", "the target 'n1 & n2'; expected one that can hit a node; no node can ever be all of that"),
    "whom a fault hit that there was not": ("same as nothing", "isolate", "same as 'nothing', which no fault before it is named"),
    "whom faults hit, where none goes on": ("hit", "isolate", "hit, where no fault is in force; expected a step while a fault is in force"),
    "what cannot be read": ("n1 or n2", "isolate", "'or' in the target 'n1 or n2'"),
    "a shape that cuts nothing": ("n1", "ring", "ring of 1 of 3 nodes, which cuts nothing; expected a partition"),
    "one that can be": ("hosting(web) & any", "isolate", ""),
    "another": ("majority", "halves", ""),
}


@pytest.mark.parametrize("case", WHOM)
def test_a_target_that_a_file_may_not_have_is_refused_of_a_scenario_in_python_in_the_same_words(case: str, tmp_path: Path) -> None:
    """Before anything is broken: it could only hit nobody, and leave a run that nobody can judge."""
    whom, shape, words = WHOM[case]
    fault: Any = Partition(shape)  # type: ignore[arg-type]  # one of them
    said = told(spelling.must_be_break, fault, whom, Hold(5), AROUND)
    assert (words in said, bool(said)) == (True, bool(words)), said
    in_file = told(loads, FILE.format(whom=whom, shape=shape), "s.yaml")
    assert {line.split(": ", 1)[1] for line in said.splitlines()} == {line.split(": ", 1)[1] for line in in_file.splitlines()}
    assert told(spelling.must_be_start, fault, whom, "cut", AROUND, []) == said
    if words:
        with in_memory(tmp_path) as session:
            session.plan = dataclasses.replace(session.plan, apps=(App("web", 2),))
            with pytest.raises(BadInput):
                session.break_(fault, whom, Hold(5))
            with pytest.raises(BadInput):
                session.start(fault, whom, "cut")
        assert b'"fault"' not in (tmp_path / "history.jsonl").read_bytes()


def test_all_that_is_wrong_with_a_break_in_python_is_told_at_once() -> None:
    """Whom, what and for how long; what is no text at all is no target."""
    said = told(spelling.must_be_break, Partition("isolated"), "web@9", Hold(-1), AROUND)  # type: ignore[arg-type]  # as tests may
    assert [line.split(":")[0] for line in said.splitlines()] == ["whom to hit", "the fault net.partition", "the hold"]
    assert told(spelling.must_be_break, NodeKill(), ["n1"], Hold(5), AROUND) == (
        "whom to hit: a list of 1; expected a target expression, such as leader, hosting(web) & any, or !(!n1 & !n2) for n1 and n2"
    )


class Whole(BareMode):
    """A mode that can scale up, and runs one process."""

    shrinks: ClassVar[bool] = False

    def scale(self, cluster: Any, app: Any, instances: int) -> str:
        """Do nothing."""
        return ""


MISFITS: dict[str, tuple[Callable[[Session], object], str]] = {
    "a daemon": (
        lambda session: session.break_(Kill("dockr"), "n1", Hold(1)),
        "the fault process.kill: the process 'dockr'; expected a process that the bare mode runs as a systemd unit, such as docker",
    ),
    "a daemon that goes on": (lambda session: session.start(Kill("dockr"), "n1", "dead"), "the fault process.kill: the process 'dockr'"),
    "a leader to hit": (
        lambda session: session.break_(NodeKill(), "leader", Hold(1)),
        "whom to hit: 'leader', with the bare mode; expected a mode",
    ),
    "a leader to move": (
        lambda session: session.break_(NodeKill(), "n1", Hold(9, LEADER_MOVED)),
        "the fault node.kill: `until: leader-moved`",
    ),
    "a leader to await": (lambda session: session.await_(LEADER, at_most=9), "the await: `await: leader`, with the bare mode"),
    "a daemon to stop": (lambda session: session.act(ServiceStop("dockr"), "n1"), "the action service.stop: "),
    "a leader to do it to": (lambda session: session.act(ServiceStop("docker"), "leader"), "whom to hit: 'leader', with the bare mode"),
    "fewer": (
        lambda session: session.act(Scale("web", 1)),
        "the action app.scale: fewer instances of web than the 2 before, with the bare mode; expected as many or more",
    ),
    "more than there are ports": (lambda session: session.act(Scale("web", 50)), "the action app.scale: ports "),
}


@pytest.mark.parametrize("case", MISFITS)
def test_what_the_mode_lacks_is_refused_of_a_scenario_in_python_as_of_a_file(case: str, tmp_path: Path) -> None:
    """Before anything is done: it could only fail, be mended in vain, and leave a run that nobody can judge. What was planned was asked then."""
    ask, said = MISFITS[case]
    apps = (App("web", 2), App("db", 1, port=App("web", 2).port + 20))
    with in_memory(tmp_path, Whole(units={"docker": "docker.service"}), *apps) as session:
        with pytest.raises(BadInput, match=re.escape(said)):
            ask(session)
        assert (session._done, session._faults, session._actions) == ([], 0, 0)
        assert session._ledger.path.read_bytes() == b""


def test_a_fault_that_cannot_be_made_is_refused_of_a_scenario_in_python_before_it_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the provider's word, as of a disk that cannot be slowed: it must not be in force by another word. Of a plan's it was asked before."""
    fault = scripted(monkeypatch)
    with in_memory(tmp_path) as session:
        with pytest.raises(Unsupported, match=r"disk\.slow cannot be made on n1: n1 was not planned with a faultable disk"):
            session.break_(Slow(fsync=1.0), "n1", Hold(1))
        fault.possible = False
        with pytest.raises(Unsupported, match="it cannot be made in tests"):
            session.break_(fault(), "n1", Hold(1))
        with pytest.raises(Unsupported, match="it cannot be made in tests"):
            session.start(fault(), "n1", "it")
        assert (fault.calls, session._going, session._ledger.path.read_bytes()) == ([], [], b"")
        assert (session._done, session._faults) == ([], 0), "nor does the run wait to hear of it"
        session.plan = dataclasses.replace(session.plan, steps=(Break(fault(), "all", Hold(9)),))
        session.break_(fault(), "n1", Hold(1))
        assert fault.calls == ["inject", "heal"]


def test_a_promise_and_a_workload_that_the_mode_lacks_something_for_are_told_as_in_a_file(tmp_path: Path) -> None:
    """Before there is a cluster where the marker has them, and before anything is promised in the test's body."""
    lacks = "with the bare mode; expected a mode with a quorum and a leader"
    assert (
        told(spelling.must_be_workloads, [Http("web"), Register()], APPS, (), BareMode()) == f"the workload register: 'register', {lacks}"
    )
    assert told(spelling.must_be_promises, [QuorumSurvived()], APPS, BOTH, BareMode()) == f"the promise quorum: 'quorum', {lacks}"
    assert told(spelling.must_be_promises, [QuorumSurvived()], APPS, BOTH, Led()) == ""
    with in_memory(tmp_path, None, App("web", 2)) as session:
        assert lacks in told(session.promise, QuorumSurvived())
        assert session.promised == []


def test_a_fault_that_cannot_say_what_would_mend_it_is_neither_made_nor_written_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line in the ledger that nobody can ever mend would lock hosts for good, though nothing was ever done to them."""
    fault = scripted(monkeypatch)
    with in_memory(tmp_path) as session:
        monkeypatch.setattr(fault, "touched", lambda _, __, targets: targets)
        monkeypatch.setattr(fault, "remedy", _nameless)
        session.break_(fault(), "n2", Hold(1))
        session.start(fault(), "n2", "one")
        session.heal("one")
        assert (fault.calls, session._going) == ([], [])
        monkeypatch.setattr(fault, "remedy", _crashing)
        asks: list[Callable[[], object]] = [
            lambda: session.break_(fault(), "n2", Hold(1)),
            lambda: session.start(fault(), "n2", "two"),
        ]
        for ask in asks:
            with pytest.raises(ZeroDivisionError):
                ask()
        session._mend(session._going[::-1])
    assert fault.calls == []
    assert (tmp_path / "ledger.jsonl").read_bytes() == b""
    told_of = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text(encoding="utf-8").splitlines()]
    stages = [(each["stage"], each["detail"]) for each in told_of if "stage" in each]
    assert stages == [("failed", "not made, since nobody could mend it: no such unit")] * 2


def _crashing(self: Scripted, cluster: Cluster, target: Node) -> tuple[str, ...]:
    raise ZeroDivisionError


def _nameless(self: Scripted, cluster: Cluster, target: Node) -> tuple[str, ...]:
    raise HarnessError("no such unit")


def test_whom_other_faults_hit_may_be_hit_once_there_are_some() -> None:
    """Beside one that goes on, or after one that had a name."""
    beside = Around(NODES, [App("web", 2)], ("cut",), going=True)
    after = Around(NODES, [App("web", 2)], ("cut",))
    for whom, there in (("hit", beside), ("same as cut", beside), ("same as cut", after)):
        assert told(spelling.must_be_break, NodeKill(), whom, Hold(5), there) == ""
    assert "did you mean 'cut'?" in told(spelling.must_be_break, NodeKill(), "same as cu", Hold(5), after)
    assert "hit, where no fault is in force" in told(spelling.must_be_break, NodeKill(), "hit", Hold(5), after)


WISHES: dict[str, tuple[dict[str, Any], str]] = {
    "an app": ({"apps": App("web", 2)}, "apps of @pytest.mark.whalefall"),
    "no apps": ({"apps": None}, "apps of @pytest.mark.whalefall"),
    "a workload's name": ({"workloads": "http"}, "workloads of @pytest.mark.whalefall"),
    "a workload as in a file": ({"workloads": [{"http": {"app": "web"}}]}, "workloads of @pytest.mark.whalefall"),
    "a promise": ({"promises": Conflicts()}, "promises of @pytest.mark.whalefall"),
    "a promise's name": ({"promises": "conflicts"}, "promises of @pytest.mark.whalefall"),
    "a profile's name as timers": ({"timers": "fast"}, "timers of @pytest.mark.whalefall"),
    "a number as a mode": ({"mode": 7}, "mode of @pytest.mark.whalefall"),
    "a word for yes": ({"slow_disks": "yes"}, "slow_disks of @pytest.mark.whalefall"),
    "a number for yes": ({"slow_disks": 1}, "slow_disks of @pytest.mark.whalefall"),
    "a mode with a slip": ({"mode": "swrm"}, "mode of @pytest.mark.whalefall"),
    "a provider with a slip": ({"provider": "nspwn"}, "provider of @pytest.mark.whalefall"),
    "a timer in words": ({"timers": {"agent_ttl": "soon"}}, "the timer 'agent_ttl' of @pytest.mark.whalefall"),
    "a timer below nothing": ({"timers": {"agent_ttl": -5}}, "the timer 'agent_ttl' of @pytest.mark.whalefall"),
    "no timer": ({"timers": {"agent_ttl": None}}, "the timer 'agent_ttl' of @pytest.mark.whalefall"),
}


@pytest.mark.parametrize(("wish", "where"), WISHES.values(), ids=WISHES)
def test_what_a_marker_takes_in_another_kind_is_told_before_anything_asks_what_is_in_it(wish: dict[str, Any], where: str) -> None:
    """Each by itself, and all at once."""
    plain: dict[str, Any] = {
        "apps": (),
        "workloads": (),
        "promises": [],
        "timers": {},
        "mode": "fleet",
        "provider": "nspawn",
        "profile": "default",
        "slow_disks": False,
    }
    spelling.must_be_wishes(plain)
    with pytest.raises(BadInput) as caught:
        spelling.must_be_wishes({**plain, **wish}, ["fast"])
    assert [problem.file for problem in caught.value.problems] == ["@pytest.mark.whalefall", where]
    if "swrm" in wish.values() or "nspwn" in wish.values():
        assert "did you mean" in caught.value.problems[1].hint


def test_apps_that_cannot_be_beside_each_other_are_told_as_in_a_file() -> None:
    """All at once."""
    apps = [App("web", 2), App("web", 1), App("db", 1, port=8000), App("cache", 1, port=9000, pin="n9"), App("log", 1, port=9100, pin="n3")]
    said = told(spelling.must_be_cluster, 3, apps)
    for words in (
        "a second app named 'web'; expected a name of its own for each app",
        "the app db: port 8001 for db; expected ports that no other app has; web has 8001 to 8002",
        "the app cache: a pin to 'n9'; expected a node's name, n1 to n3",
    ):
        assert words in said
    assert "log" not in said


def test_what_is_wrong_with_an_images_folder_is_told_before_a_test_has_a_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a provider whose nodes build it: as of an app in a file."""
    (tmp_path / "images" / "own").mkdir(parents=True)
    (tmp_path / "images" / "own" / "Dockerfile").write_text("FRM scratch\n", encoding="utf-8")
    monkeypatch.setattr(files, "fixtures", lambda: tmp_path)
    apps = [App("web", 1, image="own")]
    assert "an unknown instruction 'FRM'" in told(partial(spelling.must_be_cluster, provider="nspawn"), 3, apps)


def test_a_marker_takes_timers_as_a_file_writes_them() -> None:
    """And as numbers, which are seconds."""
    assert spelling.timers_of({"timers": {"agent_ttl": "5s", "election": 500.0, "beat": "500ms"}}) == {
        "agent_ttl": 5.0,
        "election": 500.0,
        "beat": 0.5,
    }


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (Probe("Own Q", "n1", command="true"), "name 'Own Q'; expected a name of lower-case letters, digits and dashes"),
        (Scaled("web", 0, 5.0), "to 0; expected a whole number above 0"),
        (Scale("web", 0), "instances 0; expected a whole number from 1 to 100"),
    ],
    ids=lambda each: getattr(each, "name", None),
)
def test_a_value_in_python_is_told_in_the_words_in_which_a_file_is(asked: Any, told: str) -> None:
    """And not in those of the library that checks it."""
    assert told in "; ".join(f"{each.found}; expected {each.expected}" for each in spelling._misfits("part", [asked]))


def test_a_definition_in_python_is_told_in_words() -> None:
    """Only a file can name one; that and all else that is wrong with the app is told at once, and nothing in words of a library."""
    own = App("web", -1, native=Definition("fleet", "web@.service", "", "web@%.service", "web-%"))
    with pytest.raises(BadInput) as caught:
        spelling.must_be_cluster(3, [own])
    assert [(each.file, each.found) for each in caught.value.problems] == [
        ("the app web", "a definition of its own"),
        ("the app web", "instances -1"),
    ]
