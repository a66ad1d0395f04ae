"""What a run's own actions keep from being so: each condition beside a history in which it is the only one that is not met."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.checkers.own_doing import in_doubt, only_about, own_doing
from harness.core.values import App, Effect, Loss, Outcome, Traits
from harness.history.intervals import Interval
from harness.testing.histories import Story
from tests.unit.test_situation import heard, whole

if TYPE_CHECKING:
    from harness.history.events import History

TIME = Interval(15.0, 45.0)
"""The mode recovers in 16.5 s at most: what an action disturbs from 28.5 s on counts."""
DOCKER, ETCD, EMPTIED, OPENED = Effect(stops=("docker",)), Effect(stops=("etcd",)), Effect(moves=True), Effect(opens=True)


def told(members: str = "n1 n2 n3 n4", **runs: str) -> Story:
    """Tell of four nodes, of what runs on them (web@1 on n1 and web@2 on n2, where nothing else is said), and of members that follow n1."""
    story = Story().endures(recovery=16.5).members(0.5, members, 2, "n1")
    for node in ("n1", "n2", "n3", "n4"):
        story.node(1.0, node, *runs.get(node, "" if runs else {"n1": "web@1", "n2": "web@2"}.get(node, "")).split())
    return story


def done(story: Story, *actions: tuple[float, str, Effect]) -> History:
    """Tell of actions, each of which takes a second."""
    for number, (begun, nodes, effect) in enumerate(actions, 1):
        story.action(begun, begun + 1, "some.action", nodes, effect=effect, number=number)
    return story.done(80.0).history()


def lost(story: Story, nodes: str) -> Story:
    """Tell of nodes whose power a fault cuts, all along."""
    story.fault("node.kill", nodes, decided=8, in_force=8.1, healing=69, healed=70, traits=Traits(Loss.NODE), lost=nodes)
    for node in nodes.split():
        story.off(8.05, node)
    return story


def placed(story: Story, time: float, instance: str, node: str) -> Story:
    """Tell of an API that shows an instance on a node."""
    return story.api(time, "n1", "n1 n2 n3 n4", {instance: node})


ONE = {"n1": "web@1"}
TWO_APPS = {"n1": "web@1 web@2 db@1"}
MAYBE: dict[str, tuple[History, str]] = {
    "nothing was done": (done(told()), ""),
    "too few nodes are left, by a fault alone": (done(lost(told(), "n2 n3 n4")), ""),
    "too few nodes are left, by a fault and by an action": (
        done(lost(told(), "n2 n4"), (20.0, "n3", EMPTIED)),
        "an action kept work off n3 then",
    ),
    "enough nodes are left": (done(lost(told(), "n4"), (20.0, "n3", EMPTIED)), ""),
    "too few nodes are left for one of two apps": (
        done(told(**TWO_APPS).node(2.0, "n1", "web@1", "db@1").node(2.0, "n2", "web@2"), (20.0, "n2 n3 n4", EMPTIED)),
        "an action kept work off n2 and n3 and n4 then",
    ),
    "one node is left for two apps of one": (done(told(n1="web@1 db@1"), (20.0, "n2 n3 n4", EMPTIED)), ""),
    "its only home was emptied twice": (
        done(told(), (5.0, "n2", EMPTIED), (9.0, "n2", OPENED), (20.0, "n2", EMPTIED)),
        "an action kept work off n2 then",
    ),
    "its only home was emptied and opened again before": (done(told(), (5.0, "n2", EMPTIED), (9.0, "n2", OPENED)), ""),
    "half of the members were stopped": (done(told(**ONE), (5.0, "n3 n4", ETCD)), "an action had stopped etcd on n3 then"),
    "a member was stopped, and a majority is left": (done(told(**ONE), (5.0, "n4", ETCD)), ""),
    "half of the members were stopped and started again": (
        done(told(**ONE), (5.0, "n3 n4", ETCD), (16.0, "n3 n4", Effect(starts=("etcd",)))),
        "",
    ),
    "half of the members were stopped afterwards": (done(told(**ONE), (50.0, "n3 n4", ETCD)), ""),
    "half of the members lost a daemon by which nobody is one": (done(told(**ONE), (5.0, "n3 n4", DOCKER)), ""),
    "a member was stopped, and half of the others are lost to a fault": (
        done(lost(told(**ONE), "n3"), (5.0, "n4", ETCD)),
        "an action had stopped etcd on n4 then",
    ),
    "a member was stopped, and another one is off": (
        done(told("n1 n2 n3", **ONE).off(8.0, "n2"), (5.0, "n3", ETCD)),
        "an action had stopped etcd on n3 then",
    ),
    "a daemon was stopped on one of two homes, and the other was emptied": (
        done(told(n1="web@1", n2="web@2").node(2.0, "n2").node(2.0, "n3", "web@2"), (5.0, "n2", DOCKER), (20.0, "n3", EMPTIED)),
        "an action had stopped docker on n2 then",
    ),
    "an API could not be asked": (done(told().no_api(20.0, "n1"), (5.0, "n4", DOCKER)), ""),
    "one that was stopped was chosen": (
        done(placed(told(), 20.0, "web@2", "n4"), (5.0, "n4", DOCKER)),
        "an action had stopped docker on n4 then",
    ),
    "one that was stopped had been chosen before": (done(placed(told(), 10.0, "web@2", "n4"), (5.0, "n4", DOCKER)), ""),
    "one that was stopped was chosen afterwards": (done(placed(told(), 50.0, "web@2", "n4"), (5.0, "n4", DOCKER)), ""),
    "another was chosen": (done(placed(told(), 20.0, "web@2", "n3"), (5.0, "n4", DOCKER)), ""),
    "what had run there already was shown": (
        done(placed(told(n1="web@1", n3="web@2").node(2.0, "n3").node(2.0, "n2", "web@2"), 20.0, "web@2", "n2"), (5.0, "n2", DOCKER)),
        "",
    ),
    "what had not run there was shown": (
        done(placed(told(n1="web@1", n3="web@2").node(2.0, "n3").node(2.0, "n2", "web@2"), 20.0, "web@1", "n2"), (5.0, "n2", DOCKER)),
        "an action had stopped docker on n2 then",
    ),
    "something was done shortly before": (
        done(told(), (30.0, "n4", Effect(starts=("docker",)))),
        "an action that disturbs the cluster went on until 31.0 s",
    ),
    "something was done long before": (done(told(), (16.0, "n4", Effect(starts=("docker",)))), ""),
}


@pytest.mark.parametrize("case", MAYBE)
def test_an_action_is_why_something_did_not_come_only_where_it_may_be(case: str) -> None:
    """What a fault did by itself is none of it."""
    history, words = MAYBE[case]
    said = own_doing(history, TIME)
    assert words in said
    assert bool(said) is bool(words), said


WEB, BOTH = Effect(renews=("web",)), Effect(renews=("web", "db"))


@pytest.mark.parametrize(
    ("effect", "begun", "apps", "expected"),
    [
        (WEB, 30.0, ("web",), True),
        (WEB, 30.0, ("web", "db"), False),
        (BOTH, 30.0, ("web", "db"), True),
        (WEB, 30.0, ("db",), False),
        (WEB, 30.0, (), False),
        (WEB, 16.0, ("web",), False),
        (WEB, 50.0, ("web",), False),
    ],
    ids=["just now", "one of two", "both", "another one", "nobody", "long before", "afterwards"],
)
def test_an_app_that_was_started_anew_is_why_something_of_it_did_not_come(
    effect: Effect, begun: float, apps: tuple[str, ...], expected: bool
) -> None:
    """Where it is about that app, or about such apps alone, and late."""
    assert own_doing(done(told(), (begun, "", effect)), TIME, apps=apps).startswith("from 30.0 s to 31.0 s an action") is expected


@pytest.mark.parametrize("whole", [True, False])
def test_any_daemon_that_was_stopped_is_why_not_all_is_whole(whole: bool) -> None:
    """And nothing else."""
    assert bool(own_doing(done(told(), (5.0, "n4", DOCKER)), TIME, whole=whole)) is whole


def scaled(*changes: tuple[float, int, int, Outcome]) -> History:
    """Tell of actions by each of which so many instances of web are to run, of so many before."""
    story = told()
    for number, (begun, now, was, outcome) in enumerate(changes, 1):
        story.action(begun, begun + 1, "app.scale", effect=Effect({"web": now}), was={"web": was}, outcome=outcome, number=number)
    return story.done(80.0).history()


FEWER, SURELY, LATER = (20.0, 1, 2, Outcome.UNKNOWN), (20.0, 1, 2, Outcome.OK), (50.0, 1, 2, Outcome.UNKNOWN)
LESS = "1 of 2 instances of web run"
DOUBTED: dict[str, tuple[History, tuple[str, ...], bool]] = {
    "an instance may have been taken away": (scaled(FEWER), (LESS,), True),
    "it was told by its name": (scaled(FEWER), ("web@2 runs nowhere",), True),
    "it was another one": (scaled(FEWER), ("web@1 runs nowhere",), False),
    "fewer ran than were left": (scaled(FEWER), ("0 of 2 instances of web run",), False),
    "two are told, of which one must be": (scaled(FEWER), ("web@1 and web@2 run nowhere",), False),
    "something else was missing, too": (scaled(FEWER), (LESS, "nobody leads"), False),
    "another app was missing, too": (scaled(FEWER), (LESS, "0 of 1 instances of db run"), False),
    "nothing was missing": (scaled(FEWER), (), False),
    "it surely was taken away": (scaled(SURELY), (LESS,), False),
    "it surely was, and another action was in doubt later": (scaled(SURELY, LATER), (LESS,), False),
    "nothing was done": (scaled(), (LESS,), False),
}


@pytest.mark.parametrize("case", DOUBTED)
def test_what_was_missing_need_not_have_been_there_only_where_an_action_in_doubt_may_have_taken_all_of_it(case: str) -> None:
    """By 45 s."""
    history, lacking, expected = DOUBTED[case]
    assert bool(in_doubt(history, 45.0, lacking)) is expected


@pytest.mark.parametrize(
    ("missing", "apps"),
    [
        ([LESS], ("web",)),
        ([LESS, "db@1 does not answer"], ("web", "db")),
        ([LESS, "web@2 was not called"], ("web",)),
        ([LESS, "nobody leads"], ()),
        ([], ()),
    ],
)
def test_what_is_missing_is_about_apps_alone_or_about_none(missing: list[str], apps: tuple[str, ...]) -> None:
    """Whatever else is missing is no app's."""
    assert only_about(missing) == apps


def test_what_a_run_says_that_is_missing_of_an_app_is_understood() -> None:
    """In the very words that it says it in: verdicts go by them."""
    gone = heard(whole().node(9, "n2").api(9, "n1", "n1 n2 n3", {}).api(9, "n2", "n1 n2 n3", {}).api(9, "n3", "n1 n2 n3", {}))
    mute = heard(whole().get(9.9, "web@1", Outcome.FAIL))
    twice = heard(whole().node(9, "n3", "web@1"))
    said = [*gone.missing(10.0), *mute.missing(10.0), *twice.missing(10.0), *gone.lacking(App("web", 2), ("n3",), 10.0)[0]]
    assert len(said) == 4
    for each in said:
        assert only_about([each]) == ("web",), each
    for each in (*gone.missing(10.0), *gone.lacking(App("web", 2), ("n3",), 10.0)[0]):
        assert in_doubt(scaled(FEWER), 45.0, [each]), each
