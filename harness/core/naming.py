"""How a value of a file is named in a sentence, and the valid name that is near to a wrong one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from harness.core import targets

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from harness.core.values import Json


FEW = 12
"""Names that a sentence bears."""


def article(noun: str) -> str:
    """Give a noun after its article: ``a fault``, ``an action``."""
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"


def one_of(what: str, names: Iterable[str]) -> str:
    """Say what is expected where only certain names are valid: all of them, so that nobody has to look them up."""
    return f"the name of {article(what)}: {', '.join(sorted(names))}"


def close(word: str, valid: Any) -> str:
    """Return a hint only where a valid name is near."""
    hint = targets.nearest(word, list(valid))
    return hint if hint.startswith("did you mean") else ""


def stands_for(key: str, keys: Collection[str], absent: Collection[str]) -> str:
    """Return which of the `keys` of a mapping a key in it that is none stands for, one of the `absent` first; empty where nobody can say."""
    head, colon, _ = key.partition(":")
    if colon and head in keys:
        return head
    elsewhere = _ELSEWHERE.get(key, "")
    return targets.likeliest(key, absent) or (elsewhere if elsewhere in keys else "") or targets.likeliest(key, keys)


def unspaced(key: str, keys: Collection[str]) -> str:
    """Say of a key that is none, and begins with one and a colon, what it lacks; empty for any other."""
    head, colon, rest = key.partition(":")
    return f"a space after the colon: `{head}: {rest[:24]}{'…' * (len(rest) > 24)}`" if colon and head in keys else ""  # noqa: PLR2004 - as just shown


_ELSEWHERE: Mapping[str, str] = {
    **dict.fromkeys(("target", "targets", "node", "nodes"), "on"),
    **dict.fromkeys(("duration", "for"), "hold"),
    "timeout": "at most",
    **dict.fromkeys(("args", "params", "parameters"), "with"),
}
"""What is called otherwise in other tools' files: the word there, and the key here."""


def shown(value: Json) -> str:
    """Name a value without repeating all of it."""
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        keys = ", ".join(str(key)[:24] for key in list(value)[:4])
        return f"a mapping with {keys}{', …' if len(value) > 4 else ''}" if value else "an empty mapping"  # noqa: PLR2004 - as just shown
    if isinstance(value, list):
        return f"a list of {len(value)}" if value else "an empty list"
    if isinstance(value, bool):
        return str(value).lower()
    text = repr(value)
    end = text[0] if isinstance(value, str) else ""
    return text if len(text) <= 60 else f"{text[:60]}…{end}"  # noqa: PLR2004 - as much as a line bears


def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """Order names as people do: n2 before n10, web@9 before web@10."""
    parts: list[tuple[int, int, str]] = []
    digits = ""
    for char in f"{name}\0":
        if char.isdecimal():
            digits += char
            continue
        if digits:
            parts.append((0, int(digits), ""))
            digits = ""
        parts.append((1, 0, char))
    return tuple(parts)


def range_of(names: Sequence[str]) -> str:
    """Give names that are numbered, in order, in few words: ``n1 to n3``."""
    return f"{names[0]} to {names[-1]}" if len(names) > 1 else names[0]


def few(names: Sequence[str], between: str = ", ") -> str:
    """Give names in that order, the first of them where there are many."""
    more = f" and {len(names) - FEW} more" if len(names) > FEW else ""
    return f"{between.join(names[:FEW])}{more}"


def listed(names: Iterable[str], none: str = "nobody") -> str:
    """Give names as a phrase, in that order."""
    return ", ".join(sorted(names, key=natural)) or none


def quoted(text: str) -> str:
    """Give text in a line of words: in quotation marks where it would run together with what follows, or be nothing."""
    return text if _WORD.fullmatch(text) else f'"{text}"' if '"' not in text else repr(text)


_WORD = re.compile(r"[^\s\"',;={}\[\]]+")


def worded(value: Json) -> str:
    """Give a value of a parameter, or of a check's property, in words: ``true``, ``0.5``, ``{MODE: new}``, ``[cut, hang]``."""
    if isinstance(value, list):
        return f"[{', '.join(map(worded, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{name}: {worded(each)}' for name, each in value.items())}}}"
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)
