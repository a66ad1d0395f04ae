"""What may be broken of a cluster, by the word of whoever runs its nodes, and what can be."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import TYPE_CHECKING

from harness.actions.own_command import RunCommand
from harness.core import aim, targets
from harness.core.aim import TakenAlready
from harness.core.errors import BadInput, Problem, Unreachable, Unsupported
from harness.core.plain import in_line
from harness.core.protocols import CAPABILITIES, Limited, Needing, Running
from harness.core.traits import taken
from harness.core.values import HERE
from harness.faults.common import unavailable
from harness.nodes.this_machine import node_of
from harness.steps import apart, breaks, faults_made, most
from harness.steps.course import part_words
from harness.workloads.own_load import OwnLoad
from harness.workloads.probe import Probe

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from harness.conductor.holding import Holding
    from harness.core.protocols import Action, Cluster, Fault, Node, Provider
    from harness.core.values import Unavailable
    from harness.plan import Plan
    from harness.steps import Made


def must_be_possible(plan: Plan, cluster: Cluster) -> None:
    """Raise `Unsupported` if a fault or an action of the plan cannot be made on these nodes, before anything is broken."""
    safe = spared(cluster)
    names = [node.name for node in cluster.nodes]
    counts = {app.name: most(app, plan.steps) for app in plan.apps}
    steps = []
    for made in faults_made(plan.steps):
        for refused in refusals(made, names, counts, safe, _at_once(cluster)):
            raise Unsupported(f"{made.step.fault.name} is refused: {refused}")
        steps.append(made.step)
        for node in cluster.nodes:
            if node.name not in safe:
                _must_be_none(_refusal(cluster, node.name, made.step.fault), made.step.fault, node)
    for action, on in done_to(plan):
        must_be_doable(cluster, action, on)
    # Only then are nodes asked: a fault of the scenario's own asks by a command, which whoever runs them may not allow.
    for step in steps:
        # Where the file says who is hit, what others lack keeps nobody from that.
        hit = aim.fixed(targets.parse(step.targets), names) or names
        if targets.is_here(step.targets):
            _must_be_none(unavailable(step.fault, cluster, node_of(cluster, HERE)), step.fault, node_of(cluster, HERE))
            continue
        for node in cluster.nodes:
            if node.name not in safe and node.name in hit:
                _must_be_none(unavailable(step.fault, cluster, node), step.fault, node)


def done_to(plan: Plan) -> list[tuple[Action, str]]:
    """Return what is done to whom: by steps, and by probes and workloads that run commands, which whoever runs the nodes must allow as any other."""
    commands: list[tuple[Action, str]] = [
        (RunCommand(each.command, disturbs=False), each.on)
        for each in plan.workloads
        if isinstance(each, Probe) and each.command is not None
    ]
    commands += [(RunCommand(each.run, disturbs=False), each.on) for each in plan.workloads if isinstance(each, OwnLoad)]
    return [*((each.action, each.targets) for each in apart(plan.steps)), *commands]


def must_be_at_hand(plan: Plan) -> None:
    """Raise `BadInput` with all that faults, actions and workloads of a plan need of this process, and that is not there, before anything is made."""
    every = [*(each.fault for each in breaks(plan.steps)), *(each.action for each in apart(plan.steps)), *plan.workloads]
    lacking = dict.fromkeys(each.lack() for each in every if isinstance(each, Needing))
    problems = [Problem(plan.file, 0, 0, in_line(why), "") for why in lacking if why]
    if problems:
        raise BadInput(problems)


def must_be_doable(cluster: Cluster, action: Action, on: str = "") -> None:
    """Raise `Unsupported` where an action must not be done, or cannot be, to the nodes of a target expression.

    Because somebody whom it takes lacks it, it would upset nodes of somebody else's, which nobody would undo, or whoever runs them does not allow it:
    by the mark of a host that could be one of them, or because a host is protected.
    """
    for name in action.takes:
        cluster.can(CAPABILITIES[name].protocol)
    if why := too_lasting(cluster.provider, action):
        raise Unsupported(why)
    names, safe = [node.name for node in cluster.nodes], spared(cluster)
    # What is run on this machine may reach every host: each must allow it.
    for refused in [*untouchable(action, on, names, safe), *unmarked(action, names, safe, partial(_refusal, cluster))]:
        raise Unsupported(refused)


def untouchable(action: Action, on: str, names: Sequence[str], spared: Collection[str]) -> Iterator[str]:
    """Say that an action would be done to nodes that are protected, where that is known before the run: else it is done to nobody then."""
    parsed = targets.parse(on) if on and not targets.is_here(on) else None
    if parsed is not None and not parsed.hangs:
        could = [name for name in names if name not in spared]
        if len(could) < len(names) and (why := _protected(parsed, names, could, {})):
            yield f"{action.name} is refused: {why}"


def unmarked(
    action: Action, names: Sequence[str], spared: Collection[str], why_not: Callable[[str, Action], Unavailable | None]
) -> Iterator[str]:
    """Say for each node that an action could be done to why whoever runs it does not allow that. One that is done to no node is nobody's matter."""
    for name in names if action.aims else ():
        if name not in spared and (why := why_not(name, action)) is not None:
            yield why.of(action.name, name)


def too_lasting(provider: Provider, action: Action) -> str:
    """Say that an action would change nodes of somebody else's, which nobody would undo; nothing where it would not."""
    effect = action.effect
    comes_or_goes = 0 in effect.runs.values() or "Removing" in action.takes
    stays = effect.upsets or effect.opens or effect.alters or comes_or_goes
    if not isinstance(provider, Running) or not stays:
        return ""
    why = f"{action.name} is refused on the hosts of {provider.name}: they outlive the run, and nothing would undo it if we were gone"
    return f"{why}; break them by a fault, which is mended"


def must_be_free(fault: Fault, number: int, hit: Sequence[str], going: Sequence[Holding]) -> None:
    """Raise `harness.core.aim.TakenAlready` where a fault that goes on has what this one would take of a node."""
    for other in going:
        parts = taken(fault.traits) & taken(other.fault.traits)
        if nodes := sorted(set(hit) & set(other.hit)) if parts else []:
            has = f"fault {other.number} ({other.fault.name}) has {part_words(' and '.join(sorted(parts)), nodes)}"
            raise TakenAlready(f"fault {number} ({fault.name}) is not made: {has} already; heal that first, or hit others")


def must_be_allowed(cluster: Cluster, fault: Fault, hit: Sequence[Node], broken: Collection[str] = ()) -> None:
    """Raise `Unsupported` where whoever runs these nodes does not allow it; `broken` are those that other faults hit which go on.

    A scenario in Python has no plan that could be asked before.
    """
    allowed = _at_once(cluster)
    here = [node.name for node in hit] == [HERE]
    together = {*broken, *(node.name for node in hit)} - {HERE}
    if allowed is not None and len(together) > allowed:
        names = ", ".join(node.name for node in hit)
        beside = f" with {', '.join(sorted(broken))}, which is broken already," if broken else ""
        raise Unsupported(
            f"{fault.name} on {names}{beside} would break {len(together)} at once, and {allowed} is allowed; raise whalefall_at_once, or hit fewer"
        )
    if isinstance(cluster.provider, Limited):
        # The other end of a cut counts as well, but for a node that is spared: it is no target, and loses nothing but the way to one.
        # And what is done on this machine may reach every host.
        more = cluster.nodes if here else (*hit, *fault.touched(cluster, hit))
        for node in {node.name: node for node in more if node.name not in spared(cluster)}.values():
            _must_be_none(_refusal(cluster, node.name, fault), fault, node)


def must_be_makeable(cluster: Cluster, fault: Fault, hit: Sequence[Node]) -> None:
    """Raise `Unsupported` where a fault cannot be made on one of these nodes. One that gives no answer is left to the fault itself."""
    for node in hit:
        with suppress(Unreachable):
            _must_be_none(unavailable(fault, cluster, node), fault, node)


def spared(cluster: Cluster) -> frozenset[str]:
    """Return the nodes that must never be broken, by the word of whoever runs them."""
    provider = cluster.provider
    return provider.spared(cluster.run_id) if isinstance(provider, Running) else frozenset()


def _at_once(cluster: Cluster) -> int | None:
    """Return how many nodes may be broken at the same time, by the word of whoever runs them; None where nobody else does."""
    provider = cluster.provider
    return provider.at_once(cluster.run_id) if isinstance(provider, Running) else None


def _refusal(cluster: Cluster, name: str, what: Fault | Action) -> Unavailable | None:
    """Return why whoever runs a node does not allow a fault or an action on it, or None."""
    provider = cluster.provider
    return provider.refusal(cluster.run_id, name, what) if isinstance(provider, Limited) else None


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
    when the fault fires is not refused here: then it is refused there (`harness.core.aim.resolve`).
    """
    if targets.is_here(expression):  # nobody by itself; but what is run here may reach every host, and each must allow it
        return Reach(0, tuple(name for name in names if name not in spared), ())
    parsed = targets.parse(expression)
    wanted = parsed.wanted(len(names))
    most = aim.most(parsed, nodes=names, instances=instances)
    most = most if wanted is None else min(most, wanted)
    refused = []
    if at_once is not None and most > at_once:
        refused.append(f"{expression!r} may break {most} at once, and {at_once} is allowed; raise whalefall_at_once, or hit fewer")
    could = tuple(name for name in names if name not in spared)
    if len(could) < len(names) and (why := _protected(parsed, names, could, instances)):
        refused.append(why)
    return Reach(most, could, tuple(refused))


def refusals(
    made: Made, names: Sequence[str], instances: Mapping[str, int], spared: Collection[str] = (), at_once: int | None = None
) -> list[str]:
    """Say why a fault of a plan may not be made, a sentence each: by itself (see `reach`), or beside those that go on when it is decided."""
    counts = {**instances, **_most_hit(made, names, instances)}
    own = reach(made.step.targets, names, counts, spared, at_once)
    refused = list(own.refused)
    most = min(_most_together([made, *made.beside], names, counts), len(own.could))
    if at_once is not None and own.most <= at_once < most:
        numbers = " and ".join(f"fault {each.number}" for each in made.beside)
        refused.append(
            f"{made.step.targets!r} may break {most} at once together with {numbers}, and {at_once} is allowed; "
            "raise whalefall_at_once, or heal before"
        )
    return refused


def _most_hit(made: Made, names: Sequence[str], instances: Mapping[str, int]) -> dict[str, int]:
    """Return how many nodes each fault before this one that has a name hit at most, and all that go on together; see `harness.core.aim.most`."""
    counts = dict(instances)
    for each in made.named:
        counts[f"{targets.SAME} {each.step.name}"] = reach(each.step.targets, names, counts).most
    counts[targets.HIT] = min(_most_together(made.beside, names, counts), len(names))
    return counts


def _most_together(every: Sequence[Made], names: Sequence[str], instances: Mapping[str, int]) -> int:
    """Return how many nodes faults break at most together.

    Nodes by name are counted once, and whom another of these faults has hit is not counted again; of all others it is not known whether they are
    the same.
    """
    named: set[str] = set()
    others = {f"{targets.SAME} {each.step.name}" for each in every if each.step.name} | {targets.HIT}
    more = 0
    for each in every:
        parsed = targets.parse(each.step.targets)
        always = aim.fixed(parsed, names)
        named |= {*always}
        again = any(str(part) in others for part in parsed.sets)
        more += 0 if always or again else reach(each.step.targets, names, instances).most
    return more + len(named)


def _protected(expression: targets.Expression, names: Sequence[str], could: Sequence[str], instances: Mapping[str, int]) -> str:
    """Say why an expression cannot be resolved whatever happens, because of nodes that are spared; nothing where it may be."""
    spared = [name for name in names if name not in could]
    if not expression.hangs:
        # It hangs on nothing that happens in the run: then it is known now.
        try:
            aim.resolve(expression, nodes=names, leader=None, members=names, hosting={}, rng=Random(0), spared=spared)  # noqa: S311 - nobody is hit
        except aim.ImpossibleTarget as error:
            return str(error)
        return ""
    wanted = expression.wanted(len(names))
    left = aim.most(expression, nodes=could, instances=instances)
    if left >= (wanted or 1):
        return ""
    who = f"{', '.join(spared)} {'is' if len(spared) == 1 else 'are'} protected and must not be broken"
    return f"no target for {str(expression)!r}: {who}; of the others it can hit {left} at most, and needs {wanted or 1}"
