"""Apps that parts of a scenario name: one that is not there is told where it stands, whatever names it, also a plug-in's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from harness.actions import ACTIONS
from harness.actions.scaling import Scale
from harness.checkers import CHECKERS
from harness.checkers.conflicts import Conflicts
from harness.core.errors import BadInput
from harness.core.protocols import Cluster, Node
from harness.core.values import App, Effect
from harness.faults import FAULTS
from harness.faults.nothing import Nothing
from harness.scenario import loads
from harness.steps import Hold
from harness.steps.named_app import named_apps
from harness.testing.bare import BareMode
from harness.workloads import WORKLOADS
from harness.workloads.http import Http
from tests.unit.sessions import in_memory

HEAD = "scenario: x\nwhy: y\ncluster: {nodes: 3}\napps: [{name: web, instances: 2}]\n"
FAULT = "  - {fault: node.kill, on: n1, hold: 5s}\n"


@dataclass(frozen=True)
class RollOut:
    """An action of somebody else's on an app, of which nothing but its parameter says which."""

    app: str = "web"

    name: ClassVar[str] = "acme.rollout"
    aims: ClassVar[bool] = False
    takes: ClassVar[tuple[str, ...]] = ()
    longest: ClassVar[float] = 60.0
    effect: ClassVar[Effect] = Effect()

    def act(self, cluster: Cluster, targets: Sequence[Node]) -> str:
        """Do nothing."""
        return ""


@dataclass(frozen=True)
class Starve(Nothing):
    """A fault of somebody else's that is about an app."""

    app: str = "web"

    name: ClassVar[str] = "acme.starve"


@dataclass(frozen=True)
class Kept(Conflicts):
    """A checker of somebody else's that is about an app."""

    name: ClassVar[str] = "acme.kept"


@dataclass(frozen=True)
class Calls(Http):
    """A workload of somebody else's that calls an app."""

    name: ClassVar[str] = "acme.calls"


@pytest.fixture(autouse=True)
def theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let them be known."""
    for table, cls in ((ACTIONS, RollOut), (FAULTS, Starve), (CHECKERS, Kept), (WORKLOADS, Calls)):
        monkeypatch.setitem(table, cls.name, cls)


NAMED = {
    "an action": f"promises: [conflicts]\nsteps:\n  - {{do: acme.rollout, with: {{app: wep}}}}\n{FAULT}",
    "an action that is wrong elsewhere": f"promises: [conflicts]\nsteps:\n  - {{do: acme.rollout, with: {{app: wep, bad: 1}}}}\n{FAULT}",
    "a fault": "promises: [conflicts]\nsteps:\n  - {fault: acme.starve, on: n1, hold: 5s, with: {app: wep}}\n",
    "a checker": f"promises: [{{acme.kept: {{app: wep}}}}]\nsteps:\n{FAULT}",
    "a checker that is wrong elsewhere": f"promises: [{{acme.kept: {{app: wep, bad: 1}}}}]\nsteps:\n{FAULT}",
    "a workload": f"workloads: [{{acme.calls: {{app: wep, rate: 1/s}}}}]\npromises: [conflicts]\nsteps:\n{FAULT}",
    "an await": f"promises: [conflicts]\nsteps:\n  - {{await: {{recovered: wep}}, at most: 5s}}\n{FAULT}",
}


@pytest.mark.parametrize("text", NAMED.values(), ids=NAMED)
def test_an_app_that_is_not_there_is_told_whatever_names_it(text: str) -> None:
    """At its place, with the one that is meant; and nothing is found where there is one of that name."""
    with pytest.raises(BadInput) as caught:
        loads(HEAD + text, "s.yaml")
    line = next(number for number, each in enumerate((HEAD + text).splitlines(), 1) if "wep" in each)
    told = [str(each) for each in caught.value.problems if "unknown app" in each.found]
    assert len(told) == 1
    assert told[0].startswith(f"s.yaml:{line}:")
    assert told[0].endswith("an unknown app 'wep'; expected the name of an app; did you mean 'web'?")
    if "bad" not in text:
        loads(HEAD + text.replace("wep", "web"), "s.yaml")


@dataclass(frozen=True)
class Anywhere(Nothing):
    """A fault of somebody else's that is about all apps, where none is named."""

    app: str = "*"

    name: ClassVar[str] = "acme.anywhere"


def test_a_default_that_no_app_could_be_called_stands_for_any_app(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it comes it names none; what is given in its place is an app's name."""
    monkeypatch.setitem(FAULTS, Anywhere.name, Anywhere)
    text = f"{HEAD}promises: [conflicts]\nsteps:\n  - {{fault: acme.anywhere, on: n1, hold: 5s}}\n"
    loads(text, "s.yaml")
    with pytest.raises(BadInput, match="an unknown app 'wep'"):
        loads(text.replace("on: n1", "on: n1, with: {app: wep}"), "s.yaml")
    assert (named_apps(Anywhere()), named_apps(Anywhere("web")), named_apps(Anywhere(""))) == ((), ("web",), ("",))


def test_an_app_of_what_has_no_such_parameter_is_told_once() -> None:
    """That it has none: which app it would be is nothing to it."""
    with pytest.raises(BadInput) as caught:
        loads(f"{HEAD}promises: [conflicts]\nsteps:\n  - {{fault: node.kill, on: n1, hold: 5s, with: {{app: wep}}}}\n", "s.yaml")
    assert [each.found for each in caught.value.problems] == ["an unknown key 'app'"]


def test_an_app_that_is_not_there_is_told_in_python(tmp_path: Path) -> None:
    """Before anything is done or broken, of an action and of a fault alike."""
    with in_memory(tmp_path, BareMode(), App("web", 2)) as session:
        with pytest.raises(BadInput, match=r"acme\.rollout: an unknown app 'wep'; expected the name of an app; did you mean 'web'"):
            session.act(RollOut("wep"))
        with pytest.raises(BadInput, match=r"acme\.starve: an unknown app 'wep'"):
            session.break_(Starve("wep"), "n1", Hold(1))


def test_which_apps_something_names_is_read_off_its_parameter_and_its_effect() -> None:
    """Each once; who is about any app, or about none, names none."""
    assert named_apps(RollOut("web")) == ("web",)
    assert named_apps(Scale("web", 3)) == ("web",)
    assert named_apps(SimpleNamespace(effect=Effect({"web": 3}))) == ("web",)
    for effect in (Effect({"db": 0}), Effect(renews=("db",)), Effect(alters=("db",)), Effect({"db": 1}, renews=("db",), alters=("db",))):
        theirs: Any = type("Theirs", (), {"effect": effect})
        assert named_apps(theirs()) == ("db",)
    assert named_apps(Conflicts()) == ()
    assert named_apps(Nothing()) == ()
