"""The example plug-in, really installed in an environment of its own: its names stand in scenario files, plans, the schema and doctor as ours do."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from harness.core.clock import SystemClock
from harness.core.plain import plain
from harness.core.values import Phase
from harness.history.events import PhaseBegan
from harness.history.recorder import Recorder
from harness.testing.action_contract import ACTION
from harness.testing.checker_contract import CHECKER, JUDGED
from harness.testing.fault_contract import FAULT, LADDERED
from harness.testing.report_contract import REPORT
from tests.plugged import EXAMPLE, REPO, SCENARIO, clean, environment, whalefall
from tests.unit.commanding import a_plan


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the Python of an environment that has the plug-in."""
    return environment(tmp_path_factory.mktemp("plugged"))


def test_its_scenario_is_planned(python: Path) -> None:
    """With the fault and the promise by their names."""
    done = whalefall(python, "plan", str(SCENARIO), "--seed", "7")
    assert done.returncode == 0, done.stderr
    assert "example.port" in done.stdout
    assert "example.again" in done.stdout
    assert 'do example.say text="the port is open again" on all 3 nodes' in " ".join(done.stdout.split())


def test_the_schema_has_its_names_with_their_parameters(python: Path) -> None:
    """Editors offer them."""
    done = whalefall(python, "schema")
    assert done.returncode == 0, done.stderr
    properties = json.loads(done.stdout)["properties"]
    (step,) = [each for each in properties["steps"]["items"]["oneOf"] if each["properties"].get("fault", {}).get("const") == "example.port"]
    assert step["properties"]["with"]["required"] == ["port"]
    (action,) = [each for each in properties["steps"]["items"]["oneOf"] if each["properties"].get("do", {}).get("const") == "example.say"]
    assert action["required"] == ["do", "with", "on"]
    (promise,) = [each for each in properties["promises"]["items"]["oneOf"] if "example.again" in each.get("properties", {})]
    assert list(promise["properties"]["example.again"]["properties"]) == ["app", "least", "within"]


def test_doctor_tells_of_it(python: Path) -> None:
    """What it adds, and on which rung its fault stands here."""
    said = whalefall(python, "doctor", COLUMNS="200").stdout
    adds = "the action example.say, the checker example.again, the fault example.port, the report example.ticket"
    assert f"whalefall-example 1.0 adds {adds}" in " ".join(said.split())
    assert "nftables drops on the node itself, in a table of its own; a fault of whalefall-example 1.0" in said


def test_its_report_is_written_of_a_run_that_was_kept(python: Path, tmp_path: Path) -> None:
    """By its name, which is listed; into a file."""
    folder, page = tmp_path / "a-run", tmp_path / "ticket.md"
    folder.mkdir()
    (folder / "plan.json").write_text(json.dumps({"run": "a-run", **a_plan().to_json()}))
    with Recorder(folder / "history.jsonl", SystemClock(), "a-run") as recorder:
        recorder.record(PhaseBegan(Phase.DONE))
    listed = whalefall(python, "report", COLUMNS="200").stdout
    assert re.search(r"example\.ticket +A list of what was promised in each run, .* +whalefall-example 1\.0", listed)
    done = whalefall(python, "report", "example.ticket", str(folder), "--output", str(page))
    assert (done.returncode, done.stderr) == (0, "")
    assert page.read_text().startswith("## node-kill: unknown\n\na-run, fleet, seed 7, 0")


def test_it_keeps_what_is_asked_of_all_that_it_adds(python: Path) -> None:
    """By its own tests, which run the contracts over all that it adds where it is installed: as its author would, and as CONTRIBUTING says."""
    argv = [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", str(python.parents[2] / "plugin" / "tests")]
    done = subprocess.run(argv, cwd=python.parent, env=clean(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    every = len(CHECKER) + len(JUDGED) + 2 * len(FAULT) + len(LADDERED) + len(ACTION) + len(REPORT)
    assert re.search(rf"^{every} passed", done.stdout, re.MULTILINE), done.stdout


def test_what_contributing_shows_of_its_tests_is_what_they_are() -> None:
    """Word for word: what is run is the text that people copy."""
    section = (REPO / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("## A plug-in of your own\n")[2].partition("\n## ")[0]
    (block,) = re.findall(r"^```python\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    assert block in (EXAMPLE / "tests" / "test_contracts.py").read_text(encoding="utf-8")


def test_a_bad_parameter_of_it_is_told_with_its_place(python: Path, tmp_path: Path) -> None:
    """As one of ours is."""
    file = tmp_path / "bad.yaml"
    file.write_text(SCENARIO.read_text(encoding="utf-8").replace("port: 8001", "port: 80010").replace("least: 20", "most: 20"))
    done = whalefall(python, "plan", str(file))
    assert done.returncode == 2
    assert "80010 cannot be closed" in done.stderr
    assert "most" in done.stderr
    assert f"{file}:19:" in done.stderr


def test_what_its_checker_is_judged_by_is_asked_for(python: Path, tmp_path: Path) -> None:
    """As for one of ours: nobody calls the app that it is about."""
    file = tmp_path / "silent.yaml"
    text = SCENARIO.read_text(encoding="utf-8")
    file.write_text(text.replace("workloads:\n  - http: {app: web, rate: 20/s, deadline: 1s}\n", ""))
    done = whalefall(python, "plan", str(file))
    assert done.returncode == 2
    assert "a promise of example.again of web that nobody calls" in done.stderr
    assert "the workload http with `app: web`" in done.stderr


def test_without_it_its_names_are_unknown(tmp_path: Path) -> None:
    """The plug-in is what makes them known."""
    argv = [sys.executable, "-m", "harness", "plan", str(SCENARIO)]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2, plain(done.stdout)
    assert "an unknown fault 'example.port'" in done.stderr
    assert "an unknown action 'example.say'" in done.stderr
    assert "an unknown promise 'example.again'" in done.stderr


def test_its_scenario_says_what_it_is_for() -> None:
    """As ours do."""
    body = yaml.safe_load(SCENARIO.read_text(encoding="utf-8"))
    assert body["scenario"] == SCENARIO.stem
    assert {"pyproject.toml", "README.md"} <= {each.name for each in EXAMPLE.iterdir()}
