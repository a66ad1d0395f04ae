"""`whalefall list`, `show` and `judge`: runs that were."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import types
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import Result

from harness import cli
from harness.core.clock import SystemClock
from harness.core.values import Finding, Phase, Verdict
from harness.faults.power import NodeKill
from harness.history.events import STOPPED_EARLY, History, Note, PhaseBegan
from harness.history.recorder import Recorder
from harness.host.processes import REAPER
from harness.runs.run import Run, save_verdict
from harness.undo.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
from tests.unit.commanding import a_plan, conducted, judging


def test_list_shows_runs_also_those_that_were_killed(call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    """What a killed run lacks is a question mark."""
    monkeypatch.setenv("COLUMNS", "100")
    assert "no runs in results yet" in call("list").output
    conducted(monkeypatch, Verdict.BROKEN)
    call("run", "a.yaml", "--seed", "42")
    killed = Path("results/killed")
    killed.mkdir()
    (killed / "plan.json").write_text("{}")
    rows = {line.split()[0]: line.split() for line in call("list").output.splitlines() if line.split()[:1] in (["run-1"], ["killed"])}
    assert rows["run-1"][1:6] == ["broken", "node-kill", "fleet", "nspawn", "42"]
    assert re.fullmatch(r"[0-9]+\.[0-9]{2}", rows["run-1"][8])  # however long this machine took
    assert rows["killed"][1:] == ["not", "judged", "?", "?", "?", "?", "?", "?"]


class SetClock(SystemClock):
    """A clock that shows what it was set to."""

    time = 0.0

    def now(self) -> float:
        """Return the time that was set."""
        return self.time


@pytest.mark.parametrize(
    ("noted", "said"),
    [(STOPPED_EARLY, "stopped"), ("ended early: waited 45 s for n1", "failed"), ("ended early: Stopped: the run was stopped", "stopped")],
)
@pytest.mark.parametrize("judged", [False, True], ids=["not judged", "judged since"])
def test_list_tells_apart_why_a_run_has_no_verdict(call: Callable[..., Result], noted: str, said: str, *, judged: bool) -> None:
    """Stopped by somebody is no failure; that a judge says unknown of what is there of either changes nothing."""
    folder = Path("results/a-run")
    folder.mkdir(parents=True)
    (folder / "plan.json").write_text(json.dumps({"scenario": "x", "mode": "fleet", "provider": "nspawn", "seed": 1}))
    clock = SetClock()
    with Recorder(folder / "history.jsonl", clock, "a-run") as recorder:
        recorder.record(PhaseBegan(Phase.FORMING))
        clock.time += 12.0
        recorder.record(Note(noted))
        clock.time += 30.0
    if judged:
        save_verdict(
            Run("a-run", folder, a_plan(), History.load(folder / "history.jsonl"), [Finding("quorum", Verdict.UNKNOWN, "it ends")])
        )
    (row,) = (line.split() for line in call("list").output.splitlines() if line.split()[:1] == ["a-run"])
    assert row[1] == said
    assert row[-1] == "12.0"


@pytest.fixture
def reaper(tmp_path: Path) -> Callable[[Path], contextlib.AbstractContextManager[None]]:
    """What stands in for a run's reaper, as its harness's child: us."""
    (tmp_path / "harness" / "undo").mkdir(parents=True)
    (tmp_path / "harness" / "__init__.py").touch()
    (tmp_path / "harness" / "undo" / "__init__.py").touch()
    (tmp_path / "harness" / "undo" / "reaper.py").write_text("import sys\nprint('there', flush=True)\nsys.stdin.read()\n")

    @contextlib.contextmanager
    def of(folder: Path) -> Iterator[None]:
        argv = [sys.executable, "-m", REAPER, folder.name, str((folder / "ledger.jsonl").resolve()), "nspawn"]
        with subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}
        ) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == b"there\n"
            yield
            child.communicate()

    return of


def beginning(name: str = "a-run") -> Path:
    """Return the folder of a run with its plan in it."""
    folder = Path("results") / name
    folder.mkdir(parents=True)
    (folder / "plan.json").write_text(json.dumps({"run": name, **a_plan().to_json()}))
    return folder


def rows(call: Callable[..., Result]) -> dict[str, str]:
    """Return what `list` says of each run."""
    found = [line.split() for line in call("list").output.splitlines()]
    return {each[0]: " ".join(each[1:3]) if each[1:2] == ["not"] else each[1] for each in found if each[:1] and each[0].endswith("-run")}


def test_list_asks_who_writes_a_run_before_what_lies_there(call: Callable[..., Result], reaper: Any) -> None:
    """As long as its harness has its history open it goes, whatever verdict lies there; then it is ending until its reaper is gone."""
    folder = beginning()
    beginning("b-run")
    with Recorder(folder / "history.jsonl", SystemClock(), "a-run") as recorder, reaper(folder):
        assert rows(call) == {"a-run": "running", "b-run": "not judged"}
        save_verdict(Run("a-run", folder, a_plan(), History.of_events(), [Finding("quorum", Verdict.UNKNOWN, "halfway")]))
        assert rows(call)["a-run"] == "running"
        recorder.close()
        assert rows(call)["a-run"] == "unknown"
        (folder / "verdict.json").unlink()
        assert rows(call)["a-run"] == "ending"
    assert rows(call)["a-run"] == "not judged"


@pytest.mark.parametrize("judged", [False, True], ids=["not judged", "judged since"])
def test_a_run_that_was_killed_says_so_first_and_what_is_still_broken(call: Callable[..., Result], *, judged: bool) -> None:
    """Its history ends in the middle, and nobody could note why: what nobody can tell of it is no verdict, whoever judged it since."""
    folder = beginning()
    with Recorder(Path("as-it-was"), SystemClock(), "a-run") as recorder:
        recorder.record(PhaseBegan(Phase.FORMING))
        shutil.copy("as-it-was", folder / "history.jsonl")
    Ledger(folder / "ledger.jsonl", "a-run", "nspawn", "fleet", SystemClock()).open(1, NodeKill(), ["n1"])
    if judged:
        assert call("judge").exit_code == 3
    assert rows(call)["a-run"] == "killed"
    shown = call("show").output
    assert re.match(r"KILLED  the harness ended at \d[\d.]* s without saying why: killed, its machine down, or its disk full\n", shown)
    assert "evidence: the end of results/a-run/history.jsonl\n" in shown
    assert shown.endswith("NOT known to be mended: node.kill on n1; `whalefall heal a-run` mends it\n")


def test_no_command_judges_a_run_that_still_goes(call: Callable[..., Result], reaper: Any) -> None:
    """Show says first that it goes, and how far it is; judge, and the evidence of a verdict that there is not, are bad usage. Nothing is written."""
    folder = beginning()
    with Recorder(folder / "history.jsonl", SystemClock(), "a-run") as recorder, reaper(folder):
        for phase in (None, Phase.FORMING, Phase.FAULTS):
            if phase is not None:
                recorder.record(PhaseBegan(phase))
            for named in ("a-run", "latest", "results/a-run"):
                shown = call("show", named)
                assert shown.exit_code == 0
                assert re.match(
                    rf"RUNNING  {phase + ', ' if phase else ''}\d[\d.]* s so far, not judged yet: node-kill, fleet", shown.output
                )
                assert f"process {os.getpid()} writes it" in shown.output
                assert not re.search("unknown|held|broken", shown.output, re.IGNORECASE)
        body = json.loads(call("show", "--json").output)
        assert (body["running"], body.get("verdict")) == (os.getpid(), None)
        for refused in (call("judge", "a-run"), call("show", "--evidence", "quorum")):
            assert refused.exit_code == 2
            assert refused.output == (
                f"results/a-run: a run that is still in progress: process {os.getpid()} is writing it; expected a run that is over; "
                "`whalefall show results/a-run` shows how far it is, and it is judged at its end\n1 problem; nothing was done\n"
            )
        assert not (folder / "verdict.json").exists()
        recorder.record(Note(STOPPED_EARLY))
        assert call("show").output.startswith("STOPPED")
        recorder.record(PhaseBegan(Phase.DONE))
        recorder.close()
        assert call("judge").exit_code == 3


@pytest.mark.parametrize(
    ("checker", "words"),
    [
        ("quorun", ["an unknown checker 'quorun'", "expected one of quorum", "did you mean 'quorum'?"]),
        ("writes", ["the checker 'writes', which judged nothing in this run", "expected one of quorum"]),
    ],
)
def test_evidence_of_a_checker_that_found_nothing_is_bad_usage(
    call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, checker: str, words: list[str]
) -> None:
    """A slip of the pen and a promise that was not made are told apart."""
    conducted(monkeypatch, Verdict.HELD)
    call("run", "a.yaml")
    judging(monkeypatch, Verdict.HELD)
    result = call("show", "--evidence", checker)
    assert result.exit_code == 2
    assert all(word in result.output for word in words)
    assert "there are no single lines for a promise that was kept" in call("show", "--evidence", "quorum").output


def test_evidence_of_a_checker_that_was_promised_more_than_once_is_that_of_all_its_findings(
    call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worst first: the report says that this shows what convicts."""
    conducted(monkeypatch, Verdict.BROKEN)
    call("run", "a.yaml")
    judging(monkeypatch, Verdict.BROKEN)
    lines = call("show", "--evidence", "single").output.splitlines()
    assert [line for line in lines if "  single: " in line] == ["BROKEN  single: of db", "HELD  single: of web"]


def test_list_gives_a_runs_length_as_its_verdict_does(call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    """One run is one length everywhere, whatever came after its end in the history."""
    monkeypatch.setenv("COLUMNS", "100")
    conducted(monkeypatch, Verdict.HELD)
    call("run", "a.yaml")
    file = Path("results/run-1/verdict.json")
    file.write_text(json.dumps({**json.loads(file.read_text()), "seconds": 936.2}))
    (row,) = (line.split() for line in call("list").output.splitlines() if line.split()[:1] == ["run-1"])
    assert row[8] == "936.2"


def test_show_as_json_is_the_plan_and_the_verdict(call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    """For programs."""
    conducted(monkeypatch, Verdict.HELD)
    call("run", "a.yaml")
    body = json.loads(call("show", "--json").output)
    assert (body["run"], body["verdict"], body["plan"]["scenario"], len(body["findings"])) == ("run-1", "held", "node-kill", 1)


@pytest.mark.parametrize(("verdict", "status"), [(Verdict.HELD, 0), (Verdict.BROKEN, 1), (Verdict.UNKNOWN, 3)])
def test_judge_ends_with_the_new_verdict(
    call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, verdict: Verdict, status: int
) -> None:
    """By the start of an id; show says the same and ends with 0."""
    conducted(monkeypatch, Verdict.HELD)
    call("run", "a.yaml")
    judging(monkeypatch, verdict)
    result = call("judge", "run")
    assert result.exit_code == status
    assert "judged anew" in result.output
    shown = call("show", "run-1")
    assert shown.exit_code == 0
    assert "judged anew" in shown.output


@pytest.mark.parametrize("args", [(), ("--evidence", "quorum")])
def test_a_run_that_comes_out_otherwise_than_it_was_kept_says_so(
    call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, args: tuple[str, ...]
) -> None:
    """`list` and `--json` give what is kept, as a job in CI had it; `show` judges anew, with whatever checkers are installed now."""
    conducted(monkeypatch, Verdict.BROKEN)
    call("run", "a.yaml")
    folder = Path("results/run-1")
    judging(monkeypatch, Verdict.BROKEN)
    save_verdict(sys.modules["harness.runs.judge"].load(folder))
    assert "kept as" not in call("show", *args).output
    judging(monkeypatch, Verdict.HELD)
    last = call("show", *args).output.splitlines()[-1]
    words = "quorum was broken, and is held, single was broken, and is held"
    assert last == f"kept as broken, judged anew held: {words}; `whalefall judge results/run-1` keeps that"
    (folder / "verdict.json").unlink()
    assert "kept as" not in call("show", *args).output


def test_a_run_that_is_not_there_is_named(call: Callable[..., Result]) -> None:
    """And what there is."""
    for command in ("show", "judge", "heal"):
        result = call(command, "nothing")
        assert (result.exit_code, result.output) == (2, "no run 'nothing' in results; the newest there are: none yet\n")
        result = call(command, "no/folder")
        assert (result.exit_code, result.output) == (
            2,
            "no run in 'no/folder': there is no plan.json; give the folder of a run, or its id\n",
        )


def test_a_run_is_named_by_its_path_wherever_it_lies(call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    """As the report prints it: relative, absolute, from inside, through `latest`; by every command that takes a run."""
    conducted(monkeypatch, Verdict.HELD)
    call("run", "a.yaml", "--results", "else where")
    judging(monkeypatch, Verdict.BROKEN)
    here = Path("else where/run-1")
    (here.parent / "latest").symlink_to("run-1")
    healed = types.ModuleType("harness.undo.reaper")
    healed.__dict__["heal"] = lambda run_id, results, say: [say(f"{run_id} in {results}")]
    monkeypatch.setitem(sys.modules, "harness.undo.reaper", healed)
    for path in (str(here), f"./{here}", str(here.absolute()), f"{here}/", "else where/latest"):
        assert "judged anew" in call("show", path).output
        assert call("judge", path).exit_code == 1
        assert call("heal", path).output.startswith("run-1 in ")
    monkeypatch.chdir(here)
    assert "judged anew" in call("show", ".").output
    taking = {name for name, command in cli.main.commands.items() if any(each.name == "run" for each in command.params)}
    assert taking == {"show", "judge", "heal"}


@pytest.mark.parametrize(("columns", "shown"), [(60, False), (80, False), (100, False), (160, True)])
def test_list_is_narrow_on_a_narrow_terminal(
    call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, columns: int, *, shown: bool
) -> None:
    """Name, verdict, when and length, a run a line; the rest where there is room."""
    conducted(monkeypatch, Verdict.BROKEN)
    call("run", "a.yaml", "--seed", "42")
    folder = Path("results/run-1").rename("results/partition-majority-fleet-s923456-1128-205544-8fd7")
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = call("list").output.splitlines()
    (row,) = [line for line in lines if folder.name in line]
    assert row.split()[1] == "broken"
    assert re.fullmatch(r"\d+\.\d+" if shown else "s", row.split()[-1])
    assert ("nspawn" in row) is shown
    assert max(len(line.rstrip()) for line in lines) <= max(80, columns), "no terminal breaks a row that has another form"
