"""Values in a swarm's quorum, against daemons that misbehave: what is certainly not done, and what nobody can tell."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import docker
import pytest

from harness.core.errors import InDoubt, NoGoodAnswer, NotDone, Unreachable
from harness.modes.swarm.store import BARRIER, KEY, ConfigStore, name
from harness.modes.swarm.swarm_api import Daemon, clean
from harness.testing.memory_node import MemoryNode
from harness.testing.servers import Behaviour, Request, Response, Server, ServerTrouble, closed_port

SOON = 0.2
PATIENT = 10.0
TOKEN = "SWMTKN-1-2tk6etnzw7b824gvtthprq4ijx75r3a0nvqx5n0vupnrhwq3x0-1l4k0twmfzpjio14rg3jqkn7j"  # noqa: S105 - of a swarm that is long gone


class Manager(Server):
    """A daemon that keeps configs as a manager does. `trouble` makes the requests of the methods in `on` go wrong."""

    def __init__(self) -> None:
        super().__init__(self._answer)
        self.configs: dict[str, dict[str, Any]] = {}  # name → config
        self.trouble: Behaviour | None = None
        self.on = {"GET", "POST", "DELETE"}
        self.commits = False  # whether a write is done all the same
        self.late: dict[str, dict[str, Any]] = {}  # what it only knows once a write has gone through it

    def _answer(self, request: Request) -> Behaviour:
        url = urlsplit(request.path)
        path = url.path.removeprefix("/v1.41")
        broken = self.trouble is not None and request.method in self.on
        if path == "/configs/create" and (not broken or self.commits):
            asked = json.loads(request.body)
            if asked["Name"] in self.configs:
                return said(409, f"rpc error: code = AlreadyExists desc = config {asked['Name']} already exists")
            self.configs[asked["Name"]] = {"ID": f"id-{asked['Name']}", "Spec": asked}
            self.configs.update(self.late)
        if broken:
            assert self.trouble is not None
            return self.trouble
        if path == "/configs/create":
            return Response(201, json.dumps({"ID": f"id-{json.loads(request.body)['Name']}"}).encode())
        if path == "/configs":
            wanted = json.loads(parse_qs(url.query)["filters"][0])["label"]
            return Response(200, json.dumps([each for each in self.configs.values() if _has(each["Spec"]["Labels"], wanted)]).encode())
        return self._one(request.method, path)

    def _one(self, method: str, path: str) -> Behaviour:
        wanted = unquote(path.rpartition("/")[2]).removeprefix("id-")
        if wanted not in self.configs:
            return said(404, f"config {wanted} not found")
        if method == "DELETE":
            del self.configs[wanted]
            return Response(204, b"")
        return Response(200, json.dumps(self.configs[wanted]).encode())


def _has(labels: dict[str, str], wanted: list[str]) -> bool:
    """Whether labels are there, as Docker's filter takes them: ``key`` or ``key=value``."""
    return all(key in labels and (not value or labels[key] == value) for key, _, value in (each.partition("=") for each in wanted))


class ManagerNode(MemoryNode):
    """A node with such a daemon."""

    def __init__(self, port: int) -> None:
        super().__init__("n1", "127.0.0.1")
        self.port = port

    def docker(self, timeout: float) -> docker.DockerClient:
        """Return a client."""
        if not self.on:
            raise Unreachable(self.name, "docker", "the machine is off")
        return docker.DockerClient(base_url=f"http://127.0.0.1:{self.port}", version="1.41")


def said(status: int, message: str) -> Response:
    """Return an error as Docker words it."""
    return Response(status, json.dumps({"message": message}).encode())


@pytest.fixture
def manager() -> Iterator[Manager]:
    """A manager that works, until it is told otherwise."""
    with Manager() as server:
        yield server


def store(manager: Manager, timeout: float = PATIENT) -> ConfigStore:
    """Return a way to it."""
    return ConfigStore(ManagerNode(manager.port), "run-1", timeout)


def test_a_written_key_is_read_back(manager: Manager) -> None:
    """Keys and values are any text; empty and absent are two things."""
    values = store(manager)
    values.put("whalefall/ä", "1 ✓")
    values.put("empty", "")
    assert values.get("whalefall/ä") == "1 ✓"
    assert values.get("empty") == ""
    assert values.get("absent") is None
    values.close()
    values.close()


def test_a_prefix_holds_every_key_of_it_and_no_other(manager: Manager) -> None:
    """Somebody else's configs are not looked at."""
    values = store(manager)
    for key in ("a/1", "a/2", "a0", "b"):
        values.put(key, key)
    manager.configs["theirs"] = {"ID": "id-theirs", "Spec": {"Name": "theirs", "Labels": {}}}
    assert values.prefix("a/") == {"a/1": "a/1", "a/2": "a/2"}
    assert values.prefix("c/") == {}
    values.close()


def test_what_another_run_left_is_not_seen_and_not_touched(manager: Manager) -> None:
    """Each run writes the same keys, once."""
    old = ConfigStore(ManagerNode(manager.port), "run-0", PATIENT)
    old.put("k", "old")
    values = store(manager)
    assert values.get("k") is None
    values.put("k", "new")
    assert (values.get("k"), values.prefix("k"), old.prefix("k")) == ("new", {"k": "new"}, {"k": "old"})
    values.clear()
    assert old.get("k") == "old"


def test_absence_is_only_told_after_a_write_went_through(manager: Manager) -> None:
    """A leader that was cut off knows nothing of what was acknowledged since, and finds out by its next write."""
    manager.late = {
        name("run-1", "k"): {
            "ID": "x",
            "Spec": {"Name": name("run-1", "k"), "Labels": {KEY: "k", "whalefall.value": "v", "whalefall.run": "run-1"}},
        }
    }
    values = store(manager)
    assert values.get("k") == "v"
    values.close()
    other = store(manager)
    manager.configs.clear()
    manager.late = {
        name("run-1", "p/1"): {
            "ID": "x",
            "Spec": {"Name": name("run-1", "p/1"), "Labels": {KEY: "p/1", "whalefall.value": "v", "whalefall.run": "run-1"}},
        }
    }
    assert other.prefix("p/") == {"p/1": "v"}
    other.close()


def test_what_was_found_costs_no_write(manager: Manager) -> None:
    """Keys are written once, so a value that is there is right whoever tells it."""
    values = store(manager)
    values.put("k", "v")
    before = len(manager.requests)
    assert values.get("k") == "v"
    assert [each.method for each in manager.requests[before:]] == ["GET"]
    values.close()


def test_absence_that_cannot_be_made_sure_of_is_no_answer(manager: Manager) -> None:
    """A manager that is cut off reads and does not write."""
    manager.trouble, manager.on = said(500, "rpc error: code = DeadlineExceeded desc = context deadline exceeded"), {"POST"}
    values = store(manager)
    with pytest.raises(InDoubt, match="context deadline exceeded"):
        values.get("k")
    with pytest.raises(InDoubt):
        values.prefix("k")
    values.close()


def test_nothing_is_left_lying_around(manager: Manager) -> None:
    """Writes that were only made to see that they go through are removed, by the read itself or by `clear`."""
    values = store(manager)
    values.put("k", "v")
    assert values.get("absent") is None
    assert len(manager.configs) == 1
    manager.trouble, manager.on = said(500, "no"), {"DELETE"}
    assert values.get("absent") is None
    assert [BARRIER in each["Spec"]["Labels"] for each in manager.configs.values()].count(True) == 1
    manager.trouble = None
    values.clear()
    assert manager.configs == {}
    values.close()


@pytest.mark.parametrize(
    "trouble",
    [
        ServerTrouble.HANG,
        ServerTrouble.RESET,
        ServerTrouble.CLOSE,
        ServerTrouble.TORN,
        ServerTrouble.STALL,
        ServerTrouble.TRICKLE,
        ServerTrouble.RUBBISH,
    ],
    ids=str,
)
def test_a_write_without_a_whole_answer_is_in_doubt(manager: Manager, trouble: ServerTrouble) -> None:
    """It may be there, and here it is."""
    manager.trouble, manager.commits = trouble, True
    values = store(manager, SOON if trouble in {ServerTrouble.HANG, ServerTrouble.STALL, ServerTrouble.TRICKLE} else PATIENT)
    with pytest.raises(InDoubt):
        values.put("k", "v")
    values.close()
    assert name("run-1", "k") in manager.configs


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (said(503, 'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join"'), NotDone),
        (said(503, "This node is not part of a swarm"), NotDone),
        (said(503, "Swarm is encrypted and needs to be unlocked before it can be used."), NotDone),
        (said(400, "rpc error: code = InvalidArgument desc = invalid name"), NotDone),
        (said(404, "page not found"), NotDone),
        (said(408, "request timeout"), InDoubt),
        (said(500, "rpc error: code = DeadlineExceeded desc = context deadline exceeded"), InDoubt),
        (said(500, "rpc error: code = Unknown desc = The swarm does not have a leader."), InDoubt),
        (said(500, "raft: failed to process the request: node lost leader status"), InDoubt),
        (said(503, "rpc error: code = Unavailable desc = transport is closing"), InDoubt),
        (said(409, "rpc error: code = AlreadyExists desc = config x already exists"), InDoubt),
        (Response(500, b"<html>"), InDoubt),
    ],
)
def test_a_bad_answer_says_whether_the_write_may_be_there(manager: Manager, answer: Behaviour, kind: type[NoGoodAnswer]) -> None:
    """Certain is only what a daemon decides by itself; what it handed on to a leader may be done."""
    manager.trouble = answer
    values = store(manager)
    with pytest.raises(kind) as raised:
        values.put("k", "v")
    assert type(raised.value) is kind
    values.close()


def test_a_refused_connection_or_a_machine_that_is_off_is_certainly_not_done() -> None:
    """Nothing was sent."""
    node = ManagerNode(closed_port())
    values = ConfigStore(node, "run-1", PATIENT)
    with pytest.raises(NotDone, match="no connection"):
        values.put("k", "v")
    node.on = False
    with pytest.raises(NotDone, match="off"):
        values.put("k", "v")
    values.close()


@pytest.mark.parametrize("body", [b"[]", b"{}", b'[{"Spec":{}}]', b"null"])
def test_an_answer_of_another_shape_is_no_value(manager: Manager, body: bytes) -> None:
    """Rubbish is never "absent"."""
    values = store(manager)
    manager.trouble, manager.on = Response(200, body), {"GET"}
    with pytest.raises(InDoubt):
        values.get("k")
    if body != b"[]":
        if body == b"{}":
            assert values.prefix("k") == {}
        else:
            with pytest.raises(InDoubt):
                values.prefix("k")
    values.close()


def test_names_of_configs_are_docker_names_and_never_alike() -> None:
    """64 characters at most, whatever the key."""
    names = {name(run, key) for run in ("r", "r-2") for key in ("a", "a/", "A", "ä", "x" * 500, "")}
    assert len(names) == 12
    assert all(len(each) <= 64 and each.replace("-", "").isalnum() for each in names)


def test_no_token_stands_in_what_a_daemon_says(manager: Manager) -> None:
    """Whoever reads an error or a log could join the swarm otherwise."""
    assert clean(f"join --token {TOKEN} now") == "join --token (a join token) now"
    manager.trouble = said(500, f"cannot join with {TOKEN}")
    daemon = Daemon(ManagerNode(manager.port), PATIENT)
    with pytest.raises(Unreachable) as raised:
        daemon.swarm()
    assert "SWMTKN" not in str(raised.value)
    manager.trouble = Response(
        200,
        json.dumps({"JoinTokens": {"Manager": TOKEN, "Worker": TOKEN}, "Spec": {"Dispatcher": {"HeartbeatPeriod": 5 * 10**9}}}).encode(),
    )
    swarm = daemon.swarm()
    assert swarm.heartbeat == pytest.approx(5.0)
    assert "SWMTKN" not in repr(swarm)
