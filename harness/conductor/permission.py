"""What may be broken of a cluster, by the word of whoever runs its nodes, and what can be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.errors import Unsupported
from harness.protocols import Remedied, Running
from harness.providers.limits import Limited, reach

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.cluster import Cluster
    from harness.plan import Plan
    from harness.protocols import Fault, Node
    from harness.values import Unavailable


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
                _must_be_none(_refusal(cluster, step.fault, node) or step.fault.available(cluster, node), step.fault, node)


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
        more = fault.touched(cluster, hit) if isinstance(fault, Remedied) else ()
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
    return provider.refusal(cluster.run_id, node.name, fault.name) if isinstance(provider, Limited) else None


def _must_be_none(why: Unavailable | None, fault: Fault, node: Node) -> None:
    """Raise `Unsupported` if there is a reason why a fault may not, or cannot, be made on a node."""
    if why is not None:
        raise Unsupported(why.of(fault.name, node.name))
