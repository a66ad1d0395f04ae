"""Asking libvirt: every refusal and every silence is an error that says what to do, and no answer is taken for another."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.core.errors import CommandFailed, HarnessError
from harness.host import marks
from harness.host.processes import Process
from harness.providers import clusters
from harness.providers.vagrant.virsh import ON, Virsh

VIRSH = Virsh("qemu:///system?socket=/run/a", "cut-1")

Says = Callable[[str], None]


@pytest.fixture
def says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Says:
    """Return a way to put a `virsh` on PATH that is this script."""
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")

    def put(script: str) -> None:
        (tmp_path / "virsh").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "virsh").chmod(0o755)

    return put


def test_arguments_arrive_as_they_are(says: Says) -> None:
    """Through no shell, at this libvirt, with the mark by which a dead harness's helpers are found."""
    clusters.register("cut-1", Process(1, 1), "vagrant")
    says(f'printf "%s\\n" "$@" "${marks.VARIABLE}"')
    argv = ("destroy", "a b", "$(id)")
    assert VIRSH.ask(*argv).splitlines() == ["--quiet", "--connect", VIRSH.uri, *argv, marks.environ("cut-1")[marks.VARIABLE]]


def test_a_refusal_is_an_error_with_what_was_said(says: Says) -> None:
    """And with what was asked."""
    says("echo \"error: failed to get domain 'wf-cut-1-n1'\" >&2; exit 1")
    with pytest.raises(
        CommandFailed, match=r"libvirt \(qemu.*\): 'domstate wf-cut-1-n1' exited with status 1: error: failed to get domain"
    ):
        VIRSH.state("wf-cut-1-n1")


def test_a_libvirt_that_hangs_is_no_answer(says: Says) -> None:
    """Bounded, and never "it is off"."""
    says("exec sleep 97.25")
    with pytest.raises(HarnessError, match=r"no answer to 'domstate a' after 0\.05 s; is its daemon hung"):
        VIRSH.ask("domstate", "a", seconds=0.05)


def test_a_virsh_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With the package that has it."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HarnessError, match="install the package libvirt-clients"):
        VIRSH.ask("version")


def test_a_machine_that_is_frozen_is_on(says: Says) -> None:
    """Power and pause are two things."""
    for state, on in {"running": True, "paused": True, "shut off": False, "crashed": False, "in shutdown": True}.items():
        says(f"echo '{state}'; echo")
        assert (VIRSH.state("a") in ON) is on


def test_only_what_is_the_runs_own_is_listed(says: Says) -> None:
    """By how its name begins, up to the dash: another run's id may begin alike."""
    says("printf 'wf-cut-1-n1\\nwf-cut-10-n1\\nother\\n\\n'")
    assert VIRSH.domains("wf-cut-1-") == ["wf-cut-1-n1"]
    assert VIRSH.networks("wf-cut-1-") == ["wf-cut-1-n1"]
    says('[ "$4" = pool-refresh ] || printf " wf-cut-1-n1.img   /pool/wf-cut-1-n1.img\\n base.img   /pool/base.img\\n"')
    assert VIRSH.volumes("default", "wf-cut-1-") == ["wf-cut-1-n1.img"]


@pytest.mark.parametrize(
    ("said", "limit"), [("total_iops_sec : 12", 12), ("total_bytes_sec: 7\ntotal_iops_sec : 0\ntotal_iops_sec_max: 9", 0)]
)
def test_a_disks_limit_is_read_from_the_running_machine(says: Says, said: str, limit: int) -> None:
    """The line of that name, and none that begins alike."""
    says(f"printf '{said}\\n'")
    assert VIRSH.iops("a", "vdb") == limit


def test_a_limit_that_is_not_named_is_not_none(says: Says) -> None:
    """Could not ask is never no."""
    says("echo")
    with pytest.raises(HarnessError, match="names no total_iops_sec"):
        VIRSH.iops("a", "vdb")
