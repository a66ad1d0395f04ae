"""Every shape of partition on five real nodes: what the kernels let through is the grudge, link by link."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager

import pytest

from harness.core.protocols import Cluster, Node
from harness.core.topology import SHAPES
from harness.core.values import NodeSpec
from harness.faults.partition import Partition
from harness.plan import address_of
from harness.providers import PROVIDERS
from harness.testing.bare import BareMode
from harness.undo.fingerprint import differences, fingerprint

NAMES = [f"n{number}" for number in range(1, 6)]
PORT = 9

# A datagram needs no answer, so that one direction can be told from the other. Sent thrice: the first may wait for an address to be resolved.
LISTEN = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("0.0.0.0", int(sys.argv[1]))); s.settimeout(float(sys.argv[2]))
print("ready", flush=True)
try:
    while True:
        print(s.recvfrom(64)[1][0], flush=True)
except TimeoutError:
    pass
"""
SEND = """
import socket, sys, select
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for _ in range(3):
    for address in sys.argv[2:]:
        s.sendto(b"x", (address, int(sys.argv[1])))
    select.select([], [], [], 0.1)
"""

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def five(lend: Callable[..., AbstractContextManager[Cluster]]) -> Iterator[Cluster]:
    """Lend five bare nodes."""
    with lend(PROVIDERS["nspawn"](), "five", [NodeSpec(name, address_of(name)) for name in NAMES], BareMode()) as cluster:
        yield cluster


def arrivals(cluster: Cluster) -> dict[str, set[str]]:
    """Return, for each node, from which other nodes a datagram arrives."""
    name_of = {node.address: node.name for node in cluster.nodes}
    heard: dict[str, set[str]] = {node.name: set() for node in cluster.nodes}

    def listen(node: Node) -> None:
        stream = node.stream("python3", "-c", LISTEN, str(PORT), "2.0")  # type: ignore[attr-defined]  # nspawn nodes are Streaming
        try:
            for line in stream.lines():
                if line == b"ready":
                    ready.append(node.name)
                    if len(ready) == len(cluster.nodes):
                        send()
                else:
                    heard[node.name].add(name_of[line.decode()])
        finally:
            stream.close()

    def send() -> None:
        for node in cluster.nodes:
            others = [other.address for other in cluster.nodes if other.name != node.name]
            senders.submit(node.run, "python3", "-c", SEND, str(PORT), *others)

    ready: list[str] = []
    with ThreadPoolExecutor(len(NAMES)) as senders, ThreadPoolExecutor(len(NAMES)) as pool:
        list(pool.map(listen, cluster.nodes))
    return heard


@pytest.mark.parametrize("shape", sorted(SHAPES))
def test_a_partition_lets_through_what_its_shape_says(five: Cluster, shape: str) -> None:
    """Each node hears all but those that it holds a grudge against; after the heal it hears everybody, and nothing is left."""
    everybody = {name: {*NAMES} - {name} for name in NAMES}
    hit = ["n2", "n4"]
    targets = [five.node(name) for name in hit]
    fault = Partition(shape=shape)  # type: ignore[arg-type]  # a name of SHAPES
    before = [fingerprint(node) for node in five.nodes]
    assert arrivals(five) == everybody
    fault.inject(five, targets)
    try:
        grudge = SHAPES[shape](NAMES, hit)
        assert any(grudge.values())
        assert arrivals(five) == {name: everybody[name] - grudge.get(name, frozenset()) for name in NAMES}
    finally:
        fault.heal(five, targets)
    assert arrivals(five) == everybody
    assert [differences(first, fingerprint(node)) for first, node in zip(before, five.nodes, strict=True)] == [[]] * len(NAMES)
