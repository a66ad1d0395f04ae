"""The contract of Marathon, kept by the stand-in in one process: the daemons are real, what is below them is a double."""

from __future__ import annotations

from pathlib import Path

import pytest

from marathon_contract.cluster import Client
from marathon_contract.promises import PROMISES, Promise
from standin.doubles.clock import run
from tests.contract.marathons import ScriptedCluster, WholeCluster


async def keep(promise: Promise, cluster: ScriptedCluster | WholeCluster) -> None:
    """Keep a promise on a cluster of its own."""
    await cluster.start()
    try:
        client = Client(cluster)
        await client.leader()
        await promise.keep(client)
    finally:
        await cluster.stop()


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.name)
def test_the_stand_in_keeps(promise: Promise) -> None:
    """Each promise of the contract, over a scripted Mesos."""

    async def main() -> None:
        await keep(promise, ScriptedCluster())

    run(main())


@pytest.mark.parametrize("promise", [each for each in PROMISES if each.checks <= WholeCluster.checks], ids=lambda promise: promise.name)
def test_all_stand_ins_together_keep(promise: Promise, tmp_path: Path) -> None:
    """Each promise, over the stand-ins for mesos-master and mesos-agent."""

    async def main() -> None:
        await keep(promise, WholeCluster(tmp_path))

    run(main())


def test_there_are_enough_promises() -> None:
    """Each by a name of its own, and with a sentence."""
    assert len({each.name for each in PROMISES}) == len(PROMISES) >= 25
    assert all(each.keep.__doc__ for each in PROMISES)
