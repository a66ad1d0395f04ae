"""Folders and files for root's eyes only, whatever the umask: nodes' disks hold keys, and a node's root has programs that run as root.

What an older version left open is closed when it is next used. What somebody else owns is refused: they could put there what they like.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from harness.core.errors import HarnessError
from harness.host import untrusted

if TYPE_CHECKING:
    from collections.abc import Container

    from harness.core.values import Json

FOLDER_MODE = 0o700
FILE_MODE = 0o600
LARGEST = 1 << 20
"""Largest record that is read, in bytes. Ours have some hundred bytes a node."""

_TRIES = 50
"""How often a folder is made anew that goes while it is made."""
OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH


def folder(path: Path) -> Path:
    """Make a folder, and what is missing above it, for this user alone, and return it; one that is there already is closed to all others.

    Raises `OSError`, and `HarnessError` where it is somebody else's or a link.
    """
    for _ in range(_TRIES):
        with suppress(FileNotFoundError):  # another process removed one above it, which was empty, when its last run ended
            return _made(path)
    return _made(path)


def _made(path: Path) -> Path:
    missing = []
    above = path
    while not os.path.lexists(above):
        missing.append(above)
        above = above.parent
    for each in reversed(missing):
        with suppress(FileExistsError):  # made by another process meanwhile
            each.mkdir(mode=FOLDER_MODE)
    for each in missing or [path]:
        _close(each)
    return path


def shared_folder(path: Path, ours: Container[str]) -> Path:
    """Do as `folder` for one that a user may have named and that may hold other things: closed only where all that is in it is `ours`, by name."""
    if not path.exists():
        return folder(path)
    if all(each.name in ours for each in path.iterdir()):
        _close(path, follow=True)
    return path


def opened(path: Path, mode: str) -> IO[Any]:
    """Open a file for writing, for this user alone from its first instant on; ``a``, ``w`` and ``b`` mean what they mean to `open`.

    Text is UTF-8. A link is not followed. Raises `OSError`.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | (os.O_APPEND if "a" in mode else os.O_TRUNC)
    handle = os.open(path, flags, FILE_MODE)
    try:
        os.fchmod(handle, FILE_MODE)  # one that was there already, and whatever the umask is
        return os.fdopen(handle, mode, encoding=None if "b" in mode else "utf-8")
    except BaseException:
        os.close(handle)
        raise


def doubt(path: Path) -> str:
    """Say why a folder is not to be believed to hold only what this user put there; empty where it is, or where there is none.

    Also what lies above it counts: whoever may write there may put another folder in its place.
    """
    if not path.is_absolute() or ".." in path.parts:
        return f"{path} is no whole path"
    for each in (path, *path.parents):
        try:
            found = each.lstat()
        except FileNotFoundError:
            continue
        except OSError as error:
            return f"{each} cannot be looked at: {error.strerror}"
        if not stat.S_ISDIR(found.st_mode):
            return f"{each} is no folder"
        if found.st_uid not in {0, os.geteuid()} or (each == path and found.st_uid != os.geteuid()):
            return f"{each} belongs to user {found.st_uid}"
        if found.st_mode & OTHERS_MAY_WRITE and (each == path or not found.st_mode & stat.S_ISVTX):
            return f"others may write into {each}"
    return ""


def read(path: Path) -> bytes:
    """Return what a record holds, if this user wrote it and nobody else can have. Raises `OSError` where it is missing, `HarnessError` else."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise HarnessError(f"{path} is no regular file")
        if found.st_uid != os.geteuid():
            raise HarnessError(f"{path} belongs to user {found.st_uid}")
        if found.st_mode & OTHERS_MAY_WRITE:
            raise HarnessError(f"others may write {path} (mode {stat.S_IMODE(found.st_mode):o})")
        if found.st_size > LARGEST:
            raise HarnessError(f"{path} has {found.st_size} bytes; a record has {LARGEST} at most")
        return os.read(handle, LARGEST)
    finally:
        os.close(handle)


def record(path: Path) -> dict[str, Json]:
    """Return the JSON object that a record holds. Raises what `read` raises, and `ValueError` for anything else."""
    found = untrusted.loads(read(path))
    if not isinstance(found, dict):
        raise ValueError(f"{type(found).__name__} where an object was expected")  # noqa: TRY004 - of a text, not of a caller
    return found


def numbers(path: Path) -> list[float]:
    """Return the list of numbers that a record holds. Raises what `record` raises."""
    found = untrusted.loads(read(path))
    if not isinstance(found, list):
        raise ValueError(f"{type(found).__name__} where a list was expected")  # noqa: TRY004 - same
    if not all(type(each) in {int, float} for each in found):
        raise ValueError("something else than numbers")
    return [float(str(each)) for each in found]


def _close(path: Path, *, follow: bool = False) -> None:
    """Close a folder to all others. Raises `HarnessError` where it is not ours to close."""
    if path.is_symlink() and path.lstat().st_uid == os.geteuid():
        follow = True  # whoever owns this machine may keep things on another disk
    try:
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW))
    except NotADirectoryError as error:
        raise HarnessError(f"{path} is a file, or somebody else's link; expected a folder of our own; move it away") from error
    try:
        found = os.fstat(handle)
        if found.st_uid != os.geteuid():
            raise HarnessError(
                f"{path} belongs to user {found.st_uid}, who could put there what they like; expected a folder of user {os.geteuid()}'s own; "
                "remove it, or let WHALEFALL_STATE and WHALEFALL_CACHE name others"
            )
        if stat.S_IMODE(found.st_mode) != FOLDER_MODE:
            os.fchmod(handle, FOLDER_MODE)
    finally:
        os.close(handle)
