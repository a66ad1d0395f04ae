"""What watching costs, and how exact it is: CPU and memory of the harness with 3 nodes and 50 calls a second, and Docker's own event times.

Limits: 15 % of one core; 150 MB after a 10-minute run (``--seconds 600``); node truth within 50 ms of Docker's event time.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import time
from pathlib import Path
from threading import Event

from harness.conductor import Options, lent
from harness.faults.power import NodeKill
from harness.history import DockerEvent, History, NodeSeen
from harness.modes.fleet import Fleet
from harness.plan import Hold, Plan, address_of
from harness.values import App, NodeSpec
from harness.workloads.http import Http
from harness.workloads.register import Register


def _plan() -> Plan:
    mode = Fleet.from_timers("fast", {})
    return Plan(
        scenario="bench-watching",
        why="figures",
        file="bench/bench_watching.py",
        mode="fleet",
        provider="nspawn",
        seed=1,
        profile="fast",
        timers=mode.timers,
        nodes=tuple(NodeSpec(f"n{index}", address_of(f"n{index}")) for index in (1, 2, 3)),
        apps=(App("web", 2),),
        workloads=(Http("web", rate=40.0), Register(rate=10.0)),
        steps=(),
        settle=60.0,
        checks=(),
        promises=(),
        control=None,
    )


def _cpu() -> float:
    own = resource.getrusage(resource.RUSAGE_SELF)
    return own.ru_utime + own.ru_stime


def _exactness(history: History) -> list[float]:
    """Seconds from Docker's event of a start to node truth's first sight of the container, for every start while its node was watched."""
    since: dict[str, float] = {}
    seen: dict[str, float] = {}
    for entry, event in history.each(NodeSeen):
        since.setdefault(event.node, entry.time)
        for container in event.containers:
            seen.setdefault(container.id, entry.time)
    return [
        seen[event.container] - event.at
        for _, event in history.each(DockerEvent)
        if event.action == "start" and event.container in seen and event.at > since.get(event.node, event.at)
    ]


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0)
    seconds = parser.parse_args().seconds
    with tempfile.TemporaryDirectory() as folder, lent(_plan(), Options(Path(folder))) as session:
        Event().wait(5.0)
        cpu, begun = _cpu(), time.perf_counter()
        Event().wait(seconds)
        share = (_cpu() - cpu) / (time.perf_counter() - begun)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        session.break_(NodeKill(), "hosting(web) & any", Hold(60.0, "recovered"))
        session.recorder.close()
        late = _exactness(History.load(session.folder / "history.jsonl"))
    print(f"harness CPU, 50 calls/s    {share * 100:8.1f} % of one core   (limit: 15 %)")
    print(f"harness memory, peak       {peak:8.1f} MB   (limit: 150 MB in 10 minutes; this was {seconds:g} s)")
    if late:
        print(
            f"node truth after Docker    {statistics.median(late) * 1000:8.1f} ms median, {max(late) * 1000:.1f} ms at most   (limit: 50 ms)"
        )


if __name__ == "__main__":
    main()
