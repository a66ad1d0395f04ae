"""Fingerprints: the same for a sound node, different for anything that a fault could leave."""

from __future__ import annotations

import pytest

from harness.errors import CommandFailed, Unreachable
from harness.fingerprint import ASPECTS, differences, fingerprint
from harness.nodes.memory import MemoryNode
from harness.providers.memory import MemoryProvider
from harness.values import Latency, Result


def node() -> MemoryNode:
    """Return a sound node."""
    return MemoryNode("n1", "10.77.0.11")


def test_a_sound_node_looks_the_same_twice() -> None:
    """Every aspect is there, and two looks do not differ."""
    one = node()
    before = fingerprint(one, MemoryProvider())
    assert {*before} == {*ASPECTS}
    assert differences(before, fingerprint(one, MemoryProvider())) == []


def test_what_is_left_is_named_in_a_sentence() -> None:
    """A rule, a marker and a slowed disk are each seen, with the words for them."""
    one = node()
    before = fingerprint(one, MemoryProvider())
    one.cuts["ab_cd"] = frozenset({"10.77.0.12"})
    one.files["/run/whalefall/killed-etcd.service"] = (b"", 0o644)
    one.latency = Latency(fsync=0.5)
    assert differences(before, fingerprint(one, MemoryProvider())) == [
        "added disk latency 'fsync +0.5 s' is there and was not before",
        "file of a fault in /run/whalefall '/run/whalefall/killed-etcd.service' is there and was not before",
        "nftables table 'whalefall_ab_cd' is there and was not before",
    ]


def test_what_is_gone_is_a_difference_too() -> None:
    """Taking away is no better than leaving behind; one of two equal things is noticed."""
    assert differences({"mounts": ["/data", "/data"]}, {"mounts": ["/data"]}) == ["mount '/data' was there before and is gone"]


def test_an_aspect_that_only_one_look_has_is_said_so() -> None:
    """Nothing is concluded from what was not asked."""
    assert differences({"disk": []}, {}) == ["added disk latency: only known before, so nothing can be said"]


def test_without_disks_nothing_is_said_about_latency() -> None:
    """Only what was asked is in it."""
    assert "disk" not in fingerprint(node())


def test_a_node_that_gives_no_answer_has_no_fingerprint() -> None:
    """Off, or rubbish: "could not ask", not "nothing there"."""
    off, mad = node(), node()
    off.on = False
    mad.rubbish = b"{"
    with pytest.raises(Unreachable):
        fingerprint(off)
    with pytest.raises(Unreachable, match="an answer that is none"):
        fingerprint(mad)


def test_something_that_could_not_be_asked_is_an_error() -> None:
    """A tool that fails on the node fails the look, with what it said."""
    one = node()
    one.programs["python3"] = lambda argv, _: Result(argv, 1, b"", b"nft list tables: Operation not permitted")
    with pytest.raises(CommandFailed, match="nft list tables: Operation not permitted"):
        fingerprint(one)
