"""A cluster that serves several runs: who owns it when, what it is set back to, and that it goes when it must."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, NoReturn

import pytest

from harness.conductor import Options, Session, lending, lent
from harness.conductor.standing import FORMED, Held, Standing
from harness.core.errors import HarnessError
from harness.core.protocols import Cluster
from harness.core.values import NodeSpec
from harness.modes import MODES
from harness.plan import Plan
from harness.providers import PROVIDERS
from harness.runs.run import cluster_of
from harness.testing.bare import BareMode
from harness.testing.memory_provider import MemoryProvider, MemoryWorld

SPECS = (NodeSpec("n1", "10.77.0.11"), NodeSpec("n2", "10.77.0.12"))
PLAN = Plan("t", "why", "t.yaml", "bare", "memory", 7, "default", {}, SPECS, (), (), (), 1.0, (), (), None)


class Watcher:
    """Stands for a reaper: notes whether it was dismissed or left to do its work, and for whom it was started."""

    started: ClassVar[list[Watcher]] = []

    def __init__(self, run_id: str = "", *_: object) -> None:
        self.run_id = run_id
        self.said: list[str] = []

    def start(self) -> Watcher:
        """Note it."""
        type(self).started.append(self)
        return self

    def dismiss(self) -> None:
        """Note it."""
        self.said.append("dismissed")

    def abandon(self) -> None:
        """Note it."""
        self.said.append("abandoned")

    def keep(self) -> None:
        """Note it."""
        self.said.append("kept")

    def ensure(self) -> bool:
        """Say that it lives."""
        return False


class Forming(BareMode):
    """The bare mode, which leaves a file on each node that it forms; `formed` counts."""

    formed: ClassVar[list[str]] = []

    @classmethod
    def from_timers(cls, profile: str, overrides: Mapping[str, float]) -> Forming:
        """Return it."""
        return cls()

    def form(self, cluster: Cluster) -> None:
        """Leave the file."""
        type(self).formed.append(cluster.run_id)
        for node in cluster.nodes:
            node.files["/etc/formed"] = (b"", 0o644)  # type: ignore[attr-defined]  # a node in memory


def held(run_id: str, provider: MemoryProvider, plan: Plan = PLAN) -> tuple[Held, Watcher]:
    """Return a cluster of this provider that waits, and its reaper."""
    provider.create(run_id, plan.nodes)
    watcher = Watcher(run_id)
    return Held(run_id, plan, provider, watcher, plan.timers), watcher  # type: ignore[arg-type]  # it stands for a reaper


def test_the_cluster_that_a_plan_needs_is_taken_once() -> None:
    """Whoever takes it owns it: nobody else is given it."""
    standing, provider = Standing(), MemoryProvider()
    one, watcher = held("run-1", provider)
    standing.hold(one)
    other_seed = dataclasses.replace(PLAN, scenario="other", seed=8, settle=3.0)
    assert standing.take(other_seed) is one
    assert standing.take(PLAN) is None
    assert watcher.said == []
    assert [*provider.store.runs] == ["run-1"]


@pytest.mark.parametrize(
    "change",
    [{"mode": "other"}, {"provider": "other"}, {"profile": "fast"}, {"timers": {"agent_ttl": 5.0}}, {"nodes": SPECS[:1]}],
    ids=lambda change: next(iter(change)),
)
def test_a_cluster_that_a_plan_cannot_use_is_removed(change: dict[str, Any]) -> None:
    """Other machines, another mode, other timers: nothing of it may judge the wrong thing."""
    standing, provider = Standing(), MemoryProvider()
    one, watcher = held("run-1", provider)
    standing.hold(one)
    assert standing.take(dataclasses.replace(PLAN, **change)) is None
    assert provider.store.runs == {}
    assert watcher.said == ["dismissed"]


def test_one_cluster_waits_at_most_and_close_removes_it() -> None:
    """Two that were lent at once: the first to end waits, until the second does."""
    standing, provider = Standing(), MemoryProvider()
    for run_id in ("run-1", "run-2"):
        standing.hold(held(run_id, provider)[0])
    assert [*provider.store.runs] == ["run-2"]
    standing.close()
    standing.close()
    assert provider.store.runs == {}


def test_a_cluster_that_cannot_be_removed_is_left_to_its_reaper() -> None:
    """The error goes up, and the reaper tries once more."""

    class Stuck(MemoryProvider):
        def destroy(self, run_id: str) -> None:
            raise HarnessError(f"{run_id} is stuck")

    standing = Standing()
    one, watcher = held("run-1", Stuck())
    standing.hold(one)
    with pytest.raises(HarnessError, match="run-1 is stuck"):
        standing.close()
    assert watcher.said == ["abandoned"]


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> MemoryWorld:
    """Let runs be done in memory, without a process beside them. Returns what exists there."""
    store = MemoryWorld()

    @contextlib.contextmanager
    def nobody(_: Session) -> Iterator[None]:
        yield

    monkeypatch.setitem(PROVIDERS, "memory", lambda: MemoryProvider(store=store))
    monkeypatch.setitem(MODES, "bare", Forming)
    monkeypatch.setattr(lending, "Reaper", Watcher)
    monkeypatch.setattr(Session, "watching", nobody)
    monkeypatch.setattr(Watcher, "started", [])
    monkeypatch.setattr(Forming, "formed", [])
    return store


def test_a_second_run_begins_where_the_first_was_formed(store: MemoryWorld, tmp_path: Path) -> None:
    """One cluster made and formed; what the first run left on it is gone, what forming left is there; each run says whose cluster it was."""
    options = Options(tmp_path, standing=Standing())
    with lent(PLAN, options) as first:
        first.cluster.nodes[0].files["/left/behind"] = (b"", 0o644)  # type: ignore[attr-defined]
        first.cluster.nodes[1].on = False  # type: ignore[attr-defined]
    with lent(PLAN, options) as second:
        assert second.cluster.run_id == first.folder.name
        assert [sorted(node.files) for node in store.runs[first.folder.name].values()] == [["/etc/formed"], ["/etc/formed"]]
        assert [node.on for node in store.runs[first.folder.name].values()] == [True, True]
        assert (cluster_of(first.folder), cluster_of(second.folder)) == (first.folder.name, first.folder.name)
        assert "made_for" not in json.loads((first.folder / "environment.json").read_text())
        assert [watcher.said for watcher in Watcher.started] == [["dismissed"], []]
        assert {watcher.run_id for watcher in Watcher.started} == {first.folder.name}
    assert store.created == Forming.formed == [first.folder.name]
    assert options.standing is not None
    options.standing.close()
    assert (store.runs, store.kept) == ({}, {})
    assert [watcher.said for watcher in Watcher.started] == [["dismissed"], ["dismissed"]]


@pytest.mark.parametrize(("keep", "said"), [(False, "removing the cluster"), (True, "keeping the cluster")])
def test_at_the_end_it_is_told_what_becomes_of_the_cluster(store: MemoryWorld, tmp_path: Path, said: str, *, keep: bool) -> None:
    """And not what is not done."""
    told: list[str] = []
    with lent(PLAN, Options(tmp_path, keep=keep, listener=lambda each: told.append(each.text))):
        pass
    assert (told[-1], bool(store.runs)) == (said, keep)


def test_a_run_that_ends_early_takes_its_cluster_with_it(store: MemoryWorld, tmp_path: Path) -> None:
    """What a failed run left is not looked into: the next one makes its own."""
    options = Options(tmp_path, standing=Standing())
    with pytest.raises(HarnessError, match="torn down"), lent(PLAN, options):
        raise HarnessError("torn down")
    assert store.runs == {}
    with lent(PLAN, options) as second:
        assert second.cluster.run_id == second.folder.name
    assert len(store.created) == 2


@pytest.mark.parametrize("part", ["Ledger", "Recorder", "Reaper"])
def test_a_run_that_cannot_begin_takes_the_cluster_that_waited_for_it_with_it(
    store: MemoryWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    """A full disk, or no process any more: nobody else would remove it before this process ends."""
    options = Options(tmp_path, standing=Standing())
    with lent(PLAN, options):
        pass
    assert len(store.runs) == 1

    def fail(*_: object) -> NoReturn:
        raise HarnessError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(lending, part, fail)
        with pytest.raises(HarnessError, match="no space left"), lent(PLAN, options):
            pytest.fail("it was lent")
    assert store.runs == {}
    assert Watcher.started[0].said == ["dismissed"]


def test_a_cluster_that_cannot_be_set_back_is_removed(store: MemoryWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an error of that run, with nothing left; the run after it has a cluster again."""
    options = Options(tmp_path, standing=Standing())
    with lent(PLAN, options):
        pass
    monkeypatch.setitem(PROVIDERS, "memory", lambda: MemoryProvider(store=store, stuck={"revert"}))
    with pytest.raises(HarnessError, match="revert is stuck"), lent(PLAN, options):
        pytest.fail("it was lent")
    assert store.runs == {}
    with lent(PLAN, options):
        assert len(store.runs) == 1


def test_without_a_place_for_it_every_run_makes_its_own(store: MemoryWorld, tmp_path: Path) -> None:
    """As ever: nothing is kept, nothing stays."""
    for _ in range(2):
        with lent(PLAN, Options(tmp_path)) as session:
            assert (session.cluster.run_id, FORMED) not in store.kept
    assert len(store.created) == 2
    assert store.runs == {}
