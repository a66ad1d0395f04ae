"""What can be known of a plan before its run: that it would wait for nothing, or promise nothing."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness import registry
from harness.checkers import Availability, Conflicts, Probed
from harness.checkers.usual import FEWEST
from harness.core import targets
from harness.core.figures import DIGITS, given
from harness.core.instances import app_of
from harness.core.plain import in_line
from harness.core.traits import budget_key, budget_keys, for_work
from harness.core.units import counted
from harness.core.values import CallStream, Loss, Who
from harness.history.awaits import STEADY
from harness.history.calls import stream
from harness.history.interfaces import about_of
from harness.history.loads import SLOT
from harness.host import contexts
from harness.plan import STEADY_SECONDS, WHOLE_SECONDS, briefing
from harness.steps import ALL, RECOVERED, Await, Break, Do, Heal, actions, faults_made, flat, most

if TYPE_CHECKING:
    from harness.core.values import App
    from harness.history.interfaces import Checker
    from harness.plan import Plan


def warnings(made: Plan) -> list[str]:
    """Say what can be known before the run to wait for nothing, or to promise nothing."""
    count = len(made.nodes)
    said = []
    for app in made.apps:
        homes = app.homes(count)
        if homes < app.instances:
            pinned = f" and pinned to {app.pin}" if app.pin else ""
            said.append(
                f"{counted(app.instances, 'instance')} of {app.name}, never two on one node{pinned}, on {counted(count, 'node')}: "
                f"there is no node for {app.instances - homes} of them; calls to them fail, which counts, and when a node is lost "
                "rescheduled is unknown for whatever no node that is left may run"
            )
        elif app.conflicts and not app.pin and _lost_with_a_node(made, app, count):
            said.append(
                f"{counted(count, 'instance')} of {app.name}{' by then' * (app.instances != count)}, never two on one node, on "
                f"{counted(count, 'node')}: when one is lost the others are full, so nothing promises that its work runs elsewhere: rescheduled will "
                "be unknown"
            )
    said += [
        f"{app.name} has no instances, and no step deploys it: nothing of it will run, so what is promised of it will be unknown"
        for app in made.apps
        if made.steps and not most(app, made.steps)
    ]
    said += _parts_left_out(made)
    for step in made.breaks:
        if step.hold and step.until == RECOVERED and step.fault.traits.loses is Loss.NOTHING:
            text = f"until: {RECOVERED} with {step.fault.name}: no work is lost with it, so there is nothing to wait for"
            said.append(f"{text}: it is held for {given(step.hold.seconds)}")
    said += [
        *_nothing_promised(made),
        *_too_short(made),
        *_two_for_certain(made),
        *_pinned(made),
        *_nobody_acts(made),
        *_seldom(made),
        *_patient(made),
        *_seldom_asked(made),
        *_never_seen(made),
        *_windows_too_short(made),
        *_called_amiss(made),
    ]
    said += [*_never_whole(made), *_scaled(made)]
    instances = {name for app in made.apps for name in (app.name, *app.names)}
    for check in made.checks:
        near = targets.nearest(check.name, instances)
        if check.subject == "container" and not check.name.startswith(tuple(instances)) and near.startswith("did you mean"):
            said.append(f"check {check}: no app or instance is called {check.name}; {near}")
    return list(dict.fromkeys(said))


def whose(promise: Checker) -> str:
    """Say, after a space, of which apps a promise is judged, where their rules do not say it already; else nothing."""
    if not isinstance(promise, Conflicts):
        return ""
    judged = [app for app in promise.apps if promise.judges(app.name)]
    names, rule = " and ".join(app.name for app in judged), "rule against two on one node"
    if promise.spared:
        return f" (judged of {names}: {' and '.join(promise.spared)} {'have' if promise.spared[1:] else 'has'} no {rule})"
    return f" (judged of {names}, with no {rule} all the same)" if judged and not any(app.conflicts for app in judged) else ""


def of_no_work(made: Plan, name: str) -> str:
    """Say of a budget that it is for the cluster alone: by it no work has to be back, and no promise of that is judged by it."""
    faults = [
        each.fault for each in made.breaks if any(name in budget_keys(each.fault.name, each.fault.traits, who) for who in (None, *Who))
    ]
    works = [for_work(made.budgets[name], each.traits).terms for each in faults]
    return ", for the cluster itself; no work is lost" if made.budgets[name].terms and works and not any(works) else ""


def _nothing_promised(made: Plan) -> list[str]:
    """Say for which faults the mode promises no recovery, though one is waited for, or promised about an app."""
    unbounded: dict[str, set[str]] = {}  # promise → the apps of which it goes by the mode's budget
    for each in _returning(made):
        if briefing.number(each, "within") is None:
            unbounded.setdefault(each.name, set()).add(str(each.app))
    said = []
    for step in made.breaks:
        kind = step.fault.traits
        budgets = briefing.budgets_of(step.fault, made.budgets)
        if kind.loses is Loss.NOTHING or not budgets or any(budget.terms for budget in budgets):
            continue
        what = f"{made.orchestrator} promises no recovery after {budget_key(step.fault.name, kind)}"
        if step.hold and step.until == RECOVERED:
            said.append(
                f"until: {RECOVERED} with {step.fault.name}: {what}, so it may well be held for its full {given(step.hold.seconds)}"
            )
        # Where another fault of the run has a budget, what is lost is judged by that: this one may take nothing that anybody misses.
        if not any(budget.terms for each in made.breaks for budget in briefing.budgets_of(each.fault, made.budgets)):
            said += [
                f"{what}, so no deadline applies to {name} of {', '.join(sorted(apps))} there: it will most likely be unknown"
                for name, apps in unbounded.items()
            ]
    return said


def _too_short(made: Plan) -> list[str]:
    """Say which faults are held for less than work may take to come back, though that is promised: only what is early would be more than unknown."""
    said = []
    for each in faults_made(() if made.control else made.steps):
        step, kind = each.step, each.step.fault.traits
        if step.hold is None or each.beside or kind.loses is Loss.NOTHING:
            continue
        own = [budget.seconds for budget in briefing.budgets_of(step.fault, made.budgets) if budget.terms]
        for promise in _returning(made):
            within = briefing.number(promise, "within")
            least = within if within is not None else min(own, default=0.0)
            if step.hold.seconds < least:
                most = " at most" if step.until else ""
                said.append(
                    f"{step.fault.name} is held for {given(step.hold.seconds)}{most}, and {promise.app} may take {given(least)} to run again: "
                    f"{promise.name} will be unknown for what is not back sooner; hold it for longer than {given(least)}"
                )
    return said


def _two_for_certain(made: Plan) -> list[str]:
    """Say of which apps two instances must be on one node, though that is what is judged; a control may be there to show it."""
    count = len(made.nodes)
    promises = [] if made.control else [each for each in made.promises if isinstance(each, Conflicts)]
    return [
        f"{counted(many, 'instance')} of {app.name}{f', pinned to {app.pin},' if app.pin else ''} on {counted(count, 'node')}, with no rule "
        f"against two on one node: conflicts of {app.name} must come out broken"
        for promise in promises
        for app in made.apps
        if promise.judges(app.name) and not app.conflicts and (many := most(app, made.steps)) > (1 if app.pin else count)
    ]


def _pinned(made: Plan) -> list[str]:
    """Say of which apps no other node may run what is lost with a node, though that is promised; a control may be there to show it."""
    promised = {} if made.control else {str(each.app): each.name for each in _returning(made)}
    hit = [targets.names(targets.parse(step.targets)) for step in made.breaks if step.fault.traits.loses in {Loss.NODE, Loss.LINK}]
    return [
        f"{app.name} is pinned to {app.pin}: when that is lost no other node may run it, so {promised[app.name]} of {app.name} must come out broken"
        for app in made.apps
        if app.pin and app.name in promised and any(not named or app.pin in {each.word for each in named} for named in hit)
    ]


def _nobody_acts(made: Plan) -> list[str]:
    """Say of which apps nobody brings anything back, though that is promised; a control may be there to show it."""
    promises: list[Any] = [each for each in made.promises if about_of(each).by_hand] if made.steps and not made.control else []
    return [
        f"no step does anything, so nobody brings back what a fault takes of {each.app}: {each.name} of {each.app} cannot be held; "
        "`do: …` is such a step"
        for each in promises
        if not actions(made.steps)
    ]


def _returning(made: Plan) -> list[Any]:
    """Return the promises that what a fault takes runs again."""
    return [each for each in made.promises if about_of(each).returns]


def _seldom(made: Plan) -> list[str]:
    """Say who is called so seldom that whether it serves may not be seen while it is waited for."""
    calls = {f"{name} is called": pace for name, pace in briefing.paces(made.apps, made.workloads).items()}
    writes = briefing.writing_pace(made.workloads)
    calls |= {} if writes is None else {"the register may be written to": writes}
    said = []
    for what, seconds in (("steady", STEADY_SECONDS), ("whole again", made.settle)):
        slow = {who: pace for who, pace in calls.items() if 0 < seconds < pace + WHOLE_SECONDS}
        said += [
            f"{who} only once in {given(round(pace, 1))}: that may not fall within the {given(seconds)} in which the cluster must be {what}, "
            "and then it is unknown"
            for who, pace in slow.items()
        ]
    return said


def _seldom_asked(made: Plan) -> list[str]:
    """Say which probe will have fewer answers than its share needs, however long all takes."""
    every = _probes(made)
    few = [(each.called, made.longest / every[each.called]) for each in made.promises if isinstance(each, Probed) and each.called in every]
    return [
        f"the probe {name} is asked {counted(int(times), 'time')} at most: a share needs {FEWEST} answers, so it will be unknown; ask more often"
        for name, times in few
        if times < FEWEST
    ]


def _never_seen(made: Plan) -> list[str]:
    """Say whose answers are so rare that even two good ones in a row stand further apart than was promised."""
    every, pace = _probes(made), briefing.paces(made.apps, made.workloads)
    streams = (CallStream.PROBE, CallStream.COMMAND, CallStream.APP)
    promises: list[tuple[CallStream, Any]] = [(of, each) for of in streams for each in made.promises if about_of(each).calls is of]
    said = []
    for of, each in promises:
        if (gap := briefing.number(each, "gap")) is None:
            continue
        if of is CallStream.PROBE:
            who, seconds, more = f"the probe {each.called} is asked", every.get(each.called, 0.0), "ask"
        elif of is CallStream.COMMAND:
            who, seconds, more = f"what the command {each.called} tells is gathered", SLOT, ""
        else:
            slowest = max((name for name in pace if app_of(name) == each.app), key=lambda name: pace[name], default="")
            who, seconds, more = f"{slowest} is called", pace.get(slowest, 0.0), "call"
        if gap <= seconds:
            never = f"nobody can see that it was kept, so it will {'be unknown' if of is CallStream.PROBE else 'not be held'}"
            said.append(
                f"{who} only every {given(round(seconds, 3))}, and a gap of {given(gap)} was promised: {never}; "
                f"{f'{more} more often' if more else 'allow a longer gap'}"
            )
    return said


def _called_amiss(made: Plan) -> list[str]:
    """Say which workloads call instances that there never are, and which stand twice."""
    said = []
    most_of = {app.name: most(app, made.steps) for app in made.apps}
    for each in made.workloads:
        asked, app = int(briefing.number(each, "instances") or 0), getattr(each, "app", "") if stream(each) is CallStream.APP else ""
        if asked > (there := most_of.get(app, 0)) > 0:
            said.append(f"{each.name} is to call {counted(asked, 'instance')} of {app}, which has {there} at most: those are called")
    for number, each in enumerate(made.workloads):
        alike = [one for one in made.workloads[:number] if one == each or _writes_the_same(one, each)]
        if alike:
            said.append(f"the workload {each.name} stands there twice: promises count the calls of both")
    return said


def _writes_the_same(one: Any, other: Any) -> bool:
    """Whether two workloads write the same keys."""
    return (
        one.name == other.name
        and stream(other) in {CallStream.QUORUM, CallStream.STORE}
        and briefing.called_by(one) == briefing.called_by(other)
    )


def _probes(made: Plan) -> dict[str, float]:
    """Return by how many seconds the questions of each probe stand apart."""
    asked: list[Any] = [each for each in made.workloads if stream(each) is CallStream.PROBE]
    return {each.called: round(1.0 / each.rate, DIGITS) for each in asked if each.rate}


def _windows_too_short(made: Plan) -> list[str]:
    """Say which promises of the time of a fault ask more than that can show: it is held too shortly for too long a gap, or for enough calls."""
    holds = {step.name: step.hold.seconds for step in made.breaks if step.name and step.hold and not step.until}
    said = []
    for each in made.promises:
        for name in (name for name in getattr(each, "during", ()) if name in holds):
            allowed = briefing.number(each, "gap" if hasattr(each, "gap") else "longest") or 0.0
            if allowed >= holds[name]:
                said.append(
                    f"{each.name} during {name} allows {given(allowed)}, and {name} is held for {given(holds[name])}: nothing can be too long in "
                    f"it, and what is not over by then is unknown; hold it for longer than {given(allowed)}"
                )
            calls = holds[name] * _asked_a_second(made, each)
            if 0.0 < calls < FEWEST:
                said.append(
                    f"{each.name} during {name}, which is held for {given(holds[name])}: {counted(int(calls), 'call')} at most are made in it, and "
                    f"{FEWEST} are needed, so it will be unknown; hold it for longer, or call more often"
                )
    return said


def _asked_a_second(made: Plan, promise: Any) -> float:
    """Return how many calls a second a promise is judged by that needs `FEWEST`; 0 where it goes by none."""
    if isinstance(promise, Probed):
        return sum(1.0 / every for name, every in _probes(made).items() if name == promise.called)
    called = {name: pace for name, pace in briefing.paces(made.apps, made.workloads).items() if app_of(name) == getattr(promise, "app", "")}
    return sum(1.0 / pace for pace in called.values()) if isinstance(promise, Availability) else 0.0


def _patient(made: Plan) -> list[str]:
    """Say whose calls may take longer than all there is to see."""
    return [
        f"a call of {each.name} may take {given(deadline)} (a bare number is seconds), and all steps and settling take "
        f"{given(round(made.longest))} at most: a call that has no answer by then is unknown"
        for each in made.workloads
        if (deadline := getattr(each, "deadline", 0.0)) > made.longest > 0.0
    ]


def _scaled(made: Plan) -> list[str]:
    """Say which actions ask for more instances than can have a home, and which promises of that have no time to be judged in."""
    count = len(made.nodes)
    said = []
    for app in made.apps:
        asked = dataclasses.replace(app, instances=most(app, made.steps))
        lacking = asked.instances - asked.homes(count)
        if asked.instances > app.instances and lacking > 0 and made.control is None:
            pinned = f" and pinned to {app.pin}" if app.pin else ""
            said.append(
                f"{app.name} is to have {counted(asked.instances, 'instance')}, never two on one node{pinned}, "
                f"on {counted(count, 'node')}: there is no node for {lacking} of them, so a promise that all run is broken, and the "
                "cluster is not whole"
            )
    promises: list[tuple[Any, float]] = [(each, briefing.number(each, "within") or 0.0) for each in made.promises if about_of(each).scale]
    return said + [
        f"{each.name} of {each.app} within {given(within)}, and all steps and settling take {given(round(made.longest))} at most: if they do "
        "not run by then it is unknown"
        for each, within in promises
        if within > made.longest > 0.0
    ]


def _never_whole(made: Plan) -> list[str]:
    """Say what keeps the cluster from being whole when a step awaits that, or at the end: a fault that goes on, a daemon that stays stopped."""
    said = []
    going: list[Break] = []
    names = frozenset(node.name for node in made.nodes)
    stopped: dict[tuple[str, str], _Left] = {}  # daemon, on whom → the action that stopped it
    emptied: list[_Left] = []  # actions that keep work from nodes
    for step, _ in flat(made.steps):
        if isinstance(step, Break) and step.hold is None and step.fault.traits.loses in {Loss.NODE, Loss.PROCESS}:
            going.append(step)
        elif isinstance(step, Heal):
            going = [each for each in going if step.name not in {ALL, each.name}]
        elif isinstance(step, Do):
            effect = step.action.effect
            whom = _named(step.targets, names)
            stopped |= {(part, step.targets): _Left(step, whom) for part in effect.stops}
            stopped = {key: left for key, by in stopped.items() if (left := by.without(whom) if key[0] in effect.starts else by)}
            emptied = [left for by in emptied if (left := by.without(whom) if effect.opens else by)]
            emptied += [_Left(step, whom)] if effect.moves else []
        elif isinstance(step, Await) and step.goal == STEADY:
            what = [f"{each.fault.name} ({each.name}) is in force" for each in going]
            what += [f"{part} is stopped" for part in dict.fromkeys(part for part, _ in stopped)]
            said += (
                [f"await: {STEADY} while {' and '.join(what)}: the cluster is not whole then, so this will most likely time out"]
                if what
                else []
            )
    return (
        said
        + [
            f"{by.step.action.name} stops {part}, and no later step starts it again: the cluster is not whole when the run ends, so settled will "
            "be unknown"
            for (part, _), by in stopped.items()
        ]
        + [
            f"{by.step.action.name} on {by.step.targets} keeps work off nodes, and no later step lets it back: if the other nodes are too "
            "few for all instances the cluster is not whole when the run ends, and settled will be unknown"
            for by in emptied
        ]
    )


@dataclass(frozen=True, slots=True)
class _Left:
    """What a step did, and of which nodes no later one has surely undone it; None where nobody knows to whom it was done."""

    step: Do
    nodes: frozenset[str] | None

    def without(self, whom: frozenset[str] | None) -> _Left | None:
        """Return what is left once it is undone for these (None: for whoever it may be); None where that may be nothing."""
        if self.nodes is None or whom is None or self.nodes <= whom:
            return None
        return _Left(self.step, self.nodes - whom)


def _named(expression: str, names: frozenset[str]) -> frozenset[str] | None:
    """Return the nodes that a target expression names, of all that there are: one, or all; None where it hangs on more than that."""
    if expression == ALL:
        return names
    return frozenset([expression]) if expression in names else None


def _parts_left_out(made: Plan) -> list[str]:
    """Say which apps have an image that nodes of ours cannot have whole: they build what lies in a folder here."""
    if not contexts.builds_here(registry.known().providers.get(made.provider)):
        return []
    return [
        f"{app.name} wants the image {app.image}: {in_line(why)}; the run may fail when it deploys {app.name}"
        for app in made.apps
        if (context := contexts.context_of(app.image, made.file)) is not None and (why := contexts.left_out(context))
    ]


def _lost_with_a_node(made: Plan, app: App, instances: int) -> bool:
    """Whether a whole node may be lost, or cut off, while so many instances of an app are asked for, and that is waited for or promised about it."""
    promised = any(each.app == app.name for each in _returning(made))
    now, lost, waited = app.instances, False, False
    for step, _ in flat(made.steps):
        if isinstance(step, Do):
            now = step.action.effect.runs.get(app.name, now)
        elif isinstance(step, Break) and step.fault.traits.loses in {Loss.NODE, Loss.LINK} and now == instances:
            waited = waited or step.until == RECOVERED
            lost = True
    return lost and (waited or promised)
