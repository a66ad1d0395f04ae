"""How it was before anything was broken: what was no better then, no fault has made. Pure."""

from __future__ import annotations

import bisect
import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.checkers.troubles import endurance, pace
from harness.core.figures import at
from harness.core.figures import share as figure
from harness.core.instances import app_of
from harness.core.values import NodeState, Phase
from harness.history.bands import fault_bands
from harness.history.deeds import closed, deeds, down, renewed
from harness.history.events import Wholeness
from harness.history.intervals import Interval, node_spans, span_at, stays, without
from harness.history.situation import FRESH

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from harness.core.values import Effect
    from harness.history.calls import Op
    from harness.history.events import History

FEWEST = 20
"""Below so many calls a share says nothing: one call more or less is 5 %."""

SLOWED = 1.5
"""A call that comes only after so many of its caller's usual paces has others before it that were due and not made."""

_STEPS = 4
"""So many stretches begin in the time of one, at least."""

_MOST = 400
"""And no more than so many in all: they are for faults that last a moment, of which few calls are told anyway."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """How calls went in some time before anything was broken, while the cluster was whole: so many well, of so many.

    `bad` is how many of those since are no more than each of those who are called had of its own then: one's excuse none of another. Of that `more`
    are those that failed in a row: in a longer time than this one once more of that is chance.
    """

    time: Interval
    good: int
    made: int
    bad: float = math.inf
    more: int = 0

    def explains(self, share: float, good: float, made: float) -> bool:
        """Whether the share was not kept then either, and would be without as many bad ones as then; not where too few were made."""
        if self.made < FEWEST or self.good >= share * self.made:
            return False
        return good + min(self.bad, made * (self.made - self.good) / self.made + self.more) >= share * made


@dataclass(frozen=True, slots=True)
class Usual:
    """How calls went before anything was broken: in all of that, and in each stretch of it that was as long as what is judged."""

    stretches: tuple[Stretch, ...] = ()

    def explains(self, share: float, good: float, made: float) -> str:
        """Say which of them explains that a share was not kept, the worst of all; nothing where none does."""
        found = [each for each in self.stretches if each.explains(share, good, made)]
        if not found:
            return ""
        worst = min(found, key=lambda each: each.good / each.made)
        when = f"from {at(worst.time.start)} to {at(worst.time.end)}, before the first fault was made,"
        return f"of {worst.made} calls {when} {figure(worst.good / worst.made, share)} went well, so that shows nothing of it"


NONE_BEFORE = Usual()
"""Where nothing is known of that."""


def stretches(time: Interval, length: float) -> list[Interval]:
    """Return some time, and the stretches of it that are so long, each a quarter of that later than the one before, or more (`_MOST`)."""
    if not 0.0 < length < time.length:
        return [time]
    count = math.ceil(min(_MOST, (time.length - length) / length * _STEPS))
    return [
        time,
        *(Interval(start, start + length) for step in range(count + 1) for start in [time.start + step * (time.length - length) / count]),
    ]


def first_decided(history: History, otherwise: float) -> float:
    """Return when the first fault that was ever in force was decided; `otherwise` where none was."""
    return min((band.begins for band in fault_bands(history) if band.in_force is not None), default=otherwise)


def first_there(history: History) -> float:
    """Return when the first fault was decided, half made or not; at the end where none was."""
    return min((band.begins for band in fault_bands(history) if band.was_there), default=history.end)


def calm(history: History, app: str | None = None) -> Interval:
    """The longest time, from when the cluster was whole until the first fault was decided, in which nothing was done on purpose.

    Whole by the run's own word, or else since it was to be. What an action disturbs is not what is usual, nor what is so until a recovery after it.
    With `app` only those count that may do something to that app, and with an empty one those that may do something to whoever leads.
    """
    return max(calms(history, app), key=lambda each: each.length)


def calms(history: History, app: str | None = None) -> list[Interval]:
    """Return all of these times, one at least. Worked out once for a history: they are asked for with each call, and each span."""
    return history.once((calms, app), lambda: _calms(history, app))


def _calms(history: History, app: str | None) -> list[Interval]:
    since = next((entry.time for entry, event in history.each(Wholeness) if event.when == "before"), history.phase(Phase.STEADY) or 0.0)
    whole = Interval(since, max(since, first_there(history)))
    near = endurance(history).recovery
    return without([whole], [Interval(each.start, each.end + near) for each in _done(history, app)]) or [Interval(since, since)]


def _done(history: History, app: str | None) -> list[Interval]:
    """Return when actions were done, and for how long what they stopped, or took away, was to be so where that was undone before the first fault.

    What went on until then is how it was when that came, whoever had made it so.
    """
    every, end, first = [each for each in deeds(history) if _concerns(each.effect, app)], history.end, first_there(history)
    lasting = [each for found in (down, closed) for pieces in found(every, end).values() for each in pieces]
    lasting += [each for pieces in renewed(every, end).values() for each in pieces]
    for number, each in enumerate(every):
        for name in [name for name, runs in each.effect.runs.items() if runs < each.was.get(name, runs)]:
            again = next((later.over(end) for later in every[number + 1 :] if name in later.effect.runs), end)
            lasting.append(Interval(each.begun, max(each.begun, again)))
    return [*(Interval(each.begun, each.over(end)) for each in every), *(each for each in lasting if each.end < first)]


def _concerns(effect: Effect, app: str | None) -> bool:
    """Whether an action may do something to an app, or to whoever leads; see `calm`."""
    if app is None or effect.upsets:
        return True
    return bool(app) and (effect.opens or app in {*effect.runs, *effect.renews, *effect.alters})


def usually(history: History, calls: Iterable[Op], during: Iterable[Op], length: float, app: str | None = None) -> Usual:
    """Return how calls went before anything was broken, of an `app` or of none, in any time of that `length`.

    And how many of the bad ones `during` some time are no more than that.
    """
    time, since = calm(history, app), _by_key(during)
    before = sorted((op for op in calls if time.start <= op.begun and (time.end if op.ended is None else op.ended) < time.end), key=_begun)
    return Usual(tuple(_stretch(each, before, since, once_more=length > time.length) for each in stretches(time, length)))


def _begun(op: Op) -> float:
    return op.begun


def _stretch(time: Interval, calls: Sequence[Op], since: Mapping[str, Sequence[bool]], *, once_more: bool) -> Stretch:
    """Return how these `calls` went in some time, of those who are called `since`."""
    before = _by_key(calls[bisect.bisect_left(calls, time.start, key=_begun) : bisect.bisect_right(calls, time.end, key=_begun)])
    every = [ok for each in before.values() for ok in each]
    # Of whom nothing is known it is taken to be as of all.
    shares = {key: before.get(key) or every or [True] for key in since}
    more = {key: longest_run((not ok, 1) for ok in before.get(key, ())) if once_more else 0 for key in since}
    usual = {key: len(each) * shares[key].count(False) / len(shares[key]) + more[key] for key, each in since.items()}
    bad = sum(min(each.count(False), usual[key]) for key, each in since.items())
    return Stretch(time, sum(every), len(every), bad, sum(more.values()))


def longest_run(failed: Iterable[tuple[bool, int]]) -> int:
    """Return how many calls failed in a row, at most: of each of some times whether any did, and how many."""
    return max((sum(count for _, count in alike) for bad, alike in itertools.groupby(failed, key=lambda each: each[0]) if bad), default=0)


def _by_key(calls: Iterable[Op]) -> dict[str, list[bool]]:
    """Return whether each call went well, by who was called."""
    found: dict[str, list[bool]] = {}
    for op in calls:
        found.setdefault(op.call.key, []).append(op.ok)
    return found


def long_ago(last: float, moment: float, begun: Sequence[float]) -> bool:
    """Whether the last good word of a caller is too old to say how it was at some moment, by the pace at which it calls."""
    return moment - last > max(FRESH, (1 + SLOWED) * pace(begun))


def no_longer(seconds: float, before: float, allowed: float) -> bool:
    """Whether something that had been too long `before` anything was broken lasted no longer than that and what is `allowed` together."""
    return before > allowed and seconds - before <= allowed


@dataclass(frozen=True, slots=True)
class OwnStop:
    """An instance stopped by itself before anything was broken: on which node, when, and for how many seconds it ran nowhere then."""

    node: str
    at: float
    gone: float

    def explains(self, seconds: float, allowed: float) -> bool:
        """Whether that it is gone for so long is no more than it was then, and what its return may take, together."""
        return seconds <= self.gone + allowed


def stopped_by_itself(history: History, instance: str, node: str = "") -> OwnStop | None:
    """Return for how long an instance had stopped before anything was broken, at most, on a node that was up (on any, or on that one); else None."""
    spans = node_spans(history)
    ran = [stay for stay in stays(spans) if stay.instance == instance]
    found = []
    for time, stay in itertools.product(calms(history, app_of(instance)), ran):
        after = span_at(spans[stay.node], stay.end) if time.start < stay.end < time.end and node in {"", stay.node} else None
        if after is not None and after.sure and after.state is NodeState.UP and instance not in after.instances:
            gone = next(iter(without([Interval(stay.end, time.end)], [each.interval for each in ran])), Interval(stay.end, stay.end))
            found.append(OwnStop(stay.node, stay.end, gone.length if gone.start <= stay.end else 0.0))
    return max(found, key=lambda each: (each.gone, each.at), default=None)
