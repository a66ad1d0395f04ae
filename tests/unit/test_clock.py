"""The fake clock does what a clock must, and no more than it is told."""

from __future__ import annotations

import threading

import pytest

from harness.core.clock import Deadline, wait_until
from harness.core.errors import Expired
from harness.testing.fake_clock import FakeClock


def waiting(clock: FakeClock, event: threading.Event, seconds: float) -> tuple[threading.Thread, list[bool]]:
    """Start a thread that waits on the clock."""
    answer: list[bool] = []
    thread = threading.Thread(target=lambda: answer.append(clock.wait(event, seconds)))
    thread.start()
    return thread, answer


def test_time_stands_still_until_it_is_moved() -> None:
    """Nothing but `advance` moves time, and wall time moves with it."""
    clock = FakeClock(5.0, wall=1000.0)
    assert (clock.now(), clock.now(), clock.wall()) == (5.0, 5.0, 1000.0)
    clock.advance(2.5)
    assert (clock.now(), clock.wall()) == (7.5, 1002.5)


def test_time_does_not_go_back() -> None:
    """A step back is refused."""
    with pytest.raises(ValueError, match="monotonic"):
        FakeClock().advance(-1.0)


def test_a_wait_ends_when_time_is_moved_to_its_end_and_not_before() -> None:
    """A waiter sleeps through a step that is too short, and is woken by the one that reaches its end."""
    clock = FakeClock()
    thread, answer = waiting(clock, threading.Event(), 3.0)
    clock.await_waiters(1)
    assert clock.next_due() == 3.0
    clock.advance(2.9)
    assert clock.next_due() == 3.0
    assert thread.is_alive()
    clock.advance(0.1)
    thread.join(10.0)
    assert answer == [False]
    assert clock.next_due() is None


def test_a_wait_ends_when_its_event_is_set() -> None:
    """The event wakes a waiter with no time gone by."""
    clock, event = FakeClock(), threading.Event()
    thread, answer = waiting(clock, event, 1000.0)
    clock.await_waiters(1)
    event.set()
    thread.join(10.0)
    assert answer == [True]
    assert clock.now() == 0.0


def test_one_step_wakes_every_waiter_that_is_due() -> None:
    """Several threads wake together; one that is due later sleeps on."""
    clock = FakeClock()
    stop = threading.Event()
    short = [waiting(clock, threading.Event(), 1.0) for _ in range(3)]
    long, _ = waiting(clock, stop, 9.0)
    clock.await_waiters(4)
    clock.advance(1.0)
    for thread, answer in short:
        thread.join(10.0)
        assert answer == [False]
    assert long.is_alive()
    stop.set()
    long.join(10.0)


def test_a_clock_that_moves_itself_spends_the_time_of_every_wait() -> None:
    """A single-threaded wait runs through at once, and its time is on the clock."""
    clock = FakeClock(moves_itself=True)
    asked: list[float] = []

    def third_time() -> bool:
        asked.append(clock.now())
        return len(asked) == 3

    assert wait_until(third_time, awaited="the third time", seconds=10.0, clock=clock, every=2.0)
    assert asked == [0.0, 2.0, 4.0]


def test_a_wait_that_runs_out_says_what_it_last_saw() -> None:
    """`Expired` has the awaited thing, the time and what was seen at that moment."""
    clock = FakeClock(moves_itself=True)
    with pytest.raises(Expired, match=r"waited 3 s for rain; last seen: sun at 3"):
        wait_until(lambda: None, awaited="rain", seconds=3.0, clock=clock, every=1.0, saw=lambda: f"sun at {clock.now():g}")


def test_a_wait_that_is_stopped_ends_at_once() -> None:
    """The stop event ends a wait without its time."""
    clock, stop = FakeClock(moves_itself=True), threading.Event()
    stop.set()
    with pytest.raises(Expired):
        wait_until(lambda: None, awaited="rain", seconds=3.0, clock=clock, stop=stop)
    assert clock.now() == 0.0


def test_a_deadline_never_has_less_than_nothing_left() -> None:
    """Time left counts down to zero and stays there."""
    clock = FakeClock()
    deadline = Deadline(clock, 2.0)
    assert (deadline.left(), deadline.expired) == (2.0, False)
    clock.advance(5.0)
    assert (deadline.left(), deadline.expired) == (0.0, True)


@pytest.mark.parametrize(("took", "rest", "asked"), [(0.0, 4.0, 200), (0.1, 0.0, 67), (0.1, 4.0, 20), (3.0, 4.0, 2)])
def test_who_takes_long_to_answer_is_left_alone_as_many_times_as_long(took: float, rest: float, asked: int) -> None:
    """Never so long that an answer would be missed for want of a question."""
    clock = FakeClock(moves_itself=True)
    times = []

    def ask() -> bool:
        times.append(clock.now())
        clock.advance(took)
        return False

    with pytest.raises(Expired):
        wait_until(ask, awaited="a thing", seconds=10.0, clock=clock, rest=rest)
    assert len(times) == pytest.approx(asked, rel=0.1, abs=1)
