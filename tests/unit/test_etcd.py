"""The etcd client and what is beneath it, against members that misbehave."""

from __future__ import annotations

import contextlib
import gzip
import json
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from harness.core.errors import InDoubt, NoGoodAnswer, NotDone
from harness.modes.etcd import Etcd, Status
from harness.testing.servers import Behaviour, EtcdServer, Response, Server, ServerTrouble, closed_port
from harness.web import NoAnswer, NotSent, Site

if TYPE_CHECKING:
    from collections.abc import Iterator

SOON = 0.15
"""A deadline that the tests wait out."""
PATIENT = 10.0


@pytest.fixture
def member() -> Iterator[EtcdServer]:
    """A member that answers as etcd does, until it is told otherwise."""
    with EtcdServer() as server:
        yield server


def client(server: Server, timeout: float = PATIENT) -> Etcd:
    """Return a client of a double."""
    return Etcd(server.address, timeout, server.port)


def test_a_written_key_is_read_back(member: EtcdServer) -> None:
    """Keys and values are any text, not only ASCII."""
    with client(member) as etcd:
        etcd.put("whalefall/ä", "1 ✓")
        assert etcd.get("whalefall/ä") == "1 ✓"


def test_a_key_that_is_not_there_is_none_and_an_empty_value_is_not(member: EtcdServer) -> None:
    """Absent and empty are two things."""
    with client(member) as etcd:
        etcd.put("empty", "")
        assert etcd.get("absent") is None
        assert etcd.get("empty") == ""


def test_a_prefix_read_holds_every_key_of_the_prefix_and_no_other(member: EtcdServer) -> None:
    """The range's end is right: neither the bare name nor the next key after the prefix is in it."""
    member.store.update({"a": "0", "a/1": "1", "a/2": "2", "a0": "3", "b": "4"})
    with client(member) as etcd:
        assert etcd.prefix("a/") == {"a/1": "1", "a/2": "2"}
        assert etcd.prefix("c/") == {}


def test_only_keys_of_the_prefix_are_cleared(member: EtcdServer) -> None:
    """Twice, and where there are none."""
    member.store.update({"a": "0", "a/1": "1", "a/2": "2", "a0": "3"})
    with client(member) as etcd:
        for each in ("a/", "a/", "c/"):
            etcd.clear(each)
        with pytest.raises(ValueError, match="every key there is"):
            etcd.clear("")
        assert member.store == {"a": "0", "a0": "3"}
        member.trouble = Response(503)
        with pytest.raises(InDoubt):
            etcd.clear("a")


def test_a_status_holds_the_members_own_numbers(member: EtcdServer) -> None:
    """Ids are 64 bits wide and are not rounded."""
    member.term, member.member_id, member.leader_id = 7, 2**63 + 5, 12
    with client(member) as etcd:
        assert etcd.status() == Status(term=7, member_id=2**63 + 5, leader_id=12)


def test_a_member_that_follows_nobody_has_leader_0(member: EtcdServer) -> None:
    """Raft's own word for nobody is id 0."""
    member.leader_id = 0
    with client(member) as etcd:
        assert etcd.status().leader_id == 0


def test_members_are_named_by_id_and_one_that_never_started_has_no_name(member: EtcdServer) -> None:
    """The gateway leaves an empty name out of its answer."""
    member.members = {1: "n1", 2: "n2", 3: ""}
    with client(member) as etcd:
        assert etcd.members() == {1: "n1", 2: "n2", 3: ""}


def test_a_refused_connection_is_definitely_not_done() -> None:
    """Nothing was sent, so the write is certainly not there."""
    with Etcd("127.0.0.1", PATIENT, closed_port()) as etcd, pytest.raises(NotDone, match="Connection refused"):
        etcd.put("key", "value")


@pytest.mark.parametrize(
    "trouble",
    [ServerTrouble.HANG, ServerTrouble.STALL, ServerTrouble.RESET, ServerTrouble.CLOSE, ServerTrouble.TORN, ServerTrouble.RUBBISH],
)
def test_a_write_that_was_sent_and_not_answered_is_in_doubt(member: EtcdServer, trouble: ServerTrouble) -> None:
    """Whatever a member does after it has the request, the write may be there."""
    member.trouble = trouble
    with client(member, SOON if trouble in {ServerTrouble.HANG, ServerTrouble.STALL} else PATIENT) as etcd, pytest.raises(InDoubt):
        etcd.put("key", "value")


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Response(500, b"oops"), InDoubt),
        (Response(503, b'{"error":"etcdserver: request timed out","code":14}'), InDoubt),
        (Response(504, b""), InDoubt),
        (Response(400, b'{"error":"etcdserver: mvcc: database space exceeded"}'), NotDone),
        (Response(404, b"404 page not found"), NotDone),
        (Response(429, b'{"error":"etcdserver: too many requests","code":8}'), NotDone),
        (Response(408, b'{"error":"context canceled","code":1}'), InDoubt),
        (Response(409, b'{"error":"aborted","code":10}'), InDoubt),
        (Response(499, b'{"code":1,"message":"context canceled"}'), InDoubt),
        (Response(200, b"<html>"), InDoubt),
        (Response(200, b"[" * 100_000), InDoubt),
        (Response(200, b"[]"), InDoubt),
        (Response(200, b"{}"), InDoubt),
    ],
)
def test_a_bad_answer_says_whether_the_write_may_be_there(member: EtcdServer, answer: Behaviour, kind: type[NoGoodAnswer]) -> None:
    """A refusal (4xx) is definite; one who gave up (408, 409, 499), a failure of the member (5xx) or an answer that is not its own is not."""
    member.trouble = answer
    with client(member) as etcd, pytest.raises(kind, match=r"127\.0\.0\.1"):
        etcd.put("key", "value")


@pytest.mark.parametrize(
    "body",
    [
        {"header": {}, "kvs": [{}]},
        {"header": {}, "kvs": 3},
        {"header": {}, "kvs": [{"key": "a", "value": "!"}]},
        {"header": {}, "kvs": ["x"]},
    ],
)
def test_a_range_that_is_no_range_is_an_error_and_never_an_absent_key(member: EtcdServer, body: dict[str, object]) -> None:
    """Could-not-ask is never a no."""
    member.trouble = Response(200, json.dumps(body).encode())
    with client(member) as etcd, pytest.raises(InDoubt, match="expected an etcd"):
        etcd.get("key")


@pytest.mark.parametrize(
    "body",
    [{"header": {}}, {"raft.status": None}, {"raft.status": {"id": "x", "term": 1}}, {"raft.status": {"id": "1", "term": 1, "lead": "g"}}],
)
def test_a_status_that_is_no_status_is_an_error(member: EtcdServer, body: dict[str, object]) -> None:
    """An answer without the numbers is none."""
    member.trouble = Response(200, json.dumps(body).encode())
    with client(member) as etcd, pytest.raises(InDoubt):
        etcd.status()
    with client(member) as etcd, pytest.raises(InDoubt):
        etcd.members()


RAFT = '"raft.status": {"id":"1","term":4,"lead":"1"}'


@pytest.mark.parametrize(
    "body",
    ["{\n" + RAFT + "\n}\n", "{\n" + RAFT + ",\n" + '"memstats": {"Alloc":NaN,"Alloc":{}}\n}\n', "{" + RAFT + "}", " {\n  " + RAFT + " }"],
    ids=["alone", "first", "on one line", "indented"],
)
def test_a_status_is_read_however_it_is_laid_out(member: EtcdServer, body: str) -> None:
    """In the form that etcd gives it, nothing but its own line is looked at."""
    member.trouble = Response(200, body.encode())
    with client(member) as etcd:
        assert etcd.status() == Status(term=4, member_id=1, leader_id=1)


@pytest.mark.parametrize(
    "body",
    [
        "{\n" + RAFT + ",\n" + RAFT.replace("4", "5") + "\n}\n",
        "{\n" + RAFT[:-1] + "\n}\n",
        "{\n" + RAFT + "}\n}\n",
        '{\n"raft.status": \n}\n',
    ],
    ids=["twice", "torn", "too much", "nothing"],
)
def test_a_status_that_is_told_twice_or_in_part_is_an_error(member: EtcdServer, body: str) -> None:
    """Nobody knows which of them holds."""
    member.trouble = Response(200, body.encode())
    with client(member) as etcd, pytest.raises(InDoubt, match="expected an etcd"):
        etcd.status()


def test_all_requests_go_over_one_connection(member: EtcdServer) -> None:
    """The connection is kept while all goes well."""
    with client(member) as etcd:
        for number in range(5):
            etcd.put("key", str(number))
        etcd.status()
    assert member.connections == 1


def test_a_client_works_again_once_its_member_does(member: EtcdServer) -> None:
    """After a trouble the next request makes a new connection."""
    with client(member) as etcd:
        etcd.put("key", "1")
        member.trouble = ServerTrouble.RESET
        with pytest.raises(InDoubt):
            etcd.put("key", "2")
        member.trouble = None
        etcd.put("key", "3")
    assert member.store == {"key": "3"}


def test_a_closed_client_can_be_closed_again(member: EtcdServer) -> None:
    """Closing twice is fine."""
    etcd = client(member)
    etcd.status()
    etcd.close()
    etcd.close()


def test_a_server_that_trickles_is_waited_for_no_longer_than_one_that_hangs() -> None:
    """The bound holds for the whole exchange: with one for each read, this server would be waited for without end."""
    with Server(lambda _: ServerTrouble.TRICKLE) as server:
        site = Site(server.address, server.port)
        with pytest.raises(NoAnswer, match=r"no whole answer within 0\.15 s"):
            site.exchange("GET", "/", seconds=SOON)
        site.close()


def test_a_packed_answer_is_taken_as_it_was_sent() -> None:
    """A bound on what is read bounds nothing that is made of it."""
    packed = gzip.compress(b"{}" + b" " * (8 << 20))
    with Server(lambda _: Response(200, packed, "Content-Encoding: gzip\r\n")) as server:
        site = Site(server.address, server.port)
        assert site.exchange("GET", "/", seconds=PATIENT).body == packed
        site.close()


def test_numbers_that_are_none_are_no_answer() -> None:
    """Whatever the library makes of them."""
    with Server(lambda _: ServerTrouble.NUMBER) as server:
        site = Site(server.address, server.port)
        with pytest.raises(NoAnswer):
            site.exchange("GET", "/", seconds=PATIENT)
        site.close()


LENGTHS = {
    **{f"a piece of {said!r}": f"Transfer-Encoding: chunked\r\n\r\n{said}\r\n" for said in ("-1", "+5", "1_0", "0x10", "", "g", "1" * 16)},
    **{f"a body of {said!r}": f"Content-Length: {said}\r\n\r\n" for said in ("-5", "+5", "1_0", "5, 5", "9" * 5000)},
}


@pytest.mark.parametrize("head", LENGTHS.values(), ids=LENGTHS)
@pytest.mark.parametrize("most", [1000, None])
def test_a_length_that_is_none_is_no_answer(head: str, most: int | None) -> None:
    """Python takes some of these for numbers; and one below zero for no bound, so that all that is sent afterwards was held in memory."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            with listener.accept()[0] as connection, contextlib.suppress(OSError):
                connection.recv(65536)
                connection.sendall(f"HTTP/1.1 200 OK\r\n{head}".encode() + b"x" * 100_000)

        server = threading.Thread(target=answer)
        server.start()
        site = Site(*listener.getsockname())
        with pytest.raises(NoAnswer, match=r"is no length|IncompleteRead"):
            site.exchange("GET", "/", seconds=PATIENT, most=most)
        site.close()
        server.join(PATIENT)


def test_the_same_trouble_has_the_same_words_each_time() -> None:
    """Errors are compared from one sample to the next, so they must hold no object's address."""
    site = Site("127.0.0.1", closed_port())
    words = set()
    for _ in range(3):
        with pytest.raises(NotSent) as caught:
            site.exchange("GET", "/", seconds=PATIENT)
        words.add(str(caught.value))
    site.close()
    assert len(words) == 1


def test_any_status_is_an_answer_and_redirects_are_not_followed() -> None:
    """A fault must not send us to another server."""
    with Server(lambda _: Response(302, b"elsewhere")) as server:
        site = Site(server.address, server.port)
        assert site.exchange("GET", "/path", seconds=PATIENT).status == 302
        site.close()
    assert [request.path for request in server.requests] == ["/path"]
