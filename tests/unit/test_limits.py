"""Whom a target may hit where some nodes are spared and only so many may be broken at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import pytest

from harness.conductor.permission import must_be_allowed, reach
from harness.core.clock import SystemClock
from harness.core.errors import Unsupported
from harness.core.protocols import Cluster
from harness.core.values import HERE, Unavailable
from harness.faults.partition import Partition
from harness.nodes.this_machine import node_of
from harness.testing.bare import BareMode
from harness.testing.memory_node import MemoryNode
from harness.testing.memory_provider import MemoryProvider

if TYPE_CHECKING:
    from harness.core.protocols import Action, Fault

NAMES = ("n1", "n2", "n3")
APPS = {"web": 2, "one": 1}


@pytest.mark.parametrize(
    ("expression", "spared", "said"),
    [
        ("n1", {"n1"}, "no target for 'n1': n1 is protected and must not be broken"),
        ("all", {"n2"}, "n2 is protected and must not be broken; the expression says n1, n2, n3"),
        ("majority", {"n1", "n3"}, "n1, n3 are protected and must not be broken"),
        ("leader & n1", {"n1"}, "n1 is protected and must not be broken; of the others it can hit 0 at most, and needs 1"),
        (
            "hosting(web) & majority",
            {"n1", "n3"},
            "n1, n3 are protected and must not be broken; of the others it can hit 1 at most, and needs 2",
        ),
    ],
)
def test_what_can_hit_nobody_without_a_spared_node_is_refused(expression: str, spared: set[str], said: str) -> None:
    """Whoever will lead, and wherever the apps will run: it is known now, in one line."""
    (refused,) = reach(expression, NAMES, APPS, spared).refused
    assert said in refused
    assert "\n" not in refused


@pytest.mark.parametrize(
    "expression", ["any", "n2", "minority", "majority", "!n1", "leader", "hosting(web)", "hosting(web) & any", "follower"]
)
def test_what_may_hit_others_is_not_refused(expression: str) -> None:
    """What the leader or an app's home will be is decided when the fault fires, and refused then if it must be."""
    found = reach(expression, NAMES, APPS, {"n1"})
    assert found.refused == ()
    assert found.could == ("n2", "n3")


def test_more_than_is_allowed_at_once_is_refused() -> None:
    """With the figures; a chooser takes no more than it says, and one instance runs on one node."""
    assert reach("majority", NAMES, APPS, at_once=1).refused == (
        "'majority' may break 2 at once, and 1 is allowed; raise whalefall_at_once, or hit fewer",
    )
    assert reach("hosting(web)", NAMES, APPS, at_once=1).refused
    for fewer in ("any", "hosting(web) & any", "hosting(one)", "leader", "n3"):
        assert (reach(fewer, NAMES, APPS, at_once=1).most, reach(fewer, NAMES, APPS, at_once=1).refused) == (1, ())


def test_nodes_of_our_own_have_no_limits() -> None:
    """Nobody is spared, and any number may be broken."""
    assert reach("all", NAMES, APPS).refused == ()


class _Guarded(MemoryProvider):
    """Hosts of somebody else: n1 is spared, two may be broken at once, and some allow nothing."""

    name: ClassVar[str] = "guarded"
    refusing: frozenset[str] = frozenset()

    def spared(self, run_id: str) -> frozenset[str]:
        """Return n1."""
        return frozenset({"n1"})

    def at_once(self, run_id: str) -> int:
        """Return two."""
        return 2

    def refusal(self, run_id: str, node: str, what: Fault | Action) -> Unavailable | None:
        """Refuse everything on those that allow nothing."""
        return Unavailable("it is not allowed there", "allow it") if node in self.refusing else None


@pytest.mark.parametrize(
    ("hit", "broken", "refusing", "said"),
    [
        (("n2",), ("n3",), (), None),
        (("n2", "n3"), ("n3",), (), None),
        (("n2",), ("n3", "n4"), (), "would break 3 at once, and 2 is allowed"),
        (("n2",), (), ("n3",), "not allowed"),  # the other end of the cut
        (("n2",), (), ("n1",), None),  # which is spared
        ((HERE,), (), ("n1",), None),
        ((HERE,), (), ("n4",), "not allowed"),
        ((HERE,), ("n2", "n3"), (), None),
    ],
)
def test_when_a_fault_fires_all_that_it_may_reach_must_allow_it(
    hit: tuple[str, ...], broken: tuple[str, ...], refusing: tuple[str, ...], said: str | None
) -> None:
    """With what is broken already; a spared node is no target, and what is run on this machine may reach every other."""
    provider = _Guarded()
    provider.refusing = frozenset(refusing)
    nodes = [MemoryNode(name, f"10.0.0.{at}") for at, name in enumerate((*NAMES, "n4"), start=1)]
    cluster = Cluster("run", nodes, provider, BareMode(), SystemClock())
    fault = Partition(shape="isolate")
    targets = [node_of(cluster, name) for name in hit]
    if said is None:
        must_be_allowed(cluster, fault, targets, broken)
    else:
        with pytest.raises(Unsupported, match=said):
            must_be_allowed(cluster, fault, targets, broken)
