"""Our actions on real machines, with a real fleet and a real swarm on them: by their contract, and by what comes of them."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import pytest

from harness.actions.draining import Drain, Undrain
from harness.actions.own_command import RunCommand
from harness.actions.presence import DeployApp, RemoveApp
from harness.actions.rolling import RestartApp, UpdateApp
from harness.actions.scaling import Scale
from harness.actions.systemd import ServiceRestart, ServiceStart, ServiceStop
from harness.conductor.doing import done
from harness.core.clock import wait_until
from harness.core.errors import FaultFailed, HarnessError, Unreachable
from harness.core.protocols import Cluster, Node, Reaping, Viewing
from harness.core.values import App, NodeSpec, Outcome, View
from harness.modes.fleet import Fleet
from harness.modes.swarm import Swarm
from harness.nodes.users_command import SAID_BYTES
from harness.providers import PROVIDERS
from harness.testing.action_contract import ACTION, ActionCase
from harness.testing.bare import BareMode

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("actions")]

WEB = App("web", 1)
SPECS = [NodeSpec(f"n{number}", f"10.77.0.{10 + number}") for number in (1, 2, 3)]
UNIT = "containerd.service"
"""Under dockerd, which nothing here asks meanwhile: stopping it hurts nobody but the node that it is on."""


@pytest.fixture(scope="module", params=["fleet", "swarm"])
def cluster(request: pytest.FixtureRequest, lend: Callable[..., AbstractContextManager[Cluster]]) -> Iterator[Cluster]:
    """Lend three nodes of either mode with `WEB` running."""
    mode = Fleet.from_timers("fast", {}) if request.param == "fleet" else Swarm.from_timers("fast", {})
    with lend(PROVIDERS["nspawn"](), f"actions-{request.param}", SPECS, mode, apps=(WEB,)) as made:
        mode.form(made)
        mode.deploy(made, WEB)
        yield made


def _view(cluster: Cluster) -> View:
    with cluster.network():
        return cluster.can(Viewing).view(cluster, cluster.node("n1"))


def _await(cluster: Cluster, so: Callable[[View], bool], what: str) -> None:
    last = "no answer yet"

    def seen() -> bool:
        nonlocal last
        try:
            view = _view(cluster)
        except Unreachable as e:
            last = str(e)
            return False
        last = str(view.placements)
        return so(view)

    wait_until(seen, awaited=what, seconds=60.0, clock=cluster.clock, saw=lambda: last)


def _running(view: View) -> set[str]:
    return {each.instance for each in view.placements if each.running}


def _ids(node: Node) -> list[str]:
    """Return the containers of web that run on a node, by its own Docker."""
    return node.run("docker", "ps", "--quiet", "--no-trunc", "--filter", "label=whalefall.app=web").text.split()


def _containers(cluster: Cluster) -> set[str]:
    return {each for node in cluster.nodes for each in _ids(node)}


def _one_runs(cluster: Cluster) -> None:
    """Wait until all is as each test begins, in whatever order they come: a machine that lost its power may be back only now."""
    _await(cluster, lambda view: _running(view) == {"web@1"}, "one instance of web")
    wait_until(lambda: len(_containers(cluster)) == 1, awaited="one container of web", seconds=60.0, clock=cluster.clock)


def _anew_with_one(cluster: Cluster) -> None:
    """Have one instance again, in a mode that takes none away: remove the app, and bring it back."""
    (web,) = cluster.apps
    RemoveApp("web").act(cluster, [])
    wait_until(lambda: not _containers(cluster), awaited="no container of web", seconds=30.0, clock=cluster.clock)
    DeployApp("web", 1).act(cluster, [])
    cluster.apps = (replace(web, instances=1),)
    _one_runs(cluster)


@pytest.mark.parametrize("promise", ACTION.values(), ids=ACTION)
def test_an_app_is_started_anew(cluster: Cluster, promise: Callable[[ActionCase], None]) -> None:
    """By the contract of actions: when it is done, what ran before is gone, and the orchestrator says that another one runs."""
    _one_runs(cluster)
    before = _containers(cluster)

    def anew(_: Node | None) -> bool:
        now = _containers(cluster)
        return len(now) == 1 and not now & before and _running(_view(cluster)) == {"web@1"}

    promise(ActionCase(RestartApp("web"), cluster, [], anew))


def test_an_app_is_updated(cluster: Cluster) -> None:
    """Its image and its environment, of which nothing is expanded on its way."""
    _one_runs(cluster)
    said = "100% of $HOME, {{.Node.ID}} \\ and 'all' \"of it\""
    update = UpdateApp("web", "web:2", {"SAID": said})
    assert update.act(cluster, []) == "1 instance of web started anew, which had the image web before"
    cluster.apps = (update.altered(WEB),)
    (made,) = _made(cluster)
    assert (made["Image"], [each for each in made["Env"] if each.startswith("SAID")]) == ("web:2", [f"SAID={said}"])


def _made(cluster: Cluster) -> list[Any]:
    """Return what the containers of web are made of."""
    return [json.loads(node.run("docker", "inspect", each).text)[0]["Config"] for node in cluster.nodes for each in _ids(node)]


def test_an_app_is_scaled_up_and_runs_as_often(cluster: Cluster) -> None:
    """Each on a node of its own, and made as the others are by now; where the mode can have fewer, the last ones stop."""
    _one_runs(cluster)
    (web,) = cluster.apps
    assert Scale("web", 3).act(cluster, []) == "web had 1 instance before"
    cluster.apps = (replace(web, instances=3),)
    _await(cluster, lambda view: _running(view) == {"web@1", "web@2", "web@3"}, "three instances of web")
    wait_until(
        lambda: len(_made(cluster)) == 3, awaited="three containers", seconds=20.0, clock=cluster.clock
    )  # fleet knows of units alone
    assert {each["Image"].removesuffix(":latest") for each in _made(cluster)} == {web.image}
    assert Scale("web", 3).act(cluster, []) == "web had 3 instances before"
    if isinstance(cluster.mode, Swarm):
        with pytest.raises(HarnessError, match="swarm chooses itself which of them stop"):
            Scale("web", 1).act(cluster, [])
        _anew_with_one(cluster)
        return
    Scale("web", 1).act(cluster, [])
    cluster.apps = (web,)
    _await(cluster, lambda view: {each.instance for each in view.placements} == {"web@1"}, "one instance of web")


def test_an_app_is_removed_and_comes_back(cluster: Cluster) -> None:
    """With what runs of it, and as often as it is asked for."""
    (web,) = cluster.apps
    for _ in range(2):
        RemoveApp("web").act(cluster, [])
    wait_until(lambda: not _containers(cluster), awaited="no container of web", seconds=30.0, clock=cluster.clock)
    assert not _running(_view(cluster))
    for _ in range(2):
        DeployApp("web", 1).act(cluster, [])
    cluster.apps = (replace(web, instances=1),)
    _await(cluster, lambda view: _running(view) == {"web@1"}, "one instance of web")


def test_a_node_is_emptied_and_opened_again(cluster: Cluster) -> None:
    """What ran there runs elsewhere, and a second time changes nothing."""
    if not isinstance(cluster.mode, Swarm):
        with pytest.raises(HarnessError, match="offers Draining"):
            Drain().act(cluster, [cluster.node("n1")])
        return
    _one_runs(cluster)
    home = next(each.node for each in _view(cluster).placements if each.running and each.node)
    for action in (Drain(), Drain()):
        action.act(cluster, [cluster.node(home)])
    _await(cluster, lambda view: home not in {each.node for each in view.placements if each.running}, f"{home} to run nothing")
    for opening in (Undrain(), Undrain()):
        opening.act(cluster, [cluster.node(home)])
    _one_runs(cluster)


def _is(node: Node | None, state: str) -> bool:
    return node is not None and node.run("systemctl", "is-active", "--quiet", UNIT).ok is (state == "active")


@pytest.mark.parametrize("promise", ACTION.values(), ids=ACTION)
def test_a_daemon_is_stopped_and_started(cluster: Cluster, promise: Callable[[ActionCase], None]) -> None:
    """In order, by the contract of actions, on one node and on nobody else."""
    node = cluster.node("n3")

    def started() -> None:
        node.run("systemctl", "reset-failed", UNIT)  # it is started often here, and systemd refuses that in the end
        node.run("systemctl", "start", UNIT)

    def stopped() -> None:
        node.run("systemctl", "stop", UNIT)

    promise(ActionCase(ServiceStop("containerd"), cluster, [node], lambda each: _is(each, "inactive"), started))
    if promise.__name__ in {"it_says_what_it_is", "it_ends_with_its_run"}:
        promise(ActionCase(ServiceStart("containerd"), cluster, [node], lambda each: _is(each, "active"), started))
        return
    stopped()
    try:
        ServiceStart("containerd").act(cluster, [node])
        assert _is(node, "active")
        before = node.run("systemctl", "show", "--property=MainPID", "--value", UNIT).text
        ServiceRestart("containerd").act(cluster, [node])
        assert _is(node, "active")
        assert node.run("systemctl", "show", "--property=MainPID", "--value", UNIT).text != before
    finally:
        started()


@pytest.mark.parametrize("promise", ACTION.values(), ids=ACTION)
def test_a_command_of_the_users_own_is_run(cluster: Cluster, promise: Callable[[ActionCase], None]) -> None:
    """By the contract of actions, on the nodes that it is for and on no other."""
    mark = "/run/whalefall-own-command"

    def undo() -> None:
        for node in cluster.nodes:
            node.run("rm", "-f", mark)
            node.run("systemctl", "start", UNIT)  # one that lost its power is as the next test expects it only once this runs

    targets = [cluster.node("n2"), cluster.node("n3")]
    promise(ActionCase(RunCommand(f"echo here > {mark}"), cluster, targets, lambda node: _has(node, mark), undo))


def test_a_command_that_never_ends_is_cut_off_with_all_that_it_started(cluster: Cluster) -> None:
    """And whether it was done is not known."""
    node = cluster.node("n3")
    outcome, said = done(RunCommand("sleep 31415 & sleep 31415"), cluster, [node], 2.0)
    assert (outcome, said) == (Outcome.UNKNOWN, "it was not done within 2 s")
    gone = functools.partial(node.run, "pgrep", "-f", "sleep 31415")
    wait_until(lambda: not gone().ok, awaited="what it started to be gone", seconds=20.0, clock=cluster.clock, saw=lambda: gone().text)


def test_a_command_whose_harness_was_killed_is_ended_with_all_that_it_started(cluster: Cluster) -> None:
    """By whoever looks next; while its harness lives it goes on."""
    node, provider = cluster.node("n3"), PROVIDERS["nspawn"]()
    script = (
        "import sys; from harness.providers import PROVIDERS; n3 = PROVIDERS['nspawn']().adopt(sys.argv[1])[2];"
        "n3.run('sh', '-c', 'sleep 27182 & sleep 27182', timeout=600.0)"
    )
    runs = functools.partial(node.run, "pgrep", "-f", "^sleep 27182")
    with subprocess.Popen([sys.executable, "-c", script, cluster.run_id]) as harness:
        try:
            wait_until(lambda: len(runs().text.split()) == 2, awaited="it to run", seconds=60.0, clock=cluster.clock)
            assert isinstance(provider, Reaping)
            assert provider.reap(cluster.run_id) == ()
            assert len(runs().text.split()) == 2
        finally:
            harness.kill()
    assert provider.reap(cluster.run_id) == ("n3",)
    wait_until(lambda: not runs().ok, awaited="what it started to be gone", seconds=20.0, clock=cluster.clock, saw=lambda: runs().text)


def test_a_command_that_talks_without_an_end_is_read_to_its_end_alone(cluster: Cluster) -> None:
    """However much it says; its status is its own."""
    said = RunCommand("head -c 50000000 /dev/zero | tr '\\0' x; echo the end").act(cluster, [cluster.node("n3")])
    assert said.endswith("xthe end")
    assert len(said) < 2 * SAID_BYTES
    with pytest.raises(FaultFailed, match="exited with status 7"):
        RunCommand("exit 7").act(cluster, [cluster.node("n3")])


def _has(node: Node | None, path: str) -> bool:
    return node is not None and node.run("test", "-e", path).ok


def test_a_daemon_that_its_socket_would_start_stays_stopped(cluster: Cluster) -> None:
    """Docker's clients would start it again by asking. On a node without work: what fleet's unit stopped with Docker stays so."""
    _one_runs(cluster)
    homes = {each.node for each in _view(cluster).placements if each.running}
    node = next(each for each in cluster.nodes if each.name not in homes)
    ServiceStop("docker").act(cluster, [node])
    try:
        node.run("timeout", "5", "docker", "version")
        assert not node.run("systemctl", "is-active", "--quiet", "docker.service").ok
        with pytest.raises(HarnessError, match="there is no"):
            ServiceStop("docker").act(_with_unit(cluster), [node])
    finally:
        ServiceStart("docker").act(cluster, [node])
    assert node.run("timeout", "20", "docker", "version").ok


def _with_unit(cluster: Cluster) -> Cluster:
    """Return the cluster with a mode whose docker is a unit that is not there."""
    return Cluster(cluster.run_id, cluster.nodes, cluster.provider, BareMode({"docker": "whalefall-none.service"}), cluster.clock)
