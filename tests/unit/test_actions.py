"""Actions: how they are found, read, done and told, and what a run makes of one that fails."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

from harness import registry
from harness.actions import ACTIONS
from harness.actions.draining import Drain, Undrain
from harness.actions.own_command import RunCommand
from harness.actions.presence import DeployApp, RemoveApp
from harness.actions.rolling import RestartApp, UpdateApp
from harness.actions.scaling import Scale
from harness.actions.systemd import ServiceRestart, ServiceStart, ServiceStop
from harness.checkers import Scaled
from harness.checkers.assumptions import Assumptions
from harness.checkers.expected import Expected
from harness.conductor import Session, Stopped, doing, lending, permission
from harness.conductor.rehearsal import rehearse
from harness.core import parameters
from harness.core.aim import ImpossibleTarget
from harness.core.clock import Deadline, SystemClock
from harness.core.errors import BadInput, Expired, HalfDone, HarnessError, InDoubt, NotDone, Unreachable, Unsupported
from harness.core.protocols import Action, Cluster, Node, Seen
from harness.core.values import App, Effect, Loss, NodeSpec, Outcome, Result, Traits, Unavailable
from harness.history.events import Acted, History, Note
from harness.modes.fleet import Fleet
from harness.modes.fleet.unit_files import UnitFile
from harness.modes.swarm import Swarm
from harness.nodes import users_command
from harness.nodes.namespaced import ENVIRON
from harness.nodes.together import together
from harness.plan import Plan, plan
from harness.plan.foresight import warnings
from harness.registry import fitness
from harness.reports.prose import describe
from harness.reports.timeline import Timeline
from harness.scenario import loads
from harness.steps import Break, Do, Hold, Wait, actions, apart, most, step_from_json
from harness.testing.action_contract import ACTION, ActionCase
from harness.testing.bare import BareMode
from harness.testing.contracts import ContractBroken
from harness.testing.histories import node_kill
from harness.testing.memory_actions import MARK, MemoryAction
from harness.testing.memory_node import MemoryNode
from harness.workloads.driver import Driver, Ops
from harness.workloads.http import Http
from tests.unit.sessions import Scripted, bare_plan, in_memory, scripted

APPS = "apps: [{name: web, instances: 2}, {name: db, instances: 1, host port: 8010}]\n"
HEAD = f"scenario: x\nwhy: y\ncluster: {{nodes: 4}}\n{APPS}promises: [conflicts]\nsteps:\n"
FAULT = "  - {fault: node.kill, on: n1, hold: 5s}\n"


@dataclass(frozen=True)
class Yielding(BareMode):
    """A mode in memory that does what actions ask of it, and notes it down; `units` as for `BareMode`."""

    shrinks: ClassVar[bool] = True
    told: ClassVar[list[str]] = []

    name: ClassVar[str] = "yielding"

    def scale(self, cluster: Cluster, app: App, instances: int) -> None:
        """Note it down."""
        self.told.append(f"{app.name} {app.instances} to {instances}")

    def restart(self, cluster: Cluster, app: App) -> None:
        """Note it down."""
        self.told.append(f"{app.name} anew")

    def update(self, cluster: Cluster, app: App) -> None:
        """Note it down."""
        self.told.append(f"{app.name} {app.image} {dict(app.environment)}")

    def remove(self, cluster: Cluster, app: App) -> None:
        """Note it down."""
        self.told.append(f"no {app.name}")

    def launch(self, cluster: Cluster, app: App) -> None:
        """Note it down."""
        self.told.append(f"{app.name} with {app.instances}")

    def drain(self, cluster: Cluster, node: Node) -> None:
        """Note it down."""
        self.told.append(f"drain {node.name}")

    def undrain(self, cluster: Cluster, node: Node) -> None:
        """Note it down."""
        self.told.append(f"undrain {node.name}")


@dataclass(frozen=True)
class Made:
    """An action of a test's own, which does what the test says."""

    name: ClassVar[str] = "test.made"
    aims: ClassVar[bool] = False
    takes: ClassVar[tuple[str, ...]] = ()
    longest: ClassVar[float] = 30.0
    effect: ClassVar[Effect] = Effect()
    does: ClassVar[Callable[[], Any]] = staticmethod(lambda: "made")

    def act(self, cluster: Cluster, targets: Sequence[Node]) -> Any:
        """Do it."""
        return type(self).does()


@pytest.fixture
def mode() -> Yielding:
    """Return a mode that has noted nothing yet."""
    Yielding.told.clear()
    return Yielding({"victim": "victim.service"})


@pytest.fixture
def session(tmp_path: Path, mode: Yielding, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """Lend a session over three nodes in memory that are whole, with an app of two instances."""
    with in_memory(tmp_path, mode, App("web", 2)) as made:
        monkeypatch.setattr(made.situation, "missing", lambda _: [])
        yield made


@pytest.fixture
def act(monkeypatch: pytest.MonkeyPatch) -> type[Made]:
    """Return an action of this test's own, known by name."""
    fresh: type[Made] = dataclass(frozen=True)(type("Fresh", (Made,), {}))
    monkeypatch.setitem(ACTIONS, fresh.name, fresh)
    return fresh


def _told(session: Session) -> list[Acted]:
    return [event for _, event in History.load(session.recorder.path).each(Acted)]


def _raises(error: BaseException) -> Callable[[], Any]:
    def fail() -> Any:
        raise error

    return fail


# ---------------------------------------------------------------- found and read


def test_the_actions_that_there_are() -> None:
    """Each under its own name, in the registry that every process asks."""
    assert registry.known().actions == ACTIONS
    for name, cls in ACTIONS.items():
        assert list(fitness.lacks("actions", name, cls)) == []


def test_a_daemon_that_is_misspelt_is_told_with_its_name() -> None:
    """As everything that has a name."""
    with pytest.raises(BadInput, match="such as etcd, fleetd, dockerd, containerd; did you mean 'etcd'"):
        loads(HEAD + "  - {do: service.stop, with: {service: etdc}, on: n1}\n" + FAULT, "s.yaml")


BAD: dict[str, tuple[str, list[str]]] = {
    "no such action": (
        "  - {do: app.scal}\n",
        ["s.yaml:7:10: an unknown action 'app.scal'; expected one of", "did you mean 'app.scale'"],
    ),
    "no parameters": ("  - {do: app.scale}\n", ["s.yaml:7:5: 'app' is missing", "s.yaml:7:5: 'instances' is missing"]),
    "an unknown app": (
        "  - {do: app.scale, with: {app: wep, instances: 3}}\n",
        ["s.yaml:7:33: an unknown app 'wep'; expected the name of an app; did you mean 'web'?"],
    ),
    "an unknown app to restart": (
        "  - {do: app.restart, with: {app: wep}, on: n1, at most: 0}\n",
        ["s.yaml:7:35: an unknown app 'wep'", "s.yaml:7:45: a target of app.restart", "s.yaml:7:58: 0;"],
    ),
    "nothing to change": (
        "  - {do: app.update, with: {app: web}}\n",
        ["s.yaml:7:34: app.update: nothing to change: give it an image, or an environment"],
    ),
    "an image that nodes cannot have": (
        "  - {do: app.update, with: {app: web, image: wep}}\n",
        ["s.yaml:7:46: an image 'wep'; expected one of counter, noisy, redis, slow, web in ", "; did you mean 'web'?"],
    ),
    "what no app can be given": (
        "  - {do: app.update, with: {app: web, image: '-v', environment: {1A: x, WHALEFALL_HOST: x, B: \"a\\nb\"}}}\n",
        [
            "s.yaml:7:28: app.update: '-v' is no image: a folder of images,",
            "; found '1A', which is no variable's name, expected letters",
            "; found the variable WHALEFALL_HOST, which is not an app's to be given, expected a name",
            "; found a value of B that is more than a line of text, expected one line",
        ],
    ),
    "an unknown app to update, for nobody": (
        "  - {do: app.update, with: {app: wep, image: [web], environment: {A: 1}}, on: n1}\n",
        [
            *(
                "s.yaml:7:34: an unknown app 'wep'",
                "s.yaml:7:46: a list of 1; expected a folder of images",
                "s.yaml:7:70: 1; expected text",
            ),
            "s.yaml:7:79: a target of app.update; expected none",
        ],
    ),
    "what was removed": (
        "".join(
            f"  - {each}\n"
            for each in ("{do: app.remove, with: {app: web}}", "{do: app.restart, with: {app: web}}", "{do: app.remove, with: {app: web}}")
        ),
        [
            "s.yaml:8:35: web, of which none is to run by then; expected an app that is there; app.deploy brings it",
            "s.yaml:9:34: web, of which none is to run by then; expected an app that is there",
        ],
    ),
    "what was removed, and is awaited": (
        "  - {do: app.remove, with: {app: web}}\n  - {await: {recovered: web}, at most: 20s}\n  - {await: {recovered: db}, at most: 20s}\n",
        ["s.yaml:8:13: web, of which none is to run by then; expected an app that is there; app.deploy brings it"],
    ),
    "what is there": (
        "  - {do: app.deploy, with: {app: web, instances: 3}}\n",
        [
            "s.yaml:7:34: web, which is there, with 2 instances; expected an app that is not there: with `instances: 0`, or removed before; app.scale"
        ],
    ),
    "no app to restart": ("  - {do: app.restart}\n", ["s.yaml:7:5: 'app' is missing"]),
    "no instances": (
        "  - {do: app.scale, with: {app: web, instances: 0}}\n",
        ["s.yaml:7:49: 0; expected a whole number from 1 to 100"],
    ),
    "ports of another app": (
        "  - {do: app.scale, with: {app: web, instances: 12}}\n",
        ["s.yaml:7:49: ports 8001 to 8012 for web; expected ports that no other app has; db has 8011"],
    ),
    "a target where there is none": (
        "  - {do: app.scale, with: {app: web, instances: 3}, on: n1}\n",
        ["s.yaml:7:57: a target of app.scale; expected none: it is done to no node"],
    ),
    "no target": ("  - {do: service.stop, with: {service: etcd}}\n", ["s.yaml:7:5: 'on' is missing; expected a target expression"]),
    "nobody": ("  - {do: service.stop, with: {service: etcd}, on: n9}\n", ["s.yaml:7:51: the target 'n9'"]),
    "no such service": (
        "  - {do: service.stop, with: {service: etcdd}, on: n1}\n",
        ["s.yaml:7:40: the service 'etcdd'; expected a daemon that the fleet mode runs as a systemd unit, such as etcd, fleetd"],
    ),
    "what the mode cannot": (
        "  - {do: node.drain, on: n1}\n",
        ["s.yaml:7:10: node.drain, with the fleet mode; expected a mode that offers Draining"],
    ),
    "no time": (
        "  - {do: service.stop, with: {service: etcd}, on: n1, at most: 0}\n",
        ["s.yaml:7:64: 0; expected how long it may take: a duration above 0"],
    ),
    "may it": (
        "  - {do: service.stop, with: {service: etcd}, on: n1, may fail: perhaps}\n",
        ["s.yaml:7:65: 'perhaps'; expected true (the run goes on"],
    ),
    "what the mode cannot, for nobody, in no time": (
        "  - {do: node.drain, on: n9, at most: 0}\n",
        ["s.yaml:7:10: node.drain, with the fleet mode", "s.yaml:7:26: the target 'n9'", "s.yaml:7:39: 0;"],
    ),
    "no command": (
        "  - {do: command, with: {run: ' '}, on: n1}\n",
        ["s.yaml:7:31: command: a command is a line of text for a shell, and not empty"],
    ),
    "a command that is none": (
        "  - {do: command, with: {run: 7, disturbs: maybe}}\n",
        ["s.yaml:7:5: 'on' is missing", "s.yaml:7:31: 7", "s.yaml:7:44: 'maybe'"],
    ),
    "no such service, nowhere": (
        "  - {do: service.stop, with: {service: etcdd}, on: n9}\n",
        ["s.yaml:7:40: the service 'etcdd'", "s.yaml:7:52: the target 'n9'"],
    ),
    "a parameter at the wrong place": (
        "  - {do: service.stop, service: etcd, on: n1}\n",
        [
            "s.yaml:7:24: an unknown key 'service'; expected one of do, with, on, at most, may fail; put it under with",
        ],
    ),
    "an instance before it is there": (
        "  - {fault: node.kill, on: web@3, hold: 5s}\n  - {do: app.scale, with: {app: web, instances: 3}}\n",
        ["s.yaml:7:28: the target 'web@3'; expected an instance of web"],
    ),
    "all at once": (
        "  - {do: app.scale, with: {app: wep, instances: many}, at most: soon, may fail: no way, hold: 5s}\n",
        [
            "s.yaml:7:33: an unknown app 'wep'",
            "s.yaml:7:49: 'many'",
            "s.yaml:7:65: 'soon'",
            "s.yaml:7:81: 'no way'",
            "s.yaml:7:89: an unknown key 'hold'",
        ],
    ),
}


@pytest.mark.parametrize(("steps", "told"), BAD.values(), ids=BAD)
def test_what_is_wrong_with_an_action_is_told_with_its_place(steps: str, told: list[str]) -> None:
    """With what was found and what was expected, all of it at once."""
    with pytest.raises(BadInput) as caught:
        loads(HEAD + steps + FAULT, "s.yaml")
    said = str(caught.value)
    assert all(each in said for each in told), said
    assert len(said.splitlines()) == sum(each.startswith("s.yaml") for each in told), said


UPDATES = """\
  - {do: app.update, with: {app: web, image: "web:2", environment: {MODE: new, A: "1"}}}
  - {do: app.update, with: {app: web, image: "web:3"}, may fail: true}
"""


def test_what_an_app_is_given_is_told_in_words() -> None:
    """Variables as they stand in a file, and nothing of what is not given; a plan reads back equal."""
    fleet: Any = registry.known().modes["fleet"].from_timers("default", {})
    made = plan(loads(HEAD + UPDATES + FAULT, "s.yaml"), mode=fleet, provider="nspawn", seed=7)
    words = describe(made, 200)
    assert "1. do app.update app=web image=web:2 environment={MODE: new, A: 1}, 300 s at most" in words
    assert "2. do app.update app=web image=web:3, 300 s at most, which may fail" in words
    assert Plan.from_json(json.loads(json.dumps(made.to_json()))) == made
    shown = [parameters.read(each.action) for each in actions(made.steps)]
    history = History.of_events(
        *((1.0 + n, Acted(1 + n, "app.update", (), 60.0, may_fail=False, parameters=each)) for n, each in enumerate(shown))
    )
    text = " ".join(" ".join(line.plain for line in Timeline(history, ()).lines(200)).split())
    assert "action 1 (app.update app=web image=web:2 environment={MODE: new, A: 1}) begins" in text
    assert "action 2 (app.update app=web image=web:3) begins" in text


def test_an_instance_that_was_asked_for_at_any_time_can_be_named() -> None:
    """Also after fewer were asked for."""
    steps = "".join(f"  - {{do: app.scale, with: {{app: web, instances: {number}}}}}\n" for number in (4, 3))
    assert len(loads(f"{HEAD}{steps}  - {{fault: daemon.hang, on: web@4, hold: 5s}}\n", "s.yaml").steps) == 3
    with pytest.raises(BadInput, match="the target 'web@5'; expected an instance of web"):
        loads(f"{HEAD}{steps}  - {{fault: daemon.hang, on: web@5, hold: 5s}}\n", "s.yaml")


def test_a_variable_may_be_as_long_as_is_said() -> None:
    """And no longer."""
    assert UpdateApp("web", environment={"A": "x" * 4096}).environment
    with pytest.raises(ValueError, match="a value of A with 4097 characters, expected 4096 at most"):
        UpdateApp("web", environment={"A": "x" * 4097})


GOOD = """\
  - {fault: node.kill, on: web@1, as: dead}
  - {do: app.scale, with: {app: web, instances: 4}, at most: 20s}
  - {do: service.restart, with: {service: fleetd}, on: "!hit & any", may fail: true}
  - {fault: daemon.hang, on: web@4, hold: 5s}
  - heal: dead
"""


def test_actions_are_read_saved_and_told() -> None:
    """In a plan's words, its longest time, and what must be heard of; a plan reads back equal. What is scaled can be hit by its new names."""
    scenario = loads(HEAD + GOOD, "s.yaml")
    assert actions(scenario.steps) == (
        Do(Scale("web", 4), "", 20.0),
        Do(ServiceRestart("fleetd"), "!hit & any", ServiceRestart.longest, may_fail=True),
    )
    assert [most(app, scenario.steps) for app in scenario.apps] == [4, 1]
    assert tuple(step_from_json(step.to_json(), registry.known()) for step in scenario.steps) == scenario.steps
    fleet: Any = registry.known().modes["fleet"].from_timers("default", {})
    made = plan(scenario, mode=fleet, provider="nspawn", seed=7)
    assert made.longest == 20.0 + ServiceRestart.longest + 5.0 + made.settle
    words = describe(made, 200)
    assert "2. do app.scale app=web instances=4, 20 s at most" in words
    assert "3. do service.restart service=fleetd on 1 node that is hit by no fault in force (of 4), 120 s at most, which may fail" in words
    assert "targets of step 3: drawn when it starts, with seed 7" in words
    assert made.promises[0].expected.actions == ("app.scale", "service.restart")  # type: ignore[attr-defined]  # assumptions come first
    assert Plan.from_json(json.loads(json.dumps(made.to_json()))) == made


def test_who_takes_orders_is_a_target_only_where_orders_go_through_one_node() -> None:
    """As a leader is one only where there is one."""
    loads(HEAD + "  - {do: service.restart, with: {service: fleetd}, on: controller}\n" + FAULT)
    (misfit,) = Do(Drain(), "controller", 5.0).misfits(("steps", 0), Yielding())
    assert (misfit.place, misfit.found) == (("steps", 0, "on"), "'controller', with the yielding mode")
    found = [each.found for each in Do(Scale("web", 3), "!controller & any", 5.0).misfits(("steps", 0), BareMode())]
    assert "'!controller & any', with the bare mode" in found


def test_fewer_instances_are_refused_where_the_mode_chooses_which_stop() -> None:
    """By what steps asked for before, with both numbers; where the last ones stop, fewer are fine."""
    steps = "  - {do: app.scale, with: {app: web, instances: 4}}\n  - {do: app.scale, with: {app: web, instances: 3}}\n" + FAULT
    loads(HEAD + steps)
    none = "  - {do: app.remove, with: {app: web}}\n  - {do: app.deploy, with: {app: web, instances: 1}}\n" + FAULT
    loads(HEAD.replace("nodes: 4", "nodes: 4, mode: swarm") + none, "s.yaml")  # none at all is no choice
    with pytest.raises(BadInput) as caught:
        loads(HEAD.replace("nodes: 4", "nodes: 4, mode: swarm") + steps, "s.yaml")
    assert "s.yaml:8:49: fewer instances of web than the 4 before, with the swarm mode; expected as many or more" in str(caught.value)


def test_a_promise_of_a_number_that_no_step_asks_for_is_told() -> None:
    """With the numbers that steps ask for."""
    text = HEAD.replace("[conflicts]", "[{scaled: {app: web, to: 5, within: 30s}}]")
    with pytest.raises(BadInput, match=r"a promise of 5 instances of web that no step asks for; .*; what steps ask for is 4 of web"):
        loads(text + "  - {do: app.scale, with: {app: web, instances: 4}}\n" + FAULT)
    loads(text + "  - {do: app.scale, with: {app: web, instances: 5}}\n" + FAULT)


@pytest.mark.parametrize("damage", [{"do": "app.eat"}, {"on": "n1"}, {"with": {"app": "web"}}, {"at most": "5s"}, {"may fail": 1}], ids=str)
def test_a_damaged_action_of_a_plan_is_refused(damage: Mapping[str, Any]) -> None:
    """Nothing is guessed."""
    with pytest.raises((KeyError, TypeError, ValueError)):
        step_from_json({**Do(Scale("web", 3), "", 5.0).to_json(), **damage}, registry.known())


def test_slow_machines_have_longer_for_an_action() -> None:
    """As for whatever else waits for the cluster."""
    assert Do(Scale("web", 3), "", 5.0).slowed(4.0) == Do(Scale("web", 3), "", 9.0)


# ---------------------------------------------------------------- done


def test_an_action_is_done_and_told(session: Session, mode: Yielding) -> None:
    """Its beginning and its end are in the history, with what it does to the cluster and what was so before."""
    assert session.act(Scale("web", 4)) is Outcome.OK
    begun, ended = _told(session)
    assert (begun.outcome, ended.outcome, ended.detail) == (None, Outcome.OK, "web had 2 instances before")
    assert (begun.effect, begun.was) == (Effect({"web": 4}), {"web": 2})
    assert session.act(Scale("web", 3)) is Outcome.OK
    assert mode.told == ["web 2 to 4", "web 4 to 3"]
    assert _told(session)[-1].was == {"web": 4}
    assert session.cluster.apps == (App("web", 3),)
    assert [each.instances for each in session.situation._apps] == [3]


def test_an_app_that_was_updated_is_another_one_from_then_on(session: Session, act: type[Made]) -> None:
    """Whoever starts an instance of it later goes by that; where it was not done, or may not have been, by what it was."""
    assert session.act(UpdateApp("web", environment={"B": "2", "A": "1"})) is Outcome.OK
    assert session.act(UpdateApp("web", "web:2", {"B": "3"})) is Outcome.OK
    new = App("web", 2, "web:2", environment=(("A", "1"), ("B", "3")))
    assert session.cluster.apps == (new,)
    begun, ended = _told(session)[-2:]
    assert (begun.effect, ended.detail) == (
        Effect(renews=("web",), alters=("web",)),
        "2 instances of web started anew, which had the image web before",
    )
    act.does = staticmethod(_raises(HalfDone("the first was")))
    act.altered = lambda _, app: dataclasses.replace(app, image="web:3")  # type: ignore[attr-defined]  # as one that alters it has it
    assert session.act(act()) is Outcome.UNKNOWN
    assert session.cluster.apps == (new,)
    assert UpdateApp("db", "web:2").altered(new) == new


def test_an_app_that_was_removed_is_not_to_run_and_comes_back_as_it_was(session: Session) -> None:
    """With as many instances as are asked for then; nobody misses it meanwhile, or calls it."""
    session.act(UpdateApp("web", "web:2"))
    assert session.act(RemoveApp("web")) is Outcome.OK
    assert [(event.effect, event.was, event.detail) for event in _told(session)[-1:]] == [
        (Effect({"web": 0}), {"web": 2}, "web had 2 instances before")
    ]
    assert [each.names for each in session.situation._apps] == [()]
    assert session.situation.recovered((), (), 0.0)
    assert session.act(DeployApp("web", 3)) is Outcome.OK
    assert session.cluster.apps == (App("web", 3, "web:2"),)
    assert (_told(session)[-1].was, _told(session)[-1].detail) == ({"web": 0}, "web with 3 instances, image web:2")


def test_what_a_file_is_refused_for_by_the_steps_before_is_refused_in_python_by_the_deeds_so_far(session: Session, act: type[Made]) -> None:
    """An app that was removed, or is there already; but where nobody knows whether it is."""
    there = r"web, which is there, with 2 instances; expected an app that is not there"
    gone = r"web, of which none is to run by then; expected an app that is there; app\.deploy brings it"
    with pytest.raises(BadInput, match=f"the action app.deploy: {there}"):
        session.act(DeployApp("web", 2))
    assert session.act(RemoveApp("web")) is Outcome.OK
    for action in (RemoveApp("web"), RestartApp("web"), UpdateApp("web", "web:2"), Scale("web", 3)):
        with pytest.raises(BadInput, match=f"the action {action.name}: {gone}"):
            session.act(action)
    with pytest.raises(BadInput, match=f"the await: {gone}"):
        session.await_("recovered", "web", at_most=9.0)
    assert len(_told(session)) == 2
    for does, outcome in (("refused", Outcome.FAIL), ("in doubt", Outcome.UNKNOWN)):
        act.does = staticmethod(_raises(HarnessError(does) if outcome is Outcome.FAIL else HalfDone(does)))
        act.effect, act.takes = Effect({"web": 1}), ("Removing",)
        assert session.act(act()) is outcome
        if outcome is Outcome.FAIL:
            with pytest.raises(BadInput, match=gone):
                session.act(RemoveApp("web"))
    assert session.act(RemoveApp("web")) is Outcome.FAIL
    assert _told(session)[-1].detail == "none of web is to run now; app.deploy brings it"
    assert session.act(DeployApp("web", 2)) is Outcome.OK
    with pytest.raises(BadInput, match=there):
        session.act(DeployApp("web", 2))


def test_an_action_on_nodes_is_done_to_whom_its_target_is(session: Session, mode: Yielding) -> None:
    """Resolved when it is done, with the run's random numbers."""
    session.act(Drain(), "n2")
    session.act(Undrain(), "n1 & all")
    assert mode.told == ["drain n2", "undrain n1"]
    assert [event.targets for event in _told(session)] == [("n2",), ("n2",), ("n1",), ("n1",)]
    session.plan = bare_plan(Do(Drain(), "leader", Drain().longest))  # else it is refused, for nobody leads in this mode
    with pytest.raises(ImpossibleTarget):
        session.act(Drain(), "leader")
    last = _told(session)[-1]
    assert (last.outcome, last.targets) == (Outcome.FAIL, ())
    assert "no target for 'leader'" in last.detail


ENDS: dict[str, tuple[BaseException, Outcome]] = {
    "it was refused": (HarnessError("no"), Outcome.FAIL),
    "it was not done": (NotDone("no connection"), Outcome.FAIL),
    "no answer": (Unreachable("n1", "it", "silence"), Outcome.UNKNOWN),
    "in doubt": (InDoubt("a reset"), Outcome.UNKNOWN),
    "too long": (Expired("it", 5.0, "nothing"), Outcome.UNKNOWN),
    "its own code": (ValueError("bug"), Outcome.UNKNOWN),
}


@pytest.mark.parametrize(("error", "outcome"), ENDS.values(), ids=ENDS)
def test_how_an_action_ended_is_told_as_far_as_it_is_known(
    session: Session, act: type[Made], error: BaseException, outcome: Outcome
) -> None:
    """What may or may not have been done is neither done nor not done."""
    act.does = staticmethod(_raises(error))
    assert session.act(act()) is outcome
    assert str(error) in _told(session)[-1].detail


def test_that_somebody_of_many_gave_no_answer_leaves_it_in_doubt(session: Session, act: type[Made]) -> None:
    """Also where the error is another one that came of it."""
    error = HarnessError("failed on 1 of 2 nodes")
    error.__cause__ = Unreachable("n1", "it", "silence")
    act.does = staticmethod(_raises(error))
    assert session.act(act()) is Outcome.UNKNOWN


@pytest.mark.parametrize(
    ("raised", "outcome"),
    [
        ({"n1": HarnessError("no"), "n2": HarnessError("no")}, Outcome.FAIL),
        ({"n1": HarnessError("no")}, Outcome.UNKNOWN),
        ({"n2": HarnessError("no")}, Outcome.UNKNOWN),
        ({"n1": HarnessError("no"), "n2": Unreachable("n2", "it", "silence")}, Outcome.UNKNOWN),
        ({"n1": Unreachable("n1", "it", "silence"), "n2": HarnessError("no")}, Outcome.UNKNOWN),
        ({"n1": HarnessError("no"), "n2": HalfDone("half")}, Outcome.UNKNOWN),
    ],
    ids=["refused by all", "by the first", "by the second", "then silence", "silence, then refused", "then half"],
)
@pytest.mark.parametrize("how", ["together", "one after the other"])
def test_what_was_done_on_some_of_many_is_not_told_as_not_done(
    session: Session, raised: dict[str, HarnessError], outcome: Outcome, how: str
) -> None:
    """It was done on the others, or may have been: an action of somebody's that goes from one to the next does not even say where it stopped."""

    @dataclass(frozen=True)
    class Partly(Made):
        def act(self, cluster: Cluster, targets: Sequence[Node]) -> str:
            def one(node: Node) -> None:
                if node.name in raised:
                    raise raised[node.name]

            if how == "together":
                together(targets, one, "it")
            else:
                for node in targets:
                    one(node)
            return ""

    nodes = [session.cluster.node(name) for name in ("n1", "n2")]
    alone = how == "together" and outcome is Outcome.FAIL
    assert doing.done(Partly(), session.cluster, nodes, 5.0)[0] is (Outcome.FAIL if alone else Outcome.UNKNOWN)
    if isinstance(raised.get("n1"), HarnessError) and not isinstance(raised["n1"], Unreachable):
        assert doing.done(Partly(), session.cluster, nodes[:1], 5.0)[0] is Outcome.FAIL


@pytest.mark.parametrize(("first", "outcome"), [(True, Outcome.FAIL), (False, Outcome.UNKNOWN)])
def test_an_app_that_was_scaled_in_part_is_in_doubt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: bool, outcome: Outcome) -> None:
    """Fleet is told of one unit after the other, and may refuse any of them."""
    asked: list[str] = []

    def launch(mode: Fleet, cluster: Cluster, file: UnitFile, deadline: Deadline) -> None:
        asked.append(file.name)
        if first or len(asked) == 2:
            raise HarnessError(f"fleet refuses the unit {file.name}")

    monkeypatch.setattr(Fleet, "_launch", launch)
    with in_memory(tmp_path, Fleet(), App("web", 2)) as session:
        assert doing.done(Scale("web", 5), session.cluster, [], 5.0)[0] is outcome
    assert asked == ["web@3.service", "web@4.service"][: len(asked)]


def test_a_daemon_that_was_touched_may_be_stopped(session: Session, mode: Yielding) -> None:
    """Where there is no such unit nothing was; all else that ends badly was begun."""
    node = session.cluster.node("n1")
    assert isinstance(node, MemoryNode)
    for status, outcome in ((3, Outcome.FAIL), (4, Outcome.UNKNOWN), (1, Outcome.UNKNOWN)):
        node.programs["sh"] = lambda argv, stdin, status=status: Result(tuple(argv), status, b"", b"said")  # type: ignore[misc]
        node.programs["bash"] = node.programs["sh"]
        assert doing.done(ServiceStop("victim"), session.cluster, [node], 5.0)[0] is outcome


def test_an_action_has_its_time_and_no_more(tmp_path: Path) -> None:
    """Whatever it hangs on: then nobody knows whether it was done."""
    started, free = threading.Event(), threading.Event()

    @dataclass(frozen=True)
    class Hanging(Made):
        def act(self, cluster: Cluster, targets: Sequence[Node]) -> str:
            started.set()
            free.wait(20.0)
            return ""

    with in_memory(tmp_path) as session:
        cluster = dataclasses.replace(session.cluster, clock=SystemClock())
        outcome, said = doing.done(Hanging(), cluster, [], 0.2)
        free.set()
    assert started.is_set()
    assert (outcome, said) == (Outcome.UNKNOWN, "it was not done within 0.2 s")


def test_a_stop_is_heard_while_an_action_is_done(tmp_path: Path) -> None:
    """It is raised, and no outcome is made up."""
    stop = threading.Event()

    @dataclass(frozen=True)
    class Stopping(Made):
        def act(self, cluster: Cluster, targets: Sequence[Node]) -> str:
            stop.set()
            cluster.clock.wait(threading.Event(), 20.0)
            raise AssertionError(targets)

    with in_memory(tmp_path) as session:
        session.cluster.clock = SystemClock()
        session.options.stop = stop
        with pytest.raises(Stopped):
            session.act(Stopping())
    assert [event.outcome for event in _told(session)] == [None]


def test_an_action_waits_for_what_a_fault_before_it_left_to_be_started(
    session: Session, mode: Yielding, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a fault does: what is not there yet would be its failure. That time is not its own."""
    clock, node = session.options.clock, session.cluster.node("n1")
    fault = scripted(monkeypatch)
    monkeypatch.setattr(fault, "traits", Traits(Loss.PROCESS))
    healed: list[float] = []
    fault.on_heal = staticmethod(lambda: healed.append(clock.now()))

    def jobs(argv: Sequence[str], _: bytes) -> Result:
        starting = bool(healed) and clock.now() < healed[0] + 4.0
        return Result(tuple(argv), 0, b"  7 docker.service start running\n" if starting else b"", b"")

    assert isinstance(node, MemoryNode)
    node.programs["systemctl"] = jobs
    session.break_(fault(), "n1", Hold(1.0))
    assert session.act(Scale("web", 3), at_most=2.0) is Outcome.OK
    assert mode.told == ["web 2 to 3"]
    assert 4.0 <= next(each.time for each, _ in History.load(session.recorder.path).each(Acted)) - healed[0] < 5.0
    (note,) = [event.text for _, event in History.load(session.recorder.path).each(Note)]
    assert note.startswith("action 1 (app.scale) waited ")
    assert note.endswith(" for what was mended before: docker.service on n1")


@pytest.mark.parametrize(("may_fail", "further"), [(False, False), (True, True)])
def test_what_comes_after_is_done_only_where_an_action_may_fail(
    session: Session, act: type[Made], monkeypatch: pytest.MonkeyPatch, may_fail: bool, further: bool
) -> None:
    """What was broken before is mended in any case."""
    fault: type[Scripted] = scripted(monkeypatch)
    act.does = staticmethod(_raises(HarnessError("no")))
    session.plan = bare_plan(Break(fault(), "n1", None, "one"), Do(act(), "", 5.0, may_fail), Break(fault(), "n2", None, "two"), Wait(1.0))
    session.walk()
    assert fault.calls.count("inject") == 1 + further
    assert fault.broken == set()
    notes = [event.text for _, event in History.load(session.recorder.path).each(Note)]
    assert ("test.made failed; no further step is taken" in notes) is not further


def test_an_action_on_nobody_ends_the_steps_unless_it_may_fail(session: Session, mode: Yielding) -> None:
    """As a fault on nobody does."""
    session.plan = bare_plan(Do(Drain(), "leader", 5.0, may_fail=True), Do(Drain(), "leader", 5.0), Do(Drain(), "n1", 5.0))
    session.walk()
    assert mode.told == []
    assert len(_told(session)) == 2


def test_all_that_is_wrong_with_an_action_in_python_is_told_at_once(session: Session) -> None:
    """Before anything is done."""
    for action, on, at_most, said in (
        ("app.scale", "", None, "the action 'app.scale': found what nobody can do; expected an action, e.g. Scale(\"web\", 3)"),
        (Scale, "", None, "the class Scale; expected an instance of it: Scale(app, instances)"),
        (Scale("wep", 3), "n1", None, "an unknown app 'wep'"),
        (Drain(), "", None, "no target; expected a target expression: it is done to nodes"),
        (Drain(), "n9", None, "whom to hit: the target 'n9'; expected a node's name"),
        (Drain(), "hit", None, "hit, where no fault is in force"),
        (Drain(), 7, None, "whom to hit: 7; expected a target expression"),
        (Drain(), "n1", "5s", "the action node.drain, at most: '5s' seconds; expected a number of seconds above 0"),
        (Drain(), "n1", 0, "at most: 0 seconds"),
    ):
        with pytest.raises(BadInput) as caught:
            session.act(action, on, at_most=at_most)  # type: ignore[arg-type]  # as somebody may write it
        assert said in str(caught.value)
    assert _told(session) == []


@pytest.mark.parametrize(
    ("steps", "promises", "told"),
    [
        (
            "{do: app.scale, with: {app: web, instances: 6}}",
            "conflicts",
            "web is to have 6 instances, never two on one node, on 4 nodes: there is no node for 2 of",
        ),
        ("{do: app.scale, with: {app: web, instances: 4}}", "conflicts", ""),
        (
            "{do: app.scale, with: {app: web, instances: 3}}",
            "scaled: {app: web, to: 3, within: 2h}",
            "scaled of web within 7200 s, and all steps",
        ),
        ("{do: app.scale, with: {app: web, instances: 3}}", "scaled: {app: web, to: 3, within: 20s}", ""),
        ("{do: node.drain, on: n2}", "conflicts", "node.drain on n2 keeps work off nodes, and no later step lets it back"),
        ("{do: node.drain, on: n2}\n  - {do: node.undrain, on: n2}", "conflicts", ""),
    ],
    ids=["no room", "room", "no time", "time", "drained", "and opened"],
)
def test_a_plan_warns_of_actions_that_cannot_come_to_what_is_promised(steps: str, promises: str, told: str) -> None:
    """Before anything is made: nothing has a home that the rule allows, or no time in which it can be judged."""
    text = HEAD.replace("promises: [conflicts]", f"promises: [{{{promises}}}]" if ":" in promises else "promises: [conflicts]")
    text = text.replace("nodes: 4", "mode: swarm, nodes: 4") + FAULT + f"  - {steps}\n"
    made = plan(loads(text, "s.yaml"), mode=Swarm.from_timers("default", {}), provider="nspawn", seed=1)
    said = "\n".join(each for each in warnings(made) if any(word in each for word in ("web is to have", "scaled of", "drain")))
    assert told in said if told else said == ""


def test_what_nobody_offers_is_unsupported_before_it_is_done(tmp_path: Path) -> None:
    """A mode that cannot scale is not asked to."""
    with in_memory(tmp_path, BareMode(), App("web", 2)) as session:
        with pytest.raises(Unsupported, match="offers Scaling"):
            session.act(Scale("web", 3))
        session.plan = bare_plan(Do(Scale("web", 3), "", 5.0))
        with pytest.raises(Unsupported, match="offers Scaling"):
            session.must_be_possible()
        assert _told(session) == []


@dataclass(frozen=True)
class Saying:
    """An action of somebody else's whose parameter is a list, as a file may give it: its instances have no hash."""

    texts: list[str]

    name: ClassVar[str] = "test.say"
    aims: ClassVar[bool] = True
    takes: ClassVar[tuple[str, ...]] = ()
    longest: ClassVar[float] = 5.0
    effect: ClassVar[Effect] = Effect()

    def act(self, cluster: Cluster, targets: Sequence[Node]) -> str:
        """Say it."""
        return " ".join(self.texts)


def test_an_action_with_a_list_among_its_parameters_is_done_as_any_other(session: Session) -> None:
    """It is asked once, however often it is done, whether it may be."""
    steps = [Do(Saying(["a", "b"]), "n1", 5.0), Do(Saying(["a", "b"]), "n1", 5.0), Do(Saying(["c"]), "n1", 5.0)]
    assert apart(steps) == [steps[0], steps[2]]
    session.plan = bare_plan(*steps)
    session.must_be_possible()
    session.walk()
    assert [event.detail for event in _told(session) if event.outcome is Outcome.OK] == ["a b", "a b", "c"]


def test_actions_that_upset_hosts_of_somebody_else_are_refused(session: Session) -> None:
    """Nothing there would undo them."""

    class Theirs:
        name = "theirs"

        def spared(self, run_id: str) -> frozenset[str]:
            return frozenset()

        def at_once(self, run_id: str) -> int:
            return 3

    provider = session.cluster.provider
    more = {name: getattr(provider, name) for name in ("create", "adopt", "destroy", "network")}
    cluster = dataclasses.replace(session.cluster, provider=type("Borrowed", (Theirs,), more)())
    upsetting = (Drain(), Undrain(), ServiceStop("victim"), ServiceStart("victim"), RunCommand("reboot"))
    for action in (*upsetting, UpdateApp("web", "web:2"), RemoveApp("web"), DeployApp("web", 2)):
        with pytest.raises(Unsupported, match=f"{action.name} is refused on the hosts of theirs"):
            permission.must_be_doable(cluster, action)
    permission.must_be_doable(cluster, Scale("web", 3))
    permission.must_be_doable(cluster, RestartApp("web"))
    permission.must_be_doable(cluster, RunCommand("true", disturbs=False))


def test_a_rehearsal_says_which_actions_a_run_on_hosts_of_somebody_else_would_be_refused_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them at once, before there is a run; what is undone with the app is none of them."""

    class Theirs:
        name = "theirs"

        def spared(self, run_id: str) -> frozenset[str]:
            return frozenset()

        def at_once(self, run_id: str) -> int:
            return 3

        def rehearse(self, specs: Sequence[NodeSpec]) -> Seen:
            nodes, mark = (
                [MemoryNode(each.name, each.address) for each in specs],
                Unavailable("the mark on n2 allows only it", "command in it"),
            )
            return Seen(nodes, [], frozenset({"n3"}), 3, lambda name, what: mark if (name, what.name) == ("n2", "command") else None)

        network = staticmethod(contextlib.nullcontext)

    class There(Yielding):
        remarks: ClassVar[tuple[str, ...]] = ()

        def adopt(self, cluster: Cluster) -> None:
            """Find nothing amiss."""

        def withdraw(self, cluster: Cluster, app: App) -> None:
            """Leave nothing."""

    command, saying = Do(RunCommand("true", disturbs=False), "all", 5.0), Do(Saying(["a"]), "n1", 5.0)
    made = dataclasses.replace(
        bare_plan(*(Do(each, "n1", 5.0) for each in (Drain(), Undrain())), Do(Scale("web", 3), "", 5.0), saying, command),
        provider="theirs",
    )
    known = registry.known()
    known = dataclasses.replace(known, providers={"theirs": Theirs}, modes={**known.modes, made.mode: There})
    monkeypatch.setattr(registry, "known", lambda: known)
    with pytest.raises(HarnessError, match=r"the run would not begin: node\.drain is refused on the hosts of theirs") as refused:
        rehearse(made)
    assert "; node.undrain is refused on the hosts of theirs" in str(refused.value)
    assert "; command is refused: no target for 'all': n3 is protected" in str(refused.value)
    assert "; command cannot be made on n2: the mark on n2 allows only it; it needs command in it" in str(refused.value)
    assert "app.scale" not in str(refused.value)


# ---------------------------------------------------------------- who is called since


def test_callers_go_by_how_many_there_are(session: Session) -> None:
    """A workload that calls all instances calls the new ones as well; one that calls the first few does not."""
    recorder, ops = session.recorder, Ops()
    every = Driver(Http("web"), session.cluster, recorder, __import__("random").Random(1), ops)
    first = Driver(Http("web", instances=1), session.cluster, recorder, __import__("random").Random(1), ops)
    session._drivers = [every, first]
    session.act(Scale("web", 4))
    assert [driver.workload.instances for driver in (every, first)] == [4, 1]  # type: ignore[attr-defined]  # both are http


# ---------------------------------------------------------------- told


def test_an_action_stands_in_the_timeline() -> None:
    """With a line of its own, and in the moments, whichever way it ended."""
    story = node_kill().action(12.0, 12.5, "app.scale", effect=Effect({"web": 3}), was={"web": 2}, detail="web had 2 instances before")
    story.action(20.0, 25.0, "service.stop", "n1", outcome=Outcome.UNKNOWN, detail="no answer", number=2)
    story.action(30.0, 31.0, "service.stop", "n1", outcome=Outcome.FAIL, may_fail=True, detail="no such unit", number=3)
    lines = Timeline(story.history(), ()).lines(120)
    text = " ".join(" ".join(line.plain for line in lines).split())
    assert any(line.plain.startswith("action 1") for line in lines)
    assert "action 1 (app.scale) is done, after 0.50 s: web had 2 instances before" in text
    assert "action 2 (service.stop on n1) may or may not have been done: no answer" in text
    assert "action 3 (service.stop on n1) was not done, which the scenario allows: no such unit" in text


# ---------------------------------------------------------------- the contract


def _case(session: Session, action: Action) -> ActionCase:
    nodes = list(session.cluster.nodes)

    def undo() -> None:
        for node in nodes:
            node.run("rm", MARK)

    return ActionCase(action, session.cluster, nodes[:2], lambda node: node is not None and node.run("stat", "-c", "%a", MARK).ok, undo)


@pytest.mark.parametrize("promise", ACTION.values(), ids=ACTION)
def test_an_action_that_does_as_promised_keeps_the_contract(session: Session, promise: Callable[[ActionCase], None]) -> None:
    """The other side of what follows."""
    promise(_case(session, MemoryAction()))


def test_what_others_were_before_is_no_work_of_the_action(session: Session) -> None:
    """As a daemon does not run on a machine that still starts: no action stopped it there."""
    MemoryAction().act(session.cluster, session.cluster.nodes[2:])
    ACTION["it_is_done_when_it_returns"](_case(session, MemoryAction()))


MISBEHAVIOUR = {
    "lies": "it_is_done_when_it_returns",
    "spreads": "it_is_done_when_it_returns",
    "once": "doing_it_again_is_fine",
    "hushes": "what_cannot_be_done_is_told",
    "deaf": "it_ends_with_its_run",
    "endless": "it_says_what_it_is",
    "wanting": "it_says_what_it_is",
}


@pytest.mark.parametrize(("manner", "promise"), MISBEHAVIOUR.items(), ids=MISBEHAVIOUR)
def test_each_misbehaviour_breaks_the_contract(session: Session, manner: Any, promise: str) -> None:
    """So that a contract which every action keeps says something."""
    with pytest.raises((ContractBroken, HarnessError)):
        ACTION[promise](_case(session, MemoryAction(manner)))


@pytest.mark.parametrize(
    ("effect", "kept"),
    [
        (Effect(disturbs=True), True),
        (Effect({"web": 3}), True),
        (Effect(), True),
        (Effect(stops=("etcd",)), False),
        (Effect(starts=("etcd",)), False),
        (Effect(moves=True), False),
        (Effect(opens=True), False),
    ],
    ids=["a roll-out", "more instances", "nothing", "stops", "starts", "empties", "opens"],
)
def test_what_is_done_to_no_node_does_nothing_to_any_of_them_by_name(session: Session, effect: Effect, kept: bool) -> None:
    """It may disturb the cluster wherever it is felt; whose daemon it stops, or whom it empties, nobody could say."""
    cls: Any = dataclass(frozen=True)(type("Theirs", (Made,), {"name": "acme.rollout", "aims": False, "effect": effect}))
    with contextlib.nullcontext() if kept else pytest.raises(ContractBroken, match="is done to nodes"):
        ACTION["it_says_what_it_is"](ActionCase(cls(), session.cluster, [], lambda _: True))
    found = "; ".join(each for each, *_ in fitness.lacks("actions", "acme.rollout", cls))
    assert found == ("" if kept else "an effect on its targets, of an action that has none")


OURS: Sequence[Any] = (
    *(Scale("web", 3), RestartApp("web"), UpdateApp("web", "web:2"), RemoveApp("web"), DeployApp("web", 3)),
    *(Drain(), Undrain()),
)
"""Our actions that are put under the contract here."""
ELSEWHERE: Mapping[str, str] = {
    "command": "test_a_command_keeps_the_contract_in_memory, and on real machines",
    "service.start": "on real machines: tests/cluster/test_actions_for_real.py",
    "service.stop": "the same",
    "service.restart": "the same; whether it is done shows only in the daemon's new process",
    "ansible.replay": "what is done by then is the playbook's: tests/unit/test_ansible_mode.py",
    "disk.measure": "nothing is left of it by which it could be seen to be done: tests/unit/test_disk_measured.py",
}
"""The others, each with where it is tried, or why it is not."""


def test_every_action_is_under_contract() -> None:
    """One that is new has a place here, too."""
    assert {action.name for action in OURS} | {*ELSEWHERE} == {*ACTIONS}, (
        "give each a place in OURS, or in ELSEWHERE with where it is tried"
    )
    assert not {action.name for action in OURS} & {*ELSEWHERE}


@pytest.mark.parametrize("promise", ACTION.values(), ids=ACTION)
@pytest.mark.parametrize("action", OURS, ids=lambda action: action.name)
def test_our_actions_keep_the_contract_in_memory(
    session: Session, mode: Yielding, action: Any, promise: Callable[[ActionCase], None]
) -> None:
    """Those whose work is the orchestrator's; those of systemd are tried on real machines."""
    if promise.__name__ in {"what_cannot_be_done_is_told", "it_ends_with_its_run"}:
        return
    words = {
        "app.scale": "web 2 to 3",
        "app.restart": "web anew",
        "app.update": "web web:2 {}",
        "app.remove": "no web",
        "app.deploy": "web with 3",
        "node.drain": "drain ",
        "node.undrain": "undrain ",
    }[action.name]
    targets = list(session.cluster.nodes)[:2] if action.aims else []
    promise(
        ActionCase(
            action,
            session.cluster,
            targets,
            lambda node: any(each == f"{words}{node.name if node else ''}" for each in mode.told),
            mode.told.clear,
        )
    )


# ---------------------------------------------------------------- a command of the user's own


def _shell(node: MemoryNode) -> None:
    """Give a node a shell that knows three commands."""
    marks: set[str] = set()

    def sh(argv: Sequence[str], stdin: bytes) -> Result:
        what = argv[4] if len(argv) > 3 else argv[2]  # behind what bounds its words, or alone
        if what == "touch mark":
            marks.add(node.name)
        elif what == "rm mark":
            marks.discard(node.name)
        elif what == "test mark":
            return Result(tuple(argv), 0 if marks else 1, b"", b"" if marks else b"no mark")
        return Result(tuple(argv), 0, b"done\n", b"")

    node.programs["sh"] = sh


@pytest.mark.parametrize("promise", ACTION.values(), ids=ACTION)
def test_a_command_keeps_the_contract_in_memory(session: Session, promise: Callable[[ActionCase], None]) -> None:
    """On each node that it is for, and nowhere else."""
    nodes = [node for node in session.cluster.nodes if isinstance(node, MemoryNode)]
    for node in nodes:
        _shell(node)

    def marked(node: Node | None) -> bool:
        return node is not None and node.run("sh", "-c", "test mark").ok

    def undo() -> None:
        for node in nodes:
            node.run("sh", "-c", "rm mark")

    promise(ActionCase(RunCommand("touch mark"), session.cluster, nodes[:2], marked, undo))


@pytest.mark.parametrize(
    ("command", "status", "said"),
    [
        ("yes | head -c 3000000; echo the end >&2; exit 7", 7, "y\nthe end\n"),
        ("echo one; echo two >&2", 0, "one\ntwo\n"),
        ("kill -9 $$", 137, ""),
        ("exit 255", 255, ""),
        ("printf '%s' 'a \"b\" $HOME'", 0, 'a "b" $HOME'),
    ],
    ids=["one that talks", "both outputs", "killed", "the highest status", "quotes"],
)
def test_of_what_a_command_says_the_end_comes_from_a_node_and_its_own_status(command: str, status: int, said: str) -> None:
    """One that talks without an end would fill our memory."""
    argv = ["sh", "-c", users_command._BOUNDED, "sh", command, "1000"]
    done = subprocess.run(argv, capture_output=True, timeout=60, check=False)
    assert done.returncode == status
    assert done.stdout.decode().endswith(said)
    assert len(done.stdout) <= 1000


def test_what_a_command_says_is_kept_and_how_it_ends_is_judged(session: Session) -> None:
    """On every node; where it ends badly on one it was not done."""
    for node in session.cluster.nodes:
        assert isinstance(node, MemoryNode)
        _shell(node)
    assert session.act(RunCommand("touch mark"), "n1") is Outcome.OK
    assert (
        session.act(RunCommand("test mark", disturbs=False), "all", may_fail=True) is Outcome.UNKNOWN
    )  # it may have done half of its work
    done, failed = [each for each in _told(session) if each.outcome is not None]
    assert (done.detail, done.effect) == ("n1: done", Effect(disturbs=True))
    assert "failed on 2 of 3 nodes" in failed.detail
    assert "'sh -c test mark' exited with status 1: no mark" in failed.detail
    assert failed.effect == Effect()


KEPT_BACK = "DB_PASSWORD"


def test_of_a_commands_secret_the_name_alone_is_kept(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes from the harness's own environment, by a way that no list of processes shows, and is hidden where the command prints it."""
    word = "hunter2 $(id) 'a\" \\ "
    monkeypatch.setenv(KEPT_BACK, word)
    (node, *_) = session.cluster.nodes
    assert isinstance(node, MemoryNode)

    def sh(argv: Sequence[str], stdin: bytes) -> Result:
        done = subprocess.run(argv, input=stdin, env=ENVIRON, capture_output=True, timeout=60, check=False)  # a node has another
        return Result(tuple(argv), done.returncode, done.stdout, done.stderr)

    node.programs["sh"] = sh
    command = RunCommand(
        'echo "it is <$DB_PASSWORD>"; printf "%s" "$DB_PASSWORD" | wc -c; cat; set | grep ^value; exit 3', secret=KEPT_BACK
    )
    assert session.act(command, node.name, may_fail=True) is Outcome.UNKNOWN
    (said,) = [each.detail for each in _told(session) if each.outcome is not None]
    assert f"exited with status 3: it is <***>\n{len(word)}" in said
    assert session.act(RunCommand('echo "[$DB_PASSWORD]"', disturbs=False), node.name) is Outcome.OK
    assert [each.detail for each in _told(session) if each.outcome is not None][-1] == f"{node.name}: []", "only to whom it is for"
    assert "hunter2" not in repr([*_told(session), *node.calls])
    assert parameters.read(command)["secret"] == KEPT_BACK


@pytest.mark.parametrize("name", ["value", "HOME", "x", "said", "PS1", "MAIL"])
def test_a_secret_may_have_any_name_that_a_shell_leaves_to_others(name: str) -> None:
    """The command has its value, and nothing of ours has the same name; what a shell keeps for itself is refused."""
    argv = ["sh", "-c", users_command._BOUNDED, "sh", f'printf "[%s]" "${name}"', "1000", name]
    done = subprocess.run(argv, input=b" a\\b  \n", capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, b"[ a\\b  ]")
    for kept in ("IFS", "PATH", "PPID", "UID", "_"):
        with pytest.raises(ValueError, match=f"a shell has {kept} for itself"):
            parameters.must_fit(RunCommand("true", secret=kept))


@pytest.mark.parametrize("front", [0, 1, 9])
def test_of_a_secret_that_was_cut_in_two_nothing_is_kept(front: int) -> None:
    """Of what is long only the end is read: what it begins with may be the end of one. Of what is short all is there."""
    secret = b"hunter2hunter3"
    long = secret[front:] + b"-" * users_command.SAID_BYTES
    assert users_command._hidden(long, secret).startswith(b"***-")
    assert users_command._hidden(b"r3 is the room, " + secret, secret) == b"r3 is the room, ***"
    assert users_command._hidden(long, b"") == long
    whole = b"-" * users_command.SAID_BYTES
    assert users_command._hidden(whole, secret) == whole, "nothing was cut, so nothing is hidden"


@pytest.mark.parametrize("value", [None, "", "two\nlines"])
def test_a_secret_that_is_not_there_is_told_before_anything_is_made(
    session: Session, monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    """All of them at once; to a scenario in Python, which has no plan, before the action is done."""
    for name in ("DB_PASSWORD", "TOKEN"):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    made = [Do(RunCommand("true", disturbs=False, secret=name), "n1", 5.0) for name in ("DB_PASSWORD", "TOKEN", "TOKEN")]
    lacking = dataclasses.replace(session.plan, steps=(*made, Do(RunCommand("true"), "n1", 5.0)))
    for begin in (rehearse, lambda plan: lending.lent(plan, session.options).__enter__()):
        with pytest.raises(BadInput) as caught:
            begin(lacking)
        assert [each.found.split()[2] for each in caught.value.problems] == ["DB_PASSWORD", "TOKEN"]
    with pytest.raises(BadInput, match="the action command: the variable DB_PASSWORD of the environment"):
        session.act(made[0].action, "n1", may_fail=True)
    assert _told(session) == []
    for wrong in ("1X", "a-b", "a b", "x" * 200, "A=1"):
        with pytest.raises(ValueError, match="secret"):
            parameters.must_fit(RunCommand("true", secret=wrong))


def test_what_a_command_may_do_is_allowed_for_unless_it_says_that_it_does_nothing(session: Session) -> None:
    """By the history, and on hosts that are not ours."""
    assert RunCommand("reboot").effect.upsets
    assert not RunCommand("true", disturbs=False).effect.upsets
    for wrong in ("", "  ", "a\0b", "x" * 5000):
        with pytest.raises(ValueError, match="a command"):
            RunCommand(wrong)


# ---------------------------------------------------------------- plug-ins


def _lacks(**members: Any) -> str:
    cls: Any = dataclass(frozen=True)(type("Theirs", (Made,), {"name": "acme.act", **members}))
    return "; ".join(found for found, *_ in fitness.lacks("actions", "acme.act", cls))


def test_an_action_of_others_is_looked_at_when_it_is_loaded() -> None:
    """All that is wrong with what it says of itself."""
    assert _lacks() == ""
    assert "aims that is 'yes'" in _lacks(aims="yes")
    assert "takes Scalling" in _lacks(takes=("Scalling",))
    assert "takes that is 'Scaling'" in _lacks(takes="Scaling")
    assert "an effect that is none" in _lacks(effect="much")
    assert "act that cannot be called so" in _lacks(act=lambda self: "")

    @dataclass(frozen=True)
    class Bare:
        name: ClassVar[str] = "acme.bare"

    found = "; ".join(each for each, *_ in fitness.lacks("actions", "acme.bare", Bare))
    assert "a class without aims, takes, longest, effect, act" in found


def test_parameters_of_actions_are_read_from_a_file_and_back() -> None:
    """As those of faults are."""
    for action in (Scale("web", 3), UpdateApp("web", "web:2", {"A": "1"}), Drain(), ServiceStop("etcd")):
        assert parameters.build(type(action), parameters.read(action)) == action


@pytest.mark.parametrize(
    "action",
    [Scale("wep", 3), RestartApp("wep"), UpdateApp("wep", "web:2"), RemoveApp("wep"), DeployApp("wep", 1)],
    ids=lambda action: str(action.name),
)
def test_to_an_app_that_is_not_there_nothing_is_done(session: Session, action: Any) -> None:
    """The action itself says so, where nobody looked before."""
    with pytest.raises(HarnessError, match="no app is named 'wep'; there is web"):
        action.act(session.cluster, [])


def test_scaled_is_a_promise_that_a_file_can_give() -> None:
    """With all of its parameters."""
    assert parameters.build(Scaled, {"app": "web", "to": 3, "within": "30s"}) == Scaled("web", 3, 30.0)


# ---------------------------------------------------------------- what is known before, and after


STAYS = "service.stop stops etcd, and no later step starts it again: the cluster is not whole when the run ends, so settled will be unknown"
EMPTIED = (
    "node.drain on n1 keeps work off nodes, and no later step lets it back: if the other nodes are too few for all instances "
    "the cluster is not whole when the run ends, and settled will be unknown"
)
WARNED: dict[str, tuple[str, list[str]]] = {
    "steady while a node is dead": (
        "  - {fault: node.kill, on: n1, as: dead}\n  - {await: steady, at most: 30s}\n  - heal: dead\n",
        ["await: steady while node.kill (dead) is in force: the cluster is not whole then, so this will most likely time out"],
    ),
    "steady once it is mended": ("  - {fault: node.kill, on: n1, as: dead}\n  - heal: all\n  - {await: steady, at most: 30s}\n", []),
    "a daemon stays stopped": (
        "  - {do: service.stop, with: {service: etcd}, on: n1}\n  - {await: steady, at most: 30s}\n" + FAULT,
        [
            "await: steady while etcd is stopped: the cluster is not whole then, so this will most likely time out",
            STAYS,
        ],
    ),
    "a daemon is started again": (
        "  - {do: service.stop, with: {service: etcd}, on: n1}\n  - {do: service.start, with: {service: etcd}, on: n1}\n"
        "  - {await: steady, at most: 30s}\n" + FAULT,
        [],
    ),
    "a daemon is started on another node": (
        "  - {do: service.stop, with: {service: etcd}, on: n1}\n  - {do: service.start, with: {service: etcd}, on: n2}\n" + FAULT,
        [STAYS],
    ),
    "a daemon is started on all nodes": (
        "  - {do: service.stop, with: {service: etcd}, on: n1}\n  - {do: service.start, with: {service: etcd}, on: all}\n" + FAULT,
        [],
    ),
    "a daemon of all is started on one": (
        "  - {do: service.stop, with: {service: etcd}, on: all}\n  - {do: service.start, with: {service: etcd}, on: n2}\n"
        "  - {await: steady, at most: 30s}\n" + FAULT,
        ["await: steady while etcd is stopped: the cluster is not whole then, so this will most likely time out", STAYS],
    ),
    "a daemon of all is started on all but one": (
        "  - {do: service.stop, with: {service: etcd}, on: all}\n"
        + "".join(f"  - {{do: service.start, with: {{service: etcd}}, on: n{number}}}\n" for number in (1, 2, 4))
        + FAULT,
        [STAYS],
    ),
    "a daemon of all is started on each": (
        "  - {do: service.stop, with: {service: etcd}, on: all}\n"
        + "".join(f"  - {{do: service.start, with: {{service: etcd}}, on: n{number}}}\n" for number in (1, 2, 3, 4))
        + FAULT,
        [],
    ),
    "a daemon of all is started on nobody knows whom": (
        "  - {do: service.stop, with: {service: etcd}, on: all}\n  - {do: service.start, with: {service: etcd}, on: leader}\n" + FAULT,
        [],
    ),
    "a daemon is started on whoever it may be": (
        "  - {do: service.stop, with: {service: etcd}, on: leader}\n  - {do: service.start, with: {service: etcd}, on: any}\n" + FAULT,
        [],
    ),
    "another node may have work again": (
        "  - {do: node.drain, on: n1}\n  - {do: node.undrain, on: n2}\n" + FAULT,
        [EMPTIED],
    ),
}


@pytest.mark.parametrize(("steps", "told"), WARNED.values(), ids=WARNED)
def test_a_plan_warns_of_what_keeps_its_cluster_from_being_whole(steps: str, told: list[str]) -> None:
    """Once, whatever its steps do in between."""
    name = "swarm" if "drain" in steps else "fleet"
    mode: Any = registry.known().modes[name].from_timers("default", {})
    text = HEAD.replace("cluster: {nodes: 4}", f"cluster: {{nodes: 4, mode: {name}}}")
    made = plan(loads(text + steps, "s.yaml"), mode=mode, provider="nspawn", seed=7)
    assert [each for each in warnings(made) if "whole then" in each or "whole when" in each] == told


def test_a_plan_warns_of_two_on_one_node_where_an_action_asks_for_more_than_there_are_nodes() -> None:
    """As where the app has as many from the start."""
    text = HEAD.replace("{name: web, instances: 2}", "{name: web, instances: 2, conflicts: false}").replace(
        "[conflicts]", "[{conflicts: {app: web}}]"
    )
    steps = "  - {do: app.scale, with: {app: web, instances: 5}}\n" + FAULT
    fleet: Any = registry.known().modes["fleet"].from_timers("default", {})
    said = warnings(plan(loads(text + steps, "s.yaml"), mode=fleet, provider="nspawn", seed=7))
    assert "5 instances of web on 4 nodes, with no rule against two on one node: conflicts of web must come out broken" in said


def test_what_a_scenario_in_python_did_is_in_its_plan_as_far_as_it_can_be_named() -> None:
    """An action of a test's own could not be read back: it is left out, and nothing is held against the run for it."""
    fleet: Any = registry.known().modes["fleet"].from_timers("default", {})
    made = plan(loads(HEAD + FAULT, "s.yaml"), mode=fleet, provider="nspawn", seed=7)
    done = made.as_done(fleet, (Do(Scale("web", 3), "", 5.0), Do(Made(), "", 5.0)), ())
    assert done.steps == (Do(Scale("web", 3), "", 5.0),)
    story = node_kill().action(25.0, 26.0, "app.scale").action(27.0, 28.0, "test.made", number=2)
    for more, told in ((False, True), (True, False)):
        expected = Expected(nodes=("n1", "n2", "n3"), more=more, actions=("app.scale",))
        assert ("action 2 (test.made) was never planned" in Assumptions(expected).check(story.history()).summary) is told


@pytest.mark.parametrize("scaled_first", [True, False])
def test_that_nodes_are_full_is_foreseen_by_how_many_instances_there_are_when_one_is_lost(*, scaled_first: bool) -> None:
    """And not by how many the file begins with."""
    fleet: Any = registry.known().modes["fleet"].from_timers("default", {})
    steps = [
        "  - {do: app.scale, with: {app: web, instances: 3}}\n",
        "  - {fault: node.kill, on: any, hold: {until: recovered, at most: 60s}}\n",
    ]
    text = (
        "scenario: x\nwhy: y\ncluster: {nodes: 3}\napps: [{name: web, instances: 2}]\npromises: [{rescheduled: {app: web}}]\nsteps:\n"
        + "".join(steps if scaled_first else reversed(steps))
    )
    said = warnings(plan(loads(text, "s.yaml"), mode=fleet, provider="nspawn", seed=7))
    full = "3 instances of web by then, never two on one node, on 3 nodes: when one is lost the others are full"
    assert any(each.startswith(full) for each in said) is scaled_first
