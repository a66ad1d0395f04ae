"""The `whalefall` command as a whole: its help, its usage, its exit statuses, and how it tells what went wrong."""

from __future__ import annotations

import dataclasses
import errno
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import Result

from harness import cli
from harness.cli import kept as reading
from harness.core.errors import HarnessError
from harness.core.values import Verdict
from harness.plan import Plan

if TYPE_CHECKING:
    from collections.abc import Callable
from tests.unit.commanding import a_plan, conducted, judging


def test_help_names_every_command_and_exit_status(call: Callable[..., Result]) -> None:
    """One screen to start from."""
    result = call("--help")
    assert result.exit_code == 0
    for command in ("claims", "doctor", "image", "plan", "report", "run", "judge", "list", "show", "heal", "sweep", "modes", "schema"):
        assert f"\n  {command} " in result.output
    assert "3  unknown" in result.output
    assert "130, 143  it was stopped" in result.output


@pytest.mark.parametrize("args", [[], ["image"]])
def test_a_command_that_is_given_nothing_shows_its_help(call: Callable[..., Result], args: list[str]) -> None:
    """As it is, line by line, and not as the text of a mistake."""
    result = call(*args)
    assert result.exit_code == 2
    assert result.output.rstrip() == call(*args, "--help").output.rstrip()


@pytest.mark.parametrize(
    ("statuses", "worst"),
    [([0], 0), ([0, 3], 3), ([3, 1], 1), ([1, 4, 0], 4), ([0, 0], 0), ([4, 3], 4), ([], 4)],
)
def test_the_worst_of_several_runs_counts(statuses: list[int], worst: int) -> None:
    """A failed harness before broken, broken before unknown, unknown before held."""
    assert cli.worst(statuses) == worst


@pytest.mark.parametrize("args", [["run"], ["run", "a.yaml", "--seed", "-1"], ["run", "a.yaml", "--profile", "slow"], ["dance"], ["plan"]])
def test_bad_usage_ends_with_2(call: Callable[..., Result], args: list[str]) -> None:
    """As for a bad scenario."""
    assert call(*args).exit_code == 2


def test_a_bug_is_one_line_and_a_file_with_the_details(call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    """No traceback on the screen, all of it beside the run."""
    conducted(monkeypatch, ZeroDivisionError("division by zero"))
    result = call("run", "a.yaml")
    assert result.exit_code == 4
    assert "Traceback" not in result.output
    assert "ZeroDivisionError: division by zero; please report this as a bug, with results/run-1/crash.txt" in result.output
    assert "Traceback" in Path("results/run-1/crash.txt").read_text()


def test_the_traceback_is_shown_where_it_is_asked_for(call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    """For those who work on the harness."""
    conducted(monkeypatch, ZeroDivisionError())
    monkeypatch.setenv("WHALEFALL_DEBUG", "1")
    assert "Traceback" in call("run", "a.yaml").output


def test_a_failure_says_its_cause_first_and_then_where_its_run_is(call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    """And the command that shows what was recorded until then."""
    conducted(monkeypatch, HarnessError("n2: no answer"))
    lines = call("run", "a.yaml", "--results", "else where").output.splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("whalefall failed"))
    assert lines[first] == "whalefall failed: n2: no answer"
    assert lines[-2:] == ["kept in else where/run-1", "evidence: whalefall show 'else where/run-1'"]


def test_a_bug_without_a_run_leaves_a_file_too(call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In the folder for temporary files."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(reading, "find", lambda results, run: 1 / 0)
    result = call("show")
    assert result.exit_code == 4
    (crash,) = tmp_path.glob("whalefall-crash-*.txt")
    assert str(crash) in result.output


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "cannot write results/run-1: No space left on device; make room"),
        (OSError(errno.EROFS, "Read-only", "a/b"), "cannot write a/b: Read-only file system; choose another folder with --results"),
        (PermissionError(errno.EACCES, "denied", "a/b"), "cannot write a/b: Permission denied; run it as a user who may do that"),
        (NotADirectoryError(errno.ENOTDIR, "no", b"a/b"), "cannot write a/b: Not a directory; a part of the path is a file"),
        (OSError(errno.EMFILE, "many", "a/b"), "cannot write a/b: Too many open files; raise the limit of open files (ulimit -n)"),
    ],
)
def test_an_error_of_the_environment_is_one_line_and_no_bug(
    call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, error: OSError, words: str
) -> None:
    """A path, a reason and what to do; nothing to report, no details beside the run."""
    conducted(monkeypatch, error)
    result = call("run", "a.yaml")
    assert result.exit_code == 4
    assert f"whalefall failed: {words}" in result.output
    assert "should not" not in result.output
    assert not Path("results/run-1/crash.txt").exists()


def test_any_other_error_of_the_system_is_still_a_bug(call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    """What we asked of the system the wrong way is not the user's fault."""
    conducted(monkeypatch, OSError(errno.EINVAL, "wrong", "a/b"))
    assert "please report this as a bug" in call("run", "a.yaml").output


@pytest.mark.parametrize("columns", ["40", "80", "100"])
def test_what_is_for_pasting_is_whole_however_narrow_the_console_is(
    call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, columns: str
) -> None:
    """By run, judge and show alike."""
    monkeypatch.setenv("COLUMNS", columns)
    conducted(monkeypatch, Verdict.HELD)
    results = tmp_path / "a-folder-of-results" / "that-has-a-long-name-as-those-of-build-machines-have-and-then-some"
    outputs = [call("run", "a.yaml", "--results", str(results)).output]
    judging(monkeypatch, Verdict.HELD)
    outputs += [call(command, "--results", str(results)).output for command in ("judge", "show")]
    for output in outputs:
        assert f"kept in {results}/run-1" in output.splitlines()
        assert f"evidence: whalefall show {results}/run-1" in output.splitlines()


@pytest.mark.parametrize(
    "file",
    ["it's $HOME; a & b.yaml", "-rf.yaml", "plain.yaml", "a\nb.yaml", "\x1b[2J it's \\x.yaml", "caf\udce9 \u202e.yaml", "!x `y`.yaml"],
)
def test_what_does_a_run_again_can_be_pasted(call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, file: str) -> None:
    """A shell makes the same words of it: the same file, seed and choices, from the same folder."""
    conductor = conducted(monkeypatch, Verdict.HELD, Verdict.HELD)
    plans: list[Path] = []

    def plan(path: Path, *, seed: int, **_: str | None) -> Plan:
        plans.append(path)
        return dataclasses.replace(a_plan(seed), file=str(path))

    monkeypatch.setattr("harness.plan.plan_of", plan)
    monkeypatch.setenv("WHALEFALL_INVENTORY", "hosts of mine.ini:a b")
    result = call("run", "--seed", "42", "--", file)
    line = next(line.removeprefix("again: ") for line in result.output.splitlines() if line.startswith("again: "))
    said = subprocess.run(["bash", "-c", f"printf '%s\\0' {line}"], capture_output=True, check=True).stdout
    words = [os.fsdecode(each) for each in said.split(b"\0")[:-1]]
    assert words[:2] == ["whalefall", "run"]
    assert call(*words[1:]).exit_code == 0
    assert plans[0].resolve() == plans[1].resolve()
    assert "--seed 42" in line
    assert len(conductor.given) == 2


@pytest.mark.parametrize("group", [[], ["image"]])
def test_no_command_is_told_of_in_half_a_sentence(call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, group: list[str]) -> None:
    """At 80 columns each has a line of its own in the help, whole."""
    monkeypatch.setenv("COLUMNS", "80")
    assert "..." not in call(*group, "--help").output.partition("Commands:")[2]
