"""Who leads while a fault is in force: leadership moves, or it stays where it was, and nobody leads for no longer than an election takes."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from harness.checkers.expected import Expected
from harness.checkers.judging import Point, Report, doubted, missed, too_short, unknown
from harness.checkers.mandate import members_planned
from harness.checkers.roles import not_all_along, perhaps_others, unheard_members
from harness.checkers.troubles import by_itself, until_late
from harness.checkers.usual import calm, no_longer
from harness.core.figures import at, lasted
from harness.core.traits import DISK
from harness.core.values import Loss, NodeState
from harness.history.absence import Away
from harness.history.bands import OFF_LATE, Band, biting, fault_bands, surely_since
from harness.history.deeds import deeds, down
from harness.history.events import History, MemberSeen, Watching
from harness.history.intervals import Interval, Span, common, span_at, united, without
from harness.history.leaders import led_by
from harness.history.reigns import Leadership, Reign, reign_at

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from harness.checkers.disturbance import Disturbance

OFTEN = 0.25
"""How many moves of leadership are to be expected in some time, by how many there were before, from which on one is no sign of a fault."""

POLL = 1.0
"""Seconds without a leader that are worth a word: members are asked about so often."""


@dataclass(frozen=True, slots=True)
class Promised:
    """What is promised of leadership, how long the members may take to elect, and who they are."""

    leader: Literal["moves", "stays"]
    election: float
    expected: Expected


@dataclass(frozen=True, slots=True)
class _Bite:
    """One fault, from its bite until its healing begins, and all that is asked about who led meanwhile.

    `old` is the reign in which it was decided, `every` says whom a majority followed when, and `gone` who surely could not lead.
    """

    promised: Promised
    history: History
    band: Band
    old: Reign
    taking: Interval  # from the first target that is taken to the last one
    until: float  # when healing begins
    spans: Mapping[str, Sequence[Span]]
    every: Sequence[Reign]
    gone: Sequence[Away]
    disturbed: Disturbance
    nobody: Sequence[Interval]  # when surely no member had a majority

    @property
    def bitten(self) -> Interval:
        """From the first target that is taken on."""
        return Interval(self.taking.start, max(self.taking.start, self.until))

    @property
    def all_taken(self) -> Interval:
        """From the last target that is taken on."""
        return Interval(self.taking.end, max(self.taking.end, self.bitten.end))

    @property
    def where(self) -> str:
        """What was so meanwhile."""
        return f"{self.band.name} bit {self.band.where}"

    @property
    def moves(self) -> list[tuple[Reign, Reign]]:
        """Who led, and who led next, from its decision on. What is so from the moment on in which healing began is not what the fault did."""
        during = [each for each in self.every if each.end > self.band.begins and each.start < self.bitten.end]
        led = [self.old, *(reign for reign in during if reign.leader is not None)]
        return [(early, late) for early, late in itertools.pairwise(led) if early.leader != late.leader]

    @property
    def empty(self) -> list[tuple[Reign, Interval]]:
        """In which stretches no majority followed anybody, once all was lost."""
        nobody = [reign for reign in self.every if reign.leader is None]
        return [(reign, part) for reign in nobody for part in common([Interval(reign.start, reign.end)], [self.all_taken])]

    def took(self, old: Reign) -> bool:
        """Whether a leadership ended since the fault took its leader away by itself."""
        return _takes(self.band, old.leader, self.promised.expected.voters.daemon) and old.end >= self.taking.start

    def struck(self, old: Reign) -> bool:
        """Whether a leader was lost whose member the fault had hit, before an election was over since: that is its doing, whatever else there was.

        A fault on its node that takes another daemon does nothing to it.
        """
        traits, member = self.band.traits, self.promised.expected.voters.daemon
        hits = traits.loses in {Loss.NODE, Loss.LINK} or bool({member, DISK} & {*traits.parts})
        return hits and old.leader in self.band.targets and 0.0 <= old.end - self.taking.start <= self.promised.election

    def unled(self, gone: Sequence[Away]) -> list[Interval]:
        """Return when nobody led, once all was lost, where these could not lead."""
        nobody = [Interval(each.start, each.end) for each in led_by(self.every, gone) if each.leader is None]
        return common([self.all_taken], nobody)


def judge_leadership(
    promised: Promised,
    history: History,
    band: Band,
    spans: Mapping[str, Sequence[Span]],
    every: Sequence[Reign],
    gone: Sequence[Away],
    disturbed: Disturbance,
    nobody: Sequence[Interval] = (),
) -> Report:
    """Judge what became of leadership under one fault; `every` says whom a majority followed when, and `gone` who surely could not lead.

    `nobody` are the times in which surely no member had a majority: no slowness kept a leader from being elected then.
    """
    held = band.held(history.end)
    old = reign_at(every, band.begins)
    if held is None or old is None or old.leader is None:
        return Report([unknown(f"who led when {band.name} was decided is not known")])
    bite = _Bite(promised, history, band, old, biting(band, spans), held.end, spans, every, gone, disturbed, nobody)
    heard = _heard(history, bite.bitten)
    points = _leaderless_points(bite) if heard else []
    over_long = _unable_for_long(bite) if heard and not points else ""
    if bite.moves:
        return _moved(bite, points, over_long)
    if not heard:
        return Report([unknown(f"no member answered while {bite.where}")])
    if points:
        return Report(points)
    stayed = _stayed(bite)
    doubts = [unknown(over_long, *_followed(history, old, bite.bitten), *band.entries)] if over_long else []
    return replace(stayed, points=stayed.points or doubts)


def _leaderless_points(bite: _Bite) -> list[Point]:
    """Judge every stretch without a leader by itself: for as long as an election takes nobody may lead, once all is lost.

    What another one sets off meanwhile is an election of its own, and begins anew.
    """
    points = []
    for reign, part in [(reign, piece) for reign, whole_part in bite.empty for piece in bite.disturbed.quiet(whole_part)]:
        if part.length > bite.promised.election:
            when = "in the last" if part.end == bite.bitten.end else f"from {at(part.start)} for"
            text = f"no majority followed a leader {when} {lasted(part.length)} while {bite.where}; {bite.old.leader} led before"
            points.append(_leaderless(bite, text, reign, part))
    # What is done beside it, or goes on for long, excuses, and shows nothing.
    for reign, part in [(reign, piece) for reign, each in bite.empty for piece in bite.disturbed.quiet(each, surely=True)]:
        election, why = bite.promised.election, bite.disturbed.why(part)
        if why and part.length > election and all(each.length <= election for each in bite.disturbed.quiet(part)):
            text = f"no majority followed a leader from {at(part.start)} for {lasted(part.length)} while {bite.where}"
            points.append(unknown(f"{text}; but {why}", reign.entry))
    return points


def _moved(bite: _Bite, points: list[Point], over_long: str) -> Report:
    """Judge a leadership that moved."""
    others = [_too_early(bite, move) or _in_doubt(bite, move) for move in bite.moves]
    # One that is surely its own is enough.
    (early, new), doubt = next((each for each in zip(bite.moves, others, strict=True) if not each[1]), (bite.moves[0], others[0]))
    if over_long:
        points.append(unknown(over_long, bite.old.entry))
    start = bite.bitten.start
    after = lasted(max(0.0, new.start - start))
    moved = f"leadership moved from {early.leader} to {new.leader} {after} after {bite.band.name} began to bite"
    if _too_early(bite, (early, new)):
        points.insert(0, unknown(doubt, new.entry))
    elif doubt:
        points.insert(0, unknown(f"{moved}; but {doubt}", new.entry))
    elif bite.promised.leader == "stays":
        # Whom the fault takes has lost it to that, however slow the machine is.
        lost = None if bite.took(early) else Interval(early.end, max(early.end, new.start))
        points.insert(0, missed(moved, new.entry, over=[Interval(start, max(start, new.start))], itself=lost))
    told = _nobody_led(bite.unled(bite.gone))
    return Report(points, f"{moved}; {told}" if told else moved)


def _heard(history: History, over: Interval) -> bool:
    """Whether a member was heard of at all. They may be recorded only when something changes: the observer's word that it goes on asking counts."""
    return any(over.holds(entry.time) and not event.error for entry, event in history.each(MemberSeen)) or any(
        over.holds(entry.time) and event.alive and event.observer == "membership" for entry, event in history.each(Watching)
    )


def _unable_for_long(bite: _Bite) -> str:
    """Say that somebody was followed who could not lead, for longer than an election takes; nothing where it was not so long.

    For so long nobody waits for one that is cut off, either.
    """
    nobody = bite.unled([replace(each, cut=False) for each in bite.gone])
    longest = max((part for each in nobody for part in bite.disturbed.quiet(each, surely=True)), key=lambda each: each.length, default=None)
    if longest is None or longest.length <= bite.promised.election:
        return ""
    followed = next((each.leader for each in bite.every if each.end > longest.start and each.leader), None)
    told = f"nobody led for {lasted(longest.length)} from {at(longest.start)} while {bite.where}"
    return f"{told}, though {followed} was still followed: it could not lead"


def _too_early(bite: _Bite, move: tuple[Reign, Reign]) -> str:
    """Say of a leadership that moved, and was lost before the fault is known to have bitten, that it may not be the fault's doing; else nothing."""
    old, new = move
    since = surely_since(bite.band, bite.spans)
    # That the leader's own machine is off node truth may say later than it is so.
    machine = bite.band.traits.loses is Loss.NODE and old.leader in bite.band.lost
    if old.end >= since - (OFF_LATE if machine else 0.0):
        return ""
    moved = f"leadership moved from {old.leader} to {new.leader} at {at(new.start)}"
    return f"{moved}, and nobody knows whether {bite.band.name} had bitten before {at(since)}"


def _in_doubt(bite: _Bite, move: tuple[Reign, Reign]) -> str:
    """Say why it is not known whether this fault moved leadership: what else may have, or that it moved before, too; nothing where it did."""
    what = _set_off_by(bite, move)
    return f"{what}, which may have moved it" if what else _moved_before(bite, move[0])


def _moved_before(bite: _Bite, old: Reign) -> str:
    """Say that leadership had moved by itself in as long a time before anything was broken; nothing where it had not, or where the fault took it.

    Or that it had again and again, and so `OFTEN` that one more move in as long a time is no sign of anything. It might have moved as well where the
    same member won it again, in a later term.
    """
    if bite.took(old):
        return ""
    time, long = calm(bite.history, app=""), max(bite.bitten.length, bite.promised.election)
    led = [each for each in bite.every if each.leader is not None and each.start < time.end]
    lost = [(early, late) for early, late in itertools.pairwise(led) if (early.term, early.leader) != (late.term, late.leader)]
    lost = [each for each in lost if each[1].start > time.start]
    often = len(lost) > 1 and len(lost) * long >= OFTEN * time.length
    for early, late in lost:
        if often or late.start > time.end - long:
            moved = (
                f"{late.leader} had won it anew" if early.leader == late.leader else f"it had moved from {early.leader} to {late.leader}"
            )
            more = f", the first of {len(lost)} times" if often else ""
            return f"{moved} at {at(late.start)}{more}, before anything was broken, too"
    return ""


def _set_off_by(bite: _Bite, move: tuple[Reign, Reign]) -> str:
    """Say what else may have moved leadership, so that it is not known whether this fault did: another, or machines that ailed; nothing where it did.

    What machines do excuses a leadership that was to stay elsewhere (`missed`).
    """
    old, new = move
    # It was lost before another was elected.
    others = bite.disturbed.may_have_set_off(old.end)
    if bite.promised.leader == "moves":
        if gone := _gone_before(bite, old.leader):
            return gone
        if bite.took(old) or others:
            return others[0].what if others and not bite.took(old) else ""
        lost = Interval(old.end, max(old.end, new.start))
        return "" if bite.struck(old) else by_itself(bite.history, lost, bite.promised.election)
    return next(
        (each.what for each in others if not (each.judged and each.band and _answers_for(each.band, move, bite.every, bite.history.end))),
        "",
    )


def _gone_before(bite: _Bite, leader: str | None) -> str:
    """Say why a leader may have been gone when the fault bit; nothing where it was there. Followers name one for an election after it is gone."""
    history, member, decided, bitten = bite.history, bite.promised.expected.voters.daemon, bite.band.begins, bite.taking.start
    stopped = down(deeds(history), history.end).get((leader or "", member), [])
    if since := [each.start for each in stopped if each.start < bitten and each.end > decided]:
        return f"{member} on {leader} was stopped, or may have been, from {at(min(since))} on"
    words = [(entry.time, bool(event.error)) for entry, event in history.each(MemberSeen) if event.node == leader]
    for other in fault_bands(history):
        life = other.life(history.end)
        before = (life.start, other.fault) < (decided, bite.band.fault) and life.end >= decided
        heard = other.in_force is not None and any(not mute and other.in_force < time <= decided for time, mute in words)
        if before and other.was_there and _takes(other, leader, member) and not (other.traits.in_place and heard):
            return f"{leader} was lost to {other.name}, or may have been, from {at(life.start)} on"
    last = max((each for each in words if each[0] <= decided), default=(0.0, False))
    return f"{leader} gave no answer any more at {at(last[0])}" if last[1] else ""


def _answers_for(band: Band, move: tuple[Reign, Reign], every: Sequence[Reign], end: float) -> bool:
    """Whether a move is held against another fault as well: then that is no excuse, since leadership was to stay for either."""
    held, led = band.held(end), reign_at(every, band.begins)
    old, new = move
    return held is not None and new.start < held.end and led is not None and led.leader == old.leader


def _takes(band: Band, leader: str | None, member: str) -> bool:
    """Whether a fault takes a leader away by itself."""
    return leader in band.lost and (band.traits.loses is not Loss.PROCESS or member in band.traits.parts)


def strange(
    promised: Promised, band: Band, every: Sequence[Reign], impossible: Sequence[tuple[Reign, str]], end: float
) -> list[tuple[Reign, str]]:
    """Return the reigns that cannot have been and that count for a fault: its leader stays nobody's leader, so that it moved nowhere all the same."""
    life, old = band.life(end), reign_at(every, band.begins)
    before = (old.term, old.leader) if old is not None and promised.leader == "moves" else None
    return [
        (reign, text)
        for reign, text in impossible
        if reign.start < life.end and reign.end > life.start and (reign.term, reign.leader) != before
    ]


def _nobody_led(parts: Sequence[Interval]) -> str:
    """Say for how long no majority followed anybody; nothing of moments that are shorter than members are asked."""
    notable = [part for part in parts if part.length >= POLL]
    if not notable:
        return ""
    longest = max(notable, key=lambda part: part.length)
    more = f", the longest of {len(notable)} times" if len(notable) > 1 else ""
    return f"nobody led for {lasted(longest.length)} from {at(longest.start)}{more}"


def _leaderless(bite: _Bite, text: str, nobody: Reign, silent: Interval) -> Point:
    """Judge a time in which no majority was seen to follow a leader: members that could not be asked may have followed one.

    The longest part of it counts in which enough of them could be asked, and so of the times before anything was broken.
    """
    history, election = bite.history, bite.promised.election
    members = members_planned(history, bite.promised.expected)
    if missing := perhaps_others(history, members, planned=bool(bite.promised.expected.members)):
        return unknown(f"{text}; but {missing}", nobody.entry)
    sure, mute = _surely(bite, members, silent)
    if mute and sure.length <= election:
        return unknown(f"{text}; but {', '.join(mute)} could not be asked, or had not heard of it yet", nobody.entry)
    by = sure.length - election if without([sure], bite.nobody) else math.inf
    unled = common([calm(history, app="")], [Interval(each.start, each.end) for each in bite.every if each.leader is None])
    before = max((_surely(bite, members, each)[0] for each in unled), key=lambda each: each.length, default=Interval(0.0, 0.0))
    usual = math.isfinite(by) and no_longer(sure.length, before.length, election)
    why = f"so it did for {lasted(before.length)} from {at(before.start)}, before anything was broken" if usual else ""
    return doubted(missed(text, nobody.entry, over=until_late(history, [sure], election), by=by), why)


def _surely(bite: _Bite, members: set[str], silent: Interval) -> tuple[Interval, list[str]]:
    """Return the longest part of a time without a leader in which enough members could be asked, and those that could not in the rest."""
    history, spans, lost = bite.history, bite.spans, {*bite.disturbed.lost(silent)}
    gaps = {node: pieces for node, pieces in unheard_members(history, members, spans).items() if node in members - lost}
    edges = {entry.time for entry, _ in history.each(MemberSeen)}
    edges |= {time for pieces in (*gaps.values(), [span.interval for each in spans.values() for span in each]) for time in _ends(pieces)}
    marks = [silent.start, *sorted(time for time in edges if silent.start < time < silent.end), silent.end]
    doubts = [(Interval(*pair), _unasked(history, Interval(*pair), members, lost, gaps, spans)) for pair in itertools.pairwise(marks)]
    sure = max(united(piece for piece, mute in doubts if not mute), key=lambda each: each.length, default=Interval(silent.end, silent.end))
    return sure, sorted({name for _, names in doubts for name in names})


def _followed(history: History, reign: Reign, over: Interval) -> list[int]:
    """Return the words that say that somebody led all along: those on which its reign stands, and the last ones that its followers said of it."""
    words = {
        event.node: entry.index
        for entry, event in history.each(MemberSeen)
        if entry.time <= over.end and (event.term, event.leader) == (reign.term, reign.leader) and not event.error
    }
    return sorted({reign.entry, *words.values()})


def _ends(pieces: Sequence[Interval]) -> list[float]:
    return [time for piece in pieces for time in (piece.start, piece.end)]


def _unasked(
    history: History,
    piece: Interval,
    members: set[str],
    lost: set[str],
    gaps: Mapping[str, Sequence[Interval]],
    spans: Mapping[str, Sequence[Span]],
) -> set[str]:
    """Return the members whose word is missing in a stretch without any news, if with them there may have been a leader; else nobody.

    Missing is the word of one that gave no answer, that nobody listened to since, or that knew of no term; and of those who followed the same one in
    an earlier term than others, since what they say lags.
    """
    mute = _mute(history, piece.start, members, spans) - lost
    last = {event.node: event for entry, event in history.each(MemberSeen) if entry.time <= piece.start}
    # What a member said last is no word of it any more when nobody has listened to it since.
    deaf = {node for node, pieces in gaps.items() if common(pieces, [piece])}
    unknown_of = mute | deaf | (members - set(last)) | {node for node, event in last.items() if not event.error and event.term <= 0}
    words = {node: event for node, event in last.items() if event.leader is not None and node not in {*lost, *unknown_of}}
    leader, votes = next(iter(Counter(event.leader for event in words.values()).most_common(1)), (None, 0))
    if votes + len(unknown_of) <= len(members) // 2:
        return set()
    newest = max((event.term for event in words.values() if event.leader == leader), default=0)
    return unknown_of | {node for node, event in words.items() if event.leader == leader and event.term < newest}


def _mute(history: History, time: float, members: set[str], spans: Mapping[str, Sequence[Span]]) -> set[str]:
    """Return the members that had given no answer at some time, last or ever, and whose machines were not off: whom they follow is not known."""
    last = {event.node: event for entry, event in history.each(MemberSeen) if entry.time <= time}
    off = {node for node, pieces in spans.items() if (span := span_at(pieces, time)) and span.state is NodeState.OFF}
    never = members - set(last)
    return ({node for node, event in last.items() if event.error} | never) - off


def _deaf(history: History, expected: Expected, over: Interval, spans: Mapping[str, Sequence[Span]]) -> str:
    """Say that who led stands on the word of members that were not listened to all along: they may have changed their minds; nothing otherwise."""
    members = members_planned(history, expected)
    deaf = not_all_along(history, members, over, spans)
    heard = len(members) - len(deaf) > len(members) // 2
    return "" if not deaf or (heard and not _leans(history, members, over, deaf)) else f"nobody listened to {' and '.join(deaf)} all along"


def _leans(history: History, members: set[str], over: Interval, deaf: Collection[str]) -> bool:
    """Whether at some moment a majority followed somebody only if what these said last still counts."""
    leadership, leans = Leadership(members), False
    for entry in history.entries:
        if entry.time > over.end:
            break
        if entry.time > over.start and leans:
            return True
        if leadership.hear(entry.event):
            leans = leadership.agreed()[1] is not None and leadership.agreed(but=deaf)[1] is None
    return leans


def _stayed(bite: _Bite) -> Report:
    """Judge a leadership that was seen to move nowhere."""
    promised, bitten, leader = bite.promised, bite.bitten, bite.old.leader
    entries = (*_followed(bite.history, bite.old, bitten), *bite.band.entries)
    stayed = f"leadership stayed with {leader} for all the {lasted(bitten.length)} while {bite.where}"
    if told := _nobody_led(bite.unled(bite.gone)):
        stayed = f"no other than {leader} led in the {lasted(bitten.length)} while {bite.where}; {told}"
    # To move it takes an election after the last target is lost: that one may be the leader.
    if bitten.end - (bite.taking.end if promised.leader == "moves" else bitten.start) < promised.election:
        return Report([unknown(f"{stayed}: {too_short(promised.election)}", *entries)])
    nothing = Interval(bite.taking.end, bite.taking.end)
    quiet = max(bite.disturbed.quiet(bite.all_taken), key=lambda each: each.length, default=nothing)
    if promised.leader == "moves" and quiet.length < promised.election:
        return Report([unknown(f"{stayed}, and other faults leave {lasted(quiet.length)} of that for an election at most", *entries)])
    reign, last = bite.empty[-1] if bite.empty else (bite.old, nothing)
    if promised.leader == "moves" and bite.empty and last.end == bitten.end:
        text = f"no majority followed a leader in the last {lasted(last.length)} while {bite.where}"
        return Report([unknown(f"{text}: {too_short(bitten.length - last.length + promised.election)}", reign.entry)])
    if deaf := _deaf(bite.history, promised.expected, bitten, bite.spans):
        return Report([unknown(f"{stayed}, as far as is known: {deaf}", *entries)])
    if promised.leader == "stays":
        return Report([], stayed)
    return Report([missed(stayed, *entries, over=[quiet], by=quiet.length - promised.election)])
