"""Who can have spoken for a quorum, and when: answers, and leaders, of whom node truth or a fault says that they had none."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.core.figures import at, lasted
from harness.core.values import CallStream
from harness.history.absence import IN_FLIGHT, ON_ITS_WAY
from harness.history.calls import ops
from harness.history.events import MemberSeen, Watching, Wholeness
from harness.history.intervals import Interval, common, without
from harness.history.reigns import members_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.checkers.expected import Expected
    from harness.history.absence import Away
    from harness.history.calls import Op
    from harness.history.events import History
    from harness.history.intervals import Span
    from harness.history.reigns import Reign

ELECTION = 10.0
"""Seconds allowed for an election, and the longest time without an acknowledged write after it, where no plan says otherwise.

Ten election timeouts of etcd at its default of 1 s: several split votes in a row fit into it.
"""


def members_planned(history: History, expected: Expected | None = None) -> set[str]:
    """Return the members of the quorum: those that must be heard of, or, where the plan does not know them, of whom membership was watched."""
    return members_of(history, expected.members if expected else ())


@dataclass(frozen=True, slots=True)
class Impossible:
    """A good answer of the quorum by somebody who cannot have given it. `stranger`: it is no member at all, or nobody."""

    op: Op
    text: str
    kind: str  # the same for all that are alike
    stranger: bool
    cut: bool


def impossible_answers(
    history: History, every: Sequence[Away], spans: Mapping[str, Sequence[Span]], expected: Expected, election: float
) -> list[Impossible]:
    """Return the good answers of the quorum, to writes and reads, by who cannot have given them, in the order of their calls.

    Both are agreed on by a majority. Only a member that led, and was cut off, may go on reading from the past until it steps down, which takes an
    election at most. Answers of nobody count only where the run says whether it was whole: before that was recorded some had no name.
    """
    known = members_planned(history, expected) or set(spans)
    named = any(history.each(Wholeness))
    of: dict[str, list[Away]] = {}
    for each in every:
        of.setdefault(each.node, []).append(each)
    found = []
    for op in ops(history, CallStream.QUORUM):
        if not op.ok or op.ended is None:
            continue
        what = f"a {op.call.function} of {op.call.key} was answered well by {op.by or 'nobody'} at {at(op.ended)}"
        if not op.by or op.by not in known:
            if named or op.by:
                text = f"{what}, and every good answer is by a member" if not op.by else f"{what}, which is no member"
                found.append(Impossible(op, text, op.by or "", stranger=True, cut=False))
            continue
        for each in of.get(op.by, ()):
            late = election if each.cut and op.call.function != "write" else 0.0
            if each.interval.start + max(ON_ITS_WAY, late) < op.begun and op.ended < each.interval.end:
                text = f"{what}, when {op.by} {each.why}"
                found.append(Impossible(op, text, f"{op.by} {each.why}", stranger=False, cut=each.cut))
                break
    return found


def impossible_leaders(
    history: History, every: Sequence[Reign], gone: Sequence[Away], election: float, expected: Expected | None = None
) -> list[tuple[Reign, str]]:
    """Return the reigns that cannot have been, each with the reason: what followers say is no more than their word.

    The leader is no member; it has no majority for longer than an election takes, after which its followers know; it was elected while it
    had none; or its own word is for so long that it does not lead then.
    """
    known = members_planned(history, expected)
    found = []
    for reign in every:
        why = "" if reign.leader is None else _not_leading(history, reign, known, gone, election)
        if why:
            found.append((reign, f"a majority followed {reign.leader} in term {reign.term} from {at(reign.start)}, {why}"))
    return found


def self_made(history: History, gone: Sequence[Away]) -> list[tuple[MemberSeen, int, str]]:
    """Return the words of members that were lost which name one that was cut off as the leader of a term that began meanwhile, with the reason.

    A leader that is cut off goes on leading in its old term by its own word; to lead in a new one takes a majority, which it cannot have had.
    """
    first: dict[tuple[int, str], float] = {}
    for entry, event in history.each(MemberSeen):
        if not event.error and event.leader is not None:
            first.setdefault((event.term, event.leader), entry.time)
    found = []
    for entry, event in history.each(MemberSeen):
        if event.error or event.leader is None:
            continue
        since = first[event.term, event.leader]
        for each in gone:
            early, late = each.interval.start + IN_FLIGHT, each.interval.end
            if not (each.cut and each.node == event.leader and early < since <= entry.time < late):
                continue
            said = any(other.node == event.node and other.interval.holds(entry.time) for other in gone)
            if said and event.term > _known_term(history, each):
                who = "itself" if event.node == event.leader else event.leader
                text = f"{event.node} named {who} the leader of term {event.term} at {at(entry.time)}, when {event.leader} {each.why}"
                found.append((event, entry.index, text))
                break
    return found


def _known_term(history: History, gone: Away) -> int:
    """Return the latest term that anybody knew when a node was lost."""
    words = (event.term for entry, event in history.each(MemberSeen) if entry.time <= gone.interval.start + ON_ITS_WAY)
    return max(words, default=0)


def _not_leading(history: History, reign: Reign, known: set[str], gone: Sequence[Away], election: float) -> str:
    if reign.leader not in known:
        return "which is no member"
    time = Interval(reign.start, reign.end)
    for each in gone:
        if each.node != reign.leader:
            continue
        if reign.term > _known_term(history, each) and each.interval.start + IN_FLIGHT < reign.start < each.interval.end:
            return f"when it {each.why}"
        if longest := max((part.length for part in common([time], [each.interval]) if part.length > election), default=0.0):
            return f"and for {lasted(longest)} of that it {each.why}"
    longest = max((part.length for part in common([time], _denied(history, reign))), default=0.0)
    return f"and for {lasted(longest)} of that it said itself that it did not lead" if longest > election else ""


def _denied(history: History, reign: Reign) -> list[Interval]:
    """Return when the own word of a reign's leader was that it does not lead in that term, as long as it could be asked."""
    own = [(entry.time, event) for entry, event in history.each(MemberSeen) if event.node == reign.leader]
    ends = [*(time for time, _ in own[1:]), history.end]
    said = [
        Interval(time, until)
        for (time, event), until in zip(own, ends, strict=False)
        if not event.error and (event.term, event.leader) != (reign.term, reign.leader)
    ]
    words = (
        (entry.time, event) for entry, event in history.each(Watching) if event.observer == "membership" and event.node == reign.leader
    )
    asked = [time for time, event in words if event.alive]
    marks = [-math.inf, *asked, math.inf]
    return without(said, [Interval(early, late) for early, late in itertools.pairwise(marks) if late - early > IN_FLIGHT])
