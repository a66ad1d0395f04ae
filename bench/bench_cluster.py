"""Formation, memory, tear-down and partitions of real clusters.

Limits: fleet 4 s, 12 nodes 15 s, swarm 8 s, mesos and ansible 12 s; 100 MB a node, mesos 300 MB; 2 s; 100 ms.
"""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from harness.core.protocols import Cluster
from harness.core.values import NodeSpec
from harness.faults.partition import Partition
from harness.host.processes import Process
from harness.modes import MODES
from harness.plan import address_of
from harness.providers.nspawn import NspawnProvider, cgroups


def _memory(run_id: str, names: list[str]) -> float:
    """Proportional set size of all processes of the nodes, in MB a node: pages that nodes share are counted once."""
    total = 0
    for name in names:
        processes: set[Process] = cgroups.processes(run_id, name)
        for process in processes:
            try:
                lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
            except OSError:
                continue
            total += next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)
    return total / 1024 / len(names)


LIMITS = {("fleet", 3): "4 s", ("fleet", 12): "15 s", ("swarm", 3): "8 s", ("mesos", 3): "12 s", ("ansible", 3): "12 s"}
MEMORY = {"mesos": "300 MB"}  # ZooKeeper's Java included


def measure(name: str, count: int) -> None:
    """Form one cluster of `count` nodes and print its figures."""
    run_id = f"bench-{name}-{count}-{time.time_ns() % 10**9}"
    provider = NspawnProvider()
    provider.furnish(MODES[name].LAYER)
    provider.prepare(lambda text: print(text, file=sys.stderr))
    specs = [NodeSpec(f"n{index}", address_of(f"n{index}")) for index in range(1, count + 1)]
    mode = MODES[name].from_timers("default", {})
    try:
        begun = time.perf_counter()
        nodes = provider.create(run_id, specs)
        created = time.perf_counter() - begun
        cluster = Cluster(run_id, nodes, provider, mode)
        with cluster.network():
            mode.form(cluster)
        formed = time.perf_counter() - begun
        limit = LIMITS.get((name, count), "none")
        print(f"{name} {count:2d} nodes take commands      {created:8.2f} s")
        print(f"{name} {count:2d} nodes listed, docker up  {formed:8.2f} s   (limit: {limit})")
        memory = _memory(run_id, [node.name for node in nodes])
        print(f"{name} {count:2d} nodes, memory            {memory:8.1f} MB a node   (limit: {MEMORY.get(name, '100 MB')})")
        fault = Partition(shape="isolate")
        decided = time.perf_counter()
        fault.inject(cluster, nodes[:1])
        injected = time.perf_counter() - decided
        with ThreadPoolExecutor(count) as pool:
            there = list(pool.map(lambda node: fault.in_force(cluster, node), nodes[:1]))
        print(f"{name} {count:2d} nodes, partition there   {injected * 1000:8.0f} ms   (limit: 100 ms; seen in force: {all(there)})")
        fault.heal(cluster, nodes[:1])
    finally:
        begun = time.perf_counter()
        provider.destroy(run_id)
        print(f"{name} {count:2d} nodes torn down          {time.perf_counter() - begun:8.2f} s   (limit: 2 s)")


if __name__ == "__main__":
    for each in LIMITS:
        measure(*each)
