"""What every fault must do, as plain functions that any test runner can call; see `harness.testing.contracts` for how they are used."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from harness.core.clock import wait_until
from harness.core.errors import Expired, HarnessError
from harness.core.protocols import Careful, Cluster, Fault, Here, Laddered, Node, Power
from harness.core.traits import taken
from harness.core.values import Rung
from harness.faults.common import live, remedies, unavailable
from harness.testing.contracts import ContractBroken, require, same
from harness.testing.fuses import Fuse, fused
from harness.undo.fingerprint import differences, fingerprint, undeclared

IN_FORCE_SECONDS = 5.0
"""How long after inject a fault may take to be in force, and after heal to be gone: a signal arrives a moment after it was sent."""
REMEDY_SECONDS = 60.0
"""How long a remedy may take: starting a service is the longest."""


@dataclass(frozen=True)
class Case:
    """One fault with a cluster to try it on. `spreads`: the fault is in force on others than its targets, too, as a cut has two ends."""

    fault: Fault
    cluster: Cluster
    targets: Sequence[Node]
    spreads: bool = False

    @property
    def others(self) -> list[Node]:
        """The nodes that are no targets."""
        hit = {node.name for node in self.targets}
        return [node for node in self.cluster.nodes if node.name not in hit]

    def look(self) -> dict[str, Mapping[str, Any]]:
        """Return every node's fingerprint."""
        return {node.name: fingerprint(node, self.cluster.provider) for node in self.cluster.nodes}

    def in_force(self) -> list[str]:
        """Return the names of the nodes on which it is in force."""
        return [node.name for node in self.cluster.nodes if self.fault.in_force(self.cluster, node)]

    def awaited(self, condition: Callable[[list[str]], bool], what: str) -> list[str]:
        """Return the nodes on which it is in force as soon as they fulfil a condition. Raises `ContractBroken`."""
        hit: list[str] = []

        def fulfilled() -> bool:
            hit[:] = self.in_force()
            return condition(hit)

        try:
            wait_until(fulfilled, awaited=what, seconds=IN_FORCE_SECONDS, clock=self.cluster.clock)
        except Expired as e:
            raise ContractBroken(f"promised: {what}; saw: it is in force on {', '.join(hit) or 'no node'}") from e
        return hit

    def whole(self, before: Mapping[str, Mapping[str, Any]], when: str) -> None:
        """Raise `ContractBroken` if anything is left of the fault."""
        self.awaited(lambda hit: not hit, f"it is in force nowhere {when}")
        after = self.look()
        left = [f"{name}: {said}" for name in after for said in differences(before[name], after[name])]
        require(not left, f"nothing is left {when}", "; ".join(left))


def heal_without_inject_does_nothing(case: Case) -> None:
    """Healing what was never broken changes nothing."""
    before = case.look()
    case.fault.heal(case.cluster, case.targets)
    case.whole(before, "after heal without inject")


def inject_breaks_the_targets_and_heal_mends_them(case: Case) -> None:
    """It is in force on all targets and nobody else from inject to heal, it leaves there what its traits say, and healing twice is fine."""
    before = case.look()
    for node in case.targets:
        why = unavailable(case.fault, case.cluster, node)
        require(why is None, f"{case.fault.name} can be made on {node.name}", why)
    case.whole(before, "before inject")
    try:
        case.fault.inject(case.cluster, case.targets)
        names = {node.name for node in case.targets}
        hit = case.awaited(lambda hit: names <= {*hit}, f"it is in force on {', '.join(sorted(names))} after inject")
        strangers = [node.name for node in case.others if node.name in hit]
        require(case.spreads or not strangers, "it is in force on nobody else", f"on {', '.join(strangers)}")
        for node in live(case.cluster, case.cluster.nodes):
            more = undeclared(before[node.name], fingerprint(node, case.cluster.provider), case.fault.traits)
            require(not more, f"on {node.name} is of it what its traits say", "; ".join(more))
    finally:
        case.fault.heal(case.cluster, case.targets)
    case.whole(before, "after heal")
    case.fault.heal(case.cluster, case.targets)
    case.whole(before, "after heal, twice")


def heal_needs_no_memory_of_inject(case: Case) -> None:
    """Another process, with nothing but the fault's parameters, heals as well: an equal fault, another cluster object."""
    before = case.look()
    elsewhere = replace(case.cluster)
    again = cast("Fault", replace(cast("Any", case.fault)))
    try:
        case.fault.inject(case.cluster, case.targets)
        names = {node.name for node in case.targets}
        replace(case, fault=again, cluster=elsewhere).awaited(lambda hit: names <= {*hit}, "another process sees it in force")
    finally:
        again.heal(elsewhere, list(reversed(case.targets)))
    case.whole(before, "after heal by another process")


def two_of_it_on_one_node_are_two(case: Case) -> None:
    """A second fault of the same parameters on the same targets is mended by itself, and leaves the first in force.

    Not for faults of which no node can have two: a second one is refused where it would take what the first has, or where it looks for that.
    """
    if taken(case.fault.traits) or isinstance(case.fault, Careful):
        return
    before = case.look()
    first, second = (replace(case, cluster=case.cluster.of(number)) for number in (1, 2))
    names = {node.name for node in case.targets}
    try:
        for each in (first, second):
            each.fault.inject(each.cluster, each.targets)
            each.awaited(lambda hit: names <= {*hit}, "each is in force beside the other")
        second.fault.heal(second.cluster, second.targets)
        second.awaited(lambda hit: not hit, "the second is in force nowhere once it is mended")
        hit = first.in_force()
        require(names <= {*hit}, "the first stays in force when the second is mended", f"on {', '.join(hit) or 'no node'}")
    finally:
        for each in (first, second):
            each.fault.heal(each.cluster, each.targets)
    case.whole(before, "after both are mended")


def heal_while_a_target_is_off(case: Case) -> None:
    """A target that lost its power in the meantime is no trouble to heal, and comes back whole. Only for providers with `Power`."""
    if not isinstance(case.cluster.provider, Power):
        return
    before = case.look()
    node = case.targets[0]
    try:
        case.fault.inject(case.cluster, case.targets)
        case.cluster.provider.off(node)
    finally:
        try:
            case.fault.heal(case.cluster, case.targets)
        finally:
            case.cluster.provider.on(node)
    case.whole(before, "after heal of a target that was off, and is on again")


def a_remedy_alone_mends_the_nodes(case: Case) -> None:
    """Every node that inject touches is mended by its own remedy, without heal; run when there is nothing to mend, or twice, it does no harm.

    Nodes that the fault does not name hold nothing that had to be undone there.
    """
    before = case.look()
    undo = _remedies(case)
    _apply(case, undo)
    case.whole(before, "after the remedies without inject")
    try:
        case.fault.inject(case.cluster, case.targets)
        names = {node.name for node in case.targets}
        case.awaited(lambda hit: names <= {*hit}, f"it is in force on {', '.join(sorted(names))} after inject")
        # A node that is off holds nothing, and what slows a disk is not asked of the node but of the provider: it is at the node's host.
        left = []
        for node in live(case.cluster, case.cluster.nodes):
            if node.name not in undo:
                now = fingerprint(node)
                left += [f"{node.name}: {said}" for said in differences({each: before[node.name][each] for each in now}, now)]
        require(not left, "nodes without a remedy hold nothing of the fault", "; ".join(left))
        if undo:
            _apply(case, undo)
            case.whole(before, "after the remedies, without heal")
            _apply(case, undo)
            case.whole(before, "after the remedies, twice")
    finally:
        case.fault.heal(case.cluster, case.targets)
    _apply(case, undo)
    case.whole(before, "after the remedies of what was healed")


def a_remedy_mends_after_half_an_inject(case: Case) -> None:
    """Wherever inject is interrupted, the remedies that were decided before it leave nothing."""
    undo = _remedies(case)
    if not undo:
        return
    try:
        _after_half_an_inject(case, (KeyboardInterrupt,), lambda: _apply(case, undo), "the remedies")
    finally:
        case.fault.heal(case.cluster, case.targets)


def _remedies(case: Case) -> Mapping[str, Sequence[str]]:
    """Return the remedy of every node that the fault says it will touch: node → command. Raises `ContractBroken` where one has none."""
    try:
        return remedies(case.fault, case.cluster, case.targets)
    except HarnessError as e:
        raise ContractBroken(f"promised: a remedy for every node that is touched; saw: {e}") from e


def _apply(case: Case, undo: Mapping[str, Sequence[str]]) -> None:
    for name, remedy in undo.items():
        result = case.cluster.node(name).run(*remedy, timeout=REMEDY_SECONDS)
        require(result.ok, f"the remedy on {name} ends well", f"status {result.exit}: {result.err.decode(errors='replace').strip()}")


def heal_after_half_an_inject(case: Case, error: type[BaseException]) -> None:
    """Wherever inject is interrupted (before or after any of its calls to nodes or provider), healing leaves nothing."""
    _after_half_an_inject(case, (error,), lambda: case.fault.heal(case.cluster, case.targets), "heal")


def heal_after_errors_and_interrupts_in_inject(case: Case) -> None:
    """The same with both kinds of ends in turn: each comes before calls and after them, and machines are asked half as often as with each alone."""
    _after_half_an_inject(case, (ValueError, KeyboardInterrupt), lambda: case.fault.heal(case.cluster, case.targets), "heal")


def _after_half_an_inject(case: Case, errors: Sequence[type[BaseException]], mend: Callable[[], object], what: str) -> None:
    before = case.look()
    step = 0
    interrupted = True
    while interrupted:
        step += 1
        for early in (True, False):
            error = errors[(step + early) % len(errors)]
            fuse = Fuse(step, error, early=early)
            cluster, targets = fused(case.cluster, case.targets, fuse)
            try:
                case.fault.inject(cluster, targets)
            except error:
                pass
            except HarnessError as e:
                # An interrupt may come out as it is, and nothing may hide it.
                raise ContractBroken(f"promised: {error.__name__} out of inject; saw: {type(e).__name__}: {e}") from e
            finally:
                mend()
            case.whole(before, f"after {what} of an inject that was interrupted {'before' if early else 'after'} its call {step}")
            interrupted = fuse.blown


FAULT: Mapping[str, Callable[[Case], None]] = {
    **{
        each.__name__: each
        for each in (
            heal_without_inject_does_nothing,
            inject_breaks_the_targets_and_heal_mends_them,
            heal_needs_no_memory_of_inject,
            two_of_it_on_one_node_are_two,
            heal_while_a_target_is_off,
            a_remedy_alone_mends_the_nodes,
            a_remedy_mends_after_half_an_inject,
        )
    },
    "heal_after_value_error_in_inject": lambda case: heal_after_half_an_inject(case, ValueError),
    "heal_after_keyboard_interrupt_in_inject": lambda case: heal_after_half_an_inject(case, KeyboardInterrupt),
}
"""What every fault must do."""

FAULT_ON_MACHINES: Mapping[str, Callable[[Case], None]] = {
    **{name: promise for name, promise in FAULT.items() if not name.endswith("_in_inject")},
    heal_after_errors_and_interrupts_in_inject.__name__: heal_after_errors_and_interrupts_in_inject,
}
"""The same for machines, where each look takes a second: the promises about an interrupted inject are one."""


class _All:
    """A machine that has whatever it is asked for."""

    def which(self, tool: str) -> str | None:
        return f"/usr/bin/{tool}"

    def exists(self, path: str) -> bool:
        return bool(path)

    def library(self, name: str) -> str | None:
        return f"lib{name}.so"


class _None:
    """A machine that has nothing."""

    def which(self, tool: str) -> str | None:  # noqa: ARG002 - none is there
        return None

    def exists(self, path: str) -> bool:  # noqa: ARG002 - same
        return False

    def library(self, name: str) -> str | None:  # noqa: ARG002 - same
        return None


def a_rung_is_said_of_every_machine(fault: type[Laddered]) -> None:
    """Whatever a machine has or lacks, in one line of words, the same whenever it is asked, and nothing is raised."""
    for what, here in (("that has all", _All()), ("that has nothing", _None())):
        said = _rung(fault, here, what)
        require(isinstance(said, Rung), f"a Rung of a machine {what}", repr(said))
        require(said.can in {True, False, None}, f"whether it can be made on a machine {what}: True, False or None", repr(said.can))
        words = said.how
        plain = isinstance(words, str) and bool(words.strip()) and words.isprintable()
        require(plain, f"how it is made on a machine {what}, in one printable line", repr(words))
        same(_rung(fault, here, what), said, f"what is said of a machine {what}, asked again")


def a_machine_that_lacks_nothing_can_make_it(fault: type[Laddered]) -> None:
    """The best rung is one that somebody can stand on."""
    said = _rung(fault, _All(), "that has all")
    require(said.can is True, "it can be made on a machine that has all", repr(said))


def _rung(fault: type[Laddered], here: Here, what: str) -> Rung:
    try:
        return fault.rung(here)
    except Exception as e:
        raise ContractBroken(f"promised: a rung of a machine {what}; saw: {type(e).__name__}: {e}") from e


LADDERED: Mapping[str, Callable[[type[Laddered]], None]] = {
    each.__name__: each for each in (a_rung_is_said_of_every_machine, a_machine_that_lacks_nothing_can_make_it)
}
"""What every fault that says its rung must do; by its class, since `whalefall doctor` has no parameters."""
