"""The one imperative module: walks a plan on a real cluster.

`conduct` is a whole run, from the plan to the verdict. `lent` is its middle part, for scenarios that are written in Python.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.conductor.lending import lent
from harness.conductor.options import Options, Progress
from harness.conductor.session import Session
from harness.core.stops import Stopped, beside
from harness.core.values import Phase, Verdict
from harness.history.events import PhaseBegan
from harness.runs.folder import run_id_of
from harness.runs.judge import load
from harness.runs.run import save_verdict

if TYPE_CHECKING:
    from harness.plan import Plan
    from harness.runs.run import Run

__all__ = ["Options", "Progress", "Session", "Stopped", "conduct", "judged", "lent", "run_id_of"]


def conduct(plan: Plan, options: Options) -> Run:
    """Do a whole run and return it judged. The cluster is gone when this returns, unless it was to be kept.

    Raises `Unsupported` where this machine cannot make a fault or a node, `Stopped` when asked to stop, and any other `HarnessError` where the
    harness could not do its work; what was written until then stays under ``results/``.
    """
    with lent(plan, options) as session:
        session.walk()
        return judged(session)


def judged(session: Session) -> Run:
    """Close the history of a run that came to its end, and return it judged. Its logs are kept where they are wanted, or something is wrong."""
    session.recorder.record(PhaseBegan(Phase.DONE))
    session.recorder.close()  # what comes after it, as the removal of the cluster, is no part of what is judged
    session.must_be_written()
    run = beside(lambda: load(session.folder), "judge")
    save_verdict(run)
    if session.options.logs or run.verdict is not Verdict.HELD:
        session.save_logs()
    return run
