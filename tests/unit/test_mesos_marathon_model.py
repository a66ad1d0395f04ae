"""What Marathon decides, without anybody to ask: definitions, constraints, offers, scaling, upgrades, delays."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standin.marathon import apps, names
from standin.marathon.apps import App, Invalid
from standin.marathon.backoff import Backoff
from standin.marathon.constraints import Constraint, met, surplus
from standin.marathon.deployments import bounds
from standin.marathon.health import Health
from standin.marathon.instances import Agent, Condition, Goal, Instance, Task, condition_of, restored, scheduled
from standin.marathon.offers import Match, Offer, match, task_info
from standin.marathon.plans import Kind, Root, plan
from standin.marathon.scaling import propose

BRIDGED: dict[str, Any] = {
    "id": "/shop/web",
    "cpus": 0.5,
    "mem": 512,
    "container": {
        "type": "DOCKER",
        "docker": {
            "image": "web",
            "network": "BRIDGE",
            "portMappings": [{"containerPort": 80, "hostPort": 0, "servicePort": 9000, "name": "http"}],
        },
    },
    "labels": {"tier": "front", "haproxy-group": "x"},
    "env": {"MODE": "production"},
    "taskKillGracePeriodSeconds": 7,
}
RAW: dict[str, Any] = {
    "id": {"value": "o1"},
    "agent_id": {"value": "S1"},
    "hostname": "n1",
    "attributes": [{"name": "rack", "type": "TEXT", "text": {"value": "a"}}, {"name": "level", "type": "SCALAR", "scalar": {"value": 2.0}}],
    "resources": [
        {"name": "cpus", "type": "SCALAR", "scalar": {"value": 1.0}, "role": "*"},
        {"name": "mem", "type": "SCALAR", "scalar": {"value": 1024.0}, "role": "*"},
        {"name": "ports", "type": "RANGES", "ranges": {"range": [{"begin": 31000, "end": 31001}]}, "role": "*"},
    ],
}


def app(**fields: Any) -> App:
    """Return an app at a first version."""
    return apps.defined({"id": "/a", "cmd": "sleep 1", **fields}).following(None, "2020-01-01T00:00:00.000Z")


def instance(number: int, condition: Condition = Condition.RUNNING, **fields: Any) -> Instance:
    """Return the n-th instance of an app, which has been active since second n."""
    base = Instance(f"a.instance-{number}", app(), condition, number, active_since=float(number), agent=Agent(f"S{number}", f"n{number}"))
    return dataclasses.replace(base, **fields)


# Names.


@pytest.mark.parametrize(
    ("path", "base", "found"),
    [
        ("web", "/", "/web"),
        ("web", "/shop", "/shop/web"),
        ("/web", "/shop", "/web"),
        ("../db", "/shop", "/db"),
        ("//x//y/", "/", "/x/y"),
        ("..", "/", "/"),
    ],
)
def test_a_path_starts_at_the_root(path: str, base: str, found: str) -> None:
    """However it is written."""
    assert names.canonical(path, base) == found


def test_ids_lead_back_to_where_they_come_from() -> None:
    """A task's to its instance, an instance's to its app."""
    made = names.instance_id("/shop/web-1")
    assert names.instance_of(names.task_id(made, 12)) == made
    assert names.app_of(made) == "/shop/web-1"
    with pytest.raises(ValueError, match="no valid identifier"):
        names.instance_of("something-else")


@given(st.floats(0, 4e9))
def test_a_timestamp_comes_back_to_the_millisecond(seconds: float) -> None:
    """And its text sorts as its time does."""
    stamp = names.stamp(seconds)
    assert abs(names.seconds(stamp) - seconds) <= 0.001
    assert names.stamp(seconds + 1) > stamp


# Definitions.


def test_old_spellings_are_made_new() -> None:
    """Docker's network and port mappings move to where they are now; what was not said is filled in."""
    made = apps.defined(BRIDGED)
    assert made.definition["networks"] == [{"mode": "container/bridge"}]
    assert "network" not in made.definition["container"]["docker"]
    (port,) = made.ports
    assert (port.container, port.host, port.service, port.protocol, port.name) == (80, 0, 9000, "tcp", "http")
    again = apps.defined(made.definition, made.id)
    assert again.definition == made.definition
    old = apps.defined({"id": "x", "cmd": "true", "ports": [0, 7000]})
    assert [each["port"] for each in old.definition["portDefinitions"]] == [0, 7000]


@pytest.mark.parametrize(
    ("fields", "path", "error"),
    [
        ({"id": None}, "/id", "error.path.missing"),
        ({"id": "/"}, "/id", "Path must contain at least one path element"),
        ({"id": "/web/tasks"}, "/id", "must not end with any of these reserved keywords: restart, tasks, versions"),
        ({"instances": 1.5}, "/instances", "error.expected.jsnumber"),
        ({"cpus": float("nan")}, "/cpus", "error.expected.jsnumber"),
        ({"mem": float("inf")}, "/mem", "error.expected.jsnumber"),
        ({"instances": True}, "/instances", "error.expected.jsnumber"),
        ({"env": {"A": 1}}, "/env/A", "error.expected.jsstring"),
        ({"cmd": "a", "args": ["b"]}, "/", "AppDefinition must either contain one of 'cmd' or 'args', and/or a 'container'."),
        ({"constraints": [["hostname"]]}, "/constraints(0)", "Each constraint must have either 2 or 3 fields"),
        ({"constraints": [["hostname", "LIKE", "["]]}, "/constraints(0)", "LIKE and UNLIKE require a non-empty, regular expression value"),
        ({"constraints": [["", "UNIQUE"]]}, "/constraints(0)", "missing field for constraint declaration"),
        ({"healthChecks": [{"protocol": "COMMAND"}]}, "/healthChecks(0)", "Health check protocol COMMAND requires a command"),
        ({"healthChecks": [{"protocol": "PING"}]}, "/healthChecks(0)/protocol", "error.unknown.enum.literal"),
        ({"healthChecks": [{"portIndex": 3}]}, "/healthChecks(0)", "Health check port indices must address"),
        ({"portDefinitions": [{"port": 80}, {"port": 80}], "requirePorts": True}, "/portDefinitions", "Ports must be unique."),
        ({"portDefinitions": [{"port": 70000}]}, "/portDefinitions(0)/port", "error.max"),
        ({"upgradeStrategy": {"minimumHealthCapacity": 2}}, "/upgradeStrategy/minimumHealthCapacity", "error.max"),
        ({"unreachableStrategy": "never"}, "/unreachableStrategy", "error.expected.jsobject"),
        ({"killSelection": "RANDOM"}, "/killSelection", "error.unknown.enum.literal"),
        ({"labels": {"MARATHON_SINGLE_INSTANCE_APP": "true"}, "instances": 2}, "/", "Single instance app may only have one instance"),
        (
            {"networks": [{"mode": "host"}], "container": {"docker": {"image": "x"}, "portMappings": [{}]}},
            "/",
            "portMappings are not allowed with host-networking",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_place(fields: dict[str, Any], path: str, error: str) -> None:
    """In upstream's words."""
    with pytest.raises(Invalid) as refused:
        apps.defined({"id": "/a", "cmd": "sleep 1", **fields})
    assert any(each.startswith(error) for each in refused.value.problems[path])


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 70000)
    | st.floats(allow_nan=True)
    | st.text(max_size=3)
    | st.sampled_from([*BRIDGED, "disabled", "HTTP"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(sorted({*apps.SHAPE.of, *apps._MAPPING.of, *apps._HEALTH.of})), inner)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(sorted(apps.SHAPE.of)), ANYTHING), ANYTHING)
def test_whatever_is_sent_is_taken_or_refused(fields: dict[str, Any], docker: Any) -> None:
    """And what is taken can be printed, matched, and read again."""
    try:
        made = apps.defined({"id": "/a", "cmd": "sleep 1", "container": {"docker": docker}, **fields})
    except Invalid as refused:
        assert refused.problems  # noqa: PT017  (either is right)
        return
    assert apps.defined(made.definition, made.id).definition == made.definition
    assert made.json()["id"] == made.id
    match(made, Offer.read(RAW), [Agent("S2", "n2")])
    assert made.instances >= 0


def test_host_ports_are_not_mapped_and_bridged_ones_not_defined() -> None:
    """One or the other, by the network."""
    with pytest.raises(Invalid, match="not valid") as refused:
        apps.defined({**BRIDGED, "portDefinitions": [{"port": 0}]})
    assert refused.value.problems == {"/": ["portDefinitions are only allowed with host-networking"]}


def test_a_scaling_is_no_new_configuration() -> None:
    """So a delay after failures, which belongs to the configuration, outlives it."""
    first = app()
    scaled = apps.updated(first, {"instances": 5}).following(first, "2020-01-02T00:00:00.000Z")
    assert (scaled.version, scaled.changed, scaled.configuration) == ("2020-01-02T00:00:00.000Z", first.changed, first.configuration)
    changed = apps.updated(scaled, {"mem": 64}).following(scaled, "2020-01-03T00:00:00.000Z")
    assert changed.changed == "2020-01-03T00:00:00.000Z"
    assert apps.updated(changed, {"mem": 64}).following(changed, "2020-01-04T00:00:00.000Z") is changed
    assert apps.stored(changed.record()) == changed


# Constraints.


@pytest.mark.parametrize(
    ("operator", "value", "placed", "fits"),
    [
        ("UNIQUE", "", ["b"], True),
        ("UNIQUE", "", ["a"], False),
        ("CLUSTER", "a", [], True),
        ("CLUSTER", "b", [], False),
        ("CLUSTER", "", ["b"], False),
        ("LIKE", "a|b", [], True),
        ("LIKE", "aa", [], False),
        ("UNLIKE", "a", [], False),
        ("IS", "a", [], True),
        ("MAX_PER", "2", ["a"], True),
        ("MAX_PER", "2", ["a", "a"], False),
        ("GROUP_BY", "", ["a", "b"], True),
        ("GROUP_BY", "", ["a", "a", "b"], False),
        ("GROUP_BY", "3", ["a", "b"], False),
        ("GROUP_BY", "3", ["b", "c"], True),
        ("GROUP_BY", "3", ["a", "b", "c"], True),
    ],
)
def test_a_constraint_is_met_or_not(operator: str, value: str, placed: list[str], *, fits: bool) -> None:
    """At a rack of that name, where the others are."""
    there = [{"hostname": "n", "rack": each} for each in placed]
    assert met(Constraint("rack", operator, value), {"hostname": "n", "rack": "a"}, there) is fits


@pytest.mark.parametrize("operator", ["UNIQUE", "LIKE", "IS", "UNLIKE"])
def test_only_unlike_is_met_by_what_is_not_there(operator: str) -> None:
    """An agent without the attribute."""
    assert met(Constraint("rack", operator, "a"), {"hostname": "n"}, []) is (operator == "UNLIKE")


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=12), st.integers(0, 12))
def test_what_is_stopped_leaves_the_rest_more_even(racks: list[str], count: int) -> None:
    """And never more than was asked for."""
    running = {str(number): {"hostname": "n", "rack": rack} for number, rack in enumerate(racks)}
    chosen = surplus([Constraint("rack", "GROUP_BY")], running, min(count, len(racks)))
    assert len(set(chosen)) == len(chosen) <= count

    def uneven(ids: set[str]) -> int:
        sizes = [sum(1 for each in ids if running[each]["rack"] == rack) for rack in set(racks)]
        return max(sizes) - min(sizes)

    assert uneven(set(running) - set(chosen)) <= max(1, uneven(set(running)))


# Offers.


def test_an_offer_is_taken_port_by_port() -> None:
    """The task gets what it asked for, and knows where it is."""
    offer, made = Offer.read(RAW), apps.defined(BRIDGED).following(None, "2020-01-01T00:00:00.000Z")
    found = match(made, offer, [])
    assert isinstance(found, Match)
    (port,) = found.host_ports
    assert port in {31000, 31001}
    info = task_info(made, "shop_web.instance-1._app.1", offer, found)
    environment = {each["name"]: each["value"] for each in info["command"]["environment"]["variables"]}
    assert (
        environment.items()
        >= {
            "MESOS_TASK_ID": "shop_web.instance-1._app.1",
            "MARATHON_APP_ID": "/shop/web",
            "MARATHON_APP_DOCKER_IMAGE": "web",
            "MARATHON_APP_LABEL_TIER": "front",
            "MARATHON_APP_LABEL_HAPROXY_GROUP": "x",
            "HOST": "n1",
            "PORT": str(port),
            "PORT0": str(port),
            "PORTS": str(port),
            "PORT_80": str(port),
            "PORT_HTTP": str(port),
            "MODE": "production",
        }.items()
    )
    assert info["name"] == "web.shop"
    docker = info["container"]["docker"]
    assert docker["port_mappings"] == [{"host_port": port, "container_port": 80, "protocol": "tcp"}]
    assert docker["parameters"] == [{"key": "label", "value": "MESOS_TASK_ID=shop_web.instance-1._app.1"}]
    assert {"key": "tier", "value": "front"} in info["labels"]["labels"]
    assert info["kill_policy"] == {"grace_period": {"nanoseconds": 7_000_000_000}}


@pytest.mark.parametrize(
    ("fields", "reasons"),
    [
        ({"cpus": 2}, ["InsufficientCpus"]),
        ({"mem": 5000, "cpus": 2}, ["InsufficientCpus", "InsufficientMemory"]),
        ({"disk": 1}, ["InsufficientDisk"]),
        ({"constraints": [["rack", "IS", "b"]], "cpus": 2}, ["UnfulfilledConstraint", "InsufficientCpus"]),
        ({"acceptedResourceRoles": ["prod"]}, ["UnfulfilledRole"]),
        ({"portDefinitions": [{"port": 80}], "requirePorts": True}, ["InsufficientPorts"]),
        ({"portDefinitions": [{}, {}, {}]}, ["InsufficientPorts"]),
    ],
)
def test_what_does_not_do_is_told_in_order(fields: dict[str, Any], reasons: list[str]) -> None:
    """The first reason is the one that the queue counts."""
    assert match(app(**fields), Offer.read(RAW), []) == reasons


def test_attributes_compare_as_they_are_written() -> None:
    """A number without a fraction is a whole one."""
    assert isinstance(match(app(constraints=[["level", "IS", "2"], ["rack", "LIKE", "a"]]), Offer.read(RAW), []), Match)


def test_reserved_resources_are_not_taken() -> None:
    """They belong to somebody else."""
    reserved = [{**each, "role": "prod"} for each in RAW["resources"]]
    assert match(app(), Offer.read({**RAW, "resources": reserved}), []) == [
        "UnfulfilledRole",
        "InsufficientCpus",
        "InsufficientMemory",
        "InsufficientPorts",
    ]


# Instances.


@pytest.mark.parametrize(
    ("state", "reason", "condition"),
    [
        ("TASK_RUNNING", "", Condition.RUNNING),
        ("TASK_GONE_BY_OPERATOR", "", Condition.GONE),
        ("TASK_LOST", "REASON_SLAVE_REMOVED", Condition.UNREACHABLE),
        ("TASK_LOST", "REASON_TASK_UNKNOWN", Condition.UNKNOWN),
        ("TASK_LOST", "REASON_EXECUTOR_TERMINATED", Condition.GONE),
        ("TASK_OF_TOMORROW", "", Condition.UNKNOWN),
    ],
)
def test_a_status_is_a_condition(state: str, reason: str, condition: Condition) -> None:
    """Also in words that are older, or newer, than these."""
    assert condition_of({"state": state, "reason": reason}) is condition


def test_an_unreachable_instance_becomes_inactive_with_time_and_comes_back() -> None:
    """At what the strategy says; time is that of the master's own statement."""
    patient = app(unreachableStrategy={"inactiveAfterSeconds": 60, "expungeAfterSeconds": 600})
    there = scheduled(patient, 0).launched(Agent("S1", "n1"), Task("t", Condition.PROVISIONED, 0), 0).told({"state": "TASK_RUNNING"}, 1)
    away = there.told({"state": "TASK_UNREACHABLE", "unreachable_time": {"nanoseconds": 10_000_000_000}}, 12)
    assert (away.condition, away.expired(12)) == (Condition.UNREACHABLE, False)
    assert away.told({"state": "TASK_UNREACHABLE"}, 69).condition is Condition.UNREACHABLE
    assert away.told({"state": "TASK_UNREACHABLE"}, 70).condition is Condition.UNREACHABLE_INACTIVE
    assert away.expired(610)
    assert away.told({"state": "TASK_RUNNING"}, 80).condition is Condition.RUNNING
    assert restored(away.record()) == away


def test_an_ended_task_stays_ended() -> None:
    """Mesos may say that it lost a task that it forgot."""
    ended = instance(1, task=Task("t", Condition.RUNNING, 0)).told({"state": "TASK_FAILED"}, 5)
    assert ended.condition is Condition.FAILED
    assert ended.told({"state": "TASK_LOST", "reason": "REASON_RECONCILIATION"}, 6) is ended


# Scaling and upgrades.


def test_what_serves_least_goes_first() -> None:
    """Out of reach, then staging, then running; the youngest of equals."""
    there = [instance(1), instance(2), instance(3, Condition.STAGING), instance(4, Condition.UNREACHABLE)]
    assert [each.id[-1] for each in propose(app(), there, 1).stop] == ["4", "3", "2"]
    oldest = app(killSelection="OLDEST_FIRST")
    assert [each.id[-1] for each in propose(oldest, there, 1).stop] == ["4", "3", "1"]


def test_an_instance_that_was_replaced_does_not_count() -> None:
    """Nor does one that has to go."""
    there = [instance(1, Condition.UNREACHABLE_INACTIVE), instance(2, goal=Goal.DECOMMISSIONED), instance(3)]
    assert propose(app(), there, 2).start == 1
    assert propose(app(), there, 2).stop == ()


def test_a_sentenced_instance_goes_in_any_case() -> None:
    """Even where none would be too many."""
    there = [instance(1), instance(2)]
    proposal = propose(app(), there, 2, sentenced={"a.instance-1"})
    assert ([each.id[-1] for each in proposal.stop], proposal.start) == (["1"], 1)


@pytest.mark.parametrize(
    ("minimum", "over", "healthy", "expected"),
    [
        (1, 1, 4, (4, 8)),
        (1, 0, 4, (4, 5)),  # one more than allowed, or nothing could ever be replaced
        (0.5, 0, 4, (2, 4)),
        (0.6666, 0.5, 4, (3, 6)),
        (0, 0, 4, (0, 4)),
        (1, 0, 2, (4, 4)),
    ],
)
def test_an_upgrade_stays_within_its_strategy(minimum: float, over: float, healthy: int, expected: tuple[int, int]) -> None:
    """How many have to be healthy, and how many may be there."""
    wanted = app(instances=4, upgradeStrategy={"minimumHealthCapacity": minimum, "maximumOverCapacity": over})
    there = [instance(number, Condition.RUNNING if number < healthy else Condition.STAGING) for number in range(4)]
    assert bounds(wanted, there) == expected


def test_a_plan_stops_starts_and_follows_dependencies() -> None:
    """In this order, side by side where nothing depends on anything."""
    old, db, web = app(id="/old"), app(id="/db"), app(id="/web", dependencies=["/db"])
    before, after = Root("1", {"/old": old}), Root("2", {"/web": web, "/db": db})
    made = plan(before, after)
    assert [[(each.kind, each.app.id) for each in step] for step in made.steps] == [
        [(Kind.STOP, "/old")],
        [(Kind.START, "/web"), (Kind.START, "/db")],
        [(Kind.SCALE, "/db")],
        [(Kind.SCALE, "/web")],
    ]
    assert made.affected == {"/old", "/db", "/web"}
    circle = Root("3", {"/db": app(id="/db", dependencies=["/web"]), "/web": web})
    with pytest.raises(Invalid, match="not valid"):
        plan(after, circle)


# Delays and health.


def test_a_delay_grows_up_to_its_limit_and_ends() -> None:
    """By the factor for each failure; forgotten when the app was well for its longest delay."""
    backoff, wanted = Backoff(), app(backoffSeconds=10, backoffFactor=2, maxLaunchDelaySeconds=35)
    waits = []
    for now in (100.0, 200.0, 300.0):
        backoff.failed(wanted, now)
        waits.append(backoff.allowed_at(wanted) - now)
    assert waits == [10, 20, 35]
    backoff.launched(wanted, 400)
    assert backoff.allowed_at(wanted) == 435
    backoff.forget(435)
    assert backoff.allowed_at(wanted) == 435
    backoff.forget(436)
    assert backoff.allowed_at(wanted) == 0


def test_a_failure_counts_once_an_instance_was_well_or_had_its_time() -> None:
    """Before that it is starting up."""
    (check,) = app(healthChecks=[{"gracePeriodSeconds": 10, "maxConsecutiveFailures": 2}]).checks
    starting = instance(100)
    assert Health().ignores(check, starting, 109)
    assert not Health().ignores(check, starting, 110)
    assert not Health().passed(105).ignores(check, starting, 109)
    assert Health().passed(105).ignores(check, instance(1, Condition.UNREACHABLE), 500)
    ill = Health().failed(1, "x").failed(2, "x")
    assert (ill.alive, ill.fatal(check), ill.passed(3).alive, ill.passed(3).fatal(check)) == (False, True, True, False)
