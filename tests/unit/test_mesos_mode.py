"""The mesos mode over machines of memory and servers on loopback."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.core.errors import BadInput, Expired, HarnessError, Unreachable, Unsupported
from harness.core.protocols import of_images, told_as
from harness.core.values import App, Health, Volume
from harness.modes.fleet import Fleet
from harness.modes.mesos import Mesos, configured, marathon_apps, numbering, shipped
from harness.modes.mesos.marathon_api import MarathonTask
from harness.modes.mesos.mesos_timers import PROFILES
from harness.plan import Plan, plan_of, provenance
from harness.reports.prose import describe
from harness.reports.verdict_table import title
from harness.testing.fake_clock import FakeClock
from harness.testing.memory_node import MemoryNode
from harness.testing.servers import Behaviour, Response, ServerTrouble
from tests.unit.mesos_upstream import IDS, RUN, Upstream, make, task


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    """Lend a cluster of three nodes."""
    yield from make(3)


# ---------------------------------------------------------------- what is where


def test_a_view_is_the_leaders_wherever_it_is_asked(upstream: Upstream) -> None:
    """A master that does not lead sends whoever asks on, and there we go; tasks are Marathon's, numbered in the order in which they were staged."""
    upstream.tasks = [task(2, "n3"), task(1, "n2")]
    for name in ("n1", "n2"):
        view = upstream.view(name)
        assert view.nodes == ("n1", "n2", "n3")
        assert [(each.instance, each.node, each.running) for each in view.placements] == [("web@1", "n2", True), ("web@2", "n3", True)]


def test_what_is_unreachable_is_told_as_that_and_its_replacement_has_its_number(upstream: Upstream) -> None:
    """Both stand in one view under one name: so it is seen when both run."""
    upstream.tasks = [task(1, "n2"), task(2, "n3")]
    upstream.view()
    upstream.agents.remove("n2")
    upstream.tasks[0]["state"] = "TASK_UNREACHABLE"
    upstream.tasks.append(task(3, "n1"))
    view = upstream.view()
    assert view.nodes == ("n1", "n3")
    assert [(each.instance, each.node, each.state) for each in view.placements] == [
        ("web@1", "n1", "TASK_RUNNING"),
        ("web@1", "n2", "TASK_UNREACHABLE"),
        ("web@2", "n3", "TASK_RUNNING"),
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        *ServerTrouble,
        Response(503),
        Response(200, b"[]"),
        Response(307, b""),
        Response(200, b'{"slaves": [{}]}'),
        Response(307, b"", "Location: //elsewhere:5050/\r\n"),
    ],
    ids=str,
)
def test_what_is_no_answer_is_no_empty_view(upstream: Upstream, wrong: Behaviour, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever comes in place of an answer says nothing about the cluster."""
    monkeypatch.setattr("harness.modes.mesos.pace.answer", lambda _: 0.3)
    upstream.silent["n1"] = wrong
    with pytest.raises(Unreachable):
        upstream.view("n1")


def test_a_node_without_a_master_is_asked_whom_its_agent_follows() -> None:
    """Of six nodes five are members."""
    for six in make(6):
        six.tasks = [task(1, "n6")]
        assert six.mode.members(six.cluster) == ("n1", "n2", "n3", "n4", "n5")
        assert six.view("n6").placements[0].node == "n6"
        six.leader = ""
        with pytest.raises(Unreachable, match="it follows none"):
            six.view("n6")


# ---------------------------------------------------------------- who an instance is


def test_a_container_is_named_by_the_number_of_its_instance(upstream: Upstream) -> None:
    """By its task's id, or what the agent on its node makes of that; one that nobody has told of is asked for."""
    upstream.tasks = [task(1, "n2"), task(2, "n3")]
    name = upstream.cluster.instance
    assert name(f"web@{IDS[2]}") == "web@2"
    assert name(upstream.tasks[0]["id"]) == "web@1"
    assert [name(each) for each in ("", "web@7", "other", f"web@{IDS[5]}")] == ["", "web@7", "other", f"web@{IDS[5]}"]


def test_who_is_not_known_is_not_asked_for_again_and_again(upstream: Upstream) -> None:
    """What a node says waits for it."""
    clock = FakeClock()
    upstream.cluster.clock = clock
    upstream.silent = dict.fromkeys(("n1", "n2", "n3"), Response(503))
    assert upstream.cluster.instance(f"web@{IDS[1]}") == f"web@{IDS[1]}"
    upstream.silent = {}
    upstream.tasks = [task(1, "n2")]
    assert upstream.cluster.instance(f"web@{IDS[1]}") == f"web@{IDS[1]}"
    clock.advance(1.0)
    assert upstream.cluster.instance(f"web@{IDS[1]}") == "web@1"


def listed(*rows: dict[str, Any]) -> list[MarathonTask]:
    """Return tasks as they are parsed."""
    return [
        MarathonTask(each["id"], each["appId"], each["host"], tuple(each["ports"]), each["state"], each["stagedAt"], each["version"])
        for each in rows
    ]


@pytest.mark.parametrize(
    ("looks", "numbers"),
    [
        ([[task(1, "a"), task(2, "b")], [task(2, "b"), task(3, "a")]], {1: 1, 2: 2, 3: 1}),  # one ended, and another came
        ([[task(1, "a", state="TASK_UNREACHABLE"), task(2, "b"), task(3, "c")]], {1: 1, 2: 1, 3: 2}),  # it was lost before anybody looked
        ([[task(1, "a")], [task(1, "a"), task(2, "b", version="2"), task(3, "c", version="2")]], {1: 1, 2: 2, 3: 1}),  # beside the old one
        ([[task(1, "a"), task(2, "b")], [task(1, "a"), task(2, "b"), task(3, "c")], [task(1, "a"), task(4, "d")]], {3: 3, 4: 2}),
    ],
)
def test_an_instance_has_the_lowest_number_that_is_free(looks: list[list[dict[str, Any]]], numbers: dict[int, int]) -> None:
    """And keeps it; one that is unreachable keeps it from nobody, and in a change of version the new take those of the old."""
    found = numbering.Numbers()
    for rows in looks:
        found.note(listed(*rows), 2)
    assert {number: found.of(IDS[number]) for number in numbers} == numbers


@pytest.mark.parametrize(
    ("told", "instance"),
    [
        (f"web.instance-{IDS[1]}._app.1", IDS[1]),
        (f"prod_web.v2.instance-{IDS[1]}._app.12", IDS[1]),
        (f"web.{IDS[1]}", IDS[1]),
        ("web.instance-1._app.1", None),
        ("web", None),
    ],
)
def test_a_tasks_id_names_its_instance(told: str, instance: str | None) -> None:
    """As Marathon makes them now, and as it made them in 2014."""
    assert numbering.instance_id(told) == instance


# ---------------------------------------------------------------- who leads


def test_a_follower_follows_whoever_leads_in_its_epoch(upstream: Upstream) -> None:
    """It does not say whom: the one that says that it leads in the same is asked for."""
    claims = {}
    for node in upstream.cluster.nodes:
        with upstream.mode.asking(upstream.cluster, node) as ask:
            claims[node.name] = ask()
    assert claims == dict.fromkeys(("n1", "n2", "n3"), (2, "n3"))


def test_a_member_of_no_quorum_follows_nobody_and_one_of_an_epoch_without_a_leader_could_not_be_asked(upstream: Upstream) -> None:
    """The first says so; of the other nobody knows."""
    with upstream.mode.asking(upstream.cluster, upstream.cluster.node("n1")) as ask:
        assert ask() == (2, "n3")
        upstream.ensemble["n1"].mode = "looking"
        assert ask() == (2, None)
        upstream.ensemble["n1"].mode, upstream.ensemble["n1"].epoch = "follower", 3
        with pytest.raises(Unreachable, match="epoch 3"):
            ask()
        upstream.ensemble["n2"].mode, upstream.ensemble["n2"].epoch = "leader", 3
        assert ask() == (3, "n2")


# ---------------------------------------------------------------- forming and deploying


def test_each_node_is_handed_what_it_is_to_be(upstream: Upstream) -> None:
    """A member all of it; the stand-ins beside the configurations, in one archive."""
    upstream.mode.form(upstream.cluster)
    (call,) = [each for each in upstream.node("n1").calls if each[0] == "sh"]
    assert call[5:8] == ("1", "", "20s"), "all of it starts at once"
    files = configured.files(upstream.cluster.nodes[0], upstream.cluster.nodes, PROFILES["fast"])
    assert "tickTime=500\n" in files["etc/zookeeper/conf/zoo.cfg"]
    assert "--agent_ping_timeout=1.5secs" in files["etc/default/mesos-master"]
    assert "--quorum=2" in files["etc/default/mesos-master"]
    assert "--zk_session_timeout 6000" in files["etc/default/marathon"]
    with tarfile.open(fileobj=io.BytesIO(shipped.archive(files))) as tar:
        names = tar.getnames()
    assert {"etc/default/mesos-agent", "usr/local/lib/mesos/feeder/__main__.py"} <= {*names}
    assert not [each for each in names if "__pycache__" in each]
    other = configured.files(MemoryNode("n9", "10.0.0.9"), upstream.cluster.nodes, PROFILES["fast"])
    assert [*other] == ["etc/default/mesos-agent", "etc/default/haproxy-feeder", "etc/haproxy/haproxy.cfg"]


def test_on_slow_machines_nothing_that_needs_zookeeper_starts_before_it_has_a_leader(upstream: Upstream) -> None:
    """Four daemons that try it all along would take the time that it needs to start. And Docker starts before either."""
    upstream.mode.unhurried(1.0)
    upstream.ensemble["n2"].mode = "looking"
    upstream.mode._form_seconds = 2.0  # each look asks real servers
    with pytest.raises(Expired, match="n2: ZooKeeper to have a leader: "):
        upstream.mode.form(upstream.cluster)
    upstream.mode._form_seconds = 60.0
    calls = upstream.node("n1").calls
    first = next(each for each in calls if each[0] == "sh")
    assert "docker" in [each for call in calls for each in call], "it is waited for"
    late = {f"{each}.service" for each in ("mesos-master", "marathon", "mesos-agent", "haproxy", "haproxy-feeder")}
    assert {*first[6].split()} == late
    assert [each for each in calls if late <= {*each}] == []
    upstream.ensemble["n2"].mode = "follower"
    upstream.mode.form(upstream.cluster)
    assert [each[2] for each in calls if late <= {*each}] == ['exec systemctl start --no-block "$@"']


def test_a_cluster_that_does_not_form_says_what_was_seen(upstream: Upstream) -> None:
    """Of each node that was not ready in time."""
    upstream.agents.remove("n3")
    with pytest.raises(Expired, match="lists n1, n2") as error:
        upstream.mode.form(upstream.cluster)
    assert "not ready: n1, n2, n3" in str(error.value)


def test_an_app_is_deployed_once_all_of_it_answers(upstream: Upstream) -> None:
    """On the ports that Mesos chose; it is given to Marathon once, also where an answer was lost."""
    app = App("web", 2)
    port = upstream.mode._ports[0]
    upstream.tasks = [task(1, "n1", port=port), task(2, "n2", port=port)]
    upstream.mode.deploy(upstream.cluster, app)
    assert upstream.apps["/web"]["constraints"] == [["hostname", "UNIQUE"]]
    assert upstream.mode.port(upstream.cluster, app, "web@1", upstream.cluster.nodes[0]) == port
    assert upstream.mode.port(upstream.cluster, app, "web@1", upstream.cluster.nodes[1]) is None
    upstream.mode.deploy(upstream.cluster, app)
    assert upstream.changes == [("POST", "/v2/apps")] * 2


def test_what_keeps_an_app_from_being_launched_is_told_in_marathons_words(upstream: Upstream) -> None:
    """Why it took no offer, and how a task ended; of this app alone. That it does not say it makes nothing worse."""
    declined = [
        {"reason": reason, "declined": count, "processed": 3} for reason, count in (("UnfulfilledRole", 0), ("InsufficientCpus", 3))
    ]
    items = [{"app": {"id": name}, "processedOffersSummary": {"rejectSummaryLastOffers": declined}} for name in ("/web", "/other")]
    upstream.queue = {"queue": items}
    failure = {"host": "n2", "state": "TASK_FAILED", "message": "Docker knows no image nosuch"}
    upstream.mode._deploy_seconds = 2.0  # each look asks real servers
    with pytest.raises(Expired) as error:
        upstream.mode.deploy(upstream.cluster, App("web", 2))
    assert error.value.saw == "Marathon lists no task of it\nMarathon took none of 3 offers: InsufficientCpus"
    upstream.apps["/web"]["lastTaskFailure"] = failure
    upstream.queue = {"queue": []}
    with pytest.raises(Expired, match="a task on n2 ended as TASK_FAILED: Docker knows no image nosuch"):
        upstream.mode.deploy(upstream.cluster, App("web", 2))
    upstream.queue = []
    with pytest.raises(Expired, match=r"(?s)Marathon lists no task of it.*an answer of another shape"):
        upstream.mode.deploy(upstream.cluster, App("web", 2))


def test_an_app_of_another_run_is_left_alone(upstream: Upstream) -> None:
    """Whatever is to be done to it."""
    upstream.apps["/web"] = {"id": "/web", "instances": 1, "labels": {"whalefall.run": "another"}}
    web = App("web", 2)
    for ask in (upstream.mode.launch, upstream.mode.remove, upstream.mode.update, lambda *_: upstream.mode.scale(upstream.cluster, web, 3)):
        with pytest.raises(HarnessError, match="none of this run's"):
            ask(upstream.cluster, web)
    assert upstream.apps["/web"]["instances"] == 1


def test_what_marathon_refuses_is_told_in_its_own_words(upstream: Upstream) -> None:
    """With its details; and what it cannot do now is asked again until there is no time left."""
    upstream.status = 422
    with pytest.raises(HarnessError, match=r"422: no \(/id: bad\)"):
        upstream.mode.launch(upstream.cluster, App("web", 2))
    upstream.status = 503
    with pytest.raises(Expired, match="503"):
        upstream.mode.launch(upstream.cluster, App("web", 2))


def test_an_app_is_scaled_up_and_not_down_and_removed(upstream: Upstream) -> None:
    """Marathon chooses itself which tasks stop."""
    app = App("web", 2)
    upstream.mode.launch(upstream.cluster, app)
    upstream.mode.scale(upstream.cluster, app, 30)
    assert upstream.apps["/web"]["instances"] == 30
    with pytest.raises(HarnessError, match="as many or more"):
        upstream.mode.scale(upstream.cluster, app, 1)
    upstream.tasks = [task(1, "n1"), task(2, "n1", app="/other")]
    for _ in range(2):
        upstream.mode.remove(upstream.cluster, app)
    assert not upstream.apps
    assert [each["appId"] for each in upstream.tasks] == ["/other"]


# ---------------------------------------------------------------- draining


def test_an_agent_is_drained_and_offered_again_by_the_leading_master(upstream: Upstream) -> None:
    """Twice is fine, and so is one that nobody has drained; one that is still being drained is waited for."""
    mode, node = upstream.mode, upstream.cluster.nodes[0]
    for _ in range(2):
        mode.drain(upstream.cluster, node)
        assert upstream.operated == [("DRAIN_AGENT", "n1-S0")]
    upstream.drained["n1"] = "DRAINING"
    with pytest.raises(Expired, match="still being drained"):
        mode.undrain(upstream.cluster, node)
    upstream.drained["n1"] = "DRAINED"
    for _ in range(2):
        mode.undrain(upstream.cluster, node)
    mode.undrain(upstream.cluster, upstream.cluster.nodes[1])
    assert upstream.operated[1:] == [("REACTIVATE_AGENT", "n1-S0")]


def test_an_agent_that_nobody_knows_or_that_nobody_can_be_asked_for_is_not_drained(upstream: Upstream) -> None:
    """The first is said at once; the other is tried until there is no time left."""
    upstream.agents.remove("n1")
    with pytest.raises(HarnessError, match="lists no agent of n1"):
        upstream.mode.drain(upstream.cluster, upstream.cluster.nodes[0])
    upstream.silent = dict.fromkeys(("n1", "n2", "n3"), Response(503))
    with pytest.raises(Expired, match="no master says that it leads"):
        upstream.mode.drain(upstream.cluster, upstream.cluster.nodes[1])
    assert upstream.operated == []


# ---------------------------------------------------------------- definitions


def test_an_app_is_written_as_marathon_has_it() -> None:
    """With all that a scenario may give one."""
    health = Health(http="/health", every=1.5, timeout=0.5, retries=2, start_period=3.0)
    app = App("web", 3, pin="n2", environment=(("A", "1"),), labels=(("team", "x"),), health=health, command=("serve", "-v"))
    app = replace(app, volumes=(Volume("/data/web", "/data", read_only=True), Volume("kept", "/kept")))
    body: Any = marathon_apps.definition(app, RUN)
    assert body["constraints"] == [["hostname", "UNIQUE"], ["hostname", "CLUSTER", "n2"]]
    assert body["upgradeStrategy"] == {"minimumHealthCapacity": 0.6666, "maximumOverCapacity": 0.0}
    assert body["args"] == ["serve", "-v"]
    assert body["container"]["docker"]["parameters"] == [
        {"key": "label", "value": "whalefall.app=web"},
        {"key": "label", "value": "team=x"},
        {"key": "volume", "value": "kept:/kept"},
    ]
    assert body["container"]["volumes"] == [{"containerPath": "/data", "hostPath": "/data/web", "mode": "RO"}]
    assert body["healthChecks"] == [
        {
            "protocol": "HTTP",
            "path": "/health",
            "portIndex": 0,
            "intervalSeconds": 2,
            "timeoutSeconds": 1,
            "gracePeriodSeconds": 3,
            "maxConsecutiveFailures": 2,
        }
    ]
    line: Any = marathon_apps.definition(replace(app, health=Health(words=("a b", "c"))), RUN)
    assert line["healthChecks"] == [{"protocol": "COMMAND", "command": {"value": "'a b' c"}}]


@pytest.mark.parametrize("name", ["Web", "web_1", "-web", "w" * 64])
def test_a_name_that_marathon_would_not_take_is_refused(name: str) -> None:
    """When the scenario is read, and before anything is sent."""
    assert [key for key, *_ in Mesos().refused(App(name, 1))] == ["name"]
    with pytest.raises(HarnessError, match="cannot name an app of Marathon's"):
        marathon_apps.definition(App(name, 1), RUN)
    assert [key for key, *_ in Mesos().refused(App("web", 1, restart="no"))] == ["restart"]


# ---------------------------------------------------------------- what stands in


def test_who_reads_of_it_reads_that_it_is_a_stand_in(tmp_path: Path) -> None:
    """In a plan that was saved and read back, as in one that is made; its name alone stays what it is asked by."""
    file = tmp_path / "loss.yaml"
    file.write_text(SCENARIO)
    made = plan_of(file, mode=None, provider=None, profile=None, seed=1)
    for each in (made, Plan.from_json(json.loads(json.dumps(made.to_json())))):
        assert (each.mode, each.orchestrator) == ("mesos", "mesos (stand-in)")
        assert "orchestrated by mesos (stand-in)" in describe(each)
        assert "mesos (stand-in) on nspawn" in title(each)
    assert Plan.from_json({name: value for name, value in made.to_json().items() if name != "distribution"}).orchestrator == "mesos"


SCENARIO = """\
scenario: loss
why: A machine is lost.
cluster: {mode: mesos, provider: nspawn, nodes: 3, profile: fast}
apps: [{name: web, instances: 2}]
steps:
  - wait: 5s
  - fault: node.kill
    on: hosting(web) & !leading(mesos-master) & any
    hold: {until: recovered, at most: 60s}
promises:
  - rescheduled: {app: web, within: 40s}
"""


IMAGES = {"master": "mesosphere/mesos-master:1.11", "agent": "mesosphere/mesos-agent:1.11", "marathon": "mesosphere/marathon:v1.11"}


def test_what_runs_on_hosts_that_are_there_is_told_once_it_was_seen(tmp_path: Path) -> None:
    """And not before: it may be upstream's own."""
    file = tmp_path / "loss.yaml"
    file.write_text(SCENARIO)
    made = plan_of(file, mode=None, provider="inventory", profile=None, seed=1)
    assert made.orchestrator == "mesos"
    assert made.timed(Mesos()).orchestrator == "mesos (stand-in)"


def with_images(**images: str) -> str:
    """Return the scenario with its daemons from images."""
    listed = ", ".join(f"{name}: '{image}'" for name, image in images.items())
    return SCENARIO.replace("profile: fast}", f"profile: fast, distribution: images, images: {{{listed}}}}}")


def test_who_reads_of_daemons_from_images_reads_from_which(tmp_path: Path) -> None:
    """In a plan that was saved and read back, too; and the images are brought as those of apps are."""
    file = tmp_path / "loss.yaml"
    file.write_text(with_images(**IMAGES))
    made = plan_of(file, mode=None, provider=None, profile=None, seed=1)
    for each in (made, Plan.from_json(json.loads(json.dumps(made.to_json())))):
        assert each.images == IMAGES
        assert each.orchestrator == f"mesos (images: {', '.join(IMAGES.values())})"
    assert provenance.asked(made) == (*IMAGES.values(), "web")
    mode = of_images(Mesos(), made.images)
    assert told_as(mode) == made.orchestrator
    with pytest.raises(Unsupported, match="fleet mode has no daemon"):
        of_images(Fleet.from_timers("fast", {}), made.images)


@pytest.mark.parametrize(
    ("text", "mode", "words"),
    [
        (
            with_images(**{**IMAGES, "agnet": "x:1"}),
            None,
            "a daemon 'agnet'; expected one of master, agent, marathon; did you mean 'agent'",
        ),
        (with_images(master="x:1"), None, "no image for agent, marathon; expected one for each of master, agent, marathon"),
        (with_images(**{**IMAGES, "agent": "no-such-folder"}), None, "'no-such-folder'"),
        (with_images(**{**IMAGES, "agent": "x:y:z"}), None, "x:y:z"),
        (
            with_images(**IMAGES).replace("distribution: images, ", ""),
            None,
            "images without `distribution: images`; expected both, or none",
        ),
        (SCENARIO.replace("profile: fast}", "profile: fast, distribution: images}"), None, "no image for master, agent, marathon"),
        (SCENARIO.replace("profile: fast}", "profile: fast, distribution: upstream}"), None, "upstream"),
        (with_images(**IMAGES), "swarm", "distribution images, with the swarm mode; expected a mode whose daemons can come from images"),
        (
            with_images(**IMAGES).replace("nspawn", "inventory"),
            None,
            "distribution images, with the inventory provider; expected none: a cluster that runs already has daemons of its own",
        ),
    ],
)
def test_images_that_cannot_be_are_told_with_their_place(tmp_path: Path, text: str, mode: str | None, words: str) -> None:
    """When the scenario is read."""
    file = tmp_path / "loss.yaml"
    file.write_text(text)
    with pytest.raises(BadInput) as error:
        plan_of(file, mode=mode, provider=None, profile=None, seed=1)
    (problem,) = [each for each in error.value.problems if words in str(each)]
    assert problem.line == 3


def test_daemons_from_images_begin_once_their_images_are_unpacked(upstream: Upstream) -> None:
    """Each node is asked for those that it runs, by the names that images have there; nothing of them is begun before."""
    upstream.mode.use_images({"master": "./master.tar", "agent": "a:1", "marathon": "m:1"})
    upstream.cluster.images = {"./master.tar": "whalefall/master:0123"}
    upstream.mode.ready_for_images(upstream.cluster)
    upstream.mode.form(upstream.cluster)
    calls = [each for each in upstream.node("n1").calls if each[0] == "sh"]
    assert "systemctl start docker.service" in calls[0][2]
    assert calls[1][5:7] == ("1", "mesos-master.service mesos-agent.service marathon.service")
    unpacked = [each[4:] for each in calls if "imaged" in each[2]]
    assert unpacked == [("mesos-master", "whalefall/master:0123"), ("mesos-agent", "a:1"), ("marathon", "m:1")]
    assert calls[-1][4:] == ("mesos-master", "mesos-agent", "marathon")


@pytest.mark.parametrize(
    ("whom", "mode", "words"),
    [
        ("leading(zookeeper)", "mesos", "a daemon that leads others of its kind: mesos-master, marathon"),
        ("leading(marathon)", "swarm", "a mode with daemons that elect a leader of their own"),
    ],
)
def test_who_leads_is_only_asked_where_somebody_does(tmp_path: Path, whom: str, mode: str, words: str) -> None:
    """When the file is read."""
    file = tmp_path / "loss.yaml"
    file.write_text(SCENARIO.replace("!leading(mesos-master)", whom))
    with pytest.raises(BadInput, match=words):
        plan_of(file, mode=mode, provider=None, profile=None, seed=1)


def test_who_leads_is_asked_of_all(upstream: Upstream) -> None:
    """A master says so of itself, Marathon of its leader; where nobody says anything nobody is named."""
    assert upstream.mode.first(upstream.cluster, "mesos-master") == "n2"
    assert upstream.mode.first(upstream.cluster, "marathon") == "n2"
    upstream.silent = dict.fromkeys(("n1", "n2", "n3"), Response(503))
    assert upstream.mode.first(upstream.cluster, "mesos-master") is None
    assert upstream.mode.first(upstream.cluster, "marathon") is None
