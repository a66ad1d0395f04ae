"""fleet's timers, and the budgets that are their sums."""

from __future__ import annotations

import math

import pytest

from harness.core.errors import BadInput
from harness.core.traits import daemon
from harness.core.values import Loss, Traits, Who
from harness.modes import MODES
from harness.modes.fleet import Fleet


def test_the_default_failover_is_upstreams_ttl_and_all_that_comes_after_it() -> None:
    """30 TTL + 0.5 etcd + 2 engine + 2 dead endpoint + 5 agent + 3 container. Lease (10) and election (2) run beside the TTL and add nothing."""
    budget = Fleet().budget(Traits(Loss.NODE), Who.LEADER)
    assert budget.seconds == pytest.approx(42.5)
    assert budget.spelled() == (
        "agent_ttl 30 + etcd sync 0.5 + engine pass 2 + dead etcd endpoint 2 + agent pass 5 + container start 3 = 42.5 s"
    )
    assert all(term.source for term in budget.terms)


def test_a_lease_that_outlives_the_ttl_counts_for_the_rest() -> None:
    """With a TTL of 5 s and passes of 2 s the engine's lease of 10 s holds things up for another 5."""
    budget = Fleet.from_timers("default", {"agent_ttl": 5.0}).budget(Traits(Loss.NODE), Who.LEADER)
    assert budget.seconds == pytest.approx(5 + 5 + 0.5 + 2 + 2 + 5 + 3)
    assert "lease or election beyond the TTL 5" in budget.spelled()


def test_the_fast_profile_keeps_lease_and_ttl_together() -> None:
    """5 TTL + 0.5 + 1 + 2 + 5 + 3."""
    fast = Fleet.from_timers("fast", {})
    assert fast.budget(Traits(Loss.LINK), Who.LEADER).seconds == pytest.approx(16.5)
    assert fast.timers == Fleet.TIMERS["fast"]


def test_a_slow_disk_under_the_leader_allows_two_elections_after_the_next_write() -> None:
    """2 until a write meets the disk, then 1 to 2 election timeouts, and once more after a split vote."""
    assert Fleet().budget(Traits(parts=("disk",)), Who.LEADER).seconds == pytest.approx(6.0)


@pytest.mark.parametrize("name", ["docker", "dockerd", "containerd"])
@pytest.mark.parametrize("in_place", [True, False])
def test_nothing_is_promised_where_nobody_notices(name: str, in_place: bool) -> None:
    """A hung dockerd keeps its process, and fleet asks systemd; a dead one, started again or not, is systemd's business as well."""
    for lost in (daemon(name, in_place=in_place), Traits(Loss.PROCESS, ("docker", "containerd")), Traits(), Traits(parts=("clock",))):
        budget = Fleet().budget(lost, Who.LEADER)
        assert (budget.terms, budget.seconds) == ((), math.inf)


@pytest.mark.parametrize("name", ["etcd", "fleetd", "fleet"])
def test_a_lost_daemon_of_fleets_own_is_a_lost_machine(name: str) -> None:
    """Its key in etcd runs out as that of a dead machine does."""
    assert Fleet().budget(daemon(name, in_place=False), Who.LEADER) == Fleet().budget(Traits(Loss.NODE), Who.LEADER)


def test_timers_in_force_make_the_same_mode_again() -> None:
    """A plan saves them all, and a run is made from what was saved."""
    made = Fleet.from_timers("fast", {"etcd_election_timeout": 2.0})
    again = Fleet.from_timers("default", made.timers)
    assert again.timers == made.timers


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"agent_tll": 5.0}, "did you mean 'agent_ttl'"),
        ({"agent_ttl": 2.5}, "whole seconds"),
        ({"agent_ttl": 0.0}, "more than 0"),
        ({"engine_reconcile_interval": math.inf}, "more than 0"),
        ({"engine_reconcile_interval": 0.1}, "0.2 s or more"),
        ({"etcd_election_timeout": 0.4}, "from 0.5 s"),
        ({"etcd_election_timeout": 60.0}, "to 50 s"),
    ],
)
def test_timers_that_fleet_or_etcd_would_not_keep_are_refused(overrides: dict[str, float], said: str) -> None:
    """Each with what was found and what would be right."""
    with pytest.raises(BadInput, match=said):
        Fleet.from_timers("default", overrides)


def test_all_problems_come_at_once() -> None:
    """Profile and timer, both."""
    with pytest.raises(BadInput) as raised:
        Fleet.from_timers("fats", {"agent_tll": 5.0})
    assert len(raised.value.problems) == 2


def test_the_mode_is_known_by_its_name() -> None:
    """Scenarios name it."""
    assert MODES["fleet"] is Fleet


def test_it_takes_less_where_nobody_that_led_is_lost() -> None:
    """No election without the leader, and no dead endpoint where no member of etcd is lost; the lease may be anybody's."""
    fleet, lost = Fleet.from_timers("default", {"agent_ttl": 5.0, "etcd_election_timeout": 6.0}), Traits(Loss.NODE)
    asked = {who: fleet.budget(lost, who) for who in Who}
    assert [asked[who].seconds for who in (Who.LEADER, Who.FOLLOWER, Who.OTHER)] == pytest.approx([24.5, 22.5, 20.5])
    assert "lease beyond the TTL 5" in asked[Who.FOLLOWER].spelled()
    assert "endpoint" not in asked[Who.OTHER].spelled()


def test_who_is_lost_makes_no_difference_where_nothing_is() -> None:
    """A slow disk takes nobody away."""
    assert len({Fleet().budget(Traits(parts=("disk",)), who) for who in Who}) == 1
