"""Docker archives, which may come from anywhere: what is in a good one, and what keeps any other from being used, within bounds."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from harness.core import stops
from harness.core.errors import BadInput
from harness.host import archives
from tests.unit.archiving import Member, config, digest, image, layer, manifest, packed, write


def refused(path: Path) -> str:
    """Return what a look at an archive is refused with: one line."""
    with pytest.raises(BadInput) as caught:
        archives.look(path)
    (problem,) = caught.value.problems
    assert problem.file == str(path)
    assert problem.expected
    return problem.found


def rewritten(path: Path, target: Path) -> dict[str, bytes]:
    """Return the members of what an archive is written anew as."""
    archives.rewrite(path, target, "whalefall/web:1", archives.look(path).id)
    with tarfile.open(target) as tar:
        return {each.name: b"" if (data := tar.extractfile(each)) is None else data.read() for each in tar}


def test_a_good_archive_is_told_and_written_anew_with_nothing_else_in_it(tmp_path: Path) -> None:
    """Its id is the hash of its configuration. What else lies in there, names included, goes nowhere."""
    below, above = layer("etc/below", b"x"), layer("web", b"y" * 5000)
    path = write(tmp_path / "app.tar", [("repositories", b"{}"), *image({"one.tar": below, "two/layer.tar": above}, ("a/web:1", "web:2"))])
    found = archives.look(path)
    assert found.tags == ("a/web:1", "web:2")
    assert found.id == hashlib.sha256(config([below, above])).hexdigest()
    assert found.size == len(below) + len(above)
    made = rewritten(path, tmp_path / "made.tar")
    (entry,) = json.loads(made.pop("manifest.json"))
    assert entry["RepoTags"] == ["whalefall/web:1"]
    assert made[entry["Config"]] == config([below, above])
    assert [made[each] for each in entry["Layers"]] == [below, above]
    assert len(made) == 3


def test_a_layer_that_an_image_has_twice_may_be_a_link_to_itself_in_the_archive(tmp_path: Path) -> None:
    """Docker writes it so."""
    body = layer("empty")
    link = tarfile.TarInfo("two/layer.tar")
    link.type, link.linkname = tarfile.SYMTYPE, "../one/layer.tar"
    members: list[Member] = [
        ("config.json", config([body, body])),
        ("one/layer.tar", body),
        link,
        ("manifest.json", manifest(["one/layer.tar", "two/layer.tar"])),
    ]
    made = rewritten(write(tmp_path / "app.tar", members), tmp_path / "made.tar")
    (entry,) = json.loads(made["manifest.json"])
    assert entry["Layers"] == [f"{digest(body)[7:]}.tar"] * 2


def test_a_packed_layer_is_checked_by_what_it_unpacks_to(tmp_path: Path) -> None:
    """Also one of several pieces."""
    body = layer("web", bytes(range(256)) * 5000)
    zipped = gzip.compress(body[:1000]) + gzip.compress(body[1000:])
    good = [("config.json", config([body])), ("one.tar", zipped), ("manifest.json", manifest(["one.tar"]))]
    made = rewritten(write(tmp_path / "app.tar", good), tmp_path / "made.tar")
    assert made[f"{digest(body)[7:]}.tar"] == zipped


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (layer("web", b"another program"), "which is not what the image says"),
        (gzip.compress(layer("web", b"another program"), mtime=0), "which is not what the image says"),
        (gzip.compress(layer("web", b"a program"), mtime=0)[:-12], "which ends in its middle"),
        (b"\x1f\x8b" + b"nothing packed" * 50, "is damaged"),
        (b"\x28\xb5\x2f\xfd" + b"\0" * 600, "packed with zstd"),
    ],
)
def test_a_layer_that_is_not_what_its_image_says_is_refused(tmp_path: Path, body: bytes, said: str) -> None:
    """By its hash, before any node sees it."""
    members: list[Member] = [
        ("config.json", config([layer("web", b"a program")])),
        ("one.tar", body),
        ("manifest.json", manifest(["one.tar"])),
    ]
    path = write(tmp_path / "app.tar", members)
    with pytest.raises(BadInput, match=said):
        archives.rewrite(path, tmp_path / "made.tar", "whalefall/web:1", archives.look(path).id)


def test_layers_that_unpack_to_more_than_a_node_has_room_for_are_given_up_in_their_middle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However small they are in the file, and all together."""
    monkeypatch.setattr(archives, "MOST_BYTES", 1 << 20)
    one, two = layer("one", bytes(700_000)), layer("two", bytes(700_000))
    for layers in ({"a": one, "b": two}, {"a": layer("big", bytes(60_000_000))}):
        zipped = [(name, gzip.compress(body)) for name, body in layers.items()]
        members: list[Member] = [("config.json", config([*layers.values()])), *zipped, ("manifest.json", manifest([*layers]))]
        path = write(tmp_path / "app.tar", members)
        with pytest.raises(BadInput, match="unpack to too much"):
            archives.rewrite(path, tmp_path / "made.tar", "whalefall/web:1", archives.look(path).id)


def test_layers_of_more_pieces_than_any_tool_makes_are_given_up_in_their_middle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All together; pieces with nothing in them, which take time and no room, count."""
    monkeypatch.setattr(archives, "MOST_PACKED", 10)
    one, two = layer("one"), layer("two")
    for more, fine in ((8, True), (9, False)):
        zipped = [("a", gzip.compress(one) + gzip.compress(b"") * more), ("b", gzip.compress(two))]
        members: list[Member] = [("config.json", config([one, two])), *zipped, ("manifest.json", manifest(["a", "b"]))]
        path = write(tmp_path / "app.tar", members)
        if fine:
            archives.rewrite(path, tmp_path / "made.tar", "whalefall/web:1", "")
        else:
            with pytest.raises(BadInput, match="packed in too many pieces"):
                archives.rewrite(path, tmp_path / "again.tar", "whalefall/web:1", "")


def test_a_stop_is_heard_while_layers_are_read(tmp_path: Path) -> None:
    """They may have a thousand million bytes, and the disk may be slow."""
    path = write(tmp_path / "app.tar")
    with stops.listening(lambda: stops.Stopped("stop")), pytest.raises(stops.Stopped):
        archives.rewrite(path, tmp_path / "made.tar", "whalefall/web:1", "")


def test_an_archive_that_was_changed_since_it_was_looked_at_is_refused(tmp_path: Path) -> None:
    """What the plan told is what nodes get."""
    path = write(tmp_path / "app.tar")
    before = archives.look(path).id
    write(path, image({"one.tar": layer("web", b"a later one")}))
    with pytest.raises(BadInput, match="another image than a moment ago"):
        archives.rewrite(path, tmp_path / "made.tar", "whalefall/web:1", before)


WRONG: dict[str, tuple[Sequence[Member], str]] = {
    "no manifest": ([("config.json", b"{}")], "without manifest.json"),
    "two manifests": ([*image(), ("./manifest.json", b"[]")], "without manifest.json, or with two"),
    "no JSON": ([("manifest.json", b"{")], "is not JSON"),
    "deep JSON": ([("manifest.json", b"[" * 100_000)], "is not JSON"),
    "no list": ([("manifest.json", b"{}")], "that lists no image"),
    "empty list": ([("manifest.json", b"[]")], "that lists no image"),
    "a list of texts": ([("manifest.json", b'["web"]')], "that lists no image"),
    "two images": ([("manifest.json", b'[{"RepoTags": ["a:1"]}, {"RepoTags": ["b:2"]}]')], "2 images: a:1, b:2"),
    "no Config": ([("manifest.json", b'[{"Layers": []}]')], "without Config and Layers"),
    "Layers of numbers": ([("manifest.json", b'[{"Config": "c", "Layers": [1]}]')], "without Config and Layers"),
    "a strange tag": (image(tags=["\x1b[2J"]), "names of the image that nobody could have given it"),
    "tags that are no list": ([("manifest.json", b'[{"RepoTags": "web", "Config": "c", "Layers": []}]')], "names of the image"),
    "no configuration": ([("manifest.json", manifest(["one.tar"]))], "no file 'config.json' in it"),
    "an empty configuration": ([("config.json", b"[]"), ("manifest.json", manifest([]))], "without a configuration"),
    "no layers": (image({}), "0 layers"),
    "too many layers": (image({f"{each}.tar": b"" for each in range(128)}), "128 layers"),
    "another processor": (image(architecture="s390x"), "an image for linux/s390x"),
    "another system": (image(os="windows"), "an image for windows/"),
    "hashes of another kind": (image(rootfs={"diff_ids": ["md5:1"]}), "layers without a hash each"),
    "hashes that are none": (image(rootfs={"diff_ids": 7}), "layers without a hash each"),
    "more hashes than layers": (image(rootfs={"diff_ids": [digest(b"")] * 2}), "1 layers, of an image that has 2"),
    "a layer that is not there": ([*image()[:1], *image()[2:]], "no file 'one.tar' in it"),
    "a layer twice": ([*image(), ("one.tar", b"")], "no file 'one.tar' in it, or two"),
}


@pytest.mark.parametrize("name", WRONG)
def test_an_archive_that_is_none_is_refused_with_the_reason(tmp_path: Path, name: str) -> None:
    """In one line, and nothing else happens."""
    members, said = WRONG[name]
    found = refused(write(tmp_path / "app.tar", members))
    assert said in found
    assert found.isprintable()


def _link(kind: bytes, to: str) -> tarfile.TarInfo:
    made = tarfile.TarInfo("one.tar")
    made.type, made.linkname = kind, to
    return made


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE])
@pytest.mark.parametrize("to", ["/etc/passwd", "../../../../etc/passwd", "one.tar", ""])
def test_no_link_of_an_archive_leads_out_of_it_and_no_member_is_more_than_a_file(tmp_path: Path, kind: bytes, to: str) -> None:
    """Nothing of it is unpacked, and what a link leads to is looked for among its members."""
    members: list[Member] = [each for each in image() if isinstance(each, tarfile.TarInfo) or each[0] != "one.tar"]
    assert "no file 'one.tar' in it" in refused(write(tmp_path / "app.tar", [*members, _link(kind, to)]))


def _claiming(name: str, size: int) -> bytes:
    """Return the header of a member that says it is so large, and nothing behind it."""
    made = tarfile.TarInfo(name)
    made.size = size
    return made.tobuf(tarfile.GNU_FORMAT)


def _extended(kind: bytes, body: bytes) -> bytes:
    made = tarfile.TarInfo("x")
    made.type, made.size = kind, len(body)
    return made.tobuf(tarfile.GNU_FORMAT) + body + bytes(-len(body) % 512)


HOSTILE: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "noise": lambda: os.urandom(4096),
    "text": lambda: b"FROM scratch\n" * 100,
    "zeros": lambda: bytes(1 << 20),
    "cut in its middle": lambda: packed(image())[:3000],
    "a negative size": lambda: _claiming("manifest.json", -512) * 4,
    "a size of exabytes": lambda: _claiming("manifest.json", 1 << 60),
    "a member larger than the file": lambda: _claiming("one.tar", 1 << 29),
    "a name of megabytes": lambda: _extended(tarfile.GNUTYPE_LONGNAME, b"a" * (3 << 20)),
    "a header of megabytes": lambda: _extended(tarfile.XHDTYPE, b"1" * (3 << 20)),
    "headers of headers": lambda: _extended(tarfile.GNUTYPE_LONGNAME, b"a") * 3000,
    "headers for all": lambda: _extended(tarfile.XGLTYPE, b"30 comment=aaaaaaaaaaaaaaaaaaaaa\n") * 20_000,
    "thousands of members": lambda: _claiming("a", 0) * (archives.MOST_MEMBERS + 1),
    "a sparse file of nothing": lambda: b"".join([_sparse(), *[bytes(504) + b"\x01" + bytes(7)] * 20_000]),
}


def _sparse() -> bytes:
    made = bytearray(_claiming("one.tar", 0))
    made[156:157] = tarfile.GNUTYPE_SPARSE
    made[482:483] = b"\x01"  # more of it follows
    made[148:156] = b" " * 8
    made[148:156] = b"%06o\0 " % sum(made)
    return bytes(made)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_file_that_means_harm_is_refused_within_bounds(tmp_path: Path, name: str) -> None:
    """It takes no more memory or time than a good one, and is told in a line."""
    path = tmp_path / "app.tar"
    path.write_bytes(HOSTILE[name]())
    assert refused(path).isprintable()


@pytest.mark.parametrize(("start", "what"), [(b"\x1f\x8b\x08", "gzip"), (b"\x28\xb5\x2f\xfd", "zstd"), (b"\xfd7zXZ\0", "xz")])
def test_an_archive_that_is_packed_is_told_what_with(tmp_path: Path, start: bytes, what: str) -> None:
    """It would be handed to nodes as it is."""
    path = tmp_path / "app.tar"
    path.write_bytes(start + bytes(1000))
    assert f"packed with {what}" in refused(path)


def test_an_oci_archive_is_told_what_makes_a_docker_archive_of_it(tmp_path: Path) -> None:
    """There is a tool for that."""
    path = write(tmp_path / "app.tar", [("oci-layout", b"{}"), ("index.json", b"{}")])
    with pytest.raises(BadInput, match="oci-archive:FILE"):
        archives.look(path)


def test_only_an_ordinary_file_is_read(tmp_path: Path) -> None:
    """No link, device, pipe or folder, and none of more bytes than a node has room for."""
    good = write(tmp_path / "app.tar")
    (tmp_path / "a-link").symlink_to(good)
    (tmp_path / "a-folder").mkdir()
    os.mkfifo(tmp_path / "a-pipe")
    (tmp_path / "too-large").touch()
    os.truncate(tmp_path / "too-large", archives.MOST_BYTES + 1)
    for name in ("a link", "a folder", "a pipe", "no such file", "too large"):
        assert name in refused(tmp_path / name.replace(" ", "-"))
    assert "no such file" in refused(tmp_path / "nowhere" / "app.tar")


def test_headers_are_read_within_bounds_also_where_they_lie_behind_good_ones(tmp_path: Path) -> None:
    """What comes last is looked at as what comes first."""
    body = io.BytesIO(packed(image())[:-10240].rstrip(b"\0"))
    whole = body.getvalue()
    path = tmp_path / "app.tar"
    path.write_bytes(whole + bytes(-len(whole) % 512) + _extended(tarfile.XHDTYPE, b"1" * (1 << 20)))
    assert refused(path).isprintable()
