"""A run that is asked to end early, by signal."""

from __future__ import annotations

import contextlib
import signal
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from harness.conductor import Options
    from harness.reports.terminal import Viewer


@dataclass(slots=True)
class Stop:
    """A wish to end early, by signal. The first sets `event`, which the conductor looks at; the second raises `KeyboardInterrupt`.

    So does the first while the cluster is only being made: nothing is broken yet, and a step such as building the image takes long. But a second
    one does not where neither was a Ctrl-C: whoever asks by SIGTERM may ask again and again.
    """

    keep: bool = False  # whether the cluster is to stay
    event: threading.Event = field(default_factory=threading.Event)
    signal: int | None = None
    view: Viewer | None = None
    options: Options | None = None  # of the run under way

    @contextlib.contextmanager
    def caught(self) -> Iterator[None]:
        """Listen to SIGINT and SIGTERM for as long as the block lasts. Only in the main thread can a program do so."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._asked) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _asked(self, number: int, _frame: FrameType | None) -> None:
        if self.event.is_set():
            if signal.SIGINT in {number, self.signal}:
                self._interrupt()
            return
        self.signal = number
        self.event.set()
        if self.view is not None:
            what = "healing what is broken" + ("" if self.keep else " and removing the cluster")
            self.view.say(f"stopping: {what} (Ctrl-C again: without waiting for this step)")
        if self.options is not None and self.options.busy:
            self._interrupt()

    def _interrupt(self) -> None:
        """Interrupt what the main thread does. Once only: the clean-up that follows must not be torn down as well."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        raise KeyboardInterrupt
