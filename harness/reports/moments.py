"""What is told of a run one line after the other: a sentence with its time, and what it is about where that may come back many times."""

from __future__ import annotations

from dataclasses import dataclass

UNREACHED = "could not be asked"
UNANSWERED = "gave no good answer for a while"
DIFFERED = "was elsewhere by the API than by the nodes"


@dataclass(frozen=True, slots=True)
class Moment:
    """A sentence with its time in seconds. `tone` is good, bad, fault, plain or quiet: a hint for colour, never the only sign."""

    time: float
    what: str
    tone: str = "plain"
    early: bool = False  # shown in a timeline also where it lies before the timeline's start
    about: Flap | None = None  # what may come back many times; None: it is told each time


@dataclass(frozen=True, slots=True)
class Flap:
    """What a moment is about that may come back many times and be told together then; see `harness.reports.folding`.

    `lasted` is for the moment at which it is over. A note has no subject: it is about what its text says, whatever the figures in it.
    """

    subject: str
    what: str  # what happened to it, for `N times`
    lasted: float | None = None  # seconds

    @property
    def key(self) -> tuple[str, str]:
        """What is told together."""
        return (self.subject, self.what)
