"""How long work that a fault took away may take to run again, and how that comes about: other faults meanwhile, no majority, no leader. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.core.figures import given, lasted
from harness.core.values import Loss, Who
from harness.history.bands import biting, had_before
from harness.history.intervals import Interval, common, neat, total

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from harness.checkers.roles import Roles
    from harness.core.values import Json, Verdict
    from harness.history.absence import Absence
    from harness.history.bands import Band
    from harness.history.intervals import Span
    from harness.history.losses import Displaced


@dataclass(frozen=True, slots=True)
class Allowance:
    """How long after a loss the work may take to run again, in seconds; infinite where nothing is promised.

    What took longer than `seconds` was too late, and what took `sure` at most was in time. In between nobody can say: another fault may have kept it,
    for which the mode promises nothing, or which took nothing away; no member may have had a majority; or leadership may have changed.
    """

    seconds: float
    sure: float
    own: float  # without other faults that came meanwhile
    named: str
    sum: str = ""  # how `sure` comes about, in words, where it is more than the fault's own
    why: str = ""  # what makes the difference between `seconds` and `sure`, in words

    def __str__(self) -> str:
        if not math.isfinite(self.sure):
            return "no recovery is promised"
        more = f", other faults meanwhile allowed for: {self.sum}" if self.sum else ""
        return f"{self.named} {given(self.sure)}{more}"

    @property
    def at_most(self) -> str:
        """Say beyond what it is too late."""
        more = f"; {given(self.seconds)} with {self.why} allowed for" if self.sure < self.seconds < math.inf else ""
        return f"{self}{more}"

    def told(self, verdict: Verdict) -> dict[str, Json]:
        """Say of one loss what it was held against (seconds; none: nothing is promised), with its sum, and what by itself it comes to."""
        more: dict[str, Json] = {"sum": self.sum} if self.sum else {}
        return {"limit": neat(self.sure) if math.isfinite(self.sure) else None, **more, "verdict": str(verdict)}


@dataclass(frozen=True, slots=True)
class _Anew:
    """Something that came while work was on its way back: from `until` on it has so many seconds more. Seconds after the loss."""

    start: float
    until: float
    limit: float
    what: str


def over(one: Displaced) -> float:
    """Return when a loss was over: the work was back, or nobody watched for it any more."""
    return one.at + (one.watched if one.running is None else min(one.watched, one.running))


def allowance(
    one: Displaced,
    limit: Callable[[Band, Who], float],
    roles: Roles,
    bands: Sequence[Band],
    spans: Mapping[str, Sequence[Span]],
    absence: Absence,
    end: float,
    named: str,
    done: Sequence[Interval] = (),
    full: Sequence[Interval] = (),
    anything: Sequence[Interval] = (),
) -> Allowance:
    """Return how long after a loss it may take, other faults that come meanwhile allowed for; `limit` is what a fault allows by itself.

    `done` is when actions disturbed the cluster, and `full` when no node could take the work: that is allowed for, and never for sure. An action that
    may have done `anything` may have taken the leader, or a majority.
    """
    watched = over(one) - one.at
    longest = limit(one.band, Who.LEADER)
    own = limit(one.band, roles.surely(one.band))
    others = _meanwhile(one, bands, end)
    bites = {each.fault: biting(each, spans).end - one.at for each in others}
    took = [each for each in others if each.in_force is not None and each.takes_homes and each.away - had_before(each, bands, end)]
    surely = [
        _Anew(bites[each.fault], bites[each.fault], limit(each, roles.surely(each)), f"{each.called} on {each.where} came")
        for each in took
        if math.isfinite(limit(each, Who.LEADER))
    ]
    sure, last = _allowed(own, watched, [*surely, *_mended(one, took, own, end)])
    # One that took nothing away, or that nothing is promised after.
    vague = [_Anew(bites[each.fault], bites[each.fault], limit(each, Who.LEADER), "") for each in others]
    vague += _mended(one, others, own, end)
    with_others = max(sure, _allowed(own, watched, vague)[0])
    ended = [time - one.at for each in done for time in (each.start, each.end) if time > one.at]
    vague += [_Anew(each, each, own, "") for each in ended]
    vague += [_Anew(each.end - one.at, each.end - one.at, max(own, longest), "") for each in anything if each.end > one.at]
    with_actions = max(with_others, _allowed(own, watched, vague)[0])
    # Where a node could take it again only then.
    vague += [_Anew(each.start - one.at, each.end - one.at, own, "") for each in full if each.end < over(one)]
    with_homes = max(with_actions, _allowed(own, watched, vague)[0])
    # After a time without a majority a leader is elected anew, whoever was lost.
    stopped = [_Anew(each.start - one.at, each.end - one.at, max(own, longest), "") for each in absence.doubtful]
    without_majority = max(with_homes, _allowed(own, watched, [*vague, *stopped])[0])
    # What leadership does when the time is up has kept nothing; and of an election before the loss only what is left of its time.
    since = roles.known_since(one.band, min(over(one), one.at + without_majority))
    whoever = longest if since == math.inf else own
    elected = [_Anew(since - one.at, since - one.at, longest, "")] if math.isfinite(since) else []
    vague += [*elected, *_mended(one, others, whoever, end), *(_Anew(each, each, whoever, "") for each in ended)]
    seconds = max(without_majority, _allowed(whoever, watched, [*vague, *stopped])[0])
    mute = total(common(absence.doubtful, [Interval(one.at, over(one))]))
    why = [
        *([f"{' and '.join(dict.fromkeys(each.name for each in others))}, in force meanwhile,"] if with_others > sure else []),
        *(["what was done meanwhile"] if with_actions > with_others else []),
        *(["a time in which no node could take it"] if with_homes > with_actions else []),
        *([f"{lasted(mute)} in which no member may have had a majority"] if without_majority > with_homes else []),
        *(["leadership that may have changed"] if seconds > without_majority else []),
    ]
    added = f"{given(round(last.until, 2))} until {last.what} + {given(last.limit)}" if last is not None else ""
    return Allowance(seconds, sure, own, named, added, " and ".join(why))


def _meanwhile(one: Displaced, bands: Sequence[Band], end: float) -> list[Band]:
    """Return the other faults that came, or were mended, while work was on its way back.

    What comes when the work is back disturbs nothing any more, nor does what is on nodes that are lost already.
    """
    lost = one.band.away if one.band.traits.loses in {Loss.LINK, Loss.NODE} else frozenset[str]()
    return [
        each
        for each in bands
        if each.fault != one.band.fault
        and not each.traits.idle
        and each.targets
        and not (each.hit and each.hit <= lost and (each.traits.loses is not Loss.LINK or each.traits.apart))
        and each.life(end).end > one.at
        and each.begins < over(one)
    ]


def _mended(one: Displaced, others: Sequence[Band], limit: float, end: float) -> list[_Anew]:
    return [
        _Anew(after, after, limit, f"{each.called} on {each.where} was mended")
        for each in others
        if each.healing is not None
        for after in [each.life(end).end - one.at]
    ]


def _allowed(own: float, watched: float, more: Sequence[_Anew]) -> tuple[float, _Anew | None]:
    """Return how long after a loss work may take, all that comes in that time allowed for, and which of it came last; none where none counts."""
    allowed, last = own, None
    for each in sorted(more, key=lambda each: (each.start, each.until, each.limit)):
        if each.start < min(allowed, watched) and each.until + each.limit > allowed:
            allowed, last = each.until + each.limit, each
    return allowed, last
