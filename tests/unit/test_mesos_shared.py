"""What the stand-ins for Mesos and Marathon share: framing, durations, flags, resources, and election in ZooKeeper."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standin import recordio
from standin.doubles.clock import StalledError, run
from standin.doubles.zookeeper import MemoryEnsemble, MemoryZooKeeper
from standin.durations import parse_duration, write_duration
from standin.election import Group, Membership
from standin.flags import BadFlagsError, boolean, flag, load, shown
from standin.resources import Resources, ResourcesError
from standin.zookeeper import Address


@given(st.lists(st.binary(max_size=30)), st.integers(1, 7))
def test_records_come_back_however_the_stream_is_cut(records: list[bytes], size: int) -> None:
    """Each whole and in order."""
    stream = b"".join(map(recordio.encode, records))
    decoder, found = recordio.Decoder(), []
    for begin in range(0, len(stream), size):
        found += decoder.feed(stream[begin : begin + size])
    assert found == records


@pytest.mark.parametrize("stream", [b"x\nabc", b"-1\n", b"\n", b"1" * 30])
def test_what_is_no_frame_is_refused(stream: bytes) -> None:
    """It is not skipped: nobody could say where the next record begins."""
    with pytest.raises(recordio.BadFrameError):
        recordio.Decoder().feed(stream)


@pytest.mark.parametrize(
    ("text", "seconds", "written"),
    [
        ("15secs", 15, "15secs"),
        ("10mins", 600, "10mins"),
        ("75secs", 75, "1.25mins"),
        ("1.5hrs", 5400, "1.5hrs"),
        ("500ms", 0.5, "500ms"),
        ("1weeks", 604800, "1weeks"),
        ("0ns", 0, "0ns"),
    ],
)
def test_durations(text: str, seconds: float, written: str) -> None:
    """They are read and written as upstream does."""
    assert parse_duration(text) == pytest.approx(seconds)
    assert write_duration(seconds) == written


@pytest.mark.parametrize("text", ["15", "15s", "15 secs", "", "secs"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    """Units have no short names."""
    with pytest.raises(ValueError, match="15secs"):
        parse_duration(text)


@dataclass(frozen=True)
class _Flags:
    zk: str = flag(str, told="where ZooKeeper is")
    quorum: int = flag(int, "1", told="how many")
    timeout: float = flag(parse_duration, "15secs", told="how long")
    strict: bool = flag(boolean, "true", told="whether")


def test_flags_come_from_arguments_the_environment_and_defaults() -> None:
    """In that order, and show themselves as they would be written."""
    flags = load(_Flags, ["--zk=zk://n1:2181/mesos", "--no-strict"], {"MESOS_QUORUM": "2", "MESOS_ZK": "zk://n9:1/x", "MESOS_OTHER": "1"})
    assert (flags.zk, flags.quorum, flags.timeout, flags.strict) == ("zk://n1:2181/mesos", 2, 15.0, False)
    assert shown(flags) == {"zk": "zk://n1:2181/mesos", "quorum": "2", "timeout": "15secs", "strict": "false"}


def test_every_bad_flag_is_told_at_once() -> None:
    """Not the first alone."""
    with pytest.raises(BadFlagsError) as told:
        load(_Flags, ["--quorum=two", "--timeout=15", "--colour=red", "x", "--strict=maybe", "--quorum=3"], {})
    for part in (
        "'zk' is required",
        "'timeout': a duration",
        "unknown flag 'colour'",
        "'x' is no flag",
        "'strict': expected",
        "more than once",
    ):
        assert part in str(told.value)


def test_resources_add_up_to_what_they_were() -> None:
    """Scalars to the thousandth, ranges port by port."""
    whole = Resources.parse("cpus:2;mem:1024;disk:100;ports:[31000-31009]")
    part = Resources.parse("cpus:0.1; mem:32; ports:[31003-31004,31009-31009]")
    rest = whole - part - Resources.parse("cpus:0.2")
    assert rest.scalar("cpus") == pytest.approx(1.7)
    assert [*rest.ports()] == [31000, 31001, 31002, 31005, 31006, 31007, 31008]
    assert rest + part + Resources.parse("cpus:0.2") == whole
    assert Resources.from_api(whole.to_api()) == whole
    assert whole.to_state() == {"cpus": 2.0, "mem": 1024.0, "disk": 100.0, "gpus": 0.0, "ports": "[31000-31009]"}
    assert whole.contains(rest)
    assert not rest.contains(whole)
    with pytest.raises(ResourcesError, match="does not contain"):
        part - whole


@pytest.mark.parametrize("text", ["cpus", "cpus:-1", "cpus:many", "ports:[2-1]", "ports:[a-b]", "cpus(role):1", "cpus:nan"])
def test_what_are_no_resources_is_refused(text: str) -> None:
    """With the text that was found."""
    with pytest.raises(ResourcesError):
        Resources.parse(text)


def test_addresses_in_zookeeper() -> None:
    """Hosts as kazoo takes them, and a path."""
    assert Address.parse("zk://n1:2181,n2:2181/mesos/") == Address("n1:2181,n2:2181", "/mesos")
    for wrong in ("n1:2181/mesos", "zk://n1:2181", "zk://n1:2181/", "zk://me:word@n1:2181/mesos"):
        with pytest.raises(ValueError, match="zk://host1"):
            Address.parse(wrong)


async def _joined(ensemble: MemoryEnsemble, name: str) -> tuple[MemoryZooKeeper, Group, Membership]:
    client = ensemble.client()
    group = Group(client, "/mesos")
    return client, group, await group.join(name.encode())


def test_the_lowest_leads_and_the_next_one_after_it() -> None:
    """MasterContenders: the first wins, and when it is killed the second does, a session timeout later."""

    async def main() -> None:
        ensemble = MemoryEnsemble()
        first, _, _ = await _joined(ensemble, "a")
        _, watching, _ = await _joined(ensemble, "b")
        leader = await watching.detect(None)
        assert leader is not None
        assert (leader.data, leader.path) == (b"a", "/mesos/json.info_0000000000")
        began = asyncio.get_running_loop().time()
        first.kill()
        following = await watching.detect(leader)
        assert following is not None
        assert following.data == b"b"
        assert asyncio.get_running_loop().time() - began == pytest.approx(10.0)

    run(main())


def test_a_leader_without_zookeeper_knows_that_it_does_not_lead_any_more() -> None:
    """Not when it is disconnected, but after a session timeout of that, though nobody can tell it; then it sees no leader at all."""

    async def main() -> None:
        ensemble = MemoryEnsemble()
        client, group, membership = await _joined(ensemble, "a")
        leader = await group.detect(None)
        client.cut()
        await asyncio.sleep(9.0)
        assert not membership.lost.done()
        assert group.leader == leader
        assert "expired" in await membership.lost
        assert group.leader is None
        client.restore()
        await asyncio.sleep(1.0)
        assert group.members == frozenset()

    run(main())


def test_a_short_cut_changes_nothing() -> None:
    """The place is kept by the session, and nobody is told of a new leader."""

    async def main() -> None:
        ensemble = MemoryEnsemble()
        client, group, membership = await _joined(ensemble, "a")
        leader = await group.detect(None)
        client.cut()
        await asyncio.sleep(5.0)
        client.restore()
        await asyncio.sleep(60.0)
        assert not membership.lost.done()
        assert group.leader == leader

    run(main())


def test_one_who_watches_follows_across_sessions() -> None:
    """MasterDetectorExpireSlaveZKSessionNewMaster: a new leader is seen although the watches of the old session are gone."""

    async def main() -> None:
        ensemble = MemoryEnsemble()
        first, _, _ = await _joined(ensemble, "a")
        await _joined(ensemble, "b")
        watcher = ensemble.client()
        group = Group(watcher, "/mesos")
        leader = await group.detect(None)
        watcher.cut()
        await first.close()
        await asyncio.sleep(30.0)
        watcher.restore()
        found = await group.detect(None)
        assert found is not None
        assert found != leader
        assert found.data == b"b"

    run(main())


def test_one_whose_znode_is_removed_is_told() -> None:
    """The session goes on, the place does not."""

    async def main() -> None:
        ensemble = MemoryEnsemble()
        _, _, membership = await _joined(ensemble, "a")
        ensemble.delete(membership.member.path, -1)
        assert "removed" in await membership.lost

    run(main())


def test_what_would_wait_forever_is_stopped() -> None:
    """The clock of these tests says so instead of hanging."""

    async def main() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(StalledError):
        run(main())
