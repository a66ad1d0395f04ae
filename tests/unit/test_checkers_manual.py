"""The promise of whoever has no failure detector: what is lost stays down until somebody acts, and comes back by that."""

from __future__ import annotations

import pytest

from harness.checkers import Manual
from harness.checkers.expected import Expected
from harness.core.traits import daemon
from harness.core.values import Effect, Loss, Outcome, Phase, Traits, Verdict
from harness.faults.power import NodeKill
from harness.history.events import History
from harness.testing.histories import Story

REPLAY = Effect(disturbs=True)


def told(*, back: float | None, silent: bool = False) -> Story:
    """Tell of three hosts of which n1 has no power from 10 to 60 s; what it ran runs on n3 from some moment on, or never."""
    story = Story().node(0.5, "n1", "web@1").node(0.5, "n2", "web@2").node(0.5, "n3").watched(79.0, "n2 n3").watched(9.9, "n1")
    story.fault(NodeKill.name, "n1", decided=10.0, in_force=10.1, healing=60.0, healed=61.0).off(10.05, "n1").node(61.0, "n1")
    story.watched(79.0, "n1", start=61.5)
    if silent:
        story.unreachable(15.0, "n2").node(25.0, "n2", "web@2")
    if back is not None:
        story.node(back, "n3", "web@1")
    return story.done(80.0)


def lost(
    *, back: float | None, acts: tuple[tuple[float, float, Outcome], ...] = (), effect: Effect = REPLAY, silent: bool = False
) -> History:
    """Return such a run in which this was done."""
    story = told(back=back, silent=silent)
    for begun, ended, outcome in acts:
        story.action(begun, ended, "ansible.replay", effect=effect, outcome=outcome)
    return story.history()


OK = (40.0, 45.0, Outcome.OK)


@pytest.mark.parametrize(
    ("history", "verdict", "said"),
    [
        (
            lost(back=44.0, acts=(OK,)),
            Verdict.HELD,
            "web@1 was down for 29.9 s until ansible.replay was begun, and ran again 4.0 s after that",
        ),
        (lost(back=44.0), Verdict.BROKEN, "web@1 ran again on n3 34.0 s after n1 was lost, and nobody had done anything by then"),
        (lost(back=30.0, acts=(OK,)), Verdict.BROKEN, "nobody had done anything by then"),
        (lost(back=None), Verdict.BROKEN, "ran nowhere from then on, and nobody did anything about it"),
        (lost(back=None, acts=((40.0, 45.0, Outcome.FAIL),)), Verdict.BROKEN, "and ansible.replay was not done"),
        (lost(back=None, acts=(OK,)), Verdict.BROKEN, "did not run within 10 s of its end"),
        (lost(back=58.0, acts=(OK,)), Verdict.BROKEN, "did not run within 10 s of its end at 45.0 s; it ran 13.0 s after that"),
        (lost(back=44.0, acts=((40.0, 45.0, Outcome.FAIL),)), Verdict.BROKEN, "nobody had done anything by then"),
        # nobody knows
        (lost(back=44.0, acts=((40.0, 45.0, Outcome.UNKNOWN),)), Verdict.UNKNOWN, "whether ansible.replay was done"),
        (lost(back=None, acts=((40.0, 45.0, Outcome.UNKNOWN),)), Verdict.UNKNOWN, "whether ansible.replay was done"),
        (lost(back=None, acts=((74.0, 75.0, Outcome.OK),)), Verdict.UNKNOWN, "the run was over before the time was up"),
        (lost(back=44.0, acts=(OK,), silent=True), Verdict.UNKNOWN, "what n2 ran while web@1 was lost is not known"),
        # an action that brings nothing back is none that it waits for
        (lost(back=44.0, acts=(OK,), effect=Effect()), Verdict.BROKEN, "nobody had done anything by then"),
        # tried in vain, and then well
        (lost(back=44.0, acts=((20.0, 25.0, Outcome.FAIL), OK)), Verdict.HELD, "until ansible.replay was begun"),
    ],
)
def test_what_is_lost_stays_down_until_somebody_acts(history: History, verdict: Verdict, said: str) -> None:
    """And is back in time by that, by node truth."""
    finding = Manual("web", 10.0).check(history)
    assert (finding.verdict, said in finding.summary) == (verdict, True), finding.summary


def test_nothing_lost_shows_nothing() -> None:
    """Of an app that no fault took."""
    finding = Manual("db", 10.0).check(lost(back=44.0, acts=(OK,)))
    assert (finding.verdict, finding.summary) == (Verdict.UNKNOWN, "no instance of db was displaced by a fault")


WAS = {"web": 2}
STOPS, ALL, NONE = Effect(stops=("docker",)), Effect(runs={"web": 3}), Effect(runs={"web": 0})


@pytest.mark.parametrize("effect", [REPLAY, ALL, Effect(renews=("web",))], ids=["command", "scale", "restart"])
@pytest.mark.parametrize(
    ("back", "replayed", "verdict", "said"),
    [
        (44.0, OK, Verdict.UNKNOWN, "which action was to bring it back is not known: ansible.replay was begun at 40.0 s"),
        (58.0, OK, Verdict.BROKEN, "did not run within 10 s of its end at 45.0 s; it ran 13.0 s after that"),
        (None, OK, Verdict.BROKEN, "did not run within 10 s of its end at 45.0 s"),
        (None, (70.0, 75.0, Outcome.OK), Verdict.UNKNOWN, "which action was to bring it back is not known"),
        (None, (40.0, 45.0, Outcome.UNKNOWN), Verdict.UNKNOWN, "whether ansible.replay at 40.0 s was done is not known"),
        (44.0, (40.0, 45.0, Outcome.UNKNOWN), Verdict.UNKNOWN, "whether ansible.replay at 40.0 s was done is not known"),
        (None, (40.0, 45.0, Outcome.FAIL), Verdict.BROKEN, "did not run within 10 s of its end at 21.0 s"),
    ],
)
def test_an_action_that_was_not_to_bring_anything_back_breaks_nothing_where_a_later_one_did(
    effect: Effect, back: float | None, replayed: tuple[float, float, Outcome], verdict: Verdict, said: str
) -> None:
    """Whatever may have brought it back is in its time, if it did not come by the one before; if it came by none of them, it is broken."""
    story = told(back=back).action(20, 21, "acme.done", effect=effect, was=WAS)
    story.action(*replayed[:2], "ansible.replay", effect=REPLAY, outcome=replayed[2], number=2)
    finding = Manual("web", 10.0).check(story.history())
    assert (finding.verdict, said in finding.summary) == (verdict, True), finding.summary


@pytest.mark.parametrize(
    ("effect", "verdict"),
    [
        (REPLAY, Verdict.HELD),
        (ALL, Verdict.HELD),
        (Effect(renews=("web",)), Verdict.HELD),
        (STOPS, Verdict.UNKNOWN),
        (Effect(moves=True), Verdict.UNKNOWN),
    ],
    ids=["command", "scale", "restart", "stop", "drain"],
)
def test_what_comes_back_after_an_action_was_brought_by_that_unless_all_it_did_was_take_something(effect: Effect, verdict: Verdict) -> None:
    """A daemon that stops starts no work: then it came back by itself, or somebody else did something."""
    story = told(back=24.0).action(20, 21, "acme.done", effect=effect, was=WAS).action(40, 45, "ansible.replay", effect=REPLAY, number=2)
    finding = Manual("web", 10.0).check(story.history())
    assert (finding.verdict, "until acme.done was begun, and ran again 4.0 s after that" in finding.summary) == (verdict, True)


@pytest.mark.parametrize("effect", [STOPS, Effect(moves=True)], ids=["stop", "drain"])
@pytest.mark.parametrize(("back", "verdict"), [(44.0, Verdict.HELD), (58.0, Verdict.BROKEN)])
def test_what_only_takes_is_none_of_the_actions_that_were_to_bring_it_back(effect: Effect, back: float, verdict: Verdict) -> None:
    """It leaves no doubt which one was."""
    story = told(back=back).action(20, 21, "acme.done", effect=effect, was=WAS).action(40, 45, "ansible.replay", effect=REPLAY, number=2)
    finding = Manual("web", 10.0).check(story.history())
    assert finding.verdict is verdict, finding.summary


def _until(end: float, history: History) -> History:
    """Return what there is of a history that was cut off."""
    return History.of_events(*((entry.time, entry.event) for entry in history.entries if entry.time < end))


@pytest.mark.parametrize(
    ("history", "actions", "verdict", "said"),
    [
        (lost(back=None), 0, Verdict.BROKEN, "nobody did anything about it"),
        (lost(back=None), 1, Verdict.UNKNOWN, "action 1 (ansible.replay) was planned, and nobody tells of it"),
        (lost(back=None, acts=((20.0, 25.0, Outcome.FAIL),)), 2, Verdict.UNKNOWN, "action 2 (ansible.replay) was planned"),
        (_until(39.0, lost(back=None, acts=(OK,))), 1, Verdict.UNKNOWN, "nobody tells of it"),
        (_until(39.0, lost(back=None)), 0, Verdict.UNKNOWN, "somebody may have acted after that"),
        # it ran again all the same
        (lost(back=30.0), 1, Verdict.UNKNOWN, "action 1 (ansible.replay) was planned, and nobody tells of it"),
        (_until(39.0, lost(back=30.0, acts=(OK,))), 1, Verdict.BROKEN, "nobody had done anything by then"),
    ],
)
def test_nobody_is_said_to_have_done_nothing_where_an_action_is_not_told_of_or_was_still_to_come(
    history: History, actions: int, verdict: Verdict, said: str
) -> None:
    """A run that is stopped, or killed, has not come to what was planned; and lines may be missing."""
    finding = Manual("web", 10.0, Expected(actions=("ansible.replay",) * actions)).check(history)
    assert (finding.verdict, said in finding.summary) == (verdict, True), finding.summary


@pytest.mark.parametrize(("back", "verdict"), [(24.0, Verdict.BROKEN), (44.0, Verdict.HELD)])
def test_whoever_measures_a_disk_brings_nothing_back(back: float, verdict: Verdict) -> None:
    """Nor does anybody count on it: what comes back after it came by itself, and what comes after the replay by that."""
    story = (
        told(back=back)
        .action(20, 22, "disk.measure", "n2", effect=Effect(disturbs=True))
        .action(40, 45, "ansible.replay", effect=REPLAY, number=2)
    )
    finding = Manual("web", 10.0).check(story.history())
    assert finding.verdict is verdict, finding.summary


@pytest.mark.parametrize(
    ("unseen", "verdict"),
    [((46.0, 57.0), Verdict.UNKNOWN), ((56.0, 70.0), Verdict.BROKEN)],
    ids=["while it was to come", "once it was too late"],
)
def test_what_a_node_that_cannot_be_asked_ran_in_time_is_not_late(unseen: tuple[float, float], verdict: Verdict) -> None:
    """It may have run there all along; what nobody saw only when the time was up was not there before."""
    start, end = unseen
    story = told(back=None).action(40, 45, "ansible.replay", effect=REPLAY).unreachable(start, "n3").node(end, "n3", "web@1")
    finding = Manual("web", 10.0).check(story.history())
    assert finding.verdict is verdict, finding.summary


@pytest.mark.parametrize(
    ("begun", "where", "verdict"),
    [(55.0, "n1", Verdict.UNKNOWN), (55.0, "n3", Verdict.HELD), (64.0, "n1", Verdict.HELD)],
    ids=["begun before the heal", "elsewhere", "begun after it"],
)
def test_what_the_heal_of_a_fault_may_have_brought_back_no_action_is_credited_with(begun: float, where: str, verdict: Verdict) -> None:
    """A machine that is back starts by itself what it ran before, where its Docker is told to."""
    story = told(back=None).action(begun, begun + 3, "ansible.replay", effect=REPLAY)
    finding = Manual("web", 10.0).check(story.node(begun + 8 if begun < 60 else begun + 2, where, "web@1").history())
    assert finding.verdict is verdict, finding.summary


@pytest.mark.parametrize(
    ("begun", "back", "verdict"), [(20.0, 24.0, Verdict.UNKNOWN), (9.0, 24.0, Verdict.UNKNOWN), (9.0, 44.0, Verdict.HELD)]
)
def test_what_came_before_an_action_came_not_by_that(begun: float, back: float, verdict: Verdict) -> None:
    """One that may have brought it back is in doubt, or was begun before the loss; one that surely was done comes later."""
    outcome = Outcome.UNKNOWN if begun > 10 else Outcome.OK
    story = told(back=back).action(begun, 22, "ansible.replay", effect=REPLAY, outcome=outcome)
    finding = Manual("web", 10.0).check(story.action(40, 45, "ansible.replay", effect=REPLAY, number=2).history())
    assert finding.verdict is verdict, finding.summary


@pytest.mark.parametrize(
    ("first", "ended", "effect", "verdict"),
    [
        ("ansible.replay", 22, REPLAY, Verdict.UNKNOWN),
        ("command", 22, REPLAY, Verdict.HELD),
        ("ansible.replay", 36, REPLAY, Verdict.HELD),
        ("node.drain", 22, Effect(moves=True), Verdict.HELD),
    ],
    ids=["half done", "done again", "in time by either", "it takes only"],
)
def test_what_is_in_doubt_may_have_brought_back_too_late_what_something_else_is_credited_with(
    first: str, ended: float, effect: Effect, verdict: Verdict
) -> None:
    """A half-done replay, and then a command that may have had nothing to do with it."""
    story = told(back=44.0).action(20, ended, first, effect=effect, outcome=Outcome.UNKNOWN)
    finding = Manual("web", 10.0).check(story.action(40, 43, "command", effect=REPLAY, number=2).history())
    assert finding.verdict is verdict, finding.summary


@pytest.mark.parametrize(
    ("effect", "back", "verdict"),
    [
        (NONE, None, Verdict.UNKNOWN),
        (NONE, 30.0, Verdict.BROKEN),  # before that it had come back by itself
        (Effect(runs={"web": 1}), None, Verdict.BROKEN),  # the other one is taken away
    ],
)
def test_what_an_action_takes_away_for_good_need_not_come_back(effect: Effect, back: float | None, verdict: Verdict) -> None:
    """Nobody has to bring back what is to run no more."""
    finding = Manual("web", 10.0).check(told(back=back).action(40, 41, "app.remove", effect=effect, was=WAS).history())
    assert finding.verdict is verdict, finding.summary


@pytest.mark.parametrize(
    ("before", "gone", "verdict"),
    [(False, 3.0, Verdict.BROKEN), (True, 3.0, Verdict.UNKNOWN), (True, 40.0, Verdict.BROKEN)],
)
def test_what_stops_where_a_fault_leaves_it_as_it_did_before_is_not_lost_to_it(gone: float, verdict: Verdict, *, before: bool) -> None:
    """Docker starts again what crashes, here by itself: nobody took it, and nobody brings it back."""
    story = Story().phase(1.0, Phase.STEADY).whole(3.0, "before").node(0.5, "n1", "web@1").node(0.5, "n2").node(0.5, "n3")
    story.fault("disk.slow", "n1", decided=60, in_force=60.1, healing=120, healed=121, traits=Traits(Loss.NOTHING, ("disk",)))
    for at in (15, 35) if before else ():
        story.node(at, "n1").node(at + 3, "n1", "web@1")
    story.node(70, "n1").node(70 + gone, "n1", "web@1").endures().watched(149, "n1 n2 n3")
    finding = Manual("web", 10.0).check(story.done(150).history())
    assert finding.verdict is verdict, finding.summary


@pytest.mark.parametrize(("part", "verdict"), [("docker", Verdict.BROKEN), ("zookeeper", Verdict.UNKNOWN), ("haproxy", Verdict.UNKNOWN)])
def test_what_stops_at_once_as_it_did_before_is_lost_to_the_daemon_alone_that_it_runs_by(part: str, verdict: Verdict) -> None:
    """However soon after the bite it was: the others took nothing."""
    story = Story().phase(1.0, Phase.STEADY).whole(3.0, "before").node(0.5, "n1", "web@1").node(0.5, "n2").node(0.5, "n3")
    story.node(15, "n1").node(23, "n1", "web@1").node(62.1, "n1").node(70.1, "n1", "web@1").endures().watched(149, "n1 n2 n3")
    kind = daemon(part, in_place=True)
    story.fault("process.kill", "n1", decided=60, in_force=60.1, healing=120, healed=121, traits=kind, lost="n1")
    finding = Manual("web", 10.0, Expected(member="zookeeper")).check(story.done(150).history())
    assert finding.verdict is verdict, finding.summary
    assert f"8.0 s after it stopped on n1 (2.0 s after {part} was lost there)" in finding.summary  # its machine was not
