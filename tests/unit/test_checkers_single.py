"""The promise that an app never runs twice: what convicts, and what must not."""

from __future__ import annotations

import pytest

from harness.checkers import Conflicts, Single
from harness.core.values import NodeState, Phase, Verdict
from harness.history.events import History, NodeSeen
from harness.testing.histories import Story, container


def _twice(start: float, end: float | None, *, then: str = "n1") -> Story:
    """Tell of db@1 on n1, and of a second copy of it on n2 for some time; then only one of them goes on."""
    story = Story().phase(1, Phase.STEADY).node(0, "n1", "db@1").node(0, "n2", "web@1").node(0, "n3", "web@1").watched(79, "n1 n2 n3")
    if end is not None:
        story.node(start, "n2", "web@1", "db@1")
        story = story.node(end, "n2", "web@1") if then == "n1" else story.node(end, "n1")
    return story


@pytest.mark.parametrize(
    ("story", "longest", "verdict", "words"),
    [
        (_twice(0, None), 0.0, Verdict.HELD, "no instance of db ever ran twice at once"),
        (_twice(30, 34.5), 0.0, Verdict.BROKEN, "db@1 ran on n1 and n2 at once for 4.5 s from 30.0 s"),
        (_twice(30, 34.5, then="n2"), 0.0, Verdict.BROKEN, "db@1 ran on n1 and n2 at once for 4.5 s"),
        (_twice(30, 30.05, then="n2"), 0.0, Verdict.HELD, "for longer than 0.1 s; db@1 ran on n1 and n2 at once for"),
        (_twice(30, 30.5, then="n2"), 0.0, Verdict.UNKNOWN, "for 0.50 s from 30.0 s: no second look showed it"),
        (_twice(30, 31.5, then="n2"), 0.0, Verdict.BROKEN, "at once for 1.5 s"),
        (_twice(30, 30.0, then="n2"), 0.0, Verdict.HELD, "ever ran twice"),
        (_twice(30, 34.5), 5.0, Verdict.HELD, "ran twice at once for longer than 5 s; db@1 ran on n1 and n2 at once for 4.5 s"),
        (_twice(30, 36.0), 5.0, Verdict.BROKEN, "for 6.0 s from 30.0 s (allowed 5 s)"),
        (_twice(30, 33.0).node(40, "n2", "web@1", "db@1").node(43, "n2", "web@1"), 5.0, Verdict.HELD, "for 3.0 s"),
        (_twice(30, 34.5).unreachable(29, "n1").node(40, "n1", "db@1"), 0.0, Verdict.UNKNOWN, "perhaps db@1 ran on n1 and n2 at once"),
        (_twice(30, 34.5).stalled(29.5, 36), 0.0, Verdict.UNKNOWN, "not every node could be asked then"),
        (_twice(30, 38).stalled(33, 35), 5.0, Verdict.UNKNOWN, "perhaps db@1 ran on n1 and n2 at once for 8.0 s"),
        (_twice(30, 38).stalled(31, 33).endures(beats="n1 n2"), 4.0, Verdict.BROKEN, "(allowed 4 s)"),
        (_twice(30, 38).stalled(31, 33), 4.0, Verdict.UNKNOWN, "too slow for these timers"),
        (_twice(30, 36.0).endures().pressed(30, 40, 8.0), 5.0, Verdict.UNKNOWN, "this machine was too busy then"),
        (_twice(30, 36.0).endures().pressed(40, 60, 8.0), 5.0, Verdict.BROKEN, "(allowed 5 s)"),
        (_twice(30, 60.0).endures().pressed(30, 60, 8.0), 5.0, Verdict.BROKEN, "(allowed 5 s)"),
        (_twice(30, 34.5).endures().pressed(30, 40, 80.0), 0.0, Verdict.BROKEN, "at once for 4.5 s"),
    ],
    ids=[
        "never",
        "for a while",
        "and the first one ends",
        "for a moment",
        "in one look",
        "in two looks",
        "one after the other",
        "not too long",
        "too long",
        "twice not too long",
        "could not ask",
        "stood still",
        "stood still in the middle",
        "too long all the same",
        "a machine stood still meanwhile",
        "too long by slow work",
        "slow only later",
        "far too long on a slow machine",
        "not once, however slow",
    ],
)
def test_what_must_not_run_twice_never_does(story: Story, longest: float, verdict: Verdict, words: str) -> None:
    """Anywhere, by node truth; what may have been so is unknown. Another app that does is none of its business."""
    finding = Single("db", longest).check(story.done(80).history())
    assert finding.verdict is verdict, finding.summary
    assert words in finding.summary


@pytest.mark.parametrize(
    ("last", "shows", "verdict"),
    [
        (29.5, "", Verdict.UNKNOWN),
        (32.5, "", Verdict.BROKEN),
        (29.5, "db@1", Verdict.BROKEN),
        (29.5, "off", Verdict.UNKNOWN),
        (33.5, "off", Verdict.BROKEN),
    ],
    ids=["without it", "heard of until shortly before", "with it all the same", "off", "off soon"],
)
def test_what_a_node_ran_when_it_was_heard_of_last_may_have_ended_at_once(last: float, shows: str, verdict: Verdict) -> None:
    """A copy runs on n2 from 30 s on; n1 is heard of again at 34 s, and until then nobody knows for how long its own went on."""
    story = _twice(30, None).node(30, "n2", "web@1", "db@1")
    story = story.off(34, "n1") if shows == "off" else story.node(34, "n1", *shows.split())
    story.fault("net.partition", "n1", decided=25, in_force=25, healing=60, healed=60)
    told = [(entry.time, entry.event) for entry in story.done(80).history().entries]
    kept = [(time, event) for time, event in told if not (isinstance(event, NodeSeen) and event.node == "n1" and last < time < 34)]
    for checker, other in (
        (Single("db"), verdict),
        (Conflicts(expect_double_run=True, app="db"), Verdict.HELD if verdict is Verdict.BROKEN else verdict),
    ):
        finding = checker.check(History.of_events(*kept))
        assert finding.verdict is other, finding.summary


@pytest.mark.parametrize(("longest", "verdict"), [(4.0, Verdict.HELD), (1.0, Verdict.BROKEN)])
@pytest.mark.parametrize("seen", [32.3, 36.5, 60.0])
def test_a_machine_whose_power_is_cut_runs_nothing_on_however_late_that_is_seen(seen: float, longest: float, verdict: Verdict) -> None:
    """Two copies from 30 s on, for 2.2 s, until the switch of n1's machine says that it is off; n1 itself says nothing for longer."""
    story = _twice(30, None).node(30, "n2", "web@1", "db@1").off(seen, "n1").node(72, "n1")
    story.fault("node.kill", "n1", decided=32, in_force=32.2, healing=70, healed=71)
    finding = Single("db", longest).check(story.done(80).history())
    assert finding.verdict is verdict, finding.summary


def test_two_containers_of_one_node_are_two() -> None:
    """As on two nodes, and told by the node."""
    story = _twice(0, None)
    double = (container("db@1", "n1"), container("db@1", "n9"))
    story.tell(30, NodeSeen("n1", NodeState.UP, double)).node(33, "n1", "db@1")
    finding = Single("db").check(story.done(80).history())
    assert finding.verdict is Verdict.BROKEN
    assert "db@1 ran in two containers on n1 at once for 3.0 s from 30.0 s" in finding.summary


def test_two_instances_are_not_one_twice() -> None:
    """Each may run once; `conflicts` says whether on one node. And one instance on two nodes is no conflict."""
    story = Story().phase(1, Phase.STEADY).node(0, "n1", "db@1", "db@2").node(0, "n2").watched(79, "n1 n2").done(80)
    assert Single("db").check(story.history()).verdict is Verdict.HELD
    assert Conflicts().check(story.history()).verdict is Verdict.BROKEN
    assert Conflicts().check(_twice(30, 35).done(80).history()).verdict is Verdict.HELD


def test_what_never_ran_is_not_known_to_be_single() -> None:
    """Nor where a node was never seen."""
    nothing = Single("cache").check(_twice(0, None).done(80).history())
    assert (nothing.verdict, "no node was ever seen to run cache" in nothing.summary) == (Verdict.UNKNOWN, True)
