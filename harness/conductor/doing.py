"""One action: done within its time, or cut off; and what is known of whether it was done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.core import stops
from harness.core.clock import Deadline
from harness.core.errors import Expired, FaultFailed, HalfDone, HarnessError, InDoubt, Unreachable, in_words
from harness.core.figures import given
from harness.core.values import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.core.protocols import Action, Cluster, Node


def done(action: Action, cluster: Cluster, nodes: Sequence[Node], seconds: float) -> tuple[Outcome, str]:
    """Do it, and return how it ended, in words as well. Called inside `cluster.network()`. Raises what ends the run.

    Whatever goes on in it is cut off after so many seconds: then nobody knows whether it was done. So it is where somebody gave no answer, where the
    action's own code failed, and where it was not done on some of many nodes: on the others it was, or may have been.
    """
    deadline = Deadline(cluster.clock, seconds)

    def ear() -> HarnessError | None:
        return stops.CutOff(f"it was not done within {given(seconds)}") if deadline.expired else None

    try:
        with stops.listening(ear):
            said = stops.beside(lambda: action.act(cluster, nodes), "action")
    except HarnessError as error:
        stops.go_on()  # what ends the run is no answer to whether it was done
        return (Outcome.UNKNOWN if _in_doubt(error, nodes) else Outcome.FAIL), str(error)
    except Exception as error:  # noqa: BLE001 - an action of somebody else's that crashes has done nobody knows what
        stops.go_on()
        return Outcome.UNKNOWN, f"its own code failed: {in_words(error)}"
    return Outcome.OK, said if isinstance(said, str) else ""


def _in_doubt(error: HarnessError, nodes: Sequence[Node]) -> bool:
    """Whether it may have been done, or a part of it: unless an error says that it was surely not done, of each node where there are many."""
    seen: list[BaseException] = []
    todo: list[BaseException | None] = [error]
    told: set[str] = set()  # nodes of which it is said that it failed there
    while todo:
        each = todo.pop()
        if each is None or each in seen:
            continue
        if isinstance(each, Unreachable | InDoubt | Expired | HalfDone | stops.CutOff):
            return True
        seen.append(each)
        todo.append(each.__cause__)
        if isinstance(each, FaultFailed):
            told |= {*each.on}
            todo += each.on.values()
    return len(nodes) > 1 and not {node.name for node in nodes} <= told
