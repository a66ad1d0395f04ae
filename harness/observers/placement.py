"""What the orchestrator's API says, asked at every node: a witness, not the truth."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from harness.core.errors import HarnessError
from harness.core.protocols import Viewing
from harness.history.events import ApiSeen
from harness.observers.watch import PerNode

if TYPE_CHECKING:
    from harness.observers.watch import Watch

ASK_SECONDS = 0.5
"""How often each node's API is asked."""
RESYNC_SECONDS = 5.0
"""How often an answer is recorded that has not changed."""


class PlacementObserver(PerNode):
    """Records `ApiSeen` when a node's API changes its answer, begins or ceases to answer, and every `RESYNC_SECONDS`."""

    name: ClassVar[str] = "placement"

    def watch(self, watch: Watch) -> None:
        """Ask one node's API until it is time to stop."""
        last: ApiSeen | None = None
        recorded = 0.0

        def sample() -> None:
            nonlocal last, recorded
            try:
                seen = ApiSeen(watch.node.name, watch.cluster.can(Viewing).view(watch.cluster, watch.node))
            except HarnessError as error:  # whatever kept the answer from us
                seen = ApiSeen(watch.node.name, None, str(error))
            # An error is one state, however it is worded.
            changed = last is None or seen.view != last.view
            if changed or watch.clock.now() - recorded >= RESYNC_SECONDS:
                watch.recorder.record(seen)
                last, recorded = seen, watch.clock.now()
            watch.say(alive=seen.view is not None, detail=seen.error)

        watch.every(ASK_SECONDS, sample)
