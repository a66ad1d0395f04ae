"""How an event becomes a line of JSON, and a line an event again.

Knows nothing of what events there are: it goes by the fields of frozen dataclasses and their types. What is not exactly of a field's type is refused;
nothing is guessed.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import json
import math
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from harness.core.figures import DIGITS
from harness.host import untrusted

Reader: TypeAlias = Callable[[Any], Any]
"""Makes a field's value of what JSON holds; raises `ValueError` that says what was expected."""

ENCODING_ERRORS = untrusted.ENCODING_ERRORS

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def to_line(index: int, time: float, kind: str, event: Any) -> bytes:
    """Give an event with its place as one JSON object, without an end of line. A field that has its default is left out."""
    body: dict[str, Any] = {"i": index, "t": round(time, DIGITS), "kind": kind}
    cls: Any = type(event)
    for name, default in _fields(cls):
        value = getattr(event, name)
        if value is not default and value != default:
            body[name] = _plain(value)
    return _encode(body).encode(errors=ENCODING_ERRORS)


def from_line(line: bytes, kinds: Mapping[str, type[Any]]) -> tuple[int, float, Any]:
    """Undo `to_line`, whether a digest was added to the line since or not. Raises `ValueError` with what is wrong."""
    body: Any = untrusted.loads(line, finite=False)  # a time that is no number breaks the chain, which is told there
    if not isinstance(body, dict):
        raise ValueError("not an object")  # noqa: TRY004 - a reader's one kind of error
    body.pop("h", None)
    index, time, kind = (body.pop(key, None) for key in ("i", "t", "kind"))
    if type(index) is not int or type(time) not in {int, float} or not isinstance(kind, str):
        raise ValueError("no number i, no number t, or no kind")
    if kind not in kinds:
        raise ValueError(f"{kind!r:.80} is no kind of event")
    cls: Any = kinds[kind]
    return index, float(time), _reader(cls)(body)


def without_halves(line: bytes) -> bytes:
    """Return a line with U+FFFD for every half character but those that stand for a byte of a path (`harness.host.untrusted`)."""
    return untrusted.HALF.sub("\N{REPLACEMENT CHARACTER}", line.decode(errors=ENCODING_ERRORS)).encode(errors=ENCODING_ERRORS)


def typed(hint: Any, value: Any) -> Any:
    """Return what JSON holds as a value of exactly that type, dataclasses in it made. Raises `ValueError` with what was expected."""
    return _reader(hint)(value)


@functools.cache
def _fields(cls: Any) -> tuple[tuple[str, Any], ...]:
    """Field names of a dataclass with their defaults (a unique object where there is none)."""
    found = []
    for each in dataclasses.fields(cls):
        default = each.default_factory() if each.default_factory is not dataclasses.MISSING else each.default
        found.append((each.name, default))
    return tuple(found)


_SCALAR = frozenset({str, int, float, bool, types.NoneType})
"""What most values are, and what the encoder takes as it is."""


def _plain(value: Any) -> Any:
    """Turn values into what the encoder takes."""
    if type(value) in _SCALAR:
        return value
    if dataclasses.is_dataclass(value):
        cls: Any = type(value)
        return {name: _plain(getattr(value, name)) for name, _ in _fields(cls)}
    if isinstance(value, tuple | list):
        return [_plain(each) for each in value]
    return value


@functools.cache
def _reader(hint: Any) -> Reader:  # noqa: PLR0911 - one line a shape
    """Return what reads a value of that type."""
    origin = typing.get_origin(hint)
    if origin in {typing.Union, types.UnionType}:
        (inner,) = (each for each in typing.get_args(hint) if each is not types.NoneType)
        read = _reader(inner)
        return lambda value: None if value is None else read(value)
    if origin is tuple:
        one = _reader(typing.get_args(hint)[0])
        return lambda value: tuple(one(each) for each in _exactly(list, value))
    if origin is Mapping:
        each_value = _reader(typing.get_args(hint)[1])
        return lambda value: {key: each_value(each) for key, each in _exactly(dict, value).items()}
    if hint is float:
        return _finite
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return _one_of(hint)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return _object_reader(hint)
    return _anything if hint is Any else lambda value: _exactly(hint, value)


def _one_of(cls: type[enum.Enum]) -> Reader:
    def read(value: Any) -> Any:
        try:
            return cls(value)
        except ValueError as error:  # whose words repeat all of the value
            raise ValueError(f"{value!r:.80} is no {cls.__name__}") from error

    return read


def _object_reader(cls: Any) -> Reader:
    # Json refers to itself by name, which only a type checker follows; what it holds is passed on as it is.
    hints = typing.get_type_hints(cls, localns={"Json": Any, "Mapping": Mapping})
    readers = {each.name: _reader(hints[each.name]) for each in dataclasses.fields(cls)}

    def read(value: Any) -> Any:
        try:
            return cls(**{name: readers[name](each) for name, each in _exactly(dict, value).items()})
        except KeyError as error:
            raise ValueError(f"{error.args[0]!r:.80} is no field of it") from error
        except TypeError as error:  # a field is missing
            raise ValueError(str(error)) from error

    return read


def _anything(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _anything(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_anything(each) for each in value]
    return _finite(value) if isinstance(value, float) else value


def _finite(value: Any) -> float:
    number = float(value) if type(value) is int else float(_exactly(float, value))
    if not math.isfinite(number):
        raise ValueError(f"{number} is no number to reckon with")
    return number


def _exactly(cls: type[Any], value: Any) -> Any:
    if type(value) is not cls:
        raise ValueError(f"{value!r:.80} is no {cls.__name__}")
    return value
