"""The promise of whoever has no failure detector: what is lost stays down until somebody acts, and comes back by that."""

from __future__ import annotations

import pytest

from harness.checkers import Manual
from harness.core.values import Effect, Outcome, Verdict
from harness.faults.power import NodeKill
from harness.history.events import History
from harness.testing.histories import Story

REPLAY = Effect(disturbs=True)


def lost(
    *, back: float | None, acts: tuple[tuple[float, float, Outcome], ...] = (), effect: Effect = REPLAY, silent: bool = False
) -> History:
    """Return a run of three hosts of which n1 has no power from 10 to 60 s; what it ran runs on n3 from some moment on, or never."""
    story = Story().node(0.5, "n1", "web@1").node(0.5, "n2", "web@2").node(0.5, "n3").watched(79.0, "n2 n3").watched(9.9, "n1")
    story.fault(NodeKill.name, "n1", decided=10.0, in_force=10.1, healing=60.0, healed=61.0).off(10.05, "n1").node(61.0, "n1")
    story.watched(79.0, "n1", start=61.5)
    if silent:
        story.unreachable(15.0, "n2").node(25.0, "n2", "web@2")
    if back is not None:
        story.node(back, "n3", "web@1")
    for begun, ended, outcome in acts:
        story.action(begun, ended, "ansible.replay", effect=effect, outcome=outcome)
    return story.done(80.0).history()


OK = (40.0, 45.0, Outcome.OK)


@pytest.mark.parametrize(
    ("history", "verdict", "said"),
    [
        (
            lost(back=44.0, acts=(OK,)),
            Verdict.HELD,
            "web@1 was down for 29.9 s until ansible.replay was begun, and ran again 4.0 s after that",
        ),
        (lost(back=44.0), Verdict.BROKEN, "web@1 ran again on n3 34.0 s after n1 was lost, and nobody had done anything by then"),
        (lost(back=30.0, acts=(OK,)), Verdict.BROKEN, "nobody had done anything by then"),
        (lost(back=None), Verdict.BROKEN, "ran nowhere from then on, and nobody did anything about it"),
        (lost(back=None, acts=((40.0, 45.0, Outcome.FAIL),)), Verdict.BROKEN, "and ansible.replay was not done"),
        (lost(back=None, acts=(OK,)), Verdict.BROKEN, "did not run within 10 s of its end"),
        (lost(back=58.0, acts=(OK,)), Verdict.BROKEN, "did not run within 10 s of its end at 45.0 s; it ran 13.0 s after that"),
        (lost(back=44.0, acts=((40.0, 45.0, Outcome.FAIL),)), Verdict.BROKEN, "nobody had done anything by then"),
        # nobody knows
        (lost(back=44.0, acts=((40.0, 45.0, Outcome.UNKNOWN),)), Verdict.UNKNOWN, "whether ansible.replay was done"),
        (lost(back=None, acts=((40.0, 45.0, Outcome.UNKNOWN),)), Verdict.UNKNOWN, "whether ansible.replay was done"),
        (lost(back=None, acts=((74.0, 75.0, Outcome.OK),)), Verdict.UNKNOWN, "the run was over before the time was up"),
        (lost(back=44.0, acts=(OK,), silent=True), Verdict.UNKNOWN, "what n2 ran while web@1 was lost is not known"),
        # an action that brings nothing back is none that it waits for
        (lost(back=44.0, acts=(OK,), effect=Effect()), Verdict.BROKEN, "nobody had done anything by then"),
        # tried in vain, and then well
        (lost(back=44.0, acts=((20.0, 25.0, Outcome.FAIL), OK)), Verdict.HELD, "until ansible.replay was begun"),
    ],
)
def test_what_is_lost_stays_down_until_somebody_acts(history: History, verdict: Verdict, said: str) -> None:
    """And is back in time by that, by node truth."""
    finding = Manual("web", 10.0).check(history)
    assert (finding.verdict, said in finding.summary) == (verdict, True), finding.summary


def test_nothing_lost_shows_nothing() -> None:
    """Of an app that no fault took."""
    finding = Manual("db", 10.0).check(lost(back=44.0, acts=(OK,)))
    assert (finding.verdict, finding.summary) == (Verdict.UNKNOWN, "no instance of db was displaced by a fault")
