"""What the command says of modes: their timers and budgets, and files that are not for one."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import pytest
from click.testing import Result

from harness import registry
from harness.core.values import Budget, Loss, Term, Traits, Verdict, Who

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
from tests.unit.commanding import Conductor

NOT_FOR_BARE = """\
scenario: sample
why: to see what is left out
steps: [{fault: none, on: any, hold: 1s}]
promises: [conflicts]
but:
  bare: {because: there is nothing there that could move, skip: true}
"""


class Bare:
    """A mode with one timer that orchestrates nothing."""

    name = "bare"
    TIMERS: ClassVar[Mapping[str, Mapping[str, float]]] = {"default": {"beat": 5.0, "rest": 90.0}, "fast": {"beat": 0.5}}

    def __init__(self, timers: Mapping[str, float]) -> None:
        self.timers = timers

    @classmethod
    def from_timers(cls, profile: str, overrides: Mapping[str, float]) -> Bare:
        """Return the mode with a profile's timers."""
        return cls({**cls.TIMERS[profile], **overrides})

    def budget(self, lost: Traits, who: Who) -> Budget:
        """Promise recovery from a dead node only."""
        return Budget(
            (Term("three beats", 3 * self.timers["beat"], "a test"), Term("start", 2.0, "a test")) if lost.loses is Loss.NODE else ()
        )


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a mode named bare beside the real ones."""
    real = registry.known()
    among = registry.Known(real.faults, real.workloads, real.checkers, {**real.modes, "bare": Bare}, real.providers)
    monkeypatch.setattr(registry, "known", lambda: among)


@pytest.mark.usefixtures("bare")
def test_a_file_that_is_not_for_the_mode_is_one_line_and_bad_usage(call: Callable[..., Result]) -> None:
    """What was asked for cannot be done, and the file says why."""
    Path("one.yaml").write_text(NOT_FOR_BARE, encoding="utf-8")
    for command in ("run", "plan"):
        result = call(command, "one.yaml", "--mode", "bare")
        assert (result.exit_code, result.output) == (2, "one.yaml: not for bare: there is nothing there that could move\n")


@pytest.mark.usefixtures("bare")
def test_files_that_are_not_for_the_mode_keep_no_other_from_being_run(call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    """They are named before and in the sum; the verdicts of the others decide."""
    conductor = Conductor([Verdict.BROKEN])
    monkeypatch.setitem(sys.modules, "harness.conductor", conductor.module())
    Path("files").mkdir()
    Path("files/one.yaml").write_text(NOT_FOR_BARE, encoding="utf-8")
    Path("files/two.yaml").write_text(NOT_FOR_BARE.partition("but:")[0].replace("sample", "other"), encoding="utf-8")
    result = call("run", "files", "--mode", "bare", "--plain")
    assert result.exit_code == 1
    assert "files/one.yaml: not for bare: there is nothing there that could move\n" in result.output
    assert [line.split() for line in result.output.splitlines()[-3:-1]] == [["other", "broken"], ["sample", "not", "for", "bare"]]
    assert len(conductor.given) == 1
    result = call("plan", "files", "--mode", "bare")
    assert (result.exit_code, result.output.count("takes     ")) == (0, 1)


def test_a_mode_without_timers_has_no_table_of_them(call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    """A head with nothing below it says nothing."""
    monkeypatch.setenv("COLUMNS", "100")
    said = call("modes").output
    assert said.partition("ansible")[2].split()[0] == "after", said
    assert said.count("timer  ") == sum(any(mode.TIMERS.values()) for mode in registry.known().modes.values())


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize("columns", [100, 80])
def test_modes_are_told_with_timers_and_budgets(call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    """Each profile's timers side by side, and the sum of every budget; what is alike is said once."""
    monkeypatch.setenv("COLUMNS", str(columns))
    result = call("modes")
    assert result.exit_code == 0
    words = " ".join(result.output.split())
    for line in (
        "timer default fast",
        "beat 5 s 0.5 s",
        "rest 90 s",
        "after node.kill",
        "default three beats 15 + start 2 = 17 s",
        "fast three beats 1.5 + start 2 = 3.5 s",
        "an election, at most 10 s 10 s",
    ):
        assert line in words
    assert re.search(r"after daemon\.hang docker, daemon\.hang containerd, disk\.slow, [^:]*\bnone\b[^:]*: no recovery is promised", words)
    assert max(len(line) for line in result.output.splitlines()) <= columns
