"""What a heal leaves to be done on a node: a machine that was switched on boots, a daemon that was killed is started again.

While that goes on, what a node lacks is the earlier fault's doing, and whoever comes next would be blamed for it: the next fault, and what is asked
under it. So the next fault waits, and not for ever: a member of a quorum may be waiting for others that are still broken.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.conductor import readiness
from harness.core import pace
from harness.core.values import Loss

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from harness.core.clock import Deadline
    from harness.core.protocols import Cluster, Fault, Node
    from harness.history.recorder import Recorder

ASK_SECONDS = 3.0
"""How long a node may take to say what its systemd is starting. It takes some milliseconds."""

_JOB = re.compile(r"^[ \t]*\d+[ \t]+(\S+)[ \t]+(?:start|restart)\b", re.MULTILINE)


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

    def wait(self, what: str, broken: Collection[str], left: Deadline) -> list[str]:
        """Wait until all runs again on nodes that no other fault holds (`broken`), for as long as there is patience. What waits, by `what`, is told.

        A node that another fault holds is waited for once that one is mended, and one that was waited for in vain by the next as well. Those are
        returned. Raises what `stops.go_on` raises.
        """
        asked = sorted(self._nodes - {*broken})
        still = readiness.awaited(
            self._cluster,
            [self._cluster.node(name) for name in asked],
            lambda node: _starting(node, left),
            who=what,
            why="what was mended before: ",
            left=left,
            recorder=self._recorder,
        )
        self._nodes -= {*asked} - {*still}
        return still


def _starting(node: Node, left: Deadline) -> list[str]:
    """Return what a node's systemd is starting; nothing where it has no systemd that says so."""
    said = node.run("systemctl", "list-jobs", "--no-legend", "--plain", timeout=readiness.answer_seconds(left, pace.limit(ASK_SECONDS)))
    return _JOB.findall(said.text) if said.ok else []
