"""Who of a cluster was lost to a fault (the one that led, members that did not, nobody that is a member), and to whom somebody listened. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from harness.checkers.troubles import UNHEARD, unheard
from harness.core.values import NodeState, Who
from harness.history.events import MemberSeen, Watching
from harness.history.intervals import Interval, common, node_spans, united
from harness.history.reigns import members_of, reigns

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from harness.history.bands import Band
    from harness.history.events import History
    from harness.history.intervals import Span


def who_was_lost(history: History, band: Band, before: float, planned: Collection[str] = (), until: float = math.inf) -> Who:
    """Return who was lost to a fault, by what the members said `until` some time: when what hangs on it was over.

    Wherever it cannot be told that leadership had nothing to do with it, it was the leader, for whose loss a cluster needs longest: where nobody said
    who leads, where that changed while the fault was there, or in the so many seconds `before` it, and where it may have changed then because
    nobody listened to a majority of the members. A member is who was `planned` as one, or else whose membership was watched, whether it ever
    answered or not.
    """
    held = band.held(history.end) or band.life(history.end)
    held = Interval(held.start, max(held.start, min(held.end, until)))
    every = [reign for reign in reigns(history, planned) if reign.start <= held.end]
    # Before all of them have spoken nobody can be known to lead.
    known = next((number for number, reign in enumerate(every) if reign.leader is not None), len(every))
    said = [reign for reign in every[known:] if reign.end >= band.begins - before]
    led = {(reign.term, reign.leader) for reign in said}
    if len(led) != 1 or said[0].start > band.begins:
        return Who.LEADER
    ((_, leader),) = led
    if leader is None or leader in band.lost:
        return Who.LEADER
    members = members_of(history, planned)
    over = Interval(max(said[0].start, band.begins - before), held.end)
    if too_few_heard(history, members, over, node_spans(history)):
        return Who.LEADER
    return Who.FOLLOWER if members & {*band.lost} else Who.OTHER


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


def not_all_along(history: History, members: Collection[str], over: Interval, spans: Mapping[str, Sequence[Span]]) -> list[str]:
    """Return the members that were not heard all along, so that they may have changed their minds meanwhile."""
    silent = unheard_members(history, members, spans)
    mute = _unanswered(history)
    return sorted(node for node in members if common([*silent.get(node, ()), *mute.get(node, ())], [over]))


def too_few_heard(history: History, members: Collection[str], over: Interval, spans: Mapping[str, Sequence[Span]]) -> list[str]:
    """Return the members that were not heard all along where these leave no majority; or none."""
    deaf = not_all_along(history, members, over, spans)
    return [] if len(members) - len(deaf) > len(members) // 2 else deaf


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
