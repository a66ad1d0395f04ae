"""The node image: a folder with a whole Debian root that every node's overlay lies on.

Built once from ``fixtures/`` and kept in the cache as ``images/<key>/root``, where the key is the hash of all that goes into it. An image
appears whole or not at all: it is built beside its place and renamed into it, under a lock. All that builds runs in a pid and a mount
namespace of its own, which the kernel empties when the harness dies, however it dies.
"""

from __future__ import annotations

import contextvars
import json
import os
import platform
import re
import shutil
import sys
from concurrent import futures
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.core.clock import SystemClock
from harness.core.errors import BadInput, CommandFailed, Unsupported
from harness.host import building, contexts, files, private, shelves, state, surroundings
from harness.host.processes import as_text, run_bounded

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.core.clock import Clock

RECIPE = 1
"""Raised by hand when this module builds something else from the same fixtures."""

NEEDED_BYTES = 2 * 1024**3
"""Free space asked for before a build: 0.6 GB of image, as much again of packages and compiler work, and room to go on living."""

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


@dataclass(frozen=True, slots=True)
class Image:
    """One node image in the cache."""

    path: Path  # the root folder: an overlay's lower layer; never written to
    key: str  # 16 hex digits
    size: int  # bytes on disk
    built: float  # seconds since the epoch
    current: bool  # whether it is what today's fixtures would build


def key() -> str:
    """Return the key of the image that the fixtures as they are now make on this machine: 16 hex digits.

    Prose (.md) of ours is no part of it; every file of an image of one's own is, whatever its name: see `harness.host.contexts.ingredients`.
    """
    fixtures = files.fixtures()
    images = sorted(each for context in contexts.contexts() for each in contexts.ingredients(context))
    parts = [*building.ingredients(fixtures / "node"), *building.ingredients(fixtures / "fleet"), *images]
    # Images from before such were compiled had the same parts.
    compiled = [f"{each.name}/{name}" for each in contexts.contexts() if contexts.is_own(each) and (name := contexts.program(each))]
    return building.hashed(" ".join([str(RECIPE), platform.machine(), *compiled]), fixtures, parts)


def find() -> Image | None:
    """Return the current image if it is built."""
    return _shelf().find()


def images() -> list[Image]:
    """Return every image in the cache, newest first."""
    return _shelf().listed()


def users(image: Image) -> tuple[str, ...]:
    """Return who uses an image, in words: runs whose records name it, and processes that see it mounted. Empty: nobody does."""

    def names(record: Path) -> bool:
        return Path(str(private.record(record)["image"])) in {image.path, image.path.parent}

    return shelves.named_by_runs("cluster.json", names) or shelves.mounted(image.path)


def ensure(progress: Callable[[str], None], clock: Clock | None = None) -> Image:
    """Return the current image, built first where it is missing (about a minute on 2 cores, 0.6 GB).

    `progress` is told in short lines what happens; it may be called from other threads, one at a time. A second process that asks at the same
    moment waits for the first and takes its image. Raises `Unsupported` where this machine cannot build, and `HarnessError` with the cause
    where a build failed; either way nothing half-made is left.
    """
    if _shelf().folder.is_dir():
        state.close_cache("images")
    found = find()
    if found is not None:
        return found
    go = _check_machine()
    time = clock or SystemClock()
    return _shelf().ensure(lambda name: _build(name, go, progress, time), NEEDED_BYTES, progress, time)


def damage(image: Image) -> str:
    """Say that an image is not what was built, if it is not, and what to do; empty where nothing is missing. Takes a quarter of a second.

    By its size on disk alone: asked when nodes of it do not come up, to tell why.
    """
    now = shelves.size(image.path)
    if now == image.size:
        return ""
    return (
        f"the node image {image.path} is damaged: it has {now} bytes and had {image.size} when it was built; "
        "`whalefall image prune --all` removes it, and the next run builds it anew"
    )


def prune(*, keep_current: bool = True, clock: Clock | None = None) -> list[Image]:
    """Remove images that nobody uses, and what builds that were killed left behind. Return the images that are gone."""
    shelf = _shelf()
    if not shelf.folder.is_dir():
        return []
    if os.geteuid() != 0:
        raise Unsupported("removing images needs root: they hold files of many owners; run it with sudo")
    return shelf.prune(users, keep_current=keep_current, clock=clock or SystemClock())


def _shelf() -> shelves.Shelf[Image]:
    return shelves.Shelf(state.cache() / "images", "node image", key, _load)


def _load(folder: Path, now: str) -> Image | None:
    record = shelves.recorded(folder / "image.json")
    if record is None or not (folder / "root").is_dir():
        return None
    size, built = record
    return Image(path=folder / "root", key=folder.name, size=size, built=built, current=folder.name == now)


def _check_machine() -> str:
    """Return the path of a Go that will do. Raises `Unsupported` for the first thing that this machine lacks."""
    building.check_tools("the node image", _TOOLS, "./setup")
    return _go()


def _go() -> str:
    seen = []
    for place in (surroundings.which("go"), *GO_PLACES):
        if place is None or not Path(place).is_file():
            continue
        answer = as_text(run_bounded([place, "version"], seconds=60.0, env=_go_environment()))
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


def _build(name: str, go: str, progress: Callable[[str], None], clock: Clock) -> None:
    fixtures = files.fixtures()
    shelf = _shelf()
    with shelf.attempt(progress) as (work, commands):
        started = clock.now()
        root = work / "image" / "root"
        root.mkdir(parents=True)
        root.chmod(0o755)  # whatever the umask: it becomes the nodes' own
        # The download and unpacking of Debian waits for network and disk, the compiler for processors: together they take little more than one.
        with futures.ThreadPoolExecutor(2) as pool:
            # In a context like ours: they end when the run does that the image is for.
            debian, programs = contextvars.copy_context().run, contextvars.copy_context().run
            steps = [pool.submit(debian, _debian, commands, fixtures, root), pool.submit(programs, _programs, commands, fixtures, go, work)]
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
        size = shelves.size(root)
        record = {"size": size, "built": clock.wall(), "seconds": round(clock.now() - started, 1), "recipe": RECIPE}
        (work / "image" / "image.json").write_text(json.dumps(record) + "\n", encoding="utf-8")
        commands.run(["sync", "-f", str(root)])
        shelf.put(work / "image", name)


def _debian(commands: building.BuildCommands, fixtures: Path, root: Path) -> None:
    suite = (fixtures / "node" / "suite").read_text(encoding="utf-8").strip()
    commands.say(f"making a Debian root ({suite})")
    mirror = os.environ.get("WHALEFALL_MIRROR")
    commands.run(
        [
            "mmdebstrap",
            "--mode=root",
            "--variant=minbase",
            f"--include={','.join(building.words(fixtures / 'node' / 'packages'))}",
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


def _programs(commands: building.BuildCommands, fixtures: Path, go: str, work: Path) -> None:
    """Build fleetd, fleetctl and the apps that are Go modules into ``work/bin``.

    The sums of every module are checked against the go.sum beside it, which is not written to.
    """
    flags = ["-mod=readonly", "-trimpath", "-buildvcs=false"]
    apps = [(context, name) for context in contexts.contexts() if (name := contexts.program(context))]
    building.copied(fixtures / "fleet", work / "go" / "fleet")
    for context, _ in apps:
        building.copied(context, work / "go" / "images" / context.name, own=contexts.is_own(context))
    for program, package, source, link in (
        ("fleetd", "github.com/coreos/fleet", "fleet", f"-X github.com/coreos/fleet/version.Version={_FLEET_VERSION}"),
        ("fleetctl", "github.com/coreos/fleet/fleetctl", "fleet", f"-X github.com/coreos/fleet/version.Version={_FLEET_VERSION}"),
        *((f"images/{context.name}/{name}", ".", f"images/{context.name}", "-s -w") for context, name in apps),
    ):
        commands.say(f"building {program.removeprefix('images/')}")
        argv = [go, "build", *flags, f"-ldflags={link}", "-o", str(work / "bin" / program), package]
        try:
            commands.run(argv, cwd=work / "go" / source, env=_go_environment())
        except CommandFailed as error:
            if wrong := contexts.uncompiled(fixtures / source, error.err):
                raise BadInput(wrong) from error
            raise


def _assemble(commands: building.BuildCommands, fixtures: Path, work: Path, root: Path) -> None:
    laid = fixtures / "node" / "root"
    copies = {each: root / each.relative_to(laid) for each in building.ingredients(laid)}
    copies |= {work / "bin" / each: root / "usr/local/bin" / each for each in ("fleetd", "fleetctl")}
    images = app_files(work / "bin" / "images", root)
    copies |= images
    for link in contexts.links():
        commands.say(f"left out, for it is a link: {link}")
    for source, target in copies.items():
        building.folder_for(target, root)
        shutil.copyfile(source, target)
        # What is not part of the key, such as who may run it, must not differ.
        runs = target.parent.name in {"bin", "sbin"} or (source in images and target.name != contexts.RECIPE)
        target.chmod(0o755 if runs else 0o644)
    commands.run(["sh", str(fixtures / "node" / "finish"), str(root)])


def app_files(compiled: Path, root: Path) -> dict[Path, Path]:
    """Return the files of every folder of images, and the programs that were `compiled` of their sources, each with its place on a node."""
    there = root / "usr/share/whalefall/images"
    every = contexts.contexts()
    copied = {each: there / each.relative_to(contexts.folder()) for context in every for each in contexts.shipped(context)}
    made = {compiled / each.name / name: there / each.name / name for each in every if (name := contexts.program(each))}
    return {source: target for source, target in copied.items() if target not in made.values()} | made
