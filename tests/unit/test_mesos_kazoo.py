"""How the stand-ins use kazoo: a session ends by their own clock, too; a double stands in for kazoo and for its threads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from kazoo import exceptions
from kazoo.protocol.states import KazooState

from standin import kazoo_client
from standin.doubles.clock import run
from standin.kazoo_client import KazooZooKeeper
from standin.zookeeper import BadVersionError, DisconnectedError, ExpiredError, NoNodeError, Session, ZooKeeperError


class _Kazoo:
    """One client of kazoo's: `tell` is what it hears of its connection."""

    made: ClassVar[list[_Kazoo]] = []

    def __init__(self, **_options: object) -> None:
        self.answers: dict[str, Any] = {}
        self.client_id = (7, b"")
        self._connection = SimpleNamespace(_connect=lambda *_: (8000 / 3, 1000))
        _Kazoo.made.append(self)

    def add_listener(self, told: Callable[[str], None]) -> None:
        self.tell = told

    def start_async(self) -> None: ...

    def stop(self) -> None: ...

    def close(self) -> None: ...

    def connect(self) -> None:
        """Connect, and be granted a session of 4 s."""
        self._connection._connect("n1", "10.77.0.11", 2181)
        self.tell(KazooState.CONNECTED)

    def get_async(self, path: str, watch: object = None) -> Any:
        assert watch is None
        answer = self.answers[path]

        class Answered:
            value = None if isinstance(answer, Exception) else answer
            exception = answer if isinstance(answer, Exception) else None

            def rawlink(self, told: Callable[[Any], None]) -> None:
                told(self)

        return Answered()


@pytest.fixture
def kazoo(monkeypatch: pytest.MonkeyPatch) -> list[_Kazoo]:
    """Return the clients that are made."""
    monkeypatch.setattr(kazoo_client, "KazooClient", _Kazoo)
    monkeypatch.setattr(_Kazoo, "made", [])
    return _Kazoo.made


def test_a_session_ends_by_our_own_clock(kazoo: list[_Kazoo]) -> None:
    """After what the ensemble granted, not what was asked for; a new one is begun, and what waited for an answer fails."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        zookeeper = KazooZooKeeper("n1:2181", 10.0)
        states: list[tuple[Session, float]] = []
        began = loop.time()
        zookeeper.listen(lambda state: states.append((state, loop.time() - began)))
        kazoo[0].connect()
        await asyncio.sleep(5)
        kazoo[0].tell(KazooState.SUSPENDED)
        waiting = asyncio.ensure_future(zookeeper.read("/mesos"))
        await asyncio.sleep(10)
        assert [(state, round(when, 3)) for state, when in states] == [
            (Session.CONNECTED, 0),
            (Session.SUSPENDED, 5),
            (Session.EXPIRED, 9),
        ]
        with pytest.raises(ExpiredError):
            await waiting
        assert len(kazoo) == 2
        kazoo[0].tell(KazooState.CONNECTED)
        await asyncio.sleep(0)
        kazoo[1].connect()
        await asyncio.sleep(0)
        assert [state for state, _ in states[3:]] == [Session.CONNECTED]

    run(main())


def test_a_short_loss_is_no_end(kazoo: list[_Kazoo]) -> None:
    """And what is asked meanwhile waits for the connection."""

    async def main() -> None:
        zookeeper = KazooZooKeeper("n1:2181", 10.0)
        kazoo[0].answers["/mesos"] = (b"x", SimpleNamespace(version=3, ephemeralOwner=7))
        asking = asyncio.ensure_future(zookeeper.read("/mesos"))
        await asyncio.sleep(1)
        assert not asking.done()
        kazoo[0].connect()
        assert (await asking).data == b"x"
        kazoo[0].tell(KazooState.SUSPENDED)
        await asyncio.sleep(3)
        kazoo[0].connect()
        await asyncio.sleep(60)
        assert zookeeper.state is Session.CONNECTED
        assert len(kazoo) == 1

    run(main())


def test_an_ensemble_that_never_answers_is_asked_anew(kazoo: list[_Kazoo]) -> None:
    """GroupTest.ConnectTimer: a session expires that was never there; names that did not resolve are looked up again."""

    async def main() -> None:
        zookeeper = KazooZooKeeper("n1:2181", 10.0)
        await asyncio.sleep(35)
        assert zookeeper.state is Session.SUSPENDED
        assert len(kazoo) == 4

    run(main())


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (exceptions.NoNodeError(), NoNodeError),
        (exceptions.BadVersionError(), BadVersionError),
        (exceptions.ConnectionLoss(), DisconnectedError),
        (exceptions.ConnectionClosedError(), DisconnectedError),
        (exceptions.SessionExpiredError(), ExpiredError),
        (exceptions.NoAuthError(), ZooKeeperError),
    ],
)
def test_errors_are_our_own(kazoo: list[_Kazoo], theirs: Exception, ours: type[Exception]) -> None:
    """Nobody else knows kazoo's."""

    async def main() -> None:
        zookeeper = KazooZooKeeper("n1:2181", 10.0)
        kazoo[0].connect()
        kazoo[0].answers["/mesos"] = theirs
        with pytest.raises(ZooKeeperError) as told:
            await zookeeper.read("/mesos")
        assert type(told.value) is ours

    run(main())
