"""What every mode must do, as plain functions that any test runner can call; see `harness.testing.contracts` for how they are used.

`STATED` wants the mode's class alone: what it says of itself before there is a cluster. `FORMED` wants a cluster of it with an app on it, whose
provider can cut power; what a mode cannot do (no `Quorum`, no `Registers`, no `Adopting` …) is not asked of it::

    @pytest.mark.parametrize("promise", STATED.values(), ids=STATED)
    def test_stated(promise):
        promise(Fleet)
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from harness import registry
from harness.core.clock import wait_until
from harness.core.errors import BadInput, Expired, HarnessError, NoGoodAnswer, Unreachable, in_words
from harness.core.figures import given
from harness.core.protocols import (
    Adopting,
    Cluster,
    Enduring,
    LogFiles,
    Mode,
    Node,
    Power,
    Quorum,
    Registers,
    Services,
    Stretching,
    Unhurried,
)
from harness.core.traits import DISK
from harness.core.units import spelled
from harness.core.values import App, Budget, Loss, Traits, View, Who
from harness.reports.prose import describe
from harness.testing.contracts import ContractBroken, require, same
from harness.testing.fake_clock import FakeClock
from harness.testing.memory_node import MemoryNode
from harness.testing.memory_provider import MemoryProvider
from harness.testing.report_contract import planned
from harness.testing.servers import loopback
from harness.testing.store_contract import STORE, StoreCase
from harness.undo.fingerprint import differences, fingerprint

READY_SECONDS = 120.0
"""How long a cluster may take to be whole again after a node had no power."""
ASK_SECONDS = 5.0
"""How long a value is asked for at most."""
STALLS = (0.5, 3.0, 20.0)
"""Seconds that machines may stand still for which timers are stretched."""
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


# ---------------------------------------------------------------- what is said before there is a cluster


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
    """A systemd unit, or None for a process that it has not; its `member` has one, if it says that. Only with `Services`."""
    mode = _made(kind, "default", {})
    if not isinstance(mode, Services):
        return
    same(mode.unit("no such process"), None, "the unit of no process of its")
    same(mode.unit(""), None, "the unit of no process")
    member = getattr(mode, "member", None)
    if member is not None:
        unit = mode.unit(member)
        require(isinstance(unit, str) and "." in unit, f"the unit of {member}, by which a node is a member", repr(unit))


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
            require(f"{name} {spelled(value)}" in told, f"a plan that tells {name} of the profile {profile}", told)
        for budget in made.budgets.values():
            require(budget.spelled() in told, f"a plan that spells its budgets in the profile {profile}", told)


STATED: Mapping[str, Callable[[type[Any]], None]] = {
    each.__name__: each
    for each in (
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


# ---------------------------------------------------------------- what is so of a cluster


@dataclass(frozen=True)
class FormedCase:
    """A cluster of a mode that was formed, with `app` on it, and `spare` as an app that is not there yet.

    `make` gives the mode anew, as another process has it. Its provider can cut power. `runs` says which instances run on a node, by the node itself.
    """

    cluster: Cluster
    app: App
    spare: App
    make: Callable[[], Mode]
    runs: Callable[[Node], set[str]]

    @property
    def mode(self) -> Mode:
        """The mode that formed it."""
        return self.cluster.mode

    def view(self, node: Node, mode: Mode | None = None) -> View:
        """Ask the API at a node."""
        with self.cluster.network():
            return (mode or self.mode).view(self.cluster, node)


def every_node_lists_every_node(case: FormedCase) -> None:
    """In order, and where each instance of the app is: it runs on a node that is listed."""
    names = tuple(sorted(node.name for node in case.cluster.nodes))
    for node in case.cluster.nodes:
        view = _whole(case, node)
        same(view.nodes, names, f"the nodes that {node.name} lists")
        order = [(each.instance, each.node or "") for each in view.placements]
        same(order, sorted(order), f"the placements that {node.name} tells, by instance and node")
        strangers = [each for each in view.placements if each.node is not None and each.node not in names]
        require(not strangers, f"placements on nodes that {node.name} lists", repr(strangers[:1]))
        same(case.view(node, case.make()).nodes, names, f"the nodes that {node.name} lists, asked by another process")


def nodes_run_what_is_told(case: FormedCase) -> None:
    """Each instance on the node that the API names, by the node's own process table and under the same name; and nothing else of the app."""
    node = case.cluster.nodes[0]

    def agree() -> bool:
        view = _whole(case, node)
        told = {(each.instance, each.node) for each in view.placements if each.running and each.instance in case.app.names}
        return told == {(instance, each.name) for each in case.cluster.nodes for instance in case.runs(each) if instance in case.app.names}

    _await(case, agree, f"the nodes to run of {case.app.name} what {node.name} tells")


def members_tell_whom_they_follow(case: FormedCase) -> None:
    """One leader, who is a member, in one term, by the word of each; as often as one asks. Only with `Quorum`."""
    mode = case.mode
    if not isinstance(mode, Quorum):
        return
    members = mode.members(case.cluster)

    def agree() -> bool:
        told = {_claim(case, mode, case.cluster.node(name)) for name in members}
        ((term, leader),) = told if len(told) == 1 else ((0, None),)
        return term > 0 and leader in members

    _await(case, agree, f"{', '.join(members)} to follow one of themselves in one term")
    with case.cluster.network(), mode.asking(case.cluster, case.cluster.node(members[0])) as ask:
        terms = [ask()[0] for _ in range(3)]
    same(terms, sorted(terms), "the terms that a member tells one after the other")


def values_are_kept_at_every_member(case: FormedCase) -> None:
    """See `harness.testing.store_contract`. Only with `Registers`."""
    mode = case.mode
    if not isinstance(mode, Registers) or not isinstance(mode, Quorum):
        return
    registers: Registers = mode
    for name in mode.members(case.cluster):
        store = StoreCase(functools.partial(registers.store, case.cluster, case.cluster.node(name)))
        with case.cluster.network():
            for promise in STORE.values():
                promise(store)


def logs_are_to_be_had(case: FormedCase) -> None:
    """By file names, as bytes, of each node. Only with `LogFiles`."""
    if not isinstance(case.mode, LogFiles):
        return
    for node in case.cluster.nodes:
        logs = case.mode.logs(node)
        require(bool(logs), f"something to keep of {node.name}", "nothing")
        odd = [name for name, body in logs.items() if not name or "/" in name or not isinstance(body, bytes)]
        require(not odd, f"file names and bytes of {node.name}", repr(odd))


def what_runs_is_taken_over_unchanged(case: FormedCase) -> None:
    """By another process, which then knows the members and sees the nodes; nothing on a node is another than before. Only with `Adopting`."""
    other = case.make()
    if not isinstance(other, Adopting):
        return
    before = {node.name: fingerprint(node) for node in case.cluster.nodes}
    cluster = replace(case.cluster, mode=cast("Mode", other), apps=(case.spare,))
    try:
        other.adopt(cluster)
    except Exception as e:
        raise ContractBroken(f"promised: a cluster that runs is taken over; saw: {type(e).__name__}: {in_words(e)}") from e
    changed = [each for node in case.cluster.nodes for each in differences(before[node.name], fingerprint(node))]
    require(not changed, "taking over changes nothing", "; ".join(changed))
    if isinstance(other, Quorum) and isinstance(case.mode, Quorum):
        same(other.members(cluster), case.mode.members(case.cluster), "the members that were found")
    same(case.view(case.cluster.nodes[0], cast("Mode", other)).nodes, case.view(case.cluster.nodes[0]).nodes, "the nodes that were found")


def an_app_is_withdrawn_without_a_trace(case: FormedCase) -> None:
    """What `deploy` made is gone, by the API and by the nodes themselves, and nothing else is; by another process, twice, and where nothing was.

    Only with `Adopting`.
    """
    if not isinstance(case.mode, Adopting):
        return
    other = cast("Adopting", case.make())
    cluster = replace(case.cluster, apps=(*case.cluster.apps, case.spare))
    before = {node.name: fingerprint(node) for node in case.cluster.nodes}
    _asked(lambda: other.withdraw(cluster, case.spare), "withdraw where nothing was deployed")
    _asked(lambda: case.mode.deploy(cluster, case.spare), "deploy")
    try:
        told = {each.instance for each in case.view(case.cluster.nodes[0]).placements if each.running} & {*case.spare.names}
        homes = case.spare.homes(len(case.cluster.nodes))
        require(len(told) >= homes, f"{homes} instances of {case.spare.name} run when deploy returns", ", ".join(sorted(told)) or "none")
    finally:
        for which in ("once", "twice"):
            _asked(lambda: other.withdraw(cluster, case.spare), f"withdraw, {which}")
    for node in case.cluster.nodes:
        _await(case, functools.partial(_gone, case, node), f"nothing of {case.spare.name} to be told at {node.name}, or to run there")
        left = differences(before[node.name], fingerprint(node))
        require(not left, f"{node.name} is as it was before {case.spare.name} was deployed", "; ".join(left))
        _whole(case, node)


def what_is_off_is_unreachable(case: FormedCase) -> None:
    """Nobody answers there: no view, no leader, no value, no log; never an empty one. It comes back, and all is as before. Only with `Power`."""
    provider, mode = case.cluster.provider, case.mode
    if not isinstance(provider, Power):
        return
    node = case.cluster.nodes[-1]
    provider.off(node)
    try:
        _silent(lambda: case.view(node), Unreachable, f"a view at {node.name}")
        if isinstance(mode, LogFiles):
            _silent(lambda: mode.logs(node), Unreachable, f"the logs of {node.name}")
        if isinstance(mode, Quorum) and node.name in mode.members(case.cluster):
            _silent(lambda: _claim(case, mode, node), Unreachable, f"the leader that {node.name} follows")
            if isinstance(mode, Registers):
                _silent(lambda: _value(case, mode, node), NoGoodAnswer, f"a value at {node.name}")
    finally:
        provider.on(node)
    for each in case.cluster.nodes:
        _whole(case, each)
    members_tell_whom_they_follow(case)


FORMED: Mapping[str, Callable[[FormedCase], None]] = {
    each.__name__: each
    for each in (
        every_node_lists_every_node,
        nodes_run_what_is_told,
        members_tell_whom_they_follow,
        values_are_kept_at_every_member,
        logs_are_to_be_had,
        what_runs_is_taken_over_unchanged,
        an_app_is_withdrawn_without_a_trace,
        what_is_off_is_unreachable,
    )
}
"""What every mode must do with a cluster of its own, in an order in which each leaves it whole."""


def _whole(case: FormedCase, node: Node) -> View:
    """Wait until the API at a node lists every node, and tells that every instance of the app that has a home runs on one; return that view."""
    names = {each.name for each in case.cluster.nodes}
    homes = case.app.homes(len(names))
    found: list[View] = []

    def whole() -> bool:
        view = case.view(node)
        running = {each.instance for each in view.placements if each.running and each.node in names and each.instance in case.app.names}
        if not names <= {*view.nodes} or len(running) < homes:
            return False
        found[:] = [view]
        return True

    _await(case, whole, f"{node.name} to list every node and {homes} instances of {case.app.name} that run")
    return found[0]


def _gone(case: FormedCase, node: Node) -> bool:
    told = {each.instance for each in case.view(node).placements} | case.runs(node)
    return not told & {*case.spare.names}


def _claim(case: FormedCase, mode: Quorum, node: Node) -> tuple[int, str | None]:
    with case.cluster.network(), mode.asking(case.cluster, node) as ask:
        return ask()


def _value(case: FormedCase, mode: Registers, node: Node) -> str | None:
    with case.cluster.network():
        store = mode.store(case.cluster, node, ASK_SECONDS)
        try:
            return store.get("whalefall/contract/nothing")
        finally:
            store.close()


def _await(case: FormedCase, condition: Callable[[], bool], what: str) -> None:
    """Wait for something of the cluster's; while nobody can be asked it is asked again. Raises `ContractBroken`."""
    last = "no answer yet"

    def there() -> bool:
        nonlocal last
        try:
            last = f"{condition()}"
        except HarnessError as e:
            last = str(e)
        return last == "True"

    try:
        wait_until(there, awaited=what, seconds=READY_SECONDS, clock=case.cluster.clock, every=0.2, saw=lambda: last)
    except Expired as e:
        raise ContractBroken(f"promised: {what}; saw: {last}") from e


def _asked(ask: Callable[[], None], what: str) -> None:
    try:
        ask()
    except Exception as e:
        raise ContractBroken(f"promised: {what} goes well; saw: {type(e).__name__}: {in_words(e)}") from e


def _silent(ask: Callable[[], object], kind: type[Exception], what: str) -> None:
    """See that a question to nobody raises. Raises `ContractBroken` where it is answered, or raises something else."""
    try:
        found = ask()
    except kind:
        return
    except Exception as e:
        raise ContractBroken(f"promised: {what} raises {kind.__name__}; saw: {type(e).__name__}: {in_words(e)}") from e
    raise ContractBroken(f"promised: {what} raises {kind.__name__}; saw: {found!r}")
