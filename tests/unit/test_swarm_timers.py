"""Swarm's timers, and the budgets that are their sums."""

from __future__ import annotations

import math

import pytest

from harness.core.errors import BadInput
from harness.core.traits import daemon
from harness.core.values import Loss, Traits, Who
from harness.modes import MODES
from harness.modes.swarm import Swarm


def test_the_default_failover_holds_for_the_leaders_machine_too() -> None:
    """Two elections of 20, six heartbeats of 5.5, a delay of 5, a container's 3."""
    budget = Swarm().budget(Traits(Loss.NODE), Who.LEADER)
    assert budget.seconds == pytest.approx(20 + 20 + 33 + 5 + 3)
    assert budget.spelled() == "election 20 + second election 20 + node down 33 + restart delay 5 + container start 3 = 81 s"
    assert all(term.source for term in budget.terms)
    assert "16.5 s and no election" in budget.terms[2].source


@pytest.mark.parametrize(
    "lost",
    [Traits(Loss.LINK), daemon("docker", in_place=True), daemon("dockerd", in_place=False), Traits(Loss.PROCESS, ("docker", "containerd"))],
)
def test_a_hung_or_dead_daemon_is_a_dead_node_to_swarm(lost: Traits) -> None:
    """Manager, agent and raft are all parts of dockerd."""
    assert Swarm().budget(lost, Who.LEADER) == Swarm().budget(Traits(Loss.NODE), Who.LEADER)


def test_the_sum_scales_with_the_heartbeat_and_the_delay() -> None:
    """Each heartbeat is drawn from half a second around the one that is set."""
    fast = Swarm.from_timers("fast", {})
    assert fast.budget(Traits(Loss.NODE), Who.LEADER).seconds == pytest.approx(40 + 6 * 3.5 + 1 + 3)
    assert fast.timers == Swarm.TIMERS["fast"]
    assert Swarm.from_timers("default", {"dispatcher_heartbeat": 2.0}).budget(Traits(Loss.NODE), Who.LEADER).seconds == pytest.approx(
        40 + 6 * 2.5 + 5 + 3
    )


@pytest.mark.parametrize("lost", [Traits(), Traits(parts=("disk",)), daemon("containerd", in_place=False)])
def test_nothing_is_promised_where_nobody_notices(lost: Traits) -> None:
    """Swarm has no word on slow disks, nor on a containerd that its dockerd waits for."""
    budget = Swarm().budget(lost, Who.LEADER)
    assert (budget.terms, budget.seconds) == ((), math.inf)


def test_an_election_may_end_in_a_split_vote_once() -> None:
    """Ten ticks of a second, up to twice as many by chance, and the same once more; no timer changes that."""
    assert Swarm().election() == pytest.approx(40.0)
    assert Swarm.from_timers("fast", {}).election() == pytest.approx(40.0)


def test_timers_in_force_make_the_same_mode_again() -> None:
    """A plan saves them all, and a run is made from what was saved."""
    made = Swarm.from_timers("fast", {"restart_delay": 0.0})
    assert Swarm.from_timers("default", made.timers).timers == made.timers


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"dispatcher_hartbeat": 5.0}, "did you mean 'dispatcher_heartbeat'"),
        ({"raft_election": 3.0}, "one of dispatcher_heartbeat, restart_delay"),
        ({"dispatcher_heartbeat": 0.5}, "1 s or more"),
        ({"dispatcher_heartbeat": 0.0}, "more than 0"),
        ({"dispatcher_heartbeat": math.inf}, "more than 0"),
        ({"dispatcher_heartbeat": math.nan}, "more than 0"),
        ({"restart_delay": -1.0}, "0 seconds or more"),
    ],
)
def test_timers_that_swarm_would_not_keep_are_refused(overrides: dict[str, float], said: str) -> None:
    """Each with what was found and what would be right."""
    with pytest.raises(BadInput, match=said):
        Swarm.from_timers("default", overrides)


def test_all_problems_come_at_once() -> None:
    """Profile and timers, all three."""
    with pytest.raises(BadInput) as raised:
        Swarm.from_timers("fats", {"dispatcher_hartbeat": 5.0, "dispatcher_heartbeat": 0.1})
    assert len(raised.value.problems) == 3


def test_the_mode_is_known_by_its_name() -> None:
    """Scenarios name it."""
    assert MODES["swarm"] is Swarm


def test_it_takes_less_where_the_leader_stays() -> None:
    """Three heartbeats and no election; who spoke through a lost manager may need longer than that to be back."""
    lost = Traits(Loss.NODE)
    assert Swarm().budget(lost, Who.OTHER).spelled() == "node down 16.5 + restart delay 5 + container start 3 = 24.5 s"
    assert Swarm().budget(lost, Who.FOLLOWER) == Swarm().budget(lost, Who.OTHER)
    fast = Swarm.from_timers("fast", {})
    assert fast.budget(lost, Who.OTHER).seconds == pytest.approx(10.5 + 1 + 3)
    assert (
        fast.budget(lost, Who.FOLLOWER).spelled()
        == "node down 10.5 + sessions beyond that 2.5 + restart delay 1 + container start 3 = 17 s"
    )
