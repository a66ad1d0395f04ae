"""Histories by hand: a builder that lets a test tell, in a few lines, what a run would have recorded.

    story = Story().node(0, "n1", "web@1").node(0, "n2").fault("node.kill", "n1", decided=10, in_force=10.2, healing=50, healed=53)
    story.off(10.1, "n1").node(40, "n2", "web@1").done(60)
    finding = Rescheduled("web", within=45).check(story.history())

Times are seconds of the run. Lines may be told in any order. Observers that speak once a second are filled in (see `Story.history`).
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import json
from typing import TYPE_CHECKING, Self

from harness.core.traits import from_history, to_history
from harness.core.values import Call, CallStream, Container, Effect, Endurance, NodeState, Outcome, Patience, Phase, Placement, Stage, View
from harness.faults.power import NodeKill
from harness.history.chain import Chain
from harness.history.events import (
    Acted,
    Answered,
    ApiSeen,
    Awaited,
    Checked,
    Closed,
    DockerEvent,
    Endures,
    Entry,
    Event,
    FaultStage,
    Fingerprinted,
    History,
    Invoked,
    MemberSeen,
    NodeSeen,
    Opened,
    PhaseBegan,
    Pressure,
    Stalled,
    Watching,
    Wholeness,
)
from harness.history.loads import COUNT, RUN, Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from harness.core.values import Json, Traits

OBSERVERS = ("docker", "host", "membership", "placement")


def container(instance: str, node: str) -> Container:
    """Return the container that stands for an instance on a node: its id is made of both names, in 64 hex digits."""
    return Container(f"{instance}/{node}".encode().hex().ljust(64, "0")[:64], instance)


class Story:
    """What happened in a run, told line by line. Every method returns the story, so that lines can be chained."""

    def __init__(self) -> None:
        self._told: list[tuple[float, Event]] = []
        self._ops = 0

    def copy(self) -> Story:
        """Return a story of its own that begins with all that was told so far. What a checker could change of it is nobody else's."""
        made = Story()
        made._told = [
            (time, copy.deepcopy(event) if isinstance(event, Fingerprinted | FaultStage) else event) for time, event in self._told
        ]
        made._ops = self._ops
        return made

    def tell(self, time: float, event: Event) -> Self:
        """Add any event."""
        self._told.append((time, event))
        return self

    def phase(self, time: float, phase: Phase) -> Self:
        """Enter a phase."""
        return self.tell(time, PhaseBegan(phase))

    def done(self, time: float) -> Self:
        """End the run: the last reads a second before, then done."""
        return self.phase(time - 1.0, Phase.FINAL).phase(time, Phase.DONE)

    def node(self, time: float, node: str, *instances: str) -> Self:
        """Say what runs on a node from now on, by node truth."""
        return self.tell(time, NodeSeen(node, NodeState.UP, tuple(container(each, node) for each in instances)))

    def off(self, time: float, node: str) -> Self:
        """Say that a node's machine does not run from now on."""
        return self.tell(time, NodeSeen(node, NodeState.OFF))

    def unreachable(self, time: float, node: str) -> Self:
        """Say that a node cannot be asked from now on."""
        return self.tell(time, NodeSeen(node, NodeState.UNREACHABLE, detail="no answer"))

    def docker(self, time: float, node: str, action: str, instance: str, at: float | None = None) -> Self:
        """Say what a node's Docker daemon tells of an instance's container; `at` is the daemon's own time."""
        return self.tell(time, DockerEvent(node, action, container(instance, node).id, instance, time if at is None else at))

    def api(self, time: float, asked: str, nodes: str, placements: Mapping[str, str | Sequence[str] | None]) -> Self:
        """Say what the orchestrator's API tells at one node: the nodes that it lists, and where it says that instances run."""
        placed: list[Placement] = []
        for instance, homes in sorted(placements.items()):
            if homes is None:
                placed.append(Placement(instance, None, "inactive", running=False))
            else:
                every = [homes] if isinstance(homes, str) else sorted(homes)
                placed += [Placement(instance, home, "active", running=True) for home in every]
        return self.tell(time, ApiSeen(asked, View(tuple(sorted(nodes.split())), tuple(placed))))

    def no_api(self, time: float, asked: str) -> Self:
        """Say that the API gives no good answer at one node."""
        return self.tell(time, ApiSeen(asked, None, "503"))

    def member(self, time: float, node: str, term: int, leader: str | None) -> Self:
        """Say in which term a member is, and whom it follows."""
        return self.tell(time, MemberSeen(node, term, leader))

    def members(self, time: float, nodes: str, term: int, leader: str | None) -> Self:
        """Say the same for several members."""
        for node in nodes.split():
            self.member(time, node, term, leader)
        return self

    def no_member(self, time: float, node: str) -> Self:
        """Say that a member does not answer."""
        return self.tell(time, MemberSeen(node, error="no answer"))

    def fault(
        self,
        name: str,
        targets: str,
        *,
        decided: float,
        in_force: float | None = None,
        healing: float | None = None,
        healed: float | None = None,
        failed: float | None = None,
        number: int = 1,
        detail: str = "",
        traits: Traits | None = None,
        lost: str = "",
        parameters: Mapping[str, Json] | None = None,
    ) -> Self:
        """Tell a fault's life; a stage without a time was not reached. With `traits` it says what kind it is, and who was `lost` to it."""
        kind = {} if traits is None else to_history(traits, sorted(lost.split()))
        stages = {
            Stage.DECIDED: decided,
            Stage.IN_FORCE: in_force,
            Stage.HEALING: healing,
            Stage.HEALED: healed,
            Stage.FAILED: failed,
        }
        for stage, time in stages.items():
            if time is not None:
                said = detail if stage is Stage.FAILED else ""
                self.tell(time, FaultStage(number, name, tuple(sorted(targets.split())), stage, parameters or {}, said, kind))
        return self

    def awaited(
        self,
        begun: float,
        ended: float | None,
        goal: str,
        app: str = "",
        outcome: Outcome = Outcome.OK,
        *,
        otherwise: str = "broken",
        missing: tuple[str, ...] = (),
        unasked: tuple[str, ...] = (),
        number: int = 1,
        at_most: float = 60.0,
    ) -> Self:
        """Wait until something is so, from `begun` to `ended`; None: its end was never told."""
        self.tell(begun, Awaited(number, goal, app, at_most, otherwise))
        if ended is not None:
            self.tell(ended, Awaited(number, goal, app, at_most, otherwise, outcome, ended - begun, (*missing, *unasked), unasked))
        return self

    def action(
        self,
        begun: float,
        ended: float | None,
        name: str,
        targets: str = "",
        *,
        effect: Effect | None = None,
        was: Mapping[str, int] | None = None,
        outcome: Outcome = Outcome.OK,
        may_fail: bool = False,
        number: int = 1,
        detail: str = "",
    ) -> Self:
        """Do something, from `begun` to `ended`; None: its end was never told. `was` says how many instances of each app were to run before."""
        where, what, before = tuple(sorted(targets.split())), effect or Effect(), dict(was or {})
        self.tell(begun, Acted(number, name, where, 60.0, may_fail, effect=what, was=before))
        if ended is not None:
            self.tell(ended, Acted(number, name, where, 60.0, may_fail, outcome, ended - begun, detail=detail, effect=what, was=before))
        return self

    def watching(self, time: float, observer: str, node: str, *, alive: bool = True, detail: str = "") -> Self:
        """Say that an observer watches, or could not ask."""
        return self.tell(time, Watching(observer, node, alive, detail))

    def call(
        self,
        begun: float,
        workload: str,
        call: Call,
        outcome: Outcome | None = Outcome.OK,
        *,
        took: float = 0.01,
        value: str | None = None,
        by: str | None = None,
        ours: bool = False,
    ) -> Self:
        """Make a call and have it answered `took` seconds later; never, with `outcome` None. `ours`: by a trouble of the harness's own."""
        self._ops += 1
        self.tell(begun, Invoked(self._ops, workload, call))
        if outcome is not None:
            self.tell(begun + took, Answered(self._ops, workload, outcome, value, by, ours=ours))
        return self

    def load(
        self,
        start: float,
        end: float,
        name: str,
        counts: Callable[[float], tuple[int, int] | None],
        *,
        every: float = 1.0,
        status: int | None = None,
    ) -> Self:
        """Let a command run that tells at each end of so many seconds how many calls went well, and how many did not; None: nothing.

        It ends by itself with `status`, or else with the run.
        """
        told, before = [], start
        for number in range(1, round((end - start) / every) + 1):
            time = start + number * every
            if (said := counts(time)) is not None:
                told.append((before, time, Tally(*said)))
                before = time
        return self.told_by(name, start, end, told, status=status)

    def told_by(
        self, name: str, start: float, end: float, told: Sequence[tuple[float, float, Tally]], *, status: int | None = None
    ) -> Self:
        """Let a command run that tells this of its calls, each from when to when; see `load`."""
        self._ops += 1
        run, before = self._ops, start
        self.tell(start, Invoked(run, CallStream.COMMAND.value, Call(RUN, name)))
        for early, late, tally in told:
            self.call(
                early,
                CallStream.COMMAND.value,
                Call(COUNT, name),
                tally.outcome,
                took=late - early,
                value=json.dumps(dataclasses.asdict(tally)),
            )
            before = late
        self.call(before, CallStream.COMMAND.value, Call(COUNT, name), Outcome.UNKNOWN, took=end - before)
        outcome = Outcome.UNKNOWN if status is None else Outcome.FAIL if status else Outcome.OK
        return self.tell(end, Answered(run, CallStream.COMMAND.value, outcome, None if status is None else str(status)))

    def get(self, begun: float, instance: str, outcome: Outcome | None = Outcome.OK, *, by: str | None = None, ours: bool = False) -> Self:
        """Ask an instance over HTTP; `by` is the node that answers."""
        return self.call(begun, CallStream.APP.value, Call("get", instance), outcome, by=by, ours=ours)

    def gets(
        self,
        start: float,
        end: float,
        instance: str,
        outcome: Outcome | None = Outcome.OK,
        *,
        by: str | None = None,
        ours: bool = False,
    ) -> Self:
        """Ask an instance ten times a second from `start` until just before `end`."""
        for number in range(round((end - start) * 10)):
            self.get(start + number / 10, instance, outcome, by=by, ours=ours)
        return self

    def write(
        self, begun: float, key: str, value: str, outcome: Outcome | None = Outcome.OK, *, took: float = 0.01, by: str | None = None
    ) -> Self:
        """Write a key of the register workload, at the member `by`; at any that no fault hits, where none is named (see `history`)."""
        return self.call(begun, CallStream.QUORUM.value, Call("write", key, value), outcome, took=took, by=by)

    def writes(self, start: float, end: float, outcome: Outcome | None = Outcome.OK, *, took: float = 0.01, by: str | None = None) -> Self:
        """Write a key of its own twice a second from `start` until just before `end`: ``k<tenths of a second>`` gets ``v<the same>``."""
        for number in range(round((end - start) * 2)):
            begun = start + number / 2
            self.write(begun, f"k{begun * 10:.0f}", f"v{begun * 10:.0f}", outcome, took=took, by=by)
        return self

    def read(
        self, begun: float, key: str, value: str | None, outcome: Outcome | None = Outcome.OK, *, took: float = 0.01, by: str | None = None
    ) -> Self:
        """Read a key of the register workload; `value` None is "absent". `by` as for `write`."""
        return self.call(begun, CallStream.QUORUM.value, Call("read", key), outcome, took=took, value=value, by=by)

    def checked(self, time: float, node: str, check: str, outcome: Outcome, *, when: str = "after", saw: str = "") -> Self:
        """Ask a node for a property."""
        return self.tell(time, Checked(check, node, when, outcome, saw))

    def fingerprint(self, time: float, node: str, when: str, marks: Mapping[str, Json], error: str = "") -> Self:
        """Take a node's fingerprint."""
        return self.tell(time, Fingerprinted(node, when, marks, error))

    def endures(self, *timers: Patience, recovery: float = 16.5, work: float = 3.0, beats: str = "") -> Self:
        """Say what the timers stand; fleet's with profile fast where none are named. `beats` names the nodes that measure their own lateness."""
        usual = (Patience("etcd_election_timeout", 1.0, 1.0, 1.0, 50.0), Patience("agent_ttl", 5.0, 5.0, 30.0))
        return self.tell(0.0, Endures(Endurance(timers or usual, recovery, work), tuple(beats.split())))

    def stalled(self, since: float, until: float, who: str = "harness", why: str = "") -> Self:
        """Say that somebody stood still: the harness, the machine, or a node."""
        return self.tell(until, Stalled(who, since, until - since, why))

    def pressed(self, start: float, end: float, ready: float, *, cores: int = 2, steal: float = 0.0) -> Self:
        """Have so many processes want the machine's cores, for whole seconds."""
        for second in range(round(end - start)):
            self.tell(start + second + 1.0, Pressure(1.0, cores, ready, steal))
        return self

    def whole(self, time: float, when: str, *missing: str, seconds: float = 3.0, unasked: tuple[str, ...] = ()) -> Self:
        """Say how the wait for a whole cluster ended (`when`: before, after): whole, unless something was missing, or `unasked`."""
        every = (*missing, *unasked)
        return self.tell(time, Wholeness(when, not every, seconds, every, unasked))

    def watched(self, end: float, nodes: str, *, start: float = 0.0) -> Self:
        """Have every observer say once a second, until `end`, that it watches every one of the nodes."""
        for observer in OBSERVERS:
            for node in nodes.split():
                for second in range(int(end - start) + 1):
                    self.watching(start + second, observer, node)
        return self

    def history(self, *, beats: bool = True) -> History:
        """Return the history. With `beats`, what a node was seen to run is repeated once a second until it changes, as the observer does.

        Calls of the register for which no member was named are answered by one that no fault hits, if there is one.
        """
        told = sorted(_named(self._told), key=lambda each: each[0])
        return History.of_events(*told, *(_beats(told) if beats else ()))

    def save(self, path: Path) -> None:
        """Write the history as a `harness.history.recorder.Recorder` would have."""
        path.write_bytes(chained((entry.time, entry.event) for entry in self.history().entries))


def chained(timed: Iterable[tuple[float, Event]], run: str = "", *, closed: bool = True) -> bytes:
    """Return the bytes that a `harness.history.recorder.Recorder` would have written of these events, in this order.

    Opened, chained and, if asked, closed.
    """
    chain = Chain()
    events = [(0.0, Opened(run)), *timed]
    if closed:
        events.append((events[-1][0], Closed(len(events))))
    return b"".join(chain.link(Entry(index, time, event).body()) for index, (time, event) in enumerate(events))


def _named(told: Sequence[tuple[float, Event]]) -> list[tuple[float, Event]]:
    """Name a member in the answers of the register that name none: each of ours has one."""
    nodes = sorted(
        {event.node for _, event in told if isinstance(event, MemberSeen)} or {e.node for _, e in told if isinstance(e, NodeSeen)}
    )
    hit = {node for _, event in told if isinstance(event, FaultStage) for node in (*event.targets, *_lost(event))}
    somebody = next((node for node in (*(each for each in nodes if each not in hit), *nodes)), None)
    return [
        (time, dataclasses.replace(event, by=somebody))
        if isinstance(event, Answered) and event.workload == CallStream.QUORUM and event.by is None
        else (time, event)
        for time, event in told
    ]


def _lost(event: FaultStage) -> tuple[str, ...]:
    kind = from_history(event.traits)
    return () if kind is None else kind[1]


def _beats(told: Sequence[tuple[float, Event]]) -> list[tuple[float, Event]]:
    """The samples in between: once a second for each node, from each sample to the next, or to the end."""
    end = told[-1][0] if told else 0.0
    seen: dict[str, list[tuple[float, NodeSeen]]] = {}
    for time, event in told:
        if isinstance(event, NodeSeen):
            seen.setdefault(event.node, []).append((time, event))
    found: list[tuple[float, Event]] = []
    for samples in seen.values():
        for at, (time, event) in enumerate(samples):
            until = samples[at + 1][0] if at + 1 < len(samples) else end
            beat = time + 1.0
            while beat < until:
                found.append((beat, event))
                beat += 1.0
    return found


def node_kill() -> Story:
    """Return a whole good run: of three nodes n2 loses power at 10 s; its web@2 runs on n3 at 40.2 s; power is back at 55 s; all ends at 70 s.

    Every checker holds on it, `Rescheduled` with a limit of at least 30.15 s (by Docker's own time of the start). The leader is n1, in term 2.
    """
    return _node_kill().copy()


@functools.cache
def _node_kill() -> Story:
    """Tell it once: its two thousand events, which never change, take 10 ms, and thousands of tests begin with them."""
    story = Story().phase(0.0, Phase.FORMING).phase(0.5, Phase.DEPLOYING).phase(1.0, Phase.STEADY).phase(9.0, Phase.FAULTS)
    story.node(0.5, "n1", "web@1").node(0.5, "n2", "web@2").node(0.5, "n3")
    for asked in ("n1", "n2", "n3"):
        story.api(0.6, asked, "n1 n2 n3", {"web@1": "n1", "web@2": "n2"}).fingerprint(0.9, asked, "before", {"nft_tables": []})
    story.members(0.7, "n1 n2 n3", 2, "n1").watched(69.0, "n1 n3").watched(9.9, "n2").watched(69.0, "n2", start=54.0)
    story.whole(1.0, "before", seconds=0.5).whole(58.0, "after", seconds=4.9)
    story.gets(2.0, 68.0, "web@1", by="n1").gets(2.0, 10.0, "web@2", by="n2")
    story.gets(10.0, 40.5, "web@2", Outcome.FAIL).gets(40.5, 68.0, "web@2", by="n3").writes(2.0, 68.0)
    story.fault(NodeKill.name, "n2", decided=10.0, in_force=10.05, healing=51.0, healed=53.0)
    story.off(10.04, "n2").no_api(10.5, "n2").no_member(10.5, "n2")
    for asked in ("n1", "n3"):
        story.api(38.0, asked, "n1 n3", {"web@1": "n1", "web@2": None})
        story.api(39.0, asked, "n1 n3", {"web@1": "n1", "web@2": "n3"})
        story.api(56.0, asked, "n1 n2 n3", {"web@1": "n1", "web@2": "n3"})
    story.docker(40.3, "n3", "start", "web@2", at=40.2).node(40.25, "n3", "web@2")
    story.node(53.0, "n2").member(54.0, "n2", 2, "n1").api(56.0, "n2", "n1 n2 n3", {"web@1": "n1", "web@2": "n3"}).phase(
        53.1, Phase.SETTLING
    )
    for node in ("n1", "n2", "n3"):
        story.checked(66.0, node, "service docker is_running", Outcome.OK).fingerprint(67.0, node, "after", {"nft_tables": []})
    story.done(70.0)
    for number in range(132):
        begun = 2.0 + number / 2
        story.read(69.1 + number / 1000, f"k{begun * 10:.0f}", f"v{begun * 10:.0f}")
    return story
