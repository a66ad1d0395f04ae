"""Histories as intervals: arithmetic, fault bands, node truth, the API's word, leaders."""

from __future__ import annotations

import hypothesis
import pytest
from hypothesis import strategies as st

from harness.checkers import Bystanders, Manual, Rescheduled, Single
from harness.core.traits import daemon
from harness.core.values import Container, Loss, NodeState, Stage, Traits, Verdict
from harness.history.absence import merged_views
from harness.history.bands import bites, biting, fault_bands
from harness.history.events import FaultStage, History, NodeSeen
from harness.history.intervals import Interval, common, node_spans, span_at, stays, total, united, views, without
from harness.history.reigns import reign_at, reigns
from harness.testing.histories import Story, node_kill

pieces = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 8)).map(lambda pair: Interval(pair[0], pair[0] + pair[1])), max_size=8)


def moments(intervals: list[Interval]) -> set[int]:
    """The whole seconds that intervals with whole bounds cover."""
    return {second for each in intervals for second in range(int(each.start), int(each.end))}


@hypothesis.given(pieces, pieces)
def test_interval_arithmetic_agrees_with_sets_of_seconds(left: list[Interval], right: list[Interval]) -> None:
    """Union, intersection and difference of intervals are those of the seconds in them."""
    assert moments(united(left)) == moments(left)
    assert moments(common(left, right)) == moments(left) & moments(right)
    assert moments(without(left, right)) == moments(left) - moments(right)
    assert total(left) == len(moments(left))


def test_what_is_united_is_sorted_and_has_no_empty_stretch() -> None:
    """Touching stretches become one, empty ones vanish."""
    assert united([Interval(5, 6), Interval(1, 2), Interval(2, 3), Interval(4, 4)]) == [Interval(1, 3), Interval(5, 6)]


ID = "web@0a1b2c3d-0000-4000-8000-000000000001"


def known_later(story: Story, node: str, *, called: float, numbered: float | None, number: str = "web@1") -> Story:
    """Have a node run a container that is called by an id, and has a number only later, or never."""
    for time, name in ((called, ID), *([(numbered, number)] if numbered is not None else [])):
        story.tell(time, NodeSeen(node, NodeState.UP, (Container("c" * 64, name),)))
    return story


@pytest.mark.parametrize("numbered", [31.0, 38.0])
@pytest.mark.parametrize(("part", "hit"), [("mesos-agent", "n2"), ("marathon", "n1")])
def test_a_container_that_has_a_number_only_later_is_one_instance_all_along(part: str, hit: str, numbered: float) -> None:
    """It was there when a fault came by another name, and did not stop when it got its own."""
    story = Story().node(0.5, "n1").node(0.5, "n2").node(0.5, "n3").endures().watched(79, "n1 n2 n3").whole(3, "before")
    known_later(story, "n2", called=29.8, numbered=numbered)
    story.fault("process.kill", hit, decided=30, in_force=30.1, healing=60, healed=61, traits=daemon(part, in_place=False), lost=hit)
    history = story.done(80).history()
    assert {each.instance for each in stays(node_spans(history))} == {"web@1"}
    said = [each.check(history).verdict for each in (Bystanders(), Rescheduled("web", 5.0), Manual("web", 5.0))]
    assert Verdict.BROKEN not in said


def test_a_container_that_never_had_a_number_convicts_nobody_and_acquits_nobody() -> None:
    """It may have been any instance, also one that ran elsewhere."""
    story = Story().node(0.5, "n1").node(0.5, "n2").node(0.5, "n3").endures().watched(79, "n1 n3").whole(3, "before")
    known_later(story, "n2", called=29.8, numbered=None)
    story.fault("node.kill", "n2", decided=30, in_force=30.1, healing=60, healed=61).off(30.05, "n2").node(61, "n2").node(33, "n3", "web@1")
    history = story.watched(29.9, "n2").watched(79, "n2", start=61.5).done(80).history()
    assert {each.check(history).verdict for each in (Rescheduled("web", 5.0), Manual("web", 5.0), Single("web"))} == {Verdict.UNKNOWN}


def test_a_fault_band_has_every_stage_and_its_evidence() -> None:
    """A band knows when each stage came, how long it was held, and where that stands."""
    history = Story().fault("node.kill", "n2", decided=5, in_force=5.2, healing=30, healed=33).done(40).history()
    (band,) = fault_bands(history)
    assert (band.decided, band.in_force, band.healing, band.healed, band.failed) == (5, 5.2, 30, 33, None)
    assert band.held(history.end) == Interval(5.2, 30)
    assert band.life(history.end) == Interval(5, 33)
    assert [history.entries[index].time for index in band.entries] == [5, 5.2, 30, 33]


def test_a_band_that_never_ended_runs_to_the_end_of_the_history() -> None:
    """A harness that was killed leaves a fault without a heal."""
    history = Story().fault("node.kill", "n2", decided=5, in_force=6).node(20, "n1").history()
    (band,) = fault_bands(history)
    assert band.held(history.end) == Interval(6, 20)
    assert band.life(history.end) == Interval(5, 20)


def test_a_stage_told_target_by_target_counts_from_the_last() -> None:
    """In force means: on every target."""
    both = ("n1", "n2")
    story = Story().tell(1, FaultStage(1, "net.partition", both, Stage.DECIDED))
    story.tell(2, FaultStage(1, "net.partition", ("n1",), Stage.IN_FORCE))
    assert fault_bands(story.history())[0].in_force is None
    story.tell(3, FaultStage(1, "net.partition", ("n2",), Stage.IN_FORCE))
    assert fault_bands(story.history())[0].in_force == 3


def killed(**off: float) -> Story:
    """Power is cut on n1 and n2 from 10 s on, and the last switch says at 40 s that it is done; a node was seen off when `off` says so."""
    story = Story().node(0, "n1").node(0, "n2").node(0, "n3").fault("node.kill", "n1 n2", decided=10, in_force=40, healing=60, healed=62)
    for node, time in off.items():
        story.off(time, node)
    return story.done(80)


@pytest.mark.parametrize(
    ("off", "bite"),
    [
        ({}, Interval(40, 40)),
        ({"n1": 10.5, "n2": 35}, Interval(10.5, 35)),
        ({"n2": 12}, Interval(12, 40)),
        ({"n1": 9, "n2": 12}, Interval(12, 40)),
        ({"n1": 42, "n2": 43}, Interval(40, 40)),
        ({"n3": 12}, Interval(40, 40)),
    ],
    ids=["none", "both", "one", "one-before", "both-after", "no-target"],
)
def test_a_fault_bites_from_its_first_target_to_its_last(off: dict[str, float], bite: Interval) -> None:
    """A target counts from when it was seen off, if that was after the decision and before in force; else from in force."""
    history = killed(**off).history()
    (band,) = fault_bands(history)
    assert biting(band, node_spans(history)) == bite


def test_a_fault_bites_when_it_is_in_force_where_no_power_is_cut() -> None:
    """Also where node truth never spoke, and where nobody was hit."""
    for targets in ("n1", ""):
        history = Story().fault("net.partition", targets, decided=10, in_force=12, healing=60, healed=62).done(80).history()
        (band,) = fault_bands(history)
        assert biting(band, node_spans(history)) == Interval(12, 12)


def test_node_truth_has_no_holes_and_one_span_for_what_did_not_change() -> None:
    """Samples that say the same are one span; an off node runs nothing, and that is known."""
    history = Story().node(0, "n1", "web@1").off(10, "n1").node(20, "n1").done(30).history()
    spans = node_spans(history)["n1"]
    assert [(span.start, span.end, span.state, sorted(span.instances), span.sure) for span in spans] == [
        (0, 10, NodeState.UP, ["web@1"], True),
        (10, 20, NodeState.OFF, [], True),
        (20, 30, NodeState.UP, [], True),
    ]


def test_an_unreachable_node_keeps_what_was_known_and_is_not_sure() -> None:
    """Could not ask is never no."""
    history = Story().node(0, "n1", "web@1").unreachable(10, "n1").done(30).history()
    last = node_spans(history)["n1"][-1]
    assert (last.instances, last.sure) == (frozenset({"web@1"}), False)


def test_a_long_silence_makes_node_truth_unsure() -> None:
    """What nobody looked at for six seconds may have been anything."""
    history = Story().node(0, "n1", "web@1").node(4, "n1", "web@1").node(10, "n1", "web@1").done(12).history(beats=False)
    assert [(span.start, span.end, span.sure) for span in node_spans(history)["n1"]] == [(0, 4, True), (4, 10, False), (10, 12, True)]


def test_a_span_is_found_by_time() -> None:
    """Before the first sample nothing is known."""
    spans = node_spans(Story().node(3, "n1").off(5, "n1").done(9).history())["n1"]
    assert span_at(spans, 2) is None
    assert [span.state for time in (3, 4.9, 5, 100) if (span := span_at(spans, time))] == [NodeState.UP, NodeState.UP] + [NodeState.OFF] * 2


def test_stays_say_where_an_instance_ran_and_when() -> None:
    """A node kill ends one stay and begins another elsewhere."""
    every = stays(node_spans(node_kill().history()))
    assert [(stay.instance, stay.node, stay.start, stay.end) for stay in every] == [
        ("web@1", "n1", 0.5, 70.0),
        ("web@2", "n2", 0.5, 10.04),
        ("web@2", "n3", 40.25, 70.0),
    ]


def test_a_view_counts_until_the_next_answer_or_lack_of_one() -> None:
    """A node whose API stops answering no longer says what it said."""
    history = Story().api(1, "n1", "n1 n2", {"web@1": "n1"}).no_api(5, "n1").done(9).history()
    assert [(claim.start, claim.end) for claim in views(history)["n1"]] == [(1, 5)]


def test_the_merged_view_listens_to_survivors_only() -> None:
    """What a cut-off node's API tells does not count while the fault lasts, however new it is."""
    story = Story().api(1, "n1", "n1 n2", {"web@1": "n2"}).api(1, "n2", "n1 n2", {"web@1": "n2"})
    story.fault("net.partition", "n2", decided=5, in_force=5, healing=20, healed=20)
    story.api(8, "n1", "n1", {"web@1": "n1"}).api(10, "n2", "n1 n2", {"web@1": "n2"}).done(30)
    homes = [(claim.start, claim.end, claim.view.placements[0].node) for claim in merged_views(story.history())]
    # After the heal the newest word of all counts again, which here is the stale one.
    assert homes == [(1, 8, "n2"), (8, 20, "n1"), (20, 30, "n2")]


def test_where_every_node_is_a_target_all_are_listened_to() -> None:
    """A fault everywhere must not make the API's word vanish."""
    story = Story().api(1, "n1", "n1", {"web@1": "n1"}).fault("disk.slow", "n1", decided=2, in_force=2, healing=8, healed=8).done(10)
    assert total(claim.interval for claim in merged_views(story.history())) == pytest.approx(9)


def test_the_leader_is_whom_a_majority_follows_in_the_highest_term() -> None:
    """One node alone in a higher term leads nobody, and a cut-off leader's old term does not count."""
    story = Story().members(0, "n1 n2 n3", 2, "n1").member(5, "n2", 3, "n2").member(6, "n3", 3, "n2").done(10)
    every = reigns(story.history())
    assert [(reign.start, reign.end, reign.term, reign.leader) for reign in every] == [(0, 6, 2, "n1"), (6, 10, 3, "n2")]
    at_eight = reign_at(every, 8)
    assert at_eight is not None
    assert at_eight.leader == "n2"
    assert reign_at(every, -1) is None


def test_an_off_node_follows_nobody() -> None:
    """Two of three members off: no majority, no leader."""
    story = Story().members(0, "n1 n2 n3", 2, "n1").off(5, "n2").off(6, "n3").done(10)
    last = reigns(story.history())[-1]
    assert (last.start, last.leader) == (6, None)


@pytest.mark.parametrize(
    ("kind", "lost", "homes"),
    [
        (Traits(Loss.LINK), "n3", ["n1"]),  # the targets are the majority: it is the other one's word that does not count
        (Traits(Loss.LINK), "", ["n1", "n3"]),  # a bridge: everybody's counts
        (Traits(Loss.NODE), "n1 n2", ["n1", "n3"]),
        (Traits(), "", ["n1", "n3"]),
    ],
)
def test_the_survivors_word_is_that_of_those_who_are_not_lost(kind: Traits, lost: str, homes: list[str]) -> None:
    """Not of those who were not aimed at."""
    story = Story().fault("x", "n1 n2", decided=5, in_force=5, healing=20, healed=20, traits=kind, lost=lost)
    story.api(1, "n1", "n1 n2 n3", {"web@1": "n1"}).api(10, "n3", "n3", {"web@1": "n3"})
    claims = merged_views(story.done(15).history())
    assert [claim.view.placements[0].node for claim in claims if claim.end > 10 or claim.start < 5][:2] == homes


def test_a_machine_that_goes_off_under_another_fault_is_no_bite_of_a_cut() -> None:
    """Only what takes machines away is seen by their being off."""
    for kind, bite in ((Traits(Loss.LINK), 12), (Traits(Loss.NODE), 11)):
        told = Story().node(0, "n1").off(11, "n1").fault("x", "n1", decided=10, in_force=12, traits=kind, lost="n1").done(20).history()
        (band,) = fault_bands(told)
        assert bites(band, node_spans(told)["n1"]) == bite


def test_an_empty_history_has_none_of_these() -> None:
    """Nothing recorded is nothing known."""
    empty = History([])
    assert (fault_bands(empty), node_spans(empty), views(empty), merged_views(empty), reigns(empty)) == ((), {}, {}, (), ())
