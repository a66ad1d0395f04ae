"""How often members elected, and for how long nobody led."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from harness.checkers.expected import Expected
from harness.checkers.followed import Following, followings, last_below, minds, not_surely_led, surely_nobody
from harness.checkers.judging import SHOWN, Point, Report, broken, conclude, doubted, missed, plural, unknown
from harness.checkers.mandate import ELECTION, impossible_leaders, members_planned
from harness.checkers.outages import judged_time
from harness.checkers.roles import perhaps_others
from harness.checkers.troubles import by_itself, until_late
from harness.checkers.usual import calm, first_decided, no_longer
from harness.checkers.windows import Windows
from harness.core.figures import at, given, lasted
from harness.core.units import Duration, Names
from harness.history.absence import Absence
from harness.history.bands import fault_bands
from harness.history.events import History, MemberSeen
from harness.history.intervals import Interval, neat, without
from harness.history.leaders import led_by, silenced
from harness.history.reigns import Reign, reign_at, reigns

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.checkers.windows import Window
    from harness.core.values import Finding, Json
    from harness.history.absence import Away

NAMED = 3
"""Elections that are told one by one in a sentence; of more only how many there were."""


@dataclass(frozen=True, slots=True)
class Election:
    """A term that has a leader, whoever led before: one that wins again, in a higher term, was elected again.

    It was won between `since`, up to when too few members had left lower terms for a majority, and `by`, when somebody named its leader first.
    `unled` is from when the one before was not followed any more until this one was, by a majority. `doubt` says why it may not have been, or may not
    be the cluster's doing; nothing where it counts.
    """

    term: int
    leader: str
    since: float
    by: float
    unled: Interval
    doubt: str
    entries: tuple[int, ...]

    @property
    def text(self) -> str:
        """Say who won it, and when."""
        return f"{self.leader} in term {self.term} at {at(self.by)}"

    def surely_in(self, window: Window) -> bool:
        """Whether it counts for a time: it was won in it, and who led before was lost in it, too."""
        begun = min(self.since, self.unled.start)
        return not self.doubt and any(each.start <= begun and self.by <= each.end for each in window.pieces)

    def perhaps_in(self, window: Window) -> bool:
        """Whether it may have been won in a time."""
        return any(self.since <= each.end and each.start <= self.by for each in window.pieces)

    def json(self) -> Json:
        """Return it as it stands in a verdict file."""
        span: dict[str, Json] = {
            "from": neat(self.unled.start),
            "to": neat(self.unled.end),
            "length": neat(self.unled.length),
        }
        return {"term": self.term, "leader": self.leader, **span, "sure": not self.doubt}


@dataclass(frozen=True, slots=True)
class _Known:
    """All that is known of who led in a run, worked out once for all of its times."""

    members: set[str]
    every: Sequence[Reign]
    followings: Sequence[Following]
    elections: Sequence[Election]
    nobody: Sequence[Interval]  # when surely no member had a majority: no slowness kept a leader from being elected then


@dataclass(frozen=True, slots=True)
class Elections:
    """From the first fault's bite on members elected `most` times at most, and a majority was never without a leader to follow for over `longest`.

    An election is a term that has a leader, whoever led before: one that wins again, in a higher term, was elected again. Terms in which nobody won
    do not count: a vote was split, or a member that was cut off stood alone. Whoever set them off counts: a fault, its healing, or an action.

    One that a majority of the members bears out convicts. One that fewer told of, that may have been won, or set off, before that time, whose leader
    cannot have led, or that machines which stood still or had too much to do may have set off (not where a fault had taken the leader before), makes
    it unknown if it would be one too many. So does a time in which so many were not heard that they may have elected somebody without anybody's
    knowing. Elections as frequent as before anything was broken were made by no fault, nor was a time without a leader that is no longer than one was
    then and what is allowed together (`harness.checkers.usual`).

    Nobody led for as long as no majority can have followed anybody who was there, whatever those said who were not heard. That convicts, but for what
    slowness explains. Held takes more: that a majority surely followed somebody, lost to no fault and not cut off, but for `longest` at a time. Since
    it was last asked, about once a second, a member may have changed its mind at any time: so much is between the two.

    With `during` it is about the time of a fault alone, and with `outside` about what is left without one (`harness.checkers.windows`). Where that is
    no longer than `longest`, and nobody led at its end, it is unknown. A plan fills in `election`, how long one takes at most, and `slack`, how much
    longer than `longest` nobody may lead on slow machines.
    """

    name: ClassVar[str] = "elections"
    takes: ClassVar[tuple[str, ...]] = ("Quorum",)
    most: Annotated[int | None, Field(ge=0, description="a whole number of 0 or more")] = None
    longest: Duration | None = None
    election: float = ELECTION
    expected: Expected = field(default_factory=Expected)  # filled in by the plan
    during: Names = ()
    outside: Names = ()
    slack: float = 0.0

    def __post_init__(self) -> None:
        """Raise `ValueError` where nothing is asked."""
        if self.most is None and self.longest is None:
            raise ValueError("found neither most nor longest, expected one of them, or both: how often, and how long at a time")

    def check(self, history: History) -> Finding:
        """Return held, broken, or unknown; details hold the elections, and the times without a leader, with their lengths in seconds."""
        whole = judged_time(history)
        if whole is None:
            return conclude(self.name, history, [unknown("no fault was ever in force, so there is no time to judge")], "")
        known = self._known(history)
        if not any(each.led is not None for each in known.followings):
            return conclude(self.name, history, [unknown("no majority of the members was ever seen to follow a leader")], "")
        windows = Windows.of(history, self.during, self.outside, self.expected.numbers, whole)
        # The first fault may have bitten since it was decided, as any whose time is judged by itself.
        first = first_decided(history, whole.start)
        each = tuple(window if window.named else replace(window, whose="the first fault", decided=first) for window in windows.each)
        points, held, details = replace(windows, each=each).judged(lambda window: self._within(history, known, window))
        return conclude(self.name, history, points, held, details)

    def _known(self, history: History) -> _Known:
        members, voters = members_planned(history, self.expected), self.expected.voters
        absence, every = Absence.of(history, voters), reigns(history, members)
        gone = (*absence.unable, *silenced(history, fault_bands(history), voters.daemon))
        impossible = {reign.term: text for reign, text in impossible_leaders(history, every, absence.unable, self.election, self.expected)}
        found = _elections(history, members, every, gone, self.election, impossible)
        return _Known(members, every, followings(history, members, voters), found, absence.nobody)

    @property
    def _allowed(self) -> float:
        """For how many seconds at a time nobody may lead."""
        return (self.longest or 0.0) + self.slack

    def _within(self, history: History, known: _Known, window: Window) -> Report:
        """Judge one time."""
        counted = [each for each in known.elections if each.surely_in(window)]
        perhaps = [each for each in known.elections if each.perhaps_in(window) and not each.surely_in(window)]
        nobody = surely_nobody(known.followings, window.pieces)
        unled = not_surely_led(known.followings, window.pieces)
        points: list[Point] = []
        held: list[str] = []
        if self.most is not None:
            points += self._too_many(history, known, window, counted, perhaps)
            held.append(f"{_counted([*counted, *perhaps])}{' at most' if perhaps else ''} ({self.most} allowed)")
        if self.longest is not None:
            points += self._too_long(history, known, window, nobody, unled)
            most = max((each.length for each in unled), default=0.0)
            held.append(f"nobody led for {lasted(most)} at most ({given(self._allowed)} allowed)")
        told = [each for each in known.elections if each.perhaps_in(window)]
        details: dict[str, Json] = {
            "elections": [each.json() for each in told[:SHOWN]],
            "unled": [_span(each) for each in sorted(nobody, key=lambda each: -each.length)[:SHOWN]],
            "perhaps_unled": [_span(each) for each in sorted(unled, key=lambda each: -each.length)[:SHOWN]],
        }
        return Report(points, f"{' and '.join(held)} {window.when}", details)

    def _too_many(
        self, history: History, known: _Known, window: Window, counted: Sequence[Election], perhaps: Sequence[Election]
    ) -> list[Point]:
        """Judge how often members elected in a time."""
        allowed = self.most or 0
        text = f"{_counted(counted)} {window.when} ({allowed} allowed)"
        if len(counted) > allowed:
            entries = [index for each in counted for index in each.entries]
            return [doubted(broken(text, *entries), self._as_before(history, known, window, len(counted)))]
        points = []
        if len(counted) + len(perhaps) > allowed:
            why = "; ".join(f"{each.text}: {each.doubt or 'it may have been won before that, or set off'}" for each in perhaps[:NAMED])
            more = f"; and {len(perhaps) - NAMED} more" if len(perhaps) > NAMED else ""
            entries = [index for each in (*counted, *perhaps) for index in each.entries]
            points.append(unknown(f"{text}, and perhaps {why}{more}", *entries))
        if unheard := _unheard(known.followings, window):
            who = " and ".join(unheard.unheard)
            points.append(unknown(f"{text}, as far as is known: {who} may have elected from {at(unheard.time.start)} on, and nobody heard"))
        return points

    def _as_before(self, history: History, known: _Known, window: Window, found: int) -> str:
        """Say that members had elected so often by themselves before anything was broken that the rest is not too much; nothing where not so."""
        time = calm(history, app="")
        before = [each.by for each in known.elections if time.start <= each.since and each.by <= time.end]
        if not before or time.length <= 0.0:
            return ""
        at_once = max(sum(0.0 <= other - each <= window.length for other in before) for each in before)
        usual = max(at_once, math.ceil(len(before) * window.length / time.length))
        if found - usual > (self.most or 0):
            return ""
        return f"{plural(len(before), 'election')} came by themselves in the {lasted(time.length)} before anything was broken, too"

    def _too_long(
        self, history: History, known: _Known, window: Window, nobody: Sequence[Interval], unled: Sequence[Interval]
    ) -> list[Point]:
        """Judge for how long at a time nobody led: by each time in which surely nobody did, or else by the longest in which that may be."""
        allowed, said = self._allowed, f"{f', {window.named}' if window.named else ''} ({given(self._allowed)} allowed)"
        # Slowness may excuse one of them, and none of the others.
        if points := [self._leaderless(history, known, each, said) for each in nobody if each.length > allowed]:
            return sorted(points, key=lambda each: -each.by)
        longest = max(unled, key=lambda each: each.length, default=None)
        if longest is not None and longest.length > allowed:
            seen = max((each.length for each in nobody if longest.start <= each.start < longest.end), default=0.0)
            why = f"surely for {lasted(seen)}, and perhaps for {lasted(longest.length)} from {at(longest.start)}{said}"
            return [unknown(f"nobody led {why}", *_entry(known.every, longest.start))]
        still = next((each for each in unled if window.cuts(each)), None)
        if still is not None and window.longest <= allowed:
            text = f"nobody led from {at(still.start)} on{said}, and perhaps for longer than that"
            return [unknown(f"{text}: {window.short(allowed)}", *_entry(known.every, still.start))]
        return []

    def _leaderless(self, history: History, known: _Known, sure: Interval, said: str) -> Point:
        """Convict by a time in which surely nobody led, but for what was so before, or what those may have followed that nobody knows of."""
        allowed = self._allowed
        by = sure.length - allowed if without([sure], known.nobody) else math.inf
        entries = _entry(known.every, sure.start)
        point = missed(
            f"nobody led for {lasted(sure.length)} from {at(sure.start)}{said}",
            *entries,
            over=until_late(history, [sure], allowed),
            by=by,
        )
        if why := perhaps_others(history, known.members, planned=bool(self.expected.members)):
            return doubted(point, why)
        unled = not_surely_led(known.followings, [calm(history, app="")])
        before = max(unled, key=lambda each: each.length, default=Interval(0.0, 0.0))
        usual = math.isfinite(by) and no_longer(sure.length, before.length, allowed)
        return doubted(point, f"so it was for {lasted(before.length)} from {at(before.start)}, before anything was broken" if usual else "")


def _elections(
    history: History, members: set[str], every: Sequence[Reign], gone: Sequence[Away], election: float, impossible: Mapping[int, str]
) -> list[Election]:
    """Return the terms that have a leader, by anybody's word, in order."""
    named: dict[int, dict[str, tuple[float, int]]] = {}  # term → leader → when it was first named, and where that stands
    for entry, event in history.each(MemberSeen):
        if not event.error and event.leader is not None and event.term > 0:
            named.setdefault(event.term, {}).setdefault(event.leader, (entry.time, entry.index))
    agreed: dict[int, Reign] = {}
    for each in every:
        if each.leader is not None:
            agreed.setdefault(each.term, each)
    led = [each for each in led_by(every, gone) if each.leader is not None]
    said = minds(history, members)
    found: list[Election] = []
    by = math.inf
    for term, leaders in sorted(named.items(), reverse=True):
        reign = agreed.get(term)
        leader = next(iter(leaders)) if reign is None or reign.leader is None else reign.leader
        first, word = leaders[leader]
        # It was won before any of a later term was.
        until = min(by, first)
        below = sorted(last_below(said.get(node, ()), term) for node in members)
        since = min(until, below[len(members) // 2]) if below else -math.inf
        if reign is None:
            found.append(Election(term, leader, since, until, Interval(until, until), "no majority was heard to follow it", (word,)))
            continue
        by = until
        old = next((each for each in reversed(led) if each.start < reign.start and each.term != term), None)
        unled = Interval(reign.start if old is None else min(old.end, reign.start), reign.start)
        doubt = impossible.get(term, "") or _by_trouble(history, old, unled, gone, election)
        found.append(Election(term, leader, since, until, unled, doubt, tuple(dict.fromkeys((word, reign.entry)))))
    return found[::-1]


def _by_trouble(history: History, old: Reign | None, unled: Interval, gone: Sequence[Away], election: float) -> str:
    """Say what trouble of the machines' own may have made members elect; nothing where none may have, or where a fault had taken who led before."""
    if old is None:
        return ""
    if any(each.node == old.leader and each.interval.start <= old.end <= each.interval.end + election for each in gone):
        return ""
    return by_itself(history, unled, election)


def _unheard(every: Sequence[Following], window: Window) -> Following | None:
    """Return when members may have elected in a time and nobody would know: not where no term is left for that between those before and after it."""
    for number, each in enumerate(every):
        if not each.unheard or not any(each.time.start < piece.end and piece.start < each.time.end for piece in window.pieces):
            continue
        before = next((other.led for other in reversed(every[:number]) if other.led is not None), None)
        after = next((other.led for other in every[number:] if other.led is not None), None)
        # The election of who leads in the next term is counted by itself.
        if before is None or after is None or (before != after and after[0] != before[0] + 1):
            return each
    return None


def _counted(elections: Sequence[Election]) -> str:
    told = ", ".join(each.text for each in elections[:NAMED])
    more = f" and {len(elections) - NAMED} more" if len(elections) > NAMED else ""
    return f"{plural(len(elections), 'election')}{f' ({told}{more})' if told else ''}"


def _entry(every: Sequence[Reign], time: float) -> tuple[int, ...]:
    """Return the line from which on somebody was followed, or nobody, at some moment; or the first that says anything of that."""
    reign = reign_at(every, time) or every[0]
    return (reign.entry,)


def _span(time: Interval) -> Json:
    return {"from": neat(time.start), "to": neat(time.end), "length": neat(time.length)}
