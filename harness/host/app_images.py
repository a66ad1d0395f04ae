"""Images of apps that are no part of the node image: from docker archives, registries and folders, each kept in the cache once, whole and checked.

Kept as ``app-images/<key>/image.tar``: a docker archive with one image under one name, which is loaded into nodes as it is, or all that one is built
from, which nodes are handed to build it. A run that needs one holds a lock on it, so that nobody prunes it meanwhile.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tarfile
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
from harness.host import archives, building, contexts, layers, locks, origins, private, pulling, shelves, state, untrusted
from harness.host.origins import Folder, InRegistry

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from harness.core.clock import Clock
    from harness.core.values import Json
    from harness.host.archives import Archive
    from harness.host.building import BuildCommands
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

    path: Path  # the archive
    key: str  # 16 hex digits
    size: int  # bytes on disk
    built: float  # when it came into the cache: seconds since the epoch
    current: bool  # whether it would be asked for by the same name again: one in a file is found by what is in it
    name: str  # what it is called on nodes
    id: str  # 64 hex digits: the image's, as Docker has it; of what nodes build, the archive's own hash
    source: str  # where it came from
    digest: str = ""  # by which its registry knows it, ``sha256:…``
    built_there: bool = False  # whether nodes build it of what is in the archive: each has an image with an id of its own


@dataclass(frozen=True, slots=True)
class Saved:
    """A docker archive that was looked into."""

    path: Path
    holds: Archive


@dataclass(frozen=True, slots=True)
class Source:
    """A folder of somebody's own that an image is built from, as it was when it was looked into."""

    path: Path
    hash: str  # 16 hex digits, of all that goes into the image


@dataclass(frozen=True, slots=True)
class AskedImage:
    """An image that a scenario asks for and that nodes do not have by themselves."""

    asked: str  # as the scenario says it
    origin: Saved | Source | InRegistry

    @property
    def name(self) -> str:
        """What it is called on nodes: of one in a file or a folder, by what is in it, so that two of them never answer for each other."""
        if isinstance(self.origin, InRegistry):
            return self.origin.name
        if isinstance(self.origin, Source):
            given, of = self.origin.path.resolve().name, self.origin.hash
        else:
            given, of = next(iter(self.origin.holds.tags), self.origin.path.stem), self.origin.holds.id
        plain = re.sub(r"[^a-z0-9]+", "-", given.rpartition("/")[2].partition(":")[0].lower())[:40].strip("-")
        return f"{OURS}/{plain or 'image'}:{of[:_SHORT]}"

    @property
    def source(self) -> str:
        """Where it comes from, in words."""
        return self.origin.source if isinstance(self.origin, InRegistry) else self.asked

    @property
    def key(self) -> str:
        """What tells it from every other in the cache."""
        if isinstance(self.origin, InRegistry):
            said = self.origin.source
        elif isinstance(self.origin, Source):
            said = f"folder {self.name} {self.origin.hash}"
        else:
            said = f"file {self.name} {self.origin.holds.id}"
        return hashlib.sha256(f"{said} {archives.architecture()}".encode()).hexdigest()[:16]


def wanted(image: str, file: str) -> AskedImage | None:
    """Return what an app of a scenario file asks for; None where it is a part of the node image. Looks into an archive, and reads a folder.

    Raises `NoOrigin`, or `BadInput`.
    """
    origin = origins.origin(image)
    if isinstance(origin, Folder):
        return None
    if isinstance(origin, InRegistry):
        return AskedImage(image, origin)
    path = Path(file).parent / origin.path
    if untrusted.leads_out(Path(file).parent, origin.path):
        hint = "name the file itself; a link is followed within the scenario's folder alone"
        raise BadInput([Problem(str(path), 0, 0, "a link that leads elsewhere", "a docker archive, or a folder", hint)])
    if (context := contexts.context_of(image, file)) is not None:
        return AskedImage(image, Source(context, contexts.hashed(context)))
    if image.endswith("/"):
        raise BadInput([Problem(str(path), 0, 0, "no such folder", f"one with a {contexts.RECIPE}")])
    if not untrusted.there(path) and not path.suffix:
        raise BadInput(
            [Problem(str(path), 0, 0, "no such folder, and no such file", f"a folder with a {contexts.RECIPE}, or {archives.EXPECTED}")]
        )
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
        origins.origin(image)
        context = contexts.context_of(image, file)  # which is not hashed for this: it may be large
        found = wanted(image, file) if context is None else None
    except origins.NoOrigin as error:
        yield error.said
    except BadInput as error:
        for each in error.problems:
            yield f"{shown(image)}: {each.found}", each.expected, each.hint
    else:
        if context is not None:
            yield from contexts.problems(context)
        elif found is not None and native and isinstance(found.origin, InRegistry) and found.origin.digest:
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
    if anew or not (found := shelf.find()):
        pulled = isinstance(image.origin, InRegistry)
        _must_be_root(f"bringing the image {image.asked} into the cache")
        if pulled and (lacks := pulling.missing()):
            raise Unsupported(f"the image {image.asked} is to be pulled: {lacks}")
        time = clock or SystemClock()

        def build() -> None:
            _bring(shelf, image, progress, time)

        beside = pulling.MOST_ON_DISK if pulled else building.LARGEST if isinstance(image.origin, Source) else 0
        return shelf.ensure(image.key, build, archives.MOST_BYTES + beside, progress, time, anew=anew)
    return found[0]


def prune(*, keep_current: bool = True, clock: Clock | None = None) -> list[Gone]:
    """Remove images that no run holds: those from files and folders, and the others as well where not `keep_current`. Return what is gone."""
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
    if isinstance(found.origin, Source):
        name = contexts.program(found.origin.path)
        here = f"{name} is compiled of it by this machine, and it is" if name else "it is"
        return f"{image}: the folder {found.origin.path}, hash {found.origin.hash}; {here} handed to each node, which builds {found.name} of it"
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
    current, there = folder.name in now or bool(digest), shelves.noted(record, "built_there") is True
    return AppImage(path, folder.name, size, built, current, name, image_id, source, digest, there)


def _bring(shelf: shelves.Shelf[AppImage], image: AskedImage, progress: Callable[[str], None], clock: Clock) -> None:
    """Put an image onto the shelf, where its lock is held. A registry's archive is checked as anybody's is: it may have been told anything."""
    with shelf.attempt(image.key, progress) as (work, commands):
        made = private.folder(work / image.key)
        digest = ""
        if isinstance(image.origin, InRegistry):
            pulled, digest = pulling.pull(image.origin, private.folder(work / "pulled"), commands)
            found = _rewritten(pulled, made, image, "").id
        elif isinstance(image.origin, Source):
            found = _packed(image.origin, made / ARCHIVE, work, commands)
        else:
            commands.say(f"reading {image.asked}")
            found = _rewritten(image.origin.path, made, image, image.origin.holds.id).id
        size = (made / ARCHIVE).stat().st_size
        record: dict[str, Json] = {"size": size, "bytes": size, "built": clock.wall(), "name": image.name, "id": found}
        record |= {"source": image.source, "digest": digest, "built_there": isinstance(image.origin, Source)}
        with private.opened(made / _RECORD, "w") as note:
            note.write(json.dumps(record) + "\n")
        commands.run(["sync", "-f", str(made)])
        shelf.put(made, image.key)


def _packed(source: Source, target: Path, work: Path, commands: BuildCommands) -> str:
    """Write what nodes are handed to build an image from, and return its hash. It is made of a copy that nobody else can change any more.

    Raises `BadInput` for what cannot be built, `HarnessError` where the folder is not what it was, and `Unsupported` without a Go that it needs.
    """
    commands.say(f"packing {source.path}")
    if wrong := contexts.problems(source.path):
        raise BadInput(wrong)
    copy = private.folder(work / "copy")
    building.copied(source.path, copy, own=True)
    if contexts.hashed(copy) != source.hash:
        raise HarnessError(f"the folder {source.path} was changed meanwhile: what is in it is not what its hash was made of; run it again")
    there = {str(each.relative_to(copy)): each for each in contexts.shipped(copy)}
    if name := contexts.program(copy):
        commands.say(f"building {source.path.name}/{name}")
        there[name] = private.folder(work / "bin") / name
        layers.compile_app(commands, source.path, copy, there[name])
    with (
        private.opened(target, "wb") as file,
        tarfile.TarFile(fileobj=file, mode="w", format=tarfile.GNU_FORMAT, encoding="utf-8", errors="surrogateescape") as out,
    ):
        for above in sorted({str(above) for each in there for above in Path(each).parents} - {"."}):
            out.addfile(_member(above, tarfile.DIRTYPE))
        for inside, path in sorted(there.items()):
            member = _member(inside)
            member.size = path.stat().st_size
            with path.open("rb") as body:
                out.addfile(member, body)
    with target.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _member(name: str, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    """Return the header of what nodes are handed: root's, of no time, and whatever may be a program can be run, as of all folders of images."""
    made = tarfile.TarInfo(name)
    made.type, made.mode = kind, 0o644 if name == contexts.RECIPE else 0o755
    return made


def _rewritten(path: Path, made: Path, image: AskedImage, image_id: str) -> Archive:
    """Write the archive that nodes get. Raises `HarnessError` for one that is not what it says."""
    try:
        return archives.rewrite(path, made / ARCHIVE, image.name, image_id)
    except BadInput as error:
        told = "; ".join(f"{each.found}; expected {each.expected}" for each in error.problems)
        raise HarnessError(f"the image {image.asked} cannot be used: {told}") from error
