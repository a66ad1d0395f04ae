"""Threads that say for certain whether they are over."""

from __future__ import annotations

import threading


class CertainThread(threading.Thread):
    """A daemon thread with an end that can be waited for again after the wait was interrupted.

    `threading.Thread.join` cannot: an exception that comes while it waits (Ctrl-C in the main thread) makes it take a thread that goes on for one
    that is over, and `is_alive` says so from then on (CPython until 3.12). Where something is undone once the threads that did it are over, that
    would be undone first and done afterwards.
    """

    _over: threading.Event
    _launched = False

    def start(self) -> None:
        """Begin. Raises `RuntimeError` where this machine has no thread left; nothing goes on then."""
        self._over = threading.Event()
        self.daemon = True
        self._launched = True
        try:
            super().start()
        except RuntimeError:
            self._over.set()
            raise

    def run(self) -> None:
        """Do the work, and be over however it ends."""
        try:
            super().run()
        finally:
            self._over.set()

    @property
    def over(self) -> bool:
        """Whether it does nothing any more, or was never begun."""
        return not self._launched or self._over.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait so many seconds for its end, at most; return whether it is `over`."""
        return not self._launched or self._over.wait(seconds)
