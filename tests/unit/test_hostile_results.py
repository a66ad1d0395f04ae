"""A results folder is somebody else's input: whatever lies in it, each command says what is wrong, in bounded time and memory, and harms nobody."""

from __future__ import annotations

import copy
import functools
import json
import os
import re
import resource
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from click.testing import CliRunner

from harness.actions.scaling import Scale
from harness.actions.systemd import ServiceStop
from harness.checkers import (
    Assumptions,
    Availability,
    CameInTime,
    Checks,
    Clean,
    Conflicts,
    QuorumSurvived,
    Rescheduled,
    Scaled,
    Settled,
    Writes,
)
from harness.checkers.expected import Expected
from harness.cli import main
from harness.core.values import App, Budget, Effect, Endurance, NodeSpec, Outcome, Patience, Phase, Term, Verdict
from harness.faults.power import NodeKill
from harness.history.chain import Chain
from harness.history.events import KINDS, Endures, Note, Pressure, Stalled
from harness.host import processes
from harness.plan import Plan
from harness.runs import writer
from harness.runs.judge import MOST_NAMES
from harness.steps import Await, Break, Check, Control, Do, Hold, Repeat, Wait
from harness.testing.histories import Story, chained
from harness.workloads.http import Http
from harness.workloads.register import Register

RUN = "sample-1"
BUDGET = Budget((Term("agent_ttl", 30.0, "fleet.conf"),))
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
    workloads=(Http("web"), Register()),
    steps=(
        Wait(5.0),
        Repeat(2, (Break(NodeKill(), "hosting(web) & any", Hold(60.0, "recovered")), Await("recovered", "web", 60.0, "broken"))),
        *(Do(Scale("web", 3), "", 60.0), Do(ServiceStop("etcd"), "n1", 60.0, may_fail=True)),
    ),
    settle=90.0,
    checks=(Check("service", "docker", {"is_running": True}, "all", ("after",)),),
    promises=(
        Assumptions(Expected(("n1", "n2", "n3"), (("http", "web"), ("register", "")))),
        *(Rescheduled("web", budgets={"node.kill": BUDGET}), Conflicts(), QuorumSurvived(), Writes(), Availability("web", 0.9, 5.0)),
        *(Checks(), CameInTime(Expected(awaits=1)), Scaled("web", 3, 30.0), Settled(), Clean()),
    ),
    control=Control(Verdict.BROKEN, "conflicts"),
    budgets={"node.kill": BUDGET},
    slower=Term("slow hosts", 5.0, "whalefall_slower"),
    observers={"host": ("n1", "n2", "n3")},
    made=("node.kill",),
    images={"marathon": "registry.test/marathon:1"},
)  # fmt: skip
ENVIRONMENT = {
    "driver": "nspawn",
    "hosts": {"n1": "db1"},
    "kernels": {"n1": "6.1"},
    "made_for": "earlier-1",
    "started": "2026-06-01T10:00:00+00:00",
    "cores": 2,
}


@functools.cache
def every_kind() -> bytes:
    """Return the lines of a short run in which every kind of event stands."""
    story = Story().phase(0.0, Phase.STEADY)
    for node in ("n1", "n2", "n3"):
        story.watching(0.1, "host", node).fingerprint(0.5, node, "before", {"nft": ["table"]}).fingerprint(
            11.5, node, "after", {"nft": ["table"]}
        )
    story.node(0.1, "n1", "web@1").node(0.1, "n2", "web@2").docker(0.2, "n1", "start", "web@1").unreachable(9.0, "n3")
    story.api(0.3, "n1", "n1 n2 n3", {"web@1": "n1", "web@2": "n2"}).no_api(9.1, "n3").members(0.4, "n1 n2 n3", 2, "n1").no_member(
        9.2, "n3"
    )
    story.whole(0.6, "before the first fault").get(0.7, "web@1").write(0.8, "key", "1").read(11.0, "key", "1")
    story.phase(1.0, Phase.FAULTS).fault("node.kill", "n1", decided=2.0, in_force=2.1, healing=6.0, healed=6.5)
    story.off(2.1, "n1").node(5.0, "n2", "web@1", "web@2").tell(7.0, Note("a sentence"))
    story.tell(0.1, Endures(Endurance((Patience("an election", 1.0),), 3.0, 10.0), ("n1",))).tell(7.5, Stalled("n1", 7.2, 0.3, "why")).tell(
        7.6, Pressure(1.0, 2, 5.0)
    )
    story.awaited(5.5, 5.9, "recovered", "web", Outcome.FAIL, missing=("web@1 does not answer",))
    story.action(3.0, 3.2, "app.scale", "n2", effect=Effect({"web": 3}, ("etcd",), ("docker",)), was={"web": 2}, detail="2 before")
    story.checked(10.0, "n1", "service docker is_running", Outcome.OK).whole(10.5, "after the last heal").done(12.0)
    return chained(((entry.time, entry.event) for entry in story.history(beats=False).entries), RUN)


def saved(results: Path, run: str = RUN, history: bytes | None = None) -> Path:
    """Put a sound run into a results folder."""
    folder = results / run
    folder.mkdir(parents=True)
    (folder / "plan.json").write_text(json.dumps({"run": run, **PLAN.to_json()}), encoding="utf-8")
    (folder / "environment.json").write_text(json.dumps(ENVIRONMENT), encoding="utf-8")
    (folder / "history.jsonl").write_bytes(every_kind() if history is None else history)
    return folder


LONG = 20_000
"""Characters of a value that no refusal repeats."""


def call(results: Path, *argv: str) -> tuple[int, str]:
    """Call the command; it must have ended in words, and where it refuses, in few. Returns its exit status and all that it said."""
    found = CliRunner().invoke(main, [argv[0], *argv[1:], "--results", str(results)])
    assert "failed unexpectedly" not in found.output, found.output
    assert found.exception is None or isinstance(found.exception, SystemExit), found.exception
    assert found.exit_code != 2 or len(found.output) < LONG, found.output
    return found.exit_code, found.output


ASKED = (("judge", RUN), ("show", RUN), ("show", RUN, "--json"), ("list",))


# -- files that are none


def as_link(path: Path) -> None:
    """Put a link to something else in its place."""
    path.with_name("victim").write_bytes(path.read_bytes())
    path.unlink()
    path.symlink_to(path.with_name("victim"))


def as_zero(path: Path) -> None:
    """Put a link to endless zeros in its place."""
    path.unlink()
    path.symlink_to("/dev/zero")


def as_pipe(path: Path) -> None:
    """Put a pipe that nobody writes to in its place."""
    path.unlink()
    os.mkfifo(path)


def as_folder(path: Path) -> None:
    """Put a folder in its place."""
    path.unlink()
    path.mkdir()


def as_endless_line(path: Path) -> None:
    """Make one line of five thousand million bytes of it, which take no room."""
    os.truncate(path, 5 << 30)


def as_deep(path: Path) -> None:
    """Make a hundred thousand lists inside each other of it."""
    path.write_bytes(b"[" * 100_000 + b"\n")


def as_noise(path: Path) -> None:
    """Make bytes of it that are no text."""
    path.write_bytes(bytes(range(256)) * 40 + b"\n")


def as_a_long_line(path: Path) -> None:
    """Make a line of it that is longer than any that we write, and a file that is not too large."""
    path.write_bytes(b'{"a": "' + b"x" * (20 << 20) + b'"}\n')


ODD: list[Callable[[Path], None]] = [as_link, as_zero, as_pipe, as_folder, as_endless_line, as_deep, as_noise, as_a_long_line]


@pytest.fixture
def little_memory() -> Iterator[None]:
    """Let this process have a thousand million bytes more than it has, and no more."""
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (now + (1 << 30), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.usefixtures("little_memory")
@pytest.mark.parametrize("name", ["plan.json", "history.jsonl", "environment.json", "verdict.json"])
@pytest.mark.parametrize("change", ODD, ids=lambda each: each.__name__)
def test_a_file_of_a_run_that_is_none_is_told_and_the_other_runs_are_listed(
    tmp_path: Path, change: Callable[[Path], None], name: str
) -> None:
    """Exit status 2 with the file's name, from whatever reads it; `list` goes on."""
    folder = saved(tmp_path)
    saved(tmp_path, "other-1")
    call(tmp_path, "judge", RUN)
    change(folder / name)
    for argv in reversed(ASKED):  # judging comes last: it writes the verdict anew
        status, said = call(tmp_path, *argv)
        if argv[0] == "list":
            assert status == 0
            assert "other-1" in said
            assert RUN in said
        elif name == "verdict.json" and "--json" not in argv:  # it is written, not read
            assert status in ({0} if argv[0] == "show" else {2} if change is as_folder else {1, 3}), said
        elif name in {"history.jsonl", "environment.json"} and "--json" in argv:  # it is not read
            assert status == 0
        else:
            assert status == 2, said
            assert f"{folder / name}" in said
            assert "expected" in said


@pytest.mark.parametrize("name", ["verdict.json", ".verdict.json"])
def test_judging_writes_through_no_link(tmp_path: Path, name: str) -> None:
    """Judging is done as root: whoever sent the folder must not choose what is overwritten."""
    folder = saved(tmp_path)
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (folder / name).symlink_to(victim)
    call(tmp_path, "judge", RUN)
    assert victim.read_text() == "precious"
    assert not (folder / "verdict.json").is_symlink()
    assert json.loads((folder / "verdict.json").read_text())["verdict"] in {"broken", "unknown"}


def test_what_judging_writes_is_read_back(tmp_path: Path) -> None:
    """Also numbers that JSON has no word for, such as a budget without an end."""
    plan = replace(PLAN, budgets={"node.kill": Budget(())}, promises=(Rescheduled("web", budgets={"node.kill": Budget(())}),))
    folder = saved(tmp_path)
    (folder / "plan.json").write_text(json.dumps({"run": RUN, **plan.to_json()}), encoding="utf-8")
    call(tmp_path, "judge", RUN)
    assert call(tmp_path, "show", RUN, "--json")[0] == 0
    assert "cannot be read" not in call(tmp_path, "list")[1]


# -- values that are none

VALUES: list[Any] = [None, True, -1, 10**12, 1e300, "\x1b[2J[/]\udcff" * 99, [], {"a": {"b": []}}, "x" * LONG, [[]] * LONG]
TRIED = 3
"""Of these in each place, drawn anew in each run: there are some three hundred places."""


@pytest.fixture
def nobody_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Say that nobody writes a run: for each of thousands of values all open files of this machine would be looked at for that."""
    monkeypatch.setattr(writer, "writer_of", lambda _: None)
    monkeypatch.setattr(writer, "writers", dict)
    monkeypatch.setattr(processes, "reapers", lambda: iter(()))


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the way to every value inside a value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value[:2]) if isinstance(value, list) else ()
    for key, each in inner:
        yield (*at, key)
        yield from places(each, (*at, key))


def changed(value: Any, place: tuple[Any, ...], new: Any) -> Any:
    """Return a copy with another value at a place."""
    whole = copy.deepcopy(value)
    at = whole
    for key in place[:-1]:
        at = at[key]
    at[place[-1]] = new
    return whole


def named(place: tuple[Any, ...]) -> str:
    """Give a place as a word."""
    return ".".join(map(str, place))


@pytest.mark.usefixtures("nobody_writes")
@pytest.mark.parametrize("place", list(places(PLAN.to_json())), ids=named)
def test_any_value_in_any_place_of_a_plan_ends_in_words(tmp_path: Path, place: tuple[Any, ...], rng: Random) -> None:
    """Judged, or refused with the plan's name."""
    folder = saved(tmp_path, history=b"")
    body = {"run": RUN, **PLAN.to_json()}
    for value in rng.sample(VALUES, TRIED):
        (folder / "plan.json").write_text(json.dumps(changed(body, place, value)), encoding="utf-8")
        status, said = call(tmp_path, "show", RUN)
        assert status in {0, 2}, value
        assert status != 2 or f"{folder / 'plan.json'}" in said, value
    call(tmp_path, "list")


@pytest.mark.usefixtures("nobody_writes")
@pytest.mark.parametrize("place", list(places(ENVIRONMENT)), ids=named)
def test_any_value_in_any_place_of_an_environment_ends_in_words(tmp_path: Path, place: tuple[Any, ...], rng: Random) -> None:
    """The same."""
    folder = saved(tmp_path)
    for value in rng.sample(VALUES, TRIED):
        (folder / "environment.json").write_text(json.dumps(changed(ENVIRONMENT, place, value)), encoding="utf-8")
        for argv in (("show", RUN), ("list",)):
            status, said = call(tmp_path, *argv)
            assert status in {0, 2}, value
            assert status != 2 or f"{folder / 'environment.json'}" in said, value


@pytest.mark.usefixtures("nobody_writes")
def test_any_value_in_any_place_of_a_verdict_ends_in_words(tmp_path: Path, rng: Random) -> None:
    """The same."""
    folder = saved(tmp_path)
    call(tmp_path, "judge", RUN)
    body = json.loads((folder / "verdict.json").read_text())
    asked = dict.fromkeys(places(body))
    kinds = {tuple(re.sub(r"\d+$", "", str(part)) if isinstance(part, str) else 0 for part in place): place for place in asked}
    for place in kinds.values():  # of what a verdict has many of alike, one of each
        for value in rng.sample(VALUES, TRIED):
            (folder / "verdict.json").write_text(json.dumps(changed(body, place, value)), encoding="utf-8")
            assert call(tmp_path, "show", RUN, "--json")[0] in {0, 2}, (place, value)
        call(tmp_path, "list")


LINES = [json.loads(line) for line in every_kind().splitlines()]
FIRST = {line["kind"]: number for number, line in reversed(list(enumerate(LINES)))}
"""The first line of each kind."""


def rechained(bodies: list[Any]) -> bytes:
    """Write lines down with a chain that holds, as somebody who knows the format would."""
    chain = Chain()
    bare = [{key: value for key, value in body.items() if key != "h"} for body in bodies]
    return b"".join(chain.link(json.dumps(body, separators=(",", ":")).encode()) for body in bare)


@pytest.mark.usefixtures("nobody_writes")
@pytest.mark.parametrize("kind", sorted(FIRST))
def test_any_value_in_any_place_of_a_history_ends_in_words(tmp_path: Path, kind: str, rng: Random) -> None:
    """Judged, or refused with the line."""
    folder = saved(tmp_path)
    number = FIRST[kind]
    for place in places(LINES[number]):
        if place == ("h",):
            continue
        for value in rng.sample(VALUES, TRIED):
            lines = [*LINES[:number], changed(LINES[number], place, value), *LINES[number + 1 :]]
            (folder / "history.jsonl").write_bytes(rechained(lines))
            status, said = call(tmp_path, "show", RUN)
            assert status in {0, 2}, (place, value)
            assert status != 2 or f"{folder / 'history.jsonl'}:{number + 1}:" in said, (place, value)


def test_a_ledger_whose_plan_is_gone_is_mended_and_counted_all_the_same(tmp_path: Path) -> None:
    """What it says may be broken still: nobody is told that all is well."""
    folder = saved(tmp_path)
    (folder / "plan.json").unlink()
    (folder / "ledger.jsonl").write_text("{}\n")
    status, said = call(tmp_path, "heal")
    assert status == 4
    assert f"{folder / 'ledger.jsonl'}:1 is no line of a ledger" in said


@pytest.mark.parametrize("what", ["nodes", "instances", "instances by the API"])
def test_a_history_of_more_than_a_cluster_is_told_and_not_judged_for_hours(tmp_path: Path, what: str) -> None:
    """Each node and each instance is held against each other."""
    story = Story().phase(0.0, Phase.STEADY)
    for number in range(MOST_NAMES + 1):
        if what == "nodes":
            story.node(1.0, f"m{number}", "web@1")
        elif what == "instances":
            story.node(1.0, "n1", f"web@{number}")
        else:
            story.api(1.0, "n1", "n1", {f"web@{number}": "n1"})
    lines = ((entry.time, entry.event) for entry in story.history(beats=False).entries)
    folder = saved(tmp_path, history=chained(lines, RUN))
    status, said = call(tmp_path, "show", RUN)
    assert status == 2
    assert f"{folder / 'history.jsonl'}: a history of {MOST_NAMES + 1} {what.split(maxsplit=1)[0]}; expected {MOST_NAMES} at most" in said
    assert RUN in call(tmp_path, "list")[1]


def test_every_kind_of_event_and_every_part_of_a_plan_is_tried() -> None:
    """Whoever adds one adds it to the run and the plan above."""
    assert set(FIRST) == set(KINDS)
    assert [name for name in PLAN.__dataclass_fields__ if getattr(PLAN, name) in ((), {}, None)] == []
