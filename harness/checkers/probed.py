"""Whether what a probe asks was so while things were broken."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from harness.checkers.either_way import either_way
from harness.checkers.expected import Expected
from harness.checkers.judging import Point, Report, conclude, plural, unknown
from harness.checkers.outages import (
    before_the_bite,
    early_gaps,
    judge_gap,
    judge_share,
    judged_time,
    outages,
    under_way_in,
    unmade_of,
    worst_of,
)
from harness.checkers.troubles import blind, pace
from harness.checkers.usual import FEWEST, long_ago, usually
from harness.checkers.windows import Window, Windows
from harness.core.figures import at, given, lasted
from harness.core.figures import share as figure
from harness.core.units import Duration, Names, Share
from harness.core.values import HERE, About, CallStream, Outcome
from harness.history.calls import Op, not_made, ops, served, untold
from harness.history.intervals import neat

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.core.values import Finding, Json
    from harness.history.events import History


@dataclass(frozen=True, slots=True)
class Probed:
    """Of a probe's answers from the first fault's bite to the end of settling, at least `share` were yes, and it never took longer than `gap` to one.

    Only answers count: that nobody could ask is no "no", and where what is missing so could have turned the share, or lies in the gap, it is unknown.
    So it is where the last answer before the first fault was no, or where there was none, or none for more than one question that was due: what was
    not so before, or may not have been, shows nothing of a fault. A gap is judged as one of `availability` is, and so is the time of a fault
    (`during`), or what is left without one (`outside`).
    """

    name: ClassVar[str] = "probe"
    about: ClassVar[About] = About(CallStream.PROBE)
    called: Annotated[str, Field(alias="name", description="the name of a probe")]
    share: Share
    gap: Duration
    expected: Expected = field(default_factory=Expected)
    during: Names = ()
    outside: Names = ()

    def check(self, history: History) -> Finding:
        """Return held, broken, or unknown; details hold the share, the counts and the longest gap."""
        return either_way(history, self._check, self.expected.voters)

    def _check(self, history: History) -> Finding:
        asked = [op for op in ops(history, CallStream.PROBE) if op.call.key == self.called]
        windows = Windows.of(history, self.during, self.outside, self.expected.numbers, judged_time(history))
        if not asked:
            return conclude(self.name, history, [*windows.points, unknown(f"the probe {self.called} was never asked")], "")
        found = windows.judged(lambda window: self._judged(history, asked, window, Window.of(windows.whole)), since_decided=False)
        return conclude(self.name, history, *found)

    def _judged(self, history: History, asked: Sequence[Op], window: Window, whole: Window) -> Report:
        """Judge the answers of one time, of the `whole` that there is."""
        missing = {each.op: each for each in untold(history, CallStream.PROBE) if each.key in {None, self.called}}
        # What a question asks from this machine could not be asked while that could make no calls: nobody knows what the answer would have been.
        ours = not_made(history)
        told = [
            replace(op, outcome=Outcome.UNKNOWN) if op.by == HERE and not op.ok and under_way_in(op, ours) else op
            for op in asked
            if op.op not in missing
        ]
        answered = [op for op in told if op.outcome is not Outcome.UNKNOWN]
        # Of what was asked while we stood still, or while a fault was there that is left out, we cannot say how it would have ended.
        unseen = [*blind(history), *window.apart]
        made = [op for op in told if window.holds(op.begun) and not under_way_in(op, unseen)]
        during = [op for op in made if op.outcome is not Outcome.UNKNOWN]
        good, mute = sum(op.ok for op in during), len(made) - len(during)
        details: dict[str, Json] = {
            "from": neat(window.start),
            "to": neat(window.end),
            "asked": len(made),
            "yes": good,
            "no": len(during) - good,
            "unknown": mute,
            "share": round(good / len(during), 4) if during else None,
        }
        if not answered:
            none = f"the probe {self.called} had no answer: {plural(len(asked), 'question')} could not be asked"
            return Report([unknown(none, asked[0].entry)], details=details)
        of = {self.called: answered}
        gaps = [gap for piece in window.pieces for gap in outages(self.called, answered, piece, window)]
        longest = max(gaps, key=lambda gap: gap.interval.length)
        details["gap"] = longest.json()
        count = f"{plural(len(during), 'answer')} of the probe {self.called} {window.when}"
        silent = f"there was no answer of the probe {self.called}{window.after_it}"
        figures = f"{figure(good / len(during), self.share)} of {count} were yes" if during else silent
        if mute:
            figures += f" (not counted: {plural(mute, 'question')} that could not be asked)"
        lines = sum(each.begun_in(window.pieces) for each in missing.values())
        unasked = sum(unmade_of({self.called: asked}, piece) for piece in window.pieces)
        if void := self._before(history, asked, answered, whole if window.decided is None else window):
            return Report(void, details=details)
        early = before_the_bite(history, window)
        points = [
            *judge_gap(history, self.gap, longest, gaps, of, window),
            *early_gaps(history, self.gap, self.called, answered, early, window.pieces),
        ]
        if len(during) < FEWEST:
            when = window.when if window.named else "while things were broken"
            few = f"only {plural(len(during), 'answer')} of the probe {self.called} {when}; {FEWEST} are needed for a share"
            needed = FEWEST * pace([op.begun for op in asked])
            points.append(unknown(f"{few}: {window.short(needed)}" if window.named and window.length < needed else few))
        else:
            counts, before = (good, len(during), unasked + mute, lines), [op for op in answered if early.start <= op.begun < early.end]
            no = [op for op in during if not op.ok]
            unsure, usual = _unsure(mute, unasked), usually(history, answered, during, window.length)
            points += judge_share(history, self.share, figures, counts, window, bad=no, early=before, usual=usual, unsure=unsure)
        worst = worst_of(history, gaps, of) or longest
        held = f"{figures} (promised {figure(self.share)}); {worst.text} (allowed {given(self.gap)})"
        if longest.interval.length > (worst.within or worst.interval).length:
            gap = longest.interval
            held += f"; for {lasted(gap.length)} from {at(gap.start)} there was no good answer either, and nobody could ask all along"
        return Report(points, held, details)

    def _before(self, history: History, asked: Sequence[Op], answered: Sequence[Op], judged: Window) -> list[Point]:
        """Say that it was not so before anything was broken, or before the fault whose time is judged, or that nobody knows."""
        since = before_the_bite(history, judged).start
        first = judged.whose or "the first fault"
        last = served(answered, since)
        if last.refused:
            return [unknown(f"the probe {self.called} said no before {first} was made (at {at(since)}): then it shows nothing of it")]
        if last.good is None:
            return [unknown(f"the probe {self.called} had no answer before {first} was made (at {at(since)})")]
        if long_ago(last.at, since, [op.begun for op in asked]):
            return [unknown(f"the probe {self.called} had no answer from {at(last.at)} until {first} was made (at {at(since)})")]
        return []


def _unsure(mute: int, unasked: float) -> str:
    """Say whose answers could turn a share: of questions that could not be asked, which the figures tell, and of those that were not made."""
    due = f"some {unasked:.0f} more that were due" if unasked >= 0.5 else ""  # noqa: PLR2004 - what rounds to none
    if not mute:
        return f"{due or 'some that were due'} were never asked"
    return "nobody knows what the answers to those would have been" + (f", nor to {due} and were never asked" if due else "")
