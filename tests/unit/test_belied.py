"""Actions that were done by their own word alone: what they were to stop ran on, by node truth."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from harness.checkers import Assumptions, Scaled, Settled
from harness.checkers.belied import STOPPING, belied
from harness.core.traits import daemon
from harness.core.values import Container, Effect, Loss, NodeState, Outcome, Traits, Verdict
from harness.history.events import Acted, DockerEvent, NodeSeen
from harness.testing.histories import Story, container

OLD = container("web@1", "n1")
NEW = Container("f" * 64, "web@1")
RENEWS, REMOVES = Effect(renews=("web",)), Effect({"web": 0})
FEWER, MORE = Effect({"web": 1}), Effect({"web": 3})


def _told(then: Callable[[Story], object], effect: Effect, outcome: Outcome = Outcome.OK) -> Story:
    """Tell of web@1 on n1 and web@2 on n2, of an action from 20 s to 22 s, and of what came of it; a fault of no consequence at 60 s."""
    story = Story().node(0, "n1", "web@1").node(0, "n2", "web@2").node(0, "n3").watched(99, "n1 n2 n3")
    story.action(20, 22, "an.action", effect=effect, was={"web": 2} if effect.runs else None, outcome=outcome)
    story.fault("some.fault", "n3", decided=60, in_force=60.2, healing=70, healed=71, traits=Traits(Loss.NOTHING))
    then(story)
    return story.whole(1, "before").whole(75, "after").done(100)


def _anew(story: Story) -> None:
    story.node(21, "n1").tell(21.5, NodeSeen("n1", NodeState.UP, (NEW,))).node(21, "n2").node(21.5, "n3", "web@2")


def _fault(kind: Traits, on: str = "n1 n2", start: float = 15, end: float = 30) -> Callable[[Story], object]:
    """Have a fault that takes no work away on these nodes, for a time."""
    lost = "" if kind.loses is Loss.NOTHING else on
    return lambda story: story.fault(
        "a.fault", on, decided=start, in_force=start + 0.2, healing=end - 1, healed=end, traits=kind, lost=lost, number=2
    )


@pytest.mark.parametrize(
    ("then", "effect", "which"),
    [
        (lambda _: None, RENEWS, "web@1 on n1, web@2 on n2 ran on in the containers from before an.action was done (22.0 s)"),
        (_anew, RENEWS, ""),
        (lambda story: story.node(21, "n1").node(21.5, "n3", "web@1"), RENEWS, "web@2 on n2 ran on in the container from before"),
        (lambda story: story.tell(21, NodeSeen("n1", NodeState.UP, (NEW,))).node(21, "n2").node(22, "n2", "web@2"), RENEWS, ""),
        (lambda story: story.node(23, "n1").node(36, "n2"), RENEWS, ""),
        (lambda _: None, REMOVES, "web@1 on n1, web@2 on n2 ran on"),
        (lambda story: story.node(21, "n1").node(36, "n2"), REMOVES, ""),
        (lambda story: story.node(21, "n1"), REMOVES, "web@2 on n2 ran on"),
        (lambda story: story.node(50, "n1").node(52, "n2"), REMOVES, ""),
        (lambda story: story.node(50, "n1"), REMOVES, "web@1 on n1, web@2 on n2 ran on"),
        (lambda story: story.node(50, "n1"), FEWER, ""),
        (
            lambda story: _fault(Traits(Loss.LINK), start=45, end=55)(story) or story.node(50, "n1"),
            FEWER,
            "web@1 on n1, web@2 on n2 ran on",
        ),
        (lambda story: story.node(21, "n1"), FEWER, ""),
        (lambda story: story.node(21, "n2"), FEWER, ""),
        (lambda _: None, FEWER, "web@1 on n1, web@2 on n2 ran on"),
        (lambda _: None, MORE, ""),
        (lambda _: None, Effect(moves=True), ""),
        (_fault(daemon("fleetd", in_place=False)), REMOVES, ""),
        (_fault(Traits(Loss.LINK)), REMOVES, ""),
        (_fault(Traits(Loss.NOTHING)), REMOVES, ""),
        (_fault(Traits(Loss.LINK), "n1"), REMOVES, "web@2 on n2 ran on"),
        (_fault(Traits(Loss.LINK), end=19), REMOVES, "web@1 on n1, web@2 on n2 ran on"),
        (lambda story: story.action(5, 6, "service.stop", "n1 n2", effect=Effect(stops=("fleetd",)), number=2), REMOVES, ""),
        (lambda story: story.unreachable(25, "n1").unreachable(25, "n2"), REMOVES, ""),
        (lambda story: story.action(30, 31, "app.deploy", effect=Effect({"web": 2}), was={"web": 0}, number=2), REMOVES, ""),
    ],
    ids=[
        "restarted: nothing",
        "restarted: all",
        "restarted: one of two",
        "restarted: in place, and for a moment",
        "restarted: they stopped later",
        "removed: nothing",
        "removed: both, the second slowly",
        "removed: one of two",
        "removed: both, much later",
        "removed: one of two, much later",
        "fewer: one, much later",
        "fewer: one, when a fault may have taken it",
        "fewer: one",
        "fewer: the other",
        "fewer: none",
        "more",
        "moved",
        "a daemon was lost there",
        "cut off",
        "another fault there",
        "cut off one of two",
        "cut off before",
        "a daemon was stopped there",
        "nobody could ask",
        "asked for again",
    ],
)
def test_what_runs_on_belies_the_word_of_an_action(then: Callable[[Story], object], effect: Effect, which: str) -> None:
    """On nodes that nothing else had hit, for longer than a container takes to stop."""
    history = _told(then, effect).history()
    said = belied(history)
    assert (which in said.get(1, "") and bool(said)) if which else not said, said
    finding = Assumptions().check(history)
    assert ("was done by its own word, but" in str([finding.summary, finding.details.get("points")])) is bool(which)


@pytest.mark.parametrize("outcome", [Outcome.FAIL, Outcome.UNKNOWN])
def test_what_was_not_said_to_be_done_is_not_belied(outcome: Outcome) -> None:
    """It is in doubt, or was not done, as it is."""
    assert not belied(_told(lambda _: None, REMOVES, outcome).history())


@pytest.mark.parametrize(("node", "instance", "other"), [("n1", "web@1", "web@2 on n2"), ("n2", "web@2", "web@1 on n1")])
def test_a_restart_that_docker_told_of_is_one(node: str, instance: str, other: str) -> None:
    """In the same container, from one look to the next."""
    story = _told(lambda _: None, RENEWS).tell(21, DockerEvent(node, "start", container(instance, node).id, instance, 21.0))
    assert belied(story.history())[1].startswith(f"{other} ran on in the container from before")


@pytest.mark.parametrize(
    ("first", "outcome", "found"),
    [("web:2", Outcome.OK, False), ("web:2", Outcome.UNKNOWN, True), ("web:1", Outcome.OK, True)],
    ids=["so already", "perhaps so already", "something else"],
)
def test_an_app_that_is_so_already_may_be_left_as_it_is(first: str, outcome: Outcome, *, found: bool) -> None:
    """It was given the same image by the action before."""
    effect = Effect(renews=("web",), alters=("web",))
    story = Story().node(0, "n1", "web@1").tell(21, NodeSeen("n1", NodeState.UP, (NEW,)))
    for number, (begun, image, came) in enumerate([(20, first, outcome), (40, "web:2", Outcome.OK)], 1):
        for end in (None, came):
            event = Acted(number, "app.update", (), 60.0, may_fail=False, outcome=end, parameters={"image": image}, effect=effect)
            story.tell(begun + (0 if end is None else 2), event)
    assert (2 in belied(story.done(70).history())) is found


@pytest.mark.parametrize(("more", "found"), [(0.0, False), (2.0, True)])
def test_what_ends_before_a_container_must_have_stopped_belies_nothing(more: float, *, found: bool) -> None:
    """The run was over."""
    story = Story().node(0, "n1", "web@1").action(20, 22, "an.action", effect=REMOVES, was={"web": 1})
    assert bool(belied(story.done(22 + STOPPING + more).history())) is found


@pytest.mark.parametrize(
    ("story", "verdicts"),
    [
        (_told(lambda story: story.node(21, "n2"), FEWER), [Verdict.HELD, Verdict.HELD]),
        (_told(lambda _: None, FEWER), [Verdict.BROKEN, Verdict.UNKNOWN]),
        (_told(lambda story: story.node(24, "n2").node(60, "n2", "web@2"), FEWER), [Verdict.UNKNOWN, Verdict.UNKNOWN]),
        (_told(lambda story: story.off(18, "n1").node(50, "n1", "web@1"), FEWER), [Verdict.UNKNOWN, Verdict.UNKNOWN]),
    ],
    ids=["one went", "none went", "it came again", "a fault had one"],
)
def test_fewer_than_before_are_fewer_to_the_end(story: Story, verdicts: Sequence[Verdict]) -> None:
    """Nor were there fewer for what a machine that was off had taken."""
    history = story.history()
    assert [checker.check(history).verdict for checker in (Scaled("web", 1, 20), Settled())] == verdicts


@pytest.mark.parametrize(("since", "verdict"), [(10.0, Verdict.UNKNOWN), (23.0, Verdict.HELD)])
def test_as_many_as_ran_already_show_nothing_of_what_asks_for_them(since: float, verdict: Verdict) -> None:
    """A third ran before anybody asked for it, or since."""
    finding = Scaled("web", 3, 20.0).check(_told(lambda story: story.node(since, "n3", "web@3"), MORE).history())
    assert finding.verdict is verdict, finding.summary
