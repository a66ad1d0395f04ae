"""Threads that say for certain whether they are over."""

from __future__ import annotations

import threading

from harness.core.errors import NO_MORE, HarnessError


class NoThread(HarnessError):
    """The kernel gives this user, or the control group that we stand in, no further thread."""

    def __init__(self, name: str) -> None:
        super().__init__(f"no thread can be started for {name}: {NO_MORE}")


class CertainThread(threading.Thread):
    """A daemon thread with an end that can be waited for again after the wait was interrupted.

    `threading.Thread.join` cannot: an exception that comes while it waits (Ctrl-C in the main thread) makes it take a thread that goes on for one
    that is over, and `is_alive` says so from then on (CPython until 3.12). Where something is undone once the threads that did it are over, that
    would be undone first and done afterwards.
    """

    _over: threading.Event
    launched = False
    """Whether it was begun, and goes on or is over."""

    def start(self) -> None:
        """Begin. Raises `NoThread` where this machine has no thread left; nothing goes on then."""
        self._over = threading.Event()
        self.daemon = True
        self.launched = True  # before it is: an interrupt may come in the middle
        try:
            super().start()
        except RuntimeError as error:
            self.launched = False
            raise NoThread(self.name) from error

    def run(self) -> None:
        """Do the work, and be over however it ends."""
        try:
            super().run()
        finally:
            self._over.set()

    @property
    def over(self) -> bool:
        """Whether it does nothing any more, or was never begun."""
        return not self.launched or self._over.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait so many seconds for its end, at most; return whether it is `over`."""
        return not self.launched or self._over.wait(seconds)
