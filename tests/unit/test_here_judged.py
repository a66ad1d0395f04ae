"""What is made, done or asked on this machine, as it is judged: this machine is no node, and what is done on it may be felt on any."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.checkers import Assumptions, Bystanders, Clean, Probed, Rescheduled, Scaled, Settled, Single
from harness.core.values import HERE, Call, Effect, Finding, Json, Loss, Outcome, Phase, Traits, Verdict
from harness.history.interfaces import Checker
from harness.modes.fleet import Fleet
from harness.plan import plan
from harness.runs.judge import findings
from harness.scenario import loads
from harness.testing.histories import OBSERVERS, Story

NODES = ("n1", "n2", "n3")
OWN = "command, with: {inject: a, heal: b, in_force: c}"
HEAD = "scenario: x\nwhy: y\ncluster: {nodes: 3}\napps: [{name: web, instances: 3}]\n"
HELD, BROKEN, UNKNOWN = Verdict.HELD, Verdict.BROKEN, Verdict.UNKNOWN
DISTURBS = Effect(disturbs=True)


def steady(*, marks: tuple[str, ...] = (), unwatched: str = "") -> Story:
    """Return a cluster of three that is whole all along, with `marks` on n1 in the end, of which an observer may say nothing for a while."""
    story = Story().phase(0.0, Phase.FORMING).phase(0.5, Phase.DEPLOYING).phase(1.0, Phase.STEADY).phase(9.0, Phase.FAULTS)
    for node in NODES:
        story.node(0.5, node, f"web@{node[1]}").api(0.6, node, "n1 n2 n3", {f"web@{each[1]}": each for each in NODES})
        after: list[Json] = [*marks] if node == "n1" else []
        story.fingerprint(0.9, node, "before", {"nft_tables": []}).fingerprint(67.0, node, "after", {"nft_tables": after})
    story.members(0.7, "n1 n2 n3", 2, "n1").whole(1.0, "before", seconds=0.5).whole(58.0, "after").writes(2.0, 68.0)
    story.watched(69.0, "n2 n3" if unwatched else "n1 n2 n3")
    for observer in OBSERVERS if unwatched else ():
        for second in range(70):
            if observer != unwatched or not 20 < second < 32:
                story.watching(second, observer, "n1")
    return story.endures()


def made(story: Story, on: str = HERE, since: float = 10.0, until: float = 50.0, number: int = 1) -> Story:
    """Make a fault of the user's own for some time."""
    kind = Traits(Loss.NOTHING, ())
    return story.fault("command", on, number=number, traits=kind, decided=since, in_force=since + 1.0, healing=until, healed=until + 1.0)


def done(story: Story) -> Story:
    """Let the run come to its end."""
    return story.phase(51.5, Phase.SETTLING).done(70.0)


def killed(story: Story) -> Story:
    """Kill the machine of n3, whose instance runs nowhere again."""
    return (
        story.fault("node.kill", "n3", number=2, decided=10.0, in_force=10.05, healing=55.0, healed=57.0).off(10.04, "n3").node(57.0, "n3")
    )


JUDGED: dict[str, tuple[Checker, Callable[[], Story], Verdict, str]] = {
    "a good run, in two places": (Single("web"), lambda: made(steady()), HELD, ""),
    "a good run, in the end": (Settled(), lambda: made(steady()), HELD, ""),
    "a good run, as many as were asked for": (
        Scaled("web", 3, 5.0),
        lambda: made(steady()).action(54.0, 54.5, "app.scale", effect=Effect({"web": 3}), was={"web": 3}),
        HELD,
        "",
    ),
    "a good run, beside it": (Bystanders(), lambda: made(steady()), HELD, "3 instances"),
    "what stopped while it was there": (Bystanders(), lambda: made(steady().node(20.0, "n2")), UNKNOWN, "may be felt on any node"),
    "what stopped long after it": (
        Bystanders(),
        lambda: made(made(steady().node(40.0, "n2"), until=12.0), "n3", since=30.0, number=2),
        BROKEN,
        "web@2 stopped on n2",
    ),
    "what never came back": (
        Rescheduled("web", within=20.0),
        lambda: made(killed(steady()), since=3.0, until=5.0),
        BROKEN,
        "ran nowhere else",
    ),
    "what was left by an action": (
        Clean(),
        lambda: made(steady(marks=("inet mine",)), "n3").action(20.0, 22.0, "command", HERE, effect=DISTURBS),
        UNKNOWN,
        "which may have done that",
    ),
    "what was left where an action was done elsewhere": (
        Clean(),
        lambda: made(steady(marks=("inet mine",)), "n3").action(20.0, 22.0, "command", "n2", effect=DISTURBS),
        BROKEN,
        "was left",
    ),
    "what was left by a fault": (Clean(), lambda: made(steady(marks=("inet mine",))), BROKEN, "was left"),
    "who was silent by an action": (
        Assumptions(),
        lambda: made(steady(unwatched="docker"), "n3").action(20.0, 22.0, "command", HERE, effect=DISTURBS),
        HELD,
        "",
    ),
    "who was silent where an action was done elsewhere": (
        Assumptions(),
        lambda: made(steady(unwatched="docker"), "n3").action(20.0, 22.0, "command", "n2", effect=DISTURBS),
        UNKNOWN,
        "was silent",
    ),
}


@pytest.mark.parametrize("kind", JUDGED)
def test_what_is_done_on_this_machine_is_done_to_no_node_and_may_be_felt_on_any(kind: str) -> None:
    """It needs no truth of a node of that name, and it explains what one done on another node does not."""
    checker, story, verdict, words = JUDGED[kind]
    finding = checker.check(done(story()).history())
    assert finding.verdict is verdict, finding.summary
    assert words in finding.summary


def judged(text: str, story: Story) -> dict[str, Finding]:
    """Judge a run as every run is judged."""
    scenario = plan(loads(HEAD + text, "s.yaml"), mode=Fleet.from_timers("default", {}), provider="nspawn", seed=1)
    return {each.checker: each for each in findings(scenario, done(story).history())}


@pytest.mark.parametrize("on", ["n3", HERE])
def test_a_promise_that_is_broken_while_something_is_on_this_machine_is_broken(on: str) -> None:
    """This machine is no stranger to any plan: a fault, or a probe, that is on it is judged as one on a node is."""
    story = made(steady(), on)
    for node in NODES:
        instance = f"web@{node[1]}"
        story.gets(2.0, 12.0, instance, by=node).gets(12.0, 45.0, instance, Outcome.FAIL).gets(45.0, 68.0, instance, by=node)
    text = f"steps: [{{fault: {OWN}, on: {on}, hold: 39s}}]\nworkloads: [http: {{app: web, rate: 30/s}}]\n"
    finding = judged(f"{text}promises: [availability: {{app: web, share: 90%, gap: 5s}}]\n", story)["availability"]
    assert finding.verdict is BROKEN, finding.summary
    story = made(steady(), "n3")
    for second in range(2, 68):
        story.call(float(second), "probe", Call("ask", "q"), Outcome.FAIL if 12 < second < 45 else Outcome.OK, by=on)
    text = f"steps: [{{fault: {OWN}, on: n3, hold: 39s}}]\nprobes: [{{name: q, on: {on}, command: x}}]\n"
    finding = judged(f"{text}promises: [probe: {{name: q, share: 90%, gap: 5s}}]\n", story)["probe"]
    assert finding.verdict is BROKEN, finding.summary


@pytest.mark.parametrize("between", [0.0, 0.05])
@pytest.mark.parametrize(("on", "verdict"), [("n1", BROKEN), (HERE, UNKNOWN)])
def test_what_a_probe_says_on_a_machine_that_can_make_no_calls_convicts_nobody(on: str, verdict: Verdict, between: float) -> None:
    """From 20 s to 40 s this machine had no ports left, whether or not a call of ours was under way: a node can ask all the same."""
    story = made(steady(), "n3").gets(2.0, 20.0, "web@1", by="n1").gets(20.0, 40.0, "web@1", Outcome.FAIL, ours=True)
    for second in range(2, 68):
        story.call(second + between, "probe", Call("ask", "q"), Outcome.FAIL if 20 <= second < 40 else Outcome.OK, by=on)
    finding = Probed("q", 0.9, 5.0).check(done(story).history())
    assert finding.verdict is verdict, finding.summary


@pytest.mark.parametrize("said", [Outcome.FAIL, Outcome.UNKNOWN])
@pytest.mark.parametrize(
    ("on", "share", "verdict"),
    [
        ("n1", 0.9, None),  # what a node says is its own
        (HERE, 0.9, UNKNOWN),  # with those that could not be asked it may be less
        (HERE, 0.5, HELD),  # whatever the answers to those would have been
    ],
)
def test_questions_that_this_machine_could_not_ask_count_as_not_asked(
    on: str, share: float, verdict: Verdict | None, said: Outcome
) -> None:
    """They hold no share by being left out: from 20 s to 40 s this machine could make no calls."""
    story = made(steady(), "n3").gets(2.0, 20.0, "web@1", by="n1").gets(20.0, 40.0, "web@1", Outcome.FAIL, ours=True)
    for second in range(2, 68):
        story.call(float(second), "probe", Call("ask", "q"), said if 20 <= second < 40 else Outcome.OK, by=on)
    finding = Probed("q", share, 30.0).check(done(story).history())
    assert finding.verdict is (verdict or {Outcome.FAIL: BROKEN}.get(said, UNKNOWN)), finding.summary


@pytest.mark.parametrize(("at", "verdict"), [(20.04, BROKEN), (20.14, UNKNOWN), (20.34, UNKNOWN), (20.44, BROKEN)])
def test_a_machine_can_make_calls_only_up_to_the_last_one_that_it_made(at: float, verdict: Verdict) -> None:
    """Nobody knows what was so between that (at 20.1 s) and the first one that it could not make, nor between the last of those and the next."""
    story = made(steady(), "n3").gets(2.0, 20.2, "web@1", by="n1").gets(20.2, 20.4, "web@1", Outcome.FAIL, ours=True)
    story.gets(20.4, 68.0, "web@1", by="n1")
    for number in range(2, 68):
        story.call(number - 0.5, "probe", Call("ask", "q"), Outcome.OK, by=HERE)
    finding = Probed("q", 0.999, 30.0).check(done(story.call(at, "probe", Call("ask", "q"), Outcome.FAIL, by=HERE)).history())
    assert finding.verdict is verdict, finding.summary
