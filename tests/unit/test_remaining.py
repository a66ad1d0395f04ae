"""How long a run may still take."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from harness.actions.scaling import Scale
from harness.core.figures import about
from harness.core.values import (
    Budget,
    Outcome,
    Phase,
    Stage,
    Term,
)
from harness.history.events import (
    Acted,
    Awaited,
    Event,
    FaultStage,
    History,
    PhaseBegan,
    Wholeness,
)
from harness.plan import Plan
from harness.reports.narrative import Narrative
from harness.reports.remaining import at_most, seconds_left
from harness.steps import LINGER_SECONDS, Await, Break, Do, Heal, Hold, Repeat, Wait
from tests.unit.reporting import Kill, a_plan, fault, node_killed


def reading_of(*events: tuple[float, Event]) -> Narrative:
    """Return the reading of these events."""
    reading = Narrative(keep=False)
    for entry in History.of_events(*events).entries:
        reading.feed(entry)
    return reading


def two_kills() -> Plan:
    """Return the plan of two kills with a wait between them: 5 s, at most 33 s of the first, 7 s, 20 s, at most 90 s of settling."""
    steps = (Wait(5.0), Break(Kill(), "any", Hold(30.0, "recovered")), Wait(7.0), Break(Kill(), "any", Hold(20.0)))
    return replace(a_plan(), steps=steps)


BACK = 20.0  # fingerprints


READ = 120.0  # the last reads


@pytest.mark.parametrize(
    ("events", "now", "left_then"),
    [
        pytest.param([], 9.0, 45.0 + 20.0 + 155.0 + BACK + READ, id="it does not stand yet"),
        pytest.param([(10.0, Phase.STEADY)], 10.0, 155.0 + BACK + READ, id="it stands"),
        pytest.param([(10.0, Phase.STEADY)], 14.0, 151.0 + BACK + READ, id="it waits"),
        pytest.param([(10.0, Phase.STEADY)], 99.0, 150.0 + BACK + READ, id="a wait is no longer than it is, however late the next word"),
        pytest.param([(10.0, Phase.STEADY), (15.0, Phase.FAULTS)], 16.0, 150.0 + BACK + READ, id="the first fault is not made yet"),
        pytest.param([(15.0, Stage.DECIDED), (16.0, Stage.IN_FORCE)], 26.0, 140.0 + BACK + READ, id="a fault is held"),
        pytest.param([(16.0, Stage.IN_FORCE)], 300.0, 117.0 + BACK + READ, id="a hold is no longer than it is"),
        pytest.param([(16.0, Stage.IN_FORCE), (20.0, Stage.HEALING)], 25.0, 117.0 + BACK + READ, id="a hold that ended early is over"),
        pytest.param([(16.0, Stage.IN_FORCE), (20.0, Stage.HEALING), (26.0, Stage.HEALED)], 28.0, 115.0 + BACK + READ, id="the next wait"),
        pytest.param([(15.0, Stage.FAILED), (16.0, Stage.HEALING), (17.0, Stage.HEALED)], 17.0, 117.0 + BACK + READ, id="it failed"),
        pytest.param([(16.0, Stage.HEALED), (30.0, 2)], 30.0, 110.0 + BACK + READ, id="the last fault"),
        pytest.param([(40.0, Phase.SETTLING)], 50.0, 80.0 + BACK + READ, id="it settles"),
        pytest.param([(40.0, Phase.SETTLING), (45.0, True)], 50.0, BACK - 5.0 + READ, id="it is whole again early"),
        pytest.param([(40.0, Phase.SETTLING), (130.0, False)], 130.0, BACK + READ, id="it never was whole again"),
        pytest.param([(50.0, Phase.FINAL)], 51.0, READ - 1.0, id="the last reads"),
        pytest.param([(50.0, Phase.FINAL), (52.0, Phase.DONE)], 52.0, 0.0, id="all is over"),
    ],
)
def test_what_is_left_is_what_is_still_to_do(events: list[tuple[float, Any]], now: float, left_then: float) -> None:
    """Of the step that goes on what is left of its limit, and all that is to come: nothing of what is over, however early that was."""

    def told(what: Any) -> Event:
        if isinstance(what, bool):
            return Wholeness("after", what, 1.0, () if what else ("n2 is off",))
        if isinstance(what, int):
            return fault(Stage.INJECTED, number=what)
        return PhaseBegan(what) if isinstance(what, Phase) else fault(what)

    begun = [(1.0, Phase.FORMING)]
    if events and events[0][0] > 10.0:
        begun += [(10.0, Phase.STEADY), (15.0, Phase.FAULTS)]
    reading = reading_of(*((time, told(what)) for time, what in (*begun, *(each for each in events if each not in begun))))
    assert seconds_left(two_kills(), reading, now) == pytest.approx(left_then)


def overlapping() -> Plan:
    """Return the plan of a fault that goes on beside another: 5 s, it begins, 10 s, 20 s of the other, 7 s, it is healed, 8 s."""
    steps = (Wait(5.0), Break(Kill(), "n2", None, "one"), Wait(10.0), Break(Kill(), "n3", Hold(20.0)), Wait(7.0), Heal("one"), Wait(8.0))
    return replace(a_plan(), steps=steps)


@pytest.mark.parametrize(
    ("events", "now", "steps_left"),
    [
        ([(15.0, 1, Stage.DECIDED)], 15.0, 45.0),
        ([(15.0, 1, Stage.DECIDED), (16.0, 1, Stage.IN_FORCE)], 18.0, 43.0),
        ([(15.0, 1, Stage.DECIDED), (16.0, 1, Stage.IN_FORCE)], 99.0, 35.0),
        ([(16.0, 1, Stage.IN_FORCE), (26.0, 2, Stage.DECIDED)], 27.0, 35.0),
        ([(16.0, 1, Stage.IN_FORCE), (26.0, 2, Stage.IN_FORCE)], 30.0, 31.0),
        ([(16.0, 1, Stage.IN_FORCE), (26.0, 2, Stage.IN_FORCE), (46.0, 2, Stage.HEALED)], 48.0, 13.0),
        ([(16.0, 1, Stage.IN_FORCE), (46.0, 2, Stage.HEALED), (53.0, 1, Stage.HEALING)], 54.0, 8.0),
        ([(16.0, 1, Stage.IN_FORCE), (46.0, 2, Stage.HEALED), (54.0, 1, Stage.HEALED)], 56.0, 6.0),
        ([(15.0, 1, Stage.FAILED), (15.5, 1, Stage.HEALED)], 16.5, 44.0),
    ],
)
def test_what_is_left_counts_faults_that_overlap(events: list[tuple[float, int, Stage]], now: float, steps_left: float) -> None:
    """A fault that goes on is no step that is waited for; a heal shows where the run is."""
    begun: list[tuple[float, Event]] = [(10.0, PhaseBegan(Phase.STEADY)), (15.0, PhaseBegan(Phase.FAULTS))]
    told = [(time, fault(stage, number=number)) for time, number, stage in events]
    assert seconds_left(overlapping(), reading_of(*begun, *told), now) == pytest.approx(steps_left + 90.0 + BACK + READ)


def test_what_is_left_never_grows_and_ends_at_nothing() -> None:
    """Through a whole run, by every entry of it: making and mending stand still, nothing else does."""
    reading, before = Narrative(keep=False), float("inf")
    for entry in node_killed().entries:
        reading.feed(entry)
        now = seconds_left(a_plan(), reading, entry.time)
        assert now <= before, entry
        before = now
    assert before == 0.0
    assert at_most(a_plan(), reading, 62.0) == "all was asked; the cluster is removed and the run is judged"


@pytest.mark.parametrize("beside", [Wholeness("before", whole=False, seconds=45.0, missing=("n2 is off",)), None])
def test_where_no_step_will_be_taken_none_is_waited_for(beside: Wholeness | None) -> None:
    """A cluster that was not sound before is not broken; and where a fault hits nobody, nothing more is broken."""
    events: list[tuple[float, Event]] = [(10.0, PhaseBegan(Phase.STEADY)), (15.0, PhaseBegan(Phase.FAULTS))]
    if beside is None:
        events += [(15.0, FaultStage(1, "node.kill", (), Stage.FAILED, {}, "nobody leads"))]
        assert seconds_left(two_kills(), reading_of(*events), 15.0) == 90.0 + BACK + READ
    else:
        assert seconds_left(two_kills(), reading_of((9.0, beside), *events), 15.0) == BACK + READ


@pytest.mark.parametrize(
    ("hold", "settle", "soon"),
    [
        pytest.param(Hold(300.0, "recovered"), 90.0, 5.0 + 12.0 + LINGER_SECONDS + 10.0, id="work is back when its budget is over"),
        pytest.param(Hold(7.0, "recovered"), 90.0, 5.0 + 7.0 + LINGER_SECONDS + 10.0, id="a hold is no longer than it is"),
        pytest.param(Hold(300.0, "leader-moved"), 90.0, 5.0 + 4.0 + LINGER_SECONDS + 10.0, id="an election"),
        pytest.param(Hold(20.0), 90.0, 5.0 + 20.0 + 10.0, id="a hold for a given time is as long as it is"),
        pytest.param(Hold(20.0), 6.0, 5.0 + 20.0 + 6.0, id="it settles for no longer than it may"),
    ],
)
def test_how_long_it_takes_if_all_goes_well_is_told_beside_the_most(hold: Hold, settle: float, soon: float) -> None:
    """By the timers that the plan promises by, and without what is asked around the steps. Where nothing is left but asking, it takes a moment."""
    budgets = {Kill.name: Budget((Term("lost node", 12.0, "a test"),))}
    plan = replace(a_plan(), steps=(Wait(5.0), Break(Kill(), "any", hold)), settle=settle, budgets=budgets, election=4.0)
    reading = reading_of((0.0, PhaseBegan(Phase.FORMING)), (10.0, PhaseBegan(Phase.STEADY)))
    most = seconds_left(plan, reading, 10.0)
    assert at_most(plan, reading, 10.0) == f"some {about(soon)} more, {about(most)} at most, plus making and mending"
    over = reading_of((0.0, PhaseBegan(Phase.FORMING)), (10.0, PhaseBegan(Phase.STEADY)), (50.0, PhaseBegan(Phase.FINAL)))
    assert at_most(plan, over, 50.0) == "done in a moment if all goes well, in 120 s at most, plus making and mending"
    assert at_most(plan, over, 168.0) == f"{about(2.0)} more at most, plus making and mending"


def awaiting() -> Plan:
    """Return the plan of a run that awaits and acts: 5 s, 3 times over (2 s, 10 s of a fault, 30 s of an await), 20 s of an action, 4 s."""
    rounds = Repeat(3, (Wait(2.0), Break(Kill(), "n2", Hold(10.0)), Await("steady", "", 30.0)))
    return replace(a_plan(), steps=(Wait(5.0), rounds, Do(Scale("web", 3), "", 20.0), Wait(4.0)))


def _awaits(number: int, outcome: Outcome | None = None) -> Event:
    return Awaited(number, "steady", "", 30.0, "unknown", outcome)


ROUNDS: list[tuple[float, Event]] = [
    *((number * 10.0 + 20.0, fault(Stage.HEALED, number=number)) for number in (1, 2, 3)),
    *((number * 10.0 + 21.0, _awaits(number)) for number in (1, 2, 3)),
    *((number * 10.0 + 22.0, _awaits(number, Outcome.OK)) for number in (1, 2, 3)),
    (53.0, Acted(1, "app.scale", (), 20.0, may_fail=False)),
]


@pytest.mark.parametrize(
    ("events", "now", "steps_left"),
    [
        ([], 15.0, 3 * 42.0 + 24.0),
        ([], 16.5, 3 * 42.0 + 24.0 - 1.5),
        ([], 99.0, 3 * 42.0 + 24.0 - 2.0),
        ([(17.0, fault(Stage.IN_FORCE))], 20.0, 7.0 + 30.0 + 2 * 42.0 + 24.0),
        ([(17.0, fault(Stage.IN_FORCE)), (27.0, fault(Stage.HEALED)), (27.1, _awaits(1))], 37.1, 20.0 + 2 * 42.0 + 24.0),
        ([(27.0, fault(Stage.HEALED)), (27.1, _awaits(1))], 99.0, 2 * 42.0 + 24.0),
        ([(27.0, fault(Stage.HEALED)), (27.1, _awaits(1)), (30.0, _awaits(1, Outcome.OK))], 31.0, 1.0 + 40.0 + 42.0 + 24.0),
        (ROUNDS, 58.0, 15.0 + 4.0),
        ([*ROUNDS, (54.0, Acted(1, "app.scale", (), 20.0, may_fail=False, outcome=Outcome.OK))], 55.0, 3.0),
    ],
)
def test_what_is_left_counts_rounds_awaits_and_actions(events: list[tuple[float, Event]], now: float, steps_left: float) -> None:
    """What awaits, or does, something shows where the run is, and is over when it is, however early."""
    begun: list[tuple[float, Event]] = [(10.0, PhaseBegan(Phase.STEADY)), (15.0, PhaseBegan(Phase.FAULTS))]
    assert seconds_left(awaiting(), reading_of(*begun, *events), now) == pytest.approx(steps_left + 90.0 + BACK + READ)


def test_awaits_and_actions_are_soon_over_if_all_goes_well() -> None:
    """By the plan's own timers, in every round; and never later than they may be."""
    budgets = {Kill.name: Budget((Term("lost node", 12.0, "a test"),))}
    steps = (
        Repeat(2, (Break(Kill(), "any", Hold(5.0)), Await("steady", "", 60.0), Await("leader", "", 60.0), Await("recovered", "web", 60.0))),
        Await("recovered", "web", 3.0),
        Do(Scale("web", 3), "", 60.0),
    )
    plan = replace(a_plan(), steps=steps, budgets=budgets, election=4.0)
    reading = reading_of((0.0, PhaseBegan(Phase.FORMING)), (10.0, PhaseBegan(Phase.STEADY)))
    soon = 2 * (5.0 + 10.0 + 4.0 + 12.0) + 3.0 + 1.0 + 10.0
    assert at_most(plan, reading, 10.0).startswith(f"some {about(soon)} more, ")
