"""What a run can wait for in its middle, what it means if that does not come, and both in words. Pure."""

from __future__ import annotations

from typing import Final

RECOVERED: Final = "recovered"
LEADER: Final = "leader"
STEADY: Final = "steady"
GOALS: Final = (RECOVERED, LEADER, STEADY)
"""An app that runs and serves; somebody whom a majority follows; a cluster that is whole."""

BROKEN: Final = "broken"
UNKNOWN: Final = "unknown"
GO_ON: Final = "go on"
ELSES: Final = (BROKEN, UNKNOWN, GO_ON)
"""What it means if it does not come in time: a promise is broken, the run cannot be judged, or nothing."""


def had_come(goal: str, app: str) -> str:
    """Say that it has come, e.g. ``web has recovered``; of what no run of this version waits for, by its name."""
    told = {RECOVERED: f"{app} has recovered", LEADER: "there is a leader", STEADY: "the cluster is whole"}
    return told.get(goal, f"{goal} {app}".strip())


def came(goal: str, app: str) -> str:
    """Say of a wait that is over that it came, e.g. ``web recovered``."""
    told = {RECOVERED: f"{app} recovered", LEADER: "there was a leader", STEADY: "the cluster was whole"}
    return told.get(goal, f"{goal} {app} came".replace("  ", " "))


def stayed_away(goal: str, app: str) -> str:
    """Say of a wait that is over that it did not come, e.g. ``web did not recover``."""
    told = {RECOVERED: f"{app} did not recover", LEADER: "there was no leader", STEADY: "the cluster was not whole"}
    return told.get(goal, f"{goal} {app} did not come".replace("  ", " "))


NO_FURTHER: Final = "no further step is taken"
"""What is noted where a step ended in a way after which none is."""


def in_vain(goal: str, app: str) -> str:
    """Say that something was awaited in vain, for the note of a run whose steps end with that."""
    return f"{stayed_away(goal, app)} in the time that it had"
