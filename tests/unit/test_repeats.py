"""Steps that are done several times over: how they are read, planned, walked and judged."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import registry
from harness.conductor import Session, Stopped
from harness.core.errors import BadInput
from harness.core.values import Stage
from harness.history.events import FaultStage, History, Note
from harness.plan import Plan, plan
from harness.reports.prose import describe
from harness.scenario import loads
from harness.steps import Await, Break, Heal, Hold, Repeat, Step, Wait, breaks, faults_made, left_going, step_from_json
from harness.testing.bare import BareMode
from tests.unit.sessions import Scripted, bare_plan, in_memory, scripted

HEAD = "scenario: x\nwhy: y\ncluster: {nodes: 3}\napps: [{name: web, instances: 2}]\npromises: [conflicts]\nsteps:\n"


@pytest.fixture
def fault(monkeypatch: pytest.MonkeyPatch) -> type[Scripted]:
    """Return a scripted fault of this test's own, known by name."""
    return scripted(monkeypatch)


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """Lend a session over three nodes in memory that are whole."""
    with in_memory(tmp_path) as made:
        monkeypatch.setattr(made.situation, "missing", lambda _: [])
        yield made


ROUND = "  - repeat: {times: 3}\n    steps:\n"
BAD: dict[str, tuple[str, list[str]]] = {
    "not how often": ("  - repeat: 3\n    steps: [{wait: 1s}]\n", ["s.yaml:7:13: 3; expected a mapping with times"]),
    "once": ("  - repeat: {times: 1}\n    steps: [{wait: 1s}]\n", ["s.yaml:7:21: 1; expected a whole number from 2 to 100"]),
    "without end": ("  - repeat: {times: 101}\n    steps: [{wait: 1s}]\n", ["s.yaml:7:21: 101; expected a whole number from 2 to 100"]),
    "no number": ("  - repeat: {times: often}\n    steps: [{wait: 1s}]\n", ["s.yaml:7:21: 'often'; expected a whole number"]),
    "steps inside of it": (
        "  - repeat: {times: 2, steps: [{wait: 5s}]}\n",
        [
            "s.yaml:7:5: 'steps' is missing",
            "s.yaml:7:24: an unknown key 'steps'; expected one of times; put it beside repeat, with as many blanks before it",
        ],
    ),
    "no steps": ("  - repeat: {times: 2}\n", ["s.yaml:7:5: 'steps' is missing; expected a list of steps, none of them a repeat"]),
    "an empty list": ("  - repeat: {times: 2}\n    steps: []\n", ["s.yaml:8:12: an empty list; expected a list of steps"]),
    "no list": ("  - repeat: {times: 2}\n    steps: {wait: 1s}\n", ["s.yaml:8:12: a mapping with wait; expected a list of steps"]),
    "no step": (ROUND + "      - heel: cut\n", ["s.yaml:9:9: a mapping with heel; expected a step"]),
    "a repeat inside": (
        ROUND + "      - repeat: {times: 2}\n        steps: [{wait: 1s}]\n",
        ["s.yaml:9:9: a repeat inside of a repeat; expected a step that is none"],
    ),
    "one that goes on into the next round": (
        ROUND + "      - {fault: net.partition, on: n1, as: cut}\n      - wait: 1s\n",
        [
            (
                "s.yaml:9:44: 'cut', which is still in force from the round before; expected a fault that is healed in each round; "
                "`heal: cut` as a later step"
            )
        ],
    ),
    "one that goes on into the next round, and has what it takes itself": (
        ROUND + "      - {fault: node.kill, on: n1, as: cut}\n",
        ["s.yaml:9:40: 'cut', which is still in force from the round before; expected a fault that is healed in each round; "],
    ),
    "a name of before": (
        "  - {fault: net.partition, on: n1, as: cut}\n" + ROUND + "      - {fault: net.partition, on: n2, as: cut}\n      - heal: cut\n",
        ["s.yaml:10:44: a second fault named 'cut'; expected a name of its own; the first is in line 7"],
    ),
    "a heal of nothing": (ROUND + "      - heal: cut\n", ["s.yaml:9:15: heal of 'cut', which is not in force here"]),
    "hit by nobody": (ROUND + "      - {fault: node.kill, on: hit, hold: 5s}\n", ["s.yaml:9:32: hit, where no fault is in force"]),
    "what another one has": (
        "  - {fault: node.kill, on: n1, as: dead}\n" + ROUND + "      - {fault: node.kill, on: n1, hold: 5s}\n",
        ["s.yaml:10:32: fault 2 (node.kill) where fault 1 (node.kill in line 7) has the power of n1"],
    ),
    "all at once": (
        "  - repeat: {times: 0, every: 5s}\n    steps:\n      - {fault: node.kil, on: n9, hold: 0}\n      - wait: long\n",
        [
            "s.yaml:7:21: 0; expected a whole number from 2 to 100",
            "s.yaml:7:24: an unknown key 'every'",
            "s.yaml:9:17: an unknown fault 'node.kil'",
            "s.yaml:9:31: the target 'n9'",
            "s.yaml:9:41: a hold of no time",
            "s.yaml:10:15: 'long'",
        ],
    ),
}


@pytest.mark.parametrize(("steps", "told"), BAD.values(), ids=BAD)
def test_what_is_wrong_with_a_repeat_is_told_with_its_place(steps: str, told: list[str]) -> None:
    """Also inside of it: all at once, each once, and nothing else."""
    with pytest.raises(BadInput) as caught:
        loads(HEAD + steps + "  - {fault: node.kill, on: n3, hold: 5s}\n", "s.yaml")
    said = str(caught.value).splitlines()
    assert len(said) == len(told), said
    for line, start in zip(said, told, strict=True):
        assert line.startswith(start), line


def test_more_faults_than_a_run_can_bear_are_refused() -> None:
    """By their number, those of every round counted; each is held against each other, which takes long."""
    steps = ROUND.replace("3", "100") + "      - {fault: none, on: n1, hold: 1s}\n" * 6
    with pytest.raises(BadInput, match="600 faults in one run; expected 500 at most"):
        loads(HEAD + steps)


GOOD = """\
  - wait: 5s
  - repeat: {times: 3}
    steps:
      - {fault: net.partition, with: {shape: isolate}, on: any, as: cut}
      - {fault: daemon.hang, on: same as cut, hold: 4s}
      - heal: cut
      - {await: steady, at most: 30s}
  - {fault: node.kill, on: same as cut, hold: 5s}
"""


def test_rounds_are_planned_as_they_are_done() -> None:
    """Each round's faults have numbers and neighbours of their own; a plan reads back equal, and takes as long as its rounds together."""
    scenario = loads(HEAD + GOOD)
    assert [(made.number, [each.number for each in made.beside]) for made in faults_made(scenario.steps)] == [
        *((1, []), (2, [1]), (3, []), (4, [3]), (5, []), (6, [5])),
        (7, []),
    ]
    assert left_going(scenario.steps) == ()
    assert tuple(step_from_json(step.to_json(), registry.known()) for step in scenario.steps) == scenario.steps
    fleet: Any = registry.known().modes["fleet"].from_timers("default", {})
    made = plan(scenario, mode=fleet, provider="nspawn", seed=7)
    assert made.longest == 5.0 + 3 * (4.0 + 30.0) + 5.0 + made.settle
    assert made.warm_up == 5.0
    assert [each.fault.name for each in made.breaks] == [*["net.partition", "daemon.hang"] * 3, "node.kill"]
    assert Plan.from_json(json.loads(json.dumps(made.to_json()))) == made
    assert made.promises[0].expected.faults == tuple(each.fault.name for each in made.breaks)  # type: ignore[attr-defined]  # assumptions come first
    words = describe(made, 200)
    assert "2. 3 times over:" in words
    assert "a. net.partition shape=isolate on 1 of the 3 nodes, which stays in force, named cut" in words
    assert "d. wait until the cluster is whole, 30 s at most, else the run cannot be judged" in words
    assert "targets of step 2: drawn when it starts, with seed 7" in words


def test_a_repeat_asks_of_a_mode_what_its_steps_ask() -> None:
    """With the place of the step that does."""
    misfits = Repeat(2, (Wait(1.0), Await("leader", "", 5.0))).misfits(("steps", 4), BareMode())
    assert [each.place for each in misfits] == [("steps", 4, "steps", 1, "await")]


def test_what_waits_in_a_round_waits_longer_on_slow_machines() -> None:
    """Every step of it by itself."""
    assert Repeat(2, (Wait(1.0), Await("leader", "", 5.0))).slowed(3.0) == Repeat(2, (Wait(1.0), Await("leader", "", 8.0)))


@pytest.mark.parametrize("times", [0, 101, 2.5, True, "2"])
def test_a_damaged_repeat_of_a_plan_is_refused(times: Any) -> None:
    """Nothing is guessed, and nothing is done without end."""
    with pytest.raises((KeyError, TypeError, ValueError)):
        step_from_json({"repeat": times, "steps": [Wait(1.0).to_json()]}, registry.known())
    with pytest.raises((KeyError, TypeError, ValueError)):
        step_from_json({"repeat": 2, "steps": [Repeat(2, (Wait(1.0),)).to_json()]}, registry.known())


# ---------------------------------------------------------------- walked


def _stages(session: Session) -> list[tuple[int, tuple[str, ...]]]:
    return [
        (event.fault, event.targets) for _, event in History.load(session.recorder.path).each(FaultStage) if event.stage is Stage.IN_FORCE
    ]


def _walked(session: Session, *steps: Step) -> list[tuple[int, tuple[str, ...]]]:
    session.plan = bare_plan(*steps)
    session.walk()
    return _stages(session)


def test_each_round_makes_its_faults_anew(session: Session, fault: type[Scripted]) -> None:
    """With the next number each, a name that is free again, and whoever the target is then; each round is told."""
    made = _walked(
        session, Repeat(3, (Break(fault(), "any", None, "one"), Break(fault(), "!hit & any", Hold(1.0)), Heal("one"))), Wait(1.0)
    )
    assert [number for number, _ in made] == [1, 2, 3, 4, 5, 6]
    assert all(made[at][1] != made[at + 1][1] for at in (0, 2, 4))
    notes = [event.text for _, event in History.load(session.recorder.path).each(Note)]
    assert [each for each in notes if each.startswith("round ")] == ["round 1 of 3", "round 2 of 3", "round 3 of 3"]
    assert fault.broken == set()


def _chosen(folder: Path, fault: type[Scripted], monkeypatch: pytest.MonkeyPatch, *steps: Step) -> list[tuple[str, ...]]:
    folder.mkdir()
    with in_memory(folder) as session:
        monkeypatch.setattr(session.situation, "missing", lambda _: [])
        return [targets for _, targets in _walked(session, *steps)]


def test_what_a_round_draws_hangs_on_the_step_and_on_the_round(
    tmp_path: Path, fault: type[Scripted], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A round more, or the same step in front of the repeat, changes no other choice."""
    inside, before = Break(fault(), "any", Hold(1.0)), Break(fault(), "any", Hold(1.0))
    three = _chosen(tmp_path / "three", fault, monkeypatch, Repeat(8, (inside,)))
    assert _chosen(tmp_path / "four", fault, monkeypatch, Repeat(9, (inside,)))[:8] == three
    assert _chosen(tmp_path / "before", fault, monkeypatch, before, Repeat(8, (inside,)))[1:] == three
    assert len(set(three)) > 1  # not the same in every round


def test_a_stop_ends_a_repeat_in_any_round(session: Session, fault: type[Scripted]) -> None:
    """Within a second, and mends what the round has broken."""
    rounds: list[float] = []

    def hear(entry: Any) -> None:
        if isinstance(entry.event, Note) and entry.event.text == "round 2 of 5":
            rounds.append(entry.time)
        if rounds and isinstance(entry.event, FaultStage) and entry.event.stage is Stage.IN_FORCE:
            rounds.append(entry.time)
            session.options.stop.set()

    session.recorder.listen(hear)
    session.plan = bare_plan(Repeat(5, (Break(fault(), "n1", Hold(100.0)),)))
    with pytest.raises(Stopped):
        session.walk()
    assert session.recorder.now() - rounds[-1] < 1.0
    assert fault.broken == set()
    assert len(_stages(session)) == 2


def test_what_cannot_be_taken_twice_ends_the_rounds(session: Session, fault: type[Scripted]) -> None:
    """As it does anywhere: no further step is taken, in this round or a later one."""
    assert (
        len(_walked(session, Repeat(3, (Break(fault(), "n1", Hold(1.0)), Await("leader", "", 3.0))), Break(fault(), "n2", Hold(1.0)))) == 1
    )


def test_the_first_fault_of_a_repeat_is_the_first_of_the_run() -> None:
    """However many steps come before it in its round."""
    steps = loads(HEAD + "  - wait: 5s\n" + ROUND + "      - wait: 2s\n      - {fault: node.kill, on: n1, hold: 5s}\n").steps
    assert len(breaks(steps)) == 3
