"""Workloads that make their calls themselves keep their promises, and one that does not is convicted."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest

from harness import registry
from harness.core.protocols import Cluster, Performing
from harness.core.values import NodeSpec
from harness.testing import performing_contract
from harness.testing.bare import BareMode
from harness.testing.contracts import ContractBroken
from harness.testing.memory_provider import MemoryProvider
from harness.testing.performing_contract import PERFORMING, PerformingCase
from harness.workloads.own_load import OwnLoad


def _cluster() -> Cluster:
    provider = MemoryProvider()
    return Cluster("contract", provider.create("contract", [NodeSpec("n1", "10.77.0.11")]), provider, BareMode())


ROWS: dict[str, Callable[[], PerformingCase]] = {
    "command": lambda: PerformingCase(
        OwnLoad("ends", "echo '{\"ok\": 5}'; echo no >&2; exit 3"),
        (b'{"ok": 5}', b"no"),
        3,
        OwnLoad("goes-on", "echo up; sleep 600.5 & sleep 600.5"),
        _cluster(),
    )
}


@pytest.mark.parametrize("promise", PERFORMING.values(), ids=PERFORMING)
@pytest.mark.parametrize("name", ROWS)
def test_performing(name: str, promise: Callable[[PerformingCase], None]) -> None:
    """Every one keeps this promise."""
    promise(ROWS[name]())


def test_every_workload_that_performs_is_under_contract() -> None:
    """One that is registered has a row."""
    assert {name for name, kind in registry.known().workloads.items() if issubclass(kind, Performing)} == {*ROWS}, "give each a row in ROWS"


@dataclass
class _Double:
    """One that does as its test says."""

    said: tuple[bytes, ...] = (b"up",)
    status_of: int | None = 0
    endless: bool = False
    deaf: bool = False  # whether it does not end when it is closed
    raises: bool = False
    counts: bool = False  # whether each beginning leaves something
    begun: int = 0
    closed: ClassVar[queue.SimpleQueue[None]] = queue.SimpleQueue()
    status: int | None = field(default=None, compare=False)

    def begin(self, cluster: Cluster) -> _Double:
        self.begun += self.counts
        type(self).closed = queue.SimpleQueue()
        self.status = None if self.endless and self.status_of == 0 else self.status_of
        return self

    def lines(self) -> Iterator[bytes]:
        if self.raises:
            raise OSError("no more")
        yield from self.said
        if self.endless:
            type(self).closed.get()

    def close(self) -> None:
        if not self.deaf:
            type(self).closed.put(None)


WRONG: dict[str, tuple[Callable[[], tuple[_Double, _Double]], str, str]] = {
    "another line": (lambda: (_Double(said=(b"down",)), _Double(endless=True)), "what_it_says_is_heard_to_its_end", "what it says"),
    "another status": (lambda: (_Double(status_of=1), _Double(endless=True)), "what_it_says_is_heard_to_its_end", "what it ended with"),
    "an error in place of lines": (lambda: (_Double(raises=True), _Double()), "what_it_says_is_heard_to_its_end", "no more"),
    "no end": (lambda: (_Double(endless=True), _Double()), "what_it_says_is_heard_to_its_end", "it goes on"),
    "silence": (lambda: (_Double(), _Double(said=(), endless=False)), "it_ends_when_it_is_closed", "says something at once"),
    "an end while it goes on": (lambda: (_Double(), _Double(endless=True, status_of=7)), "it_ends_when_it_is_closed", "while it goes on"),
    "deafness": (lambda: (_Double(), _Double(endless=True, deaf=True)), "it_ends_when_it_is_closed", "its lines end"),
    "a memory": (lambda: (_Double(counts=True), _Double(endless=True)), "each_beginning_is_another", "after it was used"),
}


@pytest.mark.parametrize("how", WRONG)
def test_one_that_misbehaves_is_convicted(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the promise that it breaks."""
    monkeypatch.setattr(performing_contract, "ENDING_SECONDS", 0.3)
    made, name, words = WRONG[how]
    ends, endless = made()
    with pytest.raises(ContractBroken, match=words):
        PERFORMING[name](_case(ends, endless))
    type(ends).closed.put(None)


@pytest.mark.parametrize("promise", PERFORMING.values(), ids=PERFORMING)
def test_a_double_that_behaves_is_acquitted(promise: Callable[[PerformingCase], None]) -> None:
    """What convicts the others is what is wrong with them."""
    promise(_case(_Double(), _Double(endless=True)))


def _case(ends: Any, endless: Any) -> PerformingCase:
    return PerformingCase(ends, (b"up",), 0, endless, _cluster())
