"""The fleet mode over machines of memory and servers on loopback."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from harness.core import stops
from harness.core.errors import CommandFailed, Expired, HalfDone, HarnessError, Unreachable
from harness.core.protocols import Cluster, OwnApp
from harness.core.values import App, NodeSpec, Placement, Result, View
from harness.host import private
from harness.host.state import run_folder
from harness.modes import on_nodes
from harness.modes.fleet import Fleet, fleet_adoption
from harness.modes.fleet.fleet_timers import FleetTimers
from harness.testing.fake_clock import FakeClock
from harness.testing.memory_node import MemoryNode
from harness.testing.memory_provider import MemoryProvider
from harness.testing.servers import Behaviour, EtcdServer, Request, Response, Server, ServerTrouble, loopback
from tests.unit.theirs import Theirs

RUN = "fleet-test"


@dataclass
class Registry:
    """A fleet: what the API of every node tells. `silent` names nodes whose API is broken."""

    cluster: Cluster
    mode: Fleet
    machines: list[dict[str, Any]] = field(default_factory=list)
    units: list[dict[str, Any]] = field(default_factory=list)
    states: list[dict[str, Any]] = field(default_factory=list)
    silent: dict[str, Behaviour] = field(default_factory=dict)
    put: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)  # units that were destroyed
    given: dict[str, Any] = field(default_factory=dict)  # unit → what was put of it last

    def answer(self, node: str, request: Request) -> Behaviour:
        """Answer as fleetd on that node."""
        if node in self.silent:
            return self.silent[node]
        if request.method == "PUT":
            self.put.append(request.path.rpartition("/")[2])
            self.given[self.put[-1]] = json.loads(request.body)
            return Response(201, b"")
        if request.method == "DELETE":
            self.gone.append(request.path.rpartition("/")[2])
            return Response(204, b"")
        if request.path == "/":
            return Response()  # an instance of an app that listens on the API's port
        lists = {
            "/fleet/v1/machines": ("machines", self.machines),
            "/fleet/v1/units": ("units", self.units),
            "/fleet/v1/state": ("states", self.states),
        }
        key, rows = lists[request.path]
        return Response(200, json.dumps({key: rows}).encode())

    def view(self) -> View:
        """Ask at the first node."""
        return self.mode.view(self.cluster, self.cluster.nodes[0])

    def node(self, name: str) -> MemoryNode:
        """Return a node as what it is."""
        node = self.cluster.node(name)
        assert isinstance(node, MemoryNode)
        return node

    def configured(self, name: str) -> tuple[str, str, str]:
        """Return whether a node was made an etcd member ("1", "0"), and its configurations of etcd and of fleet."""
        (call,) = [each for each in self.node(name).calls if each[0] == "sh"]
        return call[5], call[6], call[7]


def state(unit: str, number: int, active: str = "active", sub: str = "running") -> dict[str, Any]:
    """Return a row of unit state."""
    return {"name": unit, "machineID": f"id{number}", "systemdActiveState": active, "systemdSubState": sub, "systemdLoadState": "loaded"}


def unit(name: str, number: int | None, current: str = "launched") -> dict[str, Any]:
    """Return a unit with its home, if any."""
    return {"name": name, "desiredState": "launched", "currentState": current, "machineID": f"id{number}" if number else ""}


def fine(argv: tuple[str, ...], stdin: bytes) -> Result:
    """Run without trouble."""
    return Result(argv, 0, b"fine\n", stdin)


def make(count: int) -> Iterator[Registry]:
    """Lend a fleet of so many nodes, each listed by fleet as id1, id2 and so on."""
    names = [f"n{number}" for number in range(1, count + 1)]
    provider = MemoryProvider()
    addresses = [loopback() for _ in names]
    nodes = provider.create(RUN, [NodeSpec(name, address) for name, address in zip(names, addresses, strict=True)])
    for node in nodes:
        assert isinstance(node, MemoryNode)
        node.programs.update({"sh": fine, "timeout": fine, "journalctl": fine})
    servers: list[Server] = []
    try:
        first = Server(lambda _: ServerTrouble.CLOSE, addresses[0])
        servers += [first, *(Server(lambda _: ServerTrouble.CLOSE, address, first.port) for address in addresses[1:])]
        clock = FakeClock(moves_itself=True)
        mode = Fleet(port=first.port)
        fleet = Registry(Cluster(RUN, nodes, provider, mode, clock, apps=(App("web", 3, "web"),)), mode)
        fleet.machines = [
            {"id": f"id{number}", "primaryIP": address, "metadata": {"name": name}}
            for number, (name, address) in enumerate(zip(names, addresses, strict=True), 1)
        ]
        for name, server in zip(names, servers, strict=True):
            server.behave = lambda request, name=name: fleet.answer(name, request)  # type: ignore[misc]  # a default binds the name
            server.__enter__()
        yield fleet
    finally:
        for server in servers:
            server.close()


@pytest.fixture
def fleet() -> Iterator[Registry]:
    """A fleet of three nodes."""
    yield from make(3)


@pytest.fixture
def big() -> Iterator[Registry]:
    """A fleet of six nodes."""
    yield from make(6)


UNIT = """\
[Service]
ExecStart=/usr/bin/docker run --name hello-%i \\
  -e KEY=geheim web
[X-Fleet]
Conflicts=front@*.service
"""


def own(instances: int) -> App:
    """Return an app with a unit file of its own, whose units are not called as the app is."""
    return Fleet().define(OwnApp("hello", "front@.service", UNIT, instances))


def test_a_unit_file_of_its_own_is_submitted_as_it_stands(fleet: Registry) -> None:
    """One an instance, called as the file is; it counts as started when it runs, for it may speak no HTTP."""
    fleet.cluster.apps = (own(2),)
    fleet.units = [unit("front@1.service", 1), unit("front@2.service", 2)]
    fleet.states = [state("front@1.service", 1), state("front@2.service", 2)]
    fleet.mode.deploy(fleet.cluster, own(2))
    assert fleet.put == ["front%401.service", "front%402.service"]
    assert fleet.given["front%401.service"]["options"] == [
        {"section": "Service", "name": "ExecStart", "value": "/usr/bin/docker run --name hello-%i \\\n  -e KEY=geheim web"},
        {"section": "X-Fleet", "name": "Conflicts", "value": "front@*.service"},
    ]
    assert [(each.instance, each.node) for each in fleet.view().placements] == [("hello@1", "n1"), ("hello@2", "n2")]


def test_units_of_its_own_are_scaled_and_started_anew_by_their_own_names(fleet: Registry) -> None:
    """As those that we write."""
    fleet.cluster.apps = (own(2),)
    fleet.mode.scale(fleet.cluster, own(2), 3)
    assert fleet.put == ["front%403.service"]
    fleet.units = [unit("front@1.service", 1, "loaded")]
    fleet.states = [state("front@1.service", 1, "inactive", "dead")]
    with pytest.raises(Expired, match=r"front@1.service to run again"):
        fleet.mode.restart(fleet.cluster, own(1))
    assert fleet.put[1:3] == ["front%401.service"] * 2


@pytest.mark.parametrize(
    ("option", "shown"), [("--name hello-%i", "{{.Names}}"), ("--label com.shop.number=hello-%i", '{{.Label "com.shop.number"}}')]
)
def test_units_of_its_own_are_withdrawn_with_the_containers_that_they_made(fleet: Registry, option: str, shown: str) -> None:
    """Those that are called as they would call them, and no others; what once had a higher number goes as well."""
    app = Fleet().define(OwnApp("hello", "front@.service", UNIT.replace("--name hello-%i", option), 1))
    run = [b"abc hello-1\ndef other-1\n", b""]
    for node in fleet.cluster.nodes:
        left = [*run]

        def docker(argv: tuple[str, ...], stdin: bytes, left: list[bytes] = left) -> Result:
            assert argv[-1] == f"{{{{.ID}}}} {shown}"
            every = b"abc hello-1\nghi hello-3\ndef hello-x\n"
            return Result(argv, 0, every if "--all" in argv else left.pop(0), stdin)

        fleet.node(node.name).programs["timeout"] = docker
    fleet.units = []
    fleet.mode.withdraw(fleet.cluster, app)
    assert set(fleet.gone) == {"front%401.service"}
    cleared = [each for each in fleet.node("n1").calls if each[0] == "sh"]
    assert [each[4:] for each in cleared] == [("abc ghi", "front@1.service")]


@pytest.mark.parametrize("theirs", [True, False], ids=["theirs", "ours"])
def test_what_a_run_wrote_into_etcd_is_removed_from_a_fleet_of_somebody_else(fleet: Registry, *, theirs: bool) -> None:
    """Through whichever member answers, and nothing else; one of ours goes as a whole."""
    app, first, second = App("web", 1), *fleet.cluster.nodes[:2]
    for node in fleet.cluster.nodes:
        fleet.node(node.name).programs["timeout"] = lambda argv, _: Result(argv, 0, b"", b"")
    fleet.units = []
    fleet.cluster.apps = (app,)
    if theirs:
        fleet.cluster.provider = Theirs(store=fleet.cluster.provider.store)  # type: ignore[attr-defined]
        private.folder(run_folder(fleet.cluster.run_id))
        members = {1: first.name, 2: second.name}
        fleet_adoption.note(fleet.cluster, fleet_adoption.FoundFleet(members, FleetTimers(), deployed={"web": ()}))
    mine, other = f"whalefall/{fleet.cluster.run_id}/a/1", "whalefall/another-run/a/1"
    with EtcdServer(first.address, 2379) as silent, EtcdServer(second.address, 2379) as etcd:
        silent.trouble = ServerTrouble.CLOSE
        etcd.store = {mine: "x", other: "y"}
        fleet.mode.withdraw(fleet.cluster, app)
        assert {*etcd.store} == ({other} if theirs else {mine, other})


def test_what_fleet_refuses_is_told_without_secrets(fleet: Registry) -> None:
    """The unit stands in the message, and no value of its environment."""
    fleet.silent = dict.fromkeys(("n1", "n2", "n3"), Response(400, b'{"error": {"message": "no such option"}}'))
    with pytest.raises(
        HarnessError, match=r"(?s)fleet refuses the unit front@1.service: 400: no such option; the unit is:.*KEY=\*\*\* web"
    ) as caught:
        fleet.mode.deploy(fleet.cluster, own(1))
    assert "geheim" not in str(caught.value)


def test_machines_are_called_by_our_names(fleet: Registry) -> None:
    """By their address first, then by what we called them, and a stranger by its id."""
    fleet.machines[1] = {"id": "id2", "primaryIP": "", "metadata": {"name": "n2"}}
    fleet.machines.append({"id": "id9", "primaryIP": "10.9.9.9"})
    assert fleet.view().nodes == ("id9", "n1", "n2", "n3")


def test_a_unit_runs_only_where_systemd_says_active_and_running(fleet: Registry) -> None:
    """A container that is still being started is not there yet."""
    fleet.units = [unit("web@1.service", 1), unit("web@2.service", 2), unit("web@3.service", 3)]
    fleet.states = [
        state("web@1.service", 1),
        state("web@2.service", 2, "activating", "start-pre"),
        state("web@3.service", 3, "failed", "failed"),
    ]
    assert fleet.view().placements == (
        Placement("web@1", "n1", "active", running=True),
        Placement("web@2", "n2", "activating", running=False),
        Placement("web@3", "n3", "failed", running=False),
    )


def test_a_unit_in_two_places_is_shown_in_both(fleet: Registry) -> None:
    """The rows of a machine that died stay until their TTL."""
    fleet.units = [unit("web@1.service", 2)]
    fleet.states = [state("web@1.service", 2), state("web@1.service", 1)]
    assert [(each.node, each.running) for each in fleet.view().placements] == [("n1", True), ("n2", True)]


def test_a_unit_that_was_placed_and_has_not_been_seen_does_not_run(fleet: Registry) -> None:
    """The schedule's word alone."""
    fleet.units = [unit("web@1.service", 3, "inactive")]
    assert fleet.view().placements == (Placement("web@1", "n3", "inactive", running=False),)


def test_a_unit_without_a_home_is_shown_beside_what_an_old_home_says(fleet: Registry) -> None:
    """Unscheduled, while the row of its dead machine has not run out."""
    fleet.units = [unit("web@1.service", None, "inactive")]
    fleet.states = [state("web@1.service", 1)]
    assert fleet.view().placements == (
        Placement("web@1", None, "inactive", running=False),
        Placement("web@1", "n1", "active", running=True),
    )


def test_a_machine_that_is_no_longer_listed_still_names_its_rows(fleet: Registry) -> None:
    """Its id is all that is known of it."""
    fleet.states = [state("web@1.service", 7)]
    assert fleet.view().placements == (Placement("web@1", "id7", "active", running=True),)


def test_a_machine_that_was_listed_once_keeps_its_name(fleet: Registry) -> None:
    """Whoever reads of it sees which node it is; it is not listed by that."""
    fleet.states = [state("web@1.service", 1)]
    assert fleet.view().nodes == ("n1", "n2", "n3")
    fleet.machines = [each for each in fleet.machines if each["id"] != "id1"]
    view = fleet.view()
    assert view.nodes == ("n2", "n3")
    assert view.placements == (Placement("web@1", "n1", "active", running=True),)


def test_units_of_others_are_not_told(fleet: Registry) -> None:
    """What is no app of the run's has no container that anybody follows, so that it would seem to run nowhere."""
    fleet.units = [unit("web@1.service", 1), unit("pong.service", 1), unit("web.service", 2), unit("db@1.service", None, "inactive")]
    fleet.states = [state("web@1.service", 1), state("pong.service", 1), state("everywhere.service", 2), state("db@2.service", 3)]
    assert fleet.view().placements == (Placement("web@1", "n1", "active", running=True),)


def test_units_that_were_made_for_an_app_are_told_whatever_apps_the_cluster_has(fleet: Registry) -> None:
    """One that is put there, or taken away, beside those of the run: whoever waits for that looks for its units."""
    run = {"section": "Service", "name": "ExecStart", "value": "/usr/bin/docker run --name spare-1 --label whalefall.app=spare image"}
    fleet.units = [unit("web@1.service", 1), {**unit("spare@1.service", 2), "options": [run]}, unit("pong@1.service", 3)]
    fleet.states = [state("spare@1.service", 2), state("pong@1.service", 3)]
    assert [each.instance for each in fleet.view().placements] == ["spare@1", "web@1"]


def test_a_global_unit_is_not_without_a_home(fleet: Registry) -> None:
    """It never has one, and runs by its state rows."""
    fleet.units = [{"name": "log.service", "options": [{"section": "X-Fleet", "name": "Global", "value": "true"}]}]
    assert fleet.view().placements == ()


def test_a_broken_api_is_no_view(fleet: Registry) -> None:
    """Half a view would be a wrong one."""
    fleet.silent["n1"] = Response(503, b'{"error": {"code": 503, "message": "no etcd"}}')
    with pytest.raises(Unreachable, match=r"n1: .*503: no etcd"):
        fleet.view()


def test_forming_makes_three_members_with_the_same_list(fleet: Registry) -> None:
    """Each etcd knows itself by its node's name, each fleetd knows all members, and the timers are the mode's."""
    fleet.mode.form(fleet.cluster)
    addresses = [node.address for node in fleet.cluster.nodes]
    member, etcd, conf = fleet.configured("n2")
    assert member == "1"
    assert "ETCD_NAME=n2\n" in etcd
    assert f"ETCD_INITIAL_CLUSTER=n1=http://{addresses[0]}:2380,n2=http://{addresses[1]}:2380,n3=http://{addresses[2]}:2380\n" in etcd
    assert "ETCD_INITIAL_CLUSTER_TOKEN=fleet-test\n" in etcd
    assert "ETCD_ENABLE_V2=true\n" in etcd
    assert "ETCD_HEARTBEAT_INTERVAL=100\nETCD_ELECTION_TIMEOUT=1000\n" in etcd
    assert f'etcd_servers=["http://{addresses[1]}:2379", "http://{addresses[0]}:2379", "http://{addresses[2]}:2379"]\n' in conf
    assert 'agent_ttl="30s"\nengine_reconcile_interval=2\n' in conf
    assert f'public_ip="{addresses[1]}"\nmetadata="name=n2"\n' in conf


def test_six_nodes_have_five_members(big: Registry) -> None:
    """The sixth runs fleetd alone, and knows all five."""
    big.mode.form(big.cluster)
    assert big.mode.members(big.cluster) == ("n1", "n2", "n3", "n4", "n5")
    member, _, conf = big.configured("n6")
    assert (member, conf.count(":2379")) == ("0", 5)


def test_a_fleet_that_does_not_form_says_what_each_node_lacks(fleet: Registry) -> None:
    """One API is broken, one machine is not listed: every node is late, and says why."""
    fleet.silent["n2"] = Response(503, b'{"error": {"message": "no etcd"}}')
    fleet.machines.pop()
    fleet.mode._form_seconds = 1.0
    with pytest.raises(Expired, match=r"(?s)not ready: n1, n2, n3; .*n1: .*lists n1, n2\n.*n2: .*503: no etcd\n"):
        fleet.mode.form(fleet.cluster)


def test_a_node_that_refuses_its_configuration_ends_the_forming_at_once(fleet: Registry) -> None:
    """The others do not wait for it in vain."""
    fleet.node("n3").refused["sh"] = 1
    fleet.machines.pop()
    with pytest.raises(CommandFailed, match=r"n3: .*refused"):
        fleet.mode.form(fleet.cluster)


def test_deploying_waits_for_what_can_have_a_home_and_answers(fleet: Registry) -> None:
    """Four instances that must not meet have three homes."""
    web = App("web", 4, port=fleet.mode._port - 1)  # so that instance 1 "listens" where the double does
    fleet.units = [unit("web@1.service", 1), unit("web@2.service", 2)]
    fleet.states = [state("web@1.service", 1), state("web@2.service", 2)]
    fleet.mode._deploy_seconds = 1.0
    with pytest.raises(
        Expired, match=r"3 of 4 instances of web .*web@1 active on n1, port \d+ answers; web@2 active on n2, port \d+ gives no"
    ):
        fleet.mode.deploy(fleet.cluster, web)
    assert fleet.put == ["web%401.service", "web%402.service", "web%403.service", "web%404.service"]


def test_deploying_a_pinned_app_ends_as_soon_as_its_node_has_one(fleet: Registry) -> None:
    """Two that must not meet, pinned to one node: one home. Through the second API, since the first is broken."""
    web = App("web", 2, port=fleet.mode._port - 1, pin="n2")
    fleet.silent["n1"] = ServerTrouble.CLOSE
    fleet.states = [state("web@1.service", 2)]
    fleet.mode.deploy(fleet.cluster, web)
    assert fleet.node("n3").calls[0][4:] == ("web", "/usr/share/whalefall/images/web")


def test_logs_are_kept_part_by_part(fleet: Registry) -> None:
    """A part that could not be had says so, and a node that is off is silent."""
    node = fleet.node("n1")
    node.raises[2] = Unreachable("n1", "something", "too slow")
    logs = fleet.mode.logs(node)
    assert sum(b"could not be had" in each for each in logs.values()) == 1
    assert {*logs} == {"etcd.log", "fleet.log", "docker.log", "units.log", "failed-units.txt", "containers.txt"}
    node.refused["timeout"] = 124
    assert all(b"exit status 124" in each for each in fleet.mode.logs(node).values())
    node.on = False
    with pytest.raises(Unreachable):
        fleet.mode.logs(node)


def test_a_member_names_the_leader_it_follows(fleet: Registry) -> None:
    """By the node's name; nobody while it knows of none; and a member that was not known before is looked up."""
    node = fleet.cluster.nodes[0]
    with EtcdServer(node.address, 2379) as etcd, fleet.mode.asking(fleet.cluster, node) as ask:
        etcd.term, etcd.leader_id, etcd.members = 5, 2, {1: "n1", 2: "n2"}
        assert ask() == (5, "n2")
        etcd.leader_id = 0
        assert ask() == (5, None)
        etcd.leader_id, etcd.members = 3, {1: "n1", 2: "n2", 3: "n3"}
        assert ask() == (5, "n3")


def test_a_member_that_gives_no_status_is_unreachable(fleet: Registry) -> None:
    """Broken or not there, it has said nothing."""
    node = fleet.cluster.nodes[0]
    with fleet.mode.asking(fleet.cluster, node) as ask:
        with EtcdServer(node.address, 2379) as etcd:
            etcd.trouble = Response(503, b"etcdserver: not ready")
            with pytest.raises(Unreachable, match=r"n1: .*not ready"):
                ask()
        with pytest.raises(Unreachable, match=r"n1: .*refused"):
            ask()


def test_an_election_is_given_ten_of_etcds_timeouts() -> None:
    """Ten seconds at etcd's default of one."""
    assert Fleet().election() == pytest.approx(10.0)
    assert Fleet.from_timers("default", {"etcd_election_timeout": 2.0}).election() == pytest.approx(20.0)


def test_registers_are_keys_in_etcd(fleet: Registry) -> None:
    """Through the member that is asked for, below the run's own name: what another run left in the same etcd is not seen."""
    node = fleet.cluster.nodes[0]
    with EtcdServer(node.address, 2379) as etcd:
        etcd.store["whalefall/another-run/a/1"] = "y"
        etcd.store["a/1"] = "z"
        store = fleet.mode.store(fleet.cluster, node, 5.0)
        assert (store.get("a/1"), store.prefix("a/")) == (None, {})
        store.put("a/1", "x")
        assert (store.get("a/1"), store.prefix("a/")) == ("x", {"a/1": "x"})
        store.close()
        assert etcd.store[f"whalefall/{fleet.cluster.run_id}/a/1"] == "x"


# -- adopting: which machines there are


@pytest.fixture
def rows(fleet: Registry, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """A fleet on which there is nothing to find out but its machines."""
    monkeypatch.setattr(fleet_adoption, "_members", lambda *_: {1: "n1", 2: "n2", 3: "n3"})
    for each in fleet.cluster.nodes:
        fleet.node(each.name).programs["python3"] = lambda argv, _: Result(argv, 0, b"{}", b"")
    return fleet


def later(fleet: Registry, seconds: float, change: Callable[[], object]) -> None:
    """Have something change on the cluster once its clock has moved on by so much."""
    behave = fleet.answer
    start = fleet.cluster.clock.now()

    def answer(node: str, request: Request) -> Behaviour:
        if fleet.cluster.clock.now() - start >= seconds:
            change()
        return behave(node, request)

    fleet.answer = answer  # type: ignore[method-assign]


def test_a_machine_that_is_late_with_its_heartbeat_is_waited_for(rows: Registry) -> None:
    """A busy fleetd drops out of every list until its next one: the cluster is there all the same."""
    missing = rows.machines.pop(1)
    later(rows, 10.0, lambda: rows.machines.append(missing) if missing not in rows.machines else None)
    rows.mode.adopt(rows.cluster)
    assert 10.0 <= rows.cluster.clock.now() < rows.mode.timers["agent_ttl"]


def test_an_api_that_is_silent_for_a_moment_is_waited_for(rows: Registry) -> None:
    """A fleetd restarts."""
    rows.silent["n2"] = ServerTrouble.CLOSE
    later(rows, 5.0, rows.silent.clear)
    rows.mode.adopt(rows.cluster)
    assert 5.0 <= rows.cluster.clock.now() < rows.mode.timers["agent_ttl"]


def test_a_machine_that_stays_away_is_told_after_a_lease(rows: Registry) -> None:
    """Waiting ends, and the last word is told."""
    del rows.machines[1]
    with pytest.raises(HarnessError, match=r"n1: fleet there does not list n2\n  n2: fleet there does not list n2\n  n3: fleet"):
        rows.mode.adopt(rows.cluster)
    assert rows.cluster.clock.now() == pytest.approx(rows.mode.timers["agent_ttl"], abs=1.0)


def test_what_time_does_not_mend_is_told_at_once(rows: Registry) -> None:
    """A stranger among the machines, or no fleet anywhere."""
    del rows.machines[1]
    rows.machines.append({"id": "id9", "primaryIP": "10.9.9.9"})
    with pytest.raises(HarnessError, match=r"(?s)does not list n2.*none of our nodes: 10\.9\.9\.9"):
        rows.mode.adopt(rows.cluster)
    rows.silent.update(dict.fromkeys(("n1", "n2", "n3"), ServerTrouble.CLOSE))
    with pytest.raises(HarnessError, match="fleet lists nothing"):
        rows.mode.adopt(rows.cluster)
    assert rows.cluster.clock.now() == 0.0


def test_processes_are_known_by_their_units(fleet: Registry) -> None:
    """What the mode does not run it does not name."""
    assert [fleet.mode.unit(each) for each in ("etcd", "fleetd", "docker", "marathon")] == [
        "etcd.service",
        "fleet.service",
        "docker.service",
        None,
    ]


# ---------------------------------------------------------------- started anew


def restarting(
    fleet: Registry, monkeypatch: pytest.MonkeyPatch, *names: str, homeless: str = "", refuses: str = "", stuck: str = ""
) -> list[str]:
    """Let a fleet have these units, and return what it does with them: it stops one that is to be loaded only, and runs one that is launched.

    One is without a home; one it `refuses` to change, by its name and the state that is asked for; and one is `stuck` where it stopped.
    """
    done: list[str] = []
    fleet.units = [unit(each, None if each == homeless else number, "inactive") for number, each in enumerate(names, 1)]
    fleet.states = [state(each, number) for number, each in enumerate(names, 1) if each != homeless]
    plain = fleet.answer

    def answer(node: str, request: Request) -> Behaviour:
        if request.method != "PUT" or node in fleet.silent:
            return plain(node, request)
        asked = json.loads(request.body)
        name, wanted = asked["name"], asked["desiredState"] + " as another" * ("options" in asked)
        if f"{name} {wanted}" == refuses:
            return Response(409, b'{"error": {"code": 409, "message": "no such unit"}}')
        done.append(f"{name} {wanted}")
        row = next((each for each in fleet.states if each["name"] == name), {})
        runs = wanted != "loaded" and name != stuck
        if homeless and (name == names[-1] or name == homeless) and wanted != "loaded":
            fleet.states.append(state(homeless, len(names)))  # it was placed at last
        row["systemdActiveState"], row["systemdSubState"] = ("active", "running") if runs else ("failed", "failed")
        return Response(204, b"")

    fleet.answer = answer  # type: ignore[method-assign]  # what this fleet does
    monkeypatch.setattr(on_nodes, "http_silence", lambda *_: "")
    return done


def test_units_are_started_anew_one_after_the_other(fleet: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has stopped before it is started, and runs before the next is stopped; one without a home has nothing to be stopped, and is waited for."""
    done = restarting(fleet, monkeypatch, "web@1.service", "web@2.service", "web@3.service", homeless="web@2.service")
    fleet.silent["n1"] = Response(503, b'{"error": {"code": 503, "message": "no etcd"}}')
    fleet.mode.restart(fleet.cluster, App("web", 3))
    assert done == ["web@1.service loaded", "web@1.service launched", "web@3.service loaded", "web@3.service launched"]


@pytest.mark.parametrize(
    ("refuses", "stuck", "error", "words", "done"),
    [
        ("web@1.service loaded", "", HarnessError, "refuses the unit web@1.service: 409: no such unit", []),
        ("web@1.service launched", "", HalfDone, "web@1.service was stopped, and then: ", ["web@1.service loaded"]),
        (
            "web@2.service loaded",
            "",
            HalfDone,
            "1 units of web were started anew, and then: ",
            ["web@1.service loaded", "web@1.service launched"],
        ),
        ("", "web@1.service", Expired, "web@1.service to run again", ["web@1.service loaded", "web@1.service launched"]),
    ],
    ids=["the first is refused", "the start is refused", "the second is refused", "it does not come back"],
)
def test_how_far_a_restart_came_is_told(
    fleet: Registry, monkeypatch: pytest.MonkeyPatch, refuses: str, stuck: str, error: type[HarnessError], words: str, done: list[str]
) -> None:
    """Where nothing was touched that is known as well."""
    found = restarting(fleet, monkeypatch, "web@1.service", "web@2.service", refuses=refuses, stuck=stuck)
    with pytest.raises(HarnessError, match=words) as caught:
        fleet.mode.restart(fleet.cluster, App("web", 2))
    assert type(caught.value) is error
    assert found == done


def test_an_app_without_a_home_is_not_started_anew(fleet: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of it was stopped, and nothing of it runs."""
    done = restarting(fleet, monkeypatch, "web@1.service", homeless="web@1.service")
    with pytest.raises(HarnessError, match="fleet has no unit of web on any machine") as caught:
        fleet.mode.restart(fleet.cluster, App("web", 1))
    assert (type(caught.value), done) == (HarnessError, [])


def test_a_unit_that_is_not_there_is_not_started_anew(fleet: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is any other of its app touched."""
    done = restarting(fleet, monkeypatch, "web@1.service")
    with pytest.raises(HarnessError, match=r"fleet lists no unit web@2\.service, web@3\.service"):
        fleet.mode.restart(fleet.cluster, App("web", 3))
    assert done == []


def test_a_unit_that_was_stopped_is_started_also_where_the_restart_is_cut_off(fleet: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else an app would be one short for as long as the run goes on."""
    done = restarting(fleet, monkeypatch, "web@1.service")
    with pytest.raises(stops.CutOff), stops.listening(lambda: stops.CutOff("it was not done within 1 s") if done else None):
        fleet.mode.restart(fleet.cluster, App("web", 1))
    assert done == ["web@1.service loaded", "web@1.service launched"]


def test_units_become_others_one_after_the_other_where_their_image_is(fleet: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one without a home, which has nothing to be stopped; a node that gives no answer has to see for itself."""
    done = restarting(fleet, monkeypatch, "web@1.service", "web@2.service", homeless="web@2.service")
    fleet.node("n3").on = False
    fleet.mode.update(fleet.cluster, App("web", 2, "web:2"))
    assert done == ["web@1.service loaded", "web@1.service launched as another", "web@2.service launched as another"]
    assert [each[4] for name in ("n1", "n2") for each in fleet.node(name).calls if each[0] == "sh"] == ["web:2", "web:2"]


def test_no_node_is_asked_for_an_image_that_the_app_has(fleet: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Docker that hangs keeps no order from fleet that needs nothing of it."""
    done = restarting(fleet, monkeypatch, "web@1.service")
    fleet.cluster.apps = (App("web", 1),)
    fleet.mode.update(fleet.cluster, App("web", 1, environment=(("A", "1"),)))
    fleet.mode.launch(fleet.cluster, App("web", 2))
    assert done == [f"web@1.service {each}" for each in ("loaded", "launched as another", "launched as another")] + [
        "web@2.service launched as another"
    ]
    assert [each for name in ("n1", "n2", "n3") for each in fleet.node(name).calls if each[0] == "sh"] == []


def test_an_image_that_cannot_be_had_touches_no_unit(fleet: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is known before any was stopped."""
    done = restarting(fleet, monkeypatch, "web@1.service")
    fleet.node("n2").programs["sh"] = lambda argv, _: Result(argv, 3, b"", b"no such image")
    with pytest.raises(HarnessError, match=r"n2: the image 'wep' of web is not there, and could not be pulled: no such image"):
        fleet.mode.update(fleet.cluster, App("web", 1, "wep"))
    assert done == []


def test_an_app_is_removed_when_fleet_shows_none_of_it(fleet: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """A unit is forgotten at once, and its row of state stays until its machine has stopped it."""
    gone: list[str] = []
    fleet.units = [unit("web@1.service", 1), unit("web@2.service", 2), unit("db@1.service", 3)]
    fleet.states = [state("web@1.service", 1), state("web@2.service", 2), state("db@1.service", 3)]
    plain = fleet.answer

    def answer(node: str, request: Request) -> Behaviour:
        if request.method == "DELETE":
            name = request.path.rpartition("/")[2].replace("%40", "@")
            gone.append(name)
            fleet.units = [each for each in fleet.units if each["name"] != name]
            return Response(204, b"")
        if request.path.startswith("/fleet/v1/state") and len(gone) > 1:
            gone.append("")
            fleet.states = [each for each in fleet.states if each["name"] not in gone] if len(gone) > 4 else fleet.states
        return plain(node, request)

    fleet.answer = answer  # type: ignore[method-assign]  # what this fleet does
    fleet.mode.remove(fleet.cluster, App("web", 2))
    assert gone[:2] == ["web@1.service", "web@2.service"]
    assert [each["name"] for each in fleet.states] == ["db@1.service"]


def test_an_app_is_launched_with_all_of_its_units_where_its_image_is(fleet: Registry) -> None:
    """And not before."""
    fleet.mode.launch(fleet.cluster, App("web", 2, "web:2"))
    assert fleet.put == ["web%401.service", "web%402.service"]
    assert {each[4] for name in ("n1", "n2", "n3") for each in fleet.node(name).calls if each[0] == "sh"} == {"web:2"}
