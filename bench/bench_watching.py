"""What watching costs, and how exact it is: CPU and memory of the harness with 3 nodes and 50 calls a second, and Docker's own event times.

Limits: 15 % of one core for the harness and 1 % for the agent of each node; 150 MB after a 10-minute run (``--seconds 600``); node truth within 10 ms
of Docker's event time.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from threading import Event

from harness.conductor import Options, lent
from harness.core.values import App, NodeSpec
from harness.faults.power import NodeKill
from harness.history.events import DockerEvent, History, NodeSeen
from harness.modes.fleet import Fleet
from harness.observers.node_truth import AGENT
from harness.plan import Plan, address_of
from harness.steps import Hold
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


def _agents() -> list[float]:
    """Seconds of a processor that the agent of each of our own nodes has taken so far: those that this process, or a child of it, has started."""
    text = AGENT.read_bytes()[:100]
    parents: dict[int, int] = {}
    used: dict[int, float] = {}
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            with suppress(OSError):  # it has ended
                fields = (process / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
                parents[int(process.name)] = int(fields[1])
                if text in (process / "cmdline").read_bytes():
                    used[int(process.name)] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return [seconds for pid, seconds in used.items() if _descends(pid, parents)]


def _descends(pid: int, parents: Mapping[int, int]) -> bool:
    """Whether a process was started by this one, or by one that was."""
    while pid in parents and pid != os.getpid():
        pid = parents[pid]
    return pid == os.getpid()


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
        cpu, agents, begun = _cpu(), sum(_agents()), time.perf_counter()
        Event().wait(seconds)
        passed = time.perf_counter() - begun
        share = (_cpu() - cpu) / passed
        each = (sum(_agents()) - agents) / passed / len(session.cluster.nodes)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        session.break_(NodeKill(), "hosting(web) & any", Hold(60.0, "recovered"))
        session.recorder.close()
        late = _exactness(History.load(session.folder / "history.jsonl"))
    print(f"harness CPU, 50 calls/s    {share * 100:8.1f} % of one core   (limit: 15 %)")
    print(f"agent CPU, each node       {each * 100:8.2f} % of one core   (limit: 1 %)")
    print(f"harness memory, peak       {peak:8.1f} MB   (limit: 150 MB in 10 minutes; this was {seconds:g} s)")
    if late:
        print(
            f"node truth after Docker    {statistics.median(late) * 1000:8.1f} ms median, {max(late) * 1000:.1f} ms at most   (limit: 10 ms)"
        )


if __name__ == "__main__":
    main()
