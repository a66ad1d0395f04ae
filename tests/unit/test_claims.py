"""The guide's claims beside what runs have shown of them: which runs are about which, and what is printed."""

from __future__ import annotations

import json
import re
import sys
import types
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.core.errors import NoSuchRun
from harness.core.values import Finding, Verdict
from harness.reports.ten_claims import CLAIMS, markdown
from harness.steps import Control
from tests.unit.reporting import a_run

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.testing import Result

    from harness.runs.run import Run

ROOT = Path(__file__).resolve().parents[2]
SCENARIOS = {path.stem: path for path in (ROOT / "scenarios").rglob("*.yaml")}


def run_of(scenario: str, *findings: Finding, control: Control | None = None) -> Run:
    """Return a run of a scenario with these findings."""
    run = a_run(findings, control)
    return replace(run, plan=replace(run.plan, scenario=scenario))


def section(text: str, number: int) -> str:
    """Return what is said of one claim."""
    return re.split(r"^## ", text, flags=re.MULTILINE)[number]


def test_every_claim_is_there_by_its_number_and_every_scenario_of_a_claim_belongs_to_one() -> None:
    """What is in the folder of claims has the number of one, and what a claim names besides is a scenario or a control."""
    assert [claim.number for claim in CLAIMS] == list(range(1, 11))
    for path in (ROOT / "scenarios" / "claims").glob("*.yaml"):
        assert sum(claim.about(path.stem) for claim in CLAIMS) == 1, path.name


def test_a_run_is_told_under_the_claim_that_it_is_about() -> None:
    """With its verdict and what each checker measured; runs of no claim are left out."""
    found = markdown(
        [
            run_of("10-starts-after-a-power-cut", Finding("awaited", Verdict.HELD, "after 16 s")),
            run_of("node-kill", Finding("conflicts", Verdict.HELD, "none of ours")),
        ]
    )
    assert "| 10-starts-after-a-power-cut | fleet | 7 | held | **awaited**: after 16 s |" in section(found, 10)
    assert "No run of it is kept here." in section(found, 1)
    assert "none of ours" not in found


def test_what_machines_were_is_told_where_runs_of_a_claim_differ_in_it() -> None:
    """Nodes that share a kernel, and such as do not, are no two runs of the same."""
    one = run_of("neighbour-unbound")
    other = replace(one, plan=replace(one.plan, provider="vagrant"))
    assert f"| neighbour-unbound | {one.plan.mode} | " in section(markdown([one]), 8)
    both = section(markdown([one, other]), 8)
    assert f"| {one.plan.mode} on {one.plan.provider} | " in both
    assert f"| {one.plan.mode} on vagrant | " in both


def test_why_nobody_can_tell_is_told_as_well() -> None:
    """Also where what says so is about the run and not about the claim."""
    found = markdown([run_of("07-docker-hangs-again", Finding("assumptions", Verdict.UNKNOWN, "a machine stood still"))])
    assert "| unknown | **assumptions** (unknown): a machine stood still |" in section(found, 7)


@pytest.mark.parametrize(("verdict", "told"), [(Verdict.BROKEN, "broken, as a control must"), (Verdict.HELD, "NOT convicted")])
def test_a_control_is_told_by_whether_it_came_out_as_it_must(verdict: Verdict, told: str) -> None:
    """A control that is held is no good news."""
    run = run_of("left-by-a-power-cut", Finding("checks", verdict, "web is down"), control=Control(Verdict.BROKEN, "checks", "down"))
    assert told in section(markdown([run]), 10)


def test_words_of_others_are_no_markup() -> None:
    """What a machine said is text, in one cell of the table."""
    found = markdown([run_of("07-docker-hangs-again", Finding("checks", Verdict.HELD, "n1: a|b <img>\n[x](y)"))])
    assert r"n1: a\|b \<img\> \[x\](y) |" in section(found, 7)


def test_the_command_judges_kept_runs_and_leaves_out_those_of_no_claim(
    call: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And those without a verdict; one that cannot be read hides no other."""
    for name, scenario, kept in (
        ("one", "10-starts-after-a-power-cut", '{"verdict": "held"}'),
        ("two", "node-kill", '{"verdict": "held"}'),
        ("three", "07-docker-hangs-again", ""),
        ("four", "07-docker-hangs-again", "{"),
        ("five", "07-docker-hangs-again", '{"verdict": "held"}'),
    ):
        folder = tmp_path / "results" / name
        folder.mkdir(parents=True)
        (folder / "plan.json").write_text(json.dumps({"scenario": scenario}))
        if kept:
            (folder / "verdict.json").write_text(kept)
    loaded: list[str] = []

    def load(folder: Path) -> Run:
        loaded.append(folder.name)
        if folder.name == "five":
            raise NoSuchRun("five has no history")
        return run_of("10-starts-after-a-power-cut", Finding("awaited", Verdict.HELD, "after 16 s"))

    judge = types.ModuleType("harness.runs.judge")
    judge.__dict__["load"] = load
    monkeypatch.setitem(sys.modules, "harness.runs.judge", judge)
    result = call("claims")
    assert sorted(loaded) == ["five", "one"]
    assert "after 16 s" in section(result.output, 10)
    assert "four cannot be read" in result.output
    assert "five cannot be read: five has no history" in result.output
    assert result.exit_code == 0


def test_all_names_that_are_no_runs_are_told_at_once(call: Callable[..., Result]) -> None:
    """And nothing is printed of the others."""
    result = call("claims", "one", "gone", "a/b")
    assert (result.exit_code, "3 problems; nothing was done" in result.output) == (2, True), result.output


def test_what_is_published_is_what_the_command_prints() -> None:
    """Each claim, in its words; and every scenario that is told of there is one that anybody can run."""
    told = (ROOT / "docs" / "claims.md").read_text(encoding="utf-8")
    empty = markdown([])
    assert re.findall(r"^#.*", told, flags=re.MULTILINE) == re.findall(r"^#.*", empty, flags=re.MULTILINE)
    rows = [row.split(" | ")[0].removeprefix("| ") for row in told.splitlines() if row.startswith("| ")]
    assert {row for row in rows if row != "scenario"} <= set(SCENARIOS)


def test_where_runs_showed_something_else_that_is_said() -> None:
    """Below what was measured, also where no run of it is kept."""
    text = markdown(
        [run_of("neighbour-unbound", Finding("latency", Verdict.BROKEN, "so much"), control=Control(Verdict.BROKEN, "latency"))]
    )
    said = section(text, 8)
    assert said.index("so much") < said.index("A thousand processes that end as soon as they are forked")
    assert "10 ms for the 99th percentile" in section(text, 9)
