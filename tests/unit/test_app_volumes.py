"""The volumes of an app: what is refused, where it stands, and what each mode is given."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from harness.conductor import spelling
from harness.core.clock import Deadline, SystemClock
from harness.core.errors import BadInput
from harness.core.values import App, Result, Volume
from harness.modes import on_nodes
from harness.modes.fleet import Fleet, unit_files
from harness.modes.swarm import services
from harness.plan import Plan, plan
from harness.reports.prose import describe
from harness.scenario import load, loads
from harness.scenario.jsonschema import json_schema
from harness.testing.memory_node import MemoryNode

if TYPE_CHECKING:
    from pathlib import Path

HEAD = "scenario: x\nwhy: y\ncluster: {nodes: 3}\n"
TAIL = "steps: [{fault: node.kill, on: any, hold: 5s}]\npromises: [conflicts]\n"
BOTH = (Volume("data", "/var/lib/data"), Volume("/srv/seed", "/seed", read_only=True))


def _file(volumes: str) -> str:
    return f"{HEAD}apps: [{{name: web, instances: 2, volumes: {volumes}}}]\n{TAIL}"


def test_a_volume_of_dockers_and_a_folder_of_the_node_reach_both_modes() -> None:
    """As Docker has them, and one of a unit quoted."""
    (app,) = loads(_file("[data:/var/lib/data, /srv/seed:/seed:ro]")).apps
    assert app.volumes == BOTH
    (run,) = [each.value for each in unit_files.render(app)[0].options if each.name == "ExecStart"]
    assert ' --volume "data:/var/lib/data" --volume "/srv/seed:/seed:ro" web' in run
    body: Any = services.spec(app, "run", 5.0)
    assert body["TaskTemplate"]["ContainerSpec"]["Mounts"] == [
        {"Type": "volume", "Source": "data", "Target": "/var/lib/data", "ReadOnly": False},
        {"Type": "bind", "Source": "/srv/seed", "Target": "/seed", "ReadOnly": True},
    ]
    bare: Any = services.spec(App("web", 1), "run", 5.0)
    assert "Mounts" not in bare["TaskTemplate"]["ContainerSpec"]


@pytest.mark.parametrize(
    ("volumes", "told"),
    [
        ("data:/x", ["s.yaml:4:43: 'data:/x'; expected a list of SOURCE:TARGET or SOURCE:TARGET:ro"]),
        ("[data, 5, a:b:c, {a: b}]",
         ["s.yaml:4:44: 'data'; expected SOURCE:TARGET or SOURCE:TARGET:ro, such as data:/var/lib/data", "s.yaml:4:50: 5", "s.yaml:4:53: 'a:b:c'",
          "s.yaml:4:60: a mapping with a"]),
        ("[a:/x]", ["s.yaml:4:44: the volume 'a'; expected a name of letters, digits, dots, dashes and _, 2 to 63, or a path of the node"]),
        ("['{{x}}:/x']", ["s.yaml:4:44: the volume '{{x}}'"]),
        ("['a b:/x']", ["s.yaml:4:44: the volume 'a b'"]),
        ("[../x:/x]", ["s.yaml:4:44: the volume '../x'"]),
        ("[/:/x]", ["s.yaml:4:44: the folder '/' of the node; expected a plain path below /srv; nothing else of a node is a container's"]),
        ("[/srv:/x]", ["s.yaml:4:44: the folder '/srv' of the node"]),
        ("[/srv/../etc:/x]", ["s.yaml:4:44: the folder '/srv/../etc' of the node"]),
        ("[/srvx/a:/x]", ["s.yaml:4:44: the folder '/srvx/a' of the node"]),
        ("[/var/run/docker.sock:/x]", ["s.yaml:4:44: the folder '/var/run/docker.sock' of the node"]),
        ("['/srv/$(x):/x']", ["s.yaml:4:44: the folder '/srv/$(x)' of the node"]),
        ("[data:x]", ["s.yaml:4:44: the target 'x'; expected a plain path in the container"]),
        ("[data:/]", ["s.yaml:4:44: the target '/'"]),
        ("[data:/a/../..]", ["s.yaml:4:44: the target '/a/../..'"]),
        ("[data:/proc/sys]", ["s.yaml:4:44: the target '/proc/sys'"]),
        ("[data:/x, more:/x]", ["s.yaml:4:53: a second volume at /x; expected a place of its own for each"]),
        ("[5, /etc:/x]", ["s.yaml:4:44: 5", "s.yaml:4:47: the folder '/etc' of the node"]),
        (f"[{', '.join(f'v{number}:/x{number}' for number in range(17))}]", ["s.yaml:4:43: 17 volumes; expected 16 at most"]),
    ],
)  # fmt: skip
def test_what_is_no_volume_is_told_with_its_place(volumes: str, told: list[str]) -> None:
    """All of them at once; nothing of a node but what is below one folder."""
    with pytest.raises(BadInput) as caught:
        loads(_file(volumes), "s.yaml")
    said = str(caught.value).splitlines()
    assert [line[: len(start)] for line, start in zip(sorted(said), sorted(told), strict=True)] == sorted(told), said


def test_hosts_of_somebody_else_get_none(tmp_path: Path) -> None:
    """They outlive the run, and what containers wrote would stay there."""
    (tmp_path / "s.yaml").write_text(_file("[data:/var/lib/data]"), encoding="utf-8")
    with pytest.raises(BadInput, match=r"s.yaml:4:43: volumes on the hosts of inventory; expected none; they outlive the run"):
        load(tmp_path / "s.yaml", provider="inventory")
    with pytest.raises(BadInput, match="the app web: volumes on the hosts of inventory"):
        spelling.must_be_cluster(3, [App("web", 2, volumes=BOTH)], "inventory")


def test_folders_of_a_node_are_made_with_its_image() -> None:
    """A service whose folder is not there would be refused by Docker."""
    node = MemoryNode("n1", "10.77.0.11")
    calls: list[tuple[str, ...]] = []

    def shell(argv: tuple[str, ...], stdin: bytes) -> Result:
        calls.append(argv)
        return Result(argv, 0, stdin, b"")

    node.programs["sh"] = shell
    on_nodes.image(node, App("web", 1, volumes=BOTH), Deadline(SystemClock(), 5.0))
    assert [each[2:] for each in calls if "mkdir" in each[2]] == [('mkdir -p -- "$@"', "sh", "/srv/seed")]
    calls.clear()
    on_nodes.image(node, App("web", 1, volumes=BOTH[:1]), Deadline(SystemClock(), 5.0))
    assert len(calls) == 1


def test_they_stand_in_the_plan_and_are_read_back() -> None:
    """An app without any is saved as it was before there were any."""
    made = plan(loads(_file("[data:/var/lib/data, /srv/seed:/seed:ro]")), mode=Fleet(), provider="nspawn", seed=7)
    assert Plan.from_json(json.loads(json.dumps(made.to_json()))) == made
    assert "with the volumes data:/var/lib/data /srv/seed:/seed:ro" in " ".join(describe(made).split())
    bare: Any = plan(loads(f"{HEAD}apps: [{{name: web, instances: 2}}]\n{TAIL}"), mode=Fleet(), provider="nspawn", seed=7).to_json()
    assert "volumes" not in bare["apps"][0]


@pytest.mark.parametrize(
    ("volumes", "words"),
    [
        ("data:/x", "volumes that are 'data:/x'; expected a list of Volume"),
        ((Volume("/etc", "/x"),), "the folder '/etc' of the node"),
        ((Volume(5, "/x"),), "Volume.source=5.*; expected a list of Volume"),  # type: ignore[arg-type]
        ((Volume("data", None),), "target=None.*; expected a list of Volume"),  # type: ignore[arg-type]
        ((Volume("data", "/x", "ro"),), "read_only='ro'.*; expected a list of Volume"),  # type: ignore[arg-type]
    ],
)
def test_an_app_in_python_is_told_the_same(volumes: Any, words: str) -> None:
    """Before anything is made."""
    with pytest.raises(BadInput, match=words):
        spelling.must_be_cluster(3, [App("web", 2, volumes=volumes)], "nspawn")
    spelling.must_be_cluster(3, [App("web", 2, volumes=BOTH)], "nspawn")


def test_an_editor_knows_them() -> None:
    """A list of text."""
    (schema,) = [
        each["properties"]["volumes"] for each in json_schema()["properties"]["apps"]["items"]["oneOf"] if "volumes" in each["properties"]
    ]
    assert (schema["type"], schema["items"]["type"]) == ("array", "string")
