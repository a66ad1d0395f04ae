"""A Mesos master in memory, with agents that do what a test says, for tests of a Marathon: it speaks the v1 scheduler API.

It knows one framework. What it does not do by itself (a task that ends, an agent that is lost) a test tells it to.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from standin import recordio
from standin.http import Listening, Network, Request, Response, Stream
from standin.resources import Resources
from standin.zookeeper import Session, ZooKeeper, ZooKeeperError

Json = dict[str, Any]

PORT = 5050
STARTS = 0.2
"""Seconds until a launched task runs."""

DIES = 0.1
"""Seconds until a killed one is dead."""


@dataclass
class Task:
    """A task and what its agent says of it."""

    info: Json
    agent: str
    state: str = "TASK_STAGING"
    healthy: bool | None = None

    @property
    def id(self) -> str:
        """Its id."""
        return str(self.info["task_id"]["value"])


@dataclass
class Agent:
    """An agent: its id is ``<host>-id``."""

    host: str
    total: Resources
    attributes: dict[str, str] = field(default_factory=dict)
    reachable: bool = True
    lost_at: float = 0.0
    refused_until: float = 0.0
    docker_hangs: bool = False
    """Whether what it is told to launch never starts."""


class ScriptedMaster:
    """Started with `start`, which returns once it leads."""

    def __init__(self, network: Network, ip: str, zookeeper: ZooKeeper, path: str = "/mesos") -> None:
        """`ip` is the address to serve at, `path` the znode below which Mesos's masters stand for election."""
        self._network = network
        self._ip = ip
        self._zookeeper = zookeeper
        self._path = path
        self.agents: dict[str, Agent] = {}
        self.tasks: dict[str, Task] = {}
        self.framework: str | None = None
        self.calls: list[Json] = []
        """Every call that came, in order."""
        self.refusal: str | None = None
        """What a subscription is answered with instead of being taken."""
        self.unready = False
        """Whether a subscription is answered with 503, as by a master that recovers."""
        self.rescinding = 0
        """How many offers are gone by the time that they are accepted."""
        self.losing = 0
        """How many launches are lost on the way, as those of a scheduler that is killed before it has sent them."""
        self.deaf = False
        """Whether kills lead to nothing."""
        self.silent = False
        """Whether nothing is sent any more, while the connection stays."""
        self.unacknowledged: set[str] = set()
        self._stream: Stream | None = None
        self._numbers = itertools.count()
        self._offered: dict[str, tuple[str, Resources]] = {}
        self._port: Listening | None = None
        self._znode = ""
        self._expired = asyncio.Event()
        zookeeper.listen(lambda state: self._expired.set() if state is Session.EXPIRED else None)
        self._background: set[asyncio.Task[None]] = set()

    def add_agent(self, host: str, resources: str = "cpus:4;mem:4096;disk:10000;ports:[31000-32000]", **attributes: str) -> None:
        """Have one more agent."""
        self.agents[f"{host}-id"] = Agent(host, Resources.parse(resources), attributes)

    async def start(self) -> None:
        """Begin to lead."""
        self._port = await self._network.serve(self._ip, PORT, self._called)
        info = {"address": {"hostname": self._ip, "ip": self._ip, "port": PORT}, "id": str(uuid.uuid4()), "version": "1.11.0"}
        await self._stand(json.dumps(info).encode())
        self._spawn(self._heartbeats())
        self._spawn(self._stand_again(json.dumps(info).encode()))

    async def stop(self) -> None:
        """Be gone, with the place in ZooKeeper."""
        for each in self._background:
            each.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        if self._stream is not None:
            self._stream.end()
        self._stream = None
        self._offered = {}
        if self._port is not None:
            await self._port.close()
        await self._zookeeper.delete(self._znode)

    # What a test does.

    def called(self, kind: str) -> list[Json]:
        """Return the calls of a type, in order."""
        return [each for each in self.calls if each["type"] == kind]

    async def tell(self, task: Task, state: str, **fields: Any) -> None:
        """Have a task's agent tell its state, to be acknowledged."""
        task.state = state
        if state in {"TASK_KILLED", "TASK_FAILED", "TASK_FINISHED", "TASK_ERROR", "TASK_GONE_BY_OPERATOR"}:
            self.tasks.pop(task.id, None)
        identity = base64.b64encode(uuid.uuid4().bytes).decode()
        self.unacknowledged.add(identity)
        await self._update(task, uuid=identity, **fields)
        await self._offer()

    async def lose(self, host: str) -> None:
        """Declare an agent unreachable."""
        agent = self.agents[f"{host}-id"]
        agent.reachable, agent.lost_at = False, self._now()
        for task in [each for each in self.tasks.values() if each.agent == f"{host}-id"]:
            await self._update(task, state="TASK_UNREACHABLE", unreachable_time={"nanoseconds": int(self._now() * 1e9)})

    async def find(self, host: str) -> None:
        """Have an unreachable agent register again, with the tasks that it ran all the time."""
        self.agents[f"{host}-id"].reachable = True
        for task in [each for each in self.tasks.values() if each.agent == f"{host}-id"]:
            await self._update(task, reason="REASON_SLAVE_REREGISTERED")
        await self._offer()

    def on(self, host: str) -> list[Task]:
        """Return the tasks that an agent runs, whatever anybody knows of it."""
        return [each for each in self.tasks.values() if each.agent == f"{host}-id"]

    # What Marathon does.

    async def _stand(self, info: bytes) -> None:
        self._znode = await self._zookeeper.create(f"{self._path}/json.info_", info, ephemeral=True, sequence=True)

    async def _stand_again(self, info: bytes) -> None:
        """Unlike a real master this one does not exit when its session is over."""
        while True:
            await self._expired.wait()
            self._expired.clear()
            with contextlib.suppress(ZooKeeperError):
                await self._stand(info)

    async def _called(self, request: Request) -> Response | Stream:
        call = json.loads(request.body)
        self.calls.append({**call, "at": self._now()})
        if call["type"] == "SUBSCRIBE":
            return await self._subscribed(call)
        if request.headers.get("mesos-stream-id") != "stream" or self._stream is None:
            return Response.text(400, "no such stream")
        self._spawn(self._act(call))
        return Response(202)

    async def _subscribed(self, call: Json) -> Response | Stream:
        if self.unready:
            return Response.text(503, "Master has not finished recovery")
        if self.refusal is not None:
            return Response.text(403, self.refusal)
        given = call.get("framework_id") or call["subscribe"]["framework_info"].get("id")
        self.framework = given["value"] if given else "framework-0000"
        self._stream = Stream({"Content-Type": "application/json", "Mesos-Stream-Id": "stream"})
        self._offered = {}
        await self._send(
            {"type": "SUBSCRIBED", "subscribed": {"framework_id": {"value": self.framework}, "heartbeat_interval_seconds": 15.0}}
        )
        await self._offer()
        return self._stream

    async def _act(self, call: Json) -> None:
        match call["type"]:
            case "ACCEPT":
                await self._accept(call["accept"])
            case "DECLINE":
                for each in call["decline"]["offer_ids"]:
                    host, _ = self._offered.pop(each["value"], ("", Resources()))
                    if host:
                        self.agents[host].refused_until = self._now() + call["decline"]["filters"]["refuse_seconds"]
            case "REVIVE":
                for agent in self.agents.values():
                    agent.refused_until = 0.0
                await self._offer()
            case "KILL" if not self.deaf:
                await self._kill(call["kill"]["task_id"]["value"])
            case "RECONCILE":
                asked = [each["task_id"]["value"] for each in call["reconcile"]["tasks"]]
                await self._reconcile(asked or list(self.tasks))
            case "ACKNOWLEDGE":
                self.unacknowledged.discard(call["acknowledge"]["uuid"])

    async def _accept(self, accept: Json) -> None:
        if self.losing:
            self.losing -= 1
            return
        agent = ""
        for each in accept["offer_ids"]:
            agent, _ = self._offered.pop(each["value"], ("", Resources()))
        if self.rescinding:
            self.rescinding, agent = self.rescinding - 1, ""
        launched = [info for each in accept["operations"] for info in each["launch"]["task_infos"]]
        for info in launched:
            if not agent:
                lost = Task(info, info["agent_id"]["value"])
                await self._update(lost, state="TASK_DROPPED", reason="REASON_INVALID_OFFERS", message="the offer is no longer valid")
                continue
            task = self.tasks[info["task_id"]["value"]] = Task(info, agent)
            if not self.agents[agent].docker_hangs:
                self._spawn(self._begin(task))
        await self._offer()

    async def _begin(self, task: Task) -> None:
        await asyncio.sleep(STARTS / 2)
        await self.tell(task, "TASK_STARTING")
        await asyncio.sleep(STARTS / 2)
        if task.id in self.tasks and task.state == "TASK_STARTING":
            await self.tell(task, "TASK_RUNNING")
            if "health_check" in task.info:
                task.healthy = True
                await self.tell(task, "TASK_RUNNING")

    async def _kill(self, identity: str) -> None:
        task = self.tasks.get(identity)
        if task is None:
            await self._reconcile([identity])
        elif self.agents[task.agent].reachable:
            await asyncio.sleep(DIES)
            if identity in self.tasks:
                await self.tell(task, "TASK_KILLED")

    async def _reconcile(self, asked: Iterable[str]) -> None:
        for identity in asked:
            task = self.tasks.get(identity)
            if task is None:
                unknown = Task({"task_id": {"value": identity}}, "")
                await self._update(unknown, state="TASK_UNKNOWN", reason="REASON_RECONCILIATION")
            elif self.agents[task.agent].reachable:
                await self._update(task, reason="REASON_RECONCILIATION")
            else:
                since = {"nanoseconds": int(self.agents[task.agent].lost_at * 1e9)}
                await self._update(task, state="TASK_UNREACHABLE", reason="REASON_RECONCILIATION", unreachable_time=since)

    # What the master sends.

    async def _update(self, task: Task, *, state: str | None = None, **fields: Any) -> None:
        status = {
            "task_id": {"value": task.id},
            "state": state or task.state,
            "timestamp": self._now(),
            "source": "SOURCE_MASTER",
            **fields,
        }
        if task.agent:
            status["agent_id"] = {"value": task.agent}
        if task.healthy is not None and "health_check" in task.info:
            status["healthy"] = task.healthy
        await self._send({"type": "UPDATE", "update": {"status": status}})

    async def _offer(self) -> None:
        """Offer what each agent has left, unless that was declined for longer than until now."""
        offers = []
        for name, agent in self.agents.items():
            used = [Resources.from_api(each.info["resources"]) for each in self.tasks.values() if each.agent == name]
            held = [each for holder, each in self._offered.values() if holder == name]
            left = agent.total
            for each in (*used, *held):
                left -= each
            if not agent.reachable or agent.refused_until > self._now() or not left.scalar("cpus"):
                continue
            identity = f"offer-{next(self._numbers)}"
            self._offered[identity] = name, left
            attributes = [{"name": key, "type": "TEXT", "text": {"value": value}} for key, value in agent.attributes.items()]
            head = {
                "id": {"value": identity},
                "framework_id": {"value": self.framework},
                "agent_id": {"value": name},
                "hostname": agent.host,
            }
            offers.append({**head, "resources": left.to_api(), "attributes": attributes})
        if offers:
            await self._send({"type": "OFFERS", "offers": {"offers": offers}})

    async def _heartbeats(self) -> None:
        while True:
            await asyncio.sleep(15.0)
            await self._send({"type": "HEARTBEAT"})
            await self._offer()

    async def _send(self, event: Json) -> None:
        if self._stream is not None and not self.silent:
            self._stream.send(recordio.encode(json.dumps(event).encode()))

    def _spawn(self, coroutine: Any) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
