"""A group of its own for every node, on hybrid hosts and on pure v2 ones: files of the kernel, played by a folder."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from harness.core import stops
from harness.core.errors import HarnessError
from harness.host import alone, marks, state
from harness.host.processes import Process
from harness.providers import clusters
from harness.providers.nspawn import cgroups, controllers, scope

RUN = "cut-1"
RUNS = (RUN, f"{RUN}0", "cut-2")
DEVICE = "7:3"
NOBODY = 2**22 + 1
"""A pid that no Linux gives."""

Host: TypeAlias = "tuple[str, list[Path]]"


def hybrid(root: Path) -> list[Path]:
    """Lay out a v1 host with the unified hierarchy beside: also with hierarchies that no node enters."""
    for name in (*cgroups.V1, "memory", "cpu"):
        (root / name).mkdir()
        (root / name / "cgroup.procs").touch()
    return [root / name for name in cgroups.V1]


def pure(root: Path) -> list[Path]:
    """Lay out a host that has only the unified hierarchy; the groups above a node's have their controllers as the kernel would give them."""
    for parent in (root, root / "whalefall", root / "whalefall" / RUN):
        parent.mkdir(exist_ok=True)
        (parent / "cgroup.controllers").write_text("cpu io memory\n")
        (parent / "cgroup.procs").touch()
    return [root]


LAYOUTS: dict[str, Callable[[Path], list[Path]]] = {"hybrid": hybrid, "v2": pure}


@pytest.fixture(autouse=True)
def _by_itself(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A machine with a register of its own, in which the tests' runs are, and which no systemd runs."""
    machine = tmp_path_factory.mktemp("machine")
    monkeypatch.setattr(state, "REGISTRY", machine / "register")
    monkeypatch.setenv("WHALEFALL_STATE", str(machine))
    for run_id in RUNS:
        clusters.register(run_id, Process(os.getpid(), 1), "nspawn")
    monkeypatch.setattr(scope, "SYSTEMD", state.REGISTRY / "none")


@pytest.fixture(params=LAYOUTS)
def host(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Host:
    """Lend a host of each layout, with the mount points that nodes enter."""
    monkeypatch.setattr(cgroups, "ROOT", tmp_path)
    name: str = request.param
    return name, LAYOUTS[name](tmp_path)


def control(host: Host, node: str, v1: str, v2: str) -> Path:
    """Return a node's control file of either kind."""
    name, tops = host
    return tops[0].parent / v1.format(group=f"whalefall/{RUN}/{node}") if name == "hybrid" else tops[0] / "whalefall" / RUN / node / v2


def as_the_kernel_removes_them(folder: Path) -> None:
    """Take away all files: in a real hierarchy they go with their folder."""
    for each in folder.rglob("*"):
        if each.is_file():
            each.unlink()


# -- which hierarchies


def test_a_host_is_told_by_its_root(host: Host) -> None:
    """The unified hierarchy alone has its controllers there."""
    name, tops = host
    assert cgroups.pure_v2() is (name == "v2")
    assert cgroups.hierarchies() == tops


def test_only_hierarchies_that_are_mounted_are_entered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A bare folder is no mount point; a host without any has none."""
    monkeypatch.setattr(cgroups, "ROOT", tmp_path)
    assert cgroups.hierarchies() == []
    hybrid(tmp_path)
    (tmp_path / "freezer" / "cgroup.procs").unlink()
    assert [each.name for each in cgroups.hierarchies()] == ["unified", "systemd", "blkio"]


# -- making and removing


def test_a_group_is_made_in_every_hierarchy(host: Host) -> None:
    """Twice is fine."""
    _, tops = host
    expected = [top / "whalefall" / RUN / "n1" for top in tops]
    for _ in range(2):
        assert cgroups.make(RUN, "n1") == expected
        assert all(each.is_dir() for each in expected)


def test_controllers_are_handed_down_to_a_node(host: Host) -> None:
    """On pure v2 from the root to the run, and not in the node's own group, where its systemd does it; on hybrid hosts nowhere."""
    name, tops = host
    cgroups.make(RUN, "n1")
    handed = {each.parent: each.read_text() for top in tops for each in top.rglob("cgroup.subtree_control")}
    top = tops[0]
    assert handed == (dict.fromkeys((top, top / "whalefall", top / "whalefall" / RUN), "+cpu +io +memory") if name == "v2" else {})


def test_a_group_that_cannot_be_made_is_said(host: Host) -> None:
    """With the group that was wanted."""
    _, tops = host
    as_the_kernel_removes_them(tops[-1] / "whalefall")
    if (tops[-1] / "whalefall" / RUN).is_dir():
        (tops[-1] / "whalefall" / RUN).rmdir()
        (tops[-1] / "whalefall").rmdir()
    (tops[-1] / "whalefall").touch()
    with pytest.raises(HarnessError, match=r"cannot make the control group .*/whalefall/cut-1/.*: .*; is .* writable here\?"):
        cgroups.make(RUN, "n1")


def test_all_groups_of_a_run_are_removed(host: Host) -> None:
    """With those that its nodes made inside, and our own folder once no run is left. Twice is fine."""
    _, tops = host
    for node in ("n1", "n1.host", "n2"):
        for group in cgroups.make(RUN, node):
            (group / "system.slice" / "docker.service").mkdir(parents=True)
    assert cgroups.left(RUN) == [top / "whalefall" / RUN for top in tops]
    for top in tops:
        as_the_kernel_removes_them(top / "whalefall")
    for _ in range(2):
        cgroups.remove(RUN)
        assert cgroups.left(RUN) == []
        assert not any((top / "whalefall").exists() for top in tops)


def test_other_runs_stay(host: Host) -> None:
    """Also one whose id goes on from this one's."""
    _, tops = host
    cgroups.make(RUN, "n1")
    for top in tops:
        (top / "whalefall" / f"{RUN}0" / "n1").mkdir(parents=True)
        as_the_kernel_removes_them(top / "whalefall")
    assert cgroups.runs() == {RUN, f"{RUN}0"}
    cgroups.remove(RUN)
    assert cgroups.runs() == {f"{RUN}0"}
    assert cgroups.left(RUN) == []
    assert cgroups.left(f"{RUN}0") == [top / "whalefall" / f"{RUN}0" for top in tops]


def test_a_group_that_still_holds_a_process_stays(host: Host) -> None:
    """Without an error, and it is told as left; the empty ones beside it are gone."""
    _, tops = host
    cgroups.make(RUN, "n1")
    busy, *_ = cgroups.make(RUN, "n2")
    for top in tops:
        as_the_kernel_removes_them(top / "whalefall")
    (busy / "cgroup.procs").touch()  # a folder that is not empty cannot be removed, as a group that is not
    cgroups.remove(RUN)
    assert cgroups.left(RUN) == [tops[0] / "whalefall" / RUN]
    assert busy.is_dir()
    assert not (busy.parent / "n1").exists()


def test_removing_what_never_was_does_nothing(host: Host) -> None:
    """Nor are there groups left, or runs that nobody made."""
    cgroups.remove("other-1")
    assert cgroups.left("other-1") == []
    assert "other-1" not in cgroups.runs()


def test_only_folders_are_runs(host: Host) -> None:
    """The kernel's own files lie beside them."""
    _, tops = host
    cgroups.make(RUN, "n1")
    for top in tops:
        (top / "whalefall" / "cgroup.events").touch()
    assert cgroups.runs() == {RUN}


# -- whose they are


def unregistered() -> None:
    """Let nobody have a record of any run, with the key still there."""
    for each in state.REGISTRY.glob("*.json"):
        each.unlink()


def test_groups_without_a_record_are_known_by_their_runs_word(host: Host) -> None:
    """And removed: the word last, so that whoever is killed in between leaves what the next sweep knows."""
    _, tops = host
    for node in ("n1", "n1.host"):
        cgroups.make(RUN, node)
    unregistered()
    assert cgroups.runs() == {RUN}
    assert cgroups.left(RUN) == [top / "whalefall" / RUN for top in tops]
    assert cgroups.strangers() == []
    for top in tops:
        as_the_kernel_removes_them(top / "whalefall")
    (tops[0] / "whalefall" / RUN / "n1" / "cgroup.procs").touch()
    cgroups.remove(RUN)
    assert cgroups.left(RUN) == [tops[0] / "whalefall" / RUN], "one still holds a process"
    (tops[0] / "whalefall" / RUN / "n1" / "cgroup.procs").unlink()
    cgroups.remove(RUN)
    assert not any((top / "whalefall").exists() for top in tops)


STRANGERS: dict[str, Callable[[Path], object]] = {
    "with nothing in it": lambda group: group,
    "with a group": lambda group: (group / "n1").mkdir(),
    "with an empty word": lambda group: (group / cgroups.PROOF).mkdir(),
    "with a word of another's": lambda group: (group / f"{cgroups.PROOF}{'0' * 32}").mkdir(),
    "with another run's word": lambda group: (group / f"{cgroups.PROOF}{marks.proof('cut-2', 'control group')}").mkdir(),
}


@pytest.mark.parametrize("stranger", STRANGERS)
def test_groups_that_are_only_called_as_a_runs_are_somebodys_own(host: Host, stranger: str) -> None:
    """They and what runs in them stay, and each is told with what removes it."""
    _, tops = host
    theirs = [top / "whalefall" / "lab" for top in tops]
    for each in theirs:
        each.mkdir(parents=True)
        STRANGERS[stranger](each)
        holding(each, os.getppid())
    assert "lab" not in cgroups.runs()
    assert cgroups.processes("lab") == set()
    assert cgroups.left("lab") == []
    cgroups.remove("lab")
    assert all(each.is_dir() for each in theirs)
    said = cgroups.strangers()
    assert len(said) == len(tops)
    assert all(
        f"control group {each}: left alone" in one and f"`find {each} -depth -type d -delete`" in one
        for each, one in zip(theirs, said, strict=True)
    )


def test_a_group_of_somebodys_keeps_the_last_run_from_nothing(bare: Kernel) -> None:
    """What was handed down is put back although their folder stays."""
    (bare.root / "whalefall" / "lab").mkdir()
    cgroups.make(RUN, "n1")
    bare.settle()
    emptied(bare.root, RUN)
    as_the_kernel_removes_them(bare.root / "whalefall" / RUN)
    cgroups.remove(RUN)
    assert not controllers.note().exists()
    assert (bare.root / "whalefall" / "lab").is_dir()


# -- processes


def holding(group: Path, *numbers: int) -> None:
    """Let a group hold these pids."""
    group.mkdir(parents=True, exist_ok=True)
    (group / "cgroup.procs").write_text("".join(f"{each}\n" for each in numbers))


def test_processes_are_those_in_a_group_and_inside_it(host: Host) -> None:
    """Told apart by node, also by one whose name goes on; those that have ended meanwhile are left out."""
    _, tops = host
    for node in ("n1", "n1.host", "n10"):
        cgroups.make(RUN, node)
    me, parent = Process.of(os.getpid()), Process.of(os.getppid())
    top = tops[-1] / "whalefall" / RUN
    holding(top / "n1" / "system.slice" / "docker.service", os.getpid(), NOBODY)
    holding(top / "n10", os.getppid())
    assert cgroups.processes(RUN, "n1") == {me}
    assert cgroups.processes(RUN, "n10") == {parent}
    assert cgroups.processes(RUN, "n1.host") == set()
    assert cgroups.processes(RUN) == {me, parent}
    assert cgroups.processes("other-1") == set()


def test_a_process_in_several_hierarchies_is_one(host: Host) -> None:
    """It is in all of them."""
    for group in cgroups.make(RUN, "n1"):
        holding(group, os.getpid())
    assert cgroups.processes(RUN) == {Process.of(os.getpid())}


# -- freezing


def freezer(host: Host, node: str = "n1") -> Path:
    """Return the file that freezes a node."""
    return control(host, node, "freezer/{group}/freezer.state", "cgroup.freeze")


def test_a_node_is_frozen_and_thawed(host: Host) -> None:
    """By the words of the host's kind, in its own group only."""
    v1 = host[0] == "hybrid"
    cgroups.make(RUN, "n1")
    cgroups.make(RUN, "n1.host")
    cgroups.freeze(RUN, "n1", frozen=True)
    assert freezer(host).read_text() == ("FROZEN" if v1 else "1")
    assert cgroups.frozen(RUN, "n1")
    assert not cgroups.frozen(RUN, "n1.host")
    assert not freezer(host, "n1.host").exists()
    cgroups.freeze(RUN, "n1", frozen=False)
    assert freezer(host).read_text() == ("THAWED" if v1 else "0")
    assert not cgroups.frozen(RUN, "n1")


@pytest.mark.parametrize(("v1", "v2", "frozen"), [("FROZEN\n", "1\n", True), ("FREEZING\n", "1\n", True), ("THAWED\n", "0\n", False)])
def test_frozen_is_what_the_kernel_says(host: Host, v1: str, v2: str, frozen: bool) -> None:
    """On its way is frozen, too: it must be thawed."""
    cgroups.make(RUN, "n1")
    freezer(host).write_text(v1 if host[0] == "hybrid" else v2)
    assert cgroups.frozen(RUN, "n1") is frozen


def test_a_node_that_is_gone_cannot_be_frozen_and_need_not_be_thawed(host: Host) -> None:
    """To freeze nothing would be a fault that never was; to thaw nothing is done already."""
    with pytest.raises(HarnessError, match=r"n1: cannot be frozen: .* is not there; does the node exist\?"):
        cgroups.freeze(RUN, "n1", frozen=True)
    cgroups.freeze(RUN, "n1", frozen=False)
    assert not cgroups.frozen(RUN, "n1")


# -- throttling


def throttles(host: Host) -> list[Path]:
    """Return the files that limit a node's disk."""
    if host[0] == "v2":
        return [control(host, "n1", "", "io.max")]
    return [control(host, "n1", f"blkio/{{group}}/blkio.throttle.{way}_iops_device", "") for way in ("write", "read")]


def test_a_limit_is_given_both_ways_and_lifted(host: Host) -> None:
    """In the words of the host's kind: 0 lifts on v1, and is refused on v2."""
    v1 = host[0] == "hybrid"
    cgroups.make(RUN, "n1")
    cgroups.throttle(RUN, "n1", DEVICE, 4)
    assert [each.read_text() for each in throttles(host)] == (["7:3 4"] * 2 if v1 else ["7:3 riops=4 wiops=4"])
    assert cgroups.throttled(RUN, "n1", DEVICE) == 4
    cgroups.throttle(RUN, "n1", DEVICE, None)
    assert [each.read_text() for each in throttles(host)] == (["7:3 0"] * 2 if v1 else ["7:3 riops=max wiops=max"])


LIMITS = [
    # as the v1 kernel lists it; as the v2 kernel does; the limit
    ("", "", None),
    ("7:3 4\n", "7:3 rbps=max wbps=max riops=4 wiops=4\n", 4),
    ("7:1 9\n7:3 4\n", "7:1 rbps=max wbps=max riops=9 wiops=9\n7:3 rbps=max wbps=max riops=max wiops=4\n", 4),
    ("7:30 4\n", "7:30 rbps=max wbps=max riops=4 wiops=4\n", None),
    ("17:3 4\n", "17:3 rbps=max wbps=max riops=4 wiops=4\n", None),
]


@pytest.mark.parametrize(("v1", "v2", "limit"), LIMITS)
def test_a_limit_is_what_the_kernel_lists_for_that_device(host: Host, v1: str, v2: str, limit: int | None) -> None:
    """No other device, none whose number only looks alike."""
    cgroups.make(RUN, "n1")
    throttles(host)[0].write_text(v1 if host[0] == "hybrid" else v2)
    assert cgroups.throttled(RUN, "n1", DEVICE) == limit


def test_a_limit_of_reads_or_bytes_is_none_on_writes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """On v2 one line holds all kinds."""
    monkeypatch.setattr(cgroups, "ROOT", tmp_path)
    pure(tmp_path)
    (group,) = cgroups.make(RUN, "n1")
    (group / "io.max").write_text("7:3 rbps=1024 wbps=max riops=4 wiops=max\n")
    assert cgroups.throttled(RUN, "n1", DEVICE) is None


def test_a_node_that_is_gone_cannot_be_throttled(host: Host) -> None:
    """Neither limited nor set free in silence; and no limit is in force."""
    for iops in (4, None):
        with pytest.raises(HarnessError, match=r"n1: the kernel refused '7:3 .*' in .*/n1/"):
            cgroups.throttle(RUN, "n1", DEVICE, iops)
    assert cgroups.throttled(RUN, "n1", DEVICE) is None


# -- what is put back, on a host that nobody else manages


class Kernel:
    """Play what the kernel does with a written ``cgroup.subtree_control``: it holds plain names then. Called between two steps of ours."""

    def __init__(self, root: Path, before: str) -> None:
        self.root = root
        (root / "cgroup.subtree_control").write_text(before)
        self.had = {root: set(before.split())}

    def settle(self) -> dict[str, list[str]]:
        """Apply what was written since; return what each group hands down now, by its path below the root."""
        now = {}
        for file in sorted(self.root.rglob("cgroup.subtree_control")):
            had = self.had.setdefault(file.parent, set())
            for word in file.read_text().split():
                if word[0] in "+-":
                    (had.add if word[0] == "+" else had.discard)(word[1:])
            file.write_text(" ".join(sorted(had)))
            now[str(file.parent.relative_to(self.root))] = sorted(had)
        return now


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Kernel:
    """Lend a pure v2 host that no systemd runs, on which somebody has handed memory down."""
    monkeypatch.setattr(cgroups, "ROOT", tmp_path)
    pure(tmp_path)
    return Kernel(tmp_path, "memory")


def emptied(root: Path, run_id: str) -> None:
    """Take a run's own files away, so that its folder can be removed as a group can."""
    as_the_kernel_removes_them(root / "whalefall" / run_id / "n1")


def test_the_roots_controllers_are_put_back_after_the_last_run(bare: Kernel) -> None:
    """And what was there is noted only once: the second run finds the first one's."""
    (bare.root / "whalefall" / "cut-2").mkdir()
    (bare.root / "whalefall" / "cut-2" / "cgroup.controllers").write_text("cpu io memory\n")
    cgroups.make(RUN, "n1")
    assert bare.settle()["."] == ["cpu", "io", "memory"]
    cgroups.make("cut-2", "n1")
    bare.settle()
    emptied(bare.root, RUN)
    as_the_kernel_removes_them(bare.root / "whalefall" / RUN)
    cgroups.remove(RUN)
    assert bare.settle()["."] == ["cpu", "io", "memory"], "the other run needs them"
    assert controllers.note().exists()
    emptied(bare.root, "cut-2")
    cgroups.remove("cut-2")
    now = bare.root / "cgroup.subtree_control"
    assert now.read_text() == "-io", "what was added is taken, one by one, the last of them"
    assert not controllers.note().exists()
    assert {each.name for each in state.REGISTRY.iterdir()} == {marks.KEY, *(f"{each}.json" for each in RUNS)}, "no lock, and no note"


def test_a_run_that_still_has_a_process_keeps_the_roots_controllers(bare: Kernel) -> None:
    """They are put back by whoever removes the rest: the reaper, or a sweep."""
    cgroups.make(RUN, "n1")
    bare.settle()
    (bare.root / "whalefall" / RUN / "n1" / "cgroup.procs").touch()
    cgroups.remove(RUN)
    assert bare.settle()["."] == ["cpu", "io", "memory"]
    assert controllers.note().exists()
    emptied(bare.root, RUN)
    cgroups.remove(RUN)
    assert not controllers.note().exists()


def test_the_last_run_puts_back_however_it_sees_the_tree(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One that has the same tree beside v1 ends after one that had it alone."""
    monkeypatch.setattr(cgroups, "ROOT", tmp_path)
    hybrid(tmp_path)
    unified = tmp_path / "unified"
    (unified / "cgroup.controllers").write_text("hugetlb\n")
    (unified / "cgroup.subtree_control").write_text("hugetlb")
    controllers.note().write_text("[]")
    cgroups.make(RUN, "n1")
    cgroups.remove(RUN)
    assert (unified / "cgroup.subtree_control").read_text() == "-hugetlb"
    assert not controllers.note().exists()


def test_a_damaged_note_takes_nothing_from_the_root(bare: Kernel) -> None:
    """Nobody knows any more what was there."""
    cgroups.make(RUN, "n1")
    bare.settle()
    controllers.note().write_text("{")
    emptied(bare.root, RUN)
    cgroups.remove(RUN)
    assert bare.settle()["."] == ["cpu", "io", "memory"]
    assert not controllers.note().exists()


# -- on a host that systemd runs


@pytest.fixture
def managed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Lend a pure v2 host that systemd runs, with a scope that it made for the run; return the scope's folder."""
    monkeypatch.setattr(cgroups, "ROOT", tmp_path)
    monkeypatch.setattr(scope, "SYSTEMD", tmp_path)
    ours = tmp_path / "system.slice" / f"whalefall-{RUN}.scope"
    for group in (tmp_path, ours.parent, ours):
        group.mkdir(exist_ok=True)
        (group / "cgroup.controllers").write_text("cpu io memory\n")
        (group / "cgroup.procs").touch()
    holding(ours / "holder", os.getppid())
    return ours


def tool(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, script: str) -> None:
    """Have a program of systemd's that does this."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def test_systemds_tree_is_left_alone(managed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All groups are in the scope, and nothing above it is written, nor noted, nor removed."""
    root = managed.parent.parent
    assert cgroups.make(RUN, "n1") == [managed / "n1"]
    assert {each.parent for each in root.rglob("cgroup.subtree_control")} == {managed}
    assert (managed / "cgroup.subtree_control").read_text() == "+cpu +io +memory"
    assert not (root / "whalefall").exists()
    assert not controllers.note().exists()
    cgroups.freeze(RUN, "n1", frozen=True)
    assert (managed / "n1" / "cgroup.freeze").read_text() == "1"
    assert cgroups.runs() == {RUN}
    assert cgroups.left(RUN) == [managed]
    assert cgroups.processes(RUN) == {Process.of(os.getppid())}, "what holds the scope is the run's, and ends with it"
    tool(root / "tools", monkeypatch, "systemctl", f'[ "$*" = "stop {managed.name}" ] && rmdir "{managed}"')
    (managed / "holder" / "cgroup.freeze").touch()
    cgroups.remove(RUN)
    assert cgroups.left(RUN) == [managed], "not while anything is in it"
    as_the_kernel_removes_them(managed)
    cgroups.remove(RUN)
    assert cgroups.left(RUN) == []
    assert managed.parent.is_dir()
    cgroups.remove(RUN)


def test_a_scope_that_systemd_knows_no_more_is_removed(managed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And one that it does not end is said, with its own words."""
    tool(managed.parent.parent / "tools", monkeypatch, "systemctl", "echo Access denied >&2; exit 5")
    as_the_kernel_removes_them(managed)
    (managed / "holder").rmdir()
    (managed / "cgroup.procs").touch()  # a folder that cannot be removed
    with pytest.raises(HarnessError, match=r"systemd did not end the scope whalefall-cut-1.scope \(status 5\): Access denied"):
        cgroups.remove(RUN)
    as_the_kernel_removes_them(managed)
    cgroups.remove(RUN)
    assert cgroups.left(RUN) == []


def test_a_hybrid_host_needs_no_scope(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whoever runs it: no controller is handed down there."""
    monkeypatch.setattr(cgroups, "ROOT", tmp_path)
    monkeypatch.setattr(scope, "SYSTEMD", tmp_path)
    tops = hybrid(tmp_path)
    assert cgroups.make(RUN, "n1") == [each / "whalefall" / RUN / "n1" for each in tops]
    assert not controllers.note().exists()


def test_a_scope_that_systemd_does_not_give_is_said(managed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its own words."""
    tool(managed.parent.parent / "tools", monkeypatch, "systemd-run", "echo Access denied >&2; exit 1")
    with pytest.raises(HarnessError, match=r"systemd gave us no scope whalefall-cut-9.scope of our own \(status 1\): Access denied"):
        cgroups.make("cut-9", "n1")


@pytest.mark.parametrize("umask", [0o000, 0o077, 0o777])
def test_nobody_else_may_make_a_group_in_ours(host: Host, umask: int) -> None:
    """One would keep ours from being removed, and count as a run's."""
    before = os.umask(umask)
    try:
        made = cgroups.make(RUN, "n1")
    finally:
        os.umask(before)
    # With version 2 what is above a node's group was laid out before.
    above = {each for group in made for each in (group.parent, group.parent.parent)} if host[0] == "hybrid" else set()
    assert {stat.S_IMODE(each.stat().st_mode) for each in {*made, *above}} == {0o755}


# -- one at a time


def test_nobody_else_can_keep_us_from_our_groups(host: Host) -> None:
    """Every user may open the tree's folders, and lock them: that must not hold up a run, nor its removal."""
    _, tops = host
    with contextlib.ExitStack() as stack:
        for each in (tops[0], tops[0].parent):
            handle = os.open(each, os.O_RDONLY)
            stack.callback(os.close, handle)
            fcntl.flock(handle, fcntl.LOCK_EX)
        made = cgroups.make(RUN, "n1")
        assert all(each.is_dir() for each in made)
        cgroups.remove(RUN)


@pytest.fixture
def _empty(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Have a register in which no run is."""
    monkeypatch.setattr(state, "REGISTRY", tmp_path / "machine" / "empty")


@pytest.mark.usefixtures("_empty")
def test_the_lock_is_for_root_alone_and_is_gone_afterwards() -> None:
    """Whatever the umask."""
    before = os.umask(0)
    try:
        with alone.alone():
            assert stat.S_IMODE(state.REGISTRY.stat().st_mode) == 0o700
            assert list(state.REGISTRY.iterdir()) == []
    finally:
        os.umask(before)
    assert not state.REGISTRY.exists()


@pytest.mark.usefixtures("_empty")
def test_runs_are_alone_one_after_the_other() -> None:
    """Also where whoever comes next has opened a lock that is removed by whoever has it."""
    inside: list[int] = []
    most: list[int] = []

    def work() -> None:
        for _ in range(30):
            with alone.alone():
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(60)
    assert (len(most), set(most)) == (120, {1})
    assert not state.REGISTRY.exists()


@pytest.mark.usefixtures("_empty")
def test_a_lock_that_was_removed_meanwhile_is_nobodys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever had it removed it between our opening it and our having it, and the next one made another: two would be alone at once."""
    flock = fcntl.flock
    ours: list[os.stat_result] = []

    def late(handle: int, how: int) -> None:
        if not ours:
            state.REGISTRY.rename(state.REGISTRY.with_name("removed"))
            ours.append(os.fstat(handle))
            state.REGISTRY.mkdir(0o700)
        flock(handle, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with alone.alone():
        assert not os.path.samestat(state.REGISTRY.stat(), ours[0])
        other = os.open(state.REGISTRY, os.O_RDONLY)
        with pytest.raises(BlockingIOError):
            flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(other)


def test_a_run_that_holds_the_lock_for_good_is_said_and_a_stop_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where that one does not come to an end; `test_locks` tries it with another process."""
    monkeypatch.setattr(alone, "ALONE_SECONDS", 0.05)
    with alone.alone():
        with pytest.raises(HarnessError, match=r"the lock .*: process \d+ "), alone.alone():
            pass
        monkeypatch.setattr(alone, "ALONE_SECONDS", 3600.0)
        with stops.listening(lambda: stops.Stopped("stop")), pytest.raises(stops.Stopped), alone.alone():
            pass
