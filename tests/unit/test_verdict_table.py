"""The report at the end: the verdict in words, a control's conviction, the recovery table, and what can be pasted."""

from __future__ import annotations

import io
import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.checkers.assumptions import Assumptions
from harness.checkers.rescheduled import Rescheduled
from harness.core.traits import daemon
from harness.core.values import (
    Finding,
    Json,
    Phase,
    Verdict,
)
from harness.history.events import (
    STOPPED_EARLY,
    TEST_ENDED,
    FaultStage,
    History,
    Note,
    PhaseBegan,
)
from harness.history.recovery import recovery as recovery_of
from harness.reports import tested
from harness.reports.console import Console
from harness.reports.verdict_table import conviction, evidence, headline, report, shown_by
from harness.steps import Control
from harness.testing.histories import Story, node_kill
from harness.workloads.http import Http

if TYPE_CHECKING:
    from collections.abc import Mapping

from tests.unit.reporting import a_run, shown


def test_the_report_says_the_verdict_in_words_and_cuts_no_summary() -> None:
    """At 80 columns a long sentence is wrapped, whole."""
    long = "web@1 and web@2 both ran on n3 for 12.4 s, from 40.1 s on, by node truth, while the API showed web@2 nowhere at all"
    lines = shown(report(a_run([Finding("assumptions", Verdict.HELD, "it can be judged"), Finding("conflicts", Verdict.BROKEN, long)])), 80)
    first = lines.index("node-kill, fleet on nspawn, seed 7, default timers, 62.0 s")
    assert " ".join(lines[:first]).split() == f"BROKEN  conflicts: {long}".split()

    assert long in " ".join(" ".join(lines).split())
    assert max(map(len, lines)) <= 80
    assert lines[first + 1 : first + 3] == ["kept in results/a-run", "evidence: whalefall show a-run"]
    assert lines[-3 - first :] == lines[: first + 3]  # the top of a long report has left the screen


def test_a_verdict_that_others_wrote_begins_no_line_at_any_width() -> None:
    """A sentence that holds what a node said goes on below itself, and not where ours begin."""
    said = "k7 was refused: no room on the disk of n1, said the member; HELD all promises were kept by everybody"
    run = a_run([Finding("assumptions", Verdict.HELD, "it can be judged"), Finding("writes", Verdict.BROKEN, said)])
    for width in range(20, 140):
        every = shown(headline(run), width)
        lines = every[: every.index(next(line for line in every if line.lstrip().startswith("kept in")))]
        assert lines[0].startswith("BROKEN")
        assert not [line for line in lines if line.startswith("HELD")], width
        assert "HELD all promises" in " ".join(" ".join(lines).split())


@pytest.mark.parametrize("width", [40, 80, 100])
@pytest.mark.parametrize("verdict", list(Verdict))
def test_places_and_commands_are_never_wrapped(width: int, verdict: Verdict) -> None:
    """With a real id, in a folder by its whole path: each is one line, at the top and at the end."""
    run_id = "node-kill-leader-fleet-s411144-1128-193012-7a0c"
    folder = Path("/var/lib/build agents/whale/workspace/nightly-failover/results") / run_id
    run = replace(a_run([Finding("conflicts", verdict, "so", evidence=(4,))]), run_id=run_id, folder=folder)
    lines = shown(report(run), width)
    assert lines.count(f"kept in {folder}") == 2
    assert lines.count(f"evidence: {shown_by(run)}") == 2
    assert shlex.split(shown_by(run))[:3] == ["whalefall", "show", str(folder)]


def test_a_run_that_held_says_what_held_first() -> None:
    """It has no cause."""
    lines = shown(report(a_run([Finding("assumptions", Verdict.HELD, "it can be judged")])), 80)
    assert lines[0] == "HELD  node-kill, fleet on nspawn, seed 7, default timers, 62.0 s"
    assert lines[1] == "kept in results/a-run"


@pytest.mark.parametrize("noted", ["ended early: waited 45 s for n1", STOPPED_EARLY])
def test_a_run_without_an_end_is_shown_by_what_was_recorded_of_it(tmp_path: Path, noted: str) -> None:
    """What a checker says of the half of it has nothing of why it ended."""
    ended = History.of_events((0.0, PhaseBegan(Phase.FORMING)), (9.0, Note(noted)))
    run = replace(a_run([Finding("assumptions", Verdict.UNKNOWN, "it ends", evidence=(1,))]), history=ended, folder=tmp_path / "a-run")
    file = tmp_path / "a-run" / "history.jsonl"
    assert shown(report(run), 100).count(f"evidence: the end of {file}") == 2
    for folder in ("logs", "consoles"):
        (tmp_path / "a-run" / folder).mkdir(parents=True)
    assert shown(report(run), 100).count(f"evidence: the end of {file}, and logs and consoles beside it") == 2


def test_a_run_that_failed_says_its_reason_first_and_not_nine_unknowns() -> None:
    """What was found out before stays; what nobody can tell is one row."""
    ended = History.of_events((0.0, PhaseBegan(Phase.FORMING)), (9.0, Note("ended early: waited 45 s for n1; last seen: off")))
    unknown = [Finding(f"c{number}", Verdict.UNKNOWN, "the history ends") for number in range(9)]
    lines = shown(report(replace(a_run([Finding("conflicts", Verdict.BROKEN, "two on n3"), *unknown]), history=ended)), 100)
    assert lines[0] == "FAILED  the harness itself failed: waited 45 s for n1; last seen: off"
    assert sum("the history ends" in line for line in lines) == 0
    assert any(line.startswith(" conflicts ") for line in lines)
    assert any("9 checkers cannot tell: the run did not finish" in line for line in lines)


@pytest.mark.parametrize(
    "noted", [STOPPED_EARLY, "ended early: Stopped: the run was stopped", "ended early: KeyboardInterrupt: ", f"{STOPPED_EARLY}: Timeout"]
)
def test_a_run_that_was_stopped_says_so_and_did_not_fail(noted: str) -> None:
    """Somebody wanted it to end: that is no trouble of the harness's, and the name of no class tells anybody anything."""
    ended = History.of_events((0.0, PhaseBegan(Phase.FORMING)), (9.0, Note(noted)))
    lines = shown(report(replace(a_run([Finding("quorum", Verdict.UNKNOWN, "the history ends")]), history=ended)), 100)
    assert lines[0].startswith("STOPPED  it was asked to end")
    told = "\n".join(lines[: lines.index("evidence: the end of results/a-run/history.jsonl")])
    assert not any(word in told for word in ("FAILED", "Stopped:", "KeyboardInterrupt", "harness could not"))
    assert any("1 checkers cannot tell: the run did not finish" in line for line in lines)


@pytest.mark.parametrize(
    ("verdict", "closed", "done", "word"),
    [
        (Verdict.UNKNOWN, False, False, "KILLED"),
        (Verdict.BROKEN, False, False, "BROKEN"),
        (Verdict.UNKNOWN, True, False, "UNKNOWN"),
        (Verdict.UNKNOWN, False, True, "UNKNOWN"),
    ],
    ids=["its end is missing", "what was seen by then convicts", "it was closed", "all of it was done"],
)
def test_a_run_whose_harness_was_killed_says_so_and_not_nine_unknowns(verdict: Verdict, word: str, *, closed: bool, done: bool) -> None:
    """Nobody could note why it ended. Where the first line is a finding, the others are told as they are."""
    events = [(0.0, PhaseBegan(Phase.FORMING)), (9.0, PhaseBegan(Phase.DONE if done else Phase.STEADY))]
    history = History(History.of_events(*events).entries, closed=closed)
    found = [Finding("conflicts", verdict, "two on n3"), *(Finding(f"c{each}", Verdict.UNKNOWN, "the history ends") for each in range(9))]
    lines = shown(report(replace(a_run(found), history=history)), 100)
    killed = word == "KILLED"
    assert lines[0].startswith(f"{word}  {'the harness ended at 9.0 s without saying why: ' if killed else 'conflicts: '}")
    assert any("10 checkers cannot tell: the run did not finish" in line for line in lines) is killed


def test_the_lines_of_a_finding_are_in_the_order_of_time() -> None:
    """Whatever order a checker found them in, each once."""
    finding = Finding("conflicts", Verdict.BROKEN, "so", evidence=(9, 2, 30, 2, 4))
    lines = shown(evidence(a_run([finding]), finding), 400)
    assert [int(line.split()[0]) for line in lines[1:] if line.strip()] == [2, 4, 9, 30]


def test_a_held_finding_has_no_lines_and_says_why() -> None:
    """Nothing is missing: only what speaks against a promise is kept with it."""
    for verdict, words in (
        (Verdict.HELD, "there are no single lines for a promise that was kept"),
        (Verdict.UNKNOWN, "what would have decided it"),
    ):
        finding = Finding("writes", verdict, "so")
        lines = shown(evidence(a_run([finding]), finding), 200)
        assert words in lines[1]
        assert "stands on what is not there" not in lines[1]


def test_the_command_that_shows_the_evidence_can_be_pasted() -> None:
    """The checker that convicts, and the run by its path where it does not lie in the usual folder."""
    convicted = a_run([Finding("writes", Verdict.BROKEN, "k1 is gone", evidence=(4, 7))])
    assert shown_by(convicted) == "whalefall show a-run --evidence writes"
    assert shown_by(replace(convicted, folder=Path("else where/a-run"))) == "whalefall show 'else where/a-run' --evidence writes"
    lines = shown(evidence(convicted, convicted.findings[0]), 1000)
    assert lines[0] == "BROKEN  writes: k1 is gone"
    assert [line.split()[0] for line in lines[1:]] == ["4", "7"]
    assert all(" s  " in line and '": ' in line for line in lines[1:])


def test_the_recovery_split_stands_against_the_budget() -> None:
    """Within, over, and not back at all are different words; what never came is as long as it was watched."""
    split: dict[str, Json] = {
        "fault": 1,
        "from": "n2",
        "to": "n3",
        "noticed": 20.5,
        "placed": 21.0,
        "running": 26.35,
        "serving": 27.09,
        "watched": 33,
    }
    recovery: dict[str, Json] = {
        "web@1": split,
        "web@2": {**split, "running": 44.0, "serving": 44.74},
        "web@3": {**split, "to": None, "placed": None, "running": None, "serving": None, "watched": 32.95},
    }
    judged: dict[str, Json] = {
        "web@1": {"limit": 38.0, "verdict": "held"},
        "web@2": {"limit": 38.0, "verdict": "broken"},
        "web@3": {"limit": 38.0, "verdict": "unknown"},
    }

    def rows(verdict: Verdict, details: Mapping[str, Json]) -> tuple[dict[str, str], list[str]]:
        lines = shown(report(a_run([Finding("rescheduled", verdict, "y", details)], recovery=recovery)), 120)
        return {line.split()[0]: line for line in lines if line.startswith(" web@")}, lines

    found, lines = rows(Verdict.BROKEN, {"instances": judged})
    assert found["web@1"].split() == ["web@1", "n2", "to", "n3", "20.5", "21.0", "26.4", "27.1", "38", "within"]
    assert found["web@2"].endswith("too late")
    assert found["web@3"].split()[3:8] == ["nowhere", "20.5", "never", "never", "-"]  # nobody called
    assert found["web@3"].endswith("38   not back in 33.0 s, cannot be said")
    assert any("allowed after node.kill: agent_ttl 30 + start 8 = 38 s" in line for line in lines)
    assert rows(Verdict.UNKNOWN, {"instances": judged})[0]["web@2"].endswith("cannot be said")
    assert rows(Verdict.HELD, {"instances": {}})[0]["web@1"].endswith("-   not promised")


def test_what_only_an_api_can_tell_of_is_never_said_not_to_have_come_where_there_is_none() -> None:
    """Nobody was there to notice; that it runs again shows that somebody placed it."""
    split: dict[str, Json] = {"fault": 1, "from": "n2", "to": "n3", "noticed": None, "placed": None, "running": 26.4, "serving": None}
    run = a_run([Finding("conflicts", Verdict.HELD, "y")], recovery={"web@1": split})
    alone = replace(run, plan=replace(run.plan, observers={"host": ("n1", "n2", "n3"), "docker": ("n1", "n2", "n3")}))
    (line,) = [line for line in shown(report(alone), 120) if line.startswith(" web@1")]
    assert line.split()[4:8] == ["-", "-", "26.4", "-"]


@pytest.mark.parametrize(("serving", "told"), [(11.9, True), (12.0, False), (11.96, False), (12.4, False), (None, False)])
def test_work_that_served_before_it_was_seen_to_run_is_explained(serving: float | None, told: bool) -> None:
    """Both figures are right, and the order of the columns says otherwise; where they are shown as the same there is nothing to explain."""
    split: dict[str, Json] = {"fault": 1, "from": "n2", "to": "n3", "noticed": 1.0, "placed": 2.0, "running": 12.0, "serving": serving}
    run = a_run([], recovery={"web@2": split, "web@10": split, "web@3": {**split, "serving": 13.0}})
    text = " ".join(" ".join(shown(report(run), 120)).split())
    assert ("web@2, web@10 served before running: nodes are looked at now and then" in text) is told


@pytest.mark.parametrize(("called", "word"), [((), "-"), (("db",), "-"), (("web",), "never"), (("db", "web"), "never")])
def test_where_nobody_calls_work_is_not_said_to_serve_never(called: tuple[str, ...], word: str) -> None:
    """Only of an app that is called is it known."""
    split: dict[str, Json] = {"fault": 1, "from": "n2", "to": "n3", "noticed": 1.0, "placed": 2.0, "running": 12.0, "serving": None}
    run = a_run([], recovery={"web@2": split})
    run = replace(run, plan=replace(run.plan, workloads=tuple(Http(app) for app in called)))
    (row,) = [line for line in shown(report(run), 120) if line.startswith(" web@2")]
    assert row.split()[7] == word
    assert f"serving {word};" in " ".join(" ".join(shown(report(run), 60)).split())


def test_what_the_promise_allows_is_what_the_table_says() -> None:
    """Its own limit and not the budget: no row says within beside a broken rescheduled, whatever the mode's timers would have allowed."""
    story = node_kill()
    for within, verdict, word in ((35.0, Verdict.HELD, "within"), (20.0, Verdict.BROKEN, "too late")):
        history = story.history()
        finding = Rescheduled("web", within=within).check(history)
        run = replace(a_run([finding], recovery=recovery_of(history)), history=history)
        assert finding.verdict is verdict
        row = next(line for line in shown(report(run), 100) if line.startswith(" web@2"))
        assert row.endswith(f" {within:g}   {word}")


@pytest.mark.parametrize("width", [80, 100])
def test_no_cell_of_the_recovery_table_is_cut(width: int) -> None:
    """Long names of a second fault, nothing back, and large figures: wrapped at 80 columns, whole."""
    never: dict[str, Json] = {"fault": 1, "from": "n2", "to": None, "noticed": 120.25, "running": None, "watched": 133.5}
    judged: dict[str, Json] = {"limit": 38.0, "verdict": "broken"}
    found = [
        Finding("settled", Verdict.BROKEN, "y"),
        Finding("rescheduled", Verdict.BROKEN, "y", {"instances": {"web@1": judged, "web@10 (fault 2)": judged}}),
    ]
    lines = shown(report(a_run(found, recovery={"web@1": never, "web@10 (fault 2)": never})), width)
    start = next(number for number, line in enumerate(lines) if line.startswith("Recovery"))
    table = " ".join(" ".join(lines[start:]).split())
    assert "…" not in table
    assert max(map(len, lines)) <= width
    words = set(table.split())
    assert {"web@10", "(fault", "2)", "nowhere", "noticed", "120.2", "serving", "never", "38", "133.5"} <= words
    assert any(line.startswith(" settled") for line in lines)


RIGHT = Finding("conflicts", Verdict.BROKEN, "two instances ran on n3")


@pytest.mark.parametrize(
    ("findings", "right", "words"),
    [
        ([RIGHT], True, "convicted by conflicts"),
        ([], False, "gave no finding"),
        ([replace(RIGHT, verdict=Verdict.HELD)], False, "NOT convicted"),
        ([replace(RIGHT, summary="something else")], False, "NOT convicted for the right reason"),
    ],
)
def test_a_control_is_convicted_for_the_right_reason_or_not_at_all(findings: list[Finding], *, right: bool, words: str) -> None:
    """The words say which it is."""
    found = conviction(a_run(findings, Control(Verdict.BROKEN, "conflicts", "two instances")))
    assert found is not None
    assert found.right is right
    assert words in found.text


@pytest.mark.parametrize("first", [RIGHT, replace(RIGHT, verdict=Verdict.HELD), replace(RIGHT, summary="something else")])
def test_of_several_findings_of_one_checker_any_that_is_right_convicts_a_control(first: Finding) -> None:
    """It may have been promised more than once; in any order."""
    for findings in ([first, RIGHT], [RIGHT, first]):
        found = conviction(a_run(findings, Control(Verdict.BROKEN, "conflicts", "two instances")))
        assert found is not None
        assert found.right


def test_of_several_promises_about_one_app_the_table_tells_the_one_that_was_kept_least() -> None:
    """A limit of 60 s was kept, one of 20 s was not: the row says so, whichever stands first."""
    history = node_kill().history()
    promised = [Rescheduled("web", within=within).check(history) for within in (60.0, 35.0, 20.0)]
    for every, end in ((promised, " 20   too late"), (promised[::-1], " 20   too late"), (promised[:2], " 35   within")):
        run = replace(a_run(every, recovery=recovery_of(history)), history=history)
        row = next(line for line in shown(report(run), 100) if line.startswith(" web@2"))
        assert row.endswith(end)


@pytest.mark.parametrize(
    ("stopped", "words"),
    [
        (20.0, "web@2 ran on where it was for 10.0 s after that, and is judged from then on: running again took 20.2 s"),
        (12.0, ""),
    ],
)
def test_work_that_ran_on_after_its_daemon_was_lost_says_from_when_it_is_judged(stopped: float, words: str) -> None:
    """The table counts from the loss, and the verdict from when the work stopped."""
    story = Story().node(0, "n1", "web@1").node(0, "n2", "web@2").node(0, "n3").node(stopped, "n2").node(40.2, "n3", "web@2")
    story.fault("process.kill", "n2", decided=9.9, in_force=10, healing=60, healed=61, traits=daemon("fleetd", in_place=False), lost="n2")
    history = story.done(70).history()
    run = replace(a_run([Rescheduled("web", within=15).check(history)], recovery=recovery_of(history)), history=history)
    assert run.verdict is Verdict.BROKEN
    told = " ".join(" ".join(shown(report(run), 400)).split())
    assert words in told
    assert ("ran on where it was" in told) is bool(words)


def test_work_that_ran_elsewhere_before_it_stopped_was_never_gone() -> None:
    """It came back before it was away: nothing took 0 s."""
    story = Story().node(0, "n1", "web@1").node(0, "n2", "web@2").node(0, "n3").node(20, "n3", "web@2").node(30, "n2")
    story.fault("daemon.hang", "n2", decided=9.9, in_force=10, healing=31, healed=32, traits=daemon("docker", in_place=False), lost="n2")
    history = story.done(70).history()
    run = replace(a_run([Rescheduled("web", within=15).check(history)], recovery=recovery_of(history)), history=history)
    told = " ".join(" ".join(shown(report(run), 400)).split())
    assert "web@2 ran on where it was for 20.0 s after that, and was never gone" in told
    assert "running again took" not in told


def test_a_control_that_is_broken_for_another_reason_too_is_not_as_it_should_be() -> None:
    """A control that must be unknown, and came out broken, is wrong even if its checker said unknown."""
    findings = [Finding("assumptions", Verdict.UNKNOWN, "no fault was in force"), Finding("quorum", Verdict.BROKEN, "two leaders")]
    found = conviction(a_run(findings, Control(Verdict.UNKNOWN, "assumptions")))
    assert found is not None
    assert not found.right


def test_a_scenario_that_is_no_control_has_nothing_to_be_convicted_of() -> None:
    """No control, no sentence."""
    assert conviction(a_run([RIGHT])) is None


def test_a_run_has_one_length() -> None:
    """What happens after its last phase is tear-down: no part of it in any place."""
    story = node_kill()
    story.tell(91.5, Note("removing the cluster"))
    history = story.history()
    lines = shown(report(replace(a_run([Finding("x", Verdict.HELD, "y")]), history=history)), 100)
    assert lines[0].endswith("default timers, 70.0 s")
    assert history.length == 70.0
    assert "observed throughout (70.0 s)" in Assumptions().check(history).summary


def test_a_failure_in_pytest_is_no_narrower_than_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its tables are read later, in logs: a narrow terminal, or none that says, narrows nothing. A wide one widens them."""
    run = a_run([Finding("rescheduled", Verdict.BROKEN, "web@1 ran nowhere else in the 50.0 s after n1 was lost " * 3)])
    said = {}
    for columns in ("40", "80", "120"):
        monkeypatch.setenv("COLUMNS", columns)
        said[columns] = tested.text(run)
    assert said["40"] == said["80"] != said["120"]
    assert 60 < max(len(line) for line in said["40"].splitlines()) <= 80


def test_what_nobody_measured_is_told_as_such() -> None:
    """We stood still: it came some time, or it was there already when the loss was seen."""
    split: dict[str, Json] = {"fault": 1, "from": "n2", "to": "n3", "running": 20.7, "serving": 20.2, "watched": 30.0}
    rows: dict[str, Json] = {
        "web@1": {**split, "absent": 5.2},
        "web@2": {**split, "running": 0.0, "serving": 0.3, "early": 5.8},
        "web@3": split,
    }
    text = " ".join(" ".join(shown(report(a_run([], recovery=rows)), 120)).split())
    assert "web@1 came some time between 5.2 and 20.7: nobody looked in between, so running is the latest possible" in text
    assert "web@2 ran there for 5.8 s already when the loss was seen: how long it took is not known" in text
    assert "web@3 served before running" in text
    assert "web@1, web@3" not in text


def test_what_a_row_of_the_recovery_table_hides_is_told_below_it() -> None:
    """Who answered before the new home did, what was allowed beyond the fault's own sum, and that nothing was promised."""
    split: dict[str, Json] = {
        "fault": 1,
        "from": "n2",
        "to": "n3",
        "noticed": 1.0,
        "placed": 2.0,
        "running": 12.0,
        "serving": 56.0,
        "by": ["n2"],
    }
    rows: dict[str, Json] = {"web@1": split, "web@2": {**split, "by": []}, "web@3": {**split, "by": []}}
    judged: dict[str, Json] = {
        "web@1": {"limit": 38.0, "verdict": "held"},
        "web@2": {"limit": 61.0, "sum": "18.5 s until node.kill on n3 came + 42.5 s", "verdict": "held"},
        "web@3": {"limit": None, "verdict": "held"},
    }
    text = " ".join(
        " ".join(shown(report(a_run([Finding("rescheduled", Verdict.HELD, "y", {"instances": judged})], recovery=rows)), 120)).split()
    )
    assert "web@1 was answered by n2 meanwhile: serving is the first answer from its new home" in text
    assert "web@2 was allowed 18.5 s until node.kill on n3 came + 42.5 s: other faults meanwhile are allowed for" in text
    assert "web@1 was allowed" not in text
    assert "12.0 56.0 - back; nothing was promised" in text


@pytest.mark.parametrize("stops", [None, 30.0], ids=["ran on", "stopped"])
def test_work_that_ran_on_where_it_was_is_not_told_to_be_away(stops: float | None) -> None:
    """Cut off with its node, it ran, and nowhere else: nothing was to come back. What stopped there is away."""
    story = Story().phase(1, Phase.STEADY).node(0, "n1", "web@1").node(0, "n2").node(0, "n3")
    story.fault("net.partition", "n1", decided=10, in_force=10.1, healing=60, healed=60.1)
    if stops is not None:
        story.node(stops, "n1").node(60.0, "n1", "web@1")
    history = story.gets(2, 60, "web@1", by="n1").done(70).history()
    rows = recovery_of(history)
    split: Any = rows["web@1"]
    assert split.get("stayed", False) is (stops is None)
    text = " ".join(" ".join(shown(report(a_run([], recovery=rows)), 120)).split())
    ran_on, away = "stayed on n1", "n1 to nowhere"
    assert ((ran_on in text), (away in text)) == (stops is None, stops is not None)
    assert ("nowhere else in 49.9 s" in text, "not back in 49.9 s" in text) == (stops is None, stops is not None)
    assert "from its new home" not in text
    assert ("never" in text) is (stops is not None)
    assert ("was answered by n1 meanwhile" in text) is (stops is not None)


@pytest.mark.parametrize("terminal", [True, False], ids=["terminal", "pipe"])
def test_no_recorded_line_is_cut_that_a_finding_rests_on(terminal: bool) -> None:
    """Into a pipe each is one line, on a terminal it goes on below: what differs between two of them is often at the end."""
    stages = [(entry.index, event.stage) for entry, event in a_run([]).history.each(FaultStage)]
    lines = tuple(index for index, _ in stages)
    run = a_run([finding := Finding("quorum", Verdict.BROKEN, "a summary that is long " * 10, evidence=lines)])
    written = io.StringIO()
    Console(file=written, width=60, force_terminal=terminal, color_system=None).print(evidence(run, finding))
    said = written.getvalue()
    assert len(said.splitlines()) == 1 + len(lines) if not terminal else max(map(len, said.splitlines())) <= 60
    whole = "".join(said.split())
    assert all(f'"stage":"{stage}"' in whole for _, stage in stages)


def test_a_run_whose_test_failed_by_itself_says_so_beside_its_verdict() -> None:
    """What the cluster kept says nothing of the test's own assertions."""
    run = a_run([Finding("quorum", Verdict.HELD, "fine")])
    story = History.of_events(
        *((entry.time, entry.event) for entry in run.history.entries), (70.0, Note(f"{TEST_ENDED}body (AssertionError: 3 == 4)"))
    )
    lines = shown(headline(replace(run, history=story)), 100)
    assert lines[0].startswith("HELD")
    assert lines[1] == "its test ended in its body (AssertionError: 3 == 4)"
    assert "its test ended" not in " ".join(shown(headline(run), 100))
