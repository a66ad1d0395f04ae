"""Docker swarm mode's own timers, and how long they allow recovery to take.

The figures and the rules between them are swarmkit's, as dockerd 20.10 carries it. Pure: nothing here asks anybody.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass

from harness.core.errors import Problem
from harness.core.figures import given
from harness.core.values import Budget, Committed, Endurance, Loss, Patience, Term, Traits, Who
from harness.modes import profiles


@dataclass(frozen=True, slots=True)
class SwarmTimers:
    """The timers that decide how fast a swarm notices and recovers, in seconds. The defaults are Docker's.

    raft's are not among them: dockerd 20.10 always elects after 10 ticks of a second. What ``swarm init`` is told of ticks it stores and never uses,
    and its own options for them are neither flags nor accepted in ``daemon.json``.
    """

    dispatcher_heartbeat: float = 5.0  # a node's word to the leading manager
    restart_delay: float = 5.0  # of the services that we make


PROFILES: Mapping[str, SwarmTimers] = {
    "default": SwarmTimers(),
    # A heartbeat of 3 s and not less: after a change of leader each node has at least 6 × 2.5 = 15 s to say that it lives. It may first be waiting
    # in a back-off of up to 8 s, and then pick the dead manager and wait 5 s for it (swarmkit, agent/agent.go and session.go): with less, machines
    # that nothing ails would be given up.
    "fast": SwarmTimers(dispatcher_heartbeat=3.0, restart_delay=1.0),
}
"""Named sets of timers."""

EPSILON = 0.5
"""Each heartbeat period is drawn anew from this much around the one that is set, in seconds (swarmkit, manager/dispatcher)."""
MISSED = 3
"""A node that has missed so many periods is down (same)."""
MISSED_AFTER_ELECTION = 6
"""After a change of leader every node is unknown, and given so many periods to speak (same, nodes.go)."""
ELECTION_TICKS = 10.0
"""A manager that has heard no leader for so many seconds, up to twice as many, stands for election (dockerd, daemon/cluster; a tick is 1 s)."""
SESSION = 13.0
"""An agent that spoke through a manager that is gone may wait so long, in seconds: a back-off of 8, and 5 for no answer (swarmkit, agent)."""
CONTAINER_START = 3.0
"""Our own allowance, in seconds, for the scheduler and Docker to start a container on a busy machine of 2 cores."""
ONE_ELECTION = 2 * ELECTION_TICKS
"""How long one election takes at most, in seconds."""
TWO_ELECTIONS = 2 * ONE_ELECTION
"""How long the managers may be without a leader, in seconds: the first election may end in a split vote."""

_SHORTEST_HEARTBEAT = 1.0  # seconds; with less, half of it is the random part


def timers(profile: str, overrides: Mapping[str, float]) -> SwarmTimers:
    """Return a profile's timers with single ones replaced. Raises `BadInput` with everything that swarm would not take."""
    return profiles.chosen(PROFILES, profile, overrides, _refused)


def commits() -> Committed:
    """Return what raft in dockerd asks of the disk under its log: nothing that Docker's or swarmkit's documents say."""
    return Committed(
        "swarm's raft",
        0.0,
        "neither Docker's nor swarmkit's documents say what raft in dockerd asks of a disk; what counts is its timers, 1 and 10 ticks of a second",
        1.0,
        ELECTION_TICKS,
    )


def budget(of: SwarmTimers, lost: Traits, who: Who) -> Budget:
    """Return how long recovery from such a loss may take at most. No terms for one after which swarm promises nothing.

    A hung or dead dockerd is a dead node: the agent, the manager and raft all live in it. One that is started again finds its work gone, and is given
    it anew within the same time.
    """
    gone = lost.loses in {Loss.NODE, Loss.LINK} or (lost.loses is Loss.PROCESS and "docker" in lost.parts)
    return Budget(_failover(of, who) if gone else ())


def endurance(of: SwarmTimers) -> Endurance:
    """Return how long a stall of a machine swarm stands: managers must hear their leader, and the leader every node.

    A node that said something just before a stall has one period less until it counts as down.
    """
    usual = PROFILES["default"]
    return Endurance(
        (
            Patience("raft's election timeout", ELECTION_TICKS, default=ELECTION_TICKS),
            Patience("dispatcher_heartbeat", _missed(of), of.dispatcher_heartbeat, _missed(usual)),
        ),
        recovery=Budget(_failover(of, Who.LEADER)).seconds,
        work=CONTAINER_START,
    )


def _missed(of: SwarmTimers) -> float:
    return (MISSED - 1) * (of.dispatcher_heartbeat - EPSILON)


def _failover(of: SwarmTimers, who: Who) -> tuple[Term, ...]:
    """Give the way from the last word of a machine to its work running elsewhere. With the leader's machine an election comes first."""
    beat = of.dispatcher_heartbeat + EPSILON
    end = (
        Term("restart delay", of.restart_delay, "the service's RestartPolicy.Delay; a replacement waits for it as well"),
        Term("container start", CONTAINER_START, "our allowance for the scheduler and Docker on a shared machine of 2 cores"),
    )
    beats = f"heartbeats of {given(of.dispatcher_heartbeat)}, each ±{given(EPSILON)}"
    if who is Who.LEADER:
        return (
            Term(
                "election",
                ONE_ELECTION,
                "the machine may have been the leader's; raft in dockerd: managers wait 1 to 2 times "
                f"{ELECTION_TICKS:.0f} ticks of 1 s, by chance",
            ),
            Term("second election", ONE_ELECTION, "the same once more, after a split vote"),
            Term(
                "node down",
                MISSED_AFTER_ELECTION * beat,
                f"swarmkit, manager/dispatcher: a new leader gives every node {MISSED_AFTER_ELECTION} {beats} "
                f"(under the same leader it is {MISSED}: {given(MISSED * beat)} and no election)",
            ),
            *end,
        )
    down = Term("node down", MISSED * beat, f"swarmkit, manager/dispatcher: under the same leader a node is down after {MISSED} {beats}")
    late = max(0.0, SESSION - down.seconds) if who is Who.FOLLOWER else 0.0
    lost = Term("sessions beyond that", late, f"agents that spoke through the lost manager are back within {given(SESSION)}")
    return (down, *((lost,) if late else ()), *end)


def _refused(of: SwarmTimers) -> list[Problem]:
    """Say what swarm or dockerd would refuse, or take and not keep."""
    found = []
    for each in dataclasses.fields(of):
        value = getattr(of, each.name)
        least = 0.0 if each.name == "restart_delay" else math.ulp(0.0)
        if not (math.isfinite(value) and value >= least):
            found.append(
                Problem("timers", 0, 0, f"{each.name}: {given(value)}", "0 seconds or more" if least == 0.0 else "more than 0 seconds")
            )
    if found:
        return found
    if of.dispatcher_heartbeat < _SHORTEST_HEARTBEAT:
        hint = f"swarm draws each period from {given(EPSILON)} around it"
        found.append(
            Problem(
                "timers", 0, 0, f"dispatcher_heartbeat: {given(of.dispatcher_heartbeat)}", f"{given(_SHORTEST_HEARTBEAT)} or more", hint
            )
        )
    return found
