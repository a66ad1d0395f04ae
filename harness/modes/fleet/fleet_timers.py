"""fleet's and etcd's own timers, and how long they allow recovery to take.

The figures and the rules between them are fleet v1.0.0's and etcd v3.4's. Pure: nothing here asks anybody.
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
class FleetTimers:
    """The timers that decide how fast a fleet cluster notices and recovers, in seconds. The defaults are upstream's."""

    agent_ttl: float = 30.0  # whole seconds: etcd's v2 keys know no less
    engine_reconcile_interval: float = 2.0
    etcd_request_timeout: float = 1.0  # for one request to one etcd member
    etcd_heartbeat_interval: float = 0.1
    etcd_election_timeout: float = 1.0


PROFILES: Mapping[str, FleetTimers] = {
    "default": FleetTimers(),
    # etcd stays as it is: a faster election would make the machine's own load look like a fault. With an engine pass a second the engine's lease
    # (five passes) ends when the TTL does, so that it adds nothing.
    "fast": FleetTimers(agent_ttl=5.0, engine_reconcile_interval=1.0),
}
"""Named sets of timers."""

LEASE_PASSES = 5
"""The engine leader's lease lasts this many passes (fleet, engine/engine.go)."""
AGENT_PASS = 5.0
"""An agent looks at its schedule at least this often, in seconds (fleet, agent/reconcile.go). A watch mostly makes it quicker."""
ETCD_SYNC = 0.5
"""etcd's leader expires v2 keys this often, in seconds (etcd, etcdserver/server.go)."""
CONTAINER_START = 3.0
"""Our own allowance, in seconds, for systemd and Docker to start a container on a busy machine of 2 cores."""

_LONGEST_ELECTION = 50.0  # seconds; etcd refuses more
_ELECTION_STALLS, _TTL_STALLS = 1.5, 5
_BEATS = 10  # heartbeats in an election timeout: upstream's own ratio
_HEARTBEATS = 5  # etcd refuses an election timeout of fewer heartbeats


def timers(profile: str, overrides: Mapping[str, float]) -> FleetTimers:
    """Return a profile's timers with single ones replaced. Raises `BadInput` with everything that fleet or etcd would not take."""
    return profiles.chosen(PROFILES, profile, overrides, _refused)


def withstanding(of: FleetTimers, stall: float) -> FleetTimers:
    """Return timers that take no machine for dead that stands still for `stall` seconds. None is shorter than it was.

    etcd's followers wait one and a half such times, a request waits one; the machine's key outlives five, since fleetd renews it every half TTL
    and may try once more.
    """
    election = min(max(of.etcd_election_timeout, _ELECTION_STALLS * stall), _LONGEST_ELECTION)
    return dataclasses.replace(
        of,
        agent_ttl=max(of.agent_ttl, float(math.ceil(_TTL_STALLS * stall))),
        etcd_request_timeout=max(of.etcd_request_timeout, round(stall, 1)),
        etcd_heartbeat_interval=max(of.etcd_heartbeat_interval, round(election / _BEATS, 2)),
        etcd_election_timeout=round(election, 1),
    )


def budget(of: FleetTimers, lost: Traits, who: Who) -> Budget:
    """Return how long recovery from such a loss may take at most. No terms for one after which fleet promises nothing.

    Docker is not its own: fleet asks systemd, which sees a process that is there while dockerd hangs. When dockerd dies the unit fails with it, and a
    failed unit stays where it is and as it is (measured: also once dockerd is back), unless its own Restart= says otherwise.
    """
    if lost.loses is Loss.NOTHING:
        return Budget(_election(of) if DISK in lost.parts else ())
    return Budget(() if RUNTIME & set(lost.parts) else _failover(of, who))


def endurance(of: FleetTimers) -> Endurance:
    """Return how long a stall of a machine fleet and etcd stand: its key must be renewed in time, and etcd's leader must be heard of in time."""
    usual = PROFILES["default"]
    return Endurance(
        (
            Patience(
                "etcd_election_timeout", of.etcd_election_timeout, of.etcd_election_timeout, usual.etcd_election_timeout, _LONGEST_ELECTION
            ),
            Patience("agent_ttl", of.agent_ttl, of.agent_ttl, usual.agent_ttl),
        ),
        recovery=Budget(_failover(of, Who.LEADER)).seconds,
        work=CONTAINER_START,
    )


def _failover(of: FleetTimers, who: Who) -> tuple[Term, ...]:
    """Give the way from a machine's last beat to its work running elsewhere.

    Any machine may hold the engine's lease. Only one that led etcd takes an election, and only a member of etcd leaves an endpoint dead.
    """
    lease = LEASE_PASSES * of.engine_reconcile_interval
    election = 2 * of.etcd_election_timeout if who is Who.LEADER else 0.0
    # Both run beside the TTL, so only what is longer than that counts.
    late = max(0.0, lease - of.agent_ttl, election - of.agent_ttl)
    terms = [Term("agent_ttl", of.agent_ttl, "fleet.conf; the machine's key in etcd lives this long after its last beat")]
    if late > 0.0:
        led = f" or led etcd (election {given(election)})" if election else ""
        source = f"the lost machine may have held the engine's lease ({given(lease)}, {LEASE_PASSES} passes){led}"
        terms.append(Term("lease or election beyond the TTL" if election else "lease beyond the TTL", late, source))
    terms += [
        Term("etcd sync", ETCD_SYNC, "etcd v3.4, etcdserver: v2 keys are expired every 500 ms"),
        Term("engine pass", of.engine_reconcile_interval, "fleet.conf engine_reconcile_interval"),
    ]
    if who is not Who.OTHER:
        source = "fleet.conf etcd_request_timeout, once for the engine and once for the agent"
        terms.append(Term("dead etcd endpoint", 2 * of.etcd_request_timeout, source))
    terms += [
        Term("agent pass", AGENT_PASS, "fleet v1.0.0, agent/reconcile.go reconcileInterval"),
        Term("container start", CONTAINER_START, "our allowance for systemd and Docker on a shared machine of 2 cores"),
    ]
    return tuple(terms)


def commits(of: FleetTimers) -> Committed:
    """Return what etcd asks of the disk under its log: its leader sends no heartbeat while it waits for one fdatasync."""
    return Committed(
        "etcd",
        0.01,
        "etcd's FAQ: the 99th percentile of wal_fsync_duration_seconds is to be below 10 ms",
        of.etcd_heartbeat_interval,
        of.etcd_election_timeout,
        ("etcd_heartbeat_interval", "etcd_election_timeout"),
    )


def _election(of: FleetTimers) -> tuple[Term, ...]:
    """Give the way from a slow disk under etcd's leader to a new leader."""
    election = 2 * of.etcd_election_timeout
    return (
        Term(
            "next write",
            of.engine_reconcile_interval,
            "fleet's engine renews its lease every pass; the leader stalls on its first slow fsync",
        ),
        Term("election", election, "etcd v3.4, raft: followers wait 1 to 2 election timeouts, chosen at random"),
        Term("second election", election, "etcd v3.4, raft: after a split vote they wait once more"),
    )


def _refused(of: FleetTimers) -> list[Problem]:
    """Say what fleet or etcd would refuse, or take and not keep."""
    found = []
    for each in dataclasses.fields(of):
        value = getattr(of, each.name)
        if not (math.isfinite(value) and value > 0):
            found.append(Problem("timers", 0, 0, f"{each.name}: {given(value)}", "more than 0 seconds"))
    if found:
        return found
    if not of.agent_ttl.is_integer():
        hint = "etcd's v2 keys count whole seconds, and fleet cuts off the rest"
        found.append(Problem("timers", 0, 0, f"agent_ttl: {given(of.agent_ttl)}", "whole seconds", hint))
    if not (LEASE_PASSES * of.engine_reconcile_interval >= 1.0):
        hint = f"the engine's lease is {LEASE_PASSES} passes, in whole seconds, and one of 0 s would never end"
        found.append(Problem("timers", 0, 0, f"engine_reconcile_interval: {given(of.engine_reconcile_interval)}", "0.2 s or more", hint))
    low = _HEARTBEATS * of.etcd_heartbeat_interval
    if not (low <= of.etcd_election_timeout <= _LONGEST_ELECTION):
        expected = f"from {given(low)} ({_HEARTBEATS} heartbeats) to {given(_LONGEST_ELECTION)}"
        found.append(
            Problem(
                "timers", 0, 0, f"etcd_election_timeout: {given(of.etcd_election_timeout)}", expected, "etcd refuses to start otherwise"
            )
        )
    return found
