"""A real fleet forms on real machines, runs an app, and comes back after a power-off."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any

import pytest

from harness.core.clock import wait_until
from harness.core.errors import Unreachable
from harness.core.protocols import Cluster, Power, Viewing
from harness.core.values import App, Health, NodeSpec, View, Volume
from harness.modes.fleet import Fleet
from harness.providers import PROVIDERS

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("fleet-forms")]

WEB = App("web", 2)
GREEDY = App("greedy", 4, image="web", port=8100)
"""More instances that must not meet than there are nodes."""


@pytest.fixture(scope="module")
def fleet(lend: Callable[..., AbstractContextManager[Cluster]]) -> Iterator[Cluster]:
    """Lend three nodes with a fleet on them, and `WEB` running. Whoever breaks one mends it."""
    mode = Fleet.from_timers("fast", {})
    specs = [NodeSpec(f"n{number}", f"10.77.0.{10 + number}") for number in (1, 2, 3)]
    with lend(PROVIDERS["nspawn"](), "forms", specs, mode, apps=(WEB,)) as cluster:
        mode.form(cluster)
        mode.deploy(cluster, WEB)
        yield cluster


def view(cluster: Cluster, name: str = "n1") -> View:
    """Ask fleet's API at one node."""
    with cluster.network():
        return cluster.can(Viewing).view(cluster, cluster.node(name))


def homes(cluster: Cluster, app: App) -> dict[str, str | None]:
    """Return where each running instance of an app is, by the API."""
    return {each.instance: each.node for each in view(cluster).placements if each.instance in app.names and each.running}


def _view_when(cluster: Cluster, name: str, condition: Callable[[View], bool]) -> View:
    """Ask fleet's API at one node until its answer is as wanted."""
    last = "no answer yet"

    def seen() -> View | None:
        nonlocal last
        try:
            answer = view(cluster, name)
        except Unreachable as e:
            last = str(e)
            return None
        last = str(answer)
        return answer if condition(answer) else None

    return wait_until(seen, awaited=f"the API at {name}", seconds=90.0, clock=cluster.clock, every=0.2, saw=lambda: last)


def test_every_node_lists_every_node(fleet: Cluster) -> None:
    """Asked over the API at each of them, and with fleet's own client on one."""
    for node in fleet.nodes:
        assert view(fleet, node.name).nodes == ("n1", "n2", "n3")
    listed = fleet.node("n1").run("fleetctl", "list-machines", "--fields=ip", "--no-legend")
    assert sorted(listed.text.split()) == sorted(node.address for node in fleet.nodes)


def test_the_members_agree_on_a_leader(fleet: Cluster) -> None:
    """All in one term, and the leader is one of them."""
    mode = fleet.mode
    assert isinstance(mode, Fleet)
    with fleet.network():
        told = set()
        for name in mode.members(fleet):
            with mode.asking(fleet, fleet.node(name)) as ask:
                told.add(ask())
    ((term, leader),) = told
    assert term > 1
    assert leader in mode.members(fleet)


def test_the_app_runs_and_says_who_it_is(fleet: Cluster) -> None:
    """On two machines, each instance on the port that is its own, with the labels that node truth reads."""
    placed = homes(fleet, WEB)
    assert set(placed) == set(WEB.names)
    assert len(set(placed.values())) == 2
    for instance, name in placed.items():
        assert name is not None
        with fleet.network():
            connection = http.client.HTTPConnection(fleet.node(name).address, WEB.port_of(instance), timeout=2.0)
            connection.request("GET", "/")
            answer = json.loads(connection.getresponse().read())
            connection.close()
        assert answer == {"instance": instance, "host": name}
        labels = fleet.node(name).run("docker", "inspect", "--format", "{{json .Config.Labels}}", instance.replace("@", "-"))
        assert json.loads(labels.text) == {"whalefall.app": "web", "whalefall.instance": instance}


def test_as_many_instances_as_nodes_have_a_home_and_the_rest_are_shown_without(fleet: Cluster) -> None:
    """Deploying does not wait for the impossible, and the API tells of it."""
    fleet.mode.deploy(fleet, GREEDY)
    placed = homes(fleet, GREEDY)
    assert len(placed) == 3
    assert sorted(each or "" for each in placed.values()) == ["n1", "n2", "n3"]
    (homeless,) = set(GREEDY.names) - set(placed)
    assert [each.node for each in view(fleet).placements if each.instance == homeless] == [None]


def test_logs_tell_of_every_daemon(fleet: Cluster) -> None:
    """What is kept when something went wrong is really in them."""
    mode = fleet.mode
    assert isinstance(mode, Fleet)
    logs = mode.logs(fleet.node("n1"))
    assert b"Starting fleetd version 1.0.0" in logs["fleet.log"]
    assert b"became" in logs["etcd.log"]
    assert b"API listen on" in logs["docker.log"]
    assert b"CONTAINER ID" in logs["containers.txt"]
    assert not [name for name, text in logs.items() if b"\nexit status" in text]


def test_a_node_that_lost_its_power_comes_back_by_itself(fleet: Cluster) -> None:
    """Everything is enabled: etcd, fleetd and docker start at power-on, and the stale containers do not stop the units."""
    power = fleet.can(Power)
    victim = fleet.node(homes(fleet, WEB)["web@1"] or "n1")
    watcher = next(node.name for node in fleet.nodes if node.name != victim.name)
    power.off(victim)
    assert victim.name not in _view_when(fleet, watcher, lambda seen: victim.name not in seen.nodes).nodes
    with pytest.raises(Unreachable):
        view(fleet, victim.name)
    power.on(victim)
    for node in fleet.nodes:
        _view_when(fleet, node.name, lambda seen: len(seen.nodes) == len(fleet.nodes))
    _view_when(fleet, watcher, lambda seen: {each.instance for each in seen.placements if each.running} >= set(WEB.names))


def test_a_view_is_the_same_from_many_threads(fleet: Cluster) -> None:
    """Each thread has connections of its own, in the network that it is in."""
    with ThreadPoolExecutor(6) as pool:
        seen = list(pool.map(lambda number: view(fleet, f"n{number % 3 + 1}").nodes, range(12)))
    assert set(seen) == {("n1", "n2", "n3")}


ODD = App(
    "odd",
    1,
    port=8300,
    environment=(("A", 'a "b" \\ %i $HOME ${HOME} é ; {{.ID}}'), ("B", ""), ("C", "'#")),
    command=("-x", "", 'a "b" \\ %n $PATH $$ ;', ";", "two\nlines\t%", "{{.Node.ID}}"),
    health=Health('test -e "$HOME/%i" || exit 1', every=0.5, timeout=1.0, retries=2, start_period=600.0),
    restart="always",
    volumes=(Volume("odd", "/var/lib/odd"), Volume("/srv/odd", "/odd", read_only=True)),
)
"""What systemd would expand, split or take for its own if it were not quoted. The program of `WEB` takes no notice of its words."""


@pytest.fixture
def odd(fleet: Cluster) -> Iterator[None]:
    """Have it run for one test: whoever comes next finds what stood before."""
    fleet.mode.deploy(fleet, ODD)
    try:
        yield
    finally:
        Fleet.from_timers("default", {}).withdraw(fleet, ODD)


@pytest.mark.usefixtures("odd")
def test_containers_are_given_what_the_app_says_as_it_stands(fleet: Cluster) -> None:
    """By systemd's own reading of the unit, and Docker's own word; one that is killed is started again where it was."""
    (name,) = homes(fleet, ODD).values()
    node = fleet.node(str(name))

    def asked(form: str) -> Any:
        return json.loads(node.run("docker", "inspect", "--format", form, "odd-1").text)

    assert {each for each in asked("{{json .Config.Env}}") if each[:2] in {"A=", "B=", "C="}} == {
        f"{key}={value}" for key, value in ODD.environment
    }
    assert tuple(asked("{{json .Config.Cmd}}")) == ODD.command
    second = 1_000_000_000
    assert asked("{{json .Config.Healthcheck}}") == {
        "Test": ["CMD-SHELL", 'test -e "$HOME/%i" || exit 1'],
        "Interval": second // 2,
        "Timeout": second,
        "StartPeriod": 600 * second,
        "Retries": 2,
    }
    mounts = [(each["Type"], each.get("Name") or each["Source"], each["Destination"], each["RW"]) for each in asked("{{json .Mounts}}")]
    assert sorted(mounts) == [("bind", "/srv/odd", "/odd", False), ("volume", "odd", "/var/lib/odd", True)]
    first = asked("{{json .Id}}")
    assert node.run("docker", "kill", "odd-1").ok

    def anew() -> bool:
        seen = node.run("docker", "inspect", "--format", "{{.Id}} {{.State.Running}}", "odd-1").text.split()
        return len(seen) == 2 and seen[0] != first and seen[1] == "true"

    wait_until(anew, awaited="odd-1 to be started again", seconds=90.0, clock=fleet.clock, every=0.2)
