"""HAProxy's backends by what Marathon tells of apps and tasks."""

from __future__ import annotations

from typing import Any

import pytest

from feeder import __main__ as following
from feeder import proxy
from harness.testing.servers import Request, Response, Server


def app(path: str, *ports: int) -> dict[str, Any]:
    """Return an app with these service ports, as Marathon tells of it now."""
    return {"id": path, "container": {"portMappings": [{"containerPort": 80, "servicePort": port} for port in ports]}}


def task(host: str, port: int, **more: Any) -> dict[str, Any]:
    """Return a task of the app /web that runs."""
    return {"appId": "/web", "host": host, "ports": [port], "servicePorts": [8000], "state": "TASK_RUNNING", **more}


def test_behind_a_service_is_every_task_that_runs_and_that_no_check_found_dead() -> None:
    """A check that has not come to a result yet is no reason to leave one out."""
    tasks = [
        task("n2", 31001),
        task("n1", 31000),
        task("n3", 31002, state="TASK_UNREACHABLE"),
        task("n3", 31003, healthCheckResults=[{"alive": False}]),
        task("n3", 31004, healthCheckResults=[{"alive": None}]),
        task("n4", 31005, appId="/other"),
    ]
    (found,) = proxy.services([app("/web", 8000)], tasks)
    assert found == proxy.Service("/web", 8000, (("n1", 31000), ("n2", 31001), ("n3", 31004)))


def test_a_service_without_a_task_is_listened_on_all_the_same() -> None:
    """Callers are refused by HAProxy, and not by the kernel; of two apps with one port the first has it, and port 0 is none."""
    apps = [app("/b", 8000), app("/a", 8000, 8001, 0), {"id": "/host", "portDefinitions": [{"port": 9000}]}]
    old = {"id": "/old", "container": {"docker": {"portMappings": [{"servicePort": 7000}]}}}
    assert [(each.app, each.port) for each in proxy.services([*apps, old], [])] == [
        ("/old", 7000),
        ("/a", 8000),
        ("/a", 8001),
        ("/host", 9000),
    ]


def test_what_is_written_names_nobody_that_it_was_not_told_of() -> None:
    """A host's name cannot end its line."""
    text = proxy.written([proxy.Service("/prod/web", 8000, (("n1\n    bind *:1", 31000),))])
    assert "\nlisten prod_web_8000\n    bind *:8000\n    server n1_____bind___1_31000 n1_____bind___1:31000 check inter 2s\n" in text


@pytest.mark.parametrize("status", [503, 404])
def test_an_answer_that_is_none_changes_nothing(status: int) -> None:
    """An empty list of a Marathon that has just begun to lead would take all backends away; one that does not answer well tells nothing."""

    def behave(_: Request) -> Response:
        return Response(status, b'{"apps": [], "tasks": []}')

    with Server(behave) as server, pytest.raises(ValueError, match=f"status {status}"):
        following.feed(f"http://{server.address}:{server.port}")


@pytest.fixture
def fed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return which Marathons HAProxy is fed from, one after the other."""
    told: list[str] = []
    monkeypatch.setattr(following, "feed", told.append)
    return told


def test_events_are_followed_at_the_leader_wherever_it_is(fed: list[str]) -> None:
    """Who does not lead sends there; what there is to do is asked of the leader, too. Its stream ends with its lead, and another is looked for."""
    with Server(lambda _: Response(200, b"event: status_update_event\n\n")) as leading:
        leader = f"http://{leading.address}:{leading.port}"
        with Server(lambda _: Response(302, b"", f"Location: {leader}/v2/events\r\n")) as other, pytest.raises(ValueError, match="ended"):
            following.follow(f"http://{other.address}:{other.port}")
    assert fed == [leader, leader]
    assert [each.path for each in leading.requests] == ["/v2/events"]


@pytest.mark.parametrize("where", ["", "/v2/events", "ftp://n2/v2/events", None])
def test_a_redirect_to_nowhere_or_in_a_circle_is_no_leader(where: str | None, fed: list[str]) -> None:
    """It is said, and the next Marathon is asked."""
    with Server(lambda _: Response(302, b"", f"Location: {itself if where is None else where}\r\n")) as server:
        itself = f"http://{server.address}:{server.port}/v2/events"
        with pytest.raises(ValueError, match="status 302"):
            following.follow(f"http://{server.address}:{server.port}")
    assert len(server.requests) == (1 if where is not None else following.HOPS + 1)
    assert fed == []
