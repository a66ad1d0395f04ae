"""Runs side by side: their figures, what they show, and how both are given; from histories that are told by hand."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from rich.console import RenderableType

from harness.checkers import Assumptions, Availability, Conflicts, Rescheduled
from harness.checkers.expected import Expected
from harness.checkers.judging import SHOWN
from harness.core.values import App, Budget, Json, NodeSpec, Term, Verdict
from harness.faults.power import NodeKill
from harness.history.events import ENDED_EARLY, STOPPED_EARLY, Note
from harness.history.recovery import recovery
from harness.plan import Plan
from harness.plan.beside import measured
from harness.reports.card_views import COLUMNS, cells, markdown, shown
from harness.reports.conclusions import conclusions
from harness.reports.run_figures import LISTED, Budgeted, Came, Cases, RunFigures, StepFigure, figures_of
from harness.reports.scorecard import Left, ModeRow, Spread, card_of, json_of
from harness.runs import judge
from harness.runs.run import Run
from harness.steps import Break, Control, Hold, Wait
from harness.testing.histories import Story, node_kill
from harness.workloads.http import Http
from tests.unit.reporting import shown as drawn

BUDGET = Budget((Term("agent_ttl", 30.0, "fleet.conf"), Term("start", 8.0, "measured")))
EXPECTED = Expected(("n1", "n2", "n3"), (("http", "web"),), called=("web@1", "web@2"), instances=("web@1", "web@2"))
PLAN = Plan(
    scenario="node-kill",
    why="It is judged.",
    file="node-kill.yaml",
    mode="fleet",
    provider="nspawn",
    seed=7,
    profile="default",
    timers={"agent_ttl": 30.0},
    nodes=tuple(NodeSpec(f"n{number}", f"10.77.0.{10 + number}") for number in (1, 2, 3)),
    apps=(App("web", 2, conflicts=True),),
    workloads=(Http("web"),),
    steps=(Wait(5.0), Break(NodeKill(), "hosting(web) & any", Hold(60.0))),
    settle=90.0,
    checks=(),
    promises=(Assumptions(EXPECTED), Rescheduled("web", budgets={"node.kill": BUDGET})),
    control=None,
    budgets={"node.kill": BUDGET},
    observers={"host": ("n1", "n2", "n3"), "docker": ("n1", "n2", "n3"), "placement": ("n1", "n2", "n3")},
)


def text_of(what: RenderableType, width: int = 200) -> str:
    """Return what a console of so many columns shows."""
    return "\n".join(drawn(what, width))


def judged(story: Story, plan: Plan = PLAN, run_id: str = "r1") -> RunFigures:
    """Judge a story as a kept run is judged, and return its figures."""
    history = story.history()
    run = Run(run_id, Path("results") / run_id, plan, history, judge.findings(plan, history), recovery(history, plan.expected.voters))
    return figures_of(run, judge.figures(run))


def figures(run: str, *, mode: str = "fleet", word: str = "held", running: float | None = 20.0, **changed: object) -> RunFigures:
    """Return the figures of a run that lost one instance, which ran again after so long; None: never."""
    step = StepFigure(Came.NEVER) if running is None else StepFigure(Came.MEASURED, running)
    made = RunFigures(
        run, "node-kill", mode, "nspawn", "default", 7, word, lost=1, steps=dict.fromkeys(("noticed", "placed", "running", "serving"), step)
    )
    none = Cases(0, 0.0)
    made = replace(made, violations=none, double_run=none, disagreements=none, gap=running, budget=Budgeted.WITHIN, allowed=(38.0,))
    return replace(made, **changed)  # type: ignore[arg-type]  # by the names of its fields


# -- one run


def test_a_run_has_the_figures_that_its_report_has() -> None:
    """Of the recovery, of the finding that judged it, and of what was measured beside."""
    found = judged(node_kill())
    assert (found.word, found.lost, found.stayed, found.budget, found.allowed) == ("held", 1, 0, Budgeted.WITHIN, (38.0,))
    assert {step: each.seconds for step, each in found.steps.items()} == pytest.approx(
        {"noticed": 27.96, "placed": 28.96, "running": 30.16, "serving": 30.47}, abs=0.05
    )
    assert found.gap == pytest.approx(30.6, abs=0.2)
    assert (found.violations.count, found.double_run.count) == (0, 0)
    assert found.disagreements.longest == pytest.approx(27.96, abs=0.1)


def test_what_a_run_promises_is_not_asked_a_second_time() -> None:
    """A finding about all of a run is its figure; one about one fault's time, or about another app, is not."""
    history = node_kill().history()
    for promise, asked in (
        (Conflicts(), ["availability"]),
        (Conflicts(during=("kill",)), ["conflicts", "availability"]),
        (Conflicts(app="web"), ["conflicts", "availability"]),
        (Availability("web", 0.5, 60.0), ["conflicts"]),
        (Availability("db", 0.5, 60.0), ["conflicts", "availability"]),
    ):
        plan = replace(PLAN, promises=(Assumptions(EXPECTED), promise))
        names: list[str] = []

        def ask(checkers: object, plan: Plan = plan, names: list[str] = names) -> object:
            names.extend(each.name for each in checkers)  # type: ignore[attr-defined]
            return judge.findings(replace(plan, promises=tuple(checkers)), history)  # type: ignore[arg-type]

        found = measured(plan, judge.findings(plan, history), ask)  # type: ignore[arg-type]
        assert (names, found.copies.checker, [each.checker for each in found.gaps]) == (asked, "conflicts", ["availability"])


def test_a_rule_that_nobody_has_is_not_broken_and_one_that_is_there_is() -> None:
    """Two on one node convict where the app has the rule; without any rule the cell says so, whatever ran where."""
    story = node_kill().node(45.0, "n3", "web@2", "web@1").node(47.0, "n3", "web@2", "web@1").node(49.0, "n3", "web@2")
    broken = judged(story)
    assert (broken.violations.count, broken.ruled) == (1, True)
    assert broken.violations.longest == pytest.approx(4.0, abs=0.2)
    free = judged(story, replace(PLAN, apps=(App("web", 2, conflicts=False),)))
    assert (free.violations, free.ruled) == (Cases(), False)


def test_work_that_never_came_back_is_never_and_not_the_length_of_the_window() -> None:
    """Censored: what was not seen has no seconds."""
    story = node_kill().copy()
    gone = Story()
    for time, event in ((each.time, each.event) for each in story.history(beats=False).entries):
        names = {each.instance for each in getattr(event, "containers", ())}
        if not (getattr(event, "node", "") == "n3" and ("web@2" in names or getattr(event, "instance", "") == "web@2")):
            gone.tell(time, event)
    found = judged(gone.node(40.0, "n3"))
    assert found.steps["running"] == StepFigure(Came.NEVER)
    assert found.budget is not Budgeted.WITHIN


def test_where_nobody_calls_and_no_api_is_asked_there_is_nothing_to_measure() -> None:
    """That is neither never nor unknown."""
    plan = replace(PLAN, workloads=(), observers={"host": ("n1", "n2", "n3")}, mode="bare")
    found = judged(node_kill(), plan)
    assert {step: each.came for step, each in found.steps.items()} == {
        "noticed": Came.NOT_ASKED,
        "placed": Came.NOT_ASKED,
        "running": Came.MEASURED,
        "serving": Came.NOT_ASKED,
    }
    assert found.gap is None


@pytest.mark.parametrize(("text", "word"), [("stopped early", "stopped"), ("failed: no room", "failed"), ("", "killed")])
def test_a_run_that_did_not_come_to_its_end_has_a_word_and_no_figures(text: str, word: str) -> None:
    """It counts by that word."""
    story = Story().node(0.5, "n1", "web@1")
    if word == "stopped":
        story.tell(3.0, Note(STOPPED_EARLY))
    elif word == "failed":
        story.tell(3.0, Note(f"{ENDED_EARLY}{text}"))
    history = story.history()
    if word == "killed":
        history = type(history)(history.entries, closed=False)
    run = Run("r1", Path("r1"), PLAN, history, judge.findings(PLAN, history))
    found = figures_of(run, None)
    assert (found.word, found.judged, found.steps) == (word, False, {})


def test_a_mode_is_told_with_what_runs_in_the_place_of_upstreams_daemons() -> None:
    """Nobody takes its figures for upstream's."""
    assert judged(node_kill(), replace(PLAN, distribution="stand-in")).mode == "fleet (stand-in)"


def test_a_control_counts_by_whether_it_came_out_as_it_must() -> None:
    """Its own verdict is the wrong word for that."""
    plan = replace(PLAN, control=Control(Verdict.HELD, "rescheduled"))
    assert judged(node_kill(), plan).right is True
    assert judged(node_kill(), replace(plan, control=Control(Verdict.BROKEN, "rescheduled"))).right is False


def test_as_many_cases_are_listed_as_a_finding_lists() -> None:
    """From that number on there may be more."""
    assert LISTED == SHOWN


# -- rows


def test_runs_that_never_recovered_are_counted_apart() -> None:
    """Minimum, median and maximum are of those that did."""
    row = ModeRow(
        "fleet", "nspawn", "default", tuple(figures(f"r{n}", running=seconds) for n, seconds in enumerate((12.1, 19.3, None, 15.0)))
    )
    assert row.step("running") == Spread(3, 12.1, 15.0, 19.3, never=1)
    assert cells(row, "fleet")[COLUMNS.index("running")] == "12.1 · 15.0 · 19.3, 1 never"


def test_every_run_counts_somewhere() -> None:
    """Also those without a verdict, by their word and by name."""
    words = ("held", "broken", "unknown", "stopped", "failed", "killed", "running", "not run", "cannot be read")
    card = card_of([figures(f"run-{number}", word=word, cause="why") for number, word in enumerate(words)])
    (row,) = card.tables[0].rows
    assert row.words == dict.fromkeys(words, 1)
    said = " ".join(f"{each.text} {' '.join(each.runs)}" for each in conclusions(card))
    assert all(f"run-{number}" in said for number in range(len(words)))
    assert all(f"({word})" in said for word in words[3:])


def test_a_mode_that_a_scenario_is_not_for_is_a_row_with_its_reason() -> None:
    """Beside those that it is for, in every form."""
    card = card_of([figures("r1")], [Left("node-kill", "other", "it has no nodes")])
    said = conclusions(card)
    assert "it has no nodes" in text_of(shown(card, said))
    assert "| other | not for this mode: it has no nodes |" in markdown(card, said)
    assert {"mode": "other", "not_for": "it has no nodes"} in rows_of(json_of(card, said))


def test_runs_with_other_timers_are_a_row_of_their_own() -> None:
    """What is set against each other has the same timers and the same kind of nodes."""
    card = card_of([figures("r1"), replace(figures("r2", running=3.0), profile="fast")])
    assert [(row.mode, row.profile) for row in card.tables[0].rows] == [("fleet", "default"), ("fleet", "fast")]
    assert "fleet with fast timers" in markdown(card, conclusions(card))
    assert "sooner" not in str(conclusions(card))


def rows_of(body: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of a card's JSON, of all tables."""
    return [row for table in body["scenarios"] for row in table["modes"]]


# -- what they show


def said(*runs: RunFigures) -> list[tuple[str, tuple[str, ...]]]:
    """Return the conclusions of some runs."""
    return [(each.text, each.runs) for each in conclusions(card_of(runs))]


def test_sentences_name_the_runs_that_they_rest_on() -> None:
    """How many held, from when to when work ran again, and which run exceeded its budget."""
    runs = [figures("r1", running=12.1), figures("r2", running=19.3), figures("r3", running=15.0)]
    assert said(*runs) == [
        ("fleet kept every promise of node-kill in all 3 runs; lost work ran again 12.1–19.3 s after the loss", ("r1", "r2", "r3"))
    ]
    late = figures("r4", word="broken", running=50.0, budget=Budgeted.EXCEEDED, cause="rescheduled: web@2 ran too late")
    assert said(*runs, late)[1:] == [
        ("fleet broke a promise of node-kill: rescheduled: web@2 ran too late", ("r4",)),
        ("in fleet the work that node-kill took away ran again in all 4 runs, 12.1–50.0 s after the loss", ("r1", "r2", "r3", "r4")),
        ("fleet exceeded its budget in node-kill once (38 s allowed)", ("r4",)),
    ]


@pytest.mark.parametrize(
    ("fleet", "other", "sooner"),
    [
        ([20.0, 30.0], [10.0, 19.0], True),
        ([20.0, 30.0], [10.0, 21.0], False),  # they overlap
        ([20.0, None], [10.0, 11.0], False),  # one never came back
        ([20.0], [19.99], False),  # they read the same
    ],
)
def test_modes_are_set_against_each_other_only_where_every_run_differs(
    fleet: list[float | None], other: list[float | None], *, sooner: bool
) -> None:
    """What overlaps is no difference."""
    runs = [figures(f"f{n}", running=each) for n, each in enumerate(fleet)]
    runs += [figures(f"o{n}", mode="other", running=each) for n, each in enumerate(other)]
    assert any("sooner in other" in text for text, _ in said(*runs)) is sooner


def test_an_api_that_lags_no_longer_than_a_loss_goes_unnoticed_is_told_as_such() -> None:
    """It is in the table of each run, so the sentence says which of them it counts: those in which it lagged for longer."""
    runs = [figures(run, disagreements=Cases(1, lag)) for run, lag in (("r1", 20.0), ("r2", 31.5))]  # either loss was noticed after 20 s
    lagged = (
        "the API of fleet contradicted the nodes in node-kill for longer than any loss took to be noticed, for up to 31.5 s, in 1 of 2 runs"
    )
    assert said(*runs)[1:] == [(lagged, ("r2",))]


def test_modes_are_not_set_against_each_other_by_runs_that_nobody_can_judge() -> None:
    """And those of a busy machine are called that."""
    assert not any(
        "sooner" in text for text, _ in said(figures("r1"), figures("r2", mode="other", running=3.0, word="unknown", cause="why"))
    )
    busy = figures("r2", mode="other", running=3.0, overloaded=("too much to do",))
    assert [text.endswith(", on a machine with too much to do") for text, _ in said(figures("r1"), busy) if "sooner" in text] == [True]


def test_runs_of_an_overloaded_machine_are_marked_and_named() -> None:
    """Their times say little of the cluster."""
    card = card_of([figures("r1"), figures("r2", overloaded=("this machine was overloaded for 43.0 s",))])
    assert "2 held (1*)" in text_of(shown(card, []))
    assert any(each.runs == ("r2",) and "1 of 2 runs" in each.text for each in conclusions(card))


def test_runs_of_different_plans_are_not_taken_for_repeats_in_silence() -> None:
    """A file that was changed between two runs makes another scenario of the same name."""
    assert any("not of one plan" in text for text, _ in said(figures("r1", design="a"), figures("r2", design="b")))
    assert not any("not of one plan" in text for text, _ in said(figures("r1", design="a"), figures("r2", design="a")))
    assert judged(node_kill()).design == judged(node_kill(), replace(PLAN, seed=8, file="elsewhere.yaml")).design
    assert judged(node_kill()).design != judged(node_kill(), replace(PLAN, settle=91.0)).design


def test_what_others_wrote_is_text_in_every_form() -> None:
    """Names and reasons forge no row, no markup and no line, and no terminal obeys them."""
    bad = "x | y\n* **held** [a](http://evil.example) <b>\x1b[2J"
    card = card_of([replace(figures("r1", word="broken", cause=bad), scenario=bad)], [Left(bad, "m", bad)])
    texts = (markdown(card, conclusions(card)), text_of(shown(card, conclusions(card))))
    for text in texts:
        assert "\x1b" not in text
    assert not any(line.startswith("* **held**") for line in texts[0].splitlines())
    assert "[a](" not in texts[0]
    assert all(line.replace("\\|", "").count("|") == len(COLUMNS) + 1 for line in texts[0].splitlines() if line.startswith("| "))


def test_a_narrow_terminal_gets_a_paragraph_a_mode() -> None:
    """With every cell in it."""
    card = card_of([figures("r1", running=12.1)])
    text = text_of(shown(card, []), width=60)
    assert "running 12.1" in " ".join(text.split())
    assert "─" not in text


def test_the_json_says_null_where_nobody_can_tell() -> None:
    """And never zero; it has its format and version."""
    card = card_of([figures("r1", violations=Cases(), gap=None)])
    body = json_of(card, conclusions(card))
    (row,) = rows_of(body)
    assert (body["format"], body["version"]) == ("whalefall-scorecard", 1)
    assert (row["longest_gap"]["max"], row["longest_gap"]["unknown"]) == (None, 1)
    assert row["violations"] == {"runs": 0, "times": 0, "unknown": 1, "min": None, "median": None, "max": None}
    json.dumps(body, allow_nan=False)


def test_every_key_of_the_json_is_documented() -> None:
    """docs/scorecard.md is the format."""
    told = (Path(__file__).parents[2] / "docs" / "scorecard.md").read_text(encoding="utf-8")

    def keys(value: Json) -> set[str]:
        if isinstance(value, dict):
            return {*value, *(key for each in value.values() for key in keys(each))}
        return {key for each in value for key in keys(each)} if isinstance(value, list) else set()

    card = card_of([figures("r1")], [Left("node-kill", "m", "why")], ["x"])
    assert {each for each in keys(json_of(card, conclusions(card))) if f"`{each}`" not in told and f'"{each}"' not in told} <= {"text"}


# -- the command, from kept runs


def saved(results: Path, story: Story, plan: Plan = PLAN, run: str = "node-kill-1") -> Path:
    """Keep a run."""
    folder = results / run
    folder.mkdir(parents=True)
    (folder / "plan.json").write_text(json.dumps({"run": run, **plan.to_json()}), encoding="utf-8")
    story.save(folder / "history.jsonl")
    return folder


def test_a_card_is_made_of_kept_runs_and_of_folders_of_them(call: Callable[..., Result]) -> None:
    """By id, by path and by folder, each once; in a file by its suffix, whole."""
    saved(Path("results"), node_kill())
    saved(Path("more"), node_kill(), replace(PLAN, mode="swarm", seed=8), "node-kill-2")
    result = call("scorecard", "--from", "more", "node-kill-1", "results/node-kill-1")
    assert result.exit_code in {0, 1, 3}, result.output
    assert {"node-kill-1", "node-kill-2"} <= set(result.output.replace(",", " ").split())
    assert call("scorecard", "--from", "more", "--output", "card.json").output == "written to card.json\n"
    body = json.loads(Path("card.json").read_text())
    assert [row["mode"] for row in body["scenarios"][0]["modes"]] == ["swarm"]
    assert json.loads(call("scorecard", "--from", "more", "--format", "json").stdout)["format"] == "whalefall-scorecard"


def test_all_that_is_wrong_with_the_names_is_told_at_once(call: Callable[..., Result]) -> None:
    """A run that is not there, a folder without runs, a file that cannot be written."""
    Path("empty").mkdir()
    result = call("scorecard", "--from", "empty", "nowhere", "a/b", "--output", "gone/card.md")
    assert (result.exit_code, "4 problems; nothing was done" in result.output) == (2, True), result.output


def test_an_ending_that_says_no_format_is_told_before_anything_is_done(call: Callable[..., Result]) -> None:
    """Nobody finds terminal text where a table was asked for; --format says it for any name, and capitals are no difference."""
    saved(Path("results"), node_kill())
    result = call("scorecard", "--from", "nowhere", "--output", "card.xyz")
    assert (result.exit_code, "2 problems" in result.output) == (2, True), result.output
    assert "the ending '.xyz', which says no format; expected a name that ends with .md, .json, .txt" in " ".join(result.output.split())
    result = call("scorecard", "s.yaml", "--output", "card.html")
    assert (result.exit_code, "'.html'" in result.output) == (2, True), result.output
    assert call("scorecard", "--from", "--format", "json", "--output", "card.xyz").output == "written to card.xyz\n"
    assert json.loads(Path("card.xyz").read_text())
    for name in ("card", "card.txt", "card.MD"):
        assert call("scorecard", "--from", "--output", name).output == f"written to {name}\n"


@pytest.mark.parametrize(
    ("name", "words"), [("pipe", "no ordinary file"), ("to-a-pipe", "no ordinary file"), ("x" * 300, "cannot be written")]
)
def test_no_file_takes_the_place_of_a_device_or_a_pipe(call: Callable[..., Result], name: str, words: str) -> None:
    """As root that would be the machine's own /dev/null; and no name is a failure of ours."""
    saved(Path("results"), node_kill())
    os.mkfifo("pipe")
    Path("to-a-pipe").symlink_to("pipe")
    result = call("scorecard", "--from", "--output", name)
    assert (result.exit_code, words in result.output) == (2, True), result.output
    assert Path("pipe").is_fifo()


@pytest.mark.parametrize("there", [True, False])
def test_a_card_is_written_to_where_a_link_leads(call: Callable[..., Result], *, there: bool) -> None:
    """Also where that is not there yet."""
    saved(Path("results"), node_kill())
    Path("link.json").symlink_to("card")
    if there:
        Path("card").write_text("old")
    call("scorecard", "--from", "--output", "link.json")
    assert Path("link.json").is_symlink()
    assert json.loads(Path("card").read_text())["format"] == "whalefall-scorecard"


@pytest.mark.parametrize(
    "args", [("--repeats", "2"), ("--mode", "fleet"), ("--jobs", "2"), ("--seed", "1"), ("--profile", "fast"), ("--provider", "nspawn")]
)
def test_what_means_nothing_for_kept_runs_is_refused(call: Callable[..., Result], args: tuple[str, str]) -> None:
    """It would be ignored in silence."""
    result = call("scorecard", "--from", "x", *args)
    assert (result.exit_code, args[0] in result.output) == (2, True)


def linked(file: Path) -> None:
    """Put a link in place of a file."""
    file.unlink()
    file.symlink_to("/etc/passwd")


HOSTILE: dict[str, Callable[[Path], object]] = {
    "a plan that is none": lambda folder: (folder / "plan.json").write_text("[]"),
    "a plan of another type": lambda folder: (folder / "plan.json").write_text('{"scenario": 1, "mode": [], "seed": "x"}'),
    "half a plan": lambda folder: (folder / "plan.json").write_text('{"scenario": "s", "mode": "fleet", "seed": 1}'),
    "no history": lambda folder: (folder / "history.jsonl").unlink(),
    "a history that is none": lambda folder: (folder / "history.jsonl").write_bytes(b"\x00\xff\n{}\n"),
    "an environment that is none": lambda folder: (folder / "environment.json").write_text("{" * 9),
    "a link for a plan": lambda folder: linked(folder / "plan.json"),
}


@pytest.mark.parametrize("harm", HOSTILE, ids=str)
def test_a_run_that_cannot_be_read_is_named_beside_those_that_can(call: Callable[..., Result], harm: str) -> None:
    """A results folder is somebody else's: no traceback, no crash file, and the card of the others."""
    saved(Path("results"), node_kill())
    HOSTILE[harm](saved(Path("results"), node_kill(), run="node-kill-bad"))
    result = call("scorecard", "--from")
    assert result.exit_code == 4, result.output
    assert "node-kill-bad" in result.output
    assert "node-kill-1" in result.output
    assert "unexpectedly" not in result.output


def test_a_scorecard_whose_notes_cannot_be_read_hides_no_other_run(call: Callable[..., Result]) -> None:
    """Nor the runs that are in its folder."""
    saved(Path("results"), node_kill())
    saved(Path("results/scorecard-1"), node_kill(), run="node-kill-2")
    os.mkfifo("results/scorecard-1/campaign.json")
    result = call("scorecard", "--from")
    assert result.exit_code == 4, result.output
    assert all(each in result.output for each in ("node-kill-1", "node-kill-2", "campaign.json: a pipe"))


@pytest.mark.parametrize("body", ["[]", "{}", '{"format": "whalefall-campaign", "version": 1, "seed": "x", "not_for": []}', "x"])
def test_what_a_folder_of_runs_says_of_itself_is_checked(call: Callable[..., Result], body: str) -> None:
    """It may be anybody's, too."""
    saved(Path("card"), node_kill())
    Path("card", "campaign.json").write_text(body)
    result = call("scorecard", "--from", "card")
    assert (result.exit_code, "campaign.json" in result.output) == (2, True), result.output
