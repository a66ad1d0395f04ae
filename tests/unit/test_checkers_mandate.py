"""Who has no majority speaks for no quorum: acknowledgements, reads and leaders of who was cut off, dead, off or a stranger are unknown."""

from __future__ import annotations

import dataclasses

import pytest

from harness.checkers import Assumptions, QuorumSurvived, Rescheduled
from harness.checkers.expected import Expected
from harness.checkers.mandate import impossible_leaders
from harness.core.topology import APART
from harness.core.traits import EVERYBODY, daemon
from harness.core.values import Budget, Loss, Outcome, Term, Traits, Verdict
from harness.history.events import History, MemberSeen, Watching
from harness.history.reigns import reigns
from harness.testing.histories import Story, node_kill

HELD, BROKEN, UNKNOWN = Verdict.HELD, Verdict.BROKEN, Verdict.UNKNOWN
CUT = Traits(Loss.LINK, blinds=("membership", "placement"))
GOES_ON, STOPS = QuorumSurvived("go on"), QuorumSurvived("stop")
ETCD = daemon("etcd", in_place=False)
DOCKER = daemon("docker", in_place=False)


def lost(kind: Traits = CUT, shape: str = "isolate", *, targets: str = "n3", gone: str = "n3") -> Story:
    """Three members under n1 in term 2, each of which acknowledges writes; n3 is lost to a fault from 10 s to 50 s."""
    story = (
        Story().members(0.5, "n1 n2 n3", 2, "n1").watched(69, "n1 n2 n3").whole(1, "before").node(0.5, "n1").node(0.5, "n2").node(0.5, "n3")
    )
    parameters = {"shape": shape} if kind.loses is Loss.LINK else {}
    kind = dataclasses.replace(kind, apart=kind.loses is Loss.LINK and shape in APART)
    return story.fault(
        "their.own", targets, decided=10, in_force=10, healing=50, healed=50.1, traits=kind, lost=gone, parameters=parameters
    ).done(70)


def contradictions(story: Story, expected: Expected | None = None) -> str:
    """What the assumptions have against who answered."""
    points = Assumptions(expected or Expected()).check(story.history()).details.get("points", [])
    assert isinstance(points, list)
    return " | ".join(str(each) for each in points if "answered well by" in str(each))


ANSWERS: dict[str, tuple[Story, str]] = {
    "a write, by one that is cut off": (lost().write(30, "k", "v", by="n3"), "n3 was cut off by their.own"),
    "a read, by one that is cut off": (lost().read(30, "k", "v", by="n3"), "n3 was cut off by their.own"),
    "a write, by one that nobody hears": (lost(shape="one_way").write(30, "k", "v", by="n3"), "n3 was cut off by their.own"),
    "a write, by one whose etcd is dead": (lost(ETCD).write(30, "k", "v", by="n3"), "n3 had lost etcd to their.own"),
    "a write, by a machine that is gone": (
        lost(Traits(Loss.NODE, blinds=EVERYBODY)).write(30, "k", "v", by="n3"),
        "n3 was lost to their.own",
    ),
    "a write, by a stranger": (lost().write(30, "k", "v", by="n9"), "n9 at 30.0 s, which is no member"),
    "a write, by nobody": (lost().write(30, "k", "v", by=""), "every good answer is by a member"),
    "a write before the fault, by a stranger": (lost().write(5, "k", "v", by="n9"), "n9 at 5.0 s, which is no member"),
    "a write, by a survivor": (lost().write(30, "k", "v", by="n2"), ""),
    "a write that was on its way": (lost().write(10.5, "k", "v", by="n3"), ""),
    "a write before": (lost().write(9, "k", "v", by="n3"), ""),
    "a write that is answered after the heal": (lost().write(49, "k", "v", by="n3", took=2.0), ""),
    "a write after": (lost().write(55, "k", "v", by="n3"), ""),
    "a read from the past, by a leader that has not stepped down yet": (lost().read(15, "k", "v", by="n3"), ""),
    "a write, by one whose etcd was started again": (lost(daemon("etcd", in_place=True)).write(30, "k", "v", by="n3"), ""),
    "a write, by one whose Docker is dead": (lost(DOCKER).write(30, "k", "v", by="n3"), ""),
    "a write, at the rim of a bridge": (lost(shape="bridge", targets="n2").write(30, "k", "v", by="n3"), ""),
}


@pytest.mark.parametrize("case", ANSWERS)
def test_a_good_answer_of_who_has_no_majority_is_unknown(case: str) -> None:
    """Beside those that may well be."""
    story, words = ANSWERS[case]
    said = contradictions(story)
    assert (words in said, bool(said)) == (True, bool(words)), said


def test_whose_daemon_is_the_member_is_for_the_mode_to_say() -> None:
    """A swarm's manager is its dockerd; there a dead etcd means nothing."""
    swarm = Expected(member="docker")
    assert "n3 had lost docker to their.own" in contradictions(lost(DOCKER).write(30, "k", "v", by="n3"), swarm)
    assert contradictions(lost(ETCD).write(30, "k", "v", by="n3"), swarm) == ""


def test_answers_of_nobody_are_judged_only_where_a_run_says_whether_it_was_whole() -> None:
    """Earlier ones named nobody."""
    story = Story().members(0.5, "n1 n2 n3", 2, "n1").write(5, "k", "v", by="").done(10)
    assert contradictions(story) == ""


WRITES: dict[str, tuple[QuorumSurvived, Story, Verdict]] = {
    "go on, by survivors": (GOES_ON, lost().writes(0, 68, by="n1"), HELD),
    "go on, by the lost alone": (GOES_ON, lost().writes(0, 10, by="n1").writes(10, 50, by="n3").writes(50, 68, by="n1"), UNKNOWN),
    "go on, by the lost among others": (GOES_ON, lost().writes(0, 68, by="n1").write(30.2, "k", "v", by="n3"), UNKNOWN),
    "go on, by a stranger": (GOES_ON, lost().writes(0, 68, by="n9"), UNKNOWN),
    "go on, by nobody at all": (GOES_ON, lost().writes(0, 10, by="n1").writes(10, 50, Outcome.UNKNOWN).writes(50, 68, by="n1"), BROKEN),
    "stop, and the lost acknowledge": (STOPS, lost().writes(0, 68, by="n3"), BROKEN),
    "stop, and a stranger acknowledges": (
        STOPS,
        lost().writes(0, 10, by="n1").writes(10, 49, Outcome.UNKNOWN).write(30.2, "k", "v", by="n9").writes(51, 68, by="n1"),
        UNKNOWN,
    ),
}


@pytest.mark.parametrize("case", WRITES)
def test_acknowledgements_of_who_has_no_majority_are_no_evidence(case: str) -> None:
    """Neither that writes go on, nor that they do not; but where they were to stop, one of a node that is cut off is what convicts."""
    checker, story, verdict = WRITES[case]
    finding = checker.check(story.history())
    assert finding.verdict is verdict, finding.summary


def led(*said: tuple[float, str, int, str | None]) -> History:
    """A good run in which n2 loses its power from 10 s to 53 s, under n1 in term 2, and what members say beside."""
    story = node_kill()
    for time, node, term, leader in said:
        story.tell(time, MemberSeen(node, term, leader))
    return story.history()


def off() -> Story:
    """The machine of n1, which leads in term 2, is off from 10 s to 50 s."""
    return lost(Traits(Loss.NODE, blinds=EVERYBODY), targets="n1", gone="n1").off(10.1, "n1").node(50, "n1").no_member(11, "n1")


LEADERS: dict[str, tuple[str, History, Verdict, str]] = {
    "moves to another": ("moves", off().members(14, "n2 n3", 3, "n3").history(), HELD, "to n3"),
    "moves to a stranger": (
        "moves",
        led((14, "n1", 3, "n9"), (14, "n3", 3, "n9")),
        UNKNOWN,
        "n9 in term 3 from 14.0 s, which is no member",
    ),
    "moves to a machine that is off": ("moves", led((14, "n1", 3, "n2"), (14, "n3", 3, "n2")), UNKNOWN, "when it was"),
    "stays with another": ("stays", led(), HELD, "stayed with n1"),
    "stays with a machine that is off": ("stays", off().history(), UNKNOWN, "s of that it was"),
    "moves to one who is cut off": (
        "moves",
        lost(gone="n3").members(20, "n1 n2", 3, "n3").history(),
        UNKNOWN,
        "n3 in term 3 from 20.0 s, when it was cut off",
    ),
    "moves to one whose etcd is dead": (
        "moves",
        lost(ETCD).members(20, "n1 n2", 3, "n3").history(),
        UNKNOWN,
        "when it had lost etcd",
    ),
    "moves, to one who was elected before the cut": (
        "moves",
        lost().members(11, "n1 n2", 3, "n3").members(14, "n1 n2", 4, "n2").history(),
        HELD,
        "to n3",
    ),
}


@pytest.mark.parametrize("case", LEADERS)
def test_a_leader_who_cannot_lead_is_unknown(case: str) -> None:
    """Followers alone do not make one: it must be a member, with a majority, and not deny it."""
    leader, history, verdict, words = LEADERS[case]
    promised = QuorumSurvived(leader="moves") if leader == "moves" else QuorumSurvived(leader="stays")
    finding = promised.check(history)
    assert (finding.verdict, words in finding.summary) == (verdict, True), finding.summary


def test_a_leader_whose_own_word_is_that_it_does_not_lead_is_unknown() -> None:
    """For longer than an election takes; a moment is only a word that crossed another."""
    for until, verdict in ((13.5, HELD), (40.0, UNKNOWN)):
        story = lost(daemon("fleetd", in_place=True), targets="n2", gone="n2").members(12, "n1 n3", 3, "n3")
        story = story.member(12.1, "n3", 3, None).member(12.2, "n2", 3, "n3").member(until, "n3", 3, "n3")
        finding = QuorumSurvived(leader="moves").check(story.history())
        assert (finding.verdict, verdict is HELD or "said itself that it did not lead" in finding.summary) == (verdict, True), (
            finding.summary
        )


def test_followers_who_never_notice_that_their_leader_is_cut_off_are_broken_where_leadership_is_to_move() -> None:
    """That is what it looks like when it does not."""
    finding = QuorumSurvived(leader="moves").check(lost(targets="n1", gone="n1").history())
    assert (finding.verdict, "leadership stayed with n1" in finding.summary) == (BROKEN, True), finding.summary


ELECTED: dict[str, tuple[Story, str]] = {
    "by one of three, in a new term": (
        lost().member(14, "n3", 3, "n3"),
        "n3 named itself the leader of term 3 at 14.0 s, when n3 was cut off",
    ),
    "by one of three, that nobody hears": (lost(shape="one_way").member(14, "n3", 3, "n3"), "n3 named itself the leader of term 3"),
    "by two of five": (
        lost(shape="halves", targets="n3 n4", gone="n3 n4").members(0.5, "n4 n5", 2, "n1").member(15, "n4", 3, "n3"),
        "n4 named n3 the leader of term 3 at 15.0 s",
    ),
    "just before it was cut off, as was heard since": (lost().member(12, "n3", 3, "n3").member(30, "n3", 3, "n3"), ""),
    "before it was cut off": (lost().members(5, "n1 n2 n3", 3, "n3").member(14, "n3", 3, "n3"), ""),
    "after the heal": (lost().members(55, "n1 n2 n3", 3, "n3"), ""),
    "by nobody: it only stands for election": (lost().member(14, "n3", 3, None).member(20, "n3", 7, None), ""),
    "of those that are left": (lost().members(14, "n1 n2", 3, "n2"), ""),
}


@pytest.mark.parametrize("case", ELECTED)
def test_who_was_elected_without_a_majority_is_unknown(case: str) -> None:
    """Its own word in a new term, or that of those who were cut off with it: beside an old leader's, and what was told late."""
    story, words = ELECTED[case]
    finding = Assumptions(Expected()).check(story.history())
    said = f"{finding.summary} {finding.details.get('points', '')}"
    assert (words in said, "the leader of term" in said) == (True, bool(words)), said


def moved(story: Story, *, by_leader: float = 40.0, by_follower: float = 20.0, other: float = 20.0) -> Verdict:
    """Whether n3's work, back after 30 s, is in time: by budgets of who was lost."""
    budgets = {
        "their.own": Budget((Term("the longest", by_leader, "fleet"),)),
        "their.own of a follower": Budget((Term("shorter", by_follower, "fleet"),)),
        "their.own of no member": Budget((Term("shortest", other, "fleet"),)),
    }
    history = story.node(1, "n3", "web@3").node(1, "n2").off(10.05, "n3").node(40, "n2", "web@3").history()
    return Rescheduled("web", budgets=budgets).check(history).verdict


def taken() -> Story:
    """n3, which follows n1, loses its power."""
    return lost(Traits(Loss.NODE, blinds=EVERYBODY))


def unheard(story: Story, start: float, end: float, nodes: str, *, said: bool = False) -> Story:
    """The same, but for what the members' observer told of these in a time: nothing, or, where `said`, that it could not ask."""
    other = Story()
    for entry in story.history(beats=False).entries:
        event = entry.event
        if isinstance(event, Watching) and event.observer == "membership" and event.node in nodes.split() and start < entry.time < end:
            if not said:
                continue
            event = dataclasses.replace(event, alive=False)
        other.tell(entry.time, event)
    return other


SHORTER: dict[str, tuple[Story, Verdict]] = {
    "all were listened to": (taken(), BROKEN),
    "the lost one was not": (unheard(taken(), 10.5, 52, "n3"), BROKEN),
    "one was not, and two were": (unheard(taken(), 20, 40, "n2"), BROKEN),
    "the others were not": (unheard(taken(), 20, 40, "n1 n2"), UNKNOWN),
    "none was, from before the fault on": (unheard(taken(), 8, 99, "n1 n2 n3"), UNKNOWN),
    "none was, while it was in force": (unheard(taken(), 10.5, 52, "n1 n2 n3"), UNKNOWN),
    "none could be asked": (unheard(taken(), 10.5, 52, "n1 n2 n3", said=True), UNKNOWN),
    "none was, long after the heal": (unheard(taken(), 56, 69, "n1 n2 n3"), BROKEN),
}


@pytest.mark.parametrize("case", SHORTER)
def test_a_shorter_budget_counts_only_where_leadership_was_listened_to(case: str) -> None:
    """Silence of ours says nothing of who led: then it is not too late before the longest time is over, and not in time either."""
    story, verdict = SHORTER[case]
    assert moved(story) is verdict


def test_a_member_that_never_spoke_is_one_all_the_same() -> None:
    """It was watched: what is allowed for those that are no members does not count."""
    story = Story()
    for entry in taken().history(beats=False).entries:
        if not (isinstance(entry.event, MemberSeen) and entry.event.node == "n3"):
            story.tell(entry.time, entry.event)
    assert moved(story, by_follower=35) is HELD


FIVE = "n1 n2 n3 n4 n5"
PLANNED = Expected(nodes=tuple(FIVE.split()), observers=(("membership", tuple(FIVE.split())),))


def of_five(spoke: str, *, silent: str = "") -> Story:
    """Five planned members, of whom some ever spoke, and some of these are not listened to while n1, which leads, is cut off from 10 s to 60 s."""
    story = Story().members(0.5, spoke, 2, "n1")
    for node in FIVE.split():
        story.node(0.5, node)
    kind = Traits(Loss.LINK, blinds=("membership", "placement"), apart=True)
    story.fault(
        "net.partition", "n1", decided=10, in_force=10, healing=60, healed=60.1, traits=kind, lost="n1", parameters={"shape": "isolate"}
    )
    for second in range(100):
        for node in FIVE.split():
            for observer in ("docker", "host", "placement"):
                story.watching(second, observer, node)
            if node in spoke.split() and not (node in silent.split() and 9 < second < 70):
                story.watching(second, "membership", node)
    return story


@pytest.mark.parametrize(("spoke", "silent"), [("n1 n2 n3", "n3"), (FIVE, "n3 n4 n5")])
def test_members_that_were_planned_and_never_spoke_are_members(spoke: str, silent: str) -> None:
    """That fewer were heard of convicts nobody: three of five must say that leadership stayed."""
    promise = QuorumSurvived(leader="moves", expected=PLANNED)
    assert promise.check(of_five(spoke, silent=silent).done(100).history()).verdict is UNKNOWN
    assert promise.check(of_five(FIVE).done(100).history()).verdict is BROKEN


@pytest.mark.parametrize(("follow", "verdict"), [("n2 n3", UNKNOWN), ("n2 n3 n4", HELD)])
def test_a_majority_is_one_of_the_members_that_were_planned(follow: str, verdict: Verdict) -> None:
    """Two of five elect nobody, whoever else was never heard of."""
    story = Story().members(0.5, FIVE if verdict is HELD else "n1 n2 n3", 2, "n1")
    for node in FIVE.split():
        story.node(0.5, node)
    story.fault("node.kill", "n1", decided=10, in_force=10, healing=60, healed=60.1, traits=Traits(Loss.NODE), lost="n1")
    history = story.off(10, "n1").members(13, follow, 3, "n2").watched(99, FIVE).done(100).history()
    assert QuorumSurvived(leader="moves", expected=PLANNED).check(history).verdict is verdict


@pytest.mark.parametrize("asked", [True, False])
def test_a_leader_has_denied_itself_for_no_longer_than_somebody_could_ask_it(*, asked: bool) -> None:
    """An old word is none while nobody gets an answer."""
    story = Story().members(0.5, "n1 n2 n3", 2, "n1").whole(1, "before").member(12, "n2", 3, None).members(12.5, "n1 n3", 3, "n2")
    for second in range(70):
        for node in ("n1", "n2", "n3"):
            story.watching(second + 0.01, "membership", node, alive=asked or node != "n2" or not 12 < second < 50)
    history = story.member(50, "n2", 3, "n2").done(70).history()
    assert bool(impossible_leaders(history, reigns(history), (), 10.0)) is asked
