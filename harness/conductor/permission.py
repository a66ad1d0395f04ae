"""What may be broken of a cluster, by the word of whoever runs its nodes, and what can be."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from harness.core import targets
from harness.core.errors import Unsupported
from harness.core.protocols import Limited, Running
from harness.faults.common import unavailable

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from harness.core.protocols import Cluster, Fault, Node
    from harness.core.values import Unavailable
    from harness.plan import Plan


def must_be_possible(plan: Plan, cluster: Cluster) -> None:
    """Raise `Unsupported` if a fault of the plan cannot be made on these nodes, before anything is broken."""
    safe = spared(cluster)
    names = [node.name for node in cluster.nodes]
    counts = {app.name: app.instances for app in plan.apps}
    for step in plan.breaks:
        for refused in reach(step.targets, names, counts, safe, _at_once(cluster)).refused:
            raise Unsupported(f"{step.fault.name} is refused: {refused}")
        for node in cluster.nodes:
            if node.name not in safe:
                _must_be_none(_refusal(cluster, step.fault, node) or unavailable(step.fault, cluster, node), step.fault, node)


def must_be_allowed(cluster: Cluster, fault: Fault, hit: Sequence[Node]) -> None:
    """Raise `Unsupported` where whoever runs these nodes does not allow it. A scenario in Python has no plan that could be asked before."""
    allowed = _at_once(cluster)
    if allowed is not None and len(hit) > allowed:
        names = ", ".join(node.name for node in hit)
        raise Unsupported(
            f"{fault.name} on {names} would break {len(hit)} at once, and {allowed} is allowed; raise whalefall_at_once, or hit fewer"
        )
    if isinstance(cluster.provider, Limited):
        # The other end of a cut counts as well, but for a node that is spared: it is no target, and loses nothing but the way to one.
        more = fault.touched(cluster, hit)
        for node in {node.name: node for node in (*hit, *more) if node.name not in spared(cluster)}.values():
            _must_be_none(_refusal(cluster, fault, node), fault, node)


def spared(cluster: Cluster) -> frozenset[str]:
    """Return the nodes that must never be broken, by the word of whoever runs them."""
    provider = cluster.provider
    return provider.spared(cluster.run_id) if isinstance(provider, Running) else frozenset()


def _at_once(cluster: Cluster) -> int | None:
    """Return how many nodes may be broken at the same time, by the word of whoever runs them; None where nobody else does."""
    provider = cluster.provider
    return provider.at_once(cluster.run_id) if isinstance(provider, Running) else None


def _refusal(cluster: Cluster, fault: Fault, node: Node) -> Unavailable | None:
    """Return why whoever runs a node does not allow a fault on it, or None."""
    provider = cluster.provider
    return provider.refusal(cluster.run_id, node.name, fault) if isinstance(provider, Limited) else None


def _must_be_none(why: Unavailable | None, fault: Fault, node: Node) -> None:
    """Raise `Unsupported` if there is a reason why a fault may not, or cannot, be made on a node."""
    if why is not None:
        raise Unsupported(why.of(fault.name, node.name))


@dataclass(frozen=True, slots=True)
class Reach:
    """Whom one target expression may hit."""

    most: int  # nodes at once, at most
    could: tuple[str, ...]  # the nodes that may be hit at all, by whoever runs them; not all of them fit the expression
    refused: tuple[str, ...]  # why it may not be used, a sentence each


def reach(
    expression: str, names: Sequence[str], instances: Mapping[str, int], spared: Collection[str] = (), at_once: int | None = None
) -> Reach:
    """Say whom an expression may hit, before it is known who will lead and where the apps will run. `instances` tells how many each app has.

    Refused is what may break more than `at_once` nodes (None: any number), and what can hit nobody without a spared node. What only may hold one
    when the fault fires is not refused here: then it is refused there (`harness.core.targets.resolve`).
    """
    parsed = targets.parse(expression)
    wanted = parsed.wanted(len(names))
    most = targets.most(parsed, nodes=names, instances=instances)
    most = most if wanted is None else min(most, wanted)
    refused = []
    if at_once is not None and most > at_once:
        refused.append(f"{expression!r} may break {most} at once, and {at_once} is allowed; raise whalefall_at_once, or hit fewer")
    could = tuple(name for name in names if name not in spared)
    if len(could) < len(names) and (why := _protected(parsed, names, could, instances)):
        refused.append(why)
    return Reach(most, could, tuple(refused))


def _protected(expression: targets.Expression, names: Sequence[str], could: Sequence[str], instances: Mapping[str, int]) -> str:
    """Say why an expression cannot be resolved whatever happens, because of nodes that are spared; nothing where it may be."""
    spared = [name for name in names if name not in could]
    if not expression.needs_leader and not targets.apps(expression):
        # It hangs on nothing that happens in the run: then it is known now.
        try:
            targets.resolve(expression, nodes=names, leader=None, members=names, hosting={}, rng=Random(0), spared=spared)  # noqa: S311 - nobody is hit
        except targets.ImpossibleTarget as error:
            return str(error)
        return ""
    wanted = expression.wanted(len(names))
    left = targets.most(expression, nodes=could, instances=instances)
    if left >= (wanted or 1):
        return ""
    who = f"{', '.join(spared)} {'is' if len(spared) == 1 else 'are'} protected and must not be broken"
    return f"no target for {str(expression)!r}: {who}; of the others it can hit {left} at most, and needs {wanted or 1}"
