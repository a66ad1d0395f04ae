"""What a manager's raft says of itself, read from its dockerd's journal.

Docker's API tells who leads, but neither the term nor what a manager that is cut off believes by itself. raft's own lines tell both, and they are
written at Docker's usual log level. A claim is only as fresh as the daemon is alive, so whoever asks here asks the daemon for a sign of life as well.
"""

from __future__ import annotations

import re
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from harness.core import pace
from harness.core.errors import HarnessError, Unreachable
from harness.core.protocols import Streaming
from harness.core.threads import CertainThread

if TYPE_CHECKING:
    from harness.core.clock import Clock
    from harness.core.protocols import Node, Stream

UNIT = "docker.service"
"""The unit whose journal holds raft's lines."""
SNAPSHOT_SECONDS = 10.0
"""How long reading the journal up to now may take."""
FIRST_SECONDS = 2.0
"""How long the first question may wait for that."""
NOTHING = f"{UNIT} has no line of raft's there: this is no manager, or its older lines are gone and it has been restarted by nobody since"
"""Why a manager's own word cannot be had from a journal that can be read."""
_AGAIN_SECONDS = 0.2
_JOIN_SECONDS = 2.0
_CURSOR = b"-- cursor: "
_ID = r"(?P<own>[0-9a-f]+)"
_MESSAGE = re.compile(r'msg="((?:[^"\\]|\\.)*)"')
_FOLLOWER = re.compile(rf"{_ID} became (?:pre-)?(?:follower|candidate) at term (?P<term>\d+)")
_LEADER = re.compile(rf"{_ID} became leader at term (?P<term>\d+)")
_LED = re.compile(rf"raft\.node: {_ID} (?:elected leader|changed leader from [0-9a-f]+ to) (?P<leader>[0-9a-f]+) at term (?P<term>\d+)")
_LOST = re.compile(rf"raft\.node: {_ID} lost leader [0-9a-f]+ at term (?P<term>\d+)")
# A message that only a leader sends: whoever takes a higher term from it follows its sender from then on, and says nothing more.
_FROM_LEADER = re.compile(
    rf"{_ID} \[term: \d+\] received a Msg(?:App|Heartbeat|Snap) message with higher term from (?P<leader>[0-9a-f]+) \[term: (?P<term>\d+)\]"
)
_NEW = re.compile(rf"newRaft {_ID} ")


class Raft:
    """One manager's own (term, leader), line by line. Ids are raft's: hexadecimal digits."""

    def __init__(self) -> None:
        self.own = ""  # until its first line
        self.term = 0  # same
        self.leader = ""  # whom it follows; empty: nobody
        self._sent: tuple[int, str] = (0, "")  # term and sender of the message that will raise the term

    def hear(self, line: str) -> None:
        """Take in a line of the journal; one that is not raft's is passed over."""
        if "module=raft" not in line:
            return
        found = _MESSAGE.search(line)
        if found is None:
            return
        message = found[1]
        if match := _FROM_LEADER.match(message):
            self._me(match["own"])
            self._sent = (int(match["term"]), match["leader"])
        elif match := _FOLLOWER.match(message):
            self._me(match["own"])
            term = int(match["term"])
            self._now(term, self._sent[1] if self._sent[0] == term else "")
            self._sent = (0, "")
        elif match := _LEADER.match(message):
            self._me(match["own"])
            self._now(int(match["term"]), match["own"])
        elif match := _LED.match(message):
            self._me(match["own"])
            self._now(int(match["term"]), match["leader"])
        elif match := _LOST.match(message):
            self._me(match["own"])
            self._now(int(match["term"]), "")
        elif match := _NEW.match(message):
            # It has just been started, and follows nobody yet.
            self._me(match["own"])
            self.leader = ""

    def _me(self, own: str) -> None:
        if own != self.own:
            # Another id is another swarm, with terms of its own.
            self.own, self.term, self.leader = own, 0, ""

    def _now(self, term: int, leader: str) -> None:
        if term >= self.term:
            self.term, self.leader = term, leader


def own_id(node: Node) -> str:
    """Return the raft id of a node's manager, from its journal; empty where it has none. Raises `Unreachable`."""
    return _snapshot(node)[0].own


class Journal:
    """Follows one node's raft through restarts of dockerd and of the machine, in a thread of its own, until it is closed."""

    def __init__(self, node: Node, clock: Clock) -> None:
        self._node = node
        self._clock = clock
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._tried = threading.Event()  # it was read once, or could not be
        self._raft = Raft()
        self._stream: Stream | None = None
        self._why = "it has not been read yet"  # empty while the journal is followed
        self._thread = CertainThread(target=self._follow, name=f"raft-{node.name}")
        self._thread.start()

    def state(self) -> tuple[str, int, str]:
        """Return the manager's own raft id, its term, and the id that it follows (empty: nobody).

        Raises `Unreachable` while the journal cannot be read, and where it holds nothing of raft's.
        """
        self._clock.wait(self._tried, FIRST_SECONDS)
        with self._lock:
            raft, why = self._raft, self._why
            found = (raft.own, raft.term, raft.leader)
        if why:
            raise Unreachable(self._node.name, "what raft says in its journal", why)
        if not found[0]:
            raise Unreachable(self._node.name, "what raft says in its journal", NOTHING)
        return found

    def close(self) -> None:
        """Stop following. Twice is fine."""
        self._stop.set()
        with self._lock:
            stream = self._stream
        if stream is not None:
            with suppress(Exception):
                stream.close()
        self._thread.join(_JOIN_SECONDS)

    def _follow(self) -> None:
        while not self._stop.is_set():
            try:
                self._once()
                why = "reading it has ended"
            except HarnessError as error:
                why = error.saw if isinstance(error, Unreachable) else str(error)
            except Exception as error:  # noqa: BLE001 - whatever a connection raises: it is told by `state`, and tried again
                why = f"{type(error).__name__}: {error}"
            with self._lock:
                self._why = why
            self._tried.set()
            self._clock.wait(self._stop, _AGAIN_SECONDS)

    def _once(self) -> None:
        """Read all that there is, then what comes, until it ends."""
        node = self._node
        if not isinstance(node, Streaming):
            raise Unreachable(node.name, "its journal", "this node cannot run a command whose output is read as it comes")
        raft, cursor = _snapshot(node)
        place = (f"--after-cursor={cursor}",) if cursor else ()
        stream = node.stream(*_JOURNALCTL, *place, "--follow", "--no-tail")
        try:
            with self._lock:
                self._raft, self._stream, self._why = raft, stream, ""
            self._tried.set()
            if self._stop.is_set():
                return  # `close` may have looked before this stream was there
            for line in stream.lines():
                with self._lock:
                    raft.hear(line.decode(errors="replace"))
        finally:
            with self._lock:
                self._stream = None
            stream.close()


# Of this boot alone: a power cut may take the last lines of the boot before, and an old term is not this daemon's word.
_JOURNALCTL = ("journalctl", "--quiet", "--no-pager", "--output=cat", "--boot", f"--unit={UNIT}")


def _snapshot(node: Node) -> tuple[Raft, str]:
    """Return what raft has said so far, and journald's name for the place up to which that is (empty: nothing is there)."""
    result = node.run(*_JOURNALCTL, "--show-cursor", timeout=pace.limit(SNAPSHOT_SECONDS))
    if not result.ok:
        raise Unreachable(node.name, "its journal", f"journalctl exited with {result.exit}: {result.err.decode(errors='replace').strip()}")
    raft, cursor = Raft(), ""
    for line in result.out.splitlines():
        if line.startswith(_CURSOR):
            cursor = line.removeprefix(_CURSOR).decode(errors="replace").strip()
        elif b"module=raft" in line:
            raft.hear(line.decode(errors="replace"))
    return raft, cursor
