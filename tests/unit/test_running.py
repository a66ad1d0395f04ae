"""`whalefall run` and `plan`: which files are read and run, and the status that comes of it."""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import Result

from harness.core.errors import BadInput, HarnessError, Problem
from harness.core.values import Verdict
from harness.modes import MODES
from harness.plan import Plan
from harness.providers import PROVIDERS

if TYPE_CHECKING:
    from collections.abc import Callable
from tests.unit.commanding import a_plan, conducted


def test_clusters_are_used_again_only_where_that_is_asked_for(call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    """One place for all runs of the command; machines that cannot be set back are told, and a cluster is not both kept and used again."""
    conductor = conducted(monkeypatch, Verdict.HELD, Verdict.HELD, Verdict.HELD)
    result = call("run", "--reuse", "one.yaml", "two.yaml")
    assert result.exit_code == 0
    assert conductor.given[0].standing is conductor.given[1].standing is not None
    assert "--reuse changes nothing for nspawn: its machines cannot be reset" in result.output
    assert "--reuse" not in call("run", "one.yaml").output
    assert conductor.given[2].standing is None
    both = call("run", "--reuse", "--keep", "one.yaml")
    assert (both.exit_code, "--keep and --reuse exclude each other" in both.output, len(conductor.given)) == (2, True, 3)


@pytest.mark.parametrize(("verdict", "status"), [(Verdict.HELD, 0), (Verdict.BROKEN, 1), (Verdict.UNKNOWN, 3)])
def test_a_run_ends_with_the_status_of_its_verdict(
    call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, verdict: Verdict, status: int
) -> None:
    """The verdict, in words and as a status, and how to do the same again."""
    conducted(monkeypatch, verdict)
    result = call("run", "a.yaml", "--seed", "42")
    assert result.exit_code == status
    assert str(verdict).upper() in result.output
    assert "again: whalefall run scenarios/node-kill.yaml " in result.output
    assert "--seed 42" in result.output


def test_several_files_are_all_run_and_summed_up(call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure of the harness in one does not keep the next from being run."""
    conductor = conducted(monkeypatch, Verdict.BROKEN, HarnessError("n2: no answer to true: timed out"), Verdict.HELD)
    result = call("run", "a.yaml", "b.yaml", "c.yaml")
    assert result.exit_code == 4
    assert len(conductor.given) == 3
    assert "whalefall failed: n2: no answer to true: timed out" in result.output
    assert [line.split()[-1] for line in result.output.splitlines() if line.startswith(" node-kill")] == ["broken", "failed", "held"]


def test_all_problems_of_all_files_are_told_and_nothing_is_run(call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    """Two bad files beside a good one: exit 2, every problem, no run."""
    conductor = conducted(monkeypatch, Verdict.HELD)

    def plan(path: Path, *, seed: int, **_: str | None) -> Plan:
        if path.name == "good.yaml":
            return a_plan(seed)
        raise BadInput(
            [Problem(str(path), 3, 5, "'nod'", "a key of a scenario", "did you mean 'nodes'?"), Problem(str(path), 9, 1, "x", "y")]
        )

    monkeypatch.setattr("harness.plan.plan_of", plan)
    result = call("run", "bad.yaml", "good.yaml", "worse.yaml")
    assert result.exit_code == 2
    assert "bad.yaml:3:5: found 'nod'; expected a key of a scenario; did you mean 'nodes'?" in result.output.replace(
        ": 'nod'", ": found 'nod'"
    )
    assert "worse.yaml:9:1" in result.output
    assert "4 problems; nothing was done" in result.output
    assert not conductor.given
    assert not Path("results").exists()


def test_a_folder_stands_for_its_scenarios(call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    """In order of their names; one without any is bad input."""
    Path("some").mkdir()
    assert call("run", "some").exit_code == 2
    seen: list[str] = []
    conducted(monkeypatch, Verdict.HELD, Verdict.HELD)

    def plan(path: Path, *, seed: int, **_: str | None) -> Plan:
        seen.append(path.name)
        return a_plan(seed)

    monkeypatch.setattr("harness.plan.plan_of", plan)
    for name in ("b.yaml", "a.yaml", "notes.txt"):
        Path("some", name).touch()
    assert call("run", "some").exit_code == 0
    assert seen == ["a.yaml", "b.yaml"]


def test_a_seed_is_made_up_once_for_all_files_and_printed(call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    """What was left to chance can be repeated."""
    conducted(monkeypatch, Verdict.HELD, Verdict.HELD)
    monkeypatch.setattr("secrets.randbelow", lambda end: 4711)
    assert call("run", "a.yaml", "b.yaml").output.count("seed 4711") >= 2


def test_options_reach_the_conductor(call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    """--keep and --results."""
    conductor = conducted(monkeypatch, Verdict.HELD)
    result = call("run", "a.yaml", "--keep", "--results", "elsewhere")
    assert conductor.given[0].keep is True
    assert conductor.given[0].results == Path("elsewhere")
    assert "the cluster was kept; `whalefall sweep --kept` removes it" in result.output


def test_an_unknown_name_on_the_command_line_hides_no_problem_of_the_files(call: Callable[..., Result]) -> None:
    """Mode, provider, profile; and what is wrong with each file, all at once."""
    Path("bad.yaml").write_text("scenario: sample\nwhy: so\nsteps: [{fault: node.kil, on: any, hold: 1s}]\npromises: [conflict]\n")
    for command in ("plan", "run"):
        result = call(command, "bad.yaml", "--mode", "fleit", "--provider", "nspwn", "--profile", "slow")
        assert result.exit_code == 2
        for words in (
            f"--mode: an unknown mode 'fleit'; expected one of {', '.join(MODES)}; did you mean 'fleet'?",
            f"--provider: an unknown provider 'nspwn'; expected one of {', '.join(PROVIDERS)}; did you mean 'nspawn'?",
            "--profile: an unknown profile 'slow'; expected one of default, fast",
            "bad.yaml:3:17: an unknown fault 'node.kil'",
            "bad.yaml:4:12: an unknown promise 'conflict'",
            "5 problems; nothing was done",
        ):
            assert words in result.output


def test_an_unknown_name_far_from_any_is_told_the_valid_ones_once(call: Callable[..., Result]) -> None:
    """Mode, provider, profile: what was expected says it."""
    Path("some.yaml").write_text("scenario: some\nwhy: so\nsteps: [{wait: 1s}]\npromises: [conflicts]\n")
    for option, valid in (("mode", ", ".join(MODES)), ("provider", ", ".join(sorted(PROVIDERS))), ("profile", "default, fast")):
        result = call("plan", "some.yaml", f"--{option}", "qqqq")
        assert f"--{option}: an unknown {option} 'qqqq'; expected one of {valid}\n" in result.output
        assert result.exit_code == 2


@pytest.mark.parametrize("seed", ["x", "-1", "1.5", "", str(2**63), "9" * 5000, "٣"])
def test_a_seed_that_is_none_is_told_as_what_was_found_and_expected(call: Callable[..., Result], seed: str) -> None:
    """Whatever it is, in one line that is not long."""
    result = call("plan", "some.yaml", "--seed", seed)
    assert result.exit_code == 2
    assert f"found {seed!r}"[:40] in result.output
    assert f"expected a whole number from 0 to {2**63 - 1}" in result.output
    assert len(result.output) < 400


def test_schema_is_json(call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    """For editors."""
    made = types.ModuleType("harness.scenario")
    made.__dict__["json_schema"] = lambda: {"type": "object"}
    monkeypatch.setitem(sys.modules, "harness.scenario", made)
    assert json.loads(call("schema").output) == {"type": "object"}
