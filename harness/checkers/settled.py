"""Whether the cluster was whole again after the faults."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from harness.checkers.contradictions import not_whole, running, whole_all_the_same
from harness.checkers.either_way import either_way
from harness.checkers.expected import Expected
from harness.checkers.judging import Point, conclude, doubted, missed, unknown, whole
from harness.checkers.order import out_of_place, repeated
from harness.checkers.own_doing import started_anew
from harness.checkers.troubles import endurance
from harness.checkers.usual import stopped_by_itself
from harness.checkers.waits import in_vain
from harness.core.figures import at, lasted
from harness.core.values import NodeState
from harness.history.bands import fault_bands
from harness.history.deeds import Wanted, deeds
from harness.history.events import NodeSeen, Wholeness
from harness.history.intervals import Interval, neat, never_seen, node_spans, span_at, stays

if TYPE_CHECKING:
    from harness.core.values import Finding, Json
    from harness.history.events import Entry, History


@dataclass(frozen=True, slots=True)
class Settled:
    """After the last heal the cluster was whole again in the time that the scenario gives it to settle.

    Whole is what the harness waits for: all nodes up and listed, all work running once and serving, one leader, writes acknowledged. And it stays so:
    at the end, by node truth, no node is off, and of each app as many instances run as when the first fault was decided, and as when it was whole;
    or as an action asked for since. Where more run than that asked for it is unknown.
    Where a machine could not be asked it is unknown, where one is off that no fault took, and where all that was missing is a call of ours. So is
    what is down at the end for a moment, as it was before anything was broken; a run that did not wait, or that was not whole before the first fault
    either; and one in which others know it otherwise than the word that it was whole, also of an instance that was planned (`expected`, filled in by
    the plan) and never ran, or than the word that it was not.
    """

    name: ClassVar[str] = "settled"
    expected: Expected = field(default_factory=Expected)

    def check(self, history: History) -> Finding:
        """Return held with the seconds since the last heal, broken with what was missing, or unknown."""
        return either_way(history, self._check, self.expected.voters)

    def _check(self, history: History) -> Finding:
        waits = {event.when: (entry, event) for entry, event in history.each(Wholeness)}
        twice = [(when, entries) for (node, when), entries in repeated(history).items() if not node]
        before, after = waits.get("before"), waits.get("after")
        points: list[Point] = []
        details: dict[str, Json] = {}
        held = ""
        if twice:
            points += [unknown(f"how whole the cluster was {when} the faults was told {len(each)} times", *each) for when, each in twice]
        elif before is None:
            points.append(unknown("whether the cluster was whole before the first fault was never seen"))
        elif not before[1].whole:
            points.append(unknown("the cluster was not whole before the first fault either", before[0].index))
        elif after is None:
            points.append(unknown("whether the cluster was whole again after the last heal was never seen"))
        else:
            entry, event = after
            since = _since_heal(history, entry)
            details = {"waited": neat(event.seconds), "since_heal": neat(since), "missing": list(event.missing)}
            # Where nothing was healed nothing was broken: it was still whole, however long that took to see.
            seconds, what = (event.seconds, "all was done") if since is None else (since, "the last heal")
            held = f"whole {lasted(seconds)} after {what}" if since is None else f"whole again {lasted(seconds)} after {what}"
            misplaced = [(each, why) for each, said in (before, after) if (why := out_of_place(history)(each, said.when))]
            if misplaced:
                points += [unknown(f"the word of how whole the cluster was {why}", each.index) for each, why in misplaced]
            elif not event.whole:
                lacking = [each for each in event.missing if each not in event.unasked]
                missing = "; ".join(lacking or event.unasked) or "what was missing is not known"
                text = f"not whole{'' if since is None else ' again'} {lasted(seconds)} after {what}: {missing}"
                if event.unasked and not lacking:
                    points.append(unknown(f"{text}: what nobody asked is not known", entry.index))
                else:
                    time = Interval(max(0.0, entry.time - seconds), entry.time)
                    point = in_vain(history, text, entry, time, lacking, whole=True, daemon=self.expected.voters.daemon)
                    points.append(doubted(point, whole_all_the_same(history, entry.time, self.expected)))
            else:
                wrong = not_whole(history, entry.time, self.expected)
                points += [unknown(f"said to be whole at {at(entry.time)}, when {why}", entry.index) for why in wrong]
                points += _lost_since(history, entry)
        return conclude(self.name, history, points, held, details)


def _lost_since(history: History, entry: Entry) -> list[Point]:
    """What was there when the cluster was whole, and no longer at the end."""
    spans = node_spans(history)
    if not whole(history) or not spans:
        return []  # said already: a history that was cut off, or that shows no node
    heard = {event.node for seen, event in history.each(NodeSeen) if seen.time > entry.time}
    off = [(node, pieces[-1]) for node, pieces in spans.items() if pieces[-1].state is NodeState.OFF and node in heard]
    # One that no fault took away, nor had just before, goes off by somebody else's doing.
    points = [
        missed(
            f"{node} was off at the end, after the cluster had been whole at {at(entry.time)}",
            span.entry,
            over=[Interval(span.start, span.start)],
            itself=Interval(span.start, span.start),
        )
        for node, span in off
    ]
    begun = [band.begins for band in fault_bands(history)]
    moments = [entry.time, *([min(begun)] if begun else [])]
    ran = [running(span for pieces in spans.values() if (span := span_at(pieces, moment)) is not None) for moment in moments]
    runs = running(pieces[-1] for pieces in spans.values())
    wanted = Wanted.of(deeds(history))
    for app in sorted({*runs} & {*wanted.changes}):
        most = wanted.most_at(app, history.end, max(len(each.get(app, frozenset())) for each in ran))
        if len(runs[app]) > most:
            asked = f"{wanted.changes[app][-1].name} had asked for {most or 'none'} at {at(wanted.changes[app][-1].begun)}"
            points.append(unknown(f"{', '.join(sorted(runs[app]))} ran at the end, and {asked}", entry.index))
    unsure = [*(node for node, pieces in spans.items() if node not in heard or not pieces[-1].sure), *never_seen(history)]
    for app in sorted({app for each in ran for app in each}):
        before = max((each.get(app, frozenset()) for each in ran), key=len)
        now = runs.get(app, frozenset())
        if len(now) >= min(len(before), wanted.least(app, history.end, len(before))):
            continue
        due = {name: wanted.due(name, history.end) for name in before - now}
        must = {name for name, times in due.items() if times is None or any(each.end >= history.end for each in times)}
        gone = ", ".join(sorted(must or due))
        if not must:
            points.append(unknown(f"{gone} ran nowhere at the end, and whether it was to is not known: an action is in doubt"))
        elif unsure:
            points.append(unknown(f"whether {gone} ran at the end is not known: {', '.join(unsure)} could not be asked"))
        else:
            text = f"{gone} ran nowhere at the end, after the cluster had been whole at {at(entry.time)}"
            stopped = max(entry.time, min(max(each.end for each in stays(spans) if each.instance == name) for name in must))
            since = max(entry.time, stopped - endurance(history).recovery)
            over = Interval(entry.time, history.end)
            lost = missed(text, entry.index, over=[over], itself=Interval(since, stopped))
            points.append(doubted(lost, started_anew(history, over, app) or _as_before(history, must)))
    return points


def _as_before(history: History, gone: set[str]) -> str:
    """Say that what ran nowhere at the end had stopped before anything was broken, too, and is gone for no longer yet; else nothing."""
    last = {name: max(each.end for each in stays(node_spans(history)) if each.instance == name) for name in gone}
    before = {name: stopped_by_itself(history, name) for name in gone}
    if not all(each and each.explains(history.end - last[name], endurance(history).recovery) for name, each in before.items()):
        return ""
    told = (f"{name} at {at(each.at)}, for {lasted(each.gone)}" for name, each in sorted(before.items()) if each)
    return f"it had stopped before anything was broken, too ({'; '.join(told)})"


def _since_heal(history: History, entry: Entry) -> float | None:
    """Seconds from the last heal to an entry; None where nothing was healed before it."""
    heals = [band.healed for band in fault_bands(history) if band.healed is not None and band.healed <= entry.time]
    return entry.time - max(heals) if heals else None
