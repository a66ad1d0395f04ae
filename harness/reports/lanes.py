"""What a picture of a run shows beside each other: what was so from when to when, how calls were answered, and where API and nodes differed."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TypeAlias

from harness.core.values import Outcome
from harness.history.loads import Failing

RATE_OVER = 5.0
"""Seconds over which the rate of calls is taken."""

Lane: TypeAlias = tuple[str, ...]
"""What a span is about: ``("node", n)``, ``("runs", n, instance)``, ``("leader",)`` or ``("wrong", instance)``."""


@dataclass(frozen=True, slots=True)
class Bar:
    """Something that was so from `start` to `end`, in seconds."""

    start: float
    end: float
    what: str


@dataclass(slots=True)
class Calls:
    """The calls of one lane: an instance under HTTP, or reads or writes of a register."""

    counts: dict[Outcome, int] = field(default_factory=lambda: dict.fromkeys(Outcome, 0))
    answers: list[tuple[float, Outcome]] = field(default_factory=list)  # in order of time
    last_ok: float | None = None
    first: float | None = None  # when the first call began
    troubled: bool = False  # something but ok since the last ok
    told: bool = False  # the gap that goes on now was told as a moment
    last_gap: float = 0.0  # length of the latest gap that was told and is over
    longest_gap: float = 0.0
    failing: Failing | None = None  # of calls that are told of in lines: what they surely tell
    began: deque[float] = field(default_factory=lambda: deque(maxlen=500))

    def rate(self, now: float) -> float:
        """Calls a second, begun over the last `RATE_OVER` seconds."""
        recent = sum(1 for each in self.began if each > now - RATE_OVER)
        return recent / min(RATE_OVER, max(now - self.began[0], 1.0)) if recent else 0.0

    def gap(self, now: float) -> float:
        """Seconds without a good answer at this moment; 0 while none has gone wrong since the last good one."""
        if self.failing is not None:
            return self.failing.seconds
        since = self.last_ok if self.last_ok is not None else self.first
        return now - since if self.troubled and since is not None else 0.0


@dataclass(slots=True)
class Disagreement:
    """What API and nodes said of one instance while they differed."""

    askers: set[str] = field(default_factory=set)
    became_at: list[tuple[float, tuple[str, str]]] = field(default_factory=list)
    unasked: float = 0.0  # seconds in which no API gave an answer, up to `since`
    since: float | None = None  # from when on none gives one

    def heard(self, time: float, *, anything: bool) -> None:
        """Note whether any API gives an answer from now on."""
        if self.since is not None:
            self.unasked += time - self.since
        self.since = None if anything else time

    def became(self, time: float, pair: tuple[str, str]) -> None:
        """Note what the API and what the nodes say from now on."""
        if not self.became_at or self.became_at[-1][1] != pair:
            self.became_at.append((time, pair))

    def longest(self, end: float) -> tuple[str, str, float]:
        """Return the pair that stood longest, with its seconds: the others are steps on the way."""
        ends = [*(time for time, _ in self.became_at[1:]), end]
        lasted: dict[tuple[str, str], float] = {}
        for (time, pair), until in zip(self.became_at, ends, strict=True):
            lasted[pair] = lasted.get(pair, 0.0) + until - time
        said, homes = max(lasted, key=lambda pair: lasted[pair])
        return said, homes, lasted[said, homes]
