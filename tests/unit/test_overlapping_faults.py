"""Faults that go on beside each other: how they are read, made, refused, mended and judged."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import registry
from harness.checkers.quorum import QuorumSurvived
from harness.checkers.rescheduled import Rescheduled
from harness.conductor import Session, permission
from harness.core.aim import ImpossibleTarget, TakenAlready
from harness.core.errors import BadInput, HarnessError
from harness.core.protocols import Cluster, Workload
from harness.core.values import Loss, Outcome, Phase, Stage, Traits, Verdict
from harness.faults.partition import Partition
from harness.faults.power import NodeKill
from harness.history.absence import Absence
from harness.history.events import FaultStage, History, Note
from harness.scenario import loads
from harness.steps import ALL, Break, Heal, Hold, Wait, faults_made, left_going, step_from_json
from harness.testing.histories import Story
from harness.undo.ledger import unsettled
from harness.workloads.driver import Driver
from harness.workloads.probe import Probe
from harness.workloads.register import Register
from tests.unit.sessions import Scripted, bare_plan, in_memory, scripted

HEAD = "scenario: x\nwhy: y\ncluster: {nodes: 3}\napps: [{name: web, instances: 2}]\npromises: [conflicts]\nsteps:\n"


@pytest.fixture
def fault(monkeypatch: pytest.MonkeyPatch) -> type[Scripted]:
    """Return a scripted fault of this test's own, known by name."""
    return scripted(monkeypatch)


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    """Lend a session over three nodes in memory."""
    with in_memory(tmp_path) as made:
        yield made


def _stages(session: Session) -> list[tuple[int, Stage]]:
    return [(event.fault, event.stage) for _, event in History.load(session.recorder.path).each(FaultStage)]


def _open(session: Session) -> list[int]:
    return [line.number for line in unsettled(session.folder / "ledger.jsonl")]


# ---------------------------------------------------------------- read


NAMES: dict[str, tuple[str, list[str]]] = {
    "heal of what is held": (
        "  - {fault: node.kill, on: n1, as: cut, hold: 5s}\n  - heal: cut\n",
        [
            "s.yaml:8:11: heal of 'cut', which is not in force here; expected the name of a fault in force; it is mended when its hold in line 7"
        ],
    ),
    "the name of a held one twice": (
        "  - {fault: node.kill, on: n1, as: cut, hold: 5s}\n  - {fault: net.partition, on: n2, as: cut}\n",
        ["s.yaml:8:40: a second fault named 'cut'; expected a name of its own; the first is in line 7"],
    ),
    "a hold of nothing beside as": (
        "  - {fault: node.kill, on: n1, as: cut, hold: }\n",
        ["s.yaml:7:"],
    ),
    "neither": ("  - {fault: node.kill, on: n1}\n", ["s.yaml:7:5: 'hold' is missing"]),
    "a name that is a word": ("  - {fault: node.kill, on: n1, as: all}\n", ["s.yaml:7:36: the name 'all'"]),
    "one name twice": (
        "  - {fault: net.partition, on: n1, as: cut}\n  - {fault: net.partition, on: n2, as: cut}\n",
        ["s.yaml:8:40: a second fault named 'cut'; expected a name of its own; the first is in line 7"],
    ),
    "heal of nobody": (
        "  - {fault: net.partition, on: n1, as: cut}\n  - heal: cat\n",
        ["s.yaml:8:11: heal of 'cat', which is not in force here; expected the name of a fault in force; did you mean 'cut'?"],
    ),
    "heal twice": (
        "  - {fault: net.partition, on: n1, as: cut}\n  - heal: cut\n  - heal: cut\n",
        ["s.yaml:9:11: heal of 'cut', which is not in force here; expected the name of a fault in force; it was healed in line 8"],
    ),
    "heal all of nothing": ("  - {fault: node.kill, on: n1, hold: 5s}\n  - heal: all\n", ["s.yaml:8:11: heal of nothing"]),
    "same as a later one": (
        "  - {fault: node.kill, on: same as cut, hold: 5s}\n  - {fault: net.partition, on: n1, as: cut}\n",
        ["s.yaml:7:36: same as 'cut', which no fault before it is named"],
    ),
    "hit by nobody": ("  - {fault: node.kill, on: hit, hold: 5s}\n", ["s.yaml:7:28: hit, where no fault is in force"]),
    "no such instance": ("  - {fault: node.kill, on: web@3, hold: 5s}\n", ["s.yaml:7:28: the target 'web@3'; expected an instance of web"]),
    "any of none": ("  - {fault: node.kill, on: any 0, hold: 5s}\n", ["s.yaml:7:32: 0 in the target 'any 0'"]),
    "the power of one node twice": (
        "  - {fault: node.kill, on: n1, as: dead}\n  - {fault: node.kill, on: n2, hold: 5s}\n  - {fault: node.kill, on: same as dead, hold: 5s}\n",
        ["s.yaml:9:28: fault 3 (node.kill) where fault 1 (node.kill in line 7) has the power of a node"],
    ),
    "more nodes than there are": (
        "  - {fault: node.kill, on: majority, as: dead}\n  - {fault: node.kill, on: majority, hold: 5s}\n",
        ["s.yaml:8:28: fault 2 (node.kill) where fault 1 (node.kill in line 7) has the power of a node"],
    ),
    "the daemon of one node twice": (
        "  - {fault: daemon.hang, on: n1, as: hung}\n  - {fault: daemon.hang, on: n1, with: {daemon: both}, hold: 5s}\n",
        ["s.yaml:8:30: fault 2 (daemon.hang) where fault 1 (daemon.hang in line 7) has docker on n1"],
    ),
    "the same before a step that cannot be read": (
        (
            "  - {fault: node.kill, on: n1, as: dead}\n  - {fault: node.kill, on: n1, hold: 5s}\n  - wait: soon\n"
            "  - {fault: node.kill, on: n1, hold: 5s}\n"
        ),
        ["s.yaml:8:28: fault 2 (node.kill) where fault 1 (node.kill in line 7) has the power of n1", "s.yaml:9:11: 'soon'"],
    ),
}


@pytest.mark.parametrize(("steps", "told"), NAMES.values(), ids=NAMES)
def test_what_is_wrong_with_faults_that_go_on_is_told_with_its_place(steps: str, told: list[str]) -> None:
    """With what was found and what was expected, and nothing else."""
    with pytest.raises(BadInput) as caught:
        loads(HEAD + steps, "s.yaml")
    said = str(caught.value).splitlines()
    assert len(said) == len(told)
    for line, start in zip(said, told, strict=True):
        assert line.startswith(start)


GOOD = """\
  - {fault: net.partition, with: {shape: isolate}, on: any, as: cut}
  - wait: 1s
  - {fault: daemon.hang, on: same as cut, as: hung}
  - {fault: node.kill, on: "!hit & any 1", hold: 5s}
  - heal: cut
  - {fault: net.partition, with: {shape: isolate}, on: web@1, hold: 5s}
"""


def test_faults_that_go_on_are_read_and_saved() -> None:
    """Each knows which others go on when it is decided; what nobody heals is mended at the end; a plan reads back equal."""
    steps = loads(HEAD + GOOD).steps
    assert [(made.number, [each.number for each in made.beside]) for made in faults_made(steps)] == [
        (1, []),
        (2, [1]),
        (3, [1, 2]),
        (4, [2]),
    ]
    assert left_going(steps) == ("hung",)
    assert tuple(step_from_json(step.to_json(), registry.known()) for step in steps) == steps


HELD = """\
  - repeat: {times: 2}
    steps:
      - {fault: net.partition, with: {shape: isolate}, on: any, hold: 5s, as: cut}
      - {fault: node.kill, on: same as cut, hold: 5s}
"""


def test_a_held_fault_may_have_a_name(session: Session, fault: type[Scripted], monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes on for nobody, in no round; later targets speak of it by its name; a plan says and saves it."""
    steps = loads(HEAD + HELD).steps
    assert [(made.number, made.beside, [each.number for each in made.named]) for made in faults_made(steps)] == [
        (1, (), []),
        (2, (), [1]),
        (3, (), [1]),
        (4, (), [1, 3]),
    ]
    assert left_going(steps) == ()
    assert tuple(step_from_json(step.to_json(), registry.known()) for step in steps) == steps
    (cut, *_) = faults_made(steps)
    assert cut.step.words(("n1", "n2", "n3"))[0].endswith("for 5 s, then mend it, named cut")
    monkeypatch.setattr(session.situation, "missing", lambda _: [])
    session.break_(fault(), "n2", Hold(1.0), "cut")
    assert (session.break_(fault(), "same as cut", Hold(1.0)), _open(session)) == (("n2",), [])
    with pytest.raises(BadInput, match="the fault's name: 'All'; expected a name of lower-case letters"):
        session.break_(fault(), "n2", Hold(1.0), "All")


@pytest.mark.parametrize("name", ["all", "dead"])
def test_what_a_step_heals_goes_on_no_more_for_those_after_it(name: str) -> None:
    """It takes nothing from them, and is not counted with them."""
    steps = f"  - {{fault: node.kill, on: n1, as: dead}}\n  - heal: {name}\n  - {{fault: node.kill, on: n1, hold: 5s}}\n"
    (first, second) = faults_made(loads(HEAD + steps).steps)
    assert (first.beside, second.beside, [each.number for each in second.named]) == ((), (), [1])


def test_healing_a_fault_that_never_was_in_force_mends_nothing_and_is_no_failure(
    session: Session, fault: type[Scripted], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that heals it by its name goes to its end, and what comes after goes by its name as well; by a name that nothing had it is an error."""
    monkeypatch.setattr(session.situation, "missing", lambda _: [])
    monkeypatch.setattr(fault, "bites", False)
    steps = (
        Break(fault(), "n1", None, "one"),
        Break(fault(), "!hit & n2", Hold(1.0)),
        Heal("one"),
        Break(fault(), "same as one", Hold(1.0)),
    )
    session.plan = bare_plan(*steps)
    session.walk()
    assert _open(session) == []
    (*_, last) = [event for _, event in History.load(session.recorder.path).each(FaultStage)]
    assert (last.fault, last.targets) == (3, ("n1",))
    with pytest.raises(HarnessError, match="the fault's name: 'one'; expected the name of a fault in force, or all; nothing is in force"):
        session.heal("one")


# ---------------------------------------------------------------- made and mended


def test_faults_go_on_until_they_are_healed_by_name(session: Session, fault: type[Scripted]) -> None:
    """Healing one leaves the other; the ledger has what goes on."""
    session.start(fault(), "n1", "one")
    session.start(fault(), "n2", "two")
    assert (fault.broken, sorted(_open(session))) == ({"n1", "n2"}, [1, 2])
    session.heal("one")
    assert (fault.broken, _open(session)) == ({"n2"}, [2])
    session.heal()
    assert (fault.broken, _open(session)) == (set(), [])


def test_what_goes_on_is_mended_at_the_end_in_reverse(session: Session, fault: type[Scripted], monkeypatch: pytest.MonkeyPatch) -> None:
    """After the last step, the newest first, before the cluster is given time to settle."""
    monkeypatch.setattr(session.situation, "missing", lambda _: [])
    session.plan = bare_plan(Break(fault(), "n1", None, "one"), Break(fault(), "n2", None, "two"), Wait(1.0))
    session.walk()
    assert [number for number, stage in _stages(session) if stage is Stage.HEALED] == [2, 1]


@pytest.mark.parametrize("error", [ValueError("bug"), KeyboardInterrupt()])
def test_whatever_ends_a_run_mends_all_that_goes_on(session: Session, fault: type[Scripted], error: BaseException) -> None:
    """The newest first, also where mending one of them fails once for good."""

    def use() -> None:
        with session.watching():
            session.start(fault(), "n1", "one")
            session.start(fault(), "n2", "two")
            raise error

    with pytest.raises(type(error)):
        use()
    assert (fault.broken, _open(session)) == (set(), [])


def test_one_that_cannot_be_mended_keeps_no_other_from_it(session: Session, fault: type[Scripted]) -> None:
    """It is loud, stays in the ledger, and the others are mended."""
    session.start(fault(), "n1", "one")
    session.start(fault(), "n2", "two")
    fault.on_heal = staticmethod(lambda: (_ for _ in ()).throw(HarnessError("n2 said no")) if len(fault.broken) > 1 else None)
    with pytest.raises(HarnessError, match="could not be healed"):
        session.heal(ALL)
    assert 2 in _open(session)


def test_what_is_taken_already_is_refused_with_both_numbers(session: Session) -> None:
    """When it fires, where that was not known before: nothing is broken a second time, and the history says why."""
    session.start(NodeKill(), "n1", "dead")
    with pytest.raises(TakenAlready, match=r"fault 2 \(node.kill\) is not made: fault 1 \(node.kill\) has the power of n1 already"):
        session.break_(NodeKill(), "same as dead", Hold(1.0))
    assert (2, Stage.FAILED) in _stages(session)
    assert _open(session) == [1]
    session.heal()


def test_a_run_with_a_refused_fault_takes_no_further_step(session: Session, fault: type[Scripted], monkeypatch: pytest.MonkeyPatch) -> None:
    """What goes on is mended all the same."""
    monkeypatch.setattr(session.situation, "missing", lambda _: [])
    session.plan = bare_plan(
        Break(NodeKill(), "n1", None, "dead"), Break(NodeKill(), "hit", Hold(1.0)), Break(fault(), "n2", Hold(1.0)), Heal("dead")
    )
    session.walk()
    assert (fault.calls, _open(session)) == ([], [])
    notes = [event.text for _, event in History.load(session.recorder.path).each(Note)]
    assert "node.kill was refused; no further step is taken" in notes


def test_two_cuts_of_one_shape_do_not_answer_for_each_other(session: Session) -> None:
    """Each has its own tables, by its number; healing one leaves the other."""
    cluster, nodes = session.cluster, list(session.cluster.nodes)
    first, second = cluster.of(1), cluster.of(2)
    cut = Partition("isolate")
    cut.inject(first, nodes[:1])
    assert (cut.in_force(first, nodes[0]), cut.in_force(second, nodes[1])) == (True, False)
    cut.inject(second, nodes[:1])
    cut.heal(first, nodes[:1])
    assert (cut.in_force(first, nodes[0]), cut.in_force(second, nodes[0])) == (False, True)


def test_a_name_is_taken_only_while_it_goes_on(session: Session, fault: type[Scripted]) -> None:
    """Two of one name at once are refused, as is a heal of nothing."""
    session.start(fault(), "n1", "one")
    with pytest.raises(HarnessError, match="one that no fault in force has"):
        session.start(fault(), "n2", "one")
    with pytest.raises(HarnessError, match="the fault's name: 'two'; expected the name of a fault in force, or all; in force: one"):
        session.heal("two")
    session.heal("one")


def test_targets_go_by_whom_other_faults_hit(session: Session, fault: type[Scripted]) -> None:
    """Whether or not the other goes on; and by who is hit now."""
    with pytest.raises(ImpossibleTarget, match="no fault named one has hit anybody yet"):
        session.resolve("same as one")
    hit = session.start(fault(), "any 2", "one")
    assert len(hit) == 2
    assert set(session.resolve("!hit")) == {"n1", "n2", "n3"} - set(hit)
    session.heal("one")
    assert session.resolve("same as one") == hit
    with pytest.raises(ImpossibleTarget):
        session.resolve("hit")


def test_a_choice_is_not_changed_by_what_others_draw(tmp_path: Path, session: Session) -> None:
    """Each step, and each check, draws from a stream of its own."""

    def chosen(*before: str) -> tuple[tuple[str, ...], ...]:
        other = Session(session.plan, session.options, session.cluster, session.recorder, session._ledger, tmp_path)
        for each in before:
            other.resolve("any", stream=each)
        return tuple(other.resolve("any", stream="mine") for _ in range(6))

    assert chosen() == chosen("theirs", "theirs", "a check before")


def test_calls_are_not_changed_by_who_else_makes_some(tmp_path: Path, session: Session) -> None:
    """Each kind of workload draws from a stream of its own, and each of one kind from the next."""

    def drawn(*workloads: Workload) -> dict[str, float]:
        plan = dataclasses.replace(session.plan, workloads=workloads)
        other = Session(plan, session.options, session.cluster, session.recorder, session._ledger, tmp_path)
        every = [each for each in other._drivers if isinstance(each, Driver)]
        return {f"{number} {each.workload.name}": each._rng.random() for number, each in enumerate(every)}

    (alone,) = drawn(Register()).values()
    assert drawn(Probe("queue", "n1", "./ask"), Register())["1 register"] == alone
    first, second = drawn(Register(), Register()).values()
    assert first == alone != second


def test_caps_count_all_that_is_broken() -> None:
    """What goes on counts, nodes by name and whom an earlier fault hit once."""

    def refused(steps: str) -> bool:
        made = faults_made(loads(HEAD + steps).steps)[-1]
        return bool(permission.refusals(made, ("n1", "n2", "n3"), {"web": 2}, (), 1))

    cut = "  - {fault: net.partition, with: {shape: isolate}, on: n1, as: cut}\n"
    assert refused(cut + "  - {fault: daemon.hang, on: n2, hold: 5s}\n")
    assert refused(cut + "  - {fault: daemon.hang, on: any, hold: 5s}\n")
    assert not refused(cut + "  - {fault: daemon.hang, on: n1, hold: 5s}\n")
    assert not refused(cut + "  - {fault: daemon.hang, on: same as cut, hold: 5s}\n")
    assert not refused(cut + "  - heal: cut\n  - {fault: daemon.hang, on: n2, hold: 5s}\n")


def test_all_that_is_wrong_with_a_start_is_told_at_once(session: Session) -> None:
    """In Python as in a file: no fault, and a name that no file could give."""
    for name in ("All", ALL, "", "x" * 40, 7):
        with pytest.raises(BadInput) as caught:
            session.start("node.kill", "n1", name)  # type: ignore[arg-type]  # as somebody may write it
        told = [problem.file for problem in caught.value.problems]
        assert (set(told[:-1]), told[-1]) == ({"the fault 'node.kill'"}, "the fault's name")
    assert _open(session) == []


# ---------------------------------------------------------------- judged


LINK, NODE = Traits(Loss.LINK), Traits(Loss.NODE)
ISOLATE = {"shape": "isolate"}


def _two() -> Story:
    """Tell of two faults of three nodes: n1 is cut off from 10 s to 60 s, n2 is off from 20 s to 50 s."""
    story = Story().phase(1, Phase.STEADY).node(0, "n1").node(0, "n2").node(0, "n3").members(0.5, "n1 n2 n3", 2, "n3")
    story.fault("net.partition", "n1", decided=10, in_force=10, healing=60, healed=60, traits=LINK, lost="n1", parameters=ISOLATE)
    return story.fault("node.kill", "n2", decided=20, in_force=20, healing=50, healed=50, number=2, traits=NODE, lost="n2").off(20, "n2")


def test_who_is_lost_is_lost_to_all_faults_together() -> None:
    """Neither fault leaves n3 without a majority; both do, for as long as both are there."""
    history = _two().node(50, "n2").done(80).history()
    absence = Absence.of(history)
    assert [sorted(absence.at(time)) for time in (15, 30, 55, 70)] == [["n1"], ["n1", "n2", "n3"], ["n1"], []]


def test_of_one_fault_alone_its_own_word_counts_of_whom_it_loses() -> None:
    """The same cut beside another loses whom both leave without a majority: then neither of them can say it."""
    story = Story().node(0, "n1").node(0, "n2").node(0, "n3").members(0.5, "n1 n2 n3", 2, "n3")
    kind = Traits(Loss.LINK, in_place=True)
    story.fault("net.partition", "n1", decided=10, in_force=10, healing=60, healed=60, traits=kind, lost="n1", parameters=ISOLATE)
    story.fault("node.kill", "n2", decided=30, in_force=30, healing=50, healed=50, number=2, traits=NODE, lost="n2").off(30, "n2")
    history = story.node(50, "n2").done(80).history()
    absence = Absence.of(history)
    assert [sorted(absence.at(time)) for time in (20, 40, 55)] == [[], ["n1", "n2", "n3"], []]


def _moved(back: float) -> Story:
    """Tell of web@1, lost with n1 at 10 s; n2 is lost as well at 30 s; it runs on n3 from `back` on."""
    story = Story().phase(1, Phase.STEADY).node(0, "n1", "web@1").node(0, "n2").node(0, "n3")
    story.fault("node.kill", "n1", decided=10, in_force=10, healing=100, healed=101, traits=NODE, lost="n1").off(10, "n1")
    story.fault("node.kill", "n2", decided=30, in_force=30, healing=98, healed=99, number=2, traits=NODE, lost="n2").off(30, "n2")
    return story.node(back, "n3", "web@1").node(99, "n2").node(101, "n1").done(110)


@pytest.mark.parametrize(("back", "verdict"), [(65, Verdict.HELD), (75, Verdict.BROKEN)])
def test_a_recovery_that_another_fault_disturbs_has_its_time_from_then_on(back: float, verdict: Verdict) -> None:
    """Forty seconds from the second loss, and not one more."""
    assert Rescheduled("web", within=40).check(_moved(back).history()).verdict is verdict


def _written(gap: float) -> Story:
    """Tell of writes under a cut of n1 from 10 s to 70 s that pause at 30 s, when n2 is cut off as well for a while."""
    story = Story().phase(1, Phase.STEADY)
    for node in ("n1", "n2", "n3", "n4", "n5"):
        story.node(0, node)
    story.members(0.5, "n1 n2 n3 n4 n5", 2, "n3")
    story.fault("net.partition", "n1", decided=10, in_force=10, healing=70, healed=70, traits=LINK, lost="n1", parameters=ISOLATE)
    story.fault("net.partition", "n2", decided=30, in_force=30, healing=60, healed=60, number=2, traits=LINK, lost="n2", parameters=ISOLATE)
    return story.writes(2, 29.5).writes(29.5, 29.5 + gap, Outcome.FAIL).writes(29.5 + gap, 78).watched(79, "n1 n2 n3 n4 n5").done(80)


@pytest.mark.parametrize(("gap", "verdict"), [(10.3, Verdict.HELD), (21, Verdict.BROKEN)])
def test_a_pause_for_another_faults_election_is_not_held_against_the_first(gap: float, verdict: Verdict) -> None:
    """Writes may pause for an election after each bite, and after that no longer than for one more: what is longer convicts all the same."""
    assert QuorumSurvived(writes="go on", election=10).check(_written(gap).history()).verdict is verdict


def test_the_reaper_hands_each_fault_its_own_number(session: Session) -> None:
    """What it mends by the ledger is what the run made: the number stands in the line."""
    session.start(Partition("isolate"), "n1", "cut")
    (line,) = unsettled(session.folder / "ledger.jsonl")
    theirs = Cluster(line.run_id, session.cluster.nodes, session.cluster.provider, session.cluster.mode, fault=line.number)
    line.fault.heal(theirs, [theirs.node(name) for name in line.targets])
    assert not Partition("isolate").in_force(theirs, theirs.node("n1"))
    session.heal()
