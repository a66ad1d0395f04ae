"""What other distributions add: each kind of bad plug-in is told in words, all at once, and a good one is named like ours."""

from __future__ import annotations

import importlib.metadata
import json
import sys
import threading
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint
from pathlib import Path
from random import Random
from typing import Any, ClassVar, NoReturn

import pytest
from click.testing import CliRunner

from harness import registry
from harness.actions import ACTIONS
from harness.checkers import CHECKERS
from harness.cli import doctor, main
from harness.core.clock import SystemClock
from harness.core.errors import FaultFailed
from harness.core.protocols import Client, Cluster, Node
from harness.core.units import Duration
from harness.core.values import (
    About,
    App,
    Budget,
    Call,
    CallStream,
    Finding,
    Loss,
    NodeSpec,
    Rung,
    TaskNames,
    Traits,
    Unavailable,
    Verdict,
    View,
    Who,
)
from harness.faults import FAULTS
from harness.faults.common import AtTheHost
from harness.faults.nothing import Nothing
from harness.history.events import History
from harness.modes import MODES
from harness.providers import PROVIDERS
from harness.registry import entries
from harness.reports.written import WRITTEN
from harness.runs.run import Run
from harness.testing.memory_provider import MemoryProvider, MemoryWorld
from harness.undo import reaper
from harness.undo.ledger import Ledger, unsettled
from harness.workloads import WORKLOADS

ROOT = Path(__file__).resolve().parents[2]
OURS: Mapping[str, Mapping[str, Any]] = {
    "faults": FAULTS,
    "actions": ACTIONS,
    "workloads": WORKLOADS,
    "checkers": CHECKERS,
    "modes": MODES,
    "providers": PROVIDERS,
    "reports": WRITTEN,
}
MODULE = "whalefall_of_others"
"""Where the classes of these tests are imported from."""


class Distribution(importlib.metadata.Distribution):
    """A distribution that has a name and a version, and nothing on disk."""

    def __init__(self, name: str = "acme-faults", version: str = "2.1") -> None:
        self._text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"

    def read_text(self, filename: str) -> str | None:
        """Return its metadata."""
        return self._text if filename == "METADATA" else None

    def locate_file(self, path: Any) -> Any:
        """Raise: nothing is there."""
        raise FileNotFoundError(path)


@pytest.fixture
def others(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """Return a module that can be imported and in which a test puts its classes."""
    made = types.ModuleType(MODULE)
    monkeypatch.setitem(sys.modules, MODULE, made)
    return made


@dataclass(frozen=True)
class Wave(Nothing):
    """A fault of others that is all that a fault must be."""

    seconds: Duration = 1.0

    name: ClassVar[str] = "acme.wave"
    rung: ClassVar[None] = None  # type: ignore[assignment]  # it says nothing of that


@dataclass(frozen=True)
class Calm:
    """A checker of others."""

    name: ClassVar[str] = "acme.calm"

    def check(self, history: History) -> Finding:
        """Say that nothing is known."""
        return Finding(self.name, Verdict.UNKNOWN, "nobody looked")


@dataclass(frozen=True)
class Drizzle:
    """A workload of others."""

    name: ClassVar[str] = "acme.drizzle"
    rate: float = 1.0

    def calls(self, rng: Random) -> Iterator[Call]:
        """Yield nothing."""
        yield from ()

    def connect(self, cluster: Cluster) -> Client:
        """Raise."""
        raise NotImplementedError

    def final(self, cluster: Cluster) -> Sequence[Call]:
        """Return nothing."""
        return ()


class Anarchy:
    """A mode of others."""

    name: ClassVar[str] = "anarchy"
    TIMERS: ClassVar[Mapping[str, Mapping[str, float]]] = {"default": {}}
    PORTS: ClassVar[Mapping[int, str]] = {}
    LAYER: ClassVar[Path | None] = None
    TASKS: ClassVar[TaskNames | None] = None

    @classmethod
    def from_timers(cls, profile: str, overrides: Mapping[str, float]) -> Anarchy:
        """Make one."""
        return cls()

    @property
    def timers(self) -> Mapping[str, float]:
        """None."""
        return {}

    def form(self, cluster: Cluster) -> None:
        """Do nothing."""

    def deploy(self, cluster: Cluster, app: App) -> None:
        """Do nothing."""

    def view(self, cluster: Cluster, node: Node) -> View:
        """Return nothing."""
        return View((), ())

    def budget(self, lost: Traits, who: Who) -> Budget:
        """Promise nothing."""
        return Budget(())


class Cellar(MemoryProvider):
    """A provider of others, all of whose instances know of the same machines."""

    name: ClassVar[str] = "cellar"
    world: ClassVar[MemoryWorld] = MemoryWorld()

    def __init__(self) -> None:
        super().__init__(store=self.world)


class Chime:
    """A report of others."""

    name: ClassVar[str] = "acme.chime"

    def text(self, runs: Sequence[Run]) -> str:
        """Return a sound for each."""
        return "ding" * len(runs)


GOOD = {"faults": Wave, "checkers": Calm, "workloads": Drizzle, "modes": Anarchy, "providers": Cellar, "reports": Chime}


def frozen(cls: Any) -> Any:
    """Make a frozen dataclass of a class."""
    return dataclass(frozen=True)(cls)


def point(
    cls: Any, others: types.ModuleType, kind: str = "faults", name: str | None = None, dist: Distribution | None = None
) -> EntryPoint:
    """Return an entry point that leads to a class."""
    word = getattr(cls, "__name__", "thing")
    setattr(others, word, cls)
    named = getattr(cls, "name", word) if name is None else name
    return _of(EntryPoint(named, f"{MODULE}:{word}", f"whalefall.{kind}"), dist)


def _of(entry: EntryPoint, dist: Distribution | None = None) -> EntryPoint:
    """Return an entry point as one of a distribution."""
    vars(entry)["dist"] = dist or Distribution()
    return entry


def told(*found: EntryPoint) -> list[str]:
    """Return what is told of entry points, none of which may be good."""
    read = entries.read(found, OURS)
    assert read.good == ()
    return [str(each) for each in read.problems]


def only(*found: EntryPoint) -> str:
    """Return the one thing that is told."""
    (said,) = told(*found)
    assert "\n" not in said
    return said


@pytest.fixture
def plugged(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[EntryPoint]]:
    """Return a list of entry points that this environment has beside none; to be filled before anything is named."""
    there: list[EntryPoint] = []
    monkeypatch.setattr(entries, "found", lambda: there)
    registry.installed.cache_clear()
    yield there
    registry.installed.cache_clear()


# -- good ones


@pytest.mark.parametrize("kind", GOOD)
def test_a_good_one_of_each_kind_is_known_by_its_name(kind: str, others: types.ModuleType, plugged: list[EntryPoint]) -> None:
    """Beside ours, which come first."""
    cls: Any = GOOD[kind]
    plugged.append(point(cls, others, kind))
    known = getattr(registry.known(), kind)
    assert list(known.items()) == [*OURS[kind].items(), (cls.name, cls)]


def test_without_plug_ins_what_is_known_is_ours(plugged: list[EntryPoint]) -> None:
    """Of every kind."""
    assert {kind: dict(getattr(registry.known(), kind)) for kind in OURS} == {kind: dict(classes) for kind, classes in OURS.items()}


def test_ours_also_pass_what_is_asked_of_others(others: types.ModuleType) -> None:
    """We ask of nobody what we do not do ourselves."""
    found = [point(cls, others, kind, name) for kind, classes in OURS.items() for name, cls in classes.items()]
    assert [str(each) for each in entries.read(found, dict.fromkeys(OURS, ())).problems] == []


# -- bad ones, a kind each


def test_a_module_that_is_not_there_is_told() -> None:
    """With the distribution, its version, what was found, what was expected, and what to do."""
    assert only(_of(EntryPoint("acme.gone", "acme.nowhere:Gone", "whalefall.faults"))) == (
        "the plug-in acme-faults 2.1, whalefall.faults 'acme.gone' (acme.nowhere:Gone): found nothing that can be imported "
        "(ModuleNotFoundError: No module named 'acme'); expected module:Class of a fault; "
        "mend it, or remove it: `pip uninstall acme-faults`"
    )


def test_a_class_that_is_not_in_its_module_is_told(others: types.ModuleType) -> None:
    """As a module that is not there."""
    assert "AttributeError" in only(_of(EntryPoint("acme.gone", f"{MODULE}:Gone", "whalefall.faults")))


@pytest.mark.parametrize("error", ["RuntimeError('boom')", "SystemExit(3)"])
def test_a_module_that_fails_when_it_is_imported_is_told(error: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it raises, also what would end this process."""
    (tmp_path / "whalefall_failing.py").write_text(f"raise {error}\n")
    monkeypatch.syspath_prepend(tmp_path)
    said = only(_of(EntryPoint("acme.bad", "whalefall_failing:Bad", "whalefall.faults")))
    assert f"({error.partition('(')[0]}: " in said


def test_a_plug_in_that_does_not_come_to_an_end_keeps_nobody_waiting(
    others: types.ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When it is imported, and when it is looked at: it is told, the others are known, and what is broken is mended."""
    monkeypatch.setattr(entries, "LOAD_SECONDS", 0.2)
    over = threading.Event()
    others.over = over  # type: ignore[attr-defined]
    (tmp_path / "acme_hangs.py").write_text(f"import {MODULE}\n{MODULE}.over.wait(60)\n")
    monkeypatch.syspath_prepend(tmp_path)

    class Endless(type):
        def __getattr__(cls, name: str) -> NoReturn:
            over.wait(60)
            raise AttributeError(name)

    class Hanging(metaclass=Endless):
        pass

    hanging = [_of(EntryPoint("acme.hangs", "acme_hangs:F", "whalefall.faults")), point(Hanging, others, name="acme.hanging")]
    found = entries.read([*hanging, point(Wave, others)], OURS)
    over.set()
    assert [each.name for each in found.good] == ["acme.wave"]
    assert ["not done after 0.2 s" in str(each) for each in found.problems] == [True, True]


def test_what_is_no_class_is_told(others: types.ModuleType) -> None:
    """An instance, or a function."""
    assert "which is no class; expected the class of a fault" in only(point(Wave(), others, name="acme.wave"))
    assert "which is no class; expected the class of an action" in only(point(Wave(), others, kind="actions", name="acme.wave"))


def test_a_class_that_cannot_be_looked_at_is_told(others: types.ModuleType) -> None:
    """Its own code may crash wherever it is asked for anything."""

    class Meta(type):
        def __getattr__(cls, name: str) -> NoReturn:
            raise RuntimeError("do not ask")

    said = only(point(Meta("Shy", (), {}), others, name="acme.shy"))
    assert "found a class that cannot be looked at (RuntimeError: do not ask)" in said


def test_what_a_plug_in_says_at_length_is_cut_short(others: types.ModuleType) -> None:
    """A line is for people."""
    assert len(only(point(type("Long", (Cellar,), {"name": "x" * 100_000}), others, "providers", "acme.long"))) < 2000


def test_a_name_that_the_class_does_not_have_is_told(others: types.ModuleType) -> None:
    """A history would tell of another fault than the scenario."""
    said = only(point(Wave, others, name="acme.tide"))
    assert "found a class whose name is 'acme.wave'; expected `name: ClassVar[str] = 'acme.tide'`" in said


@pytest.mark.parametrize("name", ["Acme", "a b", "a..b", "../etc", "x" * 41, "\u202eacme"])
def test_a_name_that_cannot_stand_in_files_is_told(name: str, others: types.ModuleType) -> None:
    """And nothing of it is obeyed by a terminal."""
    said = only(point(frozen(type("Named", (Wave,), {"name": name})), others, name=name))
    assert "expected small letters and digits" in said
    assert "\u202e" not in said


def test_a_class_that_lacks_a_method_is_told(others: types.ModuleType) -> None:
    """All that is missing, and all that was expected, in a sentence."""

    @dataclass(frozen=True)
    class Half:
        name: ClassVar[str] = "acme.half"
        traits: ClassVar[Traits] = Traits()

        def inject(self, cluster: Cluster, targets: Sequence[Node]) -> None:
            """Break nothing."""

        def available(self, cluster: Cluster, target: Node) -> Unavailable | None:
            """Return nothing."""

        def remedy(self, cluster: Cluster, target: Node) -> Sequence[str]:
            """Return nothing."""
            return ()

        def touched(self, cluster: Cluster, targets: Sequence[Node]) -> Sequence[Node]:
            """Return nobody."""
            return ()

    assert "found a class without heal, in_force; expected name, traits, inject, heal, in_force, available, touched, remedy" in only(
        point(Half, others)
    )


@pytest.mark.parametrize("lacking", ["traits", "remedy", "touched"])
def test_a_fault_without_traits_or_remedy_is_told(lacking: str, others: types.ModuleType) -> None:
    """Nobody would know what is lost to it, and on nodes that outlive us it would be left."""
    every = {**vars(AtTheHost), **vars(Nothing)}
    body = {name: value for name, value in every.items() if not name.startswith("_") and name not in {lacking, "name"}}
    cls = frozen(type("Lacking", (), {**body, "name": "acme.lacking"}))
    assert f"found a class without {lacking}; expected" in only(point(cls, others))


def test_a_method_that_takes_other_arguments_is_told(others: types.ModuleType) -> None:
    """With how it is called."""

    @dataclass(frozen=True)
    class Narrow(Nothing):
        name: ClassVar[str] = "acme.narrow"

        def heal(self) -> None:  # type: ignore[override]  # on purpose
            """Take nothing."""

    assert "found heal that cannot be called so; expected heal(self, cluster" in only(point(Narrow, others))


def test_what_stands_in_place_of_a_method_is_told(others: types.ModuleType) -> None:
    """A value cannot be called."""
    cls = frozen(type("Valued", (Calm,), {"name": "acme.valued", "check": 3}))
    assert "found check that cannot be called so; expected check(self, history" in only(point(cls, others, "checkers"))


def test_an_abstract_class_is_told(others: types.ModuleType) -> None:
    """No instance can be made of it."""
    cls = types.new_class("Vaguer", (Cellar,), {"metaclass": _abstract()}, lambda body: body.update(name="vaguer", create=_undone()))
    assert "found an abstract class (of create)" in only(point(cls, others, "providers"))


def _abstract() -> type:
    from abc import ABCMeta  # noqa: PLC0415 - for these two only

    return ABCMeta


def _undone() -> Any:
    from abc import abstractmethod  # noqa: PLC0415 - same

    return abstractmethod(lambda self, run_id, specs: ())


def test_a_class_that_is_no_dataclass_is_told(others: types.ModuleType) -> None:
    """Also one that only inherits from one: its own fields would not be its parameters."""
    cls = type("Plain", (Calm,), {"name": "acme.plain"})
    assert "found a class that is no dataclass" in only(point(cls, others, "checkers"))


def test_a_dataclass_that_can_be_changed_is_told(others: types.ModuleType) -> None:
    """A plan holds them: nobody may change one."""

    @dataclass
    class Loose:
        name: ClassVar[str] = "acme.loose"

        def check(self, history: History) -> Finding:
            """Say nothing."""
            return Finding(self.name, Verdict.UNKNOWN, "")

    assert "found a dataclass that can be changed; expected a frozen one" in only(point(Loose, others, "checkers"))


def test_a_parameter_of_a_type_that_cannot_be_found_is_told(others: types.ModuleType) -> None:
    """As one that was imported for a type checker only."""

    @dataclass(frozen=True)
    class Typed(Calm):
        name: ClassVar[str] = "acme.typed"
        limit: Nowhere = None  # type: ignore[name-defined]  # noqa: F821 - on purpose

    assert "found parameters that no file can give (NameError: name 'Nowhere' is not defined)" in only(point(Typed, others, "checkers"))


def test_a_parameter_of_a_type_that_no_file_can_give_is_told(others: types.ModuleType) -> None:
    """A class of its own, e.g."""

    class Own:
        pass

    cls = frozen(type("Owned", (Calm,), {"name": "acme.owned", "__annotations__": {"own": Own}, "own": None}))
    assert "found parameters that no file can give" in only(point(cls, others, "checkers"))


def test_a_default_that_is_not_of_its_type_is_told(others: types.ModuleType) -> None:
    """What a ledger or a plan says must be read back."""
    body = {"name": "acme.odd", "__annotations__": {"limit": int}, "limit": (1, 2)}
    cls = frozen(type("Odd", (Calm,), body))
    assert "found defaults that cannot be written down and read again" in only(point(cls, others, "checkers"))


def test_what_a_plan_fills_in_must_have_a_default(others: types.ModuleType) -> None:
    """It is not known when the file is read."""
    cls = frozen(type("Eager", (Calm,), {"name": "acme.eager", "__annotations__": {"budgets": float}}))
    assert "found budgets without a default" in only(point(cls, others, "checkers"))


def test_a_class_that_cannot_be_made_with_its_defaults_is_told(others: types.ModuleType) -> None:
    """A bug of its own, which is no refusal of a value."""

    def crash(self: object) -> NoReturn:
        raise KeyError("bug")

    cls = frozen(type("Crashing", (Calm,), {"name": "acme.crashing", "__post_init__": crash}))
    assert "found an error where it is made with its defaults (KeyError: 'bug')" in only(point(cls, others, "checkers"))


def test_a_class_that_refuses_its_defaults_is_good(others: types.ModuleType) -> None:
    """It wants something to be chosen: the scenario that does not is told so."""

    def choose(self: object) -> NoReturn:
        raise ValueError("choose one")

    cls = frozen(type("Choosy", (Calm,), {"name": "acme.choosy", "__post_init__": choose}))
    assert entries.read([point(cls, others, "checkers")], OURS).problems == ()


@pytest.mark.parametrize("traits", ["node", {"loses": "node"}, None])
def test_traits_that_are_none_are_told(traits: object, others: types.ModuleType) -> None:
    """Verdicts go by them."""
    cls = frozen(type("Untrue", (Nothing,), {"name": "acme.untrue", "traits": traits}))
    assert "found traits that are none" in only(point(cls, others))


def test_a_fault_of_links_that_does_not_say_who_is_lost_is_told(others: types.ModuleType) -> None:
    """It hangs on what is cut."""
    cls = frozen(type("Cut", (Nothing,), {"name": "acme.cut", "traits": Traits(Loss.LINK)}))
    assert "found a fault of links without lost; expected lost(self, cluster, targets)" in only(point(cls, others))


def test_a_capability_that_nobody_offers_is_told(others: types.ModuleType) -> None:
    """A misspelt one would be asked for in vain, or not at all."""
    cls = frozen(type("Greedy", (Nothing,), {"name": "acme.greedy", "traits": Traits(takes=("Power", "Powre"))}))
    assert "found traits that take Powre; expected the names of capabilities" in only(point(cls, others))


@pytest.mark.parametrize(
    ("said", "told_of_it"),
    [
        ({"stream": "http"}, "found a stream that is 'http'; expected one of CallStream.APP, "),
        ({"stream": CallStream.APP}, "found calls of APP without app; expected the parameters app"),
        ({"stream": CallStream.PROBE}, "found calls of PROBE without called; expected the parameters called"),
        ({"takes": "Quorum"}, "found takes that is 'Quorum'; expected the names of capabilities of modes"),
        ({"takes": ("Power",)}, "found takes Power; expected the names of capabilities of modes"),
    ],
)
def test_a_workload_that_says_of_itself_what_cannot_be_is_told(
    said: Mapping[str, object], told_of_it: str, others: types.ModuleType
) -> None:
    """Nothing would be judged by its calls, or of nobody."""
    cls = frozen(type("Hail", (Drizzle,), {"name": "acme.hail", **said}))
    assert told_of_it in only(point(cls, others, "workloads"))


@pytest.mark.parametrize(
    ("said", "told_of_it"),
    [
        ({"about": CallStream.APP}, "found about that is <CallStream.APP: 'http'>; expected an instance of harness.core.values.About"),
        ({"about": About("http")}, "found about calls of 'http'; expected one of CallStream.APP, "),  # type: ignore[arg-type]  # so it is
        ({"about": About(CallStream.APP)}, "found a promise by calls without app; expected the parameters app"),
        ({"about": About(CallStream.QUORUM, asked="strictly")}, "found a promise by calls without strictly"),
        ({"about": About(scale=True)}, "found a promise of a scale without app, to, within"),
        ({"about": About(returns=True)}, "found a promise that work runs again without app"),
        ({"about": About(by_hand=True)}, "found a promise that work comes back by hand without app"),
        ({"takes": ("Quorom",)}, "found takes Quorom; expected the names of capabilities of modes"),
    ],
)
def test_a_checker_that_says_of_itself_what_cannot_be_is_told(
    said: Mapping[str, object], told_of_it: str, others: types.ModuleType
) -> None:
    """It would be asked for what it does not have."""
    cls = frozen(type("Still", (Calm,), {"name": "acme.still", **said}))
    assert told_of_it in only(point(cls, others, "checkers"))


@pytest.mark.parametrize("timers", [None, {"fast": {}}, {"default": 3}])
def test_a_mode_without_timers_is_told(timers: object, others: types.ModuleType) -> None:
    """`modes`, scenario files and the reaper ask for them."""
    assert "found a mode without timers" in only(
        point(type("Timeless", (Anarchy,), {"name": "timeless", "TIMERS": timers}), others, "modes")
    )


def test_a_mode_that_cannot_be_made_of_a_profile_is_told(others: types.ModuleType) -> None:
    """As scenario files do."""
    cls = type("Unmade", (Anarchy,), {"name": "unmade", "from_timers": None})
    assert "found a mode that cannot be made of a profile" in only(point(cls, others, "modes"))


MISSTATED: dict[str, tuple[dict[str, object], str]] = {
    # what is wrong → what the class says, and what is told
    "ports that are none": ({"PORTS": {0: "acme"}}, "found PORTS that are {0: 'acme'}; expected PORTS: number of a port"),
    "ports of nobody": ({"PORTS": {80: ""}}, "found PORTS that are {80: ''}"),
    "a pattern that is none": ({"TASKS": TaskNames("a.b", "(")}, "found TASKS that are TaskNames"),
    "a pattern that names nobody": ({"TASKS": TaskNames("a.b", "(?P<app>.*)")}, "a pattern with the groups app and number"),
    "a label that ends early": ({"TASKS": TaskNames('a"b', "(?P<app>.*)(?P<number>.)")}, "found TASKS that are TaskNames"),
    "a layer that is no folder": ({"LAYER": "/nowhere"}, "found a LAYER that is '/nowhere'; expected None, or the whole path of a folder"),
    "a layer that is wherever one stands": (
        {"LAYER": Path("node")},
        "found a LAYER that is PosixPath('node'); expected None, or the whole path",
    ),
    "a layer that is not there": ({"LAYER": Path("/nowhere/node")}, "/nowhere/node: no such folder"),
    "half a quorum": (
        {"members": lambda *_: ()},
        "found members without member, asking, election; expected all of harness.core.protocols.mode_capabilities.Quorum",
    ),
}


@pytest.mark.parametrize("how", MISSTATED)
def test_a_mode_that_says_of_itself_what_cannot_be_is_told(how: str, others: types.ModuleType) -> None:
    """Else it would be missed in the middle of a run, or never."""
    says, words = MISSTATED[how]
    assert words in only(point(type("Odd", (Anarchy,), {"name": "odd", **says}), others, "modes"))


def test_a_provider_that_wants_arguments_is_told(others: types.ModuleType) -> None:
    """It is made by its name alone, by processes that know nothing else."""

    def wanting(self: object, region: str) -> None: ...

    cls = type("Wanting", (Cellar,), {"name": "wanting", "__init__": wanting})
    assert "found a class that Wanting() makes no instance of" in only(point(cls, others, "providers"))


@pytest.mark.parametrize(
    ("kind", "name"), [("faults", "node.kill"), ("checkers", "conflicts"), ("modes", "fleet"), ("providers", "nspawn")]
)
def test_a_name_of_ours_is_told_and_ours_stays(kind: str, name: str, others: types.ModuleType, plugged: list[EntryPoint]) -> None:
    """What a scenario means by it must not hang on what is installed."""
    cls = type("Thief", (GOOD[kind],), {"name": name})
    plugged.append(point(frozen(cls) if kind in {"faults", "checkers"} else cls, others, kind))
    (problem,) = registry.usable().problems
    assert "found a name that Whalefall has itself" in str(problem)
    assert getattr(registry.usable().known, kind)[name] is OURS[kind][name]


def test_a_name_that_two_plug_ins_have_is_told_of_both(others: types.ModuleType) -> None:
    """And neither is used: which came first would be chance."""
    found = [point(Wave, others, dist=Distribution("acme", "1")), point(Wave, others, dist=Distribution("zenith", "2"))]
    first, second = told(*found)
    assert first.startswith("the plug-in acme 1, ")
    assert "found a name that zenith 2 has, too" in first
    assert second.startswith("the plug-in zenith 2, ")
    assert "found a name that acme 1 has, too" in second


def test_a_group_that_nobody_looks_into_is_told(others: types.ModuleType) -> None:
    """A misspelt one would be missed without a word."""
    said = only(_of(EntryPoint("acme.wave", f"{MODULE}:Wave", "whalefall.fault")))
    assert "found the group 'whalefall.fault', which this version does not know" in said
    assert "did you mean 'whalefall.faults'?" in said


def test_every_problem_of_every_plug_in_is_told_at_once(others: types.ModuleType) -> None:
    """And the good ones beside them are good."""

    @dataclass
    class Worse:
        name: ClassVar[str] = "acme.other"
        limit: int = field(default=1)

    read = entries.read([point(Worse, others, "checkers", "acme.worse"), point(Wave, others), point(3, others, "modes")], OURS)
    assert [each.cls for each in read.good] == [Wave]
    said = [str(each).partition(": found ")[2].partition(";")[0] for each in read.problems]
    assert said == [
        "a class whose name is 'acme.other'",
        "a class without check",
        "a dataclass that can be changed",
        "3, which is no class",
    ]


def test_a_distribution_that_says_nothing_of_itself_is_told_by_its_entry(others: types.ModuleType) -> None:
    """Its metadata are damaged, or nobody knows them."""
    said = only(EntryPoint("acme.gone", f"{MODULE}:Gone", "whalefall.faults"))
    assert said.startswith("the plug-in without a name without a version, whalefall.faults 'acme.gone'")


def test_the_text_of_a_plug_in_is_obeyed_by_nobody(others: types.ModuleType) -> None:
    """Escape sequences and ends of lines in its names, its version and its errors are spelled out."""
    cls = type("Loud", (Wave,), {"name": "loud\n\x1b[2J"})
    said = told(point(cls, others, name="\x1b]0;x\x07", dist=Distribution("acme\x1b[1m", "1\u202e")))
    assert said
    assert not [each for each in said if set(each) & set("\x1b\x07\n\u202e")]


# -- what people and processes see


def test_a_command_ends_with_a_line_for_each_problem(others: types.ModuleType, plugged: list[EntryPoint]) -> None:
    """Exit status 4: no file of the user's is at fault. No traceback."""
    plugged += [point(3, others, "modes"), _of(EntryPoint("acme.gone", f"{MODULE}:Gone", "whalefall.faults"))]
    done = CliRunner().invoke(main, ["schema"])
    assert done.exit_code == 4
    lines = done.output.splitlines()
    assert [line.startswith("whalefall failed: the plug-in acme-faults 2.1, ") for line in lines] == [True, True]


def test_the_schema_has_what_plug_ins_add(others: types.ModuleType, plugged: list[EntryPoint]) -> None:
    """With its parameters."""
    plugged.append(point(Wave, others))
    body = json.loads(CliRunner().invoke(main, ["schema"]).output)
    (step,) = [
        each for each in body["properties"]["steps"]["items"]["oneOf"] if each["properties"].get("fault", {}).get("const") == "acme.wave"
    ]
    assert list(step["properties"]["with"]["properties"]) == ["seconds"]


def test_doctor_says_on_which_rung_a_fault_of_others_stands(others: types.ModuleType, plugged: list[EntryPoint]) -> None:
    """By its own word, if it gives one; and whose it is. What is bad is told beside it."""

    def rung(here: object) -> Rung:
        return Rung(can=True, how="with a big spoon")

    def crash(here: object) -> NoReturn:
        raise RuntimeError("boom")

    plugged.append(point(Wave, others))
    plugged.append(point(frozen(type("Ladder", (Wave,), {"name": "acme.ladder", "rung": staticmethod(rung)})), others))
    plugged.append(point(frozen(type("Broken", (Wave,), {"name": "acme.broken", "rung": staticmethod(crash)})), others))
    plugged.append(point(3, others, "modes"))
    here = doctor.ThisMachine()
    said = {each.name: (each.ok, each.saw) for each in doctor._faults(here)}
    assert said["acme.wave"] == (None, "it does not say how it would be made here; a fault of acme-faults 2.1")
    assert said["acme.ladder"] == (True, "with a big spoon; a fault of acme-faults 2.1")
    assert said["acme.broken"] == (None, "its rung cannot be told: RuntimeError: boom; a fault of acme-faults 2.1")
    good, bad = doctor._plug_ins()
    assert (good.ok, good.saw) == (True, "acme-faults 2.1 adds the fault acme.broken, the fault acme.ladder, the fault acme.wave")
    assert (bad.ok, bad.saw.partition(": ")[0]) == (False, f"the plug-in acme-faults 2.1, whalefall.modes 'thing' ({MODULE}:thing)")


def test_what_ours_broke_is_mended_beside_a_bad_plug_in(
    others: types.ModuleType, plugged: list[EntryPoint], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told, and `heal` goes on."""
    monkeypatch.setattr(Cellar, "world", MemoryWorld())
    plugged += [point(3, others, "checkers"), point(Cellar, others, "providers"), point(Anarchy, others, "modes")]
    Cellar().create("run-1", [NodeSpec("n1", "10.77.0.11")])
    path = _ledger(tmp_path, Nothing())
    said = reaper.heal("run-1", tmp_path)
    assert "which is no class" in said[0]
    assert said[1:] == ["run-1: none on n1 was healed"]
    assert unsettled(path) == []


@pytest.mark.parametrize(("command", "end"), [("heal", "nothing is broken"), ("sweep", "nothing is left of any run")])
def test_where_nothing_is_to_be_mended_that_is_said_beside_a_bad_plug_in(
    command: str, end: str, others: types.ModuleType, plugged: list[EntryPoint], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who asks hears both, and the status is that of what was asked."""
    monkeypatch.setenv("WHALEFALL_STATE", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    for name in list(PROVIDERS):
        monkeypatch.delitem(PROVIDERS, name)  # what this machine has is none of this test's
    plugged.append(point(3, others, "modes"))
    done = CliRunner().invoke(main, [command])
    assert done.exit_code == 0
    first, last = done.output.splitlines()
    assert "which is no class" in first
    assert last == end


def test_a_distribution_whose_entry_points_cannot_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its name; and what is ours is known all the same."""
    folder = tmp_path / "acme_torn-3.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-torn\nVersion: 3\n")
    (folder / "entry_points.txt").write_text("[whalefall.faults]\nacme.torn\n")
    monkeypatch.syspath_prepend(tmp_path)
    registry.installed.cache_clear()
    try:
        known, (problem,) = registry.usable()
    finally:
        registry.installed.cache_clear()
    assert str(problem).startswith("the distribution acme-torn 3: found an entry_points.txt that cannot be read (")
    assert set(known.faults) == set(FAULTS)


def test_what_a_plug_in_broke_is_mended_by_its_name(
    others: types.ModuleType, plugged: list[EntryPoint], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the ledger alone, with its parameters."""
    monkeypatch.setattr(Cellar, "world", MemoryWorld())
    plugged += [point(Wave, others), point(Cellar, others, "providers"), point(Anarchy, others, "modes")]
    Cellar().create("run-1", [NodeSpec("n1", "10.77.0.11")])
    path = _ledger(tmp_path, Wave(3.0))
    assert unsettled(path)[0].fault == Wave(3.0)
    assert reaper.heal("run-1", tmp_path) == ["run-1: acme.wave on n1 was healed"]


def test_what_a_plug_in_broke_that_is_gone_is_said_and_stays_open(plugged: list[EntryPoint], tmp_path: Path) -> None:
    """Nobody else can mend it."""
    path = _ledger(tmp_path, Wave(3.0))
    with pytest.raises(FaultFailed, match="neither this version nor a plug-in here knows"):
        _ = unsettled(path)[0].fault
    (said,) = reaper.heal("run-1", tmp_path)
    assert "could NOT be healed: there is no provider 'cellar', neither of ours nor of a plug-in; was one uninstalled?" in said
    assert [line.number for line in unsettled(path)] == [1]


def _ledger(folder: Path, fault: Any) -> Path:
    """Write a ledger with one open fault of a harness that is gone."""
    path = folder / "run-1" / "ledger.jsonl"
    path.parent.mkdir()
    (path.parent / "plan.json").write_text("{}")
    Ledger(path, "run-1", "cellar", "anarchy", SystemClock()).open(1, fault, ("n1",))
    body = json.loads(path.read_bytes())
    path.write_bytes(json.dumps({**body, "conductor": [body["conductor"][0], 1]}).encode() + b"\n")
    return path


class Unspeakable(Exception):
    """An error that fails where it is to say what it is."""

    def __str__(self) -> str:
        raise Unspeakable


class Skipping(BaseException):
    """No `Exception`, as what pytest raises for a module that is to be skipped."""


@pytest.mark.parametrize(
    "error", [Unspeakable(), Skipping("no such module"), SystemExit(3), GeneratorExit()], ids=lambda each: type(each).__name__
)
def test_a_plug_in_whose_import_fails_in_whatever_way_is_told(error: BaseException) -> None:
    """`heal` mends whatever else is installed. Only whoever stops us is obeyed."""

    class Failing(EntryPoint):
        def load(self) -> Any:
            raise error

    found = entries.read([Failing("x", "evil:Fault", "whalefall.faults")], dict.fromkeys(entries.GROUPS.values(), ()))
    (problem,) = found.problems
    assert f"nothing that can be imported ({type(error).__name__}: " in problem.found

    class Stopping(EntryPoint):
        def load(self) -> Any:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        entries.read([Stopping("x", "evil:Fault", "whalefall.faults")], dict.fromkeys(entries.GROUPS.values(), ()))
