"""Text that no terminal obeys: the one place where what we print is made harmless.

Names, reasons, histories, answers of nodes and error texts were written by others. A terminal acts on what is in them: it moves the cursor, paints
over lines, sets its title, turns the direction of writing. Every such character is spelled out instead, as Python would spell it. Pure.
"""

from __future__ import annotations

import json
import re
import shlex
import unicodedata
from typing import Any

ACTING = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp", "Cn"})
"""Unicode's categories of what is no letter, sign or space: controls (C0, C1, DEL), formats (direction, zero width), lone surrogates, separators of
lines and paragraphs, and what has no meaning at all."""

KEPT = "\n\t"
"""What may stand in text of several lines."""

# What can be of one of these categories at all, so that plain text, which is nearly all of it, costs one search.
_SUSPECT = re.compile("[^\x20-\x7e\u00a1-\u00ac\u00ae-\u02ff]")
_BYTES = range(0xDC80, 0xDD00)
"""Lone surrogates that stand for bytes that are no UTF-8: Python reads the names of files and arguments so."""
_MARKS = re.compile(r"([\\`*_{}\[\]<>|~&#!])")
_LINKS = re.compile(r"(?<=[A-Za-z])://|(?<=www)\.")


def plain(text: object) -> str:
    """Return text in which nothing is obeyed. Ends of lines and tabs stay: for paragraphs."""
    return _SUSPECT.sub(lambda found: found[0] if found[0] in KEPT else _spelled(found[0]), str(text))


def in_line(text: object) -> str:
    """Return text in which nothing is obeyed and that stays on its line: for names, cells and sentences, which could forge a line of ours."""
    return _SUSPECT.sub(lambda found: _spelled(found[0]), str(text))


def sentence(text: object) -> str:
    """Return text in which nothing is obeyed as one line of words with a blank between them: for what somebody else put on several lines."""
    return in_line(" ".join(str(text).split()))


def below(text: object) -> str:
    """Return text in which nothing is obeyed and that can forge no line of ours: only its first line begins at the left, the others below it."""
    return plain(text).replace("\n", "\n    ")


def as_markdown(text: object) -> str:
    """Return text as Markdown shows it as it is: no markup, no link, on one line."""
    escaped = _MARKS.sub(r"\\\1", sentence(text))
    return _LINKS.sub(lambda found: "\\" + found[0], escaped)


def command(*words: object) -> str:
    """Return a command as bash, zsh and ksh take it, on one line in which nothing is obeyed: to be pasted, whatever its words are."""
    return " ".join(_word(str(each)) for each in words)


def as_path(path: object) -> str:
    """Return a path as an argument that no command takes for an option."""
    return f"./{path}" if str(path).startswith("-") else str(path)


def json_text(body: Any) -> str:
    """Return JSON for people and programs, two blanks deep. What a terminal would obey is escaped as JSON escapes it."""
    return re.sub(_SUSPECT, _escaped, json.dumps(body, indent=2, ensure_ascii=False))


def _word(word: str) -> str:
    if not any(map(_acts, word)):
        return shlex.quote(word)
    quoted = "".join(_bytes(char) if _acts(char) else f"\\{char}" if char in "'\\" else char for char in word)
    return f"$'{quoted}'"


def _bytes(char: str) -> str:
    code = ord(char)
    raw = bytes([code - 0xDC00]) if code in _BYTES else char.encode("utf-8", "surrogatepass")
    return "".join(f"\\x{each:02x}" for each in raw)


def _acts(char: str) -> bool:
    return unicodedata.category(char) in ACTING


def _spelled(char: str) -> str:
    if not _acts(char):
        return char
    code = ord(char)
    if code in _BYTES:
        return f"\\x{code - 0xDC00:02x}"
    return {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(char) or (
        f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"  # noqa: PLR2004 - as Python spells them
    )


def _escaped(found: re.Match[str]) -> str:
    char = found[0]
    if char == "\n" or not _acts(char):  # only json's own line ends are raw ones
        return char
    pairs = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{pairs[at]:02x}{pairs[at + 1]:02x}" for at in range(0, len(pairs), 2))
