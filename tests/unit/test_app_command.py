"""The command of an app: how text is split, what is refused, where it stands, and that its containers are started with it as it is."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.conductor import spelling
from harness.core.errors import BadInput
from harness.core.values import App
from harness.modes.fleet import Fleet, docker_run, unit_files
from harness.modes.swarm import services
from harness.plan import Plan, plan
from harness.reports.prose import describe
from harness.scenario import loads
from harness.scenario.containers import wrong_words
from harness.scenario.jsonschema import json_schema

HEAD = "scenario: x\nwhy: y\ncluster: {nodes: 3}\n"
TAIL = "steps: [{fault: node.kill, on: any, hold: 5s}]\npromises: [conflicts]\n"
WORDS = st.lists(st.text(max_size=20).filter(lambda text: not [*wrong_words([text])]), min_size=1)
PLAIN = st.lists(st.text([*map(chr, range(32, 127)), "\n", "\t"], max_size=20), min_size=1, max_size=10)


def _file(command: str) -> str:
    return f"{HEAD}apps: [{{name: web, instances: 2, command: {command}}}]\n{TAIL}"


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("run --port 80", ("run", "--port", "80")),
        ("\"sh -c 'echo $HOME #x; sleep 1' #y\"", ("sh", "-c", "echo $HOME #x; sleep 1", "#y")),
        (r"'a\ b \"c\" \\d '''' e'", ("a b", '"c"', r"\d", "", "e")),
        ("[sh, -c, 'a  b', 80, 1.10, '']", ("sh", "-c", "a  b", "80", "1.10", "")),
        ('["a\\nb", "\\t"]', ("a\nb", "\t")),
    ],
)
def test_text_is_split_as_a_shell_splits_it_and_nothing_is_expanded(command: str, words: tuple[str, ...]) -> None:
    """A list stands as it is; what would be a comment, or a variable, is text."""
    (app,) = loads(_file(command)).apps
    assert app.command == words


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("", ["s.yaml:4:43: nothing; expected a list of words, or text that is split"]),
        ("{a: b}", ["s.yaml:4:43: a mapping with a; expected a list of words"]),
        ("true", ["s.yaml:4:43: true; expected a list of words"]),
        ("''", ["s.yaml:4:43: no word; expected at least one; without `command` the image's own counts"]),
        ("[]", ["s.yaml:4:43: no word"]),
        ('''"it's"''', ["s.yaml:4:43: \"it's\", in which a quotation mark or a backslash is open; expected a list of words"]),
        ("[a, yes, [b], null]",
         ["s.yaml:4:47: yes, which YAML reads as true; expected text or a number", "s.yaml:4:52: a list of 1", "s.yaml:4:57: nothing"]),
        ('["a\\eb", "c\\0"]', ["s.yaml:4:44: 'a\\x1bb', with a control character; expected text", "s.yaml:4:52: 'c\\x00', with"]),
        (f"[{', '.join('a' * 101)}]", ["s.yaml:4:43: 101 words; expected 100 at most"]),
        (f"[{'a' * 8193}]", ["s.yaml:4:43: words of 8193 characters; expected 8192 at most", "s.yaml:4:43: a unit with a line of 8"]),
        (f"[{'a' * 2000}]", ["s.yaml:4:43: a unit with a line of 2"]),
    ],
)  # fmt: skip
def test_what_is_no_command_is_told_with_its_place(command: str, told: list[str]) -> None:
    """All of it at once."""
    with pytest.raises(BadInput) as caught:
        loads(_file(command), "s.yaml")
    said = str(caught.value).splitlines()
    assert [line[: len(start)] for line, start in zip(sorted(said), sorted(told), strict=True)] == sorted(told), said


def test_it_stands_in_the_plan_and_is_read_back() -> None:
    """An app without one is saved as it was before there was any."""
    made = plan(loads(_file("[run, 'a b']")), mode=Fleet(), provider="nspawn", seed=7)
    body = json.loads(json.dumps(made.to_json()))
    assert Plan.from_json(body) == made
    assert "started with run 'a b'" in " ".join(describe(made).split())
    bare: Any = plan(loads(f"{HEAD}apps: [{{name: web, instances: 2}}]\n{TAIL}"), mode=Fleet(), provider="nspawn", seed=7).to_json()
    assert "command" not in bare["apps"][0]


@given(words=WORDS)
def test_a_unit_gives_any_words_as_systemd_reads_them_back(words: list[str]) -> None:
    """On one line, and with no specifier and no variable left in them."""
    (line,) = [each.value for each in unit_files.render(App("web", 1, command=tuple(words)))[0].options if each.name == "ExecStart"]
    assert "\n" not in line
    read = [each.text for each in docker_run.command(line).words]
    own = read[read.index("web", 2) + 1 :]
    assert all("%" not in each.replace("%%", "") and "$" not in each.replace("$$", "") for each in own)
    assert [each.replace("%%", "%").replace("$$", "$") for each in own] == words


@settings(max_examples=20)
@given(words=PLAIN)
def test_text_that_quotes_each_word_is_those_words(words: list[str]) -> None:
    """As Python's own quoting for a shell has it."""
    assert loads(_file(json.dumps(shlex.join(words)))).apps[0].command == tuple(words)


def test_a_service_gives_it_to_the_images_own_entry_point() -> None:
    """As `docker run` does with what follows the image; one without any leaves the image's own."""
    body: Any = services.spec(App("web", 2, command=("a", "{{.Node.ID}}")), "run", 5.0)
    assert body["TaskTemplate"]["ContainerSpec"]["Args"] == ["a", "{{.Node.ID}}"]
    bare: Any = services.spec(App("web", 2), "run", 5.0)
    assert "Args" not in bare["TaskTemplate"]["ContainerSpec"]


@pytest.mark.parametrize(
    ("command", "words"), [("run", "a command that is 'run'; expected a list of words"), (("a\0",), "with a control character")]
)
def test_an_app_in_python_is_told_the_same(command: Any, words: str) -> None:
    """Before anything is made."""
    with pytest.raises(BadInput, match=words):
        spelling.must_be_cluster(3, [App("web", 2, command=command)])
    spelling.must_be_cluster(3, [App("web", 2, command=("a",))])


def test_beside_an_own_definition_it_is_refused() -> None:
    """As all that stands in that."""
    with pytest.raises(BadInput, match="command beside native"):
        loads(f"{HEAD}apps: [{{name: web, native: web@.service, command: x, instances: 1}}]\n{TAIL}")


def test_an_editor_knows_it() -> None:
    """Text, or a list."""
    (schema,) = [
        each["properties"]["command"] for each in json_schema()["properties"]["apps"]["items"]["oneOf"] if "command" in each["properties"]
    ]
    assert [each["type"] for each in schema["anyOf"]] == ["string", "array"]
