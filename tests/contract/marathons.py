"""Clusters in one process on which the contract of Marathon is kept: real Marathons, over doubles of what is below them. Time passes at once.

`ScriptedCluster` has a scripted master, which does what a test says; `WholeCluster` has the stand-ins for mesos-master and mesos-agent.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from marathon_contract.cluster import Json
from mesos_contract.cluster import leader
from standin.doubles.cluster import IMAGE, MemoryCluster
from standin.doubles.docker import MemoryContainer
from standin.doubles.network import MemoryInternet, MemoryNetwork
from standin.doubles.zookeeper import MemoryEnsemble, MemoryZooKeeper
from standin.http import Network
from standin.marathon.daemon import Daemon
from standin.marathon.scheduler import Probe
from standin.marathon.settings import read
from tests.contract.scripted_master import ScriptedMaster


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


class Supervised:
    """Marathons, each started again by a supervisor when it exits."""

    RESTART = 2.0
    """Seconds until that."""

    def __init__(self, internet: MemoryInternet, ensemble: MemoryEnsemble, count: int, flags: Sequence[str] = ()) -> None:
        """`flags` are more flags for every Marathon."""
        self.internet = internet
        self.ensemble = ensemble
        self.ill: set[str] = set()
        """Tasks whose health check fails."""
        common = ["--master", "zk://z:1/mesos", "--zk", "zk://z:1/marathon", *flags]
        ips = [f"10.77.0.{number}" for number in range(31, 31 + count)]
        self._marathons = [_Marathon(ip, [*common, "--hostname", ip, "--http_address", ip]) for ip in ips]
        self._supervisors: list[asyncio.Task[None]] = []

    @property
    def network(self) -> Network:
        """The network as somebody outside of the cluster has it."""
        return self.internet.at("10.77.0.1")

    @property
    def marathons(self) -> Sequence[str]:
        """The URL of every Marathon."""
        return [f"http://{each.ip}:8080" for each in self._marathons]

    @property
    def codes(self) -> list[list[int]]:
        """The exit codes of each Marathon's processes so far."""
        return [each.codes for each in self._marathons]

    async def start(self) -> None:
        """Start everything."""
        self._supervisors = [asyncio.create_task(self._supervise(each)) for each in self._marathons]

    async def stop(self) -> None:
        """Stop everything."""
        for each in self._supervisors:
            each.cancel()
        await asyncio.gather(*self._supervisors, return_exceptions=True)

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
        return "answered 500" if asked.task in self.ill else None

    async def _gone(self, zookeeper: MemoryZooKeeper, *, killed: bool) -> None:
        if killed:
            zookeeper.kill()
        else:
            await zookeeper.close()

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""
        await asyncio.sleep(seconds)

    async def crash_leader(self) -> None:
        """Kill the leader."""
        candidates = [each for each in self.ensemble.znodes if "/leader-curator/" in each]
        if not candidates:
            return
        ip = self.ensemble.znodes[min(candidates)].data.decode().partition(":")[0]
        marathon = next(each for each in self._marathons if each.ip == ip)
        if marathon.zookeeper is not None and marathon.running is not None and marathon.network is not None:
            marathon.zookeeper.kill()
            marathon.network.kill()
            if (marathon.ip, 8080) in self.internet.ports:
                self.internet.ports[marathon.ip, 8080].kill()
            marathon.running.cancel()

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


class ScriptedCluster(Supervised):
    """Marathons over a scripted master and its agents."""

    checks = frozenset({"HTTP", "COMMAND"})

    def __init__(self, marathons: int = 2, hosts: Sequence[str] = ("n1", "n2", "n3"), flags: Sequence[str] = ()) -> None:
        """`marathons` is how many there are, `hosts` names the agents."""
        super().__init__(MemoryInternet(), MemoryEnsemble(), marathons, flags)
        self.master = ScriptedMaster(self.internet.at("10.77.0.11"), "10.77.0.11", self.ensemble.client())
        for host in hosts:
            self.master.add_agent(host)

    @property
    def hosts(self) -> Sequence[str]:
        """The host name of every agent."""
        return [each.host for each in self.master.agents.values()]

    async def start(self) -> None:
        """Start everything."""
        await self.master.start()
        await super().start()

    async def stop(self) -> None:
        """Stop everything."""
        await super().stop()
        await self.master.stop()

    def app(self, name: str, **fields: Any) -> Json:
        """Return a definition of an app without a container."""
        return {"id": name, "cmd": "sleep 1000", "cpus": 0.1, "mem": 32, "instances": 1, **fields}

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

    async def replace_master(self) -> None:
        """Have the master's session expire, and another one elected."""
        await self.master.stop()
        await asyncio.sleep(10.0)
        await self.master.start()

    async def sicken(self, task: str, *, healthy: bool) -> None:
        """Set the health of a task."""
        (self.ill.discard if healthy else self.ill.add)(task)
        found = self.master.tasks[task]
        found.healthy = healthy
        await self.master.tell(found, found.state)


class WholeCluster(Supervised):
    """Marathons over the stand-ins for mesos-master and mesos-agent, whose Docker is a double."""

    checks = frozenset({"HTTP", "COMMAND"})

    def __init__(self, folder: Path, marathons: int = 2, agents: int = 3) -> None:
        """`folder` is where agents keep their checkpoints."""
        self.mesos = MemoryCluster(folder, masters=2, agents=agents)
        super().__init__(self.mesos.internet, self.mesos.ensemble, marathons)

    @property
    def hosts(self) -> Sequence[str]:
        """The host name of every agent."""
        return list(self.mesos.agents)

    async def start(self) -> None:
        """Start everything."""
        await self.mesos.form()
        await super().start()

    async def stop(self) -> None:
        """Stop everything."""
        await super().stop()
        await self.mesos.close()

    def app(self, name: str, **fields: Any) -> Json:
        """Return a definition of an app in a container."""
        container = fields.get("container") or {"type": "DOCKER", "docker": {}}
        docker = {**container["docker"], "image": IMAGE}
        made = {"id": name, "cpus": 0.1, "mem": 32, "instances": 1, **fields, "container": {**container, "docker": docker}}
        return {key: value for key, value in made.items() if value is not None}

    def _container(self, task: str) -> tuple[str, MemoryContainer]:
        return next(
            (host, each)
            for host, docker in self.mesos.dockers.items()
            for each in docker.running
            if f"MESOS_TASK_ID={task}" in each.body["Env"]
        )

    async def end(self, task: str) -> None:
        """End a task's container, with a status that is not zero."""
        _, container = self._container(task)
        container.exit(1)

    async def lose(self, host: str) -> None:
        """Cut an agent's host off, until its pings have failed for long enough."""
        await self.mesos.split(host)
        await asyncio.sleep(95.0)

    async def find(self, host: str) -> None:
        """Join it again."""
        del host
        await self.mesos.heal()

    async def give_up(self, host: str) -> None:
        """Declare an agent gone by the operator API."""
        for url in self.mesos.masters.values():
            listed = await self.network.ask("GET", f"{url}/slaves", within=5.0)
            for each in listed.json()["slaves"] if listed.status == 200 else ():
                if each["hostname"] == host:
                    call = {"type": "MARK_AGENT_GONE", "mark_agent_gone": {"agent_id": {"value": each["id"]}}}
                    headers = {"Content-Type": "application/json"}
                    await self.network.ask("POST", f"{url}/api/v1", json.dumps(call).encode(), headers, within=5.0)

    async def hang_docker(self, host: str) -> None:
        """Have a Docker daemon that answers nothing."""
        await self.mesos.hang_docker(host)

    async def running_on(self, host: str) -> Sequence[str]:
        """Return the tasks of the containers that run on a host."""
        variables = (each for container in self.mesos.dockers[host].running for each in container.body["Env"])
        return [each.partition("=")[2] for each in variables if each.startswith("MESOS_TASK_ID=")]

    async def replace_master(self) -> None:
        """Kill the leading master, and start it again once another one leads."""
        leading = await leader(self.mesos)
        if leading is None:
            return
        await self.mesos.kill(leading)
        await asyncio.sleep(15.0)
        await self.mesos.start(leading)

    async def sicken(self, task: str, *, healthy: bool) -> None:
        """Set the health of a task: what Marathon is answered, and how a command in its container ends."""
        (self.ill.discard if healthy else self.ill.add)(task)
        _, container = self._container(task)
        container.commands = 0 if healthy else 1
