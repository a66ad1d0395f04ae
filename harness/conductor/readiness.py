"""The wait of a fault until its nodes are ready for it: what was mended before runs again there, and what it breaks is there.

Not for ever: what does not come by then is told, and whoever waited goes on. The waits of one fault share one patience.
"""

from __future__ import annotations

import contextlib
import functools
from typing import TYPE_CHECKING

from harness.core import pace, stops
from harness.core.clock import Deadline, wait_until
from harness.core.errors import Expired, HarnessError, Unreachable
from harness.core.figures import lasted
from harness.faults.common import live
from harness.history.events import Note

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from harness.core.clock import Clock
    from harness.core.protocols import Cluster, Node
    from harness.history.recorder import Recorder

SECONDS = 15.0
"""How long a fault, an action or the last checks wait in all. A machine that has just booted starts its daemons; Docker takes some two seconds on one
that is busy."""
LAST_SECONDS = 0.5
"""How long an answer may take that was asked for when hardly any time was left."""
EVERY_SECONDS = 0.05
NAMED = 3
"""Things waited for that are named in a note."""


def patience(clock: Clock, slack: float) -> Deadline:
    """Return until when whatever begins now waits: at this machine's pace, and `slack` seconds longer where nodes are slow beside it."""
    return Deadline(clock, pace.limit(SECONDS) + slack)


def answer_seconds(left: Deadline, seconds: float) -> float:
    """Return how long a node may take for an answer that takes `seconds` at most, so that nobody waits for much longer than there is patience."""
    return min(seconds, max(left.left(), pace.limit(LAST_SECONDS)))


def awaited(
    cluster: Cluster,
    nodes: Sequence[Node],
    lacks: Callable[[Node], Iterable[str]],
    *,
    who: str,
    why: str = "",
    left: Deadline,
    recorder: Recorder,
) -> list[str]:
    """Wait until no node that is on lacks anything; all are asked at once. Returns the names of those that do still. `who` waits, and `why`, is told.

    No answer is no "nothing"; what keeps a node from being asked otherwise is for whoever breaks it to say. Raises what `stops.go_on` raises.
    """
    began = recorder.now()
    seen: dict[str, None] = {}
    lacking: dict[str, list[str]] = {}

    def ready() -> bool:
        asked = stops.spread(nodes, functools.partial(_lacking, cluster, lacks), "ready")
        lacking.update({node.name: future.result() for node, future in zip(nodes, asked, strict=True)})
        seen.update(dict.fromkeys(each for those in lacking.values() for each in those))
        return not any(lacking.values())

    with contextlib.suppress(Expired):
        wait_until(ready, awaited="nodes to be ready", seconds=left.left(), clock=left.clock, every=EVERY_SECONDS)
    still = [name for name, those in lacking.items() if those]
    if seen:
        some = sorted(seen, key=lambda each: ".service on " not in each)[:NAMED]  # what people know by its name
        more = f" and {len(seen) - NAMED} more" if len(seen) > NAMED else ""
        waited = f"{who} waited {lasted(recorder.now() - began)} for {why}{', '.join(some)}{more}"
        recorder.record(Note(f"{waited}{', in vain' if still else ''}"))
    return still


def _lacking(cluster: Cluster, lacks: Callable[[Node], Iterable[str]], node: Node) -> list[str]:
    """Return what a node lacks; nothing where it is off, so that nothing will come, or cannot be asked."""
    try:
        return [f"{each} on {node.name}" for each in lacks(node)] if live(cluster, [node]) else []
    except Unreachable:
        return [f"an answer of {node.name}"]
    except HarnessError:
        stops.go_on()
        return []
