"""The contract of Mesos, kept by the stand-ins in one process: the daemons are real, what is below them is a double."""

from __future__ import annotations

from pathlib import Path

import pytest

from mesos_contract.promises import PROMISES, Promise
from standin.doubles.clock import run
from standin.doubles.cluster import MemoryCluster


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.name)
def test_the_stand_ins_keep(promise: Promise, tmp_path: Path) -> None:
    """Each promise of the contract."""

    async def keep() -> None:
        cluster = MemoryCluster(
            tmp_path,
            masters=promise.masters,
            agents=promise.agents,
            master_flags=promise.master_flags,
            agent_flags=promise.agent_flags,
        )
        await cluster.form()
        try:
            await promise.keep(cluster)
        finally:
            await cluster.close()

    run(keep())


def test_there_are_enough_promises() -> None:
    """Each by a name of its own, and with a sentence."""
    assert len({each.name for each in PROMISES}) == len(PROMISES) >= 40
    assert all(each.keep.__doc__ for each in PROMISES)
