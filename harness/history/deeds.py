"""What was done in a run on purpose: its actions, each with its beginning and its end, and what of a cluster they changed for how long. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from harness.core.values import Effect, Outcome
from harness.history.events import Acted
from harness.history.intervals import Interval, app_of, united

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from harness.history.events import Entry, History

K = TypeVar("K")

_DIGITS = 10
"""No app has as many instances as a number of so many digits says."""


@dataclass(frozen=True, slots=True)
class Deed:
    """One action of a run. What was never ended is in doubt from its beginning on."""

    number: int
    name: str
    targets: tuple[str, ...]
    begun: float
    ended: float | None
    outcome: Outcome  # unknown, too, where its end was never told
    may_fail: bool
    effect: Effect
    was: Mapping[str, int]  # app → how many instances were to run before
    detail: str
    entries: tuple[int, ...]

    def over(self, end: float) -> float:
        """Return when it was over, or `end` where that was never told."""
        return end if self.ended is None else max(self.begun, self.ended)


def deeds(history: History) -> tuple[Deed, ...]:
    """Return every action of a run, in the order in which they began."""
    return history.once(deeds, lambda: _deeds(history))


def _deeds(history: History) -> tuple[Deed, ...]:
    told: dict[int, list[tuple[Entry, Acted]]] = {}
    for entry, event in history.each(Acted):
        told.setdefault(event.number, []).append((entry, event))
    found = []
    for number, words in told.items():
        (first, begun), (last, ended) = words[0], words[-1]
        found.append(
            Deed(
                number,
                begun.name,
                begun.targets,
                first.time,
                None if ended.outcome is None else last.time,
                ended.outcome or Outcome.UNKNOWN,
                begun.may_fail,
                begun.effect,
                begun.was,
                ended.detail,
                tuple(entry.index for entry, _ in words),
            )
        )
    return tuple(sorted(found, key=lambda each: each.begun))


def under_way(every: Sequence[Deed], end: float) -> list[Interval]:
    """Return when actions that upset a cluster were being done, or may have been."""
    return united(Interval(each.begun, each.over(end)) for each in every if each.effect.upsets)


def upset(every: Sequence[Deed], end: float) -> list[Interval]:
    """Return when actions kept a cluster from what it promises, or may have: while they were done, and while a daemon was stopped by one.

    A daemon that was stopped is there again once an action that starts it has succeeded on that node, and not before. Where enough is left without
    it, only the stop itself may be why something did not come (`under_way`).
    """
    return united([*under_way(every, end), *(each for pieces in down(every, end).values() for each in pieces)])


def down(every: Sequence[Deed], end: float) -> dict[tuple[str, str], list[Interval]]:
    """Return when which daemon (node and daemon) was stopped by an action, or may have been."""
    return _lasted(
        every,
        end,
        lambda each: [(node, part) for node in each.targets for part in each.effect.stops],
        lambda each: [(node, part) for node in each.targets for part in each.effect.starts],
    )


def closed(every: Sequence[Deed], end: float) -> dict[str, list[Interval]]:
    """Return when which node was to have no work by an action, or may have been."""
    return _lasted(
        every,
        end,
        lambda each: each.targets if each.effect.moves else (),
        lambda each: each.targets if each.effect.opens else (),
    )


def _lasted(
    every: Sequence[Deed], end: float, begins: Callable[[Deed], Iterable[K]], ends: Callable[[Deed], Iterable[K]]
) -> dict[K, list[Interval]]:
    """Return how long what actions begin lasted: from the beginning of one that may have done it to the end of one that surely ended it."""
    since: dict[K, float] = {}
    found: dict[K, list[Interval]] = {}
    for each in every:
        if each.outcome is not Outcome.FAIL:
            for key in begins(each):
                since.setdefault(key, each.begun)
        if each.outcome is Outcome.OK:
            for key in ends(each):
                if key in since:
                    found.setdefault(key, []).append(Interval(since.pop(key), each.over(end)))
    for key, begun in since.items():
        found.setdefault(key, []).append(Interval(begun, max(begun, end)))
    return found


def lasting(every: Sequence[Deed], end: float) -> list[str]:
    """Say what actions did that nothing undid: what is stopped, who has no work, how many of an app run, and what else was done; for people."""
    sure = {each.number: each.outcome is Outcome.OK for each in every}

    def did(node: str, does: Callable[[Deed], bool]) -> str:
        """Say "may have been" of what no action is known to have done on a node."""
        return "was" if any(sure[each.number] and node in each.targets and does(each) for each in every) else "may have been"

    found = [
        f"{part} {did(node, lambda each, part=part: part in each.effect.stops)} stopped on {node}"  # type: ignore[misc]
        for (node, part), pieces in down(every, end).items()
        if pieces[-1].end >= end
    ]
    found += [
        f"{node} {did(node, lambda each: each.effect.moves)} emptied, and is to have no work"
        for node, pieces in closed(every, end).items()
        if pieces[-1].end >= end
    ]
    for app, changes in Wanted.of(every).changes.items():
        last, first = changes[-1].effect.runs[app], changes[0].was.get(app)
        if last != first:
            may = "" if sure[changes[-1].number] else "may have been "
            found.append(f"{app} {may or 'was '}scaled to {last}" + (f" from {first}" if first is not None else ""))
    for each in every:
        known = each.effect.runs or each.effect.stops or each.effect.starts or each.effect.moves or each.effect.opens
        if not known and each.outcome is not Outcome.FAIL:
            whom = f" on {' '.join(each.targets)}" if each.targets else ""
            found.append(f"{each.name} was done{whom}" + ("" if sure[each.number] else ", or may have been"))
    return found


def number_of(instance: str) -> int | None:
    """Return the number of an instance, e.g. 1 of ``web@1``; None for a name that no instance of ours has."""
    number = instance.rpartition("@")[2]
    return int(number) if "@" in instance and number.isascii() and number.isdecimal() and len(number) < _DIGITS else None


@dataclass(frozen=True, slots=True)
class Wanted:
    """How many instances of each app are to run when, as far as actions changed that; of all others the plan says it."""

    changes: Mapping[str, Sequence[Deed]]  # app → the actions that changed its number, in order; those that surely were not done left out

    @classmethod
    def of(cls, every: Sequence[Deed]) -> Wanted:
        """Gather it from the actions of a history."""
        changes: dict[str, list[Deed]] = {}
        for each in every:
            for app in each.effect.runs if each.outcome is not Outcome.FAIL else ():
                changes.setdefault(app, []).append(each)
        return cls(changes)

    def least(self, app: str, time: float, planned: int) -> int:
        """Return how many instances of an app must run at a moment, at least; while a change is on its way, or in doubt, the lower number."""
        return min(self._numbers(app, time, planned))

    def most(self, app: str, planned: int) -> int:
        """Return how many instances of an app may ever run."""
        return max([planned, *(each.effect.runs[app] for each in self.changes.get(app, ()))])

    def due(self, instance: str, end: float) -> list[Interval] | None:
        """Return when an instance must run; None where no action changed that: then it must all along.

        From the end of the action that asked for it, until the beginning of the one that takes it away.
        """
        app, number = app_of(instance), number_of(instance)
        if not (changes := self.changes.get(app)) or number is None:
            return None
        found: list[Interval] = []
        since: float | None = -math.inf if number <= changes[0].was.get(app, 0) else None
        for each in changes:
            if number <= each.effect.runs[app]:
                since = each.ended if since is None and each.outcome is Outcome.OK else since
            elif since is not None:
                found.append(Interval(since, max(since, each.begun)))
                since = None
        return found if since is None else [*found, Interval(since, max(since, end))]

    def _numbers(self, app: str, time: float, planned: int) -> set[int]:
        numbers = {planned}
        for each in self.changes.get(app, ()):
            if time < each.begun:
                break
            sure = each.outcome is Outcome.OK and each.ended is not None and each.ended <= time
            numbers = {each.effect.runs[app]} if sure else {*numbers, each.effect.runs[app]}
        return numbers
