"""Whom a majority of the members surely followed, and when surely nobody led: by what each of them is known to have said, and until when. Pure."""

from __future__ import annotations

import bisect
import itertools
import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.checkers.troubles import UNHEARD
from harness.core.values import NodeState
from harness.history.absence import Absence
from harness.history.bands import fault_bands
from harness.history.events import MemberSeen, Watching
from harness.history.intervals import Interval, common, node_spans, united, without
from harness.history.leaders import silenced

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from harness.history.absence import Voters
    from harness.history.events import History

Word = tuple[int, str | None]
"""A term, and the leader that a member follows in it; None where it follows nobody."""


@dataclass(frozen=True, slots=True)
class Mind:
    """What a member may have said in a stretch of time: one word where it is known, and two while it passed from one to the next."""

    time: Interval
    may: frozenset[Word]

    @property
    def word(self) -> Word | None:
        """What it surely said; None where that is not known."""
        return next(iter(self.may)) if len(self.may) == 1 else None


@dataclass(frozen=True, slots=True)
class Following:
    """A stretch in which nothing changed of what is known of all members.

    `led` is the term and the leader that a majority surely followed, None where that is not sure. `nobody`: no majority can have followed anybody who
    was there. `unheard` are members that were not heard, where they were enough to elect somebody of whom nobody else would know; else it is empty.
    """

    time: Interval
    led: tuple[int, str] | None
    nobody: bool
    unheard: tuple[str, ...]


def minds(history: History, members: Collection[str]) -> Mapping[str, Sequence[Mind]]:
    """Return what each member said, in order. Where nothing is told it was not heard.

    A word stands until the next one if the observer went on asking. Where the next one is another, the member may have changed its mind at any time
    since it was last asked. One that knew of no term, or gave no answer, said nothing; so did one whose machine was off, until it spoke again.
    """
    named = frozenset(members)
    return history.once((minds, named), lambda: _minds(history, named))


def _minds(history: History, members: frozenset[str]) -> dict[str, list[Mind]]:
    words: dict[str, list[tuple[float, MemberSeen]]] = {node: [] for node in sorted(members)}
    beats: dict[str, list[float]] = {node: [] for node in words}
    for entry, event in history.each(MemberSeen):
        if event.node in words:
            words[event.node].append((entry.time, event))
    for entry, beat in history.each(Watching):
        if beat.node in beats and beat.observer == "membership" and beat.alive:
            beats[beat.node].append(entry.time)
    # Observers end with the run: the last word stands for as long as they surely went on.
    ends = {node: max(history.observed, *(time for time, _ in said[-1:]), *beats[node][-1:], 0.0) for node, said in words.items()}
    return {node: _joined(_mind(said, beats[node], _off(history, node), ends[node])) for node, said in words.items()}


def _joined(pieces: Iterator[Mind]) -> list[Mind]:
    """Join what touches and is alike: who is asked once a second says the same for hours."""
    found: list[Mind] = []
    for each in pieces:
        if found and found[-1].time.end == each.time.start and found[-1].may == each.may:
            found[-1] = Mind(Interval(found[-1].time.start, each.time.end), each.may)
        else:
            found.append(each)
    return found


def _mind(said: Sequence[tuple[float, MemberSeen]], beats: Sequence[float], off: Sequence[Interval], end: float) -> Iterator[Mind]:
    for number, (time, event) in enumerate(said):
        following = said[number + 1] if number + 1 < len(said) else None
        until = end if following is None else following[0]
        # A machine that went off takes the word with it.
        gone = min((each.start for each in off if time <= each.start < until), default=math.inf)
        word = _word(event)
        if word is None:
            continue
        until = min(until, gone)
        then = _word(following[1]) if following is not None and gone == math.inf else None
        stays = (following is None and gone == math.inf) or then == word
        heard = [time, *beats[bisect.bisect_right(beats, time) : bisect.bisect_left(beats, until)], *([until] if stays else [])]
        yield from (
            Mind(Interval(early, late), frozenset({word}))
            for early, late in itertools.pairwise(heard)
            if early < late and late - early <= UNHEARD
        )
        if then is not None and not stays and 0.0 < until - heard[-1] <= UNHEARD:
            yield Mind(Interval(heard[-1], until), frozenset({word, then}))


def _word(event: MemberSeen) -> Word | None:
    """Return what a member said; None where it gave no answer, or knew of no term."""
    return None if event.error or event.term <= 0 else (event.term, event.leader)


def _off(history: History, node: str) -> list[Interval]:
    return united(span.interval for span in node_spans(history).get(node, ()) if span.state is NodeState.OFF)


def followings(history: History, members: Collection[str], voters: Voters) -> Sequence[Following]:
    """Return who was surely followed, and when surely nobody, without holes, for all of a history. Worked out once for each set of members."""
    named = frozenset(members)
    return history.once((followings, named, voters), lambda: list(_followings(history, named, voters)))


def _followings(history: History, members: frozenset[str], voters: Voters) -> Iterator[Following]:
    known, majority = minds(history, members), len(members) // 2 + 1
    absence = Absence.of(history, voters)
    unable = absence.unable
    off = {node: _off(history, node) for node in sorted(members)}
    # Who was lost to a fault in force has no majority, heard or not. One that a supervisor started again may have been away.
    away = {node: [*off[node], *(each.interval for each in unable if each.node == node)] for node in off}
    dead = {node: [*off[node], *(each.interval for each in unable if each.node == node and not each.cut)] for node in off}
    restarted = silenced(history, fault_bands(history), voters.daemon)
    perhaps_away = {node: (*away[node], *absence.when(node), *(each.interval for each in restarted if each.node == node)) for node in off}
    # And who was away may know nothing of its term until it is heard again: others still name it by what they remember.
    doubtful = {node: [_until_heard(each, known[node]) for each in pieces] for node, pieces in perhaps_away.items()}
    every = [*(each.time for pieces in known.values() for each in pieces), *(each for pieces in doubtful.values() for each in pieces)]
    edges = sorted({0.0, history.end, *(edge for each in every for edge in (each.start, each.end) if 0.0 <= edge <= history.end)})
    starts = {node: [each.time.start for each in pieces] for node, pieces in known.items()}
    # Until when each leader surely said so itself: those who follow one that is gone name it until they notice.
    itself = {
        each.word: each.time.end for node, pieces in known.items() for each in pieces if each.word is not None and each.word[1] == node
    }
    for early, late in itertools.pairwise(edges):
        then = (early + late) / 2.0
        may = {node: _at(known[node], starts[node], then) for node in off}
        gone, lost, perhaps = ({node for node in off if any(each.holds(then) for each in of[node])} for of in (away, dead, doubtful))
        unheard = tuple(node for node, words in may.items() if not words and node not in gone)
        votes = Counter(leader for words in may.values() for leader in {leader for _, leader in words if leader is not None})
        # Of one that is said to be dead, and names itself, the word counts.
        followed = {leader for leader in votes if leader not in lost or any(leader == each for _, each in may.get(leader, ()))}
        most = max((votes[leader] for leader in followed), default=0)
        led = _led(may, perhaps, majority)
        yield Following(
            Interval(early, late),
            led if led is not None and then < itself.get(led, -math.inf) else None,
            most + len(unheard) < majority,
            unheard if len(unheard) >= majority else (),
        )


def _until_heard(away: Interval, said: Sequence[Mind]) -> Interval:
    """Return a time in which a member was away, and that until its next word."""
    return Interval(away.start, max(away.end, min((each.time.start for each in said if each.time.end > away.end), default=math.inf)))


def _at(pieces: Sequence[Mind], starts: Sequence[float], time: float) -> frozenset[Word]:
    number = bisect.bisect_right(starts, time) - 1
    return pieces[number].may if number >= 0 and time < pieces[number].time.end else frozenset()


def _led(may: Mapping[str, frozenset[Word]], away: Collection[str], majority: int) -> tuple[int, str] | None:
    """Return the term and the leader that a majority surely follows; None where it may not have been so, or that one was away, or may deny it."""
    sure = {node: next(iter(words)) for node, words in may.items() if len(words) == 1 and node not in away}
    votes = Counter((term, leader) for term, leader in sure.values() if leader is not None)
    led = max((each for each, count in votes.items() if count >= majority), default=None)
    if led is None or led[1] not in may or led[1] in away or may[led[1]] - {led}:
        return None
    return led


def not_surely_led(every: Sequence[Following], within: Sequence[Interval]) -> list[Interval]:
    """Return the stretches of some time in which it is not sure that anybody led."""
    return without(within, [each.time for each in every if each.led is not None])


def surely_nobody(every: Sequence[Following], within: Sequence[Interval]) -> list[Interval]:
    """Return the stretches of some time in which surely nobody led."""
    return common(within, [each.time for each in every if each.nobody])


def last_below(pieces: Sequence[Mind], term: int) -> float:
    """Return until when a member was surely in a lower term than this; infinitely long ago where it was never heard to be."""
    reached = min((each.time.start for each in pieces if each.word is not None and each.word[0] >= term), default=math.inf)
    below = (each.time.end for each in pieces if each.word is not None and each.word[0] < term and each.time.start < reached)
    return max(below, default=-math.inf)
