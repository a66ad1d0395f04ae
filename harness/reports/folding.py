"""What comes and goes many times, told together: afterwards over a whole list of moments, and as it happens.

Told each time are faults, placements, leaders and whatever a verdict stands on; only what is sampled flaps (`Moment.about`).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from harness.core.figures import at, lasted
from harness.reports.moments import Moment

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from harness.reports.moments import Flap

FEW_TIMES = 6
"""What came and went no more often is told each time."""

FIRST_TIMES = 3
"""As it happens: so often it is told, then only how often."""
AGAIN_SECONDS = 60.0
"""How long what flaps is held back before it is told how often it came; after as long a time without it, it is new."""
LONG_SECONDS = 5.0
"""What goes on for so long is told at once, however often it came before."""

Key: TypeAlias = tuple[str, str]


def folded(moments: Sequence[Moment], keep: Collection[int] = ()) -> list[Moment]:
    """Tell together what came and went many times, at its first time; everything else stays.

    `keep` are the ids of moments that stay whatever they are about.
    """
    groups: dict[Key, list[Moment]] = {}
    for each in moments:
        if each.about is not None and id(each) not in keep:
            groups.setdefault(each.about.key, []).append(each)
    many = {key: group for key, group in groups.items() if _times(group) > FEW_TIMES}
    left: list[Moment] = []
    told: set[Key] = set()
    for each in moments:
        key = each.about.key if each.about is not None and id(each) not in keep else None
        if key is None or key not in many:
            left.append(each)
        elif key not in told:
            told.add(key)
            left.append(_together(many[key]))
    return left


def _over(group: Iterable[Moment]) -> list[tuple[float, float]]:
    """Return how long each time lasted that is over, and from when."""
    return [
        (each.about.lasted, each.time - each.about.lasted) for each in group if each.about is not None and each.about.lasted is not None
    ]


def _times(group: Sequence[Moment]) -> int:
    """Return how often something came: it may be told as it begins, as it ends, or both."""
    over = len(_over(group))
    return max(over, len(group) - over)


def _together(group: Sequence[Moment]) -> Moment:
    """Give many moments about one thing as one."""
    first, last = group[0], group[-1]
    about = first.about
    if about is None or not about.subject:
        text = f"{first.what}; {len(group) - 1} more notes like it until {at(last.time)}"
        return Moment(first.time, f"{text}; history.jsonl has them all", "quiet")
    longest, start = max(_over(group), default=(0.0, 0.0))
    most = f", for {lasted(longest)} at the longest (from {at(start)})" if longest else ""
    return Moment(
        first.time, f"{about.subject} {about.what} {_times(group)} times until {at(last.time)}{most}; history.jsonl has them all", "bad"
    )


@dataclass(slots=True)
class _Flapping:
    """One thing that comes and goes: what of it was told, and what is held back."""

    times: int = 0  # since it was new
    ended: float = 0.0  # when it last was over
    open: Moment | None = None  # it goes on, and that was not told
    told: bool = False  # it goes on, and that was told
    held: int = 0  # times that were not told
    since: float = 0.0  # when the first of them was over
    longest: float = 0.0
    last: Moment | None = None

    def rest(self, now: float) -> Iterator[Moment]:
        """Tell, as a moment of now, how often it came since it was last told."""
        if self.last is None or not self.held:
            return
        about, time = self.last.about, self.last.time
        if about is not None and about.subject:
            text = f"{about.subject} {about.what} {_more(self.held)} until {at(time)}, for {lasted(self.longest)} at the longest"
            yield Moment(now, text, "bad")
        else:
            yield dataclasses.replace(self.last, time=now, what=f"{self.last.what}; {_more(self.held)} like it since {at(self.since)}")
        self.held, self.longest = 0, 0.0


class Folding:
    """Lets moments through as they come, but for what flaps: that is told a few times, then now and then how often it came. Not safe for threads."""

    def __init__(self) -> None:
        self._known: dict[Key, _Flapping] = {}

    def feed(self, now: float, moments: Iterable[Moment]) -> list[Moment]:
        """Return what is to be told now; `moments` are those that just came."""
        told = [each for state in self._known.values() for each in self._due(state, now)]
        told += [each for each in moments if each.about is None or self._passes(each, each.about)]
        return sorted(told, key=lambda each: each.time)

    def rest(self, now: float) -> list[Moment]:
        """Return what is still held back, at the end: as moments of then, for whoever prints them has told what came before."""
        held: list[Moment] = []
        for state in self._known.values():
            held += [*state.rest(now), *([dataclasses.replace(state.open, time=now)] if state.open else [])]
        return held

    @staticmethod
    def _due(state: _Flapping, now: float) -> Iterator[Moment]:
        """Tell what has gone on for long, and how often it came where that was held back for long."""
        if state.open is not None and now - state.open.time >= LONG_SECONDS:
            yield from state.rest(now)
            yield dataclasses.replace(state.open, time=now)
            state.open, state.told = None, True
        elif state.held and now - state.since >= AGAIN_SECONDS:
            yield from state.rest(now)

    def _passes(self, moment: Moment, about: Flap) -> bool:
        """Take note of a moment, and say whether it is told."""
        state = self._known.setdefault(about.key, _Flapping())
        if moment.time - state.ended >= AGAIN_SECONDS and not state.held:
            state.times = 0
        if about.subject and about.lasted is None:
            state.told = state.times < FIRST_TIMES
            state.open = None if state.told else moment
            return state.told
        told = state.told or (state.times < FIRST_TIMES and state.open is None)
        state.times, state.ended = state.times + 1, moment.time
        state.open, state.told = None, False
        if not told:
            state.since = state.since if state.held else moment.time
            state.held, state.last = state.held + 1, moment
            state.longest = max(state.longest, about.lasted or 0.0)
        return told


def _more(number: int) -> str:
    return "once more" if number == 1 else f"{number} times more"
