"""Whether the quorum kept its word: one leader a term, writes as promised, leadership where it was expected."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, Literal

from harness.checkers import flow, leadership
from harness.checkers.disturbance import Electorate, disturbance
from harness.checkers.effects import went_on
from harness.checkers.expected import Expected
from harness.checkers.judging import SHOWN, conclude, doubted, unknown
from harness.checkers.mandate import ELECTION, impossible_answers, impossible_leaders, members_planned
from harness.checkers.terms import broken_terms
from harness.checkers.windows import all_there, never_in_force, never_made
from harness.core.units import Names
from harness.core.values import About, CallStream, Finding, Json
from harness.history.absence import Absence
from harness.history.bands import fault_bands, not_surely
from harness.history.events import History
from harness.history.intervals import neat, node_spans
from harness.history.leaders import led_by, silenced
from harness.history.reigns import Reign, reigns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.checkers.judging import Point
    from harness.history.bands import Band


@dataclass(frozen=True, slots=True)
class QuorumSurvived:
    """Never two leaders in one term, and no term that goes back; and, where asked, what happens to writes and leadership while a fault is in force.

    `writes`: "go on" (after `election` seconds for an election, an acknowledged write at least every so many seconds), "stop" (none that was begun
    later than 1 s after the fault has bitten is acknowledged before healing, nor one begun after the bite later than 2 s after it; after healing they
    return), "slow" (median latency five times that of before, or none acknowledged; after healing they return). `leader`: "moves" or "stays", from
    what it was when the fault was decided; what is lost before that is known to have bitten shows nothing of it, nor does leadership that had moved
    by itself in as long a time before anything was broken. Each is judged for every fault, from when it had taken the last of its targets away, which
    may be before it is in force (`harness.history.bands.biting`), until healing begins, and on nothing else: what is acknowledged after that shows
    nothing of it. Nor does what is acknowledged, or led, by one who has no majority then (`harness.checkers.mandate`). Writes may pause for
    `election` seconds from the bite, and a majority may follow nobody for so long at a time. Only whom it follows counts from the first target on. A
    fault that was in force too shortly for the answer is unknown, with how long it would have to be; writes that were acknowledged until the end of a
    short hold, several of them since their longest pause, did go on. A process that is killed and started again by its own supervisor counts as in
    force until we mend it: what comes back is another process. `election` is how long the mode's members may take to elect; the plan fills it in, and
    who is `expected`, not the scenario.

    Where faults overlap, or follow each other, each is judged on its own window, with the disturbances of the others in it allowed for: from when
    another bites, or begins to be healed, writes may pause and nobody may lead for `election` seconds more. Where leadership moves in that time, the
    other may have moved it: that is no evidence that it `moves` for this one, unless its leader was lost to this one and led until then; nor that it
    does not stay, unless the other bit as well, and ought to answer for the same move. Writes that stop, or are slow, show nothing while another is
    being mended, or just was. Of one that never was in force, or that may have been over at any time, nobody knows when it bit and healed. What was
    usual before is from when no fault was there, nor had been for an election.

    With `during` only these faults are judged so, and with `outside` all but these; the terms are those of the whole run in any case.
    """

    name: ClassVar[str] = "quorum"
    about: ClassVar[About] = About(CallStream.QUORUM, asked="writes")
    takes: ClassVar[tuple[str, ...]] = ("Quorum",)
    writes: Literal["", "go on", "stop", "slow"] = ""
    leader: Literal["", "moves", "stays"] = ""
    election: float = ELECTION
    expected: Expected = field(default_factory=Expected)
    during: Names = ()
    outside: Names = ()

    def __post_init__(self) -> None:
        """Raise `ValueError` for a time of which nothing is asked, or which two say."""
        given = " and ".join(name for name, names in (("during", self.during), ("outside", self.outside)) if names)
        if self.during and self.outside:
            raise ValueError(f"found {given}, expected one of them: each fault is judged by itself, or not at all")
        if given and not (self.writes or self.leader):
            raise ValueError(f"found {given} with neither writes nor leader, expected one of these: terms are judged over the whole run")

    def check(self, history: History) -> Finding:
        """Return held, broken, or unknown where the membership was never seen or nothing was tried; details hold terms, leaders and writes."""
        faults = fault_bands(history)
        bands = [band for band in faults if band.in_force is not None]
        judged, doubts = self._chosen(history, bands)
        members = members_planned(history, self.expected)
        every = reigns(history, members)
        spans = node_spans(history)
        said: list[str] = ["never two leaders in one term"]
        points = [*broken_terms(history), *doubts]
        if not any(reign.leader for reign in every):
            points.append(unknown("no majority of the members was ever seen to follow a leader"))
        if (self.writes or self.leader) and not judged and not doubts:
            points.append(never_in_force(self.outside))
        absence = Absence.of(history, self.expected.voters)
        gone, electorate = absence.unable, Electorate(frozenset(members), self.expected.voters.daemon, absence)
        absent = (*gone, *silenced(history, bands, self.expected.voters.daemon))
        details: dict[str, Json] = {"leaders": [_reign_json(reign) for reign in led_by(every, absent)[:SHOWN]]}
        impossible = impossible_leaders(history, every, gone, self.election, self.expected) if self.leader else []
        # What was acknowledged by one who is cut off is what writes that stop are judged by; to all else it bears no witness.
        stray = [
            each
            for each in impossible_answers(history, gone, spans, self.expected, self.election)
            if each.op.call.function == "write" and not (each.cut and self.writes == "stop")
        ]
        for band, called in judged:
            found: list[Point] = []
            over = not_surely(band, spans, history.end)
            disturbed = disturbance(history, band, faults, spans, self.election, electorate)
            if self.writes:
                report = flow.judge_writes(self.writes, self.election, history, band, spans, stray, disturbed, electorate)
                found += [doubted(point, over) for point in report.points]
                said.append(f"{called}{report.held}")
                details[f"writes_fault_{band.fault}"] = report.details
            if self.leader:
                promised = leadership.Promised(self.leader, self.election, self.expected)
                report = leadership.judge_leadership(promised, history, band, spans, every, absent, disturbed, absence.nobody)
                strange = leadership.strange(promised, band, every, impossible, history.end)
                found += [unknown(text, reign.entry) for reign, text in strange]
                over = next((text for _, text in strange), over)
                if self.leader == "moves":  # what did nothing moves nothing
                    over = over or next(iter(went_on(history, band, spans, self.expected).values()), "")
                found += [doubted(point, over) for point in report.points]
                said.append(f"{called}{report.held}")
            points += [replace(point, text=f"{called}{point.text}") for point in found]
        return conclude(self.name, history, points, "; ".join(said), details)

    def _chosen(self, history: History, bands: Sequence[Band]) -> tuple[list[tuple[Band, str]], list[Point]]:
        """Return which of the faults that were in force are judged, each with what its findings begin with, and what is not known of others."""
        numbers = self.expected.numbers
        if not all_there(history, self.outside, numbers):
            return [], never_made(history, self.outside, numbers)
        if not self.during:
            spared = {number for name in self.outside for number in numbers.get(name, ())}
            return [(band, "") for band in bands if band.fault not in spared], never_made(history, self.outside, numbers)
        there = {band.fault: band for band in bands}
        named = [(number, name) for name in self.during for number in numbers.get(name, ()) if number in there]
        return [(there[number], f"{name}: ") for number, name in named], never_made(history, self.during, numbers)


def _reign_json(reign: Reign) -> Json:
    return {"from": neat(reign.start), "to": neat(reign.end), "term": reign.term, "leader": reign.leader}
