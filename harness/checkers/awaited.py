"""Whether what steps waited for came."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from harness.checkers.contradictions import led_all_the_same, not_led, not_recovered, not_whole, recovered_all_the_same, whole_all_the_same
from harness.checkers.either_way import either_way
from harness.checkers.expected import Expected
from harness.checkers.judging import Point, conclude, doubted, plural, unknown
from harness.checkers.waits import in_vain
from harness.core.figures import at, given, lasted
from harness.core.values import Loss, Outcome
from harness.history.awaits import BROKEN, GO_ON, LEADER, RECOVERED, STEADY, came, had_come, stayed_away
from harness.history.bands import fault_bands
from harness.history.events import Awaited
from harness.history.intervals import Interval, common, neat

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.core.values import Finding, Json
    from harness.history.events import Entry, History


@dataclass(frozen=True, slots=True)
class CameInTime:
    """Everything that a step waited for came in the time that it had, unless the step says that the run goes on in any case.

    What did not come is broken where the step says so, and unknown elsewhere; unknown as well where a machine could not be asked meanwhile, where
    only a call of ours was missing, and where node truth, or what members say, knows otherwise than the word that it came, or that it did not. What
    was planned (`expected`, filled in by the plan) and never awaited is unknown, but after one that was awaited in vain: then no more
    steps are taken.
    """

    name: ClassVar[str] = "awaited"
    expected: Expected = field(default_factory=Expected)

    def check(self, history: History) -> Finding:
        """Return held with how long each took, broken or unknown with what was missing; details have each of them."""
        return either_way(history, self._check, self.expected.voters)

    def _check(self, history: History) -> Finding:
        told: dict[int, list[tuple[Entry, Awaited]]] = {}
        for entry, event in history.each(Awaited):
            told.setdefault(event.number, []).append((entry, event))
        points: list[Point] = []
        held: list[str] = []
        details: dict[str, Json] = {}
        stopped = False
        for number, words in sorted(told.items()):
            if why := _misfit(words):
                points.append(unknown(f"await {number} {why}", *(entry.index for entry, _ in words)))
                continue
            (begun, _), (entry, event) = words
            details[str(number)] = {
                "for": had_come(event.goal, event.app),
                "outcome": str(event.outcome),
                "seconds": neat(entry.time - begun.time),
                "missing": list(event.missing),
            }
            stopped = stopped or (event.outcome is not Outcome.OK and event.otherwise != GO_ON)
            found = _judged(history, Interval(begun.time, entry.time), entry, event, self.expected)
            points += found
            if not found:
                seconds = lasted(entry.time - begun.time)
                kept = f"{came(event.goal, event.app)} after {seconds}"
                missed = f"{stayed_away(event.goal, event.app)} in {seconds}, which the scenario allows"
                held.append(kept if event.outcome is Outcome.OK else missed)
        if not told:
            points.append(unknown("nothing was ever awaited"))
        elif len(told) < self.expected.awaits and not stopped:
            points.append(unknown(f"{plural(self.expected.awaits - len(told), 'await')} planned and never begun"))
        return conclude(self.name, history, points, "; ".join(held), {"awaits": details})


def _misfit(words: Sequence[tuple[Entry, Awaited]]) -> str:
    """Say why these are not the beginning and the end of one wait; nothing where they are."""
    outcomes = [event.outcome for _, event in words]
    if outcomes == [None]:
        return "was begun and never ended"
    if len(outcomes) != 2 or outcomes[0] is not None or outcomes[1] is None:  # noqa: PLR2004 - a beginning and an end
        return f"was told {len(outcomes)} times, and one wait has a beginning and an end"
    first, second = words[0][1], words[1][1]
    if (first.goal, first.app, first.otherwise) != (second.goal, second.app, second.otherwise):
        return "ended as another one than it began"
    return ""


def _judged(history: History, time: Interval, entry: Entry, event: Awaited, expected: Expected) -> list[Point]:
    what = had_come(event.goal, event.app)
    if event.outcome is Outcome.OK:
        why = _not_so(history, time, event, expected)
        return [unknown(f"that {what} was seen at {at(entry.time)}, when {'; '.join(why)}", entry.index)] if why else []
    if event.otherwise == GO_ON:
        return []
    lacking = [each for each in event.missing if each not in event.unasked]
    text = f"{stayed_away(event.goal, event.app)} in {lasted(time.length)} (at most {given(event.at_most)})"
    text = f"{text}: {'; '.join(lacking or event.unasked) or 'what was missing is not known'}"
    if event.outcome is Outcome.UNKNOWN or (event.unasked and not lacking):
        return [unknown(f"{text}: what nobody asked is not known", entry.index)]
    if event.otherwise != BROKEN:
        return [unknown(text, entry.index)]
    lives = [(band, band.life(history.end)) for band in fault_bands(history) if band.traits.loses is Loss.NODE]
    away = {node for band, life in lives for node in band.targets if common([life], [time])}
    apps = (event.app,) if event.goal == RECOVERED else ()
    point = in_vain(history, text, entry, time, lacking, apps=apps, away=away, whole=event.goal == STEADY, daemon=expected.voters.daemon)
    return [doubted(point, _all_the_same(history, time.end, event, expected))]


def _not_so(history: History, time: Interval, event: Awaited, expected: Expected) -> list[str]:
    """Say what is told against the word that it had come by the end of some time; nothing where nobody tells anything."""
    if event.goal == RECOVERED:
        return not_recovered(history, time, event.app, expected)
    if event.goal == LEADER:
        return not_led(history, time.end, expected)
    return not_whole(history, time.end, expected)


def _all_the_same(history: History, then: float, event: Awaited, expected: Expected) -> str:
    """Say what is told against the word that it had not come; nothing where nobody tells anything."""
    if event.goal == RECOVERED:
        return recovered_all_the_same(history, then, event.app, expected)
    return led_all_the_same(history, then, expected) if event.goal == LEADER else whole_all_the_same(history, then, expected)
