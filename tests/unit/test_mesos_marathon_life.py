"""What a Marathon says to Mesos and when, what ends it, and with which code: none of it can be seen by the REST."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from marathon_contract.cluster import Client
from marathon_contract.promises import ids
from standin.doubles.clock import run
from standin.flags import BadFlagsError
from standin.marathon import web
from standin.marathon.settings import read
from standin.marathon.tracker import Tracker
from tests.contract.marathons import ScriptedCluster
from tests.contract.scripted_master import Task

Story = Callable[[ScriptedCluster, Client], Awaitable[None]]


def tell(story: Story, **made: Any) -> None:
    """Let something happen on a cluster of its own, which has a leader."""

    async def main() -> None:
        cluster = ScriptedCluster(**made)
        await cluster.start()
        client = Client(cluster)
        await client.leader()
        await story(cluster, client)
        await cluster.stop()

    run(main())


async def subscribed(cluster: ScriptedCluster) -> None:
    """Wait until Mesos has taken Marathon in."""
    while not cluster.master.called("SUBSCRIBE"):  # noqa: ASYNC110  (time is not real)
        await asyncio.sleep(0.1)


# To Mesos.


def test_a_framework_outlives_its_scheduler_for_a_week() -> None:
    """With checkpoints, and partition-aware; the next leader takes it over by its id, and gives it back to no master as new."""

    async def story(cluster: ScriptedCluster, client: Client) -> None:
        await subscribed(cluster)
        await cluster.crash_leader()
        await client.leader()
        await asyncio.sleep(1)
        first, *_, last = [each["subscribe"]["framework_info"] for each in cluster.master.called("SUBSCRIBE")]
        assert (first["failover_timeout"], first["checkpoint"], first["name"]) == (604800, True, "marathon")
        assert {"type": "PARTITION_AWARE"} in first["capabilities"]
        assert "id" not in first
        assert last["id"] == cluster.master.called("SUBSCRIBE")[-1]["framework_id"] == {"value": "framework-0000"}

    tell(story)


def test_offers_that_nobody_needs_are_declined_for_two_minutes() -> None:
    """And asked for again as soon as something waits."""

    async def story(cluster: ScriptedCluster, client: Client) -> None:
        await subscribed(cluster)
        await asyncio.sleep(1)
        declined = cluster.master.called("DECLINE")
        assert len(declined) == len(cluster.hosts)
        assert {each["decline"]["filters"]["refuse_seconds"] for each in declined} == {120.0}
        assert cluster.master.called("REVIVE") == []
        await client.deploy(cluster.app("/one"))
        assert len(cluster.master.called("REVIVE")) == 1

    tell(story)


def test_offers_are_asked_for_no_more_often_than_allowed() -> None:
    """`min_revive_offers_interval`, and only a few times for one thing that waits."""

    async def story(cluster: ScriptedCluster, client: Client) -> None:
        for number in range(5):
            await client.ask("POST", "/v2/apps", cluster.app(f"/no-{number}", constraints=[["hostname", "LIKE", "none"]]))
            await asyncio.sleep(2)
        await asyncio.sleep(100)
        times = [each["at"] for each in cluster.master.called("REVIVE")]
        assert all(later - earlier >= 5.0 for earlier, later in itertools.pairwise(times))
        assert len(times) <= 5

    tell(story)


def test_a_status_is_acknowledged_once_it_is_kept() -> None:
    """Not before: Mesos tells it again until somebody has written it down."""

    async def story(cluster: ScriptedCluster, client: Client) -> None:
        app = await client.deploy(cluster.app("/kept"))
        (task,) = await client.tasks(app, 1)
        await asyncio.sleep(1)
        assert cluster.master.unacknowledged == set()
        cluster.ensemble.stop()
        await cluster.end(task["id"])
        await asyncio.sleep(60)
        assert len(cluster.master.unacknowledged) == 1
        cluster.ensemble.start()
        await client.leader()

    tell(story)


def test_tasks_are_reconciled_soon_and_then_every_ten_minutes() -> None:
    """First those that are known, then whatever Mesos knows: a task that nobody knows is killed."""

    async def story(cluster: ScriptedCluster, client: Client) -> None:
        app = await client.deploy(cluster.app("/known"))
        (task,) = await client.tasks(app, 1)
        await subscribed(cluster)
        began = cluster.master.called("SUBSCRIBE")[0]["at"]
        await asyncio.sleep(700)
        asked = [each for each in cluster.master.called("RECONCILE") if each["reconcile"]["tasks"]]
        assert [round(each["at"] - began) for each in asked] == [15, 615]
        assert [each["task_id"]["value"] for each in asked[0]["reconcile"]["tasks"]] == [task["id"]]
        assert len(cluster.master.called("RECONCILE")) == 4
        other = f"{task['id'].removesuffix('1')}7"
        cluster.master.tasks[other] = Task({"task_id": {"value": other}, "resources": []}, "n1-id", "TASK_RUNNING")
        await asyncio.sleep(600)
        assert set(cluster.master.tasks) == {task["id"]}

    tell(story)


def test_a_launch_that_died_with_its_leader_is_found_by_the_next_ones_reconciliation() -> None:
    """It was written down, and Mesos never heard of it: Mesos is asked about tasks of which it has said nothing, too, as upstream does."""

    async def story(cluster: ScriptedCluster, client: Client) -> None:
        await subscribed(cluster)
        cluster.master.losing = 1
        await client.ask("POST", "/v2/apps", cluster.app("/lost"))
        await asyncio.sleep(1)
        assert cluster.master.losing == 0
        await cluster.crash_leader()
        await client.leader()
        await client.deployed(30)
        (task,) = await client.tasks("/lost", 1)
        assert task["id"].endswith("._app.2")

    tell(story)


def test_a_kill_is_sent_again_until_it_leads_to_something() -> None:
    """Every half minute, also by the next leader."""

    async def story(cluster: ScriptedCluster, client: Client) -> None:
        app = await client.deploy(cluster.app("/hard"))
        (task,) = await client.tasks(app, 1)
        cluster.master.deaf = True
        await client.ask("DELETE", f"/v2/apps{app}")
        await asyncio.sleep(70)
        times = [each["at"] for each in cluster.master.called("KILL")]
        assert [round(later - earlier) for earlier, later in itertools.pairwise(times)] == [30, 30]
        await cluster.crash_leader()
        await client.leader()
        cluster.master.deaf = False
        await client.deployed()
        assert task["id"] not in cluster.master.tasks

    tell(story)


def test_a_task_that_does_not_start_is_killed_after_five_minutes() -> None:
    """And launched again."""

    async def story(cluster: ScriptedCluster, client: Client) -> None:
        await cluster.hang_docker("n1")
        await client.ask("POST", "/v2/apps", cluster.app("/hung", constraints=[["hostname", "LIKE", "n1"]]))
        await asyncio.sleep(299)
        assert cluster.master.called("KILL") == []
        await asyncio.sleep(10)
        assert len(cluster.master.called("KILL")) == 1
        (task,) = (await client.get("/v2/tasks"))["tasks"]
        assert task["id"].endswith("._app.2")

    tell(story)


def test_a_launch_that_failed_is_no_task_that_runs() -> None:
    """An offer that is gone by the time it is accepted: the task is dropped, and launched with the next one."""

    async def story(cluster: ScriptedCluster, client: Client) -> None:
        cluster.master.rescinding = 1
        await client.deploy(cluster.app("/second"))
        (task,) = await client.tasks("/second", 1)
        assert task["id"].endswith("._app.2")

    tell(story)


# Its end.


def test_a_leader_that_is_told_to_step_down_exits() -> None:
    """105, as one that ended its leadership by itself."""

    async def story(cluster: ScriptedCluster, client: Client) -> None:
        await client.ask("DELETE", "/v2/leader")
        await asyncio.sleep(5)
        assert cluster.codes == [[105], []]

    tell(story)


def test_a_leader_that_is_not_connected_to_zookeeper_exits_at_once() -> None:
    """103, before its session is over; who only stands by waits for that, and exits with 101 then."""

    async def story(cluster: ScriptedCluster, client: Client) -> None:
        cluster.ensemble.stop()
        await asyncio.sleep(1)
        assert cluster.codes == [[103], []]
        found = await client.ask("GET", "/v2/apps", at=1)
        assert (found.status, found.json()["message"]) == (502, "Could not determine the current leader")
        assert (await client.ask("GET", "/v2/leader", at=1)).status == 404
        assert (await client.ask("GET", "/ping", at=1)).status == 200
        await asyncio.sleep(10.5)
        assert cluster.codes[1] == [101]
        cluster.ensemble.start()
        await client.leader()

    tell(story)


def test_nothing_is_lost_while_nobody_leads() -> None:
    """No quorum for a minute: Marathons come and go (100: no first connection), tasks run on, and all is there afterwards."""

    async def story(cluster: ScriptedCluster, client: Client) -> None:
        app = await client.deploy(cluster.app("/through", instances=3))
        before = ids(await client.tasks(app, 3))
        cluster.ensemble.stop()
        await asyncio.sleep(60)
        assert set(cluster.master.tasks) == before
        assert 100 in cluster.codes[0]
        cluster.ensemble.start()
        await client.leader()
        assert ids(await client.tasks(app, 3)) == before

    tell(story)


def test_a_master_that_says_nothing_for_five_heartbeats_is_given_up() -> None:
    """After 75 seconds the leader steps down; the tasks are the same under the next one."""

    async def story(cluster: ScriptedCluster, client: Client) -> None:
        app = await client.deploy(cluster.app("/silent"))
        before = ids(await client.tasks(app, 1))
        leader = await client.leader()
        cluster.master.silent = True
        await asyncio.sleep(59)
        assert cluster.codes == [[], []]
        await asyncio.sleep(17)
        assert [*itertools.chain(*cluster.codes)] == [105]
        cluster.master.silent = False
        assert await client.leader() != leader
        assert ids(await client.tasks(app, 1)) == before

    tell(story)


def test_a_master_that_does_not_take_a_subscription_yet_is_asked_again_for_as_long_as_it_takes() -> None:
    """503: it does not know yet that it leads, or still reads its registry. Who has never been connected to a master has not lost it."""

    async def main() -> None:
        cluster = ScriptedCluster()
        cluster.master.unready = True
        await cluster.start()
        client = Client(cluster)
        await client.leader()
        await asyncio.sleep(300)
        assert len(cluster.master.called("SUBSCRIBE")) > 100
        cluster.master.unready = False
        await client.deploy(cluster.app("/late"))
        assert cluster.codes == [[], []]
        await cluster.stop()

    run(main())


@pytest.mark.parametrize(("refusal", "code"), [("Framework has been removed", 110), ("Not allowed to subscribe", 106)])
def test_a_framework_that_is_refused_exits(refusal: str, code: int) -> None:
    """With a code of its own where the id is dead for ever."""

    async def story(cluster: ScriptedCluster, client: Client) -> None:
        await subscribed(cluster)
        cluster.master.refusal = refusal
        await cluster.crash_leader()
        await asyncio.sleep(15)
        assert code in cluster.codes[1]

    tell(story)


def test_instances_without_a_framework_are_nobodys() -> None:
    """108: to register anew would leave their tasks running for ever."""

    async def story(cluster: ScriptedCluster, client: Client) -> None:
        await client.deploy(cluster.app("/orphan"))
        cluster.ensemble.delete("/marathon/state/framework-id/id", -1)
        await cluster.crash_leader()
        await asyncio.sleep(15)
        assert 108 in cluster.codes[1]

    tell(story)


def test_a_state_that_cannot_be_read_ends_the_leader() -> None:
    """104, again and again, rather than leading without what was acknowledged."""

    async def story(cluster: ScriptedCluster, client: Client) -> None:
        await client.deploy(cluster.app("/torn"))
        cluster.ensemble.write("/marathon/state/group/root", b'{"version', -1)
        await cluster.crash_leader()
        await asyncio.sleep(15)
        assert 104 in cluster.codes[1]

    tell(story)


def test_an_error_of_the_program_ends_the_leader(monkeypatch: pytest.MonkeyPatch) -> None:
    """107: the next one reads what was written, of which the half-done thing is no part."""

    async def story(cluster: ScriptedCluster, client: Client) -> None:
        app = await client.deploy(cluster.app("/whole", instances=2))
        before = ids(await client.tasks(app, 2))
        with monkeypatch.context() as broken:
            broken.delattr(Tracker, "start")
            assert (await client.ask("PUT", "/v2/apps/whole", {"instances": 3})).status == 503
        await client.leader()
        assert [*itertools.chain(*cluster.codes)] == [107]
        assert (await client.get("/v2/apps/whole"))["app"]["instances"] == 2
        assert ids(await client.tasks(app, 2)) == before

    tell(story)


def test_a_port_that_is_taken_is_a_binding_error() -> None:
    """111."""

    async def main() -> None:
        cluster = ScriptedCluster(marathons=1)
        await cluster.internet.at("10.77.0.31").serve("10.77.0.31", 8080, lambda _: asyncio.sleep(0, None))  # type: ignore[arg-type]
        await cluster.start()
        await asyncio.sleep(1)
        assert cluster.codes == [[111]]
        await cluster.stop()

    run(main())


MALFORMED: list[Any] = [None, True, 1, "x", [], [1], [[]], {}, {"id": 1}, {"id": ".."}, {"id": "/x y"}, {"id": ""}]
MALFORMED += [
    {"apps": 1},
    {"apps": [1]},
    {"apps": [{}]},
    {"groups": [{"id": 5}]},
    {"groups": [{}]},
    {"groups": 1},
    {"dependencies": [1]},
    {"dependencies": 1},
]
MALFORMED += [
    {"ids": 1},
    {"ids": [1]},
    {"ids": ["x"]},
    {"version": 1},
    {"version": "x", "cmd": "y"},
    {"version": []},
    {"env": {"A": {"secret": "x"}}},
]
MALFORMED += [
    {"container": 1},
    {"container": {"docker": []}},
    {"networks": [{}, {}]},
    {"networks": 1},
    {"constraints": [[]]},
    {"healthChecks": [[]]},
]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(
            ("POST", "/v2/apps"),
            ("PUT", "/v2/apps"),
            ("PATCH", "/v2/apps"),
            ("PUT", "/v2/apps/web"),
            ("PATCH", "/v2/apps/web"),
            ("PUT", "/v2/apps/new"),
        ),
        *(
            ("POST", "/v2/groups"),
            ("PUT", "/v2/groups"),
            ("POST", "/v2/groups/g"),
            ("PUT", "/v2/groups/g"),
            ("PUT", "/v2/groups/web"),
            ("POST", "/v2/tasks/delete"),
        ),
    ],
)
def test_whatever_is_sent_is_answered(method: str, path: str) -> None:
    """With a status of upstream's, and the app that is there is none the worse for it."""

    async def story(cluster: ScriptedCluster, client: Client) -> None:
        await client.deploy(cluster.app("/web"))
        for body in [*MALFORMED, b"", b"{", b"[" * 5000, b"\xff\xfe"]:
            found = await client.ask(method, path, body)
            assert found.status in {200, 201, 400, 404, 409, 422}, (body, found)
            assert found.json() is not None
        await client.deployed()
        await client.deploy(cluster.app("/after"))

    tell(story)


def test_a_request_does_not_go_round_in_circles() -> None:
    """A Marathon that is in the way already does not pass it on again."""

    async def story(cluster: ScriptedCluster, _client: Client) -> None:
        network = cluster.network
        headers = {"X-Marathon-Via": "1.1 10.77.0.40:8080, 1.1 10.77.0.32:8080"}
        found = await network.ask("GET", f"{cluster.marathons[1]}/v2/apps", b"", headers, within=10)
        assert (found.status, found.json()["message"]) == (502, "Detected proxying loop.")

    tell(story)


def test_a_listener_that_does_not_read_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rather than fill the memory of the leader."""
    monkeypatch.setattr(web, "OUTSTANDING", 30)

    async def story(cluster: ScriptedCluster, client: Client) -> None:
        network = cluster.internet.at("10.77.0.1")
        async with network.open("GET", f"{cluster.marathons[0]}/v2/events") as slow:
            for number in range(6):
                await client.ask("PUT", "/v2/apps/much", cluster.app("/much", instances=number))
                await client.deployed()
            heard = b"".join([piece async for piece in slow.pieces()])
            assert 25 <= heard.count(b"event: ") <= 35

    tell(story)


def test_the_state_is_kept_where_upstream_keeps_it() -> None:
    """Below `state` of the path; the candidates' znodes beside it, with their addresses."""

    async def story(cluster: ScriptedCluster, client: Client) -> None:
        await client.deploy(cluster.app("/shop/web"))
        kinds = {each.split("/")[3] for each in cluster.ensemble.znodes if each.startswith("/marathon/state/")}
        assert kinds >= {"app", "instance", "group", "framework-id"}
        candidates = [data.data for path, data in cluster.ensemble.znodes.items() if path.startswith("/marathon/leader-curator/")]
        assert candidates == [b"10.77.0.31:8080", b"10.77.0.32:8080"]
        root = json.loads(cluster.ensemble.znodes["/marathon/state/group/root"].data)
        assert list(root["apps"]) == ["/shop/web"]

    tell(story)


# Its flags.


def test_flags_are_read_as_upstream_reads_them() -> None:
    """With a space or an equals sign, or from the environment; times in milliseconds."""
    arguments = [
        "--master",
        "zk://n1:2181,n2:2181/mesos",
        "--zk=zk://n1:2181/marathon",
        "--http_port",
        "8081",
        "--zk_session_timeout",
        "4000",
    ]
    settings = read(arguments, {"MARATHON_MIN_REVIVE_OFFERS_INTERVAL": "1000"}, "n1")
    assert (settings.master.hosts, settings.master.path, settings.zk.path) == ("n1:2181,n2:2181", "/mesos", "/marathon")
    assert (settings.hostname, settings.http_port, settings.zk_session_timeout) == ("n1", 8081, 4000)
    assert (settings.timers.revive, settings.timers.decline, settings.silence) == (1.0, 120.0, 75.0)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "master"),
        (["--master", "n1:5050"], "zk://"),
        (["--master", "zk://n1:2181/mesos", "--no_such_flag", "1"], "no_such_flag"),
        (["--master", "zk://n1:2181/mesos", "--http_port", "many"], "http_port"),
        (["--master", "zk://n1:2181/mesos", "--disable_checkpoint"], "checkpoint"),
        (["--master", "zk://n1:2181/mesos", "--mesos_role", "prod"], "mesos_role"),
    ],
)
def test_flags_that_cannot_be_taken_are_told(arguments: list[str], told: str) -> None:
    """By their names."""
    with pytest.raises(BadFlagsError, match=told):
        read(arguments, {}, "n1")
