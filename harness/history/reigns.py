"""Who leads: the words of the members, folded into whom a majority of them follows. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.core.values import NodeState
from harness.history.events import History, MemberSeen, NodeSeen, Watching

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from harness.history.events import Event


@dataclass(frozen=True, slots=True)
class Reign:
    """A stretch in which a majority of the members agreed on who leads (`leader`, a node's name), or on nobody (None)."""

    start: float
    end: float
    term: int
    leader: str | None
    entry: int


def members_of(history: History, planned: Collection[str] = ()) -> set[str]:
    """Return the members of the quorum: those that are `planned`, or else all whose membership was watched or told of, answered or not."""
    if planned:
        return set(planned)
    watched = {event.node for _, event in history.each(Watching) if event.observer == "membership"}
    return {*watched, *(event.node for _, event in history.each(MemberSeen))}


class Leadership:
    """Who leads, as the members' words come in: the only place that says so. Not safe for threads.

    The leader is the one of the highest term that at least a majority of all members follows. A member that gave no answer, or whose machine is off,
    follows nobody. `members` are those that are planned, or all of a history (`members_of`); without them they are those that were heard of by then.
    """

    def __init__(self, members: Collection[str] = ()) -> None:
        self._planned = frozenset(members)
        self._heard: set[str] = set()
        self.words: dict[str, MemberSeen] = {}  # what each said last, of those that answer

    def hear(self, event: Event) -> bool:
        """Take in an event, and return whether it may have changed who leads."""
        if isinstance(event, MemberSeen):
            self._heard.add(event.node)
            self.words.pop(event.node, None)
            if not event.error:
                self.words[event.node] = event
            return True
        if isinstance(event, NodeSeen):
            return event.state is NodeState.OFF and self.words.pop(event.node, None) is not None
        if isinstance(event, Watching) and event.observer == "membership":
            self._heard.add(event.node)
        return False

    def agreed(self, but: Collection[str] = ()) -> tuple[int, str | None]:
        """Return the term and the leader on which a majority agrees, where the words of some (`but`) count for nothing; else 0 and None."""
        majority = len(self._planned or self._heard) // 2 + 1
        votes = Counter((word.term, word.leader) for node, word in self.words.items() if word.leader is not None and node not in but)
        agreed = [pair for pair, count in votes.items() if count >= majority]
        return max(agreed, default=(0, None), key=lambda pair: pair[0])


def reigns(history: History, planned: Collection[str] = ()) -> tuple[Reign, ...]:
    """Return who led when (`Leadership`), without holes, from the first word of a member to the end of the history. Worked out once for each set."""
    members = frozenset(members_of(history, planned))
    return history.once((reigns, members), lambda: tuple(_reigns(history, members)))


def _reigns(history: History, members: frozenset[str]) -> list[Reign]:
    leadership = Leadership(members)
    found: list[Reign] = []
    for entry in history.entries:
        if not leadership.hear(entry.event):
            continue
        term, leader = leadership.agreed()
        if found and found[-1].start == entry.time:
            found.pop()  # several members spoke at one moment: only what they say together counts
        if found:
            last = found[-1]
            if (last.term, last.leader) == (term, leader):
                found[-1] = Reign(last.start, history.end, term, leader, last.entry)
                continue
            found[-1] = Reign(last.start, entry.time, last.term, last.leader, last.entry)
        found.append(Reign(entry.time, history.end, term, leader, entry.index))
    return found


def reign_at(every: Sequence[Reign], time: float) -> Reign | None:
    """Return who led at a moment, or None before the first word of a member."""
    return next((reign for reign in reversed(every) if reign.start <= time), None)
