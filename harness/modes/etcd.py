"""etcd as a client sees it: keys, a member's own status, the list of members, over the JSON gateway of etcd 3.4.

Every request is one exchange with a bound on the whole of it, to one member; nothing is tried again. What went wrong is one of two kinds, because a
checker must know whether an unanswered write may be there: `NotDone` (no connection, or refused with a 4xx) or `InDoubt` (no answer in time, a reset,
a torn body, a 5xx, or one of `_DOUBTFUL`: what etcd says timed out, or was cancelled, may still commit).
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from harness.core.errors import InDoubt, NotDone
from harness.host import untrusted
from harness.web import NoAnswer, NotSent, Site

if TYPE_CHECKING:
    from collections.abc import Mapping

CLIENT_PORT = 2379

_CLIENT_ERROR = range(400, 500)
_DOUBTFUL = frozenset({408, 409, 499})
"""Of those, what the gateway makes of gRPC's Canceled (408; 499 from its second version on) and Aborted: one gave up, nobody refused."""
_OK = 200
_RAFT = b'"raft.status": '
"""How the line of ``/debug/vars`` begins that tells of raft: Go's expvar has one for each variable."""


@dataclass(frozen=True, slots=True)
class Status:
    """What a member says of itself. Ids are etcd's own 64-bit numbers."""

    term: int
    member_id: int
    leader_id: int  # 0 while it follows nobody; its own id if it leads


class Etcd:
    """A client of one member. `timeout` bounds each request as a whole, in seconds. For one thread; its sockets are made by the thread that asks."""

    def __init__(self, address: str, timeout: float, port: int = CLIENT_PORT) -> None:
        self.address = address
        self.timeout = timeout
        self._site = Site(address, port)

    def __enter__(self) -> Self:
        """Return the client; it is closed on the way out."""
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def put(self, key: str, value: str) -> None:
        """Write a key. When this returns a majority has it. Raises `NotDone` or `InDoubt`."""
        self._ask("kv/put", {"key": _packed(key), "value": _packed(value)})

    def get(self, key: str) -> str | None:
        """Read a key linearizably: what it returns was true at some moment of the call. None where there is no such key. Raises `NoGoodAnswer`."""
        kvs = self._range({"key": _packed(key)})
        return next(iter(kvs.values()), None)

    def prefix(self, prefix: str) -> Mapping[str, str]:
        """Read all keys that start with a (not empty) prefix, in one linearizable read. Raises `NoGoodAnswer`."""
        return self._range(_span(prefix))

    def clear(self, prefix: str) -> None:
        """Remove all keys that start with a prefix; that there are none is fine. Raises `NotDone` or `InDoubt`, and `ValueError` for an empty one.

        That would be every key there is, in an etcd that may be somebody else's.
        """
        if not prefix:
            raise ValueError("an empty prefix is every key there is")
        self._ask("kv/deleterange", _span(prefix))

    def status(self) -> Status:
        """Return the member's own view of the quorum; it asks no other member, so a cut-off one answers too. Raises `NoGoodAnswer`.

        Taken from raft itself (``raft.status`` in ``/debug/vars``), in one piece. The maintenance API is not used: it reads term and leader one after
        the other, and takes its term from the last applied entry, so that a new leader may claim to lead in its predecessor's term.
        """
        path = "debug/vars"
        body = self._exchange("GET", f"/{path}", path, None, only=_RAFT)
        try:
            raft = body["raft.status"]
            return Status(term=int(raft["term"]), member_id=int(raft["id"], 16), leader_id=int(raft["lead"], 16))
        except (KeyError, TypeError, ValueError) as e:
            raise self._rubbish(path, body) from e

    def members(self) -> Mapping[int, str]:
        """Return the names of all members by id, from this member's own memory (3.4 answers without a quorum). Raises `NoGoodAnswer`.

        A member that was added and has never started has an empty name.
        """
        body = self._ask("cluster/member/list", {})
        try:
            return {int(each["ID"]): str(each.get("name", "")) for each in body["members"]}
        except (KeyError, TypeError, ValueError, AttributeError) as e:
            raise self._rubbish("cluster/member/list", body) from e

    def close(self) -> None:
        """Let go of the connection. Twice is fine."""
        self._site.close()

    def _range(self, what: dict[str, str]) -> dict[str, str]:
        body = self._ask("kv/range", what)
        try:
            return {_unpacked(each["key"]): _unpacked(each.get("value", "")) for each in body.get("kvs", ())}
        except (KeyError, TypeError, ValueError, AttributeError) as e:
            raise self._rubbish("kv/range", body) from e

    def _ask(self, path: str, what: dict[str, str]) -> dict[str, Any]:
        """Make one request to the gateway. Whatever is returned has etcd's response header in it, so it is no one else's answer."""
        body = self._exchange("POST", f"/v3/{path}", path, json.dumps(what).encode())
        if "header" not in body:
            raise self._rubbish(path, body)
        return body

    def _exchange(self, method: str, target: str, path: str, sent: bytes | None, *, only: bytes = b"") -> dict[str, Any]:
        """Make one request and return the JSON object of its answer. Raises `NoGoodAnswer`.

        Where one line begins with the key `only`, no more than that is read: members are asked several times a second, and beside it stand the
        figures of all of Go's memory.
        """
        try:
            answer = self._site.exchange(method, target, seconds=self.timeout, body=sent)
        except NotSent as e:
            raise NotDone(str(e)) from e
        except NoAnswer as e:
            raise InDoubt(str(e)) from e
        if answer.status != _OK:
            kind = NotDone if answer.status in _CLIENT_ERROR and answer.status not in _DOUBTFUL else InDoubt
            raise kind(f"etcd at {self.address}, {path}: status {answer.status}: {answer.body[:200].decode(errors='replace').strip()}")
        try:
            body: Any = untrusted.loads(_line(answer.body, only) if only else answer.body)
        except ValueError as e:
            raise self._rubbish(path, answer.body) from e
        if not isinstance(body, dict):
            raise self._rubbish(path, answer.body)
        return body

    def _rubbish(self, path: str, saw: object) -> InDoubt:
        return InDoubt(f"etcd at {self.address}, {path}: expected an etcd 3.4 answer, saw {str(saw)[:120]}")


class Below:
    """Keys of one etcd that all lie below a name of their own: what other runs left in the same etcd is not seen.

    See `harness.core.protocols.Store`.
    """

    def __init__(self, etcd: Etcd, name: str) -> None:
        self._etcd = etcd
        self._name = name

    def put(self, key: str, value: str) -> None:
        """Write a key; see `Etcd.put`."""
        self._etcd.put(self._name + key, value)

    def get(self, key: str) -> str | None:
        """Read a key; see `Etcd.get`."""
        return self._etcd.get(self._name + key)

    def prefix(self, prefix: str) -> Mapping[str, str]:
        """Read all keys that start with a prefix; see `Etcd.prefix`."""
        return {key.removeprefix(self._name): value for key, value in self._etcd.prefix(self._name + prefix).items()}

    def clear(self) -> None:
        """Remove all keys below the name; see `Etcd.clear`."""
        self._etcd.clear(self._name)

    def close(self) -> None:
        """Let go of the connection. Twice is fine."""
        self._etcd.close()


def _line(body: bytes, key: bytes) -> bytes:
    """Return an object of the one line that begins with a key, or all of the body where not exactly one does."""
    found = [line for line in body.splitlines() if line.startswith(key)]
    return b"{" + found[0].rstrip(b",") + b"}" if len(found) == 1 else body


def _b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _packed(text: str) -> str:
    return _b64(text.encode())


def _unpacked(text: str) -> str:
    return base64.b64decode(text, validate=True).decode(errors="replace")


def _span(prefix: str) -> dict[str, str]:
    """Return the range of all keys that start with a prefix."""
    first = prefix.encode()
    return {"key": _b64(first), "range_end": _b64(_after(first))}


def _after(prefix: bytes) -> bytes:
    """Return the end of a prefix's range, as etcd wants it: the prefix with its last byte that is not 0xff counted up; of none, all keys."""
    kept = prefix.rstrip(b"\xff")
    return kept[:-1] + bytes([kept[-1] + 1]) if kept else b"\0"
