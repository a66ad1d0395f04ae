"""What a run that ended early left, in words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.cli.running import _where
from harness.modes.fleet import Fleet
from harness.plan import plan
from harness.providers import PROVIDERS, clusters
from harness.scenario import loads
from harness.undo.leaving import NOTED_LINES, afterwards, left


def test_a_folder_that_was_removed_is_not_named_as_kept(tmp_path: Path) -> None:
    """Who reads it would look for it."""
    folder = tmp_path / "run-1"
    folder.mkdir()
    assert _where(folder).startswith(f"kept in {folder}")
    folder.rmdir()
    assert _where(folder) == f"nothing of it is kept: {folder} was removed"


class Lent:
    """A plug-in's provider of hosts that somebody else runs; of it no more than that."""

    name = "acme.lent"

    def spared(self, run_id: str) -> frozenset[str]:
        """Return nobody."""
        return frozenset()

    def at_once(self, run_id: str) -> int:
        """Return one."""
        return 1


@pytest.mark.parametrize(
    ("provider", "words"),
    [("acme.lent", "the hosts were let go"), ("inventory", "the hosts were let go"), ("nspawn", "the cluster is gone")],
)
def test_hosts_of_others_are_let_go_whoever_provides_them(
    provider: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A provider says so itself, and is not known by its name: nobody wants to read that his hosts are gone."""
    lent: Any = Lent
    monkeypatch.setitem(PROVIDERS, Lent.name, lent)
    monkeypatch.setenv("WHALEFALL_STATE", str(tmp_path / "state"))
    scenario = loads("scenario: some\nwhy: so\nsteps: [{fault: node.kill, on: n1, hold: 5s}]\npromises: [conflicts]\n", "some.yaml")
    made = replace(plan(scenario, mode=Fleet(), provider="nspawn", seed=1), provider=provider)
    (tmp_path / "run-1").mkdir()
    (tmp_path / "run-1" / "ledger.jsonl").touch()
    assert left(tmp_path / "run-1", made, keep=False).endswith(words)


def test_what_became_of_a_killed_run_is_told_by_its_reapers_log(tmp_path: Path) -> None:
    """It is the first question of whoever finds one; where nobody noted anything, that is said, and what to do."""
    folder = tmp_path / "run-1"
    folder.mkdir()
    assert afterwards(folder).startswith("no reaper.log in it says what was done since then; `whalefall sweep` removes what is left of it")
    (folder / "reaper.log").write_text(
        "the harness of run-1 was gone:\nrun-1: the cluster was removed\nrun-1: node.kill on n2 went with it\n"
    )
    assert afterwards(folder) == "since then, by reaper.log in it: the cluster was removed; node.kill on n2 went with it"
    opened = (
        '{"state": "open", "run_id": "run-1", "provider": "nspawn", "mode": "fleet", "number": 1, "name": "node.kill", "parameters": {}, '
    )
    (folder / "ledger.jsonl").write_text(opened + '"targets": ["n2"], "wall": 1.0, "conductor": [1, 1]}\n')
    assert "; NOT known to be mended: node.kill on n2; `whalefall heal run-1 --results " in afterwards(folder)


def test_of_a_killed_run_that_was_to_be_kept_the_command_that_removes_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another sweep leaves it alone. A log that is there is not told as none."""
    monkeypatch.setenv("WHALEFALL_STATE", str(tmp_path / "state"))
    folder = tmp_path / "run-1"
    folder.mkdir()
    (folder / "reaper.log").touch()
    said = "reaper.log in it says of nothing that was done since then; "
    assert afterwards(folder) == f"{said}`whalefall sweep` removes what is left of it on the machine that it ran on"
    (tmp_path / "state" / "runs" / "run-1").mkdir(parents=True)
    clusters.keep("run-1")
    assert afterwards(folder) == f"{said}its cluster was to be kept, and `whalefall sweep --kept` removes it"


def test_a_hostile_log_of_a_reaper_is_told_in_a_few_words(tmp_path: Path) -> None:
    """A results folder is somebody else's."""
    folder = tmp_path / "run-1"
    folder.mkdir()
    (folder / "reaper.log").write_bytes(b"\x1b[2Jx\xff\n" * 100_000)
    said = afterwards(folder)
    assert "\x1b" not in said
    assert said.count("[2Jx") == NOTED_LINES
    (folder / "reaper.log").unlink()
    (folder / "reaper.log").symlink_to("/etc/passwd")
    assert afterwards(folder).startswith("no reaper.log in it")
