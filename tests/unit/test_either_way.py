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
