"""What an agent and its master do between themselves, which no API shows; what shows is in the contract."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from mesos_contract.cluster import active
from mesos_contract.scheduler import Scheduler
from standin.agent.engine import Container
from standin.doubles.clock import run
from standin.doubles.cluster import MemoryCluster
from standin.http import Request, Response, Stream
from standin.states import AGENT_PORT


def test_an_agent_that_is_not_registered_runs_nothing(tmp_path: Path) -> None:
    """A launch of a master that it no longer follows: it is dropped, and the framework hears of it when there is a master again."""

    async def main() -> None:
        cluster = MemoryCluster(tmp_path)
        await cluster.form()
        await active(cluster, 1)
        scheduler = await Scheduler(cluster).connect()
        task = scheduler.task(await scheduler.offer())
        await cluster.cut_zookeeper("a1")
        await asyncio.sleep(15)
        framework = {"id": {"value": scheduler.identity}, "checkpoint": True, "capabilities": [{"type": "PARTITION_AWARE"}]}
        body = json.dumps({"framework": framework, "task": task}).encode()
        url = f"{cluster.agents['a1']}/slave(1)/mesos.internal.RunTaskMessage"
        await cluster.network.ask("POST", url, body, within=5)
        await cluster.heal()
        status = await scheduler.update("TASK_DROPPED", task["task_id"]["value"], within=30)
        assert status["reason"] == "REASON_SLAVE_DISCONNECTED"
        assert await cluster.containers("a1") == []
        await cluster.close()

    run(main())


def test_an_agent_that_is_replaced_is_pinged_no_more(tmp_path: Path) -> None:
    """One that comes to the same address without its checkpoints is a new one; the address gets the pings of one agent."""

    async def main() -> None:
        cluster = MemoryCluster(tmp_path)
        await cluster.form()
        first = (await active(cluster, 1))["a1"]["id"]
        await cluster.kill("a1")
        await cluster.wipe("a1")
        await cluster.start("a1")
        await asyncio.sleep(10)
        assert (await active(cluster, 1))["a1"]["id"] != first
        pings = 0
        port = cluster.internet.ports[cluster.addresses["a1"], AGENT_PORT]
        handler = port.handler

        async def counting(request: Request) -> Response | Stream:
            nonlocal pings
            pings += request.path.endswith("PingSlaveMessage")
            return await handler(request)

        port.handler = counting
        await asyncio.sleep(60)
        assert pings == 4
        await cluster.close()

    run(main())


def test_an_agent_whose_docker_does_not_tell_its_version_does_not_start(tmp_path: Path) -> None:
    """It gives up after 5 s; whoever supervises it starts it again."""

    async def main() -> None:
        cluster = MemoryCluster(tmp_path)
        await cluster.hang_docker("a1")
        await cluster.form()
        await asyncio.sleep(6)
        assert cluster.end_of("a1") == "Failed to create a containerizer: Timed out getting docker version after 5secs"
        await cluster.thaw_docker("a1")
        await cluster.start("a1")
        await active(cluster, 1)
        await cluster.close()

    run(main())


def test_a_task_whose_docker_is_gone_has_failed_and_ends(tmp_path: Path) -> None:
    """Nobody can tell of it any more; its processes are killed without Docker."""

    async def main() -> None:
        cluster = MemoryCluster(tmp_path)
        await cluster.form()
        scheduler = await Scheduler(cluster).connect()
        task = await scheduler.run()
        cluster.dockers["a1"].die()
        assert len(await cluster.containers("a1")) == 1
        await scheduler.update("TASK_FAILED", task)
        await asyncio.sleep(2)
        assert await cluster.containers("a1") == []
        await cluster.close()

    run(main())


def test_a_container_that_somebody_has_removed_is_a_task_that_failed(tmp_path: Path) -> None:
    """The agent does not look for it for ever, and does not forget that it was killing it either."""

    async def main() -> None:
        cluster = MemoryCluster(tmp_path)
        await cluster.form()
        scheduler = await Scheduler(cluster).connect()
        task = await scheduler.run()
        await cluster.kill("a1")
        docker = cluster.dockers["a1"]
        docker.hang(but_version=True)
        await cluster.start("a1")
        await asyncio.sleep(1)
        listed = docker.containers
        docker.thaw()
        found = await listed()
        docker.all.clear()
        docker.containers = lambda: _known(found)  # type: ignore[method-assign]
        await scheduler.update("TASK_FAILED", task, within=30)
        await cluster.close()

    async def _known(found: list[Container]) -> list[Container]:
        return found

    run(main())


def test_containers_that_no_checkpoint_knows_are_removed(tmp_path: Path) -> None:
    """Those of our name alone."""

    async def main() -> None:
        cluster = MemoryCluster(tmp_path)
        await cluster.dockers["a1"].run("mesos-0b5e9a3c", {})
        await cluster.dockers["a1"].run("somebody-elses", {})
        await cluster.form()
        await active(cluster, 1)
        assert await cluster.containers("a1") == ["somebody-elses"]
        await cluster.close()

    run(main())


def test_an_agent_can_clean_up_after_itself(tmp_path: Path) -> None:
    """`--recover=cleanup` ends what was left, and then the agent."""

    async def main() -> None:
        cluster = MemoryCluster(tmp_path)
        await cluster.form()
        await (await Scheduler(cluster).connect()).run()
        await cluster.kill("a1")
        assert len(await cluster.containers("a1")) == 1
        await cluster.start("a1", {"recover": "cleanup"})
        await asyncio.sleep(30)
        assert cluster.end_of("a1") == ""
        assert await cluster.containers("a1") == []
        await cluster.close()

    run(main())
