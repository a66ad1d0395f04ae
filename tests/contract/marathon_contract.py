"""What upstream's Marathon does, test by test, for whichever Marathon a cluster runs.

Each function is one promise: it is given a client of a cluster with at least two Marathons and three agents on which nothing runs, and it fails where
the promise is broken. The assertions are those of upstream's own system and integration tests and of its documentation, in our words. Nothing is
asked but the public REST, and of the cluster only what can happen to machines.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from tests.contract.marathon_cluster import Client, Json

Promise = Callable[[Client], Awaitable[None]]
CONTRACT: list[Promise] = []

GUIDE: Json = {
    "id": "frontend",
    "cpus": 0.5,
    "mem": 512,
    "instances": 3,
    "container": {
        "type": "DOCKER",
        "docker": {"image": "web", "network": "BRIDGE", "portMappings": [{"containerPort": 8080, "hostPort": 0, "servicePort": 9000}]},
    },
}
"""The guide's app."""

NOWHERE = [["hostname", "LIKE", "no-such-host"]]
"""A constraint that no agent meets."""


def promise(function: Promise) -> Promise:
    """Make a function part of the contract."""
    CONTRACT.append(function)
    return function


def ids(tasks: list[Json]) -> set[str]:
    """Return the ids of tasks."""
    return {each["id"] for each in tasks}


def instances(tasks: list[Json]) -> set[str]:
    """Return the instances of tasks: their ids without the number of the launch."""
    return {each["id"].rpartition("._app")[0] for each in tasks}


def kinds(events: list[Json]) -> list[str]:
    """Return the types of events."""
    return [each["eventType"] for each in events]


# The REST.


@promise
async def every_marathon_answers_a_ping(client: Client) -> None:
    """Text, and by itself."""
    for at in range(len(client.cluster.marathons)):
        found = await client.ask("GET", "/ping", at=at)
        assert (found.status, found.body.strip()) == (200, b"pong")


@promise
async def all_marathons_name_the_same_leader(client: Client) -> None:
    """And `/v2/info` says so, too."""
    leader = await client.leader()
    for at in range(len(client.cluster.marathons)):
        info = await client.get("/v2/info", at=at)
        assert (info["leader"], info["elected"]) == (leader, True)


@promise
async def any_marathon_can_be_asked(client: Client) -> None:
    """Who does not lead passes on what he is asked, and what is answered."""
    for at in range(len(client.cluster.marathons)):
        made = await client.ask("POST", "/v2/apps", client.cluster.app(f"/asked-{at}"), at=at)
        assert made.status == 201
        assert (await client.ask("GET", f"/v2/apps/asked-{at}", at=at)).status == 200
        assert (await client.ask("GET", "/v2/apps/nobody", at=at)).status == 404


@promise
async def the_settings_are_shown(client: Client) -> None:
    """With upstream's names, times in milliseconds."""
    info = await client.get("/v2/info")
    settings = info["marathon_config"]
    assert info["frameworkId"]
    assert settings["failover_timeout"] == 604800
    assert settings["checkpoint"] is True
    assert info["zookeeper_config"]["zk_session_timeout"] == 10000


@promise
async def the_guides_app_works_as_it_stands(client: Client) -> None:
    """Half a CPU, 512 MB, three instances, bridged: each gets a port of its host's, and all the service's port."""
    app = {**GUIDE, "container": client.cluster.app("frontend", **GUIDE)["container"]}
    await client.deploy(app)
    tasks = await client.tasks("/frontend", 3)
    assert all(len(each["ports"]) == 1 and 31000 <= each["ports"][0] <= 32000 for each in tasks)
    assert [each["servicePorts"] for each in tasks] == [[9000]] * 3
    shown = (await client.get("/v2/apps/frontend"))["app"]
    assert (shown["cpus"], shown["mem"], shown["networks"]) == (0.5, 512, [{"mode": "container/bridge"}])


@promise
async def a_new_app_is_answered_with_all_that_is_known_of_it(client: Client) -> None:
    """201, where it is, the deployment, and the defaults."""
    made = await client.ask("POST", "/v2/apps", client.cluster.app("/new"))
    assert made.status == 201
    assert made.headers["location"].endswith("/new")
    app = made.json()
    assert (app["id"], app["instances"], app["tasksRunning"]) == ("/new", 1, 0)
    assert made.headers["marathon-deployment-id"] == app["deployments"][0]["id"]
    assert (app["backoffSeconds"], app["backoffFactor"], app["maxLaunchDelaySeconds"]) == (1, 1.15, 300)
    assert app["unreachableStrategy"] == {"inactiveAfterSeconds": 0, "expungeAfterSeconds": 0}
    assert app["upgradeStrategy"] == {"minimumHealthCapacity": 1, "maximumOverCapacity": 1}


@promise
async def a_name_is_taken_once(client: Client) -> None:
    """The second app of that name is a conflict."""
    await client.deploy(client.cluster.app("/once"))
    again = await client.ask("POST", "/v2/apps", client.cluster.app("/once"))
    assert (again.status, again.json()["message"]) == (409, "An app with id [/once] already exists.")


@promise
async def a_bad_definition_is_told_with_the_path_of_each_problem(client: Client) -> None:
    """422, all problems at once, and nothing is begun."""
    bad: list[tuple[Json, str]] = [
        ({"instances": -1}, "/instances"),
        ({"cpus": "much"}, "/cpus"),
        ({"constraints": [["hostname", "NEAR"]]}, "/constraints(0)"),
        ({"constraints": [["hostname", "UNIQUE", "x"]]}, "/constraints(0)"),
        ({"constraints": [["hostname", "MAX_PER", "some"]]}, "/constraints(0)"),
        ({"id": "/Not_A_Name"}, "/id"),
        ({"cmd": None, "args": None, "container": None}, "/"),
        ({"container": {"type": "DOCKER", "docker": {}}}, "/container/docker/image"),
        ({"unreachableStrategy": {"inactiveAfterSeconds": 60, "expungeAfterSeconds": 10}}, "/unreachableStrategy"),
    ]
    for fields, path in bad:
        found = await client.ask("POST", "/v2/apps", {**client.cluster.app("/bad"), **fields})
        assert found.status == 422, (fields, found.body)
        assert found.json()["message"] in {"Object is not valid", "Invalid JSON"}
        assert path in {each["path"] for each in found.json()["details"]}, (fields, found.body)
        assert all(each["errors"] for each in found.json()["details"])
    both = await client.ask("POST", "/v2/apps", {**client.cluster.app("/bad"), "instances": -1, "cpus": "much"})
    assert {"/instances", "/cpus"} <= {each["path"] for each in both.json()["details"]}
    assert (await client.get("/v2/apps"))["apps"] == []


@promise
async def what_is_no_json_is_a_bad_request(client: Client) -> None:
    """400."""
    found = await client.ask("POST", "/v2/apps", b'{"id": ')
    assert (found.status, found.json()["message"]) == (400, "Invalid JSON")


@promise
async def what_is_not_there_is_not_found(client: Client) -> None:
    """404 with the name, and PATCH makes nothing, while PUT does."""
    asked = [("GET", "/v2/apps/no", None), ("DELETE", "/v2/apps/no", None), ("PATCH", "/v2/apps/no", {"instances": 2})]
    for method, path, body in [
        *asked,
        ("POST", "/v2/apps/no/restart", None),
        ("GET", "/v2/apps/no/tasks", None),
        ("GET", "/v2/apps/no/versions", None),
    ]:
        found = await client.ask(method, path, body)
        assert (found.status, found.json()["message"]) == (404, "App '/no' does not exist"), (method, path)
    assert (await client.ask("DELETE", "/v2/deployments/no")).status == 404
    assert (await client.ask("GET", "/v2/groups/no")).status == 404
    assert (await client.ask("PUT", "/v2/apps/yes", client.cluster.app("/yes"))).status == 201


@promise
async def a_locked_app_is_changed_by_force_only(client: Client) -> None:
    """409 with the deployment that has it locked; by force that one fails and the new one takes its place."""
    stuck = (await client.ask("POST", "/v2/apps", client.cluster.app("/stuck", constraints=NOWHERE))).json()["deployments"]
    refused = await client.ask("PUT", "/v2/apps/stuck", {"instances": 2})
    assert refused.status == 409
    assert refused.json()["deployments"] == stuck
    assert refused.json()["message"].startswith("App is locked by one or more deployments.")
    async with client.events("deployment_failed", "deployment_success") as heard:
        forced = await client.ask("PUT", "/v2/apps/stuck?force=true", {"constraints": []})
        assert forced.status == 200
        await client.deployed()
    assert [(each["eventType"], each["id"]) for each in heard] == [
        ("deployment_failed", stuck[0]["id"]),
        ("deployment_success", forced.json()["deploymentId"]),
    ]
    await client.tasks("/stuck", 1)


@promise
async def the_queue_says_why_nothing_starts(client: Client) -> None:
    """The first reason of each offer is counted; nothing runs, and the deployment stays."""
    await client.ask("POST", "/v2/apps", client.cluster.app("/nowhere", constraints=NOWHERE))
    await client.ask("POST", "/v2/apps", client.cluster.app("/huge", cpus=1000))

    async def reasons() -> dict[str, set[str]]:
        found = {}
        for each in (await client.get("/v2/queue"))["queue"]:
            steps = each["processedOffersSummary"]["rejectSummaryLastOffers"]
            found[each["app"]["id"]] = {step["reason"] for step in steps if step["declined"]}
        return found if all(found.values()) else {}

    assert await client.until(reasons) == {"/nowhere": {"UnfulfilledConstraint"}, "/huge": {"InsufficientCpus"}}
    assert len(await client.get("/v2/deployments")) == 2
    assert (await client.get("/v2/tasks"))["tasks"] == []
    for app in ("/nowhere", "/huge"):
        assert (await client.ask("DELETE", f"/v2/apps{app}")).status == 200
    await client.deployed()
    assert (await client.get("/v2/queue"))["queue"] == []


@promise
async def a_deployment_shows_where_it_is(client: Client) -> None:
    """Its apps, its steps, and the actions of the one that is being done."""
    await client.ask("POST", "/v2/apps", client.cluster.app("/slow", constraints=NOWHERE))
    (shown,) = await client.get("/v2/deployments")
    assert shown["affectedApps"] == ["/slow"]
    assert [[each["action"] for each in step["actions"]] for step in shown["steps"]] == [["StartApplication"], ["ScaleApplication"]]
    assert (shown["currentStep"], shown["totalSteps"], shown["currentActions"][0]["action"]) == (2, 2, "ScaleApplication")


@promise
async def a_cancelled_deployment_is_undone(client: Client) -> None:
    """By a new one: the app was not there before, so it is not there after. By force it just stops where it is."""
    first = (await client.ask("POST", "/v2/apps", client.cluster.app("/undone", constraints=NOWHERE))).json()["deployments"][0]["id"]
    undone = await client.ask("DELETE", f"/v2/deployments/{first}")
    assert undone.status == 200
    assert undone.json()["deploymentId"] != first
    await client.deployed()
    assert (await client.ask("GET", "/v2/apps/undone")).status == 404
    second = (await client.ask("POST", "/v2/apps", client.cluster.app("/left", constraints=NOWHERE))).json()["deployments"][0]["id"]
    assert (await client.ask("DELETE", f"/v2/deployments/{second}?force=true")).status == 202
    assert await client.get("/v2/deployments") == []
    assert (await client.ask("GET", "/v2/apps/left")).status == 200


@promise
async def events_tell_a_deployment_from_begin_to_end(client: Client) -> None:
    """In order: we attached, what began, each step, the end; and that the app is gone, when it is deleted."""
    async with client.events() as heard:
        await client.deploy(client.cluster.app("/told"))
        await client.ask("DELETE", "/v2/apps/told")
        await client.deployed()
    told = kinds(heard)
    assert told[0] == "event_stream_attached"
    wanted = [
        "deployment_info",
        "deployment_step_success",
        "status_update_event",
        "deployment_success",
        "app_terminated_event",
        "deployment_success",
    ]
    rest = iter(told)
    assert all(each in rest for each in wanted), told
    running = [each for each in heard if each["eventType"] == "status_update_event" and each["taskStatus"] == "TASK_RUNNING"]
    assert running[0]["appId"] == "/told"
    assert {"slaveId", "taskId", "host", "ports", "version", "ipAddresses", "message", "timestamp"} <= set(running[0])
    changed = [each["condition"] for each in heard if each["eventType"] == "instance_changed_event"]
    assert changed[:2] == ["Scheduled", "Provisioned"]
    assert "Running" in changed


@promise
async def a_listener_hears_what_it_asked_for(client: Client) -> None:
    """Only the types of events that it names."""
    async with client.events("deployment_success", "api_post_event") as heard:
        await client.deploy(client.cluster.app("/quiet"))
    assert set(kinds(heard)) == {"deployment_success", "api_post_event"}
    assert next(each for each in heard if each["eventType"] == "api_post_event")["appDefinition"]["id"] == "/quiet"


@promise
async def earlier_versions_can_be_read_and_gone_back_to(client: Client) -> None:
    """An update that names a version brings that version's definition back, under a new version."""
    await client.deploy(client.cluster.app("/old", env={"GENERATION": "1"}))
    first = (await client.get("/v2/apps/old"))["app"]["version"]
    assert (await client.ask("PUT", "/v2/apps/old", {"env": {"GENERATION": "2"}})).status == 200
    await client.deployed()
    versions = (await client.get("/v2/apps/old/versions"))["versions"]
    assert (len(versions), versions[1]) == (2, first)
    assert (await client.get(f"/v2/apps/old/versions/{first}"))["env"] == {"GENERATION": "1"}
    assert (await client.ask("PUT", "/v2/apps/old", {"version": first})).status == 200
    await client.deployed()
    now = (await client.get("/v2/apps/old"))["app"]
    assert now["env"] == {"GENERATION": "1"}
    assert now["version"] not in versions


@promise
async def a_partial_update_keeps_the_rest(client: Client) -> None:
    """A field that it names is replaced whole; without ``partialUpdate`` what is not named falls back to its default."""
    await client.deploy(client.cluster.app("/part", env={"A": "1", "B": "2"}, labels={"tier": "web"}))
    await client.ask("PATCH", "/v2/apps/part", {"env": {"A": "3"}})
    await client.deployed()
    app = (await client.get("/v2/apps/part"))["app"]
    assert (app["env"], app["labels"]) == ({"A": "3"}, {"tier": "web"})
    await client.ask("PUT", "/v2/apps/part?partialUpdate=false", client.cluster.app("/part"))
    await client.deployed()
    app = (await client.get("/v2/apps/part"))["app"]
    assert (app["env"], app["labels"]) == ({}, {})


@promise
async def apps_can_be_selected(client: Client) -> None:
    """By label, by a part of their id, by the group that they lie in."""
    await client.deploy(client.cluster.app("/shop/web", labels={"tier": "front"}))
    await client.deploy(client.cluster.app("/shop/db", labels={"tier": "back"}))
    await client.deploy(client.cluster.app("/other"))

    async def found(path: str) -> set[str]:
        return {each["id"] for apps in (await client.get(path)).values() for each in apps}

    assert await found("/v2/apps?label=tier==front") == {"/shop/web"}
    assert await found("/v2/apps?label=tier") == {"/shop/web", "/shop/db"}
    assert await found("/v2/apps?id=oth") == {"/other"}
    assert await found("/v2/apps/shop/*") == {"/shop/web", "/shop/db"}
    embedded = (await client.get("/v2/apps?embed=apps.tasks"))["apps"]
    assert all(len(each["tasks"]) == 1 for each in embedded)
    assert all("tasks" not in each for each in (await client.get("/v2/apps"))["apps"])


@promise
async def open_service_ports_are_given_out_once(client: Client) -> None:
    """From 10000 up, and an app keeps its own."""
    app = await client.deploy(client.cluster.app("/one", portDefinitions=[{"port": 0}, {"port": 0}], container=None, networks=None))
    await client.deploy(client.cluster.app("/two", portDefinitions=[{"port": 0}], container=None, networks=None))
    given = [port for each in (await client.get("/v2/tasks"))["tasks"] for port in each["servicePorts"]]
    assert len(given) == len(set(given)) == 3
    assert all(10000 <= each <= 20000 for each in given)
    before = (await client.tasks(app, 1))[0]["servicePorts"]
    await client.ask("PUT", "/v2/apps/one", {"env": {"A": "1"}})
    await client.deployed()
    assert (await client.tasks(app, 1))[0]["servicePorts"] == before


@promise
async def tasks_can_be_had_as_plain_text(client: Client) -> None:
    """A line for each service port, with hosts and ports, as a load balancer reads it."""
    fields = {"container": client.cluster.app("frontend", **GUIDE)["container"], "cmd": None}
    await client.deploy(client.cluster.app("/plain", instances=2, **fields))
    tasks = await client.tasks("/plain", 2)
    found = await client.ask("GET", "/v2/tasks", accept="text/plain")
    assert found.headers["content-type"].startswith("text/plain")
    name, port, *hosts = found.body.decode().split()
    assert (name, port) == ("plain", "9000")
    assert sorted(hosts) == sorted(f"{each['host']}:{each['ports'][0]}" for each in tasks)


# Instances.


@promise
async def scaling_touches_nothing_that_runs(client: Client) -> None:
    """Up: all that ran run on. Down: the youngest go. To none: none."""
    app = await client.deploy(client.cluster.app("/scaled"))
    first = ids(await client.tasks(app, 1))
    await client.cluster.sleep(2)
    await client.ask("PUT", "/v2/apps/scaled", {"instances": 3})
    await client.deployed()
    assert first < ids(await client.tasks(app, 3))
    await client.ask("PUT", "/v2/apps/scaled", {"instances": 1})
    await client.deployed()
    assert ids(await client.tasks(app, 1)) == first
    await client.ask("PUT", "/v2/apps/scaled", {"instances": 0})
    await client.deployed()
    assert (await client.get("/v2/tasks"))["tasks"] == []


@promise
async def the_oldest_go_first_where_that_is_asked_for(client: Client) -> None:
    """``killSelection``."""
    app = await client.deploy(client.cluster.app("/oldest", killSelection="OLDEST_FIRST"))
    first = ids(await client.tasks(app, 1))
    await client.cluster.sleep(2)
    await client.ask("PUT", "/v2/apps/oldest", {"instances": 2})
    await client.deployed()
    await client.ask("PUT", "/v2/apps/oldest", {"instances": 1})
    await client.deployed()
    assert not ids(await client.tasks(app, 1)) & first


@promise
async def an_upgrade_never_goes_below_what_must_be_healthy(client: Client) -> None:
    """At 1.0 and no more allowed, one more runs for a while; old ones go only as new ones come."""
    app = await client.deploy(
        client.cluster.app("/kept", instances=3, upgradeStrategy={"minimumHealthCapacity": 1, "maximumOverCapacity": 0})
    )
    old = ids(await client.tasks(app, 3))
    counts = await _upgraded(client, app)
    assert min(counts) >= 3
    assert max(counts) == 4
    assert not ids(await client.tasks(app, 3)) & old


@promise
async def an_upgrade_never_goes_above_what_is_allowed(client: Client) -> None:
    """At 0.5 and no more allowed, half of them stop first."""
    strategy = {"minimumHealthCapacity": 0.5, "maximumOverCapacity": 0}
    app = await client.deploy(client.cluster.app("/bound", instances=4, upgradeStrategy=strategy))
    counts = await _upgraded(client, app)
    assert min(counts) >= 2
    assert max(counts) <= 4
    await client.tasks(app, 4)


async def _upgraded(client: Client, app: str) -> list[int]:
    """Change an app's configuration, and return how many of its tasks ran at each change."""
    running = ids(await client.tasks(app))
    counts = [len(running)]
    async with client.events("status_update_event") as heard:
        assert (await client.ask("PUT", f"/v2/apps{app}", {"env": {"GENERATION": "2"}})).status == 200
        await client.deployed(120)
    for each in heard:
        if each["taskStatus"] == "TASK_RUNNING":
            running.add(each["taskId"])
        elif each["taskStatus"] not in {"TASK_STAGING", "TASK_STARTING", "TASK_KILLING"}:
            running.discard(each["taskId"])
        counts.append(len(running))
    return counts


@promise
async def a_restart_replaces_all_and_changes_nothing(client: Client) -> None:
    """New instances of the same definition."""
    app = await client.deploy(client.cluster.app("/again", instances=2))
    old, before = await client.tasks(app, 2), (await client.get("/v2/apps/again"))["app"]
    restarted = await client.ask("POST", "/v2/apps/again/restart")
    assert (restarted.status, set(restarted.json())) == (200, {"version", "deploymentId"})
    await client.deployed()
    assert not instances(await client.tasks(app, 2)) & instances(old)
    after = (await client.get("/v2/apps/again"))["app"]
    own = ("version", "versionInfo", "tasks")
    assert {key: each for key, each in after.items() if key not in own} == {key: each for key, each in before.items() if key not in own}


@promise
async def a_failed_task_is_started_again(client: Client) -> None:
    """The same instance, launched once more: a new task id. The app tells its last failure."""
    app = await client.deploy(client.cluster.app("/fails"))
    old = await client.tasks(app, 1)
    await client.cluster.end(old[0]["id"])

    async def replaced() -> list[Json] | None:
        tasks = await client.tasks(app, 1)
        return tasks if ids(tasks) != ids(old) else None

    new = await client.until(replaced)
    assert instances(new) == instances(old)
    assert new[0]["id"].endswith("._app.2")
    assert (await client.get("/v2/apps/fails"))["app"]["lastTaskFailure"]["taskId"] == old[0]["id"]


@promise
async def failures_make_the_next_launch_wait_longer(client: Client) -> None:
    """By the factor each time; who asks for it can end the wait."""
    app = await client.deploy(client.cluster.app("/waits", backoffSeconds=20, backoffFactor=3))
    delays = []
    for _ in range(2):
        (task,) = await client.tasks(app, 1)
        await client.cluster.end(task["id"])

        async def left() -> list[int]:
            return [each["delay"]["timeLeftSeconds"] for each in (await client.get("/v2/queue"))["queue"]]

        delays += await client.until(left)
        assert (await client.ask("DELETE", "/v2/queue/waits/delay")).status == 204 if len(delays) > 1 else True
        if len(delays) == 1:
            await client.cluster.sleep(25)
    assert 15 <= delays[0] <= 20
    assert 50 <= delays[1] <= 60
    await client.tasks(app, 1, within=20)
    assert (await client.ask("DELETE", "/v2/queue/waits/delay")).status == 404


@promise
async def a_task_that_is_killed_comes_back_and_with_scale_does_not(client: Client) -> None:
    """``scale`` wants one fewer from then on; together with ``wipe`` it makes no sense."""
    app = await client.deploy(client.cluster.app("/killed", instances=3))
    tasks = await client.tasks(app, 3)
    first = tasks[0]["id"]
    killed = await client.ask("DELETE", f"/v2/apps/killed/tasks/{first}")
    assert (killed.status, killed.json()["task"]["id"]) == (200, first)

    async def back() -> bool:
        return first not in ids(await client.tasks(app, 3))

    await client.until(back)
    assert (await client.ask("DELETE", "/v2/apps/killed/tasks?scale=true&wipe=true")).status == 400
    doomed = tasks[1]["id"]
    scaled = await client.ask("POST", "/v2/tasks/delete?scale=true", {"ids": [doomed]})
    assert (scaled.status, "deploymentId" in scaled.json()) == (200, True)
    await client.deployed()
    assert (await client.get("/v2/apps/killed"))["app"]["instances"] == 2
    assert doomed not in ids(await client.tasks(app, 2))


@promise
async def all_tasks_of_a_host_can_be_killed(client: Client) -> None:
    """They are listed in the answer, and come back."""
    app = await client.deploy(client.cluster.app("/hosted", instances=3, constraints=[["hostname", "UNIQUE"]]))
    tasks = await client.tasks(app, 3)
    victim = tasks[0]
    killed = await client.ask("DELETE", f"/v2/apps/hosted/tasks?host={victim['host']}")
    assert ids(killed.json()["tasks"]) == {victim["id"]}

    async def back() -> bool:
        return victim["id"] not in ids(await client.tasks(app, 3))

    await client.until(back)
    assert (await client.ask("POST", "/v2/tasks/delete", {"ids": ["nonsense"]})).status == 400


# Where instances go.


@promise
async def unique_hosts_are_unique(client: Client) -> None:
    """One each; the one too many waits until somebody asks for fewer."""
    count = len(client.cluster.hosts)
    await client.ask("POST", "/v2/apps", client.cluster.app("/unique", instances=count + 1, constraints=[["hostname", "UNIQUE"]]))

    async def spread() -> list[Json] | None:
        tasks = await client.tasks("/unique")
        return tasks if len(tasks) == count else None

    assert {each["host"] for each in await client.until(spread)} == set(client.cluster.hosts)
    await client.cluster.sleep(10)
    assert len(await client.tasks("/unique")) == count
    assert len(await client.get("/v2/deployments")) == 1
    await client.ask("PUT", "/v2/apps/unique?force=true", {"instances": count})
    await client.deployed()


@promise
async def constraints_choose_hosts(client: Client) -> None:
    """CLUSTER, LIKE and IS: that one. UNLIKE: any other. MAX_PER: so many of each. GROUP_BY: evenly."""
    one, *others = client.cluster.hosts
    cases: list[tuple[list[str], int, Callable[[Counter[str]], bool]]] = [
        (["hostname", "CLUSTER", one], 2, lambda hosts: set(hosts) == {one}),
        (["hostname", "CLUSTER"], 3, lambda hosts: len(hosts) == 1),
        (["hostname", "LIKE", one], 2, lambda hosts: set(hosts) == {one}),
        (["hostname", "IS", one], 2, lambda hosts: set(hosts) == {one}),
        (["hostname", "UNLIKE", one], 2, lambda hosts: set(hosts) <= set(others)),
        (["hostname", "MAX_PER", "2"], 4, lambda hosts: max(hosts.values()) <= 2),
        (["hostname", "GROUP_BY", str(1 + len(others))], 1 + len(others), lambda hosts: max(hosts.values()) == 1),
    ]
    for index, (constraint, count, holds) in enumerate(cases):
        app = await client.deploy(client.cluster.app(f"/placed-{index}", instances=count, constraints=[constraint]))
        hosts = Counter(each["host"] for each in await client.tasks(app, count))
        assert holds(hosts), (constraint, hosts)


@promise
async def a_pinned_task_stays_where_it_is_pinned(client: Client) -> None:
    """Its next launch is on the same host; with the host lost, it waits."""
    host = client.cluster.hosts[0]
    app = await client.deploy(client.cluster.app("/pinned", constraints=[["hostname", "LIKE", host]]))
    (task,) = await client.tasks(app, 1)
    await client.cluster.end(task["id"])

    async def again() -> list[Json] | None:
        tasks = await client.tasks(app, 1)
        return tasks if ids(tasks) != {task["id"]} else None

    assert [each["host"] for each in await client.until(again)] == [host]
    await client.cluster.lose(host)
    await client.cluster.sleep(20)
    assert await client.tasks(app) == []
    await client.cluster.find(host)
    assert [each["host"] for each in await client.tasks(app, 1, within=300)] == [host]


@promise
async def an_app_starts_after_what_it_depends_on(client: Client) -> None:
    """Within one deployment, in steps; a circle is refused."""
    db, web = client.cluster.app("db"), client.cluster.app("web", dependencies=["/shop/db"])
    async with client.events("status_update_event") as heard:
        made = await client.ask("PUT", "/v2/groups/shop", {"apps": [web, db]})
        assert made.status == 200, made.body
        await client.deployed()
    running = [each["appId"] for each in heard if each["taskStatus"] == "TASK_RUNNING"]
    assert list(dict.fromkeys(running)) == ["/shop/db", "/shop/web"]
    assert {each["id"] for each in (await client.get("/v2/groups/shop"))["apps"]} == {"/shop/db", "/shop/web"}
    circle = await client.ask("PUT", "/v2/apps/shop/db", {"dependencies": ["/shop/web"]})
    assert circle.status == 422
    assert (await client.ask("DELETE", "/v2/groups/shop")).status == 200
    await client.deployed()
    assert (await client.get("/v2/apps"))["apps"] == []


# Health.


def _checked(client: Client, name: str, protocol: str, **fields: Any) -> Json:
    check: Json = {"protocol": protocol, "gracePeriodSeconds": 0, "intervalSeconds": 2, "timeoutSeconds": 1, "maxConsecutiveFailures": 2}
    if protocol == "COMMAND":
        check["command"] = {"value": "true"}
    return client.cluster.app(name, healthChecks=[check], **fields)


@promise
async def a_deployment_waits_until_instances_are_healthy(client: Client) -> None:
    """And the app counts them."""
    for protocol in ("HTTP", "COMMAND"):
        app = await client.deploy(_checked(client, f"/well-{protocol.lower()}", protocol))
        shown = (await client.get(f"/v2/apps{app}"))["app"]
        assert (shown["tasksHealthy"], shown["tasksUnhealthy"]) == (1, 0)
        (result,) = shown["tasks"][0]["healthCheckResults"]
        assert (result["alive"], result["consecutiveFailures"]) == (True, 0)


@promise
async def an_unhealthy_task_is_killed_and_started_again(client: Client) -> None:
    """After so many failures in a row of a check that Marathon makes, and it says so."""
    app = await client.deploy(_checked(client, "/ill", "HTTP"))
    (task,) = await client.tasks(app, 1)
    async with client.events("health_status_changed_event", "failed_health_check_event", "unhealthy_instance_kill_event") as heard:
        await client.cluster.sicken(task["id"], healthy=False)

        async def replaced() -> bool:
            return task["id"] not in ids(await client.tasks(app, 1))

        await client.until(replaced, 120)
    told = kinds(heard)
    assert told[0] == "failed_health_check_event"
    assert "unhealthy_instance_kill_event" in told
    assert next(each for each in heard if each["eventType"] == "health_status_changed_event")["alive"] is False


@promise
async def what_an_agent_finds_unhealthy_is_shown(client: Client) -> None:
    """A command check is the agent's; Marathon counts what it says."""
    app = await client.deploy(_checked(client, "/shown", "COMMAND"))
    (task,) = await client.tasks(app, 1)
    async with client.events("instance_health_changed_event") as heard:
        await client.cluster.sicken(task["id"], healthy=False)

        async def counted() -> bool:
            return bool((await client.get("/v2/apps/shown"))["app"]["tasksUnhealthy"])

        await client.until(counted)
    assert [each["healthy"] for each in heard] == [False], heard


# When something breaks.


async def _lost(client: Client, task: Json) -> None:
    """Lose a task's agent, and wait until Marathon knows."""
    await client.cluster.lose(task["host"])

    async def known() -> bool:
        return task["id"] not in ids(await client.tasks(task["appId"]))

    await client.until(known, 20)


@promise
async def a_leader_steps_down_when_told(client: Client) -> None:
    """It says so, another leads, and no app is lost, nor any task replaced."""
    app = await client.deploy(client.cluster.app("/stays", instances=2))
    before, leader = ids(await client.tasks(app, 2)), await client.leader()
    told = await client.ask("DELETE", "/v2/leader", at=_index(client, leader))
    assert (told.status, told.json()) == (200, {"message": "Leadership abdicated"})

    async def another() -> bool:
        return await client.leader() != leader

    await client.until(another)
    assert ids(await client.tasks(app, 2)) == before
    await client.cluster.sleep(40)  # past the first reconciliation
    assert ids(await client.tasks(app, 2)) == before


@promise
async def who_does_not_lead_cannot_step_down(client: Client) -> None:
    """404: each answers for itself."""
    leader = await client.leader()
    other = next(at for at in range(len(client.cluster.marathons)) if at != _index(client, leader))
    assert (await client.ask("DELETE", "/v2/leader", at=other)).status == 404
    assert await client.leader() == leader


def _index(client: Client, leader: str) -> int:
    return next(at for at, url in enumerate(client.cluster.marathons) if url.endswith(leader))


@promise
async def what_was_acknowledged_outlives_the_leader(client: Client) -> None:
    """However soon after the answer it is killed; and what was deleted does not come back."""
    await client.deploy(client.cluster.app("/gone"))
    await client.ask("DELETE", "/v2/apps/gone")
    await client.deployed()
    made = await client.ask("POST", "/v2/apps", client.cluster.app("/acknowledged", instances=2))
    await client.cluster.crash_leader()
    assert made.status == 201
    await client.leader()
    await client.tasks("/acknowledged", 2)
    assert {each["id"] for each in (await client.get("/v2/apps"))["apps"]} == {"/acknowledged"}


@promise
async def a_deployment_goes_on_under_the_next_leader(client: Client) -> None:
    """An upgrade that the old one began is finished, with as many instances as are wanted, all of the new version."""
    app = await client.deploy(client.cluster.app("/upgraded", instances=2))
    old = ids(await client.tasks(app, 2))
    upgrade = await client.ask("PUT", "/v2/apps/upgraded", {"env": {"GENERATION": "2"}})
    await client.cluster.crash_leader()
    await client.leader()
    await client.deployed(120)
    tasks = await client.tasks(app, 2)
    assert not ids(tasks) & old
    assert {each["version"] for each in tasks} == {upgrade.json()["version"]}


@promise
async def a_deployment_that_waits_is_still_there_under_the_next_leader(client: Client) -> None:
    """With its id, and it still locks its app."""
    app = await client.deploy(client.cluster.app("/waiting"))
    stuck = (await client.ask("PUT", "/v2/apps/waiting", {"constraints": NOWHERE})).json()["deploymentId"]
    before = ids(await client.tasks(app, 1, within=1)) if len(await client.tasks(app)) == 1 else set()
    await client.cluster.crash_leader()
    await client.leader()
    assert [each["id"] for each in await client.get("/v2/deployments")] == [stuck]
    assert (await client.ask("PUT", "/v2/apps/waiting", {"instances": 5})).status == 409
    assert {each["id"] for each in await client.tasks(app)} == before


@promise
async def another_mesos_master_changes_no_task(client: Client) -> None:
    """Marathon finds the new one, and all tasks keep their ids."""
    app = await client.deploy(client.cluster.app("/steady", instances=3))
    before = ids(await client.tasks(app, 3))
    await client.cluster.replace_master()
    await client.leader()
    await client.cluster.sleep(60)
    await client.leader()
    assert ids(await client.tasks(app, 3)) == before
    await client.deploy(client.cluster.app("/after"))


@promise
async def a_leader_without_zookeeper_does_not_lead(client: Client) -> None:
    """Another takes its place; tasks keep their ids; and the first one comes back to stand by."""
    app = await client.deploy(client.cluster.app("/constant", instances=2))
    before, leader = ids(await client.tasks(app, 2)), await client.leader()
    await client.cluster.cut_zookeeper(client.cluster.marathons[_index(client, leader)], 30)
    assert await client.leader() != leader
    assert ids(await client.tasks(app, 2)) == before


@promise
async def a_lost_agents_tasks_are_replaced_at_once(client: Client) -> None:
    """By default. The old one runs on where nobody sees it, and is killed when its agent is back."""
    app = await client.deploy(client.cluster.app("/moved", instances=2, constraints=[["hostname", "UNIQUE"]]))
    lost = (await client.tasks(app, 2))[0]
    async with client.events("instance_changed_event") as heard:
        await _lost(client, lost)
        tasks = await client.tasks(app, 2, within=20)
    assert "UnreachableInactive" in [each["condition"] for each in heard]
    assert lost["host"] not in {each["host"] for each in tasks}
    assert lost["id"] in await client.cluster.running_on(lost["host"])
    await client.cluster.find(lost["host"])

    async def killed() -> bool:
        return lost["id"] not in await client.cluster.running_on(lost["host"])

    await client.until(killed)
    assert ids(await client.tasks(app, 2)) == ids(tasks)


@promise
async def a_patient_app_takes_its_task_back(client: Client) -> None:
    """It is replaced after ``inactiveAfterSeconds`` at the earliest; the replacement goes when the old one is back before it is given up."""
    strategy = {"inactiveAfterSeconds": 10, "expungeAfterSeconds": 86400}
    app = await client.deploy(client.cluster.app("/patient", unreachableStrategy=strategy))
    (old,) = await client.tasks(app, 1)
    await _lost(client, old)
    await client.cluster.sleep(5)
    (shown,) = (await client.get(f"/v2/apps{app}/tasks"))["tasks"]
    assert (shown["id"], shown["state"]) == (old["id"], "TASK_UNREACHABLE")

    async def replaced() -> list[Json] | None:
        return await client.tasks(app) or None

    # Upstream looks at it only when Mesos speaks of it again: at the next reconciliation.
    (new,) = await client.until(replaced, 700)
    assert instances([new]) != instances([old])
    await client.cluster.find(old["host"])

    async def one() -> bool:
        return ids(await client.tasks(app)) == {old["id"]}

    await client.until(one, 400)


@promise
async def an_app_that_waits_for_ever_is_not_replaced(client: Client) -> None:
    """``unreachableStrategy: disabled``."""
    app = await client.deploy(client.cluster.app("/loyal", unreachableStrategy="disabled"))
    (old,) = await client.tasks(app, 1)
    await _lost(client, old)
    await client.cluster.sleep(700)
    assert [(each["id"], each["state"]) for each in (await client.get(f"/v2/apps{app}/tasks"))["tasks"]] == [
        (old["id"], "TASK_UNREACHABLE")
    ]
    await client.cluster.find(old["host"])
    assert ids(await client.tasks(app, 1)) == {old["id"]}


@promise
async def scaling_down_starts_with_what_is_out_of_reach(client: Client) -> None:
    """The deployment ends though nobody can kill that task, and the reachable one stays."""
    strategy = {"inactiveAfterSeconds": 3600, "expungeAfterSeconds": 7200}
    fields = {"unreachableStrategy": strategy, "constraints": [["hostname", "MAX_PER", "1"]]}
    app = await client.deploy(client.cluster.app("/fewer", instances=2, **fields))
    tasks = await client.tasks(app, 2)
    await _lost(client, tasks[0])
    await client.ask("PUT", "/v2/apps/fewer", {"instances": 1})
    await client.deployed()
    assert ids(await client.tasks(app, 1)) == {tasks[1]["id"]}


@promise
async def an_agent_that_is_gone_gives_its_instances_back(client: Client) -> None:
    """The same instance, launched once more somewhere else."""
    app = await client.deploy(client.cluster.app("/lives"))
    old = await client.tasks(app, 1)
    await client.cluster.give_up(old[0]["host"])

    async def replaced() -> list[Json] | None:
        tasks = await client.tasks(app, 1)
        return tasks if ids(tasks) != ids(old) else None

    new = await client.until(replaced)
    assert instances(new) == instances(old)
    assert int(new[0]["id"].rpartition(".")[2]) == 2
    assert new[0]["host"] != old[0]["host"]


@promise
async def a_deletion_ends_though_a_task_is_out_of_reach(client: Client) -> None:
    """The task is killed when it comes back."""
    app = await client.deploy(client.cluster.app("/deleted", unreachableStrategy="disabled"))
    (old,) = await client.tasks(app, 1)
    await _lost(client, old)
    await client.ask("DELETE", "/v2/apps/deleted")
    await client.deployed()
    assert (await client.get("/v2/tasks"))["tasks"] == []
    async with client.events("unknown_instance_terminated_event") as heard:
        await client.cluster.find(old["host"])

        async def told() -> list[Json]:
            return heard

        await client.until(told)
    assert heard[0]["runSpecId"] == "/deleted"
    assert old["id"] not in await client.cluster.running_on(old["host"])


@promise
async def a_task_that_does_not_start_is_tried_again(client: Client) -> None:
    """On an agent whose Docker hangs it is staging for ``task_launch_timeout``: five minutes."""
    host = client.cluster.hosts[0]
    await client.cluster.hang_docker(host)
    await client.ask("POST", "/v2/apps", client.cluster.app("/hung", constraints=[["hostname", "LIKE", host]]))
    (first,) = await client.until(lambda: _all_tasks(client))
    await client.cluster.sleep(280)
    assert [each["id"] for each in await _all_tasks(client)] == [first["id"]]
    assert first["state"] == "TASK_STAGING"

    async def again() -> bool:
        return first["id"] not in [each["id"] for each in await _all_tasks(client)]

    await client.until(again, 60)
    assert len(await client.get("/v2/deployments")) == 1


async def _all_tasks(client: Client) -> list[Json]:
    found: list[Json] = (await client.get("/v2/tasks"))["tasks"]
    return found


@promise
async def leaders_come_and_go_without_a_trace(client: Client) -> None:
    """Again and again stepping down loses no app and no task."""
    app = await client.deploy(client.cluster.app("/calm", instances=3))
    before = ids(await client.tasks(app, 3))
    for _ in range(4):
        leader = await client.leader()
        await client.ask("DELETE", "/v2/leader", at=_index(client, leader))
        await asyncio.sleep(5)
    await client.leader()
    assert ids(await client.tasks(app, 3)) == before
