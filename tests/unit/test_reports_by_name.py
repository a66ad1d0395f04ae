"""`whalefall report`: reports by their names, ours and those of plug-ins, of runs that were kept."""

from __future__ import annotations

import json
import os
import sys
import threading
import types
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

import pytest

from harness import registry
from harness.cli import reporting
from harness.core.clock import SystemClock
from harness.core.values import Phase, Verdict
from harness.history.events import PhaseBegan
from harness.history.recorder import Recorder
from harness.registry import entries
from harness.reports.written import WRITTEN
from harness.runs.run import Run
from tests.unit.commanding import a_plan, judging

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from click.testing import Result

    from harness.core.errors import Problem

MODULE = "whalefall_reports_of_others"


class Verdicts:
    """The verdict of each run. Nothing else."""

    name: ClassVar[str] = "acme.verdicts"

    def text(self, runs: Sequence[Run]) -> str:
        """Return a line for each."""
        return "".join(f"{run.run_id} {run.verdict}\n" for run in runs)


@pytest.fixture
def plugged(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Any], None]]:
    """Return what makes a class a plug-in's report."""
    others = types.ModuleType(MODULE)
    there: list[EntryPoint] = []
    monkeypatch.setitem(sys.modules, MODULE, others)
    monkeypatch.setattr(entries, "found", lambda: there)

    def plug(cls: Any) -> None:
        setattr(others, cls.__name__, cls)
        there.append(EntryPoint(cls.name, f"{MODULE}:{cls.__name__}", "whalefall.reports"))
        registry.installed.cache_clear()

    registry.installed.cache_clear()
    yield plug
    registry.installed.cache_clear()


def a_run(name: str) -> Path:
    """Leave a run, and return its folder."""
    folder = Path("results") / name
    folder.mkdir(parents=True)
    (folder / "plan.json").write_text(json.dumps({"run": name, **a_plan().to_json()}))
    with Recorder(folder / "history.jsonl", SystemClock(), name) as recorder:
        recorder.record(PhaseBegan(Phase.FORMING))
        recorder.record(PhaseBegan(Phase.DONE))
    return folder


def test_reports_are_listed_with_what_they_are_and_whose(call: Callable[..., Result], plugged: Callable[[Any], None]) -> None:
    """Ours first; the first sentence of what a class says of itself."""
    plugged(Verdicts)
    rows = [" ".join(line.split()) for line in call("report").output.splitlines()]
    assert "acme.verdicts The verdict of each run without a name without a version" in rows
    assert [name for row in rows if (name := row.partition(" ")[0]) in registry.known().reports] == [*registry.known().reports]
    assert "text Verdict, findings, recovery and timeline, as `show` prints them, without colours whalefall" in rows


def test_a_run_that_is_named_twice_is_one_run(
    call: Callable[..., Result], plugged: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """``results/*`` names the newest one by its link as well: what is counted over runs counts it once."""
    plugged(Verdicts)
    judging(monkeypatch, Verdict.BROKEN)
    for name in ("run-1", "run-2"):
        a_run(name)
    Path("results/latest").symlink_to("run-2")
    found = call("report", "acme.verdicts", "results/latest", "results/run-1", "run-2", "results/run-1/")
    assert found.output.split() == ["run-2", "broken", "run-1", "broken"]


def test_a_report_is_made_of_one_run_or_of_several(
    call: Callable[..., Result], plugged: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Judged anew; of the latest where none is named."""
    plugged(Verdicts)
    judging(monkeypatch, Verdict.BROKEN)
    for name in ("a-run", "b-run"):
        a_run(name)
    Path("results/latest").symlink_to("b-run")
    assert call("report", "acme.verdicts").output == "b-run broken\n"
    both = call("report", "acme.verdicts", "a-run", "results/b-run")
    assert (both.exit_code, both.output) == (0, "a-run broken\nb-run broken\n")


def test_the_text_is_what_show_prints(call: Callable[..., Result]) -> None:
    """Of one run; of more one below the other."""
    a_run("a-run")
    a_run("b-run")
    one = call("report", "text", "a-run").output
    assert [line.rstrip() for line in call("show", "a-run").output.splitlines()] == one.splitlines()
    assert call("report", "text", "a-run", "b-run").output == f"{one}\n{call('report', 'text', 'b-run').output}"


def test_the_json_has_each_run_as_it_is_kept(call: Callable[..., Result]) -> None:
    """Its plan, and what it is judged to be."""
    for name in ("a-run", "b-run"):
        a_run(name)
        call("judge", name)
    body = json.loads(call("report", "json", "a-run", "b-run").output)
    kept = [json.loads(call("show", "--json", name).output) for name in ("a-run", "b-run")]
    assert [{**each, "plan": None} for each in body] == [{**each, "plan": None} for each in kept]
    assert all(each["plan"].items() <= other["plan"].items() for each, other in zip(body, kept, strict=True))


def test_a_name_that_is_none_is_told_with_those_that_are(call: Callable[..., Result], plugged: Callable[[Any], None]) -> None:
    """With the file that cannot be written, and before any run is read."""
    plugged(Verdicts)
    wrong = call("report", "acme.verdict", "no-run", "--output", "none/there.md")
    assert wrong.exit_code == 2
    assert "--output: 'none/there.md', whose folder is not there" in wrong.output
    names = ", ".join([*sorted(WRITTEN), "acme.verdicts"])
    assert f"NAME: an unknown report 'acme.verdict'; expected one of {names}; did you mean 'acme.verdicts'?" in wrong.output


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a link to somebody else")
@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_no_link_of_somebody_elses_in_a_folder_for_all_is_followed(
    when: str, call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root would write where they like, also where the link comes after the first look. One of one's own stays, and is followed."""
    a_run("a-run")
    for_all = Path("for-all")
    for_all.mkdir()
    for_all.chmod(0o1777)
    Path("secret").write_text("of root")
    link, own = for_all / "page.txt", for_all / "own.txt"
    own.symlink_to("../own-page.txt")
    assert call("report", "text", "a-run", "--output", str(own)).exit_code == 0
    assert own.is_symlink()
    assert Path("own-page.txt").read_text()

    def planted(*_: object) -> list[Problem]:
        link.symlink_to("../secret")
        os.lchown(link, 65534, 65534)
        return []

    if when == "before":
        planted()
    else:
        monkeypatch.setattr(reporting, "output_problems", planted)
    done = call("report", "text", "a-run", "--output", str(link))
    assert (done.exit_code, "user 65534 put a link there" in done.output) == (2 if when == "before" else 4, True), done.output
    assert Path("secret").read_text() == "of root"


def test_what_is_wrong_with_every_run_is_told_at_once(call: Callable[..., Result]) -> None:
    """One that cannot be read, and one that still goes."""
    for name in ("a-run", "b-run"):
        (a_run(name) / "plan.json").write_text('{"seed": "x"}')
    going = Path("results/c-run")
    going.mkdir()
    (going / "plan.json").write_text(json.dumps({"run": "c-run", **a_plan().to_json()}))
    with Recorder(going / "history.jsonl", SystemClock(), "c-run") as recorder:
        recorder.record(PhaseBegan(Phase.FORMING))
        wrong = call("report", "text", "a-run", "b-run", "c-run")
    assert wrong.exit_code == 2
    assert [name in wrong.output for name in ("a-run/plan.json", "b-run/plan.json")] == [True, True]
    assert "a run that is still in progress" in wrong.output
    (a_run("d-run") / "history.jsonl").unlink()
    wrong = call("report", "text", "a-run", "d-run")
    assert (wrong.exit_code, "2 problems" in wrong.output, "d-run is no run" in wrong.output) == (2, True, True), wrong.output
    wrong = call("report", "text", "gone", "a/b")
    assert (wrong.exit_code, "2 problems" in wrong.output) == (2, True), wrong.output


def failing(error: BaseException) -> Any:
    """Return a report that raises."""

    def text(_self: object, _runs: object) -> NoReturn:
        raise error

    return type("Failing", (), {"name": "acme.failing", "text": text})


@pytest.mark.parametrize(
    ("cls", "why"),
    [
        (failing(RuntimeError("boom\n\x1b[2J")), r"RuntimeError: boom\n\x1b[2J"),
        (failing(SystemExit(0)), "SystemExit: 0"),
        (type("Typed", (), {"name": "acme.failing", "text": lambda _self, _runs: b"\x1b[2J"}), "it gave no text, but b'\\x1b[2J'"),
        (
            type("Unsaid", (), {"name": "acme.failing", "text": lambda self, _: self, "__repr__": lambda _: float("x")}),
            "ValueError: could not convert string to float: 'x'",
        ),
    ],
)
def test_a_report_that_fails_is_one_line_and_writes_nothing(
    cls: Any, why: str, call: Callable[..., Result], plugged: Callable[[Any], None]
) -> None:
    """With its name and its distribution; the file that was there is there."""
    plugged(cls)
    a_run("a-run")
    Path("page.md").write_text("of yesterday")
    done = call("report", "acme.failing", "a-run", "--output", "page.md")
    assert done.exit_code == 4
    told = f"whalefall failed: the report acme.failing of without a name without a version failed: {why}; nothing was written\n"
    assert done.output == told
    assert Path("page.md").read_text() == "of yesterday"


def test_a_report_that_does_not_come_to_an_end_is_told(
    call: Callable[..., Result], plugged: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is left behind, and ends with the process."""
    over = threading.Event()
    monkeypatch.setattr("harness.cli.reporting.REPORT_SECONDS", 0.05)
    plugged(type("Endless", (), {"name": "acme.endless", "text": lambda _self, _runs: str(over.wait(60))}))
    a_run("a-run")
    done = call("report", "acme.endless", "a-run")
    over.set()
    assert done.exit_code == 4
    assert "failed: it was not done after 0.05 s; nothing was written" in done.output


def test_what_a_report_says_is_obeyed_nowhere(call: Callable[..., Result], plugged: Callable[[Any], None]) -> None:
    """Neither on a terminal nor in a file, which somebody will show on one. Ends of lines are its own: it is nobody else's text."""
    plugged(type("Loud", (), {"name": "acme.loud", "text": lambda _self, _runs: "one\x1b]0;x\x07\n\ttwo\u202e\n\n"}))
    a_run("a-run")
    said = call("report", "acme.loud", "a-run").output
    assert said == "one\\x1b]0;x\\x07\n\ttwo\\u202e\n"
    assert call("report", "acme.loud", "a-run", "--output", "page.txt").output == "written to page.txt\n"
    assert Path("page.txt").read_text() == said


def test_a_class_that_is_no_report_is_told_as_every_plug_in_is(call: Callable[..., Result], plugged: Callable[[Any], None]) -> None:
    """It needs a text, a name, and nothing to be made of."""
    plugged(type("Mute", (), {"name": "acme.mute"}))
    plugged(type("Asking", (), {"name": "acme.asking", "__init__": lambda _self, _title: None, "text": lambda _self: ""}))
    done = call("report")
    assert done.exit_code == 4
    assert "found a class without text; expected name, text (harness.history.interfaces.RunReport)" in done.output
    assert "found text that cannot be called so; expected text(self, runs" in done.output
    assert "found a class that Asking() makes no instance of; expected one that is made without arguments" in done.output
