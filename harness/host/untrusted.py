"""Files that somebody else may have made: read and written so that they can neither hang us, fill memory, nor lead us elsewhere.

Two kinds. A file that the user *names* (a scenario, an inventory) may be a link, as files in a home folder are; it must be an ordinary file of a
bounded size. What lies *in a folder* that may be somebody else's (a run's results) is reached from that folder without following any link, and is
written beside its place and then renamed into it. What cannot be used is `BadInput` with the file's name; a file that is not there is
`FileNotFoundError`.
"""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import stat
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NoReturn

from harness.core.errors import BadInput, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.core.values import Json

DEEPEST = 64
"""Objects and lists inside each other at most. The deepest that the harness writes is some ten."""

MOST_VALUES = 500_000
"""Values in one JSON text at most: a value takes up to a hundred times the memory of its bytes. The harness writes some ten thousand."""

MOST_SENT = 1 << 28
"""Bytes of a file that is copied to a node, at most: it is held in memory."""

FOLDER_MODE = 0o755
FILE_MODE = 0o644
"""What is made is for others to read at most; the umask may take more away."""

_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK  # not blocking: a pipe that nobody writes to must not hang us
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}
_NOT_TEXT = re.compile("[^\\t\\n\\r\\f\\x20-\\x7e\\x85\\xa0-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")
_OPENING, _CLOSING = b"[{", b"]}"
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)  # one without an end too: no text may make us look twice
_BETWEEN = re.compile(rb"[^]\[{}]+")
_WHOLE = 2**63
HALF = re.compile("[\ud800-\udc7f\udd00-\udfff]")
"""Half a character, but for those that stand for a byte of a path that is not UTF-8."""


# -- files that the user names


def named(path: Path, most: int, expected: str) -> bytes:
    """Return what an ordinary file holds that the user named. Links are followed. Raises `BadInput`, also where it is not there."""
    try:
        with _opened(path, path, most, expected, None) as file:
            return _all(file, path, most, expected)
    except FileNotFoundError as error:
        found = f"a link to {path.readlink()}, which is not there" if path.is_symlink() else "no such file"
        raise BadInput([Problem(str(path), 0, 0, found, expected)]) from error


@contextmanager
def itself(path: Path, most: int, expected: str) -> Iterator[BinaryIO]:
    """Lend an ordinary file that the user named and that may be too large to be held: no link. Raises `BadInput`, also where it is not there."""
    try:
        with _within(path.parent, path.name) as (parent, last), _opened(last, path, most, expected, parent) as file:
            yield file
    except FileNotFoundError as error:
        raise BadInput([Problem(str(path), 0, 0, "no such file", expected)]) from error


def leads_out(folder: Path, name: str) -> bool:
    """Whether links on the way to a file lead out of a folder: who fills that does not choose what else is read of the machine it is read on.

    What is named plainly is read wherever it lies.
    """
    base = Path(os.path.realpath(folder))
    real = os.path.realpath(base / name)
    return real != os.path.normpath(base / name) and not Path(real).is_relative_to(base)


def there(path: Path) -> bool:
    """Whether something has this name, also where it is a name that nothing can have. What cannot be looked at may be there."""
    try:
        path.stat()
    except PermissionError:
        return True
    except (OSError, ValueError):
        return False
    return True


def sent(path: Path) -> tuple[bytes, int]:
    """Return what an ordinary file holds that the user wants to have copied, and its mode. Links are followed. Raises `BadInput`."""
    expected = "an ordinary file to copy"
    try:
        with _opened(path, path, MOST_SENT, expected, None) as file:
            return _all(file, path, MOST_SENT, expected), stat.S_IMODE(os.fstat(file.fileno()).st_mode)
    except FileNotFoundError as error:
        raise BadInput([Problem(str(path), 0, 0, "no such file", expected)]) from error


def text(body: bytes, file: str) -> str:
    """Return text: UTF-8, with or without a byte-order mark, without control characters. Raises `BadInput` with the place."""
    try:
        found = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        said = f"a file that is not UTF-8 (byte 0x{body[error.start]:02x} in line {body.count(bytes([10]), 0, error.start) + 1})"
        raise BadInput([Problem(file, 0, 0, said, "text", "save the file as plain UTF-8 text")]) from error
    must_be_text(found, file)
    return found


def must_be_text(found: str, file: str) -> None:
    """Raise `BadInput` with the place of the first control character, but for those that end lines and pages, or of half a character."""
    bad = _NOT_TEXT.search(found)
    if bad:
        line, column = found.count("\n", 0, bad.start()) + 1, bad.start() - found.rfind("\n", 0, bad.start())
        raise BadInput([Problem(file, line, column, f"the character U+{ord(bad[0]):04X}", "text", "save the file as plain UTF-8 text")])


# -- files in a folder that may be somebody else's


def read(folder: Path, name: str, most: int) -> bytes:
    """Return what an ordinary file in a folder holds (`name` may go through folders below it). No link below the folder is followed.

    Raises `FileNotFoundError`, or `BadInput` for what is no ordinary file or holds more than `most` bytes.
    """
    with _within(folder, name) as (parent, last):
        path = folder / name
        with _opened(last, path, most, "a file of a run", parent) as file:
            return _all(file, path, most, "a file of a run")


@contextmanager
def lines(folder: Path, name: str, most: int, longest: int) -> Iterator[Iterator[bytes]]:
    """Lend the lines of a file, each with its end, read one by one; a last one without an end is left out: whoever wrote it was killed.

    Raises what `read` raises; so does reading on, for a line of more than `longest` bytes.
    """
    path = folder / name
    with _within(folder, name) as (parent, last), _opened(last, path, most, "a file of a run", parent) as file:
        yield _each(file, path, most, longest)


def tail(folder: Path, name: str, count: int) -> bytes:
    """Return the last bytes of a file, however large it is. Raises what `read` raises."""
    path = folder / name
    with _within(folder, name) as (parent, last), _opened(last, path, None, "a file of a run", parent) as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - count))
        return file.read(count)


def make(folder: Path) -> None:
    """Make a folder, and what is missing above it, so that nobody else may write there, whatever the umask. Raises `OSError` where it is there."""
    if not folder.parent.exists():
        with suppress(FileExistsError):  # made by another process meanwhile
            make(folder.parent)
    folder.mkdir(mode=FOLDER_MODE)


def write(folder: Path, name: str, body: bytes) -> None:
    """Write a file in a folder, so that a reader finds the old one or the new one, never half of it. A link in its place is replaced, not followed.

    Folders on the way below `folder` are made. Nobody else may write to what is made, whatever the umask.

    Raises `OSError`, or `BadInput` where a folder on the way is a link, or one is in its place.
    """
    with _within(folder, name, make_missing=True) as (parent, last):
        fresh = f".{last}.{secrets.token_hex(8)}"
        try:
            handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE, dir_fd=parent)
        except OSError as error:  # the name that it was to get at last is the one that says something
            raise OSError(error.errno, error.strerror, str(folder / name)) from error
        try:
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(body)
            except OSError as error:  # of an open file: it knows no name
                raise OSError(error.errno, error.strerror, str(folder / name)) from error
            try:
                os.rename(fresh, last, src_dir_fd=parent, dst_dir_fd=parent)
            except IsADirectoryError as error:
                raise BadInput([Problem(str(folder / name), 0, 0, "a folder", "a file, or nothing", "it was to be written")]) from error
        except BaseException:
            with suppress(OSError):
                os.unlink(fresh, dir_fd=parent)
            raise


def anew(folder: Path, name: str) -> int:
    """Return a descriptor to write to of a file that is made in a folder, for what is written bit by bit. Whatever had its name is gone.

    Folders on the way below `folder` are made. Nobody else may write to what is made, whatever the umask. Raises as `write`.
    """
    with _within(folder, name, make_missing=True) as (parent, last):
        try:
            with suppress(FileNotFoundError):
                os.unlink(last, dir_fd=parent)
            return os.open(last, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE, dir_fd=parent)
        except IsADirectoryError as error:
            raise BadInput([Problem(str(folder / name), 0, 0, "a folder", "a file, or nothing", "it was to be written")]) from error
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(folder / name)) from error


# -- JSON


ENCODING_ERRORS = "surrogatepass"
"""A name that is no text (a path that is not UTF-8) is kept as it is, in both directions."""


def loads(body: bytes, *, finite: bool = True) -> Json:
    """Return the JSON that bytes hold, a file's or somebody's answer. Raises `ValueError` for anything else, and for what the harness never writes.

    That is: a key that stands twice in one object, more than `DEEPEST` brackets inside each other, more than `MOST_VALUES` values, numbers that no
    field holds or that are none (unless `finite` is false), and half a character (but for those that stand for a byte of a path that is not UTF-8).
    """
    brackets = _count(body, _OPENING)
    if brackets > DEEPEST or brackets + _count(body, b",") >= MOST_VALUES:
        bare = _STRING.sub(b"", body)
        if _count(bare, _OPENING + b",") >= MOST_VALUES:  # each value is the first in its brackets, or stands behind a comma
            raise ValueError(f"more than {MOST_VALUES} values")
        if _depth(bare) > DEEPEST:
            raise ValueError(f"more than {DEEPEST} objects and lists inside each other")
    text = body.decode(errors=ENCODING_ERRORS)
    found: Json = (_DECODER if finite else _ANY_FLOAT).decode(text)
    if "\\u" in text or b"\xed" in body:
        half = HALF.search(json.dumps(found, ensure_ascii=False))
        if half:
            raise ValueError(f"half a character, U+{ord(half[0]):04X}")
    return found


def json_of(body: bytes, file: str) -> Json:
    """Return the JSON that a file holds. Raises `BadInput`."""
    try:
        return loads(body)
    except (ValueError, RecursionError) as error:
        raise BadInput([Problem(file, 0, 0, f"text that is not JSON ({error})", "what the harness wrote", "it is damaged")]) from error


def object_of(body: bytes, file: str) -> dict[str, Json]:
    """Return the JSON object that bytes hold. Raises `BadInput`, also for another value."""
    found = json_of(body, file)
    if not isinstance(found, dict):
        raise BadInput([Problem(file, 0, 0, f"a {type(found).__name__}", "a JSON object")])
    return found


def object_in(folder: Path, name: str, most: int) -> dict[str, Json]:
    """Return the JSON object that a file in a folder holds. Raises what `read` and `object_of` raise."""
    return object_of(read(folder, name, most), str(folder / name))


def _number(text: str) -> float:
    found = float(text)
    if found in {float("inf"), float("-inf")}:
        raise ValueError(f"the number {text[:24]}, which is too large")
    return found


def _integer(text: str) -> int:
    if len(text) > len(str(-_WHOLE)) or not -_WHOLE <= (found := int(text)) < _WHOLE:
        raise ValueError(f"the number {text[:24]}…, which is too large")
    return found


def _constant(text: str) -> NoReturn:
    raise ValueError(f"{text}, which is no number")


def _pairs(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    body = dict(pairs)
    if len(body) != len(pairs):
        raise ValueError("a key stands there twice")
    return body


_DECODER = json.JSONDecoder(parse_float=_number, parse_int=_integer, parse_constant=_constant, object_pairs_hook=_pairs)
_ANY_FLOAT = json.JSONDecoder(parse_int=_integer, object_pairs_hook=_pairs)


def _count(body: bytes, marks: bytes) -> int:
    return sum(body.count(mark) for mark in marks)


def _depth(bare: bytes) -> int:
    """Return how deep the brackets of a text without its strings are nested."""
    depth = deepest = 0
    for each in _BETWEEN.sub(b"", bare):
        if each in _OPENING:
            depth += 1
            deepest = max(deepest, depth)
        elif each in _CLOSING:
            depth -= 1
    return deepest


# -- opening


@contextmanager
def _within(folder: Path, name: str, *, make_missing: bool = False) -> Iterator[tuple[int, str]]:
    """Lend the folder that a name lies in, opened without following a link below `folder`, and the name's last part."""
    *above, last = name.split("/")
    if {"", ".", ".."} & {*above, last}:
        raise BadInput([Problem(str(folder / name), 0, 0, f"the name {name!r}", "a name below the folder")])
    try:
        handle = os.open(folder, _FLAGS | os.O_DIRECTORY)
    except NotADirectoryError as error:
        raise FileNotFoundError(error.errno, error.strerror, str(folder)) from error
    except OSError as error:
        _refuse(error, folder, "a folder")
    try:
        for number, part in enumerate(above, 1):
            if make_missing:
                with suppress(FileExistsError):
                    os.mkdir(part, FOLDER_MODE, dir_fd=handle)
            try:
                below = os.open(part, _FLAGS | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=handle)
            except OSError as error:
                _refuse(error, folder.joinpath(*above[:number]), "a folder")
            os.close(handle)
            handle = below
        yield handle, last
    finally:
        os.close(handle)


@contextmanager
def _opened(name: str | Path, path: Path, most: int | None, expected: str, parent: int | None) -> Iterator[BinaryIO]:
    """Lend an ordinary file, of any size with `most` None. `parent` is the folder of `name`, and forbids a link; None: the user's own path."""
    try:
        # Looked at before it is opened: to open some devices does something.
        _ordinary(os.stat(name, dir_fd=parent, follow_symlinks=parent is None), path, most, expected)
        handle = os.open(name, _FLAGS | (0 if parent is None else os.O_NOFOLLOW), dir_fd=parent)
    except (OSError, ValueError) as error:
        _refuse(error, path, expected)
    with os.fdopen(handle, "rb") as file:
        _ordinary(os.fstat(handle), path, most, expected)
        yield file


def _ordinary(about: os.stat_result, path: Path, most: int | None, expected: str) -> None:
    if stat.S_ISLNK(about.st_mode):
        raise BadInput([Problem(str(path), 0, 0, "a link", expected, "links are not followed here")])
    if not stat.S_ISREG(about.st_mode):
        raise BadInput([Problem(str(path), 0, 0, _KINDS.get(stat.S_IFMT(about.st_mode), "no ordinary file"), expected)])
    if most is not None and about.st_size > most:
        _too_big(path, most)


def _too_big(path: Path, most: int) -> NoReturn:
    size = f"{most >> 20} MiB" if most >= 1 << 20 else f"{most >> 10} KiB"
    raise BadInput([Problem(str(path), 0, 0, "a file that is too large", f"{size} at most", "it was not read")])


def _refuse(error: OSError | ValueError, path: Path, expected: str) -> NoReturn:
    if isinstance(error, FileNotFoundError):
        raise FileNotFoundError(error.errno, error.strerror, str(path)) from error
    if isinstance(error, OSError) and error.errno == errno.ELOOP:
        raise BadInput([Problem(str(path), 0, 0, "a link", expected, "links are not followed here")]) from error
    why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    raise BadInput([Problem(str(path), 0, 0, f"what cannot be read ({why})", expected)]) from error


def _all(file: BinaryIO, path: Path, most: int, expected: str) -> bytes:
    try:
        body = file.read(most + 1)
    except OSError as error:
        _refuse(error, path, expected)
    if len(body) > most:
        _too_big(path, most)
    return body


def _each(file: BinaryIO, path: Path, most: int, longest: int) -> Iterator[bytes]:
    number = total = 0
    while line := file.readline(longest + 1):
        number, total = number + 1, total + len(line)
        if total > most:
            _too_big(path, most)  # it grew while it was read
        if len(line) > longest:
            raise BadInput([Problem(str(path), number, 1, "a line that is too long", f"{longest >> 20} MiB at most", "it was not read")])
        if not line.endswith(b"\n"):
            return
        yield line
