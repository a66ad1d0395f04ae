"""The conductor's hold on a fault: whatever happens in between, it is mended, and the ledger and the history say so."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import threading
import types
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from harness.actions.own_command import RunCommand
from harness.checkers.answers import Checks
from harness.checkers.assumptions import Assumptions
from harness.checkers.conflicts import Conflicts
from harness.checkers.rescheduled import Rescheduled
from harness.conductor import Session, Stopped, aftermath, judged, lending, permission, readiness, run_id_of
from harness.conductor.aftermath import Aftermath
from harness.core import pace, stops, traits
from harness.core.aim import ImpossibleTarget
from harness.core.clock import Deadline
from harness.core.errors import FaultFailed, HarnessError, Unreachable, Unsupported
from harness.core.protocols import Action, Cluster, Fault, Node
from harness.core.values import App, Container, Loss, NodeState, Outcome, Phase, Result, Stage, Traits, Unavailable, Verdict
from harness.faults.power import NodeKill
from harness.history.events import Checked, Entry, FaultStage, History, MemberSeen, NodeSeen, Note, PhaseBegan, Wholeness
from harness.history.recorder import Recorder
from harness.history.situation import Situation
from harness.host.state import run_folder
from harness.plan import Plan
from harness.runs.folder import _point, save_plan
from harness.runs.judge import load
from harness.steps import LEADER_MOVED, RECOVERED, Break, Check, Do, Hold, Wait
from harness.testing.fake_clock import FakeClock
from harness.testing.memory_node import MemoryNode
from harness.testing.memory_provider import MemoryProvider
from harness.undo.ledger import unsettled
from tests.unit.sessions import SPECS, Scripted, bare_plan, in_memory, scripted


@pytest.fixture
def fault(monkeypatch: pytest.MonkeyPatch) -> type[Scripted]:
    """Return a scripted fault of this test's own, known by name."""
    return scripted(monkeypatch)


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    """Lend a session over three nodes in memory, with a clock that moves when somebody waits."""
    with in_memory(tmp_path) as made:
        yield made


def _stages(session: Session) -> list[Stage]:
    return [event.stage for _, event in History.load(session.recorder.path).each(FaultStage)]


def _open(session: Session) -> list[int]:
    return [line.number for line in unsettled(session.folder / "ledger.jsonl")]


def test_a_fault_goes_through_its_whole_life(session: Session, fault: type[Scripted]) -> None:
    """Decided, injected, in force, healing, healed, in this order; and the ledger is closed."""
    assert session.break_(fault(), "n2", Hold(3.0)) == ("n2",)
    assert _stages(session) == [Stage.DECIDED, Stage.INJECTED, Stage.IN_FORCE, Stage.HEALING, Stage.HEALED]
    assert fault.broken == set()
    assert _open(session) == []


def test_the_ledger_line_is_there_before_the_injection_starts(session: Session, fault: type[Scripted]) -> None:
    """A harness that dies inside inject has said what it was about to break."""
    seen: list[list[int]] = []
    fault.on_inject = staticmethod(lambda: seen.append(_open(session)))
    session.break_(fault(), "n1", Hold(1.0))
    assert seen == [[1]]


@pytest.mark.parametrize("error", [ValueError("bug"), KeyboardInterrupt(), SystemExit(3)])
def test_whatever_inject_raises_the_fault_is_mended(session: Session, fault: type[Scripted], error: BaseException) -> None:
    """What is no trouble of the cluster goes on up, but not before the heal."""

    def fail() -> None:
        raise error

    fault.on_inject = staticmethod(fail)
    with pytest.raises(type(error)):
        session.break_(fault(), "n1", Hold(1.0))
    assert fault.broken == set()
    assert _open(session) == []


def test_an_inject_that_fails_half_way_is_mended_and_told(session: Session, fault: type[Scripted]) -> None:
    """A fault that could not be made is a stage of the history, which the assumptions checker reads; the run goes on."""

    def fail() -> None:
        raise HarnessError("n1 said no")

    fault.on_inject = staticmethod(fail)
    session.break_(fault(), "n1", Hold(1.0))
    assert _stages(session) == [Stage.DECIDED, Stage.FAILED, Stage.HEALING, Stage.HEALED]
    assert fault.broken == set()


@pytest.mark.parametrize("after", [0.0, 3.0, math.inf], ids=["there", "there soon", "never there"])
def test_a_fault_waits_for_what_it_breaks_and_not_for_ever(
    session: Session, fault: type[Scripted], monkeypatch: pytest.MonkeyPatch, after: float
) -> None:
    """As after another fault was mended, and a machine has just booted. It is decided only then; what never comes is left to the fault to say."""
    ready = session.options.clock.now() + after

    def awaits(_: object, __: Cluster, node: Node) -> str:
        if session.options.clock.now() < ready - 1.0 and after:
            raise Unreachable(node.name, "whether it is there", "not yet")
        return "" if session.options.clock.now() >= ready else "docker.service"

    monkeypatch.setattr(fault, "awaits", awaits, raising=False)
    session.break_(fault(), "n1", Hold(1.0))
    entries = History.load(session.recorder.path).entries
    decided = next(entry.time for entry in entries if isinstance(entry.event, FaultStage))
    notes = [entry.event.text for entry in entries if isinstance(entry.event, Note)]
    if not after:
        assert (decided, notes) == (0.0, [])
    elif after == 3.0:
        assert 3.0 <= decided < 3.2
        assert [re.sub(r"3\.\d+", "3", each) for each in notes] == [
            "fault 1 (test.scripted) waited 3 s for docker.service on n1, an answer of n1"
        ]
    else:
        assert readiness.SECONDS <= decided < readiness.SECONDS + 1.0
        assert notes[0].endswith("for an answer of n1, in vain")
    assert _stages(session) == [Stage.DECIDED, Stage.INJECTED, Stage.IN_FORCE, Stage.HEALING, Stage.HEALED]


@pytest.mark.parametrize("loses", [Loss.NODE, Loss.PROCESS, Loss.NOTHING])
@pytest.mark.parametrize("after", [0.0, 3.0, math.inf], ids=["all runs", "it starts something", "it never ends"])
def test_a_fault_waits_for_what_the_one_before_left_to_be_started(
    session: Session, fault: type[Scripted], monkeypatch: pytest.MonkeyPatch, loses: Loss, after: float
) -> None:
    """Else what a node still lacks of the first would be the second's doing, in what is asked under it. Not where nothing was stopped."""
    clock, node = session.options.clock, session.cluster.node("n1")
    healed: list[float] = []
    monkeypatch.setattr(fault, "traits", Traits(loses))
    fault.on_heal = staticmethod(lambda: healed.append(clock.now()))

    def jobs(argv: Sequence[str], _: bytes) -> Result:
        starting = bool(healed) and clock.now() < healed[0] + after
        return Result(tuple(argv), 0, b"  7 docker.service start running\n  8 gone.service stop waiting\n" if starting else b"", b"")

    assert isinstance(node, MemoryNode)
    node.programs["systemctl"] = jobs
    session.break_(fault(), "n1", Hold(1.0))
    session.break_(fault(), "n2", Hold(1.0))
    entries = History.load(session.recorder.path).entries
    notes = [entry.event.text for entry in entries if isinstance(entry.event, Note)]
    decided = max(entry.time for entry in entries if isinstance(entry.event, FaultStage) and entry.event.stage is Stage.DECIDED)
    waited = decided - healed[0]
    if not after or loses is Loss.NOTHING:
        assert (notes, waited < 0.5) == ([], True)
        return
    seconds = min(after, readiness.SECONDS)
    assert seconds <= waited < seconds + 1.0
    vain = ", in vain" if after > readiness.SECONDS else ""
    assert [re.sub(r"\d+\.\d+ s", "so long", each) for each in notes] == [
        f"fault 2 (test.scripted) waited so long for what was mended before: docker.service on n1{vain}"
    ]


def test_a_fault_does_not_wait_for_a_node_that_another_one_holds(
    session: Session, fault: type[Scripted], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it lacks will not come while that goes on."""
    monkeypatch.setattr(fault, "traits", Traits(Loss.PROCESS))
    node = session.cluster.node("n1")
    assert isinstance(node, MemoryNode)
    node.programs["systemctl"] = lambda argv, _: Result(tuple(argv), 0, b"7 docker.service start running\n", b"")
    session.start(fault(), "n1", "one")
    session.start(fault(), "n2", "two")
    session.heal("two")
    fault.broken.add("n1")
    session.break_(fault(), "n3", Hold(1.0))
    assert not [each for _, each in History.load(session.recorder.path).each(Note)]


def test_a_node_that_another_fault_held_is_waited_for_once_that_is_mended(
    session: Session, fault: type[Scripted], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has still not started what the first fault left: that would be the next one's doing. Once it has, nobody waits for it any more."""
    clock, node = session.options.clock, session.cluster.node("n1")
    assert isinstance(node, MemoryNode)
    until = [math.inf]
    node.programs["systemctl"] = lambda argv, _: Result(
        tuple(argv), 0, b"7 docker.service start running\n" if clock.now() < until[0] else b"", b""
    )
    monkeypatch.setattr(fault, "traits", Traits(Loss.PROCESS))
    session.start(fault(), "n1", "one")
    session.start(fault(), "n1", "two")
    session.heal("one")
    monkeypatch.setattr(fault, "traits", Traits(Loss.NOTHING))
    fault.broken.add("n1")
    session.break_(fault(), "n3", Hold(1.0))
    session.heal("two")
    until[0] = clock.now() + 3.0
    session.break_(fault(), "n3", Hold(1.0))
    session.break_(fault(), "n3", Hold(1.0))
    notes = [each.text for _, each in History.load(session.recorder.path).each(Note)]
    assert [re.sub(r"\d+\.\d+ s", "so long", each) for each in notes] == [
        "fault 4 (test.scripted) waited so long for what was mended before: docker.service on n1"
    ]


@pytest.mark.parametrize("slow", [False, True], ids=["usual", "slow"])
@pytest.mark.parametrize("ever", [True, False], ids=["soon", "never"])
def test_the_last_checks_wait_for_what_was_mended(
    session: Session, fault: type[Scripted], monkeypatch: pytest.MonkeyPatch, *, ever: bool, slow: bool
) -> None:
    """A machine that is back may still start Docker, which is no no; where it is slow, and never does in time, a no of it is unknown."""
    clock, node = session.options.clock, session.cluster.node("n1")
    assert isinstance(node, MemoryNode)
    until = math.inf

    def systemctl(argv: Sequence[str], _: bytes) -> Result:
        if argv[1] == "list-jobs":
            return Result(tuple(argv), 0, b"7 docker.service start running\n" if clock.now() < until else b"", b"")
        return Result(tuple(argv), 0, b"LoadState=loaded\nActiveState=activating\nUnitFileState=enabled\n", b"")

    node.programs["systemctl"] = systemctl
    monkeypatch.setattr(fault, "traits", Traits(Loss.NODE))
    session.plan = dataclasses.replace(session.plan, checks=(Check("service", "docker", {"is_running": True}, "n1", ("after",)),))
    with pace.measured(clock):
        session.break_(fault(), "n1", Hold(1.0))
        until = clock.now() + 3.0 if ever else math.inf
        if slow:
            pace.saw("this", 3.0, 1.0)
        session.end()
    history = History.load(session.recorder.path)
    notes = [each.text for _, each in history.each(Note)]
    assert any("the last checks waited" in each and each.endswith("in vain") is not ever for each in notes), notes
    ((_, answer),) = history.each(Checked)
    assert answer.outcome is (Outcome.UNKNOWN if slow and not ever else Outcome.FAIL), answer


def test_a_node_that_was_waited_for_in_vain_is_waited_for_again(
    session: Session, fault: type[Scripted], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it lacks then is still the first fault's doing."""
    node = session.cluster.node("n1")
    assert isinstance(node, MemoryNode)
    node.programs["systemctl"] = lambda argv, _: Result(tuple(argv), 0, b"7 docker.service start running\n", b"")
    monkeypatch.setattr(fault, "traits", Traits(Loss.PROCESS))
    session.break_(fault(), "n1", Hold(1.0))
    for _ in range(2):
        session.break_(fault(), "n2", Hold(1.0))
    notes = [each.text for _, each in History.load(session.recorder.path).each(Note)]
    assert [each.endswith("docker.service on n1, in vain") for each in notes] == [True, True]


def test_an_answer_takes_no_longer_than_there_is_patience() -> None:
    """But a moment at least: who has hardly any time left asks once more. What takes less is given no more."""
    clock = FakeClock()
    left = Deadline(clock, 10.0)
    given = [readiness.answer_seconds(left, 3.0)]
    for seconds in (8.0, 1.8, 5.0):
        clock.advance(seconds)
        given.append(readiness.answer_seconds(left, 3.0))
    assert given == pytest.approx([3.0, 2.0, readiness.LAST_SECONDS, readiness.LAST_SECONDS])
    assert readiness.answer_seconds(left, 0.25) == 0.25


def test_the_waits_of_one_fault_share_one_patience(session: Session, fault: type[Scripted], monkeypatch: pytest.MonkeyPatch) -> None:
    """For what was mended before, and for what it breaks: both in vain take no longer than one."""
    clock, node = session.options.clock, session.cluster.node("n1")
    assert isinstance(node, MemoryNode)
    node.programs["systemctl"] = lambda argv, _: Result(tuple(argv), 0, b"7 docker.service start running\n", b"")
    monkeypatch.setattr(fault, "traits", Traits(Loss.PROCESS))
    session.break_(fault(), "n1", Hold(1.0))
    monkeypatch.setattr(fault, "awaits", lambda *_: "etcd", raising=False)
    before = clock.now()
    hold = Hold(1.0)
    session.break_(fault(), "n2", hold)
    assert clock.now() - before < readiness.SECONDS + hold.seconds + 2.0
    notes = [each.text for _, each in History.load(session.recorder.path).each(Note)]
    assert [each.partition(" for ")[2] for each in notes] == [
        "what was mended before: docker.service on n1, in vain",
        "etcd on n2, in vain",
    ]


def test_the_wait_for_many_nodes_that_give_no_answer_is_no_longer_than_for_one(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are asked at once, each for no longer than there is patience."""
    meeting = threading.Barrier(len(session.cluster.nodes), timeout=20.0)
    given: list[float] = []
    left = readiness.patience(session.options.clock, 0.0)

    def silent(self: Node, *_: str, timeout: float = 0.0, stdin: bytes = b"") -> Result:
        given.append(timeout)
        if meeting.wait() == 0 and not meeting.broken:
            session.options.clock.advance(timeout)  # type: ignore[attr-defined]  # the fake clock
        raise Unreachable(self.name, "its jobs", "silence")

    monkeypatch.setattr(MemoryNode, "run", silent)
    after = Aftermath(session.cluster, session.recorder)
    after.add(NodeKill(), [node.name for node in session.cluster.nodes])
    after.wait("fault 2", (), left)
    assert {*given} == {*given, aftermath.ASK_SECONDS}
    assert max(given) == aftermath.ASK_SECONDS
    assert readiness.SECONDS <= session.options.clock.now() <= readiness.SECONDS + readiness.LAST_SECONDS
    notes = [each.text for _, each in History.load(session.recorder.path).each(Note)]
    assert [each.partition("before: ")[2] for each in notes] == ["an answer of n1, an answer of n2, an answer of n3, in vain"]


def test_a_fault_awaits_nothing_of_a_machine_that_is_off(session: Session, fault: type[Scripted], monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing will come while it is: what that means is the fault's to say."""
    monkeypatch.setattr(fault, "awaits", lambda *_: "docker.service", raising=False)
    provider: Any = session.cluster.provider
    provider.off(session.cluster.node("n1"))
    session.break_(fault(), "n1", Hold(1.0))
    assert _stages(session)[0] is Stage.DECIDED
    assert not any(isinstance(entry.event, Note) for entry in History.load(session.recorder.path).entries)


def test_a_fault_that_never_bites_is_told_and_not_held(session: Session, fault: type[Scripted]) -> None:
    """Injected is not in force: only the node's word counts."""
    fault.bites = False
    before = session.recorder.now()
    session.break_(fault(), "n1", Hold(1000.0))
    assert Stage.IN_FORCE not in _stages(session)
    assert Stage.FAILED in _stages(session)
    assert session.recorder.now() - before < 1000.0


def test_a_heal_that_fails_once_is_tried_again(session: Session, fault: type[Scripted]) -> None:
    """One refusal of a node is not the end of the heal."""

    def fail_once() -> None:
        if fault.calls.count("heal") == 1:
            raise HarnessError("n1 was busy")

    fault.on_heal = staticmethod(fail_once)
    session.break_(fault(), "n1", Hold(1.0))
    assert fault.calls == ["inject", "heal", "heal"]
    assert _open(session) == []


def test_a_heal_that_never_works_is_loud_and_stays_in_the_ledger(session: Session, fault: type[Scripted]) -> None:
    """What could not be mended is an error of the harness, and `whalefall heal` still finds it."""

    def fail() -> None:
        raise HarnessError("n1 said no")

    fault.on_heal = staticmethod(fail)
    with pytest.raises(FaultFailed, match="could not be healed"):
        session.break_(fault(), "n1", Hold(1.0))
    assert _open(session) == [1]
    assert _stages(session)[-1] is Stage.FAILED


def test_a_stop_in_the_middle_of_a_hold_mends_first(session: Session, fault: type[Scripted]) -> None:
    """The run ends at once when it is asked to, and nothing stays broken."""
    fault.on_inject = staticmethod(session.options.stop.set)
    with pytest.raises((Stopped, FaultFailed)):
        session.break_(fault(), "n1", Hold(1000.0))
    assert fault.broken == set()
    assert _open(session) == []


def test_a_fault_that_finds_nobody_is_told_and_breaks_nothing(session: Session, fault: type[Scripted]) -> None:
    """No ledger line, no injection; whoever wrote the scenario in Python gets an error, and the history has it as a fault that failed."""
    session.plan = bare_plan(Break(fault(), "n1 & leader", Hold(1.0)))  # else it is refused, for nobody leads in this mode
    with pytest.raises(ImpossibleTarget, match="no target for 'n1 & leader'"):
        session.break_(fault(), "n1 & leader", Hold(1.0))
    assert fault.calls == []
    assert _open(session) == []
    (told,) = [event for _, event in History.load(session.recorder.path).each(FaultStage)]
    assert (told.name, told.targets, told.stage) == ("test.scripted", (), Stage.FAILED)
    assert told.detail.startswith("no target for 'n1 & leader': it is not known who leads now")


def test_a_run_whose_fault_finds_nobody_goes_to_its_end_and_is_unknown(
    session: Session, fault: type[Scripted], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It settles and asks what is to be asked after, breaks nothing more, and nobody can say that a promise was kept."""
    monkeypatch.setattr(session.situation, "missing", lambda _: [])
    check = Check("container", "web-1", {"exists": True}, "all", ("after",))
    steps = (Break(fault(), "leader", Hold(1.0)), Break(fault(), "n1", Hold(1.0)))
    session.plan = dataclasses.replace(bare_plan(*steps), checks=(check,))
    session.walk()
    assert fault.calls == []
    history = History.load(session.recorder.path)
    assert [event.phase for _, event in history.each(PhaseBegan)] == [Phase.STEADY, Phase.FAULTS, Phase.SETTLING, Phase.FINAL]
    assert len([event for _, event in history.each(Checked)]) == 3
    finding = Assumptions().check(history)
    assert finding.verdict is Verdict.UNKNOWN
    assert "test.scripted hit nobody: no target for 'leader': it is not known who leads now" in finding.summary


@pytest.mark.parametrize(
    ("on", "seen", "outcome", "saw"),
    [
        ("hosting(web)", "n1 n2 n3", Outcome.FAIL, "no node that runs web"),
        ("hosting(web) & any", "n1 n2 n3", Outcome.FAIL, "no node that runs web"),
        ("hosting(web)", "n1 n2", Outcome.UNKNOWN, "no target for 'hosting(web)': nothing is left"),
        ("hosting(web)", "", Outcome.UNKNOWN, "no target for 'hosting(web)': nothing is left"),
        ("!hosting(web) & n1 & n2", "n1 n2 n3", Outcome.UNKNOWN, "no target for"),
        ("leader", "n1 n2 n3", Outcome.UNKNOWN, "no target for 'leader': it is not known who leads now"),
        ("follower", "n1 n2 n3", Outcome.UNKNOWN, "no target for 'follower': it is not known who leads now"),
    ],
)
@pytest.mark.parametrize("when", ["before", "during", "after"])
def test_a_check_of_nobody_has_an_answer(
    session: Session, fault: type[Scripted], when: str, on: str, seen: str, outcome: Outcome, saw: str
) -> None:
    """Broken where the nodes themselves say that nobody has what is expected of somebody, else unknown; the run goes on."""
    web = App("web", 1)
    session.situation = Situation(("n1", "n2", "n3"), (web,), (), called={}, writes=None)
    for name in seen.split():
        session.situation.hear(Entry(0, 0.0, NodeSeen(name, NodeState.OFF if name == "n3" else NodeState.UP)))
    if seen and "n3" not in seen:
        session.situation.hear(Entry(0, 0.0, NodeSeen("n3", NodeState.UNREACHABLE)))
    check = Check("service", "docker", {"is_running": True}, on, (when,))
    session.plan = dataclasses.replace(bare_plan(), checks=(check,))
    if when == "during":
        session.break_(fault(), "n1", Hold(1.0))
    else:
        session._check(when)
    (told,) = [event for _, event in History.load(session.recorder.path).each(Checked)]
    assert (told.node, told.when, told.outcome) == ("", when, outcome)
    assert told.saw.startswith(saw)
    finding = Checks().check(History.load(session.recorder.path))
    assert finding.verdict is (Verdict.BROKEN if outcome is Outcome.FAIL else Verdict.UNKNOWN)
    assert finding.summary.startswith("no node: service docker is_running")


NEXT: dict[str, tuple[str | None, float, list[tuple[str, Outcome]]]] = {
    # who leads after the fault hit who led; for how long it is held; who is asked while it is, and how it answers
    "another leads before it is over": ("n2", 10.0, [("n2", Outcome.OK)]),
    "nobody leads while it lasts": (None, 10.0, [("", Outcome.UNKNOWN)]),
    "it is too short to look twice": ("n2", 2.0, [("", Outcome.UNKNOWN)]),
}


@pytest.mark.parametrize("case", NEXT)
def test_a_check_during_a_fault_is_for_who_leads_or_hosts_then_and_never_for_a_machine_that_it_took(
    session: Session, fault: type[Scripted], monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    """It waits for whoever is next, for as long as the fault is held and it is asked once more; if nobody is, that is its answer."""
    after, seconds, answers = NEXT[case]
    web, container = App("web", 1), Container("0" * 64, "web@1")
    session.situation = Situation(("n1", "n2", "n3"), (web,), ("n1", "n2", "n3"), called={}, writes=None)
    kind = traits.to_history(Traits(Loss.NODE), ("n1",))
    heard = [
        *(NodeSeen(name, NodeState.UP, (container,) if name == "n1" else ()) for name in ("n1", "n2", "n3")),
        *(MemberSeen(name, 3, "n1") for name in ("n1", "n2", "n3")),
    ]
    for event in heard:
        session.situation.hear(Entry(0, 0.0, event))
    went = session._pause

    def taken() -> None:
        session.situation.hear(Entry(0, 1.0, FaultStage(1, fault.name, ("n1",), Stage.IN_FORCE, {}, "", kind)))

    def pause(length: float) -> None:
        went(length)
        if after is not None:
            session.situation.hear(Entry(0, 9.0, NodeSeen(after, NodeState.UP, (container,))))
            for name in ("n2", "n3"):
                session.situation.hear(Entry(0, 9.0, MemberSeen(name, 4, after)))

    monkeypatch.setattr(session, "_pause", pause)
    fault.on_inject = staticmethod(taken)
    checks = tuple(Check("file", f"/{number}", {"exists": True}, on, ("during",)) for number, on in enumerate(("leader", "hosting(web)")))
    session.plan = dataclasses.replace(bare_plan(), checks=checks)
    session.break_(fault(), "n1", Hold(seconds))
    told = [event for _, event in History.load(session.recorder.path).each(Checked)]
    for check in checks:
        assert [(each.node, each.outcome if not each.node else Outcome.OK) for each in told if each.check == str(check)] == answers


def test_nodes_that_must_not_be_broken_are_asked_all_the_same(theirs: Session) -> None:
    """A check changes nothing on a node: `all` are all."""
    check = Check("container", "web-1", {"exists": True}, "all", ("before",))
    theirs.plan = dataclasses.replace(bare_plan(), checks=(check,))
    theirs._check("before")
    assert sorted(event.node for _, event in History.load(theirs.recorder.path).each(Checked)) == ["n1", "n2", "n3"]


def test_the_same_seed_hits_the_same_node(tmp_path: Path, session: Session) -> None:
    """Targets are chosen with the run's seed; another seed chooses another node sooner or later."""

    def chosen(seed: int) -> tuple[str, ...]:
        plan = dataclasses.replace(bare_plan(), seed=seed)
        other = Session(plan, session.options, session.cluster, session.recorder, session._ledger, tmp_path)
        return tuple(other.resolve("any")[0] for _ in range(8))

    assert chosen(1) == chosen(1)
    assert len({chosen(seed) for seed in range(5)}) > 1


def test_a_fault_that_cannot_be_made_is_found_before_the_run(session: Session, fault: type[Scripted]) -> None:
    """Unsupported names the fault, the node, the reason and what it needs."""
    session.plan = bare_plan(Break(fault(), "n1", Hold(1.0)))
    session.must_be_possible()
    fault.possible = False
    with pytest.raises(Unsupported, match=r"test\.scripted cannot be made on n1: it cannot be made in tests; it needs a tester"):
        session.must_be_possible()


@pytest.mark.parametrize(("bad", "whole"), [(1, True), (math.inf, False)])
def test_a_cluster_is_whole_only_while_no_call_ends_badly(
    session: Session, monkeypatch: pytest.MonkeyPatch, bad: float, *, whole: bool
) -> None:
    """Though each is followed by one that is answered well before anybody looks: one bad answer is waited out, and bad answers all along are."""

    def nothing(_: float) -> list[str]:
        session.situation.refusals += session.situation.refusals < bad
        return []

    monkeypatch.setattr(session.situation, "missing", nothing)
    session.plan = bare_plan()
    session.walk()
    seen = next(event for _, event in History.load(session.recorder.path).each(Wholeness))
    assert (seen.when, seen.whole, seen.missing) == ("before", whole, () if whole else ("it was whole only for a moment",))


def test_a_plan_is_walked_through_all_its_phases(session: Session, fault: type[Scripted], monkeypatch: pytest.MonkeyPatch) -> None:
    """Steady, faults, settling, final, in order; a cluster that does not look whole again is told, for the checkers to judge."""
    monkeypatch.setattr(session.situation, "missing", lambda _: ["n3 is off"] if fault.calls else [])
    session.plan = bare_plan(Wait(2.0), Break(fault(), "n3", Hold(1.0)), Wait(1.0))
    session.walk()
    history = History.load(session.recorder.path)
    assert [event.phase for _, event in history.each(PhaseBegan)] == [Phase.STEADY, Phase.FAULTS, Phase.SETTLING, Phase.FINAL]
    decided = next(entry.time for entry, event in history.each(FaultStage))
    assert decided >= 2.0
    assert [(event.when, event.whole, event.missing) for _, event in history.each(Wholeness)] == [
        ("before", True, ()),
        ("after", False, ("n3 is off",)),
    ]
    assert any("not whole again after 1 s: n3 is off" in event.text for _, event in history.each(Note))


def test_a_run_id_fits_into_every_name_that_is_made_of_it() -> None:
    """Long scenario names and big seeds still give an id that folders, namespaces and sockets can carry, and no two are alike."""
    plan = dataclasses.replace(bare_plan(), scenario="a-very-long-scenario-name-that-goes-on-and-on", seed=2**63 - 1)
    ids = {run_id_of(plan) for _ in range(20)}
    assert len(ids) == 20
    for each in ids:
        run_folder(each)
        assert len(each) <= 50
        assert f"-s{plan.seed}-" in each


def test_latest_points_to_the_newest_run_also_when_two_start_at_once(tmp_path: Path) -> None:
    """The link is replaced in one step, so runs side by side do not fall over each other."""
    folders = [tmp_path / f"run-{number}" for number in range(8)]
    for folder in folders:
        folder.mkdir()
    threads = [threading.Thread(target=_point, args=(tmp_path / "latest", folder)) for folder in folders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "latest").resolve() in folders
    assert [each.name for each in tmp_path.iterdir() if each.name.startswith(".")] == []


def test_the_plan_is_saved_as_json(tmp_path: Path) -> None:
    """What is saved of a plan is JSON that makes the same plan again."""
    plan = bare_plan(Wait(1.0))
    assert json.loads(json.dumps(plan.to_json()))["steps"] == [{"wait": 1.0}]


def test_a_fault_that_something_else_undid_is_told(session: Session, fault: type[Scripted]) -> None:
    """Asked again just before mending: what was not held to the end proves nothing, and the history says so."""

    def undo(entry: Entry) -> None:
        if isinstance(entry.event, FaultStage) and entry.event.stage is Stage.IN_FORCE:
            fault.broken.clear()

    session.recorder.listen(undo)
    session.break_(fault(), "n2", Hold(1.0))
    assert _stages(session) == [Stage.DECIDED, Stage.INJECTED, Stage.IN_FORCE, Stage.FAILED, Stage.HEALING, Stage.HEALED]


def test_a_cluster_that_is_not_sound_is_not_broken(session: Session, fault: type[Scripted]) -> None:
    """With a step to take and a cluster that never looked whole, nothing is done to it, and the history says what was missing."""
    session.plan = bare_plan(Break(fault(), "n3", Hold(1.0)))
    session.walk()
    history = History.load(session.recorder.path)
    assert fault.calls == []
    (seen,) = [event for _, event in history.each(Wholeness)]
    assert (seen.when, seen.whole) == ("before", False)
    assert "n1 is not seen yet" in seen.missing


def _notes(session: Session) -> list[str]:
    return [event.text for _, event in History.load(session.recorder.path).each(Note)]


def _seen(session: Session, **running: str) -> None:
    """Have each node seen to run one instance, or nothing."""
    session.situation._apps = (App("web", len(SPECS)),)
    for node, instance in running.items():
        containers = (Container("0" * 64, instance),) if instance else ()
        session.situation.hear(Entry(0, 0.0, NodeSeen(node, NodeState.UP, containers)))


NOTHING_TO_AWAIT: dict[str, tuple[dict[str, str], Traits, str]] = {
    "nothing runs there": (
        {"n1": "web@1", "n2": "", "n3": ""},
        Traits(Loss.NODE),
        "no work runs on n2, so there is no recovery to wait for",
    ),
    "nobody is lost": ({"n1": "", "n2": "web@1", "n3": ""}, Traits(), "nobody is lost to it, so there is no recovery to wait for"),
    "nobody has room": (
        {"n1": "web@1", "n2": "web@2", "n3": "web@3"},
        Traits(Loss.NODE),
        "no node that is left may run web@2, so there is no recovery to wait for",
    ),
}


@pytest.mark.parametrize("case", NOTHING_TO_AWAIT)
def test_a_recovery_that_cannot_come_is_not_there_at_once(session: Session, fault: type[Scripted], case: str) -> None:
    """It is said when the fault fires, and the fault is held for all of its time."""
    running, kind, why = NOTHING_TO_AWAIT[case]
    fault.traits = kind
    _seen(session, **running)
    begun = session.options.clock.now()
    session.break_(fault(), "n2", Hold(40.0, RECOVERED))
    assert _notes(session) == [f"fault 1: {why}: it is held for 40 s"]
    assert session.options.clock.now() - begun >= 40.0


def test_what_the_plan_warns_of_is_in_the_history(session: Session, fault: type[Scripted]) -> None:
    """For those who did not read the plan before."""
    session.plan = dataclasses.replace(bare_plan(Break(fault(), "n3", Hold(1.0))), apps=(App("web", 4),))
    session.walk()
    warning = "warning: 4 instances of web, never two on one node, on 3 nodes: there is no node for 1 of them"
    assert any(text.startswith(warning) for text in _notes(session))


def test_a_leadership_that_nobody_has_does_not_move_at_once(session: Session, fault: type[Scripted]) -> None:
    """The first to be elected while the fault is held follows nobody: that is no move."""
    members = ("n1", "n2", "n3")
    session.situation._members = members

    def elect() -> None:
        for name in members:
            session.situation.hear(Entry(0, 0.0, MemberSeen(name, 2, "n3")))

    fault.on_inject = staticmethod(elect)
    begun = session.options.clock.now()
    session.plan = bare_plan(Break(fault(), "n2", Hold(40.0, LEADER_MOVED)))  # else it is refused, for nobody leads in this mode
    session.break_(fault(), "n2", Hold(40.0, LEADER_MOVED))
    assert _notes(session) == ["fault 1: nobody led when it fired, so there is no leadership that could move: it is held for 40 s"]
    assert session.options.clock.now() - begun >= 40.0


def test_a_recovery_that_may_come_is_waited_for(session: Session, fault: type[Scripted]) -> None:
    """With a node that has room for what runs on the lost one; here it does not come, and that is said."""
    fault.traits = Traits(Loss.NODE)
    _seen(session, n1="", n2="web@1", n3="")
    session.break_(fault(), "n2", Hold(40.0, RECOVERED))
    assert _notes(session) == ["held for 40 s: not recovered in that time"]


@pytest.mark.parametrize(("gone", "notes", "at_least"), [(False, [], 5.0), (True, ["recovered, and not for long: it is held on"], 10.0)])
def test_a_recovery_is_one_that_stays(session: Session, fault: type[Scripted], *, gone: bool, notes: list[str], at_least: float) -> None:
    """Seen for two seconds and for three more until it is mended; what is gone again by then is waited for anew."""
    fault.traits = Traits(Loss.NODE)
    _seen(session, n1="", n2="web@1", n3="")
    begun = session.options.clock.now()

    def recovered(*_: object, **__: object) -> bool:
        since = session.options.clock.now() - begun
        return not (gone and 3.0 <= since < 5.0)

    session.situation.recovered = recovered  # type: ignore[method-assign]
    session.break_(fault(), "n2", Hold(40.0, RECOVERED))
    assert _notes(session) == notes
    assert at_least <= session.options.clock.now() - begun < at_least + 1.0


def test_what_kind_of_fault_it_is_and_who_is_lost_to_it_stand_in_the_history(session: Session, fault: type[Scripted]) -> None:
    """At every stage; a fault that declares nothing loses nobody."""
    session.break_(fault(), "n2", Hold(1.0))
    fault.traits = Traits(Loss.PROCESS, ("docker",), in_place=True)
    session.break_(fault(), "n2", Hold(1.0))
    stages = [event for _, event in History.load(session.recorder.path).each(FaultStage)]
    assert {traits.from_history(event.traits) for event in stages if event.fault == 1} == {(Traits(), ())}
    assert {traits.from_history(event.traits) for event in stages if event.fault == 2} == {
        (Traits(Loss.PROCESS, ("docker",), in_place=True), ("n2",))
    }


def test_a_history_that_cannot_be_written_ends_the_run(session: Session, fault: type[Scripted]) -> None:
    """What is not in the history cannot be judged: an error in words, and nothing is broken any more."""
    session.recorder.failure = OSError(28, "No space left on device")
    with pytest.raises(HarnessError, match="No space left"):
        session.break_(fault(), "n1", Hold(1.0))
    assert fault.calls == []


class Theirs(MemoryProvider):
    """A provider of hosts that somebody else runs: n1 is protected, n3 allows only some faults, two may be broken at once."""

    def spared(self, run_id: str) -> frozenset[str]:
        """Return n1."""
        return frozenset({"n1"})

    def at_once(self, run_id: str) -> int:
        """Return two."""
        return 2

    def refusal(self, run_id: str, node: str, what: Fault | Action) -> Unavailable | None:
        """Refuse what begins with ``no.`` on n3, and all on n1."""
        refused = node == "n1" or (node == "n3" and what.name.startswith("no."))
        return Unavailable(f"the mark on {node} allows only net.partition", "it in the mark") if refused else None


@pytest.fixture
def theirs(session: Session) -> Session:
    """Return the session, over hosts that somebody else runs."""
    session.cluster.provider = Theirs(store=session.cluster.provider.store)  # type: ignore[attr-defined]
    return session


def test_what_a_hosts_mark_forbids_is_refused_before_the_run(
    theirs: Session, fault: type[Scripted], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each node that could be hit is asked; one that is spared is not, whatever its own mark says."""
    theirs.plan = bare_plan(Break(fault(), "any", Hold(1.0)))
    theirs.must_be_possible()
    monkeypatch.setattr(fault, "name", "no.thing")
    with pytest.raises(Unsupported) as e:
        theirs.must_be_possible()
    assert str(e.value) == "no.thing cannot be made on n3: the mark on n3 allows only net.partition; it needs it in the mark"


def test_what_a_hosts_mark_does_not_name_no_action_does_to_it(theirs: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever its scenario says of a command. One that is done to no node changes none; a protected host is no target."""
    harmless = RunCommand("true", disturbs=False)
    for expression in ("n2", "any"):
        theirs.plan = bare_plan(Do(harmless, expression, 5.0))
        theirs.must_be_possible()
    permission.must_be_doable(theirs.cluster, harmless, "hit")
    for expression in ("n1", "all", "!n3"):
        theirs.plan = bare_plan(Do(harmless, expression, 5.0))
        with pytest.raises(Unsupported, match=r"command is refused: no target for .*: n1 is protected and must not be broken"):
            theirs.must_be_possible()
        with pytest.raises(Unsupported, match="n1 is protected"):
            theirs.act(harmless, expression)
    monkeypatch.setattr(RunCommand, "name", "no.thing")
    said = "no.thing cannot be made on n3: the mark on n3 allows only net.partition"
    theirs.plan = bare_plan(Do(harmless, "any", 5.0))
    for refused in (theirs.must_be_possible, lambda: theirs.act(harmless, "n2")):
        with pytest.raises(Unsupported, match=said):
            refused()
    monkeypatch.setattr(RunCommand, "aims", False)
    theirs.must_be_possible()


def test_a_target_that_holds_a_protected_node_is_refused_before_the_run(theirs: Session, fault: type[Scripted]) -> None:
    """In one line, as is what would break too many at once."""
    for expression, said in (
        ("n1", "test.scripted is refused: no target for 'n1': n1 is protected"),
        ("hosting(web) & n1", "n1 is protected and must not be broken; of the others it can hit 0 at most"),
        ("all", "'all' may break 3 at once, and 2 is allowed"),
    ):
        theirs.plan = bare_plan(Break(fault(), expression, Hold(1.0)))
        with pytest.raises(Unsupported) as e:
            theirs.must_be_possible()
        assert said in str(e.value)
        assert "\n" not in str(e.value)
    theirs.plan = bare_plan(Break(fault(), "majority", Hold(1.0)))
    theirs.must_be_possible()


def test_a_scenario_in_python_is_held_to_the_marks_too(theirs: Session, fault: type[Scripted], monkeypatch: pytest.MonkeyPatch) -> None:
    """It has no plan to look at before: the fault itself is refused, and no ledger line is written."""
    assert theirs.break_(fault(), "n2", Hold(1.0)) == ("n2",)
    fault.calls.clear()
    monkeypatch.setattr(fault, "name", "no.thing")
    with pytest.raises(Unsupported, match=r"no\.thing cannot be made on n3: the mark on n3"):
        theirs.break_(fault(), "n3", Hold(1.0))
    monkeypatch.setattr(Theirs, "at_once", lambda self, run_id: 1)
    with pytest.raises(Unsupported, match="on n2, n3 would break 2 at once, and 1 is allowed"):
        theirs.break_(fault(), "!n1", Hold(1.0))
    assert fault.calls == []
    assert _open(theirs) == []


def test_what_a_cluster_that_runs_already_does_not_tell_is_in_the_history(theirs: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the mode could not find out is a note, and told to whoever listens."""
    told: list[str] = []
    theirs.options.listener = lambda progress: told.append(progress.text)
    mode = theirs.cluster.mode
    for name, each in (
        ("adopt", lambda _: None),
        ("withdraw", lambda _, __: None),
        ("remarks", ("the timers of n2 could not be read",)),
    ):
        monkeypatch.setattr(type(mode), name, staticmethod(each) if callable(each) else each, raising=False)
    monkeypatch.setattr(Plan, "timed", lambda self, mode: self)
    lending._formed(theirs.plan, theirs.options, theirs.cluster, theirs.folder, theirs.recorder, {})
    assert [event.text for _, event in History.load(theirs.recorder.path).each(Note)] == ["the timers of n2 could not be read"]
    assert "the timers of n2 could not be read" in told


class Held(Theirs):
    """One whose hosts are held until they are let go."""

    gone: ClassVar[list[str]] = []

    def runs(self) -> dict[str, bool]:
        """Return the one run, until it was let go."""
        return {} if type(self).gone else {"run-1": True}

    def keep(self, run_id: str, *, over: bool = False) -> None:
        """Keep nothing."""

    def is_kept(self, run_id: str) -> bool:
        """Whether it is kept: never."""
        return False

    def note_results(self, run_id: str, folder: Path) -> None:
        """Note nothing."""

    def results(self, run_id: str) -> Path | None:
        """Return nothing."""
        return None

    def destroy(self, run_id: str) -> None:
        """Let go."""
        type(self).gone.append(run_id)


@pytest.mark.parametrize("left", ["an app", "a fault", ""])
def test_hosts_are_not_let_go_while_something_of_the_run_is_on_them(
    session: Session, fault: type[Scripted], monkeypatch: pytest.MonkeyPatch, left: str
) -> None:
    """Only their record says where to mend and clear up: that is left to the reaper, which keeps it where it fails, too."""
    monkeypatch.setattr(Held, "gone", [])
    done: list[str] = []
    reaper = types.SimpleNamespace(abandon=lambda: done.append("abandon"), dismiss=lambda: done.append("dismiss"))
    if left == "a fault":
        session._ledger.open(1, fault(), ("n1",))
    said = lending._farewell(Held(), session._ledger, keep=False)
    assert said.startswith("not letting the hosts go") is (left == "a fault")
    lending._undo(Held(), session._ledger, "run-1", reaper, keep=False, left=left == "an app")  # type: ignore[arg-type]
    assert (done, Held.gone) == ((["abandon"], []) if left else (["dismiss"], ["run-1"]))


ENDS: dict[str, tuple[BaseException, str]] = {
    "a disk that died": (HarnessError("the disk failed"), "the disk failed; and not all of the run could be undone: its folder stays"),
    "a stop": (stops.Stopped("it was asked to stop"), "its folder stays"),
    "an interrupt": (KeyboardInterrupt(), "its folder stays"),
}


@pytest.mark.parametrize("end", ENDS)
def test_what_ended_a_run_is_told_before_what_could_not_be_undone(end: str) -> None:
    """The one mostly comes of the other. One that was asked to stop did not fail by that."""
    ended, said = ENDS[end]

    def undo() -> None:
        raise HarnessError("its folder stays")

    with pytest.raises(HarnessError) as caught:
        lending._after(ended, undo)
    assert str(caught.value) == said
    lending._after(ended, lambda: None)


def test_a_scenario_in_python_is_a_run_like_any_other(session: Session, fault: type[Scripted], monkeypatch: pytest.MonkeyPatch) -> None:
    """What it did and promised is in its plan when it is over, and whoever judges its folder comes to the same."""
    monkeypatch.setattr(session.situation, "missing", lambda _: [])
    session.plan = dataclasses.replace(session.plan, apps=(App("web", 1),))
    save_plan(session.plan, session.folder / "run")
    session.folder = session.folder / "run"
    with Recorder(session.folder / "history.jsonl", session.options.clock) as recorder:
        session.recorder = recorder
        session.begin()
        session.promise(Rescheduled("web"), Conflicts())
        session.break_(fault(), "n2", Hold(1.0))
        session.end()
        run = judged(session)
    assert [(step.fault, step.targets, step.hold) for step in run.plan.breaks] == [(fault(), "n2", Hold(1.0))]
    assert [each.checker for each in run.findings] == ["assumptions", "rescheduled", "conflicts", "settled", "clean"]
    again = load(session.folder)
    assert (again.plan, again.findings) == (run.plan, run.findings)
    assert (session.folder / "verdict.json").is_file()


def test_what_an_assertion_repeats_of_a_cluster_is_a_line(session: Session) -> None:
    """Whoever counts nodes, or compares, reads it in the failure."""
    assert repr(session.cluster) == "<Cluster run-1: n1, n2, n3, bare on memory>"
    assert repr(session) == "<Session of t on <Cluster run-1: n1, n2, n3, bare on memory>>"


@pytest.mark.parametrize("wrong", [Rescheduled, "conflicts", FakeClock(), None])
def test_what_is_no_promise_cannot_be_promised(session: Session, wrong: object) -> None:
    """It says what there is."""
    with pytest.raises(
        HarnessError, match=r"the promises: .*; expected an instance of one of .*Conflicts \(conflicts\).*QuorumSurvived \(quorum\)"
    ):
        session.promise(wrong)  # type: ignore[arg-type]
    assert session.promised == []
