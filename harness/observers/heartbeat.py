"""The harness's own heartbeat, and the pressure on its machine: what of a silence is ours, and what of a slowness is the host's.

A thread that wants to run ten times a second and does nothing but look how late it is. It is stopped with the harness (SIGSTOP), suspended with the
machine, and starved with all others; whatever kept it kept the callers and the other observers, too.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, ClassVar

from harness.core.clock import Clock, SystemClock
from harness.core.threads import CertainThread
from harness.history.events import HARNESS, MACHINE, Stalled
from harness.observers.pressure import Gauge

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.core.protocols import Cluster
    from harness.history.recorder import Recorder

BEAT_SECONDS = 0.1
LATE_SECONDS = 0.5
"""How late a beat must be to be recorded: half of etcd's election timeout at its default, the shortest timer of any mode.

Four fleet clusters side by side on 2 cores were never seen to make one so late.
"""
STOP_SECONDS = 2.0


def _boot() -> float:
    """Seconds of CLOCK_BOOTTIME, which goes on while the machine is suspended; the run's clock (CLOCK_MONOTONIC) does not."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Heartbeat:
    """Records `Stalled` when it was late, and `Pressure` about once a second while that is worth a word.

    By the machine's own clock, also where the run goes by another: it measures this process.
    """

    name: ClassVar[str] = "heartbeat"

    def __init__(
        self,
        clock: Clock | None = None,
        *,
        boot: Callable[[], float] = _boot,
        work: Callable[[], float] = time.process_time,
        gauge: Gauge | None = None,
    ) -> None:
        self._clock = clock or SystemClock()
        self._boot = boot
        self._work = work
        self._gauge = gauge or Gauge(self._clock)
        self._stop = threading.Event()
        self._thread: CertainThread | None = None

    def start(self, cluster: Cluster, recorder: Recorder) -> None:  # noqa: ARG002 - it looks at nothing but itself and its machine
        """Begin to beat, in a thread of its own."""
        self._thread = CertainThread(target=self._run, args=(recorder,), name=self.name)
        self._thread.start()

    def stop(self) -> None:
        """Stop, and join the thread. Twice is fine."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(STOP_SECONDS)
            self._thread = None

    def _run(self, recorder: Recorder) -> None:
        last, boot, work = self._clock.now(), self._boot(), self._work()
        while not self._clock.wait(self._stop, BEAT_SECONDS):
            now, booted, worked = self._clock.now(), self._boot(), self._work()
            late = now - last - BEAT_SECONDS
            if late > LATE_SECONDS:
                busy = "busy with itself" if worked - work > late / 2 else "stopped, or no processor was free for it"
                recorder.record(Stalled(HARNESS, round(recorder.now() - late, 3), round(late, 3), busy))
            slept = (booted - boot) - (now - last)
            if slept > LATE_SECONDS:
                recorder.record(Stalled(MACHINE, round(recorder.now(), 3), round(slept, 3), "suspended"))
            last, boot, work = now, booted, worked
            told = self._gauge.look()
            if told is not None:
                recorder.record(told)
