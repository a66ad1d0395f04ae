"""The ports of an app: its containers' own, and its nodes'."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from harness.conductor import spelling
from harness.core.errors import BadInput
from harness.core.values import App
from harness.modes.fleet import Fleet, unit_files
from harness.modes.swarm import services
from harness.plan import Plan, plan
from harness.reports.prose import describe
from harness.scenario import loads
from harness.scenario.jsonschema import json_schema
from tests.unit import web_folder
from tests.unit.web_folder import written

if TYPE_CHECKING:
    from pathlib import Path

HEAD = "scenario: x\nwhy: y\ncluster: {nodes: 3}\n"
TAIL = "steps: [{fault: node.kill, on: any, hold: 5s}]\npromises: [conflicts]\n"


def _file(keys: str, steps: str = "") -> str:
    return f"{HEAD}apps: [{{name: web, instances: 2{keys}}}]\n{TAIL.replace('steps: [', f'steps: [{steps}')}"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of web, which can be changed."""
    return web_folder.made(tmp_path, monkeypatch, "EXPOSE 80")


def test_port_is_the_containers_and_host_port_the_nodes(folder: Path) -> None:
    """Each has a default; modes publish the one on the other."""
    (app,) = loads(_file("")).apps
    assert (app.port, app.inner) == (8000, 80)
    written(folder, "EXPOSE 8080")
    (app,) = loads(_file(", port: 8080, host port: 9000")).apps
    assert (app.port, app.inner) == (9000, 8080)
    (run,) = [each.value for each in unit_files.render(app)[1].options if each.name == "ExecStart"]
    assert " --publish 9002:8080 web" in run
    body: Any = services.spec(app, "run", 5.0)
    assert body["EndpointSpec"]["Ports"][0] == {"Protocol": "tcp", "TargetPort": 8080, "PublishedPort": 9000, "PublishMode": "host"}


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (["EXPOSE 80"], "port 8100 of web; expected 80, which its image 'web' has as EXPOSE; `port` is the one of its containers; the one of the"),
        (["EXPOSE 80/tcp 443", "EXPOSE 81/udp"], "port 8100 of web; expected 80, 443, which"),
        (["EXPOSE 8100/TCP"], ""),
        (["EXPOSE 80 8100"], ""),
        (["EXPOSE 80 $PORT"], ""),
        (["EXPOSE 8000-9000"], ""),
        (["EXPOSE 8100/udp"], ""),
        ([], ""),
    ],
)  # fmt: skip
def test_a_port_on_which_the_image_does_not_listen_is_told_with_its_place(folder: Path, lines: list[str], told: str) -> None:
    """As far as its folder says; of a range, or a variable, nobody can tell."""
    written(folder, *lines)
    if not told:
        loads(_file(", port: 8100"), "s.yaml")
        return
    with pytest.raises(BadInput) as caught:
        loads(_file(", port: 8100"), "s.yaml")
    assert str(caught.value).startswith(f"s.yaml:4:40: {told}")
    with pytest.raises(BadInput, match="the app web: port 8100 of web"):
        spelling.must_be_cluster(3, [App("web", 2, inner=8100)], "nspawn")


def test_an_image_of_an_update_must_listen_there_too(folder: Path) -> None:
    """Whatever tag it has; what is wrong is told at the image."""
    written(folder, "EXPOSE 8080")
    with pytest.raises(BadInput) as caught:
        loads(_file("", "{do: app.update, with: {app: web, image: 'web:2'}}, "), "s.yaml")
    assert [line[:20] for line in str(caught.value).splitlines()] == ["s.yaml:4:8: port 80 ", "s.yaml:5:50: port 80"]


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        (", port: 0", "s.yaml:4:40: 0; expected the port from 1 to 65535 on which a container of it answers"),
        (", port: http", "s.yaml:4:40: 'http'; expected the port"),
        (", host port: 80", "s.yaml:4:45: 80; expected a port of the nodes from 1024 to 65000"),
        (", host_port: 8100", "s.yaml:4:34: an unknown key 'host_port'; expected one of"),
        (", host port: 2378", "s.yaml:4:45: ports 2379 to 2380 for web; expected ports that the node does not use itself"),
    ],
)
def test_what_is_no_port_is_told_with_its_place(folder: Path, keys: str, told: str) -> None:
    """By the key that a file has for it."""
    assert folder.is_dir()
    with pytest.raises(BadInput) as caught:
        loads(_file(keys), "s.yaml")
    assert str(caught.value).startswith(told)


def test_it_stands_in_the_plan_and_one_from_before_is_read(folder: Path) -> None:
    """An app that listens where all did is saved as it was."""
    written(folder)
    made = plan(loads(_file(", port: 8080")), mode=Fleet(), provider="nspawn", seed=7)
    body: Any = json.loads(json.dumps(made.to_json()))
    assert Plan.from_json(body) == made
    assert "port 8080 of its containers" in " ".join(describe(made).split())
    bare: Any = plan(loads(_file("")), mode=Fleet(), provider="nspawn", seed=7).to_json()
    assert "inner" not in bare["apps"][0]
    assert Plan.from_json(bare).apps[0].inner == 80
    body["apps"][0]["inner"] = 0
    with pytest.raises(BadInput):
        Plan.from_json(body)


def test_an_editor_knows_them() -> None:
    """Each by its key in a file."""
    (found,) = [each["properties"] for each in json_schema()["properties"]["apps"]["items"]["oneOf"] if "host port" in each["properties"]]
    assert (found["port"]["minimum"], found["port"]["maximum"], found["host port"]["minimum"], found["host port"]["maximum"]) == (
        1,
        65535,
        1024,
        65000,
    )
