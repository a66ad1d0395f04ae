"""From a folder to a verdict, whatever a checker or a damaged file does."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from harness.checkers import Assumptions, Availability, Clean, Conflicts, QuorumSurvived, Rescheduled
from harness.checkers.expected import Expected
from harness.core.errors import BadInput, NoSuchRun
from harness.core.traits import to_history
from harness.core.values import App, Budget, Finding, Loss, NodeSpec, NodeState, Outcome, Placement, Stage, Term, Traits, Verdict, View
from harness.faults.power import NodeKill
from harness.history.events import Answered, ApiSeen, Event, FaultStage, History, MemberSeen, NodeSeen, Note, Stalled
from harness.history.interfaces import Checker
from harness.plan import Plan
from harness.runs import judge
from harness.runs.judge import findings, judge_folder, load
from harness.steps import Break, Hold, Wait
from harness.testing.histories import Story, chained, node_kill
from harness.workloads.http import Http

BUDGET = Budget((Term("agent_ttl", 30.0, "a test"), Term("start", 15.0, "a test")))
WEB = ("web@1", "web@2")
EXPECTED = Expected(
    ("n1", "n2", "n3"),
    (("http", "web"),),
    faults=("node.kill",),
    instances=WEB,
    called=WEB,
    member="etcd",
    deadlines=(("http", "web", 1.0),),
    rooms=(("web", 3),),
)
PLAN = Plan(
    scenario="sample",
    why="It is judged.",
    file="sample.yaml",
    mode="fleet",
    provider="nspawn",
    seed=7,
    profile="default",
    timers={"agent_ttl": 30.0},
    nodes=tuple(NodeSpec(f"n{number}", f"10.77.0.{10 + number}") for number in (1, 2, 3)),
    apps=(App("web", 2),),
    workloads=(Http("web"),),
    steps=(Wait(5.0), Break(NodeKill(), "hosting(web) & any", Hold(60.0, "recovered"))),
    settle=90.0,
    checks=(),
    promises=(
        Assumptions(EXPECTED),
        Rescheduled("web", budgets={"node.kill": BUDGET}, apps=(App("web", 2),), expected=EXPECTED),
        Conflicts(apps=(App("web", 2),), expected=EXPECTED),
        QuorumSurvived(expected=EXPECTED),
        Clean(EXPECTED),
    ),
    control=None,
    budgets={"node.kill": BUDGET},
)


@dataclass(frozen=True)
class Says:
    """A checker that says one thing, and notes what it was shown."""

    name: ClassVar[str] = "says"
    verdict: Verdict = Verdict.HELD
    shown: list[History] = field(default_factory=list)

    def check(self, history: History) -> Finding:
        """Say it."""
        self.shown.append(history)
        return Finding(self.name, self.verdict, "as it was told")


@dataclass(frozen=True)
class Crashes:
    """A checker that raises."""

    name: ClassVar[str] = "crashes"

    def check(self, history: History) -> Finding:
        """Raise."""
        raise ZeroDivisionError("no answers to divide by")


@dataclass(frozen=True)
class Hangs:
    """A checker that comes to no end before it is let go."""

    name: ClassVar[str] = "hangs"
    go: threading.Event = field(default_factory=threading.Event)

    def check(self, history: History) -> Finding:
        """Wait, and then say held: too late."""
        self.go.wait(60.0)
        return Finding(self.name, Verdict.HELD, "too late")


def verdicts(*checkers: Checker) -> list[tuple[str, Verdict]]:
    """Return who said what."""
    return [(each.checker, each.verdict) for each in findings(replace(PLAN, promises=checkers), History([]))]


def saved(folder: Path, story: Story | None = None, plan: Plan = PLAN) -> Path:
    """Write a run as it lies on disk before it is judged."""
    run = folder / "sample-1"
    run.mkdir()
    (run / "plan.json").write_text(json.dumps(plan.to_json()), encoding="utf-8")
    (story or node_kill()).save(run / "history.jsonl")
    return run


# -- checkers that misbehave


def test_every_checker_is_asked_in_the_order_of_the_plan() -> None:
    """With the same history, also twice the same one."""
    one, other, history = Says(), Says(Verdict.BROKEN), History([])
    found = findings(replace(PLAN, promises=(one, other, one)), history)
    assert [each.verdict for each in found] == [Verdict.HELD, Verdict.BROKEN, Verdict.HELD]
    assert one.shown == [history, history]
    assert other.shown == [history]


@pytest.mark.parametrize("node", ["n9", "n3"])
def test_what_only_the_word_of_a_stranger_convicts_is_unknown(node: str) -> None:
    """A node that is in no plan is of another run, or a forgery; of ours two instances on one node break the rule, and both at once do, too."""
    story = node_kill().node(62.0, node, "web@1", "web@2").node(63.5, node)
    found = {each.checker: each for each in findings(PLAN, story.history())}
    conflicts = found["conflicts"]
    assert conflicts.verdict is (Verdict.UNKNOWN if node == "n9" else Verdict.BROKEN)
    assert ("but the history tells of n9, which is no node of the plan" in conflicts.summary) is (node == "n9")
    both = findings(PLAN, story.node(64.0, "n3", "web@1", "web@2").node(65.5, "n3").history())
    assert {each.checker: each.verdict for each in both}["conflicts"] is Verdict.BROKEN


@dataclass(frozen=True)
class Convicts:
    """A checker that convicts by one word."""

    name: ClassVar[str] = "convicts"
    word: Event

    def check(self, history: History) -> Finding:
        """Look for it."""
        verdict = Verdict.BROKEN if any(entry.event == self.word for entry in history.entries) else Verdict.HELD
        return Finding(self.name, verdict, "it was said")


NAMED: dict[str, Callable[[str], Event]] = {
    "it says so": lambda node: NodeSeen(node, NodeState.UP),
    "it leads": lambda node: MemberSeen("n1", 2, node),
    "it is listed": lambda node: ApiSeen("n1", View(("n1", node), ())),
    "it is a home": lambda node: ApiSeen("n1", View(("n1",), (Placement("web@1", node, "active", running=True),))),
    "it answered": lambda node: Answered(1, "register", Outcome.OK, by=node),
    "it is hit": lambda node: FaultStage(2, "net.partition", (node,), Stage.DECIDED),
    "it is lost": lambda node: FaultStage(2, "net.partition", ("n1",), Stage.IN_FORCE, traits=to_history(Traits(Loss.LINK), (node,))),
    "it stood still": lambda node: Stalled(node, 12.0, 5.0),
}


@pytest.mark.parametrize("case", NAMED)
def test_what_only_words_about_a_stranger_convict_is_unknown(case: str) -> None:
    """Whoever of ours said them; the same words about a node of the plan convict."""
    for node, verdict in (("n9", Verdict.UNKNOWN), ("n3", Verdict.BROKEN)):
        word = NAMED[case](node)
        (found,) = findings(replace(PLAN, promises=(Convicts(word),)), node_kill().tell(60.0, word).history())
        assert found.verdict is verdict, node
        assert ("n9, which is no node of the plan" in found.summary) is (node == "n9")


def test_two_leaders_of_a_term_convict_only_where_both_are_nodes() -> None:
    """That n3 followed n9 in the term of n1, once, is no word of ours."""
    for node, verdict in (("n9", Verdict.UNKNOWN), ("n3", Verdict.BROKEN)):
        story = node_kill().member(60.0, "n3", 2, node).member(61.0, "n3", 2, "n1")
        assert {each.checker: each.verdict for each in findings(PLAN, story.history())}["quorum"] is verdict


def test_a_leader_that_is_in_no_plan_is_told() -> None:
    """Also where nobody is convicted for it."""
    story = node_kill().member(60.0, "n3", 3, "n9").members(61.0, "n1 n2 n3", 4, "n1")
    found = {each.checker: each for each in findings(PLAN, story.history())}
    assert found["assumptions"].verdict is Verdict.UNKNOWN
    assert "n9 is in the history, and is no node of the plan" in found["assumptions"].summary


def test_a_checker_that_raises_has_found_nothing_out() -> None:
    """It is unknown, its words say what happened, and the others are heard."""
    assert verdicts(Says(), Crashes(), Says(Verdict.BROKEN)) == [
        ("says", Verdict.HELD),
        ("crashes", Verdict.UNKNOWN),
        ("says", Verdict.BROKEN),
    ]
    (found,) = findings(replace(PLAN, promises=(Crashes(),)), History([]))
    assert found.summary == "the checker itself failed: ZeroDivisionError: no answers to divide by"


def test_a_checker_that_hangs_has_found_nothing_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is unknown, what it says later changes nothing, and the others are heard."""
    monkeypatch.setattr(judge, "SECONDS", 0.3)
    hangs = Hangs()
    try:
        found = findings(replace(PLAN, promises=(Says(), hangs, Says(Verdict.BROKEN))), History([]))
    finally:
        hangs.go.set()
    for thread in threading.enumerate():
        if thread.name == "checker-hangs":
            thread.join()
    assert [(each.checker, each.verdict) for each in found] == [
        ("says", Verdict.HELD),
        ("hangs", Verdict.UNKNOWN),
        ("says", Verdict.BROKEN),
    ]
    assert found[1].summary == "the checker took longer than 0.3 s"


def test_a_checker_that_is_slow_but_ends_is_heard() -> None:
    """Being called and ending in time is all that is asked; nobody waits for the limit."""
    hangs = Hangs()
    hangs.go.set()
    assert verdicts(hangs) == [("hangs", Verdict.HELD)]


def test_no_promise_is_no_finding() -> None:
    """And no finding is unknown."""
    assert findings(replace(PLAN, promises=()), History([])) == []


# -- a folder


def test_a_good_run_is_held(tmp_path: Path) -> None:
    """All that lies in the folder is in the run."""
    folder = saved(tmp_path)
    (folder / "environment.json").write_text('{"kernel": "6.1"}')
    run = load(folder)
    assert [(each.checker, each.verdict) for each in run.findings] == [
        (name, Verdict.HELD) for name in ("assumptions", "rescheduled", "conflicts", "quorum", "clean")
    ]
    assert (run.run_id, run.folder, run.plan, run.environment) == ("sample-1", folder, PLAN, {"kernel": "6.1"})
    assert run.history.end == node_kill().history().end


def test_a_bad_run_is_broken(tmp_path: Path) -> None:
    """The same story with a limit that it did not keep, and with two instances on one node."""
    promises = (Rescheduled("web", within=20.0), Conflicts())
    run = load(saved(tmp_path, node_kill().node(60, "n3", "web@1", "web@2"), replace(PLAN, promises=promises)))
    assert [each.verdict for each in run.findings] == [Verdict.BROKEN, Verdict.BROKEN]
    assert run.verdict is Verdict.BROKEN


def test_loading_writes_nothing(tmp_path: Path) -> None:
    """To look is not to touch."""
    folder = saved(tmp_path)
    before = {each: each.read_bytes() for each in folder.iterdir()}
    load(folder)
    assert {each: each.read_bytes() for each in folder.iterdir()} == before


def test_judging_writes_the_verdict_anew(tmp_path: Path) -> None:
    """A stale verdict is replaced as a whole, and nothing else is touched."""
    folder = saved(tmp_path)
    (folder / "verdict.json").write_text('{"verdict": "broken", "stale": true' + " " * 100_000)
    before = {name: (folder / name).read_bytes() for name in ("plan.json", "history.jsonl")}
    run = judge_folder(folder)
    body = json.loads((folder / "verdict.json").read_text(encoding="utf-8"))
    assert sorted(body) == ["findings", "recovery", "seconds", "verdict"]
    assert body["verdict"] == "held"
    assert [sorted(each) for each in body["findings"]] == [["checker", "details", "evidence", "summary", "verdict"]] * 5
    for said, finding in zip(body["findings"], run.findings, strict=True):
        assert (said["checker"], said["verdict"], said["summary"]) == (finding.checker, str(finding.verdict), finding.summary)
    assert [*body["recovery"]] == ["web@2"]
    assert body["recovery"]["web@2"]["to"] == "n3"
    assert {name: (folder / name).read_bytes() for name in before} == before


def test_judging_twice_gives_the_same_file(tmp_path: Path) -> None:
    """A verdict depends on nothing but the folder."""
    folder = saved(tmp_path)
    judge_folder(folder)
    first = (folder / "verdict.json").read_bytes()
    judge_folder(folder)
    assert (folder / "verdict.json").read_bytes() == first


def test_no_verdict_file_holds_what_is_no_json(tmp_path: Path) -> None:
    """Also where a figure is infinite: other programs read it."""

    def refuse(word: str) -> float:
        raise ValueError(f"{word} is no JSON")

    promises = (Assumptions(), Rescheduled("web"), Conflicts(), QuorumSurvived(), Availability("web", 0.5, 60.0), Clean())
    folder = saved(tmp_path, plan=replace(PLAN, promises=promises, budgets={"node.kill": Budget(())}))
    judge_folder(folder)
    json.loads((folder / "verdict.json").read_text(encoding="utf-8"), parse_constant=refuse)


def test_a_torn_last_line_is_what_a_kill_leaves(tmp_path: Path) -> None:
    """It is left out; the whole lines before it are judged as ever."""
    folder = saved(tmp_path)
    whole = load(folder)
    with (folder / "history.jsonl").open("ab") as file:
        file.write(b'{"i":99999,"t":71.0,"ki')
    torn = load(folder)
    assert len(torn.history.entries) == len(whole.history.entries)
    assert torn.findings == whole.findings


def test_a_history_cut_short_acquits_nobody(tmp_path: Path) -> None:
    """Its half is read without an error, and every checker says that it is unknown."""
    folder = saved(tmp_path)
    body = (folder / "history.jsonl").read_bytes()
    (folder / "history.jsonl").write_bytes(body[: len(body) // 2])
    assert {each.verdict for each in load(folder).findings} == {Verdict.UNKNOWN}


def test_a_history_beside_the_plan_of_another_run_is_unknown(tmp_path: Path) -> None:
    """Both name their run. The folder may be called as it likes."""
    folder = saved(tmp_path)
    (folder / "history.jsonl").write_bytes(chained(((entry.time, entry.event) for entry in node_kill().history().entries), "sample-1"))
    for run, verdict in (("sample-1", Verdict.HELD), ("sample-2", Verdict.UNKNOWN)):
        (folder / "plan.json").write_text(json.dumps({"run": run, **PLAN.to_json()}), encoding="utf-8")
        found = load(folder)
        assert found.verdict is verdict, found.findings
    assert all("not of the run sample-2" in finding.summary for finding in found.findings)


def test_an_empty_history_is_unknown(tmp_path: Path) -> None:
    """The harness was killed before anything happened."""
    folder = saved(tmp_path)
    (folder / "history.jsonl").write_bytes(b"")
    assert {each.verdict for each in load(folder).findings} == {Verdict.UNKNOWN}


BAD_LINES = {
    "no JSON": b"rubbish\n",
    "half a line in the middle": b'{"i":1,"t":1.0,"ki\n',
    "no event of ours": b'{"i":1,"t":1.0,"kind":"earthquake"}\n',
    "a field that is not there": b'{"i":1,"t":1.0,"kind":"note","text":"a","mood":"b"}\n',
    "a field that is missing": b'{"i":1,"t":1.0,"kind":"note"}\n',
    "no object": b"[1, 2]\n",
    "no text": b"\xff\xfe\n",
    "nothing": b"\n",
}


@pytest.mark.parametrize("case", BAD_LINES)
@pytest.mark.parametrize("last", [True, False])
def test_a_damaged_history_is_bad_input(tmp_path: Path, case: str, last: bool) -> None:
    """Its file and line are named; a line that is whole and bad is damage, also at the end."""
    folder = saved(tmp_path, Story().tell(0.0, Note("one")))
    good = (folder / "history.jsonl").read_bytes()
    (folder / "history.jsonl").write_bytes(good + BAD_LINES[case] + (b"" if last else good))
    with pytest.raises(BadInput) as caught:
        load(folder)
    (problem,) = caught.value.problems
    assert (problem.file, problem.line) == (str(folder / "history.jsonl"), good.count(b"\n") + 1)


Change = Callable[[dict[str, Any]], object]
BAD_PLANS: dict[str, Change] = {
    "a list": lambda body: [body],
    "nothing in it": lambda body: {},
    "no object": lambda body: None,
    "a checker that nobody knows": lambda body: {**body, "promises": [{"horoscope": {}}]},
    "a parameter that nobody knows": lambda body: {**body, "promises": [{"conflicts": {"mood": 1}}]},
    "a fault that nobody knows": lambda body: {**body, "steps": [{"fault": "node.tickle", "with": {}, "on": "n1", "hold": {"seconds": 1}}]},
    "a key less": lambda body: {key: value for key, value in body.items() if key != "seed"},
    "a node with a field too many": lambda body: {**body, "nodes": [{**body["nodes"][0], "mood": 1}]},
    "a control of no verdict": lambda body: {**body, "control": {"verdict": "maybe", "because": "conflicts", "match": ""}},
}


@pytest.mark.parametrize("case", BAD_PLANS)
def test_a_damaged_plan_is_bad_input(tmp_path: Path, case: str) -> None:
    """Its file is named."""
    folder = saved(tmp_path)
    (folder / "plan.json").write_text(json.dumps(BAD_PLANS[case](PLAN.to_json())), encoding="utf-8")
    with pytest.raises(BadInput, match=r"plan\.json: .*; expected (?:a plan that this version wrote|what the harness wrote|a JSON object)"):
        load(folder)


@pytest.mark.parametrize("body", [b"", b"{", b"rubbish", b"\xff\xfe\x00"])
def test_a_plan_that_is_no_json_is_bad_input(tmp_path: Path, body: bytes) -> None:
    """Its file is named, and what is wrong with it."""
    folder = saved(tmp_path)
    (folder / "plan.json").write_bytes(body)
    with pytest.raises(BadInput, match=r"plan\.json: text that is not JSON"):
        load(folder)


@pytest.mark.parametrize("name", ["plan.json", "history.jsonl"])
def test_a_folder_without_its_files_is_no_run(tmp_path: Path, name: str) -> None:
    """The missing file is named, and no verdict is written."""
    folder = saved(tmp_path)
    (folder / name).unlink()
    with pytest.raises(NoSuchRun, match=name):
        judge_folder(folder)
    assert not (folder / "verdict.json").exists()


def test_what_is_no_folder_is_no_run(tmp_path: Path) -> None:
    """Neither what is not there, nor a file."""
    (tmp_path / "file").touch()
    for name in ("missing", "file"):
        with pytest.raises(NoSuchRun):
            load(tmp_path / name)


def test_a_lost_environment_does_not_matter(tmp_path: Path) -> None:
    """It is for people; no verdict depends on it."""
    run = load(saved(tmp_path))
    assert run.environment == {}
    assert run.verdict is Verdict.HELD
