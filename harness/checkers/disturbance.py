"""What other faults, and actions, do to the time in which one is in force: each is judged by itself, and what they disturb is allowed for."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.core.figures import at
from harness.history.bands import biting, not_surely
from harness.history.deeds import deeds, down, under_way
from harness.history.intervals import Interval, united, without

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from harness.history.absence import Absence
    from harness.history.bands import Band
    from harness.history.events import History
    from harness.history.intervals import Span


@dataclass(frozen=True, slots=True)
class Shock:
    """A time in which another fault bites, is mended, or may do either, or in which an action upsets the cluster.

    Until an election after it, it may have set off what happens.
    """

    band: Band | None  # None for an action
    interval: Interval
    what: str  # half a sentence
    judged: bool  # whether what it sets off is held against that fault: it bites, and is surely in force from then on


@dataclass(frozen=True, slots=True)
class Disturbance:
    """What other faults do to one; nothing, where none is near."""

    election: float  # seconds that one takes at most
    shocks: tuple[Shock, ...]  # in order, those whose elections reach into its life; also of a fault that was over before
    lives: tuple[Interval, ...]  # of all others, whenever they were, and of what actions upset
    held: tuple[tuple[Interval, frozenset[str]], ...]  # when it, and each of the others, was in force, and who was lost to it then

    def allowed(self) -> list[Interval]:
        """Return the time in which an election may be under way for the sake of others."""
        return united(Interval(each.interval.start, each.interval.end + self.election) for each in self.shocks)

    @property
    def doubtful(self) -> list[Shock]:
        """The shocks that excuse, and acquit of nothing: actions, and what goes on for longer than an election and is held against nobody."""
        return [each for each in self.shocks if each.band is None or (not each.judged and each.interval.length > self.election)]

    def surely_allowed(self) -> list[Interval]:
        """Return the part of that which is allowed for whatever was meant to happen: of what goes on for long the beginning and the end."""
        pieces = []
        for each in self.shocks:
            if each not in self.doubtful:
                pieces.append(Interval(each.interval.start, each.interval.end + self.election))
            elif each.band is not None:
                pieces += [Interval(time, time + self.election) for time in (each.interval.start, each.interval.end)]
        return united(pieces)

    def quiet(self, part: Interval, *, surely: bool = False) -> list[Interval]:
        """Return the stretches of a time in which the others do nothing: each from the end of a shock to the beginning of the next.

        With `surely` what is `doubtful` does nothing, either.
        """
        found, since = [], part.start
        for each in (shock.interval for shock in self.shocks if not surely or shock not in self.doubtful):
            if each.start >= part.end:
                break
            if each.start > since:
                found.append(Interval(since, each.start))
            since = max(since, each.end)
        return [*found, Interval(since, part.end)] if since < part.end else found

    def why(self, part: Interval) -> str:
        """Say what of all that is doubtful may be why something lasted for some time; nothing where nothing may."""
        return next((each.what for each in self.doubtful if each.interval.start <= part.end and part.start <= each.interval.end), "")

    def alone(self, part: Interval) -> list[Interval]:
        """Return the stretches of a time in which no other fault is there, nor has been for as long as an election takes."""
        return without([part], [Interval(each.start, each.end + self.election) for each in self.lives])

    def lost(self, part: Interval) -> frozenset[str]:
        """Return who is lost to any fault for all of a time."""
        covered = (lost for held, lost in self.held if held.start <= part.start and part.end <= held.end)
        return frozenset[str]().union(*covered)

    def clear(self, part: Interval) -> list[Interval]:
        """Return the stretches of a time in which what is so is the doing of faults that are judged by it: nothing of another is being mended.

        Nor was just now, and none may be there of which nobody knows when it was in force.
        """
        aftermath = [each.interval for each in self.shocks if not each.judged]
        return without([part], [Interval(each.start, each.end + self.election) for each in aftermath])

    def may_have_set_off(self, time: float) -> list[Shock]:
        """Return the shocks of which what happened at some time may be the doing."""
        return [each for each in self.shocks if each.interval.start <= time <= each.interval.end + self.election]


def disturbance(
    history: History, band: Band, bands: Sequence[Band], spans: Mapping[str, Sequence[Span]], election: float, electorate: Electorate
) -> Disturbance:
    """Say what all faults of a run do to one of them. What bites, and what is healed, may set off an election each, of so many seconds at most.

    Also one that was over when it was decided, and one that never was in force: what of that was made, and when, nobody knows. A daemon that an
    action stopped may be why something does not come for as long as it leaves the members no majority; elsewhere only its stop and its start may be.
    """
    life = band.life(history.end)
    others = [each for each in bands if each.fault != band.fault and each.was_there]
    done = united([*under_way(deeds(history), history.end), *no_majority(history, electorate)])
    shocks = [shock for each in others for shock in _shocks(each, spans, history.end)]
    shocks += [Shock(None, each, f"something was done from {at(each.start)} on", judged=False) for each in done]
    near = [each for each in shocks if each.interval.start < life.end and each.interval.end + election > life.start]
    held = [(over, each) for each in (band, *others) if (over := each.held(history.end))]
    return Disturbance(
        election,
        tuple(sorted(near, key=lambda each: each.interval)),
        (*(each.life(history.end) for each in others), *done),
        tuple((Interval(min(biting(each, spans).end, over.start), over.end), frozenset(each.lost)) for over, each in held),
    )


@dataclass(frozen=True, slots=True)
class Electorate:
    """Who makes up a quorum, by which daemon, and who of them may be lost to faults."""

    members: frozenset[str]
    daemon: str
    absence: Absence


def no_majority(history: History, electorate: Electorate) -> list[Interval]:
    """Return when members whose daemon was stopped by actions, and those lost to faults, left no majority that neither of them would have taken."""
    every = down(deeds(history), history.end)
    stopped = {node: pieces for (node, part), pieces in every.items() if part == electorate.daemon and node in electorate.members}
    edges = sorted(
        {*electorate.absence.edges, *(time for pieces in stopped.values() for each in pieces for time in (each.start, each.end))}
    )
    found = []
    for early, late in itertools.pairwise(edges):
        then = (early + late) / 2.0
        gone = {node for node, pieces in stopped.items() if any(each.holds(then) for each in pieces)}
        if gone and 2 * len(electorate.members - gone - electorate.absence.at(then)) <= len(electorate.members):
            found.append(Interval(early, late))
    return found


def _shocks(band: Band, spans: Mapping[str, Sequence[Span]], end: float) -> Iterable[Shock]:
    life, bite = band.life(end), biting(band, spans)
    # It may have bitten some time before that was seen, and not before it was decided.
    since = min(band.begins, bite.start)
    if band.in_force is None:
        what = f"another fault ({band.name}) that never was in force may have been there for some time from {at(life.start)} on"
        yield Shock(band, life, what, judged=False)
        return
    if not_surely(band, spans, end):
        what = f"another fault ({band.name}) bit at {at(bite.start)}, and may have been over at any time since"
        yield Shock(band, Interval(since, max(since, life.end)), what, judged=False)
        return
    yield Shock(band, Interval(since, bite.end), f"another fault ({band.name}) bit at {at(bite.start)}", judged=True)
    mended = band.healed if band.healing is None else band.healing
    if mended is not None:
        heal = Interval(mended, max(mended, life.end))
        yield Shock(band, heal, f"another fault was healed from {at(mended)} on", judged=False)
