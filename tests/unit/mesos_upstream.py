"""Marathon, masters, agents and members of ZooKeeper as servers on loopback, for tests of what asks them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from harness.core.protocols import Cluster
from harness.core.values import App, NodeSpec, Result
from harness.modes.mesos import Mesos
from harness.testing.ensemble import ZooKeeperServer
from harness.testing.fake_clock import FakeClock
from harness.testing.memory_node import MemoryNode
from harness.testing.memory_provider import MemoryProvider
from harness.testing.servers import Behaviour, Request, Response, Server, ServerTrouble, loopback

RUN = "mesos-test"
IDS = [f"{number}{number}{number}{number}{number}{number}{number}{number}-1111-2222-3333-444444444444" for number in range(10)]


def task(
    number: int, host: str, *, app: str = "/web", port: int = 31000, state: str = "TASK_RUNNING", version: str = "1"
) -> dict[str, Any]:
    """Return a task as Marathon lists it; `number` is of its id."""
    name = f"{app.strip('/').replace('/', '_')}.instance-{IDS[number]}._app.1"
    staged = f"2026-11-30T12:00:0{number}.000Z"
    return {"id": name, "appId": app, "host": host, "ports": [port], "state": state, "stagedAt": staged, "version": version}


@dataclass
class Upstream:
    """Marathon and the masters of a cluster: what each node's tell. `silent` names nodes whose REST is broken."""

    cluster: Cluster
    mode: Mesos
    ensemble: dict[str, ZooKeeperServer]
    tasks: list[dict[str, Any]] = field(default_factory=list)
    agents: list[str] = field(default_factory=list)
    leader: str = "n2"
    silent: dict[str, Behaviour] = field(default_factory=dict)
    apps: dict[str, dict[str, Any]] = field(default_factory=dict)
    changes: list[tuple[str, str]] = field(default_factory=list)
    status: int = 0
    operated: list[tuple[str, str]] = field(default_factory=list)
    drained: dict[str, str] = field(default_factory=dict)
    queue: Any = field(default_factory=lambda: {"queue": []})
    node_of: dict[str, str] = field(default_factory=dict)  # host → node, where they have other names than ours
    without: set[str] = field(default_factory=set)  # nodes that have an agent alone
    called: dict[str, str] = field(default_factory=dict)  # node → what its agent calls its host
    flags: dict[str, str] = field(default_factory=lambda: {"zk": "zk://keeper:2181/mesos", "max_agent_ping_timeouts": "5"})
    build: dict[str, str] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=lambda: {"marathon_config": {}})

    def answer(self, node: str, request: Request) -> Behaviour:
        """Answer as the daemons of that node, all of which share a port here."""
        if node in self.silent:
            return self.silent[node]
        leads = node == self.node_of.get(self.leader, self.leader)
        path = request.path.partition("?")[0]
        if path == "/api/v1":
            return self._operate(json.loads(request.body))
        if path == "/master/slaves" and not leads:
            return Response(307, b"", f"Location: //{self.leader}:5050/master/slaves\r\n")
        told = {
            "/v2/queue": self.queue,
            "/v2/tasks": {"tasks": self.tasks},
            "/master/slaves": {"slaves": [self._agent(each) for each in self.agents], "recovered_slaves": []},
            "/metrics/snapshot": {"master/elected": float(leads)},
            "/v2/leader": {"leader": f"{self.leader}:8080"},
            "/state": {"master_hostname": self.leader, "hostname": self.called[node]},
            "/flags": {"flags": self.flags},
            "/version": {"version": "1.11.0", **self.build},
            "/v2/info": self.settings,
            "/": {},  # an instance of an app that listens on the same port
        }
        if path == "/v2/apps" and request.method == "GET":
            return self._json({"apps": [*self.apps.values()]})
        if node in self.without and path != "/state":
            return Response(404)
        return self._json(told[path]) if path in told else self._changed(request, path)

    def _agent(self, host: str) -> dict[str, Any]:
        drain = {"deactivated": True, "drain_info": {"state": self.drained[host]}} if host in self.drained else {}
        return {"id": f"{host}-S0", "hostname": host, **drain}

    def _operate(self, call: dict[str, Any]) -> Behaviour:
        agent = call[call["type"].lower()]["agent_id"]["value"]
        self.operated.append((call["type"], agent))
        host = agent.partition("-")[0]
        if call["type"] == "DRAIN_AGENT":
            self.drained[host] = "DRAINED"
        else:
            del self.drained[host]
        return Response(200, b"")

    def _changed(self, request: Request, path: str) -> Behaviour:
        if self.status:
            return Response(self.status, b'{"message": "no", "details": [{"path": "/id", "errors": ["bad"]}]}')
        name = "/" + path.removeprefix("/v2/apps").strip("/").removesuffix("/restart")
        if request.method == "GET":
            return self._json({"app": self.apps[name]}) if name in self.apps else Response(404, b'{"message": "App does not exist"}')
        self.changes.append((request.method, path))
        body = json.loads(request.body or b"{}")
        if request.method == "POST" and path == "/v2/apps":
            if body["id"] in self.apps:
                return Response(409, b'{"message": "An app with id [/web] already exists."}')
            self.apps[body["id"]] = body
            return Response(201, json.dumps({**body, "deployments": [{"id": "d1"}]}).encode())
        if request.method == "DELETE":
            self.apps.pop(name, None)
            self.tasks = [each for each in self.tasks if each["appId"] != name]
        elif request.method == "PUT":
            self.apps[name] |= body
        return self._json({"deploymentId": "d2", "version": "2"})

    @staticmethod
    def _json(body: Any) -> Response:
        return Response(200, json.dumps(body).encode())

    def view(self, name: str = "n1") -> Any:
        """Ask at a node."""
        return self.mode.view(self.cluster, self.cluster.node(name))

    def node(self, name: str) -> MemoryNode:
        """Return a node as what it is."""
        node = self.cluster.node(name)
        assert isinstance(node, MemoryNode)
        return node


def fine(argv: tuple[str, ...], stdin: bytes) -> Result:
    """Run without trouble."""
    return Result(argv, 0, b"fine\n", stdin)


def make(count: int) -> Iterator[Upstream]:
    """Lend a cluster of so many nodes, an agent on each of which is listed."""
    names = [f"n{number}" for number in range(1, count + 1)]
    provider = MemoryProvider()
    addresses = [loopback() for _ in names]
    nodes = provider.create(RUN, [NodeSpec(name, address) for name, address in zip(names, addresses, strict=True)])
    for node in nodes:
        assert isinstance(node, MemoryNode)
        node.programs.update({"sh": fine, "timeout": fine, "journalctl": fine})
    servers: list[Server] = []
    try:
        first = Server(lambda _: ServerTrouble.CLOSE, addresses[0])
        keeper = ZooKeeperServer(addresses[0])
        servers += [first, *(Server(lambda _: ServerTrouble.CLOSE, address, first.port) for address in addresses[1:])]
        ensemble = {"n1": keeper} | {
            name: ZooKeeperServer(address, keeper.port, keeper.nodes) for name, address in zip(names[1:], addresses[1:], strict=True)
        }
        mode = Mesos(ports=(first.port, first.port, first.port, keeper.port))
        cluster = Cluster(RUN, nodes, provider, mode, FakeClock(moves_itself=True), apps=(App("web", 2),))
        upstream = Upstream(cluster, mode, ensemble, agents=names, called={name: name for name in names})
        for name, server in zip(names, servers, strict=True):
            server.behave = lambda request, name=name: upstream.answer(name, request)  # type: ignore[misc]  # a default binds the name
        for each in (*servers, *ensemble.values()):
            each.__enter__()
        for name in names:
            ensemble[name].mode = "leader" if name == "n3" else "follower"
        yield upstream
    finally:
        for each in (*servers, *ensemble.values()):
            each.close()
