"""A session over nodes in memory, and a fault that does as its test says: for tests of how a run goes, without machines."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import ClassVar

import pytest

from harness.conductor import Options, Session
from harness.core.protocols import Cluster, Mode, Node
from harness.core.values import App, NodeSpec, Traits, Unavailable
from harness.faults import FAULTS
from harness.faults.common import AtTheHost
from harness.history.recorder import Recorder
from harness.plan import Plan
from harness.steps import Check, Step
from harness.testing.bare import BareMode
from harness.testing.fake_clock import FakeClock
from harness.testing.memory_provider import MemoryProvider
from harness.undo.ledger import Ledger

SPECS = tuple(NodeSpec(f"n{number}", f"10.77.0.{10 + number}") for number in (1, 2, 3))


@dataclasses.dataclass(frozen=True)
class Scripted(AtTheHost):
    """A fault that does as the test says. What it breaks is a set of node names, as a node's kernel would hold it."""

    name: ClassVar[str] = "test.scripted"
    traits: ClassVar[Traits] = Traits()
    broken: ClassVar[set[str]] = set()
    calls: ClassVar[list[str]] = []
    on_inject: ClassVar[Callable[[], None]] = staticmethod(lambda: None)
    on_heal: ClassVar[Callable[[], None]] = staticmethod(lambda: None)
    bites: ClassVar[bool] = True
    possible: ClassVar[bool] = True

    def inject(self, cluster: Cluster, targets: Sequence[Node]) -> None:
        """Break the targets, then do as told."""
        type(self).calls.append("inject")
        if type(self).bites:
            type(self).broken.update(node.name for node in targets)
        type(self).on_inject()

    def heal(self, cluster: Cluster, targets: Sequence[Node]) -> None:
        """Do as told, then mend."""
        type(self).calls.append("heal")
        type(self).on_heal()
        type(self).broken.difference_update(node.name for node in targets)

    def in_force(self, cluster: Cluster, target: Node) -> bool:
        """Whether the target is broken."""
        return target.name in type(self).broken

    def available(self, cluster: Cluster, target: Node) -> Unavailable | None:
        """Say that it can be made, or not."""
        return None if type(self).possible else Unavailable("it cannot be made in tests", "a tester in a better mood")


def scripted(monkeypatch: pytest.MonkeyPatch) -> type[Scripted]:
    """Return a scripted fault of one test's own, known by name."""
    fresh: type[Scripted] = dataclasses.dataclass(frozen=True)(type("Fresh", (Scripted,), {"broken": set(), "calls": []}))
    monkeypatch.setitem(FAULTS, fresh.name, fresh)
    return fresh


class Led(BareMode):
    """A mode in memory in which every node is a member, and nobody says that anybody leads."""

    @classmethod
    def member(cls) -> str:
        """The agent."""
        return "agent"

    def members(self, cluster: Cluster) -> tuple[str, ...]:
        """All nodes."""
        return tuple(node.name for node in cluster.nodes)

    def asking(self, cluster: Cluster, node: Node) -> AbstractContextManager[Callable[[], tuple[int, str | None]]]:
        """No leader."""
        return nullcontext(lambda: (0, None))

    def election(self) -> float:
        """No time at all."""
        return 0.0


class Nobody:
    """A reaper of nothing."""

    def __init__(self, *_: object) -> None:
        pass

    def start(self) -> Nobody:
        """Start nothing."""
        return self

    def dismiss(self) -> None:
        """Go."""

    def abandon(self) -> None:
        """Stay."""

    def ensure(self) -> bool:
        """Say that it lives."""
        return False


def bare_plan(*steps: Step, checks: tuple[Check, ...] = (), settle: float = 1.0) -> Plan:
    """Return a plan of three nodes in memory that nothing orchestrates."""
    return Plan("t", "why", "t.yaml", "bare", "memory", 7, "default", {}, SPECS, (), (), steps, settle, checks, (), None)


@contextmanager
def in_memory(folder: Path, mode: Mode | None = None, *apps: App) -> Iterator[Session]:
    """Lend a session over three nodes in memory, with a clock that moves when somebody waits."""
    clock = FakeClock(moves_itself=True)
    provider = MemoryProvider()
    cluster = Cluster("run-1", provider.create("run-1", SPECS), provider, mode or BareMode(), clock, apps)
    with Recorder(folder / "history.jsonl", clock) as recorder:
        ledger = Ledger(folder / "ledger.jsonl", "run-1", "memory", "bare", clock)
        plan = dataclasses.replace(bare_plan(), apps=apps)
        yield Session(plan, Options(folder, clock=clock), cluster, recorder, ledger, folder)
