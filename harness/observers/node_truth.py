"""Node truth: which containers run on each node, from its own process table, over the management path.

A small program (`agent.py`) runs on each node for as long as the node does and prints what it sees; no daemon is asked, so none can blind it. What
it has to say of its own looking (the kernel cannot tell it of changes, or did not tell of one) becomes a note of the run.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from harness.core import pace
from harness.core.errors import HarnessError, Unreachable
from harness.core.figures import given
from harness.core.protocols import Power, Streaming
from harness.core.values import Container, NodeState
from harness.history.events import NodeSeen, Note, Stalled
from harness.host import untrusted
from harness.observers.watch import PerNode

if TYPE_CHECKING:
    from harness.core.protocols import Cluster, Stream
    from harness.core.values import TaskNames
    from harness.history.recorder import Recorder
    from harness.observers.watch import Watch

SILENT_SECONDS = 2.0
"""How long an agent may say nothing before its node counts as unreachable: it speaks every 0.8 s."""
SLOW_SILENT_SECONDS = 4.5
"""The same on machines that are slower than machines are: just below what a checker bears. Measured under software emulation: up to 3 s while a
neighbour boots."""
START_SECONDS = 3.0
"""How much longer it may take to its first word: a Python is started. Measured: 30 ms, and 5 s on an emulated machine on a busy host."""
_LOOK_SECONDS = 0.25
_QUICK_SECONDS = 0.02
_QUICK_TRIES = 10

AGENT = Path(__file__).with_name("agent.py")


def agent_of(*tasks: TaskNames | None) -> tuple[str, ...]:
    """Return the command that runs the agent on a node, where containers may be named so (`harness.core.protocols.Cluster.tasks`)."""
    named = [text for each in tasks if each is not None for text in (each.label, each.pattern, each.of)]
    return ("python3", "-I", "-c", AGENT.read_text(encoding="utf-8"), *named)


class HostObserver(PerNode):
    """Records `NodeSeen`: all of a node's containers at every change and at least once a second; off or unreachable once, when it becomes so.

    And `Stalled` when the agent was not let run for a while: so long the whole node stood still.
    """

    name: ClassVar[str] = "host"

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._streams: dict[str, tuple[Stream, float]] = {}  # node → its stream, and when it last spoke
        self._last: dict[str, NodeState] = {}
        self._silent = SILENT_SECONDS
        self._agent = agent_of()

    def start(self, cluster: Cluster, recorder: Recorder) -> None:
        """Begin to watch; see `PerNode.start`. One more thread ends the streams that have fallen silent."""
        if cluster.slack:
            self._silent = SLOW_SILENT_SECONDS
        self._agent = agent_of(*cluster.tasks)
        super().start(cluster, recorder)
        self._spawn("host-silence", lambda: self._end_silent(cluster))

    def watch(self, watch: Watch) -> None:
        """Read one node's agent to its end, and say what that end means. Returns when the node is off."""
        node = watch.node
        if not isinstance(node, Streaming):
            raise Unreachable(node.name, "its process table", "this node cannot run a command whose output is read as it comes")
        why = "its agent ended"
        stream: Stream | None = None
        try:
            stream = node.stream(*self._agent)
            self._spoke(node.name, stream, watch, grace=pace.limit(START_SECONDS))
            for line in stream.lines():
                self._spoke(node.name, stream, watch)
                self._take(line, watch)
        except HarnessError as error:
            why = error.saw if isinstance(error, Unreachable) else str(error)
        finally:
            with self._lock:
                heard = self._streams.pop(node.name, None)
            if stream is not None:
                stream.close()
        if watch.stop.is_set():
            return
        if stream is not None and heard is None:
            why = f"its agent said nothing for {given(self._silent)}"
        self._lost(why, watch)

    def interrupt(self) -> None:
        """End all streams."""
        with self._lock:
            streams = [stream for stream, _ in self._streams.values()]
        for stream in streams:
            with suppress(Exception):
                stream.close()

    def _spoke(self, node: str, stream: Stream, watch: Watch, grace: float = 0.0) -> None:
        with self._lock:
            self._streams[node] = (stream, watch.clock.now() + grace)
        if watch.stop.is_set():
            # `interrupt` may have looked before this stream was there.
            stream.close()

    def _take(self, line: bytes, watch: Watch) -> None:
        try:
            body: Any = untrusted.loads(line)
            if "note" in body:
                watch.recorder.record(Note(f"{watch.node.name}'s agent: {body['note']}"))
                return
            if "late" in body:
                late = float(body["late"])
                watch.recorder.record(Stalled(watch.node.name, round(watch.recorder.now() - late, 3), late))
                return
            found = body["containers"]
            containers = tuple(Container(str(each[0]), watch.cluster.instance(str(each[1]))) for each in found)
        except (ValueError, KeyError, TypeError, IndexError, RecursionError) as e:
            raise Unreachable(watch.node.name, "its process table", f"its agent printed {line[:80]!r}") from e
        self._last[watch.node.name] = NodeState.UP
        watch.recorder.record(NodeSeen(watch.node.name, NodeState.UP, containers))
        watch.say(alive=True)

    def _lost(self, why: str, watch: Watch) -> None:
        """Record what a node is that no longer speaks: off if its machine's host says so, else unreachable."""
        provider = watch.cluster.provider
        if isinstance(provider, Power):
            # A machine that has just been killed may take a moment to be gone.
            for _ in range(_QUICK_TRIES):
                if not provider.is_on(watch.node):
                    self._record(NodeState.OFF, "the machine is off", watch)
                    watch.say(alive=True, detail="the machine is off")
                    return
                if watch.clock.wait(watch.stop, _QUICK_SECONDS):
                    return
        self._record(NodeState.UNREACHABLE, why, watch)
        watch.say(alive=False, detail=why)

    def _record(self, state: NodeState, detail: str, watch: Watch) -> None:
        if self._last.get(watch.node.name) is not state:
            self._last[watch.node.name] = state
            watch.recorder.record(NodeSeen(watch.node.name, state, detail=detail))

    def _end_silent(self, cluster: Cluster) -> None:
        while not cluster.clock.wait(self._stop, _LOOK_SECONDS):
            now = cluster.clock.now()
            with self._lock:
                silent = [(name, stream) for name, (stream, heard) in self._streams.items() if now - heard > self._silent]
                for name, _ in silent:
                    del self._streams[name]
            for _, stream in silent:
                with suppress(Exception):
                    stream.close()
