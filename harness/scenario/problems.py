"""Problems in plain words: what pydantic found, a value without all of it, the nearest valid name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from harness.core import targets
from harness.core.values import Json
from harness.scenario import models

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_WHY_FIFTY = "a node takes 60 MB of memory and most of a second of a core to boot; more of them test this machine, not the cluster"


def wrong(error: ErrorDetails, described: str) -> tuple[str, str, str]:
    """Return found, expected and a hint for a value that does not fit."""
    value: Any = error["input"]
    context: Mapping[str, Any] = error.get("ctx", {})
    kind = error["type"]
    found = shown(value)
    if kind == "value_error":
        said = str(context.get("error", ""))
        if said.startswith("found ") and ", expected " in said:
            found, _, expected = said.removeprefix("found ").partition(", expected ")
            return found, expected, ""
        return found, said or described, ""
    if kind == "literal_error":
        expected = str(context.get("expected", ""))
        valid = [each for each in expected.replace(" or ", ", ").replace("'", "").split(", ") if each]
        return found, f"one of {', '.join(valid)}", close(str(value), valid)
    hint = _WHY_FIFTY if kind == "less_than_equal" and described == models.NODES else ""
    expected = _PLAIN.get(kind, str(error["msg"]).removeprefix("Input should be "))
    return found, described or expected, hint


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


def one_of(what: str, names: Iterable[str]) -> str:
    """Say what is expected where only certain names are valid: all of them, so that nobody has to look them up."""
    return f"the name of a {what}: {', '.join(sorted(names))}"


def close(word: str, valid: Any) -> str:
    """Return a hint only where a valid name is near."""
    hint = targets.nearest(word, list(valid))
    return hint if hint.startswith("did you mean") else ""


def shown(value: Json) -> str:
    """Name a value without repeating all of it."""
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        keys = ", ".join(str(key)[:24] for key in list(value)[:4])
        return f"a mapping with {keys}{', …' if len(value) > 4 else ''}" if value else "an empty mapping"  # noqa: PLR2004 - as just shown
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, bool):
        return str(value).lower()
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"  # noqa: PLR2004 - as much as a line bears
