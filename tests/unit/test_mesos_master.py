"""The master's registry, its rate limit and its allocator, on their own; what they do together is in the contract."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mesos_contract.cluster import active, led
from mesos_contract.scheduler import Scheduler
from standin.doubles.clock import run
from standin.doubles.cluster import MemoryCluster
from standin.doubles.zookeeper import MemoryEnsemble, MemoryZooKeeper
from standin.http import JSON, Response
from standin.master.observer import RateLimiter
from standin.master.registrar import Registrar, Registry, RegistryError


def _registrar(client: MemoryZooKeeper, name: str) -> Registrar:
    return Registrar(client, "/mesos", name, fetch_timeout=60, store_timeout=20)


def test_what_was_stored_is_there_for_the_next_leader() -> None:
    """Admitted, unreachable and gone; an agent is one of these at a time."""

    async def main() -> None:
        ensemble = MemoryEnsemble()
        first = _registrar(ensemble.client(), "one")
        await first.recover()
        await asyncio.gather(*(first.apply(admit(name)) for name in ("a", "b", "c")))
        await first.apply(lambda registry: registry.mark_unreachable("b", 1.0))
        await first.apply(lambda registry: registry.mark_gone("c", 2.0))
        registry = await _registrar(ensemble.client(), "two").recover()
        assert (registry.agents, dict(registry.unreachable), dict(registry.gone)) == ({"a": {"id": "a"}}, {"b": 1.0}, {"c": 2.0})
        await first_is_shut_out(first)

    def admit(name: str) -> Callable[[Registry], None]:
        return lambda registry: registry.admit(name, {"id": name})

    async def first_is_shut_out(first: Registrar) -> None:
        with pytest.raises(RegistryError, match="Failed to update registry"):
            await first.apply(lambda registry: registry.forget("a"))

    run(main())


def test_a_registry_that_cannot_be_reached_ends_its_master() -> None:
    """RegistrarTest.FetchTimeout and StoreTimeout: a minute to read, 20 seconds to write; a shorter loss is waited for."""

    async def main() -> None:
        ensemble = MemoryEnsemble(session_timeout=3600)
        loop = asyncio.get_running_loop()
        registrar = _registrar(ensemble.client(), "one")
        await registrar.recover()
        ensemble.stop()
        loop.call_later(15, ensemble.start)
        await registrar.apply(lambda registry: registry.admit("a", {}))
        ensemble.stop()
        began = loop.time()
        with pytest.raises(RegistryError, match="Failed to perform store within 20secs"):
            await registrar.apply(lambda registry: registry.admit("b", {}))
        assert loop.time() - began == pytest.approx(20)
        began = loop.time()
        with pytest.raises(RegistryError, match="Failed to perform fetch within 1mins"):
            await _registrar(ensemble.client(), "two").recover()
        assert loop.time() - began == pytest.approx(60)

    run(main())


def test_a_write_whose_answer_was_lost_is_not_taken_for_somebody_elses() -> None:
    """It was done: the next one goes on from it."""

    async def main() -> None:
        ensemble = MemoryEnsemble()
        client = ensemble.client()
        registrar = _registrar(client, "one")
        await registrar.recover()
        registrar._version -= 1
        await registrar.apply(lambda _: None)
        await registrar.apply(lambda registry: registry.admit("a", {}))
        assert (await _registrar(client, "two").recover()).agents == {"a": {}}

    run(main())


def test_permits_come_at_even_distances() -> None:
    """Two a minute: at once, after 30 s, after 60 s."""

    async def main() -> list[float]:
        limiter, loop = RateLimiter(2, 60), asyncio.get_running_loop()
        began, times = loop.time(), []
        for _ in range(3):
            await limiter.acquire()
            times.append(loop.time() - began)
        return times

    assert run(main()) == pytest.approx([0, 30, 60])


def test_frameworks_take_turns_by_what_they_hold(tmp_path: Path) -> None:
    """Who holds less of the cluster is offered what comes free."""

    async def main() -> None:
        cluster = MemoryCluster(tmp_path, agents=3)
        await cluster.form()
        await active(cluster, 3)
        rich = await Scheduler(cluster).connect()
        for name in ("a1", "a2"):
            offer = await rich.offer(name)
            await rich.accept(offer, rich.task(offer, cpus=2.0), refuse_seconds=3600)
        await rich.decline(await rich.offer("a3"), 0)
        await rich.call("SUPPRESS")
        poor = await Scheduler(cluster).connect()
        await poor.offer("a3")
        await poor.disconnect()
        await rich.call("REVIVE")
        await rich.offer("a3")
        await cluster.close()

    run(main())


def test_thirty_tasks_of_a_spike_run_in_seconds(tmp_path: Path) -> None:
    """One after the other on a few agents, each on a part of one offer, as Marathon does it; resources are given back to the last port."""

    async def main() -> None:
        cluster = MemoryCluster(tmp_path, agents=3, agent_flags={"resources": "cpus:8;mem:4096"})
        await cluster.form()
        agents = await active(cluster, 3)
        scheduler = await Scheduler(cluster).connect()
        tasks: list[dict[str, Any]] = []
        for name in agents:
            offer = await scheduler.offer(name)
            ten = [scheduler.task(offer) for _ in range(10)]
            await scheduler.accept(offer, *ten)
            tasks += ten
        for each in tasks:
            await scheduler.update("TASK_RUNNING", each["task_id"]["value"], within=5)
        for each in tasks:
            await scheduler.call("KILL", {"task_id": each["task_id"]})
            await scheduler.update("TASK_KILLED", each["task_id"]["value"])
        assert all(each["used_resources"]["cpus"] == 0 for each in (await active(cluster, 3)).values())
        assert await led(cluster) == "m1"
        await cluster.close()

    run(main())


_MALFORMED: list[Any] = [
    {},
    [],
    "text",
    {"type": "SUBSCRIBE", "subscribe": None},
    {"type": "SUBSCRIBE", "subscribe": {}},
    {"type": "SUBSCRIBE", "subscribe": {"framework_info": None}},
    {"type": "SUBSCRIBE", "subscribe": {"framework_info": {"user": "root", "name": "x", "id": 3}}, "framework_id": 3},
    {
        "type": "SUBSCRIBE",
        "subscribe": {"framework_info": {"user": "root", "name": "x", "id": {"value": "../x"}}},
        "framework_id": {"value": "../x"},
    },
    {"type": "ACCEPT", "accept": {}},
    {"type": "ACCEPT", "accept": {"offer_ids": [{"value": 1}], "operations": [{"type": "LAUNCH"}]}},
    {"type": "ACCEPT", "accept": {"offer_ids": [{}], "filters": {"refuse_seconds": "long"}}},
    {"type": "DECLINE", "decline": {"offer_ids": None}},
    {"type": "KILL", "kill": {"task_id": "x"}},
    {"type": "ACKNOWLEDGE", "acknowledge": {"agent_id": "x"}},
    {"type": "RECONCILE", "reconcile": {"tasks": [3]}},
    {"type": "NO_SUCH"},
]


def test_calls_of_another_shape_are_refused(tmp_path: Path) -> None:
    """400, whatever it is; the master goes on, and what was on offer still is."""

    async def main() -> None:
        cluster = MemoryCluster(tmp_path)
        await cluster.form()
        scheduler = await Scheduler(cluster).connect()
        offer = await scheduler.offer()
        for call in _MALFORMED:
            whole = {"framework_id": {"value": scheduler.identity}, **call} if isinstance(call, dict) else call
            stream = {"Mesos-Stream-Id": scheduler.stream_id} if "subscribe" not in whole else {}
            for path in ("/api/v1/scheduler", "/api/v1"):
                answer = await _post(cluster, f"{scheduler.master}{path}", whole, stream)
                assert answer.status in {400, 501}, call
            for url in (f"{scheduler.master}/master", f"{cluster.agents['a1']}/slave(1)"):
                for message in ("ReregisterSlaveMessage", "StatusUpdateMessage", "RunTaskMessage", "PingSlaveMessage"):
                    answer = await _post(cluster, f"{url}/mesos.internal.{message}", call, {})
                    assert answer.status in {202, 400}, call
        task = scheduler.task(offer)
        await scheduler.accept(offer, task)
        await scheduler.update("TASK_RUNNING", task["task_id"]["value"])
        await cluster.close()

    async def _post(cluster: MemoryCluster, url: str, content: Any, headers: dict[str, str]) -> Response:
        return await cluster.network.ask("POST", url, json.dumps(content).encode(), {"Content-Type": JSON, **headers}, within=5)

    run(main())
