"""The folder that all runs lie in: which is meant by a name, and what a verdict file holds."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from harness.core.errors import NoSuchRun, UnknownRun
from harness.core.values import Finding, Verdict
from harness.history.events import History
from harness.plan import Plan
from harness.runs.run import EXIT, Run, find, folders, save_verdict

PLAN = Plan("sample", "", "", "fleet", "nspawn", 1, "default", {}, (), (), (), (), 1.0, (), (), None)


def run(folder: Path, *found: Finding) -> Run:
    """Return a judged run."""
    return Run(folder.name, folder, PLAN, History([]), found, {"web@1": {"running": 30.5, "serving": None}})


def results(folder: Path, *names: str) -> Path:
    """Make runs of these names, the oldest first; `latest` points to the newest."""
    for age, name in enumerate(names):
        (folder / name).mkdir()
        (folder / name / "plan.json").touch()
        os.utime(folder / name / "plan.json", (1000 + age, 1000 + age))
    if names:
        (folder / "latest").symlink_to(names[-1])
    return folder


# -- runs


def test_the_worst_finding_is_the_verdict(tmp_path: Path) -> None:
    """Broken before unknown before held, in any order."""
    held, unknown, broken = (Finding(str(each), each, "") for each in (Verdict.HELD, Verdict.UNKNOWN, Verdict.BROKEN))
    assert run(tmp_path, held, held).verdict is Verdict.HELD
    assert run(tmp_path, held, unknown, held).verdict is Verdict.UNKNOWN
    assert run(tmp_path, unknown, broken, held).verdict is Verdict.BROKEN


def test_no_finding_is_unknown(tmp_path: Path) -> None:
    """Silence is not a pass."""
    assert run(tmp_path).verdict is Verdict.UNKNOWN


def test_a_finding_is_found_by_its_checker(tmp_path: Path) -> None:
    """All of them, the worst first: a checker may have been promised more than once."""
    held, unknown, broken, other = (
        Finding(name, verdict, "")
        for name, verdict in (
            ("single", Verdict.HELD),
            ("single", Verdict.UNKNOWN),
            ("single", Verdict.BROKEN),
            ("conflicts", Verdict.BROKEN),
        )
    )
    assert run(tmp_path, held, other, unknown, broken).found_by("single") == [broken, unknown, held]
    assert run(tmp_path, held).found_by("quorum") == []


def test_every_verdict_has_an_exit_status_of_its_own() -> None:
    """Those that scripts rely on; 2 and 4 are kept for what is no verdict."""
    assert EXIT == {Verdict.HELD: 0, Verdict.BROKEN: 1, Verdict.UNKNOWN: 3}


def test_a_verdict_file_holds_every_finding(tmp_path: Path) -> None:
    """All fields, in order, as text that people can read."""
    save_verdict(
        run(
            tmp_path,
            Finding("conflicts", Verdict.HELD, "größer – never two", {"seconds": 1.5}, (3, 4)),
            Finding("quorum", Verdict.UNKNOWN, "nobody asked"),
        )
    )
    text = (tmp_path / "verdict.json").read_text(encoding="utf-8")
    assert json.loads(text) == {
        "verdict": "unknown",
        "findings": [
            {"checker": "conflicts", "verdict": "held", "summary": "größer – never two", "details": {"seconds": 1.5}, "evidence": [3, 4]},
            {"checker": "quorum", "verdict": "unknown", "summary": "nobody asked", "details": {}, "evidence": []},
        ],
        "recovery": {"web@1": {"running": 30.5, "serving": None}},
        "seconds": 0.0,
    }
    assert "größer" in text
    assert text.endswith("}\n")


# -- folders


def test_runs_are_listed_oldest_first(tmp_path: Path) -> None:
    """By when they were planned, not by name; the link to the newest is not one more, nor is what has no plan."""
    results(tmp_path, "zebra", "ant", "mole")
    (tmp_path / "no-plan").mkdir()
    (tmp_path / "a-file").touch()
    assert [each.name for each in folders(tmp_path)] == ["zebra", "ant", "mole"]


def test_copies_of_runs_stay_in_their_order(tmp_path: Path) -> None:
    """As they say when they began, and not by when their files were written; one that says nothing of use goes by that."""
    results(tmp_path, "last", "first", "odd", "mute")
    for name, started in (("last", "1970-01-01T02:00:00+00:00"), ("first", "1970-01-01T01:00:00+01:00"), ("odd", "soon")):
        (tmp_path / name / "environment.json").write_text(f'{{"started": "{started}"}}')
    assert [each.name for each in folders(tmp_path)] == ["first", "odd", "mute", "last"]
    (tmp_path / "latest").unlink()
    assert find(tmp_path, "latest").name == "last"


def test_where_no_run_was_made_there_is_none(tmp_path: Path) -> None:
    """Neither in an empty folder nor where there is no folder, nor in a file."""
    (tmp_path / "file").touch()
    assert folders(tmp_path) == folders(tmp_path / "missing") == folders(tmp_path / "file") == []


def test_a_run_is_found_by_id_by_its_start_and_as_the_latest(tmp_path: Path) -> None:
    """As long as there is no doubt."""
    results(tmp_path, "kill-1", "cut-2", "cut-1")
    assert find(tmp_path, "kill-1").name == "kill-1"
    assert find(tmp_path, "k").name == "kill-1"
    assert find(tmp_path, "latest").name == "cut-1"


def test_a_run_is_found_by_the_name_that_a_shell_makes_of_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a slash at its end, from inside the folder of results, with blanks and a dash in its name."""
    results(tmp_path, "kill-1", "-x y", "cut-1")
    assert find(tmp_path, "kill-1/").name == "kill-1"
    assert find(tmp_path, "latest/").name == "cut-1"
    monkeypatch.chdir(tmp_path)
    for name in ("kill-1", "kill-1/", "./kill-1", "kill-1/.", "-x y", "./-x y/"):
        assert find(Path("results"), name).resolve() == tmp_path / name.strip("./")


@pytest.mark.parametrize("name", ["x" * 300, f"{'x' * 300}/y", "a\0b/c", "x" * 5000], ids=["long", "part", "nul", "longer"])
def test_what_can_be_no_path_is_an_unknown_run(tmp_path: Path, name: str) -> None:
    """And bad usage, not a failure of ours."""
    results(tmp_path, "kill-1")
    with pytest.raises(UnknownRun, match="no run"):
        find(tmp_path, name)


def test_a_whole_id_is_not_the_start_of_another(tmp_path: Path) -> None:
    """Where it is both, it is meant as an id."""
    results(tmp_path, "cut-1", "cut-10", "cut-11")
    assert find(tmp_path, "cut-1").name == "cut-1"


def test_a_start_of_several_ids_is_refused(tmp_path: Path) -> None:
    """All of them are named."""
    results(tmp_path, "cut-1", "cut-2", "kill-1")
    with pytest.raises(NoSuchRun, match="'cut' is the start of 2 runs: cut-1, cut-2; give more of it"):
        find(tmp_path, "cut")


def test_an_unknown_run_is_refused_with_those_there_are(tmp_path: Path) -> None:
    """The newest five."""
    results(tmp_path, *(f"r{number}" for number in range(1, 8)))
    with pytest.raises(NoSuchRun, match=r"no run 'x' in .*; the newest there are: r3, r4, r5, r6, r7$"):
        find(tmp_path, "x")


@pytest.mark.parametrize("name", ["latest", "x"])
def test_without_any_run_nothing_is_found(tmp_path: Path, name: str) -> None:
    """Not even a latest one."""
    with pytest.raises(NoSuchRun, match="none yet"):
        find(tmp_path, name)


def test_a_link_whose_run_is_gone_is_not_the_latest(tmp_path: Path) -> None:
    """The newest that is there is."""
    results(tmp_path, "cut-1")
    (tmp_path / "latest").unlink()
    (tmp_path / "latest").symlink_to("gone")
    assert find(tmp_path, "latest").name == "cut-1"
