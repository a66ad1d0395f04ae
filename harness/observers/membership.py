"""What each quorum member says of itself: its term, and the leader that it follows."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from harness.core.errors import HarnessError
from harness.core.protocols import Quorum
from harness.history.events import MemberSeen
from harness.observers.watch import PerNode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from harness.core.protocols import Cluster, Node
    from harness.observers.watch import Watch

ASK_SECONDS = 0.25
"""How often each member is asked. etcd elects within 1 to 2 s at its default timers, swarm within 10 to 20, so no term of any length goes unseen."""
RESYNC_SECONDS = 5.0
"""How often an answer is recorded that has not changed."""


class MembershipObserver(PerNode):
    """Records `MemberSeen` when a member's term or leader changes, when it begins or ceases to answer, and every `RESYNC_SECONDS`."""

    name: ClassVar[str] = "membership"

    def nodes(self, cluster: Cluster) -> Sequence[Node]:
        """Return the members' nodes."""
        return [cluster.node(name) for name in cluster.can(Quorum).members(cluster)]

    def watch(self, watch: Watch) -> None:
        """Ask one member until it is time to stop."""
        with watch.cluster.can(Quorum).asking(watch.cluster, watch.node) as ask:
            self._ask(watch, ask)

    @staticmethod
    def _ask(watch: Watch, ask: Callable[[], tuple[int, str | None]]) -> None:
        last: tuple[int, str | None, bool] | None = None
        recorded = 0.0

        def sample() -> None:
            nonlocal last, recorded
            try:
                term, leader = ask()
                seen = MemberSeen(watch.node.name, term, leader)
            except HarnessError as error:  # whatever kept the answer from us
                seen = MemberSeen(watch.node.name, error=str(error))
            # An error is one state, however it is worded.
            state = (seen.term, seen.leader, bool(seen.error))
            if state != last or watch.clock.now() - recorded >= RESYNC_SECONDS:
                watch.recorder.record(seen)
                last, recorded = state, watch.clock.now()
            watch.say(alive=not seen.error, detail=seen.error)

        watch.every(ASK_SECONDS, sample)
