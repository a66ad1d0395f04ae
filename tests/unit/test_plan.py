"""Plans: what is decided before a run, saved, read back and told in words."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from harness import registry
from harness.checkers import Assumptions, Checks, Clean, Settled
from harness.checkers.expected import Asked, Expected
from harness.core import parameters
from harness.core.errors import BadInput
from harness.core.traits import for_work
from harness.core.values import App, Budget, Loss, NodeSpec, Term, Traits, Who
from harness.faults.power import NodeKill
from harness.modes.fleet import Fleet
from harness.plan import Plan, briefing, plan
from harness.plan.foresight import warnings
from harness.reports.prose import describe
from harness.scenario import NotForMode, load, loads
from harness.steps import Break, Check, Hold, Wait
from harness.workloads.http import Http
from harness.workloads.register import Register
from tests.usual import IN_MODES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from harness.history.interfaces import Checker
    from harness.scenario import Scenario

SCENARIOS = Path(__file__).parents[2] / "scenarios"

TEXT = """\
scenario: sample
why: It shows how a plan looks.
cluster: {nodes: 3, timers: {agent_ttl: 10s}}
apps: [{name: web, instances: 2}]
workloads: [{http: {app: web}}, register]
steps:
  - wait: 5s
  - wait: 2s
  - {fault: node.kill, on: hosting(web) & any, hold: {until: recovered, at most: 1m}}
  - wait: 1s
  - {fault: net.partition, with: {shape: isolate}, on: leader, hold: 10s}
settle: 30s
checks: [{service: docker, is_running: true, is_enabled: false}]
promises: [rescheduled: {app: web, within: 20s}, rescheduled: {app: web}, quorum]
"""


@dataclass(frozen=True)
class Timed:
    """A mode with a quorum, daemons, and a budget that tells the faults apart."""

    name: ClassVar[str] = "timed"
    TIMERS: ClassVar[Mapping[str, Mapping[str, float]]] = {"default": {"agent_ttl": 30.0}}
    timers: Mapping[str, float]

    @classmethod
    def from_timers(cls, profile: str, overrides: Mapping[str, float]) -> Timed:
        """Return the mode with the profile's timers, single ones replaced."""
        return cls({**cls.TIMERS[profile], **overrides})

    def budget(self, lost: Traits, who: Who) -> Budget:
        """Return a sum of one term that is named after what is lost, if anything is."""
        return Budget(()) if lost.loses is Loss.NOTHING else Budget((Term(f"lost {lost.loses}", self.timers["agent_ttl"], "a test"),))

    @classmethod
    def member(cls) -> str:
        """Nobody in particular."""
        return ""

    def view(self, cluster: object, node: object) -> None:
        """There is an API: nobody asks."""

    def members(self, cluster: object) -> tuple[str, ...]:
        """There are none: nobody asks."""
        return ()

    def asking(self, cluster: object, node: object) -> None:
        """Nobody leads: nobody asks."""

    def election(self) -> float:
        """Return a figure of its own."""
        return 17.0

    def processes(self) -> tuple[str, ...]:
        """Name one."""
        return ("agent",)

    def unit(self, process: str) -> str | None:
        """Run every process as a unit of its name."""
        return f"{process}.service"


class Bare:
    """A mode that has nothing."""

    name: ClassVar[str] = "bare"

    def budget(self, lost: Traits, who: Who) -> Budget:
        """Promise nothing."""
        return Budget(())


def known() -> registry.Known:
    """Give the registries with the mode of this file as the only one."""
    real = registry.known()
    return registry.Known(real.faults, real.workloads, real.checkers, {"timed": Timed, "bare": Bare}, real.providers, real.actions)


def made(text: str = TEXT, seed: int = 7) -> Plan:
    """Plan a scenario for `Timed`."""
    scenario = loads(text.replace("cluster: {", "cluster: {mode: timed, "), "s.yaml", among=known())
    mode: Any = Timed.from_timers(scenario.profile, scenario.cluster.timers)
    return plan(scenario, mode=mode, provider="nspawn", seed=seed, among=known())


def test_a_plan_holds_every_choice() -> None:
    """Names, addresses, timers in force and steps stand in it."""
    found = made()
    assert (found.scenario, found.mode, found.provider, found.seed, found.profile) == ("sample", "timed", "nspawn", 7, "default")
    assert found.timers == {"agent_ttl": 10.0}
    assert found.nodes == tuple(NodeSpec(f"n{number}", f"10.77.0.{10 + number}") for number in (1, 2, 3))
    assert found.steps[:2] == (Wait(5.0), Wait(2.0))
    assert [(step.fault.name, step.targets, step.hold) for step in found.breaks] == [
        ("node.kill", "hosting(web) & any", Hold(60.0, "recovered")),
        ("net.partition", "leader", Hold(10.0)),
    ]
    assert (found.warm_up, found.longest, found.settle) == (7.0, 111.0, 30.0)  # 3 s of them linger after the recovery


def test_the_same_arguments_give_an_equal_plan() -> None:
    """Planning is pure."""
    assert made() == made()
    assert made(seed=8) == replace(made(), seed=8)


def test_assumptions_come_first_and_leftovers_are_always_judged() -> None:
    """What no scenario promises is judged all the same; checks only where there are some."""
    assert [each.name for each in made().promises] == ["assumptions", "rescheduled", "rescheduled", "quorum", "checks", "settled", "clean"]
    without = TEXT.replace("checks: [{service: docker, is_running: true, is_enabled: false}]\n", "")
    assert [each.name for each in made(without).promises] == ["assumptions", "rescheduled", "rescheduled", "quorum", "settled", "clean"]
    named = TEXT.replace("quorum]", "quorum, settled, clean, assumptions]")
    assert made(named).promises == made().promises


def test_checkers_get_the_budget_of_every_fault() -> None:
    """The mode's own sums, with the timers in force; those of the first are nobody else's."""
    found = made()
    budget = Budget((Term("lost node", 10.0, "a test"),))
    assert found.budgets == {"node.kill": budget, "net.partition": Budget((Term("lost link", 10.0, "a test"),))}
    rescheduled: list[Any] = [each for each in found.promises if each.name == "rescheduled"]
    assert [each.within for each in rescheduled] == [20.0, None]
    every = [each.budgets for each in rescheduled]
    assert every == [found.budgets, found.budgets]


def test_only_a_plan_that_lets_the_cluster_settle_promises_that_it_does() -> None:
    """Nobody waits for it otherwise; a scenario that asks for it all the same hears that nobody looked."""
    hasty = TEXT.replace("settle: 30s", "settle: 0")
    assert "settled" not in [each.name for each in made(hasty).promises]
    asked = made(hasty.replace("quorum]", "quorum, settled]"))
    assert [each.name for each in asked.promises].count("settled") == 1


def test_assumptions_know_who_was_planned() -> None:
    """So that a node or a workload that never spoke is missed."""
    first: Any = made().promises[0]
    assert first.expected == Expected(
        nodes=("n1", "n2", "n3"),
        workloads=(("http", "web"), ("register", "")),
        observers=tuple((name, ("n1", "n2", "n3")) for name in ("host", "docker", "placement", "membership")),
        faults=("node.kill", "net.partition"),
        checks=tuple(Asked("service docker is_running, is_enabled: false", when, ("n1", "n2", "n3")) for when in ("before", "after")),
        instances=("web@1", "web@2"),
        called=("web@1", "web@2"),
        deadlines=(("http", "web", 1.0), ("register", "", 2.0)),
        rooms=(("web", 3),),
    )


@pytest.mark.parametrize(
    ("workloads", "called", "of_four"),
    [
        ("http: {app: web}", 2, 4),
        ("http: {app: web, instances: 1}", 1, 1),
        ("http: {app: web, instances: 3}", 2, 3),
        ("http: {app: web, instances: 1}}, {http: {app: web}", 2, 4),
        ("register: {}", 0, 0),
    ],
    ids=["each", "the first", "more than there are", "one calls each", "none"],
)
def test_a_plan_says_whom_its_workloads_call_where_there_are_more(workloads: str, called: int, of_four: int) -> None:
    """An app may be scaled: who calls each instance calls the new ones, too, and who calls so many calls no more."""
    first: Any = made(re.sub(r"^workloads: .*$", f"workloads: [{{{workloads}}}]", TEXT, flags=re.MULTILINE)).promises[0]
    assert (len(first.expected.called), len(first.expected.calls("web", 4))) == (called, of_four)


def test_a_plan_from_before_observers_were_written_expects_those_that_there_were() -> None:
    """One that says that there were none is believed."""
    body = made().to_json()
    assert Plan.from_json({**body, "observers": {}}, among=known()).observers == {}
    del body["observers"]
    assert Plan.from_json(body, among=known()).observers == made().observers


@pytest.mark.parametrize("name", ["budget", "budgets", "election", "expected"])
def test_what_the_plan_fills_in_cannot_be_set_from_a_file(name: str) -> None:
    """A scenario that could raise its own budget would promise nothing."""
    for given in ("rescheduled: {app: web, NAME: {}}", "assumptions: {NAME: {}}", "quorum: {NAME: 60}"):
        with pytest.raises(BadInput):
            made(TEXT.replace("quorum]", f"quorum, {given.replace('NAME', name)}]"))


def test_every_disk_can_be_slowed_exactly_if_one_will_be() -> None:
    """It costs every fsync a little, so that only plans with a disk fault ask for it."""
    assert not any(node.faultable_disk for node in made().nodes)
    slow = TEXT.replace("net.partition, with: {shape: isolate}", "disk.slow, with: {fsync: 2s}")
    assert all(node.faultable_disk for node in made(slow).nodes)


def test_a_mode_that_lacks_what_is_promised_is_bad_input() -> None:
    """A scenario that was loaded for one mode is not planned for another that cannot keep it."""
    scenario = loads(TEXT.replace("cluster: {", "cluster: {mode: timed, "), "s.yaml", among=known())
    mode: Any = Bare()
    with pytest.raises(BadInput) as caught:
        plan(scenario, mode=mode, provider="nspawn", seed=1, among=known())
    assert [str(each) for each in caught.value.problems] == [
        "s.yaml: 'leader', with the bare mode; expected a mode with a quorum and a leader",
        "s.yaml: 'register', with the bare mode; expected a mode with a quorum and a leader",
        "s.yaml: 'quorum', with the bare mode; expected a mode with a quorum and a leader",
    ]


SLOW = Term("software emulation", 60.0, "a test")


def test_an_election_takes_what_the_mode_says() -> None:
    """The checker hears of it from the plan; a mode without a quorum gets the usual figure, which nobody asks for."""
    found = made()
    quorum: Any = next(each for each in found.promises if each.name == "quorum")
    assert (found.election, quorum.election) == (17.0, 17.0)
    bare: Any = Bare()
    scenario = loads("{scenario: x, why: y, steps: [{fault: none, on: any, hold: 1s}], promises: [conflicts]}", among=registry.known())
    assert plan(scenario, mode=bare, provider="nspawn", seed=1).election == 10.0


def test_slow_nodes_get_more_time_for_all_that_is_recovery() -> None:
    """Budgets, the election, settling, holds until something is seen and promises in seconds; what the scenario wants to see stays."""
    text = TEXT.replace("quorum]", "availability: {app: web, share: 50%, gap: 30s}, quorum]")
    before, found = made(text), made(text).slowed(SLOW)
    assert found.budgets == {name: Budget((*budget.terms, SLOW)) for name, budget in before.budgets.items()}
    assert (found.election, found.settle, found.slower) == (77.0, 90.0, SLOW)
    assert [step.hold for step in found.breaks] == [Hold(120.0, "recovered"), Hold(10.0)]
    assert [step for step in found.steps if isinstance(step, Wait)] == [Wait(5.0), Wait(2.0), Wait(1.0)]
    promises: list[Any] = list(found.promises)
    assert [(each.within, each.budgets) for each in promises if each.name == "rescheduled"] == [
        (80.0, found.budgets),
        (None, found.budgets),
    ]
    assert [(each.gap, each.share) for each in promises if each.name == "availability"] == [(90.0, 0.5)]
    assert [each.election for each in promises if each.name == "quorum"] == [77.0]
    assert found.slowed(SLOW) == found
    assert Plan.from_json(json.loads(json.dumps(found.to_json())), among=known()) == found
    assert any(
        line.startswith("  slower ") and line.endswith("lengthened by 60 s: software emulation")
        for line in describe(found, 200).splitlines()
    )


def test_what_promises_nothing_promises_nothing_on_slow_nodes_either() -> None:
    """An endless budget and a cluster that is given no time to settle stay what they are."""
    found = made(TEXT.replace("fault: node.kill", "fault: none").replace("settle: 30s", "settle: 0")).slowed(SLOW)
    assert (found.budgets["none"], found.settle) == (Budget(()), 0.0)


def test_timers_that_were_found_on_a_cluster_take_the_place_of_those_that_were_planned() -> None:
    """The budgets and the election follow; on slow nodes the allowance comes on top."""
    mode: Any = Timed({"agent_ttl": 99.0})
    found = made().timed(mode)
    assert (found.timers, found.budgets["node.kill"]) == ({"agent_ttl": 99.0}, Budget((Term("lost node", 99.0, "a test"),)))
    assert [each.budgets for each in map(_any, found.promises) if each.name == "rescheduled"] == [found.budgets] * 2
    assert made().slowed(SLOW).timed(mode) == made().timed(mode).slowed(SLOW)


def _any(value: Any) -> Any:
    return value


def test_a_plan_from_before_there_were_such_parts_reads_back() -> None:
    """Runs that were kept can be judged again; their elections had ten seconds."""
    body = json.loads(json.dumps(made().to_json()))
    for name in ("because", "election", "slower"):
        del body[name]
    found = Plan.from_json(body, among=known())
    quorum: Any = next(each for each in found.promises if each.name == "quorum")
    assert (found.because, found.election, found.slower, quorum.election) == ("", 10.0, None, 10.0)


def test_a_saved_plan_reads_back() -> None:
    """Nothing of a plan is lost in its file: it is enough to judge again and to repeat the run."""
    found = made()
    text = json.dumps(found.to_json(), allow_nan=False)
    assert Plan.from_json(json.loads(text), among=known()) == found


def for_mode(path: Path, mode: str) -> Scenario | None:
    """Load one of our scenarios for a mode; None where it says that it is not for it."""
    try:
        return load(path, mode=mode)
    except NotForMode:
        return None


@pytest.mark.parametrize("mode", IN_MODES)
@pytest.mark.parametrize("path", sorted(SCENARIOS.rglob("*.yaml")), ids=lambda path: path.stem)
def test_our_scenarios_are_planned_saved_and_told_in_every_mode_that_they_are_for(path: Path, mode: str) -> None:
    """Each of ours makes a plan with the real registries, which reads back, and which can be told; or says why it is not for the mode."""
    scenario = for_mode(path, mode)
    if scenario is None:
        return
    made = registry.known().modes[mode].from_timers(scenario.profile, scenario.cluster.timers)
    found = plan(scenario, mode=made, provider="nspawn", seed=3)
    hidden = [dataclasses.replace(app, environment=tuple((name, "***") for name, _ in app.environment)) for app in scenario.apps]
    kept = plan(dataclasses.replace(scenario, apps=tuple(hidden)), mode=made, provider="nspawn", seed=3)
    assert Plan.from_json(json.loads(json.dumps(found.to_json(), allow_nan=False))) == kept
    assert describe(found).startswith(scenario.name)


@pytest.mark.parametrize(
    "damage",
    [
        lambda body: body.pop("nodes"),
        lambda body: body.update(promises=[{"nobody": {}}]),
        lambda body: body.update(promises=["quorum"]),
        lambda body: body.update(steps=[{"fault": "node.kill", "with": {"x": 1}, "on": "n1", "hold": {"seconds": 1, "until": ""}}]),
        lambda body: body.update(apps=[{"name": "web", "instances": 1, "colour": "red"}]),
        lambda body: body.update(budgets=None),
        lambda body: body.update(slower={"what": "x"}),
        lambda body: body.update(election="long"),
        lambda body: body.update(control={"verdict": "fine", "because": "x", "match": ""}),
    ],
    ids=[
        "missing part",
        "unknown checker",
        "no parameters",
        "unknown parameter",
        "unknown field",
        "no budgets",
        "half a term",
        "no number",
        "unknown verdict",
    ],
)
def test_a_damaged_plan_is_bad_input(damage: Any) -> None:
    """A plan of another version, or half a plan, is told as what it is."""
    body = json.loads(json.dumps(made().to_json()))
    damage(body)
    with pytest.raises(BadInput, match=r"^results/x/plan\.json: .*; expected a plan that this version wrote; it is damaged, from another"):
        Plan.from_json(body, file="results/x/plan.json", among=known())


def test_what_is_no_plan_at_all_is_bad_input() -> None:
    """Any JSON may stand in a file of that name."""
    body: Any
    for body in ([], {}, 7, "plan", None):
        with pytest.raises(BadInput):
            Plan.from_json(body, among=known())


def test_a_plan_is_told_in_words() -> None:
    """What would happen, to whom, for how long, and what is promised."""
    text = describe(made(), 200)
    for line in (
        "  It shows how a plan looks.",
        "  cluster   3 nodes from nspawn (n1, n2, n3)",
        "            orchestrated by timed, profile default, seed 7",
        "            agent_ttl 10 s",
        "  app       2 instances of web (image web), never two on one node",
        "  workload  http app=web rate=20/s deadline=1s",
        "    1. wait 5 s",
        "    3. node.kill on 1 node that runs web (of 3), until the work has recovered, 60 s at most, then mend it",
        "    5. net.partition shape=isolate on the leader, for 10 s, then mend it",
        "    6. let the cluster settle, 30 s at most",
        "  check     service docker is_running, is_enabled: false on all 3 nodes, before and after the faults",
        "  promise   rescheduled app=web within=20s",
        "  budget    after node.kill: lost node 10 = 10 s",
        "  takes     111 s at most for steps and settling, once the cluster is steady",
        "            378 s at most including checks, plus the time to make and mend the faults",
    ):
        assert line in text.splitlines()


@pytest.mark.parametrize("width", [50, 80, 100])
def test_no_line_of_a_plan_is_wider_than_the_terminal(width: int) -> None:
    """Every word is still there, and what goes on stands under where its text began."""
    whole, shown = describe(made(), 10_000), describe(made(), width)
    longest = max(map(len, whole.split()))  # no word is broken, and one of them is the path of this checkout
    assert max(len(line) for line in shown.splitlines()) <= max(width, longest + 12)
    assert shown.split() == whole.split()
    assert f"\n{' ' * 12}" in shown


def test_a_program_in_a_plan_can_be_read() -> None:
    """It has the lines that it has in the file, wherever it stands; a reason that goes over several lines is one text."""
    program = "for each in 1 2; do\n  echo \"$each\" 'x'\ndone\n"
    run = {"fault": "command", "on": "n1", "hold": "9s", "with": {"inject": program, "heal": "true", "in_force": "true"}}
    again = {"repeat": {"times": 2}, "steps": [run]}
    app = {"name": "web", "instances": 2, "command": ["sh", "-c", "a\nb"]}
    more = {"workloads": [{"command": {"name": "load", "run": program}}], "steps": [run, again], "promises": ["conflicts"]}
    cluster = {"mode": "timed", "nodes": 3}
    plan = made(json.dumps({"scenario": "x", "why": "one\n  promise   none\ntwo", "cluster": cluster, "apps": [app], **more}))
    lines = describe(plan).splitlines()
    for name, indent in (("run", 12), ("inject", 7), ("inject", 12)):
        block = [f"{' ' * indent}{line}" for line in (f"{name}:", "  for each in 1 2; do", "    echo \"$each\" 'x'", "  done")]
        assert any(lines[number : number + 4] == block for number in range(len(lines))), block
    assert "command name=load run=(below) on=here" in describe(plan)
    begins = next(number for number, line in enumerate(lines) if line.startswith("         a. command"))
    assert lines[begins + 1].startswith(f"{' ' * 12}in_force_within=")  # under where the text of a step in a round begins
    assert not any(line.startswith("  promise   none") for line in lines)


@pytest.mark.parametrize(("container", "hint"), [("wbe", "did you mean 'web'?"), ("web", ""), ("web@2", ""), ("postgres", "")])
def test_a_plan_warns_of_a_container_that_is_nearly_an_app(container: str, hint: str) -> None:
    """It may be another's container, so that it is no mistake for sure; one that is like no app is none of ours."""
    plan = replace(made(), checks=(Check("container", container, {"is_running": True}, "all", ("before",)),))
    said = [each for each in warnings(plan) if "container" in each]
    assert said == ([f"check container wbe is_running: no app or instance is called wbe; {hint}"] if hint else [])


AMISS: dict[str, tuple[str, str]] = {
    # workloads and promises, what is said
    "a gap that is shorter than what a command tells": (
        "workloads: [{command: {name: load, run: x}}], promises: [{command: {name: load, gap: 0s}}]",
        (
            "what the command load tells is gathered only every 0.25 s, and a gap of 0 s was promised: nobody can see that it was kept, so it will "
            "not be held; allow a longer gap"
        ),
    ),
    "a gap that is longer": ("workloads: [{command: {name: load, run: x}}], promises: [{command: {name: load, gap: 300ms}}]", ""),
    "no gap at all": ("workloads: [{command: {name: load, run: x}}], promises: [{command: {name: load, share: 90%}}]", ""),
    "a gap that is shorter than from one call to the next": (
        "workloads: [{http: {app: web, rate: 4/s}}], promises: [{availability: {app: web, share: 50%, gap: 500ms}}]",
        "web@1 is called only every 0.5 s, and a gap of 0.5 s was promised: nobody can see that it was kept, so it will not be held; call more often",
    ),
    "calls of instances that there never are": (
        "workloads: [{http: {app: web, instances: 5}}], promises: [conflicts]",
        "http is to call 5 instances of web, which has 2 at most: those are called",
    ),
    "as many calls as there are instances": ("workloads: [{http: {app: web, instances: 2}}], promises: [conflicts]", ""),
    "a workload twice": (
        "workloads: [{http: {app: web}}, {http: {app: web}}], promises: [conflicts]",
        "the workload http stands there twice: promises count the calls of both",
    ),
    "a register twice": (
        "workloads: [{register: {rate: 5/s}}, {register: {rate: 6/s}}], promises: [conflicts]",
        "the workload register stands there twice: promises count the calls of both",
    ),
    "another app": ("workloads: [{http: {app: web}}, {http: {app: web, rate: 5/s}}], promises: [conflicts]", ""),
}


@pytest.mark.parametrize("case", AMISS)
def test_a_plan_warns_of_workloads_by_which_nothing_can_be_held(case: str) -> None:
    """Of gaps that no call, and no line, can show to have been kept; of calls to nobody, and of calls that count twice."""
    text, said = AMISS[case]
    head = "{scenario: x, why: y, cluster: {nodes: 3}, apps: [{name: web, instances: 2}], steps: [{fault: node.kill, on: any, hold: 9s}], "
    assert [each for each in warnings(made(f"{head}{text}}}")) if "only every" in each or "call" in each] == ([said] if said else [])


WARNINGS: dict[str, tuple[str, str, str]] = {
    # apps, step, what is said
    "more instances than nodes": (
        "{name: web, instances: 4}",
        "{fault: node.kill, on: any, hold: 9s}",
        (
            "4 instances of web, never two on one node, on 3 nodes: there is no node for 1 of them; calls to them fail, which counts, and when a "
            "node is lost rescheduled is unknown for whatever no node that is left may run"
        ),
    ),
    "more instances than a pin allows": (
        "{name: web, instances: 2, pin: n2}",
        "{fault: node.kill, on: n1, hold: 9s}",
        (
            "2 instances of web, never two on one node and pinned to n2, on 3 nodes: there is no node for 1 of them; calls to them fail, which "
            "counts, and when a node is lost rescheduled is unknown for whatever no node that is left may run"
        ),
    ),
    "full, and a node is lost": (
        "{name: web, instances: 3}",
        "{fault: node.kill, on: any, hold: {until: recovered, at most: 9s}}",
        (
            "3 instances of web, never two on one node, on 3 nodes: when one is lost the others are full, so nothing promises that its work runs "
            "elsewhere: rescheduled will be unknown"
        ),
    ),
    "an image of ours, with a tag": ("{name: web, instances: 2, image: 'web:2'}", "{fault: node.kill, on: any, hold: 9s}", ""),
    "full, and nothing is lost": ("{name: web, instances: 3}", "{fault: disk.slow, with: {fsync: 1s}, on: any, hold: 9s}", ""),
    "two on one node for certain": (
        "{name: web, instances: 7, conflicts: false}",
        "{fault: node.kill, on: any, hold: 9s}",
        "7 instances of web on 3 nodes, with no rule against two on one node: conflicts of web must come out broken",
    ),
    "two on its pin for certain": (
        "{name: web, instances: 2, conflicts: false, pin: n1}",
        "{fault: node.kill, on: any, hold: 9s}",
        "2 instances of web, pinned to n1, on 3 nodes, with no rule against two on one node: conflicts of web must come out broken",
    ),
    "two on one node for certain, of an app that is spared": (
        "{name: web, instances: 2}, {name: api, instances: 4, host port: 9000, conflicts: false}",
        "{fault: node.kill, on: any, hold: 9s}",
        "",
    ),
    "no rule, and room for all": ("{name: web, instances: 3, conflicts: false}", "{fault: node.kill, on: any, hold: 9s}", ""),
    "room": ("{name: web, instances: 2}", "{fault: node.kill, on: any, hold: {until: recovered, at most: 9s}}", ""),
    "nothing to wait for": (
        "{name: web, instances: 2}",
        "{fault: none, on: any, hold: {until: recovered, at most: 9s}}",
        "until: recovered with none: no work is lost with it, so there is nothing to wait for: it is held for 9 s",
    ),
    "a slow disk takes no work": (
        "{name: web, instances: 2}",
        "{fault: disk.slow, with: {fsync: 1s}, on: any, hold: {until: recovered, at most: 9s}}",
        "until: recovered with disk.slow: no work is lost with it, so there is nothing to wait for: it is held for 9 s",
    ),
}


def test_every_figure_of_a_plan_has_its_unit() -> None:
    """In the words of a scenario file, whatever it is a parameter of: a bare 1000 is a number of seconds to us, and of milliseconds to others."""
    plan = made(
        "{scenario: x, why: y, cluster: {nodes: 3}, apps: [{name: web, instances: 2}], "
        "workloads: [{http: {app: web, rate: 30/m, deadline: 1000}}], "
        "steps: [{fault: disk.slow, with: {fsync: 500ms, write: 0.25}, on: any, hold: 10s}], "
        "promises: [{rescheduled: {app: web, within: 90}}, {availability: {app: web, share: 99.5%, gap: 1m}}]}"
    )
    lines = [" ".join(line.split()) for line in describe(plan, 300).splitlines()]
    for line in (
        "workload http app=web rate=0.5/s deadline=1000s",
        "promise rescheduled app=web within=90s",
        "promise availability app=web share=99.5% gap=1m",
    ):
        assert line in lines
    assert "1. disk.slow fsync=500ms write=250ms on 1 of the 3 nodes, for 10 s, then mend it" in lines
    patient = "warning a call of http may take 1000 s (a bare number is seconds), and all steps and settling take 100 s at most: "
    assert any(line.startswith(patient) for line in lines)
    assert not any("a call of" in line for line in warnings(replace(plan, workloads=(Http("web", deadline=99.0),))))


JUDGED: dict[str, tuple[str, str, str]] = {
    # the promise, the apps, its line
    "all have the rule": ("conflicts", "{name: web, instances: 2}, {name: db, instances: 2, host port: 9000}", "conflicts"),
    "one has none": (
        "conflicts",
        "{name: web, instances: 2}, {name: db, instances: 2, host port: 9000, conflicts: false}",
        "conflicts (judged of web: db has no rule against two on one node)",
    ),
    "none has it": (
        "conflicts",
        "{name: web, instances: 2, conflicts: false}, {name: db, instances: 2, host port: 9000, conflicts: false}",
        "conflicts (judged of web and db, with no rule against two on one node all the same)",
    ),
    "the one that is named has it": (
        "conflicts: {app: web}",
        "{name: web, instances: 2}, {name: db, instances: 2, host port: 9000, conflicts: false}",
        "conflicts app=web",
    ),
    "the one that is named has none": (
        "conflicts: {app: db}",
        "{name: web, instances: 2}, {name: db, instances: 2, host port: 9000, conflicts: false}",
        "conflicts app=db (judged of db, with no rule against two on one node all the same)",
    ),
}


@pytest.mark.parametrize("case", JUDGED)
def test_a_plan_says_of_which_apps_conflicts_is_judged(case: str) -> None:
    """Where their rules do not say it; and it is judged so when the plan is read again."""
    promise, apps, line = JUDGED[case]
    steps = "[{fault: node.kill, on: any, hold: 9s}]"
    planned = made(f"{{scenario: x, why: y, cluster: {{nodes: 3}}, apps: [{apps}], steps: {steps}, promises: [{promise}]}}")
    assert f"  promise   {line}" in describe(planned).splitlines()
    (own,) = (each for each in planned.promises if each.name == "conflicts")
    (again,) = (each for each in Plan.from_json(planned.to_json(), among=known()).promises if each.name == "conflicts")
    assert again == own


UNPROMISED: dict[str, tuple[str, str, str, list[str]]] = {
    # a step, a promise, workloads; what is said
    "waited for": (
        "{fault: daemon.hang, on: n1, hold: {until: recovered, at most: 15s}}",
        "conflicts",
        "",
        [
            "until: recovered with daemon.hang: timed promises no recovery after daemon.hang docker, so it may well be held for its full 15 s",
        ],
    ),
    "promised": (
        "{fault: daemon.hang, on: n1, hold: 15s}",
        "rescheduled: {app: web}",
        "",
        [
            "timed promises no recovery after daemon.hang docker, so no deadline applies to rescheduled of web there: it will most likely be unknown",
        ],
    ),
    "promised within a time of its own": ("{fault: daemon.hang, on: n1, hold: 15s}", "rescheduled: {app: web, within: 9s}", "", []),
    "neither": ("{fault: daemon.hang, on: n1, hold: 15s}", "conflicts", "", []),
    "where recovery is promised": ("{fault: node.kill, on: n1, hold: {until: recovered, at most: 45s}}", "rescheduled: {app: web}", "", []),
    "called seldom": (
        "{fault: node.kill, on: n1, hold: 9s}",
        "conflicts",
        "{http: {app: web, rate: 2/m}}, {register: {rate: 6/m}}",
        [
            "web@1 is called only once in 60 s: that may not fall within the 45 s in which the cluster must be steady, and then it is unknown",
            "web@2 is called only once in 60 s: that may not fall within the 45 s in which the cluster must be steady, and then it is unknown",
            (
                "the register may be written to only once in 80 s: that may not fall within the 45 s in which the cluster must be steady, and "
                "then it is unknown"
            ),
        ],
    ),
    "called often enough": (
        "{fault: node.kill, on: n1, hold: 9s}",
        "conflicts",
        "{http: {app: web, rate: 1/s}}, {register: {rate: 1/s}}",
        [],
    ),
}


@pytest.mark.parametrize("case", UNPROMISED)
def test_a_plan_warns_of_what_nobody_promises_or_nobody_will_see(case: str) -> None:
    """Beside each a plan of which there is nothing to say."""
    step, promise, workloads, said = UNPROMISED[case]
    text = (
        f"{{scenario: x, why: y, cluster: {{nodes: 3}}, apps: [{{name: web, instances: 2}}], workloads: [{workloads}], steps: [{step}], "
        f"settle: 120s, promises: [{promise}]}}"
    )
    planned = made(text)
    without = {key: Budget(()) if key.startswith("daemon.hang") else budget for key, budget in planned.budgets.items()}
    assert warnings(replace(planned, budgets=without)) == said


@pytest.mark.parametrize(
    ("step", "control", "warned"),
    [
        ("", "", True),
        (", {do: service.restart, with: {service: docker}, on: n1}", "", False),
        ("", ", control: {verdict: broken, because: manual}", False),
    ],
)
def test_a_plan_warns_of_work_that_somebody_is_to_bring_back_where_nobody_does_anything(step: str, control: str, *, warned: bool) -> None:
    """What `manual` promises comes by an action; a control may be there to show what comes without one."""
    head = "{scenario: x, why: y, cluster: {nodes: 3}, apps: [{name: web, instances: 1}], steps: [{fault: node.kill, on: n1, hold: 60s}"
    said = [
        each for each in warnings(made(f"{head}{step}], promises: [{{manual: {{app: web, within: 60s}}}}]{control}}}")) if "do: " in each
    ]
    assert (
        said
        == ["no step does anything, so nobody brings back what a fault takes of web: manual of web cannot be held; `do: …` is such a step"]
        * warned
    )


@pytest.mark.parametrize(
    ("target", "promise", "control", "warned"),
    [
        ("n1", "web", "", True),
        ("any", "web", "", True),
        ("n2", "web", "", False),
        ("n1", "other", "", False),
        ("n1", "web", "control: {verdict: broken, because: rescheduled}", False),
    ],
)
def test_a_plan_warns_of_an_app_that_is_pinned_to_what_may_be_lost(target: str, promise: str, control: str, *, warned: bool) -> None:
    """That its work runs elsewhere cannot be so; a control may be there to show it."""
    apps = "[{name: web, instances: 1, pin: n1}, {name: other, instances: 1, host port: 8100}]"
    text = f"{{scenario: x, why: y, cluster: {{nodes: 3}}, apps: {apps}, steps: [{{fault: node.kill, on: {target}, hold: 60s}}], "
    plan = made(f"{text}promises: [{{rescheduled: {{app: {promise}}}}}]{', ' if control else ''}{control}}}")
    said = "web is pinned to n1: when that is lost no other node may run it, so rescheduled of web must come out broken"
    assert (said in warnings(plan)) is warned


@pytest.mark.parametrize(
    ("step", "promise", "warned"),
    [
        ("{fault: node.kill, on: n1, hold: 5s}", "{app: web}", "node.kill is held for 5 s, and web may take 30 s to run again"),
        ("{fault: node.kill, on: n1, hold: {until: recovered, at most: 20s}}", "{app: web}", "node.kill is held for 20 s at most, and web"),
        ("{fault: node.kill, on: n1, hold: 40s}", "{app: web, within: 1m}", "and web may take 60 s to run again"),
        ("{fault: node.kill, on: n1, hold: 40s}", "{app: web}", ""),
        ("{fault: node.kill, on: n1, as: one}, {wait: 5s}, {fault: node.kill, on: n2, hold: 5s}", "{app: web}", ""),
        ("{fault: disk.slow, with: {fsync: 1s}, on: n1, hold: 5s}", "{app: web}", ""),
    ],
    ids=["short", "short at most", "shorter than it says", "long enough", "beside another", "nothing lost"],
)
def test_a_plan_warns_of_a_hold_that_is_too_short_for_what_is_promised(step: str, promise: str, warned: str) -> None:
    """All of it is known before: such a run can hardly be more than unknown."""
    text = f"{{scenario: x, why: y, cluster: {{nodes: 3}}, apps: [{{name: web, instances: 2}}], steps: [{step}], "
    said = [each for each in warnings(made(f"{text}promises: [{{rescheduled: {promise}}}]}}")) if "is held for" in each]
    assert (warned in " ".join(said), bool(said)) == (True, bool(warned))


@pytest.mark.parametrize("case", WARNINGS)
def test_a_plan_warns_of_what_can_come_to_nothing(case: str) -> None:
    """Beside each a plan of which there is nothing to say; and it stands in the words of the plan."""
    apps, step, said = WARNINGS[case]
    text = f"{{scenario: x, why: y, cluster: {{nodes: 3}}, apps: [{apps}], steps: [{step}], promises: [conflicts]}}"
    plan = made(text)
    assert warnings(plan) == ([said] if said else [])
    assert said in " ".join(describe(plan).split())


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda folder, there: shutil.copytree(there, folder) and (folder / "more").symlink_to(there),
            "will not have more: .* may fail when",
        ),
        (lambda folder, there: shutil.copytree(there, folder), ""),
    ],
    ids=["a link in it", "whole"],
)
def test_a_plan_warns_of_an_image_that_nodes_would_not_have_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path, Path], object], words: str
) -> None:
    """By the rule by which it is copied."""
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "Dockerfile").write_text('FROM scratch\nCOPY . /\nCMD ["/program"]\n')
    (tmp_path / "images").mkdir()
    make(tmp_path / "images" / "mine", tmp_path / "there")
    monkeypatch.setattr("harness.host.files.fixtures", lambda: tmp_path)
    plan = made(
        "{scenario: x, why: y, cluster: {nodes: 3}, apps: [{name: web, instances: 2, image: mine}], "
        "steps: [{fault: node.kill, on: n1, hold: 9s}], promises: [conflicts]}"
    )
    said = warnings(plan)
    assert len(said) == bool(words)
    assert all(re.search(words, each) for each in said)


def test_how_many_can_have_no_home_is_expected() -> None:
    """So that nobody waits for them, or misses them."""
    apps = "{name: web, instances: 5}, {name: db, instances: 3, host port: 9000}"
    text = f"{{scenario: x, why: y, cluster: {{nodes: 3}}, apps: [{apps}], steps: [{{fault: none, on: any, hold: 1s}}], promises: [conflicts]}}"
    first: Any = made(text).promises[0]
    assert first.expected.homeless == (("web", 2),)


def test_two_daemons_of_one_fault_have_a_budget_each() -> None:
    """It goes by what is lost; one that comes back in place is the same loss."""
    steps = ", ".join(
        f"{{fault: process.kill, with: {{process: {name}, restart: {restart}}}, on: any, hold: 9s}}"
        for name, restart in (("etcd", "true"), ("docker", "false"), ("dockerd", "true"))
    )
    plan = made(
        "{scenario: x, why: y, cluster: {nodes: 3}, apps: [{name: web, instances: 2}], promises: [rescheduled: {app: web}], "
        f"steps: [{steps}]}}"
    )
    assert list(plan.budgets) == ["process.kill etcd", "process.kill docker"]
    assert plan.budget_after(2, "process.kill") is plan.budgets["process.kill docker"]
    assert plan.budget_after(2, "node.kill") is None
    assert plan.budget_after(9, "process.kill") is None
    older = replace(plan, budgets={"process.kill": Budget(())})
    assert older.budget_after(1, "process.kill") == Budget(())
    checker: Any = next(each for each in plan.promises if each.name == "rescheduled")
    assert (checker.budgets, checker.apps) == (plan.budgets, plan.apps)


def test_a_control_is_told_with_how_it_must_come_out() -> None:
    """So that nobody is surprised by a run that must be broken."""
    text = describe(made(TEXT + "control: {verdict: broken, because: quorum, match: two leaders}\n"))
    assert "  control   must come out broken, because of quorum, with 'two leaders' in its words" in text.splitlines()


def test_a_check_is_told_in_words() -> None:
    """True properties by name, others with the value that is wanted."""
    assert str(Check("file", "/etc/x", {"exists": True, "mode": 420, "user": "root"}, "all", ("after",))) == (
        "file /etc/x exists, mode: 0644, user: root"
    )


def test_parameters_are_read_from_a_file_and_back() -> None:
    """`build` and `read` are each other's inverse, for everything that there is and can be made without parameters."""
    found = registry.known()
    for classes in (found.faults, found.workloads, found.checkers):
        for cls in classes.values():
            if not parameters.schema(cls).get("required") and cls.name not in {
                "disk.slow",
                "elections",
                "fdatasync",
            }:  # each wants one of two
                instance = parameters.build(cls, {})
                assert parameters.build(cls, parameters.read(instance)) == instance == cls()


def test_a_step_is_its_fault_its_targets_and_its_hold() -> None:
    """A plan holds real faults, ready to be injected."""
    step = made().steps[4]
    assert isinstance(step, Break)
    assert step.fault == parameters.build(registry.known().faults["net.partition"], {"shape": "isolate"})


def test_a_plan_of_what_was_done_is_as_if_it_had_been_said_before() -> None:
    """Faults and promises of a scenario in Python get what those of a file get, and the saved plan gives the same again."""
    planned = made()
    mode: Any = Timed.from_timers(planned.profile, planned.timers)
    own = [promise for promise in planned.promises if promise.name not in {"assumptions", "checks", "settled", "clean"}]
    bare = replace(planned, steps=(), promises=(), budgets={})
    done = bare.as_done(mode, planned.breaks, own, known())
    assert done.budgets == planned.budgets
    assert done.promises == planned.promises
    assert [each.name for each in bare.as_done(mode, (), (), known()).promises] == ["assumptions", "checks", "settled", "clean"]
    assert Plan.from_json(json.loads(json.dumps(done.to_json())), among=known()) == done


def test_a_fault_that_a_saved_plan_cannot_hold_is_expected_all_the_same() -> None:
    """One of the test's own, made before one of ours: each is expected by its number, live and when it is judged again."""

    @dataclass(frozen=True)
    class Own(NodeKill):
        name: ClassVar[str] = "own.fault"

    planned = made()
    mode: Any = Timed.from_timers(planned.profile, planned.timers)
    bare = replace(planned, steps=(), promises=(), budgets={})
    done = bare.as_done(mode, [Break(Own(), "n1", Hold(1.0)), *planned.breaks], (), known())
    again = Plan.from_json(json.loads(json.dumps(done.to_json())), among=known())
    for judged in (done, again):
        (assumptions,) = (each for each in judged.promises if isinstance(each, Assumptions))
        assert assumptions.expected.faults == ("own.fault", *(each.fault.name for each in planned.breaks))


@pytest.mark.parametrize(
    ("promised", "name"), [(Checks(), "checks"), (Settled(), "settled"), (Clean(), "clean"), (Assumptions(), "assumptions")]
)
def test_a_promise_of_a_scenario_in_python_is_judged_also_if_it_could_be_a_standing_one(promised: Checker, name: str) -> None:
    """Once, though no check was asked and nothing settles: what was promised is never dropped."""
    planned = made()
    mode: Any = Timed.from_timers(planned.profile, planned.timers)
    bare = replace(planned, checks=(), settle=0.0)
    assert [each.name for each in bare.as_done(mode, (), (promised,), known()).promises].count(name) == 1


@pytest.mark.parametrize(("instances", "called"), [(0, {"web@1", "web@2", "web@3"}), (1, {"web@1"}), (7, {"web@1", "web@2", "web@3"})])
def test_the_called_instances_are_those_that_the_workload_calls(instances: int, called: set[str]) -> None:
    """The first so many, or all of them."""
    assert set(briefing.paces((App("web", 3), App("db", 2)), (Http("web", instances=instances), Register()))) == called


def test_calls_stand_as_far_apart_as_their_rate_says() -> None:
    """An instance has its share of the calls of every workload that calls it; of the register's, chance decides which write."""
    web = (App("web", 4),)
    assert briefing.paces(web, (Http("web", rate=2.0),)) == dict.fromkeys(web[0].names, 2.0)
    assert briefing.paces(web, (Http("web", rate=2.0), Http("web", rate=0.5, instances=1)))["web@1"] == 1.0
    assert briefing.writing_pace((Register(rate=2.0),)) == briefing.UNLUCKY / 2.0
    assert briefing.writing_pace((Http("web"),)) is None


@pytest.mark.parametrize(("fault", "works"), [("disk.slow", False), ("node.kill", True)])
def test_a_budget_in_a_plan_is_the_one_that_work_is_judged_by(fault: str, *, works: bool) -> None:
    """Of a fault that takes no work away the plan says that its budget is for no work: so `rescheduled` takes it, too."""
    more = ", with: {write: 1s}" if fault == "disk.slow" else ""
    made = plan(
        loads(
            f"scenario: x\nwhy: y\napps: [{{name: web, instances: 2}}]\nsteps: [{{fault: {fault}, on: n1, hold: 9s{more}}}]\npromises: [conflicts]\n",
            "s.yaml",
        ),
        mode=Fleet(),
        provider="nspawn",
        seed=1,
    )
    (line,) = [each for each in describe(made, 400).splitlines() if each.startswith(f"  budget    after {fault}")]
    kind = made.breaks[0].fault.traits
    assert (for_work(made.budgets[fault], kind) == made.budgets[fault]) == works
    assert line.endswith(", for the cluster itself; no work is lost") != works
