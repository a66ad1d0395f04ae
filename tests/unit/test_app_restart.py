"""When an app's containers are started again: what is refused, where it stands, and what each mode is given."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from harness.conductor import spelling
from harness.core.errors import BadInput
from harness.core.values import RESTARTS, App
from harness.modes.fleet import Fleet, unit_files
from harness.modes.swarm import Swarm, services
from harness.plan import Plan, plan
from harness.reports.prose import describe
from harness.scenario import load, loads
from harness.scenario.jsonschema import json_schema

if TYPE_CHECKING:
    from pathlib import Path

HEAD = "scenario: x\nwhy: y\ncluster: {nodes: 3}\n"
TAIL = "steps: [{fault: node.kill, on: any, hold: 5s}]\npromises: [conflicts]\n"


def _file(restart: str) -> str:
    return f"{HEAD}apps: [{{name: web, instances: 2, restart: {restart}}}]\n{TAIL}"


def _unit(app: App) -> list[str]:
    return [f"{each.name}={each.value}" for each in unit_files.render(app)[0].options if "Restart" in each.name or "Limit" in each.name]


def _policy(app: App) -> Any:
    body: Any = services.spec(app, "run", 5.0)
    return body["TaskTemplate"]["RestartPolicy"]


@pytest.mark.parametrize(("word", "read"), [("no", "no"), ("No", "no"), ("'no'", "no"), ("on-failure", "on-failure"), ("always", "always")])
def test_a_bare_no_is_the_word_that_it_is(word: str, read: str) -> None:
    """YAML reads it as false."""
    assert loads(_file(word)).apps[0].restart == read


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("false", "s.yaml:4:43: false; expected one of no, on-failure, always"),
        ("yes", "s.yaml:4:43: yes, which YAML reads as true; expected one of no, on-failure, always"),
        ("", "s.yaml:4:43: nothing; expected one of"),
        ("allways", "s.yaml:4:43: 'allways'; expected one of no, on-failure, always; did you mean 'always'?"),
        ("[always]", "s.yaml:4:43: a list of 1; expected one of"),
    ],
)
def test_what_is_no_policy_is_told_with_its_place(word: str, told: str) -> None:
    """With those that there are."""
    with pytest.raises(BadInput) as caught:
        loads(_file(word), "s.yaml")
    assert str(caught.value).startswith(told)


def test_a_unit_is_started_again_by_its_own_systemd_however_often() -> None:
    """Without a word, or with no, nothing is, as ever."""
    assert (_unit(App("web", 1)), _unit(App("web", 1, restart="no"))) == ([], [])
    for word in ("on-failure", "always"):
        assert _unit(App("web", 1, restart=word)) == [f"Restart={word}", "RestartSec=1", "StartLimitInterval=0"]


def test_swarm_starts_its_tasks_again_and_refuses_never(tmp_path: Path) -> None:
    """By that rule it starts lost ones, too: with never none of those would come back."""
    assert [_policy(App("web", 1, restart=word))["Condition"] for word in ("", "always", "on-failure")] == ["any", "any", "on-failure"]
    (tmp_path / "s.yaml").write_text(_file("no"), encoding="utf-8")
    load(tmp_path / "s.yaml")
    with pytest.raises(BadInput, match=r"s.yaml:4:43: no, with the swarm mode; expected on-failure or always; swarm goes by the same rule"):
        load(tmp_path / "s.yaml", mode="swarm")
    with pytest.raises(BadInput, match="the app web: no, with the swarm mode"):
        spelling.must_be_cluster(3, [App("web", 1, restart="no")], mode=Swarm())


def test_it_stands_in_the_plan_and_is_read_back() -> None:
    """An app without a word is saved as it was before there was any."""
    made = plan(loads(_file("on-failure")), mode=Fleet(), provider="nspawn", seed=7)
    body: Any = json.loads(json.dumps(made.to_json()))
    assert Plan.from_json(body) == made
    assert "never two on one node, restart on-failure" in " ".join(describe(made).split())
    body["apps"][0]["restart"] = "x"
    with pytest.raises(BadInput):
        Plan.from_json(body)
    bare: Any = plan(loads(f"{HEAD}apps: [{{name: web, instances: 2}}]\n{TAIL}"), mode=Fleet(), provider="nspawn", seed=7).to_json()
    assert "restart" not in bare["apps"][0]


def test_an_app_in_python_is_told_the_same() -> None:
    """Before anything is made."""
    with pytest.raises(BadInput, match="restart 'sometimes'; expected one of"):
        spelling.must_be_cluster(3, [App("web", 2, restart="sometimes")])
    spelling.must_be_cluster(3, [App("web", 2, restart=word) for word in RESTARTS][:1])


def test_an_editor_knows_it() -> None:
    """Also as YAML reads a bare no."""
    (schema,) = [
        each["properties"]["restart"] for each in json_schema()["properties"]["apps"]["items"]["oneOf"] if "restart" in each["properties"]
    ]
    assert schema["enum"] == ["no", "on-failure", "always", False]
