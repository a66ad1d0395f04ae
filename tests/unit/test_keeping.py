"""What nodes said is kept where a run fails after they answered, and is never waited for without an end."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

import pytest

from harness.conductor import Options, keeping, lending, lent
from harness.core import stops
from harness.core.errors import FaultFailed, HarnessError, Unreachable, Unsupported
from harness.core.protocols import Cluster, Disposable, Node
from harness.core.stops import Stopped
from harness.core.values import App, NodeSpec
from harness.faults.power import NodeKill
from harness.history.events import STOPPED_EARLY, History, Note
from harness.modes import MODES
from harness.plan import Plan
from harness.providers import PROVIDERS
from harness.steps import Hold
from harness.testing.bare import BareMode
from harness.testing.fake_clock import FakeClock
from harness.testing.memory_provider import MemoryProvider
from harness.undo import ledger
from tests.unit.sessions import Nobody

SPECS = tuple(NodeSpec(f"n{number}", f"10.77.0.{10 + number}") for number in (1, 2, 3))


class Talking(MemoryProvider):
    """Machines with consoles."""

    def keep_consoles(self, run_id: str, folder: Path) -> None:
        """Keep what they said."""
        folder.mkdir()
        (folder / "n1.log").write_text(f"{run_id} booted", encoding="utf-8")


class Logging(BareMode):
    """A mode whose nodes have logs, but for n2; `failure` is raised by the part of its work that is named."""

    failing = ""
    failure: Exception = HarnessError("etcd did not answer")

    @classmethod
    def from_timers(cls, profile: str, overrides: Mapping[str, float]) -> Logging:
        """Take none."""
        return cls()

    def form(self, cluster: Cluster) -> None:
        """Fail if asked to."""
        if type(self).failing == "form":
            raise type(self).failure

    def deploy(self, cluster: Cluster, app: App) -> None:
        """Fail if asked to."""
        if type(self).failing == "deploy":
            raise type(self).failure

    def logs(self, node: Node) -> dict[str, bytes]:
        """Return one, or nothing of a node that is gone."""
        if node.name == "n2":
            raise Unreachable("n2", "journalctl", "no answer")
        return {"etcd.log": f"{node.name}: no leader".encode()}


@pytest.fixture
def plan(monkeypatch: pytest.MonkeyPatch) -> Plan:
    """Return a plan of one app on such machines."""
    monkeypatch.setattr(lending, "Reaper", Nobody)
    monkeypatch.setitem(PROVIDERS, "memory", Talking)
    monkeypatch.setitem(MODES, "bare", Logging)
    return Plan("t", "why", "t.yaml", "bare", "memory", 7, "default", {}, SPECS, (App("web", 1),), (), (), 1.0, (), (), None)


def _fail(plan: Plan, results: Path) -> Path:
    """Lend a cluster that fails, and return its folder."""
    with pytest.raises(type(Logging.failure)), lent(plan, Options(results, clock=FakeClock(moves_itself=True))) as session:
        session.break_(None, "n1", None)  # type: ignore[arg-type]  # never comes so far
    return next(results.iterdir())


@pytest.mark.parametrize("part", ["form", "deploy"])
def test_a_run_that_fails_after_its_nodes_answered_keeps_what_they_said(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    """Logs of whom can be asked, a word of whom cannot, and the consoles."""
    monkeypatch.setattr(Logging, "failing", part)
    folder = _fail(plan, tmp_path)
    assert (folder / "logs/n1/etcd.log").read_text() == "n1: no leader"
    assert (folder / "logs/n3/etcd.log").is_file()
    assert "no answer" in (folder / "logs/n2/unreachable.txt").read_text()
    assert "booted" in (folder / "consoles/n1.log").read_text()


@pytest.mark.parametrize("silent", [True, False])
def test_consoles_are_kept_beside_the_logs_where_a_node_cannot_be_asked(tmp_path: Path, *, silent: bool) -> None:
    """Its kernel may have said there why; where all answer their own logs say more."""
    provider = Talking()
    specs = SPECS if silent else SPECS[:1]
    keeping.save_logs(Cluster("run-1", provider.create("run-1", specs), provider, Logging(), FakeClock()), tmp_path)
    assert (tmp_path / "logs/n1/etcd.log").is_file()
    assert (tmp_path / "consoles/n1.log").exists() is silent


def test_logs_that_were_kept_are_not_asked_for_again(tmp_path: Path) -> None:
    """What nodes said when the verdict asked for it is not written over by what they say after the failure."""
    provider = Talking()
    cluster = Cluster("run-1", provider.create("run-1", SPECS), provider, Logging(), FakeClock())
    keeping.save_logs(cluster, tmp_path)
    (tmp_path / "logs/n1/etcd.log").write_text("as it was")
    with pytest.raises(HarnessError, match="etcd did not answer"), keeping.kept_if_it_fails(cluster, tmp_path, FakeClock()):
        raise Logging.failure
    assert (tmp_path / "logs/n1/etcd.log").read_text() == "as it was"


class Ailing(Talking):
    """Machines on a machine with troubles of its own."""

    trouble = ""

    def ailment(self, run_id: str) -> str:
        """Return what the test says."""
        return type(self).trouble


def test_what_ails_the_machine_under_the_nodes_is_held_against_nobody(plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that was full for a moment has done its harm: the run ends at once and is not judged, whatever was made of it since."""
    monkeypatch.setitem(PROVIDERS, "memory", Ailing)

    def work() -> None:
        with lent(plan, Options(tmp_path, clock=FakeClock(moves_itself=True))) as session:
            session.pause(10.0)
            monkeypatch.setattr(Ailing, "trouble", "the disk of this machine is full")
            with pytest.raises(HarnessError, match="is full"):
                session.pause(10.0)
            monkeypatch.setattr(Ailing, "trouble", "")
            session.pause(10.0)

    with pytest.raises(HarnessError, match="the disk of this machine is full"):
        work()
    (folder,) = [each for each in tmp_path.iterdir() if not each.is_symlink()]
    assert History.load(folder / "history.jsonl").failure == "the disk of this machine is full"
    assert not (folder / "verdict.json").exists()


def test_what_ails_the_machine_is_the_cause_of_what_has_just_failed_by_it(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is looked for twice a second while all is well, and at once where something failed."""
    monkeypatch.setitem(PROVIDERS, "memory", Ailing)
    monkeypatch.setattr(Ailing, "trouble", "")

    def work() -> None:
        with lent(plan, Options(tmp_path, clock=FakeClock(moves_itself=True))):
            monkeypatch.setattr(Ailing, "trouble", "the disk of this machine is full")
            raise HarnessError("n1 died")

    with pytest.raises(HarnessError, match="is full"):
        work()
    (folder,) = [each for each in tmp_path.iterdir() if not each.is_symlink()]
    assert History.load(folder / "history.jsonl").failure == "the disk of this machine is full"


def test_what_ails_the_machine_is_not_looked_for_at_every_event(plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits are woken by each line of a history: to look each time took a fifth of the harness's own work."""
    monkeypatch.setitem(PROVIDERS, "memory", Ailing)
    looks: list[str] = []

    def ailment(_: Ailing, run_id: str) -> str:
        looks.append(run_id)
        return ""

    monkeypatch.setattr(Ailing, "ailment", ailment)
    clock = FakeClock(moves_itself=True)
    with lent(plan, Options(tmp_path, clock=clock)):
        before, since = len(looks), clock.now()
        for _ in range(100):
            stops.go_on()
        assert len(looks) <= before + 1 + (clock.now() - since) / lending.AILMENT_SECONDS  # other threads move the clock meanwhile


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (pytest.fail.Exception("Timeout (>8.0s) from somebody's plug-in.\nand more"), ": Timeout (>8.0s) from somebody's plug-in."),
        (SystemExit(3), ": 3"),
        (KeyboardInterrupt(), ""),
    ],
)
def test_what_is_raised_to_end_us_is_no_failure_of_ours(plan: Plan, tmp_path: Path, raised: BaseException, said: str) -> None:
    """A time limit of a test, an exit: the run was stopped, and says by what."""
    with pytest.raises(type(raised)), lent(plan, Options(tmp_path, clock=FakeClock(moves_itself=True))):
        raise raised
    (folder,) = [each for each in tmp_path.iterdir() if not each.is_symlink()]
    history = History.load(folder / "history.jsonl")
    assert (history.stopped, history.failure) == (True, "")
    assert f"{STOPPED_EARLY}{said}" in [event.text for _, event in history.each(Note)]


def test_what_was_broken_and_went_with_its_cluster_is_not_said_to_be_broken_still(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a heal was not possible and the machines are gone, there is nothing that `heal` could mend."""
    monkeypatch.setattr(Talking, "leftovers", lambda *_: [], raising=False)
    monkeypatch.setattr(Talking, "runs", lambda *_: {}, raising=False)
    for name in ("keep", "is_kept"):
        monkeypatch.setattr(Talking, name, lambda *_: False, raising=False)
    assert isinstance(Talking(), Disposable)
    monkeypatch.setattr(Talking, "on", lambda *_: _raise(HarnessError("no room")))
    with (
        pytest.raises(FaultFailed, match="could not be healed"),
        lent(plan, Options(tmp_path, clock=FakeClock(moves_itself=True))) as session,
    ):
        session.break_(NodeKill(), "n1", Hold(1.0))
    (folder,) = [each for each in tmp_path.iterdir() if not each.is_symlink()]
    assert ledger.read(folder / "ledger.jsonl") == ledger.OpenFaults((), ())
    assert b'"by": "destroy"' in (folder / "ledger.jsonl").read_bytes()


def _raise(error: Exception) -> NoReturn:
    raise error


@pytest.mark.parametrize("failure", [Stopped("the run was stopped"), Unsupported("no such thing here")])
def test_a_run_that_is_stopped_or_cannot_be_asks_nobody(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    """A stop is to be quick, and what cannot be made here is no fault of the nodes."""
    monkeypatch.setattr(Logging, "failing", "form")
    monkeypatch.setattr(Logging, "failure", failure)
    folder = _fail(plan, tmp_path)
    assert not (folder / "logs").exists()
    assert not (folder / "consoles").exists()


def test_what_nodes_that_hang_would_say_is_not_waited_for(tmp_path: Path) -> None:
    """Once its time is over it is left behind, and the failure itself is raised; also while something else would end the run."""
    clock = FakeClock()
    release = threading.Event()

    class Hanging(Logging):
        def logs(self, node: Node) -> dict[str, bytes]:
            clock.advance(keeping.KEEP_SECONDS)
            release.wait(60.0)
            return super().logs(node)

    provider = MemoryProvider()
    cluster = Cluster("run-1", provider.create("run-1", SPECS), provider, Hanging(), clock)
    with (
        stops.listening(lambda: HarnessError("the history cannot be written")),
        pytest.raises(HarnessError, match="etcd did not answer"),
        keeping.kept_if_it_fails(cluster, tmp_path, clock),
    ):
        raise Logging.failure
    assert [path.name for path in (tmp_path / "logs").rglob("*.log")] == []
    release.set()
