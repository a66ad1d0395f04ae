"""How long calls took: what convicts a fault, what acquits it, and what does neither."""

from __future__ import annotations

from typing import Any

import pytest

from harness.checkers import Prompt
from harness.checkers.expected import Expected
from harness.core.errors import BadInput
from harness.core.values import Call, Outcome, Phase, Verdict
from harness.scenario import loads
from harness.testing.histories import Story

HELD, BROKEN, UNKNOWN = Verdict.HELD, Verdict.BROKEN, Verdict.UNKNOWN


def _story(before: float = 0.02, meanwhile: float = 0.02, after: float = 0.02, *, bad: int = 0) -> Story:
    """Tell of calls to web, ten a second, that took so long before a fault from 30 s to 50 s, in it, and after it; so many of it ended badly."""
    story = Story().phase(0.5, Phase.STEADY).whole(1, "before").phase(29, Phase.FAULTS).phase(50.3, Phase.SETTLING)
    for node in ("n1", "n2", "n3"):
        story.node(0, node, *(["web@1"] if node == "n1" else []))
    story.watched(69, "n1 n2 n3").fault("command", "n1", decided=29.9, in_force=30, healing=50, healed=50.2)
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
        (_story(before=0.5, meanwhile=0.6), "so it was before anything was broken"),
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
    assert _judged(_story(0.01, 0.5, 0.01).pressed(2, 68, 30)).verdict is BROKEN
    assert _judged(_story(0.01, 0.5, 0.5).pressed(2, 68, 30)).verdict is UNKNOWN
    assert _judged(_story(0.01, 0.5, 0.5)).verdict is BROKEN
    assert _judged(_story(0.01, 0.1, 0.01).pressed(2, 68, 30)).verdict is HELD


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
