"""Where things are kept on this machine, and what may become part of a path."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.core.errors import BadInput, HarnessError
from harness.host import state


def test_folders_are_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Asked at each call: a test or a user may move them."""
    monkeypatch.setenv("WHALEFALL_CACHE", str(tmp_path / "c"))
    monkeypatch.setenv("WHALEFALL_STATE", str(tmp_path / "s"))
    assert state.cache() == tmp_path / "c"
    assert state.runs() == tmp_path / "s" / "runs"
    assert state.run_folder("cut-1") == tmp_path / "s" / "runs" / "cut-1"


def test_folders_have_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the file system's standard: what can be made again, and what is."""
    monkeypatch.delenv("WHALEFALL_CACHE", raising=False)
    monkeypatch.delenv("WHALEFALL_STATE", raising=False)
    assert state.cache() == Path("/var/cache/whalefall").resolve()
    assert state.runs() == Path("/var/lib/whalefall").resolve() / "runs"


def test_a_variable_that_is_set_to_nothing_moves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A CI file that hands on what is not there must not turn the folder that we stand in into ours."""
    monkeypatch.setenv("WHALEFALL_CACHE", "")
    monkeypatch.setenv("WHALEFALL_STATE", "")
    assert state.cache() == Path("/var/cache/whalefall").resolve()
    assert state.runs() == Path("/var/lib/whalefall").resolve() / "runs"


@pytest.mark.parametrize("spelled", ["link", "there/../link", "link/", "there"])
def test_a_folder_has_one_name_however_it_is_spelled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, spelled: str) -> None:
    """Who uses what is kept there is found by it, and the cache may have been moved to a bigger disk and linked back."""
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to("there")
    for name in ("WHALEFALL_CACHE", "WHALEFALL_STATE"):
        monkeypatch.setenv(name, f"{tmp_path}/{spelled}")
    assert (state.cache(), state.runs()) == (tmp_path / "there", tmp_path / "there" / "runs")


def test_a_relative_folder_is_given_whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Machines and the reaper stand in other folders than we do."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WHALEFALL_STATE", "here/state")
    assert state.runs() == tmp_path / "here" / "state" / "runs"


def test_nothing_is_made_by_asking(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A question leaves no folder behind."""
    monkeypatch.setenv("WHALEFALL_STATE", str(tmp_path / "s"))
    state.run_folder("cut-1")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("run_id", ["a", "1", "node-kill-20250101-7", "a" * 63, "a-"])
def test_ids_of_ours_become_folders(run_id: str) -> None:
    """Lower-case letters, digits and dashes."""
    assert state.run_folder(run_id).name == run_id


@pytest.mark.parametrize("run_id", ["", ".", "..", "../x", "a/b", "/etc", "-a", "A", "a b", "a.b", "a_b", "a\n", "a\0", "ä", "²", "a" * 64])
def test_anything_else_is_refused(run_id: str) -> None:
    """What would leave the folder, or be another name where it is used."""
    with pytest.raises(HarnessError, match="is no run id; expected lower-case letters, digits and dashes, at most 63"):
        state.run_folder(run_id)


@pytest.mark.parametrize("odd", ["a,b", 'a"b', "a\\b"])
@pytest.mark.parametrize(("variable", "ask"), [("WHALEFALL_CACHE", state.cache), ("WHALEFALL_STATE", state.runs)])
def test_a_folder_that_nothing_could_be_mounted_from_is_refused_by_its_name(
    monkeypatch: pytest.MonkeyPatch, variable: str, ask: Callable[[], Path], odd: str
) -> None:
    """Mount takes such a character for its own, and its error names no path. Blanks, colons and what a shell would obey are fine."""
    monkeypatch.setenv(variable, f"/tmp/{odd}")
    with pytest.raises(BadInput, match=f"^{variable}: .*; expected a folder without any of . in its path: they mean something to mount$"):
        ask()
    monkeypatch.setenv(variable, "/tmp/a b:c$(d)'ä")
    assert str(ask()).startswith("/tmp/a b:c$(d)'ä")
