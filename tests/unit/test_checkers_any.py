"""What holds for every checker: safe on any history, unknown without one, and quick."""

from __future__ import annotations

import dataclasses
import json
import math

import hypothesis
import pydantic
import pytest
from hypothesis import strategies as st

from harness.checkers import (
    CHECKERS,
    Assumptions,
    Availability,
    Bystanders,
    CameInTime,
    Checks,
    Clean,
    Conflicts,
    QuorumSurvived,
    Rescheduled,
    Scaled,
    Settled,
    Single,
    Writes,
)
from harness.core.values import Budget, Call, Effect, Endurance, NodeState, Outcome, Patience, Phase, Placement, Stage, Term, Verdict, View
from harness.history.awaits import ELSES, GOALS
from harness.history.bands import fault_bands
from harness.history.events import (
    Acted,
    Answered,
    ApiSeen,
    Awaited,
    Checked,
    DockerEvent,
    Endures,
    Event,
    FaultStage,
    Fingerprinted,
    History,
    Invoked,
    MemberSeen,
    NodeSeen,
    Note,
    PhaseBegan,
    Pressure,
    Stalled,
    Watching,
    Wholeness,
)
from harness.history.interfaces import Checker
from harness.history.recovery import recovery
from harness.testing.histories import container, node_kill

EVERY: list[Checker] = [
    Assumptions(),
    Availability("web", 0.5, 40.0),
    Checks(),
    Clean(),
    Conflicts(),
    Conflicts(expect_double_run=True),
    QuorumSurvived(),
    QuorumSurvived("go on", "moves"),
    QuorumSurvived("stop", "stays"),
    QuorumSurvived("slow"),
    Rescheduled("web", within=31.0),
    Rescheduled("web", budgets={"net.partition": Budget((Term("agent_ttl", 30.0, "fleet"), Term("engine pass", 2.0, "fleet")))}),
    Rescheduled("web", budgets={"node.kill": Budget((Term("agent_ttl", 30.0, "fleet"),))}),
    Bystanders(),
    Bystanders("web"),
    CameInTime(),
    Scaled("web", 3, 10.0),
    Settled(),
    Single("web"),
    Single("db", 5.0),
    Writes(),
]
ids = [f"{checker.name}-{number}" for number, checker in enumerate(EVERY)]

nodes = st.sampled_from(["n1", "n2", "n3"])
instances = st.sampled_from(["web@1", "web@2", "db@1", "web", ""])
outcomes = st.sampled_from(Outcome)
placements = st.builds(Placement, instances, st.none() | nodes, st.just("active"), st.booleans())
found = st.builds(container, instances, nodes)
calls = st.builds(Call, st.sampled_from(["get", "read", "write"]), st.sampled_from(["web@1", "k1", "k2"]), st.none() | st.just("v"))
several = st.lists(nodes, max_size=3, unique=True).map(lambda names: tuple(sorted(names)))
events: st.SearchStrategy[Event] = st.one_of(
    st.builds(PhaseBegan, st.sampled_from(Phase)),
    st.builds(FaultStage, st.integers(1, 2), st.sampled_from(["node.kill", "net.partition", "none"]), several, st.sampled_from(Stage)),
    st.builds(NodeSeen, nodes, st.sampled_from(NodeState), st.lists(found, max_size=3).map(tuple)),
    st.builds(DockerEvent, nodes, st.sampled_from(["start", "die"]), st.just("0" * 64), instances, st.floats(-1, 90)),
    st.builds(ApiSeen, nodes, st.none() | st.builds(View, several, st.lists(placements, max_size=3).map(tuple))),
    st.builds(MemberSeen, nodes, st.integers(0, 3), st.none() | nodes, st.sampled_from(["", "timed out"])),
    st.builds(Watching, st.sampled_from(["docker", "host", "membership", "placement"]), nodes, st.booleans()),
    st.builds(Invoked, st.integers(1, 6), st.sampled_from(["http", "register"]), calls),
    st.builds(Answered, st.integers(1, 6), st.sampled_from(["http", "register"]), outcomes, st.none() | st.just("v"), st.none() | nodes),
    st.builds(Checked, st.just("service docker is_running"), nodes, st.just("after"), outcomes),
    st.builds(
        Fingerprinted, nodes, st.sampled_from(["before", "after", "later"]), st.dictionaries(st.just("x"), st.integers(0, 1) | st.none())
    ),
    st.builds(Wholeness, st.sampled_from(["before", "after"]), st.booleans(), st.floats(0, 90), several),
    st.builds(
        Awaited,
        st.integers(1, 2),
        st.sampled_from(GOALS),
        st.sampled_from(["web", ""]),
        st.floats(0, 90),
        st.sampled_from(ELSES),
        st.none() | outcomes,
        st.floats(0, 90),
        several,
    ),
    st.builds(
        Acted,
        st.integers(1, 2),
        st.sampled_from(["app.scale", "service.stop"]),
        several,
        st.floats(0, 90),
        st.booleans(),
        st.none() | outcomes,
        effect=st.builds(
            Effect,
            st.dictionaries(st.just("web"), st.integers(0, 4)),
            st.sampled_from([(), ("etcd",)]),
            st.sampled_from([(), ("etcd",)]),
            st.booleans(),
            st.booleans(),
        ),
        was=st.dictionaries(st.just("web"), st.integers(0, 4)),
    ),
    st.builds(Stalled, st.sampled_from(["harness", "machine", "n1"]), st.floats(0, 90), st.floats(0, 90)),
    st.builds(Pressure, st.floats(0, 9), st.integers(0, 2), st.floats(0, 9), st.floats(0, 1)),
    st.builds(Endures, st.builds(Endurance, st.just(()) | st.just((Patience("x", 0.5),)), st.floats(0, 90), st.floats(0, 9))),
    st.builds(Note, st.just("hello")),
)
timed = st.lists(st.tuples(st.floats(0, 90), events), max_size=40)


@hypothesis.settings(max_examples=150, deadline=None)
@hypothesis.given(timed)
def test_no_history_makes_a_checker_raise(told: list[tuple[float, Event]]) -> None:
    """Whatever was recorded, in whatever order: a finding with a sentence, and details that JSON can hold."""
    history = History.of_events(*told)
    for checker in EVERY:
        finding = checker.check(history)
        assert finding.checker == checker.name
        assert finding.summary
        json.dumps(dict(finding.details), allow_nan=False)
        assert all(0 <= index < len(history.entries) for index in finding.evidence)
    json.dumps(dict(recovery(history)), allow_nan=False)


@pytest.mark.parametrize("checker", EVERY, ids=ids)
def test_an_empty_history_is_unknown(checker: Checker) -> None:
    """Silence is not a pass."""
    assert checker.check(History([])).verdict is Verdict.UNKNOWN


GOOD = node_kill().history()


@pytest.mark.parametrize(
    "checker", [Assumptions(), Availability("web", 0.5, 40), Checks(), Clean(), Conflicts(), QuorumSurvived("go on"), Settled(), Writes()]
)
def test_a_good_run_is_held_and_any_beginning_of_it_is_not(checker: Checker) -> None:
    """A harness that was killed at any moment leaves unknown: never held, never broken by what had not happened yet."""
    assert checker.check(GOOD).verdict is Verdict.HELD
    for length in range(0, len(GOOD.entries), 97):
        assert checker.check(History(GOOD.entries[:length])).verdict is Verdict.UNKNOWN, length


@pytest.mark.parametrize("name", sorted(CHECKERS))
def test_every_checker_is_a_frozen_dataclass_that_yaml_can_fill(name: str) -> None:
    """Its name is the registry's, its fields are its parameters, and pydantic can read them."""
    checker = CHECKERS[name]
    assert checker.name == name
    assert dataclasses.is_dataclass(checker)
    pydantic.TypeAdapter(checker).json_schema()


def test_parameters_are_read_in_the_words_of_a_scenario() -> None:
    """Shares, durations, and words with a space."""
    available: object = pydantic.TypeAdapter(Availability).validate_python({"app": "web", "share": "50%", "gap": "1m"})
    assert available == Availability("web", 0.5, 60.0)
    quorum: object = pydantic.TypeAdapter(QuorumSurvived).validate_python({"writes": "go on", "leader": "moves"})
    assert quorum == QuorumSurvived("go on", "moves")
    with pytest.raises(pydantic.ValidationError):
        pydantic.TypeAdapter(QuorumSurvived).validate_python({"writes": "perhaps"})


def test_a_budget_that_promises_nothing_is_infinite() -> None:
    """The limit is then no number that a sum could hold."""
    (band,) = fault_bands(GOOD)
    assert math.isinf(Rescheduled("web").limit(band))
    assert math.isinf(Rescheduled("web", budgets={band.name: Budget(())}).limit(band))
