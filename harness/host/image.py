"""The node image: the layers that lie below every node's own, for the nodes of a mode; see `harness.host.layers` for what they are.

Kept in the cache as ``images/<key>/root``, a folder a layer, and shared by all modes as far as they are the same: whoever uses one mode never waits
for what another one needs. A layer appears whole or not at all: it is built beside its place and renamed into it, under a lock of its own. All that
builds runs in a pid and a mount namespace of its own, which the kernel empties when the harness dies, however it dies.
"""

from __future__ import annotations

import hashlib
import os
import threading
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.core import stops
from harness.core.clock import SystemClock
from harness.core.errors import HarnessError, Unsupported
from harness.host import building, layers, private, shelves, state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from harness.core.clock import Clock
    from harness.host.layers import Layer, Recipe
    from harness.host.shelves import Gone

NEEDED_BYTES = 2 * 1024**3
"""Free space asked for before a build: 0.6 GB of image, as much again of packages and compiler work, and room to go on living."""
LAYER_BYTES = 1024**3
"""The same where the base is there already: half of it."""


@dataclass(frozen=True, slots=True)
class Image:
    """The image of one mode's nodes, all of whose layers are in the cache."""

    layers: tuple[Layer, ...]  # the lowest first

    @property
    def key(self) -> str:
        """What tells it from every other: 16 hex digits."""
        return _whole(each.key for each in self.layers)

    @property
    def size(self) -> int:
        """Bytes on disk, of all layers."""
        return sum(each.size for each in self.layers)

    @property
    def paths(self) -> tuple[Path, ...]:
        """The folders, in the order in which an overlay has them: the topmost first."""
        return tuple(each.path for each in reversed(self.layers))


def key(layer: Path | None = None) -> str:
    """Return the key of the image that the files as they are now make on this machine, for the nodes of a mode with this layer: 16 hex digits."""
    return _whole(each.key for each in layers.recipes(layer))


def find(layer: Path | None = None) -> Image | None:
    """Return the image for the nodes of a mode if all of it is built."""
    found = _shelf([layer]).find()
    return None if found is None else Image(tuple(found))


def images(modes: Iterable[Path | None] = ()) -> list[Layer]:
    """Return every layer in the cache, newest first; current are those that nodes of one of these `modes` need, by their layers, and of none."""
    return _shelf([None, *modes]).listed()


def users(layer: Layer) -> tuple[str, ...]:
    """Return who uses a layer, in words: runs whose records name it, and processes that see it mounted. Empty: nobody does."""
    return _used(layer.path.parent)


def _used(folder: Path) -> tuple[str, ...]:
    """Return the same of a folder of the cache, whatever is in it."""

    def names(record: Path) -> bool:
        said = private.record(record)
        others = said.get("layers", [])  # there were none before there were layers
        if not isinstance(others, list):
            raise HarnessError(f"{record} names as its layers {others!r}")
        # As it is without links: whoever wrote it may have come to the cache by one.
        return not {os.path.realpath(str(each)) for each in (said["image"], *others)}.isdisjoint(
            {*map(os.path.realpath, (folder / "root", folder))}
        )

    return shelves.named_by_runs("cluster.json", names) or shelves.mounted(folder / "root")


def ensure(progress: Callable[[str], None], clock: Clock | None = None, *, layer: Path | None = None) -> Image:
    """Return the current image for the nodes of a mode, what is missing of it built first (all: about a minute on 2 cores, 0.6 GB).

    `progress` is told in short lines what happens; it may be called from other threads, one at a time. A second process that asks at the same
    moment waits for the layers that it needs, too, and takes what the first built; it waits for no other. Raises `Unsupported` where this machine
    cannot build, and `HarnessError` with the cause where a build failed; either way nothing half-made is left.
    """
    shelf = _shelf([layer])
    if shelf.is_there():
        state.close_cache("images")
    found = shelf.find()
    if found is None:
        found = _built(shelf, layer, progress, clock or SystemClock())
    return Image(tuple(found))


def _built(shelf: shelves.Shelf[Layer], layer: Path | None, progress: Callable[[str], None], clock: Clock) -> list[Layer]:
    """Return the layers of the image, each built if it is missing.

    They are built at once: making the base waits for network and disk, compilers for processors. Where one fails the others end within a moment, and
    its error is raised.
    """
    go = layers.check_machine(layer)
    recipes = layers.recipes(layer)
    base = recipes[0]
    needed = NEEDED_BYTES if layers.load(shelf.folder / base.key, ()) is None else LAYER_BYTES
    telling = threading.Lock()
    tried = threading.Event()  # the base is there, or will not be
    failed: list[Exception] = []

    def tell(line: str) -> None:
        with telling:
            progress(line)

    @contextmanager
    def over() -> Iterator[None]:
        clock.wait(tried, building.BUILD_SECONDS)
        with shelf.standing(base.key, tell, clock):
            yield

    def one(recipe: Recipe) -> Layer:
        def build() -> None:
            layers.build(shelf, recipe, over() if recipe.base else nullcontext(), tell, clock, go)

        try:
            return shelf.ensure(recipe.key, build, needed, tell, clock)
        except Exception as error:
            failed.append(error)
            raise
        finally:
            if recipe is base:
                tried.set()

    with suppress(stops.CutOff), stops.listening(lambda: stops.CutOff("another layer was not built") if failed else None):
        stops.spread(recipes, one, "layer", leave=False)
    if failed:
        raise failed[0]
    found = shelf.find()
    if found is None:
        raise shelf.changed(base.key)
    return found


def damage(image: Image) -> str:
    """Say that an image is not what was built, if it is not, and what to do; empty where nothing is missing. Takes a quarter of a second.

    By its size on disk alone: asked when nodes of it do not come up, to tell why.
    """
    for each in image.layers:
        now = shelves.size(each.path)
        if now != each.size:
            return (
                f"the node image {each.path} is damaged: it has {now} bytes and had {each.size} when it was built; "
                "`whalefall image prune --all` removes it, and the next run builds it anew"
            )
    return ""


def prune(modes: Iterable[Path | None] = (), *, keep_current: bool = True, clock: Clock | None = None) -> list[Gone]:
    """Remove layers that nobody uses, and what builds that were killed left behind. Return what is gone. For `modes` see `images`."""
    shelf = _shelf([None, *modes])
    if not shelf.is_there():
        return []
    if os.geteuid() != 0:
        raise Unsupported("removing images needs root: they hold files of many owners; run it with sudo")
    return shelf.prune(keep_current=keep_current, clock=clock or SystemClock())


def _shelf(modes: Iterable[Path | None]) -> shelves.Shelf[Layer]:
    wanted = [*modes]

    def keys() -> list[str]:
        return [recipe.key for recipe in layers.recipes(*wanted)]

    return shelves.Shelf(state.cache() / "images", "node image", keys, layers.load, _used)


def _whole(keys: Iterable[str]) -> str:
    return hashlib.sha256(" ".join(keys).encode()).hexdigest()[:16]
