"""Everything that a scenario can name, and the parameters that each of them takes.

Faults, workloads and checkers are frozen dataclasses; their fields are their parameters. What comes from a file is checked against the fields'
types by pydantic, strictly: ``"2"`` is not a number and 1 is not true. What a plan fills in itself (`OURS`) can not be set from a file.

A parameter is named as its field is, or by an alias of that (``Annotated[str, Field(alias="heal")]``) where the class has a method of its name.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import typing
from typing import TYPE_CHECKING, Any

import pydantic.dataclasses
from pydantic import BeforeValidator, ConfigDict, TypeAdapter
from pydantic.fields import FieldInfo

from harness.core import units, values

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.core.values import Json

OURS = frozenset({"apps", "budgets", "election", "expected", "slack"})
"""Fields that a plan fills in, e.g. a checker's budgets from the mode's timers, or whom the history must have heard of."""


APP = "the name of an app"
"""What is expected of every parameter that is called ``app``."""


def names(cls: Any) -> tuple[str, ...]:
    """Return the names of the parameters that a file may set, in order."""
    return tuple(fields(cls))


def fields(cls: Any) -> Mapping[str, str]:
    """Return the field of each parameter by the parameter's name, in order."""
    return _by_name(cls)


@functools.cache
def _by_name(cls: Any) -> Mapping[str, str]:
    hints = _hints(cls)
    return {_alias(hints[each.name]) or each.name: each.name for each in _fields(cls)}


def _alias(hint: Any) -> str:
    return next((each.alias for each in getattr(hint, "__metadata__", ()) if isinstance(each, FieldInfo) and each.alias), "")


def build(cls: Any, given: Mapping[str, Json]) -> Any:
    """Return an instance of `cls` with these parameters.

    Raises `pydantic.ValidationError` where a value does not fit its field, and whatever `ValueError` the class raises itself.
    """
    checked = _adapter(cls).validate_json(json.dumps(dict(given)), strict=True)
    return cls(**{field: getattr(checked, field) for field in fields(cls).values()})


def read(instance: Any) -> dict[str, Json]:
    """Return the parameters of an instance as JSON; `build` makes an equal instance of them."""
    cls: Any = type(instance)
    adapter = _adapter(cls)
    # The plain field values: what a file may set is scalars, lists and mappings of them.
    held = _shape(cls)(**{name: getattr(instance, field) for name, field in fields(cls).items()})
    found: dict[str, Json] = adapter.dump_python(held, mode="json", by_alias=True)
    return found


def spelled(instance: Any) -> dict[str, str]:
    """Return those parameters that have a unit, in the words of a scenario file: ``5s``, ``20/s``, ``90%``."""
    hints = _hints(type(instance))
    found = {}
    for name, field in fields(type(instance)).items():
        value = getattr(instance, field)
        for kind in _readers(hints[field]) if isinstance(value, int | float) else ():
            if said := units.in_words(kind, value):
                found[name] = said
    return found


def _readers(hint: Any) -> list[Any]:
    """Return the functions that read a value of a type from a file, also where it may be something else as well."""
    own = [each.func for each in getattr(hint, "__metadata__", ()) if isinstance(each, BeforeValidator)]
    return own + [each for part in typing.get_args(hint) for each in _readers(part)]


def must_fit(instance: Any) -> None:
    """Check an instance that was made in Python as strictly as what comes from a file, whose units are read before they get here.

    Raises `pydantic.ValidationError` where a value does not fit its field, and `ValueError` where it is none that a file can hold, or is text in
    place of what it spells, such as ``5s``.
    """
    cls: Any = type(instance)
    given = {name: getattr(instance, field) for name, field in fields(cls).items()}
    try:
        text = json.dumps(given)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"found a value that no file can hold ({error}), expected numbers, text, lists and mappings") from error
    checked = _adapter(cls).validate_json(text, strict=True)
    for name, value in given.items():
        try:
            json.dumps(value, allow_nan=False)
        except ValueError as error:
            raise ValueError(f"found {name} {value!r}, expected a number that is finite") from error
    for name, value in given.items():
        read = getattr(checked, fields(cls)[name])
        if isinstance(value, str) and not isinstance(read, str):
            raise ValueError(f"found {name} {value!r}, expected {read!r}: units are for files")  # noqa: TRY004 - as all of a file's


def fits(instance: Any) -> bool:
    """Whether all values of an instance are of their fields' types, for a class that asks more of them where it is made.

    In Python they may be anything: what does not fit is told by whoever is handed the instance, in words (`must_fit`).
    """
    try:
        must_fit(instance)
    except ValueError:
        return False
    return True


def schema(cls: Any) -> dict[str, Any]:
    """Return the JSON Schema of the parameters: an object that allows nothing else."""
    found = _adapter(cls).json_schema()
    found.pop("title", None)
    for each in found.get("properties", {}).values():
        each.pop("title", None)
    if "description" not in found.get("properties", {}).get("app", {"description": ""}):
        found["properties"]["app"]["description"] = APP  # by its name it is an app's everywhere, also in a class of a plug-in
    for name, hint in _hints(cls).items():
        bounds = [bound for each in getattr(hint, "__metadata__", ()) for bound in getattr(each, "metadata", ())]
        units.bounded(found.get("properties", {}).get(_alias(hint) or name, {}), bounds)
    if cls.__doc__:
        found["description"] = cls.__doc__.strip().partition("\n")[0]
    return found


def _fields(cls: Any) -> tuple[dataclasses.Field[Any], ...]:
    return tuple(each for each in dataclasses.fields(cls) if each.init and each.name not in OURS)


@functools.cache
def _shape(cls: Any) -> Any:
    """Return a dataclass of the settable fields only, which refuses all other keys."""
    hints = _hints(cls)
    fields = [
        (each.name, hints[each.name], dataclasses.field(default=each.default, default_factory=each.default_factory))
        for each in _fields(cls)
    ]
    made = dataclasses.make_dataclass(cls.__name__, fields, kw_only=True)
    return pydantic.dataclasses.dataclass(made, config=ConfigDict(extra="forbid"))


def _hints(cls: Any) -> dict[str, Any]:
    """Return the types of a class's fields, whole."""
    # Modules may import a field's type for type checkers only; those that parameters are made of are given here.
    return typing.get_type_hints(cls, localns={**vars(typing), **vars(values), **vars(units)}, include_extras=True)


@functools.cache
def _adapter(cls: Any) -> TypeAdapter[Any]:
    return TypeAdapter(_shape(cls))


_KINDS = {"string": "text", "integer": "a whole number", "number": "a number", "boolean": "true or false"}


def wanted(cls: Any) -> dict[str, str]:
    """Return what is expected of each parameter of a class, in words, where its type says so."""
    found = schema(cls).get("properties", {})
    return {name: _wanted(each) for name, each in found.items()}


def _wanted(found: Mapping[str, Any]) -> str:
    """Say what a schema asks for: by its description, its values, or that of whichever it is that is not null."""
    if described := found.get("description"):
        return str(described)
    if "enum" in found:
        return f"one of {', '.join(str(each) for each in found['enum'] if each)}"
    if found.get("type") in _KINDS:
        return _KINDS[found["type"]]
    return next((said for each in found.get("anyOf", ()) if (said := _wanted(each))), "")
