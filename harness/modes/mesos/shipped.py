"""The files that a node is handed when a cluster is formed: the stand-ins' own, and configurations; all of them in one archive."""

from __future__ import annotations

import io
import tarfile
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from harness.host import files

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

HOME: Final = PurePosixPath("usr/local/lib/mesos")
"""Where the stand-ins lie on a node: their units have it as PYTHONPATH."""
_PACKAGES: Final = ("standin", "feeder", "imaged")
_LEFT_OUT: Final = frozenset({"__pycache__", "doubles"})
_MODE: Final = 0o644


def archive(configured: Mapping[str, str]) -> bytes:
    """Return a tar of the stand-ins, and of configurations by their paths below the root, the same for the same files."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, body in sorted([*_programs(), *((path, text.encode()) for path, text in configured.items())]):
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(body), _MODE
            tar.addfile(info, io.BytesIO(body))
    return written.getvalue()


def _programs() -> Iterator[tuple[str, bytes]]:
    """Yield the sources of the stand-ins, by their paths on a node."""
    home = files.fixtures() / "mesos"
    for each in (found for package in _PACKAGES for found in (home / package).rglob("*.py")):
        place = each.relative_to(home)
        if _LEFT_OUT.isdisjoint(place.parts) and each.is_file():
            yield str(HOME / place), each.read_bytes()
