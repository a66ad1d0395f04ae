"""Small values in a swarm's quorum: one of Docker's configs a key.

A config is created by a raft proposal that is answered when a majority has it, and is never changed afterwards, which is what a register that is
written once needs. A manager that does not lead hands each request on to the leader; a leader reads from its own memory. So a leader that was cut off
goes on answering reads, from the past, until it steps down (an election timeout at most). A value that was found is right all the same, since no
key is written twice; only "there is none" could be old news. Before that is said, a write of our own must have gone through the same manager: who
led then knew all that had been acknowledged before.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from harness.core.clock import Clock, Deadline, SystemClock
from harness.core.errors import InDoubt, NoGoodAnswer, NotDone
from harness.core.instances import RUN_LABEL
from harness.modes.swarm.swarm_api import Daemon, DockerAnswer
from harness.web import NoAnswer, NotSent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.core.protocols import Node

KEY = "whalefall.key"
"""Label of a config that is one of ours; its value is the key."""
VALUE = "whalefall.value"
"""Label that holds what was written."""
BARRIER = "whalefall.barrier"
"""Label of a config that was only written to see that writes go through."""
_HERE = ("This node is not a swarm manager", "This node is not part of a swarm", "Swarm is encrypted")
_ABSENT = 404
_CLIENT_ERROR = range(400, 500)
_DOUBTFUL = frozenset({408, 409})
_DATA = base64.b64encode(b"-").decode()  # a config of no bytes is refused


class ConfigStore:
    """Values by key, through one manager; see `harness.core.protocols.Store`. `timeout` bounds each call as a whole, in seconds. For one thread.

    Nothing is tried again. A key may be written once a run: a second write of it is refused by swarm, and comes back as `InDoubt`. What other runs
    have left in the same swarm is not seen.
    """

    def __init__(self, node: Node, run_id: str, timeout: float, clock: Clock | None = None) -> None:
        self._run = run_id
        self._timeout = timeout
        self._clock = clock or SystemClock()
        self._node = node
        self._daemon = Daemon(node, timeout, self._clock)

    def put(self, key: str, value: str) -> None:
        """Write a key. When this returns a majority of the managers has it. Raises `NotDone` or `InDoubt`."""
        self._create(name(self._run, key), {KEY: key, VALUE: value}, Deadline(self._clock, self._timeout))

    def get(self, key: str) -> str | None:
        """Read a key. None where there was none at some moment of the call, which costs a write to be sure of. Raises `NotDone` or `InDoubt`."""
        deadline = Deadline(self._clock, self._timeout)
        found = self._read(key, deadline)
        if found is None:
            self._barrier(deadline)
            found = self._read(key, deadline)
        return found

    def prefix(self, prefix: str) -> Mapping[str, str]:
        """Read all keys that start so, after a write of our own went through: every write that was acknowledged before is in it.

        Raises `NotDone` or `InDoubt`.
        """
        deadline = Deadline(self._clock, self._timeout)
        self._barrier(deadline)
        answer = self._ask("GET", self._listing(KEY), None, deadline)
        if not answer.ok:
            raise self._bad(answer, "GET /configs")
        try:
            labels = [each["Spec"]["Labels"] for each in answer.body]
            return {str(each[KEY]): str(each[VALUE]) for each in labels if str(each[KEY]).startswith(prefix)}
        except (KeyError, TypeError) as e:
            raise InDoubt(f"{self._node.name}: Docker's GET /configs: an answer of another shape than Docker's: {e}") from e

    def close(self) -> None:
        """Do nothing: no connection is kept from one request to the next."""

    def clear(self) -> None:
        """Remove everything that the run has written. Raises `NotDone` or `InDoubt`."""
        for label in (KEY, BARRIER):
            deadline = Deadline(self._clock, self._timeout)
            answer = self._ask("GET", self._listing(label), None, deadline)
            if not answer.ok:
                raise self._bad(answer, "GET /configs")
            for each in answer.body or ():
                self._delete(str(each["ID"]), Deadline(self._clock, self._timeout))

    def _listing(self, label: str) -> str:
        return f"/configs?filters={quote(json.dumps({'label': [label, f'{RUN_LABEL}={self._run}']}))}"

    def _read(self, key: str, deadline: Deadline) -> str | None:
        answer = self._ask("GET", f"/configs/{name(self._run, key)}", None, deadline)
        if answer.status == _ABSENT:
            return None
        if not answer.ok:
            raise self._bad(answer, "GET /configs/…")
        try:
            return str(answer.body["Spec"]["Labels"][VALUE])
        except (KeyError, TypeError) as e:
            raise InDoubt(f"{self._node.name}: Docker's GET /configs/…: an answer of another shape than Docker's: {e}") from e

    def _barrier(self, deadline: Deadline) -> None:
        """Write something nobody needs, and remove it again if that goes well."""
        made = self._create(f"whalefall-barrier-{secrets.token_hex(12)}", {BARRIER: "1"}, deadline)
        try:
            self._delete(made, deadline)
        except NoGoodAnswer:
            return  # the write went through: that it lies around harms nobody

    def _create(self, named: str, labels: Mapping[str, str], deadline: Deadline) -> str:
        answer = self._ask("POST", "/configs/create", {"Name": named, "Labels": {**labels, RUN_LABEL: self._run}, "Data": _DATA}, deadline)
        if not answer.ok:
            raise self._bad(answer, "POST /configs/create")
        return str(answer.body.get("ID", "")) if isinstance(answer.body, dict) else ""

    def _delete(self, config: str, deadline: Deadline) -> None:
        answer = self._ask("DELETE", f"/configs/{quote(config)}", None, deadline)
        if not answer.ok and answer.status != _ABSENT:
            raise self._bad(answer, "DELETE /configs/…")

    def _ask(self, method: str, path: str, body: Any, deadline: Deadline) -> DockerAnswer:
        try:
            return self._daemon.ask(method, path, body, seconds=deadline.left())
        except NotSent as e:
            raise NotDone(str(e)) from e
        except NoAnswer as e:
            raise InDoubt(str(e)) from e

    def _bad(self, answer: DockerAnswer, what: str) -> NoGoodAnswer:
        """Return what an answer of no success means for a write.

        Certain are a 4xx, and what a daemon says of itself before it hands anything on. All else may still be done: "context deadline exceeded" and
        "lost leader status" come after the proposal was made, and "does not have a leader" also when a first leader was lost after it had taken the
        request (swarmkit hands it on once more). For the same reason "already exists" may speak of this very write.
        """
        certain = (answer.status in _CLIENT_ERROR and answer.status not in _DOUBTFUL) or any(text in answer.words for text in _HERE)
        kind = NotDone if certain else InDoubt
        return kind(f"{self._node.name}: Docker's {what}: {answer.words}")


def name(run_id: str, key: str) -> str:
    """Return the name of a key's config: Docker takes 64 letters, digits, dots and dashes."""
    return f"whalefall-{hashlib.sha256(f'{run_id} {key}'.encode()).hexdigest()[:48]}"
