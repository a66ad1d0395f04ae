"""Hostile text through every command: nothing of it reaches the terminal as it is, whatever it came from."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import functools
import io
import itertools
import json
import os
import re
import signal
import sys
import tempfile
import types
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

import harness
from harness import cli, registry
from harness.cli import doctor
from harness.core.clock import SystemClock
from harness.core.errors import HarnessError
from harness.core.values import Finding, Json, Phase, Verdict
from harness.history.events import Event, History, PhaseBegan
from harness.history.recorder import Recorder
from harness.plan import Plan, plan
from harness.reports.console import Console
from harness.reports.terminal import LiveView, view
from harness.runs.run import Run
from harness.scenario import loads
from harness.testing.histories import node_kill
from harness.undo import reaper

FORGED = "HELD-forged"
HOSTILE = f"\x1b]0;owned\x07\x1b[2J\x9b2J\x7f\x08\r\u202egnp\u2066\u200b\u2028\x85[red]x[bold]\n{FORGED}"
"""Sequences, C1 controls, DEL, directions, zero width, separators, markup, and a second line."""
MARKUP = f"[/]{HOSTILE}"
"""The same with a tag that closes nothing; no name of a file can hold it."""
NAME = f"{HOSTILE}\udcff"
"""As a file's name can be."""

SCENARIO = """\
scenario: sample
why: "to see \u202e what becomes of \u200b it"
apps: [{name: web, instances: 2}]
steps: [{fault: node.kill, on: any, hold: 1s}]
promises: [conflicts]
"""

BAD = """\
scenario: "[/]\u202e"
why: "[/]"
"\u202ekey[/]": "\u2066"
cluster: {mode: "\u202emode[/]", provider: "[/]\u200b", profile: "\u2028"}
apps: [{name: "\u202e", instances: "\u200b"}]
steps: [{fault: "\u202e[/]", on: "hosting(\u202e)", hold: "\u2066"}, {wait: "\u202e"}]
promises: ["\u202e", {writes: {"\u200b": 1}}]
"""


ACTING = {"Cc", "Cf", "Cs", "Zl", "Zp", "Cn"}


def acting(output: bytes) -> list[str]:
    """Return what a terminal would obey of an output; ends of lines and tabs are ours."""
    text = output.decode("utf-8", "surrogateescape")
    return [char for char in text if unicodedata.category(char) in ACTING and char not in "\n\t"]


def forged(output: bytes) -> list[str]:
    """Return the lines of an output that hostile text has made: none may begin where ours begin.

    A line of ours may be broken before the word, then it ends as a spelled-out end of line does. What lies below a sentence is indented by four.
    """
    lines = output.decode("utf-8", "surrogateescape").splitlines()
    return [
        line
        for before, line in itertools.pairwise(["", *lines])
        if line.lstrip().startswith(FORGED) and not line.startswith("    ") and not before.rstrip().endswith("\\n")
    ]


def poisoned(value: Any) -> Any:
    """Return a value with hostile text at the end of every text in it."""
    if isinstance(value, str) and type(value) is str:
        return value + MARKUP
    if isinstance(value, Mapping):
        return {key: poisoned(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(poisoned(each) for each in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {each.name: getattr(value, each.name) for each in dataclasses.fields(value) if each.init}
        return dataclasses.replace(value, **{name: poisoned(each) for name, each in fields.items()})
    return value


def a_plan() -> Plan:
    """Return a plan of a sound scenario."""
    scenario = loads(SCENARIO)
    mode = registry.known().modes["fleet"].from_timers("default", {})
    return plan(scenario, mode=mode, provider="nspawn", seed=7)


@functools.cache
def poisoned_events() -> tuple[Event, ...]:
    """Return the events of a run, every text in them hostile."""
    return tuple(poisoned(entry.event) for entry in node_kill().history(beats=False).entries)


@functools.cache
def poisoned_history() -> bytes:
    """Return a recorded history whose every text is hostile: many tests leave the same one in many runs."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "history.jsonl"
        with Recorder(path, SystemClock()) as recorder:
            for event in poisoned_events():
                recorder.record(event)
        return path.read_bytes()


def a_run(results: Path, name: str, body: Mapping[str, Any]) -> Path:
    """Leave a run of that name in a folder for results, with this plan and everything else hostile."""
    folder = results / name
    folder.mkdir(parents=True)
    (folder / "plan.json").write_text(json.dumps(body), encoding="utf-8")
    verdict = {"verdict": "held", **poisoned({"findings": [{"summary": "so"}], "recovery": {"a": {}}})}  # another word is refused
    (folder / "verdict.json").write_text(json.dumps(verdict), encoding="utf-8")
    (folder / "environment.json").write_text(
        json.dumps(poisoned({"started": "now", "driver": "x", "kernels": {"n1": "6"}, "hosts": {"n1": "h"}}))
    )
    (folder / "history.jsonl").write_bytes(poisoned_history())
    line = poisoned({"number": 1, "run": "r", "fault": "node.kill", "targets": ["n1"], "provider": "nspawn", "mode": "fleet"})
    (folder / "ledger.jsonl").write_text(json.dumps(line) + "\n", encoding="utf-8")
    return folder


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a folder with a hostile name, and with nothing of this machine's own in reach."""
    here = tmp_path / NAME
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for name in ("WHALEFALL_STATE", "WHALEFALL_CACHE", "WHALEFALL_RESULTS", "WHALEFALL_INVENTORY"):
        monkeypatch.setenv(name, str(here / name))
    monkeypatch.delenv("WHALEFALL_DEBUG", raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    # What would touch this machine: providers, builds, a run.
    nobody = types.SimpleNamespace(heal=reaper.heal, sweep=sweep)  # it knows none of the providers in a hostile ledger
    monkeypatch.setitem(sys.modules, "harness.undo.reaper", nobody)
    monkeypatch.setattr(
        doctor, "checks", lambda: [doctor.Diagnosis(MARKUP, ok, MARKUP, MARKUP, part) for ok, part in ((True, "a"), (False, "b"))]
    )
    image = types.SimpleNamespace(key=MARKUP, size=1e6, path=Path(NAME), built=0.0, current=True)
    for name in ("image", "box"):
        made = types.ModuleType(f"harness.{name}")
        made.__dict__.update(ensure=ensure(image), images=lambda: [image], boxes=lambda: [image], prune=lambda *, keep_current: [image])
        monkeypatch.setitem(sys.modules, f"harness.{name}", made)
        monkeypatch.setattr(harness, name, made, raising=False)
    monkeypatch.setattr("harness.nodes.fio.measure", unmeasured)
    conductor = types.ModuleType("harness.conductor")
    conductor.__dict__.update(Options=lambda **given: types.SimpleNamespace(busy=False, **given), Stopped=Stopped, conduct=conduct)
    monkeypatch.setitem(sys.modules, "harness.conductor", conductor)
    return here


class Stopped(HarnessError):
    """The conductor's own word for a run that was asked to stop."""


def ensure(image: object) -> Callable[[Callable[[str], None]], object]:
    """Return what builds an image, and tells hostile lines while it does."""

    def build(progress: Callable[[str], None]) -> object:
        progress(MARKUP)
        return image

    return build


def unmeasured(*_: object) -> object:
    """Measure no disk, and say so in hostile words."""
    raise HarnessError(MARKUP)


def sweep(*, kept: bool, say: Callable[[str], None]) -> object:
    """Sweep nothing, and say so in hostile words."""
    say(MARKUP)
    return types.SimpleNamespace(said=[MARKUP], failed=(NAME,))


OUTCOMES: list[BaseException | None] = [
    None,
    HarnessError(MARKUP),
    OSError(errno.ENOSPC, MARKUP, NAME),
    ValueError(MARKUP),
    Stopped(MARKUP),
]
"""What a run may come to."""
LEFT: list[BaseException | None] = []


def conduct(plan: Plan, options: Any) -> Run:
    """Do a run in which everything is hostile, and let it come to the next of the outcomes."""
    options.listener(types.SimpleNamespace(text=MARKUP, part="form", done=1, total=2))
    folder = options.results / NAME
    folder.mkdir(parents=True, exist_ok=True)
    with Recorder(folder / "history.jsonl", SystemClock()) as recorder:
        options.listen(recorder)
        for event in poisoned_events():
            recorder.record(event)
        recorder.record(PhaseBegan(Phase.DONE))
    outcome = LEFT.pop(0)
    if outcome is not None:
        raise outcome
    split: dict[str, Json] = {MARKUP: {"fault": 1, "from": MARKUP, "to": MARKUP, "running": 3.0}}
    found = [Finding(MARKUP, verdict, MARKUP) for verdict in Verdict]
    return Run(NAME, folder, poisoned(plan), History.load(folder / "history.jsonl"), found, split, poisoned({"driver": "x"}))


def leaves(group: click.Group = cli.main, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield every command there is, with its words."""
    for name, command in sorted(group.commands.items()):
        if isinstance(command, click.Group):
            yield from leaves(command, (*words, name))
        else:
            yield (*words, name), command


EVERY = dict(leaves())


def call(*args: str, status: set[int] | None = None) -> bytes:
    """Call the command; whatever comes of it, nothing that it prints is obeyed. Returns what it printed."""
    with warnings_of_nobody():
        result = CliRunner().invoke(cli.main, args)
    assert acting(result.stdout_bytes) == [], args
    assert acting(result.stderr_bytes) == [], args
    assert forged(result.stdout_bytes) == forged(result.stderr_bytes) == [], args
    assert result.exit_code in (status or {0, 1, 2, 3, 4}), (args, result.output)
    assert result.exception is None or isinstance(result.exception, SystemExit), args
    return result.output_bytes


@contextlib.contextmanager
def warnings_of_nobody() -> Iterator[None]:
    """Begin each call with all outcomes of a run before it."""
    LEFT[:] = OUTCOMES
    yield


def hostile_values(command: click.Command) -> Iterator[tuple[str, ...]]:
    """Yield, for each parameter of a command, arguments in which that one is hostile."""
    for parameter in command.params:
        if isinstance(parameter, click.Argument):
            yield (NAME,)
        elif not getattr(parameter, "is_flag", False):
            yield (parameter.opts[0], NAME)
            yield (f"{parameter.opts[0]}={NAME}", NAME)
    yield (f"--{NAME}",)
    yield (NAME, NAME, NAME)


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("words", EVERY, ids=" ".join)
def test_hostile_arguments_of_every_command(words: tuple[str, ...]) -> None:
    """Every option and argument of every command that there is, a new one too; and a command that there is not."""
    for arguments in hostile_values(EVERY[words]):
        call(*words, *arguments)
    call(*words[:-1], NAME, status={2})
    call(f"--{NAME}", *words, status={2})


def files(place: Path) -> tuple[str, ...]:
    """Write scenario files, a sound one and a bad one, under hostile names."""
    folder = place / f"folder {NAME}"
    folder.mkdir()
    (folder / f"good{NAME}.yaml").write_text(SCENARIO, encoding="utf-8")
    bad = place / f"bad{NAME}.yaml"
    bad.write_text(BAD, encoding="utf-8")
    (place / f"controls{NAME}.yaml").write_text(f"scenario: {MARKUP}", encoding="utf-8")
    (place / f"empty{NAME}").mkdir()
    return str(folder), str(bad), str(place / f"controls{NAME}.yaml"), str(place / f"empty{NAME}"), str(place / NAME)


def kept(place: Path) -> str:
    """Leave runs in which everything is hostile; return where."""
    results = place / f"results {NAME}"
    a_run(results, f"a{NAME}", a_plan().to_json())
    a_run(results, f"b{NAME}", poisoned(a_plan().to_json()))
    a_run(results, "c", {"scenario": MARKUP, "mode": "[/]", MARKUP: [MARKUP], "seed": MARKUP})
    (results / "d").mkdir()
    (results / "d" / "plan.json").write_text(f'{{"{NAME}'.encode("utf-8", "surrogateescape").decode("latin-1"), encoding="utf-8")
    return str(results)


@dataclass(frozen=True)
class Given:
    """What there is to read: scenario files, a folder of results, and its runs."""

    files: tuple[str, ...]
    results: tuple[str, str]
    runs: tuple[str, ...] = (f"a{NAME}", f"b{NAME}", "c", "d")

    @property
    def paths(self) -> list[str]:
        """Return the runs' folders, and one that is none: whole, from here, and by a way that leads through a folder that is not there."""
        folder = self.results[1]
        ways = itertools.cycle((folder, os.path.relpath(folder), f"{folder}/../{NAME}"))
        return [f"{way}/{each}" for each, way in zip((*self.runs, "none", self.runs[0]), ways, strict=False)]


READS: dict[tuple[str, ...], Callable[[Given], list[list[str]]]] = {
    ("claims",): lambda given: [[*given.results], *([*given.results, run] for run in given.runs), *([each] for each in given.paths)],
    ("doctor",): lambda given: [[]],
    ("heal",): lambda given: [
        *([*given.results, *run] for run in ([], *([each] for each in given.runs))),
        *([each] for each in given.paths),
    ],
    ("image", "build"): lambda given: [[], ["--box"]],
    ("image", "list"): lambda given: [[]],
    ("image", "prune"): lambda given: [[], ["--all"]],
    ("image", "pull"): lambda given: [[f"registry.test/{MARKUP}:1"], [f"registry.test/web:{NAME}"], [f"./{NAME}.tar"], [given.files[0]]],
    ("judge",): lambda given: [*([*given.results, run] for run in (*given.runs, "latest")), *([each] for each in given.paths)],
    ("list",): lambda given: [[*given.results], []],
    ("modes",): lambda given: [[]],
    ("plan",): lambda given: [[each] for each in given.files],
    ("preflight",): lambda given: [
        ["--mode", "fleet"],
        ["--mode", "fleet", "--json", "--folder", f"/{NAME}"],
        *([each] for each in given.files),
        *([each, "--mode", MARKUP] for each in given.files),
        ["--inventory", given.files[1]],
    ],
    ("report",): lambda given: [
        [],
        *([name, *given.results, run] for run in given.runs for name in ("text", "json", "claims")),
        *(["text", each] for each in (*given.paths, MARKUP)),
        ["text", *given.results, *given.runs],
        [MARKUP],
        [MARKUP, *given.results, given.runs[0], "--output", f"{given.results[1]}/{NAME}/there"],
        ["text", *given.results, given.runs[0], "--output", f"{given.results[1]}/{NAME}"],
    ],
    ("run",): lambda given: [[*options, each] for each in given.files for options in ([], ["--dry-run"], ["--keep", "--plain"])],
    ("schema",): lambda given: [[]],
    ("scorecard",): lambda given: [
        ["--from", *given.results],
        *(["--from", *given.results, run, "--format", how] for run in given.runs for how in ("terminal", "markdown", "json")),
        *(["--from", each] for each in given.paths),
        [given.files[1]],
    ],
    ("show",): lambda given: [
        *([*given.results, run, *how] for run in given.runs for how in ([], ["--json"], ["--evidence", "conflicts"], ["--evidence", NAME])),
        *([each] for each in given.paths),
    ],
    ("sweep",): lambda given: [[], ["--kept"]],
}
"""What each command is given to read; a test sees that none is missing."""


@pytest.mark.parametrize("words", EVERY, ids=" ".join)
def test_hostile_text_that_commands_read(words: tuple[str, ...], place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scenario keys, names and reasons, histories, plans, verdicts, folders' and files' names, builds, machines, modes: every command has its row."""
    real = registry.known()
    others = {**real.modes, MARKUP: poisoned_mode(real.modes["fleet"])}
    among = registry.Known(real.faults, real.workloads, real.checkers, others, real.providers)
    monkeypatch.setattr(registry, "known", lambda: among)
    for arguments in READS[words](Given(files(place), ("--results", kept(place)))):
        call(*words, *arguments)


def poisoned_mode(real: Any) -> Any:
    """Return a mode with hostile names for itself and for its timers."""

    class Hostile(real):  # type: ignore[misc]  # a class that is made here
        name = MARKUP
        TIMERS: Mapping[str, Mapping[str, float]] = {MARKUP: {MARKUP: 1.0}}

        @classmethod
        def from_timers(cls, profile: str, overrides: Mapping[str, float]) -> Any:
            return poisoned_settings(real.from_timers("default", {}))

    return Hostile


def poisoned_settings(settings: Any) -> Any:
    """Return a mode's settings whose budgets are hostile."""

    class Settings:
        name = MARKUP

        def budget(self, lost: Any, who: Any) -> Any:
            return poisoned(settings.budget(lost, who))

    return Settings()


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("outcome", OUTCOMES, ids=repr)
def test_whatever_a_run_comes_to(outcome: BaseException | None, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A report, a failure, a full disk, a bug, a stop; also with the traceback that those who work on the harness ask for."""
    good = files(place)[0]
    monkeypatch.setitem(globals(), "OUTCOMES", [outcome])
    said = call("run", good, "--results", str(place / NAME))
    assert b"forged" in said or b"stopped" in said
    monkeypatch.setenv("WHALEFALL_DEBUG", "1")
    call("run", good, "--results", str(place / NAME))


def test_a_scenario_named_like_markup_does_not_break_the_list(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor any other run's row, nor a table that ends without one."""
    monkeypatch.setenv("COLUMNS", "1000")  # where all of it has room
    results = Path(kept(place))
    a_run(results, "e", {"scenario": "[/]", "mode": "[/red]", "provider": "[bold]", "seed": 7})
    said = call("list", "--results", str(results), status={0}).decode()
    row = next(line for line in said.splitlines() if line.strip().startswith("e "))
    assert row.split()[1].startswith("held")
    assert all(each in row for each in ("[/]", "[/red]", "[bold]", " 7 "))


def test_what_the_reaper_leaves_in_its_log_is_harmless(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """People read it with cat."""
    monkeypatch.setattr(reaper, "undo", lambda *_, keep: [MARKUP, NAME])
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    pipe, ours = os.pipe()
    heard, ready = os.pipe()
    os.close(ours)
    we = os.pidfd_open(os.getpid())
    reaper.main(f"run{HOSTILE}", str(tmp_path / NAME), "nspawn", str(pipe), str(ready), str(we))
    os.close(we)
    os.close(pipe)
    os.close(heard)
    said = capsys.readouterr().out
    assert FORGED in said
    assert acting(said.encode("utf-8", "surrogateescape")) == []
    assert forged(said.encode("utf-8", "surrogateescape")) == []


MOVES = re.compile(r"\x1b\[(?:[0-9;]*m|[0-9]*[ABFG]|[012]?K|\?25[lh])|\r")
"""What rich itself sends to a terminal: colours, the cursor up and down, its line wiped, the cursor hidden and shown."""


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_the_live_view_obeys_nothing_that_it_shows(tmp_path: Path, columns: int) -> None:
    """On a terminal: a plan, a history and progress in which every text is hostile."""
    shown = io.StringIO()
    out = Console(file=shown, width=columns, height=40, force_terminal=True, color_system="standard")
    with view(poisoned(a_plan()), out, plain=False) as live, Recorder(tmp_path / "history.jsonl", SystemClock()) as recorder:
        assert isinstance(live, LiveView)
        live.progress(types.SimpleNamespace(text=MARKUP, done=1, total=2))
        live.listen(recorder)
        for event in poisoned_events():
            recorder.record(event)
        live.say(MARKUP)
    said = MOVES.sub("", shown.getvalue())
    assert "x1b" in said
    assert acting(said.encode("utf-8", "surrogateescape")) == []
