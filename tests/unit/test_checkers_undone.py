"""Faults that were in force by their own word, and whose nodes went on as if nothing were: what does not follow from them convicts nobody."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.checkers import QuorumSurvived, Rescheduled
from harness.core.values import Loss, Phase, Traits, Verdict
from harness.testing.histories import Story

KINDS = {
    "a cut": Traits(Loss.LINK, (), apart=True),
    "a machine": Traits(Loss.NODE, ()),
    "the member": Traits(Loss.PROCESS, ("etcd",), in_place=False),
}


def lost(kind: Traits, node: str, *, went_on: bool) -> Story:
    """Tell of a fault that takes a node from 10 s to 50 s; where it `went_on`, that member is heard, acknowledges writes, and its machine is up."""
    story = Story().phase(0.0, Phase.FORMING).phase(0.5, Phase.DEPLOYING).phase(1.0, Phase.STEADY).phase(9.0, Phase.FAULTS)
    story.node(0.5, "n1", "web@1").node(0.5, "n2").node(0.5, "n3", "web@3").members(0.7, "n1 n2 n3", 2, "n1").whole(
        1.0, "before", seconds=0.5
    )
    story.fault("command", node, decided=10.0, in_force=10.5, healing=50.0, healed=51.0, traits=kind, lost=node)
    others = [each for each in ("n1", "n2", "n3") if each != node]
    for second in range(2, 68):
        away = 10 <= second < 52 and not went_on
        story.write(float(second), f"k{second}", "v", by=others[second % 2] if away or second % 3 else node)
        if went_on:
            story.member(second + 0.1, node, 2, "n1")
    if went_on:
        story.watched(69.0, "n1 n2 n3")
    elif kind.loses is Loss.LINK:
        story.watched(69.0, "n1 n2 n3").no_member(11.0, node).member(53.0, node, 2, "n1")
    else:
        story.watched(69.0, " ".join(others)).watched(9.9, node).watched(69.0, node, start=53.0)
        story.no_member(11.0, node).member(53.0, node, 2, "n1")
        if kind.loses is Loss.NODE:
            story.off(10.4, node).node(52.0, node, *(["web@3"] if node == "n3" else []))
    return story.endures().phase(51.5, Phase.SETTLING).done(70.0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_that_did_nothing_to_a_leader_moves_no_leadership_and_breaks_no_promise(kind: str) -> None:
    """Where its word stands alone, leadership that stays with a leader who is lost is what breaks it."""
    moves = QuorumSurvived(leader="moves")
    finding = moves.check(lost(KINDS[kind], "n1", went_on=True).history())
    assert finding.verdict is Verdict.UNKNOWN, finding.summary
    finding = moves.check(lost(KINDS[kind], "n1", went_on=False).history())
    assert finding.verdict is Verdict.BROKEN, finding.summary


@pytest.mark.parametrize("went_on", [True, False])
@pytest.mark.parametrize(
    ("kind", "then"),
    [
        ("a cut", lambda story: story),
        ("a machine", lambda story: story.node(15.0, "n3")),
        ("a machine", lambda story: story.node(30.0, "n3")),
    ],
)
def test_work_that_a_fault_did_not_take_need_not_come_back(kind: str, then: Callable[[Story], Story], *, went_on: bool) -> None:
    """It ran on where it was, or stopped there by itself, on a node that was not lost."""
    story = lost(KINDS[kind], "n3", went_on=went_on)
    finding = Rescheduled("web", within=20.0).check((then(story) if went_on else story).history())
    assert finding.verdict is (Verdict.UNKNOWN if went_on else Verdict.BROKEN), finding.summary
