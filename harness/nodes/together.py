"""One piece of work on many nodes at once, with one error that names every node on which it failed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from harness.core import stops
from harness.core.errors import FaultFailed, HarnessError, of_node
from harness.core.protocols import Node

T = TypeVar("T")


def together(nodes: Sequence[Node], work: Callable[[Node], T], doing: str) -> list[T]:
    """Do `work` on all nodes at the same time and return its results in the order of the nodes.

    All are waited for, also when one fails or the run is to end (`harness.core.stops`): nothing goes on in the background. Raises one `FaultFailed`
    that names every node which failed and how, chained from the first. Anything that is not a `HarnessError` (an interrupt, a bug) is raised as it
    is, in place of that, and so is what ends the run.
    """
    futures = stops.spread(nodes, work, "together", leave=False)
    failures: list[tuple[Node, HarnessError]] = []
    for node, future in zip(nodes, futures, strict=True):
        error = future.exception()
        if error is None:
            continue
        if not isinstance(error, HarnessError):
            raise error
        failures.append((node, error))
    if failures:
        count = f"{len(failures)} of {len(nodes)} node{'s' if len(nodes) > 1 else ''}"
        said = "\n".join(f"  {of_node(node.name, error)}" for node, error in failures)
        raise FaultFailed(f"{doing} failed on {count}:\n{said}", {node.name: error for node, error in failures}) from failures[0][1]
    return [future.result() for future in futures]
