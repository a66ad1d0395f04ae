"""Every store keeps its promises, and one that does not is convicted: the bodies are in `harness.testing.store_contract`.

A registered mode whose quorum keeps values (`harness.core.protocols.Registers`) has a row in `ROWS`, over a member on loopback; one without fails.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import docker
import pytest

from harness import registry
from harness.core.errors import InDoubt, NotDone
from harness.core.protocols import Cluster, Registers, Store
from harness.modes.etcd import Etcd
from harness.modes.fleet import Fleet
from harness.modes.mesos import Mesos
from harness.modes.swarm import Swarm
from harness.testing import store_contract
from harness.testing.contracts import ContractBroken
from harness.testing.ensemble import ZooKeeperServer
from harness.testing.memory_node import MemoryNode
from harness.testing.servers import Behaviour, EtcdServer, Request, Response, Server, ServerTrouble, loopback
from harness.testing.store_contract import STORE, StoreCase
from harness.testing.workload_contract import Trouble
from tests.contract.convicting import missed

ANY: Any = None


class _Docker(Server):
    """A manager's Docker daemon, as far as configs go."""

    def __init__(self) -> None:
        super().__init__(self._answer)
        self.trouble: Behaviour | None = None
        self.configs: dict[str, dict[str, Any]] = {}

    def _answer(self, request: Request) -> Behaviour:
        if self.trouble is not None:
            return self.trouble
        url = urlsplit(request.path)
        path = url.path.removeprefix("/v1.41")
        if path == "/configs/create":
            asked = json.loads(request.body)
            self.configs[asked["Name"]] = {"ID": asked["Name"], "Spec": asked}
            return Response(201, json.dumps({"ID": asked["Name"]}).encode())
        if path == "/configs":
            wanted = [each.partition("=") for each in json.loads(parse_qs(url.query)["filters"][0])["label"]]
            listed = [
                each
                for each in self.configs.values()
                if all(key in each["Spec"]["Labels"] and value in {"", each["Spec"]["Labels"][key]} for key, _, value in wanted)
            ]
            return Response(200, json.dumps(listed).encode())
        name = unquote(path.rpartition("/")[2])
        if name not in self.configs:
            return Response(404, json.dumps({"message": f"config {name} not found"}).encode())
        if request.method == "DELETE":
            del self.configs[name]
            return Response(204, b"")
        return Response(200, json.dumps(self.configs[name]).encode())


class _Manager(MemoryNode):
    """A node with such a daemon."""

    port = 0

    def docker(self, timeout: float) -> docker.DockerClient:
        return docker.DockerClient(base_url=f"http://{self.address}:{self.port}", version="1.41")


TROUBLES: Mapping[str, Behaviour] = {
    **{each.name: each for each in ServerTrouble},
    "a status of 503": Response(503, b'{"message": "no leader"}'),
}


def _troubles(server: Any, more: Mapping[str, tuple[Behaviour, bool]]) -> Mapping[str, Trouble]:
    @contextmanager
    def begun(behaviour: Behaviour) -> Iterator[None]:
        server.trouble = behaviour
        try:
            yield
        finally:
            server.trouble = None

    every = {**{name: (each, True) for name, each in TROUBLES.items()}, **more}
    return {name: Trouble(lambda each=each: begun(each), taken=taken) for name, (each, taken) in every.items()}  # type: ignore[misc]  # a default binds it


@contextmanager
def _fleet() -> Iterator[StoreCase]:
    with EtcdServer(loopback(), 2379) as server:
        node = MemoryNode("n1", server.address)
        mode = Fleet()
        cluster = Cluster("contract", [node], ANY, mode)
        more = {"refused": (Response(400, b"etcdserver: no such thing"), False), "no etcd": (Response(200, b"{}"), True)}
        yield StoreCase(lambda seconds: mode.store(cluster, node, seconds), _troubles(server, more))


@contextmanager
def _etcd() -> Iterator[StoreCase]:
    with EtcdServer(loopback(), 2379) as server:
        yield StoreCase(lambda seconds: Etcd(server.address, seconds), _troubles(server, {}))


@contextmanager
def _swarm() -> Iterator[StoreCase]:
    with _Docker() as server:
        node = _Manager("n1", server.address)
        node.port = server.port
        mode = Swarm()
        cluster = Cluster("contract", [node], ANY, mode)
        more = {"refused": (Response(400, b'{"message": "invalid name"}'), False)}
        yield StoreCase(lambda seconds: mode.store(cluster, node, seconds), _troubles(server, more))


@contextmanager
def _mesos() -> Iterator[StoreCase]:
    with ZooKeeperServer(loopback(), 2181) as server:
        node = MemoryNode("n1", server.address)
        mode = Mesos()
        cluster = Cluster("contract", [node], ANY, mode)

        @contextmanager
        def begun(name: str, value: Any, usual: Any) -> Iterator[None]:
            setattr(server, name, value)
            try:
                yield
            finally:
                setattr(server, name, usual)

        # Where no session stands nothing is sent, so that nothing can have been taken.
        troubles = {each.name: Trouble(partial(begun, "trouble", each, None), taken=False) for each in ServerTrouble}
        troubles |= {f"{each.name} in a session": Trouble(partial(begun, "late", each, None), taken=True) for each in ServerTrouble}
        troubles |= {"refused": Trouble(partial(begun, "refusal", -102, 0), taken=False)}
        troubles |= {"an expired session": Trouble(partial(begun, "refusal", -112, 0), taken=True)}
        yield StoreCase(lambda seconds: mode.store(cluster, node, seconds), troubles)


ROWS: Mapping[str, Callable[[], AbstractContextManager[StoreCase]]] = {
    "fleet": _fleet,
    "fleet, etcd itself": _etcd,
    "mesos": _mesos,
    "swarm": _swarm,
}
"""By the mode's name, with more where it stands on another one."""


@pytest.fixture(params=ROWS)
def case(request: pytest.FixtureRequest) -> Iterator[StoreCase]:
    """Lend each store."""
    with ROWS[request.param]() as kept:
        yield kept


@pytest.mark.parametrize("promise", STORE.values(), ids=STORE)
def test_store(case: StoreCase, promise: Callable[[StoreCase], None]) -> None:
    """Every store keeps this promise."""
    promise(case)


def test_every_store_is_under_contract() -> None:
    """A mode that is registered and keeps values has a row."""
    keeping = {name for name, mode in registry.known().modes.items() if issubclass(mode, Registers)}
    assert {row.partition(",")[0] for row in ROWS} == keeping


# -- the contract itself: it is shown stores that it must convict


class _Double:
    """A store in memory that keeps every promise, but for what a test sets in its place."""

    def __init__(self, values: dict[str, str], broken: list[str], **replaced: Callable[..., Any]) -> None:
        self.values, self.broken, self.replaced = values, broken, replaced
        self.closed = 0
        self.failed = False

    def _may(self) -> None:
        if self.broken:
            self.failed = True
            raise InDoubt("nobody answers")

    def put(self, key: str, value: str) -> Any:
        if "put" in self.replaced:
            return self.replaced["put"](self, key, value)
        self._may()
        self.values[key] = value
        return None

    def get(self, key: str) -> Any:
        if "get" in self.replaced:
            return self.replaced["get"](self, key)
        self._may()
        return self.values.get(key)

    def prefix(self, prefix: str) -> Any:
        if "prefix" in self.replaced:
            return self.replaced["prefix"](self, prefix)
        self._may()
        return {key: value for key, value in self.values.items() if key.startswith(prefix)}

    def close(self) -> None:
        self.closed += 1
        if "close" in self.replaced and self.closed > 1:
            raise OSError("closed already")


def _kept(**replaced: Callable[..., Any]) -> StoreCase:
    values: dict[str, str] = {}
    broken: list[str] = []

    @contextmanager
    def trouble() -> Iterator[None]:
        broken.append("trouble")
        try:
            yield
        finally:
            broken.clear()

    def make(_: float) -> Store:
        return _Double(values, broken, **replaced)

    return StoreCase(make, {"silence": Trouble(trouble, taken=True)})


def _raising(error: Exception) -> Any:
    raise error


def _in_need(name: str, other: Callable[[], Any]) -> Callable[..., Any]:
    """Answer otherwise in trouble only."""

    def ask(own: _Double, *args: Any) -> Any:
        return other() if own.broken else getattr(_Double(own.values, own.broken), name)(*args)

    return ask


def _own_only(own: _Double, key: str) -> Any:
    return own.values.get(key) if key in own.__dict__.setdefault("seen", set()) else None


def _remembered(own: _Double, key: str, value: str) -> None:
    own.__dict__.setdefault("seen", set()).add(key)
    own.values[key] = value


def _lost(own: _Double, key: str) -> Any:
    if own.broken or own.failed:
        own.failed = True
        raise NotDone("the connection is gone")
    return own.values.get(key)


def _refused(own: _Double, key: str, value: str) -> None:
    own.values[key] = value
    raise InDoubt("not since the trouble")


HOWS: dict[str, tuple[dict[str, Callable[..., Any]], str, str]] = {
    # what is wrong → what it does otherwise, which promise convicts it, and by what words
    "forgets": ({"get": lambda *_: None}, "what_is_put_is_got", "what it gets"),
    "strips": ({"get": lambda own, key: own.values.get(key, "").strip() or None}, "what_is_put_is_got", "what it gets"),
    "tells nobody else": ({"get": _own_only, "put": _remembered}, "what_is_put_is_got", "what another way gets"),
    "absent is empty": ({"get": lambda own, key: own.values.get(key, "")}, "what_is_put_is_got", "nobody has put"),
    "raises": ({"put": lambda *_: _raising(KeyError("k"))}, "what_is_put_is_got", "put of '1' goes well; saw: KeyError"),
    "says more": ({"put": lambda own, key, value: own.values.setdefault(key, value)}, "what_is_put_is_got", "what put returns"),
    "a prefix that is a folder": (
        {"prefix": lambda own, prefix: {k: v for k, v in own.values.items() if k.startswith(prefix.rstrip("/"))}},
        "a_prefix_is_all_of_it_and_nothing_else",
        "what lies under a prefix",
    ),
    "a prefix of nothing is everything": (
        {"prefix": lambda own, prefix: {k: v for k, v in own.values.items() if k.startswith(prefix)} or dict(own.values)},
        "a_prefix_is_all_of_it_and_nothing_else",
        "what lies under a prefix of nothing",
    ),
    "keys without their beginning": (
        {"prefix": lambda own, prefix: {k.removeprefix(prefix): v for k, v in own.values.items() if k.startswith(prefix)}},
        "a_prefix_is_all_of_it_and_nothing_else",
        "what lies under a prefix",
    ),
    "takes silence for absent": ({"get": _in_need("get", lambda: None)}, "could_not_ask_is_not_absent", "get in silence raises"),
    "takes silence for empty": ({"prefix": _in_need("prefix", dict)}, "could_not_ask_is_not_absent", "prefix in silence raises"),
    "acknowledges in silence": ({"put": _in_need("put", lambda: None)}, "could_not_ask_is_not_absent", "put in silence raises"),
    "is certain": ({"put": _in_need("put", lambda: _raising(NotDone("no")))}, "could_not_ask_is_not_absent", "raises InDoubt"),
    "raises what it likes": ({"get": _in_need("get", lambda: _raising(OSError("gone")))}, "could_not_ask_is_not_absent", "saw: OSError"),
    "says not why": ({"get": _in_need("get", lambda: _raising(InDoubt(" ")))}, "could_not_ask_is_not_absent", "says what went wrong"),
    "hangs": ({"get": _in_need("get", lambda: threading.Event().wait(6.0))}, "could_not_ask_is_not_absent", "it goes on"),
    "is lost for good": ({"get": _lost}, "it_goes_on_after_a_trouble", "what was put after silence is got"),
    "takes nothing more": ({"put": _refused}, "it_goes_on_after_a_trouble", "one of 3 values is put after silence"),
    "closes once": ({"close": _raising}, "it_is_closed_twice", "as often as one likes"),
}


def _convict(how: str) -> ContractBroken:
    replaced, name, promised = HOWS[how]
    with pytest.raises(ContractBroken, match=promised) as raised:
        STORE[name](_kept(**replaced))
    return raised.value


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_contract, "GRACE_SECONDS", 0.2)
    monkeypatch.setattr(store_contract, "SHORT", 0.2)


@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize("how", HOWS)
def test_a_store_that_misbehaves_is_convicted(how: str) -> None:
    """By the promise that it breaks, for what is wrong with it."""
    _convict(how)


@pytest.mark.usefixtures("_impatient")
def test_every_line_of_the_contract_convicts_somebody() -> None:
    """Not every function alone: one that asks for three things needs three doubles."""
    assert missed(store_contract, map(_convict, HOWS)) == []


@pytest.mark.parametrize("promise", STORE.values(), ids=STORE)
def test_a_double_that_behaves_is_acquitted(promise: Callable[[StoreCase], None]) -> None:
    """What convicts the others is what is wrong with them."""
    promise(_kept())


def test_every_promise_convicts_somebody() -> None:
    """A promise without a double that breaks it may be one that nothing breaks."""
    assert {name for _, name, _ in HOWS.values()} == {*STORE}
