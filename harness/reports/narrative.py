"""One pass over a history for all who show it: what is so now, what was so from when to when, and the moments that matter.

The live view, the plain lines and the timeline stand on the same `Narrative`, so they can never tell different stories; but for who leads. While a
run goes on that is whom a majority of the members follows, as they say themselves, and they take a while to notice a loss. Where the whole history
is there, the timeline hands in who led by all that it says (`harness.history.leaders`), which is what is judged.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.core.errors import brief
from harness.core.figures import at, given, lasted
from harness.core.naming import listed, natural, worded
from harness.core.values import AFTER, CallStream, Loss, NodeState, Outcome, Phase, Stage
from harness.history.awaits import GO_ON, NO_FURTHER, came, had_come, in_vain, stayed_away
from harness.history.bands import Life
from harness.history.calls import stream_named, stream_of, whom
from harness.history.events import (
    Acted,
    Answered,
    ApiSeen,
    Awaited,
    Checked,
    FaultStage,
    Invoked,
    MemberSeen,
    NodeSeen,
    Note,
    PhaseBegan,
    Wholeness,
)
from harness.history.loads import RUN, CountedCalls, Failing, Tally, told
from harness.history.reigns import Leadership
from harness.reports.lanes import Bar, Calls, Disagreement
from harness.reports.moments import DIFFERED, UNANSWERED, UNREACHED, Flap, Moment

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from harness.core.values import View
    from harness.history.events import Entry, Event
    from harness.history.reigns import Reign
    from harness.reports.lanes import Lane

_NUMBERS = re.compile(r"\d+(?:\.\d+)?")

NOTABLE = 1.0
"""Seconds. A gap in the service, or a disagreement between API and nodes, that is shorter is not a moment: both are sampled."""


class FaultLife(Life):
    """One fault of the run, as people see it."""

    @property
    def names(self) -> tuple[str, ...]:
        """Its targets, in the order in which people count."""
        return tuple(sorted(self.targets, key=natural))

    @property
    def title(self) -> str:
        """Its name and its targets."""
        return f"{self.called} {','.join(self.names)}".strip()

    @property
    def cut_off(self) -> tuple[str, ...] | None:
        """Who reaches no majority, of a fault that cuts links."""
        band = self.band()
        return tuple(sorted(band.lost, key=natural)) if band.traits.loses is Loss.LINK else None


READING_BACK = "reading back"
"""The lane of what the harness itself asks at the end: nobody's calls, and at no rate that a plan has."""


@dataclass(slots=True)
class Turn:
    """A step that is neither a fault nor mere waiting: it awaits something, or it does something."""

    label: str  # e.g. ``await 1``
    title: str
    begun: float
    at_most: float  # seconds
    ended: float | None = None
    outcome: Outcome | None = None


class Narrative:
    """What a history says up to its last entry that was fed. Not safe for threads: the caller has the lock.

    `keep` False leaves out what only a timeline needs (every span and answer), so that a long run takes no more memory.
    `led` is who led when, in order, where that is known; without it the `members` are followed.
    """

    def __init__(self, *, keep: bool = True, members: Collection[str] = (), led: Sequence[Reign] | None = None) -> None:
        self.keep = keep
        self._reigns = None if led is None else deque(led)  # those that have not begun
        self.now = 0.0
        self.phases: dict[Phase, float] = {}
        self.phase: Phase | None = None
        self.nodes: dict[str, NodeSeen] = {}
        self.views: dict[str, View | None] = {}
        self.members: dict[str, MemberSeen] = {}
        self.leadership = Leadership(members)
        self.leader: str | None = None
        self.term = 0
        self._before: str | None = None  # who led last
        self._nobody: float | None = None  # since when nobody leads, once somebody did
        self._told = False  # whether that was told
        self._index = 0  # of the entry that is fed
        self.faults: dict[int, FaultLife] = {}
        self.awaits: dict[int, Turn] = {}
        self.actions: dict[int, Turn] = {}
        self.asked_for: dict[str, int] = {}  # app → how many instances of it are to run, where an action said so
        self.calls: dict[str, Calls] = {}
        self.spans: dict[Lane, list[Bar]] = {}
        self._open: dict[Lane, tuple[float, str]] = {}
        self._ops: dict[int, str] = {}
        self._counting: set[int] = set()  # calls of which each answer tells of many
        self._commands: dict[int, str] = {}  # call → the name of the command of the user's own that it runs
        self._since: dict[str, float] = {}  # lane of such a command → since when its next line tells
        self._said: dict[str, Disagreement] = {}
        self._known: dict[str, NodeSeen] = {}  # node → what was seen of it when it last could be asked
        self._unreached: dict[str, float] = {}  # node that cannot be asked → since when
        # Before and after the faults → when a wait for a whole cluster ended, and if it was.
        self.waited: dict[str, tuple[float, bool]] = {}
        self._told_before: set[str] = set()  # notes that say what is told by itself
        self._lacked = ""  # what was missing when a wait for a whole cluster ended, as it was told
        self._heard: dict[type[Event], Callable[[float, Event], Iterable[Moment]]] = {
            PhaseBegan: self._phase,
            FaultStage: self._fault,
            NodeSeen: self._node,
            ApiSeen: self._api,
            Invoked: self._invoked,
            Answered: self._answered,
            Checked: self._checked,
            Wholeness: self._whole,
            Awaited: self._awaited,
            Acted: self._acted,
            Note: self._note,
        }

    def feed(self, entry: Entry) -> list[Moment]:
        """Take in the next entry and return the moments that it made."""
        self.now, self._index = entry.time, entry.index
        heard = self._heard.get(type(entry.event))
        found = list(heard(entry.time, entry.event)) if heard else []
        if isinstance(entry.event, MemberSeen):
            self.members[entry.event.node] = entry.event
        changed = self.leadership.hear(entry.event)
        return [*found, *self._led(entry.time, changed=changed)]

    def close(self, end: float) -> list[Moment]:
        """End everything that still goes on at `end` and return the moments of what never ended."""
        self.now = end
        moments = []
        for lane, calls in self.calls.items():
            if calls.told:
                calls.longest_gap = max(calls.longest_gap, calls.gap(end))
                gap = lasted(calls.gap(end))
                said = (
                    f"never gave a good answer, in {gap} of calls"
                    if calls.last_ok is None
                    else f"still gives no good answer, {gap} after the last"
                )
                moments.append(Moment(end, f"{lane} {said}", "bad"))
        for lane_key in list(self._open):
            moments += self._became(lane_key, None, end, last=True)
        return moments

    def instances(self) -> list[str]:
        """Names of all instances that were seen by nodes or named by the API, in order."""
        seen = {lane[2] for lane in (*self.spans, *self._open) if lane[0] == "runs"}
        for view in self.views.values():
            seen |= {placement.instance for placement in view.placements} if view else set()
        return sorted(seen, key=natural)

    def homes(self, instance: str) -> list[str]:
        """Return the nodes whose own process table shows the instance now, in order."""
        here = (name for name, seen in self.nodes.items() if any(each.instance == instance for each in seen.containers))
        return sorted(here, key=natural)

    def answering(self) -> Mapping[str, View]:
        """Return what each node's API said last: node asked → view. APIs that do not answer, and those of nodes that are off, are left out."""
        off = {name for name, seen in self.nodes.items() if seen.state is NodeState.OFF}
        return {asked: view for asked, view in sorted(self.views.items()) if view is not None and asked not in off}

    def told(self, instance: str) -> Mapping[str, tuple[str, ...]]:
        """Where each answering API says that the instance runs now: node asked → nodes named, in order."""
        return {
            asked: tuple(
                sorted({each.node for each in view.placements if each.instance == instance and each.running and each.node}, key=natural)
            )
            for asked, view in self.answering().items()
        }

    def doubted(self, instance: str) -> Mapping[str, tuple[str, ...]]:
        """Return what `told` says, for those APIs that contradict the nodes. Nodes that cannot be asked neither confirm nor refute."""
        unknown = {name for name, seen in self.nodes.items() if seen.state is NodeState.UNREACHABLE}
        truth = set(self.homes(instance))
        return {asked: said for asked, said in self.told(instance).items() if set(said) - unknown != truth}

    def leads(self, name: str) -> bool:
        """Whether a node may be shown as the leader now: it is not off, answers for itself, and no majority is in a later term than it."""
        seen, own = self.nodes.get(name), self.members.get(name)
        if name != self.leader or own is None or own.error or (seen is not None and seen.state is NodeState.OFF):
            return False
        ahead = sum(not each.error and each.term > own.term for each in self.members.values())
        return ahead <= len(self.members) // 2

    def _became(self, lane: Lane, value: str | None, time: float, *, last: bool = False) -> Iterable[Moment]:
        """Note that something is so from now on (None: no longer so)."""
        open_since = self._open.get(lane)
        if open_since is not None and open_since[1] == value:
            return
        if open_since is not None:
            start, what = self._open.pop(lane)
            if lane[0] == "wrong":
                yield from self._disagreed(lane[1], start, time, last=last)
            if self.keep and (lane[0] != "wrong" or time - start >= NOTABLE):
                self.spans.setdefault(lane, []).append(Bar(start, time, what))
        if value is not None:
            self._open[lane] = (time, value)

    def _phase(self, time: float, event: Event) -> Iterable[Moment]:
        if not isinstance(event, PhaseBegan):
            return
        self.phase = event.phase
        self.phases.setdefault(event.phase, time)
        yield Moment(time, f"phase: {event.phase}", "quiet")

    def _fault(self, time: float, event: Event) -> Iterable[Moment]:
        if not isinstance(event, FaultStage):
            return
        life = self.faults.setdefault(event.fault, FaultLife(event.fault))
        life.hear(self._index, time, event)
        yield from self._staged(time, life, event)

    @staticmethod
    def _staged(time: float, life: FaultLife, event: FaultStage) -> Iterable[Moment]:
        said = f"fault {event.fault} ({life.called} on {', '.join(life.names) or 'no node'})"
        since = life.stages.get(Stage.DECIDED, time)
        others = life.cut_off is not None and life.cut_off != life.names
        cuts = f", and cuts off {listed(life.cut_off or ())}" if others else ""
        match event.stage:
            case Stage.DECIDED:
                yield Moment(time, f"{said} is decided", "fault")
            case Stage.IN_FORCE:
                yield Moment(time, f"{said} is in force, {lasted(time - since)} after it was decided{cuts}", "fault")
            case Stage.HEALING:
                force = life.stages.get(Stage.IN_FORCE)
                how_long = "though it was never in force" if force is None else f"after {lasted(time - force)} in force"
                yield Moment(time, f"{said} is being healed, {how_long}", "fault")
            case Stage.HEALED:
                took = lasted(time - life.stages.get(Stage.HEALING, since))
                yield Moment(time, f"{said} is healed, {took} after healing began{_saying(event)}", "fault")
            case Stage.FAILED:
                yield Moment(time, f"{said} FAILED: {event.detail or 'no reason given'}", "bad")
            case Stage.INJECTED:
                if event.detail:
                    yield Moment(time, f"{said} is made{_saying(event)}", "quiet")

    def _node(self, time: float, event: Event) -> Iterable[Moment]:
        if not isinstance(event, NodeSeen):
            return
        before = self.nodes.get(event.node)
        self.nodes[event.node] = event
        # A node that cannot be asked says nothing of its containers: they are what they were until it is asked again.
        known = self._known.get(event.node)
        unknown = event.state is NodeState.UNREACHABLE
        if not unknown:
            self._known[event.node] = event
        was = _ran(known)
        now = was if unknown else _ran(event)
        if before is None or before.state is not event.state:
            yield self._state_moment(time, event, before, sorted(was, key=natural))
        yield from self._became(("node", event.node), str(event.state), time)
        for instance in sorted({*was, *now}, key=natural):
            yield from self._became(("runs", event.node, instance), instance if instance in now else None, time)
            if instance not in was:
                yield Moment(time, f"{instance} runs on {event.node}", "good")
            elif instance not in now and event.state is NodeState.UP:
                yield Moment(time, f"{instance} no longer runs on {event.node}")
            elif instance in now and not was[instance] & now[instance]:
                yield Moment(time, f"{instance} runs on {event.node} in a new container", "good")
        if before is None or before.state is not event.state or was.keys() != now.keys():
            yield from self._compare(time)

    def _lane(self, name: str) -> Calls:
        return self.calls.setdefault(name, Calls())

    def _state_moment(self, time: float, event: NodeSeen, before: NodeSeen | None, was: list[str]) -> Moment:
        match event.state:
            case NodeState.UP:
                if before is not None and before.state is NodeState.UNREACHABLE:
                    since = self._unreached.pop(event.node, time)
                    return Moment(time, f"{event.node} is up", "good", about=Flap(event.node, UNREACHED, time - since))
                return Moment(time, f"{event.node} is up", "good")
            case NodeState.OFF:
                return Moment(time, f"{event.node} is off" + (f", and {' and '.join(was)} with it" if was else ""), "bad")
            case NodeState.UNREACHABLE:
                self._unreached[event.node] = time
                return Moment(
                    time, f"{event.node} cannot be asked: {event.detail or 'no answer'}", "bad", about=Flap(event.node, UNREACHED)
                )

    def _api(self, time: float, event: Event) -> Iterable[Moment]:
        if not isinstance(event, ApiSeen):
            return
        before = self.views.get(event.node)
        self.views[event.node] = event.view
        if before != event.view:
            yield from self._compare(time)

    def _compare(self, time: float) -> Iterable[Moment]:
        """Hold what the APIs say against what the nodes show."""
        for instance in self.instances():
            wrong = self.doubted(instance)
            if wrong:
                found = self._said.setdefault(instance, Disagreement())
                found.askers |= set(wrong)
                said = listed({node for nodes in wrong.values() for node in nodes}, "nowhere")
                found.became(time, (said, listed(self.homes(instance), "nowhere")))
            heard = bool(self.told(instance))
            if instance in self._said:
                self._said[instance].heard(time, anything=heard)
            # Where no API can be asked nobody has agreed since: it goes on, and how long nobody could be asked is said.
            if wrong or heard or instance not in self._said:
                yield from self._became(("wrong", instance), "wrong" if wrong else None, time)

    def _disagreed(self, instance: str, start: float, end: float, *, last: bool) -> Iterable[Moment]:
        found = self._said.pop(instance, Disagreement())
        silent = found.since is not None
        found.heard(end, anything=True)
        if end - start < NOTABLE or self.phase in {Phase.FORMING, Phase.DEPLOYING}:
            return  # while work is being placed, one of them is always first
        said, homes, part = found.longest(end)
        of_it = f" (for {lasted(part)} of that)" if lasted(part) != lasted(end - start) else ""
        how_long = f"for {lasted(end - start)}{', and still does' if last and not silent else ''}"
        unasked = f"; no API could be asked for {lasted(found.unasked)} of it" if found.unasked >= NOTABLE else ""
        yield Moment(
            end,
            f"the API (asked at {listed(found.askers)}) disagreed with the nodes about {instance} {how_long}: "
            f"it said {said}, the nodes said {homes}{of_it}{unasked}",
            "bad",
            about=Flap(instance, DIFFERED, end - start),
        )

    def _led(self, time: float, *, changed: bool) -> Iterable[Moment]:
        """Note who leads now. That nobody does is told once that lasts: a few words of an election come one after another."""
        if self._reigns is None:
            if changed:
                yield from self._leads_now(time, *self.leadership.agreed())
        else:
            while self._reigns and self._reigns[0].start <= time:
                reign = self._reigns.popleft()
                yield from self._leads_now(reign.start, reign.term, reign.leader)
        if self._nobody is not None and not self._told and time - self._nobody >= NOTABLE:
            self._told = True
            yield Moment(time, f"nobody has led since {at(self._nobody)}", "bad")

    def _leads_now(self, time: float, term: int, leader: str | None) -> Iterable[Moment]:
        if leader is not None and (leader, term) != (self._before, self.term):
            was = f", after {self._before}" if self._before and self._before != leader else ""
            gap = time - self._nobody if self._nobody is not None else 0.0
            yield Moment(time, f"{leader} leads in term {term}{was}{f', {lasted(gap)} later' if gap >= NOTABLE else ''}")
        elif leader is not None and self._told and self._nobody is not None:
            yield Moment(time, f"{leader} leads again, after {lasted(time - self._nobody)}", "good")
        if leader is not None:
            self._before, self.term, self._nobody, self._told = leader, term, None, False
        elif self.leader is not None:
            self._nobody = time
        self.leader = leader
        yield from self._became(("leader",), leader, time)

    def _invoked(self, time: float, event: Event) -> Iterable[Moment]:
        if isinstance(event, Invoked) and stream_of(event) is CallStream.COMMAND and event.call.function == RUN:
            self._commands[event.op] = event.call.key
            yield Moment(time, f"the command {event.call.key} begins", "quiet")
        elif isinstance(event, Invoked):
            lane = f"{event.workload} {whom(stream_of(event), event.call) or event.call.function}"
            if self.phase is Phase.FINAL:  # by then the users' calls are over
                lane = READING_BACK
            self._ops[event.op] = lane
            if stream_of(event) is CallStream.COMMAND:
                self._counting.add(event.op)
            calls = self._lane(lane)
            if stream_of(event) is CallStream.COMMAND:
                self._since[lane] = time
            calls.began.append(time)
            calls.first = time if calls.first is None else calls.first

    def _answered(self, time: float, event: Event) -> Iterable[Moment]:
        if not isinstance(event, Answered):
            return
        if (name := self._commands.pop(event.op, None)) is not None:
            how = f" ({event.error})" if event.error else f" with status {brief(event.value)}" if event.value else ""
            yield Moment(time, f"the command {name} ended{how}", "bad" if event.outcome is Outcome.FAIL else "quiet")
            return
        lane = self._ops.pop(event.op, event.workload)
        calls = self._lane(lane)
        counting = event.op in self._counting or stream_named(event.workload) is CallStream.COMMAND
        self._counting.discard(event.op)
        counts = _answers(event, counting=counting)
        gap = calls.gap(time)
        if counting and (tally := told(event.value)) is not None:
            calls.failing = calls.failing or Failing()
            calls.failing.hear(CountedCalls(self._since.get(lane, time), time, tally, self._index))
        if not counts:
            return  # it told of no calls
        for outcome, count in counts.items():
            calls.counts[outcome] += count
        calls.first = time if calls.first is None else calls.first  # the answer to no known call
        if self.keep:
            calls.answers += [(time, outcome) for outcome in counts]
        if event.outcome is Outcome.OK:
            if gap >= NOTABLE:
                calls.last_gap = gap
                calls.longest_gap = max(calls.longest_gap, gap)
                by = f" from {event.by}" if event.by else ""
                first = calls.last_ok is None
                said = (
                    f"the first good answer{by}, after {lasted(gap)} of calls"
                    if first
                    else f"a good answer again{by}, after {lasted(gap)} without one"
                )
                yield Moment(time, f"{lane}: {said}", "good", about=Flap(lane, UNANSWERED, gap))
            calls.last_ok, calls.troubled, calls.told = time, False, False
            return
        calls.troubled = True
        if calls.gap(time) >= NOTABLE and not calls.told:
            calls.told = True
            good = calls.last_ok if calls.failing is None or calls.last_ok is None else calls.failing.first
            since = f"since {at(good)}" if good is not None else f"yet, though it has been called since {at(calls.first)}"
            yield Moment(time, f"{lane}: no good answer {since} ({event.error or event.outcome})", "bad", about=Flap(lane, UNANSWERED))

    def _checked(self, time: float, event: Event) -> Iterable[Moment]:
        if isinstance(event, Checked) and event.outcome is not Outcome.OK:
            word = "does not hold" if event.outcome is Outcome.FAIL else "could not be asked"
            yield Moment(
                time,
                f"check {event.when} the faults, {event.check} on {event.node or 'no node'}: {word} ({event.saw or 'nothing seen'})",
                "bad",
            )

    def _whole(self, time: float, event: Event) -> Iterable[Moment]:
        if not isinstance(event, Wholeness):
            return
        self.waited[event.when] = (time, event.whole)
        healed = [life.stages[Stage.HEALED] for life in self.faults.values() if Stage.HEALED in life.stages]
        # Counted as the checker counts it, which judges that.
        since = max(healed) if event.when == AFTER and healed else None
        how_long = f"{lasted(time - since)} after the last heal" if since is not None else f"after {lasted(event.seconds)}"
        again = " again," if since is not None else ","
        if event.whole:
            yield Moment(time, f"the cluster is whole{again} {how_long}", "good", early=True)
            return
        self._lacked = "; ".join(event.missing) or "no reason given"
        yield Moment(time, f"the cluster is not whole{again.rstrip(',')} {how_long}: {self._lacked}", "bad", early=True)

    @property
    def turns(self) -> list[Turn]:
        """Return every step that awaited or did something, in the order in which they began."""
        return sorted((*self.awaits.values(), *self.actions.values()), key=lambda each: each.begun)

    def _awaited(self, time: float, event: Event) -> Iterable[Moment]:
        if not isinstance(event, Awaited):
            return
        what = had_come(event.goal, event.app)
        turn = self.awaits.setdefault(event.number, Turn(f"await {event.number}", f"until {what}", time, event.at_most))
        if event.outcome is None:
            yield Moment(time, f"waiting until {what}, for {given(event.at_most)} at most", early=True)
            return
        turn.ended, turn.outcome = time, event.outcome
        if event.outcome is Outcome.OK:
            yield Moment(time, f"{came(event.goal, event.app)} after {lasted(event.seconds)}", "good", early=True)
            return
        means = "the run goes on" if event.otherwise == GO_ON else f"{NO_FURTHER}, and that is {event.otherwise}"
        lacked = "; ".join(event.missing) or "no reason given"
        text = f"{stayed_away(event.goal, event.app)} in {lasted(event.seconds)}: {lacked}; {means}"
        # A run notes as well why its steps end, in these words or in those of earlier versions.
        self._told_before |= {f"{said}; {NO_FURTHER}" for said in (in_vain(event.goal, event.app), f"that {what} was awaited in vain")}
        yield Moment(time, text, "plain" if event.otherwise == GO_ON else "bad", early=True)

    def _acted(self, time: float, event: Event) -> Iterable[Moment]:
        if not isinstance(event, Acted):
            return
        named = " ".join(
            [event.name, *(f"{name}={brief(worded(value))}" for name, value in event.parameters.items() if value not in (None, "", {}))]
        )
        where = f" on {listed(event.targets)}" if event.targets else ""
        said = f"action {event.number} ({named}{where})"
        turn = self.actions.setdefault(event.number, Turn(f"action {event.number}", f"{named}{where}", time, event.at_most))
        if event.outcome is None:
            yield Moment(time, f"{said} begins", "fault", early=True)
            return
        turn.ended, turn.outcome = time, event.outcome
        more = f": {event.detail}" if event.detail else ""
        if event.outcome is Outcome.OK:
            self.asked_for |= event.effect.runs
            yield Moment(time, f"{said} is done, after {lasted(event.seconds)}{more}", "fault", early=True)
            return
        what = "was not done" if event.outcome is Outcome.FAIL else "may or may not have been done"
        yield Moment(time, f"{said} {what}{', which the scenario allows' if event.may_fail else ''}{more}", "bad", early=True)

    def _note(self, time: float, event: Event) -> Iterable[Moment]:
        if not isinstance(event, Note):
            return
        # Who waited for a whole cluster in vain may leave a note of it as well: it is told once.
        if event.text not in self._told_before and not (
            self._lacked and event.text.startswith("not ") and event.text.endswith(self._lacked)
        ):
            yield Moment(time, event.text, "quiet", about=Flap("", _NUMBERS.sub("0", event.text)))


def _answers(event: Answered, *, counting: bool) -> dict[Outcome, int]:
    """Return how many calls an answer is of, by how they ended: one, or as many as a command of the user's own tells of (`counting`).

    How one that this machine could not make would have ended nobody knows.
    """
    if not counting:
        return {Outcome.UNKNOWN if event.ours and event.outcome is Outcome.FAIL else event.outcome: 1}
    counts = told(event.value) or Tally()
    return {outcome: count for outcome, count in ((Outcome.OK, counts.ok), (Outcome.FAIL, counts.failed)) if count}


def _saying(event: FaultStage) -> str:
    """Return what was said while a fault was made, or mended, after a colon."""
    return f": {event.detail}" if event.detail else ""


def _ran(seen: NodeSeen | None) -> dict[str, set[str]]:
    """Return the instances that run on a node as it was seen, each with the ids of its containers there."""
    found: dict[str, set[str]] = {}
    for each in seen.containers if seen else ():
        if each.instance:
            found.setdefault(each.instance, set()).add(each.id)
    return found
