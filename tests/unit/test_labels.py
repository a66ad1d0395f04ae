"""Labels of an app: what is refused, where they stand, and that its containers get them as they are."""

from __future__ import annotations

import json
from typing import Any

import pytest

from harness.conductor import spelling
from harness.core.errors import BadInput, HarnessError
from harness.core.values import App
from harness.modes.fleet import Fleet, unit_files
from harness.modes.swarm import services
from harness.plan import Plan, plan
from harness.reports.prose import describe
from harness.scenario import loads
from harness.scenario.jsonschema import json_schema

HEAD = "scenario: x\nwhy: y\ncluster: {nodes: 3}\n"
TAIL = "steps: [{fault: node.kill, on: any, hold: 5s}]\npromises: [conflicts]\n"
LONG = "x" * 199
APP = App("web", 2, labels=(("example.org/say", 'it\'s 100% "$HOME" {{.Node.ID}}'), ("tier", "front")))


def _file(labels: str) -> str:
    return f"{HEAD}apps: [{{name: web, instances: 2, labels: {labels}}}]\n{TAIL}"


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        ("{-x: a}", ["s.yaml:4:43: a label named '-x'; expected letters, digits, dots, dashes, slashes and _"]),
        ('{"": a}', ["s.yaml:4:43: a label named ''"]),
        (f"{{{'x' * 65}: a}}", ["s.yaml:4:43: a label named 'xxx"]),
        ("{whalefall.app: db}", ["s.yaml:4:43: the label whalefall.app; expected a name that nobody has taken; names that begin with whalefall."]),
        ("{Whalefall.instance: db}", ["s.yaml:4:43: the label Whalefall.instance"]),
        ("{com.docker.swarm.task.name: db}", ["s.yaml:4:43: the label com.docker.swarm.task.name"]),
        ("{io.docker.x: db}", ["s.yaml:4:43: the label io.docker.x"]),
        ('{a: "two\\nlines"}', ["s.yaml:4:43: the label 'a' with 'two"]),
        ("{a: größe}", ["s.yaml:4:43: the label 'a' with 'größe'; expected one line of ASCII text, 200 characters at most"]),
        ("{tier: 1}", ["s.yaml:4:49: 1; expected text; in quotes it is text"]),
        ("[tier]", ["s.yaml:4:42: a list of 1; expected a mapping from labels"]),
        (f"{{{', '.join(f'l{number}: x' for number in range(17))}}}", ["s.yaml:4:42: 17 labels; expected 16 at most"]),
        (f"{{{', '.join(f'l{number}: {LONG}' for number in range(4))}}}", ["s.yaml:4:42: labels of 804 characters; expected 600 at most"]),
        ("{-x: größe, whalefall.app: db}", ["s.yaml:4:43: a label named", "s.yaml:4:43: the label", "s.yaml:4:54: the label whalefall.app"]),
    ],
)  # fmt: skip
def test_labels_that_no_container_may_have_are_told_with_their_place(labels: str, told: list[str]) -> None:
    """All of them at once, each where it stands."""
    with pytest.raises(BadInput) as caught:
        loads(_file(labels), "s.yaml")
    said = str(caught.value).splitlines()
    assert [line[: len(start)] for line, start in zip(said, told, strict=True)] == told, said


def test_labels_of_just_what_is_allowed_are_fine() -> None:
    """Sixteen of them, and two hundred characters; one character more is told."""
    many = {f"l{number}": "x" for number in range(16)}
    assert loads(_file(json.dumps(many))).apps[0].labels == tuple(sorted(many.items()))
    assert loads(_file(f"{{l: {'x' * 200}}}")).apps[0].labels == (("l", "x" * 200),)
    with pytest.raises(BadInput, match="200 characters at most"):
        loads(_file(f"{{l: {'x' * 201}}}"))


def test_labels_stand_in_the_plan_in_order_and_are_read_back() -> None:
    """An app without any is saved as it was before there were any."""
    made = plan(loads(_file("{tier: front, example.org/team: whales}")), mode=Fleet(), provider="nspawn", seed=7)
    assert made.apps[0].labels == (("example.org/team", "whales"), ("tier", "front"))
    body = json.loads(json.dumps(made.to_json()))
    assert Plan.from_json(body) == made
    assert "labelled example.org/team=whales, tier=front" in " ".join(describe(made).split())
    bare = plan(loads(_file("{}")), mode=Fleet(), provider="nspawn", seed=7).to_json()
    apps: Any = bare["apps"]
    assert "labels" not in apps[0]


def test_a_unit_gives_them_as_systemd_reads_them_back() -> None:
    """Quoted, with nothing in them that systemd would expand; ours come with them."""
    (unit, _) = unit_files.render(APP)
    (line,) = [option.value for option in unit.options if option.name == "ExecStart"]
    assert '--label "example.org/say=it\'s 100%% \\"$$HOME\\" {{.Node.ID}}" --label "tier=front"' in line
    assert "--label whalefall.app=web --label whalefall.instance=web@1" in line


def test_the_most_that_a_file_may_give_has_room_in_a_unit() -> None:
    """However long the app's name and image are, and however many characters are written twice."""
    names = [f"{'n' * 60}{number:02}" for number in range(6)]
    labels = tuple((name, '"' * 38) for name in names)
    image = "i" * 200
    assert sum(len(name) + len(value) for name, value in labels) == 600
    assert unit_files.render(App("a" * 32, 1, image, 65000, labels=labels))
    with pytest.raises(HarnessError, match="fewer or shorter variables, words, labels or volumes"):
        unit_files.render(App("a" * 32, 1, image, 65000, labels=(*labels, ("more", "$" * 400))))


def test_a_service_gives_them_to_its_containers_and_ours_count() -> None:
    """The service itself has only ours."""
    body: Any = services.spec(APP, "run", 5.0)
    assert body["TaskTemplate"]["ContainerSpec"]["Labels"] == {**dict(APP.labels), "whalefall.app": "web", "whalefall.run": "run"}
    assert set(body["Labels"]) == {"whalefall.app", "whalefall.run", "whalefall.lacked"}


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ({"ab": "x"}, "labels in a mapping; expected pairs of a name and its value"),
        ((("whalefall.app", "db"),), "the label whalefall.app"),
        ((("a", "größe"),), "one line of ASCII text"),
        ((("tier", 1),), "labels.tier 1; expected text"),
        ("tier", "labels not in pairs; expected pairs of a name and its value"),
        (5, "labels not in pairs; expected pairs of a name and its value"),
    ],
)
def test_an_app_in_python_is_told_the_same(labels: Any, words: str) -> None:
    """Before anything is made."""
    with pytest.raises(BadInput, match=words):
        spelling.must_be_cluster(3, [App("web", 2, labels=labels)])
    spelling.must_be_cluster(3, [APP])


def test_an_editor_knows_them() -> None:
    """Names to text."""
    (labels,) = [
        each["properties"]["labels"] for each in json_schema()["properties"]["apps"]["items"]["oneOf"] if "labels" in each["properties"]
    ]
    assert (labels["type"], labels["additionalProperties"]) == ("object", {"type": "string"})
