"""What a machine must have for nspawn nodes: each missing thing is one clear line, and a machine that has all is told nothing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.providers import room
from harness.providers.nspawn import cgroups, preflight
from harness.values import NodeSpec

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
    for module in (preflight, room):
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
    assert preflight.problems(()) == []
    assert preflight.problems(specs(3)) == []


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
    assert preflight.problems(specs(1)) == [said]


@pytest.mark.parametrize("tool", preflight.TOOLS)
def test_each_missing_program_is_one_line_with_its_package(root: Path, monkeypatch: pytest.MonkeyPatch, tool: str) -> None:
    """The package's name is not always the program's."""
    monkeypatch.setattr(shutil, "which", lambda asked, **_: None if asked == tool else f"/usr/bin/{asked}")
    assert preflight.problems(()) == [f"{tool} is missing: install the package {preflight.TOOLS[tool]}, or run ./setup"]


def test_memory_is_asked_for_by_the_number_of_nodes(root: Path) -> None:
    """Six nodes fit into 1000 MB, seven do not."""
    assert preflight.problems(specs(6)) == []
    assert preflight.problems(specs(7)) == ["1000 MB of memory are free; 7 nodes need about 1050 MB"]


def test_all_that_is_missing_is_told_at_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody wants to be told one thing a try; no line is told twice."""
    for take, _ in MISSING.values():
        take(root, monkeypatch)
    monkeypatch.setattr(shutil, "which", lambda tool, **_: None)
    found = preflight.problems(specs(7))
    assert len(found) == len(set(found)) == len(MISSING) + len(preflight.TOOLS) + 1
    assert not [line for line in found if "\n" in line]
