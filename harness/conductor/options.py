"""How a run is to be done beside its plan, what is told while it is, and that it was asked to stop."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.core.clock import Clock, SystemClock
from harness.core.stops import Stopped

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.conductor.standing import Standing
    from harness.core.errors import HarnessError
    from harness.history.recorder import Recorder


@dataclass(frozen=True, slots=True)
class Progress:
    """What is being done while a cluster is made, for people."""

    text: str
    part: str  # prepare, create, form, deploy, destroy
    done: int | None = None
    total: int | None = None


@dataclass(slots=True)
class Options:
    """How a run is to be done, beside what its plan says."""

    results: Path
    keep: bool = False  # leave the cluster standing
    logs: bool = False  # keep the nodes' logs whatever the verdict
    listener: Callable[[Progress], None] | None = None
    listen: Callable[[Recorder], None] | None = None  # called once, when the history is open
    stop: threading.Event = field(default_factory=threading.Event)  # set it to end early: faults are healed, the cluster goes
    clock: Clock = field(default_factory=SystemClock)
    standing: Standing | None = None  # where a cluster that can be set back waits for the next run; None: each run makes its own
    busy: bool = False  # the cluster is being made: nothing is broken yet, and programs of others are waited for that do not hear `stop`

    def tell(self, part: str, text: str) -> None:
        """Tell the listener, if there is one."""
        if self.listener is not None:
            self.listener(Progress(text, part))

    def ear(self) -> HarnessError | None:
        """Say that the run was asked to stop, if it was: for `harness.core.stops.listening`."""
        return Stopped("the run was stopped") if self.stop.is_set() else None
