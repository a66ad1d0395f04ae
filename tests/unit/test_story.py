"""What is told and kept while nodes are made."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import pytest

from harness.conductor import Options, lending, lent
from harness.conductor.options import Progress
from harness.core.errors import HarnessError, Unsupported
from harness.core.protocols import Narrating, Node
from harness.core.stops import CutOff, Stopped
from harness.core.values import NodeSpec
from harness.history.events import History
from harness.modes import MODES
from harness.plan import Plan
from harness.providers import PROVIDERS
from harness.providers.story import MOST_BYTES, Narrator
from harness.runs.run import ended_early
from harness.testing.bare import BareMode
from harness.testing.fake_clock import FakeClock
from harness.testing.memory_provider import MemoryProvider
from tests.unit.sessions import Nobody

SPECS = (NodeSpec("n1", "10.77.0.11"), NodeSpec("n2", "10.77.0.12"))
PLAN = Plan("t", "why", "t.yaml", "bare", "memory", 7, "default", {}, SPECS, (), (), (), 1.0, (), (), None)


class Timeless(BareMode):
    """A mode without timers."""

    @classmethod
    def from_timers(cls, profile: str, overrides: Mapping[str, float]) -> Timeless:
        """Make it, whatever is said."""
        return cls()


class Stillborn(MemoryProvider):
    """Machines of which one says something and does not come up."""

    error: ClassVar[BaseException] = HarnessError("n2 did not boot")
    console: ClassVar[Path]
    asked: ClassVar[threading.Event] = threading.Event()

    def narrate(self, progress: Callable[[str], None], folder: Path) -> None:
        """Begin."""
        self.story = Narrator()
        self.story.begin(progress, folder)

    def create(self, run_id: str, specs: Sequence[NodeSpec]) -> Sequence[Node]:
        """Fail."""
        self.story.tell("n1 is up; waiting for n2")
        if not isinstance(self.error, Unsupported):
            self.story.keep({"n1": self.console.with_name("none"), "n2": self.console})
        self.asked.set()
        raise self.error


@pytest.fixture
def stillborn(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> type[Stillborn]:
    """Let runs have such machines, with nobody to watch over them."""
    fresh: type[Stillborn] = type("Fresh", (Stillborn,), {"console": tmp_path / "console.log"})
    fresh.console.write_bytes(b"x" * MOST_BYTES + b"Kernel panic")
    monkeypatch.setattr(lending, "Reaper", Nobody)
    monkeypatch.setitem(PROVIDERS, "memory", fresh)
    monkeypatch.setitem(MODES, "bare", Timeless)
    return fresh


@pytest.mark.parametrize(
    ("error", "stopped", "failure"),
    [
        (Stopped("the run was stopped"), True, ""),
        (KeyboardInterrupt(), True, ""),
        (CutOff("n2 was let go"), True, ""),
        (HarnessError("n2 did not boot"), False, "n2 did not boot"),
        (ZeroDivisionError("a bug"), False, "ZeroDivisionError: a bug"),
    ],
)
def test_why_a_run_ended_early_is_kept_in_words(
    stillborn: type[Stillborn], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, failure: str, *, stopped: bool
) -> None:
    """A wish to stop is no failure, and only an error that nobody foresaw is told with its kind."""
    monkeypatch.setattr(stillborn, "error", error)
    options = Options(tmp_path / "results", clock=FakeClock(moves_itself=True), stop=threading.Event())
    if isinstance(error, CutOff):  # what fails because the run is to end
        monkeypatch.setattr(stillborn, "asked", options.stop)
    with pytest.raises(HarnessError if isinstance(error, HarnessError) else type(error)), lent(PLAN, options):
        pass
    folder = (tmp_path / "results" / "latest").resolve()
    history = History.load(folder / "history.jsonl")
    assert history.stopped is stopped
    assert history.failure.startswith(failure)
    assert bool(history.failure) is not stopped
    assert ended_early(folder) == ("stopped" if stopped else "failed")


@pytest.mark.usefixtures("stillborn")
def test_consoles_of_machines_that_do_not_come_up_lie_in_the_results_folder(tmp_path: Path) -> None:
    """Their end, and the error says where; it was told meanwhile whom was waited for."""
    told: list[Progress] = []
    options = Options(tmp_path / "results", clock=FakeClock(moves_itself=True), listener=told.append)
    with (
        pytest.raises(HarnessError, match=r"n2 did not boot; all that the machines said is kept in .*consoles") as failed,
        lent(PLAN, options),
    ):
        pass
    (kept,) = (tmp_path / "results" / "latest" / "consoles").iterdir()
    assert str(kept.parent.parent.resolve().name) in str(failed.value)
    assert kept.name == "n2.log"
    assert kept.read_bytes() == b"x" * (MOST_BYTES - len(b"Kernel panic")) + b"Kernel panic"
    assert Progress("n1 is up; waiting for n2", "create") in told


def test_where_nothing_was_said_an_error_stays_what_it_is(
    stillborn: type[Stillborn], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be done here is still that, and no folder is made."""
    monkeypatch.setattr(stillborn, "error", Unsupported("no such thing here"))
    with pytest.raises(Unsupported), lent(PLAN, Options(tmp_path / "results", clock=FakeClock(moves_itself=True))):
        pass
    assert not (tmp_path / "results" / "latest" / "consoles").exists()


def test_nothing_is_told_twice_in_a_row_and_nothing_at_all_to_nobody(tmp_path: Path) -> None:
    """A look every few seconds is not news."""
    story, told = Narrator(), list[str]()
    story.tell("up: none")
    story.keep({"n1": tmp_path / "none"})
    story.begin(told.append, tmp_path / "consoles")
    for text in ("up: none", "up: none", "up: n1", "up: none"):
        story.tell(text)
    assert told == ["up: none", "up: n1", "up: none"]


@pytest.mark.parametrize("name", ["nspawn", "vagrant"])
def test_providers_that_boot_machines_tell_of_it(name: str) -> None:
    """Both of them."""
    assert isinstance(PROVIDERS[name](), Narrating)
