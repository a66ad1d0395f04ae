"""What ends a run early, heard by whatever works or waits for it.

Who walks a run says once what would end it (`listening`): a wish to stop, a history that cannot be written any more. From then on every wait on a
clock, every command on a node, and every thread begun with `spread` in that context ends within a moment of it by raising that very error, and
nothing new is begun. Mending must not hear it: it is done `deaf`. Threads that are begun otherwise (observers, callers, timers) hear nothing.
"""

from __future__ import annotations

import contextlib
import contextvars
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import Protocol, TypeAlias, TypeVar

from harness.core.errors import HarnessError
from harness.core.threads import CertainThread, NoThread

A = TypeVar("A")
T = TypeVar("T")

SLICE = 0.1
"""Seconds between two looks at whether it is time to end."""
GRACE_SECONDS = 0.5
"""How long threads that heard it may take to end before they are left behind: what they wait for then ends by itself, and nothing follows."""
MOST = 64
"""Threads at once: each waits for a process of its own, so this bounds processes, too."""


class Ticking(Protocol):
    """Something that knows how late it is: every `harness.core.clock.Clock`, which stands on this module."""

    def now(self) -> float:
        """Seconds on a clock that only goes forward."""


class Stopped(HarnessError):
    """The run was asked to stop. Everything was healed and removed."""


class CutOff(HarnessError):
    """What was asked is not wanted any more."""


Ear: TypeAlias = Callable[[], HarnessError | None]
"""Says why it is time to end, or None. Asked ten times a second from several threads: it must be quick."""

_EARS: contextvars.ContextVar[tuple[Ear, ...]] = contextvars.ContextVar("ears", default=())


@contextlib.contextmanager
def listening(ear: Ear) -> Iterator[None]:
    """Hear this, too, for as long as the block lasts: in this thread and in those that it begins with `spread`."""
    token = _EARS.set((*_EARS.get(), ear))
    try:
        yield
    finally:
        _EARS.reset(token)


@contextlib.contextmanager
def deaf() -> Iterator[None]:
    """Hear nothing for as long as the block lasts: what is mended or removed in it must not be left half done."""
    token = _EARS.set(())
    try:
        yield
    finally:
        _EARS.reset(token)


def heard() -> HarnessError | None:
    """Return why it is time to end, or None; None also where nobody listens."""
    return next((why for ear in _EARS.get() if (why := ear()) is not None), None)


def listens() -> bool:
    """Whether this context hears anything at all."""
    return bool(_EARS.get())


def go_on() -> None:
    """Raise why it is time to end, if it is."""
    why = heard()
    if why is not None:
        raise why


def slices(seconds: float, clock: Ticking) -> Iterator[float]:
    """Yield how long to wait next, again and again, until `seconds` are over; at least once. Raises, between two of them, what `go_on` raises."""
    end = clock.now() + seconds
    while True:
        go_on()
        left = max(0.0, end - clock.now())
        yield min(left, SLICE) if listens() else left
        if clock.now() >= end:
            return


def acquire(lock: threading.Lock, seconds: float, clock: Ticking) -> bool:
    """Take a lock within so many seconds. Raises what `go_on` raises."""
    return any(lock.acquire(timeout=each) for each in slices(seconds, clock))


def spread(items: Sequence[A], work: Callable[[A], T], name: str, *, most: int = MOST, leave: bool = True) -> list[Future[T]]:
    """Do `work` on all items at once, in threads that hear what this one hears and are in the network that it is in. All are over on return.

    Raises what `go_on` raises once that is heard and the threads have ended, or have had `GRACE_SECONDS` to; one that is left behind by then can
    begin nothing new. With `leave` False all are waited for. An interrupt of this thread ends the others, too, where it listens.

    Where the kernel gives fewer threads, those do all of it, and this one where it gives none: what is to be mended is mended all the same.
    """
    futures: list[Future[T]] = [Future() for _ in items]
    todo = iter(list(zip(items, futures, strict=True)))
    lock = threading.Lock()
    interrupted: list[HarnessError] = []

    def worker() -> None:
        while True:
            with lock:
                each = next(todo, None)
            if each is None:
                return
            _settle(each[1], work, each[0])

    threads = []
    with listening(lambda: interrupted[0] if interrupted else None) if listens() else contextlib.nullcontext():
        for number in range(min(len(items), most)):
            run = contextvars.copy_context().run
            threads.append(CertainThread(target=run, args=(worker,), name=f"{name}-{number}"))
    try:
        try:
            for thread in threads:
                thread.start()
        except NoThread:
            if not any(each.launched for each in threads):
                worker()
        _join(threads, leave=leave)
    except BaseException:
        interrupted.append(CutOff(f"{name} was interrupted"))
        _outlast(threads, leave=leave and listens())
        raise
    go_on()
    return futures


def _settle(future: Future[T], work: Callable[[A], T], item: A) -> None:
    """Do a piece of work and keep what comes of it, whatever that is: it is raised where the result is asked for."""
    try:
        go_on()
        future.set_result(work(item))
    except BaseException as error:  # noqa: BLE001 - see above
        future.set_exception(error)


def _join(threads: Sequence[CertainThread], *, leave: bool) -> None:
    """Wait for threads; where they may be left behind, for as long as it is not time to end, and then for `GRACE_SECONDS`."""
    rounds = round(GRACE_SECONDS / SLICE)
    for thread in threads:
        while not thread.over and (rounds or not leave):
            thread.wait(SLICE)
            rounds -= rounds > 0 and heard() is not None


def _outlast(threads: Sequence[CertainThread], *, leave: bool) -> None:
    """Wait for threads whatever comes: who presses Ctrl-C again must not have something broken behind the back of what is mended."""
    while True:
        with contextlib.suppress(KeyboardInterrupt):
            _join(threads, leave=leave)
            return


def beside(work: Callable[[], T], name: str) -> T:
    """Do something in a thread of its own and return what it returns, so that this one hears that it is time to end whatever the other waits for."""
    return spread([None], lambda _: work(), name)[0].result()
