"""The stand-in for Marathon keeps upstream's contract, on a ZooKeeper and a Mesos in memory whose time passes at once."""

from __future__ import annotations

import socket

import aiohttp
import pytest

from standin.doubles.clock import run
from tests.contract.marathon_cluster import Client, DoubledCluster
from tests.contract.marathon_contract import CONTRACT, Promise


def free_ports(count: int) -> list[int]:
    """Return ports on which nobody listens."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@pytest.mark.parametrize("kept", CONTRACT, ids=lambda each: each.__name__)
def test_the_stand_in_keeps_the_contract(kept: Promise) -> None:
    """Each promise on a cluster of its own."""

    async def main() -> None:
        cluster = DoubledCluster(free_ports(2))
        await cluster.start()
        try:
            async with aiohttp.ClientSession() as session:
                client = Client(cluster, session)
                await client.leader()
                await kept(client)
        finally:
            await cluster.stop()

    run(main())
