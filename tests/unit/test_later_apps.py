"""Apps of which nothing runs at first, and that an action deploys in the middle of a run: read, called, and judged from then on."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

import pytest

from harness.actions.presence import DeployApp, RemoveApp
from harness.checkers import Assumptions, Availability, Bystanders, CameInTime, Conflicts, Rescheduled, Scaled, Settled, Single
from harness.checkers.contradictions import recovered_all_the_same, whole_all_the_same
from harness.checkers.expected import Expected
from harness.core.errors import BadInput
from harness.core.values import App, Effect, Finding, Loss, Outcome, Phase, Traits, Verdict
from harness.history.deeds import Wanted, deeds, lasting
from harness.history.events import History, Note
from harness.history.intervals import Interval
from harness.modes.fleet import Fleet
from harness.plan import Plan, plan
from harness.plan.foresight import warnings
from harness.reports.prose import describe
from harness.scenario import loads
from harness.testing.histories import Story
from harness.workloads.http import Http
from tests.unit.sessions import in_memory
from tests.unit.test_actions import Yielding

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from harness.history.interfaces import Checker

H, B, U = Verdict.HELD, Verdict.BROKEN, Verdict.UNKNOWN
NODES = "n1 n2 n3 n4"
LATER = Expected(
    nodes=tuple(NODES.split()),
    workloads=(("http", "api"),),
    faults=("node.kill",),
    instances=("web@1", "web@2"),
    actions=("app.deploy",),
    later=("api",),
)
GOOD = ("n1 api@1", "n3 api@2", "n4 api@2")
"""Where the instances run: at first, and one more when n3 is lost."""


def _deployed(
    runs: Sequence[str] = ("n1 api@1", "n3 api@2"),
    *later: tuple[float, str],
    outcome: Outcome | None = Outcome.OK,
    called: bool = True,
    at: float = 15.0,
) -> Story:
    """Tell of web, of api, deployed at 15 s (never where `outcome` is None), and of n3, lost from 30 to 60 s. `later` is what runs then."""
    story = Story().phase(0.5, Phase.DEPLOYING).phase(1, Phase.STEADY).phase(9, Phase.FAULTS).whole(8.0, "before")
    here: dict[str, list[str]] = {"n1": ["web@1"], "n2": ["web@2"], "n3": [], "n4": []}
    for node, instances in here.items():
        story.node(0, node, *instances)
    if outcome is not None:
        story.action(at, at + 0.5, "app.deploy", effect=Effect({"api": 2}), was={"web": 2, "api": 0}, outcome=outcome, may_fail=True)
    for time, place in [*((at + 1.0, each) for each in runs), *later]:
        node, *instances = place.split()
        here[node] = [*(each for each in here[node] if each.startswith("web")), *instances]
        story.node(time, node, *here[node])
    story.fault("node.kill", "n3", decided=30, in_force=30.1, healing=60, healed=61, traits=Traits(Loss.NODE), lost="n3")
    story.off(30.05, "n3").node(61, "n3").endures(recovery=16.5).members(0.5, "n1 n2 n4", 2, "n1")
    if called and outcome is Outcome.OK:
        story.gets(at + 1.5, 79, "api@1", by="n1").gets(at + 1.5, 29.9, "api@2", by="n3").gets(30.1, 40, "api@2", Outcome.FAIL)
        story.gets(40.2, 79, "api@2", by="n4")
    return story.watched(79, "n1 n2 n4").watched(29.9, "n3").watched(79, "n3", start=62).phase(62, Phase.SETTLING)


BACK = (40.0, "n4 api@2")


def _check(checker: Checker, story: Story, end: float = 80.0) -> Finding:
    return checker.check(story.done(end).history())


# ---------------------------------------------------------------- the fold


def test_an_app_that_comes_later_is_due_from_its_deployment_on() -> None:
    """And never, where that surely was not done."""
    wanted = Wanted.of(deeds(_deployed().done(80).history()))
    assert (wanted.due("api@1", 80.0), wanted.due("api@3", 80.0)) == ([Interval(15.5, 80.0)], [])
    assert [wanted.not_yet("api", time) for time in (0.0, 14.0, 16.0)] == [True, True, False]
    assert not wanted.not_yet("web", 0.0)
    assert lasting(deeds(_deployed().done(80).history()), 80.0) == ["api was deployed"]
    failed = Wanted.of(deeds(_deployed(outcome=Outcome.FAIL).done(80).history()))
    assert (failed.due("api@1", 80.0), failed.due("web@1", 80.0), failed.not_yet("api", math.inf)) == ([], None, True)


# ---------------------------------------------------------------- checkers

TOGETHER = ("n1 api@1 api@2",)
CASES: dict[str, tuple[Checker, Story, Verdict, str]] = {
    "rescheduled": (Rescheduled("api", within=15), _deployed((*GOOD[:2],), BACK), H, "api@2"),
    "lost for good": (Rescheduled("api", within=15), _deployed(), B, "api@2"),
    "lost before it was deployed": (Rescheduled("api", within=15), _deployed((), at=31.0), U, "no instance of api was displaced"),
    "never deployed": (Rescheduled("api", within=15), _deployed((), outcome=None), U, "no instance of api was displaced"),
    "not deployed": (Rescheduled("api", within=15), _deployed((), outcome=Outcome.FAIL), U, "no instance of api was displaced"),
    "perhaps deployed, and lost": (Rescheduled("api", within=15), _deployed(outcome=Outcome.UNKNOWN), U, ""),
    "apart": (Conflicts(app="api"), _deployed(GOOD[:2], BACK), H, "no node ever ran two instances of api"),
    "together": (Conflicts(app="api"), _deployed(TOGETHER), B, "n1 ran two instances of api at once"),
    "no conflict of nobody": (Conflicts(app="api"), _deployed((), outcome=None), U, "no node was ever seen to run an instance of api"),
    "once": (Single("api"), _deployed(GOOD[:2], BACK), H, ""),
    "twice": (Single("api"), _deployed(GOOD[:2], (20.0, "n4 api@1")), B, "api@1 ran on n1 and n4 at once"),
    "nobody twice": (Single("api"), _deployed((), outcome=None), U, ""),
    "stays": (Bystanders("api"), _deployed(GOOD[:2], BACK), H, ""),
    "moves": (Bystanders("api"), _deployed(GOOD[:2], (35.0, "n1"), (35.2, "n2 api@1")), B, "api@1 stopped on n1, which no fault hit"),
    "nobody stays": (Bystanders("api"), _deployed((), outcome=None), U, "no instance of api ran on a node that no fault hit"),
    "deployed in time": (Scaled("api", 2, 10.0), _deployed(GOOD[:2]), H, "2 instances of api ran 1.0 s after that was asked for"),
    "deployed in part": (Scaled("api", 2, 10.0), _deployed(GOOD[:1]), B, "1 did at most"),
    "deployed never": (Scaled("api", 2, 10.0), _deployed((), outcome=None), U, "api was never scaled to 2 instances"),
    "answers": (Availability("api", 0.7, 15.0, expected=LATER), _deployed(GOOD[:2], BACK), H, "api"),
    "answers too late": (Availability("api", 0.7, 5.0, expected=LATER), _deployed(GOOD[:2], BACK), B, "api@2 gave no good answer for 10"),
    "called by nobody": (Availability("api", 0.7, 15.0, expected=LATER), _deployed(GOOD[:2], BACK, called=False), U, "only 0 calls to api"),
    "nobody to call": (Availability("api", 0.7, 15.0, expected=LATER), _deployed((), outcome=None), U, "only 0 calls to api"),
    "whole": (Settled(LATER), _deployed(GOOD[:2], BACK).whole(65.0, "after"), H, "whole again"),
    "gone at the end": (Settled(LATER), _deployed(GOOD[:2], BACK, (70.0, "n4")).whole(65.0, "after"), B, "api@2 ran nowhere at the end"),
    "whole without it": (Settled(LATER), _deployed(GOOD[:1], at=61.5).whole(65.0, "after"), U, "there ran 1 of 2 instances of api"),
    "whole, and never deployed": (Settled(LATER), _deployed((), outcome=None).whole(65.0, "after"), H, "whole again"),
    "awaited": (CameInTime(LATER), _deployed(GOOD[:2]).awaited(17.0, 20.0, "recovered", "api"), H, ""),
    "awaited, and not there": (CameInTime(LATER), _deployed(()).awaited(17.0, 20.0, "recovered", "api"), U, "no instance of api ran"),
    "awaited too early": (
        CameInTime(LATER),
        _deployed((), outcome=None).awaited(17.0, 20.0, "recovered", "api"),
        U,
        "none of api was to run",
    ),
}


@pytest.mark.parametrize(("checker", "story", "verdict", "words"), CASES.values(), ids=CASES)
def test_an_app_that_comes_later_is_judged_from_then_on(checker: Checker, story: Story, verdict: Verdict, words: str) -> None:
    """Each checker convicts one history and acquits another; where nothing was deployed nobody knows."""
    finding = _check(checker, story)
    assert (finding.verdict, words in finding.summary) == (verdict, True), finding.summary


ASSUMED: dict[str, tuple[Story, Verdict, str]] = {
    "deployed": (_deployed(GOOD[:2], BACK), H, ""),
    "deployed under the fault": (
        _deployed((), (32.0, "n1 api@1"), (32.0, "n4 api@2"), at=31.0, called=False)
        .gets(32.5, 79, "api@1", by="n1")
        .gets(32.5, 79, "api@2", by="n4"),
        H,
        "",
    ),
    "more than was asked for": (
        _deployed(GOOD[:2], BACK, (45.0, "n2 api@3")),
        U,
        "api@3 ran on n2 at 45.0 s, and is no instance of the plan",
    ),
    "of an app that never came": (
        _deployed(GOOD[:1], outcome=Outcome.FAIL),
        U,
        "api@1 ran on n1 at 16.0 s, and is no instance of the plan",
    ),
    "not there when the fault came": (
        _deployed(GOOD[:1], called=False).gets(16, 29, "api@2", Outcome.FAIL),
        U,
        "api@2 ran nowhere when the first fault was decided",
    ),
    "never called": (_deployed(GOOD[:2], BACK, called=False), U, "the http workload of api was planned and never made a call"),
    "nobody to call": (_deployed((), outcome=Outcome.FAIL), H, ""),
    "perhaps nobody to call": (_deployed((), outcome=Outcome.UNKNOWN), H, ""),
    "too late to be called": (_deployed(("n1 api@1", "n4 api@2"), called=False, at=75.0), H, ""),
}


@pytest.mark.parametrize(("story", "verdict", "words"), ASSUMED.values(), ids=ASSUMED)
def test_nobody_misses_an_app_before_it_comes(story: Story, verdict: Verdict, words: str) -> None:
    """The run was steady without it, and nobody called it."""
    finding = _check(Assumptions(LATER), story)
    assert (finding.verdict, words in f"{finding.summary} {finding.details}") == (verdict, True), finding.summary


def test_calls_that_never_went_well_before_the_fault_show_nothing_where_there_was_somebody_to_call() -> None:
    """Of an app that was there all along; one that comes under the fault could not be called before it."""
    story = (
        _deployed((), (32.0, "n1 api@1"), (32.0, "n4 api@2"), at=31.0, called=False)
        .gets(32.5, 79, "api@1", by="n1")
        .gets(32.5, 79, "api@2", by="n4")
    )
    there = _check(Assumptions(LATER), story.gets(2, 29, "web@1", Outcome.FAIL))
    assert "no call of the http workload was answered well before the first fault" in str(there.details)


def test_that_an_app_never_came_contradicts_no_word_of_the_run() -> None:
    """There is nothing of it that could have run all the same: who speaks against "not whole" speaks of the other app."""
    history = _deployed((), outcome=None).done(80).history()
    assert recovered_all_the_same(history, 20.0, "api", LATER) == ""
    assert whole_all_the_same(history, 20.0, LATER) == "4 nodes were up, 2 instances ran, and members missed nothing, from 16.0 s on"


def test_who_calls_all_of_an_app_calls_what_is_deployed_later() -> None:
    """As many as run then, or as many as a workload calls at most; nobody, where none calls it."""
    assert LATER.calls("api", 2) == ("api@1", "api@2")
    assert dataclasses.replace(LATER, capped=(("api", 1),)).calls("api", 2) == ("api@1",)
    assert dataclasses.replace(LATER, workloads=()).calls("api", 2) == ()
    assert LATER.count() == {"web": 2, "api": 0}


# ---------------------------------------------------------------- read and planned

SCENARIO = """\
scenario: x
why: y
cluster: {nodes: 4}
apps: [{name: web, instances: 2}, {name: api, instances: 0, host port: 8100}]
workloads: [{http: {app: api}}]
steps:
"""
DEPLOY = "  - {do: app.deploy, with: {app: api, instances: 2}}\n"
KILL = "  - {fault: node.kill, on: %s, hold: 50s}\n"
PROMISES = "promises: [{rescheduled: {app: api}}, {scaled: {app: api, to: 2, within: 30s}}]\n"


def _planned(text: str) -> Plan:
    return plan(loads(text, "s.yaml"), mode=Fleet.from_timers("default", {}), provider="nspawn", seed=1)


def test_an_app_that_comes_later_is_read_planned_and_told() -> None:
    """With what its checkers are told, also once the plan was saved and read back."""
    made = _planned(SCENARIO + DEPLOY + KILL % "hosting(api) & any" + PROMISES)
    assert made.apps[1] == App("api", 0, port=8100)
    assert not [each for each in warnings(made) if "api" in each]
    assert "no instance yet of api (image web), never two on one node" in describe(made)
    for each in (made, Plan.from_json(made.to_json())):
        expected: Any = next(promise for promise in each.promises if promise.name == "assumptions")
        assert expected.expected.later == ("api",)


BAD = {
    "hit before it is there": (KILL % "hosting(api)" + DEPLOY, "7:28"),
    "an instance before it is there": (KILL % "api@1" + DEPLOY, "7:28"),
    "scaled before it is there": (
        "  - {do: app.scale, with: {app: api, instances: 2}}\n" + KILL % "n1" + DEPLOY,
        "7:33: api, of which none is to run",
    ),
    "awaited before it is there": (
        "  - {await: {recovered: api}, at most: 20s}\n" + KILL % "n1" + DEPLOY,
        "7:13: api, of which none is to run by then; expected an app that is there; app.deploy brings it",
    ),
    "deployed twice": (DEPLOY + DEPLOY + KILL % "n1", "8:34: api, which is there, with 2 instances; expected an app that is not there"),
    "hit when it is gone": (
        DEPLOY + KILL % "n1" + "  - {do: app.remove, with: {app: api}}\n" + KILL % "hosting(api) & any",
        "10:28: the target 'hosting(api) & any'; expected one that can hit a node by then; of api none is to run by then; app.deploy brings it",
    ),
    "an instance when it is gone": (
        DEPLOY + KILL % "n1" + "  - {do: app.remove, with: {app: api}}\n" + KILL % "api@1",
        "10:28: the target 'api@1'; expected one that can hit a node by then; of api none is to run by then; app.deploy brings it",
    ),
    "on ports of another app": (
        "  - {do: app.deploy, with: {app: api, instances: 2}}\n" + KILL % "n1",
        "7:50: ports 8001 to 8002 for api; expected ports that no other app has",
    ),
}


@pytest.mark.parametrize(
    ("when", "steps", "said"),
    [
        ("[before, after]", DEPLOY + KILL % "n1", ["before"]),
        ("after", DEPLOY + KILL % "n1", []),
        ("after", DEPLOY + KILL % "n1" + "  - {do: app.remove, with: {app: api}}\n", ["after"]),
    ],
)
def test_a_check_of_whoever_runs_an_app_is_for_when_it_is_there(when: str, steps: str, said: list[str]) -> None:
    """Else it fails for what the scenario says itself."""
    text = f"{SCENARIO}{steps}checks: [{{service: docker, is_running: true, on: hosting(api), when: {when}}}]\npromises: [conflicts]\n"
    told = []
    try:
        loads(text, "s.yaml")
    except BadInput as bad:
        told = [each.found for each in bad.problems]
    assert told == [f"the target 'hosting(api)' {each} the faults" for each in said]


def test_a_check_that_is_asked_too_early_is_told_when_to_ask() -> None:
    """Whoever says nothing asks before the faults and after them; nothing that is deployed later can mend that."""
    asked = "checks: [{service: docker, is_running: true, on: api@1}]\n"
    with pytest.raises(
        BadInput, match=r"'api@1' before the faults; expected one that can hit a node by then; ask only later: `when: after`"
    ):
        loads(f"{SCENARIO}{DEPLOY}{KILL % 'n1'}{asked}promises: [conflicts]\n", "s.yaml")


def test_a_check_of_whoever_runs_an_app_that_never_comes_is_told_once() -> None:
    """As any target that can hit nobody."""
    asked = "checks: [{service: docker, is_running: true, on: hosting(api), when: [before, during, after]}]\n"
    with pytest.raises(BadInput) as caught:
        loads(f"{SCENARIO}{KILL % 'n1'}{asked}promises: [conflicts]\n", "s.yaml")
    assert len(caught.value.problems) == 1


@pytest.mark.parametrize("target", ["!hosting(api)", "hosting(web) & any", "n2", "web@2", "!api@1 & any"])
def test_who_may_be_hit_when_an_app_is_gone_is_no_mistake(target: str) -> None:
    """Nor is an app that was deployed again."""
    gone = DEPLOY + KILL % "n1" + "  - {do: app.remove, with: {app: api}}\n"
    assert loads(SCENARIO + gone + KILL % f"'{target}'" + PROMISES, "s.yaml")
    assert loads(SCENARIO + gone + DEPLOY + KILL % "hosting(api) & any" + PROMISES, "s.yaml")


@pytest.mark.parametrize(("steps", "said"), BAD.values(), ids=BAD)
def test_what_is_wrong_with_an_app_that_comes_later_is_told_with_its_place(steps: str, said: str) -> None:
    """As of any other."""
    text = SCENARIO.replace(", host port: 8100", "") if "ports" in said else SCENARIO
    with pytest.raises(BadInput) as caught:
        loads(text + steps + "promises: [conflicts]\n", "s.yaml")
    assert f"s.yaml:{said}" in str(caught.value), str(caught.value)


def test_an_app_that_no_step_deploys_is_warned_of() -> None:
    """What is promised of it will be unknown."""
    made = _planned(SCENARIO + KILL % "n1" + "promises: [{rescheduled: {app: api}}]\n")
    assert [each for each in warnings(made) if "api" in each] == [
        "api has no instances, and no step deploys it: nothing of it will run, so what is promised of it will be unknown"
    ]


# ---------------------------------------------------------------- done


def test_an_app_that_comes_later_is_deployed_called_and_removed(tmp_path: Path) -> None:
    """It is no part of a whole cluster before that; what is done to it before is refused."""
    with in_memory(tmp_path, Yielding({"victim": "victim.service"}), App("web", 2), App("api", 0, port=8100)) as session:
        assert {app.name: each for app in session.cluster.apps for each in [app.instances]} == {"web": 2, "api": 0}
        with pytest.raises(BadInput, match="api, of which none is to run by then"):
            session.act(RemoveApp("api"))
        assert session.act(DeployApp("api", 2)) is Outcome.OK
        assert session.situation.missing(0.0)[-1] == "0 of 2 instances of api run"
        assert session.act(RemoveApp("api")) is Outcome.OK
        assert not [each for each in session.situation.missing(0.0) if "api" in each]
    assert Http("api").fitted(session.cluster) is None
    assert not [each for _, each in History.load(session.recorder.path).each(Note) if "calls" in each.text]
