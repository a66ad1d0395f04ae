"""What was done in a run on purpose: its actions, each with its beginning and its end, and what of a cluster they changed for how long. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from harness.core.instances import app_of, number_of
from harness.core.values import HERE, Effect, NodeState, Outcome
from harness.history.events import Acted, ApiSeen, MemberSeen, NodeSeen
from harness.history.intervals import Interval, united

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from harness.history.events import Entry, History

K = TypeVar("K")

STARTING = ("docker", "containerd")
"""The daemons that run where a container of ours starts."""
TAKING = ("fleetd", "mesos-agent")
"""The daemons that run where one starts that the orchestrator gave to that node: one that was there before another may have started anew."""
MEMBERS = ("etcd", "zookeeper")
"""The daemons that run where a member follows somebody."""

OLD = 3.0
"""Seconds that a word may be old when it is told: an answer takes 2 s at most, and is then written down."""


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
    again: Mapping[tuple[str, str], float] = field(default_factory=dict)  # (node, daemon) that it stopped → when that was seen to run again

    @property
    def nodes(self) -> frozenset[str]:
        """The nodes that it was done on; none where it was done on none, or on this machine: then it may be felt on any."""
        return frozenset(self.targets) - {HERE}

    def reaches(self, node: str) -> bool:
        """Whether it may be felt on a node by what it did there."""
        return not self.nodes or node in self.nodes

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
                _again(history, begun, None if ended.outcome is None else last.time),
            )
        )
    return tuple(sorted(found, key=lambda each: each.begun))


def _again(history: History, stop: Acted, ended: float | None) -> dict[tuple[str, str], float]:
    """Return when daemons that an action stopped were seen to run again, which somebody else may have started.

    By what they alone do (`STARTING`, `TAKING`, `MEMBERS`); and a machine that was off starts all of them anew. What may still be from before the end
    of the action says nothing.
    """
    places = [(node, part) for node in stop.targets for part in stop.effect.stops]
    if not places or ended is None:
        return {}
    seen = history.once(_signs, lambda: _signs(history))
    found = {place: [each.end for each in seen.get(place, ()) if each.start > ended] for place in places}
    return {place: min(times) for place, times in found.items() if times}


def _signs(history: History) -> dict[tuple[str, str], list[Interval]]:
    """Return when which daemon of which node was seen to run, or to be about to: since when it surely was so, and when it was told."""
    found: dict[tuple[str, str], list[Interval]] = {}
    ran: dict[str, set[str]] = {}
    given = _given(history)
    every = {part for _, action in history.each(Acted) for part in action.effect.stops}
    for entry, seen in history.each(NodeSeen):
        new = [each for each in seen.containers if each.instance and each.id not in ran.get(seen.node, set())]
        if seen.state is NodeState.OFF:
            for part in every:
                found.setdefault((seen.node, part), []).append(Interval(entry.time, entry.time))
        elif new and seen.node in ran:
            for part in STARTING:
                found.setdefault((seen.node, part), []).append(Interval(entry.time - OLD, entry.time))
            shown = [each.start for one in new for each in given.get((one.instance, seen.node), ()) if each.holds(entry.time)]
            for part in TAKING:
                found.setdefault((seen.node, part), []).extend(Interval(since - OLD, entry.time) for since in shown)
        ran.setdefault(seen.node, set()).update(each.id for each in new)
    for entry, word in history.each(MemberSeen):
        if word.leader is not None and not word.error:
            for part in MEMBERS:
                found.setdefault((word.node, part), []).append(Interval(entry.time - OLD, entry.time))
    return found


def _given(history: History) -> dict[tuple[str, str], list[Interval]]:
    """Return when APIs showed which instance on which node, without showing it elsewhere in between."""
    found: dict[tuple[str, str], list[Interval]] = {}
    home: dict[str, tuple[str, float]] = {}
    for entry, event in history.each(ApiSeen):
        for each in event.view.placements if event.view is not None else ():
            node, since = home.get(each.instance, ("", entry.time))
            if each.node and each.node != node:
                found.setdefault((each.instance, node), []).append(Interval(since, entry.time))
                home[each.instance] = (each.node, entry.time)
    for instance, (node, since) in home.items():
        found.setdefault((instance, node), []).append(Interval(since, max(since, history.end)))
    return found


def under_way(every: Sequence[Deed], end: float, *apps: str) -> list[Interval]:
    """Return when actions that upset a cluster, or one of these apps, were being done, or may have been."""
    of_apps = [each for app, pieces in renewed(every, end).items() if app in apps for each in pieces]
    return united([*(Interval(each.begun, each.over(end)) for each in every if each.effect.upsets), *of_apps])


def renewed(every: Sequence[Deed], end: float) -> dict[str, list[Interval]]:
    """Return when which app's instances were stopped and started anew by an action, or may have been.

    Of one in doubt nobody knows when it was over, until another had success.
    """

    def renews(each: Deed) -> tuple[str, ...]:
        return each.effect.renews

    return _lasted(every, end, lambda each: dict.fromkeys(renews(each), math.inf), renews)


def taken(every: Sequence[Deed], instance: str, node: str, end: float) -> list[Interval]:
    """Return when actions that surely were done took an instance from a node: what was seen to stop there then stopped by them.

    What is over only when the instance runs again took it before that; what else takes one may be seen to have done so a little later.
    """
    app, number = app_of(instance), number_of(instance) or 0
    sure = [each for each in every if each.outcome is Outcome.OK]
    found = [Interval(each.begun, each.over(end)) for each in sure if app in each.effect.renews]
    for each in sure:
        emptied = node in each.targets and (each.effect.moves or not {*STARTING}.isdisjoint(each.effect.stops))
        if emptied or number > each.effect.runs.get(app, number):
            found.append(Interval(each.begun, each.over(end) + OLD))
    return found


def upset(every: Sequence[Deed], end: float, *apps: str) -> list[Interval]:
    """Return when actions kept a cluster, or one of these apps, from what it promises, or may have.

    While they were done, and while a daemon was stopped by one.
    A daemon that was stopped is there again once an action that starts it has succeeded on that node, or once it was seen to run again, and not
    before. Where enough is left without it, only the stop itself may be why something did not come (`under_way`).
    """
    return united([*under_way(every, end, *apps), *(each for pieces in down(every, end).values() for each in pieces)])


def down(every: Sequence[Deed], end: float) -> dict[tuple[str, str], list[Interval]]:
    """Return when which daemon (node and daemon) was stopped by an action, or may have been."""
    return _lasted(
        every,
        end,
        lambda each: {(node, part): each.again.get((node, part), math.inf) for node in each.targets for part in each.effect.stops},
        lambda each: [(node, part) for node in each.targets for part in each.effect.starts],
    )


def closed(every: Sequence[Deed], end: float) -> dict[str, list[Interval]]:
    """Return when which node was to have no work by an action, or may have been."""
    return _lasted(
        every,
        end,
        lambda each: dict.fromkeys(each.targets if each.effect.moves else (), math.inf),
        lambda each: each.targets if each.effect.opens else (),
    )


def _lasted(
    every: Sequence[Deed], end: float, begins: Callable[[Deed], Mapping[K, float]], ends: Callable[[Deed], Iterable[K]]
) -> dict[K, list[Interval]]:
    """Return how long what actions begin lasted: from the beginning of one that may have done it to the end of one that surely ended it.

    Or until it was seen to be over, which `begins` says of each.
    """
    since: dict[K, Interval] = {}
    found: dict[K, list[Interval]] = {}

    def over(key: K, time: float) -> None:
        going = since.pop(key)
        found.setdefault(key, []).append(Interval(going.start, max(going.start, min(going.end, time))))

    for each in every:
        for key in [key for key, going in since.items() if going.end <= each.begun]:
            over(key, each.begun)
        if each.outcome is not Outcome.FAIL:
            for key, until in begins(each).items():
                since[key] = Interval(since[key].start if key in since else each.begun, until)
        if each.outcome is Outcome.OK:
            for key in ends(each):
                if key in since:
                    over(key, each.over(end))
    for key in [*since]:
        over(key, end)
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
            found.append(f"{app} {may or 'was '}{_done_to(first, last)}")
    found += [f"{app} may still be stopped and started anew" for app, pieces in renewed(every, end).items() if pieces[-1].end >= end]
    for app in dict.fromkeys(app for each in every if each.outcome is not Outcome.FAIL for app in each.effect.alters):
        may = "" if any(sure[each.number] and app in each.effect.alters for each in every) else "may have been "
        found.append(f"{app} {may or 'was '}given another image or environment")
    for each in every:
        known = each.effect.renews or each.effect.runs or each.effect.stops or each.effect.starts or each.effect.moves or each.effect.opens
        if not known and each.outcome is not Outcome.FAIL:
            whom = f" on {' '.join(each.targets)}" if each.targets else ""
            found.append(f"{each.name} was done{whom}" + ("" if sure[each.number] else ", or may have been"))
    return found


def _done_to(first: int | None, last: int) -> str:
    """Say what became of an app that had so many instances at first, where that is known, and has so many at last."""
    if last == 0:
        return "removed"
    if first == 0:
        return "deployed"
    return f"scaled to {last}{'' if first is None else f' from {first}'}"


@dataclass(frozen=True, slots=True)
class Wanted:
    """How many instances of each app are to run when, as far as actions changed that; of all others the plan says it."""

    changes: Mapping[str, Sequence[Deed]]  # app → the actions that changed its number, in order; those that surely were not done left out
    first: Mapping[str, int] = field(default_factory=dict)  # app → how many were to run before the first action, as far as it told

    @classmethod
    def of(cls, every: Sequence[Deed]) -> Wanted:
        """Gather it from the actions of a history."""
        changes: dict[str, list[Deed]] = {}
        first: dict[str, int] = {}
        for each in every:
            for app in each.effect.runs if each.outcome is not Outcome.FAIL else ():
                changes.setdefault(app, []).append(each)
            first |= {app: number for app, number in each.was.items() if app not in first}
        return cls(changes, first)

    def least(self, app: str, time: float, planned: int) -> int:
        """Return how many instances of an app must run at a moment, at least; while a change is on its way, or in doubt, the lower number."""
        return min(self._numbers(app, time, planned))

    def most_at(self, app: str, time: float, planned: int) -> int:
        """Return how many instances of an app may run at a moment; while a change is on its way, or in doubt, the higher number."""
        return max(self._numbers(app, time, planned))

    def most(self, app: str, planned: int) -> int:
        """Return how many instances of an app may ever run."""
        return max([planned, *(each.effect.runs[app] for each in self.changes.get(app, ()))])

    def removed(self, app: str, time: float, planned: int) -> bool:
        """Whether surely none of an app was to run at a moment."""
        return self._numbers(app, time, planned) == {0}

    def not_yet(self, app: str, time: float) -> bool:
        """Whether surely none of an app was to run until a moment: it comes only later, or never."""
        return self.first.get(app) == 0 and all(each.begun > time for each in self.changes.get(app, ()))

    def due(self, instance: str, end: float) -> list[Interval] | None:
        """Return when an instance must run; None where no action changed that: then it must all along.

        From the end of the action that asked for it, until the beginning of the one that takes it away. Never, where the only actions that asked for
        it were surely not done.
        """
        app, number = app_of(instance), number_of(instance)
        if number is None:
            return None
        if not (changes := self.changes.get(app)):
            return [] if number > self.first.get(app, number) else None
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
