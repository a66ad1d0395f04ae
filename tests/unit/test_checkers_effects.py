"""A fault that visibly did nothing, an answer of nobody and work that ran too early are unknown; what lags at the edges is not."""

from __future__ import annotations

import pytest

from harness.checkers import Assumptions
from harness.checkers.effects import answers_of_nobody, ran_too_early, without_effect, words_of_the_off
from harness.checkers.expected import Expected
from harness.core.traits import daemon
from harness.core.values import Loss, NodeState, Outcome, Traits, Verdict
from harness.history.absence import Absence
from harness.history.bands import fault_bands
from harness.history.events import History, NodeSeen, Watching
from harness.history.intervals import node_spans
from harness.testing.histories import Story, node_kill

CUT = Traits(Loss.LINK, blinds=("membership", "placement"), apart=True)
CROSSED = Traits(Loss.LINK, blinds=("membership", "placement"))


def said(history: History, member: str = "") -> list[str]:
    """What contradicts the faults; each of it is unknown."""
    spans, bands, expected = node_spans(history), fault_bands(history), Expected(member=member)
    points = [
        *without_effect(history, bands, spans, expected),
        *answers_of_nobody(history, spans),
        *ran_too_early(history, bands, spans, expected),
    ]
    assert all(point.verdict is Verdict.UNKNOWN for point in points)
    return [point.text for point in points]


def lost(process: str, *, in_place: bool = False) -> Story:
    """Of three nodes n1, the leader in term 2, loses a daemon from 10 s to 40 s."""
    story = Story().node(0, "n1", "web@1").node(0, "n2").node(0, "n3").members(1, "n1 n2 n3", 2, "n1").whole(2, "before")
    story.fault(
        "process.kill", "n1", decided=10, in_force=10.1, healing=40, healed=41, traits=daemon(process, in_place=in_place), lost="n1"
    )
    return story.done(60)


def test_a_good_run_contradicts_nothing() -> None:
    """Else nothing below would mean anything."""
    assert said(node_kill().history()) == []


def test_a_member_that_is_lost_and_goes_on_telling_its_status_is_unknown() -> None:
    """It was killed, and says who leads."""
    assert said(lost("etcd").member(25, "n1", 2, "n1").history()) == [
        "process.kill was in force on n1 by the kernel's word, yet n1's member said that it was in term 2 at 25.0 s"
    ]


def test_the_daemon_by_which_a_node_is_a_member_is_the_mode_s() -> None:
    """Where Docker is the member, one that was killed says nothing of its term; and etcd's death is not its."""
    for member, process, count in (("docker", "docker", 1), ("docker", "etcd", 0), ("etcd", "etcd", 1), ("etcd", "docker", 0)):
        assert len(said(lost(process).member(25, "n1", 3, "n2").history(), member)) == count, (member, process)


@pytest.mark.parametrize(
    "story",
    [
        lost("etcd").member(11, "n1", 2, "n1"),  # on its way
        lost("etcd").no_member(11, "n1").member(42, "n1", 3, "n2"),  # after the heal
        lost("etcd").member(25, "n2", 3, "n2"),  # another one
        lost("etcd", in_place=True).member(25, "n1", 2, "n1"),  # started again by its supervisor
        lost("fleetd").member(25, "n1", 2, "n1"),  # another daemon
        lost("docker").member(25, "n1", 2, "n1"),  # its members are etcd's
        lost("etcd").docker(25, "n1", "start", "web@1"),
        lost("etcd").stalled(20, 25).member(26, "n1", 2, "n1"),  # late, as everything was
    ],
)
def test_what_a_fault_leaves_alone_may_go_on(story: Story) -> None:
    """Acquitted."""
    assert said(story.history()) == []


def test_a_docker_that_is_lost_and_tells_of_its_containers_is_unknown() -> None:
    """One that was stuck tells it afterwards, with the time of then."""
    told = said(lost("docker").docker(25, "n1", "die", "web@1").history())
    assert told == ["process.kill was in force on n1 by the kernel's word, yet n1's Docker told of a die at 25.0 s"]
    assert said(lost("docker").docker(40.5, "n1", "die", "web@1", at=25).history()) == []


def cut(shape: str = "isolate", kind: Traits = CUT) -> Story:
    """Of three nodes n1, the leader in term 2, is cut off from 10 s to 40 s; n2 leads in term 3."""
    story = Story().node(0, "n1", "web@1").node(0, "n2").node(0, "n3").members(1, "n1 n2 n3", 2, "n1").whole(2, "before")
    story.api(3, "n1", "n1 n2 n3", {"web@1": "n1"}).members(12, "n2 n3", 3, "n2")
    story.fault(
        "net.partition", "n1", decided=10, in_force=10.1, healing=40, healed=41, traits=kind, lost="n1", parameters={"shape": shape}
    )
    return story.done(60)


def test_a_node_that_is_cut_off_and_knows_what_only_the_others_can_is_unknown() -> None:
    """Their leader of a later term; where they placed something since."""
    assert said(cut().member(25, "n1", 3, "n2").history()) == [
        "net.partition was in force on n1 by the kernel's word, yet n1 followed n2 in term 3 at 25.0 s"
    ]
    # Members are recorded when something changes: what was said just after the cut, and never taken back, was so all along.
    assert said(cut().member(12, "n1", 3, "n2").history()) == [
        "net.partition was in force on n1 by the kernel's word, yet n1 followed n2 in term 3 at 12.0 s"
    ]
    assert said(cut().api(25, "n1", "n1 n2 n3", {"web@1": "n3"}).history()) == [
        "net.partition was in force on n1 by the kernel's word, yet the API at n1 showed web@1 on n3 at 25.0 s"
    ]


@pytest.mark.parametrize(
    "story",
    [
        cut().member(25, "n1", 2, "n1"),  # the leader of before
        cut().member(25, "n1", 4, None),  # a candidate
        cut().member(12, "n1", 3, "n2").member(12.5, "n1", 4, None),  # on its way
        cut().member(42, "n1", 3, "n2"),  # after the heal
        cut().api(25, "n1", "n1 n2 n3", {"web@1": "n1"}),  # what it knew before
        cut("one_way", CROSSED).member(25, "n1", 3, "n2"),  # it hears the others
    ],
)
def test_what_a_node_that_is_cut_off_may_know_is_no_contradiction(story: Story) -> None:
    """Acquitted."""
    assert said(story.history()) == []


def switched(said: float) -> History:
    """Of three nodes n2 is off from 10 s, and being switched on from 40 to 46 s; its member speaks at a moment; node truth sees it only at 50 s."""
    story = Story().node(0, "n1").node(0, "n2").node(0, "n3").members(1, "n1 n2 n3", 2, "n1").whole(2, "before")
    story.fault("node.kill", "n2", decided=10, in_force=10.1, healing=40, healed=46, traits=Traits(Loss.NODE), lost="n2")
    return story.off(10.2, "n2").member(said, "n2", 2, "n1").node(50, "n2").done(60).history()


def test_a_machine_that_is_being_switched_on_may_speak_before_node_truth_is_back() -> None:
    """Over SSH that takes seconds more. While nobody mends it, it cannot have spoken."""
    assert [point.text for point in words_of_the_off(switched(43))] == []
    assert [point.text for point in words_of_the_off(switched(36))] == ["n2 was off by node truth at 36.0 s, yet its member answered"]
    assert {each.interval.end for each in Absence.of(switched(43)).unable if each.node == "n2"} == {40.0}


def test_a_good_answer_of_a_node_that_ran_nothing_of_the_kind_is_unknown() -> None:
    """It was off, or ran something else; an answer at the edge of what was seen is none."""
    assert said(node_kill().get(30, "web@2", by="n2").history()) == [
        "web@2 was answered well by n2 at 30.0 s, when n2 was off by node truth"
    ]
    assert said(node_kill().get(30, "web@1", by="n3").history()) == [
        "web@1 was answered well by n3 at 30.0 s, when n3 did not run it by node truth"
    ]
    assert said(node_kill().get(11, "web@2", by="n2").get(39, "web@2", by="n3").history()) == []
    assert said(node_kill().unreachable(30, "n3").get(32, "web@1", by="n3").node(34, "n3").history()) == []


def test_work_that_ran_well_before_it_was_placed_is_unknown() -> None:
    """The API was asked in between, and did not show it there; where nobody asked, its word is only late."""
    assert said(node_kill().node(35, "n3", "web@2").history()) == [
        "web@2 ran on n3 from 35.0 s by node truth, and the API placed it there at 39.0 s: one of the two is told at a wrong time"
    ]
    assert said(node_kill().node(38.5, "n3", "web@2").history()) == []


@pytest.mark.parametrize(("elected", "told"), [(46, 0), (42, 1)])
def test_work_that_was_placed_only_when_somebody_led_again_is_no_contradiction(elected: float, told: int) -> None:
    """Until then the API tells what was before, also to those that no fault holds any more."""
    story = Story().node(0, "n1", "web@1").node(0, "n2", "web@2").node(0, "n3").members(0.5, "n1 n2 n3", 2, "n1")
    story.api(1, "n3", "n1 n2 n3", {"web@1": "n1", "web@2": "n2"})
    story.fault("node.kill", "n1 n2", decided=10, in_force=10.2, healing=40, healed=41, traits=Traits(Loss.NODE), lost="n1 n2")
    story.off(10.1, "n1").off(10.1, "n2").member(12, "n3", 2, None).node(20, "n3", "web@2").node(41, "n1").node(41, "n2")
    story.members(elected, "n1 n2 n3", 3, "n3").api(44, "n3", "n1 n2 n3", {"web@1": "n1", "web@2": "n2"})
    story.api(48, "n3", "n1 n2 n3", {"web@2": "n3"})
    assert sum("one of the two is told at a wrong time" in each for each in said(story.done(60).history())) == told


@pytest.mark.parametrize(("until", "verdict"), [(53.0, Verdict.HELD), (60.0, Verdict.HELD), (68.9, Verdict.UNKNOWN)])
def test_a_machine_that_is_off_for_longer_than_a_boot_takes_is_unknown(until: float, verdict: Verdict) -> None:
    """Power is back at 53 s."""
    story = Story()
    for entry in node_kill().history().entries:
        late = getattr(entry.event, "node", "") == "n2" and 53.0 <= entry.time < until
        if not late or isinstance(entry.event, NodeSeen) or (isinstance(entry.event, Watching) and entry.event.observer == "host"):
            story.tell(entry.time, NodeSeen("n2", NodeState.OFF) if late and isinstance(entry.event, NodeSeen) else entry.event)
    finding = Assumptions().check(story.history(beats=False))
    assert (finding.verdict, verdict is Verdict.HELD or "and no fault explains" in finding.summary) == (verdict, True)


def test_a_machine_that_is_back_may_be_out_of_reach_for_a_moment_while_it_boots() -> None:
    """It had spoken at 53 s, and speaks again in the time that a boot takes; one that never does is unknown."""
    assert Assumptions().check(node_kill().unreachable(55, "n2").node(57, "n2").history()).verdict is Verdict.HELD
    assert Assumptions().check(node_kill().unreachable(58.5, "n2").history()).verdict is Verdict.UNKNOWN


@pytest.mark.parametrize(
    ("by", "words"), [(None, "by nobody"), ("", "by nobody"), ("n9", "by n9 at 30.0 s, which no node truth ever spoke of")]
)
def test_a_good_answer_of_nobody_or_of_a_stranger_is_unknown(by: str | None, words: str) -> None:
    """Every good one is by a node; a bad one is by nobody."""
    (told,) = said(node_kill().get(30, "web@2", by=by).history())
    assert words in told
    assert said(node_kill().get(30, "web@2", Outcome.FAIL, by=by).history()) == []


@pytest.mark.parametrize("observer", ["docker", "membership", "placement"])
def test_an_observer_that_asks_a_machine_cannot_watch_one_that_is_off(observer: str) -> None:
    """The one that asks the host can, and one that could not ask says so; a word just after may be from before."""
    words = f"yet the {observer} observer watched it"
    assert words in Assumptions().check(node_kill().watching(30, observer, "n2").history()).summary
    for story in (
        node_kill().watching(12, observer, "n2"),
        node_kill().watching(30, observer, "n2", alive=False),
        node_kill().watching(30, "host", "n2"),
    ):
        assert "observer watched it" not in str(Assumptions().check(story.history()).details)


def test_docker_of_a_machine_that_is_off_tells_of_no_container() -> None:
    """What it tells when it is back may be of then."""
    assert "its Docker told of a container" in Assumptions().check(node_kill().docker(30, "n2", "die", "web@2").history()).summary
    assert Assumptions().check(node_kill().docker(54, "n2", "die", "web@2", at=30).history()).verdict is Verdict.HELD
