"""The promise about the number and the length of elections: what convicts, what acquits, and what must do neither."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.checkers import Elections
from harness.checkers.expected import Expected
from harness.checkers.followed import followings, minds
from harness.core import parameters
from harness.core.values import Effect, Finding, Phase, Verdict
from harness.history.absence import Voters
from harness.history.events import History, MemberSeen, Watching
from harness.history.intervals import Interval
from harness.testing.histories import Story

FOLDER = Path(__file__).parents[2] / "fixtures" / "histories"
HELD, BROKEN, UNKNOWN = Verdict.HELD, Verdict.BROKEN, Verdict.UNKNOWN
NODES = ("n1", "n2", "n3")
EXPECTED = Expected(NODES, observers=(("membership", NODES),), named=(("cut", (1,)), ("again", (2,))))


def _story(*, beats: str = "n1 n2 n3") -> Story:
    """Tell of three members that follow n1 in term 2, from 20 s before the first fault on."""
    story = Story().phase(0.5, Phase.STEADY).whole(1, "before").phase(29, Phase.FAULTS).phase(85, Phase.SETTLING)
    for node in NODES:
        story.node(0, node)
    return story.members(0.7, "n1 n2 n3", 2, "n1").watched(89, beats).endures()


def _cut(story: Story, *, start: float = 30, end: float = 50, number: int = 1, shape: str = "halves", targets: str = "n1") -> Story:
    """Cut members off."""
    return story.fault(
        "net.partition",
        targets,
        decided=start - 0.1,
        in_force=start,
        healing=end,
        healed=end + 0.1,
        number=number,
        parameters={"shape": shape},
    )


def _moved(story: Story, lost: float, won: float, term: int, leader: str, *, nodes: str = "n2 n3") -> Story:
    """Let members follow nobody any more, and then somebody in a new term."""
    return story.members(lost, nodes, term - 1, None).members(won, nodes, term, leader)


def _judged(story: Story, checker: Elections) -> Finding:
    return parameters_of(checker).check(story.done(90).history())


def parameters_of(checker: Elections) -> Elections:
    """Return a checker as a plan fills it in."""
    return Elections(checker.most, checker.longest, 10.0, EXPECTED, checker.during, checker.outside)


def _once() -> Story:
    """Tell of a leader that is cut off, of one election, and of its return as a follower."""
    return _moved(_cut(_story()), 31.5, 32.4, 3, "n2").member(31.6, "n1", 2, None).member(51, "n1", 3, "n2")


def _twice(by: str = "n3") -> Story:
    """The same, and the leader that came back had counted up its term: another election after the heal."""
    story = _moved(_cut(_story()), 31.5, 32.4, 3, "n2").member(31.6, "n1", 2, None)
    return story.members(51.2, "n1 n2 n3", 9, None).members(52.3, "n1 n2 n3", 10, by)


@pytest.mark.parametrize(
    ("story", "checker", "verdict", "words"),
    [
        (_cut(_story(), targets="n3"), Elections(0, 0.0), HELD, "0 elections (0 allowed) and nobody led for 0.00 s at most"),
        (_once(), Elections(0), BROKEN, "1 election (n2 in term 3 at 32.4 s) from 30.0 s to 89.0 s (0 allowed)"),
        (_once(), Elections(1), HELD, "1 election (n2 in term 3 at 32.4 s) (1 allowed)"),
        (_once(), Elections(1, 5.0), HELD, "nobody led for 2.4 s at most (5 s allowed)"),
        (_twice(), Elections(1), BROKEN, "2 elections (n2 in term 3 at 32.4 s, n3 in term 10 at 52.3 s)"),
        (_twice("n2"), Elections(1), BROKEN, "n2 in term 10 at 52.3 s"),
        (_twice(), Elections(2), HELD, "2 elections"),
        (_twice(), Elections(1, None, during=("cut",)), HELD, "1 election (n2 in term 3 at 32.4 s) (1 allowed) while cut was in force"),
        (_twice(), Elections(0, None, outside=("cut",)), BROKEN, "1 election (n3 in term 10 at 52.3 s) while cut was not there"),
        (_twice(), Elections(0, None, during=("cut",)), BROKEN, "while cut was in force (from 30.0 s to 50.0 s) (0 allowed)"),
        (_moved(_cut(_story()), 31.5, 40.5, 3, "n2"), Elections(longest=5.0), BROKEN, "nobody led for 8.5 s from 31.5 s (5 s allowed)"),
        (_moved(_cut(_story()), 31.5, 40.5, 3, "n2"), Elections(longest=12.0), HELD, "nobody led for 10.5 s at most (12 s allowed)"),
        (
            _moved(_cut(_story()), 31.5, 40.5, 3, "n2"),
            Elections(longest=10.0),
            UNKNOWN,
            "surely for 8.5 s, and perhaps for 10.5 s from 30.0 s",
        ),
        (
            _moved(_cut(_story()), 31.5, 40.5, 3, "n2"),
            Elections(longest=5.0, during=("cut",)),
            BROKEN,
            ", while cut was in force (5 s allowed)",
        ),
        (_moved(_cut(_story()), 46, 53, 3, "n2"), Elections(longest=5.0), BROKEN, "nobody led for 6.0 s from 46.0 s"),
        (_moved(_cut(_story(), targets="n3"), 46, 53, 3, "n2"), Elections(longest=5.0, during=("cut",)), HELD, "5.0 s at most"),
        (_moved(_cut(_story(), end=33), 31.5, 36, 3, "n2"), Elections(longest=5.0, during=("cut",)), UNKNOWN, "too short to tell"),
        (_cut(_story()), Elections(1, None, during=("hang",)), UNKNOWN, "which fault is called hang is not known"),
        (_cut(_story()), Elections(1, None, during=("again",)), UNKNOWN, "again (fault 2) was never made"),
        (_story(), Elections(1), UNKNOWN, "no fault was ever in force"),
        (
            _twice().stalled(49, 53, "n2"),
            Elections(2),
            HELD,
            "2 elections (n2 in term 3 at 32.4 s, n3 in term 10 at 52.3 s) at most (2 allowed)",
        ),
        (_cut(Story()), Elections(0, 5.0), UNKNOWN, "no majority of the members was ever seen to follow a leader"),
    ],
    ids=[
        "none",
        "one, and none allowed",
        "one, and one allowed",
        "both kept",
        "two, and one allowed",
        "the same one again in a higher term",
        "two, and two allowed",
        "one of them in the cut",
        "one of them outside of it",
        "none allowed in the cut",
        "nobody for too long",
        "nobody for long",
        "nobody, by a leader that was cut off and still followed",
        "nobody for too long in the cut",
        "nobody for too long, beyond the cut",
        "nobody in the cut, and beyond it",
        "nobody to the end of a short cut",
        "no such fault",
        "never made",
        "no fault",
        "one of them perhaps by a stall",
        "no members",
    ],
)
def test_elections_are_counted_and_measured(story: Story, checker: Elections, verdict: Verdict, words: str) -> None:
    """Each term that has a leader counts; a leader that is cut off and still followed leads nobody for sure, and nobody surely leads."""
    finding = _judged(story, checker)
    assert (finding.verdict, words in finding.summary) == (verdict, True), finding.summary


@pytest.mark.parametrize(
    ("story", "checker", "words"),
    [
        (_once().member(60, "n1", 5, "n1"), Elections(1), "perhaps n1 in term 5 at 60.0 s: no majority was heard to follow it"),
        (_twice().stalled(49, 53, "n2"), Elections(1), "beyond the 1 s that etcd_election_timeout"),
        (_twice().pressed(45, 60, 60.0), Elections(1), "processes wanted 2 cores"),
        (_moved(_cut(_story()), 31.5, 37.5, 3, "n2").pressed(30, 40, 8.0), Elections(longest=5.0), "this machine was too busy"),
        (_moved(_cut(_story()), 31.5, 37.5, 3, "n2").stalled(31, 37, "n2"), Elections(longest=5.0), "too slow for these timers"),
    ],
    ids=[
        "by one's word alone",
        "one that a stall set off",
        "one that a load set off",
        "nobody for too long on a slow machine",
        "nobody for too long while one stood still",
    ],
)
def test_what_one_member_says_and_what_slow_machines_set_off_convicts_nobody(story: Story, checker: Elections, words: str) -> None:
    """Nor does it acquit; but a leader that a fault had taken is lost to that, however slow the machine."""
    finding = _judged(story, checker)
    assert (finding.verdict, words in finding.summary) == (UNKNOWN, True), finding.summary


def test_each_time_without_a_leader_is_excused_by_itself() -> None:
    """The longer one came on a slow machine, and the other one did not."""
    story = _moved(_moved(_cut(_story()), 31.5, 40.5, 3, "n2"), 60, 67.5, 4, "n3").pressed(30, 42, 30.0)
    finding = _judged(story, Elections(longest=5.0))
    assert (finding.verdict, "nobody led for 7.0 s from 60.0 s" in finding.summary) == (BROKEN, True), finding.summary


def test_a_leader_that_a_fault_took_is_replaced_by_an_election_however_slow_the_machine() -> None:
    """It counts."""
    assert _judged(_once().stalled(29.5, 33, "n2").pressed(25, 40, 60.0), Elections(0)).verdict is BROKEN


@pytest.mark.parametrize(("slow", "verdict"), [(60.0, UNKNOWN), (1.0, BROKEN)])
def test_a_leader_that_a_fault_took_long_ago_may_be_lost_to_a_slow_machine(slow: float, verdict: Verdict) -> None:
    """It was cut off, came back and led again: what it is lost to then is another matter."""
    story = _moved(_cut(_story()), 31.5, 40.5, 3, "n2")
    story = _moved(_moved(story, 60, 63, 4, "n1", nodes="n1 n2 n3"), 75, 78, 5, "n3", nodes="n1 n2 n3")
    finding = _judged(story.pressed(55, 82, slow), Elections(1))
    assert finding.verdict is verdict, finding.summary


@pytest.mark.parametrize(("before", "verdict"), [(0, BROKEN), (1, UNKNOWN), (3, UNKNOWN)])
def test_elections_as_frequent_before_anything_was_broken_convict_no_fault(before: int, verdict: Verdict) -> None:
    """One that came by itself in half a minute is several in the minute that is judged, and so is a longer time without a leader."""
    story = _story()
    for number in range(before):
        _moved(story, 5.0 + 5 * number, 8.5 + 5 * number, 3 + number, "n1", nodes="n1 n2 n3")
    _moved(_cut(story), 31.5, 37, 3 + before, "n2").member(51, "n1", 3 + before, "n2")
    for checker in (Elections(0), Elections(longest=3.0)):
        finding = _judged(story.copy(), checker)
        assert finding.verdict is verdict, finding.summary
        assert ("before anything was broken" in finding.summary) is (verdict is UNKNOWN)


@pytest.mark.parametrize(
    ("effect", "verdict"),
    [(Effect(runs={"other": 1}), UNKNOWN), (Effect(renews=("web",), alters=("web",)), UNKNOWN), (Effect(disturbs=True), BROKEN)],
    ids=["deploy", "update", "command"],
)
def test_an_action_takes_nothing_from_how_often_members_elected_that_cannot_touch_who_leads(effect: Effect, verdict: Verdict) -> None:
    """It is done just when the cluster is whole, and leaves no time before the fault that is not within its recovery."""
    story = _moved(_story().action(1.5, 14, "acme.done", effect=effect, was={"other": 0}), 5, 8.5, 3, "n1", nodes="n1 n2 n3")
    _moved(_cut(story), 31.5, 37, 4, "n2").member(51, "n1", 4, "n2")
    for checker in (Elections(0), Elections(longest=3.0)):
        finding = _judged(story.copy(), checker)
        assert finding.verdict is verdict, finding.summary


def test_more_elections_than_came_by_themselves_are_too_many() -> None:
    """One came before; of five in as long a time most are the fault's."""
    story = _cut(_moved(_story(), 5, 6, 3, "n1", nodes="n1 n2 n3"))
    for number in range(9):
        _moved(story, 31.0 + 5 * number, 32.0 + 5 * number, 5 + 2 * number, "n2" if number % 2 else "n3")
    finding = _judged(story, Elections(1))
    assert finding.verdict is BROKEN, finding.summary
    assert "9 elections (n3 in term 5 at 32.0 s" in finding.summary
    assert "and 6 more" in finding.summary


def _unheard(story: Story, node: str, start: float, end: float) -> Story:
    """Let nobody hear a member for a while; what it says then is told at the end of that, if it is told at all."""
    made = Story()
    kept = [
        (entry.time, entry.event)
        for entry in story.history().entries
        if not (isinstance(entry.event, Watching | MemberSeen) and entry.event.node == node and start < entry.time < end)
    ]
    for time, event in kept:
        made.tell(time, event)
    return made


@pytest.mark.parametrize(
    ("silent", "then", "verdict", "words"),
    [
        (("n2",), 2, HELD, "0 elections"),
        (("n2", "n3"), 2, HELD, "0 elections"),
        (("n2", "n3"), 4, UNKNOWN, "it may have been won before that, or set off"),
        (("n1", "n2", "n3"), 4, UNKNOWN, "it may have been won before that, or set off"),
    ],
    ids=["one is not heard", "most are not heard, and are in the same term", "and are in another", "nobody is heard"],
)
def test_what_nobody_heard_is_not_held(silent: tuple[str, ...], then: int, verdict: Verdict, words: str) -> None:
    """Members were not heard from before the cut until after it: what they say then may have been so before the cut."""
    story = _cut(_story(), targets="n1")
    if then == 2:
        story = _cut(_story(), targets="n3")
    else:
        story.members(51, "n1 n2 n3", then, "n2")
    for node in silent:
        story = _unheard(story, node, 20, 51)
    finding = _judged(story, Elections(0, None, during=("cut",)))
    assert (finding.verdict, words in finding.summary) == (verdict, True), finding.summary


@pytest.mark.parametrize(("term", "verdict", "words"), [(3, HELD, "1 election (n2 in term 3"), (4, UNKNOWN, "may have elected from")])
def test_who_leads_in_the_next_term_is_the_only_one_elected(term: int, verdict: Verdict, words: str) -> None:
    """Each election has a term of its own: where none is left, members that were not heard for a while elected nobody else."""
    story = _cut(_story(), targets="n3").members(42.5, "n1 n2", term, "n2").member(51, "n3", term, "n2")
    story = _unheard(_unheard(story, "n1", 33, 42), "n2", 33, 42)
    finding = _judged(story, Elections(1))
    assert (finding.verdict, words in finding.summary) == (verdict, True), finding.summary


@pytest.mark.parametrize(("asked", "verdict"), [(True, HELD), (False, UNKNOWN)])
def test_a_word_stands_for_as_long_as_its_member_could_be_asked(*, asked: bool, verdict: Verdict) -> None:
    """That it could not says nothing of whom it follows."""
    story = _unheard(_unheard(_cut(_story(), targets="n3"), "n1", 60, 75), "n2", 60, 75)
    for second in range(61, 75):
        story.watching(second, "membership", "n1", alive=asked).watching(second, "membership", "n2", alive=asked)
    finding = _judged(story, Elections(longest=10.0))
    assert finding.verdict is verdict, finding.summary


def test_members_that_were_never_heard_again_may_have_elected() -> None:
    """Two of three are not heard from some time on: of whom they follow then nobody knows."""
    story = _unheard(_unheard(_cut(_story(), targets="n3"), "n1", 60, 95), "n2", 60, 95)
    for checker, words in (
        (Elections(0), "n1 and n2 may have elected from"),
        (Elections(longest=10.0), "nobody led surely for 0.00 s, and perhaps for"),
    ):
        finding = _judged(story.copy(), checker)
        assert (finding.verdict, words in finding.summary) == (UNKNOWN, True), finding.summary


def test_a_machine_that_is_off_follows_nobody() -> None:
    """Its last word is none any more: the two that are left elect, and where they are off as well, nobody leads."""
    story = _story(beats="n2 n3").watched(30, "n1").off(30.3, "n1").no_member(31, "n1")
    story.fault("node.kill", "n1", decided=29.9, in_force=30.2, healing=70, healed=72).node(71, "n1").watched(89, "n1", start=75)
    _moved(story, 31.5, 32.4, 3, "n2").member(75, "n1", 3, "n2")
    assert _judged(story.copy(), Elections(1, 5.0)).verdict is HELD
    finding = _judged(story, Elections(longest=1.0))
    # The followers name it until 31.5 s, and it is gone from 30.2 s on.
    assert (finding.verdict, "nobody led for 1.8 s from 30.2 s" in finding.summary) == (BROKEN, True), finding.summary


@pytest.mark.parametrize(
    ("knows", "verdict", "words"), [("n1", HELD, "21.5 s at most"), (None, UNKNOWN, "surely for 20.5 s, and perhaps for 26.0 s")]
)
def test_a_leader_that_was_away_leads_nobody_for_sure_until_it_is_heard(knows: str | None, verdict: Verdict, words: str) -> None:
    """The others name it by what they remember; started anew, it may know of no leader, and they elect."""
    story = _story(beats="")
    for node in NODES:
        story.watched(29.5, node).no_member(31, node).watched(89, node, start=50.5)
    story.fault(
        "process.kill", "n1 n2 n3", decided=30, in_force=30, healing=50, healed=50, parameters={"process": "etcd", "restart": False}
    )
    story.members(50.5, "n2 n3", 2, "n1").member(51.5, "n1", 2, knows)
    if knows is None:
        story.members(53.0, "n2 n3", 2, None).members(56.0, "n1 n2 n3", 3, "n2")
    finding = _judged(story, Elections(longest=22.5))
    assert (finding.verdict, words in finding.summary) == (verdict, True), finding.summary


@pytest.mark.parametrize(("asked", "verdict"), [(30.2, HELD), (30.0, UNKNOWN)])
def test_a_leader_that_may_have_stepped_down_since_it_was_asked_leads_nobody_for_sure(asked: float, verdict: Verdict) -> None:
    """Killed and back between two questions: the others name it as they did, and when it forgot that it led nobody knows."""
    story = _story().watched(asked, "n1", start=asked)
    story.fault("process.kill", "n1", decided=30, in_force=30.3, healing=40, healed=40, parameters={"process": "etcd", "restart": True})
    story.member(31.0, "n1", 2, None).members(32.0, "n2 n3", 2, None).members(36.0, "n1 n2 n3", 3, "n2")
    finding = _judged(story, Elections(longest=5.9))
    assert finding.verdict is verdict, finding.summary


@pytest.mark.parametrize(("longest", "verdict"), [(5.0, UNKNOWN), (6.5, HELD)])
def test_a_leader_that_a_later_fault_may_have_taken_already_leads_nobody_for_sure(longest: float, verdict: Verdict) -> None:
    """It says that it leads until it notices; whether it was cut off from the decision on, or only when that was asked, nobody knows."""
    story = _story().fault("process.kill", "n3", decided=25, in_force=25.1, healing=26, healed=26.1, parameters={"process": "docker"})
    story.fault("net.partition", "n1", decided=40, in_force=41.5, healing=50, healed=50.1, number=2, parameters={"shape": "halves"})
    finding = _judged(_moved(story, 43, 46, 3, "n2").member(44, "n1", 2, None).member(51, "n1", 3, "n2"), Elections(longest=longest))
    assert finding.verdict is verdict, finding.summary


@pytest.mark.parametrize(("longest", "verdict"), [(5.0, UNKNOWN), (6.5, HELD)])
def test_a_leader_that_is_not_heard_again_leads_nobody_for_sure(longest: float, verdict: Verdict) -> None:
    """It ended by itself, and those who followed it name it until they notice."""
    story = _story(beats="n2 n3").watched(40, "n1").no_member(41, "n1")
    story.fault("process.kill", "n3", decided=30, in_force=30.1, healing=35, healed=35.1, parameters={"process": "docker", "restart": True})
    finding = _judged(_moved(story, 43, 46, 3, "n2"), Elections(longest=longest))
    assert finding.verdict is verdict, finding.summary


def test_an_election_between_the_decision_and_the_bite_is_nobodys_for_sure() -> None:
    """A fault that takes a while to be seen may have bitten before that."""
    story = _moved(_story(), 26.0, 27.0, 3, "n2", nodes="n1 n2 n3")
    story.fault("net.partition", "n3", decided=25, in_force=30, healing=50, healed=50.1, parameters={"shape": "halves"})
    for checker in (Elections(0), Elections(0, None, during=("cut",))):
        finding = _judged(story.copy(), checker)
        assert (finding.verdict, "had bitten before 30.0 s" in finding.summary) == (UNKNOWN, True), finding.summary


def test_a_leader_that_was_lost_before_a_fault_bit_is_not_lost_to_that() -> None:
    """Members were about to elect already, and did so when the fault was there."""
    story = _cut(_moved(_story(), 28.0, 31.5, 3, "n2", nodes="n1 n2 n3"), targets="n3")
    for checker in (Elections(0), Elections(0, None, during=("cut",))):
        finding = _judged(story.copy(), checker)
        assert (finding.verdict, "n2 in term 3 at 31.5 s: it may have been won before" in finding.summary) == (UNKNOWN, True), (
            finding.summary
        )


def test_what_an_action_sets_off_is_an_election_as_well() -> None:
    """The promise is about how many there were, whoever made them necessary."""
    story = _cut(_story(), targets="n3").action(40, 41, "service.restart", "n1", effect=Effect(stops=("etcd",)))
    _moved(story, 41, 42, 3, "n2", nodes="n1 n2 n3")
    assert _judged(story, Elections(0)).verdict is BROKEN


def test_an_even_number_of_members_of_no_plan_may_not_be_all() -> None:
    """One that was never heard of may have followed a leader."""
    story = _moved(_cut(_story(beats="n2 n3"), targets="n1"), 31.5, 45, 3, "n2")
    told = [(e.time, e.event) for e in story.done(90).history().entries if not (isinstance(e.event, MemberSeen) and e.event.node == "n1")]
    history = History.of_events(*told)
    finding = Elections(longest=5.0).check(history)
    assert (finding.verdict, "only 2 members were ever heard" in finding.summary) == (UNKNOWN, True), finding.summary


def test_terms_in_which_nobody_won_are_no_elections() -> None:
    """A real run, in which a member that was cut off counted up its term alone, and made the others elect when it came back."""
    history = History.load(FOLDER / "real-partition-minority.jsonl")
    finding = Elections(1).check(history)
    assert finding.verdict is BROKEN
    assert "2 elections (n3 in term 3 at 18.9 s, n2 in term 19 at 43.6 s)" in finding.summary
    details: Any = finding.details
    assert [(each["term"], each["leader"], each["sure"]) for each in details["elections"]] == [(3, "n3", True), (19, "n2", True)]
    assert details["elections"][1]["length"] == pytest.approx(3.0, abs=0.01)
    assert details["unled"][0]["length"] == pytest.approx(2.5, abs=0.01)
    named = Expected(named=(("cut", (1,)),))
    assert Elections(1, 5.0, 10.0, named, ("cut",)).check(history).verdict is HELD
    assert Elections(1, 5.0, 10.0, named, (), ("cut",)).check(history).verdict is HELD


def test_the_etcd_leader_that_died_is_replaced_once() -> None:
    """A real run: no member ever said that it follows nobody, but the one whom they followed was gone."""
    history = History.load(FOLDER / "real-etcd-leader-kill.jsonl")
    assert Elections(1, 5.0).check(history).verdict is HELD
    assert Elections(0).check(history).verdict is BROKEN
    assert Elections(longest=0.5).check(history).verdict is BROKEN
    assert Elections(longest=1.0).check(history).verdict is UNKNOWN


def test_slow_machines_may_elect_for_longer() -> None:
    """By as much as everything about recovery: a plan for such machines says how much."""
    story = _moved(_cut(_story()), 31.5, 40.5, 3, "n2").done(90)
    assert Elections(longest=5.0, expected=EXPECTED, slack=6.0).check(story.history()).verdict is HELD
    finding = Elections(longest=1.0, expected=EXPECTED, slack=6.0).check(story.history())
    assert (finding.verdict, "(7 s allowed)" in finding.summary) == (BROKEN, True), finding.summary


def test_neither_bound_is_a_problem() -> None:
    """A promise that asks nothing is told when the file is read."""
    with pytest.raises(ValueError, match="found neither most nor longest"):
        parameters.build(Elections, {"during": "cut"})
    with pytest.raises(ValueError, match="most"):
        parameters.build(Elections, {"most": -1})
    made = parameters.build(Elections, {"most": 1, "longest": "5s", "during": "cut"})
    assert made == Elections(1, 5.0, during=("cut",))


def test_a_word_stands_until_the_member_was_last_asked() -> None:
    """What it followed between that and its next word nobody knows; nor what it did while nobody listened."""
    story = Story().members(1, "n1", 2, "n1").watched(3, "n1").members(4.5, "n1", 3, None).watched(20, "n1", start=5).no_member(20.5, "n1")
    pieces = minds(story.watched(40, "n1", start=21).member(30, "n1", 0, None).member(35, "n1", 4, "n1").history(), ["n1"])["n1"]
    assert [(each.time, each.may) for each in pieces] == [
        (Interval(1, 3), frozenset({(2, "n1")})),
        (Interval(3, 4.5), frozenset({(2, "n1"), (3, None)})),
        (Interval(4.5, 20), frozenset({(3, None)})),
        (Interval(35, 40), frozenset({(4, "n1")})),
    ]


def test_who_names_itself_is_followed_whatever_a_fault_says() -> None:
    """A fault that is said to have taken a member contradicts that member's own word: that nobody led is not sure then."""
    story = _story().fault(
        "process.kill", "n1", decided=30, in_force=30, healing=50, healed=50, parameters={"process": "etcd", "restart": False}
    )
    every = followings(story.done(90).history(), NODES, Voters(frozenset(NODES)))
    assert not any(each.nobody for each in every if 1 < each.time.start < 80)
    assert not any(each.led for each in every if 30 < each.time.start < 50)
