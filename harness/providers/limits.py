"""What a provider of hosts that somebody else runs can say beyond `harness.protocols.Running`, and whom a target can hit where some are spared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from harness import targets

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from harness.protocols import Node
    from harness.values import NodeSpec, Unavailable


@runtime_checkable
class Limited(Protocol):
    """A provider whose nodes do not all allow every fault."""

    def refusal(self, run_id: str, node: str, fault: str) -> Unavailable | None:
        """Say why a fault (by its name) may not, or cannot, be made on a node (by its name), or None. Asks no host."""


@runtime_checkable
class Claiming(Protocol):
    """A provider whose nodes outlive a run, and that holds them for it: what a dead run left there is mended, taken away and let go later."""

    def runs(self) -> Mapping[str, bool]:
        """Return every run that this machine has a record of, and whether it is still wanted (its harness lives, or it is kept)."""

    def keep(self, run_id: str) -> None:
        """Note that what a run has deployed is to stay, and its nodes are to stay held."""

    def is_kept(self, run_id: str) -> bool:
        """Whether that was noted."""

    def note_results(self, run_id: str, folder: Path) -> None:
        """Note in which folder a run's ledger and plan are, before anything is deployed or broken. Raises `HarnessError`."""

    def results(self, run_id: str) -> Path | None:
        """Return that folder; None where it was never noted, so that nothing can have been deployed or broken."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a rehearsal found: nodes that were looked at and not touched."""

    nodes: Sequence[Node]  # in the order of the specs
    lines: Sequence[str]  # what was found, for people
    spared: frozenset[str]  # see `harness.protocols.Running`
    at_once: int
    why_not: Callable[[str, str], Unavailable | None]  # (node, fault); see `Limited.refusal`


@runtime_checkable
class Rehearsing(Protocol):
    """A provider that can look at the nodes of a run before there is one."""

    def rehearse(self, specs: Sequence[NodeSpec]) -> Seen:
        """Check everything that `create` checks, and change nothing. Raises what `create` raises."""


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
    when the fault fires is not refused here: then it is refused there (`harness.targets.resolve`).
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
