"""Steps that wait until something is so: how they are read, walked, told and judged."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness import registry
from harness.checkers import Assumptions, CameInTime
from harness.checkers.expected import Expected
from harness.conductor import Session, Stopped
from harness.core.errors import BadInput, HarnessError
from harness.core.values import App, Loss, NodeState, Outcome, Phase, Traits, Verdict
from harness.history.awaits import ELSES, GOALS, came, had_come, in_vain, stayed_away
from harness.history.events import Awaited, History, MemberSeen, NodeSeen, Note
from harness.history.situation import Situation
from harness.plan import Plan, briefing, plan
from harness.reports.prose import describe
from harness.reports.timeline import Timeline
from harness.reports.verdict_table import opening, shown_by
from harness.runs.run import Run
from harness.scenario import loads
from harness.steps import Await, Break, Wait, awaits, step_from_json
from harness.testing.bare import BareMode
from harness.testing.histories import Story, container, node_kill
from tests.unit.sessions import Led, Scripted, bare_plan, in_memory, scripted

HEAD = "scenario: x\nwhy: y\ncluster: {nodes: 3}\napps: [{name: web, instances: 2}]\npromises: [conflicts]\nsteps:\n"
FAULT = "  - {fault: node.kill, on: n1, hold: 5s}\n"


@pytest.fixture
def fault(monkeypatch: pytest.MonkeyPatch) -> type[Scripted]:
    """Return a scripted fault of this test's own, known by name."""
    return scripted(monkeypatch)


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    """Lend a session over three nodes in memory, with an app of two instances."""
    with in_memory(tmp_path, Led(), App("web", 2)) as made:
        yield made


# ---------------------------------------------------------------- read


BAD: dict[str, tuple[str, list[str]]] = {
    "no such goal": (
        "  - {await: leadr, at most: 5s}\n",
        ["s.yaml:7:13: 'leadr'; expected what is awaited: leader, steady, or {recovered: APP}; did you mean 'leader'?"],
    ),
    "an app that is needed": ("  - {await: recovered, at most: 5s}\n", ["s.yaml:7:13: 'recovered'; expected what is awaited"]),
    "an app where none is": ("  - {await: {leader: web}, at most: 5s}\n", ["s.yaml:7:13: a mapping with leader; expected what is awaited"]),
    "an unknown app": (
        "  - {await: {recovered: wep}, at most: 5s}\n",
        ["s.yaml:7:25: an unknown app 'wep'; expected the name of an app; did you mean 'web'?"],
    ),
    "no app at all": ("  - {await: {recovered: 7}, at most: 5s}\n", ["s.yaml:7:25: 7; expected the name of an app"]),
    "nothing": ("  - {await: , at most: 5s}\n", ["s.yaml:7:13: nothing; expected what is awaited"]),
    "for no time": ("  - {await: leader}\n", ["s.yaml:7:5: 'at most' is missing"]),
    "for too short a time": (
        "  - {await: leader, at most: 2s}\n",
        ["s.yaml:7:30: '2s'; expected a duration such as 5s or 2m, above 2s: for so long it must have been so"],
    ),
    "no such meaning": ("  - {await: leader, at most: 5s, else: held}\n", ["s.yaml:7:40: 'held'; expected one of broken, unknown, go on"]),
    "all at once": (
        "  - {await: {recovered: wep}, at most: 1s, else: no, on: n1}\n",
        [
            "s.yaml:7:25: an unknown app 'wep'",
            "s.yaml:7:40: '1s'; expected a duration",
            "s.yaml:7:50: no, which YAML reads as false; expected one of broken, unknown, go on",
            "s.yaml:7:54: an unknown key 'on'",
        ],
    ),
}


@pytest.mark.parametrize(("steps", "told"), BAD.values(), ids=BAD)
def test_what_is_wrong_with_an_await_is_told_with_its_place(steps: str, told: list[str]) -> None:
    """With what was found and what was expected, all of it at once, and nothing else."""
    with pytest.raises(BadInput) as caught:
        loads(HEAD + steps + FAULT, "s.yaml")
    said = str(caught.value).splitlines()
    assert len(said) == len(told), said
    for line, start in zip(said, told, strict=True):
        assert line.startswith(start), line


GOOD = """\
  - {await: steady, at most: 10s}
  - {fault: node.kill, on: n1, as: dead}
  - {await: {recovered: web}, at most: 60s, else: broken}
  - {await: leader, at most: 30s, else: go on}
  - heal: dead
"""


def test_awaits_are_read_saved_and_told() -> None:
    """In a plan's words, in its longest time, and among what is judged; a plan reads back equal."""
    scenario = loads(HEAD + GOOD, "s.yaml")
    assert awaits(scenario.steps) == (
        Await("steady", "", 10.0),
        Await("recovered", "web", 60.0, "broken"),
        Await("leader", "", 30.0, "go on"),
    )
    assert tuple(step_from_json(step.to_json(), registry.known()) for step in scenario.steps) == scenario.steps
    fleet: Any = registry.known().modes["fleet"].from_timers("default", {})
    made = plan(scenario, mode=fleet, provider="nspawn", seed=7)
    assert made.longest == 10.0 + 60.0 + 30.0 + made.settle
    assert made.warm_up == 10.0
    words = describe(made, 200)
    assert "1. wait until the cluster is whole, 10 s at most, else the run cannot be judged" in words
    assert "3. wait until web has recovered, 60 s at most, else the promise is broken" in words
    assert "4. wait until there is a leader, 30 s at most, and go on in any case" in words
    (judge,) = [each for each in made.promises if isinstance(each, CameInTime)]
    assert judge.expected.awaits == 3
    assert Plan.from_json(json.loads(json.dumps(made.to_json()))) == made


def test_only_a_plan_that_awaits_anything_is_judged_by_it() -> None:
    """As checks are asked only where there are any."""
    for awaited in (False, True):
        names = [each.name for each in briefing.with_standing([], registry.known(), checks=False, settles=True, awaited=awaited)]
        assert ("awaited" in names) is awaited


def test_a_leader_is_awaited_only_where_there_is_one() -> None:
    """A mode without a quorum is told at the place of the step."""
    (misfit,) = Await("leader", "", 5.0).misfits(("steps", 0), BareMode())
    assert (misfit.place, misfit.found) == (("steps", 0, "await"), "`await: leader`, with the bare mode")
    assert Await("steady", "", 5.0).misfits(("steps", 0), BareMode()) == []


def test_slow_machines_are_waited_for_longer() -> None:
    """As a hold that ends when something is seen."""
    assert Await("steady", "", 5.0).slowed(7.0) == Await("steady", "", 12.0)


@pytest.mark.parametrize(
    "damage",
    [
        {"await": {"recovered": ""}},
        {"await": {"leader": "web"}},
        {"await": {"dinner": ""}},
        {"await": {}},
        {"else": "maybe"},
        {"at most": "5s"},
    ],
    ids=str,
)
def test_a_damaged_await_of_a_plan_is_refused(damage: dict[str, Any]) -> None:
    """Nothing is guessed."""
    with pytest.raises((KeyError, TypeError, ValueError)):
        step_from_json({**Await("leader", "", 5.0).to_json(), **damage}, registry.known())


# ---------------------------------------------------------------- walked


def _told(session: Session) -> list[Awaited]:
    return [event for _, event in History.load(session.recorder.path).each(Awaited)]


def _runs(session: Session, **where: str) -> None:
    session.recorder.listen(session.situation.hear)
    for node in session.cluster.nodes:
        here = tuple(container(name, node.name) for name, home in where.items() if home == node.name)
        session.recorder.record(
            NodeSeen(node.name, NodeState.UP, tuple(replace(each, instance=f"web@{each.instance[-1]}") for each in here))
        )


def test_what_comes_is_seen_once_it_has_been_so_for_a_moment(session: Session) -> None:
    """Both its beginning and its end are in the history."""
    _runs(session, web1="n1", web2="n2")
    assert session.await_("recovered", "web", at_most=60.0, otherwise="broken") is Outcome.OK
    begun, ended = _told(session)
    assert (begun.outcome, ended.outcome) == (None, Outcome.OK)
    assert 2.0 <= ended.seconds < 10.0


def test_what_does_not_come_is_told_with_what_was_missing(session: Session) -> None:
    """After all of its time, and no more."""
    _runs(session, web1="n1")
    assert session.await_("recovered", "web", at_most=30.0) is Outcome.FAIL
    ended = _told(session)[-1]
    assert (ended.missing, ended.unasked) == (("1 of 2 instances of web run",), ())
    assert ended.seconds == pytest.approx(30.0, abs=0.5)


def test_a_leader_and_a_whole_cluster_are_awaited(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """By what the session knows of them."""
    assert session.await_("leader", at_most=5.0) is Outcome.FAIL
    monkeypatch.setattr(session.situation, "leader", lambda: "n1")
    assert session.await_("leader", at_most=5.0) is Outcome.OK
    monkeypatch.setattr(session.situation, "missing", lambda _: [])
    monkeypatch.setattr(session.situation, "unasked", lambda *_: ["web@1 was not called"])
    assert session.await_("steady", at_most=5.0) is Outcome.UNKNOWN
    assert [event.number for event in _told(session)] == [1, 1, 2, 2, 3, 3]


@pytest.mark.parametrize(("otherwise", "further"), [("broken", False), ("unknown", False), ("go on", True)])
def test_what_comes_after_is_done_only_where_it_may_go_on(
    session: Session, fault: type[Scripted], monkeypatch: pytest.MonkeyPatch, otherwise: str, further: bool
) -> None:
    """What was broken before is mended in any case."""
    monkeypatch.setattr(session.situation, "missing", lambda _: [])
    session.plan = bare_plan(
        Break(fault(), "n1", None, "one"), Await("leader", "", 5.0, otherwise), Break(fault(), "n2", None, "two"), Wait(1.0)
    )
    session.walk()
    assert fault.calls.count("inject") == 1 + further
    assert fault.broken == set()
    notes = [event.text for _, event in History.load(session.recorder.path).each(Note)]
    assert ("there was no leader in the time that it had; no further step is taken" in notes) is not further


def test_a_stop_is_heard_while_something_is_awaited(session: Session) -> None:
    """Within a second."""

    def hear(entry: Any) -> None:
        if isinstance(entry.event, Awaited):
            session.options.stop.set()

    session.recorder.listen(hear)
    with pytest.raises(Stopped):
        session.await_("leader", at_most=1000.0)
    assert session.recorder.now() < 1.0
    assert [event.outcome for event in _told(session)] == [None]


def test_all_that_is_wrong_with_an_await_in_python_is_told_at_once(session: Session) -> None:
    """Before anything is waited for."""
    for given, count in (
        (("leadr", "", 5.0, "maybe"), 2),
        (("recovered", "wep", 1.0, "broken"), 2),
        (("leader", "web", "5s", "broken"), 2),
        (("steady", "", float("inf"), "unknown"), 1),
    ):
        goal, app, at_most, otherwise = given
        with pytest.raises(BadInput) as caught:
            session.await_(goal, app, at_most=at_most, otherwise=otherwise)  # type: ignore[arg-type]  # as somebody may write it
        assert len(caught.value.problems) == count, given
    assert _told(session) == []


def test_an_await_of_a_scenario_in_python_is_judged(session: Session) -> None:
    """Its plan has it when the run is over."""
    session.await_("leader", at_most=5.0, otherwise="broken")
    done = session.plan.as_done(session.cluster.mode, session._done, ())
    assert [each.name for each in done.promises if each.name == "awaited"] == ["awaited"]
    assert awaits(done.steps) == (Await("leader", "", 5.0, "broken"),)


# ---------------------------------------------------------------- what has recovered


def _situation(app: App, called: dict[str, float] | None = None) -> Situation:
    return Situation(("n1", "n2", "n3"), (app,), (), called=called or {}, writes=None)


def _hear(situation: Situation, *told: tuple[float, Any]) -> Situation:
    for entry in History.of_events(*told).entries:
        situation.hear(entry)
    return situation


def _at(node: str, *instances: str) -> NodeSeen:
    return NodeSeen(node, NodeState.UP, tuple(container(each, node) for each in instances))


RECOVERED: dict[str, tuple[App, list[NodeSeen], set[str], list[str]]] = {
    "all of it runs": (App("web", 2), [_at("n1", "web@1"), _at("n2", "web@2")], set(), []),
    "one of it does not": (App("web", 2), [_at("n1", "web@1"), _at("n2")], set(), ["1 of 2 instances of web run"]),
    "one of it is on a node that is away": (
        App("web", 2),
        [_at("n1", "web@1"), _at("n2", "web@2")],
        {"n2"},
        ["1 of 2 instances of web run on nodes that are left"],
    ),
    "one of it runs on one that is left as well": (App("web", 2), [_at("n1", "web@1"), _at("n2", "web@2"), _at("n3", "web@2")], {"n2"}, []),
    "only so many can have a home": (App("web", 3), [_at("n1", "web@1"), _at("n3", "web@3"), _at("n2")], {"n2"}, []),
    "any number can have one": (
        App("web", 3, conflicts=False),
        [_at("n1", "web@1"), _at("n3", "web@3"), _at("n2")],
        {"n2"},
        ["2 of 3 instances of web run on nodes that are left"],
    ),
    "its one node is away": (App("web", 1, pin="n1"), [_at("n1"), _at("n2"), _at("n3")], {"n1"}, ["no node is left that may run web"]),
    "one is pinned": (App("web", 1, pin="n1"), [_at("n1", "web@1"), _at("n2"), _at("n3")], {"n2"}, []),
}


@pytest.mark.parametrize(("app", "seen", "away", "missing"), RECOVERED.values(), ids=RECOVERED)
def test_an_app_has_recovered_when_all_that_can_have_a_home_runs(
    app: App, seen: list[NodeSeen], away: set[str], missing: list[str]
) -> None:
    """On nodes that are left."""
    situation = _hear(_situation(app), *((0.0, each) for each in seen))
    assert situation.lacking(app, away, 1.0) == (missing, [])


def test_an_app_that_is_called_has_recovered_when_it_answers() -> None:
    """From where it runs; one that nobody asked yet is not known to serve."""
    app = App("web", 1)
    situation = _hear(_situation(app, {"web@1": 0.1}), (0.0, _at("n1", "web@1")))
    assert situation.lacking(app, set(), 0.1) == ([], ["web@1 was not called"])
    story = Story().get(0.5, "web@1", by="n1")
    for entry in story.history().entries:
        situation.hear(entry)
    assert situation.lacking(app, set(), 0.6) == ([], [])
    for entry in Story().get(1.0, "web@1", None).history().entries:
        situation.hear(entry)
    assert situation.lacking(app, set(), 9.0) == (["web@1 does not answer"], [])


# ---------------------------------------------------------------- told


def test_an_await_stands_in_the_timeline() -> None:
    """With a line of its own, and in the moments, whichever way it ended."""
    story = (
        node_kill().awaited(12.0, 40.0, "recovered", "web").awaited(40.0, 50.0, "leader", "", Outcome.FAIL, missing=("nobody",), number=2)
    )
    text = "\n".join(line.plain for line in Timeline(story.history(), ()).lines(120))
    assert "await 1" in text
    assert "web recovered after 28.0 s" in text
    assert "there was no leader in 10.0 s: nobody; no further step is taken, and that is broken" in " ".join(text.split())


def test_every_goal_has_words() -> None:
    """Also one that another version waits for."""
    for say in (had_come, came, stayed_away):
        assert len({say(goal, "web") for goal in GOALS}) == len(GOALS)
    assert (had_come("dinner", ""), came("dinner", ""), stayed_away("dinner", "")) == ("dinner", "dinner came", "dinner did not come")


@pytest.mark.parametrize("goal", GOALS)
@pytest.mark.parametrize("note", ["{}; no further step is taken", "that {} was awaited in vain; no further step is taken"])
def test_that_something_was_awaited_in_vain_is_told_once(goal: str, note: str) -> None:
    """Though a run notes it beside what it records of the wait, in these words or in older ones."""
    what = in_vain(goal, "web") if note.startswith("{}") else had_come(goal, "web")
    story = node_kill().awaited(12.0, 40.0, goal, "web", Outcome.FAIL, missing=("nobody",)).tell(40.0, Note(note.format(what)))
    text = " ".join(" ".join(line.plain for line in Timeline(story.history(), ()).lines(120)).split())
    assert text.count("no further step is taken") == 1


@pytest.mark.parametrize(("otherwise", "first"), [("broken", "awaited"), ("unknown", "awaited"), ("go on", "assumptions")])
def test_what_was_awaited_in_vain_is_the_cause_of_what_never_came(otherwise: str, first: str) -> None:
    """The first line tells it before what only follows from it, and the command below it shows what it stands on."""
    story = node_kill().awaited(12.0, 40.0, "leader", "", Outcome.FAIL, missing=("nobody",), otherwise=otherwise)
    expected = Expected(faults=("node.kill", "net.partition"), actions=("app.scale",))
    found = [Assumptions(expected).check(story.history()), CameInTime().check(story.history())]
    unsure = [replace(each, verdict=Verdict.UNKNOWN) if each.verdict is Verdict.BROKEN else each for each in found]
    run = Run("the-run", Path("results/the-run"), bare_plan(), story.history(), unsure)
    assert opening(run).startswith(f"UNKNOWN {first}: ")
    assert shown_by(run).endswith(f"--evidence {first}") or first == "assumptions"
    assert "2 (net.partition) was planned and never made; action 1 (app.scale) was planned and never begun" in found[0].summary


# ---------------------------------------------------------------- judged


def _judged(
    *, outcome: Outcome = Outcome.OK, otherwise: str = "broken", missing: tuple[str, ...] = (), ended: float | None = 40.0
) -> Story:
    return node_kill().endures(recovery=16.5).awaited(12.0, ended, "recovered", "web", outcome, otherwise=otherwise, missing=missing)


LACKS = ("1 of 2 instances of web run",)


@pytest.mark.parametrize(
    ("story", "verdict", "words"),
    [
        (_judged(ended=43.0), Verdict.HELD, "web recovered after 31.0 s"),
        (_judged(outcome=Outcome.FAIL, missing=LACKS), Verdict.BROKEN, "web did not recover in 28.0 s (at most 60 s): 1 of 2"),
        (_judged(outcome=Outcome.FAIL, missing=LACKS, otherwise="unknown"), Verdict.UNKNOWN, "did not recover"),
        (
            _judged(outcome=Outcome.FAIL, missing=LACKS, otherwise="go on"),
            Verdict.HELD,
            "web did not recover in 28.0 s, which the scenario allows",
        ),
        (_judged(outcome=Outcome.UNKNOWN), Verdict.UNKNOWN, "what nobody asked is not known"),
        (_judged(ended=None), Verdict.UNKNOWN, "await 1 was begun and never ended"),
        (_judged(outcome=Outcome.FAIL, missing=LACKS).stalled(12.0, 38.0), Verdict.UNKNOWN, "did not recover"),
        (
            _judged(outcome=Outcome.FAIL, missing=LACKS).unreachable(20.0, "n3").watched(69.0, "n3"),
            Verdict.UNKNOWN,
            "n3 could not be asked",
        ),
        (_judged().awaited(41.0, 42.0, "leader"), Verdict.UNKNOWN, "was told 4 times"),
        (node_kill(), Verdict.UNKNOWN, "nothing was ever awaited"),
    ],
    ids=["came", "broken", "unknown", "go on", "unasked", "no end", "we stood still", "out of reach", "twice", "none"],
)
def test_what_was_awaited_is_judged_by_what_the_step_says(story: Story, verdict: Verdict, words: str) -> None:
    """And by what is known of stalls, and of machines that could not be asked."""
    finding = CameInTime().check(story.history())
    assert finding.verdict is verdict, finding
    assert words in finding.summary


def _lost(back: float | None, *, cut: bool = False) -> Story:
    """Two instances of web on five nodes, of which n4, with web@2, is lost from 10 s to 70 s; it runs on n3 from `back` on."""
    story = Story().phase(1, Phase.STEADY).endures(recovery=16.5).members(0.5, "n1 n2 n3", 2, "n1")
    for node in ("n1", "n2", "n3", "n4", "n5"):
        story.node(0, node, *{"n1": ["web@1"], "n4": ["web@2"]}.get(node, []))
    kind = ("net.partition", Traits(Loss.LINK, apart=True)) if cut else ("node.kill", Traits(Loss.NODE))
    story.fault(kind[0], "n4", decided=9, in_force=10, healing=70, healed=71, traits=kind[1], lost="n4")
    story.gets(2, 75, "web@1", by="n1")
    if not cut:
        story.off(9.9, "n4").node(70.5, "n4")
    return story if back is None else story.node(back, "n3", "web@2").gets(back, 75, "web@2", by="n3")


def _all_lost(number: int) -> Story:
    """Tell of five nodes, of which so many are cut off from 10 s to 70 s; web@1 and web@2 run on the first two."""
    story = Story().phase(1, Phase.STEADY).endures(recovery=16.5).members(0.5, "n1 n2 n3", 2, "n1")
    for node in ("n1", "n2", "n3", "n4", "n5"):
        story.node(0, node, *{"n1": ["web@1"], "n2": ["web@2"]}.get(node, []))
    cut = " ".join(f"n{each}" for each in range(1, number + 1))
    kind = Traits(Loss.LINK, apart=True)
    return story.fault("net.partition", cut, decided=9, in_force=10, healing=70, healed=71, traits=kind, lost=cut)


@pytest.mark.parametrize(
    ("told", "why"),
    [
        (_lost(20.0).awaited(12.0, 24.0, "recovered", "web"), ""),
        (_lost(20.0).awaited(12.0, 19.0, "recovered", "web"), "by node truth there ran 1 of 2 instances of web"),
        (_lost(None, cut=True).awaited(12.0, 19.0, "recovered", "web"), "by node truth there ran 1 of 2 instances of web"),
        (_lost(20.0, cut=True).awaited(12.0, 24.0, "recovered", "web"), ""),
        (_all_lost(5).awaited(12.0, 24.0, "recovered", "web"), "no node was left that may run web"),
        (_all_lost(4).awaited(12.0, 24.0, "recovered", "web"), "by node truth no instance of web ran"),
        (_lost(20.0).awaited(12.0, 24.0, "recovered", "db"), "by node truth no instance of db ran"),
        (_lost(20.0).awaited(12.0, 24.0, "leader"), ""),
        (_lost(20.0).members(15, "n1 n2 n3", 2, None).awaited(12.0, 24.0, "leader"), "no majority of the members followed anybody"),
        (_lost(20.0).awaited(72.0, 75.0, "steady"), ""),
        (_lost(20.0).awaited(12.0, 24.0, "steady"), "n4 was off by node truth"),
        (_lost(20.0).members(73, "n1 n2 n3", 2, None).awaited(72.0, 75.0, "steady"), "the members followed nobody"),
    ],
)
def test_the_word_that_it_came_is_held_against_what_others_tell(told: Story, why: str) -> None:
    """Against node truth, of each instance on nodes that no fault holds; and against APIs and members."""
    finding = CameInTime(Expected(instances=("web@1", "web@2"))).check(told.done(80).history())
    assert finding.verdict is (Verdict.UNKNOWN if why else Verdict.HELD), finding.summary
    assert why in finding.summary


@pytest.mark.parametrize(
    ("told", "why"),
    [
        (_lost(20.0), "by node truth 2 of 2 instances of web ran, from 20.0 s on"),
        (_lost(None), ""),
        (_lost(None, cut=True), ""),
        (_lost(47.5), ""),  # it had been so for 2.5 s when the time was up, and words may cross
        (_lost(20.0).gets(47, 50, "web@2", Outcome.FAIL), ""),
        (_lost(20.0).node(48.0, "n3"), ""),
    ],
    ids=["all ran", "one ran nowhere", "one ran on a node that was cut off", "for a moment", "one did not answer", "one stopped"],
)
def test_the_word_that_an_app_did_not_recover_is_held_against_what_others_tell(told: Story, why: str) -> None:
    """It convicts where neither nodes nor callers know otherwise."""
    finding = CameInTime(Expected(instances=("web@1", "web@2"))).check(
        told.awaited(12.0, 50.0, "recovered", "web", Outcome.FAIL, missing=("one runs nowhere",)).done(80).history()
    )
    assert finding.verdict is (Verdict.UNKNOWN if why else Verdict.BROKEN), finding.summary
    assert why in finding.summary


@pytest.mark.parametrize(
    ("leader", "since", "verdict"),
    [("n1", 0.5, Verdict.UNKNOWN), (None, 0.5, Verdict.BROKEN), ("n1", 48.0, Verdict.BROKEN), ("n4", 0.5, Verdict.BROKEN)],
    ids=["one led", "nobody led", "for a moment", "a dead one"],
)
def test_the_word_that_nobody_led_is_held_against_what_members_tell(leader: str | None, since: float, verdict: Verdict) -> None:
    """It convicts where they know no otherwise, of one that was there to lead."""
    story = _lost(20.0).members(0.5, "n1 n2 n3 n4 n5", 2, None).members(since, "n1 n2 n3 n4 n5", 3, leader).no_member(9.9, "n4")
    finding = CameInTime().check(story.awaited(12.0, 50.0, "leader", "", Outcome.FAIL, missing=("nobody leads",)).done(80).history())
    assert finding.verdict is verdict, finding.summary
    assert verdict is Verdict.BROKEN or "a majority of the members followed n1, from 0.5 s on" in finding.summary


def test_an_await_that_was_planned_and_never_begun_is_missed() -> None:
    """But not after one in vain: then no further step is taken."""
    expected = Expected(awaits=2)
    assert "1 await planned and never begun" in CameInTime(expected).check(_judged().history()).summary
    for otherwise, missed in (("unknown", False), ("go on", True)):
        story = _judged(outcome=Outcome.FAIL, missing=LACKS, otherwise=otherwise)
        assert ("never begun" in CameInTime(expected).check(story.history()).summary) is missed


@pytest.mark.parametrize(("by_a_fault", "verdict"), [(True, Verdict.BROKEN), (False, Verdict.UNKNOWN)])
def test_who_is_out_of_reach_by_a_fault_is_no_excuse(by_a_fault: bool, verdict: Verdict) -> None:
    """A machine that a fault took away gives no answer, and that is what was to be seen; of any other nothing is known."""
    story = Story().phase(1, Phase.STEADY).node(0, "n1").node(0, "n2", "web@2").node(0, "n3", "web@1").endures(recovery=16.5)
    if by_a_fault:
        story.fault("node.pause", "n3", decided=9, in_force=10, healing=70, healed=71, traits=Traits(Loss.NODE), lost="n3")
    story.awaited(12.0, 60.0, "recovered", "web", Outcome.FAIL, missing=LACKS).unreachable(10.0, "n3").watched(79, "n1 n2 n3").done(80)
    assert CameInTime().check(story.history()).verdict is verdict


def test_a_step_of_no_known_meaning_is_refused() -> None:
    """The words of a file and of the history are the same."""
    assert set(ELSES) == {"broken", "unknown", "go on"}
    with pytest.raises(HarnessError):
        loads(HEAD + "  - {await: leader, at most: 5s, else: go}\n" + FAULT)


def test_a_member_that_speaks_shows_who_leads() -> None:
    """As the session knows it."""
    situation = Situation(("n1", "n2", "n3"), (), ("n1", "n2", "n3"), called={}, writes=None)
    _hear(situation, *((0.1, MemberSeen(node, 2, "n1")) for node in ("n1", "n2", "n3")))
    assert situation.leader() == "n1"
