"""The timers of Mesos, Marathon and ZooKeeper, and the budgets that are their sums."""

from __future__ import annotations

import math
from typing import Any

import pytest

from harness.core.errors import BadInput
from harness.core.traits import daemon
from harness.core.values import Loss, Traits, Who
from harness.modes.mesos import Mesos


def test_a_lost_agent_is_given_up_after_five_pings_and_its_work_started_elsewhere() -> None:
    """6 pings of 15, the first up to one after its last word; reconciliation 15, backoff 1.15, revival 5, our 2 + 3."""
    budget = Mesos().budget(daemon("mesos-agent", in_place=False), Who.OTHER)
    assert budget.seconds == pytest.approx(90 + 15 + 1.15 + 5 + 2 + 3)
    assert all(term.source for term in budget.terms)


def test_a_lost_machine_may_have_led_the_masters() -> None:
    """Then a new one waits ten minutes for its agent, whatever the profile: Mesos takes no less."""
    for profile in Mesos.TIMERS:
        assert Mesos.from_timers(profile, {}).budget(Traits(Loss.NODE), Who.OTHER).seconds > 600
    leader, follower = (Mesos().budget(Traits(Loss.NODE), who).seconds for who in (Who.LEADER, Who.FOLLOWER))
    assert leader == pytest.approx(follower + 20)  # another leader of ZooKeeper's first


@pytest.mark.parametrize("name", ["docker", "dockerd", "containerd"])
def test_docker_is_not_its_own(name: str) -> None:
    """An agent whose Docker hangs answers its pings: nothing is promised."""
    assert Mesos().budget(daemon(name, in_place=False), Who.LEADER).seconds == math.inf


@pytest.mark.parametrize("name", ["zookeeper", "mesos-master", "marathon"])
def test_a_lost_daemon_of_the_control_plane_takes_no_work(name: str) -> None:
    """It is until another one leads, and knows what there is."""
    assert Mesos().budget(daemon(name, in_place=False), Who.OTHER).seconds == pytest.approx(10 + 20 + 15)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"agent_ping_timeout": 0.5}, "agent_ping_timeout: 0.5 s"),
        ({"agent_reregister_timeout": 60.0}, "agent_reregister_timeout: 60 s"),
        ({"zk_session_timeout": 50.0}, "zk_session_timeout: 50 s"),
        ({"zk_tick": 61.0, "zk_session_timeout": 130.0, "agent_ping_timeout": 30.0}, "zk_tick: 61 s"),
        ({"agent_ping_timeout": 2.0}, "5 pings outlive a session"),
        ({"restart_delay": 0.0}, "restart_delay: 0 s"),
    ],
)
def test_what_nobody_would_take_is_refused(wrong: dict[str, Any], words: str) -> None:
    """Each with what was found and expected."""
    with pytest.raises(BadInput) as error:
        Mesos.from_timers("default", wrong)
    assert words in str(error.value)


def test_timers_in_force_make_the_same_mode_again() -> None:
    """A plan that was saved is run with what it says."""
    for profile, values in Mesos.TIMERS.items():
        assert Mesos.from_timers("default", values).timers == Mesos.from_timers(profile, {}).timers
