"""What steers a run: who hosts what, whether the work has recovered, and what keeps the cluster from being whole."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.checkers.own_doing import in_doubt, only_about
from harness.core.traits import daemon
from harness.core.values import App, Call, Container, Effect, Loss, NodeState, Outcome, Placement, Traits, View
from harness.history import older
from harness.history.events import ApiSeen, Entry, NodeSeen, Note
from harness.history.situation import FRESH, WRITES, Situation
from harness.testing.histories import Story

NODES = ("n1", "n2", "n3")
WEB = App("web", 2)


def heard(story: Story, *apps: App, http: bool = True, register: bool = True, quorum: bool = True, pace: float = 0.0) -> Situation:
    """Return what is known after a story was heard, entry by entry."""
    called = {name: pace for app in apps or (WEB,) for name in app.names} if http else {}
    situation = Situation(NODES, apps or (WEB,), NODES if quorum else (), called=called, writes=pace if register else None)
    for entry in story.history(beats=False).entries:
        situation.hear(entry)
    return situation


def whole(until: float = 10.0) -> Story:
    """Tell of a cluster that lacks nothing at `until`: web@1 on n1, web@2 on n2, n3 leads in term 4."""
    story = Story().node(1, "n1", "web@1").node(1, "n2", "web@2").node(1, "n3").members(1, "n1 n2 n3", 4, "n3")
    for asked in NODES:
        story.api(1, asked, "n1 n2 n3", {"web@1": "n1", "web@2": "n2"})
    return story.get(until - 0.2, "web@1", by="n1").get(until - 0.2, "web@2", by="n2").write(until - 0.2, "k", "v")


# -- who hosts what


def test_hosts_are_the_nodes_of_the_last_sample() -> None:
    """What moved is at its new home only; what runs twice has two hosts; what runs nowhere has none."""
    situation = heard(Story().node(1, "n1", "web@1").node(1, "n2", "web@2").node(2, "n1").node(3, "n3", "web@1", "web@2"))
    assert situation.hosts("web@1") == {"n3"}
    assert situation.hosts("web@2") == {"n2", "n3"}
    assert situation.hosts("web@3") == frozenset()


def test_hosts_follow_node_truth_and_not_the_api() -> None:
    """What only the API says is a claim."""
    situation = heard(Story().node(1, "n1").api(2, "n1", "n1 n2 n3", {"web@1": "n1"}))
    assert situation.hosts("web@1") == frozenset()


def test_a_node_that_is_off_hosts_nothing() -> None:
    """Nothing runs on a machine that does not run."""
    assert heard(Story().node(1, "n1", "web@1").off(2, "n1")).hosts("web@1") == frozenset()


def test_hosting_tells_the_apps_apart() -> None:
    """An app whose name is the start of another's is not taken for it, and containers of nobody's count for none."""
    situation = heard(Story().node(1, "n1", "web@1", "").node(1, "n2", "webs@1"), WEB, App("webs", 1), App("db", 1))
    assert situation.hosting() == {"web": {"n1"}, "webs": {"n2"}, "db": frozenset()}


def test_instances_on_nodes_are_in_the_order_of_the_apps() -> None:
    """Only what runs on one of the given nodes is named, and each once."""
    situation = heard(Story().node(1, "n1", "web@2").node(1, "n2", "web@1", "web@2").node(1, "n3", "db@1"), WEB, App("db", 1))
    assert situation.instances_on(["n1", "n2"]) == ("web@1", "web@2")
    assert situation.instances_on(["n3"]) == ("db@1",)
    assert situation.instances_on([]) == ()


# -- the leader


def losing(story: Story, name: str, node: str, until: float | None = None) -> Story:
    """Have a fault take away a node of a cluster that followed n1, or some of it, from 3 s on, and be healed at `until`."""
    story.members(1, "n1 n2 n3", 4, "n1")
    return story.fault(name, node, decided=2, in_force=3, healing=until, healed=until, traits=older.kind(name, {}, {})[0], lost=node)


LEADERS: dict[str, tuple[Callable[[Story], Story], str | None]] = {
    "all follow one": (lambda story: story.members(1, "n1 n2 n3", 4, "n1"), "n1"),
    "two of three follow one": (lambda story: story.members(1, "n1 n2", 4, "n1").no_member(1, "n3"), "n1"),
    "the old leader clings to its own term": (lambda story: story.members(1, "n1", 4, "n1").members(2, "n2 n3", 5, "n2"), "n2"),
    "the last word of each member counts": (lambda story: story.members(1, "n1 n2 n3", 4, "n1").members(2, "n2 n3", 5, "n3"), "n3"),
    "one of three is no majority": (lambda story: story.members(1, "n1", 4, "n1").no_member(1, "n2").no_member(1, "n3"), None),
    "the same leader in three terms": (
        lambda story: story.member(1, "n1", 4, "n1").member(1, "n2", 5, "n1").member(1, "n3", 6, "n1"),
        None,
    ),
    "nobody knows of one": (lambda story: story.members(1, "n1 n2 n3", 4, None), None),
    "a majority that fell silent": (lambda story: story.members(1, "n1 n2 n3", 4, "n1").no_member(2, "n2").no_member(2, "n3"), None),
    "nothing heard": (lambda story: story, None),
    "it is off, and nobody noticed": (lambda story: story.members(1, "n1 n2 n3", 4, "n1").off(2, "n1"), None),
    "a follower is off": (lambda story: story.members(1, "n1 n2 n3", 4, "n1").off(2, "n2"), "n1"),
    "with a follower off two are left, and disagree": (
        lambda story: story.members(1, "n1 n2", 4, "n1").members(1, "n3", 3, "n2").off(2, "n2"),
        None,
    ),
    "its power was cut, and its truth tells later": (
        lambda story: losing(story, "node.kill", "n1"),
        None,
    ),
    "its power was cut, and the others elected": (
        lambda story: losing(story, "node.kill", "n1").members(9, "n2 n3", 5, "n3"),
        "n3",
    ),
    "it is cut off, and nobody noticed": (
        lambda story: losing(story, "net.partition", "n1").members(4, "n1 n2 n3", 4, "n1"),
        None,
    ),
    "another is cut off": (
        lambda story: losing(story, "net.partition", "n2").members(4, "n1 n2 n3", 4, "n1"),
        "n1",
    ),
    "its daemon was killed, and nobody asked it since": (
        lambda story: losing(story, "daemon.hang", "n1"),
        None,
    ),
    "its daemon was killed, and it gives no answer": (
        lambda story: losing(story, "daemon.hang", "n1").no_member(4, "n1"),
        None,
    ),
    "a daemon of another kind was killed, and it answers": (
        lambda story: losing(story, "daemon.hang", "n1").member(4, "n1", 4, "n1"),
        "n1",
    ),
    "its daemon was killed, and comes back by itself": (
        lambda story: story.members(1, "n1 n2 n3", 4, "n1").fault(
            "process.kill", "n1", decided=2, in_force=3, traits=daemon("etcd", in_place=True), lost="n1"
        ),
        "n1",
    ),
    "it was mended": (
        lambda story: losing(story, "net.partition", "n1", until=6),
        "n1",
    ),
}


@pytest.mark.parametrize("case", LEADERS)
def test_a_leader_is_who_a_majority_follows_in_one_term(case: str) -> None:
    """A majority of all members, not of those that answer."""
    tell, leader = LEADERS[case]
    assert heard(tell(Story())).leader() == leader


def test_who_takes_orders_is_the_first_whose_api_answers() -> None:
    """In the order of the mode; who is off takes none, whatever it answered before."""
    situation = Situation(("n1", "n2", "n3"), (), (), called={}, writes=None)
    assert situation.controller(("n1", "n2", "n3")) is None
    story = Story().api(1, "n1", "n1 n2 n3", {}).api(1, "n2", "n1 n2 n3", {}).no_api(1, "n3")
    for entry in story.history().entries:
        situation.hear(entry)
    assert [situation.controller(orders) for orders in (("n1", "n2"), ("n3", "n2"), ("n3",))] == ["n1", "n2", None]
    for entry in Story().off(2, "n1").history(beats=False).entries:
        situation.hear(entry)
    assert situation.controller(("n1", "n2", "n3")) == "n2"


@pytest.mark.parametrize(
    ("hung", "leader"), [("etcd", None), ("docker", "n1"), ("docker containerd", "n1"), ("docker etcd", None), ("", None)]
)
@pytest.mark.parametrize("answers", [True, False])
def test_who_loses_another_daemon_than_its_member_leads_on(hung: str, leader: str | None, *, answers: bool) -> None:
    """A member that says the same as before is told of only every few seconds, and may be slow to answer whatever hangs beside it."""
    situation = Situation(NODES, (), ("n1", "n2", "n3"), called={}, writes=None, daemon="etcd")
    traits = Traits(Loss.PROCESS, tuple(hung.split()))
    story = Story().members(1, "n1 n2 n3", 4, "n1").fault("daemon.hang", "n1", decided=2, in_force=3, traits=traits, lost="n1")
    for entry in (story if answers else story.no_member(4, "n1")).history(beats=False).entries:
        situation.hear(entry)
    assert situation.leader() == leader


def test_half_of_the_members_are_no_majority() -> None:
    """Of four, two are not enough and three are."""
    situation = Situation(NODES, (), ("n1", "n2", "n3", "n4"), called={}, writes=None)
    for count, leader in ((2, None), (3, "n1")):
        for entry in Story().members(1, " ".join(("n1", "n2", "n3")[:count]), 4, "n1").history().entries:
            situation.hear(entry)
        assert situation.leader() == leader


# -- recovered

Tell = Callable[[Story], Story]
RECOVERED: dict[str, tuple[Tell, bool]] = {
    # web@1 ran on n1, which was hit; it is now 20.0
    "runs and serves elsewhere": (lambda story: story.off(10, "n1").node(15, "n2", "web@1").get(19.5, "web@1", by="n2"), True),
    "runs elsewhere and does not serve": (lambda story: story.off(10, "n1").node(15, "n2", "web@1"), False),
    "serves badly": (lambda story: story.off(10, "n1").node(15, "n2", "web@1").get(19.5, "web@1", Outcome.FAIL, by="n2"), False),
    "its good answer is stale": (lambda story: story.off(10, "n1").node(15, "n2", "web@1").get(18, "web@1", by="n2"), False),
    "a bad answer after a good one": (
        lambda story: story.off(10, "n1").node(15, "n2", "web@1").get(19, "web@1", by="n2").get(19.5, "web@1", Outcome.FAIL),
        False,
    ),
    "a good answer after a bad one": (
        lambda story: story.off(10, "n1").node(15, "n2", "web@1").get(19, "web@1", Outcome.FAIL).get(19.5, "web@1", by="n2"),
        True,
    ),
    "a call without an answer": (lambda story: story.off(10, "n1").node(15, "n2", "web@1").get(19.5, "web@1", None), False),
    "the other instance answered": (lambda story: story.off(10, "n1").node(15, "n2", "web@1").get(19.5, "web@2", by="n2"), False),
    "the lost home answered last": (lambda story: story.off(10, "n1").node(19, "n2", "web@1").get(19.5, "web@1", by="n1"), False),
    "an answer of nobody known": (lambda story: story.off(10, "n1").node(15, "n2", "web@1").get(19.5, "web@1"), False),
    "runs nowhere": (lambda story: story.off(10, "n1").get(19.5, "web@1", by="n2"), False),
    "still runs on the target only": (lambda story: story.get(19.5, "web@1", by="n1"), False),
    "back on the target only": (lambda story: story.off(10, "n1").node(15, "n1", "web@1").get(19.5, "web@1", by="n1"), False),
    "a second copy beside one that is cut off": (lambda story: story.node(15, "n2", "web@1").get(19.5, "web@1", by="n1"), True),
}


@pytest.mark.parametrize("case", RECOVERED)
def test_recovered_means_running_and_serving_elsewhere(case: str) -> None:
    """Where the old copy is gone, the new one must have answered lately; where it goes on, running elsewhere is enough."""
    tell, recovered = RECOVERED[case]
    assert heard(tell(Story().node(1, "n1", "web@1").node(1, "n2").node(1, "n3"))).recovered(["web@1"], ["n1"], 20.0) is recovered


def test_recovered_without_calls_is_running_elsewhere() -> None:
    """Where no workload calls the app, nobody could say whether it serves."""
    story = Story().node(1, "n1", "web@1").off(10, "n1").node(15, "n2", "web@1")
    assert heard(story, http=False).recovered(["web@1"], ["n1"], 20.0)
    assert not heard(Story().node(1, "n1", "web@1").off(10, "n1"), http=False).recovered(["web@1"], ["n1"], 20.0)


IN_PLACE: dict[str, tuple[Tell, bool]] = {
    # web@1 ran on n1, whose daemon was killed at 10.0; it is now 20.0
    "it never stopped": (lambda story: story.get(19.5, "web@1", by="n1"), False),
    "it stopped": (lambda story: story.node(11, "n1"), False),
    "it stopped and began again": (lambda story: story.node(11, "n1").node(12, "n1", "web@1").get(19.5, "web@1", by="n1"), True),
    "it began again and does not serve": (lambda story: story.node(11, "n1").node(12, "n1", "web@1"), False),
    "it runs elsewhere": (lambda story: story.node(11, "n1").node(12, "n2", "web@1").get(19.5, "web@1", by="n2"), True),
    "it could not be asked for a while": (
        lambda story: story.unreachable(11, "n1").node(12, "n1", "web@1").get(19.5, "web@1", by="n1"),
        False,
    ),
    "it began again before": (
        lambda story: story.node(8, "n1").node(9, "n1", "web@1").get(19.5, "web@1", by="n1"),
        False,
    ),
}


@pytest.mark.parametrize("case", IN_PLACE)
def test_what_may_come_back_in_place_has_recovered_once_it_began_again(case: str) -> None:
    """A container that was there before shows nothing: it may be about to be stopped."""
    tell, recovered = IN_PLACE[case]
    situation = heard(tell(Story().node(1, "n1", "web@1").node(1, "n2").node(1, "n3")))
    assert situation.recovered(["web@1"], ["n1"], 20.0, since=10.0) is recovered


AWAITED: dict[str, tuple[App, Tell, str, tuple[str, ...]]] = {
    "there is room": (App("web", 2), lambda story: story, "n1", ("web@1",)),
    "nobody is lost": (App("web", 2), lambda story: story, "", ()),
    "nobody is left": (App("web", 2), lambda story: story, "n1 n2 n3", ()),
    "the others are full": (App("web", 3), lambda story: story.node(2, "n3", "web@3"), "n1", ()),
    "full, and there is no rule": (App("web", 3, conflicts=False), lambda story: story.node(2, "n3", "web@3"), "n1", ("web@1",)),
    "the one with room is off": (App("web", 2), lambda story: story.off(2, "n3"), "n1", ()),
    "the one with room was never seen": (App("web", 2), lambda story: story, "n1 n3", ()),
    "it runs elsewhere as well": (App("web", 2), lambda story: story.node(2, "n3", "web@1"), "n1", ()),
    "pinned to the lost one": (App("web", 1, pin="n1"), lambda story: story, "n1", ("web@1",)),
}


@pytest.mark.parametrize("case", AWAITED)
def test_a_recovery_is_awaited_where_it_can_come(case: str) -> None:
    """Where nothing is lost, or no node that is left may run it, there is nothing to wait for."""
    app, tell, lost, awaited = AWAITED[case]
    situation = heard(tell(Story().node(1, "n1", "web@1").node(1, "n2", "web@2").node(1, "n3")), app)
    displaced = situation.instances_on(lost.split())
    assert situation.awaited(displaced, lost.split()) == awaited


def test_recovered_asks_for_every_instance() -> None:
    """One that is back does not speak for the other; nothing lost is recovered already."""
    story = Story().node(1, "n1", "web@1", "web@2").off(10, "n1").node(15, "n2", "web@1").get(19.5, "web@1", by="n2")
    assert not heard(story).recovered(["web@1", "web@2"], ["n1"], 20.0)
    assert heard(story.node(16, "n3", "web@2").get(19.6, "web@2", by="n3")).recovered(["web@1", "web@2"], ["n1"], 20.0)
    assert heard(Story()).recovered([], ["n1"], 20.0)


def test_an_answer_is_fresh_for_a_while() -> None:
    """Up to the limit it counts, beyond it does not."""
    situation = heard(Story().node(1, "n2", "web@1").get(10.0, "web@1", by="n2"))
    answered = 10.01
    assert situation.recovered(["web@1"], ["n1"], answered + FRESH - 0.1)
    assert not situation.recovered(["web@1"], ["n1"], answered + FRESH + 0.1)


# -- whole


def test_a_whole_cluster_misses_nothing() -> None:
    """All up and listed, all work running once and serving, one leader, writes acknowledged."""
    assert heard(whole()).missing(10.0) == []


MISSING: dict[str, tuple[Tell, str]] = {
    "off": (lambda story: story.off(9, "n3"), "n3 is off"),
    "unreachable": (lambda story: story.unreachable(9, "n3"), "n3 is unreachable"),
    "no api": (lambda story: story.no_api(9, "n2"), "n2's API gives no answer"),
    "not listed": (
        lambda story: story.api(9, "n1", "n1", {"web@1": "n1", "web@2": "n2"}),
        "n1's API does not list n2, n3",
    ),
    "a claim that is not so": (
        lambda story: story.api(9, "n3", "n1 n2 n3", {"web@1": "n1", "web@2": "n3"}),
        "n3's API says that web@2 runs on n3, where it does not",
    ),
    "twice": (lambda story: story.node(9, "n3", "web@1"), "web@1 runs on n1, n3"),
    "once less": (
        lambda story: story.node(9, "n2").api(9, "n1", "n1 n2 n3", {}).api(9, "n2", "n1 n2 n3", {}).api(9, "n3", "n1 n2 n3", {}),
        "1 of 2 instances of web run",
    ),
    "a silent member": (lambda story: story.no_member(9, "n2"), "only 2 of 3 members answer"),
    "a member behind": (lambda story: story.member(9, "n2", 3, "n3"), "the members do not agree on one leader"),
    "a member without a leader": (lambda story: story.member(9, "n2", 4, None), "the members do not agree on one leader"),
    "no leader at all": (lambda story: story.members(9, "n1 n2 n3", 5, None), "the members do not agree on one leader"),
    "a failed call": (lambda story: story.get(9.9, "web@1", Outcome.FAIL), "web@1 does not answer"),
    "a call of unknown end": (lambda story: story.get(9.9, "web@2", Outcome.UNKNOWN), "web@2 does not answer"),
    "a failed call beside an old one that is answered well": (
        lambda story: story.get(9.9, "web@1", Outcome.FAIL).call(9.0, "http", Call("get", "web@1"), took=0.95, by="n1"),
        "web@1 does not answer",
    ),
    "a failed write": (lambda story: story.write(9.9, "k", "w", Outcome.FAIL), "writes are not acknowledged"),
    "a write of unknown end": (lambda story: story.write(9.9, "k", "w", Outcome.UNKNOWN), "writes are not acknowledged"),
}


@pytest.mark.parametrize("case", MISSING)
def test_each_thing_missing_is_told_alone(case: str) -> None:
    """One thing is wrong, and exactly that is said."""
    tell, said = MISSING[case]
    assert heard(tell(whole())).missing(10.0) == [said]


BEARABLE: dict[str, Tell] = {
    "an instance without a home by the api": lambda story: story.api(9, "n3", "n1 n2 n3", {"web@1": "n1", "web@2": None}),
    "a stranger that the api lists": lambda story: story.api(9, "n3", "n1 n2 n3 n4", {"web@1": "n1", "web@2": "n2"}),
    "a failed call before a good one": lambda story: story.get(9.7, "web@1", Outcome.FAIL),
    "an old call that fails after a good one": lambda story: story.call(9.0, "http", Call("get", "web@1"), Outcome.FAIL, took=0.9),
    "a read that failed": lambda story: story.read(9.9, "k", None, Outcome.FAIL),
    "a write under way": lambda story: story.write(9.9, "k", "w", None),
    "a place where it says that nothing runs yet": lambda story: story.tell(
        9, ApiSeen("n3", View(NODES, (Placement("web@1", "n3", "launched", running=False),)))
    ),
    "what is no business of ours": lambda story: story.tell(9, Note("hello")).node(9, "n3", "", "other@1"),
}


@pytest.mark.parametrize("case", BEARABLE)
def test_a_whole_cluster_bears(case: str) -> None:
    """What does not keep it from being whole is not told."""
    assert heard(BEARABLE[case](whole())).missing(10.0) == []


def test_where_there_is_no_api_a_cluster_is_whole_by_its_nodes() -> None:
    """Nobody waits for the word of what is not there; where there is one, its silence is missed."""
    for viewed, missing in ((False, []), (True, ["n1's API gives no answer", "n2's API gives no answer"])):
        situation = Situation(("n1", "n2"), (WEB,), (), called={}, writes=None, viewed=viewed)
        for entry in Story().node(1, "n1", "web@1").node(1, "n2", "web@2").history().entries:
            situation.hear(entry)
        assert situation.missing(10.0) == missing


def test_a_cluster_of_which_nothing_is_known_misses_everything() -> None:
    """Not asked is not well."""
    assert heard(Story()).missing(0.0) == [
        "n1 is not seen yet",
        "n2 is not seen yet",
        "n3 is not seen yet",
        "n1's API gives no answer",
        "n2's API gives no answer",
        "n3's API gives no answer",
        "0 of 2 instances of web run",
        "only 0 of 3 members answer",
    ]
    assert heard(Story()).unasked(0.0) == ["nobody wrote"]


SILENT = ["web@1 was not called", "web@2 was not called", "nobody wrote"]


def test_good_answers_grow_old() -> None:
    """What served a while ago may not serve now; but whom nobody asked since has not kept silent either."""
    assert heard(whole()).unasked(10.0) == []
    assert heard(whole()).unasked(10.0 + FRESH) == SILENT
    assert heard(whole()).missing(10.0 + FRESH) == []


def test_only_an_answer_from_after_a_moment_tells_of_what_came_after_it() -> None:
    """What was answered before the wait began, says nothing of what became of it since."""
    assert heard(whole(), pace=60.0).unasked(10.0, since=9.0) == []
    assert heard(whole(), pace=60.0).unasked(10.0, since=9.9) == SILENT


def gentle(story: Story, every: float, until: float) -> Story:
    """Call both instances, and write, once in so many seconds, all of it well, up to and at `until`."""
    for number in range(int(until / every) + 1):
        at = until - number * every
        story.get(at, "web@1", by="n1").get(at, "web@2", by="n2").write(at, f"k{number}", "v")
    return story


@pytest.mark.parametrize("every", [0.05, 0.5, 2.0, 5.0, 20.0])
def test_whoever_is_called_seldom_serves_all_the_same(every: float) -> None:
    """A good answer speaks until the next call, however far those stand apart; and who does not answer that one does not serve."""
    now = 100.0 + every - 0.02
    steady = gentle(whole(), every, 100.0)
    assert heard(steady, pace=every).unasked(now) == heard(steady, pace=every).missing(now) == []
    lapsed = heard(steady, pace=every).unasked(now + FRESH + 0.1)
    assert lapsed == SILENT
    refused = gentle(whole(), every, 100.0).get(100.0 + every, "web@1", Outcome.FAIL).get(100.0 + every, "web@2", by="n2")
    refused.write(100.0 + every, "last", "v")
    situation = heard(refused, pace=every)
    assert situation.missing(100.0 + every + FRESH + 0.1) == ["web@1 does not answer"]


def slowly(takes: float, every: float, *, ok: bool, until: float) -> Situation:
    """Return what is known of a cluster of which everybody is asked every so many seconds, from 20 s on, and answers after so many; allowed are 5."""
    story = whole()
    calls = int((until - 20.0) / every) + 1
    for begun in (20.0 + every * number for number in range(calls)):
        for name, node in (("web@1", "n1"), ("web@2", "n2")):
            story.call(begun, "http", Call("get", name), Outcome.OK if ok else Outcome.FAIL, by=node, took=takes)
        story.write(begun, f"k{begun}", "v", Outcome.OK if ok else Outcome.FAIL, took=takes)
    pace = dict.fromkeys(WEB.names, every)
    allowed = dict.fromkeys((*WEB.names, WRITES), 5.0)
    situation = Situation(NODES, (WEB,), NODES, called=pace, writes=every, deadlines=allowed)
    for entry in story.history(beats=False).entries:
        if entry.time <= until:
            situation.hear(entry)
    return situation


@pytest.mark.parametrize(("takes", "every"), [(1.4, 2.0), (1.6, 2.0), (1.8, 4.0), (2.5, 3.0), (4.9, 1.0), (4.9, 20.0)])
def test_who_answers_slowly_and_in_time_serves(takes: float, every: float) -> None:
    """At any moment between two calls: what a scenario lets a call take is no silence. Beyond that it is, and so is an answer that is bad."""
    for number in range(40):
        now = 60.0 + every * number / 20.0
        situation = slowly(takes, every, ok=True, until=now)
        assert situation.missing(now) == situation.unasked(now) == []
    bad = slowly(takes, every, ok=False, until=60.0)
    assert bad.missing(60.0) == ["web@1 does not answer", "web@2 does not answer", "writes are not acknowledged"]


@pytest.mark.parametrize(("now", "silent"), [(24.9, []), (26.9, SILENT)])
def test_who_slows_down_has_as_long_for_an_answer_as_a_call_may_take(now: float, silent: list[str]) -> None:
    """Called every second, all answer at once until 20 s; from then on an answer takes 4.9 s, of 5 that are allowed: the first comes at 25.9 s."""
    story = gentle(whole(), 1.0, 20.0)
    for begun in (21.0, 22.0, 23.0, 24.0) if now < 25 else ():
        story.get(begun, "web@1", None).get(begun, "web@2", None).write(begun, f"k{begun}", "v", None)
    pace, allowed = dict.fromkeys(WEB.names, 1.0), dict.fromkeys((*WEB.names, WRITES), 5.0)
    situation = Situation(NODES, (WEB,), NODES, called=pace, writes=1.0, deadlines=allowed)
    for entry in story.history(beats=False).entries:
        situation.hear(entry)
    assert (situation.unasked(now), situation.missing(now)) == (silent, [])


@pytest.mark.parametrize("every", [0.05, 2.0, 20.0])
def test_work_has_recovered_when_it_answers_at_its_callers_pace(every: float) -> None:
    """And not by an answer from before it ran there."""
    story = Story().node(1, "n1", "web@1").node(1, "n2").node(1, "n3").off(10, "n1").node(15, "n2", "web@1")
    early, late = 14.0, 15.5
    assert heard(story.get(late, "web@1", by="n2"), pace=every).recovered(["web@1"], ["n1"], late + every)
    other = Story().node(1, "n1", "web@1").node(1, "n2").node(1, "n3").off(10, "n1").node(15, "n2", "web@1")
    assert not heard(other.get(early, "web@1", by="n2"), pace=every).recovered(["web@1"], ["n1"], late)


@pytest.mark.parametrize("allowed", [1.0, 5.0, 60.0])
@pytest.mark.parametrize("ends", [Outcome.FAIL, Outcome.UNKNOWN])
def test_what_was_answered_badly_is_no_wait_however_long_a_call_may_take(allowed: float, ends: Outcome) -> None:
    """Refused at once, an app or a write is refused; who waits for the deadline waits for an answer."""
    told = dict.fromkeys((*WEB.names, WRITES), allowed)
    for story, who in (
        (whole().call(10.0, "http", Call("get", "web@1"), ends, took=0.005), "web@1 does not answer"),
        (whole().write(10.0, "k", "w", ends, took=0.005), "writes are not acknowledged"),
    ):
        situation = Situation(NODES, (WEB,), NODES, called=dict.fromkeys(WEB.names, 0.1), writes=0.1, deadlines=told)
        for entry in story.history(beats=False).entries:
            situation.hear(entry)
        assert situation.missing(10.01) == [who]
        assert situation.unasked(10.01) == []


@pytest.mark.parametrize("ours", [True, False])
def test_what_this_machine_could_not_ask_was_not_asked(*, ours: bool) -> None:
    """No call of the last seconds was made: whoever is called answers neither badly nor late, and nobody knows whether it would."""
    story, late = whole(), 20.0
    for number in range(50):
        for call, workload in (
            (Call("get", "web@1"), "http"),
            (Call("get", "web@2"), "http"),
            (Call("write", f"k{number}", "v"), "register"),
        ):
            story.call(10.0 + number / 5, workload, call, Outcome.FAIL, by="n1", ours=ours)
    situation = heard(story, pace=0.2)
    silent = ["web@1 was not called", "web@2 was not called", "nobody wrote"]
    bad = ["web@1 does not answer", "web@2 does not answer", "writes are not acknowledged"]
    assert (situation.missing(late), situation.unasked(late)) == (([], silent) if ours else (bad, []))
    assert situation.lacking(WEB, (), late) == (([], silent[:2]) if ours else (bad[:2], []))
    assert (situation.refusals == 0) is ours


@pytest.mark.parametrize("ours", [True, False])
def test_a_wait_begins_with_the_first_call_that_was_made(*, ours: bool) -> None:
    """One that this machine could not make is no wait, though others are under way."""
    story = whole().call(10.0, "http", Call("get", "web@1"), Outcome.FAIL, took=1.5, ours=ours).get(11.0, "web@1", None)
    assert heard(story).missing(11.9) == ([] if ours else ["web@1 does not answer"])
    assert heard(story).missing(13.0) == ["web@1 does not answer"]


def test_bad_answers_are_counted_where_what_was_called_runs() -> None:
    """An instance without a home is refused all along, and an old call that ends after a newer one was answered well tells of an old time."""
    assert heard(whole()).refusals == 0
    assert heard(whole().get(9.9, "web@1", Outcome.FAIL).write(9.9, "k", "w", Outcome.UNKNOWN)).refusals == 2
    assert heard(whole().get(9.9, "web@3", Outcome.FAIL), App("web", 3)).refusals == 0
    assert heard(whole().call(9.0, "http", Call("get", "web@1"), Outcome.FAIL, took=0.9)).refusals == 0


def test_only_what_is_called_must_answer() -> None:
    """Without workloads nobody could say; without a quorum there is no leader to agree on."""
    story = Story().node(1, "n1", "web@1").node(1, "n2", "web@2").node(1, "n3")
    for asked in NODES:
        story.api(1, asked, "n1 n2 n3", {"web@1": "n1", "web@2": "n2"})
    assert heard(story, http=False, register=False, quorum=False).missing(10.0) == []
    assert heard(story).missing(10.0) == ["only 0 of 3 members answer"]
    assert heard(story).unasked(10.0) == SILENT


ABLE = [
    # app, instances that run on n1, n2, n3; what is missing
    (App("web", 5), ("web@1", "web@2", "web@3"), []),  # never two on one node: three have a home
    (App("web", 5), ("web@1", "web@2", ""), ["2 of 3 instances of web run"]),
    (App("web", 2, pin="n1"), ("web@2", "", ""), []),  # and pinned: one has
    (App("web", 2, pin="n1"), ("", "", ""), ["0 of 1 instances of web run"]),
    (App("web", 4, conflicts=False), ("web@1", "web@2", "web@3"), ["3 of 4 instances of web run"]),
]


@pytest.mark.parametrize(("app", "running", "missing"), ABLE)
def test_as_many_must_run_as_can_have_a_home(app: App, running: tuple[str, ...], missing: list[str]) -> None:
    """What the app's own rules leave without a home is not missing."""
    story = Story()
    for node, instance in zip(NODES, running, strict=True):
        story.node(1, node, *([instance] if instance else [])).api(1, node, "n1 n2 n3", {})
    assert heard(story, app, http=False, register=False, quorum=False).missing(10.0) == missing


def test_calls_of_other_workloads_are_no_writes_and_no_gets() -> None:
    """A read of the register is not an acknowledged write; an answer to a call that nobody began is nothing."""
    story = whole().call(30.0, "other", Call("get", "web@1"), by="n1").read(30.0, "k", "v")
    assert heard(story).unasked(30.1) == SILENT


def test_an_app_that_nobody_calls_need_not_answer() -> None:
    """With two apps and calls to one of them, the other is judged by node truth alone."""
    web, db = App("web", 1), App("db", 1, port=9000)
    situation = Situation(NODES, (web, db), (), called={"web@1": 0.1}, writes=None)
    for entry in Story().node(1, "n1", "web@1").node(1, "n2", "db@1").history(beats=False).entries:
        situation.hear(entry)
    assert situation.unasked(2.0) == ["web@1 was not called"]
    assert situation.recovered(["db@1"], ["n1"], 2.0)


def test_an_instance_that_nobody_calls_need_not_answer() -> None:
    """Where only the first instances of an app are called, the others are judged by node truth alone, before, during and after."""
    situation = Situation(NODES, (WEB,), (), called={"web@1": 0.1}, writes=None)
    for entry in Story().node(1, "n1", "web@1").node(1, "n2", "web@2").history(beats=False).entries:
        situation.hear(entry)
    assert situation.unasked(2.0) == ["web@1 was not called"]
    assert situation.recovered(["web@2"], ["n1"], 2.0)
    assert not situation.recovered(["web@1"], ["n2"], 2.0)


@pytest.mark.parametrize(
    ("state", "nowhere"),
    [(NodeState.UP, True), (NodeState.OFF, True), (NodeState.UNREACHABLE, False), (None, False)],
)
def test_that_an_app_runs_nowhere_is_known_only_where_every_node_was_asked(state: NodeState | None, nowhere: bool) -> None:
    """A node that could not be asked, or was never seen, may run it."""
    situation = Situation(NODES, (WEB,), (), called={}, writes=None)
    for entry in Story().node(1, "n1").node(1, "n2").history(beats=False).entries:
        situation.hear(entry)
    if state is not None:
        situation.hear(Entry(9, 2.0, NodeSeen("n3", state)))
    assert situation.nowhere("web") is nowhere
    situation.hear(Entry(10, 3.0, NodeSeen("n1", NodeState.UP, (Container("0" * 64, "web@1"),))))
    assert not situation.nowhere("web")


# -- what is said of it to whoever judges


@pytest.mark.parametrize("away", [False, True])
def test_what_is_missing_is_told_in_the_words_by_which_it_is_judged(*, away: bool) -> None:
    """`in_doubt` and `only_about` read them back: another word here, and an action in doubt would excuse nothing any more."""
    story = Story().action(2, 3, "app.scale", effect=Effect({"web": 1}), was={"web": 2}, outcome=Outcome.UNKNOWN)
    story.node(4, "n1", "web@1").node(4, "n2").node(4, "n3")
    history = story.history()
    situation = heard(story, http=False, register=False, quorum=False)
    said = situation.lacking(WEB, {"n3"}, 5.0)[0] if away else [each for each in situation.missing(5.0) if "instances" in each]
    assert len(said) == 1
    assert only_about(said) == ("web",)
    assert "whether app.scale at 2.0 s was done is not known" in in_doubt(history, 5.0, said)
    silent = heard(whole().get(9.9, "web@2", Outcome.FAIL)).missing(10.0)
    assert silent == ["web@2 does not answer"]
    assert only_about(silent) == ("web",)
    assert only_about([*said, "the members do not agree on one leader"]) == ()
