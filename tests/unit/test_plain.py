"""Text that no terminal obeys."""

from __future__ import annotations

import ast
import io
import json
import subprocess
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.table import Table
from rich.text import Text

from harness.core.plain import below, command, in_line, json_text, plain, sentence
from harness.reports.console import Console

HARNESS = Path(__file__).parents[2] / "harness"


def acting(text: str) -> list[str]:
    """Return the characters that a terminal, or a reader's eye, would obey."""
    return [char for char in text if unicodedata.category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp", "Cn"} and char not in "\n\t"]


ANYTHING = st.text(st.characters(exclude_categories=())) | st.text(st.sampled_from("\x1b\x9b\x07\r\n\t\u202e\u2066\u200b\u2028\udcff[/]ab"))


@settings(deadline=None)
@given(ANYTHING)
def test_nothing_that_acts_is_left_of_any_text(text: str) -> None:
    """Controls, directions, zero widths, separators, surrogates: also on a stream that takes UTF-8 alone."""
    assert acting(plain(text)) == []
    assert not {"\n", "\t"} & set(in_line(text))
    assert acting(in_line(text)) == acting(sentence(text)) == []
    plain(text).encode()


@settings(deadline=None)
@given(ANYTHING)
def test_json_says_the_same_escaped(text: str) -> None:
    """What a program reads of it is what was to be said."""
    body = {text: [text]}
    shown = json_text(body)
    assert acting(shown) == []
    found = json.loads(shown)
    assert found == json.loads(json.dumps(body))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Grüße, 日本 → web@1 [/] 90 %", "Grüße, 日本 → web@1 [/] 90 %"),
        ("\x1b[31mred\x9b2J\x7f", "\\x1b[31mred\\x9b2J\\x7f"),
        ("a\rb\x08\x00", "a\\rb\\x08\\x00"),
        ("\u202egnp.exe\u2066\u200b\u2028\ufeff", "\\u202egnp.exe\\u2066\\u200b\\u2028\\ufeff"),
        ("caf\udce9 \ud800", "caf\\xe9 \\ud800"),
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_what_acts_is_spelled_out_and_all_else_stays(text: str, said: str) -> None:
    """Letters of every script, brackets and signs are as they were."""
    assert plain(text) == in_line(text) == said


def test_a_name_cannot_forge_a_line() -> None:
    """Paragraphs keep their lines; names, cells and sentences are one."""
    assert plain("a\n\tb") == "a\n\tb"
    assert in_line("web\nHELD  all is well\t") == "web\\nHELD  all is well\\t"
    assert sentence("E: one\n  E: two\r\n") == "E: one E: two"


@settings(deadline=None, max_examples=40)
@given(
    st.lists(
        ANYTHING.filter(lambda word: "\0" not in word and not set(word) & set(map(chr, range(0xD800, 0xDC80)))), min_size=1, max_size=3
    )
)
def test_a_shell_makes_the_same_words_of_a_command(words: list[str]) -> None:
    """Whatever they are; and no terminal obeys what is pasted."""
    words = [word.encode("utf-8", "surrogatepass").decode("utf-8", "surrogateescape") for word in words]
    shown = command(*words)
    assert acting(shown) == []
    assert not {"\n", "\t"} & set(shown)
    said = subprocess.run(["bash", "-c", f"printf '%s\\0' {shown}"], capture_output=True, check=True, env={"LC_ALL": "C.UTF-8"}).stdout
    assert said == b"".join(word.encode("utf-8", "surrogateescape") + b"\0" for word in words)


def test_what_lies_below_a_sentence_is_indented() -> None:
    """So that no line of it can be taken for one of ours."""
    assert below("it said: a\nHELD  b\r\n\x1b[2J") == "it said: a\n    HELD  b\\r\n    \\x1b[2J"


def test_the_console_takes_text_for_text() -> None:
    """No markup, no emoji, no sequence but its own: in strings, texts and cells of tables, styled or not."""
    file = io.StringIO()
    console = Console(file=file, width=80, force_terminal=True, color_system="standard")
    hostile = "[/] [red]x[/red] :skull: \x1b]0;title\x07\x1b[2J\u202e"
    table = Table("[/]", hostile)
    table.add_row(hostile, Text(hostile, "red"))
    console.print(hostile, Text(hostile, "bold red"), table, soft_wrap=True)
    shown = file.getvalue()
    assert shown.count("[red]x[/red] :skull: \\x1b]0;title\\x1b[2J\\u202e") >= 2  # rich itself drops the bell
    assert "\x1b]" not in shown
    assert "\x1b[2J" not in shown
    assert "\x1b[1;31m" in shown


PRINTERS = {
    "echo": {"cli/telling.py"},
    "secho": set(),
    "Console": {"reports/console.py", "cli/telling.py", "cli/tables.py", "cli/scoring.py", "reports/tested.py"},
    "print": {"undo/reaper.py", "providers/inventory/ansible_reader.py"},  # its own log; JSON on a pipe to us
    "print_exception": set(),
}
"""Calls that print, and the only modules that may make each: all others say what they say through those."""


def calls(source: str) -> set[str]:
    """Return the last names of all that a module calls, but for methods of a console."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name):
                found.add(node.func.id)
            elif isinstance(node.func, ast.Attribute) and node.func.attr != "print":
                found.add(node.func.attr)
    return found


def test_there_is_one_way_to_print() -> None:
    """A new printer cannot be forgotten: it has to go through `harness.core.plain`."""
    for path in sorted(HARNESS.rglob("*.py")):
        name = str(path.relative_to(HARNESS))
        printed = {call for call in calls(path.read_text(encoding="utf-8")) if call in PRINTERS}
        assert {call for call in printed if name not in PRINTERS[call]} == set(), name
