"""When an app's containers are healthy: what is refused, where it stands, and what Docker is given in each mode."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.conductor import spelling
from harness.core.errors import BadInput, HarnessError
from harness.core.values import App, Health
from harness.modes.fleet import Fleet, docker_run, unit_files
from harness.modes.swarm import services
from harness.plan import Plan, plan
from harness.reports.prose import describe
from harness.scenario import load, loads
from harness.scenario.containers import wrong_line
from harness.scenario.jsonschema import json_schema
from tests.unit import web_folder
from tests.unit.web_folder import written

if TYPE_CHECKING:
    from pathlib import Path

HEAD = "scenario: x\nwhy: y\ncluster: {nodes: 3}\n"
TAIL = "steps: [{fault: node.kill, on: any, hold: 5s}]\npromises: [conflicts]\n"
WHOLE = Health("test -e /ready", (), "", 5.0, 0.5, 3, 60.0)
LINES = st.text(max_size=40).filter(lambda text: not [*wrong_line(text)])


def _file(health: str) -> str:
    return f"{HEAD}apps: [{{name: web, instances: 2, health: {health}}}]\n{TAIL}"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of web, from which nobody knows whether it has a shell."""
    return web_folder.made(tmp_path, monkeypatch, 'SHELL ["/bin/bash", "-c"]')


def _flags(app: App) -> str:
    (run,) = [each.value for each in unit_files.render(app)[0].options if each.name == "ExecStart"]
    return run.partition("8001:80")[2].rpartition(" ")[0].strip()


def _check(app: App) -> Any:
    body: Any = services.spec(app, "run", 5.0)
    return body["TaskTemplate"]["ContainerSpec"].get("HealthCheck")


def test_each_part_reaches_docker_in_both_modes() -> None:
    """What is not given is left to the image, and to Docker."""
    said = "{command: test -e /ready, every: 5s, timeout: 500ms, retries: 3, start period: 1m}"
    (app,) = loads(_file(said)).apps
    assert app.health == WHOLE
    assert _flags(app) == (
        '--health-cmd "test -e /ready" --health-interval 5000ms --health-timeout 500ms --health-start-period 60000ms --health-retries 3'
    )
    nano = 1_000_000_000
    assert _check(app) == {
        "Test": ["CMD-SHELL", "test -e /ready"],
        "Interval": 5 * nano,
        "Timeout": nano // 2,
        "StartPeriod": 60 * nano,
        "Retries": 3,
    }
    assert (_flags(App("web", 1)), _check(App("web", 1))) == ("", None)
    assert (_flags(App("web", 1, health=Health(retries=1))), _check(App("web", 1, health=Health(retries=1)))) == (
        "--health-retries 1",
        {"Retries": 1},
    )


def test_a_path_is_asked_in_the_container_on_its_own_port() -> None:
    """By whatever it has for that."""
    app = App("web", 1, inner=8080, health=Health(http="/health?a=1&b"))
    line = (
        "curl -fsS -o /dev/null 'http://127.0.0.1:8080/health?a=1&b' || wget -q -O /dev/null 'http://127.0.0.1:8080/health?a=1&b' || exit 1"
    )
    assert _check(app)["Test"] == ["CMD-SHELL", line]
    (run,) = [each.value for each in unit_files.render(app)[0].options if each.name == "ExecStart"]
    assert line in [each.text for each in docker_run.command(run).words]


def test_a_list_of_words_needs_no_shell_and_is_swarms_alone(tmp_path: Path) -> None:
    """`docker run` has no option for one: that is told when the file is read."""
    (tmp_path / "s.yaml").write_text(_file("{command: [/web, -healthy]}"), encoding="utf-8")
    (app,) = load(tmp_path / "s.yaml", mode="swarm").apps
    assert _check(app) == {"Test": ["CMD", "/web", "-healthy"]}
    with pytest.raises(BadInput, match=r"s.yaml:4:42: a command that is a list of words, with the fleet mode; expected a line for a shell"):
        load(tmp_path / "s.yaml")
    with pytest.raises(HarnessError, match="a line for a shell"):
        unit_files.render(app)


@given(line=LINES)
def test_a_unit_gives_any_line_as_systemd_reads_it_back(line: str) -> None:
    """On one line of its own, with no specifier and no variable left in it."""
    (run,) = [each.value for each in unit_files.render(App("web", 1, health=Health(line)))[0].options if each.name == "ExecStart"]
    words = [each.text for each in docker_run.command(run).words]
    said = words[words.index("--health-cmd") + 1]
    assert "\n" not in run
    assert "%" not in said.replace("%%", "")
    assert "$" not in said.replace("$$", "")
    assert said.replace("%%", "%").replace("$$", "$") == line


@pytest.mark.parametrize(
    ("health", "told"),
    [
        ("", ["s.yaml:4:42: nothing; expected a mapping with command, http, every, timeout, retries, start period"]),
        ("{}", ["s.yaml:4:42: an empty mapping; expected command, http, or how often"]),
        ("{command: x, http: /}", ["s.yaml:4:55: http beside command; expected one of them"]),
        ("{command: ' '}", ["s.yaml:4:52: an empty command; expected text for the container's shell, or a list of words"]),
        ("{command: []}", ["s.yaml:4:52: no word; expected at least one"]),
        ("{command: {a: b}}", ["s.yaml:4:52: a mapping with a; expected text for"]),
        ('{command: "a\\eb"}', ["s.yaml:4:52: 'a\\x1bb', with a control character"]),
        ("{http: health}", ["s.yaml:4:49: 'health'; expected a path that begins with /, such as /health"]),
        ("{http: '/$(reboot)'}", ["s.yaml:4:49: '/$(reboot)'; expected a path"]),
        ("{http: /, every: 0, timeout: soon, retries: 0, start period: -1s, evry: 1s}",
         ["s.yaml:4:59: 0; expected a duration of 1ms or more", "s.yaml:4:71: 'soon'; expected a duration", "s.yaml:4:86: 0; expected a whole number",
          "s.yaml:4:103: '-1s'; expected a duration", "s.yaml:4:108: an unknown key 'evry'; expected one of command, http, every"]),
        (f"{{command: {'x' * 1001}}}", ["s.yaml:4:52: a command of 1001 characters; expected 1000 at most"]),
        ("{every: 5s}", ["s.yaml:4:42: a health of web without a check, and its image 'web' has none; expected command, or http; or a HEALTHCHECK"]),
    ],
)  # fmt: skip
def test_what_is_no_health_is_told_with_its_place(health: str, told: list[str]) -> None:
    """All of it at once."""
    with pytest.raises(BadInput) as caught:
        loads(_file(health), "s.yaml")
    said = str(caught.value).splitlines()
    assert [line[: len(start)] for line, start in zip(sorted(said), sorted(told), strict=True)] == sorted(told), said


def test_an_image_without_a_shell_must_check_itself(folder: Path) -> None:
    """What its Dockerfile says is taken, with other times."""
    written(folder)
    for health in ("{command: x}", "{http: /}"):
        with pytest.raises(
            BadInput, match="4:42: a health of web that takes a shell, which its image 'web' has not; expected a check that"
        ):
            loads(_file(health), "s.yaml")
    with pytest.raises(BadInput, match="the app web: a health of web that takes a shell"):
        spelling.must_be_cluster(3, [App("web", 2, health=Health("x"))], "nspawn")
    written(folder, 'HEALTHCHECK --interval=1s CMD ["/web", "-healthy"]')
    assert loads(_file("{every: 2s}")).apps[0].health == Health(every=2.0)
    written(folder, "HEALTHCHECK NONE")
    with pytest.raises(BadInput, match="without a check"):
        loads(_file("{every: 2s}"))
    written(folder, "COPY web /bin/sh")
    loads(_file("{http: /}"))


def test_it_stands_in_the_plan_and_is_read_back() -> None:
    """An app without one is saved as it was before there was any."""
    said = "{command: test -e /ready, every: 5s, timeout: 500ms, retries: 3, start period: 1m}"
    made = plan(loads(_file(said)), mode=Fleet(), provider="nspawn", seed=7)
    assert Plan.from_json(json.loads(json.dumps(made.to_json()))) == made
    words = "healthy by test -e /ready, every 5 s, within 0.5 s, bad answers from 60 s on, unhealthy after 3 bad answers"
    assert words in " ".join(describe(made).split())
    bare: Any = dataclasses.replace(made, apps=(App("web", 2),)).to_json()
    assert "health" not in bare["apps"][0]


@pytest.mark.parametrize(
    ("health", "words"),
    [
        ("x", "a health that is 'x'; expected a Health"),
        (Health("x", http="/"), "several of line, words and http"),
        (Health("\0"), "an empty command|control character"),
        (Health(http="x"), "http 'x' of a health; expected a path"),
        (Health("x", every=-1.0), "every -1.0 of a health; expected a duration"),
        (Health(5), "a health that is Health.line=5.*; expected a Health"),  # type: ignore[arg-type]
        (Health(words=(1,)), "a health that is Health.*words=.1,.*; expected a Health"),  # type: ignore[arg-type]
        (Health("x", every="5s"), "every='5s'.*; expected a Health"),  # type: ignore[arg-type]
        (Health("x", every=float("nan")), "every=nan.*; expected a Health"),
        (Health("x", retries=None), "retries=None.*; expected a Health"),  # type: ignore[arg-type]
        (Health("x", start_period=1e-9), "start period 1e-09 of a health; expected a duration"),
    ],
)
def test_an_app_in_python_is_told_the_same(health: Any, words: str) -> None:
    """Before anything is made."""
    with pytest.raises(BadInput, match=words):
        spelling.must_be_cluster(3, [App("web", 2, health=health)])
    spelling.must_be_cluster(3, [App("web", 2, health=WHOLE)])


def test_an_editor_knows_it() -> None:
    """With all of its keys."""
    (schema,) = [
        each["properties"]["health"] for each in json_schema()["properties"]["apps"]["items"]["oneOf"] if "health" in each["properties"]
    ]
    assert [*schema["properties"]] == ["command", "http", "every", "timeout", "retries", "start period"]
    assert (schema["minProperties"], schema["additionalProperties"]) == (1, False)


def test_swarm_takes_what_fleet_has_no_room_for() -> None:
    """A line of a unit is 2048 bytes."""
    app = App("web", 1, health=Health("%" * 1000))
    ((key, found, *_),) = Fleet().refused(app)
    assert (key, found[:22]) == ("health", "a unit with a line of ")
    assert _check(app)["Test"][1] == "%" * 1000
