"""Who sees to what a ledger shows as broken: while somebody does it is meant to be broken, and nobody else mends it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from harness.core.errors import HarnessError
from harness.host.processes import Process, watched
from harness.providers import clusters
from harness.runs.writer import writes_any

if TYPE_CHECKING:
    from harness.undo.ledger import LedgerLine


class Minder(NamedTuple):
    """Who sees to a fault."""

    words: str  # who it is, what becomes of the fault, and what to do
    halted: bool  # whether that one was stopped: then nothing becomes of it by itself


def minder(line: LedgerLine) -> Minder | None:
    """Return who sees to a fault: the process that made it, or else whoever uses the cluster that it is on; None where nobody does.

    The second is asked as well since a ledger is a file: what it says of who made something may be old, or somebody else's. So a process named there
    is believed only where it is a harness: it writes some run's history, or this run has a reaper.
    """
    harness = Process(*line.conductor)
    if line.attended and (writes_any(harness) or line.run_id in watched()):
        does = f"{harness.halted}, and it is mended then" if harness.halted else "runs and will mend it; stop that to heal"
        return Minder(f"its harness (process {harness.pid}) {does}", bool(harness.halted))
    try:
        if not clusters.is_used(line.run_id):
            return None
    except HarnessError:  # no cluster of ours is called so
        return None
    user = clusters.owner(line.run_id)
    who = f"process {user.pid}" if user is not None else "its reaper lives"
    what = f"it is on {line.run_id}, which a run that goes on uses ({who})"
    halted = user.halted if user is not None else ""
    return Minder(f"{what}; that process {halted}" if halted else f"{what}; stop that to heal", bool(halted))
