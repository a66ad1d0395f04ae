"""A plan: every choice of a run that can be made before it starts.

Pure. A plan is saved before anything runs, and what it saves is enough to judge the run again or to repeat it. Only who is hit is left open:
targets are resolved when their fault fires, with the run's seed.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from harness import registry
from harness.checkers.mandate import ELECTION
from harness.checkers.rescheduled import Rescheduled
from harness.core import parameters
from harness.core.errors import BadInput, Problem
from harness.core.instances import app_of
from harness.core.protocols import Disks, Distributed, Quorum, Running, of_images, with_distribution
from harness.core.values import AFTER, BEFORE, HIDDEN, LISTENS, NUMBER, RESTARTS, App, Budget, Json, Loss, NodeSpec, Term
from harness.history.lines import typed
from harness.plan import briefing
from harness.scenario import SETTLE, load, misfits
from harness.scenario.promises import unpaced
from harness.steps import Break, Check, Control, Do, Step, awaits, breaks, longest, step_from_json, warm_up

if TYPE_CHECKING:
    from pathlib import Path

    from harness.checkers.expected import Expected
    from harness.core.protocols import Mode, Workload
    from harness.history.bands import Band
    from harness.history.interfaces import Checker
    from harness.registry import Known
    from harness.scenario import Scenario

CALMER = 4.0
"""How many times fewer calls are made on slow machines.

Seen, not measured apart: three emulated machines on 2 cores with as many beside them elected etcd's leader thirty times in five minutes at 30 calls a
second. Alone and at 8 calls a second they kept one leader until it was killed.
"""

STEADY_SECONDS = 45.0
"""How long a new cluster may take until all its work runs and serves, seen by the observers."""
WHOLE_SECONDS = 2.0
"""How long a cluster must look whole before it counts as settled: fleet bounces work after a heal."""
ASK_SECONDS = 30.0
"""How long a check may take where no fault is waiting to be healed: some ten commands of a second at most, or a few that hang."""
LOOK_SECONDS = 20.0
"""How long the nodes' fingerprints, which are taken at once, may take."""
FINALS_SECONDS = 120.0
"""How long the last calls of all workloads may take together. A key takes some milliseconds."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Scenario × mode × provider × seed, with everything that was chosen."""

    scenario: str
    why: str
    file: str
    mode: str
    provider: str
    seed: int
    profile: str
    timers: Mapping[str, float]  # the mode's timers in force, in seconds
    nodes: tuple[NodeSpec, ...]
    apps: tuple[App, ...]
    workloads: tuple[Workload, ...]
    steps: tuple[Step, ...]
    settle: float  # seconds at most
    checks: tuple[Check, ...]
    promises: tuple[Checker, ...]  # `assumptions` first
    control: Control | None
    budgets: Mapping[str, Budget] = field(default_factory=dict)  # of each fault in `steps`, by `harness.core.traits.budget_key`
    because: str = ""  # why this differs from what the file says for its own mode; empty where it does not
    election: float = ELECTION  # seconds that the mode's members may take to have a leader again
    observers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # who watches, and which nodes it must speak of
    slower: Term | None = None  # what all that is about recovery was lengthened by, and why
    stretched: str = ""  # which of the mode's timers were stretched for these machines, and why; empty where none was
    distribution: str = ""  # what its mode runs in the place of upstream's own daemons; see `harness.core.protocols.Distributed`
    images: Mapping[str, str] = field(default_factory=dict)  # from which its mode's daemons come; see `harness.core.protocols.Packaged`
    made: tuple[str, ...] = ()  # names of the faults that a scenario in Python made, in order, also of those that `steps` cannot hold

    @property
    def orchestrator(self) -> str:
        """What people are told that its mode is: ``mesos (stand-in)``."""
        return with_distribution(self.mode, self.distribution)

    @property
    def slack(self) -> float:
        """Seconds that everything about recovery was lengthened by; 0 where machines are as fast as machines are."""
        return self.slower.seconds if self.slower else 0.0

    @property
    def warm_up(self) -> float:
        """Seconds of waiting before the first fault."""
        return warm_up(self.steps)

    @property
    def breaks(self) -> tuple[Break, ...]:
        """The steps that break something, in order."""
        return breaks(self.steps)

    @property
    def longest(self) -> float:
        """Seconds that steps and settling take at most, without making and mending the faults."""
        return longest(self.steps, self.settle)

    def budget_after(self, number: Json, name: str) -> Budget | None:
        """Return the budget of a fault of a history, by its number (from 1) and its name, whoever is lost; None where nothing is known of one."""
        return next(iter(self.budgets_after(number, name)), None)

    def budgets_after(self, number: Json, name: str) -> tuple[Budget, ...]:
        """Return the budgets of such a fault: the longest first, then those for who may be lost to it."""
        fault = self.breaks[number - 1].fault if isinstance(number, int) and 1 <= number <= len(self.breaks) else None
        if fault is None or fault.name != name:
            return (self.budgets[name],) if name in self.budgets else ()
        return briefing.budgets_of(fault, self.budgets)

    def allowed(self, instance: str, band: Band) -> float | None:
        """Return the seconds within which an instance must run again after a fault took it away: as promised, or else as the mode needs it.

        None where neither says anything.
        """
        app = app_of(instance)
        promised = [each.limit(band) for each in self.promises if isinstance(each, Rescheduled) and each.app == app]
        budget = self.budget_after(band.fault, band.name) if band.traits.loses is not Loss.NOTHING else None
        limit = min(promised, default=budget.seconds if budget is not None and budget.terms else math.inf)
        return limit if math.isfinite(limit) else None

    @property
    def limit(self) -> float:
        """Seconds that a run takes at most from the deployed cluster to its last read: `longest`, and the limits of all that is asked around it.

        Not in it: what it takes to make and to mend each fault, which is not cut short.
        """
        beginning = STEADY_SECONDS + self.slack + LOOK_SECONDS + self.asking(BEFORE)
        return beginning + longest(self.steps, 0.0) + self.settle + self.reading_back + self.finals

    def asking(self, when: str) -> float:
        """Return the seconds that a round of checks at this moment (`BEFORE` or `AFTER`) takes at most; 0 where nothing is asked then."""
        return ASK_SECONDS + self.slack if any(when in check.when for check in self.checks) else 0.0

    @property
    def reading_back(self) -> float:
        """Seconds from a settled cluster until its last reads begin, at most: checks, fingerprints, the last answers."""
        calls = max((getattr(each, "deadline", LOOK_SECONDS) for each in self.workloads), default=0.0)
        return self.asking(AFTER) + LOOK_SECONDS + calls

    @property
    def finals(self) -> float:
        """Seconds that the last reads take at most."""
        return FINALS_SECONDS + self.slack

    def slowed(self, term: Term) -> Self:
        """Return a plan for nodes that may take so much longer, by `term`, with everything that is about recovery lengthened by it.

        That is: each finite budget (by one more term), the election, settling if there is any, holds that end when something is seen, and what
        promises say in seconds (`gap`, `within`). Workloads make `CALMER` times fewer calls and wait as much longer for each. A hold for a given
        time and waits are what the scenario wants to see, and stay. Pure. A plan that is lengthened already is returned as it is: the allowance is
        one figure a run.
        """
        if self.slower is not None:
            return self
        more = term.seconds
        budgets = briefing.longer(self.budgets, term)
        steps = tuple(step.slowed(more) for step in self.steps)
        election = self.election + more
        # The calls, too, are work for the machines: fewer, with more time each, or the load would be the fault.
        calm = [briefing.calmer(each, CALMER) for each in self.workloads]
        promises = [briefing.lengthened(promise, more) for promise in self.promises]
        calmer = dataclasses.replace(self, workloads=tuple(calm))
        return dataclasses.replace(
            calmer,
            steps=steps,
            settle=self.settle + more if self.settle > 0 else self.settle,
            promises=briefing.fill(promises, budgets, calmer.expected, election, term, self.apps),
            budgets=budgets,
            election=election,
            slower=term,
        )

    def timed(self, mode: Mode) -> Self:
        """Return the plan with the timers that a mode found in force on a cluster that runs already: its budgets, its election. Pure.

        The same for timers that were stretched before a cluster was formed. Holds, settling and what promises say themselves stay; what the plan is
        lengthened by counts on top.
        """
        settings: Any = mode
        budgets = briefing.budgets_for(self.steps, mode, self.observers)
        election = mode.election() if isinstance(mode, Quorum) else ELECTION
        if self.slower is not None:
            budgets = briefing.longer(budgets, self.slower)
            election += self.slower.seconds
        return dataclasses.replace(
            self,
            timers=dict(getattr(settings, "timers", {})),
            distribution=mode.distribution if isinstance(mode, Distributed) else "",
            promises=briefing.fill(self.promises, budgets, self.expected, election, self.slower, self.apps),
            budgets=budgets,
            election=election,
        )

    def as_done(self, mode: Mode, made: Sequence[Step], promises: Sequence[Checker], among: Known | None = None) -> Self:
        """Return the plan of a scenario in Python, whose steps and promises are known only when they were made: as if it had said them before. Pure.

        A fault, or an action, that is none of those that a scenario file can name is left out: a saved plan could not be read back. Its budget stays.
        """
        among = among or registry.known()
        observers = briefing.watchers([node.name for node in self.nodes], type(mode), among.providers.get(self.provider))
        budgets = briefing.budgets_for(made, mode, observers)
        election = mode.election() if isinstance(mode, Quorum) else ELECTION
        if self.slower is not None:
            budgets = briefing.longer(budgets, self.slower)
            election += self.slower.seconds
            promises = [briefing.lengthened(promise, self.slower.seconds) for promise in promises]
        steps = tuple(each for each in made if _can_be_named(each, among))
        named = briefing.faults_of(made)
        done = dataclasses.replace(self, steps=steps, observers=observers, budgets=budgets, election=election, made=named)
        judged = briefing.with_standing(promises, among, checks=bool(self.checks), settles=self.settle > 0, awaited=bool(awaits(steps)))
        return dataclasses.replace(done, promises=briefing.fill(judged, budgets, done.expected, election, self.slower, self.apps))

    @property
    def expected(self) -> Expected:
        """Who and what must be heard of in a run of it."""
        names = [node.name for node in self.nodes]
        faults = self.made or briefing.faults_of(self.steps)
        mode = registry.known().modes.get(self.mode)
        return briefing.expectations(names, self.workloads, self.apps, faults, self.checks, self.observers, mode, self.file, self.steps)

    def to_json(self) -> dict[str, Json]:
        """Return all of the plan as JSON; `from_json` makes an equal plan of it."""
        return {
            "scenario": self.scenario,
            "why": self.why,
            "file": self.file,
            "mode": self.mode,
            "provider": self.provider,
            "seed": self.seed,
            "profile": self.profile,
            "timers": dict(self.timers),
            "nodes": [dataclasses.asdict(node) for node in self.nodes],
            "apps": [_app_to_json(app) for app in self.apps],
            "workloads": [_named_to_json(workload) for workload in self.workloads],
            "steps": [step.to_json() for step in self.steps],
            "settle": self.settle,
            "checks": [{**dataclasses.asdict(check), "when": list(check.when)} for check in self.checks],
            "promises": [_named_to_json(promise) for promise in self.promises],
            "control": dataclasses.asdict(self.control) if self.control else None,
            "budgets": {name: [dataclasses.asdict(term) for term in budget.terms] for name, budget in self.budgets.items()},
            "because": self.because,
            "election": self.election,
            "observers": {name: list(nodes) for name, nodes in self.observers.items()},
            "slower": dataclasses.asdict(self.slower) if self.slower else None,
            "stretched": self.stretched,
            "made": list(self.made),
            "distribution": self.distribution,
            **({"images": dict(self.images)} if self.images else {}),
        }

    @classmethod
    def from_json(cls, body: Mapping[str, Any], *, file: str = "plan.json", among: Known | None = None) -> Self:
        """Read a plan back, also one from before a part was added that has a default.

        Raises `BadInput` for what no plan wrote (`file` is named in the message).
        """
        among = among or registry.known()
        try:
            plain = {name: typed(hint, body[name]) for name, hint in _SAVED.items()}
            budgets = {name: Budget(typed(tuple[Term, ...], terms)) for name, terms in body["budgets"].items()}
            steps = tuple(step_from_json(step, among) for step in body["steps"])
            promises = tuple(_named_from_json(each, among.checkers) for each in body["promises"])
            slow = typed(Term | None, body.get("slower"))
            election = typed(float, body.get("election", ELECTION))
            workloads = tuple(_named_from_json(each, among.workloads) for each in body["workloads"])
            for app in plain["apps"]:
                _fits(app)
            _paced(workloads)
            names = [node.name for node in plain["nodes"]]
            mode = among.modes.get(plain["mode"])
            told = body.get("observers")  # in plans from before that was written, those that there were
            observers: Mapping[str, tuple[str, ...]] = (
                briefing.watchers(names, mode, among.providers.get(plain["provider"]))
                if told is None
                else typed(Mapping[str, tuple[str, ...]], told)
            )
            made = typed(tuple[str, ...], body.get("made", []))
            faults = made or briefing.faults_of(steps)
            expected = briefing.expectations(
                names, workloads, plain["apps"], faults, plain["checks"], observers, mode, plain["file"], steps
            )
            return cls(
                **plain,
                workloads=workloads,
                steps=steps,
                promises=briefing.fill(promises, budgets, expected, election, slow, plain["apps"]),
                budgets=budgets,
                because=typed(str, body.get("because", "")),
                election=election,
                observers=observers,
                slower=slow,
                stretched=str(body.get("stretched", "")),
                made=made,
                distribution=typed(str, body.get("distribution", "")),
                images=typed(Mapping[str, str], body.get("images", {})),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            hint = "it is damaged, from another version of the harness, or of a plug-in that is not installed here"
            raise BadInput(
                [Problem(file, 0, 0, f"{type(error).__name__}: {' '.join(str(error).split())}", "a plan that this version wrote", hint)]
            ) from error


def plan(scenario: Scenario, *, mode: Mode, provider: str, seed: int, among: Known | None = None) -> Plan:
    """Make the plan of a run. Pure: touches nothing, and the same arguments give an equal plan.

    Raises `BadInput` where the mode lacks what the scenario needs; `harness.scenario.load` has found all other problems before.
    """
    among = among or registry.known()
    problems = misfits(scenario, mode)
    if problems:
        raise BadInput(problems)
    slowed = any(Disks.__name__ in step.fault.traits.takes for step in breaks(scenario.steps))
    observers = briefing.watchers(scenario.node_names, type(mode), among.providers.get(provider))
    budgets = briefing.budgets_for(scenario.steps, mode, observers)
    faults = briefing.faults_of(scenario.steps)
    names = scenario.node_names
    expected = briefing.expectations(
        names, scenario.workloads, scenario.apps, faults, scenario.checks, observers, type(mode), scenario.file, scenario.steps
    )
    awaited = bool(awaits(scenario.steps))
    promises = briefing.with_standing(scenario.promises, among, checks=bool(scenario.checks), settles=scenario.settle > 0, awaited=awaited)
    election = mode.election() if isinstance(mode, Quorum) else ELECTION
    settings: Any = mode  # every mode that is made of a profile keeps its timers; a mode without any has none
    return Plan(
        scenario=scenario.name,
        why=scenario.why,
        file=scenario.file,
        mode=mode.name,
        provider=provider,
        seed=seed,
        profile=scenario.profile,
        timers=dict(getattr(settings, "timers", {})),
        nodes=tuple(NodeSpec(name, address_of(name), faultable_disk=slowed) for name in names),
        apps=scenario.apps,
        workloads=scenario.workloads,
        steps=scenario.steps,
        settle=scenario.settle,
        checks=scenario.checks,
        promises=briefing.fill(promises, budgets, expected, election, None, scenario.apps),
        control=scenario.control,
        budgets=budgets,
        because=scenario.because,
        election=election,
        observers=observers,
        distribution=_distribution(mode, provider),
        images=dict(scenario.cluster.images),
    )


def _distribution(mode: Mode, provider: str) -> str:
    """Return what a mode runs in the place of upstream's own daemons; nothing where the cluster runs already, and nobody has looked yet."""
    kind = registry.known().providers.get(provider)
    theirs = isinstance(kind, type) and issubclass(kind, Running)
    return mode.distribution if isinstance(mode, Distributed) and not theirs else ""


def plan_of(path: Path, *, mode: str | None, provider: str | None, profile: str | None, seed: int) -> Plan:
    """Read a scenario file and plan it; what is given takes precedence over what the file says. Raises `BadInput`, `NotForMode`."""
    scenario = load(path, mode=mode, provider=provider, profile=profile)
    made: Mode = registry.known().modes[scenario.cluster.mode].from_timers(scenario.profile, scenario.cluster.timers)
    return plan(scenario, mode=of_images(made, scenario.cluster.images), provider=scenario.cluster.provider, seed=seed)


def asked_plan(wish: Mapping[str, Any], mode: Mode, *, name: str, why: str, file: str, seed: int) -> Plan:
    """Make the plan of a scenario in Python before anything of it was done: a cluster, its apps and calls, and no step. Pure.

    `wish` has ``nodes`` (how many), ``apps``, ``workloads``, ``provider``, ``profile`` and ``slow_disks``. It is what would be judged if nothing were
    done: a run whose harness is killed is one, too. See `Plan.as_done`.
    """
    settings: Any = mode
    names = [f"n{number}" for number in range(1, wish["nodes"] + 1)]
    made = Plan(
        scenario=re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:_LONGEST_NAME],
        why=why.strip(),
        file=file,
        mode=mode.name,
        provider=wish["provider"],
        seed=seed,
        profile=wish["profile"],
        timers=dict(getattr(settings, "timers", {})),
        nodes=tuple(NodeSpec(each, address_of(each), faultable_disk=wish["slow_disks"]) for each in names),
        apps=tuple(wish["apps"]),
        workloads=tuple(wish["workloads"]),
        steps=(),
        settle=SETTLE,
        checks=(),
        promises=(),
        control=None,
        distribution=_distribution(mode, wish["provider"]),
    )
    return made.as_done(mode, (), ())


def address_of(name: str) -> str:
    """Return the IPv4 address of the node nK: 10.77.0.(10 + K). The harness itself speaks from 10.77.0.1."""
    return f"10.77.0.{10 + int(name[1:])}"


def _can_be_named(step: Step, among: Known) -> bool:
    """Whether a saved plan can hold a step: its fault, or its action, is one of those that a file can name."""
    if isinstance(step, Break):
        return among.faults.get(step.fault.name) is type(step.fault)
    return not isinstance(step, Do) or among.actions.get(step.action.name) is type(step.action)


def _app_to_json(app: App) -> dict[str, Json]:
    """Return an app as it stands in a plan; what an app need not be given is there only where it is.

    What is kept is what others may read: no value of an environment is in it, be it the app's or in its definition.
    """
    given: dict[str, Json] = {
        "environment": [[name, HIDDEN] for name, _ in app.environment],
        "labels": [[name, value] for name, value in app.labels],
        "command": [*app.command],
        "health": dataclasses.asdict(app.health) if app.health else None,
        "limits": dataclasses.asdict(app.limits) if app.limits else None,
        "volumes": [dataclasses.asdict(each) for each in app.volumes],
        "restart": app.restart,
        "inner": app.inner if app.inner != LISTENS else None,
        "native": {name: value for name, value in dataclasses.asdict(app.native).items() if name != "body"} if app.native else None,
    }
    plain = {name: value for name, value in dataclasses.asdict(app).items() if name not in given}
    return {**plain, **{name: value for name, value in given.items() if value}}


def _named_to_json(instance: Any) -> dict[str, Json]:
    return {instance.name: parameters.read(instance)}


def _named_from_json(body: Mapping[str, Any], classes: Mapping[str, Any]) -> Any:
    ((name, given),) = body.items()
    return parameters.build(classes[name], given)


def _paced(workloads: Sequence[Workload]) -> None:
    """Raise `ValueError` for a workload by whose figures no calls could be made."""
    if wrong := [said for each in workloads for said in unpaced(each)]:
        raise ValueError(wrong[0][1])


def _fits(app: App) -> None:
    """Raise `ValueError` for an app that no scenario can ask for: its names and ports could not be written down."""
    if not 0 <= app.instances <= _MOST_INSTANCES or not 0 <= app.port <= _LAST_PORT or not 1 <= app.inner <= _LAST_PORT:
        raise ValueError(f"{app.instances} instances of {app.name} from port {app.port}, of {app.inner}")
    if app.restart not in {"", *RESTARTS}:
        raise ValueError(f"restart {app.restart} of {app.name}")
    own = app.native
    if own is not None and (any(text.count(NUMBER) > 1 for text in (own.called, own.container)) or not _PORT.fullmatch(own.port)):
        raise ValueError(f"{own.called} at port {own.port} for {app.name}")


_SAVED: Mapping[str, Any] = {
    "scenario": str,
    "why": str,
    "file": str,
    "mode": str,
    "provider": str,
    "seed": int,
    "profile": str,
    "timers": Mapping[str, float],
    "nodes": tuple[NodeSpec, ...],
    "apps": tuple[App, ...],
    "settle": float,
    "checks": tuple[Check, ...],
    "control": Control | None,
}
"""The parts of a saved plan that are read by their types alone."""
_PORT = re.compile(rf"[0-9]{{0,5}}{NUMBER}?[0-9]{{0,5}}")
_MOST_INSTANCES = 100
_LONGEST_NAME = 48
_LAST_PORT = 65535
