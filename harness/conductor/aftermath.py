"""What a heal leaves to be done on a node: a machine that was switched on boots, a daemon that was killed is started again.

While that goes on, what a node lacks is the earlier fault's doing, and whoever comes next would be blamed for it: the next fault, and what is asked
under it. So the next fault waits, and not for ever: a member of a quorum may be waiting for others that are still broken.
"""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING

from harness.core import pace, stops
from harness.core.clock import wait_until
from harness.core.errors import Expired, HarnessError, Unreachable
from harness.core.figures import lasted
from harness.core.values import Loss
from harness.faults.common import live
from harness.history.events import Note

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from harness.core.protocols import Cluster, Fault, Node
    from harness.history.recorder import Recorder

SECONDS = 15.0
"""How long what was mended may take to run again. Docker takes some two on a machine that is busy."""
ASK_SECONDS = 3.0
"""How long a node may take to say what its systemd is starting. It takes some milliseconds."""
NAMED = 3
"""Units that are named in a note."""

_JOB = re.compile(r"^\s*\d+\s+(\S+)\s+(?:start|restart)\b", re.MULTILINE)


class Aftermath:
    """The nodes on which something was mended, until all runs there again."""

    def __init__(self, cluster: Cluster, recorder: Recorder) -> None:
        self._cluster = cluster
        self._recorder = recorder
        self._nodes: set[str] = set()

    def add(self, fault: Fault, hit: Sequence[str]) -> None:
        """Take note of a fault that was mended just now; of one that took neither machine nor daemon nothing has to start."""
        if fault.traits.loses in {Loss.NODE, Loss.PROCESS}:
            self._nodes |= {*hit}

    def wait(self, what: str, broken: Collection[str]) -> None:
        """Wait until all runs again on nodes that no other fault holds (`broken`), for `SECONDS` at most. What waits, by `what`, is told.

        Raises what `stops.go_on` raises.
        """
        nodes = live(self._cluster, [self._cluster.node(name) for name in sorted(self._nodes - {*broken})])
        self._nodes.clear()
        began = self._recorder.now()
        awaited: dict[str, None] = {}
        lacking: list[str] = []

        def over() -> bool:
            lacking[:] = [each for node in nodes for each in _starting(node)]
            awaited.update(dict.fromkeys(lacking))
            return not lacking

        with contextlib.suppress(Expired):
            wait_until(
                over,
                awaited="what was mended to run again",
                seconds=pace.limit(SECONDS),
                clock=self._recorder.clock,
                every=0.1,
            )
        if awaited:
            some = sorted(awaited, key=lambda each: ".service on " not in each)[:NAMED]  # what people know by its name
            more = f" and {len(awaited) - NAMED} more" if len(awaited) > NAMED else ""
            waited = f"{what} waited {lasted(self._recorder.now() - began)} for what was mended before: {', '.join(some)}{more}"
            self._recorder.record(Note(f"{waited}{', in vain' if lacking else ''}"))


def _starting(node: Node) -> list[str]:
    """Return what a node's systemd is starting; nothing where it cannot say."""
    try:
        said = node.run("systemctl", "list-jobs", "--no-legend", "--plain", timeout=pace.limit(ASK_SECONDS))
    except Unreachable:
        return [f"an answer of {node.name}"]
    except HarnessError:
        stops.go_on()
        return []
    return [f"{unit} on {node.name}" for unit in _JOB.findall(said.text)] if said.ok else []
