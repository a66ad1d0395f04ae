"""Registers in a Redis that is one of the cluster's apps: unique writes and reads, each answer ok, fail or unknown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from harness.core.clock import Deadline
from harness.core.errors import NoGoodAnswer, NotDone, is_ours
from harness.core.protocols import Ports
from harness.core.units import ABOVE, Duration, Rate
from harness.core.values import Call, CallStream, Outcome, Reply
from harness.workloads.http import ATTEMPT
from harness.workloads.register import FINAL_ROUNDS, written_once
from harness.workloads.resp import RedisConnection

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from random import Random

    from harness.core.protocols import Cluster, Node
    from harness.core.values import App

PREFIX = "whalefall"
"""All keys of a run lie under this and the run's id: a volume that outlives runs may have keys of others."""


@dataclass(frozen=True, slots=True)
class Redis:
    """SET a new key to a value of its own, or GET one that was written earlier, in the first instance of an app that is a Redis.

    A call goes to the node on which it answered last, and to another one only where no connection could be made: then nothing was sent. A write
    without a good answer is unknown, unless it was certainly never taken; a read without one is a fail. At the end every key is read.
    """

    name: ClassVar[str] = "redis"
    stream: ClassVar[CallStream] = CallStream.STORE

    app: str
    rate: Rate = 10.0
    deadline: Annotated[Duration, Field(gt=0, description=ABOVE)] = 2.0  # of one call, over all nodes that it tries

    def calls(self, rng: Random) -> Iterator[Call]:
        """Yield writes of keys 0, 1, 2 …, and in between reads of a key that was asked to be written before."""
        return written_once(rng, f"{self.app}@1/")

    def connect(self, cluster: Cluster) -> RedisClient:
        """Return a client for one thread. Raises `HarnessError` if the cluster has no such app."""
        return RedisClient(cluster, cluster.app(self.app), self.deadline)

    def final(self, cluster: Cluster) -> Sequence[Call]:  # noqa: ARG002 - the protocol's
        """Nothing beside the keys that were written, which the driver has read."""
        return ()


class RedisClient:
    """Finds the instance by asking the node where it last answered, then the others."""

    def __init__(self, cluster: Cluster, app: App, deadline: float) -> None:
        self._cluster = cluster
        self._app = app
        self._deadline = deadline
        self._order: list[Node] = list(cluster.nodes)  # best first
        self._servers: dict[tuple[str, int], RedisConnection] = {}

    def invoke(self, call: Call) -> Reply:
        """Make a call; see `Redis`. `by` is the node that was asked."""
        key = self._named(call.key)
        deadline = Deadline(self._cluster.clock, self._deadline)
        try:
            node, server = self._found(deadline)
            if call.function == "write":
                server.put(key, call.value or "", deadline)
                return Reply(Outcome.OK, value=call.value, by=node.name)
            return Reply(Outcome.OK, value=server.get(key, deadline), by=node.name)
        except NoGoodAnswer as trouble:
            # A read changes nothing: without an answer it has simply failed.
            certain = isinstance(trouble, NotDone) or call.function != "write"
            return Reply(Outcome.FAIL if certain else Outcome.UNKNOWN, error=str(trouble), ours=is_ours(trouble))

    def invoke_all(self, calls: Sequence[Call]) -> Sequence[Reply]:
        """Answer many reads by one MGET. Without an answer after `FINAL_ROUNDS` tries all of them failed."""
        reply = Reply(Outcome.FAIL)
        for _ in range(FINAL_ROUNDS):
            deadline = Deadline(self._cluster.clock, self._deadline)
            try:
                node, server = self._found(deadline)
                values = server.many([self._named(call.key) for call in calls], deadline)
                return [Reply(Outcome.OK, value=value, by=node.name) for value in values]
            except NoGoodAnswer as trouble:
                reply = Reply(Outcome.FAIL, error=str(trouble), ours=is_ours(trouble))
        return [reply] * len(calls)

    def close(self) -> None:
        """Let go of all connections. Twice is fine."""
        for server in self._servers.values():
            server.close()
        self._servers.clear()

    def _named(self, key: str) -> str:
        return f"{PREFIX}/{self._cluster.run_id}/{key}"

    def _found(self, deadline: Deadline) -> tuple[Node, RedisConnection]:
        """Return the first node that can be connected to, which comes first from then on. Raises `NotDone`, with what was wrong with each."""
        troubles: list[NotDone] = []
        for position, node in enumerate(tuple(self._order)):
            if (left := min(ATTEMPT * max(1.0, self._deadline), deadline.left())) <= 0.0:
                # Whoever was not asked comes first next time, or a large cluster with dead nodes in front would never be searched to its end.
                self._order[:] = self._order[position:] + self._order[:position]
                break
            if (port := self._port(node)) is None:
                continue
            server = self._servers.setdefault((node.address, port), RedisConnection(node.address, port))
            try:
                server.connect(Deadline(deadline.clock, left))
            except NotDone as trouble:
                troubles.append(trouble)
                continue
            self._order.insert(0, self._order.pop(position))
            return node, server
        raise NotDone("; ".join(map(str, troubles)) or f"{self._app.name} is on no node") from next(
            (each for each in troubles if is_ours(each)), None
        )

    def _port(self, node: Node) -> int | None:
        """Return the port to try on a node; None where the mode knows that the instance is not there."""
        mode, instance = self._cluster.mode, f"{self._app.name}@1"
        return mode.port(self._cluster, self._app, instance, node) if isinstance(mode, Ports) else self._app.port_of(instance)
