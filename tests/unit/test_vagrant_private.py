"""A libvirt of a run's own: where it lies, how everything in it is found without a record, and what is said when it does not start."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.core.errors import HarnessError
from harness.host import marks, processes, state
from harness.host.processes import Process
from harness.providers import clusters, netns
from harness.providers.vagrant import own_libvirt

RUN = "cut-1"


@pytest.fixture(autouse=True)
def _folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep all state, all namespaces and all processes in folders of the test's own."""
    monkeypatch.setenv("WHALEFALL_STATE", str(tmp_path))
    monkeypatch.setenv("WHALEFALL_CACHE", str(tmp_path / "cache"))
    for name in ("netns", "proc"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(own_libvirt, "FOLDER", tmp_path / "netns")
    for module in (own_libvirt, processes):
        monkeypatch.setattr(module, "PROC", tmp_path / "proc")
    marks.have_key()


def recorded() -> None:
    """Have a record of the run."""
    clusters.register(RUN, Process(1, 1), "vagrant")


@pytest.fixture
def process(tmp_path: Path) -> Callable[..., None]:
    """Return a way to make a process that lives in a mount namespace with this /run, and is this number in its own pid namespace."""

    def make(pid: int, run: str | None, inner: int | None = None) -> None:
        folder = tmp_path / "proc" / str(pid)
        (folder / "ns").mkdir(parents=True)
        (folder / "ns" / "mnt").symlink_to(f"mnt:[{run or 'host'}]")
        source = f"whalefall.{marks.mark(run)}" if run else "tmpfs"
        (folder / "mountinfo").write_text(f"1 2 8:1 / / rw - ext4 /dev/a rw\n3 1 0:40 / /run rw,relatime - tmpfs {source} rw,size=65536k\n")
        (folder / "status").write_text(f"Name:\tsh\nNSpid:\t{pid}{'' if inner is None else f'	{inner}'}\n")
        (folder / "stat").write_text(f"{pid} (sh) S 1 {' '.join('0' for _ in range(17))} {pid * 10} 0\n")

    return make


def test_its_socket_is_reached_by_a_uri() -> None:
    """In the run's own folder, so that another process finds it there."""
    folder = state.run_folder(RUN)
    assert own_libvirt.uri(Path("/var/lib/whalefall/runs/cut-1")) == "qemu:///system?socket=/var/lib/whalefall/runs/cut-1/lv/libvirt-sock"
    assert own_libvirt.log(folder).is_relative_to(folder)


def test_a_socket_whose_name_the_kernel_does_not_take_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    """107 bytes, counted for the longest of its sockets, and not in letters."""
    fits = Path("/" + "a" * (107 - len("//lv/libvirt-admin-sock")))
    own_libvirt.uri(fits)
    for folder in (Path(f"{fits}a"), Path("/" + "ä" * 50)):
        with pytest.raises(HarnessError, match=r"is too long for a socket \(107 bytes\); set WHALEFALL_STATE to a shorter folder"):
            own_libvirt.uri(folder)
    assert not (tmp_path / "cache").exists()


def test_every_process_is_found_by_its_run_without_a_record(process: Callable[..., None]) -> None:
    """Also those that libvirt started with an environment of their own; none of another run, of the machine, or with a name that begins alike."""
    process(10, None)
    process(20, RUN, 1)
    process(21, RUN, 2)
    process(30, f"{RUN}0", 1)
    assert {each.pid for each in own_libvirt.processes(RUN)} == {20, 21}
    assert own_libvirt.runs() == {RUN, f"{RUN}0"}
    assert own_libvirt.left(RUN) == ["process 20", "process 21"]
    assert own_libvirt.left("other") == []


@pytest.mark.parametrize("gone", ["mountinfo", "stat", "ns/mnt"])
def test_a_process_that_ends_while_it_is_looked_at_is_no_trouble(process: Callable[..., None], tmp_path: Path, gone: str) -> None:
    """Half of what /proc says of it may be gone already."""
    process(20, RUN, 1)
    (tmp_path / "proc" / "20" / gone).unlink()
    assert own_libvirt.processes(RUN) == set()


def test_a_run_in_which_nothing_lives_is_found_by_its_namespace(tmp_path: Path) -> None:
    """Those of the nspawn provider are not ours."""
    recorded()
    for name in ("wfv-cut-1", "wf-other", "wf-other.n1", "docker"):
        (tmp_path / "netns" / name).touch()
    assert own_libvirt.runs() == {RUN}
    assert own_libvirt.left(RUN) == ["network namespace wfv-cut-1"]
    assert own_libvirt.strangers() == []


def test_a_namespace_that_is_only_called_as_ours_is_somebodys_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It makes no run, is not removed, and is told."""
    gone: list[Path] = []
    monkeypatch.setattr(netns, "take_away", gone.append)
    (tmp_path / "netns" / "wfv-cut-1").touch()
    assert own_libvirt.runs() == set()
    assert own_libvirt.left(RUN) == []
    own_libvirt.remove(RUN)
    assert gone == []
    (said,) = own_libvirt.strangers()
    assert said.startswith("file wfv-cut-1: left alone")


@pytest.mark.parametrize(
    "source", ["whalefall.cut-1", "whalefall.cut-1.", f"whalefall.cut-1.{'0' * 32}", "whalefall.elsewhere-1.0123", "whalefall"]
)
def test_a_mount_that_is_only_called_as_ours_is_somebodys_own(process: Callable[..., None], tmp_path: Path, source: str) -> None:
    """Who lives over it is nobody's to end: anybody may mount something of that name in a namespace of their own."""
    process(20, RUN, 1)
    table = tmp_path / "proc" / "20" / "mountinfo"
    table.write_text(table.read_text().replace(f"whalefall.{marks.mark(RUN)}", source))
    assert own_libvirt.processes(RUN) == set()
    assert own_libvirt.runs() == set()


def test_a_command_enters_by_the_first_process(process: Callable[..., None]) -> None:
    """It ends with it then. Process 1 of the machine itself is nobody's first."""
    process(1, None)
    process(20, RUN, 1)
    process(21, RUN, 2)
    argv = own_libvirt.within(RUN, ["vagrant", "up"])
    assert argv[:3] == ["nsenter", "--target", "20"]
    assert argv[-3:] == ["--", "vagrant", "up"]


def test_a_command_cannot_enter_what_is_gone(process: Callable[..., None]) -> None:
    """Also where only others of the run are left: the first one is dead, and the kernel is about to end them."""
    process(21, RUN, 2)
    with pytest.raises(HarnessError, match="the libvirtd of cut-1 is gone; was the cluster destroyed"):
        own_libvirt.within(RUN, ["true"])


def test_a_namespace_is_removed_also_when_it_is_half_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Twice is fine; one that cannot be removed is said by name."""
    recorded()
    gone: list[Path] = []
    monkeypatch.setattr(netns, "take_away", gone.append)
    own_libvirt.remove(RUN)
    assert [each.name for each in gone] == ["wfv-cut-1"]

    def refuse(path: Path) -> None:
        raise OSError(errno.EINVAL, "not mounted")

    monkeypatch.setattr(netns, "take_away", refuse)
    file = tmp_path / "netns" / "wfv-cut-1"
    file.touch()
    own_libvirt.remove(RUN)
    assert not file.exists()
    file.mkdir()
    with pytest.raises(HarnessError, match="cannot remove the network namespace wfv-cut-1"):
        own_libvirt.remove(RUN)


def _on_path(monkeypatch: pytest.MonkeyPatch, folder: Path, **scripts: str) -> None:
    folder.mkdir(exist_ok=True)
    for name, body in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{body}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def test_a_libvirtd_that_ends_at_once_is_said_with_its_last_words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With its status; nobody waits for the time to run out."""
    _on_path(monkeypatch, tmp_path / "bin", ip="exit 0", nsenter="echo 'cannot read CA' >&2; exit 6")
    folder = state.run_folder(RUN)
    with pytest.raises(HarnessError, match=r"libvirtd ended with status 6 while starting; its log ends: .*cannot read CA"):
        own_libvirt.start(RUN, folder)


def test_a_namespace_that_cannot_be_made_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """And no libvirtd is started."""
    _on_path(monkeypatch, tmp_path / "bin", ip="echo 'Operation not permitted' >&2; exit 1", nsenter="touch started")
    with pytest.raises(
        HarnessError, match=r"ip netns add wfv-cut-1 failed with status 1: Operation not permitted; needs root and iproute2"
    ):
        own_libvirt.start(RUN, state.run_folder(RUN))
    assert not list(tmp_path.rglob("started"))


def test_its_configuration_leaves_the_machine_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No other daemon, no owner changed, no group, no device namespace; its socket only for root."""
    _on_path(monkeypatch, tmp_path / "bin", ip="exit 0", nsenter="exit 1")
    folder = state.run_folder(RUN)
    with pytest.raises(HarnessError):
        own_libvirt.start(RUN, folder)
    qemu = (folder / "lv" / "etc" / "qemu.conf").read_text()
    for line in (
        'stdio_handler = "file"',
        "dynamic_ownership = 0",
        "cgroup_controllers = [ ]",
        "namespaces = [ ]",
        'security_driver = "none"',
    ):
        assert f"{line}\n" in qemu
    daemon = (folder / "lv" / "etc" / "libvirtd.conf").read_text()
    assert f'unix_sock_dir = "{folder / "lv"}"\n' in daemon
    assert 'unix_sock_rw_perms = "0700"\n' in daemon
