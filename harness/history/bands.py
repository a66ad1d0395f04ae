"""Faults as bands: the stages of each folded into one life, who was lost to it, and when it bit. Pure."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from harness.core.topology import SHAPES, cut_off
from harness.core.traits import from_history
from harness.core.values import HERE, Json, Loss, NodeState, Stage, Traits
from harness.history import older
from harness.history.events import FaultStage, History, MemberSeen, NodeSeen
from harness.history.intervals import Interval, Span, common, total
from harness.history.reigns import members_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

MEMBER = "etcd"
"""The daemon that is a member of a quorum and nothing else, where the mode does not say which one is: where it is lost, the member says nothing."""

BESIDE = frozenset({MEMBER, "zookeeper", "mesos-master", "marathon", "haproxy", "haproxy-feeder"})
"""The daemons that start no work on their own node: members of a quorum, those that decide where it runs, and those that stand before it."""

OFF_LATE = 2.0
"""Seconds by which node truth may be later than a power switch to say that a machine is off."""


@dataclass(frozen=True, slots=True)
class Band:
    """One fault's life. Each time is None while that stage was not reached on every target."""

    fault: int
    name: str
    targets: tuple[str, ...]
    decided: float | None = None
    injected: float | None = None
    in_force: float | None = None
    healing: float | None = None
    healed: float | None = None
    failed: float | None = None
    detail: str = ""  # of the last stage that says why something went wrong
    parameters: Mapping[str, Json] = field(default_factory=dict)
    entries: tuple[int, ...] = ()  # indices into the history
    traits: Traits = field(default_factory=Traits)
    lost: tuple[str, ...] = ()  # the nodes that were lost to it in force, or that lost a daemon; of a cut not always its targets

    @property
    def away(self) -> frozenset[str]:
        """The nodes that are home to nothing new while it is in force, and whose word is not the cluster's: none where all may be back in place."""
        return frozenset() if self.traits.in_place else frozenset(self.lost)

    @property
    def takes_homes(self) -> bool:
        """Whether what starts on a node that is lost to it is not home there: on one that lost nothing that starts work there (`BESIDE`) it is."""
        return self.traits.loses is not Loss.PROCESS or not BESIDE.issuperset(self.traits.parts)

    @property
    def hit(self) -> frozenset[str]:
        """The nodes from which it may take work away: of a cut those that are cut off, of all else the targets."""
        return frozenset(self.lost if self.traits.loses is Loss.LINK else self.targets)

    def reaches(self, node: str) -> bool:
        """Whether it may be felt on a node: one that it hits, or that is lost to it; or any, where it is made on this machine."""
        return HERE in self.targets or node in {*self.targets, *self.lost}

    @property
    def where(self) -> str:
        """Whom it hits, in words, and who was cut off where those are others."""
        targets = ", ".join(self.targets) or "nobody"
        others = self.traits.loses is Loss.LINK and set(self.lost) != set(self.targets)
        return f"{targets} ({', '.join(self.lost) or 'nobody'} cut off)" if others else targets

    @property
    def called(self) -> str:
        """Its name, and of what: the daemons that it takes away, or the shape of its cut."""
        shape = str(self.parameters.get("shape", "")) if self.traits.loses is Loss.LINK else ""
        parts = " and ".join(self.traits.parts) if self.traits.loses is Loss.PROCESS else ""
        return f"{self.name} {parts or shape}".strip()

    @property
    def undone(self) -> bool:
        """Whether it was found to be no longer in force, or could not be asked, before it was mended: then nobody knows until when it was."""
        return self.in_force is not None and self.failed is not None and self.in_force <= self.failed <= (self.healing or self.failed)

    @property
    def was_there(self) -> bool:
        """Whether anything of it may ever have been there; nothing was of one that hit nobody, or that failed before it was decided."""
        begun = any(time is not None for time in (self.decided, self.healing, self.healed))
        return (bool(self.targets) and begun) or self.injected is not None or self.in_force is not None

    @property
    def begins(self) -> float:
        """When it was decided; else the first that was heard of it."""
        times = (self.decided, self.injected, self.in_force, self.healing, self.healed, self.failed)
        return self.decided if self.decided is not None else min((time for time in times if time is not None), default=0.0)

    def life(self, end: float) -> Interval:
        """From the decision to the time when nothing is left of it, or to `end` where that was never seen. One that was not made leaves nothing."""
        if not self.was_there and self.failed is not None:
            return Interval(self.begins, max(self.begins, self.failed))
        return Interval(self.begins, max(self.begins, end if self.healed is None else self.healed))

    def held(self, end: float) -> Interval | None:
        """From the time when it was in force on every target until healing began, or to `end`; None if it never was in force.

        One that was found to be no longer in force ends there.
        """
        if self.in_force is None:
            return None
        ends = (time for time in (self.healing, self.healed, self.failed) if time is not None and time >= self.in_force)
        return Interval(self.in_force, max(self.in_force, min(ends, default=end)))


def covers(one: Band, other: Band, end: float) -> bool:
    """Whether a fault is in force, and not being mended yet, when another one comes to be; of two at once the one that was planned first."""
    held = one.held(end)
    came = other.in_force
    return held is not None and came is not None and (held.start, one.fault) < (came, other.fault) and came < held.end


def had_before(band: Band, bands: Iterable[Band], end: float) -> frozenset[str]:
    """Return the nodes that other faults had taken already when this one came: cut off, or off."""
    takes = (each for each in bands if each.fault != band.fault and each.traits.loses in {Loss.NODE, Loss.LINK})
    return frozenset[str]().union(*(each.away for each in takes if covers(each, band, end)))


def not_surely(band: Band, spans: Mapping[str, Sequence[Span]], end: float) -> str:
    """Say why a fault may not have been in force for all the time until it was mended; empty where it was.

    Of one that takes machines away their own truth tells, whatever else is not known.
    """
    held = band.held(end)
    if not band.undone or held is None:
        return ""
    if band.traits.loses is Loss.NODE and not band.traits.in_place:
        off = [common([held], [span.interval for span in spans.get(node, ()) if span.state is NodeState.OFF]) for node in band.targets]
        if off and all(total(pieces) >= held.length - OFF_LATE for pieces in off):
            return ""
    return f"{band.name} may have been over long before it was mended ({band.detail or 'nobody knows'})"


def machines_taken(bands: Iterable[Band], end: float) -> dict[str, list[Interval]]:
    """Return when each machine was away by a fault in force."""
    found: dict[str, list[Interval]] = {}
    for band in bands:
        held = band.held(end)
        if held is not None and band.traits.loses is Loss.NODE and not band.traits.in_place:
            for node in band.lost:
                found.setdefault(node, []).append(held)
    return found


def bites(band: Band, spans: Sequence[Span]) -> float:
    """Return when a fault took a node away, by that node's spans (`node_spans`): when it was in force, or before that when the machine was off.

    A power switch may take seconds to say that it is done, and the machine is gone before. One that was off already when the fault was decided was
    not taken away by it. A fault that never was in force counts from its decision.
    """
    if band.in_force is None:
        return band.begins
    if band.traits.loses is not Loss.NODE:
        return band.in_force  # a machine that goes off meanwhile does so by something else
    off = (span.start for span in spans if span.state is NodeState.OFF and band.begins <= span.start < band.in_force)
    return min(off, default=band.in_force)


def biting(band: Band, spans: Mapping[str, Sequence[Span]]) -> Interval:
    """From when a fault had taken the first of its targets away until it had taken the last, each by `bites`; `spans` as from `node_spans`.

    From its start on something is broken. What is allowed after a loss, such as an election, counts from its end: each loss may disturb it anew.
    Both are when the fault was in force where no machine was seen off before, and never later: an observer takes seconds to see that one is off.
    """
    times = [bites(band, spans.get(target, ())) for target in band.targets] or [bites(band, ())]
    return Interval(min(times), max(times))


def perhaps_since(history: History, band: Band, node: str, instance: str = "") -> float:
    """Return from when on a fault may have taken a node away, or an instance from it: from its decision, or later by what the node said until then.

    Where its machine went off, it was there for as long as it was up after that by its own word, ran the instance, and its member gave answers. One
    that is lost without going off may have been lost however long it says that it is up.
    """
    if band.traits.loses is not Loss.NODE or band.traits.in_place or band.in_force is None:
        return band.begins
    seen = [(entry.time, word) for entry, word in history.each(NodeSeen) if word.node == node and entry.time >= band.begins]
    if not any(word.state is NodeState.OFF and time <= band.in_force + OFF_LATE for time, word in seen):
        return band.begins
    errors = (entry.time for entry, word in history.each(MemberSeen) if word.node == node and word.error and entry.time >= band.begins)
    until = min([band.in_force, *errors])
    ran = [
        time
        for time, word in seen
        if word.state is NodeState.UP and (not instance or instance in {each.instance for each in word.containers})
    ]
    return max(band.begins, max((time for time in ran if time <= until), default=band.begins) - OFF_LATE)


def surely_since(band: Band, spans: Mapping[str, Sequence[Span]]) -> float:
    """Return from when on a fault is known to have bitten: when it had been made, or before that when the first of its targets was taken away.

    From its decision until then it may have bitten, or not.
    """
    start = biting(band, spans).start
    return start if band.injected is None else min(start, band.injected)


def first_bitten(history: History, spans: Mapping[str, Sequence[Span]]) -> float:
    """Return from when on the first fault is known to have bitten; after all time where none was in force."""
    return min((surely_since(band, spans) for band in fault_bands(history) if band.in_force is not None), default=math.inf)


class Life:
    """One fault, folded from its stages as they come in: the only place that says which stage was reached when. Not safe for threads.

    A stage may be told for all targets at once or for each: in force and healed it is with the last of them, all else with the first.
    """

    WHOLE: ClassVar[frozenset[Stage]] = frozenset({Stage.IN_FORCE, Stage.HEALED})
    TOLD: ClassVar[frozenset[Stage]] = frozenset({Stage.DECIDED, Stage.INJECTED, Stage.HEALED})
    """Stages whose detail explains nothing: the target expression of a decision, and what was said while the fault was made and mended."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.name = ""
        self.stage = Stage.DECIDED  # the newest that was reached
        self.failed = ""  # why it could not be made, held or healed; it may have been mended since
        self.stages: dict[Stage, float] = {}  # when each was reached
        self._told: dict[Stage, set[str]] = {}  # stage → targets of which it was told
        self._first: tuple[str, ...] = ()
        self._targets: set[str] = set()
        self._entries: list[int] = []
        self._traits: Mapping[str, Json] = {}
        self._parameters: Mapping[str, Json] = {}
        self._detail = ""

    def hear(self, index: int, time: float, event: FaultStage) -> None:
        """Take in its next stage, told by an entry of that index at that time."""
        if not self._entries:
            self.name, self._first = event.name, event.targets
        self._entries.append(index)
        self._targets.update(event.targets)
        self._told.setdefault(event.stage, set()).update(event.targets)
        self._parameters = self._parameters or event.parameters
        if not from_history(self._traits):
            self._traits = event.traits
        if event.detail and event.stage not in self.TOLD:
            self._detail = event.detail
        if event.stage is Stage.FAILED:
            self.failed = event.detail or "no reason given"
        if event.stage in self.WHOLE and not set(self.targets) <= self._told[event.stage]:
            return
        self.stages.setdefault(event.stage, time)
        self.stage = event.stage

    @property
    def targets(self) -> tuple[str, ...]:
        """Whom it hits: as its first stage says, or else any of them."""
        return self._first or tuple(sorted(self._targets))

    @property
    def called(self) -> str:
        """Its name, and of what, as `Band.called`."""
        return self.band().called

    @property
    def over(self) -> bool:
        """Whether it was healed, or failed and nothing more came."""
        return self.stage in {Stage.HEALED, Stage.FAILED}

    def band(self, lost: Callable[[Traits, tuple[str, ...], Mapping[str, Json]], tuple[str, ...]] | None = None) -> Band:
        """Return it as a band; `lost` says who was lost to a fault whose history is from before that was recorded (its targets, if nothing does)."""
        kind, said = older.kind(self.name, self._parameters, self._traits if from_history(self._traits) else {})
        if said is None:
            said = lost(kind, self.targets, self._parameters) if lost else () if kind.loses is Loss.NOTHING else self.targets
        return Band(
            fault=self.number,
            name=self.name,
            targets=self.targets,
            decided=self.stages.get(Stage.DECIDED),
            injected=self.stages.get(Stage.INJECTED),
            in_force=self.stages.get(Stage.IN_FORCE),
            healing=self.stages.get(Stage.HEALING),
            healed=self.stages.get(Stage.HEALED),
            failed=self.stages.get(Stage.FAILED),
            detail=self._detail,
            parameters=self._parameters,
            entries=tuple(self._entries),
            traits=kind,
            lost=said,
        )


def fault_bands(history: History) -> tuple[Band, ...]:
    """Return every fault of the run, in the order in which they were first heard of."""
    return history.once(fault_bands, lambda: _fault_bands(history))


def _fault_bands(history: History) -> tuple[Band, ...]:
    lives: dict[int, Life] = {}
    for entry, event in history.each(FaultStage):
        lives.setdefault(event.fault, Life(event.fault)).hear(entry.index, entry.time, event)
    return tuple(life.band(functools.partial(_lost, history)) for life in lives.values())


def _lost(history: History, kind: Traits, targets: tuple[str, ...], parameters: Mapping[str, Json]) -> tuple[str, ...]:
    """Return who was lost to a fault of a history from before it said so: its targets, and of a cut those that its shape cuts off."""
    shape = SHAPES.get(str(parameters.get("shape", "")))
    nodes = sorted({event.node for _, event in history.each(NodeSeen)}, key=lambda node: (len(node), node)) if shape else []
    if shape and set(targets) <= set(nodes):
        members = sorted(members_of(history))
        try:
            return tuple(sorted(cut_off(nodes, members, shape(nodes, targets))))
        except ValueError:  # a cut that could not be made
            return ()
    return () if kind.loses is Loss.NOTHING else targets
