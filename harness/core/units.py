"""Units as people write them in scenario files: durations, rates and shares; and names, one or several.

Each unit is a plain `float` to the code that uses it; pydantic turns ``500ms``, ``20/s`` or ``90%`` into one where YAML comes in.
What cannot be read raises a `ValueError` that says what was found and what was expected.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from pydantic import BeforeValidator, WithJsonSchema

if TYPE_CHECKING:
    from collections.abc import Iterable

_NUMBER = r"(?:0|[1-9][0-9]*)(?:\.[0-9]+)?"
"""Decimal, without zeros in front: some readers take those for octal, so that 010 is 8 to one and 10 to another."""
_ZEROS = re.compile(r"0[0-9]")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(rf"({_NUMBER})\s*(ms|s|m|h)?")
_RATE = re.compile(rf"({_NUMBER})\s*(?:/\s*(s|m))?")
_SHARE = re.compile(rf"({_NUMBER})\s*(%)?")

DURATION = "a duration of 0 or more, such as 5, 0.5, 500ms, 5s or 2m"
ABOVE = "a duration above 0, such as 30s or 2m"
RATE = "a rate above 0, such as 20 or 20/s (calls a second), or 30/m"
NAMES = "the name of a fault (its `as`), or a list of such names"
SHARE = "a share from 0 to 1, such as 0.9 or 90%"

MOST_SECONDS = 30 * 86400.0
"""Of a duration: a month. The waits of an operating system end somewhere above that, and no run is meant by it."""
MOST_A_SECOND = 1000.0
"""Calls: each is two lines of a history, of which some thousands a second can be written."""

_LONGEST = 40
"""Characters of a value that are looked at, or repeated in a message."""


def duration(value: object) -> float:
    """Return seconds. A bare number is seconds; text may end in ms, s, m or h. Raises `ValueError`."""
    number, unit = _read(value, _DURATION, DURATION)
    seconds = number * _SECONDS[unit or "s"]
    if seconds > MOST_SECONDS:
        raise ValueError(f"found {_shown(value)}, expected {DURATION}, and of a month at most")
    return seconds


def rate(value: object) -> float:
    """Return calls a second, above 0. A bare number is calls a second; text may end in /s or /m. Raises `ValueError`."""
    number, unit = _read(value, _RATE, RATE)
    if number == 0:
        raise ValueError(f"found {value!r}, expected {RATE}")
    calls = number / _SECONDS[unit or "s"]
    if calls > MOST_A_SECOND:
        raise ValueError(f"found {_shown(value)}, expected {RATE}, and {MOST_A_SECOND:g} a second at most")
    return calls


def share(value: object) -> float:
    """Return a share from 0 to 1. A bare number is that share; text may end in %. Raises `ValueError`."""
    number, unit = _read(value, _SHARE, SHARE)
    part = number / 100.0 if unit else number
    if part > 1.0:
        percent = f"{number:g}%"
        meant = f"; did you mean {percent!r}?" if not unit and number <= 100.0 else ""  # noqa: PLR2004 - all of it
        raise ValueError(f"found {value!r}, expected {SHARE}{meant}")
    return part


def names(value: Any) -> tuple[str, ...]:
    """Return names, given as one or as a list; none where an empty list is given. Raises `ValueError`."""
    given: list[Any] = [value] if isinstance(value, str) else list(value) if isinstance(value, list | tuple) else [None]
    found = [each for each in given if isinstance(each, str) and each]
    if found != given:
        raise ValueError(f"found {_shown(value)}, expected {NAMES}")
    if twice := next((each for each in found if found.count(each) > 1), ""):
        raise ValueError(f"found {_shown(twice)} twice, expected {NAMES}, each name once")
    return tuple(found)


def counted(number: int, what: str) -> str:
    """Give a number of things, e.g. ``3 nodes``."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def spelled(seconds: float) -> str:
    """Give a duration in the words of a scenario file: ``500ms``, ``30s``, ``2m``; `duration` reads it back, from 0.1 µs on."""
    if seconds and seconds < 1.0:
        return f"{seconds * 1000:.12g}ms"
    for unit in ("h", "m"):
        number = seconds / _SECONDS[unit]
        if number >= 1.0 and number.is_integer():
            return f"{number:g}{unit}"
    return f"{seconds:.12g}s"


def in_words(kind: object, value: float) -> str | None:
    """Give a number in the words of a scenario file, by the function that reads it there; None where none of ours does."""
    if kind is duration:
        return spelled(value)
    if kind is rate:
        return f"{value:.12g}/s"
    return f"{value * 100:.12g}%" if kind is share else None


_OTHERS = {
    **dict.fromkeys(("msec", "msecs", "milli", "millis", "millisecond", "milliseconds"), "ms"),
    **dict.fromkeys(("sec", "secs", "second", "seconds"), "s"),
    **dict.fromkeys(("min", "mins", "minute", "minutes"), "m"),
    **dict.fromkeys(("hr", "hrs", "hour", "hours"), "h"),
    **dict.fromkeys(("percent", "pct", "per cent"), "%"),
    **dict.fromkeys(("rps", "qps", "hz", "ps", "tps"), "/s"),
}
"""How others write our units."""
_SEVERAL = re.compile(r"(?:([0-9]{1,6})h)?\s*+(?:([0-9]{1,6})m)?\s*+(?:([0-9]{1,6})s)?")
"""A duration as many programs write it: 1h30m, 1m 30s."""
_OTHER = re.compile(rf"({_NUMBER})\s*(/|per )?\s*([a-z ]+)", re.IGNORECASE)


def _meant(value: object, pattern: re.Pattern[str]) -> str:
    """Return how a value is written here whose unit somebody wrote as others do, as the end of a sentence; empty for all else."""
    text = value.strip() if isinstance(value, str) and len(value) <= _LONGEST else ""
    if pattern is _DURATION and (several := _SEVERAL.fullmatch(text)) and any(several.groups()):
        seconds = sum(float(each) * _SECONDS[unit] for each, unit in zip(several.groups(default="0"), ("h", "m", "s"), strict=True))
        return f"; did you mean {spelled(seconds)!r}?"
    match = _OTHER.fullmatch(text)
    if match is None:
        return ""
    number, per, word = match.groups()
    unit = _OTHERS.get(word.strip().lower(), word.strip().lower())
    ours = f"{number}{'/' if per else ''}{unit}"
    return f"; did you mean {ours!r}?" if pattern.fullmatch(ours) else ""


def _read(value: object, pattern: re.Pattern[str], expected: str) -> tuple[float, str | None]:
    """Return the number and the unit, if any, of a value that is a number or text of that pattern; finite and not below 0."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError as e:
            raise ValueError(f"found an endless number, expected {expected}") from e
        unit = None
    elif isinstance(value, str) and len(value) <= _LONGEST and (match := pattern.fullmatch(value.strip())):
        number, unit = float(match[1]), match[2]
    elif isinstance(value, str) and _ZEROS.match(value.strip()):
        raise ValueError(f"found {_shown(value)}, expected {expected}, without a 0 in front: some readers take that for octal")
    else:
        raise ValueError(f"found {_shown(value)}, expected {expected}{_meant(value, pattern)}")
    if not math.isfinite(number) or number < 0:
        raise ValueError(f"found {_shown(value)}, expected {expected}")
    return number, unit


def _shown(value: Any) -> str:
    """Name a value without repeating all of a long one."""
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    text = repr(value[: _LONGEST + 1]) if isinstance(value, str) else repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _schema(pattern: str, description: str, **number: float) -> WithJsonSchema:
    """Describe a number, or text of this pattern, to editors."""
    return WithJsonSchema({"anyOf": [{"type": "number", **number}, {"type": "string", "pattern": pattern}], "description": description})


def bounded(schema: dict[str, Any], bounds: Iterable[Any]) -> None:
    """Have the schema of a number that may have a unit say above what it must be: pydantic puts bounds only into schemas of its own."""
    for each in bounds:
        least = getattr(each, "gt", None)
        if least is not None and "anyOf" in schema:
            schema["anyOf"] = [{"type": "number", "exclusiveMinimum": least}, *schema["anyOf"][1:]]


Duration: TypeAlias = Annotated[float, BeforeValidator(duration), _schema(rf"^{_NUMBER}\s*(ms|s|m|h)?$", DURATION, minimum=0)]
"""Seconds; in YAML ``5``, ``0.5``, ``500ms``, ``5s``, ``2m``."""

Rate: TypeAlias = Annotated[float, BeforeValidator(rate), _schema(rf"^{_NUMBER}\s*(/\s*[sm])?$", RATE, exclusiveMinimum=0)]
"""Calls a second; in YAML ``20``, ``20/s``, ``30/m``."""

Share: TypeAlias = Annotated[float, BeforeValidator(share), _schema(rf"^{_NUMBER}\s*%?$", SHARE, minimum=0, maximum=1)]
"""A share from 0 to 1; in YAML ``0.9`` or ``90%``."""

Names: TypeAlias = Annotated[
    tuple[str, ...],
    BeforeValidator(names),
    WithJsonSchema(
        {
            "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1, "uniqueItems": True}],
            "description": NAMES,
        }
    ),
]
"""Names of faults; in YAML ``cut`` or ``[cut, hang]``."""
