"""What node images and boxes share: a folder of the cache with its lock, what is kept in it, and builds whose commands die with us."""

from __future__ import annotations

import contextvars
import hashlib
import os
import re
import shutil
import stat
import subprocess
import tempfile
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from harness.core.clock import SystemClock
from harness.core.errors import BadInput, CommandFailed, HarnessError, Unsupported
from harness.core.figures import about
from harness.core.threads import CertainThread
from harness.host import locks, private, state, surroundings, untrusted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from harness.core.clock import Clock

BUILD_SECONDS = 1800.0
"""Longest that one command of a build, or the wait for another process's build, may take. A build takes about a minute on 2 cores."""

TELL_SECONDS = 10.0
"""How often it is told of a long command that it still runs."""

_LAST = 253402128000.0  # two days before the year 10000, the last that a calendar of Python's has, in whatever time zone
_TAIL = 60
_WORD = 60  # characters of its last line that are told then


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


K = TypeVar("K", bound=Kept)


@dataclass(frozen=True, slots=True)
class Shelf(Generic[K]):
    """A folder of the cache where all that is built of one kind is kept, each in a folder named by its key."""

    folder: Path  # may be missing
    what: str  # the kind in words: "node image"
    key: Callable[[], str]  # the key of what today's fixtures would build
    load: Callable[[Path, str], K | None]  # what a folder holds, given that key; None where it holds nothing whole

    def find(self) -> K | None:
        """Return the current one if it is built."""
        now = self.key()
        return self.load(self.folder / now, now)

    def listed(self) -> list[K]:
        """Return all that are kept, newest first."""
        with cache_errors(self.folder):
            if not self.folder.is_dir():
                return []
            now = self.key()
            found = [self.load(each, now) for each in self.folder.iterdir() if not each.name.startswith(".")]
        return sorted((each for each in found if each is not None), key=lambda each: -each.built)

    def ensure(self, build: Callable[[str], None], needed: int, progress: Callable[[str], None], clock: Clock) -> K:
        """Return the current one, built first by `build`, which is given its key, where it is missing. `needed` bytes must be free then.

        Another process that asks at the same moment waits, and takes what this one has built. Raises `HarnessError`.
        """
        with cache_errors(self.folder), locked(self.folder, progress, clock):
            sweep(self.folder)
            found = self.find()
            if found is not None:
                return found
            check_space(self.folder, needed, f"a {self.what}")
            started = clock.now()
            name = self.key()
            build(name)
            made = self.load(self.folder / name, name)
            if made is None:
                raise HarnessError(
                    f"{self.folder / name} was removed the moment that it was built; is another program at work in the cache?"
                )
            progress(f"{self.what} {name} is built: {made.size / 1024**2:.0f} MiB in {about(clock.now() - started)}")
            return made

    @contextmanager
    def attempt(self, progress: Callable[[str], None]) -> Iterator[tuple[Path, BuildCommands]]:
        """Lend a build its work folder, on the same disk, and its commands. What is left in the end is removed, whatever came of it.

        A `CommandFailed` or `OSError` in it becomes the `HarnessError` of `explained`.
        """
        log = self.folder / "build.log"
        log.unlink(missing_ok=True)
        work = Path(tempfile.mkdtemp(prefix=".build-", dir=self.folder))
        try:
            yield work, BuildCommands(log, progress)
        except (CommandFailed, OSError) as e:
            raise explained(e, log, f"the {self.what}") from e
        finally:
            with suppress(HarnessError):  # the cause of a failed build matters more; the next one sweeps
                sweep(self.folder)

    def put(self, made: Path, name: str) -> None:
        """Rename a finished folder into its place: it appears whole or not at all."""
        target = self.folder / name
        if target.exists():  # what is there is not whole, or it would have been found
            target.rename(self.folder / f".dead-{name}")
        made.rename(target)

    def prune(self, users: Callable[[K], Sequence[str]], *, keep_current: bool, clock: Clock) -> list[K]:
        """Remove what nobody uses, and what builds that were killed left behind. Return what is gone."""
        removed = []
        with cache_errors(self.folder), locked(self.folder, lambda _: None, clock):
            sweep(self.folder)
            for each in self.listed():
                if (each.current and keep_current) or users(each):
                    continue
                # Renamed first: what is half gone must not be found.
                doomed = self.folder / f".dead-{each.key}"
                (self.folder / each.key).rename(doomed)
                remove(doomed)
                removed.append(each)
        return removed


def ingredients(folder: Path, *, own: bool = False) -> list[Path]:
    """Return all the files that go into what is built of a folder, sorted. What is compiled, what is copied and what is in a key is found by this.

    Of a folder of ours prose (.md) is left out. Of one that somebody made (`own`) every ordinary file counts, and none that a link leads to: `links`.
    """
    if own:
        return sorted(each for each in _below(folder) if stat.S_ISREG(each.lstat().st_mode))
    return sorted(each for each in _below(folder) if each.is_file() and each.suffix != ".md")


def links(folder: Path) -> list[Path]:
    """Return the links in a folder, sorted, or the folder itself where that is one."""
    return [folder] if folder.is_symlink() else sorted(each for each in _below(folder) if each.is_symlink())


def _below(folder: Path) -> Iterator[Path]:
    """Yield everything in a folder, at any depth, that is no folder itself; a link is one thing, and nothing behind it is in the folder."""
    for parent, folders, names in os.walk(folder) if not folder.is_symlink() else ():
        yield from (Path(parent, name) for name in names)
        yield from (each for name in folders if (each := Path(parent, name)).is_symlink())


def hashed(recipe: str, root: Path, paths: Iterable[Path]) -> str:
    """Return a key, 16 hex digits, of a recipe in words and some files below `root`, in their order."""
    digest = hashlib.sha256(recipe.encode())
    for path in paths:
        body = path.read_bytes()
        digest.update(f"\0{path.relative_to(root)}\0{len(body)}\0".encode())
        digest.update(body)
    return digest.hexdigest()[:16]


def copied(folder: Path, target: Path, *, own: bool = False) -> None:
    """Copy the ingredients of a folder, at their places in it."""
    for each in ingredients(folder, own=own):
        place = target / each.relative_to(folder)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(each, place)


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


def check_tools(what: str, tools: Mapping[str, str], remedy: str) -> None:
    """Raise `Unsupported` where we are not root, or for the first of these programs that is missing; each has its own remedy, or `remedy`."""
    if os.geteuid() != 0:
        raise Unsupported(f"building {what} needs root (it makes a Debian root folder); run it with sudo")
    for tool, own in tools.items():
        if surroundings.which(tool) is None:
            raise Unsupported(f"building {what} needs {tool}, which is not on PATH; {own}, or run {remedy}")


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
def locked(folder: Path, progress: Callable[[str], None], clock: Clock) -> Iterator[None]:
    """Hold the lock of a folder of the cache, which is made where it is missing. The kernel lets go of it when its holder dies.

    Whoever has it is told, and waited for; not where it is stopped: see `harness.host.locks.awaited`.
    """
    private.folder(folder)
    lock = folder / ".lock"
    handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, private.FILE_MODE)
    try:
        if not locks.taken(handle):
            progress(f"another process is at work on the {folder.name}; waiting for it: {locks.held_by(lock)}")
            locks.awaited(
                lambda: locks.taken(handle), lock, what=f"the {folder.name} of the cache", seconds=BUILD_SECONDS, clock=clock, every=0.2
            )
        yield
    finally:
        os.close(handle)


def sweep(folder: Path) -> None:
    """Remove what dead builds left. The lock is held, so that no build that left something is alive."""
    for each in folder.iterdir():
        if each.name.startswith((".build-", ".dead-")):
            remove(each)


def remove(folder: Path) -> None:
    """Remove a folder with all that is in it. Raises `HarnessError` where it cannot be removed."""
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


class BuildCommands:
    """The commands of one build. They, and all that they start, die with this process, or when `abort` is called."""

    def __init__(self, log: Path, progress: Callable[[str], None], clock: Clock | None = None) -> None:
        self.log = log
        self._progress = progress
        self._clock = clock or SystemClock()
        self._said = ""
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[str]] = set()
        self._aborted = False

    def say(self, line: str) -> None:
        """Tell the progress, one thread at a time."""
        with self._lock:
            self._said = line
            self._progress(line)

    def run(self, argv: Sequence[str], *, cwd: Path | None = None, env: Mapping[str, str] | None = None, mark: str = "\0") -> list[str]:
        """Run a command to its end and return its last lines; lines that start with `mark` go to the progress. Raises `CommandFailed`."""
        # setpriv: the kernel kills unshare when the thread that waits here is gone. unshare: then kills its child, the first process of a pid
        # namespace, and with it everything inside. Mounts go with the mount namespace.
        wrapped = [
            *("setpriv", "--pdeathsig", "KILL", "--"),
            *("unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child=KILL", "--mount-proc", "--"),
            *argv,
        ]
        with self._lock:
            if self._aborted:
                raise CommandFailed("image", argv, 137, "not started: another step of the build failed")
            process = subprocess.Popen(
                wrapped,
                cwd=cwd,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
                errors="replace",
                start_new_session=True,
                umask=0o022,  # what is built is for nodes, whose users are not this machine's
            )
            self._running.add(process)
        ended = threading.Event()
        why: list[HarnessError] = []
        watch = CertainThread(target=contextvars.copy_context().run, args=(_killed, process, ended, why), name="build-watch")
        tail: list[str] = []
        teller = CertainThread(target=self._go_on_telling, args=(ended, tail), name="build-progress")
        try:
            watch.start()
            teller.start()
            with process, self.log.open("a", encoding="utf-8") as log:
                for line in process.stdout or ():
                    log.write(line)
                    tail[:] = [*tail[-_TAIL + 1 :], line.rstrip()]
                    if line.startswith(mark):
                        self.say(line.removeprefix(mark).strip())
        except BaseException:
            process.kill()
            process.wait()
            raise
        finally:
            ended.set()
            if teller.launched:
                teller.join()
            with self._lock:
                self._running.discard(process)
        if why:
            raise why[0]
        if process.returncode != 0:
            raise CommandFailed("image", argv, process.returncode, "\n".join(tail))
        return tail

    def _go_on_telling(self, ended: threading.Event, tail: Sequence[str]) -> None:
        """Say every `TELL_SECONDS` of a long command that it still runs, for how long, and its last word."""
        started = self._clock.now()
        while not self._clock.wait(ended, TELL_SECONDS):
            word = next((line.strip() for line in reversed(tail) if line.strip()), "")
            with self._lock, suppress(OSError):  # a listener that is gone is noticed by whoever speaks next
                what = self._said or "building"
                self._progress(f"{what}: {about(self._clock.now() - started)} so far" + (f" ({word[:_WORD]})" if word else ""))

    def abort(self) -> None:
        """Kill what runs and start nothing more."""
        with self._lock:
            self._aborted = True
            for process in self._running:
                process.kill()


def _killed(process: subprocess.Popen[str], ended: threading.Event, why: list[HarnessError]) -> None:
    """Kill a command that has not ended in time, or when the run that it is for ends: `why` then holds the reason."""
    try:
        over = SystemClock().wait(ended, BUILD_SECONDS)
    except HarnessError as error:
        why.append(error)
        over = False
    if not over:
        process.kill()


def words(path: Path) -> list[str]:
    """Return a list file's words; ``#`` starts a comment."""
    return [word for line in path.read_text(encoding="utf-8").splitlines() for word in line.partition("#")[0].split()]


def folder_for(target: Path, root: Path) -> None:
    """Make the folders below `root` that a file of a node needs, for every user of the node whatever our umask is."""
    for each in reversed(target.relative_to(root).parents):
        made = root / each
        if not made.exists():
            made.mkdir()
            made.chmod(0o755)


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


def mounted(path: Path) -> tuple[str, ...]:
    """Return the processes, one for each mount namespace, that see something mounted that names this path."""
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
        if told in mounts:
            names.append(f"process {process.name} and those that share its mounts")
    return tuple(names)


_CAUSES = (
    (
        r"(?i:no space left on device|disk quota exceeded)",
        "the disk is full",
        "make room, or set WHALEFALL_CACHE to a folder on a bigger disk",
    ),
    (
        r"Read-only file system",
        "the disk of the cache is read-only",
        "set WHALEFALL_CACHE to a folder that can be written to",
    ),
    (
        r"Unable to locate package (\S+)|Package '?(\S+?)'? has no installation candidate",
        "the mirror has no package {}",
        "check fixtures/node/packages and fixtures/node/suite",
    ),
    (
        r"NO_PUBKEY|is not signed|no keyring|signatures couldn't be verified",
        "the mirror's signature cannot be checked",
        "apt-get install debian-archive-keyring",
    ),
    (
        (
            r"Temporary failure resolving '?([\w.-]+)|Could not (?:resolve|connect to)[^\w]*([\w.-]+)"
            r"|lookup ([\w.-]+)[ :].*(?:no such host|i/o timeout)|Failed to fetch (\S+)|dial tcp ([\w.:-]+)"
        ),
        "cannot download from {}",
        "check network and proxy (http_proxy, GOPROXY); WHALEFALL_MIRROR names another Debian mirror",
    ),
    (r"checksum mismatch|SECURITY ERROR", "a Go module is not the one that go.sum names", "look at the log; do not work round it"),
)


def explained(error: CommandFailed | OSError, log: Path, what: str) -> HarnessError:
    """Turn a failed step into one line: the cause where it is a known one, else the last word of what failed."""
    text = error.err if isinstance(error, CommandFailed) else str(error)
    for pattern, cause, remedy in _CAUSES:
        match = re.search(pattern, text)
        if match:
            named = next((group for group in match.groups() if group), "")
            return HarnessError(f"{what} was not built: {cause.format(named)}; {remedy} (all output: {log})")
    lines = [line for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("E: ")]
    step = f"{error.argv[0]} exited with status {error.status}" if isinstance(error, CommandFailed) else type(error).__name__
    return HarnessError(f"{what} was not built: {step}: {(errors or lines or ['no output'])[-1].strip()} (all output: {log})")
