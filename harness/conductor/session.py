"""A lent cluster with everything that watches it."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import functools
import math
import random
import threading
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from harness import registry
from harness.conductor import bringing, doing, permission, readiness, spelling, until
from harness.conductor.aftermath import Aftermath
from harness.conductor.asking import Round
from harness.conductor.holding import Holding
from harness.conductor.keeping import save_logs
from harness.core import aim, pace, parameters, stops, targets
from harness.core.aim import ImpossibleTarget
from harness.core.clock import Deadline
from harness.core.errors import BadInput, HarnessError, Problem, Unsupported, in_words
from harness.core.figures import given
from harness.core.protocols import Altering, Electing, Enduring, Ordered, Outliving, Performing, Quorum, Viewing
from harness.core.traits import to_history
from harness.core.values import AFTER, BEFORE, DURING, HERE, Outcome, Phase, Stage
from harness.faults import common
from harness.history.awaits import NO_FURTHER, UNKNOWN
from harness.history.events import Acted, Checked, Endures, FaultStage, Fingerprinted, Note, PhaseBegan, Wholeness
from harness.history.recorder import Recorder
from harness.history.situation import Situation
from harness.nodes.this_machine import node_of
from harness.observers import observers
from harness.observers.node_truth import HostObserver
from harness.plan import FINALS_SECONDS, STEADY_SECONDS, WHOLE_SECONDS, Plan, briefing
from harness.plan.foresight import warnings
from harness.runs.folder import write_plan
from harness.steps import ALL, LEADER_MOVED, LINGER_SECONDS, RECOVERED, Await, Break, Do, Hold, NoFurther, breaks
from harness.steps.step import flat
from harness.steps.targeting import Around
from harness.undo import fingerprint
from harness.undo.deadman import DeadMan
from harness.workloads.driver import Driver, Ops
from harness.workloads.performing import Performer

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from harness.conductor.options import Options
    from harness.core.protocols import Action, Cluster, Fault, Node
    from harness.history.interfaces import Checker, Observer
    from harness.steps import Check, Step
    from harness.undo.ledger import Ledger
    from harness.undo.reaper import Reaper


class Session:
    """A lent cluster with everything that watches it."""

    def __init__(
        self, plan: Plan, options: Options, cluster: Cluster, recorder: Recorder, ledger: Ledger, folder: Path, reaper: Reaper | None = None
    ) -> None:
        self.plan = plan
        self.options = options
        self.cluster = cluster
        self.recorder = recorder
        self.folder = folder
        self._ledger = ledger
        self._reaper = reaper
        provider = cluster.provider
        self._dead_man = (
            DeadMan(cluster, provider.patience(), lambda text: recorder.record(Note(text))) if isinstance(provider, Outliving) else None
        )
        self._drawn: Counter[str] = Counter()  # stream of random choices → how many were drawn from it
        self._faults = 0
        self._awaits = 0
        self._actions = 0
        self._unsure: set[str] = set()  # apps of which nobody knows how many instances the last action had run
        self._round = ""  # of a repeat, in the names of streams; empty outside of one
        self._done: list[Step] = []
        self._going: list[Holding] = []  # faults that go on, in the order in which they were made
        self._begun: list[str] = []  # names of faults that were begun without a hold and not healed since, in force or not
        self._hit: dict[str, tuple[str, ...]] = {}  # name of a fault that had one → whom it hit
        self._aftermath = Aftermath(cluster, recorder)
        self._rounds: dict[int, Round] = {}  # number of one of them → what is asked under it
        self._steady = False
        self._over = False  # whether it came to its end: what is done then is in no history
        self.promised: list[Checker] = []  # beside what the plan promises
        self.situation = Situation(
            [node.name for node in cluster.nodes],
            plan.apps,
            _members(cluster),
            called=briefing.paces(plan.apps, plan.workloads),
            writes=briefing.writing_pace(plan.workloads),
            deadlines=briefing.patience(plan.apps, plan.workloads),
            viewed=isinstance(cluster.mode, Viewing),
            daemon=cluster.mode.member() if isinstance(cluster.mode, Quorum) else "",
        )
        self._observers: Sequence[Observer] = observers(cluster)
        self._stops = registry.stopped(cluster.mode)
        ops = Ops()
        self._drivers: list[Driver | Performer] = [
            Performer(workload, cluster, recorder, ops, folder)
            if isinstance(workload, Performing)
            else Driver(workload, cluster, recorder, self._drawing(f"calls of {workload.name}"), ops)
            for workload in plan.workloads
        ]

    @property
    def broke_something(self) -> bool:
        """Whether any fault was begun: then there is something to judge, whatever cannot be done after it."""
        return self._faults > 0

    def __repr__(self) -> str:
        """Name it in a line: it stands in the messages of assertions."""
        return f"<Session of {self.plan.scenario} on {self.cluster!r}>"

    def must_be_possible(self) -> None:
        """Raise `Unsupported` if a fault of the plan cannot be made on these nodes, before anything is broken."""
        permission.must_be_possible(self.plan, self.cluster)

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Watch and call for as long as the block lasts, and stop all of it in reverse."""
        with contextlib.ExitStack() as stack:
            stack.callback(self.recorder.listen(self.situation.hear))
            for observer in self._observers:
                stack.callback(observer.stop)
                observer.start(self.cluster, self.recorder)
            mode = self.cluster.mode
            if isinstance(mode, Enduring):
                beats = (
                    tuple(node.name for node in self.cluster.nodes)
                    if any(each.name == HostObserver.name for each in self._observers)
                    else ()
                )
                self.recorder.record(Endures(mode.endurance(), beats))
            self._fingerprint(BEFORE)
            stack.callback(self._stop_calls, cut=True)
            for driver in self._drivers:
                driver.start()
            # Whatever ends the block: what goes on then is mended first, the newest before the others.
            stack.callback(lambda: self._mend(self._going[::-1]))
            yield

    # -- a whole plan

    def walk(self) -> None:
        """Walk the plan's steps, let the cluster settle, and read everything back. Raises as `pause`, whatever is under way."""
        with stops.listening(self._ear):
            self._walk()

    def _walk(self) -> None:
        for text in warnings(self.plan):
            self.recorder.record(Note(f"warning: {text}"))
        self.begin()
        # What was not sound before proves nothing when it is broken: then no step is taken, and the verdict will be unknown.
        steps = self.plan.steps if self._steady else ()
        first = next((number for number, step in enumerate(steps) if breaks([step])), len(steps))
        further = self._taken(steps[:first])
        self.recorder.record(PhaseBegan(Phase.FAULTS))
        if further:
            self._taken(steps[first:])
        self.end()

    def _taken(self, steps: Sequence[Step]) -> bool:
        """Take steps one after the other, and say whether further ones may be."""
        try:
            for step in steps:
                step.run(self)
        except NoFurther as why:
            self.recorder.record(Note(f"{why}; {NO_FURTHER}"))
            return False
        return True

    def begin(self) -> None:
        """See that the cluster is steady, as far as it becomes so, before anything is broken."""
        with stops.listening(self._ear):
            self._steady = self._await_whole(pace.limit(STEADY_SECONDS) + self.plan.slack, BEFORE)
            self.recorder.record(PhaseBegan(Phase.STEADY))
            self._check(BEFORE)

    def promise(self, *promises: Checker) -> None:
        """Promise something of this run, e.g. ``Rescheduled("web")``: for scenarios in Python. It is judged when the run is over.

        Budgets, elections and who is expected are filled in as for a scenario file. Raises `BadInput` for what is no promise of a scenario file, and
        for one of an app that is not there, with a value that no file could give, with nothing that calls what it is about, or about the time of a
        fault (`during`) by whose name none was broken before.
        """
        self._must_go_on()
        apps = [app.name for app in self.plan.apps]
        spelling.must_be_promises(promises, apps, self.plan.workloads, self.cluster.mode, tuple(self._hit))
        self.promised.extend(promises)

    def end(self) -> None:
        """Let the cluster settle, read everything back, and keep the plan of what was done where there was none before."""
        with stops.listening(self._ear):
            self._end()
        self._over = True
        if not self.plan.steps:
            self.plan = self.plan.as_done(self.cluster.mode, self._done, self.promised)
            write_plan(self.plan, self.folder)

    def _end(self) -> None:
        self._heal(self._going[::-1])
        self.recorder.record(PhaseBegan(Phase.SETTLING))
        if self._steady and self.plan.settle > 0:
            self._await_whole(self.plan.settle, AFTER)
        self._check(AFTER, self._after())
        self._fingerprint(AFTER)
        self._stop_calls()
        self.recorder.record(PhaseBegan(Phase.FINAL))
        left = Deadline(self.options.clock, pace.limit(FINALS_SECONDS) + self.plan.slack)
        for driver in self._drivers:
            stops.beside(functools.partial(driver.finals, left.left()), "finals")
        stops.go_on()

    def _stop_calls(self, *, cut: bool = False) -> None:
        """Have nobody call any more. Where a run ends early (`cut`), what is still asked then is not waited for; else all was stopped by then."""
        with stops.deaf() if cut else contextlib.nullcontext():
            for stopped in stops.spread(self._drivers, lambda driver: driver.stop(cut=cut), "stop-calls"):
                stopped.result()

    def pause(self, seconds: float) -> None:
        """Let so many seconds pass. Raises `Stopped` as soon as the run is asked to stop, and `HarnessError` if the history can no longer be written.

        Raises `BadInput` for what is no number of seconds.
        """
        self._must_go_on()
        spelling.must_be_pause(seconds)
        self._pause(seconds)

    def _pause(self, seconds: float) -> None:
        with stops.listening(self._ear):
            self.options.clock.wait(threading.Event(), seconds)
            stops.go_on()

    def _must_go_on(self) -> None:
        """Raise `BadInput` once the run is over: what a fixture does after its test would be done, and stand in no history."""
        if self._over:
            expected = "all that is done and promised before the test's body ends: then the run ends, and is judged"
            raise BadInput([Problem("the run", 0, 0, "something to be done after its end", expected)])

    def must_be_written(self) -> None:
        """Raise `HarnessError` if the history could not be written: what is not in it cannot be judged."""
        why = unwritten(self.recorder)
        if why is not None:
            raise why

    def _ear(self) -> HarnessError | None:
        return self.options.ear() or unwritten(self.recorder)

    def _await_whole(self, seconds: float, when: str) -> bool:
        """Wait until the cluster has looked whole for a while, and record how that went: checkers judge it.

        Who serves has served since it began, and no call ended badly in that while, however many are answered well beside it.
        """
        begun = self.recorder.now()
        done = self.recorder.wait_for(until.for_a_while(until.whole(self.recorder, self.situation), self.recorder, WHOLE_SECONDS), seconds)
        now = self.recorder.now()
        unasked = () if done else tuple(self.situation.unasked(now, begun))
        missing = () if done else (*self.situation.missing(now), *unasked) or ("it was whole only for a moment",)
        self.recorder.record(Wholeness(when, done, now - begun, missing, unasked))
        if not done:
            what = "steady" if when == BEFORE else "whole again"
            self.recorder.record(Note(f"not {what} after {given(seconds)}: {'; '.join(missing)}"))
        return done

    def await_(self, goal: str, app: str = "", *, at_most: float, otherwise: str = UNKNOWN) -> Outcome:
        """Wait until something is so, and has been for a moment: a `leader`, a cluster that is `steady`, or an app that has `recovered`.

        Returns ok when it is; fail where it did not come within `at_most` seconds; and unknown where only a call of ours was missing. That it did not
        come is judged as `otherwise` says: ``broken``, ``unknown``, or ``go on`` for not at all. Raises `BadInput` for what cannot be awaited, and as
        `pause`.
        """
        self._must_go_on()
        spelling.must_be_await(goal, app, at_most, otherwise, [each.name for each in self.plan.apps])
        step = Await(goal, app, at_most, otherwise)
        self._must_fit(step)
        self._done.append(step)
        self._awaits += 1
        away = {name for each in self._going if not each.fault.traits.in_place for name in each.lost}
        with stops.listening(self._ear):
            return until.awaited(step, self._awaits, self.recorder, self.situation, self.cluster.apps, away)

    def act(self, action: Action, expression: str = "", *, at_most: float | None = None, may_fail: bool = False) -> Outcome:
        """Do something that nobody undoes, to the nodes of a target expression where it is done to nodes, and say whether it was done.

        Not after `at_most` seconds; where nothing is given, the action's own time counts. Unknown is what may or may not have been done. What was
        not done makes the run unknown, but where it `may_fail`. Raises `BadInput` for what is no action, `Unsupported` for one that must not be done
        to these nodes, `harness.core.aim.ImpossibleTarget` where there is nobody to do it to, and as `pause`.
        """
        self._must_go_on()
        spelling.must_be_action(action, expression, at_most, self._around(), may_fail)
        step = Do(action, expression, action.longest if at_most is None else at_most, may_fail)
        permission.must_be_doable(self.cluster, action, expression)
        self._must_fit(step)
        with stops.listening(self._ear):
            return self._act(step)

    def _must_fit(self, step: Step) -> None:
        """Raise `BadInput` for what a file with this step would be refused for by its mode. What the plan has was asked when that was made."""
        if not self._is_planned(step):
            spelling.must_fit(step, self.cluster, self._unsure)

    def _is_planned(self, step: Step) -> bool:
        return any(step == each for each, _ in flat(self.plan.steps))

    def _act(self, step: Do) -> Outcome:
        self._done.append(step)
        self.must_be_written()
        self._actions += 1
        action, values = step.action, parameters.read(step.action)
        bringing.have(action, self.cluster, self.plan, self.options)
        self._settle_down(f"action {self._actions} ({action.name})")
        told = functools.partial(Acted, self._actions, action.name)
        try:
            hit = self.resolve(step.targets, stream=f"{action.name} {values}{self._round}") if step.targets else ()
        except ImpossibleTarget as error:
            self.recorder.record(told((), step.at_most, step.may_fail, Outcome.FAIL, parameters=values, detail=str(error)))
            raise
        told = functools.partial(told, hit, step.at_most, step.may_fail, parameters=values, effect=action.effect, was=self._count())
        self.recorder.record(told())
        begun = self.recorder.now()
        outcome, said = doing.done(action, self.cluster, [node_of(self.cluster, name) for name in hit], step.at_most)
        if outcome is Outcome.OK and isinstance(action, Altering):
            self.cluster.apps = tuple(self.cluster.on_nodes(action.altered(app)) for app in self.cluster.apps)
        if outcome is Outcome.OK and action.effect.runs:
            self._rescale(action.effect.runs)
        if outcome is not Outcome.FAIL:
            change = self._unsure.difference_update if outcome is Outcome.OK else self._unsure.update
            change(action.effect.runs)
        self.recorder.record(told(outcome, self.recorder.now() - begun, detail=said))
        stops.go_on()
        return outcome

    def _settle_down(self, what: str) -> Deadline:
        """Wait until what was mended before runs again, and return the patience: else what it lacks would be the doing of what comes next, `what`."""
        patience = readiness.patience(self.options.clock, self.plan.slack)
        self._aftermath.wait(what, {name for each in self._going for name in each.hit}, patience)
        return patience

    def _after(self) -> list[str]:
        """Wait until what was mended runs again before it is asked for the last time. Returns the nodes that are too slow for that.

        What somebody's work needs is up by then, and a machine's other daemons need not be. On a machine as fast as others what does not run by then
        does not run.
        """
        if not any(AFTER in check.when for check in self.plan.checks):
            return []
        still = self._aftermath.wait("the last checks", (), readiness.patience(self.options.clock, self.plan.slack))
        return still if pace.current().slow else []

    def _count(self) -> dict[str, int]:
        """Return how many instances of each app are to run now."""
        return {app.name: app.instances for app in self.cluster.apps}

    def _rescale(self, runs: Mapping[str, int]) -> None:
        """Have callers, and what steers the run, go by other numbers of instances."""
        self.cluster.apps = tuple(dataclasses.replace(app, instances=runs.get(app.name, app.instances)) for app in self.cluster.apps)
        apps, workloads = self.cluster.apps, self.plan.workloads
        self.situation.rescaled(apps, briefing.paces(apps, workloads), briefing.patience(apps, workloads))
        for driver in self._drivers:
            driver.refit()

    @contextlib.contextmanager
    def round(self, number: int, times: int) -> Iterator[None]:
        """Tell that the steps inside it are done for the `number`th of so many times, and draw for each round what they leave open by itself."""
        self.recorder.record(Note(f"round {number} of {times}"))
        self._round = f", round {number}"
        try:
            yield
        finally:
            self._round = ""

    # -- one fault

    def break_(self, fault: Fault, expression: str, hold: Hold, name: str = "") -> tuple[str, ...]:
        """Break something, hold it, mend it. Returns the names of the nodes that were hit. Raises as `pause`, after it was mended.

        With a name, later targets (`same as`) and promises (`during`) can speak of it.

        Raises `BadInput` before anything is done for what a scenario file would be refused for: whom it can never hit, what is no fault, a fault or a
        hold with a value that no file could give, and what the mode lacks for it; and `Unsupported` for what cannot be made on these nodes. Raises
        `harness.core.aim.ImpossibleTarget` where there is nobody to hit when it comes to
        it, or what it would take is taken already: that is in the history, too, and such a run cannot be judged.
        """
        self._must_go_on()
        spelling.must_be_break(fault, expression, hold, self._around(), name, [each.name for each in self._going])
        self._must_fit(Break(fault, expression, hold, name))
        with stops.listening(self._ear):
            return self._break(fault, expression, hold, name)

    def start(self, fault: Fault, expression: str, name: str) -> tuple[str, ...]:
        """Break something that goes on until it is healed by its name, or the run's steps are over. Returns the names of the nodes that were hit.

        Raises as `break_`, also where another one goes on by that name. One that was not in force is mended, and does not go on.
        """
        self._must_go_on()
        spelling.must_be_start(fault, expression, name, self._around(), [each.name for each in self._going])
        self._must_fit(Break(fault, expression, None, name))
        with stops.listening(self._ear):
            with self._asked_for(Break(fault, expression, None, name)):
                holding = self._decided(fault, expression, name)
            self._hit[name] = holding.hit
            self._begun.append(name)
            self._going.append(holding)  # before it is made: whatever happens, it is not forgotten
            if not holding.begin(expression):
                self._going.remove(holding)
                return holding.hit
            self._rounds[holding.number] = Round(self._questions(DURING), DURING, self.recorder)
            self._rounds[holding.number].begin()
            return holding.hit

    def heal(self, name: str = ALL) -> None:
        """Mend what goes on by that name, or all of it, the newest first.

        Before that everything is asked that the scenario wants to know while a fault is in force, and each fault whether it is. Raises `BadInput`
        where nothing goes on by that name, and as `pause`, after all was tried. Of one that was begun and never was in force nothing is left to mend.
        """
        spelling.must_go_on(name, self._begun)
        chosen = [each for each in reversed(self._going) if name in {ALL, each.name}]
        begun = [each for each in self._begun if name in {ALL, each}]
        self._begun = [each for each in self._begun if each not in begun]
        with stops.listening(self._ear):
            self._heal(chosen)

    def _around(self) -> Around:
        """Return what stands around a target expression now. What was begun and not healed goes on, whether it bit or not: a file knows no more."""
        return Around([node.name for node in self.cluster.nodes], self.cluster.apps, tuple(self._hit), going=bool(self._begun))

    def _heal(self, chosen: Sequence[Holding]) -> None:
        if not chosen:
            return
        last = Round(self._questions(DURING), DURING, self.recorder)
        try:
            last.begin()
            last.wait(pace.limit(LINGER_SECONDS))
        finally:
            last.cut()
            self._mend(chosen, look=True)

    def _mend(self, chosen: Sequence[Holding], *, look: bool = False) -> None:
        """Mend each of these faults, whatever becomes of the others. Raises the first error, the others are in the history."""
        errors: list[BaseException] = []
        for holding in chosen:
            if (round_ := self._rounds.pop(holding.number, None)) is not None:
                round_.cut()
            try:
                try:
                    if look:
                        holding.look_again()
                        holding.still_in_force(pace.limit(LINGER_SECONDS))
                finally:
                    holding.finish()
            except BaseException as error:  # noqa: BLE001 - raised below, when the others are mended as well
                errors.append(error)
            if holding in self._going:
                self._going.remove(holding)
            self._aftermath.add(holding.fault, holding.hit)
        for each in errors[1:]:
            self.recorder.record(Note(f"while faults were mended: {in_words(each)}"))
        if errors:
            raise errors[0]

    @contextlib.contextmanager
    def _asked_for(self, step: Step) -> Iterator[None]:
        """Note a step that is about to be decided. One that is refused was none: it stands in no history, and the next one has its number."""
        self._done.append(step)
        faults = self._faults
        try:
            yield
        except Unsupported:
            self._faults = faults
            self._done.pop()
            raise

    def _decided(self, fault: Fault, expression: str, name: str = "") -> Holding:
        """Find out whom a fault hits, and see that it may: everything that comes before it is made."""
        if self._reaper is not None and self._reaper.ensure():
            self.recorder.record(Note("the reaper had died; another was started before anything is broken"))
        self.must_be_written()
        self._faults += 1
        number = self._faults
        patience = self._settle_down(f"fault {number} ({fault.name})")
        try:
            hit = self.resolve(expression, stream=(name or f"{fault.name} {parameters.read(fault)}") + self._round)
            permission.must_be_free(fault, number, hit, self._going)
        except ImpossibleTarget as error:
            kind = to_history(fault.traits, ())
            self.recorder.record(FaultStage(number, fault.name, (), Stage.FAILED, parameters.read(fault), str(error), kind))
            raise
        nodes = [node_of(self.cluster, name) for name in hit]
        broken = {name for each in self._going for name in each.hit}
        permission.must_be_allowed(self.cluster, fault, nodes, broken)
        if not any(
            fault == each.fault for each in breaks(self.plan.steps)
        ):  # of the plan's it was asked of all nodes, before anything was broken
            permission.must_be_makeable(self.cluster, fault, [node for node in nodes if node.name not in broken])
        return Holding(
            number=number,
            fault=fault,
            hit=hit,
            lost=common.lost(fault, self.cluster, nodes),
            options=self.options,
            cluster=self.cluster,
            recorder=self.recorder,
            ledger=self._ledger,
            dead_man=self._dead_man,
            patience=patience,
            name=name,
        )

    def _break(self, fault: Fault, expression: str, hold: Hold, name: str) -> tuple[str, ...]:
        with self._asked_for(Break(fault, expression, hold, name)):
            holding = self._decided(fault, expression, name)
        if name:
            self._hit[name] = holding.hit
        number, lost = holding.number, holding.lost
        in_place = fault.traits.in_place
        gone = {*lost, *(name for each in self._going for name in each.lost)}
        displaced = self.situation.instances_on(lost)
        awaited = displaced if in_place else self.situation.awaited(displaced, gone)
        leader = self.situation.leader()
        why = _no_leader_to_move(leader) if hold.until == LEADER_MOVED else "" if awaited else _nothing_to_recover(displaced, lost)
        if hold.until and why:
            self.recorder.record(Note(f"fault {number}: {why}: it is held for {given(hold.seconds)}"))
        since = self.recorder.now()

        def seen() -> bool:
            if hold.until == RECOVERED:
                return self.situation.recovered(awaited, gone, self.recorder.now(), since=since if in_place else math.inf)
            return self.situation.leader() not in {None, leader}

        rounds: list[Round] = []

        def look(*, once_more: bool = False) -> None:
            rounds.append(Round(self._questions(DURING, once_more=once_more), DURING, self.recorder))
            rounds[-1].begin()

        def last_look() -> None:
            holding.look_again()
            look()

        def held() -> None:
            look(once_more=_twice(hold, waits=bool(hold.until and not why)))
            try:
                self._hold(hold, seen if hold.until and not why else None, last_look)
            finally:
                for each in rounds:
                    each.cut()

        holding.live(expression, held)
        self._aftermath.add(fault, holding.hit)
        return holding.hit

    def resolve(self, expression: str, *, stream: str = "", to_break: bool = True) -> tuple[str, ...]:
        """Resolve a target expression by what is so now. Raises `ImpossibleTarget` where nothing is left to choose from.

        What it leaves open is drawn with the run's seed from a stream of that name: what is drawn from others changes nothing of it. Nodes that
        must never be broken may be asked all the same: they are spared only `to_break`.
        """
        if targets.is_here(expression):
            return (HERE,)
        mode = self.cluster.mode
        wanted = targets.parse(expression)
        return aim.resolve(
            wanted,
            nodes=tuple(node.name for node in self.cluster.nodes),
            leader=self.situation.leader(),
            members=_members(self.cluster),
            hosting={**self.situation.hosting(), **self.situation.running()},
            hit={name for each in self._going for name in each.hit},
            by=self._hit,
            first=_first(self.cluster, wanted),
            controller=self.situation.controller(mode.orders(self.cluster)) if isinstance(mode, Ordered) else None,
            rng=self._drawing(f"{stream} on {expression}"),
            spared=permission.spared(self.cluster) if to_break else (),
        )

    def _drawing(self, stream: str) -> random.Random:
        """Return the random numbers of the next choice from a stream, by the run's seed: what is drawn from others changes none of them."""
        self._drawn[stream] += 1
        return random.Random(f"{self.plan.seed}/{stream}/{self._drawn[stream]}")  # noqa: S311 - choices that can be repeated, not secrets

    def _hold(self, hold: Hold, seen: Callable[[], bool] | None, last_look: Callable[[], None]) -> None:
        """Wait for as long as a fault is to be held, and not longer; call `last_look`, which must not wait, shortly before the end.

        `seen` says whether what it is held for is there; None where there is nothing to wait for: then it is held for the whole time. It must stay so
        for as long as the fault is held on then: what is gone again by that time is waited for anew.
        """
        clock = self.options.clock
        end = clock.now() + hold.seconds
        if seen is None:
            if _twice(hold, waits=False):
                self._pause(end - LINGER_SECONDS - clock.now())
                last_look()
            self._pause(end - clock.now())
            return
        what = hold.until.replace("-", " ")
        while self.recorder.wait_for(until.for_a_while(seen, self.recorder), end - LINGER_SECONDS - clock.now()):
            last_look()
            if not self.recorder.wait_for(lambda: not seen(), LINGER_SECONDS):
                return
            self.recorder.record(Note(f"{what}, and not for long: it is held on"))
        last_look()
        if self.recorder.wait_for(seen, end - clock.now()):
            self._pause(LINGER_SECONDS)
        else:
            self.recorder.record(Note(f"held for {given(hold.seconds)}: not {what} in that time"))

    # -- asking

    def _check(self, when: str, starting: Collection[str] = ()) -> None:
        """Ask what the scenario wants to have asked at this moment, and wait for the answers. Of nodes that still start a no is none."""
        Round(self._questions(when), when, self.recorder, starting).ask(self.plan.slack)

    def _questions(self, when: str, *, once_more: bool = False) -> list[tuple[Check, Node]]:
        """Return what is to be asked of whom at this moment.

        Where it is to be asked `once_more`, what is for nobody that is known waits for that: the fault may have hit just who led, or who hosted.
        """
        questions: list[tuple[Check, Node]] = []
        for check in self.plan.checks:
            if when not in check.when:
                continue
            try:
                questions += [(check, self.cluster.node(name)) for name in self.resolve(check.on, stream=f"{check} {when}", to_break=False)]
            except ImpossibleTarget as error:
                outcome, saw = self._nobody(check, error)
                if not (once_more and outcome is Outcome.UNKNOWN):
                    self.recorder.record(Checked(str(check), "", when, outcome, saw))
        return questions

    def _nobody(self, check: Check, error: ImpossibleTarget) -> tuple[Outcome, str]:
        """Return the answer of a check that there is nobody to ask of.

        It expects a property of somebody. That no node at all runs the app is known from the nodes themselves, and then nobody has the property. Who
        leads is known from what members say of themselves, which lags: that nobody is known to lead is no proof that nobody does.
        """
        apps = [each.app for each in targets.parse(check.on).sets if isinstance(each, targets.Hosting)]
        gone = [app for app in apps if self.situation.nowhere(app)]
        if gone:
            return Outcome.FAIL, f"no node that runs {', '.join(gone)}"
        return Outcome.UNKNOWN, str(error)

    def _fingerprint(self, when: str) -> None:
        def take(node: Node) -> None:
            try:
                marks = fingerprint.fingerprint(node, self.cluster.provider, self._stops, self.cluster.tasks)
                self.recorder.record(Fingerprinted(node.name, when, marks))
            except HarnessError as error:
                self.recorder.record(Fingerprinted(node.name, when, {}, str(error)))

        stops.spread(self.cluster.nodes, take, "fingerprint")

    def save_logs(self) -> None:
        """Keep the nodes' logs; see `harness.conductor.keeping.save_logs`."""
        save_logs(self.cluster, self.folder)


def _twice(hold: Hold, *, waits: bool) -> bool:
    """Whether there is a last look beside the first one while a fault is held, as `Session._hold` takes it: where it waits, or has the time."""
    return waits or hold.seconds > 2 * LINGER_SECONDS


def _no_leader_to_move(leader: str | None) -> str:
    """Say that nobody led when a fault fired; nothing where somebody did."""
    return "" if leader else "nobody led when it fired, so there is no leadership that could move"


def _nothing_to_recover(displaced: Sequence[str], lost: Sequence[str]) -> str:
    """Say why nothing will recover while a fault is held."""
    if not lost:
        return "nobody is lost to it, so there is no recovery to wait for"
    if displaced:
        return f"no node that is left may run {', '.join(displaced)}, so there is no recovery to wait for"
    return f"no work runs on {', '.join(lost)}, so there is no recovery to wait for"


def _members(cluster: Cluster) -> tuple[str, ...]:
    """Return the names of the quorum's members; none where the mode stands on no quorum."""
    return cluster.mode.members(cluster) if isinstance(cluster.mode, Quorum) else ()


def _first(cluster: Cluster, expression: targets.Expression) -> dict[str, str]:
    """Return where each daemon leads that an expression names: those of which somebody says so."""
    named = {each.process for each in targets.leading(expression)}
    if not named or not isinstance(cluster.mode, Electing):
        return {}
    mode: Electing = cluster.mode
    with cluster.network():
        return {process: node for process in sorted(named) if (node := mode.first(cluster, process)) is not None}


def unwritten(recorder: Recorder) -> HarnessError | None:
    """Say that a history could not be written, if that is so: for `harness.core.stops.listening`."""
    failure = recorder.look()
    if failure is None:
        return None
    hint = "free some disk, or " if failure.errno in {errno.ENOSPC, errno.EDQUOT} else ""
    return HarnessError(f"the history cannot be written any more: {failure}; {hint}choose another folder for results")
