"""Docker archives for tests: good ones, and such as nobody's Docker would write."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.host.archives import architecture

Member = tuple[str, bytes] | tarfile.TarInfo


def packed(members: Sequence[Member]) -> bytes:
    """Return a tar of members: (name, content), or a header without one."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:") as tar:
        for each in members:
            if isinstance(each, tarfile.TarInfo):
                tar.addfile(each)
                continue
            info = tarfile.TarInfo(each[0])
            info.size = len(each[1])
            tar.addfile(info, io.BytesIO(each[1]))
    return made.getvalue()


def layer(name: str, body: bytes = b"") -> bytes:
    """Return a layer with one file."""
    return packed([(name, body)])


def program_layer(name: str, body: bytes) -> bytes:
    """Return a layer with one program."""
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(body), 0o755
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:") as tar:
        tar.addfile(info, io.BytesIO(body))
    return made.getvalue()


def digest(body: bytes) -> str:
    """Return a hash as Docker writes it."""
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


def config(layers: Sequence[bytes], **more: Any) -> bytes:
    """Return an image's configuration; `layers` as they are unpacked."""
    body = {"architecture": architecture(), "os": "linux", "config": {"Entrypoint": ["/web"]}}
    layered = {"rootfs": {"type": "layers", "diff_ids": [digest(each) for each in layers]}}
    return json.dumps({**body, **layered, **more}).encode()


def manifest(layers: Sequence[str], tags: Sequence[str] | None = ("web:1",), **more: Any) -> bytes:
    """Return what an archive says of its one image."""
    return json.dumps([{"Config": "config.json", "RepoTags": tags and list(tags), "Layers": list(layers), **more}]).encode()


def image(layers: Mapping[str, bytes] | None = None, tags: Sequence[str] | None = ("web:1",), **more: Any) -> list[Member]:
    """Return the members of a good archive, by its layers; `more` is for its configuration."""
    found = {"one.tar": layer("web", b"a program")} if layers is None else layers
    return [("config.json", config([*found.values()], **more)), *found.items(), ("manifest.json", manifest([*found], tags))]


def write(path: Path, members: Sequence[Member] | None = None) -> Path:
    """Write an archive, a good one where nothing else is said."""
    path.write_bytes(packed(image() if members is None else members))
    return path
