"""A hold is as long as it was promised to be, and a stop is heard, whatever is being asked meanwhile."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from harness.conductor import Options, Session, Stopped, holding
from harness.core import stops
from harness.core.clock import SystemClock, wait_until
from harness.core.errors import HarnessError, Unreachable
from harness.core.protocols import Cluster, Node
from harness.core.values import AFTER, BEFORE, DURING, Outcome, Phase, Result, Stage
from harness.history.events import Checked, Entry, FaultStage, Fingerprinted, History, PhaseBegan
from harness.history.recorder import Recorder
from harness.steps import Break, Check, Hold, Wait
from harness.testing.bare import BareMode
from harness.testing.fake_clock import FakeClock
from harness.testing.memory_node import MemoryNode
from harness.undo.ledger import Ledger
from tests.unit.sessions import Led, Scripted, bare_plan, in_memory, scripted

DOCKER = Check("container", "web-1", {"is_running": True}, "all", (BEFORE, DURING, AFTER))


@pytest.fixture
def fault(monkeypatch: pytest.MonkeyPatch) -> type[Scripted]:
    """Return a scripted fault of this test's own, known by name."""
    return scripted(monkeypatch)


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    """Lend a session over three nodes in memory that always looks whole, with a clock that moves when somebody waits."""
    with in_memory(tmp_path) as made:
        made.situation.missing = lambda now: []  # type: ignore[method-assign]
        yield made


def _nodes(session: Session) -> list[MemoryNode]:
    return [node for node in session.cluster.nodes if isinstance(node, MemoryNode)]


def _history(session: Session) -> History:
    return History.load(session.recorder.path)


def _held(session: Session) -> float:
    """Return how long the one fault was in force."""
    times = {event.stage: entry.time for entry, event in _history(session).each(FaultStage)}
    return times[Stage.HEALING] - times[Stage.IN_FORCE]


def _checked(session: Session, when: str) -> list[tuple[str, Outcome, str]]:
    return sorted((event.node, event.outcome, event.saw) for _, event in _history(session).each(Checked) if event.when == when)


# -- holds


@pytest.mark.parametrize(("seconds", "rounds"), [(5.0, 1), (60.0, 2)])
def test_a_hold_is_kept_whatever_hangs(session: Session, fault: type[Scripted], seconds: float, rounds: int) -> None:
    """Every node hangs when it is asked: the hold is not a moment longer, and what was asked is unknown, with the reason."""
    for node in _nodes(session):
        node.hanging.update({"sh", "docker"})
    session.plan = bare_plan(checks=(DOCKER, dataclasses.replace(DOCKER, name="etcd")))
    session.break_(fault(), "n1", Hold(seconds))
    assert _held(session) == seconds
    late = [(node.name, Outcome.UNKNOWN, "was not answered before the fault was healed") for node in _nodes(session)]
    assert _checked(session, DURING) == sorted(late * 2 * rounds)


def test_what_is_answered_during_a_hold_is_told_when_it_is(tmp_path: Path, session: Session, fault: type[Scripted]) -> None:
    """The answers do not wait for the end of the hold, nor for the node that hangs."""
    clock = FakeClock()
    cluster = dataclasses.replace(session.cluster, clock=clock)
    (tmp_path / "own").mkdir()
    with Recorder(tmp_path / "own" / "history.jsonl", clock) as recorder:
        ledger = Ledger(tmp_path / "own" / "ledger.jsonl", "run-1", "memory", "bare", clock)
        own = Session(bare_plan(checks=(DOCKER,)), Options(tmp_path, clock=clock), cluster, recorder, ledger, tmp_path)
        hung, *others = _nodes(session)
        hung.hanging.update({"sh", "docker"})
        for node in others:
            node.programs["docker"] = lambda argv, _: Result(argv, 1, b"[]", b"Error: No such container: web-1")
        told: list[Entry] = []
        answered = threading.Event()

        def hear(entry: Entry) -> None:
            if isinstance(entry.event, Checked):
                told.append(entry)
                if len(told) == len(others):
                    answered.set()

        recorder.listen(hear)
        walk = threading.Thread(target=own.break_, args=(fault(), "n1", Hold(5.0)))
        walk.start()
        assert answered.wait(20.0)
        assert {entry.event.node for entry in told if isinstance(entry.event, Checked)} == {"n2", "n3"}
        clock.await_waiters(1)
        clock.advance(5.0)
        walk.join(20.0)
        assert not walk.is_alive()
        assert _held(own) == 5.0
        assert _checked(own, DURING)[0] == ("n1", Outcome.UNKNOWN, "was not answered before the fault was healed")


def test_a_last_look_without_an_answer_ends_with_the_hold() -> None:
    """It is not wanted any more: it must not go on asking nodes while they are mended."""
    look = holding._Look(lambda: str(wait_until(lambda: False, awaited="an answer", seconds=3600.0, clock=SystemClock())))
    assert look.answer(0.0).endswith("no answer yet")
    look._thread.join(20.0)
    assert not look._thread.is_alive()


def test_a_fault_that_cannot_be_asked_for_at_the_end_is_healed_all_the_same(session: Session, fault: type[Scripted]) -> None:
    """The last look waits for nobody: without an answer it is not known whether the fault was held, and it is healed."""
    release = threading.Event()

    def ask(cluster: Cluster, target: object) -> bool:
        if fault.calls == ["inject"] and session.recorder.now() > 0:
            release.wait(20.0)
        return bool(fault.broken)

    fault.in_force = staticmethod(ask)  # type: ignore[assignment]
    try:
        session.break_(fault(), "n1", Hold(5.0))
    finally:
        release.set()
    assert _held(session) == 5.0
    said = [event.detail for _, event in _history(session).each(FaultStage) if event.stage is Stage.FAILED]
    assert said == ["cannot be asked whether it is still in force when it was to be mended: no answer yet"]


def test_a_fault_is_healed_only_where_nothing_of_it_is_left_on_any_node(session: Session, fault: type[Scripted]) -> None:
    """A heal that mended one of two nodes is tried again."""

    def heal(self: Scripted, cluster: Cluster, targets: Sequence[Node]) -> None:
        fault.calls.append("heal")
        fault.broken.discard("n1" if fault.calls.count("heal") == 1 else "n2")

    fault.heal = heal  # type: ignore[method-assign]
    session.break_(fault(), "!n3", Hold(5.0))
    assert (fault.calls.count("heal"), fault.broken) == (2, set())


@pytest.mark.parametrize("until", ["recovered", "leader-moved"])
def test_a_hold_until_something_is_seen_lasts_no_longer_than_its_limit(session: Session, fault: type[Scripted], until: str) -> None:
    """What never comes is waited for as long as was said."""
    for node in _nodes(session):
        node.hanging.update({"sh", "docker"})
    session.plan = bare_plan(checks=(DOCKER,))
    session.situation.recovered = lambda *_: False  # type: ignore[method-assign]
    session.cluster.mode = Led()
    session.break_(fault(), "n1", Hold(20.0, until))
    assert _held(session) == pytest.approx(20.0, abs=0.3)


@pytest.mark.parametrize("when", [BEFORE, AFTER])
def test_checks_that_no_fault_waits_for_have_their_time_and_no_more(session: Session, when: str) -> None:
    """Before and after, a node that hangs is given up by the clock of the run, and the run goes on."""
    clock = session.options.clock
    assert isinstance(clock, FakeClock)
    hung, *others = _nodes(session)
    hung.hanging.update({"sh", "docker"})
    for node in others:
        node.refused["docker"] = 1
    heard = threading.Event()
    session.recorder.listen(lambda entry: heard.set() if isinstance(entry.event, Checked) else None)
    session.plan = bare_plan(checks=(dataclasses.replace(DOCKER, when=(when,)),))

    def late() -> None:
        heard.wait(20.0)
        clock.advance(31.0)

    threading.Thread(target=late).start()
    session.walk()
    seen = _checked(session, when)
    assert [name for name, _, _ in seen] == ["n1", "n2", "n3"]
    assert seen[0][1] is Outcome.UNKNOWN
    assert "was not answered within 30 s" in seen[0][2]


# -- stops

MOMENTS: dict[str, Callable[[Entry], bool]] = {
    "becoming steady": lambda entry: _began(entry, Phase.DEPLOYING),
    "waiting": lambda entry: _began(entry, Phase.FAULTS),
    "holding": lambda entry: isinstance(entry.event, FaultStage) and entry.event.stage is Stage.IN_FORCE,
    "settling": lambda entry: _began(entry, Phase.SETTLING),
    "asking before": lambda entry: _began(entry, Phase.STEADY),
    "asking after": lambda entry: isinstance(entry.event, Fingerprinted) and entry.event.when == AFTER,
    "reading for the last time": lambda entry: _began(entry, Phase.FINAL),
}
"""When the run is asked to stop, by name: at the first entry of which this is so."""


def _began(entry: Entry, phase: Phase) -> bool:
    return isinstance(entry.event, PhaseBegan) and entry.event.phase is phase


REASONS: dict[str, tuple[Callable[[Session], object], str]] = {
    "a stop": (lambda session: session.options.stop.set(), "the run was stopped"),
    "a full disk": (
        lambda session: setattr(session.recorder, "failure", OSError(28, "No space left on device")),
        "cannot be written any more: .*No space left on device; free some disk",
    ),
    "a disk that died": (
        lambda session: setattr(session.recorder, "failure", OSError(5, "Input/output error")),
        "cannot be written any more: .*Input/output error; choose another folder",
    ),
    "results that were removed": (
        lambda session: session.recorder.path.unlink(),
        "cannot be written any more: .*removed while the run went on",
    ),
}
"""What ends a run, and what is then said."""


@pytest.mark.parametrize("reason", REASONS)
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_run_ends_at_any_moment(session: Session, fault: type[Scripted], moment: str, reason: str) -> None:
    """Nothing more is begun or waited for, what is broken is mended, and what ended the run is raised."""
    session.plan = bare_plan(Wait(1000.0), Break(fault(), "n1", Hold(1000.0)), Wait(1000.0), checks=(DOCKER,), settle=1000.0)
    ended: list[float] = []

    def hear(entry: Entry) -> None:
        if not ended and MOMENTS[moment](entry):
            ended.append(entry.time)
            REASONS[reason][0](session)

    session.recorder.listen(hear)
    session.recorder.record(PhaseBegan(Phase.DEPLOYING))
    with pytest.raises(Stopped if reason == "a stop" else HarnessError, match=REASONS[reason][1]):
        session.walk()
    assert session.recorder.now() - ended[0] < 1.0
    assert fault.broken == set()


def test_results_that_were_removed_are_seen_while_another_writes(session: Session) -> None:
    """Whoever waits next waits in vain: it looks whoever has the recorder."""
    found: list[OSError | None] = []

    def hear(entry: Entry) -> None:  # called while its thread has the recorder
        session.recorder.path.unlink()
        looking = threading.Thread(target=lambda: found.append(session.recorder.look()))
        looking.start()
        looking.join(20.0)

    session.recorder.listen(hear)
    session.recorder.record(PhaseBegan(Phase.DEPLOYING))
    assert "it was removed while the run went on" in str(found)


@pytest.mark.parametrize("reason", REASONS)
def test_a_node_that_hangs_does_not_keep_a_run_that_ends(session: Session, fault: type[Scripted], reason: str) -> None:
    """A command that would go on for ever is ended on the node, whoever asked it, and the fault is mended though its inject was cut short."""
    hung = _nodes(session)[0]
    hung.hanging.update({"sh", "docker"})
    begun = threading.Event()

    def inject() -> None:
        begun.set()
        hung.run("sh", "-c", "sleep 3600", timeout=3600.0)

    def end() -> None:
        begun.wait(20.0)
        REASONS[reason][0](session)

    fault.on_inject = staticmethod(inject)
    threading.Thread(target=end).start()
    with pytest.raises(HarnessError):
        session.break_(fault(), "n1", Hold(1000.0))
    assert fault.calls == ["inject", "heal"]
    assert fault.broken == set()


def test_mending_is_not_cut_short_by_what_ended_the_run(session: Session, fault: type[Scripted]) -> None:
    """The heal may ask nodes as ever, though the run was stopped long before."""
    asked: list[Result] = []
    fault.on_inject = staticmethod(session.options.stop.set)
    fault.on_heal = staticmethod(lambda: asked.append(_nodes(session)[0].run("true")))
    with pytest.raises(Stopped):
        session.break_(fault(), "n1", Hold(1.0))
    assert [each.ok for each in asked] == [True]
    assert [event.stage for _, event in _history(session).each(FaultStage)][-1] is Stage.HEALED


def test_logs_of_nodes_that_hang_do_not_keep_a_run_that_ends(session: Session) -> None:
    """Saving logs hears it as everything else does."""

    class Logging(BareMode):
        def logs(self, node: object) -> dict[str, bytes]:
            _nodes(session)[0].run("sh", "-c", "journalctl", timeout=3600.0)
            return {}

    _nodes(session)[0].hanging.update({"sh", "docker"})
    session.cluster.mode = Logging()
    asked: list[int] = []

    def ear() -> HarnessError | None:
        asked.append(1)
        return Stopped("the run was stopped") if len(asked) > 5 else None

    with stops.listening(ear), pytest.raises(Stopped):
        session.save_logs()


def test_an_answer_that_comes_too_late_is_not_told_twice(session: Session, fault: type[Scripted]) -> None:
    """One question has one answer in the history, whatever comes of the thread that asked."""
    release = threading.Event()
    late = threading.Event()

    def answer(argv: tuple[str, ...], _: bytes) -> Result:
        release.wait(20.0)
        late.set()
        raise Unreachable("n1", " ".join(argv), "too late")

    for node in _nodes(session):
        node.programs["docker"] = answer
    session.plan = bare_plan(checks=(DOCKER,))
    session.break_(fault(), "n1", Hold(1.0))
    release.set()
    assert late.wait(20.0)
    assert len(_checked(session, DURING)) == 3
