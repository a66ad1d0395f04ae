"""Limits follow this machine's pace: measured, told, one mechanism for all of them, and mode timers that slow machines can keep."""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

import harness
from harness.conductor import Options, lending, lent
from harness.conductor.standing import Standing
from harness.core import pace
from harness.core.clock import Clock
from harness.core.errors import HarnessError
from harness.core.protocols import Cluster
from harness.core.values import Budget, Loss, NodeSpec, Term, Traits, Who
from harness.history.events import History, Note
from harness.modes import MODES, profiles
from harness.modes.fleet import Fleet
from harness.modes.fleet import fleet_timers as timers
from harness.plan import Plan
from harness.providers import PROVIDERS
from harness.testing.bare import BareMode
from harness.testing.fake_clock import FakeClock
from harness.testing.memory_provider import MemoryProvider, MemoryWorld
from tests.unit.sessions import Nobody

PACKAGE = Path(harness.__file__).parent


class Looping(FakeClock):
    """A clock on which every look at it, and so every loop between two of them, takes as long as on a machine that is so many times slower."""

    def __init__(self, factor: float) -> None:
        super().__init__(moves_itself=True)
        self._each = factor * pace.LOOP_SECONDS  # it is looked at once a loop

    def now(self) -> float:
        """Move on."""
        self.advance(self._each)
        return super().now()


@pytest.mark.parametrize(("factor", "seen"), [(0.2, 1.0), (1.0, 1.0), (3.0, 3.0), (50.0, pace.SLOWEST)])
def test_limits_are_as_much_longer_as_a_loop_took_longer(factor: float, seen: float) -> None:
    """Never shorter, never without an end; and as they were once the run is over."""
    with pace.measured(Looping(factor)) as found:
        assert found.factor == pytest.approx(seen, rel=0.1)
        assert pace.limit(10.0) == pytest.approx(10.0 * seen, rel=0.1)
    assert pace.limit(10.0) == 10.0


class Busy(FakeClock):
    """The clock of a machine that is so many times slower, and is busy with something else for nine loops of ten."""

    def __init__(self, factor: float) -> None:
        super().__init__(moves_itself=True)
        self._factor = factor
        self._looks = 0

    def now(self) -> float:
        """Move on: by a loop alone, or by what came in between, too."""
        self._looks += 1
        self.advance(self._factor * pace.LOOP_SECONDS * (3 if self._looks % 10 else 1))
        return super().now()


@pytest.mark.parametrize(
    ("clock", "factor", "own", "said"),
    [
        (Busy(1.0), 2.8, 1.0, "this machine is busy, and everything takes 2.8 times as long as on the machines"),
        (
            Busy(1.3),
            3.6,
            1.3,
            "this machine is 1.3 times slower than those that our limits were measured on, and busy, so that everything takes 3.7",
        ),
        (Looping(3.0), 3.0, 3.0, "this machine is 3.0 times slower than those that our limits were measured on (a loop of"),
    ],
)
def test_a_busy_machine_is_not_called_slow(clock: FakeClock, factor: float, own: float, said: str) -> None:
    """The best loop measures the machine; limits follow the mean, and the words keep the two apart."""
    with pace.measured(clock) as found:
        assert found.factor == pytest.approx(factor, rel=0.05)
        assert found.own == pytest.approx(own)
        assert said in str(found)


@pytest.mark.parametrize(
    ("factor", "said"),
    [(3.0, "our own limits are 3.0 times longer"), (16.7, "our own limits are 4.0 times longer, the most that is allowed")],
)
def test_the_words_give_what_was_measured_and_what_was_made_of_it(factor: float, said: str) -> None:
    """Also where limits are not lengthened by all of it: the ratio is that of the two times beside it."""
    with pace.measured(Looping(factor)) as found:
        words = str(found)
    assert f"this machine is {factor:.1f} times slower" in words
    assert f"took {factor * pace.LOOP_SECONDS * 1000:.1f} ms at best" in words
    assert words.endswith(f": {said}")


def test_within_a_run_the_pace_only_grows_and_says_what_was_seen() -> None:
    """The boot that was just seen counts, and a quiet moment takes nothing back."""
    with pace.measured(FakeClock(moves_itself=True)):
        assert not pace.current().slow
        assert pace.saw("making 3 machines", 60.0, 24.0).factor == 2.5
        pace.saw("making 1 machine", 10.0, 14.0)
        pace.look(FakeClock(moves_itself=True))
        assert pace.limit(4.0) == 10.0
        assert "2.5 times longer" in str(pace.current())
        assert "making 3 machines took 60.0 s in place of 24.0 s" in str(pace.current())


def test_outside_a_run_nothing_is_kept() -> None:
    """Whoever asks there has the limits as they stand."""
    pace.saw("making 3 machines", 60.0, 24.0)
    pace.slow_machines()
    assert pace.current() == pace.USUAL


def test_observers_wait_longer_for_answers_of_slow_machines_alone() -> None:
    """On others they would themselves be silent for too long."""
    with pace.measured(Looping(4.0)):
        assert pace.answer(2.0) == 2.0
        pace.slow_machines()
        assert pace.answer(2.0) == 6.0
    with pace.measured(Looping(1.0)):
        pace.slow_machines()
        assert pace.answer(2.0) == 4.0


def _limits(path: Path) -> Iterator[tuple[int, str]]:
    """Yield every constant in seconds that is handed to a wait as it stands, with its line. A thread that is joined fails nothing when it is late."""
    for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(call, ast.Call):
            continue
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        handed = [each.value for each in call.keywords if each.arg in {"timeout", "seconds", "connect_seconds"}]
        handed += call.args[1:2] if name == "Deadline" else call.args[:1] if name in {"wait", "settimeout"} else []
        made = name.lstrip("_")[:1].isupper() or name == "first"  # a client, a deadline: what it is made with it waits for
        handed += [each for each in call.args if made and isinstance(each, ast.Name)]
        for value in handed:
            names = [each.id for each in ast.walk(value) if isinstance(each, ast.Name) and each.id.endswith("SECONDS")]
            scaled = any(isinstance(each, ast.Attribute) and each.attr in {"limit", "answer"} for each in ast.walk(value))
            if names and not scaled:
                yield call.lineno, names[0]


def _defaults(path: Path) -> Iterator[str]:
    """Yield every number of seconds that a parameter has where nobody gives it, as ``name=number``."""
    for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(function, ast.FunctionDef):
            continue
        of = function.args
        named = [*of.posonlyargs, *of.args]
        pairs = [*zip(named[len(named) - len(of.defaults) :], of.defaults, strict=True), *zip(of.kwonlyargs, of.kw_defaults, strict=True)]
        for parameter, default in pairs:
            number = isinstance(default, ast.Constant) and type(default.value) in {int, float}
            constant = isinstance(default, ast.Name) and default.id.endswith("SECONDS")
            if parameter.arg in {"timeout", "seconds", "connect_seconds"} and default is not None and (number or constant):
                yield f"{parameter.arg}={ast.unparse(default)}"


AS_THEY_STAND: Mapping[str, str] = {
    "host/building.py: BUILD_SECONDS": "half an hour for what takes a minute, before any run",
    "host/shelves.py: BUILD_SECONDS": "the same, for another process to build it",
    "host/turns.py: SECONDS": "a courtesy: who waited for so long goes on all the same",
    "conductor/until.py: seconds=STAYS_SECONDS": "how long something must be so; it fails nothing",
    "core/protocols/node.py: timeout=30.0": "what is promised at least; each kind of node lengthens it",
    "nodes/ssh/commands.py: seconds=GONE_SECONDS": "how long a command that was killed is waited for; nothing fails",
    "nodes/ssh/remote.py: connect_seconds=CONNECT_SECONDS": "an SshNode lengthens what it is given",
    "providers/vagrant/virsh.py: seconds=SECONDS": "Virsh.ask lengthens what it is given",
    "conductor/aftermath.py: ASK_SECONDS": "readiness.answer_seconds lengthens what it is given",
    "conductor/asking.py: ASK_SECONDS": "the plan says how long a run takes with it; slow machines have their slack on top",
    "cli/doctor.py: PROBE_SECONDS": "no run, so no pace",
    "cli/reporting.py: REPORT_SECONDS": "ten minutes for what takes seconds, and no run, so no pace",
    "cli/stopping.py: TELL_SECONDS": "how long the last word is waited for; nothing fails",
    "nodes/namespaced.py: GONE_SECONDS": "how long a command that was killed is waited for; nothing fails",
    "nodes/namespaced.py: _GRACE_SECONDS": "how long to look for the cause of an end that was seen; nothing fails",
    "observers/watch.py: STOP_SECONDS": "how long threads are waited for before they are left behind; nothing fails",
    "providers/nspawn/__init__.py: UNWIND_SECONDS": "how long a stopped creation may go on by itself before it is killed",
    "providers/vagrant/__init__.py: CONNECT_SECONDS": "an SshNode lengthens what it is given",
    "providers/vagrant/__init__.py: SLOW_SECONDS": "Virsh.ask lengthens what it is given",
    "providers/vagrant/__init__.py: _KNOCK_SECONDS": "a look in between, for what is told; nothing fails",
    "providers/vagrant/virsh.py: SLOW_SECONDS": "Virsh.ask lengthens what it is given",
    "nodes/fio.py: seconds=SECONDS": "how long a measurement goes on; what it may take is lengthened",
    "nodes/children.py: GONE_SECONDS": "how long a command that was killed is waited for; nothing fails",
    "modes/ansible/playing.py: _LAST_SECONDS": "how long a program that is ended has for its last words; nothing fails",
    "nodes/this_machine.py: GRACE_SECONDS": "how long a command that is ended has for its last words; nothing fails",
    "registry/entries.py: LOAD_SECONDS": "an import of one file, long before any run",
    "workloads/performing.py: END_SECONDS": "how long threads are waited for before they are left behind; nothing fails",
    "workloads/performing.py: seconds=0.0": "what a driver is told; this one asks nothing more",
    "workloads/driver.py: GRACE_SECONDS": "how long calls are waited for before they are left behind; nothing fails",
}
"""Waits that are no limits, and limits that are lengthened elsewhere, each with the reason."""


def test_every_limit_of_ours_goes_by_the_pace() -> None:
    """One mechanism for all: a constant in seconds that a wait is handed, or has by itself, fails on a slow machine without it, and nowhere else."""
    found = {
        f"{path.relative_to(PACKAGE)}: {name}"
        for path in sorted(PACKAGE.rglob("*.py"))
        if "testing" not in path.parts
        for name in [*(name for _, name in _limits(path)), *_defaults(path)]
    }
    assert found - {*AS_THEY_STAND} == set(), "hand these to pace.limit, or say in AS_THEY_STAND why not"


# -- timers that slow machines can keep


@pytest.mark.parametrize("profile", timers.PROFILES)
@pytest.mark.parametrize("stall", [0.0, 0.3, 3.0, 7.8, 12.0, 200.0])
def test_stretched_timers_stand_a_stall_and_are_none_that_etcd_or_fleet_refuses(profile: str, stall: float) -> None:
    """None is shorter than it was; a machine that stands still is neither unfollowed nor forgotten."""
    before = timers.PROFILES[profile]
    after = timers.withstanding(before, stall)
    assert all(getattr(after, each.name) >= getattr(before, each.name) for each in dataclasses.fields(before))
    assert profiles.chosen({"default": after}, "default", {}, timers._refused) == after
    assert after.agent_ttl >= 2 * stall
    assert after.etcd_election_timeout > stall or after.etcd_election_timeout == timers._LONGEST_ELECTION
    assert after == before or stall


def test_stretched_timers_make_budgets_of_their_own() -> None:
    """What recovery may take follows from the timers that are in force."""
    mode = Fleet()
    before = mode.budget(Traits(Loss.NODE), Who.LEADER).seconds
    mode.withstand(8.0)
    assert mode.timers["agent_ttl"] == 40.0
    assert mode.budget(Traits(Loss.NODE), Who.LEADER).seconds > before + 10.0


class Timed(BareMode):
    """A mode with one timer, which can be stretched to what machines stand still; `formed` holds what each cluster was formed with."""

    formed: ClassVar[list[float]] = []

    def __init__(self, beat: float) -> None:
        super().__init__()
        object.__setattr__(self, "beat", beat)

    @classmethod
    def from_timers(cls, profile: str, overrides: Mapping[str, float]) -> Timed:
        """Take it."""
        return cls(overrides.get("beat", 1.0))

    @property
    def timers(self) -> Mapping[str, float]:
        """The one."""
        return {"beat": self.beat}  # type: ignore[attr-defined]

    def withstand(self, seconds: float) -> None:
        """Stretch it."""
        object.__setattr__(self, "beat", max(self.timers["beat"], seconds))

    def form(self, cluster: Cluster) -> None:
        """Note it."""
        type(self).formed.append(self.timers["beat"])

    def budget(self, lost: Traits, who: Who) -> Budget:
        """By the timer."""
        return Budget((Term("beat", self.timers["beat"], "here"),))


class Slowly(MemoryProvider):
    """Machines that may stand still, for longer each time that one is asked."""

    store: MemoryWorld
    stalls: ClassVar[Iterator[float]] = iter(())

    def allowance(self) -> Term:
        """Say that they are slow."""
        return Term("slow machines", 60.0, "here")

    def stall(self) -> float:
        """Say for how long."""
        return next(type(self).stalls)


@pytest.fixture
def slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let runs have such machines and such a mode, with nobody to watch over them."""
    store = MemoryWorld()
    monkeypatch.setattr(lending, "Reaper", Nobody)
    monkeypatch.setattr(Slowly, "stalls", iter((4.0, 9.0)))
    monkeypatch.setattr(Timed, "formed", [])
    monkeypatch.setitem(PROVIDERS, "memory", lambda: Slowly(store))
    monkeypatch.setitem(MODES, "bare", Timed)


SPECS = (NodeSpec("n1", "10.77.0.11"),)
PLAN = Plan("t", "why", "t.yaml", "bare", "memory", 7, "default", {"beat": 1.0}, SPECS, (), (), (), 1.0, (), (), None)


@contextlib.contextmanager
def _run(results: Path, clock: Clock, standing: Standing | None = None) -> Iterator[tuple[dict[str, Any], dict[str, Any], Sequence[str]]]:
    """Lend a cluster, and give its plan and environment as they lie on disk, and the run's notes."""
    with lent(PLAN, Options(results, clock=clock, standing=standing)) as session:
        folder = session.folder
    notes = [event.text for _, event in History.load(folder / "history.jsonl").each(Note)]
    yield json.loads((folder / "plan.json").read_text()), json.loads((folder / "environment.json").read_text()), notes


@pytest.mark.usefixtures("slowly")
def test_timers_are_stretched_by_what_was_measured_before_a_cluster_is_formed_and_it_is_said(tmp_path: Path) -> None:
    """In the plan and in the environment."""
    with _run(tmp_path, Looping(3.0)) as (plan, environment, notes):
        assert Timed.formed == [4.0]
        assert plan["timers"] == {"beat": 4.0}
        assert plan["stretched"] == "beat 1 s to 4 s: machines that stand still for 4.0 s are not dead"
        assert "times slower" in environment["pace"]
        assert not {plan["stretched"], environment["pace"]} & set(notes), "the head of a report says it: a note would say it twice"


@pytest.mark.usefixtures("slowly")
def test_a_cluster_that_stands_is_found_with_the_timers_that_it_was_formed_with(tmp_path: Path) -> None:
    """Whatever is measured by then: the second run sets it back, and its budgets are those of what is in force."""
    standing = Standing()
    with _run(tmp_path, Looping(1.0), standing):
        pass
    with _run(tmp_path, Looping(1.0), standing) as (plan, environment, _):
        assert Timed.formed == [4.0]
        assert plan["timers"] == {"beat": 4.0}
        assert plan["stretched"] == "beat 1 s to 4 s: the cluster was formed so"
        assert "made_for" in environment
        assert "pace" not in environment
    standing.close()


def test_an_expired_limit_names_the_seconds_that_were_really_waited(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever reads it must be able to add up."""
    from harness.providers.vagrant.virsh import Virsh  # noqa: PLC0415 - this test alone needs it

    monkeypatch.setattr("harness.providers.vagrant.virsh.run_here", _never)
    with pace.measured(Looping(0.0)):
        pace.saw("this", 2.0, 1.0)
        with pytest.raises(HarnessError, match="after 20 s"):
            Virsh("test:///default", "run").ask("version", seconds=10.0)


def _never(argv: list[str], *, seconds: float, **_: object) -> None:
    import subprocess  # noqa: PLC0415 - this double alone needs it

    raise subprocess.TimeoutExpired(argv, seconds)
