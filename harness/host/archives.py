"""Docker archives, as ``docker save`` and skopeo write them: looked into, and written anew with nothing in them but one image under a name of ours.

An archive may come from anywhere. So it is read member by member within limits, nothing of it is unpacked to a disk, and what it says of itself is
checked: the image's id is the hash of its configuration, which has the hash of each layer.
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import posixpath
import re
import tarfile
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NoReturn, cast

from harness.core import stops
from harness.core.errors import BadInput, Problem
from harness.host import origins, private, untrusted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from typing import IO, BinaryIO

    from harness.core.values import Json

MOST_BYTES: Final = 1 << 30
"""Bytes of an archive, and of all layers unpacked, at most: a node's disk has 4 GiB, and Docker has an image twice there while it loads it."""
MOST_MEMBERS: Final = 2000
MOST_TEXT: Final = 4 << 20
"""Bytes of a manifest, or of a configuration, at most; the same bounds each piece that is in memory."""
MOST_LAYERS: Final = 127
"""Layers that Docker stacks at most."""
MOST_TAGS: Final = 20
MOST_PACKED: Final = 200_000
"""Pieces that gzip packed by itself, in all layers together: some tools pack each file so. So many take a second, also empty ones."""
EXPECTED: Final = "a docker archive with one image: `docker save NAME >FILE.tar`, or `skopeo copy … docker-archive:FILE.tar:NAME`"

_MANIFEST = "manifest.json"
_ID = re.compile(r"sha256:([0-9a-f]{64})")
_TAG = re.compile(origins.CALLED)
_MOST_LINKS = 4
_LONGEST_HEADER, _MOST_HEADERS = 2048, 4 << 20  # bytes: of a member's name and what else is said of it, and of all of that
_GZIP = 31  # what zlib calls gzip, with the largest window
_PIECE, _SIP = 1 << 18, 1 << 13
_ZIPPED = b"\x1f\x8b"
_PACKED = {_ZIPPED: "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"\xfd7zXZ": "xz", b"BZh": "bzip2"}
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
"""How images name this machine's processor."""


@dataclass(frozen=True, slots=True)
class Archive:
    """What is in a docker archive: one image."""

    id: str  # 64 hex digits: of the image, as Docker has it
    tags: tuple[str, ...]  # what it is called in there; perhaps nothing
    size: int  # bytes of its layers as they lie there
    config: bytes
    layers: tuple[tuple[str, str], ...]  # the lowest first: the member, and the hash of what it unpacks to


def architecture() -> str:
    """Return this machine's processor, as images name it."""
    return _MACHINES.get(platform.machine(), platform.machine())


def look(path: Path) -> Archive:
    """Return what is in a file that somebody may have made. Reads no layer: takes moments. Raises `BadInput`."""
    with _opened(path) as (tar, members):
        return _archive(path, tar, members)


def rewrite(path: Path, target: Path, name: str, wanted: str) -> Archive:
    """Write an archive with the one image of another one, under this name and no other. All layers are checked.

    Raises `BadInput`, also where its id is not the `wanted` one (empty: any will do), and `OSError` where it cannot be written.
    """
    with (
        _opened(path) as (tar, members),
        private.opened(target, "wb") as file,
        tarfile.TarFile(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT, copybufsize=_PIECE) as out,
    ):
        found = _archive(path, tar, members)
        if wanted and found.id != wanted:
            _refuse(path, f"another image than a moment ago: sha256:{found.id}", f"sha256:{wanted}")
        _put(out, f"{found.id}.json", found.config)
        left, packed = MOST_BYTES, MOST_PACKED
        for member, digest in _once(found.layers):
            layer = _Layer(path, member, _data(tar, members[member]), left, packed)
            info = tarfile.TarInfo(f"{digest}.tar")
            info.size = members[member].size
            out.addfile(info, cast("IO[bytes]", layer))
            if (really := layer.digest()) != digest:
                _refuse(path, f"the layer {_called(member)}, which is not what the image says: sha256:{really}", f"sha256:{digest}")
            left -= layer.unpacked
            packed -= layer.packed
        manifest = [{"Config": f"{found.id}.json", "RepoTags": [name], "Layers": [f"{digest}.tar" for _, digest in found.layers]}]
        _put(out, _MANIFEST, json.dumps(manifest).encode())
    return found


def _once(layers: tuple[tuple[str, str], ...]) -> Iterator[tuple[str, str]]:
    """Yield each layer once: an image may have one several times, as it does of empty ones."""
    seen: set[str] = set()
    for member, digest in layers:
        if digest not in seen:
            seen.add(digest)
            yield member, digest


def _put(out: tarfile.TarFile, name: str, body: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(body)
    out.addfile(info, io.BytesIO(body))


def _data(tar: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    data = tar.extractfile(member)
    if data is None:
        raise tarfile.ReadError(f"{_called(member.name)} has no content")
    return data


def _refuse(path: Path, found: str, expected: str = EXPECTED, hint: str = "") -> NoReturn:
    raise BadInput([Problem(str(path), 0, 0, found, expected, hint)])


class _Sips:
    """A file that is read in pieces: tarfile would hold a header as long as the file says that it is, and look for something in it for hours."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._longest, self._left = _LONGEST_HEADER, _MOST_HEADERS
        self.seek = file.seek
        self.tell = file.tell

    def listed(self) -> None:
        """Note that all headers are read: what comes now is content."""
        self._longest, self._left = MOST_TEXT, MOST_BYTES * 2

    def read(self, size: int = -1) -> bytes:
        """Read so many bytes. Raises `ReadError` for more than anybody needs."""
        self._left -= size
        if not 0 <= size <= self._longest or self._left < 0:
            raise tarfile.ReadError("its headers are too long")
        return self._file.read(size)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[tarfile.TarFile, Mapping[str, tarfile.TarInfo]]]:
    """Lend a file as an archive, with its members by their names. What is wrong with it, also while it is read, is `BadInput`."""
    with untrusted.itself(path, MOST_BYTES, EXPECTED) as file:
        start = file.read(6)
        file.seek(0)
        for mark, what in _PACKED.items():
            if start.startswith(mark):
                _refuse(path, f"an archive that is packed with {what}", EXPECTED, "unpack it first: nodes are handed it as it is")
        try:
            sips = _Sips(file)
            with tarfile.open(fileobj=cast("IO[bytes]", sips), mode="r:") as tar:
                members = _members(path, tar)
                sips.listed()
                yield tar, members
        except (tarfile.TarError, EOFError, ValueError, ArithmeticError, LookupError, RecursionError, zlib.error) as error:
            _refuse(path, f"what is no docker archive, or is damaged ({error or type(error).__name__})")


def _members(path: Path, tar: tarfile.TarFile) -> Mapping[str, tarfile.TarInfo]:
    found: dict[str, tarfile.TarInfo] = {}
    twice: set[str] = set()
    for number, member in enumerate(tar):
        if number >= MOST_MEMBERS:
            _refuse(path, f"more than {MOST_MEMBERS} members")
        if not 0 <= member.size <= MOST_BYTES:
            _refuse(path, f"{_called(member.name)} with {member.size} bytes", f"{MOST_BYTES >> 20} MiB at most")
        name = posixpath.normpath(member.name)
        if name in found and not member.isdir():
            twice.add(name)
        found[name] = member
    for name in twice:  # which of them counts hangs on who reads it
        del found[name]
    return found


def _archive(path: Path, tar: tarfile.TarFile, members: Mapping[str, tarfile.TarInfo]) -> Archive:
    entry = _entry(path, tar, members)
    tags, layers, config = _texts(entry.get("RepoTags") or []), _texts(entry.get("Layers")), entry.get("Config")
    if tags is None or len(tags) > MOST_TAGS or not all(map(_TAG.fullmatch, tags)):
        _refuse(path, "names of the image that nobody could have given it", "RepoTags as Docker writes them")
    if not isinstance(config, str) or layers is None:
        _refuse(path, f"a {_MANIFEST} without Config and Layers")
    body = _text(path, tar, members, config)
    hashes = _hashes(path, body)
    if len(hashes) != len(layers):
        _refuse(path, f"{len(layers)} layers, of an image that has {len(hashes)}")
    if not 0 < len(layers) <= MOST_LAYERS:
        _refuse(path, f"{len(layers)} layers", f"1 to {MOST_LAYERS}, which is what Docker stacks")
    where = [_file(path, members, each) for each in layers]
    size = sum(members[each].size for each in {*where})
    return Archive(hashlib.sha256(body).hexdigest(), tuple(tags), size, body, tuple(zip(where, hashes, strict=True)))


def _texts(said: Json) -> list[str] | None:
    """Return a list of texts; None for anything else."""
    found = [each for each in said if isinstance(each, str)] if isinstance(said, list) else []
    return found if isinstance(said, list) and len(found) == len(said) else None


def _entry(path: Path, tar: tarfile.TarFile, members: Mapping[str, tarfile.TarInfo]) -> Mapping[str, Json]:
    """Return what the archive says of its one image."""
    if _MANIFEST not in members:
        hint = "this is an OCI archive: `skopeo copy oci-archive:FILE docker-archive:…` makes one" if "oci-layout" in members else ""
        _refuse(path, f"an archive without {_MANIFEST}, or with two", EXPECTED, hint)
    body = _json(path, _text(path, tar, members, _MANIFEST), _MANIFEST)
    if not isinstance(body, list) or not body or not all(isinstance(each, dict) for each in body):
        _refuse(path, f"a {_MANIFEST} that lists no image")
    every = cast("list[dict[str, Json]]", body)
    if len(every) > 1:
        names = [str(tag) for each in every if isinstance(tags := each.get("RepoTags"), list) for tag in tags[:1]]
        _refuse(
            path, f"{len(every)} images: {', '.join(names[:MOST_TAGS]) or 'none of them with a name'}", EXPECTED, "save one of them alone"
        )
    return every[0]


def _hashes(path: Path, body: bytes) -> tuple[str, ...]:
    """Return the hash of each layer that an image's configuration names. Raises `BadInput`, also for an image of other machines."""
    config = _json(path, body, "the image's configuration")
    layers = config.get("rootfs") if isinstance(config, dict) else None
    if not isinstance(config, dict) or not isinstance(layers, dict):
        _refuse(path, "an image without a configuration, or without layers")
    system, of = config.get("os"), config.get("architecture")
    if (system, of) != ("linux", architecture()):
        _refuse(path, f"an image for {_short(system)}/{_short(of)}", f"one for linux/{architecture()}: nodes are machines like this one")
    named = layers.get("diff_ids")
    found = [_ID.fullmatch(each) if isinstance(each, str) else None for each in named] if isinstance(named, list) else []
    if not isinstance(named, list) or None in found:
        _refuse(path, "layers without a hash each", "rootfs.diff_ids as Docker writes them")
    return tuple(each[1] for each in found if each is not None)


def _short(said: Json) -> str:
    return said[:40] if isinstance(said, str) else type(said).__name__


def _json(path: Path, body: bytes, what: str) -> Json:
    try:
        return untrusted.loads(body)
    except (ValueError, RecursionError) as error:
        _refuse(path, f"{what}, which is not JSON ({error})")


def _file(path: Path, members: Mapping[str, tarfile.TarInfo], name: str) -> str:
    """Return the member that has the content of another one: Docker writes a layer that it has written before as a link to that."""
    plain = posixpath.normpath(name)
    for _ in range(_MOST_LINKS):
        member = members.get(plain)
        if member is not None and member.issym():
            plain = posixpath.normpath(posixpath.join(posixpath.dirname(plain), member.linkname))
        elif member is not None and member.islnk():
            plain = posixpath.normpath(member.linkname)
        else:
            break
    if plain not in members or not members[plain].isreg():
        _refuse(path, f"no file {_called(name)} in it, or two, though its {_MANIFEST} names it")
    return plain


def _called(name: str) -> str:
    return repr(name[:80])


def _text(path: Path, tar: tarfile.TarFile, members: Mapping[str, tarfile.TarInfo], name: str) -> bytes:
    member = members[_file(path, members, name)]
    if member.size > MOST_TEXT:
        _refuse(path, f"{_called(name)} with {member.size} bytes", f"{MOST_TEXT} at most")
    return _data(tar, member).read(MOST_TEXT)


class _Layer:
    """A layer while it is copied: as it lies there, with the hash of what it unpacks to."""

    def __init__(self, path: Path, name: str, data: IO[bytes], most: int, most_packed: int) -> None:
        self._path, self._name, self._data, self._most, self._most_packed = path, name, data, most, most_packed
        self._hash = hashlib.sha256()
        self._unzip: Any = None
        self._begun = False
        self.unpacked = self.packed = 0

    def digest(self) -> str:
        """Return the hash of all that was read so far, unpacked: 64 hex digits. Raises `BadInput` where something packed has no end."""
        if self._unzip is not None and not self._unzip.eof:
            _refuse(self._path, f"the layer {_called(self._name)}, which ends in its middle")
        return self._hash.hexdigest()

    def read(self, size: int) -> bytes:
        """Read the next bytes as they lie there. Raises `BadInput` for what unpacks to more than there is room for, or in too many pieces."""
        stops.go_on()
        piece = self._data.read(size)
        if not self._begun:
            self._begun = True
            packed = next((what for mark, what in _PACKED.items() if piece.startswith(mark)), "")
            if packed == "gzip":
                self._another()
            elif packed:
                _refuse(
                    self._path,
                    f"the layer {_called(self._name)}, packed with {packed}",
                    "what Docker 20.10 unpacks: gzip, or nothing packed",
                )
        for start in range(0, len(piece), _SIP):  # of what is not used yet, zlib makes a copy for each end that it meets
            self._take(piece[start : start + _SIP])
        return piece

    def _take(self, piece: bytes) -> None:
        if self._unzip is None:
            self._add(piece)
            return
        more = bool(piece)
        while more:
            if self._unzip.eof:  # several of them behind each other are one
                self._another()
            plain = self._unzip.decompress(piece, _PIECE)
            self._add(plain)
            piece = self._unzip.unused_data if self._unzip.eof else self._unzip.unconsumed_tail
            more = bool(piece) or (len(plain) == _PIECE and not self._unzip.eof)

    def _another(self) -> None:
        """Begin with a piece that was packed by itself."""
        self.packed += 1
        if self.packed > self._most_packed:
            _refuse(self._path, f"the layer {_called(self._name)}, packed in too many pieces", f"{MOST_PACKED} at most, all together")
        self._unzip = zlib.decompressobj(wbits=_GZIP)

    def _add(self, plain: bytes) -> None:
        self.unpacked += len(plain)
        if self.unpacked > self._most:
            _refuse(self._path, "layers that unpack to too much", f"{MOST_BYTES >> 20} MiB at most, all together")
        self._hash.update(plain)
