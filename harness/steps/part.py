"""A mapping of a scenario file: which keys it has, and what is expected under each of them. Its JSON Schema is made of the same."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from harness.core import parameters
from harness.core.naming import stands_for
from harness.core.units import bounded

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from harness.core.values import Json


class Part(BaseModel):
    """A mapping of the file. Keys are strict: nothing is guessed, nothing ignored. A field's description is what an error says was expected."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


@functools.cache
def keys(model: type[BaseModel]) -> tuple[str, ...]:
    """Return the keys of a part, as a file spells them."""
    return tuple(each.alias or name for name, each in model.model_fields.items())


def beside_with(model: type[BaseModel], of: Any, item: Mapping[str, Json]) -> dict[str, str]:
    """Return the parameters of a class that a step made of it has beside ``with``, each with where it belongs; none that is a key of the step itself.

    Where there are any it is told of each that it stands in the wrong place: that it is missing only follows from that.
    """
    own = keys(model)
    return {name: "with" for name in parameters.names(of) if name in item and name not in own}


def meant(model: type[BaseModel], item: Mapping[str, Json], absent: Collection[str] = ()) -> set[str]:
    """Return which keys of a part those in a mapping that are none of its stand for: nobody left them out, and what they hold is not known."""
    own = keys(model)
    return {stands_for(key, own, absent) for key in item if key not in own} - {""}


@functools.cache
def descriptions(model: type[BaseModel]) -> Mapping[str, str]:
    """Return what is expected under each key of a part."""
    return {each.alias or name: each.description or "" for name, each in model.model_fields.items()}


def model_schema(model: type[BaseModel], *, described: bool = False) -> dict[str, Any]:
    """Return the JSON Schema of a part. Its docstring is in it only where it is for whoever writes a scenario (`described`)."""
    found = model.model_json_schema(by_alias=True)
    found.pop("title", None)
    if not described:
        found.pop("description", None)
    for each in found["properties"].values():
        each.pop("title", None)
    for name, field in model.model_fields.items():
        bounded(found["properties"][field.alias or name], field.metadata)
    return found
