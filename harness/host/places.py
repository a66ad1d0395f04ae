"""Where the files of a layer come to lie on a node: places where no node would see them, and such as are something else in the base."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from harness.core.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_FRESH = "which is mounted anew when a node starts"
_OF_BUILD = "which is emptied when the image is made"
_OWN = "of which every node has one of its own"
UNSEEN: Mapping[str, str] = {
    **dict.fromkeys(("run", "var/run", "var/lock", "tmp", "dev", "proc", "sys", "data"), _FRESH),
    **dict.fromkeys(("var/cache/apt", "var/lib/apt/lists", "var/log/apt", "var/log/*.log", "var/cache/debconf/*-old"), _OF_BUILD),
    **dict.fromkeys(("etc/machine-id", "etc/hostname", "etc/hosts"), _OWN),
}
"""Places of a root, as patterns, of which nothing that a layer lays there is on a node; with why. Two of them are links of the base to ``/run``."""
_MOST_LINKS = 40
"""Links that lead to a place, one after another, at most; the kernel has the same."""


def unseen(root: Path) -> Iterator[Problem]:
    """Yield what of a layer's ``root`` would be on no node, a problem for each place."""
    for place, why in UNSEEN.items():
        for each in sorted(root.glob(place)):
            wanted = "a place that stays, as below usr, etc or opt"
            hint = "a file in root/usr/lib/tmpfiles.d has one made at each start" if why == _FRESH else ""
            yield Problem(str(each), 0, 0, f"what no node would have: it lies in /{place}, {why}", wanted, hint)


def misplaced(laid: Iterable[tuple[Path, PurePosixPath]], base: Path) -> Iterator[Problem]:
    """Yield which files, each with its place, would stand where the base has a folder, or need a folder where it has a file.

    What a link of the base to a folder stands for is a folder: without it no node would start.
    """
    for source, place in laid:
        for above in [*reversed(place.parents)][1:]:
            if (there := _led(base, above)).exists() and not there.is_dir():
                yield Problem(
                    str(source), 0, 0, f"a file below /{above}", "another place", f"the base has a file there, /{_of(there, base)}"
                )
                break
        else:
            if (there := _led(base, place)).is_dir():
                yield Problem(
                    str(source), 0, 0, f"a file in the place of /{place}", "a folder", f"the base has one there, /{_of(there, base)}"
                )


def _of(there: Path, base: Path) -> PurePosixPath:
    return PurePosixPath(there.relative_to(base))


def _led(base: Path, place: PurePosixPath) -> Path:
    """Return where the links of a root lead for whoever stands in it: from out here an absolute one leads to this machine's own files."""
    done: list[str] = []
    left = [*reversed(place.parts)]
    links = 0
    while left:
        part = left.pop()
        at = base.joinpath(*done, part.lstrip("/"))
        if part == "..":
            done = done[:-1]
        elif at.is_symlink() and links < _MOST_LINKS:
            links += 1
            to = PurePosixPath(at.readlink())
            done = [] if to.is_absolute() else done
            left += reversed(to.parts)
        elif part != "/":
            done.append(part)
    return base.joinpath(*done)
