"""The control groups that we stand in: a container, a CI job or a service may give less than the machine has."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.providers.nspawn import capacity, cgroups, enclosure

MIB = 1 << 20


@pytest.fixture
def proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Play a machine of which only control groups are known, and return its /proc."""
    (tmp_path / "proc" / "self").mkdir(parents=True)
    (tmp_path / "cgroup").mkdir()
    monkeypatch.setattr(capacity, "PROC", tmp_path / "proc")
    monkeypatch.setattr(cgroups, "ROOT", tmp_path / "cgroup")
    return tmp_path / "proc"


def _group(path: Path, **files: str) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (path / name.replace("__", ".")).write_text(text + "\n")
    return path


def _stands_in(proc: Path, *lines: str) -> None:
    (proc / "self" / "cgroup").write_text("".join(f"{line}\n" for line in lines))


def test_processes_of_version_1_are_limited_by_every_group_above(proc: Path) -> None:
    """Nodes stay in the caller's group; the tightest is told first, with what lifts it."""
    root = cgroups.ROOT
    _stands_in(proc, "8:pids:/ci/job", "0::/")
    job = _group(root / "pids" / "ci" / "job", pids__max="500", pids__current="80")
    _group(root / "pids" / "ci", pids__max="max", pids__current="90")
    assert capacity.problems(3) == []
    (said,) = capacity.problems(4)
    assert said == f"4 nodes need 540 processes; {job}/pids.max is 500, 80 in use, 120 a node: 3 would fit; echo 1024 >{job}/pids.max"
    above = _group(root / "pids" / "ci", pids__max="300", pids__current="90")
    assert [each.setting for each in capacity.limits()] == [f"{above}/pids.max", f"{job}/pids.max"]


def test_memory_of_version_1_counts_without_what_can_be_taken_back(proc: Path) -> None:
    """Files that were read are no memory that is gone. No limit is a very large number."""
    root = cgroups.ROOT
    _stands_in(proc, "4:memory:/job")
    job = _group(
        root / "memory" / "job",
        memory__limit_in_bytes=str(1000 * MIB),
        memory__usage_in_bytes=str(700 * MIB),
        memory__stat=f"cache 1\ntotal_inactive_file {600 * MIB}",
    )
    _group(root / "memory", memory__limit_in_bytes="9223372036854771712", memory__usage_in_bytes=str(9000 * MIB))
    assert capacity.problems(4) == []
    (said,) = capacity.problems(5)
    assert said == (
        f"5 nodes need 1000 MB of memory; {job}/memory.limit_in_bytes is 1000 MB, 100 MB in use, 150 MB a node: 4 would fit; "
        f"echo {2048 * MIB} >{job}/memory.limit_in_bytes"
    )


def test_with_version_2_alone_nodes_leave_the_callers_group(proc: Path) -> None:
    """What limits that limits the harness alone; what limits the top, as in a container, limits all."""
    root = _group(cgroups.ROOT, cgroup__controllers="memory pids")
    _stands_in(proc, "0::/user/job")
    job = _group(root / "user" / "job", pids__max="100", pids__current="10", memory__max="max", memory__high=str(300 * MIB))
    assert capacity.problems(1) == []
    assert [(limit.setting, limit.fits) for limit in capacity.limits()] == [(f"{job}/pids.max", 1), (f"{job}/memory.high", 5)]
    _group(root, pids__max="1000", pids__current="700", memory__max=str(500 * MIB), memory__current=str(100 * MIB))
    assert {(limit.setting, limit.fits) for limit in capacity.limits()} == {
        (f"{root}/memory.max", 1),
        (f"{job}/pids.max", 1),
        (f"{root}/pids.max", 2),
        (f"{job}/memory.high", 5),
    }


@pytest.mark.parametrize("path", ["/docker/0123abc", "/../../init.scope", "/"])
def test_a_container_that_sees_a_part_of_the_tree_is_held_to_that_parts_top(proc: Path, path: str) -> None:
    """Its own group's path, as the whole machine knows it, is not there."""
    top = _group(cgroups.ROOT / "pids", pids__max="64", pids__current="4")
    _stands_in(proc, f"8:pids:{path}")
    (limit,) = capacity.limits()
    assert (limit.setting, limit.fits) == (f"{top}/pids.max", 0)


@pytest.mark.parametrize("text", [None, "", "rubbish", "8:pids", "8:pids:/gone"])
def test_what_cannot_be_known_of_groups_stops_nobody(proc: Path, text: str | None) -> None:
    """No file, another format, a group that is gone."""
    if text is not None:
        (proc / "self" / "cgroup").write_text(text)
    _group(cgroups.ROOT / "pids", pids__max="max")
    _group(cgroups.ROOT / "memory", memory__limit_in_bytes="no number")
    assert enclosure.processes(cgroups.ROOT, proc) == enclosure.memory(cgroups.ROOT, proc) == []


def test_who_died_for_want_of_memory_is_counted_where_nodes_are(proc: Path) -> None:
    """In the caller's group of version 1, or in the run's own of version 2; a kernel that does not tell is no kernel that killed nobody."""
    root = cgroups.ROOT
    _stands_in(proc, "4:memory:/job", "0::/")
    run = root / "whalefall" / "oom-1"
    assert enclosure.killed(root, proc, run) is None
    _group(run, memory__events="low 0\noom 3\noom_kill 2\noom_group_kill 0")
    assert enclosure.killed(root, proc, run) == 2
    _group(root / "memory" / "job")
    assert enclosure.killed(root, proc, run) is None
    _group(root / "memory" / "job", memory__oom_control="oom_kill_disable 0\nunder_oom 0\noom_kill 5")
    assert enclosure.killed(root, proc, run) == 5


def test_processes_that_were_refused_are_counted_where_nodes_are(proc: Path) -> None:
    """In the caller's groups of version 1; in the run's and the caller's of version 2. What a node's own group was refused is its own doing."""
    root = cgroups.ROOT
    _stands_in(proc, "4:pids:/ci/job", "0::/me")
    run = root / "whalefall" / "few-1"
    assert enclosure.refused(root, proc, run) is None
    _group(run, pids__events="max 90", pids__events__local="max 2")
    _group(run / "n1", pids__events="max 88", pids__events__local="max 88")
    assert enclosure.refused(root, proc, run) == 2
    _group(root, cgroup__controllers="pids")
    _group(root / "me", pids__events="max 3")
    assert enclosure.refused(root, proc, run) == 5
    _group(root / "pids" / "ci" / "job", pids__events="max 4")
    _group(root / "pids" / "ci", pids__events="max 1")
    assert enclosure.refused(root, proc, run) == 5
    _group(root / "pids" / "ci" / "job" / "other", pids__events="max 70")
    assert enclosure.refused(root, proc, run) == 5
