"""Makes a workload's calls at its rate, whatever the answers take, and records each of them.

An open loop: a cluster that answers slowly is not asked more slowly, since its users would not wait either. A call is written to the history
before it is made, so a harness that is killed has not made a call that nobody knows of.
"""

from __future__ import annotations

import itertools
import math
import queue
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from harness.core import stops
from harness.core.clock import Deadline
from harness.core.errors import HarnessError, gist, in_words
from harness.core.figures import given
from harness.core.threads import CertainThread, NoThread
from harness.core.values import Call, Outcome, Reply
from harness.history.calls import invoked
from harness.history.events import Answered, Note

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from random import Random

    from harness.core.protocols import Client, Cluster, Workload
    from harness.history.recorder import Recorder

MOST_THREADS = 64
"""Threads of one driver at most."""
SPARE_THREADS = 2
GRACE_SECONDS = 1.0
"""What a call may take beyond its deadline before `Driver.stop` goes on without it."""
USUAL_DEADLINE = 5.0
"""Deadline, in seconds, of a workload that has no field `deadline`."""
LONGEST_SAID = 1 << 14
"""Characters of a reply's value, or of its error, at most: they go into the history as they are. What a probe's command says has no more."""
_BATCH = 5000


@runtime_checkable
class Fitted(Protocol):
    """A workload that must see the cluster before it can name its calls."""

    def fitted(self, cluster: Cluster) -> Workload | None:
        """Return the workload as it is to be run on this cluster now; None while there is nobody to call."""


@runtime_checkable
class Batching(Protocol):
    """A client that can answer many calls by one look at the cluster."""

    def invoke_all(self, calls: Sequence[Call]) -> Sequence[Reply]:
        """Make these calls at once; one reply each, in their order. Never raises for what the cluster does."""


class Ops:
    """Numbers for calls, from 1, no two alike in a run. Safe to use from several threads."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    def next(self) -> int:
        """Return a number that was never returned before."""
        return next(self._numbers)


class Driver:
    """Runs one workload. `start` and `finals` are called inside `cluster.network()`; `start` at most once."""

    def __init__(self, workload: Workload, cluster: Cluster, recorder: Recorder, rng: Random, ops: Ops) -> None:
        self._asked = workload
        self._cluster = cluster
        self._nobody = False  # whether there is nobody to call at this time
        self.workload = workload
        self._fit()
        self._refitted = False
        self._recorder = recorder
        self._rng = rng
        self._ops = ops
        self._deadline = float(getattr(workload, "deadline", USUAL_DEADLINE))
        # As many calls as can be under way when none is answered.
        self._most = min(MOST_THREADS, math.ceil(self.workload.rate * self._deadline) + SPARE_THREADS)
        self._stop = threading.Event()
        self._cut = threading.Event()  # no answer is wanted any more
        self._due: queue.SimpleQueue[Call | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._idle = 0
        self._scheduler: CertainThread | None = None
        self._workers: list[CertainThread] = []
        self._written: dict[str, None] = {}  # keys in the order in which their writes were made

    def start(self) -> None:
        """Begin to call, in threads of its own."""
        self._scheduler = CertainThread(target=self._schedule, name=f"{self.workload.name}-driver")
        self._scheduler.start()

    def refit(self) -> None:
        """Have a workload that must see the cluster look at it again, and begin its calls anew; any other goes on as it is."""
        if isinstance(self._asked, Fitted):
            self._fit()
            self._refitted = True

    def _fit(self) -> None:
        """Have the workload look at the cluster. While there is nobody to call, it stays as it was, and makes no calls."""
        if isinstance(self._asked, Fitted):
            fitted = self._asked.fitted(self._cluster)
            self._nobody = fitted is None
            self.workload = fitted or self.workload

    def stop(self, *, cut: bool = False) -> None:
        """Make no more calls, and wait for those under way: at most their deadline and a second, or where they are `cut` off a second. Twice is fine.

        A call that takes longer is left behind with a note; what it answers is still recorded while the history is open.
        """
        if self._scheduler is None:
            return
        self._stop.set()
        if cut:
            self._cut.set()
        left = Deadline(self._cluster.clock, GRACE_SECONDS if cut else self._deadline + GRACE_SECONDS)
        self._scheduler.wait(left.left())
        with suppress(queue.Empty):
            while True:
                self._due.get_nowait()  # due, but never begun
        for _ in self._workers:
            self._due.put(None)
        for worker in self._workers:
            worker.wait(left.left())
        late = sum(not worker.over for worker in self._workers)
        if late:
            self._recorder.record(Note(f"{late} {self.workload.name} calls did not end within {given(left.seconds)}; left behind"))
        self._scheduler = None
        self._workers = []

    def finals(self, seconds: float = math.inf) -> None:
        """Make the workload's last calls, in this thread: its own, and a read of each key that was written and that those do not read.

        What was not asked within `seconds` is noted, and nothing is known of it. Ends early, with a note, when the run does.
        """
        left = Deadline(self._cluster.clock, seconds)
        try:
            calls = list(self.workload.final(self._cluster))
        except Exception as error:  # noqa: BLE001 - as in `_make`: a bug of ours must not cost the run its history
            self._recorder.record(Note(f"the last calls of {self.workload.name} could not be listed: {in_words(error)}"))
            calls = []
        read = {call.key for call in calls}
        calls += [Call("read", key) for key in list(self._written) if key not in read]
        if not calls:
            return
        client: Client | None = None
        try:
            client = self.workload.connect(self._cluster)
            if isinstance(client, Batching):
                for first in range(0, len(calls), _BATCH):
                    stops.go_on()
                    self._make_all(client, calls[first : first + _BATCH])
            else:
                for number, call in enumerate(calls):
                    stops.go_on()
                    if left.expired:
                        missed = len(calls) - number
                        self._recorder.record(Note(f"{missed} last calls of {self.workload.name} were not made in {given(left.seconds)}"))
                        break
                    client = self._make(client, call) or self.workload.connect(self._cluster)
        except Exception as error:  # noqa: BLE001 - same
            self._recorder.record(Note(f"the last calls of {self.workload.name} ended early: {in_words(error)}"))
        finally:
            _close(client)

    # -- threads

    def _schedule(self) -> None:
        """Hand out a call when it is due. Slots that come when too many calls are waiting already are skipped, and it is said how many."""
        clock, rate = self._cluster.clock, self.workload.rate
        calls = self._calls()
        began = clock.now()
        skipped = 0
        for slot in itertools.count():
            due = began + slot / rate
            left = due - clock.now()
            if self._stop.is_set() or (left > 0 and clock.wait(self._stop, left)):
                break
            if self._nobody:
                continue
            if self._due.qsize() >= self._most:
                if not skipped:
                    self._recorder.record(
                        Note(f"{self.workload.name}: {self._most} calls are waiting for a free thread; calls are skipped")
                    )
                skipped += 1
                continue
            if skipped:
                self._recorder.record(Note(f"{self.workload.name}: {skipped} calls were skipped"))
                skipped = 0
            if self._refitted:
                self._refitted, calls = False, self._calls()
            call = next(calls, None)
            if call is None:
                break
            self._hand_out(call)
        if skipped:
            self._recorder.record(Note(f"{self.workload.name}: {skipped} calls were skipped"))

    def _calls(self) -> Iterator[Call]:
        """Yield what to call. That there is nothing more, or that it cannot be said, is noted: nobody calls from then on."""
        try:
            yield from self.workload.calls(self._rng)
            why = "it had no more to make"
        except Exception as error:  # noqa: BLE001 - as in `_make`: a bug of ours must not cost the run its history
            why = in_words(error)
        self._recorder.record(Note(f"{self.workload.name} makes no more calls: {why}"))

    def _hand_out(self, call: Call) -> None:
        with self._lock:
            busy = self._idle <= self._due.qsize()
        if busy and len(self._workers) < self._most:
            # Started from here, so that it inherits the network that this thread is in.
            worker = CertainThread(target=self._work, name=f"{self.workload.name}-{len(self._workers) + 1}")
            try:
                worker.start()
            except NoThread as error:
                self._most = len(self._workers)  # those that there are make the calls
                self._recorder.record(Note(f"{self.workload.name}: calls are made by {self._most} threads at most: {error}"))
            else:
                self._workers.append(worker)
        self._due.put(call)

    def _work(self) -> None:
        with stops.listening(lambda: stops.CutOff("the run was over") if self._cut.is_set() else None):
            self._call()

    def _call(self) -> None:
        client: Client | None = None
        while True:
            with self._lock:
                self._idle += 1
            call = self._due.get()
            with self._lock:
                self._idle -= 1
            if call is None:
                break
            client = self._make(client, call)
        _close(client)

    # -- calls

    def _make(self, client: Client | None, call: Call) -> Client | None:
        """Make one call from invocation to answer. Returns the client to go on with: none after it raised."""
        op = self._begin(call)
        if op is None:
            return client
        try:
            client = client or self.workload.connect(self._cluster)
            reply = client.invoke(call)
        except stops.CutOff as why:
            _close(client)
            client, reply = None, Reply(Outcome.UNKNOWN, error=str(why), ours=True)
        except Exception as error:  # noqa: BLE001 - a client that raises is a bug of ours; the call's fate is unknown and the run goes on
            _close(client)
            client, reply = None, _bug(error)
        self._end(op, reply)
        return client

    def _make_all(self, client: Batching, calls: Sequence[Call]) -> None:
        begun = [(op, call) for call in calls if (op := self._begin(call)) is not None]
        try:
            replies = client.invoke_all([call for _, call in begun])
        except Exception as error:  # noqa: BLE001 - same
            replies = [_bug(error)] * len(begun)
        for (op, _), reply in zip(begun, replies, strict=True):
            self._end(op, reply)

    def _begin(self, call: Call) -> int | None:
        """Write down that a call is made, and return its number; None where no history can hold it: then it is not made."""
        op = self._ops.next()
        try:
            self._recorder.record(invoked(op, self.workload, call))
        except HarnessError as error:
            self._recorder.record(Note(f"a call of {self.workload.name} was not made: {error}"))
            return None
        if call.function == "write":
            self._written[call.key] = None
        return op

    def _end(self, op: int, reply: Reply) -> None:
        """Write down how a call ended. Of a reply that no history can hold only that is kept: what whoever was called says must end no thread."""
        try:
            self._recorder.record(self._answered(op, reply))
        except Exception as error:  # noqa: BLE001 - a plug-in's client may return anything at all
            said = f"the reply cannot be recorded: {gist(in_words(error))}"
            self._recorder.record(Answered(op, self.workload.name, Outcome.UNKNOWN, error=said, ours=True))

    def _answered(self, op: int, reply: Reply) -> Answered:
        """Return the event of a reply, its error cut. Raises `ValueError` for a value that is too long: it is compared, so it must be whole."""
        if reply.value is not None and len(reply.value) > LONGEST_SAID:
            raise ValueError(f"a value of {len(reply.value)} characters, {LONGEST_SAID} at most")
        error = reply.error if len(reply.error) <= LONGEST_SAID else gist(reply.error)
        return Answered(op, self.workload.name, reply.outcome, reply.value, reply.by, error, reply.ours)


def _bug(error: Exception) -> Reply:
    return Reply(Outcome.UNKNOWN, error=f"the client raised {type(error).__name__}: {error}", ours=True)


def _close(client: Client | None) -> None:
    if client is not None:
        with suppress(Exception):
            client.close()
