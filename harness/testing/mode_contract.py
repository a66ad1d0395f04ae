"""What every mode must say of itself, by its class alone, before there is a cluster; see `harness.testing.contracts` for how it is used.

What a mode cannot do (no `Quorum`, no `Services`, no `Adopting` …) is not asked of it::

    @pytest.mark.parametrize("promise", STATED.values(), ids=STATED)
    def test_stated(promise):
        promise(Fleet)

What it must do with a cluster is in `harness.testing.formed_contract`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, cast

from harness import registry
from harness.core.errors import BadInput, HarnessError, in_words
from harness.core.figures import given
from harness.core.protocols import (
    Adopting,
    Cluster,
    Defining,
    Enduring,
    Mode,
    OwnApp,
    Quorum,
    Selective,
    Services,
    Stretching,
    Unhurried,
)
from harness.core.traits import DISK
from harness.core.values import RESTARTS, App, Budget, Health, Loss, Traits, Who
from harness.registry import fitness
from harness.reports.prose import describe
from harness.scenario.models import AppPart
from harness.steps.part import keys
from harness.testing.contracts import ContractBroken, require, same
from harness.testing.fake_clock import FakeClock
from harness.testing.memory_node import MemoryNode
from harness.testing.memory_provider import MemoryProvider
from harness.testing.report_contract import planned
from harness.testing.servers import loopback

STALLS = (0.5, 3.0, 20.0)
"""Seconds that machines may stand still for which timers are stretched."""
NO_DEFINITIONS = ("", "\n", "no definition", "[", "[Service]\nExecStart=", "a: {b: [c, 1]}", "services: {web: 7}", "%i $X ${", '"' * 3)
"""What may stand in a file that is to be an app's own definition."""
MOST_NODES = 8
LOSSES = (
    Traits(),
    Traits(idle=True),
    Traits(Loss.NODE),
    Traits(Loss.LINK, apart=True),
    Traits(Loss.PROCESS, parts=("docker",)),
    Traits(Loss.PROCESS, parts=("nobody's daemon",), in_place=True),
    Traits(parts=(DISK,)),
)
"""What may be lost, beside what our own faults take away."""


def it_is_stated_in_full(kind: type[Any]) -> None:
    """All that is to be known of a mode without a cluster its class says, and what else it can it can wholly: see `harness.registry.fitness`."""
    found = "; ".join(f"{what}; expected {wanted}" for what, wanted, _ in fitness.lacks("modes", getattr(kind, "name", ""), kind))
    require(not found, "a class that says all that a mode says", found)


def profiles_have_the_same_timers(kind: type[Any]) -> None:
    """Profiles of timers by name, one of them ``default``, each with the same timers, in seconds."""
    every = _profiles(kind)
    require("default" in every, "a profile named default", ", ".join(every))
    names = list(every["default"])
    for profile, timers in every.items():
        same(list(timers), names, f"the timers of the profile {profile}")
        bad = {
            name: value for name, value in timers.items() if not (isinstance(value, int | float) and math.isfinite(value) and value >= 0)
        }
        require(not bad, f"seconds of every timer of the profile {profile}", repr(bad))


def a_profile_makes_a_mode(kind: type[Any]) -> None:
    """With the timers that it says, and with single ones in their place, where they fit the others."""
    for profile, timers in _profiles(kind).items():
        same(_timers(_made(kind, profile, {})), dict(timers), f"the timers of a mode of the profile {profile}")
        for name, value in timers.items():
            same(_timers(_made(kind, profile, {name: value})), dict(timers), f"the timers of {profile} with {name} as it is")
            longer = _with(kind, profile, {name: value + 1.0})
            if longer is not None:
                same(_timers(longer), {**timers, name: value + 1.0}, f"the timers of {profile} with {name} a second longer")


def what_cannot_be_is_told_at_once(kind: type[Any]) -> None:
    """An unknown profile, an unknown timer and a timer that is no time: `BadInput` with all of them."""
    known = next(iter(_profiles(kind)["default"]), None)
    wrong: dict[str, float] = {"no_such_timer": 1.0, **({known: math.nan} if known else {})}
    try:
        kind.from_timers("no such profile", wrong)
    except BadInput as error:
        said = "\n".join(f"{each.found} {each.expected}" for each in error.problems)
        for what in ("no such profile", *wrong):
            require(what in said, f"a problem about {what}", said)
    except Exception as e:
        raise ContractBroken(f"promised: BadInput for timers that cannot be; saw: {type(e).__name__}: {in_words(e)}") from e
    else:
        raise ContractBroken("promised: BadInput for timers that cannot be; saw: a mode")


def budgets_say_where_they_are_from(kind: type[Any]) -> None:
    """For whatever is lost and whoever: terms with words, seconds and a source, or none; the same whenever it is asked."""
    for profile in _profiles(kind):
        mode = _made(kind, profile, {})
        losses = [*LOSSES, *(traits for _, traits in registry.kinds(mode))]
        for lost, who in itertools.product(losses, Who):
            budget = _budget(mode, lost, who)
            for term in budget.terms:
                good = bool(term.what.strip()) and bool(term.source.strip()) and math.isfinite(term.seconds) and term.seconds >= 0
                require(good, f"what takes how long, and where that is from, when {who} is lost to {lost}", repr(term))
            same(_budget(mode, lost, who), budget, f"the budget when {who} is lost to {lost}, asked again")


def longer_timers_promise_nothing_sooner(kind: type[Any]) -> None:
    """Where a timer is longer, no recovery from the loss of a node is promised earlier; and some timer matters."""
    for profile, timers in _profiles(kind).items():
        first = _made(kind, profile, {})
        usual = {who: _budget(first, Traits(Loss.NODE), who).seconds for who in Who}
        longer = dict.fromkeys(timers, 0)
        for name, value in timers.items():
            mode = _with(kind, profile, {name: 2 * value + 1.0})
            if mode is None:
                continue
            for who, seconds in usual.items():
                now = _budget(mode, Traits(Loss.NODE), who).seconds
                require(now >= seconds, f"no shorter budget with a longer {name} when {who} is lost", f"{now} in place of {seconds}")
                longer[name] += now > seconds
        require(not timers or any(longer.values()), f"a budget of {profile} that goes by its timers", repr(usual))


def stretched_timers_stand_the_stall(kind: type[Any]) -> None:
    """None gets shorter, and a machine that stands still for so long is not taken for dead, as far as timers can be set. Only with `Stretching`."""
    for profile, stall in itertools.product(_profiles(kind), STALLS):
        mode = _made(kind, profile, {})
        if not isinstance(mode, Stretching):
            return
        before = _timers(mode)
        mode.withstand(stall)
        shorter = {name: (before[name], value) for name, value in _timers(mode).items() if value < before[name]}
        require(not shorter, f"no timer of {profile} is shorter when it withstands {given(stall)}", repr(shorter))
        if isinstance(mode, Enduring):
            for each in mode.endurance().timers:
                require(
                    each.seconds >= stall or each.value >= each.most,
                    f"{each.name} stands {given(stall)}, or as long as it can be set",
                    repr(each),
                )


def endurance_is_of_its_own_timers(kind: type[Any]) -> None:
    """What a stall may run out: seconds of each, and names that can be set are those of its timers. Only with `Enduring`."""
    for profile, timers in _profiles(kind).items():
        mode = _made(kind, profile, {})
        if not isinstance(mode, Enduring):
            return
        able = mode.endurance()
        require(bool(able.timers), "a timer that a stall may run out", "none")
        for seconds in (able.recovery, able.work):
            require(math.isfinite(seconds) and seconds >= 0, "seconds of recovery and of work", repr(able))
        for each in able.timers:
            require(math.isfinite(each.seconds) and each.seconds > 0, f"how long a stall {each.name} stands", repr(each))
            if each.value:
                same(each.value, timers.get(each.name), f"what {each.name} is set to, by the profile {profile}")
                require(each.value <= each.most, f"{each.name} is not set to more than it can be", repr(each))


def members_are_chosen_by_the_nodes_alone(kind: type[Any]) -> None:
    """Of every number of nodes an odd number, sorted, the same each time, and no node is asked. An election ends. Only with `Quorum`."""
    mode = _made(kind, "default", {})
    if not isinstance(mode, Quorum):
        return
    election = mode.election()
    require(math.isfinite(election) and election >= 0, "how long an election takes at most", repr(election))
    for count in range(1, MOST_NODES):
        nodes = [MemoryNode(f"n{number}", f"10.77.0.{10 + number}") for number in range(1, count + 1)]
        cluster = Cluster("contract", nodes, MemoryProvider(), cast("Mode", mode))
        members = mode.members(cluster)
        require({*members} <= {node.name for node in nodes} and len(members) % 2 == 1, f"an odd number of {count} nodes", repr(members))
        same(tuple(members), tuple(sorted({*members})), f"the members among {count} nodes, sorted")
        same(mode.members(cluster), members, f"the members among {count} nodes, asked again")
        asked = [call for node in nodes for call in node.calls]
        require(not asked, "members are known without asking a node", repr(asked[:1]))


def nothing_is_taken_over_where_nothing_is(kind: type[Any]) -> None:
    """Nodes without a control plane: `HarnessError`, with what is missing. Only with `Adopting`."""
    mode = _made(kind, "default", {})
    if not isinstance(mode, Adopting):
        return
    nodes = [MemoryNode(f"n{number}", loopback()) for number in (1, 2, 3)]
    cluster = Cluster("contract", nodes, MemoryProvider(), cast("Mode", mode), FakeClock(moves_itself=True))
    try:
        mode.adopt(cluster)
    except HarnessError as error:
        require(bool(str(error).strip()), "what is missing, in words", repr(error))
    except Exception as e:
        raise ContractBroken(f"promised: HarnessError where there is nothing to take over; saw: {type(e).__name__}: {in_words(e)}") from e
    else:
        raise ContractBroken("promised: HarnessError where there is nothing to take over; saw: it was taken over")


def units_are_known_by_their_processes(kind: type[Any]) -> None:
    """Each daemon has a systemd unit, and so has its `member`, if it has a quorum; None for a process that it has not. Only with `Services`."""
    mode = _made(kind, "default", {})
    if not isinstance(mode, Services):
        return
    same(mode.unit("no such process"), None, "the unit of no process of its")
    same(mode.unit(""), None, "the unit of no process")
    names = tuple(mode.processes())
    same(len({*names}), len(names), f"each daemon once among {', '.join(names)}: how many there are")
    for name in names:
        unit = mode.unit(name)
        require(isinstance(unit, str) and unit.endswith(".service"), f"the unit of {name}", repr(unit))
    if isinstance(mode, Quorum):
        unit = mode.unit(mode.member())
        require(isinstance(unit, str) and "." in unit, f"the unit of {mode.member()}, by which a node is a member", repr(unit))


def it_may_take_its_time(kind: type[Any]) -> None:
    """Longer waits are no other timers, and so no other budgets. Only with `Unhurried`."""
    mode = _made(kind, "default", {})
    if not isinstance(mode, Unhurried):
        return
    before = _timers(mode), {who: _budget(mode, Traits(Loss.NODE), who) for who in Who}
    mode.unhurried(60.0)
    same(
        (_timers(mode), {who: _budget(mode, Traits(Loss.NODE), who) for who in Who}),
        before,
        "timers and budgets of one that takes its time",
    )


def a_definition_is_taken_as_it_stands_or_told(kind: type[Any]) -> None:
    """The ends of its files' names begin with a dot; of whatever stands in one an app is made that keeps it, or `BadInput` says why not.

    Only with `Defining`.
    """
    mode = _made(kind, "default", {})
    name: str = mode.name
    if not isinstance(mode, Defining):
        return
    ends = dict(mode.ENDINGS)
    good = bool(ends) and all(end.startswith(".") and what.strip() for end, what in ends.items())
    require(good, "ENDINGS of files' names, each with a dot, and what such a file is", repr(ends))
    for end, text in itertools.product(ends, NO_DEFINITIONS):
        try:
            app = mode.define(OwnApp("contract", f"contract{end}", text, 1))
        except BadInput as error:
            require(bool(error.problems), f"what is wrong with {text!r} as a definition", "no problem")
        except Exception as e:
            raise ContractBroken(f"promised: an app of {text!r}, or BadInput; saw: {type(e).__name__}: {in_words(e)}") from e
        else:
            own = app.native
            require(own is not None and (own.mode, own.body) == (name, text), f"an app that keeps {text!r} as its definition", repr(own))


def what_it_cannot_give_an_app_is_told(kind: type[Any]) -> None:
    """It gives an app that asks for nothing all there is; whatever else it refuses stands under a key of an app, with what is wrong and what is not.

    Only with `Selective`.
    """
    mode = _made(kind, "default", {})
    if not isinstance(mode, Selective):
        return
    plain = App("contract", 2)
    same(list(mode.refused(plain)), [], "what is refused to an app that asks for nothing")
    long = "%" * 4096
    greedy = replace(plain, environment=(("CONTRACT", long),), command=(long,), health=Health(words=("/contract",)))
    for app in (greedy, *(replace(plain, restart=each) for each in RESTARTS)):
        for key, found, expected, _ in mode.refused(app):
            require(key in keys(AppPart) and bool(found and expected), "a key of an app, what was found and what is expected", repr(key))
            require(long not in f"{found}{expected}", "what is refused, without all of it", f"{found}; expected {expected}")


def a_plan_tells_its_timers_and_budgets(kind: type[Any]) -> None:
    """In words, with each timer by its name and its value, and the sum that recovery from a killed node may take."""
    for profile, timers in _profiles(kind).items():
        mode = _made(kind, profile, {})
        try:
            made = planned(mode, profile)
            told = " ".join(describe(made).split())
        except Exception as e:
            raise ContractBroken(f"promised: a plan in the profile {profile}, in words; saw: {type(e).__name__}: {in_words(e)}") from e
        require(mode.name in told and profile in told, f"a plan that names the mode and the profile {profile}", told)
        for name, value in timers.items():
            require(f"{name} {given(value)}" in told, f"a plan that tells {name} of the profile {profile}", told)
        for budget in made.budgets.values():
            require(budget.spelled() in told, f"a plan that spells its budgets in the profile {profile}", told)


STATED: Mapping[str, Callable[[type[Any]], None]] = {
    each.__name__: each
    for each in (
        it_is_stated_in_full,
        profiles_have_the_same_timers,
        a_profile_makes_a_mode,
        what_cannot_be_is_told_at_once,
        budgets_say_where_they_are_from,
        longer_timers_promise_nothing_sooner,
        stretched_timers_stand_the_stall,
        endurance_is_of_its_own_timers,
        members_are_chosen_by_the_nodes_alone,
        nothing_is_taken_over_where_nothing_is,
        units_are_known_by_their_processes,
        it_may_take_its_time,
        a_definition_is_taken_as_it_stands_or_told,
        what_it_cannot_give_an_app_is_told,
        a_plan_tells_its_timers_and_budgets,
    )
}
"""What every mode must say of itself, by its class."""


def _profiles(kind: type[Any]) -> Mapping[str, Mapping[str, float]]:
    found = getattr(kind, "TIMERS", None)
    if not isinstance(found, Mapping) or not all(isinstance(each, Mapping) for each in found.values()):
        raise ContractBroken(f"promised: TIMERS, by profile and name; saw: {found!r}")
    return found


def _timers(mode: Any) -> dict[str, float]:
    """Return the timers in use."""
    return dict(mode.timers)


def _made(kind: type[Any], profile: str, overrides: Mapping[str, float]) -> Any:
    try:
        return kind.from_timers(profile, overrides)
    except Exception as e:
        raise ContractBroken(
            f"promised: a mode of the profile {profile} with {dict(overrides)}; saw: {type(e).__name__}: {in_words(e)}"
        ) from e


def _with(kind: type[Any], profile: str, overrides: Mapping[str, float]) -> Any:
    """Return a mode with these timers; None where they do not fit its others, and it says so."""
    try:
        return kind.from_timers(profile, overrides)
    except BadInput:
        return None
    except Exception as e:
        raise ContractBroken(f"promised: a mode with {dict(overrides)}, or BadInput; saw: {type(e).__name__}: {in_words(e)}") from e


def _budget(mode: Any, lost: Traits, who: Who) -> Budget:
    try:
        found = mode.budget(lost, who)
    except Exception as e:
        raise ContractBroken(f"promised: a budget when {who} is lost to {lost}; saw: {type(e).__name__}: {in_words(e)}") from e
    require(isinstance(found, Budget), f"a Budget when {who} is lost to {lost}", type(found).__name__)
    budget: Budget = found
    return budget
