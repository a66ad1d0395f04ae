"""Docker's API at one node, as far as swarm mode needs it, over the management path.

Join tokens only ever stand in bodies; whatever a daemon says goes through `clean` before it is shown to anybody.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from harness.core import stops
from harness.core.clock import Clock, Deadline, SystemClock
from harness.core.errors import HarnessError, Unreachable, behind
from harness.core.figures import given
from harness.core.instances import APP_LABEL
from harness.core.protocols import DockerAccess
from harness.host import untrusted
from harness.modes import on_nodes
from harness.web import BY_WHAT_WAS_SENT, LARGEST, NoAnswer, NotSent

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from harness.core.protocols import Node

T = TypeVar("T")
PORT = 2377
"""Where managers listen for other nodes."""
NANO = 1_000_000_000
"""Docker's API counts durations in nanoseconds."""
STACK_LABEL = "com.docker.stack.namespace"
"""Label that Docker gives everything of a stack, its containers as well: the stack's name."""
GONE = frozenset({"shutdown", "remove", "complete", "failed", "rejected", "orphaned"})
"""What swarm wants of tasks that are over; any other wish is for a task that runs, or will."""
LOST = frozenset({"down", "disconnected"})
"""States of a node that swarm has given up."""
ASK_SECONDS = 2.0
"""A daemon that takes longer, or a manager that looks for a leader so long, gives no good answer."""
WORK_SECONDS = 10.0
"""How long making or removing a service, or removing an image, may take."""
AGAIN_SECONDS = 0.1
"""How long to wait before something is asked again that will soon be so."""
_TOKEN = re.compile(r"SWMTKN-[0-9A-Za-z-]+")
_LONG = re.compile(r"[0-9a-zA-Z-]{30,}")  # ids and hashes, which tell a reader nothing
_CHUNK = 65536
_OK = range(200, 300)


def clean(text: str) -> str:
    """Return a text without join tokens."""
    return _TOKEN.sub("(a join token)", text)


@dataclass(frozen=True, slots=True)
class DockerAnswer:
    """What a daemon answered, whatever its status. `body` is its JSON, or None where there was none."""

    status: int
    body: Any

    @property
    def ok(self) -> bool:
        """Whether the status is one of success."""
        return self.status in _OK

    @property
    def words(self) -> str:
        """The status, and the daemon's own message."""
        said = self.body.get("message", "") if isinstance(self.body, dict) else ""
        return f"{self.status}: {clean(str(said))[:300].strip() or 'no message'}"


@dataclass(frozen=True, slots=True)
class Membership:
    """What a daemon says of its own part in a swarm."""

    state: str  # inactive, pending, active, error, locked
    node_id: str
    manager: bool
    error: str
    managers: tuple[str, ...]  # addresses of the managers that it knows


@dataclass(frozen=True, slots=True)
class SwarmNode:
    """A node as swarm lists it."""

    id: str
    hostname: str
    state: str  # ready, unknown, down, disconnected
    addresses: tuple[str, ...]  # the manager's own first
    manager: bool
    leader: bool

    @property
    def listed(self) -> bool:
        """Whether swarm counts on it. After a change of leader every node is ``unknown`` until it speaks, and is not given up."""
        return self.state not in LOST


@dataclass(frozen=True, slots=True)
class Task:
    """One task of an app of ours, as swarm lists it."""

    app: str
    slot: int
    node_id: str  # empty while it has no home
    state: str  # Docker's own word
    desired: str
    created: str  # sorts by time
    error: str
    ports: tuple[tuple[int, int], ...]  # the container's, the node's

    @property
    def wanted(self) -> bool:
        """Whether swarm means it to run, now or soon."""
        return self.desired not in GONE


@dataclass(frozen=True, slots=True)
class KnownSpec:
    """What swarm was told of a service or a node, and which version of it that is: a change names the version that it changes."""

    id: str
    version: int
    spec: Mapping[str, Any]
    update: str = (
        ""  # how far swarm is with the last change of a service's tasks: updating, paused, completed …; empty where none was begun
    )
    message: str = ""  # swarm's own word on that


@dataclass(frozen=True, slots=True)
class KnownSwarm:
    """A swarm as its managers know it. Never shown to anybody: see `Daemon.swarm`."""

    heartbeat: float  # seconds
    manager_token: str = field(repr=False)
    worker_token: str = field(repr=False)


class Daemon:
    """A node's Docker daemon. Safe to use from several threads; touches nothing before it is asked.

    `timeout` bounds each request, in seconds: the time until an answer begins, and again until it is whole. Each request has a connection of its own:
    a machine that was off and on again is then found where it is now, and the SDK leaves a socket open when a kept connection cannot be made again.
    """

    def __init__(self, node: Node, timeout: float, clock: Clock | None = None) -> None:
        self.node = node
        self.timeout = timeout
        self._clock = clock or SystemClock()

    def ask(self, method: str, path: str, body: Any = None, seconds: float | None = None) -> DockerAnswer:
        """Ask once, and return whatever is answered. Raises `NotSent` or `NoAnswer`, never anything else for what the daemon does."""
        import docker  # noqa: PLC0415 - see `harness.nodes.namespaced`: this module is read by every process that knows the modes
        from requests import RequestException  # noqa: PLC0415 - same
        from urllib3.exceptions import HTTPError  # noqa: PLC0415 - same

        bound = self.timeout if seconds is None else min(seconds, self.timeout)
        where = f"{self.node.name}: {_shown(method, path)}"
        stops.go_on()
        deadline = Deadline(self._clock, bound)
        try:
            if not isinstance(self.node, DockerAccess):
                raise Unreachable(self.node.name, "docker", "this node offers no way to its Docker daemon")
            client = self.node.docker(timeout=bound)
        except Unreachable as e:
            raise NotSent(where, e.saw) from e
        api = client.api
        try:
            with api.request(
                method,
                f"{api.base_url}/v{api.api_version}{path}",
                data=None if body is None else json.dumps(body),
                headers={"Content-Type": "application/json"},
                timeout=max(bound, 0.001),
                stream=True,
            ) as response:
                return DockerAnswer(response.status_code, _json(b"".join(_pieces(response.raw, deadline, where, bound))))
        except (RequestException, docker.errors.DockerException, HTTPError, OSError, *BY_WHAT_WAS_SENT) as e:
            kind = NotSent if _never_sent(e) else NoAnswer
            raise kind(where, _words(e, bound)) from e
        finally:
            client.close()

    def alive(self) -> None:
        """Return if the daemon gives a sign of life. Raises `Unreachable`."""
        self._good("GET", "/_ping", lambda _: None)

    def membership(self) -> Membership:
        """Return what the daemon says of its own part in a swarm; it asks nobody else. Raises `Unreachable`."""
        return self._good("GET", "/info", _membership)

    def machines(self) -> tuple[SwarmNode, ...]:
        """Return all nodes of the swarm, as the leader knows them. Raises `Unreachable`, also where this is no manager or there is no leader."""
        return self._good("GET", "/nodes", lambda body: tuple(_machine(each) for each in body))

    def tasks(self, stacks: Collection[str] = ()) -> tuple[Task, ...]:
        """Return all tasks of apps of ours, and of these stacks, as the leader knows them. Raises `Unreachable`, as `machines`."""
        return self._good("GET", "/tasks", lambda body: tuple(task for each in body if (task := _task(each, stacks))))

    def swarm(self) -> KnownSwarm:
        """Return the swarm with its join tokens, which must go no further than into the body of a join. Raises `Unreachable`, as `machines`."""
        return self._good("GET", "/swarm", _swarm)

    def service(self, name: str) -> Mapping[str, str] | None:
        """Return a service's labels, or None where there is none of that name. Raises `Unreachable`, as `machines`."""
        return self._good(
            "GET", f"/services/{quote(name)}", lambda body: None if body is None else dict(body["Spec"].get("Labels") or {}), {404}
        )

    def of_stack(self, kind: str, stack: str, *labels: str) -> Mapping[str, str]:
        """Return the ids, with names, of what a stack has of a kind (``services``, ``networks``) with these labels. Raises `Unreachable`."""
        filters = quote(json.dumps({"label": [f"{STACK_LABEL}={stack}", *labels]}))

        def read(body: Any) -> Mapping[str, str]:
            return {str(each.get("ID") or each["Id"]): str(each.get("Name") or each["Spec"]["Name"]) for each in body}

        return self._good("GET", f"/{kind}?filters={filters}", read)

    def known_spec(self, path: str) -> KnownSpec | None:
        """Return what stands at ``/services/NAME`` or ``/nodes/ID``, or None where there is none. Raises `Unreachable`, as `machines`."""
        return self._good(
            "GET",
            path,
            lambda body: None if body is None else _known_spec(body),
            {404},
        )

    def has_image(self, image: str) -> bool:
        """Whether this node has an image. Raises `Unreachable`."""
        return self._good("GET", f"/images/{quote(image, safe='')}/json", lambda body: body is not None, {404})

    def containers(self, *labels: str) -> tuple[str, ...]:
        """Return the ids of all containers with these labels (``key=value``), running or not. Raises `Unreachable`."""
        filters = quote(json.dumps({"label": list(labels)}))
        return self._good("GET", f"/containers/json?all=1&filters={filters}", lambda body: tuple(str(each["Id"]) for each in body))

    def _good(self, method: str, path: str, parse: Callable[[Any], T], absent: Collection[int] = ()) -> T:
        """Ask, and return what a good answer holds; what holds an answer of a status in `absent` is None. Raises `Unreachable` for every other."""
        asked = _shown(method, path)
        try:
            answer = self.ask(method, path)
        except (NotSent, NoAnswer) as e:
            raise Unreachable(self.node.name, asked, e.words) from e
        if not answer.ok and answer.status not in absent:
            raise Unreachable(self.node.name, asked, answer.words)
        try:
            return parse(answer.body if answer.ok else None)
        except (KeyError, TypeError, ValueError, AttributeError) as e:
            raise Unreachable(self.node.name, asked, f"an answer of another shape than Docker's: {type(e).__name__}: {e}") from e


def first(nodes: list[Node], timeout: float, act: Callable[[Daemon], T]) -> T:
    """Return what `act` gives at the first node at which it does not raise `Unreachable`. Raises `Unreachable` with what each said."""
    asked = ", ".join(node.name for node in nodes) or "nobody"
    return on_nodes.at_first(nodes, lambda node: act(Daemon(node, timeout)), asked, "a manager of the swarm")


def refused(answer: DockerAnswer, node: Node, what: str) -> HarnessError:
    """Return an error for something that a daemon would not do."""
    return HarnessError(f"{node.name}: Docker refuses {what}: {answer.words}")


def _shown(method: str, path: str) -> str:
    """Give a request for an error."""
    return f"Docker's {method} {_LONG.sub('…', path.partition('?')[0])}"


def _pieces(body: Any, deadline: Deadline, where: str, bound: float) -> Iterator[bytes]:
    """Yield a body's pieces as they come, within a bound on the whole: `requests` itself would wait for each to be full."""
    size = 0
    while chunk := body.read1(_CHUNK, decode_content=False):
        size += len(chunk)
        if size > LARGEST:
            raise NoAnswer(where, f"the answer is longer than {LARGEST} bytes")
        yield chunk
        if deadline.expired:
            raise NoAnswer(where, f"no whole answer within {given(bound)}")


def _json(raw: bytes) -> Any:
    try:
        return untrusted.loads(raw)
    except ValueError:
        return None  # /_ping answers OK, and some errors come as text


def _never_sent(error: BaseException) -> bool:
    """Whether an error says that no connection was made. A kept connection that broke may have carried the request."""
    from requests import ConnectTimeout  # noqa: PLC0415 - see `Daemon.ask`
    from urllib3.exceptions import NewConnectionError  # noqa: PLC0415 - same

    return any(isinstance(each, ConnectTimeout | NewConnectionError | ConnectionRefusedError | FileNotFoundError) for each in behind(error))


def _words(error: Exception, bound: float) -> str:
    """Say what is wrong with a daemon in words that do not change from one try to the next."""
    from requests import Timeout  # noqa: PLC0415 - see `Daemon.ask`

    if isinstance(error, Timeout) or "timed out" in str(error):
        return f"no whole answer within {given(bound)}"
    if _never_sent(error):
        return "no connection to the Docker daemon"
    return f"the connection to the Docker daemon was lost ({type(error).__name__})"


def _known_spec(body: Any) -> KnownSpec:
    update = body.get("UpdateStatus") or {}
    told = (str(update.get("State") or ""), clean(str(update.get("Message") or "")))
    return KnownSpec(str(body["ID"]), int(body["Version"]["Index"]), dict(body["Spec"]), *told)


def _membership(body: Any) -> Membership:
    swarm = body["Swarm"]
    managers = tuple(str(each["Addr"]).rpartition(":")[0] for each in swarm.get("RemoteManagers") or ())
    return Membership(
        str(swarm["LocalNodeState"]), str(swarm["NodeID"]), bool(swarm["ControlAvailable"]), clean(str(swarm.get("Error") or "")), managers
    )


def _machine(body: Any) -> SwarmNode:
    manager = body.get("ManagerStatus") or {}
    # A leader's own Status.Addr may be 0.0.0.0, so what it tells others to use comes first.
    addresses = [str(manager.get("Addr") or "").rpartition(":")[0], str((body.get("Status") or {}).get("Addr") or "")]
    return SwarmNode(
        id=str(body["ID"]),
        hostname=str((body.get("Description") or {}).get("Hostname") or ""),
        state=str(body["Status"]["State"]),
        addresses=tuple(each for each in addresses if each),
        manager=bool(manager),
        leader=bool(manager.get("Leader")),
    )


def _task(body: Any, stacks: Collection[str]) -> Task | None:
    """Return a task of an app of ours, or None for any other."""
    labels = ((body.get("Spec") or {}).get("ContainerSpec") or {}).get("Labels") or {}
    stack = labels.get(STACK_LABEL)
    app = labels.get(APP_LABEL) or (stack if stack in stacks else None)
    if not app:
        return None
    status = body["Status"]
    ports = (status.get("PortStatus") or {}).get("Ports") or ()
    return Task(
        app=str(app),
        slot=int(body.get("Slot") or 0),
        node_id=str(body.get("NodeID") or ""),
        state=str(status["State"]),
        desired=str(body["DesiredState"]),
        created=_sortable(str(body["CreatedAt"])),
        error=clean(str(status.get("Err") or "")),
        ports=tuple((int(each["TargetPort"]), int(each["PublishedPort"])) for each in ports if each.get("PublishedPort")),
    )


def _sortable(stamp: str) -> str:
    """Return a time of Go's in a form that sorts: Go leaves out the last zeros of a fraction."""
    whole, _, fraction = stamp.removesuffix("Z").partition(".")
    return f"{whole}.{fraction:0<9}"


def _swarm(body: Any) -> KnownSwarm:
    tokens = body["JoinTokens"]
    return KnownSwarm(int(body["Spec"]["Dispatcher"]["HeartbeatPeriod"]) / NANO, str(tokens["Manager"]), str(tokens["Worker"]))
