"""Assumptions, clean and checks: can the run be judged, did it leave anything, did the named properties hold."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeAlias

import pytest

from harness.checkers import Assumptions, Availability, Checks, Clean, Rescheduled
from harness.checkers.assumptions import RETURN
from harness.checkers.expected import Expected
from harness.core.traits import EVERYBODY, WITH_DOCKER, daemon
from harness.core.values import Effect, Json, Loss, Outcome, Phase, Stage, Traits, Verdict
from harness.history.bands import fault_bands, not_surely
from harness.history.events import FaultStage, History, NodeSeen, PhaseBegan, Watching, Wholeness
from harness.history.intervals import Interval, node_spans
from harness.testing.histories import Story, node_kill
from harness.undo.fingerprint import differences

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.core.values import Finding
    from harness.history.events import Entry

GONE = "no longer in force on n1 when it was to be mended"


def judged(history: History) -> Finding:
    """What the checker says."""
    return Assumptions().check(history)


def lacking(drop: Callable[[Entry], bool]) -> History:
    """The good run without some of its entries."""
    kept = (entry for entry in node_kill().history().entries if not drop(entry))
    return History.of_events(*((entry.time, entry.event) for entry in kept))


def says(finding: Finding, *texts: str) -> bool:
    """Whether a finding is unknown and gives these reasons."""
    reasons = " ".join([finding.summary, *map(str, finding.details.get("points") or [])])  # type: ignore[arg-type]  # a list of texts
    return finding.verdict is Verdict.UNKNOWN and all(re.search(text, reasons) for text in texts)


def test_a_good_run_can_be_judged() -> None:
    """A node that is off cannot be asked, and the fault explains that."""
    assert judged(node_kill().history()).verdict is Verdict.HELD


def test_a_run_without_a_fault_cannot_be_judged() -> None:
    """Nothing was put to the test."""
    assert says(judged(lacking(lambda entry: isinstance(entry.event, FaultStage))), "no fault was made")


@pytest.mark.parametrize(
    ("stage", "text"),
    [(Stage.IN_FORCE, "node.kill on n2 was never in force"), (Stage.HEALED, "node.kill on n2 was never seen to be healed")],
)
def test_a_fault_that_missed_a_stage_cannot_be_judged(stage: Stage, text: str) -> None:
    """It says which fault, on whom."""
    assert says(judged(lacking(lambda entry: isinstance(entry.event, FaultStage) and entry.event.stage is stage)), text)


def test_a_fault_that_failed_cannot_be_judged() -> None:
    """With the reason that it gave."""
    story = Story().fault("disk.slow", "n1", decided=5, failed=6, detail="the disk's daemon did not answer").done(10)
    assert says(judged(story.history()), r"disk\.slow on n1 failed: the disk's daemon did not answer")


def test_a_fault_that_does_nothing_is_never_in_force() -> None:
    """Whatever was recorded of it."""
    story = Story().fault("none", "n1", decided=5, in_force=6, healing=8, healed=9).done(10)
    assert says(judged(story.history()), "none on n1 was never in force")


def test_a_fault_that_did_not_last_cannot_be_judged() -> None:
    """It was in force, and when it was to be mended it no longer was; its band ends there all the same."""
    story = Story().node(0, "n1").fault("disk.slow", "n1", decided=5, in_force=6, failed=19.9, healing=20, healed=21, detail=GONE).done(30)
    assert says(judged(story.history()), rf"disk\.slow on n1 failed: {GONE}")
    (band,) = fault_bands(story.history())
    assert (band.in_force, band.failed, band.healing, band.healed, band.detail) == (6, 19.9, 20, 21, GONE)
    assert (band.held(30), band.life(30)) == (Interval(6, 19.9), Interval(5, 21))


@pytest.mark.parametrize(("off", "surely"), [(11.9, True), (12.1, False), (30.0, False)])
def test_a_machine_that_was_seen_off_all_along_was_surely_off(off: float, *, surely: bool) -> None:
    """Although it could no longer be asked before it was mended: node truth is up to 2 s later than a power switch."""
    story = Story().node(0, "n1").off(off, "n1").node(45, "n1")
    story.fault("node.kill", "n1", decided=9, in_force=10, failed=39, healing=40, healed=45, traits=Traits(Loss.NODE), lost="n1")
    history = story.done(60).history()
    (band,) = fault_bands(history)
    assert (not_surely(band, node_spans(history), history.end) == "") is surely


@pytest.mark.parametrize(
    ("kind", "back", "surely"),
    [
        (Traits(Loss.NODE), 45, True),
        (Traits(Loss.NODE), 20, False),
        (Traits(Loss.NODE, in_place=True), 45, False),
        (Traits(Loss.LINK), 45, False),
    ],
    ids=["both off all along", "one back before", "a machine that may come back", "a cut"],
)
def test_only_a_fault_that_takes_machines_away_is_vouched_for_by_all_of_them(kind: Traits, back: float, *, surely: bool) -> None:
    """That one was off says nothing of the other, nor of a fault that does not keep it off."""
    story = Story().node(0, "n1").node(0, "n2").off(10.1, "n1").off(10.1, "n2").node(45, "n1").node(back, "n2")
    story.fault("x", "n1 n2", decided=9, in_force=10, failed=39, healing=40, healed=45, traits=kind, lost="n1 n2")
    history = story.done(60).history()
    (band,) = fault_bands(history)
    assert (not_surely(band, node_spans(history), history.end) == "") is surely


def test_one_bad_fault_of_two_is_enough() -> None:
    """All must have bitten."""
    story = node_kill().fault("net.partition", "n3", decided=57, number=2)
    assert says(judged(story.history()), r"net\.partition on n3 was never in force")


def test_an_instance_without_a_home_before_the_fault_is_not_steady() -> None:
    """The workload called web@3, and no node ran it."""
    assert says(judged(node_kill().get(5, "web@3", Outcome.FAIL).history()), "web@3 ran nowhere when the first fault was decided")


def test_a_cluster_that_was_never_whole_is_not_steady() -> None:
    """Nothing is broken then, and what was missing is said."""
    story = Story().phase(0, Phase.STEADY).node(0, "n1").whole(5, "before", "web@1 does not answer", "no leader").done(20)
    finding = judged(story.history())
    assert says(finding, "never steady: web@1 does not answer; no leader; nothing was broken")
    assert "no fault was made" not in str(finding)
    assert says(judged(node_kill().whole(1.5, "before", "no leader").history()), "never steady: no leader")


def test_an_instance_that_ran_and_never_answered_before_the_fault_is_not_steady() -> None:
    """Others that answered are no excuse. Without a word of whether the run was whole, an older history is judged as it was."""
    mute = node_kill().node(0.6, "n3", "web@3").gets(2, 9, "web@3", Outcome.FAIL).gets(11, 68, "web@3", by="n3")
    mute.node(40.26, "n3", "web@2", "web@3")
    assert says(judged(mute.history()), r"web@3 ran, but never answered well before the first fault was decided \(10\.0 s\)")
    older = [(entry.time, entry.event) for entry in mute.history().entries if not isinstance(entry.event, Wholeness)]
    assert judged(History.of_events(*older)).verdict is Verdict.HELD
    assert judged(mute.get(9.5, "web@3", by="n3").history()).verdict is Verdict.HELD


def test_whoever_was_planned_and_never_spoke_is_missed() -> None:
    """Nodes, workloads, and observers of a node that speak of others."""
    good = node_kill().history()
    assert Assumptions(Expected(("n1", "n2", "n3"), (("http", "web"), ("register", "")))).check(good).verdict is Verdict.HELD
    finding = Assumptions(Expected(("n1", "n2", "n3", "n4"), (("http", "web"), ("http", "db"), ("other", "")))).check(good)
    assert says(
        finding,
        "n4 was planned and never seen by node truth",
        "the docker observer never spoke of n4",
        "the http workload of db was planned and never made a call",
        "the other workload was planned and never made a call",
    )
    assert "membership" not in str(finding)


LATE = {
    "deployed": lambda story: story.api(30, "n1", "n1 n2 n3", {"web@1": "n1", "db@1": "n3"}).node(31, "n3", "db@1"),
    "scaled": lambda story: story.node(30, "n3", "web@3").get(32, "web@3", by="n3"),
    "renamed": lambda story: story.node(30, "n1", "web@1", "shop@1"),
}


@pytest.mark.parametrize("case", LATE)
def test_an_instance_that_first_appears_in_the_middle_was_not_missing_before(case: str) -> None:
    """What nobody had named when the first fault was decided says nothing of how steady the cluster was."""
    assert judged(LATE[case](node_kill()).history()).verdict is Verdict.HELD


KNOWN = {
    "ran, and had stopped": lambda story: story.node(3, "n3", "db@1").node(5, "n3"),
    "the API showed it": lambda story: story.api(3, "n1", "n1 n2 n3", {"web@1": "n1", "web@2": "n2", "db@1": None}),
    "was called": lambda story: story.get(5, "db@1", Outcome.FAIL),
}


@pytest.mark.parametrize("case", KNOWN)
def test_an_instance_that_was_known_before_was_missing(case: str) -> None:
    """Whoever had named it."""
    assert says(judged(KNOWN[case](node_kill()).history()), "db@1 ran nowhere when the first fault was decided")


def test_instances_that_can_have_no_home_are_not_missing() -> None:
    """As many as the plan says, and no more."""
    one = node_kill().get(5, "web@3", Outcome.FAIL)
    expected = Expected(homeless=(("web", 1),))
    assert Assumptions(expected).check(one.history()).verdict is Verdict.HELD
    assert says(Assumptions().check(one.history()), "web@3 ran nowhere")
    assert says(Assumptions(expected).check(one.get(5, "web@4", Outcome.FAIL).history()), "web@3, web@4 ran nowhere")
    assert says(Assumptions(expected).check(node_kill().get(5, "db@1", Outcome.FAIL).history()), "db@1 ran nowhere")


def test_a_node_that_was_off_or_mute_before_the_fault_is_not_steady() -> None:
    """Both say which node."""
    off = node_kill().off(7, "n3")
    assert says(judged(off.history()), "n3 was off already")
    assert says(judged(node_kill().unreachable(7, "n3").history()), "n3 could not be asked when the first fault was decided")


def test_a_silent_observer_is_found() -> None:
    """Nine seconds without a word, on a node that nothing was done to."""
    for observer in ("docker", "host", "membership", "placement"):
        silent = lacking(
            lambda entry, name=observer: (  # type: ignore[misc]  # mypy cannot tell a default argument's type here
                isinstance(entry.event, Watching) and (entry.event.observer, entry.event.node) == (name, "n3") and 20 < entry.time < 29
            )
        )
        assert says(judged(silent), f"the {observer} observer of n3 was silent for 9.0 s from 20.0 s")


def test_an_orchestrator_that_answers_slowly_is_not_a_silent_observer() -> None:
    """Three requests that each take nearly their two seconds are one look; node truth has no such excuse."""
    for observer, verdict in (("placement", Verdict.HELD), ("host", Verdict.UNKNOWN)):
        slow = lacking(
            lambda entry, name=observer: (  # type: ignore[misc]  # mypy cannot tell a default argument's type here
                isinstance(entry.event, Watching) and (entry.event.observer, entry.event.node) == (name, "n3") and 20 < entry.time < 27
            )
        )
        assert judged(slow).verdict is verdict


def test_on_slow_machines_witnesses_may_take_their_time_and_node_truth_may_not() -> None:
    """Docker and the orchestrator answer late there; who runs what must be known all the same."""
    for observer, verdict in (("docker", Verdict.HELD), ("placement", Verdict.HELD), ("host", Verdict.UNKNOWN)):
        slow = lacking(
            lambda entry, name=observer: (  # type: ignore[misc]  # mypy cannot tell a default argument's type here
                isinstance(entry.event, Watching) and (entry.event.observer, entry.event.node) == (name, "n3") and 20 < entry.time < 29
            )
        )
        assert Assumptions(slack=60.0).check(slow).verdict is verdict
    dead = lacking(lambda entry: isinstance(entry.event, Watching) and entry.event.observer == "docker" and entry.time > 40)
    assert Assumptions(slack=60.0).check(dead).verdict is Verdict.UNKNOWN


def test_a_dead_observer_is_found() -> None:
    """It was silent to the end."""
    dead = lacking(lambda entry: isinstance(entry.event, Watching) and entry.event.observer == "docker" and entry.time > 40)
    assert says(judged(dead), "the docker observer of n1 was silent for 29.0 s from 40.0 s")


def test_a_late_observer_is_found() -> None:
    """The steady phase began without it."""
    late = lacking(lambda entry: isinstance(entry.event, Watching) and entry.event.node == "n3" and entry.time < 9)
    assert says(judged(late), "observer of n3 was silent for 8.0 s from 1.0 s")


def test_no_observer_at_all_is_found() -> None:
    """Silence is not a pass."""
    assert says(judged(lacking(lambda entry: isinstance(entry.event, Watching))), "no observer ever said that it watched")


def refused(observer: str, node: str, fault: str, target: str) -> Story:
    """A run in which one observer could not ask one node from 12 s to 30 s, while a fault was on a target."""
    story = Story().phase(0, Phase.STEADY).node(0, "n1").node(0, "n2").fault(fault, target, decided=10, in_force=11, healing=40, healed=41)
    if fault.startswith("node."):
        story.unreachable(11, target).node(40, target)
    for each in ("docker", "host", "membership", "placement"):
        for name in ("n1", "n2"):
            for second in range(60):
                alive = (each, name) != (observer, node) or not 12 <= second < 30
                story.watching(second, each, name, alive=alive, detail="" if alive else "timed out")
    return story.done(60)


def test_a_fault_explains_what_it_blinds_and_no_more() -> None:
    """Hung dockerd blinds Docker's events on its node; a partition blinds neither them nor node truth; a lost quorum silences every API."""
    explained = [
        ("docker", "n1", "daemon.hang"),
        ("placement", "n1", "net.partition"),
        ("placement", "n2", "net.partition"),
        ("membership", "n1", "process.kill"),
        ("docker", "n1", "node.pause"),
        ("host", "n1", "node.reboot"),
    ]
    for observer, node, fault in explained:
        assert judged(refused(observer, node, fault, "n1").history()).verdict is Verdict.HELD, (observer, node, fault)
    unexplained = [
        ("docker", "n2", "daemon.hang"),
        ("docker", "n1", "net.partition"),
        ("host", "n1", "net.partition"),
        ("host", "n1", "daemon.hang"),
        ("docker", "n1", "process.kill"),
        ("host", "n2", "node.kill"),
    ]
    for observer, node, fault in unexplained:
        finding = judged(refused(observer, node, fault, "n1").history())
        assert says(finding, f"the {observer} observer of {node} could not ask for 18.0 s from 12.0 s, and no fault explains it: timed out")


SILENT: dict[str, tuple[str, str, Traits, str, Verdict]] = {
    # observer, node, what kind of fault it is on n1, who is lost to it
    "a dead dockerd, Docker's silence": ("docker", "n1", daemon("docker", in_place=True), "n1", Verdict.HELD),
    "a dead containerd, Docker's silence": ("docker", "n1", daemon("containerd", in_place=False), "n1", Verdict.HELD),
    "a dead etcd, Docker's silence": ("docker", "n1", daemon("etcd", in_place=True), "n1", Verdict.UNKNOWN),
    "a dead dockerd, another node's silence": ("docker", "n2", daemon("docker", in_place=True), "n1", Verdict.UNKNOWN),
    "a dead dockerd, node truth's silence": ("host", "n1", daemon("docker", in_place=True), "n1", Verdict.UNKNOWN),
    "a slow disk, Docker's silence": ("docker", "n1", Traits(parts=("disk",), blinds=WITH_DOCKER), "", Verdict.HELD),
    "a cut that takes n2 off, its member's silence": ("membership", "n2", Traits(Loss.LINK), "n2", Verdict.HELD),
    "a cut that takes nobody off, Docker's silence": ("docker", "n2", Traits(Loss.LINK), "", Verdict.UNKNOWN),
    "a machine, everybody's silence": ("host", "n1", Traits(Loss.NODE, blinds=EVERYBODY), "n1", Verdict.HELD),
    "a fault that blinds nobody": ("placement", "n1", Traits(blinds=()), "", Verdict.UNKNOWN),
}


@pytest.mark.parametrize("case", SILENT)
def test_a_fault_explains_silence_by_what_kind_it_is(case: str) -> None:
    """Whatever it is called; and of a cut it is those who were cut off."""
    observer, node, kind, lost, verdict = SILENT[case]
    story = Story().phase(0, Phase.STEADY).node(0, "n1").node(0, "n2")
    story.fault("their.own", "n1", decided=10, in_force=11, healing=40, healed=41, traits=kind, lost=lost)
    if kind.loses is Loss.NODE:
        story.off(11, "n1").node(40, "n1")
    for each in ("docker", "host", "membership", "placement"):
        for name in ("n1", "n2"):
            for second in range(60):
                off = kind.loses is Loss.NODE and name == "n1" and each != "host" and 11 < second < 40
                if not off and ((each, name) != (observer, node) or not 12 <= second < 30):
                    story.watching(second, each, name)
    finding = judged(story.done(60).history())
    assert (finding.verdict, "was silent" in finding.summary) == (verdict, verdict is Verdict.UNKNOWN), finding.summary


def test_an_api_that_refuses_before_any_fault_is_not_explained() -> None:
    """From the first fault on its silence is the cluster's; before, it is ours to mend."""
    story = node_kill()
    for second in range(1, 10):
        story.watching(second + 0.5, "placement", "n1", alive=False, detail="503")
    alive = History.of_events(
        *(
            (entry.time, entry.event)
            for entry in story.history().entries
            if not (
                isinstance(entry.event, Watching)
                and (entry.event.observer, entry.event.node, entry.event.alive) == ("placement", "n1", True)
                and entry.time < 10
            )
        )
    )
    assert says(judged(alive), "the placement observer of n1 could not ask for 8.5 s")


def test_node_truth_must_not_be_lost_outside_a_power_change() -> None:
    """A moment without node truth on a healthy node may have hidden anything."""
    assert says(judged(node_kill().unreachable(20, "n3").node(21, "n3").history()), "what n3 ran was not known for 1.0 s from 20.0 s")
    coming_back = node_kill().unreachable(52.5, "n2")
    assert judged(coming_back.history()).verdict is Verdict.HELD


def test_node_truth_must_be_taken_all_along() -> None:
    """Samples that stop without a word are as bad."""
    gone = lacking(lambda entry: isinstance(entry.event, NodeSeen) and entry.event.node == "n1" and 20 < entry.time < 30)
    assert says(judged(gone), "what n1 ran was not known")


def test_few_calls_or_none_that_was_good_before_cannot_be_judged() -> None:
    """A workload that never worked tells nothing of the fault."""
    story = (
        Story()
        .phase(0, Phase.STEADY)
        .node(0, "n1")
        .fault("net.partition", "n1", decided=10, in_force=11, healing=40, healed=41)
        .watched(59, "n1")
    )
    nine = story.gets(2, 2.9, "web@1").done(60)
    assert says(judged(nine.history()), "the http workload made only 9 calls; 10 are needed")
    story = (
        Story()
        .phase(0, Phase.STEADY)
        .node(0, "n1")
        .fault("net.partition", "n1", decided=10, in_force=11, healing=40, healed=41)
        .watched(59, "n1")
    )
    bad = story.writes(2, 10, Outcome.FAIL).writes(12, 40).done(60)
    assert says(judged(bad.history()), "no call of the register workload was answered well before the first fault")


def test_a_run_that_was_cut_off_cannot_be_judged() -> None:
    """It never came to its end."""
    cut = lacking(lambda entry: isinstance(entry.event, PhaseBegan) and entry.event.phase is Phase.DONE)
    assert says(judged(cut), "before the end of the run")


# -- clean


def fingerprints(before: dict[str, Json], after: dict[str, Json], error: str = "") -> Finding:
    """What `Clean` says of one node."""
    return Clean().check(Story().fingerprint(1, "n1", "before", before).fingerprint(9, "n1", "after", after, error).done(10).history())


def test_equal_fingerprints_are_clean() -> None:
    """The order of things does not matter."""
    assert fingerprints({"mounts": ["a", "b"], "disk": 0}, {"mounts": ["b", "a"], "disk": 0}).verdict is Verdict.HELD


@pytest.mark.parametrize(
    ("before", "after", "text"),
    [
        ({"nft_tables": []}, {"nft_tables": ["inet wf-1"]}, "n1: nftables table inet wf-1 was left"),
        ({"stopped": ["a"]}, {"stopped": ["dockerd"]}, "n1: stopped process dockerd was left and stopped process a is gone"),
        ({"mounts": ["/data"]}, {"mounts": []}, "n1: mount /data is gone"),
        ({"disk": 0}, {"disk": 1.5}, "n1: added disk latency was 0, is 1.5"),
        ({"disk": []}, {"disk": ["fsync +0.5", "write +1"]}, "n1: added disk latency fsync +0.5 and added disk latency write +1 were left"),
        ({"containers": []}, {"containers": ["ce99c910715b"]}, "n1: running container of no app ce99c910715b was left"),
        ({"theirs": [{"a": 1}]}, {"theirs": [""]}, 'n1: theirs "" was left and theirs {"a": 1} is gone'),
        ({"mounts": ["a"]}, {"mounts": ["a", "a"]}, "n1: mount a was left"),
        ({"mounts": ["a"], "disk": 0}, {"mounts": ["a", "b"]}, "n1: mount b was left"),
    ],
)
def test_a_difference_is_broken_and_named(before: dict[str, Json], after: dict[str, Json], text: str) -> None:
    """What was left, or taken away, and where."""
    finding = fingerprints(before, after)
    assert (finding.verdict, finding.summary) == (Verdict.BROKEN, text)
    assert len(finding.evidence) == 2


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ({"disk": 0}, {"disk": 0, "stopped": ["dockerd"]}, "stopped only after"),
        ({"disk": 0}, {"disk": 0, "stopped": []}, "stopped only after"),
        ({"disk": 0, "mounts": []}, {"disk": 0}, "mounts only before"),
        ({"disk": 0, "mounts": ["a"]}, {"disk": 0, "nft_tables": []}, "mounts only before, nft_tables only after"),
    ],
)
def test_what_was_looked_at_once_only_is_neither_left_nor_clean(before: dict[str, Json], after: dict[str, Json], told: str) -> None:
    """What was not asked is not "nothing there"."""
    finding = fingerprints(before, after)
    assert finding.verdict is Verdict.UNKNOWN
    assert finding.summary == f"n1: looked at {told} the faults, so nobody knows what became of it"


@pytest.mark.parametrize("before", [[], ["a"], ["a", "a"], ["a", "b"], ["b", "a"]])
@pytest.mark.parametrize("after", [[], ["a"], ["a", "a"], ["a", "b"], ["b", "a"]])
def test_what_convicts_a_run_is_what_the_contract_of_a_fault_tests(before: list[Json], after: list[Json]) -> None:
    """A fault that passes its contract leaves nothing that its runs are convicted of, and the other way round."""
    broken = fingerprints({"mounts": before}, {"mounts": after}).verdict is Verdict.BROKEN
    assert broken is bool(differences({"mounts": before}, {"mounts": after}))


Changed: TypeAlias = "dict[str, tuple[list[Json], list[Json]]]"
MOUNTED: Changed = {"mounts": (["/"], ["/", "/data/backup"])}
NO_SOCKET: Changed = {"triggers": (["docker.socket"], [])}
TABLE: Changed = {"nft_tables": ([], ["whalefall_1"]), **MOUNTED}
HUNG: Changed = {"stopped": ([], ["dockerd"]), **MOUNTED}
SLOW: Changed = {"disk": ([], ["fsync 0.5 s"])}
COMMAND, STOPS = Effect(), Effect(stops=("docker",))


@pytest.mark.parametrize(
    ("changed", "effect", "targets", "outcome", "verdict"),
    [
        (MOUNTED, COMMAND, "n1", Outcome.OK, Verdict.UNKNOWN),
        (MOUNTED, Effect(disturbs=True), "n1", Outcome.OK, Verdict.UNKNOWN),
        (MOUNTED, Effect(disturbs=True), "", Outcome.OK, Verdict.UNKNOWN),
        (MOUNTED, COMMAND, "n1", Outcome.UNKNOWN, Verdict.UNKNOWN),
        (MOUNTED, COMMAND, "n1", Outcome.FAIL, Verdict.BROKEN),
        (MOUNTED, COMMAND, "n2", Outcome.OK, Verdict.BROKEN),
        (MOUNTED, Effect({"web": 3}), "", Outcome.OK, Verdict.BROKEN),
        (MOUNTED, Effect(moves=True), "n1", Outcome.OK, Verdict.BROKEN),
        (MOUNTED, Effect(renews=("web",)), "", Outcome.OK, Verdict.BROKEN),
        (NO_SOCKET, STOPS, "n1", Outcome.OK, Verdict.UNKNOWN),
        (NO_SOCKET, STOPS, "n2", Outcome.OK, Verdict.BROKEN),
        (TABLE, COMMAND, "n1", Outcome.OK, Verdict.BROKEN),
        (HUNG, COMMAND, "n1", Outcome.OK, Verdict.BROKEN),
        (SLOW, COMMAND, "n1", Outcome.OK, Verdict.BROKEN),
    ],
)
def test_what_an_action_may_have_left_convicts_no_fault(
    changed: Changed, effect: Effect, targets: str, outcome: Outcome, verdict: Verdict
) -> None:
    """Nobody undoes an action; but what bears our name, a slow disk, and a process that a fault stopped, is a fault's."""
    story = Story().node(0, "n1").node(0, "n2").action(10, 11, "some.action", targets, effect=effect, outcome=outcome)
    hang = Traits(Loss.PROCESS, ("docker",), leaves=("stopped",), stops=("dockerd",))
    story.fault("daemon.hang", "n1", decided=20, in_force=20.1, healing=30, healed=31, traits=hang, lost="n1")
    for number, when in enumerate(("before", "after")):
        story.fingerprint(1 + 40 * number, "n1", when, {aspect: both[number] for aspect, both in changed.items()})
        story.fingerprint(1 + 40 * number, "n2", when, {"mounts": ["/"]})
    finding = Clean().check(story.done(60).history())
    assert (finding.verdict, "which may have done that" in finding.summary) == (verdict, verdict is Verdict.UNKNOWN), finding.summary


def test_a_node_without_both_fingerprints_is_unknown() -> None:
    """Could not ask is never clean."""
    assert fingerprints({}, {}, error="n1: no answer").verdict is Verdict.UNKNOWN
    assert Clean().check(Story().fingerprint(1, "n1", "before", {}).done(10).history()).verdict is Verdict.UNKNOWN
    assert Clean().check(Story().fingerprint(9, "n1", "after", {}).done(10).history()).verdict is Verdict.UNKNOWN
    assert Clean().check(Story().done(10).history()).verdict is Verdict.UNKNOWN


# -- checks


def test_checks_that_are_all_ok_are_held() -> None:
    """Two nodes, one property."""
    story = Story().checked(1, "n1", "service docker is_running", Outcome.OK).checked(1, "n2", "service docker is_running", Outcome.OK)
    assert Checks().check(story.done(10).history()).summary == "2 checks held"


def test_a_check_that_failed_is_broken() -> None:
    """It says where, what, when, and what was seen."""
    story = Story().checked(1, "n1", "service docker is_running", Outcome.FAIL, when="before", saw="False").done(10)
    finding = Checks().check(story.history())
    assert (finding.verdict, finding.summary) == (Verdict.BROKEN, "n1: service docker is_running (before): saw False, at 1.0 s")


@pytest.mark.parametrize(
    ("story", "words"),
    [
        pytest.param(node_kill(), "observed throughout (70.0 s)", id="all along"),
        pytest.param(
            node_kill().stalled(69.2, 69.9), "observed for 69.3 s of 70.0 s, we stood still for the rest", id="stopped at the end"
        ),
    ],
)
def test_for_how_long_was_watched_is_without_our_own_stalls(story: Story, words: str) -> None:
    """The time in which the harness stood still nobody watched."""
    finding = Assumptions().check(story.history())
    assert finding.verdict is Verdict.HELD
    assert words in finding.summary


def test_a_machine_that_is_off_for_longer_than_its_fault_explains_is_told_with_all_of_its_time() -> None:
    """When it went off, and since when nobody knows why it still is: one figure for both would be of neither."""
    story = Story().node(0, "n1").node(0, "n2").off(10, "n2")
    story.fault("node.kill", "n2", decided=10, in_force=10.1, healing=20, healed=21, traits=Traits(Loss.NODE), lost="n2")
    finding = Assumptions().check(story.done(100).history())
    points = str(finding.details["points"])
    assert f"n2 was off for 90.0 s from 10.0 s, and no fault explains {79 - RETURN:.1f} s of it, from {21 + RETURN:.1f} s on" in points


@pytest.mark.parametrize(
    ("last", "words"), [(30.4, "n1, n2 and n3 were off for 70.0 s from 30.0 s"), (34.0, "n3 was off for 66.0 s from 34.0 s")]
)
def test_machines_that_go_off_together_are_told_together_with_one_figure(last: float, words: str) -> None:
    """Somebody else switched all of them off: whoever says so says the same, to the end of the history, and a promise that was missed as well."""
    story = Story().phase(1, Phase.STEADY).node(0, "n1", "web@1").node(0, "n2").node(0, "n3")
    story.fault("disk.slow", "n1", decided=10, in_force=10.1, healing=60, healed=61, traits=Traits(parts=("disk",)))
    story.off(30, "n1").off(30.2, "n2").off(last, "n3").gets(2, 30, "web@1", by="n1").gets(30, 79, "web@1", Outcome.FAIL)
    history = story.done(100).history()
    assert words in str(Assumptions().check(history).details["points"])
    missed = Availability("web", share=0.9, gap=5.0).check(history)
    first = words if last < 31 else "n1 and n2 were off for 70.0 s from 30.0 s"
    assert missed.verdict is Verdict.UNKNOWN
    assert f"{first}, and no fault explains it: what is missing may be due to that" in missed.summary


def test_a_machine_that_is_off_before_it_is_up_for_the_first_time_excuses_nothing() -> None:
    """It was being made."""
    story = Story().off(0.1, "n1").node(0.5, "n1").node(0, "n2", "web@1").off(10, "n2")
    story.fault("node.kill", "n2", decided=10, in_force=10.1, healing=60, healed=62, traits=Traits(Loss.NODE), lost="n2")
    finding = Rescheduled("web", within=16).check(story.node(62, "n2", "web@1").done(99).history())
    assert finding.verdict is Verdict.BROKEN, finding.summary


def test_a_node_that_could_not_be_asked_is_unknown() -> None:
    """Never a no; and an off node ought not to have been asked."""
    story = Story().node(0, "n1").checked(1, "n1", "file /x exists", Outcome.UNKNOWN, saw="timed out").done(10)
    assert says(Checks().check(story.history()), "could not be asked: timed out")
    off = Story().off(0, "n1").checked(1, "n1", "file /x exists", Outcome.UNKNOWN, saw="timed out").done(10)
    assert says(Checks().check(off.history()), "the node was off")


def test_no_check_at_all_is_unknown() -> None:
    """Silence is not a pass."""
    assert Checks().check(Story().done(10).history()).verdict is Verdict.UNKNOWN


ASKED_ANEW: dict[str, tuple[float, float, bool, Verdict]] = {
    # n1 could not be asked from when, until when, whether we stood still from 20 s to 23.5 s, and what that is
    "just after a stall of ours": (23.6, 24.0, True, Verdict.HELD),
    "without a stall": (23.6, 24.0, False, Verdict.UNKNOWN),
    "some seconds after a stall": (28.0, 28.4, True, Verdict.UNKNOWN),
    "for long after a stall": (23.6, 33.0, True, Verdict.UNKNOWN),
}


@pytest.mark.parametrize("case", ASKED_ANEW)
def test_whom_we_did_not_listen_to_is_asked_anew(case: str) -> None:
    """An agent that nobody heard for some seconds ends, and another one is started: for that moment our own stall is the reason."""
    start, end, still, verdict = ASKED_ANEW[case]
    story = node_kill().endures(recovery=16.5).unreachable(start, "n1").node(end, "n1", "web@1")
    if still:
        story.stalled(20.0, 23.5)
    finding = Assumptions().check(story.history())
    assert finding.verdict is verdict, finding.summary
    assert ("what n1 ran was not known" in f"{finding.summary} {finding.details}") is (verdict is Verdict.UNKNOWN), finding.summary


@pytest.mark.parametrize(("since", "steady"), [(5.0, False), (9.5, True)])
def test_what_ran_twice_when_the_first_fault_was_decided_was_not_steady_before(since: float, *, steady: bool) -> None:
    """Not where it had only just begun to: what moves is seen on both of its nodes for a moment."""
    finding = Assumptions().check(node_kill().node(since, "n3", "web@1").node(11.0, "n3").history())
    assert ("web@1 ran on n1 and n3 when the first fault was decided (10.0 s): not steady before" in finding.summary) is not steady
