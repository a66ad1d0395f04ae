"""An app's own JSON for Marathon, taken as it stands."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from harness.core.errors import BadInput
from harness.core.protocols import OwnApp
from harness.core.values import App
from harness.modes.mesos import Mesos, marathon_apps
from harness.scenario.own_definitions import uncallable

GUIDE = Path(__file__).parents[2] / "fixtures" / "native" / "frontend.json"


def own(**changes: Any) -> OwnApp:
    """Return the guide's definition with some of it replaced; None takes a key away."""
    body = json.loads(GUIDE.read_text()) | changes
    return OwnApp("frontend", "frontend.json", json.dumps({key: value for key, value in body.items() if value is not None}))


def mapping(**port: Any) -> dict[str, Any]:
    """Return a container with one port that is mapped so."""
    return {"type": "DOCKER", "docker": {"image": "web", "network": "BRIDGE", "portMappings": [{"containerPort": 80, **port}]}}


def test_the_guides_own_is_taken_word_for_word() -> None:
    """Three instances, never two on one node, each on a port of its own by Marathon's word."""
    app = Mesos().define(OwnApp("web", str(GUIDE), GUIDE.read_text()))
    assert (app.name, app.instances, app.image, app.conflicts, app.pin) == ("web", 3, "web", True, None)
    assert app.native is not None
    assert (app.native.called, app.native.inner, app.native.port) == ("/frontend", 80, "")
    assert marathon_apps.definition(app, "run") == json.loads(GUIDE.read_text())
    assert uncallable("http", app, 3) is None
    (names,) = [each for each in [app.called] if each]
    found = re.fullmatch(names.pattern, "frontend.instance-2b5a1d84-d0a1-11f0-9d1b-02420a4d000b._app.1")
    assert found is not None
    assert (names.label, names.of, found["number"]) == ("$MESOS_TASK_ID", "web", "2b5a1d84-d0a1-11f0-9d1b-02420a4d000b")
    assert re.fullmatch(names.pattern, "frontends.instance-2b5a1d84-d0a1-11f0-9d1b-02420a4d000b._app.1") is None


def test_tabs_between_its_values_are_fine_and_values_of_variables_are_kept_from_others() -> None:
    """A run's results hold the definition, and others read them."""
    guide = json.loads(GUIDE.read_text())
    guide["container"]["docker"]["parameters"] = [{"key": "env", "value": "TOKEN=s3cret"}, {"key": "label", "value": "tier=front"}]
    text = json.dumps({**guide, "env": {"PASSWORD": "s3cret"}}, indent="\t")
    app = Mesos().define(OwnApp("web", "web.json", text))
    assert app.native is not None
    assert "s3cret" not in app.native.text
    assert all(each in app.native.text for each in ("PASSWORD", "tier=front"))
    assert app.native.body == text


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"id": None}, "no id"),
        ({"id": "Front_End"}, "the id 'Front_End'"),
        ({"container": None}, "no Docker container"),
        ({"container": {"docker": {}}}, "no image: it makes no container"),
        ({"instances": -1}, "instances -1"),
        ({"instances": "3"}, "instances '3'"),
        ({"constraints": [["rack", "GROUP_BY"]]}, 'the constraint ["rack", "GROUP_BY"]'),
        ({"container": mapping(hostPort=8080)}, "hostPort 8080, which no agent ever offers"),
        ({"container": mapping(hostPort="31000")}, "hostPort '31000', which no agent ever offers"),
        ({"container": mapping(servicePort=8080)}, "servicePort 8080, which is taken by marathon"),
        ({"constraints": [["hostname", "CLUSTER", "n1"], ["hostname", "CLUSTER", "n2"]]}, "constraints to n1, n2 at once"),
        ({"unreachableStrategy": "disabled"}, "unreachableStrategy 'disabled'"),
        ({"unreachableStrategy": {"inactiveAfterSeconds": 10, "expungeAfterSeconds": 300}}, "unreachableStrategy"),
        ({"instnces": 3}, "an unknown key 'instnces'"),
        ({"container": {"docker": {"image": "web", "portMappings": [{"containerPort": "80"}]}}}, "the mapping"),
    ],
)
def test_what_cannot_be_followed_is_told_with_its_place(changes: dict[str, Any], found: str) -> None:
    """Where it stands, and what was expected."""
    with pytest.raises(BadInput) as error:
        Mesos().define(own(**changes))
    assert any(found in each.found and each.line > 0 for each in error.value.problems)


@pytest.mark.parametrize("text", ["", "[1]", "id: frontend", '{"id": "a",}', "{", '{"id": NaN}'])
def test_what_is_no_definition_is_told(text: str) -> None:
    """Never with a traceback."""
    with pytest.raises(BadInput):
        Mesos().define(OwnApp("frontend", "frontend.json", text))


def test_what_the_scenario_says_otherwise_is_a_problem_of_no_file() -> None:
    """How many there are, and of what image, the file says."""
    asked = own()
    wrong = OwnApp(asked.name, asked.file, asked.text, instances=2, image="other")
    with pytest.raises(BadInput) as error:
        Mesos().define(wrong)
    assert [each.file for each in error.value.problems] == ["", ""]


def test_two_apps_with_one_id_clash() -> None:
    """Also one of ours, which is called as the app."""
    app = Mesos().define(own())
    assert [name for name, *_ in Mesos().clashes((app, App("frontend", 1)))] == ["frontend"]
    assert not Mesos().clashes((app, App("web", 1)))


def test_two_apps_with_one_service_port_clash() -> None:
    """Also one of ours: HAProxy listens for it on the port of its first instance, less one."""
    one, other = (Mesos().define(own(id=name, container=mapping(servicePort=9000))) for name in ("one", "other"))
    (clash,) = Mesos().clashes((one, other))
    assert clash[1].startswith("servicePort 9000, which frontend has as well")
    assert [found for _, found, _ in Mesos().clashes((one, App("web", 1, port=9000)))] == [clash[1]]
    assert not Mesos().clashes((Mesos().define(own(container=mapping(hostPort=31000))), App("web", 1)))


@pytest.mark.parametrize("strange", [{"servicePort": []}, {"servicePort": {}, "hostPort": True}, {"servicePort": "9000"}])
def test_a_port_that_is_no_number_is_no_error_of_ours(strange: dict[str, Any]) -> None:
    """What Marathon thinks of it, it says itself; see `test_what_cannot_be_followed_is_told_with_its_place`."""
    try:
        app = Mesos().define(own(container=mapping(**strange)))
    except BadInput:
        return
    assert not Mesos().clashes((app, App("web", 1)))
