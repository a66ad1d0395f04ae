"""What `whalefall doctor` makes of a machine."""

from __future__ import annotations

import io
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from harness import registry
from harness.cli import doctor
from harness.core.errors import Unsupported
from harness.faults import FAULTS
from harness.host import box, contexts, image, layers
from harness.providers.nspawn.capacity import Limit
from harness.providers.vagrant import hypervisor

if TYPE_CHECKING:
    from harness.cli.doctor import Diagnosis

GIB = 1024**3

FILES = {
    "/etc/os-release": 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_ID="12"\n',
    "/proc/1/comm": "systemd\n",
    "/proc/sys/kernel/osrelease": "6.1.0\n",
    "/proc/filesystems": "nodev\toverlay\n",
    "/proc/meminfo": "MemTotal: 8000000 kB\nMemAvailable:    4000000 kB\n",
    "/sys/fs/cgroup/cgroup.controllers": "cpu io memory pids",
    "/dev/loop-control": "",
    "/dev/fuse": "",
    "/dev/net/tun": "",
    "/usr/bin/go": "",
}


@dataclass
class FakeMachine(doctor.ThisMachine):
    """A machine that has everything, but for what a test takes away."""

    files: dict[str, str] = field(default_factory=lambda: dict(FILES))
    missing: set[str] = field(default_factory=set)  # tools and libraries
    answers: dict[str, tuple[int, str]] = field(default_factory=dict)  # by the first two words of a command
    is_root: bool = True
    space: int = 50 * GIB
    carries: list[Limit] = field(default_factory=list)

    def root(self) -> bool:
        """Whether we are root."""
        return self.is_root

    def run(self, *argv: str) -> tuple[int, str]:
        """Answer as the tool would."""
        default = "go version go1.22.1 linux/amd64" if argv[0].endswith("go") else "tool 1.2.3 (something)"
        return self.answers.get(" ".join(argv[:2]), (0, default))

    def which(self, tool: str) -> str | None:
        """Find it in /usr/bin."""
        return None if tool in self.missing else f"/usr/bin/{tool}"

    def read(self, path: str) -> str | None:
        """Read from memory."""
        return self.files.get(path)

    def exists(self, path: str) -> bool:
        """Whether it is there."""
        return path in self.files

    def free(self, folder: Path) -> int:
        """Return the free bytes that were set."""
        return self.space

    def limits(self) -> list[Limit]:
        """Return the limits that were set."""
        return self.carries

    def library(self, name: str) -> str | None:
        """Find it unless it is missing."""
        return None if name in self.missing else f"lib{name}.so.3"


def missing(machine: FakeMachine) -> list[str]:
    """Return a sentence for everything that stands in the way of nspawn nodes."""
    return [f"{check.name}: {check.saw}; {check.remedy}" for check in doctor.checks(machine) if check.ok is False]


@pytest.fixture(autouse=True)
def _empty_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No image, no runs, and no Go but the fake one."""
    monkeypatch.setenv("WHALEFALL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("WHALEFALL_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(doctor, "_leftovers", lambda: [doctor.Diagnosis("leftovers", ok=True, saw="nothing", part="leftovers")])
    monkeypatch.setattr(image, "find", lambda _: None)
    monkeypatch.setattr(box, "find", lambda _: None)


def by_name(machine: FakeMachine) -> dict[str, Diagnosis]:
    """Return the checks by name."""
    return {check.name: check for check in doctor.checks(machine)}


def test_a_whole_machine_is_ready_and_every_fault_has_its_rung() -> None:
    """Nothing is missing; each fault says how it is made here."""
    found = doctor.checks(FakeMachine())
    assert doctor.ready(found)
    assert missing(FakeMachine()) == []
    rungs = {check.name: check for check in found if check.part == "faults"}
    assert set(rungs) == set(FAULTS)
    assert all(check.ok for check in rungs.values())


@pytest.mark.parametrize(
    ("name", "machine", "word"),
    [
        ("root", FakeMachine(is_root=False), "sudo"),
        ("control groups", FakeMachine(files={name: text for name, text in FILES.items() if "cgroup" not in name}), "unified"),
        ("overlayfs", FakeMachine(answers={"unshare --mount": (32, "mount: unknown filesystem type 'overlay'.")}), "modprobe overlay"),
        ("nf_tables", FakeMachine(answers={"unshare --net": (1, "Error: cache initialization failed")}), "modprobe nf_tables"),
        ("loop devices", FakeMachine(files={name: text for name, text in FILES.items() if "loop" not in name}), "modprobe loop"),
        ("systemd-nspawn", FakeMachine(missing={"systemd-nspawn"}), "apt-get install systemd-container"),
        ("nft", FakeMachine(missing={"nft"}), "apt-get install nftables"),
        ("mmdebstrap", FakeMachine(missing={"mmdebstrap"}), "./setup"),
        ("go", FakeMachine(answers={"/usr/bin/go version": (0, "go version go1.19.8 linux/amd64")}), "Go 1.21 or later"),
        ("memory", FakeMachine(files={**FILES, "/proc/meminfo": "MemAvailable: 100000 kB\n"}), "450 MB"),
        ("disk", FakeMachine(space=GIB), "WHALEFALL_CACHE"),
    ],
)
def test_what_is_missing_is_named_with_its_remedy(name: str, machine: FakeMachine, word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One thing taken away: that check says so, and the machine is not ready."""
    monkeypatch.setattr(doctor, "GO_PLACES", ())
    check = by_name(machine)[name]
    assert check.ok is False
    assert word in check.remedy
    assert not doctor.ready(doctor.checks(machine))
    assert any(sentence.startswith(f"{name}: ") for sentence in missing(machine))


def test_a_newer_go_that_somebodys_module_asks_for_is_asked_for_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """And not only by the build: with the file that does."""
    monkeypatch.setattr(doctor, "GO_PLACES", ())
    monkeypatch.setattr(contexts, "go_asked", lambda module: (1, 99) if module.name == "web" else None)
    check = by_name(FakeMachine())["go"]
    assert (check.ok, "web/go.mod asks for" in check.remedy, "Go 1.99 or later" in check.remedy) == (False, True, True)


def test_what_only_a_build_needs_is_a_note_once_the_image_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the images of all modes in the cache neither mmdebstrap nor Go nor room for a build is missed."""
    built = image.Image((layers.Layer(Path("/root"), "0123456789abcdef", 540_000_000, 0.0, current=True),))
    monkeypatch.setattr(image, "find", lambda _: built)
    monkeypatch.setattr(doctor, "GO_PLACES", ())
    machine = FakeMachine(missing={"mmdebstrap", "go"}, space=GIB)
    found = by_name(machine)
    assert (found["mmdebstrap"].ok, found["go"].ok, found["disk"].ok) == (None, None, True)
    assert {found[f"{mode}'s image"].saw for mode in registry.layers()} == {f"{built.key}, 540 MB"}
    assert doctor.ready(list(found.values()))
    monkeypatch.setattr(image, "find", lambda layer: built if layer is None else None)
    found = by_name(machine)
    assert found["mmdebstrap"].ok is False
    assert (found["swarm's image"].ok, found["fleet's image"].ok) == (True, None)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"/sys/fs/cgroup/cgroup.controllers"}, "version 2 alone"),
        (
            {f"/sys/fs/cgroup/{name}/cgroup.procs" for name in ("unified", "systemd", "freezer", "blkio")},
            "version 1 with unified, systemd, freezer, blkio",
        ),
    ],
)
def test_both_layouts_of_control_groups_will_do(files: set[str], words: str) -> None:
    """Pure version 2, and version 1 with the unified hierarchy beside it."""
    machine = FakeMachine(files={name: text for name, text in FILES.items() if "cgroup" not in name} | dict.fromkeys(files, ""))
    check = by_name(machine)["control groups"]
    assert check.ok
    assert check.saw == words


def test_without_fuse_the_slow_disk_stands_on_the_rung_below() -> None:
    """It says which, what it cannot do, and what would bring the better one."""
    check = by_name(FakeMachine(missing={"fusermount3"}))["disk.slow"]
    assert check.ok is None
    assert check.saw == "io.max of the node's group, fsync only: without fusermount3 (apt-get install fuse3)"


def test_a_user_who_is_not_root_is_told_what_was_not_tried() -> None:
    """Not tried is not missing: only root itself is."""
    found = doctor.checks(FakeMachine(is_root=False))
    assert [check.name for check in found if check.ok is False] == ["root"]
    assert any("not tried: not root" in check.saw for check in found)


def test_an_unknown_system_is_a_note() -> None:
    """Another distribution may well do."""
    check = by_name(FakeMachine(files={**FILES, "/etc/os-release": 'PRETTY_NAME="Fedora 40"\nID=fedora\nVERSION_ID=40\n'}))["system"]
    assert (check.ok, check.saw) == (None, "Fedora 40")


def test_the_table_fits_80_columns_and_says_all_in_words() -> None:
    """No colour is needed to read it."""
    file = io.StringIO()
    Console(file=file, width=80, highlight=False).print(doctor.table(doctor.checks(FakeMachine(missing={"nft"}))))
    lines = file.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert any(line.split()[:2] == ["MISSING", "nft"] for line in lines)
    assert lines[-1].strip() == "nspawn nodes cannot run here: nft"


def test_in_a_narrow_terminal_no_column_takes_the_room_of_another() -> None:
    """Words stay whole: what was seen has as much room as what it is about."""
    file = io.StringIO()
    found = [doctor.Diagnosis("a name of some thirty letters", False, "what was seen is told", "and what to do")]  # noqa: FBT003
    Console(file=file, width=40, highlight=False).print(doctor.table(found))
    lines = file.getvalue().splitlines()
    assert max(map(len, lines)) <= 40
    assert any(line.rstrip().endswith("what was seen") for line in lines), lines


def test_this_machine_can_be_looked_at() -> None:
    """The real probes answer, whatever they find."""
    here = doctor.ThisMachine()
    assert here.run("true") == (0, "")
    assert here.run("whalefall-has-no-such-tool")[0] == 127
    assert here.which("sh")
    assert here.read("/proc/no/such/file") is None
    assert here.free(Path("/no/such/folder")) > 0
    assert here.exists("/proc")


def test_go_is_found_where_setup_puts_one() -> None:
    """In the environment, which is on nobody's PATH: the build finds it there, so it is not missing."""
    place = str(Path(sys.prefix) / "bin" / "go")
    assert layers.GO_PLACES[0] == place
    found = by_name(FakeMachine(missing={"go"}, files={**FILES, place: ""}))["go"]
    assert found.ok
    assert found.saw.startswith(place)


VMS = {**FILES, doctor.PLUGIN[0]: "{}"}
A_BOX = box.Box(Path("/cache/boxes/b"), "b" * 16, 1_400_000_000, 1.0, current=True)


def test_virtual_machines_are_never_missed() -> None:
    """Whoever has nothing of them can run the embedded default all the same, and is told how to get it."""
    machine = FakeMachine(missing={"vagrant", "libvirtd", "virsh", "qemu-img", "dnsmasq", hypervisor.QEMU})
    found = [check for check in doctor.checks(machine) if check.part == "vms"]
    assert doctor.ready(doctor.checks(machine))
    assert {check.ok for check in found} <= {None, True}
    told = {check.name: check for check in found}
    assert "./setup --vms" in told["virtual machines"].remedy
    assert told["virtual machines"].saw.startswith("cannot be made here: ")
    assert "dnsmasq" in told["virtual machines"].saw
    assert "apt-get install vagrant" in told["vagrant"].remedy
    assert "dnsmasq" in told["other tools"].saw
    assert "apt-get install vagrant-libvirt" in told["vagrant-libvirt"].remedy
    assert "image build --box" in told["fleet's box"].remedy


@pytest.mark.parametrize(("name", "words"), [("kvm", "on KVM"), ("qemu", "software emulation")])
def test_which_accelerator_machines_have_is_said_with_the_reason(name: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the probe found it, with the kernel of the box."""
    monkeypatch.setattr(box, "find", lambda _: A_BOX)
    monkeypatch.setattr(hypervisor, "kernel", lambda: A_BOX.kernel)
    monkeypatch.setattr(hypervisor, "accelerator", lambda kernel: hypervisor.Accelerator(name, f"tried with {kernel}"))
    found = by_name(FakeMachine(files={**VMS, str(hypervisor.DEVICE): ""}))
    assert found["virtual machines"].ok
    assert words in found["virtual machines"].saw
    assert found["accelerator"].saw == f"{name}: tried with /cache/boxes/b/vmlinuz"
    assert found["fleet's box"].saw == f"{'b' * 16}, 1400 MB"


def test_an_accelerator_that_cannot_be_known_yet_is_not_guessed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a kernel to try; without the device it is known; a probe that fails says why."""
    files = {**VMS, str(hypervisor.DEVICE): ""}
    monkeypatch.setattr(hypervisor, "kernel", lambda: None)
    assert "not known: " in by_name(FakeMachine(files=files))["accelerator"].saw
    assert "once a box is built" in by_name(FakeMachine(files=files))["accelerator"].saw
    assert by_name(FakeMachine(files=VMS))["accelerator"].saw == "qemu: there is no /dev/kvm"

    def fail(_kernel: Path) -> None:
        raise Unsupported("no qemu")

    monkeypatch.setattr(hypervisor, "kernel", lambda: A_BOX.kernel)
    monkeypatch.setattr(hypervisor, "accelerator", fail)
    found = by_name(FakeMachine(files=files))
    assert found["accelerator"].saw == "not known: no qemu"


def test_setup_is_the_cure_for_what_setup_brings_and_for_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """With all packages there the first run builds the box, and tries a kernel; what else is missing has a cure of its own."""
    monkeypatch.setattr(box, "find", lambda _: None)
    monkeypatch.setattr(hypervisor, "kernel", lambda: None)
    device = {str(hypervisor.DEVICE): ""}
    after = by_name(FakeMachine(files={**VMS, **device}))
    assert after["virtual machines"].ok
    assert after["virtual machines"].saw.startswith("can be made here; ")
    assert "--vms" not in " ".join(check.remedy for check in after.values() if check.part == "vms")
    for machine, lacks, cure in (
        (FakeMachine(files={**VMS, **device}, is_root=False), "root", "run it with sudo"),
        (FakeMachine(files={name: text for name, text in VMS.items() if name != "/dev/net/tun"}), "/dev/net/tun", "modprobe tun"),
        (FakeMachine(files=FILES), "vagrant-libvirt", "./setup --vms"),
    ):
        told = by_name(machine)["virtual machines"]
        assert told.ok is None
        assert told.saw == f"cannot be made here: {lacks} missing"
        assert told.remedy == f"only the vagrant provider needs them: {cure}"


def test_too_little_room_for_machines_is_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the figures; the embedded default needs less."""
    monkeypatch.setenv("WHALEFALL_VM_MEMORY", "640")
    found = by_name(FakeMachine(files={**VMS, "/proc/meminfo": "MemAvailable: 1000000 kB\n"}, space=3 * GIB))
    assert (found["memory"].ok, found["memory for them"].ok, found["disk for them"].ok) == (True, None, None)
    assert "976 MB free; 3 machines need about 4032 MB" in found["memory for them"].saw
    assert "WHALEFALL_VM_MEMORY" in found["memory for them"].remedy
    monkeypatch.setenv("WHALEFALL_VM_MEMORY", "lots")
    assert "WHALEFALL_VM_MEMORY" in by_name(FakeMachine(files=VMS))["box"].saw


def test_what_the_machine_carries_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Too low for three nodes stops; lower than a large cluster needs comes with the command; enough is told without one."""
    machine = FakeMachine()
    names = ("fs.inotify.max_user_instances", "kernel.keys.maxkeys", "kernel.pty.max")
    machine.carries = [Limit(name, name, total, 2, 4) for name, total in zip(names, (8, 128, 4096), strict=True)]
    found = {check.name: check for check in doctor.checks(machine)}
    checks = [found[name] for name in names]
    assert [check.ok for check in checks] == [False, True, True]
    assert [check.remedy for check in checks] == [f"for more: sysctl -w {names[0]}=512", f"for more: sysctl -w {names[1]}=512", ""]
    assert checks[0].saw == "fs.inotify.max_user_instances is 8, 2 in use, 4 a node: 1 would fit"
