"""What all observers share: a thread a node that outlives every trouble, and the word that it watches."""

from __future__ import annotations

import functools
import threading
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from harness.core.clock import Clock, Deadline
from harness.core.errors import in_words
from harness.core.threads import CertainThread
from harness.history.events import Watching

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from harness.core.protocols import Cluster, Node
    from harness.history.recorder import Recorder

WORD_SECONDS = 0.9
"""How often an observer says that it watches: at least once a second, with room for a busy machine."""
REST = 4.0
"""How many times as long as an answer took a node is left alone before it is asked again."""
LONGEST_REST = 0.7
"""The most that this may be, in seconds: a word is due every second."""
SLOW_REST = 2.5
"""The same on slow machines, of whose witnesses a word is due every 15 s."""
PAUSE_SECONDS = 0.2
"""How long after a trouble it is tried again."""
STOP_SECONDS = 4.0
"""How long `stop` waits for all threads together."""
_LONGEST = 300


class Watch:
    """One node as one observer watches it. For one thread."""

    def __init__(self, observer: str, cluster: Cluster, node: Node, recorder: Recorder, stop: threading.Event) -> None:
        self.cluster = cluster
        self.node = node
        self.recorder = recorder
        self.stop = stop
        self._observer = observer
        self._word: tuple[bool, str] | None = None
        self._said = 0.0

    @property
    def clock(self) -> Clock:
        """The cluster's clock."""
        return self.cluster.clock

    def say(self, *, alive: bool, detail: str = "") -> None:
        """Record that the observer watches, or could not ask: when that changes, and about once a second while it does not."""
        now = self.clock.now()
        word = (alive, detail[:_LONGEST])
        due = now - self._said >= WORD_SECONDS
        # Other words for the same trouble can wait their second.
        if self._word is None or due or word[0] != self._word[0]:
            self.recorder.record(Watching(self._observer, self.node.name, *word))
            self._word, self._said = word, now

    def every(self, seconds: float, sample: Callable[[], None]) -> None:
        """Call `sample` at a steady pace until it is time to stop. Turns that a slow sample missed are left out.

        A node that takes long to answer is left alone `REST` times as long, `LONGEST_REST` seconds at most (`SLOW_REST` on slow machines): looking
        must not be its work.
        """
        due = self.clock.now()
        longest = SLOW_REST if self.cluster.slack else LONGEST_REST
        while not self.stop.is_set():
            began = self.clock.now()
            sample()
            ended = self.clock.now()
            due = max(due + seconds, ended + min(REST * (ended - began), longest))
            self.clock.wait(self.stop, due - self.clock.now())


class PerNode(ABC):
    """An observer that has a thread for each node. Subclasses say how one node is watched."""

    name: ClassVar[str]

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._threads: list[CertainThread] = []
        self._clock: Clock | None = None

    def nodes(self, cluster: Cluster) -> Sequence[Node]:
        """Return the nodes to watch; all of them unless a subclass knows better."""
        return cluster.nodes

    @abstractmethod
    def watch(self, watch: Watch) -> None:
        """Watch one node until `watch.stop` is set, or until trouble: whatever is raised is recorded, and this is called again."""

    def interrupt(self) -> None:  # noqa: B027 - most observers block in nothing that must be ended, so this is no duty
        """End what threads are blocked in, after the stop event was set. Nothing, unless a subclass has something to end."""

    def start(self, cluster: Cluster, recorder: Recorder) -> None:
        """Begin to watch, in threads of its own. Called inside `cluster.network()`, at most once."""
        self._clock = cluster.clock
        for node in self.nodes(cluster):
            watch = Watch(self.name, cluster, node, recorder, self._stop)
            self._spawn(f"{self.name}-{node.name}", functools.partial(self._outlive, watch))

    def stop(self) -> None:
        """Stop, and join the threads within `STOP_SECONDS`. A thread stuck in a call is left behind and ends with that call. Twice is fine."""
        self._stop.set()
        if self._clock is None:
            return
        self.interrupt()
        left = Deadline(self._clock, STOP_SECONDS)
        for thread in self._threads:
            thread.wait(left.left())
        self._threads.clear()

    def _spawn(self, name: str, target: Callable[[], None]) -> None:
        thread = CertainThread(target=target, name=name)
        self._threads.append(thread)
        thread.start()

    def _outlive(self, watch: Watch) -> None:
        while not self._stop.is_set():
            try:
                self.watch(watch)
            except Exception as error:  # noqa: BLE001 - an observer never dies of an exception: it says so in the history and tries again
                if self._stop.is_set():
                    return
                watch.say(alive=False, detail=in_words(error))
            watch.clock.wait(self._stop, PAUSE_SECONDS)
