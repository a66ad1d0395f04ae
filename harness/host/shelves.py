"""Where the cache keeps what was built, node images and boxes: each appears whole or not at all, and is found, listed and pruned there.

Whoever builds something holds the lock of its key, and shares the folder's: builds of two keys do not wait for each other, and whoever wants one
that is being built takes it once it is there. Whoever prunes has the folder's lock alone, so that nothing is being built meanwhile.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Generic, NamedTuple, Protocol, TypeVar

from harness.core.errors import BadInput, CommandFailed, HarnessError
from harness.core.figures import about
from harness.host import locks, private, state, untrusted
from harness.host.building import BUILD_SECONDS, BuildCommands, explained

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from harness.core.clock import Clock
    from harness.core.values import Json

_LAST = 253402128000.0  # two days before the year 10000, the last that a calendar of Python's has, in whatever time zone


class Kept(Protocol):
    """What the cache keeps, whichever kind: an image or a box."""

    @property
    def key(self) -> str:
        """16 hex digits; the name of its folder."""

    @property
    def size(self) -> int:
        """Bytes on disk."""

    @property
    def built(self) -> float:
        """When it was built, in seconds since the epoch."""

    @property
    def current(self) -> bool:
        """Whether it is what today's fixtures would build."""


class Gone(NamedTuple):
    """What is kept no more."""

    key: str
    size: int  # bytes on disk


_KEY = re.compile(r"[0-9a-f]{16}")
"""The name of a folder that something is kept in: another one is nobody's to remove."""
_LEFT = re.compile(rf"\.(?:build|dead)-({_KEY.pattern})(?:-|$)")
"""The name of what is being made, or was put aside, with its key: left there where its builder died."""
_LOG = ".log"
_TO_LOCK = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
K = TypeVar("K", bound=Kept)


@dataclass(frozen=True, slots=True)
class Shelf(Generic[K]):
    """A folder of the cache where all that is built of one kind is kept, each in a folder named by its key."""

    folder: Path  # may be missing
    what: str  # the kind in words: "node image"
    keys: Callable[[], Sequence[str]]  # the keys of what today's fixtures would build: of all its parts, in order
    load: Callable[[Path, Collection[str]], K | None]  # what a folder holds, given those keys; None where it holds nothing whole
    used: Callable[[Path], Sequence[str]]  # who uses what a folder holds, whole or not, in words

    def is_there(self) -> bool:
        """Whether anything was ever kept. Raises `HarnessError` where we may not look: that is no "no"."""
        with cache_errors(self.folder):
            return self.folder.is_dir()

    def find(self) -> list[K] | None:
        """Return the current ones, in order, if all are built."""
        now = self.keys()
        with cache_errors(self.folder):
            found = [self.load(self.folder / each, now) for each in now]
        whole = [each for each in found if each is not None and each.current]
        return whole if len(whole) == len(now) else None

    def listed(self) -> list[K]:
        """Return all that are kept, newest first."""
        with cache_errors(self.folder):
            if not self.folder.is_dir():
                return []
            now = self.keys()
            found = [self.load(each, now) for each in self.folder.iterdir() if not each.name.startswith(".")]
        return sorted((each for each in found if each is not None), key=lambda each: -each.built)

    def ensure(
        self, key: str, build: Callable[[], None], needed: int, progress: Callable[[str], None], clock: Clock, *, anew: bool = False
    ) -> K:
        """Return the current one of a key, built first by `build` where it is missing. `needed` bytes must be free then.

        Another process that asks for it at the same moment waits, and takes what this one has built; one that asks for another key does not wait.
        With `anew` it counts as missing: what is there is kept until the new one has its place. Raises `HarnessError`.
        """
        # Asked without its lock first: whoever makes something over it has that, and need not be waited for.
        if not anew and (found := self._current(key)) is not None:
            return found
        with self._building(key, progress, clock):
            self._remove_left(key)
            self._sweep()
            if not anew and (found := self._current(key)) is not None:
                return found
            check_space(self.folder, needed, f"a {self.what}")
            self._must_be_free(self.folder / key, "" if anew else "is not whole, or not what would be built now, and ")
            started = clock.now()
            build()
            made = self._current(key)
            if made is None:
                raise self.changed(key)
            progress(f"{self.what} {key} is built: {made.size / 1024**2:.0f} MiB in {about(clock.now() - started)}")
            return made

    @contextmanager
    def standing(self, key: str, progress: Callable[[str], None], clock: Clock) -> Iterator[None]:
        """Keep the current one of a key as it is while something is built over it. Raises `HarnessError` where it is not there."""
        with self._building(key, progress, clock, shared=True):
            if self._current(key) is None:
                raise self.changed(key)
            yield

    def changed(self, key: str) -> HarnessError:
        """Return the error that what was just built, or was there, is not there."""
        return HarnessError(
            f"{self.folder / key} is not what was just built: what it is built of was changed meanwhile, "
            "or another program is at work in the cache; run it again"
        )

    def _current(self, key: str) -> K | None:
        now = self.keys()
        with cache_errors(self.folder):
            found = self.load(self.folder / key, now) if key in now else None
        return found if found is not None and found.current else None

    @contextmanager
    def _building(self, key: str, progress: Callable[[str], None], clock: Clock, *, shared: bool = False) -> Iterator[None]:
        """Hold the lock of a key, and share the folder's."""
        with (
            cache_errors(self.folder),
            locked(self.folder, self.folder.name, progress, clock, shared=True),
            locked(self.folder, f"{self.what} {key}", progress, clock, name=_lock(key), shared=shared),
        ):
            yield

    def _must_be_free(self, folder: Path, why: str) -> None:
        """Raise `HarnessError` where what is to be built anew stands on somebody's nodes as it is: it would be taken from under them."""
        if folder.exists() and (users := self.used(folder)):
            raise HarnessError(
                f"the {self.what} {folder} {why}is used by {', '.join(users)}; "
                "end that first (`whalefall sweep` removes clusters that nobody minds, `whalefall sweep --kept` also kept ones), and run it again"
            )

    @contextmanager
    def attempt(self, key: str, progress: Callable[[str], None]) -> Iterator[tuple[Path, BuildCommands]]:
        """Lend a build its work folder, on the same disk, and its commands. What is left in the end is removed, whatever came of it.

        A `CommandFailed` or `OSError` in it becomes the `HarnessError` of `explained`.
        """
        log = self.folder / f"{key}{_LOG}"
        log.unlink(missing_ok=True)
        private.opened(log, "w").close()
        work = Path(tempfile.mkdtemp(prefix=f".build-{key}-", dir=self.folder))
        try:
            yield work, BuildCommands(log, progress)
        except (CommandFailed, OSError) as e:
            raise explained(e, log, f"the {self.what}") from e
        finally:
            with suppress(HarnessError):  # the cause of a failed build matters more; the next one sweeps
                self._remove_left(key)

    def put(self, made: Path, name: str) -> None:
        """Rename a finished folder into its place: it appears whole or not at all. Raises `HarnessError` where what was there is used by now."""
        target = self.folder / name
        if os.path.lexists(target):  # what is there is not whole, or is to be had anew
            self._must_be_free(target, "")
            target.rename(self.folder / f".dead-{name}")
        made.rename(target)

    def prune(self, *, keep_current: bool, clock: Clock) -> list[Gone]:
        """Remove what nobody uses, what is not whole, and what builds that were killed left behind. Return what is gone."""
        removed = []
        with cache_errors(self.folder), locked(self.folder, self.folder.name, lambda _: None, clock):
            for each in [*self.folder.iterdir()]:
                if each.name.startswith((".build-", ".dead-")):
                    remove(each)
                elif each.name.startswith(_lock("")):  # nobody has one, or waits for one, who does not share the folder's lock
                    each.unlink()
            whole = {each.key: each for each in self.listed()}
            torn = sorted(each.name for each in self.folder.iterdir() if _KEY.fullmatch(each.name) and each.name not in whole)
            for name in (*whole, *torn):
                if (name in whole and whole[name].current and keep_current) or self.used(self.folder / name):
                    continue
                # Renamed first: what is half gone must not be found.
                doomed = self.folder / f".dead-{name}"
                (self.folder / name).rename(doomed)
                removed.append(Gone(name, whole[name].size if name in whole else size(doomed)))
                remove(doomed)
            for each in [*self.folder.iterdir()]:
                if each.suffix == _LOG and _KEY.fullmatch(each.stem) and not (self.folder / each.stem).exists():
                    each.unlink()
        return removed

    def _sweep(self) -> None:
        """Remove what dead builds left of whatever key: whoever builds one has its lock. The folder's lock is shared."""
        for key in {found[1] for each in self.folder.iterdir() if (found := _LEFT.match(each.name))}:
            lock = os.open(self.folder / _lock(key), _TO_LOCK, private.FILE_MODE)
            try:
                if locks.taken(lock):
                    self._remove_left(key)
            finally:
                os.close(lock)

    def _remove_left(self, key: str) -> None:
        """Remove what builds of a key left. Its lock is held."""
        for each in [*self.folder.iterdir()]:
            if (found := _LEFT.match(each.name)) and found[1] == key:
                remove(each)


def _lock(key: str) -> str:
    """Return the name of the file that is locked by whoever builds what has this key."""
    return f".lock-{key}"


def recorded(path: Path) -> tuple[int, float] | None:
    """Return what a finished build's record says: bytes on disk, and when it was built. None where it cannot be read."""
    try:
        record = untrusted.object_in(path.parent, path.name, private.LARGEST)
        size, built = record["size"], record["built"]
    except (OSError, BadInput, KeyError):
        return None
    if type(size) is not int or type(built) not in {int, float} or size < 0 or not 0 <= float(str(built)) < _LAST:
        return None
    return size, float(str(built))


def noted(path: Path, name: str) -> Json:
    """Return what else a finished build's record says under a name; None where it says nothing, or cannot be read."""
    try:
        return untrusted.object_in(path.parent, path.name, private.LARGEST).get(name)
    except (OSError, BadInput):
        return None


def lowerdir(paths: Iterable[Path]) -> str:
    """Return folders as an overlay's option names its lower layers, the topmost first (the kernel's overlayfs document: colons are escaped)."""
    return ":".join(str(each).replace("\\", "\\\\").replace(":", "\\:") for each in paths)


@contextmanager
def cache_errors(folder: Path) -> Iterator[None]:
    """Turn what the disk of the cache's `folder` refuses into one line: it is read-only, full, no folder, or somebody else's."""
    try:
        yield
    except BrokenPipeError:  # of whoever listens to the progress
        raise
    except OSError as e:
        if isinstance(e, PermissionError) and os.geteuid() != 0:
            raise HarnessError(f"the image cache at {folder} is for root's eyes only; run it with sudo") from e
        place = e.filename if isinstance(e.filename, str) else str(folder)
        raise HarnessError(
            f"cannot write the image cache at {place}: {e.strerror or e}; make room or mend that folder, "
            "or set WHALEFALL_CACHE to a folder that can be written to"
        ) from e


@contextmanager
def locked(
    folder: Path, what: str, progress: Callable[[str], None], clock: Clock, *, name: str = ".lock", shared: bool = False
) -> Iterator[None]:
    """Hold a lock in a folder of the cache, which is made where it is missing. The kernel lets go of it when its holder dies.

    Whoever has it is told, and waited for; not where it is stopped: see `harness.host.locks.awaited`. `what` it is the lock of is for people.
    """
    lock = private.folder(folder) / name
    handle = os.open(lock, _TO_LOCK, private.FILE_MODE)
    try:
        if not locks.taken(handle, shared=shared):
            progress(f"another process is at work on the {what}; waiting for it: {locks.held_by(lock)}")
            take = partial(locks.taken, handle, shared=shared)
            locks.awaited(take, lock, what=f"the {what} of the cache", seconds=BUILD_SECONDS, clock=clock, every=0.2)
        yield
    finally:
        os.close(handle)


def remove(folder: Path) -> None:
    """Remove a folder with all that is in it; what is none, such as a link to one, alone. Raises `HarnessError` where it cannot be removed."""
    if folder.is_symlink() or not folder.is_dir():  # a pipe would be opened, and waited for
        try:
            folder.unlink(missing_ok=True)
        except OSError as e:
            raise HarnessError(f"cannot remove {folder}: {e}; remove it by hand") from e
        return
    # The last process of a killed build may still be ending, and writing: once more then.
    for attempt in range(3):
        try:
            shutil.rmtree(folder)
        except OSError as e:
            if not folder.exists():
                return
            if attempt == 2:  # noqa: PLR2004 - the last of three
                raise HarnessError(f"cannot remove {folder}: {e}; remove it by hand") from e
        else:
            return


def check_space(folder: Path, needed: int, what: str) -> None:
    """Raise `HarnessError` where the disk of `folder` has less than `needed` bytes free for `what`."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise HarnessError(
            f"{folder} has {free / 1024**3:.1f} GiB free; {what} needs {needed / 1024**3:.0f} GiB to be built; "
            "make room, run `whalefall image prune`, or set WHALEFALL_CACHE to a folder on a bigger disk"
        )


def size(root: Path) -> int:
    """Return the bytes that a folder takes on disk; a file with several names counts once."""
    seen: set[int] = set()
    total = 0
    for folder, _, names in os.walk(root):
        for name in names:
            found = os.lstat(Path(folder) / name)
            if found.st_ino not in seen:
                seen.add(found.st_ino)
                total += found.st_blocks * 512
    return total


def named_by_runs(records: str, names: Callable[[Path], bool]) -> tuple[str, ...]:
    """Return the runs whose records (a pattern of their files, below a run's folder) name what is kept, in words.

    `names` says so of one. A record that it cannot read may name it, and counts.
    """
    found: set[str] = set()
    for record in state.runs().glob(f"*/{records}"):
        try:
            if names(record):
                found.add(f"run {record.parent.name}")
        except FileNotFoundError:  # destroyed while we looked
            continue
        except (OSError, HarnessError, ValueError, KeyError):
            found.add(f"perhaps run {record.parent.name}, whose record {record} cannot be read")
    return tuple(sorted(found))


_ESCAPED = str.maketrans({each: f"\\{ord(each):03o}" for each in " \t\n\\#"})
"""What the kernel writes for such a character in a list of mounts (proc(5))."""


_LAYERS = re.compile(r"[ ,]lowerdir\+?=([^, \n]*)")
"""The lower layers of an overlay, in a line of the kernel's list of mounts."""


def _is_layer(path: Path, mounts: str) -> bool:
    """Whether a folder is a lower layer of one of these mounts, as far as can be told, by whatever path it was named then.

    By what it is, where that path is seen from here: it may lead through a link, or another mount of the cache. Where it is not, by its last parts,
    which have the layer's key.
    """
    for said in _LAYERS.findall(mounts):
        plain = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), said)
        for each in re.split(r"(?<!\\):", plain):
            named = re.sub(r"\\(.)", r"\1", each)
            if Path(named).parts[-2:] != path.parts[-2:]:
                continue
            try:
                if Path(named).samefile(path):
                    return True
            except OSError:
                return True
    return False


def mounted(path: Path) -> tuple[str, ...]:
    """Return the processes, one for each mount namespace, that see something mounted that names this path, or has it as a layer."""
    told = str(path).translate(_ESCAPED)
    seen: set[str] = set()
    names = []
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            namespace = str((process / "ns" / "mnt").readlink())
            if namespace in seen:
                continue
            seen.add(namespace)
            mounts = (process / "mountinfo").read_text(encoding="utf-8", errors="replace")
        except OSError:  # it ended
            continue
        if told in mounts or _is_layer(path, mounts):
            names.append(f"process {process.name} and those that share its mounts")
    return tuple(names)
