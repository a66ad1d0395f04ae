"""The stand-in for Marathon keeps upstream's contract, on a network, a ZooKeeper and a Mesos in memory whose time passes at once."""

from __future__ import annotations

import pytest

from standin.doubles.clock import run
from tests.contract.marathon_cluster import Client, DoubledCluster
from tests.contract.marathon_contract import CONTRACT, Promise


@pytest.mark.parametrize("kept", CONTRACT, ids=lambda each: each.__name__)
def test_the_stand_in_keeps_the_contract(kept: Promise) -> None:
    """Each promise on a cluster of its own."""

    async def main() -> None:
        cluster = DoubledCluster()
        await cluster.start()
        client = Client(cluster, cluster.internet.at("10.0.0.99"))
        await client.leader()
        await kept(client)
        await cluster.stop()

    run(main())
