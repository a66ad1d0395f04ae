"""The checks of a file: one thing each, with the properties that it must have."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, TypeAdapter

from harness.core.looks import ADDRESS, PEER, address, peer_of
from harness.core.naming import article, close, shown
from harness.core.units import counted
from harness.document import MODE
from harness.scenario import models
from harness.steps import Check
from harness.steps.misfit import target_misfits
from harness.steps.targeting import read_target

if TYPE_CHECKING:
    from harness.core.values import Json
    from harness.document import Place
    from harness.scenario.parsing import Draft


def read_check(reading: Draft, item: Json, place: Place) -> Check | None:
    """Read an item of `checks`."""
    subjects = [name for name in models.PROPERTIES if isinstance(item, dict) and name in item]
    if not isinstance(item, dict) or len(subjects) != 1:
        valid = ", ".join(models.PROPERTIES)
        hint = (
            ""
            if subjects
            else next((near for key in (item if isinstance(item, dict) else ()) if (near := close(key, models.PROPERTIES))), "")
        )
        reading.add(place, " and ".join(subjects) or shown(item), f"a check of exactly one {valid}", hint)
        return None
    (subject,) = subjects
    rest = {name: value for name, value in item.items() if name in {"on", "when"}}
    if isinstance(rest.get("when"), str):
        rest["when"] = [rest["when"]]
    part = reading.part(models.CheckPart, rest, place)
    name = reading.checked(_text_type(), item[subject], (*place, subject), f"the name of {article(subject)}")
    if name is not None:
        _check_name(reading, subject, name, (*place, subject))
    expect = {key: value for key, value in item.items() if key not in {"on", "when", subject}}
    valid_names = models.PROPERTIES[subject]
    for key, value in expect.items():
        if key not in valid_names:
            found = f"an unknown property {key!r} of {article(subject)}"
            reading.add((*place, key), found, f"one of {', '.join(valid_names)}", close(key, [*valid_names, "on", "when"]), key=True)
        elif not _fits(key, value):
            _note_value(reading, subject, key, value, (*place, key))
    if not expect:
        reading.add(place, f"a check of {subject} without a property", f"one of {', '.join(valid_names)}, with its value")
    target = read_target(reading, rest.get("on", "all"), (*place, "on"))
    if target is not None and target.of_faults:
        found = f"the target {part.on!r} of a check" if part else "such a target of a check"
        reading.add((*place, "on"), found, "one that goes by no fault", "checks are asked also while nothing is broken")
    if part is None or name is None or target is None:
        return None
    reading.misfits(target_misfits(part.on, (*place, "on"), reading.mode) if reading.mode else [])
    return Check(subject, name, expect, part.on, tuple(part.when))


def _fits(key: str, value: Json) -> bool:
    """Say whether something can have that value of a property."""
    if isinstance(value, str) and key in models.DIGESTS:
        return re.fullmatch(f"[0-9a-f]{{{models.DIGESTS[key]}}}", value) is not None
    return isinstance(value, _kind(key)) and (_kind(key) is not int or (not isinstance(value, bool) and int(str(value)) >= 0))


def _note_value(reading: Draft, subject: str, key: str, value: Json, place: Place) -> None:
    """Say what a property's value is to be."""
    expected = MODE if key == "mode" else f"{_EXPECTED[_kind(key)]}, as {key} of {article(subject)} is"
    quoted = _kind(key) is bool and str(value).lower() in {"true", "false"}
    hint = "without quotes around it: in them it is text" if quoted else ""
    if key == "mode" and (match := re.fullmatch("0[oO]?([0-7]{3,4})", str(value))):
        hint = f"did you mean 0{match[1]}?"
    if key in models.DIGESTS and isinstance(value, str):
        expected = f"{models.DIGESTS[key]} hexadecimal digits in lower case, as `{key}` prints them"
        hint = f"those are {counted(len(value), 'character')}" if len(value) != models.DIGESTS[key] else ""
    reading.add(place, shown(value), expected, hint)


_PLACES = {"socket": (address, ADDRESS), "peer": (peer_of, PEER)}
_EXPECTED = {bool: "true or false", int: "a whole number from 0", str: "text"}


def _kind(name: str) -> type[bool | int | str]:
    """Return the type of a property's value."""
    return int if name in models.NUMBERS else str if name in models.TEXTS else bool


def _check_name(reading: Draft, subject: str, name: str, place: Place) -> None:
    """Tell a name that nothing of the kind can have."""
    if subject == "file" and not name.startswith("/"):
        reading.add(place, shown(name), "the whole path of a file, from / on")
    if subject == "service" and set(name) & set("*?[ "):
        reading.add(place, shown(name), "the name of one unit", "systemd takes a pattern for all units that fit it")
    if subject in _PLACES:
        read, expected = _PLACES[subject]
        try:
            read(name)
        except ValueError:
            reading.add(place, shown(name), expected)


@functools.cache
def _text_type() -> TypeAdapter[str]:
    return TypeAdapter(Annotated[str, Field(min_length=1, max_length=500)])
