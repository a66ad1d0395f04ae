"""What an app's containers may take of a node: what is refused, where it stands, what each mode is given, and what a node's Docker keeps of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from harness.conductor import spelling
from harness.core.clock import Deadline, SystemClock
from harness.core.errors import BadInput, Unreachable, Unsupported
from harness.core.values import App, ContainerLimits, Result
from harness.modes import on_nodes
from harness.modes.ansible import static_inventory
from harness.modes.fleet import Fleet, unit_files
from harness.modes.mesos import marathon_apps
from harness.modes.swarm import Swarm, services
from harness.plan import Plan, plan
from harness.reports.prose import describe
from harness.scenario import loads
from harness.scenario.jsonschema import json_schema

if TYPE_CHECKING:
    from collections.abc import Mapping

HEAD = "scenario: x\nwhy: y\ncluster: {nodes: 3}\n"
TAIL = "steps: [{fault: node.kill, on: any, hold: 5s}]\npromises: [conflicts]\n"
ALL = ContainerLimits(64, 0.5, 128, 10)
APP = App("web", 1, limits=ALL)


def _file(limits: str) -> str:
    return f"{HEAD}apps: [{{name: web, instances: 2, limits: {limits}}}]\n{TAIL}"


def _unit(app: App) -> str:
    (run,) = [each.value for each in unit_files.render(app)[0].options if each.name == "ExecStart"]
    return run


def test_limits_as_each_mode_is_given_them() -> None:
    """Docker's own for fleet and for Marathon's parameters, a service's for swarm, a module's for Ansible."""
    assert "--pids-limit 64 --cpus 0.5 --memory 128m --memory-swap 128m --blkio-weight 10 web" in _unit(APP)
    spec: Any = services.spec(APP, "run", 5.0)
    assert spec["TaskTemplate"]["Resources"] == {"Limits": {"NanoCPUs": 500_000_000, "MemoryBytes": 128 << 20, "Pids": 64}}
    body: Any = marathon_apps.definition(APP, "run")
    assert (body["cpus"], body["mem"]) == (0.5, 128)
    told = {each["key"]: each["value"] for each in body["container"]["docker"]["parameters"]}
    assert {key: told[key] for key in ("pids-limit", "cpu-quota", "memory-swap", "blkio-weight")} == {
        "pids-limit": "64",
        "cpu-quota": "50000",
        "memory-swap": str(128 << 20),
        "blkio-weight": "10",
    }
    given = static_inventory._container(APP, "web@1", "n1")
    assert {key: given[key] for key in ("pids", "cpus", "memory", "blkio")} == {"pids": 64, "cpus": 0.5, "memory": "128m", "blkio": 10}


def test_no_swap_is_asked_for_below_the_memory_that_mesos_gives_at_least() -> None:
    """Docker refuses a container whose memory with swap is less than its memory, and Mesos gives none less than 32 MiB."""
    body: Any = marathon_apps.definition(App("web", 1, limits=ContainerLimits(memory=8)), "run")
    assert {"key": "memory-swap", "value": str(32 << 20)} in body["container"]["docker"]["parameters"]


def test_what_is_not_limited_is_not_named() -> None:
    """Nobody is given a limit of nothing."""
    for app in (App("web", 1), App("web", 1, limits=ContainerLimits(pids=7))):
        assert not {"--cpus", "--memory", "--blkio-weight"} & {*_unit(app).split()}
        spec: Any = services.spec(app, "run", 5.0)
        assert spec["TaskTemplate"].get("Resources", {"Limits": {"Pids": 7}}) == {"Limits": {"Pids": 7}}
        body: Any = marathon_apps.definition(app, "run")
        assert (body["cpus"], body["mem"]) == (0.1, 64)
        assert not {"cpus", "memory", "blkio"} & static_inventory._container(app, "web@1", "n1").keys()
    assert "limit" not in _unit(App("web", 1))


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        ("{}", ["s.yaml:4:42: an empty mapping; expected one of pids, cpu, memory, io"]),
        ("7", ["s.yaml:4:42: 7"]),
        (
            "{pids: 0, cpu: -1, memory: 128MB, io: 5}",
            ["4:49: 0;", "4:57: -1;", "4:69: '128MB'; expected a whole number of MiB", "4:80: 5;"],
        ),
        ("{cpus: 1}", ["s.yaml:4:43: an unknown key 'cpus'", "did you mean 'cpu'"]),
        ("{pids: true}", ["s.yaml:4:49: true"]),
        ("{cpu: .inf, memory: 1e9}", ["4:48:", "4:62:"]),
    ],
)
def test_what_is_no_limit_is_told_with_its_place(limits: str, told: list[str]) -> None:
    """All at once."""
    with pytest.raises(BadInput) as caught:
        loads(_file(limits), "s.yaml")
    assert [word for word in told if word not in str(caught.value)] == []


def test_swarm_limits_no_disks() -> None:
    """It is told before anything is made."""
    with pytest.raises(BadInput, match="4:42: io, with the swarm mode; expected pids, cpu and memory"):
        loads(_file("{pids: 7, io: 10}").replace("nodes: 3", "nodes: 3, mode: swarm"), "s.yaml")
    assert loads(_file("{pids: 7}").replace("nodes: 3", "nodes: 3, mode: swarm")).apps[0].limits == ContainerLimits(7)


def test_a_plan_says_it_and_reads_it_back() -> None:
    """Whole, and in words."""
    made = plan(loads(_file("{pids: 64, cpu: 0.5, memory: 128, io: 10}")), mode=Fleet.from_timers("default", {}), provider="nspawn", seed=7)
    assert made.apps[0].limits == ALL
    assert Plan.from_json(json.loads(json.dumps(made.to_json()))).apps == made.apps
    assert "limited to 64 processes and 0.5 processors and 128 MiB and 10 for io" in " ".join(describe(made, 100).split())


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ("x", "limits that are 'x'; expected ContainerLimits"),
        (ContainerLimits(), "limits that are ContainerLimits.*; expected ContainerLimits"),
        (ContainerLimits(pids=-1), "pids -1 of limits; expected a whole number of processes"),
        (ContainerLimits(cpu="x"), "limits that are ContainerLimits.*; expected ContainerLimits"),  # type: ignore[arg-type]
    ],
)
def test_an_app_in_python_is_told_the_same(limits: Any, words: str) -> None:
    """As for all that a file could not have."""
    with pytest.raises(BadInput, match=words):
        spelling.must_be_cluster(3, [App("web", 2, limits=limits)])
    spelling.must_be_cluster(3, [App("web", 2, limits=ALL)])


def test_editors_know_them() -> None:
    """As every key of an app."""
    assert any("limits" in each["properties"] for each in json_schema()["properties"]["apps"]["items"]["oneOf"])


class Asked:
    """A node whose Docker says one thing of itself, and has every image."""

    name, address = "n1", "10.0.0.1"

    def __init__(self, said: bytes, status: int = 0) -> None:
        self.said, self.status = said, status

    def run(self, *argv: str, timeout: float = 30.0, stdin: bytes = b"") -> Result:
        """Answer."""
        return Result(argv, self.status, self.said, b"no") if argv[:2] == ("docker", "info") else Result(argv, 0, b"", b"")


def _info(**given: Any) -> bytes:
    body: Mapping[str, Any] = {"PidsLimit": True, "CpuCfsQuota": True, "MemoryLimit": True, "Warnings": None, **given}
    return json.dumps(body).encode()


@pytest.mark.parametrize(
    ("said", "lacks"),
    [
        (_info(), ""),
        (_info(PidsLimit=False, CpuCfsQuota=False), "pids and cpu"),
        (_info(MemoryLimit=None), "memory"),
        (_info(Warnings=["WARNING: No io.weight support", "x"]), "io"),
        (_info(Warnings=["WARNING: No blkio weight support"]), "io"),
        (b"{}", "pids and cpu and memory"),
    ],
)
def test_a_docker_that_would_not_keep_a_limit_is_told(said: bytes, lacks: str) -> None:
    """It would start the container all the same, and nothing that is promised of it would show anything."""
    node: Any = Asked(said)
    if not lacks:
        on_nodes.image(node, APP, Deadline(SystemClock(), 5.0))
        return
    with pytest.raises(Unsupported, match=f"n1: Docker cannot limit {lacks} there, as web asks for"):
        on_nodes.image(node, APP, Deadline(SystemClock(), 5.0))
    on_nodes.image(node, App("web", 1), Deadline(SystemClock(), 5.0))


@pytest.mark.parametrize(("said", "status"), [(b"", 0), (b"[]", 0), (_info(), 1)])
def test_a_docker_that_does_not_say_is_not_known_to_keep_it(said: bytes, status: int) -> None:
    """Nor is it known not to."""
    node: Any = Asked(said, status)
    with pytest.raises(Unreachable):
        on_nodes.image(node, APP, Deadline(SystemClock(), 5.0))


def test_modes_say_what_they_refuse() -> None:
    """And swarm alone does."""
    assert [each[0] for each in Swarm.from_timers("default", {}).refused(APP)] == ["limits"]
    assert [*Fleet.from_timers("default", {}).refused(APP)] == []
