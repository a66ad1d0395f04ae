"""What comes and goes many times is told together: afterwards, and in a live log."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from harness.core.values import Call, NodeState, Outcome
from harness.history.events import Answered, Event, Invoked, NodeSeen, Note
from harness.history.recorder import Recorder
from harness.reports.console import Console
from harness.reports.folding import AGAIN_SECONDS, FIRST_TIMES, LONG_SECONDS, Folding, folded
from harness.reports.moments import UNANSWERED, UNREACHED, Flap, Moment
from harness.reports.terminal import PlainView
from harness.testing.fake_clock import FakeClock


def slow(start: float, length: float) -> Iterator[Moment]:
    """Tell a time without a good answer, as it begins to count and as it is over."""
    yield Moment(start + 1.0, f"register write: no good answer since {start}", "bad", about=Flap("register write", UNANSWERED))
    yield Moment(start + length, f"register write: good again after {length}", "good", about=Flap("register write", UNANSWERED, length))


def live(moments: Sequence[Moment], end: float) -> list[str]:
    """Tell moments as they come, with something else heard each half second, and what is left at the end."""
    folding = Folding()
    told = []
    left = sorted(moments, key=lambda each: each.time)
    for tick in range(int(end * 2) + 1):
        now = tick / 2
        while left and left[0].time <= now:
            moment = left.pop(0)
            told += folding.feed(moment.time, [moment])
        told += folding.feed(now, [])
    every = [*told, *folding.rest(end)]
    assert [each.time for each in every] == sorted(each.time for each in every), "no line of a log goes back in time"
    return [each.what for each in every]


def test_what_flaps_is_told_a_few_times_as_it_happens_and_then_how_often() -> None:
    """Forty slow calls in two minutes are three pairs of lines, and one a minute."""
    told = live([each for number in range(40) for each in slow(3.0 * number, 2.0)], 130.0)
    assert told[: 2 * FIRST_TIMES] == [each.what for number in range(FIRST_TIMES) for each in slow(3.0 * number, 2.0)]
    rest = told[2 * FIRST_TIMES :]
    assert len(rest) <= 130.0 / AGAIN_SECONDS + 1
    assert all(each.startswith("register write gave no good answer for a while ") and "times more until" in each for each in rest)
    assert sum(int(each.split(" times more")[0].rsplit(" ", 1)[1]) for each in rest) == 40 - FIRST_TIMES
    assert rest[0].endswith("for 2.0 s at the longest")


def test_an_outage_among_what_flaps_is_told_while_it_lasts() -> None:
    """However often it came before: what goes on for long is news."""
    flapping = [each for number in range(10) for each in slow(3.0 * number, 2.0)]
    outage = list(slow(40.0, 30.0))
    told = live([*flapping, *outage], 80.0)
    assert told[-2:] == [each.what for each in outage]
    assert "7 times more until 29.0 s" in told[-3]
    still = live([*flapping, outage[0]], 40.0 + 1.0 + LONG_SECONDS)
    assert still[-1] == outage[0].what


def test_what_was_quiet_for_long_is_told_anew() -> None:
    """A second fault an hour later finds nothing held back."""
    first = [each for number in range(10) for each in slow(3.0 * number, 2.0)]
    later = list(slow(400.0, 2.0))
    assert live([*first, *later], 410.0)[-2:] == [each.what for each in later]


def test_what_is_held_back_at_the_end_is_told_then() -> None:
    """Nothing is lost in silence, also where it goes on."""
    moments = [each for number in range(5) for each in slow(3.0 * number, 2.0)]
    moments.append(Moment(16.0, "register write: no good answer since 15.0", "bad", about=Flap("register write", UNANSWERED)))
    told = live(moments, 17.0)
    assert told[-2:] == [
        "register write gave no good answer for a while 2 times more until 14.0 s, for 2.0 s at the longest",
        "register write: no good answer since 15.0",
    ]


def test_what_never_flaps_is_always_told() -> None:
    """Faults, placements, leaders; and each subject is counted by itself."""
    leaders = [Moment(float(number), f"n{number} leads") for number in range(50)]
    nodes = [Moment(number + 0.5, f"n{number} cannot be asked", "bad", about=Flap(f"n{number}", UNREACHED)) for number in range(50)]
    assert set(live([*leaders, *nodes], 60.0)) == {each.what for each in (*leaders, *nodes)}


def test_afterwards_the_longest_time_is_told_with_its_start() -> None:
    """So that it can be found."""
    moments = [each for number, length in enumerate([2.0, 2.0, 2.0, 7.5, 2.0, 2.0, 2.0]) for each in slow(20.0 * number, length)]
    (told,) = folded(moments)
    assert told.time == moments[0].time
    assert told.what == (
        "register write gave no good answer for a while 7 times until 122.0 s, for 7.5 s at the longest (from 60.0 s); "
        "history.jsonl has them all"
    )
    assert folded(moments[:12]) == moments[:12]


@pytest.mark.parametrize("text", ["register: {} calls were skipped", "n1's agent: looked at {}.5 times"])
def test_notes_that_differ_in_figures_alone_are_told_together_in_a_log(tmp_path: Path, text: str) -> None:
    """A note a second for a minute is a handful of lines."""
    lines = logged(tmp_path, [(float(number), Note(text.format(number))) for number in range(50)])
    assert len(lines) == FIRST_TIMES + 1
    assert "47 times more like it since 3.0 s" in lines[-1]


def test_a_live_log_folds_slow_calls_and_nodes_that_come_and_go(tmp_path: Path) -> None:
    """From recorded events to printed lines."""
    events: list[tuple[float, Event]] = []
    for number in range(30):
        at = 2.0 * number
        events += [
            (at, NodeSeen("n1", NodeState.UNREACHABLE)),
            (at, Invoked(number, "register", Call("write", f"k{number}"))),
            (at + 1.1, Answered(number, "register", Outcome.UNKNOWN, error="late")),
            (at + 1.5, NodeSeen("n1", NodeState.UP)),
            (at + 1.6, Invoked(100 + number, "register", Call("write", f"m{number}"))),
            (at + 1.7, Answered(100 + number, "register", Outcome.OK)),
        ]
    lines = logged(tmp_path, events)
    assert len([line for line in lines if "register write: " in line]) <= 2 * FIRST_TIMES
    assert len([line for line in lines if "n1 cannot be asked" in line or "n1 is up" in line]) <= 2 * FIRST_TIMES
    assert any("register write gave no good answer for a while" in line for line in lines)
    assert any("n1 could not be asked" in line and "times more until" in line for line in lines)


def logged(folder: Path, events: Sequence[tuple[float, Event]]) -> list[str]:
    """Return the lines of a log of these events, without the one that names the run."""
    clock = FakeClock()
    file = io.StringIO()
    with Recorder(folder / "history.jsonl", clock) as recorder, PlainView(Console(file=file, width=200), clock) as view:
        view.listen(recorder)
        for time, event in events:
            clock.advance(time - clock.now())
            recorder.record(event)
    return file.getvalue().splitlines()[1:]
