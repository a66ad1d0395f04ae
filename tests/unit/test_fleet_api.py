"""The client of fleet's API, against servers that answer as fleet does and against ones that misbehave."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import pytest

from harness.core.errors import HarnessError, Unreachable
from harness.core.values import App
from harness.modes.fleet.fleet_api import Api, FleetMachine
from harness.modes.fleet.unit_files import render
from harness.testing.servers import Behaviour, Request, Response, Server, ServerTrouble, closed_port

if TYPE_CHECKING:
    from collections.abc import Callable

SOON = 0.15
"""A deadline that the tests wait out."""
PATIENT = 10.0
WEB = render(App("web", 1))[0]


def body(**what: Any) -> Response:
    """Answer 200 with JSON."""
    return Response(200, json.dumps(what).encode())


def asked(behave: Callable[[Request], Behaviour], scope: str = "run-1", timeout: float = PATIENT) -> tuple[Server, Api]:
    """Return a server and a client of it."""
    server = Server(behave)
    return server, Api("n1", server.address, scope, timeout, server.port)


def machine(number: int) -> dict[str, Any]:
    """Return a machine as fleet lists it."""
    return {"id": f"id{number}", "primaryIP": f"10.77.0.{10 + number}", "metadata": {"name": f"n{number}"}}


def test_a_list_of_several_pages_is_read_to_its_end() -> None:
    """Each page's token leads to the next, and is quoted: base64 may hold characters that an address may not."""
    pages = {"": ([1, 2], "a+b="), "a%2Bb%3D": ([3], "c"), "c": ([4], None)}

    def fleet(request: Request) -> Behaviour:
        numbers, token = pages[request.path.partition("nextPageToken=")[2]]
        return body(machines=[machine(each) for each in numbers], **({"nextPageToken": token} if token else {}))

    server, api = asked(fleet)
    with server:
        assert [each.id for each in api.machines()] == ["id1", "id2", "id3", "id4"]
        assert api.machines()[0] == FleetMachine("id1", "10.77.0.11", {"name": "n1"})
    assert server.connections == 1


def test_an_empty_list_is_left_out_by_fleet_and_is_empty() -> None:
    """No units at all is an answer."""
    server, api = asked(lambda _: body())
    with server:
        assert api.units() == ()
        assert api.states() == ()


def test_pages_that_lead_round_in_a_circle_are_no_answer() -> None:
    """A token that comes twice would be followed for ever."""
    server, api = asked(lambda _: body(machines=[], nextPageToken="again"))
    with server, pytest.raises(Unreachable, match="pages without end"):
        api.machines()


def test_a_global_unit_is_known_as_one() -> None:
    """It shows no machine, and that does not mean that it has no home."""
    options = [{"section": "X-Fleet", "name": "Global", "value": "true"}]
    server, api = asked(lambda _: body(units=[{"name": "a.service", "options": options}, {"name": "b.service", "machineID": "id1"}]))
    with server:
        assert [(each.name, each.machine, each.everywhere) for each in api.units()] == [
            ("a.service", "", True),
            ("b.service", "id1", False),
        ]


@pytest.mark.parametrize("status", [500, 503])
def test_a_server_error_is_no_answer_and_keeps_fleets_own_words(status: int) -> None:
    """It answers 503 to everything while it has no etcd: that says nothing about the cluster."""
    words = "fleet server unable to communicate with etcd"
    server, api = asked(lambda _: Response(status, json.dumps({"error": {"code": status, "message": words}}).encode()))
    with server:
        with pytest.raises(Unreachable, match=f"n1: .*GET /fleet/v1/state: {status}: {words}"):
            api.states()
        with pytest.raises(Unreachable, match=words):
            api.launch(WEB)


@pytest.mark.parametrize(
    "rubbish",
    [
        b"",
        b"<html>",
        b"[]",
        b"null",
        b'"machines"',
        b'{"machines": 3}',
        b'{"machines": [null]}',
        b'{"machines": [{}]}',
        b'{"machines": [{"id": 3}]}',
        b'{"machines": [{"id": "a", "metadata": [1]}]}',
        b'{"machines": [], "nextPageToken": 3}',
        b"[" * 100_000,
        b"\xff\xfe",
    ],
)
def test_an_answer_of_another_shape_is_no_answer(rubbish: bytes) -> None:
    """Whatever stands at that port, it is not fleet."""
    server, api = asked(lambda _: Response(200, rubbish))
    with server, pytest.raises(Unreachable, match="not fleet's"):
        api.machines()


@pytest.mark.parametrize("trouble", [ServerTrouble.RESET, ServerTrouble.CLOSE, ServerTrouble.TORN, ServerTrouble.RUBBISH])
def test_a_broken_connection_is_no_answer(trouble: ServerTrouble) -> None:
    """Nothing of the library beneath gets out, and what went wrong is said."""
    server, api = asked(lambda _: trouble)
    with server, pytest.raises(Unreachable):
        api.machines()


@pytest.mark.parametrize("trouble", [ServerTrouble.HANG, ServerTrouble.STALL, ServerTrouble.TRICKLE])
def test_a_server_that_takes_too_long_is_asked_once(trouble: ServerTrouble) -> None:
    """The timeout bounds the whole request, however the bytes come."""
    server, api = asked(lambda _: trouble, timeout=SOON)
    with server, pytest.raises(Unreachable, match="no whole answer"):
        api.machines()
    assert len(server.requests) == 1


def test_nobody_listening_is_no_answer() -> None:
    """A refused connection says nothing about the cluster."""
    with pytest.raises(Unreachable, match="refused"):
        Api("n1", "127.0.0.1", "run-1", PATIENT, closed_port()).machines()


def test_a_kept_connection_whose_other_end_started_anew_is_made_again() -> None:
    """A fleetd that was killed and is back is asked, not reported as silent."""
    answers: list[Behaviour] = [body(machines=[machine(1)]), ServerTrouble.CLOSE, body(machines=[machine(2)])]
    server, api = asked(lambda _: answers.pop(0))
    with server:
        assert api.machines()[0].id == "id1"
        assert api.machines()[0].id == "id2"


def test_connections_belong_to_one_cluster_and_one_thread() -> None:
    """Clusters share addresses, and a socket stays in the network that it was opened in."""
    server, api = asked(lambda _: body(machines=[]))
    with server:
        api.machines()
        api.machines()
        assert server.connections == 1
        Api("n1", server.address, "run-2", PATIENT, server.port).machines()
        assert server.connections == 2
        thread = threading.Thread(target=api.machines)
        thread.start()
        thread.join()
        assert server.connections == 3


def test_a_unit_is_put_with_all_its_options() -> None:
    """What fleet is given is the unit as rendered, to be launched."""
    server, api = asked(lambda _: Response(201, b""))
    with server:
        api.launch(WEB)
    (request,) = server.requests
    sent = json.loads(request.body)
    assert (request.method, request.path, sent["desiredState"]) == ("PUT", "/fleet/v1/units/web%401.service", "launched")
    assert [(each["section"], each["name"], each["value"]) for each in sent["options"]] == [
        (each.section, each.name, each.value) for each in WEB.options
    ]


def test_a_unit_that_fleet_refuses_is_an_error_of_ours_with_fleets_words() -> None:
    """Asking again would not help: the unit is shown."""
    server, api = asked(lambda _: Response(400, b'{"error": {"code": 400, "message": "bad option"}}'))
    with server, pytest.raises(HarnessError, match=r"(?s)400: bad option.*ExecStart=") as raised:
        api.launch(WEB)
    assert not isinstance(raised.value, Unreachable)
