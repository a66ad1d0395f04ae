"""Who of a cluster was lost to a fault (the one that led, members that did not, nobody that is a member), and to whom somebody listened. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from harness.checkers.judging import plural
from harness.checkers.troubles import UNHEARD, unheard
from harness.core.values import NodeState, Who
from harness.history.events import MemberSeen, Watching
from harness.history.intervals import Interval, common, node_spans, united
from harness.history.reigns import Reign, members_of, reign_at, reigns

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from harness.history.bands import Band
    from harness.history.events import History
    from harness.history.intervals import Span


@dataclass(frozen=True, slots=True)
class Roles:
    """Who of a cluster leads, who follows, and who is no member, so that it can be said who was lost to a fault: worked out once for a history.

    A member is who was planned as one, or else whose membership was watched, whether it ever answered or not.
    """

    members: frozenset[str]
    reigns: tuple[Reign, ...]
    deaf: Mapping[str, Sequence[Interval]]  # when each member was not heard
    end: float

    @classmethod
    def of(cls, history: History, planned: Collection[str] = (), spans: Mapping[str, Sequence[Span]] | None = None) -> Self:
        """Work it out; `spans` as from `node_spans`."""
        members = members_of(history, planned)
        silent = not_heard(history, members, node_spans(history) if spans is None else spans)
        return cls(frozenset(members), reigns(history, planned), silent, history.end)

    def surely(self, band: Band) -> Who:
        """Return who was lost to a fault at least: the one that led when it was decided, a member, or nobody that is one."""
        led = reign_at(self.reigns, band.begins)
        if led is not None and led.leader in band.lost:
            return Who.LEADER
        return self._but_for_leading(band)

    def known_since(self, band: Band, until: float = math.inf) -> float:
        """Return since when it was known that one led who was not lost to a fault, all along `until` some time: when what hangs on it was over.

        Infinite where that was not known from the decision of the fault on: where nobody said who leads, where that changed while the fault was
        there, and where it may have changed then because nobody listened to a majority of the members. Then it cannot be told that leadership had
        nothing to do with it. Infinitely long ago where it was so from the first word of the members on.
        """
        held = band.held(self.end) or band.life(self.end)
        end = max(held.start, min(held.end, until))
        led = reign_at(self.reigns, band.begins)
        if led is None or led.leader is None or led.leader in band.lost or (led.end <= end and led.end < self.end):
            return math.inf
        heard = {each.end for node in self.members for each in self.deaf.get(node, ()) if led.start < each.end <= band.begins}
        since = next((each for each in sorted({led.start, *heard}) if not self._too_few_heard(Interval(each, end))), math.inf)
        first = not any(each.leader for each in self.reigns if each.end <= led.start)
        return -math.inf if first and since == led.start else since

    def _but_for_leading(self, band: Band) -> Who:
        return Who.FOLLOWER if self.members & {*band.lost} else Who.OTHER

    def _too_few_heard(self, over: Interval) -> bool:
        """Whether those that were not heard all along leave no majority."""
        deaf = [node for node in self.members if common(self.deaf.get(node, ()), [over])]
        return len(self.members) - len(deaf) <= len(self.members) // 2


def unheard_members(history: History, members: Iterable[str], spans: Mapping[str, Sequence[Span]]) -> dict[str, list[Interval]]:
    """Return when nothing is known of each member.

    Nobody listened to it, or ever spoke of it, or its machine was off and it has not spoken since that is back.
    """
    words: dict[str, list[float]] = {}
    for entry, event in history.each(MemberSeen):
        words.setdefault(event.node, []).append(entry.time)
    silent = unheard(history, "membership")
    found: dict[str, list[Interval]] = {}
    for node in members:
        if node not in words and node not in silent:
            found[node] = [Interval(0.0, history.end)]
            continue
        back = [span.end for span in spans.get(node, ()) if span.state is NodeState.OFF]
        mute = [Interval(time, min((word for word in words.get(node, ()) if word >= time), default=history.end)) for time in back]
        found[node] = united([*silent.get(node, ()), *mute])
    return found


def not_heard(history: History, members: Collection[str], spans: Mapping[str, Sequence[Span]]) -> dict[str, list[Interval]]:
    """Return when each member was not heard, so that it may have changed its mind: nothing is known of it, or it could not be asked."""
    silent, mute = unheard_members(history, members, spans), _unanswered(history)
    return {node: united([*silent.get(node, ()), *mute.get(node, ())]) for node in members}


def not_all_along(history: History, members: Collection[str], over: Interval, spans: Mapping[str, Sequence[Span]]) -> list[str]:
    """Return the members that were not heard all along."""
    return sorted(node for node, silent in not_heard(history, members, spans).items() if common(silent, [over]))


def _unanswered(history: History) -> dict[str, list[Interval]]:
    """Return when each member could not be asked for longer than the silence between two words of somebody who listens."""
    words: dict[str, list[tuple[float, bool]]] = {}
    for entry, event in history.each(Watching):
        if event.observer == "membership":
            words.setdefault(event.node, []).append((entry.time, event.alive))
    found: dict[str, list[Interval]] = {}
    for node, said in words.items():
        ends = [*(time for time, _ in said[1:]), history.end]
        pieces = united([Interval(time, end) for (time, alive), end in zip(said, ends, strict=True) if not alive])
        found[node] = [piece for piece in pieces if piece.length > UNHEARD]
    return found


def perhaps_others(history: History, members: Collection[str], *, planned: bool) -> str:
    """Say why an even number of members may not be all that there are, or not be members; nothing where they were planned and each has spoken.

    A quorum of an even number is seldom anybody's choice: one that was never heard may follow the leader, or one that is planned have never joined.
    """
    if len(members) % 2:
        return ""
    if not planned:
        return f"only {plural(len(members), 'member')} were ever heard"
    heard = {event.node for _, event in history.each(MemberSeen) if not event.error}
    silent = sorted({*members} - heard)
    return f"{', '.join(silent)} of the {len(members)} members never answered" if silent else ""
