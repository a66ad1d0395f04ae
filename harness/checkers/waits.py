"""What a wait shows that ended without what it was for: broken, or unknown where somebody who could not be asked may be the reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.checkers.judging import Point, doubted, missed, unknown
from harness.checkers.own_doing import in_doubt, only_about, own_doing
from harness.checkers.troubles import endurance, until_late
from harness.core.figures import lasted
from harness.core.values import NodeState
from harness.history.bands import MEMBER
from harness.history.intervals import Interval, common, node_spans, total, without

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from harness.history.events import Entry, History


def in_vain(
    history: History,
    text: str,
    entry: Entry,
    time: Interval,
    lacking: Sequence[str],
    *,
    apps: Collection[str] = (),
    away: Collection[str] = (),
    whole: bool = False,
    daemon: str = MEMBER,
) -> Point:
    """Judge a wait in vain: what was seen of its time must be longer than the mode's longest recovery, or be all of it.

    What machines did after so long has kept nothing. It is about `apps`, if about nothing else; `whole` says that each node was to be as it was, and
    not only that enough of them are left.

    Of a machine that gives no answer on the way that no fault cuts nothing is known: what it lacks is not the cluster's doing, and what the others
    miss of it neither. Those in `away` are out of reach by a fault. Nor is it the cluster's doing what an action of the run's own took away, or may
    have: where all that was `lacking` is so.
    """
    gaps = {
        node: [each for piece in pieces if piece.state is NodeState.UNREACHABLE for each in common([piece.interval], [time])]
        for node, pieces in node_spans(history).items()
        if node not in away
    }
    asked = without([time], [each for found in gaps.values() for each in found])
    enough = endurance(history).recovery
    for node, found in gaps.items():
        if found and (found[-1].end >= time.end or total(asked) <= enough):
            why = f"{node} could not be asked for {lasted(total(found))} of that, on the way that no fault cuts"
            return unknown(f"{text}; but {why}: a machine that gives no answer is not the cluster's doing", entry.index)
    point = missed(text, entry.index, over=until_late(history, asked, enough), by=max(0.0, total(asked) - enough))
    apps = apps or only_about(lacking)
    return doubted(point, in_doubt(history, time.end, lacking) or own_doing(history, time, apps=apps, whole=whole, daemon=daemon))
