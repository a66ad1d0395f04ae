"""Golden histories: whole runs of three nodes with known verdicts, judged as a saved run would be.

Those named ``real-`` are of runs on real fleet and etcd, whose times were compared by eye with the journals of their nodes; the others were
composed with `harness.testing.histories` from what the same systems were measured to do. From real-slow-disk-leader one line is missing: the status
that was asked for then read term and leader one after the other, so that a member told its old term with its new leader. Another real run whose
verdict was settled by hand is welcome: put the file beside them and a line into the table.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.checkers import Assumptions, Availability, Clean, Conflicts, Elections, QuorumSurvived, Rescheduled, Writes
from harness.core.values import Verdict
from harness.history.events import ApiSeen, History, Watching
from harness.history.interfaces import Checker
from harness.history.recovery import recovery

FOLDER = Path(__file__).parents[2] / "fixtures" / "histories"
HELD, BROKEN, UNKNOWN = Verdict.HELD, Verdict.BROKEN, Verdict.UNKNOWN

MOVED = Rescheduled("web", within=38.5)
SERVED = Availability("web", 0.5, 60)
GOES_ON, STOPS = QuorumSurvived("go on"), QuorumSurvived("stop")

TABLE: list[tuple[str, Checker, Verdict, str]] = [
    ("node-kill", Assumptions(), HELD, "3 nodes steady before"),
    ("node-kill", Clean(), HELD, "nothing was left on 3 nodes"),
    ("node-kill", MOVED, HELD, "web@2 ran on n3 30.2 s after n2 was lost"),
    ("node-kill", Conflicts(), HELD, "no node ever ran two instances"),
    ("node-kill", QuorumSurvived("go on", "stays"), HELD, "leadership stayed with n1"),
    ("node-kill", Writes(), HELD, "72 acknowledged writes of 72 read back"),
    ("node-kill", SERVED, HELD, "web@2 gave no good answer for"),
    ("node-kill", Availability("web", 0.99, 10), BROKEN, "99% were promised"),
    ("node-kill-too-late", MOVED, BROKEN, "3.7 s too late"),
    ("node-kill-too-late", Conflicts(), HELD, ""),
    ("lost-write", Writes(), BROKEN, "1 acknowledged write lost, the first k83"),
    ("lost-write", MOVED, HELD, ""),
    ("harness-killed", Assumptions(), UNKNOWN, "node.kill on n2 was never seen to be healed"),
    ("harness-killed", MOVED, UNKNOWN, "the history ends before the time was up"),
    ("harness-killed", Conflicts(), UNKNOWN, "before the end of the run"),
    ("harness-killed", GOES_ON, UNKNOWN, "before the end of the run"),
    ("harness-killed", Writes(), UNKNOWN, "the last reads were never begun"),
    ("harness-killed", SERVED, UNKNOWN, "before the end of the run"),
    ("harness-killed", Clean(), UNKNOWN, "no fingerprint from after the faults"),
    ("conflicts-missing", Assumptions(), HELD, ""),
    ("conflicts-missing", Conflicts(), BROKEN, "n1 ran two instances of web at once, web@1 and web@3"),
    ("conflicts-missing", MOVED, HELD, "web@3 ran on n1"),
    ("pinned-unit", Assumptions(), HELD, ""),
    ("pinned-unit", MOVED, BROKEN, "web@2 ran nowhere else in the 49.9 s after n2 was lost"),
    ("pinned-unit", Conflicts(), HELD, ""),
    ("partition-heal", Assumptions(), HELD, ""),
    ("partition-heal", Conflicts(expect_double_run=True), HELD, "web@1 ran on n1 and n3 at once for 35.8 s"),
    ("partition-heal", MOVED, HELD, "web@1 ran on n3 27.3 s after n1 was cut off"),
    ("partition-heal", QuorumSurvived("go on", "moves"), HELD, "leadership moved from n1 to n3"),
    ("partition-heal", QuorumSurvived("stop", "stays"), BROKEN, "leadership moved from n1 to n3"),
    ("partition-heal", Writes(), HELD, ""),
    ("partition-majority", Assumptions(), HELD, ""),
    ("partition-majority", STOPS, HELD, "was acknowledged, and writes returned"),
    ("partition-majority", GOES_ON, BROKEN, "no write was acknowledged for"),
    ("partition-majority", Conflicts(expect_double_run=True), UNKNOWN, "no instance was seen on two nodes at once"),
    ("acknowledged-without-quorum", STOPS, BROKEN, "the first (stray) 17.5 s after it had bitten"),
    ("acknowledged-without-quorum", Writes(), HELD, ""),
    ("real-slow-disk-leader", Assumptions(), HELD, ""),
    ("real-slow-disk-leader", QuorumSurvived(leader="moves"), HELD, "leadership moved from n1 to n2 1.3 s after disk.slow"),
    ("real-slow-disk-leader", QuorumSurvived(leader="stays"), BROKEN, "leadership moved from n1 to n2"),
    ("real-slow-disk-leader", Writes(), HELD, "83 acknowledged writes of 83 read back"),
    ("real-slow-disk-leader", MOVED, UNKNOWN, "no instance of web was displaced"),
    ("real-partition-minority", Assumptions(), HELD, ""),
    ("real-partition-minority", MOVED, HELD, "web@2 ran on n2 19.2 s after n1 was cut off"),
    ("real-partition-minority", Rescheduled("web", within=15.0), BROKEN, "too late"),
    ("real-partition-minority", Conflicts(expect_double_run=True), HELD, "web@2 ran on n1 and n2 at once for 3.2 s"),
    ("real-partition-minority", QuorumSurvived("go on", "moves"), HELD, "112 writes acknowledged"),
    ("real-partition-minority", STOPS, BROKEN, "acknowledged"),
    ("real-etcd-leader-kill", Assumptions(), HELD, ""),
    ("real-etcd-leader-kill", QuorumSurvived("go on", "moves"), HELD, "98 writes acknowledged"),
    ("real-partition-minority", Elections(2, 5.0), HELD, "2 elections (n3 in term 3 at 18.9 s, n2 in term 19 at 43.6 s) (2 allowed)"),
    ("real-partition-minority", Elections(1), BROKEN, "2 elections"),
    ("real-partition-minority", Elections(longest=2.0), BROKEN, "nobody led for 2.5 s from 40.6 s"),
    ("real-etcd-leader-kill", Elections(1, 5.0), HELD, "nobody led for 1.6 s at most"),
    ("real-etcd-leader-kill", Writes(), HELD, "166 acknowledged writes of 166"),
    ("real-etcd-leader-kill", Clean(), HELD, ""),
]


@pytest.mark.parametrize(
    ("name", "checker", "verdict", "text"), TABLE, ids=[f"{name}-{checker.name}-{verdict}" for name, checker, verdict, _ in TABLE]
)
def test_a_golden_history_is_judged_as_it_was_settled(name: str, checker: Checker, verdict: Verdict, text: str) -> None:
    """The verdict, and for the reason that counts."""
    finding = checker.check(History.load(FOLDER / f"{name}.jsonl"))
    reasons = finding.details.get("points")
    everything = " | ".join([finding.summary, *map(str, reasons if isinstance(reasons, list) else [])])
    assert (finding.verdict, text in everything) == (verdict, True), everything


@pytest.mark.parametrize("name", sorted({name for name, *_ in TABLE}))
def test_a_golden_history_is_judged_the_same_where_no_api_told_anything(name: str) -> None:
    """What an orchestrator says is a witness: a mode without an API is judged by node truth alone."""
    history = History.load(FOLDER / f"{name}.jsonl")
    kept = [
        (entry.time, entry.event)
        for entry in history.entries
        if not isinstance(entry.event, ApiSeen) and not (isinstance(entry.event, Watching) and entry.event.observer == "placement")
    ]
    assert len(kept) < len(history.entries)
    silent = History.of_events(*kept)
    assert [checker.check(silent).verdict for which, checker, *_ in TABLE if which == name] == [
        verdict for which, _, verdict, _ in TABLE if which == name
    ]


def test_every_golden_history_is_whole() -> None:
    """Chained, and closed but for the one whose harness was killed."""
    histories = {path.stem: History.load(path, path.stem) for path in FOLDER.glob("*.jsonl")}
    assert all(history.breach is None for history in histories.values())
    assert {name for name, history in histories.items() if not history.closed} == {"harness-killed"}


def test_every_golden_history_is_in_the_table() -> None:
    """A file that nobody judges proves nothing."""
    assert {path.stem for path in FOLDER.glob("*.jsonl")} == {name for name, *_ in TABLE}


def test_the_recovery_of_a_golden_history_is_split_in_four() -> None:
    """In order: noticed, placed, running, serving."""
    split = recovery(History.load(FOLDER / "node-kill.jsonl"))["web@2"]
    assert isinstance(split, dict)
    assert [split[step] for step in ("noticed", "placed", "running", "serving")] == pytest.approx([28.72, 29.82, 30.22, 30.73])
