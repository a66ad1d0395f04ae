"""Whose a FUSE connection is: ours only, whatever number it was given again under."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from harness.disk import fuse_connection

HERE = "/runs/cut-1/nodes/n1/fuse"
BOOT = Path("/proc/sys/kernel/random/boot_id").read_text().strip()

CASES = [
    # what the kernel has (number: requests that wait); where number 7 is mounted; whether it is ours and still there
    ("mounted by us, idle", {7: 0}, {7: {(HERE, fuse_connection.SOURCE)}}, True),
    ("mounted by us, in a copy of a namespace too", {7: 0}, {7: {(HERE, fuse_connection.SOURCE), ("/elsewhere", "x")}}, True),
    ("mounted nowhere, and somebody waits", {7: 2}, {}, True),
    ("mounted nowhere, and nobody waits", {7: 0}, {}, False),
    ("gone", {8: 1}, {}, False),
    ("given again to somebody else", {7: 3}, {7: {("/mnt/theirs", "sshfs")}}, False),
    ("given again to another run of ours", {7: 3}, {7: {("/runs/other-1/nodes/n1/fuse", fuse_connection.SOURCE)}}, False),
    ("given again to somebody who mounts at our place", {7: 3}, {7: {(HERE, "sshfs")}}, False),
]


@pytest.mark.parametrize(("kernel", "mounted", "ours"), [each[1:] for each in CASES], ids=[each[0] for each in CASES])
def test_only_our_own_connection_is_broken_off(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kernel: dict[int, int], mounted: dict[int, set[tuple[str, str]]], ours: bool
) -> None:
    """By where it is mounted, or by nobody who could answer."""
    ended: list[int] = []

    def asked(*numbers: int) -> dict[int, int]:
        ended.extend(numbers)
        return kernel

    monkeypatch.setattr(fuse_connection, "_kernel", asked)
    monkeypatch.setattr(fuse_connection, "_mounted_anywhere", lambda: mounted)
    note = tmp_path / "disk.connection"
    note.write_text(json.dumps({"boot": BOOT, "number": 7}))
    assert fuse_connection.open_ones([(note, Path(HERE))]) == ({note: 7} if ours else {})
    fuse_connection.abort([(note, Path(HERE))])
    assert ended == ([7] if ours else [])


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"boot": 1}', '{"boot": "another-start", "number": 7}', '{"number": 7}'])
def test_a_note_that_is_damaged_or_of_another_start_of_this_machine_names_nobody(tmp_path: Path, text: str) -> None:
    """Numbers mean nothing after a restart."""
    note = tmp_path / "disk.connection"
    assert fuse_connection.read(note) is None
    note.write_text(text)
    assert fuse_connection.read(note) is None
    assert fuse_connection.open_ones([(note, Path(HERE))]) == {}


def test_what_is_not_mounted_is_not_noted(tmp_path: Path) -> None:
    """Then the disk does not start."""
    with pytest.raises(FileNotFoundError, match=r"nothing of ours is mounted at "):
        fuse_connection.note(tmp_path / "disk.connection", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_daemon_tells_by_its_name_what_it_serves() -> None:
    """Whoever is no daemon, or is gone, tells nothing."""
    script = 'printf wf-disk-%s "$1" >/proc/self/comm; echo; read -r _'
    with contextlib.ExitStack() as stack:
        children = [
            stack.enter_context(subprocess.Popen(["sh", "-c", script, "sh", said], stdin=subprocess.PIPE, stdout=subprocess.PIPE))
            for said in ("7", "1048575", "x", "")
        ]
        for each in children:
            assert each.stdout is not None
            assert each.stdout.readline() == b"\n"
        gone = 2**22 + 1
        assert fuse_connection.served_by([*(each.pid for each in children), os.getpid(), gone]) == {7, 1048575}
        for each in children:
            each.kill()


def test_what_runs_in_a_node_is_no_daemon_of_ours_whatever_it_calls_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would have a file system of somebody else's broken off."""
    script = "echo wf-disk-7 >/proc/self/comm; echo; read -r _"
    with subprocess.Popen(["sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"\n"
        assert fuse_connection.served_by([child.pid]) == {7}
        monkeypatch.setattr(fuse_connection, "_processes_of", {"self": "pid:[1]", child.pid: "pid:[2]"}.__getitem__)
        assert fuse_connection.served_by([child.pid]) == set()
        child.kill()


@pytest.mark.parametrize(
    ("mounted", "ours"),
    [
        ({}, True),
        ({7: {(HERE, fuse_connection.SOURCE)}}, True),
        ({7: {(HERE, fuse_connection.SOURCE), ("/elsewhere", "x")}}, True),
        ({7: {("/mnt/theirs", "sshfs")}}, False),
        ({7: {(HERE, "sshfs")}}, False),
        ({7: {("/runs/other-1/nodes/n1/fuse", fuse_connection.SOURCE)}}, False),
    ],
    ids=["nowhere", "ours", "ours, in a copy", "somebody else's", "somebody else's at our place", "another run's"],
)
def test_a_connection_that_a_daemon_says_it_serves_is_broken_off_only_where_no_mount_says_that_it_is_not_ours(
    monkeypatch: pytest.MonkeyPatch, mounted: dict[int, set[tuple[str, str]]], ours: bool
) -> None:
    """Its file system is gone, and its number was given again."""
    ended: list[int] = []
    monkeypatch.setattr(fuse_connection, "_kernel", lambda *numbers: ended.extend(numbers))
    monkeypatch.setattr(fuse_connection, "_mounted_anywhere", lambda: mounted)
    fuse_connection.abort([], {7}, Path("/runs/cut-1"))
    assert ended == ([7] if ours else [])


def test_a_connection_that_goes_while_it_is_looked_at_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its number was listed, and what waits on it could not be read any more."""

    def run(argv: Sequence[str], **_: object) -> subprocess.CompletedProcess[bytes]:
        return subprocess.CompletedProcess(argv, 0, b"7 0\n8 \n9\n10 2\n", b"")

    monkeypatch.setattr(fuse_connection, "run_bounded", run)
    assert fuse_connection._kernel() == {7: 0, 10: 2}
