"""What a run that ended early left, in words."""

from __future__ import annotations

from pathlib import Path

from harness.cli.running import _where


def test_a_folder_that_was_removed_is_not_named_as_kept(tmp_path: Path) -> None:
    """Who reads it would look for it."""
    folder = tmp_path / "run-1"
    folder.mkdir()
    assert _where(folder).startswith(f"kept in {folder}")
    folder.rmdir()
    assert _where(folder) == f"nothing of it is kept: {folder} was removed"
