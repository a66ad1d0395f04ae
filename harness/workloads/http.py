"""The users of an app: a GET to each instance in turn, wherever in the cluster it answers."""

from __future__ import annotations

import dataclasses
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from harness.core import parameters
from harness.core.clock import Deadline
from harness.core.errors import HarnessError, is_ours
from harness.core.instances import app_of
from harness.core.plain import sentence
from harness.core.protocols import Ports
from harness.core.units import ABOVE, Duration, Rate
from harness.core.values import Call, CallStream, Outcome, Reply
from harness.host import untrusted
from harness.web import NoAnswer, NotSent, Site

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from random import Random

    from harness.core.protocols import Cluster, Node
    from harness.core.values import App

ATTEMPT = 0.3
"""How long one node is waited for: these seconds, or this part of the call's deadline if that is longer.

A dead node swallows packets, and the next one must still have its turn."""
LONGEST_ANSWER = 64 * 1024
"""Bytes of an app's answer at most: it names an instance and a host, and many are read at a time."""
LONGEST_HOST = 255
"""Letters of a host's name at most, as RFC 1035 has them."""
_OK = 200


@dataclass(frozen=True, slots=True)
class Http:
    """GET each instance of an app in turn. A call is ok if any node answered for that very instance within the deadline, else it failed.

    Of an app with a definition of its own that does not tell its containers who they are, whatever answers on an instance's port is that instance.

    A GET changes nothing, so a call without an answer is a fail, never an unknown; its error says what each node did.
    """

    name: ClassVar[str] = "http"
    stream: ClassVar[CallStream] = CallStream.APP

    app: str
    rate: Rate = 20.0
    deadline: Annotated[Duration, Field(gt=0, description=ABOVE)] = 1.0  # of one call, over all nodes that it tries
    instances: Annotated[int, Field(description="how many of the app's instances are called, the first ones; 0: all of them")] = 0

    def __post_init__(self) -> None:
        """Refuse what could never be called. Raises `ValueError`."""
        if parameters.fits(self) and self.instances < 0:
            raise ValueError(f"found instances {self.instances}, expected 0 or more")

    def fitted(self, cluster: Cluster) -> Http | None:
        """Return the workload with `instances` filled in from the cluster's app; None while that has none. Raises `HarnessError` without the app."""
        count = _app(cluster, self.app).instances
        return dataclasses.replace(self, instances=min(self.instances or count, count)) if count else None

    def calls(self, rng: Random) -> Iterator[Call]:  # noqa: ARG002 - nothing is left to chance here
        """Yield ``get app@1``, ``get app@2`` … in turn, for ever; only the first one before the workload was `fitted`."""
        return itertools.cycle([Call("get", f"{self.app}@{number}") for number in range(1, max(1, self.instances) + 1)])

    def connect(self, cluster: Cluster) -> HttpClient:
        """Return a client for one thread. Raises `HarnessError` if the cluster has no such app."""
        return HttpClient(cluster, _app(cluster, self.app), self.deadline)

    def final(self, cluster: Cluster) -> Sequence[Call]:  # noqa: ARG002 - the protocol's
        """Nothing is left to ask."""
        return ()


class HttpClient:
    """Finds an instance by asking the node where it last answered, then the others. Keeps the connections on which all went well."""

    def __init__(self, cluster: Cluster, app: App, deadline: float) -> None:
        self._cluster = cluster
        self._clock = cluster.clock
        self._app = app
        self._deadline = deadline
        self._orders: dict[str, list[Node]] = {name: list(cluster.nodes) for name in app.names}  # instance → nodes, best first
        self._sites: dict[tuple[str, int], Site] = {}

    def invoke(self, call: Call) -> Reply:
        """GET an instance; see `Http`. The value is the host that the answer names, if that is a name, `by` the node that was asked."""
        order = self._orders.get(call.key)
        if order is None and app_of(call.key) == self._app.name:
            order = self._orders.setdefault(call.key, list(self._cluster.nodes))  # it has more instances by now
        if order is None:
            return Reply(Outcome.FAIL, error=f"{self._app.name} has no instance {call.key}")
        deadline = Deadline(self._clock, self._deadline)
        troubles: list[str] = []
        ours = False
        for position, node in enumerate(tuple(order)):
            left = min(ATTEMPT * max(1.0, self._deadline), deadline.left())
            if left <= 0.0:
                # Whoever was not asked comes first next time, or a large cluster with dead nodes in front would never be searched to its end.
                order[:] = order[position:] + order[:position]
                troubles.append(f"no time left for {', '.join(each.name for each in order[: len(order) - position])}")
                break
            port = self._port(call.key, node)
            host, trouble, unheard = (None, "it is not there", False) if port is None else self._ask(node, port, call.key, left)
            if not trouble:
                order.insert(0, order.pop(position))
                return Reply(Outcome.OK, value=host, by=node.name)
            troubles.append(f"{node.name}: {trouble}")
            ours = ours or unheard
        return Reply(Outcome.FAIL, error="; ".join(troubles), ours=ours)

    def close(self) -> None:
        """Let go of all connections. Twice is fine."""
        for site in self._sites.values():
            site.close()
        self._sites.clear()

    def _port(self, instance: str, node: Node) -> int | None:
        """Return the port to try on a node; None where the mode knows that the instance is not there."""
        mode = self._cluster.mode
        return mode.port(self._cluster, self._app, instance, node) if isinstance(mode, Ports) else self._app.port_of(instance)

    def _ask(self, node: Node, port: int, instance: str, seconds: float) -> tuple[str | None, str, bool]:
        """Return the host named in a good answer, or what was wrong with any other, and whether that was a trouble of ours."""
        key = (node.address, port)
        site = self._sites.pop(key, None) or Site(node.address, port)
        try:
            answer = site.exchange("GET", "/", seconds=seconds, most=LONGEST_ANSWER)
        except (NotSent, NoAnswer) as trouble:
            site.close()
            return None, trouble.words, is_ours(trouble)
        if answer.status != _OK:
            site.close()
            return None, f"status {answer.status}", False
        self._sites[key] = site
        if self._app.native is not None and not self._app.native.told:
            return None, "", False
        who = _named(answer.body)
        if self._cluster.instance(str(who.get("instance"))) != instance:
            return None, f"the answer is not from {instance}: {sentence(answer.body[:80].decode(errors='replace'))}", False
        host = who.get("host")
        return (host if isinstance(host, str) and len(host) <= LONGEST_HOST else None), "", False


def _app(cluster: Cluster, name: str) -> App:
    for app in cluster.apps:
        if app.name == name:
            return app
    raise HarnessError(f"the http workload calls {name!r}; the cluster's apps are {', '.join(app.name for app in cluster.apps) or 'none'}")


def _named(body: bytes) -> dict[str, Any]:
    """Return the JSON object that a body is, or nothing."""
    try:
        found = untrusted.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
