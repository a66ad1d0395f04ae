"""The calls of a workload, each with its answer, and when none was made."""

from __future__ import annotations

import bisect
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.core.values import Call, CallStream, Outcome
from harness.history.events import Answered, History, Invoked
from harness.history.intervals import Interval, common, united

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from harness.core.protocols import Performing, Workload

_STREAMS: Mapping[str, CallStream] = {each.value: each for each in CallStream}
"""The workloads that say by their name what their calls are of."""

LEFT_BEHIND = 10.0
"""Seconds for which a call may have been under way when nobody listened any more: drivers do not wait for ever when they stop."""

_MOST = 100_000_000
"""Numbers above this were given by nobody: a run makes some hundred calls a second."""


@dataclass(frozen=True, slots=True)
class Op:
    """One call from its beginning to its end. Without an answer `ended` is None and the outcome is unknown."""

    op: int
    workload: str
    call: Call
    begun: float
    entry: int  # index of its invocation
    ended: float | None = None
    outcome: Outcome = Outcome.UNKNOWN
    value: str | None = None
    by: str | None = None
    ours: bool = False  # it ended badly by a trouble of the harness or its machine
    stream: CallStream | None = None  # what it is of

    @property
    def own(self) -> bool:
        """Whether it is of something that the user named (`harness.core.values.CallStream.own`)."""
        return self.stream is not None and self.stream.own

    @property
    def ok(self) -> bool:
        """Whether it was done, as far as the caller was told."""
        return self.outcome is Outcome.OK and self.ended is not None

    @property
    def latency(self) -> float | None:
        """Seconds from call to answer, or None without one."""
        return None if self.ended is None else self.ended - self.begun


def stream(workload: object) -> CallStream | None:
    """Return what the calls of a workload are of, as its class says; None where it says nothing: then only its name tells them from others."""
    said = getattr(workload, "stream", None)
    return said if isinstance(said, CallStream) else None


def stream_named(workload: str) -> CallStream | None:
    """Return what the calls of a workload are of by its name alone; None where that does not say it."""
    return _STREAMS.get(workload)


def stream_of(event: Invoked) -> CallStream | None:
    """Return what a call is of; None where nobody said."""
    return event.stream or stream_named(event.workload)


def invoked(op: int, workload: Workload | Performing, call: Call) -> Invoked:
    """Return the event of a call that a workload begins. What it is of is told where the workload's name does not say it."""
    name, declared = str(getattr(workload, "name", "")), stream(workload)
    return Invoked(op, name, call, None if declared is stream_named(name) else declared)


def ops(history: History, of: str | None = None) -> tuple[Op, ...]:
    """Return the calls of one stream, or of one workload by its name (of all, for None), in the order in which they began.

    An answer to no known call is left out. A call with two answers that differ is unknown. Worked out once for each history: most checkers ask.
    """
    if of is None:
        return history.once(ops, lambda: tuple(_ops(history)))
    return history.once((ops, of), lambda: tuple(op for op in ops(history) if of in {op.stream, op.workload}))


def whom(stream: CallStream | None, call: Call) -> str:
    """Return whom a call is of, as its callers are told apart: an instance, a probe's name, or nobody by name."""
    return call.key if stream is not None and stream.parameter and stream is not CallStream.STORE else ""


def ended(history: History, of: str | None = None) -> tuple[Op, ...]:
    """Return the calls whose end was told. Each has one, good, bad or unknown, so that without one in a run that came to its end it is missing.

    One that ended badly by a trouble of ours is none of them: whom it called was never asked, or not heard.
    In a history that was cut off, also those that were under way then: not what had begun long before.
    """
    since = math.inf if history.closed else history.end - max(LEFT_BEHIND, _longest(history, of))
    return tuple(op for op in ops(history, of) if (op.ended is not None and not op.ours) or (op.ended is None and op.begun >= since))


@dataclass(frozen=True, slots=True)
class Untold:
    """A call of which a line is missing: of whom (None: nobody knows, not even of which workload), and when it may have had its answer."""

    op: int
    key: str | None
    interval: Interval

    def begun_in(self, times: Sequence[Interval]) -> bool:
        """Whether it may have been begun in some time: one of which nobody tells anything, at any moment between the calls around it."""
        return bool(common([self.interval], times)) if self.key is None else any(each.holds(self.interval.start) for each in times)


def untold(history: History, of: str) -> tuple[Untold, ...]:
    """Return the calls (see `ops`) of which lines are missing: those without an end (`ended`), and those that nobody told of (`lacking`).

    Whatever was not seen meanwhile, they may have seen: that lines are missing is no evidence of an outage.
    """
    return history.once((untold, of), lambda: tuple(_untold(history, of)))


def _untold(history: History, of: str) -> Iterator[Untold]:
    told, took = {op.op for op in ended(history, of)}, _longest(history, of)
    yield from (Untold(op.op, op.call.key, Interval(op.begun, op.begun + took)) for op in ops(history, of) if op.op not in told)
    if missing := lacking(history):
        begun = {op.op: op.begun for op in ops(history)}
        numbers = sorted(begun)
        for number in missing:  # it was made between the two calls around it
            place = bisect.bisect(numbers, number)
            early = begun[numbers[place - 1]] if place else 0.0
            yield Untold(number, None, Interval(early, max(early, begun[numbers[place]]) + took))


def _longest(history: History, of: str | None) -> float:
    """Return the seconds that a call took at most."""
    return max((op.latency for op in ops(history, of) if op.latency is not None), default=LEFT_BEHIND)


def not_made(history: History) -> list[Interval]:
    """Return when this machine could not make calls, by those of ours that ended so: nor could whoever else called from it then.

    Each from the last call of ours that could be made until the next one: a call fails at once then, and others call between two of ours. What the
    user runs does not tell such calls apart.
    """
    return history.once(not_made, lambda: _not_made(history))


def _not_made(history: History) -> list[Interval]:
    found: list[Interval] = []
    since: float | None = None
    made: float | None = None  # when the last call was made that could be
    for op in ops(history):
        if op.ours and op.ended is not None:
            since = (op.begun if made is None else made) if since is None else since
            found.append(Interval(since, op.ended))
        elif not op.own:
            if since is not None:
                found.append(Interval(since, op.begun))
            since, made = None, op.begun
    return united(found)


def lacking(history: History) -> tuple[int, ...]:
    """Return the numbers of calls that must have been made, since later ones were, and that nobody told of: they are numbered without gaps."""
    begun = {event.op for _, event in history.each(Invoked)}
    return tuple(sorted(set(range(1, max(begun, default=0) + 1)) - begun)) if max(begun, default=0) <= _MOST else ()


@dataclass(frozen=True, slots=True)
class LastAnswer:
    """How somebody was served up to a moment: the last good answer before it, if any, and whether a call that was begun since had ended badly."""

    good: Op | None
    refused: bool

    @property
    def at(self) -> float:
        """When that answer came; before all time where there is none."""
        return -math.inf if self.good is None or self.good.ended is None else self.good.ended


def served(calls: Iterable[Op], moment: float) -> LastAnswer:
    """Return how the caller of these calls was served up to a moment; what ended at that moment does not count, nor what asked nobody (`ours`)."""
    over = [op for op in calls if op.ended is not None and op.ended < moment and not op.ours]
    good = max((op for op in over if op.ok), key=lambda op: op.ended or 0.0, default=None)
    last = LastAnswer(good, refused=False)
    return LastAnswer(good, refused=any(not op.ok and op.begun >= last.at for op in over))


def _ops(history: History) -> Iterator[Op]:
    answers: dict[int, tuple[float, int, Answered]] = {}
    for entry, answer in history.each(Answered):
        first = answers.setdefault(answer.op, (entry.time, entry.index, answer))[2]
        if first != answer:  # two answers to one call contradict each other: then nobody knows
            answers[answer.op] = (entry.time, entry.index, replace(answer, outcome=Outcome.UNKNOWN, value=None, by=None))
    for entry, event in history.each(Invoked):
        time, index, answered = answers.get(event.op, (0.0, -1, None))
        if answered is None or index < entry.index:
            yield Op(event.op, event.workload, event.call, entry.time, entry.index, stream=stream_of(event))
        else:
            yield Op(
                op=event.op,
                workload=event.workload,
                call=event.call,
                begun=entry.time,
                entry=entry.index,
                ended=time,
                outcome=answered.outcome,
                value=answered.value,
                by=answered.by,
                ours=answered.ours and answered.outcome is not Outcome.OK,
                stream=stream_of(event),
            )
