"""What the contract of Marathon asks of a cluster, and a cluster of doubles that has it all: no machines, no threads, no waiting."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from standin.doubles.network import MemoryInternet, MemoryNetwork
from standin.doubles.zookeeper import MemoryEnsemble, MemoryZooKeeper
from standin.http import Network, Response, UnreachableError
from standin.marathon.daemon import Daemon
from standin.marathon.scheduler import Probe
from standin.marathon.settings import read
from tests.contract.scripted_master import ScriptedMaster

Json = dict[str, Any]
T = TypeVar("T")


class Cluster(Protocol):
    """Marathons on a Mesos with some agents: their addresses, and what can happen to them. Whether it is upstream's, nobody can tell from here."""

    @property
    def marathons(self) -> Sequence[str]:
        """The URL of every Marathon."""

    @property
    def hosts(self) -> Sequence[str]:
        """The host name of every agent."""

    def app(self, name: str, **fields: Any) -> Json:
        """Return a definition that runs on this cluster, with one port. `fields` are added, or replace what is there."""

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""

    async def end(self, task: str) -> None:
        """End a task's process, as if it had failed."""

    async def lose(self, host: str) -> None:
        """Cut an agent off for so long that the master declares it unreachable. Its tasks run on."""

    async def find(self, host: str) -> None:
        """Join it again."""

    async def give_up(self, host: str) -> None:
        """Have an operator declare an agent gone for good, with the tasks on it."""

    async def hang_docker(self, host: str) -> None:
        """Have an agent's Docker start nothing any more. What runs there runs on."""

    async def running_on(self, host: str) -> Sequence[str]:
        """Return the ids of the tasks that really run on an agent's node."""

    async def crash_leader(self) -> None:
        """Kill the leading Marathon's process; it is started again by its supervisor."""

    async def replace_master(self) -> None:
        """Have another master lead."""

    async def cut_zookeeper(self, url: str, seconds: float) -> None:
        """Cut a Marathon off from ZooKeeper for so long."""

    async def sicken(self, task: str, *, healthy: bool) -> None:
        """Have a task's own health check fail from now on, or pass."""


class Client:
    """Asks a cluster's Marathons."""

    def __init__(self, cluster: Cluster, network: Network) -> None:
        self.cluster = cluster
        self._network = network

    async def ask(self, method: str, path: str, body: Any = None, *, at: int = 0, accept: str = "application/json") -> Response:
        """Make one request of one Marathon. Raises `UnreachableError` where nobody answers."""
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        headers = {"Accept": accept, "Content-Type": "application/json"}
        return await self._network.ask(method, f"{self.cluster.marathons[at]}{path}", data, headers, within=30.0)

    async def get(self, path: str, *, at: int = 0) -> Any:
        """Return the JSON of a path. Fails for any status but 200."""
        found = await self.ask("GET", path, at=at)
        assert found.status == 200, f"{path}: {found.status} {found.body!r}"
        return found.json()

    async def until(self, what: Callable[[], Awaitable[T | None]], within: float = 60.0) -> T:
        """Return the first answer that is not None or empty, asked for again and again; who does not answer now may answer later."""
        last: object = "nothing"
        pause, left = 0.25, within
        while left > 0:
            try:
                found = await what()
            except (UnreachableError, AssertionError) as error:
                last = error
            else:
                if found:
                    return found
                last = found
            await self.cluster.sleep(pause)
            left -= pause
            pause = min(pause * 1.2, 5.0)
        raise AssertionError(f"not within {within:g} s; last seen: {last!r}")

    async def deploy(self, app: Json) -> str:
        """Add an app, wait for the end of its deployment, and return its path."""
        answered = await self.ask("POST", "/v2/apps", app)
        assert answered.status == 201, answered.body
        await self.deployed()
        return str(answered.json()["id"])

    async def deployed(self, within: float = 60.0) -> None:
        """Wait until no deployment is under way."""

        async def over() -> bool:
            return not await self.get("/v2/deployments")

        await self.until(over, within)

    async def tasks(self, app: str, count: int | None = None, within: float = 60.0) -> list[Json]:
        """Return an app's running tasks; with `count`, once there are so many and nothing else."""

        async def found() -> list[Json] | None:
            tasks: list[Json] = (await self.get(f"/v2/apps{app}/tasks"))["tasks"]
            running = [each for each in tasks if each["state"] == "TASK_RUNNING"]
            return running if count is None or len(running) == count == len(tasks) else None

        return await self.until(found, within) if count else await found() or []

    async def leader(self) -> str:
        """Return who leads, once the Marathons that answer agree and it answers itself."""

        async def agreed() -> str | None:
            told = {(await self.ask("GET", "/v2/leader", at=at)).body for at in range(len(self.cluster.marathons))}
            if len(told) != 1:
                return None
            await self.get("/v2/apps")
            return str(json.loads(told.pop())["leader"])

        return await self.until(agreed)

    @asynccontextmanager
    async def events(self, *wanted: str) -> AsyncIterator[list[Json]]:
        """Listen to the stream of events; the list grows as they come."""
        heard: list[Json] = []
        query = "&".join(f"event_type={each}" for each in wanted)
        url = f"{self.cluster.marathons[0]}/v2/events?{query}"
        async with self._network.open("GET", url, b"", {"Accept": "text/event-stream"}) as stream:
            assert stream.status == 200
            assert stream.headers["content-type"].startswith("text/event-stream")

            async def listen() -> None:
                rest = b""
                async for piece in stream.pieces():
                    *lines, rest = (rest + piece).split(b"\n")
                    for line in lines:
                        if line.startswith(b"data:"):
                            heard.append(json.loads(line.partition(b":")[2]))  # noqa: PERF401  (whoever waits sees each as it comes)

            task = asyncio.create_task(listen())
            try:
                yield heard
                await self.cluster.sleep(1.0)  # so that what was told last has come
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)


@dataclass
class _Marathon:
    """One supervised Marathon."""

    ip: str
    arguments: list[str]
    codes: list[int] = field(default_factory=list)
    zookeeper: MemoryZooKeeper | None = None
    network: MemoryNetwork | None = None
    running: asyncio.Task[int] | None = None
    cut_until: float = 0.0


class DoubledCluster:
    """Marathons over a scripted master and a ZooKeeper in memory. Only for `standin.doubles.clock.run`."""

    RESTART = 2.0
    """Seconds until a supervisor starts a Marathon again."""

    def __init__(self, marathons: int = 2, hosts: Sequence[str] = ("n1", "n2", "n3"), flags: Sequence[str] = ()) -> None:
        """`marathons` is how many there are, `hosts` names the agents, `flags` are more flags for every Marathon."""
        self.internet = MemoryInternet()
        self.ensemble = MemoryEnsemble()
        self.master = ScriptedMaster(self.internet.at("10.0.0.5"), "10.0.0.5", self.ensemble.client())
        for host in hosts:
            self.master.add_agent(host)
        common = ["--master", "zk://z:1/mesos", "--zk", "zk://z:1/marathon", *flags]
        ips = [f"10.0.0.{number}" for number in range(11, 11 + marathons)]
        self._marathons = [_Marathon(ip, [*common, "--hostname", ip, "--http_address", ip]) for ip in ips]
        self._supervisors: list[asyncio.Task[None]] = []

    @property
    def marathons(self) -> Sequence[str]:
        """The URL of every Marathon."""
        return [f"http://{each.ip}:8080" for each in self._marathons]

    @property
    def hosts(self) -> Sequence[str]:
        """The host name of every agent."""
        return [each.host for each in self.master.agents.values()]

    @property
    def codes(self) -> list[list[int]]:
        """The exit codes of each Marathon's processes so far."""
        return [each.codes for each in self._marathons]

    async def start(self) -> None:
        """Start everything."""
        await self.master.start()
        self._supervisors = [asyncio.create_task(self._supervise(each)) for each in self._marathons]

    async def stop(self) -> None:
        """Stop everything."""
        for each in self._supervisors:
            each.cancel()
        await asyncio.gather(*self._supervisors, return_exceptions=True)
        await self.master.stop()

    async def _supervise(self, marathon: _Marathon) -> None:
        loop = asyncio.get_running_loop()
        while True:
            marathon.zookeeper = self.ensemble.client()
            if loop.time() < marathon.cut_until:
                marathon.zookeeper.cut()
            marathon.network = self.internet.at(marathon.ip)
            settings = read(marathon.arguments, {}, "here")
            daemon = Daemon(settings, marathon.network, marathon.zookeeper, marathon.zookeeper, loop.time, self._probe)
            marathon.running = asyncio.create_task(daemon.run())
            try:
                marathon.codes.append(await asyncio.shield(marathon.running))
            except asyncio.CancelledError:
                if not marathon.running.cancelled():  # the test is over
                    marathon.running.cancel()
                    await asyncio.gather(marathon.running, return_exceptions=True)
                    raise
                marathon.codes.append(137)
            await self._gone(marathon.zookeeper, killed=marathon.codes[-1] == 137)
            await asyncio.sleep(self.RESTART)

    async def _probe(self, _network: Network, asked: Probe) -> str | None:
        task = self.master.tasks.get(asked.task)
        return None if task is not None and task.healthy is not False else "500 Internal Server Error"

    async def _gone(self, zookeeper: MemoryZooKeeper, *, killed: bool) -> None:
        if killed:
            zookeeper.kill()
        else:
            await zookeeper.close()

    def app(self, name: str, **fields: Any) -> Json:
        """Return a definition of an app without a container."""
        return {"id": name, "cmd": "sleep 1000", "cpus": 0.1, "mem": 32, "instances": 1, **fields}

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""
        await asyncio.sleep(seconds)

    async def end(self, task: str) -> None:
        """End a task, as if its command had failed."""
        await self.master.tell(self.master.tasks[task], "TASK_FAILED", message="Command exited with status 1")

    async def lose(self, host: str) -> None:
        """Have an agent miss the master's pings for as long as that takes, and be declared unreachable."""
        await asyncio.sleep(75.0)
        await self.master.lose(host)

    async def find(self, host: str) -> None:
        """Join an agent again."""
        await self.master.find(host)

    async def give_up(self, host: str) -> None:
        """Declare an agent gone."""
        for task in self.master.on(host):
            await self.master.tell(task, "TASK_GONE_BY_OPERATOR")
        del self.master.agents[f"{host}-id"]

    async def hang_docker(self, host: str) -> None:
        """Let an agent start nothing."""
        self.master.agents[f"{host}-id"].docker_hangs = True

    async def running_on(self, host: str) -> Sequence[str]:
        """Return what an agent runs."""
        return [each.id for each in self.master.on(host)]

    async def crash_leader(self) -> None:
        """Kill the leader."""
        leader = min(each for each in self.ensemble.znodes if "/leader-curator/" in each)
        ip = self.ensemble.znodes[leader].data.decode().partition(":")[0]
        marathon = next(each for each in self._marathons if each.ip == ip)
        if marathon.zookeeper is not None and marathon.running is not None and marathon.network is not None:
            marathon.zookeeper.kill()
            marathon.network.kill()
            marathon.running.cancel()

    async def replace_master(self) -> None:
        """Have the master's session expire, and another one elected."""
        await self.master.stop()
        await asyncio.sleep(10.0)
        await self.master.start()

    async def cut_zookeeper(self, url: str, seconds: float) -> None:
        """Cut one client off."""
        loop = asyncio.get_running_loop()
        marathon = self._marathons[list(self.marathons).index(url)]
        marathon.cut_until = loop.time() + seconds
        if marathon.zookeeper is not None:
            marathon.zookeeper.cut()
        await asyncio.sleep(seconds)
        if marathon.zookeeper is not None:
            marathon.zookeeper.restore()

    async def sicken(self, task: str, *, healthy: bool) -> None:
        """Set the health of a task."""
        found = self.master.tasks[task]
        found.healthy = healthy
        await self.master.tell(found, found.state)
