"""Mesos on hosts that somebody else runs: a cluster that the harness did not make, broken over the hosts' own sshd and left as found."""

from __future__ import annotations

import contextlib
import dataclasses
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.conductor import Options, conduct
from harness.conductor.rehearsal import rehearse
from harness.core.errors import HarnessError
from harness.core.protocols import Cluster, Electing, Node, Registers, Viewing
from harness.core.values import App, Loss, NodeSpec, Stage, Traits, Verdict, Who
from harness.history.events import FaultStage
from harness.modes.mesos import Mesos
from harness.plan import Plan, plan
from harness.providers import PROVIDERS
from harness.providers.inventory.formats import VARIABLE
from harness.scenario import load
from harness.testing.formed_contract import held
from harness.undo.fingerprint import differences, fingerprint
from tests.cluster.somebody_elses import Hosts, left_as_found, lent

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("inventory-of-mesos")]

SCENARIO = """
scenario: somebody-elses-mesos
why: A machine that runs work dies; on hosts that somebody else runs.
cluster: {mode: mesos, provider: inventory, nodes: 3, profile: default}
apps: [{name: web, instances: 2}]
workloads: [{http: {app: web, rate: 20/s, deadline: 1s}}, {register: {rate: 10/s, deadline: 2s}}]
steps: [{wait: 2s}, {fault: node.kill, on: hosting(web) & !leading(mesos-master) & any, hold: {until: recovered, at most: 90s}}]
settle: 60s
promises: [{rescheduled: {app: web, within: 90s}}, conflicts, {quorum: {writes: go on}}, writes]
"""
KEPT = """
import json
import urllib.request
from kazoo.client import KazooClient
client = KazooClient(hosts="127.0.0.1:2181")
client.start(timeout=20)
print(sorted(client.get_children("/")))
client.stop()
with urllib.request.urlopen("http://127.0.0.1:8080/v2/apps", timeout=20) as answer:
    print([each["id"] for each in json.load(answer)["apps"]])
"""


@pytest.fixture(scope="module")
def hosts(lend: Callable[..., contextlib.AbstractContextManager[Cluster]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    """Form Mesos on machines, make them reachable and mark them; inside their network for as long as the tests last."""
    with lent(lend, Mesos.from_timers("fast", {}), "mesos-agent", tmp_path_factory.mktemp("theirs")) as found:
        yield found


@pytest.fixture
def use(hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hosts]:
    """Lend the hosts with an inventory that calls them otherwise than Mesos does, and see afterwards that no claim and no record is left."""
    monkeypatch.setenv(VARIABLE, str(hosts.powered(backwards=True)))
    with left_as_found(hosts):
        yield hosts


def _plan(folder: Path) -> Plan:
    path = folder / "scenario.yaml"
    path.write_text(SCENARIO, encoding="utf-8")
    scenario = load(path)
    return plan(scenario, mode=Mesos.from_timers(scenario.profile, {}), provider="inventory", seed=7)


@contextlib.contextmanager
def _created(count: int = 3, *apps: App) -> Iterator[Cluster]:
    run_id = f"inv-{uuid.uuid4().hex[:6]}"
    specs = [NodeSpec(f"n{number}", f"192.0.2.{number}") for number in range(1, count + 1)]
    provider = PROVIDERS["inventory"]()
    nodes = provider.create(run_id, specs)
    try:
        yield Cluster(run_id, nodes, provider, Mesos(), apps=apps)
    finally:
        provider.destroy(run_id)


def _kept(hosts: Hosts) -> dict[str, str]:
    """Return what ZooKeeper has at its top, and what Marathon has, as each host tells them."""
    told = {}
    for node in hosts.theirs.nodes:
        done = node.run("python3", "-c", KEPT, timeout=60.0)
        assert done.ok, done.err
        told[node.name] = done.text
    return told


def _left(node: Node) -> set[str]:
    """Return what a host has that an app of ours may leave there: containers of somebody else come and go."""
    ours = node.run("docker", "ps", "--all", "--quiet", "--filter", "label=whalefall.app=web")
    assert ours.ok, ours.err
    return {*(each for each in held(node) if not each.startswith("container ")), *ours.text.split()}


def test_a_node_kill_on_a_mesos_that_somebody_else_runs_is_judged_and_it_is_left_as_found(use: Hosts, tmp_path: Path) -> None:
    """The cluster is found and not formed, budgets are those of its own timers, and nothing of ours is on it afterwards, nor in its ZooKeeper.

    What somebody else runs there, two of it on one node, is nobody's conflict.
    """
    nodes, busy = use.theirs.nodes, App("theirs", 4, image="web", port=8300, conflicts=False)
    use.theirs.mode.deploy(use.theirs, busy)
    try:
        before = {node.name: (fingerprint(node), _left(node)) for node in nodes}
        kept = _kept(use)
        run = conduct(_plan(tmp_path), Options(results=tmp_path / "results"))
        after = {node.name: (fingerprint(node), _left(node)) for node in nodes}
        kept_now = _kept(use)
    finally:
        use.theirs.mode.withdraw(use.theirs, busy)  # type: ignore[attr-defined]

    assert run.verdict is Verdict.HELD, [(each.checker, each.summary) for each in run.findings]
    assert run.plan.timers == dataclasses.asdict(use.theirs.mode._timers), "the profile says others"  # type: ignore[attr-defined]
    assert run.plan.orchestrator == "mesos (stand-in)", "its masters say so"
    assert run.environment["hosts"] == {"n1": "db3", "n2": "db2", "n3": "db1"}
    hit = {target for _, event in run.history.each(FaultStage) if event.stage is Stage.IN_FORCE for target in event.targets}
    assert len(hit) == 1
    for name, (then, had) in before.items():
        now, has = after[name]
        assert differences(then, now) == []
        assert has - had == set()
    assert kept_now == kept


def test_who_is_who_is_known_also_in_another_process(use: Hosts) -> None:
    """Its hosts have other names in the inventory. Noted when the cluster was taken over; another process has its own mode object."""
    theirs = use.theirs
    with _created() as cluster:
        cluster.mode.adopt(cluster)  # type: ignore[attr-defined]
        other = Cluster(cluster.run_id, PROVIDERS["inventory"]().adopt(cluster.run_id), PROVIDERS["inventory"](), Mesos())
        assert other.mode.members(other) == ("n1", "n2", "n3")  # type: ignore[attr-defined]
        at = {node.address: node.name for node in cluster.nodes}
        for process in ("mesos-master", "marathon"):
            leader = theirs.can(Electing).first(theirs, process)
            assert leader is not None
            assert other.can(Electing).first(other, process) == at[theirs.node(leader).address], process
        assert other.can(Viewing).view(other, other.nodes[0]).nodes == ("n1", "n2", "n3")
        fast = Mesos.from_timers("fast", {}).budget(Traits(Loss.NODE), Who.OTHER)
        assert cluster.mode.budget(Traits(Loss.NODE), Who.OTHER).seconds == fast.seconds
        assert cluster.mode.remarks == ()  # type: ignore[attr-defined]


def test_an_app_is_withdrawn_by_another_process_without_a_trace(use: Hosts) -> None:
    """By what was noted alone: its containers, and what the run wrote into ZooKeeper; twice."""
    app = App("web", 2, pin="n1", conflicts=False)
    with _created(3, app) as cluster:
        before, kept = {node.name: _left(node) for node in use.theirs.nodes}, _kept(use)
        mode = cluster.mode
        mode.adopt(cluster)  # type: ignore[attr-defined]
        mode.deploy(cluster, app)
        store = cluster.can(Registers).store(cluster, cluster.nodes[0], 10.0)
        store.put("contract/1", "x")
        store.close()
        assert any(_left(node) - before[node.name] for node in use.theirs.nodes)
        assert _kept(use) != kept
        for _ in range(2):
            other = Cluster(cluster.run_id, PROVIDERS["inventory"]().adopt(cluster.run_id), PROVIDERS["inventory"](), Mesos(), apps=(app,))
            other.mode.withdraw(other, app)  # type: ignore[attr-defined]
            assert {node.name: sorted(more) for node in use.theirs.nodes if (more := _left(node) - before[node.name])} == {}
            assert _kept(use) == kept


def test_a_rehearsal_says_what_runs_there_and_changes_nothing(use: Hosts, tmp_path: Path) -> None:
    """By its own timers, and with the hosts' names."""
    told = rehearse(_plan(tmp_path))
    assert "n1 is db3, 10.77.0.13 on" in told
    assert "mesos (stand-in) runs on them" in told
    assert use.files("/var/lib/whalefall-claim") == []


def test_a_cluster_of_more_agents_than_nodes_is_not_taken_over(use: Hosts) -> None:
    """Work may go to a machine that nobody watches, and ZooKeeper has a member there."""
    with _created(2) as cluster, pytest.raises(HarnessError, match=r"ZooKeeper of n1 has a member 10\.77\.0\.11 .*none of our nodes"):
        cluster.mode.adopt(cluster)  # type: ignore[attr-defined]


def test_an_app_that_is_there_already_is_neither_deployed_nor_withdrawn(use: Hosts) -> None:
    """It is somebody's own work: the error names it, and it goes on."""
    app = App("web", 1)
    theirs = use.theirs
    theirs.mode.deploy(theirs, app)
    try:
        with _created(3, app) as cluster:
            with pytest.raises(HarnessError, match="Marathon has an app /web already, which is none of this run's"):
                cluster.mode.adopt(cluster)  # type: ignore[attr-defined]
            cluster.mode.withdraw(cluster, app)  # type: ignore[attr-defined]
            assert [each.running for each in theirs.can(Viewing).view(theirs, theirs.nodes[0]).placements] == [True]
    finally:
        theirs.mode.withdraw(theirs, app)  # type: ignore[attr-defined]
    assert theirs.can(Viewing).view(theirs, theirs.nodes[0]).placements == ()
