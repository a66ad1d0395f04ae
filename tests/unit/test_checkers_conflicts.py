"""Conflicts: two instances of one app on one node, double runs, and where API and nodes disagree."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from harness.checkers import Conflicts
from harness.checkers.expected import Expected
from harness.core.values import App, Container, Finding, Loss, NodeState, Traits, Verdict
from harness.history.events import NodeSeen
from harness.testing.histories import Story, container

HELD, BROKEN, UNKNOWN = Verdict.HELD, Verdict.BROKEN, Verdict.UNKNOWN


def judged(story: Story, *, expect_double_run: bool = False) -> Finding:
    """What the checker says."""
    return Conflicts(expect_double_run=expect_double_run).check(story.history())


def test_instances_apart_are_held() -> None:
    """One instance a node, and other apps beside it."""
    assert judged(Story().node(0, "n1", "web@1", "db@1").node(0, "n2", "web@2").done(30)).verdict is Verdict.HELD


def test_two_instances_of_one_app_on_one_node_are_broken() -> None:
    """Node, instances, start and length are in the summary and the details."""
    finding = judged(Story().node(0, "n1", "web@1").node(10, "n1", "web@1", "web@2").node(22, "n1", "web@2").done(30))
    assert finding.verdict is Verdict.BROKEN
    assert finding.summary == "n1 ran two instances of web at once, web@1 and web@2, for 12.0 s from 10.0 s"
    assert finding.details["overlaps"] == [
        {"node": "n1", "instances": ["web@1", "web@2"], "sure": True, "from": 10, "to": 22, "length": 12},
    ]
    assert finding.evidence


@pytest.mark.parametrize(
    ("end", "started", "died", "verdict"),
    [
        (10.2, None, None, UNKNOWN),
        (10.9, None, None, UNKNOWN),
        (11.2, None, None, BROKEN),  # a second look shows it
        (10.2, 9.98, 10.17, BROKEN),
        (10.2, 9.98, 10.0, UNKNOWN),  # both were in one look, and the next came late
        (10.2, 9.98, None, UNKNOWN),
        (10.2, None, 10.17, UNKNOWN),
        (10.05, 9.98, 10.03, HELD),
        (10.2, 5.0, 10.17, BROKEN),
    ],
)
def test_a_short_overlap_convicts_where_a_second_look_or_docker_bears_it_out(
    end: float, started: float | None, died: float | None, verdict: Verdict
) -> None:
    """Stopping the old after starting the new, for a fifth of a second, is still two at once; but one look alone may show what came in turn."""
    story = Story().node(0, "n1", "web@1").node(10, "n1", "web@1", "web@2").node(end, "n1", "web@2").done(30)
    for time, action, instance in ((started, "start", "web@2"), (died, "die", "web@1")):
        if time is not None:
            story.docker(10.3, "n1", action, instance, at=time)
    finding = judged(story)
    assert (finding.verdict, "only one look showed it" in finding.summary) == (verdict, verdict is UNKNOWN), finding.summary


def test_an_overlap_below_the_resolution_is_reported_and_forgiven() -> None:
    """Within one sampling step nobody can tell one after the other from both at once."""
    finding = judged(Story().node(0, "n1", "web@1").node(10, "n1", "web@1", "web@2").node(10.05, "n1", "web@2").done(30))
    assert finding.verdict is Verdict.HELD
    assert finding.details["overlaps"]


def test_one_after_the_other_is_held() -> None:
    """No sample shows both."""
    assert judged(Story().node(0, "n1", "web@1").node(10, "n1", "web@2").done(30)).verdict is Verdict.HELD


def test_an_overlap_on_one_node_in_two_stretches_is_told_twice() -> None:
    """Each stretch is an overlap of its own, the longest first in the summary."""
    story = Story().node(0, "n1", "web@1", "web@2").node(2, "n1", "web@1").node(5, "n1", "web@1", "web@2").node(15, "n1").done(30)
    finding = judged(story)
    assert isinstance(finding.details["overlaps"], list)
    assert len(finding.details["overlaps"]) == 2
    assert "for 10.0 s from 5.0 s" in finding.summary


def test_an_overlap_in_unsure_time_only_is_unknown() -> None:
    """A sample that nobody confirmed for longer than five seconds convicts nobody."""
    story = Story().node(0, "n1", "web@1").node(1, "n1", "web@1", "web@2").node(9, "n1", "web@2").node(10, "n1", "web@2").done(14)
    finding = Conflicts().check(story.history(beats=False))
    assert finding.verdict is Verdict.UNKNOWN
    assert finding.summary.startswith("perhaps n1 ran two instances")


def test_an_unreachable_node_lengthens_no_conviction() -> None:
    """The overlap is broken by what was seen, with the length that is sure."""
    finding = judged(Story().node(0, "n1", "web@1", "web@2").unreachable(3, "n1").done(30))
    assert finding.verdict is Verdict.BROKEN
    assert "for 3.0 s" in finding.summary


def test_an_off_node_runs_nothing() -> None:
    """Power-off ends an instance: its copy elsewhere is no double run."""
    finding = judged(Story().node(0, "n1", "web@1").node(0, "n2").off(10, "n1").node(40, "n2", "web@1").done(60))
    assert finding.verdict is Verdict.HELD
    assert finding.details["double_runs"] == []


def test_a_double_run_is_reported_with_its_length_and_never_convicts() -> None:
    """The same instance on two nodes: the guide's rule is not broken, but it is told."""
    story = Story().node(0, "n1", "web@1").node(0, "n2").node(30, "n2", "web@1").node(47.5, "n1").done(60)
    finding = judged(story.fault("net.partition", "n1", decided=9, in_force=10, healing=40, healed=40), expect_double_run=True)
    assert finding.verdict is Verdict.HELD
    assert finding.details["double_runs"] == [
        {"instance": "web@1", "nodes": ["n1", "n2"], "sure": True, "from": 30, "to": 47.5, "length": 17.5},
    ]
    assert "web@1 ran on n1 and n2 at once for 17.5 s" in finding.summary


DOUBLES: dict[str, tuple[float, float, Verdict, str]] = {
    # from when to when both ran; the fault bites at 10 s
    "before the fault": (3, 9, Verdict.UNKNOWN, "no instance was seen on two nodes at once from the first fault on"),
    "across its bite": (3, 16, Verdict.UNKNOWN, "no instance was seen on two nodes at once from the first fault on"),
    "from its decision on": (9.5, 16, Verdict.UNKNOWN, "no instance was seen on two nodes at once from the first fault on"),
    "from its bite on": (10.5, 16, Verdict.HELD, "web@1 ran on n1 and n2 at once for 5.5 s"),
    "after its heal": (50, 57, Verdict.HELD, "web@1 ran on n1 and n2 at once for 7.0 s"),
    "for less than can be told apart": (20, 20.05, Verdict.UNKNOWN, "no instance was seen on two nodes at once from the first fault on"),
}


@pytest.mark.parametrize("case", DOUBLES)
def test_an_expected_double_run_counts_where_it_began_when_the_fault_had_bitten(case: str) -> None:
    """What ran twice before was not the fault's doing, however long it went on; the length that is told is the one that counted."""
    start, end, verdict, text = DOUBLES[case]
    story = Story().node(0, "n1", "web@1").node(0, "n2").node(start, "n2", "web@1").node(end, "n1").done(60)
    finding = judged(story.fault("net.partition", "n1", decided=9, in_force=10, healing=40, healed=40), expect_double_run=True)
    assert (finding.verdict, text in finding.summary) == (verdict, True), finding.summary


@pytest.mark.parametrize(("before", "verdict"), [((), Verdict.HELD), ((3, 6), Verdict.UNKNOWN), ((3, 3.05), Verdict.HELD)])
def test_a_double_run_is_shown_by_no_fault_where_there_was_one_before_anything_was_broken(
    before: tuple[float, ...], verdict: Verdict
) -> None:
    """It comes by itself, too."""
    story = Story().node(0, "n1", "web@1").node(0, "n2").node(20, "n2", "web@1").node(30, "n2").done(60)
    if before:
        story.node(before[0], "n2", "web@1").node(before[1], "n2")
    finding = judged(story.fault("net.partition", "n1", decided=9, in_force=10, healing=40, healed=40), expect_double_run=True)
    assert finding.verdict is verdict, finding.summary


@pytest.mark.parametrize(("start", "verdict"), [(3, Verdict.UNKNOWN), (13, Verdict.HELD)])
def test_an_expected_double_run_began_where_it_may_have_however_long_nobody_could_ask(start: float, verdict: Verdict) -> None:
    """A node could not be asked from 5 s to 12 s: what it ran before and after that it ran meanwhile, as far as anybody knows."""
    story = Story().node(0, "n1", "web@1").node(0, "n2").node(start, "n2", "web@1").unreachable(5, "n1").node(12, "n1", "web@1")
    story.fault("net.partition", "n1", decided=9, in_force=10, healing=40, healed=40).node(30, "n1")
    finding = judged(story.watched(59, "n1 n2").done(60), expect_double_run=True)
    assert finding.verdict is verdict, finding.summary


@pytest.mark.parametrize(("start", "verdict"), [(8, Verdict.UNKNOWN), (12, Verdict.HELD)])
def test_an_expected_double_run_began_when_it_did_whatever_ran_twice_before(start: float, verdict: Verdict) -> None:
    """Of another instance, from before the fault until after the other began."""
    story = Story().node(0, "n1", "web@1", "db@1").node(0, "n2").node(0, "n3").node(7, "n2", "web@1").node(20, "n2")
    story.node(start, "n3", "db@1").node(30, "n1", "web@1").fault("net.partition", "n1", decided=9, in_force=10, healing=40, healed=40)
    finding = judged(story.watched(59, "n1 n2 n3").done(60), expect_double_run=True)
    assert finding.verdict is verdict, finding.summary


def test_the_longest_double_run_is_told() -> None:
    """Of several."""
    story = Story().node(0, "n1", "web@1").node(0, "n2").node(10, "n2", "web@1").node(12, "n2").node(20, "n2", "web@1").node(25, "n2")
    finding = judged(story.node(30, "n2", "web@1").node(33, "n2").watched(59, "n1 n2").done(60))
    assert finding.summary.endswith("; web@1 ran on n1 and n2 at once for 5.0 s"), finding.summary


@pytest.mark.parametrize(("start", "verdict"), [(15, Verdict.UNKNOWN), (25, Verdict.HELD)])
def test_an_expected_double_run_in_the_time_of_a_fault_began_in_it(start: float, verdict: Verdict) -> None:
    """The second fault is asked about, and the first had bitten before."""
    story = Story().node(0, "n1", "web@1").node(0, "n2").node(start, "n2", "web@1").node(35, "n1")
    story.fault("net.partition", "n1", decided=9, in_force=10, healing=50, healed=50)
    story.fault("disk.slow", "n2", decided=19, in_force=20, healing=40, healed=40, number=2, traits=Traits(Loss.NOTHING, ("disk",)))
    promise = Conflicts(expect_double_run=True, expected=Expected(named=(("slow", (2,)),)), during=("slow",))
    finding = promise.check(story.watched(59, "n1 n2").done(60).history())
    assert finding.verdict is verdict, finding.summary


def test_an_expected_double_run_that_never_came_is_unknown() -> None:
    """There was nothing to see."""
    finding = judged(Story().node(0, "n1", "web@1").done(60), expect_double_run=True)
    assert finding.verdict is Verdict.UNKNOWN


def test_two_instances_on_one_node_by_the_api_are_broken_too() -> None:
    """The API itself claims the conflict for longer than it may trail."""
    story = Story().node(0, "n1", "web@1").node(0, "n2", "web@2").api(0, "n2", "n1 n2", {"web@1": "n1", "web@2": "n2"})
    story.api(10, "n2", "n1 n2", {"web@1": "n1", "web@2": "n1"}).api(20, "n2", "n1 n2", {"web@1": "n1", "web@2": "n2"})
    finding = judged(story.done(30))
    assert finding.verdict is Verdict.BROKEN
    assert finding.summary.startswith("the API showed two instances of web running on n1, web@1 and web@2, for 10.0 s from 10.0 s")
    assert finding.summary.endswith("which the node did not bear out")


@pytest.mark.parametrize(
    ("trouble", "verdict"),
    [
        (lambda story: story, Verdict.BROKEN),
        (lambda story: story.pressed(5, 15, 20.0), Verdict.UNKNOWN),
        (lambda story: story.endures().stalled(7, 9.5, "machine"), Verdict.UNKNOWN),
        (lambda story: story.pressed(20, 29, 20.0), Verdict.BROKEN),
    ],
    ids=["none", "a load", "the machine stood still", "a load after that"],
)
def test_an_api_that_trails_on_a_slow_machine_convicts_nobody(trouble: Callable[[Story], Story], verdict: Verdict) -> None:
    """For three seconds it shows what the node, seen all along, does not bear out."""
    story = Story().node(0, "n1", "web@1").node(0, "n2", "web@2").api(0, "n2", "n1 n2", {"web@1": "n1", "web@2": "n2"})
    story.api(10, "n2", "n1 n2", {"web@1": "n1", "web@2": "n1"}).api(13, "n2", "n1 n2", {"web@1": "n1", "web@2": "n2"})
    finding = judged(trouble(story).done(30))
    assert finding.verdict is verdict, finding.summary


def test_an_api_that_trails_for_a_moment_is_reported_and_forgiven() -> None:
    """One poll in the middle of a move, not borne out by the node."""
    story = Story().node(0, "n1", "web@1").api(0, "n2", "n1 n2", {"web@1": "n1"})
    story.api(10, "n2", "n1 n2", {"web@1": "n1", "web@2": "n1"}).api(11, "n2", "n1 n2", {"web@1": "n1"})
    finding = judged(story.done(30))
    assert finding.verdict is Verdict.HELD
    assert finding.details["api_overlaps"]


def test_disagreements_between_api_and_nodes_are_told_with_their_length() -> None:
    """The API shows one copy while two run; and goes on showing one on a node that is gone."""
    story = Story().node(0, "n1", "web@1").node(0, "n2").api(0, "n2", "n1 n2", {"web@1": "n1"})
    story.fault("net.partition", "n1", decided=5, in_force=5, healing=50, healed=50).node(30, "n2", "web@1")
    story.api(30.5, "n2", "n2", {"web@1": "n2"}).node(52, "n1").api(53, "n2", "n1 n2", {"web@1": "n2"}).done(60)
    finding = judged(story)
    assert finding.verdict is Verdict.HELD
    assert finding.details["disagreements"] == [
        {"instance": "web@1", "node": "n1", "what": "the node runs it, the API does not say so", "from": 30.5, "to": 52, "length": 21.5},
    ]
    gone = Story().node(0, "n1", "web@1").api(0, "n2", "n1 n2", {"web@1": "n1"}).off(10, "n1").api(28, "n2", "n2", {"web@1": None}).done(40)
    assert judged(gone).details["disagreements"] == [
        {
            "instance": "web@1",
            "node": "n1",
            "what": "the API says that it runs there, the node does not run it",
            "from": 10,
            "to": 28,
            "length": 18,
        },
    ]


def test_what_cannot_be_asked_is_no_disagreement() -> None:
    """Neither an unreachable node nor an API without an answer contradicts anybody."""
    story = Story().node(0, "n1", "web@1").api(0, "n2", "n1 n2", {"web@1": "n1"}).unreachable(10, "n1").done(40)
    assert judged(story).details["disagreements"] == []
    story = Story().node(0, "n1", "web@1").api(0, "n2", "n1 n2", {"web@1": "n1"}).no_api(10, "n2").done(40)
    assert judged(story).details["disagreements"] == []


def test_a_disagreement_over_a_time_in_which_nobody_could_ask_is_one() -> None:
    """The time that is not known is said; where they agreed meanwhile, as far as is known, it is two."""
    story = Story().node(0, "n1", "web@1").node(0, "n2").api(0, "n2", "n1 n2", {"web@1": "n2"})
    story.no_api(10, "n2").api(20, "n2", "n1 n2", {"web@1": "n2"}).api(30, "n2", "n1 n2", {"web@1": "n1"}).done(60)
    one = judged(story).details["disagreements"]
    assert one == [
        {
            "instance": "web@1",
            "node": node,
            "what": what,
            "from": 0,
            "to": 30,
            "length": 30,
            "unasked": 10,
        }
        for node, what in (
            ("n1", "the node runs it, the API does not say so"),
            ("n2", "the API says that it runs there, the node does not run it"),
        )
    ]
    story.node(12, "n1").node(15, "n1", "web@1")
    assert [(each["node"], each["from"], each["to"]) for each in _told(story)] == [("n1", 0, 10), ("n2", 0, 30), ("n1", 20, 30)]


def test_pieces_of_a_disagreement_count_as_far_as_somebody_was_asked() -> None:
    """A second before and a second after twenty in which nobody was: no more than an API that trails."""
    story = Story().node(0, "n1", "web@1").api(0, "n1", "n1", {"web@1": "n1"}).api(5, "n1", "n1", {}).no_api(5.9, "n1")
    story.api(25, "n1", "n1", {}).api(25.9, "n1", "n1", {"web@1": "n1"}).done(60)
    assert judged(story).details["disagreements"] == []


def _told(story: Story) -> list[dict[str, Any]]:
    found: Any = judged(story).details["disagreements"]
    return list(found)


def test_the_last_word_of_an_api_on_a_machine_that_is_off_is_nobodys() -> None:
    """It claimed two on one node for a second and was gone."""
    story = Story().node(0, "n1", "web@1").node(0, "n2", "web@2").api(0, "n2", "n1 n2", {"web@1": "n1", "web@2": "n2"})
    story.api(10, "n2", "n1 n2", {"web@1": "n1", "web@2": "n1"}).off(11, "n2").watched(60, "n1 n2").done(60)
    assert judged(story).verdict is Verdict.HELD


def test_two_containers_seen_just_before_a_node_stood_still_convict_only_when_they_are_seen_after_it() -> None:
    """The first sample after it shows one: when the other ended, nobody saw."""
    still = twice(10, 12.6).stalled(10.005, 12.2, who="n1")
    finding = judged(still)
    assert (finding.verdict, "perhaps n1 ran web@1 in two containers" in finding.summary) == (Verdict.UNKNOWN, True)
    assert judged(twice(10, 14.5).stalled(10.1, 12.0, who="n1")).verdict is Verdict.BROKEN


def test_a_run_in_which_nothing_ran_is_unknown() -> None:
    """An empty cluster keeps every rule, and shows nothing."""
    assert judged(Story().node(0, "n1").done(30)).verdict is Verdict.UNKNOWN


def twice(start: float, end: float, other: str = "b") -> Story:
    """n1 runs web@1 in a container, and in another one as well from `start` to `end`."""
    one, two = Container("a" * 64, "web@1"), Container(other * 64, "web@1")
    story = Story().tell(0, NodeSeen("n1", NodeState.UP, (one,)))
    return story.tell(start, NodeSeen("n1", NodeState.UP, (one, two))).tell(end, NodeSeen("n1", NodeState.UP, (two,))).done(30)


def test_one_instance_in_two_containers_on_one_node_is_broken() -> None:
    """Whoever starts it again must have seen the first one end."""
    finding = judged(twice(10, 13.5))
    assert (finding.verdict, finding.summary) == (Verdict.BROKEN, "n1 ran web@1 in two containers at once for 3.5 s from 10.0 s")
    assert finding.details["twice_on_a_node"] == [
        {"node": "n1", "instance": "web@1", "sure": True, "from": 10, "to": 13.5, "length": 3.5},
    ]
    assert finding.evidence


def test_a_new_container_after_the_old_one_is_held() -> None:
    """Within one sampling step nobody can tell one after the other from both at once; one container that is told twice is one."""
    assert judged(twice(10, 10.05)).verdict is Verdict.HELD
    assert judged(twice(10, 13.5, other="a")).verdict is Verdict.HELD


def test_one_instance_in_two_containers_in_unsure_time_only_is_unknown() -> None:
    """The node could not be asked whether both went on."""
    one, two = Container("a" * 64, "web@1"), Container("b" * 64, "web@1")
    story = Story().tell(0, NodeSeen("n1", NodeState.UP, (one,))).tell(9.96, NodeSeen("n1", NodeState.UP, (one, two)))
    story.unreachable(10, "n1").tell(15, NodeSeen("n1", NodeState.UP, (two,)))
    finding = judged(story.done(30))
    assert (finding.verdict, "perhaps n1 ran web@1 in two containers" in finding.summary) == (Verdict.UNKNOWN, True)


def test_one_instance_on_two_nodes_convicts_nobody() -> None:
    """A double run is no conflict: one copy may be on the far side of a cut."""
    assert judged(Story().node(0, "n1", "web@1").node(10, "n2", "web@1").done(30)).verdict is Verdict.HELD


# -- whose word counts


@pytest.mark.parametrize(("who", "gap", "verdict"), [("", 0.9, BROKEN), ("n1", 0.9, UNKNOWN), ("n2", 0.9, BROKEN), ("n1", 3.0, BROKEN)])
@pytest.mark.parametrize("second", ["web@2", "web@1"])
def test_a_nodes_own_stall_makes_what_lay_in_it_unsure(who: str, gap: float, verdict: Verdict, second: str) -> None:
    """Two samples show two on n1, or one twice, and n1 stood still for up to 0.9 s of the time between. Of 3 s the rest is enough."""
    story = Story().endures(beats="n1 n2").node(0, "n1", "web@1").node(0, "n2")
    twin = container(second, "n1" if second == "web@2" else "another")
    both = NodeSeen("n1", NodeState.UP, (container("web@1", "n1"), twin))
    story.tell(20.0, both).tell(19.9 + gap, both).node(20.0 + gap, "n1", "web@1")
    if who:
        story.stalled(20.02, 20.9, who)
    assert Conflicts().check(story.done(40).history(beats=False)).verdict is verdict


@pytest.mark.parametrize(
    ("asked", "sure", "seconds", "verdict"),
    [("n1", True, 6, UNKNOWN), ("n1", False, 6, UNKNOWN), ("n1", True, 1, HELD), ("n2", True, 6, BROKEN), ("n1 n2", True, 6, BROKEN)],
)
def test_the_api_of_a_node_that_is_cut_off_convicts_nobody(asked: str, *, sure: bool, seconds: int, verdict: Verdict) -> None:
    """It claims two on n1 for a while; n1 itself runs one, or cannot be asked. The word of one that is not cut off counts."""
    story = Story().node(0, "n1", "web@1").node(0, "n2", "web@2").node(0, "n3")
    story.fault("net.partition", "n1", decided=10, in_force=10.1, healing=60, healed=60.2, lost="n1", traits=Traits(Loss.LINK))
    for node in asked.split():
        story.api(1, node, "n1 n2", {"web@1": "n1", "web@2": "n2"}).api(30, node, "n1 n2", {"web@1": "n1", "web@2": "n1"})
        story.api(30 + seconds, node, "n1 n2", {"web@1": "n1", "web@2": "n2"})
    if not sure:
        story.unreachable(29, "n1").node(37, "n1", "web@1")
    assert Conflicts().check(story.watched(79, "n1 n2 n3").done(80).history()).verdict is verdict


WEB, API = App("web", 2), App("api", 4, conflicts=False)
RULES: dict[str, tuple[str | None, tuple[App, ...], str, Verdict, str]] = {
    # the app that is named; those of the plan; what n1 runs
    "none that has a rule": (
        *(None, (WEB, API), "web@1 api@1 api@4", HELD),
        "no node ever ran two instances of one app at once (api may, with no rule against it)",
    ),
    "one that has a rule": (None, (WEB, API), "web@1 web@2 api@1", BROKEN, "two instances of web at once, web@1 and web@2"),
    "one without a rule, as all": (None, (API,), "api@1 api@4", BROKEN, "two instances of api at once, api@1 and api@4"),
    "one that no plan has": (None, (WEB, API), "web@1 db@1 db@2", BROKEN, "two instances of db at once"),
    "one, and there is no plan": (None, (), "api@1 api@4", BROKEN, "two instances of api at once"),
    "the one that is named, without a rule": ("api", (WEB, API), "web@1 api@1 api@4", BROKEN, "two instances of api at once"),
    "another than is named": ("web", (WEB, API), "web@1 api@1 api@4", HELD, "no node ever ran two instances of web at once"),
    "another than is named, with a rule": ("api", (WEB, API), "web@1 web@2 api@4", HELD, "no node ever ran two instances of api at once"),
    "another, and none of what is named": ("web", (WEB, API), "api@1", UNKNOWN, "no node was ever seen to run an instance of web"),
    "another, and none that has a rule": (
        *(None, (WEB, API), "api@1 api@4", UNKNOWN),
        "no node was ever seen to run an instance of an app that is judged (api may run two on a node, with no rule against it)",
    ),
}


@pytest.mark.parametrize("by", ["node", "API"])
@pytest.mark.parametrize("case", RULES)
def test_two_instances_convict_an_app_by_its_rule(case: str, by: str) -> None:
    """Whoever has none is spared where another has it, unless it is named; seen by the node itself, or said by the API alone."""
    app, apps, runs, verdict, text = RULES[case]
    own = runs.split()
    seen = own if by == "node" else [*{name.partition("@")[0]: name for name in own}.values()]
    story = Story().node(0, "n1", *seen).api(0, "n2", "n1 n2", dict.fromkeys(own, "n1")).done(30)
    finding = Conflicts(app=app, apps=apps).check(story.history())
    assert finding.verdict is verdict, finding.summary
    assert text.replace(" at once", "") in finding.summary.replace(" at once", "").replace(" running on n1", "")
    found = finding.details["overlaps"] if by == "node" else finding.details["api_overlaps"]
    assert bool(found) is (verdict is BROKEN)


@pytest.mark.parametrize(("app", "verdict"), [(None, BROKEN), ("api", BROKEN), ("web", HELD)])
def test_one_instance_in_two_containers_convicts_whatever_the_rule(app: str | None, verdict: Verdict) -> None:
    """There is no rule that allows it; it is another app's only where one is named."""
    ran = (container("web@1", "n1"), container("api@1", "n1"), container("api@1", "another"))
    story = Story().tell(0, NodeSeen("n1", NodeState.UP, ran)).watched(29, "n1").done(30)
    finding = Conflicts(app=app, apps=(WEB, API)).check(story.history())
    assert (finding.verdict, "ran api@1 in two containers" in finding.summary) == (verdict, verdict is BROKEN), finding.summary


@pytest.mark.parametrize(("app", "verdict"), [(None, HELD), ("api", HELD), ("web", UNKNOWN)])
def test_a_double_run_of_another_app_is_not_the_one_to_show(app: str | None, verdict: Verdict) -> None:
    """api@1 runs on two nodes while n1 is cut off, web@1 on one."""
    story = Story().node(0, "n1", "api@1", "web@1").node(0, "n2").node(20, "n2", "api@1")
    story.fault("net.partition", "n1", decided=9, in_force=10, healing=40, healed=40).watched(59, "n1 n2").done(60)
    finding = Conflicts(expect_double_run=True, app=app, apps=(WEB, API)).check(story.history())
    assert (finding.verdict, "api@1 ran on n1 and n2 at once" in finding.summary) == (verdict, verdict is HELD), finding.summary


@pytest.mark.parametrize(("app", "told"), [(None, {"api@1", "web@1"}), ("web", {"web@1"}), ("api", {"api@1"}), ("db", set())])
def test_what_is_told_is_of_the_app_that_is_named(app: str | None, told: set[str]) -> None:
    """Both apps are where the API does not say, and on two nodes at once, for a minute."""
    story = Story().node(0, "n1", "web@1", "api@1").node(0, "n2", "web@1", "api@1")
    story.api(0, "n1", "n1 n2", {"web@1": "n1", "api@1": "n1"}).api(30, "n1", "n1 n2", {"web@1": "n1", "api@1": "n1"})
    details: Any = Conflicts(app=app, apps=(WEB, API)).check(story.watched(59, "n1 n2").done(60).history()).details
    assert {each["instance"] for each in details["disagreements"]} == told
    assert {each["instance"] for each in details["double_runs"]} == told


@pytest.mark.parametrize("seen", ["did not bear it out", "could not be asked for 20.0 s of it"])
def test_a_claim_of_the_lost_is_told_in_a_sentence(seen: str) -> None:
    """Who said so, and what the node itself says."""
    story = Story().node(0, "n1", "web@1").node(0, "n2", "web@2").node(0, "n3").api(1, "n3", "n1 n2 n3", {"web@1": "n1"})
    story.fault("net.partition", "n3", decided=10, in_force=10, healing=60, healed=60, lost="n3")
    if seen.startswith("could"):
        story.unreachable(30, "n1").node(50, "n1", "web@1")
    for second in range(20, 51):
        story.api(second, "n3", "n1 n2 n3", {"web@1": "n1", "web@2": "n1"})
    finding = Conflicts().check(story.api(51, "n3", "n1 n2 n3", {"web@1": "n1"}).watched(89, "n1 n2 n3").done(90).history())
    assert finding.verdict is UNKNOWN
    said = "the API showed two instances of web running on n1, web@1 and web@2, for 31.0 s, but only nodes that were lost then said so"
    assert f"{said}, and n1 itself {seen}" in finding.summary


@pytest.mark.parametrize("seen", [True, False], ids=["seen on both", "one of them could not be asked"])
def test_only_a_sure_double_run_is_the_one_to_show(*, seen: bool) -> None:
    """What nobody could see of the node that is cut off may have been over."""
    story = Story().node(0, "n1", "web@1").node(0, "n2")
    story.fault("net.partition", "n1", decided=9, in_force=10, healing=40, healed=40)
    if not seen:
        story.unreachable(15, "n1")
    story.node(20, "n2", "web@1").node(35, "n1")
    finding = judged(story.watched(59, "n1 n2").done(60), expect_double_run=True)
    details: Any = finding.details
    assert finding.verdict is (HELD if seen else UNKNOWN), finding.summary
    assert [(each["from"], each["to"], each["sure"]) for each in details["double_runs"]] == [(20, 35, seen)]


@pytest.mark.parametrize("said", [20.1, 23.5], ids=["at once", "late"])
@pytest.mark.parametrize("began", [12.0, 21.0], ids=["before", "only then"])
def test_what_is_switched_off_does_not_run_until_it_is_said_to_be_off(said: float, began: float) -> None:
    """The last sample of a machine is no evidence that it ran on with its power cut; what it ran at once with another before that, it did."""
    story = Story().off(said, "n1").node(52, "n1")
    for second in range(60):
        story.node(second, "n2", *(["web@1"] if second >= began else []))
        if second < 20:
            story.node(second, "n1", "web@1")
    story.fault("net.partition", "n1", decided=9, in_force=10, healing=55, healed=55, traits=Traits(Loss.LINK, apart=True), lost="n1")
    story.fault("node.kill", "n1", decided=19, in_force=20, healing=50, healed=52, traits=Traits(Loss.NODE), lost="n1", number=2)
    finding = Conflicts(expect_double_run=True).check(story.done(60).history(beats=False))
    assert finding.verdict is (HELD if began < 20 else UNKNOWN), finding.summary
