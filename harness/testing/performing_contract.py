"""What every workload must do that makes its calls itself, as plain functions that any test runner can call; see `harness.testing.contracts`.

Each wants one that ends by itself and one that does not, which says something at once::

    case = PerformingCase(Rush(5), (b'{"ok": 5}',), 0, Rush(math.inf), cluster)
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.core import pace
from harness.core.errors import in_words
from harness.core.threads import CertainThread
from harness.testing.contracts import ContractBroken, require, same

if TYPE_CHECKING:
    from harness.core.protocols import Cluster, Performance, Performing

ENDING_SECONDS = 10.0
"""How long one may take to end, by itself or because it is ended, at this machine's pace."""


@dataclass(frozen=True)
class PerformingCase:
    """A workload that ends by itself, what it says and how it ends; and one that does not end, and has said something at once."""

    ends: Performing
    says: Sequence[bytes]
    status: int
    endless: Performing
    cluster: Cluster


def what_it_says_is_heard_to_its_end(case: PerformingCase) -> None:
    """All lines in their order, and how it ended, by its own doing."""
    with _begun(case, case.ends) as going:
        heard: list[bytes] = []
        _ends(lambda: heard.extend(going.lines()), "one that ends by itself")
        same(heard, [*case.says], "what it says")
        same(going.status, case.status, "what it ended with")


def it_ends_when_it_is_closed(case: PerformingCase) -> None:
    """So does whoever hears it, in another thread; and closing it twice is fine. That it was ended is no end of its own."""
    with _begun(case, case.endless) as going:
        lines = going.lines()
        first: list[bytes | None] = []
        _ends(lambda: first.append(next(lines, None)), "its first line")
        require(first != [None], "it says something at once", "it ended")
        same(going.status, None, "what it ended with, while it goes on")
        reader = CertainThread(target=lambda: [*lines], name="contract-reader")
        reader.start()
        _ends(going.close, "closing it")
        require(reader.wait(pace.limit(ENDING_SECONDS)), "its lines end when it is closed", "they go on")
        _ends(going.close, "closing it twice")


def each_beginning_is_another(case: PerformingCase) -> None:
    """A plan holds the workload: it is the same afterwards, and what began before says nothing of the next."""
    before = copy.deepcopy(case.ends)
    for _ in range(2):
        what_it_says_is_heard_to_its_end(case)
    same(case.ends, before, "the workload after it was used")


PERFORMING: Mapping[str, Callable[[PerformingCase], None]] = {
    each.__name__: each for each in (what_it_says_is_heard_to_its_end, it_ends_when_it_is_closed, each_beginning_is_another)
}
"""What every workload must do that makes its calls itself."""


@contextmanager
def _begun(case: PerformingCase, workload: Performing) -> Iterator[Performance]:
    with case.cluster.network():
        going = workload.begin(case.cluster)
    try:
        yield going
    finally:
        going.close()


def _ends(work: Callable[[], object], what: str) -> None:
    """Do something in a thread of its own. Raises `ContractBroken` where that raises, or does not end."""
    raised: list[Exception] = []

    def done() -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told below
            raised.append(error)

    thread = CertainThread(target=done, name="contract-work")
    thread.start()
    if not thread.wait(pace.limit(ENDING_SECONDS)):
        raise ContractBroken(f"promised: an end of {what}; saw: it goes on")
    if raised:
        raise ContractBroken(f"promised: an end of {what}; saw: {in_words(raised[0])}") from raised[0]
