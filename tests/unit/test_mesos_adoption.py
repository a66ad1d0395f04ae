"""Taking over a Mesos that somebody else runs: over machines of memory and servers on loopback, and over this machine's own processes."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from harness.core.errors import HarnessError, InDoubt
from harness.core.protocols import Cluster
from harness.core.values import App, Definition, Result
from harness.host import private, state
from harness.modes.mesos import Mesos, mesos_adoption, zookeeper
from harness.modes.mesos.mesos_timers import PROFILES, MesosTimers
from harness.testing.ensemble import ZooKeeperServer
from harness.testing.memory_provider import MemoryProvider
from harness.testing.servers import Response
from tests.unit.mesos_upstream import IDS, RUN, Upstream, fine, make, task
from tests.unit.theirs import Theirs


@dataclass
class Found:
    """A cluster whose agents call their hosts otherwise than we do, what its nodes have, and what was done there."""

    upstream: Upstream
    told: dict[str, dict[str, Any]] = field(default_factory=dict)  # node → what `mesos_adoption._PROGRAM` prints there
    containers: dict[str, list[tuple[str, str, bool]]] = field(default_factory=dict)  # node → id, task, whether it runs
    images: dict[str, set[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Have the nodes answer."""
        cluster = self.upstream.cluster
        cluster.provider = Theirs(store=cluster.provider.store)  # type: ignore[attr-defined]
        addresses = {node.address: [node.address] for node in cluster.nodes}
        members = {f"server.{number}": node.address for number, node in enumerate(cluster.nodes[:3], 1)}
        for number, node in enumerate(cluster.nodes, 1):
            host = f"db{number}"
            self.upstream.called[node.name] = host
            units = {unit: {"LoadState": "loaded", "RestartUSec": "1min 30s"} for unit in UNITS}
            keeper = {"settings": {"tickTime": "500", "syncLimit": "10"}, "members": members} if number <= 3 else {}
            self.told[node.name] = {
                "names": [f"{host}.example.com"],
                "keeper": keeper,
                "addresses": {**addresses, "keeper": [cluster.nodes[0].address]},
                "units": units,
            }
            self.containers[node.name], self.images[node.name] = [], set()
            memory = self.upstream.node(node.name)
            memory.programs["python3"] = lambda argv, _, name=node.name: Result(argv, 0, repr(self.told[name]).encode(), b"")  # type: ignore[misc]
            memory.programs["timeout"] = lambda argv, _, name=node.name: self._docker(name, argv, argv[3:])  # type: ignore[misc]
            memory.programs["docker"] = lambda argv, _, name=node.name: self._docker(name, argv, argv[1:])  # type: ignore[misc]
            memory.programs["sh"] = lambda argv, stdin, name=node.name: self._script(name, argv, stdin)  # type: ignore[misc]
        self.upstream.agents = list(self.upstream.called.values())
        self.upstream.leader = "db2"
        self.upstream.node_of = {host: name for name, host in self.upstream.called.items()}

    def _docker(self, name: str, argv: tuple[str, ...], asked: tuple[str, ...]) -> Result:
        match asked[0]:
            case "ps":
                rows = [f"{number} {job}" for number, job, runs in self.containers[name] if runs or "--all" in asked]
                return Result(argv, 0, "\n".join(rows).encode(), b"")
            case "image" if asked[1] == "inspect":
                there = asked[-1] in self.images[name]
                return Result(argv, 0 if there else 1, b"", b"" if there else b"Error: No such image: web")
            case "image":
                self.images[name].discard(asked[-1])
        return Result(argv, 0, b"", b"")

    def _script(self, name: str, argv: tuple[str, ...], stdin: bytes) -> Result:
        if argv[2] == mesos_adoption._CLEAR:
            self.containers[name] = [each for each in self.containers[name] if each[0] not in argv[4].split()]
        elif argv[4:5] == ("web",):
            self.images[name].add("web")
        return fine(argv, stdin)

    @property
    def cluster(self) -> Cluster:
        """The cluster."""
        return self.upstream.cluster

    def adopt(self) -> Mesos:
        """Take it over."""
        self.upstream.mode.adopt(self.cluster)
        return self.upstream.mode

    def refusal(self) -> str:
        """Return why it cannot be taken over."""
        with pytest.raises(HarnessError) as e:
            self.adopt()
        return str(e.value)


def own(path: str) -> Definition:
    """Return a definition of an app's own, by its id."""
    return Definition("mesos", file="a.json", text="", called=path, container="", label="", portless="", inner=1, most=9, body="{}")


UNITS = [f"{each}.service" for each in ("zookeeper", "mesos-master", "mesos-agent", "marathon", "docker", "containerd")]


def lent(count: int) -> Iterator[Found]:
    """Lend one of so many nodes, with a folder of the run."""
    for upstream in make(count):
        private.folder(state.run_folder(RUN))
        upstream.cluster.apps = ()
        yield Found(upstream)


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> Iterator[Found]:
    """Lend one of three nodes, which is soon taken to be as it will be."""
    monkeypatch.setattr(mesos_adoption, "SETTLED_SECONDS", 2.0)
    yield from lent(3)


# ---------------------------------------------------------------- who is who


def test_hosts_are_known_by_what_mesos_calls_them(found: Found) -> None:
    """By agents, by daemons, by the machine itself, and by address; in another process as well."""
    found.cluster.apps = (App("web", 1),)
    mode = found.adopt()
    assert mode.members(found.cluster) == ("n1", "n2", "n3")
    assert mode.first(found.cluster, "marathon") == mode.first(found.cluster, "mesos-master") == "n2"
    found.upstream.tasks = [task(1, "db3")]
    view = found.upstream.view()
    assert (view.nodes, view.placements[0].node) == (("n1", "n2", "n3"), "n3")
    other = Mesos(ports=mode._ports)
    assert other.members(found.cluster) == ("n1", "n2", "n3")
    found.upstream.leader = "db2.example.com"
    found.upstream.node_of["db2.example.com"] = "n2"
    assert other.first(found.cluster, "marathon") == "n2"


def test_a_pinned_app_goes_to_the_host_by_its_own_name(found: Found) -> None:
    """Constraints know hosts as agents call them."""
    found.adopt()
    app = App("web", 1, pin="n3")
    assert found.upstream.mode._definition(found.cluster, app)["constraints"] == [["hostname", "UNIQUE"], ["hostname", "CLUSTER", "db3"]]


def test_a_name_that_two_machines_have_names_none(found: Found) -> None:
    """As localhost does."""
    for each in found.told.values():
        each["names"] = ["localhost"]
    found.adopt()
    assert "localhost" not in found.upstream.mode._hosts(found.cluster)


def test_members_are_those_that_zookeeper_is_configured_with() -> None:
    """Of six nodes three, whatever we would choose; nobody is asked who it is before it was taken over."""
    for six in lent(6):
        for name in ("n4", "n5", "n6"):
            six.upstream.ensemble[name].close()
        six.upstream.without = {"n4", "n5", "n6"}
        with pytest.raises(HarnessError, match="nobody has asked yet"):
            six.upstream.mode.members(six.cluster)
        assert six.adopt().members(six.cluster) == ("n1", "n2", "n3")


def test_what_is_somebody_elses_is_told_by_nobody(found: Found) -> None:
    """Neither by Marathon nor by nodes: two of a foreign app on one node are no conflict of this run's. On our own clusters everything is told."""
    found.cluster.apps = (App("web", 1),)
    found.adopt()
    found.upstream.tasks = [task(1, "db1"), task(2, "db2", app="/prod/theirs"), task(3, "db2", app="/prod/theirs")]
    assert [each.instance for each in found.upstream.view().placements] == ["web@1"]
    name = found.cluster.instance
    assert [name(each) for each in (f"web@{IDS[1]}", f"prod_theirs@{IDS[2]}", f"prod_theirs.instance-{IDS[3]}._app.1", "web@1")] == [
        "web@1",
        "",
        "",
        "web@1",
    ]
    found.cluster.provider = MemoryProvider()
    assert name(f"prod_theirs@{IDS[2]}") == "prod_theirs@1"


# ---------------------------------------------------------------- what is not taken over


def test_everything_that_is_missing_is_told_at_once(found: Found) -> None:
    """An agent, a Marathon and a member of ZooKeeper; with what came instead of an answer."""
    found.upstream.silent["n1"] = Response(503)
    found.upstream.ensemble["n3"].close()
    told = found.refusal()
    for each in (
        "its Mesos master gives no good answer: 503",
        "its Marathon gives no good answer: 503",
        "no Mesos agent gives a good answer there: 503",
        "its ZooKeeper gives no good answer",
    ):
        assert each in told


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda it: it.upstream.agents.append("db9"), "lists agents that are none of our nodes: db9; work may go there unseen"),
        (lambda it: it.upstream.agents.remove("db1"), "does not list the agents of n1"),
        (lambda it: it.upstream.called.update(n1="db3"), "2 agents call their hosts db3: nobody can tell them apart"),
        (
            lambda it: it.told["n1"]["keeper"]["members"].update({"server.4": "10.9.9.9"}),
            "ZooKeeper of n1 has a member 10.9.9.9 (no address), which is none of our nodes",
        ),
        (
            lambda it: it.told["n2"]["addresses"].update(keeper=["10.9.9.9"]),
            "the master of n2 is given a ZooKeeper keeper (10.9.9.9), which is none of our nodes",
        ),
        (lambda it: setattr(it.upstream.ensemble["n1"], "mode", "looking"), "n1 (127."),
        (lambda it: setattr(it.upstream.ensemble["n3"], "mode", "follower"), "no node says that its member of ZooKeeper leads"),
        (lambda it: setattr(it.upstream.ensemble["n1"], "mode", "leader"), "n1 and n3 says that its member of ZooKeeper leads"),
        (lambda it: setattr(it.upstream, "leader", "elsewhere"), "no node says that its master leads"),
    ],
    ids=[
        "agent elsewhere",
        "agent not listed",
        "one name",
        "member elsewhere",
        "other ensemble",
        "looking",
        "leaderless",
        "two",
        "no master",
    ],
)
def test_what_is_not_as_it_must_be_is_told(found: Found, change: Any, why: str) -> None:
    """Nothing is noted of a cluster that is not taken over, and so nothing is withdrawn from it."""
    change(found)
    assert why in found.refusal()
    assert mesos_adoption.noted(RUN) is None


def test_what_is_so_for_a_moment_only_is_waited_for(found: Found) -> None:
    """An agent that is late with its registration."""
    found.upstream.agents.remove("db1")
    start, behave = found.cluster.clock.now(), found.upstream.answer

    def later(node: str, request: Any) -> Any:
        if found.cluster.clock.now() - start > 1.0 and "db1" not in found.upstream.agents:
            found.upstream.agents.append("db1")
        return behave(node, request)

    found.upstream.answer = later  # type: ignore[method-assign]
    assert found.adopt().members(found.cluster) == ("n1", "n2", "n3")


def test_what_an_app_would_take_from_another_is_told(found: Found) -> None:
    """Its id, its service port, and containers that would be taken for its own."""
    found.cluster.apps = (App("web", 2, port=8100), App("shop", 1, port=8200), App("cart", 1, native=own("/prod/cart")))
    found.upstream.apps = {
        "/cart": {"id": "/cart", "instances": 1},
        "/web": {"id": "/web", "instances": 1},
        "/theirs": {"id": "/theirs", "container": {"docker": {"portMappings": [{"servicePort": 8200}]}}},
    }
    found.containers["n3"] = [("c0ffee", f"shop.instance-{IDS[1]}._app.1", False), ("beef", f"other.instance-{IDS[1]}._app.1", True)]
    told = found.refusal()
    assert "Marathon has an app /web already, which is none of this run's; give the app another name" in told
    assert "Marathon has an app /cart already" in told, "containers are told by the name as well"
    assert "shop has the service port 8200, as the app /theirs that is there already" in told
    assert "n3 has a container c0ffee of an app /shop that is not ours" in told
    assert "beef" not in told


def test_a_node_that_gives_no_answer_is_named(found: Found) -> None:
    """And one whose answer is none."""
    for rubbish in (b"rubbish(", b"{}", b"7", b"{'names': 7, 'keeper': {}, 'addresses': {}, 'units': {}}", b"{'names': [], 'keeper': []}"):
        found.upstream.node("n2").programs["python3"] = lambda argv, _, said=rubbish: Result(argv, 0, said, b"")  # type: ignore[misc]
        assert "n2: expected what runs there, saw" in found.refusal()
    found.upstream.node("n2").on = False
    assert "n2: " in found.refusal()


# ---------------------------------------------------------------- timers


def test_timers_are_those_that_are_in_force(found: Found) -> None:
    """Of masters, Marathon, ZooKeeper and systemd; where pings or ticks are counted otherwise than we count them, what comes to the same."""
    found.upstream.flags |= {
        "agent_ping_timeout": "2secs",
        "max_agent_ping_timeouts": "11",
        "agent_reregister_timeout": "15mins",
        "zk_session_timeout": "500ms",
    }
    found.upstream.settings = {
        "marathon_config": {"reconciliation_initial_delay": 3000, "min_revive_offers_interval": 700},
        "zookeeper_config": {"zk_session_timeout": 20000},
    }
    mode = found.adopt()
    assert mode._timers == MesosTimers(
        agent_ping_timeout=4.0,
        agent_reregister_timeout=900.0,
        zk_session_timeout=20.0,
        zk_tick=1.0,
        restart_delay=90.0,
        reconciliation_initial_delay=3.0,
        min_revive_offers_interval=0.7,
    )
    assert [each for each in mode.remarks if "bears 11 pings" in each]


def test_what_cannot_be_read_is_the_profiles_and_a_remark_says_so(found: Found) -> None:
    """Never a figure out of nowhere."""
    for each in found.told.values():
        each["keeper"], each["units"] = {}, {}
    mode = found.adopt()
    assert mode._timers == PROFILES["default"]
    assert any(each.endswith("could not be read on any node; the profile's own are used") for each in mode.remarks)


@pytest.mark.parametrize("tick", ["0", "-1", "nan", "inf", "1e999"])
@pytest.mark.parametrize("pings", ["-1", "-7", "nan", "inf"])
def test_a_time_that_cannot_be_is_none(found: Found, tick: str, pings: str) -> None:
    """A budget of nothing would convict every cluster, and one without an end none; and the note could not be read again."""
    found.upstream.flags |= {"agent_ping_timeout": "2secs", "max_agent_ping_timeouts": pings}
    for each in found.told.values():
        each["keeper"]["settings"] = {"tickTime": tick, "syncLimit": "5"} if each["keeper"] else {}
    mode = found.adopt()
    timers = PROFILES["default"]
    assert (mode._timers.agent_ping_timeout, mode._timers.zk_tick) == (timers.agent_ping_timeout, timers.zk_tick)
    assert any("agent_ping_timeout" in each and "could not be read on any node" in each for each in mode.remarks)


@pytest.mark.parametrize(("text", "seconds"), [("20s", 20.0), ("1min 30s", 90.0), ("100ms", 0.1), ("infinity", None), ("", None)])
def test_spans_are_read_as_systemd_writes_them(text: str, seconds: float | None) -> None:
    """What is none is none."""
    assert mesos_adoption.span(text) == seconds


def test_a_daemon_without_its_unit_is_asked_for_in_one_line(found: Found) -> None:
    """As upstream's packages call an agent's: with what to do about it."""
    for each in found.told.values():
        each["units"]["mesos-agent.service"] = {"LoadState": "not-found", "RestartUSec": "100ms"}
    (told,) = [each for each in found.adopt().remarks if "mesos-agent" in each]
    assert told.startswith("n1, n2, n3: there is no unit mesos-agent.service, so that nothing can be done to mesos-agent there")
    assert "ln -s /lib/systemd/system/ITS.service /etc/systemd/system/mesos-agent.service" in told


def test_whose_daemons_they_are_is_what_they_say(found: Found) -> None:
    """Ours say it; upstream's need no word."""
    assert found.adopt().distribution == ""
    found.upstream.build = {"build_user": "stand-in"}
    assert found.adopt().distribution == "stand-in"


# ---------------------------------------------------------------- apps


def test_only_what_was_deployed_is_withdrawn(found: Found) -> None:
    """With its ended containers, its image where there was none before, and the run's values in ZooKeeper; twice, and by another process."""
    mode, app = found.adopt(), App("web", 1)
    found.images["n2"] = {"web"}
    found.upstream.apps["/theirs"] = {"id": "/theirs"}
    mesos_adoption.begin(found.cluster, app, mode._daemons())
    found.upstream.apps["/web"] = {"id": "/web", "instances": 1, "labels": {"whalefall.run": RUN}}
    for name in ("n1", "n2"):
        found.images[name].add("web")
    found.containers["n1"] = [("c0ffee", f"web.instance-{IDS[1]}._app.1", False), ("beef", f"theirs.instance-{IDS[2]}._app.1", True)]
    store = mode.store(found.cluster, found.cluster.nodes[0], 5.0)
    store.put("a/1", "x")
    store.close()
    nodes = found.upstream.ensemble["n1"].nodes
    nodes["/mesos"] = b""
    for _ in range(2):
        Mesos(ports=mode._ports).withdraw(found.cluster, app)
        assert {*found.upstream.apps} == {"/theirs"}
        assert [each[0] for each in found.containers["n1"]] == ["beef"]
        assert found.images == {"n1": set(), "n2": {"web"}, "n3": set()}
        assert nodes == {"/mesos": b""}
    noted = mesos_adoption.noted(RUN)
    assert noted is not None
    assert noted.deployed == {}


def test_what_nobody_noted_is_not_touched(found: Found) -> None:
    """Neither where the cluster was not taken over, nor an app that is somebody else's."""
    app, theirs = App("web", 1), {"id": "/web", "instances": 1}
    found.upstream.apps["/web"] = theirs
    found.upstream.mode.withdraw(found.cluster, app)
    with pytest.raises(HarnessError, match="the cluster was not taken over"):
        found.upstream.mode.deploy(found.cluster, app)
    found.adopt()
    with pytest.raises(HarnessError, match="Marathon has an app /web already"):
        found.upstream.mode.deploy(found.cluster, app)
    found.upstream.mode.withdraw(found.cluster, app)
    assert (found.upstream.apps, found.upstream.changes) == ({"/web": theirs}, [])


def test_an_app_with_a_definition_of_its_own_is_removed_by_its_own_id(found: Found) -> None:
    """Whose containers begin with another name than ours."""
    mode = found.adopt()
    own = Definition(
        mode="mesos", file="a.json", text="", called="/prod/shop", container="", label="", portless="", inner=1, most=9, body="{}"
    )
    app = App("web", 1, native=own)
    mesos_adoption.begin(found.cluster, app, mode._daemons())
    found.upstream.apps["/prod/shop"] = {"id": "/prod/shop", "instances": 1}
    found.containers["n2"] = [("c0ffee", f"prod_shop.instance-{IDS[1]}._app.1", False), ("beef", f"web.instance-{IDS[2]}._app.1", True)]
    mode.withdraw(found.cluster, app)
    assert (found.upstream.apps, [each[0] for each in found.containers["n2"]]) == ({}, ["beef"])


def test_what_is_still_there_is_named(found: Found) -> None:
    """A container that does not end; the note of it stays, for whoever tries again."""
    mode, app = found.adopt(), App("web", 1)
    mesos_adoption.begin(found.cluster, app, mode._daemons())
    found.containers["n3"] = [("c0ffee", f"web.instance-{IDS[1]}._app.1", True)]
    with pytest.raises(HarnessError, match=r"web to stop on n3.*containers c0ffee"):
        mode.withdraw(found.cluster, app)
    noted = mesos_adoption.noted(RUN)
    assert noted is not None
    assert [*noted.deployed] == ["web"]


def test_a_note_that_cannot_be_read_is_told(found: Found) -> None:
    """In words, with its place."""
    found.adopt()
    (state.run_folder(RUN) / "control-plane.json").write_text('{"members": 7}')
    with pytest.raises(HarnessError, match=r"the note .*control-plane\.json cannot be read"):
        Mesos().members(found.cluster)


# ---------------------------------------------------------------- ZooKeeper's values


def test_values_are_cleared_with_their_folders_and_no_others() -> None:
    """Twice, and where nothing ever was; a folder that holds something of another run stays."""
    with ZooKeeperServer() as keeper:
        mine = zookeeper.Znodes("127.0.0.1", "whalefall/a", 5.0, keeper.port)
        other = zookeeper.Znodes("127.0.0.1", "whalefall/b", 5.0, keeper.port)
        mine.clear()
        mine.put("r/1", "x")
        mine.put("r/2", "y")
        other.put("r/1", "z")
        for _ in range(2):
            mine.clear()
            assert {*keeper.nodes} == {"/whalefall", "/whalefall/b", "/whalefall/b/r%2F1"}
        other.clear()
        assert keeper.nodes == {}
        keeper.refusal = -4
        with pytest.raises(InDoubt):
            mine.clear()
        mine.close()
        other.close()


# ---------------------------------------------------------------- the program on the node


def test_the_program_tells_of_zookeeper_and_of_names(tmp_path: Path) -> None:
    """By processes that look like them: what is configured, who is called what, and where hosts are. Of secrets nothing."""
    config = tmp_path / "zoo.cfg"
    dynamic = tmp_path / "dynamic"
    config.write_text(f"tickTime=500\nsyncLimit = 7\ndynamicConfigFile={dynamic}\nserver.1=127.0.0.1:2888:3888\n")
    dynamic.write_text("server.2=localhost:2888:3888:participant;2181\nserver.3=127.0.0.3:2888:3888:observer;2181\n")
    wait = "import sys; sys.stdin.read()"
    argvs = (
        ("org.apache.zookeeper.server.quorum.QuorumPeerMain", str(config)),
        ("mesos-master", "--hostname=db1.test", "--credential=hunter2"),
        ("marathon", "--hostname", "db1.marathon"),
    )
    processes = [subprocess.Popen([sys.executable, "-c", wait, *argv], stdin=subprocess.PIPE) for argv in argvs]
    try:
        argv = [sys.executable, "-c", mesos_adoption._PROGRAM, "no-such.service", "--", "127.0.0.9", "no-such-host.invalid"]
        told = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    finally:
        for each in processes:
            each.communicate()
    found = ast.literal_eval(told)
    assert found["keeper"]["settings"] == {"tickTime": "500", "syncLimit": "7"}
    assert found["keeper"]["members"] == {"server.1": "127.0.0.1", "server.2": "localhost"}
    assert {"db1.test", "db1.marathon"} <= {*found["names"]}
    assert found["addresses"]["127.0.0.9"] == ["127.0.0.9"]
    assert found["addresses"]["no-such-host.invalid"] == []
    assert "hunter2" not in told


def test_the_program_waits_for_nothing_that_a_process_names(tmp_path: Path) -> None:
    """Anybody on a host may call a process as ZooKeeper's are called, and name a pipe; and a host may have a name that no name server takes."""
    pipe = tmp_path / "zoo.cfg"
    os.mkfifo(pipe)
    argv = [sys.executable, "-c", "import sys; sys.stdin.read()", "org.apache.zookeeper.server.quorum.QuorumPeerMain", str(pipe)]
    process = subprocess.Popen(argv, stdin=subprocess.PIPE)
    try:
        program = [sys.executable, "-c", mesos_adoption._PROGRAM, "--", "a..b", "x" * 70]
        told = subprocess.run(program, capture_output=True, text=True, check=True, timeout=60.0).stdout
    finally:
        process.communicate()
    found = ast.literal_eval(told)
    assert (found["keeper"], found["addresses"]) == ({}, {"a..b": [], "x" * 70: []})
