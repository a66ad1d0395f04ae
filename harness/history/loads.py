"""What commands of the user's own that make calls themselves told of them: from when to when each ran, how it ended, and its counts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.core.naming import shown
from harness.core.values import CallStream, Outcome
from harness.history.calls import ops
from harness.host import untrusted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.history.calls import Op
    from harness.history.events import History

RUN, COUNT = "run", "count"
"""What is asked of such a command: to run, once; and again and again how its calls went since it was asked before."""
SLOT = 0.25
"""Seconds in which lines that come together are told as one: a program that gathers its lines says nothing of when each was meant for."""
ENDING = 3.5
"""Seconds that one may take to end once it is asked to (`harness.nodes.this_machine.GRACE_SECONDS`, and to be heard)."""
MOST = 1_000_000_000
"""Calls that one line may tell of, at most."""


@dataclass(frozen=True, slots=True)
class Tally:
    """How many calls went well, and how many did not."""

    ok: int = 0
    failed: int = 0

    def __add__(self, other: Tally) -> Tally:
        """Add them up."""
        return Tally(self.ok + other.ok, self.failed + other.failed)

    def __sub__(self, other: Tally) -> Tally:
        """Take some away."""
        return Tally(self.ok - other.ok, self.failed - other.failed)

    @property
    def calls(self) -> int:
        """How many were made."""
        return self.ok + self.failed

    @property
    def outcome(self) -> Outcome:
        """Whether any went well, or none of those that were made; unknown where none was made."""
        return Outcome.OK if self.ok else Outcome.FAIL if self.failed else Outcome.UNKNOWN


def tally(said: bytes) -> Tally | None:
    """Return what a line says of calls; None where it says nothing of any. Raises `ValueError` for one that means to and cannot be read."""
    if not said.lstrip().startswith(b"{"):
        return None
    try:
        found = untrusted.loads(said)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or found.keys().isdisjoint(("ok", "failed")):
        return None
    ok, failed = found.get("ok", 0), found.get("failed", 0)
    if not _is_count(ok) or not _is_count(failed):
        raise ValueError(f"found ok {shown(ok)} and failed {shown(failed)}, expected whole numbers from 0 to {MOST}")
    return Tally(ok, failed)  # type: ignore[arg-type]  # seen just now


def _is_count(said: object) -> bool:
    return type(said) is int and 0 <= said <= MOST


@dataclass(frozen=True, slots=True)
class CountedCalls:
    """What was told at `end` of the calls since `start`; both may be `SLOT` seconds late."""

    start: float
    end: float
    tally: Tally
    entry: int


@dataclass(slots=True)
class Failing:
    """Since when lines tell without a break that calls are made, and that none goes well: the one reading of that, for judges and for reports.

    It is from the first of those calls to the last, as if those of a line lay evenly in its time: a line of one says nothing of how long.
    """

    first: float | None = None
    last: float = -math.inf
    _told: float = -math.inf  # until when the line before tells

    def hear(self, each: CountedCalls, *, seen: bool = True) -> bool:
        """Take in the next line; return whether there is an outage at its end. What was not `seen` breaks one off."""
        missing, self._told = each.start > self._told + SLOT, each.end
        if each.tally.ok or not each.tally.failed or not seen:
            self.first = None
            return False
        step = (each.end - each.start) / each.tally.failed
        self.first = each.start + step if missing or self.first is None else self.first
        self.last = each.end - step
        return True

    @property
    def seconds(self) -> float:
        """For how long it surely lasted by now; 0 where there is none."""
        return 0.0 if self.first is None else max(0.0, self.last - SLOT - self.first)


@dataclass(frozen=True, slots=True)
class Load:
    """One such command in a run."""

    begun: float
    entry: int  # where it was begun, or, where that was told, ended
    ended: float | None  # None: nobody told
    status: int | None  # what it ended with; None where nobody saw that
    itself: bool  # whether it ended by itself, and was seen to
    pieces: tuple[CountedCalls, ...]  # in order

    @property
    def over(self) -> float:
        """Until when it surely went on: one that did not end by itself was asked to, and may have been silent since. Infinite where nobody told."""
        if self.ended is None or self.itself:
            return math.inf if self.ended is None else self.ended
        return max(self.ended - ENDING, self.pieces[-1].end if self.pieces else self.begun)


def loads(history: History) -> Mapping[str, Load]:
    """Return every such command by its name."""
    return history.once(loads, lambda: _loads(history))


def _loads(history: History) -> dict[str, Load]:
    pieces: dict[str, list[CountedCalls]] = {}
    found: dict[str, Op] = {}
    for op in ops(history, CallStream.COMMAND):
        if op.call.function == RUN:
            found.setdefault(op.call.key, op)
        elif op.ended is not None and (counts := told(op.value)) is not None:
            pieces.setdefault(op.call.key, []).append(CountedCalls(op.begun, op.ended, counts, op.entry))
    return {
        name: Load(
            op.begun,
            op.entry,
            op.ended,
            int(op.value) if op.value and op.value.isdecimal() and len(op.value) < _DIGITS else None,
            op.ended is not None and op.outcome is not Outcome.UNKNOWN,
            tuple(pieces.get(name, ())),
        )
        for name, op in found.items()
    }


_DIGITS = 6
"""A status has three at most."""


def told(value: str | None) -> Tally | None:
    """Return what an answer in a history tells of calls; None where that is nothing."""
    try:
        return tally((value or "").encode())
    except ValueError:
        return None
