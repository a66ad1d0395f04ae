"""The node image: a folder with a whole Debian root that every node's overlay lies on.

Built once from ``fixtures/`` and kept in the cache as ``images/<key>/root``, where the key is the hash of all that goes into it. An image
appears whole or not at all: it is built beside its place and renamed into it, under a lock. All that builds runs in a pid and a mount
namespace of its own, which the kernel empties when the harness dies, however it dies.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from concurrent import futures
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness import files, state
from harness.clock import SystemClock, wait_until
from harness.errors import CommandFailed, HarnessError, Unsupported

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from harness.clock import Clock

RECIPE = 1
"""Raised by hand when this module builds something else from the same fixtures."""

NEEDED_BYTES = 2 * 1024**3
"""Free space asked for before a build: 0.6 GB of image, as much again of packages and compiler work, and room to go on living."""

BUILD_SECONDS = 1800.0
"""Longest that one command of a build, or the wait for another process's build, may take. A build takes about a minute on 2 cores."""

GO_MINIMUM = (1, 21)
"""First Go that reads the fleet module's go.mod (its ``go`` line)."""

_TOOLS = {
    "mmdebstrap": "apt-get install mmdebstrap",
    "setpriv": "apt-get install util-linux",
    "unshare": "apt-get install util-linux",
}
GO_PLACES = (str(Path(sys.prefix) / "bin" / "go"), "/usr/local/go/bin/go", "/usr/lib/go/bin/go")
"""Where a Go is looked for beside PATH. The first is where ./setup puts one, on no PATH unless its environment is active."""
_FLEET_VERSION = "1.0.0"
_TAIL = 60


@dataclass(frozen=True, slots=True)
class Image:
    """One node image in the cache."""

    path: Path  # the root folder: an overlay's lower layer; never written to
    key: str  # 16 hex digits
    size: int  # bytes on disk
    built: float  # seconds since the epoch
    current: bool  # whether it is what today's fixtures would build


def key() -> str:
    """Return the key of the image that the fixtures as they are now make on this machine: 16 hex digits. Prose (.md) is no part of it."""
    digest = hashlib.sha256(f"{RECIPE} {platform.machine()}".encode())
    fixtures = files.fixtures()
    for part in ("node", "fleet", "images"):
        for path in sorted(each for each in (fixtures / part).rglob("*") if each.is_file() and each.suffix != ".md"):
            body = path.read_bytes()
            digest.update(f"\0{path.relative_to(fixtures)}\0{len(body)}\0".encode())
            digest.update(body)
    return digest.hexdigest()[:16]


def find() -> Image | None:
    """Return the current image if it is built."""
    return _load(_folder() / key(), key())


def images() -> list[Image]:
    """Return every image in the cache, newest first."""
    if not _folder().is_dir():
        return []
    now = key()
    found = [_load(each, now) for each in _folder().iterdir() if not each.name.startswith(".")]
    return sorted((each for each in found if each is not None), key=lambda each: -each.built)


def users(image: Image) -> tuple[str, ...]:
    """Return who uses an image, in words: runs whose records name it, and processes that see it mounted. Empty: nobody does.

    A record that cannot be read may name it, and counts.
    """
    names: set[str] = set()
    for record in state.runs().glob("*/cluster.json"):
        try:
            used = json.loads(record.read_text(encoding="utf-8"))["image"]
        except FileNotFoundError:  # destroyed while we looked
            continue
        except (OSError, ValueError, KeyError, TypeError):
            names.add(f"perhaps run {record.parent.name}, whose record {record} cannot be read")
            continue
        if Path(str(used)) in {image.path, image.path.parent}:
            names.add(f"run {record.parent.name}")
    return tuple(sorted(names)) or _mounted(image.path)


def ensure(progress: Callable[[str], None], clock: Clock | None = None) -> Image:
    """Return the current image, built first where it is missing (about a minute on 2 cores, 0.6 GB).

    `progress` is told in short lines what happens; it may be called from other threads, one at a time. A second process that asks at the same
    moment waits for the first and takes its image. Raises `Unsupported` where this machine cannot build, and `HarnessError` with the cause
    where a build failed; either way nothing half-made is left.
    """
    found = find()
    if found is not None:
        return found
    go = _check_machine()
    with _cache_errors(), _lock(progress, clock or SystemClock()):
        _sweep()
        found = find()
        if found is not None:
            return found
        _check_space()
        return _build(key(), go, progress, clock or SystemClock())


def prune(*, keep_current: bool = True, clock: Clock | None = None) -> list[Image]:
    """Remove images that nobody uses, and what builds that were killed left behind. Return the images that are gone."""
    if not _folder().is_dir():
        return []
    if os.geteuid() != 0:
        raise Unsupported("removing images needs root: they hold files of many owners; run it with sudo")
    removed = []
    with _cache_errors(), _lock(lambda _: None, clock or SystemClock()):
        _sweep()
        for image in images():
            if (image.current and keep_current) or users(image):
                continue
            # Renamed first: an image that is half gone must not be found.
            doomed = _folder() / f".dead-{image.key}"
            image.path.parent.rename(doomed)
            _remove(doomed)
            removed.append(image)
    return removed


def _folder() -> Path:
    return state.cache() / "images"


def _load(folder: Path, now: str) -> Image | None:
    try:
        record = json.loads((folder / "image.json").read_text(encoding="utf-8"))
        size, built = int(record["size"]), float(record["built"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if not (folder / "root").is_dir():
        return None
    return Image(path=folder / "root", key=folder.name, size=size, built=built, current=folder.name == now)


def _mounted(path: Path) -> tuple[str, ...]:
    """Return the processes, one for each mount namespace, that see something mounted that names this path."""
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
        if str(path) in mounts:
            names.append(f"process {process.name} and those that share its mounts")
    return tuple(names)


@contextmanager
def _cache_errors() -> Iterator[None]:
    """Turn what the cache's disk refuses into one line: it is read-only, full, no folder, or somebody else's."""
    try:
        yield
    except BrokenPipeError:  # of whoever listens to the progress
        raise
    except OSError as e:
        place = e.filename if isinstance(e.filename, str) else str(_folder())
        raise HarnessError(
            f"cannot write the image cache at {place}: {e.strerror or e}; make room or mend that folder, "
            "or set WHALEFALL_CACHE to a folder that can be written to"
        ) from e


@contextmanager
def _lock(progress: Callable[[str], None], clock: Clock) -> Iterator[None]:
    """Hold the cache's lock. The kernel lets go of it when its holder dies."""
    _folder().mkdir(parents=True, exist_ok=True)
    handle = os.open(_folder() / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        if not _try_lock(handle):
            progress("another process is at work on the images; waiting for it")
            wait_until(
                lambda: _try_lock(handle),
                awaited=f"the lock on {_folder()}",
                seconds=BUILD_SECONDS,
                clock=clock,
                every=0.2,
                saw=lambda: "held by another process",
            )
        yield
    finally:
        os.close(handle)


def _try_lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _sweep() -> None:
    """Remove what dead builds left. The lock is held, so that no build that left something is alive."""
    for each in _folder().iterdir():
        if each.name.startswith((".build-", ".dead-")):
            _remove(each)


def _remove(folder: Path) -> None:
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


def _check_machine() -> str:
    """Return the path of a Go that will do. Raises `Unsupported` for the first thing that this machine lacks."""
    if os.geteuid() != 0:
        raise Unsupported("building the node image needs root (it makes a Debian root folder); run it with sudo")
    for tool, remedy in _TOOLS.items():
        if shutil.which(tool) is None:
            raise Unsupported(f"building the node image needs {tool}, which is not on PATH; {remedy}, or run ./setup")
    return _go()


def _go() -> str:
    seen = []
    for place in (shutil.which("go"), *GO_PLACES):
        if place is None or not Path(place).is_file():
            continue
        answer = subprocess.run([place, "version"], capture_output=True, text=True, timeout=60, check=False, env=_go_environment())
        match = re.search(r"\bgo(\d+)\.(\d+)", answer.stdout)
        if match and (int(match[1]), int(match[2])) >= GO_MINIMUM:
            return place
        seen.append(f"{place} says {(answer.stdout or answer.stderr).strip()!r}")
    wanted = ".".join(map(str, GO_MINIMUM))
    raise Unsupported(f"building fleet needs Go {wanted} or later; found {'; '.join(seen) or 'none'}; run ./setup, which installs one")


def _go_environment() -> dict[str, str]:
    """Return the environment of the Go tool: static binaries for this machine, the installed toolchain, nobody's workspace."""
    kept = {name: value for name, value in os.environ.items() if name not in {"GOOS", "GOARCH", "GOWORK", "GOFLAGS"}}
    return {"HOME": "/root", **kept, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off"}


def _check_space() -> None:
    free = shutil.disk_usage(_folder()).free
    if free < NEEDED_BYTES:
        raise HarnessError(
            f"{_folder()} has {free / 1024**3:.1f} GiB free; a node image needs {NEEDED_BYTES / 1024**3:.0f} GiB to be built; "
            "make room, run `whalefall image prune`, or set WHALEFALL_CACHE to a folder on a bigger disk"
        )


class _Commands:
    """The commands of one build. They, and all that they start, die with this process, or when `abort` is called."""

    def __init__(self, log: Path, progress: Callable[[str], None]) -> None:
        self.log = log
        self._progress = progress
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[str]] = set()
        self._aborted = False

    def say(self, line: str) -> None:
        """Tell the progress, one thread at a time."""
        with self._lock:
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
                text=True,
                errors="replace",
                start_new_session=True,
            )
            self._running.add(process)
        timer = threading.Timer(BUILD_SECONDS, process.kill)
        timer.start()
        tail: list[str] = []
        try:
            with process, self.log.open("a", encoding="utf-8") as log:
                for line in process.stdout or ():
                    log.write(line)
                    tail = [*tail[-_TAIL + 1 :], line.rstrip()]
                    if line.startswith(mark):
                        self.say(line.removeprefix(mark).strip())
        except BaseException:
            process.kill()
            raise
        finally:
            timer.cancel()
            with self._lock:
                self._running.discard(process)
        if process.returncode != 0:
            raise CommandFailed("image", argv, process.returncode, "\n".join(tail))
        return tail

    def abort(self) -> None:
        """Kill what runs and start nothing more."""
        with self._lock:
            self._aborted = True
            for process in self._running:
                process.kill()


def _build(name: str, go: str, progress: Callable[[str], None], clock: Clock) -> Image:
    fixtures = files.fixtures()
    log = _folder() / "build.log"
    log.unlink(missing_ok=True)
    work = Path(tempfile.mkdtemp(prefix=".build-", dir=_folder()))
    commands = _Commands(log, progress)
    started = clock.now()
    try:
        root = work / "image" / "root"
        root.mkdir(parents=True)
        # The download and unpacking of Debian waits for network and disk, the compiler for processors: together they take little more than one.
        with futures.ThreadPoolExecutor(2) as pool:
            steps = [pool.submit(_debian, commands, fixtures, root), pool.submit(_programs, commands, fixtures, go, work)]
            try:
                ended, others = futures.wait(steps, return_when=futures.FIRST_EXCEPTION)
                if others:
                    commands.abort()
            except BaseException:
                commands.abort()
                raise
        # The one that failed first: the other failed because of it.
        for step in ended:
            step.result()
        commands.say("putting the node together")
        _assemble(commands, fixtures, work, root)
        size = _size(root)
        record = {"size": size, "built": clock.wall(), "seconds": round(clock.now() - started, 1), "recipe": RECIPE}
        (work / "image" / "image.json").write_text(json.dumps(record) + "\n", encoding="utf-8")
        commands.run(["sync", "-f", str(root)])
        target = _folder() / name
        if target.exists():  # what is there cannot be read as an image, or it would have been found
            target.rename(_folder() / f".dead-{name}")
        (work / "image").rename(target)
    except (CommandFailed, OSError) as e:
        raise _explained(e, log) from e
    finally:
        with suppress(HarnessError):  # the cause of a failed build matters more; the next one sweeps
            _sweep()
    progress(f"node image {name} is built: {size / 1024**2:.0f} MiB in {clock.now() - started:.0f} s")
    image = _load(target, name)
    if image is None:
        raise HarnessError(f"{target} was removed the moment that it was built; is another program at work in the cache?")
    return image


def _debian(commands: _Commands, fixtures: Path, root: Path) -> None:
    suite = (fixtures / "node" / "suite").read_text(encoding="utf-8").strip()
    commands.say(f"making a Debian root ({suite})")
    mirror = os.environ.get("WHALEFALL_MIRROR")
    commands.run(
        [
            "mmdebstrap",
            "--mode=root",
            "--variant=minbase",
            f"--include={','.join(_words(fixtures / 'node' / 'packages'))}",
            *(f"--dpkgopt=path-exclude=/usr/share/{each}/*" for each in ("doc", "man", "locale", "info")),
            "--dpkgopt=force-unsafe-io",
            '--aptopt=Acquire::Retries "3"',
            suite,
            str(root),
            *([mirror] if mirror else []),
        ],
        env={**os.environ, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive", "TMPDIR": "/tmp"},  # noqa: S108 - of its own namespace
        mark="I: ",
    )


def _programs(commands: _Commands, fixtures: Path, go: str, work: Path) -> None:
    """Build fleetd, fleetctl and web into ``work/bin``. The sums of every module are checked against our go.sum, which is not written to."""
    flags = ["-mod=readonly", "-trimpath", "-buildvcs=false"]
    for source in ("fleet", "images/web"):
        shutil.copytree(fixtures / source, work / "go" / source)
    for program, package, source, link in (
        ("fleetd", "github.com/coreos/fleet", "fleet", f"-X github.com/coreos/fleet/version.Version={_FLEET_VERSION}"),
        ("fleetctl", "github.com/coreos/fleet/fleetctl", "fleet", f"-X github.com/coreos/fleet/version.Version={_FLEET_VERSION}"),
        ("web", ".", "images/web", "-s -w"),
    ):
        commands.say(f"building {program}")
        argv = [go, "build", *flags, f"-ldflags={link}", "-o", str(work / "bin" / program), package]
        commands.run(argv, cwd=work / "go" / source, env=_go_environment())


def _assemble(commands: _Commands, fixtures: Path, work: Path, root: Path) -> None:
    laid = fixtures / "node" / "root"
    copies = {each: root / each.relative_to(laid) for each in sorted(laid.rglob("*")) if each.is_file()}
    copies |= {work / "bin" / each: root / "usr/local/bin" / each for each in ("fleetd", "fleetctl")}
    web = root / "usr/share/whalefall/images/web"
    copies |= {work / "bin" / "web": web / "web", fixtures / "images/web/Dockerfile": web / "Dockerfile"}
    for source, target in copies.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        target.chmod(0o755 if target.parent.name in {"bin", "sbin"} or target.name == "web" else 0o644)
    commands.run(["sh", str(fixtures / "node" / "finish"), str(root)])


def _words(path: Path) -> list[str]:
    """Return a list file's words; ``#`` starts a comment."""
    return [word for line in path.read_text(encoding="utf-8").splitlines() for word in line.partition("#")[0].split()]


def _size(root: Path) -> int:
    """Return the bytes that a folder takes on disk; a file with several names counts once."""
    seen: set[int] = set()
    total = 0
    for folder, _, names in os.walk(root):
        for name in names:
            stat = os.lstat(Path(folder) / name)
            if stat.st_ino not in seen:
                seen.add(stat.st_ino)
                total += stat.st_blocks * 512
    return total


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


def _explained(error: CommandFailed | OSError, log: Path) -> HarnessError:
    """Turn a failed step into one line: the cause where it is a known one, else the last word of what failed."""
    text = error.err if isinstance(error, CommandFailed) else str(error)
    for pattern, cause, remedy in _CAUSES:
        match = re.search(pattern, text)
        if match:
            what = next((group for group in match.groups() if group), "")
            return HarnessError(f"the node image was not built: {cause.format(what)}; {remedy} (all output: {log})")
    lines = [line for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("E: ")]
    step = f"{error.argv[0]} exited with status {error.status}" if isinstance(error, CommandFailed) else type(error).__name__
    return HarnessError(f"the node image was not built: {step}: {(errors or lines or ['no output'])[-1].strip()} (all output: {log})")
