"""Apps with a definition of their own: what follows from a unit file or a stack file, what is told of a bad one, and what is kept of it."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

import pytest
import yaml

from harness.core.errors import BadInput, HarnessError
from harness.core.protocols import Defining, OwnApp
from harness.core.values import App, Definition, TaskNames
from harness.modes.fleet import Fleet, docker_run, own_units, unit_files
from harness.modes.swarm import Swarm, stacks
from harness.plan import Plan, plan
from harness.reports.prose import describe
from harness.scenario import json_schema, load, misfits
from harness.steps import actions

ROOT = Path(__file__).parents[2]

UNIT = """\
[Unit]
Description=web

[Service]
ExecStartPre=-/usr/bin/docker rm -f web-%i
ExecStart=/usr/bin/docker run --rm -it --name web-%i \\
  -e WHALEFALL_INSTANCE=web@%i -p 800%i:80 web
ExecStop=/usr/bin/docker stop web-%i

[X-Fleet]
Conflicts=web@*.service
"""
STACK = """\
version: "3.8"
services:
  front:
    image: web
    environment: {WHALEFALL_INSTANCE: "web@{{.Task.Slot}}"}
    ports: [{target: 80, published: 8000, mode: host}]
    deploy:
      replicas: 2
      placement: {max_replicas_per_node: 1}
"""


def unit(text: str = UNIT, name: str = "web@.service", *, instances: int | None = 2, builds: bool = True) -> App:
    """Read a unit file."""
    return Fleet().define(OwnApp("web", f"units/{name}", text, instances, builds=builds))


def stack(text: str = STACK, **more: int) -> App:
    """Read a stack file."""
    return Swarm().define(OwnApp("web", "stack.yml", text, more.get("instances")))


def told(app: App) -> Definition:
    """Return its definition."""
    assert app.native is not None
    return app.native


def instance(names: TaskNames | None, called: str) -> str | None:
    """Return the number of the instance whose container is called so; None for none of its."""
    assert names is not None
    found = re.fullmatch(names.pattern, called)
    return None if found is None else found.groupdict().get("number", "1")


@pytest.mark.parametrize("port", ["9" * 5000, "\u0663000", "80x"], ids=["long", "other digits", "letters"])
@pytest.mark.parametrize(("mode", "file", "text"), [(Fleet(), "web@.service", UNIT), (Swarm(), "stack.yml", STACK)], ids=["fleet", "swarm"])
def test_what_is_no_number_of_a_port_is_refused_as_one(mode: Defining, file: str, text: str, port: str) -> None:
    """However many digits it has: a few thousand are more than Python makes a number of."""
    with pytest.raises(BadInput, match="a port"):
        mode.define(OwnApp("web", file, text, 2, port=port))


# ---------------------------------------------------------------- what follows


def test_all_of_an_app_follows_from_a_template() -> None:
    """Its units, containers, ports, its rule against two on one machine; the file is submitted word for word."""
    app = unit()
    own = told(app)
    assert (app.instances, app.image, app.conflicts, app.pin) == (2, "web", True, None)
    assert (own.mode, own.called, own.container, own.port, own.told, own.most) == ("fleet", "web@%.service", "web-%", "800%", True, 100)
    assert [app.port_of(each) for each in app.names] == [8001, 8002]
    assert app.ports == {8001, 8002}
    assert [instance(app.called, each) for each in ("web-1", "web-12", "web-0", "web-x", "web-1-2", "web")] == [
        "1",
        "12",
        None,
        None,
        None,
        None,
    ]
    files = own_units.files(app)
    assert [each.name for each in files] == ["web@1.service", "web@2.service"]
    assert {each.options for each in files} == {files[0].options}
    assert (
        unit_files.Option("Service", "ExecStart", UNIT.partition("ExecStart=/")[2].partition("\nExecStop")[0].join(("/", "")))
        in files[0].options
    )


def test_a_unit_that_is_no_template_is_one_instance() -> None:
    """With no number in anything that is called by a name."""
    app = unit(UNIT.replace("%i", "1").replace("Conflicts=web@*.service", ""), "web.service", instances=None)
    assert (app.instances, app.conflicts, told(app).called, told(app).most) == (1, False, "web.service", 1)
    assert instance(app.called, "web-1") == "1"
    assert unit_files.instance_name("web.service", [app]) == "web@1"
    assert unit_files.unit_name("web@1", app) == "web.service"


def test_units_of_another_name_than_the_apps_are_its_instances_all_the_same() -> None:
    """And units of others keep their names."""
    app = App("shop", 2, native=Definition("fleet", "front@.service", "", "front@%.service", "front-%"))
    assert unit_files.instance_name("front@2.service", [app]) == "shop@2"
    assert unit_files.instance_name("other@2.service", [app]) == "other@2"
    assert unit_files.unit_name("shop@2", app) == "front@2.service"


def test_a_stack_that_says_no_delay_has_dockers_own() -> None:
    """Which is longer than the fast profile allows for."""
    with pytest.raises(BadInput, match=r"stack.yml:8:7: no restart_policy with a delay, which is one of 5s; expected 1 s at most"):
        Swarm.from_timers("fast", {}).define(OwnApp("web", "stack.yml", STACK))


FOLLOWED = {
    "a name": ("--name web-%i", "", "web-%"),
    "the unit's prefix in it": ("--name=%p.%i", "", "web.%"),
    "a label": ("--label com.shop.number=%i", "com.shop.number", "%"),
    "a label beside a name that all have": ("--name web -l app=web/%i", "app", "web/%"),
    "quotation marks": ("--name 'web-%i'", "", "web-%"),
}


@pytest.mark.parametrize(("options", "label", "container"), FOLLOWED.values(), ids=FOLLOWED)
def test_containers_are_followed_by_what_tells_instances_apart(options: str, label: str, container: str) -> None:
    """By their names, or by a label with an instance's number in it."""
    own = told(unit(UNIT.replace("--name web-%i", options)))
    assert (own.label, own.container) == (label, container)


def test_a_container_that_is_made_before_it_is_started_is_followed_as_well() -> None:
    """`docker create`, and then `docker start`."""
    text = UNIT.replace("ExecStart=/usr/bin/docker run --rm", "ExecStartPre=/usr/bin/docker create")
    own = told(unit(text.replace("ExecStop", "ExecStart=/usr/bin/docker start -a web-%i\nExecStop")))
    assert (own.container, own.port) == ("web-%", "800%")


PORTS = {
    "one for each": ("-p 800%i:80", "800%"),
    "one for all": ("--publish=8000:80/tcp", "8000"),
    "of every address": ("-p 0.0.0.0:8000:80", "8000"),
    "of loopback": ("-p 127.0.0.1:8000:80", ""),
    "that Docker chooses": ("-p 80", ""),
    "of UDP": ("-p 8000:80/udp", ""),
    "several": ("-p 8000:80 -p 9000:90", ""),
    "several, one of them of UDP": ("-p 8000:80 -p 53:53/udp", "8000"),
    "none": ("--net host", ""),
    "by a variable": ("-p ${PORT}:80", ""),
}


@pytest.mark.parametrize(("options", "port"), PORTS.values(), ids=PORTS)
def test_the_port_is_the_one_that_others_reach(options: str, port: str) -> None:
    """Where there is none, or more than one, nobody guesses; why is kept for whoever asks."""
    own = told(unit(UNIT.replace("-p 800%i:80", options)))
    assert own.port == port
    assert bool(own.portless) is not bool(port)


def test_options_of_docker_are_told_from_the_image() -> None:
    """Those that take a value take the next word, or what is glued to them; an image comes first of what is neither."""
    found = docker_run.read(
        docker_run.command("docker run -dit -p8001:80 --memory 1g --init -v /a:/b --env=A=b -eC=d web:2 -p 9:9 sh").given
    )
    assert found.image is not None
    assert found.image.text == "web:2"
    assert [word.text for word in found.said("--publish")] == ["8001:80"]
    assert [word.text for word in found.said("--env")] == ["A=b", "C=d"]
    assert found.said("--detach")


def test_all_of_an_app_follows_from_a_stack() -> None:
    """Its instances are the tasks of the one service, which is called as Docker calls it."""
    app = stack()
    own = told(app)
    assert (app.instances, app.image, app.conflicts, app.pin) == (2, "web", True, None)
    assert (own.mode, own.called, own.label, own.port, own.told) == ("swarm", "web_front", "com.docker.swarm.task.name", "8000", True)
    assert [app.port_of(each) for each in app.names] == [8000, 8000]
    assert [instance(app.called, each) for each in ("web_front.2.57lo3r", "web_front.n1id.57lo3r", "web_other.1.57lo3r")] == [
        "2",
        None,
        None,
    ]


def test_a_port_of_a_nodes_own_keeps_tasks_apart() -> None:
    """Two that want the same port of one node cannot both have it; one that Docker chooses keeps nobody apart."""
    bare = STACK.replace("      placement: {max_replicas_per_node: 1}\n", "")
    assert stack(bare).conflicts
    chosen = stack(bare.replace("published: 8000, ", ""))
    assert (chosen.conflicts, told(chosen).port, told(chosen).inner) == (False, "", 80)


def test_a_constraint_to_a_host_is_a_pin() -> None:
    """In either spelling; one that every machine meets says nothing."""
    constraints = "constraints: ['node.hostname==n2', 'node.platform.os == linux']"
    assert stack(STACK.replace("max_replicas_per_node: 1", constraints)).pin == "n2"
    assert unit(UNIT + 'MachineMetadata="name=n2"\n').pin == "n2"


def test_what_swarm_is_given_beside_the_file_says_whose_it_is() -> None:
    """And how many tasks there are only where that is not what the file says; a network of others is left alone."""
    text = STACK + "networks: {back: {}, host: {external: true}}\n"
    assert json.dumps(yaml.safe_load(stacks.overlay(stack(text), "run-1", ["n2"])), sort_keys=True) == json.dumps(
        {
            "version": "3.8",
            "services": {"front": {"deploy": {"labels": {"whalefall.run": "run-1", "whalefall.lacked": "n2"}}}},
            "networks": {"default": {"labels": {"whalefall.run": "run-1"}}, "back": {"labels": {"whalefall.run": "run-1"}}},
        },
        sort_keys=True,
    )
    more = App("web", 5, native=stack().native)
    assert yaml.safe_load(stacks.overlay(more, "run-1", []))["services"]["front"]["deploy"]["replicas"] == 5


# ---------------------------------------------------------------- what is wrong


def _slips(text: str, name: str = "web@.service", instances: int | None = 2) -> list[str]:
    with pytest.raises(BadInput) as caught:
        unit(text, name, instances=instances)
    return [str(each) for each in caught.value.problems]


RUN = "ExecStart=/usr/bin/docker run --rm -it --name web-%i \\\n  -e WHALEFALL_INSTANCE=web@%i -p 800%i:80 web\n"
UNIT_SLIPS: dict[str, tuple[str, list[str]]] = {
    "no container": (
        UNIT.replace(RUN, ""),
        ["units/web@.service:5:1: no ExecStart: it makes no container; expected an ExecStart with one"],
    ),
    "no service at all": ("[Unit]\n", ["units/web@.service: no ExecStart"]),
    "a script": (
        UNIT.replace(RUN, "ExecStart=/bin/sh -c 'docker run web'\n"),
        ["units/web@.service:6:11: '/bin/sh' in ExecStart: what it makes cannot be told", "say in the scenario what it calls it"],
    ),
    "two containers": (UNIT.replace(RUN, RUN + RUN), ["units/web@.service:8:11: a second container"]),
    "a name that all have": (
        UNIT.replace("--name web-%i", "--name web"),
        ["units/web@.service:6:47: the name 'web' for the container of every instance: they cannot be told apart", "with %i in it: web-%i"],
    ),
    "no name": (UNIT.replace("--name web-%i", ""), ["units/web@.service:6:11: a container without a name", "container: web-%i}"]),
    "a machine's name": (
        UNIT.replace("--name web-%i", "--name web-%H"),
        ["units/web@.service:6:47: the container's name 'web-%H', which cannot be followed"],
    ),
    "a variable's name": (UNIT.replace("--name web-%i", "--name $NAME"), ["the container's name '$NAME', which cannot be followed"]),
    "in the background": (UNIT.replace("-it", "-d"), ["units/web@.service:6:36: a container in the background (-d)"]),
    "no image": (UNIT.replace(":80 web\n", ":80\n"), ["units/web@.service:6:11: a `docker run` without an image"]),
    "an image by a variable": (UNIT.replace(":80 web\n", ":80 $IMAGE\n"), ["units/web@.service:7:44: the image '$IMAGE'", "image: IMAGE}"]),
    "a quotation mark": (UNIT.replace("-p 800", "-p '800"), ["units/web@.service:6:11: a quotation mark ' that is not closed"]),
    "another's instance": (UNIT.replace("=web@%i", "=shop@%i"), ["units/web@.service:7:6: WHALEFALL_INSTANCE=shop@%i; expected web@%i"]),
    "some of its own": (
        UNIT.replace("web@*", "web@2"),
        ["units/web@.service:11:11: Conflicts=web@2.service, which is about some of its own"],
    ),
    "where another runs": (
        UNIT + "MachineOf=db.service\n",
        ["units/web@.service:12:11: MachineOf=db.service: it runs only where that unit does"],
    ),
    "a machine's id": (UNIT + "MachineID=4711\n", ["units/web@.service:12:11: MachineID=4711"]),
    "on every machine": (UNIT + "Global=true\n", ["units/web@.service:12:8: Global=true: one on every machine"]),
    "what machines have": (UNIT + "MachineMetadata=disk=ssd\n", ["units/web@.service:12:17: MachineMetadata=disk=ssd; expected name=NODE"]),
    "a pull": (
        UNIT.replace("ExecStartPre=-/usr/bin/docker rm -f web-%i", "ExecStartPre=/usr/bin/docker pull web"),
        ["units/web@.service:5:14: a `docker pull` that must succeed"],
    ),
    "once": (UNIT.replace("[Service]\n", "[Service]\nType=oneshot\n"), ["units/web@.service:5:6: Type=oneshot"]),
    "no unit file": (
        "web\n[Service\nExecStart\n",
        ["units/web@.service:1:1: a line that is no setting; expected NAME=VALUE", ":2:1: a [ without an end", ":3:1: a line that is no"],
    ),
    "something behind a backslash": (
        UNIT + "Description=web \\ \nnumber %i\n",
        ["13:1: a line that is no setting; expected NAME=VALUE; the line before goes on only where nothing stands behind its backslash"],
    ),
    "a long line": (UNIT + "# " + "x" * 2048 + "\n", ["units/web@.service:12:1: a line of 2050 bytes; expected 2048 at most"]),
    "several at once": (
        UNIT.replace("--name web-%i", "--name web").replace("-it", "-d") + "Global=yes\nMachineOf=x.service\n",
        ["6:36: a container in the background", "6:46: the name 'web'", "12:8: Global=yes", "13:11: MachineOf"],
    ),
}


SLIPS_ALONE = (
    "no container",
    "a script",
    "two containers",
    "no name",
    "in the background",
    "a quotation mark",
    "on every machine",
    "a pull",
    "once",
)
"""Those of which nothing else follows."""


@pytest.mark.parametrize("slip", SLIPS_ALONE)
def test_what_only_follows_from_a_slip_is_not_told_as_well(slip: str) -> None:
    """One slip, one problem."""
    assert len(_slips(UNIT_SLIPS[slip][0])) == 1


@pytest.mark.parametrize(("text", "expected"), UNIT_SLIPS.values(), ids=UNIT_SLIPS)
def test_what_keeps_a_unit_file_from_being_followed_is_told_with_its_place(text: str, expected: list[str]) -> None:
    """All of it at once, and what to do about it."""
    said = "\n".join(_slips(text))
    assert [each for each in expected if each not in said] == [], said


def test_how_many_of_a_template_only_a_scenario_can_say() -> None:
    """And of what is no template there is one."""
    assert _slips(UNIT, instances=None) == [": no `instances` of web@.service; expected how many of this template are to run: 0 to 100"]
    assert ": 2 instances of web.service, which is one unit; expected 1, or a template: web@.service" in _slips(UNIT, "web.service")
    assert _slips(UNIT, "web.socket.txt") == [
        "units/web.socket.txt: the name 'web.socket.txt'; expected the name of a unit, such as web@.service or web.service"
    ]


def test_an_app_of_ones_own_may_come_later() -> None:
    """With no instances before it is deployed, of a template, of a single unit, and of a stack with replicas of its own."""
    single = UNIT.replace("%i", "1")
    for file, text in (("web@.service", UNIT), ("web.service", single)):
        assert Fleet().define(OwnApp("web", file, text, 0)).instances == 0
    later = Swarm().define(OwnApp("web", "stack.yml", STACK, 0))
    assert (later.instances, later.names) == (0, ())


def test_what_a_file_does_not_tell_a_scenario_can() -> None:
    """What a script makes, by its name, its image and its port."""
    text = UNIT.replace(RUN, "ExecStart=/opt/start-web %i\n")
    app = Fleet().define(OwnApp("web", "web@.service", text, 2, container="web.%i", image="web:3", port="80%i0"))
    assert (app.image, told(app).container, app.port_of("web@2")) == ("web:3", "web.%", 8020)
    with pytest.raises(BadInput, match="the container 'web'; expected the name of a container, with %i in it"):
        Fleet().define(OwnApp("web", "web@.service", text, 2, container="web", image="web:3"))


STACK_SLIPS: dict[str, tuple[str, list[str]]] = {
    "nothing": ("# nothing\n", ["stack.yml: an empty file"]),
    "no service": ('version: "3.8"\nservices: {}\n', ["stack.yml:2:11: no service: it makes no container"]),
    "no mapping": ("[a]\n", ["stack.yml:1:1: a list of 1: it makes no container"]),
    "several services": (STACK + "  back: {image: db}\n", ["stack.yml:10:3: 2 services: front, back; expected one"]),
    "no image": (STACK.replace("image: web", "build: ."), ["stack.yml:3:3: a service without an image; `build` is nothing to a stack"]),
    "no version": (STACK.partition("\n")[2], ["stack.yml:1:1: no `version`"]),
    "another version": (STACK.replace('"3.8"', '"2.4"'), ["stack.yml:1:10: version '2.4'"]),
    "a variable": (STACK.replace("image: web", "image: web:${TAG}"), ["stack.yml:4:16: the variable ${TAG; expected the value itself"]),
    "on every node": (STACK.replace("replicas: 2", "mode: global"), ["stack.yml:8:13: mode 'global'"]),
    "no number": (STACK.replace("replicas: 2", "replicas: two"), ["stack.yml:8:17: replicas 'two'"]),
    "two a node": (STACK.replace("node: 1", "node: 2"), ["stack.yml:9:42: max_replicas_per_node 2"]),
    "a constraint": (
        STACK.replace("max_replicas_per_node: 1", "constraints: [node.role == worker]"),
        ["stack.yml:9:33: the constraint 'node.role == worker'; expected node.hostname == NODE"],
    ),
    "another file": (
        STACK.replace("    image", "    env_file: .env\n    image") + "secrets: {key: {file: key.txt}}\n",
        ["stack.yml:4:5: env_file", "stack.yml:11:17: secret key of a file"],
    ),
    "a long delay": (
        STACK.replace("replicas: 2", "restart_policy: {delay: 1m30s}"),
        ["stack.yml:8:31: a delay of 1m30s; expected 5 s at most, by which budgets go"],
    ),
    "another's instance": (STACK.replace('"web@', '"shop@'), ["WHALEFALL_INSTANCE 'shop@{{.Task.Slot}}'; expected 'web@{{.Task.Slot}}'"]),
    "a folder beside it": (
        STACK.replace(
            "    image: web\n", "    image: web\n    volumes: [./data:/data, data:/x, {type: bind, source: ~/y, target: /y}, /srv:/z]\n"
        ),
        [
            "stack.yml:5:15: the folder './data' beside this file; expected a path of the nodes from / on, or the name of a volume",
            "stack.yml:5:59: the folder '~/y' beside this file",
        ],
    ),
    "too much inside each other": (
        STACK + f"x-deep: {'[' * 40}{']' * 40}\n",
        ["more than 32 mappings and lists inside each other; expected 32 at most"],
    ),
    "ports that the nodes use themselves": (
        STACK.replace(
            "ports: [{target: 80, published: 8000, mode: host}]",
            'ports: ["2377:80", "127.0.0.1:7946:80/udp", {target: 80, published: 2377}]',
        ),
        ["stack.yml:6:13: port 2377, which is taken by swarm", "stack.yml:6:24: port 7946, which", "stack.yml:6:49: port 2377, which"],
    ),
    "an alias": (STACK.replace("image: web", "image: &x web"), ["stack.yml:4:12: the anchor &x"]),
    "a name that swarm does not take": (
        STACK.replace("front:", f"{'x' * 62}:"),
        ["stack.yml:3:3: a service that swarm would call web_xxx"],
    ),
}


@pytest.mark.parametrize(("text", "expected"), STACK_SLIPS.values(), ids=STACK_SLIPS)
def test_what_keeps_a_stack_file_from_being_followed_is_told_with_its_place(text: str, expected: list[str]) -> None:
    """All of it at once, and what to do about it."""
    with pytest.raises(BadInput) as caught:
        stack(text)
    said = str(caught.value)
    assert [each for each in expected if each not in said] == [], said


def _changed(text: str, rng: random.Random) -> str:
    """Return a text with some of its letters gone, put twice, or others between them."""
    for _ in range(rng.randint(1, 6)):
        place = rng.randrange(len(text) + 1)
        again = text[place : place + rng.randrange(30)]
        text = text[:place] + rng.choice(["", rng.choice("[]=%i$@*\\\"' \n-:{}|>/,;#\té"), again]) + text[place + rng.randrange(2) :]
    return text


@pytest.mark.parametrize("seed", range(10))
def test_no_file_however_bad_is_more_than_bad_input(seed: int) -> None:
    """What is read of it can be submitted, and what cannot be read has a problem to tell."""
    rng = random.Random(seed)  # noqa: S311 - nobody is to be surprised by it
    for _ in range(60):
        for read, text in ((unit, UNIT), (stack, STACK)):
            try:
                app = read(_changed(text, rng))
            except BadInput:
                continue
            else:
                assert app.ports or told(app).portless or told(app).inner
                assert stacks.overlay(app, "run", []) if read is stack else own_units.files(app)


def test_instances_of_a_stack_are_what_its_file_says() -> None:
    """A scenario may say the same, and nothing else."""
    assert stack(instances=2).instances == 2
    with pytest.raises(BadInput, match=r"3 instances, where stack\.yml says replicas: 2"):
        stack(instances=3)


# ---------------------------------------------------------------- a scenario


SCENARIO = """\
scenario: x
why: y
cluster: {mode: MODE}
apps:
  - name: web
    native: units/web@.service
    instances: 2
workloads: [{http: {app: web}}]
steps: [{fault: node.kill, on: n3, hold: 9s}]
promises: [conflicts]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a scenario beside its definitions."""
    (tmp_path / "units").mkdir()
    (tmp_path / "units" / "web@.service").write_text(UNIT)
    (tmp_path / "stack.yml").write_text(STACK)
    return tmp_path


def _written(folder: Path, text: str, mode: str = "fleet") -> Path:
    path = folder / "s.yaml"
    path.write_text(text.replace("MODE", mode))
    return path


def _told(folder: Path, text: str, mode: str = "fleet") -> str:
    with pytest.raises(BadInput) as caught:
        load(_written(folder, text, mode))
    return str(caught.value).replace(f"{folder}/", "")


def test_a_scenario_names_a_file_from_its_own_folder_on(folder: Path) -> None:
    """Of its mode, or under `but` of another one."""
    but = "but: {swarm: {because: z, apps: [{name: web, native: stack.yml}]}}\n"
    path = _written(folder, SCENARIO + but)
    assert [told(app).called for app in load(path).apps] == ["web@%.service"]
    assert [told(app).called for app in load(path, mode="swarm").apps] == ["web_front"]


SCENARIO_SLIPS: dict[str, tuple[tuple[str, str], list[str]]] = {
    "a file that is not there": (
        ("web@.service", "wep@.service"),
        ["s.yaml:6:13: 'units/wep@.service': no such file", "did you mean 'units/web@.service'?"],
    ),
    "no regular file": (("units/web@.service", "units/dir.service"), ["s.yaml:6:13: 'units/dir.service': a folder"]),
    "too large": (
        ("units/web@.service", "units/big.service"),
        ["s.yaml:6:13: 'units/big.service': a file that is too large; expected 64 KiB at most"],
    ),
    "no text": (("units/web@.service", "units/odd.service"), ["units/odd.service: a file that is not UTF-8"]),
    "from the root": (
        ("units/web@.service", "/etc/passwd"),
        ["s.yaml:6:13: '/etc/passwd'; expected a path from the scenario file's folder on"],
    ),
    "another mode's": (
        ("units/web@.service", "stack.yml"),
        [
            "s.yaml:6:13: 'stack.yml', a playbook of Ansible's or a stack file of Docker's, with the fleet mode; expected a unit file",
            "but: {fleet:",
        ],
    ),
    "no path": (("units/web@.service", "[a]"), ["s.yaml:6:13: a list of 1; expected the path of a file, or a mapping with file"]),
    "an unknown key": (("units/web@.service", "{fil: web@.service}"), ["s.yaml:6:14: an unknown key 'fil'"]),
    "what the file says": (
        ("    instances: 2\n", "    instances: 2\n    pin: n1\n    image: web\n"),
        ["s.yaml:8:5: pin beside native", "s.yaml:9:5: image beside native"],
    ),
    "how many": (("    instances: 2\n", ""), ["s.yaml:6:13: no `instances` of web@.service"]),
    "an app that is not the file's": (("name: web", "name: shop"), ["units/web@.service:7:6: WHALEFALL_INSTANCE=web@%i; expected shop@%i"]),
    "more than there can be": (
        ("instances: 2", "instances: 200"),
        ["s.yaml:7:16: 200; expected a whole number from 0 to 100; 0: it comes only with app.deploy"],
    ),
    "an update": (
        ("steps: [", "steps: [{do: app.update, with: {app: web, image: web}}, "),
        ["app.update of web, whose definition is a file of its own; expected an app whose image the scenario names"],
    ),
    "a port that is none": (("instances: 2", "instances: 12"), ["s.yaml:6:13: ports 8001 to 80012 for web; expected ports up to 65535"]),
    "two of one unit": (
        (
            "    instances: 2\n",
            "    instances: 2\n  - {name: b, instances: 2, host port: 8100}\n  - {name: same, native: units/plain@.service, instances: 1}\n",
        ),
        ["s.yaml:9:26: containers of same that are called web-%i, as those of web"],
    ),
}


@pytest.mark.parametrize(("changed", "expected"), SCENARIO_SLIPS.values(), ids=SCENARIO_SLIPS)
def test_what_is_wrong_with_a_scenario_of_ones_own_files_is_told_with_its_place(
    folder: Path, changed: tuple[str, str], expected: list[str]
) -> None:
    """In the scenario, or in the file itself."""
    (folder / "units" / "dir.service").mkdir()
    (folder / "units" / "big.service").write_text("#" * 70_000)
    (folder / "units" / "odd.service").write_bytes(b"\xff\xfe")
    (folder / "units" / "plain@.service").write_text(
        UNIT.replace("-e WHALEFALL_INSTANCE=web@%i", "").replace("800%i", "820%i").replace("web@*", "plain@*")
    )
    said = _told(folder, SCENARIO.replace(*changed))
    assert [each for each in expected if each not in said] == [], said


def test_a_problem_of_another_file_is_told_whatever_the_scenario_has_at_that_place(folder: Path) -> None:
    """What stands in place of an unreadable value is not wrong as well, but only in the same file; and each file's problems come together."""
    script = "ExecStart=/bin/sh -c web\n"
    (folder / "units" / "web@.service").write_text(UNIT.replace(RUN, script).replace("Description=web\n", ""))
    apps = "-  {name: !t web, native: units/web@.service, instances: 2}\n"
    said = _told(folder, SCENARIO.replace(SCENARIO.partition("apps:\n")[2].partition("workloads")[0], apps) + "x: 1\n").splitlines()
    assert [each.partition(": ")[0] for each in said] == ["s.yaml:5:11", "s.yaml:9:1", "units/web@.service:5:11"]


def test_a_rule_about_another_apps_units_is_told(folder: Path) -> None:
    """How many homes an app has would hang on where the other one runs."""
    (folder / "units" / "web@.service").write_text(UNIT + "Conflicts=db@*.service\n")
    more = SCENARIO.replace("    instances: 2\n", "    instances: 2\n  - {name: db, image: web, instances: 1, host port: 8100}\n")
    assert "s.yaml:6:13: Conflicts=db@*.service in the unit of web, which is about db" in _told(folder, more)


def test_one_unit_cannot_be_scaled(folder: Path) -> None:
    """A template can."""
    (folder / "units" / "web.service").write_text(UNIT.replace("%i", "1").replace("Conflicts=web@*.service", ""))
    step = "steps: [{do: app.scale, with: {app: web, instances: 3}}, "
    scaled = SCENARIO.replace("steps: [", step)
    assert len(actions(load(_written(folder, scaled)).steps)) == 1
    said = _told(folder, scaled.replace("web@.service", "web.service").replace("    instances: 2\n", ""))
    assert "3 instances of web, whose definition makes 1; expected 1 at most" in said


def test_calls_that_nobody_could_make_or_tell_apart_are_told(folder: Path) -> None:
    """Without a port; and with one port for all where no answer says whose it is. A port of its own for each does."""
    path = folder / "units" / "web@.service"
    path.write_text(UNIT.replace("-p 800%i:80", ""))
    assert "s.yaml:8:13: http of web, of which no port is known: its `docker run` publishes no port" in _told(folder, SCENARIO)
    load(_written(folder, SCENARIO.replace("native: units/web@.service", "native: {file: units/web@.service, port: 8000}")))
    path.write_text(UNIT.replace("800%i", "8000").replace("-e WHALEFALL_INSTANCE=web@%i", ""))
    assert "s.yaml:8:13: http of web, whose instances answer on one port and do not say which they are" in _told(folder, SCENARIO)
    load(_written(folder, SCENARIO.replace("instances: 2", "instances: 1")))
    path.write_text(UNIT.replace("-e WHALEFALL_INSTANCE=web@%i", ""))
    load(_written(folder, SCENARIO))


def test_calls_that_nobody_could_tell_apart_once_a_step_has_scaled_the_app_are_told(folder: Path) -> None:
    """What the file says is only where it begins."""
    (folder / "units" / "web@.service").write_text(UNIT.replace("800%i", "8000").replace("-e WHALEFALL_INSTANCE=web@%i", ""))
    one = SCENARIO.replace("instances: 2", "instances: 1")
    load(_written(folder, one))
    scaled = one.replace("steps: [", "steps: [{do: app.scale, with: {app: web, instances: 3}}, ")
    assert "http of web, whose instances answer on one port and do not say which they are" in _told(folder, scaled)


def test_a_definition_is_for_its_own_mode(folder: Path) -> None:
    """A scenario that was read for one is not planned for another, and the command line is told so too."""
    path = _written(folder, SCENARIO)
    (said,) = misfits(load(path), Swarm())
    assert "the app web, whose definition" in said.found
    assert "is for fleet, with the swarm mode" in said.found
    with pytest.raises(BadInput, match=r"'units/web@.service', a unit file of fleet's, with the swarm mode; expected a stack file"):
        load(path, mode="swarm")


def test_what_a_scenario_says_wrong_beside_a_definition_is_told_where_it_says_it(folder: Path) -> None:
    """Its port at the port, its container at the container, and only what the file itself lacks at the file."""
    line = "    native: {file: units/web@.service, container: web, port: X}"
    said = _told(folder, SCENARIO.replace("    native: units/web@.service", line))
    assert f"s.yaml:6:{line.index('web,') + 1}: the container 'web'" in said
    assert f"s.yaml:6:{line.index('X') + 1}: the port 'X'" in said
    line = "    native: {file: units/web@.service, port: 9999999}"
    said = _told(folder, SCENARIO.replace("    native: units/web@.service", line))
    assert f"s.yaml:6:{line.index('9999999') + 1}: port 9999999 for web; expected ports up to 65535" in said
    other = SCENARIO.replace("workloads:", "  - {name: api, instances: 1, host port: 8000}\nworkloads:")
    assert "give one of them another `host port` (web: another port in its definition)" in _told(folder, other)


def test_what_is_wrong_with_a_definitions_file_is_told_whatever_is_wrong_beside_it(folder: Path) -> None:
    """In the app, or in what it says of its definition."""
    lost = SCENARIO.replace("units/web@.service", "units/wep@.service")
    for wrong in (("instances: 2", "instances: -2"), ("name: web", "name: Web"), ("native: units", "native: {image: 'a b', file: units")):
        text = lost.replace(*wrong)
        said = _told(folder, text.replace("wep@.service", "wep@.service}") if "{image" in text else text)
        assert "'units/wep@.service': no such file" in said
        assert "; expected a name" in said or "expected the name" in said or "-2; expected a whole number" in said


def test_a_definition_of_another_mode_is_told_with_what_to_write(folder: Path) -> None:
    """And kinds of files that are one are told once."""
    with pytest.raises(BadInput) as said:
        load(_written(folder, SCENARIO), mode="swarm")
    assert "expected a stack file of Docker's (.yml or .yaml); it is for the fleet mode; give swarm a definition of its own: " in str(
        said.value
    )
    assert "`but: {swarm: {because: …, apps: [{name: …, native: ….yml}]}}`" in str(said.value)


def test_the_schema_has_both_kinds_of_apps() -> None:
    """So that an editor knows them."""
    kinds = json_schema()["properties"]["apps"]["items"]["oneOf"]
    assert [sorted(each["properties"]) for each in kinds][1] == ["instances", "name", "native"]
    assert {*kinds[1]["required"]} == {"name", "native"}


LINKS = {
    "to a file elsewhere": ("web@.service", True),
    "to a file of the folder": ("web@.service", False),
    "on the way": ("linked/web@.service", True),
}


@pytest.mark.parametrize(("name", "out"), LINKS.values(), ids=LINKS)
def test_what_a_scenario_names_is_not_found_through_a_link_out_of_its_folder(tmp_path: Path, name: str, *, out: bool) -> None:
    """Nor is a line of it told: a pull request with a link would print any file of whoever plans it."""
    folder, elsewhere = tmp_path / "mine", tmp_path / "theirs"
    for each in (folder, elsewhere):
        each.mkdir()
        (each / "hidden.service").write_text("root:geheim\n" + UNIT)
        (each / "web@.service").write_text("root:geheim\n" + UNIT)
    (folder / "web@.service").unlink()
    (folder / "linked").symlink_to(elsewhere)
    (folder / "web@.service").symlink_to((elsewhere if out else folder) / "hidden.service")
    path = folder / "it.yaml"
    path.write_text(SCENARIO.replace("units/web@.service", name).replace("MODE", "fleet"))
    with pytest.raises(BadInput) as said:
        load(path)
    assert ("a link that leads elsewhere" in str(said.value)) == out
    assert ("a line that is no setting" in str(said.value)) != out
    assert "geheim" not in str(said.value)


@pytest.mark.parametrize("leads", [False, True])
def test_a_file_that_is_there_and_unfit_is_not_proposed_itself(folder: Path, *, leads: bool) -> None:
    """Its name is right, whether it is a folder or a link that leads to nothing."""
    file = folder / "units" / "web@.service"
    file.unlink(missing_ok=True)
    file.symlink_to("gone.service") if leads else file.mkdir()
    with pytest.raises(BadInput) as said:
        load(_written(folder, SCENARIO))
    assert ("a link to gone.service, which is not there" if leads else "a folder") in str(said.value)
    assert "did you mean" not in str(said.value)


# ---------------------------------------------------------------- what is kept


SECRETS = {
    "an option": ("-e KEY=geheim", "-e KEY=***"),
    "a long one": ("--env KEY=geheim", "--env KEY=***"),
    "glued": ("-eKEY=geheim", "-eKEY=***"),
    "among switches": ("-ite KEY=geheim", "-ite KEY=***"),
    "with =": ("--env=KEY=geheim", "--env=KEY=***"),
    "all of it quoted": ('-e "KEY=geheim und mehr"', '-e "KEY=***"'),
    "its value quoted": ("-e KEY='geheim und mehr'", "-e KEY=***"),
    "over two lines": ("-e \\\n  KEY=geheim", "-e \\\n  KEY=***"),
    "inside a script": ("sh -c 'docker run -e KEY=geheim web'", "sh -c 'docker run -e KEY=***"),
    "no value": ("-e KEY", "-e KEY"),
}


@pytest.mark.parametrize(("said", "kept"), SECRETS.values(), ids=SECRETS)
def test_no_value_of_an_environment_is_kept_of_a_unit(said: str, kept: str) -> None:
    """Wherever it stands behind its variable's name; the rest is kept as it is."""
    found = unit_files.hidden(f"[Service]\nExecStart=docker run {said} web\n")
    assert found.startswith(f"[Service]\nExecStart=docker run {kept}")
    assert "geheim" not in found
    assert unit_files.hidden(UNIT.replace("-e WHALEFALL_INSTANCE=web@%i", "")) == UNIT.replace("-e WHALEFALL_INSTANCE=web@%i", "")


@pytest.mark.parametrize("said", ["KEY=geheim", '"KEY=geheim und" B=geheim', "A= KEY='geheim x'", "A=b \\\n  KEY=geheim"])
def test_no_value_of_a_units_own_environment_is_kept(said: str) -> None:
    """Several may stand in one line."""
    found = unit_files.hidden(f"[Service]\nEnvironment={said}\nExecStart=x\n")
    assert "geheim" not in found
    assert "KEY=***" in found
    assert found.endswith("\nExecStart=x\n")


@pytest.mark.parametrize(
    "said",
    [
        "{KEY: geheim, B: 'geheim'}",
        "[KEY=geheim, B]",
        "\n      KEY: |\n        geheim\n        geheim\n      B: x",
        "\n      - KEY=geheim\n      - 'B=geheim'",
    ],
)
def test_no_value_of_an_environment_is_kept_of_a_stack(said: str) -> None:
    """In a mapping, or in a list; what is left is a stack file still."""
    text = "# é \U0001f40b, which are several bytes each\n" + STACK.replace('{WHALEFALL_INSTANCE: "web@{{.Task.Slot}}"}', said)
    found = stacks.hidden(text)
    assert "geheim" not in found
    assert yaml.safe_load(found)["services"]["front"]["image"] == "web"
    assert "KEY" in found


SPELLED = [
    "-e my.key=geheim",
    "--env MY-KEY=geheim",
    '-e "spring.key=geheim und"',
    "-e 1KEY=geheim",
    "-e \u00c9=geheim",
    '"-eKEY=geh eim"',
    '"--env=KEY=geh eim"',
    "'--env=KEY=geh eim'",
    '"--env" "KEY=geheim"',
    '"-e" KEY=geheim',
    '-e "KE"Y=geheim',
    "-e 'KEY'=geheim",
    "-e KEY=geh'eim",
    "-e KEY='geh\\' eim'",
    '-e KEY="geh\\" eim"',
    '-e KEY="geh\\\n eim"',
    "-e KEY=\\\ngeheim",
    "-e KE\\x59=geheim",
    "-\\e KEY=geheim",
    "-e=KEY=geheim",
    "--unknown -e KEY=geheim",
    '--unknown "-eKEY=geh eim"',
    "--label x=-e KEY=geheim",
    "-e A=b \\\n# KEY=geheim\n -e KEY=geheim",
    "-e A=b \\\n\n -e KEY=geheim",
    "-e A=b \\ \n -e KEY=geheim",
    "-e A=b \\\r\n -e KEY=geheim",
    "-e KEY\\x3dgeheim",
    "-e KEY\\075geheim",
    "-e KEY\\u003Dgeheim",
]
"""Ways to give a container a variable, each as systemd, or Docker, takes it, or as somebody slips."""


@pytest.mark.parametrize("said", SPELLED)
@pytest.mark.parametrize(
    "head", ["ExecStart=/usr/bin/docker run --rm", "ExecStartPre=-/usr/bin/docker container create", "# ExecStart=docker run"]
)
def test_no_spelling_of_a_variable_of_a_container_is_kept(said: str, head: str) -> None:
    """What is hidden goes by the words that are read, so no spelling gets by; what cannot be read is hidden whole."""
    found = unit_files.hidden(f"[Service]\n{head} {said} web\nRestart=always\n\n[X-Fleet]\nConflicts=web@*.service\n")
    assert not {each for each in ("geh", "eim") if each in found}
    assert found.endswith("Restart=always\n\n[X-Fleet]\nConflicts=web@*.service\n")


@pytest.mark.parametrize(
    "said",
    [
        'Environment=A=b "KEY"=geheim',
        "Environment=KEY=geh'eim",
        "Environment='KEY=geh\\' eim'",
        "Environment=KEY=geh\\\n eim",
        'Environment="KEY=geh\\\n eim"',
        "Environment=A=b \\\n# c\nKEY=geheim",
        "Environment=A=b \\\n\nKEY=geheim",
        "X\\\nEnvironment=KEY=geheim",
        "Environment=A=b\rEnvironment=KEY=geheim",
        "Environment=\u00c9=geheim",
        "\tEnvironment\t=\tmy.key=geheim",
        "# Environment=KEY=geheim",
        "; KEY: geheim",
        "ExecStart=/usr/bin/env KEY=geheim /usr/bin/docker run web",
        "ExecStop=/usr/bin/docker exec -e KEY=geheim web stop",
        "Environment=A=b \\ \nKEY=geheim",
        "Environment=A=b \\\r\n KEY=geheim\r",
        "# A=b \\\r\ngeheim",
        "Environment=KEY\\x3dgeheim",
        "environment=KEY=geheim",
        "UnsetEnvironment=KEY=geheim",
        "SetCredential=key:geheim",
        "SetCredential=key:\\\ngeheim",
        "StandardInputText=geheim",
    ],
)
def test_no_spelling_of_a_units_own_variable_is_kept(said: str) -> None:
    """Nor one behind a comment or an empty line, nor one that is commented out."""
    found = unit_files.hidden(f"[Service]\n{said}\nRestart=always\n")
    assert not {each for each in ("geh", "eim") if each in found}
    assert found.endswith("\nRestart=always\n")


@pytest.mark.parametrize("image", ["me:geheim!@host.example/app:1", "me:geheim!@host.example/web%n:1"])
def test_no_slip_in_the_image_of_a_definition_repeats_a_password(image: str) -> None:
    """In a unit file as in a stack file, and where a unit is made of it."""
    with pytest.raises(BadInput, match=r"host\.example") as by_unit:
        unit(UNIT.replace(":80 web", f":80 {image}"))
    with pytest.raises(BadInput, match=r"host\.example") as by_stack:
        stack(STACK.replace(": web\n", f": '{image}'\n"))
    with pytest.raises(HarnessError, match=r"host\.example") as made:
        unit_files.render(App("web", 1, image))
    assert "geheim" not in f"{by_unit.value} {by_stack.value} {made.value}"


@pytest.mark.parametrize(
    "said",
    ['"KEY=geheim"', "[{KEY: geheim}]", "[[KEY=geheim]]", "{KEY: [geheim]}", "\n      # B: geheim\n      KEY: x  # geheim", "[KEY geheim]"],
)
@pytest.mark.parametrize("before", ["", "\ufeff"])
def test_no_shape_of_an_environment_is_kept_of_a_stack(said: str, before: str) -> None:
    """Nor its comments; only Docker refuses what is no environment, after this is kept."""
    found = stacks.hidden(before + STACK.replace('{WHALEFALL_INSTANCE: "web@{{.Task.Slot}}"}', said))
    assert "geheim" not in found
    assert "***" in found
    assert yaml.safe_load(found)["services"]["front"]["ports"] == [{"target": 80, "published": 8000, "mode": "host"}]


@pytest.mark.parametrize(
    "said",
    [
        "<<: {environment: {KEY: geheim}}",
        "build: {environment: [KEY=geheim]}",
        "Environment: {KEY: geheim}",
        "x-more: [{environment: KEY=geheim}]",
    ],
)
def test_no_environment_is_kept_of_a_stack_wherever_it_stands(said: str) -> None:
    """Docker lays some into a service, and refuses others later than this is kept."""
    found = stacks.hidden(STACK.replace("    image: web\n", f"    image: web\n    {said}\n"))
    assert "geheim" not in found
    assert "***" in found


@pytest.mark.parametrize("kind", ["services", "networks", "volumes"])
def test_what_is_only_called_environment_is_kept_of_a_stack(kind: str) -> None:
    """A service, a network or a volume may have any name; its own environment is hidden all the same."""
    text = STACK.replace("  front:", "  environment:") if kind == "services" else f"{STACK}{kind}: {{environment: {{driver: plain}}}}\n"
    whole, kept = yaml.safe_load(text), yaml.safe_load(stacks.hidden(text))
    (service,) = whole["services"].values()
    service["environment"] = {"WHALEFALL_INSTANCE": "***"}
    assert kept == whole


@pytest.mark.parametrize("said", ["{KEY: ge$!heim}", "[KEY=geheim$]", "{KEY: 'ge$ heim$$'}", "{KEY: 'ge${heim}'}", "{KEY: ge$heim}"])
def test_no_refusal_of_a_stack_repeats_a_value(said: str) -> None:
    """What Docker cannot fill in is refused here: it repeats the value where it does so, in the middle of a run."""
    with pytest.raises(BadInput) as caught:
        stack(STACK.replace('{WHALEFALL_INSTANCE: "web@{{.Task.Slot}}"}', said))
    assert "a dollar sign itself is $$" in str(caught.value)
    assert "heim" not in str(caught.value)


def test_a_dollar_sign_that_is_written_twice_is_a_value() -> None:
    """So is none."""
    assert stack(STACK.replace('{WHALEFALL_INSTANCE: "web@{{.Task.Slot}}"}', "{KEY: ge$$heim$$$$}")).image == "web"


@pytest.mark.parametrize(
    ("at", "more"), [("    image: web\n", "    <<: {stop_signal: SIGINT}\n"), ("    deploy:\n", "      <<: {replicas: 5}\n")]
)
def test_what_docker_would_lay_into_a_stack_is_refused(at: str, more: str) -> None:
    """What follows from the file would not be what it says here."""
    with pytest.raises(BadInput, match="<<, a mapping that Docker lays into this one; expected its keys themselves") as caught:
        stack(STACK.replace(at, at + more))
    assert len(caught.value.problems) == 1, "and told once"


def test_a_plan_keeps_the_file_and_none_of_its_secrets(folder: Path) -> None:
    """It is read back as it was, and can be told and judged without the file."""
    (folder / "units" / "web@.service").write_text(UNIT.replace("-p 800", "-e KEY=geheim -p 800"))
    made = plan(load(_written(folder, SCENARIO)), mode=Fleet(), provider="nspawn", seed=1)
    saved = json.dumps(made.to_json())
    assert "geheim" not in saved
    assert "geheim" not in repr(made)
    again = Plan.from_json(json.loads(saved))
    assert again == made
    assert again.apps[0].native is not None
    assert "-e KEY=*** -p 800%i:80 web" in again.apps[0].native.text
    assert made.apps[0].native is not None
    assert "geheim" in made.apps[0].native.body, "what is submitted is the file"
    (said,) = [line for line in describe(again, 400).splitlines() if line.strip().startswith("app ")]
    assert "2 instances of web (image web; by its own file" in said
    assert (
        "web@%i.service, containers followed by the name web-%i, port 800%i; %i is the number of an instance), never two on one node"
        in said
    )


def test_both_modes_take_definitions() -> None:
    """By what they say of themselves, as for all that not every mode can."""
    assert isinstance(Fleet(), Defining)
    assert isinstance(Swarm(), Defining)
