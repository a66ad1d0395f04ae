"""Images of apps that nodes do not build themselves: from docker archives and registries, each kept in the cache once, whole and checked.

Kept as ``app-images/<key>/image.tar``: a docker archive with one image under one name, which is loaded into nodes as it is. A run that needs one
holds a lock on it, so that nobody prunes it meanwhile.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from harness.core import pace
from harness.core.clock import SystemClock
from harness.core.errors import BadInput, HarnessError, Problem, Unsupported
from harness.core.naming import close, shown
from harness.host import archives, contexts, locks, origins, private, pulling, shelves, state, untrusted
from harness.host.origins import Folder, InRegistry

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from harness.core.clock import Clock
    from harness.core.values import Json
    from harness.host.archives import Archive
    from harness.host.shelves import Gone

PART: Final = "app-images"
"""The folder of the cache."""
ARCHIVE: Final = "image.tar"
OURS: Final = "whalefall"
"""How the names of images begin that are called so by us."""
PRUNE_SECONDS: Final = 30.0
"""Seconds to wait for whoever looks whether an image is in use: that is a moment, for each image of the cache."""

_RECORD = "image.json"
_ID = re.compile(r"[0-9a-f]{64}")
_SHORT = 12  # digits of a hash that are told, as Docker tells them


@dataclass(frozen=True, slots=True)
class AppImage:
    """One image in the cache."""

    path: Path  # the docker archive
    key: str  # 16 hex digits
    size: int  # bytes on disk
    built: float  # when it came into the cache: seconds since the epoch
    current: bool  # whether it would be asked for by the same name again: one in a file is found by what is in it
    name: str  # what it is called on nodes
    id: str  # 64 hex digits: the image's, as Docker has it
    source: str  # where it came from
    digest: str = ""  # by which its registry knows it, ``sha256:…``


@dataclass(frozen=True, slots=True)
class Saved:
    """A docker archive that was looked into."""

    path: Path
    holds: Archive


@dataclass(frozen=True, slots=True)
class AskedImage:
    """An image that a scenario asks for and nodes cannot build."""

    asked: str  # as the scenario says it
    origin: Saved | InRegistry

    @property
    def name(self) -> str:
        """What it is called on nodes: of one in a file, by what is in it, so that two files never answer for each other."""
        if isinstance(self.origin, InRegistry):
            return self.origin.name
        given = next(iter(self.origin.holds.tags), self.origin.path.stem)
        plain = re.sub(r"[^a-z0-9]+", "-", given.rpartition("/")[2].partition(":")[0].lower())[:40].strip("-")
        return f"{OURS}/{plain or 'image'}:{self.origin.holds.id[:_SHORT]}"

    @property
    def source(self) -> str:
        """Where it comes from, in words."""
        return self.origin.source if isinstance(self.origin, InRegistry) else self.asked

    @property
    def key(self) -> str:
        """What tells it from every other in the cache."""
        said = self.origin.source if isinstance(self.origin, InRegistry) else f"file {self.name} {self.origin.holds.id}"
        return hashlib.sha256(f"{said} {archives.architecture()}".encode()).hexdigest()[:16]


def wanted(image: str, file: str) -> AskedImage | None:
    """Return what an app of a scenario file asks for; None where nodes build it. Looks into an archive. Raises `NoOrigin`, or `BadInput`."""
    origin = origins.origin(image)
    if isinstance(origin, Folder):
        return None
    if isinstance(origin, InRegistry):
        return AskedImage(image, origin)
    path = Path(file).parent / origin.path
    if untrusted.leads_out(Path(file).parent, origin.path):
        hint = "name the file itself; a link is followed within the scenario's folder alone"
        raise BadInput([Problem(str(path), 0, 0, "a link that leads elsewhere", "a docker archive", hint)])
    if os.path.isdir(path):  # noqa: PTH112 - where it cannot be seen, whoever reads it says why
        raise origins.a_folder(image)
    return AskedImage(image, Saved(path, archives.look(path)))


def problems(image: str, file: str, *, builds: bool, native: bool = False) -> Iterator[tuple[str, str, str] | Problem]:
    """Yield what keeps nodes from having an image: with a place of its own, or what was found, what was expected and a hint at the one that names it.

    `builds` says whether nodes are ours to load images into (`contexts.builds_here`), `native` that the name stands in a definition of the user's.
    """
    if not builds:
        try:
            origins.must_be_name(image)
        except origins.NoOrigin as error:
            what, _, hint = error.said
            hint = hint or "nothing is loaded into hosts of somebody else: they have an image already, or pull it with their own Docker"
            yield f"{what}, on hosts that are not ours", "the name of an image, as the hosts' Docker knows it", hint
        return
    try:
        found = wanted(image, file)
    except origins.NoOrigin as error:
        yield error.said
    except BadInput as error:
        for each in error.problems:
            yield f"{shown(image)}: {each.found}", each.expected, each.hint
    else:
        if found is None:
            context = contexts.context_of(image)
            yield from contexts.problems(context) if context is not None else ()
        elif native and isinstance(found.origin, InRegistry) and found.origin.digest:
            yield f"the image {shown(image)}, by its digest", "NAME:TAG", "what is loaded into nodes has no digest there"


def find(image: AskedImage) -> AppImage | None:
    """Return an image if it is in the cache. Raises `HarnessError` where we may not look."""
    found = _shelf([image.key]).find()
    return found[0] if found else None


def images() -> list[AppImage]:
    """Return every one in the cache, newest first."""
    return _shelf([]).listed()


def ensure(image: AskedImage, progress: Callable[[str], None], clock: Clock | None = None, *, anew: bool = False) -> AppImage:
    """Return an image that is in the cache, brought there first. What another process brings at the same moment is waited for, and taken.

    With `anew` it is brought whether it is there or not: what a tag stands for may have changed. The old one is kept where that fails. Raises
    `Unsupported` where this machine cannot do it, and `HarnessError` with the cause where it failed; nothing half-made is left.
    """
    shelf = _shelf([image.key])
    if shelf.is_there():
        state.close_cache(PART)
    found = None if anew else shelf.find()
    if found is None:
        pulled = isinstance(image.origin, InRegistry)
        _must_be_root(f"bringing the image {image.asked} into the cache")
        if pulled and (lacks := pulling.missing()):
            raise Unsupported(f"the image {image.asked} is to be pulled: {lacks}")
        time = clock or SystemClock()

        def build(_: list[str]) -> None:
            _bring(shelf, image, progress, time)

        found = shelf.ensure(build, archives.MOST_BYTES + (pulling.MOST_ON_DISK if pulled else 0), progress, time, anew=anew)
    return found[0]


def prune(*, keep_current: bool = True, clock: Clock | None = None) -> list[Gone]:
    """Remove images that no run holds: those that came out of files, and the others as well where not `keep_current`. Return what is gone."""
    shelf = _shelf([])
    if not shelf.is_there():
        return []
    _must_be_root("removing images")
    return shelf.prune(keep_current=keep_current, clock=clock or SystemClock())


@contextmanager
def held(image: AppImage, clock: Clock | None = None) -> Iterator[None]:
    """Keep an image from being pruned. Raises `HarnessError` where that has happened already, and `Expired` where somebody is long at it."""
    try:
        handle = os.open(image.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError as error:
        raise HarnessError(f"the image {image.path} is gone from the cache, or cannot be read: {error.strerror}; run it again") from error
    try:
        take = partial(locks.taken, handle, shared=True)
        locks.awaited(
            take, image.path, what=f"the image {image.path}", seconds=pace.limit(PRUNE_SECONDS), clock=clock or SystemClock(), every=0.1
        )
        if not _is(handle, image.path):  # whoever prunes had looked for locks already when this one was taken
            raise HarnessError(f"the image {image.path} was removed from the cache at this moment; run it again")
        yield
    finally:
        os.close(handle)


def _is(handle: int, path: Path) -> bool:
    """Whether an open file still has this path."""
    try:
        return os.path.samestat(os.fstat(handle), os.lstat(path))
    except FileNotFoundError:
        return False


def words(image: str, file: str) -> str:
    """Say where an image comes from, and whether it is in the cache. Empty where the scenario's files, or ours, are not here any more."""
    try:
        found = wanted(image, file)
    except (origins.NoOrigin, BadInput):
        return ""
    if found is None:
        return f"{image}: built by each node, from {contexts.context_of(image)}"
    if isinstance(found.origin, InRegistry):
        return f"{image}: {_pulled_words(found, found.origin)}"
    holds = found.origin.holds
    what = (
        f"a docker archive of {holds.size / 1e6:.0f} MB; the image in it has {', '.join(holds.tags) or 'no name'}, id {holds.id[:_SHORT]}"
    )
    return f"{image}: {what}; loaded into nodes as {found.name}"


def _pulled_words(image: AskedImage, origin: InRegistry) -> str:
    """Say the same of one that a registry has."""
    try:
        kept = find(image)
        there = "" if kept is None else f"in the cache since {datetime.fromtimestamp(kept.built).astimezone():%Y-%m-%d %H:%M}"
    except HarnessError:
        kept, there = None, "only root can see whether it is in the cache"
    tls = "" if origin.tls else " without TLS"
    if kept is not None:
        return f"{there}, pulled from {origin.source}{tls} as {kept.digest}; loaded into nodes as {kept.name}"
    lacks = pulling.missing() or (_like(origin) if not there else "")
    when = f"{there or 'not in the cache yet'}; pulled once by this machine from {origin.host}{tls}, before nodes are made"
    return f"{when}; loaded into nodes as {origin.name}" + (f"; {lacks}" if lacks else "")


def _like(origin: InRegistry) -> str:
    """Say which folder of images has a name like one of a registry's that was asked for without its host: it may have been meant."""
    official = origin.repository.partition("/")
    return (
        close(official[2], [each.name for each in contexts.contexts()])
        if (origin.host, official[0]) == (origins.USUAL_HOST, "library")
        else ""
    )


def _must_be_root(what: str) -> None:
    if os.geteuid() != 0:
        raise Unsupported(f"{what} needs root; run it with sudo")


def _shelf(keys: Sequence[str]) -> shelves.Shelf[AppImage]:
    return shelves.Shelf(state.cache() / PART, "app image", lambda: keys, _load, _used)


def _used(folder: Path) -> tuple[str, ...]:
    return tuple(f"process {each.process.pid}" for each in locks.holders(folder / ARCHIVE))


def _load(folder: Path, now: Collection[str]) -> AppImage | None:
    """Return the image that a folder of the cache holds; None where it holds none that is whole."""
    record, path = folder / _RECORD, folder / ARCHIVE
    told = shelves.recorded(record)
    name, image_id, source, digest = (shelves.noted(record, each) for each in ("name", "id", "source", "digest"))
    if told is None or not isinstance(name, str) or not isinstance(source, str) or not isinstance(digest, str):
        return None
    size, built = told
    try:
        whole = os.lstat(path).st_size == shelves.noted(record, "bytes")
    except OSError:
        whole = False
    if not whole or not isinstance(image_id, str) or not _ID.fullmatch(image_id):
        return None
    return AppImage(path, folder.name, size, built, folder.name in now or bool(digest), name, image_id, source, digest)


def _bring(shelf: shelves.Shelf[AppImage], image: AskedImage, progress: Callable[[str], None], clock: Clock) -> None:
    """Put an image onto the shelf, whose lock is held. A registry's archive is checked as anybody's is: it may have been told anything."""
    with shelf.attempt(progress) as (work, commands):
        made = private.folder(work / image.key)
        digest = ""
        if isinstance(image.origin, InRegistry):
            pulled, digest = pulling.pull(image.origin, private.folder(work / "pulled"), commands)
            found = _rewritten(pulled, made, image, "")
        else:
            commands.say(f"reading {image.asked}")
            found = _rewritten(image.origin.path, made, image, image.origin.holds.id)
        size = (made / ARCHIVE).stat().st_size
        record: dict[str, Json] = {"size": size, "bytes": size, "built": clock.wall(), "name": image.name, "id": found.id}
        record |= {"source": image.source, "digest": digest}
        with private.opened(made / _RECORD, "w") as note:
            note.write(json.dumps(record) + "\n")
        commands.run(["sync", "-f", str(made)])
        shelf.put(made, image.key)


def _rewritten(path: Path, made: Path, image: AskedImage, image_id: str) -> Archive:
    """Write the archive that nodes get. Raises `HarnessError` for one that is not what it says."""
    try:
        return archives.rewrite(path, made / ARCHIVE, image.name, image_id)
    except BadInput as error:
        told = "; ".join(f"{each.found}; expected {each.expected}" for each in error.problems)
        raise HarnessError(f"the image {image.asked} cannot be used: {told}") from error
