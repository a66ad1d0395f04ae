"""What a plan tells its checkers beyond the scenario: who judges every run, who and what must be heard of, and the mode's budgets. Pure."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness.checkers import Assumptions, CameInTime, Checks, Clean, Settled
from harness.checkers.expected import Asked, Expected
from harness.core import aim, parameters, protocols, targets
from harness.core.protocols import Quorum, Running
from harness.core.traits import budget_among, budget_key
from harness.core.values import App, Budget, CallStream, Loss, Term, Who
from harness.history.calls import stream, stream_named
from harness.history.situation import WRITES
from harness.modes.on_nodes import voters
from harness.scenario import ALWAYS
from harness.steps import actions, awaits, breaks, faults_by_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.core.protocols import Fault, Mode, Workload
    from harness.history.interfaces import Checker
    from harness.registry import Known
    from harness.steps import Check, Step

PREMISE = Assumptions.name
"""The checker that says whether a history can be judged at all; it judges every run, as the first."""
AWAITED = CameInTime.name
"""The checker that judges whether what a step waited for came."""
SETTLED = Settled.name
"""The checker that judges whether the cluster was whole again; only a plan that lets it settle can promise that."""


def with_standing(own: Sequence[Checker], among: Known, *, checks: bool, settles: bool, awaited: bool = False) -> list[Checker]:
    """Return what is judged: what was promised, and what is judged in every run.

    `assumptions` comes first: whether the rest means anything. Leftovers and failed checks are judged in every run, whether the cluster was whole
    again in every one that waits for it, and whether what was awaited came in every one that awaits anything.
    """
    added = dict.fromkeys(name for always in ALWAYS for name in ((AWAITED, SETTLED, always) if always == Clean.name else (always,)))
    skipped = {*(() if checks else (Checks.name,)), *(() if settles else (SETTLED,)), *(() if awaited else (AWAITED,))}
    every = [among.checkers[name]() for name in added if name in among.checkers and name not in skipped]
    # What was promised although the plan would not add it is judged all the same.
    standing = {promise.name for promise in every}
    kept = [promise for promise in own if promise.name not in standing]
    return [*every[:1], *kept, *every[1:]]


def fill(
    promises: Sequence[Checker],
    budgets: Mapping[str, Budget],
    expected: Expected,
    election: float,
    slower: Term | None,
    apps: tuple[App, ...],
) -> tuple[Checker, ...]:
    """Give every checker what it asks for and no scenario says.

    That are the budgets of all faults by their keys, who is expected, the apps, how long an election may take, and the slack of slow machines.
    """
    ours: dict[str, Any] = {
        "apps": apps,
        "budgets": dict(budgets),
        "expected": expected,
        "election": election,
        "slack": slower.seconds if slower else 0.0,
    }
    briefed: list[Checker] = []
    for promise in promises:
        instance: Any = promise
        wants = {each.name for each in dataclasses.fields(instance)} & parameters.OURS
        briefed.append(dataclasses.replace(instance, **{name: ours[name] for name in wants}) if wants else promise)
    return tuple(briefed)


def budgets_for(steps: Sequence[Step], mode: Mode, observers: Mapping[str, Sequence[str]]) -> dict[str, Budget]:
    """Return what the mode needs to recover from each fault among steps, by `harness.core.traits.budget_key`: it goes by what is lost, and by who is.

    For each fault the longest, since who is lost is known only when it fires; and where that makes a difference, for each who may be.
    """
    found: dict[str, Budget] = {}
    first: dict[str, tuple[Loss, tuple[str, ...]]] = {}  # by its key what the first fault loses that has it
    for fault in (step.fault for step in breaks(steps)):
        kind, key = fault.traits, budget_key(fault.name, fault.traits)
        apart = first.setdefault(key, (kind.loses, kind.parts)) != (kind.loses, kind.parts)
        asked = {who: mode.budget(kind, who) for who in Who}
        longest = max(asked.values(), key=lambda each: each.seconds)
        found[budget_key(fault.name, kind, apart=apart)] = longest
        if kind.loses is not Loss.NOTHING:
            found |= {budget_key(fault.name, kind, who, apart=apart): asked[who] for who in _who(mode, observers) if asked[who] != longest}
    return found


def _who(mode: Mode, observers: Mapping[str, Sequence[str]]) -> Iterator[Who]:
    """Yield who may be lost beside the leader; nobody where nobody leads. Of a cluster of somebody else's it is not known who its members are."""
    members = observers.get("membership", ())
    if isinstance(mode, Quorum):
        if len(members) != 1:
            yield Who.FOLLOWER
        if not members or {*observers.get("host", ())} - {*members}:
            yield Who.OTHER


def budgets_of(fault: Fault, budgets: Mapping[str, Budget]) -> tuple[Budget, ...]:
    """Return a fault's budgets among those of its plan: the longest, and those for who may be lost."""
    found = [budget_among(budgets, fault.name, fault.traits, who) for who in (None, *Who)]
    return tuple(dict.fromkeys(each for each in found if each is not None))


def longer(budgets: Mapping[str, Budget], term: Term) -> dict[str, Budget]:
    """Return budgets with one more term; where nothing is promised, still nothing is."""
    return {name: Budget((*budget.terms, term)) if budget.terms else budget for name, budget in budgets.items()}


def calmer(workload: Workload, times: float) -> Workload:
    """Return a workload that calls so many times less often, and waits as much longer for each, as far as its parameters say anything of that."""
    instance: Any = workload
    by = {"rate": 1.0 / times, "every": times, "deadline": times}
    changed = {each.name: getattr(instance, each.name) * by[each.name] for each in dataclasses.fields(instance) if each.name in by}
    made: Workload = dataclasses.replace(instance, **changed)
    return made


_IN_SECONDS = ("gap", "within")
"""Parameters of promises that say how long recovery may take."""


def lengthened(promise: Checker, seconds: float) -> Checker:
    """Return a promise with what it says in seconds about recovery lengthened, where it says anything."""
    instance: Any = promise
    given = {each.name: getattr(instance, each.name) for each in dataclasses.fields(instance) if each.name in _IN_SECONDS}
    changed = {name: value + seconds for name, value in given.items() if value is not None}
    made: Checker = dataclasses.replace(instance, **changed)
    return made


def expectations(
    nodes: Sequence[str],
    workloads: Sequence[Any],
    apps: Sequence[App],
    faults: Sequence[str],
    checks: Sequence[Check],
    observers: Mapping[str, Sequence[str]],
    mode: Any,
    file: str,
    steps: Sequence[Step] = (),
) -> Expected:
    """Say who and what must be heard of in a run, and how many instances can have no home in it.

    `faults` are the names of all, in order, and `mode` is the mode's class, where it is known; of `steps` those count that are no faults. What a
    `file` in Python may start in the middle nobody knows before.
    """
    return Expected(
        tuple(nodes),
        tuple((each.name, called_by(each)) for each in workloads),
        tuple((app.name, app.instances - app.homes(len(nodes))) for app in apps if app.homes(len(nodes)) < app.instances),
        tuple((name, tuple(watched)) for name, watched in observers.items()),
        tuple(faults),
        tuple(_asked(check, when, nodes) for check in checks for when in check.when),
        tuple(name for app in apps for name in app.names),
        tuple(dict.fromkeys(name for app in apps for each in workloads for name in _called(each, app))),
        mode.member() if isinstance(mode, type) and issubclass(mode, Quorum) else "",
        file.endswith(".py"),
        tuple((each.name, called_by(each), float(getattr(each, "deadline", math.inf))) for each in workloads),
        len(awaits(steps)),
        tuple(each.action.name for each in actions(steps)),
        tuple((app.name, room) for app in apps if (room := dataclasses.replace(app, instances=_ANY).homes(len(nodes))) < _ANY),
        tuple((app.name, most) for app in apps if (most := _cap(workloads, app))),
        tuple(faults_by_name(steps, faults).items()),
        tuple(app.name for app in apps if not app.instances),
        tuple((each.name, of) for each in workloads if (of := stream(each)) is not None and of is not stream_named(each.name)),
    )


_ANY = 1_000_000
"""More instances than any app has."""


def called_by(workload: Any) -> str:
    """Return the app that a workload calls, or the name of a probe, or of a command; nothing where it is about nobody by name."""
    of = stream(workload)
    return str(getattr(workload, of.parameter, "")) if of is not None and of.parameter else ""


def calls(workload: Any, app: str) -> bool:
    """Whether a workload calls an app."""
    return stream(workload) is CallStream.APP and called_by(workload) == app


def faults_of(steps: Sequence[Step]) -> tuple[str, ...]:
    """Return the names of the faults that steps make, in order."""
    return tuple(step.fault.name for step in breaks(steps))


def number(of: Any, name: str) -> float | None:
    """Return a parameter that is a number; None where it is unset, not there, or, in a class of others, something else of that name."""
    value = getattr(of, name, None)
    return value if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) else None


def _first(workload: Any) -> int:
    """Return how many instances of its app, from the first on, a workload calls; 0 for all."""
    return int(number(workload, "instances") or 0)


def _called(workload: Any, app: App) -> tuple[str, ...]:
    """Return the instances of an app that a workload calls: the first so many, or all; none where it calls another app, or none."""
    return app.names[: _first(workload) or app.instances] if calls(workload, app.name) else ()


def _cap(workloads: Sequence[Any], app: App) -> int:
    """Return how many instances of an app its workloads call at most, however many there are; 0 where they call all, or none."""
    caps = [_first(each) for each in workloads if calls(each, app.name)]
    return max(caps) if caps and all(caps) else 0


UNLUCKY = 8
"""Calls of the workload register in a row of which none writes: once in some fifteen thousand times (`harness.workloads.register.WRITES`)."""


def paces(apps: Sequence[App], workloads: Sequence[Workload]) -> dict[str, float]:
    """Say of each instance that a workload calls by how many seconds two calls of it stand apart."""
    rates: dict[str, float] = {}
    for app in apps:
        for each in workloads:
            names = _called(each, app)
            rates |= {name: rates.get(name, 0.0) + each.rate / len(names) for name in names}
    return {name: 1.0 / rate for name, rate in rates.items()}


def writing_pace(workloads: Sequence[Workload]) -> float | None:
    """Say by how many seconds two writes to the quorum stand apart at most, as far as chance lets them; None where nothing writes."""
    rate = sum(each.rate for each in workloads if stream(each) is CallStream.QUORUM)
    return UNLUCKY / rate if rate else None


def patience(apps: Sequence[App], workloads: Sequence[Workload]) -> dict[str, float]:
    """Say how many seconds a call of each instance may take, and a write to the quorum (under `WRITES`): the longest deadline of its workloads."""
    found: dict[str, float] = {}
    for each in workloads:
        names = [WRITES] if stream(each) is CallStream.QUORUM else [name for app in apps for name in _called(each, app)]
        seconds = float(getattr(each, "deadline", 0.0))
        found |= {name: max(found.get(name, 0.0), seconds) for name in names}
    return found


def _asked(check: Check, when: str, nodes: Sequence[str]) -> Asked:
    """Say of whom a check is to be asked, as far as that is known before the run."""
    on = targets.parse(check.on)
    return Asked(str(check), when, aim.fixed(on, nodes), on.wanted(len(nodes)) or 1)


def watchers(nodes: Sequence[str], mode: Any, provider: Any) -> dict[str, tuple[str, ...]]:
    """Say who watches which nodes, by the classes of mode and provider; nobody, where the mode is unknown.

    Which nodes are members is for us to choose where we make the cluster, and for the cluster to say elsewhere.
    """
    if not isinstance(mode, type):
        return {}
    theirs = isinstance(provider, type) and issubclass(provider, Running)
    members = () if theirs else tuple(voters(nodes))
    return {name: members if name == "membership" else tuple(nodes) for name in protocols.watchers(mode)}
