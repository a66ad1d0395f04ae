"""A plan: every choice of a run that can be made before it starts.

Pure. A plan is saved before anything runs, and what it saves is enough to judge the run again or to repeat it. Only who is hit is left open:
targets are resolved when their fault fires, with the run's seed.
"""

from __future__ import annotations

import dataclasses
import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from harness import parameters, targets
from harness.checkers.expected import Asked, Expected
from harness.checkers.quorum import ELECTION
from harness.errors import BadInput, Problem
from harness.faults.common import traits
from harness.files import fixtures
from harness.lines import typed
from harness.modes.steps import voters
from harness.protocols import Quorum, Running
from harness.traits import budget_key
from harness.units import spelled
from harness.values import App, Budget, Json, Loss, NodeSpec, Term, Verdict

if TYPE_CHECKING:
    from harness.parameters import Known
    from harness.protocols import Checker, Fault, Mode, Workload
    from harness.scenario import Scenario

RECOVERED = "recovered"
LEADER_MOVED = "leader-moved"

BEFORE = "before"
DURING = "during"
AFTER = "after"

SETTLED = "settled"
"""The checker that judges whether the cluster was whole again; only a plan that lets it settle can promise that."""

CALMER = 4.0
"""How many times fewer calls are made on slow machines.

Seen, not measured apart: three emulated machines on 2 cores with as many beside them elected etcd's leader thirty times in five minutes at 30 calls a
second. Alone and at 8 calls a second they kept one leader until it was killed.
"""

STEADY_SECONDS = 45.0
"""How long a new cluster may take until all its work runs and serves, seen by the observers."""
LINGER_SECONDS = 3.0
"""How long a fault is held on after what it was held for was seen: what goes wrong often goes wrong just after. For as long before its end a hold
has its last look: whether the fault is still in force, and what the scenario wants to know of it then."""
ASK_SECONDS = 30.0
"""How long a check may take where no fault is waiting to be healed: some ten commands of a second at most, or a few that hang."""
LOOK_SECONDS = 20.0
"""How long the nodes' fingerprints, which are taken at once, may take."""
FINALS_SECONDS = 120.0
"""How long the last calls of all workloads may take together. A key takes some milliseconds."""

_WIDTH = 100
"""Columns of `describe`."""
_LABEL = re.compile(r" {12}| +(?:\w+ {2,}|\d+\. )?")
"""How a line of a plan begins, before its text."""


@dataclass(frozen=True, slots=True)
class Hold:
    """How long a fault is kept in force, in seconds.

    With `until` empty, for the whole time. With `RECOVERED` or `LEADER_MOVED`, until that is seen, and `seconds` at most.
    """

    seconds: float
    until: str = ""

    def __str__(self) -> str:
        """Give the hold in words."""
        if not self.until:
            return f"for {spelled(self.seconds)}"
        what = {RECOVERED: "the work has recovered", LEADER_MOVED: "leadership has moved"}[self.until]
        return f"until {what}, {spelled(self.seconds)} at most"


@dataclass(frozen=True, slots=True)
class Wait:
    """A step in which nothing is done, for so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Break:
    """A step that breaks something: the fault, whom it hits (a target expression), and for how long."""

    fault: Fault
    targets: str
    hold: Hold


Step: TypeAlias = Wait | Break


@dataclass(frozen=True, slots=True)
class Check:
    """Properties of one thing, expected on every node that `on` resolves to, at the moments in `when`."""

    subject: str  # service, process, socket, file, container, image, network, volume
    name: str  # e.g. docker
    expect: Mapping[str, Json]  # property → expected value
    on: str  # target expression
    when: tuple[str, ...]  # of BEFORE, DURING, AFTER

    def __str__(self) -> str:
        """Give the check in words, e.g. ``service docker is_running``."""
        wanted = ", ".join(name if value is True else f"{name}: {_shown(value)}" for name, value in self.expect.items())
        return f"{self.subject} {self.name} {wanted}"


@dataclass(frozen=True, slots=True)
class Control:
    """How a control must come out: the verdict, the checker that must give it, and words its summary must hold."""

    verdict: Verdict
    because: str
    match: str = ""


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
    budgets: Mapping[str, Budget] = field(default_factory=dict)  # of each fault in `steps`, by `harness.traits.budget_key`
    because: str = ""  # why this differs from what the file says for its own mode; empty where it does not
    election: float = ELECTION  # seconds that the mode's members may take to have a leader again
    observers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # who watches, and which nodes it must speak of
    slower: Term | None = None  # what all that is about recovery was lengthened by, and why
    stretched: str = ""  # which of the mode's timers were stretched for these machines, and why; empty where none was

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
        return tuple(step for step in self.steps if isinstance(step, Break))

    @property
    def longest(self) -> float:
        """Seconds that steps and settling take at most, without making and mending the faults."""
        return longest(self.steps, self.settle)

    def budget_after(self, number: Json, name: str) -> Budget | None:
        """Return the budget of a fault of a history, by its number (from 1) and its name; None where nothing is known of one."""
        fault = self.breaks[number - 1].fault if isinstance(number, int) and 1 <= number <= len(self.breaks) else None
        return self.budgets.get(name) if fault is None or fault.name != name else budget_of(fault, self.budgets)

    @property
    def limit(self) -> float:
        """Seconds that a run takes at most from the deployed cluster to its last read: `longest`, and the limits of all that is asked around it.

        Not in it: what it takes to make and to mend each fault, which is not cut short.
        """
        asked = sum(any(when in check.when for check in self.checks) for when in (BEFORE, AFTER))
        calls = max((getattr(each, "deadline", LOOK_SECONDS) for each in self.workloads), default=0.0)
        slow = self.slack * (2 + asked)
        return STEADY_SECONDS + self.longest + asked * ASK_SECONDS + 2 * LOOK_SECONDS + calls + FINALS_SECONDS + slow

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
        budgets = _longer(self.budgets, term)
        steps = tuple(
            dataclasses.replace(step, hold=Hold(step.hold.seconds + more, step.hold.until))
            if isinstance(step, Break) and step.hold.until
            else step
            for step in self.steps
        )
        election = self.election + more
        # The calls, too, are work for the machines: fewer, with more time each, or the load would be the fault.
        workloads: list[Any] = list(self.workloads)
        calm = [dataclasses.replace(each, rate=each.rate / CALMER, deadline=each.deadline * CALMER) for each in workloads]
        promises = [_lengthened(promise, more) for promise in self.promises]
        return dataclasses.replace(
            self,
            steps=steps,
            workloads=tuple(calm),
            settle=self.settle + more if self.settle > 0 else self.settle,
            promises=_filled(promises, steps, budgets, self._expected, election, term, self.apps),
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
        budgets: Mapping[str, Budget] = _budgets(self.steps, mode)
        election = mode.election() if isinstance(mode, Quorum) else ELECTION
        if self.slower is not None:
            budgets = _longer(budgets, self.slower)
            election += self.slower.seconds
        return dataclasses.replace(
            self,
            timers=dict(getattr(settings, "timers", {})),
            promises=_filled(self.promises, self.steps, budgets, self._expected, election, self.slower, self.apps),
            budgets=budgets,
            election=election,
        )

    def as_done(self, mode: Mode, breaks: Sequence[Break], promises: Sequence[Checker], among: Known | None = None) -> Self:
        """Return the plan of a scenario in Python, whose faults and promises are known only when they were made: as if it had said them before. Pure.

        A fault that is none of those that a scenario file can name is left out: a saved plan could not be read back. Its budget stays.
        """
        among = among or parameters.known()
        budgets: Mapping[str, Budget] = _budgets(breaks, mode)
        election = mode.election() if isinstance(mode, Quorum) else ELECTION
        if self.slower is not None:
            budgets = _longer(budgets, self.slower)
            election += self.slower.seconds
            promises = [_lengthened(promise, self.slower.seconds) for promise in promises]
        steps = tuple(each for each in breaks if among.faults.get(each.fault.name) is type(each.fault))
        observers = _observers([node.name for node in self.nodes], type(mode), among.providers.get(self.provider))
        done = dataclasses.replace(self, steps=steps, observers=observers, budgets=budgets, election=election)
        judged = _with_standing(promises, among, checks=bool(self.checks), settles=self.settle > 0)
        return dataclasses.replace(done, promises=_filled(judged, steps, budgets, done._expected, election, self.slower, self.apps))  # noqa: SLF001 - its own

    @property
    def _expected(self) -> Expected:
        return _expected([node.name for node in self.nodes], self.workloads, self.apps, self.steps, self.checks, self.observers)

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
            "apps": [dataclasses.asdict(app) for app in self.apps],
            "workloads": [_named_to_json(workload) for workload in self.workloads],
            "steps": [_step_to_json(step) for step in self.steps],
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
        }

    @classmethod
    def from_json(cls, body: Mapping[str, Any], *, file: str = "plan.json", among: Known | None = None) -> Self:
        """Read a plan back, also one from before a part was added that has a default.

        Raises `BadInput` for what no plan wrote (`file` is named in the message).
        """
        among = among or parameters.known()
        try:
            plain = {name: typed(hint, body[name]) for name, hint in _SAVED.items()}
            budgets = {name: Budget(typed(tuple[Term, ...], terms)) for name, terms in body["budgets"].items()}
            steps = tuple(_step_from_json(step, among) for step in body["steps"])
            promises = tuple(_named_from_json(each, among.checkers) for each in body["promises"])
            slow = typed(Term | None, body.get("slower"))
            election = typed(float, body.get("election", ELECTION))
            workloads = tuple(_named_from_json(each, among.workloads) for each in body["workloads"])
            for app in plain["apps"]:
                _fits(app)
            names = [node.name for node in plain["nodes"]]
            told = body.get("observers")  # in plans from before that was written, those that there were
            observers: Mapping[str, tuple[str, ...]] = (
                _observers(names, among.modes.get(plain["mode"]), among.providers.get(plain["provider"]))
                if told is None
                else typed(Mapping[str, tuple[str, ...]], told)
            )
            expected = _expected(names, workloads, plain["apps"], steps, plain["checks"], observers)
            return cls(
                **plain,
                workloads=workloads,
                steps=steps,
                promises=_filled(promises, steps, budgets, expected, election, slow, plain["apps"]),
                budgets=budgets,
                because=typed(str, body.get("because", "")),
                election=election,
                observers=observers,
                slower=slow,
                stretched=str(body.get("stretched", "")),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            hint = "it is damaged, or from another version of the harness"
            raise BadInput(
                [Problem(file, 0, 0, f"{type(error).__name__}: {' '.join(str(error).split())}", "a plan that this version wrote", hint)]
            ) from error


def warm_up(steps: Sequence[Step]) -> float:
    """Seconds of waiting before the first fault in `steps`."""
    total = 0.0
    for step in steps:
        if isinstance(step, Break):
            break
        total += step.seconds
    return total


def longest(steps: Sequence[Step], settle: float) -> float:
    """Seconds that steps and settling take at most. A hold that ends when something is seen goes on for `LINGER_SECONDS` then."""
    holds = [step.hold for step in steps if isinstance(step, Break)]
    waits = sum(step.seconds for step in steps if isinstance(step, Wait))
    return settle + waits + sum(hold.seconds + (LINGER_SECONDS if hold.until else 0.0) for hold in holds)


def plan(scenario: Scenario, *, mode: Mode, provider: str, seed: int, among: Known | None = None) -> Plan:
    """Make the plan of a run. Pure: touches nothing, and the same arguments give an equal plan.

    Raises `BadInput` where the mode lacks what the scenario needs; `harness.scenario.load` has found all other problems before.
    """
    from harness import scenario as files  # noqa: PLC0415 - it is built of the steps and checks above

    among = among or parameters.known()
    problems = files.misfits(scenario, mode)
    if problems:
        raise BadInput(problems)
    budgets = _budgets(scenario.steps, mode)
    slowed = any("disk" in traits(step.fault).parts for step in scenario.steps if isinstance(step, Break))
    observers = _observers(scenario.node_names, type(mode), among.providers.get(provider))
    expected = _expected(scenario.node_names, scenario.workloads, scenario.apps, scenario.steps, scenario.checks, observers)
    promises = _with_standing(scenario.promises, among, checks=bool(scenario.checks), settles=scenario.settle > 0)
    names = scenario.node_names
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
        promises=_filled(promises, scenario.steps, budgets, expected, election, None, scenario.apps),
        control=scenario.control,
        budgets=budgets,
        because=scenario.because,
        election=election,
        observers=observers,
    )


def _with_standing(own: Sequence[Checker], among: Known, *, checks: bool, settles: bool) -> list[Checker]:
    """Return what is judged: what was promised, and what is judged in every run.

    `assumptions` comes first: whether the rest means anything. Leftovers and failed checks are judged in every run, and whether the cluster was whole
    again in every one that waits for it.
    """
    from harness import scenario as files  # noqa: PLC0415 - it is built of the steps and checks above

    added = dict.fromkeys(name for always in files.ALWAYS for name in ((SETTLED, always) if always == "clean" else (always,)))
    skipped = {*(() if checks else ("checks",)), *(() if settles else (SETTLED,))}
    every = [among.checkers[name]() for name in added if name in among.checkers and name not in skipped]
    # What was promised although the plan would not add it is judged all the same.
    kept = [promise for promise in own if promise.name not in files.ALWAYS and (promise.name != SETTLED or SETTLED in skipped)]
    return [*every[:1], *kept, *every[1:]]


def address_of(name: str) -> str:
    """Return the IPv4 address of the node nK: 10.77.0.(10 + K). The harness itself speaks from 10.77.0.1."""
    return f"10.77.0.{10 + int(name[1:])}"


def describe(made: Plan, width: int = _WIDTH) -> str:
    """Say in words what the run would do, and to whom; for people, some twenty lines. None is wider than `width`, but for words that are."""
    names = tuple(node.name for node in made.nodes)
    lines = [
        made.scenario,
        f"  {made.why}",
        *(["", f"  but in {made.mode}: {made.because}"] if made.because else []),
        "",
        f"  cluster   {_count(len(names), 'node')} from {made.provider} ({', '.join(names)})",
        f"            orchestrated by {made.mode}, profile {made.profile}, seed {made.seed}",
        *(["            " + ", ".join(f"{name} {spelled(value)}" for name, value in made.timers.items())] if made.timers else []),
        *(["            every /data disk can be slowed"] if any(node.faultable_disk for node in made.nodes) else []),
        *(f"  app       {_app_words(app)}" for app in made.apps),
        *(f"  workload  {each.name} {_parameters_words(each)}".rstrip() for each in made.workloads),
    ]
    lines += ["  steps"]
    for number, step in enumerate(made.steps, 1):
        if isinstance(step, Wait):
            lines.append(f"    {number}. wait {spelled(step.seconds)}")
        else:
            named = f"{step.fault.name} {_parameters_words(step.fault)}".rstrip()
            whom = targets.in_words(targets.parse(step.targets), nodes=names)
            lines.append(f"    {number}. {named} on {whom}, {step.hold}, then mend it")
    lines.append(f"    {len(made.steps) + 1}. let the cluster settle, {spelled(made.settle)} at most")
    for check in made.checks:
        whom = targets.in_words(targets.parse(check.on), nodes=names)
        lines.append(f"  check     {check} on {whom}, {_and(check.when)} the faults")
    lines += [f"  promise   {each.name} {_parameters_words(each)}".rstrip() for each in made.promises]
    lines += [f"  budget    after {name}: {budget.spelled()}" for name, budget in made.budgets.items()]
    if made.slower:
        what = "budgets, the election, settling, holds that end when something is seen, and the promises' own seconds"
        lines.append(f"  slower    {what}: lengthened by {made.slower.seconds:g} s: {made.slower.what}")
        lines.append(f"            workloads make {CALMER:g} times fewer calls than the scenario says, and wait {CALMER:g} times longer")
    if made.stretched:
        lines.append(f"  timers    {made.stretched}")
    lines += [f"  warning   {text}" for text in warnings(made)]
    if made.control:
        what = f", with {made.control.match!r} in its words" if made.control.match else ""
        lines.append(f"  control   must come out {made.control.verdict}, because of {made.control.because}{what}")
    lines.append(f"  takes     {spelled(round(made.longest))} of steps and settling at most, once the cluster is steady")
    lines.append(
        f"            {spelled(round(made.limit))} at most with all that is asked around them, beside making and mending the faults"
    )
    return "\n".join(part for line in lines for part in _wrapped(line, width))


def warnings(made: Plan) -> list[str]:
    """Say what can be known before the run to wait for nothing, or to promise nothing."""
    count = len(made.nodes)
    said = []
    for app in made.apps:
        homes = app.homes(count)
        if homes < app.instances:
            pinned = f" and pinned to {app.pin}" if app.pin else ""
            said.append(
                f"{_count(app.instances, 'instance')} of {app.name}, never two on one node{pinned}, on {_count(count, 'node')}: "
                f"{app.instances - homes} of them can have no home; calls to them fail, which counts, and when a node is lost "
                "rescheduled is unknown for whatever no node that is left may run"
            )
        elif app.conflicts and not app.pin and app.instances == count and _lost_with_a_node(made, app):
            said.append(
                f"{_count(app.instances, 'instance')} of {app.name}, never two on one node, on {_count(count, 'node')}: when one is lost the "
                "others are full, so nothing promises that its work runs elsewhere: rescheduled will be unknown"
            )
    said += _no_images(made)
    for step in made.breaks:
        if step.hold.until == RECOVERED and traits(step.fault).loses is Loss.NOTHING:
            text = f"until: {RECOVERED} with {step.fault.name}: no work is lost with it, so there is nothing to wait for"
            said.append(f"{text}: it is held for {spelled(step.hold.seconds)}")
    instances = {name for app in made.apps for name in (app.name, *app.names)}
    for check in made.checks:
        near = targets.nearest(check.name, instances)
        if check.subject == "container" and not check.name.startswith(tuple(instances)) and near.startswith("did you mean"):
            said.append(f"check {check}: no app or instance is called {check.name}; {near}")
    return list(dict.fromkeys(said))


def _no_images(made: Plan) -> list[str]:
    """Say which apps have an image that nodes of ours cannot have: they reach no registry, and build what lies in `fixtures/images`."""
    theirs = parameters.known().providers.get(made.provider)
    if isinstance(theirs, type) and issubclass(theirs, Running):
        return []
    there = sorted(each.name for each in (fixtures() / "images").iterdir() if each.is_dir())
    return [
        f"{app.name} wants the image {app.image}: nodes of {made.provider} reach no registry and can have only what is built from "
        f"fixtures/images/<name>, which is: {', '.join(there)}; the run will fail when it deploys {app.name}"
        for app in made.apps
        if app.image.partition(":")[0] not in there
    ]


def _lost_with_a_node(made: Plan, app: App) -> bool:
    """Whether a whole node may be lost, or cut off, and that is waited for or promised about this app."""
    losing = [step for step in made.breaks if traits(step.fault).loses in {Loss.NODE, Loss.LINK}]
    promises: list[Any] = [each for each in made.promises if each.name == "rescheduled"]
    return bool(losing) and (any(step.hold.until == RECOVERED for step in losing) or any(each.app == app.name for each in promises))


def _wrapped(line: str, width: int) -> list[str]:
    """Return a line of a plan as lines of no more than `width`, the later ones under where its text begins."""
    label = _LABEL.match(line)
    indent = " " * (label.end() if label else 0)
    wrapped = textwrap.wrap(line, max(width, 2 * len(indent)), subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    return wrapped or [""]


def _app_words(app: App) -> str:
    rule = "never two on one node" if app.conflicts else "with no rule against two on one node"
    pinned = f", pinned to {app.pin}" if app.pin else ""
    return f"{_count(app.instances, 'instance')} of {app.name} (image {app.image}), {rule}{pinned}"


def _parameters_words(instance: Any) -> str:
    """Give the parameters, but for those that were left unset."""
    usual = {each.name: each.default for each in dataclasses.fields(instance)}
    found = parameters.read(instance)
    return " ".join(f"{name}={_shown(value)}" for name, value in found.items() if value or value != usual[name])


def _shown(value: Json) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _and(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _filled(
    promises: Sequence[Checker],
    steps: Sequence[Step],
    budgets: Mapping[str, Budget],
    expected: Expected,
    election: float,
    slower: Term | None,
    apps: tuple[App, ...],
) -> tuple[Checker, ...]:
    """Give every checker what it asks for and no scenario says.

    That is the first fault's budget, those of all faults by their keys, who is expected, the apps, how long an election may take, and the slack of
    slow machines.
    """
    first = next((step.fault for step in steps if isinstance(step, Break)), None)
    ours: dict[str, Any] = {
        "apps": apps,
        "budget": None if first is None else budget_of(first, budgets),
        "budgets": dict(budgets),
        "expected": expected,
        "election": election,
        "slack": slower.seconds if slower else 0.0,
    }
    filled: list[Checker] = []
    for promise in promises:
        instance: Any = promise
        wants = {each.name for each in dataclasses.fields(instance)} & parameters.OURS
        filled.append(dataclasses.replace(instance, **{name: ours[name] for name in wants}) if wants else promise)
    return tuple(filled)


def _budgets(steps: Sequence[Step], mode: Mode) -> dict[str, Budget]:
    """Return what the mode needs to recover from each fault of a plan: it goes by what is lost, and to whom."""
    faults = {budget_key(step.fault.name, kind): kind for step in steps if isinstance(step, Break) and (kind := traits(step.fault))}
    return {key: mode.budget(kind) for key, kind in faults.items()}


def budget_of(fault: Fault, budgets: Mapping[str, Budget]) -> Budget | None:
    """Return a fault's budget among those of its plan. Plans from before the traits have them by the fault's name alone."""
    return budgets.get(budget_key(fault.name, traits(fault)), budgets.get(fault.name))


def _longer(budgets: Mapping[str, Budget], term: Term) -> dict[str, Budget]:
    """Return budgets with one more term; where nothing is promised, still nothing is."""
    return {name: Budget((*budget.terms, term)) if budget.terms else budget for name, budget in budgets.items()}


_IN_SECONDS = ("gap", "within")
"""Parameters of promises that say how long recovery may take."""


def _lengthened(promise: Checker, seconds: float) -> Checker:
    """Return a promise with what it says in seconds about recovery lengthened, where it says anything."""
    instance: Any = promise
    given = {each.name: getattr(instance, each.name) for each in dataclasses.fields(instance) if each.name in _IN_SECONDS}
    longer = {name: value + seconds for name, value in given.items() if value is not None}
    made: Checker = dataclasses.replace(instance, **longer)
    return made


def _expected(
    nodes: Sequence[str],
    workloads: Sequence[Any],
    apps: Sequence[App],
    steps: Sequence[Step],
    checks: Sequence[Check],
    observers: Mapping[str, Sequence[str]],
) -> Expected:
    """Say who and what must be heard of in a run, and how many instances can have no home in it."""
    return Expected(
        tuple(nodes),
        tuple((each.name, getattr(each, "app", "")) for each in workloads),
        tuple((app.name, app.instances - app.homes(len(nodes))) for app in apps if app.homes(len(nodes)) < app.instances),
        tuple((name, tuple(watched)) for name, watched in observers.items()),
        tuple(step.fault.name for step in steps if isinstance(step, Break)),
        tuple(_asked(check, when, nodes) for check in checks for when in check.when),
        tuple(name for app in apps for name in app.names),
        tuple(dict.fromkeys(name for app in apps for each in workloads for name in _called(each, app))),
    )


def _called(workload: Any, app: App) -> tuple[str, ...]:
    """Return the instances of an app that a workload calls: the first so many, or all; none where it calls another app."""
    return app.names[: getattr(workload, "instances", 0) or app.instances] if getattr(workload, "app", "") == app.name else ()


def _asked(check: Check, when: str, nodes: Sequence[str]) -> Asked:
    """Say of whom a check is to be asked, as far as that is known before the run."""
    on = targets.parse(check.on)
    return Asked(str(check), when, targets.fixed(on, nodes), on.wanted(len(nodes)) or 1)


def _observers(nodes: Sequence[str], mode: Any, provider: Any) -> dict[str, tuple[str, ...]]:
    """Say who watches which nodes, by the classes of mode and provider; nobody, where the mode is unknown.

    Which nodes are members is for us to choose where we make the cluster, and for the cluster to say elsewhere.
    """
    if not isinstance(mode, type):
        return {}
    every = dict.fromkeys(("host", "docker", "placement"), tuple(nodes))
    if not issubclass(mode, Quorum):
        return every
    theirs = isinstance(provider, type) and issubclass(provider, Running)
    return {**every, "membership": () if theirs else tuple(voters(nodes))}


def _named_to_json(instance: Any) -> dict[str, Json]:
    return {instance.name: parameters.read(instance)}


def _named_from_json(body: Mapping[str, Any], classes: Mapping[str, Any]) -> Any:
    ((name, given),) = body.items()
    return parameters.build(classes[name], given)


def _step_to_json(step: Step) -> dict[str, Json]:
    if isinstance(step, Wait):
        return {"wait": step.seconds}
    hold: dict[str, Json] = {"seconds": step.hold.seconds, "until": step.hold.until}
    return {"fault": step.fault.name, "with": parameters.read(step.fault), "on": step.targets, "hold": hold}


def _step_from_json(body: Mapping[str, Any], among: Known) -> Step:
    if "wait" in body:
        return Wait(typed(float, body["wait"]))
    hold = typed(Hold, body["hold"])
    if hold.until not in {"", RECOVERED, LEADER_MOVED}:
        raise ValueError(f"a hold until {hold.until!r}")
    targets.parse(typed(str, body["on"]))
    return Break(parameters.build(among.faults[body["fault"]], body["with"]), body["on"], hold)


def _fits(app: App) -> None:
    """Raise `ValueError` for an app that no scenario can ask for: its names and ports could not be written down."""
    if not 1 <= app.instances <= _MOST_INSTANCES or not 0 <= app.port <= _LAST_PORT:
        raise ValueError(f"{app.instances} instances of {app.name} from port {app.port}")


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
_MOST_INSTANCES = 100
_LAST_PORT = 65535
