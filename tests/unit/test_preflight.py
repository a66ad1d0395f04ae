"""What a machine must have for nspawn nodes: each missing thing is one clear line, and a machine that has all is told nothing."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.core.values import NodeSpec
from harness.providers import room
from harness.providers.nspawn import bridge, capacity, cgroups, nspawn_preflight

MEMORY = "MemTotal:       16384000 kB\nMemFree:          100000 kB\nMemAvailable:    1024000 kB\n"
"""1000 MB are available."""


@pytest.fixture
def root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Play a machine that has all that is needed, and return its root folder."""
    for name, text in {
        "dev/loop-control": "",
        "proc/filesystems": "nodev\tsysfs\n\text4\nnodev\toverlay\n",
        "proc/meminfo": MEMORY,
        "cgroup/cgroup.controllers": "cpu io memory\n",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(capacity, "PROC", tmp_path / "proc")
    monkeypatch.setattr(capacity, "BLOCK", tmp_path / "block")
    monkeypatch.setattr(bridge, "FOLDER", tmp_path / "netns")
    for module in (nspawn_preflight, room):
        monkeypatch.setattr(module, "Path", lambda path: tmp_path / path.lstrip("/"))
    monkeypatch.setattr(cgroups, "ROOT", tmp_path / "cgroup")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "which", lambda tool, **_: f"/usr/bin/{tool}")
    return tmp_path


def specs(count: int) -> list[NodeSpec]:
    """Return so many nodes."""
    return [NodeSpec(f"n{number}", f"10.77.0.{10 + number}") for number in range(1, count + 1)]


def test_a_machine_that_has_all_is_told_nothing(root: Path) -> None:
    """For no node, and for as many as it can hold."""
    assert nspawn_preflight.problems(()) == []
    assert nspawn_preflight.problems(specs(3)) == []


Take = Callable[[Path, pytest.MonkeyPatch], object]
MISSING: dict[str, tuple[Take, str]] = {
    "root": (lambda root, patch: patch.setattr(os, "geteuid", lambda: 1000), "not root: nodes are real machines; run it with sudo"),
    "loop devices": (
        lambda root, patch: (root / "dev/loop-control").unlink(),
        "/dev/loop-control is missing: the kernel has no loop devices; every node's disk is one",
    ),
    "overlayfs": (
        lambda root, patch: (root / "proc/filesystems").write_text("nodev\tsysfs\n\text4\n"),
        "the kernel has no overlayfs; every node's root is one (try: modprobe overlay)",
    ),
    "control groups": (
        lambda root, patch: (root / "cgroup/cgroup.controllers").unlink(),
        "no control groups are mounted on /sys/fs/cgroup; expected the unified hierarchy, alone or beside v1",
    ),
}


@pytest.mark.parametrize("case", MISSING)
def test_each_missing_thing_is_one_clear_line(root: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    """Exactly that one, with what to do."""
    take, said = MISSING[case]
    take(root, monkeypatch)
    assert nspawn_preflight.problems(specs(1)) == [said]


@pytest.mark.parametrize("tool", nspawn_preflight.TOOLS)
def test_each_missing_program_is_one_line_with_its_package(root: Path, monkeypatch: pytest.MonkeyPatch, tool: str) -> None:
    """The package's name is not always the program's."""
    monkeypatch.setattr(shutil, "which", lambda asked, **_: None if asked == tool else f"/usr/bin/{asked}")
    assert nspawn_preflight.problems(()) == [f"{tool} is missing: install the package {nspawn_preflight.TOOLS[tool]}, or run ./setup"]


def test_memory_is_asked_for_by_the_number_of_nodes(root: Path) -> None:
    """Six nodes fit into 1000 MB, seven do not."""
    assert nspawn_preflight.problems(specs(6)) == []
    assert nspawn_preflight.problems(specs(7)) == ["1000 MB of memory are free; 7 nodes need about 1050 MB: 6 would fit"]


def test_all_that_is_missing_is_told_at_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody wants to be told one thing a try; no line is told twice."""
    for take, _ in MISSING.values():
        take(root, monkeypatch)
    monkeypatch.setattr(shutil, "which", lambda tool, **_: None)
    found = nspawn_preflight.problems(specs(7))
    assert len(found) == len(set(found)) == len(MISSING) + len(nspawn_preflight.TOOLS) + 1
    assert not [line for line in found if "\n" in line]


# -- what the machine carries

CARRIES = {
    "sys/fs/inotify/max_user_instances": "128",
    "sys/fs/inotify/max_user_watches": "192536",
    "sys/kernel/pid_max": "32768",
    "sys/kernel/threads-max": "192729",
    "sys/fs/file-max": "2466165",
    "sys/fs/file-nr": "4000\t0\t2466165",
    "sys/kernel/keys/root_maxkeys": "1000000",
    "sys/kernel/keys/maxkeys": "200",
    "sys/kernel/pty/max": "4096",
    "sys/kernel/pty/nr": "1",
    "sys/user/max_mnt_namespaces": "96364",
    "sys/user/max_net_namespaces": "96364",
    "loadavg": "0.10 0.20 0.30 2/800 4242",
    "key-users": "    0:   106 105/105 100/1000000 2091/25000000\n  100:     7 7/7 7/200 63/20000",
}


@pytest.fixture
def carries(root: Path) -> Path:
    """Play a machine with a common kernel's limits, and return its /proc."""
    for name, text in CARRIES.items():
        (root / "proc" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "proc" / name).write_text(text + "\n")
    return root / "proc"


def _inotify(proc: Path, pid: int, instances: int) -> None:
    """Let a process have so many inotify instances, with a watch in each, and other files."""
    for each in ("fd", "fdinfo"):
        (proc / str(pid) / each).mkdir(parents=True)
    (proc / str(pid) / "fd" / "0").symlink_to("/dev/null")
    for number in range(3, 3 + instances):
        (proc / str(pid) / "fd" / str(number)).symlink_to("anon_inode:inotify")
        (proc / str(pid) / "fdinfo" / str(number)).write_text("pos:\t0\nflags:\t02004000\ninotify wd:1 ino:1 sdev:1 mask:1\n")


Lower = tuple[str, str, int, str]
LOWER: dict[str, Lower] = {
    "inotify instances": (
        "sys/fs/inotify/max_user_instances",
        "128",
        39,
        (
            "39 nodes need 156 inotify instances; fs.inotify.max_user_instances is 128, 0 in use, 4 a node: 32 would fit; "
            "sysctl -w fs.inotify.max_user_instances=256"
        ),
    ),
    "inotify watches": (
        "sys/fs/inotify/max_user_watches",
        "100",
        3,
        (
            "3 nodes need 120 inotify watches; fs.inotify.max_user_watches is 100, 0 in use, 40 a node: 2 would fit; "
            "sysctl -w fs.inotify.max_user_watches=256"
        ),
    ),
    "processes": (
        "sys/kernel/pid_max",
        "1000",
        3,
        "3 nodes need 360 processes; kernel.pid_max is 1000, 800 in use, 120 a node: 1 would fit; sysctl -w kernel.pid_max=2048",
    ),
    "threads": (
        "sys/kernel/threads-max",
        "900",
        3,
        "3 nodes need 360 processes; kernel.threads-max is 900, 800 in use, 120 a node: 0 would fit; sysctl -w kernel.threads-max=2048",
    ),
    "open files": (
        "sys/fs/file-max",
        "5000",
        3,
        "3 nodes need 1200 open files; fs.file-max is 5000, 4000 in use, 400 a node: 2 would fit; sysctl -w fs.file-max=8192",
    ),
    "keys of root": (
        "sys/kernel/keys/root_maxkeys",
        "120",
        3,
        (
            "3 nodes need 60 keys of root; kernel.keys.root_maxkeys is 120, 100 in use, 20 a node: 1 would fit; "
            "sysctl -w kernel.keys.root_maxkeys=256"
        ),
    ),
    "keys of a user": (
        "sys/kernel/keys/maxkeys",
        "10",
        3,
        "3 nodes need 6 keys of a user; kernel.keys.maxkeys is 10, 7 in use, 2 a node: 1 would fit; sysctl -w kernel.keys.maxkeys=16",
    ),
    "terminals": (
        "sys/kernel/pty/max",
        "4",
        3,
        "3 nodes need 6 terminals; kernel.pty.max is 4, 1 in use, 2 a node: 1 would fit; sysctl -w kernel.pty.max=8",
    ),
    "network namespaces": (
        "sys/user/max_net_namespaces",
        "12",
        3,
        (
            "3 nodes need 13 network namespaces; user.max_net_namespaces is 12, 0 in use, 4 a node: 2 would fit; "
            "sysctl -w user.max_net_namespaces=16"
        ),
    ),
    "mount namespaces": (
        "sys/user/max_mnt_namespaces",
        "20",
        3,
        (
            "3 nodes need 24 mount namespaces; user.max_mnt_namespaces is 20, 0 in use, 8 a node: 2 would fit; "
            "sysctl -w user.max_mnt_namespaces=32"
        ),
    ),
}


@pytest.mark.parametrize("case", LOWER)
def test_more_nodes_than_the_machine_carries_is_said_with_what_lifts_it(carries: Path, case: str) -> None:
    """Each limit by itself: how many would fit, and the command. Before anything is touched, and not of a machine that has enough."""
    name, value, nodes, said = LOWER[case]
    (carries / "meminfo").write_text("MemAvailable: 900000000 kB\n")
    assert [each for each in nspawn_preflight.problems(specs(3)) if "would fit" in each] == []
    (carries / name).write_text(value + "\n")
    assert [each for each in nspawn_preflight.problems(specs(nodes)) if "would fit" in each] == [said]


def test_the_command_lifts_the_limit(carries: Path) -> None:
    """Done as it says, nothing is said any more."""
    (carries / "meminfo").write_text("MemAvailable: 900000000 kB\n")
    for limit in capacity.limits():
        command, _, value = limit.lifted(60).partition("=")
        path = carries / "sys" / command.removeprefix("sysctl -w ").replace(".", "/")
        assert path.is_file(), limit
        path.write_text(value)
    assert [each for each in nspawn_preflight.problems(specs(60)) if "would fit" in each] == []


def test_what_others_use_is_counted(carries: Path) -> None:
    """Other clusters, and whatever else root runs. A process that is gone meanwhile is none."""
    _inotify(carries, 7, 100)
    _inotify(carries, 8, 20)
    (carries / "9").mkdir()
    found = {limit.what: limit for limit in capacity.limits()}
    mine = (carries / "7").stat().st_uid == 0
    assert (found["inotify instances"].used, found["inotify watches"].used) == ((120, 120) if mine else (0, 0))
    assert (found["keys of root"].used, found["keys of a user"].used, found["processes"].used) == (100, 7, 800)
    assert capacity.limits()[0] == min(capacity.limits(), key=lambda limit: limit.fits)


def test_what_other_users_have_is_not_counted_as_roots(carries: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is one for each user, and nodes' roots are this machine's root."""
    _inotify(carries, 7, 100)
    _inotify(carries, 8, 20)
    stat = Path.stat

    def owned(path: Path, **how: bool) -> os.stat_result:
        found = list(stat(path, **how))
        found[4] = {"7": 0, "8": 1000}.get(path.name, found[4])  # st_uid
        return os.stat_result(found)

    monkeypatch.setattr(Path, "stat", owned)
    found = {limit.what: limit.used for limit in capacity.limits()}
    assert (found["inotify instances"], found["inotify watches"]) == (100, 100)


def test_a_cluster_needs_a_network_namespace_beside_those_of_its_nodes(carries: Path) -> None:
    """With as many as the nodes alone take there is none left for the bridge."""
    setting = carries / "sys/user/max_net_namespaces"
    setting.parent.mkdir(parents=True, exist_ok=True)
    fits = []
    for total in (2 * capacity.NAMESPACES_PER_NODE["net"], 2 * capacity.NAMESPACES_PER_NODE["net"] + 1):
        setting.write_text(f"{total}\n")
        fits += [limit.fits for limit in capacity.limits() if limit.what == "network namespaces"]
    assert fits == [1, 2]


def test_a_kernel_that_tells_nothing_stops_nobody(root: Path) -> None:
    """What is not known is not too low."""
    assert capacity.limits() == []


def test_namespaces_are_counted_once_each(carries: Path) -> None:
    """However many processes are in one, and also those that only a name holds."""
    for pid, inside in {1: "a", 2: "a", 3: "b"}.items():
        (carries / str(pid) / "ns").mkdir(parents=True)
        for kind in ("net", "mnt"):
            (carries.parent / f"{kind}-{inside}").touch()
            (carries / str(pid) / "ns" / kind).symlink_to(carries.parent / f"{kind}-{inside}")
    bridge.FOLDER.mkdir()
    (bridge.FOLDER / "held").touch()
    (bridge.FOLDER / "same").hardlink_to(carries.parent / "net-a")
    found = {limit.what: limit.used for limit in capacity.limits()}
    assert (found["network namespaces"], found["mount namespaces"]) == (3, 2)


def test_loop_devices_are_those_that_can_be_opened(carries: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no file appears in /dev by itself, as in a container. Where one does, there is no limit."""
    monkeypatch.setattr(stat, "S_ISBLK", lambda _: True)  # no root is needed to make plain files
    monkeypatch.setattr(capacity, "DEV", carries.parent / "dev")
    for name in ("loop0", "loop1", "loop12", "loop-control", "loop0p1"):
        (capacity.DEV / name).touch()
    (capacity.BLOCK / "loop1" / "loop").mkdir(parents=True)
    (capacity.BLOCK / "loop1" / "loop" / "backing_file").touch()
    (carries / "self").mkdir()
    (carries / "self" / "mountinfo").write_text(f"24 27 0:6 / {capacity.DEV} rw - devtmpfs devtmpfs rw\n")
    (carries / "meminfo").write_text("MemAvailable: 900000000 kB\n")
    assert [each for each in nspawn_preflight.problems(specs(3)) if "would fit" in each] == []
    (carries / "self" / "mountinfo").write_text(f"24 27 0:6 / {capacity.DEV} rw shared:2 - tmpfs tmpfs rw\n")
    assert [each for each in nspawn_preflight.problems(specs(2)) if "would fit" in each] == []
    assert [each for each in nspawn_preflight.problems(specs(3)) if "would fit" in each] == [
        (
            "3 nodes need 3 loop devices; the number of /dev/loop* is 3, 1 in use, 1 a node: 2 would fit; "
            "for n in $(seq 0 4); do [ -b /dev/loop$n ] || mknod -m 660 /dev/loop$n b 7 $n; done"
        )
    ]


@pytest.mark.parametrize(
    ("free", "files", "total", "said"),
    [
        (room.FULL_BYTES, 9, 9, ""),
        (room.FULL_BYTES - 1, 9, 9, "3 MB are free"),
        (0, 9, 9, "0 MB are free"),
        (1 << 40, 0, 9, "no file can be made"),
        (1 << 40, 0, 0, ""),  # a file system that makes them as it needs them
    ],
)
def test_a_full_disk_under_the_nodes_is_told(monkeypatch: pytest.MonkeyPatch, free: int, files: int, total: int, said: str) -> None:
    """Of room and of files, with what root may have of it; a disk that cannot be asked is not full."""
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result((1, 1, 1 << 41, free, 0, total, files, 0, 0, 255)))
    found = room.full(Path("/state/runs/x"))
    assert (said in found) if said else found == ""
    monkeypatch.undo()
    assert room.full(Path("/nonexistent/x")) == ""


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("rw,errors=remount-ro", ""),
        ("rw,shutdown", "(shutdown for "),
        ("rw,emergency_ro", "(emergency_ro for "),
        ("ro", "(ro for "),
    ],
)
def test_a_disk_under_the_nodes_that_the_kernel_has_given_up_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: str, said: str
) -> None:
    """It may still be read, and say how much room it has. A mount for reading alone, of one that others may write to, is none."""
    about = tmp_path.stat().st_dev
    mounts = tmp_path / "mountinfo"
    other = f"1 1 {os.major(about)}:{os.minor(about) + 1} / /other rw - ext4 /dev/b ro"
    mounts.write_text(f"{other}\n2 1 {os.major(about)}:{os.minor(about)} / /state ro,noatime - ext4 /dev/a {options}\n")
    monkeypatch.setattr(room, "MOUNTS", mounts)
    monkeypatch.setattr(room, "LOOK_SECONDS", 0.0)
    found = room.ailing(tmp_path)
    assert (said in found) if said else found == ""


def test_a_disk_under_the_nodes_that_was_just_looked_at_is_told_as_it_was_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not looked is not well: the mounts are read twice a second, and asked about ten times, by many threads."""
    about = tmp_path.stat().st_dev
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"1 1 {os.major(about)}:{os.minor(about)} / / rw - ext4 /dev/a rw,shutdown\n")
    monkeypatch.setattr(room, "MOUNTS", mounts)
    monkeypatch.setattr(room, "_looked", {})
    monkeypatch.setattr(room, "LOOK_SECONDS", 3600.0)
    first = room.ailing(tmp_path)
    assert "(shutdown for " in first
    mounts.unlink()
    assert room.ailing(tmp_path) == first


@pytest.mark.parametrize("number", [errno.EIO, errno.EROFS, errno.ENOENT, errno.EACCES])
def test_a_disk_under_the_nodes_that_cannot_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """One that is not there, or not for us to read, says nothing of the disk."""

    def refuse(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "open", refuse)
    found = room.ailing(tmp_path)
    assert (os.strerror(number) in found) == (number in {errno.EIO, errno.EROFS})
    assert found == "" or "says nothing of the cluster" in found


@pytest.mark.parametrize("variable", ["WHALEFALL_STATE", "WHALEFALL_CACHE"])
def test_a_folder_that_no_mount_of_nodes_could_name_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    """Before anything is touched, also where a link leads there. What no mount at all can name is refused where it is read."""
    monkeypatch.setenv(variable, str(root / "a b's %o"))
    assert nspawn_preflight.problems(specs(1)) == []
    folder = root / "a:b"
    (root / "link").symlink_to(folder)
    monkeypatch.setenv(variable, str(root / "link"))
    (said,) = nspawn_preflight.problems(())
    assert said.startswith(f"{folder} has a ':' in its name, ")
    assert said.endswith(f"let {variable} name another folder")
