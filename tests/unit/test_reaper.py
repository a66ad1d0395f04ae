"""The reaper: what it does for a run whose harness is gone, and what it leaves alone."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar

import pytest

from harness import reaper
from harness.clock import SystemClock
from harness.errors import HarnessError, NoSuchRun
from harness.faults.power import NodeKill
from harness.ledger import Ledger, unsettled
from harness.modes import MODES
from harness.providers import PROVIDERS
from harness.providers.memory import MemoryProvider, Store
from harness.reaper import Reaper
from harness.testing.bare import BareMode
from harness.values import NodeSpec

STORE = Store()
SPECS = (NodeSpec("n1", "10.77.0.11"), NodeSpec("n2", "10.77.0.12"))


class Lasting(MemoryProvider):
    """A provider whose nodes outlive a cluster, as hosts do that somebody else runs."""

    name: ClassVar[str] = "lasting"

    def __init__(self) -> None:
        super().__init__(store=STORE)

    def destroy(self, run_id: str) -> None:
        """Let go of the nodes; they live on."""


class Passing(MemoryProvider):
    """A provider whose nodes end with their cluster."""

    name: ClassVar[str] = "passing"
    kept: ClassVar[set[str]] = set()
    wanted: ClassVar[dict[str, bool]] = {}

    def __init__(self) -> None:
        super().__init__(store=STORE)

    def runs(self) -> Mapping[str, bool]:
        """Return what the test says."""
        return dict(type(self).wanted)

    def leftovers(self, run_id: str) -> list[str]:
        """Return nothing: memory leaves nothing."""
        return []

    def keep(self, run_id: str) -> None:
        """Note it."""
        type(self).kept.add(run_id)

    def is_kept(self, run_id: str) -> bool:
        """Whether it was noted."""
        return run_id in type(self).kept


class Bare(BareMode):
    """The bare mode, made as a registered one is."""

    @classmethod
    def from_timers(cls, profile: str, overrides: Mapping[str, float]) -> Bare:
        """Return it: it has no timers."""
        return cls()


@pytest.fixture(autouse=True)
def _doubles(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for each in (Lasting, Passing):
        monkeypatch.setitem(PROVIDERS, each.name, each)
    monkeypatch.setitem(MODES, "bare", Bare)
    yield
    STORE.runs.clear()
    Passing.kept.clear()
    Passing.wanted.clear()


def _broken(folder: Path, provider: type[MemoryProvider], run_id: str = "run-1", *, dead: bool = True) -> Path:
    """Make a cluster with n1 off by `node.kill`, and the ledger line that says so, of a harness that is dead."""
    nodes = provider().create(run_id, SPECS)
    (folder / run_id).mkdir()
    path = folder / run_id / "ledger.jsonl"

    Ledger(path, run_id, provider.name, "bare", SystemClock()).open(1, NodeKill(), ("n1",))
    if dead:
        body = json.loads(path.read_bytes())
        path.write_bytes(json.dumps({**body, "conductor": [os.getpid(), 1]}).encode() + b"\n")
    provider().off(nodes[0])
    return path


def test_nodes_that_outlive_their_cluster_are_mended(tmp_path: Path) -> None:
    """The fault is healed, by its ledger line alone, and the line is closed."""
    path = _broken(tmp_path, Lasting)
    said = reaper.undo("run-1", path, "lasting", keep=False)
    assert Lasting().is_on(Lasting().adopt("run-1")[0])
    assert unsettled(path) == []
    assert "run-1: node.kill on n1 was healed" in said


def test_nodes_that_end_with_their_cluster_are_removed_and_not_mended(tmp_path: Path) -> None:
    """Booting a machine to throw it away would only cost time; its line is closed all the same."""
    path = _broken(tmp_path, Passing)
    said = reaper.undo("run-1", path, "passing", keep=False)
    with pytest.raises(NoSuchRun):
        Passing().adopt("run-1")
    assert unsettled(path) == []
    assert said == ["run-1: the cluster was removed", "run-1: node.kill on n1 went with it"]


def test_a_cluster_that_is_to_be_kept_is_mended_and_kept(tmp_path: Path) -> None:
    """Kept means whole, not broken."""
    path = _broken(tmp_path, Passing)
    reaper.undo("run-1", path, "passing", keep=True)
    assert Passing().is_on(Passing().adopt("run-1")[0])
    assert unsettled(path) == []


def test_a_ledger_that_is_not_there_is_said_and_the_cluster_removed(tmp_path: Path) -> None:
    """Nobody can tell what was broken: that is no reason to leave it standing."""
    _broken(tmp_path, Passing)
    said = reaper.undo("run-1", tmp_path / "elsewhere.jsonl", "passing", keep=False)
    assert "is not there: nobody can tell what was broken" in said[0]
    with pytest.raises(NoSuchRun):
        Passing().adopt("run-1")


def test_a_heal_that_fails_is_said_and_stays_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next one who tries still finds it."""
    path = _broken(tmp_path, Lasting)

    def refuse(self: Lasting, node: object) -> None:
        raise HarnessError("no current")

    monkeypatch.setattr(Lasting, "on", refuse)
    (said,) = reaper.heal("run-1", tmp_path)
    assert "could NOT be healed" in said
    assert "no current" in said
    assert [line.number for line in unsettled(path)] == [1]


def test_heal_leaves_a_live_run_alone(tmp_path: Path) -> None:
    """What a living harness has broken is meant to be broken."""
    path = _broken(tmp_path, Lasting, dead=False)
    (said,) = reaper.heal(None, tmp_path)
    assert "is left alone" in said
    assert not Lasting().is_on(Lasting().adopt("run-1")[0])
    assert [line.number for line in unsettled(path)] == [1]


def test_heal_of_a_run_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    """With the folder that was looked in."""
    with pytest.raises(NoSuchRun, match="run-9"):
        reaper.heal("run-9", tmp_path)


def test_sweep_removes_the_dead_and_leaves_the_living_and_the_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each with a sentence; kept ones go only when that is asked for."""
    monkeypatch.setenv("WHALEFALL_STATE", str(tmp_path))
    for name in list(PROVIDERS):
        if name != "passing":
            monkeypatch.delitem(PROVIDERS, name)
    for run_id in ("dead", "living", "kept"):
        Passing().create(run_id, SPECS)
    Passing().keep("kept")
    Passing.wanted.update({"dead": False, "living": True, "kept": True})
    assert reaper.sweep() == ["dead: removed", "living: left alone, it is in use", "kept: left alone, it was to be kept"]
    assert set(STORE.runs) == {"living", "kept"}
    Passing.wanted.pop("dead")
    assert reaper.sweep(kept=True) == ["living: left alone, it is in use", "kept: removed"]
    assert set(STORE.runs) == {"living"}


def test_a_reaper_that_was_killed_is_started_again(tmp_path: Path) -> None:
    """Before anything is broken there is one that lives; one that lives is not started twice."""
    path = tmp_path / "ledger.jsonl"
    path.touch()
    one = Reaper("no-such-run", path, "nspawn").start()
    try:
        assert not one.ensure()
        assert one._child is not None
        first = one._child.pid
        os.kill(first, signal.SIGKILL)
        one._child.wait()
        assert one.ensure()
        assert one._child.pid != first
    finally:
        one.dismiss()


def test_a_dismissed_reaper_has_done_nothing(tmp_path: Path) -> None:
    """Its log stays empty: all was mended and removed by who made it."""
    path = tmp_path / "ledger.jsonl"
    path.touch()
    one = Reaper("no-such-run", path, "nspawn").start()
    one.dismiss()
    one.dismiss()
    assert (tmp_path / "reaper.log").read_text() == ""
