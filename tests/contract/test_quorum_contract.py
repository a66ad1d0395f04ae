"""Every mode that stands on a quorum keeps its promises, and one that does not is convicted: see `harness.testing.quorum_contract`.

A registered mode with `harness.core.protocols.Quorum` has a row in `ROWS`, over a member in memory and on loopback; one without a row fails.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any, ClassVar, cast

import docker
import pytest

from harness import registry
from harness.core.errors import Unreachable
from harness.core.protocols import Cluster, Node, Quorum
from harness.core.values import Result
from harness.modes.fleet import Fleet
from harness.modes.mesos import Mesos
from harness.modes.swarm import Swarm
from harness.testing import quorum_contract
from harness.testing.contracts import ContractBroken
from harness.testing.ensemble import ZooKeeperServer
from harness.testing.memory_node import MemoryNode
from harness.testing.quorum_contract import QUORUM, QuorumCase
from harness.testing.servers import Behaviour, EtcdServer, Response, Server, ServerTrouble, loopback
from tests.contract.convicting import missed

OWN = "4a1f0d6e3c77e01"
RAFT = f'time="2026-11-24T11:48:48Z" level=info msg="raft.node: {OWN} elected leader {OWN} at term 2" module=raft'.encode()


class _Here:
    """A provider whose network is this machine's."""

    name: ClassVar[str] = "here"

    def network(self, run_id: str) -> AbstractContextManager[None]:
        return nullcontext()


HERE: Any = _Here()


@contextmanager
def _set(what: Any, **values: Any) -> Iterator[None]:
    before = {name: getattr(what, name) for name in values}
    for name, value in values.items():
        setattr(what, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(what, name, value)


def _troubles(server: Any, more: Mapping[str, Behaviour]) -> dict[str, Callable[[], AbstractContextManager[None]]]:
    every: dict[str, Behaviour] = {**{each.name: each for each in ServerTrouble}, "a status of 503": Response(503), **more}
    return {name: lambda how=how: _set(server, trouble=how) for name, how in every.items()}  # type: ignore[misc]  # a default binds it


@contextmanager
def _fleet() -> Iterator[QuorumCase]:
    with EtcdServer(loopback(), 2379) as server:
        mode = Fleet()
        cluster = Cluster("contract", [MemoryNode("n1", server.address)], HERE, mode)
        yield QuorumCase(mode, cluster, "n1", (2, "n1"), _troubles(server, {"no status": Response(200, b"{}")}))


class _Docker(Server):
    """A manager's Docker daemon that gives signs of life, unless it is in trouble."""

    def __init__(self) -> None:
        self.trouble: Behaviour | None = None
        super().__init__(lambda _: self.trouble or Response(200, b'"OK"'))


class _Journal:
    """A journal that is followed: nothing more is written."""

    def __init__(self) -> None:
        self._over = threading.Event()

    def lines(self) -> Iterator[bytes]:
        self._over.wait(30.0)
        yield from ()

    def close(self) -> None:
        self._over.set()


class _Manager(MemoryNode):
    """A node with such a daemon, and its journal."""

    port = 0

    def docker(self, timeout: float) -> docker.DockerClient:
        return docker.DockerClient(base_url=f"http://127.0.0.1:{self.port}", version="1.41")

    def stream(self, *argv: str, stdin: bytes = b"") -> _Journal:
        return _Journal()

    def read(self, argv: tuple[str, ...], stdin: bytes) -> Result:
        return Result(argv, 0, RAFT + b"\n-- cursor: s=1\n", b"")


@contextmanager
def _swarm() -> Iterator[QuorumCase]:
    with _Docker() as server:
        node = _Manager("n1", "127.0.0.1")
        node.port = server.port
        node.programs["journalctl"] = node.read
        mode = Swarm()
        cluster = Cluster("contract", [node], HERE, mode)
        yield QuorumCase(mode, cluster, "n1", (2, "n1"), {**_troubles(server, {}), "a machine that is off": lambda: _off(node, server)})


@contextmanager
def _off(node: MemoryNode, server: _Docker) -> Iterator[None]:
    with _set(node, on=False), _set(server, trouble=ServerTrouble.RESET):
        yield


@contextmanager
def _mesos() -> Iterator[QuorumCase]:
    with ZooKeeperServer(loopback(), 2181) as server:
        mode = Mesos()
        cluster = Cluster("contract", [MemoryNode("n1", server.address)], HERE, mode)
        troubles = {each.name: partial(_set, server, trouble=each) for each in ServerTrouble}
        yield QuorumCase(mode, cluster, "n1", (2, "n1"), {**troubles, "no epoch": partial(_set, server, mode="")})


ROWS: Mapping[str, Callable[[], AbstractContextManager[QuorumCase]]] = {"fleet": _fleet, "mesos": _mesos, "swarm": _swarm}


@pytest.fixture(autouse=True)
def _brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let modes be as patient with members on loopback as those are quick."""
    monkeypatch.setattr("harness.modes.fleet._STATUS_SECONDS", 0.3)
    monkeypatch.setattr("harness.modes.mesos._SAYING_SECONDS", 0.3)
    monkeypatch.setattr("harness.modes.swarm.ASK_SECONDS", 0.3)


@pytest.fixture(params=ROWS)
def case(request: pytest.FixtureRequest) -> Iterator[QuorumCase]:
    """Lend each mode's member."""
    with ROWS[request.param]() as quorum:
        yield quorum


@pytest.mark.parametrize("promise", QUORUM.values(), ids=QUORUM)
def test_quorum(case: QuorumCase, promise: Callable[[QuorumCase], None]) -> None:
    """Every quorum keeps this promise."""
    promise(case)


def test_every_quorum_is_under_contract() -> None:
    """A mode that is registered and stands on one has a row."""
    assert {*ROWS} == {name for name, mode in registry.known().modes.items() if issubclass(mode, Quorum)}


# -- the contract itself: it is shown quorums that it must convict


class _Double:
    """A quorum that keeps every promise, but for what is wrong with it."""

    def __init__(self, wrong: str) -> None:
        self.wrong = wrong
        self.broken = False
        self.failed = False
        self.let_go = threading.Event()

    @contextmanager
    def asking(self, cluster: Cluster, node: Node) -> Iterator[Callable[[], Any]]:
        if self.broken and self.wrong == "raises on the way in":
            raise KeyError(node.name)
        if self.wrong == "leaves a thread":
            threading.Thread(target=self.let_go.wait, args=(20.0,), daemon=True).start()
        try:
            yield self._nobody if self.broken and self.wrong == "follows nobody at first" else self.ask
        except LookupError:
            if self.wrong != "swallows errors":
                raise

    def _nobody(self) -> Any:
        return 2, None

    def ask(self) -> Any:
        if self.wrong == "says another's word":
            return 3, "n2"
        if self.wrong == "answers nobody":
            raise Unreachable("n1", "its term", "no answer")
        if self.broken and self.failed and self.wrong == "is silent once":
            return 2, "n1"
        if not self.broken and not (self.failed and self.wrong == "is lost for good"):
            return 2, "n1"
        self.failed = True
        said: Mapping[str, Any] = {"follows nobody": (2, None), "has no term": (0, None), "repeats itself": (2, "n1"), "says None": None}
        if self.wrong in said:
            return said[self.wrong]
        if self.wrong == "hangs":
            self.let_go.wait(20.0)
        if self.wrong == "raises what it likes":
            raise OSError("gone")
        raise Unreachable("n1", "its term", " " if self.wrong == "says not why" else "no answer")


HOWS: dict[str, tuple[str, str]] = {
    # what is wrong → which promise convicts it, and by what words
    "says another's word": ("it_tells_what_the_member_says", "what n1 says of itself"),
    "answers nobody": ("it_tells_what_the_member_says", "a member that answers is heard"),
    "is silent once": ("could_not_ask_is_never_nobody", r"raises Unreachable; saw: \(2, 'n1'\)"),
    "follows nobody at first": ("could_not_ask_is_never_nobody", "in silence from the beginning raises Unreachable"),
    "follows nobody": ("could_not_ask_is_never_nobody", "raises Unreachable"),
    "has no term": ("could_not_ask_is_never_nobody", "raises Unreachable"),
    "says None": ("could_not_ask_is_never_nobody", "raises Unreachable"),
    "repeats itself": ("could_not_ask_is_never_nobody", "n1 cannot be asked in silence"),
    "raises what it likes": ("could_not_ask_is_never_nobody", "saw: OSError"),
    "raises on the way in": ("could_not_ask_is_never_nobody", "a way to ask n1; saw: KeyError"),
    "says not why": ("could_not_ask_is_never_nobody", "why n1 could not be asked"),
    "hangs": ("could_not_ask_is_never_nobody", "it goes on after"),
    "is lost for good": ("it_is_heard_again_after_a_trouble", "is heard again after silence"),
    "leaves a thread": ("what_was_taken_is_let_go", "no thread goes on"),
    "swallows errors": ("what_was_taken_is_let_go", "comes out as it is"),
}


@contextmanager
def _doubled(wrong: str) -> Iterator[QuorumCase]:
    double = _Double(wrong)
    cluster = Cluster("contract", [MemoryNode("n1", "127.0.0.1")], HERE, cast("Any", double))
    try:
        yield QuorumCase(cast("Any", double), cluster, "n1", (2, "n1"), {"silence": lambda: _set(double, broken=True)})
    finally:
        double.let_go.set()


def _convict(how: str) -> ContractBroken:
    name, promised = HOWS[how]
    with _doubled(how) as quorum, pytest.raises(ContractBroken, match=promised) as raised:
        QUORUM[name](quorum)
    return raised.value


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quorum_contract, "ENDING_SECONDS", 0.4)


@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize("how", HOWS)
def test_a_quorum_that_misbehaves_is_convicted(how: str) -> None:
    """By the promise that it breaks, for what is wrong with it."""
    _convict(how)


@pytest.mark.usefixtures("_impatient")
def test_every_line_of_the_contract_convicts_somebody() -> None:
    """Not every function alone: one that asks for three things needs three doubles."""
    assert missed(quorum_contract, map(_convict, HOWS)) == []


@pytest.mark.parametrize("promise", QUORUM.values(), ids=QUORUM)
def test_a_double_that_behaves_is_acquitted(promise: Callable[[QuorumCase], None]) -> None:
    """What convicts the others is what is wrong with them."""
    with _doubled("") as quorum:
        promise(quorum)


def test_every_promise_convicts_somebody() -> None:
    """A promise without a double that breaks it may be one that nothing breaks."""
    assert {name for name, _ in HOWS.values()} == {*QUORUM}
