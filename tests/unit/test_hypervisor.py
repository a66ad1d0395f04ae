"""Whether KVM runs a kernel here, with programs that stand in for qemu."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.core.errors import Unsupported
from harness.host import box
from harness.providers.vagrant import hypervisor

RUNS = "echo '[    0.0] Linux version 6.1'; echo '[    0.9] Kernel panic - not syncing: VFS: Unable to mount root fs'; exec sleep 60"
STANDS = "printf '\\033cSeaBIOS\\nProbing EDD (edd=off to disable)... '; exec sleep 60"
FAILS = "echo 'Could not access KVM kernel module' >&2; exit 1"
SHORT = "echo '[    0.0] Linux version 6.1'"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, a device that can be opened, a kernel, no time to lose, and programs from this folder first."""
    monkeypatch.setenv("WHALEFALL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    for name, what in (("DEVICE", "kvm"), ("BOOT", "boot"), ("BOOT_ID", "boot_id")):
        monkeypatch.setattr(hypervisor, name, tmp_path / what)
    monkeypatch.setattr(hypervisor, "SILENT_SECONDS", 0.3)
    (tmp_path / "kvm").touch()
    (tmp_path / "boot_id").write_text("one\n")
    (tmp_path / "vmlinuz").write_text("a kernel")
    return tmp_path


def qemu(folder: Path, script: str) -> None:
    """Put a program into qemu's place that counts how often it ran."""
    program = folder / hypervisor.QEMU
    program.write_text(f"#!/bin/sh\necho \"$*\" >>'{folder}/ran'\n{script}\n")
    program.chmod(0o755)


def runs(folder: Path) -> int:
    """Return how often it ran."""
    return len((folder / "ran").read_text().splitlines()) if (folder / "ran").exists() else 0


def test_a_kernel_that_panics_has_run(folder: Path) -> None:
    """As one must that has no disk; it is started on KVM, without a disk, and with its console where we read it."""
    qemu(folder, RUNS)
    found = hypervisor.accelerator(folder / "vmlinuz")
    assert found.name == "kvm"
    assert str(folder / "vmlinuz") in found.reason
    words = (folder / "ran").read_text()
    for each in ("-accel kvm", f"-kernel {folder}/vmlinuz", "console=ttyS0", "-no-reboot"):
        assert each in words
    assert "-drive" not in words


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (STANDS, "s its last words were 'Probing EDD"),
        ("exec sleep 60", "last words were 'nothing at all'"),
        (FAILS, "Could not access KVM kernel module"),
        (SHORT, "qemu ended before"),
        ("exit 0", "nothing at all"),
    ],
)
def test_a_kernel_that_does_not_get_that_far_has_not_run(folder: Path, script: str, words: str) -> None:
    """It stands still, qemu refuses, or it ends early: software emulation, with what was last seen."""
    qemu(folder, script)
    found = hypervisor.accelerator(folder / "vmlinuz")
    assert found.name == "qemu"
    assert words in found.reason


def test_a_kernel_that_talks_for_ever_is_not_waited_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole of it has a limit, too."""
    monkeypatch.setattr(hypervisor, "PROBE_SECONDS", 0.3)
    qemu(folder, "exec yes 'soft lockup'")
    assert "does not run on it" in hypervisor.accelerator(folder / "vmlinuz").reason


def test_the_answer_is_kept_while_kernel_qemu_and_boot_are_the_same(folder: Path) -> None:
    """The second ask starts nothing; any change of the three starts one."""
    qemu(folder, RUNS)
    first = hypervisor.accelerator(folder / "vmlinuz")
    assert hypervisor.accelerator(folder / "vmlinuz") == first
    assert runs(folder) == 1
    (folder / "boot_id").write_text("two\n")
    hypervisor.accelerator(folder / "vmlinuz")
    assert runs(folder) == 2
    (folder / "vmlinuz").write_text("another kernel")
    hypervisor.accelerator(folder / "vmlinuz")
    assert runs(folder) == 3
    qemu(folder, STANDS)
    assert hypervisor.accelerator(folder / "vmlinuz").name == "qemu"


def test_an_answer_that_cannot_be_kept_is_still_one(folder: Path) -> None:
    """Where the cache is no folder; and a file in it that is no answer is asked again."""
    qemu(folder, RUNS)
    (folder / "cache").write_text("in the way")
    assert hypervisor.accelerator(folder / "vmlinuz").name == "kvm"
    (folder / "cache").unlink()
    hypervisor.accelerator(folder / "vmlinuz")
    kept = next((folder / "cache" / "hypervisor").iterdir())
    kept.write_text("{")
    assert hypervisor.accelerator(folder / "vmlinuz").name == "kvm"
    assert runs(folder) == 3


def test_without_the_device_nothing_is_started(folder: Path) -> None:
    """Nor where it may not be opened, nor without a kernel to try: each says why."""
    qemu(folder, RUNS)
    assert "no kernel to try" in hypervisor.accelerator(None).reason
    (folder / "kvm").unlink()
    found = hypervisor.accelerator(folder / "vmlinuz")
    assert (found.name, found.reason) == ("qemu", f"there is no {folder}/kvm")
    assert runs(folder) == 0


def test_a_device_of_others_is_said_to_be_theirs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what to do about it."""
    qemu(folder, RUNS)
    monkeypatch.setattr(os, "access", lambda path, _mode: path != hypervisor.DEVICE)
    monkeypatch.setattr("shutil.which", lambda tool, **_: str(folder / tool))
    assert "not for this user; join its group" in hypervisor.accelerator(folder / "vmlinuz").reason


def test_without_qemu_there_is_no_answer(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package is named."""
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr("harness.host.surroundings.FOLDERS", ())
    with pytest.raises(Unsupported, match="apt-get install qemu-system-x86"):
        hypervisor.accelerator(folder / "vmlinuz")


def test_the_kernel_to_try_is_the_boxes_then_this_machines_own(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The current box's, any other's, the newest under /boot, none."""
    assert hypervisor.kernel() is None
    (folder / "boot").mkdir()
    for name in ("vmlinuz-6.1.0-1", "vmlinuz-6.1.0-2", "initrd.img-6.1.0-2"):
        (folder / "boot" / name).touch()
    assert hypervisor.kernel() == folder / "boot" / "vmlinuz-6.1.0-2"
    (folder / "box").mkdir()
    (folder / "box" / "vmlinuz").touch()
    old = box.Box(folder / "box", "0" * 16, 1, 1.0, current=False)
    monkeypatch.setattr(box, "boxes", lambda: [old])
    assert hypervisor.kernel() == folder / "box" / "vmlinuz"
    qemu(folder, RUNS)
    assert hypervisor.driver() == "kvm"
