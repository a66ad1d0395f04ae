"""Every mode keeps its promises, and one that does not is convicted: the bodies are in `harness.testing.mode_contract` and `formed_contract`.

A mode that is registered is put under `STATED` by its class, and under `FORMED` with a cluster of real machines, both by that alone.
"""

from __future__ import annotations

import dataclasses
import inspect
import itertools
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest

from harness import registry
from harness.core.errors import BadInput, HarnessError, InDoubt, Problem, Unreachable
from harness.core.protocols import CAPABILITIES, Cluster, Mode, Node, Pausing
from harness.core.values import App, Budget, Endurance, Loss, NodeSpec, Patience, Placement, TaskNames, Term, Traits, View, Who
from harness.observers import OBSERVERS, observers
from harness.observers.node_truth import agent_of
from harness.providers import PROVIDERS
from harness.registry import fitness
from harness.testing import formed_contract, mode_contract, observer_contract
from harness.testing.contracts import ContractBroken
from harness.testing.fake_clock import FakeClock
from harness.testing.formed_contract import FORMED, FormedCase
from harness.testing.memory_node import MemoryNode
from harness.testing.memory_provider import MemoryProvider
from harness.testing.mode_contract import STATED
from harness.testing.observer_contract import OBSERVER, Sight
from harness.testing.workload_contract import WORKLOAD, WorkloadCase
from harness.workloads.http import Http
from harness.workloads.register import Register
from tests.contract.convicting import missed

APP, SPARE = App("web", 2), App("spare", 2, image="web", port=8300)
MODES = registry.known().modes
PATIENT = 60.0


@pytest.mark.parametrize("promise", STATED.values(), ids=STATED)
@pytest.mark.parametrize("name", MODES)
def test_stated(name: str, promise: Callable[[type[Any]], None]) -> None:
    """Every mode keeps this promise."""
    promise(MODES[name])


# ---------------------------------------------------------------- real clusters


def _real(names: Sequence[str]) -> list[object]:
    marks = [pytest.mark.cluster, pytest.mark.slow]
    return [pytest.param(name, marks=[*marks, pytest.mark.xdist_group(f"mode-contract-{name}")]) for name in names]


@pytest.fixture(scope="module", params=_real([*MODES]))
def formed(request: pytest.FixtureRequest, lend: Callable[..., AbstractContextManager[Cluster]]) -> Iterator[FormedCase]:
    """Lend three machines with a cluster of each mode on them, and `APP` running."""
    kind = MODES[request.param]
    mode = kind.from_timers("fast", {})
    specs = [NodeSpec(f"n{number}", f"10.77.0.{10 + number}") for number in (1, 2, 3)]
    with lend(PROVIDERS["nspawn"](), "mode-contract", specs, mode, apps=(APP,)) as cluster:
        mode.form(cluster)
        mode.deploy(cluster, APP)
        yield FormedCase(cluster, APP, SPARE, partial(kind.from_timers, "fast", {}), partial(_instances, cluster))


def _instances(cluster: Cluster, node: Node) -> set[str]:
    """Return what runs on a node, by what the observers' agent says first."""
    said = node.run("timeout", "1", *agent_of(*cluster.tasks), timeout=10.0)
    with cluster.network():
        return {cluster.instance(name) for _, name in json.loads(said.text.splitlines()[-1])["containers"]}


@pytest.mark.parametrize("promise", FORMED.values(), ids=FORMED)
def test_formed(formed: FormedCase, promise: Callable[[FormedCase], None]) -> None:
    """Every mode keeps this promise on real machines."""
    promise(formed)


@pytest.mark.parametrize("promise", WORKLOAD.values(), ids=WORKLOAD)
@pytest.mark.parametrize("workload", [Http("web"), Register()], ids=lambda each: str(each.name))
def test_workloads_of_a_real_cluster(formed: FormedCase, workload: Any, promise: Callable[[WorkloadCase], None], request: Any) -> None:
    """Every workload keeps this promise where real machines answer it; one of what a mode does not have is called nowhere."""
    lacking = [name for name in getattr(workload, "takes", ()) if not isinstance(formed.mode, CAPABILITIES[name].protocol)]
    if lacking:
        pytest.skip(f"the {formed.mode.name} mode offers no {' and no '.join(lacking)}")
    same: Any = _Same(formed.cluster)
    renamed = dataclasses.replace(formed.cluster, provider=same, run_id=f"mode-contract-{os.getpid()}-{abs(hash(request.node.name))}")
    promise(WorkloadCase(workload, renamed))


class _Same:
    """The network of a cluster, whatever its run is called: what one test has written another does not meet."""

    name: ClassVar[str] = "same"

    def __init__(self, cluster: Cluster) -> None:
        self.network = lambda _: cluster.network()


@contextmanager
def _frozen(cluster: Cluster) -> Iterator[None]:
    """Let no node answer, with everything on it, for as long as that lasts."""
    pausing = cluster.can(Pausing)
    with ExitStack() as stack:
        for node in cluster.nodes:
            stack.callback(pausing.resume, node)
            pausing.pause(node)
        yield


REAL_PROMISES = ("it_says_that_it_watches", "could_not_ask_is_never_no", "it_stops")
"""Those that real machines can show; that nobody answers while it begins, or is stopped, is shown in memory."""
OUTSIDE = ("heartbeat", "host")
"""Observers that a frozen machine does not blind: they look at it, or at ours, from outside."""


@pytest.mark.parametrize("promise", REAL_PROMISES)
def test_observers_of_a_real_cluster(formed: FormedCase, promise: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every observer that a cluster of a mode has keeps this promise, while its machines work and while they are frozen."""
    monkeypatch.setattr(observer_contract, "WORD_SECONDS", PATIENT)  # a leader that was frozen may have to be elected anew
    names = tuple(node.name for node in formed.cluster.nodes)
    for each in observers(formed.cluster):
        troubles = {} if each.name in OUTSIDE else {"frozen machines": partial(_frozen, formed.cluster)}
        OBSERVER[promise](Sight(OBSERVERS[each.name], formed.cluster, () if each.name == "heartbeat" else names, troubles))
    FORMED["every_node_lists_every_node"](formed)  # as whoever comes next expects it


# ---------------------------------------------------------------- the contracts themselves: they are shown modes that they must convict


@dataclass
class _World:
    """What a mode in memory has done: it outlives the mode's objects, as a cluster outlives processes."""

    placed: dict[str, str] = field(default_factory=dict)  # instance → node
    values: dict[str, str] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)  # what runs although nobody tells of it
    made: dict[str, tuple[str, frozenset[str]]] = field(default_factory=dict)  # instance → its container, with its environment
    count: int = 0  # of containers that were ever made
    withdrawn: bool = False
    formed: bool = False


class _Memory:
    """A mode in memory that keeps every promise, but for what is `wrong` with it."""

    name: ClassVar[str] = "in-memory"
    PORTS: ClassVar[Mapping[int, str]] = {7: "agent"}
    LAYER: ClassVar[Path | None] = None
    TASKS: ClassVar[TaskNames | None] = TaskNames("agent.task", r"(?P<app>.+)/(?P<number>[0-9]+)")
    remarks: ClassVar[tuple[str, ...]] = ()
    TIMERS: ClassVar[Mapping[str, Mapping[str, float]]] = {"default": {"ttl": 30.0, "beat": 1.0}, "fast": {"ttl": 5.0, "beat": 0.5}}
    world: ClassVar[_World]
    wrong: ClassVar[str] = ""
    calls: ClassVar[int] = 0

    def __init__(self, timers: Mapping[str, float]) -> None:
        self._timers = dict(timers)
        self._taken = self._formed = False

    @classmethod
    def from_timers(cls, profile: str, overrides: Mapping[str, float]) -> Any:
        known = cls.TIMERS.get(profile, cls.TIMERS["default"])
        bad = [] if profile in cls.TIMERS else [f"the profile {profile}"]
        bad += [name for name in overrides if name not in known]
        bad += [f"{name} {value}" for name, value in overrides.items() if name in known and not 0 <= value < math.inf]
        if bad and cls.wrong == "takes any timers":
            return cls(known)
        if bad and cls.wrong == "raises what it likes":
            raise KeyError(profile)
        if bad:
            told = bad[:1] if cls.wrong == "tells one problem" else bad
            raise BadInput([Problem("timers", 0, 0, each, "timers of its own") for each in told])
        if cls.wrong == "has no timers but those of its profiles" and overrides:
            raise KeyError(*overrides)
        if cls.wrong == "goes by no other timers" and overrides and not overrides.items() <= known.items():
            raise ArithmeticError(profile)
        if cls.wrong == "has other timers than its profile" and not overrides:
            return cls({name: value + 1.0 for name, value in known.items()})
        if cls.wrong == "takes what is as it is for no timer":
            known = {name: value for name, value in known.items() if overrides.get(name) != value}
            return cls(known | {name: value for name, value in overrides.items() if value not in cls.TIMERS[profile].values()})
        return cls({**known, **({} if cls.wrong == "keeps its timers" else overrides)})

    @property
    def timers(self) -> Mapping[str, float]:
        if self.wrong == "cannot be planned":
            raise KeyError("ttl")
        return {} if self.wrong == "hides its timers" else dict(self._timers)

    def unhurried(self, seconds: float) -> None:
        if self.wrong == "is slower where it takes its time":
            self._timers["ttl"] += seconds

    def withstand(self, seconds: float) -> None:
        if self.wrong == "stretches nothing":
            return
        self._timers["ttl"] = seconds if self.wrong == "shortens what it stretches" else max(self._timers["ttl"], 2 * seconds)

    def endurance(self) -> Endurance:
        if self.wrong == "stands everything":
            return Endurance((), 1.0, 1.0)
        name = "lease" if self.wrong == "stands by another's timers" else "ttl"
        seconds = 0.0 if self.wrong == "stands nothing" else self._timers["ttl"]
        most = 1.0 if self.wrong == "is set to more than can be" else 30.0
        return Endurance(
            (Patience(name, seconds, self._timers["ttl"], most=most),), math.inf if self.wrong == "is never back" else 40.0, 3.0
        )

    def budget(self, lost: Traits, who: Who) -> Any:
        type(self).calls += 1
        if self.wrong == "has seconds for a budget":
            return 30.0
        if self.wrong == "has no budget for some":
            assert lost.loses is not Loss.LINK, "a bug"
        if lost.loses is not Loss.NODE:
            return Budget(())
        seconds = {"promises less than nothing": -1.0, "has moods": float(self.calls), "goes by no timer": 30.0}.get(
            self.wrong, self._timers["ttl"]
        )
        if self.wrong == "promises more with longer timers":
            seconds = 100.0 / (1.0 + seconds)
        what = "ttl\nand more" if self.wrong == "budgets on two lines" else "ttl"
        return Budget((Term(what, seconds, "" if self.wrong == "says not where from" else "its own"),))

    def election(self) -> float:
        return math.inf if self.wrong == "elects for ever" else 2.0

    def members(self, cluster: Cluster) -> tuple[str, ...]:
        if self.wrong == "asks who its members are":
            cluster.nodes[0].run("true")
        names = sorted(node.name for node in cluster.nodes)
        type(self).calls += 1
        few = len(names) > 3 and self.wrong == "chooses anew" and self.calls % 2
        if few or (self._taken and self.wrong == "finds other members"):
            names = names[1:]
        chosen = names if self.wrong == "has an even number" else names[: 3 if len(names) >= 3 else 1]
        return tuple(reversed(chosen)) if self.wrong == "has members in no order" else tuple(chosen)

    @classmethod
    def member(cls) -> str:
        return "agent"

    def processes(self) -> tuple[str, ...]:
        names: dict[str, tuple[str, ...]] = {
            "has no unit for its members": (),
            "names a daemon twice": ("agent", "agent"),
            "has a daemon without a unit": ("agent", "ghost"),
        }
        return names.get(self.wrong, ("agent",))

    def unit(self, process: str) -> str | None:
        if self.wrong == "has a unit for anything":
            return f"{process}.service"
        if self.wrong == "has a unit for nothing" and not process:
            return "agent.service"
        return "agent.service" if process == "agent" and self.wrong != "has no unit for its members" else None

    # -- on a cluster

    def form(self, cluster: Cluster) -> None:
        self.world.formed = self._formed = True

    def deploy(self, cluster: Cluster, app: App) -> None:
        if self.wrong == "cannot deploy twice" and self.world.placed:
            raise HarnessError("there is an app already")
        if self.wrong == "deploys nothing more" and self.world.placed:
            return
        self._start(cluster, dataclasses.replace(app, instances=1) if self.wrong == "deploys what is to come later" else app)

    def _start(self, cluster: Cluster, app: App) -> None:
        for number, instance in enumerate(app.names[: app.homes(len(cluster.nodes))]):
            self.world.placed[instance] = cluster.nodes[number % len(cluster.nodes)].name
            self._make(app, instance)

    def _make(self, app: App, instance: str) -> None:
        self.world.count += 1
        self.world.made[instance] = (f"{self.world.count:064x}", frozenset(f"{name}={value}" for name, value in app.environment))

    def restart(self, cluster: Cluster, app: App) -> None:
        self._renew(app, "restart")

    def update(self, cluster: Cluster, app: App) -> None:
        self._renew(dataclasses.replace(app, environment=()) if self.wrong == "updates to what was there" else app, "update")

    def _renew(self, app: App, what: str) -> None:
        if self.wrong == f"cannot {what}":
            raise HarnessError("no")
        for instance in [each for each in app.names if each in self.world.placed and self.wrong != f"{what}s nothing"]:
            self._make(app, instance)
            if self.wrong == f"loses what it {what}s":
                del self.world.placed[instance]

    def launch(self, cluster: Cluster, app: App) -> None:
        if self.wrong == "cannot launch":
            raise HarnessError("no")
        if self.wrong != "launches nothing":
            self._start(cluster, app)

    def remove(self, cluster: Cluster, app: App) -> None:
        there = [each for each in app.names if each in self.world.placed]
        if self.wrong == "cannot remove" or (not there and self.wrong == "removes only what is there"):
            raise HarnessError("nothing is there")
        if self.wrong == "forgets what it removes":
            self.world.left |= {each: self.world.placed[each] for each in there}
        for each in [] if self.wrong == "removes nothing" else there:
            del self.world.placed[each]

    def _listed(self, cluster: Cluster) -> list[str]:
        names = sorted(each.name for each in cluster.nodes if cast("MemoryNode", each).on)
        if self.wrong == "lists some" or (self.wrong == "finds some" and self._taken):
            return names[:2]
        if self.wrong == "is known to its maker alone" and not self._formed:
            return []
        if self.wrong == "lists another in its place":
            return [*names[:2], "n9"]
        return names[::-1] if self.wrong == "lists in no order" else names

    def _placements(self) -> list[Placement]:
        placed = [Placement(instance, home, "active", running=True) for instance, home in sorted(self.world.placed.items())]
        if self.wrong == "places in no order":
            placed.reverse()
        if self.wrong == "places elsewhere":
            placed.append(Placement("zzz@1", "n9", "active", running=True))
        return [] if self.wrong == "runs nothing" else placed

    @contextmanager
    def asking(self, cluster: Cluster, node: Node) -> Iterator[Callable[[], tuple[int, str | None]]]:
        terms = itertools.count(9, -1)

        def ask() -> tuple[int, str | None]:
            if not cast("MemoryNode", node).on:
                if self.wrong == "follows nobody where nobody answers":
                    return 0, None
                raise Unreachable(node.name, "its term", "no answer")
            type(self).calls += 1
            leader = {"follows a stranger": "n9", "follows themselves": node.name}.get(self.wrong, "n1")
            return {"is in no term twice": self.calls, "goes back in terms": next(terms)}.get(self.wrong, 2), leader

        yield ask

    def store(self, cluster: Cluster, node: Node, timeout: float) -> Any:
        return _Values(self, node)

    def logs(self, node: Node) -> Mapping[str, bytes]:
        if not cast("MemoryNode", node).on:
            if self.wrong == "has logs of nobody":
                return {}
            raise Unreachable(node.name, "its journal", "no answer")
        odd: dict[str, Any] = {"keeps nothing": {}, "keeps text": {"a.log": "text"}, "keeps paths": {"var/log/a.log": b""}}
        kept: Mapping[str, bytes] = odd.get(self.wrong, {"a.log": b""})
        return kept

    def adopt(self, cluster: Cluster) -> None:
        if not self.world.formed and self.wrong != "takes over nothing":
            raise (
                KeyError("agent")
                if self.wrong == "takes over with a bug"
                else HarnessError("no control plane" if self.wrong != "says not what is missing" else " ")
            )
        if self.wrong == "cannot take over":
            raise HarnessError("no")
        if self.wrong == "changes what it takes over":
            cast("MemoryNode", cluster.nodes[0]).files["/run/whalefall/mark"] = (b"", 0o644)
        self._taken = True

    def withdraw(self, cluster: Cluster, app: App) -> None:
        left = [instance for instance in app.names if instance in self.world.placed]
        if not left and (self.wrong == "withdraws only what is there" or (self.wrong == "withdraws once" and self.world.withdrawn)):
            raise HarnessError("nothing is there")
        self.world.withdrawn = bool(left)
        if self.wrong == "leaves a mark":
            cast("MemoryNode", cluster.nodes[0]).files["/run/whalefall/mark"] = (b"", 0o644)
        if self.wrong == "leaves a file":
            cast("MemoryNode", cluster.nodes[1]).files["/etc/systemd/system/spare@.service"] = (b"", 0o644)
        if self.wrong == "only forgets":
            self.world.left |= {instance: self.world.placed[instance] for instance in left}
        for instance in () if self.wrong.endswith("withdraws nothing") else [*self.world.placed] if self.wrong == "withdraws all" else left:
            del self.world.placed[instance]


class _Viewed(_Memory):
    """One with an API, as most have."""

    def view(self, cluster: Cluster, node: Node) -> View:
        if not cast("MemoryNode", node).on:
            if self.wrong == "sees nothing where nobody answers":
                return View((), ())
            if self.wrong == "raises of its own where nobody answers":
                raise KeyError(node.name)
            raise Unreachable(node.name, "the API", "no answer")
        return View(tuple(self._listed(cluster)), tuple(self._placements()))


class _Values:
    def __init__(self, mode: _Memory, node: Node) -> None:
        self._mode, self._node = mode, cast("MemoryNode", node)

    def _may(self) -> None:
        if not self._node.on:
            raise InDoubt("no answer")

    def put(self, key: str, value: str) -> None:
        self._may()
        self._mode.world.values[key] = value

    def get(self, key: str) -> str | None:
        if self._mode.wrong == "has no value where nobody answers" and not self._node.on:
            return None
        self._may()
        return None if self._mode.wrong == "forgets values" else self._mode.world.values.get(key)

    def prefix(self, prefix: str) -> Mapping[str, str]:
        self._may()
        return {key: value for key, value in self._mode.world.values.items() if key.startswith(prefix)}

    def close(self) -> None:
        """Nothing to let go."""


WITHOUT = "without an API"
"""How what is wrong with a mode begins that has none."""


def _kind(wrong: str = "", **more: Any) -> type[_Memory]:
    base = _Memory if wrong.startswith(WITHOUT) else _Viewed
    return type("Memory", (base,), {"world": _World(), "wrong": wrong, "calls": 0, **more})


def _tells_nothing(*_: object) -> App:
    raise BadInput([])


def _with_a_bug(*_: object) -> App:
    raise KeyError("service")


DEFINING: Mapping[str, Any] = {"ENDINGS": {".own": "a file of its own"}, "define": _tells_nothing, "clashes": lambda *_: ()}
"""What a mode has that takes definitions of its users' own."""


STATED_HOWS: dict[str, tuple[Mapping[str, Any], str, str]] = {
    # what is wrong → what it says, which promise convicts it, and by what words
    "no timers": ({"TIMERS": None}, "profiles_have_the_same_timers", "TIMERS, by profile"),
    "no default": ({"TIMERS": {"fast": {"ttl": 1.0}}}, "profiles_have_the_same_timers", "a profile named default"),
    "other timers": (
        {"TIMERS": {"default": {"ttl": 1.0}, "fast": {"lease": 1.0}}},
        "profiles_have_the_same_timers",
        "the timers of the profile fast",
    ),
    "timers of no time": ({"TIMERS": {"default": {"ttl": math.nan}}}, "profiles_have_the_same_timers", "seconds of every timer"),
    "keeps its timers": ({}, "a_profile_makes_a_mode", "a second longer"),
    "has other timers than its profile": ({}, "a_profile_makes_a_mode", "the timers of a mode of the profile default"),
    "takes what is as it is for no timer": ({}, "a_profile_makes_a_mode", "with ttl as it is"),
    "has no timers but those of its profiles": ({}, "a_profile_makes_a_mode", "a mode of the profile default with"),
    "goes by no other timers": ({}, "a_profile_makes_a_mode", "or BadInput; saw: ArithmeticError"),
    "takes any timers": ({}, "what_cannot_be_is_told_at_once", "saw: a mode"),
    "raises what it likes": ({}, "what_cannot_be_is_told_at_once", "saw: KeyError"),
    "tells one problem": ({}, "what_cannot_be_is_told_at_once", "a problem about no_such_timer"),
    "has no budget for some": ({}, "budgets_say_where_they_are_from", "saw: AssertionError"),
    "promises less than nothing": ({}, "budgets_say_where_they_are_from", "where that is from"),
    "says not where from": ({}, "budgets_say_where_they_are_from", "where that is from"),
    "has seconds for a budget": ({}, "budgets_say_where_they_are_from", "a Budget when"),
    "has moods": ({}, "budgets_say_where_they_are_from", "asked again"),
    "promises more with longer timers": ({}, "longer_timers_promise_nothing_sooner", "no shorter budget"),
    "goes by no timer": ({}, "longer_timers_promise_nothing_sooner", "goes by its timers"),
    "stretches nothing": ({}, "stretched_timers_stand_the_stall", "ttl stands 20"),
    "shortens what it stretches": ({}, "stretched_timers_stand_the_stall", "no timer of default is shorter"),
    "stands everything": ({}, "endurance_is_of_its_own_timers", "a timer that a stall may run out"),
    "stands by another's timers": ({}, "endurance_is_of_its_own_timers", "what lease is set to"),
    "stands nothing": ({}, "endurance_is_of_its_own_timers", "how long a stall ttl stands"),
    "is set to more than can be": ({}, "endurance_is_of_its_own_timers", "not set to more than it can be"),
    "is never back": ({}, "endurance_is_of_its_own_timers", "seconds of recovery"),
    "elects for ever": ({}, "members_are_chosen_by_the_nodes_alone", "how long an election takes"),
    "asks who its members are": ({}, "members_are_chosen_by_the_nodes_alone", "without asking a node"),
    "has an even number": ({}, "members_are_chosen_by_the_nodes_alone", "an odd number"),
    "chooses anew": ({}, "members_are_chosen_by_the_nodes_alone", "asked again"),
    "has members in no order": ({}, "members_are_chosen_by_the_nodes_alone", "sorted"),
    "takes over nothing": ({}, "nothing_is_taken_over_where_nothing_is", "it was taken over"),
    "takes over with a bug": ({}, "nothing_is_taken_over_where_nothing_is", "saw: KeyError"),
    "says not what is missing": ({}, "nothing_is_taken_over_where_nothing_is", "in words"),
    "has a unit for anything": ({}, "units_are_known_by_their_processes", "the unit of no process of its"),
    "has a unit for nothing": ({}, "units_are_known_by_their_processes", "the unit of no process is None"),
    "has no unit for its members": ({}, "units_are_known_by_their_processes", "by which a node is a member"),
    "names a daemon twice": ({}, "units_are_known_by_their_processes", "each daemon once"),
    "has a daemon without a unit": ({}, "units_are_known_by_their_processes", "the unit of ghost"),
    "listens nowhere": ({"PORTS": {70000: "agent"}}, "it_is_stated_in_full", "PORTS that are"),
    "tells nobody apart": ({"TASKS": TaskNames("agent.task", "(")}, "it_is_stated_in_full", "TASKS that are"),
    "has half of a capability": ({"drain": None}, "it_is_stated_in_full", "drain without undrain"),
    "cannot be planned": ({}, "a_plan_tells_its_timers_and_budgets", "a plan in the profile default"),
    "has a name of two lines": ({"name": "in\nmemory"}, "a_plan_tells_its_timers_and_budgets", "a plan that names the mode"),
    "budgets on two lines": ({}, "a_plan_tells_its_timers_and_budgets", "a plan that spells its budgets"),
    "hides its timers": ({}, "a_plan_tells_its_timers_and_budgets", "a plan that tells ttl"),
    "defines with a bug": ({**DEFINING, "define": _with_a_bug}, "a_definition_is_taken_as_it_stands_or_told", "saw: KeyError"),
    "defines what it does not keep": (
        {**DEFINING, "define": lambda *_: App("contract", 1)},
        "a_definition_is_taken_as_it_stands_or_told",
        "an app that keeps",
    ),
    "tells nothing of what is wrong": (
        {**DEFINING, "define": _tells_nothing},
        "a_definition_is_taken_as_it_stands_or_told",
        "what is wrong with",
    ),
    "defines by no ends": ({**DEFINING, "ENDINGS": {"": ""}}, "a_definition_is_taken_as_it_stands_or_told", "each with a dot"),
    "refuses an app that asks for nothing": (
        {"refused": lambda _, app: [("image", app.image, "another", "")]},
        "what_it_cannot_give_an_app_is_told",
        "asks for nothing",
    ),
    "refuses what no file has a key for": (
        {"refused": lambda _, app: [("inner", "a port", "80", "")] if app.restart else []},
        "what_it_cannot_give_an_app_is_told",
        "a key of an app",
    ),
    "refuses with all that it was given": (
        {"refused": lambda _, app: [("command", word, "less", "") for word in app.command]},
        "what_it_cannot_give_an_app_is_told",
        "without all of it",
    ),
    "is slower where it takes its time": ({}, "it_may_take_its_time", "takes its time"),
}


def _misstated(how: str) -> ContractBroken:
    more, name, promised = STATED_HOWS[how]
    with pytest.raises(ContractBroken, match=promised) as raised:
        STATED[name](_kind(how, **more))
    return raised.value


@pytest.mark.parametrize("how", STATED_HOWS)
def test_a_mode_that_says_what_is_not_so_is_convicted(how: str) -> None:
    """By the promise that it breaks, for what is wrong with it."""
    _misstated(how)


def _least() -> type[Any]:
    """Return a mode that has what every mode has, and can do nothing else."""
    members = [*fitness.members(Mode), "__init__"]
    return type("Least", (), {**{name: inspect.getattr_static(_Memory, name) for name in members}, "wrong": "", "calls": 0})


@pytest.mark.parametrize("kind", [_kind, _least])
@pytest.mark.parametrize("promise", STATED.values(), ids=STATED)
def test_a_mode_in_memory_that_says_what_is_so_is_acquitted(promise: Callable[[type[Any]], None], kind: Callable[[], type[Any]]) -> None:
    """What convicts the others is what is wrong with them, and nobody is asked for what not every mode can."""
    promise(kind())


FORMED_HOWS: dict[str, tuple[str, str]] = {
    # what is wrong → which promise convicts it, and by what words
    "lists some": ("every_node_lists_every_node", "n1 to list every node"),
    "lists in no order": ("every_node_lists_every_node", "the nodes that n1 lists"),
    "places in no order": ("every_node_lists_every_node", "by instance and node"),
    "places elsewhere": ("every_node_lists_every_node", "placements on nodes that n1 lists"),
    "runs nothing": ("every_node_lists_every_node", "2 instances of web that run"),
    f"{WITHOUT} it runs nothing": ("nodes_run_what_is_told", "2 instances of web to run"),
    f"{WITHOUT} it withdraws nothing": ("an_app_is_withdrawn_without_a_trace", "nothing of spare to be told"),
    "runs under another name": ("nodes_run_what_is_told", "what n1 tells"),
    "runs elsewhere": ("nodes_run_what_is_told", "what n1 tells"),
    "follows a stranger": ("members_tell_whom_they_follow", "to follow one of themselves"),
    "follows themselves": ("members_tell_whom_they_follow", "to follow one of themselves"),
    "is in no term twice": ("members_tell_whom_they_follow", "to follow one of themselves"),
    "goes back in terms": ("members_tell_whom_they_follow", "the terms that a member tells one after the other"),
    "forgets values": ("values_are_kept_at_every_member", "what it gets"),
    "keeps nothing": ("logs_are_to_be_had", "something to keep"),
    "keeps text": ("logs_are_to_be_had", "file names and bytes"),
    "keeps paths": ("logs_are_to_be_had", "file names and bytes"),
    "cannot take over": ("what_runs_is_taken_over_unchanged", "a cluster that runs is taken over"),
    "finds other members": ("what_runs_is_taken_over_unchanged", "the members that were found"),
    "finds some": ("what_runs_is_taken_over_unchanged", "the nodes that were found"),
    "changes what it takes over": ("what_runs_is_taken_over_unchanged", "taking over changes nothing"),
    "cannot deploy twice": ("an_app_is_withdrawn_without_a_trace", "deploy goes well"),
    "withdraws only what is there": ("an_app_is_withdrawn_without_a_trace", "withdraw where nothing was deployed goes well"),
    "withdraws once": ("an_app_is_withdrawn_without_a_trace", "withdraw, twice goes well"),
    "deploys nothing more": ("an_app_is_withdrawn_without_a_trace", "2 instances of spare run when deploy returns"),
    "only forgets": ("an_app_is_withdrawn_without_a_trace", "or to run there"),
    "leaves a mark": ("an_app_is_withdrawn_without_a_trace", "n1 is as it was before spare was deployed"),
    "leaves a file": ("an_app_is_withdrawn_without_a_trace", "saw: /etc/systemd/system/spare@.service"),
    "cannot restart": ("an_app_is_started_anew", "restart goes well"),
    "restarts nothing": ("an_app_is_started_anew", "2 containers of web, and none from before"),
    "loses what it restarts": ("an_app_is_started_anew", "2 instances of web run when restart returns"),
    "cannot update": ("an_app_is_made_anew", "update goes well"),
    "updates nothing": ("an_app_is_made_anew", "1 containers of spare with CONTRACT=kept, and none from before"),
    "updates to what was there": ("an_app_is_made_anew", "1 containers of spare with CONTRACT=kept, and none from before"),
    "loses what it updates": ("an_app_is_made_anew", "1 instances of spare run when update returns"),
    "deploys what is to come later": ("an_app_comes_later_and_is_removed", "nothing of spare runs before launch"),
    "cannot launch": ("an_app_comes_later_and_is_removed", "launch goes well"),
    "launches nothing": ("an_app_comes_later_and_is_removed", "spare@1 to run"),
    "cannot remove": ("an_app_comes_later_and_is_removed", "remove goes well"),
    "removes only what is there": ("an_app_comes_later_and_is_removed", "remove, twice goes well"),
    "removes nothing": ("an_app_comes_later_and_is_removed", "nothing of spare is told after remove"),
    "forgets what it removes": ("an_app_comes_later_and_is_removed", "nothing of spare to run"),
    "is known to its maker alone": ("every_node_lists_every_node", "asked by another process"),
    "lists another in its place": ("every_node_lists_every_node", "n1 to list every node"),
    "withdraws nothing": ("an_app_is_withdrawn_without_a_trace", "nothing of spare to be told"),
    "withdraws all": ("an_app_is_withdrawn_without_a_trace", "2 instances of web that run"),
    "sees nothing where nobody answers": ("what_is_off_is_unreachable", "a view at n3 raises"),
    "raises of its own where nobody answers": ("what_is_off_is_unreachable", "saw: KeyError"),
    "has logs of nobody": ("what_is_off_is_unreachable", "the logs of n3 raises"),
    "follows nobody where nobody answers": ("what_is_off_is_unreachable", "the leader that n3 follows raises"),
    "has no value where nobody answers": ("what_is_off_is_unreachable", "a value at n3 raises"),
}


def _in_memory(wrong: str) -> FormedCase:
    provider = MemoryProvider()
    nodes = provider.create("contract", [NodeSpec(f"n{number}", f"10.77.0.1{number}") for number in (1, 2, 3)])
    kind = _kind(wrong)
    mode = cast("Mode", kind.from_timers("default", {}))
    cluster = Cluster("contract", nodes, provider, mode, FakeClock(moves_itself=True), (APP,))
    mode.form(cluster)
    mode.deploy(cluster, APP)
    other: dict[str, str] = {"runs under another name": "web", "runs elsewhere": "", f"{WITHOUT} it runs nothing": ""}

    def runs(node: Node) -> set[str]:
        return {other.get(wrong, instance) for instance, home in {**kind.world.left, **kind.world.placed}.items() if home == node.name}

    return FormedCase(
        cluster,
        APP,
        SPARE,
        lambda: cast("Mode", kind.from_timers("default", {})),
        runs,
        lambda node: frozenset(cast("MemoryNode", node).files),
        lambda node, app: dict(
            kind.world.made[each] for each in app.names if {**kind.world.left, **kind.world.placed}.get(each) == node.name
        ),
    )


def _misformed(how: str) -> ContractBroken:
    name, promised = FORMED_HOWS[how]
    with pytest.raises(ContractBroken, match=promised) as raised:
        FORMED[name](_in_memory(how))
    return raised.value


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formed_contract, "READY_SECONDS", 2.0)


@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize("how", FORMED_HOWS)
def test_a_mode_that_misbehaves_on_a_cluster_is_convicted(how: str) -> None:
    """By the promise that it breaks, for what is wrong with it."""
    _misformed(how)


@pytest.mark.usefixtures("_impatient")
def test_every_line_of_the_contract_convicts_somebody() -> None:
    """Not every function alone: one that asks for three things needs three doubles."""
    assert missed(mode_contract, map(_misstated, STATED_HOWS)) == []
    assert missed(formed_contract, [*map(_misformed, FORMED_HOWS), *_untold()], "_await", "_asked", "_silent") == []


def _untold() -> list[ContractBroken]:
    node = MemoryNode("n1", "10.77.0.11")
    with pytest.raises(ContractBroken, match="n1 tells what it has; saw: status 127") as of_all:
        formed_contract.held(node)
    with pytest.raises(ContractBroken, match="n1 tells its containers; saw: status 127") as of_some:
        formed_contract.containers(node, APP)
    return [of_all.value, of_some.value]


def test_what_a_node_does_not_tell_is_not_nothing() -> None:
    """Compared with another silence nothing would be left of any app."""
    _untold()


@pytest.mark.parametrize("which", ["", WITHOUT], ids=["with an API", WITHOUT])
@pytest.mark.parametrize("promise", FORMED.values(), ids=FORMED)
def test_a_mode_in_memory_that_behaves_is_acquitted(promise: Callable[[FormedCase], None], which: str) -> None:
    """What convicts the others is what is wrong with them."""
    promise(_in_memory(which))


def test_every_promise_convicts_somebody() -> None:
    """A promise without a double that breaks it may be one that nothing breaks."""
    assert {name for _, name, _ in STATED_HOWS.values()} == {*STATED}
    assert {name for name, _ in FORMED_HOWS.values()} == {*FORMED}
