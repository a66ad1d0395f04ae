"""Programs by the head of their files: whether one can start in an image that has nothing beside it."""

from __future__ import annotations

import platform
import struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

MACHINES: Final[Mapping[str, tuple[int, ...]]] = {
    "x86_64": (62, 3),
    "aarch64": (183, 40),
    "riscv64": (243,),
    "ppc64le": (21,),
    "s390x": (22,),
}
"""What an ELF header has of programs that such a machine runs."""


def not_startable(path: Path, image: Mapping[str, str]) -> str:
    """Say why nothing can start a file in an image that has nothing else; empty where it may."""
    with path.open("rb") as file:
        head = file.read(1 << 16)
    if head.startswith(b"#!"):
        return (
            ""
            if head[2:].split()[:1] and head[2:].split()[0].decode(errors="replace") in image
            else "a script, and there is nothing to run it"
        )
    if not head.startswith(b"\x7fELF") or len(head) < 64:  # noqa: PLR2004 - the bytes of a header
        return "no program"
    wide, order = head[4] == 2, "<" if head[5] == 1 else ">"  # noqa: PLR2004 - 64 bits
    (machine,) = struct.unpack_from(f"{order}H", head, 18)
    if machine not in MACHINES.get(platform.machine(), (machine,)):
        return "a program for another kind of processor"
    for segment in _segments(head, order, wide=wide):
        if segment[0] == 3:  # noqa: PLR2004 - PT_INTERP
            loader = head[segment[1] : segment[1] + segment[2]].rstrip(b"\0").decode(errors="replace")
            return "" if loader in image else f"a program that wants {loader}, so it is not static"
    return ""


def _segments(head: bytes, order: str, *, wide: bool) -> Iterator[tuple[int, int, int]]:
    """Yield kind, offset and size of a program's segments, as its header has them."""
    try:
        (start,) = struct.unpack_from(f"{order}{'Q' if wide else 'I'}", head, 32 if wide else 28)
        size, count = struct.unpack_from(f"{order}2H", head, 54 if wide else 42)
        for number in range(count):
            at = start + number * size
            if wide:
                kind, _, offset, _, _, length = struct.unpack_from(f"{order}2I4Q", head, at)
            else:
                kind, offset, _, _, length = struct.unpack_from(f"{order}5I", head, at)
            yield kind, offset, length
    except struct.error:  # beyond what was read, or torn
        return
