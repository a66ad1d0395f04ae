"""How far it goes that who has no majority speaks for no quorum: each half of each rule, by a history that only that half decides."""

from __future__ import annotations

import pytest

from harness.checkers import Assumptions, QuorumSurvived, Rescheduled
from harness.checkers.expected import Expected
from harness.core.traits import EVERYBODY, daemon
from harness.core.values import Budget, Loss, Term, Traits, Verdict
from harness.history.events import MemberSeen, Watching
from harness.testing.histories import Story
from tests.unit.test_checkers_mandate import contradictions, lost, moved, taken, unheard

HELD, BROKEN, UNKNOWN = Verdict.HELD, Verdict.BROKEN, Verdict.UNKNOWN
GONE = Traits(Loss.NODE, blinds=EVERYBODY)


def unled() -> Story:
    """As `lost`, but before the cut nobody has said yet who leads term 2."""
    other = Story()
    for entry in lost().history(beats=False).entries:
        event = entry.event
        other.tell(entry.time, MemberSeen(event.node, event.term, None) if isinstance(event, MemberSeen) else event)
    return other


NAMED: dict[str, tuple[Story, str]] = {
    "by itself, cut off, in a term that began then": (lost().member(14, "n3", 3, "n3"), "n3 named itself the leader of term 3"),
    "by itself, cut off, in the term that there was, first told then": (unled().member(14, "n3", 2, "n3"), ""),
    "by one that is not cut off, in a term that began then": (lost().member(14, "n1", 3, "n3"), ""),
}


@pytest.mark.parametrize("case", NAMED)
def test_who_made_a_leader_without_a_majority_was_cut_off_and_named_it_in_a_new_term(case: str) -> None:
    """An old leader may go on in its old term by its own word, and who can reach the others may have their votes."""
    story, words = NAMED[case]
    finding = Assumptions(Expected()).check(story.history())
    said = f"{finding.summary} {finding.details.get('points', '')}"
    assert (words in said, "the leader of term" in said) == (True, bool(words)), said


ELECTED: dict[str, tuple[Story, Verdict]] = {
    "in a term that somebody knew before": (lost().member(9.9, "n1", 3, None).members(14, "n1 n2", 3, "n3"), HELD),
    "in a term that nobody knew": (lost().members(14, "n1 n2", 3, "n3"), UNKNOWN),
}


@pytest.mark.parametrize("case", ELECTED)
def test_a_leader_may_be_heard_of_after_its_cut_only_in_a_term_from_before(case: str) -> None:
    """Its followers had elected it, and say so late; then they elect another."""
    story, verdict = ELECTED[case]
    finding = QuorumSurvived(leader="moves").check(story.members(18, "n1 n2", 4, "n2").history())
    assert finding.verdict is verdict, finding.summary


def denying(*, asked_until: float, asked_again: float) -> Story:
    """A majority follows n3 from 12 s to the end, whose own last word, until 60 s, is from 12.1 s: that nobody leads.

    It could not be asked between these two.
    """
    story = lost(daemon("fleetd", in_place=True), targets="n2", gone="n2").members(12, "n1 n2", 3, "n3").member(12.1, "n3", 3, None)
    other = Story()
    for entry in story.member(60, "n3", 3, "n3").history(beats=False).entries:
        event = entry.event
        if isinstance(event, Watching) and (event.observer, event.node) == ("membership", "n3") and asked_until < entry.time < asked_again:
            continue
        other.tell(entry.time, event)
    return other


DENIED: dict[str, tuple[float, float, bool]] = {
    "while it was asked": (99, 99, True),
    "for a moment, and then nobody asked": (14, 58, False),
    "for a moment, and then nobody asked any more": (14, 99, False),
    "for long, and then nobody asked": (40, 58, True),
}


@pytest.mark.parametrize("case", DENIED)
def test_a_word_that_denies_counts_as_long_as_somebody_asked_for_it(case: str) -> None:
    """What nobody could ask for, nobody has said."""
    asked_until, asked_again, denied = DENIED[case]
    finding = QuorumSurvived(leader="moves").check(denying(asked_until=asked_until, asked_again=asked_again).history())
    assert ("said itself that it did not lead" in f"{finding.summary} {finding.details}") is denied, finding.summary


READS: dict[str, tuple[Story, str]] = {
    "cut off, a moment ago": (lost(), ""),
    "without power": (lost(GONE), "n3 was lost to their.own"),
    "without its etcd": (lost(daemon("etcd", in_place=False)), "n3 had lost etcd to their.own"),
}


@pytest.mark.parametrize("case", READS)
def test_only_who_is_cut_off_may_go_on_reading_from_the_past(case: str) -> None:
    """A dead member reads nothing."""
    story, words = READS[case]
    said = contradictions(story.read(16, "k", "v", by="n3"))
    assert (words in said, bool(said)) == (True, bool(words)), said


@pytest.mark.parametrize(("time", "possible"), [(21.5, True), (30, False), (37.9, True)])
def test_an_answer_close_to_where_a_machine_was_seen_to_be_off_may_be_from_before_or_after(time: float, possible: bool) -> None:
    """Node truth is seen later than it is so."""
    story = Story().members(0.5, "n1 n2 n3", 2, "n1").watched(69, "n1 n2 n3").whole(1, "before")
    story.node(0.5, "n1").node(0.5, "n2").node(0.5, "n3").off(20, "n3").node(40, "n3").write(time, "k", "v", by="n3").done(70)
    assert ("n3 was off by node truth" in contradictions(story)) is not possible


@pytest.mark.parametrize(("leader", "allowed"), [("n1", "budget 20 s"), ("n3", "budget 40 s")])
def test_whose_budget_counts_goes_by_who_is_lost_not_by_who_was_aimed_at(leader: str, allowed: str) -> None:
    """The majority's side was aimed at, and n3 is who lost: its work has the longer time only where it led."""
    story = Story()
    for entry in lost(shape="halves", targets="n1 n2", gone="n3").history(beats=False).entries:
        event = entry.event
        story.tell(entry.time, MemberSeen(event.node, event.term, leader) if isinstance(event, MemberSeen) else event)
    budgets = {"their.own": Budget((Term("longer", 40, "fleet"),)), "their.own of a follower": Budget((Term("shorter", 20, "fleet"),))}
    history = story.node(1, "n3", "web@3").node(1, "n2").node(10.2, "n3").node(25, "n2", "web@3").history()
    assert allowed in Rescheduled("web", budgets=budgets).check(history).summary


@pytest.mark.parametrize(("until", "verdict"), [(22.5, BROKEN), (40.0, UNKNOWN)])
def test_a_moment_in_which_members_could_not_be_asked_hides_no_election(until: float, verdict: Verdict) -> None:
    """No longer than between two words of somebody who listens."""
    assert moved(unheard(taken(), 20, until, "n1 n2", said=True)) is verdict
