"""Workloads and their driver: what is called, what counts as an answer, and that no call is lost from the history."""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
import queue
import socket
import threading
from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from harness.core.clock import Clock, SystemClock, wait_until
from harness.core.errors import HarnessError, Unsupported
from harness.core.parameters import build
from harness.core.protocols import Client, Cluster, Store
from harness.core.values import App, Call, Definition, Json, Outcome, Reply
from harness.history.events import LONGEST_LINE, Answered, History, Invoked, Note
from harness.history.recorder import Recorder
from harness.modes.etcd import Etcd
from harness.testing import servers
from harness.testing.bare import BareMode
from harness.testing.fake_clock import FakeClock
from harness.testing.memory_node import MemoryNode
from harness.testing.servers import EtcdServer, Request, Server, ServerTrouble
from harness.web import LARGEST, NoAnswer, Site
from harness.workloads import WORKLOADS
from harness.workloads.driver import LONGEST_SAID, Driver, Ops
from harness.workloads.http import LONGEST_ANSWER, LONGEST_HOST, Http
from harness.workloads.probe import Probe, ProbeClient
from harness.workloads.register import PREFIX, Register

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

PATIENT = 10.0


def seeded(seed: int) -> Random:
    """Return a source of choices that can be repeated."""
    return Random(seed)  # noqa: S311 - not a secret


def eventually(condition: Callable[[], bool], awaited: str) -> None:
    """Wait for what other threads do."""
    wait_until(condition, awaited=awaited, seconds=PATIENT, clock=SystemClock(), every=0.002)


class Here:
    """A provider whose network is this machine's."""

    name: ClassVar[str] = "here"

    def network(self, run_id: str) -> contextlib.AbstractContextManager[None]:
        """Nothing to enter."""
        return contextlib.nullcontext()


class QuorumMode(BareMode):
    """A mode in which every node is a member."""

    @classmethod
    def member(cls) -> str:
        """The agent."""
        return "agent"

    def members(self, cluster: Cluster) -> tuple[str, ...]:
        """All nodes."""
        return tuple(node.name for node in cluster.nodes)

    def asking(self, cluster: Cluster, node: Any) -> contextlib.AbstractContextManager[Callable[[], tuple[int, str | None]]]:
        """No leader."""
        return contextlib.nullcontext(lambda: (0, None))

    def election(self) -> float:
        """No time at all."""
        return 0.0

    def store(self, cluster: Cluster, node: Any, timeout: float) -> Store:
        """Keys in etcd."""
        return Etcd(node.address, timeout)


class PortsMode(BareMode):
    """A mode that knows of instances on some nodes only."""

    known: ClassVar[dict[tuple[str, str], int]] = {}

    def port(self, cluster: Cluster, app: App, instance: str, node: Any) -> int | None:
        """As set."""
        return self.known.get((instance, node.name))


def cluster_of(addresses: Sequence[str], *apps: App, mode: Any = None, clock: Clock | None = None) -> Cluster:
    """Return a cluster of nodes n1, n2 … at these addresses."""
    nodes = [MemoryNode(f"n{number}", address) for number, address in enumerate(addresses, 1)]
    provider: Any = Here()
    return Cluster("run", nodes, provider, mode or BareMode(), clock or SystemClock(), apps)


# ---------------------------------------------------------------- http


def web(instance: str, host: str) -> Callable[[Request], servers.Response]:
    """Answer as the app does."""
    return lambda _: servers.Response(200, json.dumps({"instance": instance, "host": host}).encode())


@pytest.fixture
def two() -> Iterator[tuple[Server, Server, Cluster, App]]:
    """Two nodes of which each has something on the port of web@1, misbehaving until told otherwise."""
    first, second = servers.loopback(), servers.loopback()
    with Server(lambda _: ServerTrouble.CLOSE, first) as one, Server(lambda _: ServerTrouble.CLOSE, second, one.port) as other:
        app = App("web", 2, port=one.port - 1)
        yield one, other, cluster_of([first, second], app), app


def asked(workload: Http, cluster: Cluster, key: str = "web@1") -> Reply:
    """Make one call with a client of its own."""
    client = workload.connect(cluster)
    try:
        return client.invoke(Call("get", key))
    finally:
        client.close()
        client.close()


def test_http_calls_each_instance_in_turn() -> None:
    """The number of instances comes from the cluster's app."""
    workload = Http("web").fitted(cluster_of(["127.0.0.1"], App("web", 3)))
    assert workload is not None
    assert [call.key for call in itertools.islice(workload.calls(seeded(1)), 5)] == ["web@1", "web@2", "web@3", "web@1", "web@2"]


def test_http_calls_no_more_instances_than_asked_for() -> None:
    """`instances` narrows, and never invents."""
    cluster = cluster_of(["127.0.0.1"], App("web", 3))
    assert Http("web", instances=2).fitted(cluster) == Http("web", instances=2)
    assert Http("web", instances=9).fitted(cluster) == Http("web", instances=3)


def test_nobody_calls_an_app_of_which_nothing_is_to_run(drive: Callable[..., Driven]) -> None:
    """Before it is deployed, and after it was removed: its callers begin, and end, with it."""
    cluster = cluster_of(["127.0.0.1"], App("web", 0))
    assert Http("web").fitted(cluster) is None
    driven = drive(Http("web", rate=10), cluster)
    driven.slots(3)
    cluster.apps = (App("web", 1),)
    driven.driver.refit()
    driven.slots(1)
    driven.answered(1)
    cluster.apps = (App("web", 0),)
    driven.driver.refit()
    driven.slots(3)
    times = [round(entry.time, 3) for entry, _ in driven.history().each(Invoked)]
    assert times == [0.4]


def test_http_of_an_unknown_app_is_an_error_that_names_the_apps() -> None:
    """The message says what there is."""
    with pytest.raises(HarnessError, match="apps are web"):
        Http("wbe").fitted(cluster_of(["127.0.0.1"], App("web", 1)))


@pytest.mark.parametrize(
    "behaviour",
    [
        servers.Response(500, b'{"instance": "web@1", "host": "n1"}'),
        servers.Response(200, b'{"instance": "web@2", "host": "n1"}'),
        servers.Response(200, b"<html>"),
        servers.Response(200, b"[]"),
        servers.Response(200, json.dumps({"instance": "web@1", "host": "n1", "x": [[]] * LONGEST_ANSWER}).encode()),
        ServerTrouble.HANG,
        ServerTrouble.RESET,
        ServerTrouble.TORN,
        ServerTrouble.TRICKLE,
        ServerTrouble.RUBBISH,
    ],
    ids=str,
)
def test_http_goes_on_to_the_next_node_unless_the_very_instance_answered(
    two: tuple[Server, Server, Cluster, App], behaviour: servers.Behaviour
) -> None:
    """Whatever one node does, the other has its turn within the deadline."""
    one, other, cluster, _ = two
    one.behave = lambda _: behaviour
    other.behave = web("web@1", "n2")
    assert asked(Http("web", deadline=PATIENT), cluster) == Reply(Outcome.OK, value="n2", by="n2")


def test_an_answer_of_which_the_status_alone_counts_may_be_of_any_length(two: tuple[Server, Server, Cluster, App]) -> None:
    """Nothing of it is kept."""
    one, _, cluster, _ = two
    one.behave = lambda _: servers.Response(200, bytes(LARGEST + 1))
    probe = ProbeClient(Probe("up", "n1", port=one.port, deadline=PATIENT), cluster.nodes[0])
    assert probe.invoke(Call("ask", "up")) == Reply(Outcome.OK, by="n1")
    probe.close()
    site = Site(one.address, one.port)
    with pytest.raises(NoAnswer, match=rf"longer than {LARGEST} bytes$"):
        site.exchange("GET", "/", seconds=PATIENT)
    site.close()


@pytest.mark.parametrize(("status", "told", "outcome"), [(200, False, Outcome.OK), (503, False, Outcome.FAIL), (200, True, Outcome.FAIL)])
def test_http_takes_any_good_answer_on_a_port_that_one_instance_alone_has(
    two: tuple[Server, Server, Cluster, App], status: int, told: bool, outcome: Outcome
) -> None:
    """An app of its user's own knows nothing of instances, but where its definition tells it."""
    one, _, cluster, _ = two
    own = Definition("fleet", "web@.service", "", "web@%.service", "web-%", port=str(one.port), told=told)
    cluster.apps = (App("web", 2, native=own),)
    one.behave = lambda _: servers.Response(status, b"<html>welcome</html>")
    reply = asked(Http("web"), cluster)
    assert reply.outcome is outcome
    assert (reply.by, reply.value) == (("n1", None) if outcome is Outcome.OK else (None, None))


def test_http_without_any_good_answer_is_a_fail_that_says_what_each_node_did(two: tuple[Server, Server, Cluster, App]) -> None:
    """A GET changes nothing, so nothing is unknown."""
    one, other, cluster, _ = two
    one.behave = lambda _: servers.Response(503)
    other.behave = lambda _: ServerTrouble.RESET
    reply = asked(Http("web", deadline=PATIENT), cluster)
    assert reply.outcome is Outcome.FAIL
    assert reply.error == "n1: status 503; n2: Connection reset by peer"


@pytest.mark.parametrize(
    ("number", "ours"),
    [
        *((each, True) for each in (errno.EMFILE, errno.ENOBUFS, errno.EADDRNOTAVAIL, errno.ENETUNREACH, errno.EPERM, socket.EAI_AGAIN)),
        *((each, False) for each in (errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ETIMEDOUT)),
    ],
)
def test_a_call_that_this_machine_could_not_make_is_ours(
    monkeypatch: pytest.MonkeyPatch, members: Members, number: int, *, ours: bool
) -> None:
    """Whoever is called was not asked, whatever asks: that is no answer of theirs."""

    def refuse(*_args: object, **_more: object) -> None:
        raise socket.gaierror(number, "?") if number < 0 else OSError(number, "?")

    monkeypatch.setattr(socket, "create_connection", refuse)
    here = cluster_of(["127.0.0.1"], App("web", 1, port=1))
    assert asked(Http("web"), here).ours is ours
    client = Register().connect(members.cluster)
    assert client.invoke(Call("write", "key", "1")).ours is ours
    client.close()
    probe = ProbeClient(Probe("up", "n1", port=1), here.nodes[0])
    assert probe.invoke(Call("ask", "up")).outcome is (Outcome.UNKNOWN if ours else Outcome.FAIL)
    probe.close()


def test_http_asks_first_where_the_instance_last_answered_over_the_kept_connection(two: tuple[Server, Server, Cluster, App]) -> None:
    """After one search the good path costs one request on one connection."""
    one, other, cluster, _ = two
    other.behave = web("web@1", "n2")
    client = Http("web", deadline=PATIENT).connect(cluster)
    for _ in range(4):
        assert client.invoke(Call("get", "web@1")).by == "n2"
    client.close()
    assert (len(one.requests), len(other.requests), other.connections) == (1, 4, 1)


def test_http_finds_an_instance_that_moved_back(two: tuple[Server, Server, Cluster, App]) -> None:
    """A node that answered before is not asked for ever."""
    one, other, cluster, _ = two
    other.behave = web("web@1", "n2")
    client = Http("web", deadline=PATIENT).connect(cluster)
    assert client.invoke(Call("get", "web@1")).by == "n2"
    one.behave, other.behave = web("web@1", "n1"), lambda _: ServerTrouble.CLOSE
    assert client.invoke(Call("get", "web@1")).by == "n1"
    client.close()


def test_http_out_of_time_begins_the_next_call_with_whoever_was_not_asked(two: tuple[Server, Server, Cluster, App]) -> None:
    """Dead nodes in front must not hide the living one for ever."""
    one, other, cluster, _ = two
    one.behave, other.behave = (lambda _: ServerTrouble.HANG), web("web@1", "n2")
    client = Http("web", deadline=0.25).connect(cluster)
    first = client.invoke(Call("get", "web@1"))
    assert (first.outcome, first.error) == (Outcome.FAIL, "n1: no whole answer within 0.25 s; no time left for n2")
    assert client.invoke(Call("get", "web@1")).by == "n2"
    client.close()


def test_http_asks_on_the_port_that_the_mode_names_and_only_where_it_does(two: tuple[Server, Server, Cluster, App]) -> None:
    """Where the orchestrator chose the port, only it knows; a node without one is not asked."""
    one, other, cluster, _ = two
    mode = PortsMode()
    cluster.mode = mode
    other.behave = web("web@1", "second")
    free = App("web", 2, port=1, conflicts=False)
    cluster.apps = (free,)
    mode.known[("web@1", "n2")] = other.port
    reply = asked(Http("web"), cluster)
    assert (reply.outcome, reply.by) == (Outcome.OK, "n2")
    assert one.requests == []
    mode.known.clear()
    assert asked(Http("web"), cluster).error == "n1: it is not there; n2: it is not there"


# ---------------------------------------------------------------- register


@dataclass
class Members:
    """Three members with one store."""

    cluster: Cluster
    servers: list[EtcdServer]
    store: dict[str, str]


@pytest.fixture
def members() -> Iterator[Members]:
    """Three members that work, on the port on which etcd is asked."""
    store: dict[str, str] = {}
    with contextlib.ExitStack() as stack:
        each = [stack.enter_context(EtcdServer(servers.loopback(), 2379, store)) for _ in range(3)]
        yield Members(cluster_of([server.address for server in each], mode=QuorumMode()), each, store)


def test_register_writes_new_keys_and_reads_only_what_was_written() -> None:
    """About 70 % write, each key once, each value once; the seed decides all of it."""
    calls = list(itertools.islice(Register().calls(seeded(7)), 1000))
    assert calls == list(itertools.islice(Register().calls(seeded(7)), 1000))
    written: list[str] = []
    for call in calls:
        if call.function == "write":
            written.append(call.key)
        else:
            assert call.key in written
            assert call.value is None
    assert written == [f"{PREFIX}{number}" for number in range(len(written))]
    assert len({call.value for call in calls if call.value}) == len(written)
    assert 600 < len(written) < 800


def test_register_calls_members_in_rotation(members: Members) -> None:
    """Writes go round, and a key is read at another member than the one that took its write."""
    client = Register().connect(members.cluster)
    writes = [client.invoke(Call("write", f"{PREFIX}{number}", "x")).by for number in range(4)]
    reads = [client.invoke(Call("read", f"{PREFIX}{number}")).by for number in range(4)]
    client.close()
    assert writes == ["n1", "n2", "n3", "n1"]
    assert reads == ["n2", "n3", "n1", "n2"]


def test_register_reads_back_what_was_written_and_none_for_what_is_not_there(members: Members) -> None:
    """An absent key is an answer."""
    client = Register().connect(members.cluster)
    assert client.invoke(Call("write", f"{PREFIX}0", "v")) == Reply(Outcome.OK, "v", "n1")
    assert client.invoke(Call("read", f"{PREFIX}0")) == Reply(Outcome.OK, "v", "n2")
    assert client.invoke(Call("read", f"{PREFIX}1")) == Reply(Outcome.OK, None, "n3")
    client.close()


def test_register_write_without_a_good_answer_is_unknown_and_may_be_there(members: Members) -> None:
    """The member committed, and could not say so."""
    members.servers[0].trouble, members.servers[0].commits = servers.Response(503, b"timed out"), True
    client = Register().connect(members.cluster)
    reply = client.invoke(Call("write", f"{PREFIX}0", "v"))
    client.close()
    assert (reply.outcome, reply.by) == (Outcome.UNKNOWN, "n1")
    assert members.store == {f"{PREFIX}0": "v"}


def test_register_write_that_nobody_took_is_a_fail_and_goes_nowhere_else(members: Members) -> None:
    """One attempt a call: what a cut-off member says is to be seen."""
    members.servers[0].close()
    client = Register().connect(members.cluster)
    reply = client.invoke(Call("write", f"{PREFIX}0", "v"))
    client.close()
    assert (reply.outcome, reply.by) == (Outcome.FAIL, "n1")
    assert "Connection refused" in reply.error
    assert members.store == {}


def test_register_read_without_an_answer_is_a_fail(members: Members) -> None:
    """A read changes nothing."""
    members.servers[1].trouble = ServerTrouble.RESET
    client = Register().connect(members.cluster)
    assert client.invoke(Call("read", f"{PREFIX}0")).outcome is Outcome.FAIL
    client.close()


def test_register_needs_a_quorum() -> None:
    """A mode without members cannot carry it."""
    with pytest.raises(Unsupported, match="Registers"):
        Register().connect(cluster_of(["127.0.0.1"]))


def test_register_needs_a_quorum_that_keeps_values_for_its_users() -> None:
    """Members alone, of whatever, are no place to write to."""

    class Closed(BareMode):
        members, asking, election = QuorumMode.members, QuorumMode.asking, QuorumMode.election

    with pytest.raises(Unsupported, match="bare mode offers Registers"):
        Register().connect(cluster_of(["127.0.0.1"], mode=Closed()))


def test_workloads_are_built_from_what_a_scenario_says() -> None:
    """Rates and durations in words, and nothing that could never be answered."""
    assert build(Http, {"app": "web", "rate": "20/s", "deadline": "500ms"}) == Http("web", 20.0, 0.5)
    assert build(Register, {"rate": 5}) == Register(5.0, 2.0)
    bad: list[tuple[type, dict[str, Json]]] = [
        (Http, {"app": "web", "deadline": 0}),
        (Http, {"app": "web", "instances": -1}),
        (Register, {"deadline": "0s"}),
    ]
    for cls, given in bad:
        with pytest.raises(ValueError, match=r"expected|greater than 0"):
            build(cls, given)


def test_workloads_are_known_by_their_names() -> None:
    """As scenario files call them."""
    assert {*WORKLOADS} >= {"command", "http", "probe", "redis", "register"}
    assert all(cls.name == name for name, cls in WORKLOADS.items())


# ---------------------------------------------------------------- the driver


@dataclass
class Calls:
    """A workload whose client does what the test says, and hangs while told to."""

    name: ClassVar[str] = "calls"
    rate: float = 10.0
    deadline: float = 0.1
    behave: Callable[[Call], Reply] = lambda _: Reply(Outcome.OK)
    last: Sequence[Call] = ()
    seen: queue.Queue[Call] = field(default_factory=queue.Queue)
    clients: list[ScriptedClient] = field(default_factory=list)

    def calls(self, rng: Random) -> Iterator[Call]:
        """Write keys 0, 1, 2 …."""
        return (Call("write", str(number), "v") for number in itertools.count())

    def connect(self, cluster: Cluster) -> Client:
        """Return a client that asks `behave`."""
        self.clients.append(ScriptedClient(self))
        return self.clients[-1]

    def final(self, cluster: Cluster) -> Sequence[Call]:
        """As told."""
        return self.last


class ScriptedClient:
    """One client of such a workload."""

    def __init__(self, workload: Calls) -> None:
        self.workload = workload
        self.closed = 0

    def invoke(self, call: Call) -> Reply:
        """Do as the test says."""
        self.workload.seen.put(call)
        return self.workload.behave(call)

    def close(self) -> None:
        """Count."""
        self.closed += 1


@dataclass
class Driven:
    """A driver on a clock that is moved by hand."""

    clock: FakeClock
    recorder: Recorder
    driver: Driver

    def slots(self, count: int) -> None:
        """Let so many slots of the rate go by, each handed out before the next."""
        for _ in range(count):
            self._scheduler_waits()
            self.clock.advance((self.clock.next_due() or 0.0) - self.clock.now())
        self._scheduler_waits()

    def history(self) -> History:
        """What was recorded so far."""
        return History.load(self.recorder.path)

    def answered(self, count: int) -> None:
        """Wait until so many calls have their answers."""
        eventually(lambda: len(list(self.history().each(Answered))) >= count, f"{count} answers")

    def _scheduler_waits(self) -> None:
        eventually(lambda: (self.clock.next_due() or 0.0) > self.clock.now(), "the scheduler to wait for its next slot")


@pytest.fixture
def drive(tmp_path: Path) -> Iterator[Callable[[Any], Driven]]:
    """Return what starts a driver for a workload; it is stopped and its history closed at the end."""
    with contextlib.ExitStack() as stack:

        def start(workload: Any, cluster: Cluster | None = None) -> Driven:
            clock = FakeClock()
            cluster = cluster or cluster_of(["127.0.0.1"])
            cluster.clock = clock
            recorder = stack.enter_context(Recorder(tmp_path / "history.jsonl", clock))
            driven = Driven(clock, recorder, Driver(workload, cluster, recorder, seeded(1), Ops()))
            stack.callback(driven.driver.stop)
            driven.driver.start()
            return driven

        yield start


def test_calls_are_made_at_their_rate(drive: Callable[[Any], Driven]) -> None:
    """The first at once, then one each tenth of a second at 10 a second."""
    driven = drive(Calls())
    for calls in range(1, 5):
        driven.answered(calls)
        driven.slots(1)
    driven.answered(5)
    times = [round(entry.time, 3) for entry, _ in driven.history().each(Invoked)]
    assert times == [0.0, 0.1, 0.2, 0.3, 0.4]


def test_a_call_is_in_the_history_before_it_is_made(drive: Callable[[Any], Driven]) -> None:
    """A harness that dies in the middle of a call leaves a trace of it."""
    go = threading.Event()
    workload = Calls(behave=lambda _: Reply(Outcome.OK if go.wait(PATIENT) else Outcome.FAIL))
    driven = drive(workload)
    workload.seen.get(timeout=PATIENT)
    assert [event.call.key for _, event in driven.history().each(Invoked)] == ["0"]
    assert not list(driven.history().each(Answered))
    go.set()
    driven.answered(1)


def test_slow_answers_do_not_slow_the_calls(drive: Callable[[Any], Driven]) -> None:
    """An open loop: three calls are under way at once."""
    go = threading.Event()
    workload = Calls(behave=lambda _: Reply(Outcome.OK if go.wait(PATIENT) else Outcome.FAIL))
    driven = drive(workload)
    driven.slots(2)
    assert {workload.seen.get(timeout=PATIENT).key for _ in range(3)} == {"0", "1", "2"}
    go.set()


def test_slots_that_nobody_can_take_are_skipped_and_it_is_said(drive: Callable[[Any], Driven]) -> None:
    """At most three threads here; three more calls wait; the rest is skipped, with its number."""
    go = threading.Event()
    workload = Calls(behave=lambda _: Reply(Outcome.OK if go.wait(PATIENT) else Outcome.FAIL))
    driven = drive(workload)
    driven.slots(2)
    for _ in range(3):
        workload.seen.get(timeout=PATIENT)
    driven.slots(3 + 4)
    go.set()
    driven.answered(6)
    driven.slots(1)
    notes = [event.text for _, event in driven.history().each(Note)]
    assert notes == ["calls: 3 calls are waiting for a free thread; calls are skipped", "calls: 4 calls were skipped"]


def test_a_client_that_raises_leaves_an_unknown_call_and_a_new_client(drive: Callable[[Any], Driven]) -> None:
    """A bug of ours must not be taken for an answer, nor end the run."""

    def behave(call: Call) -> Reply:
        if call.key == "0":
            raise ValueError("a bug")
        return Reply(Outcome.OK)

    workload = Calls(behave=behave)
    driven = drive(workload)
    driven.answered(1)
    driven.slots(1)
    driven.answered(2)
    answers = [(event.outcome, event.error) for _, event in driven.history().each(Answered)]
    assert answers == [(Outcome.UNKNOWN, "the client raised ValueError: a bug"), (Outcome.OK, "")]
    driven.driver.stop()
    assert all(client.closed for client in workload.clients)


FEW = 4
"""More calls than such a workload has threads, at its rate and deadline."""
ODD_REPLIES: Mapping[str, Any] = {
    "a value that no line can hold": Reply(Outcome.OK, value="x" * LONGEST_LINE),
    "a value that fills the history": Reply(Outcome.OK, value="x" * (LONGEST_SAID + 1)),
    "a value that is no text": Reply(Outcome.OK, value=7),  # type: ignore[arg-type]  # what a plug-in may do
    "an error that is no text": Reply(Outcome.FAIL, error=ValueError("a bug")),  # type: ignore[arg-type]
    "an outcome that is none": Reply("fine"),  # type: ignore[arg-type]
    "no reply at all": None,
}


@pytest.mark.parametrize("odd", ODD_REPLIES)
def test_a_reply_that_no_history_can_hold_is_unknown_and_ends_no_thread(drive: Callable[[Any], Driven], odd: str) -> None:
    """Whatever whoever was called says: each call that begins ends, and the calls go on."""
    driven = drive(Calls(behave=lambda call: ODD_REPLIES[odd] if int(call.key) < FEW else Reply(Outcome.OK)))
    for calls in range(1, FEW + 2):
        driven.answered(calls)
        driven.slots(1)
    answers = [event for _, event in driven.history().each(Answered)]
    assert {event.outcome for event in answers[:FEW]} == {Outcome.UNKNOWN}
    assert all(event.ours and event.error.startswith("the reply cannot be recorded: ") for event in answers[:FEW])
    assert answers[FEW].outcome is Outcome.OK
    assert driven.recorder.path.stat().st_size < 1 << 20


def test_a_long_error_is_cut_and_the_answer_kept(drive: Callable[[Any], Driven]) -> None:
    """Its end says most."""
    driven = drive(Calls(behave=lambda _: Reply(Outcome.FAIL, error="x" * LONGEST_LINE + " the cause")))
    driven.answered(1)
    ((_, answer),) = driven.history().each(Answered)
    assert answer.outcome is Outcome.FAIL
    assert answer.error.endswith(" the cause")
    assert len(answer.error) < LONGEST_SAID


def test_a_call_that_no_history_can_hold_is_not_made_and_ends_no_thread(drive: Callable[[Any], Driven]) -> None:
    """A call that nobody knows of must not be made, and the others must."""

    @dataclass
    class Odd(Calls):
        def calls(self, rng: Random) -> Iterator[Call]:
            for number in itertools.count():
                yield Call("write", str(number), "v") if number % 2 else Call("write", "k" * LONGEST_LINE, "v")

    driven = drive(Odd())
    driven.slots(5)
    driven.answered(3)
    assert sorted(event.call.key for _, event in driven.history().each(Invoked)) == ["1", "3", "5"]
    eventually(lambda: len([*driven.history().each(Note)]) == 3, "three calls not to be made")
    notes = [event.text for _, event in driven.history().each(Note)]
    assert all(note.startswith("a call of calls was not made: cannot record what no history can hold (invoked event)") for note in notes)


@pytest.mark.parametrize("host", ["n" * (LONGEST_HOST + 1), 7, None, ["n2"]])
def test_what_is_no_hosts_name_is_not_kept(two: tuple[Server, Server, Cluster, App], host: Any) -> None:
    """The answer is the instance's all the same."""
    one, _, cluster, _ = two
    one.behave = web("web@1", host)
    assert asked(Http("web", deadline=PATIENT), cluster) == Reply(Outcome.OK, by="n1")


@pytest.mark.parametrize(("fails", "why"), [(True, "ValueError: a bug"), (False, "it had no more to make")])
def test_a_workload_that_names_no_more_calls_is_noted(drive: Callable[[Any], Driven], fails: bool, why: str) -> None:
    """A plug-in's bug costs neither the run nor its reader the reason: nobody calls from then on."""

    @dataclass
    class Few(Calls):
        def calls(self, rng: Random) -> Iterator[Call]:
            yield Call("write", "0", "v")
            if fails:
                raise ValueError("a bug")

    driven = drive(Few())
    driven.answered(1)
    driven.clock.advance(0.2)
    eventually(lambda: bool(list(driven.history().each(Note))), "the note")
    assert [event.text for _, event in driven.history().each(Note)] == [f"calls makes no more calls: {why}"]


def test_a_stopped_driver_calls_no_more_and_may_be_stopped_again(drive: Callable[[Any], Driven]) -> None:
    """Twice is fine, and so is a stop without a start."""
    driven = drive(Calls())
    driven.answered(1)
    driven.driver.stop()
    driven.driver.stop()
    driven.clock.advance(10.0)
    assert len(list(driven.history().each(Invoked))) == 1
    Driver(Calls(), cluster_of(["127.0.0.1"]), driven.recorder, seeded(1), Ops()).stop()


def test_what_is_still_asked_when_a_run_ends_early_is_cut_off(drive: Callable[[Any], Driven]) -> None:
    """A question that may take an hour is not waited for: nobody knows what it would have been answered, and nobody is blamed."""

    def never(_: Call) -> Reply:
        return wait_until(lambda: None, awaited="an answer", seconds=3600.0, clock=SystemClock())

    workload = Calls(behave=never)
    driven = drive(workload)
    workload.seen.get(timeout=PATIENT)
    driven.driver.stop(cut=True)
    told = [(event.outcome, event.error, event.ours) for _, event in driven.history().each(Answered)]
    assert told == [(Outcome.UNKNOWN, "the run was over", True)]
    assert not list(driven.history().each(Note))


def test_the_last_calls_cover_every_key_that_was_written(drive: Callable[[Any], Driven]) -> None:
    """The workload's own, and those that it does not know of."""
    driven = drive(Calls(last=[Call("read", "1"), Call("read", "elsewhere")]))
    driven.slots(2)
    driven.answered(3)
    driven.driver.stop()
    driven.driver.finals()
    reads = [event.call.key for _, event in driven.history().each(Invoked) if event.call.function == "read"]
    assert reads == ["1", "elsewhere", "0", "2"]
    assert len(list(driven.history().each(Answered))) == 7


def test_the_last_calls_of_a_register_cost_one_look_and_say_what_is_lost(drive: Callable[..., Driven], members: Members) -> None:
    """A key that was acknowledged and is gone is read as absent; members that do not answer are passed over."""
    driven = drive(Register(), members.cluster)
    driven.slots(9)
    driven.answered(10)
    driven.driver.stop()
    before = driven.recorder.now()
    lost = f"{PREFIX}0"
    del members.store[lost]
    members.servers[0].trouble = ServerTrouble.RESET
    requests = sum(len(server.requests) for server in members.servers)
    driven.driver.finals()
    assert sum(len(server.requests) for server in members.servers) - requests == 4  # two rounds, each first in vain
    history = driven.history()
    written = {event.call.key: event.call.value for _, event in history.each(Invoked) if event.call.function == "write"}
    calls = {event.op: event.call.key for entry, event in history.each(Invoked) if entry.time >= before and event.call.function == "read"}
    replies = list(history.each(Answered))[10:]
    assert {calls[event.op]: event.value for _, event in replies} == written | {lost: None}
    assert {(event.outcome, event.by) for _, event in replies} == {(Outcome.OK, "n2")}


def test_the_last_calls_fail_when_no_member_answers(drive: Callable[..., Driven], members: Members) -> None:
    """Could-not-ask is not absent."""
    driven = drive(Register(), members.cluster)
    driven.answered(1)
    driven.driver.stop()
    for server in members.servers:
        server.trouble = servers.Response(503)
    driven.driver.finals()
    assert [event.outcome for _, event in driven.history().each(Answered)] == [Outcome.OK, Outcome.FAIL]


def test_op_numbers_are_unique_across_threads() -> None:
    """However many workloads draw from them."""
    ops = Ops()
    found: list[int] = []

    def draw() -> None:
        found.extend([ops.next() for _ in range(500)])

    threads = [threading.Thread(target=draw) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(Counter(found).values()) == 1
    assert sorted(found) == list(range(1, 2001))
