"""The box's cache and the machines' seeds, with the builder itself replaced: no root, no network."""

from __future__ import annotations

import io
import json
import os
import platform
import re
import shutil
import stat
import subprocess
import tarfile
from graphlib import TopologicalSorter
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.core.errors import CommandFailed, HarnessError, Unsupported
from harness.host import box, building, files, image, layers

ROOT = Path(__file__).parents[2]
RECIPE = files.fixtures() / "box"

pytestmark = pytest.mark.usefixtures("cache")


class Builder:
    """Stands in for every program of a build: makes the files that they would make, or fails at one of them."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.fails: str | None = None
        self.failure: Exception = CommandFailed("image", ["sh"], 100, "E: Unable to locate package linux-image-cloud-amd64")

    def run(self, argv: list[str], **_words: object) -> list[str]:
        """Do as the program would."""
        step = Path(argv[1]).name if argv[0] == "sh" else argv[0]
        self.ran.append(step)
        if step == self.fails:
            raise self.failure
        match step:
            case "copy":
                assert argv[2].count(":") - 1 == argv[2].count("\\:") == 2
                Path(argv[-1]).mkdir()
            case "finish":
                for name in ("vmlinuz", "initrd.img"):
                    (Path(argv[-1]) / name).write_text(name)
            case "qemu-img":
                Path(argv[-1]).write_text("disk")
            case "tar":
                Path(argv[argv.index("--file") + 1]).write_text("all")
            case _:
                pass
        return []


@pytest.fixture
def builder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Builder:
    """Replace every step that needs root or the network."""
    stand_in = Builder()
    base = image.Image((layers.Layer(tmp_path / "a:b" / "root", "0" * 16, 1, 1.0, current=True),) * 2)
    monkeypatch.setattr(box, "_check_machine", lambda: None)
    monkeypatch.setattr(image, "ensure", lambda *_, **__: base)
    monkeypatch.setattr(building.BuildCommands, "run", lambda _self, argv, **words: stand_in.run(argv, **words))
    return stand_in


def entries(cache: Path) -> set[str]:
    """Return the names in the boxes folder, locks and logs left out."""
    return {each.name for each in (cache / "boxes").iterdir() if not each.name.startswith(".lock") and each.suffix != ".log"}


def put(cache: Path, key: str, built: float = 1.0) -> box.Box:
    """Put a finished box into the cache."""
    folder = cache / "boxes" / key
    folder.mkdir(parents=True)
    for name in (*box.PARTS, box.FILE):
        (folder / name).touch()
    (folder / "box.json").write_text(json.dumps({"size": 5, "built": built}))
    return next(each for each in box.boxes() if each.key == key)


def test_the_key_follows_from_the_recipe_and_from_the_node_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any byte of either changes it; prose does not."""
    folder = tmp_path / "fixtures"
    shutil.copytree(RECIPE, folder / "box")
    shutil.copytree(files.fixtures() / "layer", folder / "layer")
    monkeypatch.setattr(files, "fixtures", lambda: folder)
    monkeypatch.setattr(image, "key", lambda layer: f"one {layer}")
    before = box.key()
    (folder / "box" / "README.md").write_text("other words")
    assert box.key() == before
    (folder / "box" / "packages").write_text("other-packages")
    changed = box.key()
    assert changed != before
    (folder / "layer" / "install").write_text("otherwise")
    otherwise = box.key()
    monkeypatch.setattr(image, "key", lambda layer: f"two {layer}")
    assert len({before, changed, otherwise, box.key(), box.key(Path("/acme/node"))}) == 5


def test_a_box_is_built_once_and_then_found(cache: Path, builder: Builder) -> None:
    """All its files are there, nobody can write to them, and the second ask builds nothing."""
    lines: list[str] = []
    made = box.ensure(lines.append)
    assert made.current
    assert made.key in lines[-1]
    for each in (made.disk, made.kernel, made.initrd, made.file):
        assert each.is_file()
        assert each.stat().st_mode & 0o777 == 0o444
    assert json.loads((made.path / "metadata.json").read_text()) == {"provider": "libvirt", "format": "qcow2", "virtual_size": 4}
    ran = list(builder.ran)
    assert box.ensure(lines.append) == made == box.find()
    assert builder.ran == ran
    assert entries(cache) == {made.key}


@pytest.mark.parametrize("step", ["copy", "install", "finish", "mkfs.ext4", "qemu-img", "tar", "sync"])
def test_a_build_that_fails_at_any_step_leaves_nothing(cache: Path, builder: Builder, step: str) -> None:
    """One clear line, no half box, and the next ask builds one."""
    builder.fails = step
    with pytest.raises(HarnessError, match=r"^the box was not built: the mirror has no package linux-image-cloud-amd64; .*\.log"):
        box.ensure(lambda _: None)
    assert entries(cache) == set()
    assert box.find() is None
    builder.fails = None
    assert box.ensure(lambda _: None).current


def test_a_full_disk_is_said_as_such(cache: Path, builder: Builder) -> None:
    """Whether a program says it or the system itself."""
    builder.fails = "qemu-img"
    for failure in (
        CommandFailed("image", ["qemu-img"], 1, "qemu-img: error while writing: No space left on device"),
        OSError(28, "No space left on device"),
    ):
        builder.failure = failure
        with pytest.raises(HarnessError, match="the disk is full; make room, or set WHALEFALL_CACHE"):
            box.ensure(lambda _: None)
        assert entries(cache) == set()


def test_too_little_space_is_said_before_anything_is_made(builder: Builder, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the figures."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2**30))
    with pytest.raises(HarnessError, match=r"1\.0 GiB free; a box needs 4 GiB"):
        box.ensure(lambda _: None)
    assert builder.ran == []


def test_a_box_that_lacks_a_file_is_none(cache: Path, builder: Builder) -> None:
    """It is put aside and built anew."""
    now = box.key()
    put(cache, now)
    (cache / "boxes" / now / "vmlinuz").unlink()
    assert box.find() is None
    with (
        (cache / "boxes" / now / "box.img").open("rb"),
        pytest.raises(HarnessError, match=f"is used by process {os.getpid()}"),
    ):  # as a machine has it
        box.ensure(lambda _: None)
    assert box.ensure(lambda _: None).kernel.read_text() == "vmlinuz"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda patch: patch.setattr(os, "geteuid", lambda: 1000), "needs root"),
        (lambda patch: patch.setattr(platform, "machine", lambda: "aarch64"), "x86_64 alone .* this machine is aarch64"),
        (lambda patch: patch.setattr(shutil, "which", lambda tool, **_: None if tool == "qemu-img" else tool), r"qemu-img.*\./setup --vms"),
    ],
)
def test_a_machine_that_cannot_build_is_told_why(monkeypatch: pytest.MonkeyPatch, change: object, words: str) -> None:
    """Before the node image is built for it."""
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(image, "ensure", lambda *_, **__: pytest.fail("the node image was asked for"))
    assert callable(change)
    change(monkeypatch)
    with pytest.raises(Unsupported, match=words):
        box.ensure(lambda _: None)


def test_prune_keeps_the_current_the_recorded_and_the_opened(cache: Path, tmp_path: Path) -> None:
    """What a run's record names stays, and so does what a machine has open; with `keep_current=False` the current one may go."""
    put(cache, box.key(), built=4.0)
    recorded, opened = put(cache, "1" * 16), put(cache, "2" * 16)
    put(cache, "3" * 16)
    run = tmp_path / "state" / "runs" / "run-1"
    run.mkdir(parents=True)
    (run / "cluster.json").write_text(json.dumps({"image": str(recorded.path)}))
    assert box.users(recorded) == ("run run-1",)
    with opened.disk.open("rb"):  # as a machine has it
        assert any(f"process {os.getpid()}" in each for each in box.users(opened))
        assert [each.key for each in box.prune()] == ["3" * 16]
    assert {each.key for each in box.prune(keep_current=False)} == {"2" * 16, box.key()}
    assert [each.key for each in box.boxes()] == [recorded.key]


def test_a_record_that_cannot_be_read_may_name_any_box(cache: Path, tmp_path: Path) -> None:
    """Could not ask is never no."""
    kept = put(cache, "4" * 16)
    (tmp_path / "state" / "runs" / "run-2" / "cluster.json").mkdir(parents=True)
    assert "run-2" in box.users(kept)[0]
    assert box.prune() == []


def test_boxes_are_listed_newest_first(cache: Path) -> None:
    """And what is being built is not among them."""
    assert box.boxes() == []
    put(cache, "0" * 16, built=1.0)
    put(cache, "1" * 16, built=2.0)
    (cache / "boxes" / ".build-now").mkdir()
    assert [each.key for each in box.boxes()] == ["1" * 16, "0" * 16]


def test_a_seed_is_a_plain_tar_that_fits_a_root(tmp_path: Path) -> None:
    """Each file where it belongs, for root alone where it is secret, and whole blocks of a disk."""
    body = box._tar(box.Seed("private", "ssh-ed25519 AAAA", "127.0.0.1 localhost\n10.77.0.11 n1\n"))
    assert len(body) % 65536 == 0
    with tarfile.open(fileobj=io.BytesIO(body)) as tar:
        found = {each.name: each for each in tar.getmembers()}
        assert {name: (each.mode, each.uid, each.gid) for name, each in found.items()} == {
            "etc/ssh/ssh_host_ed25519_key": (0o600, 0, 0),
            "root/.ssh": (0o700, 0, 0),
            "root/.ssh/authorized_keys": (0o600, 0, 0),
            "etc/hosts": (0o644, 0, 0),
        }
        key = tar.extractfile("etc/ssh/ssh_host_ed25519_key")
        assert key is not None
        assert key.read() == b"private\n"


def test_the_secret_of_a_seed_is_in_no_text() -> None:
    """Neither when it is printed, nor in a traceback that shows it."""
    assert "very private" not in repr(box.Seed("very private", "public"))


def test_a_seed_is_written_for_its_owner_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The raw file that it is made from is gone, also when qemu-img fails, and no word of it is in the command."""
    seen: list[list[str]] = []

    def convert(argv: list[str], **_words: object) -> SimpleNamespace:
        raw = Path(argv[-2])
        assert raw.stat().st_mode & 0o777 == 0o600
        assert b"very private" in raw.read_bytes()
        seen.append(argv)
        return SimpleNamespace(returncode=len(seen) - 1, stderr="qemu-img: oops")

    monkeypatch.setattr(box, "run_here", convert)
    seed = box.Seed("very private", "public")
    box.write_seed(tmp_path / "seed", seed)
    with pytest.raises(CommandFailed, match="oops") as caught:
        box.write_seed(tmp_path / "seed", seed)
    assert "very private" not in f"{caught.value} {seen}"
    assert list(tmp_path.glob(".*")) == []


def test_a_seed_without_qemu_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the package that has it."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HarnessError, match="apt-get install qemu-utils"):
        box.write_seed(tmp_path / "seed", box.Seed("a", "b"))


def test_the_recipe_is_whole() -> None:
    """What runs at boot agrees with the module: serials, kernel line, and no unit both masked and unmasked."""
    assert "linux-image-cloud-amd64" in building.words(RECIPE / "packages")
    masked, unmasked = building.words(RECIPE / "mask"), building.words(RECIPE / "unmask")
    assert set(masked).isdisjoint(unmasked)
    assert set(unmasked) <= set(building.words(files.fixtures() / "node" / "mask"))
    scripts = RECIPE / "root/usr/local/sbin"
    recipe, run = ((folder / "Vagrantfile").read_text() for folder in (RECIPE, ROOT / "vagrant"))
    serials = dict(re.findall(r'serial: "(whalefall-(\w+))"', run))
    assert set(serials.values()) == {"seed", "data"}
    assert f"!= {(seed := 'whalefall-seed')} ]" in (scripts / "whalefall-identity").read_text()
    assert f"!= {(data := 'whalefall-data')} ]" in (scripts / "whalefall-data").read_text()
    assert set(serials) == {seed, data}
    assert max(len(each) for each in serials) <= 20, "a guest sees no more"
    line = re.search(r'cmd_line = ("root=.*")', recipe)
    assert line, "with AppArmor off: without its tools Docker starts no container where it is on"
    assert "lsm=yama" in line[1]
    assert line[1] in run


def test_every_unit_that_is_enabled_or_named_is_there() -> None:
    """The last steps enable units of the recipe, or of Debian's systemd."""
    enabled = re.search(r"systemctl --quiet enable (.*)$", (RECIPE / "finish").read_text(), re.MULTILINE)
    assert enabled
    ours = {path.name for path in (RECIPE / "root/etc/systemd/system").glob("*.service")}
    assert ours == {"ssh.service", "whalefall-identity.service", "whalefall-data.service", "whalefall-processors.service"}
    assert set(enabled[1].split()) == ours | {"systemd-networkd.service"}


def test_no_unit_of_the_recipe_waits_in_a_circle() -> None:
    """Also where a mode's layer has a firewall, as ufw: after the local disks, and before the network. And a build looks whether any does."""
    later = {"network-pre.target": {"local-fs.target"}, "systemd-networkd.service": {"network-pre.target"}}
    for path in (RECIPE / "root/etc/systemd/system").glob("*.service"):
        for key, value in re.findall(r"^(After|Before)=(.*)$", path.read_text(), re.MULTILINE):
            for other in value.split():
                first, last = (other, path.name) if key == "After" else (path.name, other)
                later.setdefault(last, set()).add(first)
    TopologicalSorter(later).prepare()  # raises for a circle
    assert "systemd-analyze verify" in (RECIPE / "finish").read_text()


def test_a_key_that_was_let_in_stays_over_a_boot(tmp_path: Path) -> None:
    """The seed is laid over the root at every boot: what a mode has let in since the first one opens the machine after a power cut, too."""
    disk, cmdline, keys = tmp_path / "seed", tmp_path / "cmdline", tmp_path / "root/.ssh/authorized_keys"
    seed = box.Seed(host_key="PRIVATE\n", authorized_keys="ssh-ed25519 AAAA run\n")
    disk.write_bytes(box._tar(seed))
    cmdline.write_text("quiet\n")
    script = (RECIPE / "root/usr/local/sbin/whalefall-identity").read_text()
    for old, new in (("seed=\n", f"seed={disk}\n"), ("/sys/block/vd*", ""), ("~root", f"{tmp_path}/root"), ("-C /\n", f"-C {tmp_path}\n")):
        assert old in script
        script = script.replace(old, new)
    for added in ("", "ssh-ed25519 BBBB mode\n", ""):
        if added:
            with keys.open("a") as file:
                file.write(added)
        subprocess.run(["sh", "-c", script.replace("/proc/cmdline", str(cmdline))], check=True)
    assert keys.read_text() == "ssh-ed25519 AAAA run\nssh-ed25519 BBBB mode\n"
    assert stat.S_IMODE(keys.stat().st_mode) == 0o600


def test_no_key_of_anybody_is_in_the_recipe() -> None:
    """Neither a host's nor a user's, and no password."""
    for path in [*RECIPE.rglob("*"), ROOT / "vagrant" / "Vagrantfile", ROOT / "vagrant" / "provision.sh"]:
        if path.is_file():
            assert not re.search(r"AAAA[BC]3Nza|PRIVATE KEY|ssh-rsa", path.read_text()), path
