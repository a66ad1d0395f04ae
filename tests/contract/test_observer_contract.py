"""Every observer keeps its promises, and one that does not is convicted: the bodies are in `harness.testing.observer_contract`.

An observer that is in `harness.observers.OBSERVERS` has a row in `ROWS`, over nodes in memory; one without a row fails.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any, ClassVar

import docker
import pytest

from harness.core.clock import SystemClock
from harness.core.errors import Unreachable
from harness.core.protocols import Cluster, Node, Viewing
from harness.core.values import NodeState, View
from harness.history.events import ApiSeen, MemberSeen, NodeSeen, Watching
from harness.history.recorder import Recorder
from harness.observers import OBSERVERS, agent, docker_events, node_truth, watch
from harness.testing import observer_contract
from harness.testing.bare import BareMode
from harness.testing.contracts import ContractBroken
from harness.testing.memory_node import MemoryNode
from harness.testing.observer_contract import OBSERVER, Sight
from harness.testing.servers import Behaviour, Request, Response, Server, ServerTrouble
from tests.contract.convicting import missed

NODES = ("n1", "n2")
TICK = 0.05
DEEP = b"[" * 100_000


class _Here:
    """A provider whose network is this machine's."""

    name: ClassVar[str] = "here"

    def network(self, run_id: str) -> AbstractContextManager[None]:
        return nullcontext()


class _World:
    """What everybody who is asked does: answer, or what a test says."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.said: bytes | None = None  # what agents print in place of what runs; empty for nothing at all
        self.docker: Behaviour | None = None
        self.stuck: threading.Event | None = None  # set when whoever was asked lets go
        self.waiting = 0

    def ask(self) -> None:
        if self.stuck is not None:
            self.waiting += 1
            self.stuck.wait(60.0)
        if self.error is not None:
            raise self.error

    @contextmanager
    def broken(self, **what: Any) -> Iterator[None]:
        before = {name: getattr(self, name) for name in what}
        for name, value in what.items():
            setattr(self, name, value)
        try:
            yield
        finally:
            for name, value in before.items():
                setattr(self, name, value)

    @contextmanager
    def hanging(self) -> Iterator[Callable[[], bool]]:
        let_go = threading.Event()
        with self.broken(stuck=let_go, waiting=0):
            try:
                yield lambda: self.waiting > 0
            finally:
                let_go.set()


class _Talk:
    """An agent that says every now and then what runs."""

    def __init__(self, world: _World) -> None:
        self._world = world
        self._over = threading.Event()

    def lines(self) -> Iterator[bytes]:
        while not self._over.wait(TICK):
            if self._world.error is not None:
                return  # the node is gone, and the stream with it
            if self._world.stuck is None and self._world.said != b"":
                yield self._world.said or agent.line([("0" * 64, "web@1")]).encode()

    def close(self) -> None:
        self._over.set()


class _Node(MemoryNode):
    """A node with an agent and a Docker daemon, which do as the world says."""

    world: _World
    port: int

    def stream(self, *argv: str, stdin: bytes = b"") -> _Talk:
        self.world.ask()
        return _Talk(self.world)

    def docker(self, timeout: float) -> docker.DockerClient:
        return docker.DockerClient(base_url=f"http://127.0.0.1:{self.port}", version="1.41", timeout=timeout)  # type: ignore[arg-type]  # requests takes parts of a second


class _Mode(BareMode):
    """A mode whose API and members answer, unless the world says otherwise."""

    world: ClassVar[_World]

    def view(self, cluster: Cluster, node: Node) -> View:
        self.world.ask()
        return View(NODES, ())

    @classmethod
    def member(cls) -> str:
        return "agent"

    def members(self, cluster: Cluster) -> tuple[str, ...]:
        return NODES

    @contextmanager
    def asking(self, cluster: Cluster, node: Node) -> Iterator[Callable[[], tuple[int, str | None]]]:
        def ask() -> tuple[int, str | None]:
            self.world.ask()
            return 2, "n1"

        yield ask

    def election(self) -> float:
        return 0.0


@contextmanager
def _world() -> Iterator[tuple[_World, Cluster]]:
    """Lend a cluster of two that does as its world says."""
    world = _World()

    def events(_: Request) -> Behaviour:
        world.ask()
        threading.Event().wait(TICK)  # as dockerd, which answers when the slice is over
        return world.docker or Response(200, b"")

    with ExitStack() as stack:
        server = stack.enter_context(Server(events))
        nodes = []
        for number, name in enumerate(NODES, 1):
            node = _Node(name, f"127.0.0.{number}")
            node.world, node.port = world, server.port
            nodes.append(node)
        mode = type("Mode", (_Mode,), {"world": world})()
        provider: Any = _Here()
        yield world, Cluster("contract", nodes, provider, mode, SystemClock())


def _troubles(world: _World, name: str) -> Mapping[str, Callable[[], AbstractContextManager[None]]]:
    gone = Unreachable("n1", "a question", "no answer")
    every: dict[str, dict[str, Any]] = {
        "no answer": {"error": gone},
        "a bug": {"error": ValueError("no such thing")},
    }
    if name == "host":
        every |= {
            "an agent that babbles": {"said": b"Traceback\n"},
            "endless lists": {"said": DEEP},
            "an agent that is silent": {"said": b""},
        }
    if name == "docker":
        every = {each.name: {"docker": each} for each in (ServerTrouble.RESET, ServerTrouble.RUBBISH, ServerTrouble.HANG)}
        every |= {
            "a status of 500": {"docker": Response(500)},
            "no event": {"docker": Response(200, b'"event"\n')},
            "lists without an end": {"docker": Response(200, b"[" * 100_000)},
        }
    return {what: lambda how=how: world.broken(**how) for what, how in every.items()}  # type: ignore[misc]  # a default binds it


@contextmanager
def _case(name: str) -> Iterator[Sight]:
    with _world() as (world, cluster):
        alone = name == "heartbeat"
        troubles = {} if alone else _troubles(world, name)
        yield Sight(OBSERVERS[name], cluster, () if alone else NODES, troubles, None if alone else world.hanging)


ROWS = ("docker", "heartbeat", "host", "membership", "placement")


@pytest.fixture(autouse=True)
def _brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let observers be as patient with nodes in memory as those are quick."""
    for module, name in (
        (watch, "WORD_SECONDS"),
        (watch, "STOP_SECONDS"),
        (docker_events, "SLICE_SECONDS"),
        (docker_events, "HUNG_SECONDS"),
    ):
        monkeypatch.setattr(module, name, 0.2)
    for name in ("SILENT_SECONDS", "START_SECONDS"):
        monkeypatch.setattr(node_truth, name, 0.4)


@pytest.fixture(params=ROWS)
def case(request: pytest.FixtureRequest) -> Iterator[Sight]:
    """Lend each observer with what it watches."""
    with _case(request.param) as sight:
        yield sight


@pytest.mark.parametrize("promise", OBSERVER.values(), ids=OBSERVER)
def test_observer(case: Sight, promise: Callable[[Sight], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Every observer keeps this promise."""
    if promise is OBSERVER["it_stops_while_nobody_answers"]:
        monkeypatch.setattr(watch, "STOP_SECONDS", 0.2)  # nobody would answer for longer either
    promise(case)


def test_every_observer_is_under_contract() -> None:
    """One that is new has a row."""
    assert {*ROWS} == {*OBSERVERS}


# -- the contract itself: it is shown observers that it must convict


class _Double:
    """An observer that keeps every promise, but for what is wrong with it."""

    name: ClassVar[str] = "double"
    wrong = ""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._let_go = threading.Event()  # when the test is over
        self._threads: list[threading.Thread] = []
        self._stops = 0
        self._failed = False

    def start(self, cluster: Cluster, recorder: Recorder) -> None:
        if self.wrong == "begins only with an answer":
            cluster.can(Viewing).view(cluster, cluster.nodes[0])
        for node in cluster.nodes:
            thread = threading.Thread(target=self._watch, args=(cluster, node, recorder), daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        self._stops += 1
        if self.wrong == "stops only once" and self._stops > 1:
            raise RuntimeError("stopped already")
        if self.wrong == "stops only what began" and not self._threads:
            raise RuntimeError("never began")
        if self.wrong != "goes on":
            self._stop.set()
        for thread in () if self.wrong == "goes on" else self._threads:
            thread.join(None if self.wrong == "waits for ever" else 0.2)

    def _watch(self, cluster: Cluster, node: Node, recorder: Recorder) -> None:
        while not self._stop.wait(0.02):
            try:
                if self.wrong != "asks nobody":
                    cluster.can(Viewing).view(cluster, node)
                if self._failed and self.wrong == "is blind for good":
                    raise Unreachable(node.name, "a question", "as before")
            except Exception as error:  # noqa: BLE001 - as ours do
                self._failed = True
                if not self._blind(node.name, recorder, error):
                    return
                continue
            if self._stop.is_set() and self.wrong == "is stuck for good":
                self._let_go.wait(20.0)
            if self.wrong == "of others, too":
                recorder.record(Watching(self.name, "n9", alive=True))
            if self.wrong != "says nothing":
                name = "triple" if self.wrong == "in another's name" else self.name
                about = "n9" if self.wrong == "of others" else node.name
                recorder.record(Watching(name, about, alive=True))

    def _blind(self, node: str, recorder: Recorder, error: Exception) -> bool:
        """Say what it does about a trouble; False where it dies of it."""
        if self.wrong == "sees what is not there":
            recorder.record(Watching(self.name, node, alive=True))
            return True
        recorder.record(Watching(self.name, node, alive=False, detail="" if self.wrong == "says not why" else str(error)))
        claims: dict[str, Any] = {
            "takes silence for nothing running": NodeSeen(node, NodeState.UP),
            "takes silence for an empty view": ApiSeen(node, View((), ())),
            "takes silence for no leader": MemberSeen(node, 0, None),
            "takes silence for no view, without a word": ApiSeen(node, None),
        }
        if self.wrong in claims:
            recorder.record(claims[self.wrong])
        return self.wrong != "dies of trouble"


HOWS: dict[str, tuple[str, str]] = {
    # what is wrong → which promise convicts it, and by what words
    "says nothing": ("it_says_that_it_watches", "no word of it at all"),
    "in another's name": ("it_says_that_it_watches", "in whose name"),
    "of others": ("it_says_that_it_watches", "no word of it at all"),
    "of others, too": ("it_says_that_it_watches", "it speaks of n1, n2; saw: n9"),
    "is blind for good": ("could_not_ask_is_never_no", "it sees each node again after no answer"),
    "asks nobody": ("it_stops_while_nobody_answers", "it asks again and again"),
    "is stuck for good": ("it_stops_while_nobody_answers", "ends with that call"),
    "sees what is not there": ("could_not_ask_is_never_no", "it could not ask each node"),
    "says not why": ("could_not_ask_is_never_no", "why it could not ask"),
    "takes silence for nothing running": ("could_not_ask_is_never_no", "it claims nothing"),
    "takes silence for an empty view": ("could_not_ask_is_never_no", "it claims nothing"),
    "takes silence for no leader": ("could_not_ask_is_never_no", "it claims nothing"),
    "takes silence for no view, without a word": ("could_not_ask_is_never_no", "it claims nothing"),
    "dies of trouble": ("could_not_ask_is_never_no", "says so again"),
    "begins only with an answer": ("it_may_begin_with_nobody_to_ask", "it begins to watch"),
    "stops only once": ("it_stops", "twice"),
    "stops only what began": ("it_stops", "never began"),
    "goes on": ("it_stops", "no thread of it goes on"),
    "waits for ever": ("it_stops_while_nobody_answers", "it goes on after"),
}


@contextmanager
def _doubled(how: str) -> Iterator[Sight]:
    with _world() as (world, cluster):
        kind = type("Double", (_Double,), {"wrong": how})
        troubles = {"no answer": lambda: world.broken(error=Unreachable("n1", "a question", "no answer"))}
        made: list[_Double] = []

        def make() -> _Double:
            made.append(kind())
            return made[-1]

        yield Sight(make, cluster, NODES, troubles, world.hanging)
        for each in made:
            each._stop.set()
            each._let_go.set()
        for thread in itertools.chain.from_iterable(each._threads for each in made):
            thread.join(5.0)


def _convict(how: str) -> ContractBroken:
    name, promised = HOWS[how]
    with _doubled(how) as sight, pytest.raises(ContractBroken, match=promised) as raised:
        OBSERVER[name](sight)
    return raised.value


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observer_contract, "WORD_SECONDS", 0.6)
    monkeypatch.setattr(observer_contract, "STOPPING_SECONDS", 0.6)


@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize("how", HOWS)
def test_an_observer_that_misbehaves_is_convicted(how: str) -> None:
    """By the promise that it breaks, for what is wrong with it."""
    _convict(how)


@pytest.mark.usefixtures("_impatient")
def test_every_line_of_the_contract_convicts_somebody() -> None:
    """Not every function alone: one that asks for three things needs three doubles."""
    assert missed(observer_contract, map(_convict, HOWS), "until", "_await") == []


@pytest.mark.parametrize("promise", OBSERVER.values(), ids=OBSERVER)
def test_a_double_that_behaves_is_acquitted(promise: Callable[[Sight], None]) -> None:
    """What convicts the others is what is wrong with them."""
    with _doubled("") as sight:
        promise(sight)


def test_every_promise_convicts_somebody() -> None:
    """A promise without a double that breaks it may be one that nothing breaks."""
    assert {name for name, _ in HOWS.values()} == {*OBSERVER}
