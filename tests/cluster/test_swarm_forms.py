"""A real swarm forms on real machines, runs apps, keeps values, knows its leader, comes back after a power-off, and leaves nothing behind."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any, ClassVar

import pytest

from harness.core.clock import wait_until
from harness.core.errors import HarnessError, Unreachable
from harness.core.protocols import Cluster, Power, Viewing
from harness.core.values import App, Call, NodeSpec, Outcome, View, Volume
from harness.modes.swarm import Swarm
from harness.observers.node_truth import agent_of
from harness.providers import PROVIDERS
from harness.workloads.http import Http

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("swarm-forms")]

WEB = App("web", 2)
FREE = App("free", 4, image="web", port=8100, conflicts=False)
"""More instances than there are nodes, which may meet."""
GREEDY = App("greedy", 4, image="web", port=8200)
"""As many that may not."""
PATIENT = 90.0


@pytest.fixture(scope="module")
def swarm(lend: Callable[..., AbstractContextManager[Cluster]]) -> Iterator[Cluster]:
    """Lend three nodes with a swarm on them, and `WEB` running. Whoever breaks one mends it."""
    mode = Swarm.from_timers("fast", {})
    specs = [NodeSpec(f"n{number}", f"10.77.0.{10 + number}") for number in (1, 2, 3)]
    with lend(PROVIDERS["nspawn"](), "swarm", specs, mode, apps=(WEB, FREE)) as cluster:
        mode.form(cluster)
        mode.deploy(cluster, WEB)
        yield cluster


class Elsewhere:
    """The same network, whatever the run is called."""

    name: ClassVar[str] = "elsewhere"

    def __init__(self, cluster: Cluster) -> None:
        self.network = lambda _: cluster.network()


def mode_of(cluster: Cluster) -> Swarm:
    """Return the mode as what it is."""
    assert isinstance(cluster.mode, Swarm)
    return cluster.mode


def view(cluster: Cluster, name: str = "n1") -> View:
    """Ask Docker's API at one node."""
    with cluster.network():
        return cluster.can(Viewing).view(cluster, cluster.node(name))


def homes(cluster: Cluster, app: App) -> Mapping[str, str | None]:
    """Return where each running instance of an app is, by the API."""
    return {each.instance: each.node for each in view(cluster).placements if each.instance in app.names and each.running}


def truth(cluster: Cluster) -> Mapping[str, set[str]]:
    """Return the instances that run on each node, by the node's own process table."""
    found = {}
    for node in cluster.nodes:
        listed = node.run("timeout", "1", *agent_of(Swarm.TASKS), timeout=10.0)
        found[node.name] = {name for _, name in json.loads(listed.text.splitlines()[-1])["containers"]}
    return found


def leaders(cluster: Cluster) -> set[tuple[int, str | None]]:
    """Return what the managers say of term and leader."""
    mode = mode_of(cluster)
    told = set()
    with cluster.network():
        for name in mode.members(cluster):
            with mode.asking(cluster, cluster.node(name)) as ask:
                told.add(ask())
    return told


def when(cluster: Cluster, condition: Callable[[], bool], awaited: str) -> None:
    """Wait for something of the swarm's; one that cannot be asked is asked again."""
    last = "nothing yet"

    def there() -> bool:
        nonlocal last
        try:
            return condition()
        except HarnessError as e:
            last = str(e)
            return False

    wait_until(there, awaited=awaited, seconds=PATIENT, clock=cluster.clock, every=0.2, saw=lambda: last)


def test_every_node_lists_every_node(swarm: Cluster) -> None:
    """Asked over the API at each of them, and with Docker's own client on one."""
    for node in swarm.nodes:
        assert view(swarm, node.name).nodes == ("n1", "n2", "n3")
    listed = swarm.node("n1").run("docker", "node", "ls", "--format", "{{.Hostname}} {{.Status}}")
    assert sorted(listed.text.splitlines()) == ["n1 Ready", "n2 Ready", "n3 Ready"]


def test_the_heartbeat_is_the_one_that_budgets_are_reckoned_from(swarm: Cluster) -> None:
    """Swarm itself has it."""
    told = swarm.node("n1").run("docker", "info", "--format", "{{.Swarm.Cluster.Spec.Dispatcher.HeartbeatPeriod}}")
    assert told.text.strip() == f"{mode_of(swarm).timers['dispatcher_heartbeat']:g}s"


def test_two_instances_are_on_two_nodes_by_the_nodes_themselves(swarm: Cluster) -> None:
    """Named by the labels that swarm gives their containers."""
    placed = homes(swarm, WEB)
    assert set(placed) == set(WEB.names)
    assert len(set(placed.values())) == 2
    seen = truth(swarm)
    assert {instance: {name for name, running in seen.items() if instance in running} for instance in WEB.names} == {
        instance: {name} for instance, name in placed.items()
    }


def test_instances_that_may_meet_are_found_on_the_ports_that_docker_chose(swarm: Cluster) -> None:
    """By the workload that calls them."""
    swarm.mode.deploy(swarm, FREE)
    assert len(homes(swarm, FREE)) == 4
    with swarm.network():
        client = Http("free").connect(swarm)
        replies = [client.invoke(Call("get", instance)) for instance in FREE.names]
        client.close()
    assert [reply.outcome for reply in replies] == [Outcome.OK] * 4, replies
    assert {reply.by for reply in replies} <= {"n1", "n2", "n3"}
    mode_of(swarm).withdraw(swarm, FREE)


def test_as_many_instances_as_nodes_have_a_home_and_the_rest_are_shown_without(swarm: Cluster) -> None:
    """Deploying does not wait for the impossible, and the API tells of it."""
    swarm.mode.deploy(swarm, GREEDY)
    placed = homes(swarm, GREEDY)
    assert sorted(each or "" for each in placed.values()) == ["n1", "n2", "n3"]
    (homeless,) = set(GREEDY.names) - set(placed)
    assert [each.node for each in view(swarm).placements if each.instance == homeless] == [None]
    mode_of(swarm).withdraw(swarm, GREEDY)


def test_values_are_kept_and_read_at_every_manager(swarm: Cluster) -> None:
    """What one manager took, each of them has."""
    mode = mode_of(swarm)
    with swarm.network():
        stores = [mode.store(swarm, node, 5.0) for node in swarm.nodes]
        for number in range(6):
            stores[number % 3].put(f"forms/{number}", f"v{number}")
        assert [store.get("forms/4") for store in stores] == ["v4"] * 3
        assert [store.get("forms/absent") for store in stores] == [None] * 3
        assert [dict(store.prefix("forms/")) for store in stores] == [{f"forms/{number}": f"v{number}" for number in range(6)}] * 3
        for store in stores:
            store.close()


def test_the_managers_agree_on_a_leader(swarm: Cluster) -> None:
    """All in one term, the leader is one of them, and Docker says the same."""
    ((term, leader),) = leaders(swarm)
    assert term > 1
    said = swarm.node("n1").run("docker", "node", "ls", "--format", "{{.Hostname}} {{.ManagerStatus}}").text.splitlines()
    assert f"{leader} Leader" in said


def test_a_running_swarm_can_be_taken_over(swarm: Cluster) -> None:
    """By a mode that did not form it, which then reckons with the heartbeat that it found; one run's service is not another's."""
    other = Swarm()
    other.adopt(swarm)
    assert other.members(swarm) == ("n1", "n2", "n3")
    assert other.timers["dispatcher_heartbeat"] == pytest.approx(mode_of(swarm).timers["dispatcher_heartbeat"])
    provider: Any = Elsewhere(swarm)
    with pytest.raises(HarnessError, match="a service web is there already and is not ours"):
        other.adopt(dataclasses.replace(swarm, provider=provider, run_id="another"))


def test_logs_tell_of_every_daemon_and_hold_no_token(swarm: Cluster) -> None:
    """What is kept when something went wrong is really in them."""
    logs = mode_of(swarm).logs(swarm.node("n1"))
    assert b"module=raft" in logs["docker.log"]
    assert b"Leader" in logs["nodes.txt"]
    assert b"web.1" in logs["tasks.txt"]
    assert b"CONTAINER ID" in logs["containers.txt"]
    assert not [name for name, text in logs.items() if b"\nexit status" in text or b"SWMTKN" in text]


def test_a_leader_that_lost_its_power_is_replaced_and_comes_back_by_itself(swarm: Cluster) -> None:
    """Its journal is followed through the reboot; nobody calls themselves leader in its term."""
    mode, power = mode_of(swarm), swarm.can(Power)
    ((before, old),) = leaders(swarm)
    assert old is not None
    victim = swarm.node(old)
    watcher = next(node for node in swarm.nodes if node.name != old)
    with swarm.network(), mode.asking(swarm, victim) as ask_victim, mode.asking(swarm, watcher) as ask_watcher:
        assert ask_victim() == ask_watcher() == (before, old)
        power.off(victim)
        with pytest.raises(Unreachable):
            ask_victim()
        when(swarm, lambda: ask_watcher()[1] not in {None, old} and ask_watcher()[0] > before, "another leader in a later term")
        when(swarm, lambda: old not in view(swarm, watcher.name).nodes, "the dead node to be given up")
        power.on(victim)
        when(swarm, lambda: ask_victim() == ask_watcher(), "the old leader to follow the new one")
    for node in swarm.nodes:
        when(swarm, lambda node=node: len(view(swarm, node.name).nodes) == len(swarm.nodes), f"{node.name} to list all")  # type: ignore[misc]
    when(swarm, lambda: set(homes(swarm, WEB)) == set(WEB.names), "the app to run again")


def test_withdrawing_leaves_nothing_and_may_be_done_twice_by_anybody(swarm: Cluster) -> None:
    """Neither service nor container nor value. The app is back for whoever comes next."""
    with swarm.network():
        store = mode_of(swarm).store(swarm, swarm.node("n1"), 5.0)
        store.put("left/1", "x")
        store.close()
    for _ in range(2):
        Swarm.from_timers("default", {}).withdraw(swarm, WEB)
    assert [each.instance for each in view(swarm).placements] == []
    for node in swarm.nodes:
        assert node.run("docker", "ps", "-aq").text == ""
        assert node.run("docker", "images", "-q", "web").text == ""
    for what in ("service", "config"):
        assert swarm.node("n2").run("docker", what, "ls", "-q").text == ""
    swarm.mode.deploy(swarm, WEB)


ODD = App(
    "odd",
    1,
    image="web",
    port=8400,
    environment=(("A", 'a "b" \\ %i $HOME é ; {{.Node.ID}} {{'), ("B", "")),
    command=("-x", "", 'a "b" $PATH', "two\nlines\t%", "{{.Node.ID}}"),
    restart="on-failure",
    volumes=(Volume("odd", "/var/lib/odd"), Volume("/srv/odd", "/odd", read_only=True)),
)
"""What swarm would take for a template of its own if that were not spelled out."""


@pytest.fixture
def odd(swarm: Cluster) -> Iterator[None]:
    """Have it run for one test: whoever comes next finds what stood before."""
    mode_of(swarm).deploy(swarm, ODD)
    try:
        yield
    finally:
        mode_of(swarm).withdraw(swarm, ODD)


@pytest.mark.usefixtures("odd")
def test_containers_are_given_what_the_app_says_as_it_stands(swarm: Cluster) -> None:
    """By Docker's own word on the node; templates are left as they stand."""
    (name,) = homes(swarm, ODD).values()
    node = swarm.node(str(name))
    found = node.run("docker", "ps", "--quiet", "--filter", "label=com.docker.swarm.service.name=odd").text.split()

    def asked(form: str) -> Any:
        return json.loads(node.run("docker", "inspect", "--format", form, found[0]).text)

    assert {each for each in asked("{{json .Config.Env}}") if each[:2] in {"A=", "B="}} == {
        f"{key}={value}" for key, value in ODD.environment
    }
    assert tuple(asked("{{json .Config.Cmd}}")) == ODD.command
    mounts = [(each["Type"], each.get("Name") or each["Source"], each["Destination"], each["RW"]) for each in asked("{{json .Mounts}}")]
    assert sorted(mounts) == [("bind", "/srv/odd", "/odd", False), ("volume", "odd", "/var/lib/odd", True)]
