"""Slips of whoever writes a scenario: what is told of each is enough to mend it, and nothing else that is wrong beside it is held back."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from harness.core import parameters
from harness.core.errors import BadInput, Problem
from harness.host.origins import EXPECTED
from harness.registry import known
from harness.scenario import loads

WHOLE: dict[str, Any] = {
    "scenario": "t",
    "why": "x",
    "cluster": {"nodes": 3, "profile": "fast"},
    "apps": [{"name": "web", "instances": 2}],
    "workloads": [{"http": {"app": "web"}}],
    "steps": [{"fault": "node.kill", "on": "n1", "as": "cut"}],
    "promises": ["bystanders"],
}


def told(**parts: Any) -> list[Problem]:
    """Return all that is wrong with a file that is right but for these parts."""
    with pytest.raises(BadInput) as caught:
        loads(yaml.safe_dump({**WHOLE, **parts}, sort_keys=False))
    return list(caught.value.problems)


def said(**parts: Any) -> str:
    """Return the same as text, without places."""
    return "\n".join(str(each).partition(": ")[2] for each in told(**parts))


CLASSES = [
    (kind, name, cls) for kind in ("faults", "workloads", "checkers", "actions") for name, cls in sorted(getattr(known(), kind).items())
]


@pytest.mark.parametrize(("kind", "name", "cls"), CLASSES, ids=[f"{kind}: {name}" for kind, name, _ in CLASSES])
def test_of_each_parameter_it_is_told_what_it_is(kind: str, name: str, cls: Any) -> None:
    """Not only that it is text: whoever leaves it out does not know what is meant."""
    assert kind
    assert not [
        key for key, wanted in parameters.wanted(cls).items() if wanted in {"", "text", "a whole number", "a number", "a mapping"}
    ], f"{name}: say what each is, by Field(description=...)"


PROBE = {"name": "front", "on": "n2", "command": "./q"}
MISSING = {
    "in a list that is too short": {"probes": [{**PROBE, "between": [1]}]},
    "in an empty list": {"probes": [{**PROBE, "between": []}]},
    "an app's name": {"apps": [{"instances": 2}]},
    "a promise's parameters": {"promises": [{"availability": {}}, {"rescheduled": {}}, {"scaled": {}}, {"probe": {}}, {"command": {}}]},
    "an action's parameters": {
        "steps": [*WHOLE["steps"], {"do": "command", "on": "n1"}, {"do": "service.stop", "on": "n1"}, {"do": "app.scale"}]
    },
    "a workload's": {"workloads": [{"http": {}}, {"command": {}}]},
    "parts of the file": {"steps": None},
}


@pytest.mark.parametrize("parts", MISSING.values(), ids=MISSING)
def test_of_what_is_missing_it_is_told_what_was_expected(parts: dict[str, Any]) -> None:
    """Whatever it is missing in."""
    assert not [each for each in told(**parts) if not each.expected and "is missing" in each.found]


def test_a_list_that_is_too_short_is_told_as_one() -> None:
    """Its index is no key that anybody has left out."""
    expected = "expected two numbers: the least and the most that `command` may print"
    assert said(probes=[{**PROBE, "between": [1]}]) == f"a list of 1; {expected}"
    assert said(probes=[{**PROBE, "between": []}]) == f"an empty list; {expected}"


def test_native_is_told_among_the_keys_of_an_app() -> None:
    """And a slip in it is told as one."""
    assert "health, limits, native; did you mean 'native'?" in said(apps=[{"name": "web", "nativ": "web@.service", "instances": 2}])
    assert "limits, native" in said(apps=[5])


SEVERAL: dict[str, tuple[dict[str, Any], list[str]]] = {
    "an app": (
        {"apps": [{"name": "web", "instances": 2, "image": "nginx", "pin": "n9", "port": 99999}]},
        ["image 'nginx'", "a pin to 'n9'", "99999; expected the port"],
    ),
    "an app's labels": (
        {"apps": [{"name": "web", "instances": 2, "labels": {"Tier": ["x"], "a b": "c"}}]},
        ["a list of 1; expected text", "a label named 'a b'"],
    ),
    "a probe's promise": (
        {"promises": [{"probe": {"name": "quue", "share": "90%"}}]},
        ["'gap' is missing", "the probe 'quue', which nobody asks"],
    ),
    "a command's promise": ({"promises": [{"command": {"name": "lod"}}]}, ["a promise of nothing", "the command 'lod', which nobody runs"]),
    "a promise's window": (
        {"promises": [{"conflicts": {"appp": "web", "during": "cutt"}}]},
        ["unknown key 'appp'", "cutt, which no fault is called"],
    ),
}


@pytest.mark.parametrize(("parts", "words"), SEVERAL.values(), ids=SEVERAL)
def test_one_wrong_field_hides_nothing_else_that_is_wrong(parts: dict[str, Any], words: list[str]) -> None:
    """Of the same app, or the same promise: a user mends everything in one go."""
    found = said(**parts)
    assert not [each for each in words if each not in found], found


def test_what_is_no_text_in_a_mapping_is_told_by_itself() -> None:
    """With what to do: most labels are numbers and truths."""
    assert said(apps=[{"name": "web", "instances": 2, "labels": {"tier": 1, "on": True}}]).splitlines() == [
        "1; expected text; in quotes it is text",
        "true; expected text; in quotes it is text",
    ]


ASTRAY = {
    "a target that nobody needs": (
        {"steps": [*WHOLE["steps"], {"do": "app.scale", "with": {"app": "web", "instances": 3}, "on": "here"}]},
        ["a target of app.scale; expected none: it is done to no node"],
    ),
    "a step's own key under with": (
        {"steps": [*WHOLE["steps"], {"do": "command", "with": {"run": "a", "at_most": "5s"}, "on": "n1"}]},
        ["an unknown key 'at_most'; expected one of run, disturbs, secret; did you mean 'at most'? put it beside with"],
    ),
    "a fault's own key under with": (
        {"steps": [{"fault": "node.kill", "on": "n1", "with": {"hold": "5s"}, "as": "cut"}]},
        ["an unknown key 'hold'; expected no parameters: there are none; put it beside with, with as many blanks before it"],
    ),
    "a hold's key beside it": (
        {"steps": [{"fault": "node.kill", "on": "n1", "hold": "5s", "until": "recovered"}]},
        ["an unknown key 'until'; expected one of fault, on, with, hold, as; put it under hold: `hold: {until: …}`"],
    ),
    "two steps in one": (
        {"steps": [{"wait": "5s", "fault": "node.kill", "on": "n1", "hold": "5s"}]},
        ["wait and fault in one step; expected one of them: each step is an item of its own"],
    ),
    "two checks in one": (
        {"checks": [{"service": "docker", "process": "x", "is_running": True}]},
        ["service and process; expected a check of exactly one service, process, socket, peer, file, container, image, network, volume"],
    ),
    "an app of which nothing is right": (
        {
            "apps": [
                {
                    "name": "web",
                    "instances": "2",
                    "port": 0,
                    "environment": {"a b": 1},
                    "command": "",
                    "volumes": ["data:x"],
                    "restart": "foo",
                    "health": {"http": "x"},
                    "pin": "n9",
                    "labels": {"-x": "a"},
                    "image": "/app.tar",
                }
            ]
        },
        [
            "'2'; expected a whole number from 0 to 100; 0: it comes only with app.deploy; without the quotes it is a number",
            "0; expected the port from 1 to 65535 on which a container of it answers",
            "'a b', which is no variable's name; expected letters, digits and _ only, 128 at most, not starting with a digit",
            "no word; expected at least one; without `command` the image's own counts",
            "the target 'x'; expected a plain path in the container, such as /var/lib/data",
            "'foo'; expected one of no, on-failure, always",
            "'x'; expected a path that begins with /, such as /health",
            "a pin to 'n9'; expected a node's name, n1 to n3",
            "a label named '-x'; expected letters, digits, dots, dashes, slashes and _, 64 at most, with a letter or a digit at both ends",
            "the image /app.tar; expected a path from the scenario file's folder on, such as ./app.tar",
        ],
    ),
    "a health whose command is none": (
        {"apps": [{"name": "web", "instances": 2, "health": {"command": []}}]},
        ["no word; expected at least one; without `command` the image's own counts"],
    ),
    "images that no registry and no node takes": (
        {
            "apps": [
                {"name": f"web{number}", "instances": 1, "host port": 8000 + 100 * number, "image": image}
                for number, image in enumerate(("h:99999/web:1", "web:1:2", f"{'a' * 300}:1", f"x@sha256:{'A' * 64}"))
            ],
            "workloads": [],
        },
        [
            f"the image h:99999/web:1; expected {EXPECTED}; a port is 65535 at most",
            f"the image web:1:2; expected {EXPECTED}; a tag is of letters, digits, _, . and -, 128 at most, and begins with neither . nor -",
            f"the image {'a' * 300}:1; expected a name of 255 characters at most, with its tag: nodes take no longer one",
            f"the image x@sha256:{'A' * 64}; expected @sha256:… behind the name, or nothing; all of its 64 digits, in lower case",
        ],
    ),
    "a window of no name": (
        {"promises": [{"conflicts": {"during": ""}}]},
        ["''; expected the name of a fault (its `as`), or a list of such names"],
    ),
    "a checksum of too few digits": (
        {"checks": [{"file": "/x", "sha256sum": "abc"}, {"file": "/x", "md5sum": "A" * 32}]},
        [
            "'abc'; expected 64 hexadecimal digits in lower case, as `sha256sum` prints them; those are 3 characters",
            f"'{'A' * 32}'; expected 32 hexadecimal digits in lower case, as `md5sum` prints them",
        ],
    ),
    "a status that no process has": (
        {"workloads": [{"command": {"name": "load", "run": "x"}}], "promises": [{"command": {"name": "load", "status": 300}}]},
        ["300; expected the exit status, 0 to 255, with which it must end by itself"],
    ),
    "a checker that judges nothing": (
        {"control": {"verdict": "broken", "because": "writes"}},
        [
            "the checker 'writes'; expected a checker that judges this scenario; there is assumptions, awaited, bystanders, checks, clean, settled"
        ],
    ),
    "a timer that the file says": (
        {"cluster": {"nodes": 3, "profile": "fast", "timers": {"agent_ttl": "0s"}}},
        ["agent_ttl: 0 s; expected more than 0 seconds"],
    ),
    "a timer that follows": (
        {"cluster": {"nodes": 3, "profile": "fast", "timers": {"etcd_heartbeat_interval": "5s"}}},
        ["etcd_election_timeout: 1 s; expected from 25 s (5 heartbeats) to 50 s; etcd_election_timeout is the profile's: the file"],
    ),
}


@pytest.mark.parametrize(("parts", "lines"), ASTRAY.values(), ids=ASTRAY)
def test_what_stands_in_the_wrong_place_is_told_once_with_what_to_do(parts: dict[str, Any], lines: list[str]) -> None:
    """Where it belongs, or that it belongs nowhere."""
    found = said(**parts).splitlines()
    assert [line[: len(start)] for line, start in zip(found, lines, strict=True)] == lines


UNREAD = [
    {"fault": "daemon.hang", "on": "hosting(db) & any", "hold": {"until": "recovered", "at most": "20s"}},
    {"fault": "daemon.hang", "on": "db@7", "hold": "5s"},
    {"await": {"recovered": "db"}, "at most": "10s"},
    {"do": "app.scale", "with": {"app": "db", "instances": 3}},
]
"""Steps about an app of which only the name can be read."""
BESIDE = {
    "a target that is nobody": (
        {"fault": "daemon.hang", "on": "hosting(web) & !hosting(web)", "hold": "5s"},
        "the target 'hosting(web) & !h",
    ),
    "too many targets": ({"fault": "daemon.hang", "on": "any 4", "hold": "5s"}, "the target 'any 4'"),
    "no such instance": ({"fault": "daemon.hang", "on": "web@7", "hold": "5s"}, "the target 'web@7'"),
    "a target of no app": ({"fault": "daemon.hang", "on": "hosting(wep)", "hold": "5s"}, "hosting(wep)"),
    "a wait for no app": ({"await": {"recovered": "wep"}, "at most": "10s"}, "an unknown app 'wep'"),
    "an action of no app": ({"do": "app.scale", "with": {"app": "wep", "instances": 3}}, "an unknown app 'wep'"),
}


@pytest.mark.parametrize(("step", "found"), BESIDE.values(), ids=BESIDE)
def test_an_app_that_cannot_be_read_holds_back_nothing_of_the_steps(step: dict[str, Any], found: str) -> None:
    """Its name is known all the same, and nothing is wrong with steps about it."""
    apps = [*WHOLE["apps"], {"name": "db", "instances": "two"}]
    first, *rest = told(apps=apps, steps=[*WHOLE["steps"], *UNREAD, step])
    assert first.found == "'two'"
    assert [each.found[: len(found)] for each in rest] == [found]


@pytest.mark.parametrize("app", [{"nmae": "db", "instances": 1}, {"name": "Db", "instances": 1}, "db"])
def test_where_the_name_of_an_app_cannot_be_read_nobody_else_is_told_to_be_none(app: Any) -> None:
    """It may be the very one that is meant."""
    assert len(told(apps=[*WHOLE["apps"], app], steps=[*WHOLE["steps"], *UNREAD])) == 1
