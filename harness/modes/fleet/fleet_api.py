"""A client of fleet's HTTP API at one node.

A good answer is parsed into frozen values; anything else (no connection, a 5xx, JSON of another shape) is `Unreachable` with what was seen,
because none of it says anything about the cluster.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from harness.core.clock import Deadline, SystemClock
from harness.core.errors import HarnessError, Unreachable
from harness.core.instances import APP_LABEL
from harness.host import untrusted
from harness.web import Connections, NoAnswer, WebTrouble

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from harness.modes.fleet.unit_files import UnitFile

PORT = 49153
"""TCP port of the API on every node."""

_PAGES = 1000  # of 100 items each; more means a server that never ends
_SHOWN = 200  # characters of a strange answer that go into an error
_HTTP_ERROR = 400
_SERVER_ERROR = 500

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class FleetMachine:
    """A machine that fleet lists."""

    id: str
    address: str  # primaryIP; empty while fleetd does not know it
    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit that fleet was given, and where its schedule puts it."""

    name: str
    desired: str  # inactive, loaded, launched
    current: str  # same; by the agent's heartbeat, not by systemd
    machine: str  # id; empty while it has no home, and for global units
    everywhere: bool  # a global unit: has no home by nature
    ours: bool = False  # its container gets the labels by which we follow those of apps


@dataclass(frozen=True, slots=True)
class State:
    """What one machine's systemd said of a unit, at most a TTL ago: a dead machine's rows stay until then."""

    name: str
    machine: str  # id
    active: str  # e.g. active, failed
    sub: str  # e.g. running


_CONNECTIONS = Connections()
_LABEL = f"--label {APP_LABEL}="


@dataclass(frozen=True, slots=True)
class Api:
    """fleet's API at one node of the cluster `scope` (a run id). Safe to use from any thread that is inside that cluster's network.

    A request takes at most `timeout` seconds, and a list of several pages so much a page.
    """

    node: str
    address: str
    scope: str
    timeout: float = 2.0
    port: int = PORT

    def machines(self) -> tuple[FleetMachine, ...]:
        """Return all machines. Raises `Unreachable`."""
        return self._list("machines", "machines", _machine)

    def units(self) -> tuple[Unit, ...]:
        """Return all units. Raises `Unreachable`."""
        return self._list("units", "units", _unit)

    def states(self) -> tuple[State, ...]:
        """Return all rows of unit states. Raises `Unreachable`."""
        return self._list("state", "states", _state)

    def launch(self, unit: UnitFile) -> None:
        """Give fleet a unit and ask for it to run; one of the same name is replaced.

        Raises `Unreachable` where fleet could not do it now, `HarnessError` where it refuses the unit.
        """
        options = [{"section": each.section, "name": each.name, "value": each.value} for each in unit.options]
        self._put(unit.name, {"desiredState": "launched", "options": options}, f"; the unit is:\n{unit.shown()}")

    def want(self, unit: str, state: str) -> None:
        """Ask for a unit that is there to be ``launched``, or only ``loaded``: then it is stopped, and stays where it is. Raises as `launch`."""
        self._put(unit, {"desiredState": state}, "")

    def _put(self, unit: str, wanted: Mapping[str, Any], more: str) -> None:
        path = f"/fleet/v1/units/{quote(unit)}"
        status, answer = self._ask("PUT", path, json.dumps({"name": unit, **wanted}).encode())
        if status >= _SERVER_ERROR:
            raise Unreachable(self.node, f"PUT {path}", f"{status}: {_message(answer)}")
        if status >= _HTTP_ERROR:
            raise HarnessError(f"{self.node}: fleet refuses the unit {unit}: {status}: {_message(answer)}{more}")

    def _list(self, what: str, key: str, parse: Callable[[Any], T]) -> tuple[T, ...]:
        path = f"/fleet/v1/{what}"
        found: list[T] = []
        token = ""
        seen = set()
        for _ in range(_PAGES):
            status, answer = self._ask("GET", f"{path}?nextPageToken={quote(token, safe='')}" if token else path)
            if status != 200:  # noqa: PLR2004 - HTTP's OK
                raise Unreachable(self.node, f"GET {path}", f"{status}: {_message(answer)}")
            try:
                page: Any = untrusted.loads(answer)
                # fleet leaves an empty list out.
                found += [parse(each) for each in page.get(key) or ()]
                token = _text(page.get("nextPageToken") or "")
                known = token in seen
            except (ValueError, KeyError, TypeError, AttributeError) as e:
                raise Unreachable(
                    self.node, f"GET {path}", f"an answer that is not fleet's: {_shown(answer)} ({type(e).__name__}: {e})"
                ) from e
            if not token:
                return tuple(found)
            if known:
                break
            seen.add(token)
        raise Unreachable(self.node, f"GET {path}", f"pages without end (last token {token!r})")

    def _ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        site = _CONNECTIONS.site(self.scope, self.address, self.port)
        headers = {"Content-Type": "application/json"} if body is not None else None
        deadline = Deadline(SystemClock(), self.timeout)
        try:
            try:
                answer = site.exchange(method, path, seconds=self.timeout, body=body, headers=headers)
            except NoAnswer:
                if deadline.expired:
                    raise
                # Most likely a kept connection whose other end has started anew. Asking twice does no harm: PUT is a replacement.
                answer = site.exchange(method, path, seconds=deadline.left(), body=body, headers=headers)
        except WebTrouble as e:
            raise Unreachable(self.node, f"{method} {path}", e.words) from e
        return answer.status, answer.body


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected text, found {value!r}")
    return value


def _machine(row: Any) -> FleetMachine:
    metadata = row.get("metadata") or {}
    return FleetMachine(_text(row["id"]), _text(row.get("primaryIP", "")), {_text(key): _text(value) for key, value in metadata.items()})


def _unit(row: Any) -> Unit:
    options = row.get("options") or ()
    everywhere = any(
        (each.get("section"), each.get("name")) == ("X-Fleet", "Global")
        and str(each.get("value")).lower() in {"true", "1", "yes", "y", "on", "t"}
        for each in options
    )
    return Unit(
        _text(row["name"]),
        _text(row.get("desiredState", "")),
        _text(row.get("currentState", "")),
        _text(row.get("machineID", "")),
        everywhere,
        any(_LABEL in str(each.get("value")) for each in options),
    )


def _state(row: Any) -> State:
    return State(_text(row["name"]), _text(row.get("machineID", "")), _text(row["systemdActiveState"]), _text(row["systemdSubState"]))


def _message(answer: bytes) -> str:
    """Return fleet's own words, or what there is."""
    try:
        said: Any = untrusted.loads(answer)
        return _text(said["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return _shown(answer)


def _shown(answer: bytes) -> str:
    return repr(answer[:_SHOWN].decode(errors="replace"))
