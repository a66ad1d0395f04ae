"""The workload redis: writes and reads in a Redis among the apps; and durable, which judges them."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from harness.checkers import Durable, Writes
from harness.core.errors import HarnessError
from harness.core.values import App, Call, Outcome, Verdict
from harness.testing.histories import Story
from harness.testing.servers import RedisServer, loopback
from harness.workloads.redis import Redis, RedisClient
from tests.unit.test_workloads import cluster_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness.core.protocols import Cluster

WRITE = Call("write", "cache@1/0", "v")
READ = Call("read", "cache@1/0")


@contextlib.contextmanager
def served(*addresses: str) -> Iterator[tuple[Sequence[RedisServer], Cluster]]:
    """Lend a Redis on one port of the last of these addresses, in a cluster of all of them."""
    with RedisServer(addresses[-1]) as server:
        yield [server], cluster_of(addresses, App("cache", 1, port=server.port - 1))


@pytest.fixture
def one() -> Iterator[tuple[RedisServer, RedisClient]]:
    """Lend a Redis on the second node of two, and a client of it."""
    with served(loopback(), loopback()) as ((server,), cluster):
        client = Redis("cache").connect(cluster)
        yield server, client
        client.close()


def test_it_is_asked_where_a_connection_can_be_made(one: tuple[RedisServer, RedisClient]) -> None:
    """On the first node nothing listens, so that nothing was sent there. Keys have the run's id in them."""
    server, client = one
    assert client.invoke(WRITE).by == "n2"
    assert client.invoke(READ).value == "v"
    assert server.store == {b"whalefall/run/cache@1/0": b"v"}
    assert server.connections == 1


def test_a_write_that_may_have_been_sent_goes_nowhere_else() -> None:
    """The other node would take it, and the first one may have."""
    with RedisServer(loopback()) as first, RedisServer(loopback(), first.port) as second:
        client = Redis("cache").connect(cluster_of([first.address, second.address], App("cache", 1, port=first.port - 1)))
        first.trouble = b"?"
        assert client.invoke(WRITE).outcome is Outcome.UNKNOWN
        assert second.store == {}


@pytest.mark.parametrize("refusal", [b"-LOADING Redis is loading\r\n", b"-MISCONF Errors writing to the AOF file\r\n", b"-OOM no room\r\n"])
def test_what_redis_refuses_is_not_done(one: tuple[RedisServer, RedisClient], refusal: bytes) -> None:
    """It says so before it does anything; and the connection is as good as before."""
    server, client = one
    server.trouble = refusal
    assert [client.invoke(each).outcome for each in (WRITE, READ)] == [Outcome.FAIL, Outcome.FAIL]
    server.trouble = None
    assert client.invoke(WRITE).outcome is Outcome.OK
    assert server.connections == 1


@pytest.mark.parametrize("error", [b"-ERR Connection timed out\r\n", b"-upstream failure\r\n", b"-\r\n"])
def test_an_error_that_may_be_somebody_elses_leaves_a_write_open(one: tuple[RedisServer, RedisClient], error: bytes) -> None:
    """A proxy says it of what it has passed on; a read of it is a fail all the same."""
    server, client = one
    server.trouble = error
    assert [client.invoke(each).outcome for each in (WRITE, READ)] == [Outcome.UNKNOWN, Outcome.FAIL]


def test_a_redis_that_nobody_runs_is_a_fail() -> None:
    """Of a write as well: there was nobody to take it."""
    with served(loopback()) as ((server,), cluster):
        server.close()
        reply = Redis("cache").connect(cluster).invoke(WRITE)
    assert reply.outcome is Outcome.FAIL
    assert "no connection" in reply.error


def test_all_that_was_written_is_read_back_by_one_request(one: tuple[RedisServer, RedisClient]) -> None:
    """What is not there is told as nothing; without an answer all have failed, and so they have where there are fewer answers than questions."""
    server, client = one
    calls = [Call("read", f"cache@1/{number}") for number in range(3)]
    client.invoke(Call("write", "cache@1/1", "v1"))
    assert [reply.value for reply in client.invoke_all(calls)] == [None, "v1", None]
    for trouble in (b"*1\r\n$-1\r\n", b"-LOADING\r\n", b"*3\r\n:1\r\n:2\r\n:3\r\n"):
        server.trouble = trouble
        replies = client.invoke_all(calls)
        assert [reply.outcome for reply in replies] == [Outcome.FAIL] * 3
        assert all(reply.error for reply in replies)


def test_an_unknown_app_is_an_error_that_names_the_apps() -> None:
    """Before any call."""
    with pytest.raises(HarnessError, match="no app is named 'cash'; there is cache"):
        Redis("cash").connect(cluster_of([loopback()], App("cache", 1)))


def test_durable_is_about_its_app_and_no_other_and_writes_about_neither() -> None:
    """What another Redis lost is another promise's; and what any of them acknowledged is no word of the quorum's."""
    story = Story()
    for app in ("cache", "other"):
        story.call(1.0, "redis", Call("write", f"{app}@1/0", "v"))
    story.done(10).call(9.1, "redis", Call("read", "cache@1/0"), value="v").call(9.2, "redis", Call("read", "other@1/0"))
    history = story.history()
    assert Durable("cache").check(history).verdict is Verdict.HELD
    lost = Durable("other").check(history)
    assert lost.verdict is Verdict.BROKEN
    assert lost.summary.startswith("1 acknowledged write lost, the first other@1/0 (op 2")
    assert Writes().check(history).summary == "no write was ever acknowledged"


def test_durable_convicts_nobody_by_what_another_instance_may_have_answered() -> None:
    """Two instances are two Redis, each with values of its own, and a port that both have on their nodes tells nobody which it is."""
    story = Story().node(0, "n1", "cache@1").node(0, "n2").call(1.0, "redis", Call("write", "cache@1/0", "v"), by="n1")
    story.done(10).call(9.1, "redis", Call("read", "cache@1/0"), by="n2")
    assert Durable("cache").check(story.copy().history()).verdict is Verdict.BROKEN
    found = Durable("cache").check(story.copy().node(2, "n2", "cache@2").history())
    assert found.verdict is Verdict.UNKNOWN
    assert "cache@2 ran, too" in found.summary
    good = story.copy().node(2, "n2", "cache@2").call(9.2, "redis", Call("read", "cache@1/0"), value="v", by="n1")
    assert Durable("cache").check(good.history()).verdict is Verdict.UNKNOWN


def test_durable_without_an_acknowledged_write_is_unknown() -> None:
    """Nothing was promised to be there."""
    story = Story().call(1.0, "redis", Call("write", "cache@1/0", "v"), Outcome.UNKNOWN).done(10)
    assert Durable("cache").check(story.call(9.1, "redis", Call("read", "cache@1/0")).history()).verdict is Verdict.UNKNOWN
