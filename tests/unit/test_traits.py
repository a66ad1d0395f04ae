"""What kind of fault a fault is: declared, told in a history, read back, and worked out where the history is older."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import pytest

from harness.checkers.roles import Roles
from harness.core import parameters, traits
from harness.core.protocols import Cluster, Fault
from harness.core.values import Budget, Loss, NodeSpec, Term, Traits, Who
from harness.faults import FAULTS, common
from harness.faults.hang import Hang
from harness.faults.partition import Partition
from harness.faults.process import Kill
from harness.history import older
from harness.history.bands import fault_bands
from harness.history.events import History, MemberSeen
from harness.testing.bare import BareMode
from harness.testing.fake_clock import FakeClock
from harness.testing.histories import Story
from harness.testing.memory_provider import MemoryProvider
from tests.usual import USUAL

DOCKER, ETCD = traits.daemon("docker", in_place=False), traits.daemon("etcd", in_place=True)


def cluster(count: int, *off: str) -> Cluster:
    """Return a cluster in memory, some of its machines off."""
    provider = MemoryProvider()
    nodes = provider.create("r1", [NodeSpec(f"n{n}", f"10.77.0.{10 + n}") for n in range(1, count + 1)])
    for node in nodes:
        if node.name in off:
            provider.off(node)
    return Cluster("r1", nodes, provider, BareMode(), FakeClock(moves_itself=True))


def made(name: str) -> Fault:
    """Return a fault as it comes."""
    fault: Fault = parameters.build(FAULTS[name], USUAL.get(name, {}))
    return fault


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_of_ours_declares_its_traits(name: str) -> None:
    """They come back from a history as they were."""
    kind = made(name).traits
    assert traits.from_history(traits.to_history(kind, ["n1", "n2"])) == (kind, ("n1", "n2"))


@pytest.mark.parametrize(
    ("kind", "called"),
    [
        (Traits(Loss.PROCESS, ("etcd", "docker")), "x etcd and docker"),
        (Traits(Loss.LINK), "x halves"),
        (Traits(Loss.NODE), "x"),
        (Traits(Loss.NOTHING, ("disk",)), "x"),
    ],
)
def test_a_fault_is_called_by_the_daemons_that_it_takes_or_the_shape_of_its_cut(kind: Traits, called: str) -> None:
    """What else it is about its name says already."""
    story = Story().fault("x", "n1", decided=1, in_force=2, traits=kind, parameters={"shape": "halves"})
    (band,) = fault_bands(story.done(5).history())
    assert band.called == called


OLD = ("node.kill", "net.partition", "daemon.hang", "process.kill", "disk.slow", "none")
"""The faults that there were before histories said what kind they are."""


@pytest.mark.parametrize("name", OLD)
def test_a_history_from_before_traits_is_read_as_one_that_has_them(name: str) -> None:
    """In so far as it is judged by them. What a fault takes and leaves no verdict goes by."""
    fault = made(name)
    kind = replace(fault.traits, takes=(), leaves=(), stops=())
    assert older.kind(name, parameters.read(fault), {}) == (kind, None)


@pytest.mark.parametrize("name", OLD)
def test_a_history_that_says_half_of_the_traits_is_read_as_one_that_says_all(name: str) -> None:
    """Whether those that are lost are apart, and whether it does anything, was said later than the rest."""
    fault = made(name)
    body = {each: value for each, value in traits.to_history(fault.traits, ["n1"]).items() if each not in {"apart", "idle"}}
    assert older.kind(name, parameters.read(fault), body) == (fault.traits, ("n1",))


@pytest.mark.parametrize(
    ("shape", "apart"),
    [("isolate", True), ("halves", True), ("majority_minority", True), ("one_way", False), ("bridge", False), ("ring", False)],
)
def test_whether_those_that_are_lost_are_apart_hangs_on_the_shape(shape: str, apart: bool) -> None:
    """Declared, and worked out where a history is older."""
    fault = Partition(shape)  # type: ignore[arg-type]  # any of the shapes
    assert fault.traits.apart is apart
    assert older.kind("net.partition", parameters.read(fault), {})[0].apart is apart


@pytest.mark.parametrize("body", [{}, {"loses": "sleep"}, {"parts": ["docker"]}])
def test_a_history_that_does_not_say_is_not_made_to(body: dict[str, None]) -> None:
    """Nothing is made up of half of it."""
    assert traits.from_history(body) is None


@pytest.mark.parametrize(
    ("fault", "loses", "parts", "in_place", "docker"),
    [
        (Kill("dockerd"), Loss.PROCESS, ("docker",), True, True),
        (Kill("docker", restart=False), Loss.PROCESS, ("docker",), False, True),
        (Kill("etcd"), Loss.PROCESS, ("etcd",), True, False),
        (Kill("fleetd", restart=False), Loss.PROCESS, ("fleetd",), False, False),
        (Hang("both"), Loss.PROCESS, ("docker", "containerd"), False, True),
        (Hang("containerd"), Loss.PROCESS, ("containerd",), False, True),
    ],
)
def test_a_daemon_is_lost_by_one_name_and_may_come_back_where_it_is_let(
    fault: Fault, loses: Loss, parts: tuple[str, ...], in_place: bool, docker: bool
) -> None:
    """What its silence explains goes by what was lost, whichever fault took it."""
    kind = fault.traits
    assert (kind.loses, kind.parts, kind.in_place, "docker" in kind.blinds) == (loses, parts, in_place, docker)
    assert "host" not in kind.blinds


@pytest.mark.parametrize(
    ("shape", "count", "targets", "off", "lost"),
    [
        ("halves", 5, "n1 n2 n3", "", "n4 n5"),
        ("bridge", 3, "n2", "", ""),
        ("one_way", 3, "n1", "", "n1"),
        ("ring", 5, "n1", "", ""),
        ("isolate", 3, "n1 n3", "", "n1 n2 n3"),
        ("isolate", 5, "n1", "n2 n3", "n1 n4 n5"),  # two of five are off already: the two that are left are no majority
        ("ring", 3, "n1", "", ""),  # cuts nothing
        ("majority_minority", 4, "n1 n2", "", ""),  # is refused
    ],
)
def test_who_is_lost_to_a_cut_is_worked_out_from_what_is_cut(shape: str, count: int, targets: str, off: str, lost: str) -> None:
    """Not from who was aimed at."""
    made = cluster(count, *off.split())
    found = common.lost(Partition(shape), made, [made.node(name) for name in targets.split()])  # type: ignore[arg-type]  # any of the shapes
    assert found == tuple(lost.split())


def test_who_is_lost_to_all_other_faults_is_who_was_hit() -> None:
    """A machine, or a daemon; to a slow disk nobody is."""
    made = cluster(3)
    hit = [made.node("n3"), made.node("n1")]
    for name, lost in (("node.kill", ("n1", "n3")), ("daemon.hang", ("n1", "n3")), ("none", ())):
        assert common.lost(parameters.build(FAULTS[name], {}), made, hit) == lost
    assert common.lost(parameters.build(FAULTS["disk.slow"], USUAL["disk.slow"]), made, hit) == ()


def test_a_budget_goes_by_the_daemon_that_is_lost() -> None:
    """Two faults of one name may lose two things."""
    assert [traits.budget_key("process.kill", kind) for kind in (DOCKER, ETCD)] == ["process.kill docker", "process.kill etcd"]
    assert traits.budget_key("daemon.hang", Hang("both").traits) == "daemon.hang docker and containerd"
    assert traits.budget_key("node.kill", Traits(Loss.NODE)) == "node.kill"
    assert traits.budget_key("process.kill", DOCKER, Who.OTHER) == "process.kill docker of no member"


def test_a_budget_is_that_of_who_is_lost_or_of_whoever_may_be() -> None:
    """In older plans that of the fault's name."""
    budgets = {key: Budget((Term(key, 1.0, "a test"),)) for key in ("x a", "x a of a follower", "y")}
    process = Traits(Loss.PROCESS, ("a",))
    assert traits.budget_among(budgets, "x", process, Who.FOLLOWER) is budgets["x a of a follower"]
    assert traits.budget_among(budgets, "x", process, Who.LEADER) is budgets["x a"]
    assert traits.budget_among(budgets, "x", process) is budgets["x a"]
    assert traits.budget_among(budgets, "y", process, Who.OTHER) is budgets["y"]
    assert traits.budget_among(budgets, "z", process) is None


@pytest.mark.parametrize(
    ("shape", "targets", "lost", "where"),
    [
        ("halves", "n1", ("n1",), "n1"),
        ("halves", "n1 n2", ("n3",), "n1, n2 (n3 cut off)"),
        ("bridge", "n1", (), "n1 (nobody cut off)"),
        ("isolate", "n1 n2", ("n1", "n2", "n3"), "n1, n2 (n1, n2, n3 cut off)"),
        ("majority_minority", "n1 n2 n3", (), "n1, n2, n3 (nobody cut off)"),  # could not be made
        ("", "n1", ("n1",), "n1"),  # older still: no shape
    ],
)
def test_a_cut_of_an_older_history_is_worked_out_from_its_shape(shape: str, targets: str, lost: tuple[str, ...], where: str) -> None:
    """From the nodes that were seen, and the members that were asked."""
    story = Story().node(0, "n1").node(0, "n2").node(0, "n3").members(0, "n1 n2 n3", 2, "n1")
    story.fault("net.partition", targets, decided=5, in_force=6, healing=9, healed=9, parameters={"shape": shape} if shape else None)
    (band,) = fault_bands(story.done(20).history())
    assert (band.lost, band.where) == (lost, where)


def test_what_a_history_says_of_who_was_lost_counts_more_than_its_shape() -> None:
    """The run knew which machines were off."""
    story = Story().node(0, "n1").node(0, "n2").node(0, "n3")
    story.fault("net.partition", "n1", decided=5, in_force=6, traits=Traits(Loss.LINK), lost="n1 n2", parameters={"shape": "halves"})
    (band,) = fault_bands(story.done(20).history())
    assert band.lost == ("n1", "n2")
    assert band.away == band.hit == {"n1", "n2"}


@pytest.mark.parametrize(
    ("kind", "away", "hit"),
    [
        (Traits(Loss.NODE), "n1", "n1"),
        (DOCKER, "n1", "n1"),
        (traits.daemon("docker", in_place=True), "", "n1"),  # a new start on the very node is as good
        (Traits(), "", "n1"),
        (Traits(Loss.LINK), "n1", "n1"),
    ],
)
def test_nobody_is_away_where_all_may_be_back_in_place(kind: Traits, away: str, hit: str) -> None:
    """A node from which nothing is lost, or may be back, can be home to new work, and its word counts."""
    story = Story().node(0, "n1").fault("x", "n1", decided=5, in_force=6, traits=kind, lost="n1" if kind.loses is not Loss.NOTHING else "")
    (band,) = fault_bands(story.done(20).history())
    assert (sorted(band.away), sorted(band.hit)) == (away.split(), hit.split())


def led(*lost: str, changes: str = "", at: float = 30.0) -> tuple[Who, float]:
    """Return who was lost of five nodes, three of them members that n1 leads, to a fault at 20 s, and since when it was known who led.

    Where `changes`, that one leads from `at` on.
    """
    story = Story()
    for node in ("n1", "n2", "n3", "n4", "n5"):
        story.node(0, node)
    story.members(1, "n1 n2 n3", 2, "n1")
    if changes:
        story.members(at, "n1 n2 n3", 3, changes)
    story.fault("x", " ".join(lost), decided=20, in_force=20, healing=60, healed=61, traits=Traits(Loss.NODE), lost=" ".join(lost))
    history = story.done(80).history()
    return roles_of(history)


def roles_of(history: History) -> tuple[Who, float]:
    """Return who surely was lost to the one fault of a history, and since when it was known who led."""
    (band,) = fault_bands(history)
    roles = Roles.of(history)
    return roles.surely(band), roles.known_since(band)


@pytest.mark.parametrize(
    ("lost", "who"),
    [("n1", Who.LEADER), ("n2", Who.FOLLOWER), ("n4", Who.OTHER), ("n4 n5", Who.OTHER), ("n4 n3", Who.FOLLOWER), ("n4 n1", Who.LEADER)],
)
def test_who_was_lost_goes_by_who_led(lost: str, who: Who) -> None:
    """The most of several counts. Where it was not the one that led, that is known from the first word on."""
    assert led(*lost.split()) == (who, inf if who is Who.LEADER else -inf)


@pytest.mark.parametrize(("at", "since"), [(2.0, 2.0), (19.0, 19.0), (40.0, inf), (70.0, -inf)])
def test_it_is_known_who_led_from_the_last_change_on(at: float, since: float) -> None:
    """Of an election before the loss recovery may still have had to wait for what was left; while the fault was there, for all of one."""
    assert led("n2", changes="n3", at=at) == (Who.FOLLOWER, since)


def test_where_nobody_said_who_leads_the_leader_may_be_lost() -> None:
    """No member, no word of one, or a word that came only after the loss."""
    story = Story().node(0, "n1").node(0, "n2").fault("x", "n1", decided=20, in_force=20, traits=Traits(Loss.NODE), lost="n1")
    history = story.done(80).history()
    assert roles_of(history) == (Who.OTHER, inf)
    later = story.members(50, "n1 n2", 2, "n2").done(90).history()
    assert roles_of(later) == (Who.FOLLOWER, inf)


@pytest.mark.parametrize(
    ("deaf", "start", "end", "since"),
    [
        ("", 0, 0, -inf),
        ("n3", 15, 60, inf),  # n2 is lost, so that n1's word alone is left
        ("n1 n3", 30, 45, inf),
        ("n1 n3", 10, 18, 19.0),  # leadership may have changed
        ("n1 n3", 63, 75, -inf),  # afterwards
    ],
)
@pytest.mark.parametrize("told", [True, False])
def test_where_nobody_listened_to_a_majority_the_leader_may_be_lost(
    deaf: str, start: float, end: float, since: float, *, told: bool
) -> None:
    """That no change was heard of says nothing where nobody could hear of one; who could not ask may say so, or be silent itself."""
    story = Story()
    for node in ("n1", "n2", "n3"):
        story.node(0, node)
    story.members(1, "n1 n2 n3", 2, "n1")
    for second in range(80):
        for node in ("n1", "n2", "n3"):
            away = node in deaf.split() and start <= second <= end
            if (node != "n2" or second < 20) and (told or not away):
                story.watching(second, "membership", node, alive=not away)
    story.fault("x", "n2", decided=20, in_force=20, healing=60, healed=61, traits=Traits(Loss.NODE), lost="n2")
    history = story.done(80).history()
    assert roles_of(history) == (Who.FOLLOWER, since)


@pytest.mark.parametrize(("lost", "who"), [("n1", Who.LEADER), ("n2", Who.FOLLOWER), ("n4", Who.OTHER)])
def test_who_was_surely_lost_is_who_it_was_by_the_last_word_before(lost: str, who: Who) -> None:
    """That nobody listened, or that leadership moved meanwhile, makes nobody the leader for sure; nor that nobody ever said who leads."""
    story = Story()
    for node in ("n1", "n2", "n3", "n4"):
        story.node(0, node)
    story.members(1, "n1 n2 n3", 2, "n1").no_member(15, "n3").members(25, "n1 n2 n3", 3, "n3")
    story.fault("x", lost, decided=20, in_force=20, healing=60, healed=61, traits=Traits(Loss.NODE), lost=lost)
    history = story.done(80).history()
    roles, (band,) = Roles.of(history), fault_bands(history)
    assert (roles.surely(band), roles.known_since(band)) == (who, inf)
    unsaid = History.of_events(*((entry.time, entry.event) for entry in history.entries if not isinstance(entry.event, MemberSeen)))
    assert Roles.of(unsaid, ["n1", "n2", "n3"]).surely(band) is (Who.OTHER if lost == "n4" else Who.FOLLOWER)


def test_a_member_that_never_answered_is_a_member_all_the_same() -> None:
    """Its membership was watched."""
    story = Story()
    for node in ("n1", "n2", "n3"):
        story.node(0, node)
    story.members(1, "n1 n3", 2, "n1")
    for second in range(80):
        for node in ("n1", "n2", "n3"):
            story.watching(second, "membership", node, alive=node != "n2")
    story.fault("x", "n2", decided=20, in_force=20, healing=60, healed=61, traits=Traits(Loss.NODE), lost="n2")
    history = story.done(80).history()
    assert roles_of(history) == (Who.FOLLOWER, -inf)
