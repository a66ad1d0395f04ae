"""A run, or any other command, that is asked to end early, by signal."""

from __future__ import annotations

import contextlib
import queue
import signal
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.core.threads import CertainThread

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from harness.conductor import Options
    from harness.reports.terminal import Viewer


TELL_SECONDS = 2.0
"""How long the last word may take to be said."""


@contextlib.contextmanager
def interrupted_by_sigterm() -> Iterator[list[int]]:
    """Have SIGTERM (a time limit, a service that ends) interrupt the block as Ctrl-C does. Yields the list of what was heard, which it grows.

    Else it would end this process on the spot: what was begun would run on, and what was to be removed in the end would stay. Whoever listens to it
    inside, as `Stop` does, has it alone. Where it is ignored, or somebody else's already, it stays so.
    """
    heard: list[int] = []

    def interrupt(number: int, _frame: FrameType | None) -> None:
        # The clean-up that follows must not be torn down as well; what is ignored would be by all that it starts, too.
        signal.signal(number, lambda *_: None)
        heard.append(number)
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield heard
        return
    signal.signal(signal.SIGTERM, interrupt)
    try:
        yield heard
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


@dataclass(slots=True)
class Stop:
    """A wish to end early, by signal. The first sets `event`, which the conductor looks at; the second raises `KeyboardInterrupt`.

    So does the first while the cluster is only being made: nothing is broken yet, and a step such as building the image takes long. But a second
    one does not where neither was a Ctrl-C: whoever asks by SIGTERM may ask again and again.
    """

    keep: bool = False  # whether the cluster is to stay
    theirs: bool = False  # whether the nodes of the run under way are hosts that somebody else runs
    event: threading.Event = field(default_factory=threading.Event)
    signal: int | None = None
    view: Viewer | None = None
    options: Options | None = None  # of the run under way
    _heard: queue.SimpleQueue[str | None] = field(default_factory=queue.SimpleQueue)  # what is to be said, by a thread of its own

    @contextlib.contextmanager
    def caught(self) -> Iterator[None]:
        """Listen to SIGINT and SIGTERM for as long as the block lasts. Only in the main thread can a program do so."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        teller = CertainThread(target=self._tell, name="stop")
        teller.start()
        before = {number: signal.signal(number, self._asked) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            self._heard.put(None)
            teller.wait(TELL_SECONDS)

    def _tell(self) -> None:
        """Set the event and say so, in a thread that can wait for a lock."""
        while (text := self._heard.get()) is not None:
            self.event.set()
            if self.view is not None:
                self.view.say(text)

    def _asked(self, number: int, _frame: FrameType | None) -> None:
        # In the middle of whatever the main thread does: it may hold any lock, also the event's own. The queue has none that it could wait for.
        if self.signal is not None:
            if signal.SIGINT in {number, self.signal}:
                self._interrupt()
            return
        self.signal = number
        gone = " and letting the hosts go" if self.theirs else " and removing the cluster"
        what = "healing what is broken" + ("" if self.keep else gone)
        self._heard.put(f"stopping: {what} (Ctrl-C again: without waiting for this step)")
        if self.options is not None and self.options.busy:
            self._interrupt()

    def _interrupt(self) -> None:
        """Interrupt what the main thread does. Once only: the clean-up that follows must not be torn down as well."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        raise KeyboardInterrupt
