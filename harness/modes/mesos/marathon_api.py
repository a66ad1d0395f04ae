"""A client of Marathon's and of a Mesos master's REST at one node.

A good answer is parsed into frozen values; anything else (no connection, a 5xx, JSON of another shape) is `Unreachable` with what was seen,
because none of it says anything about the cluster.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urlsplit

from harness.core.clock import Deadline, SystemClock
from harness.core.errors import HarnessError, Unreachable, clipped
from harness.core.units import counted
from harness.host import untrusted
from harness.web import Connections, NoAnswer, WebTrouble

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from harness.core.values import Json
    from harness.web import Answer

MARATHON, MASTER, AGENT = 8080, 5050, 5051
"""Ports of the three on every node that has them."""
UNREACHABLE = "TASK_UNREACHABLE"
"""What a task is while the master cannot hear its agent: it may run there all the same."""
RUNNING = "TASK_RUNNING"

_SHOWN = 200  # characters of a strange answer that go into an error
_OK, _REDIRECT, _ABSENT, _LOCKED = 200, 307, 404, 409
_MOVED, _BAD, _BROKEN = 300, 400, 500  # where such answers begin

T = TypeVar("T")
_CONNECTIONS = Connections()


@dataclass(frozen=True, slots=True)
class MarathonTask:
    """A task as Marathon lists it."""

    id: str  # frontend.instance-<uuid>._app.1
    app: str  # its path, /frontend
    host: str  # the agent's --hostname
    ports: tuple[int, ...]  # of its host
    state: str  # Mesos' own word, TASK_RUNNING
    staged: str  # when it was handed to Mesos, as ISO 8601
    version: str  # of its app: a time, as ISO 8601

    @property
    def gone(self) -> bool:
        """Whether Marathon counts on it no more."""
        return self.state in {
            UNREACHABLE,
            "TASK_LOST",
            "TASK_GONE",
            "TASK_DROPPED",
            "TASK_FAILED",
            "TASK_KILLED",
            "TASK_FINISHED",
            "TASK_ERROR",
        }


@dataclass(frozen=True, slots=True)
class MarathonApp:
    """An app as Marathon has it."""

    id: str
    instances: int
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class MesosAgent:
    """An agent as the leading master has it."""

    id: str
    deactivated: bool  # by an operator: nothing of it is offered
    drain: str  # DRAINING, DRAINED; empty where nobody drains it


@dataclass(frozen=True, slots=True)
class MarathonSettings:
    """Timers that Marathon was started with, by our names for them, in milliseconds; None for one of which it says nothing."""

    zk_session_timeout: float | None
    reconciliation_initial_delay: float | None
    min_revive_offers_interval: float | None


class Locked(Unreachable):
    """A deployment that goes on holds the app: what was asked was not taken now."""


@dataclass(frozen=True, slots=True)
class Rest:
    """The REST of one node of the cluster `scope` (a run id). Safe to use from any thread that is inside that cluster's network.

    A request takes at most `timeout` seconds.
    """

    node: str
    address: str
    scope: str
    timeout: float = 2.0
    marathon: int = MARATHON
    master: int = MASTER
    agent: int = AGENT

    # -- Marathon

    def tasks(self) -> tuple[MarathonTask, ...]:
        """Return all tasks, as the leading Marathon has them. Raises `Unreachable`."""
        return self._parsed(self.marathon, "/v2/tasks", lambda body: tuple(_task(each) for each in body["tasks"]))

    def app(self, path: str) -> MarathonApp | None:
        """Return an app; None where Marathon has none of that path. Raises `Unreachable`."""
        where = f"/v2/apps{quote(path)}"
        answer = self._ask(self.marathon, "GET", where)
        if answer.status == _ABSENT:
            return None
        return self._read(answer, "GET", where, lambda body: _app(body["app"]))

    def apps(self) -> Mapping[str, frozenset[int]]:
        """Return all apps by their paths, each with its service ports. Raises `Unreachable`."""
        return self._parsed(self.marathon, "/v2/apps", lambda body: {_text(each["id"]): _services(each) for each in body["apps"]})

    def settings(self) -> MarathonSettings:
        """Return the timers of the Marathon that leads. Raises `Unreachable`."""
        return self._parsed(self.marathon, "/v2/info", _settings)

    def hindrances(self, path: str) -> tuple[str, ...]:
        """Return what keeps an app from being launched, in Marathon's own words: why it took none of the last offers, and how a task ended last.

        Raises `Unreachable`.
        """
        queued = self._parsed(
            self.marathon,
            "/v2/queue",
            lambda body: [
                f"Marathon took none of {counted(int(step['declined']), 'offer')}: {clipped(_text(step['reason']))}"
                for each in body["queue"]
                if each["app"]["id"] == path
                for step in each["processedOffersSummary"]["rejectSummaryLastOffers"]
                if step["declined"]
            ],
        )
        failed = self._parsed(self.marathon, f"/v2/apps{quote(path)}", lambda body: _failure(body["app"].get("lastTaskFailure")))
        return (*queued, *failed)

    def create(self, definition: Mapping[str, Json]) -> None:
        """Give Marathon an app.

        Raises `Unreachable` where it could not take it now, `Locked` where there is one of that path, and `HarnessError` where it refuses it.
        """
        self._change("POST", "/v2/apps", definition)

    def change(self, path: str, fields: Mapping[str, Json]) -> str:
        """Change an app, whatever deployment of it goes on, and return the new deployment's id. Raises as `create`."""
        return self._change("PUT", f"/v2/apps{quote(path)}?force=true", fields)

    def restart(self, path: str) -> str:
        """Have all tasks of an app replaced, by its upgrade strategy, and return the deployment's id. Raises as `create`."""
        return self._change("POST", f"/v2/apps{quote(path)}/restart?force=true", {})

    def remove(self, path: str) -> None:
        """Remove an app with all of its tasks; that there is none is fine. Raises as `create`."""
        self._change("DELETE", f"/v2/apps{quote(path)}?force=true", None)

    def deployments(self) -> Mapping[str, tuple[str, ...]]:
        """Return the deployments that go on: the id of each, with the paths of its apps. Raises `Unreachable`."""
        return self._parsed(
            self.marathon,
            "/v2/deployments",
            lambda body: {_text(each["id"]): tuple(_text(app) for app in each["affectedApps"]) for each in body},
        )

    def leader(self) -> str | None:
        """Return the host that leads Marathon, as this one knows it; None where it knows none. Raises `Unreachable`."""
        answer = self._ask(self.marathon, "GET", "/v2/leader")
        if answer.status == _ABSENT:
            return None
        return self._read(answer, "GET", "/v2/leader", lambda body: _text(body["leader"]).rpartition(":")[0])

    # -- Mesos

    def agents(self) -> tuple[str, ...] | str:
        """Return the host names of all agents that the leading master has not given up, or the host that this master says leads.

        Of a master that has just begun to lead: also of those that it knows from the registry, and that are yet to come back. Raises `Unreachable`.
        """
        answer = self._ask(self.master, "GET", "/master/slaves")
        if answer.status == _REDIRECT:
            host = urlsplit(answer.location).hostname
            if not host:
                raise Unreachable(self.node, "GET /master/slaves", f"a redirect to {answer.location[:_SHOWN]!r}")
            return host
        return self._read(
            answer,
            "GET",
            "/master/slaves",
            lambda body: tuple(_text(each["hostname"]) for key in ("slaves", "recovered_slaves") for each in body.get(key) or ()),
        )

    def agent_of(self, host: str) -> MesosAgent:
        """Return the agent of a host, asked of a master that leads. Raises `Unreachable`, and `HarnessError` where it lists none."""
        found = self._parsed(
            self.master, "/master/slaves", lambda body: [_agent(each) for each in body["slaves"] if each["hostname"] == host]
        )
        if not found:
            raise HarnessError(f"the leading master, of {self.node}, lists no agent of {host}")
        return found[0]

    def operate(self, kind: str, agent: str) -> None:
        """Have the leading master do something to an agent, by its id, as an operator would. Raises `Unreachable`, and `HarnessError` if refused."""
        body = {"type": kind, kind.lower(): {"agent_id": {"value": agent}}}
        answer = self._ask(self.master, "POST", "/api/v1", json.dumps(body).encode())
        if answer.status >= _BROKEN or _MOVED <= answer.status < _BAD:
            raise Unreachable(self.node, kind, f"{answer.status}: {_shown(answer.body)}")
        if answer.status >= _BAD:
            raise HarnessError(f"{self.node}: the master refuses {kind}: {answer.status}: {_shown(answer.body)}")

    def leads(self) -> bool:
        """Whether the master of this node says that it leads. Raises `Unreachable`."""
        return self._parsed(self.master, "/metrics/snapshot", lambda body: float(body["master/elected"]) == 1.0)

    def flags(self) -> Mapping[str, str]:
        """Return the flags of the master of this node, whether it leads or not. Raises `Unreachable`."""
        return self._parsed(self.master, "/flags", lambda body: {_text(name): _text(value) for name, value in body["flags"].items()})

    def stands_in(self) -> bool:
        """Whether the master of this node says that it is none of upstream's. Raises `Unreachable`."""
        return self._parsed(self.master, "/version", lambda body: bool(body.get("build_user") == "stand-in"))

    def host(self) -> str:
        """Return what this node's agent calls its host. Raises `Unreachable`."""
        return self._parsed(self.agent, "/state", lambda body: _text(body["hostname"]))

    def follows(self) -> str:
        """Return the host of the master that this node's agent follows; empty where it follows none. Raises `Unreachable`."""
        return self._parsed(self.agent, "/state", lambda body: _text(body.get("master_hostname") or ""))

    # -- How

    def _parsed(self, port: int, path: str, parse: Callable[[Any], T]) -> T:
        return self._read(self._ask(port, "GET", path), "GET", path, parse)

    def _change(self, method: str, path: str, body: Mapping[str, Json] | None) -> str:
        """Have something changed, and return the id of the deployment that it begins; empty where it tells of none."""
        answer = self._ask(self.marathon, method, path, None if body is None else json.dumps(body).encode())
        bare = path.partition("?")[0]
        if answer.status == _LOCKED:
            raise Locked(self.node, f"{method} {bare}", f"{answer.status}: {_message(answer.body)}")
        if answer.status >= _BROKEN:
            raise Unreachable(self.node, f"{method} {bare}", f"{answer.status}: {_message(answer.body)}")
        if answer.status == _ABSENT and method == "DELETE":
            return ""
        if answer.status >= _BAD:
            raise HarnessError(f"{self.node}: Marathon refuses {method} {bare}: {answer.status}: {_message(answer.body)}")
        if answer.status >= _MOVED:
            raise Unreachable(self.node, f"{method} {bare}", f"{answer.status}, where Marathon answers itself")
        return self._read(answer, method, bare, _deployment, fine=range(_OK, _MOVED))

    def _read(self, answer: Answer, method: str, path: str, parse: Callable[[Any], T], fine: Sequence[int] = (_OK,)) -> T:
        if answer.status not in fine:
            raise Unreachable(self.node, f"{method} {path}", f"{answer.status}: {_message(answer.body)}")
        try:
            return parse(untrusted.loads(answer.body))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as e:
            what = f"an answer of another shape: {_shown(answer.body)} ({type(e).__name__}: {e})"
            raise Unreachable(self.node, f"{method} {path}", what) from e

    def _ask(self, port: int, method: str, path: str, body: bytes | None = None) -> Answer:
        site = _CONNECTIONS.site(self.scope, self.address, port)
        headers = {"Accept": "application/json", **({"Content-Type": "application/json"} if body is not None else {})}
        deadline = Deadline(SystemClock(), self.timeout)
        try:
            try:
                return site.exchange(method, path, seconds=self.timeout, body=body, headers=headers)
            except NoAnswer:
                if deadline.expired or method == "POST":
                    raise
                # Most likely a kept connection whose other end has started anew. Asking twice does no harm: all but POST are the same twice.
                return site.exchange(method, path, seconds=deadline.left(), body=body, headers=headers)
        except WebTrouble as e:
            raise Unreachable(self.node, f"{method} {path.partition('?')[0]}", e.words) from e


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected text, found {value!r}")
    return value


def _task(row: Any) -> MarathonTask:
    return MarathonTask(
        _text(row["id"]),
        _text(row["appId"]),
        _text(row["host"]),
        tuple(int(each) for each in row.get("ports") or ()),
        _text(row.get("state") or ""),
        _text(row.get("stagedAt") or ""),
        _text(row.get("version") or ""),
    )


def _agent(row: Any) -> MesosAgent:
    drain = (row.get("drain_info") or {}).get("state") or ""
    return MesosAgent(_text(row["id"]), bool(row.get("deactivated")), _text(drain))


def _failure(said: Any) -> tuple[str, ...]:
    """Return how a task of an app ended last, where one did."""
    if not said:
        return ()
    return (f"a task on {_text(said['host'])} ended as {_text(said['state'])}: {clipped(_text(said['message'])) or 'it said nothing'}",)


def _app(row: Any) -> MarathonApp:
    labels = {_text(key): _text(value) for key, value in (row.get("labels") or {}).items()}
    return MarathonApp(_text(row["id"]), int(row["instances"]), labels)


def _services(row: Any) -> frozenset[int]:
    """Return the service ports of an app, wherever its version of Marathon tells them."""
    container = row.get("container") or {}
    mapped = [*(container.get("portMappings") or ()), *((container.get("docker") or {}).get("portMappings") or ())]
    told = [*(row.get("ports") or ()), *(each.get("servicePort") or 0 for each in mapped)]
    told += [each.get("port") or 0 for each in row.get("portDefinitions") or ()]
    return frozenset(int(each) for each in told) - {0}


def _settings(body: Any) -> MarathonSettings:
    told = {**body.get("zookeeper_config", {}), **body["marathon_config"]}
    found = {each.name: told.get(each.name) for each in fields(MarathonSettings)}
    return MarathonSettings(**{name: None if value is None else float(value) for name, value in found.items()})


def _deployment(told: Any) -> str:
    """Return the id of the deployment that an answer tells of: of an app that was given as the first of its `deployments`."""
    if not isinstance(told, dict):
        raise TypeError(f"expected an object, found {told!r}")
    listed = told.get("deployments") or [{"id": told.get("deploymentId") or ""}]
    return _text(listed[0]["id"])


def _message(answer: bytes) -> str:
    """Return Marathon's own words, with its details, or what there is."""
    try:
        said: Any = untrusted.loads(answer)
        details = "; ".join(
            f"{each.get('path', '')}: {', '.join(map(str, each['errors']))}" for each in said.get("details") or () if "errors" in each
        )
        return f"{_text(said['message'])}{f' ({details})' if details else ''}"[: 4 * _SHOWN]
    except (ValueError, KeyError, TypeError, AttributeError):
        return _shown(answer)


def _shown(answer: bytes) -> str:
    return repr(answer[:_SHOWN].decode(errors="replace"))
