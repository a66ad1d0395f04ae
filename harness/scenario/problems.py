"""Problems in plain words: what pydantic found, and what was expected."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from harness.core.naming import close, shown
from harness.host import origins
from harness.scenario import models

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_WHY_FIFTY = "a node takes 60 MB of memory and most of a second of a core to boot; more of them test this machine, not the cluster"


def wrong(error: ErrorDetails, described: str) -> tuple[str, str, str]:
    """Return found, expected and a hint for a value that does not fit."""
    value: Any = error["input"]
    context: Mapping[str, Any] = error.get("ctx", {})
    kind = error["type"]
    if isinstance(value, str) and error["loc"][-1:] == ("image",):
        value = origins.hidden(value)
    found = shown(value)
    if error["loc"][-1:] == ("environment",) and isinstance(value, str | tuple):
        found = "text" if isinstance(value, str) else "a tuple"  # a value of a variable may be in it
    if kind == "value_error":
        said = str(context.get("error", ""))
        if said.startswith("found ") and ", expected " in said:
            return parts(said)
        return found, said or described, ""
    if kind == "literal_error":
        expected = str(context.get("expected", ""))
        valid = [each for each in expected.replace(" or ", ", ").replace("'", "").split(", ") if each]
        return found, f"one of {', '.join(valid)}", close(str(value), valid)
    if kind == "int_from_float" or (isinstance(value, float) and value.is_integer() and "int" in kind):
        return found, described or _PLAIN[kind], f"did you mean {int(value)}?" if float(value).is_integer() else ""
    if kind == "string_type" and not described and isinstance(value, int | float):
        return found, _PLAIN[kind], "in quotes it is text"
    hint = _WHY_FIFTY if kind == "less_than_equal" and described == models.NODES else ""
    if kind in {"int_type", "float_type"} and isinstance(value, str) and value.isascii() and value.isdecimal():
        hint = "without the quotes it is a number"
    expected = _PLAIN.get(kind, str(error["msg"]).removeprefix("Input should be "))
    return found, described or expected, hint


def parts(said: str) -> tuple[str, str, str]:
    """Return found, expected and a hint of a sentence in the words of `harness.core.units`: ``found 5x, expected a duration; did you mean 5s?``."""
    found, _, rest = said.removeprefix("found ").partition(", expected ")
    expected, _, hint = rest.partition("; ")
    return found, expected, hint


_PLAIN: Final[Mapping[str, str]] = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "text",
    "dict_type": "a mapping",
    "list_type": "a list",
}
"""Pydantic's errors in plain words."""
