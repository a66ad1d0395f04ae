"""Who else than a fault may have taken work away, or brought it back: an action of the run's own, or whoever switched its machine off."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.checkers.troubles import died
from harness.core.figures import at, lasted
from harness.core.instances import app_of
from harness.core.values import Loss, Outcome
from harness.history.bands import OFF_LATE
from harness.history.deeds import closed, deeds, down, renewed
from harness.history.events import ApiSeen
from harness.history.intervals import Interval
from harness.history.losses import AT_ONCE

if TYPE_CHECKING:
    from harness.history.deeds import Deed
    from harness.history.events import History
    from harness.history.losses import Displaced


def moved_by_action(history: History, one: Displaced) -> str:
    """Say that an action on its node may have taken what a fault took, about when it did; nothing where none may have.

    Of a node that was left there it may have been taken a moment later, or when it stopped.
    """
    if one.band.traits.loses in {Loss.LINK, Loss.NODE}:
        # It was seen to run until then: only what was still kept from it, or from that node, may have moved it, or shortened its way.
        begun = [each.start for each in _kept(history, one.home) if each.start <= one.at <= each.end]
    else:
        stopped = one.at + one.ran_on
        times = [Interval(one.band.begins - AT_ONCE, one.at + AT_ONCE), Interval(stopped - AT_ONCE, stopped)]
        begun = [time for each in times if (time := acted(history, one.home, one.instance, each, here=True)) is not None]
    return f"an action on {one.home} from {at(min(begun))} on may have taken it" if begun else ""


def brought_by_action(history: History, one: Displaced) -> str:
    """Name an action that may have brought back what a fault took, so that it shows nothing of the cluster; nothing where none may have.

    What empties its node, or stops a daemon there, makes a cluster move it at once, whatever it noticed of the loss. What disturbs a cluster may do
    anything, what starts its app anew may start it, and what lets work in may bring it where it comes to: while it is done, and for a moment after.
    What starts the very daemon that the fault took, on the node that it took it from, may be all that brought that node's work back. What was over
    before the loss, or was begun after the cluster had said where the work goes, did neither; nor does a daemon restarted elsewhere bring any.
    """
    if one.running is None:
        return ""
    every = deeds(history)
    decided = one.at + (one.running if one.placed is None else min(one.placed, one.running))
    late = max(one.band.begins, decided - AT_ONCE)
    kept = {each.start for each in _kept(history, one.home) if each.start <= decided and one.at <= each.end}
    anew = renewed(every, history.end).get(app_of(one.instance), ())
    kept |= {each.start for each in anew if each.start <= decided and late <= each.end}
    doing = (
        each
        for each in every
        if each.begun in kept
        or (
            (each.effect.disturbs or (each.effect.opens and one.to in each.targets and each.outcome is not Outcome.FAIL))
            and each.begun <= decided
            and late <= each.over(history.end)
        )
        or (_starts_again(each, one) and each.begun <= decided and one.band.begins <= each.over(history.end))
    )
    first = next(doing, None)
    if first is None:
        return ""
    return f"{first.name}{' on ' * bool(first.targets)}{' '.join(first.targets)} from {at(first.begun)} on may have brought it back"


def _starts_again(deed: Deed, one: Displaced) -> bool:
    """Whether an action starts what a fault took from a node on which the work ran again, where its supervisor may not have."""
    taken = set(deed.effect.starts) & set(one.band.traits.parts)
    return bool(taken) and one.home == one.to and one.home in deed.targets and deed.outcome is not Outcome.FAIL


def _kept(history: History, node: str) -> list[Interval]:
    """Return when an action had stopped a daemon on a node, or kept work from it, or may have."""
    every = deeds(history)
    stopped = [each for (where, _), pieces in down(every, history.end).items() if where == node for each in pieces]
    return [*stopped, *closed(every, history.end).get(node, [])]


def off_by_itself(history: History, one: Displaced) -> str:
    """Say that its machine was off by nobody's fault from about when one hit it, which may have taken it; nothing where it was not."""
    around = Interval(one.band.begins - AT_ONCE, one.at + one.ran_on + OFF_LATE)
    return next(
        (
            f"{each.text}: that may have taken it"
            for each in died(history, around)
            if one.home in each.nodes and around.holds(each.part.start)
        ),
        "",
    )


def gone_by_itself(history: History, one: Displaced, limit: float) -> str:
    """Say that the work was back in time, until its new machine went off by nobody's fault; nothing where it did not."""
    for spell in one.spells:
        if spell.start - one.at <= limit:
            around = Interval(spell.end - OFF_LATE, spell.end + OFF_LATE)
            for each in died(history, around):
                if spell.node in each.nodes and around.holds(each.part.start):
                    return f"it had been back in time, after {lasted(spell.start - one.at)}, and {each.text}"
    return ""


def taken_by_action(history: History, one: Displaced, limit: float) -> str:
    """Say that an action may have taken the work, and not the fault; nothing where it did not.

    Either the fault left its node there, or it was back in time, and ran until something was done.
    """
    if one.band.traits.loses not in {Loss.LINK, Loss.NODE}:
        begun = acted(history, one.home, one.instance, Interval(one.at - AT_ONCE, one.at + AT_ONCE))
        if begun is not None:
            return f"an action from {at(begun)} on may have taken it"
    for spell in one.spells:
        begun = acted(history, spell.node, one.instance, Interval(spell.end - AT_ONCE, spell.end))
        if begun is not None and spell.start - one.at <= limit:
            return f"it had been back in time, after {lasted(spell.start - one.at)}, and an action from {at(begun)} on may have taken it"
    return ""


def chosen_in_vain(history: History, one: Displaced, up: float) -> str:
    """Say that it was to run, or came to run, on a node where an action had stopped a daemon meanwhile; nothing where it was not.

    Who places work need not know of every daemon that it takes.
    """
    chosen = _chosen(history, one, up)
    for (node, part), pieces in down(deeds(history), history.end).items():
        since = next((each.start for each in pieces if each.start < up and node in chosen and each.end > chosen[node]), None)
        if node != one.home and since is not None:
            return f"an action from {at(since)} on had stopped {part} on {node}, where it was to run"
    return ""


def _chosen(history: History, one: Displaced, up: float) -> dict[str, float]:
    """Return the nodes that were chosen for it before its time was up, each with since when; where nobody saw that, it was since the loss."""
    found: dict[str, float] = {}
    for entry, event in history.each(ApiSeen):
        if event.view is not None and one.at <= entry.time <= up:
            for each in event.view.placements:
                if each.node and each.instance == one.instance:
                    found.setdefault(each.node, entry.time)
    if one.to is not None and one.placed is None:
        found.setdefault(one.to, one.at)
    return found


def acted(history: History, node: str, instance: str, around: Interval, *, here: bool = False) -> float | None:
    """Return since when, in a time, something was being done that may have taken an instance from a node; None where nothing was.

    What is done elsewhere may take it as well; but a daemon that stays down there, or a node that stays empty, took it at once or not at all. `here`:
    only what was done on that node counts, or on none.
    """
    every = deeds(history)
    times = [*_kept(history, node), *renewed(every, history.end).get(app_of(instance), ())]
    done = [each for each in every if each.effect.upsets and (each.reaches(node) or not here)]
    times += [Interval(each.begun, each.over(history.end)) for each in done]
    return min((each.start for each in times if each.start <= around.end and around.start <= each.end), default=None)
