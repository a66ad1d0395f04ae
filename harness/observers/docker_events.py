"""What each node's Docker daemon says of its containers: a witness with a clock of its own, and one that hangs.

The daemon is asked for its events in slices: from the last one seen until a moment from now. A slice that ends on time is the daemon's own sign of
life; one that does not end means that it hangs. An endless stream would tell a daemon with nothing to say from a hung one only by its silence, and
the SDK's own `events()` waits without a bound. Between slices nothing is lost: the daemon keeps its last 256 events, and is asked from a little
before the newest one seen.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar

from harness.core import pace
from harness.core.errors import HarnessError, Unreachable
from harness.core.instances import APP_LABEL, INSTANCE_LABEL
from harness.core.protocols import DockerAccess, OwnClock
from harness.history.events import DockerEvent
from harness.host import untrusted
from harness.host.talk import LONGEST_LINE
from harness.observers.watch import PerNode

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import docker
    from requests import Response

    from harness.core.values import TaskNames
    from harness.observers.watch import Watch

SLICE_SECONDS = 0.8
"""How long the daemon is listened to before it must say that this was all."""
HUNG_SECONDS = 1.0
"""How long beyond that it may take, or to take a call at all, before it counts as hung."""
OVERLAP_SECONDS = 0.5
"""How far before the newest event the next slice begins: events are not kept in strict order of their times."""
ACTIONS = frozenset({"create", "start", "die", "kill", "destroy", "pause", "unpause", "restart", "stop", "oom"})
"""What is recorded. `exec_*` and health checks are left out: they are many, and move nothing."""
_REMEMBERED = 1000
_PIECE = 512
"""Bytes that are waited for at most before what has come is looked at."""
_HANGS = "the Docker daemon hangs"
_NANO = 1_000_000_000


class DockerObserver(PerNode):
    """Records a `DockerEvent` for each life event of a container since the observer was started."""

    name: ClassVar[str] = "docker"

    def __init__(self) -> None:
        super().__init__()
        self._since: dict[str, int] = {}  # node → newest event's time, in ns since the epoch
        self._seen: dict[str, dict[tuple[int, str, str], None]] = {}  # node → events recorded, oldest first

    def watch(self, watch: Watch) -> None:
        """Listen to one node's daemon until trouble, or until it is time to stop. Raises `Unreachable`, with the daemon hung or gone."""
        import docker  # noqa: PLC0415 - see `harness.nodes.namespaced`: this module is read by every process that knows the observers
        from requests import RequestException  # noqa: PLC0415 - same
        from urllib3.exceptions import HTTPError  # noqa: PLC0415 - same

        name = watch.node.name
        if not isinstance(watch.node, DockerAccess):
            raise Unreachable(name, "docker events", "this node offers no way to its Docker daemon")
        self._since.setdefault(name, int(_wall(watch) * _NANO))
        client = watch.node.docker(timeout=pace.answer(HUNG_SECONDS))
        try:
            while not watch.stop.is_set():
                for event in self._slice(client, watch):
                    self._take(event, watch)
                watch.say(alive=True)
        except (RequestException, HTTPError, docker.errors.DockerException, OSError) as e:
            raise Unreachable(name, "docker events", _silent(watch) or _HANGS if _late(e) else _words(e)) from e
        except (ValueError, TypeError, AttributeError, RecursionError) as e:
            raise Unreachable(name, "docker events", f"the Docker daemon told what is no event: {e}") from e
        finally:
            client.close()

    def _slice(self, client: docker.DockerClient, watch: Watch) -> Iterator[dict[str, Any]]:
        """Yield events as they come, until the slice's end. Raises what requests raises when the daemon keeps us waiting."""
        now = int(_wall(watch) * _NANO)
        until = now + int(SLICE_SECONDS * _NANO)
        # Where the clock was set back the newest event is still to come by it, and no daemon takes a slice that ends before it begins.
        self._since[watch.node.name] = min(self._since[watch.node.name], now)
        since = self._since[watch.node.name] - int(OVERLAP_SECONDS * _NANO)
        api = client.api
        # A requests session, like the SDK's own calls, but with a bound: `events()` insists on having none.
        with api.get(
            f"{api.base_url}/v{api.api_version}/events",
            params={"since": _stamp(since), "until": _stamp(until), "filters": '{"type":["container"]}'},
            stream=True,
            timeout=(pace.answer(HUNG_SECONDS), SLICE_SECONDS + pace.answer(HUNG_SECONDS)),
        ) as answer:
            answer.raise_for_status()
            for line in _lines(answer, watch):
                event: Any = untrusted.loads(line)
                yield event

    def _take(self, event: dict[str, Any], watch: Watch) -> None:
        name = watch.node.name
        action = str(event.get("Action", "")).partition(":")[0]
        actor = event.get("Actor") or {}
        at = int(event.get("timeNano") or 0)
        key = (at, str(actor.get("ID", "")), action)
        seen = self._seen.setdefault(name, {})
        self._since[name] = max(self._since[name], at)
        if action not in ACTIONS or key in seen:
            return
        seen[key] = None
        if len(seen) > _REMEMBERED:
            del seen[next(iter(seen))]
        # Taken anew each time, because either wall clock may be set.
        offset = _wall(watch) - watch.clock.now() + watch.recorder.origin
        which = instance(actor.get("Attributes") or {}, *watch.cluster.tasks)
        watch.recorder.record(DockerEvent(name, action, key[1], which, round(at / _NANO - offset, 6)))


def instance(attributes: Mapping[str, Any], *tasks: TaskNames | None) -> str:
    """Return the instance that a container is by what Docker says of it, its labels and its name; empty for one that is not ours.

    By a label of its own, or, where all containers of an app have the same ones, by what their mode, or their user, calls each.
    """
    if INSTANCE_LABEL in attributes:
        return str(attributes[INSTANCE_LABEL])
    for each in tasks:
        named = re.fullmatch(each.pattern, str(attributes.get(each.label or "name", ""))) if each is not None else None
        if each is None or named is None:
            continue
        app = each.of or str(attributes.get(APP_LABEL, ""))
        if app and (each.of or named["app"] == app):
            return f"{app}@{named.groupdict().get('number') or 1}"  # no variable: Docker tells none
    return ""


def _lines(answer: Response, watch: Watch) -> Iterator[bytes]:
    """Yield an answer's lines as they come, until it is time to stop, however much there is to say. Raises `ValueError` for one without an end."""
    rest = b""
    # Not `iter_content`, which reads as much at once as the daemon says there is, and takes a length below zero for no bound.
    while piece := answer.raw.read1(_PIECE, decode_content=False):
        if watch.stop.is_set():
            return
        *whole, rest = (rest + piece).split(b"\n")
        yield from filter(bytes.strip, whole)
        if len(rest) > LONGEST_LINE:
            raise ValueError(f"a line of more than {LONGEST_LINE} bytes")
    if rest.strip():
        yield rest


def _wall(watch: Watch) -> float:
    """Return the time on the wall clock that the node's daemon goes by, in seconds since the epoch."""
    return watch.clock.wall() + (watch.node.offset() if isinstance(watch.node, OwnClock) else 0.0)


def _late(error: Exception) -> bool:
    """Whether nothing came in time. requests calls a time-out while reading a lost connection."""
    from requests import Timeout  # noqa: PLC0415 - see `DockerObserver.watch`

    return isinstance(error, Timeout) or "timed out" in str(error)


def _silent(watch: Watch) -> str:
    """Say that the node itself gives no answer, where it gives none: then nothing is known of its daemon. Nothing where it answers."""
    try:
        watch.node.run("true", timeout=pace.answer(HUNG_SECONDS))
    except HarnessError as e:
        return f"could not ask: the node itself gives no answer ({e.saw if isinstance(e, Unreachable) else e})"
    return ""


def _words(error: Exception) -> str:
    """Say what is wrong with a daemon. requests' own texts hold objects' addresses."""
    from requests import ConnectionError as RequestsConnectionError  # noqa: PLC0415 - see `DockerObserver.watch`
    from requests import HTTPError  # noqa: PLC0415 - same
    from urllib3.exceptions import ProtocolError  # noqa: PLC0415 - same

    if isinstance(error, HTTPError):
        return f"the Docker daemon answered {error}"
    if isinstance(error, ConnectionError | RequestsConnectionError | ProtocolError):
        return "no connection to the Docker daemon, or it was lost"
    return f"the Docker daemon gave no good answer: {type(error).__name__}: {error}"


def _stamp(nano: int) -> str:
    """Give a time as the Docker API takes it: seconds, a dot, nine digits."""
    return f"{nano // _NANO}.{nano % _NANO:09d}"
