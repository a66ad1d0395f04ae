"""Which links are cut: pure functions from node names to a grudge.

A grudge says, for each node, whose packets it drops. A node that is not in it drops nothing.

Every shape has the one signature ``(nodes, targets) -> Grudge``. Names in `targets` that are no nodes raise `ValueError`. Nobody is ever told to
drop its own packets. All shapes but `one_way` are symmetric: where one side drops, so does the other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

Grudge: TypeAlias = Mapping[str, frozenset[str]]

Shape: TypeAlias = Callable[[Sequence[str], Sequence[str]], Grudge]


def isolate(nodes: Sequence[str], targets: Sequence[str]) -> Grudge:
    """Cut every target from everybody else, other targets too: each of them is alone. The rest still see each other."""
    chosen = _chosen(nodes, targets)
    return _grudge({node: set(nodes) if node in chosen else chosen for node in nodes})


def halves(nodes: Sequence[str], targets: Sequence[str]) -> Grudge:
    """Cut the nodes in two sides: the targets together on one, the rest together on the other."""
    chosen = _chosen(nodes, targets)
    rest = set(nodes) - chosen
    return _grudge({node: rest if node in chosen else chosen for node in nodes})


def majority_minority(nodes: Sequence[str], targets: Sequence[str]) -> Grudge:
    """Cut the nodes in two sides of which one, and only one, is a majority of all nodes; otherwise like `halves`.

    Raises `ValueError` where the targets make two sides of equal size, or only one side.
    """
    chosen = _chosen(nodes, targets)
    if not chosen or len(chosen) == len(set(nodes)) or 2 * len(chosen) == len(set(nodes)):
        raise ValueError(f"{len(chosen)} of {len(set(nodes))} nodes make no majority against a minority; give another number of targets")
    return halves(nodes, targets)


def one_way(nodes: Sequence[str], targets: Sequence[str]) -> Grudge:
    """Make the rest drop what the targets send: none of the rest hears a target, while targets still hear everybody. Not symmetric."""
    chosen = _chosen(nodes, targets)
    return _grudge({node: chosen for node in nodes if node not in chosen})


def bridge(nodes: Sequence[str], targets: Sequence[str]) -> Grudge:
    """Cut the nodes in two sides that do not see each other, with one bridge node that sees, and is seen by, both.

    The bridge is the first target. The others are halved in the order of `nodes`, as evenly as can be. With fewer than three nodes there are
    no two sides, and nothing is cut. No target raises `ValueError`.
    """
    chosen = _chosen(nodes, targets)
    if not chosen:
        raise ValueError("a bridge needs a target: the node that still sees both sides")
    middle = targets[0]
    others = [node for node in _unique(nodes) if node != middle]
    left, right = set(others[: len(others) // 2]), set(others[len(others) // 2 :])
    return _grudge({node: right if node in left else left for node in others})


def ring(nodes: Sequence[str], targets: Sequence[str]) -> Grudge:
    """Let every node see only a majority that is made of itself and its neighbours in a ring, so that no two of them see the same one.

    The ring is in the order of `nodes`, and takes in all of them, whoever the targets are. With N nodes each sees N//2 others (one more where
    that would leave the ring lopsided), so up to three nodes nothing is cut.
    """
    _chosen(nodes, targets)
    circle = _unique(nodes)
    size = len(circle)
    reach = -(-(size // 2) // 2)  # neighbours to each side: half of what is needed beside itself, rounded up
    seen = {
        node: {circle[(place + step) % size] for step in range(-reach, reach + 1)}  # with the node itself
        for place, node in enumerate(circle)
    }
    return _grudge({node: set(circle) - seen[node] for node in circle})


def cut_off(nodes: Sequence[str], members: Sequence[str], grudge: Grudge) -> frozenset[str]:
    """Return the nodes that cannot reach a majority of the members while a grudge is in force.

    Two nodes reach each other only where neither drops what the other sends: a connection takes both ways. Nobody passes packets on. A member must
    reach a majority of all members, itself among them; any other node must reach one member that does. Without members every node is one. Members
    that are not in `nodes` (their machines are off) are reached by nobody.
    """
    everybody = _unique(nodes)
    voters = set(members) or set(everybody)

    def reach(one: str, other: str) -> bool:
        return one == other or (other not in grudge.get(one, ()) and one not in grudge.get(other, ()))

    there = [node for node in everybody if node in voters]
    quorate = [node for node in there if 2 * sum(reach(node, other) for other in there) > len(voters)]
    return frozenset(
        node for node in everybody if node not in quorate and (node in voters or not any(reach(node, other) for other in quorate))
    )


SHAPES: Mapping[str, Shape] = {
    "isolate": isolate,
    "halves": halves,
    "majority_minority": majority_minority,
    "one_way": one_way,
    "bridge": bridge,
    "ring": ring,
}
"""Every shape by its name in scenario files."""

APART = ("isolate", "halves", "majority_minority")
"""Shapes of which those that are lost see nothing at all of the others, whatever the order of the nodes is."""


def _unique(nodes: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(nodes))


def _chosen(nodes: Sequence[str], targets: Sequence[str]) -> set[str]:
    strangers = sorted(set(targets) - set(nodes))
    if strangers:
        raise ValueError(f"{', '.join(strangers)} cannot be cut: the cluster has {', '.join(_unique(nodes))}")
    return set(targets)


def _grudge(against: Mapping[str, set[str]]) -> Grudge:
    """Leave out each node itself, and whoever drops nothing."""
    return {node: frozenset(others - {node}) for node, others in against.items() if others - {node}}
