"""Definitions of apps at the edges of what is read of them: each form that Docker, systemd, fleet or Compose knows, beside one that only looks so."""

from __future__ import annotations

import pytest

from harness.core.errors import BadInput
from harness.core.protocols import OwnApp
from harness.modes.fleet import docker_run, unit_files
from harness.modes.swarm import Swarm
from tests.unit.test_own_definitions import STACK, UNIT, stack, told, unit

FINE = {
    "a comment with a semicolon": UNIT.replace("[Service]\n", "[Service]\n; said by the way\n# and so\n"),
    "a line of the length that fleet reads": UNIT.replace("Description=web", "Description=".ljust(unit_files.LONGEST_LINE, "x")),
    "the ends of lines of Windows": UNIT.replace("\\\n", "").replace("\n", "\r\n"),
    "a pull that may fail": UNIT.replace("ExecStart=", "ExecStartPre=-/usr/bin/docker pull web\nExecStart="),
    "a rule that is off": UNIT + "Global=0\n",
    "the same in words": UNIT + "Global=no\nGlobal=off\nGlobal=n\nGlobal=f\n",
}


UNKNOWN = {
    "of the file": (
        STACK + "servces: {}\n",
        ":1: an unknown key 'servces' of a stack file; expected a key that `docker stack deploy` knows there; did",
    ),
    "of the service": (STACK.replace("image: web", "image: web\n    prts: []"), "an unknown key 'prts' of a service; expected a key that"),
    "of deploy": (STACK.replace("replicas: 2", "replicas: 2\n      replica: 2"), "'replica' of deploy; expected a key"),
    "of its policy": (
        STACK.replace("replicas: 2", "replicas: 2\n      restart_policy: {dlay: 1s}"),
        "'dlay' of restart_policy; expected a key",
    ),
    "of its placement": (STACK.replace("max_replicas_per_node: 1", "constraint: []"), "did you mean 'constraints'?"),
    "of its health": (STACK.replace("image: web", "image: web\n    healthcheck: {tests: x}"), "'tests' of healthcheck"),
}


@pytest.mark.parametrize(("text", "said"), UNKNOWN.values(), ids=UNKNOWN)
def test_a_key_that_docker_would_refuse_is_told_before_anything_is_made(text: str, said: str) -> None:
    """With its place, once, and nothing else of the file with it."""
    with pytest.raises(BadInput) as caught:
        Swarm.from_timers("default", {}).define(OwnApp("web", "stack.yml", text))
    assert said in str(caught.value)
    assert len(caught.value.problems) == 1


def test_keys_that_are_anybodys_own_are_none_of_dockers() -> None:
    """It leaves them alone in the file and in its service."""
    text = STACK.replace("image: web", "image: web\n    x-mine: 1") + "x-more: {y: 2}\n"
    assert Swarm.from_timers("default", {}).define(OwnApp("web", "stack.yml", text)).name == "web"


@pytest.mark.parametrize("text", FINE.values(), ids=FINE)
def test_what_is_fine_is_read_as_what_it_says(text: str) -> None:
    """Nothing of it changes what follows."""
    app = unit(text)
    assert (app.image, app.conflicts, told(app).container, told(app).port) == ("web", True, "web-%", "800%")


def _slip(text: str) -> str:
    with pytest.raises(BadInput) as caught:
        unit(text)
    return str(caught.value)


WRONG = {
    "a line that fleet does not read": (
        UNIT.replace("Description=web", "Description=".ljust(unit_files.LONGEST_LINE + 1, "x")),
        "a line of 2049 bytes",
    ),
    "a name with two numbers": (UNIT.replace("--name web-%i", "--name web-%i-%i"), "cannot be followed"),
    "a label that all instances have": (
        UNIT.replace("--name web-%i", "--name web -l app=web"),
        "the name 'web' for the container of every instance",
    ),
    "a label with two numbers": (
        UNIT.replace("--name web-%i", "--name web -l app=%i-%i"),
        "the name 'web' for the container of every instance",
    ),
    "a machine's boot": (UNIT + "MachineBootID=x\n", "a machine's id is not known beforehand"),
    "a machine": (UNIT + "MachineID=x\n", "a machine's id is not known beforehand"),
    "a pull that may not fail": (UNIT.replace("ExecStart=", "ExecStartPre=/usr/bin/docker pull web\nExecStart="), "pull"),
    "one on every machine": (UNIT + "Global=true\n", "one on every machine"),
    "the same in another word": (UNIT + "Global=yes\n", "one on every machine"),
    "a line that ends in its middle, to systemd": (
        UNIT.replace("Description=web", "Description=web\rEnvironment=A=x"),
        "a carriage return",
    ),
    "an environment with a quotation mark that is open": (
        UNIT.replace("[Service]\n", '[Service]\nEnvironment="A=x\n'),
        'a quotation mark " that is not closed',
    ),
    "a continuation that ends at an empty line": (
        UNIT.replace("run --rm -it --name web-%i \\\n", "run --rm -it --name web-%i \\\n\n"),
        "without an image",
    ),
}


@pytest.mark.parametrize(("text", "said"), WRONG.values(), ids=WRONG)
def test_what_only_looks_so_is_told(text: str, said: str) -> None:
    """It would be followed by what it is not."""
    assert said in _slip(text)


def test_of_several_names_docker_takes_the_last() -> None:
    """So the first says nothing."""
    assert told(unit(UNIT.replace("--name web-%i", "--name first-%i --name web-%i"))).container == "web-%"


DOCKERS = {
    "an option that is off": ("docker run --rm=false --detach=false web", "--detach", False),
    "one that is on": ("docker run --detach=true web", "--detach", True),
    "one that only stands there": ("docker run -d web", "--detach", True),
    "the end of options": ("docker run --init -- web", "--detach", False),
}


@pytest.mark.parametrize(("line", "option", "there"), DOCKERS.values(), ids=DOCKERS)
def test_a_switch_of_dockers_is_on_where_it_is_not_turned_off(line: str, option: str, there: bool) -> None:
    """And the image is the first word that is neither an option nor its value."""
    found = docker_run.read(docker_run.command(line).given)
    assert bool(found.said(option)) is there
    assert found.image is not None
    assert found.image.text == "web"


@pytest.mark.parametrize("spelled", ["-p=800%i:80", "-p 800%i:80", "-p800%i:80", "--publish=800%i:80"])
def test_a_port_is_read_however_its_option_is_spelled(spelled: str) -> None:
    """As Docker reads it."""
    assert told(unit(UNIT.replace("-p 800%i:80", spelled))).port == "800%"


@pytest.mark.parametrize("prefix", ["", "-", "+", "!", "!!", ":", "-+"])
def test_a_prefix_of_systemds_is_none_of_the_command(prefix: str) -> None:
    """Each says how it is run, and not what."""
    line = f"{prefix}/usr/bin/docker run web"
    assert docker_run.command(line).docker == "run"
    assert docker_run.command(line).may_fail is ("-" in prefix)


def _fast(text: str) -> str:
    try:
        Swarm.from_timers("fast", {}).define(OwnApp("web", "stack.yml", text, None))
    except BadInput as error:
        return str(error)
    return ""


POLICIES = {
    "never again": ("{condition: none}", ""),
    "soon": ("{delay: 1s}", ""),
    "late": ("{delay: 5s}", "a delay of 5s; expected 1 s at most"),
    "no delay that is one": ("{delay: fast}", "'fast'; expected a restart_policy, its delay such as 5s"),
    "Docker's own": ("{condition: any}", "which is one of 5s"),
}


@pytest.mark.parametrize(("policy", "said"), POLICIES.values(), ids=POLICIES)
def test_how_late_a_task_is_started_anew_is_held_to_what_budgets_go_by(policy: str, said: str) -> None:
    """What is never started anew waits for nothing."""
    found = _fast(STACK.replace("      replicas: 2\n", f"      replicas: 2\n      restart_policy: {policy}\n"))
    assert said in found if said else not found


def test_two_hosts_are_no_pin() -> None:
    """No node is both of them."""
    two = "constraints: ['node.hostname==n2', 'node.hostname==n3']"
    with pytest.raises(BadInput):
        stack(STACK.replace("max_replicas_per_node: 1", two))
