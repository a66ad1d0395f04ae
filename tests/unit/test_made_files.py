"""What the harness makes beside a run: nobody else may write to it, whatever the umask, and no link leads it elsewhere."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.cli.telling import tell
from harness.core.clock import SystemClock
from harness.core.errors import BadInput, HarnessError
from harness.history.recorder import Recorder
from harness.host import untrusted
from harness.providers.story import Narrator
from harness.runs.run import find
from harness.undo.ledger import Ledger
from harness.undo.reaper import Reaper


@pytest.fixture
def _open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.usefixtures("_open_umask")
def test_nobody_else_may_write_to_what_is_made(tmp_path: Path) -> None:
    """Folders and files of a run, with an umask that takes nothing away."""
    folder = tmp_path / "results" / "run-1"
    untrusted.make(folder)
    untrusted.write(folder, "logs/n1/daemon.log", b"said")
    (tmp_path / "console").write_text("said")
    Narrator().keep({"n1": tmp_path / "console"}, folder / "consoles")
    Recorder(folder / "history.jsonl", SystemClock()).close()
    tell(ZeroDivisionError("a bug"), folder)
    made = [folder.parent, *folder.parent.rglob("*")]
    assert {path.name for path in made} >= {"run-1", "logs", "n1", "daemon.log", "consoles", "n1.log", "history.jsonl", "crash.txt"}
    assert {path: _mode(path) for path in made} == {path: 0o755 if path.is_dir() else 0o644 for path in made}


@pytest.mark.usefixtures("_open_umask")
def test_what_root_acts_by_is_for_its_owner_alone(tmp_path: Path) -> None:
    """The ledger, and the log of whoever mends by it."""
    ledger = Ledger(tmp_path / "ledger.jsonl", "run-1", "nspawn", "fleet", SystemClock())
    reaper = Reaper("run-1", ledger.path, "nspawn").start()
    reaper.dismiss()
    assert (_mode(ledger.path), _mode(tmp_path / "reaper.log")) == (0o600, 0o600)


@pytest.mark.parametrize("place", ["logs", "logs/n1"])
def test_no_link_leads_logs_elsewhere(tmp_path: Path, place: str) -> None:
    """Neither the folder of all nor that of a node."""
    folder, other = tmp_path / "run-1", tmp_path / "other"
    (folder / place).parent.mkdir(parents=True)
    (other / "n1").mkdir(parents=True)
    (folder / place).symlink_to(other)
    with pytest.raises(BadInput, match="a folder"):
        untrusted.write(folder, "logs/n1/daemon.log", b"said")
    assert not [path for path in other.rglob("*") if path.is_file()]


def test_no_link_leads_the_details_of_a_crash_elsewhere(tmp_path: Path) -> None:
    """They take its place."""
    other = tmp_path / "other"
    other.write_text("precious")
    (tmp_path / "crash.txt").symlink_to(other)
    tell(ZeroDivisionError("a bug"), tmp_path)
    assert other.read_text() == "precious"
    assert "ZeroDivisionError" in (tmp_path / "crash.txt").read_text()


def test_no_link_leads_a_ledger_a_log_or_a_history_elsewhere(tmp_path: Path) -> None:
    """Each is an error instead."""
    other = tmp_path / "other"
    other.write_text("precious")
    for name in ("ledger.jsonl", "reaper.log", "history.jsonl"):
        (tmp_path / name).symlink_to(other)
    with pytest.raises(HarnessError, match="the ledger"):
        Ledger(tmp_path / "ledger.jsonl", "run-1", "nspawn", "fleet", SystemClock())
    with pytest.raises(HarnessError, match="the reaper's log"):
        Reaper("run-1", tmp_path / "ledger.jsonl", "nspawn").start()
    with pytest.raises(OSError, match="symbolic link"):
        Recorder(tmp_path / "history.jsonl", SystemClock())
    assert other.read_text() == "precious"


@pytest.mark.parametrize("name", ["none", "a/b", "run"])
def test_names_of_folders_forge_no_line_of_an_error(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Where a run is not found, or not the only one."""
    for each in ("run-1\nrun-3: held", "run-2\nrun-3: held"):
        (tmp_path / each).mkdir()
        (tmp_path / each / "plan.json").write_text("{}")
    with pytest.raises(HarnessError) as caught:
        find(tmp_path, name)
    tell(caught.value)
    assert len(capsys.readouterr().err.splitlines()) == 1
