"""Promises about the time of a fault: judged on that and on nothing else, each beside what it must acquit."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest

from harness.checkers import Availability, Bystanders, Conflicts, Probed, QuorumSurvived, Single
from harness.checkers.expected import Expected
from harness.checkers.windows import Windows
from harness.core.values import Call, Loss, Outcome, Phase, Traits, Verdict
from harness.history.events import History
from harness.history.intervals import Interval
from harness.testing.histories import Story

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.core.values import Finding
    from harness.history.interfaces import Checker

HELD, BROKEN, UNKNOWN = Verdict.HELD, Verdict.BROKEN, Verdict.UNKNOWN
EXPECTED = Expected(("n1", "n2", "n3"), named=(("hang", (1,)), ("cut", (2,)), ("round", (3, 4)), ("never", (9,))))


def overlapping() -> Story:
    """A daemon hangs from 10 s to 60 s, and a cut beside it goes from 25 s to 40 s; all is over at 90 s."""
    return (
        Story()
        .phase(1, Phase.STEADY)
        .fault("daemon.hang", "n1", decided=9.5, in_force=10, healing=60, healed=61, number=1)
        .fault("net.partition", "n2", decided=24.5, in_force=25, healing=40, healed=41, number=2)
    )


def served(*bad: tuple[float, float], until: float = 89) -> Story:
    """Calls to web@1 ten times a second, which all end well but in these times."""
    story, at = overlapping(), 2.0
    for start, end in bad:
        story.gets(at, start, "web@1").gets(start, end, "web@1", Outcome.FAIL)
        at = end
    return story.gets(at, until, "web@1")


def seldom() -> Story:
    """A call to web@1 once a second."""
    story = overlapping()
    for second in range(2, 89):
        story.get(second, "web@1")
    return story


def asked(*bad: tuple[float, float]) -> Story:
    """The same with a probe, twice a second."""
    story = overlapping()
    for number in range(174):
        begun = 2.0 + number / 2
        no = any(start <= begun < end for start, end in bad)
        story.call(begun, "probe", Call("ask", "queue"), Outcome.FAIL if no else Outcome.OK, by="n1")
    return story


def twice(start: float, end: float) -> Story:
    """db@1 on n1, and from `start` to `end` on n3 as well."""
    story = overlapping().node(0, "n1", "db@1").node(0, "n2", "web@1").node(0, "n3").watched(89, "n1 n2 n3")
    return story.node(start, "n3", "db@1").node(end, "n3")


def together(start: float, end: float) -> Story:
    """Two instances of web on n1 from `start` to `end`."""
    story = overlapping().node(0, "n1", "web@1").node(0, "n2", "web@2").node(0, "n3").watched(89, "n1 n2 n3")
    return story.node(start, "n1", "web@1", "web@2").node(end, "n1", "web@1")


def by_docker(ended: float) -> Story:
    """One look before the cut shows two instances of web on n1, and the next one comes in it; Docker says when one of them ended."""
    story = (
        overlapping().node(0, "n1", "web@1").node(0, "n2", "web@2").node(0, "n3").watched(89, "n1 n2 n3").node(24.0, "n1", "web@1", "web@2")
    )
    return story.docker(24.1, "n1", "start", "web@2", at=23.9).docker(ended + 0.2, "n1", "die", "web@2", at=ended).node(25.9, "n1", "web@1")


def moved(start: float, end: float | None = None) -> Story:
    """web@2 on n3, which no fault hits, until it stops there; started again there at `end`, or elsewhere."""
    story = overlapping().node(0, "n1", "web@1").node(0, "n2").node(0, "n3", "web@2").watched(89, "n1 n2 n3").endures()
    story.node(start, "n3")
    return story.node(start + 1, "n2", "web@2") if end is None else story.node(end, "n3", "web@2")


def test_only_a_time_that_begins_with_the_bite_of_its_fault_may_have_begun_before() -> None:
    """What is left of it after another fault began when that was over."""
    history = overlapping().done(90).history()
    whole = Interval(10.0, 89.0)
    (hang,) = Windows.of(history, ("hang",), (), {"hang": (1,), "cut": (2,)}, whole).each
    (cut,) = Windows.of(history, ("cut",), (), {"hang": (1,), "cut": (2,)}, whole).each
    assert (hang.decided, cut.decided) == (9.5, 24.5)
    story = Story().phase(1, Phase.STEADY).fault("net.partition", "n2", decided=9.5, in_force=10, healing=30, healed=31, number=1)
    story.fault("daemon.hang", "n1", decided=19.5, in_force=20, healing=60, healed=61, number=2)
    left = Windows.of(story.done(90).history(), ("hang",), ("cut",), {"hang": (2,), "cut": (1,)}, whole)
    assert [(each.pieces, each.decided) for each in left.each] == [((Interval(31.0, 60.0),), None)]


def judged(checker: Any, story: Story) -> Finding:
    """What a checker says of a story that comes to its end at 90 s."""
    briefed: Checker = dataclasses.replace(checker, expected=EXPECTED)
    return briefed.check(story.done(90).history())


CASES: dict[str, tuple[Checker, Story, Verdict, str]] = {
    # availability: its share
    "a share in it": (
        Availability("web", 0.5, 60, during=("cut",)),
        served((26, 36)),
        BROKEN,
        "33.8% of 151 calls to web while cut was in force (from 25.0 s to 40.0 s) were answered well, 50% were promised",
    ),
    "a smaller share in it": (Availability("web", 0.3, 60, during=("cut",)), served((26, 36)), HELD, "33.8% of 151 calls"),
    "a share before it": (Availability("web", 0.99, 60, during=("cut",)), served((11, 24)), HELD, "100.0% of 151 calls"),
    "a share after it": (Availability("web", 0.99, 60, during=("cut",)), served((40.2, 70)), HELD, "100.0% of 151 calls"),
    "the share of the rest": (
        Availability("web", 0.99, 60, outside=("cut",)),
        served((26, 36)),
        HELD,
        "100.0% of 624 calls to web while cut was not there (from 10.0 s to 24.5 s and from 41.0 s to 89.0 s)",
    ),
    "a share of the rest": (Availability("web", 0.9, 60, outside=("cut",)), served((45, 60)), BROKEN, "while cut was not there"),
    "a share of one without the other": (
        Availability("web", 0.99, 60, during=("hang",), outside=("cut",)),
        served((25, 40), (62, 70)),
        HELD,
        "while hang was in force and cut was not (from 10.0 s to 24.5 s and from 41.0 s to 60.0 s)",
    ),
    "a share of one without the other that is too small": (
        Availability("web", 0.9, 60, during=("hang",), outside=("cut",)),
        served((50, 59)),
        BROKEN,
        "while hang was in force and cut was not",
    ),
    "each time by itself": (
        Availability("web", 0.5, 60, during=("hang", "cut")),
        served((26, 36)),
        BROKEN,
        "while cut was in force (from 25.0 s to 40.0 s)",
    ),
    # availability: its gap
    "a gap in it": (
        Availability("web", 0.1, 8, during=("cut",)),
        served((26, 36)),
        BROKEN,
        "web@1 gave no good answer for 10.1 s from 25.9 s, 8 s were allowed",
    ),
    "a gap that is too long, and not in it": (
        Availability("web", 0.1, 12, during=("cut",)),
        served((35, 55)),
        HELD,
        "for 5.1 s from 34.9 s and was not back when that was over",
    ),
    "a gap that had begun before it": (Availability("web", 0.1, 12, during=("cut",)), served((12, 30)), HELD, "from 25.0 s"),
    "a gap up to the rest": (Availability("web", 0.1, 10, outside=("cut",)), served((25, 49)), HELD, "for 8.0 s from 41.0 s"),
    "a gap far into the rest": (Availability("web", 0.1, 10, outside=("cut",)), served((25, 55)), BROKEN, "for 14.0 s from 41.0 s"),
    "too short for a gap, and it goes on": (
        Availability("web", 0.1, 20, during=("cut",)),
        served((30, 45)),
        UNKNOWN,
        "too short to tell, cut would have to be in force for longer than 20 s",
    ),
    "too short for a gap, and it is over": (Availability("web", 0.1, 20, during=("cut",)), served((26, 36)), HELD, "for 10.1 s"),
    "too short for a gap, and nobody calls": (
        Availability("web", 0.1, 20, during=("cut",)),
        overlapping().gets(2, 33, "web@1").gets(45, 89, "web@1"),
        UNKNOWN,
        "cut would have to be in force for longer than 20 s",
    ),
    "too few calls": (
        Availability("web", 0.5, 5, during=("cut",)),
        seldom(),
        UNKNOWN,
        "20 are needed to judge: too short to tell, cut would have to be in force for longer than 20 s",
    ),
    # which fault it is
    "never in force": (Availability("web", 0.5, 5, during=("never",)), served(), UNKNOWN, "never (fault 9) was never made"),
    "not known": (Availability("web", 0.5, 5, during=("other",)), served(), UNKNOWN, "which fault is called other is not known"),
    "half made": (
        Availability("web", 0.5, 5, during=("round",)),
        served().fault("daemon.hang", "n1", decided=70, failed=71, healed=72, number=3),
        UNKNOWN,
        "round (daemon.hang docker on n1) never came into force",
    ),
    # a probe
    "a probe's share in it": (
        Probed("queue", 0.9, 60, during=("cut",)),
        asked((26, 36)),
        BROKEN,
        "of 31 answers of the probe queue while cut was in force (from 25.0 s to 40.0 s) were yes",
    ),
    "a probe's share of the rest": (Probed("queue", 0.99, 60, outside=("cut",)), asked((26, 36)), HELD, "100.0% of"),
    "a probe's gap in it": (Probed("queue", 0.1, 5, during=("cut",)), asked((26, 36)), BROKEN, "gave no good answer for 10.5 s"),
    "a probe's gap after it": (Probed("queue", 0.1, 5, during=("cut",)), asked((41, 55)), HELD, "100.0% of 31 answers"),
    "a probe's gap that goes on": (Probed("queue", 0.1, 20, during=("cut",)), asked((30, 45)), UNKNOWN, "too short to tell"),
    "a probe's share that had not been kept before it, either": (
        Probed("queue", 0.9, 60, during=("cut",)),
        asked((20, 36)),
        UNKNOWN,
        "said no before cut",
    ),
    # what may not run twice
    "twice in it": (Single("db", during=("cut",)), twice(30, 34), BROKEN, "for 4.0 s from 30.0 s, while cut was in force"),
    "twice after it": (Single("db", during=("cut",)), twice(45, 50), HELD, "ran twice at once while cut was in force (from 25.0 s to"),
    "twice from it on": (Single("db", 3.0, during=("cut",)), twice(38, 50), HELD, "db@1 ran on n1 and n3 at once for 2.0 s"),
    "twice for long in it": (Single("db", 3.0, during=("cut",)), twice(35, 50), BROKEN, "for 5.0 s from 35.0 s"),
    "twice, and too short": (
        Single("db", 20.0, during=("cut",)),
        twice(35, 50),
        UNKNOWN,
        "and longer than that: too short to tell, cut would have to be in force for longer than 20 s",
    ),
    "twice in it, and not in the rest": (Single("db", outside=("cut",)), twice(30, 40.5), HELD, "while cut was not there"),
    "twice in the rest": (Single("db", outside=("cut",)), twice(30, 44), BROKEN, "for 3.0 s from 41.0 s, while cut was not there"),
    "together in it": (Conflicts(during=("cut",)), together(30, 34), BROKEN, "for 4.0 s from 30.0 s, while cut was in force"),
    "together after it": (Conflicts(during=("cut",)), together(45, 50), HELD, "no node ran two instances of one app at once while cut"),
    "together in it, and not in the rest": (Conflicts(outside=("cut",)), together(30, 34), HELD, "while cut was not there"),
    "together in the rest": (Conflicts(outside=("cut",)), together(20, 34), BROKEN, "for 4.5 s from 20.0 s"),
    "to be seen twice in it": (Conflicts(expect_double_run=True, during=("cut",)), twice(30, 34), HELD, "at once for 4.0 s"),
    "to be seen twice, after it": (
        Conflicts(expect_double_run=True, during=("cut",)),
        twice(45, 50),
        UNKNOWN,
        "no instance was seen on two nodes at once while cut was in force",
    ),
    "together until just before it, by Docker": (Conflicts(during=("cut",)), by_docker(24.5), UNKNOWN, "only one look showed it"),
    "together until then, by Docker": (Conflicts(during=("cut",)), by_docker(25.5), BROKEN, "while cut was in force"),
    "together before it, by Docker": (Conflicts(outside=("cut",)), by_docker(24.4), BROKEN, "while cut was not there"),
    # bystanders
    "moved in it": (Bystanders(during=("cut",)), moved(30), BROKEN, "web@2 stopped on n3, which no fault hit, at 30.0 s"),
    "started anew in it": (Bystanders("web", during=("cut",)), moved(30, 32), BROKEN, "for 2.0 s, while cut was in force"),
    "moved after it": (Bystanders(during=("cut",)), moved(45), HELD, "stayed there while cut was in force (from 25.0 s to 40.0 s)"),
    "moved before it": (Bystanders(during=("cut",)), moved(15), UNKNOWN, "no instance ran on a node that no fault hit while cut was"),
    "moved in another one's": (Bystanders(during=("hang",)), moved(30), BROKEN, "while hang was in force"),
}


@pytest.mark.parametrize(("checker", "story", "verdict", "words"), CASES.values(), ids=CASES)
def test_what_is_so_in_the_time_of_a_fault_counts_and_nothing_else(checker: Checker, story: Story, verdict: Verdict, words: str) -> None:
    """By the figures that are told with it."""
    finding = judged(checker, story)
    assert (finding.verdict, words in finding.summary) == (verdict, True), finding.summary


@pytest.mark.parametrize(
    ("checker", "story"),
    [
        (Availability("web", 0.5, 60, during=("cut",)), served((26, 36))),
        (Availability("web", 0.1, 8, during=("cut",)), served((26, 36))),
        (Probed("queue", 0.9, 60, during=("cut",)), asked((26, 36))),
        (Single("db", during=("cut",)), twice(30, 34)),
        (Conflicts(during=("cut",)), together(30, 34)),
        (Bystanders(during=("cut",)), moved(30)),
        (Availability("web", 0.5, 60, during=("cut",)), served()),
        (Single("db", during=("cut",)), twice(45, 50)),
    ],
)
def test_a_fault_that_may_have_been_over_convicts_nobody_and_acquits_nobody(checker: Checker, story: Story) -> None:
    """It was found to be in force no more when it was to be mended: nobody knows since when."""
    told = story.done(90).history()
    (failed,) = [each for each in told.entries if getattr(each.event, "fault", 0) == 2 and str(each.event.stage) == "healing"]  # type: ignore[attr-defined]
    event: Any = failed.event
    stage: Any = type(event.stage)
    events = [(each.time, each.event) for each in told.entries]
    events.insert(failed.index, (failed.time, dataclasses.replace(event, stage=stage.FAILED, detail="n2 has no table of it any more")))
    briefed: Any = dataclasses.replace(checker, expected=EXPECTED)  # type: ignore[type-var]
    finding = briefed.check(History.of_events(*events))
    assert finding.verdict is UNKNOWN, finding.summary
    assert "net.partition may have been over long before it was mended" in " ".join(
        [finding.summary, *map(str, finding.details.get("points", []))]
    )


@pytest.mark.parametrize(
    ("since", "until", "verdict"), [(24.6, 32.4, UNKNOWN), (25.2, 32.4, HELD), (24.6, 31.5, HELD), (24.6, 34, BROKEN), (26, 35, BROKEN)]
)
@pytest.mark.parametrize(
    ("checker", "story"),
    [(Availability("web", 0.1, 7.8, during=("cut",)), served), (Probed("queue", 0.1, 7.8, during=("cut",)), asked)],
)
def test_an_outage_over_the_bite_of_a_fault_that_may_be_all_its_doing_acquits_nobody(
    checker: Checker, story: Callable[[tuple[float, float]], Story], since: float, until: float, verdict: Verdict
) -> None:
    """The cut is decided at 24.5 s, and in force at 25 s: what is too long by what was so in between may have been so since it bit."""
    finding = judged(checker, story((since, until)))
    doubted = "and nobody knows whether the fault had bitten by then" in finding.summary
    assert (finding.verdict, doubted) == (verdict, verdict is UNKNOWN), finding.summary


def test_each_round_of_a_name_is_judged_by_itself() -> None:
    """A good round makes up for no bad one; what is told has the times of both."""
    story = Story().phase(1, Phase.STEADY)
    for number, start in ((3, 10.0), (4, 40.0)):
        story.fault("net.partition", "n1", decided=start - 0.5, in_force=start, healing=start + 20, healed=start + 21, number=number)
    story.gets(2, 45, "web@1").gets(45, 58, "web@1", Outcome.FAIL).gets(58, 89, "web@1")
    finding = judged(Availability("web", 0.6, 60, during=("round",)), story)
    assert finding.verdict is BROKEN
    assert "35.3% of 201 calls to web while round was in force (from 40.0 s to 60.0 s)" in finding.summary
    windows: Any = finding.details["windows"]
    assert [(each["window"], each["pieces"], each["share"]) for each in windows] == [
        ("while round was in force", [{"from": 10.0, "to": 30.0}], 1.0),
        ("while round was in force", [{"from": 40.0, "to": 60.0}], 0.3532),
    ]
    good = judged(Availability("web", 0.3, 60, during=("round",)), story)
    assert good.verdict is HELD
    assert good.summary.count("while round was in force") == 2


def test_a_call_that_was_under_way_when_a_fault_that_is_left_out_was_made_counts_for_nothing() -> None:
    """It began before, and failed by the fault."""
    story = overlapping()
    story.gets(2, 24.4, "web@1").call(24.4, "http", Call("get", "web@1"), Outcome.FAIL, took=1.0)
    story.gets(24.5, 41, "web@1", Outcome.FAIL).gets(41, 89, "web@1")
    finding = judged(Availability("web", 1.0, 60, outside=("cut",)), story)
    assert finding.verdict is HELD, finding.summary
    assert "not counted: 3 calls under way while somebody stood still, or a fault was there that is left out" in finding.summary


def test_a_machine_that_went_off_before_its_fault_was_said_to_be_in_force_is_in_the_window() -> None:
    """As for all that is promised about faults: a power switch may be seconds late to say that it is done."""
    story = (
        Story().node(0, "n1", "web@1").off(9.2, "n1").node(0, "n2").fault("node.kill", "n1", decided=9, in_force=12, healing=30, healed=32)
    )
    found = Windows.of(story.done(60).history(), ("dead",), (), {"dead": (1,)}, Interval(0.0, 60.0))
    assert [each.pieces for each in found.each] == [(Interval(9.2, 30.0),)]


def slowly(start: float, end: float, *then: str, node: str = "n3") -> Story:
    """A fault that is decided at 10 s, and is known to be in force only at 35 s; from `start` to `end` a node runs other instances than it did."""
    story = Story().phase(1, Phase.STEADY).node(0, "n1", "web@1").node(0, "n2").node(0, "n3", "web@3").watched(89, "n1 n2 n3").endures()
    kind = Traits(Loss.NOTHING, ())
    story.fault("command", "n2", decided=10, in_force=35, healing=60, healed=61, traits=kind, number=2)
    return story.node(start, node, *then).node(end, node, *(["web@3"] if node == "n3" else []))


@pytest.mark.parametrize(
    ("checker", "story"),
    [
        (Single("web", during=("cut",)), lambda start, end: slowly(start, end, "web@1", node="n2")),
        (Conflicts(during=("cut",)), lambda start, end: slowly(start, end, "web@3", "web@1")),
        (Bystanders(during=("cut",)), slowly),
        (Bystanders(), slowly),
    ],
)
def test_what_was_so_before_a_fault_is_known_to_have_bitten_convicts_nobody_and_acquits_nobody(
    checker: Checker, story: Callable[[float, float], Story]
) -> None:
    """Before it was decided it is nothing of it; from then on it may be its doing."""
    assert judged(checker, story(4, 9)).verdict is HELD
    finding = judged(checker, story(12, 33))
    assert finding.verdict is UNKNOWN
    assert "had bitten before 35.0 s" in finding.summary
    assert judged(checker, story(40, 50)).verdict is BROKEN


def writes_of_two(*, go_on_in_cut: bool) -> Story:
    """Two faults one after the other; writes go on under the first, and under the second as it is said."""
    story = Story().phase(1, Phase.STEADY).fault("daemon.hang", "n1", decided=9.5, in_force=10, healing=35, healed=36, number=1)
    story.fault("net.partition", "n2", decided=49.5, in_force=50, healing=75, healed=76, number=2).watched(99, "n1 n2 n3")
    for second in range(100):
        story.members(second, "n1 n2 n3", 2, "n1")
    for number in range(970):
        begun = 2.0 + number / 10
        good = go_on_in_cut or not 50 <= begun < 75
        story.call(
            begun, "register", Call("write", f"k{number}", f"v{number}"), Outcome.OK if good else Outcome.FAIL, value=f"v{number}", by="n1"
        )
    return story


@pytest.mark.parametrize(
    ("checker", "go_on", "verdict", "words"),
    [
        (QuorumSurvived("go on"), False, BROKEN, "while net.partition was in force on n2"),
        (QuorumSurvived("go on", during=("hang",)), False, HELD, "never two leaders in one term; hang: 250 writes acknowledged"),
        (QuorumSurvived("go on", during=("cut",)), False, BROKEN, "cut: no write was acknowledged for"),
        (QuorumSurvived("go on", outside=("cut",)), False, HELD, "250 writes acknowledged while daemon.hang docker was in force on n1"),
        (QuorumSurvived("go on", during=("cut",)), True, HELD, "cut: 250 writes acknowledged"),
        (QuorumSurvived("stop", during=("cut",)), False, HELD, "cut: "),
        (QuorumSurvived("stop", during=("cut",)), True, BROKEN, "cut: "),
        (QuorumSurvived("stop", outside=("hang",)), False, HELD, ""),
        (QuorumSurvived("", "stays", during=("cut",)), True, HELD, "cut: leadership stayed with n1"),
        (QuorumSurvived("go on", during=("never",)), True, UNKNOWN, "never (fault 9) was never made"),
        (QuorumSurvived("go on", outside=("hang", "cut")), True, UNKNOWN, "no fault but hang and cut was ever in force"),
    ],
)
def test_writes_and_leadership_may_be_promised_of_single_faults(
    checker: QuorumSurvived,
    go_on: bool,
    verdict: Verdict,
    words: str,
) -> None:
    """Of each what it ought to do; the terms are those of the whole run."""
    finding = dataclasses.replace(checker, expected=EXPECTED).check(writes_of_two(go_on_in_cut=go_on).done(100).history())
    assert (finding.verdict, words in finding.summary) == (verdict, True), finding.summary


def test_two_leaders_in_a_term_convict_whatever_fault_is_asked_about() -> None:
    """However long after it."""
    story = writes_of_two(go_on_in_cut=True).member(80.2, "n3", 2, "n3").done(100).history()
    finding = dataclasses.replace(QuorumSurvived("go on", during=("hang",)), expected=EXPECTED).check(story)
    assert finding.verdict is BROKEN, finding.summary


@pytest.mark.parametrize(
    ("writes", "during", "outside", "words"),
    [("", ("cut",), (), "during with neither writes nor leader"), ("go on", ("cut",), ("hang",), "during and outside")],
)
def test_a_quorum_is_asked_about_what_a_fault_does_by_itself(
    writes: Any, during: tuple[str, ...], outside: tuple[str, ...], words: str
) -> None:
    """Terms are those of the whole run; and of a fault there is no part."""
    with pytest.raises(ValueError, match=words):
        QuorumSurvived(writes, during=during, outside=outside)
