"""What a run that ended early left: told as far as it can be known, and not as broken what went with its nodes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.cli.running import _where
from harness.faults.power import NodeKill
from harness.host import state
from harness.testing.fake_clock import FakeClock
from harness.undo import leaving
from harness.undo.ledger import Ledger
from tests.unit.sessions import bare_plan

OTHER = "an-earlier-run"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a run with a fault that no line says to be mended."""
    monkeypatch.setenv("WHALEFALL_STATE", str(tmp_path / "state"))
    made = tmp_path / "results" / "run-1"
    made.mkdir(parents=True)
    Ledger(made / "ledger.jsonl", "run-1", "memory", "bare", FakeClock()).open(1, NodeKill(), ("n1",))
    return made


def _note(folder: Path, body: object) -> None:
    (folder / "environment.json").write_text(json.dumps(body))


def test_nodes_are_gone_when_their_cluster_has_no_folder(folder: Path) -> None:
    """Its own, or that of the earlier run that it was made for."""
    plan = bare_plan()
    assert leaving.is_gone(folder, plan)
    for made_for in ("run-1", OTHER):
        _note(folder, {"made_for": made_for} if made_for == OTHER else {})
        state.run_folder(made_for).mkdir(parents=True)
        assert not leaving.is_gone(folder, plan)
        state.run_folder(made_for).rmdir()
    assert leaving.is_gone(folder, plan)


def test_where_results_do_not_tell_whose_nodes_they_were_they_are_not_gone(folder: Path) -> None:
    """A disk that died, say: what the ledger says is told then."""
    (folder / "environment.json").mkdir()
    assert not leaving.is_gone(folder, bare_plan())
    assert "NOT known to be mended: node.kill on n1" in leaving.still_broken(folder)


def test_a_folder_that_was_removed_is_not_named_as_kept(folder: Path) -> None:
    """Who reads it would look for it."""
    assert _where(folder).startswith(f"kept in {folder}")
    (folder / "ledger.jsonl").unlink()
    folder.rmdir()
    assert _where(folder) == f"nothing of it is kept: {folder} was removed"
