"""The swarm mode over machines of memory and Docker daemons on loopback."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import docker
import pytest

import harness.modes.swarm
from harness.core.errors import CommandFailed, Expired, HalfDone, HarnessError, Unreachable
from harness.core.protocols import Cluster, OwnApp
from harness.core.values import App, Loss, NodeSpec, Placement, Result, Traits, View, Who
from harness.modes.swarm import Swarm
from harness.modes.swarm import swarm_adoption as adoption
from harness.modes.swarm.services import spec
from harness.testing.fake_clock import FakeClock
from harness.testing.memory_node import MemoryNode
from harness.testing.memory_provider import MemoryProvider
from harness.testing.servers import Behaviour, Request, Response, Server, ServerTrouble, loopback

RUN = "swarm-test"
TOKEN = "SWMTKN-1-2tk6etnzw7b824gvtthprq4ijx75r3a0nvqx5n0vupnrhwq3x0-1l4k0twmfzpjio14rg3jqkn7j"  # noqa: S105 - of a swarm that is long gone
WEB = App("web", 2)


class DockerNode(MemoryNode):
    """A node with a Docker daemon."""

    port = 0

    def docker(self, timeout: float) -> docker.DockerClient:
        """Return a client."""
        if not self.on:
            raise Unreachable(self.name, "docker", "the machine is off")
        return docker.DockerClient(base_url=f"http://{self.address}:{self.port}", version="1.41")


def node(number: int, address: str, state: str = "ready", *, manager: bool = True, leader: bool = False) -> dict[str, Any]:
    """Return a node as dockerd 20.10 lists it (taken from a real swarm, cut to what matters)."""
    found: dict[str, Any] = {
        "ID": f"id{number}",
        "Version": {"Index": 22},
        "CreatedAt": "2026-11-24T12:11:16.221215534Z",
        "Spec": {"Labels": {}, "Role": "manager" if manager else "worker", "Availability": "active"},
        "Description": {"Hostname": f"n{number}", "Platform": {"Architecture": "x86_64", "OS": "linux"}},
        "Status": {"State": state, "Addr": address},
    }
    if manager:
        found["ManagerStatus"] = {"Reachability": "reachable", "Addr": f"{address}:2377"} | ({"Leader": True} if leader else {})
    return found


def task(
    slot: int,
    home: int | None,
    state: str = "running",
    desired: str = "running",
    created: str = "2026-11-24T12:11:20.434863419Z",
    app: str = "web",
    port: int = 8000,
) -> dict[str, Any]:
    """Return a task likewise."""
    published = {"Protocol": "tcp", "TargetPort": 80, "PublishedPort": port, "PublishMode": "host"}
    return {
        "ID": f"{app}{slot}{created}",
        "CreatedAt": created,
        "Labels": {},
        "Spec": {"ContainerSpec": {"Image": "web", "Labels": {"whalefall.app": app}}, "RestartPolicy": {"Condition": "any"}},
        "ServiceID": "z41r83d4vnaj1tlcobrgzbb2c",
        "Slot": slot,
        "NodeID": f"id{home}" if home else "",
        "Status": {"State": state, "Message": "started", "PortStatus": {"Ports": [published, published]} if state == "running" else {}},
        "DesiredState": desired,
    }


@dataclass
class Docker:
    """A swarm: what the daemon of every node tells. `silent` names nodes whose daemon is broken."""

    cluster: Cluster
    mode: Swarm
    nodes: list[dict[str, Any]] = field(default_factory=list)
    tasks: list[dict[str, Any]] = field(default_factory=list)
    states: dict[str, str] = field(default_factory=dict)  # node → LocalNodeState
    managers: set[str] = field(default_factory=set)
    heartbeat: int = 5_000_000_000
    silent: dict[str, Behaviour] = field(default_factory=dict)
    joins: dict[str, list[Response]] = field(default_factory=dict)  # node → what its next joins answer, before they go well
    creates: list[Response] = field(default_factory=list)
    containers: dict[str, list[str]] = field(default_factory=dict)
    service: dict[str, str] | None = None  # labels of the service web
    stack: dict[str, dict[str, str]] = field(default_factory=dict)  # name of each service that a stack hello has → its labels
    images: set[str] = field(default_factory=set)  # nodes that have the image
    asked: list[tuple[str, str, str, Any]] = field(default_factory=list)  # node, method, path, body

    def answer(self, name: str, request: Request) -> Behaviour:
        """Answer as dockerd on that node."""
        path = urlsplit(request.path).path.removeprefix("/v1.41")
        body = json.loads(request.body) if request.body else None
        self.asked.append((name, request.method, path, body))
        if name in self.silent:
            return self.silent[name]
        return self._of_stack(path, request) or self._answer(name, path, request, body)

    def _of_stack(self, path: str, request: Request) -> Behaviour | None:
        """Answer about a service of a stack; None for anything else."""
        called = path.removeprefix("/services/")
        if not called.startswith("hello_"):
            return None
        if called not in self.stack:
            return Response(404, b'{"message":"service not found"}')
        labels = self.stack.pop(called) if request.method == "DELETE" else self.stack[called]
        return Response(200, json.dumps({"ID": f"id-{called}", "Spec": {"Labels": labels}}).encode())

    def _answer(self, name: str, path: str, request: Request, body: Any) -> Behaviour:
        if path == "/services/create" and self.creates:
            return self.creates.pop(0)
        if path == "/swarm/join" and self.joins.get(name):
            return self.joins[name].pop(0)
        if path in {"/swarm/join", "/swarm/init"}:
            self.states[name] = "active"
        elif path == "/services/create" and body is not None:
            self.service = body["Labels"]
        elif path == "/services/web" and request.method == "DELETE":
            self.service = None
            self.containers.clear()
        elif path == "/services/web" and self.service is None:
            return Response(404, b'{"message":"service web not found"}')
        elif path.startswith("/images/") and name not in self.images:
            return Response(404, b'{"message":"No such image"}')
        elif path.startswith("/images/") and request.method == "DELETE":
            self.images.discard(name)
        return Response(200, json.dumps(self._told(name, path)).encode())

    def _told(self, name: str, path: str) -> Any:
        known = [{"NodeID": each, "Addr": f"{self.cluster.node(each).address}:2377"} for each in sorted(self.managers)]
        part = {
            "LocalNodeState": self.states.get(name, "inactive"),
            "NodeID": f"id{name[1:]}",
            "ControlAvailable": name in self.managers,
            "Error": "",
            "RemoteManagers": known,
        }
        answers: dict[str, Any] = {
            "/info": {"Swarm": part},
            "/nodes": self.nodes,
            "/tasks": self.tasks,
            "/swarm": {"JoinTokens": {"Manager": TOKEN, "Worker": TOKEN}, "Spec": {"Dispatcher": {"HeartbeatPeriod": self.heartbeat}}},
            "/containers/json": [{"Id": each} for each in self.containers.get(name, [])],
            "/configs": [],
            "/services/web": {"Spec": {"Labels": self.service}},
            "/images/web/json": {"Id": "sha256:1"},
            "/services": [{"ID": f"id-{each}", "Spec": {"Name": each}} for each in self.stack],
            "/networks": [{"Id": "net1", "Name": "hello_default"}],
        }
        return answers.get(path)  # / is an instance of an app that listens on the daemon's port

    def view(self, name: str = "n1") -> View:
        """Ask at one node."""
        return self.mode.view(self.cluster, self.cluster.node(name))

    def node(self, name: str) -> DockerNode:
        """Return a node as what it is."""
        found = self.cluster.node(name)
        assert isinstance(found, DockerNode)
        return found

    def bodies(self, path: str) -> list[tuple[str, Any]]:
        """Return what was sent there, and to whom."""
        return [(name, body) for name, _, asked, body in self.asked if asked == path]


def fine(argv: tuple[str, ...], stdin: bytes) -> Result:
    """Run without trouble."""
    return Result(argv, 0, b"fine\n", stdin)


def make(count: int) -> Iterator[Docker]:
    """Lend a swarm of so many nodes, the first three or five of them managers, all of them ready."""
    addresses = [loopback() for _ in range(count)]
    provider = MemoryProvider()
    provider.create(RUN, [NodeSpec("x", "127.0.0.1")])
    nodes = [DockerNode(f"n{number}", address) for number, address in enumerate(addresses, 1)]
    mode = Swarm(form_seconds=5.0, deploy_seconds=2.0)
    swarm = Docker(Cluster(RUN, nodes, provider, mode, FakeClock(moves_itself=True)), mode)
    swarm.managers = set(mode.members(swarm.cluster))
    swarm.nodes = [
        node(number, address, manager=f"n{number}" in swarm.managers, leader=number == 1) for number, address in enumerate(addresses, 1)
    ]
    swarm.states = {each.name: "active" for each in nodes}
    with ExitStack() as stack:
        port = 0
        for each in nodes:
            line = f'level=info msg="newRaft {each.name[1:]}a [peers: [], term: 0]" module=raft\n'.encode()
            each.programs.update({"sh": fine, "timeout": fine, "journalctl": lambda argv, _, line=line: Result(argv, 0, line, b"")})  # type: ignore[misc]  # same
            server = Server(lambda request, name=each.name: swarm.answer(name, request), each.address, port)  # type: ignore[misc]  # binds the name
            port = each.port = stack.enter_context(server).port
        yield swarm


@pytest.fixture
def swarm() -> Iterator[Docker]:
    """A swarm of three nodes."""
    yield from make(3)


@pytest.fixture
def big() -> Iterator[Docker]:
    """A swarm of six nodes."""
    yield from make(6)


# ---------------------------------------------------------------- views


def test_nodes_are_called_by_our_names(swarm: Docker) -> None:
    """By the address that they tell others, by the one that they were seen with, by their host name; a stranger by its id."""
    swarm.nodes[0]["Status"]["Addr"] = "0.0.0.0"  # noqa: S104 - what a leader says of itself
    del swarm.nodes[1]["ManagerStatus"]
    swarm.nodes[2]["ManagerStatus"]["Addr"] = swarm.nodes[2]["Status"]["Addr"] = ""
    swarm.nodes.append(node(9, "10.9.9.9"))
    assert swarm.view().nodes == ("id9", "n1", "n2", "n3")


@pytest.mark.parametrize(("state", "listed"), [("ready", True), ("unknown", True), ("down", False), ("disconnected", False)])
def test_a_node_that_swarm_has_given_up_is_no_longer_listed(swarm: Docker, state: str, listed: bool) -> None:
    """After a change of leader all are unknown for a while, which is no word on any of them."""
    swarm.nodes[1]["Status"]["State"] = state
    swarm.tasks = [task(1, 2)]
    view = swarm.view()
    assert ("n2" in view.nodes) is listed
    assert view.placements == (Placement("web@1", "n2", "running", running=listed),)


def test_a_placement_is_the_newest_task_that_is_wanted_in_its_slot(swarm: Docker) -> None:
    """Old ones stay in the list; Go leaves the last zeros of a fraction out, so times are no texts to be compared."""
    swarm.tasks = [
        task(1, 1, "running", "shutdown", "2026-11-24T12:11:20.5Z"),
        task(1, 3, "ready", "ready", "2026-11-24T12:11:40.9Z"),
        task(2, 2, "running", "running", "2026-11-24T12:11:40.91Z"),
        task(2, 1, "running", "running", "2026-11-24T12:11:40.9Z"),
        task(3, None, "pending", "running"),
        task(4, 1, "failed", "shutdown"),
        task(1, 1, app="other"),
    ]
    swarm.tasks.append(task(5, 1) | {"Spec": {"ContainerSpec": {"Image": "theirs"}}})
    assert swarm.view().placements == (
        Placement("other@1", "n1", "running", running=True),
        Placement("web@1", "n3", "ready", running=False),
        Placement("web@2", "n2", "running", running=True),
        Placement("web@3", None, "pending", running=False),
    )


@pytest.mark.parametrize(
    "behaviour",
    [
        Response(500, b'{"message":"rpc error: code = Unknown desc = The swarm does not have a leader."}'),
        Response(503, b'{"message":"This node is not a swarm manager."}'),
        Response(200, b"[]]"),
        Response(200, b'[{"ID":1}]'),
        Response(200, b"{}"),
        ServerTrouble.RESET,
    ],
    ids=str,
)
def test_a_manager_without_a_good_answer_is_unreachable(swarm: Docker, behaviour: Behaviour) -> None:
    """Could not ask is not an empty swarm."""
    swarm.silent["n1"] = behaviour
    if behaviour == Response(200, b"{}"):
        assert swarm.view("n2").nodes == ("n1", "n2", "n3")  # an object instead of a list iterates over nothing, and tasks fail alike
        return
    with pytest.raises(Unreachable, match="n1"):
        swarm.view()


def test_a_worker_is_answered_for_by_the_managers_that_it_knows(big: Docker) -> None:
    """It has no such API of its own."""
    big.tasks = [task(1, 6)]
    big.silent["n1"] = ServerTrouble.CLOSE
    assert big.view("n6").placements == (Placement("web@1", "n6", "running", running=True),)
    big.states["n6"] = "error"
    with pytest.raises(Unreachable, match="this worker is error"):
        big.view("n6")
    big.silent["n6"] = ServerTrouble.CLOSE
    with pytest.raises(Unreachable, match="n6"):
        big.view("n6")


def test_three_managers_or_five_and_one_of_less_than_three_nodes(swarm: Docker, big: Docker) -> None:
    """An odd number, so that none is there in vain."""
    assert swarm.mode.members(swarm.cluster) == ("n1", "n2", "n3")
    assert big.mode.members(big.cluster) == ("n1", "n2", "n3", "n4", "n5")
    swarm.cluster.nodes = swarm.cluster.nodes[:2]
    assert swarm.mode.members(swarm.cluster) == ("n1",)


# ---------------------------------------------------------------- a stack file of its own


STACK = """\
version: "3.8"
services:
  front: {image: web, environment: [KEY=geheim], ports: [{target: 80, mode: host}]}
"""


def own(swarm: Docker) -> App:
    """Return an app with a stack file of its own, as an app of the cluster."""
    app = swarm.mode.define(OwnApp("hello", "stack.yml", STACK))
    swarm.cluster.apps = (app,)
    return app


def of_stack(slot: int, home: int, port: int = 32768, stack: str = "hello") -> dict[str, Any]:
    """Return a task of a stack."""
    found = task(slot, home, port=port)
    found["Spec"]["ContainerSpec"]["Labels"] = {"com.docker.stack.namespace": stack}
    return found


def test_a_stack_file_of_its_own_is_submitted_as_it_stands(swarm: Docker) -> None:
    """By Docker's own command on a manager, which is handed the file, and a second one that says whose it is; no port need answer."""
    app = own(swarm)
    handed: list[tuple[tuple[str, ...], bytes]] = []

    def sh(argv: tuple[str, ...], stdin: bytes) -> Result:
        if "docker stack deploy" in argv[2]:
            handed.append((argv, stdin))
            swarm.stack["hello_front"] = {"whalefall.run": RUN}
            if len(handed) == 1:
                return Result(argv, 1, b"", b"rpc error: code = Unknown desc = The swarm does not have a leader.")
        return Result(argv, 0, b"", b"")

    for each in ("n1", "n2", "n3"):
        swarm.node(each).programs["sh"] = sh
    swarm.tasks = [of_stack(1, 2)]
    swarm.mode.deploy(swarm.cluster, app)
    assert [stdin for _, stdin in handed] == [STACK.encode()] * 2, "what could not be taken just then is tried again"
    assert handed[0][0][4] == "hello"
    assert "whalefall.run: swarm-test" in handed[0][0][5]
    assert "geheim" not in str([argv for argv, _ in handed])


def test_a_stack_that_docker_refuses_ends_the_deploying(swarm: Docker) -> None:
    """It will never be better; and one of others is left as it is, before anything is done."""
    app = own(swarm)
    for each in ("n1", "n2", "n3"):
        swarm.node(each).programs["sh"] = lambda argv, _: Result(
            argv, 1 if "stack deploy" in argv[2] else 0, b"", b"services.front Additional property"
        )
    with pytest.raises(HarnessError, match=r"n1: Docker refuses the stack file stack\.yml of hello: services.front Additional property"):
        swarm.mode.deploy(swarm.cluster, app)
    swarm.stack = {"hello_other": {}}
    with pytest.raises(HarnessError, match="a stack hello is there already and is not ours"):
        swarm.mode.deploy(swarm.cluster, app)


def test_tasks_of_a_stack_of_ours_are_its_apps_instances(swarm: Docker) -> None:
    """With the port that Docker chose; those of another stack are nobody's."""
    app = own(swarm)
    swarm.tasks = [of_stack(1, 2, 32770), of_stack(1, 3, stack="theirs")]
    assert swarm.view().placements == (Placement("hello@1", "n2", "running", running=True),)
    assert swarm.mode.port(swarm.cluster, app, "hello@1", swarm.cluster.node("n2")) == 32770
    assert swarm.mode.port(swarm.cluster, app, "hello@1", swarm.cluster.node("n1")) is None


def test_a_stack_is_withdrawn_with_its_networks(swarm: Docker) -> None:
    """By its own name, and where it is this run's."""
    app = own(swarm)
    swarm.stack = {"hello_front": {"whalefall.run": "another"}}
    adoption.withdraw(swarm.cluster, app)
    assert swarm.stack
    swarm.stack = {"hello_front": {"whalefall.run": RUN}}
    adoption.withdraw(swarm.cluster, app)
    assert swarm.stack == {}
    assert {path for _, method, path, _ in swarm.asked if method == "DELETE"} == {"/services/hello_front", "/networks/net1"}


# ---------------------------------------------------------------- forming


def test_a_swarm_forms_and_its_tokens_go_nowhere_but_into_bodies(big: Docker) -> None:
    """One manager begins, the others join, then the workers; no command of any node holds a token."""
    big.states.clear()
    big.mode.form(big.cluster)
    ((first, begun),) = big.bodies("/swarm/init")
    assert (first, begun["AdvertiseAddr"]) == ("n1", f"{big.cluster.node('n1').address}:2377")
    assert begun["Spec"] == {"Dispatcher": {"HeartbeatPeriod": 5_000_000_000}}
    joins = big.bodies("/swarm/join")
    assert [name for name, _ in joins] == ["n2", "n3", "n4", "n5", "n6"]
    assert {body["JoinToken"] for _, body in joins} == {TOKEN}
    assert "SWMTKN" not in str([big.node(each.name).calls for each in big.cluster.nodes])


def test_a_join_that_swarm_could_not_take_is_tried_again(swarm: Docker) -> None:
    """Raft takes one new member at a time."""
    swarm.states = {}
    swarm.joins["n2"] = [Response(500, b'{"message":"rpc error: code = Unknown desc = raft: propose configuration change refused"}')] * 2
    swarm.mode.form(swarm.cluster)
    assert [name for name, _ in swarm.bodies("/swarm/join")] == ["n2", "n2", "n2", "n3"]


def test_a_join_that_docker_refuses_ends_the_forming_without_the_token(swarm: Docker) -> None:
    """It will never be better."""
    swarm.states = {}
    swarm.joins["n2"] = [Response(400, json.dumps({"message": f"invalid join token {TOKEN}"}).encode())]
    with pytest.raises(HarnessError, match="n2: Docker refuses to join the swarm: 400: invalid join token") as raised:
        swarm.mode.form(swarm.cluster)
    assert "SWMTKN" not in str(raised.value)


def test_a_node_that_never_gets_ready_is_named(swarm: Docker) -> None:
    """With what each manager says of it."""
    swarm.states = {}
    swarm.nodes[2]["Status"]["State"] = "unknown"
    with pytest.raises(Expired, match=r"n1 ready leads, n2 ready, n3 unknown"):
        swarm.mode.form(swarm.cluster)


def test_a_node_without_docker_is_told_by_its_own_words(swarm: Docker) -> None:
    """Before anything is asked of any daemon."""
    swarm.node("n2").refused["sh"] = 1
    with pytest.raises(CommandFailed, match="n2"):
        swarm.mode.form(swarm.cluster)
    assert swarm.asked == []


# ---------------------------------------------------------------- deploying


def test_a_service_is_what_its_app_says() -> None:
    """Instances that must not meet share a port and come once a node; others get ports of Docker's choosing."""
    body: Any = spec(App("web", 2, port=8100), RUN, 5.0)
    template = body["TaskTemplate"]
    assert body["Mode"] == {"Replicated": {"Replicas": 2}}
    assert template["Placement"] == {"MaxReplicas": 1}
    assert template["RestartPolicy"] == {"Condition": "any", "Delay": 5_000_000_000, "MaxAttempts": 0}
    assert template["ContainerSpec"]["Labels"] == {"whalefall.app": "web", "whalefall.run": RUN}
    assert body["Labels"] == {"whalefall.app": "web", "whalefall.run": RUN, "whalefall.lacked": ""}
    assert body["EndpointSpec"]["Ports"] == [{"Protocol": "tcp", "TargetPort": 80, "PublishedPort": 8100, "PublishMode": "host"}]
    free: Any = spec(App("web", 2, conflicts=False), RUN, 0.5, pin="id3", lacked=("n1", "n3"))
    assert free["TaskTemplate"]["Placement"] == {"Constraints": ["node.id==id3"]}
    assert free["EndpointSpec"]["Ports"][0]["PublishedPort"] == 0
    assert free["TaskTemplate"]["RestartPolicy"]["Delay"] == 500_000_000
    assert free["Labels"]["whalefall.lacked"] == "n1,n3"


@pytest.mark.parametrize("name", ["-web", "web-", "we b", "web.1", "x" * 64, ""])
def test_a_name_that_docker_would_not_take_is_refused(name: str) -> None:
    """A dot would also be taken for the end of the name in a task's."""
    with pytest.raises(HarnessError, match="cannot name a service"):
        spec(App(name, 1), RUN, 5.0)


def serving(swarm: Docker, *more: dict[str, Any], **app: Any) -> App:
    """Return an app whose instances' port is the daemons' own, which answers HTTP, and let it run."""
    found = App("web", 2, port=swarm.node("n1").port, **app)
    swarm.tasks = [task(1, 1, port=found.port), task(2, 2, port=found.port), *more]
    return found


def test_deploy_returns_when_all_answer(swarm: Docker) -> None:
    """Images first, on every node; the service once."""
    swarm.mode.deploy(swarm.cluster, serving(swarm))
    assert len(swarm.bodies("/services/create")) == 1
    assert all(any("web" in call for call in swarm.node(name).calls) for name in ("n1", "n2", "n3"))


def test_a_service_that_was_made_by_a_try_whose_answer_was_lost_is_not_an_error(swarm: Docker) -> None:
    """The next manager says that it is there already, and it is this run's."""
    swarm.creates = [Response(500, b'{"message":"context deadline exceeded"}'), Response(409, b'{"message":"name conflicts"}')]
    swarm.service = {"whalefall.run": RUN}
    swarm.mode.deploy(swarm.cluster, serving(swarm))
    assert [name for name, _ in swarm.bodies("/services/create")] == ["n1", "n2"]


def test_somebody_elses_service_of_the_same_name_is_an_error(swarm: Docker) -> None:
    """It must neither be taken for ours nor be touched."""
    swarm.creates = [Response(409, b'{"message":"name conflicts"}')]
    swarm.service = {}
    with pytest.raises(HarnessError, match="a service web is there already and is not ours"):
        swarm.mode.deploy(swarm.cluster, serving(swarm))


def test_a_service_that_swarm_refuses_ends_the_deploying(swarm: Docker) -> None:
    """With Docker's own reason."""
    swarm.creates = [Response(400, b'{"message":"rpc error: code = InvalidArgument desc = bad"}')]
    with pytest.raises(HarnessError, match=r"n1: Docker refuses the service web: 400: .*bad"):
        swarm.mode.deploy(swarm.cluster, serving(swarm))


def test_a_pinned_app_is_pinned_to_swarms_own_id_of_the_node(swarm: Docker) -> None:
    """Host names of hosts that somebody else named are not ours."""
    app = App("web", 1, port=swarm.node("n1").port, pin="n3")
    swarm.tasks = [task(1, 3)]
    swarm.mode.deploy(swarm.cluster, app)
    ((_, body),) = swarm.bodies("/services/create")
    assert body["TaskTemplate"]["Placement"]["Constraints"] == ["node.id==id3"]


def test_an_app_that_does_not_come_up_is_told_with_its_tasks_errors(swarm: Docker) -> None:
    """And what was last seen of each instance."""
    app = serving(swarm)
    broken = task(2, 2, "rejected", "shutdown")
    broken["Status"]["Err"] = "No such image: web:latest"
    swarm.tasks[1:] = [broken, task(2, None, "pending")]
    with pytest.raises(Expired) as raised:
        swarm.mode.deploy(swarm.cluster, app)
    assert "web@1 running on n1, port" in str(raised.value)
    assert "web@2 without a home" in str(raised.value)
    assert "web@2: rejected: No such image: web:latest" in str(raised.value)


def test_the_port_of_an_instance_is_the_apps_or_what_docker_chose(swarm: Docker) -> None:
    """By the last view; nobody is asked."""
    node = swarm.cluster.node("n2")
    assert swarm.mode.port(swarm.cluster, WEB, "web@2", node) == 8000
    free = App("web", 2, conflicts=False)
    assert swarm.mode.port(swarm.cluster, free, "web@2", node) is None
    swarm.tasks = [task(2, 2, port=32768)]
    swarm.view()
    before = len(swarm.asked)
    assert swarm.mode.port(swarm.cluster, free, "web@2", node) == 32768
    assert swarm.mode.port(swarm.cluster, free, "web@2", swarm.cluster.node("n1")) is None
    assert len(swarm.asked) == before


# ---------------------------------------------------------------- raft


LINES = {
    "n1": "1a became leader at term 4",
    "n2": "raft.node: 2b elected leader 1a at term 4",
    "n3": "raft.node: 3c elected leader 1a at term 4",
}


class Nothing:
    """A stream with nothing to say until it is closed."""

    def __init__(self) -> None:
        import threading  # noqa: PLC0415 - here alone

        self.over = threading.Event()

    def lines(self) -> Iterator[bytes]:
        """Wait for the end."""
        self.over.wait(10.0)
        return iter(())

    def close(self) -> None:
        """End."""
        self.over.set()


def with_journals(swarm: Docker) -> None:
    """Give every node a journal."""
    for each in swarm.cluster.nodes:
        assert isinstance(each, DockerNode)
        text = f'level=info msg="{LINES[each.name]}" module=raft\n-- cursor: c\n'.encode()
        each.programs["journalctl"] = lambda argv, _, text=text: Result(argv, 0, text, b"")  # type: ignore[misc]  # binds the text
        each.stream = lambda *_, **__: Nothing()  # type: ignore[attr-defined]


def test_a_manager_names_the_leader_it_follows(swarm: Docker) -> None:
    """By the node's name, also where nobody has asked the leader itself before."""
    with_journals(swarm)
    with swarm.mode.asking(swarm.cluster, swarm.cluster.node("n2")) as ask:
        assert ask() == (4, "n1")
    with swarm.mode.asking(swarm.cluster, swarm.cluster.node("n1")) as ask:
        assert ask() == (4, "n1")


def test_a_leader_that_no_journal_names_is_not_nobody(swarm: Docker) -> None:
    """Could not ask is never "no leader"."""
    with_journals(swarm)
    swarm.node("n1").on = False
    with swarm.mode.asking(swarm.cluster, swarm.cluster.node("n2")) as ask, pytest.raises(Unreachable, match="raft calls it 1a"):
        ask()


def test_a_manager_whose_daemon_gives_no_sign_of_life_has_said_nothing(swarm: Docker) -> None:
    """Its journal holds what it said before it hung."""
    with_journals(swarm)
    with swarm.mode.asking(swarm.cluster, swarm.cluster.node("n2")) as ask:
        assert ask() == (4, "n1")
        swarm.silent["n2"] = ServerTrouble.CLOSE
        with pytest.raises(Unreachable, match="/_ping"):
            ask()
        del swarm.silent["n2"]


# ---------------------------------------------------------------- taking over and leaving


def test_a_running_swarm_is_found_with_its_managers(big: Docker) -> None:
    """Whoever they are: others than we would have chosen."""
    big.managers = {"n4", "n5", "n6"}
    big.mode.adopt(big.cluster)
    assert big.mode.members(big.cluster) == ("n4", "n5", "n6")
    assert {method for _, method, _, _ in big.asked} == {"GET"}


def test_everything_that_keeps_a_swarm_from_being_used_is_told_at_once(swarm: Docker) -> None:
    """A node in no swarm, one that is not ready, one in another swarm, a stranger, no leader, a name that is taken."""
    swarm.states["n3"] = "inactive"
    swarm.managers = {"n1"}
    swarm.nodes[0] |= {"ManagerStatus": {"Addr": "10.1.1.1:2377"}, "Status": {"State": "down", "Addr": "10.1.1.1"}}
    del swarm.nodes[1]
    swarm.service = {}
    swarm.cluster.apps = (WEB,)
    with pytest.raises(HarnessError) as raised:
        swarm.mode.adopt(swarm.cluster)
    told = str(raised.value)
    assert "n3" in told
    assert "is in no swarm: Docker there says inactive" in told
    assert "n1 knows no leader" in told
    assert "n1 lists n1 as down, expected ready" in told
    assert "n2 is in another swarm than n1" in told
    assert "none of ours, and work may go there unseen: n3" in told
    assert "a service web is there already" in told


def test_a_manager_whose_journal_has_lost_rafts_lines_is_told(swarm: Docker) -> None:
    """Who leads could not be known until the next election."""
    swarm.node("n2").programs["journalctl"] = fine
    with pytest.raises(HarnessError, match=r"n2: the journal of docker\.service has no line of raft's there.*restart dockerd"):
        swarm.mode.adopt(swarm.cluster)


def test_a_node_at_another_address_than_ours_is_told(swarm: Docker) -> None:
    """A partition would be made on the wrong network."""
    swarm.nodes[1] |= {"ManagerStatus": {"Addr": "10.1.1.2:2377"}, "Status": {"State": "ready", "Addr": "10.1.1.2"}}
    with pytest.raises(HarnessError, match=r"n1 lists n2 at 10\.1\.1\.2 and 10\.1\.1\.2, expected 127"):
        swarm.mode.adopt(swarm.cluster)


def test_budgets_are_reckoned_from_the_heartbeat_that_was_found(swarm: Docker) -> None:
    """What the swarm itself goes by."""
    swarm.heartbeat = 9_000_000_000
    swarm.mode.adopt(swarm.cluster)
    assert swarm.mode.timers["dispatcher_heartbeat"] == pytest.approx(9.0)
    assert swarm.mode.budget(Traits(Loss.NODE), Who.LEADER).seconds == pytest.approx(40 + 6 * 9.5 + 5 + 3)


MOMENTS: dict[str, tuple[Callable[[Docker], object], Callable[[Docker], object]]] = {
    "a node is down": (
        lambda swarm: swarm.nodes[1]["Status"].update(State="down"),
        lambda swarm: swarm.nodes[1]["Status"].update(State="ready"),
    ),
    "nobody leads": (
        lambda swarm: [each.get("ManagerStatus", {}).pop("Leader", None) for each in swarm.nodes],
        lambda swarm: swarm.nodes[0]["ManagerStatus"].update(Leader=True),
    ),
    "a node waits for a manager": (lambda swarm: swarm.states.update(n3="pending"), lambda swarm: swarm.states.update(n3="active")),
    "a Docker gives no answer": (lambda swarm: swarm.silent.update(n2=ServerTrouble.CLOSE), lambda swarm: swarm.silent.clear()),
    "every Docker gives no answer": (
        lambda swarm: swarm.silent.update(dict.fromkeys(("n1", "n2", "n3"), ServerTrouble.CLOSE)),
        lambda swarm: swarm.silent.clear(),
    ),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_what_is_so_for_a_moment_keeps_no_swarm_from_being_used(swarm: Docker, monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    """A busy machine is late with its heartbeat; the swarm is asked again. What stays so is told, after a time."""
    begin, end = MOMENTS[moment]
    look, looks = adoption._look, []

    def once(cluster: Cluster) -> Any:
        found = look(cluster)
        looks.append(found)
        end(swarm)
        return found

    begin(swarm)
    monkeypatch.setattr(adoption, "_look", once)
    swarm.mode.adopt(swarm.cluster)
    assert len(looks) == 2
    assert looks[0].passing
    assert looks[0].lasting == []
    monkeypatch.setattr(adoption, "_look", look)
    begin(swarm)
    with pytest.raises(HarnessError, match="no swarm that could be taken over"):
        swarm.mode.adopt(swarm.cluster)


def test_nodes_that_are_in_no_swarm_at_all_or_do_not_answer_are_no_swarm(swarm: Docker) -> None:
    """With each node's own words."""
    swarm.states, swarm.managers = {}, set()
    swarm.silent["n2"] = ServerTrouble.CLOSE
    with pytest.raises(HarnessError, match=r"(?s)n1.*inactive.*n2: no answer.*no node here is a manager"):
        swarm.mode.adopt(swarm.cluster)


def test_an_app_is_removed_from_another_process_and_twice(swarm: Docker) -> None:
    """Nothing of it needs to be known: the service says whose it is, and where its image was not there before."""
    swarm.containers = {"n1": ["a"], "n2": ["b"]}
    swarm.service = {"whalefall.run": RUN, "whalefall.lacked": "n1,n3"}
    swarm.images = {"n1", "n2", "n3"}
    other = Swarm()
    other.withdraw(swarm.cluster, WEB)
    other.withdraw(swarm.cluster, WEB)
    assert [path for _, method, path, _ in swarm.asked if method == "DELETE"] == ["/services/web", "/images/web", "/images/web"]
    assert swarm.images == {"n2"}


def test_a_service_that_another_run_or_somebody_else_made_is_left_alone(swarm: Docker) -> None:
    """The name alone proves nothing."""
    for swarm.service in ({}, {"whalefall.run": "another"}):
        Swarm().withdraw(swarm.cluster, WEB)
    assert not [path for _, method, path, _ in swarm.asked if method == "DELETE"]


def test_what_was_deployed_is_withdrawn_with_the_images_that_were_made_for_it(swarm: Docker) -> None:
    """And only with those."""
    swarm.images = {"n2"}
    swarm.mode.deploy(swarm.cluster, serving(swarm))
    assert swarm.service is not None
    assert swarm.service["whalefall.lacked"] == "n1,n3"


def test_containers_that_stay_are_named_and_so_is_a_node_that_cannot_be_asked(swarm: Docker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever reads it knows where to look."""
    monkeypatch.setattr(adoption, "GONE_SECONDS", 1.0)
    swarm.managers, swarm.states = set(), {}
    swarm.containers = {"n1": ["a", "b"]}
    swarm.silent["n3"] = ServerTrouble.CLOSE
    with pytest.raises(Expired, match=r"n1: 2 containers; n3: no answer"):
        Swarm().withdraw(swarm.cluster, WEB)


# ---------------------------------------------------------------- the rest


def test_logs_tell_of_every_daemon_and_hold_no_token(swarm: Docker) -> None:
    """Whatever printed it."""
    node = swarm.node("n1")
    node.programs["timeout"] = lambda argv, _: Result(argv, 0, f"join {TOKEN}\n".encode(), b"")
    logs = swarm.mode.logs(node)
    assert {*logs} >= {"docker.log", "containerd.log", "nodes.txt", "tasks.txt", "containers.txt"}
    assert not [each for each in logs.values() if b"SWMTKN" in each]


def test_processes_are_known_by_their_units(swarm: Docker) -> None:
    """What the mode does not run it does not name."""
    units = [swarm.mode.unit(each) for each in ("docker", "dockerd", "containerd", "etcd", "fleetd")]
    assert units == ["docker.service", "docker.service", "containerd.service", None, None]


# ---------------------------------------------------------------- started anew


def rolling(swarm: Docker, *told: str, lost: int = 0, run: str = RUN) -> list[Any]:
    """Let a swarm have the service web, and return the specs that it was given; it says in turn how far it is, the last one again and again.

    Of so many changes that it takes the answer is lost.
    """
    given: list[Any] = []
    words = list(told)
    task = {"ForceUpdate": 4, "ContainerSpec": {"Image": "web", "Env": ["A=1"], "Labels": {"whalefall.app": "web"}}}
    spec: dict[str, Any] = {"Name": "web", "Labels": {"whalefall.run": run}, "TaskTemplate": task}
    left, plain = [lost], swarm.answer

    def answer(name: str, request: Request) -> Behaviour:
        path = urlsplit(request.path).path.removeprefix("/v1.41")
        if path == "/services/abc/update" and name not in swarm.silent:
            given.append(json.loads(request.body))
            left[0] -= 1
            return ServerTrouble.RESET if left[0] >= 0 else Response(200, b"{}")
        if path != "/services/web" or name in swarm.silent:
            return plain(name, request)
        update = {}
        if given and words:
            state = words.pop(0) if len(words) > 1 else words[0]
            update = {"UpdateStatus": {"State": state, "Message": "as it goes"}} if state else {}
        return Response(200, json.dumps({"ID": "abc", "Version": {"Index": 7}, "Spec": given[-1] if given else spec, **update}).encode())

    swarm.answer = answer  # type: ignore[method-assign]  # what this swarm does
    return given


@pytest.mark.parametrize("lost", [0, 1])
def test_tasks_are_started_anew_once_and_it_is_waited_until_swarm_has_gone_through_them(swarm: Docker, lost: int) -> None:
    """Also where an answer was lost."""
    given = rolling(swarm, "", "updating", "completed", lost=lost)
    swarm.silent["n1"] = Response(503, b'{"message":"The swarm does not have a leader."}')
    swarm.mode.restart(swarm.cluster, WEB)
    (body,) = given
    assert body["TaskTemplate"]["ForceUpdate"] == 5
    assert body["TaskTemplate"]["ContainerSpec"] == {"Image": "web", "Env": ["A=1"], "Labels": {"whalefall.app": "web"}}
    assert (body["UpdateConfig"]["Parallelism"], body["UpdateConfig"]["Order"]) == (1, "stop-first")
    assert body["Labels"] == {"whalefall.run": RUN}


@pytest.mark.parametrize(
    ("told", "error", "words"),
    [
        ("paused", HalfDone, "swarm did not go through all tasks of web: paused: as it goes"),
        ("rollback_started", HalfDone, "swarm did not go through all tasks of web: rollback_started: as it goes"),
        ("updating", Expired, "updating: as it goes"),
        ("", Expired, "not begun: no word on that"),
    ],
)
def test_tasks_that_swarm_does_not_go_through_are_in_doubt(
    swarm: Docker, told: str, error: type[HarnessError], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some may have been started anew."""
    monkeypatch.setattr("harness.modes.swarm._ANEW_SECONDS", 9.0)  # it is asked ten times in each of them
    rolling(swarm, told)
    with pytest.raises(error, match=words):
        swarm.mode.restart(swarm.cluster, WEB)


def test_a_service_of_somebody_else_is_not_started_anew(swarm: Docker) -> None:
    """As it is not scaled."""
    given = rolling(swarm, "completed", run="another")
    with pytest.raises(HarnessError, match="the service web is none of this run's"):
        swarm.mode.restart(swarm.cluster, WEB)
    assert given == []


def test_tasks_are_made_of_another_image_and_environment(swarm: Docker) -> None:
    """With nothing of it expanded, and all else as it was; the image is on the nodes first."""
    given = rolling(swarm, "updating", "completed")
    swarm.mode.update(swarm.cluster, App("web", 2, "web:2", environment=(("A", "{{.Node.ID}}"),)))
    (body,) = given
    own = ["WHALEFALL_INSTANCE={{.Service.Name}}@{{.Task.Slot}}", "WHALEFALL_HOST={{.Node.Hostname}}"]
    container = {"Image": "web:2", "Env": [*own, 'A={{"{{"}}.Node.ID}}'], "Labels": {"whalefall.app": "web"}}
    assert body["TaskTemplate"] == {"ForceUpdate": 5, "ContainerSpec": container}
    assert {each[4] for name in ("n1", "n2", "n3") for each in swarm.node(name).calls if each[0] == "sh"} == {"web:2"}


def test_an_app_is_removed_when_no_task_of_it_is_told_any_more(swarm: Docker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Swarm says so of its tasks only some time after the service is gone; of one that stays the error says that the service is gone."""
    plain, looked = swarm.answer, 0
    swarm.tasks = [task(1, 1), task(1, 2, app="api")]

    def answer(name: str, request: Request) -> Behaviour:
        nonlocal looked
        if "/tasks" in request.path:
            looked += 1
            if looked == 3:
                swarm.tasks = [task(1, 1, desired="remove"), task(1, 2, app="api")]
        return plain(name, request)

    swarm.answer = answer  # type: ignore[method-assign]  # what this swarm does
    swarm.mode.remove(swarm.cluster, WEB)
    assert looked == 3
    monkeypatch.setattr(harness.modes.swarm, "_CHANGE_SECONDS", 0.3)
    with pytest.raises(HalfDone, match=r"the service api is gone, but .*swarm to tell of no task of api.*api@1"):
        swarm.mode.remove(swarm.cluster, App("api", 1))


def test_a_service_is_removed_and_made_again(swarm: Docker) -> None:
    """That there is none is fine, also where an answer was lost; somebody else's stays."""
    swarm.service = {"whalefall.run": RUN}
    removed: list[str] = []
    plain = swarm.answer

    def answer(name: str, request: Request) -> Behaviour:
        if request.method == "DELETE":
            removed.append(urlsplit(request.path).path.removeprefix("/v1.41"))
            swarm.service = None
            return ServerTrouble.RESET
        if request.path.endswith("/services/web") and swarm.service is not None:
            return Response(200, json.dumps({"ID": "abc", "Version": {"Index": 7}, "Spec": {"Labels": swarm.service}}).encode())
        return plain(name, request)

    swarm.answer = answer  # type: ignore[method-assign]  # what this swarm does
    swarm.mode.remove(swarm.cluster, WEB)
    swarm.mode.remove(swarm.cluster, WEB)
    assert removed == ["/services/abc"]
    swarm.mode.launch(swarm.cluster, App("web", 3, "web:2"))
    ((_, body),) = swarm.bodies("/services/create")
    assert (body["Mode"]["Replicated"]["Replicas"], body["TaskTemplate"]["ContainerSpec"]["Image"]) == (3, "web:2")
    swarm.service = {"whalefall.run": "another"}
    with pytest.raises(HarnessError, match="the service web is none of this run's"):
        swarm.mode.remove(swarm.cluster, WEB)
