"""Virtual machines beside nspawn machines, in one run: one bare machine, three at once, and their end.

Limits: three virtual machines in at most twice the time of one under software emulation, 1.2 times with KVM. Takes two to four minutes. An argument
gives how often each is measured (1).
"""

from __future__ import annotations

import statistics
import sys
import time

from harness.core.protocols import Preparing
from harness.core.values import NodeSpec
from harness.plan import address_of
from harness.providers import PROVIDERS

LIMIT = {"qemu": 2.0, "kvm": 1.2}


def measure(name: str, count: int) -> tuple[float, float]:
    """Return the seconds from nothing to the first answer of every node, and those of the end."""
    provider = PROVIDERS[name]()
    run_id = f"bench-vms-{name}-{count}-{time.time_ns() % 10**9}"
    begun = time.perf_counter()
    try:
        provider.create(run_id, [NodeSpec(f"n{index}", address_of(f"n{index}")) for index in range(1, count + 1)])
        created = time.perf_counter() - begun
    finally:
        begun = time.perf_counter()
        provider.destroy(run_id)
    return created, time.perf_counter() - begun


def main(times: int) -> None:
    """Print the medians of each provider, side by side."""
    drivers = {}
    for name in ("nspawn", "vagrant"):
        provider = PROVIDERS[name]()
        if isinstance(provider, Preparing):
            drivers[name] = provider.prepare(lambda text: print(text, file=sys.stderr)).get("driver")
    for name, driver in drivers.items():
        one, three = ([measure(name, count) for _ in range(times)] for count in (1, 3))
        alone, together = (statistics.median(created for created, _ in each) for each in (one, three))
        gone = statistics.median(ended for _, ended in three)
        limit = LIMIT.get(str(driver))
        print(
            f"{name:8s} ({driver}): one {alone:7.2f} s, three {together:7.2f} s, removed {gone:6.2f} s; three take {together / alone:.2f} times one",
            end="",
        )
        print(f" (limit: {limit})" if limit else "")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
