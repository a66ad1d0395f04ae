"""Every workload keeps its promises, and one that does not is convicted: the bodies are in `harness.testing.workload_contract`.

A workload that is registered has a row in `ROWS`, with a cluster of servers on loopback that can go wrong in every way; one without a row fails.
"""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from random import Random
from typing import Any, ClassVar

import pytest

from harness import registry
from harness.core.clock import SystemClock
from harness.core.protocols import Cluster, Node, Performing, Store
from harness.core.values import App, Call, CallStream, Outcome, Reply, Result
from harness.history.events import Answered, Invoked
from harness.modes.etcd import Etcd
from harness.testing import workload_contract
from harness.testing.bare import BareMode
from harness.testing.contracts import ContractBroken
from harness.testing.memory_node import MemoryNode
from harness.testing.servers import Behaviour, EtcdServer, RedisServer, Request, Response, Server, ServerTrouble, loopback
from harness.testing.workload_contract import WORKLOAD, Trouble, WorkloadCase
from harness.workloads.driver import Driver
from harness.workloads.http import Http
from harness.workloads.probe import Probe
from harness.workloads.redis import Redis
from harness.workloads.register import Register
from tests.contract.convicting import missed
from tests.unit.sessions import Led

DEADLINE = 0.4
_serial = itertools.count()


class _Here:
    """A provider whose network is this machine's."""

    name: ClassVar[str] = "here"

    def network(self, run_id: str) -> AbstractContextManager[None]:
        return nullcontext()


class _Members(Led):
    """A mode in which every node is a member that keeps values in an etcd."""

    def store(self, cluster: Cluster, node: Node, timeout: float) -> Store:
        return Etcd(node.address, timeout)


def _cluster(addresses: Sequence[str], mode: Any, *apps: App) -> Cluster:
    nodes = [MemoryNode(f"n{number}", address) for number, address in enumerate(addresses, 1)]
    provider: Any = _Here()
    return Cluster("contract", nodes, provider, mode, SystemClock(), apps)


class _Web(Server):
    """A node on which an instance answers, unless it is told otherwise."""

    def __init__(self, address: str, host: str, port: int = 0) -> None:
        self.trouble: Behaviour | None = None
        self.instance = "web@1"
        super().__init__(self._say, address, port)
        self._host = host

    def _say(self, _: Request) -> Behaviour:
        return self.trouble or Response(200, json.dumps({"instance": self.instance, "host": self._host}).encode())


DEEP = b"[" * 100_000
"""Deeper than a reader of JSON can go by itself."""
WEB_TROUBLES: Mapping[str, Behaviour] = {
    **{each.name: each for each in ServerTrouble},
    "a status of 503": Response(503, b'{"instance": "web@1"}'),
    "somebody else": Response(200, b'{"instance": "web@7", "host": "n1"}'),
    "no JSON": Response(200, b"<html>web@1</html>"),
    "no object": Response(200, b'["web@1"]'),
    "lists without an end": Response(200, DEEP),
}
ETCD_TROUBLES: Mapping[str, Behaviour] = {
    **{each.name: each for each in ServerTrouble},
    "a status of 503": Response(503, b"etcdserver: request timed out"),
    "an answer of no etcd": Response(200, b"{}"),
    "lists without an end": Response(200, DEEP),
}
REDIS_TROUBLES: Mapping[str, bytes | ServerTrouble] = {
    **{each.name: each for each in ServerTrouble},
    "an answer to something else": b":1\r\n",
    "a length that is none": b"$-9\r\n",
    "a length of digits that are none": b"$\xc2\xb2\r\n",
    "more than anybody asked for": b"$99999999999\r\n",
    "lists without an end": b"*1\r\n" * 1000,
    "a line without an end": b"+" + b"O" * 2_000_000,
    "two answers": b"+NO\r\n+OK\r\n",
}
REFUSED = Response(400, b"etcdserver: mvcc: no such thing")


@contextmanager
def _in_trouble(each: Sequence[Any], behaviour: Behaviour | bytes) -> Iterator[None]:
    for server in each:
        server.trouble = behaviour
    try:
        yield
    finally:
        for server in each:
            server.trouble = None


def _trouble(each: Sequence[Any], behaviour: Behaviour | bytes, *, taken: bool) -> Trouble:
    return Trouble(lambda: _in_trouble(each, behaviour), taken=taken)


@contextmanager
def _http() -> Iterator[WorkloadCase]:
    with ExitStack() as stack:
        first = stack.enter_context(_Web(loopback(), "n1"))
        every = [first, stack.enter_context(_Web(loopback(), "n2", first.port))]
        app = App("web", 1, port=first.port - 1)
        cluster = _cluster([server.address for server in every], BareMode(), app)
        yield WorkloadCase(
            Http("web", deadline=DEADLINE), cluster, {name: _trouble(every, how, taken=False) for name, how in WEB_TROUBLES.items()}
        )


@contextmanager
def _register() -> Iterator[WorkloadCase]:
    store: dict[str, str] = {}
    with ExitStack() as stack:
        every = [stack.enter_context(EtcdServer(loopback(), 2379, store)) for _ in range(3)]
        troubles = {name: _trouble(every, how, taken=True) for name, how in ETCD_TROUBLES.items()}
        cluster = _cluster([server.address for server in every], _Members())
        yield WorkloadCase(Register(deadline=DEADLINE), cluster, {**troubles, "refused": _trouble(every, REFUSED, taken=False)})


@contextmanager
def _redis() -> Iterator[WorkloadCase]:
    with ExitStack() as stack:
        first = stack.enter_context(RedisServer(loopback()))
        every = [first, stack.enter_context(RedisServer(loopback(), first.port, first.store))]
        app = App("cache", 1, port=first.port - 1)
        cluster = _cluster([server.address for server in every], BareMode(), app)
        troubles = {name: _trouble(every, how, taken=True) for name, how in REDIS_TROUBLES.items()}
        refused = _trouble(every, b"-LOADING Redis is loading the dataset in memory\r\n", taken=False)
        yield WorkloadCase(Redis("cache", deadline=DEADLINE), cluster, {**troubles, "refused": refused})


@contextmanager
def _probe() -> Iterator[WorkloadCase]:
    with _Web(loopback(), "n1") as server:
        probe = Probe("front", "n1", port=server.port, every=0.1, deadline=DEADLINE)
        troubles = {name: how for name, how in WEB_TROUBLES.items() if isinstance(how, ServerTrouble) or how.status != 200}
        yield WorkloadCase(
            probe,
            _cluster([server.address], BareMode()),
            {name: _trouble([server], how, taken=False) for name, how in troubles.items()},
        )


def _answering(status: int, said: bytes) -> Callable[[Sequence[str], bytes], Result]:
    return lambda argv, _: Result(tuple(argv), status, said, b"")


@contextmanager
def _programs(node: MemoryNode, **changed: Any) -> Iterator[None]:
    before = {name: getattr(node, name) for name in changed}
    for name, value in changed.items():
        setattr(node, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(node, name, value)


@contextmanager
def _probe_of_a_command(**more: Any) -> Iterator[WorkloadCase]:
    cluster = _cluster([loopback()], BareMode())
    (node,) = cluster.nodes
    assert isinstance(node, MemoryNode)
    node.programs["sh"] = _answering(0, b"0.5\n")
    troubles: dict[str, dict[str, Any]] = {
        "a no": {"programs": {"sh": _answering(1, b"no")}},
        "another status": {"programs": {"sh": _answering(127, b"")}},
        "a node that is off": {"on": False},
        "one that never ends": {"hanging": {"sh"}},
    }
    troubles |= (
        {"no number": {"programs": {"sh": _answering(0, b"many")}}, "NaN": {"programs": {"sh": _answering(0, b"nan")}}} if more else {}
    )
    yield WorkloadCase(
        Probe("load", "n1", "./load", every=0.1, deadline=DEADLINE, **more),
        cluster,
        {name: Trouble(partial(_programs, node, **how)) for name, how in troubles.items()},
    )


ROWS: Mapping[str, Callable[[], AbstractContextManager[WorkloadCase]]] = {
    "http": _http,
    "probe": _probe,
    "probe, a command": _probe_of_a_command,
    "probe, a value": lambda: _probe_of_a_command(between=(0.0, 1.0)),
    "redis": _redis,
    "register": _register,
}
"""By the workload's name, with more where one has several ways to call."""


@pytest.fixture(params=ROWS)
def case(request: pytest.FixtureRequest) -> Iterator[WorkloadCase]:
    """Lend each workload with what serves it."""
    with ROWS[request.param]() as served:
        assert served.workload.name == request.param.partition(",")[0]
        yield served


@pytest.mark.parametrize("promise", WORKLOAD.values(), ids=WORKLOAD)
def test_workload(case: WorkloadCase, promise: Callable[[WorkloadCase], None]) -> None:
    """Every workload keeps this promise."""
    promise(case)


def test_every_workload_is_under_contract() -> None:
    """One that is registered has a row; those that make their calls themselves have a contract of their own."""
    driven = {name for name, kind in registry.known().workloads.items() if not issubclass(kind, Performing)}
    assert {row.partition(",")[0] for row in ROWS} == driven, "give each a row in ROWS, with what serves it and how that can fail"


# -- the contract itself: it is shown workloads that it must convict


class _World:
    """What a double calls: it answers, unless it is in trouble."""

    def __init__(self) -> None:
        self.broken = False
        self.clients = 0

    @contextmanager
    def trouble(self) -> Iterator[None]:
        self.broken = True
        try:
            yield
        finally:
            self.broken = False


@dataclass
class _Double:
    """A workload that keeps every promise, but for what a test sets in its place."""

    world: _World = field(default_factory=_World, compare=False)
    rate: float = 10.0
    deadline: float = 0.1
    used: int = 0
    replaced: dict[str, Callable[..., Any]] = field(default_factory=dict, compare=False)

    name: ClassVar[str] = "double"

    def calls(self, rng: Random) -> Iterator[Call]:
        if "calls" in self.replaced:
            yield from self.replaced["calls"](rng)
        for number in itertools.count():
            yield Call("write", f"k{number}", f"{rng.random()}") if number % 3 else Call("read", f"k{number - 1}")

    def connect(self, cluster: Cluster) -> Any:
        if "connect" in self.replaced:
            return self.replaced["connect"](self)
        return _Client(self)

    def final(self, cluster: Cluster) -> Any:
        return self.replaced["final"]() if "final" in self.replaced else [Call("read", "k1")]


class _Client:
    def __init__(self, workload: _Double) -> None:
        self.workload = workload
        self.world = workload.world
        self.world.clients += 1
        self.number = self.world.clients
        self.kept: dict[str, str | None] = {}
        self.closed = 0
        self.failed = False

    def invoke(self, call: Call) -> Any:
        replaced = self.workload.replaced.get("invoke")
        return self.well(call) if replaced is None else replaced(self, call)

    def well(self, call: Call) -> Reply:
        if self.world.broken:
            self.failed = True
            return Reply(Outcome.UNKNOWN if call.function == "write" else Outcome.FAIL, error="nobody answers")
        if call.function == "write":
            self.kept[call.key] = call.value
        return Reply(Outcome.OK, value=self.kept.get(call.key), by="n1")

    def close(self) -> None:
        self.closed += 1
        if "close" in self.workload.replaced:
            self.workload.replaced["close"](self)


def _hangs(client: _Client, call: Call) -> Reply:
    if client.world.broken:
        threading.Event().wait(6.0)
    return client.well(call)


def _raising(error: Exception) -> Any:
    raise error


def _in_need(other: Callable[[_Client, Call], Any]) -> Callable[[_Client, Call], Any]:
    """Answer otherwise in trouble only."""
    return lambda client, call: other(client, call) if client.world.broken else client.well(call)


def _counted(client: _Client, call: Call) -> Reply:
    client.workload.used += 1
    return client.well(call)


def _written_twice(_: Random) -> Iterator[Call]:
    yield from (Call("write", "k", "v") for _ in range(2))


def _twice_closed(client: _Client) -> None:
    if client.closed > 1:
        raise OSError("closed already")


def _at_last() -> Iterator[Call]:
    return (Call("read", str(number)) for number in itertools.count())


def _first_alone(client: _Client, call: Call) -> Reply:
    return client.well(call) if client.number == 1 else Reply(Outcome.FAIL, error="somebody is served already")


def _finite(*calls: Call) -> type[_Double]:
    class Finite(_Double):
        def calls(self, rng: Random) -> Iterator[Call]:
            return iter(calls)

    return Finite


def _of(stream: CallStream, *calls: Call, by: str | None = "n1") -> _Double:
    """Return a double that says what its calls are of, and makes these first."""

    class Of(_Double):
        app = called = "web"

    Of.stream = stream  # type: ignore[attr-defined]  # as a class of others says it
    return Of(replaced={"calls": lambda _: calls, "invoke": lambda *_: Reply(Outcome.OK, by=by)})


OK = Reply(Outcome.OK)
HOWS: dict[str, tuple[Any, str, str]] = {
    # what is wrong → the double, which promise convicts it, and by what words
    "no calls a second": (_Double(rate=0.0), "its_rate_is_one", "more than 0"),
    "endlessly many": (_Double(rate=float("inf")), "its_rate_is_one", "more than 0"),
    "no number of calls": (_Double(rate=float("nan")), "its_rate_is_one", "more than 0"),
    "an end": (_finite(Call("read", "k"))(), "calls_have_no_end", "how many calls"),
    "no key": (_Double(replaced={"calls": lambda _: [Call("read", "")]}), "calls_have_no_end", "a function and a key"),
    "no call": (_Double(replaced={"calls": lambda _: ["read k"]}), "calls_have_no_end", "a function and a key"),
    "writes nothing": (_Double(replaced={"calls": lambda _: [Call("write", "k")]}), "calls_have_no_end", "says what it writes"),
    "another app's": (_of(CallStream.APP, Call("get", "api@1")), "its_calls_are_of_what_it_says", "an instance of web"),
    "no instance's": (_of(CallStream.APP, Call("get", "web")), "its_calls_are_of_what_it_says", "an instance of web"),
    "another app's register": (_of(CallStream.STORE, Call("read", "api@1/0")), "its_calls_are_of_what_it_says", "a key of web"),
    "no app's register": (_of(CallStream.STORE, Call("knock", "web@1/0")), "its_calls_are_of_what_it_says", "a read or a write"),
    "no register's": (_of(CallStream.QUORUM, Call("knock", "k")), "its_calls_are_of_what_it_says", "a read or a write"),
    "another question's": (_of(CallStream.PROBE, Call("ask", "queue")), "its_calls_are_of_what_it_says", "whom a call is of"),
    "an app's, answered by nobody": (_of(CallStream.APP, Call("get", "web@1"), by=None), "good_calls_are_answered", "by a node"),
    "by chance": (_Double(replaced={"calls": lambda _: [Call("read", f"k{next(_serial)}")]}), "a_seed_decides_the_calls", "the same seed"),
    "writes the same twice": (_Double(replaced={"calls": _written_twice}), "no_two_writes_are_the_same", "written twice"),
    "no client": (
        _Double(replaced={"connect": lambda _: _raising(OSError("no way"))}),
        "good_calls_are_answered",
        "a client; saw: OSError",
    ),
    "answers badly": (
        _Double(replaced={"invoke": lambda *_: Reply(Outcome.FAIL, error="no")}),
        "good_calls_are_answered",
        "is answered well",
    ),
    "answered by nobody's node": (
        _Double(replaced={"invoke": lambda *_: Reply(Outcome.OK, by="n9")}),
        "good_calls_are_answered",
        "by a node",
    ),
    "forgets": (_Double(replaced={"invoke": lambda *_: OK}, world=_World()), "good_calls_are_answered", "reads"),
    "no reply": (_Double(replaced={"invoke": lambda *_: None}), "good_calls_are_answered", "a Reply to"),
    "no outcome": (_Double(replaced={"invoke": lambda *_: Reply("ok")}), "good_calls_are_answered", "the outcome of"),  # type: ignore[arg-type]
    "raises": (_Double(replaced={"invoke": _in_need(lambda *_: _raising(OSError("gone")))}), "a_trouble_is_no_answer", "OSError: gone"),
    "takes trouble for an answer": (_Double(replaced={"invoke": _in_need(lambda *_: OK)}), "a_trouble_is_no_answer", "not answered well"),
    "says not why": (
        _Double(replaced={"invoke": _in_need(lambda *_: Reply(Outcome.FAIL))}),
        "a_trouble_is_no_answer",
        "says what went wrong",
    ),
    "is certain": (
        _Double(replaced={"invoke": _in_need(lambda *_: Reply(Outcome.FAIL, error="no"))}),
        "a_trouble_is_no_answer",
        "which may have taken it",
    ),
    "hangs": (_Double(replaced={"invoke": _hangs}), "a_trouble_is_no_answer", "it goes on"),
    "is lost for good": (
        _Double(replaced={"invoke": lambda c, call: Reply(Outcome.FAIL, error="gone") if c.failed else c.well(call)}),
        "calls_go_on_after_a_trouble",
        "an answer again after",
    ),
    "closes once": (_Double(replaced={"close": _twice_closed}), "a_client_is_closed_twice", "as often as one likes"),
    "serves its first client alone": (_Double(replaced={"invoke": _first_alone}), "a_client_is_closed_twice", "answered by a new client"),
    "writes at last": (_Double(replaced={"final": lambda: [Call("write", "k", "v")]}), "the_last_calls_change_nothing", "only look"),
    "no last call": (_Double(replaced={"final": _at_last}), "the_last_calls_change_nothing", "a sequence"),
    "ends in the middle": (
        _finite(Call("write", "k", "1"), Call("write", "k", "2"))(),
        "every_call_is_in_the_history_with_its_end",
        "an answer to call 3",
    ),
    "counts itself": (_Double(replaced={"invoke": _counted}), "a_workload_is_changed_by_nobody", "after it was used"),
}


def _served(double: Any) -> WorkloadCase:
    return WorkloadCase(double, _cluster(["127.0.0.1"], BareMode()), {"silence": Trouble(double.world.trouble, taken=True)})


class _Twice(Driver):
    """Tells of two calls where it makes one."""

    def _begin(self, call: Call) -> int | None:
        op = super()._begin(call)
        assert op is not None
        self._recorder.record(Invoked(op + 1000, self.workload.name, call))
        return op


class _Otherwise(Driver):
    """Tells the answer to a call as that to the next one."""

    def _end(self, op: int, reply: Reply) -> None:
        super()._end(op + 1, reply)


class _Afterwards(Driver):
    """Tells of a call when it was answered."""

    def _make(self, client: Any, call: Call) -> Any:
        client = client or self.workload.connect(self._cluster)
        op, reply = self._ops.next(), client.invoke(call)
        self._recorder.record(Answered(op, self.workload.name, reply.outcome, reply.value, reply.by, reply.error))
        self._recorder.record(Invoked(op, self.workload.name, call))
        return client


class _Slow(Driver):
    """Makes a call in every other slot."""

    def start(self) -> None:
        workload: Any = self.workload
        self.workload = replace(workload, rate=workload.rate / 2)
        super().start()


class _Hasty(Driver):
    """Waits for no slot."""

    def start(self) -> None:
        workload: Any = self.workload
        self.workload = replace(workload, rate=float("inf"))
        super().start()


DRIVERS: dict[str, tuple[type[Driver], str]] = {
    # what is wrong with who calls → the driver, and by what words it is convicted
    "tells of two calls": (_Twice, "how many calls were made"),
    "answers another call": (_Otherwise, "which calls have an end"),
    "tells of a call when it is over": (_Afterwards, "told of before it is made"),
    "skips slots": (_Slow, "the slots in which calls were begun"),
    "waits for no slot": (_Hasty, "the driver to wait for the slot"),
}


def _convict(how: str) -> ContractBroken:
    double, name, promised = HOWS[how]
    double.world.clients = 0
    with pytest.raises(ContractBroken, match=promised) as raised:
        WORKLOAD[name](_served(double))
    return raised.value


def _driven(how: str) -> ContractBroken:
    kind, promised = DRIVERS[how]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(workload_contract, "Driver", kind)
        with pytest.raises(ContractBroken, match=promised) as raised:
            WORKLOAD["every_call_is_in_the_history_with_its_end"](_served(_Double()))
    return raised.value


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workload_contract, "ENDING_SECONDS", 0.3)
    monkeypatch.setattr(workload_contract, "GRACE_SECONDS", 0.3)


@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize("how", HOWS)
def test_a_workload_that_misbehaves_is_convicted(how: str) -> None:
    """By the promise that it breaks, for what is wrong with it."""
    _convict(how)


@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize("how", DRIVERS)
def test_who_drives_a_workload_badly_is_convicted(how: str) -> None:
    """Of whatever workload: what a history says of calls is the driver's word."""
    _driven(how)


@pytest.mark.usefixtures("_impatient")
def test_every_line_of_the_contract_convicts_somebody() -> None:
    """Not every function alone: one that asks for three things needs three doubles."""
    assert missed(workload_contract, [*map(_convict, HOWS), *map(_driven, DRIVERS)], "_await") == []


@pytest.mark.parametrize("promise", WORKLOAD.values(), ids=WORKLOAD)
def test_a_double_that_behaves_is_acquitted(promise: Callable[[WorkloadCase], None]) -> None:
    """What convicts the others is what is wrong with them."""
    promise(_served(_Double()))


def test_every_promise_convicts_somebody() -> None:
    """A promise without a double that breaks it may be one that nothing breaks."""
    assert {name for _, name, _ in HOWS.values()} == {*WORKLOAD}
