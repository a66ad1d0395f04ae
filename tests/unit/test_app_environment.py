"""The environment of an app: what is refused, where it stands, that its containers get it as it is, and that no result tells its values."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.conductor import spelling
from harness.core.environment import wrong_variables
from harness.core.errors import BadInput
from harness.core.values import App
from harness.modes.fleet import Fleet, docker_run, unit_files
from harness.modes.swarm import Swarm, services
from harness.plan import Plan, plan
from harness.reports.prose import describe
from harness.scenario import fits, load, loads
from harness.scenario.jsonschema import json_schema

if TYPE_CHECKING:
    from pathlib import Path

    from harness.scenario import Scenario

HEAD = "scenario: x\nwhy: y\ncluster: {nodes: 3}\n"
TAIL = "steps: [{fault: node.kill, on: any, hold: 5s}]\npromises: [conflicts]\n"
LINES = st.text(st.characters(blacklist_categories=("Cs", "Cc", "Zl", "Zp")).filter(str.isprintable), max_size=60)


def _file(environment: str, head: str = HEAD) -> str:
    return f"{head}apps: [{{name: web, instances: 2, environment: {environment}}}]\n{TAIL}"


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ("[A]", ["s.yaml:4:47: a list of 1; expected a mapping from variables of its containers to text or numbers"]),
        ("{1A: x}", ["s.yaml:4:48: '1A', which is no variable's name; expected letters, digits and _ only, 128 at most"]),
        ('{"A B": x}', ["s.yaml:4:48: 'A B', which is no variable's name"]),
        ("{WHALEFALL_INSTANCE: x}", ["s.yaml:4:48: the variable WHALEFALL_INSTANCE, which is not an app's to be given; expected a name that"]),
        ("{NOTIFY_SOCKET: x}", ["s.yaml:4:48: the variable NOTIFY_SOCKET"]),
        ('{A: "geheim\\n"}', ["s.yaml:4:48: a value of A that is more than a line of text; expected one line"]),
        (f"{{A: {'x' * 4097}}}", ["s.yaml:4:48: a value of A with 4097 characters; expected 4096 at most", "s.yaml:4:47: a unit with a line of "]),
        ("{A: true}", ["s.yaml:4:51: true; expected text or a number; in quotes it is text"]),
        ("{A: no}", ["s.yaml:4:51: no, which YAML reads as false; expected text or a number; in quotes it is text"]),
        ("{A: }", ["s.yaml:4:51: nothing; expected text or a number; in quotes it is text"]),
        ("{A: [x]}", ["s.yaml:4:51: a list of 1; expected text or a number"]),
        (f"{{{', '.join(f'A{number}: 1' for number in range(101))}}}", ["s.yaml:4:47: 101 variables; expected 100 at most"]),
        ("{-x: yes, WHALEFALL_X: 1}", ["s.yaml:4:48: '-x', ", "s.yaml:4:52: yes, which", "s.yaml:4:57: the variable WHALEFALL_X"]),
    ],
)  # fmt: skip
def test_variables_that_no_container_may_have_are_told_with_their_place(environment: str, told: list[str]) -> None:
    """All of them at once, each where it stands, and no value of text is repeated."""
    with pytest.raises(BadInput) as caught:
        loads(_file(environment), "s.yaml")
    said = str(caught.value).splitlines()
    assert sorted(line[: len(start)] for line, start in zip(sorted(said), sorted(told), strict=True)) == sorted(told), said
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize(
    "environment", ["A=geheim", "[A=geheim]", "{A=geheim}", "{A:geheim}", "{'A: geheim': x}", "{A: {B: geheim}}", "{A: [geheim]}"]
)
def test_no_slip_in_an_environment_repeats_a_value(environment: str) -> None:
    """What is told of it is in logs of others."""
    with pytest.raises(BadInput) as caught:
        loads(_file(environment), "s.yaml")
    assert "geheim" not in str(caught.value)
    update = f"{{do: app.update, with: {{app: web, environment: {environment}}}}}"
    with pytest.raises(BadInput) as caught:
        loads(_file("{A: x}").replace("steps: [", f"steps: [{update}, "), "s.yaml")
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize(
    "image", ["me:geheim@host.example/app:1", "me:geheim!@host.example/app:1", f"me:geheim@host.example/app@sha256:{'a' * 64}"]
)
def test_no_slip_in_the_name_of_an_image_repeats_a_password(image: str) -> None:
    """Neither where an app has it, nor where an action gives it, also where it is none by its letters."""
    update = f"{{do: app.update, with: {{app: web, image: '{image}'}}}}"
    for text in (
        _file("{A: x}").replace("instances: 2", f"instances: 2, image: '{image}'"),
        _file("{A: x}").replace("steps: [", f"steps: [{update}, "),
    ):
        with pytest.raises(BadInput) as caught:
            loads(text, "s.yaml")
        assert "geheim" not in str(caught.value)
    with pytest.raises(BadInput) as caught:
        spelling.must_be_cluster(3, [App("web", 2, image)])
    assert "geheim" not in str(caught.value)


def test_a_number_is_passed_on_as_the_file_spells_it() -> None:
    """A version 1.10 is not 1.1."""
    (app,) = loads(_file('{A: 1.10, B: 8080, C: -0, D: 1e3, E: "007", F: +5, G: .5}')).apps
    assert app.environment == (("A", "1.10"), ("B", "8080"), ("C", "-0"), ("D", "1e3"), ("E", "007"), ("F", "+5"), ("G", ".5"))


def _loaded(folder: Path, text: str, mode: str) -> Scenario:
    (folder / "s.yaml").write_text(text, encoding="utf-8")
    return load(folder / "s.yaml", mode=mode)


def test_what_differs_in_another_mode_is_spelled_as_it_stands_there(tmp_path: Path) -> None:
    """Also below `but`, and a variable may have any name."""
    block = "but: {swarm: {because: b, apps: [{name: web, instances: 2, environment: {mode: 010, on: 1.50}}]}}\n"
    with pytest.raises(BadInput, match=r"the number 010, which YAML reads as octal"):
        _loaded(tmp_path, _file("{}") + block, "swarm")
    (app,) = _loaded(tmp_path, _file("{}") + block.replace("010", "10"), "swarm").apps
    assert app.environment == (("mode", "10"), ("on", "1.50"))


def test_what_has_no_room_in_a_unit_is_told_when_the_file_is_read(tmp_path: Path) -> None:
    """In the fleet mode alone: swarm takes it. However many instances there will be."""
    text = _file(f"{{A: '{'%' * 1024}'}}")
    with pytest.raises(BadInput, match=r"s.yaml:4:47: a unit with a line of 2[0-9]+ bytes; expected 2048 at most, as fleet reads it"):
        loads(text, "s.yaml")
    scenario = _loaded(tmp_path, text, "swarm")
    assert len(fits.misfits(scenario, Fleet())) == 1
    assert not fits.misfits(scenario, Swarm())
    most = next(size for size in range(2048, 0, -1) if not Fleet().refused(App("web", 1, environment=(("A", "x" * size),))))
    assert unit_files.render(App("web", 100, environment=(("A", "x" * most),)))


def test_what_has_no_room_in_a_unit_is_told_where_it_stands(tmp_path: Path) -> None:
    """Each line for itself: a variable has one of its own, and lengthens the command by its name alone."""
    text = f"{HEAD}apps:\n- name: web\n  instances: 2\n  environment: {{%s}}\n  command: ['{'x' * 2000}']\n{TAIL}"
    for variables, lines in ((f"A: '{'x' * 900}', B: '{'x' * 900}', C: '{'x' * 900}'", [8]), (f"A: '{'x' * 2048}'", [7, 8])):
        with pytest.raises(BadInput) as caught:
            _loaded(tmp_path, text % variables, "fleet")
        assert [(each.line, each.found[:19]) for each in caught.value.problems] == [(line, "a unit with a line ") for line in lines]


def test_an_update_that_has_no_room_is_told_when_the_file_is_read() -> None:
    """With what the app has already."""
    text = _file(f"{{A: {'x' * 950}}}").replace(
        "steps: [", f"steps: [{{do: app.update, with: {{app: web, environment: {{B: {'y' * 2048}}}}}}}, "
    )
    with pytest.raises(BadInput, match=r"^s.yaml:5:56: a unit with a line of 2[0-9]+ bytes"):
        loads(text, "s.yaml")


def test_results_hold_no_value() -> None:
    """Plans and their words are read by others; an app without variables is saved as it was before there were any."""
    made = plan(loads(_file("{DB_PASSWORD: geheim, MODE: geheim}")), mode=Fleet(), provider="nspawn", seed=7)
    assert dict(made.apps[0].environment) == {"DB_PASSWORD": "geheim", "MODE": "geheim"}
    body = json.loads(json.dumps(made.to_json()))
    assert "geheim" not in json.dumps(body)
    assert body["apps"][0]["environment"] == [["DB_PASSWORD", "***"], ["MODE", "***"]]
    assert Plan.from_json(body).apps[0].environment == (("DB_PASSWORD", "***"), ("MODE", "***"))
    assert "with DB_PASSWORD=*** MODE=*** in its environment" in " ".join(describe(made).split())
    assert "geheim" not in describe(made)
    assert "geheim" not in repr(made), "as pytest shows what a failed test had"
    bare: Any = plan(loads(_file("{}")), mode=Fleet(), provider="nspawn", seed=7).to_json()
    assert "environment" not in bare["apps"][0]


@given(value=LINES)
def test_a_unit_gives_any_value_as_systemd_reads_it_back_and_its_shown_text_hides_it(value: str) -> None:
    """By systemd's own rules for words, with no specifier and no variable left in it."""
    assert not [*wrong_variables({"A": value})]
    (unit,) = unit_files.render(App("web", 1, environment=(("A", value), ("B", "x"))))
    (line,) = [option.value for option in unit.options if option.name == "ExecStart"]
    words = [each.text for each in docker_run.command(line).words]
    given = words[words.index("-e") :]
    assert given[5:8:2] == ["A", "B"]
    told = [each.text for option in unit.options if option.name == "Environment" for each in docker_run.words(option.value)]
    assert [each.replace("%%", "\0") for each in told] == [f"A={value}".replace("%", "\0"), "B=x"]
    assert "%" not in told[0].replace("%%", "")
    assert '"A=***' in unit.shown()
    assert len(value) < 3 or value not in unit.shown().replace("***", "")


@given(value=LINES)
def test_a_service_gives_any_value_as_swarm_reads_it_back(value: str) -> None:
    """Two braces would be a template of swarm's; a template that gives two braces stands for them."""
    said = services.environment(App("web", 1, environment=(("A", value),)))[-1]
    assert "{{" not in said.replace('{{"{{"}}', "")
    assert said.replace('{{"{{"}}', "{{") == f"A={value}"


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ((("WHALEFALL_HOST", "x"),), "the variable WHALEFALL_HOST"),
        ((("A", 1),), "a value of A that is 1; expected text"),
        ((("A", "a\nb"),), "more than a line"),
        ((("A", b"a"),), "a value of A that is bytes; expected text"),
        ({"AB": "geheim"}, "environment in a mapping; expected pairs of a name and its value"),
        (("A=geheim",), "environment not in pairs; expected pairs of a name and its value"),
        ("A", "environment not in pairs; expected pairs of a name and its value"),
    ],
)
def test_an_app_in_python_is_told_the_same(environment: Any, words: str) -> None:
    """Before anything is made."""
    with pytest.raises(BadInput, match=words):
        spelling.must_be_cluster(3, [App("web", 2, environment=environment)])
    spelling.must_be_cluster(3, [App("web", 2, environment=(("A", "1"),))])
    long = App("web", 2, environment=(("A", "x" * 2048),))
    spelling.must_be_cluster(3, [long], mode=Swarm())
    with pytest.raises(BadInput, match="the app web: a unit with a line"):
        spelling.must_be_cluster(3, [long], mode=Fleet())


def test_an_editor_knows_it() -> None:
    """Names to text or numbers."""
    (schema,) = [
        each["properties"]["environment"]
        for each in json_schema()["properties"]["apps"]["items"]["oneOf"]
        if "environment" in each["properties"]
    ]
    assert schema["additionalProperties"] == {"type": ["string", "number"]}
