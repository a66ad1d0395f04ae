"""The timers of Mesos, Marathon and ZooKeeper, and how long they allow recovery to take.

The figures and the rules between them are Mesos 1.11's, Marathon 1.11's and ZooKeeper 3.8's. Pure: nothing here asks anybody.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass

from harness.core.errors import Problem
from harness.core.figures import given
from harness.core.traits import DISK, RUNTIME
from harness.core.values import Budget, Committed, Endurance, Loss, Patience, Term, Traits, Who
from harness.modes import profiles


@dataclass(frozen=True, slots=True)
class MesosTimers:
    """The timers that decide how fast Mesos and Marathon notice and recover, in seconds. The defaults are upstream's."""

    agent_ping_timeout: float = 15.0  # for each of the `PINGS` that an agent may miss
    agent_reregister_timeout: float = 600.0  # for agents to come back to a new leading master; upstream takes no less
    zk_session_timeout: float = 10.0  # of masters, agents and Marathon
    zk_tick: float = 2.0  # ZooKeeper's tickTime; a follower is given up after `SYNC_TICKS`
    restart_delay: float = 20.0  # systemd starts a daemon of Mesos that ended again after so long, as Mesosphere's packages had it
    reconciliation_initial_delay: float = 15.0  # of a Marathon that has just begun to lead
    min_revive_offers_interval: float = 5.0


PROFILES: Mapping[str, MesosTimers] = {
    "default": MesosTimers(),
    # Mesos refuses less than ten minutes for agents to come back to a new master, so that one stays; and its masters send a heartbeat every 15 s,
    # whatever Marathon is told. Sessions outlive the loss of ZooKeeper's leader: five ticks until that is noticed, and an election.
    "fast": MesosTimers(
        agent_ping_timeout=1.5,
        zk_session_timeout=6.0,
        zk_tick=0.5,
        restart_delay=1.0,
        reconciliation_initial_delay=2.0,
        min_revive_offers_interval=1.0,
    ),
}
"""Named sets of timers."""

PINGS = 5
"""An agent that has missed so many pings in a row is unreachable (Mesos, ``--max_agent_ping_timeouts``)."""
SYNC_TICKS, INIT_TICKS = 5, 10
"""ZooKeeper's syncLimit and initLimit, as its sample configuration has them."""
CONNECT = 5.0
"""How long a member of ZooKeeper tries to reach another one while it elects, in seconds (cnxTimeout)."""
BACKOFF = 1.15
"""How long Marathon waits before it starts an instance again that was lost for the first time, in seconds (backoffSeconds × backoffFactor)."""
OFFER = 2.0
"""Our own allowance, in seconds, for the master's next offer to reach Marathon, and what it accepts the agent."""
CONTAINER_START = 3.0
"""Our own allowance, in seconds, for the agent and Docker to start a container on a busy machine of 2 cores."""

_SHORTEST_PING, _LONGEST_PING = 1.0, 900.0  # seconds; Mesos refuses others
_SHORTEST_REREGISTER = 600.0  # same
_FEWEST_TICKS, _MOST_TICKS = 2, 20  # of a session, which ZooKeeper negotiates to be within
_STOOD_PINGS = PINGS - 1
_STOOD_TICKS = SYNC_TICKS - 1
_STOOD = 2.0 / 3.0  # of a session: a client speaks every third of it
_LONGEST_TICK = 60.0


def timers(profile: str, overrides: Mapping[str, float]) -> MesosTimers:
    """Return a profile's timers with single ones replaced. Raises `BadInput` with everything that Mesos or ZooKeeper would not take."""
    return profiles.chosen(PROFILES, profile, overrides, _refused)


def withstanding(of: MesosTimers, stall: float) -> MesosTimers:
    """Return timers that take nobody for dead that stands still for `stall` seconds. None is shorter than it was."""
    tick = max(of.zk_tick, _up(stall / _STOOD_TICKS))
    session = max(of.zk_session_timeout, _up(stall / _STOOD), _FEWEST_TICKS * tick)
    ping = max(of.agent_ping_timeout, _up(stall / _STOOD_PINGS))
    if PINGS * ping <= session:
        ping = _up(session / PINGS + 0.1)
    return dataclasses.replace(of, zk_tick=tick, zk_session_timeout=session, agent_ping_timeout=ping)


def _up(seconds: float) -> float:
    """Return a time in tenths of a second, not shorter."""
    return math.ceil(seconds * 10.0) / 10.0


def election(of: MesosTimers) -> float:
    """Return how long ZooKeeper may be without a leader, in seconds: followers miss a dead one, and may first try to reach one that is dead."""
    return SYNC_TICKS * of.zk_tick + 2 * CONNECT


def commits(of: MesosTimers) -> Committed:
    """Return what ZooKeeper asks of the disk under its log: it names no figure, and complains in its own log from one on."""
    return Committed(
        "ZooKeeper",
        1.0,
        "ZooKeeper's administrator's guide: fsync.warningthresholdms, from which on it warns of a sync, is 1000; it recommends no percentile",
        of.zk_tick,
        SYNC_TICKS * of.zk_tick,
        speaks_on=True,  # pings have threads of their own; a follower that takes syncLimit for a proposal is given up
    )


def budget(of: MesosTimers, lost: Traits, who: Who) -> Budget:
    """Return how long recovery from such a loss may take at most. No terms for one after which nothing is promised.

    Docker is not Mesos' own: an agent whose dockerd hangs answers its pings. Where a master, a Marathon or a member of ZooKeeper is lost no work is:
    then it is until another one leads, and has made itself known. An agent that is lost alone is given up as its machine would be.
    """
    if lost.loses is Loss.NOTHING:
        return Budget(_elected(of) if DISK in lost.parts else ())
    if lost.loses is Loss.PROCESS:
        parts = set(lost.parts)
        if RUNTIME & parts:
            return Budget(())
        if not parts & {"mesos-agent"}:
            return Budget((*(_elected(of) if who is not Who.OTHER else ()), *_led(of)))
        return Budget((_unreachable(of), *_placed(of)))
    return Budget((*(_elected(of) if who is Who.LEADER else ()), *_forgotten(of), *_placed(of)))


def endurance(of: MesosTimers) -> Endurance:
    """Return how long a stall of a machine they stand: ZooKeeper must hear its members and its clients, and the leading master every agent."""
    usual = PROFILES["default"]
    return Endurance(
        (
            Patience("zk_tick", _STOOD_TICKS * of.zk_tick, of.zk_tick, _STOOD_TICKS * usual.zk_tick, _LONGEST_TICK),
            Patience(
                "zk_session_timeout",
                _STOOD * of.zk_session_timeout,
                of.zk_session_timeout,
                _STOOD * usual.zk_session_timeout,
                _MOST_TICKS * _LONGEST_TICK,
            ),
            Patience(
                "agent_ping_timeout",
                _STOOD_PINGS * of.agent_ping_timeout,
                of.agent_ping_timeout,
                _STOOD_PINGS * usual.agent_ping_timeout,
                _LONGEST_PING,
            ),
        ),
        recovery=Budget((*_elected(of), _unreachable(of), *_led(of), *_placed(of))).seconds,
        work=OFFER + CONTAINER_START,
    )


def _unreachable(of: MesosTimers) -> Term:
    """Give the time from an agent's last word until the leading master calls it unreachable: the ping before the first that it misses, and those."""
    source = f"mesos-master --agent_ping_timeout: {PINGS} pings in a row are missed, the first up to one ping after the agent's last word"
    return Term("agent pings", (PINGS + 1) * of.agent_ping_timeout, source)


def _forgotten(of: MesosTimers) -> tuple[Term, ...]:
    """Give the same of a machine that may have led the masters: the next one waits for all agents that it finds in the registry.

    By then Marathon has another leader as well.
    """
    session = Term(
        "zk_session_timeout", of.zk_session_timeout, "the lost machine may have led the masters: another one leads when its session is over"
    )
    registry = Term(
        "agent_reregister_timeout",
        of.agent_reregister_timeout,
        "mesos-master: a new leading master gives every agent of its registry so long to come back "
        f"(had the lost machine not led them: {given(_unreachable(of).seconds)} of pings)",
    )
    late = max(0.0, _unreachable(of).seconds - registry.seconds)
    return (session, registry, *((Term("agent pings beyond that", late, _unreachable(of).source),) if late else ()))


def _led(of: MesosTimers) -> tuple[Term, ...]:
    """Give the way to another master, and another Marathon, that leads and knows of all tasks."""
    return (
        Term(
            "zk_session_timeout",
            of.zk_session_timeout,
            "of masters and Marathon: another one leads when the session of the lost one is over",
        ),
        Term("restart_delay", of.restart_delay, "systemd: a master or a Marathon that loses what it leads ends, and is started again"),
        Term("reconciliation", of.reconciliation_initial_delay, "marathon --reconciliation_initial_delay"),
    )


def _placed(of: MesosTimers) -> tuple[Term, ...]:
    """Give the way from Marathon's knowing that an instance is lost to another one that runs."""
    return (
        Term("reconciliation", of.reconciliation_initial_delay, "marathon --reconciliation_initial_delay, where it has just begun to lead"),
        Term("backoff", BACKOFF, "Marathon's launch queue, backoffSeconds × backoffFactor"),
        Term(
            "offers",
            of.min_revive_offers_interval,
            "marathon --min_revive_offers_interval: offers that it had declined are asked for again",
        ),
        Term("offer and launch", OFFER, "our allowance for the master's allocator and the agent"),
        Term("container start", CONTAINER_START, "our allowance for the agent and Docker on a shared machine of 2 cores"),
    )


def _elected(of: MesosTimers) -> tuple[Term, ...]:
    """Give the way to another leader of ZooKeeper."""
    return (
        Term("zk sync", SYNC_TICKS * of.zk_tick, f"zoo.cfg syncLimit {SYNC_TICKS} × tickTime: members miss a leader that says nothing"),
        Term(
            "zk election",
            2 * CONNECT,
            f"ZooKeeper 3.8: reaching for a member that is lost takes up to {given(CONNECT)}, and twice for a second round",
        ),
    )


def _refused(of: MesosTimers) -> list[Problem]:
    """Say what Mesos or ZooKeeper would refuse, or take and not keep."""

    def wrong(name: str, expected: str, hint: str = "") -> Problem:
        return Problem("timers", 0, 0, f"{name}: {given(getattr(of, name))}", expected, hint)

    found = [
        wrong(each.name, "more than 0 seconds")
        for each in dataclasses.fields(of)
        if not (math.isfinite(value := getattr(of, each.name)) and value > 0)
    ]
    if found:
        return found
    if not _SHORTEST_PING <= of.agent_ping_timeout <= _LONGEST_PING:
        found.append(
            wrong(
                "agent_ping_timeout", f"from {given(_SHORTEST_PING)} to {given(_LONGEST_PING)}", "mesos-master refuses to start otherwise"
            )
        )
    if of.agent_reregister_timeout < _SHORTEST_REREGISTER:
        found.append(wrong("agent_reregister_timeout", f"{given(_SHORTEST_REREGISTER)} or more", "mesos-master refuses to start otherwise"))
    low, high = _FEWEST_TICKS * of.zk_tick, _MOST_TICKS * of.zk_tick
    if not low <= of.zk_session_timeout <= high:
        hint = "ZooKeeper would make it so by itself"
        found.append(wrong("zk_session_timeout", f"from {given(low)} to {given(high)} (2 to 20 zk_tick)", hint))
    if of.zk_tick > _LONGEST_TICK:
        found.append(wrong("zk_tick", f"{given(_LONGEST_TICK)} at most"))
    if PINGS * of.agent_ping_timeout <= of.zk_session_timeout:
        hint = "or agents are given up while a new leading master is elected"
        found.append(
            wrong("agent_ping_timeout", f"more than {given(of.zk_session_timeout / PINGS)}: {PINGS} pings outlive a session", hint)
        )
    return found
