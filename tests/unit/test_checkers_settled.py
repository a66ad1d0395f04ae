"""Settled: whether the cluster was whole again after the last heal."""

from __future__ import annotations

from harness.checkers import Settled
from harness.history import History
from harness.testing.histories import Story, node_kill
from harness.values import Finding, Verdict


def mended() -> Story:
    """A fault of n1 that was healed at 40 s, and one of n2 that was healed at 60 s."""
    story = Story().node(0, "n1").node(0, "n2").whole(2, "before")
    story.fault("node.kill", "n1", decided=10, in_force=10, healing=39, healed=40)
    return story.fault("node.kill", "n2", decided=45, in_force=45, healing=59, healed=60, number=2)


def judged(story: Story) -> Finding:
    """What the checker says of a run that came to its end."""
    return Settled().check(story.done(99).history())


def test_whole_again_is_held() -> None:
    """The seconds count from the last heal of all."""
    finding = judged(mended().whole(63.2, "after"))
    assert (finding.verdict, finding.summary) == (Verdict.HELD, "whole again 3.2 s after the last heal")


def test_not_whole_again_is_broken_and_says_what_was_missing() -> None:
    """The same run, but for what it waited for."""
    finding = judged(mended().whole(90, "after", "n2 is not listed", "web@1 does not answer"))
    assert (finding.verdict, finding.summary) == (
        Verdict.BROKEN,
        "not whole again 30.0 s after the last heal: n2 is not listed; web@1 does not answer",
    )
    assert len(finding.evidence) == 1


def test_a_run_that_did_not_look_is_unknown() -> None:
    """An older history, or a harness that was killed."""
    assert judged(mended()).verdict is Verdict.UNKNOWN
    good = node_kill().history()
    assert Settled().check(good).verdict is Verdict.HELD
    assert Settled().check(History(good.entries[:-1])).verdict is Verdict.UNKNOWN


def test_a_cluster_that_was_not_whole_before_is_unknown() -> None:
    """What was never whole cannot be whole again; nothing was broken then, and nobody waited."""
    assert judged(Story().node(0, "n1").whole(5, "before", "no leader")).verdict is Verdict.UNKNOWN
    assert judged(mended().whole(5, "before", "no leader").whole(90, "after", "no leader")).verdict is Verdict.UNKNOWN


def test_whole_without_a_heal_counts_from_the_waiting() -> None:
    """A fault that does nothing has nothing to mend."""
    assert judged(Story().whole(2, "before").whole(20, "after", seconds=4)).summary == "whole again 4.0 s after waiting for it"
