"""What hangs on whether an action in doubt was done is unknown, whichever way it hangs on it."""

from __future__ import annotations

import pytest

from harness.checkers.either_way import either_way
from harness.core.values import Effect, Finding, Outcome, Verdict
from harness.history.deeds import deeds
from harness.history.events import History
from harness.testing.histories import Story

HELD, BROKEN, UNKNOWN = Verdict.HELD, Verdict.BROKEN, Verdict.UNKNOWN


@pytest.mark.parametrize(
    ("doubt", "done", "not_done", "verdict", "words"),
    [
        (HELD, HELD, HELD, HELD, "as it is"),
        (HELD, HELD, BROKEN, UNKNOWN, "if it was that is none of it"),
        (HELD, BROKEN, HELD, UNKNOWN, "if it was not that is none of it"),
        (BROKEN, BROKEN, BROKEN, BROKEN, "as it is"),
        (BROKEN, BROKEN, HELD, UNKNOWN, "only if it was"),
        (BROKEN, HELD, BROKEN, UNKNOWN, "only if it was not"),
        (UNKNOWN, HELD, HELD, UNKNOWN, "as it is"),
    ],
)
def test_a_verdict_that_hangs_on_an_action_in_doubt_is_unknown(
    doubt: Verdict, done: Verdict, not_done: Verdict, verdict: Verdict, words: str
) -> None:
    """It may ask for more instances or for fewer, and may have been done or not."""
    found = {Outcome.UNKNOWN: doubt, Outcome.OK: done, Outcome.FAIL: not_done}

    def check(history: History) -> Finding:
        (one,) = deeds(history)
        return Finding("a checker", found[one.outcome], "as it is", {}, ())

    story = Story().action(5, 6, "app.scale", effect=Effect({"web": 3}), was={"web": 2}, outcome=Outcome.UNKNOWN)
    finding = either_way(story.done(9).history(), check)
    assert finding.verdict is verdict
    assert finding.summary.endswith(words)


EVER: dict[tuple[bool, bool] | None, Verdict] = dict.fromkeys([None, (True, True), (True, False), (False, True), (False, False)], BROKEN)
BOTH = "whether app.scale at 5.0 s and app.scale at 7.0 s were done is not known, and that is"


@pytest.mark.parametrize(
    ("found", "verdict", "words"),
    [
        ({}, HELD, "as it is"),
        ({(False, True): BROKEN}, UNKNOWN, f"{BOTH} so if app.scale at 7.0 s was, and not the rest"),
        ({(True, False): BROKEN}, UNKNOWN, f"{BOTH} so if app.scale at 5.0 s was, and not the rest"),
        ({(False, False): BROKEN}, UNKNOWN, f"{BOTH} so if none of them was"),
        ({(True, True): BROKEN}, UNKNOWN, f"{BOTH} so if all of them were"),
        (
            {None: BROKEN, (True, True): BROKEN, (False, False): BROKEN, (True, False): BROKEN},
            UNKNOWN,
            "not so if app.scale at 7.0 s was, and",
        ),
        (EVER, BROKEN, "as it is"),
    ],
)
def test_of_several_actions_in_doubt_any_may_have_been_done(
    found: dict[tuple[bool, bool] | None, Verdict], verdict: Verdict, words: str
) -> None:
    """The one, the other, both, or none."""

    def check(history: History) -> Finding:
        outcomes = [each.outcome for each in deeds(history)]
        key = None if Outcome.UNKNOWN in outcomes else (outcomes[0] is Outcome.OK, outcomes[1] is Outcome.OK)
        return Finding("a checker", found.get(key, HELD), "as it is", {}, ())

    story = Story()
    for number, begun in enumerate((5, 7), 1):
        story.action(begun, begun + 1, "app.scale", effect=Effect({"web": 3}), was={"web": 2}, outcome=Outcome.UNKNOWN, number=number)
    finding = either_way(story.done(20).history(), check)
    assert finding.verdict is verdict
    assert words in finding.summary


def test_of_many_actions_in_doubt_each_is_tried_against_the_others() -> None:
    """In every way they would be too many."""
    tried: list[int] = []

    def check(history: History) -> Finding:
        tried.append(sum(each.outcome is Outcome.OK for each in deeds(history)))
        return Finding("a checker", HELD, "as it is", {}, ())

    story = Story()
    for number in range(1, 6):
        story.action(
            5 + number, 5.5 + number, "app.scale", effect=Effect({"web": 3}), was={"web": 2}, outcome=Outcome.UNKNOWN, number=number
        )
    assert either_way(story.done(20).history(), check).verdict is HELD
    assert sorted(tried[1:]) == [0, *[1] * 5, *[4] * 5, 5]
