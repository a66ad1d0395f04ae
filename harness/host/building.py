"""What builds of node images and boxes are made of: what goes into one, its commands, which die with us, and the cause of a failure in one line."""

from __future__ import annotations

import contextvars
import hashlib
import os
import re
import shutil
import stat
import subprocess
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from harness.core import pace
from harness.core.clock import SystemClock
from harness.core.errors import BadInput, CommandFailed, HarnessError, Problem, Unsupported
from harness.core.figures import about
from harness.core.threads import CertainThread
from harness.host import processes, surroundings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from harness.core.clock import Clock

BUILD_SECONDS = 1800.0
"""Longest that one command of a build, or the wait for another process's build, may take. A build takes about a minute on 2 cores."""

TELL_SECONDS = 10.0
"""How often it is told of a long command that it still runs."""

_PIECE = 1 << 20  # bytes of a file that are in memory at a time
_TAIL = 60
_WORD = 60  # characters of its last line that are told then

LARGEST = 1 << 30
"""Bytes of all that somebody put into the folder of one image, at most: it is copied into the node image, and from there to every node."""
DEEPEST = 64
"""Folders inside each other, at most, of what is copied to nodes."""
MOST_FILES = 10_000
"""Files and folders of it, at most: a path may lead anywhere, also to the root of this machine."""


def ingredients(folder: Path, *, own: bool = False, meant: Callable[[Path], bool] = lambda _: False) -> list[Path]:
    """Return all the files that go into what is built of a folder, sorted. What is compiled, what is copied and what is in a key is found by this.

    Of a folder of ours prose (.md) is left out, and what Python keeps beside sources.
    Of one that somebody made (`own`) every ordinary file counts, and none that a link leads to (`links`), but where a link is `meant` to be its file.
    Raises `BadInput` for one of more than `LARGEST` bytes, too deep, with too many files, or with a folder that cannot be looked into.
    """
    if own:
        try:
            there = {each: each.stat() if each.is_symlink() and meant(each) else each.lstat() for each in _below(folder)}
        except OSError as error:  # gone since its folder was listed, or nobody may look at it
            found, what = error.strerror or str(error), "a file that can be looked at: it is a part of what is built"
            raise BadInput([Problem(str(error.filename or folder), 0, 0, found, what)]) from error
        sizes = {each: status.st_size for each, status in there.items() if stat.S_ISREG(status.st_mode)}
        if sum(sizes.values()) > LARGEST:
            largest = max(sizes, key=lambda each: sizes[each])
            what = f"{sizes[largest]} bytes, of {sum(sizes.values())} in {folder}"
            raise BadInput([Problem(str(largest), 0, 0, what, f"{LARGEST} in the whole folder at most: all of it is copied to nodes")])
        return sorted(sizes)
    return sorted(each for each in _below(folder) if each.is_file() and each.suffix != ".md" and each.parent.name != "__pycache__")


def links(folder: Path) -> list[Path]:
    """Return the links in a folder, sorted, or the folder itself where that is one."""
    return [folder] if folder.is_symlink() else sorted(each for each in _below(folder) if each.is_symlink())


def _below(folder: Path) -> Iterator[Path]:
    """Yield everything in a folder, at any depth, that is no folder itself; a link is one thing, and nothing behind it is in the folder."""
    count = 0
    for parent, folders, names in os.walk(folder, onerror=_unseen) if not folder.is_symlink() else ():
        count += len(folders) + len(names)
        if count > MOST_FILES:
            raise BadInput(
                [Problem(str(folder), 0, 0, "too many files and folders", f"{MOST_FILES} at most: all of it is copied to nodes")]
            )
        if len(Path(parent).relative_to(folder).parts) > DEEPEST:
            raise BadInput(
                [Problem(str(folder), 0, 0, f"folders more than {DEEPEST} inside each other", "fewer: all of it is copied to nodes")]
            )
        yield from (Path(parent, name) for name in names)
        yield from (each for name in folders if (each := Path(parent, name)).is_symlink())


def _unseen(error: OSError) -> None:
    """Raise `BadInput` for a folder that is there and cannot be looked into: what is in it is not known, which is not nothing."""
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        what = "a folder that can be looked into: it is a part of what is built"
        raise BadInput([Problem(str(error.filename), 0, 0, f"{error.strerror}", what)]) from error


def hashed(recipe: str, root: Path, paths: Iterable[Path]) -> str:
    """Return a key, 16 hex digits, of a recipe in words and some files below `root`, in their order. Raises `BadInput` for one not to be read."""
    digest = hashlib.sha256(os.fsencode(recipe))
    for path in paths:
        try:
            with path.open("rb") as file:
                left = os.fstat(file.fileno()).st_size
                digest.update(b"\0%b\0%d\0" % (os.fsencode(path.relative_to(root)), left))
                while left > 0 and (piece := file.read(min(left, _PIECE))):
                    digest.update(piece)
                    left -= len(piece)
        except OSError as error:
            raise BadInput(
                [Problem(str(path), 0, 0, f"{error.strerror}", "a file that can be read: it is a part of what is built")]
            ) from error
    return digest.hexdigest()[:16]


def copied(folder: Path, target: Path, *, own: bool = False, meant: Callable[[Path], bool] = lambda _: False) -> None:
    """Copy the ingredients of a folder, at their places in it."""
    for each in ingredients(folder, own=own, meant=meant):
        place = target / each.relative_to(folder)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(each, place)


def check_tools(what: str, tools: Mapping[str, str], remedy: str) -> None:
    """Raise `Unsupported` where we are not root, or for the first of these programs that is missing; each has its own remedy, or `remedy`."""
    if os.geteuid() != 0:
        raise Unsupported(f"building {what} needs root (it makes a Debian root folder); run it with sudo")
    for tool, own in tools.items():
        if surroundings.which(tool) is None:
            raise Unsupported(f"building {what} needs {tool}, which is not on PATH; {own}, or run {remedy}")


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
            with self.log.open("a", encoding="utf-8") as log:
                for line in process.stdout or ():
                    log.write(line)
                    tail[:] = [*tail[-_TAIL + 1 :], line.rstrip()]
                    if line.startswith(mark):
                        self.say(line.removeprefix(mark).strip())
            if process.stdout is not None:
                process.stdout.close()
            process.wait()
        except BaseException:
            process.kill()
            processes.let_go(process, pace.limit(processes.KILLED_SECONDS))
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
    """Make the folders below `root` that a file of a node needs, for every user of the node whatever our umask is.

    Raises `HarnessError` for one that is a link there: from here an absolute one leads out of the root, to this machine's own.
    """
    for each in reversed(target.relative_to(root).parents):
        made = root / each
        if made.is_symlink() and made != root:
            raise HarnessError(f"{target} is below a link of that root, {made} to {made.readlink()}; lay it where that leads")
        if not made.exists():
            made.mkdir()
            made.chmod(0o755)


def lay(source: Path, target: Path, root: Path, *, runs: bool) -> None:
    """Put a file into a root, for all users of a node to read, and to run where it `runs`. A link in its place goes, and not what it leads to."""
    folder_for(target, root)
    if target.is_symlink():
        target.unlink()
    shutil.copyfile(source, target)
    target.chmod(0o755 if runs else 0o644)


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
        "check the lists called packages that the layers of the image are made by, and fixtures/node/suite",
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
