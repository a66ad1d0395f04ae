"""The box: the node image with a kernel of its own, for virtual machines.

Built from the node image and ``fixtures/box`` and kept in the cache as ``boxes/<key>``, a folder with a disk, a kernel, an initrd, and all of them as
one file for ``vagrant box add``. Appears whole or not at all, as an image does, and is built by commands that die with the harness.
"""

from __future__ import annotations

import io
import json
import os
import platform
import shutil
import subprocess
import tarfile
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from harness.core import pace
from harness.core.clock import SystemClock
from harness.core.errors import CommandFailed, HarnessError, Unsupported
from harness.host import building, files, image, private, shelves, state
from harness.host.processes import run_here

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from harness.core.clock import Clock
    from harness.core.values import Json
    from harness.host.shelves import Gone

RECIPE = 1
"""Raised by hand when this module builds something else from the same fixtures."""

NEEDED_BYTES = 4 * 1024**3
"""Free space asked for before a build: the root twice, the disk twice, 0.7 GB each, and room to go on living."""

DISK_GIB = 4
"""Size of the root disk as a machine sees it. It holds 0.7 GB; what nodes keep goes to a disk of its own."""

NAME = "whalefall"
"""What the box is called among Vagrant's boxes."""

PARTS = ("metadata.json", "Vagrantfile", "box.img", "vmlinuz", "initrd.img")
"""The files of a box, as Vagrant wants them."""

FILE = "whalefall.box"
"""The same as one file."""

_TOOLS = {
    "unshare": "apt-get install util-linux",
    "setpriv": "apt-get install util-linux",
    "mkfs.ext4": "apt-get install e2fsprogs",
    "qemu-img": "apt-get install qemu-utils",
}
_SEED_SECONDS = 60.0
# Read by no machine of ours, and each costs boot time or keeps an old kernel from mounting it.
_MKFS = ("-q", "-F", "-m", "0", "-L", "root", "-O", "^metadata_csum", "-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard")


@dataclass(frozen=True, slots=True)
class Box:
    """One box in the cache."""

    path: Path  # the folder; nothing in it is ever written to
    key: str  # 16 hex digits
    size: int  # bytes on disk, of all files
    built: float  # seconds since the epoch
    current: bool  # whether it is what today's fixtures would build

    @property
    def disk(self) -> Path:
        """The root disk, qcow2: what every machine's own disk lies on."""
        return self.path / "box.img"

    @property
    def kernel(self) -> Path:
        """The kernel, to be started directly."""
        return self.path / "vmlinuz"

    @property
    def initrd(self) -> Path:
        """The initrd that belongs to the kernel."""
        return self.path / "initrd.img"

    @property
    def file(self) -> Path:
        """All of it as one file, for ``vagrant box add``."""
        return self.path / FILE


@dataclass(frozen=True, slots=True)
class Seed:
    """Who one machine is. It reads this at every boot, before its sshd starts."""

    host_key: str = field(repr=False)  # private, ed25519, as OpenSSH writes it; sshd has no other
    authorized_keys: str  # of root, one a line
    hosts: str = "127.0.0.1 localhost\n::1 localhost\n"  # the whole of /etc/hosts


def key(layer: Path | None = None) -> str:
    """Return the key of the box that the files as they are now make on this machine, for the nodes of a mode with this layer: 16 hex digits.

    Prose (.md) is no part of it.
    """
    fixtures = files.fixtures()
    parts = [*building.ingredients(fixtures / "box"), fixtures / "layer" / "install"]
    return building.hashed(f"{RECIPE} {image.key(layer)}", fixtures, parts)


def find(layer: Path | None = None) -> Box | None:
    """Return the current box for the nodes of a mode if it is built."""
    found = _shelf([layer]).find()
    return None if found is None else found[0]


def boxes(modes: Iterable[Path | None] = (None,)) -> list[Box]:
    """Return every box in the cache, newest first; current are those for the nodes of these `modes`, by their layers."""
    return _shelf(modes).listed()


def users(box: Box) -> tuple[str, ...]:
    """Return who uses a box, in words: runs whose records name it, and processes that have its disk open. Empty: nobody does."""
    return _used(box.path)


def _used(folder: Path) -> tuple[str, ...]:
    """Return the same of a folder of the cache, whatever is in it."""
    there = os.path.realpath(folder)

    def names(record: Path) -> bool:
        # As it is without links: whoever wrote it may have come to the cache by one.
        return any(Path(os.path.realpath(each)).is_relative_to(there) for each in _texts(private.record(record)) if each.startswith("/"))

    return shelves.named_by_runs("*.json", names) or tuple(_opened(Path(there)))


def _texts(said: Json) -> Iterator[str]:
    """Yield every text in a record, however deep."""
    if isinstance(said, str):
        yield said
    elif isinstance(said, dict | list):
        for each in said.values() if isinstance(said, dict) else said:
            yield from _texts(each)


def ensure(progress: Callable[[str], None], clock: Clock | None = None, *, layer: Path | None = None) -> Box:
    """Return the current box for the nodes of a mode, built first where it is missing (half a minute on 2 cores beside the node image, 1.5 GB).

    `progress` is told in short lines what happens. A second process that asks at the same moment waits for the first and takes its box. Raises
    `Unsupported` where this machine cannot build, and `HarnessError` with the cause where a build failed; either way nothing half-made is left.
    """
    found = find(layer)
    if found is not None:
        return found
    _check_machine()
    time = clock or SystemClock()
    base = image.ensure(progress, time, layer=layer)
    shelf = _shelf([layer])
    name = key(layer)
    return shelf.ensure(name, lambda: _build(shelf, name, base, progress, time), NEEDED_BYTES, progress, time)


def prune(modes: Iterable[Path | None] = (None,), *, keep_current: bool = True, clock: Clock | None = None) -> list[Gone]:
    """Remove boxes that nobody uses, and what builds that were killed left behind. Return the boxes that are gone. For `modes` see `boxes`."""
    shelf = _shelf(modes)
    if not shelf.is_there():
        return []
    if os.geteuid() != 0:
        raise Unsupported("removing boxes needs root, who built them; run it with sudo")
    return shelf.prune(keep_current=keep_current, clock=clock or SystemClock())


def write_seed(path: Path, seed: Seed) -> None:
    """Write a machine's seed as a qcow2 disk, readable by its owner alone. The key is in no command's words.

    Raises `HarnessError` where it cannot be written, or where qemu-img is missing.
    """
    raw = path.with_name(f".{path.name}.raw")
    try:
        with os.fdopen(os.open(raw, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(_tar(seed))
        argv = ["qemu-img", "convert", "-f", "raw", "-O", "qcow2", str(raw), str(path)]
        done = run_here(argv, seconds=pace.limit(_SEED_SECONDS), umask=0o077)
    except (OSError, subprocess.TimeoutExpired) as e:
        raise HarnessError(f"the seed {path} was not written: {e}; it is made with qemu-img: apt-get install qemu-utils") from e
    finally:
        raw.unlink(missing_ok=True)
    if done.returncode != 0:
        raise CommandFailed("seed", argv, done.returncode, done.stderr)


def _tar(seed: Seed) -> bytes:
    """Return the seed as the machine lays it over its root: a plain tar, filled up to whole blocks of a disk."""
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, mode, text in (
            ("etc/ssh/ssh_host_ed25519_key", 0o600, seed.host_key),
            ("root/.ssh", 0o700, None),
            ("root/.ssh/authorized_keys", 0o600, seed.authorized_keys),
            ("etc/hosts", 0o644, seed.hosts),
        ):
            entry = tarfile.TarInfo(name)
            entry.mode = mode
            if text is None:
                entry.type = tarfile.DIRTYPE
                tar.addfile(entry)
                continue
            body = (text if text.endswith("\n") else f"{text}\n").encode()
            entry.size = len(body)
            tar.addfile(entry, io.BytesIO(body))
    body = held.getvalue()
    return body + bytes(-len(body) % 65536)


def _shelf(modes: Iterable[Path | None]) -> shelves.Shelf[Box]:
    wanted = [*modes]
    return shelves.Shelf(state.cache() / "boxes", "box", lambda: [*dict.fromkeys(key(layer) for layer in wanted)], _load, _used)


def _load(folder: Path, now: Collection[str]) -> Box | None:
    record = shelves.recorded(folder / "box.json")
    if record is None or not all((folder / each).is_file() for each in (*PARTS, FILE)):
        return None
    size, built = record
    return Box(path=folder, key=folder.name, size=size, built=built, current=folder.name in now)


def _opened(folder: Path) -> Iterator[str]:
    """Yield every process that has a file of this folder open: a machine holds the disk that its own lies on."""
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and any(link.startswith(f"{folder}/") for link in _links(process / "fd")):
            yield f"process {process.name}"


def _links(folder: Path) -> Iterator[str]:
    """Yield what the links of a folder lead to; those that go meanwhile are left out."""
    with suppress(OSError):  # the process ended
        for each in folder.iterdir():
            with suppress(OSError):  # the file was closed
                yield str(each.readlink())


def _check_machine() -> None:
    """Raise `Unsupported` for the first thing that this machine lacks."""
    if platform.machine() != "x86_64":
        raise Unsupported(f"the box is made for x86_64 alone (its kernel is linux-image-cloud-amd64); this machine is {platform.machine()}")
    building.check_tools("the box", _TOOLS, "./setup --vms")


def _build(shelf: shelves.Shelf[Box], name: str, base: image.Image, progress: Callable[[str], None], clock: Clock) -> None:
    recipe = files.fixtures() / "box"
    with shelf.attempt(name, progress) as (work, commands):
        started = clock.now()
        made = work / "box"
        made.mkdir()
        root = work / "root"
        commands.say(f"copying the node image {base.key}")
        commands.run(["sh", str(recipe / "copy"), shelves.lowerdir(base.paths), str(work / "seen"), str(root)])
        _lay(recipe / "root", root)
        commands.say("installing a kernel in the copy")
        commands.run(["sh", str(recipe / "install"), str(root)])
        commands.say("putting the box together")
        commands.run(["sh", str(recipe / "finish"), str(root), str(made)])
        raw = work / "root.raw"
        with raw.open("wb") as file:
            file.truncate(DISK_GIB * 1024**3)
        commands.run(["mkfs.ext4", *_MKFS, "-d", str(root), str(raw)])
        commands.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", str(raw), str(made / "box.img")])
        raw.unlink()
        metadata = {"provider": "libvirt", "format": "qcow2", "virtual_size": DISK_GIB}
        (made / "metadata.json").write_text(json.dumps(metadata) + "\n", encoding="utf-8")
        shutil.copyfile(recipe / "Vagrantfile", made / "Vagrantfile")
        commands.run(["tar", "--create", "--file", str(made / FILE), "--directory", str(made), *PARTS])
        size = shelves.size(made)
        record = {"size": size, "built": clock.wall(), "seconds": round(clock.now() - started, 1), "recipe": RECIPE, "image": base.key}
        (made / "box.json").write_text(json.dumps(record) + "\n", encoding="utf-8")
        for each in made.iterdir():
            each.chmod(0o444)
        commands.run(["sync", "-f", str(made)])
        shelf.put(made, name)


def _lay(laid: Path, root: Path) -> None:
    """Lay the recipe's files over the root, owned by root: programs executable, all else for everybody to read."""
    for source in sorted(each for each in laid.rglob("*") if each.is_file()):
        target = root / source.relative_to(laid)
        building.lay(source, target, root, runs=target.parent.name in {"bin", "sbin"})
