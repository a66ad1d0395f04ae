"""The checks of a file: one thing each, with the properties that it must have."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, TypeAdapter

from harness.plan import Check
from harness.scenario import fits, models
from harness.scenario.problems import close, shown
from harness.scenario.targeting import read_target

if TYPE_CHECKING:
    from harness.document import Place
    from harness.scenario.reading import Reading
    from harness.values import Json


def read_check(reading: Reading, item: Json, place: Place) -> Check | None:
    """Read an item of `checks`."""
    subjects = [name for name in models.PROPERTIES if isinstance(item, dict) and name in item]
    if not isinstance(item, dict) or len(subjects) != 1:
        valid = ", ".join(models.PROPERTIES)
        hint = next((near for key in (item if isinstance(item, dict) else ()) if (near := close(key, models.PROPERTIES))), "")
        reading.add(place, " and ".join(subjects) or shown(item), f"a check of exactly one {valid}", hint)
        return None
    (subject,) = subjects
    rest = {name: value for name, value in item.items() if name in {"on", "when"}}
    if isinstance(rest.get("when"), str):
        rest["when"] = [rest["when"]]
    part = reading.part(models.Check, rest, place)
    name = reading.checked(_text_type(), item[subject], (*place, subject), f"the name of a {subject}")
    expect = {key: value for key, value in item.items() if key not in {"on", "when", subject}}
    valid_names = models.PROPERTIES[subject]
    for key, value in expect.items():
        if key not in valid_names:
            found = f"an unknown property {key!r} of a {subject}"
            reading.add((*place, key), found, f"one of {', '.join(valid_names)}", close(key, [*valid_names, "on", "when"]), key=True)
        elif isinstance(value, dict | list) or value is None:
            reading.add((*place, key), shown(value), "the value that the property must have")
    if not expect:
        reading.add(place, f"a check of {subject} without a property", f"one of {', '.join(valid_names)}, with its value")
    target = read_target(reading, rest.get("on", "all"), (*place, "on"))
    if part is None or name is None or target is None:
        return None
    reading.misfits(fits.target_misfits(part.on, (*place, "on"), reading.mode) if reading.mode else [])
    return Check(subject, name, expect, part.on, tuple(part.when))


@functools.cache
def _text_type() -> TypeAdapter[str]:
    return TypeAdapter(Annotated[str, Field(min_length=1, max_length=500)])
