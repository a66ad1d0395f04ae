"""The reaper: what it does for a run whose harness is gone, and what it leaves alone."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, ClassVar, NoReturn

import pytest
from click.testing import Result

from harness import registry
from harness.core import stops
from harness.core.clock import SystemClock, wait_until
from harness.core.errors import HarnessError, NoSuchRun, Problem
from harness.core.protocols import Cluster
from harness.core.values import App, NodeSpec
from harness.faults.power import NodeKill
from harness.host import processes, state, surroundings
from harness.host.processes import Process
from harness.modes import MODES
from harness.plan import Plan
from harness.providers import PROVIDERS, clusters
from harness.providers.inventory import InventoryProvider, inventory_records
from harness.providers.inventory.hosts import Host
from harness.registry.entries import PlugIns
from harness.testing.bare import BareMode
from harness.testing.memory_provider import MemoryProvider, MemoryWorld
from harness.undo import ledger, reaper
from harness.undo.leaving import still_broken
from harness.undo.ledger import Ledger, unsettled
from harness.undo.reaper import Reaper

STORE = MemoryWorld()
WRITTEN: list[IO[bytes]] = []
"""Histories that a test has open, as the harness of a run that goes on."""
SPECS = (NodeSpec("n1", "10.77.0.11"), NodeSpec("n2", "10.77.0.12"))


class Lasting(MemoryProvider):
    """A provider whose nodes outlive a cluster, as hosts do that somebody else runs."""

    name: ClassVar[str] = "lasting"

    def __init__(self) -> None:
        super().__init__(store=STORE)

    def destroy(self, run_id: str) -> None:
        """Let go of the nodes; they live on."""


class Claimed(MemoryProvider):
    """A provider whose nodes outlive a run, and are held for it until they are let go."""

    name: ClassVar[str] = "claimed"
    noted: ClassVar[dict[str, Path]] = {}
    kept: ClassVar[set[str]] = set()
    living: ClassVar[set[str]] = set()
    unreachable: ClassVar[set[str]] = set()

    def __init__(self) -> None:
        super().__init__(store=STORE)

    def destroy(self, run_id: str) -> None:
        """Let the nodes go, or fail to."""
        if run_id in type(self).unreachable:
            raise HarnessError(f"n1 of {run_id} gives no answer")
        STORE.runs.pop(run_id, None)

    def runs(self) -> Mapping[str, bool]:
        """Return all runs that hold nodes."""
        return {run_id: run_id in type(self).living | type(self).kept for run_id in STORE.runs}

    def keep(self, run_id: str, *, over: bool = False) -> None:
        """Note it."""
        type(self).kept.add(run_id)

    def is_kept(self, run_id: str) -> bool:
        """Whether it was noted."""
        return run_id in type(self).kept

    def note_results(self, run_id: str, folder: Path) -> None:
        """Note it."""
        type(self).noted[run_id] = folder

    def results(self, run_id: str) -> Path | None:
        """Return what was noted."""
        return type(self).noted.get(run_id)


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

    def keep(self, run_id: str, *, over: bool = False) -> None:
        """Note it."""
        type(self).kept.add(run_id)

    def is_kept(self, run_id: str) -> bool:
        """Whether it was noted."""
        return run_id in type(self).kept


class Bare(BareMode):
    """The bare mode, made as a registered one is."""

    remarks: ClassVar[Sequence[str]] = ()
    withdrawn: ClassVar[list[tuple[str, str]]] = []  # run, app
    stuck: ClassVar[set[str]] = set()  # apps that cannot be withdrawn

    @classmethod
    def from_timers(cls, profile: str, overrides: Mapping[str, float]) -> Bare:
        """Return it: it has no timers."""
        return cls()

    def adopt(self, cluster: Cluster) -> None:
        """Find it: it is always there."""

    def withdraw(self, cluster: Cluster, app: App) -> None:
        """Note it, or refuse."""
        if app.name in type(self).stuck:
            raise HarnessError(f"{app.name} goes on")
        type(self).withdrawn.append((cluster.run_id, app.name))


class Entered(Passing):
    """A provider on whose nodes something runs on whose harness is gone."""

    name: ClassVar[str] = "entered"
    running: ClassVar[list[str]] = []

    def reap(self, run_id: str) -> tuple[str, ...]:
        """End it, or fail to."""
        if not self.adopt(run_id):
            raise HarnessError("nothing is there")
        ended = tuple(type(self).running)
        type(self).running.clear()
        return ended


@pytest.fixture(autouse=True)
def _doubles(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for each in (Lasting, Passing, Claimed, Entered):
        monkeypatch.setitem(PROVIDERS, each.name, each)
    monkeypatch.setitem(MODES, "bare", Bare)
    yield
    STORE.runs.clear()
    Passing.kept.clear()
    Passing.wanted.clear()
    Entered.running.clear()
    for history in WRITTEN:
        history.close()
    WRITTEN.clear()
    for these in (Claimed.noted, Claimed.kept, Claimed.living, Claimed.unreachable, Bare.withdrawn, Bare.stuck):
        these.clear()


def _broken(folder: Path, provider: type[MemoryProvider], run_id: str = "run-1", *, dead: bool = True) -> Path:
    """Make a cluster with n1 off by `node.kill`, and the ledger line that says so, of a harness that is dead."""
    nodes = provider().create(run_id, SPECS)
    (folder / run_id).mkdir()
    path = folder / run_id / "ledger.jsonl"

    Ledger(path, run_id, provider.name, "bare", SystemClock()).open(1, NodeKill(), ("n1",))
    if not dead:
        WRITTEN.append((path.parent / "history.jsonl").open("ab"))  # by which a harness is known
    if dead:
        body = json.loads(path.read_bytes())
        path.write_bytes(json.dumps({**body, "conductor": [os.getpid(), 1]}).encode() + b"\n")
    provider().off(nodes[0])
    return path


def _refuse(self: MemoryProvider, node: object) -> None:
    """Stand in for a switch that does not work."""
    raise HarnessError("no\n  current")


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


def test_what_still_runs_on_nodes_that_stay_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the reaper, and by a heal where the reaper is gone as well. With nodes that are removed it needs no ending."""
    path = _broken(tmp_path, Entered)
    monkeypatch.setattr(clusters, "provider_of", {"run-1": "entered"}.get)
    ended = "run-1: what its harness had begun and what still ran was ended on n1, n3; what that left behind in a session of its own may run on "
    ended += "until the cluster is removed"
    Entered.running[:] = ["n1", "n3"]
    assert ended in reaper.undo("run-1", path, "entered", keep=True)
    assert not any("still ran" in each for each in reaper.heal("run-1", tmp_path))
    Entered.running[:] = ["n1", "n3"]
    assert ended in reaper.heal("run-1", tmp_path)
    assert Entered.running == []
    Entered.running[:] = ["n1", "n3"]
    reaper.undo("run-1", path, "entered", keep=False)
    assert Entered.running == ["n1", "n3"]
    assert "run-1: whether a command of it still runs on its nodes cannot be seen" in "; ".join(reaper.heal("run-1", tmp_path))


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
    monkeypatch.setattr(Lasting, "on", _refuse)
    (said,) = reaper.heal("run-1", tmp_path)
    assert "could NOT be healed" in said
    assert "no current" in said, "what was said on several lines is told on one"
    assert [line.number for line in unsettled(path)] == [1]


@pytest.mark.parametrize(("owner", "mode", "why"), [(65534, 0o600, "it belongs to user 65534"), (0, 0o666, "others may write it")])
def test_nothing_is_done_by_a_ledger_that_others_wrote_or_may_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: int, mode: int, why: str
) -> None:
    """It names commands for root to run: it is told, and stays open."""
    path = _broken(tmp_path, Lasting)
    status = os.stat_result

    def theirs(handle: int) -> os.stat_result:
        found = fstat(handle)
        if handle_of(handle) != str(path):
            return found
        return status([(found.st_mode & ~0o777) | mode, *found[1:4], owner, *found[5:10]])

    def handle_of(handle: int) -> str:
        return str(Path(f"/proc/self/fd/{handle}").readlink())

    fstat = os.fstat
    with monkeypatch.context() as patch:
        patch.setattr(os, "fstat", theirs)
        for said in (reaper.heal("run-1", tmp_path), reaper.undo("run-1", path, "lasting", keep=True)):
            assert any(why in each for each in said), said
            assert not any("healed" in each for each in said), said
    assert [line.number for line in unsettled(path)] == [1]
    assert reaper.heal("run-1", tmp_path) == ["run-1: node.kill on n1 was healed"]


def test_a_fault_that_outlasts_its_heal_is_told_and_stays_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A heal that raises nothing has mended nothing until the fault itself says that it is gone."""
    path = _broken(tmp_path, Lasting)
    with monkeypatch.context() as patch:
        patch.setattr(Lasting, "on", lambda *_: None)
        assert reaper.heal("run-1", tmp_path) == ["run-1: node.kill on n1 is STILL in force on n1; try `whalefall sweep`"]
    assert [line.number for line in unsettled(path)] == [1]
    assert reaper.heal("run-1", tmp_path) == ["run-1: node.kill on n1 was healed"]
    assert unsettled(path) == []


def test_heal_leaves_a_live_run_alone(tmp_path: Path) -> None:
    """What a living harness has broken is meant to be broken."""
    path = _broken(tmp_path, Lasting, dead=False)
    (said,) = reaper.heal(None, tmp_path)
    assert "is left alone" in said
    assert not Lasting().is_on(Lasting().adopt("run-1")[0])
    assert [line.number for line in unsettled(path)] == [1]


@pytest.mark.parametrize("who", ["the first", "another", "gone"])
def test_a_process_that_is_no_harness_sees_to_nothing(tmp_path: Path, who: str) -> None:
    """A ledger is a file: whatever lives may stand in it as its harness, as the first process of the machine, which never ends."""
    path = _broken(tmp_path, Lasting)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as another:  # and not ours: other tests may write in it
        named = Process.of(1 if who == "the first" else another.pid)
        conductor = [named.pid, named.started] if named is not None and who != "gone" else [2**22 - 1, 7]
        path.write_bytes(json.dumps({**json.loads(path.read_bytes()), "conductor": conductor}).encode() + b"\n")
        assert reaper.heal(None, tmp_path) == ["run-1: node.kill on n1 was healed"]
        another.kill()


def test_a_heal_says_little_of_a_ledger_that_names_very_many(tmp_path: Path) -> None:
    """Or with names that nobody has: such a line was written by no run."""
    path = _broken(tmp_path, Lasting)
    body = json.loads(path.read_bytes())
    many = {**body, "number": 2, "targets": [f"n{number}" for number in range(20_000)]}
    long = [{**body, "number": 3 + place, name: "x" * 70_000} for place, name in enumerate(("run_id", "provider", "mode", "name"))]
    odd = {**body, "number": 7, "parameters": {"x" * 70_000: 1}}
    path.write_bytes(b"".join(json.dumps(each).encode() + b"\n" for each in [body, many, *long, odd, {**body, "targets": ["x" * 70_000]}]))
    said = reaper.heal(None, tmp_path)
    assert sum("is no line of a ledger" in each for each in said) == 5
    assert any("n10, n11 and 19988 more could NOT be healed" in each for each in said)
    assert max(map(len, said)) < 3000
    assert len(still_broken(tmp_path / "run-1")) < 8000


def test_heal_leaves_alone_what_a_live_run_breaks_while_it_looks(tmp_path: Path) -> None:
    """Whoever reads what it says may be slow: meanwhile a run goes on, and what it breaks then is meant to be broken."""
    path = _broken(tmp_path, Lasting, dead=False)
    made = path.read_bytes()
    path.write_bytes(b"no line\n")
    said: list[str] = []

    def slow(words: str) -> None:
        said.append(words)
        path.write_bytes(made)

    reaper.heal("run-1", tmp_path, slow)
    assert "is no line of a ledger" in said[0]
    assert said[1:] == [f"run-1: node.kill is left alone: its harness (process {os.getpid()}) runs and will mend it; stop that to heal"]
    assert not Lasting().is_on(Lasting().adopt("run-1")[0])
    assert [line.number for line in unsettled(path)] == [1]


LIVE = "live-fleet-s1-1129-000000-bbbbbb"
"""A run that goes on, of which others may know the name: machines and network namespaces have it."""


def _on_a_live_cluster(folder: Path, provider: type[MemoryProvider], monkeypatch: pytest.MonkeyPatch) -> Path:
    """Register a cluster for this process, which has n1 off; and write a ledger of some other folder that names it, of a harness that is dead."""
    made = _broken(folder, provider, LIVE)
    body = made.read_bytes()
    made.unlink()
    made.parent.rmdir()
    monkeypatch.setenv("WHALEFALL_STATE", str(folder / "state"))
    clusters.open_cluster(LIVE, provider.name, {})
    (folder / "gift").mkdir()
    (folder / "gift" / "ledger.jsonl").write_bytes(body)
    return folder / "gift" / "ledger.jsonl"


def test_heal_leaves_the_cluster_of_a_live_run_alone_whatever_ledger_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Mended under it, its fault would be judged as one that came to nothing. Once that run is over it is mended."""
    path = _on_a_live_cluster(tmp_path, Lasting, monkeypatch)
    said = reaper.heal(None, tmp_path)
    mine = f"gift: node.kill is left alone: it is on {LIVE}, which a run that goes on uses (process {os.getpid()}); stop that to heal"
    assert said == [mine]
    assert not Lasting().is_on(Lasting().adopt(LIVE)[0])
    assert [line.number for line in unsettled(path)] == [1]
    monkeypatch.setattr(processes.Process, "halted", "is stopped: let it go on")
    assert reaper.heal(None, tmp_path) == [mine.replace("; stop that to heal", "; that process is stopped: let it go on")]
    clusters.keep(LIVE, over=True)
    assert reaper.heal(None, tmp_path) == ["gift: node.kill on n1 was healed"]


@pytest.mark.parametrize("keep", [False, True])
def test_the_undo_of_one_run_touches_no_live_cluster_that_its_ledger_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, keep: bool
) -> None:
    """A sweep, or a reaper: the ledger lies in a folder of results, where others may write. Its own cluster goes, and the line stays open."""
    path = _on_a_live_cluster(tmp_path, Lasting, monkeypatch)
    Passing().create("run-1", SPECS)
    said = reaper.undo("run-1", path, "passing", keep=keep)
    assert not Lasting().is_on(Lasting().adopt(LIVE)[0])
    assert [line.number for line in unsettled(path)] == [1]
    assert any("is left alone" in each for each in said) is keep
    assert ("run-1" in STORE.runs) is keep


def test_hosts_are_let_go_beside_a_live_cluster_that_their_ledger_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is broken on another cluster is not on them."""
    _held(tmp_path, monkeypatch, "run-1")
    path = _on_a_live_cluster(tmp_path, Lasting, monkeypatch)
    own = tmp_path / "run-1" / "ledger.jsonl"
    Claimed.living.add(LIVE)
    body = {**json.loads(path.read_bytes()), "number": 2}
    own.write_bytes(own.read_bytes() + json.dumps(body).encode() + b"\n")
    swept = reaper.sweep()
    assert "run-1: its hosts were let go" in swept.said
    assert any(each.startswith("run-1: node.kill is left alone") for each in swept.said)
    assert not STORE.runs[LIVE]["n1"].on


def test_a_heal_beside_a_run_that_goes_on_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Callable[..., Result]
) -> None:
    """Nothing was to do: a heal that is called now and then must not cry each time. Who names that run is told that it is not mended."""
    _broken(tmp_path, Lasting, dead=False)
    (tmp_path / "run-1" / "plan.json").write_text("{}")
    whole = ("--results", str(tmp_path))
    done = call("heal", *whole)
    assert (done.exit_code, "is left alone: its harness" in done.output) == (0, True)
    assert call("heal", "run-1", *whole).exit_code == 2
    with monkeypatch.context() as patch:
        patch.setattr(processes.Process, "halted", HALTED)
        assert call("heal", *whole).exit_code == 4, "nothing becomes of it by itself"
    _broken(tmp_path, Lasting, "run-2")
    with monkeypatch.context() as patch:
        patch.setattr(Lasting, "on", _refuse)
        assert call("heal", *whole).exit_code == 4, "of another run something could not be mended"
    assert call("heal", *whole).exit_code == 0
    unset = call("heal", "", *whole)
    assert (unset.exit_code, "no run has no name" in unset.output) == (2, True), "not every run, as without a name"


def test_what_is_no_runs_beside_the_runs_keeps_no_heal_from_its_end(tmp_path: Path, call: Callable[..., Result]) -> None:
    """It has no cluster, and nothing of it is broken; what stands behind it is told all the same."""
    for name in (".git", "Old", "archive 2025", "x" * 200, "-"):
        (tmp_path / name).mkdir()
    _broken(tmp_path, Lasting, "zz-run")
    (tmp_path / "zz-run" / "ledger.jsonl").write_text("rubbish\n")
    done = call("heal", "--results", str(tmp_path))
    assert (done.exit_code, "is no line of a ledger" in done.output, "is no run id" in done.output) == (4, True, False)
    (tmp_path / "zz-run" / "ledger.jsonl").write_text("")
    assert call("heal", "--results", str(tmp_path)).exit_code == 0


def test_heal_is_a_failure_beside_a_stopped_run_whose_cluster_a_ledger_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Callable[..., Result]
) -> None:
    """As where that run has made it."""
    _on_a_live_cluster(tmp_path, Lasting, monkeypatch)
    assert call("heal", "--results", str(tmp_path)).exit_code == 0
    monkeypatch.setattr(processes.Process, "halted", HALTED)
    assert call("heal", "--results", str(tmp_path)).exit_code == 4


HALTED = "is stopped (state T): `kill -CONT 7` lets it go on, `kill -KILL 7` ends it"


def test_of_a_harness_that_was_stopped_it_is_said_what_lets_it_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It lives, so that what it has is left alone; but nothing becomes of it by itself."""
    path = _broken(tmp_path, Lasting, dead=False)
    monkeypatch.setattr(processes.Process, "halted", HALTED)
    (said,) = reaper.heal(None, tmp_path)
    assert said.endswith(f"is left alone: its harness (process {os.getpid()}) {HALTED}, and it is mended then")
    assert [line.number for line in unsettled(path)] == [1]
    monkeypatch.setattr(clusters, "owner", lambda _: processes.Process(7, 1))
    Passing.wanted.update({"run-1": True})
    assert f"run-1: left alone, it is in use by process 7, which {HALTED}" in reaper.sweep().said


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
    assert reaper.sweep().said == ["dead: removed", "living: left alone, it is in use", "kept: left alone, it was to be kept"]
    assert set(STORE.runs) == {"living", "kept"}
    Passing.wanted.pop("dead")
    assert reaper.sweep(kept=True).said == ["living: left alone, it is in use", "kept: removed"]
    assert set(STORE.runs) == {"living"}


def test_a_run_under_way_that_is_to_be_kept_is_left_alone_whatever_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a kept one once whoever made it is gone."""
    monkeypatch.setenv("WHALEFALL_STATE", str(tmp_path))
    for name in list(PROVIDERS):
        if name != "passing":
            monkeypatch.delitem(PROVIDERS, name)
    Passing().create("keeping", SPECS)
    Passing().keep("keeping")
    Passing.wanted.update({"keeping": True})
    monkeypatch.setattr(clusters, "owner", lambda _: processes.Process.of(os.getpid()))
    assert reaper.sweep(kept=True).said == ["keeping: left alone, it is in use"]
    monkeypatch.setattr(clusters, "owner", lambda _: processes.Process(7, 1))
    assert reaper.sweep().said == ["keeping: left alone, it was to be kept"]
    assert reaper.sweep(kept=True).said == ["keeping: removed"]


def test_a_kept_cluster_whose_run_is_over_is_nobodys_though_its_harness_lives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One process may make several runs: pytest, or a program."""
    monkeypatch.setenv("WHALEFALL_STATE", str(tmp_path))
    monkeypatch.setattr(clusters, "owner", lambda _: processes.Process.of(os.getpid()))
    clusters.folder("over-1").mkdir(parents=True)
    clusters.keep("over-1")
    assert (clusters.is_used("over-1"), clusters.is_wanted("over-1")) == (True, True)
    clusters.keep("over-1", over=True)
    assert (clusters.is_used("over-1"), clusters.is_wanted("over-1")) == (False, True)


def _held(folder: Path, monkeypatch: pytest.MonkeyPatch, *run_ids: str) -> None:
    """Make runs of a dead harness with n1 off, an app deployed and their results noted; and no other provider than theirs."""
    monkeypatch.setenv("WHALEFALL_STATE", str(folder / "state"))
    for name in list(PROVIDERS):
        if name != "claimed":
            monkeypatch.delitem(PROVIDERS, name)
    for run_id in run_ids:
        path = _broken(folder, Claimed, run_id)
        plan = Plan(
            "t", "why", "t.yaml", "bare", "claimed", 7, "default", {}, SPECS, (App("web", 1), App("db", 1)), (), (), 1.0, (), (), None
        )
        (path.parent / "plan.json").write_text(json.dumps(plan.to_json()))
        Claimed().note_results(run_id, path.parent)


def test_sweep_mends_clears_up_and_lets_go_hosts_of_dead_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the record alone, which knows where the ledger is. One that never got so far is let go at once."""
    _held(tmp_path, monkeypatch, "run-1")
    node = STORE.runs["run-1"]["n1"]
    Claimed().create("run-0", SPECS)
    swept = reaper.sweep()
    assert swept.said == [
        "run-1: node.kill on n1 was healed",
        "run-1: web was removed from the cluster",
        "run-1: db was removed from the cluster",
        "run-1: its hosts were let go",
        "run-0: removed",
    ]
    assert (swept.failed, node.on, STORE.runs, Bare.withdrawn) == ((), True, {}, [("run-1", "web"), ("run-1", "db")])


def test_sweep_mends_and_clears_up_beside_a_bad_plug_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told; what somebody else installed keeps nobody's hosts broken."""
    _held(tmp_path, monkeypatch, "run-1")
    bad = PlugIns((), (Problem("the plug-in acme 1", 0, 0, "found nothing", "something"),))
    monkeypatch.setattr(registry, "installed", lambda: bad)
    said: list[str] = []
    swept = reaper.sweep(say=said.append)
    assert said == swept.said
    assert swept.said == [
        "the plug-in acme 1: found nothing; expected something",
        "run-1: node.kill on n1 was healed",
        "run-1: web was removed from the cluster",
        "run-1: db was removed from the cluster",
        "run-1: its hosts were let go",
    ]
    assert (swept.failed, STORE.runs) == ((), {})


def test_sweep_of_hosts_goes_on_after_a_run_that_fails_and_tries_again_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An app that stays, a fault that stays, a claim that stays: the record is kept, for without it nobody could clear up."""
    _held(tmp_path, monkeypatch, "run-1", "run-2", "run-3")
    Bare.stuck.add("web")
    Claimed.unreachable.add("run-2")
    said: list[str] = []
    swept = reaper.sweep(say=said.append)
    assert said == swept.said
    assert "run-1: web could NOT be removed from the cluster: web goes on" in said
    assert ("run-1", "db") in Bare.withdrawn, "every step is tried, also after one that failed"
    gone = "where they are gone for good, or nothing of it is on them any more, `whalefall sweep --forget run-1` forgets it"
    cure = f"`whalefall sweep` tries again; {gone}"
    assert f"run-1: its hosts are NOT let go, since something of it is still on them; {cure}" in said
    assert swept.failed == ("run-1", "run-2", "run-3")
    Bare.stuck.clear()
    swept = reaper.sweep()
    assert any(each.startswith("run-2: the cluster could NOT be removed: n1 of run-2 gives no answer; where they") for each in swept.said)
    assert (swept.failed, {*STORE.runs}) == (("run-2",), {"run-2"})


def test_hosts_that_are_still_broken_are_not_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be mended is found again by the next who tries."""
    _held(tmp_path, monkeypatch, "run-1")
    with monkeypatch.context() as patch:
        patch.setattr(Claimed, "on", _refuse)
        swept = reaper.sweep()
    assert any("could NOT be healed" in each for each in swept.said)
    assert swept.failed == ("run-1",)
    assert reaper.sweep().failed == ()
    assert STORE.runs == {}


def test_hosts_that_outlive_a_run_are_not_gone_where_nothing_is_known_of_them(tmp_path: Path, call: Callable[..., Result]) -> None:
    """On another machine than the run's, or with another state folder, nobody can tell: whoever knows better says so, and then it is closed."""
    path = _broken(tmp_path, Lasting)
    (tmp_path / "run-1" / "plan.json").write_text("{}")
    del STORE.runs["run-1"]
    for _ in range(2):
        found = call("heal", "--results", str(tmp_path))
        assert (found.exit_code, "could NOT be healed from here: no record of the hosts of run-1 is here" in found.output) == (4, True)
        assert [line.number for line in unsettled(path)] == [1]
    assert f"`whalefall sweep --forget {tmp_path / 'run-1'}` takes your word for it" in found.output
    found = call("sweep", "--forget", str(tmp_path / "run-1"))
    assert (found.exit_code, found.output) == (0, "run-1: node.kill on n1 is forgotten: no heal looks for it any more\n")
    assert unsettled(path) == []
    assert call("heal", "--results", str(tmp_path)).exit_code == 0
    assert call("sweep", "--forget", str(tmp_path / "run-1")).output == "run-1: nothing is known as broken of it\n"


def test_what_ends_with_its_cluster_or_goes_on_is_not_forgotten(tmp_path: Path, call: Callable[..., Result]) -> None:
    """Only who runs hosts can have looked at them."""
    for path in (_broken(tmp_path, Passing), _broken(tmp_path, Lasting, "run-2", dead=False)):
        assert "is left alone: it" in call("sweep", "--forget", str(path.parent)).output
        assert [line.number for line in unsettled(path)] == [1]


DAMAGE: dict[str, Callable[[Path], object]] = {
    "others may write it": lambda path: path.chmod(0o666),
    "cut": lambda path: path.write_text('{"hosts": {"n1": {'),
    "of another version": lambda path: path.write_text('{"hosts": {"n1": {"mood": 1}}, "at_once": 1, "only": {}}'),
    "a link": lambda path: path.rename(path.with_name("real")).parent.joinpath("hosts.json").symlink_to("real"),
    "gone": Path.unlink,
    "gone with its folder": lambda path: shutil.rmtree(path.parent),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_hosts_whose_record_cannot_be_read_are_not_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Callable[..., Result], damage: str
) -> None:
    """Neither mended nor let go, which is said; whoever repairs the record, or says that nothing is there, has them done with."""
    monkeypatch.setenv("WHALEFALL_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(processes.Process, "alive", False)
    for name in list(PROVIDERS):
        if name != "inventory":
            monkeypatch.delitem(PROVIDERS, name)
    inventory_records.open_record("inventory", inventory_records.Record("run-1", {"n1": Host("a", "a", address="10.0.0.1")}, 1, {}))
    path = tmp_path / "results" / "run-1" / "ledger.jsonl"
    path.parent.mkdir(parents=True)
    Ledger(path, "run-1", "inventory", "bare", SystemClock()).open(1, NodeKill(), ("n1",))
    inventory_records.note_results("run-1", path.parent)
    record = state.run_folder("run-1") / "hosts.json"
    DAMAGE[damage](record)
    healed = call("heal", "--results", str(tmp_path / "results"))
    assert (healed.exit_code, "could NOT be healed: the record " in healed.output) == (4, True), healed.output
    for _ in range(2):
        swept = call("sweep")
        assert (swept.exit_code, "`whalefall sweep --forget run-1` forgets it" in swept.output) == (4, True), swept.output
        assert ("run-1" in clusters.registered(), [line.number for line in unsettled(path)]) == (True, [1])
    assert call("sweep", "--forget", "run-1").exit_code == 0
    assert (clusters.registered(), unsettled(path), record.parent.exists()) == (set(), [], False) or damage == "gone with its folder"
    assert clusters.registered() == set()


def test_a_run_of_which_nothing_was_noted_yet_holds_no_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever was killed between the register and the record had claimed nothing; and whoever was while it was forgotten had let go."""
    monkeypatch.setenv("WHALEFALL_STATE", str(tmp_path / "state"))
    clusters.open_cluster("run-1", "inventory", {"nodes": ["n1"]})
    InventoryProvider().destroy("run-1")
    assert clusters.registered() == set()
    inventory_records.open_record("inventory", inventory_records.Record("run-1", {"n1": Host("a", "a", address="10.0.0.1")}, 1, {}))
    inventory_records.note_results("run-1", tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(clusters, "forget", _crash)
        with pytest.raises(RuntimeError):
            inventory_records.forget("run-1")
    InventoryProvider().destroy("run-1")
    assert (clusters.registered(), state.run_folder("run-1").exists()) == (set(), False)


def test_sweep_leaves_hosts_of_living_and_kept_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kept ones are cleared up when that is asked for."""
    _held(tmp_path, monkeypatch, "living", "kept")
    Claimed.living.add("living")
    Claimed().keep("kept")
    assert reaper.sweep().said == ["living: left alone, it is in use", "kept: left alone, it was to be kept"]
    assert Bare.withdrawn == []
    said = reaper.sweep(kept=True).said
    assert (said[0], said[-1]) == ("living: left alone, it is in use", "kept: its hosts were let go")
    assert {*STORE.runs} == {"living"}


@pytest.mark.parametrize("where", ["register", "state"])
def test_who_may_not_see_what_there_is_sweeps_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Callable[..., Result], where: str
) -> None:
    """In a line: what nobody here can read is not "no record", by which a run of root's that goes on would be a stranger, and to be removed."""
    monkeypatch.setenv("WHALEFALL_STATE", str(tmp_path / "state"))
    state.runs().mkdir(parents=True)
    hidden = state.REGISTRY if where == "register" else state.runs()
    scandir = os.scandir

    def look(path: Any) -> Any:
        if path == hidden:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", look)
    for asked in (("sweep",), ("sweep", "--forget", "run-1")):
        done = call(*asked)
        assert (done.exit_code, done.output.count("\n")) == (4, 1)
        assert "where this machine's clusters are noted, is for root's eyes only; run it with sudo" in done.output


def test_what_hosts_and_results_of_a_run_are_gone_is_forgotten_by_the_word_of_who_runs_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Callable[..., Result]
) -> None:
    """No sweep can know that they will not come back. It says what to do, and that does it; a run that goes on is never forgotten."""
    _held(tmp_path, monkeypatch, "run-1")
    clusters.open_cluster("run-1", "claimed", {})
    used = call("sweep", "--forget", "run-1")
    assert (used.exit_code, "run-1 is not forgotten: it is in use" in used.output) == (4, True)
    monkeypatch.setattr(processes.Process, "alive", False)
    shutil.rmtree(tmp_path / "run-1")
    Claimed.unreachable.add("run-1")
    for _ in range(2):
        swept = reaper.sweep(kept=True)
        assert "run-1" in swept.failed
    assert "`whalefall sweep` tries again; where they are gone for good, or nothing of it is on them any more, " in swept.said[-1]
    assert swept.said[-1].endswith("`whalefall sweep --forget run-1` forgets it")
    done = call("sweep", "--forget", "run-1")
    assert (done.exit_code, done.output.splitlines()) == (
        0,
        [
            "run-1: not all of its hosts could be asked: n1 of run-1 gives no answer",
            "run-1: it is forgotten, and nothing is known of its hosts any more",
        ],
    )
    assert clusters.registered() == set()


def test_a_run_that_is_not_there_to_be_forgotten_is_told_as_every_other_slip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Callable[..., Result]
) -> None:
    """With what is there, and what was meant. Nothing is swept, so `--kept` beside it would not be done."""
    monkeypatch.setenv("WHALEFALL_STATE", str(tmp_path / "state"))
    found = call("sweep", "--forget", "run-1")
    assert (found.exit_code, "no record of a run 'run-1' is on this machine; those there are: none" in found.output) == (2, True)
    clusters.open_cluster("run-kill-1", "claimed", {})
    clusters.open_cluster("run-kill-2", "nspawn", {})  # sweep removes it: nothing of it is forgotten
    clusters.open_cluster("run-other", "acme", {})  # a plug-in's, which is here no more: nobody removes it
    found = call("sweep", "--forget", "run-kil-1")
    assert (found.exit_code, "those there are: run-kill-1, run-other; did you mean 'run-kill-1'?" in found.output) == (2, True)
    found = call("sweep", "--kept", "--forget", "run-kill-1")
    assert (found.exit_code, "--forget and --kept exclude each other" in found.output) == (2, True)
    assert clusters.registered() == {"run-kill-1", "run-kill-2", "run-other"}


def test_machines_of_this_host_are_swept_and_never_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What they have here would be nobody's."""
    monkeypatch.setenv("WHALEFALL_STATE", str(tmp_path / "state"))
    clusters.open_cluster("run-1", "passing", {})
    monkeypatch.setattr(processes.Process, "alive", False)
    with pytest.raises(HarnessError, match="`whalefall sweep` removes them"):
        reaper.forget("run-1")
    assert clusters.registered() == {"run-1"}


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


def test_a_second_reaper_keeps_a_cluster_that_is_to_be_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the first was told is not lost with it: the second removes nothing either."""
    monkeypatch.setenv("WHALEFALL_STATE", str(tmp_path / "state"))
    path = tmp_path / "ledger.jsonl"
    path.touch()
    one = Reaper("no-such-run", path, "nspawn").start()
    try:
        one.keep()
        assert one._child is not None
        one._child.kill()
        one._child.wait()
        assert one.ensure()
    finally:
        one.abandon()
    assert (tmp_path / "reaper.log").read_text() == "the harness of no-such-run was gone:\n", (
        "it did its work, and that was to remove nothing"
    )


@pytest.mark.parametrize("kept", [False, True])
def test_a_reaper_whose_harness_dies_while_it_starts_does_its_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *, kept: bool
) -> None:
    """It may be the second one, and a cluster stand: that nobody hears that it is there is no reason to end, nor that nobody said to keep it."""
    monkeypatch.setenv("WHALEFALL_STATE", str(tmp_path / "state"))
    clusters.open_cluster("no-such-run", "nspawn", {})
    if kept:
        clusters.keep("no-such-run")
    path = tmp_path / "ledger.jsonl"
    path.touch()
    for name in ("keep_outside", "let_nobody_write", "outlive_shortage"):
        monkeypatch.setattr(surroundings, name, lambda: None)
    monkeypatch.setattr(signal, "signal", lambda *_: None)  # this process is none
    with subprocess.Popen(["sleep", "600"]) as harness:
        ended = os.pidfd_open(harness.pid)
        harness.kill()
    ours, theirs = os.pipe()
    unheard, word = os.pipe()
    for each in (theirs, unheard):
        os.close(each)
    try:
        assert reaper.main("no-such-run", str(path), "nspawn", str(ours), str(word), str(ended)) == 0
    finally:
        for each in (ours, ended):
            os.close(each)
    said = capsys.readouterr().out
    assert ("no-such-run: the cluster was removed" in said) is not kept
    assert state.run_folder("no-such-run").exists() is kept


def test_a_reaper_that_is_asked_to_end_stays(tmp_path: Path) -> None:
    """A Ctrl-C at the terminal, a shutdown, a lost session: whatever ends the harness must not end who mends after it."""
    path = tmp_path / "ledger.jsonl"
    path.touch()
    one = Reaper("no-such-run", path, "nobodys").start()
    child = one._child
    assert child is not None
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        child.send_signal(number)
    one.dismiss()
    assert child.returncode == 0, "it went when it was told that all was done"


def test_a_reaper_that_cannot_be_started_again_is_an_error_and_holds_no_descriptor(tmp_path: Path) -> None:
    """Its results were removed while it ran, and then it was killed: the number of its pipe is another file's by then."""
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "ledger.jsonl").touch()
    one = Reaper("no-such-run", folder / "ledger.jsonl", "nspawn").start()
    assert one._child is not None
    one._child.kill()
    one._child.wait()
    held = one._pipe
    shutil.rmtree(folder)
    with pytest.raises(HarnessError, match=r"the reaper's log .* cannot be written"):
        one.ensure()
    assert held is not None
    with open(os.devnull, "wb") as null:  # noqa: PTH123 - a device, not a path of ours
        os.dup2(null.fileno(), held)  # the number that was let go
    try:
        one.dismiss()
        one.abandon()
        os.fstat(held)
    finally:
        os.close(held)


def test_a_reaper_that_this_machine_cannot_start_is_an_error_and_leaves_no_descriptor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No process is left, say."""

    def none_left(*_: object, **__: object) -> None:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    path = tmp_path / "ledger.jsonl"
    path.touch()
    before = len(list(Path("/proc/self/fd").iterdir()))
    monkeypatch.setattr(subprocess, "Popen", none_left)
    with pytest.raises(HarnessError, match=r"the reaper cannot be started: Resource temporarily unavailable; .* nothing was created"):
        Reaper("no-such-run", path, "nspawn").start()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def _await(pid: int, state: str) -> None:
    """Wait until a process is in a state."""
    wait_until(lambda: _state(pid) == state, awaited=f"it to be {state or 'gone'}", seconds=20.0, clock=SystemClock())


def _stop(child: subprocess.Popen[bytes]) -> None:
    """Stop a reaper (SIGSTOP)."""
    os.kill(child.pid, signal.SIGSTOP)
    _await(child.pid, "T")


@contextlib.contextmanager
def _stopped(folder: Path) -> Iterator[tuple[Reaper, subprocess.Popen[bytes]]]:
    """Start a reaper and stop it; send it away afterwards."""
    path = folder / "ledger.jsonl"
    path.touch()
    one = Reaper("no-such-run", path, "nobodys").start()
    child = one._child
    assert child is not None
    try:
        _stop(child)
        yield one, child
    finally:
        one.dismiss()


@pytest.mark.parametrize("asked", ["dismiss", "abandon"])
def test_a_reaper_that_somebody_stopped_goes_on(tmp_path: Path, asked: str) -> None:
    """A SIGSTOP must neither keep it from what it is there for, nor us from our end."""
    with _stopped(tmp_path) as (one, child):
        assert not one.ensure()
        wait_until(lambda: _state(child.pid) != "T", awaited="it to go on", seconds=20.0, clock=SystemClock())
        _stop(child)
        getattr(one, asked)()
        assert child.returncode == 0


def test_a_reaper_that_cannot_go_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that hangs although all is done is killed; one that has much to do goes on alone."""
    monkeypatch.setattr(reaper, "GO_SECONDS", 0.01)
    monkeypatch.setattr(reaper, "UNDO_SECONDS", 0.01)
    monkeypatch.setattr(Reaper, "_wake", lambda _: None)
    path = tmp_path / "ledger.jsonl"
    path.touch()
    for asked, ended in (("dismiss", True), ("abandon", False)):
        one = Reaper("no-such-run", path, "passing").start()
        child = one._child
        assert child is not None
        _stop(child)
        getattr(one, asked)()
        if ended:
            _await(child.pid, "")  # that it is gone may take a moment
        else:
            assert _state(child.pid) == "T"
        with contextlib.suppress(ProcessLookupError):
            os.kill(child.pid, signal.SIGKILL)
    wait_until(lambda: processes.collect() or not processes._left, awaited="it to be collected", seconds=20.0, clock=SystemClock())  # type: ignore[func-returns-value]  # always None


def test_a_reaper_that_never_says_that_it_is_there_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without memory, a disk that hangs: nothing is created, a stop is heard meanwhile, and no process is left."""
    monkeypatch.setattr(processes, "REAPER", "tests_sleep")
    (tmp_path / "tests_sleep.py").write_text("import signal\nsignal.pause()\n")
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / "ledger.jsonl"
    path.touch()
    one = Reaper("no-such-run", path, "passing")
    with stops.listening(lambda: stops.Stopped("stop")), pytest.raises(stops.Stopped):
        one.start()
    assert one._child is None
    monkeypatch.setattr(reaper, "START_SECONDS", 0.05)
    with pytest.raises(HarnessError, match=r"has not started after .* s; .* Nothing was created"):
        one.start()
    assert one._child is None


def _state(pid: int) -> str:
    """Return a process's state as the kernel has it; nothing where there is none, or its end was not collected."""
    try:
        word = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""
    return "" if word == "Z" else word


def test_a_dismissed_reaper_has_done_nothing(tmp_path: Path) -> None:
    """Its log stays empty: all was mended and removed by who made it."""
    path = tmp_path / "ledger.jsonl"
    path.touch()
    one = Reaper("no-such-run", path, "nspawn").start()
    one.dismiss()
    one.dismiss()
    assert (tmp_path / "reaper.log").read_text() == ""


# -- what must not stop it


def _spoil(path: Path, place: int) -> None:
    """Put a line into a ledger that nobody can read."""
    lines = path.read_bytes().splitlines()
    lines.insert(place, b'{"state": "open", "num')
    path.write_bytes(b"\n".join(lines) + b"\n")


@pytest.mark.parametrize("place", [0, 1])
def test_a_bad_line_does_not_keep_a_cluster_from_being_removed(tmp_path: Path, place: int) -> None:
    """It is told, and all else is done; the fault that can be read is settled."""
    path = _broken(tmp_path, Passing)
    _spoil(path, place)
    said = reaper.undo("run-1", path, "passing", keep=False)
    assert f"ledger.jsonl:{place + 1} is no line of a ledger" in said[0]
    assert said[1:] == ["run-1: the cluster was removed", "run-1: node.kill on n1 went with it"]
    with pytest.raises(NoSuchRun):
        Passing().adopt("run-1")


def test_a_bad_line_keeps_hosts_from_being_let_go_and_not_from_being_mended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What can be read is mended. What cannot may be on them still: without our record nobody would find them any more."""
    _held(tmp_path, monkeypatch, "run-1")
    node = STORE.runs["run-1"]["n1"]
    path = tmp_path / "run-1" / "ledger.jsonl"
    _spoil(path, 0)
    swept = reaper.sweep()
    assert any("is no line of a ledger" in each for each in swept.said)
    cure = f"may be on them: look at them, remove the lines that cannot be read from {path}, then `whalefall sweep`"
    assert any(cure in each for each in swept.said)
    assert (swept.failed, node.on, list(STORE.runs)) == (("run-1",), True, ["run-1"])
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[1:]))
    assert (reaper.sweep().failed, STORE.runs) == ((), {})


def test_a_ledger_that_is_gone_keeps_hosts_from_being_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody removed the results: nobody can tell what was broken. What to do is said, and does it."""
    _held(tmp_path, monkeypatch, "run-1")
    path = tmp_path / "run-1" / "ledger.jsonl"
    path.unlink()
    swept = reaper.sweep()
    assert (swept.failed, list(STORE.runs)) == (("run-1",), ["run-1"])
    assert f"`mkdir -p {path.parent} && touch {path} && whalefall sweep`" in swept.said[-1]
    path.touch()
    assert (reaper.sweep().failed, STORE.runs) == ((), {})


def test_a_bad_line_of_one_run_does_not_keep_others_from_being_healed(tmp_path: Path) -> None:
    """`whalefall heal` goes on, also within the run that has it."""
    for run_id in ("run-1", "run-2", "run-3"):
        _spoil(_broken(tmp_path, Lasting, run_id), 0)
    (tmp_path / "run-0").mkdir()
    (tmp_path / "run-0" / "ledger.jsonl").mkdir()
    said = reaper.heal(None, tmp_path)
    for run_id in ("run-1", "run-2", "run-3"):
        assert f"{run_id}: node.kill on n1 was healed" in said
        assert Lasting().is_on(Lasting().adopt(run_id)[0])
    assert sum("is no line of a ledger" in each for each in said) == 3
    assert sum("cannot be read" in each for each in said) == 1


def test_a_run_that_cannot_be_looked_at_does_not_keep_others_from_being_healed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever goes wrong with one."""
    for run_id in ("run-1", "run-2"):
        _broken(tmp_path, Lasting, run_id)
    whole = ledger.read

    def bad(path: Path, *, to_act: bool = False) -> ledger.OpenFaults:
        return whole(path, to_act=to_act) if path.parent.name != "run-1" else _crash()

    monkeypatch.setattr(ledger, "read", bad)
    said = reaper.heal(None, tmp_path)
    assert any("run-1: could NOT be looked at to its end: RuntimeError: a bug" in each for each in said)
    assert "run-2: node.kill on n1 was healed" in said


class _Nobody:
    """Somebody who listens to so many sentences, and is gone then."""

    def __init__(self, error: Exception, heard: int) -> None:
        self._error, self._left = error, heard

    def __call__(self, words: str) -> None:
        """Listen."""
        self._left -= 1
        if self._left < 0:
            raise self._error


@pytest.mark.parametrize("error", [BrokenPipeError(), OSError(errno.ENOSPC, "full"), ValueError("closed")], ids=repr)
@pytest.mark.parametrize("heard", [0, 1])
def test_who_mends_does_not_hang_on_who_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, heard: int) -> None:
    """A pipe that nobody reads, a log on a full disk: all is mended, and swept, and only then is it an error that it could not be told."""
    paths = [_broken(tmp_path, Lasting, f"run-{number}") for number in (1, 2, 3)]
    with pytest.raises(type(error)) as raised:
        reaper.heal(None, tmp_path, _Nobody(error, heard))
    assert raised.value is error
    assert [unsettled(path) for path in paths] == [[], [], []]
    monkeypatch.setenv("WHALEFALL_STATE", str(tmp_path / "state"))
    for number in (4, 5):
        Passing().create(f"run-{number}", SPECS)
        Passing.wanted[f"run-{number}"] = False
    with pytest.raises(type(error)):
        reaper.sweep(say=_Nobody(error, heard))
    assert not {"run-4", "run-5"} & {*STORE.runs}


def test_what_was_mended_is_said_before_the_next_is_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever stops a heal half-way knows how far it came, also within one run; the newest fault comes first."""
    path = _broken(tmp_path, Lasting)
    body = json.loads(path.read_bytes())
    path.write_bytes(b"".join(json.dumps({**body, "number": number}).encode() + b"\n" for number in (1, 2)))
    mended: list[int] = []

    def heal(_fault: object, cluster: Cluster, _targets: object) -> None:
        if mended:
            raise KeyboardInterrupt
        mended.append(cluster.fault)

    monkeypatch.setattr(NodeKill, "heal", heal)
    monkeypatch.setattr(NodeKill, "in_force", lambda *_: False)
    said: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        reaper.heal("run-1", tmp_path, said.append)
    assert (mended, said) == ([2], ["run-1: node.kill on n1 was healed"])
    assert [line.number for line in ledger.unsettled(path)] == [1]


def test_a_folders_name_forges_no_line_of_a_heal(tmp_path: Path) -> None:
    """A line's end in it is spelled out."""
    folder = tmp_path / "run-1\nrun-2: node.kill on n1 was healed"
    folder.mkdir()
    (folder / "ledger.jsonl").write_text("no line\n")
    (said,) = reaper.heal(None, tmp_path)
    assert said.startswith("run-1\\nrun-2: node.kill on n1 was healed: ")
    assert "\n" not in said


def _crash(*_: object, **__: object) -> NoReturn:
    raise RuntimeError("a bug")


CRASHES = [("adopt", "NOT be healed: RuntimeError: a bug"), ("on", "NOT be healed: RuntimeError: a bug")]


@pytest.mark.parametrize(("step", "words"), CRASHES)
def test_a_step_that_crashes_does_not_keep_the_others_from_being_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, words: str
) -> None:
    """Whatever it raises: one fault that cannot be mended is told, and the next is mended."""
    path = _broken(tmp_path, Lasting)
    body = json.loads(path.read_bytes())
    other = {**body, "run_id": "run-2", "number": 2}
    path.write_bytes(json.dumps(body).encode() + b"\n" + json.dumps(other).encode() + b"\n")
    nodes = Lasting().create("run-2", SPECS)
    Lasting().off(nodes[0])
    mended = getattr(Lasting, step)

    def once(self: Lasting, asked: object) -> object:
        if (asked if isinstance(asked, str) else getattr(asked, "run_id", "run-2")) == "run-2" and not crashed:
            crashed.append(True)
            _crash()
        return mended(self, asked)

    crashed: list[bool] = []
    monkeypatch.setattr(Lasting, step, once)
    said = reaper.undo("run-1", path, "lasting", keep=True)
    assert any(words in each for each in said), said
    assert [line.number for line in unsettled(path)] == [2]
    assert Lasting().is_on(Lasting().adopt("run-1")[0])


def test_a_removal_that_crashes_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the line stays open for whoever tries next."""
    path = _broken(tmp_path, Passing)
    monkeypatch.setattr(Passing, "destroy", _crash)
    said = reaper.undo("run-1", path, "passing", keep=False)
    assert said == ["run-1: the cluster could NOT be removed: RuntimeError: a bug"]
    assert [line.number for line in unsettled(path)] == [1]


def test_a_provider_that_cannot_be_asked_does_not_keep_others_from_being_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told, and counts as a failure."""
    _held(tmp_path, monkeypatch, "run-1")
    monkeypatch.delitem(PROVIDERS, "claimed")
    monkeypatch.setitem(PROVIDERS, "passing", Passing)  # asked first
    monkeypatch.setitem(PROVIDERS, "claimed", Claimed)
    monkeypatch.setattr(Passing, "runs", _crash)
    swept = reaper.sweep()
    assert "passing: could NOT look for what is left: RuntimeError: a bug" in swept.said
    assert (swept.failed, STORE.runs) == (("passing",), {})


# -- forks of the harness

_FORKING = """\
import ctypes, multiprocessing, os, signal, sys, time
from pathlib import Path
from harness.undo import reaper
reaper.UNDO_SECONDS = 20.0
kind, then, ledger = sys.argv[1:]
one = reaper.Reaper("no-such-run", Path(ledger), "nobodys").start()
child = one._child
def forked():
    if kind == "multiprocessing":
        made = multiprocessing.get_context("fork").Process(target=signal.pause)
        made.start()
        return made.pid
    pid = os.fork() if kind == "os.fork" else ctypes.CDLL(None).fork()  # of a C library, which tells Python nothing
    if pid == 0:
        signal.pause()
    return pid
pid = forked()
print(pid, flush=True)
if then == "dies":
    os.kill(os.getpid(), signal.SIGKILL)
getattr(one, then)()
print(child.returncode, flush=True)
os._exit(0)
"""


@pytest.mark.parametrize(
    ("kind", "then"), [("multiprocessing", "dismiss"), ("os.fork", "abandon"), ("a library", "dies"), ("a library", "abandon")]
)
def test_a_fork_of_the_harness_does_not_keep_the_reaper_waiting(tmp_path: Path, kind: str, then: str) -> None:
    """A worker that outlives the harness holds whatever the harness held; whether the harness lives is another question."""
    path = tmp_path / "ledger.jsonl"
    path.touch()
    argv = [sys.executable, "-c", _FORKING, kind, then, str(path)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env={**os.environ, **surroundings.for_python()}) as harness:
        assert harness.stdout is not None
        fork = processes.Process.of(int(harness.stdout.readline()))
        assert fork is not None
        try:
            assert then == "dies" or harness.stdout.readline() == "0\n", "it has ended, and was not killed"
            log = tmp_path / "reaper.log"
            if then != "dismiss":
                wait_until(
                    lambda: "the harness of no-such-run was gone" in log.read_text(), awaited="it to act", seconds=20.0, clock=SystemClock()
                )
            assert fork.alive
        finally:
            fork.kill()


_SPEAKING = """\
import os, sys
from pathlib import Path
from harness.undo import reaper
one = reaper.Reaper("no-such-run", Path(sys.argv[1]), "nobodys").start()
pid = os.fork()
if pid == 0:
    try:
        one.keep()
        one.abandon()
        one.dismiss()
    finally:
        os._exit(0)
os.waitpid(pid, 0)
print(one.ensure(), one._child.poll(), flush=True)
one.dismiss()
"""


def test_a_fork_of_the_harness_does_not_speak_for_it(tmp_path: Path) -> None:
    """A child that unwinds as its parent would, as a forked test that fails does, neither sends the reaper away nor sets it to work."""
    path = tmp_path / "ledger.jsonl"
    path.touch()
    argv = [sys.executable, "-c", _SPEAKING, str(path)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, env={**os.environ, **surroundings.for_python()})
    assert done.stdout == "False None\n"
    assert (tmp_path / "reaper.log").read_text() == ""


# -- where it is started


SHADOWS = ("calendar", "queue", "statistics", "platform", "token", "yaml", "json", "typing", "harness", "click", "signal")
"""Modules of the standard library, of what we need and of ourselves, as a test folder may have some of its own."""


@pytest.fixture
def shadowing_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have a folder first on the path, as pytest puts that of a test file, in which everything is called as something that we need."""
    folder = tmp_path / "tests"
    folder.mkdir()
    for name in SHADOWS:
        (folder / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'a').close()\nraise SystemExit({name!r})\n")
    (folder / "of_the_tests.py").write_text("import harness.host.surroundings, calendar\nprint('there')\n")
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    return folder


def test_a_module_beside_a_test_is_not_taken_for_one_that_the_reaper_needs(tmp_path: Path, shadowing_folder: Path) -> None:
    """It starts, and nothing of that folder is run."""
    path = tmp_path / "ledger.jsonl"
    path.touch()
    Reaper("no-such-run", path, "nobodys").start().dismiss()
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("module", ["harness.disk", "of_the_tests"])
def test_a_python_that_we_start_takes_no_other_module_for_its_own(tmp_path: Path, shadowing_folder: Path, module: str) -> None:
    """A node's slow disk, say. What is nowhere else is found there all the same: a plug-in may be."""
    argv = [sys.executable, "-m", module, "--help"]
    done = subprocess.run(
        argv, cwd=shadowing_folder, env={**os.environ, **surroundings.for_python()}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("there" if module == "of_the_tests" else "usage: python -m harness.disk")
    assert not (tmp_path / "ran").exists()


def test_a_folder_of_pythonpath_comes_before_what_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever named it meant that; but never before the standard library, nor before ourselves."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["relative", str(tmp_path / "named")]))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", str(tmp_path / "tests"), "relative", str(tmp_path / "named"), *sys.path])
    found = surroundings.for_python()["PYTHONPATH"].split(os.pathsep)
    assert all(os.path.isabs(each) for each in found)  # noqa: PTH117 - plain text
    at = {
        name: next(number for number, each in enumerate(found) if each.endswith(name))
        for name in ("/named", "/relative", "-packages", "/tests")
    }
    standard = found.index(str(Path(os.__file__).parent))
    assert standard < at["/relative"] < at["/named"] < at["-packages"] < at["/tests"]
    assert found.index(str(Path(reaper.__file__).parents[2])) < at["/named"]


def test_a_provider_that_fails_between_two_runs_does_not_keep_the_second_from_being_swept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was removed is said, what cannot be seen counts as a failure, and the next run has its turn."""
    _held(tmp_path, monkeypatch, "run-1")
    _held(tmp_path, monkeypatch, "run-2")
    real, asked = Claimed.runs, []

    def once(self: Claimed) -> Mapping[str, bool]:
        asked.append(1)
        if len(asked) > 1:
            raise OSError(errno.EIO, "Input/output error")
        return real(self)

    monkeypatch.setattr(Claimed, "runs", once)
    swept = reaper.sweep()
    assert (swept.failed, STORE.runs) == (("run-1", "run-2"), {})
    unseen = [each.partition(": ")[0] for each in swept.said if "whether anything of it is left cannot be seen: " in each]
    assert unseen == ["run-1", "run-2"]


def test_a_run_that_cannot_be_asked_for_does_not_keep_others_from_being_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it was to be kept is not known, so it stays, and counts as a failure."""
    _held(tmp_path, monkeypatch, "run-1")
    _held(tmp_path, monkeypatch, "run-2")
    Claimed.kept.add("run-1")
    monkeypatch.setattr(Claimed, "is_kept", _crash)
    swept = reaper.sweep(kept=True)
    assert (swept.failed, list(STORE.runs)) == (("run-1",), ["run-1"])
    assert "run-1: could NOT be removed: RuntimeError: a bug; where they are gone for good" in swept.said[0]


def test_a_sweep_lets_a_reaper_go_on_that_somebody_stopped_and_sends_nothing_to_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its harness was killed meanwhile: nobody else would wake it, and its run would look as if it went on. What others are sent might be seen."""
    for name in list(PROVIDERS):
        monkeypatch.delitem(PROVIDERS, name)  # nothing of this machine's is swept
    with _stopped(tmp_path) as (_, child):
        assert tmp_path in processes.with_reapers()
        reaper.sweep()
        wait_until(lambda: _state(child.pid) != "T", awaited="it to go on", seconds=20.0, clock=SystemClock())
        sent: list[int] = []
        with monkeypatch.context() as patch:
            patch.setattr(processes.Process, "kill", lambda self, *_: sent.append(self.pid))
            reaper.sweep()
        assert sent == []


def test_no_test_sees_a_reaper_of_this_machine(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Nor wakes it, nor takes its run for one of the test's own: only those are seen whose run lies below the tests' folder."""
    with tempfile.TemporaryDirectory() as elsewhere:
        assert not Path(elsewhere).is_relative_to(tmp_path_factory.getbasetemp())
        path = Path(elsewhere, "ledger.jsonl")
        path.touch()
        one = Reaper("no-such-run", path, "nobodys").start()
        try:
            assert processes.with_reapers() == set()
        finally:
            one.dismiss()


LIBRARIES = """
import json, sys
from harness.undo import reaper

def has():
    return sorted({"cryptography", "docker", "paramiko", "requests", "rich", "urllib3"} & set(sys.modules))

told = []
for name in sys.argv[1:]:
    reaper._provider(name)
    told.append(has())
print(json.dumps(told))
"""


def test_it_has_the_libraries_that_its_nodes_are_reached_with_before_it_needs_them_and_no_others() -> None:
    """There is one for every run, and libraries are half of what it takes to start; what is installed anew meanwhile takes nothing from it."""
    done = subprocess.run(
        [sys.executable, "-c", LIBRARIES, "nspawn", "inventory"],
        env={**os.environ, **surroundings.for_python()},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == [[], ["cryptography", "docker", "paramiko", "requests", "urllib3"]]


@pytest.mark.parametrize("provider", ["inventory", "vagrant"])
def test_whoever_reaches_nodes_over_ssh_has_all_of_that_at_once(provider: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And not when the first connection is made."""
    asked: list[str] = []
    monkeypatch.setattr(f"harness.providers.{provider}.import_now", lambda: asked.append(provider))
    PROVIDERS[provider]()
    assert asked == [provider]
