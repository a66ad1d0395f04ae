"""Durations, rates and shares as people write them."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from harness.core.units import MOST_A_SECOND, MOST_SECONDS, Duration, Rate, Share, duration, rate, share, spelled


@dataclass(frozen=True, slots=True)
class Sample:
    """One field of each unit."""

    wait: Duration = 1.0
    rate: Rate = 1.0
    share: Share = 1.0


@pytest.mark.parametrize(
    ("written", "seconds"),
    [(5, 5.0), (0.5, 0.5), (0, 0.0), ("500ms", 0.5), ("5s", 5.0), ("2m", 120.0), ("1.5 h", 5400.0), (" 7 ", 7.0), ("0.25s", 0.25)],
)
def test_durations_are_seconds(written: object, seconds: float) -> None:
    """Each way of writing one gives seconds."""
    assert duration(written) == seconds


@pytest.mark.parametrize(
    "written",
    ["", "s", "5 parsecs", "-1s", "1e3", "5s5s", "٥s", "9" * 400, 10**400, -1, float("nan"), float("inf"), None, True, [], {}, "x" * 999],
)
def test_what_is_no_duration_says_what_was_found_and_expected(written: object) -> None:
    """Anything else is a short error, however long what was found."""
    with pytest.raises(ValueError, match=r"^found .*, expected a duration of 0 or more, such as") as caught:
        duration(written)
    assert len(str(caught.value)) < 160


@pytest.mark.parametrize("written", ["721h", 10**12, "9" * 30 + "h", 1e300])
def test_a_duration_that_no_run_has_is_refused(written: object) -> None:
    """An operating system could not wait for so long, and would say so in the middle of a run."""
    with pytest.raises(ValueError, match=r"^found .*, expected a duration .*, and of a month at most$"):
        duration(written)
    assert duration("720h") == MOST_SECONDS


@pytest.mark.parametrize("written", [1001, "1001/s", "60001/m", 10**30])
def test_a_rate_that_nobody_can_call_at_is_refused(written: object) -> None:
    """What was made of it would be another one."""
    with pytest.raises(ValueError, match=r"^found .*, expected a rate above 0.*, and 1000 a second at most$"):
        rate(written)
    assert rate("60000/m") == MOST_A_SECOND


@pytest.mark.parametrize(("written", "calls"), [(20, 20.0), ("20/s", 20.0), ("20", 20.0), ("30/m", 0.5), ("0.5 / s", 0.5)])
def test_rates_are_calls_a_second(written: object, calls: float) -> None:
    """Each way of writing one gives calls a second."""
    assert rate(written) == calls


@pytest.mark.parametrize("written", [0, "0/s", -2, "20/h", "fast", None, False])
def test_what_is_no_rate_says_so(written: object) -> None:
    """No calls at all is no rate either."""
    with pytest.raises(ValueError, match=r"^found .*, expected a rate above 0"):
        rate(written)


@pytest.mark.parametrize(("written", "part"), [(0.9, 0.9), ("90%", 0.9), (1, 1.0), ("0", 0.0), ("99.5 %", 0.995), ("0.5", 0.5)])
def test_shares_are_from_0_to_1(written: object, part: float) -> None:
    """Each way of writing one gives a share."""
    assert share(written) == part


@pytest.mark.parametrize("written", [1.1, 90, "101%", "-1%", "half", None, True])
def test_what_is_no_share_says_so(written: object) -> None:
    """More than all is no share."""
    with pytest.raises(ValueError, match=r"^found .*, expected a share from 0 to 1"):
        share(written)


def test_pydantic_reads_them_where_yaml_comes_in() -> None:
    """A frozen dataclass with such fields is read, with and without units, also strictly."""
    adapter = TypeAdapter(Sample)
    assert adapter.validate_json('{"wait": "500ms", "rate": "20/s", "share": "90%"}', strict=True) == Sample(0.5, 20.0, 0.9)
    with pytest.raises(ValidationError, match="found 'soon', expected a duration"):
        adapter.validate_python({"wait": "soon"})


def test_editors_are_told_both_ways_of_writing() -> None:
    """The JSON Schema allows a number or text of the right pattern."""
    properties = TypeAdapter(Sample).json_schema()["properties"]
    for name in ("wait", "rate", "share"):
        assert [each["type"] for each in properties[name]["anyOf"]] == ["number", "string"]


@given(st.integers(0, 7_200_000).map(lambda number: number / 1000))
def test_what_is_spelled_reads_back(seconds: float) -> None:
    """Every duration of whole milliseconds survives being written."""
    assert duration(spelled(seconds)) == pytest.approx(seconds)


def test_durations_are_spelled_short() -> None:
    """The largest unit that gives a whole number is used, below one second milliseconds."""
    assert [spelled(each) for each in (0.5, 1.5, 30, 90, 120, 7200, 0)] == ["500ms", "1.5s", "30s", "90s", "2m", "2h", "0s"]


@given(st.text(max_size=60))
def test_any_text_is_a_value_or_a_value_error(text: str) -> None:
    """Nothing but a `ValueError` ever comes out."""
    for read in (duration, rate, share):
        with contextlib.suppress(ValueError):
            assert read(text) >= 0


@pytest.mark.parametrize("read", [duration, rate, share])
@pytest.mark.parametrize("text", ["010", "010s", "00.5", "0010/s", "09", "010%", " 010 "])
def test_a_zero_in_front_is_refused_with_the_reason(read: Callable[[object], float], text: str) -> None:
    """Eight to one reader, ten to another: nobody can tell what was meant."""
    with pytest.raises(ValueError, match="without a 0 in front: some readers take that for octal"):
        read(text)


@pytest.mark.parametrize(
    ("read", "written", "ours"),
    [
        (duration, "5min", "5m"),
        (duration, "500 msec", "500ms"),
        (duration, "10 Seconds", "10s"),
        (duration, "1 hour", "1h"),
        (duration, "5M", "5m"),
        (rate, "20 per second", "20/s"),
        (rate, "20/sec", "20/s"),
        (rate, "20rps", "20/s"),
        (rate, "30 / min", "30/m"),
        (share, "50 percent", "50%"),
    ],
)
def test_a_unit_as_others_write_it_is_told_in_ours(read: Callable[[object], float], written: str, ours: str) -> None:
    """And what is told is right."""
    with pytest.raises(ValueError, match=rf"; did you mean '{re.escape(ours)}'\?$"):
        read(written)
    assert read(ours) >= 0


@pytest.mark.parametrize("written", ["5 fortnights", "min", "5 5", "", "5ss", "-5min"])
def test_what_is_no_unit_of_anybodys_is_not_guessed(written: str) -> None:
    """What was expected is told all the same."""
    with pytest.raises(ValueError, match="expected a duration") as raised:
        duration(written)
    assert "did you mean" not in str(raised.value)
