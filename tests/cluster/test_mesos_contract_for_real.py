"""The contracts of Mesos and of Marathon, kept by whatever a cluster in the mesos mode runs, on real machines and in real time.

All of it takes more than an hour (``tox -e contract``); beside other tests of clusters a few promises are asked, drawn from the run's seed. What runs
are the mode's own stand-ins, or what is in the images of ``WHALEFALL_CONTRACT_IMAGES="master=IMAGE agent=IMAGE marathon=IMAGE"``.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from harness.conductor import bringing
from harness.conductor.options import Options
from harness.core.protocols import Cluster, of_images
from harness.core.values import NodeSpec
from harness.host import app_images
from harness.modes.mesos import Mesos
from harness.providers import PROVIDERS
from harness.pytest_plugin import run_seed
from marathon_contract import promises as of_marathon
from marathon_contract.cluster import Client
from mesos_contract import promises as of_mesos
from tests.cluster.mesos_nodes import Machines, NodesOfMarathon, NodesOfMesos

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("mesos-contract")]

IMAGES = dict(each.split("=", 1) for each in os.environ.get("WHALEFALL_CONTRACT_IMAGES", "").split())
DRAWN = 6
"""Of each contract, so many promises are asked beside other tests of clusters: of those that take no minutes."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Ask for every promise, and mark those that were not drawn."""
    mesos = metafunc.function is test_masters_and_agents_keep
    every: Sequence[of_mesos.Promise | of_marathon.Promise] = of_mesos.PROMISES if mesos else of_marathon.PROMISES
    possible = [each for each in every if not getattr(each, "doubled", False)]
    rng = random.Random(run_seed(metafunc.config))  # noqa: S311 - a choice that can be repeated
    drawn = rng.sample([each.name for each in possible if each.minutes == 1], DRAWN)
    marked = [pytest.param(each, id=each.name, marks=() if each.name in drawn else pytest.mark.contract) for each in possible]
    metafunc.parametrize("promise", marked)


@pytest.fixture(scope="module")
def machines(lend: Callable[..., AbstractContextManager[Cluster]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    """Lend three nodes that were formed in the mesos mode, whose daemons the contracts start and stop."""
    mode = of_images(Mesos.from_timers("default", {}), IMAGES)
    assert isinstance(mode, Mesos)
    specs = [NodeSpec(f"n{number}", f"10.77.0.{10 + number}") for number in (1, 2, 3)]
    with lend(PROVIDERS["nspawn"](), "contract", specs, mode) as cluster:
        if IMAGES:
            wanted = {each: app_images.wanted(each, str(Path.cwd() / "images")) for each in IMAGES.values()}
            found = {each: app_images.ensure(asked, print) for each, asked in wanted.items() if asked is not None}
            with cluster.network():
                mode.ready_for_images(cluster)
                bringing.load(found, cluster, Options(tmp_path_factory.mktemp("results")))
        mode.form(cluster)
        yield Machines(cluster)


def test_masters_and_agents_keep(machines: Machines, promise: of_mesos.Promise) -> None:
    """Each promise that takes no fault of a double's."""

    async def keep() -> None:
        cluster = NodesOfMesos(
            machines,
            masters=promise.masters,
            agents=promise.agents,
            master_flags=promise.master_flags,
            agent_flags=promise.agent_flags,
        )
        try:
            await cluster.form()
            await promise.keep(cluster)
        finally:
            await cluster.close()

    with machines.cluster.network():
        asyncio.run(keep())


def test_marathons_keep(machines: Machines, promise: of_marathon.Promise) -> None:
    """Each promise."""

    async def keep() -> None:
        cluster = NodesOfMarathon(machines)
        try:
            await cluster.form()
            client = Client(cluster)
            await client.leader()
            await promise.keep(client)
        finally:
            await cluster.close()

    with machines.cluster.network():
        asyncio.run(keep())
