"""Files that somebody else may have made neither hang us, nor fill memory, nor lead us elsewhere."""

from __future__ import annotations

import json
import os
import re
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core.errors import BadInput
from harness.host import untrusted
from tests.unit.test_ledger import _Room

MOST = 1 << 20


def odd(folder: Path, kind: str) -> None:
    """Put something that is no ordinary file where ``x`` is expected."""
    at = folder / "x"
    if kind == "a link":
        (folder / "elsewhere").write_text("{}")
        at.symlink_to(folder / "elsewhere")
    elif kind == "a link to a device":
        at.symlink_to("/dev/zero")
    elif kind == "a link to nothing":
        at.symlink_to(folder / "nothing")
    elif kind == "a link to itself":
        at.symlink_to(at)
    elif kind == "a pipe":
        os.mkfifo(at)
    elif kind == "a folder":
        at.mkdir()
    elif kind == "a socket":
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(at))
    elif kind == "a large file":
        with at.open("wb") as file:
            file.truncate(5 << 30)  # sparse: it takes no room


SAID = {
    "a link": "a link",
    "a link to a device": "a link",
    "a link to nothing": "a link",
    "a link to itself": "a link",
    "a pipe": "a pipe",
    "a folder": "a folder",
    "a socket": "a socket",
    "a large file": "a file that is too large; expected 1 MiB at most",
}


@pytest.mark.parametrize("kind", SAID)
def test_what_is_no_ordinary_file_of_a_folder_is_refused(tmp_path: Path, kind: str) -> None:
    """At once, with its name and what it is, whole or by lines."""
    odd(tmp_path, kind)
    said = re.escape(f"{tmp_path}/x: {SAID[kind]}")
    with pytest.raises(BadInput, match=said):
        untrusted.read(tmp_path, "x", MOST)
    with pytest.raises(BadInput, match=said), untrusted.lines(tmp_path, "x", MOST, 100) as found:
        list(found)
    with pytest.raises(BadInput, match=said):
        untrusted.object_in(tmp_path, "x", MOST)


@pytest.mark.parametrize(("kind", "said"), [
    ("a link to a device", "a device"), ("a link to itself", "a link"), ("a pipe", "a pipe"), ("a folder", "a folder"), ("a large file", "too large"),
])  # fmt: skip
def test_a_file_that_the_user_names_may_be_a_link_but_must_be_ordinary(tmp_path: Path, kind: str, said: str) -> None:
    """As somebody's settings are links into another folder."""
    odd(tmp_path, kind)
    with pytest.raises(BadInput, match=said):
        untrusted.named(tmp_path / "x", MOST, "a file")


def test_a_link_that_the_user_names_is_followed(tmp_path: Path) -> None:
    """And what is not there is told."""
    odd(tmp_path, "a link")
    assert untrusted.named(tmp_path / "x", MOST, "a file") == b"{}"
    with pytest.raises(BadInput, match="no such file; expected a file"):
        untrusted.named(tmp_path / "y", MOST, "a file")


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/etc/passwd", "", "a//b", "."])
def test_a_name_that_leaves_its_folder_is_refused(tmp_path: Path, name: str) -> None:
    """For reading and for writing."""
    with pytest.raises(BadInput, match="a name below the folder"):
        untrusted.read(tmp_path, name, MOST)
    with pytest.raises(BadInput, match="a name below the folder"):
        untrusted.write(tmp_path, name, b"")


def test_a_folder_on_the_way_that_is_a_link_is_not_gone_through(tmp_path: Path) -> None:
    """Neither to read nor to write; what is not there is not there."""
    (tmp_path / "run").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "x").write_text("secret")
    (tmp_path / "run" / "logs").symlink_to(tmp_path / "outside")
    with pytest.raises(BadInput, match=r"links are not followed|cannot be read"):
        untrusted.read(tmp_path / "run", "logs/x", MOST)
    with pytest.raises(BadInput, match=r"links are not followed|cannot be read"):
        untrusted.write(tmp_path / "run", "logs/x", b"new")
    assert (tmp_path / "outside" / "x").read_text() == "secret"
    with pytest.raises(FileNotFoundError):
        untrusted.read(tmp_path / "run", "x", MOST)
    with pytest.raises(FileNotFoundError):
        untrusted.read(tmp_path / "run", "none/x", MOST)


@pytest.mark.parametrize("kind", ["a link", "a link to a device", "a link to nothing", "a pipe"])
def test_what_stands_in_the_place_of_a_file_that_is_written_is_replaced(tmp_path: Path, kind: str) -> None:
    """What a link points to is as it was, and nothing is left beside the file."""
    odd(tmp_path, kind)
    untrusted.write(tmp_path, "x", b"new")
    assert (tmp_path / "x").read_bytes() == b"new"
    assert not (tmp_path / "x").is_symlink()
    assert {each.name for each in tmp_path.iterdir()} <= {"x", "elsewhere"}
    if kind == "a link":
        assert (tmp_path / "elsewhere").read_text() == "{}"


def test_a_file_that_cannot_be_written_leaves_nothing_beside_it(tmp_path: Path) -> None:
    """A folder cannot be replaced by a file."""
    (tmp_path / "x").mkdir()
    with pytest.raises(BadInput, match="x: a folder; expected a file, or nothing"):
        untrusted.write(tmp_path, "x", b"new")
    assert [each.name for each in tmp_path.iterdir()] == ["x"]


def test_a_file_that_cannot_be_made_is_told_by_the_name_that_it_was_to_have(tmp_path: Path) -> None:
    """And not by the one that it has until it is whole."""
    with pytest.raises(OSError, match=re.escape(f"'{tmp_path}/{'x' * 250}'")):
        untrusted.write(tmp_path, "x" * 250, b"")


def test_lines_are_read_one_by_one_and_bounded(tmp_path: Path) -> None:
    """A last line without an end is left out; one that is too long is told with its number, without being read to its end."""
    (tmp_path / "x").write_bytes(b"one\ntwo\nthr")
    with untrusted.lines(tmp_path, "x", MOST, 4) as found:
        assert list(found) == [b"one\n", b"two\n"]
    (tmp_path / "x").write_bytes(b"one\n" + b"2" * 100 + b"\n")
    with untrusted.lines(tmp_path, "x", MOST, 64) as found:
        assert next(found) == b"one\n"
        with pytest.raises(BadInput, match="x:2:1: a line that is too long"):
            next(found)


def test_a_file_that_grows_while_it_is_read_is_bounded_too(tmp_path: Path) -> None:
    """Its size when it was opened says nothing about later."""
    (tmp_path / "x").write_bytes(b"one\n")
    with untrusted.lines(tmp_path, "x", 100, 64) as found:
        assert next(found) == b"one\n"
        with (tmp_path / "x").open("ab") as file:
            file.write(b"another\n" * 100)
        with pytest.raises(BadInput, match="too large"):
            list(found)


NO_JSON = {
    "deep lists": b"[" * 100_000,
    "deep lists that end": b"[" * 80 + b"]" * 80,
    "deep objects": b'{"a":' * 80 + b"1" + b"}" * 80,
    "deep after strings with brackets": b'["\\"]]]",' + b"[" * 80 + b"]" * 81,
    "strings without end in strings": b'"' + b'\\"' * 200_000 + b"[" * 100,
    "too many lists": b"[" + b"[]," * untrusted.MOST_VALUES + b"[]]",
    "too many numbers": b"[" + b"1," * untrusted.MOST_VALUES + b"1]",
    "too many objects": b'{"a":[' + b'{"b":1},' * untrusted.MOST_VALUES + b"1]}",
    "no number": b"NaN",
    "infinity": b"-Infinity",
    "a float that is too large": b"1e999",
    "a whole number that is too large": b"9" * 100,
    "a whole number that fits no field": b"9223372036854775808",
    "a whole number that Python refuses": b"9" * 5000,
    "half a character": b'"\\ud800"',
    "half a character as a key": b'{"\\udfff": 1}',
    "a key that stands twice": b'{"a": 1, "a": 2}',
    "bytes that are no text": b'"\xff"',
    "another encoding": "{}".encode("utf-16"),
    "nothing": b"",
    "two values": b"1 2",
    "a torn one": b'{"a": ',
}


@pytest.mark.parametrize("body", NO_JSON.values(), ids=NO_JSON)
def test_what_is_no_json_that_we_would_write_is_refused(body: bytes) -> None:
    """With the file, never by a RecursionError."""
    with pytest.raises(BadInput, match=r"^x: text that is not JSON"):
        untrusted.json_of(body, "x")


def test_what_stands_in_strings_is_not_counted_as_values() -> None:
    """A log may hold any number of commas and brackets."""
    value = ["[{,"] * (untrusted.MOST_VALUES // 4)
    assert untrusted.json_of(json.dumps(value).encode(), "x") == value


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(VALUES)
def test_whatever_the_harness_writes_is_read_back(value: object) -> None:
    """With or without escapes."""
    assert untrusted.json_of(json.dumps(value).encode(), "x") == value
    assert untrusted.json_of(json.dumps(value, ensure_ascii=False, indent=1).encode(), "x") == value


def test_a_path_that_is_no_text_is_read_back() -> None:
    """The harness runs in folders whose names are not UTF-8."""
    path = os.fsdecode(b"/tmp/\xff")
    assert untrusted.json_of(json.dumps(path).encode(), "x") == path
    assert untrusted.json_of(json.dumps(path, ensure_ascii=False).encode(errors="surrogatepass"), "x") == path


def test_the_end_of_a_file_is_read_alone(tmp_path: Path) -> None:
    """However large it is."""
    odd(tmp_path, "a large file")
    with (tmp_path / "x").open("ab") as file:
        file.write(b"end")
    assert untrusted.tail(tmp_path, "x", 5) == b"\0\0end"
    (tmp_path / "y").write_bytes(b"ab")
    assert untrusted.tail(tmp_path, "y", 5) == b"ab"


def test_a_value_that_is_no_object_is_told(tmp_path: Path) -> None:
    """Where an object is expected."""
    (tmp_path / "x").write_text("[]")
    with pytest.raises(BadInput, match="x: a list; expected a JSON object"):
        untrusted.object_in(tmp_path, "x", MOST)


def test_a_disk_without_room_is_told_with_the_file_that_was_to_be_written(tmp_path: Path) -> None:
    """And what was there before is there still."""
    untrusted.write(tmp_path, "verdict.json", b"before")
    with _Room(10), pytest.raises(OSError, match=f"File too large: '{tmp_path}/verdict.json'"):
        untrusted.write(tmp_path, "verdict.json", b"x" * 100)
    assert [each.name for each in tmp_path.iterdir()] == ["verdict.json"]
    assert (tmp_path / "verdict.json").read_bytes() == b"before"
