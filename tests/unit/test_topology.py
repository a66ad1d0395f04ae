"""Which links each shape cuts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core.topology import SHAPES, Grudge, bridge, cut_off, halves, isolate, majority_minority, one_way, ring

THREE = ("n1", "n2", "n3")
FIVE = ("n1", "n2", "n3", "n4", "n5")


def names(count: int) -> tuple[str, ...]:
    """Give so many node names."""
    return tuple(f"n{number}" for number in range(1, count + 1))


@st.composite
def clusters(draw: st.DrawFn, least: int = 1) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Draw nodes and some of them as targets, at least one."""
    nodes = names(draw(st.integers(least, 12)))
    targets = draw(st.sets(st.sampled_from(nodes), min_size=1))
    return nodes, tuple(sorted(targets))


def sees(grudge: Grudge, nodes: tuple[str, ...], node: str) -> set[str]:
    """Give the nodes that a node exchanges packets with, itself included."""
    return {other for other in nodes if other not in grudge.get(node, ()) and node not in grudge.get(other, ())}


def cut(**against: str) -> dict[str, frozenset[str]]:
    """Write a grudge short: names parted by spaces."""
    return {node: frozenset(others.split()) for node, others in against.items()}


def test_isolate_leaves_each_target_alone() -> None:
    """Two isolated nodes of three see nobody, not even each other; the third keeps only itself."""
    assert isolate(THREE, ["n1", "n3"]) == cut(n1="n2 n3", n2="n1 n3", n3="n1 n2")
    assert isolate(FIVE, ["n2"]) == cut(n1="n2", n2="n1 n3 n4 n5", n3="n2", n4="n2", n5="n2")


def test_halves_keeps_the_targets_together() -> None:
    """Targets see each other and nobody else."""
    assert halves(FIVE, ["n1", "n4"]) == cut(n1="n2 n3 n5", n4="n2 n3 n5", n2="n1 n4", n3="n1 n4", n5="n1 n4")


def test_halves_of_everybody_cuts_nothing() -> None:
    """With nobody on the other side there is nothing to cut."""
    assert halves(THREE, THREE) == {}


def test_majority_minority_refuses_even_sides() -> None:
    """Two of four are no majority and no minority."""
    assert majority_minority(THREE, ["n2"]) == halves(THREE, ["n2"])
    for nodes, targets in ((names(4), ["n1", "n2"]), (THREE, []), (THREE, list(THREE))):
        with pytest.raises(ValueError, match="no majority against a minority"):
            majority_minority(nodes, targets)


def test_one_way_silences_the_targets_and_nobody_else() -> None:
    """The rest drop what the target sends; the target drops nothing."""
    assert one_way(THREE, ["n2"]) == cut(n1="n2", n3="n2")


def test_bridge_is_seen_from_both_sides() -> None:
    """The first target keeps both sides; the sides lose each other."""
    assert bridge(FIVE, ["n3"]) == cut(n1="n4 n5", n2="n4 n5", n4="n1 n2", n5="n1 n2")
    assert bridge(THREE, ["n1"]) == cut(n2="n3", n3="n2")


def test_bridge_without_a_target_is_refused() -> None:
    """Somebody must be the bridge."""
    with pytest.raises(ValueError, match="bridge needs a target"):
        bridge(THREE, [])


def test_ring_of_five_cuts_the_two_far_nodes() -> None:
    """In a ring of five everybody sees one neighbour on each side."""
    assert ring(FIVE, ["n1"]) == cut(n1="n3 n4", n2="n4 n5", n3="n1 n5", n4="n1 n2", n5="n2 n3")
    assert ring(THREE, ["n1"]) == {}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_stranger_is_refused(shape: str) -> None:
    """A target that is not in the cluster is an error that names it."""
    with pytest.raises(ValueError, match="n9 cannot be cut"):
        SHAPES[shape](THREE, ["n9"])


@pytest.mark.parametrize("shape", [name for name in SHAPES if name != "majority_minority"])
@given(cluster=clusters())
def test_nobody_drops_itself_and_only_nodes_are_named(shape: str, cluster: tuple[tuple[str, ...], tuple[str, ...]]) -> None:
    """A grudge speaks of nodes of the cluster, holds no empty sets, and never makes a node drop its own packets."""
    nodes, targets = cluster
    for node, others in SHAPES[shape](nodes, targets).items():
        assert node in nodes
        assert others
        assert others <= set(nodes) - {node}


@pytest.mark.parametrize("shape", [name for name in SHAPES if name not in {"majority_minority", "one_way"}])
@given(cluster=clusters())
def test_cuts_go_both_ways(shape: str, cluster: tuple[tuple[str, ...], tuple[str, ...]]) -> None:
    """Where one node drops another's packets, so does the other."""
    nodes, targets = cluster
    grudge = SHAPES[shape](nodes, targets)
    assert all(node in grudge[other] for node, others in grudge.items() for other in others)


@given(cluster=clusters())
def test_one_way_is_never_both_ways(cluster: tuple[tuple[str, ...], tuple[str, ...]]) -> None:
    """A silenced node itself drops nothing."""
    nodes, targets = cluster
    assert not set(one_way(nodes, targets)) & set(targets)


@given(cluster=clusters(least=4))
def test_a_ring_leaves_everybody_a_majority(cluster: tuple[tuple[str, ...], tuple[str, ...]]) -> None:
    """Everybody sees a majority, and not one node more than a symmetric ring needs."""
    nodes, targets = cluster
    grudge = ring(nodes, targets)
    for node in nodes:
        size = len(sees(grudge, nodes, node))
        assert size >= len(nodes) // 2 + 1
        assert size <= len(nodes) // 2 + 2


@given(count=st.integers(5, 12))
def test_no_two_of_a_ring_see_the_same_majority(count: int) -> None:
    """That is what makes a ring worse than halves."""
    nodes = names(count)
    grudge = ring(nodes, nodes[:1])
    seen = [frozenset(sees(grudge, nodes, node)) for node in nodes]
    assert len(set(seen)) == len(nodes)


@given(cluster=clusters(least=3))
def test_a_bridge_joins_two_sides_that_do_not_meet(cluster: tuple[tuple[str, ...], tuple[str, ...]]) -> None:
    """The bridge sees everybody; without it the others fall into two sides, even but for one."""
    nodes, targets = cluster
    grudge = bridge(nodes, targets)
    assert sees(grudge, nodes, targets[0]) == set(nodes)
    sides = {frozenset(sees(grudge, nodes, node) - {targets[0]}) for node in nodes if node != targets[0]}
    assert len(sides) == 2
    assert abs(len(min(sides, key=len)) - len(max(sides, key=len))) <= 1


FOUR = names(4)
CUT_OFF: list[tuple[str, tuple[str, ...], str, str, str]] = [
    # shape, nodes, targets, members, who reaches no majority of these
    ("halves", THREE, "n1", "n1 n2 n3", "n1"),
    ("halves", THREE, "n1 n2", "n1 n2 n3", "n3"),  # the targets are the majority: it is the other one that is cut off
    ("halves", FIVE, "n1 n2 n3", "n1 n2 n3 n4 n5", "n4 n5"),
    ("halves", FOUR, "n1 n2", "n1 n2 n3 n4", "n1 n2 n3 n4"),  # even sides: nowhere is a majority
    ("isolate", THREE, "n2", "n1 n2 n3", "n2"),
    ("isolate", THREE, "n1 n2", "n1 n2 n3", "n1 n2 n3"),  # the third is alone as well
    ("isolate", FIVE, "n1 n2", "n1 n2 n3 n4 n5", "n1 n2"),
    ("one_way", THREE, "n1", "n1 n2 n3", "n1"),  # it hears everybody, and nobody hears its answers
    ("one_way", THREE, "n1 n2", "n1 n2 n3", "n3"),  # two that understand each other are a majority, whoever drops what they send
    ("one_way", FIVE, "n1 n2 n3 n4", "n1 n2 n3 n4 n5", "n5"),
    ("bridge", THREE, "n1", "n1 n2 n3", ""),  # the bridge sees everybody, and each of the others sees it: two of three
    ("bridge", FIVE, "n3", "n1 n2 n3 n4 n5", ""),
    ("bridge", FOUR, "n1", "n1 n2 n3 n4", "n2"),  # a side of one and the bridge are two of four
    ("ring", FIVE, "n1", "n1 n2 n3 n4 n5", ""),  # a majority for everybody, each another one
    ("ring", THREE, "n1", "n1 n2 n3", ""),  # cuts nothing
    # nodes that are no members need one member that has a majority
    ("halves", FIVE, "n4 n5", "n1 n2 n3", "n4 n5"),
    ("halves", FIVE, "n1 n4", "n1 n2 n3", "n1 n4"),  # what hangs on the minority's member hangs on nothing
    ("halves", FIVE, "n1 n2 n4", "n1 n2 n3", "n3 n5"),
    ("one_way", FIVE, "n5", "n1 n2 n3", "n5"),
    ("bridge", FOUR, "n1", "n1 n2 n3", ""),
    # no quorum at all: every node counts
    ("halves", THREE, "n1", "", "n1"),
    # members whose machines are off are reached by nobody
    ("halves", ("n1", "n2"), "n1", "n1 n2 n3", "n1 n2"),
    ("isolate", ("n1", "n2", "n3", "n4"), "n1", "n1 n2 n3 n4 n5", "n1"),
]


@pytest.mark.parametrize(("shape", "nodes", "targets", "members", "lost"), CUT_OFF)
def test_who_is_cut_off_is_who_reaches_no_majority(shape: str, nodes: tuple[str, ...], targets: str, members: str, lost: str) -> None:
    """Whoever the targets are; to reach somebody takes both ways."""
    assert cut_off(nodes, members.split(), SHAPES[shape](nodes, targets.split())) == set(lost.split())


@given(clusters(2), st.sampled_from([*SHAPES]))
def test_those_who_are_not_cut_off_have_a_majority_or_a_member_that_has(given_: tuple[tuple[str, ...], tuple[str, ...]], name: str) -> None:
    """For every shape of every cluster whose nodes are all members: by the packets that are exchanged."""
    nodes, targets = given_
    try:
        grudge = SHAPES[name](nodes, targets)
    except ValueError:
        return
    lost = cut_off(nodes, nodes, grudge)
    for node in nodes:
        assert (2 * len(sees(grudge, nodes, node)) > len(nodes)) is (node not in lost)
