"""How long calls took: what convicts a fault, what acquits it, and what does neither."""

from __future__ import annotations

from typing import Any

import pytest

from harness.checkers import Prompt
from harness.checkers.expected import Expected
from harness.core.errors import BadInput
from harness.core.values import Call, Effect, Loss, Outcome, Phase, Traits, Verdict
from harness.history.events import Answered, Invoked
from harness.scenario import loads
from harness.testing.histories import Story

HELD, BROKEN, UNKNOWN = Verdict.HELD, Verdict.BROKEN, Verdict.UNKNOWN


def _story(before: float = 0.02, meanwhile: float = 0.02, after: float = 0.02, *, bad: int = 0, traits: Traits | None = None) -> Story:
    """Tell of calls to web, ten a second, that took so long before a fault from 30 s to 50 s, in it, and after it; so many of it ended badly."""
    story = Story().phase(0.5, Phase.STEADY).whole(1, "before").phase(29, Phase.FAULTS).phase(50.3, Phase.SETTLING)
    for node in ("n1", "n2", "n3"):
        story.node(0, node, *(["web@1"] if node == "n1" else []))
    story.watched(69, "n1 n2 n3").fault("command", "n1", decided=29.9, in_force=30, healing=50, healed=50.2, traits=traits)
    for number in range(20, 699):
        time = number / 10.0 + 0.03
        took = before if time < 29.9 else meanwhile if time < 50.2 else after
        fails = 31 <= time < 31 + bad / 10.0
        story.call(time, "http", Call("get", "web@1"), Outcome.FAIL if fails else Outcome.OK, took=took, by="n1")
    return story


def _judged(story: Story, p99: float = 0.2, **given: Any) -> Any:
    expected = Expected(("n1", "n2", "n3"), named=(("storm", (1,)),))
    given = given or {"during": ("storm",)}
    return Prompt("web", p99, expected=expected, **given).check(story.copy().done(70).history())


def test_calls_that_stay_quick_acquit() -> None:
    """And how they were before and after is told beside it."""
    found = _judged(_story(0.01, 0.15, 0.03))
    assert found.verdict is HELD
    assert "99 in 100 calls to web while storm was in force (from 30.0 s to 50.0 s)" in found.summary
    assert "were answered well within 150 ms (200 calls), 10 ms" in found.summary
    assert [found.details[each]["p99"] for each in ("before", "meanwhile", "after")] == [0.01, 0.15, 0.03]


def test_calls_that_wait_for_a_neighbour_convict() -> None:
    """Those of one time alone: after it they are quick again."""
    story = _story(0.01, 0.5, 0.01)
    found = _judged(story)
    assert found.verdict is BROKEN
    assert "500 ms (200 calls), 10 ms" in found.summary
    assert "200 ms were promised" in found.summary
    assert _judged(story, outside=("storm",)).verdict is HELD
    assert _judged(story, p99=0.5).verdict is HELD


def test_one_in_a_hundred_may_take_any_time() -> None:
    """A bad answer takes longer than any; two of two hundred are one in a hundred, and a third is one too many."""
    assert _judged(_story(bad=2)).verdict is HELD
    found = _judged(_story(bad=3))
    assert found.verdict is BROKEN
    assert "within no good answer (200 calls, 3 not well)" in found.summary


@pytest.mark.parametrize(
    ("story", "word"),
    [
        (_story(before=0.5, meanwhile=0.6), "before the first fault was made, 0.0% went well"),
        (_story(meanwhile=0.5).stalled(29, 51), "only 0 calls"),
    ],
    ids=["slow before", "we stood still"],
)
def test_what_is_no_faults_doing_convicts_nobody(story: Story, word: str) -> None:
    """What was so before, and what was under way while the harness did not run."""
    found = _judged(story)
    assert found.verdict is UNKNOWN
    assert word in found.summary


def test_a_busy_machine_convicts_only_by_what_was_well_before_and_after() -> None:
    """With a kernel in common the load may be the fault itself; but where it does not end with the fault nobody knows whose it was."""
    assert _judged(_story(0.01, 0.5, 0.01).pressed(30, 50, 30)).verdict is BROKEN
    assert _judged(_story(0.01, 0.5, 0.5).pressed(30, 50, 30)).verdict is UNKNOWN
    assert _judged(_story(0.01, 0.5, 0.5)).verdict is BROKEN
    assert _judged(_story(0.01, 0.1, 0.01).pressed(2, 68, 30)).verdict is HELD


def test_a_load_that_was_there_without_the_fault_is_not_the_faults_own() -> None:
    """What else there was to do may have grown meanwhile, or do more harm beside it; but not where it was next to nothing."""
    slow = _story(0.01, 0.5, 0.01)
    loads = ((8, 30, 8, UNKNOWN), (30, 30, 30, UNKNOWN), (30, 8, 30, UNKNOWN), (4, 40, 4, BROKEN), (2, 30, 2, BROKEN))
    for before, meanwhile, after, verdict in loads:
        story = slow.copy().pressed(2, 30, before).pressed(30, 50, meanwhile).pressed(50, 68, after)
        assert _judged(story).verdict is verdict, (before, meanwhile, after)


@pytest.mark.parametrize(("since", "until", "verdict"), [(49, 55, UNKNOWN), (25, 31, UNKNOWN), (25, 55, BROKEN)])
def test_a_load_is_not_the_doing_of_what_was_there_for_a_part_of_the_time(since: float, until: float, verdict: Verdict) -> None:
    """A fault that takes nothing away beside a cut: only where it was there all along is the load its own, and slow answers the faults'."""
    story = _story(meanwhile=0.5, traits=Traits(Loss.LINK)).pressed(30, 50, 30)
    story.fault(
        "command", "n2", decided=since, in_force=since + 0.1, healing=until, healed=until + 0.1, traits=Traits(Loss.NOTHING), number=2
    )
    found = _judged(story)
    assert found.verdict is verdict, found.summary


def test_what_machines_did_by_themselves_convicts_nobody() -> None:
    """One that was off, or stood still, though no fault took it; and a load that is not the doing of a fault that takes something away."""
    bad = _story(bad=40)
    assert _judged(bad).verdict is BROKEN
    assert _judged(bad.copy().off(31, "n1").node(36, "n1", "web@1")).verdict is UNKNOWN
    assert _judged(bad.copy().endures(beats="n1 n2 n3").stalled(31, 35, "n2")).verdict is UNKNOWN
    lost = _story(meanwhile=0.5, traits=Traits(Loss.LINK))
    assert _judged(lost).verdict is BROKEN
    assert _judged(lost.copy().pressed(30, 50, 30)).verdict is UNKNOWN
    assert _judged(_story(meanwhile=0.5).pressed(30, 50, 30)).verdict is BROKEN


def test_what_is_not_told_convicts_nobody() -> None:
    """Answers that are missing may have been quick, and so may those after the end of a history that was cut off."""
    story = _story(bad=2)
    assert _judged(story).verdict is HELD
    quick = [(time, event) for time, event in story._told if isinstance(event, Answered) and 33 < time < 48]
    mute = story.copy()
    mute._told = [each for each in story._told if each not in quick]
    assert _judged(mute).verdict is UNKNOWN
    short = story.copy()
    short._told = [each for each in story._told if each[0] < 40]
    expected = Expected(("n1", "n2", "n3"), named=(("storm", (1,)),))
    assert Prompt("web", 0.2, expected=expected, during=("storm",)).check(short.history()).verdict is UNKNOWN
    assert Prompt("web", 0.2, expected=expected).check(short.history()).verdict is UNKNOWN


def test_calls_of_which_nobody_tells_may_have_been_made_in_the_time_that_is_judged() -> None:
    """Also where the last one that is told of was before it."""
    story = _story()
    story._told = [_slow(time, event) for time, event in story._told]
    gone = {event.op for time, event in story._told if isinstance(event, Invoked) and 29.5 < time < 38}
    assert len(gone) < 100
    story._told = [each for each in story._told if getattr(each[1], "op", None) not in gone]
    assert _judged(story).verdict is not BROKEN


def _slow(time: float, event: Any) -> tuple[float, Any]:
    """Have two answers of the fault's time come late."""
    return (time + 0.5, event) if isinstance(event, Answered) and 44.0 < time < 44.2 else (time, event)


def test_what_was_as_slow_for_as_long_before_convicts_nobody() -> None:
    """A moment now and then that is one in a hundred of all the time before is more than that of a shorter one; a longer moment is the fault's."""
    assert _judged(_pausing(4)).verdict is UNKNOWN
    assert _judged(_pausing(12)).verdict is BROKEN


def _pausing(calls: int) -> Story:
    """Tell of calls of which four are slow before a fault, and so many in it."""
    story = Story().phase(0.5, Phase.STEADY).whole(1, "before").phase(49, Phase.FAULTS).phase(60.3, Phase.SETTLING).node(0, "n1", "web@1")
    story.watched(69, "n1").fault("command", "n1", decided=49.9, in_force=50, healing=60, healed=60.2)
    for number in range(20, 690):
        slow = 100 <= number < 104 or 520 <= number < 520 + calls
        story.call(number / 10.0 + 0.03, "http", Call("get", "web@1"), took=0.5 if slow else 0.01, by="n1")
    return story


def test_what_may_have_been_the_faults_acquits_nobody() -> None:
    """What was slow from its decision on, though it is known to have bitten only later."""
    story = Story().phase(0.5, Phase.STEADY).whole(1, "before").phase(29, Phase.FAULTS).phase(50.3, Phase.SETTLING).node(0, "n1", "web@1")
    story.watched(69, "n1").fault("command", "n1", decided=29.9, in_force=33, healing=50, healed=50.2)
    for number in range(20, 690):
        story.call(number / 10.0 + 0.03, "http", Call("get", "web@1"), took=0.5 if 299 <= number < 330 else 0.01, by="n1")
    found = _judged(story)
    assert found.verdict is UNKNOWN
    assert "nobody knows whether the fault had bitten before 33.0 s" in found.summary


def test_calls_to_what_was_not_to_run_do_not_count() -> None:
    """While its app was scaled away; for what else an action did to it there is a name in the verdict."""
    story = _story(bad=40)
    gone = story.copy().action(31, 31.1, "app.scale", effect=Effect(runs={"web": 0}), was={"web": 1})
    back = gone.action(34.9, 35, "app.scale", effect=Effect(runs={"web": 1}), was={"web": 0}, number=2)
    assert _judged(back).verdict is HELD
    anew = _judged(story.copy().action(31, 35, "app.restart", effect=Effect(renews=("web",))))
    assert anew.verdict is BROKEN
    assert "action app.restart was done from 31.0 s on" in anew.summary


def test_without_a_time_before_nobody_knows_how_it_was() -> None:
    """A workload that began with the fault has nothing to be compared with."""
    story = Story().phase(0.5, Phase.STEADY).whole(1, "before").phase(2, Phase.FAULTS).phase(50.3, Phase.SETTLING).node(0, "n1", "web@1")
    story.watched(69, "n1").fault("command", "n1", decided=2, in_force=2.1, healing=50, healed=50.2)
    for number in range(30, 400):
        story.call(number / 10.0, "http", Call("get", "web@1"), took=0.5, by="n1")
    found = _judged(story)
    assert found.verdict is UNKNOWN
    assert "nobody knows how it was" in found.summary


def test_answers_that_are_missing_acquit_nobody() -> None:
    """They may have been slow."""
    story = _story(0.01, 0.1, 0.01)
    for number in range(5):
        story.call(40 + number, "http", Call("get", "web@1"), None)
    assert _judged(story).verdict is UNKNOWN


def test_calls_that_were_due_and_never_made_acquit_nobody() -> None:
    """Whoever waits for a slow answer makes none meanwhile: those that were made are the quick ones."""
    story = Story().phase(0.5, Phase.STEADY).whole(1, "before").phase(29, Phase.FAULTS).phase(50.3, Phase.SETTLING).node(0, "n1", "web@1")
    story.watched(69, "n1").fault("command", "n1", decided=29.9, in_force=30, healing=50, healed=50.2)
    for number in range(20, 699):
        if not 330 < number < 400:
            story.call(number / 10.0, "http", Call("get", "web@1"), took=0.02, by="n1")
    found = _judged(story)
    assert found.verdict is UNKNOWN
    assert "were never made" in found.summary


@pytest.mark.parametrize(
    ("promise", "said"),
    [
        ("{app: wep, p99: 1s}", "unknown app 'wep'"),
        ("{app: web}", "'p99' is missing"),
        ("{app: web, p99: x}", "a duration"),
        ("{app: web, p99: 1s, during: none}", "which no fault is called"),
    ],
)
def test_a_promise_that_cannot_be(promise: str, said: str) -> None:
    """It is told where it stands."""
    with pytest.raises(BadInput, match=said):
        loads(
            "scenario: x\nwhy: y\napps: [{name: web, instances: 1}]\nworkloads: [{http: {app: web}}]\n"
            f"steps: [{{fault: node.kill, on: n1, hold: 5s, as: dead}}]\npromises: [{{latency: {promise}}}]\n"
        )


def test_a_promise_of_an_app_that_nobody_calls() -> None:
    """It could only be unknown."""
    with pytest.raises(BadInput, match="that nobody calls"):
        loads(
            "scenario: x\nwhy: y\napps: [{name: web, instances: 1}]\n"
            "steps: [{fault: node.kill, on: n1, hold: 5s}]\npromises: [{latency: {app: web, p99: 1s}}]\n"
        )
